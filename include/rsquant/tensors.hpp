// A caller's tensors and their shapes. Part of rsquant.hpp.
#ifndef RSQUANT_TENSORS_HPP
#define RSQUANT_TENSORS_HPP

#include "../rsquant.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <type_traits>
#include <utility>
#include <vector>
#if __has_include(<version>)
#include <version>
#endif
#if defined(__cpp_lib_span)
#include <span>
#endif

namespace rsquant {

// Elements in a row that someone else holds: std::span where there is one.
#if defined(__cpp_lib_span)
template <typename T>
using Span = std::span<T>;
#else
template <typename T>
class Span {
public:
    constexpr Span() noexcept = default;
    constexpr Span(T* data, std::size_t size) noexcept : data_(data), size_(size) {}
    template <std::size_t N>
    constexpr Span(T (&array)[N]) noexcept : Span(array, N) {}
    // Anything with data() and size(): vectors, arrays, strings, other spans.
    template <typename Container, typename = std::enable_if_t<std::is_convertible_v<
                                      std::remove_pointer_t<decltype(std::declval<Container&>().data())> (*)[], T (*)[]>>>
    constexpr Span(Container&& container) noexcept : Span(container.data(), container.size()) {}
    constexpr T* data() const noexcept { return data_; }
    constexpr std::size_t size() const noexcept { return size_; }
    constexpr std::size_t size_bytes() const noexcept { return size_ * sizeof(T); }
    constexpr bool empty() const noexcept { return size_ == 0; }
    constexpr T* begin() const noexcept { return data_; }
    constexpr T* end() const noexcept { return data_ + size_; }
    constexpr T& operator[](std::size_t index) const { return data_[index]; }

private:
    T* data_ = nullptr;
    std::size_t size_ = 0;
};
#endif

// A tensor's shape, at most RSQ_MAX_RANK dimensions (more are an error of the call that gets it).
class Shape {
public:
    Shape() = default;
    Shape(std::initializer_list<std::int64_t> dims) : Shape(dims.begin(), dims.size()) {}
    Shape(const std::vector<std::int64_t>& dims) : Shape(dims.data(), dims.size()) {}
    Shape(const std::int64_t* dims, std::size_t rank) : rank_(rank) {
        for (std::size_t axis = 0; axis < rank && axis < dims_.size(); ++axis) {
            dims_[axis] = dims[axis];
        }
    }
    std::size_t rank() const noexcept { return rank_; }
    const std::int64_t* dims() const noexcept { return dims_.data(); }
    std::int64_t operator[](std::size_t axis) const { return dims_[axis]; }

private:
    std::array<std::int64_t, RSQ_MAX_RANK> dims_{};
    std::size_t rank_ = 0;
};

// The RSQ_DTYPE_ of an element type.
template <typename T>
constexpr std::int32_t dtype_of() {
    if constexpr (std::is_same_v<T, float>) return RSQ_DTYPE_F32;
    else if constexpr (std::is_same_v<T, std::uint8_t>) return RSQ_DTYPE_U8;
    else if constexpr (std::is_same_v<T, std::int8_t>) return RSQ_DTYPE_S8;
    else if constexpr (std::is_same_v<T, std::int32_t>) return RSQ_DTYPE_I32;
    else {
        static_assert(std::is_same_v<T, std::int64_t>, "no tensor has elements of this type");
        return RSQ_DTYPE_I64;
    }
}

// A tensor that a call reads: borrowed elements, dense and row-major, and a shape of its own.
class TensorView {
public:
    template <typename T>
    TensorView(const T* data, std::size_t count, Shape shape) : shape_(shape), data_(data), bytes_(count * sizeof(T)), dtype_(dtype_of<T>()) {}
    template <typename T>
    TensorView(const std::vector<T>& data, Shape shape) : TensorView(data.data(), data.size(), shape) {}
    // Valid as long as this object stays where it is.
    rsq_tensor_view c_view() const noexcept {
        return {data_, bytes_, dtype_, static_cast<std::uint32_t>(shape_.rank()), shape_.dims(), nullptr};
    }

private:
    Shape shape_;
    const void* data_;
    std::size_t bytes_;
    std::int32_t dtype_;
};

// A tensor that a call writes, likewise.
class TensorMut {
public:
    template <typename T>
    TensorMut(T* data, std::size_t count, Shape shape) : shape_(shape), data_(data), bytes_(count * sizeof(T)), dtype_(dtype_of<T>()) {}
    template <typename T>
    TensorMut(std::vector<T>& data, Shape shape) : TensorMut(data.data(), data.size(), shape) {}
    // Valid as long as this object stays where it is.
    rsq_tensor_mut c_view() const noexcept {
        return {data_, bytes_, dtype_, static_cast<std::uint32_t>(shape_.rank()), shape_.dims(), nullptr};
    }

private:
    Shape shape_;
    void* data_;
    std::size_t bytes_;
    std::int32_t dtype_;
};

namespace detail {

// The C form of some items: inline while they are few, so that a run allocates nothing.
template <typename C, typename Item, typename Convert>
class CArray {
public:
    CArray(const Item* items, std::size_t count, Convert convert) {
        if (count > few_.size()) {
            many_.resize(count);
        }
        data_ = count > few_.size() ? many_.data() : few_.data();
        for (std::size_t i = 0; i < count; ++i) {
            data_[i] = convert(items[i]);
        }
    }
    CArray(const CArray&) = delete;
    CArray& operator=(const CArray&) = delete;
    const C* data() const noexcept { return data_; }

private:
    std::array<C, 8> few_{};
    std::vector<C> many_;
    C* data_;
};

inline auto c_views(const TensorView* items, std::size_t count) {
    const auto convert = [](const TensorView& item) { return item.c_view(); };
    return CArray<rsq_tensor_view, TensorView, decltype(convert)>(items, count, convert);
}
inline auto c_views(const TensorMut* items, std::size_t count) {
    const auto convert = [](const TensorMut& item) { return item.c_view(); };
    return CArray<rsq_tensor_mut, TensorMut, decltype(convert)>(items, count, convert);
}
inline auto c_shapes(const Shape* items, std::size_t count) {
    const auto convert = [](const Shape& item) { return rsq_shape{item.dims(), item.rank()}; };
    return CArray<rsq_shape, Shape, decltype(convert)>(items, count, convert);
}

}  // namespace detail

}  // namespace rsquant

#endif  // RSQUANT_TENSORS_HPP
