// Runs on the caller's thread pool: one of a mutex and a condition, that serves several loops at once, in the order and on the number of
// threads that it likes.
#include "networks.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

using test::Resnet;

namespace {

class QueuePool : public rsquant::ThreadPool {
public:
    // `promised` is what the library is told; `workers` threads serve, and whoever starts a loop helps.
    QueuePool(unsigned promised, unsigned workers, bool last_first = false, int late_microseconds = 0)
        : promised_(promised), last_first_(last_first), late_(late_microseconds) {
        for (unsigned i = 0; i < workers; ++i) {
            threads_.emplace_back([this] { serve(); });
        }
    }
    ~QueuePool() override {
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            leave_ = true;
        }
        changed_.notify_all();
        for (std::thread& thread : threads_) {
            thread.join();
        }
    }
    unsigned threads() const override { return promised_; }
    void parallel_for(std::size_t count, rsquant::Task task) override {
        ++loops;
        each(count, [task](std::size_t index) { task(index); });
    }
    // The host's own loops.
    void each(std::size_t count, std::function<void(std::size_t)> work) {
        Loop loop{std::move(work), count, 0, 0};
        std::unique_lock<std::mutex> lock(mutex_);
        waiting_.push_back(&loop);
        changed_.notify_all();
        while (loop.begun < loop.count) {
            one_task(lock, loop);
        }
        changed_.wait(lock, [&loop] { return loop.ended == loop.count; });
    }
    std::atomic<int> loops{0};

private:
    struct Loop {
        std::function<void(std::size_t)> work;
        std::size_t count, begun, ended;
    };
    void one_task(std::unique_lock<std::mutex>& lock, Loop& loop) {
        const std::size_t number = loop.begun++;
        if (loop.begun == loop.count) {
            for (auto place = waiting_.begin(); place != waiting_.end(); ++place) {
                if (*place == &loop) {
                    waiting_.erase(place);
                    break;
                }
            }
        }
        lock.unlock();
        loop.work(last_first_ ? loop.count - 1 - number : number);
        lock.lock();
        if (++loop.ended == loop.count) {
            changed_.notify_all();
        }
    }
    void serve() {
        std::unique_lock<std::mutex> lock(mutex_);
        for (;;) {
            changed_.wait(lock, [this] { return leave_ || !waiting_.empty(); });
            if (leave_) {
                return;
            }
            if (late_ > 0) {
                lock.unlock();
                std::this_thread::sleep_for(std::chrono::microseconds(late_));
                lock.lock();
            }
            if (!waiting_.empty()) {
                one_task(lock, *waiting_.front());
            }
        }
    }
    const unsigned promised_;
    const bool last_first_;
    const int late_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Loop*> waiting_;
    bool leave_ = false;
    std::vector<std::thread> threads_;
};

// A session of the model, calibrated once on the library's own thread.
struct Job {
    static std::vector<std::uint8_t> file() {
        static const std::vector<std::uint8_t> bytes = Resnet::model(rsquant::Context::make({1, RSQ_ISA_NONE, nullptr})).to_bytes();
        return bytes;
    }
    static rsquant::Session session(const rsquant::Context& context) {
        const std::vector<std::uint8_t> bytes = file();
        rsquant::SessionOptions options;
        options.max_batch = kLargest;
        return rsquant::Session::make(rsquant::Model::from_bytes(bytes.data(), bytes.size(), context), options);
    }
    static std::vector<float> expected(std::size_t batch) {
        rsquant::Session alone = session(rsquant::Context::make({1, RSQ_ISA_NONE, nullptr}));
        return test::run(alone, Resnet::images(batch, 5), batch);
    }
    static constexpr std::size_t kLargest = 6;
};

}  // namespace

TEST_CASE("a run is one loop of the caller's pool, with the same bits on any number of threads, in any order") {
    for (const std::size_t batch : {std::size_t{1}, std::size_t{2}, Job::kLargest}) {
        const std::vector<float> expected = Job::expected(batch), images = Resnet::images(batch, 5);
        for (const unsigned promised : {1u, 2u, 3u, 8u}) {
            for (const unsigned workers : {0u, 1u, 2u, promised}) {
                for (const bool last_first : {false, true}) {
                    for (const int late : {0, 40}) {
                        CAPTURE(batch);
                        CAPTURE(promised);
                        CAPTURE(workers);
                        QueuePool pool(promised, workers, last_first, late);
                        rsquant::Session session = Job::session(rsquant::Context::make({0, RSQ_ISA_NONE, &pool}));
                        pool.loops = 0;
                        for (int run = 0; run < 10; ++run) {
                            CHECK(test::run(session, images, batch) == expected);
                        }
                        CHECK(pool.loops == (promised == 1 ? 0 : 10));
                    }
                }
            }
        }
    }
}

TEST_CASE("sessions on several threads, and in tasks of the pool itself, share the pool") {
    const std::vector<float> expected = Job::expected(1), image = Resnet::images(1, 5);
    QueuePool pool(3, 2);
    const rsquant::Context context = rsquant::Context::make({0, RSQ_ISA_NONE, &pool});
    std::atomic<int> wrong{0}, runs{0};
    const auto some_runs = [&](std::size_t) {
        rsquant::Session session = Job::session(context);
        for (int run = 0; run < 50; ++run) {
            wrong += test::run(session, image, 1) != expected;
            ++runs;
        }
    };
    std::vector<std::thread> hosts;
    for (int i = 0; i < 3; ++i) {
        hosts.emplace_back([&] { some_runs(0); });
    }
    pool.each(6, some_runs);
    for (std::thread& host : hosts) {
        host.join();
    }
    CHECK(wrong == 0);
    CHECK(runs == 450);
}
