// Recipes: what was solved, without the data. Part of rsquant.hpp.
#ifndef RSQUANT_RECIPE_HPP
#define RSQUANT_RECIPE_HPP

#include "context.hpp"
#include "graph.hpp"
#include "model.hpp"

#include <cstddef>
#include <string>
#include <utility>

namespace rsquant {

using RecipeActivation = rsq_recipe_activation;

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

}  // namespace rsquant

#endif  // RSQUANT_RECIPE_HPP
