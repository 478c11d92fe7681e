//! Observers collect statistics of a tensor: NUMERICS section 3. What range they lead to is the solver's business.
//!
//! A batch is observed whole or in parallel pieces. Mergeable observers (`min_max`, `histogram`) take pieces into separate
//! states and merge those, in any order, to the same bits; the order-dependent ones (`moving_average`, `torch_histogram`)
//! take a batch as a list of pieces with [`ObserverState::observe_batch`]. [`BatchPart`] collects a batch in parallel for either
//! kind. Values that are not finite are dropped and counted by every observer; a caller that refuses them asks
//! [`first_non_finite`] beforehand.
mod batch;
mod codec;
mod dyadic_grid;
mod histogram;
mod min_max;
mod moving_average;
mod scan;
mod torch_histogram;

#[cfg(test)]
mod golden_tests;

pub use batch::BatchPart;
pub use dyadic_grid::{MAX_BINS, MIN_EXPONENT};
pub use histogram::Histogram;
pub use min_max::{ChannelMinMax, ChannelOrder, MinMax};
pub use moving_average::{AVERAGING_CONSTANT, MovingAverage};
pub use scan::{first_nan, first_non_finite};
pub use torch_histogram::TorchHistogram;

pub(in crate::quantize) use dyadic_grid::power_of_two;

use crate::error::{Error, Result};
use codec::{Reader, corrupt};
use serde::{Deserialize, Serialize};

/// Which statistics are collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObserverKind {
    /// The range.
    MinMax,
    /// A moving average of batch ranges; not mergeable.
    MovingAverage,
    /// Counts on a dyadic grid: the default.
    Histogram,
    /// Torch's HistogramObserver; not mergeable.
    TorchHistogram,
}

impl ObserverKind {
    /// The name in JSON, reports and messages.
    pub const fn name(self) -> &'static str {
        match self {
            ObserverKind::MinMax => "min_max",
            ObserverKind::MovingAverage => "moving_average",
            ObserverKind::Histogram => "histogram",
            ObserverKind::TorchHistogram => "torch_histogram",
        }
    }

    /// How often a batch is looked at.
    pub const fn passes(self) -> usize {
        if matches!(self, ObserverKind::TorchHistogram) { 2 } else { 1 }
    }

    /// The state depends on the set of values alone, so states merge to the bits of one pass.
    pub const fn is_mergeable(self) -> bool {
        matches!(self, ObserverKind::MinMax | ObserverKind::Histogram)
    }
}

/// The statistics of one tensor.
#[derive(Debug, Clone, PartialEq)]
pub enum ObserverState {
    /// Of [`ObserverKind::MinMax`].
    MinMax(MinMax),
    /// Of [`ObserverKind::MinMax`], for each channel of an image.
    ChannelMinMax(ChannelMinMax),
    /// Of [`ObserverKind::MovingAverage`].
    MovingAverage(MovingAverage),
    /// Of [`ObserverKind::Histogram`].
    Histogram(Histogram),
    /// Of [`ObserverKind::TorchHistogram`].
    TorchHistogram(TorchHistogram),
}

impl ObserverState {
    /// A state that has seen nothing.
    pub fn new(kind: ObserverKind) -> Self {
        match kind {
            ObserverKind::MinMax => ObserverState::MinMax(MinMax::default()),
            ObserverKind::MovingAverage => ObserverState::MovingAverage(MovingAverage::default()),
            ObserverKind::Histogram => ObserverState::Histogram(Histogram::default()),
            ObserverKind::TorchHistogram => ObserverState::TorchHistogram(TorchHistogram::default()),
        }
    }

    /// A state that has seen nothing, of each channel where there is a number of them.
    pub fn with_channels(kind: ObserverKind, channels: Option<usize>) -> Self {
        channels.map_or_else(|| ObserverState::new(kind), |channels| ObserverState::ChannelMinMax(ChannelMinMax::new(channels)))
    }

    /// Channels that are told apart, if they are.
    pub fn channels(&self) -> Option<usize> {
        if let ObserverState::ChannelMinMax(state) = self { Some(state.channels()) } else { None }
    }

    /// Which observer's state it is.
    pub fn kind(&self) -> ObserverKind {
        match self {
            ObserverState::MinMax(_) | ObserverState::ChannelMinMax(_) => ObserverKind::MinMax,
            ObserverState::MovingAverage(_) => ObserverKind::MovingAverage,
            ObserverState::Histogram(_) => ObserverKind::Histogram,
            ObserverState::TorchHistogram(_) => ObserverKind::TorchHistogram,
        }
    }

