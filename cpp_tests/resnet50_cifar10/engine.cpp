#include "engine.hpp"

#include "model_inputs.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <thread>

namespace harness {
namespace {

constexpr std::int64_t kOpenSide = 224;  // pixels, where a model leaves height or width open

// The best instruction set that option, environment and CPU leave.
std::uint32_t best_isa(const std::string& option) {
    std::uint32_t best = rsquant::isa_detected();
    const char* variable = std::getenv("RSQ_MAX_ISA");
    for (const std::string& cap : {option, std::string(variable == nullptr ? "" : variable)}) {
        if (cap.empty()) {
            continue;
        }
        const std::uint32_t isa = rsquant::isa_named(cap);
        if (isa == RSQ_ISA_NONE) {
            throw UsageError("\"" + cap + "\" is no instruction set; see --isa");
        }
        best = std::min(best, isa);
    }
    return best;
}

bool has_weights(const char* op_type) {
    const std::string op = op_type;
    return op == "Conv" || op == "Gemm" || op == "MatMul" || op == "Linear";
}

void count_layers(Candidate& candidate) {
    for (std::size_t i = 0; i < candidate.model.layer_count(); ++i) {
        const rsquant::LayerInfo layer = candidate.model.layer(i);
        if (!has_weights(layer.op_type)) {
            continue;
        }
        if (layer.precision != RSQ_PRECISION_FLOAT) {
            ++candidate.int8_layers;
            continue;
        }
        ++candidate.float_layers;
        candidate.float_reasons.push_back(std::string(layer.name) + ": " + layer.reason);
    }
}

}  // namespace

Engine::Engine(const Options& options, std::string model_file, std::string data_dir)
    : options_(options), model_file_(std::move(model_file)), data_dir_(std::move(data_dir)),
      threads_(options.threads != 0 ? options.threads : std::max(std::thread::hardware_concurrency(), 1u)) {
    const std::uint32_t isa = best_isa(options.isa);
    isa_ = rsquant::isa_name(isa);
    rsquant::ContextOptions context;
    context.threads = threads_;
    context.max_isa = isa;
    context_ = rsquant::Context::make(context);
    if (options.load.empty() || options.runs(Mode::fp32)) {
        graph_ = rsquant::Graph::from_onnx_file(model_file_, context_);
        set_input(graph_.input(0), graph_.input_count(), graph_.output_count());
    }
    if (!options.load.empty()) {
        load_saved();
    }
}

void Engine::set_input(const rsquant::TensorInfo& input, std::size_t inputs, std::size_t outputs) {
    const bool image = input.rank == 4 && (input.dims[1] == 3 || input.dims[1] == -1);
    if (inputs != 1 || outputs != 1 || !image) {
        throw std::runtime_error("the model needs one input [n, 3, h, w] and one output; input " + std::string(input.name) + " has rank " +
                                 std::to_string(input.rank) + ", of " + std::to_string(inputs) + " inputs and " + std::to_string(outputs) +
                                 " outputs");
    }
    const std::int64_t height = input.dims[2] > 0 ? input.dims[2] : kOpenSide;
    const std::int64_t width = input.dims[3] > 0 ? input.dims[3] : kOpenSide;
    if (shape_.width != 0 && (shape_.width != width || shape_.height != height)) {
        throw std::runtime_error(options_.load + " takes images of " + std::to_string(width) + " x " + std::to_string(height) + ", " + model_file_ +
                                 " of " + std::to_string(shape_.width) + " x " + std::to_string(shape_.height));
    }
    shape_.width = width;
    shape_.height = height;
    rsquant::SessionOptions options;
    options.input_shapes = {shape_.input(1)};
    const rsquant::Session session =
        graph_ ? rsquant::Session::make_float(graph_, options, context_) : rsquant::Session::make(saved_.model, options);
    const rsquant::Shape output = session.output_shape({shape_.input(1)});
    if (output.rank() != 2 || output[0] != 1) {
        throw std::runtime_error("the model's output is not [n, classes]");
    }
    shape_.classes = output[1];
}

void Engine::load_saved() {
    saved_.model = rsquant::Model::load(options_.load, context_);
    saved_.mode = Mode::static_int8;
    for (std::size_t i = 0; i < saved_.model.layer_count(); ++i) {
        if (rsquant::LayerInfo(saved_.model.layer(i)).precision == RSQ_PRECISION_INT8_DYNAMIC) {
            saved_.mode = Mode::dynamic_int8;
        }
    }
    set_input(saved_.model.input(0), saved_.model.input_count(), saved_.model.output_count());
    saved_.model_bytes = std::filesystem::file_size(options_.load);
    count_layers(saved_);
    if (!options_.runs(saved_.mode)) {
        throw std::runtime_error(options_.load + " is a " + mode_name(saved_.mode) + " model, which --mode leaves out");
    }
}

std::vector<Mode> Engine::modes() const {
    if (options_.load.empty()) {
        return options_.modes;
    }
    return options_.runs(Mode::fp32) ? std::vector<Mode>{Mode::fp32, saved_.mode} : std::vector<Mode>{saved_.mode};
}

Candidate Engine::prepare(Mode mode) {
    if (mode == Mode::fp32) {
        Candidate candidate;
        candidate.graph = &graph_;
        candidate.model_bytes = std::filesystem::file_size(model_file_);
        for (std::size_t i = 0; i < graph_.node_count(); ++i) {
            candidate.float_layers += has_weights(rsquant::NodeInfo(graph_.node(i)).op_type);
        }
        return candidate;
    }
    return saved_.model ? std::move(saved_) : quantize(mode);
}

Candidate Engine::quantize(Mode mode) {
    const bool is_static = mode == Mode::static_int8;
    Candidate candidate;
    candidate.mode = mode;
    rsquant::Recipe recipe;
    if (is_static && !(options_.recipe.empty() && options_.import_ipex.empty())) {
        recipe = given_recipe();
        candidate.model = recipe.convert(graph_, context_);
    } else {
        rsquant::Prepared prepared = rsquant::Prepared::make(graph_, qconfig(mode), context_, {input_shape(1)}, image_inputs());
        if (is_static) {
            calibrate(prepared);
            candidate.calibrated_on = static_cast<std::size_t>(prepared.samples());
            if (!options_.save_recipe.empty()) {
                recipe = prepared.recipe();
            }
        }
        candidate.model = prepared.convert();
    }
    if (is_static && !options_.save_recipe.empty()) {
        recipe.save(options_.save_recipe);
        std::fprintf(stderr, "static: wrote %s\n", options_.save_recipe.c_str());
    }
    candidate.model_bytes = candidate.model.to_bytes().size();
    count_layers(candidate);
    const std::string& file = is_static ? options_.save_static : options_.save_dynamic;
    if (!file.empty()) {
        candidate.model.save(file);
        std::fprintf(stderr, "%s: wrote %s\n", mode_name(mode), file.c_str());
    }
    return candidate;
}

rsquant::QConfig Engine::qconfig(Mode mode) const {
    if (mode != Mode::static_int8) {
        return rsquant::QConfig::default_dynamic();
    }
    rsquant::QConfig qconfig = rsquant::QConfig::default_static();
    const auto found = std::find(std::begin(kSolvers), std::end(kSolvers), options_.solver);
    if (found != std::end(kSolvers)) {
        rsquant::LayerQConfig layer;
        layer.activation_solver = static_cast<std::int32_t>(found - std::begin(kSolvers)) + RSQ_SOLVER_MIN_MAX;
        qconfig.set("*", layer);
    }
    return qconfig;
}

rsquant::Recipe Engine::given_recipe() const {
    if (!options_.recipe.empty()) {
        return rsquant::Recipe::load(options_.recipe);
    }
    std::ifstream stream(options_.import_ipex, std::ios::binary);
    if (!stream) {
        throw std::runtime_error(options_.import_ipex + " cannot be read");
    }
    const std::string text{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
    return rsquant::Recipe::import_bytes(graph_, text.data(), text.size(), rsquant::CalibrationFormat::ipex, context_, {shape_.input(1)});
}

void Engine::calibrate(rsquant::Prepared& prepared) const {
    const Images images = read_cifar10(data_dir_, options_.calibrate_on, options_.calibration_images);
    const std::size_t batch = std::min(options_.batch, images.count());
    ModelInputs inputs(*this, batch);
    for (std::size_t first = 0; first < images.count(); first += batch) {
        const std::size_t count = std::min(batch, images.count() - first);
        inputs.make(images, first, count);
        prepared.calibrate(inputs.view(count));
        std::fprintf(stderr, "static: calibrated on %zu/%zu images\n", first + count, images.count());
    }
}

rsquant::Shape Engine::input_shape(std::size_t batch) const { return u8_input() ? shape_.byte_input(batch) : shape_.input(batch); }

std::vector<rsquant::ImageInput> Engine::image_inputs() const {
    if (!u8_input()) {
        return {};
    }
    rsquant::ImageInput image;
    image.mean = image.std = {kNormalization, kNormalization, kNormalization};
    return {image};
}

rsquant::Session Engine::session(const Candidate& candidate, std::size_t max_batch, bool profile) const {
    rsquant::SessionOptions options;
    options.profile = profile;
    options.max_batch = max_batch;
    options.input_shapes = {input_shape(max_batch)};
    options.images = image_inputs();
    return candidate.graph != nullptr ? rsquant::Session::make_float(*candidate.graph, options, context_)
                                      : rsquant::Session::make(candidate.model, options);
}

std::string assets_dir() {
    const char* variable = std::getenv("RSQUANT_SAMPLE_ASSETS");
    return variable != nullptr ? variable : SAMPLE_ASSETS_DIR;
}

}  // namespace harness
