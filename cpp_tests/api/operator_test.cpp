// The operator door: the bits of the exact vectors and of a model, on a caller's memory.
#include "exact_vectors.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <thread>

using test::Bytes;
using test::floats;
using test::from_bits;
using test::golden;
using test::Numbers;
using test::numbers;

namespace {

// A convolution written from the document, loop by loop.
struct Conv {
    std::size_t batch, height, width, in, out, groups, kernel_h, kernel_w, stride, dilation, pad;
    bool residual, relu, to_float;
    std::size_t out_height() const { return (height + 2 * pad - (kernel_h - 1) * dilation - 1) / stride + 1; }
    std::size_t out_width() const { return (width + 2 * pad - (kernel_w - 1) * dilation - 1) / stride + 1; }
    std::size_t outputs() const { return batch * out_height() * out_width() * out; }
    std::size_t inputs() const { return batch * height * width * in; }
    std::size_t weights() const { return out * (in / groups) * kernel_h * kernel_w; }
};

constexpr std::int32_t kInputZero = 7, kOutputZero = 100, kResidualZero = 9;
constexpr float kInputScale = 0.02f, kOutputScale = 0.6f, kResidualScale = 0.31f;

float accumulate(const Conv& c, const Bytes& src, const std::vector<std::int8_t>& weights, std::size_t n, std::size_t y, std::size_t x,
                 std::size_t oc) {
    std::int32_t acc = 0;
    const std::size_t ic = c.in / c.groups, group = oc / (c.out / c.groups);
    for (std::size_t kh = 0; kh < c.kernel_h; ++kh) {
        for (std::size_t kw = 0; kw < c.kernel_w; ++kw) {
            const std::int64_t row = static_cast<std::int64_t>(y * c.stride + kh * c.dilation) - static_cast<std::int64_t>(c.pad);
            const std::int64_t col = static_cast<std::int64_t>(x * c.stride + kw * c.dilation) - static_cast<std::int64_t>(c.pad);
            if (row < 0 || col < 0 || row >= static_cast<std::int64_t>(c.height) || col >= static_cast<std::int64_t>(c.width)) {
                continue;
            }
            for (std::size_t i = 0; i < ic; ++i) {
                const std::size_t at = ((n * c.height + static_cast<std::size_t>(row)) * c.width + static_cast<std::size_t>(col)) * c.in;
                acc += (src[at + group * ic + i] - kInputZero) * weights[((oc * ic + i) * c.kernel_h + kh) * c.kernel_w + kw];
            }
        }
    }
    return static_cast<float>(acc);
}

// All outputs as floats: bytes where the output is u8.
std::vector<float> reference(const Conv& c, const Bytes& src, const std::vector<std::int8_t>& weights, const std::vector<float>& scales,
                             const std::vector<float>& bias, const Bytes& residual, const std::vector<float>& float_residual) {
    std::vector<float> out;
    for (std::size_t n = 0; n < c.batch; ++n) {
        for (std::size_t pixel = 0; pixel < c.out_height() * c.out_width(); ++pixel) {
            for (std::size_t oc = 0; oc < c.out; ++oc) {
                const float acc = accumulate(c, src, weights, n, pixel / c.out_width(), pixel % c.out_width(), oc);
                const double product = static_cast<double>(kInputScale) * scales[oc];
                if (c.to_float) {
                    float f = std::fma(acc, static_cast<float>(product), bias[oc]);
                    f = c.residual ? f + float_residual[out.size()] : f;
                    out.push_back(c.relu ? std::max(f, 0.0f) : f);
                    continue;
                }
                float f = std::fma(acc, static_cast<float>(product / kOutputScale),
                                   static_cast<float>(static_cast<double>(bias[oc]) / kOutputScale));
                if (c.residual) {
                    const float ratio = static_cast<float>(static_cast<double>(kResidualScale) / kOutputScale);
                    f = std::fma(static_cast<float>(residual[out.size()] - kResidualZero), ratio, f);
                }
                const float low = c.relu ? 0.0f : static_cast<float>(-kOutputZero);
                out.push_back(std::nearbyint(std::min(std::max(f, low), static_cast<float>(255 - kOutputZero))) + kOutputZero);
            }
        }
    }
    return out;
}

rsquant::OperatorOptions options_of(const Conv& c) {
    rsquant::OperatorOptions options;
    options.input_zero_point = kInputZero;
    options.input_scale = kInputScale;
    options.output_dtype = c.to_float ? RSQ_DTYPE_F32 : RSQ_DTYPE_U8;
    options.output_zero_point = kOutputZero;
    options.output_scale = kOutputScale;
    options.flags = c.residual ? RSQ_OPERATOR_RESIDUAL : 0;
    options.residual_zero_point = kResidualZero;
    options.residual_scale = kResidualScale;
    options.high = c.relu ? std::numeric_limits<float>::infinity() : 0.0f;
    return options;
}

rsquant::Conv2dSizes sizes_of(const Conv& c) {
    rsquant::Conv2dSizes sizes(c.height, c.width);
    sizes.stride_height = sizes.stride_width = c.stride;
    sizes.dilation_height = sizes.dilation_width = c.dilation;
    sizes.pad_top = sizes.pad_left = sizes.pad_bottom = sizes.pad_right = c.pad;
    return sizes;
}

struct Case {
    Conv conv;
    Bytes src, residual;
    std::vector<std::int8_t> weights;
    std::vector<float> scales, bias, float_residual, expected;

