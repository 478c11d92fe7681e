//! Two image rows as one: a convolution that steps two rows at a time over pixels of 4 bytes (a network's first layer) becomes
//! one that steps a single row at a time over pixels of 8.
//!
//! ```text
//! image rows              pairs of rows, pixel by pixel
//! 0: a0 a1 a2 ...         0: a0 b0 a1 b1 a2 b2 ...          a 7 x 7 kernel of 4 bytes a tap becomes a 4 x 7 kernel of 8:
//! 1: b0 b1 b2 ...         1: c0 d0 c1 d1 c2 d2 ...          4 runs of 56 bytes in place of 7 runs of 28, which fill tiles
//! 2: c0 c1 c2 ...                                           of 64 bytes twice as well
//! ```
//!
//! An odd padding puts a row of zero weights before the kernel, so that its pairs are the image's. A pair half outside the image
//! (below an odd height) holds zero points there, whose products the correction takes back. Sums, and so all bits, are those
//! of the original convolution.
use super::geometry::ConvGeometry;
use super::int8_channels::Int8Weights;
use crate::error::Result;
use crate::packed::{K_GROUP, PANEL_CHANNELS, ROW_BYTES, SLACK_BYTES};
use crate::tensor::{SharedBytes, round_up};
use std::ops::Range;

/// Bytes of a pixel of the image, and of a pair.
const PIXEL_BYTES: usize = K_GROUP;
const PAIR_BYTES: usize = 2 * PIXEL_BYTES;

/// How an image's rows become pairs.
#[derive(Debug, Clone)]
pub struct RowPairs {
    /// Rows and columns of the image.
    image: [usize; 2],
}

impl RowPairs {
    /// Whether a convolution's rows can be paired, its pixels being [`PIXEL_BYTES`] long.
    pub fn possible(geometry: &ConvGeometry, pixel_bytes: usize) -> bool {
        let small = geometry.in_channels <= PIXEL_BYTES && pixel_bytes == PIXEL_BYTES && geometry.groups == 1;
        small && geometry.strides[0] == 2 && geometry.kernel[0] > 1 && geometry.dilations == [1, 1]
    }

    /// The pairs, and the convolution over them with its weights. Only where it is [`RowPairs::possible`].
    ///
    /// # Errors
    /// [`crate::error::Error::OutOfMemory`].
    pub fn new(geometry: &ConvGeometry, weights: &Int8Weights) -> Result<(Self, ConvGeometry, Int8Weights)> {
        let image = geometry.input;
        let before = geometry.pad_begin[0] % 2;
        let paired = ConvGeometry {
            input: [image[0].div_ceil(2), image[1]],
            kernel: [(geometry.kernel[0] + before).div_ceil(2), geometry.kernel[1]],
            strides: [1, geometry.strides[1]],
            pad_begin: [(geometry.pad_begin[0] + before) / 2, geometry.pad_begin[1]],
            in_channels: PAIR_BYTES,
            ..geometry.clone()
        };
        // The original tap of a pair's row, if the kernel has it.
        let tap = |pair: usize, row: usize, col: usize| {
            let row = (2 * pair + row).checked_sub(before).filter(|&row| row < geometry.kernel[0])?;
            Some(row * geometry.kernel[1] + col)
        };
        let padded = round_up(geometry.out_channels, PANEL_CHANNELS);
        let (shape, pair_shape) = (geometry.weight_shape(), paired.weight_shape());
        let mut panels = vec![0u8; pair_shape.panels() * pair_shape.panel_bytes() + SLACK_BYTES];
        let mut tap_sums = vec![0i32; pair_shape.taps * padded];
        let sums: &[i32] = weights.tap_sums.cast().unwrap_or_default();
        for (pair, col) in (0..paired.kernel[0]).flat_map(|pair| (0..paired.kernel[1]).map(move |col| (pair, col))) {
            let pair_tap = pair * paired.kernel[1] + col;
            for (row, tap) in (0..2).filter_map(|row| Some((row, tap(pair, row, col)?))) {
                for panel in 0..shape.panels() {
                    let from = panel * shape.panel_bytes() + tap * ROW_BYTES;
                    let to = panel * pair_shape.panel_bytes() + (2 * pair_tap + row) * ROW_BYTES;
                    panels[to..to + ROW_BYTES].copy_from_slice(&weights.panels[from..from + ROW_BYTES]);
                }
                let terms = &sums[tap * padded..][..padded];
                tap_sums[pair_tap * padded..][..padded].iter_mut().zip(terms).for_each(|(sum, term)| *sum += term);
            }
        }
        let weights = Int8Weights { panels: SharedBytes::copy_of(&panels)?, tap_sums: SharedBytes::copy_of(&tap_sums)?, ..weights.clone() };
        Ok((Self { image }, paired, weights))
    }

    /// Bytes of an image's pairs.
    pub fn bytes(&self) -> usize {
        self.image[0].div_ceil(2) * self.image[1] * PAIR_BYTES
    }

    /// Bytes from a pixel of the pairs to the next.
    pub fn pixel_bytes(&self) -> usize {
        PAIR_BYTES
    }

    /// The pairs that some output rows read.
    pub fn of_outputs(&self, paired: &ConvGeometry, rows: &Range<usize>) -> Range<usize> {
        let inside = |pair: usize| pair.saturating_sub(paired.pad_begin[0]).min(paired.input[0]);
        inside(rows.start)..inside(rows.end + paired.kernel[0] - 1)
    }

