//! AVX2 and FMA: a tile of 6 pixels x 16 channels (12 accumulators, 2 weight vectors, 1 broadcast: 15 of 16 registers).
//!
//! Each pixel of a tile has an address of its own, so tiles run over rows of any length and only the last one of a
//! block is short. Layout, preconditions and tails: [`super::tile`], [`super::depthwise`].
use super::depthwise::{DepthwiseJob, DepthwiseShape, depthwise_tile, sweep_depthwise};
use super::lanes::Lanes;
use super::tile::{SweepShape, TileJob, sweep, tile};
use crate::isa::{Avx2, Isa};
use crate::kernels::{F32Block, F32DepthwiseKernel, F32Kernel};
use std::arch::x86_64::*;

/// Eight floats in a ymm register.
struct Ymm;

/// A mask of the first `count` lanes.
#[inline(always)]
unsafe fn first_lanes(count: usize) -> __m256i {
    // SAFETY: integer operations of AVX2, which the caller has.
    unsafe { _mm256_cmpgt_epi32(_mm256_set1_epi32(count as i32), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)) }
}

// SAFETY: each method is the AVX2 or FMA form of its contract; masked moves touch the lanes of the mask only.
#[allow(clippy::undocumented_unsafe_blocks)] // One reason for all: callers have AVX2 and FMA and promise the addresses.
unsafe impl Lanes for Ymm {
    type Vector = __m256;
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn splat(value: f32) -> __m256 {
        unsafe { _mm256_set1_ps(value) }
    }
    #[inline(always)]
    unsafe fn broadcast(src: *const f32) -> __m256 {
        unsafe { _mm256_broadcast_ss(&*src) }
    }
    #[inline(always)]
    unsafe fn load(src: *const f32) -> __m256 {
        unsafe { _mm256_loadu_ps(src) }
    }
    #[inline(always)]
    unsafe fn load_first(src: *const f32, count: usize) -> __m256 {
        unsafe { _mm256_maskload_ps(src, first_lanes(count)) }
    }
    #[inline(always)]
    unsafe fn store(dst: *mut f32, value: __m256) {
        unsafe { _mm256_storeu_ps(dst, value) }
    }
    #[inline(always)]
    unsafe fn store_first(dst: *mut f32, value: __m256, count: usize) {
        unsafe { _mm256_maskstore_ps(dst, first_lanes(count), value) }
    }
    #[inline(always)]
    unsafe fn fma(a: __m256, b: __m256, c: __m256) -> __m256 {
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    unsafe fn add(a: __m256, b: __m256) -> __m256 {
        unsafe { _mm256_add_ps(a, b) }
    }
    #[inline(always)]
    unsafe fn clamp(x: __m256, low: __m256, high: __m256) -> __m256 {
        // max and min give their second operand where the two are equal or one is NaN: x.
        unsafe { _mm256_min_ps(high, _mm256_max_ps(low, x)) }
    }
}

/// `f32-6x16-avx2`.
pub struct F32Avx2(Avx2);

impl F32Avx2 {
    /// The kernel, for a CPU that has AVX2 and FMA.
    pub fn new(token: Avx2) -> Self {
        Self(token)
    }
}

/// # Safety
/// As [`tile`].
#[target_feature(enable = "avx2,fma")]
unsafe fn run_tile(job: &TileJob) {
    // SAFETY: the caller's promise.
    unsafe {
        match job.segments {
            6 => tile::<Ymm, 6, 1, 2>(job),
            5 => tile::<Ymm, 5, 1, 2>(job),
            4 => tile::<Ymm, 4, 1, 2>(job),
            3 => tile::<Ymm, 3, 1, 2>(job),
            2 => tile::<Ymm, 2, 1, 2>(job),
            _ => tile::<Ymm, 1, 1, 2>(job),
        }
    }
}

// SAFETY: `sweep` hands each tile addresses inside the block, and `tile` computes the chains of the contract.
unsafe impl F32Kernel for F32Avx2 {
    fn name(&self) -> &'static str {
        "f32-6x16-avx2"
    }
    fn isa(&self) -> Isa {
        Isa::Avx2
    }
    fn tile_pixels(&self) -> usize {
        6
    }
    unsafe fn run(&self, block: &F32Block) {
        let _proof = self.0;
        let shape = SweepShape { segments: 6, run: 1, vectors: 2, lanes: Ymm::LANES };
        // SAFETY: the token proves AVX2 and FMA; the caller promises the block.
        unsafe { sweep(block, shape, |job| run_tile(job)) }
    }
}

/// `f32-depthwise-4x16-avx2`.
pub struct F32DepthwiseAvx2(Avx2);

impl F32DepthwiseAvx2 {
    /// The kernel, for a CPU that has AVX2 and FMA.
    pub fn new(token: Avx2) -> Self {
        Self(token)
    }
}

/// # Safety
/// As [`depthwise_tile`].
#[target_feature(enable = "avx2,fma")]
unsafe fn run_depthwise_tile(job: &DepthwiseJob) {
    // SAFETY: the caller's promise.
    unsafe {
        match job.pixels {
            4 => depthwise_tile::<Ymm, 4, 2>(job),
            3 => depthwise_tile::<Ymm, 3, 2>(job),
            2 => depthwise_tile::<Ymm, 2, 2>(job),
            _ => depthwise_tile::<Ymm, 1, 2>(job),
        }
    }
}

// SAFETY: `sweep_depthwise` hands each tile pixels inside the block, and the tile computes the chains of the contract.
unsafe impl F32DepthwiseKernel for F32DepthwiseAvx2 {
    fn name(&self) -> &'static str {
        "f32-depthwise-4x16-avx2"
    }
    fn isa(&self) -> Isa {
        Isa::Avx2
    }
    unsafe fn run(&self, block: &F32Block) {
        let _proof = self.0;
        // SAFETY: the token proves AVX2 and FMA; the caller promises the block.
        unsafe { sweep_depthwise(block, DepthwiseShape { pixels: 4 }, |job| run_depthwise_tile(job)) }
    }
}
