// Contract line 13, for the shared library as it is shipped: each request for memory that it makes in a whole job is refused in turn, by
// itself and with all that follow. The call ends with OUT_OF_MEMORY, leaks nothing, and succeeds when it is done again.
//
//     allocation_failure SQUEEZE_EXCITE_FOLDER
#include "checks.hpp"
#include "life.hpp"
#include "malloc_shim.h"

#include <link.h>

#include <limits>

namespace {

// What threads' queues and stacks may keep for the next call, in bytes.
constexpr long long kKept = 64 << 10;
// Steps that begin no threads and hand nothing to other ones leave nothing behind.
constexpr bool kAlone[Life::kSteps] = {false, true, true, true, false, true, false, true, true, false, false};

// Where the shared library's code lies.
int find_library(dl_phdr_info* info, std::size_t, void* found) {
    if (std::strstr(info->dlpi_name, "librsquant.so") == nullptr) {
        return 0;
    }
    std::uintptr_t end = 0;
    for (int i = 0; i < info->dlpi_phnum; ++i) {
        const auto& part = info->dlpi_phdr[i];
        if (part.p_type == PT_LOAD) {
            end = std::max<std::uintptr_t>(end, info->dlpi_addr + part.p_vaddr + part.p_memsz);
        }
    }
    malloc_shim_watch(info->dlpi_addr, end);
    *static_cast<bool*>(found) = true;
    return 1;
}

// Bytes that are allocated while this thread's message, which is memory that outlives a call, has a known length.
long long live_bytes() {
    EXPECT(rsq_convert(nullptr, nullptr) == RSQ_NULL_ARGUMENT, "NULL is refused");
    return malloc_shim_live_bytes();
}

// A step is done again after each refused request of so many; the last one that was refused is followed by one that works.
constexpr std::size_t kAgainEvery = 8;

struct Count {
    std::size_t refused = 0, completed = 0;
};

// Refuses each request of a step in turn; the step has been done when it returns.
Count refuse_each_request(Life& life, int step, bool all_from) {
    Count count;
    for (std::size_t number = 1;; ++number) {
        const long long before = live_bytes();
        malloc_shim_arm(number, all_from ? std::numeric_limits<std::size_t>::max() : number);
        const rsq_status status = life.step(step);
        const bool was_refused = malloc_shim_disarm() >= number;
        EXPECT(status == RSQ_OK || status == RSQ_OUT_OF_MEMORY, "%s, request %zu: status %d", Life::name(step), number, status);
        EXPECT(was_refused || status == RSQ_OK, "%s: status %d though nothing was refused", Life::name(step), status);
        if (status == RSQ_OK && !was_refused) {
            return count;
        }
        ++(status == RSQ_OK ? count.completed : count.refused);
        if (status != RSQ_OK && number % kAgainEvery == 0) {
            life.require(life.step(step), "the step when it is done again");
        }
        life.undo(step);
        const long long kept = live_bytes() - before;
        EXPECT(kept <= (kAlone[step] ? 0 : kKept), "%s, request %zu: %lld bytes leaked", Life::name(step), number, kept);
    }
}

}  // namespace

int main(int argc, char** argv) {
    bool found = false;
    if (argc != 2) {
        std::fprintf(stderr, "usage: allocation_failure SQUEEZE_EXCITE_FOLDER\n");
        return 2;
    }
    dl_iterate_phdr(find_library, &found);
    EXPECT(found, "the shared library is not there");
    const Network network(argv[1], {2, 3, 10, 11}, {2, 6, 8, 9});
    const Folder folder;
    Life first(linked_api(), network, folder / "model.rsq", 2);
    first.live();
    const std::vector<float> expected = first.output;
    const std::vector<char> model = Network::bytes_of(first.path());
    first.end();
    for (const bool all_from : {false, true}) {
        Life life(linked_api(), network, folder / "model.rsq", 2);
        const long long before = malloc_shim_live_bytes();
        std::size_t refused = 0, completed = 0;
        for (int step = 0; step < Life::kSteps; ++step) {
            std::fill(life.output.begin(), life.output.end(), 0.0f);
            const Count count = refuse_each_request(life, step, all_from);
            std::printf("%s, %s: %zu refused, %zu completed with the reserve's help\n", Life::name(step),
                        all_from ? "all from one on" : "one", count.refused, count.completed);
            refused += count.refused, completed += count.completed;
        }
        EXPECT(life.output == expected, "the job after all those failures gives other results");
        EXPECT(Network::bytes_of(life.path()) == model, "the job after all those failures gives another model");
        life.end();
        const long long kept = malloc_shim_live_bytes() - before;
        EXPECT(kept <= kKept, "%lld bytes leaked by the whole job", kept);
        EXPECT(refused > 1000 && completed <= refused / 100, "%zu refused, %zu completed", refused, completed);
        std::printf("%s: %zu requests refused, %lld bytes kept by idle threads\n", all_from ? "all from one on" : "one", refused, kept);
    }
    return failures() == 0 ? 0 : 1;
}
