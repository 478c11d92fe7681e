// A session with its input ready, to be run again and again.
#pragma once

#include "cifar10.hpp"
#include "engine.hpp"
#include "model_inputs.hpp"

#include <cstddef>
#include <vector>

namespace harness {

class Workload {
public:
    // Images are repeated where there are fewer than the batch has.
    Workload(const Engine& engine, const Candidate& candidate, const Images& images, std::size_t batch, bool profile = false);

    // Milliseconds of one run.
    double run();
    // Runs until there are both `least` runs and `least_ms` milliseconds of them; gives each run's.
    std::vector<double> times(std::size_t least, double least_ms);

    rsquant::Session& session() { return session_; }

private:
    const ModelShape& shape_;
    std::size_t batch_;
    rsquant::Session session_;
    ModelInputs inputs_;
    std::vector<float> output_;
};

}  // namespace harness
