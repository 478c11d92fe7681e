// rsquant for C++17: the C API of rsquant.h as classes that free what they hold. Header only.
//
//     rsquant::Graph graph = rsquant::Graph::from_onnx_file("model.onnx");
//     rsquant::Prepared prepared = rsquant::Prepared::make(graph, rsquant::QConfig::default_static());
//     prepared.calibrate({images, {16, 3, 224, 224}});                 // std::vector<float>, or pointer and shape
//     rsquant::Model model = prepared.convert();
//     rsquant::SessionOptions options;
//     options.max_batch = 16;
//     rsquant::Session session = rsquant::Session::make(model, options);
//     session.run({images, {16, 3, 224, 224}}, {logits, {16, 10}});    // allocates nothing
//
// Errors. What can fail throws rsquant::Error. With RSQUANT_NO_EXCEPTIONS defined nothing is thrown (and -fno-exceptions
// works): an Outcome<T> is then a Result<T>, which holds the value or the Error; without, it is T itself.
//
// Objects are move-only; an empty one (moved from, or made by its default constructor) stands for NULL. They may be
// destroyed in any order. rsquant.h says for each function which statuses there are and what may be shared by threads.
#ifndef RSQUANT_HPP
#define RSQUANT_HPP

#include "rsquant.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <initializer_list>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace rsquant {

// Plain descriptions, as the C API fills them. Their texts are NUL-terminated arrays.
using TensorInfo = rsq_tensor_info;
using NodeInfo = rsq_node_info;
using LayerInfo = rsq_layer_info;
using StepInfo = rsq_step_info;
using RecipeActivation = rsq_recipe_activation;
using LayerComparison = rsq_layer_comparison;
using OutputComparison = rsq_output_comparison;

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
    // Into how many parts a step is cut, at least 1.
    virtual unsigned threads() const = 0;
    // Calls task(i) once for each i in 0..count, on any threads, and returns when all calls have returned. Called from
    // any thread that runs a session, from several at once. If it throws, the library does what is left to do, and the
    // exception goes on from the call that ran the session; no task may be called any more then.
    virtual void parallel_for(std::size_t count, Task task) = 0;
};

