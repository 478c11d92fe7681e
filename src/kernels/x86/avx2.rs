//! `u8s8s32-4x16-avx2`: u8 activations times s8 weights in exact s16 products (`vpmaddwd`), 4 pixels x 16 channels a tile.
//!
//! AVX2 has no exact u8 x s8 product that adds in i32, so both sides are widened to s16 once and then used many times:
//! activations by [`Int8Kernel::widen`] when the driver gathers the panel, weights once a block into scratch. Even and
//! odd bytes are kept apart, so that widening is a mask or a shift and `vpmaddwd` leaves one i32 a channel:
//!
//! ```text
//! activations  a0 a1 a2 a3 (u8)                 ->  a0|a2<<16  a1|a3<<16              8 bytes, two broadcasts
//! weights row  16 channels x (w0 w1 w2 w3) s8   ->  even (w0 w2) x 16 | odd (w1 w3) x 16    128 bytes, four ymm
//! ```
//!
//! The tile multiplies as [`super::halved_products`] does. What it subtracts is summed once: for each panel while its weights are
//! widened, for each pixel before the first panel.
//!
//! Preconditions: a gathered panel (`taps.rows == taps.cols == 1`). Tails: pixels are split into tiles of nearly equal
//! size, at most 4; channels past `stored_channels` are computed from the panel's zero weights and not stored.
//! Overflow: sums of at most 382 in s16, and the sum of `k <= 65793` products of a byte and an s8 stays within i32.
use super::epilogue_avx2::{SaturatedBytes, row_places, store_row};
use super::halved_products::{GROUP_BYTES, GROUP_WEIGHT_BYTES, TILE_ROWS, add_products, row_correction};
use super::pair_products::{even_words, odd_words};
use super::winograd_avx2::{Winograd2Avx2, Winograd4Avx2};
use crate::isa::{Avx2, Isa};
use crate::kernels::{Int8Block, Int8Epilogue, Int8Kernel, Position, SmallImageForm, SourceForm, SourceRuns, SourceShape, WinogradKernel};
use crate::packed::{K_GROUP, PANEL_CHANNELS, ROW_BYTES};
use std::arch::x86_64::*;
use std::ops::Range;

/// Pixels of a full tile.
const TILE_PIXELS: usize = TILE_ROWS;
/// Bytes of a block of widened activations: in L2 or not far from it.
const PANEL_BLOCK_BYTES: usize = 256 << 10;
/// Pixels whose corrections are kept in scratch at a time.
const BLOCK_PIXELS: usize = 256;

/// The AVX2 int8 kernel; it holds the proof that this CPU has AVX2 and FMA.
#[derive(Debug, Clone, Copy)]
pub struct Int8Avx2 {
    proof: Avx2,
}

impl Int8Avx2 {
    /// The kernel, on a CPU with AVX2.
    pub fn new(proof: Avx2) -> Self {
        Self { proof }
    }
}

// SAFETY: `run` reads and writes what the block describes: `panel` walks its pixels and panels only.
unsafe impl Int8Kernel for Int8Avx2 {
    fn name(&self) -> &'static str {
        "u8s8s32-4x16-avx2"
    }

    fn isa(&self) -> Isa {
        Isa::Avx2
    }

    fn source_form(&self, _shape: &SourceShape) -> SourceForm {
        SourceForm::Gathered { bytes_per_value: 2, k_multiple: K_GROUP, block_bytes: PANEL_BLOCK_BYTES }
    }

    fn small_image_form(&self, _shape: &SourceShape) -> SmallImageForm {
        SmallImageForm::DenseRows
    }

    fn winograd(&self) -> Vec<Box<dyn WinogradKernel>> {
        vec![Box::new(Winograd4Avx2::new(self.proof)), Box::new(Winograd2Avx2::new(self.proof))]
    }

    fn tile_pixels(&self) -> usize {
        TILE_PIXELS
    }

    fn scratch_bytes(&self, k: usize) -> usize {
        BLOCK_PIXELS * size_of::<i32>() + k.div_ceil(K_GROUP) * GROUP_WEIGHT_BYTES
    }

    unsafe fn widen(&self, src: *const u8, runs: SourceRuns, dst: *mut u8) {
        // SAFETY: the token proves AVX2; the addresses are the caller's promise.
        unsafe { widen_runs(src, runs, dst) }
    }

    unsafe fn run(&self, block: &Int8Block, scratch: &mut [u8]) {
        assert!(scratch.len() >= self.scratch_bytes(block.taps.run * K_GROUP), "scratch is smaller than scratch_bytes");
        debug_assert!(block.taps.rows == 1 && block.taps.cols == 1, "a gathered panel is one run");
        let (corrections, wide) = scratch.split_at_mut(BLOCK_PIXELS * size_of::<i32>());
        let corrections: &mut [i32] = bytemuck::cast_slice_mut(corrections);
        for row in 0..block.rows {
            for col in (0..block.cols).step_by(BLOCK_PIXELS) {
                let pixels = PixelRun { row, cols: col..block.cols.min(col + BLOCK_PIXELS) };
                // SAFETY: the token proves AVX2 and FMA; the pixels are the block's, and the scratch holds a panel's widened rows.
                unsafe { run_pixels(block, &pixels, corrections, wide.as_mut_ptr()) }
            }
        }
    }
}

