//! `u8s8s32-6x16-avx_vnni` and `u8s8s32-6x16-avx_vnni_evex`: u8 activations times s8 weights by 256-bit `vpdpbusd`, 6 pixels
//! x 16 channels a tile. One body, compiled for the VEX encoding (AVX-VNNI) and for the EVEX one (AVX-512 VNNI and VL), so
//! that either kind of CPU tests it.
//!
//! Tile: 12 accumulators, the 2 halves of a weight row and 1 broadcast of 4 activation bytes take 15 of the 16 registers
//! that VEX reaches; 12 products cost 8 loads.
//!
//! ```text
//!                 weights: channels 0..8, channels 8..16     (2 x 32 bytes: 8 channels x 4 k)
//! first segment   pixel 0 .. 2    x  acc[0..3][0..2]
//! second segment  pixel 3 .. 5    x  acc[3..6][0..2]         (its own base address, the same stride)
//! ```
//!
//! Loops: panels outside, all pixels of the block inside; then taps, then runs of 4 k.
//!
//! Preconditions: valid taps only. Tails: tiles of 1 to 5 pixels are compiled apart; channels past the stored ones are
//! computed from the panel's zero weights and not stored. Overflow: `vpdpbusd` wraps and never saturates, and
//! `k <= 65793` keeps the sum within i32.
use super::epilogue_avx2::store_tile;
use super::pixel_tiles::{PixelTile, TileRun, along_longer_side, tile_runs};
use crate::isa::{EvexProof, Isa, VexProof};
use crate::kernels::{Int8Block, Int8Kernel, Position, SmallImageForm, SourceForm, SourceShape};
use crate::packed::{K_GROUP, PANEL_CHANNELS, ROW_BYTES};
use std::arch::asm;
use std::arch::x86_64::*;

/// Pixels of a full tile.
const TILE_PIXELS: usize = 6;
/// Pixels of one of its two segments.
const SEGMENT_PIXELS: usize = TILE_PIXELS / 2;

/// `$run` steps of a full tile in assembly, whose accumulators no compiler setting can move to memory; `$product` is the encoding.
macro_rules! full_tile_steps {
    ($acc:ident, $first:expr, $second:expr, $weights:expr, $stride:expr, $run:expr, $product:literal) => {
        asm!(
            "2:",
            "vmovdqu ymm12, ymmword ptr [{weights}]",
            "vmovdqu ymm13, ymmword ptr [{weights} + 32]",
            "vpbroadcastd ymm14, dword ptr [{first}]",
            concat!($product, " ymm0, ymm14, ymm12"),
            concat!($product, " ymm1, ymm14, ymm13"),
            "vpbroadcastd ymm15, dword ptr [{first} + {stride}]",
            concat!($product, " ymm2, ymm15, ymm12"),
            concat!($product, " ymm3, ymm15, ymm13"),
            "vpbroadcastd ymm14, dword ptr [{first} + 2*{stride}]",
            concat!($product, " ymm4, ymm14, ymm12"),
            concat!($product, " ymm5, ymm14, ymm13"),
            "vpbroadcastd ymm15, dword ptr [{second}]",
            concat!($product, " ymm6, ymm15, ymm12"),
            concat!($product, " ymm7, ymm15, ymm13"),
            "vpbroadcastd ymm14, dword ptr [{second} + {stride}]",
            concat!($product, " ymm8, ymm14, ymm12"),
            concat!($product, " ymm9, ymm14, ymm13"),
            "vpbroadcastd ymm15, dword ptr [{second} + 2*{stride}]",
            concat!($product, " ymm10, ymm15, ymm12"),
            concat!($product, " ymm11, ymm15, ymm13"),
            "add {first}, 4",
            "add {second}, 4",
            "add {weights}, 64",
            "dec {run}",
            "jnz 2b",
            first = inout(reg) $first => _,
            second = inout(reg) $second => _,
            weights = inout(reg) $weights => _,
            run = inout(reg) $run => _,
            stride = in(reg) $stride,
            inout("ymm0") $acc[0][0], inout("ymm1") $acc[0][1], inout("ymm2") $acc[1][0], inout("ymm3") $acc[1][1],
            inout("ymm4") $acc[2][0], inout("ymm5") $acc[2][1], inout("ymm6") $acc[3][0], inout("ymm7") $acc[3][1],
            inout("ymm8") $acc[4][0], inout("ymm9") $acc[4][1], inout("ymm10") $acc[5][0], inout("ymm11") $acc[5][1],
            out("ymm12") _, out("ymm13") _, out("ymm14") _, out("ymm15") _,
            options(nostack, readonly),
        )
    };
}

