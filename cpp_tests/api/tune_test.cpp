#include "networks.hpp"
#include "support/json_reader.hpp"

#include <stdexcept>
#include <string>
#include <vector>

using test::Resnet;

namespace {

const std::vector<float>& images() {
    static const std::vector<float> floats = Resnet::images(2, 31);
    return floats;
}

rsquant::TensorView input() { return {images(), Resnet::input_shape()}; }

// Looks at each report, and stops at step `stop_at`.
class Listener : public rsquant::ProgressListener {
public:
    explicit Listener(std::int32_t stage, std::uint64_t stop_at = ~std::uint64_t{0}) : stage_(stage), stop_at_(stop_at) {}
    bool on_progress(const rsq_progress& progress) override {
        CHECK(progress.struct_size == sizeof(rsq_progress));
        CHECK(progress.stage == stage_);
        CHECK(progress.done >= last.done);
        last = progress;
        return progress.done < stop_at_;
    }
    rsq_progress last{};

private:
    std::int32_t stage_;
    std::uint64_t stop_at_;
};

}  // namespace

TEST_CASE("layers are ranked, the most harmful first") {
    const rsquant::Prepared prepared = Resnet::calibrated();
    Listener listener(RSQ_STAGE_RANK);
    const rsquant::Sensitivity ranking = rsquant::Sensitivity::make(prepared, input(), &listener);
    CHECK(listener.last.done == listener.last.total);
    CHECK(listener.last.total > ranking.layer_count());
    REQUIRE(ranking.layer_count() > 8);
    double shares = 0, before = 0;
    for (std::size_t i = 0; i < ranking.layer_count(); ++i) {
        const rsquant::LayerSensitivity layer = ranking.layer(i);
        CHECK(layer.sqnr_db >= before);
        CHECK(layer.macs > 0);
        CHECK(layer.precision == RSQ_PRECISION_INT8_STATIC);
        before = layer.sqnr_db;
        shares += layer.error_share;
    }
    CHECK(shares == doctest::Approx(1));
    CHECK_ERROR(ranking.layer(ranking.layer_count()), RSQ_NOT_FOUND, "layer");
}

TEST_CASE("tuning leaves the most harmful layers in float") {
    const rsquant::Prepared prepared = Resnet::calibrated();
    const rsquant::Sensitivity ranking = rsquant::Sensitivity::make(prepared, input());
    const std::string worst = rsquant::LayerSensitivity(ranking.layer(0)).name;
    rsquant::TuneOptions options;
    options.max_float_layers = 1;
    const rsquant::Tuned tuned = rsquant::tune(prepared, input(), options);
    CHECK(tuned.result.reached == 1);
    CHECK(tuned.result.float_layers == 1);
    CHECK(tuned.result.metric > tuned.result.int8_metric);
    CHECK(tuned.result.float_macs > 0);
    std::size_t found = 0;
    for (std::size_t i = 0; i < tuned.model.layer_count(); ++i) {
        const rsquant::LayerInfo layer = tuned.model.layer(i);
        if (worst == layer.name) {
            CHECK(layer.precision == RSQ_PRECISION_FLOAT);
            CHECK(std::string(layer.reason).find("tuning") != std::string::npos);
            ++found;
        }
    }
    CHECK(found == 1);
    CHECK(std::string(tuned.recipe.to_json()).find("name:" + worst) != std::string::npos);
    rsquant::Comparison comparison = rsquant::Comparison::make(Resnet::graph(), tuned.model);
    comparison.compare(input());
    CHECK(rsquant::OutputComparison(comparison.output(0)).sqnr_db == doctest::Approx(tuned.result.metric).epsilon(1e-9));
}

