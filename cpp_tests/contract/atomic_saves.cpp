// Contract line 18: a disk that is full and a process that is killed leave the old file, of models as of statistics.
//
//     atomic_saves NETWORK_FOLDER
#include "checks.hpp"
#include "life.hpp"

#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <random>
#include <thread>

namespace {

using Bytes = std::vector<char>;

void write(const std::string& path, const Bytes& bytes) {
    std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

std::size_t files_in(const std::string& folder) {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        count += entry.exists();
    }
    return count;
}

// Saves that cannot be: the old files stay, and no other appears.
void full(Life& life, const Bytes& old, const char* what) {
    const std::string folder = std::filesystem::path(life.path()).parent_path().string();
    const std::size_t files = files_in(folder);
    EXPECT(life.step(7) == RSQ_IO, "%s: the model was saved", what);
    EXPECT(life.step(5) == RSQ_IO, "%s: the statistics were saved", what);
    EXPECT(Network::bytes_of(life.path()) == old, "%s: the old model is gone", what);
    EXPECT(Network::bytes_of(life.statistics_path()) == old, "%s: the old statistics are gone", what);
    EXPECT(files_in(folder) == files, "%s: %zu files where %zu were", what, files_in(folder), files);
}

// Steps up to conversion, with an old file at both places.
void prepare(Life& life, const Bytes& old) {
    for (const int step : {0, 1, 2, 3, 4, 6}) {
        life.require(life.step(step), Life::name(step));
    }
    write(life.path(), old);
    write(life.statistics_path(), old);
}

void a_limit_of_file_sizes(const Network& network, const Folder& folder) {
    const int status = status_in_a_child([&] {
        std::signal(SIGXFSZ, SIG_IGN);
        Life life(linked_api(), network, folder / "limited.rsq");
        prepare(life, {'o', 'l', 'd'});
        for (const rlim_t bytes : {0, 1, 100, 4096}) {
            const rlimit limit{bytes, RLIM_INFINITY};
            setrlimit(RLIMIT_FSIZE, &limit);
            full(life, {'o', 'l', 'd'}, "a limit of file sizes");
        }
        return failures() == 0 ? 0 : 1;
    });
    EXPECT(ended_well(status), "signal %d, exit %d", WTERMSIG(status), WEXITSTATUS(status));
}

void a_full_disk(const Network& network, const Folder& folder) {
    constexpr int kSkipped = 77;
    const std::string disk = folder / "disk";
    std::filesystem::create_directory(disk);
    const int status = status_in_a_child([&] {
        // In a mount name space of this child's own, which goes with it.
        if (unshare(CLONE_NEWNS) != 0 || mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
            mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=16k") != 0) {
            std::printf("SKIPPED: a full disk: no file system can be mounted here: %s\n", std::strerror(errno));
            return kSkipped;
        }
        Life life(linked_api(), network, disk + "/model.rsq");
        prepare(life, {'o', 'l', 'd'});
        full(life, {'o', 'l', 'd'}, "a full disk");
        return failures() == 0 ? 0 : 1;
    });
    EXPECT(ended_well(status) || (WIFEXITED(status) && WEXITSTATUS(status) == kSkipped), "signal %d, exit %d", WTERMSIG(status), WEXITSTATUS(status));
}

// A child saves two models and their statistics in turn until it is killed; what is at the paths is one of them, whole.
void kills(const Network& network, const Folder& folder) {
    Network louder = network;
    for (float& value : louder.input) {
        value *= 3.0f;
    }
    const Network* networks[] = {&network, &louder};
    const std::string path = folder / "killed.rsq";
    Bytes models[2], statistics[2];
    for (int i = 0; i < 2; ++i) {
        Life life(linked_api(), *networks[i], path, 1);
        life.live();
        models[i] = Network::bytes_of(life.path()), statistics[i] = Network::bytes_of(life.statistics_path());
    }
    EXPECT(models[0] != models[1] && statistics[0] != statistics[1], "two models that differ");
    std::mt19937 random(18);
    int seen[2] = {0, 0};
    constexpr int kRounds = 60;
    for (int round = 0; round < kRounds; ++round) {
        int saving[2];
        if (pipe(saving) != 0) {
            std::exit(1);
        }
        std::fflush(nullptr);
        const pid_t child = fork();
        if (child == 0) {
            alarm(60);
            Life a(linked_api(), network, path, 1), b(linked_api(), louder, path, 1);
            Life* lives[] = {&a, &b};
            for (Life* life : lives) {
                for (const int step : {0, 1, 2, 3, 4, 6}) {
                    life->require(life->step(step), Life::name(step));
                }
            }
            if (::write(saving[1], "x", 1) != 1) {
                _exit(1);
            }
            for (unsigned turn = 0;; ++turn) {
                lives[turn % 2]->require(lives[turn % 2]->step(7), "rsq_model_save");
                lives[turn % 2]->require(lives[turn % 2]->step(5), "rsq_calibration_save");
            }
        }
        char begun = 0;
        EXPECT(read(saving[0], &begun, 1) == 1, "round %d: the child did not begin", round);
        std::this_thread::sleep_for(std::chrono::microseconds(random() % 20000));
        kill(child, SIGKILL);
        int status = 0;
        waitpid(child, &status, 0);
        EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "round %d: the child ended by itself", round);
        close(saving[0]);
        close(saving[1]);
        const Bytes model = Network::bytes_of(path), state = Network::bytes_of(path + ".statistics");
        const int which = model == models[1];
        EXPECT(model == models[which], "round %d: a model of %zu bytes that nobody saved", round, model.size());
        EXPECT(state == statistics[0] || state == statistics[1], "round %d: statistics that nobody saved", round);
        ++seen[which];
    }
    std::printf("%d kills: %d times the one model, %d times the other\n", kRounds, seen[0], seen[1]);
    EXPECT(seen[0] > 0 && seen[1] > 0, "kills came at one point only");
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: atomic_saves NETWORK_FOLDER\n");
        return 2;
    }
    const Network network(argv[1]);
    const Folder folder;
    a_limit_of_file_sizes(network, folder);
    a_full_disk(network, folder);
    kills(network, folder);
    return failures() == 0 ? 0 : 1;
}
