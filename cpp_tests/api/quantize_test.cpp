// Quantizing and dequantizing plain arrays.
#include "exact_vectors.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

using test::Bytes;
using test::floats;
using test::from_bits;
using test::golden;
using test::Numbers;
using test::numbers;

TEST_CASE("the exact vectors of quantize come out, and their floats go back") {
    std::size_t tested = 0;
    for (const test::Json& c : golden()["quantize"].items) {
        const int qmin = static_cast<int>(c["qmin"].number), qmax = static_cast<int>(c["qmax"].number);
        const std::int32_t zero = static_cast<std::int32_t>(c["zero_point"].number);
        const bool is_signed = qmin < 0;
        if (!((qmin == 0 && (qmax == 255 || qmax == 127)) || (qmin == -128 && qmax == 127) || (qmin == -64 && qmax == 63)) || zero < qmin || zero > qmax) {
            continue;  // a range that no type has
        }
        ++tested;
        const float scale = from_bits(c["scale"].number);
        rsquant::Quantization quantization;
        quantization.dtype = is_signed ? RSQ_DTYPE_S8 : RSQ_DTYPE_U8;
        quantization.reduce_range = qmax == 63 || (qmin == 0 && qmax == 127);
        quantization.scales = rsquant::Span<const float>(&scale, 1);
        quantization.zero_points = rsquant::Span<const std::int32_t>(&zero, 1);
        const std::vector<float> x = floats(c["x"]);
        const std::vector<int> expected = numbers<int>(c["q"]);
        Bytes q(x.size());
        rsquant::quantize(quantization, x, q);
        std::vector<float> back(x.size());
        rsquant::dequantize(quantization, q, back);
        for (std::size_t i = 0; i < q.size(); ++i) {
            const int integer = is_signed ? static_cast<std::int8_t>(q[i]) : q[i];
            REQUIRE(integer == expected[i]);
            REQUIRE(back[i] == static_cast<float>(integer - zero) * scale);
        }
    }
    CHECK(tested > 5);
}

TEST_CASE("channels have scales of their own, whichever axis they are on, on any number of threads") {
    Numbers numbers(5);
    const std::vector<float> scales = {0.01f, 0.5f, 0.003f}, x = numbers.reals(3 * 40000);
    const std::vector<std::int32_t> zeros = {0, -5, 100};
    for (const std::size_t inner : {std::size_t{1}, std::size_t{40000}, std::size_t{100}}) {
        rsquant::Quantization quantization;
        quantization.dtype = RSQ_DTYPE_S8;
        quantization.scales = rsquant::Span<const float>(scales);
        quantization.zero_points = rsquant::Span<const std::int32_t>(zeros);
        quantization.inner = inner;
        Bytes q(x.size());
        rsquant::quantize(quantization, x, q);
        std::vector<float> back(x.size());
        rsquant::dequantize(quantization, q, back);
        for (std::size_t i = 0; i < x.size(); ++i) {
            const std::size_t channel = i / inner % 3;
            const float rounded = std::nearbyint(x[i] * (1.0f / scales[channel])) + static_cast<float>(zeros[channel]);
            const float expected = std::min(std::max(rounded, -128.0f), 127.0f);
            REQUIRE(static_cast<float>(static_cast<std::int8_t>(q[i])) == expected);
            REQUIRE(back[i] == (expected - static_cast<float>(zeros[channel])) * scales[channel]);
        }
    }
}

TEST_CASE("quantize refuses what has no meaning") {
    const std::vector<float> x(6, 1.0f), scales = {0.1f, 0.1f}, bad = {0.1f, 0.0f};
    const std::vector<std::int32_t> zeros = {0, 300};
    Bytes q(6, 77);
    rsquant::Quantization quantization;
    quantization.scales = rsquant::Span<const float>(bad);
    CHECK_ERROR(rsquant::quantize(quantization, x, q), RSQ_INVALID_ARGUMENT, "channel 1");
    quantization.scales = rsquant::Span<const float>(scales);
    quantization.zero_points = rsquant::Span<const std::int32_t>(zeros);
    CHECK_ERROR(rsquant::quantize(quantization, x, q), RSQ_INVALID_ARGUMENT, "300");
    quantization.zero_points = {};
    quantization.inner = 4;
    CHECK_ERROR(rsquant::quantize(quantization, x, q), RSQ_SHAPE_MISMATCH, "multiple");
    quantization.inner = 1;
    CHECK_ERROR(rsquant::quantize(quantization, x, rsquant::Span<std::uint8_t>(q.data(), 5)), RSQ_SHAPE_MISMATCH, "5 bytes");
    quantization.dtype = RSQ_DTYPE_I32;
    CHECK_ERROR(rsquant::quantize(quantization, x, q), RSQ_INVALID_ARGUMENT, "dtype");
    CHECK(q == Bytes(6, 77));
}
