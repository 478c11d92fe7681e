// Horizontal bars as inline SVG.
#pragma once

#include <string>
#include <vector>

namespace harness {

struct Bar {
    std::string label;
    double value;       // at least 0
    std::string text;   // the value as it is shown behind the bar
    std::string colour; // of CSS
};

// `text` with what HTML gives a meaning escaped.
std::string html_escaped(const std::string& text);

// One chart, bars below each other, the longest as wide as the chart. `full_scale` above 0 is the value of a bar of full
// width (100 for percentages); 0: the largest value.
std::string bar_chart(const std::string& title, const std::vector<Bar>& bars, double full_scale);

}  // namespace harness
