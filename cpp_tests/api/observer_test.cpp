// The observer door: statistics and qparams of plain arrays.
#include "networks.hpp"

#include <algorithm>
#include <limits>

namespace {

constexpr std::int32_t kKinds[] = {RSQ_OBSERVER_MIN_MAX, RSQ_OBSERVER_MOVING_AVERAGE, RSQ_OBSERVER_HISTOGRAM, RSQ_OBSERVER_TORCH_HISTOGRAM};

// Bell-shaped values with a few far out, the same everywhere.
std::vector<float> values(std::size_t count, unsigned seed = 1) {
    std::mt19937 bits(seed);
    std::vector<float> out(count);
    for (std::size_t i = 0; i < count; ++i) {
        float sum = -2.0f;
        for (int k = 0; k < 4; ++k) {
            sum += static_cast<float>(bits() >> 8) / 16777216.0f;
        }
        out[i] = i % 1000 == 7 ? 10.0f * sum : sum;
    }
    return out;
}

rsquant::Observer observed(std::int32_t kind, const std::vector<float>& data) {
    rsquant::Observer observer = rsquant::Observer::make(kind);
    observer.observe(data);
    return observer;
}

rsquant::SolveOptions with(std::int32_t solver, std::int32_t dtype = RSQ_DTYPE_U8, std::int32_t scheme = RSQ_SCHEME_AFFINE) {
    rsquant::SolveOptions options;
    options.solver = solver;
    options.dtype = dtype;
    options.scheme = scheme;
    return options;
}

// Signal over error of quantizing `data`, in dB.
double measured_sqnr(const std::vector<float>& data, const rsquant::Solved& solved) {
    rsquant::Quantization quantization;
    quantization.scales = rsquant::Span<const float>(solved.scales);
    quantization.zero_points = rsquant::Span<const std::int32_t>(solved.zero_points);
    std::vector<std::uint8_t> bytes(data.size());
    rsquant::quantize(quantization, data, bytes);
    std::vector<float> back(data.size());
    rsquant::dequantize(quantization, bytes, back);
    double signal = 0, error = 0;
    for (std::size_t i = 0; i < data.size(); ++i) {
        signal += static_cast<double>(data[i]) * data[i];
        error += (static_cast<double>(data[i]) - back[i]) * (static_cast<double>(data[i]) - back[i]);
    }
    return 10 * std::log10(signal / error);
}

}  // namespace

TEST_CASE("an observed range becomes scale and zero point by torch's rule") {
    for (const std::int32_t kind : kKinds) {
        rsquant::Observer observer = rsquant::Observer::make(kind);
        observer.observe(std::vector<float>{-1.0f, 0.5f, 4.1f});
        rsquant::Solved solved = observer.solve(with(RSQ_SOLVER_MIN_MAX));
        CHECK(solved.scales == std::vector<float>{5.1f / 255.0f});
        CHECK(solved.zero_points == std::vector<std::int32_t>{50});
        CHECK(solved.ranges == std::vector<float>{-1.0f, 4.1f});
        CHECK(std::isnan(solved.predicted_sqnr_db[0]) == (kind != RSQ_OBSERVER_HISTOGRAM));
        solved = observer.solve(with(RSQ_SOLVER_MIN_MAX, RSQ_DTYPE_S8, RSQ_SCHEME_SYMMETRIC));
        CHECK(solved.scales == std::vector<float>{4.1f / 127.5f});
        CHECK(solved.zero_points == std::vector<std::int32_t>{0});
        CHECK(solved.ranges == std::vector<float>{-4.1f, 4.1f});
        rsquant::SolveOptions reduced = with(RSQ_SOLVER_MIN_MAX);
        reduced.reduce_range = 1;
        CHECK(std::vector<float>(observer.solve(reduced).scales) == std::vector<float>{5.1f / 127.0f});
    }
}

