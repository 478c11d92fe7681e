// Graphs with observers in place. Part of rsquant.hpp.
#ifndef RSQUANT_PREPARED_HPP
#define RSQUANT_PREPARED_HPP

#include "context.hpp"
#include "graph.hpp"
#include "model.hpp"
#include "qconfig.hpp"
#include "recipe.hpp"
#include "tensors.hpp"

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

namespace rsquant {

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

}  // namespace rsquant

#endif  // RSQUANT_PREPARED_HPP
