//! The observer door: statistics and qparams of plain arrays, per tensor or per channel, for engines with their own kernels.
use crate::error::{Error, Result};
use crate::memory::{self, reserved};
use crate::quantize::observer::{first_nan, first_non_finite};
use crate::quantize::{ObserverKind, ObserverState, Solved, SolverKind, Target, solve};

/// The most channels of an observer.
const MAX_CHANNELS: usize = 1 << 20;

const MAGIC: &[u8; 8] = b"RSQOBSRV";
/// Raised when the layout changes.
const FORMAT_VERSION: u32 = 1;
/// Magic, version, checksum of the rest.
const HEADER_BYTES: usize = 16;
/// Flags byte, number of channels.
const BODY_START: usize = 5;

/// An observer of one tensor, or of each channel of one.
#[derive(Debug, Clone, PartialEq)]
pub struct Observer {
    /// One a channel; all of the same kind.
    states: Vec<ObserverState>,
    drop_inf: bool,
}

impl Observer {
    /// An observer that has seen nothing. With `drop_inf` infinities are dropped and counted instead of refused.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for 0 channels or more than 2^20, [`Error::OutOfMemory`].
    pub fn new(kind: ObserverKind, channels: usize, drop_inf: bool) -> Result<Self> {
        if channels == 0 || channels > MAX_CHANNELS {
            return Err(Error::InvalidArgument(format!("an observer of {channels} channels; 1 to {MAX_CHANNELS} are possible")));
        }
        let mut states = reserved(channels, "an observer's channels")?;
        states.resize_with(channels, || ObserverState::new(kind));
        Ok(Self { states, drop_inf })
    }

    /// Which statistics are collected.
    pub fn kind(&self) -> ObserverKind {
        self.states[0].kind()
    }

    /// Channels; 1 for a whole tensor.
    pub fn channels(&self) -> usize {
        self.states.len()
    }

    /// Infinities that were dropped.
    pub fn dropped(&self) -> u64 {
        self.states.iter().fold(0, |sum, state| sum.saturating_add(state.dropped()))
    }

    /// The first channel that has seen nothing.
    pub fn first_empty(&self) -> Option<usize> {
        self.states.iter().position(ObserverState::is_empty)
    }

    /// Takes in one batch. Element `i` belongs to channel `i / inner % channels`.
    ///
    /// # Errors
    /// [`Error::NotFinite`] naming the first NaN or infinity and its index, [`Error::ShapeMismatch`] for a count that the channels
    /// do not divide, [`Error::OutOfMemory`]; the state is unchanged then.
    pub fn observe(&mut self, values: &[f32], inner: usize) -> Result<()> {
        let bad = if self.drop_inf { first_nan(values) } else { first_non_finite(values) };
        if let Some(index) = bad {
            return Err(Error::NotFinite(format!("value {} at index {index}", values[index])));
        }
        let channels = self.states.len();
        if channels == 1 {
            let mut states = self.copy_of_states()?;
            states[0].observe(values);
            memory::checkpoint()?;
            self.states = states;
            return Ok(());
        }
        let period = channels.checked_mul(inner).filter(|&period| period > 0 && values.len().is_multiple_of(period));
        let Some(period) = period else {
            return Err(Error::ShapeMismatch(format!("{} values are no multiple of {channels} channels of {inner}", values.len())));
        };
        // A batch is one for order-dependent observers too, so a channel's values are brought together.
        let mut together = reserved(values.len() / channels, "a channel's values")?;
        let mut states = self.copy_of_states()?;
        for (channel, state) in states.iter_mut().enumerate() {
            together.clear();
            values.chunks_exact(period).for_each(|chunk| together.extend_from_slice(&chunk[channel * inner..][..inner]));
            state.observe(&together);
            memory::checkpoint()?;
        }
        self.states = states;
        Ok(())
    }

    /// The states, for work that may fail.
    fn copy_of_states(&self) -> Result<Vec<ObserverState>> {
        let mut copies = reserved(self.states.len(), "an observer's channels")?;
        for state in &self.states {
            copies.push(state.clone());
            memory::checkpoint()?;
        }
        Ok(copies)
    }