    explicit Case(const Conv& c, std::uint32_t seed = 1) : conv(c) {
        Numbers numbers(seed);
        src = numbers.bytes(c.inputs());
        residual = numbers.bytes(c.outputs());
        weights = numbers.weights(c.weights());
        bias = numbers.reals(c.out);
        float_residual = numbers.reals(c.outputs());
        for (std::size_t i = 0; i < c.out; ++i) {
            scales.push_back(0.001f + 0.002f * std::fabs(numbers.real()));
        }
        expected = reference(c, src, weights, scales, bias, residual, float_residual);
    }
    rsquant::Packed packed() const {
        rsquant::Weights w;
        w.data = rsquant::Span<const std::int8_t>(weights);
        w.out_channels = conv.out;
        w.in_channels = conv.in;
        w.groups = conv.groups;
        w.kernel = {conv.kernel_h, conv.kernel_w};
        w.scales = rsquant::Span<const float>(scales);
        w.bias = rsquant::Span<const float>(bias);
        return rsquant::Packed::make(w);
    }
    std::vector<float> run(const rsquant::Context& context) const {
        const rsquant::Operator op = rsquant::Operator::conv2d(packed(), options_of(conv), sizes_of(conv), context);
        const rsquant::OperatorInfo info = op.info();
        CHECK(info.output_height == conv.out_height());
        CHECK(info.output_width == conv.out_width());
        CHECK(info.src_bytes * conv.batch == src.size());
        if (conv.to_float) {
            std::vector<float> dst(expected.size());
            conv.residual ? op.run_conv2d(conv.batch, {src, dst, float_residual}) : op.run_conv2d(conv.batch, {src, dst});
            return dst;
        }
        Bytes dst(expected.size());
        conv.residual ? op.run_conv2d(conv.batch, {src, dst, residual}) : op.run_conv2d(conv.batch, {src, dst});
        return std::vector<float>(dst.begin(), dst.end());
    }
};

//                       n  h   w  in out gr kh kw st di pad
const Conv kConvs[] = {{2, 9, 11, 3, 20, 1, 3, 3, 2, 1, 1, false, true, false},     // a stem: 3 channels
                       {1, 6, 7, 16, 40, 1, 1, 1, 1, 1, 0, true, true, false},      // pointwise with a residual
                       {3, 8, 8, 8, 12, 1, 3, 3, 1, 2, 2, true, false, false},      // dilated
                       {2, 7, 5, 12, 18, 3, 3, 1, 1, 1, 1, false, false, false},    // groups of 4 to 6
                       {2, 7, 7, 10, 6, 2, 2, 2, 1, 1, 0, false, true, false},      // groups of 5 to 3
                       {2, 9, 9, 21, 21, 21, 3, 3, 1, 1, 1, true, true, false},     // depthwise, no multiple of 16
                       {1, 9, 9, 32, 32, 32, 5, 5, 2, 1, 2, false, false, false},   // depthwise
                       {1, 5, 5, 4, 8, 4, 3, 3, 1, 1, 1, false, false, false},      // depthwise with a multiplier
                       {2, 6, 6, 16, 10, 1, 3, 3, 1, 1, 1, true, true, true},       // float output with a float residual
                       {2, 6, 6, 18, 18, 18, 3, 3, 1, 1, 1, false, true, true},     // depthwise, float output
                       {1, 20, 20, 64, 96, 1, 3, 3, 1, 1, 1, true, false, false}};  // enough work for several threads

}  // namespace

