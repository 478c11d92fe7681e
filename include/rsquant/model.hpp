// int8 models. Part of rsquant.hpp.
#ifndef RSQUANT_MODEL_HPP
#define RSQUANT_MODEL_HPP

#include "context.hpp"
#include "graph.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace rsquant {

using LayerInfo = rsq_layer_info;

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
    // Runs the bytes where they lie: on a 64-byte boundary, unchanged as long as the model or a session of it lives.
    static Outcome<Model> from_static(const void* bytes, std::size_t size, const Context& context = {}) {
        return detail::make<Model>(rsq_model_from_static, context.get(), bytes, size);
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
    // By name: their places among inputs and outputs.
    Outcome<std::size_t> input_index(const std::string& name) const { return detail::index_of(rsq_model_input_index, get(), name); }
    Outcome<std::size_t> output_index(const std::string& name) const { return detail::index_of(rsq_model_output_index, get(), name); }
    Outcome<TensorInfo> input(std::size_t index) const { return detail::info(rsq_model_input_info, get(), index); }
    Outcome<TensorInfo> output(std::size_t index) const { return detail::info(rsq_model_output_info, get(), index); }
    Outcome<LayerInfo> layer(std::size_t index) const { return detail::info(rsq_model_layer_info, get(), index); }
};

}  // namespace rsquant

#endif  // RSQUANT_MODEL_HPP