/// Some pixels of a row of a block.
struct PixelRun {
    row: usize,
    cols: Range<usize>,
}

/// Widens runs of u8 groups to the two dwords of each that the tile broadcasts.
///
/// # Safety
/// As for [`Int8Kernel::widen`], on a CPU with AVX2.
#[target_feature(enable = "avx2")]
unsafe fn widen_runs(src: *const u8, runs: SourceRuns, dst: *mut u8) {
    for run in 0..runs.count {
        // SAFETY: the run is one of them.
        unsafe { widen_activations(src.add(run * runs.stride), dst.add(run * 2 * runs.bytes), runs.bytes) }
    }
}

/// Widens one run of `len` bytes.
///
/// # Safety
/// As for [`widen_runs`].
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn widen_activations(src: *const u8, dst: *mut u8, len: usize) {
    let even_bytes = _mm256_set1_epi16(0xff);
    let mut done = 0;
    // SAFETY: 32 source bytes and 64 of the destination are there while `done + 32 <= len`, and so with 16, 8 and
    // 4 bytes of what is left.
    unsafe {
        while done + 32 <= len {
            // Quadwords 0 2 1 3: the unpacks work in 128-bit lanes.
            let bytes = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_loadu_si256(src.add(done).cast()));
            let even = _mm256_and_si256(bytes, even_bytes);
            let odd = _mm256_srli_epi16::<8>(bytes);
            let out = dst.add(2 * done);
            _mm256_storeu_si256(out.cast(), _mm256_unpacklo_epi32(even, odd));
            _mm256_storeu_si256(out.add(32).cast(), _mm256_unpackhi_epi32(even, odd));
            done += 32;
        }
        if done + 16 <= len {
            let bytes = _mm_loadu_si128(src.add(done).cast());
            let even = _mm_and_si128(bytes, _mm256_castsi256_si128(even_bytes));
            let odd = _mm_srli_epi16::<8>(bytes);
            let out = dst.add(2 * done);
            _mm_storeu_si128(out.cast(), _mm_unpacklo_epi32(even, odd));
            _mm_storeu_si128(out.add(16).cast(), _mm_unpackhi_epi32(even, odd));
            done += 16;
        }
        if done + 8 <= len {
            let bytes = _mm_loadl_epi64(src.add(done).cast());
            let even = _mm_and_si128(bytes, _mm256_castsi256_si128(even_bytes));
            _mm_storeu_si128(dst.add(2 * done).cast(), _mm_unpacklo_epi32(even, _mm_srli_epi16::<8>(bytes)));
            done += 8;
        }
        if done < len {
            let bytes = src.add(done).cast::<u32>().read_unaligned();
            let out = dst.add(2 * done).cast::<u32>();
            out.write_unaligned(bytes & 0x00ff_00ff);
            out.add(1).write_unaligned(bytes >> 8 & 0x00ff_00ff);
        }
    }
}

