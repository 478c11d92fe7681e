// A thread pool as a host may have one: a mutex, a condition, threads that sleep between loops.
#pragma once

#include <rsquant.hpp>

#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

class ConditionPool : public rsquant::ThreadPool {
public:
    // The calling thread is one of `threads`.
    explicit ConditionPool(unsigned threads) {
        for (unsigned i = 1; i < threads; ++i) {
            members_.emplace_back([this] { serve(); });
        }
    }
    ~ConditionPool() override {
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            leave_ = true;
        }
        begun_.notify_all();
        for (std::thread& member : members_) {
            member.join();
        }
    }
    unsigned threads() const override { return static_cast<unsigned>(members_.size()) + 1; }
    // One loop at a time.
    void parallel_for(std::size_t count, rsquant::Task task) override {
        std::unique_lock<std::mutex> lock(mutex_);
        task_ = &task, next_ = 0, count_ = count, running_ = 0;
        begun_.notify_all();
        work(lock);
        ended_.wait(lock, [this] { return running_ == 0; });
        task_ = nullptr;
    }

private:
    void work(std::unique_lock<std::mutex>& lock) {
        while (task_ != nullptr && next_ < count_) {
            const std::size_t index = next_++;
            const rsquant::Task task = *task_;
            ++running_;
            lock.unlock();
            task(index);
            lock.lock();
            if (--running_ == 0 && next_ >= count_) {
                ended_.notify_one();
            }
        }
    }
    void serve() {
        std::unique_lock<std::mutex> lock(mutex_);
        while (!leave_) {
            work(lock);
            begun_.wait(lock, [this] { return leave_ || (task_ != nullptr && next_ < count_); });
        }
    }
    std::mutex mutex_;
    std::condition_variable begun_, ended_;
    const rsquant::Task* task_ = nullptr;
    std::size_t next_ = 0, count_ = 0, running_ = 0;
    bool leave_ = false;
    std::vector<std::thread> members_;
};
