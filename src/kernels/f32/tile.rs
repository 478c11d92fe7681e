//! The f32 convolution tile and the sweep of tiles over a block, generic over the vector.
//!
//! A tile computes `SEGMENTS` runs of `RUN` neighbouring pixels times `VECTORS` vectors of output channels. Each
//! accumulator is one chain `acc = fma(a_k, w_k, acc)` from 0 over the taps in order (NUMERICS section 8), held in a
//! register from the first `k` to the last, so the chain does not depend on the tile's shape.
//!
//! ```text
//! weights [oc/16][k][16]    k: | 16 floats of panel 0 | next k ...      a vector of 8 is half a row, one of 16 a row;
//!                              | 16 floats of panel 1 |                  two of 16 come from two panels
//! pixels  segment 0: p p p p p p p      a step of k: VECTORS loads of weights,
//!         segment 1: p p p p p p p                   SEGMENTS * RUN broadcasts, each used VECTORS times
//! ```
//!
//! Preconditions: those of `F32Kernel::run`; weights and bias are padded to 16 channels. Tails: fewer segments, shorter
//! runs; channels past the block's are computed from the padding and not stored. No source float is read but those of
//! the taps.
use super::lanes::Lanes;
use crate::kernels::fetch::fetch_to_write;
use crate::kernels::{F32Block, Taps};
use crate::packed::PANEL_CHANNELS;

/// Segments of the largest tile.
pub(super) const MAX_SEGMENTS: usize = 6;
/// Vectors of the widest tile.
const MAX_VECTORS: usize = 2;
/// Bytes of a cache line.
const LINE_BYTES: usize = 64;
/// Source bytes that a sweep over all panels reuses: with a deep panel (4608 x 64 bytes) and the lines that are written it
/// stays in the smallest L2 in use (512 KB). Of 24 to 256 KB, 64 to 128 measured best.
const SOURCE_BLOCK_BYTES: usize = 96 * 1024;

/// One tile: addresses of its segments' first pixels, and what all pixels share.
pub(super) struct TileJob {
    /// Segments of this tile, 1 to [`MAX_SEGMENTS`].
    pub segments: usize,
    /// Pixels of each segment.
    pub run: usize,
    /// Vectors of output channels that hold any to store.
    #[cfg_attr(not(all(target_arch = "x86_64", feature = "x86")), allow(dead_code))]
    pub vectors: usize,
    /// Output channels to store, at most `vectors * LANES`.
    channels: usize,
    src: [*const u8; MAX_SEGMENTS],
    src_stride: isize,
    taps: Taps,
    weights: [*const f32; MAX_VECTORS],
    /// Null: none.
    bias: *const f32,
    residual: Option<[*const u8; MAX_SEGMENTS]>,
    residual_stride: isize,
    low: f32,
    high: f32,
    dst: [*mut u8; MAX_SEGMENTS],
    dst_stride: isize,
}

impl TileJob {
    /// Asks for the lines that the tile writes, and with a residual in their place reads: they are on their way while the chains are
    /// computed.
    #[inline(always)]
    fn fetch_outputs(&self) {
        for start in &self.dst[..self.segments] {
            for pixel in 0..self.run {
                let pixel = start.wrapping_offset(pixel as isize * self.dst_stride);
                (0..self.channels * size_of::<f32>()).step_by(LINE_BYTES).for_each(|line| fetch_to_write(pixel.wrapping_add(line)));
            }
        }
    }
}

/// The shape of a kernel's full tile.
#[derive(Clone, Copy)]
pub(super) struct SweepShape {
    /// Segments, each with an address of its own.
    pub segments: usize,
    /// Pixels of a full segment, a constant stride apart.
    pub run: usize,
    /// Vectors of output channels.
    pub vectors: usize,
    /// Floats in a vector.
    pub lanes: usize,
}