TEST_CASE("every solver of a histogram predicts the error that quantizing has") {
    const std::vector<float> data = values(50000);
    const rsquant::Observer observer = observed(RSQ_OBSERVER_HISTOGRAM, data);
    double best = 0, automatic = 0;
    for (std::int32_t solver = RSQ_SOLVER_MIN_MAX; solver <= RSQ_SOLVER_AUTO; ++solver) {
        const rsquant::Solved solved = observer.solve(with(solver));
        CAPTURE(solver);
        CHECK(measured_sqnr(data, solved) == doctest::Approx(solved.predicted_sqnr_db[0]).epsilon(0.02));
        (solver == RSQ_SOLVER_AUTO ? automatic : best) = std::max(solver == RSQ_SOLVER_AUTO ? 0.0 : best, solved.predicted_sqnr_db[0]);
    }
    CHECK(automatic == best);
    rsquant::SolveOptions half = with(RSQ_SOLVER_PERCENTILE);
    half.percentile = 50;
    CHECK(observer.solve(half).scales[0] < observer.solve(with(RSQ_SOLVER_PERCENTILE)).scales[0]);
    CHECK(observer.solve().scales == observer.solve(with(RSQ_SOLVER_L2)).scales);
}

TEST_CASE("parts merge to the bytes of one pass, where the order does not matter") {
    const std::vector<float> data = values(3000);
    const std::vector<float> front(data.begin(), data.begin() + 1000), back(data.begin() + 1000, data.end());
    for (const std::int32_t kind : kKinds) {
        rsquant::Observer whole = observed(kind, data), first = observed(kind, front), second = observed(kind, back);
        CHECK(rsquant::ObserverInfo(whole.info()).kind == kind);
        if (whole.info().mergeable == 0) {
            CHECK_ERROR(first.merge(second), RSQ_UNSUPPORTED, "order");
            continue;
        }
        second.merge(first);
        CHECK(second.to_bytes() == whole.to_bytes());
        rsquant::Observer other = observed(kind == RSQ_OBSERVER_MIN_MAX ? RSQ_OBSERVER_HISTOGRAM : RSQ_OBSERVER_MIN_MAX, data);
        CHECK_ERROR(whole.merge(other), RSQ_MISMATCH, "state");
        CHECK_ERROR(whole.merge(whole), RSQ_BUSY, "observer");
        CHECK(second.to_bytes() == whole.to_bytes());
    }
}

TEST_CASE("a saved observer goes on where it was, and damage is found") {
    const std::vector<float> data = values(2000);
    for (const std::int32_t kind : kKinds) {
        rsquant::Observer observer = observed(kind, data);
        std::vector<std::uint8_t> bytes = observer.to_bytes();
        rsquant::Observer loaded = rsquant::Observer::from_bytes(bytes);
        CHECK(loaded.solve().scales == observer.solve().scales);
        loaded.observe(values(500, 2));
        observer.observe(values(500, 2));
        CHECK(loaded.to_bytes() == observer.to_bytes());
        bytes.back() ^= 1;
        CHECK_ERROR(rsquant::Observer::from_bytes(bytes), RSQ_CORRUPT, "checksum");
        bytes.back() ^= 1;
        bytes[8] ^= 2;
        CHECK_ERROR(rsquant::Observer::from_bytes(bytes), RSQ_VERSION, "version");
        bytes.resize(7);
        CHECK_ERROR(rsquant::Observer::from_bytes(bytes), RSQ_CORRUPT, "short");
    }
}

TEST_CASE("channels have ranges of their own") {
    // n 2, c 3, h * w 2.
    const std::vector<float> data = {0, 1, -2, 0, 0, 30, 0, 0.5f, 0, 2, -3, 0};
    rsquant::Observer planes = rsquant::Observer::make(RSQ_OBSERVER_MIN_MAX, 3);
    planes.observe(data, 2);
    CHECK(planes.solve().ranges == std::vector<float>{0, 1, -2, 2, -3, 30});
    rsquant::Observer last = rsquant::Observer::make(RSQ_OBSERVER_MIN_MAX, 3);
    last.observe(data, 1);
    CHECK(last.solve().ranges == std::vector<float>{0, 2, -3, 1, -2, 30});
    CHECK(last.info().channels == 3);
    CHECK_ERROR(last.observe(std::vector<float>(4), 1), RSQ_SHAPE_MISMATCH, "3 channels");
    float scale = 7;
    std::int32_t zero_point = 7;
    CHECK(rsq_observer_solve(last.get(), nullptr, 2, &scale, &zero_point, nullptr, nullptr) == RSQ_INVALID_ARGUMENT);
    CHECK((scale == 7 && zero_point == 7));
}