    /// Takes in one batch. For mergeable observers the values may as well be a piece of one.
    pub fn observe(&mut self, values: &[f32]) {
        self.observe_batch(&[values]);
    }

    /// Takes in one batch, given as pieces in order: the same state as from their concatenation.
    pub fn observe_batch(&mut self, pieces: &[&[f32]]) {
        match self {
            ObserverState::MinMax(state) => pieces.iter().for_each(|piece| state.observe(piece)),
            ObserverState::ChannelMinMax(state) => {
                // Without a layout: one image.
                let channels = state.channels();
                pieces.iter().for_each(|piece| state.observe_image(piece, ChannelOrder::Planes(piece.len() / channels)));
            }
            ObserverState::MovingAverage(state) => state.observe_batch(pieces),
            ObserverState::Histogram(state) => pieces.iter().for_each(|piece| state.observe(piece)),
            ObserverState::TorchHistogram(state) => state.observe_batch(pieces),
        }
    }

    /// Bytes that it holds beside itself.
    pub fn held_bytes(&self) -> usize {
        match self {
            ObserverState::MinMax(_) | ObserverState::MovingAverage(_) => 0,
            ObserverState::ChannelMinMax(state) => state.channels() * size_of::<MinMax>(),
            ObserverState::Histogram(state) => size_of_val(state.counts()),
            ObserverState::TorchHistogram(state) => size_of_val(state.counts()),
        }
    }

    /// See [`ObserverKind::is_mergeable`].
    pub fn is_mergeable(&self) -> bool {
        self.kind().is_mergeable()
    }

    /// Takes in what another state has seen; the bits are those of one pass over both.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for another kind, [`Error::Unsupported`] for an order-dependent one (also where one side is
    /// empty), [`Error::InvalidArgument`] if counts overflow.
    pub fn merge(&mut self, other: &ObserverState) -> Result<()> {
        match (self, other) {
            (ObserverState::MinMax(mine), ObserverState::MinMax(theirs)) => mine.merge(theirs),
            (ObserverState::Histogram(mine), ObserverState::Histogram(theirs)) => mine.merge(theirs),
            (ObserverState::ChannelMinMax(mine), ObserverState::ChannelMinMax(theirs)) => mine.merge(theirs),
            (mine, theirs) if mine.kind() == theirs.kind() && mine.is_mergeable() => {
                Err(Error::Mismatch("one state tells channels apart, the other does not".into()))
            }
            (mine, theirs) if mine.kind() == theirs.kind() => Err(Error::Unsupported(format!(
                "states of the observer {} cannot merge: they depend on the order of batches",
                mine.kind().name()
            ))),
            (mine, theirs) => {
                Err(Error::Mismatch(format!("a {} state cannot take in a {} state", mine.kind().name(), theirs.kind().name())))
            }
        }
    }

    /// No finite value was seen.
    pub fn is_empty(&self) -> bool {
        self.range().is_none()
    }

    /// The observed `(min, max)` (averaged for [`MovingAverage`]), or `None` if nothing was seen.
    pub fn range(&self) -> Option<(f32, f32)> {
        match self {
            ObserverState::MinMax(state) => state.range(),
            ObserverState::ChannelMinMax(state) => state.range(),
            ObserverState::MovingAverage(state) => state.range(),
            ObserverState::Histogram(state) => state.range(),
            ObserverState::TorchHistogram(state) => state.range(),
        }
    }

    /// Values that were not finite and left out.
    pub fn dropped(&self) -> u64 {
        match self {
            ObserverState::MinMax(state) => state.dropped(),
            ObserverState::ChannelMinMax(state) => state.dropped(),
            ObserverState::MovingAverage(state) => state.dropped(),
            ObserverState::Histogram(state) => state.dropped(),
            ObserverState::TorchHistogram(state) => state.dropped(),
        }
    }

