#include "networks.hpp"

#include <limits>
#include <vector>

using test::Resnet;

namespace {

rsquant::Prepared prepared(const rsquant::Graph& graph) { return rsquant::Prepared::make(graph, rsquant::QConfig::default_static()); }

std::vector<std::uint8_t> model_bytes(const rsquant::Prepared& prepared) { return rsquant::Model(prepared.convert()).to_bytes(); }

}  // namespace

TEST_CASE("converting without calibration is an error, and calibration mends it") {
    rsquant::Prepared object = prepared(Resnet::graph());
    CHECK_ERROR(object.convert(), RSQ_NOT_CALIBRATED, "image");
    CHECK(object.samples() == 0);
    object.calibrate({Resnet::input(), Resnet::input_shape()});
    CHECK(object.samples() == 2);
    CHECK(rsquant::Model(object.convert()));
}

TEST_CASE("dynamic quantization needs no calibration") {
    const rsquant::Prepared object = rsquant::Prepared::make(Resnet::graph(), rsquant::QConfig::default_dynamic());
    CHECK(rsquant::Model(object.convert()));
}

TEST_CASE("the model depends neither on the split into batches nor on the threads") {
    const std::vector<float> images = Resnet::images(12, 1);
    const rsquant::Graph graph = Resnet::graph();
    rsquant::Prepared whole = prepared(graph);
    whole.calibrate({images, Resnet::input_shape(12)});
    const auto expected = model_bytes(whole);
    for (const std::size_t batch : {std::size_t{1}, std::size_t{4}}) {
        rsquant::Prepared split =
            rsquant::Prepared::make(graph, rsquant::QConfig::default_static(), rsquant::Context::make({3, RSQ_ISA_PORTABLE, nullptr}));
        for (std::size_t i = 0; i < 12; i += batch) {
            split.calibrate({images.data() + i * Resnet::kInputFloats, batch * Resnet::kInputFloats, Resnet::input_shape(batch)});
        }
        CHECK(split.samples() == 12);
        CHECK(model_bytes(split) == expected);
    }
}

TEST_CASE("a batch with a NaN or an infinity is refused whole, by name, and changes nothing") {
    rsquant::Prepared object = Resnet::calibrated();
    const auto expected = model_bytes(object);
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
        std::vector<float> images = Resnet::images(2, 2);
        images[Resnet::kInputFloats + 5] = bad;
        CHECK_ERROR(object.calibrate({images, Resnet::input_shape()}), RSQ_NOT_FINITE, "image");
        CHECK(object.samples() == 2);
        CHECK(model_bytes(object) == expected);
    }
}

TEST_CASE("calibration batches of a wrong shape, type or size are refused") {
    rsquant::Prepared object = prepared(Resnet::graph());
    const std::vector<float> images = Resnet::images(2, 3);
    const std::vector<std::uint8_t> bytes(images.size());
    CHECK_ERROR(object.calibrate({images, {2, 3, 20, 21}}), RSQ_INVALID_ARGUMENT, "inputs[0]");  // more than the vector has
    CHECK_ERROR(object.calibrate({images, {2, 3, 20, 19}}), RSQ_SHAPE_MISMATCH, "image");
    CHECK_ERROR(object.calibrate({images, {2, 1200}}), RSQ_SHAPE_MISMATCH, "image");
    CHECK_ERROR(object.calibrate({bytes, Resnet::input_shape()}), RSQ_DTYPE_MISMATCH, "image");
    CHECK_ERROR(object.calibrate({images, {2, 3, 20, -20}}), RSQ_INVALID_ARGUMENT, "-20");
    CHECK_ERROR(object.calibrate({images, {1, 1, 1, 1, 1, 1, 1, 1, 1}}), RSQ_INVALID_ARGUMENT, "rank 9");
    CHECK_ERROR(object.calibrate({}), RSQ_INVALID_ARGUMENT, "0 inputs");
    CHECK(object.samples() == 0);
    object.calibrate({images, Resnet::input_shape()});
    CHECK(object.samples() == 2);
}

TEST_CASE("statistics are saved, loaded and merged to the bits of one pass") {
    const test::TemporaryFolder folder;
    const rsquant::Graph graph = Resnet::graph();
    const std::vector<float> first = Resnet::images(3, 4), second = Resnet::images(5, 5);
    rsquant::Prepared one = prepared(graph), other = prepared(graph), both = prepared(graph), restored = prepared(graph);
    one.calibrate({first, Resnet::input_shape(3)});
    other.calibrate({second, Resnet::input_shape(5)});
    both.calibrate({first, Resnet::input_shape(3)});
    both.calibrate({second, Resnet::input_shape(5)});
    one.save_calibration(folder / "one");
    restored.load_calibration(folder / "one");
    CHECK(restored.samples() == 3);
    CHECK(model_bytes(restored) == model_bytes(one));
    other.merge_calibration(folder / "one");
    CHECK(other.samples() == 8);
    CHECK(model_bytes(other) == model_bytes(both));
}

TEST_CASE("a calibration file that is missing, damaged or of another model is refused") {
    const test::TemporaryFolder folder;
    rsquant::Prepared object = Resnet::calibrated();
    object.save_calibration(folder / "good");
    CHECK_ERROR(object.merge_calibration(folder / "missing"), RSQ_IO, "missing");
    auto bytes = test::read_bytes(folder / "good");
    test::write_bytes(folder / "cut", bytes.data(), bytes.size() - 7);
    CHECK_THROWS_AS(object.merge_calibration(folder / "cut"), rsquant::Error);
    bytes[bytes.size() / 2] ^= 4;
    test::write_bytes(folder / "flipped", bytes.data(), bytes.size());
    CHECK_THROWS_AS(object.merge_calibration(folder / "flipped"), rsquant::Error);
    rsquant::Prepared other =
        prepared(rsquant::Graph::from_onnx_file(test::kNetworks + "/mobilenet_v2_like/model.onnx"));
    CHECK_ERROR(other.load_calibration(folder / "good"), RSQ_MISMATCH, "");
    CHECK_ERROR(object.save_calibration(folder / "no/such/folder"), RSQ_IO, "no/such/folder");
    CHECK(object.samples() == 2);
}

TEST_CASE("input shapes may be given ahead, and must be the graph's") {
    const rsquant::Graph graph = Resnet::graph();
    const rsquant::QConfig qconfig = rsquant::QConfig::default_dynamic();
    CHECK(rsquant::Prepared(rsquant::Prepared::make(graph, qconfig, {}, {Resnet::input_shape(1)})));
    CHECK_ERROR(rsquant::Prepared::make(graph, qconfig, {}, {{1, 4, 20, 20}}), RSQ_SHAPE_MISMATCH, "image");
    CHECK_ERROR(rsquant::Prepared::make(graph, qconfig, {}, {{1, 3, 20, 20}, {1}}), RSQ_INVALID_ARGUMENT, "2 input shapes");
}
