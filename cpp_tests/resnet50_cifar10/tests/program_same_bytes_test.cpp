// Models and logits are the same bytes however they come about.
#include "program.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

namespace {

struct Bytes {
    std::vector<std::uint8_t> model, logits;
    bool operator==(const Bytes& other) const { return model == other.model && logits == other.logits; }
};

// The model that one mode saves and the logits of two images, with more arguments.
Bytes quantize(const std::string& mode, std::vector<std::string> arguments) {
    const test::TemporaryFolder folder;
    const std::vector<std::string> same = {"--mode", mode, "--images", "2", "--latency-runs", "0", "--save-" + mode, folder / "model.rsq",
                                           "--dump-logits", folder / "logits"};
    arguments.insert(arguments.end(), same.begin(), same.end());
    test::run_well(folder, arguments);
    return {test::read_bytes(folder / "model.rsq"), test::read_bytes(folder / "logits")};
}

void check_same(const std::string& mode, const std::vector<std::vector<std::string>>& ways) {
    const Bytes first = quantize(mode, ways.front());
    REQUIRE(first.model.size() > 1'000'000);
    REQUIRE(first.logits.size() == 2 * 10 * sizeof(float));
    for (std::size_t i = 1; i < ways.size(); ++i) {
        std::string way;
        for (const std::string& word : ways[i]) {
            way += word + " ";
        }
        CAPTURE(way);
        CHECK((quantize(mode, ways[i]) == first));
    }
}

}  // namespace

TEST_CASE("a static model and its logits are the same bytes for any threads, batch and instruction set") {
    check_same("static", {{"--calibration-images", "8", "--batch", "8", "--threads", "2"},
                          {"--calibration-images", "8", "--batch", "8", "--threads", "1"},
                          {"--calibration-images", "8", "--batch", "8", "--threads", "3"},
                          {"--calibration-images", "8", "--batch", "1", "--threads", "2"},
                          {"--calibration-images", "8", "--batch", "3", "--threads", "3"},
                          {"--calibration-images", "8", "--batch", "3", "--isa", "avx2"},
                          {"--calibration-images", "8", "--batch", "8", "--isa", "avx_vnni"},
                          {"--calibration-images", "8", "--batch", "8", "--isa", "avx512_vnni"}});
}

TEST_CASE("the portable path makes the same static model and logits") {
    check_same("static", {{"--calibration-images", "2"}, {"--calibration-images", "2", "--isa", "portable"}});
}

TEST_CASE("a dynamic model and its logits are the same bytes for any threads, batch and instruction set") {
    check_same("dynamic", {{"--batch", "2", "--threads", "2"},
                           {"--batch", "2", "--threads", "1"},
                           {"--batch", "1", "--threads", "3"},
                           {"--batch", "2", "--isa", "portable"},
                           {"--batch", "1", "--isa", "avx2"},
                           {"--batch", "2", "--isa", "avx512_vnni"}});
}

TEST_CASE("a saved model gives another process the logits of the one that made it") {
    for (const std::string mode : {"static", "dynamic"}) {
        CAPTURE(mode);
        const test::TemporaryFolder folder;
        const std::string model = folder / "model.rsq";
        test::run_well(folder, {"--mode", mode, "--images", "3", "--batch", "2", "--calibration-images", "2", "--latency-runs", "0",
                                "--save-" + mode, model, "--dump-logits", folder / "made"});
        test::run_well(folder, {"--load", model, "--mode", mode, "--images", "3", "--batch", "2", "--latency-runs", "0", "--dump-logits",
                                folder / "loaded"});
        CHECK(test::read_bytes(folder / "made").size() == 3 * 10 * sizeof(float));
        CHECK(test::read_bytes(folder / "made") == test::read_bytes(folder / "loaded"));
    }
}

TEST_CASE("bytes of pixels give the models and the logits of the floats that they stand for") {
    for (const std::string mode : {"static", "dynamic"}) {
        check_same(mode, {{"--calibration-images", "3", "--batch", "2"}, {"--calibration-images", "3", "--batch", "2", "--u8-input"}});
    }
    const test::TemporaryFolder folder;
    for (const std::string way : {"floats", "bytes"}) {
        std::vector<std::string> arguments = {"--mode", "fp32", "--images", "2", "--latency-runs", "0", "--dump-logits", folder / way};
        if (way == "bytes") {
            arguments.push_back("--u8-input");
        }
        test::run_well(folder, arguments);
    }
    CHECK(test::read_bytes(folder / "floats").size() == 2 * 10 * sizeof(float));
    CHECK(test::read_bytes(folder / "floats") == test::read_bytes(folder / "bytes"));
}
