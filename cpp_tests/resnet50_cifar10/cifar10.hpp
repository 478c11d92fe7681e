// CIFAR-10's binary files: records of 3,073 bytes, one label byte, then 1,024 red, 1,024 green and 1,024 blue bytes, row
// by row (Krizhevsky 2009, "Learning Multiple Layers of Features from Tiny Images").
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace harness {

constexpr int kCifarSide = 32;                                   // pixels
constexpr std::size_t kCifarImageBytes = 3 * 32 * 32;            // interleaved RGB
constexpr std::size_t kCifarRecordBytes = 1 + kCifarImageBytes;  // label and pixels
constexpr std::size_t kCifarClasses = 10;

constexpr std::array<const char*, kCifarClasses> kCifarClassNames = {
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"};

// Images in the order of their files.
struct Images {
    std::vector<std::uint8_t> labels;  // [images], each below kCifarClasses
    std::vector<std::uint8_t> pixels;  // [images, 32, 32, 3]

    std::size_t count() const { return labels.size(); }
    const std::uint8_t* pixels_of(std::size_t image) const { return pixels.data() + image * kCifarImageBytes; }
};

enum class Split { train, test };

// Reads the first `limit` images of DIR/test_batch.bin, or of DIR/data_batch_1.bin to data_batch_5.bin as far as they
// exist. DIR may also be the folder that holds `cifar-10-batches-bin`. Throws std::runtime_error that names the file if
// one is missing, cannot be read, is not a whole number of records, or has a label that is no class.
Images read_cifar10(const std::string& dir, Split split, std::size_t limit);

}  // namespace harness
