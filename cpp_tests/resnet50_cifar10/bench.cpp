#include "bench.hpp"

#include "json.hpp"
#include "metrics.hpp"
#include "preprocess.hpp"

#include <algorithm>
#include <chrono>
#include <vector>

namespace harness {
namespace {

constexpr std::size_t kWarmUps = 3, kBatches = 10;           // at least
constexpr double kWarmUpMs = 1000, kMeasureMs = 5000;        // at least

// A session with its input ready, to be run again and again.
class Workload {
public:
    Workload(const Engine& engine, const Candidate& candidate, const Images& images, std::size_t batch)
        : shape_(engine.shape()), batch_(batch), session_(engine.session(candidate, batch)), input_(batch * shape_.input_floats()),
          output_(batch * static_cast<std::size_t>(shape_.classes)) {
        const Preprocess preprocess(static_cast<int>(shape_.width), static_cast<int>(shape_.height), engine.threads());
        for (std::size_t i = 0; i < batch; i += images.count()) {
            preprocess.run(images, 0, std::min(images.count(), batch - i), input_.data() + i * shape_.input_floats());
        }
    }

    // Milliseconds of one run.
    double run() {
        const auto start = std::chrono::steady_clock::now();
        session_.run({input_, shape_.input(batch_)}, {output_, shape_.output(batch_)});
        return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
    }

private:
    const ModelShape& shape_;
    std::size_t batch_;
    rsquant::Session session_;
    std::vector<float> input_, output_;
};

// Runs until there are both `least` runs and `least_ms` milliseconds of them; gives each run's.
std::vector<double> times(Workload& workload, std::size_t least, double least_ms) {
    std::vector<double> all;
    for (double sum = 0; all.size() < least || sum < least_ms; sum += all.back()) {
        all.push_back(workload.run());
    }
    return all;
}

}  // namespace

double batch_milliseconds(const Engine& engine, const Candidate& candidate, const Images& images, std::size_t batch) {
    Workload workload(engine, candidate, images, batch);
    times(workload, kWarmUps, kWarmUpMs);
    return median(times(workload, kBatches, kMeasureMs));
}

double latency_milliseconds(const Engine& engine, const Candidate& candidate, const Images& images, std::size_t runs) {
    Workload workload(engine, candidate, images, 1);
    times(workload, kWarmUps, 0);
    return median(times(workload, runs, 0));
}

std::string bench_line(const Engine& engine, Mode mode, std::size_t batch, double ms_per_batch) {
    JsonWriter json(false);
    json.begin_object().member("mode", mode_name(mode)).member("batch", batch).member("threads", engine.threads()).member("isa", engine.isa());
    json.member("img_per_s", static_cast<double>(batch) * 1000 / ms_per_batch).member("ms_per_batch", ms_per_batch).end_object();
    return json.text();
}

}  // namespace harness
