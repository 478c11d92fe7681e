//! Moving average of batch minima and maxima: torch's MovingAverageMinMaxObserver.
use super::codec::{Reader, put_range};
use super::min_max::MinMax;
use super::scan::unsigned_zero;
use crate::error::Result;

/// How much of a new batch's range is taken over.
pub const AVERAGING_CONSTANT: f32 = 0.01;

/// `min += c * (batch_min - min)`, likewise max; the first batch sets both. Order dependent, so not mergeable.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct MovingAverage {
    average: Option<(f32, f32)>,
    dropped: u64,
}

impl MovingAverage {
    /// Takes one batch in, given as pieces that together are the batch. A batch without finite values changes nothing
    /// but the count of dropped ones.
    pub fn observe_batch(&mut self, pieces: &[&[f32]]) {
        let mut batch = MinMax::default();
        for piece in pieces {
            batch.observe(piece);
        }
        self.take(&batch);
    }

    /// Takes in one batch, of which only the range counts.
    pub(super) fn take(&mut self, batch: &MinMax) {
        self.dropped += batch.dropped();
        let Some((batch_min, batch_max)) = batch.range() else { return };
        self.average = Some(match self.average {
            None => (batch_min, batch_max),
            Some((min, max)) => (approach(min, batch_min), approach(max, batch_max)),
        });
    }

    /// The averaged `(min, max)`, or `None` if nothing was seen.
    pub fn range(&self) -> Option<(f32, f32)> {
        self.average
    }

    /// Values that were not finite and left out.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_range(out, self.dropped, self.average);
    }

    pub(super) fn decode(reader: &mut Reader) -> Result<Self> {
        let (dropped, average) = reader.optional_range()?;
        Ok(MovingAverage { average, dropped })
    }
}

/// One step of the average in f32, as torch rounds it. `from + c * (to - from)` overflows for values of opposite sign near
/// f32::MAX only; then the step is taken in f64.
fn approach(from: f32, to: f32) -> f32 {
    let next = from + AVERAGING_CONSTANT * (to - from);
    let next =
        if next.is_finite() { next } else { (f64::from(from) + f64::from(AVERAGING_CONSTANT) * (f64::from(to) - f64::from(from))) as f32 };
    unsigned_zero(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_batches_move_the_range_by_a_hundredth() {
        let mut state = MovingAverage::default();
        state.observe_batch(&[&[1.0, -2.0], &[4.0]]);
        assert_eq!(state.range(), Some((-2.0, 4.0)));
        state.observe_batch(&[&[], &[f32::INFINITY]]);
        assert_eq!((state.range(), state.dropped()), (Some((-2.0, 4.0)), 1));
        state.observe_batch(&[&[-12.0, 104.0]]);
        assert_eq!(state.range(), Some((-2.0 + 0.01 * -10.0, 4.0 + 0.01 * 100.0)));
    }

    #[test]
    fn opposite_extremes_do_not_overflow() {
        let mut state = MovingAverage::default();
        state.observe_batch(&[&[f32::MAX]]);
        state.observe_batch(&[&[f32::MIN]]);
        let (min, max) = state.range().unwrap();
        assert!(min.is_finite() && min > 0.97 * f32::MAX && min == max);
    }
}
