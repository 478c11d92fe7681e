//! The loop over k of a block of 1 or 2 by 1 or 2 tiles, in assembly, with the epilogue of the block before between its
//! products.
//!
//! Rust has no AMX intrinsics, and tiles cannot be handed from one piece of assembly to another as values: a loop over k
//! with its loads of `comp` and its stores of sums is one piece. So the epilogue stands in it too: a step's four products
//! occupy the tile unit for 64 cycles and the issue ports for 4, and the pairs of pixels that follow them in the
//! instruction stream fill the rest. Behind the whole loop (the compiler's epilogue) they would wait: a reorder buffer of
//! 512 holds the loop or the epilogue of a block, not the next loop as well.
//!
//! ```text
//! a step      load B0, A0, product 0; load B1, product 1; load A1, products 2 and 3
//!             then up to `pairs_per_step` pairs:
//! a pair      2 pixels x 32 channels of the block before: 4 zmm of sums -> [+ residual] -> 2 x 32 bytes
//! ```
//!
//! The pair's arithmetic is that of `epilogue_avx512` (four registers a chain of packs), in assembly.
use crate::isa::Avx512;
use crate::kernels::{Requantize, Residual};
use std::arch::asm;
use std::arch::x86_64::*;
use std::mem::offset_of;

/// Bytes from a pixel's sums to the next pixel's: 32 channels of i32.
pub const SUMS_STRIDE: usize = 128;

/// One step of k: where it lies from a pixel's, and from a panel's, first valid tap.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Step {
    /// Source bytes.
    pub src: isize,
    /// Weight bytes.
    pub weights: usize,
}

/// A block of tiles: sums of `src[i]`'s pixels with `weights[j]`'s channels.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct TileJob {
    /// The first pixel of each pixel tile.
    pub src: [*const u8; 2],
    /// The first row of each panel.
    pub weights: [*const i8; 2],
    /// 16 starting sums of each panel.
    pub comp: [*const i32; 2],
    /// Bytes from pixel to pixel.
    pub src_stride: isize,
    /// The steps.
    pub steps: *const Step,
    /// How many there are.
    pub count: usize,
    /// Where the sums go: pixel `p` of tile `i` at `(16 i + p) * SUMS_STRIDE`, panel `j` 64 `j` bytes further.
    pub sums: *mut u8,
}

/// Pairs of neighbouring pixels whose sums are there.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct PairRun {
    /// How many pairs.
    pub pairs: usize,
    /// Sums of the first pixel, [`SUMS_STRIDE`] bytes from pixel to pixel.
    pub sums: *const u8,
    /// The first pixel's first of 32 bytes.
    pub dst: *mut u8,
    /// The residual's, if there is one.
    pub residual: *const u8,
}

/// What is finished between the products of a block: all of it, if the block has steps.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub struct Pairs {
    /// One run a pixel tile.
    pub runs: [PairRun; 2],
    /// Bytes from pixel to pixel of the destination.
    pub dst_stride: isize,
    /// Bytes from pixel to pixel of the residual.
    pub residual_stride: isize,
    /// Pairs of a step; `pairs_per_step * count` is no less than the pairs of both runs.
    pub pairs_per_step: usize,
}

/// What the epilogue needs of its channels.
#[derive(Debug, Clone, Copy)]
pub struct PairChannels<'a> {
    /// 32 multipliers.
    pub mult: *const f32,
    /// 32 biases.
    pub bias: *const f32,
    /// Zero point and clamp.
    pub requantize: &'a Requantize,
    /// Zero point and ratio of the residual.
    pub residual: Option<&'a Residual>,
}

/// What the assembly reads, and changes as it goes.
#[repr(C)]
struct Work {
    job: TileJob,
    pairs: Pairs,
}

const SRC: usize = offset_of!(Work, job) + offset_of!(TileJob, src);
const WEIGHTS: usize = offset_of!(Work, job) + offset_of!(TileJob, weights);
const COMP: usize = offset_of!(Work, job) + offset_of!(TileJob, comp);
const SUMS: usize = offset_of!(Work, job) + offset_of!(TileJob, sums);
const RUN: usize = offset_of!(Work, pairs) + offset_of!(Pairs, runs);
const NEXT_RUN: usize = RUN + size_of::<PairRun>();
const PAIRS: usize = offset_of!(PairRun, pairs);
const PAIR_SUMS: usize = offset_of!(PairRun, sums);
const PAIR_DST: usize = offset_of!(PairRun, dst);
const PAIR_RESIDUAL: usize = offset_of!(PairRun, residual);
const RESIDUAL_STRIDE: usize = offset_of!(Work, pairs) + offset_of!(Pairs, residual_stride);
const PAIRS_PER_STEP: usize = offset_of!(Work, pairs) + offset_of!(Pairs, pairs_per_step);

