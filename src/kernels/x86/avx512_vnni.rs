//! `u8s8s32-14x32-avx512_vnni`: u8 activations times s8 weights by 512-bit `vpdpbusd`, 14 pixels x 32 channels a tile.
//!
//! Tiles of 14 and 12 pixels and whole panels that become bytes or floats, nearly all of them, are computed by `avx512_vnni_walk` (told by
//! `avx512_vnni_runs`); the others here.
//!
//! Tile: 28 accumulators, 2 weight rows and 1 broadcast of 4 activation bytes take 31 of the 32 registers. The broadcast
//! serves both weight rows (never the embedded `{1to16}` form, a load for each product), so 28 products cost 16 loads.
//! 14 divides 112, 56, 28 and 14, and two rows of 7 make one tile.
//!
//! ```text
//!                 weights: panel 0 row, panel 1 row          (2 x 64 bytes: 16 channels x 4 k)
//! first segment   pixel 0 .. 6    x  acc[0..7][0..2]
//! second segment  pixel 7 .. 13   x  acc[7..14][0..2]        (its own base address, the same stride)
//! ```
//!
//! Loops: pairs of panels outside, all pixels of the block inside, so that a pair's weights stay in the cache while the
//! pixels stream by; then taps, then runs of 4 k. While a pair's tiles are computed, the next pair is fetched into L2: weights
//! that come from L3 would otherwise hold up the first tile of every pair. Fetching is spread over the tiles, because a core waits
//! for a few dozen lines at a time, and all other misses queue behind them where lines come from another core complex or from DRAM.
//!
//! Preconditions: valid taps only. Tails: tiles of 1 to 13 pixels, and of one panel, are compiled apart; channels past
//! the stored ones are computed from the panel's zero weights and masked. Overflow: `vpdpbusd` wraps and never saturates,
//! and `k <= 65793` keeps the sum within i32.
use super::avx512_vnni_job::{TILE_PANELS, TILE_PIXELS};
use super::avx512_vnni_runs::{WalkedTiles, pixel_address};
use super::epilogue_avx512::{Panels, store_rows};
use super::pixel_tiles::{PixelTile, TileRun, along_longer_side, tile_runs};
use super::weights_ahead::{WeightsAhead, fetch_tables};
use super::winograd_avx512_vnni::Winograd4Avx512Vnni;
use crate::isa::{Avx512Vnni, Isa};
use crate::kernels::winograd::WinogradKernel;
use crate::kernels::{Int8Block, Int8Epilogue, Int8Kernel, SmallImageForm, SourceForm, SourceShape};
use crate::packed::{K_GROUP, PANEL_CHANNELS, ROW_BYTES};
use std::arch::asm;
use std::arch::x86_64::*;
use std::mem::MaybeUninit;

/// Pixels of one of a tile's two segments.
const SEGMENT_PIXELS: usize = TILE_PIXELS / 2;

/// Accumulators of a tile up to which each would wait for its last product: a product takes about 4 cycles, and two begin in each.
const FEW_CHAINS: usize = 6;

/// The AVX512-VNNI int8 kernel; it holds the proof that this CPU has the instructions.
#[derive(Debug, Clone, Copy)]
pub struct Int8Avx512Vnni {
    proof: Avx512Vnni,
}

impl Int8Avx512Vnni {
    /// The kernel, on a CPU with AVX512-VNNI.
    pub fn new(proof: Avx512Vnni) -> Self {
        Self { proof }
    }
}