    /// Appends the state's bytes: one encoding a state, at most 41 KB (a histogram with 64-bit counts everywhere).
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            ObserverState::MinMax(state) => {
                out.push(TAG_MIN_MAX);
                state.encode(out);
            }
            ObserverState::ChannelMinMax(state) => {
                out.push(TAG_CHANNEL_MIN_MAX);
                state.encode(out);
            }
            ObserverState::MovingAverage(state) => {
                out.push(TAG_MOVING_AVERAGE);
                state.encode(out);
            }
            ObserverState::Histogram(state) => {
                out.push(TAG_HISTOGRAM);
                state.encode(out);
            }
            ObserverState::TorchHistogram(state) => {
                out.push(TAG_TORCH_HISTOGRAM);
                state.encode(out);
            }
        }
    }

    /// The state that [`ObserverState::encode`] wrote as exactly these bytes.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for anything else: a prefix, bytes after the end, values that no state holds.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        let state = match reader.byte()? {
            TAG_MIN_MAX => ObserverState::MinMax(MinMax::decode(&mut reader)?),
            TAG_CHANNEL_MIN_MAX => ObserverState::ChannelMinMax(ChannelMinMax::decode(&mut reader)?),
            TAG_MOVING_AVERAGE => ObserverState::MovingAverage(MovingAverage::decode(&mut reader)?),
            TAG_HISTOGRAM => ObserverState::Histogram(Histogram::decode(&mut reader)?),
            TAG_TORCH_HISTOGRAM => ObserverState::TorchHistogram(TorchHistogram::decode(&mut reader)?),
            tag => return Err(corrupt(&format!("unknown kind {tag}"))),
        };
        reader.finish()?;
        Ok(state)
    }
}

/// First bytes of encoded states; never reused.
const TAG_MIN_MAX: u8 = 1;
const TAG_MOVING_AVERAGE: u8 = 2;
const TAG_HISTOGRAM: u8 = 3;
const TAG_TORCH_HISTOGRAM: u8 = 4;
const TAG_CHANNEL_MIN_MAX: u8 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [ObserverKind; 4] =
        [ObserverKind::MinMax, ObserverKind::MovingAverage, ObserverKind::Histogram, ObserverKind::TorchHistogram];

    fn encoded(state: &ObserverState) -> Vec<u8> {
        let mut bytes = Vec::new();
        state.encode(&mut bytes);
        bytes
    }

    #[test]
    fn states_come_back_from_their_bytes_and_no_prefix_or_suffix_does() {
        for kind in KINDS {
            let mut state = ObserverState::new(kind);
            for batch in [&[][..], &[f32::INFINITY], &[0.0, -1.5, 2.0], &[1e10, 1e-30, 0.0]] {
                state.observe(batch);
                let bytes = encoded(&state);
                assert_eq!(ObserverState::decode(&bytes).unwrap(), state);
                for len in 0..bytes.len() {
                    assert!(matches!(ObserverState::decode(&bytes[..len]), Err(Error::Corrupt(_))), "{} of {}", len, bytes.len());
                }
                assert!(ObserverState::decode(&[&bytes[..], &[0]].concat()).is_err());
            }
        }
        assert!(ObserverState::decode(&[9, 0, 0]).is_err());
    }

    #[test]
    fn a_flipped_bit_is_an_error_or_a_sound_state() {
        let mut state = ObserverState::new(ObserverKind::Histogram);
        state.observe(&[0.0, 0.0, 1.0, -2.0, 300.0]);
        let bytes = encoded(&state);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            if let Ok(ObserverState::Histogram(histogram)) = ObserverState::decode(&flipped) {
                assert_eq!(histogram.counts().iter().sum::<u64>(), histogram.count());
                let again = encoded(&ObserverState::Histogram(histogram));
                assert_eq!(again, flipped);
            }
        }
    }

    #[test]
    fn a_wide_state_is_small() {
        let values: Vec<f32> = (0..400_000u32).map(|i| i.wrapping_mul(2_654_435_761) as f32).collect();
        let mut state = ObserverState::new(ObserverKind::Histogram);
        (0..200).for_each(|_| state.observe(&values));
        assert!(encoded(&state).len() * 60 < 8 << 20);
    }

    #[test]
    fn only_mergeable_kinds_merge_and_only_with_their_own() {
        for mine in KINDS {
            for theirs in KINDS {
                let mut state = ObserverState::new(mine);
                let mut other = ObserverState::new(theirs);
                other.observe(&[1.0, 2.0]);
                let result = state.merge(&other);
                match (mine == theirs, mine.is_mergeable()) {
                    (true, true) => assert_eq!((result, &state), (Ok(()), &other)),
                    (true, false) => assert!(matches!(result, Err(Error::Unsupported(text)) if text.contains(mine.name()))),
                    (false, _) => assert!(matches!(result, Err(Error::Mismatch(_)))),
                }
            }
        }
    }

    #[test]
    fn kinds_are_written_by_their_names() {
        for kind in KINDS {
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{}\"", kind.name()));
            let mut state = ObserverState::new(kind);
            assert!(state.is_empty() && state.kind() == kind && state.is_mergeable() == kind.is_mergeable());
            state.observe(&[f32::NEG_INFINITY, 4.0, -1.0]);
            assert_eq!((state.range(), state.dropped()), (Some((-1.0, 4.0)), 1));
        }
    }
}
