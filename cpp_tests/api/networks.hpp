// Small networks for the tests, what goes into them, and what must come out.
#pragma once

#include "support/files.hpp"

#include <rsquant.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace test {

inline const std::string kNetworks = TEST_NETWORKS_DIR;

// resnet_like: image [n, 3, 20, 20] to [n, 10], with a batch of two whose output another implementation computed.
struct Resnet {
    static constexpr std::size_t kBatch = 2, kInputFloats = 3 * 20 * 20, kClasses = 10;

    static std::string path() { return kNetworks + "/resnet_like/model.onnx"; }
    static std::vector<float> input() { return read_floats(kNetworks + "/resnet_like/input0.f32"); }
    static std::vector<float> expected() { return read_floats(kNetworks + "/resnet_like/output0.f32"); }
    static rsquant::Shape input_shape(std::size_t batch = kBatch) { return {static_cast<std::int64_t>(batch), 3, 20, 20}; }
    static rsquant::Shape output_shape(std::size_t batch = kBatch) { return {static_cast<std::int64_t>(batch), 10}; }

    static rsquant::Graph graph(const rsquant::Context& context = {}) { return rsquant::Graph::from_onnx_file(path(), context); }
    static rsquant::Prepared calibrated(const rsquant::Context& context = {}) {
        rsquant::Prepared prepared = rsquant::Prepared::make(graph(context), rsquant::QConfig::default_static(), context);
        prepared.calibrate({input(), input_shape()});
        return prepared;
    }
    static rsquant::Model model(const rsquant::Context& context = {}) { return calibrated(context).convert(); }
    // Standard normal images, the same for the same seed.
    static std::vector<float> images(std::size_t count, unsigned seed) {
        std::mt19937 bits(seed);
        std::vector<float> floats(count * kInputFloats);
        for (float& value : floats) {
            float sum = -6.0f;  // of twelve uniform numbers less six: unlike std::normal_distribution the same everywhere
            for (int i = 0; i < 12; ++i) {
                sum += static_cast<float>(bits() >> 8) / 16777216.0f;
            }
            value = sum;
        }
        return floats;
    }
};

inline std::vector<float> run(rsquant::Session& session, const std::vector<float>& input, std::size_t batch) {
    std::vector<float> output(batch * Resnet::kClasses);
    session.run({input, Resnet::input_shape(batch)}, {output, Resnet::output_shape(batch)});
    return output;
}

// The largest difference over the largest expected magnitude.
inline double relative_error(const std::vector<float>& got, const std::vector<float>& expected) {
    REQUIRE(got.size() == expected.size());
    double difference = 0, magnitude = 0;
    for (std::size_t i = 0; i < got.size(); ++i) {
        difference = std::max(difference, std::fabs(static_cast<double>(got[i]) - expected[i]));
        magnitude = std::max(magnitude, std::fabs(static_cast<double>(expected[i])));
    }
    return difference / magnitude;
}

// The Error that `call` throws.
template <typename Call>
rsquant::Error error_of(Call call) {
    try {
        call();
    } catch (const rsquant::Error& error) {
        return error;
    }
    FAIL("no error");
    return rsquant::Error(RSQ_OK, "");
}

inline std::string last_message() {
    std::string message(rsq_last_error(nullptr, 0), '\0');
    rsq_last_error(message.data(), message.size() + 1);
    return message;
}

}  // namespace test

// `call` throws an Error with that status whose message holds `part`.
#define CHECK_ERROR(call, expected_status, part)                                                \
    do {                                                                                        \
        const rsquant::Error error_ = test::error_of([&] { (void)(call); });                    \
        CAPTURE(error_.what());                                                                 \
        CHECK(std::string(error_.status_name()) == std::string(rsq_status_name(expected_status))); \
        CHECK(std::string(error_.what()).find(part) != std::string::npos);                      \
    } while (false)
