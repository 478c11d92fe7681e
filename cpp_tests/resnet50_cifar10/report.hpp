// The page of a run: one HTML file that needs nothing else.
#pragma once

#include "cifar10.hpp"
#include "results.hpp"

#include <string>

namespace harness {

// Bar charts of accuracy, agreement and speed, the end table, the machine, and some of the images with what each mode
// makes of them: first those on which the modes disagree, then those that fp32 gets wrong, then the others.
std::string html_report(const RunResult& run, const Images& images);

}  // namespace harness
