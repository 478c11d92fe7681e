#include "networks.hpp"
#include "onnx_bytes.hpp"

#include <set>
#include <string>

using test::Resnet;

TEST_CASE("a graph tells its inputs, outputs and nodes") {
    const rsquant::Graph graph = Resnet::graph();
    REQUIRE(graph.input_count() == 1);
    REQUIRE(graph.output_count() == 1);
    const rsquant::TensorInfo input = graph.input(0);
    CHECK(std::string(input.name) == "image");
    CHECK(input.name_length == 5);
    CHECK(input.dtype == RSQ_DTYPE_F32);
    REQUIRE(input.rank == 4);
    CHECK(input.dims[0] == -1);
    CHECK(input.dims[1] == 3);
    CHECK(input.dims[3] == 20);
    CHECK(input.dims[4] == 0);
    const rsquant::TensorInfo output = graph.output(0);
    CHECK(output.dtype == RSQ_DTYPE_F32);
    std::multiset<std::string> operators;
    for (std::size_t i = 0; i < graph.node_count(); ++i) {
        const rsquant::NodeInfo node = graph.node(i);
        CHECK(node.name_length > 0);
        CHECK(node.input_count >= 1);
        operators.insert(node.op_type);
    }
    CHECK(operators.count("Conv") > 5);
    CHECK(operators.count("Gemm") == 1);
    CHECK(operators.count("BatchNormalization") == 0);  // folded
}

TEST_CASE("two inputs and two outputs are told apart") {
    const rsquant::Graph graph = rsquant::Graph::from_onnx_file(test::kNetworks + "/two_inputs_two_outputs/model.onnx");
    REQUIRE(graph.input_count() == 2);
    REQUIRE(graph.output_count() == 2);
    CHECK(std::string(rsquant::TensorInfo(graph.input(0)).name) == "image");
    CHECK(std::string(rsquant::TensorInfo(graph.input(1)).name) == "vector");
}

TEST_CASE("indices past the end are NOT_FOUND and say how many there are") {
    const rsquant::Graph graph = Resnet::graph();
    CHECK_ERROR(graph.input(1), RSQ_NOT_FOUND, "input 1 of 1");
    CHECK_ERROR(graph.output(7), RSQ_NOT_FOUND, "output 7 of 1");
    CHECK_ERROR(graph.node(graph.node_count()), RSQ_NOT_FOUND, "node");
}

TEST_CASE("a model in memory is the one in the file") {
    const auto bytes = test::read_bytes(Resnet::path());
    const rsquant::Graph graph = rsquant::Graph::from_onnx_bytes(bytes.data(), bytes.size());
    CHECK(graph.node_count() == Resnet::graph().node_count());
    rsquant::Session session = rsquant::Session::make_float(graph);
    CHECK(test::relative_error(test::run(session, Resnet::input(), Resnet::kBatch), Resnet::expected()) < 1e-4);
}

TEST_CASE("a missing file is an error that names it") {
    CHECK_ERROR(rsquant::Graph::from_onnx_file("/no/such/model.onnx"), RSQ_IO, "/no/such/model.onnx");
    CHECK_ERROR(rsquant::Graph::from_onnx_file(""), RSQ_INVALID_ARGUMENT, "path");
}

TEST_CASE("a truncated model is an error wherever it is cut, in a file and in memory") {
    const auto bytes = test::read_bytes(Resnet::path());
    for (std::size_t size = 0; size < bytes.size(); size += size < 64 ? 1 : 997) {
        CAPTURE(size);
        CHECK_THROWS_AS(rsquant::Graph::from_onnx_bytes(bytes.data(), size), rsquant::Error);
    }
    const test::TemporaryFolder folder;
    test::write_bytes(folder / "cut.onnx", bytes.data(), bytes.size() / 2);
    CHECK_ERROR(rsquant::Graph::from_onnx_file(folder / "cut.onnx"), RSQ_PARSE, "");
    CHECK(Resnet::graph().node_count() > 0);
}

TEST_CASE("an unknown operator is an error that names node and operator") {
    const std::string model = test::one_node_model("Frobnicate");
    CHECK_ERROR(rsquant::Graph::from_onnx_bytes(model.data(), model.size()), RSQ_UNSUPPORTED, "Frobnicate");
    CHECK_ERROR(rsquant::Graph::from_onnx_bytes(model.data(), model.size()), RSQ_UNSUPPORTED, "the_node");
    const std::string relu = test::one_node_model("Relu");
    CHECK(rsquant::Graph(rsquant::Graph::from_onnx_bytes(relu.data(), relu.size())).node_count() == 1);
}

TEST_CASE("an info struct of another size is refused, and a larger one has its tail zeroed") {
    const rsquant::Graph graph = Resnet::graph();
    rsq_tensor_info info{};
    info.rank = 77;
    CHECK(rsq_graph_input_info(graph.get(), 0, &info) == RSQ_BAD_STRUCT_SIZE);
    info.struct_size = sizeof info - 4;
    CHECK(rsq_graph_input_info(graph.get(), 0, &info) == RSQ_BAD_STRUCT_SIZE);
    CHECK(info.rank == 77);
    struct {
        rsq_tensor_info info;
        char later[8];
    } newer;
    std::memset(&newer, 0x55, sizeof newer);
    newer.info.struct_size = sizeof newer;
    REQUIRE(rsq_graph_input_info(graph.get(), 0, &newer.info) == RSQ_OK);
    CHECK(newer.info.rank == 4);
    CHECK(newer.info.struct_size == sizeof newer);
    CHECK(newer.later[0] == 0);
    CHECK(newer.later[7] == 0);
}
