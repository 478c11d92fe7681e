//! Per-channel tables of an int8 convolution: packed weights, zero-point corrections of each border class, multipliers.
use super::geometry::{ConvGeometry, Region};
use super::placement::Int8Result;
use crate::error::{Error, Result};
use crate::kernels::Requantize;
use crate::kernels::fetch::fetch_into_l2;
use crate::ops::step::{Memory, Tensor};
use crate::packed::PANEL_CHANNELS;
use crate::tensor::{SharedBytes, round_up};
use std::ops::Range;

/// Packed weights and their sums, as the model holds them.
#[derive(Debug, Clone)]
pub struct Int8Weights {
    /// Packed panels of every group.
    pub panels: SharedBytes,
    /// `[groups][taps][oc padded]` i32.
    pub tap_sums: SharedBytes,
    /// `[groups][oc padded]` f32: multipliers `m` (static) or weight scales (dynamic).
    pub scale: SharedBytes,
    /// `[groups][oc padded]` f32.
    pub bias: SharedBytes,
}

/// Where the activation's qparams come from.
#[derive(Debug, Clone)]
pub enum OutputScale {
    /// Fixed: the zero point of the input; multipliers are ready.
    Static {
        /// `z_a`.
        zero_point: i32,
    },
    /// Fixed: the zero point of each input channel of a depthwise convolution, `[c]` i32; multipliers are ready.
    StaticChannels {
        /// `z_a`.
        zero_points: SharedBytes,
    },
    /// Solved in each run: a table with an entry of [`DYNAMIC_ENTRY_BYTES`] for each image, or one for all.
    Dynamic(Tensor),
}

/// Parts that may share the search for an image's range.
pub const MAX_RANGE_PARTS: usize = 64;

/// Bytes of an image's entry: its solved [`ImageQParams`], then minimum and maximum of each part's share.
pub const DYNAMIC_ENTRY_BYTES: usize = size_of::<ImageQParams>() + MAX_RANGE_PARTS * 2 * size_of::<f32>();

/// Qparams of one image as dynamic quantization leaves them in the arena.
#[derive(Debug, Clone, Copy, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct ImageQParams {
    /// Scale.
    pub scale: f32,
    /// Zero point.
    pub zero_point: i32,
}

/// Zero-point corrections and multipliers, ready for kernels.
#[derive(Debug)]
pub struct ChannelTables {
    weights: Int8Weights,
    scale: OutputScale,
    /// Channels of a group, padded to a panel.
    padded: usize,
    groups: usize,
    /// Valid tap rectangles that occur; `sums` has one table for each.
    classes: Vec<(Range<usize>, Range<usize>)>,
    /// `[class][groups][oc padded]`: sums of the valid taps' weights (dynamic), or `-z_a` times them (static), `z_a` being the channel's
    /// own where each has one.
    sums: Vec<i32>,
}

/// One image's tables: `comp` of a class, `mult` and `bias`, each `[groups][oc padded]`.
#[derive(Debug, Clone, Copy)]
pub struct ImageTables<'a> {
    comp: &'a [i32],
    mult: &'a [f32],
    bias: &'a [f32],
    class_len: usize,
    padded: usize,
    /// The value that stands for zero in the source; of no use where each channel has its own.
    pub zero_point: i32,
}

impl ImageTables<'_> {
    /// Correction, multiplier and bias of a class from channel `channel` of `group` on.
    pub fn at(&self, class: usize, group: usize, channel: usize) -> (*const i32, *const f32, *const f32) {
        let index = group * self.padded + channel;
        (self.comp[class * self.class_len + index..].as_ptr(), self.mult[index..].as_ptr(), self.bias[index..].as_ptr())
    }
}

fn cast<'a, T: bytemuck::AnyBitPattern>(bytes: &'a SharedBytes, what: &str, len: usize) -> Result<&'a [T]> {
    let values = bytes.cast::<T>().filter(|values| values.len() >= len);
    values.ok_or_else(|| Error::Graph(format!("{what} has {} bytes where {len} elements are needed", bytes.len())))
}

impl ChannelTables {
    /// Tables for the tap classes that occur in `regions`, for weights of `panel_bytes` bytes.
    ///
    /// # Errors
    /// [`Error::Graph`] if a constant is too short.
    pub fn new(geometry: &ConvGeometry, weights: Int8Weights, scale: OutputScale, regions: &[Region], panel_bytes: usize) -> Result<Self> {
        let shape = geometry.weight_shape();
        let padded = round_up(shape.oc, PANEL_CHANNELS);
        let class_len = geometry.groups * padded;
        let tap_sums: &[i32] = cast(&weights.tap_sums, "a table of weight sums", class_len * shape.taps)?;
        cast::<f32>(&weights.scale, "a table of multipliers", class_len)?;
        cast::<f32>(&weights.bias, "a bias table", class_len)?;
        if weights.panels.len() < panel_bytes {
            return Err(Error::Graph("packed weights are too short for their convolution".into()));
        }
        let mut classes: Vec<(Range<usize>, Range<usize>)> = Vec::new();
        for region in regions {
            let class = (region.tap_rows.clone(), region.tap_cols.clone());
            if !classes.contains(&class) {
                classes.push(class);
            }
        }
        // One for each entry of a class's table; there is one group where each channel has its own.
        let mut factors = vec![1; class_len];
        match &scale {
            OutputScale::Static { zero_point } => factors.fill(-zero_point),
            OutputScale::StaticChannels { zero_points } => {
                let zero_points: &[i32] = cast(zero_points, "a table of zero points", geometry.out_channels)?;
                factors.iter_mut().zip(zero_points).for_each(|(factor, zero_point)| *factor = -zero_point);
            }
            OutputScale::Dynamic(_) => {}
        }
        let mut sums = vec![0i32; classes.len() * class_len];
        for ((tap_rows, tap_cols), table) in classes.iter().zip(sums.chunks_mut(class_len.max(1))) {
            for group in 0..geometry.groups {
                for (row, col) in tap_rows.clone().flat_map(|row| tap_cols.clone().map(move |col| (row, col))) {
                    let tap = row * geometry.kernel[1] + col;
                    let terms = &tap_sums[(group * shape.taps + tap) * padded..][..padded];
                    let (table, factors) = (&mut table[group * padded..][..padded], &factors[group * padded..][..padded]);
                    table.iter_mut().zip(terms.iter().zip(factors)).for_each(|(sum, (term, factor))| *sum += factor * term);
                }
            }
        }
        Ok(Self { weights, scale, padded, groups: geometry.groups, classes, sums })
    }