    /// Writes some pairs of `image` into their places in `pairs`.
    pub fn write(&self, image: &[u8], zero_point: u8, wanted: Range<usize>, pairs: &mut [u8]) {
        let [height, width] = self.image;
        let row_bytes = width * PIXEL_BYTES;
        let word = |pixel: &[u8]| u64::from(u32::from_ne_bytes([pixel[0], pixel[1], pixel[2], pixel[3]]));
        let outside = u64::from(u32::from_ne_bytes([zero_point; PIXEL_BYTES]));
        // On a little-endian machine the first row's bytes come first, elsewhere the halves change places.
        let join = |first: u64, second: u64| if cfg!(target_endian = "little") { first | second << 32 } else { first << 32 | second };
        for pair in wanted {
            let to = &mut pairs[pair * width * PAIR_BYTES..][..width * PAIR_BYTES];
            let first = &image[2 * pair * row_bytes..][..row_bytes];
            let pixels = to.chunks_exact_mut(PAIR_BYTES).zip(first.chunks_exact(PIXEL_BYTES));
            if 2 * pair + 1 < height {
                let second = image[(2 * pair + 1) * row_bytes..][..row_bytes].chunks_exact(PIXEL_BYTES);
                pixels.zip(second).for_each(|((to, first), second)| to.copy_from_slice(&join(word(first), word(second)).to_ne_bytes()));
            } else {
                pixels.for_each(|(to, first)| to.copy_from_slice(&join(word(first), outside).to_ne_bytes()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stem(height: usize, kernel: usize, pad: usize) -> ConvGeometry {
        let input = [height, 5];
        ConvGeometry {
            input,
            output: input.map(|size| (size + 2 * pad - kernel) / 2 + 1),
            kernel: [kernel; 2],
            strides: [2; 2],
            dilations: [1; 2],
            pad_begin: [pad; 2],
            groups: 1,
            in_channels: 3,
            out_channels: 20,
        }
    }

    /// Every output row reads the same image rows with the same weight rows, in pairs.
    #[test]
    fn every_tap_of_every_output_row_is_in_one_pair() {
        for (height, kernel, pad) in [(8, 7, 3), (9, 7, 3), (8, 3, 1), (7, 3, 1), (8, 3, 0), (9, 2, 0), (8, 5, 2), (6, 4, 1)] {
            let geometry = stem(height, kernel, pad);
            let shape = geometry.weight_shape();
            let bytes: Vec<u8> = (0..shape.panels() * shape.panel_bytes() + SLACK_BYTES).map(|i| (i % 251) as u8).collect();
            let sums: Vec<i32> = (0..shape.taps as i32 * 32).collect();
            let none = SharedBytes::copy_of::<f32>(&[]).unwrap();
            let weights = Int8Weights {
                panels: SharedBytes::copy_of(&bytes).unwrap(),
                tap_sums: SharedBytes::copy_of(&sums).unwrap(),
                scale: none.clone(),
                bias: none,
            };
            let (pairs, paired, pair_weights) = RowPairs::new(&geometry, &weights).unwrap();
            let pair_sums: &[i32] = pair_weights.tap_sums.cast().unwrap();
            assert_eq!(pair_sums.iter().sum::<i32>(), sums.iter().sum::<i32>());
            let pair_shape = paired.weight_shape();
            for out in 0..geometry.output[0] {
                let needed = pairs.of_outputs(&paired, &(out..out + 1));
                let mut seen = vec![false; kernel];
                for (pair, row) in (0..paired.kernel[0]).flat_map(|pair| [(pair, 0), (pair, 1)]) {
                    let at = out as isize + pair as isize - paired.pad_begin[0] as isize;
                    let image_row = 2 * at + row as isize;
                    let tap = image_row - (2 * out as isize - pad as isize);
                    for panel in 0..shape.panels() {
                        let place = panel * pair_shape.panel_bytes() + (2 * pair * kernel + row) * ROW_BYTES;
                        let got = &pair_weights.panels[place..place + ROW_BYTES];
                        if (0..kernel as isize).contains(&tap) {
                            let place = panel * shape.panel_bytes() + tap as usize * kernel * ROW_BYTES;
                            assert_eq!(got, &bytes[place..place + ROW_BYTES]);
                            seen[tap as usize] = true;
                        } else {
                            assert!(got.iter().all(|&weight| weight == 0));
                        }
                    }
                    if (0..height as isize).contains(&image_row) && (0..kernel as isize).contains(&tap) {
                        assert!(needed.contains(&(at as usize)), "{geometry:?}: row {out} needs pair {at}");
                    }
                }
                assert!(seen.iter().all(|&seen| seen));
            }
        }
    }

    #[test]
    fn pairs_hold_both_rows_and_zero_points_below_an_odd_image() {
        let (pairs, paired, _) = {
            let geometry = stem(5, 3, 1);
            let shape = geometry.weight_shape();
            let none = SharedBytes::copy_of::<f32>(&[]).unwrap();
            let panels = SharedBytes::copy_of(&vec![0u8; shape.panels() * shape.panel_bytes()]).unwrap();
            let tap_sums = SharedBytes::copy_of(&vec![0i32; shape.taps * 32]).unwrap();
            RowPairs::new(&geometry, &Int8Weights { panels, tap_sums, scale: none.clone(), bias: none }).unwrap()
        };
        let image: Vec<u8> = (0..5 * 5 * 4).collect();
        let mut bytes = vec![0xee; pairs.bytes()];
        pairs.write(&image, 7, 1..paired.input[0], &mut bytes);
        assert!(bytes[..40].iter().all(|&byte| byte == 0xee), "a pair that was not wanted");
        for (x, pixel) in bytes[40..80].chunks_exact(8).enumerate() {
            assert_eq!(pixel, [&image[40 + 4 * x..][..4], &image[60 + 4 * x..][..4]].concat());
        }
        for (x, pixel) in bytes[80..].chunks_exact(8).enumerate() {
            assert_eq!(pixel, [&image[80 + 4 * x..][..4], &[7; 4]].concat());
        }
    }
}
