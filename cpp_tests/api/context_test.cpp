#include "networks.hpp"

#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using test::Resnet;

namespace {

// Starts threads for each loop, and throws when it is told to.
class Pool : public rsquant::ThreadPool {
public:
    unsigned threads() const override { return 3; }
    void parallel_for(std::size_t count, rsquant::Task task) override {
        ++loops;
        if (throws) {
            task(0);
            throw std::runtime_error("the pool is closed");
        }
        std::vector<std::thread> team;
        for (std::size_t i = 1; i < count; ++i) {
            team.emplace_back([=] { task(i); });
        }
        if (count > 0) {
            task(0);
        }
        for (std::thread& member : team) {
            member.join();
        }
    }
    std::atomic<int> loops{0};
    bool throws = false;
};

std::vector<float> outputs_with(const rsquant::ContextOptions& options) {
    const rsquant::Context context = rsquant::Context::make(options);
    const rsquant::Model model = Resnet::model(context);
    rsquant::Session session = rsquant::Session::make(model);
    return test::run(session, Resnet::input(), Resnet::kBatch);
}

}  // namespace

TEST_CASE("threads and instruction sets do not change a bit") {
    const std::vector<float> expected = outputs_with({});
    for (const unsigned threads : {1u, 2u, 3u, 8u}) {
        CHECK(outputs_with({threads, RSQ_ISA_NONE, nullptr}) == expected);
    }
    for (std::uint32_t isa = RSQ_ISA_PORTABLE; isa <= RSQ_ISA_AMX_INT8; ++isa) {
        CHECK(outputs_with({2, isa, nullptr}) == expected);
    }
}

TEST_CASE("a caller's thread pool runs the steps, with the same bits") {
    Pool pool;
    CHECK(outputs_with({0, RSQ_ISA_NONE, &pool}) == outputs_with({}));
    CHECK(pool.loops > 0);
}

TEST_CASE("an exception of the pool comes out of the run, and the session works on") {
    Pool pool;
    const rsquant::Context context = rsquant::Context::make({0, RSQ_ISA_NONE, &pool});
    const rsquant::Model model = Resnet::model(context);
    rsquant::Session session = rsquant::Session::make(model);
    const std::vector<float> expected = test::run(session, Resnet::input(), Resnet::kBatch);
    pool.throws = true;
    CHECK_THROWS_WITH_AS(test::run(session, Resnet::input(), Resnet::kBatch), "the pool is closed", std::runtime_error);
    pool.throws = false;
    CHECK(test::run(session, Resnet::input(), Resnet::kBatch) == expected);
}

TEST_CASE("options that no context can have are refused") {
    CHECK_ERROR(rsquant::Context::make({0, 77, nullptr}), RSQ_INVALID_ARGUMENT, "77");
    rsq_context* context = nullptr;
    rsq_context_options options{};
    CHECK(rsq_context_new(&options, &context) == RSQ_BAD_STRUCT_SIZE);
    CHECK(test::last_message().find("rsq_context_options") != std::string::npos);
    CHECK(context == nullptr);
}

TEST_CASE("structs of older and newer callers are understood") {
    struct {
        rsq_context_options options;
        char later[16];
    } newer{};
    newer.options.struct_size = sizeof newer;
    newer.options.threads = 1;
    rsq_context* context = nullptr;
    REQUIRE(rsq_context_new(&newer.options, &context) == RSQ_OK);
    rsq_context_free(context);
    newer.later[3] = 1;  // an option that this library does not know
    context = nullptr;
    CHECK(rsq_context_new(&newer.options, &context) == RSQ_BAD_STRUCT_SIZE);
    newer.options.struct_size = 8;  // before `threads`
    REQUIRE(rsq_context_new(&newer.options, &context) == RSQ_OK);
    rsq_context_free(context);
    REQUIRE(rsq_context_new(nullptr, &context) == RSQ_OK);
    rsq_context_free(context);
}

