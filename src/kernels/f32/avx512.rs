//! AVX-512: a tile of 14 pixels x 32 channels (28 accumulators, 2 weight vectors, 1 broadcast: 31 of 32 registers).
//!
//! A tile is two segments of up to 7 neighbouring pixels, each with a base address: in one row, or in two rows where
//! rows are short (7 columns) or for what is left of longer ones. Layout, preconditions and tails: [`super::tile`],
//! [`super::depthwise`].
use super::depthwise::{DepthwiseJob, DepthwiseShape, depthwise_tile, sweep_depthwise};
use super::lanes::Lanes;
use super::tile::{SweepShape, TileJob, sweep, tile};
use crate::isa::{Avx512, Isa};
use crate::kernels::{F32Block, F32DepthwiseKernel, F32Kernel};
use std::arch::x86_64::*;

/// Sixteen floats in a zmm register.
struct Zmm;

/// A mask of the first `count < 16` lanes.
#[inline(always)]
fn first_lanes(count: usize) -> __mmask16 {
    (1u16 << count) - 1
}

// SAFETY: each method is the AVX-512F form of its contract; masked moves touch the lanes of the mask only.
#[allow(clippy::undocumented_unsafe_blocks)] // One reason for all: callers have AVX-512F and promise the addresses.
unsafe impl Lanes for Zmm {
    type Vector = __m512;
    const LANES: usize = 16;

    #[inline(always)]
    unsafe fn splat(value: f32) -> __m512 {
        unsafe { _mm512_set1_ps(value) }
    }
    #[inline(always)]
    unsafe fn broadcast(src: *const f32) -> __m512 {
        unsafe { _mm512_set1_ps(src.read_unaligned()) }
    }
    #[inline(always)]
    unsafe fn load(src: *const f32) -> __m512 {
        unsafe { _mm512_loadu_ps(src) }
    }
    #[inline(always)]
    unsafe fn load_first(src: *const f32, count: usize) -> __m512 {
        unsafe { _mm512_maskz_loadu_ps(first_lanes(count), src) }
    }
    #[inline(always)]
    unsafe fn store(dst: *mut f32, value: __m512) {
        unsafe { _mm512_storeu_ps(dst, value) }
    }
    #[inline(always)]
    unsafe fn store_first(dst: *mut f32, value: __m512, count: usize) {
        unsafe { _mm512_mask_storeu_ps(dst, first_lanes(count), value) }
    }
    #[inline(always)]
    unsafe fn fma(a: __m512, b: __m512, c: __m512) -> __m512 {
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    unsafe fn add(a: __m512, b: __m512) -> __m512 {
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn clamp(x: __m512, low: __m512, high: __m512) -> __m512 {
        // max and min give their second operand where the two are equal or one is NaN: x.
        unsafe { _mm512_min_ps(high, _mm512_max_ps(low, x)) }
    }
}

/// `f32-14x32-avx512`.
pub struct F32Avx512(Avx512);

impl F32Avx512 {
    /// The kernel, for a CPU that has AVX-512.
    pub fn new(token: Avx512) -> Self {
        Self(token)
    }
}

/// # Safety
/// As [`tile`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")]
unsafe fn run_tile(job: &TileJob) {
    macro_rules! tiles {
        ($(($segments:literal, $run:literal)),+) => {
            match (job.segments, job.run, job.vectors) {
                $(
                    ($segments, $run, 2) => tile::<Zmm, $segments, $run, 2>(job),
                    ($segments, $run, 1) => tile::<Zmm, $segments, $run, 1>(job),
                )+
                _ => unreachable!("a sweep makes tiles of 1 or 2 segments of 1 to 7 pixels"),
            }
        };
    }
    // SAFETY: the caller's promise.
    unsafe {
        tiles!(
            (2, 7),
            (2, 6),
            (2, 5),
            (2, 4),
            (2, 3),
            (2, 2),
            (2, 1), //
            (1, 7),
            (1, 6),
            (1, 5),
            (1, 4),
            (1, 3),
            (1, 2),
            (1, 1)
        );
    }
}

// SAFETY: `sweep` hands each tile addresses inside the block, and `tile` computes the chains of the contract.
unsafe impl F32Kernel for F32Avx512 {
    fn name(&self) -> &'static str {
        "f32-14x32-avx512"
    }
    fn isa(&self) -> Isa {
        Isa::Avx512Vnni
    }
    fn tile_pixels(&self) -> usize {
        14
    }
    unsafe fn run(&self, block: &F32Block) {
        let _proof = self.0;
        let shape = SweepShape { segments: 2, run: 7, vectors: 2, lanes: Zmm::LANES };
        // SAFETY: the token proves AVX-512; the caller promises the block.
        unsafe { sweep(block, shape, |job| run_tile(job)) }
    }
}

/// `f32-depthwise-7x16-avx512`.
pub struct F32DepthwiseAvx512(Avx512);

impl F32DepthwiseAvx512 {
    /// The kernel, for a CPU that has AVX-512.
    pub fn new(token: Avx512) -> Self {
        Self(token)
    }
}

/// # Safety
/// As [`depthwise_tile`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")]
unsafe fn run_depthwise_tile(job: &DepthwiseJob) {
    // SAFETY: the caller's promise.
    unsafe {
        match job.pixels {
            7 => depthwise_tile::<Zmm, 7, 1>(job),
            6 => depthwise_tile::<Zmm, 6, 1>(job),
            5 => depthwise_tile::<Zmm, 5, 1>(job),
            4 => depthwise_tile::<Zmm, 4, 1>(job),
            3 => depthwise_tile::<Zmm, 3, 1>(job),
            2 => depthwise_tile::<Zmm, 2, 1>(job),
            _ => depthwise_tile::<Zmm, 1, 1>(job),
        }
    }
}

// SAFETY: `sweep_depthwise` hands each tile pixels inside the block, and the tile computes the chains of the contract.
unsafe impl F32DepthwiseKernel for F32DepthwiseAvx512 {
    fn name(&self) -> &'static str {
        "f32-depthwise-7x16-avx512"
    }
    fn isa(&self) -> Isa {
        Isa::Avx512Vnni
    }
    unsafe fn run(&self, block: &F32Block) {
        let _proof = self.0;
        // SAFETY: the token proves AVX-512; the caller promises the block.
        unsafe { sweep_depthwise(block, DepthwiseShape { pixels: 7 }, |job| run_depthwise_tile(job)) }
    }
}
