#include "networks.hpp"

#include <cstring>
#include <set>
#include <string>
#include <thread>

TEST_CASE("header and library have one version") {
    CHECK(rsq_version_number() == RSQ_VERSION_NUMBER);
    CHECK(std::string(rsq_version_string()) == RSQ_VERSION_STRING);
    CHECK(rsq_abi_version() == RSQ_ABI_VERSION);
    CHECK(std::string(rsquant::version()) == RSQ_VERSION_STRING);
}

TEST_CASE("each status has a name of its own, other numbers have none") {
    std::set<std::string> names;
    for (rsq_status status = RSQ_OK; status <= RSQ_NOT_FOUND; ++status) {
        names.insert(rsq_status_name(status));
    }
    CHECK(names.size() == 24);
    CHECK(names.count("UNKNOWN") == 0);
    CHECK(std::string(rsq_status_name(RSQ_SHAPE_MISMATCH)) == "SHAPE_MISMATCH");
    CHECK(std::string(rsq_status_name(-1)) == "UNKNOWN");
    CHECK(std::string(rsq_status_name(24)) == "UNKNOWN");
}

TEST_CASE("instruction sets have names, and the names lead back") {
    for (std::uint32_t isa = RSQ_ISA_PORTABLE; isa <= RSQ_ISA_AMX_INT8; ++isa) {
        CHECK(rsquant::isa_named(rsq_isa_name(isa)) == isa);
        CHECK(rsquant::isa_name(isa) == rsq_isa_name(isa));
    }
    CHECK(rsquant::isa_named("mmx") == RSQ_ISA_NONE);
    CHECK(std::string(rsq_isa_name(99)) == "unknown");
    CHECK(rsq_isa_detected() >= RSQ_ISA_PORTABLE);
    CHECK(rsquant::isa_detected() == rsq_isa_detected());
}

TEST_CASE("the last message is this thread's, is cut to the buffer, and outlives calls that succeed") {
    rsq_graph* graph = nullptr;
    REQUIRE(rsq_graph_from_onnx_file(nullptr, "/no/such/file.onnx", &graph) == RSQ_IO);
    const std::string message = test::last_message();
    CHECK(message.find("/no/such/file.onnx") != std::string::npos);
    char small[6];
    std::memset(small, 'z', sizeof small);
    CHECK(rsq_last_error(small, 5) == message.size());
    CHECK(std::string(small) == message.substr(0, 4));
    CHECK(small[5] == 'z');
    CHECK(rsq_last_error(small, 0) == message.size());
    std::size_t elsewhere = 99;
    std::thread([&] { elsewhere = rsq_last_error(nullptr, 0); }).join();
    CHECK(elsewhere == 0);
    rsq_qconfig* qconfig = nullptr;
    REQUIRE(rsq_qconfig_default_static(&qconfig) == RSQ_OK);
    rsq_qconfig_free(qconfig);
    CHECK(test::last_message() == message);
}
