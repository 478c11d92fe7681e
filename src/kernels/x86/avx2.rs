//! `u8s8s32-6x16-avx2`: u8 activations times s8 weights in exact s16 products (`vpmaddwd`), 6 pixels x 16 channels a tile.
//!
//! AVX2 has no exact u8 x s8 product that adds in i32, so both sides are widened to s16 once and then used many times:
//! activations by [`Int8Kernel::widen`] when the driver gathers the panel, weights once a block into scratch. Even and
//! odd bytes are kept apart, so that widening is a mask or a shift and `vpmaddwd` leaves one i32 a channel:
//!
//! ```text
//! activations  a0 a1 a2 a3 (u8)                 ->  a0|a2<<16  a1|a3<<16              8 bytes, two broadcasts
//! weights row  16 channels x (w0 w1 w2 w3) s8   ->  even (w0 w2) x 16 | odd (w1 w3) x 16    128 bytes, four ymm
//! acc[pixel][half] += madd(even[half], bcast(a0, a2)) + madd(odd[half], bcast(a1, a3))
//! ```
//!
//! Tile: 12 accumulators, 2 weights, 1 broadcast and 1 product fill the 16 registers, and each weight load serves 6
//! pixels. The bound is one `vpmaddwd` and one `vpaddd` for 16 products.
//!
//! Preconditions: a gathered panel (`taps.rows == taps.cols == 1`). Tails: pixels are split into tiles of nearly equal
//! size, at most 6; channels past `stored_channels` are computed from the panel's zero weights and not stored.
//! Overflow: 2 * 255 * 128 a `vpmaddwd`, and the sum of `k <= 65793` such products stays within i32.
use super::epilogue_avx2::store_tile;
use crate::isa::{Avx2, Isa};
use crate::kernels::{Int8Block, Int8Epilogue, Int8Kernel, Position, SourceForm, SourceShape};
use crate::packed::{K_GROUP, PANEL_CHANNELS, ROW_BYTES};
use std::arch::x86_64::*;

/// Pixels of a full tile.
const TILE_PIXELS: usize = 6;
/// Bytes of a block of widened activations, which lies in L2.
const PANEL_BLOCK_BYTES: usize = 128 << 10;
/// Bytes of a widened row of a weight panel.
const WIDE_ROW_BYTES: usize = 2 * ROW_BYTES;
/// Bytes of a widened group of activations.
const WIDE_GROUP_BYTES: usize = 2 * K_GROUP;

/// The AVX2 int8 kernel; it holds the proof that this CPU has AVX2 and FMA.
#[derive(Debug, Clone, Copy)]
pub struct Int8Avx2 {
    _proof: Avx2,
}

impl Int8Avx2 {
    /// The kernel, on a CPU with AVX2.
    pub fn new(proof: Avx2) -> Self {
        Self { _proof: proof }
    }
}

// SAFETY: `run` reads and writes what the block describes: `panel` walks its pixels and panels only.
unsafe impl Int8Kernel for Int8Avx2 {
    fn name(&self) -> &'static str {
        "u8s8s32-6x16-avx2"
    }

    fn isa(&self) -> Isa {
        Isa::Avx2
    }

    fn source_form(&self, _shape: &SourceShape) -> SourceForm {
        SourceForm::Gathered { bytes_per_value: 2, k_multiple: K_GROUP, block_bytes: PANEL_BLOCK_BYTES }
    }

    fn tile_pixels(&self) -> usize {
        TILE_PIXELS
    }

    fn scratch_bytes(&self, k: usize) -> usize {
        k.div_ceil(K_GROUP) * WIDE_ROW_BYTES
    }

    unsafe fn widen(&self, src: *const u8, dst: *mut u8, len: usize) {
        // SAFETY: the token proves AVX2; the addresses are the caller's promise.
        unsafe { widen_activations(src, dst, len) }
    }

    unsafe fn run(&self, block: &Int8Block, scratch: &mut [u8]) {
        assert!(scratch.len() >= block.taps.run * WIDE_ROW_BYTES, "scratch is smaller than scratch_bytes");
        debug_assert!(block.taps.rows == 1 && block.taps.cols == 1, "a gathered panel is one run");
        for panel in 0..block.stored_channels.div_ceil(PANEL_CHANNELS) {
            // SAFETY: the token proves AVX2; the panel is one of the block's, and the scratch holds its widened rows.
            unsafe { run_panel(block, panel, scratch.as_mut_ptr()) }
        }
    }
}

