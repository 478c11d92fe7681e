//! Running minimum and maximum: of a tensor, or of each channel.
use super::codec::{Reader, corrupt, put_count, put_range};
use super::scan::{finite_values, summarize, unsigned_zero};
use crate::error::{Error, Result};

/// The range of all values seen. Mergeable: the state depends on the set of values alone.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct MinMax {
    range: Option<(f32, f32)>,
    dropped: u64,
}

impl MinMax {
    /// Takes values in. Values that are not finite are dropped and counted.
    pub fn observe(&mut self, values: &[f32]) {
        for chunk in values.chunks(1 << 30) {
            let mut summary = summarize(chunk);
            if !summary.all_finite {
                let (kept, dropped) = finite_values(chunk);
                self.dropped += dropped;
                summary = summarize(&kept);
            }
            if summary.min <= summary.max {
                self.include(summary.min, summary.max);
            }
        }
    }

    fn observe_one(&mut self, value: f32) {
        match value.is_finite() {
            true => self.include(unsigned_zero(value), unsigned_zero(value)),
            false => self.dropped += 1,
        }
    }

    fn include(&mut self, min: f32, max: f32) {
        let (old_min, old_max) = self.range.unwrap_or((min, max));
        self.range = Some((old_min.min(min), old_max.max(max)));
    }

    /// Takes in what another state has seen.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the counts overflow.
    pub fn merge(&mut self, other: &MinMax) -> Result<()> {
        let overflow = || Error::InvalidArgument("merged observer counts exceed 64 bits".into());
        self.dropped = self.dropped.checked_add(other.dropped).ok_or_else(overflow)?;
        if let Some((min, max)) = other.range {
            self.include(min, max);
        }
        Ok(())
    }

    /// `(min, max)`, or `None` if nothing was seen.
    pub fn range(&self) -> Option<(f32, f32)> {
        self.range
    }

    /// Values that were not finite and left out.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_range(out, self.dropped, self.range);
    }

    pub(super) fn decode(reader: &mut Reader) -> Result<Self> {
        let (dropped, range) = reader.optional_range()?;
        Ok(MinMax { range, dropped })
    }
}

/// Where the channels of an image lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelOrder {
    /// Side by side in each pixel.
    Innermost,
    /// Each in a plane of its own, of that many elements.
    Planes(usize),
}

/// The range of each index along one axis.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelMinMax {
    channels: Vec<MinMax>,
}

impl ChannelMinMax {
    /// An observer of that many channels.
    pub fn new(channels: usize) -> Self {
        ChannelMinMax { channels: vec![MinMax::default(); channels] }
    }

    /// Channels.
    pub fn channels(&self) -> usize {
        self.channels.len()
    }

    /// Takes in images in the order in which they lie: pixels of all channels, or planes of one channel each. Values that are not finite
    /// are dropped and counted.
    pub fn observe_image(&mut self, values: &[f32], order: ChannelOrder) {
        let channels = self.channels.len().max(1);
        match order {
            ChannelOrder::Innermost => {
                for pixel in values.chunks_exact(channels) {
                    self.channels.iter_mut().zip(pixel).for_each(|(state, &value)| state.observe_one(value));
                }
            }
            ChannelOrder::Planes(plane) => {
                for (index, plane) in values.chunks_exact(plane.max(1)).enumerate() {
                    self.channels[index % channels].observe(plane);
                }
            }
        }
    }

    /// Values of all channels that were not finite.
    pub fn dropped(&self) -> u64 {
        self.channels.iter().map(MinMax::dropped).fold(0, u64::saturating_add)
    }

    /// The range over all channels.
    pub fn range(&self) -> Option<(f32, f32)> {
        let ranges = self.channels.iter().filter_map(MinMax::range);
        ranges.reduce(|(low, high), (min, max)| (low.min(min), high.max(max)))
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_count(out, self.channels.len() as u64);
        self.channels.iter().for_each(|channel| channel.encode(out));
    }

    pub(super) fn decode(reader: &mut Reader) -> Result<Self> {
        let count = reader.count()?;
        // A channel takes two bytes at least.
        match usize::try_from(count) {
            Ok(count) if count > 0 && count <= reader.remaining() / 2 => {
                Ok(ChannelMinMax { channels: (0..count).map(|_| MinMax::decode(reader)).collect::<Result<Vec<_>>>()? })
            }
            _ => Err(corrupt("more channels than bytes, or none")),
        }
    }

