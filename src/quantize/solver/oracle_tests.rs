//! l2, mse and percentile against brute force over every candidate, straight from NUMERICS section 4.
use super::bins::Bins;
use super::mse::Centres;
use super::range::Range;
use super::{SolverKind, best_range, entropy, l2, mse, percentile};
use crate::quantize::{QType, Scheme, Target};
use proptest::prelude::*;

const TARGETS: [Target; 5] = [
    Target::U8_AFFINE,
    Target { reduce_range: true, ..Target::U8_AFFINE },
    Target::S8_SYMMETRIC,
    Target { qtype: QType::S8, scheme: Scheme::RestrictedSymmetric, reduce_range: false },
    Target { qtype: QType::U8, scheme: Scheme::Symmetric, reduce_range: false },
];

/// Bins with a range whose ends lie inside the outermost ones that are not empty.
fn any_bins() -> impl Strategy<Value = Bins> {
    (0usize..60, prop::collection::vec(prop_oneof![2 => Just(0u64), 3 => 1u64..50, 1 => 1u64..100_000], 2..120), 0f64..1.0, -8i32..3)
        .prop_filter_map("values and a bin 0", |(below, counts, inside, exponent)| {
            let below = below.min(counts.len() - 1);
            let low = counts.iter().position(|&c| c > 0)? as i64 - below as i64;
            let high = counts.iter().rposition(|&c| c > 0)? as i64 - below as i64;
            let width = 2f64.powi(exponent);
            let at = |k: i64, share: f64| ((k as f64 + share) * width) as f32;
            let (min, max) = (at(low, inside * 0.999), at(high, 0.999 - if low == high { 0.0 } else { inside * 0.9 }));
            Bins::new(exponent, -(below as i32), &counts, counts[below] / 3, (min, max)).ok().filter(|bins| bins.nonzero() > 0)
        })
}

fn edges(bins: &Bins) -> Vec<f64> {
    (0..=bins.counts.len() as i64).map(|k| (bins.first + k) as f64 * bins.width).collect()
}

/// All candidate ranges of l2.
fn l2_candidates(bins: &Bins, target: Target) -> Vec<Range> {
    if target.is_symmetric() {
        let bound = bins.bound();
        let inner = (1..=bins.folded().len()).map(|k| k as f64 * bins.width).filter(|&a| a < bound);
        return inner.chain([bound]).map(Range::symmetric).collect();
    }
    let (mn, mx) = (bins.range.low, bins.range.high);
    let lows: Vec<f64> = edges(bins).into_iter().filter(|&edge| mn < edge && edge <= 0.0).chain([mn]).collect();
    let highs: Vec<f64> = edges(bins).into_iter().filter(|&edge| 0.0 <= edge && edge < mx).chain([mx]).collect();
    lows.iter().flat_map(|&low| highs.iter().map(move |&high| Range { low, high })).filter(|range| range.low < range.high).collect()
}

fn l2_error(bins: &Bins, range: Range, target: Target) -> f64 {
    let step = (range.high - range.low) / f64::from(target.steps());
    let one = |x: f64| match x {
        x if x < range.low => (range.low - x).powi(2),
        x if x > range.high => (x - range.high).powi(2),
        _ => step * step / 12.0,
    };
    bins.centres().map(|(x, count)| count as f64 * one(x)).sum()
}

/// KL(P || Q) of the first `length` bins: P has the mass beyond in its last bin, Q is P without that, spread evenly over the bins
/// that are not empty of each of `levels` groups.
fn divergence(counts: &[u64], length: usize, levels: usize, total: u64) -> f64 {
    let inside: u64 = counts[..length].iter().sum();
    let group = |bin: usize| bin * levels / length;
    (0..length)
        .map(|bin| {
            let mates: Vec<u64> =
                (0..length).filter(|&mate| group(mate) == group(bin) && counts[mate] > 0).map(|mate| counts[mate]).collect();
            let q = if counts[bin] == 0 { 0.0 } else { mates.iter().sum::<u64>() as f64 / mates.len() as f64 / inside as f64 };
            let p = (counts[bin] + if bin + 1 == length { total - inside } else { 0 }) as f64 / total as f64;
            match (p > 0.0, q > 0.0) {
                (true, true) => p * (p / q).ln(),
                (true, false) if bin + 1 == length => f64::INFINITY,
                _ => 0.0,
            }
        })
        .sum()
}

