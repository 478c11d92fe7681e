//! The f32 depthwise tile and its sweep, generic over the vector.
//!
//! A tile computes up to `PIXELS` neighbouring pixels of one row times the 16 channels of a panel: each output is one
//! chain `acc = fma(a_t, w_t, acc)` from 0 over the valid taps in order, vectors along channels. Weights lie
//! `[c/16][taps][16]`: a tap's row is loaded once for all pixels of the tile.
//!
//! Preconditions: those of `F32DepthwiseKernel::run`. Tails: fewer pixels; in the last panel neither source,
//! residual nor destination is touched past the block's channels.
use super::lanes::Lanes;
use super::tile::Epilogue;
use crate::kernels::F32Block;
use crate::packed::PANEL_CHANNELS;

/// One tile of a row.
pub(super) struct DepthwiseJob<'a> {
    /// Pixels of this tile.
    pub pixels: usize,
    block: &'a F32Block,
    /// First channel, a multiple of 16.
    channel: usize,
    row: usize,
    col: usize,
}

/// The shape of a kernel's full tile.
#[derive(Clone, Copy)]
pub(super) struct DepthwiseShape {
    /// Neighbouring pixels.
    pub pixels: usize,
}

/// Computes one tile; `VECTORS * LANES` is 16.
///
/// # Safety
/// The job's pixels and channel lie inside its block, whose addresses are valid, and the CPU has `L`'s instruction set.
#[inline(always)]
pub(super) unsafe fn depthwise_tile<L: Lanes, const PIXELS: usize, const VECTORS: usize>(job: &DepthwiseJob) {
    let remaining = job.block.channels - job.channel;
    // SAFETY: the caller's promise; the second form reads and writes `remaining` channels only.
    unsafe {
        if remaining >= PANEL_CHANNELS {
            depthwise_tile_of::<L, PIXELS, VECTORS, false>(job, PANEL_CHANNELS);
        } else {
            depthwise_tile_of::<L, PIXELS, VECTORS, true>(job, remaining);
        }
    }
}

/// # Safety
/// As [`depthwise_tile`]; the panel has `channels` channels, 16 unless `TAIL`.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // Indices run over registers named by two of them.
unsafe fn depthwise_tile_of<L: Lanes, const PIXELS: usize, const VECTORS: usize, const TAIL: bool>(job: &DepthwiseJob, channels: usize) {
    let (block, taps) = (job.block, job.block.taps);
    // SAFETY: every address is one of a valid tap of a pixel at the panel's channels, of a weight row, or of a stored
    // channel; the caller promises them.
    unsafe {
        let panel = block.weights.byte_add(job.channel / PANEL_CHANNELS * block.panel_stride);
        let src = block.src.at(job.row, job.col).add(job.channel * 4);
        let mut acc = [[L::splat(0.0); VECTORS]; PIXELS];
        for tap_row in 0..taps.rows {
            for tap_col in 0..taps.cols {
                let weights = panel.byte_add(tap_row * taps.weight_row_stride + tap_col * taps.weight_col_stride);
                let tap = src.offset(tap_row as isize * taps.src_row_stride + tap_col as isize * taps.src_col_stride);
                for vector in 0..VECTORS {
                    let first = vector * L::LANES;
                    let w = L::load(weights.add(first));
                    for pixel in 0..PIXELS {
                        let a = tap.offset(pixel as isize * block.src.col_stride).cast::<f32>().wrapping_add(first);
                        let remaining = channels.saturating_sub(first);
                        let a = if TAIL && remaining < L::LANES { L::load_first(a, remaining) } else { L::load(a) };
                        acc[pixel][vector] = L::fma(a, w, acc[pixel][vector]);
                    }
                }
            }
        }
        let bias = if block.bias.is_null() { block.bias } else { block.bias.add(job.channel) };
        for vector in 0..VECTORS {
            let first = vector * L::LANES;
            let epilogue = Epilogue::<L>::new(bias, first, block.low, block.high);
            for pixel in 0..PIXELS {
                let residual = block.residual.map(|residual| residual.at(job.row, job.col + pixel).add(job.channel * 4));
                let dst = block.dst.at(job.row, job.col + pixel).add(job.channel * 4);
                epilogue.finish(acc[pixel][vector], residual, dst, first, channels.saturating_sub(first));
            }
        }
    }
}

/// Sweeps tiles over a block: row by row, panels inside a row, so that the rows of a window stay in L1 or L2.
///
/// # Safety
/// As `F32DepthwiseKernel::run`; `tile` may be called with jobs inside the block.
#[inline(always)]
pub(super) unsafe fn sweep_depthwise(block: &F32Block, shape: DepthwiseShape, tile: impl Fn(&DepthwiseJob)) {
    for row in 0..block.rows {
        for channel in (0..block.channels).step_by(PANEL_CHANNELS) {
            for col in (0..block.cols).step_by(shape.pixels) {
                tile(&DepthwiseJob { pixels: shape.pixels.min(block.cols - col), block, channel, row, col });
            }
        }
    }
}