/// Widens `rows` rows of a weight panel; returns what the sums of each channel hold too much: `w0 w1 + w2 w3` of all rows.
///
/// # Safety
/// `weights` is readable for `rows` rows, `dst` writable for as many wide ones, and the CPU has AVX2.
#[target_feature(enable = "avx2")]
unsafe fn widen_weights(weights: *const i8, dst: *mut u8, rows: usize) -> [__m256i; 2] {
    let mut corrections = [_mm256_setzero_si256(); 2];
    for row in 0..rows {
        // SAFETY: the row is one of `rows`.
        unsafe {
            let src = weights.add(row * ROW_BYTES);
            let dst = dst.add(row * GROUP_WEIGHT_BYTES);
            for (half, correction) in corrections.iter_mut().enumerate() {
                let bytes = _mm256_loadu_si256(src.add(32 * half).cast());
                let (even, odd) = (even_words(bytes), odd_words(bytes));
                _mm256_storeu_si256(dst.add(32 * half).cast(), even);
                _mm256_storeu_si256(dst.add(ROW_BYTES + 32 * half).cast(), odd);
                *correction = _mm256_add_epi32(*correction, _mm256_madd_epi16(even, odd));
            }
        }
    }
    corrections
}

/// All panels of some pixels.
///
/// # Safety
/// As for [`Int8Kernel::run`], on a CPU with AVX2 and FMA; `corrections` has room for the pixels, `wide` for a panel's widened rows.
#[target_feature(enable = "avx2,fma")]
unsafe fn run_pixels(block: &Int8Block, pixels: &PixelRun, corrections: &mut [i32], wide: *mut u8) {
    // One tile reads each weight once: then it widens in registers, and multiplies as usual.
    let widened = pixels.cols.len() > TILE_PIXELS;
    if widened {
        for (col, correction) in pixels.cols.clone().zip(corrections.iter_mut()) {
            // SAFETY: the pixel's panel row has `taps.run` groups.
            *correction = unsafe { row_correction(block.src.at(pixels.row, col), block.taps.run) };
        }
    }
    let epilogue = block.epilogue();
    for panel in 0..block.stored_channels.div_ceil(PANEL_CHANNELS) {
        let channel = panel * PANEL_CHANNELS;
        // SAFETY: the panel is one of the block's, with `taps.run` rows, and 16 entries of `comp` from `channel` on.
        let (weights, mut start) = unsafe {
            let comp = block.comp.add(channel);
            (block.weights.add(panel * block.panel_stride), [_mm256_loadu_si256(comp.cast()), _mm256_loadu_si256(comp.add(8).cast())])
        };
        if widened {
            // SAFETY: as above.
            let weight_corrections = unsafe { widen_weights(weights, wide, block.taps.run) };
            start = [0, 1].map(|half| _mm256_sub_epi32(start[half], weight_corrections[half]));
        }
        // SAFETY: multipliers and biases of the panel are readable.
        let bytes = unsafe { SaturatedBytes::of(&epilogue, channel) };
        let job = PanelJob { block, epilogue: &epilogue, bytes, channel, start };
        // SAFETY: the pixels' corrections and the panel's widened rows were just made, or its rows are those of the block.
        unsafe {
            match &job.bytes {
                _ if !widened => run_lone_tile(&job, pixels, weights),
                None => run_tiles::<ANY>(&job, pixels, corrections, wide),
                Some(bytes) if bytes.has_residual() => run_tiles::<BYTES_AND_RESIDUAL>(&job, pixels, corrections, wide),
                Some(_) => run_tiles::<BYTES>(&job, pixels, corrections, wide),
            }
        }
    }
}

/// How a tile is stored: by what the block asks for, or as [`SaturatedBytes`].
const ANY: u8 = 0;
/// As [`SaturatedBytes`] without residual.
const BYTES: u8 = 1;
/// As [`SaturatedBytes`] with a residual.
const BYTES_AND_RESIDUAL: u8 = 2;

/// All tiles of some pixels.
///
/// # Safety
/// As for [`tile`].
#[target_feature(enable = "avx2,fma")]
unsafe fn run_tiles<const STORE: u8>(job: &PanelJob<'_>, pixels: &PixelRun, corrections: &[i32], wide: *const u8) {
    let mut first = Position { row: pixels.row, col: pixels.cols.start };
    while first.col < pixels.cols.end {
        let left = pixels.cols.end - first.col;
        let count = if left >= 2 * TILE_PIXELS { TILE_PIXELS } else { left.div_ceil(left.div_ceil(TILE_PIXELS)) };
        let corrections = &corrections[first.col - pixels.cols.start..];
        // SAFETY: `count` pixels of the row begin at `first`.
        unsafe {
            match count {
                1 => tile::<1, ANY>(job, first, corrections, wide),
                2 => tile::<2, ANY>(job, first, corrections, wide),
                3 => tile::<3, ANY>(job, first, corrections, wide),
                _ => tile::<4, STORE>(job, first, corrections, wide),
            }
        }
        first.col += count;
    }
}

