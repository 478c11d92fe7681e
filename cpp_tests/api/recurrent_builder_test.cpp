// Recurrent layers of the graph builder against the formulas of ONNX, written as loops.
#include "networks.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace {

constexpr std::size_t kTime = 6, kBatch = 3, kInput = 5, kHidden = 4;

std::size_t gates_of(std::int32_t cell) { return cell == RSQ_CELL_LSTM ? 4 : cell <= RSQ_CELL_GRU_LINEAR_BEFORE_RESET ? 3 : 1; }

std::vector<float> noise(std::size_t count, std::uint32_t seed) {
    std::vector<float> values(count);
    for (float& value : values) {
        seed = seed * 1664525u + 1013904223u;
        value = static_cast<float>(seed >> 8) / 8388608.0f - 1.0f;
    }
    return values;
}

double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

// One direction's weights and state.
struct Direction {
    std::int32_t cell;
    const float *w, *r, *b;  // [gates * hidden, input], [gates * hidden, hidden], [2 * gates * hidden]

    double from_input(std::size_t row, const float* x) const {
        double sum = b[row];
        for (std::size_t i = 0; i < kInput; ++i) sum += static_cast<double>(w[row * kInput + i]) * x[i];
        return sum;
    }
    double from_state(std::size_t row, const std::vector<double>& h) const {
        double sum = b[gates_of(cell) * kHidden + row];
        for (std::size_t i = 0; i < kHidden; ++i) sum += r[row * kHidden + i] * h[i];
        return sum;
    }
    void step(const float* x, std::vector<double>& h, std::vector<double>& c) const {
        const auto both = [&](std::size_t gate, std::size_t unit) {
            return from_input(gate * kHidden + unit, x) + from_state(gate * kHidden + unit, h);
        };
        std::vector<double> next(kHidden);
        std::vector<double> reset(kHidden);
        for (std::size_t unit = 0; unit < kHidden && gates_of(cell) == 3; ++unit) {
            reset[unit] = sigmoid(both(1, unit)) * h[unit];
        }
        for (std::size_t unit = 0; unit < kHidden; ++unit) {
            if (cell == RSQ_CELL_LSTM) {
                const double i = sigmoid(both(0, unit)), o = sigmoid(both(1, unit)), f = sigmoid(both(2, unit));
                c[unit] = f * c[unit] + i * std::tanh(both(3, unit));
                next[unit] = o * std::tanh(c[unit]);
            } else if (gates_of(cell) == 3) {
                const std::size_t row = 2 * kHidden + unit;
                const double z = sigmoid(both(0, unit));
                const double candidate = cell == RSQ_CELL_GRU ? from_input(row, x) + from_state(row, reset)
                                                              : from_input(row, x) + sigmoid(both(1, unit)) * from_state(row, h);
                next[unit] = z * h[unit] + (1 - z) * std::tanh(candidate);
            } else {
                const double sum = both(0, unit);
                next[unit] = cell == RSQ_CELL_RNN_TANH ? std::tanh(sum) : std::max(sum, 0.0);
            }
        }
        h = next;
    }
};

struct Expected {
    std::vector<float> sequence, hidden, cell;
};

// x is [time, batch, input]; lengths of all sequences; first states [directions, batch, hidden].
Expected reference(std::int32_t cell, std::int32_t direction, const std::vector<float>& x, const std::vector<float>& w, const std::vector<float>& r,
                   const std::vector<float>& b, const std::vector<float>& lengths, const std::vector<float>& h0, const std::vector<float>& c0) {
    const std::size_t directions = direction == RSQ_DIRECTION_BIDIRECTIONAL ? 2 : 1, rows = gates_of(cell) * kHidden;
    Expected out;
    out.sequence.assign(kTime * directions * kBatch * kHidden, 0.0f);
    out.hidden.resize(directions * kBatch * kHidden);
    out.cell = out.hidden;
    for (std::size_t d = 0; d < directions; ++d) {
        const Direction one{cell, &w[d * rows * kInput], &r[d * rows * kHidden], &b[d * 2 * rows]};
        const bool backwards = direction == RSQ_DIRECTION_REVERSE || d == 1;
        for (std::size_t n = 0; n < kBatch; ++n) {
            const std::size_t state = (d * kBatch + n) * kHidden, steps = static_cast<std::size_t>(lengths[n]);
            std::vector<double> h(h0.begin() + state, h0.begin() + state + kHidden), c(c0.begin() + state, c0.begin() + state + kHidden);
            for (std::size_t s = 0; s < steps; ++s) {
                const std::size_t t = backwards ? steps - 1 - s : s;
                one.step(&x[(t * kBatch + n) * kInput], h, c);
                std::copy(h.begin(), h.end(), out.sequence.begin() + ((t * directions + d) * kBatch + n) * kHidden);
            }
            std::copy(h.begin(), h.end(), out.hidden.begin() + state);
            std::copy(c.begin(), c.end(), out.cell.begin() + state);
        }
    }
    return out;
}

