#include "networks.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

using test::Resnet;

namespace {

std::vector<float> outputs(const rsquant::Model& model) {
    rsquant::SessionOptions options;
    options.max_batch = Resnet::kBatch;
    rsquant::Session session = rsquant::Session::make(model, options);
    return test::run(session, Resnet::input(), Resnet::kBatch);
}

}  // namespace

TEST_CASE("a saved model runs with the same bits, however it is loaded") {
    const test::TemporaryFolder folder;
    const rsquant::Model model = Resnet::model();
    const std::vector<float> expected = outputs(model);
    model.save(folder / "model.rsq");
    const std::vector<std::uint8_t> bytes = model.to_bytes();
    CHECK(test::read_bytes(folder / "model.rsq") == bytes);
    CHECK(outputs(rsquant::Model::load(folder / "model.rsq")) == expected);
    CHECK(outputs(rsquant::Model::load_copied(folder / "model.rsq")) == expected);
    for (const std::size_t offset : {0, 1, 7}) {  // any address will do
        std::vector<std::uint8_t> shifted(offset);
        shifted.insert(shifted.end(), bytes.begin(), bytes.end());
        const rsquant::Model loaded = rsquant::Model::from_bytes(shifted.data() + offset, bytes.size());
        std::fill(shifted.begin(), shifted.end(), std::uint8_t{0});
        CHECK(outputs(loaded) == expected);
        CHECK(std::vector<std::uint8_t>(loaded.to_bytes()) == bytes);
    }
}

TEST_CASE("a model tells its inputs, outputs and layers") {
    const rsquant::Model model = Resnet::model();
    REQUIRE(model.input_count() == 1);
    REQUIRE(model.output_count() == 1);
    const rsquant::TensorInfo input = model.input(0);
    CHECK(std::string(input.name) == "image");
    CHECK(input.rank == 4);
    CHECK(input.dims[2] == 20);
    const rsquant::TensorInfo output = model.output(0);
    CHECK(output.dtype == RSQ_DTYPE_F32);
    CHECK_ERROR(model.input(1), RSQ_NOT_FOUND, "input 1 of 1");
    CHECK_ERROR(model.output(1), RSQ_NOT_FOUND, "output 1 of 1");
    CHECK_ERROR(model.layer(model.layer_count()), RSQ_NOT_FOUND, "layer");
    std::size_t convolutions = 0;
    for (std::size_t i = 0; i < model.layer_count(); ++i) {
        const rsquant::LayerInfo layer = model.layer(i);
        CAPTURE(layer.name);
        if (std::string(layer.op_type) != "Conv") {
            continue;
        }
        ++convolutions;
        CHECK(layer.precision == RSQ_PRECISION_INT8_STATIC);
        CHECK(layer.reason_length == 0);
        CHECK(layer.has_input_qparams == 1);
        CHECK(layer.input_scale > 0);
        CHECK(layer.input_zero_point >= 0);
        CHECK(layer.input_zero_point <= 255);
    }
    CHECK(convolutions > 5);
}

TEST_CASE("a model file that is missing, cut or damaged is refused") {
    const test::TemporaryFolder folder;
    CHECK_ERROR(rsquant::Model::load(folder / "missing.rsq"), RSQ_IO, "missing.rsq");
    CHECK_ERROR(rsquant::Model::load_copied(folder / "missing.rsq"), RSQ_IO, "missing.rsq");
    const rsquant::Model model = Resnet::model();
    CHECK_ERROR(model.save(folder / "no/folder.rsq"), RSQ_IO, "no/folder.rsq");
    std::vector<std::uint8_t> bytes = model.to_bytes();
    for (std::size_t size = 0; size < bytes.size(); size += size < 64 ? 1 : 499) {
        CAPTURE(size);
        CHECK_THROWS_AS(rsquant::Model::from_bytes(bytes.data(), size), rsquant::Error);
    }
    for (std::size_t at = 0; at < bytes.size(); at += 251) {
        CAPTURE(at);
        bytes[at] ^= 0x10;
        try {  // an error, or a byte that means nothing
            const rsquant::Model loaded = rsquant::Model::from_bytes(bytes.data(), bytes.size());
            CHECK(outputs(loaded) == outputs(model));
        } catch (const rsquant::Error& error) {
            CHECK(std::string(error.what()) != "");
        }
        bytes[at] ^= 0x10;
    }
    test::write_bytes(folder / "cut.rsq", bytes.data(), bytes.size() - 1);
    CHECK_THROWS_AS(rsquant::Model::load(folder / "cut.rsq"), rsquant::Error);
    const auto onnx = test::read_bytes(Resnet::path());
    CHECK_THROWS_AS(rsquant::Model::from_bytes(onnx.data(), onnx.size()), rsquant::Error);
}

