// What owns an object of the C API, and how one is made and described. Part of rsquant.hpp.
#ifndef RSQUANT_HANDLE_HPP
#define RSQUANT_HANDLE_HPP

#include "outcome.hpp"

#include <cstddef>
#include <string>
#include <utility>

namespace rsquant {

namespace detail {

// An info struct of the C API, asked for by index.
template <typename Info, typename Handle>
Outcome<Info> info(rsq_status (*ask)(const Handle*, std::size_t, Info*), const Handle* handle, std::size_t index) {
    Info out{};
    out.struct_size = sizeof out;
    const rsq_status status = ask(handle, index, &out);
    return finish(status, std::move(out));
}

// The index of what has that name.
template <typename Handle>
Outcome<std::size_t> index_of(rsq_status (*ask)(const Handle*, const char*, std::size_t*), const Handle* handle, const std::string& name) {
    std::size_t out = 0;
    const rsq_status status = ask(handle, name.c_str(), &out);
    return finish(status, std::size_t{out});
}

// An object made by a function of the C API, whose last parameter is the place for it.
template <typename Object, typename Function, typename... Args>
Outcome<Object> make(Function function, Args... args) {
    decltype(std::declval<Object>().get()) out = nullptr;
    const rsq_status status = function(args..., &out);
    return finish(status, Object(out));
}

}  // namespace detail

// Owns one object of the C API.
template <typename C, void (*Free)(C*)>
class Handle {
public:
    Handle() = default;
    explicit Handle(C* handle) noexcept : handle_(handle) {}
    Handle(Handle&& other) noexcept : handle_(other.release()) {}
    Handle& operator=(Handle&& other) noexcept {
        if (this != &other) {
            Free(std::exchange(handle_, other.release()));
        }
        return *this;
    }
    ~Handle() { Free(handle_); }

    C* get() const noexcept { return handle_; }
    // Gives the object away: the caller frees it.
    C* release() noexcept { return std::exchange(handle_, nullptr); }
    explicit operator bool() const noexcept { return handle_ != nullptr; }

private:
    C* handle_ = nullptr;
};

}  // namespace rsquant

#endif  // RSQUANT_HANDLE_HPP
