// Ranks the layers of the sample's ResNet-50 by what int8 costs in each, and finds the fewest to leave in float for a target; writes a page of
// Markdown to stdout. scripts/sensitivity.sh makes docs/SENSITIVITY.md with it.
//
//   resnet50_sensitivity MODEL.onnx DATA_DIR CALIBRATION_IMAGES RANKING_IMAGES TARGET_DB
#include "cifar10.hpp"
#include "preprocess.hpp"

#include <rsquant.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr int kSide = 224;         // pixels
constexpr std::size_t kBatch = 16;
constexpr std::size_t kRows = 20;  // layers that the table shows

rsquant::Shape shape(std::size_t count) { return {static_cast<std::int64_t>(count), 3, kSide, kSide}; }

// Tells stderr how far the work is.
class Teller : public rsquant::ProgressListener {
public:
    bool on_progress(const rsq_progress& progress) override {
        std::fprintf(stderr, "%s: %llu of %llu\n", progress.stage == RSQ_STAGE_RANK ? "rank" : "tune",
                     static_cast<unsigned long long>(progress.done), static_cast<unsigned long long>(progress.total));
        return true;
    }
};

std::vector<float> images(const std::string& dir, harness::Split split, std::size_t count, unsigned threads) {
    const harness::Images read = harness::read_cifar10(dir, split, count);
    if (read.count() != count) {
        throw std::runtime_error(dir + " has " + std::to_string(read.count()) + " images, not " + std::to_string(count));
    }
    const harness::Preprocess preprocess(kSide, kSide, threads);
    std::vector<float> floats(count * preprocess.floats_per_image());
    preprocess.run(read, 0, count, floats.data());
    return floats;
}

rsquant::Prepared calibrated(const rsquant::Graph& graph, const std::string& dir, std::size_t count, unsigned threads) {
    rsquant::Prepared prepared = rsquant::Prepared::make(graph, rsquant::QConfig::default_static(), {}, {shape(1)});
    const std::vector<float> floats = images(dir, harness::Split::train, count, threads);
    const std::size_t image = floats.size() / count;
    for (std::size_t first = 0; first < count; first += kBatch) {
        const std::size_t batch = std::min(kBatch, count - first);
        prepared.calibrate({floats.data() + first * image, batch * image, shape(batch)});
    }
    return prepared;
}

void print_ranking(const rsquant::Sensitivity& ranking) {
    std::printf("| | layer | MMAC | SQNR alone | share of all errors |\n|---|---|---|---|---|\n");
    double rest = 0;
    for (std::size_t i = 0; i < ranking.layer_count(); ++i) {
        const rsquant::LayerSensitivity layer = ranking.layer(i);
        if (i >= kRows) {
            rest += layer.error_share;
            continue;
        }
        std::printf("| %zu | `%s` | %.0f | %.1f dB | %.1f %% |\n", i + 1, layer.name, static_cast<double>(layer.macs) / 1e6, layer.sqnr_db,
                    100 * layer.error_share);
    }
    if (ranking.layer_count() > kRows) {
        std::printf("| | the other %zu | | | %.1f %% |\n", ranking.layer_count() - kRows, 100 * rest);
    }
}

void print_tuned(const rsquant::Tuned& tuned, double target) {
    const rsq_tune_result& result = tuned.result;
    std::printf("\n## %.0f dB wanted\n\n", target);
    std::printf("With every layer int8 the logits have %.1f dB. `tune` %s %.1f dB with %u layers in float, which is %.1f %% of the\n"
                "multiply-accumulates; it measured %u models on the way. The layers:\n\n",
                result.int8_metric, result.reached != 0 ? "reaches" : "does not reach the target; it comes to", result.metric,
                static_cast<unsigned>(result.float_layers), 100 * result.float_macs, static_cast<unsigned>(result.trials));
    for (std::size_t i = 0; i < tuned.model.layer_count(); ++i) {
        const rsquant::LayerInfo layer = tuned.model.layer(i);
        if (layer.precision == RSQ_PRECISION_FLOAT && std::string(layer.reason).rfind("tuning", 0) == 0) {
            std::printf("* `%s`\n", layer.name);
        }
    }
}

void run(const std::string& model, const std::string& dir, std::size_t calibration, std::size_t ranked, double target) {
    const unsigned threads = std::max(std::thread::hardware_concurrency(), 1u);
    const rsquant::Graph graph = rsquant::Graph::from_onnx_file(model);
    const rsquant::Prepared prepared = calibrated(graph, dir, calibration, threads);
    const std::vector<float> floats = images(dir, harness::Split::test, ranked, threads);
    const rsquant::TensorView input(floats.data(), floats.size(), shape(ranked));
    Teller teller;
    std::printf("# Sensitivity of the ResNet-50\n\n"
                "Written by `scripts/sensitivity.sh`: the sample's ResNet-50 for CIFAR-10, static int8 with the default settings, %zu images to\n"
                "calibrate from. Each layer is int8 alone, all others float, and the logits of %zu test images are compared with the float\n"
                "network's; no labels are needed. The figures are the same on every CPU.\n\n",
                calibration, ranked);
    print_ranking(rsquant::Sensitivity::make(prepared, input, &teller));
    rsquant::TuneOptions options;
    options.target = target;
    options.listener = &teller;
    print_tuned(rsquant::tune(prepared, input, options), target);
    std::printf("\nThe result is a recipe (docs/RECIPE.md): the qconfig with those layers in float and every qparam, and the model made of it.\n"
                "`rsq_sensitivity_new`, `rsq_tune` and `rsq_report_save` are the calls; a metric of the caller's, such as top-1, may stand for the\n"
                "SQNR, and a budget of layers or of work for the target.\n");
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 6) {
        std::fprintf(stderr, "usage: resnet50_sensitivity MODEL.onnx DATA_DIR CALIBRATION_IMAGES RANKING_IMAGES TARGET_DB\n");
        return 2;
    }
    try {
        run(argv[1], argv[2], std::strtoul(argv[3], nullptr, 10), std::strtoul(argv[4], nullptr, 10), std::strtod(argv[5], nullptr));
    } catch (const std::exception& error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
    return 0;
}
