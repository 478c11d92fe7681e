// Graphs made node by node: equal to those of an ONNX file, refused by name.
#include "networks.hpp"
#include "onnx_bytes.hpp"

#include <cstring>
#include <limits>

namespace {

std::vector<float> floats(std::size_t count, std::uint32_t seed) {
    std::vector<float> out(count);
    for (float& value : out) {
        seed = seed * 1664525u + 1013904223u;
        value = static_cast<float>(seed >> 8) / 8388608.0f - 1.0f;
    }
    return out;
}

std::string raw(const std::vector<float>& values) {
    std::string out(values.size() * sizeof(float), '\0');
    std::memcpy(out.data(), values.data(), out.size());
    return out;
}

using test::Message;

std::string tensor(const std::string& name, const std::vector<std::uint64_t>& dims, const std::vector<float>& values) {
    Message message;
    for (const std::uint64_t dim : dims) {
        message.number(1, dim);
    }
    return message.number(2, 1).bytes(8, name).bytes(9, raw(values)).text();
}

std::string ints(const std::string& name, const std::vector<std::uint64_t>& values) {
    Message message;
    message.bytes(1, name);
    for (const std::uint64_t value : values) {
        message.number(8, value);
    }
    return message.number(20, 7).text();
}

std::string integer(const std::string& name, std::uint64_t value) { return Message().bytes(1, name).number(3, value).number(20, 2).text(); }

// A node without a name of its own: the importer names it as its output.
std::string node(const std::string& op, const std::vector<std::string>& inputs, const std::string& output,
                 const std::vector<std::string>& attributes = {}) {
    Message message;
    for (const std::string& input : inputs) {
        message.bytes(1, input);
    }
    message.bytes(2, output).bytes(4, op);
    for (const std::string& attribute : attributes) {
        message.bytes(5, attribute);
    }
    return message.text();
}

std::string value_info(const std::string& name, const std::vector<std::uint64_t>& dims) {
    Message shape;
    for (const std::uint64_t dim : dims) {
        shape.bytes(1, dim == 0 ? Message().bytes(2, "n").text() : Message().number(1, dim).text());
    }
    const std::string type = Message().number(1, 1).bytes(2, shape.text()).text();
    return Message().bytes(1, name).bytes(2, Message().bytes(1, type).text()).text();
}

// A small network with every kind of layer whose weights are given: image [n, 3, 12, 12] to [n, 5].
struct Network {
    std::vector<float> stem = floats(16 * 3 * 9, 1), stem_bias = floats(16, 2), gamma = floats(16, 3), beta = floats(16, 4), mean = floats(16, 5),
                       variance = std::vector<float>(16, 0.8f), depthwise = floats(16 * 9, 6), point = floats(16 * 16, 7),
                       head = floats(5 * 16, 8), head_bias = floats(5, 9);

    std::string onnx() const {
        const std::vector<std::string> nodes = {
            node("Conv", {"image", "stem", "stem_bias"}, "c1", {ints("kernel_shape", {3, 3}), ints("strides", {2, 2}), ints("pads", {1, 1, 1, 1})}),
            node("BatchNormalization", {"c1", "gamma", "beta", "mean", "variance"}, "b1"),
            node("Relu", {"b1"}, "r1"),
            node("Conv", {"r1", "depthwise"}, "c2", {ints("kernel_shape", {3, 3}), ints("pads", {1, 1, 1, 1}), integer("group", 16)}),
            node("HardSwish", {"c2"}, "h2"),
            node("Conv", {"h2", "point"}, "c3"),
            node("Add", {"c3", "r1"}, "sum"),
            node("MaxPool", {"sum"}, "pool", {ints("kernel_shape", {2, 2}), ints("strides", {2, 2})}),
            node("Sigmoid", {"pool"}, "gate"),
            node("Mul", {"pool", "gate"}, "gated"),
            node("GlobalAveragePool", {"gated"}, "mean1"),
            node("Flatten", {"mean1"}, "flat"),
            node("Gemm", {"flat", "head", "head_bias"}, "logits", {integer("transB", 1)}),
            node("Softmax", {"logits"}, "out", {integer("axis", 1)})};
        Message graph;
        for (const std::string& one : nodes) {
            graph.bytes(1, one);
        }
        graph.bytes(2, "g");
        for (const std::string& one :
             {tensor("stem", {16, 3, 3, 3}, stem), tensor("stem_bias", {16}, stem_bias), tensor("gamma", {16}, gamma), tensor("beta", {16}, beta),
              tensor("mean", {16}, mean), tensor("variance", {16}, variance), tensor("depthwise", {16, 1, 3, 3}, depthwise),
              tensor("point", {16, 16, 1, 1}, point), tensor("head", {5, 16}, head), tensor("head_bias", {5}, head_bias)}) {
            graph.bytes(5, one);
        }
        graph.bytes(11, value_info("image", {0, 3, 12, 12})).bytes(12, value_info("out", {0, 5}));
        return Message().number(1, 7).bytes(7, graph.text()).bytes(8, Message().bytes(1, "").number(2, 14).text()).text();
    }

