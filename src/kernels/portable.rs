//! `u8s8s32-1x16-portable` and `u8s8s32-dw-1x16-portable`: plain Rust for every CPU, shaped so that the compiler
//! vectorizes it at the target's baseline.
//!
//! Weights of a panel are widened to s16 pairs in scratch, `[k/2][16][2]`, so that a step over two `k` is a sum of two
//! s16 products a channel: on x86-64 that compiles to `pmaddwd` as long as one pixel is done at a time (measured: 14
//! GMAC/s for 1 x 16, 8 for 4 x 16, whose 16 accumulators leave no register).
//!
//! Preconditions: u8 pixels where they lie. Tails: channels past `stored_channels` are computed from zero weights and
//! not stored. Overflow: 2 * 255 * 128 a pair, and the sum of `k <= 65793` products stays within i32.
use super::epilogue_portable::store_pixel;
use super::{DepthwiseBlock, DepthwiseKernel, Int8Block, Int8Kernel, Position, SourceForm, SourceShape};
use crate::isa::Isa;
use crate::packed::{K_GROUP, PANEL_CHANNELS, ROW_BYTES};

/// Two `k` of 16 channels as s16.
type WidePair = [i16; 2 * PANEL_CHANNELS];
/// A widened row of a panel: four `k`.
type WideRow = [WidePair; 2];

/// The int8 kernel in plain Rust.
#[derive(Debug, Clone, Copy)]
pub struct Int8Portable;

// SAFETY: `run` reads and writes what the block describes: it walks its pixels, taps and panels only.
unsafe impl Int8Kernel for Int8Portable {
    fn name(&self) -> &'static str {
        "u8s8s32-1x16-portable"
    }

    fn isa(&self) -> Isa {
        Isa::Portable
    }

    fn source_form(&self, _shape: &SourceShape) -> SourceForm {
        SourceForm::Direct
    }

    fn tile_pixels(&self) -> usize {
        1
    }

    fn scratch_bytes(&self, k: usize) -> usize {
        k.div_ceil(K_GROUP) * size_of::<WideRow>()
    }

    unsafe fn run(&self, block: &Int8Block, scratch: &mut [u8]) {
        let taps = &block.taps;
        let rows = taps.rows * taps.cols * taps.run;
        assert!(scratch.len() >= rows * size_of::<WideRow>(), "scratch is smaller than scratch_bytes");
        // SAFETY: the scratch holds `rows` wide rows (checked above) and is 64-byte aligned (the caller's promise).
        let wide = unsafe { std::slice::from_raw_parts_mut(scratch.as_mut_ptr().cast::<WideRow>(), rows) };
        for panel in 0..block.stored_channels.div_ceil(PANEL_CHANNELS) {
            let channel = panel * PANEL_CHANNELS;
            // SAFETY: the panel is one of the block's.
            let comp = unsafe { *block.comp.add(channel).cast::<[i32; PANEL_CHANNELS]>() };
            // SAFETY: as above.
            unsafe { widen_panel(block, panel, wide) };
            for row in 0..block.rows {
                for col in 0..block.cols {
                    // SAFETY: pixel and channels lie in the block.
                    unsafe {
                        let acc = accumulate(block, row, col, comp, wide);
                        store_pixel(&block.epilogue(), channel, Position { row, col }, &acc);
                    }
                }
            }
        }
    }
}

/// Widens the valid taps of a panel, one after the other.
///
/// # Safety
/// The panel is one of the block's.
unsafe fn widen_panel(block: &Int8Block, panel: usize, wide: &mut [WideRow]) {
    let taps = &block.taps;
    for (index, dst) in wide.iter_mut().enumerate() {
        let (tap, step) = (index / taps.run, index % taps.run);
        let offset = panel * block.panel_stride
            + tap / taps.cols * taps.weight_row_stride
            + tap % taps.cols * taps.weight_col_stride
            + step * ROW_BYTES;
        // SAFETY: row `step` of a valid tap.
        let row = unsafe { &*block.weights.add(offset).cast::<[i8; ROW_BYTES]>() };
        for channel in 0..PANEL_CHANNELS {
            for k in 0..K_GROUP {
                dst[k / 2][2 * channel + k % 2] = i16::from(row[channel * K_GROUP + k]);
            }
        }
    }
}

