#include "options.hpp"

#include <doctest/doctest.h>

#include <initializer_list>
#include <string>
#include <vector>

using harness::Mode;
using harness::Options;

namespace {

Options parse(std::initializer_list<const char*> arguments) {
    std::vector<const char*> argv = {"resnet50_cifar10"};
    argv.insert(argv.end(), arguments);
    return harness::parse_options(static_cast<int>(argv.size()), argv.data());
}

std::string refusal(std::initializer_list<const char*> arguments) {
    try {
        parse(arguments);
    } catch (const harness::UsageError& error) {
        return error.what();
    }
    return "";
}

}  // namespace

TEST_CASE("without options everything has its default") {
    const Options options = parse({});
    CHECK(options.modes == std::vector<Mode>{Mode::fp32, Mode::static_int8, Mode::dynamic_int8});
    CHECK(options.batch == 128);
    CHECK(options.calibration_images == 512);
    CHECK(options.calibrate_on == harness::Split::train);
    CHECK(options.threads == 0);
    CHECK(options.latency_runs == 100);
    CHECK(options.report == "report.html");
    CHECK_FALSE(options.images);
    CHECK_FALSE(options.bench);
    CHECK_FALSE(options.u8_input);
}

TEST_CASE("every option is taken, with its value behind it or behind an equals sign") {
    const Options options = parse({"--data", "d", "--model=m.onnx", "--mode", "static", "--batch", "16", "--images=7", "--calibration-images", "9",
                                   "--calibrate-on", "test", "--threads", "2", "--isa", "avx2", "--latency-runs", "0", "--save-static", "s",
                                   "--dump-logits", "l", "--json", "j", "--report", "r"});
    CHECK(options.data_dir == "d");
    CHECK(options.model_file == "m.onnx");
    CHECK(options.modes == std::vector<Mode>{Mode::static_int8});
    CHECK(options.batch == 16);
    CHECK(options.images == 7);
    CHECK(options.calibration_images == 9);
    CHECK(options.calibrate_on == harness::Split::test);
    CHECK(options.threads == 2);
    CHECK(options.isa == "avx2");
    CHECK(options.latency_runs == 0);
    CHECK(options.save_static == "s");
    CHECK(options.dump_logits == "l");
    CHECK(options.json == "j");
    CHECK(options.report == "r");
    CHECK(parse({"--save-dynamic", "x"}).save_dynamic == "x");
    CHECK(parse({"--load", "x"}).load == "x");
    CHECK(parse({"--bench"}).bench);
    CHECK(parse({"--u8-input"}).u8_input);
    CHECK(parse({"--help"}).help);
    CHECK(parse({"--input", "a", "--output", "b"}).output == "b");
}

TEST_CASE("a bench calibrates on few images unless told") {
    CHECK(parse({"--bench"}).calibration_images == 32);
    CHECK(parse({"--calibration-images", "100", "--bench"}).calibration_images == 100);
}

TEST_CASE("what cannot be meant is refused, and the message says why") {
    CHECK(refusal({"--nonsense"}) == "unknown option \"--nonsense\"");
    CHECK(refusal({"stray"}) == "unknown option \"stray\"");
    CHECK(refusal({"--batch"}) == "--batch needs a value: N");
    CHECK(refusal({"--batch", "0"}) == "--batch takes a whole number of at least 1, not \"0\"");
    CHECK(refusal({"--batch", "4x"}) != "");
    CHECK(refusal({"--batch", "-4"}) != "");
    CHECK(refusal({"--images", "99999999999999999999"}) != "");
    CHECK(refusal({"--mode", "int4"}) == "--mode takes fp32, static, dynamic, some of them with commas between, or all, not \"int4\"");
    CHECK(refusal({"--calibrate-on", "both"}) != "");
    CHECK(refusal({"--bench=1"}) == "--bench takes no value");
    CHECK(refusal({"--input", "a"}) == "--input and --output go together");
    CHECK(refusal({"--input", "a", "--output", "b", "--bench"}) != "");
    CHECK(refusal({"--u8-input", "--input", "a", "--output", "b"}) == "--u8-input goes not with --input, which has floats");
    CHECK(refusal({"--mode", "dynamic", "--save-static", "f"}) == "--save-static needs --mode static or all");
    CHECK(refusal({"--mode", "fp32", "--save-dynamic", "f"}) == "--save-dynamic needs --mode dynamic or all");
    CHECK(refusal({"--mode", "fp32", "--load", "f"}) != "");
    CHECK(refusal({"--load", "f", "--save-static", "g"}) != "");
}

TEST_CASE("the list of options names each") {
    const std::string text = harness::usage();
    for (const char* name : {"--data", "--model", "--mode", "--batch", "--images", "--calibration-images", "--calibrate-on", "--threads", "--isa",
                             "--latency-runs", "--bench", "--save-static", "--save-dynamic", "--load", "--solver", "--recipe", "--import-ipex", "--save-recipe", "--dump-logits", "--input", "--output", "--json",
                             "--report", "--help"}) {
        CAPTURE(name);
        CHECK(text.find(std::string("  ") + name + " ") != std::string::npos);
    }
}

TEST_CASE("modes may be listed, and run in the order of the table") {
    CHECK(parse({"--mode", "static,fp32"}).modes == std::vector<Mode>{Mode::fp32, Mode::static_int8});
    CHECK(refusal({"--mode", "fp32,"}).find("--mode") != std::string::npos);
    CHECK(refusal({"--mode", "fp32,fp32"}).find("--mode") != std::string::npos);
    CHECK(refusal({"--mode", "fp32,int8"}).find("int8") != std::string::npos);
}

TEST_CASE("where static qparams come from is said once, and for static models only") {
    CHECK(parse({"--solver", "mse"}).solver == "mse");
    CHECK(parse({"--recipe", "r", "--save-recipe=s"}).recipe == "r");
    CHECK(parse({"--import-ipex", "i"}).import_ipex == "i");
    CHECK(refusal({"--solver", "best"}).find("best") != std::string::npos);
    CHECK(refusal({"--recipe", "r", "--solver", "l2"}).find("only one") != std::string::npos);
    CHECK(refusal({"--recipe", "r", "--import-ipex", "i"}).find("only one") != std::string::npos);
    CHECK(refusal({"--save-recipe", "r", "--mode", "dynamic"}).find("--save-recipe") != std::string::npos);
    CHECK(refusal({"--solver", "l2", "--load", "m"}).find("--load") != std::string::npos);
}
