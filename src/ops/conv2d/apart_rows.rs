//! Copies of source pixels in rows that lie apart.
//!
//! A tile reads the same channel of 14 pixels at a time. Pixels a multiple of 4 KB apart have all their lines in the same set of an L1 of
//! 32 or 48 KB, which holds 8 or 12 of them: each is gone before its next channel is read, and a tile waits for L2 at every step. Copied
//! once for all output channels, a line further apart each, they stay.
use super::geometry::{ConvGeometry, Region};
use crate::kernels::Pixels;

/// Distance of addresses that share a set of L1: its sets times a line.
const SET_STRIDE: usize = 4096;
/// Lines of a set in the smallest L1 in use: so many pixels do not crowd.
const WAYS: usize = 8;
/// What is put between rows.
const LINE_BYTES: usize = 64;
/// Copies at most at a time: beside a pair of weight panels they stay in L2.
const COPY_BYTES: usize = 256 << 10;
/// Rows that are longer stream through L1 anyway, and few of them would fit.
const MAX_ROW_BYTES: usize = 16 << 10;
/// Output channels that repay a copy.
const LEAST_CHANNELS: usize = 64;

/// How a layer's source pixels are copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApartRows {
    /// Pixels of a copy at most.
    pub pixels: usize,
    row_bytes: usize,
    pitch: usize,
}

impl ApartRows {
    /// For a layer of single taps whose tiles read a little of `tile_pixels` crowded pixels at each step, `pixel_bytes` from one to the
    /// next; `row_bytes` is what a group reads of each in all.
    pub fn new(geometry: &ConvGeometry, regions: &[Region], tile_pixels: usize, pixel_bytes: usize, row_bytes: usize) -> Option<Self> {
        // A region whose only tap lies in the padding has no source pixels at all.
        let has_tap = |region: &Region| region.tap_rows.len() == 1 && region.tap_cols.len() == 1;
        let single_taps = geometry.kernel == [1, 1] && regions.len() == 1 && regions.iter().all(has_tap) && tile_pixels > WAYS;
        let is_crowded = (pixel_bytes * geometry.strides[1]).is_multiple_of(SET_STRIDE) && row_bytes >= SET_STRIDE / 2;
        let pays = row_bytes <= MAX_ROW_BYTES && geometry.weight_shape().oc >= LEAST_CHANNELS && geometry.output_pixels() > 0;
        if !(single_taps && is_crowded && pays) {
            return None;
        }
        let pitch = row_bytes.next_multiple_of(2 * LINE_BYTES) + LINE_BYTES;
        let pixels = (COPY_BYTES / pitch / tile_pixels).max(1) * tile_pixels;
        Some(Self { pixels, row_bytes, pitch })
    }

    /// Whether so many pixels are worth it.
    pub fn is_for(&self, pixels: usize) -> bool {
        pixels > WAYS
    }

    /// Bytes of scratch for so many pixels, if they are worth it.
    pub fn bytes(&self, pixels: usize) -> usize {
        if self.is_for(pixels) { self.pixels.min(pixels) * self.pitch } else { 0 }
    }

    /// Copies `rows` x `cols` pixels, at most [`ApartRows::pixels`]; where they are now.
    ///
    /// # Safety
    /// The row's bytes of each pixel are readable.
    pub unsafe fn copy(&self, from: &Pixels<*const u8>, rows: usize, cols: usize, scratch: &mut [u8]) -> Pixels<*const u8> {
        let pixels = (0..rows).flat_map(|row| (0..cols).map(move |col| (row, col)));
        for ((row, col), to) in pixels.zip(scratch[..rows * cols * self.pitch].chunks_exact_mut(self.pitch)) {
            // SAFETY: the caller's promise; scratch is this part's own.
            unsafe { std::ptr::copy_nonoverlapping(from.at(row, col), to.as_mut_ptr(), self.row_bytes) };
        }
        Pixels { start: scratch.as_ptr(), row_stride: (cols * self.pitch) as isize, col_stride: self.pitch as isize }
    }
}
