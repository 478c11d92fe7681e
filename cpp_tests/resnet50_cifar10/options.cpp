#include "options.hpp"

#include <algorithm>
#include <charconv>
#include <functional>

namespace harness {
namespace {

struct OptionRow {
    const char* name;
    const char* value;  // what follows the name; nullptr: nothing
    const char* text;
    std::function<void(Options&, const std::string&)> take;
};

std::size_t number(const std::string& option, const std::string& text, std::size_t least) {
    std::size_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < least || value > 1'000'000'000) {
        throw UsageError(option + " takes a whole number of at least " + std::to_string(least) + ", not \"" + text + "\"");
    }
    return value;
}

std::vector<Mode> modes(const std::string& text) {
    if (text == "all") {
        return {Mode::fp32, Mode::static_int8, Mode::dynamic_int8};
    }
    const std::string names = "," + text + ",";
    std::vector<Mode> found;
    std::size_t length = 0;
    for (const Mode mode : {Mode::fp32, Mode::static_int8, Mode::dynamic_int8}) {
        const std::string name = mode_name(mode);
        if (names.find("," + name + ",") != std::string::npos) {
            found.push_back(mode);
            length += name.size() + 1;
        }
    }
    if (length != text.size() + 1) {  // a name that is none, or twice
        throw UsageError("--mode takes fp32, static, dynamic, some of them with commas between, or all, not \"" + text + "\"");
    }
    return found;
}

Split split(const std::string& text) {
    if (text == "train") {
        return Split::train;
    }
    if (text == "test") {
        return Split::test;
    }
    throw UsageError("--calibrate-on takes train or test, not \"" + text + "\"");
}

std::string solver(const std::string& text) {
    for (const char* name : kSolvers) {
        if (text == name) {
            return text;
        }
    }
    throw UsageError("--solver takes min_max, l2, percentile, entropy, mse or auto, not \"" + text + "\"");
}

const std::vector<OptionRow>& rows() {
    using O = Options;
    using S = const std::string&;
    static const std::vector<OptionRow> all = {
        {"--data", "DIR", "folder of CIFAR-10's binary files (the sample's own 1,000 test and 512 training images)",
         [](O& o, S v) { o.data_dir = v; }},
        {"--model", "FILE", "ONNX model, image input [n, 3, h, w] (the sample's ResNet-50)", [](O& o, S v) { o.model_file = v; }},
        {"--mode", "MODE", "fp32, static, dynamic, some of them as in fp32,static, or all (all); agreement and speed-up need fp32 in the same run",
         [](O& o, S v) { o.modes = modes(v); }},
        {"--batch", "N", "images a run (128)", [](O& o, S v) { o.batch = number("--batch", v, 1); }},
        {"--images", "N", "test images (all)", [](O& o, S v) { o.images = number("--images", v, 1); }},
        {"--calibration-images", "N", "images to calibrate from (512; with --bench and --profile 32)",
         [](O& o, S v) { o.calibration_images = number("--calibration-images", v, 1); }},
        {"--calibrate-on", "SPLIT", "train or test (train)", [](O& o, S v) { o.calibrate_on = split(v); }},
        {"--threads", "N", "threads (all)",
         [](O& o, S v) { o.threads = static_cast<unsigned>(number("--threads", v, 1)); }},
        {"--isa", "NAME", "best instruction set to use: portable, avx2, avx_vnni, avx512_vnni, amx_int8 (the CPU's best)",
         [](O& o, S v) { o.isa = v; }},
        {"--latency-runs", "N", "runs of one image to take the latency of, after 3 warm-ups; 0: none (100)",
         [](O& o, S v) { o.latency_runs = number("--latency-runs", v, 0); }},
        {"--bench", nullptr, "measure the model alone, inputs ready: one JSON line a mode on stdout, nothing else",
         [](O& o, S) { o.bench = true; }},
        {"--profile", "FILE", "measure what each layer costs, inputs ready: a table on stdout, a page with bars in FILE",
         [](O& o, S v) { o.profile = v; }},
        {"--save-static", "FILE", "write the static int8 model", [](O& o, S v) { o.save_static = v; }},
        {"--save-dynamic", "FILE", "write the dynamic int8 model", [](O& o, S v) { o.save_dynamic = v; }},
        {"--load", "FILE", "run this saved model in its mode instead of quantizing", [](O& o, S v) { o.load = v; }},
        {"--solver", "NAME", "how static ranges are chosen: min_max, l2, percentile, entropy, mse, auto (l2)",
         [](O& o, S v) { o.solver = solver(v); }},
        {"--recipe", "FILE", "static: take the qparams of this recipe, not of images", [](O& o, S v) { o.recipe = v; }},
        {"--import-ipex", "FILE", "static: take those of what Intel Extension for PyTorch's save_qconf_summary wrote",
         [](O& o, S v) { o.import_ipex = v; }},
        {"--save-recipe", "FILE", "write the static model's recipe", [](O& o, S v) { o.save_recipe = v; }},
        {"--dump-logits", "FILE", "write raw f32 logits [images, classes]; with several modes FILE.fp32, FILE.static, FILE.dynamic",
         [](O& o, S v) { o.dump_logits = v; }},
        {"--u8-input", nullptr, "hand the library the bytes of the pixels, which it normalizes, and not floats",
         [](O& o, S) { o.u8_input = true; }},
        {"--input", "FILE", "run on raw f32 [n, 3, h, w] of this file and not on images; needs --output",
         [](O& o, S v) { o.input = v; }},
        {"--output", "FILE", "where --input's logits go, named as by --dump-logits", [](O& o, S v) { o.output = v; }},
        {"--json", "FILE", "write the end table as JSON", [](O& o, S v) { o.json = v; }},
        {"--report", "FILE", "write the page with charts and images (report.html)", [](O& o, S v) { o.report = v; }},
        {"--help", nullptr, "show this list", [](O& o, S) { o.help = true; }},
    };
    return all;
}

const OptionRow& row_named(const std::string& name) {
    const auto& all = rows();
    const auto row = std::find_if(all.begin(), all.end(), [&](const OptionRow& r) { return name == r.name; });
    if (row == all.end()) {
        throw UsageError("unknown option \"" + name + "\"");
    }
    return *row;
}

void check_combinations(const Options& o) {
    if (o.input.empty() != o.output.empty()) {
        throw UsageError("--input and --output go together");
    }
    if (o.bench && !o.profile.empty()) {
        throw UsageError("--bench and --profile are two runs");
    }
    if (!o.input.empty() && (o.bench || !o.profile.empty() || !o.dump_logits.empty())) {
        throw UsageError("--input goes with neither of --bench, --profile and --dump-logits");
    }
    if (o.u8_input && !o.input.empty()) {
        throw UsageError("--u8-input goes not with --input, which has floats");
    }
    if (!o.save_static.empty() && !o.runs(Mode::static_int8)) {
        throw UsageError("--save-static needs --mode static or all");
    }
    const bool given = !(o.recipe.empty() && o.import_ipex.empty());
    if ((given || !o.save_recipe.empty() || !o.solver.empty()) && (!o.runs(Mode::static_int8) || !o.load.empty())) {
        throw UsageError("--recipe, --import-ipex, --save-recipe and --solver need --mode static or all, and no --load");
    }
    if ((given && !o.solver.empty()) || (!o.recipe.empty() && !o.import_ipex.empty())) {
        throw UsageError("of --recipe, --import-ipex and --solver only one goes");
    }
    if (!o.save_dynamic.empty() && !o.runs(Mode::dynamic_int8)) {
        throw UsageError("--save-dynamic needs --mode dynamic or all");
    }
    if (!o.load.empty() && o.modes.size() == 1 && o.modes[0] == Mode::fp32) {
        throw UsageError("--load needs --mode static, dynamic or all");
    }
    if (!o.load.empty() && !(o.save_static.empty() && o.save_dynamic.empty())) {
        throw UsageError("--load goes neither with --save-static nor with --save-dynamic");
    }
}

}  // namespace

