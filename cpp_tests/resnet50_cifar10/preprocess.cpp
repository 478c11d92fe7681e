#include "preprocess.hpp"

#include <algorithm>
#include <thread>
#include <vector>

namespace harness {

std::array<float, 256> normalized_bytes() {
    std::array<float, 256> values{};
    for (int byte = 0; byte < 256; ++byte) {
        const float unit = static_cast<float>(byte) / 255.0f;
        const float centred = unit - 0.5f;
        values[byte] = centred / 0.5f;
    }
    return values;
}

Preprocess::Preprocess(int width, int height, unsigned threads)
    : width_(width), height_(height), threads_(std::max(threads, 1u)), resize_(kCifarSide, kCifarSide, width, height),
      values_(normalized_bytes()) {}

void Preprocess::run(const Images& images, std::size_t first, std::size_t count, float* dst) const {
    const auto work = [&](std::size_t begin, std::size_t end) {
        std::vector<std::uint8_t> resized(floats_per_image());
        std::vector<std::uint8_t> scratch;
        for (std::size_t i = begin; i < end; ++i) {
            run_one(images.pixels_of(first + i), dst + i * floats_per_image(), resized, scratch);
        }
    };
    const std::size_t share = (count + threads_ - 1) / threads_;
    std::vector<std::thread> team;
    for (std::size_t begin = share; begin < count; begin += share) {
        team.emplace_back(work, begin, std::min(begin + share, count));
    }
    work(0, std::min(share, count));
    for (std::thread& member : team) {
        member.join();
    }
}

void Preprocess::run_one(const std::uint8_t* pixels, float* dst, std::vector<std::uint8_t>& resized, std::vector<std::uint8_t>& scratch) const {
    resize_.run(pixels, resized.data(), scratch);
    const std::size_t plane = static_cast<std::size_t>(width_) * height_;
    for (std::size_t pixel = 0; pixel < plane; ++pixel) {
        for (std::size_t colour = 0; colour < 3; ++colour) {
            dst[colour * plane + pixel] = values_[resized[pixel * 3 + colour]];
        }
    }
}

}  // namespace harness