    rsquant::Graph build() const {
        using rsquant::Span;
        rsquant::GraphBuilder b = rsquant::GraphBuilder::make();
        const rsquant::Value image = b.input("image", {-1, 3, 12, 12});
        rsquant::Window stem_window(3, 3), around(3, 3), halves(2, 2);
        stem_window.stride_height = stem_window.stride_width = halves.stride_height = halves.stride_width = 2;
        stem_window.pad_top = stem_window.pad_left = stem_window.pad_bottom = stem_window.pad_right = 1;
        around.pad_top = around.pad_left = around.pad_bottom = around.pad_right = 1;
        rsquant::Value x = b.conv2d("c1", image, {16, 3, Span<const float>(stem), Span<const float>(stem_bias)}, stem_window);
        rsquant::BatchNorm norm;
        norm.gamma = Span<const float>(gamma);
        norm.beta = Span<const float>(beta);
        norm.mean = Span<const float>(mean);
        norm.variance = Span<const float>(variance);
        const rsquant::Value r1 = b.unary("r1", RSQ_UNARY_RELU, b.batch_norm("b1", x, norm));
        x = b.conv2d("c2", r1, {16, 16, Span<const float>(depthwise), {}, 16}, around);
        x = b.conv2d("c3", b.unary("h2", RSQ_UNARY_HARD_SWISH, x), {16, 16, Span<const float>(point), {}});
        x = b.pool("pool", RSQ_POOL_MAX, b.binary("sum", RSQ_BINARY_ADD, x, r1), halves);
        x = b.binary("gated", RSQ_BINARY_MUL, x, b.unary("gate", RSQ_UNARY_SIGMOID, x));
        x = b.flatten("flat", b.global_average_pool("mean1", x));
        x = b.linear("logits", x, {5, 16, Span<const float>(head), Span<const float>(head_bias)});
        b.output(b.softmax("out", x, 1));
        return b.finish();
    }
};

std::vector<std::uint8_t> model_bytes(const rsquant::Graph& graph, const rsquant::QConfig& qconfig) {
    const std::vector<float> images = floats(4 * 3 * 12 * 12, 10);
    rsquant::Prepared prepared = rsquant::Prepared::make(graph, qconfig);
    prepared.calibrate({images, {4, 3, 12, 12}});
    return rsquant::Model(prepared.convert()).to_bytes();
}

// The floats that a graph of one node makes of `input`.
std::vector<float> run_float(rsquant::GraphBuilder& builder, rsquant::Value value, const std::vector<float>& input, const rsquant::Shape& shape) {
    builder.output(value);
    rsquant::Session session = rsquant::Session::make_float(builder.finish());
    const rsquant::Shape out_shape = session.output_shape({shape});
    std::size_t count = 1;
    for (std::size_t axis = 0; axis < out_shape.rank(); ++axis) {
        count *= static_cast<std::size_t>(out_shape[axis]);
    }
    std::vector<float> out(count);
    session.run({input, shape}, {out, out_shape});
    return out;
}

}  // namespace

TEST_CASE("a built graph gives the model file of the ONNX file with the same nodes") {
    const Network network;
    const std::string onnx = network.onnx();
    const rsquant::Graph built = network.build(), imported = rsquant::Graph::from_onnx_bytes(onnx.data(), onnx.size());
    REQUIRE(built.node_count() == imported.node_count());
    for (std::size_t i = 0; i < built.node_count(); ++i) {
        const rsquant::NodeInfo a = built.node(i), b = imported.node(i);
        CHECK(std::string(a.name) == b.name);
        CHECK(std::string(a.op_type) == b.op_type);
    }
    for (const bool is_static : {true, false}) {
        const rsquant::QConfig qconfig = is_static ? rsquant::QConfig::default_static() : rsquant::QConfig::default_dynamic();
        CHECK(model_bytes(built, qconfig) == model_bytes(imported, qconfig));
    }
}