TEST_CASE("the exact vectors of requantization come out of a GEMM") {
    REQUIRE(golden()["gemm"].items.size() > 5);
    for (const test::Json& c : golden()["gemm"].items) {
        const auto weights = numbers<std::int8_t>(c["w"]);
        const std::vector<float> scales = floats(c["s_w"]), bias = floats(c["bias"]);
        rsquant::Weights w;
        w.data = rsquant::Span<const std::int8_t>(weights);
        w.out_channels = static_cast<std::size_t>(c["n"].number);
        w.in_channels = static_cast<std::size_t>(c["k"].number);
        w.scales = rsquant::Span<const float>(scales);
        w.bias = rsquant::Span<const float>(bias);
        rsquant::OperatorOptions options;
        options.input_zero_point = static_cast<std::int32_t>(c["z_a"].number);
        options.input_scale = from_bits(c["s_a"].number);
        options.output_zero_point = static_cast<std::int32_t>(c["z_y"].number);
        options.output_scale = from_bits(c["s_y"].number);
        options.output_min = static_cast<std::int32_t>(c["lo"].number);
        options.output_max = static_cast<std::int32_t>(c["hi"].number);
        const bool has_residual = !c["residual"].is_null();
        Bytes residual;
        if (has_residual) {
            residual = numbers<std::uint8_t>(c["residual"]["r"]);
            options.flags = RSQ_OPERATOR_RESIDUAL;
            options.residual_zero_point = static_cast<std::int32_t>(c["residual"]["z_r"].number);
            options.residual_scale = from_bits(c["residual"]["s_r"].number);
        }
        const rsquant::Operator op = rsquant::Operator::gemm(rsquant::Packed::make(w), options);
        const Bytes src = numbers<std::uint8_t>(c["a"]), expected = numbers<std::uint8_t>(c["y"]);
        Bytes dst(expected.size());
        const auto rows = static_cast<std::size_t>(c["m"].number);
        has_residual ? op.run_gemm(rows, {src, dst, residual}) : op.run_gemm(rows, {src, dst});
        CHECK(dst == expected);
    }
}

TEST_CASE("convolutions give the bits of the document on every instruction set and number of threads") {
    for (const Conv& conv : kConvs) {
        const Case one(conv);
        CAPTURE(conv.in);
        CAPTURE(conv.groups);
        for (std::uint32_t isa = RSQ_ISA_PORTABLE; isa <= rsquant::isa_detected(); ++isa) {
            for (const unsigned threads : {1u, 3u}) {
                rsquant::ContextOptions options;
                options.threads = threads;
                options.max_isa = isa;
                CHECK(one.run(rsquant::Context::make(options)) == one.expected);
            }
        }
    }
}

