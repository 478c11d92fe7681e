#include "workload.hpp"

#include "preprocess.hpp"

#include <algorithm>
#include <chrono>

namespace harness {

Workload::Workload(const Engine& engine, const Candidate& candidate, const Images& images, std::size_t batch, bool profile)
    : shape_(engine.shape()), batch_(batch), session_(engine.session(candidate, batch, profile)), input_(batch * shape_.input_floats()),
      output_(batch * static_cast<std::size_t>(shape_.classes)) {
    const Preprocess preprocess(static_cast<int>(shape_.width), static_cast<int>(shape_.height), engine.threads());
    for (std::size_t i = 0; i < batch; i += images.count()) {
        preprocess.run(images, 0, std::min(images.count(), batch - i), input_.data() + i * shape_.input_floats());
    }
}

double Workload::run() {
    const auto start = std::chrono::steady_clock::now();
    session_.run({input_, shape_.input(batch_)}, {output_, shape_.output(batch_)});
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

std::vector<double> Workload::times(std::size_t least, double least_ms) {
    std::vector<double> all;
    for (double sum = 0; all.size() < least || sum < least_ms; sum += all.back()) {
        all.push_back(run());
    }
    return all;
}

}  // namespace harness
