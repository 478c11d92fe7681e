// Speed of the model alone: inputs lie ready, nothing else runs.
#pragma once

#include "cifar10.hpp"
#include "engine.hpp"

#include <cstddef>
#include <string>

namespace harness {

// Median milliseconds of one batch in steady state: after 3 batches and 1 second of warm-up, over at least 10 batches and
// 5 seconds. Images are repeated where there are fewer than the batch has.
double batch_milliseconds(const Engine& engine, const Candidate& candidate, const Images& images, std::size_t batch);

// Median milliseconds of one image over `runs`, after 3 warm-ups.
double latency_milliseconds(const Engine& engine, const Candidate& candidate, const Images& images, std::size_t runs);

// One line of JSON: mode, batch, threads, isa, img_per_s, ms_per_batch.
std::string bench_line(const Engine& engine, Mode mode, std::size_t batch, double ms_per_batch);

}  // namespace harness
