#include "networks.hpp"

#include <cstring>
#include <string>

using test::Resnet;

namespace {

std::vector<std::uint8_t> bytes(const rsquant::Model& model) { return model.to_bytes(); }

std::string replaced(std::string text, const std::string& from, const std::string& to) {
    const std::size_t at = text.find(from);
    REQUIRE(at != std::string::npos);
    return text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("a recipe makes the model that the calibration makes, through a file as well") {
    const test::TemporaryFolder folder;
    const rsquant::Graph graph = Resnet::graph();
    const rsquant::Prepared prepared = Resnet::calibrated();
    const rsquant::Recipe recipe = prepared.recipe();
    const auto expected = bytes(prepared.convert());
    CHECK(bytes(recipe.convert(graph)) == expected);
    recipe.save(folder / "recipe.json");
    const rsquant::Recipe loaded = rsquant::Recipe::load(folder / "recipe.json");
    CHECK(std::string(loaded.to_json()) == std::string(recipe.to_json()));
    CHECK(bytes(loaded.convert(graph, rsquant::Context::make({3, RSQ_ISA_PORTABLE, nullptr}))) == expected);
}

TEST_CASE("a recipe tells the qparams that its model has") {
    const rsquant::Graph graph = Resnet::graph();
    const rsquant::Recipe recipe = Resnet::calibrated().recipe();
    REQUIRE(recipe.activation_count() > 5);
    const rsquant::RecipeActivation image = recipe.activation(0);
    const rsquant::LayerInfo first = rsquant::Model(recipe.convert(graph)).layer(0);
    CHECK(std::string(image.name) == "image");
    CHECK(image.name_length == 5);
    CHECK(image.dtype == RSQ_DTYPE_U8);
    CHECK(image.has_qparams == 1);
    CHECK(image.scale == first.input_scale);
    CHECK(image.zero_point == first.input_zero_point);
    CHECK(image.has_range == 1);
    CHECK(image.low < 0);
    CHECK(image.high > 0);
    CHECK(image.solver == RSQ_SOLVER_L2);
    CHECK(image.predicted_sqnr_db > 20);
    CHECK_ERROR(recipe.activation(recipe.activation_count()), RSQ_NOT_FOUND, "activation");
}

TEST_CASE("what is edited in the JSON holds") {
    const rsquant::Graph graph = Resnet::graph();
    const rsquant::Recipe recipe = Resnet::calibrated().recipe();
    const std::string json = recipe.to_json();
    const std::size_t at = json.find("\"scale\":"), end = json.find(",\"solver\"", at);
    const rsquant::Recipe edited = rsquant::Recipe::from_json(std::string(json).replace(at, end - at, "\"range\":[-9,9]"));
    const rsquant::LayerInfo layer = rsquant::Model(edited.convert(graph)).layer(0);
    CHECK(layer.input_scale == 18.0f / 255.0f);
    CHECK(bytes(edited.convert(graph)) != bytes(recipe.convert(graph)));
}

TEST_CASE("a recipe that is none, is newer, or contradicts itself is refused by its path") {
    const std::string json = rsquant::Recipe(Resnet::calibrated().recipe()).to_json();
    CHECK_ERROR(rsquant::Recipe::from_json("{"), RSQ_PARSE, "recipe");
    CHECK_ERROR(rsquant::Recipe::from_json(replaced(json, "\"dtype\"", "\"dtyp\"")), RSQ_PARSE, "activations[0]");
    CHECK_ERROR(rsquant::Recipe::from_json(replaced(json, "\"version\": 1", "\"version\": 99")), RSQ_VERSION, "99");
    CHECK_ERROR(rsquant::Recipe::from_json(replaced(json, "\"zero_point\":", "\"zero_point\":9")), RSQ_INVALID_ARGUMENT, "activations[0]");
    const rsquant::Recipe moved = rsquant::Recipe::from_json(replaced(json, "\"range\":[-", "\"range\":[-9"));
    CHECK_ERROR(moved.convert(Resnet::graph()), RSQ_INVALID_ARGUMENT, "activations[0]");
    CHECK_ERROR(rsquant::Recipe::load("no/such/recipe.json"), RSQ_IO, "no/such/recipe.json");
}

TEST_CASE("a recipe for another model is refused and names the first difference") {
    const rsquant::Recipe recipe = Resnet::calibrated().recipe();
    const rsquant::Graph other = rsquant::Graph::from_onnx_file(test::kNetworks + "/mobilenet_v2_like/model.onnx");
    CHECK_ERROR(recipe.convert(other), RSQ_MISMATCH, "layers[0]");
    CHECK_ERROR(rsquant::Prepared(rsquant::Prepared::make(other, rsquant::QConfig::default_static())).recipe(), RSQ_NOT_CALIBRATED, "");
    const rsquant::Recipe none;
    CHECK_ERROR(none.convert(other), RSQ_NULL_ARGUMENT, "recipe");
}

TEST_CASE("a buffer for a recipe's JSON that is too small is refused and stays as it was") {
    const rsquant::Recipe recipe = Resnet::calibrated().recipe();
    std::size_t length = 0;
    REQUIRE(rsq_recipe_to_json(recipe.get(), nullptr, 0, &length) == RSQ_OK);
    std::string buffer(length + 1, '#');
    CHECK(rsq_recipe_to_json(recipe.get(), buffer.data(), length, &length) == RSQ_INVALID_ARGUMENT);
    CHECK(buffer == std::string(length + 1, '#'));
    CHECK(rsq_recipe_to_json(recipe.get(), buffer.data(), length + 1, &length) == RSQ_OK);
    CHECK(std::strlen(buffer.c_str()) == length);
}

TEST_CASE("a calibration of another system becomes a recipe, and its entries hold") {
    const rsquant::Graph graph = Resnet::graph();
    const std::string cache = "TRT-8601-EntropyCalibration2\nimage: 3d000000\nrelu7: 3d800000\nnowhere: 3f800000\n";
    const rsquant::Recipe recipe = rsquant::Recipe::import_bytes(graph, cache.data(), cache.size());
    const rsquant::RecipeActivation image = recipe.activation(0);
    CHECK(std::string(image.name) == "image");
    CHECK(image.dtype == RSQ_DTYPE_S8);
    CHECK(image.scale == 0.03125f);
    CHECK(image.zero_point == 0);
    CHECK(std::string(recipe.to_json()).find("nowhere") != std::string::npos);
    const rsquant::LayerInfo first = rsquant::Model(recipe.convert(graph)).layer(0);
    CHECK(first.precision == RSQ_PRECISION_INT8_STATIC);
    CHECK(first.input_scale == 0.03125f);
    CHECK(first.input_zero_point == 128);
    CHECK(first.output_scale == 0.0625f);
}

TEST_CASE("a calibration that is none, or fits nothing, is refused") {
    const rsquant::Graph graph = Resnet::graph();
    const auto import = [&](const std::string& text, rsquant::CalibrationFormat format) {
        return rsquant::Recipe::import_bytes(graph, text.data(), text.size(), format);
    };
    CHECK_ERROR(import("image: 3d000000\n", rsquant::CalibrationFormat::tensorrt), RSQ_PARSE, "first line");
    CHECK_ERROR(import("TRT-1-x\nnowhere: 3d000000\n", rsquant::CalibrationFormat::detect), RSQ_MISMATCH, "nowhere");
    CHECK_ERROR(import("{}", rsquant::CalibrationFormat::ipex), RSQ_MISMATCH, "nothing in it fits");
    CHECK_ERROR(import("x", static_cast<rsquant::CalibrationFormat>(9)), RSQ_INVALID_ARGUMENT, "format is 9");
}
