//! A narrow image with its left and right border written out, so that whole rows of outputs share their valid taps.
//!
//! The outputs beside a border of a wide image are few. Of 7 columns they are two, and the regions of valid taps are single pixels,
//! columns of 5 and a centre of 5 x 5: short tiles, each of which reads all weights of its taps. With the border's zero points in
//! place, regions are runs of whole rows, and two rows of 7 fill a tile of 14:
//!
//! ```text
//! valid taps only                 columns written out
//! a bbbbb c                       ddddddd      d: 2 rows of taps
//! d eeeee f                       eeeeeee      e: 3 rows of taps
//! d eeeee f   (and so on)         eeeeeee
//! g hhhhh i                       fffffff
//! ```
//!
//! Products of zero points are taken back by the correction of all columns of taps, so that sums, and so all bits, are the same.
use super::geometry::{ConvGeometry, Region};
use crate::packed::K_GROUP;
use crate::tensor::round_up;
use std::ops::Range;

/// Bytes of an image that is worth it: it must stay in L2 beside the weights that pass by.
const MOST_BYTES: usize = 128 << 10;
/// Output channels that one writing of the image must at least serve.
const LEAST_CHANNELS: usize = 64;

/// A convolution over an image with its left and right border, and how the image gets them.
#[derive(Debug, Clone)]
pub struct BorderedColumns {
    /// The convolution over the bordered image.
    pub geometry: ConvGeometry,
    /// Its regions of valid taps, each with its class of the convolution's tables.
    pub regions: Vec<(Region, usize)>,
    /// Columns of the image.
    width: usize,
    /// Columns of the border on the left.
    left: usize,
    pixel_bytes: usize,
}

impl BorderedColumns {
    /// For a convolution over pixels of `pixel_bytes` bytes, with output rows of at most `most_cols` pixels; `class_of` finds the class of a
    /// region. `None` where it would not pay: without a border, for wide or large images, for few channels.
    pub fn new(geometry: &ConvGeometry, pixel_bytes: usize, most_cols: usize, class_of: impl Fn(&Region) -> Option<usize>) -> Option<Self> {
        let worth = (2..=most_cols).contains(&geometry.output[1]) && geometry.weight_shape().oc >= LEAST_CHANNELS;
        if !worth {
            return None;
        }
        let reach = (geometry.kernel[1] - 1).checked_mul(geometry.dilations[1])? + 1;
        let read = (geometry.output[1] - 1).checked_mul(geometry.strides[1])?.checked_add(reach)?;
        let (width, left) = (geometry.input[1], geometry.pad_begin[1]);
        let bordered = read.max(left.checked_add(width)?);
        let bytes = geometry.input[0].checked_mul(bordered)?.checked_mul(pixel_bytes)?;
        if bordered == width || bytes > MOST_BYTES {
            return None;
        }
        let geometry = ConvGeometry { input: [geometry.input[0], bordered], pad_begin: [geometry.pad_begin[0], 0], ..geometry.clone() };
        let regions = geometry.regions().into_iter().map(|region| class_of(&region).map(|class| (region, class))).collect::<Option<_>>()?;
        Some(Self { geometry, regions, width, left, pixel_bytes })
    }

    /// Bytes of a bordered image, and what a kernel may read behind it.
    pub fn bytes(&self) -> usize {
        round_up(self.geometry.input[0] * self.row_bytes() + K_GROUP, 64)
    }

    fn row_bytes(&self) -> usize {
        self.geometry.input[1] * self.pixel_bytes
    }

    /// The image's rows that some output rows read.
    fn of_outputs(&self, outputs: &Range<usize>) -> Range<usize> {
        let geometry = &self.geometry;
        let (stride, pad) = (geometry.strides[0], geometry.pad_begin[0]);
        let first = (outputs.start * stride).saturating_sub(pad);
        let end = (outputs.end - 1) * stride + (geometry.kernel[0] - 1) * geometry.dilations[0] + 1;
        first..end.saturating_sub(pad).clamp(first, geometry.input[0].max(first))
    }

