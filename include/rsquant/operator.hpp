// The operator door: int8 layers and quantization on a caller's memory, without a graph. Part of rsquant.hpp.
//
//     rsquant::Weights weights;                                         // f32 or s8, [out][in / groups][kh][kw]
//     weights.data = rsquant::Span<const float>(floats);
//     weights.out_channels = 64; weights.in_channels = 32; weights.kernel = {3, 3};
//     rsquant::Packed packed = rsquant::Packed::make(weights);
//     rsquant::Operator conv = rsquant::Operator::conv2d(packed, options, sizes);
//     conv.run(batch, {src, dst});                                      // u8 n, h, w, c; allocates nothing
#ifndef RSQUANT_OPERATOR_HPP
#define RSQUANT_OPERATOR_HPP

#include "context.hpp"
#include "tensors.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace rsquant {

using OperatorInfo = rsq_operator_info;

// Weights of a convolution or GEMM, [out_channels, in_channels / groups, kernel], all of it copied when packed.
struct Weights {
    std::variant<Span<const float>, Span<const std::int8_t>> data;  // f32 is quantized; s8 comes with scales
    std::size_t out_channels = 0, in_channels = 0, groups = 1;
    std::array<std::size_t, 2> kernel = {1, 1};                     // height, width
    Span<const float> scales;                                        // of s8: one an output channel, or one
    Span<const float> bias;                                          // one an output channel, or none
    std::int32_t scheme = RSQ_SCHEME_SYMMETRIC;                      // of f32
    std::uint32_t flags = 0;                                         // RSQ_WEIGHTS_
};

// Packed weights, for any number of operators.
class Packed : public Handle<rsq_packed, rsq_packed_free> {
public:
    using Handle::Handle;
    static Outcome<Packed> make(const Weights& weights, const Context& context = {}) {
        rsq_weights c{};
        c.struct_size = sizeof c;
        const auto take = [&c](const auto& values) {
            c.data = values.data();
            c.size_bytes = values.size_bytes();
        };
        std::visit(take, weights.data);
        c.dtype = weights.data.index() == 0 ? RSQ_DTYPE_F32 : RSQ_DTYPE_S8;
        c.scheme = weights.scheme;
        c.flags = weights.flags;
        c.out_channels = weights.out_channels;
        c.in_channels = weights.in_channels;
        c.groups = weights.groups;
        c.kernel_height = weights.kernel[0];
        c.kernel_width = weights.kernel[1];
        c.scales = weights.scales.data();
        c.scale_count = weights.scales.size();
        if (!weights.bias.empty() && weights.bias.size() != weights.out_channels) {
            c.out_channels = 0;  // refused: the C API reads one bias an output channel
        }
        c.bias = weights.bias.empty() ? nullptr : weights.bias.data();
        return detail::make<Packed>(rsq_pack_weights, context.get(), &c);
    }
    // The scale of each output channel.
    Outcome<std::vector<float>> scales() const {
        std::size_t count = 0;
        rsq_status status = rsq_packed_scales(get(), nullptr, 0, &count);
        std::vector<float> scales(count);
        if (status == RSQ_OK) {
            status = rsq_packed_scales(get(), scales.data(), scales.size(), &count);
        }
        return detail::finish(status, std::move(scales));
    }
};

// What an operator computes besides the sums: set what should differ.
struct OperatorOptions : rsq_operator_options {
    OperatorOptions() : rsq_operator_options{} {
        struct_size = sizeof(rsq_operator_options);
        output_dtype = RSQ_DTYPE_U8;
    }
};

// What a GEMM of floats computes besides the sums: set what should differ.
struct DynamicGemmOptions : rsq_dynamic_gemm_options {
    DynamicGemmOptions() : rsq_dynamic_gemm_options{} { struct_size = sizeof(rsq_dynamic_gemm_options); }
};

// Sizes of a convolution: set what should differ.
struct Conv2dSizes : rsq_conv2d_sizes {
    Conv2dSizes(std::size_t height_, std::size_t width_) : rsq_conv2d_sizes{} {
        struct_size = sizeof(rsq_conv2d_sizes);
        height = height_;
        width = width_;
    }
};