TEST_CASE("strided pixels are read and written where they are and nothing between them") {
    const Case one({2, 6, 5, 6, 5, 1, 3, 3, 1, 1, 1, true, true, false});
    rsquant::OperatorOptions options = options_of(one.conv);
    options.src_stride = 9;
    options.dst_stride = 12;
    options.residual_stride = 7;
    const rsquant::Operator op = rsquant::Operator::conv2d(one.packed(), options, sizes_of(one.conv));
    const std::size_t pixels = 2 * 6 * 5;
    Bytes src((pixels - 1) * 9 + 6, 200), residual((pixels - 1) * 7 + 5, 201), dst((pixels - 1) * 12 + 5, 77);
    for (std::size_t pixel = 0; pixel < pixels; ++pixel) {
        std::copy_n(one.src.begin() + static_cast<std::ptrdiff_t>(pixel * 6), 6, src.begin() + static_cast<std::ptrdiff_t>(pixel * 9));
        std::copy_n(one.residual.begin() + static_cast<std::ptrdiff_t>(pixel * 5), 5, residual.begin() + static_cast<std::ptrdiff_t>(pixel * 7));
    }
    op.run_conv2d(2, {src, dst, residual});
    for (std::size_t i = 0; i < dst.size(); ++i) {
        REQUIRE(static_cast<float>(dst[i]) == (i % 12 < 5 ? one.expected[i / 12 * 5 + i % 12] : 77.0f));
    }
    CHECK(op.info().dst_sample_bytes == 6 * 5 * 12);
}

TEST_CASE("f32 weights are quantized as a model quantizes them") {
    const std::vector<float> weights = {1.0f, -0.5f, 0.25f, -8.0f, 0.0f, 7.9f};
    rsquant::Weights w;
    w.data = rsquant::Span<const float>(weights);
    w.out_channels = 2;
    w.in_channels = 3;
    CHECK(rsquant::Packed::make(w).scales() == std::vector<float>{1.0f / 127.5f, 8.0f / 127.5f});
    w.flags = RSQ_WEIGHTS_PER_TENSOR;
    CHECK(rsquant::Packed::make(w).scales() == std::vector<float>{8.0f / 127.5f, 8.0f / 127.5f});
    w.flags = RSQ_WEIGHTS_REDUCE_RANGE;
    CHECK(rsquant::Packed::make(w).scales() == std::vector<float>{1.0f / 63.5f, 8.0f / 63.5f});
    w.flags = 0;
    w.scheme = RSQ_SCHEME_RESTRICTED_SYMMETRIC;
    CHECK(rsquant::Packed::make(w).scales() == std::vector<float>{1.0f / 127.0f, 8.0f / 127.0f});
    w.scheme = RSQ_SCHEME_AFFINE;
    CHECK_ERROR(rsquant::Packed::make(w), RSQ_INVALID_ARGUMENT, "affine");
}

TEST_CASE("a transposed matrix gives the bits of the plain one, dense or with rows apart") {
    const std::size_t n = 20, k = 7, m = 5;
    Numbers numbers(3);
    const std::vector<float> plain = numbers.reals(n * k);
    std::vector<float> turned(n * k);
    for (std::size_t i = 0; i < n * k; ++i) {
        turned[i % k * n + i / k] = plain[i];
    }
    const Bytes src = numbers.bytes(m * k);
    const auto run = [&](const std::vector<float>& values, std::uint32_t flags, std::size_t stride) {
        rsquant::Weights w;
        w.data = rsquant::Span<const float>(values);
        w.out_channels = n;
        w.in_channels = k;
        w.flags = flags;
        rsquant::OperatorOptions options;
        options.input_scale = 0.05f;
        options.output_dtype = RSQ_DTYPE_F32;
        options.src_stride = stride;
        const rsquant::Operator op = rsquant::Operator::gemm(rsquant::Packed::make(w), options);
        Bytes rows((m - 1) * stride + k);
        for (std::size_t i = 0; i < m * k; ++i) {
            rows[i / k * stride + i % k] = src[i];
        }
        std::vector<float> dst(m * n);
        op.run_gemm(m, {rows, dst});
        return dst;
    };
    const std::vector<float> expected = run(plain, 0, k);
    CHECK(run(turned, RSQ_WEIGHTS_TRANSPOSED, k) == expected);
    CHECK(run(turned, RSQ_WEIGHTS_TRANSPOSED, 13) == expected);
    CHECK(expected != run(turned, 0, k));
}

