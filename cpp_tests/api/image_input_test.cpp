// Image bytes instead of floats.
#include "networks.hpp"

#include <cstring>
#include <string>
#include <vector>

using test::Resnet;

namespace {

const std::vector<float> kMean = {0.485f, 0.456f, 0.406f}, kStd = {0.229f, 0.224f, 0.225f};

std::vector<std::uint8_t> bytes_of(std::size_t images) {
    std::vector<std::uint8_t> bytes(images * Resnet::kInputFloats);
    std::uint32_t state = 12345;
    for (std::uint8_t& byte : bytes) {
        state = state * 1664525u + 1013904223u;
        byte = static_cast<std::uint8_t>(state >> 24);
    }
    return bytes;
}

// The floats that a host makes of the bytes, as planes.
std::vector<float> floats_of(const std::vector<std::uint8_t>& bytes, float divisor = 255.0f) {
    constexpr std::size_t kPixels = 20 * 20;
    std::vector<float> floats(bytes.size());
    for (std::size_t image = 0; image < bytes.size() / Resnet::kInputFloats; ++image) {
        for (std::size_t pixel = 0; pixel < kPixels; ++pixel) {
            for (std::size_t c = 0; c < 3; ++c) {
                const float unit = static_cast<float>(bytes[(image * kPixels + pixel) * 3 + c]) / divisor;
                const float centred = unit - kMean[c];
                floats[(image * 3 + c) * kPixels + pixel] = centred / kStd[c];
            }
        }
    }
    return floats;
}

rsquant::ImageInput image_input() {
    rsquant::ImageInput image;
    image.name = "image";
    image.mean = kMean;
    image.std = kStd;
    return image;
}

rsquant::Shape byte_shape(std::size_t batch) { return {static_cast<std::int64_t>(batch), 20, 20, 3}; }

std::vector<float> run_bytes(rsquant::Session& session, const std::vector<std::uint8_t>& bytes, std::size_t batch) {
    std::vector<float> logits(batch * Resnet::kClasses);
    session.run({bytes, byte_shape(batch)}, {logits, Resnet::output_shape(batch)});
    return logits;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace

TEST_CASE("image bytes give the bits of the floats that they stand for") {
    const std::vector<std::uint8_t> bytes = bytes_of(3);
    const std::vector<float> floats = floats_of(bytes);
    rsquant::SessionOptions by_floats, by_bytes;
    by_floats.max_batch = by_bytes.max_batch = 3;
    by_bytes.images = {image_input()};
    const rsquant::Graph graph = Resnet::graph();
    rsquant::Session expected = rsquant::Session::make_float(graph, by_floats), got = rsquant::Session::make_float(graph, by_bytes);
    CHECK(same_bits(run_bytes(got, bytes, 3), test::run(expected, floats, 3)));
    for (const bool is_static : {true, false}) {
        CAPTURE(is_static);
        const rsquant::QConfig qconfig = is_static ? rsquant::QConfig::default_static() : rsquant::QConfig::default_dynamic();
        rsquant::Prepared prepared = rsquant::Prepared::make(graph, qconfig, {}, {}, {image_input()});
        prepared.calibrate({bytes, byte_shape(3)});
        rsquant::Prepared reference = rsquant::Prepared::make(graph, qconfig);
        reference.calibrate({floats, Resnet::input_shape(3)});
        CHECK(std::vector<std::uint8_t>(prepared.calibration_bytes()) == std::vector<std::uint8_t>(reference.calibration_bytes()));
        const rsquant::Model model = prepared.convert();
        rsquant::Session int8 = rsquant::Session::make(model, by_bytes), int8_of_floats = rsquant::Session::make(model, by_floats);
        CHECK(same_bits(run_bytes(int8, bytes, 3), test::run(int8_of_floats, floats, 3)));
    }
}

TEST_CASE("a divisor of 1 is for means and deviations of bytes, and an index names an input too") {
    const std::vector<std::uint8_t> bytes = bytes_of(2);
    rsquant::SessionOptions options;
    options.max_batch = 2;
    options.images = {image_input()};
    options.images[0].name.clear();
    options.images[0].divisor = 1.0f;
    rsquant::Session session = rsquant::Session::make_float(Resnet::graph(), options), reference = rsquant::Session::make_float(Resnet::graph());
    CHECK(same_bits(run_bytes(session, bytes, 2), test::run(reference, floats_of(bytes, 1.0f), 2)));
}

TEST_CASE("the C interface takes a divisor of 0 for 255") {
    const rsquant::Graph graph = Resnet::graph();
    const std::vector<std::uint8_t> bytes = bytes_of(1);
    rsq_image_input image{};
    image.mean = kMean.data();
    image.std = kStd.data();
    image.channels = 3;
    rsq_session_options options{};
    options.struct_size = sizeof options;
    options.images = &image;
    options.image_count = 1;
    rsq_session* made = nullptr;
    REQUIRE(rsq_float_session_new(nullptr, graph.get(), &options, &made) == RSQ_OK);
    rsquant::Session session(made), reference = rsquant::Session::make_float(graph);
    CHECK(same_bits(run_bytes(session, bytes, 1), test::run(reference, floats_of(bytes), 1)));

    made = nullptr;
    const auto refused = [&](rsq_status status, const std::string& part) {
        CHECK(rsq_float_session_new(nullptr, graph.get(), &options, &made) == status);
        CAPTURE(test::last_message());
        CHECK(test::last_message().find(part) != std::string::npos);
        CHECK(made == nullptr);
    };
    image.reserved = 1;
    refused(RSQ_INVALID_ARGUMENT, "images[0].reserved");
    image.reserved = 0;
    image.mean = nullptr;
    refused(RSQ_NULL_ARGUMENT, "images[0].mean");
    image.mean = kMean.data();
    image.std = nullptr;
    refused(RSQ_NULL_ARGUMENT, "images[0].std");
    image.std = kStd.data();
    image.name = "\xff";
    refused(RSQ_INVALID_ARGUMENT, "images[0].name");
    options.images = nullptr;
    refused(RSQ_NULL_ARGUMENT, "images");
    // Images are nothing for a call that is given no tensors.
    rsq_prepare_options prepare{};
    prepare.struct_size = sizeof prepare;
    prepare.image_count = 1;
    rsq_recipe* recipe = nullptr;
    CHECK(rsq_recipe_import(nullptr, graph.get(), RSQ_CALIBRATION_FORMAT_NCNN, "", 0, &prepare, &recipe) == RSQ_INVALID_ARGUMENT);
}

TEST_CASE("an image session tells its input as runs get it") {
    rsquant::SessionOptions options;
    options.images = {image_input()};
    options.input_shapes = {byte_shape(1)};
    const rsquant::Session session = rsquant::Session::make_float(Resnet::graph(), options);
    const rsquant::TensorInfo input = session.input(0);
    CHECK(input.dtype == RSQ_DTYPE_U8);
    CHECK(std::vector<std::int64_t>(input.dims + 1, input.dims + 4) == std::vector<std::int64_t>{20, 20, 3});
    CHECK(rsquant::Shape(session.output_shape({byte_shape(5)}))[0] == 5);
    CHECK_ERROR(session.output_shape({Resnet::input_shape(5)}), RSQ_SHAPE_MISMATCH, "image");
}

TEST_CASE("what cannot be an image is refused and named") {
    const rsquant::Graph graph = Resnet::graph();
    const auto session = [&](const rsquant::ImageInput& image) {
        rsquant::SessionOptions options;
        options.images = {image};
        return rsquant::Session::make_float(graph, options);
    };
    rsquant::ImageInput image = image_input();
    image.name = "picture";
    CHECK_ERROR(session(image), RSQ_NOT_FOUND, "picture");
    image.name.clear();
    image.index = 1;
    CHECK_ERROR(session(image), RSQ_NOT_FOUND, "image input 1 of 1");
    image = image_input();
    image.std[2] = 0;
    CHECK_ERROR(session(image), RSQ_INVALID_ARGUMENT, "channel 2");
    image.std.resize(2);
    CHECK_ERROR(session(image), RSQ_SHAPE_MISMATCH, "input 0 (image) has 3 channels");
    image.mean.resize(2);
    CHECK_ERROR(session(image), RSQ_SHAPE_MISMATCH, "normalization has 2");

    rsquant::Session good = session(image_input());
    const std::vector<std::uint8_t> bytes = bytes_of(1);
    std::vector<float> logits(10, 77.0f);
    const std::vector<float> floats = floats_of(bytes);
    CHECK_ERROR(good.run({floats, Resnet::input_shape(1)}, {logits, Resnet::output_shape(1)}), RSQ_DTYPE_MISMATCH, "u8 is needed");
    CHECK_ERROR(good.run({bytes, {1, 3, 20, 20}}, {logits, Resnet::output_shape(1)}), RSQ_SHAPE_MISMATCH, "image");
    CHECK_ERROR(good.run({bytes.data(), 1000, byte_shape(1)}, {logits, Resnet::output_shape(1)}), RSQ_INVALID_ARGUMENT, "inputs[0]");
    CHECK(logits == std::vector<float>(10, 77.0f));
    rsquant::Prepared prepared = rsquant::Prepared::make(graph, rsquant::QConfig::default_static(), {}, {}, {image_input()});
    CHECK_ERROR(prepared.calibrate({floats, Resnet::input_shape(1)}), RSQ_DTYPE_MISMATCH, "u8 is needed");
    rsquant::Prepared of_floats = rsquant::Prepared::make(graph, rsquant::QConfig::default_static());
    CHECK_ERROR(of_floats.calibrate({bytes, byte_shape(1)}), RSQ_DTYPE_MISMATCH, "f32 is needed");
}
