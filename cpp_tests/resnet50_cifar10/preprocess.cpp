#include "preprocess.hpp"

#include <algorithm>
#include <thread>
#include <vector>

namespace harness {

std::array<float, 256> normalized_bytes() {
    std::array<float, 256> values{};
    for (int byte = 0; byte < 256; ++byte) {
        const float unit = static_cast<float>(byte) / 255.0f;
        const float centred = unit - kNormalization;
        values[byte] = centred / kNormalization;
    }
    return values;
}

Preprocess::Preprocess(int width, int height, unsigned threads)
    : width_(width), height_(height), threads_(std::max(threads, 1u)), resize_(kCifarSide, kCifarSide, width, height),
      values_(normalized_bytes()) {}

template <typename T>
void Preprocess::run_all(const Images& images, std::size_t first, std::size_t count, T* dst) const {
    const auto work = [&](std::size_t begin, std::size_t end) {
        Scratch scratch;
        for (std::size_t i = begin; i < end; ++i) {
            run_one(images.pixels_of(first + i), dst + i * floats_per_image(), scratch);
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

void Preprocess::run(const Images& images, std::size_t first, std::size_t count, float* dst) const { run_all(images, first, count, dst); }

void Preprocess::run(const Images& images, std::size_t first, std::size_t count, std::uint8_t* dst) const {
    run_all(images, first, count, dst);
}

void Preprocess::run_one(const std::uint8_t* pixels, std::uint8_t* dst, Scratch& scratch) const { resize_.run(pixels, dst, scratch.rows); }

void Preprocess::run_one(const std::uint8_t* pixels, float* dst, Scratch& scratch) const {
    scratch.resized.resize(floats_per_image());
    resize_.run(pixels, scratch.resized.data(), scratch.rows);
    const std::size_t plane = static_cast<std::size_t>(width_) * height_;
    for (std::size_t pixel = 0; pixel < plane; ++pixel) {
        for (std::size_t colour = 0; colour < 3; ++colour) {
            dst[colour * plane + pixel] = values_[scratch.resized[pixel * 3 + colour]];
        }
    }
}

}  // namespace harness