/// The only tile of some pixels.
///
/// # Safety
/// As for [`lone_tile`].
#[target_feature(enable = "avx2,fma")]
unsafe fn run_lone_tile(job: &PanelJob<'_>, pixels: &PixelRun, weights: *const i8) {
    let first = Position { row: pixels.row, col: pixels.cols.start };
    // SAFETY: the pixels are at most a tile.
    unsafe {
        match pixels.cols.len() {
            1 => lone_tile::<1>(job, first, weights),
            2 => lone_tile::<2>(job, first, weights),
            3 => lone_tile::<3>(job, first, weights),
            _ => lone_tile::<4>(job, first, weights),
        }
    }
}

/// One panel's share of a block.
struct PanelJob<'a> {
    block: &'a Int8Block,
    epilogue: &'a Int8Epilogue,
    /// What makes bytes, where packs are clamp enough.
    bytes: Option<SaturatedBytes>,
    /// The panel's first channel.
    channel: usize,
    /// Where its sums start, but for the corrections of pixels.
    start: [__m256i; 2],
}

impl PanelJob<'_> {
    /// Rows of `P` pixels from `first` on.
    ///
    /// # Safety
    /// They are pixels of a row of the block.
    #[inline(always)]
    unsafe fn rows<const P: usize>(&self, first: Position) -> [*const u8; P] {
        // SAFETY: the caller's promise.
        let mut rows = [unsafe { self.block.src.at(first.row, first.col) }; P];
        for p in 1..P {
            rows[p] = rows[p - 1].wrapping_offset(self.block.src.col_stride);
        }
        rows
    }
}

/// `P` pixels x 16 channels.
///
/// # Safety
/// `P` pixels of a row of the block begin at `first`, and have their `corrections`; `wide` are the panel's widened rows.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn tile<const P: usize, const STORE: u8>(job: &PanelJob<'_>, first: Position, corrections: &[i32], wide: *const u8) {
    let corrections = &corrections[..P];
    let mut acc = [job.start; P];
    for p in 0..P {
        let correction = _mm256_set1_epi32(corrections[p]);
        acc[p] = [_mm256_sub_epi32(job.start[0], correction), _mm256_sub_epi32(job.start[1], correction)];
    }
    // SAFETY: each pixel's panel row has `taps.run` groups, and the panel as many rows; outputs are the caller's promise.
    unsafe {
        add_products(&mut acc, &job.rows::<P>(first), wide, job.block.taps.run);
        let at = || row_places(&job.epilogue.output, job.channel, first);
        match (STORE, &job.bytes) {
            (BYTES, Some(bytes)) => bytes.store::<P, false>(&at(), &acc),
            (BYTES_AND_RESIDUAL, Some(bytes)) => bytes.store::<P, true>(&at(), &acc),
            _ => store_row(job.epilogue, job.channel, first, &acc),
        }
    }
}

/// [`tile`] of a block that has no other: weights are widened in registers, and each is multiplied.
///
/// # Safety
/// `P` pixels of a row of the block begin at `first`; `weights` are the panel's rows.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn lone_tile<const P: usize>(job: &PanelJob<'_>, first: Position, weights: *const i8) {
    let mut acc = [job.start; P];
    // SAFETY: each pixel's panel row has `taps.run` groups, and the panel as many rows; outputs are the caller's promise.
    unsafe {
        let rows = job.rows::<P>(first);
        for group in 0..job.block.taps.run {
            let row = weights.add(group * ROW_BYTES);
            let bytes = [_mm256_loadu_si256(row.cast()), _mm256_loadu_si256(row.add(32).cast())];
            for (odd, words) in [bytes.map(|half| even_words(half)), bytes.map(|half| odd_words(half))].into_iter().enumerate() {
                for p in 0..P {
                    let pair = _mm256_set1_epi32(rows[p].add(group * GROUP_BYTES + odd * 4).cast::<i32>().read_unaligned());
                    acc[p][0] = _mm256_add_epi32(acc[p][0], _mm256_madd_epi16(words[0], pair));
                    acc[p][1] = _mm256_add_epi32(acc[p][1], _mm256_madd_epi16(words[1], pair));
                }
            }
        }
        store_row(job.epilogue, job.channel, first, &acc);
    }
}