TEST_CASE("each operator computes what its name says") {
    const std::vector<float> x = {-4, -1, 0, 2, 5, 7, 1, -3};
    const auto check = [&](auto add, const std::vector<float>& expected) {
        rsquant::GraphBuilder builder = rsquant::GraphBuilder::make();
        const rsquant::Value input = builder.input("x", {-1, 2, 2, 2});
        CHECK(run_float(builder, add(builder, input), x, {1, 2, 2, 2}) == expected);
    };
    check([](auto& b, auto v) { return b.unary("", RSQ_UNARY_RELU, v); }, {0, 0, 0, 2, 5, 7, 1, 0});
    check([](auto& b, auto v) { return b.unary("", RSQ_UNARY_CLIP, v, -1.0f, 5.0f); }, {-1, -1, 0, 2, 5, 5, 1, -1});
    check([](auto& b, auto v) { return b.unary("", RSQ_UNARY_LEAKY_RELU, v, 0.5f); }, {-2, -0.5f, 0, 2, 5, 7, 1, -1.5f});
    check([](auto& b, auto v) { return b.unary("", RSQ_UNARY_HARD_SIGMOID, v, 0.25f, 0.5f); }, {0, 0.25f, 0.5f, 1, 1, 1, 0.75f, 0});
    check([](auto& b, auto v) { return b.binary("", RSQ_BINARY_SUB, v, b.unary("", RSQ_UNARY_RELU, v)); }, {-4, -1, 0, 0, 0, 0, 0, -3});
    check([](auto& b, auto v) { return b.binary("", RSQ_BINARY_MUL, v, v); }, {16, 1, 0, 4, 25, 49, 1, 9});
    const std::vector<float> two = {10, 20};
    check([&](auto& b, auto v) { return b.binary("", RSQ_BINARY_ADD, v, b.constant("two", two, {2, 1, 1})); }, {6, 9, 10, 12, 25, 27, 21, 17});
    check([](auto& b, auto v) { return b.reduce_mean("", v, {2, 3}, false); }, {-0.75f, 2.5f});
    check([](auto& b, auto v) { return b.global_average_pool("", v); }, {-0.75f, 2.5f});
    check([](auto& b, auto v) { return b.pool("", RSQ_POOL_AVERAGE, v, rsquant::Window(2, 1)); }, {-2, 0.5f, 3, 2});
    check([](auto& b, auto v) { return b.pool("", RSQ_POOL_MAX, v, rsquant::Window(1, 2)); }, {-1, 2, 7, 1});
    check([](auto& b, auto v) { return b.transpose("", v, {0, 1, 3, 2}); }, {-4, 0, -1, 2, 5, 1, 7, -3});
    check([](auto& b, auto v) { return b.reshape("", b.transpose("", v, {0, 2, 3, 1}), {0, -1}); }, {-4, 5, -1, 7, 0, 1, 2, -3});
    check([](auto& b, auto v) { return b.pad("", v, {0, 0, 0, 1}, {0, -1, -1, 0}, 9); }, {9, -4, -1});
    check([](auto& b, auto v) {
        const rsquant::Value both[] = {v, b.unary("", RSQ_UNARY_RELU, v)};
        return b.reduce_mean("", b.concat("", rsquant::Span<const rsquant::Value>(both, 2), 1), {2, -1}, true);
    }, {-0.75f, 2.5f, 0.5f, 3.25f});
    check([](auto& b, auto v) { return b.matmul("", v, b.transpose("", v, {0, 1, 3, 2})); }, {17, -2, -2, 4, 74, -16, -16, 10});
}

