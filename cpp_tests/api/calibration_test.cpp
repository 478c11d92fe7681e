// Statistics that go through memory and files, and what calibration tells while it works.
#include "networks.hpp"

#include <stdexcept>
#include <vector>

using test::Resnet;

namespace {

rsquant::Prepared prepared(const rsquant::Graph& graph) { return rsquant::Prepared::make(graph, rsquant::QConfig::default_static()); }

// One that has seen `images`.
rsquant::Prepared shown(const rsquant::Graph& graph, const std::vector<float>& images) {
    rsquant::Prepared object = prepared(graph);
    object.calibrate({images, Resnet::input_shape(images.size() / Resnet::kInputFloats)});
    return object;
}

std::vector<float> joined(const std::vector<std::vector<float>>& parts) {
    std::vector<float> all;
    for (const auto& part : parts) {
        all.insert(all.end(), part.begin(), part.end());
    }
    return all;
}

// Counts reports, and stops or throws at one of them.
class Listener : public rsquant::ProgressListener {
public:
    bool on_progress(const rsq_progress& progress) override {
        CHECK(progress.struct_size >= sizeof(rsq_progress));
        CHECK(progress.done <= progress.total);
        last = progress;
        ++reports;
        if (reports == throw_at) {
            throw std::runtime_error("the window was closed");
        }
        return reports != stop_at;
    }
    rsq_progress last{};
    int reports = 0, stop_at = 0, throw_at = 0;
};

}  // namespace

TEST_CASE("shards merge from memory and from many files to the bytes of one pass") {
    const test::TemporaryFolder folder;
    const rsquant::Graph graph = Resnet::graph();
    const std::vector<std::vector<float>> parts = {Resnet::images(1, 1), Resnet::images(4, 2), Resnet::images(2, 3)};
    const std::vector<std::uint8_t> expected = shown(graph, joined(parts)).calibration_bytes();
    rsquant::Prepared from_memory = prepared(graph), from_files = prepared(graph);
    std::vector<std::string> files;
    for (const int part : {2, 0, 1}) {
        const rsquant::Prepared shard = shown(graph, parts[part]);
        const std::vector<std::uint8_t> bytes = shard.calibration_bytes();
        from_memory.merge_calibration(bytes.data(), bytes.size());
        files.push_back(folder / ("shard" + std::to_string(part)));
        shard.save_calibration(files.back());
        CHECK(test::read_bytes(files.back()) == bytes);
    }
    from_files.merge_calibration(files);
    CHECK(from_memory.calibration_bytes() == expected);
    CHECK(from_files.calibration_bytes() == expected);
    CHECK(from_files.samples() == 7);
    rsquant::Prepared loaded = prepared(graph);
    loaded.load_calibration(expected.data(), expected.size());
    CHECK(loaded.calibration_bytes() == expected);
}

TEST_CASE("bad states are refused, and nothing changes") {
    const test::TemporaryFolder folder;
    const rsquant::Graph graph = Resnet::graph();
    rsquant::Prepared object = shown(graph, Resnet::images(2, 1));
    const std::vector<std::uint8_t> before = object.calibration_bytes();
    CHECK_ERROR(object.merge_calibration(before.data(), before.size() - 1), RSQ_CORRUPT, "checksum");
    CHECK_ERROR(object.merge_calibration(before.data(), 5), RSQ_CORRUPT, "shorter");
    CHECK_ERROR(object.load_calibration(before.data(), before.size()), RSQ_WRONG_STATE, "2 samples");
    object.save_calibration(folder / "good");
    CHECK_ERROR(object.merge_calibration(std::vector<std::string>{folder / "good", folder / "missing"}), RSQ_IO, "missing");
    rsquant::QConfig other_settings = rsquant::QConfig::default_static();
    rsquant::LayerQConfig layer;
    layer.activation_observer = RSQ_OBSERVER_MIN_MAX;
    other_settings.set("*", layer);
    rsquant::Prepared other = rsquant::Prepared::make(graph, other_settings);
    CHECK_ERROR(other.merge_calibration(before.data(), before.size()), RSQ_MISMATCH, "qconfig");
    CHECK_ERROR(other.load_calibration(before.data(), before.size()), RSQ_MISMATCH, "observed by histogram");
    CHECK(object.calibration_bytes() == before);
    object.merge_calibration(std::vector<std::string>{});
    CHECK(object.calibration_bytes() == before);
}

TEST_CASE("a state's buffer is asked for, then filled, and never written past") {
    const rsquant::Prepared object = shown(Resnet::graph(), Resnet::images(1, 1));
    std::size_t size = 0;
    REQUIRE(rsq_calibration_to_buffer(object.get(), nullptr, 0, &size) == RSQ_OK);
    std::vector<std::uint8_t> buffer(size + 8, 0xAB);
    CHECK(rsq_calibration_to_buffer(object.get(), buffer.data(), size - 1, &size) == RSQ_INVALID_ARGUMENT);
    CHECK(buffer == std::vector<std::uint8_t>(size + 8, 0xAB));
    CHECK(rsq_calibration_to_buffer(object.get(), buffer.data(), buffer.size(), &size) == RSQ_OK);
    CHECK(std::vector<std::uint8_t>(buffer.begin() + static_cast<std::ptrdiff_t>(size), buffer.end()) == std::vector<std::uint8_t>(8, 0xAB));
    buffer.resize(size);
    CHECK(buffer == std::vector<std::uint8_t>(object.calibration_bytes()));
}

TEST_CASE("calibration and conversion tell how far they are") {
    rsquant::Prepared object = prepared(Resnet::graph());
    Listener listener;
    object.set_progress(&listener);
    object.calibrate({Resnet::images(5, 1), Resnet::input_shape(5)});
    CHECK(listener.reports >= 2);
    CHECK(listener.last.stage == RSQ_STAGE_CALIBRATE);
    CHECK(listener.last.done == 5);
    CHECK(listener.last.total == 5);
    listener.reports = 0;
    CHECK(rsquant::Model(object.convert()));
    CHECK(listener.reports >= 2);
    CHECK(listener.last.stage == RSQ_STAGE_CONVERT);
    CHECK(listener.last.done == listener.last.total);
    listener.reports = 0;
    object.set_progress(nullptr);
    object.calibrate({Resnet::images(5, 1), Resnet::input_shape(5)});
    CHECK(listener.reports == 0);
}

TEST_CASE("a listener stops the work by its answer or an exception, and nothing changes") {
    const rsquant::Graph graph = Resnet::graph();
    rsquant::Prepared object = shown(graph, Resnet::images(2, 1));
    const std::vector<std::uint8_t> before = object.calibration_bytes();
    Listener listener;
    object.set_progress(&listener);
    const auto calibrate = [&] { object.calibrate({Resnet::images(3, 2), Resnet::input_shape(3)}); };
    listener.stop_at = 1;
    CHECK_ERROR(calibrate(), RSQ_CANCELLED, "callback");
    listener.stop_at = 2;
    CHECK_ERROR(object.convert(), RSQ_CANCELLED, "callback");
    listener.stop_at = 0;
    listener.throw_at = listener.reports + 1;
    CHECK_THROWS_WITH_AS(calibrate(), "the window was closed", std::runtime_error);
    listener.throw_at = listener.reports + 1;
    CHECK_THROWS_WITH_AS(object.convert(), "the window was closed", std::runtime_error);
    CHECK(object.calibration_bytes() == before);
    calibrate();
    CHECK(object.samples() == 5);
}
