// A whole job with the library: import, prepare, calibrate, convert, save, load, run, free, with nothing but its C functions and
// the caller's own memory, so that what a process allocates, prints or changes meanwhile is the library's doing.
#pragma once

#include "api.hpp"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

// A network of the tests, with one input and one output for a batch of two.
struct Network {
    using Dims = std::vector<std::int64_t>;

    // Without dimensions: resnet_like.
    explicit Network(const std::string& folder, Dims in = {2, 3, 20, 20}, Dims out = {2, 10}) : in_dims(std::move(in)), out_dims(std::move(out)) {
        onnx = bytes_of(folder + "/model.onnx");
        input = floats_of(folder + "/input0.f32");
        output_floats = floats_of(folder + "/output0.f32").size();
    }
    Dims in_dims, out_dims;
    std::vector<char> onnx;
    std::vector<float> input;
    std::size_t output_floats = 0;

    static std::vector<char> bytes_of(const std::string& path) {
        std::ifstream stream(path, std::ios::binary);
        if (!stream) {
            std::fprintf(stderr, "%s cannot be read\n", path.c_str());
            std::exit(1);
        }
        return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
    }
    static std::vector<float> floats_of(const std::string& path) {
        const std::vector<char> bytes = bytes_of(path);
        std::vector<float> floats(bytes.size() / sizeof(float));
        std::memcpy(floats.data(), bytes.data(), floats.size() * sizeof(float));
        return floats;
    }
};

// One job. Each step may be done again after it has failed.
class Life {
public:
    static constexpr int kSteps = 11;

    // `threads` 0: the library's own choice. `path` is where the model is saved.
    Life(const Api& api, const Network& network, std::string path, std::uint32_t threads = 0, std::uint32_t max_isa = 0)
        : api_(api), network_(network), path_(std::move(path)), statistics_path_(path_ + ".statistics"), threads_(threads), max_isa_(max_isa) {
        output.resize(network.output_floats);
    }
    Life(const Life&) = delete;
    Life& operator=(const Life&) = delete;
    ~Life() { end(); }

    static const char* name(int step) {
        static const char* const names[kSteps] = {"rsq_context_new", "rsq_graph_from_onnx_bytes", "rsq_qconfig_default_static",
                                                  "rsq_prepare", "rsq_calibrate", "rsq_calibration_save", "rsq_convert",
                                                  "rsq_model_save", "rsq_model_load", "rsq_session_new", "rsq_run"};
        return names[step];
    }

    rsq_status step(int number) {
        switch (number) {
            case 0: {
                rsq_context_options options{};
                options.struct_size = sizeof options;
                options.threads = threads_;
                options.max_isa = max_isa_;
                return api_.rsq_context_new(&options, &context_);
            }
            case 1: return api_.rsq_graph_from_onnx_bytes(context_, network_.onnx.data(), network_.onnx.size(), &graph_);
            case 2: return api_.rsq_qconfig_default_static(&qconfig_);
            case 3: return api_.rsq_prepare(context_, graph_, qconfig_, nullptr, &prepared_);
            case 4: {
                const rsq_tensor_view view = input_view();
                return api_.rsq_calibrate(prepared_, &view, 1);
            }
            case 5: return api_.rsq_calibration_save(prepared_, statistics_path_.c_str());
            case 6: return api_.rsq_convert(prepared_, &made_);
            case 7: return api_.rsq_model_save(made_, path_.c_str());
            case 8: return api_.rsq_model_load(context_, path_.c_str(), &model_);
            case 9: return api_.rsq_session_new(model_, nullptr, &session_);
            default: return run();
        }
    }

    // All steps. Ends the program if one fails.
    void live() {
        for (int number = 0; number < kSteps; ++number) {
            require(step(number), name(number));
        }
    }

    rsq_status run() {
        const rsq_tensor_view view = input_view();
        const rsq_tensor_mut result = output_view(output);
        return api_.rsq_run(session_, &view, 1, &result, 1);
    }

    void require(rsq_status status, const char* what) const {
        if (status != RSQ_OK) {
            char message[512];
            api_.rsq_last_error(message, sizeof message);
            std::fprintf(stderr, "%s: %s: %s\n", what, api_.rsq_status_name(status), message);
            std::exit(1);
        }
    }

    // Frees what a step that succeeded has made; statistics begin anew.
    void undo(int number) {
        switch (number) {
            case 0: api_.rsq_context_free(context_), context_ = nullptr; break;
            case 1: api_.rsq_graph_free(graph_), graph_ = nullptr; break;
            case 2: api_.rsq_qconfig_free(qconfig_), qconfig_ = nullptr; break;
            case 3: api_.rsq_prepared_free(prepared_), prepared_ = nullptr; break;
            case 4:
                undo(3);
                require(step(3), name(3));
                break;
            case 6: api_.rsq_model_free(made_), made_ = nullptr; break;
            case 8: api_.rsq_model_free(model_), model_ = nullptr; break;
            case 9: api_.rsq_session_free(session_), session_ = nullptr; break;
            case 10:  // a run of a larger batch than the session was made for is planned anew
                undo(9);
                require(step(9), name(9));
                break;
            default: break;  // files are written over
        }
    }

    // Frees everything; the object may live again.
    void end() {
        api_.rsq_session_free(session_);
        api_.rsq_model_free(model_);
        api_.rsq_model_free(made_);
        api_.rsq_prepared_free(prepared_);
        api_.rsq_qconfig_free(qconfig_);
        api_.rsq_graph_free(graph_);
        api_.rsq_context_free(context_);
        session_ = nullptr, model_ = made_ = nullptr, prepared_ = nullptr, qconfig_ = nullptr, graph_ = nullptr, context_ = nullptr;
    }

    std::vector<float> output;

    rsq_tensor_view input_view() const {
        return {network_.input.data(), network_.input.size() * sizeof(float), RSQ_DTYPE_F32, rank(network_.in_dims), network_.in_dims.data(), nullptr};
    }
    static std::uint32_t rank(const Network::Dims& dims) { return static_cast<std::uint32_t>(dims.size()); }
    rsq_tensor_mut output_view(std::vector<float>& place) const {
        return {place.data(), place.size() * sizeof(float), RSQ_DTYPE_F32, rank(network_.out_dims), network_.out_dims.data(), nullptr};
    }
    const rsq_model* model() const { return made_; }
    const rsq_graph* graph() const { return graph_; }
    const rsq_context* context() const { return context_; }
    rsq_session* session() const { return session_; }
    const std::string& path() const { return path_; }
    const std::string& statistics_path() const { return statistics_path_; }

private:
    Api api_;
    const Network& network_;
    std::string path_, statistics_path_;
    std::uint32_t threads_, max_isa_;
    rsq_context* context_ = nullptr;
    rsq_graph* graph_ = nullptr;
    rsq_qconfig* qconfig_ = nullptr;
    rsq_prepared* prepared_ = nullptr;
    rsq_model *made_ = nullptr, *model_ = nullptr;
    rsq_session* session_ = nullptr;
};
