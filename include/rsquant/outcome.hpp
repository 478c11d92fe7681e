// What calls give: a value, or why it failed. Part of rsquant.hpp.
#ifndef RSQUANT_OUTCOME_HPP
#define RSQUANT_OUTCOME_HPP

#include "../rsquant.h"

#include <cstddef>
#include <exception>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

namespace rsquant {

// Why a call failed: what() names the file, node, tensor or index.
class Error : public std::runtime_error {
public:
    Error(rsq_status status, const std::string& message) : std::runtime_error(message), status_(status) {}
    // One of the RSQ_ statuses.
    rsq_status status() const noexcept { return status_; }
    // Its name, such as "SHAPE_MISMATCH".
    const char* status_name() const noexcept { return rsq_status_name(status_); }

private:
    rsq_status status_;
};

#ifdef RSQUANT_NO_EXCEPTIONS
// A value or an error.
template <typename T>
class [[nodiscard]] Result {
public:
    Result(T value) : value_(std::move(value)) {}
    Result(Error error) : error_(std::move(error)) {}
    explicit operator bool() const noexcept { return value_.has_value(); }
    T& value() noexcept { return *value_; }                       // only if there is one
    const Error& error() const noexcept { return *error_; }      // only if there is no value

private:
    std::optional<T> value_;
    std::optional<Error> error_;
};

template <>
class [[nodiscard]] Result<void> {
public:
    Result() = default;
    Result(Error error) : error_(std::move(error)) {}
    explicit operator bool() const noexcept { return !error_.has_value(); }
    const Error& error() const noexcept { return *error_; }      // only if there is one

private:
    std::optional<Error> error_;
};

template <typename T>
using Outcome = Result<T>;
#else
template <typename T>
using Outcome = T;
#endif

namespace detail {

#ifndef RSQUANT_NO_EXCEPTIONS
// What a callback threw during this thread's current call.
inline thread_local std::exception_ptr callback_exception;
#endif

// This thread's message as an Error.
inline Error last_error(rsq_status status) {
    std::string message(rsq_last_error(nullptr, 0), '\0');
    rsq_last_error(message.data(), message.size() + 1);
    return Error(status, message);
}

#ifdef RSQUANT_NO_EXCEPTIONS
inline Result<void> finish(rsq_status status) {
    if (status != RSQ_OK) {
        return last_error(status);
    }
    return {};
}
template <typename T>
Result<T> finish(rsq_status status, T&& value) {
    if (status != RSQ_OK) {
        return last_error(status);
    }
    return std::forward<T>(value);
}
#else
inline void finish(rsq_status status) {
    if (callback_exception) {
        std::rethrow_exception(std::exchange(callback_exception, nullptr));
    }
    if (status != RSQ_OK) {
        throw last_error(status);
    }
}
template <typename T>
T finish(rsq_status status, T&& value) {
    finish(status);
    return std::forward<T>(value);
}
#endif

}  // namespace detail

}  // namespace rsquant

#endif  // RSQUANT_OUTCOME_HPP
