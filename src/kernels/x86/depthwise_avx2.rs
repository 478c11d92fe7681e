//! `u8s8s32-dw-4x16-avx2`: depthwise convolution, 4 pixels x 16 channels a tile, two taps a `vpmaddwd`.
//!
//! Two pixels share a ymm, one a lane. For taps `a` and `b` of channels `c` and `c + 1`, whose words lie side by side:
//!
//! ```text
//! unpack_epi16(A, B)        bytes  a[c] a[c+1] b[c] b[c+1]     channels 0..8 (lo) and 8..16 (hi)
//! & 0x00ff00ff, >> 8        s16    (a[c], b[c])  (a[c+1], b[c+1])
//! weights, in scratch       the same order, sign-extended: lo even, lo odd, hi even, hi odd; 128 bytes a pair of taps
//! acc[lo/hi, even/odd] += madd(activations, weights)          one i32 a channel, 4 channels a lane
//! ```
//!
//! Unpacks of even and odd accumulators restore the order of the channels before the epilogue.
//!
//! Scratch: the widened weights of one panel, then the source offset of each tap. An odd last tap is paired with
//! itself and zero weights.
//!
//! Tails: the last panel reads and stores only the channels that are there. Overflow: 2 * 255 * 128 a pair; as for the
//! other kernels the convert step bounds the number of taps.
use super::epilogue_avx2::{load_bytes, store_tile};
use crate::isa::{Avx2, Isa};
use crate::kernels::{DepthwiseBlock, DepthwiseKernel, Int8Epilogue, Position};
use crate::packed::PANEL_CHANNELS;
use std::arch::x86_64::*;

/// Pixels of a full tile: two pairs of 4 accumulators beside what a pair of taps needs.
const TILE_PIXELS: usize = 4;
/// Scratch bytes of the widened weights of two taps.
const PAIR_BYTES: usize = 4 * 32;
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
        "u8s8s32-dw-4x16-avx2"
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
        // SAFETY: the scratch holds as many offsets, and is 64-byte aligned with PAIR_BYTES a pair in front of them.
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
        let halves = [_mm_unpacklo_epi16(first, second), _mm_unpackhi_epi16(first, second)];
        for (half, bytes) in halves.into_iter().enumerate() {
            let bytes = _mm256_broadcastsi128_si256(bytes);
            // SAFETY: the pair has PAIR_BYTES of the destination, 64 a half.
            unsafe {
                let dst = dst.add(pair * PAIR_BYTES + half * 64);
                _mm256_storeu_si256(dst.cast(), _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(bytes)));
                _mm256_storeu_si256(dst.add(32).cast(), _mm256_srai_epi16::<8>(bytes));
            }
        }
    }
}

/// One panel's share of a block.
struct PanelJob<'a> {
    block: &'a DepthwiseBlock,
    epilogue: Int8Epilogue,
    /// The panel's first channel.
    channel: usize,
    /// Channels of the panel that the source has.
    present: usize,
    /// Widened weights, [`PAIR_BYTES`] a pair of taps.
    weights: *const u8,
    /// Source offset of each tap, two a pair.
    offsets: *const isize,
    pairs: usize,
}

/// All pixels of the block for one panel.
///
/// # Safety
/// As for [`DepthwiseKernel::run`], on a CPU with AVX2 and FMA; `weights` and `offsets` as written by the functions above.
#[target_feature(enable = "avx2,fma")]
unsafe fn run_panel(block: &DepthwiseBlock, panel: usize, weights: *const u8, offsets: *const isize) {
    let channel = panel * PANEL_CHANNELS;
    let present = block.channels.saturating_sub(channel).min(PANEL_CHANNELS);
    let pairs = (block.taps.rows * block.taps.cols).div_ceil(2);
    let job = PanelJob { block, epilogue: block.epilogue(), channel, present, weights, offsets, pairs };
    let mut first = Position::default();
    let mut left = block.rows * block.cols;
    while left > 0 {
        let count = left.min(TILE_PIXELS);
        // SAFETY: `count` pixels of the block begin at `first`; WHOLE is chosen by the channels that are there.
        first = unsafe {
            match (count, present == PANEL_CHANNELS) {
                (4.., true) => tile::<4, true>(&job, first),
                (4.., false) => tile::<4, false>(&job, first),
                (3, _) => tile::<3, false>(&job, first),
                (2, _) => tile::<2, false>(&job, first),
                _ => tile::<1, false>(&job, first),
            }
        };
        left -= count;
    }
}

