// Quantizes a network and compares it with its float original on CIFAR-10: accuracy, agreement, speed.
#include "bench.hpp"
#include "cifar10.hpp"
#include "engine.hpp"
#include "evaluate.hpp"
#include "metrics.hpp"
#include "options.hpp"
#include "profile.hpp"
#include "report.hpp"
#include "results.hpp"

#include <cstdio>
#include <fstream>
#include <limits>
#include <stdexcept>
#include <string>

namespace harness {
namespace {

void write_text(const std::string& file, const std::string& text) {
    std::ofstream stream(file, std::ios::binary);
    if (!(stream << text << std::flush)) {
        throw std::runtime_error(file + ": cannot be written");
    }
    std::fprintf(stderr, "wrote %s\n", file.c_str());
}

// Where a mode's floats go: FILE if it is the only mode, otherwise FILE.mode.
void write_mode_floats(const std::string& file, const std::vector<Mode>& modes, Mode mode, const std::vector<float>& values) {
    const std::string name = modes.size() == 1 ? file : file + "." + mode_name(mode);
    write_floats(name, values);
    std::fprintf(stderr, "%s: wrote %s\n", mode_name(mode), name.c_str());
}

void run_bench(const Options& options, Engine& engine, const Images& images) {
    for (const Mode mode : engine.modes()) {
        const Candidate candidate = engine.prepare(mode);
        const double ms = batch_milliseconds(engine, candidate, images, options.batch);
        std::printf("%s\n", bench_line(engine, mode, options.batch, ms).c_str());
        std::fflush(stdout);
    }
}

void run_profile(const Options& options, Engine& engine, const Images& images) {
    std::vector<ModelProfile> profiles;
    for (const Mode mode : engine.modes()) {
        const Candidate candidate = engine.prepare(mode);
        profiles.push_back(profile_model(engine, candidate, images, options.batch));
        std::printf("%s\n", profile_table(profiles.back()).c_str());
    }
    write_text(options.profile, profile_page(profiles, cpu_name(), engine.isa()));
}

void run_inputs(const Options& options, Engine& engine) {
    for (const Mode mode : engine.modes()) {
        const Candidate candidate = engine.prepare(mode);
        write_mode_floats(options.output, engine.modes(), mode, run_file(engine, candidate, options.input, options.batch));
    }
}

ModeResult run_mode(const Options& options, const Engine& engine, const Candidate& candidate, const Images& images) {
    ModeResult result;
    result.mode = candidate.mode;
    result.images = images.count();
    result.model_bytes = candidate.model_bytes;
    result.int8_layers = candidate.int8_layers;
    result.float_layers = candidate.float_layers;
    result.float_reasons = candidate.float_reasons;
    Evaluation evaluation = evaluate(engine, candidate, images, options.batch);
    const auto classes = static_cast<std::size_t>(engine.shape().classes);
    if (classes == kCifarClasses) {
        result.top1 = top1(evaluation.logits, classes, images.labels);
    }
    result.img_per_s = evaluation.img_per_s;
    result.logits = std::move(evaluation.logits);
    if (options.latency_runs > 0) {
        result.latency_ms = latency_milliseconds(engine, candidate, images, options.latency_runs);
    }
    return result;
}

void run_comparison(const Options& options, Engine& engine, const Images& images, const std::string& model_file) {
    RunResult run;
    run.version = rsquant::version();
    run.cpu = cpu_name();
    run.isa = engine.isa();
    run.threads = engine.threads();
    run.batch = options.batch;
    run.model_file = model_file;
    run.classes = static_cast<std::size_t>(engine.shape().classes);
    run.calibrate_on = options.calibrate_on;
    const std::vector<Mode> modes = engine.modes();
    for (const Mode mode : modes) {
        const Candidate candidate = engine.prepare(mode);
        run.calibration_images += candidate.calibrated_on;
        run.modes.push_back(run_mode(options, engine, candidate, images));
        if (!options.dump_logits.empty()) {
            write_mode_floats(options.dump_logits, modes, mode, run.modes.back().logits);
        }
    }
    compare_with_fp32(run);
    if (!options.json.empty()) {
        write_text(options.json, to_json(run));
    }
    write_text(options.report, html_report(run, images));
    std::printf("\n%s, %s, %u threads, batch %zu, %zu images\n%s", run.cpu.c_str(), run.isa.c_str(), run.threads, run.batch, images.count(),
                end_table(run).c_str());
}

void run(const Options& options) {
    const std::string data_dir = options.data_dir.empty() ? assets_dir() : options.data_dir;
    const std::string model_file = options.model_file.empty() ? assets_dir() + "/resnet50_cifar10.onnx" : options.model_file;
    Engine engine(options, model_file, data_dir);
    if (!options.input.empty()) {
        run_inputs(options, engine);
        return;
    }
    const bool alone = options.bench || !options.profile.empty();  // the model alone: more images than a batch are not needed
    const std::size_t wanted = alone ? options.batch : std::numeric_limits<std::size_t>::max();
    const Images images = read_cifar10(data_dir, Split::test, options.images.value_or(wanted));
    if (options.bench) {
        run_bench(options, engine, images);
    } else if (alone) {
        run_profile(options, engine, images);
    } else {
        run_comparison(options, engine, images, model_file);
    }
}

}  // namespace
}  // namespace harness

int main(int argc, char** argv) {
    try {
        const harness::Options options = harness::parse_options(argc, argv);
        if (options.help) {
            std::fputs(harness::usage().c_str(), stdout);
            return 0;
        }
        harness::run(options);
        return 0;
    } catch (const harness::UsageError& error) {
        std::fprintf(stderr, "%s\n\n%s", error.what(), harness::usage().c_str());
        return 2;
    } catch (const rsquant::Error& error) {
        std::fprintf(stderr, "%s: %s\n", error.status_name(), error.what());
        return 1;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
