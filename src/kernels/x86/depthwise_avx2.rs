//! `u8s8s32-dw-1x16-avx2`: depthwise convolution, one pixel x 16 channels a tile, two taps a `vpmaddwd`.
//!
//! ```text
//! taps t, t+1 of 16 channels   unpack    a0 b0 a1 b1 ...      (u8, channels 0..8 and 8..16)
//! zero-extended to s16         vpmovzx   (a0, b0) (a1, b1) ...
//! weights, in scratch          the same order, sign-extended  64 bytes a pair of taps
//! acc[half] += madd(pairs[half], weights[half])               one i32 a channel
//! ```
//!
//! Scratch: the widened weights of one panel, then the source offset of each tap. An odd last tap is paired with
//! itself and zero weights.
//!
//! Tails: the last panel reads and stores only the channels that are there. Overflow: 2 * 255 * 128 a pair; as for the
//! other kernels the convert step bounds the number of taps.
use super::epilogue_avx2::{load_bytes, store_tile};
use crate::isa::{Avx2, Isa};
use crate::kernels::{DepthwiseBlock, DepthwiseKernel, Position};
use crate::packed::PANEL_CHANNELS;
use std::arch::x86_64::*;

/// Scratch bytes of the widened weights of two taps.
const PAIR_BYTES: usize = 2 * 2 * PANEL_CHANNELS;
/// Scratch bytes of the source offsets of two taps.
const PAIR_OFFSET_BYTES: usize = 2 * size_of::<isize>();

/// The AVX2 depthwise kernel; it holds the proof that this CPU has AVX2 and FMA.
#[derive(Debug, Clone, Copy)]
pub struct DepthwiseAvx2 {
    _proof: Avx2,
}

impl DepthwiseAvx2 {
    /// The kernel, on a CPU with AVX2.
    pub fn new(proof: Avx2) -> Self {
        Self { _proof: proof }
    }
}

// SAFETY: `run` reads and writes what the block describes: `run_panel` walks its pixels, taps and panels only.
unsafe impl DepthwiseKernel for DepthwiseAvx2 {
    fn name(&self) -> &'static str {
        "u8s8s32-dw-1x16-avx2"
    }

    fn isa(&self) -> Isa {
        Isa::Avx2
    }

    fn scratch_bytes(&self, taps: usize) -> usize {
        taps.div_ceil(2) * (PAIR_BYTES + PAIR_OFFSET_BYTES)
    }

    unsafe fn run(&self, block: &DepthwiseBlock, scratch: &mut [u8]) {
        let taps = block.taps.rows * block.taps.cols;
        assert!(scratch.len() >= self.scratch_bytes(taps), "scratch is smaller than scratch_bytes");
        let (weights, offsets) = scratch.split_at_mut(taps.div_ceil(2) * PAIR_BYTES);
        let offsets = offsets.as_mut_ptr().cast::<isize>();
        // SAFETY: the scratch holds as many offsets, and is 64-byte aligned with 64 bytes a pair in front of them.
        unsafe { write_offsets(block, offsets) };
        for panel in 0..block.stored_channels.div_ceil(PANEL_CHANNELS) {
            // SAFETY: the token proves AVX2; the panel is one of the block's, and the scratch holds its widened weights.
            unsafe {
                widen_weights(block, panel, weights.as_mut_ptr());
                run_panel(block, panel, weights.as_ptr(), offsets);
            }
        }
    }
}

/// Writes the source offset of each tap; an odd last one twice.
///
/// # Safety
/// `offsets` is aligned and writable for the number of taps rounded up to 2.
unsafe fn write_offsets(block: &DepthwiseBlock, offsets: *mut isize) {
    let taps = &block.taps;
    let count = taps.rows * taps.cols;
    for tap in 0..count.next_multiple_of(2) {
        let tap_read = tap.min(count - 1);
        let (row, col) = (tap_read / taps.cols, tap_read % taps.cols);
        let offset = row as isize * taps.src_row_stride + col as isize * taps.src_col_stride;
        // SAFETY: the caller's promise.
        unsafe { offsets.add(tap).write(offset) };
    }
}