// SAFETY: `run` reads and writes what the block describes: `tile_runs` has its pixels only, tiles its taps and panels.
unsafe impl Int8Kernel for Int8Avx512Vnni {
    fn name(&self) -> &'static str {
        "u8s8s32-14x32-avx512_vnni"
    }

    fn isa(&self) -> Isa {
        Isa::Avx512Vnni
    }

    fn source_form(&self, _shape: &SourceShape) -> SourceForm {
        SourceForm::Direct
    }

    fn small_image_form(&self, _shape: &SourceShape) -> SmallImageForm {
        SmallImageForm::DenseRows
    }

    fn winograd(&self) -> Vec<Box<dyn WinogradKernel>> {
        vec![Box::new(Winograd4Avx512Vnni::new(self.proof))]
    }

    fn tile_pixels(&self) -> usize {
        TILE_PIXELS
    }

    fn scratch_bytes(&self, _k: usize) -> usize {
        0
    }

    unsafe fn run(&self, block: &Int8Block, _scratch: &mut [u8]) {
        let block = along_longer_side(block, SEGMENT_PIXELS);
        let epilogue = block.epilogue();
        let panels = block.stored_channels.div_ceil(PANEL_CHANNELS);
        let mut walked = WalkedTiles::of(&block);
        let tiles = tile_runs(block.rows, block.cols, SEGMENT_PIXELS).map(|run| run.tiles).sum();
        for panel in (0..panels).step_by(TILE_PANELS) {
            let by_pixels = if panel + 1 < panels { &TILES_OF_TWO } else { &TILES_OF_ONE };
            let first = panel + TILE_PANELS;
            fetch_tables(&block, first * PANEL_CHANNELS);
            let coming = WeightsAhead::of(&block, first..(panels + block.panels_behind).min(first + TILE_PANELS), tiles);
            let one_by_one = |pixels: PixelTile| {
                let job = Job { block: &block, epilogue: &epilogue, panel, coming: &coming };
                // SAFETY: the token proves the instructions, the pixels and panels are the block's, and the table has
                // an entry for each of the 1 to 14 pixels.
                unsafe { by_pixels[pixels.pixels - 1](&job, pixels) }
            };
            let runs = tile_runs(block.rows, block.cols, SEGMENT_PIXELS);
            match &mut walked {
                Some(walked) if block.stored_channels >= first * PANEL_CHANNELS => {
                    // SAFETY: the token proves the instructions, the tiles are the block's, and both panels are stored whole.
                    unsafe { walked.run(&block, panel, runs, &coming, one_by_one) }
                }
                _ => runs.flat_map(TileRun::each).for_each(one_by_one),
            }
        }
    }
}

/// A block, and the first panel of the tile.
struct Job<'a> {
    block: &'a Int8Block,
    epilogue: &'a Int8Epilogue,
    panel: usize,
    coming: &'a WeightsAhead,
}

