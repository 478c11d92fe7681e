//! Torch's HistogramObserver for parity: 2048 bins, its rebinning and its search. Order dependent, so not mergeable.
//!
//! NUMERICS section 3 writes it down (from torch 2.8, with the later fix of its issue #156414 for point ranges).
use super::codec::{Reader, corrupt, put_f32, put_range};
use super::min_max::MinMax;
use crate::error::{Error, Result};

/// Bins, and sub-bins of one when the range grows.
const BINS: usize = 2048;
const UPSAMPLE: usize = 16;
/// Destination levels of the search, whatever the target.
const LEVELS: f64 = 256.0;
/// What the search's quantiles move by.
const STEP: f64 = 1e-5;

/// Counts over `min..=max`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TorchHistogram {
    range: Option<(f32, f32)>,
    counts: Vec<f32>,
    dropped: u64,
}

/// Counts of one batch over a range that holds it, by `torch.histc`: bin `floor((v - min) / (max - min) * B)`, the last one closed;
/// a point range widens by 1 either way. Integers, so that the order of values does not matter.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct BatchCounts {
    range: (f32, f32),
    counts: Vec<u64>,
}

impl BatchCounts {
    fn new(range: (f32, f32)) -> Self {
        Self { range, counts: vec![0; BINS] }
    }

    /// Takes values in; those that are not finite are left out.
    pub(super) fn observe(&mut self, values: &[f32]) {
        let (mut min, mut max) = self.range;
        if min == max {
            (min, max) = (min - 1.0, max + 1.0);
        }
        let width = max - min;
        for &value in values.iter().filter(|value| value.is_finite()) {
            let share = if width.is_finite() {
                (value - min) / width
            } else {
                ((f64::from(value) - f64::from(min)) / (f64::from(max) - f64::from(min))) as f32
            };
            // The conversion sends the NaN of a point range that 1 does not widen to bin 0.
            self.counts[((share * BINS as f32) as usize).min(BINS - 1)] += 1;
        }
    }

    /// Takes in counts of other values over the same range.
    pub(super) fn merge(&mut self, other: &BatchCounts) -> Result<()> {
        if self.range != other.range {
            return Err(Error::Mismatch(format!("counts over {:?} and over {:?}", self.range, other.range)));
        }
        self.counts.iter_mut().zip(&other.counts).for_each(|(mine, theirs)| *mine += theirs);
        Ok(())
    }

    fn floats(&self) -> Vec<f32> {
        self.counts.iter().map(|&count| count as f32).collect()
    }
}

/// Spreads counts over `from` onto bins over `to`: each bin is 16 points of equal mass.
fn spread(counts: &[f32], from: (f32, f32), to: (f32, f32)) -> Vec<f32> {
    let (min, max) = (f64::from(from.0), f64::from(from.1));
    let point_width = (max - min) / (UPSAMPLE * BINS) as f64;
    // Edges as torch.linspace gives them: counted from the nearer end.
    let step = (f64::from(to.1) - f64::from(to.0)) / BINS as f64;
    let edge = |i: usize| if i < BINS.div_ceil(2) { f64::from(to.0) + step * i as f64 } else { f64::from(to.1) - step * (BINS - i) as f64 };
    let mut spread = vec![0f32; BINS];
    let mut bucket = 0;
    for k in 0..UPSAMPLE * BINS {
        let middle = min + (k as f64 + 0.5) * point_width;
        while bucket < BINS - 1 && edge(bucket + 1) <= middle {
            bucket += 1;
        }
        spread[bucket] += counts[k / UPSAMPLE] / UPSAMPLE as f32;
    }
    spread
}

impl TorchHistogram {
    /// Counts of the bins over the range.
    pub fn counts(&self) -> &[f32] {
        &self.counts
    }

    /// Takes one batch in, given as pieces that together are the batch. Values that are not finite are dropped and
    /// counted; a batch without finite values changes nothing else.
    pub fn observe_batch(&mut self, pieces: &[&[f32]]) {
        let mut batch = MinMax::default();
        pieces.iter().for_each(|piece| batch.observe(piece));
        let mut counts = self.counts_of(&batch);
        if let Some(counts) = &mut counts {
            pieces.iter().for_each(|piece| counts.observe(piece));
        }
        self.take(&batch, counts.as_ref());
    }

    /// Empty counts for a batch of the given range, on the grid that the state will have; `None` for one without finite values.
    pub(super) fn counts_of(&self, batch: &MinMax) -> Option<BatchCounts> {
        let seen = batch.range()?;
        let old = self.range.unwrap_or(seen);
        Some(BatchCounts::new((old.0.min(seen.0), old.1.max(seen.1))))
    }

    /// Takes in one batch: its range, and its counts, which [`TorchHistogram::counts_of`] gave the grid of.
    pub(super) fn take(&mut self, batch: &MinMax, counts: Option<&BatchCounts>) {
        self.dropped += batch.dropped();
        let Some(batch) = counts else { return };
        let (union, mut counts) = (batch.range, batch.floats());
        if let Some(old) = self.range {
            let carried = if union == old {
                std::mem::take(&mut self.counts)
            } else if old.0 == old.1 {
                let total: f32 = self.counts.iter().sum();
                let mut point = BatchCounts::new(union);
                point.observe(&[old.0]);
                point.floats().into_iter().map(|count| count * total).collect()
            } else {
                spread(&self.counts, old, union)
            };
            counts.iter_mut().zip(carried).for_each(|(count, carried)| *count += carried);
        }
        (self.range, self.counts) = (Some(union), counts);
    }

