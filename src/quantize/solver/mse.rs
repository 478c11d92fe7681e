//! The least true fake-quantization error of the bin centres: NUMERICS section 4.
use super::bins::Bins;
use super::range::{FakeQuantizer, Range};
use crate::quantize::Target;

/// The smallest symmetric candidate, in bins.
const FIRST_EDGE: usize = 128;
/// Affine candidates are `j / 256` of the observed range, from a quarter of it.
const RATIO_STEPS: i32 = 256;
const SMALLEST_RATIO: i32 = 64;

/// The bins that are not empty, as the error is summed over them.
pub(super) struct Centres {
    centres: Vec<f64>,
    counts: Vec<f64>,
}

impl Centres {
    pub(super) fn of(bins: &Bins) -> Centres {
        let (centres, counts) = bins.centres().map(|(x, count)| (x, count as f64)).unzip();
        Centres { centres, counts }
    }

    /// The mse objective of a range.
    pub(super) fn error(&self, range: Range, target: Target) -> f64 {
        FakeQuantizer::new(range, target).error(&self.centres, &self.counts)
    }
}

/// The best range and its objective; ties go to the wider range.
pub(super) fn solve(bins: &Bins, centres: &Centres, target: Target) -> (Range, f64) {
    let mut best = (bins.range, f64::INFINITY);
    let mut consider = |range: Range| {
        let error = centres.error(range, target);
        if error < best.1 {
            best = (range, error);
        }
    };
    if target.is_symmetric() {
        let (first, bound) = (bins.first, bins.bound());
        let last = (first + bins.counts.len() as i64).max(-first) as usize;
        consider(Range::symmetric(bound));
        for edge in (FIRST_EDGE..=last).rev().map(|i| i as f64 * bins.width).filter(|&edge| edge < bound) {
            consider(Range::symmetric(edge));
        }
    } else {
        for j in (SMALLEST_RATIO..=RATIO_STEPS).rev() {
            let ratio = f64::from(j) / f64::from(RATIO_STEPS);
            consider(Range { low: ratio * bins.range.low, high: ratio * bins.range.high });
        }
    }
    best
}
