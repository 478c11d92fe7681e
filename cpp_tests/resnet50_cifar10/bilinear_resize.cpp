#include "bilinear_resize.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>

namespace harness {
namespace {

// 32 bits less 8 of the pixel less 2 for sums above the range, as in the imaging library's Resample.c.
constexpr int kPrecisionBits = 32 - 8 - 2;
constexpr std::int32_t kHalf = 1 << (kPrecisionBits - 1);
constexpr int kColours = 3;

double triangle(double x) {
    x = std::fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

std::uint8_t to_byte(std::int32_t sum) {
    return static_cast<std::uint8_t>(std::clamp(sum >> kPrecisionBits, 0, 255));
}

// [rows, src_width, 3] to [rows, dst_width, 3].
void resize_width(const ResizeAxis& axis, const std::uint8_t* src, int rows, int src_width, std::uint8_t* dst) {
    for (int row = 0; row < rows; ++row) {
        const std::uint8_t* line = src + static_cast<std::size_t>(row) * src_width * kColours;
        for (int x = 0; x < axis.dst_size; ++x) {
            const std::int32_t* weights = axis.weights.data() + static_cast<std::size_t>(x) * axis.taps;
            const ResizeAxis::Window window = axis.windows[x];
            std::int32_t sums[kColours] = {kHalf, kHalf, kHalf};
            for (int tap = 0; tap < window.count; ++tap) {
                for (int colour = 0; colour < kColours; ++colour) {
                    sums[colour] += line[(window.first + tap) * kColours + colour] * weights[tap];
                }
            }
            for (const std::int32_t sum : sums) {
                *dst++ = to_byte(sum);
            }
        }
    }
}

// [src_height, row_bytes] to [dst_height, row_bytes].
void resize_height(const ResizeAxis& axis, const std::uint8_t* src, std::size_t row_bytes, std::uint8_t* dst) {
    std::vector<std::int32_t> sums(row_bytes);
    for (int y = 0; y < axis.dst_size; ++y) {
        const std::int32_t* weights = axis.weights.data() + static_cast<std::size_t>(y) * axis.taps;
        const ResizeAxis::Window window = axis.windows[y];
        std::fill(sums.begin(), sums.end(), kHalf);
        for (int tap = 0; tap < window.count; ++tap) {
            const std::uint8_t* line = src + static_cast<std::size_t>(window.first + tap) * row_bytes;
            for (std::size_t i = 0; i < row_bytes; ++i) {
                sums[i] += line[i] * weights[tap];
            }
        }
        for (const std::int32_t sum : sums) {
            *dst++ = to_byte(sum);
        }
    }
}

}  // namespace

ResizeAxis::ResizeAxis(int src_size, int dst_size) : dst_size(dst_size) {
    const double scale = static_cast<double>(src_size) / dst_size;
    const double support = std::max(scale, 1.0);
    taps = static_cast<int>(std::ceil(support)) * 2 + 1;
    windows.resize(dst_size);
    weights.assign(static_cast<std::size_t>(dst_size) * taps, 0);
    std::vector<double> exact(taps);
    for (int i = 0; i < dst_size; ++i) {
        const double centre = (i + 0.5) * scale;
        const int first = std::max(static_cast<int>(centre - support + 0.5), 0);
        const int end = std::min(static_cast<int>(centre + support + 0.5), src_size);
        windows[i] = {first, end - first};
        double sum = 0.0;
        for (int tap = 0; tap < end - first; ++tap) {
            exact[tap] = triangle((tap + first - centre + 0.5) * (1.0 / support));
            sum += exact[tap];
        }
        for (int tap = 0; tap < end - first; ++tap) {
            const double weight = sum != 0.0 ? exact[tap] / sum : exact[tap];
            weights[static_cast<std::size_t>(i) * taps + tap] = static_cast<std::int32_t>(weight * (1 << kPrecisionBits) + 0.5);
        }
    }
}

BilinearResize::BilinearResize(int src_width, int src_height, int dst_width, int dst_height)
    : src_width_(src_width), src_height_(src_height), horizontal_(src_width, dst_width), vertical_(src_height, dst_height) {}

void BilinearResize::run(const std::uint8_t* src, std::uint8_t* dst, std::vector<std::uint8_t>& scratch) const {
    const std::size_t row_bytes = static_cast<std::size_t>(horizontal_.dst_size) * kColours;
    const bool widths_differ = horizontal_.dst_size != src_width_;
    const bool heights_differ = vertical_.dst_size != src_height_;
    if (!heights_differ) {
        if (widths_differ) {
            resize_width(horizontal_, src, src_height_, src_width_, dst);
        } else {
            std::memcpy(dst, src, row_bytes * src_height_);
        }
        return;
    }
    if (widths_differ) {
        scratch.resize(row_bytes * src_height_);
        resize_width(horizontal_, src, src_height_, src_width_, scratch.data());
        src = scratch.data();
    }
    resize_height(vertical_, src, row_bytes, dst);
}

}  // namespace harness