/// `P` pixels x 16 channels; returns the position behind them. WHOLE: the source has all 16 channels.
///
/// # Safety
/// `P` pixels of the block begin at `first`, and the CPU has AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
unsafe fn tile<const P: usize, const WHOLE: bool>(job: &PanelJob<'_>, first: Position) -> Position {
    let block = job.block;
    let count = if WHOLE { PANEL_CHANNELS } else { job.present };
    let positions = first.run::<P>(block.cols);
    let mut src = [block.src.start; P];
    for p in 0..P {
        // SAFETY: the position lies in the block.
        src[p] = unsafe { block.src.at(positions[p].row, positions[p].col).wrapping_add(job.channel) };
    }
    // One entry for two pixels: lo even, lo odd, hi even, hi odd. Entries from P / 2 (rounded up) on are not used.
    let mut sums = [[_mm256_setzero_si256(); 4]; P];
    let low_bytes = _mm256_set1_epi16(0xff);
    for pair in 0..job.pairs {
        // SAFETY: both taps are the block's, `count` source bytes are there, and the pair has PAIR_BYTES of weights.
        unsafe {
            let offsets = [*job.offsets.add(2 * pair), *job.offsets.add(2 * pair + 1)];
            let weights = job.weights.add(pair * PAIR_BYTES).cast::<__m256i>();
            for p in (0..P).step_by(2) {
                let q = if p + 1 < P { p + 1 } else { p };
                let a = load_lanes(src[p].offset(offsets[0]), src[q].offset(offsets[0]), count);
                let b = load_lanes(src[p].offset(offsets[1]), src[q].offset(offsets[1]), count);
                let halves = [_mm256_unpacklo_epi16(a, b), _mm256_unpackhi_epi16(a, b)];
                for (half, bytes) in halves.into_iter().enumerate() {
                    let sums = &mut sums[p / 2][2 * half..2 * half + 2];
                    let weights = weights.add(2 * half);
                    let even = _mm256_madd_epi16(_mm256_and_si256(bytes, low_bytes), _mm256_loadu_si256(weights));
                    let odd = _mm256_madd_epi16(_mm256_srli_epi16::<8>(bytes), _mm256_loadu_si256(weights.add(1)));
                    sums[0] = _mm256_add_epi32(sums[0], even);
                    sums[1] = _mm256_add_epi32(sums[1], odd);
                }
            }
        }
    }
    // SAFETY: 16 entries of `comp` from `channel` on are readable.
    let comp = unsafe {
        let comp = block.comp.add(job.channel);
        [_mm256_loadu_si256(comp.cast()), _mm256_loadu_si256(comp.add(8).cast())]
    };
    let mut acc = [comp; P];
    for p in 0..P {
        for half in 0..2 {
            let [even, odd] = [sums[p / 2][2 * half], sums[p / 2][2 * half + 1]];
            let (low, high) = (_mm256_unpacklo_epi32(even, odd), _mm256_unpackhi_epi32(even, odd));
            let ordered =
                if p % 2 == 0 { _mm256_permute2x128_si256::<0x20>(low, high) } else { _mm256_permute2x128_si256::<0x31>(low, high) };
            acc[p][half] = _mm256_add_epi32(acc[p][half], ordered);
        }
    }
    // SAFETY: the caller's promise about the block's outputs.
    unsafe { store_tile(&job.epilogue, job.channel, &positions, &acc) };
    positions[P - 1].next(block.cols)
}

/// Loads `count` bytes of each of two pixels, one a lane.
///
/// # Safety
/// Both are readable for `count` bytes, and the CPU has AVX2.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn load_lanes(first: *const u8, second: *const u8, count: usize) -> __m256i {
    // SAFETY: the caller's promise.
    unsafe { _mm256_set_m128i(load_bytes(second, count), load_bytes(first, count)) }
}
