// Versions, instruction sets, threads. Part of rsquant.hpp.
#ifndef RSQUANT_CONTEXT_HPP
#define RSQUANT_CONTEXT_HPP

#include "handle.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <string>

namespace rsquant {

using Roof = rsq_roof;

inline const char* version() { return rsq_version_string(); }
inline const char* isa_name(std::uint32_t isa) { return rsq_isa_name(isa); }
// The best instruction set of this CPU.
inline std::uint32_t isa_detected() { return rsq_isa_detected(); }
// The RSQ_ISA_ with that name; RSQ_ISA_NONE if there is none.
inline std::uint32_t isa_named(const std::string& name) {
    for (std::uint32_t isa = RSQ_ISA_PORTABLE; std::strcmp(rsq_isa_name(isa), "unknown") != 0; ++isa) {
        if (name == rsq_isa_name(isa)) {
            return isa;
        }
    }
    return RSQ_ISA_NONE;
}

// One task of a parallel loop: call it with each index once.
class Task {
public:
    Task(rsq_task_fn function, void* data) noexcept : function_(function), data_(data) {}
    void operator()(std::size_t index) const { function_(data_, index); }

private:
    rsq_task_fn function_;
    void* data_;
};

// A thread pool of the caller's, for ContextOptions.
class ThreadPool {
public:
    virtual ~ThreadPool() = default;
    // How many tasks a run has, and into how many parts a step is cut; at least 1.
    virtual unsigned threads() const = 0;
    // Calls task(i) once for each i in 0..count, on any threads, in any order, and returns when all calls have returned. A run is
    // one loop; a task waits only for work that another task has begun (rsq_parallel_for_fn tells more). Called from any thread
    // that runs a session, from several at once. If it throws, the library does what is left to do, and the
    // exception goes on from the call that ran the session; no task may be called any more then.
    virtual void parallel_for(std::size_t count, Task task) = 0;
};

// What a context tells instead of printing, for ContextOptions.
class LogListener {
public:
    virtual ~LogListener() = default;
    // `level` is an RSQ_LOG_. Called on the thread of the call that the message is about, before that returns; from several threads at
    // once where calls are made at once. It must not use the objects of the call. If it throws, the call does its work, and the
    // exception goes on from it.
    virtual void on_message(std::uint32_t level, const char* message) = 0;
};

namespace detail {

extern "C" inline void rsquant_hpp_log(void* listener, std::uint32_t level, const char* message) {
#ifdef RSQUANT_NO_EXCEPTIONS
    static_cast<LogListener*>(listener)->on_message(level, message);
#else
    try {
        static_cast<LogListener*>(listener)->on_message(level, message);
    } catch (...) {
        callback_exception = std::current_exception();
    }
#endif
}

extern "C" inline void rsquant_hpp_parallel_for(void* pool, std::size_t count, rsq_task_fn task, void* task_data) {
#ifdef RSQUANT_NO_EXCEPTIONS
    static_cast<ThreadPool*>(pool)->parallel_for(count, Task(task, task_data));
#else
    try {
        static_cast<ThreadPool*>(pool)->parallel_for(count, Task(task, task_data));
    } catch (...) {
        callback_exception = std::current_exception();
    }
#endif
}

}  // namespace detail

struct ContextOptions {
    unsigned threads = 0;                   // of a team of the library's own; 0: as many as the process may use
    std::uint32_t max_isa = RSQ_ISA_NONE;   // the best RSQ_ISA_ to use; RSQ_ISA_NONE: the best there is
    ThreadPool* pool = nullptr;             // instead of a team; must outlive whatever is made with the context
    LogListener* log = nullptr;             // told messages; must outlive whatever is made with the context
    std::uint32_t log_level = RSQ_LOG_INFO; // the least important that is told
    std::size_t memory_limit = 0;           // bytes that what is made with the context may hold together; 0: no limit
};

// Who computes, and on which instruction set. An empty one is the default.
class Context : public Handle<rsq_context, rsq_context_free> {
public:
    using Handle::Handle;
    static Outcome<Context> make(const ContextOptions& options) {
        rsq_context_options c{};
        c.struct_size = sizeof c;
        c.max_isa = options.max_isa;
        c.threads = options.threads;
        c.memory_limit = options.memory_limit;
        if (options.log != nullptr) {
            c.log = detail::rsquant_hpp_log;
            c.log_data = options.log;
            c.log_level = options.log_level;
        }
        if (options.pool != nullptr) {
            c.pool_threads = options.pool->threads();
            c.parallel_for = detail::rsquant_hpp_parallel_for;
            c.pool = options.pool;
        }
        return detail::make<Context>(rsq_context_new, &c);
    }
    // Bytes that count to the limit now.
    Outcome<std::size_t> memory_bytes() const {
        std::size_t out = 0;
        const rsq_status status = rsq_context_memory_bytes(get(), &out);
        return detail::finish(status, std::size_t{out});
    }
    // What its threads can do at most, measured: takes about 0.1 s.
    Outcome<Roof> measure_roof() const {
        Roof out{};
        out.struct_size = sizeof out;
        const rsq_status status = rsq_measure_roof(get(), &out);
        return detail::finish(status, std::move(out));
    }
};

}  // namespace rsquant

#endif  // RSQUANT_CONTEXT_HPP
