// What scripts/valgrind.sh runs: a network quantized statically and dynamically, written, read back and run on two threads.
// Valgrind hides AVX-512 from a program, so this is the AVX2 path: it fails where the library takes another.
//
//     valgrind_run FOLDER      (with model.onnx and input0.f32, [2, 3, 20, 20])
#include <rsquant.hpp>

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

int main(int argc, char **argv) {
    const std::uint32_t isa = rsq_isa_detected();
    if (argc != 2 || isa < RSQ_ISA_AVX2 || isa > RSQ_ISA_AVX_VNNI) {
        std::fprintf(stderr, "usage: valgrind_run FOLDER, with AVX2 and AVX-512 hidden (the library sees %s)\n", rsq_isa_name(isa));
        return 2;
    }
    const std::string folder = argv[1];
    std::vector<float> images(2 * 3 * 20 * 20);
    std::ifstream file(folder + "/input0.f32", std::ios::binary);
    if (!file.read(reinterpret_cast<char *>(images.data()), static_cast<std::streamsize>(images.size() * sizeof(float)))) {
        std::fprintf(stderr, "%s/input0.f32 cannot be read\n", folder.c_str());
        return 2;
    }
    const rsquant::Shape shape = {2, 3, 20, 20};
    rsquant::ContextOptions options;
    options.threads = 2;
    const rsquant::Context context = rsquant::Context::make(options);
    const rsquant::Graph graph = rsquant::Graph::from_onnx_file(folder + "/model.onnx", context);
    for (const bool is_static : {true, false}) {
        const rsquant::QConfig qconfig = is_static ? rsquant::QConfig::default_static() : rsquant::QConfig::default_dynamic();
        rsquant::Prepared prepared = rsquant::Prepared::make(graph, qconfig, context);
        prepared.calibrate({images, shape});
        const std::vector<std::uint8_t> bytes = prepared.convert().to_bytes();
        rsquant::Session session = rsquant::Session::make(rsquant::Model::from_bytes(bytes.data(), bytes.size(), context));
        std::vector<float> first(20), second(20);
        session.run({images, shape}, {first, {2, 10}});
        session.run({images, shape}, {second, {2, 10}});
        if (first != second || first == std::vector<float>(20)) {
            std::fprintf(stderr, "two runs differ, or gave nothing\n");
            return 1;
        }
    }
    std::printf("ran on %s\n", rsq_isa_name(isa));
    return 0;
}
