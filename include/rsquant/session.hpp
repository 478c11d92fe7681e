// Runs of int8 models and float graphs. Part of rsquant.hpp.
#ifndef RSQUANT_SESSION_HPP
#define RSQUANT_SESSION_HPP

#include "context.hpp"
#include "graph.hpp"
#include "images.hpp"
#include "model.hpp"
#include "tensors.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

namespace rsquant {

using StepInfo = rsq_step_info;
using Profile = rsq_profile;
using StepProfile = rsq_step_profile;

struct SessionOptions {
    std::size_t max_batch = 1;         // the largest batch that memory is held for
    bool fixed_sizes = false;          // other sizes than the planned ones (the batch aside) are an error
    bool profile = false;              // count what each step costs
    std::vector<Shape> input_shapes;   // as in Prepared::make
    std::vector<ImageInput> images;    // inputs that run() gets as image bytes
    std::size_t kept_plans = 4;        // for input sizes met before: a run of such a size allocates nothing
};

// The memory of one run at a time, of an int8 model or a float graph.
class Session : public Handle<rsq_session, rsq_session_free> {
public:
    using Handle::Handle;
    static Outcome<Session> make(const Model& model, const SessionOptions& options = {}) {
        const auto shapes = detail::c_shapes(options.input_shapes.data(), options.input_shapes.size());
        const auto images = detail::c_images(options.images);
        const rsq_session_options c = c_options(options, shapes.data(), images);
        return detail::make<Session>(rsq_session_new, model.get(), &c);
    }
    static Outcome<Session> make_float(const Graph& graph, const SessionOptions& options = {}, const Context& context = {}) {
        const auto shapes = detail::c_shapes(options.input_shapes.data(), options.input_shapes.size());
        const auto images = detail::c_images(options.images);
        const rsq_session_options c = c_options(options, shapes.data(), images);
        return detail::make<Session>(rsq_float_session_new, context.get(), graph.get(), &c);
    }
    Outcome<void> run(const TensorView* inputs, std::size_t input_count, const TensorMut* outputs, std::size_t output_count) {
        const auto in = detail::c_views(inputs, input_count);
        const auto out = detail::c_views(outputs, output_count);
        return detail::finish(rsq_run(get(), in.data(), input_count, out.data(), output_count));
    }
    Outcome<void> run(std::initializer_list<TensorView> inputs, std::initializer_list<TensorMut> outputs) {
        return run(inputs.begin(), inputs.size(), outputs.begin(), outputs.size());
    }
    Outcome<void> run(const TensorView& input, const TensorMut& output) { return run(&input, 1, &output, 1); }

    std::size_t input_count() const { return rsq_session_input_count(get()); }
    std::size_t output_count() const { return rsq_session_output_count(get()); }
    std::size_t step_count() const { return rsq_session_step_count(get()); }
    std::size_t memory_bytes() const { return rsq_session_memory_bytes(get()); }
    // By name: their places among inputs and outputs.
    Outcome<std::size_t> input_index(const std::string& name) const { return detail::index_of(rsq_session_input_index, get(), name); }
    Outcome<std::size_t> output_index(const std::string& name) const { return detail::index_of(rsq_session_output_index, get(), name); }
    Outcome<TensorInfo> input(std::size_t index) const { return detail::info(rsq_session_input_info, get(), index); }
    Outcome<TensorInfo> output(std::size_t index) const { return detail::info(rsq_session_output_info, get(), index); }
    Outcome<StepInfo> step(std::size_t index) const { return detail::info(rsq_session_step_info, get(), index); }
    // The kernel that runs the layer of that name, as LayerInfo has it, such as "u8s8s32-4x16-avx2": the one with the most
    // multiply-accumulates where it takes several operations. Empty if the plan has no such layer, or there is no plan.
    std::string kernel(const std::string& layer) const {
        StepInfo step{};
        step.struct_size = sizeof step;
        std::string kernel;
        std::uint64_t most = 0;
        const std::size_t steps = step_count();
        for (std::size_t i = 0; i < steps && rsq_session_step_info(get(), i, &step) == RSQ_OK; ++i) {
            if (layer == step.name && (kernel.empty() || step.macs > most)) {
                kernel = step.kernel;
                most = step.macs;
            }
        }
        return kernel;
    }
    // What runs have cost since the plan was made or reset_profile; for sessions made with `profile`.
    Outcome<Profile> profile() const {
        Profile out{};
        out.struct_size = sizeof out;
        const rsq_status status = rsq_session_profile(get(), &out);
        return detail::finish(status, std::move(out));
    }
    Outcome<StepProfile> step_profile(std::size_t index) const { return detail::info(rsq_session_step_profile, get(), index); }
    Outcome<void> reset_profile() { return detail::finish(rsq_session_profile_reset(get())); }
    // The shape of an output for inputs of these shapes, batch included.
    Outcome<Shape> output_shape(const std::vector<Shape>& input_shapes, std::size_t index = 0) const {
        const auto shapes = detail::c_shapes(input_shapes.data(), input_shapes.size());
        std::array<std::int64_t, RSQ_MAX_RANK> dims{};
        std::uint32_t rank = 0;
        const rsq_status status = rsq_session_output_shape(get(), shapes.data(), input_shapes.size(), index, dims.data(), &rank);
        return detail::finish(status, Shape(dims.data(), rank));
    }

private:
    static rsq_session_options c_options(const SessionOptions& options, const rsq_shape* shapes, const std::vector<rsq_image_input>& images) {
        rsq_session_options c{};
        c.struct_size = sizeof c;
        c.flags = (options.fixed_sizes ? RSQ_SESSION_FIXED_SIZES : 0u) | (options.profile ? RSQ_SESSION_PROFILE : 0u);
        c.max_batch = options.max_batch;
        c.input_shapes = shapes;
        c.input_shape_count = options.input_shapes.size();
        c.images = images.data();
        c.image_count = images.size();
        c.kept_plans = options.kept_plans;
        return c;
    }
};

}  // namespace rsquant

#endif  // RSQUANT_SESSION_HPP
