//! A batch on its way into an observer, collected by several parts at once that see its values in any order. Observers that depend on
//! the order of batches do not depend on the order of values within one: a range, and counts once the range is known, say
//! all of a batch, so no part holds on to values.
use super::torch_histogram::BatchCounts;
use super::{ChannelOrder, MinMax, ObserverKind, ObserverState};
use crate::error::{Error, Result};

/// What one part of a batch has shown.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchPart(Collected);

#[derive(Debug, Clone, PartialEq)]
enum Collected {
    /// Of a mergeable observer: a state of its own.
    State(ObserverState),
    /// Of an order-dependent one.
    Range(MinMax),
    /// Of its second pass.
    Counts(BatchCounts),
}

impl BatchPart {
    /// Takes values in.
    pub fn observe(&mut self, values: &[f32]) {
        match &mut self.0 {
            Collected::State(state) => state.observe(values),
            Collected::Range(range) => range.observe(values),
            Collected::Counts(counts) => counts.observe(values),
        }
    }

    /// Takes an image in that lies in `order`, which matters where channels are told apart.
    pub fn observe_image(&mut self, values: &[f32], order: ChannelOrder) {
        match &mut self.0 {
            Collected::State(ObserverState::ChannelMinMax(state)) => state.observe_image(values, order),
            _ => self.observe(values),
        }
    }

    /// Takes in another part of the same batch, in any order to the same bits.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if counts overflow; [`Error::Mismatch`] for a part of another observer or pass.
    pub fn merge(&mut self, other: &BatchPart) -> Result<()> {
        match (&mut self.0, &other.0) {
            (Collected::State(mine), Collected::State(theirs)) => mine.merge(theirs),
            (Collected::Range(mine), Collected::Range(theirs)) => mine.merge(theirs),
            (Collected::Counts(mine), Collected::Counts(theirs)) => mine.merge(theirs),
            _ => Err(Error::Mismatch("parts of a batch from different passes".into())),
        }
    }
}

impl ObserverState {
    /// An empty part for the first pass over a batch.
    pub fn first_pass(&self) -> BatchPart {
        BatchPart(match self.kind() {
            ObserverKind::MovingAverage | ObserverKind::TorchHistogram => Collected::Range(MinMax::default()),
            mergeable => Collected::State(ObserverState::with_channels(mergeable, self.channels())),
        })
    }

    /// An empty part for the second pass, where the observer needs one; `first` is the whole batch's first pass.
    pub fn second_pass(&self, first: &BatchPart) -> Option<BatchPart> {
        match (self, &first.0) {
            (ObserverState::TorchHistogram(state), Collected::Range(range)) => {
                state.counts_of(range).map(|counts| BatchPart(Collected::Counts(counts)))
            }
            _ => None,
        }
    }

    /// Takes in a whole batch, as its passes collected it: the same state as from [`ObserverState::observe_batch`].
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if counts overflow; [`Error::Mismatch`] for parts of another observer, or without the second pass.
    pub fn take_batch(&mut self, first: &BatchPart, second: Option<&BatchPart>) -> Result<()> {
        match (self, &first.0, second.map(|part| &part.0)) {
            (state, Collected::State(batch), None) => state.merge(batch),
            (ObserverState::MovingAverage(state), Collected::Range(range), None) => {
                state.take(range);
                Ok(())
            }
            (ObserverState::TorchHistogram(state), Collected::Range(range), Some(Collected::Counts(counts))) => {
                state.take(range, Some(counts));
                Ok(())
            }
            (ObserverState::TorchHistogram(state), Collected::Range(range), None) if range.range().is_none() => {
                state.take(range, None);
                Ok(())
            }
            (state, ..) => Err(Error::Mismatch(format!("a batch that was not collected for a {} state", state.kind().name()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_in_parts_of_any_order_is_the_batch() {
        let batches: Vec<Vec<f32>> = (0..4u32)
            .map(|batch| (0..3000u32).map(|i| ((i + 7 * batch) as f32 * 0.37).sin() * (batch + 1) as f32).collect())
            .chain([vec![f32::INFINITY, 9.0], vec![f32::NEG_INFINITY]])
            .collect();
        for kind in [ObserverKind::MinMax, ObserverKind::MovingAverage, ObserverKind::Histogram, ObserverKind::TorchHistogram] {
            let (mut whole, mut parts) = (ObserverState::new(kind), ObserverState::new(kind));
            for batch in &batches {
                whole.observe(batch);
                let collect = |empty: &BatchPart| {
                    let of = |values: &[f32]| {
                        let mut part = empty.clone();
                        part.observe(values);
                        part
                    };
                    let (first, rest) = batch.split_at(batch.len() / 3);
                    let mut merged = of(rest);
                    merged.merge(&of(first)).unwrap();
                    merged
                };
                let first = collect(&parts.first_pass());
                let second = parts.second_pass(&first).map(|empty| collect(&empty));
                parts.take_batch(&first, second.as_ref()).unwrap();
            }
            assert_eq!(parts, whole, "{}", kind.name());
        }
    }

    #[test]
    fn a_batch_collected_for_another_observer_is_refused() {
        let mut torch = ObserverState::new(ObserverKind::TorchHistogram);
        let mut range = torch.first_pass();
        range.observe(&[1.0, 2.0]);
        assert!(torch.take_batch(&range, None).is_err(), "the second pass is missing");
        assert!(torch.is_empty());
        assert!(ObserverState::new(ObserverKind::Histogram).take_batch(&range, None).is_err());
        let mut state = ObserverState::new(ObserverKind::Histogram).first_pass();
        assert!(state.merge(&range).is_err());
    }
}