namespace detail {

#ifndef RSQUANT_NO_EXCEPTIONS
// What a ThreadPool threw during this thread's current call.
inline thread_local std::exception_ptr pool_exception;
#endif

extern "C" inline void rsquant_hpp_parallel_for(void* pool, std::size_t count, rsq_task_fn task, void* task_data) {
#ifdef RSQUANT_NO_EXCEPTIONS
    static_cast<ThreadPool*>(pool)->parallel_for(count, Task(task, task_data));
#else
    try {
        static_cast<ThreadPool*>(pool)->parallel_for(count, Task(task, task_data));
    } catch (...) {
        pool_exception = std::current_exception();
    }
#endif
}

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
    if (pool_exception) {
        std::rethrow_exception(std::exchange(pool_exception, nullptr));
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

// An info struct of the C API, asked for by index.
template <typename Info, typename Handle>
Outcome<Info> info(rsq_status (*ask)(const Handle*, std::size_t, Info*), const Handle* handle, std::size_t index) {
    Info out{};
    out.struct_size = sizeof out;
    const rsq_status status = ask(handle, index, &out);
    return finish(status, std::move(out));
}

// An object made by a function of the C API, whose last parameter is the place for it.
template <typename Object, typename Function, typename... Args>
Outcome<Object> make(Function function, Args... args) {
    decltype(std::declval<Object>().get()) out = nullptr;
    const rsq_status status = function(args..., &out);
    return finish(status, Object(out));
}

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

// --- Versions and instruction sets ---

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

// --- Objects, in the order of a model's way ---

struct ContextOptions {
    unsigned threads = 0;                   // of a team of the library's own; 0: as many as the process may use
    std::uint32_t max_isa = RSQ_ISA_NONE;   // the best RSQ_ISA_ to use; RSQ_ISA_NONE: the best there is
    ThreadPool* pool = nullptr;             // instead of a team; must outlive whatever is made with the context
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
        if (options.pool != nullptr) {
            c.pool_threads = options.pool->threads();
            c.parallel_for = detail::rsquant_hpp_parallel_for;
            c.pool = options.pool;
        }
        return detail::make<Context>(rsq_context_new, &c);
    }
};

// An immutable float graph.
class Graph : public Handle<rsq_graph, rsq_graph_free> {
public:
    using Handle::Handle;
    static Outcome<Graph> from_onnx_file(const std::string& path, const Context& context = {}) {
        return detail::make<Graph>(rsq_graph_from_onnx_file, context.get(), path.c_str());
    }
    static Outcome<Graph> from_onnx_bytes(const void* bytes, std::size_t size, const Context& context = {}) {
        return detail::make<Graph>(rsq_graph_from_onnx_bytes, context.get(), bytes, size);
    }
    std::size_t input_count() const { return rsq_graph_input_count(get()); }
    std::size_t output_count() const { return rsq_graph_output_count(get()); }
    std::size_t node_count() const { return rsq_graph_node_count(get()); }
    Outcome<TensorInfo> input(std::size_t index) const { return detail::info(rsq_graph_input_info, get(), index); }
    Outcome<TensorInfo> output(std::size_t index) const { return detail::info(rsq_graph_output_info, get(), index); }
    Outcome<NodeInfo> node(std::size_t index) const { return detail::info(rsq_graph_node_info, get(), index); }
};

// Settings of the layers in a scope: set what should differ.
struct LayerQConfig : rsq_layer_qconfig {
    LayerQConfig() : rsq_layer_qconfig{} { struct_size = sizeof(rsq_layer_qconfig); }
};

// What is to be quantized, and how.
class QConfig : public Handle<rsq_qconfig, rsq_qconfig_free> {
public:
    using Handle::Handle;
    static Outcome<QConfig> default_static() { return detail::make<QConfig>(rsq_qconfig_default_static); }
    static Outcome<QConfig> default_dynamic() { return detail::make<QConfig>(rsq_qconfig_default_dynamic); }
    static Outcome<QConfig> from_json(const std::string& json) {
        return detail::make<QConfig>(rsq_qconfig_from_json, json.c_str());
    }
    // `scope` is "*", "op:Conv" or "name:layer4.*".
    Outcome<void> set(const std::string& scope, const LayerQConfig& layer) {
        return detail::finish(rsq_qconfig_set(get(), scope.c_str(), &layer));
    }
    // Makes a layer that cannot be int8 an error.
    Outcome<void> set_strict(bool strict) { return detail::finish(rsq_qconfig_set_strict(get(), strict)); }
    Outcome<std::string> to_json() const {
        std::size_t length = 0;
        rsq_status status = rsq_qconfig_to_json(get(), nullptr, 0, &length);
        std::string json(length, '\0');
        if (status == RSQ_OK) {
            status = rsq_qconfig_to_json(get(), json.data(), length + 1, &length);
        }
        return detail::finish(status, std::move(json));
    }
};

// An immutable int8 model.
class Model : public Handle<rsq_model, rsq_model_free> {
public:
    using Handle::Handle;
    // Maps the file, which must not be changed in place meanwhile.
    static Outcome<Model> load(const std::string& path, const Context& context = {}) {
        return detail::make<Model>(rsq_model_load, context.get(), path.c_str());
    }
    static Outcome<Model> load_copied(const std::string& path, const Context& context = {}) {
        return detail::make<Model>(rsq_model_load_copied, context.get(), path.c_str());
    }
    static Outcome<Model> from_bytes(const void* bytes, std::size_t size, const Context& context = {}) {
        return detail::make<Model>(rsq_model_from_bytes, context.get(), bytes, size);
    }
    Outcome<void> save(const std::string& path) const { return detail::finish(rsq_model_save(get(), path.c_str())); }
    Outcome<std::vector<std::uint8_t>> to_bytes() const {
        std::size_t size = 0;
        rsq_status status = rsq_model_to_buffer(get(), nullptr, 0, &size);
        std::vector<std::uint8_t> bytes(size);
        if (status == RSQ_OK) {
            status = rsq_model_to_buffer(get(), bytes.data(), bytes.size(), &size);
        }
        return detail::finish(status, std::move(bytes));
    }
    std::size_t input_count() const { return rsq_model_input_count(get()); }
    std::size_t output_count() const { return rsq_model_output_count(get()); }
    std::size_t layer_count() const { return rsq_model_layer_count(get()); }
    Outcome<TensorInfo> input(std::size_t index) const { return detail::info(rsq_model_input_info, get(), index); }
    Outcome<TensorInfo> output(std::size_t index) const { return detail::info(rsq_model_output_info, get(), index); }
    Outcome<LayerInfo> layer(std::size_t index) const { return detail::info(rsq_model_layer_info, get(), index); }
};

// A qconfig and the qparams that a calibration came to, without any data.
class Recipe : public Handle<rsq_recipe, rsq_recipe_free> {
public:
    using Handle::Handle;
    static Outcome<Recipe> from_json(const std::string& json) { return detail::make<Recipe>(rsq_recipe_from_json, json.c_str()); }
    static Outcome<Recipe> load(const std::string& path) { return detail::make<Recipe>(rsq_recipe_load, path.c_str()); }
    Outcome<void> save(const std::string& path) const { return detail::finish(rsq_recipe_save(get(), path.c_str())); }
    Outcome<std::string> to_json() const {
        std::size_t length = 0;
        rsq_status status = rsq_recipe_to_json(get(), nullptr, 0, &length);
        std::string json(length, '\0');
        if (status == RSQ_OK) {
            status = rsq_recipe_to_json(get(), json.data(), length + 1, &length);
        }
        return detail::finish(status, std::move(json));
    }
    std::size_t activation_count() const { return rsq_recipe_activation_count(get()); }
    Outcome<RecipeActivation> activation(std::size_t index) const { return detail::info(rsq_recipe_activation_info, get(), index); }
    // An int8 model of `graph`, without calibration data.
    Outcome<Model> convert(const Graph& graph, const Context& context = {}) const {
        return detail::make<Model>(rsq_convert_with_recipe, context.get(), graph.get(), get());
    }
};

// A graph with observers in place.
class Prepared : public Handle<rsq_prepared, rsq_prepared_free> {
public:
    using Handle::Handle;
    // `input_shapes`, one for each input, are for graphs that leave more than the batch open; empty: the first batch tells.
    static Outcome<Prepared> make(const Graph& graph, const QConfig& qconfig, const Context& context = {},
                                  const std::vector<Shape>& input_shapes = {}) {
        const auto shapes = detail::c_shapes(input_shapes.data(), input_shapes.size());
        rsq_prepare_options c{};
        c.struct_size = sizeof c;
        c.input_shapes = shapes.data();
        c.input_shape_count = input_shapes.size();
        return detail::make<Prepared>(rsq_prepare, context.get(), graph.get(), qconfig.get(), &c);
    }
    Outcome<void> calibrate(const TensorView* inputs, std::size_t count) {
        return detail::finish(rsq_calibrate(get(), detail::c_views(inputs, count).data(), count));
    }
    Outcome<void> calibrate(std::initializer_list<TensorView> inputs) { return calibrate(inputs.begin(), inputs.size()); }
    Outcome<void> calibrate(const TensorView& input) { return calibrate(&input, 1); }
    Outcome<std::uint64_t> samples() const {
        std::uint64_t out = 0;
        const rsq_status status = rsq_calibration_samples(get(), &out);
        return detail::finish(status, std::uint64_t{out});
    }
    Outcome<void> save_calibration(const std::string& path) const { return detail::finish(rsq_calibration_save(get(), path.c_str())); }
    Outcome<void> load_calibration(const std::string& path) { return detail::finish(rsq_calibration_load(get(), path.c_str())); }
    Outcome<void> merge_calibration(const std::string& path) { return detail::finish(rsq_calibration_merge(get(), path.c_str())); }
    // The solved qparams: what convert() would use.
    Outcome<Recipe> recipe() const { return detail::make<Recipe>(rsq_prepared_recipe, get()); }
    Outcome<Model> convert() const {
        return detail::make<Model>(rsq_convert, get());
    }
};

struct SessionOptions {
    std::size_t max_batch = 1;         // the largest batch that memory is held for
    bool fixed_sizes = false;          // other sizes than the planned ones (the batch aside) are an error
    std::vector<Shape> input_shapes;   // as in Prepared::make
};

// The memory of one run at a time, of an int8 model or a float graph.
class Session : public Handle<rsq_session, rsq_session_free> {
public:
    using Handle::Handle;
    static Outcome<Session> make(const Model& model, const SessionOptions& options = {}) {
        const auto shapes = detail::c_shapes(options.input_shapes.data(), options.input_shapes.size());
        const rsq_session_options c = c_options(options, shapes.data());
        return detail::make<Session>(rsq_session_new, model.get(), &c);
    }
    static Outcome<Session> make_float(const Graph& graph, const SessionOptions& options = {}, const Context& context = {}) {
        const auto shapes = detail::c_shapes(options.input_shapes.data(), options.input_shapes.size());
        const rsq_session_options c = c_options(options, shapes.data());
        return detail::make<Session>(rsq_float_session_new, context.get(), graph.get(), &c);
    }
    Outcome<void> run(const TensorView* inputs, std::size_t input_count, const TensorMut* outputs, std::size_t output_count) {
        const auto in = detail::c_views(inputs, input_count);
        const auto out = detail::c_views(outputs, output_count);
        return detail::finish(rsq_run(get(), in.data(), input_count, out.data(), output_count));
    }
    Outcome<void> run(std::initializer_list<TensorView> inputs, std::initializer_list<TensorMut> outputs) {
        return run(inputs.begin(), inputs.size(), outputs.begin(), outputs.size());
    }
    Outcome<void> run(const TensorView& input, const TensorMut& output) { return run(&input, 1, &output, 1); }