TEST_CASE("a metric of the caller's decides, and its failure changes nothing") {
    const rsquant::Prepared prepared = Resnet::calibrated();
    const auto before = rsquant::Model(prepared.convert()).to_bytes();
    rsquant::TuneOptions options;
    options.target = 2;
    options.metric = [](const rsq_model* model) {
        double float_layers = 0;
        for (std::size_t i = 0; i < rsq_model_layer_count(model); ++i) {
            rsq_layer_info layer{};
            layer.struct_size = sizeof layer;
            REQUIRE(rsq_model_layer_info(model, i, &layer) == RSQ_OK);
            float_layers += layer.precision == RSQ_PRECISION_FLOAT && std::string(layer.reason).find("tuning") == 0;
        }
        return float_layers;
    };
    CHECK(rsquant::Tuned(rsquant::tune(prepared, input(), options)).result.float_layers == 2);
    options.metric = [](const rsq_model*) -> double { throw std::logic_error("no labels"); };
    CHECK_THROWS_WITH_AS((void)rsquant::tune(prepared, input(), options), "no labels", std::logic_error);
    const rsquant::TensorView borrowed = input();
    const rsq_tensor_view view = borrowed.c_view();
    rsq_tune_options c{};
    c.struct_size = sizeof c;
    c.target = 2;
    c.metric = [](void*, const rsq_model*, double*) -> std::int32_t { return 7; };
    rsq_tune_result result{};
    result.struct_size = sizeof result;
    rsq_recipe* recipe = nullptr;
    rsq_model* model = nullptr;
    CHECK(rsq_tune(prepared.get(), &view, 1, &c, &result, &recipe, &model) == RSQ_CALLBACK);
    CHECK(test::last_message().find("7") != std::string::npos);
    CHECK(recipe == nullptr);
    CHECK(model == nullptr);
    options.metric = nullptr;
    Listener stopping(RSQ_STAGE_TUNE, 3);
    options.listener = &stopping;
    CHECK_ERROR(rsquant::tune(prepared, input(), options), RSQ_CANCELLED, "3");
    Listener ranking(RSQ_STAGE_RANK, 2);
    CHECK_ERROR(rsquant::Sensitivity::make(prepared, input(), &ranking), RSQ_CANCELLED, "2");
    CHECK_ERROR(rsquant::tune(prepared, input(), {}), RSQ_INVALID_ARGUMENT, "target");
    CHECK(rsquant::Model(prepared.convert()).to_bytes() == before);
}

TEST_CASE("a report is JSON or a page, in memory or in a file") {
    const test::TemporaryFolder folder;
    const rsquant::Prepared prepared = Resnet::calibrated();
    const rsquant::Model model = prepared.convert();
    rsquant::Comparison comparison = rsquant::Comparison::make(Resnet::graph(), model);
    comparison.compare(input());
    const rsquant::Sensitivity ranking = rsquant::Sensitivity::make(prepared, input());
    const std::string text = rsquant::report(prepared, model, comparison, ranking, RSQ_REPORT_JSON);
    const test::Json json = test::JsonReader::read(text);
    CHECK(json["layers"].items.size() == model.layer_count());
    CHECK(json["layers"].items[0]["name"].text == rsquant::LayerSensitivity(ranking.layer(0)).name);
    CHECK(json["outputs"].items[0]["sqnr_db"].number == doctest::Approx(rsquant::OutputComparison(comparison.output(0)).sqnr_db));
    CHECK(json["tensors"].items[0]["histogram"]["counts"].items.size() > 10);
    const std::string page = rsquant::report(prepared, model, comparison, ranking, RSQ_REPORT_HTML);
    CHECK(page.find("<!DOCTYPE html>") == 0);
    rsquant::save_report(prepared, model, comparison, ranking, RSQ_REPORT_HTML, folder / "report.html");
    CHECK(test::read_text(folder / "report.html") == page);
    const std::string plain = rsquant::report(prepared, model, {}, {}, RSQ_REPORT_JSON);
    CHECK(test::JsonReader::read(plain)["outputs"].items.empty());
    CHECK_ERROR(rsquant::report(prepared, model, {}, {}, 3), RSQ_INVALID_ARGUMENT, "format");
    CHECK_ERROR(rsquant::save_report(prepared, model, {}, {}, RSQ_REPORT_JSON, folder / "no/report"), RSQ_IO, "no/report");
}