/// Computes one tile; `job.segments` and `job.run` are the const parameters, `VECTORS` at least covers its channels.
///
/// # Safety
/// The job's addresses are valid for its taps, channels and pixels, and the CPU has `L`'s instruction set.
#[inline(always)]
#[allow(clippy::needless_range_loop)] // Indices run over registers named by three of them.
pub(super) unsafe fn tile<L: Lanes, const SEGMENTS: usize, const RUN: usize, const VECTORS: usize>(job: &TileJob) {
    let taps = job.taps;
    // SAFETY: every address is one of a tap of a pixel, of a weight row or of a stored channel; the caller promises them.
    unsafe {
        let mut acc = [[[L::splat(0.0); VECTORS]; RUN]; SEGMENTS];
        for tap_row in 0..taps.rows {
            for tap_col in 0..taps.cols {
                let source_offset = tap_row as isize * taps.src_row_stride + tap_col as isize * taps.src_col_stride;
                let weight_offset = tap_row * taps.weight_row_stride + tap_col * taps.weight_col_stride;
                let mut weights = [std::ptr::null::<f32>(); VECTORS];
                for (vector, row) in weights.iter_mut().enumerate() {
                    *row = job.weights[vector].byte_add(weight_offset);
                }
                // Not unrolled: four steps a branch measured 10 % slower, and half as fast at stride 2.
                for k in 0..taps.run {
                    step::<L, SEGMENTS, RUN, VECTORS>(job, &weights, source_offset, k, &mut acc);
                }
            }
        }
        for vector in 0..VECTORS {
            let first = vector * L::LANES;
            let epilogue = Epilogue::<L>::new(job.bias, first, job.low, job.high);
            let remaining = job.channels.saturating_sub(first);
            for segment in 0..SEGMENTS {
                for pixel in 0..RUN {
                    let residual = job.residual.map(|start| start[segment].offset(pixel as isize * job.residual_stride));
                    let dst = job.dst[segment].offset(pixel as isize * job.dst_stride);
                    epilogue.finish(acc[segment][pixel][vector], residual, dst, first, remaining);
                }
            }
        }
    }
}

/// One step of `k`: a row of weights by one value of each pixel.
///
/// # Safety
/// As [`tile`].
#[inline(always)]
#[allow(clippy::needless_range_loop)] // As in `tile`.
unsafe fn step<L: Lanes, const SEGMENTS: usize, const RUN: usize, const VECTORS: usize>(
    job: &TileJob,
    weights: &[*const f32; VECTORS],
    source_offset: isize,
    k: usize,
    acc: &mut [[[L::Vector; VECTORS]; RUN]; SEGMENTS],
) {
    let offset = source_offset + (k * 4) as isize;
    // SAFETY: the caller's promise.
    unsafe {
        let mut w = [L::splat(0.0); VECTORS];
        for vector in 0..VECTORS {
            w[vector] = L::load(weights[vector].add(k * PANEL_CHANNELS));
        }
        for segment in 0..SEGMENTS {
            for pixel in 0..RUN {
                let src = job.src[segment].offset(pixel as isize * job.src_stride).offset(offset);
                let a = L::broadcast(src.cast());
                for vector in 0..VECTORS {
                    acc[segment][pixel][vector] = L::fma(a, w[vector], acc[segment][pixel][vector]);
                }
            }
        }
    }
}

/// What follows a chain, for one vector of channels: `clamp((acc + bias) + residual)`, stored.
pub(super) struct Epilogue<L: Lanes> {
    bias: Option<L::Vector>,
    low: L::Vector,
    high: L::Vector,
}

impl<L: Lanes> Epilogue<L> {
    /// For the vector that starts at channel `first` of `bias` (null: none).
    ///
    /// # Safety
    /// The bias is readable for `first + LANES` channels, and the CPU has `L`'s instruction set.
    #[inline(always)]
    pub(super) unsafe fn new(bias: *const f32, first: usize, low: f32, high: f32) -> Self {
        // SAFETY: the caller's promise.
        unsafe {
            let bias = if bias.is_null() { None } else { Some(L::load(bias.add(first))) };
            Self { bias, low: L::splat(low), high: L::splat(high) }
        }
    }

    /// Finishes a pixel's vector that starts at channel `first` of `residual` and `dst`, of which `remaining` channels
    /// and more are to be stored.
    ///
    /// # Safety
    /// Residual and destination are valid for `first + min(remaining, LANES)` channels.
    #[inline(always)]
    pub(super) unsafe fn finish(&self, acc: L::Vector, residual: Option<*const u8>, dst: *mut u8, first: usize, remaining: usize) {
        let whole = remaining >= L::LANES;
        // SAFETY: the caller's promise; `load_first` and `store_first` touch `remaining` lanes only.
        unsafe {
            let mut value = acc;
            if let Some(bias) = self.bias {
                value = L::add(value, bias);
            }
            if let Some(residual) = residual {
                let residual = residual.cast::<f32>().wrapping_add(first);
                value = L::add(value, if whole { L::load(residual) } else { L::load_first(residual, remaining) });
            }
            value = L::clamp(value, self.low, self.high);
            let dst = dst.cast::<f32>().wrapping_add(first);
            if whole {
                L::store(dst, value);
            } else {
                L::store_first(dst, value, remaining);
            }
        }
    }
}

