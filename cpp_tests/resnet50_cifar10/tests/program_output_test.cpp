// What the program tells: the JSON of a run and of a measurement, the saved models, files of raw floats.
#include "program.hpp"
#include "support/json_reader.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <set>
#include <string>
#include <vector>

using test::Json;

TEST_CASE("the JSON of a run has the figures of each mode, and all layers are int8") {
    const test::TemporaryFolder folder;
    const test::Outcome outcome = test::run_well(
        folder, {"--images", "4", "--batch", "4", "--calibration-images", "4", "--latency-runs", "1", "--json", folder / "run.json",
                 "--save-static", folder / "static.rsq", "--save-dynamic", folder / "dynamic.rsq"});
    const Json run = test::JsonReader::read(test::read_text(folder / "run.json"));
    for (const std::string mode : {"fp32", "static", "dynamic"}) {
        CAPTURE(mode);
        for (const std::string key : {"top1", "agreement", "img_per_s", "latency_ms", "images", "model_bytes", "int8_layers", "float_layers"}) {
            CAPTURE(key);
            CHECK((run[mode][key].kind == Json::Kind::number));
        }
        CHECK(run[mode]["top1"].number <= 1);
        CHECK(run[mode]["agreement"].number <= 1);
        CHECK(run[mode]["img_per_s"].number > 0);
        CHECK(run[mode]["latency_ms"].number > 0);
        CHECK(run[mode]["images"].number == 4);
        CHECK(outcome.out.find(mode) != std::string::npos);
    }
    CHECK(run["fp32"]["agreement"].number == 1);
    CHECK(run["fp32"]["int8_layers"].number == 0);
    CHECK(run["fp32"]["float_layers"].number == 54);
    for (const std::string mode : {"static", "dynamic"}) {
        CAPTURE(mode);
        CHECK(run[mode]["int8_layers"].number == 54);
        CHECK(run[mode]["float_layers"].number == 0);
        const auto bytes = std::filesystem::file_size(folder / (mode + ".rsq"));
        CHECK(run[mode]["model_bytes"].number == static_cast<double>(bytes));
        CHECK(bytes <= 26'000'000);
    }
    CHECK((run["cpu"].kind == Json::Kind::text));
    CHECK((run["isa"].kind == Json::Kind::text));
    CHECK(run["threads"].number >= 1);
    CHECK(run["batch"].number == 4);
}

TEST_CASE("a measurement tells one line of JSON and nothing else") {
    const test::TemporaryFolder folder;
    const test::Outcome outcome = test::run_well(folder, {"--bench", "--mode", "dynamic", "--batch", "1", "--threads", "1", "--isa", "avx2"});
    const Json line = test::JsonReader::read(outcome.out);
    std::set<std::string> keys;
    for (const auto& [key, value] : line.members) {
        keys.insert(key);
    }
    CHECK(keys == std::set<std::string>{"mode", "batch", "threads", "isa", "img_per_s", "ms_per_batch"});
    CHECK(line["mode"].text == "dynamic");
    CHECK(line["batch"].number == 1);
    CHECK(line["threads"].number == 1);
    CHECK(line["img_per_s"].number * line["ms_per_batch"].number == doctest::Approx(1000));
}

TEST_CASE("raw inputs give the logits of the same images") {
    const test::TemporaryFolder folder;
    std::vector<float> inputs(2 * 3 * 224 * 224);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        inputs[i] = static_cast<float>((i * 7919) % 2001) / 1000.0f - 1.0f;
    }
    test::write_bytes(folder / "both", inputs.data(), inputs.size() * sizeof(float));
    test::write_bytes(folder / "second", inputs.data() + inputs.size() / 2, inputs.size() / 2 * sizeof(float));
    for (const std::string name : {"both", "second"}) {
        test::run_well(folder, {"--mode", "dynamic", "--input", folder / name, "--output", folder / (name + ".logits")});
    }
    const std::vector<float> both = test::read_floats(folder / "both.logits"), second = test::read_floats(folder / "second.logits");
    REQUIRE(both.size() == 20);
    CHECK(second == std::vector<float>(both.begin() + 10, both.end()));
}