/// Widens u8 groups to the two dwords that the tile broadcasts.
///
/// # Safety
/// As for [`Int8Kernel::widen`], on a CPU with AVX2.
#[target_feature(enable = "avx2")]
unsafe fn widen_activations(src: *const u8, dst: *mut u8, len: usize) {
    let even_bytes = _mm256_set1_epi16(0xff);
    let mut done = 0;
    // SAFETY: 32 source bytes and 64 of the destination are there while `done + 32 <= len`; the rest goes group by group.
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
        while done < len {
            let bytes = src.add(done).cast::<u32>().read_unaligned();
            let out = dst.add(2 * done).cast::<u32>();
            out.write_unaligned(bytes & 0x00ff_00ff);
            out.add(1).write_unaligned(bytes >> 8 & 0x00ff_00ff);
            done += K_GROUP;
        }
    }
}

/// Widens `rows` rows of a weight panel.
///
/// # Safety
/// `weights` is readable for `rows` rows, `dst` writable for as many wide ones, and the CPU has AVX2.
#[target_feature(enable = "avx2")]
unsafe fn widen_weights(weights: *const i8, dst: *mut u8, rows: usize) {
    for row in 0..rows {
        // SAFETY: the row is one of `rows`.
        unsafe {
            let src = weights.add(row * ROW_BYTES);
            let dst = dst.add(row * WIDE_ROW_BYTES);
            for half in 0..2 {
                let bytes = _mm256_loadu_si256(src.add(32 * half).cast());
                _mm256_storeu_si256(dst.add(32 * half).cast(), even_words(bytes));
                _mm256_storeu_si256(dst.add(ROW_BYTES + 32 * half).cast(), odd_words(bytes));
            }
        }
    }
}

/// Bytes 0 and 2 of each group as s16.
#[inline]
#[target_feature(enable = "avx2")]
fn even_words(bytes: __m256i) -> __m256i {
    _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(bytes))
}

/// Bytes 1 and 3 of each group as s16.
#[inline]
#[target_feature(enable = "avx2")]
fn odd_words(bytes: __m256i) -> __m256i {
    _mm256_srai_epi16::<8>(bytes)
}

/// One panel's share of a block.
struct PanelJob<'a> {
    block: &'a Int8Block,
    epilogue: Int8Epilogue,
    /// The panel's first channel.
    channel: usize,
}

/// All pixels of the block for one panel.
///
/// # Safety
/// As for [`Int8Kernel::run`], on a CPU with AVX2 and FMA; `wide` has room for the panel's widened rows.
#[target_feature(enable = "avx2,fma")]
unsafe fn run_panel(block: &Int8Block, panel: usize, wide: *mut u8) {
    let job = PanelJob { block, epilogue: block.epilogue(), channel: panel * PANEL_CHANNELS };
    let pixels = block.rows * block.cols;
    // SAFETY: the panel is one of the block's.
    let weights = unsafe { block.weights.add(panel * block.panel_stride) };
    // One tile reads each weight once: then it widens in registers.
    let widened = pixels > TILE_PIXELS;
    if widened {
        // SAFETY: `taps.run` rows are there on both sides.
        unsafe { widen_weights(weights, wide, block.taps.run) };
    }
    let mut first = Position::default();
    let mut left = pixels;
    while left > 0 {
        let count = left.div_ceil(left.div_ceil(TILE_PIXELS));
        // SAFETY: `count` pixels of the block begin at `first`; the weights are those of this panel, in the form named.
        first = unsafe {
            if widened { run_tile::<true>(&job, first, count, wide) } else { run_tile::<false>(&job, first, count, weights.cast()) }
        };
        left -= count;
    }
}

