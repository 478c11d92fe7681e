#include "metrics.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace harness {

std::size_t predicted_class(const float* logits, std::size_t classes) {
    return static_cast<std::size_t>(std::max_element(logits, logits + classes) - logits);
}

double top1(const std::vector<float>& logits, std::size_t classes, const std::vector<std::uint8_t>& labels) {
    const std::size_t images = logits.size() / classes;
    std::size_t right = 0;
    for (std::size_t i = 0; i < images; ++i) {
        right += predicted_class(&logits[i * classes], classes) == labels[i];
    }
    return images == 0 ? 0.0 : static_cast<double>(right) / static_cast<double>(images);
}

double agreement(const std::vector<float>& logits, const std::vector<float>& reference, std::size_t classes) {
    const std::size_t images = logits.size() / classes;
    std::size_t alike = 0;
    for (std::size_t i = 0; i < images; ++i) {
        alike += predicted_class(&logits[i * classes], classes) == predicted_class(&reference[i * classes], classes);
    }
    return images == 0 ? 0.0 : static_cast<double>(alike) / static_cast<double>(images);
}

double sqnr_db(const std::vector<float>& logits, const std::vector<float>& reference) {
    double signal = 0.0, noise = 0.0;
    for (std::size_t i = 0; i < logits.size(); ++i) {
        const double expected = reference[i];
        const double error = expected - logits[i];
        signal += expected * expected;
        noise += error * error;
    }
    return noise == 0.0 ? std::numeric_limits<double>::infinity() : 10.0 * std::log10(signal / noise);
}

std::vector<double> probabilities(const float* logits, std::size_t classes) {
    const double largest = logits[predicted_class(logits, classes)];
    std::vector<double> p(classes);
    double sum = 0.0;
    for (std::size_t i = 0; i < classes; ++i) {
        p[i] = std::exp(logits[i] - largest);
        sum += p[i];
    }
    for (double& value : p) {
        value /= sum;
    }
    return p;
}

double median(std::vector<double> values) {
    if (values.empty()) {
        return 0.0;
    }
    std::sort(values.begin(), values.end());
    const std::size_t middle = values.size() / 2;
    return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

}  // namespace harness