    /// Takes in what another observer has seen: the bits are those of one that saw both.
    ///
    /// # Errors
    /// [`Error::Mismatch`] for another kind or number of channels, [`Error::Unsupported`] for observers that depend on the
    /// order, [`Error::InvalidArgument`] if counts overflow; the state is unchanged then.
    pub fn merge(&mut self, other: &Observer) -> Result<()> {
        if self.channels() != other.channels() {
            return Err(Error::Mismatch(format!("an observer of {} channels and one of {}", self.channels(), other.channels())));
        }
        let mut merged = self.copy_of_states()?;
        for (mine, theirs) in merged.iter_mut().zip(&other.states) {
            mine.merge(theirs)?;
            memory::checkpoint()?;
        }
        self.states = merged;
        Ok(())
    }

    /// The range and qparams of each channel; `solver` `None` is the kind's default.
    ///
    /// # Errors
    /// [`Error::NotCalibrated`] naming the channel that has seen nothing, [`Error::InvalidArgument`] for a solver that the
    /// observer cannot serve, a percentile out of range or a target without meaning.
    pub fn solve(&self, solver: Option<SolverKind>, target: Target) -> Result<Vec<Solved>> {
        let solver = solver.unwrap_or(SolverKind::default_for(self.kind()));
        target.check()?;
        solver.check(self.kind())?;
        if let Some(channel) = self.first_empty() {
            return Err(Error::NotCalibrated(format!("the observer has seen no values of channel {channel}")));
        }
        let mut solved = reserved(self.states.len(), "solved channels")?;
        for state in &self.states {
            solved.push(solve(state, solver, target)?);
            memory::checkpoint()?;
        }
        Ok(solved)
    }