// [a, b, ...] to [b, a, ...], `inner` elements each.
std::vector<float> swapped(const std::vector<float>& values, std::size_t a, std::size_t b) {
    const std::size_t inner = values.size() / (a * b);
    std::vector<float> out(values.size());
    for (std::size_t i = 0; i < a; ++i) {
        for (std::size_t j = 0; j < b; ++j) {
            std::copy_n(values.begin() + (i * b + j) * inner, inner, out.begin() + (j * a + i) * inner);
        }
    }
    return out;
}

}  // namespace

TEST_CASE("recurrent layers compute the formulas of ONNX for every cell and direction") {
    const auto n = static_cast<std::int64_t>(kBatch), time = static_cast<std::int64_t>(kTime), hidden = static_cast<std::int64_t>(kHidden),
               size = static_cast<std::int64_t>(kInput);
    for (std::int32_t cell = RSQ_CELL_LSTM; cell <= RSQ_CELL_RNN_RELU; ++cell) {
        for (std::int32_t direction = RSQ_DIRECTION_FORWARD; direction <= RSQ_DIRECTION_BIDIRECTIONAL; ++direction) {
            CAPTURE(cell);
            CAPTURE(direction);
            const std::size_t directions = direction == RSQ_DIRECTION_BIDIRECTIONAL ? 2 : 1, rows = gates_of(cell) * kHidden;
            const auto d = static_cast<std::int64_t>(directions);
            const std::vector<float> x = noise(kTime * kBatch * kInput, 1), w = noise(directions * rows * kInput, 2),
                                     r = noise(directions * rows * kHidden, 3), b = noise(directions * 2 * rows, 4),
                                     lengths = {6, 2, 4}, h0 = noise(directions * kBatch * kHidden, 5), c0 = noise(h0.size(), 6);
            const Expected expected = reference(cell, direction, x, w, r, b, lengths, h0, c0);
            rsquant::GraphBuilder builder = rsquant::GraphBuilder::make();
            const rsquant::Value input = builder.input("x", {time, n, size}), length = builder.input("lengths", {n}),
                                 hidden0 = builder.input("h0", {d, n, hidden}), cell0 = builder.constant("c0", c0, {d, n, hidden});
            rsquant::RecurrentLayer layer;
            layer.cell = cell;
            layer.direction = direction;
            layer.input_size = kInput;
            layer.hidden_size = kHidden;
            layer.input_weights = w;
            layer.recurrent_weights = r;
            layer.bias = b;
            layer.lengths = &length;
            layer.initial_hidden = &hidden0;
            layer.initial_cell = cell == RSQ_CELL_LSTM ? &cell0 : nullptr;
            const rsquant::RecurrentValues made = builder.recurrent("layer", input, layer);
            builder.output(made.sequence);
            builder.output(made.hidden);
            std::vector<float> sequence(expected.sequence.size()), last(expected.hidden.size()), last_cell(last.size());
            std::vector<rsquant::TensorMut> outputs = {{sequence, {time, d, n, hidden}}, {last, {d, n, hidden}}};
            if (cell == RSQ_CELL_LSTM) {
                builder.output(made.cell);
                outputs.emplace_back(last_cell, rsquant::Shape{d, n, hidden});
            }
            rsquant::Session session = rsquant::Session::make_float(builder.finish());
            const std::vector<rsquant::TensorView> inputs = {{x, {time, n, size}}, {lengths, {n}}, {h0, {d, n, hidden}}};
            session.run(inputs.data(), inputs.size(), outputs.data(), outputs.size());
            CHECK(test::relative_error(sequence, expected.sequence) < 1e-5);
            CHECK(test::relative_error(last, expected.hidden) < 1e-5);
            if (cell == RSQ_CELL_LSTM) {
                CHECK(test::relative_error(last_cell, expected.cell) < 1e-5);
            }

            // The batch first, all steps, no first states, the last state alone.
            const std::vector<float> zeros(h0.size()), all(kBatch, static_cast<float>(kTime));
            const Expected plain = reference(cell, direction, x, w, r, b, all, zeros, zeros);
            rsquant::GraphBuilder other = rsquant::GraphBuilder::make();
            rsquant::RecurrentLayer first = layer;
            first.batch_first = true;
            first.lengths = first.initial_hidden = first.initial_cell = nullptr;
            other.output(rsquant::RecurrentValues(other.recurrent("", other.input("x", {-1, time, size}), first)).hidden);
            rsquant::Session batch_first = rsquant::Session::make_float(other.finish());
            batch_first.run({swapped(x, kTime, kBatch), {n, time, size}}, {last, {n, d, hidden}});
            CHECK(test::relative_error(swapped(last, kBatch, directions), plain.hidden) < 1e-5);
        }
    }
}