    std::size_t input_count() const { return rsq_session_input_count(get()); }
    std::size_t output_count() const { return rsq_session_output_count(get()); }
    std::size_t step_count() const { return rsq_session_step_count(get()); }
    std::size_t memory_bytes() const { return rsq_session_memory_bytes(get()); }
    Outcome<TensorInfo> input(std::size_t index) const { return detail::info(rsq_session_input_info, get(), index); }
    Outcome<TensorInfo> output(std::size_t index) const { return detail::info(rsq_session_output_info, get(), index); }
    Outcome<StepInfo> step(std::size_t index) const { return detail::info(rsq_session_step_info, get(), index); }
    // The shape of an output for inputs of these shapes, batch included.
    Outcome<Shape> output_shape(const std::vector<Shape>& input_shapes, std::size_t index = 0) const {
        const auto shapes = detail::c_shapes(input_shapes.data(), input_shapes.size());
        std::array<std::int64_t, RSQ_MAX_RANK> dims{};
        std::uint32_t rank = 0;
        const rsq_status status = rsq_session_output_shape(get(), shapes.data(), input_shapes.size(), index, dims.data(), &rank);
        return detail::finish(status, Shape(dims.data(), rank));
    }

private:
    static rsq_session_options c_options(const SessionOptions& options, const rsq_shape* shapes) {
        rsq_session_options c{};
        c.struct_size = sizeof c;
        c.flags = options.fixed_sizes ? RSQ_SESSION_FIXED_SIZES : 0;
        c.max_batch = options.max_batch;
        c.input_shapes = shapes;
        c.input_shape_count = options.input_shapes.size();
        return c;
    }
};

// How close a model is to the float graph that it was made of, layer by layer, over the batches compared so far.
class Comparison : public Handle<rsq_comparison, rsq_comparison_free> {
public:
    using Handle::Handle;
    static Outcome<Comparison> make(const Graph& graph, const Model& model) {
        return detail::make<Comparison>(rsq_comparison_new, graph.get(), model.get());
    }
    Outcome<void> compare(const TensorView* inputs, std::size_t count) {
        return detail::finish(rsq_compare(get(), detail::c_views(inputs, count).data(), count));
    }
    Outcome<void> compare(std::initializer_list<TensorView> inputs) { return compare(inputs.begin(), inputs.size()); }
    Outcome<void> compare(const TensorView& input) { return compare(&input, 1); }
    Outcome<std::uint64_t> samples() const {
        std::uint64_t out = 0;
        const rsq_status status = rsq_comparison_samples(get(), &out);
        return detail::finish(status, std::uint64_t{out});
    }
    std::size_t layer_count() const { return rsq_comparison_layer_count(get()); }
    std::size_t output_count() const { return rsq_comparison_output_count(get()); }
    Outcome<LayerComparison> layer(std::size_t index) const { return detail::info(rsq_comparison_layer_info, get(), index); }
    Outcome<OutputComparison> output(std::size_t index) const { return detail::info(rsq_comparison_output_info, get(), index); }
};

}  // namespace rsquant

#endif  // RSQUANT_HPP
