#include "model_inputs.hpp"

namespace harness {

ModelInputs::ModelInputs(const Engine& engine, std::size_t batch)
    : shape_(engine.shape()), bytes_wanted_(engine.u8_input()),
      preprocess_(static_cast<int>(shape_.width), static_cast<int>(shape_.height), engine.threads()) {
    if (bytes_wanted_) {
        bytes_.resize(batch * shape_.input_values());
    } else {
        floats_.resize(batch * shape_.input_values());
    }
}

void ModelInputs::make(const Images& images, std::size_t first, std::size_t count, std::size_t at) {
    if (bytes_wanted_) {
        preprocess_.run(images, first, count, bytes_.data() + at * shape_.input_values());
    } else {
        preprocess_.run(images, first, count, floats_.data() + at * shape_.input_values());
    }
}

rsquant::TensorView ModelInputs::view(std::size_t count) const {
    const std::size_t values = count * shape_.input_values();
    return bytes_wanted_ ? rsquant::TensorView(bytes_.data(), values, shape_.byte_input(count))
                         : rsquant::TensorView(floats_.data(), values, shape_.input(count));
}

}  // namespace harness
