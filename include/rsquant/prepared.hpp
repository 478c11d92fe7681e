// Graphs with observers in place. Part of rsquant.hpp.
#ifndef RSQUANT_PREPARED_HPP
#define RSQUANT_PREPARED_HPP

#include "context.hpp"
#include "graph.hpp"
#include "images.hpp"
#include "model.hpp"
#include "qconfig.hpp"
#include "recipe.hpp"
#include "tensors.hpp"

#include <cstddef>
#include <cstdint>
#include <exception>
#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

namespace rsquant {

// What long work tells how far it is: Prepared::set_progress, Sensitivity::make and TuneOptions take one.
class ProgressListener {
public:
    virtual ~ProgressListener() = default;
    // Called on the thread that made the call; false stops the work, which then fails with RSQ_CANCELLED and has changed nothing. If it
    // throws, the work is stopped likewise, and the exception goes on from the call.
    virtual bool on_progress(const rsq_progress& progress) = 0;
};

namespace detail {

extern "C" inline std::int32_t rsquant_hpp_listener(void* listener, const rsq_progress* progress) {
#ifdef RSQUANT_NO_EXCEPTIONS
    return static_cast<ProgressListener*>(listener)->on_progress(*progress) ? 0 : 1;
#else
    try {
        return static_cast<ProgressListener*>(listener)->on_progress(*progress) ? 0 : 1;
    } catch (...) {
        callback_exception = std::current_exception();
        return 1;
    }
#endif
}

}  // namespace detail

// A graph with observers in place.
class Prepared : public Handle<rsq_prepared, rsq_prepared_free> {
public:
    using Handle::Handle;
    // `input_shapes`, one for each input, are for graphs that leave more than the batch open; empty: the first batch tells.
    // `images` are the inputs that calibrate() gets as image bytes.
    static Outcome<Prepared> make(const Graph& graph, const QConfig& qconfig, const Context& context = {},
                                  const std::vector<Shape>& input_shapes = {}, const std::vector<ImageInput>& images = {}) {
        const auto c_images = detail::c_images(images);
        const auto shapes = detail::c_shapes(input_shapes.data(), input_shapes.size());
        rsq_prepare_options c{};
        c.struct_size = sizeof c;
        c.input_shapes = shapes.data();
        c.input_shape_count = input_shapes.size();
        c.images = c_images.data();
        c.image_count = c_images.size();
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
    // Whom calibrate and convert tell how far they are: it must outlive this object or the next call of this. nullptr: nobody.
    Outcome<void> set_progress(ProgressListener* listener) {
        const rsq_progress_fn function = listener == nullptr ? nullptr : detail::rsquant_hpp_listener;
        return detail::finish(rsq_prepared_set_progress(get(), function, listener));
    }
    Outcome<void> save_calibration(const std::string& path) const { return detail::finish(rsq_calibration_save(get(), path.c_str())); }
    Outcome<std::vector<std::uint8_t>> calibration_bytes() const {
        std::size_t size = 0;
        rsq_status status = rsq_calibration_to_buffer(get(), nullptr, 0, &size);
        std::vector<std::uint8_t> bytes(size);
        if (status == RSQ_OK) {
            status = rsq_calibration_to_buffer(get(), bytes.data(), bytes.size(), &size);
        }
        return detail::finish(status, std::move(bytes));
    }
    // Goes on where statistics were saved: for an object that has seen nothing.
    Outcome<void> load_calibration(const std::string& path) { return detail::finish(rsq_calibration_load(get(), path.c_str())); }
    Outcome<void> load_calibration(const void* bytes, std::size_t size) {
        return detail::finish(rsq_calibration_from_bytes(get(), bytes, size));
    }
    Outcome<void> merge_calibration(const std::string& path) { return detail::finish(rsq_calibration_merge(get(), path.c_str())); }
    Outcome<void> merge_calibration(const void* bytes, std::size_t size) {
        return detail::finish(rsq_calibration_merge_bytes(get(), bytes, size));
    }
    // All of the files, or none.
    Outcome<void> merge_calibration(const std::vector<std::string>& paths) {
        std::vector<const char*> c(paths.size());
        for (std::size_t i = 0; i < paths.size(); ++i) {
            c[i] = paths[i].c_str();
        }
        return detail::finish(rsq_calibration_merge_files(get(), c.data(), c.size()));
    }
    // The solved qparams: what convert() would use.
    Outcome<Recipe> recipe() const { return detail::make<Recipe>(rsq_prepared_recipe, get()); }
    Outcome<Model> convert() const {
        return detail::make<Model>(rsq_convert, get());
    }
};

}  // namespace rsquant

#endif  // RSQUANT_PREPARED_HPP
