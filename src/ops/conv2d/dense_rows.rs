//! A small image without the bytes that pad its pixels, and with its border: a convolution over 1 to 3 channels (a network's first
//! layer) whose kernel rows become runs of bytes that lie side by side.
//!
//! ```text
//! pixels of 4 bytes       a kernel row of 7 taps: r g b 0 r g b 0 r g b 0 ...      28 bytes, 7 steps of 4
//! dense rows              the same row:           r g b r g b r g b ...            21 bytes, 6 steps of 4
//! ```
//!
//! A run's last step may reach into the pixels behind it, which meet zero weights. The border holds zero points: their products are
//! taken back by the correction of all taps, so that sums, and so all bits, are those of the convolution over valid taps.
use super::geometry::ConvGeometry;
use super::int8_channels::Int8Weights;
use crate::error::Result;
use crate::packed::{K_GROUP, PANEL_CHANNELS, ROW_BYTES, SLACK_BYTES};
use crate::tensor::{AlignedBuffer, SharedBytes, round_up};
use std::ops::Range;

/// Bytes of a pixel of the image.
const PIXEL_BYTES: usize = K_GROUP;
/// Pixels that a border may add to an image of few.
const SMALL_IMAGE: usize = 4096;

/// How an image becomes dense rows.
#[derive(Debug, Clone)]
pub struct DenseRows {
    /// Rows and columns of the image.
    image: [usize; 2],
    /// Rows and columns with the border, as far as outputs read them.
    bordered: [usize; 2],
    pad_begin: [usize; 2],
    /// Bytes of a dense pixel.
    channels: usize,
}

impl DenseRows {
    /// Whether it saves steps, the image's pixels being [`PIXEL_BYTES`] long.
    pub fn possible(geometry: &ConvGeometry, pixel_bytes: usize) -> bool {
        let small = geometry.in_channels < PIXEL_BYTES && pixel_bytes == PIXEL_BYTES && geometry.groups == 1;
        let fewer = run_bytes(geometry) < geometry.kernel[1] * PIXEL_BYTES;
        let pixels = geometry.input[0].saturating_mul(geometry.input[1]);
        let bordered = bordered(geometry).map_or(usize::MAX, |[rows, cols]| rows.saturating_mul(cols));
        small && fewer && geometry.dilations == [1, 1] && bordered <= pixels.saturating_mul(2).saturating_add(SMALL_IMAGE)
    }

    /// The rows, and the convolution over them with its weights. Only where it is [`DenseRows::possible`].
    ///
    /// # Errors
    /// [`crate::error::Error::OutOfMemory`].
    pub fn new(geometry: &ConvGeometry, weights: &Int8Weights) -> Result<(Self, ConvGeometry, Int8Weights)> {
        let channels = geometry.in_channels;
        let bordered = bordered(geometry).unwrap_or(geometry.input);
        let dense = ConvGeometry {
            input: bordered,
            kernel: [geometry.kernel[0], 1],
            pad_begin: [0, 0],
            in_channels: run_bytes(geometry),
            ..geometry.clone()
        };
        let padded = round_up(geometry.out_channels, PANEL_CHANNELS);
        let (shape, dense_shape) = (geometry.weight_shape(), dense.weight_shape());
        let mut panels = AlignedBuffer::zeroed(dense_shape.panels() * dense_shape.panel_bytes() + SLACK_BYTES, "a first layer's weights")?;
        let mut tap_sums = AlignedBuffer::zeroed(dense_shape.taps * padded * size_of::<i32>(), "a first layer's weight sums")?;
        let dense_sums: &mut [i32] = bytemuck::cast_slice_mut(&mut tap_sums);
        let sums: &[i32] = weights.tap_sums.cast().unwrap_or_default();
        for (row, col) in (0..geometry.kernel[0]).flat_map(|row| (0..geometry.kernel[1]).map(move |col| (row, col))) {
            let tap = row * geometry.kernel[1] + col;
            let terms = &sums[tap * padded..][..padded];
            dense_sums[row * padded..][..padded].iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
            for (panel, channel) in (0..shape.panels()).flat_map(|panel| (0..channels).map(move |channel| (panel, channel))) {
                let k = col * channels + channel;
                let from = panel * shape.panel_bytes() + tap * ROW_BYTES + channel;
                let to = panel * dense_shape.panel_bytes() + (row * dense_shape.groups_per_tap() + k / K_GROUP) * ROW_BYTES + k % K_GROUP;
                for lane in 0..PANEL_CHANNELS {
                    panels[to + lane * K_GROUP] = weights.panels[from + lane * K_GROUP];
                }
            }
        }
        let weights =
            Int8Weights { panels: SharedBytes::copy_of(&panels[..])?, tap_sums: SharedBytes::copy_of(dense_sums)?, ..weights.clone() };
        Ok((Self { image: geometry.input, bordered, pad_begin: geometry.pad_begin, channels }, dense, weights))
    }

