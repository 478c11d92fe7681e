#include "networks.hpp"

#include <string>

using test::Resnet;

namespace {

struct Count {
    std::size_t int8_static = 0, int8_dynamic = 0, floats = 0;
};

Count weighted_layers(const rsquant::Model& model) {
    Count count;
    for (std::size_t i = 0; i < model.layer_count(); ++i) {
        const rsquant::LayerInfo layer = model.layer(i);
        const std::string op = layer.op_type;
        if (op != "Conv" && op != "Gemm") {
            continue;
        }
        count.int8_static += layer.precision == RSQ_PRECISION_INT8_STATIC;
        count.int8_dynamic += layer.precision == RSQ_PRECISION_INT8_DYNAMIC;
        count.floats += layer.precision == RSQ_PRECISION_FLOAT;
    }
    return count;
}

rsquant::Model converted(const rsquant::QConfig& qconfig) {
    rsquant::Prepared prepared = rsquant::Prepared::make(Resnet::graph(), qconfig);
    prepared.calibrate({Resnet::input(), Resnet::input_shape()});
    return prepared.convert();
}

}  // namespace

TEST_CASE("the defaults quantize all layers, statically or dynamically") {
    const Count is_static = weighted_layers(converted(rsquant::QConfig::default_static()));
    CHECK(is_static.int8_static > 5);
    CHECK(is_static.int8_dynamic + is_static.floats == 0);
    const Count dynamic = weighted_layers(converted(rsquant::QConfig::default_dynamic()));
    CHECK(dynamic.int8_dynamic == is_static.int8_static);
    CHECK(dynamic.int8_static + dynamic.floats == 0);
}

TEST_CASE("a scope takes its layers out, and the model tells why") {
    rsquant::QConfig qconfig = rsquant::QConfig::default_static();
    rsquant::LayerQConfig skip;
    skip.precision = RSQ_PRECISION_FLOAT;
    qconfig.set("op:Gemm", skip);
    const rsquant::Model model = converted(qconfig);
    CHECK(weighted_layers(model).floats == 1);
    for (std::size_t i = 0; i < model.layer_count(); ++i) {
        const rsquant::LayerInfo layer = model.layer(i);
        if (std::string(layer.op_type) == "Gemm") {
            CHECK(layer.reason_length > 0);
        }
    }
}

TEST_CASE("JSON holds all that was set") {
    rsquant::QConfig qconfig = rsquant::QConfig::default_static();
    rsquant::LayerQConfig layer;
    layer.activation_observer = RSQ_OBSERVER_MIN_MAX;
    layer.activation_solver = RSQ_SOLVER_MIN_MAX;
    layer.weight_granularity = RSQ_GRANULARITY_PER_TENSOR;
    qconfig.set("name:*", layer);
    qconfig.set_strict(true);
    const std::string json = qconfig.to_json();
    CHECK(json != std::string(rsquant::QConfig(rsquant::QConfig::default_static()).to_json()));
    const rsquant::QConfig again = rsquant::QConfig::from_json(json);
    CHECK(std::string(again.to_json()) == json);
    CHECK(std::vector<std::uint8_t>(converted(again).to_bytes()) == std::vector<std::uint8_t>(converted(qconfig).to_bytes()));
}

TEST_CASE("a buffer for JSON that is too small is refused and stays as it was") {
    const rsquant::QConfig qconfig = rsquant::QConfig::default_static();
    std::size_t length = 0;
    REQUIRE(rsq_qconfig_to_json(qconfig.get(), nullptr, 0, &length) == RSQ_OK);
    std::string buffer(length + 1, '#');
    CHECK(rsq_qconfig_to_json(qconfig.get(), buffer.data(), length, &length) == RSQ_INVALID_ARGUMENT);
    CHECK(buffer == std::string(length + 1, '#'));
    CHECK(rsq_qconfig_to_json(qconfig.get(), buffer.data(), length + 1, &length) == RSQ_OK);
    CHECK(buffer[length] == '\0');
}