/// Sweeps tiles over a block: sub-rectangles whose source stays in L2; for each, panels outside and pixels inside, so
/// that a panel is read from memory once and from L1 or L2 after that.
///
/// # Safety
/// As `F32Kernel::run`; `tile` may be called with jobs inside the block.
#[inline(always)]
pub(super) unsafe fn sweep(block: &F32Block, shape: SweepShape, tile: impl Fn(&TileJob)) {
    let group = shape.vectors * shape.lanes;
    let (part_rows, part_cols) = source_part(block, shape);
    for row in (0..block.rows).step_by(part_rows) {
        for col in (0..block.cols).step_by(part_cols) {
            let part = Part { row, col, rows: part_rows.min(block.rows - row), cols: part_cols.min(block.cols - col) };
            for first in (0..block.channels).step_by(group) {
                // SAFETY: the part lies inside the block, and `first` is one of its channels.
                unsafe { sweep_part(block, &part, first, shape, &tile) }
            }
        }
    }
}

/// A sub-rectangle of a block's pixels.
struct Part {
    row: usize,
    col: usize,
    rows: usize,
    cols: usize,
}

/// Rows and columns of a sub-rectangle whose source takes about [`SOURCE_BLOCK_BYTES`]: whole rows if one fits,
/// otherwise a piece of a row that is a multiple of the tile.
fn source_part(block: &F32Block, shape: SweepShape) -> (usize, usize) {
    let pixel_bytes = block.src.col_stride.unsigned_abs().max(1);
    let row_bytes = pixel_bytes.saturating_mul(block.cols).max(1);
    let fitting_rows = SOURCE_BLOCK_BYTES / row_bytes;
    if fitting_rows > 0 {
        // An even number of rows, so that segments pair up.
        let rows = if fitting_rows > 1 { fitting_rows / 2 * 2 } else { 1 };
        return (rows, block.cols.max(1));
    }
    let tile_pixels = shape.segments * shape.run;
    (1, (SOURCE_BLOCK_BYTES / pixel_bytes / tile_pixels).max(2) * tile_pixels)
}

/// All pixels of a part for one group of channels: first the full runs of every row, then what each row has left.
///
/// # Safety
/// As [`sweep`].
#[inline(always)]
unsafe fn sweep_part(block: &F32Block, part: &Part, first: usize, shape: SweepShape, tile: &impl Fn(&TileJob)) {
    let channels = (block.channels - first).min(shape.vectors * shape.lanes);
    let null = std::ptr::null();
    let mut job = TileJob {
        segments: 0,
        run: shape.run,
        vectors: channels.div_ceil(shape.lanes),
        channels,
        src: [std::ptr::null(); MAX_SEGMENTS],
        src_stride: block.src.col_stride,
        taps: block.taps,
        weights: [null; MAX_VECTORS],
        bias: if block.bias.is_null() { null } else { block.bias.wrapping_add(first) },
        residual: block.residual.map(|_| [std::ptr::null(); MAX_SEGMENTS]),
        residual_stride: block.residual.map_or(0, |residual| residual.col_stride),
        low: block.low,
        high: block.high,
        dst: [std::ptr::null_mut(); MAX_SEGMENTS],
        dst_stride: block.dst.col_stride,
    };
    for (vector, weights) in job.weights.iter_mut().enumerate().take(shape.vectors) {
        let channel = first + vector * shape.lanes;
        let panel = block.weights.wrapping_byte_add(channel / PANEL_CHANNELS * block.panel_stride);
        *weights = panel.wrapping_add(channel % PANEL_CHANNELS);
    }
    let full_runs = part.cols / shape.run;
    let rest = part.cols % shape.run;
    for (run, runs_a_row, skipped) in [(shape.run, full_runs, 0), (rest, usize::from(rest > 0), full_runs * shape.run)] {
        job.run = run;
        // Tiles of nearly equal size: a last tile of one pixel would wait for its few chains.
        let runs = part.rows * runs_a_row;
        let tiles = runs.div_ceil(shape.segments);
        let (mut row, mut index) = (0, 0);
        for tile_index in 0..tiles {
            job.segments = runs * (tile_index + 1) / tiles - runs * tile_index / tiles;
            for segment in 0..job.segments {
                let (row_of_block, col) = (part.row + row, part.col + skipped + index * run);
                // SAFETY: the pixel lies inside the block.
                unsafe {
                    job.src[segment] = block.src.at(row_of_block, col);
                    job.dst[segment] = block.dst.at(row_of_block, col).add(first * 4);
                    if let (Some(segments), Some(residual)) = (&mut job.residual, block.residual) {
                        segments[segment] = residual.at(row_of_block, col).add(first * 4);
                    }
                }
                index += 1;
                if index == runs_a_row {
                    (row, index) = (row + 1, 0);
                }
            }
            job.fetch_outputs();
            tile(&job);
        }
    }
}