    /// Takes in a dense row-major tensor of shape `dims` whose axis `channel_axis` indexes the channels.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] if the shape has not that axis, another number of channels, or another number of values.
    pub fn observe(&mut self, values: &[f32], dims: &[usize], channel_axis: usize) -> Result<()> {
        let channels = self.channels.len();
        if dims.get(channel_axis) != Some(&channels) || crate::tensor::element_count(dims) != Some(values.len()) {
            return Err(Error::ShapeMismatch(format!(
                "{} values of shape {dims:?} with {channels} channels on axis {channel_axis}",
                values.len()
            )));
        }
        let inner: usize = dims[channel_axis + 1..].iter().product();
        if inner > 0 {
            for (row, run) in values.chunks_exact(inner).enumerate() {
                self.channels[row % channels].observe(run);
            }
        }
        Ok(())
    }

    /// Takes in what another state has seen.
    ///
    /// # Errors
    /// [`Error::Mismatch`] if the channels differ in number.
    pub fn merge(&mut self, other: &ChannelMinMax) -> Result<()> {
        if self.channels.len() != other.channels.len() {
            return Err(Error::Mismatch(format!("{} channels and {}", self.channels.len(), other.channels.len())));
        }
        self.channels.iter_mut().zip(&other.channels).try_for_each(|(mine, theirs)| mine.merge(theirs))
    }

    /// `(min, max)` of each channel, `None` for one that has seen nothing.
    pub fn ranges(&self) -> Vec<Option<(f32, f32)>> {
        self.channels.iter().map(MinMax::range).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_in_any_order_give_the_whole() {
        let values = [3.0f32, -0.0, 1.5, -7.25, f32::INFINITY, 2.0];
        let mut whole = MinMax::default();
        whole.observe(&values);
        assert_eq!((whole.range(), whole.dropped()), (Some((-7.25, 3.0)), 1));
        let mut merged = MinMax::default();
        for piece in values.chunks(2).rev() {
            let mut part = MinMax::default();
            part.observe(piece);
            merged.merge(&part).unwrap();
        }
        assert_eq!(merged, whole);
        assert!(MinMax { range: None, dropped: u64::MAX }.merge(&whole).is_err());
    }

    #[test]
    fn an_empty_or_infinite_batch_gives_no_range() {
        let mut state = MinMax::default();
        state.observe(&[]);
        state.observe(&[f32::NEG_INFINITY]);
        assert_eq!((state.range(), state.dropped()), (None, 1));
    }

    #[test]
    fn channels_lie_along_the_named_axis() {
        let values: Vec<f32> = (0..12).map(|v| v as f32).collect();
        let mut axis_1 = ChannelMinMax::new(3);
        axis_1.observe(&values, &[2, 3, 2], 1).unwrap();
        assert_eq!(axis_1.ranges(), [Some((0.0, 7.0)), Some((2.0, 9.0)), Some((4.0, 11.0))]);
        let mut axis_0 = ChannelMinMax::new(2);
        axis_0.observe(&values, &[2, 3, 2], 0).unwrap();
        assert_eq!(axis_0.ranges(), [Some((0.0, 5.0)), Some((6.0, 11.0))]);
        assert!(axis_0.observe(&values, &[2, 3, 2], 1).is_err());
        assert!(axis_0.observe(&values[..11], &[2, 3, 2], 0).is_err());
        assert!(axis_0.observe(&values, &[2, 3, 2], 5).is_err());
        assert!(axis_0.merge(&axis_1).is_err());
        let (mut planes, mut pixels) = (ChannelMinMax::new(3), ChannelMinMax::new(3));
        planes.observe_image(&values, ChannelOrder::Planes(2));
        let of_pixel = |at: usize| values[at / 6 * 6 + at % 3 * 2 + at / 3 % 2];
        pixels.observe_image(&(0..12).map(of_pixel).collect::<Vec<_>>(), ChannelOrder::Innermost);
        assert_eq!([&planes, &pixels], [&axis_1, &axis_1]);
        pixels.observe_image(&[-0.0, f32::INFINITY, f32::NAN], ChannelOrder::Innermost);
        assert_eq!((pixels.dropped(), pixels.ranges()), (2, axis_1.ranges()));
        let mut twice = ChannelMinMax::new(3);
        twice.merge(&axis_1).unwrap();
        assert_eq!(twice, axis_1);
    }
}