    /// The index of the tap class of a region that the tables were made from.
    pub fn class_of(&self, region: &Region) -> usize {
        self.find_class(region).expect("the table was made from these regions")
    }

    /// The index of a region's tap class, if it occurs.
    pub fn find_class(&self, region: &Region) -> Option<usize> {
        let class = |(rows, cols): &(Range<usize>, Range<usize>)| *rows == region.tap_rows && *cols == region.tap_cols;
        self.classes.iter().position(class)
    }

    /// The weights of all packed panels, and what pads them.
    pub fn panel_weights(&self) -> &[i8] {
        bytemuck::cast_slice(&self.weights.panels[..])
    }

    /// Packed panels.
    pub fn panels(&self) -> *const i8 {
        self.weights.panels.as_ptr().cast()
    }

    /// Asks for the entries of `channels` channels of the first group from `channel` on: those of `class`, and what all classes share.
    pub fn fetch(&self, class: usize, channel: usize, channels: usize) {
        let index = class * self.groups * self.padded + channel;
        fetch_into_l2(self.sums.as_ptr().wrapping_add(index).cast(), channels * size_of::<i32>());
        for shared in [&self.weights.scale, &self.weights.bias] {
            fetch_into_l2(shared.as_ptr().wrapping_add(channel * size_of::<f32>()), channels * size_of::<f32>());
        }
    }

    /// Whether qparams are solved in each run.
    pub fn is_dynamic(&self) -> bool {
        matches!(self.scale, OutputScale::Dynamic(_))
    }

    /// `result`, with what is known of the floats of `k` products a value.
    pub fn bounded(&self, k: usize, mut result: Int8Result) -> Int8Result {
        if let Int8Result::U8 { requantize, residual: (_, ratio) } = &mut result
            && let (false, Some(mult), Some(bias)) = (self.is_dynamic(), self.weights.scale.cast(), self.weights.bias.cast())
        {
            requantize.within_i32 = Requantize::floats_within_i32(k, mult, bias, *ratio);
        }
        result
    }

    /// Scratch bytes that [`ChannelTables::of_image`] needs.
    pub fn scratch_bytes(&self) -> usize {
        if self.is_dynamic() { round_up((self.sums.len() + self.groups * self.padded) * 4, 64) } else { 0 }
    }

    /// The tables of one image, given as its number over all samples and the images of a sample. Dynamic ones are computed into `scratch`: `comp = -z_a * sums`, `mult = s_a * s_w` (f64
    /// product, rounded once: NUMERICS section 5).
    pub fn of_image<'a>(&'a self, memory: &Memory<'_>, (image, of_sample): (usize, usize), scratch: &'a mut [u8]) -> ImageTables<'a> {
        let class_len = self.groups * self.padded;
        let floats = |bytes: &'a SharedBytes| -> &'a [f32] { bytes.cast().expect("checked when the table was made") };
        let (scale, bias) = (floats(&self.weights.scale), floats(&self.weights.bias));
        let (comp, mult, zero_point): (&[i32], &[f32], i32) = match &self.scale {
            OutputScale::Static { zero_point } => (&self.sums, scale, *zero_point),
            OutputScale::StaticChannels { .. } => (&self.sums, scale, 0),
            OutputScale::Dynamic(tensor) => {
                // A sample's images share its entries evenly: one each, or one for all.
                let entries = tensor.layout.held_bytes() / DYNAMIC_ENTRY_BYTES;
                let entry = image / of_sample * entries + image % of_sample * entries / of_sample;
                // SAFETY: the step that made the qparams has finished; nobody writes them now.
                let qparams = unsafe { memory.read_entry::<ImageQParams>(tensor, entry, DYNAMIC_ENTRY_BYTES) };
                let words: &mut [u32] = bytemuck::cast_slice_mut(&mut scratch[..(self.sums.len() + class_len) * 4]);
                let (comp, mult) = words.split_at_mut(self.sums.len());
                let (comp, mult): (&mut [i32], &mut [f32]) = (bytemuck::cast_slice_mut(comp), bytemuck::cast_slice_mut(mult));
                comp.iter_mut().zip(&self.sums).for_each(|(comp, sum)| *comp = -qparams.zero_point * sum);
                let activation = f64::from(qparams.scale);
                mult.iter_mut().zip(scale).for_each(|(mult, weight)| *mult = (activation * f64::from(*weight)) as f32);
                (comp, mult, qparams.zero_point)
            }
        };
        ImageTables { comp, mult, bias, class_len, padded: self.padded, zero_point }
    }
}