const char* mode_name(Mode mode) {
    switch (mode) {
        case Mode::fp32: return "fp32";
        case Mode::static_int8: return "static";
        case Mode::dynamic_int8: return "dynamic";
    }
    return "";
}

bool Options::runs(Mode mode) const { return std::find(modes.begin(), modes.end(), mode) != modes.end(); }

Options parse_options(int argc, const char* const* argv) {
    Options options;
    options.modes = modes("all");
    bool calibration_given = false;
    for (int i = 1; i < argc; ++i) {
        std::string name = argv[i];
        std::optional<std::string> value;
        if (const std::size_t equals = name.find('='); equals != std::string::npos) {
            value = name.substr(equals + 1);
            name.resize(equals);
        }
        const OptionRow& row = row_named(name);
        calibration_given |= name == "--calibration-images";
        if (row.value == nullptr) {
            if (value) {
                throw UsageError(name + " takes no value");
            }
            row.take(options, "");
            continue;
        }
        if (!value && i + 1 < argc) {
            value = argv[++i];
        }
        if (!value || value->empty()) {
            throw UsageError(name + " needs a value: " + row.value);
        }
        row.take(options, *value);
    }
    if ((options.bench || !options.profile.empty()) && !calibration_given) {
        options.calibration_images = 32;  // speed does not depend on them
    }
    check_combinations(options);
    return options;
}

std::string usage() {
    std::string text = "usage: resnet50_cifar10 [options]     (defaults in brackets)\n";
    for (const OptionRow& row : rows()) {
        std::string name = std::string("  ") + row.name + (row.value ? std::string(" ") + row.value : "");
        name.resize(std::max<std::size_t>(name.size() + 1, 28), ' ');
        text += name + row.text + "\n";
    }
    return text;
}

}  // namespace harness