fn assert_close(found: f64, best: f64) -> Result<(), TestCaseError> {
    prop_assert!((found - best).abs() <= 1e-9 * best, "{found:e}, brute force finds {best:e}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn l2_finds_the_least_error_of_all_pairs(bins in any_bins()) {
        for target in TARGETS {
            let best = l2_candidates(&bins, target).into_iter().map(|range| l2_error(&bins, range, target)).fold(f64::INFINITY, f64::min);
            let (range, objective) = l2::solve(&bins, target).unwrap();
            assert_close(objective, best)?;
            assert_close(l2_error(&bins, range, target), best)?;
        }
    }

    #[test]
    fn mse_finds_the_least_error_of_its_candidates(bins in any_bins()) {
        let centres = Centres::of(&bins);
        for target in TARGETS {
            let (mn, mx) = (bins.range.low, bins.range.high);
            let candidates: Vec<Range> = if target.is_symmetric() {
                l2_candidates(&bins, target).into_iter().filter(|range| range.high == bins.bound() || range.high >= 128.0 * bins.width).collect()
            } else {
                (64..=256).map(|j| Range { low: f64::from(j) / 256.0 * mn, high: f64::from(j) / 256.0 * mx }).collect()
            };
            let best = candidates.into_iter().map(|range| centres.error(range, target)).fold(f64::INFINITY, f64::min);
            let (range, objective) = mse::solve(&bins, &centres, target);
            assert_close(objective, best)?;
            prop_assert_eq!(centres.error(range, target), objective);
        }
    }

    #[test]
    fn auto_is_the_first_of_those_with_the_least_mse_objective(bins in any_bins()) {
        let centres = Centres::of(&bins);
        let order = [SolverKind::L2, SolverKind::Mse, SolverKind::MinMax, SolverKind::Percentile { p: 99.99 }, SolverKind::Entropy];
        for target in TARGETS {
            let errors = order.map(|solver| centres.error(best_range(&bins, &centres, solver, target).unwrap().0, target));
            let least = errors.iter().copied().fold(f64::INFINITY, f64::min);
            let winner = errors.iter().position(|&error| error == least).unwrap();
            let (range, objective, solver) = best_range(&bins, &centres, SolverKind::Auto, target).unwrap();
            prop_assert_eq!((objective, solver), (least, order[winner]));
            prop_assert_eq!(range, best_range(&bins, &centres, order[winner], target).unwrap().0);
            prop_assert!(objective <= errors[0], "auto is never worse than l2");
        }
    }

    #[test]
    fn entropy_finds_the_last_of_the_least_divergences(counts in prop::collection::vec(prop_oneof![Just(0u64), 1u64..30, 1u64..5000], 130..170)) {
        prop_assume!(counts.iter().any(|&count| count > 0));
        let last = counts.iter().rposition(|&count| count > 0).unwrap();
        let bins = Bins::new(0, 0, &counts, 0, (0.0, last as f32 + 0.75)).unwrap();
        let total: u64 = counts.iter().sum();
        let divergences: Vec<(usize, f64)> = (128..=counts.len())
            .filter(|&length| counts[..length].iter().any(|&count| count > 0))
            .map(|length| (length, divergence(&counts, length, 128, total)))
            .collect();
        let least = divergences.iter().map(|(_, d)| *d).fold(f64::INFINITY, f64::min);
        let (range, found) = entropy::solve(&bins, Target::S8_SYMMETRIC);
        if least.is_finite() {
            prop_assert!((found - least).abs() < 1e-12, "{} {}", found, least);
            let bounds = divergences.iter().filter(|(_, d)| *d <= least + 1e-12).map(|(length, _)| (*length as f64).min(bins.bound()));
            prop_assert!(bounds.into_iter().any(|bound| bound == range.high), "{}", range.high);
        }
    }

    #[test]
    fn percentile_cuts_as_much_as_it_may(bins in any_bins(), p in 1f64..100.0) {
        let centre = |k: i64| (k as f64 + 0.5) * bins.width;
        let mut all: Vec<(f64, u64)> = (bins.first..).zip(&bins.counts).map(|(k, &count)| (centre(k), count)).collect();
        all[(-bins.first) as usize].1 += bins.zeros;
        let total = all.iter().map(|(_, count)| count).sum::<u64>() as f64;
        let beyond = |is_out: &dyn Fn(f64) -> bool| all.iter().filter(|(x, _)| is_out(*x)).map(|(_, count)| count).sum::<u64>() as f64;
        let t = (1.0 - p / 100.0) / 2.0 * total;
        let low = edges(&bins).into_iter().filter(|&e| e <= 0.0 && beyond(&|x| x < e) <= t).fold(f64::NEG_INFINITY, f64::max);
        let high = edges(&bins).into_iter().filter(|&e| e >= 0.0 && beyond(&|x| x > e) <= t).fold(f64::INFINITY, f64::min);
        let range = percentile::solve(&bins, Target::U8_AFFINE, p);
        prop_assert_eq!(range, Range { low: low.max(bins.range.low), high: high.min(bins.range.high) });
        let a = (0..=bins.folded().len()).map(|k| k as f64 * bins.width).find(|&e| beyond(&|x| x.abs() > e) <= (1.0 - p / 100.0) * total);
        let symmetric = percentile::solve(&bins, Target::S8_SYMMETRIC, p);
        prop_assert_eq!(symmetric, Range::symmetric(a.unwrap().min(bins.bound())));
    }
}

#[test]
fn ties_go_to_the_wider_range() {
    // Far below the scale's floor every candidate turns every value into 0, so all errors are equal.
    let bins = Bins::new(-126, 0, &vec![1; 300], 0, (0.0, 300.0 * f32::MIN_POSITIVE)).unwrap();
    let (range, _) = mse::solve(&bins, &Centres::of(&bins), Target::S8_SYMMETRIC);
    assert_eq!(range.high, bins.bound());
    let (range, _) = mse::solve(&bins, &Centres::of(&bins), Target::U8_AFFINE);
    assert_eq!(range, bins.range);
}
