//! The range that leaves out a share of the values: NUMERICS section 4.
use super::bins::Bins;
use super::range::Range;
use crate::error::{Error, Result};
use crate::quantize::Target;

/// The share that is kept by default, in percent.
pub const DEFAULT_PERCENTILE: f64 = 99.99;

/// Refuses a percentile that is not above 0 and at most 100.
pub(super) fn check(percentile: f64) -> Result<()> {
    if percentile > 0.0 && percentile <= 100.0 {
        Ok(())
    } else {
        Err(Error::InvalidArgument(format!("percentile {percentile} is not above 0 and at most 100")))
    }
}

/// The narrowest range on bin edges with at most the share beyond each end, clipped to the observed one. Zeros count.
pub(super) fn solve(bins: &Bins, target: Target, percentile: f64) -> Range {
    let total = (bins.nonzero() + bins.zeros) as f64;
    if target.is_symmetric() {
        let mut folded = bins.folded();
        folded[0] += bins.zeros;
        let allowed = (1.0 - percentile / 100.0) * total;
        let kept = bins_kept(folded.iter().rev().copied(), folded.len(), allowed);
        return Range::symmetric((kept as f64 * bins.width).min(bins.bound()));
    }
    let allowed = (1.0 - percentile / 100.0) / 2.0 * total;
    let below = (-bins.first) as usize;
    let (negative, positive) = bins.counts.split_at(below);
    // The zeros stand in bin 0, the first at or above 0.
    let positive_from_end = positive.iter().enumerate().rev().map(|(k, &count)| if k == 0 { count + bins.zeros } else { count });
    let low = -(bins_kept(negative.iter().copied(), below, allowed) as f64) * bins.width;
    let high = bins_kept(positive_from_end, positive.len(), allowed) as f64 * bins.width;
    Range { low: low.max(bins.range.low), high: high.min(bins.range.high) }
}

/// Of `len` bins listed from the outermost, how many are left when as many as possible are cut off that together hold at
/// most `allowed` values.
fn bins_kept(counts_from_outside: impl Iterator<Item = u64>, len: usize, allowed: f64) -> usize {
    let mut cut = 0u64;
    len - counts_from_outside
        .take_while(|&count| {
            cut += count;
            cut as f64 <= allowed
        })
        .count()
}