/// Up to `pairs_per_step` pairs; `$residual` adds the residual to the floats in zmm0..3.
macro_rules! finish_pairs {
    ($residual:expr) => {
        concat!(
            "mov {y}, qword ptr [{work} + {pairs_per_step}]\n",
            "4:\n",
            "test {left}, {left}\n",
            "jz 5f\n",
            "vcvtdq2ps zmm0, zmmword ptr [{from}]\n",
            "vcvtdq2ps zmm1, zmmword ptr [{from} + 64]\n",
            "vcvtdq2ps zmm2, zmmword ptr [{from} + 128]\n",
            "vcvtdq2ps zmm3, zmmword ptr [{from} + 192]\n",
            "vfmadd213ps zmm0, zmm16, zmm18\n",
            "vfmadd213ps zmm1, zmm17, zmm19\n",
            "vfmadd213ps zmm2, zmm16, zmm18\n",
            "vfmadd213ps zmm3, zmm17, zmm19\n",
            $residual,
            "vminps zmm0, zmm0, zmm20\n",
            "vminps zmm1, zmm1, zmm20\n",
            "vminps zmm2, zmm2, zmm20\n",
            "vminps zmm3, zmm3, zmm20\n",
            "vcvtps2dq zmm0, zmm0\n",
            "vcvtps2dq zmm1, zmm1\n",
            "vcvtps2dq zmm2, zmm2\n",
            "vcvtps2dq zmm3, zmm3\n",
            "vpackssdw zmm0, zmm0, zmm1\n",
            "vpackssdw zmm2, zmm2, zmm3\n",
            "vpaddsw zmm0, zmm0, zmm21\n",
            "vpaddsw zmm2, zmm2, zmm21\n",
            "vpackuswb zmm0, zmm0, zmm2\n",
            "vpmaxub zmm0, zmm0, zmm22\n",
            "vpermd zmm0, zmm23, zmm0\n",
            "vmovdqu ymmword ptr [{to}], ymm0\n",
            "vextracti64x4 ymmword ptr [{to} + {dst_stride}], zmm0, 1\n",
            "add {from}, 256\n",
            "lea {to}, [{to} + 2*{dst_stride}]\n",
            "dec {left}\n",
            "jnz 6f\n",
            // On to the second run, behind which there is none.
            "mov {left}, qword ptr [{work} + {next_run} + {pairs}]\n",
            "mov qword ptr [{work} + {next_run} + {pairs}], 0\n",
            "mov {from}, qword ptr [{work} + {next_run} + {pair_sums}]\n",
            "mov {to}, qword ptr [{work} + {next_run} + {pair_dst}]\n",
            "mov {at}, qword ptr [{work} + {next_run} + {pair_residual}]\n",
            "mov qword ptr [{work} + {run} + {pair_residual}], {at}\n",
            "6:\n",
            "dec {y}\n",
            "jnz 4b\n",
            "5:"
        )
    };
}

/// `f = fma(f32(r - zero_point), ratio, f)` for the floats in zmm0..3.
macro_rules! add_residual {
    () => {
        concat!(
            "mov {at}, qword ptr [{work} + {run} + {pair_residual}]\n",
            "mov {x}, qword ptr [{work} + {residual_stride}]\n",
            "vpmovzxbd zmm4, xmmword ptr [{at}]\n",
            "vpmovzxbd zmm5, xmmword ptr [{at} + 16]\n",
            "vpmovzxbd zmm6, xmmword ptr [{at} + {x}]\n",
            "vpmovzxbd zmm7, xmmword ptr [{at} + {x} + 16]\n",
            "lea {at}, [{at} + 2*{x}]\n",
            "mov qword ptr [{work} + {run} + {pair_residual}], {at}\n",
            "vpsubd zmm4, zmm4, zmm24\n",
            "vpsubd zmm5, zmm5, zmm24\n",
            "vpsubd zmm6, zmm6, zmm24\n",
            "vpsubd zmm7, zmm7, zmm24\n",
            "vcvtdq2ps zmm4, zmm4\n",
            "vcvtdq2ps zmm5, zmm5\n",
            "vcvtdq2ps zmm6, zmm6\n",
            "vcvtdq2ps zmm7, zmm7\n",
            "vfmadd231ps zmm0, zmm4, zmm25\n",
            "vfmadd231ps zmm1, zmm5, zmm25\n",
            "vfmadd231ps zmm2, zmm6, zmm25\n",
            "vfmadd231ps zmm3, zmm7, zmm25\n"
        )
    };
}

