#include "bench.hpp"

#include "json.hpp"
#include "metrics.hpp"
#include "workload.hpp"

namespace harness {
namespace {

constexpr std::size_t kWarmUps = 3, kBatches = 10;           // at least
constexpr double kWarmUpMs = 1000, kMeasureMs = 5000;        // at least

}  // namespace

double batch_milliseconds(const Engine& engine, const Candidate& candidate, const Images& images, std::size_t batch) {
    Workload workload(engine, candidate, images, batch);
    workload.times(kWarmUps, kWarmUpMs);
    return median(workload.times(kBatches, kMeasureMs));
}

double latency_milliseconds(const Engine& engine, const Candidate& candidate, const Images& images, std::size_t runs) {
    Workload workload(engine, candidate, images, 1);
    workload.times(kWarmUps, 0);
    return median(workload.times(runs, 0));
}

std::string bench_line(const Engine& engine, Mode mode, std::size_t batch, double ms_per_batch) {
    JsonWriter json(false);
    json.begin_object().member("mode", mode_name(mode)).member("batch", batch).member("threads", engine.threads()).member("isa", engine.isa());
    json.member("img_per_s", static_cast<double>(batch) * 1000 / ms_per_batch).member("ms_per_batch", ms_per_batch).end_object();
    return json.text();
}

}  // namespace harness
