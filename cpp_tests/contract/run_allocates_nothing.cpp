// Contract line 14, for the shared library as it is shipped: a run requests no memory, on any thread of the process, whoever asks:
// static, dynamic, mixed, recurrent and float sessions, every batch up to the largest, on one thread, on the library's own and on a
// caller's pool.
//
//     run_allocates_nothing NETWORKS_FOLDER RECURRENT_FOLDER
#include "checks.hpp"
#include "condition_pool.hpp"
#include "malloc_shim.h"

#include <chrono>
#include <limits>

namespace {

constexpr std::size_t kLargest = 5;
constexpr std::size_t kNever = std::numeric_limits<std::size_t>::max();

rsquant::Shape with_batch(const rsquant::TensorInfo& info, std::int64_t batch) {
    std::vector<std::int64_t> dims(info.dims, info.dims + info.rank);
    for (std::int64_t& dim : dims) {
        dim = dim < 0 ? batch : dim;
    }
    return dims;
}

std::size_t elements(const rsquant::Shape& shape) {
    std::size_t count = 1;
    for (std::size_t axis = 0; axis < shape.rank(); ++axis) {
        count *= static_cast<std::size_t>(shape[axis]);
    }
    return count;
}

// Floats between -1 and 1 for each input of a graph, with `batch` wherever the graph leaves a dimension open.
struct Batch {
    Batch(const rsquant::Graph& graph, std::size_t batch) {
        std::uint32_t bits = 1;
        for (std::size_t i = 0; i < graph.input_count(); ++i) {
            shapes.push_back(with_batch(graph.input(i), static_cast<std::int64_t>(batch)));
            std::vector<float> values(elements(shapes.back()));
            for (float& value : values) {
                bits = bits * 1664525u + 1013904223u;
                value = static_cast<float>(bits >> 8) / 8388608.0f - 1.0f;
            }
            floats.push_back(std::move(values));
        }
        for (std::size_t i = 0; i < shapes.size(); ++i) {
            views.emplace_back(floats[i], shapes[i]);
        }
    }
    std::vector<rsquant::Shape> shapes;
    std::vector<std::vector<float>> floats;
    std::vector<rsquant::TensorView> views;
};

// Requests for memory while the session runs a batch.
std::size_t requests_of_a_run(rsquant::Session& session, const Batch& batch) {
    std::vector<std::vector<float>> outputs;
    std::vector<rsquant::TensorMut> places;
    for (std::size_t i = 0; i < session.output_count(); ++i) {
        const rsquant::Shape shape = session.output_shape(batch.shapes, i);
        outputs.emplace_back(elements(shape));
        places.emplace_back(outputs.back().data(), outputs.back().size(), shape);
    }
    malloc_shim_arm(kNever, kNever);
    session.run(batch.views.data(), batch.views.size(), places.data(), places.size());
    return malloc_shim_disarm();
}

// `replans`: another batch is another plan, so that what counts is the second run.
void check(rsquant::Session session, const rsquant::Graph& graph, bool replans, const std::string& what) {
    requests_of_a_run(session, Batch(graph, kLargest));
    std::size_t requests = 0;
    // A sequence of no steps is no sequence.
    for (std::size_t size = kLargest + 1; size-- > (replans ? 1 : 0);) {
        const Batch batch(graph, size);
        if (replans) {
            requests_of_a_run(session, batch);
        }
        requests += requests_of_a_run(session, batch);
    }
    EXPECT(requests == 0, "%s: %zu requests", what.c_str(), requests);
}

void check_network(const std::string& folder, const std::string& layers, bool replans, const rsquant::Context& context, const std::string& how) {
    const std::string name = folder.substr(folder.rfind('/') + 1) + ", " + how + ", ";
    const rsquant::Graph graph = rsquant::Graph::from_onnx_file(folder + "/model.onnx", context);
    rsquant::SessionOptions options;
    options.max_batch = kLargest;
    const auto of = [&](const rsquant::QConfig& qconfig, const char* kind) {
        rsquant::Prepared prepared = rsquant::Prepared::make(graph, qconfig, context);
        const Batch batch(graph, kLargest);
        prepared.calibrate(batch.views.data(), batch.views.size());
        check(rsquant::Session::make(prepared.convert(), options), graph, replans, name + kind);
    };
    check(rsquant::Session::make_float(graph, options, context), graph, replans, name + "float");
    of(rsquant::QConfig::default_dynamic(), "dynamic");
    if (!layers.empty()) {
        of(rsquant::QConfig::default_static(), "static");
        rsquant::QConfig mixed = rsquant::QConfig::default_static();
        rsquant::LayerQConfig dynamic;
        dynamic.precision = RSQ_PRECISION_INT8_DYNAMIC;
        mixed.set("op:" + layers, dynamic);
        of(mixed, "mixed");
    }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) {
        std::fprintf(stderr, "usage: run_allocates_nothing NETWORKS_FOLDER RECURRENT_FOLDER\n");
        return 2;
    }
    const std::string networks = argv[1], recurrent = argv[2];
    malloc_shim_arm(kNever, kNever);
    void* volatile probe = std::malloc(7);
    EXPECT(malloc_shim_disarm() == 1, "the counter counts");
    std::free(probe);
    ConditionPool pool(3);
    const std::pair<rsquant::ContextOptions, const char*> contexts[] = {
        {{1, RSQ_ISA_NONE, nullptr}, "1 thread"}, {{4, RSQ_ISA_NONE, nullptr}, "4 threads"}, {{0, RSQ_ISA_NONE, &pool}, "a caller's pool"}};
    for (const auto& [options, how] : contexts) {
        const rsquant::Context context = rsquant::Context::make(options);
        for (const char* name : {"resnet_like", "mobilenet_v3_like", "squeeze_excite"}) {
            check_network(networks + "/" + name, "Conv", false, context, how);
        }
        check_network(networks + "/mlp", "Gemm", false, context, how);
        for (const char* name : {"torch_lstm_layers", "torch_gru_layers"}) {
            check_network(recurrent + "/" + name, "", true, context, how);
        }
    }
    return failures() == 0 ? 0 : 1;
}
