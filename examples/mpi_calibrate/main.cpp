// Calibrates a model on many processes at once: each shows its observers a shard of CIFAR-10, the statistics are merged up a binary tree
// of messages, and rank 0 makes the int8 model. The file is the same, byte for byte, for every number of processes.
//
//   mpirun -n 4 mpi_calibrate MODEL.onnx DATA_DIR OUT.rsq [IMAGES [BATCH]]
#include "cifar10.hpp"
#include "preprocess.hpp"

#include <rsquant.hpp>

#include <mpi.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

constexpr int kStateTag = 1;
constexpr std::int64_t kOpenSide = 224;  // pixels, where the model leaves height or width open

struct Options {
    std::string model, data_dir, out;
    std::size_t images = 512;  // in all
    std::size_t batch = 16;
};

struct Rank {
    int index = 0;
    int count = 1;
};

std::size_t number(const char* text) {
    char* end = nullptr;
    const unsigned long value = std::strtoul(text, &end, 10);
    if (end == text || *end != '\0' || value == 0) {
        throw std::runtime_error(std::string("\"") + text + "\" is no number above 0");
    }
    return value;
}

Options parse(int argc, char** argv) {
    if (argc < 4 || argc > 6) {
        throw std::runtime_error("usage: mpi_calibrate MODEL.onnx DATA_DIR OUT.rsq [IMAGES [BATCH]]");
    }
    Options options;
    options.model = argv[1];
    options.data_dir = argv[2];
    options.out = argv[3];
    options.images = argc > 4 ? number(argv[4]) : options.images;
    options.batch = argc > 5 ? number(argv[5]) : options.batch;
    return options;
}

// Shows `prepared` this rank's images: the shards of all ranks are neighbours, and their sizes differ by one at most.
void calibrate_shard(rsquant::Prepared& prepared, const harness::Images& images, const Rank& rank, std::size_t batch, int height, int width) {
    const std::size_t first = images.count() * rank.index / rank.count;
    const std::size_t end = images.count() * (rank.index + 1) / rank.count;
    const harness::Preprocess preprocess(width, height, 1);
    std::vector<float> floats(std::min(batch, images.count()) * preprocess.floats_per_image());
    for (std::size_t at = first; at < end; at += batch) {
        const std::size_t count = std::min(batch, end - at);
        preprocess.run(images, at, count, floats.data());
        prepared.calibrate({floats.data(), count * preprocess.floats_per_image(), {static_cast<std::int64_t>(count), 3, height, width}});
    }
    std::fprintf(stderr, "rank %d of %d: images %zu to %zu\n", rank.index, rank.count, first, end);
}

void send_state(const std::vector<std::uint8_t>& state, int to) {
    if (state.size() > static_cast<std::size_t>(std::numeric_limits<int>::max())) {
        throw std::runtime_error("the statistics are too large for one message");
    }
    MPI_Send(state.data(), static_cast<int>(state.size()), MPI_BYTE, to, kStateTag, MPI_COMM_WORLD);
}

std::vector<std::uint8_t> receive_state(int from) {
    MPI_Status status;
    int size = 0;
    MPI_Probe(from, kStateTag, MPI_COMM_WORLD, &status);
    MPI_Get_count(&status, MPI_BYTE, &size);
    std::vector<std::uint8_t> state(static_cast<std::size_t>(size));
    MPI_Recv(state.data(), size, MPI_BYTE, from, kStateTag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    return state;
}

// Merges the statistics of all ranks into those of rank 0, in as many rounds as the number of ranks has binary digits.
void reduce(rsquant::Prepared& prepared, const Rank& rank) {
    for (int step = 1; step < rank.count; step *= 2) {
        if (rank.index % (2 * step) != 0) {
            send_state(prepared.calibration_bytes(), rank.index - step);
            return;
        }
        if (rank.index + step < rank.count) {
            const std::vector<std::uint8_t> state = receive_state(rank.index + step);
            prepared.merge_calibration(state.data(), state.size());
        }
    }
}

void run(const Options& options, const Rank& rank) {
    rsquant::ContextOptions context_options;
    context_options.threads = 1;  // the ranks are the threads
    const rsquant::Context context = rsquant::Context::make(context_options);
    const rsquant::Graph graph = rsquant::Graph::from_onnx_file(options.model, context);
    const rsquant::TensorInfo input = graph.input(0);
    if (graph.input_count() != 1 || input.rank != 4) {
        throw std::runtime_error(options.model + " has other inputs than one of images [n, 3, h, w]");
    }
    const std::int64_t height = input.dims[2] > 0 ? input.dims[2] : kOpenSide, width = input.dims[3] > 0 ? input.dims[3] : kOpenSide;
    rsquant::Prepared prepared =
        rsquant::Prepared::make(graph, rsquant::QConfig::default_static(), context, {rsquant::Shape{1, 3, height, width}});
    const harness::Images images = harness::read_cifar10(options.data_dir, harness::Split::train, options.images);
    calibrate_shard(prepared, images, rank, options.batch, static_cast<int>(height), static_cast<int>(width));
    reduce(prepared, rank);
    if (rank.index == 0) {
        const rsquant::Model model = prepared.convert();
        model.save(options.out);
        const std::uint64_t samples = prepared.samples();
        std::printf("%s: calibrated on %llu images by %d ranks\n", options.out.c_str(), static_cast<unsigned long long>(samples), rank.count);
    }
}

}  // namespace

int main(int argc, char** argv) {
    MPI_Init(&argc, &argv);
    Rank rank;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank.index);
    MPI_Comm_size(MPI_COMM_WORLD, &rank.count);
    try {
        run(parse(argc, argv), rank);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "rank %d: %s\n", rank.index, error.what());
        MPI_Abort(MPI_COMM_WORLD, 1);  // the others would wait for this rank's statistics
    }
    MPI_Finalize();
    return 0;
}