/// Widens and interleaves a panel's weights, two taps at a time.
///
/// # Safety
/// The panel is one of the block's, `dst` writable for [`PAIR_BYTES`] a pair, and the CPU has AVX2.
#[target_feature(enable = "avx2,fma")]
unsafe fn widen_weights(block: &DepthwiseBlock, panel: usize, dst: *mut u8) {
    let taps = &block.taps;
    let count = taps.rows * taps.cols;
    let row_of = |tap: usize| {
        let offset = tap / taps.cols * taps.weight_row_stride + tap % taps.cols * taps.weight_col_stride;
        // SAFETY: the tap is one of the block's: 16 weights are readable.
        unsafe { _mm_loadu_si128(block.weights.add(panel * block.panel_stride + offset).cast()) }
    };
    for pair in 0..count.div_ceil(2) {
        let first = row_of(2 * pair);
        let second = if 2 * pair + 1 < count { row_of(2 * pair + 1) } else { _mm_setzero_si128() };
        // SAFETY: the pair has 64 bytes of the destination.
        unsafe {
            let dst = dst.add(pair * PAIR_BYTES);
            _mm256_storeu_si256(dst.cast(), _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(first, second)));
            _mm256_storeu_si256(dst.add(32).cast(), _mm256_cvtepi8_epi16(_mm_unpackhi_epi8(first, second)));
        }
    }
}

/// All pixels of the block for one panel.
///
/// # Safety
/// As for [`DepthwiseKernel::run`], on a CPU with AVX2 and FMA; `weights` and `offsets` as written by the functions above.
#[target_feature(enable = "avx2,fma")]
unsafe fn run_panel(block: &DepthwiseBlock, panel: usize, weights: *const u8, offsets: *const isize) {
    let channel = panel * PANEL_CHANNELS;
    let present = block.channels.saturating_sub(channel).min(PANEL_CHANNELS);
    let epilogue = block.epilogue();
    let pairs = (block.taps.rows * block.taps.cols).div_ceil(2);
    // SAFETY: 16 entries of `comp` from `channel` on are readable.
    let comp = unsafe {
        let comp = block.comp.add(channel);
        [_mm256_loadu_si256(comp.cast()), _mm256_loadu_si256(comp.add(8).cast())]
    };
    for row in 0..block.rows {
        for col in 0..block.cols {
            // SAFETY: pixel, taps and the `present` channels lie in the block's source.
            let acc = unsafe {
                let src = block.src.at(row, col).add(channel);
                if present == PANEL_CHANNELS {
                    pixel::<true>(src, present, weights, offsets, pairs, comp)
                } else {
                    pixel::<false>(src, present, weights, offsets, pairs, comp)
                }
            };
            // SAFETY: the caller's promise about the block's outputs.
            unsafe { store_tile(&epilogue, channel, &[Position { row, col }], &[acc]) };
        }
    }
}

/// Accumulators of one pixel x 16 channels.
///
/// # Safety
/// `src` is readable for `present` bytes (16 where WHOLE) at each offset, and the CPU has AVX2.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn pixel<const WHOLE: bool>(
    src: *const u8,
    present: usize,
    weights: *const u8,
    offsets: *const isize,
    pairs: usize,
    comp: [__m256i; 2],
) -> [__m256i; 2] {
    let count = if WHOLE { PANEL_CHANNELS } else { present };
    let mut acc = comp;
    for pair in 0..pairs {
        // SAFETY: both taps are the block's, and the pair has 64 bytes of widened weights.
        unsafe {
            let first = load_bytes(src.offset(*offsets.add(2 * pair)), count);
            let second = load_bytes(src.offset(*offsets.add(2 * pair + 1)), count);
            let low = _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(first, second));
            let high = _mm256_cvtepu8_epi16(_mm_unpackhi_epi8(first, second));
            let w = weights.add(pair * PAIR_BYTES);
            acc[0] = _mm256_add_epi32(acc[0], _mm256_madd_epi16(low, _mm256_loadu_si256(w.cast())));
            acc[1] = _mm256_add_epi32(acc[1], _mm256_madd_epi16(high, _mm256_loadu_si256(w.add(32).cast())));
        }
    }
    acc
}