TEST_CASE("recurrent layers that cannot be are refused, and add nothing") {
    rsquant::GraphBuilder builder = rsquant::GraphBuilder::make();
    const rsquant::Value x = builder.input("x", {-1, -1, 5});
    const std::vector<float> w = noise(16 * 5, 1), r = noise(16 * 4, 2);
    rsquant::RecurrentLayer layer;
    layer.input_size = 5;
    layer.hidden_size = 4;
    layer.input_weights = w;
    layer.recurrent_weights = r;
    const auto refused = [&](rsq_status status, const std::string& part, const rsquant::RecurrentLayer& given) {
        CHECK_ERROR(builder.recurrent("layer", x, given), status, part);
    };
    rsquant::RecurrentLayer wrong = layer;
    wrong.cell = 9;
    refused(RSQ_INVALID_ARGUMENT, "cell is 9", wrong);
    wrong = layer;
    wrong.direction = 4;
    refused(RSQ_INVALID_ARGUMENT, "direction is 4", wrong);
    wrong = layer;
    wrong.hidden_size = 3;
    refused(RSQ_SHAPE_MISMATCH, "'layer'", wrong);
    wrong = layer;
    wrong.bias = rsquant::Span<const float>(w.data(), 31);
    refused(RSQ_SHAPE_MISMATCH, "bias of 'layer'", wrong);
    const rsquant::Value missing = 77;
    wrong = layer;
    wrong.lengths = &missing;
    refused(RSQ_GRAPH, "value 77", wrong);
    rsq_recurrent_layer c = layer.c_layer();
    rsq_value values[3] = {55, 55, 55};
    CHECK(rsq_graph_builder_recurrent(builder.get(), "layer", x, &c, nullptr, nullptr, nullptr) == RSQ_NULL_ARGUMENT);
    c.flags = 0x80;
    CHECK(rsq_graph_builder_recurrent(builder.get(), "layer", x, &c, &values[0], &values[1], &values[2]) == RSQ_INVALID_ARGUMENT);
    c.flags = 0;
    c.cell = RSQ_CELL_RNN_RELU;
    CHECK(rsq_graph_builder_recurrent(builder.get(), "layer", x, &c, nullptr, nullptr, &values[2]) == RSQ_INVALID_ARGUMENT);
    CHECK(values[0] + values[1] + values[2] == 3 * 55);
    const rsquant::RecurrentValues made = builder.recurrent("layer", x, layer);  // the name is free still
    builder.output(made.hidden);
    CHECK(rsquant::Graph(builder.finish()).output_count() == 1);
}
