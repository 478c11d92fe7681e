// Contract line 15: eight sessions of one model on eight threads give the results of one thread, for as long as asked; a session that
// two threads use at once is BUSY for one of them and writes nothing; and no thread burns anything once a run has returned.
//
//     sessions NETWORK_FOLDER [SECONDS]
#include "checks.hpp"
#include "life.hpp"

#include <atomic>
#include <chrono>
#include <ctime>
#include <thread>

namespace {

rsq_status run(rsq_session* session, const Life& life, std::vector<float>& output) {
    const rsq_tensor_view view = life.input_view();
    const rsq_tensor_mut result = life.output_view(output);
    return rsq_run(session, &view, 1, &result, 1);
}

void eight_sessions(const Life& life, double seconds) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
    std::atomic<std::size_t> runs{0}, wrong{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i) {
        threads.emplace_back([&] {
            rsq_session* session = nullptr;
            life.require(rsq_session_new(life.model(), nullptr, &session), "rsq_session_new");
            std::vector<float> output(life.output.size());
            do {
                std::fill(output.begin(), output.end(), 0.0f);
                life.require(run(session, life, output), "rsq_run");
                wrong += output != life.output;
                ++runs;
            } while (std::chrono::steady_clock::now() < end);
            rsq_session_free(session);
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    std::printf("8 sessions on 8 threads: %zu runs in %g s, %zu of them wrong\n", runs.load(), seconds, wrong.load());
    EXPECT(wrong == 0, "%zu of %zu runs", wrong.load(), runs.load());
}

void one_session_at_once(const Life& life) {
    std::atomic<int> done{0}, busy{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; ++i) {
        threads.emplace_back([&] {
            std::vector<float> output(life.output.size());
            while (busy < 10 || done < 10) {
                std::fill(output.begin(), output.end(), -7.0f);
                const rsq_status status = run(life.session(), life, output);
                if (status == RSQ_OK) {
                    EXPECT(output == life.output, "a wrong result beside a second caller");
                    ++done;
                } else {
                    EXPECT(status == RSQ_BUSY, "status %d", status);
                    EXPECT(output == std::vector<float>(output.size(), -7.0f), "an output was written by a run that was refused");
                    ++busy;
                }
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
}

double cpu_seconds() {
    timespec time{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

// CPU time, not time: other processes do not matter.
void idleness(Life& life) {
    life.require(life.run(), "rsq_run");
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    const double before = cpu_seconds();
    std::this_thread::sleep_for(std::chrono::seconds(1));
    const double burnt = cpu_seconds() - before;
    std::printf("an idle second costs %.3f ms of CPU\n", 1e3 * burnt);
    EXPECT(burnt <= 1e-3, "%g s of CPU in an idle second", burnt);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2 || argc > 3) {
        std::fprintf(stderr, "usage: sessions NETWORK_FOLDER [SECONDS]\n");
        return 2;
    }
    const Network network(argv[1]);
    const Folder folder;
    Life life(linked_api(), network, folder / "model.rsq", 4);
    life.live();
    eight_sessions(life, argc == 3 ? std::atof(argv[2]) : 2.0);
    one_session_at_once(life);
    idleness(life);
    return failures() == 0 ? 0 : 1;
}
