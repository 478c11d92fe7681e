// From image bytes to a model's input: resize, `x / 255`, `(x - 0.5) / 0.5`, planes of colour.
#pragma once

#include "bilinear_resize.hpp"
#include "cifar10.hpp"

#include <array>
#include <cstddef>
#include <cstdint>

namespace harness {

// The mean and the standard deviation of each colour, in 0..1.
inline constexpr float kNormalization = 0.5f;

// The value of each byte: torchvision's ToTensor divides by 255, Normalize subtracts the mean 0.5 and divides by the
// standard deviation 0.5, each a float operation that rounds.
std::array<float, 256> normalized_bytes();

class Preprocess {
public:
    // `width` and `height` are the model's, in pixels.
    Preprocess(int width, int height, unsigned threads);

    std::size_t floats_per_image() const { return std::size_t{3} * width_ * height_; }

    // Writes images `first` to `first + count` as [count, 3, height, width], shared by the threads.
    void run(const Images& images, std::size_t first, std::size_t count, float* dst) const;
    // The same as bytes [count, height, width, 3], resized alone.
    void run(const Images& images, std::size_t first, std::size_t count, std::uint8_t* dst) const;

private:
    // `resized` takes an image's bytes where the destination is not they.
    struct Scratch {
        std::vector<std::uint8_t> resized, rows;
    };

    template <typename T>
    void run_all(const Images& images, std::size_t first, std::size_t count, T* dst) const;
    void run_one(const std::uint8_t* pixels, float* dst, Scratch& scratch) const;
    void run_one(const std::uint8_t* pixels, std::uint8_t* dst, Scratch& scratch) const;

    int width_;
    int height_;
    unsigned threads_;
    BilinearResize resize_;
    std::array<float, 256> values_;
};

}  // namespace harness
