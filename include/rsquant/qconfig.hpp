// What is to be quantized, and how. Part of rsquant.hpp.
#ifndef RSQUANT_QCONFIG_HPP
#define RSQUANT_QCONFIG_HPP

#include "handle.hpp"

#include <cstddef>
#include <string>
#include <utility>

namespace rsquant {

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
    // What torch's dynamic quantization does: per tensor, 0..127, results depend on batch mates.
    static Outcome<QConfig> torch_dynamic() { return detail::make<QConfig>(rsq_qconfig_torch_dynamic); }
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

}  // namespace rsquant

#endif  // RSQUANT_QCONFIG_HPP
