// What layers cost, which to leave in float, and reports. Part of rsquant.hpp.
#ifndef RSQUANT_TUNE_HPP
#define RSQUANT_TUNE_HPP

#include "compare.hpp"
#include "prepared.hpp"
#include "recipe.hpp"

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <string>
#include <utility>

namespace rsquant {

using LayerSensitivity = rsq_layer_sensitivity;

// Measures a model, a borrowed handle that is valid until the function returns: larger is better. What it throws goes on from the call.
using Metric = std::function<double(const rsq_model* model)>;

namespace detail {

extern "C" inline std::int32_t rsquant_hpp_metric(void* metric, const rsq_model* model, double* out) {
#ifdef RSQUANT_NO_EXCEPTIONS
    *out = (*static_cast<const Metric*>(metric))(model);
    return 0;
#else
    try {
        *out = (*static_cast<const Metric*>(metric))(model);
        return 0;
    } catch (...) {
        callback_exception = std::current_exception();
        return 1;
    }
#endif
}

}  // namespace detail

// The layers of a calibrated graph, ranked by what each costs where it alone is int8.
class Sensitivity : public Handle<rsq_sensitivity, rsq_sensitivity_free> {
public:
    using Handle::Handle;
    static Outcome<Sensitivity> make(const Prepared& prepared, const TensorView& input, ProgressListener* listener = nullptr) {
        const rsq_tensor_view view = input.c_view();
        return detail::make<Sensitivity>(rsq_sensitivity_new, prepared.get(), &view, std::size_t{1},
                                         listener == nullptr ? nullptr : detail::rsquant_hpp_listener, static_cast<void*>(listener));
    }
    std::size_t layer_count() const { return rsq_sensitivity_layer_count(get()); }
    // Index 0 is the most harmful layer.
    Outcome<LayerSensitivity> layer(std::size_t index) const { return detail::info(rsq_sensitivity_layer_info, get(), index); }
};

// Give a target, a budget or both.
struct TuneOptions {
    double target = 0;                   // the metric that is enough; 0: as much as the budget allows
    std::uint32_t max_float_layers = 0;  // 0: any number
    double max_float_macs = 0;           // share of all multiply-accumulates, up to 1; 0: all
    Metric metric;                       // empty: the outputs' SQNR in dB, without labels
    ProgressListener* listener = nullptr;  // whom to tell how far the work is
};

struct Tuned {
    rsq_tune_result result;
    Recipe recipe;
    Model model;
};

// Finds the layers to leave in float; `prepared` stays as it is.
inline Outcome<Tuned> tune(const Prepared& prepared, const TensorView& input, const TuneOptions& options) {
    rsq_tune_options c{};
    c.struct_size = sizeof c;
    c.max_float_layers = options.max_float_layers;
    c.target = options.target;
    c.max_float_macs = options.max_float_macs;
    if (options.metric) {
        c.metric = detail::rsquant_hpp_metric;
        c.metric_data = const_cast<Metric*>(&options.metric);
    }
    if (options.listener != nullptr) {
        c.progress = detail::rsquant_hpp_listener;
        c.progress_data = options.listener;
    }
    rsq_tune_result result{};
    result.struct_size = sizeof result;
    rsq_recipe* recipe = nullptr;
    rsq_model* model = nullptr;
    const rsq_tensor_view view = input.c_view();
    const rsq_status status = rsq_tune(prepared.get(), &view, 1, &c, &result, &recipe, &model);
    return detail::finish(status, Tuned{result, Recipe(recipe), Model(model)});
}

// The report of a quantization in one of RSQ_REPORT_; an empty comparison or ranking is left out.
inline Outcome<std::string> report(const Prepared& prepared, const Model& model, const Comparison& comparison,
                                   const Sensitivity& sensitivity, std::int32_t format) {
    std::size_t length = 0;
    rsq_status status =
        rsq_report_to_buffer(prepared.get(), model.get(), comparison.get(), sensitivity.get(), format, nullptr, 0, &length);
    std::string text(length, '\0');
    if (status == RSQ_OK) {
        status = rsq_report_to_buffer(prepared.get(), model.get(), comparison.get(), sensitivity.get(), format, text.data(), length + 1,
                                      &length);
    }
    return detail::finish(status, std::move(text));
}

// Writes it to a file, which is replaced at once or stays as it was.
inline Outcome<void> save_report(const Prepared& prepared, const Model& model, const Comparison& comparison,
                                 const Sensitivity& sensitivity, std::int32_t format, const std::string& path) {
    return detail::finish(
        rsq_report_save(prepared.get(), model.get(), comparison.get(), sensitivity.get(), format, path.c_str()));
}

}  // namespace rsquant

#endif  // RSQUANT_TUNE_HPP
