// The command line.
#pragma once

#include "cifar10.hpp"

#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace harness {

enum class Mode { fp32, static_int8, dynamic_int8 };

// "fp32", "static", "dynamic": the names on the command line, in JSON and in the table.
const char* mode_name(Mode mode);

// Names of --solver, in the order of RSQ_SOLVER_.
inline constexpr const char* kSolvers[] = {"min_max", "l2", "percentile", "entropy", "mse", "auto"};

struct Options {
    std::string data_dir;                          // empty: the assets
    std::string model_file;                        // empty: the assets' one
    std::vector<Mode> modes;                       // in the order they run
    std::size_t batch = 128;                       // images
    std::size_t calibration_images = 512;
    Split calibrate_on = Split::train;
    unsigned threads = 0;                          // 0: the library's default
    std::string isa;                               // empty: the best of this CPU
    std::optional<std::size_t> images;             // none: all there are
    std::size_t latency_runs = 100;
    bool bench = false;
    std::string profile;                           // file of the profile's page; empty: not asked for
    std::string save_static, save_dynamic, load;   // files; empty: not asked for
    std::string recipe, import_ipex, save_recipe;  // likewise
    std::string solver;                            // empty: the library's default
    std::string dump_logits;
    bool u8_input = false;
    std::string input, output;
    std::string json, report = "report.html";
    bool help = false;

    bool runs(Mode mode) const;
};

// A command line that cannot be meant; the message says why and is followed by the list of options.
struct UsageError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// Throws UsageError.
Options parse_options(int argc, const char* const* argv);

// The list of options with their defaults.
std::string usage();

}  // namespace harness