/// Accumulators of one pixel x 16 channels.
///
/// # Safety
/// The pixel lies in the block; `wide` holds the widened rows of its valid taps.
unsafe fn accumulate(block: &Int8Block, row: usize, col: usize, comp: [i32; PANEL_CHANNELS], wide: &[WideRow]) -> [i32; PANEL_CHANNELS] {
    let taps = &block.taps;
    let mut acc = comp;
    let mut first_row = 0;
    for tap_row in 0..taps.rows {
        for tap_col in 0..taps.cols {
            let tap = tap_row as isize * taps.src_row_stride + tap_col as isize * taps.src_col_stride;
            // SAFETY: a valid tap has `run` groups of source bytes.
            let src = unsafe {
                let start = block.src.at(row, col).offset(tap);
                std::slice::from_raw_parts(start.cast::<[u8; 2]>(), 2 * taps.run)
            };
            accumulate_run(&mut acc, src, wide[first_row..first_row + taps.run].as_flattened());
            first_row += taps.run;
        }
    }
    acc
}

/// One tap: `acc[c] += a0 * w0 + a1 * w1` for each pair. A function of its own, because inlining loses the `pmaddwd`.
#[inline(never)]
fn accumulate_run(acc: &mut [i32; PANEL_CHANNELS], src: &[[u8; 2]], wide: &[WidePair]) {
    let mut sum = *acc;
    for (pair, weights) in src.iter().zip(wide) {
        let mut a = [0i16; 2 * PANEL_CHANNELS];
        for c in 0..PANEL_CHANNELS {
            a[2 * c] = i16::from(pair[0]);
            a[2 * c + 1] = i16::from(pair[1]);
        }
        for c in 0..PANEL_CHANNELS {
            sum[c] += i32::from(weights[2 * c]) * i32::from(a[2 * c]) + i32::from(weights[2 * c + 1]) * i32::from(a[2 * c + 1]);
        }
    }
    *acc = sum;
}

/// The depthwise kernel in plain Rust.
#[derive(Debug, Clone, Copy)]
pub struct DepthwisePortable;

// SAFETY: `run` reads and writes what the block describes: it walks its pixels, taps and panels only.
unsafe impl DepthwiseKernel for DepthwisePortable {
    fn name(&self) -> &'static str {
        "u8s8s32-dw-1x16-portable"
    }

    fn isa(&self) -> Isa {
        Isa::Portable
    }

    fn scratch_bytes(&self, _taps: usize) -> usize {
        0
    }

    unsafe fn run(&self, block: &DepthwiseBlock, _scratch: &mut [u8]) {
        for panel in 0..block.stored_channels.div_ceil(PANEL_CHANNELS) {
            for row in 0..block.rows {
                for col in 0..block.cols {
                    let at = Position { row, col };
                    // SAFETY: panel and pixel are the block's.
                    unsafe {
                        let acc = accumulate_depthwise(block, panel, at);
                        store_pixel(&block.epilogue(), panel * PANEL_CHANNELS, at, &acc);
                    }
                }
            }
        }
    }
}

/// Accumulators of one pixel x 16 channels.
///
/// # Safety
/// Panel and pixel lie in the block.
unsafe fn accumulate_depthwise(block: &DepthwiseBlock, panel: usize, at: Position) -> [i32; PANEL_CHANNELS] {
    let taps = &block.taps;
    let channel = panel * PANEL_CHANNELS;
    let present = block.channels.saturating_sub(channel).min(PANEL_CHANNELS);
    // SAFETY: 16 entries from `channel` on are readable.
    let mut acc = unsafe { *block.comp.add(channel).cast::<[i32; PANEL_CHANNELS]>() };
    for tap_row in 0..taps.rows {
        for tap_col in 0..taps.cols {
            let offset = panel * block.panel_stride + tap_row * taps.weight_row_stride + tap_col * taps.weight_col_stride;
            let tap = tap_row as isize * taps.src_row_stride + tap_col as isize * taps.src_col_stride;
            let mut a = [0u8; PANEL_CHANNELS];
            // SAFETY: a valid tap has 16 weights and `present` source bytes.
            let weights = unsafe {
                let src = block.src.at(at.row, at.col).offset(tap).add(channel);
                if present == PANEL_CHANNELS {
                    a = *src.cast::<[u8; PANEL_CHANNELS]>();
                } else {
                    std::ptr::copy_nonoverlapping(src, a.as_mut_ptr(), present);
                }
                &*block.weights.add(offset).cast::<[i8; PANEL_CHANNELS]>()
            };
            for c in 0..PANEL_CHANNELS {
                // 255 * 128 fits s16.
                acc[c] += i32::from(i16::from(a[c]) * i16::from(weights[c]));
            }
        }
    }
    acc
}