TEST_CASE("settings that are none are refused") {
    rsquant::QConfig qconfig = rsquant::QConfig::default_static();
    rsquant::LayerQConfig layer;
    layer.precision = 99;
    CHECK_ERROR(qconfig.set("*", layer), RSQ_INVALID_ARGUMENT, "precision");
    layer.precision = 0;
    CHECK_ERROR(qconfig.set("layer4", layer), RSQ_INVALID_ARGUMENT, "layer4");
    layer.percentile = 120;
    CHECK_ERROR(qconfig.set("*", layer), RSQ_INVALID_ARGUMENT, "percentile");
    CHECK_ERROR(rsquant::QConfig::from_json("{"), RSQ_PARSE, "");
    layer.struct_size = 3;
    CHECK_ERROR(qconfig.set("*", layer), RSQ_BAD_STRUCT_SIZE, "rsq_layer_qconfig");
    CHECK(weighted_layers(converted(qconfig)).floats == 0);
}

TEST_CASE("activation qparams of each channel are for depthwise convolutions, and others say so or are refused") {
    rsquant::LayerQConfig layer;
    layer.activation_granularity = RSQ_GRANULARITY_PER_CHANNEL;
    rsquant::QConfig histogram = rsquant::QConfig::default_static();
    histogram.set("op:Conv", layer);
    CHECK_ERROR(rsquant::Prepared::make(Resnet::graph(), histogram), RSQ_INVALID_ARGUMENT, "min_max");
    rsquant::QConfig qconfig = rsquant::QConfig::default_static();
    layer.activation_observer = RSQ_OBSERVER_MIN_MAX;
    qconfig.set("op:Conv", layer);
    CHECK(std::string(qconfig.to_json()).find("\"per_channel\": true") != std::string::npos);
    // Depthwise layers alone, from [n, 21, 13, 12].
    const std::string network = test::kNetworks + "/conv_depthwise/";
    const auto converted_from = [&](const rsquant::QConfig& settings) {
        rsquant::Prepared prepared = rsquant::Prepared::make(rsquant::Graph::from_onnx_file(network + "model.onnx"), settings);
        prepared.calibrate({test::read_floats(network + "input0.f32"), {2, 21, 13, 12}});
        return rsquant::Model(prepared.convert());
    };
    const rsquant::Model by_channel = converted_from(qconfig);
    const rsquant::LayerInfo depthwise = by_channel.layer(0);
    CHECK(depthwise.precision == RSQ_PRECISION_INT8_STATIC);
    CHECK(depthwise.reason_length == 0);
    CHECK(depthwise.has_input_qparams == 0);
    const rsquant::Model others = converted(qconfig);
    const rsquant::LayerInfo convolution = others.layer(0);
    CHECK(convolution.precision == RSQ_PRECISION_INT8_STATIC);
    CHECK(convolution.has_input_qparams == 1);
    CHECK(std::string(convolution.reason).find("depthwise") != std::string::npos);
    qconfig.set_strict(true);
    CHECK_ERROR(rsquant::Prepared::make(Resnet::graph(), qconfig), RSQ_UNSUPPORTED, "each channel");
    CHECK(rsquant::LayerInfo(converted_from(qconfig).layer(0)).reason_length == 0);
}

TEST_CASE("a scope that matches nothing is an error that names it") {
    rsquant::QConfig qconfig = rsquant::QConfig::default_static();
    rsquant::LayerQConfig layer;
    layer.precision = RSQ_PRECISION_FLOAT;
    qconfig.set("name:no_such_layer", layer);
    CHECK_THROWS_WITH(rsquant::Prepared::make(Resnet::graph(), qconfig), doctest::Contains("name:no_such_layer"));
}

TEST_CASE("settings that contradict each other are refused by what they are for, and the qconfig stays") {
    rsquant::QConfig qconfig = rsquant::QConfig::default_static();
    rsquant::LayerQConfig layer;
    layer.activation_observer = RSQ_OBSERVER_MIN_MAX;
    layer.activation_solver = RSQ_SOLVER_ENTROPY;
    qconfig.set("op:Conv", layer);
    const std::string json = qconfig.to_json();
    CHECK_ERROR(rsquant::Prepared::make(Resnet::graph(), qconfig), RSQ_INVALID_ARGUMENT, "op:Conv");
    CHECK_ERROR(rsquant::QConfig::from_json(json), RSQ_INVALID_ARGUMENT, "activation.solver");
    // Both read the output of the pool.
    rsquant::QConfig readers = rsquant::QConfig::default_static();
    rsquant::LayerQConfig symmetric;
    symmetric.activation_scheme = RSQ_SCHEME_SYMMETRIC;
    readers.set("name:/Conv_10", symmetric);
    CHECK_ERROR(rsquant::Prepared::make(Resnet::graph(), readers), RSQ_INVALID_ARGUMENT, "/Conv_33");
    CHECK(std::string(qconfig.to_json()) == json);
}