TEST_CASE("threads share an operator, each with scratch of its own") {
    const Case one({2, 9, 11, 3, 20, 1, 3, 3, 2, 1, 1, false, true, false});
    const rsquant::Operator op = rsquant::Operator::conv2d(one.packed(), options_of(one.conv), sizes_of(one.conv));
    const rsquant::OperatorInfo info = op.info();
    std::atomic<int> right{0};
    std::vector<std::thread> team;
    for (int member = 0; member < 4; ++member) {
        team.emplace_back([&] {
            Bytes scratch(info.scratch_bytes + 3), dst(one.expected.size());
            for (int i = 0; i < 50; ++i) {
                std::fill(dst.begin(), dst.end(), std::uint8_t{0});
                op.run_conv2d(2, {rsquant::Span<const std::uint8_t>(one.src), rsquant::Span<std::uint8_t>(dst), {},
                                  rsquant::Span<std::uint8_t>(scratch.data() + 3, info.scratch_bytes)});
                right += std::equal(dst.begin(), dst.end(), one.expected.begin(), [](std::uint8_t a, float b) { return static_cast<float>(a) == b; });
            }
        });
    }
    for (std::thread& member : team) {
        member.join();
    }
    CHECK(right == 200);
}

TEST_CASE("an operator refuses tensors that do not fit and writes nothing") {
    const Case one({2, 9, 11, 3, 20, 1, 3, 3, 2, 1, 1, false, true, false});
    const rsquant::Operator op = rsquant::Operator::conv2d(one.packed(), options_of(one.conv), sizes_of(one.conv));
    Bytes dst(one.expected.size(), 77), scratch(10);
    const rsquant::OperatorTensors good(one.src, dst);
    const auto with = [&](auto change) {
        rsquant::OperatorTensors tensors = good;
        change(tensors);
        return tensors;
    };
    CHECK_ERROR(op.run_conv2d(2, with([](auto& t) { --t.src_bytes; })), RSQ_SHAPE_MISMATCH, "src");
    CHECK_ERROR(op.run_conv2d(2, with([](auto& t) { --t.dst_bytes; })), RSQ_SHAPE_MISMATCH, "dst");
    CHECK_ERROR(op.run_conv2d(3, good), RSQ_SHAPE_MISMATCH, "src");
    CHECK_ERROR(op.run_conv2d(std::numeric_limits<std::size_t>::max(), good), RSQ_INVALID_ARGUMENT, "memory");
    CHECK_ERROR(op.run_conv2d(2, with([](auto& t) { t.src = nullptr; })), RSQ_NULL_ARGUMENT, "src");
    CHECK_ERROR(op.run_conv2d(2, with([](auto& t) { t.dst = nullptr; })), RSQ_NULL_ARGUMENT, "dst");
    CHECK_ERROR(op.run_conv2d(2, with([&](auto& t) { t.dst = const_cast<std::uint8_t*>(one.src.data()) + 5; })), RSQ_INVALID_ARGUMENT, "overlaps");
    CHECK_ERROR(op.run_conv2d(2, with([&](auto& t) { t.residual = t.src; t.residual_bytes = t.src_bytes; })), RSQ_INVALID_ARGUMENT, "residual");
    CHECK_ERROR(op.run_conv2d(2, with([&](auto& t) { t.scratch = scratch.data(); t.scratch_bytes = 10; })), RSQ_INVALID_ARGUMENT, "scratch");
    CHECK_ERROR(op.run_conv2d(2, with([](auto& t) { t.flags = 2; })), RSQ_INVALID_ARGUMENT, "flags");
    CHECK_ERROR(op.run_gemm(2, good), RSQ_INVALID_ARGUMENT, "kind");
    CHECK(dst == Bytes(dst.size(), 77));
    op.run_conv2d(0, {Bytes(), dst});
    CHECK(dst == Bytes(dst.size(), 77));
    op.run_conv2d(2, good);
    CHECK(std::equal(dst.begin(), dst.end(), one.expected.begin(), [](std::uint8_t a, float b) { return static_cast<float>(a) == b; }));
}

