// How close a model is to its float graph. Part of rsquant.hpp.
#ifndef RSQUANT_COMPARE_HPP
#define RSQUANT_COMPARE_HPP

#include "graph.hpp"
#include "images.hpp"
#include "model.hpp"
#include "tensors.hpp"

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <vector>

namespace rsquant {

using LayerComparison = rsq_layer_comparison;
using OutputComparison = rsq_output_comparison;

// How close a model is to the float graph that it was made of, layer by layer, over the batches compared so far.
class Comparison : public Handle<rsq_comparison, rsq_comparison_free> {
public:
    using Handle::Handle;
    static Outcome<Comparison> make(const Graph& graph, const Model& model) {
        return detail::make<Comparison>(rsq_comparison_new, graph.get(), model.get());
    }
    // These inputs are given as images from now on: u8 n, h, w, c.
    Outcome<void> set_images(const std::vector<ImageInput>& images) {
        const auto c = detail::c_images(images);
        return detail::finish(rsq_comparison_set_images(get(), c.data(), c.size()));
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

#endif  // RSQUANT_COMPARE_HPP
