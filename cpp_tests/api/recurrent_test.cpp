// Recurrent networks: float, dynamic int8, and torch's dynamic int8, by layer and by number.
#include "networks.hpp"

#include <algorithm>
#include <string>
#include <vector>

namespace {

// Two LSTM layers, then a linear layer on the last step: [n, t, 10] to [n, 5].
struct Lstm {
    static constexpr std::int64_t kBatch = 4, kSteps = 9, kSize = 10, kClasses = 5;

    static std::vector<float> floats(const std::string& file) { return test::read_floats(folder() + file); }
    static rsquant::Graph graph() { return rsquant::Graph::from_onnx_file(folder() + "model.onnx"); }
    static rsquant::Model model(const rsquant::QConfig& qconfig) {
        return rsquant::Prepared::make(graph(), qconfig, {}, {{kBatch, kSteps, kSize}}).convert();
    }
    static std::vector<float> run(rsquant::Session session, std::int64_t first = 0, std::int64_t batch = kBatch) {
        const std::vector<float> input = floats("input0.f32");
        std::vector<float> output(static_cast<std::size_t>(batch * kClasses));
        const std::size_t sequence = kSteps * kSize;
        session.run({input.data() + static_cast<std::size_t>(first) * sequence, static_cast<std::size_t>(batch) * sequence, {batch, kSteps, kSize}},
                    {output, {batch, kClasses}});
        return output;
    }

private:
    static std::string folder() { return test::kNetworks + "/../recurrent/torch_lstm_layers/"; }
};

double squared_distance(const std::vector<float>& a, const std::vector<float>& b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        sum += (double{a[i]} - b[i]) * (double{a[i]} - b[i]);
    }
    return sum;
}

}  // namespace

TEST_CASE("an LSTM in float gives what torch gives") {
    CHECK(test::relative_error(Lstm::run(rsquant::Session::make_float(Lstm::graph())), Lstm::floats("output0.f32")) < 1e-4);
}

TEST_CASE("torch's dynamic setting gives torch's int8 numbers, and the default is closer to float") {
    const std::vector<float> exact = Lstm::floats("output0.f32"), torch = Lstm::floats("torch0.f32");
    const rsquant::Model parity = Lstm::model(rsquant::QConfig::torch_dynamic());
    CHECK(test::relative_error(Lstm::run(rsquant::Session::make(parity)), torch) < 1e-5);
    const rsquant::Model model = Lstm::model(rsquant::QConfig::default_dynamic());
    CHECK(squared_distance(Lstm::run(rsquant::Session::make(model)), exact) < squared_distance(torch, exact));
}

TEST_CASE("torch's setting can be put together from fields") {
    rsquant::QConfig qconfig = rsquant::QConfig::default_dynamic();
    rsquant::LayerQConfig layer;
    layer.activation_grain = RSQ_GRAIN_PER_TENSOR;
    layer.activation_reduce_range = RSQ_ON;
    layer.activation_rule = RSQ_RULE_TORCH;
    layer.weight_granularity = RSQ_GRANULARITY_PER_TENSOR;
    qconfig.set("*", layer);
    const std::vector<std::uint8_t> bytes = Lstm::model(qconfig).to_bytes();
    CHECK(bytes == std::vector<std::uint8_t>(Lstm::model(rsquant::QConfig::torch_dynamic()).to_bytes()));
    layer.activation_rule = RSQ_RULE_NATIVE;
    qconfig.set("*", layer);
    CHECK(bytes != std::vector<std::uint8_t>(Lstm::model(qconfig).to_bytes()));
}

TEST_CASE("layers and steps are named after their operator") {
    const rsquant::Model model = Lstm::model(rsquant::QConfig::default_dynamic());
    int lstm = 0;
    for (std::size_t i = 0; i < model.layer_count(); ++i) {
        const rsquant::LayerInfo layer = model.layer(i);
        if (std::string(layer.op_type) == "LSTM") {
            CHECK(layer.precision == RSQ_PRECISION_INT8_DYNAMIC);
            ++lstm;
        }
    }
    CHECK(lstm == 2);
    rsquant::SessionOptions options;
    options.input_shapes = {{Lstm::kBatch, Lstm::kSteps, Lstm::kSize}};
    const rsquant::Session session = rsquant::Session::make(model, options);
    int steps = 0;
    for (std::size_t i = 0; i < session.step_count(); ++i) {
        const rsquant::StepInfo step = session.step(i);
        if (std::string(step.op_type) == "LSTM") {
            CHECK(std::string(step.kernel).find("u8s8s32") == 0);
            CHECK(step.macs > 0);
            ++steps;
        }
    }
    CHECK(steps == 2);
}

TEST_CASE("a sequence's result does not depend on its batch") {
    const rsquant::Model model = Lstm::model(rsquant::QConfig::default_dynamic());
    const std::vector<float> all = Lstm::run(rsquant::Session::make(model));
    for (std::int64_t at = 0; at < Lstm::kBatch; ++at) {
        const std::vector<float> alone = Lstm::run(rsquant::Session::make(model), at, 1);
        CHECK(std::equal(alone.begin(), alone.end(), all.begin() + at * Lstm::kClasses));
    }
}