/// One loop over k. Tile 0, the first pixel tile and the first panel are in every form; `$begin` loads `comp` into the
/// other sums, `$step` adds the other products of a step, `$end` stores the other sums, `$finish` stands between steps.
macro_rules! tile_loop {
    (
        $work:ident, $finish:expr, { $($operands:tt)* },
        begin: [$($begin:literal),*], step: [$($step:literal),*], end: [$($end:literal),*]
    ) => {
        asm!(
            "mov {x}, qword ptr [{work} + {comp}]",
            "mov {y}, qword ptr [{work} + {comp} + 8]",
            "tileloadd tmm0, [{x} + {stride}*1]",
            $($begin,)*
            "mov {stride:e}, 64",
            "test {count}, {count}",
            "jz 3f",
            "2:",
            "mov {x}, qword ptr [{steps}]",
            "mov {y}, qword ptr [{steps} + 8]",
            "add {steps}, 16",
            "mov {at}, qword ptr [{work} + {weights}]",
            "add {at}, {y}",
            "tileloadd tmm6, [{at} + {stride}*1]",
            "mov {at}, qword ptr [{work} + {src}]",
            "add {at}, {x}",
            "tileloadd tmm4, [{at} + {src_stride}*1]",
            "tdpbusd tmm0, tmm4, tmm6",
            $($step,)*
            $finish,
            "dec {count}",
            "jnz 2b",
            "3:",
            "mov {stride:e}, 128",
            "mov {at}, qword ptr [{work} + {sums}]",
            "tilestored [{at} + {stride}*1], tmm0",
            $($end,)*
            work = in(reg) &raw mut $work,
            // Where the two `comp` lie, then the step's offsets in source and weights, then counters of the pairs.
            x = out(reg) _,
            y = out(reg) _,
            at = out(reg) _,
            // 0 for `comp`, then the bytes of a weight row, then SUMS_STRIDE.
            stride = inout(reg) 0usize => _,
            steps = inout(reg) $work.job.steps => _,
            count = inout(reg) $work.job.count => _,
            src_stride = in(reg) $work.job.src_stride,
            src = const SRC,
            weights = const WEIGHTS,
            comp = const COMP,
            sums = const SUMS,
            $($operands)*
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        )
    };
}

/// The loops of all four sizes of a block.
macro_rules! loops {
    ($work:ident, $tiles:ident, $panels:ident, $finish:expr, { $($operands:tt)* }) => {
        match ($tiles, $panels) {
            (2, 2) => tile_loop!(
                $work, $finish, { $($operands)* },
                begin: [
                    "tileloadd tmm1, [{y} + {stride}*1]",
                    "tileloadd tmm2, [{x} + {stride}*1]",
                    "tileloadd tmm3, [{y} + {stride}*1]"
                ],
                step: [
                    "add {y}, qword ptr [{work} + {weights} + 8]",
                    "tileloadd tmm7, [{y} + {stride}*1]",
                    "tdpbusd tmm1, tmm4, tmm7",
                    "add {x}, qword ptr [{work} + {src} + 8]",
                    "tileloadd tmm5, [{x} + {src_stride}*1]",
                    "tdpbusd tmm2, tmm5, tmm6",
                    "tdpbusd tmm3, tmm5, tmm7"
                ],
                end: [
                    "tilestored [{at} + {stride}*1 + 64], tmm1",
                    "tilestored [{at} + {stride}*1 + 2048], tmm2",
                    "tilestored [{at} + {stride}*1 + 2112], tmm3"
                ]
            ),
            (1, 2) => tile_loop!(
                $work, $finish, { $($operands)* },
                begin: ["tileloadd tmm1, [{y} + {stride}*1]"],
                step: [
                    "add {y}, qword ptr [{work} + {weights} + 8]",
                    "tileloadd tmm7, [{y} + {stride}*1]",
                    "tdpbusd tmm1, tmm4, tmm7"
                ],
                end: ["tilestored [{at} + {stride}*1 + 64], tmm1"]
            ),
            (2, _) => tile_loop!(
                $work, $finish, { $($operands)* },
                begin: ["tileloadd tmm2, [{x} + {stride}*1]"],
                step: [
                    "add {x}, qword ptr [{work} + {src} + 8]",
                    "tileloadd tmm5, [{x} + {src_stride}*1]",
                    "tdpbusd tmm2, tmm5, tmm6"
                ],
                end: ["tilestored [{at} + {stride}*1 + 2048], tmm2"]
            ),
            _ => tile_loop!($work, $finish, { $($operands)* }, begin: [], step: [], end: []),
        }
    };
}