    /// `(min, max)` of all values, or `None` if nothing was seen.
    pub fn range(&self) -> Option<(f32, f32)> {
        self.range
    }

    /// Values that were not finite and left out.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Torch's search for the range with the least quantization error, or `None` if nothing was seen.
    pub fn search(&self) -> Option<(f32, f32)> {
        let (min, max) = self.range?;
        let bin_width = (f64::from(max) - f64::from(min)) / BINS as f64;
        let mut sum = 0f64;
        let cumulative: Vec<f64> = self.counts.iter().map(|&count| (sum += f64::from(count), f64::from(sum as f32)).1).collect();
        let total = f64::from(sum as f32);
        let (mut start, mut end) = (0, BINS - 1);
        let (mut alpha, mut beta, mut best) = (0.0, 1.0, f64::INFINITY);
        while alpha < beta {
            let (next_alpha, next_beta) = (alpha + STEP, beta - STEP);
            // Torch compares f32 sums with the bound as f32.
            let (below, above) = (f64::from((next_alpha * total) as f32), f64::from((next_beta * total) as f32));
            let (mut left, mut right) = (start, end);
            while left < end && cumulative[left] < below {
                left += 1;
            }
            while right > start && cumulative[right] > above {
                right -= 1;
            }
            let candidate = if left - start > end - right {
                alpha = next_alpha;
                (left, end)
            } else {
                beta = next_beta;
                (start, right)
            };
            if candidate == (start, end) {
                continue;
            }
            let error = self.error(candidate, bin_width);
            if error > best {
                break;
            }
            best = error;
            (start, end) = candidate;
        }
        let low = f64::from(min) + bin_width * start as f64;
        let high = f64::from(min) + bin_width * (end + 1) as f64;
        Some((low as f32, high as f32))
    }

    /// The error of quantizing to the bins `first..=last`, by the integral of section 3.
    fn error(&self, (first, last): (usize, usize), bin_width: f64) -> f64 {
        let level = bin_width * (last as f64 - first as f64 + 1.0) / LEVELS;
        if level == 0.0 {
            return 0.0;
        }
        let cube = |v: f64| v * v * v;
        let half = level / 2.0;
        let level_of = |x: f64| f64::from((x / level).clamp(0.0, LEVELS - 1.0) as i32);
        let mut error = 0.0;
        for (bin, &count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0.0) {
            let begin = (bin as f64 - first as f64) * bin_width;
            let end = begin + bin_width;
            let (begin_level, end_level) = (level_of(begin), level_of(end));
            let integral = (cube(half) - cube(begin - (begin_level + 0.5) * level))
                + (end_level - begin_level - 1.0) * 2.0 * cube(half)
                + (cube(end - (end_level + 0.5) * level) + cube(half));
            error += f64::from(count) / bin_width * integral / 3.0;
        }
        error
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_range(out, self.dropped, self.range);
        self.counts.iter().for_each(|&count| put_f32(out, count));
    }

    pub(super) fn decode(reader: &mut Reader) -> Result<Self> {
        let (dropped, range) = reader.optional_range()?;
        if range.is_none() {
            return Ok(TorchHistogram { dropped, ..TorchHistogram::default() });
        }
        if reader.remaining() < 4 * BINS {
            return Err(corrupt("it ends early"));
        }
        let counts = (0..BINS).map(|_| reader.finite_f32()).collect::<Result<Vec<f32>>>()?;
        if counts.iter().any(|&count| count < 0.0) || counts.iter().all(|&count| count == 0.0) {
            return Err(corrupt("counts that no histogram has"));
        }
        Ok(TorchHistogram { range, counts, dropped })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_in_pieces_is_the_batch() {
        let values: Vec<f32> = (0..5000).map(|i| (i as f32 * 0.37).sin() * (1.0 + i as f32 * 1e-3)).collect();
        let (mut whole, mut pieces) = (TorchHistogram::default(), TorchHistogram::default());
        for batch in values.chunks(2500) {
            whole.observe_batch(&[batch]);
            let (a, b) = batch.split_at(700);
            pieces.observe_batch(&[a, &[], b]);
        }
        assert_eq!(whole, pieces);
        assert_eq!(whole.counts.iter().sum::<f32>(), 5000.0);
    }

    #[test]
    fn a_point_keeps_its_range_and_its_mass() {
        let mut state = TorchHistogram::default();
        state.observe_batch(&[&[3.0, 3.0, f32::INFINITY]]);
        assert_eq!((state.range(), state.dropped()), (Some((3.0, 3.0)), 1));
        assert_eq!(state.search(), Some((3.0, 3.0)));
        state.observe_batch(&[&[3.0]]);
        state.observe_batch(&[&[0.0]]);
        assert_eq!((state.range(), state.counts[0], state.counts[BINS - 1]), (Some((0.0, 3.0)), 1.0, 3.0));
    }

    #[test]
    fn extremes_do_not_overflow() {
        let mut state = TorchHistogram::default();
        state.observe_batch(&[&[f32::MAX]]);
        state.observe_batch(&[&[f32::MIN, 0.0]]);
        assert_eq!((state.counts[0], state.counts[BINS / 2], state.counts[BINS - 1]), (1.0, 1.0, 1.0));
        let (low, high) = state.search().unwrap();
        assert!(low.is_finite() && high.is_finite() && low < high);
    }
}
