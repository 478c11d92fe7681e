// A measurement, no test: what runs on a caller's thread pool (a mutex and a condition) cost beside the library's own threads. Runs of
// both alternate; told are the median of the ratios of neighbours, and their quartiles.
//
//     caller_pool_bench MODEL.onnx [THREADS]
#include "condition_pool.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

namespace {

using Floats = std::vector<float>;

// A session of the model on one of the two pools, and where its runs go.
struct Runner {
    rsquant::Session session;
    rsquant::Shape in, out;
    Floats input, output;

    Runner(const std::vector<std::uint8_t>& model, const rsquant::Context& context, rsquant::Shape shape, std::size_t batch)
        : session(make(model, context, batch)), in(shape), out(session.output_shape({shape})) {
        std::size_t inputs = 1, outputs = 1;
        for (std::size_t axis = 0; axis < in.rank(); ++axis) inputs *= static_cast<std::size_t>(in[axis]);
        for (std::size_t axis = 0; axis < out.rank(); ++axis) outputs *= static_cast<std::size_t>(out[axis]);
        input.assign(inputs, 0.0f), output.assign(outputs, 0.0f);
        for (std::size_t i = 0; i < inputs; ++i) input[i] = static_cast<float>(i * 2654435761u % 4001u) / 1000.0f - 2.0f;
    }
    static rsquant::Session make(const std::vector<std::uint8_t>& model, const rsquant::Context& context, std::size_t batch) {
        rsquant::SessionOptions options;
        options.max_batch = batch;
        return rsquant::Session::make(rsquant::Model::from_bytes(model.data(), model.size(), context), options);
    }
    double milliseconds() {
        const auto begin = std::chrono::steady_clock::now();
        session.run({input, in}, {output, out});
        return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count();
    }
};

double at(std::vector<double> values, double share) {
    std::sort(values.begin(), values.end());
    return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))];
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2 || argc > 3) {
        std::fprintf(stderr, "usage: caller_pool_bench MODEL.onnx [THREADS]\n");
        return 2;
    }
    const unsigned threads = argc == 3 ? static_cast<unsigned>(std::atoi(argv[2])) : std::max(1u, std::thread::hardware_concurrency());
    ConditionPool pool(threads);
    const rsquant::Context own = rsquant::Context::make({threads, RSQ_ISA_NONE, nullptr});
    const rsquant::Context callers = rsquant::Context::make({0, RSQ_ISA_NONE, &pool});
    const rsquant::Graph graph = rsquant::Graph::from_onnx_file(argv[1]);
    const rsquant::TensorInfo info = graph.input(0);
    const auto shape_of = [&](std::size_t batch) {
        std::vector<std::int64_t> dims(info.dims, info.dims + info.rank);
        dims[0] = static_cast<std::int64_t>(batch);
        return rsquant::Shape(dims);
    };
    rsquant::Prepared prepared = rsquant::Prepared::make(graph, rsquant::QConfig::default_static());
    {
        std::size_t floats = 1;
        for (std::uint32_t axis = 1; axis < info.rank; ++axis) floats *= static_cast<std::size_t>(info.dims[axis]);
        Floats image(floats);
        for (std::size_t i = 0; i < floats; ++i) image[i] = static_cast<float>(i * 2654435761u % 4001u) / 1000.0f - 2.0f;
        prepared.calibrate({image, shape_of(1)});
    }
    const rsquant::Model model = prepared.convert();
    const std::vector<std::uint8_t> bytes = model.to_bytes();
    for (const auto& [batch, rounds] : {std::pair<std::size_t, int>{16, 25}, {1, 200}}) {
        Runner mine(bytes, own, shape_of(batch), batch), theirs(bytes, callers, shape_of(batch), batch);
        std::vector<double> own_times, ratios;
        for (int round = -3; round < rounds; ++round) {
            // Whoever runs second has a warmer cache or a hotter core: they take turns.
            double a, b;
            if (round % 2 == 0) {
                a = mine.milliseconds(), b = theirs.milliseconds();
            } else {
                b = theirs.milliseconds(), a = mine.milliseconds();
            }
            if (round >= 0) {
                own_times.push_back(a), ratios.push_back(b / a);
            }
        }
        if (mine.output != theirs.output) {
            std::fprintf(stderr, "the pools give different results\n");
            return 1;
        }
        std::printf("batch %zu, %u threads: own threads %.2f ms; caller's pool / own threads %.3f (quartiles %.3f to %.3f)\n", batch,
                    threads, at(own_times, 0.5), at(ratios, 0.5), at(ratios, 0.25), at(ratios, 0.75));
    }
    return 0;
}
