// Float graphs without an ONNX file, for engines with a format of their own. Part of rsquant.hpp.
//
//     rsquant::GraphBuilder builder = rsquant::GraphBuilder::make();
//     rsquant::Value x = builder.input("image", {-1, 3, 224, 224});
//     x = builder.conv2d("conv1", x, weights, window);                  // rsquant::LayerWeights, rsquant::Window
//     x = builder.unary("relu1", RSQ_UNARY_RELU, x);
//     builder.output(x);
//     rsquant::Graph graph = builder.finish();
#ifndef RSQUANT_GRAPH_BUILDER_HPP
#define RSQUANT_GRAPH_BUILDER_HPP

#include "context.hpp"
#include "graph.hpp"
#include "tensors.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

namespace rsquant {

using Value = rsq_value;

// A sliding window: set what should differ from strides and dilations of 1, no padding.
struct Window : rsq_window {
    Window(std::size_t height, std::size_t width) : rsq_window{} {
        struct_size = sizeof(rsq_window);
        kernel_height = height;
        kernel_width = width;
    }
};

// Weights of a layer, copied when it is added unless they are borrowed: [out, in / groups, kernel height, kernel width].
struct LayerWeights {
    std::size_t out_channels = 0, in_channels = 0;
    Span<const float> weights;
    Span<const float> bias;  // one an output channel, or none
    std::size_t groups = 1;
    bool borrowed = false;  // weights stay as they are until the builder, its graphs and everything made with those are gone
    rsq_layer_weights c_weights() const noexcept {
        rsq_layer_weights c{};
        c.struct_size = sizeof c;
        c.flags = borrowed ? RSQ_WEIGHTS_BORROWED : 0u;
        c.weights = weights.data();
        c.weight_count = weights.size();
        c.bias = bias.empty() ? nullptr : bias.data();
        // The C API reads one bias an output channel: another number is refused as a layer of no channels.
        c.out_channels = bias.empty() || bias.size() == out_channels ? out_channels : 0;
        c.in_channels = in_channels;
        c.groups = groups;
        return c;
    }
};

// A batch normalization's parameters, each of as many floats as there are channels.
struct BatchNorm {
    Span<const float> gamma, beta, mean, variance;
    float epsilon = 1e-5f;
};

// A recurrent layer as ONNX has it; see rsq_recurrent_layer. Arrays are copied when it is added.
struct RecurrentLayer {
    std::int32_t cell = RSQ_CELL_LSTM, direction = RSQ_DIRECTION_FORWARD;
    std::size_t input_size = 0, hidden_size = 0;
    bool batch_first = false;
    Span<const float> input_weights, recurrent_weights;  // [directions, gates * hidden, input], [directions, gates * hidden, hidden]
    Span<const float> bias;                              // [directions, 2 * gates * hidden], or none
    const Value* lengths = nullptr;                      // values beside x; nullptr: none
    const Value* initial_hidden = nullptr;
    const Value* initial_cell = nullptr;
    rsq_recurrent_layer c_layer() const noexcept {
        rsq_recurrent_layer c{};
        c.struct_size = sizeof c;
        c.flags = batch_first ? RSQ_RECURRENT_BATCH_FIRST : 0u;
        const auto value = [&c](const Value* given, rsq_value& place, std::uint32_t flag) {
            if (given != nullptr) {
                place = *given;
                c.flags |= flag;
            }
        };
        value(lengths, c.lengths, RSQ_RECURRENT_HAS_LENGTHS);
        value(initial_hidden, c.initial_hidden, RSQ_RECURRENT_HAS_INITIAL_HIDDEN);
        value(initial_cell, c.initial_cell, RSQ_RECURRENT_HAS_INITIAL_CELL);
        c.cell = cell;
        c.direction = direction;
        c.input_size = input_size;
        c.hidden_size = hidden_size;
        c.input_weights = input_weights.data();
        c.input_weight_count = input_weights.size();
        c.recurrent_weights = recurrent_weights.data();
        c.recurrent_weight_count = recurrent_weights.size();
        c.bias = bias.empty() ? nullptr : bias.data();
        c.bias_count = bias.size();
        return c;
    }
};

// What a recurrent layer makes; `cell` of an LSTM alone.
struct RecurrentValues {
    Value sequence = 0, hidden = 0, cell = 0;
};

// A float graph under construction. Each node has a name of its own (empty: made from the operator), which errors tell.
class GraphBuilder : public Handle<rsq_graph_builder, rsq_graph_builder_free> {
public:
    using Handle::Handle;
    static Outcome<GraphBuilder> make(const Context& context = {}) { return detail::make<GraphBuilder>(rsq_graph_builder_new, context.get()); }
    // -1 for a dimension that is chosen at run time.
    Outcome<Value> input(const std::string& name, const Shape& dims) {
        return added(rsq_graph_builder_input, name, dims.dims(), dims.rank());
    }
    Outcome<Value> constant(const std::string& name, Span<const float> values, const Shape& dims) {
        return added(rsq_graph_builder_constant, name, values.data(), values.size(), dims.dims(), dims.rank());
    }
    Outcome<Value> conv2d(const std::string& name, Value x, const LayerWeights& layer, const Window& window = {1, 1}) {
        const rsq_layer_weights c = layer.c_weights();
        return added(rsq_graph_builder_conv2d, name, x, &c, &window);
    }
    Outcome<Value> linear(const std::string& name, Value x, const LayerWeights& layer) {
        const rsq_layer_weights c = layer.c_weights();
        return added(rsq_graph_builder_linear, name, x, &c);
    }
    Outcome<RecurrentValues> recurrent(const std::string& name, Value x, const RecurrentLayer& layer) {
        const rsq_recurrent_layer c = layer.c_layer();
        RecurrentValues out;
        const rsq_status status = rsq_graph_builder_recurrent(get(), name.c_str(), x, &c, &out.sequence, &out.hidden,
                                                              layer.cell == RSQ_CELL_LSTM ? &out.cell : nullptr);
        return detail::finish(status, std::move(out));
    }
    Outcome<Value> batch_norm(const std::string& name, Value x, const BatchNorm& norm) {
        rsq_batch_norm c{};
        c.struct_size = sizeof c;
        c.epsilon = norm.epsilon;
        c.channels = norm.gamma.size();
        c.gamma = norm.gamma.data();
        // An array of another length is refused as one that is missing.
        const auto of_channels = [&c](Span<const float> values) { return values.size() == c.channels ? values.data() : nullptr; };
        c.beta = of_channels(norm.beta);
        c.mean = of_channels(norm.mean);
        c.variance = of_channels(norm.variance);
        return added(rsq_graph_builder_batch_norm, name, x, &c);
    }
    // `kind` is one of RSQ_UNARY_.
    Outcome<Value> unary(const std::string& name, std::int32_t kind, Value x, float alpha = 0, float beta = 0) {
        return added(rsq_graph_builder_unary, name, kind, x, alpha, beta);
    }
    // `kind` is one of RSQ_BINARY_.
    Outcome<Value> binary(const std::string& name, std::int32_t kind, Value a, Value b) {
        return added(rsq_graph_builder_binary, name, kind, a, b);
    }
    Outcome<Value> matmul(const std::string& name, Value a, Value b) { return added(rsq_graph_builder_matmul, name, a, b); }
    // `kind` is RSQ_POOL_MAX or RSQ_POOL_AVERAGE.
    Outcome<Value> pool(const std::string& name, std::int32_t kind, Value x, const Window& window) {
        const rsq_window* c = &window;
        return added(rsq_graph_builder_pool, name, kind, x, c);
    }
    Outcome<Value> global_average_pool(const std::string& name, Value x) {
        const rsq_window* none = nullptr;
        return added(rsq_graph_builder_pool, name, RSQ_POOL_AVERAGE, x, none);
    }
    Outcome<Value> reduce_mean(const std::string& name, Value x, const Shape& axes, bool keepdims = true) {
        return added(rsq_graph_builder_reduce_mean, name, x, axes.dims(), axes.rank(), keepdims ? 1 : 0);
    }
    Outcome<Value> softmax(const std::string& name, Value x, std::int64_t axis = -1) { return added(rsq_graph_builder_softmax, name, x, axis); }
    Outcome<Value> flatten(const std::string& name, Value x, std::int64_t axis = 1) { return added(rsq_graph_builder_flatten, name, x, axis); }
    Outcome<Value> reshape(const std::string& name, Value x, const Shape& dims) {
        return added(rsq_graph_builder_reshape, name, x, dims.dims(), dims.rank());
    }
    Outcome<Value> transpose(const std::string& name, Value x, const Shape& axes) {
        return added(rsq_graph_builder_transpose, name, x, axes.dims(), axes.rank());
    }
    Outcome<Value> concat(const std::string& name, Span<const Value> values, std::int64_t axis) {
        return added(rsq_graph_builder_concat, name, values.data(), values.size(), axis);
    }
    // One number for each axis.
    Outcome<Value> pad(const std::string& name, Value x, const Shape& before, const Shape& after, float value = 0) {
        const std::size_t rank = before.rank() == after.rank() ? before.rank() : 0;
        return added(rsq_graph_builder_pad, name, x, before.dims(), after.dims(), rank, value);
    }
    Outcome<void> output(Value value) { return detail::finish(rsq_graph_builder_output(get(), value)); }
    // The graph of what was added so far; the builder stays usable.
    Outcome<Graph> finish() const { return detail::make<Graph>(rsq_graph_builder_finish, get()); }

private:
    template <typename Function, typename... Args>
    Outcome<Value> added(Function function, const std::string& name, Args... args) {
        Value out = 0;
        const rsq_status status = function(get(), name.c_str(), args..., &out);
        return detail::finish(status, Value{out});
    }
};

}  // namespace rsquant

#endif  // RSQUANT_GRAPH_BUILDER_HPP
