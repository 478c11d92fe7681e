// Inputs given as image bytes. Part of rsquant.hpp.
#ifndef RSQUANT_IMAGES_HPP
#define RSQUANT_IMAGES_HPP

#include "../rsquant.h"

#include <cstddef>
#include <string>
#include <vector>

namespace rsquant {

// An input that is given as image bytes: std::uint8_t of shape {n, h, w, c} where the graph has float of {n, c, h, w}. Results are
// the very bits that the floats (byte / divisor - mean[c]) / std[c] give. Wherever a session or a Prepared with such an input
// takes or tells its shape, it is {n, h, w, c}.
struct ImageInput {
    std::string name;             // of the input; empty: `index` says which
    std::size_t index = 0;
    std::vector<float> mean, std; // one a channel
    float divisor = 255.0f;       // 1 where mean and std are of bytes
};

namespace detail {

// Valid as long as `images` stays as it is.
inline std::vector<rsq_image_input> c_images(const std::vector<ImageInput>& images) {
    std::vector<rsq_image_input> c(images.size());
    for (std::size_t i = 0; i < c.size(); ++i) {
        const ImageInput& image = images[i];
        c[i].name = image.name.empty() ? nullptr : image.name.c_str();
        c[i].index = image.index;
        c[i].mean = image.mean.data();
        c[i].std = image.std.data();
        // Lists of different lengths have no number of channels.
        c[i].channels = image.mean.size() == image.std.size() ? image.mean.size() : 0;
        c[i].divisor = image.divisor;
    }
    return c;
}

}  // namespace detail

}  // namespace rsquant

#endif  // RSQUANT_IMAGES_HPP
