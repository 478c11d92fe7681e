//! What the solvers look at: a histogram's counts with the exact zeros taken out, and its |x| form.
use super::range::Range;
use crate::error::{Error, Result};
use crate::quantize::observer::{Histogram, power_of_two};

/// Bins of width `width`; bin `k` (from `first`) holds `counts[k - first]` values without the exact zeros, which
/// quantize without error.
#[derive(Debug, Clone)]
pub(super) struct Bins {
    pub width: f64,
    pub first: i64,
    pub counts: Vec<u64>,
    /// Exact zeros, not in `counts`.
    pub zeros: u64,
    /// `min(min, 0)` and `max(max, 0)`.
    pub range: Range,
    /// `min >= 0` or `max <= 0`.
    pub is_one_sided: bool,
}

impl Bins {
    /// Bins of a histogram; `None` if it has seen nothing.
    pub(super) fn of(histogram: &Histogram) -> Option<Bins> {
        let range = histogram.range()?;
        Bins::new(histogram.exponent(), histogram.first_bin(), histogram.counts(), histogram.zeros(), range).ok()
    }

    /// Bins of width `2^exponent` that cover 0 and `min..=max`; `counts` holds the zeros as well, in bin 0.
    pub(super) fn new(exponent: i32, first: i32, counts: &[u64], zeros: u64, (min, max): (f32, f32)) -> Result<Bins> {
        let mut counts = counts.to_vec();
        let zero_bin = usize::try_from(-i64::from(first)).ok().and_then(|index| counts.get_mut(index));
        let remaining = zero_bin.and_then(|count| Some((count.checked_sub(zeros)?, count)));
        let Some((left, count)) = remaining else {
            return Err(Error::InvalidArgument("a histogram whose bin 0 does not hold its zeros".into()));
        };
        *count = left;
        Ok(Bins {
            width: power_of_two(exponent),
            first: i64::from(first),
            counts,
            zeros,
            range: Range { low: f64::from(min).min(0.0), high: f64::from(max).max(0.0) },
            is_one_sided: min >= 0.0 || max <= 0.0,
        })
    }

    /// Values that are not exactly zero.
    pub(super) fn nonzero(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The largest magnitude.
    pub(super) fn bound(&self) -> f64 {
        self.range.high.max(-self.range.low)
    }

    /// Centres and counts of the bins that are not empty.
    pub(super) fn centres(&self) -> impl Iterator<Item = (f64, u64)> + Clone {
        (self.first..).zip(&self.counts).filter(|(_, count)| **count > 0).map(|(k, &count)| ((k as f64 + 0.5) * self.width, count))
    }

    /// The |x| histogram: bin `k < 0` folded onto `-k - 1`.
    pub(super) fn folded(&self) -> Vec<u64> {
        let last = self.first + self.counts.len() as i64 - 1;
        let mut folded = vec![0; (last + 1).max(-self.first) as usize];
        for (k, &count) in (self.first..).zip(&self.counts) {
            folded[(if k < 0 { -k - 1 } else { k }) as usize] += count;
        }
        folded
    }

    /// `sum c_k x_k^2`.
    pub(super) fn energy(&self) -> f64 {
        self.centres().map(|(x, count)| count as f64 * x * x).sum()
    }
}
