#include "networks.hpp"

#include <atomic>
#include <stdexcept>
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
