// Figures over logits, [images, classes] row by row.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace harness {

// The largest logit's class; the first of several.
std::size_t predicted_class(const float* logits, std::size_t classes);

// Fraction of images whose predicted class is the label.
double top1(const std::vector<float>& logits, std::size_t classes, const std::vector<std::uint8_t>& labels);

// Fraction of images that both predict alike.
double agreement(const std::vector<float>& logits, const std::vector<float>& reference, std::size_t classes);

// Signal to quantization noise of all logits, in dB: 20 log10(|reference| / |reference - logits|) with Euclidean norms.
// Infinite if they are equal.
double sqnr_db(const std::vector<float>& logits, const std::vector<float>& reference);

// Softmax of one image's logits: the probability of each class.
std::vector<double> probabilities(const float* logits, std::size_t classes);

// The middle value of an even or odd number of values; 0 of none.
double median(std::vector<double> values);

}  // namespace harness