/// A tile function; it must be called with as many pixels as its place in the table says.
type Tile = unsafe fn(&Job<'_>, PixelTile);

macro_rules! tiles {
    ($panels:literal) => {
        [
            tile::<1, $panels>,
            tile::<2, $panels>,
            tile::<3, $panels>,
            tile::<4, $panels>,
            tile::<5, $panels>,
            tile::<6, $panels>,
            tile::<7, $panels>,
            tile::<8, $panels>,
            tile::<9, $panels>,
            tile::<10, $panels>,
            tile::<11, $panels>,
            tile::<12, $panels>,
            tile::<13, $panels>,
            tile::<14, $panels>,
        ]
    };
}
static TILES_OF_ONE: [Tile; TILE_PIXELS] = tiles!(1);
static TILES_OF_TWO: [Tile; TILE_PIXELS] = tiles!(2);

/// `P` pixels x `N` panels.
///
/// # Safety
/// The CPU has AVX512-VNNI; the tile has `P` pixels of the block, and `N` panels from `job.panel` on are the block's.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
unsafe fn tile<const P: usize, const N: usize>(job: &Job<'_>, pixels: PixelTile) {
    let block = job.block;
    let channel = job.panel * PANEL_CHANNELS;
    // SAFETY: the caller's promise: pixels, taps and panels are the block's.
    let acc = unsafe { accumulate::<P, N>(block, job.panel, job.coming, pixels) };
    let panels = Panels::<N> { epilogue: job.epilogue, channel };
    let stride = size_of::<[__m512i; N]>();
    let head = P.div_ceil(2);
    // A copy, so that `acc` itself has no address and stays in registers; volatile, or the loop becomes a memcpy, which
    // would give it one.
    let mut spilled = MaybeUninit::<[[__m512i; N]; P]>::uninit();
    for p in 0..P {
        for n in 0..N {
            // SAFETY: an element of our own array.
            unsafe { spilled.as_mut_ptr().cast::<__m512i>().add(p * N + n).write_volatile(acc[p][n]) };
        }
    }
    let acc = spilled.as_ptr().cast::<u8>();
    // SAFETY: the accumulators of the first segment's pixels, then of the second's; both segments are the block's.
    unsafe {
        store_rows(panels, acc, stride, pixels.first, head);
        store_rows(panels, acc.add(head * stride), stride, pixels.second, P - head);
    }
}

/// `comp + sum a * w` of a tile. What is coming is fetched meanwhile.
///
/// # Safety
/// As for [`tile`].
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
unsafe fn accumulate<const P: usize, const N: usize>(
    block: &Int8Block,
    panel: usize,
    coming: &WeightsAhead,
    pixels: PixelTile,
) -> [[__m512i; N]; P] {
    let head = P.div_ceil(2);
    let offsets: [isize; SEGMENT_PIXELS] = std::array::from_fn(|p| opaque(p as isize * block.src.col_stride));
    let taps = &block.taps;
    let mut fetching = coming.fetching();
    // SAFETY: 16 entries of `comp` a panel are readable.
    let comp: [__m512i; N] = std::array::from_fn(|n| unsafe { _mm512_loadu_si512(block.comp.add((panel + n) * PANEL_CHANNELS).cast()) });
    let mut acc = [comp; P];
    let first = pixel_address(&block.src, pixels.first);
    let second = if P > 1 { pixel_address(&block.src, pixels.second) } else { first };
    for tap_row in 0..taps.rows {
        for tap_col in 0..taps.cols {
            // SAFETY: the tap is one of the block's, for every pixel and panel.
            unsafe {
                let tap = tap_row as isize * taps.src_row_stride + tap_col as isize * taps.src_col_stride;
                let (mut first, mut second) = (first.offset(tap), second.offset(tap));
                let tap = tap_row * taps.weight_row_stride + tap_col * taps.weight_col_stride;
                let mut weights = block.weights.add(panel * block.panel_stride + tap);
                let mut steps = taps.run;
                if P * N <= FEW_CHAINS {
                    // Sums of every other step, so that a product need not wait for the one before it: the same integers.
                    let mut others = [[_mm512_setzero_si512(); N]; P];
                    while steps >= 2 {
                        for p in 0..P {
                            let src = if p < head { first.offset(offsets[p]) } else { second.offset(offsets[p - head]) };
                            let a = _mm512_set1_epi32(src.cast::<i32>().read_unaligned());
                            let b = _mm512_set1_epi32(src.add(K_GROUP).cast::<i32>().read_unaligned());
                            for n in 0..N {
                                let row = weights.add(n * block.panel_stride);
                                acc[p][n] = _mm512_dpbusd_epi32(acc[p][n], a, _mm512_loadu_si512(row.cast()));
                                others[p][n] = _mm512_dpbusd_epi32(others[p][n], b, _mm512_loadu_si512(row.add(ROW_BYTES).cast()));
                            }
                        }
                        fetching.fetch(2);
                        first = first.add(2 * K_GROUP);
                        second = second.add(2 * K_GROUP);
                        weights = weights.add(2 * ROW_BYTES);
                        steps -= 2;
                    }
                    for p in 0..P {
                        for n in 0..N {
                            acc[p][n] = _mm512_add_epi32(acc[p][n], others[p][n]);
                        }
                    }
                }
                for _ in 0..steps {
                    // A loop: a closure that the compiler may leave out of line would cost more than the products.
                    let mut rows = [_mm512_setzero_si512(); N];
                    for (n, row) in rows.iter_mut().enumerate() {
                        *row = _mm512_loadu_si512(weights.add(n * block.panel_stride).cast());
                    }
                    for p in 0..P {
                        let src = if p < head { first.offset(offsets[p]) } else { second.offset(offsets[p - head]) };
                        let a = _mm512_set1_epi32(src.cast::<i32>().read_unaligned());
                        for n in 0..N {
                            acc[p][n] = _mm512_dpbusd_epi32(acc[p][n], a, rows[n]);
                        }
                    }
                    fetching.fetch(1);
                    first = opaque(first.add(K_GROUP));
                    second = opaque(second.add(K_GROUP));
                    weights = weights.add(ROW_BYTES);
                }
            }
        }
    }
    coming.went_on(fetching.at);
    acc
}

/// The same value, of which the compiler knows nothing more.
///
/// It would otherwise derive each pixel's address from its neighbour's, one addition a pixel in the innermost loop, or keep
/// 14 addresses that do not fit the registers. Bases and offsets that it cannot relate stay two bases and six offsets.
#[inline(always)]
fn opaque<T: Copy>(value: T) -> T {
    const { assert!(size_of::<T>() == size_of::<usize>()) };
    let mut same = value;
    // SAFETY: the assembly is empty, and `value` is one register wide.
    unsafe { asm!("/* {0} */", inout(reg) * (&raw mut same).cast::<usize>(), options(pure, nomem, nostack, preserves_flags)) };
    same
}
