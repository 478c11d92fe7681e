#include "networks.hpp"

#include <string>
#include <thread>
#include <vector>

using test::Resnet;

namespace {

rsquant::Session float_session(std::size_t max_batch = Resnet::kBatch) {
    rsquant::SessionOptions options;
    options.max_batch = max_batch;
    return rsquant::Session::make_float(Resnet::graph(), options);
}

}  // namespace

TEST_CASE("a float session gives what another implementation gives") {
    rsquant::Session session = float_session();
    CHECK(test::relative_error(test::run(session, Resnet::input(), Resnet::kBatch), Resnet::expected()) < 1e-4);
}

TEST_CASE("static and dynamic int8 are close to float") {
    const std::vector<float> images = Resnet::images(16, 6);
    rsquant::Session reference = float_session(16);
    const std::vector<float> expected = test::run(reference, images, 16);
    for (const bool is_static : {true, false}) {
        CAPTURE(is_static);
        const rsquant::QConfig qconfig = is_static ? rsquant::QConfig::default_static() : rsquant::QConfig::default_dynamic();
        rsquant::Prepared prepared = rsquant::Prepared::make(Resnet::graph(), qconfig);
        prepared.calibrate({images, Resnet::input_shape(16)});
        rsquant::Session session = rsquant::Session::make(prepared.convert());
        const double error = test::relative_error(test::run(session, images, 16), expected);
        CHECK(error < 0.1);
        CHECK(error > 0);
    }
}

TEST_CASE("an image's result does not depend on its batch") {
    const std::vector<float> images = Resnet::images(7, 7);
    for (const bool is_static : {true, false}) {
        rsquant::Model model = is_static ? Resnet::model()
                                         : rsquant::Prepared::make(Resnet::graph(), rsquant::QConfig::default_dynamic()).convert();
        rsquant::SessionOptions options;
        options.max_batch = 7;
        rsquant::Session session = rsquant::Session::make(model, options);
        const std::vector<float> together = test::run(session, images, 7);
        for (std::size_t i = 0; i < 7; ++i) {
            const std::vector<float> image(images.begin() + i * Resnet::kInputFloats, images.begin() + (i + 1) * Resnet::kInputFloats);
            const std::vector<float> alone = test::run(session, image, 1);
            CHECK(alone == std::vector<float>(together.begin() + i * Resnet::kClasses, together.begin() + (i + 1) * Resnet::kClasses));
        }
    }
}

TEST_CASE("batches from none to more than the largest run") {
    const std::vector<float> images = Resnet::images(9, 8);
    rsquant::Session session = float_session(4);
    const std::vector<float> nine = test::run(session, images, 9);
    rsquant::Session large = float_session(9);
    CHECK(nine == test::run(large, images, 9));
    CHECK(test::run(session, {}, 0).empty());
}

