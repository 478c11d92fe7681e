// Contract line 16: a library that is opened, used and closed a hundred times, by threads that end meanwhile, crashes nothing and
// always gives the same results.
//
//     dlopen_100 LIBRARY NETWORK_FOLDER
#include "checks.hpp"
#include "life.hpp"

#include <thread>

int main(int argc, char** argv) {
    if (argc != 3) {
        std::fprintf(stderr, "usage: dlopen_100 LIBRARY NETWORK_FOLDER\n");
        return 2;
    }
    const Network network(argv[2]);
    const Folder folder;
    std::vector<float> expected;
    for (int round = 0; round < 100; ++round) {
        void* library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
        EXPECT(library != nullptr, "%s", dlerror());
        if (library == nullptr) {
            return 1;
        }
        const Api api = api_of(library);
        std::vector<float> output;
        // Every other round on a thread that ends before the library is closed, whose thread-locals go then.
        const auto job = [&] {
            Life life(api, network, folder / "model.rsq", 2);
            life.live();
            output = life.output;
        };
        if (round % 2 == 0) {
            job();
        } else {
            std::thread(job).join();
        }
        if (round == 0) {
            expected = output;
        }
        EXPECT(output == expected, "round %d gives other results", round);
        EXPECT(dlclose(library) == 0, "%s", dlerror());
    }
    return failures() == 0 ? 0 : 1;
}