/// A tile of `count <= TILE_PIXELS` pixels; returns the position behind it.
///
/// # Safety
/// As for [`tile`].
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn run_tile<const WIDENED: bool>(job: &PanelJob<'_>, first: Position, count: usize, weights: *const u8) -> Position {
    // SAFETY: the caller's promise.
    unsafe {
        match count {
            1 => tile::<1, WIDENED>(job, first, weights),
            2 => tile::<2, WIDENED>(job, first, weights),
            3 => tile::<3, WIDENED>(job, first, weights),
            4 => tile::<4, WIDENED>(job, first, weights),
            5 => tile::<5, WIDENED>(job, first, weights),
            _ => tile::<6, WIDENED>(job, first, weights),
        }
    }
}

/// `P` pixels x 16 channels; returns the position behind them.
///
/// # Safety
/// `P` pixels of the block begin at `first`; `weights` are the panel's rows, widened or as packed.
#[target_feature(enable = "avx2,fma")]
unsafe fn tile<const P: usize, const WIDENED: bool>(job: &PanelJob<'_>, first: Position, weights: *const u8) -> Position {
    let block = job.block;
    let positions = first.run::<P>(block.cols);
    let mut src = [block.src.start; P];
    for p in 0..P {
        // SAFETY: the position lies in the block.
        src[p] = unsafe { block.src.at(positions[p].row, positions[p].col) };
    }
    // SAFETY: 16 entries of `comp` from `channel` on are readable.
    let comp = unsafe {
        let comp = block.comp.add(job.channel);
        [_mm256_loadu_si256(comp.cast()), _mm256_loadu_si256(comp.add(8).cast())]
    };
    let mut acc = [comp; P];
    for group in 0..block.taps.run {
        for odd in 0..2 {
            // SAFETY: the row is one of the panel's, in the form that WIDENED names.
            let row = unsafe { weight_words::<WIDENED>(weights, group, odd) };
            for p in 0..P {
                // SAFETY: the pixel's panel row has `taps.run` groups of 8 bytes.
                let pair = unsafe { src[p].add(group * WIDE_GROUP_BYTES + odd * K_GROUP).cast::<i32>().read_unaligned() };
                let a = _mm256_set1_epi32(pair);
                acc[p][0] = _mm256_add_epi32(acc[p][0], _mm256_madd_epi16(row[0], a));
                acc[p][1] = _mm256_add_epi32(acc[p][1], _mm256_madd_epi16(row[1], a));
            }
        }
    }
    // SAFETY: the caller's promise about the block's outputs.
    unsafe { store_tile(&job.epilogue, job.channel, &positions, &acc) };
    positions[P - 1].next(block.cols)
}

/// The even (`odd == 0`) or odd words of a group of 16 channels.
///
/// # Safety
/// The group is one of the panel's; `weights` are its rows, widened or as packed.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn weight_words<const WIDENED: bool>(weights: *const u8, group: usize, odd: usize) -> [__m256i; 2] {
    let row = if WIDENED { group * WIDE_ROW_BYTES + odd * ROW_BYTES } else { group * ROW_BYTES };
    // SAFETY: 64 bytes of the row are readable.
    let loaded = unsafe {
        let row = weights.add(row);
        [_mm256_loadu_si256(row.cast()), _mm256_loadu_si256(row.add(32).cast())]
    };
    match (WIDENED, odd) {
        (true, _) => loaded,
        (false, 0) => [even_words(loaded[0]), even_words(loaded[1])],
        (false, _) => [odd_words(loaded[0]), odd_words(loaded[1])],
    }
}