TEST_CASE("a session tells its inputs, outputs, steps and memory") {
    const rsquant::Session session = float_session();
    CHECK(session.input_count() == 1);
    CHECK(session.output_count() == 1);
    CHECK(std::string(rsquant::TensorInfo(session.input(0)).name) == "image");
    CHECK(rsquant::TensorInfo(session.output(0)).dtype == RSQ_DTYPE_F32);
    CHECK_ERROR(session.input(1), RSQ_NOT_FOUND, "input 1 of 1");
    CHECK_ERROR(session.output(1), RSQ_NOT_FOUND, "output 1 of 1");
    CHECK(session.memory_bytes() > 0);
    std::uint64_t macs = 0;
    for (std::size_t i = 0; i < session.step_count(); ++i) {
        const rsquant::StepInfo step = session.step(i);
        CHECK(std::string(step.op_type) != "");
        macs += step.macs;
    }
    CHECK(macs > 100'000);
    CHECK_ERROR(session.step(session.step_count()), RSQ_NOT_FOUND, "step");
}

TEST_CASE("a session tells the kernel of each layer, which is int8 where the layer is") {
    for (const std::uint32_t isa : {std::uint32_t{RSQ_ISA_PORTABLE}, rsquant::isa_detected()}) {
        rsquant::ContextOptions options;
        options.max_isa = isa;
        const rsquant::Context context = rsquant::Context::make(options);
        const rsquant::Model model = Resnet::model(context);
        const rsquant::Session session = rsquant::Session::make(model), reference = rsquant::Session::make_float(Resnet::graph(), {}, context);
        std::size_t layers = 0;
        for (std::size_t i = 0; i < model.layer_count(); ++i) {
            const rsquant::LayerInfo layer = model.layer(i);
            const std::string kernel = session.kernel(layer.name), op = layer.op_type;
            CAPTURE(layer.name);
            CAPTURE(kernel);
            if (op != "Conv" && op != "Gemm") {
                continue;
            }
            ++layers;
            CHECK(kernel.rfind("u8s8s32-", 0) == 0);
            CHECK(reference.kernel(layer.name).rfind("f32-", 0) == 0);
            CHECK((kernel.find("portable") != std::string::npos) == (isa == RSQ_ISA_PORTABLE));
        }
        CHECK(layers > 6);
        CHECK(session.kernel("no such layer").empty());
    }
}

TEST_CASE("output shapes follow from input shapes") {
    const rsquant::Session session = float_session();
    const rsquant::Shape shape = session.output_shape({Resnet::input_shape(5)});
    REQUIRE(shape.rank() == 2);
    CHECK(shape[0] == 5);
    CHECK(shape[1] == 10);
    CHECK_ERROR(session.output_shape({Resnet::input_shape(5)}, 1), RSQ_NOT_FOUND, "output 1 of 1");
    CHECK_ERROR(session.output_shape({{1, 3, 20}}), RSQ_SHAPE_MISMATCH, "image");
    CHECK_ERROR(session.output_shape({}), RSQ_INVALID_ARGUMENT, "0 input shapes");
}

TEST_CASE("runs of a wrong shape, type or count are refused, write nothing, and the session works on") {
    rsquant::Session session = float_session();
    const std::vector<float> images = Resnet::input();
    const std::vector<std::uint8_t> bytes(images.size());
    std::vector<float> logits(20, 77.0f);
    std::vector<std::int32_t> integers(20);
    const rsquant::Shape in = Resnet::input_shape(), out = Resnet::output_shape();
    CHECK_ERROR(session.run({images, {2, 3, 10, 20}}, {logits, out}), RSQ_SHAPE_MISMATCH, "image");
    CHECK_ERROR(session.run({images, in}, {logits, {2, 9}}), RSQ_SHAPE_MISMATCH, "output 0");
    CHECK_ERROR(session.run({images, in}, {logits, {1, 10}}), RSQ_SHAPE_MISMATCH, "output 0");
    CHECK_ERROR(session.run({bytes, in}, {logits, out}), RSQ_DTYPE_MISMATCH, "image");
    CHECK_ERROR(session.run({images, in}, {integers, out}), RSQ_DTYPE_MISMATCH, "output 0");
    CHECK_ERROR(session.run({images.data(), 10, in}, {logits, out}), RSQ_INVALID_ARGUMENT, "inputs[0]");
    CHECK_ERROR(session.run({images, in}, {logits.data(), 19, out}), RSQ_INVALID_ARGUMENT, "outputs[0]");
    CHECK_ERROR(session.run({{images, in}, {images, in}}, {{logits, out}}), RSQ_INVALID_ARGUMENT, "2 inputs");
    CHECK_ERROR(session.run({{images, in}}, {}), RSQ_INVALID_ARGUMENT, "0 outputs");
    CHECK(logits == std::vector<float>(20, 77.0f));
    CHECK(test::relative_error(test::run(session, images, 2), Resnet::expected()) < 1e-4);
}

TEST_CASE("an output that overlaps the input is refused") {
    rsquant::Session session = float_session();
    std::vector<float> images = Resnet::input();
    CHECK_ERROR(session.run({images, Resnet::input_shape()}, {images.data() + 5, 20, Resnet::output_shape()}), RSQ_INVALID_ARGUMENT, "overlaps");
}

TEST_CASE("strides other than dense ones are refused") {
    rsquant::Session session = float_session();
    const std::vector<float> images = Resnet::input();
    std::vector<float> logits(20);
    const rsquant::TensorView input(images, Resnet::input_shape());
    const rsquant::TensorMut output(logits, Resnet::output_shape());
    rsq_tensor_view view = input.c_view();
    const rsq_tensor_mut place = output.c_view();
    const std::int64_t dense[] = {1200, 400, 20, 1}, transposed[] = {1200, 400, 1, 20};
    view.strides = dense;
    CHECK(rsq_run(session.get(), &view, 1, &place, 1) == RSQ_OK);
    view.strides = transposed;
    CHECK(rsq_run(session.get(), &view, 1, &place, 1) == RSQ_UNSUPPORTED);
    CHECK(test::last_message().find("inputs[0]") != std::string::npos);
}

TEST_CASE("a session of fixed sizes refuses others, an ordinary one plans anew") {
    const rsquant::Graph graph = rsquant::Graph::from_onnx_file(test::kNetworks + "/maxpool/model.onnx");
    rsquant::SessionOptions options;
    options.fixed_sizes = true;
    CHECK(rsquant::Session(rsquant::Session::make_float(graph, options)));
    options.max_batch = 0;  // counts as 1
    CHECK(rsquant::Session(rsquant::Session::make_float(graph, options)));
    rsq_session_options c{};
    c.struct_size = sizeof c;
    c.flags = 0x80;
    rsq_session* session = nullptr;
    CHECK(rsq_float_session_new(nullptr, graph.get(), &c, &session) == RSQ_INVALID_ARGUMENT);
    CHECK(session == nullptr);
}

TEST_CASE("sessions of one model run at once on many threads with the same bits") {
    const rsquant::Model model = Resnet::model();
    rsquant::Session first = rsquant::Session::make(model);
    const std::vector<float> input = Resnet::input(), expected = test::run(first, input, 2);
    std::vector<std::vector<float>> results(4);
    std::vector<std::thread> team;
    for (std::vector<float>& result : results) {
        team.emplace_back([&] {
            rsquant::Session session = rsquant::Session::make(model);
            for (int i = 0; i < 20; ++i) {
                result.assign(20, 0.0f);
                session.run({input, Resnet::input_shape()}, {result, Resnet::output_shape()});
            }
        });
    }
    for (std::thread& member : team) {
        member.join();
    }
    for (const std::vector<float>& result : results) {
        CHECK(result == expected);
    }
}

TEST_CASE("two inputs and two outputs go in the order of the file") {
    const std::string folder = test::kNetworks + "/two_inputs_two_outputs/";
    const rsquant::Graph graph = rsquant::Graph::from_onnx_file(folder + "model.onnx");
    rsquant::Session session = rsquant::Session::make_float(graph);
    const std::vector<float> image = test::read_floats(folder + "input0.f32"), vector = test::read_floats(folder + "input1.f32");
    const auto batch = static_cast<std::int64_t>(vector.size() / 9);
    const std::vector<rsquant::Shape> shapes = {{batch, 3, 12, 10}, {batch, 9}};
    const std::vector<float> expected0 = test::read_floats(folder + "output0.f32"), expected1 = test::read_floats(folder + "output1.f32");
    std::vector<float> out0(expected0.size()), out1(expected1.size());
    session.run({{image, shapes[0]}, {vector, shapes[1]}},
                {{out0, session.output_shape(shapes, 0)}, {out1, session.output_shape(shapes, 1)}});
    CHECK(test::relative_error(out0, expected0) < 1e-4);
    CHECK(test::relative_error(out1, expected1) < 1e-4);
}

TEST_CASE("a session keeps as many plans as it is told, and says which one goes") {
    struct Drops : rsquant::LogListener {
        void on_message(std::uint32_t, const char* message) override { messages.emplace_back(message); }
        std::vector<std::string> messages;
    } drops;
    rsquant::ContextOptions context_options;
    context_options.threads = 1;
    context_options.log = &drops;
    const rsquant::Context context = rsquant::Context::make(context_options);
    rsquant::GraphBuilder builder = rsquant::GraphBuilder::make(context);
    builder.output(builder.unary("relu", RSQ_UNARY_RELU, builder.input("rows", {-1, -1})));
    const rsquant::Graph graph = builder.finish();
    const auto run = [](rsquant::Session& session, std::int64_t width) {
        std::vector<float> rows(static_cast<std::size_t>(width)), out(rows.size(), 77.0f), expected(rows.size());
        for (std::size_t i = 0; i < rows.size(); ++i) {
            rows[i] = i % 2 == 0 ? -1.0f : static_cast<float>(i);
            expected[i] = i % 2 == 0 ? 0.0f : rows[i];
        }
        session.run({rows, {1, width}}, {out, {1, width}});
        CHECK(out == expected);
    };
    drops.messages.clear();
    rsquant::SessionOptions options;
    options.kept_plans = 2;
    rsquant::Session two = rsquant::Session::make_float(graph, options, context);
    for (const std::int64_t width : {50, 6, 50, 6, 50}) {
        run(two, width);
    }
    CHECK(drops.messages.empty());
    run(two, 7);
    CHECK(drops.messages == std::vector<std::string>{"a session planned for inputs of [[1, 7]] and dropped its plan for [[1, 6]]"});
    options.kept_plans = 0;  // counts as 4
    rsquant::Session four = rsquant::Session::make_float(graph, options, context);
    drops.messages.clear();
    for (const std::int64_t width : {5, 6, 7, 8, 5}) {
        run(four, width);
    }
    CHECK(drops.messages.empty());
    run(four, 9);
    CHECK(drops.messages.size() == 1);
}
