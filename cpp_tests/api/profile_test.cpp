#include "networks.hpp"

#include <string>

using test::Resnet;

namespace {

rsquant::Session session_for(bool profile, std::size_t max_batch) {
    rsquant::SessionOptions options;
    options.max_batch = max_batch;
    options.profile = profile;
    return rsquant::Session::make_float(Resnet::graph(), options);
}

}  // namespace

TEST_CASE("a profiled session counts the runs, samples and time of every step") {
    rsquant::Session session = session_for(true, 5), plain = session_for(false, 5);
    const std::vector<float> images = Resnet::images(5, 3);
    CHECK(test::run(session, images, 5) == test::run(plain, images, 5));
    test::run(session, Resnet::images(2, 1), 2);
    const rsquant::Profile total = session.profile();
    CHECK(total.runs == 2);
    CHECK(total.wall_ns > 0);
    CHECK(total.thread_ns >= total.wall_ns);
    std::uint64_t in_steps = 0;
    REQUIRE(session.step_count() > 0);
    for (std::size_t i = 0; i < session.step_count(); ++i) {
        const rsquant::StepProfile step = session.step_profile(i);
        const rsquant::StepInfo info = session.step(i);
        CHECK(step.samples == 7);
        CHECK(step.calls > 0);
        CHECK(info.activation_bytes > 0);
        CHECK((info.macs == 0 || info.weight_bytes > 0));
        in_steps += step.thread_ns;
    }
    CHECK(in_steps <= total.thread_ns);
    session.reset_profile();
    CHECK(rsquant::Profile(session.profile()).runs == 0);
    CHECK(rsquant::StepProfile(session.step_profile(0)).samples == 0);
    CHECK_ERROR(session.step_profile(session.step_count()), RSQ_NOT_FOUND, "step");
}

TEST_CASE("a session that was not made to be profiled says so") {
    rsquant::Session session = session_for(false, 1);
    CHECK_ERROR(session.profile(), RSQ_WRONG_STATE, "RSQ_SESSION_PROFILE");
    CHECK_ERROR(session.step_profile(0), RSQ_WRONG_STATE, "RSQ_SESSION_PROFILE");
    CHECK_ERROR(session.reset_profile(), RSQ_WRONG_STATE, "profiled");
}

TEST_CASE("the roof of a context is that of its instruction set and threads") {
    rsquant::ContextOptions options;
    options.threads = 2;
    const rsquant::Roof roof = rsquant::Context::make(options).measure_roof();
    CHECK(roof.threads == 2);
    CHECK(roof.isa == rsquant::isa_detected());
    if (roof.isa != RSQ_ISA_PORTABLE) {
        CHECK(roof.int8_gops > 0);
        CHECK(roof.int8_gops_one_thread > 0);
        CHECK(roof.f32_gops > 0);
        CHECK(roof.f32_gops_one_thread > 0);
        CHECK(roof.int8_ops_per_cycle > 1);
    }
    options.max_isa = RSQ_ISA_PORTABLE;
    const rsquant::Roof portable = rsquant::Context::make(options).measure_roof();
    CHECK(portable.isa == RSQ_ISA_PORTABLE);
    CHECK(portable.int8_gops == 0);
}
