#include "networks.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

using test::Resnet;

namespace {

double sqnr_db(const std::vector<float>& exact, const std::vector<float>& other) {
    double signal = 0, noise = 0;
    for (std::size_t i = 0; i < exact.size(); ++i) {
        signal += std::pow(exact[i], 2.0);
        noise += std::pow(static_cast<double>(exact[i]) - other[i], 2.0);
    }
    return 10 * std::log10(signal / noise);
}

rsquant::SessionOptions batch(std::size_t largest) {
    rsquant::SessionOptions options;
    options.max_batch = largest;
    return options;
}

}  // namespace

TEST_CASE("a comparison has the figures that two sessions show") {
    constexpr std::size_t kImages = 6;
    const std::vector<float> images = Resnet::images(kImages, 21);
    const rsquant::Graph graph = Resnet::graph();
    const rsquant::Model model = Resnet::model();
    rsquant::Comparison comparison = rsquant::Comparison::make(graph, model);
    CHECK(comparison.samples() == 0);
    CHECK(comparison.layer_count() == 0);
    comparison.compare({images.data(), 4 * Resnet::kInputFloats, Resnet::input_shape(4)});
    comparison.compare({images.data() + 4 * Resnet::kInputFloats, 2 * Resnet::kInputFloats, Resnet::input_shape(2)});
    CHECK(comparison.samples() == kImages);

    rsquant::Session float_session = rsquant::Session::make_float(graph, batch(kImages));
    rsquant::Session int8_session = rsquant::Session::make(model, batch(kImages));
    const std::vector<float> exact = test::run(float_session, images, kImages), int8 = test::run(int8_session, images, kImages);
    REQUIRE(comparison.output_count() == 1);
    const rsquant::OutputComparison output = comparison.output(0);
    CHECK(output.sqnr_db == doctest::Approx(sqnr_db(exact, int8)).epsilon(1e-9));
    CHECK(output.cosine > 0.99);
    std::size_t agreeing = 0;
    for (std::size_t i = 0; i < kImages; ++i) {
        const auto largest = [&](const std::vector<float>& logits) {
            const auto first = logits.begin() + static_cast<std::ptrdiff_t>(i * Resnet::kClasses);
            return std::max_element(first, first + Resnet::kClasses) - first;
        };
        agreeing += largest(exact) == largest(int8);
    }
    CHECK(output.top1_agreement == doctest::Approx(static_cast<double>(agreeing) / kImages));
    CHECK_ERROR(comparison.output(1), RSQ_NOT_FOUND, "output 1 of 1");
}

TEST_CASE("a comparison lists the input and every int8 layer") {
    const rsquant::Model model = Resnet::model();
    rsquant::Comparison comparison = rsquant::Comparison::make(Resnet::graph(), model);
    comparison.compare({Resnet::input(), Resnet::input_shape()});
    const rsquant::LayerComparison input = comparison.layer(0);
    CHECK(std::string(input.op_type) == "Input");
    CHECK(std::string(input.name) == "image");
    CHECK(input.values == Resnet::kBatch * Resnet::kInputFloats);
    CHECK(input.sqnr_db > 30);
    std::size_t found = 0, layer = 1;
    for (std::size_t i = 0; i < model.layer_count(); ++i) {
        const rsquant::LayerInfo info = model.layer(i);
        for (; layer < comparison.layer_count(); ++layer) {  // both are in execution order
            const rsquant::LayerComparison compared = comparison.layer(layer);
            CAPTURE(compared.name);
            if (std::string(compared.name) == info.name) {
                CHECK(compared.precision == info.precision);
                CHECK(compared.sqnr_db > 15);
                CHECK(compared.cosine > 0.98);
                CHECK(compared.clip_low + compared.clip_high < 0.05);
                ++found;
                break;
            }
        }
    }
    CHECK(found > 8);
    CHECK_ERROR(comparison.layer(comparison.layer_count()), RSQ_NOT_FOUND, "layer");
}

TEST_CASE("a comparison refuses another network's model, NaN and wrong shapes, and keeps what it has") {
    const rsquant::Graph other = rsquant::Graph::from_onnx_file(test::kNetworks + "/lenet_like/model.onnx");
    const rsquant::Model model = Resnet::model();
    CHECK_ERROR(rsquant::Comparison::make(other, model), RSQ_MISMATCH, "");
    rsquant::Comparison comparison = rsquant::Comparison::make(Resnet::graph(), model);
    comparison.compare({Resnet::input(), Resnet::input_shape()});
    const double before = rsquant::OutputComparison(comparison.output(0)).sqnr_db;
    std::vector<float> images = Resnet::images(2, 22);
    images[7] = std::numeric_limits<float>::quiet_NaN();
    CHECK_ERROR(comparison.compare({images, Resnet::input_shape()}), RSQ_NOT_FINITE, "element 7");
    CHECK_ERROR(comparison.compare({images, {2, 1200}}), RSQ_SHAPE_MISMATCH, "image");
    CHECK_ERROR(comparison.compare({}), RSQ_INVALID_ARGUMENT, "0 inputs");
    CHECK(comparison.samples() == 2);
    CHECK(rsquant::OutputComparison(comparison.output(0)).sqnr_db == before);
}
