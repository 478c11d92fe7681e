//! The observed range.
use super::bins::Bins;
use super::range::Range;
use crate::quantize::Target;

/// `[min(min, 0), max(max, 0)]`, or `[-am, am]` for a symmetric target.
pub(super) fn solve(bins: &Bins, target: Target) -> Range {
    if target.is_symmetric() { Range::symmetric(bins.bound()) } else { bins.range }
}