TEST_CASE("a buffer that is too small is refused and stays as it was") {
    const rsquant::Model model = Resnet::model();
    std::size_t size = 0;
    REQUIRE(rsq_model_to_buffer(model.get(), nullptr, 0, &size) == RSQ_OK);
    std::vector<std::uint8_t> buffer(size, 0xA5);
    std::size_t untouched = 42;
    CHECK(rsq_model_to_buffer(model.get(), buffer.data(), size - 1, &untouched) == RSQ_INVALID_ARGUMENT);
    CHECK(untouched == 42);
    CHECK(buffer == std::vector<std::uint8_t>(size, 0xA5));
}

TEST_CASE("objects outlive those they were made of") {
    const std::vector<float> expected = outputs(Resnet::model());
    rsquant::Session session;
    {
        const rsquant::Context context = rsquant::Context::make({1, RSQ_ISA_NONE, nullptr});
        const rsquant::Model model = Resnet::model(context);
        session = rsquant::Session::make(model);
    }
    CHECK(test::run(session, Resnet::input(), Resnet::kBatch) == expected);
}

TEST_CASE("handles move, and give themselves away") {
    rsquant::Model model = Resnet::model();
    rsq_model* raw = model.get();
    rsquant::Model moved = std::move(model);
    CHECK_FALSE(model);
    CHECK(moved.get() == raw);
    CHECK(moved.release() == raw);
    CHECK_FALSE(moved);
    rsq_model_free(raw);
    CHECK(rsq_model_layer_count(raw) == 0);
    moved = Resnet::model();
    moved = Resnet::model();  // frees the one before
    CHECK(moved.layer_count() > 0);
}

TEST_CASE("a model runs in place in bytes on a 64-byte boundary, and no others") {
    const std::vector<std::uint8_t> bytes = Resnet::model().to_bytes();
    std::vector<std::uint8_t> room(bytes.size() + 128);
    const std::size_t start = (64 - reinterpret_cast<std::uintptr_t>(room.data()) % 64) % 64;
    std::copy(bytes.begin(), bytes.end(), room.begin() + static_cast<std::ptrdiff_t>(start));
    rsquant::Model copied = rsquant::Model::from_bytes(bytes.data(), bytes.size());
    rsquant::Session expected = rsquant::Session::make(copied);
    {
        const rsquant::Model in_place = rsquant::Model::from_static(room.data() + start, bytes.size());
        rsquant::Session session = rsquant::Session::make(in_place);
        CHECK(test::run(session, Resnet::input(), 2) == test::run(expected, Resnet::input(), 2));
        CHECK(in_place.to_bytes() == bytes);
    }
    std::copy(bytes.begin(), bytes.end(), room.begin() + static_cast<std::ptrdiff_t>(start) + 4);
    CHECK_ERROR(rsquant::Model::from_static(room.data() + start + 4, bytes.size()), RSQ_INVALID_ARGUMENT, "64-byte");
}

TEST_CASE("inputs and outputs are found by name") {
    const rsquant::Graph graph = rsquant::Graph::from_onnx_file(test::kNetworks + "/two_inputs_two_outputs/model.onnx");
    const rsquant::Model model = rsquant::Prepared(rsquant::Prepared::make(graph, rsquant::QConfig::default_dynamic())).convert();
    const rsquant::Session session = rsquant::Session::make(model);
    const auto check = [](const auto& object) {
        CHECK(object.input_index("image") == 0);
        CHECK(object.input_index("vector") == 1);
        CHECK(object.output_index("gemm7") == 0);
        CHECK(object.output_index("relu1") == 1);
        CHECK_ERROR(object.input_index("gemm7"), RSQ_NOT_FOUND, "image, vector");
        CHECK_ERROR(object.output_index(""), RSQ_NOT_FOUND, "gemm7, relu1");
    };
    check(graph);
    check(model);
    check(session);
}
