//! The least Kullback-Leibler divergence between the clipped |x| histogram and its coarse form: NUMERICS section 4, after
//! the public `pytorch-quantization` method.
use super::bins::Bins;
use super::natural_logarithm::ln;
use super::range::Range;
use crate::quantize::{QType, Target};

/// Levels that the histogram is coarsened to.
fn levels(bins: &Bins, target: Target) -> usize {
    if bins.is_one_sided && target.qtype == QType::U8 && !target.is_symmetric() { 256 } else { 128 }
}

/// True if the solver applies: symmetric targets and one-sided data. Two-sided affine ones use l2.
pub(super) fn applies(bins: &Bins, target: Target) -> bool {
    target.is_symmetric() || bins.is_one_sided
}

/// The best range and its divergence (0 where there are fewer bins than levels).
pub(super) fn solve(bins: &Bins, target: Target) -> (Range, f64) {
    let levels = levels(bins, target);
    let folded = bins.folded();
    let (bins_kept, divergence) = best_length(&folded, levels);
    let bound = (bins_kept as f64 * bins.width).min(bins.bound());
    let range = if target.is_symmetric() {
        Range::symmetric(bound)
    } else if bins.range.high > 0.0 {
        Range { low: 0.0, high: bound }
    } else {
        Range { low: -bound, high: 0.0 }
    };
    (range, divergence)
}

/// How many bins to keep, and the divergence then. The last minimum wins.
fn best_length(counts: &[u64], levels: usize) -> (usize, f64) {
    if counts.len() < levels {
        return (counts.len(), 0.0);
    }
    let sums = PrefixSums::of(counts);
    let mut best = (counts.len(), f64::INFINITY);
    for length in levels..=counts.len() {
        if sums.mass[length] > 0 {
            let divergence = divergence(counts, &sums, length, levels);
            if divergence <= best.1 {
                best = (length, divergence);
            }
        }
    }
    best
}

/// Sums over the first `i` bins: mass, bins that are not empty, and `c ln c`.
struct PrefixSums {
    mass: Vec<u64>,
    occupied: Vec<u32>,
    entropy: Vec<f64>,
}

impl PrefixSums {
    fn of(counts: &[u64]) -> PrefixSums {
        // Room for all at once: growing by halves would ask for twice as much as a reserve of small requests has.
        let entries = counts.len() + 1;
        let mut sums =
            PrefixSums { mass: Vec::with_capacity(entries), occupied: Vec::with_capacity(entries), entropy: Vec::with_capacity(entries) };
        sums.mass.push(0);
        sums.occupied.push(0);
        sums.entropy.push(0.0);
        let (mut mass, mut occupied, mut entropy) = (0, 0, 0.0);
        for &count in counts {
            mass += count;
            occupied += u32::from(count > 0);
            entropy += plogp(count);
            sums.mass.push(mass);
            sums.occupied.push(occupied);
            sums.entropy.push(entropy);
        }
        sums
    }
}

fn plogp(count: u64) -> f64 {
    if count == 0 { 0.0 } else { count as f64 * ln(count as f64) }
}

/// `KL(P || Q)` of the first `length` bins, the mass beyond added to P's last.
///
/// With `q` the spread mass of a bin's group, `N` the mass in all and `M` that of the first `length` bins, the divergence
/// is `(sum p ln p - sum p ln q) / N + ln(M / N)`; within a group `q` is one value, so a group takes one logarithm.
fn divergence(counts: &[u64], sums: &PrefixSums, length: usize, levels: usize) -> f64 {
    let total = sums.mass[counts.len()];
    let inside = sums.mass[length];
    let beyond = total - inside;
    let last = counts[length - 1];
    if last == 0 && beyond > 0 {
        return f64::INFINITY;
    }
    let mut sum = 0.0;
    let mut start = 0;
    let mut last_spread = 0.0;
    for group in 0..levels {
        // The first bin j with j * levels / length > group.
        let end = ((group + 1) * length).div_ceil(levels);
        let mass = sums.mass[end] - sums.mass[start];
        let occupied = sums.occupied[end] - sums.occupied[start];
        if occupied > 0 {
            last_spread = mass as f64 / f64::from(occupied);
        }
        // A bin alone in its group is spread onto itself: exactly nothing.
        if occupied > 1 {
            sum += sums.entropy[end] - sums.entropy[start] - mass as f64 * ln(last_spread);
        }
        start = end;
    }
    if beyond > 0 {
        sum += plogp(last + beyond) - plogp(last) - beyond as f64 * ln(last_spread);
    }
    sum / total as f64 + ln(inside as f64 / total as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Section 4, bin by bin.
    pub(in crate::quantize::solver) fn naive(counts: &[u64], length: usize, levels: usize) -> f64 {
        let total: u64 = counts.iter().sum();
        let inside: u64 = counts[..length].iter().sum();
        let mut divergence = 0.0;
        for j in 0..length {
            let group = |i: usize| i * levels / length;
            let mates: Vec<u64> = (0..length).filter(|&i| group(i) == group(j) && counts[i] > 0).map(|i| counts[i]).collect();
            let q = if counts[j] == 0 { 0.0 } else { mates.iter().sum::<u64>() as f64 / mates.len() as f64 / inside as f64 };
            let p = (counts[j] + if j + 1 == length { total - inside } else { 0 }) as f64 / total as f64;
            if p > 0.0 && q > 0.0 {
                divergence += p * (p / q).ln();
            } else if p > 0.0 && j + 1 == length {
                return f64::INFINITY;
            }
        }
        divergence
    }

    #[test]
    fn the_divergence_is_that_of_the_document() {
        let mut state = 7u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 16
        };
        for _ in 0..200 {
            let counts: Vec<u64> = (0..40).map(|k| if random() % 3 == 0 { 0 } else { u64::from(random() % 1000) / (1 + k) }).collect();
            let sums = PrefixSums::of(&counts);
            for length in (8..=40).filter(|&length| sums.mass[length] > 0) {
                let (fast, slow) = (divergence(&counts, &sums, length, 8), naive(&counts, length, 8));
                assert!(fast == slow || (fast - slow).abs() < 1e-13, "{fast} {slow} {counts:?} {length}");
            }
        }
    }

    #[test]
    fn few_bins_keep_all_and_the_last_of_equals_wins() {
        assert_eq!(best_length(&[1, 2, 3], 4), (3, 0.0));
        assert_eq!(best_length(&[5, 0, 0, 7], 2).0, 4);
        assert_eq!(best_length(&[3, 3, 3, 3, 0, 0, 0, 0], 4), (8, 0.0));
    }
}