    /// Bytes of an image's rows.
    pub fn bytes(&self) -> usize {
        // The last run may reach that far behind the last pixel.
        self.bordered[0] * self.bordered[1] * self.channels + K_GROUP
    }

    /// Bytes from a dense pixel to the next.
    pub fn pixel_bytes(&self) -> usize {
        self.channels
    }

    /// The rows that some output rows read.
    pub fn of_outputs(dense: &ConvGeometry, rows: &Range<usize>) -> Range<usize> {
        let first = rows.start * dense.strides[0];
        first..((rows.end - 1) * dense.strides[0] + dense.kernel[0]).max(first)
    }

    /// Writes some rows of `image` and its border into their places in `dense`.
    pub fn write(&self, image: &[u8], zero_point: u8, wanted: Range<usize>, dense: &mut [u8]) {
        let [height, width] = self.image;
        let row_bytes = self.bordered[1] * self.channels;
        let left = (self.pad_begin[1] * self.channels).min(row_bytes);
        let right = (left + width * self.channels).min(row_bytes);
        for row in wanted {
            let to = &mut dense[row * row_bytes..][..row_bytes];
            match row.checked_sub(self.pad_begin[0]).filter(|&row| row < height) {
                None => to.fill(zero_point),
                Some(row) => {
                    to[..left].fill(zero_point);
                    let pixels = &image[row * width * PIXEL_BYTES..][..width * PIXEL_BYTES];
                    // Pairs are written as 8 bytes, the last 2 of which the next write replaces.
                    let pairs = if self.channels == 3 { write_pairs(pixels, &mut to[left..]) } else { 0 };
                    let rest = to[left..right].chunks_exact_mut(self.channels).zip(pixels.chunks_exact(PIXEL_BYTES));
                    rest.skip(2 * pairs).for_each(|(to, pixel)| to.copy_from_slice(&pixel[..to.len()]));
                    to[right..].fill(zero_point);
                }
            }
        }
    }
}

/// Bytes of a kernel row, in whole steps.
fn run_bytes(geometry: &ConvGeometry) -> usize {
    round_up(geometry.kernel[1] * geometry.in_channels, K_GROUP)
}

/// Rows and columns that the outputs read, the border's among them; `None` beyond all numbers.
fn bordered(geometry: &ConvGeometry) -> Option<[usize; 2]> {
    let run_pixels = run_bytes(geometry).div_ceil(geometry.in_channels.max(1));
    let size = |axis: usize, taps: usize| geometry.output[axis].saturating_sub(1).checked_mul(geometry.strides[axis])?.checked_add(taps);
    Some([size(0, geometry.kernel[0])?, size(1, run_pixels)?])
}