    /// The observer as bytes.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut append = |more: &[u8]| {
            let refused = |_| Error::OutOfMemory { what: "an observer's bytes".into(), bytes: more.len() };
            bytes.try_reserve(more.len()).map_err(refused)?;
            bytes.extend_from_slice(more);
            memory::checkpoint()
        };
        append(MAGIC)?;
        append(&FORMAT_VERSION.to_le_bytes())?;
        append(&[0; 4])?;
        append(&[u8::from(self.drop_inf)])?;
        append(&(self.states.len() as u32).to_le_bytes())?;
        let mut encoded = Vec::new();
        for state in &self.states {
            encoded.clear();
            state.encode(&mut encoded);
            append(&(encoded.len() as u32).to_le_bytes())?;
            append(&encoded)?;
        }
        let checksum = crc32fast::hash(&bytes[HEADER_BYTES..]);
        bytes[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
        Ok(bytes)
    }

    /// The observer that [`Observer::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Version`], [`Error::OutOfMemory`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let corrupt = |what: &str| Error::Corrupt(format!("observer: {what}"));
        let (header, body) = bytes.split_at_checked(HEADER_BYTES).ok_or_else(|| corrupt("shorter than its header"))?;
        let word = |bytes: &[u8], at: usize| {
            bytes.get(at..at.saturating_add(4)).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
        };
        if !header.starts_with(MAGIC) {
            return Err(corrupt("not a saved observer"));
        }
        let version = word(header, MAGIC.len()).unwrap_or(0);
        if version != FORMAT_VERSION {
            return Err(Error::Version(format!("an observer of format version {version}; this library reads {FORMAT_VERSION}")));
        }
        if word(header, MAGIC.len() + 4) != Some(crc32fast::hash(body)) {
            return Err(corrupt("the checksum does not fit"));
        }
        let drop_inf = match body.first() {
            Some(0) => false,
            Some(1) => true,
            _ => return Err(corrupt("a flag that is neither 0 nor 1")),
        };
        // Each state takes its length's four bytes at least, which bounds the count before anything is reserved.
        let channels = word(body, 1).map_or(0, |count| count as usize);
        let mut rest = body.get(BODY_START..).unwrap_or(&[]);
        if channels == 0 || channels > MAX_CHANNELS || channels > rest.len() / 4 {
            return Err(corrupt(&format!("{channels} channels")));
        }
        let mut states: Vec<ObserverState> = reserved(channels, "an observer's channels")?;
        for channel in 0..channels {
            let len = word(rest, 0).ok_or_else(|| corrupt("it ends early"))? as usize;
            let state = rest.get(4..).and_then(|rest| rest.get(..len)).ok_or_else(|| corrupt(&format!("channel {channel} is cut off")))?;
            let state = ObserverState::decode(state)?;
            if states.first().is_some_and(|first| first.kind() != state.kind()) {
                return Err(corrupt("channels of different kinds"));
            }
            states.push(state);
            memory::checkpoint()?;
            rest = &rest[4 + len..];
        }
        if !rest.is_empty() {
            return Err(corrupt("bytes after its end"));
        }
        Ok(Self { states, drop_inf })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [ObserverKind; 4] =
        [ObserverKind::MinMax, ObserverKind::MovingAverage, ObserverKind::Histogram, ObserverKind::TorchHistogram];

    fn values(count: u32) -> Vec<f32> {
        (0..count).map(|index| (index.wrapping_mul(2_654_435_761) as i32) as f32 * 1e-9).collect()
    }

    #[test]
    fn a_channel_is_solved_as_a_tensor_of_its_values() {
        for kind in KINDS {
            for inner in [1, 5, 20] {
                let mut observer = Observer::new(kind, 3, false).unwrap();
                let mut alone: Vec<_> = (0..3).map(|_| Observer::new(kind, 1, false).unwrap()).collect();
                for batch in values(120).chunks(60) {
                    observer.observe(batch, inner).unwrap();
                    for (channel, alone) in alone.iter_mut().enumerate() {
                        let own = |(index, value): (usize, &f32)| (index / inner % 3 == channel).then_some(*value);
                        alone.observe(&batch.iter().enumerate().filter_map(own).collect::<Vec<_>>(), 1).unwrap();
                    }
                }
                let expected: Vec<_> = alone.iter().flat_map(|alone| alone.solve(None, Target::U8_AFFINE).unwrap()).collect();
                assert_eq!(observer.solve(None, Target::U8_AFFINE).unwrap(), expected);
            }
        }
    }

    #[test]
    fn refused_batches_and_merges_leave_the_state_as_it_was() {
        let mut observer = Observer::new(ObserverKind::Histogram, 2, false).unwrap();
        observer.observe(&[1.0, 2.0], 1).unwrap();
        let before = observer.clone();
        let not_finite = observer.observe(&[0.5, f32::INFINITY], 1);
        assert!(matches!(not_finite, Err(Error::NotFinite(text)) if text.contains("index 1")));
        assert!(matches!(observer.observe(&[1.0; 3], 1), Err(Error::ShapeMismatch(_))));
        assert!(matches!(observer.merge(&Observer::new(ObserverKind::Histogram, 3, false).unwrap()), Err(Error::Mismatch(_))));
        assert!(matches!(observer.merge(&Observer::new(ObserverKind::MinMax, 2, false).unwrap()), Err(Error::Mismatch(_))));
        assert_eq!(observer, before);
        let mut dropping = Observer::new(ObserverKind::Histogram, 2, true).unwrap();
        dropping.observe(&[0.5, f32::INFINITY], 1).unwrap();
        assert_eq!((dropping.dropped(), dropping.first_empty()), (1, Some(1)));
        assert!(matches!(dropping.solve(None, Target::U8_AFFINE), Err(Error::NotCalibrated(text)) if text.contains("channel 1")));
        assert!(matches!(dropping.observe(&[f32::NAN, 0.0], 1), Err(Error::NotFinite(_))));
    }

    #[test]
    fn no_prefix_and_no_flipped_bit_of_a_saved_observer_is_another_one() {
        let mut observer = Observer::new(ObserverKind::Histogram, 2, true).unwrap();
        observer.observe(&values(40), 1).unwrap();
        let bytes = observer.to_bytes().unwrap();
        assert_eq!(Observer::from_bytes(&bytes).unwrap(), observer);
        for len in 0..bytes.len() {
            assert!(Observer::from_bytes(&bytes[..len]).is_err(), "{len}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Observer::from_bytes(&flipped).is_err(), "bit {bit}");
        }
        // Past the checksum: a huge count, another length, a state of another kind.
        let resealed = |at: usize, word: u32| {
            let mut bytes = bytes.clone();
            bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
            let crc = crc32fast::hash(&bytes[HEADER_BYTES..]);
            bytes[MAGIC.len() + 4..HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
            bytes
        };
        for (at, word) in [(HEADER_BYTES + 1, u32::MAX), (HEADER_BYTES + 1, 1), (HEADER_BYTES + 5, u32::MAX), (HEADER_BYTES + 5, 0)] {
            assert!(matches!(Observer::from_bytes(&resealed(at, word)), Err(Error::Corrupt(_))), "{word} at {at}");
        }
        assert!(Observer::from_bytes(&resealed(HEADER_BYTES + 1, 2)).is_ok());
    }
}
