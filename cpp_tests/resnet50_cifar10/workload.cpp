#include "workload.hpp"

#include <algorithm>
#include <chrono>

namespace harness {

Workload::Workload(const Engine& engine, const Candidate& candidate, const Images& images, std::size_t batch, bool profile)
    : shape_(engine.shape()), batch_(batch), session_(engine.session(candidate, batch, profile)), inputs_(engine, batch),
      output_(batch * static_cast<std::size_t>(shape_.classes)) {
    for (std::size_t i = 0; i < batch; i += images.count()) {
        inputs_.make(images, 0, std::min(images.count(), batch - i), i);
    }
}

double Workload::run() {
    const auto start = std::chrono::steady_clock::now();
    session_.run(inputs_.view(batch_), {output_, shape_.output(batch_)});
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
