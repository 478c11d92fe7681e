// A mode over many images, and over a file of inputs.
#pragma once

#include "cifar10.hpp"
#include "engine.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace harness {

struct Evaluation {
    std::vector<float> logits;  // [images, classes]
    double img_per_s = 0;       // the model alone, inputs ready; without the first batch where two or more follow it
};

// Runs all images in batches, the last one as short as it is. Each batch is made ready just before it runs. Every tenth
// batch tells on stderr how far it is.
Evaluation evaluate(const Engine& engine, const Candidate& candidate, const Images& images, std::size_t batch);

// Runs raw f32 [n, 3, h, w] of `file`; gives the logits. Throws std::runtime_error if the file holds no whole inputs.
std::vector<float> run_file(const Engine& engine, const Candidate& candidate, const std::string& file, std::size_t batch);

// Writes raw f32. Throws std::runtime_error naming the file.
void write_floats(const std::string& file, const std::vector<float>& values);

}  // namespace harness