TEST_CASE("operators and weights that cannot be are refused") {
    const Case one({1, 4, 4, 8, 8, 1, 3, 3, 1, 1, 0, false, false, false});
    const rsquant::Packed packed = one.packed();
    const auto make = [&](auto change) {
        rsquant::OperatorOptions options = options_of(one.conv);
        rsquant::Conv2dSizes sizes = sizes_of(one.conv);
        change(options, sizes);
        return rsquant::Operator::conv2d(packed, options, sizes);
    };
    CHECK_ERROR(make([](auto& o, auto&) { o.input_scale = 0; }), RSQ_INVALID_ARGUMENT, "scale");
    CHECK_ERROR(make([](auto& o, auto&) { o.input_zero_point = 256; }), RSQ_INVALID_ARGUMENT, "zero point");
    CHECK_ERROR(make([](auto& o, auto&) { o.output_scale = -1; }), RSQ_INVALID_ARGUMENT, "scale");
    CHECK_ERROR(make([](auto& o, auto&) { o.output_dtype = RSQ_DTYPE_S8; }), RSQ_INVALID_ARGUMENT, "output_dtype");
    CHECK_ERROR(make([](auto& o, auto&) { o.low = 1; }), RSQ_INVALID_ARGUMENT, "bounds");
    CHECK_ERROR(make([](auto& o, auto&) { o.output_max = 256; }), RSQ_INVALID_ARGUMENT, "256");
    CHECK_ERROR(make([](auto& o, auto&) { o.src_stride = 7; }), RSQ_INVALID_ARGUMENT, "stride");
    CHECK_ERROR(make([](auto& o, auto&) { o.input_scale = 3e38f; o.output_scale = 1e-30f; }), RSQ_NOT_FINITE, "multiplier");
    CHECK_ERROR(make([](auto&, auto& s) { s.height = 2; }), RSQ_SHAPE_MISMATCH, "window");
    CHECK_ERROR(make([](auto&, auto& s) { s.width = 0; }), RSQ_INVALID_ARGUMENT, "pixels");
    CHECK_ERROR(make([](auto&, auto& s) { s.pad_left = std::size_t{1} << 40; }), RSQ_INVALID_ARGUMENT, "pixels");
    CHECK_ERROR(rsquant::Operator::gemm(packed, options_of(one.conv)), RSQ_INVALID_ARGUMENT, "GEMM");
    CHECK_ERROR(rsquant::Operator::gemm(rsquant::Packed(), options_of(one.conv)), RSQ_NULL_ARGUMENT, "packed");
    const auto pack = [&](auto change) {
        rsquant::Weights w;
        w.data = rsquant::Span<const std::int8_t>(one.weights);
        w.out_channels = w.in_channels = 8;
        w.kernel = {3, 3};
        w.scales = rsquant::Span<const float>(one.scales);
        change(w);
        return rsquant::Packed::make(w);
    };
    CHECK(pack([](auto&) {}).scales() == one.scales);
    CHECK_ERROR(pack([](auto& w) { w.in_channels = 9; }), RSQ_SHAPE_MISMATCH, "weights");
    CHECK_ERROR(pack([](auto& w) { w.groups = 3; }), RSQ_INVALID_ARGUMENT, "groups");
    CHECK_ERROR(pack([](auto& w) { w.out_channels = 0; }), RSQ_INVALID_ARGUMENT, "0");
    CHECK_ERROR(pack([](auto& w) { w.in_channels = 70000; }), RSQ_UNSUPPORTED, "65793");
    CHECK_ERROR(pack([&](auto& w) { w.scales = {one.scales.data(), 7}; }), RSQ_SHAPE_MISMATCH, "scales");
    CHECK_ERROR(pack([](auto& w) { w.flags = 64; }), RSQ_INVALID_ARGUMENT, "flags");
    CHECK_ERROR(pack([](auto& w) { w.flags = RSQ_WEIGHTS_TRANSPOSED; }), RSQ_INVALID_ARGUMENT, "GEMM");
}

