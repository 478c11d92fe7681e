// The observer door: statistics and qparams of plain arrays, for engines with kernels of their own. Part of rsquant.hpp.
//
//     rsquant::Observer observer = rsquant::Observer::make(RSQ_OBSERVER_HISTOGRAM);
//     observer.observe(activations);                                    // any number of batches
//     rsquant::Solved solved = observer.solve();                        // solved.scales[0], solved.zero_points[0]
#ifndef RSQUANT_OBSERVER_HPP
#define RSQUANT_OBSERVER_HPP

#include "handle.hpp"
#include "tensors.hpp"

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace rsquant {

using ObserverInfo = rsq_observer_info;

// What a range is solved for: set what should differ from u8, affine, and the observer's own solver.
struct SolveOptions : rsq_solve_options {
    SolveOptions() : rsq_solve_options{} { struct_size = sizeof(rsq_solve_options); }
};

// Of each channel.
struct Solved {
    std::vector<float> scales;
    std::vector<std::int32_t> zero_points;  // in the type's own numbers
    std::vector<float> ranges;              // low, high, low, high, ...
    std::vector<double> predicted_sqnr_db;  // NaN where the observer knows a range only
};

// Statistics of a tensor or of its channels.
class Observer : public Handle<rsq_observer, rsq_observer_free> {
public:
    using Handle::Handle;
    // `kind` is one of RSQ_OBSERVER_MIN_MAX and its siblings.
    static Outcome<Observer> make(std::int32_t kind, std::size_t channels = 1, bool drop_inf = false) {
        rsq_observer_options c{};
        c.struct_size = sizeof c;
        c.flags = drop_inf ? RSQ_OBSERVER_DROP_INF : 0;
        c.channels = channels;
        return detail::make<Observer>(rsq_observer_new, kind, &c);
    }
    static Outcome<Observer> from_bytes(Span<const std::uint8_t> bytes) {
        return detail::make<Observer>(rsq_observer_from_bytes, static_cast<const void*>(bytes.data()), bytes.size());
    }
    // One batch. Element i belongs to channel i / inner % channels.
    Outcome<void> observe(Span<const float> values, std::size_t inner = 1) {
        return detail::finish(rsq_observer_observe(get(), values.data(), values.size(), inner));
    }
    Outcome<void> merge(const Observer& other) { return detail::finish(rsq_observer_merge(get(), other.get())); }
    Outcome<std::vector<std::uint8_t>> to_bytes() const {
        std::size_t size = 0;
        rsq_status status = rsq_observer_to_buffer(get(), nullptr, 0, &size);
        std::vector<std::uint8_t> bytes(size);
        if (status == RSQ_OK) {
            status = rsq_observer_to_buffer(get(), bytes.data(), bytes.size(), &size);
        }
        return detail::finish(status, std::move(bytes));
    }
    Outcome<ObserverInfo> info() const {
        ObserverInfo out{};
        out.struct_size = sizeof out;
        const rsq_status status = rsq_observer_get_info(get(), &out);
        return detail::finish(status, std::move(out));
    }
    Outcome<Solved> solve(const SolveOptions& options = {}) const {
        ObserverInfo about{};
        about.struct_size = sizeof about;
        rsq_status status = rsq_observer_get_info(get(), &about);
        const auto channels = static_cast<std::size_t>(about.channels);
        Solved solved;
        if (status == RSQ_OK) {
            solved.scales.resize(channels);
            solved.zero_points.resize(channels);
            solved.ranges.resize(2 * channels);
            solved.predicted_sqnr_db.resize(channels);
            status = rsq_observer_solve(get(), &options, channels, solved.scales.data(), solved.zero_points.data(), solved.ranges.data(),
                                        solved.predicted_sqnr_db.data());
        }
        return detail::finish(status, std::move(solved));
    }
};

// Scale and zero point (in the type's own numbers) of a range that is known.
inline Outcome<std::pair<float, std::int32_t>> qparams_of_range(float low, float high, const SolveOptions& options = {}) {
    std::pair<float, std::int32_t> out{};
    const rsq_status status = rsq_qparams_of_range(low, high, &options, &out.first, &out.second);
    return detail::finish(status, std::move(out));
}

}  // namespace rsquant

#endif  // RSQUANT_OBSERVER_HPP
