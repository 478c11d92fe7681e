#include "evaluate.hpp"

#include "model_inputs.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace harness {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kProgressEvery = 10;  // batches

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Tells how far an evaluation is. The time left counts the making of inputs too.
class Progress {
public:
    Progress(const char* mode, std::size_t batches, std::size_t images) : mode_(mode), batches_(batches), images_(images) {}

    void tell(std::size_t batch, std::size_t images_done, double model_seconds) const {
        if (batch % kProgressEvery != 0 && batch != batches_) {
            return;
        }
        const double left = seconds_since(start_) / static_cast<double>(images_done) * static_cast<double>(images_ - images_done);
        std::fprintf(stderr, "%s: batch %zu/%zu, %zu/%zu images, %.1f img/s, %.0f s left\n", mode_, batch, batches_, images_done, images_,
                     static_cast<double>(images_done) / model_seconds, left);
    }

private:
    const char* mode_;
    std::size_t batches_;
    std::size_t images_;
    Clock::time_point start_ = Clock::now();
};

}  // namespace

Evaluation evaluate(const Engine& engine, const Candidate& candidate, const Images& images, std::size_t batch) {
    const ModelShape& shape = engine.shape();
    batch = std::min(batch, images.count());
    const std::size_t batches = (images.count() + batch - 1) / batch;
    rsquant::Session session = engine.session(candidate, batch);
    ModelInputs inputs(engine, batch);
    Evaluation result;
    result.logits.resize(images.count() * static_cast<std::size_t>(shape.classes));
    const Progress progress(mode_name(candidate.mode), batches, images.count());
    double model_seconds = 0, first_seconds = 0;
    for (std::size_t b = 0, done = 0; b < batches; ++b) {
        const std::size_t count = std::min(batch, images.count() - done);
        inputs.make(images, done, count);
        float* logits = result.logits.data() + done * static_cast<std::size_t>(shape.classes);
        const auto start = Clock::now();
        session.run(inputs.view(count), {logits, count * static_cast<std::size_t>(shape.classes), shape.output(count)});
        model_seconds += seconds_since(start);
        if (b == 0) {
            first_seconds = model_seconds;
        }
        done += count;
        progress.tell(b + 1, done, model_seconds);
    }
    const bool skip_first = batches >= 3;
    const std::size_t counted = images.count() - (skip_first ? batch : 0);
    result.img_per_s = static_cast<double>(counted) / (model_seconds - (skip_first ? first_seconds : 0));
    return result;
}

std::vector<float> run_file(const Engine& engine, const Candidate& candidate, const std::string& file, std::size_t batch) {
    const ModelShape& shape = engine.shape();
    const std::size_t input_bytes = shape.input_values() * sizeof(float);
    std::error_code error;
    const std::uintmax_t bytes = std::filesystem::file_size(file, error);
    if (error) {
        throw std::runtime_error(file + ": " + error.message());
    }
    if (bytes == 0 || bytes % input_bytes != 0) {
        throw std::runtime_error(file + ": " + std::to_string(bytes) + " bytes, not a whole number of f32 inputs [3, " +
                                 std::to_string(shape.height) + ", " + std::to_string(shape.width) + "]");
    }
    const std::size_t images = bytes / input_bytes;
    batch = std::min(batch, images);
    rsquant::Session session = engine.session(candidate, batch);
    std::vector<float> inputs(batch * shape.input_values());
    std::vector<float> logits(images * static_cast<std::size_t>(shape.classes));
    std::ifstream stream(file, std::ios::binary);
    for (std::size_t done = 0; done < images; done += batch) {
        const std::size_t count = std::min(batch, images - done);
        if (!stream.read(reinterpret_cast<char*>(inputs.data()), static_cast<std::streamsize>(count * input_bytes))) {
            throw std::runtime_error(file + ": cannot be read");
        }
        session.run({inputs.data(), count * shape.input_values(), shape.input(count)},
                    {logits.data() + done * static_cast<std::size_t>(shape.classes), count * static_cast<std::size_t>(shape.classes),
                     shape.output(count)});
    }
    return logits;
}

void write_floats(const std::string& file, const std::vector<float>& values) {
    std::ofstream stream(file, std::ios::binary);
    stream.write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(float)));
    if (!stream.flush()) {
        throw std::runtime_error(file + ": cannot be written");
    }
}

}  // namespace harness
