#include "report.hpp"

#include "bar_chart.hpp"
#include "metrics.hpp"
#include "png.hpp"

#include <algorithm>
#include <functional>

namespace harness {
namespace {

constexpr std::size_t kDisagreeing = 8, kWrong = 8, kShown = 24;  // images

const char* const kStyle = R"(<style>
body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:70em;padding:0 1em;color:#222}
h1{font-size:1.5em}h2{font-size:1.15em;margin-top:2em}
.charts{display:flex;flex-wrap:wrap;gap:1.5em}figure{margin:0}figcaption{font-weight:600}svg text{font-size:13px}
table{border-collapse:collapse}td,th{padding:.25em .8em;border-bottom:1px solid #ddd;text-align:right}
td:first-child,th:first-child{text-align:left}
.images{display:grid;grid-template-columns:repeat(auto-fill,minmax(15em,1fr));gap:1em}
.image{display:flex;gap:.7em;font-size:13px}.image img{width:96px;height:96px;image-rendering:pixelated}
.wrong{color:#b3261e}.right{color:#1b6e3c}
</style>)";

const char* colour_of(Mode mode) {
    switch (mode) {
        case Mode::fp32: return "#8a94a6";
        case Mode::static_int8: return "#2463eb";
        case Mode::dynamic_int8: return "#0e9384";
    }
    return "";
}

using Figure = std::function<std::optional<double>(const ModeResult&)>;

std::string chart(const RunResult& run, const std::string& title, const Figure& figure, int digits, const char* unit, double full_scale) {
    std::vector<Bar> bars;
    for (const ModeResult& mode : run.modes) {
        if (const auto value = figure(mode)) {
            bars.push_back({mode_name(mode.mode), std::max(*value, 0.0), decimals(value, digits, unit), colour_of(mode.mode)});
        }
    }
    return bars.empty() ? "" : bar_chart(title, bars, full_scale);
}

std::string charts(const RunResult& run) {
    const auto percent = [](std::optional<double> v) { return v ? std::optional<double>(*v * 100) : v; };
    std::string html = "<div class=\"charts\">\n";
    html += chart(run, "Top-1 accuracy", [&](const ModeResult& m) { return percent(m.top1); }, 2, " %", 100);
    html += chart(run, "Agreement with fp32", [&](const ModeResult& m) { return percent(m.agreement); }, 2, " %", 100);
    html += chart(run, "Images a second, more is better", [](const ModeResult& m) { return m.img_per_s; }, 1, "", 0);
    html += chart(run, "Latency of one image, less is better", [](const ModeResult& m) { return m.latency_ms; }, 2, " ms", 0);
    html += chart(run, "Model file, less is better",
                  [](const ModeResult& m) { return static_cast<double>(m.model_bytes) / 1e6; }, 1, " MB", 0);
    return html + "</div>\n";
}

std::string table_row(const std::vector<std::string>& cells, const char* tag) {
    std::string row = "<tr>";
    for (const std::string& cell : cells) {
        row += std::string("<") + tag + ">" + html_escaped(cell) + "</" + tag + ">";
    }
    return row + "</tr>\n";
}

std::string result_table(const RunResult& run) {
    const auto percent = [](std::optional<double> v) { return decimals(v ? std::optional<double>(*v * 100) : v, 2, " %"); };
    std::string html = "<table>\n" + table_row({"mode", "images", "top-1", "agreement", "logit SQNR", "img/s", "speed-up", "latency", "faster",
                                                 "model bytes", "int8 layers", "float layers"}, "th");
    for (const ModeResult& m : run.modes) {
        html += table_row({mode_name(m.mode), std::to_string(m.images), percent(m.top1), percent(m.agreement), decimals(m.sqnr_db, 1, " dB"),
                           decimals(m.img_per_s, 1), decimals(speed_up(run, m), 2, " x"), decimals(m.latency_ms, 2, " ms"),
                           decimals(latency_speed_up(run, m), 2, " x"), std::to_string(m.model_bytes), std::to_string(m.int8_layers),
                           std::to_string(m.float_layers)}, "td");
    }
    return html + "</table>\n";
}

std::string machine_table(const RunResult& run) {
    std::string calibration = "none";
    if (run.calibration_images > 0) {
        calibration = std::to_string(run.calibration_images) + " images of the " + (run.calibrate_on == Split::train ? "training" : "test") + " set";
    }
    std::string html = "<table>\n";
    for (const auto& [name, value] : std::initializer_list<std::pair<const char*, std::string>>{
             {"CPU", run.cpu}, {"instruction set", run.isa}, {"threads", std::to_string(run.threads)}, {"batch", std::to_string(run.batch)},
             {"model", run.model_file}, {"calibration", calibration}, {"rsquant", run.version}}) {
        html += table_row({name, value}, "td");
    }
    return html + "</table>\n";
}

// Images to show, in the order of html_report's promise.
std::vector<std::size_t> images_to_show(const RunResult& run, const Images& images) {
    const ModeResult& first = run.modes.front();
    const auto predicted = [&](const ModeResult& mode, std::size_t image) { return predicted_class(&mode.logits[image * run.classes], run.classes); };
    const auto disagree = [&](std::size_t image) {
        return std::any_of(run.modes.begin(), run.modes.end(), [&](const ModeResult& m) { return predicted(m, image) != predicted(first, image); });
    };
    std::vector<std::size_t> shown;
    const auto add = [&](std::size_t most, const std::function<bool(std::size_t)>& fits) {
        for (std::size_t image = 0; image < first.images && most > 0 && shown.size() < kShown; ++image) {
            if (fits(image) && std::find(shown.begin(), shown.end(), image) == shown.end()) {
                shown.push_back(image);
                --most;
            }
        }
    };
    add(kDisagreeing, disagree);
    add(kWrong, [&](std::size_t image) { return predicted(first, image) != images.labels[image]; });
    add(kShown, [](std::size_t) { return true; });
    return shown;
}

std::string class_name(std::size_t index, std::size_t classes) {
    return classes == kCifarClasses ? kCifarClassNames[index] : "class " + std::to_string(index);
}

std::string image_card(const RunResult& run, const Images& images, std::size_t image) {
    std::string html = "<div class=\"image\"><img alt=\"\" src=\"data:image/png;base64," +
                       base64(png_bytes(images.pixels_of(image), kCifarSide, kCifarSide)) + "\"><div><b>" +
                       kCifarClassNames[images.labels[image]] + "</b> (" + std::to_string(image) + ")";
    for (const ModeResult& mode : run.modes) {
        const float* logits = &mode.logits[image * run.classes];
        const std::size_t guess = predicted_class(logits, run.classes);
        const bool judged = run.classes == kCifarClasses;
        const char* verdict = !judged ? "" : guess == images.labels[image] ? "right" : "wrong";
        html += std::string("<br>") + mode_name(mode.mode) + ": <span class=\"" + verdict + "\">" + class_name(guess, run.classes) + "</span> " +
                decimals(probabilities(logits, run.classes)[guess] * 100, 0, " %");
    }
    return html + "</div></div>\n";
}

}  // namespace

std::string html_report(const RunResult& run, const Images& images) {
    std::string html = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>CIFAR-10: float and int8</title>\n";
    html += std::string(kStyle) + "</head><body>\n<h1>CIFAR-10: float, static int8, dynamic int8</h1>\n";
    html += charts(run) + "<h2>Figures</h2>\n" + result_table(run) + "<h2>Run</h2>\n" + machine_table(run);
    html += "<h2>Images</h2>\n<p>Label, number, and each mode's prediction. Images on which the modes disagree come first, then wrong ones.</p>\n";
    html += "<div class=\"images\">\n";
    for (const std::size_t image : images_to_show(run, images)) {
        html += image_card(run, images, image);
    }
    return html + "</div>\n</body></html>\n";
}

}  // namespace harness