const NO_PAIRS: Pairs = {
    let run = PairRun { pairs: 0, sums: std::ptr::null(), dst: std::ptr::null_mut(), residual: std::ptr::null() };
    Pairs { runs: [run; 2], dst_stride: 0, residual_stride: 0, pairs_per_step: 0 }
};

/// Computes a block of `tiles` x `panels`, each 1 or 2.
///
/// # Safety
/// The tiles are configured for a shape; source pixels, weights, `comp` and steps are readable for it, `sums` is writable.
pub unsafe fn multiply(job: &TileJob, tiles: usize, panels: usize) {
    const { assert!(SUMS_STRIDE == 128 && size_of::<Step>() == 16) };
    let mut work = Work { job: *job, pairs: NO_PAIRS };
    // SAFETY: the caller's promise: every load and store is one of a configured tile at the job's addresses.
    unsafe { loops!(work, tiles, panels, "", {}) }
}

/// [`multiply`], and between its products the epilogue of `pairs`, whose sums another call has stored elsewhere.
///
/// # Safety
/// As for [`multiply`]. The job has steps; the sums of the pairs are readable and not the job's own, `channels` and the
/// residual's pixels are readable, the destination's writable, for 32 channels.
pub unsafe fn multiply_and_finish(_proof: Avx512, job: &TileJob, tiles: usize, panels: usize, pairs: &Pairs, channels: &PairChannels<'_>) {
    debug_assert!(job.count > 0 && pairs.pairs_per_step * job.count >= pairs.runs[0].pairs + pairs.runs[1].pairs);
    // SAFETY: the token proves AVX-512; the rest is the caller's promise.
    unsafe { interleaved(job, tiles, panels, pairs, channels) }
}

/// # Safety
/// As for [`multiply_and_finish`], on a CPU with AVX-512.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
unsafe fn interleaved(job: &TileJob, tiles: usize, panels: usize, pairs: &Pairs, channels: &PairChannels<'_>) {
    let mut work = Work { job: *job, pairs: *pairs };
    let mut runs = pairs.runs;
    if runs[0].pairs == 0 {
        runs.swap(0, 1);
        work.pairs.runs = runs;
    }
    let first = runs[0];
    let PairChannels { mult, bias, requantize, residual } = *channels;
    // SAFETY: 32 entries of each: the caller's promise.
    let (mult, bias) =
        unsafe { ([_mm512_loadu_ps(mult), _mm512_loadu_ps(mult.add(16))], [_mm512_loadu_ps(bias), _mm512_loadu_ps(bias.add(16))]) };
    let high = _mm512_set1_ps(requantize.high);
    let zero_point = _mm512_set1_epi16(requantize.zero_point as i16);
    let lowest = _mm512_set1_epi8((requantize.low as i32 + requantize.zero_point) as u8 as i8);
    let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    macro_rules! with_pairs {
        ($finish:expr, { $($operands:tt)* }) => {
            loops!(work, tiles, panels, $finish, {
                left = inout(reg) first.pairs => _,
                from = inout(reg) first.sums => _,
                to = inout(reg) first.dst => _,
                dst_stride = in(reg) pairs.dst_stride,
                pairs_per_step = const PAIRS_PER_STEP,
                run = const RUN,
                next_run = const NEXT_RUN,
                pairs = const PAIRS,
                pair_sums = const PAIR_SUMS,
                pair_dst = const PAIR_DST,
                pair_residual = const PAIR_RESIDUAL,
                out("zmm0") _, out("zmm1") _, out("zmm2") _, out("zmm3") _,
                in("zmm16") mult[0], in("zmm17") mult[1], in("zmm18") bias[0], in("zmm19") bias[1],
                in("zmm20") high, in("zmm21") zero_point, in("zmm22") lowest, in("zmm23") order,
                $($operands)*
            })
        };
    }
    // SAFETY: the caller's promise, for the products as for the pairs: the assembly walks each run of pairs once.
    unsafe {
        match residual {
            None => with_pairs!(finish_pairs!(""), {}),
            Some(residual) => {
                let (zero_point, ratio) = (_mm512_set1_epi32(residual.zero_point), _mm512_set1_ps(residual.ratio));
                with_pairs!(finish_pairs!(add_residual!()), {
                    residual_stride = const RESIDUAL_STRIDE,
                    out("zmm4") _, out("zmm5") _, out("zmm6") _, out("zmm7") _,
                    in("zmm24") zero_point, in("zmm25") ratio,
                })
            }
        }
    }
}
