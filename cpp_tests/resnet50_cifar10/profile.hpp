// Where the time of a run goes, layer by layer.
#pragma once

#include "cifar10.hpp"
#include "engine.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace harness {

struct LayerCost {
    std::string name, op_type, kernel;
    double mega_ops = 0;          // of one image, 2 a multiply-accumulate
    double microseconds = 0;      // of one thread, an image
    double gops = 0;              // of one thread
    double roof_share = 0;        // 0..1; 0 where there are no multiply-accumulates or no roof is known
    double activation_bytes = 0;  // of one image, each tensor once
    double weight_bytes = 0;
};

struct ModelProfile {
    Mode mode = Mode::fp32;
    std::size_t batch = 0;
    unsigned threads = 0;
    double img_per_s = 0;
    double roof_gops = 0;          // of all threads, measured before the runs; 0: unknown
    double roof_share = 0;         // of the whole run
    double waiting_share = 0;      // threads' time outside of layers
    double round_trip_ns = 0;      // of a cache line between two threads, before the runs; 0: one thread
    std::vector<LayerCost> layers;
};

// Runs batches for some seconds with their inputs ready, between two measurements of the roof.
ModelProfile profile_model(const Engine& engine, const Candidate& candidate, const Images& images, std::size_t batch);

// A table, one line a layer.
std::string profile_table(const ModelProfile& profile);

// A self-contained page with a bar for each layer.
std::string profile_page(const std::vector<ModelProfile>& profiles, const std::string& cpu, const std::string& isa);

}  // namespace harness
