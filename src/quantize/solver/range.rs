//! A range before it is rounded to f32, and the qparams of NUMERICS section 2 in f64 that candidates are judged with.
use crate::quantize::qparams::{SCALE_FLOOR, Target};

/// `low <= 0 <= high`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Range {
    pub low: f64,
    pub high: f64,
}

impl Range {
    /// `-a..=a`.
    pub(super) fn symmetric(bound: f64) -> Range {
        Range { low: -bound, high: bound }
    }
}

/// A rounding of `v` to an integer, ties to even, for `|v| < 2^51`, without a call.
fn round_ties_even(v: f64) -> f64 {
    const ROUNDER: f64 = 6_755_399_441_055_744.0; // 1.5 * 2^52
    (v + ROUNDER) - ROUNDER
}

/// Scale and clamp of a candidate, all in f64: `x` becomes `rne(clamp(x / scale, low, high)) * scale`.
#[derive(Debug, Clone, Copy)]
pub(super) struct FakeQuantizer {
    scale: f64,
    /// `qmin - z` and `qmax - z`.
    low: f64,
    high: f64,
}

impl FakeQuantizer {
    pub(super) fn new(range: Range, target: Target) -> FakeQuantizer {
        let (qmin, qmax) = target.held_range();
        let (qmin, qmax, steps) = (f64::from(qmin), f64::from(qmax), f64::from(target.steps()));
        let floor = f64::from(SCALE_FLOOR);
        let (scale, zero_point) = if target.is_symmetric() {
            ((range.high.max(-range.low) / (steps / 2.0)).max(floor), 128.0)
        } else {
            let scale = ((range.high - range.low) / steps).max(floor);
            (scale, (qmin - (range.low / scale).round_ties_even()).clamp(qmin, qmax))
        };
        FakeQuantizer { scale, low: qmin - zero_point, high: qmax - zero_point }
    }

    /// `sum c (x - dq(q(x)))^2` over centres and counts.
    pub(super) fn error(&self, centres: &[f64], counts: &[f64]) -> f64 {
        const LANES: usize = 8;
        let mut sums = [0.0; LANES];
        let one = |x: f64, count: f64| {
            let level = x / self.scale;
            let level = if level < self.low { self.low } else { level };
            let level = if level > self.high { self.high } else { level };
            let error = x - round_ties_even(level) * self.scale;
            count * error * error
        };
        let (groups, rest) = centres.as_chunks::<LANES>();
        let (count_groups, count_rest) = counts.as_chunks::<LANES>();
        for (group, group_counts) in groups.iter().zip(count_groups) {
            for lane in 0..LANES {
                sums[lane] += one(group[lane], group_counts[lane]);
            }
        }
        for (&x, &count) in rest.iter().zip(count_rest) {
            sums[0] += one(x, count);
        }
        sums.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantize::choose_qparams;

    #[test]
    fn the_error_is_that_of_the_qparams() {
        let range = Range { low: -1.0, high: 3.0 };
        for target in [Target::U8_AFFINE, Target::S8_SYMMETRIC, Target { reduce_range: true, ..Target::U8_AFFINE }] {
            let qparams = choose_qparams(-1.0, 3.0, target).unwrap();
            let (lo, hi) = target.held_range();
            let centres: Vec<f64> = (-40..80).map(|i| f64::from(i) * 0.051).collect();
            let counts: Vec<f64> = (0..120).map(|i| f64::from(i % 7)).collect();
            let expected: f64 = centres
                .iter()
                .zip(&counts)
                .map(|(&x, c)| c * (x - f64::from(qparams.dequantize(qparams.quantize(x as f32, lo, hi)))).powi(2))
                .sum();
            let error = FakeQuantizer::new(range, target).error(&centres, &counts);
            assert!((error / expected - 1.0).abs() < 1e-4, "{error} {expected}");
        }
    }
}
