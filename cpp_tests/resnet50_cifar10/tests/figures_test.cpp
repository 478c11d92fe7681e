#include "json.hpp"
#include "line_round_trip.hpp"
#include "metrics.hpp"
#include "png.hpp"
#include "results.hpp"
#include "support/json_reader.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>

using namespace harness;

namespace {

ModeResult result(Mode mode, std::vector<float> logits, double img_per_s, double latency_ms) {
    ModeResult r;
    r.mode = mode;
    r.images = 2;
    r.logits = std::move(logits);
    r.img_per_s = img_per_s;
    r.latency_ms = latency_ms;
    r.model_bytes = 25'000'000;
    r.int8_layers = mode == Mode::fp32 ? 0 : 3;
    r.float_layers = mode == Mode::fp32 ? 3 : 0;
    return r;
}

RunResult two_modes() {
    RunResult run;
    run.cpu = "a \"quoted\" CPU";
    run.isa = "avx2";
    run.threads = 2;
    run.batch = 16;
    run.classes = 3;
    run.modes = {result(Mode::fp32, {3, 1, 0, 0, 4, 0}, 10, 50), result(Mode::static_int8, {3, 1, 0, 5, 4, 0}, 40, 20)};
    run.modes[1].float_reasons = {"head: not supported"};
    compare_with_fp32(run);
    return run;
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("predictions, accuracy, agreement") {
    const std::vector<float> logits = {1, 5, 5, 9, 0, 0};
    CHECK(predicted_class(logits.data(), 3) == 1);
    CHECK(top1(logits, 3, {1, 1}) == 0.5);
    CHECK(top1(logits, 3, {1, 0}) == 1.0);
    CHECK(agreement(logits, {0, 1, 0, 0, 0, 1}, 3) == 0.5);
}

TEST_CASE("signal to noise is 20 log10 of the norms' ratio") {
    CHECK(sqnr_db({3.03f, 4.04f}, {3, 4}) == doctest::Approx(40.0).epsilon(1e-5));
    CHECK(sqnr_db({1}, {1}) == std::numeric_limits<double>::infinity());
}

TEST_CASE("probabilities sum to one, and large logits do not overflow") {
    const float logits[] = {1000, 1000, 999};
    const auto p = probabilities(logits, 3);
    CHECK(p[0] == doctest::Approx(p[1]));
    CHECK(p[2] == doctest::Approx(p[0] / std::exp(1.0)));
    CHECK(p[0] + p[1] + p[2] == doctest::Approx(1));
}

TEST_CASE("a cache line takes some time between two threads") {
    const double ns = line_round_trip_ns();
    CHECK(ns > 0);
    CHECK(std::isfinite(ns));
}

TEST_CASE("median of odd, even and no values") {
    CHECK(median({3, 1, 2}) == 2);
    CHECK(median({4, 1, 2, 3}) == 2.5);
    CHECK(median({}) == 0);
}

TEST_CASE("int8 is compared with fp32 if both ran") {
    RunResult run = two_modes();
    CHECK(run.modes[0].agreement == 1.0);
    CHECK_FALSE(run.modes[0].sqnr_db);
    CHECK(run.modes[1].agreement == 0.5);
    CHECK(*run.modes[1].sqnr_db == doctest::Approx(10 * std::log10(26.0 / 25.0)));
    CHECK(*speed_up(run, run.modes[1]) == doctest::Approx(4));
    CHECK(*latency_speed_up(run, run.modes[1]) == doctest::Approx(2.5));
    run.modes.erase(run.modes.begin());
    CHECK_FALSE(speed_up(run, run.modes[0]));
}

TEST_CASE("the end table shows each mode's figures, how much faster it is, and what stays float") {
    const std::string table = end_table(two_modes());
    for (const char* part : {"top-1", "agreement", "50.00 %", "40.0", "4.00 x", "20.00 ms", "25.00 MB", "3/0",
                             "static int8, one image: 2.50 x faster than fp32", "static keeps in float head: not supported"}) {
        CAPTURE(part);
        CHECK(contains(table, part));
    }
    CHECK_FALSE(contains(table, "fp32 int8"));
}

TEST_CASE("the JSON has the promised keys, and null for what was not measured") {
    const test::Json json = test::JsonReader::read(to_json(two_modes()));
    for (const char* mode : {"fp32", "static"}) {
        for (const char* key : {"top1", "agreement", "img_per_s", "latency_ms", "images", "model_bytes", "int8_layers", "float_layers"}) {
            CAPTURE(key);
            CHECK(json[mode].has(key));
        }
    }
    CHECK(json["static"]["top1"].is_null());
    CHECK(json["static"]["agreement"].number == 0.5);
    CHECK(json["static"]["model_bytes"].number == 25e6);
    CHECK(json["cpu"].text == "a \"quoted\" CPU");
    CHECK(json["isa"].text == "avx2");
    CHECK(json["threads"].number == 2);
    CHECK(json["batch"].number == 16);
    CHECK_FALSE(json.has("dynamic"));
}

TEST_CASE("JSON is written with its escapes, and infinities as null") {
    JsonWriter json(false);
    json.begin_object().member("a\n\"b\"", 1).key("list").begin_array().value(0.5).value("x").value(std::nan("")).end_array();
    json.key("empty").begin_array().end_array().end_object();
    CHECK(json.text() == R"({"a\u000a\"b\"": 1, "list": [0.5, "x", null], "empty": []})");
}

TEST_CASE("CRC-32, base64 and PNG") {
    CHECK(crc32("123456789", 9) == 0xCBF43926u);
    CHECK(crc32("56789", 5, crc32("1234", 4)) == 0xCBF43926u);
    CHECK(base64({}) == "");
    CHECK(base64({'f'}) == "Zg==");
    CHECK(base64({'f', 'o'}) == "Zm8=");
    CHECK(base64({'f', 'o', 'o', 'b', 0xFF, 0xFE}) == "Zm9vYv/+");
    const std::uint8_t red[] = {255, 0, 0};
    // As zlib and the PNG specification give it: one pixel, stored.
    CHECK(base64(png_bytes(red, 1, 1)) ==
          "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAAD0lEQVR4AQEEAPv/AP8AAAMBAQCNHeWCAAAAAElFTkSuQmCC");
}
