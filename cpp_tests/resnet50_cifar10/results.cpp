#include "results.hpp"

#include "json.hpp"
#include "metrics.hpp"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <functional>

namespace harness {
namespace {

std::optional<double> ratio(std::optional<double> over, std::optional<double> under) {
    if (!over || !under || *under <= 0) {
        return std::nullopt;
    }
    return *over / *under;
}

std::optional<double> percent(std::optional<double> fraction) {
    return fraction ? std::optional<double>(*fraction * 100) : std::nullopt;
}

using Column = std::function<std::string(const ModeResult&)>;

void json_number(JsonWriter& json, const char* key, std::optional<double> value) {
    json.key(key);
    value ? json.value(*value) : json.null();
}

void json_mode(JsonWriter& json, const RunResult& run, const ModeResult& mode) {
    json.key(mode_name(mode.mode)).begin_object();
    json_number(json, "top1", mode.top1);
    json_number(json, "agreement", mode.agreement);
    json_number(json, "logit_sqnr_db", mode.sqnr_db);
    json.member("img_per_s", mode.img_per_s);
    json_number(json, "speed_up", speed_up(run, mode));
    json_number(json, "latency_ms", mode.latency_ms);
    json_number(json, "latency_speed_up", latency_speed_up(run, mode));
    json.member("images", mode.images).member("model_bytes", mode.model_bytes);
    json.member("int8_layers", mode.int8_layers).member("float_layers", mode.float_layers);
    json.key("float_reasons").begin_array();
    for (const std::string& reason : mode.float_reasons) {
        json.value(reason);
    }
    json.end_array().end_object();
}

}  // namespace

const ModeResult* RunResult::find(Mode mode) const {
    const auto found = std::find_if(modes.begin(), modes.end(), [&](const ModeResult& m) { return m.mode == mode; });
    return found == modes.end() ? nullptr : &*found;
}

std::string cpu_name() {
    std::ifstream info("/proc/cpuinfo");
    for (std::string line; std::getline(info, line);) {
        if (line.rfind("model name", 0) == 0) {
            const std::size_t start = line.find_first_not_of(" \t:", line.find(':'));
            return start == std::string::npos ? "unknown" : line.substr(start);
        }
    }
    return "unknown";
}

void compare_with_fp32(RunResult& run) {
    const ModeResult* fp32 = run.find(Mode::fp32);
    if (fp32 == nullptr || run.classes == 0) {
        return;
    }
    for (ModeResult& mode : run.modes) {
        mode.agreement = agreement(mode.logits, fp32->logits, run.classes);
        if (mode.mode != Mode::fp32) {
            mode.sqnr_db = sqnr_db(mode.logits, fp32->logits);
        }
    }
}

std::optional<double> speed_up(const RunResult& run, const ModeResult& mode) {
    const ModeResult* fp32 = run.find(Mode::fp32);
    return fp32 == nullptr ? std::nullopt : ratio(mode.img_per_s, fp32->img_per_s);
}

std::optional<double> latency_speed_up(const RunResult& run, const ModeResult& mode) {
    const ModeResult* fp32 = run.find(Mode::fp32);
    return fp32 == nullptr ? std::nullopt : ratio(fp32->latency_ms, mode.latency_ms);
}

std::string decimals(std::optional<double> value, int digits, const char* unit) {
    if (!value) {
        return "-";
    }
    char text[64];
    std::snprintf(text, sizeof text, "%.*f%s", digits, *value, unit);
    return text;
}

std::string end_table(const RunResult& run) {
    const std::pair<const char*, Column> columns[] = {
        {"mode", [](const ModeResult& m) { return std::string(mode_name(m.mode)); }},
        {"top-1", [](const ModeResult& m) { return decimals(percent(m.top1), 2, " %"); }},
        {"agreement", [](const ModeResult& m) { return decimals(percent(m.agreement), 2, " %"); }},
        {"logit SQNR", [](const ModeResult& m) { return decimals(m.sqnr_db, 1, " dB"); }},
        {"img/s", [](const ModeResult& m) { return decimals(m.img_per_s, 1); }},
        {"speed-up", [&](const ModeResult& m) { return decimals(speed_up(run, m), 2, " x"); }},
        {"latency", [](const ModeResult& m) { return decimals(m.latency_ms, 2, " ms"); }},
        {"model", [](const ModeResult& m) { return decimals(static_cast<double>(m.model_bytes) / 1e6, 2, " MB"); }},
        {"int8/float layers", [](const ModeResult& m) { return std::to_string(m.int8_layers) + "/" + std::to_string(m.float_layers); }},
    };
    std::vector<std::string> lines(1 + run.modes.size());
    for (const auto& [title, cell] : columns) {
        std::vector<std::string> cells = {title};
        std::transform(run.modes.begin(), run.modes.end(), std::back_inserter(cells), cell);
        const auto longer = [](const std::string& a, const std::string& b) { return a.size() < b.size(); };
        const std::size_t width = std::max_element(cells.begin(), cells.end(), longer)->size();
        for (std::size_t row = 0; row < cells.size(); ++row) {
            const std::string padding(width - cells[row].size(), ' ');
            const bool first_column = lines[row].empty();
            lines[row] += first_column ? cells[row] + padding : "  " + padding + cells[row];
        }
    }
    std::string table;
    for (const std::string& line : lines) {
        table += line + "\n";
    }
    for (const ModeResult& mode : run.modes) {
        if (const auto faster = latency_speed_up(run, mode); faster && mode.mode != Mode::fp32) {
            table += std::string(mode_name(mode.mode)) + " int8, one image: " + decimals(faster, 2) + " x faster than fp32\n";
        }
        for (const std::string& reason : mode.float_reasons) {
            table += std::string(mode_name(mode.mode)) + " keeps in float " + reason + "\n";
        }
    }
    return table;
}

std::string to_json(const RunResult& run) {
    JsonWriter json(true);
    json.begin_object();
    for (const ModeResult& mode : run.modes) {
        json_mode(json, run, mode);
    }
    json.member("cpu", run.cpu).member("isa", run.isa).member("threads", run.threads).member("batch", run.batch);
    json.member("model", run.model_file).member("classes", run.classes);
    json.member("calibration_images", run.calibration_images);
    json.member("calibrate_on", run.calibrate_on == Split::train ? "train" : "test").member("version", run.version);
    json.end_object();
    return json.text() + "\n";
}

}  // namespace harness
