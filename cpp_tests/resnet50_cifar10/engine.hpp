// The library side: from the options to sessions that run.
#pragma once

#include "cifar10.hpp"
#include "options.hpp"

#include <rsquant.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace harness {

// A model's one image input and one output.
struct ModelShape {
    std::int64_t width = 0, height = 0;  // pixels
    std::int64_t classes = 0;

    rsquant::Shape input(std::size_t batch) const { return {static_cast<std::int64_t>(batch), 3, height, width}; }
    rsquant::Shape byte_input(std::size_t batch) const { return {static_cast<std::int64_t>(batch), height, width, 3}; }
    rsquant::Shape output(std::size_t batch) const { return {static_cast<std::int64_t>(batch), classes}; }
    std::size_t input_values() const { return static_cast<std::size_t>(3 * height * width); }
};

// One mode, ready to make sessions of.
struct Candidate {
    Mode mode = Mode::fp32;
    rsquant::Graph* graph = nullptr;  // of fp32
    rsquant::Model model;             // of the int8 modes
    std::uint64_t model_bytes = 0;
    std::size_t int8_layers = 0;      // convolutions and linear layers
    std::size_t float_layers = 0;
    std::vector<std::string> float_reasons;
    std::size_t calibrated_on = 0;    // images
};

// What a run has in common for all modes: the context, the graph, the settings. What fails throws rsquant::Error, or
// std::runtime_error for what this program wants of a model.
class Engine {
public:
    // `data_dir` has the images to calibrate from; it is read only if static quantization asks for them.
    Engine(const Options& options, std::string model_file, std::string data_dir);

    // The modes to run: those asked for; with --load fp32 if asked for, and the mode of the saved model.
    std::vector<Mode> modes() const;
    Candidate prepare(Mode mode);
    rsquant::Session session(const Candidate& candidate, std::size_t max_batch, bool profile = false) const;

    const ModelShape& shape() const { return shape_; }
    const std::string& isa() const { return isa_; }
    unsigned threads() const { return threads_; }
    // Whether sessions and calibration take image bytes.
    bool u8_input() const { return options_.u8_input; }
    const rsquant::Context& context() const { return context_; }

private:
    Candidate quantize(Mode mode);
    rsquant::QConfig qconfig(Mode mode) const;
    rsquant::Recipe given_recipe() const;
    void calibrate(rsquant::Prepared& prepared) const;
    void load_saved();
    rsquant::Shape input_shape(std::size_t batch) const;
    std::vector<rsquant::ImageInput> image_inputs() const;
    void set_input(const rsquant::TensorInfo& input, std::size_t inputs, std::size_t outputs);

    const Options& options_;
    std::string model_file_, data_dir_;
    unsigned threads_;
    std::string isa_;
    rsquant::Context context_;
    rsquant::Graph graph_;
    Candidate saved_;  // of --load
    ModelShape shape_;
};

// The model of the sample and its images.
std::string assets_dir();

}  // namespace harness
