// Contract line 17: a whole job, and calls that fail, change nothing of the process but its memory: no signal's handler and no mask,
// no variable of the environment, no working directory, no float control, no umask, and nothing is written to stdout or stderr.
//
//     quiet_host NETWORK_FOLDER
#include "checks.hpp"
#include "life.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cfenv>
#include <csignal>
#include <map>

extern char** environ;

namespace {

// What a process has that a library might change.
struct State {
    std::vector<struct sigaction> actions;
    sigset_t mask{};
    std::vector<std::string> environment;
    std::vector<char*> environment_places;
    std::string folder = std::filesystem::current_path().string();
    int rounding = std::fegetround();
    mode_t file_mask;

    State() {
        for (int number = 1; number < NSIG; ++number) {
            struct sigaction action{};
            sigaction(number, nullptr, &action);
            actions.push_back(action);
        }
        pthread_sigmask(SIG_SETMASK, nullptr, &mask);
        for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
            environment.emplace_back(*variable);
            environment_places.push_back(*variable);
        }
        file_mask = umask(0);
        umask(file_mask);
    }
};

void compare(const State& before, const State& after) {
    for (std::size_t i = 0; i < before.actions.size(); ++i) {
        const struct sigaction &was = before.actions[i], &is = after.actions[i];
        EXPECT(was.sa_handler == is.sa_handler && was.sa_flags == is.sa_flags, "the action of signal %zu changed", i + 1);
        EXPECT(sigismember(&before.mask, static_cast<int>(i) + 1) == sigismember(&after.mask, static_cast<int>(i) + 1),
               "signal %zu is blocked or no longer", i + 1);
    }
    EXPECT(before.environment == after.environment && before.environment_places == after.environment_places, "the environment changed");
    EXPECT(before.folder == after.folder, "the working directory is %s", after.folder.c_str());
    EXPECT(before.rounding == after.rounding, "the rounding mode changed");
    EXPECT(before.file_mask == after.file_mask, "the umask changed");
}

// Calls that fail in every way that has a message.
void fail(const Network& network, const Folder& folder) {
    rsq_graph* graph = nullptr;
    rsq_model* model = nullptr;
    EXPECT(rsq_graph_from_onnx_bytes(nullptr, network.onnx.data(), network.onnx.size() / 2, &graph) != RSQ_OK, "half a file");
    EXPECT(rsq_graph_from_onnx_file(nullptr, (folder / "absent").c_str(), &graph) == RSQ_IO, "no file");
    EXPECT(rsq_model_from_bytes(nullptr, network.onnx.data(), network.onnx.size(), &model) != RSQ_OK, "another file");
    EXPECT(rsq_run(nullptr, nullptr, 1, nullptr, 1) == RSQ_NULL_ARGUMENT, "NULL");
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: quiet_host NETWORK_FOLDER\n");
        return 2;
    }
    const Network network(argv[1]);
    const Folder folder;
    const std::string log = folder / "log";
    const int saved[] = {dup(STDOUT_FILENO), dup(STDERR_FILENO)};
    const int file = open(log.c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600);
    dup2(file, STDOUT_FILENO);
    dup2(file, STDERR_FILENO);
    // A handler and a mask of the host's own are left as they are, too.
    std::signal(SIGPIPE, SIG_DFL);
    std::signal(SIGUSR1, SIG_IGN);
    sigset_t blocked;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
    std::fesetround(FE_UPWARD);

    const State before;
    {
        Life life(linked_api(), network, folder / "model.rsq", 3);
        life.live();
        fail(network, folder);
        compare(before, State());
    }
    compare(before, State());

    dup2(saved[0], STDOUT_FILENO);
    dup2(saved[1], STDERR_FILENO);
    const std::vector<char> written = Network::bytes_of(log);
    EXPECT(written.empty(), "the library wrote: %.*s", static_cast<int>(written.size()), written.data());
    return failures() == 0 ? 0 : 1;
}