    /// Writes what output rows `outputs` (at least one) read of `image` into its place in `to`.
    pub fn write(&self, image: &[u8], zero_point: u8, outputs: &Range<usize>, to: &mut [u8]) {
        let (row_bytes, src_bytes, left) = (self.row_bytes(), self.width * self.pixel_bytes, self.left * self.pixel_bytes);
        for row in self.of_outputs(outputs) {
            let to = &mut to[row * row_bytes..][..row_bytes];
            let (before, rest) = to.split_at_mut(left);
            let (pixels, behind) = rest.split_at_mut(src_bytes);
            before.fill(zero_point);
            pixels.copy_from_slice(&image[row * src_bytes..][..src_bytes]);
            behind.fill(zero_point);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A square convolution: input, kernel, stride, dilation and padding before and behind of a side.
    fn square([input, kernel, stride, dilation, before, behind]: [usize; 6], out_channels: usize) -> ConvGeometry {
        let output = (before + input + behind - (kernel - 1) * dilation - 1) / stride + 1;
        ConvGeometry {
            input: [input; 2],
            output: [output; 2],
            kernel: [kernel; 2],
            strides: [stride; 2],
            dilations: [dilation; 2],
            pad_begin: [before; 2],
            groups: 1,
            in_channels: 4,
            out_channels,
        }
    }

    const SIDES: [[usize; 6]; 7] = [
        [7, 3, 1, 1, 1, 1],
        [14, 3, 2, 1, 0, 1],
        [5, 5, 1, 1, 2, 2],
        [6, 3, 1, 2, 2, 2],
        [4, 3, 3, 1, 2, 1],
        [9, 2, 1, 1, 0, 1],
        [3, 3, 1, 1, 4, 3],
    ];

    #[test]
    fn every_tap_of_every_output_finds_its_pixel_or_the_zero_point() {
        for side in SIDES {
            let geometry = square(side, 64);
            let Some(bordered) = BorderedColumns::new(&geometry, 4, 14, |_| Some(0)) else { panic!("{side:?} has a border") };
            let size = geometry.input[0];
            let image: Vec<u8> = (0..size * size * 4).map(|at| (at % 251) as u8).collect();
            for outputs in [0..geometry.output[0], 0..1, geometry.output[0] - 1..geometry.output[0]] {
                let mut written = vec![255; bordered.bytes()];
                bordered.write(&image, 77, &outputs, &mut written);
                for (row, col) in outputs.clone().flat_map(|row| (0..geometry.output[1]).map(move |col| (row, col))) {
                    let (region, _) =
                        bordered.regions.iter().find(|(region, _)| region.rows.contains(&row) && region.cols.contains(&col)).unwrap();
                    assert_eq!(region.tap_cols, 0..geometry.kernel[1]);
                    for (tap_row, tap_col) in region.tap_rows.clone().flat_map(|row| (0..geometry.kernel[1]).map(move |col| (row, col))) {
                        let at = bordered.geometry.src_pixel(row, col, tap_row, tap_col) as usize * 4;
                        let x = (col * geometry.strides[1] + tap_col * geometry.dilations[1]).checked_sub(geometry.pad_begin[1]);
                        let y = row * geometry.strides[0] + tap_row * geometry.dilations[0] - geometry.pad_begin[0];
                        let pixel = x.filter(|&x| x < size).map_or([77; 4], |x| image[(y * size + x) * 4..][..4].try_into().unwrap());
                        assert_eq!(written[at..at + 4], pixel, "{side:?}: output {row} {col}, tap {tap_row} {tap_col}");
                    }
                }
            }
        }
    }

    #[test]
    fn wide_and_large_images_few_channels_and_images_without_border_stay_as_they_are() {
        let possible = |side, channels, pixel_bytes| BorderedColumns::new(&square(side, channels), pixel_bytes, 14, |_| Some(0)).is_some();
        assert!(possible([7, 3, 1, 1, 1, 1], 64, 512));
        assert!(!possible([7, 3, 1, 1, 1, 1], 32, 512));
        assert!(!possible([15, 3, 1, 1, 1, 1], 64, 512));
        assert!(!possible([14, 3, 1, 1, 1, 1], 64, 1024));
        assert!(!possible([7, 3, 1, 1, 0, 0], 64, 512));
        assert!(BorderedColumns::new(&square([7, 3, 1, 1, 1, 1], 64), 512, 14, |_| None).is_none());
    }
}
