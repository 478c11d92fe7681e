// Bilinear resize of RGB bytes with the very bits of the Python imaging library's `Image.resize(size, BILINEAR)`, which
// is what torchvision's `Resize` calls for such an image.
#pragma once

#include <cstdint>
#include <vector>

namespace harness {

// How one axis is resized: output i is the sum of `count` inputs from `first` on, each times its weight.
struct ResizeAxis {
    struct Window {
        int first;
        int count;
    };
    int dst_size;
    int taps;                           // weights a window has room for
    std::vector<Window> windows;        // [dst_size]
    std::vector<std::int32_t> weights;  // [dst_size, taps], fixed point, 22 bits behind the point

    // The triangle filter: an output's centre lies at (i + 0.5) * src / dst; when the axis shrinks, the triangle is as
    // much wider. Weights are computed in double, divided by their sum, and rounded half away from zero.
    ResizeAxis(int src_size, int dst_size);
};

// Resizes pictures of one size to another. Holds the weights of both axes, so that one object serves many pictures, from
// several threads at once.
class BilinearResize {
public:
    // Sizes are at least 1.
    BilinearResize(int src_width, int src_height, int dst_width, int dst_height);

    // `src` is [src_height, src_width, 3], `dst` becomes [dst_height, dst_width, 3]. Two passes, along the width first;
    // each starts at one half, and rounds and clamps to a byte. A pass whose size does not change is skipped. `scratch`
    // is resized to what the first pass gives.
    void run(const std::uint8_t* src, std::uint8_t* dst, std::vector<std::uint8_t>& scratch) const;

private:
    int src_width_;
    int src_height_;
    ResizeAxis horizontal_;
    ResizeAxis vertical_;
};

}  // namespace harness
