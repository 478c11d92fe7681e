// Contract lines 16 and 17: where the process may have so much address space and no more, where threads are refused, and for each value of
// RSQ_MAX_ISA, a whole job works or ends with a status; what works gives the same results.
//
//     address_space NETWORK_FOLDER
#include "checks.hpp"
#include "life.hpp"

#include <pthread.h>
#include <sys/resource.h>

#include <atomic>
#include <cerrno>

namespace {

// How many more threads there may be.
std::atomic<int> threads_left{1 << 20};
std::atomic<int> threads_refused{0};

std::size_t pages_now() {
    std::size_t pages = 0;
    std::FILE* file = std::fopen("/proc/self/statm", "r");
    if (file == nullptr || std::fscanf(file, "%zu", &pages) != 1) {
        std::exit(1);
    }
    std::fclose(file);
    return pages;
}

// What a child ends with.
enum { kWorked = 0, kStatus = 3, kOther = 4 };

// All steps that can be done; each works or is out of memory.
int job(const Network& network, const std::string& path, const std::vector<float>& expected, rsq_status allowed) {
    Life life(linked_api(), network, path, 4);
    for (int step = 0; step < Life::kSteps; ++step) {
        const rsq_status status = life.step(step);
        if (status != RSQ_OK) {
            return status == allowed ? kStatus : kOther;
        }
    }
    return life.output == expected ? kWorked : kOther;
}

// Limits from just above what the process has to enough.
void limited_address_space(const Network& network, const Folder& folder, const std::vector<float>& expected) {
    int worked = 0, refused = 0;
    for (std::size_t megabytes = 0; megabytes <= 96; ++megabytes) {
        const int status = status_in_a_child([&] {
            const rlim_t bytes = pages_now() * static_cast<rlim_t>(sysconf(_SC_PAGESIZE)) + (megabytes << 20);
            const rlimit limit{bytes, bytes};
            if (setrlimit(RLIMIT_AS, &limit) != 0) {
                return static_cast<int>(kOther);
            }
            return job(network, folder / "model.rsq", expected, RSQ_OUT_OF_MEMORY);
        });
        EXPECT(WIFEXITED(status) && WEXITSTATUS(status) != kOther, "%zu MB more: signal %d, exit %d", megabytes, WTERMSIG(status), WEXITSTATUS(status));
        worked += ended_well(status), refused += WIFEXITED(status) && WEXITSTATUS(status) == kStatus;
    }
    std::printf("limits of the address space: %d jobs worked, %d ended with OUT_OF_MEMORY\n", worked, refused);
    EXPECT(worked > 0 && refused > 0, "%d worked, %d were refused", worked, refused);
}

void refused_threads(const Network& network, const Folder& folder, const std::vector<float>& expected) {
    for (const int left : {0, 1, 2, 3}) {
        const int status = status_in_a_child([&] {
            threads_left = left;
            const int result = job(network, folder / "model.rsq", expected, RSQ_OK);
            return threads_refused > 0 ? result : static_cast<int>(kOther);
        });
        EXPECT(ended_well(status), "%d threads: signal %d, exit %d", left, WTERMSIG(status), WEXITSTATUS(status));
    }
}

void every_max_isa(const Network& network, const Folder& folder, const std::vector<float>& expected) {
    for (const char* name : {"portable", "avx2", "avx_vnni", "avx512_vnni", "amx_int8"}) {
        const int status = status_in_a_child([&] {
            setenv("RSQ_MAX_ISA", name, 1);
            return job(network, folder / "model.rsq", expected, RSQ_OK);
        });
        EXPECT(ended_well(status), "%s: signal %d, exit %d", name, WTERMSIG(status), WEXITSTATUS(status));
    }
    for (const char* name : {"", "avx1024", "AVX2", "portable "}) {
        const int status = status_in_a_child([&] {
            setenv("RSQ_MAX_ISA", name, 1);
            return job(network, folder / "model.rsq", expected, RSQ_INVALID_ARGUMENT);
        });
        const bool fits = WIFEXITED(status) && (WEXITSTATUS(status) == kStatus || (*name == '\0' && WEXITSTATUS(status) == kWorked));
        EXPECT(fits, "\"%s\": signal %d, exit %d", name, WTERMSIG(status), WEXITSTATUS(status));
    }
}

}  // namespace

// In place of the C library's: counts, and refuses where it is told to.
extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*start)(void*), void* argument) {
    using Create = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
    static const Create create = reinterpret_cast<Create>(dlsym(RTLD_NEXT, "pthread_create"));
    if (threads_left.fetch_sub(1) <= 0) {
        ++threads_refused;
        return EAGAIN;
    }
    return create(thread, attributes, start, argument);
}

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: address_space NETWORK_FOLDER\n");
        return 2;
    }
    const Network network(argv[1]);
    const Folder folder;
    std::vector<float> expected;
    // This process makes no threads, so that its children are as a host that has not used the library.
    {
        const std::string path = folder / "expected";
        const int status = status_in_a_child([&] {
            Life life(linked_api(), network, folder / "model.rsq", 4);
            life.live();
            std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(life.output.data()),
                                                        static_cast<std::streamsize>(life.output.size() * sizeof(float)));
            return 0;
        });
        EXPECT(ended_well(status), "a job without limits");
        expected = Network::floats_of(path);
    }
    limited_address_space(network, folder, expected);
    refused_threads(network, folder, expected);
    every_max_isa(network, folder, expected);
    return failures() == 0 ? 0 : 1;
}
