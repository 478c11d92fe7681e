// Quantizes a network with image input and runs it beside its float original: consumer MODEL.onnx
#include <rsquant.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

static std::vector<float> run(rsquant::Session& session, const std::vector<float>& images, const rsquant::Shape& shape) {
    const rsquant::Shape out = session.output_shape({shape});
    std::vector<float> logits(static_cast<std::size_t>(out[0] * out[1]));
    session.run({images, shape}, {logits, out});
    return logits;
}

int main(int argc, char** argv) try {
    const rsquant::Graph graph = rsquant::Graph::from_onnx_file(argc > 1 ? argv[1] : "model.onnx");
    const rsquant::TensorInfo input = graph.input(0);
    const rsquant::Shape shape{8, input.dims[1], input.dims[2], input.dims[3]};
    std::vector<float> images(static_cast<std::size_t>(8 * input.dims[1] * input.dims[2] * input.dims[3]));
    for (std::size_t i = 0; i < images.size(); ++i) {
        images[i] = static_cast<float>(std::sin(0.37 * static_cast<double>(i)));
    }
    rsquant::Prepared prepared = rsquant::Prepared::make(graph, rsquant::QConfig::default_static());
    prepared.calibrate({images, shape});
    const rsquant::Model model = prepared.convert();
    rsquant::Session int8 = rsquant::Session::make(model), fp32 = rsquant::Session::make_float(graph);
    const std::vector<float> got = run(int8, images, shape), expected = run(fp32, images, shape);
    float difference = 0, magnitude = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
        difference = std::max(difference, std::fabs(got[i] - expected[i]));
        magnitude = std::max(magnitude, std::fabs(expected[i]));
    }
    std::printf("rsquant %s: %zu layers, error %.3g of %.3g\n", rsquant::version(), model.layer_count(), difference, magnitude);
    return difference > 0 && difference < 0.1f * magnitude ? 0 : 1;
} catch (const rsquant::Error& error) {
    return std::fprintf(stderr, "%s: %s\n", error.status_name(), error.what()), 2;
}