TEST_CASE("a memory limit is kept: what would go over it is refused by name, what is freed is given back") {
    rsquant::ContextOptions options;
    options.threads = 1;
    const rsquant::Context free = rsquant::Context::make(options);
    CHECK(std::size_t(free.memory_bytes()) == 0);
    std::size_t needed = 0;
    std::vector<float> expected;
    {
        const rsquant::Model model = Resnet::model(free);
        rsquant::Session session = rsquant::Session::make(model);
        expected = test::run(session, Resnet::input(), 2);
        needed = free.memory_bytes();
        CHECK(needed >= session.memory_bytes());
        CHECK(session.memory_bytes() > 0);
    }
    CHECK(std::size_t(free.memory_bytes()) == 0);
    options.memory_limit = needed / 16;
    const rsquant::Context tight = rsquant::Context::make(options);
    CHECK_ERROR(Resnet::model(tight), RSQ_OUT_OF_MEMORY, "of the limit of " + std::to_string(options.memory_limit));
    CHECK(std::size_t(tight.memory_bytes()) == 0);
    options.memory_limit = needed * 16;
    const rsquant::Context wide = rsquant::Context::make(options);
    rsquant::Session session = rsquant::Session::make(Resnet::model(wide));
    CHECK(test::run(session, Resnet::input(), 2) == expected);
    std::size_t bytes = 77;
    CHECK(rsq_context_memory_bytes(wide.get(), nullptr) == RSQ_NULL_ARGUMENT);
    CHECK(rsq_context_memory_bytes(reinterpret_cast<const rsq_context*>(&bytes), &bytes) == RSQ_INVALID_HANDLE);
    CHECK(bytes == 77);
    CHECK(rsq_context_memory_bytes(nullptr, &bytes) == RSQ_OK);
}

namespace {

struct Heard : rsquant::LogListener {
    void on_message(std::uint32_t level, const char* message) override {
        messages.emplace_back(message);
        levels.push_back(level);
        same_thread = same_thread && std::this_thread::get_id() == thread;
        if (throws) {
            throw std::runtime_error("from the listener");
        }
    }
    std::vector<std::string> messages;
    std::vector<std::uint32_t> levels;
    std::thread::id thread = std::this_thread::get_id();
    bool same_thread = true, throws = false;
};

rsquant::QConfig float_classifier() {
    rsquant::QConfig qconfig = rsquant::QConfig::default_static();
    rsquant::LayerQConfig layer;
    layer.precision = RSQ_PRECISION_FLOAT;
    qconfig.set("op:Gemm", layer);
    return qconfig;
}

}  // namespace

TEST_CASE("a context tells its listener why layers stay float, on the thread of the call") {
    Heard heard;
    rsquant::ContextOptions options;
    options.threads = 3;
    options.log = &heard;
    const rsquant::Context context = rsquant::Context::make(options);
    heard.messages.clear();
    heard.levels.clear();
    rsquant::Prepared prepared = rsquant::Prepared::make(Resnet::graph(context), float_classifier(), context);
    prepared.calibrate({Resnet::input(), Resnet::input_shape()});
    CHECK(heard.messages.empty());
    const rsquant::Model model = prepared.convert();
    std::vector<std::string> expected;
    for (std::size_t i = 0; i < model.layer_count(); ++i) {
        const rsquant::LayerInfo layer = model.layer(i);
        if (layer.precision == RSQ_PRECISION_FLOAT) {
            expected.push_back("layer " + std::string(layer.name) + " (" + layer.op_type + ") stays float: " + layer.reason);
        }
    }
    CHECK(!expected.empty());
    CHECK(heard.messages == expected);
    CHECK(heard.levels == std::vector<std::uint32_t>(expected.size(), RSQ_LOG_INFO));
    CHECK(heard.same_thread);
    heard.throws = true;
    CHECK_THROWS_WITH_AS(prepared.convert(), "from the listener", std::runtime_error);
    heard.throws = false;

    options.log_level = RSQ_LOG_WARNING;
    const rsquant::Context quiet = rsquant::Context::make(options);
    heard.messages.clear();
    rsquant::Prepared other = rsquant::Prepared::make(Resnet::graph(quiet), float_classifier(), quiet);
    other.calibrate({Resnet::input(), Resnet::input_shape()});
    CHECK(rsquant::Model(other.convert()));
    CHECK(heard.messages.empty());
    options.log_level = 9;
    CHECK_ERROR(rsquant::Context::make(options), RSQ_INVALID_ARGUMENT, "log_level 9");
}
