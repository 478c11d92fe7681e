// Recipes: what was solved, without the data. Part of rsquant.hpp.
#ifndef RSQUANT_RECIPE_HPP
#define RSQUANT_RECIPE_HPP

#include "context.hpp"
#include "graph.hpp"
#include "model.hpp"
#include "tensors.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace rsquant {

using RecipeActivation = rsq_recipe_activation;

// Whose calibration Recipe::import_bytes takes over.
enum class CalibrationFormat : std::int32_t {
    detect = RSQ_CALIBRATION_FORMAT_AUTO,
    ipex = RSQ_CALIBRATION_FORMAT_IPEX,
    tensorrt = RSQ_CALIBRATION_FORMAT_TENSORRT,
    onnxruntime = RSQ_CALIBRATION_FORMAT_ONNXRUNTIME,
    ncnn = RSQ_CALIBRATION_FORMAT_NCNN,
};

// A qconfig and the qparams that a calibration came to, without any data.
class Recipe : public Handle<rsq_recipe, rsq_recipe_free> {
public:
    using Handle::Handle;
    static Outcome<Recipe> from_json(const std::string& json) { return detail::make<Recipe>(rsq_recipe_from_json, json.c_str()); }
    static Outcome<Recipe> load(const std::string& path) { return detail::make<Recipe>(rsq_recipe_load, path.c_str()); }
    // A recipe for `graph` of another system's calibration; `input_shapes` as in Prepared::make.
    static Outcome<Recipe> import_bytes(const Graph& graph, const void* bytes, std::size_t size,
                                        CalibrationFormat format = CalibrationFormat::detect, const Context& context = {},
                                        const std::vector<Shape>& input_shapes = {}) {
        const auto shapes = detail::c_shapes(input_shapes.data(), input_shapes.size());
        rsq_prepare_options c{};
        c.struct_size = sizeof c;
        c.input_shapes = shapes.data();
        c.input_shape_count = input_shapes.size();
        return detail::make<Recipe>(rsq_recipe_import, context.get(), graph.get(), static_cast<std::int32_t>(format), bytes, size, &c);
    }
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

}  // namespace rsquant

#endif  // RSQUANT_RECIPE_HPP