// The memory of one run, for the whole batch; the destination u8 or f32.
struct OperatorTensors : rsq_operator_tensors {
    template <typename T>
    OperatorTensors(Span<const std::uint8_t> src_, Span<T> dst_, Span<const T> residual_ = {}, Span<std::uint8_t> scratch_ = {})
        : rsq_operator_tensors{} {
        static_assert(std::is_same_v<T, std::uint8_t> || std::is_same_v<T, float>, "the output is u8 or f32");
        struct_size = sizeof(rsq_operator_tensors);
        src = src_.data();
        src_bytes = src_.size();
        dst = dst_.data();
        dst_bytes = dst_.size_bytes();
        residual = residual_.data();
        residual_bytes = residual_.size_bytes();
        scratch = scratch_.data();
        scratch_bytes = scratch_.size();
    }
    // Of a GEMM of floats.
    OperatorTensors(Span<const float> src_, Span<float> dst_, Span<const float> residual_ = {}, Span<std::uint8_t> scratch_ = {})
        : rsq_operator_tensors{} {
        struct_size = sizeof(rsq_operator_tensors);
        src = src_.data();
        src_bytes = src_.size_bytes();
        dst = dst_.data();
        dst_bytes = dst_.size_bytes();
        residual = residual_.data();
        residual_bytes = residual_.size_bytes();
        scratch = scratch_.data();
        scratch_bytes = scratch_.size();
    }
    template <typename T>
    OperatorTensors(const std::vector<std::uint8_t>& src_, std::vector<T>& dst_)
        : OperatorTensors(Span<const std::uint8_t>(src_), Span<T>(dst_)) {}
    template <typename T>
    OperatorTensors(const std::vector<std::uint8_t>& src_, std::vector<T>& dst_, const std::vector<T>& residual_)
        : OperatorTensors(Span<const std::uint8_t>(src_), Span<T>(dst_), Span<const T>(residual_)) {}
};

// A planned convolution or GEMM. With scratch of its own for each run, any number of threads may run one at once.
class Operator : public Handle<rsq_operator, rsq_operator_free> {
public:
    using Handle::Handle;
    static Outcome<Operator> gemm(const Packed& packed, const OperatorOptions& options, const Context& context = {}) {
        return detail::make<Operator>(rsq_gemm_u8s8_new, context.get(), packed.get(), &options);
    }
    // Floats in and out: each run quantizes the rows by their own range. No calibration.
    static Outcome<Operator> dynamic_gemm(const Packed& packed, const DynamicGemmOptions& options = {}, const Context& context = {}) {
        return detail::make<Operator>(rsq_gemm_f32s8_new, context.get(), packed.get(), &options);
    }
    static Outcome<Operator> conv2d(const Packed& packed, const OperatorOptions& options, const Conv2dSizes& sizes,
                                    const Context& context = {}) {
        return detail::make<Operator>(rsq_conv2d_u8s8_new, context.get(), packed.get(), &options, &sizes);
    }
    Outcome<OperatorInfo> info() const {
        OperatorInfo out{};
        out.struct_size = sizeof out;
        const rsq_status status = rsq_operator_get_info(get(), &out);
        return detail::finish(status, std::move(out));
    }
    Outcome<void> run_gemm(std::size_t rows, const OperatorTensors& tensors) const {
        return detail::finish(rsq_gemm_u8s8(get(), rows, &tensors));
    }
    Outcome<void> run_dynamic_gemm(std::size_t rows, const OperatorTensors& tensors) const {
        return detail::finish(rsq_gemm_f32s8(get(), rows, &tensors));
    }
    Outcome<void> run_conv2d(std::size_t batch, const OperatorTensors& tensors) const {
        return detail::finish(rsq_conv2d_u8s8(get(), batch, &tensors));
    }
};

// How an array is quantized, per tensor or per channel.
struct Quantization {
    std::int32_t dtype = RSQ_DTYPE_U8;
    Span<const float> scales;               // one a channel
    Span<const std::int32_t> zero_points;   // as many, or none: zeros
    std::size_t inner = 1;                  // neighbouring elements of one channel
    bool reduce_range = false;
    // For a call, as long as the arrays live.
    rsq_quantization c_quantization() const noexcept {
        rsq_quantization c{};
        c.struct_size = sizeof c;
        c.dtype = dtype;
        c.reduce_range = reduce_range;
        c.scales = scales.data();
        c.zero_points = zero_points.empty() ? nullptr : zero_points.data();
        c.channels = scales.size();
        c.inner = inner;
        return c;
    }
};

// Floats to bytes: u8, or s8 as two's complement.
inline Outcome<void> quantize(const Quantization& quantization, Span<const float> src, Span<std::uint8_t> dst, const Context& context = {}) {
    const rsq_quantization c = quantization.c_quantization();
    return detail::finish(rsq_quantize(context.get(), &c, src.data(), src.size(), dst.data(), dst.size()));
}
// Bytes to as many floats as `dst` has.
inline Outcome<void> dequantize(const Quantization& quantization, Span<const std::uint8_t> src, Span<float> dst, const Context& context = {}) {
    const rsq_quantization c = quantization.c_quantization();
    return detail::finish(rsq_dequantize(context.get(), &c, src.data(), src.size(), dst.data(), dst.size()));
}

}  // namespace rsquant

#endif  // RSQUANT_OPERATOR_HPP
