// Processes that map one model share its pages: each has of its own no more than its session's memory and 3 MB.
//
//     shared_pages MODEL.rsq|NETWORK_FOLDER PROCESSES
#include "checks.hpp"
#include "life.hpp"

#include <fcntl.h>
#include <spawn.h>

#include <algorithm>
#include <numeric>

extern char** environ;

namespace {

// Loads the model, runs it once, tells the session's memory, and waits to be looked at.
int be_a_process(const char* path) {
    rsq_model* model = nullptr;
    rsq_session* session = nullptr;
    if (rsq_model_load(nullptr, path, &model) != RSQ_OK || rsq_session_new(model, nullptr, &session) != RSQ_OK) {
        return 1;
    }
    rsq_tensor_info in{};
    in.struct_size = sizeof in;
    if (rsq_model_input_info(model, 0, &in) != RSQ_OK) {
        return 1;
    }
    std::replace_if(in.dims, in.dims + in.rank, [](std::int64_t dim) { return dim < 0; }, 1);
    const rsq_shape shape = {in.dims, in.rank};
    std::int64_t out_dims[RSQ_MAX_RANK];
    std::uint32_t out_rank = 0;
    if (rsq_session_output_shape(session, &shape, 1, 0, out_dims, &out_rank) != RSQ_OK) {
        return 1;
    }
    const auto floats = [](const std::int64_t* dims, std::uint32_t rank) {
        return static_cast<std::size_t>(std::accumulate(dims, dims + rank, std::int64_t{1}, std::multiplies<>()));
    };
    {
        std::vector<float> input(floats(in.dims, in.rank), 0.25f), output(floats(out_dims, out_rank));
        const rsq_tensor_view view = {input.data(), input.size() * sizeof(float), RSQ_DTYPE_F32, in.rank, in.dims, nullptr};
        const rsq_tensor_mut result = {output.data(), output.size() * sizeof(float), RSQ_DTYPE_F32, out_rank, out_dims, nullptr};
        if (rsq_run(session, &view, 1, &result, 1) != RSQ_OK) {
            return 1;
        }
    }
    std::printf("%zu\n", rsq_session_memory_bytes(session));
    std::fflush(stdout);
    return std::getchar() == EOF ? 0 : 1;
}

struct Process {
    pid_t id = 0;
    std::FILE* told = nullptr;
    int hold = -1;
    std::size_t arena = 0, pss = 0, private_dirty = 0;
};

Process start(const char* program, const std::string& path) {
    int in[2], out[2];
    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) {
        std::exit(1);
    }
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    const char* const arguments[] = {program, "--process", path.c_str(), nullptr};
    Process process;
    if (posix_spawn(&process.id, program, &actions, nullptr, const_cast<char* const*>(arguments), environ) != 0) {
        std::exit(1);
    }
    posix_spawn_file_actions_destroy(&actions);
    close(in[0]);
    close(out[1]);
    process.hold = in[1], process.told = fdopen(out[0], "r");
    if (std::fscanf(process.told, "%zu", &process.arena) != 1) {
        std::fprintf(stderr, "a process ended early\n");
        std::exit(1);
    }
    return process;
}

void look_at(Process& process) {
    std::ifstream rollup("/proc/" + std::to_string(process.id) + "/smaps_rollup");
    std::string word;
    while (rollup >> word) {
        std::size_t kilobytes = 0;
        if (word == "Pss:" && rollup >> kilobytes) process.pss = kilobytes << 10;
        if (word == "Private_Dirty:" && rollup >> kilobytes) process.private_dirty = kilobytes << 10;
    }
}

double megabytes(std::size_t bytes) { return static_cast<double>(bytes) / 1e6; }

}  // namespace

int main(int argc, char** argv) {
    if (argc == 3 && std::strcmp(argv[1], "--process") == 0) {
        return be_a_process(argv[2]);
    }
    const int count = argc == 3 ? std::atoi(argv[2]) : 0;
    if (count < 2) {
        std::fprintf(stderr, "usage: shared_pages MODEL.rsq|NETWORK_FOLDER PROCESSES\n");
        return 2;
    }
    const Folder folder;
    std::string path = argv[1];
    if (std::filesystem::is_directory(path)) {
        const Network network(path);
        Life life(linked_api(), network, folder / "model.rsq");
        life.live();
        path = life.path() + ".kept";
        std::filesystem::copy_file(life.path(), path);
    }
    std::vector<Process> processes;
    for (int i = 0; i < count; ++i) {
        processes.push_back(start(argv[0], path));
    }
    std::for_each(processes.begin(), processes.end(), look_at);
    const auto less = [](std::size_t Process::* member) { return [=](const Process& a, const Process& b) { return a.*member < b.*member; }; };
    const Process pss = *std::max_element(processes.begin(), processes.end(), less(&Process::pss));
    const Process dirty = *std::max_element(processes.begin(), processes.end(), less(&Process::private_dirty));
    std::printf("%d processes, a model of %.1f MB, sessions of %.2f MB: at most %.2f MB Pss, %.2f MB Private_Dirty each\n", count,
                megabytes(std::filesystem::file_size(path)), megabytes(pss.arena), megabytes(pss.pss), megabytes(dirty.private_dirty));
    EXPECT(pss.pss > 0, "nothing was read from smaps_rollup");
    EXPECT(pss.pss <= pss.arena + 3000000, "%zu bytes of Pss where the session has %zu", pss.pss, pss.arena);
    EXPECT(dirty.private_dirty <= dirty.arena + 3000000, "%zu bytes of its own where the session has %zu", dirty.private_dirty, dirty.arena);
    for (Process& process : processes) {
        close(process.hold);
        int status = 0;
        waitpid(process.id, &status, 0);
        EXPECT(ended_well(status), "a process ended with %d", status);
    }
    return failures() == 0 ? 0 : 1;
}