TEST_CASE("what cannot be built is refused with the node's name, and the builder works on") {
    rsquant::GraphBuilder b = rsquant::GraphBuilder::make();
    CHECK_ERROR(b.finish(), RSQ_GRAPH, "no outputs");
    const rsquant::Value x = b.input("x", {1, 2, 4, 4});
    const std::vector<float> six = floats(6, 1), three = floats(3, 2);
    std::vector<float> bad = six;
    bad[4] = std::numeric_limits<float>::quiet_NaN();
    using Floats = rsquant::Span<const float>;
    CHECK_ERROR(b.input("y", {-2}), RSQ_INVALID_ARGUMENT, "'y'");
    CHECK_ERROR(b.input("x", {1}), RSQ_GRAPH, "'x'");
    CHECK_ERROR(b.constant("k", six, {2, 2}), RSQ_SHAPE_MISMATCH, "'k'");
    CHECK_ERROR(b.conv2d("conv", x, {3, 2, Floats(three), {}}), RSQ_SHAPE_MISMATCH, "'conv'");
    CHECK_ERROR(b.conv2d("conv", x, {3, 2, Floats(bad), {}}), RSQ_NOT_FINITE, "'conv'");
    CHECK_ERROR(b.conv2d("conv", x, {3, 2, Floats(six), {}, 3}), RSQ_INVALID_ARGUMENT, "'conv'");
    CHECK_ERROR(b.conv2d("conv", x, {3, 2, Floats(six), Floats(six)}), RSQ_SHAPE_MISMATCH, "'conv'");
    CHECK_ERROR(b.conv2d("conv", 77, {3, 2, Floats(six), Floats(three)}), RSQ_GRAPH, "'conv'");
    CHECK_ERROR(b.unary("act", 0, x), RSQ_INVALID_ARGUMENT, "kind");
    CHECK_ERROR(b.binary("sum", 9, x, x), RSQ_INVALID_ARGUMENT, "kind");
    CHECK_ERROR(b.pool("pool", 3, x, {2, 2}), RSQ_INVALID_ARGUMENT, "kind");
    CHECK_ERROR(b.transpose("turn", x, {0, -1}), RSQ_INVALID_ARGUMENT, "negative");
    CHECK_ERROR(b.output(77), RSQ_GRAPH, "77");
    const rsquant::Value conv = b.conv2d("conv", x, {3, 2, Floats(six), Floats(three)});
    b.output(conv);
    const rsquant::Graph graph = b.finish();
    CHECK(graph.node_count() == 1);
    CHECK(std::string(rsquant::TensorInfo(graph.output(0)).name) == "conv");
    b.output(b.linear("head", conv, {3, 2, Floats(six), {}}));
    CHECK_ERROR(b.finish(), RSQ_SHAPE_MISMATCH, "'head'");
    CHECK(graph.node_count() == 1);
}

TEST_CASE("borrowed weights are not copied and give the bits of copied ones") {
    const rsquant::Context context = rsquant::Context::make({});
    std::vector<float> weights(64 * 32 * 9);
    for (std::size_t i = 0; i < weights.size(); ++i) {
        weights[i] = static_cast<float>(i * 31 % 17) * 0.01f - 0.08f;
    }
    const std::size_t bytes = weights.size() * sizeof(float);
    std::vector<float> image(32 * 10 * 10), results[2];
    for (std::size_t i = 0; i < image.size(); ++i) {
        image[i] = static_cast<float>(i % 101) * 0.02f - 1.0f;
    }
    for (const bool borrowed : {false, true}) {
        CAPTURE(borrowed);
        rsquant::GraphBuilder builder = rsquant::GraphBuilder::make(context);
        rsquant::LayerWeights layer;
        layer.out_channels = 64;
        layer.in_channels = 32;
        layer.weights = weights;
        layer.borrowed = borrowed;
        const rsquant::Value x = builder.input("x", {-1, 32, 10, 10});
        const rsquant::Value y = builder.conv2d("conv", x, layer, rsquant::Window(3, 3));
        CHECK(std::size_t(context.memory_bytes()) == (borrowed ? 0 : bytes));
        builder.output(y);
        const rsquant::Graph graph = builder.finish();
        rsquant::Prepared prepared = rsquant::Prepared::make(graph, rsquant::QConfig::default_static(), context);
        prepared.calibrate({image, {1, 32, 10, 10}});
        rsquant::Session session = rsquant::Session::make(prepared.convert());
        results[borrowed].resize(64 * 8 * 8);
        session.run({image, {1, 32, 10, 10}}, {results[borrowed], {1, 64, 8, 8}});
    }
    CHECK(results[0] == results[1]);
    CHECK(results[0] != std::vector<float>(results[0].size()));
    rsq_layer_weights c{};
    c.struct_size = sizeof c;
    c.flags = 2;
    c.weights = weights.data();
    c.weight_count = weights.size();
    c.out_channels = 64;
    c.in_channels = 32 * 9;
    rsquant::GraphBuilder builder = rsquant::GraphBuilder::make();
    rsq_value out = builder.input("x", {-1, 32 * 9});
    CHECK(rsq_graph_builder_linear(builder.get(), "linear", out, &c, &out) == RSQ_INVALID_ARGUMENT);
    c.flags = RSQ_WEIGHTS_BORROWED;
    CHECK(rsq_graph_builder_linear(builder.get(), "linear", out, &c, &out) == RSQ_OK);
}
