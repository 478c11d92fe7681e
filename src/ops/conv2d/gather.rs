//! Panels of source pixels, for kernels that want them gathered: all taps of each output pixel in `k` order, in the kernel's own form.
use super::geometry::ConvGeometry;
use crate::kernels::{Int8Kernel, SourceRuns};
use crate::packed::K_GROUP;
use std::ops::Range;

/// Where pixels come from, and the form that they are gathered in.
pub struct Gather<'a> {
    /// Whose form it is.
    pub kernel: &'a dyn Int8Kernel,
    /// The convolution.
    pub geometry: &'a ConvGeometry,
    /// The first image.
    pub src: *const u8,
    /// Bytes from an image to the next.
    pub image_bytes: usize,
    /// Bytes from a pixel to the next.
    pub pixel_bytes: usize,
    /// Bytes that one source byte takes in a panel.
    pub bytes_per_value: usize,
    /// Zero points: what a kernel row of padded taps holds.
    pub padding: &'a [u8],
}

impl Gather<'_> {
    /// Bytes of padding for a convolution: a kernel row.
    pub fn padding_bytes(geometry: &ConvGeometry) -> usize {
        geometry.kernel[1] * geometry.weight_shape().groups_per_tap() * K_GROUP
    }

    /// Gathers output pixels, counted over the rows of all images, into rows of `row_bytes` bytes.
    ///
    /// # Safety
    /// Every image is readable, and up to 3 bytes behind a pixel's channels with it.
    pub unsafe fn run(&self, pixels: Range<usize>, group: usize, row_bytes: usize, panel: &mut [u8]) {
        let tap_values = self.tap_values();
        let whole_pixels = self.geometry.groups == 1 && tap_values == self.pixel_bytes && row_bytes == tap_values * self.bytes_per_value;
        if self.geometry.is_row() && whole_pixels {
            self.gather_row(pixels, row_bytes, panel);
            return;
        }
        let (mut next, mut rows, [height, width]) = (pixels.start, panel.chunks_exact_mut(row_bytes), self.geometry.output);
        while next < pixels.end {
            let (row, col) = (next / width, next % width);
            let cols = col..width.min(col + pixels.end - next);
            let tap_rows = self.valid(0, row % height);
            for (col, to) in cols.clone().zip(&mut rows) {
                self.gather_pixel(row / height, [row % height, col], &tap_rows, group, to);
            }
            next += cols.len();
        }
    }

    /// The taps along an axis that output `out` finds inside the image.
    fn valid(&self, axis: usize, out: usize) -> Range<usize> {
        let geometry = self.geometry;
        let inside = |tap: usize| {
            let at = (out * geometry.strides[axis] + tap * geometry.dilations[axis]) as isize - geometry.pad_begin[axis] as isize;
            (0..geometry.input[axis] as isize).contains(&at)
        };
        let taps = geometry.kernel[axis];
        if inside(0) && inside(taps - 1) {
            return 0..taps;
        }
        let first = (0..taps).take_while(|&tap| !inside(tap)).count();
        first..first + (first..taps).take_while(|&tap| inside(tap)).count()
    }

    /// Values of one tap: a pixel's channels of a group, padded to 4.
    fn tap_values(&self) -> usize {
        self.geometry.weight_shape().groups_per_tap() * K_GROUP
    }

    /// Widens source bytes into a row of the panel, `to` bytes from its start; returns where they end.
    fn widen(&self, from: *const u8, runs: SourceRuns, row: &mut [u8], to: usize) -> usize {
        let end = to + runs.count * runs.bytes * self.bytes_per_value;
        // SAFETY: the source is readable (valid taps, or padding); the row has room, as the slice checks.
        unsafe { self.kernel.widen(from, runs, row[to..end].as_mut_ptr()) };
        end
    }

    /// Output pixels that are the source's own, one after another in each image.
    fn gather_row(&self, pixels: Range<usize>, row_bytes: usize, panel: &mut [u8]) {
        let (of_image, mut next, mut to) = (self.geometry.output_pixels(), pixels.start, 0);
        while next < pixels.end {
            let (image, pixel) = (next / of_image, next % of_image);
            let count = (pixels.end - next).min(of_image - pixel);
            let from = self.src.wrapping_add(image * self.image_bytes + pixel * self.pixel_bytes);
            to = self.widen(from, SourceRuns::one(count * row_bytes / self.bytes_per_value), panel, to);
            next += count;
        }
    }

    /// All taps of one output pixel, whose valid ones have the rows `rows`; padding is the zero point.
    fn gather_pixel(&self, image: usize, [out_row, out_col]: [usize; 2], rows: &Range<usize>, group: usize, row: &mut [u8]) {
        let geometry = self.geometry;
        let src = self.src.wrapping_add(image * self.image_bytes + group * geometry.weight_shape().ic);
        let tap_values = self.tap_values();
        let side_by_side = geometry.dilations[1] == 1 && geometry.groups == 1 && tap_values == self.pixel_bytes;
        let (cols, taps) = (self.valid(1, out_col), geometry.kernel[1]);
        let tap_at = |tap_row: usize, tap_col: usize| {
            src.wrapping_offset(geometry.src_pixel(out_row, out_col, tap_row, tap_col) * self.pixel_bytes as isize)
        };
        let padding = |taps: usize| (self.padding.as_ptr(), SourceRuns::one(taps * tap_values));
        let mut to = 0;
        let mut put = |(from, runs): (*const u8, SourceRuns)| to = self.widen(from, runs, row, to);
        if cols == (0..taps) && (side_by_side || taps == 1) {
            // Whole kernel rows.
            let stride = geometry.dilations[0] * geometry.input[1] * self.pixel_bytes;
            (0..rows.start).for_each(|_| put(padding(taps)));
            put((tap_at(rows.start, 0), SourceRuns { count: rows.len(), bytes: taps * tap_values, stride }));
            (rows.end..geometry.kernel[0]).for_each(|_| put(padding(taps)));
        } else {
            for tap_row in 0..geometry.kernel[0] {
                let cols = if rows.contains(&tap_row) { cols.clone() } else { taps..taps };
                put(padding(cols.start));
                if side_by_side {
                    put((tap_at(tap_row, cols.start), SourceRuns::one(cols.len() * tap_values)));
                } else {
                    cols.clone().for_each(|tap| put((tap_at(tap_row, tap), SourceRuns::one(tap_values))));
                }
                put(padding(taps - cols.end));
            }
        }
        row[to..].fill(0);
    }
}
