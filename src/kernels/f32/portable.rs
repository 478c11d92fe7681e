//! The reference kernels: a tile of 4 pixels x 16 channels in plain Rust.
//!
//! `f32::mul_add` without FMA in the instruction set is a library call: slow, and exact. Tails and preconditions are
//! those of [`super::tile`] and [`super::depthwise`].
use super::depthwise::{DepthwiseShape, depthwise_tile, sweep_depthwise};
use super::lanes::Lanes;
use super::tile::{SweepShape, sweep, tile};
use crate::isa::Isa;
use crate::kernels::{F32Block, F32DepthwiseKernel, F32Kernel};

/// Sixteen floats in memory.
pub(super) struct Array16;

// SAFETY: every method touches the lanes named and needs no instruction set.
unsafe impl Lanes for Array16 {
    type Vector = [f32; 16];
    const LANES: usize = 16;

    #[inline(always)]
    unsafe fn splat(value: f32) -> [f32; 16] {
        [value; 16]
    }
    #[inline(always)]
    unsafe fn broadcast(src: *const f32) -> [f32; 16] {
        // SAFETY: the caller's promise.
        [unsafe { src.read_unaligned() }; 16]
    }
    #[inline(always)]
    unsafe fn load(src: *const f32) -> [f32; 16] {
        // SAFETY: the caller's promise.
        unsafe { src.cast::<[f32; 16]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn load_first(src: *const f32, count: usize) -> [f32; 16] {
        let mut value = [0.0; 16];
        // SAFETY: only the first `count` are read.
        unsafe { copy_lanes(src, value.as_mut_ptr(), count) };
        value
    }
    #[inline(always)]
    unsafe fn store(dst: *mut f32, value: [f32; 16]) {
        // SAFETY: the caller's promise.
        unsafe { dst.cast::<[f32; 16]>().write_unaligned(value) }
    }
    #[inline(always)]
    unsafe fn store_first(dst: *mut f32, value: [f32; 16], count: usize) {
        // SAFETY: only the first `count` are written.
        unsafe { copy_lanes(value.as_ptr(), dst, count) }
    }
    #[inline(always)]
    unsafe fn fma(a: [f32; 16], b: [f32; 16], c: [f32; 16]) -> [f32; 16] {
        fma(&a, &b, &c)
    }
    #[inline(always)]
    unsafe fn add(a: [f32; 16], b: [f32; 16]) -> [f32; 16] {
        std::array::from_fn(|lane| a[lane] + b[lane])
    }
    #[inline(always)]
    unsafe fn clamp(x: [f32; 16], low: [f32; 16], high: [f32; 16]) -> [f32; 16] {
        clamp(&x, &low, &high)
    }
}

/// `a * b + c` in sixteen lanes. Where that is sixteen calls, registers are lost anyway, and one copy of them serves all tiles.
#[cfg_attr(all(target_arch = "x86_64", not(target_feature = "fma")), inline(never))]
fn fma(a: &[f32; 16], b: &[f32; 16], c: &[f32; 16]) -> [f32; 16] {
    std::array::from_fn(|lane| a[lane].mul_add(b[lane], c[lane]))
}

/// Clamped lanes; one copy for all tiles, as of [`fma`].
#[cfg_attr(all(target_arch = "x86_64", not(target_feature = "fma")), inline(never))]
fn clamp(x: &[f32; 16], low: &[f32; 16], high: &[f32; 16]) -> [f32; 16] {
    std::array::from_fn(|lane| crate::kernels::Clamp { low: low[lane], high: high[lane] }.apply(x[lane]))
}

/// Copies the first `count <= 16` lanes, at any alignment.
///
/// # Safety
/// As many floats are readable at `src` and writable at `dst`.
#[cfg_attr(all(target_arch = "x86_64", not(target_feature = "fma")), inline(never))]
unsafe fn copy_lanes(src: *const f32, dst: *mut f32, count: usize) {
    // SAFETY: the caller's promise; bytes have no alignment.
    unsafe { src.cast::<u8>().copy_to(dst.cast(), count * size_of::<f32>()) }
}

/// `f32-4x16-portable`.
pub struct F32Portable;

// SAFETY: `sweep` hands each tile addresses inside the block, and `tile` computes the chains of the contract.
unsafe impl F32Kernel for F32Portable {
    fn name(&self) -> &'static str {
        "f32-4x16-portable"
    }
    fn isa(&self) -> Isa {
        Isa::Portable
    }
    fn tile_pixels(&self) -> usize {
        4
    }
    unsafe fn run(&self, block: &F32Block) {
        let shape = SweepShape { segments: 4, run: 1, vectors: 1, lanes: Array16::LANES };
        // SAFETY: the caller's promise about the block.
        unsafe {
            sweep(block, shape, |job| match job.segments {
                4 => tile::<Array16, 4, 1, 1>(job),
                3 => tile::<Array16, 3, 1, 1>(job),
                2 => tile::<Array16, 2, 1, 1>(job),
                _ => tile::<Array16, 1, 1, 1>(job),
            });
        }
    }
}

/// `f32-depthwise-4x16-portable`.
pub struct F32DepthwisePortable;

// SAFETY: as for `F32Portable`.
unsafe impl F32DepthwiseKernel for F32DepthwisePortable {
    fn name(&self) -> &'static str {
        "f32-depthwise-4x16-portable"
    }
    fn isa(&self) -> Isa {
        Isa::Portable
    }
    unsafe fn run(&self, block: &F32Block) {
        // SAFETY: the caller's promise about the block.
        unsafe {
            sweep_depthwise(block, DepthwiseShape { pixels: 4 }, |job| match job.pixels {
                4 => depthwise_tile::<Array16, 4, 1>(job),
                3 => depthwise_tile::<Array16, 3, 1>(job),
                2 => depthwise_tile::<Array16, 2, 1>(job),
                _ => depthwise_tile::<Array16, 1, 1>(job),
            });
        }
    }
}