TEST_CASE("what is not finite is refused whole or, if asked for, dropped and counted") {
    const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
    for (const std::int32_t kind : kKinds) {
        rsquant::Observer observer = observed(kind, {1.0f, 2.0f});
        const std::vector<std::uint8_t> before = observer.to_bytes();
        CHECK_ERROR(observer.observe(std::vector<float>{5, 6, -inf}), RSQ_NOT_FINITE, "index 2");
        CHECK_ERROR(observer.observe(std::vector<float>{5, nan}), RSQ_NOT_FINITE, "index 1");
        CHECK(observer.to_bytes() == before);
        rsquant::Observer dropping = rsquant::Observer::make(kind, 1, true);
        dropping.observe(std::vector<float>{5, inf, -inf, -1});
        CHECK(dropping.info().dropped == 2);
        CHECK(dropping.solve(with(RSQ_SOLVER_MIN_MAX)).ranges == std::vector<float>{-1, 5});
        CHECK_ERROR(dropping.observe(std::vector<float>{nan}), RSQ_NOT_FINITE, "index 0");
    }
}

TEST_CASE("an observer that has seen nothing is not solved") {
    for (const std::int32_t kind : kKinds) {
        rsquant::Observer observer = rsquant::Observer::make(kind, 2, true);
        CHECK(observer.info().solvable == 0);
        CHECK_ERROR(observer.solve(), RSQ_NOT_CALIBRATED, "channel 0");
        observer.observe(std::vector<float>{1, std::numeric_limits<float>::infinity()});
        CHECK_ERROR(observer.solve(), RSQ_NOT_CALIBRATED, "channel 1");
        observer.observe(std::vector<float>{1, 2});
        CHECK(observer.info().solvable == 1);
        CHECK(observer.solve().scales.size() == 2);
    }
}

TEST_CASE("what cannot be observed or solved is refused by name") {
    CHECK_ERROR(rsquant::Observer::make(0), RSQ_INVALID_ARGUMENT, "kind");
    CHECK_ERROR(rsquant::Observer::make(9), RSQ_INVALID_ARGUMENT, "kind");
    CHECK_ERROR(rsquant::Observer::make(RSQ_OBSERVER_MIN_MAX, std::size_t{1} << 40), RSQ_INVALID_ARGUMENT, "channels");
    const rsquant::Observer range = observed(RSQ_OBSERVER_MIN_MAX, {1, 2}), counts = observed(RSQ_OBSERVER_HISTOGRAM, {1, 2});
    CHECK_ERROR(range.solve(with(RSQ_SOLVER_MSE)), RSQ_INVALID_ARGUMENT, "mse");
    CHECK_ERROR(counts.solve(with(99)), RSQ_INVALID_ARGUMENT, "solver");
    CHECK_ERROR(counts.solve(with(0, RSQ_DTYPE_I64)), RSQ_INVALID_ARGUMENT, "dtype");
    CHECK_ERROR(counts.solve(with(0, RSQ_DTYPE_U8, RSQ_SCHEME_RESTRICTED_SYMMETRIC)), RSQ_INVALID_ARGUMENT, "restricted_symmetric");
    rsquant::SolveOptions percentile = with(RSQ_SOLVER_PERCENTILE);
    percentile.percentile = 101;
    CHECK_ERROR(counts.solve(percentile), RSQ_INVALID_ARGUMENT, "101");
    percentile.solver = RSQ_SOLVER_L2;
    CHECK_ERROR(counts.solve(percentile), RSQ_INVALID_ARGUMENT, "percentile");
}

TEST_CASE("a known range has qparams") {
    const std::pair<float, std::int32_t> affine = rsquant::qparams_of_range(-1.0f, 4.1f);
    CHECK(affine == std::pair<float, std::int32_t>(5.1f / 255.0f, 50));
    const std::pair<float, std::int32_t> wide = rsquant::qparams_of_range(2.0f, 2.55f, with(0, RSQ_DTYPE_S8));
    CHECK(wide == std::pair<float, std::int32_t>(2.55f / 255.0f, -128));
    CHECK_ERROR(rsquant::qparams_of_range(1, 0), RSQ_INVALID_ARGUMENT, "empty");
    CHECK_ERROR(rsquant::qparams_of_range(0, std::numeric_limits<float>::infinity()), RSQ_NOT_FINITE, "range");
}