TEST_CASE("a GEMM of floats quantizes each row by its own range, in any batch, on a caller's memory") {
    constexpr std::size_t rows = 300, k = 70, n = 9;
    std::vector<float> src(rows * k), matrix(n * k), bias(n, 0.25f), residual(rows * n, 0.5f);
    for (std::size_t i = 0; i < src.size(); ++i) {
        src[i] = static_cast<float>(static_cast<int>(i * 37 % 201) - 90) * 0.03f * static_cast<float>(1 + i / k % 3);
    }
    for (std::size_t i = 0; i < matrix.size(); ++i) {
        matrix[i] = static_cast<float>(static_cast<int>(i * 29 % 127) - 63) * 0.01f;
    }
    rsquant::Weights w;
    w.data = rsquant::Span<const float>(matrix);
    w.out_channels = n;
    w.in_channels = k;
    w.bias = rsquant::Span<const float>(bias);
    const rsquant::Packed packed = rsquant::Packed::make(w);
    rsquant::DynamicGemmOptions options;
    options.flags = RSQ_OPERATOR_RESIDUAL;
    options.high = std::numeric_limits<float>::infinity();
    const rsquant::Operator gemm = rsquant::Operator::dynamic_gemm(packed, options);
    const rsquant::OperatorInfo info = gemm.info();
    CHECK(info.src_bytes == k * sizeof(float));
    CHECK(info.dst_bytes == n * sizeof(float));
    std::vector<std::uint8_t> scratch(info.scratch_bytes);
    std::vector<float> dst(rows * n, -1.0f), alone(n);
    gemm.run_dynamic_gemm(rows, {src, dst, residual, scratch});
    for (std::size_t row = 0; row < rows; ++row) {
        const rsquant::Span<const float> one(src.data() + row * k, k), add(residual.data() + row * n, n);
        gemm.run_dynamic_gemm(1, {one, rsquant::Span<float>(alone), add});
        REQUIRE(std::equal(alone.begin(), alone.end(), dst.begin() + static_cast<std::ptrdiff_t>(row * n)));
        float largest = 0;
        for (const float x : one) {
            largest = std::max(largest, std::abs(x));
        }
        for (std::size_t column = 0; column < n; ++column) {
            double exact = bias[column] + add[column];
            for (std::size_t i = 0; i < k; ++i) {
                exact += static_cast<double>(one[i]) * matrix[column * k + i];
            }
            // Half a step of each factor, times the other's size.
            const double bound = k * (largest / 255.0 * 0.63 + 0.63 / 255.0 * largest);
            REQUIRE(std::abs(std::max(exact, 0.0) - alone[column]) <= bound);
        }
    }
    // Per tensor: rows share a range, so that one changes the others.
    options.grain = RSQ_GRAIN_PER_TENSOR;
    const rsquant::Operator together = rsquant::Operator::dynamic_gemm(packed, options);
    std::vector<float> shared(rows * n);
    together.run_dynamic_gemm(rows, {src, shared, residual, scratch});
    CHECK(shared != dst);
    options.grain = RSQ_GRAIN_PER_SAMPLE;
    CHECK_ERROR(rsquant::Operator::dynamic_gemm(packed, options), RSQ_INVALID_ARGUMENT, "per row");
    options.grain = 0;
    options.flags = 64;
    CHECK_ERROR(rsquant::Operator::dynamic_gemm(packed, options), RSQ_INVALID_ARGUMENT, "flags");
    // Refused, and nothing written.
    const std::vector<float> before = dst;
    src[200 * k + 3] = std::numeric_limits<float>::quiet_NaN();
    CHECK_ERROR(gemm.run_dynamic_gemm(rows, {src, dst, residual, scratch}), RSQ_NOT_FINITE, "sample 200, element 3");
    CHECK(dst == before);
    CHECK_ERROR(gemm.run_dynamic_gemm(2, {src, dst}), RSQ_INVALID_ARGUMENT, "residual");
    CHECK_ERROR(gemm.run_gemm(2, {src, dst, residual}), RSQ_INVALID_ARGUMENT, "kind");
    const std::uint8_t* odd = reinterpret_cast<const std::uint8_t*>(src.data()) + 1;
    rsquant::OperatorTensors tensors(src, dst, residual);
    tensors.src = odd;
    CHECK_ERROR(gemm.run_dynamic_gemm(2, tensors), RSQ_INVALID_ARGUMENT, "aligned");
}
