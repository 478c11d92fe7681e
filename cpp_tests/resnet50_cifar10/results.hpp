// What a run finds out, and how it is told: the end table and the JSON.
#pragma once

#include "options.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace harness {

// The figures of one mode. What has no value was not measured, or cannot be.
struct ModeResult {
    Mode mode = Mode::fp32;
    std::size_t images = 0;
    std::vector<float> logits;             // [images, classes]
    std::optional<double> top1;            // fraction; none if the model's classes are not CIFAR-10's
    std::optional<double> agreement;       // fraction that predicts as fp32 does
    std::optional<double> sqnr_db;         // of the logits against fp32's
    double img_per_s = 0;                  // the model alone, inputs ready
    std::optional<double> latency_ms;      // median of one image's runs
    std::uint64_t model_bytes = 0;         // its file
    std::size_t int8_layers = 0;           // convolutions and linear layers
    std::size_t float_layers = 0;
    std::vector<std::string> float_reasons;  // "name: reason" of each float layer of an int8 model
};

struct RunResult {
    std::string version;                   // the library's
    std::string cpu;
    std::string isa;                       // the best used
    unsigned threads = 0;
    std::size_t batch = 0;
    std::string model_file;
    std::size_t classes = 0;
    std::size_t calibration_images = 0;    // 0: none were needed
    Split calibrate_on = Split::train;
    std::vector<ModeResult> modes;

    const ModeResult* find(Mode mode) const;
};

// The CPU's name as the system tells it.
std::string cpu_name();

// Fills agreement and SQNR of the int8 modes if fp32 ran too.
void compare_with_fp32(RunResult& run);

// A mode's images a second over those of fp32.
std::optional<double> speed_up(const RunResult& run, const ModeResult& mode);

// fp32's latency over a mode's.
std::optional<double> latency_speed_up(const RunResult& run, const ModeResult& mode);

std::string end_table(const RunResult& run);
std::string to_json(const RunResult& run);

// `value` with so many decimals, "-" if there is none.
std::string decimals(std::optional<double> value, int digits, const char* unit = "");

}  // namespace harness
