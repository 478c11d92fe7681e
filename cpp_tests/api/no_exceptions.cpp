// rsquant.hpp without exceptions: every call gives a value or an error. Compiled with -fno-exceptions; ends with the number of failures.
#define RSQUANT_NO_EXCEPTIONS
#include <rsquant.hpp>

#include <cstdio>
#include <string>
#include <vector>

namespace {

int failures = 0;

void check(bool holds, const char* what) {
    if (!holds) {
        std::printf("FAILED: %s\n", what);
        ++failures;
    }
}

template <typename T>
bool fails_with(const rsquant::Result<T>& result, rsq_status status, const char* part) {
    return !result && result.error().status() == status && std::string(result.error().what()).find(part) != std::string::npos;
}

std::vector<float> ramp(std::size_t count) {
    std::vector<float> out(count);
    for (std::size_t i = 0; i < count; ++i) {
        out[i] = static_cast<float>(i % 7) - 3.0f;
    }
    return out;
}

}  // namespace

int main() {
    const std::vector<float> weights = ramp(8 * 6);
    rsquant::Result<rsquant::GraphBuilder> builder = rsquant::GraphBuilder::make();
    check(static_cast<bool>(builder), "a builder is made");
    rsquant::Result<rsquant::Value> x = builder.value().input("x", {-1, 6});
    check(static_cast<bool>(x), "an input is added");
    check(fails_with(builder.value().input("x", {1}), RSQ_GRAPH, "'x'"), "a name that is taken is an error with its name");
    const rsquant::LayerWeights layer = {8, 6, rsquant::Span<const float>(weights), {}};
    rsquant::Result<rsquant::Value> y = builder.value().linear("head", x.value(), layer);
    check(static_cast<bool>(y), "a layer is added");
    check(static_cast<bool>(builder.value().output(y.value())), "an output is added");
    rsquant::Result<rsquant::Graph> graph = builder.value().finish();
    check(static_cast<bool>(graph), "a graph is made");
    check(graph.value().output_index("head").value() == 0, "an output is found by name");
    check(fails_with(graph.value().output_index("tail"), RSQ_NOT_FOUND, "tail"), "another is not");

    rsquant::Result<rsquant::QConfig> qconfig = rsquant::QConfig::default_static();
    rsquant::Result<rsquant::Prepared> prepared = rsquant::Prepared::make(graph.value(), qconfig.value());
    check(fails_with(prepared.value().convert(), RSQ_NOT_CALIBRATED, ""), "nothing is converted before it is calibrated");
    const std::vector<float> batch = ramp(5 * 6);
    check(static_cast<bool>(prepared.value().calibrate({batch, {5, 6}})), "a batch is observed");
    rsquant::Result<rsquant::Model> model = prepared.value().convert();
    check(static_cast<bool>(model), "a model is made");
    rsquant::SessionOptions options;
    options.max_batch = 5;
    rsquant::Result<rsquant::Session> session = rsquant::Session::make(model.value(), options);
    std::vector<float> out(5 * 8, 77.0f);
    check(fails_with(session.value().run({batch, {5, 6}}, {out, {5, 7}}), RSQ_SHAPE_MISMATCH, "output 0"), "a wrong shape is an error");
    check(out == std::vector<float>(out.size(), 77.0f), "and nothing is written");
    check(static_cast<bool>(session.value().run({batch, {5, 6}}, {out, {5, 8}})), "a run succeeds");
    check(out != std::vector<float>(out.size(), 77.0f), "and writes");

    rsquant::Result<rsquant::Observer> observer = rsquant::Observer::make(RSQ_OBSERVER_HISTOGRAM);
    check(fails_with(observer.value().solve(), RSQ_NOT_CALIBRATED, "channel 0"), "nothing is solved before it is observed");
    check(static_cast<bool>(observer.value().observe(batch)), "an array is observed");
    check(observer.value().solve().value().scales[0] > 0, "and solved");
    if (failures == 0) {
        std::printf("all checks hold\n");
    }
    return failures;
}
