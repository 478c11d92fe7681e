#include "bar_chart.hpp"

#include <algorithm>
#include <cstdio>

namespace harness {
namespace {

// Pixels of the drawing.
constexpr double kLabelWidth = 70, kBarWidth = 250, kTextWidth = 100, kRowHeight = 30, kBarHeight = 20;

}  // namespace

std::string html_escaped(const std::string& text) {
    std::string out;
    for (const char c : text) {
        switch (c) {
            case '&': out += "&amp;"; break;
            case '<': out += "&lt;"; break;
            case '>': out += "&gt;"; break;
            case '"': out += "&quot;"; break;
            default: out += c;
        }
    }
    return out;
}

std::string bar_chart(const std::string& title, const std::vector<Bar>& bars, double full_scale) {
    for (const Bar& bar : bars) {
        full_scale = std::max(full_scale, bar.value);
    }
    char line[512];
    std::snprintf(line, sizeof line, "<svg width=\"%g\" height=\"%g\" role=\"img\">\n", kLabelWidth + kBarWidth + kTextWidth,
                  kRowHeight * static_cast<double>(bars.size()));
    std::string svg = "<figure><figcaption>" + html_escaped(title) + "</figcaption>\n" + line;
    double y = 0;
    for (const Bar& bar : bars) {
        const double width = full_scale > 0 ? bar.value / full_scale * kBarWidth : 0;
        const double middle = y + kRowHeight / 2 + 5;
        std::snprintf(line, sizeof line, "<text x=\"%g\" y=\"%g\" text-anchor=\"end\">", kLabelWidth - 8, middle);
        svg += line + html_escaped(bar.label) + "</text>";
        std::snprintf(line, sizeof line, "<rect x=\"%g\" y=\"%g\" width=\"%.1f\" height=\"%g\" rx=\"2\" fill=\"%s\"/>", kLabelWidth,
                      y + (kRowHeight - kBarHeight) / 2, width, kBarHeight, bar.colour.c_str());
        svg += line;
        std::snprintf(line, sizeof line, "<text x=\"%.1f\" y=\"%g\">", kLabelWidth + width + 6, middle);
        svg += line + html_escaped(bar.text) + "</text>\n";
        y += kRowHeight;
    }
    return svg + "</svg></figure>\n";
}

}  // namespace harness
