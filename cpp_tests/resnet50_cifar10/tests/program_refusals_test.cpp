// Bad input ends the program with an error that names the thing, and with no table.
#include "api/onnx_bytes.hpp"
#include "program.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

namespace {

struct Refusal {
    std::vector<std::string> arguments;
    std::vector<std::string> told;  // parts of the message
};

void check_refused(const test::TemporaryFolder& folder, const Refusal& refusal) {
    std::vector<std::string> arguments = refusal.arguments;
    for (const char* argument : {"--images", "1", "--calibration-images", "1", "--latency-runs", "0"}) {
        arguments.push_back(argument);
    }
    const test::Outcome outcome = test::run_program(folder, arguments);
    CAPTURE(refusal.arguments.back());
    CAPTURE(outcome.err);
    CHECK(outcome.exit_status == 1);
    CHECK(outcome.out.empty());
    for (const std::string& part : refusal.told) {
        CAPTURE(part);
        CHECK(outcome.err.find(part) != std::string::npos);
    }
}

void write_text(const std::string& path, const std::string& text) { test::write_bytes(path, text.data(), text.size()); }

}  // namespace

TEST_CASE("a model that is missing, cut, unsupported or of another shape is named") {
    const test::TemporaryFolder folder;
    const std::string cut = folder / "cut.onnx", strange = folder / "strange.onnx", empty = folder / "empty.onnx";
    const std::vector<std::uint8_t> whole = test::read_bytes(SAMPLE_ASSETS_DIR "/resnet50_cifar10.onnx");
    test::write_bytes(cut, whole.data(), 1'000'000);
    write_text(strange, test::one_node_model("Frobnicate"));
    write_text(empty, "");
    check_refused(folder, {{"--model", folder / "missing.onnx"}, {"IO", "missing.onnx"}});
    check_refused(folder, {{"--model", cut}, {"PARSE", "cut.onnx"}});
    check_refused(folder, {{"--model", empty}, {"empty.onnx"}});
    check_refused(folder, {{"--model", strange}, {"UNSUPPORTED", "the_node", "Frobnicate"}});
    check_refused(folder, {{"--model", SAMPLE_NETWORKS_DIR "/mlp/model.onnx"}, {"one input [n, 3, h, w]", "rank 2"}});
    check_refused(folder, {{"--model", SAMPLE_NETWORKS_DIR "/two_inputs_two_outputs/model.onnx"}, {"2 inputs"}});
}

TEST_CASE("a saved model that is missing, cut or none is named") {
    const test::TemporaryFolder folder;
    const std::string saved = folder / "saved.rsq", cut = folder / "cut.rsq", flipped = folder / "flipped.rsq";
    test::run_well(folder, {"--mode", "dynamic", "--images", "1", "--latency-runs", "0", "--save-dynamic", saved});
    std::vector<std::uint8_t> bytes = test::read_bytes(saved);
    test::write_bytes(cut, bytes.data(), bytes.size() - 1);
    bytes[bytes.size() / 2] ^= 0x10;
    test::write_bytes(flipped, bytes.data(), bytes.size());
    check_refused(folder, {{"--load", folder / "missing.rsq"}, {"IO", "missing.rsq"}});
    check_refused(folder, {{"--load", cut}, {"CORRUPT", "cut.rsq"}});
    check_refused(folder, {{"--load", flipped}, {"CORRUPT", "flipped.rsq"}});
    check_refused(folder, {{"--load", SAMPLE_ASSETS_DIR "/resnet50_cifar10.onnx"}, {"PARSE", "resnet50_cifar10.onnx"}});
    check_refused(folder, {{"--load", saved, "--mode", "static"}, {"saved.rsq", "dynamic"}});
}

TEST_CASE("an input of a wrong size, or with a NaN, is named with the place") {
    const test::TemporaryFolder folder;
    const std::string input = folder / "input.f32", odd = folder / "odd.f32", output = folder / "logits";
    std::vector<float> values(3 * 224 * 224, 0.5f);
    test::write_bytes(odd, values.data(), values.size() * sizeof(float) - 4);
    values[4711] = std::nanf("");
    test::write_bytes(input, values.data(), values.size() * sizeof(float));
    check_refused(folder, {{"--input", folder / "missing.f32", "--output", output}, {"missing.f32"}});
    check_refused(folder, {{"--input", odd, "--output", output}, {"odd.f32", "3, 224, 224"}});
    check_refused(folder, {{"--mode", "dynamic", "--input", input, "--output", output}, {"NOT_FINITE", "4711"}});
}

TEST_CASE("images that are missing or cut, and places that cannot be written, are named") {
    const test::TemporaryFolder folder;
    const std::vector<char> record(3073 + 100);
    test::write_bytes(folder / "test_batch.bin", record.data(), record.size());
    check_refused(folder, {{"--mode", "fp32", "--data", folder / "nowhere"}, {"nowhere/test_batch.bin"}});
    check_refused(folder, {{"--mode", "fp32", "--data", folder / "."}, {"test_batch.bin", "3173"}});
    check_refused(folder, {{"--mode", "dynamic", "--save-dynamic", folder / "no/model.rsq"}, {"IO", "no/model.rsq"}});
    check_refused(folder, {{"--mode", "dynamic", "--dump-logits", folder / "no/logits"}, {"no/logits"}});
    check_refused(folder, {{"--mode", "static", "--data", folder / "nowhere"}, {"nowhere/"}});
}

TEST_CASE("options that cannot be meant are told with the list of options") {
    const test::TemporaryFolder folder;
    for (const std::vector<std::string>& arguments :
         std::vector<std::vector<std::string>>{{"--no-such-option"}, {"--isa", "mmx"}, {"--threads", "0"}, {"--batch", "-1"}, {"--mode", "int4"}}) {
        const test::Outcome outcome = test::run_program(folder, arguments);
        CAPTURE(outcome.err);
        CHECK(outcome.exit_status == 2);
        CHECK(outcome.err.find(arguments.back()) != std::string::npos);
        CHECK(outcome.err.find("usage:") != std::string::npos);
    }
}