/// Pairs of pixels of 4 bytes to pixels of 3, as far as 8 bytes fit; how many.
fn write_pairs(pixels: &[u8], to: &mut [u8]) -> usize {
    let pairs = (pixels.len() / 8).min(to.len().saturating_sub(2) / 6);
    for (pair, pixels) in pixels.as_chunks::<8>().0.iter().take(pairs).enumerate() {
        let both = u64::from_le_bytes(*pixels);
        let dense = both & 0xff_ffff | both >> 8 & 0xffff_ff00_0000;
        to[6 * pair..6 * pair + 8].copy_from_slice(&dense.to_le_bytes());
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stem([height, width]: [usize; 2], kernel: usize, stride: usize, pad: usize, channels: usize) -> ConvGeometry {
        let input = [height, width];
        ConvGeometry {
            input,
            output: input.map(|size| (size + 2 * pad - kernel) / stride + 1),
            kernel: [kernel; 2],
            strides: [stride; 2],
            dilations: [1; 2],
            pad_begin: [pad; 2],
            groups: 1,
            in_channels: channels,
            out_channels: 20,
        }
    }

    /// Weights `[taps][panels of 2]`, their sums, and nothing else.
    fn weights(geometry: &ConvGeometry) -> Int8Weights {
        let shape = geometry.weight_shape();
        let mut bytes = vec![0u8; shape.panels() * shape.panel_bytes() + SLACK_BYTES];
        let mut sums = vec![0i32; shape.taps * 32];
        for (panel, tap, lane, channel) in (0..shape.panels() * shape.taps * 16 * geometry.in_channels).map(|at| {
            let (rest, channel) = (at / geometry.in_channels, at % geometry.in_channels);
            (rest / 16 / shape.taps, rest / 16 % shape.taps, rest % 16, channel)
        }) {
            let weight = ((panel * 131 + tap * 37 + lane * 11 + channel * 5) % 255) as i32 - 127;
            bytes[panel * shape.panel_bytes() + tap * ROW_BYTES + lane * 4 + channel] = weight as i8 as u8;
            sums[tap * 32 + panel * 16 + lane] += weight;
        }
        let none = SharedBytes::copy_of::<f32>(&[]).unwrap();
        Int8Weights {
            panels: SharedBytes::copy_of(&bytes).unwrap(),
            tap_sums: SharedBytes::copy_of(&sums).unwrap(),
            scale: none.clone(),
            bias: none,
        }
    }

    /// `sum (a - z) w` of one output channel, over valid taps of the image.
    fn expected(geometry: &ConvGeometry, weights: &Int8Weights, image: &[u8], z: i32, at: [usize; 2], oc: usize) -> i32 {
        let shape = geometry.weight_shape();
        let mut sum = 0;
        for (row, col) in (0..geometry.kernel[0]).flat_map(|row| (0..geometry.kernel[1]).map(move |col| (row, col))) {
            let inside = |axis: usize, tap: usize| {
                (at[axis] * geometry.strides[axis] + tap).checked_sub(geometry.pad_begin[axis]).filter(|&at| at < geometry.input[axis])
            };
            let (Some(y), Some(x)) = (inside(0, row), inside(1, col)) else { continue };
            for channel in 0..geometry.in_channels {
                let tap = row * geometry.kernel[1] + col;
                let weight = weights.panels[oc / 16 * shape.panel_bytes() + tap * ROW_BYTES + oc % 16 * 4 + channel] as i8;
                sum += (i32::from(image[(y * geometry.input[1] + x) * 4 + channel]) - z) * i32::from(weight);
            }
        }
        sum
    }

    #[test]
    fn sums_over_dense_rows_are_those_over_valid_taps() {
        for (size, kernel, stride, pad, channels) in [
            ([9, 8], 7, 2, 3, 3),
            ([6, 11], 5, 1, 2, 3),
            ([8, 8], 3, 1, 1, 1),
            ([7, 9], 3, 2, 0, 2),
            ([5, 5], 5, 3, 4, 1),
            ([8, 9], 7, 2, 0, 3),
        ] {
            let geometry = stem(size, kernel, stride, pad, channels);
            assert!(DenseRows::possible(&geometry, 4), "{geometry:?}");
            let weights = weights(&geometry);
            let (rows, dense, dense_weights) = DenseRows::new(&geometry, &weights).unwrap();
            let image: Vec<u8> = (0..size[0] * size[1] * 4).map(|at| (at * 73 % 256) as u8).collect();
            let z = 113;
            let mut bytes = vec![0xee; rows.bytes()];
            for out in 0..geometry.output[0] {
                rows.write(&image, z as u8, DenseRows::of_outputs(&dense, &(out..out + 1)), &mut bytes);
            }
            assert_eq!(dense.regions().len(), 1, "all taps are valid");
            let (shape, sums) = (dense.weight_shape(), dense_weights.tap_sums.cast::<i32>().unwrap());
            for (row, col, oc) in
                (0..geometry.output_pixels() * 20).map(|at| (at / 20 / geometry.output[1], at / 20 % geometry.output[1], at % 20))
            {
                let mut sum = -z * (0..kernel).map(|tap| sums[tap * 32 + oc]).sum::<i32>();
                for (tap, k) in (0..kernel).flat_map(|tap| (0..dense.in_channels).map(move |k| (tap, k))) {
                    let at = dense.src_pixel(row, col, tap, 0) as usize * channels + k;
                    let group = tap * shape.groups_per_tap() + k / 4;
                    let weight = dense_weights.panels[oc / 16 * shape.panel_bytes() + group * ROW_BYTES + oc % 16 * 4 + k % 4] as i8;
                    sum += i32::from(bytes[at]) * i32::from(weight);
                }
                assert_eq!(sum, expected(&geometry, &weights, &image, z, [row, col], oc), "{geometry:?} at {row}, {col}, channel {oc}");
            }
        }
    }

    #[test]
    fn images_that_gain_nothing_stay_as_they_are() {
        let possible = |kernel, channels, pixel| DenseRows::possible(&stem([16, 16], kernel, 1, 0, channels), pixel);
        assert!(possible(7, 3, 4));
        assert!(!possible(3, 3, 4), "9 bytes are 3 steps, as 3 pixels are");
        assert!(!possible(7, 4, 4) && !possible(7, 3, 8) && !possible(1, 3, 4));
        let far = ConvGeometry { pad_begin: [1 << 40; 2], output: [1 << 40; 2], ..stem([16, 16], 7, 1, 0, 3) };
        assert!(!DenseRows::possible(&far, 4));
    }
}
