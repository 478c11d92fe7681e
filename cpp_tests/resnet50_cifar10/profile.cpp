#include "profile.hpp"

#include "bar_chart.hpp"
#include "line_round_trip.hpp"
#include "workload.hpp"

#include <algorithm>
#include <cstdio>

namespace harness {
namespace {

constexpr std::size_t kWarmUps = 3, kRuns = 10;
constexpr double kWarmUpMs = 1000, kMeasureMs = 3000;

double roof_of(const rsquant::Roof& roof, Mode mode) { return mode == Mode::fp32 ? roof.f32_gops : roof.int8_gops; }

template <typename... Values>
std::string printed(const char* format, Values... values) {
    char line[512];
    std::snprintf(line, sizeof line, format, values...);
    return line;
}

LayerCost layer_cost(const rsquant::Session& session, std::size_t index, double roof_of_one) {
    const rsquant::StepInfo info = session.step(index);
    const rsquant::StepProfile cost = session.step_profile(index);
    LayerCost layer;
    layer.name = info.name;
    layer.op_type = info.op_type;
    layer.kernel = info.kernel;
    layer.mega_ops = 2e-6 * static_cast<double>(info.macs);
    layer.microseconds = 1e-3 * static_cast<double>(cost.thread_ns) / static_cast<double>(std::max<std::uint64_t>(cost.samples, 1));
    layer.gops = layer.microseconds > 0 ? 1e3 * layer.mega_ops / layer.microseconds : 0;
    layer.roof_share = roof_of_one > 0 ? layer.gops / roof_of_one : 0;
    layer.activation_bytes = static_cast<double>(info.activation_bytes);
    layer.weight_bytes = static_cast<double>(info.weight_bytes);
    return layer;
}

std::string summary(const ModelProfile& profile) {
    std::string text = printed("%s, batch %zu, %u threads: %.1f images/s", mode_name(profile.mode), profile.batch, profile.threads, profile.img_per_s);
    if (profile.roof_gops > 0) {
        text += printed(", %.1f %% of the roof of %.0f GOPS", 100 * profile.roof_share, profile.roof_gops);
    }
    text += printed("; threads waited %.1f %% of the time", 100 * profile.waiting_share);
    return profile.round_trip_ns > 0 ? text + printed(", a cache line goes there and back in %.0f ns", profile.round_trip_ns) : text;
}

}  // namespace

ModelProfile profile_model(const Engine& engine, const Candidate& candidate, const Images& images, std::size_t batch) {
    Workload workload(engine, candidate, images, batch, true);
    workload.times(kWarmUps, kWarmUpMs);
    const double before = roof_of(engine.context().measure_roof(), candidate.mode);
    const double round_trip_ns = engine.threads() > 1 ? line_round_trip_ns() : 0;
    rsquant::Session& session = workload.session();
    session.reset_profile();
    workload.times(kRuns, kMeasureMs);
    const rsquant::Profile total = session.profile();
    const double after = roof_of(engine.context().measure_roof(), candidate.mode);

    ModelProfile profile;
    profile.mode = candidate.mode;
    profile.batch = batch;
    profile.threads = engine.threads();
    profile.round_trip_ns = round_trip_ns;
    profile.roof_gops = (before + after) / 2;
    profile.img_per_s = 1e9 * static_cast<double>(total.runs * batch) / static_cast<double>(std::max<std::uint64_t>(total.wall_ns, 1));
    double mega_ops = 0, busy_ns = 0;
    for (std::size_t i = 0; i < session.step_count(); ++i) {
        profile.layers.push_back(layer_cost(session, i, profile.roof_gops / engine.threads()));
        mega_ops += profile.layers.back().mega_ops;
        busy_ns += static_cast<double>(rsquant::StepProfile(session.step_profile(i)).thread_ns);
    }
    profile.roof_share = profile.roof_gops > 0 ? 1e-3 * mega_ops * profile.img_per_s / profile.roof_gops : 0;
    profile.waiting_share = std::max(0.0, 1 - busy_ns / static_cast<double>(std::max<std::uint64_t>(total.thread_ns, 1)));
    return profile;
}

std::string profile_table(const ModelProfile& profile) {
    std::string text = summary(profile) + "\n";
    text += printed("%-34s %-14s %-27s %9s %9s %7s %7s %9s %9s\n", "layer", "operator", "kernel", "MOP", "us/image", "GOPS", "roof", "act. KB", "wts. KB");
    for (const LayerCost& layer : profile.layers) {
        const std::string share = layer.roof_share > 0 ? printed("%.1f %%", 100 * layer.roof_share) : "";
        text += printed("%-34.34s %-14.14s %-27.27s %9.2f %9.2f %7.1f %7s %9.1f %9.1f\n", layer.name.c_str(), layer.op_type.c_str(),
                        layer.kernel.c_str(), layer.mega_ops, layer.microseconds, layer.gops, share.c_str(), layer.activation_bytes / 1e3,
                        layer.weight_bytes / 1e3);
    }
    return text;
}

std::string profile_page(const std::vector<ModelProfile>& profiles, const std::string& cpu, const std::string& isa) {
    std::string html = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Where the time goes</title><style>\n"
                       "body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:75em;padding:0 1em;color:#222}\n"
                       "table{border-collapse:collapse;font-size:13px}td,th{padding:.15em .7em;border-bottom:1px solid #ddd;text-align:right}\n"
                       "td:nth-child(-n+3),th:nth-child(-n+3){text-align:left}.bar{height:12px;border-radius:2px;background:#2463eb}\n"
                       "td.wide{width:18em}\n</style></head><body>\n<h1>Where the time goes</h1>\n<p>" +
                       html_escaped(cpu + ", " + isa) + "</p>\n";
    for (const ModelProfile& profile : profiles) {
        double longest = 0;
        for (const LayerCost& layer : profile.layers) {
            longest = std::max(longest, layer.microseconds);
        }
        html += "<h2>" + html_escaped(summary(profile)) + "</h2>\n<table><tr><th>layer</th><th>operator</th><th>kernel</th><th>MOP</th>"
                "<th>&micro;s an image</th><th></th><th>GOPS</th><th>of roof</th><th>activations, KB</th><th>weights, KB</th></tr>\n";
        for (const LayerCost& layer : profile.layers) {
            const double width = longest > 0 ? 100 * layer.microseconds / longest : 0;
            html += "<tr><td>" + html_escaped(layer.name) + "</td><td>" + html_escaped(layer.op_type) + "</td><td>" + html_escaped(layer.kernel) +
                    printed("</td><td>%.2f</td><td>%.2f</td><td class=\"wide\"><div class=\"bar\" style=\"width:%.1f%%\"></div></td><td>%.1f</td>",
                            layer.mega_ops, layer.microseconds, width, layer.gops);
            html += layer.roof_share > 0 ? printed("<td>%.1f %%</td>", 100 * layer.roof_share) : "<td></td>";
            html += printed("<td>%.1f</td><td>%.1f</td></tr>\n", layer.activation_bytes / 1e3, layer.weight_bytes / 1e3);
        }
        html += "</table>\n";
    }
    return html + "</body></html>\n";
}

}  // namespace harness