macro_rules! kernel {
    ($(#[$doc:meta])* $kernel:ident, $proof:ident, $name:literal, $tile:ident, $features:literal, $dpbusd:ident, $product:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub struct $kernel {
            _proof: $proof,
        }

        impl $kernel {
            /// The kernel, on a CPU with the encoding.
            pub fn new(proof: $proof) -> Self {
                Self { _proof: proof }
            }
        }

        // SAFETY: `run` reads and writes what the block describes: `tile_runs` has its pixels only, tiles its taps
        // and panels.
        unsafe impl Int8Kernel for $kernel {
            fn name(&self) -> &'static str {
                $name
            }

            fn isa(&self) -> Isa {
                Isa::AvxVnni
            }

            fn source_form(&self, _shape: &SourceShape) -> SourceForm {
                SourceForm::Direct
            }

            fn small_image_form(&self, _shape: &SourceShape) -> SmallImageForm {
                SmallImageForm::DenseRows
            }

            fn tile_pixels(&self) -> usize {
                TILE_PIXELS
            }

            fn scratch_bytes(&self, _k: usize) -> usize {
                0
            }

            unsafe fn run(&self, block: &Int8Block, _scratch: &mut [u8]) {
                let block = along_longer_side(block, SEGMENT_PIXELS);
                for panel in 0..block.stored_channels.div_ceil(PANEL_CHANNELS) {
                    for pixels in tile_runs(block.rows, block.cols, SEGMENT_PIXELS).flat_map(TileRun::each) {
                        // SAFETY: the token proves the instructions; the pixels and the panel are the block's, and each
                        // arm is compiled for its number of pixels.
                        unsafe {
                            match pixels.pixels {
                                1 => $tile::<1>(&block, panel, pixels),
                                2 => $tile::<2>(&block, panel, pixels),
                                3 => $tile::<3>(&block, panel, pixels),
                                4 => $tile::<4>(&block, panel, pixels),
                                5 => $tile::<5>(&block, panel, pixels),
                                _ => $tile::<6>(&block, panel, pixels),
                            }
                        }
                    }
                }
            }
        }

        /// `P` pixels x 16 channels.
        ///
        /// # Safety
        /// The CPU has the features; the tile has `P` pixels of the block, and the panel is the block's.
        #[target_feature(enable = $features)]
        unsafe fn $tile<const P: usize>(block: &Int8Block, panel: usize, pixels: PixelTile) {
            let channel = panel * PANEL_CHANNELS;
            let head = P.div_ceil(2);
            let positions = positions::<P>(pixels);
            let mut src = [block.src.start; P];
            for p in 0..P {
                // SAFETY: the position lies in the block.
                src[p] = unsafe { block.src.at(positions[p].row, positions[p].col) };
            }
            // SAFETY: 16 entries of `comp` from `channel` on are readable.
            let comp = unsafe {
                let comp = block.comp.add(channel);
                [_mm256_loadu_si256(comp.cast()), _mm256_loadu_si256(comp.add(8).cast())]
            };
            let mut acc = [comp; P];
            let taps = &block.taps;
            let stride = block.src.col_stride;
            let second = if P > 1 { src[head] } else { src[0] };
            for tap_row in 0..taps.rows {
                for tap_col in 0..taps.cols {
                    // SAFETY: the tap is one of the block's, for every pixel and the panel.
                    unsafe {
                        let tap = tap_row as isize * taps.src_row_stride + tap_col as isize * taps.src_col_stride;
                        let (mut first, mut second) = (src[0].offset(tap), second.offset(tap));
                        let tap = tap_row * taps.weight_row_stride + tap_col * taps.weight_col_stride;
                        let mut weights = block.weights.add(panel * block.panel_stride + tap);
                        if P == TILE_PIXELS && taps.run > 0 {
                            // A tile of all pixels: the indices below are in range.
                            let all: &mut [[__m256i; 2]] = &mut acc;
                            full_tile_steps!(all, first, second, weights, stride, taps.run, $product);
                            continue;
                        }
                        for _ in 0..taps.run {
                            let row = [_mm256_loadu_si256(weights.cast()), _mm256_loadu_si256(weights.add(32).cast())];
                            for p in 0..P {
                                let (start, step) = if p < head { (first, p) } else { (second, p - head) };
                                let a = start.offset(step as isize * stride).cast::<i32>().read_unaligned();
                                let a = _mm256_set1_epi32(a);
                                acc[p][0] = $dpbusd(acc[p][0], a, row[0]);
                                acc[p][1] = $dpbusd(acc[p][1], a, row[1]);
                            }
                            first = first.add(K_GROUP);
                            second = second.add(K_GROUP);
                            weights = weights.add(ROW_BYTES);
                        }
                    }
                }
            }
            // SAFETY: the caller's promise about the block's outputs.
            unsafe { store_tile(&block.epilogue(), channel, &positions, &acc) };
        }
    };
}

kernel! {
    /// The kernel in VEX encoding; it holds the proof that this CPU has AVX-VNNI.
    Int8AvxVnni, VexProof, "u8s8s32-6x16-avx_vnni", tile_vex, "avx2,fma,avxvnni", _mm256_dpbusd_avx_epi32, "{{vex}} vpdpbusd"
}
kernel! {
    /// The kernel in EVEX encoding; it holds the proof that this CPU has AVX-512 VNNI and VL.
    Int8AvxVnniEvex, EvexProof, "u8s8s32-6x16-avx_vnni_evex", tile_evex, "avx2,fma,avx512f,avx512vl,avx512vnni", _mm256_dpbusd_epi32,
    "vpdpbusd"
}

/// Where the pixels of a tile lie.
#[inline(always)]
fn positions<const P: usize>(pixels: PixelTile) -> [Position; P] {
    let head = P.div_ceil(2);
    let mut positions = [pixels.first; P];
    for (p, position) in positions.iter_mut().enumerate() {
        let (start, step) = if p < head { (pixels.first, p) } else { (pixels.second, p - head) };
        *position = Position { row: start.row, col: start.col + step };
    }
    positions
}
