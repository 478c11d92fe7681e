// A batch of images as the model takes them: normalized floats in planes, or with --u8-input the bytes of the pixels, which the
// library normalizes.
#pragma once

#include "engine.hpp"
#include "preprocess.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace harness {

class ModelInputs {
public:
    // Room for `batch` images.
    ModelInputs(const Engine& engine, std::size_t batch);

    // Makes the inputs `at` to `at + count` of the images `first` to `first + count`.
    void make(const Images& images, std::size_t first, std::size_t count, std::size_t at = 0);
    // The first `count` inputs, valid until the next change.
    rsquant::TensorView view(std::size_t count) const;

private:
    const ModelShape& shape_;
    bool bytes_wanted_;
    Preprocess preprocess_;
    std::vector<float> floats_;
    std::vector<std::uint8_t> bytes_;
};

}  // namespace harness
