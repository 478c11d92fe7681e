//! The inner loops. A kernel computes a rectangle of output pixels for a run of output channels; borders, blocking and
//! threads are the driver's business (`ops`).
//!
//! One kernel is one instruction set and one name. [`int8_kernels`], [`depthwise_kernels`] and [`f32_kernels`] are the
//! registries, best first, portable last: default choice, forced choice and the tests' enumeration all read them.
pub mod binary;
mod block;
#[cfg(any(test, feature = "test-internals"))]
pub mod conformance;
mod epilogue_portable;
mod f32;
pub mod fetch;
pub mod image;
#[cfg(test)]
mod kernel_tests;
pub mod layout;
pub mod math;
pub mod pool;
mod portable;
pub mod quantize;
pub mod recurrent_cells;
pub mod reduce;
#[cfg(any(test, feature = "test-internals"))]
pub mod reference;
mod registry;
pub mod roof;
mod simd;
pub mod unary;
pub mod winograd;
#[cfg(all(target_arch = "x86_64", feature = "x86"))]
mod x86;

pub use block::{DepthwiseBlock, F32Block, Int8Block, Int8Epilogue, Int8Output, Pixels, Position, Requantize, Residual, Taps};
pub use f32::{f32_depthwise_kernels, f32_kernels};
pub use registry::{depthwise_kernels, int8_kernel_by_name, int8_kernels};
pub use simd::{ByteRange, Clamp, VectorIsa};
pub use winograd::WinogradKernel;
#[cfg(all(target_arch = "x86_64", feature = "x86"))]
pub use x86::{amx_epilogue::AmxEpilogue, amx_int8::Int8Amx};

use crate::isa::Isa;

/// What form of source pixels a kernel reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceForm {
    /// u8 pixels where they lie, valid taps only.
    Direct,
    /// A gathered panel: one contiguous run of all `k` a pixel, in the kernel's own element form
    /// (see [`Int8Kernel::widen`]), padded taps filled with the zero point. The kernel may read rows of the weight panel
    /// up to `k_multiple` too: what lies there meets zeros.
    Gathered {
        /// Bytes that one source byte takes in the panel.
        bytes_per_value: usize,
        /// The panel's row is padded with zeros to a multiple of this many values.
        k_multiple: usize,
        /// Bytes that a block of panel rows may take, so that it stays in the cache while all weights pass by.
        block_bytes: usize,
    },
}

/// Source bytes that a panel takes up: runs of the same length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceRuns {
    /// How many.
    pub count: usize,
    /// Bytes of a run: a multiple of 4.
    pub bytes: usize,
    /// Bytes from a run to the next.
    pub stride: usize,
}

impl SourceRuns {
    /// One run.
    pub fn one(bytes: usize) -> Self {
        Self { count: 1, bytes, stride: 0 }
    }
}

/// The form of an image of few channels, whose pixels have 4 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmallImageForm {
    /// As it is.
    Pixels,
    /// Two rows as one: for a kernel that reads many `k` at a time.
    RowPairs,
    /// Pixels without their padding bytes, and the border: for a kernel that reads 4 `k` at a time.
    DenseRows,
}

/// What a kernel needs to know of a convolution to choose the form of its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceShape {
    /// Kernel rows and columns; 1 x 1 also for a GEMM.
    pub taps: [usize; 2],
    /// 4-byte groups of `k` of one tap.
    pub groups: usize,
    /// Whether the taps of a kernel row lie side by side, so that the driver merges valid ones into one run.
    pub merged: bool,
    /// Output pixels of a row.
    pub cols: usize,
}

/// An int8 convolution kernel: u8 activations, s8 weights, exact i32 accumulation, the epilogue of NUMERICS section 5.
///
/// # Safety
/// Implementors promise that `run` touches only the memory that the block describes, and computes
/// `acc = comp + sum a * w` exactly and the epilogue bit for bit as `quantize::requantize` does.
pub unsafe trait Int8Kernel: Send + Sync {
    /// Name in reports, such as `u8s8s32-14x32-avx512_vnni`.
    fn name(&self) -> &'static str;

    /// The instruction-set level whose cap admits this kernel.
    fn isa(&self) -> Isa;

    /// The source form it wants for a convolution of that shape.
    fn source_form(&self, shape: &SourceShape) -> SourceForm;

    /// The form in which it wants the image of a first layer: of a convolution of that shape over pixels of one group.
    fn small_image_form(&self, shape: &SourceShape) -> SmallImageForm {
        let _ = shape;
        SmallImageForm::Pixels
    }

    /// How it computes 3 x 3 convolutions with fewer products, if it can: every way, for the driver to choose from.
    fn winograd(&self) -> Vec<Box<dyn WinogradKernel>> {
        Vec::new()
    }

    /// Output pixels that one tile holds; the driver prefers multiples.
    fn tile_pixels(&self) -> usize;

    /// Source pixels of which a step of a tile reads a few bytes each, and the next step the next few: they should stay in L1.
    fn pixels_read_in_turn(&self) -> usize {
        self.tile_pixels()
    }

    /// Output pixels from which on a pass over weights that come from L3 costs less than their products: threads may then each read
    /// all weights for pixels of their own.
    fn pixels_of_weight_pass(&self) -> usize {
        4 * self.tile_pixels()
    }

    /// Scratch bytes that `run` needs for blocks with that many `k` (taps times padded ic) in all.
    fn scratch_bytes(&self, k: usize) -> usize;

    /// Copies source bytes into the panel form, where the runs follow each other.
    ///
    /// # Safety
    /// Each of the runs is readable from `src` on, `dst` writable for `bytes_per_value` times their bytes.
    unsafe fn widen(&self, src: *const u8, runs: SourceRuns, dst: *mut u8) {
        for run in 0..runs.count {
            // SAFETY: the caller's promise, for the form with one byte a value.
            unsafe { std::ptr::copy_nonoverlapping(src.add(run * runs.stride), dst.add(run * runs.bytes), runs.bytes) }
        }
    }

    /// Called once on each thread before its first `run` with blocks of one layer (AMX loads a tile configuration).
    fn enter(&self) {}

    /// Called after the last `run` of a region (AMX releases its tiles).
    fn leave(&self) {}

    /// Computes the block.
    ///
    /// # Safety
    /// Every address that the block describes is valid: source pixels for all taps, weights for all panels, `channels`
    /// rounded up to 16 entries of `comp`, `mult`, `bias`, and writable destinations that no other thread touches.
    /// `scratch` has [`Int8Kernel::scratch_bytes`] bytes and is 64-byte aligned.
    unsafe fn run(&self, block: &Int8Block, scratch: &mut [u8]);
}

/// An int8 depthwise convolution kernel: exact i32 accumulation a channel, then the epilogue of [`Int8Kernel`].
///
/// # Safety
/// As for [`Int8Kernel`].
pub unsafe trait DepthwiseKernel: Send + Sync {
    /// Name in reports, such as `u8s8s32-dw-4x16-avx2`.
    fn name(&self) -> &'static str;

    /// The instruction-set level whose cap admits this kernel.
    fn isa(&self) -> Isa;

    /// Scratch bytes that `run` needs for blocks with up to that many valid taps.
    fn scratch_bytes(&self, taps: usize) -> usize;

    /// Computes the block.
    ///
    /// # Safety
    /// As for [`Int8Kernel::run`]; a source pixel is readable for `channels` bytes at each tap.
    unsafe fn run(&self, block: &DepthwiseBlock, scratch: &mut [u8]);
}

/// An f32 convolution kernel by the law of NUMERICS section 8.
///
/// # Safety
/// Implementors promise that `run` touches only the memory that the block describes, and that every output is one
/// chain of fused multiply-adds over `k` in order, then bias, residual, clamp.
pub unsafe trait F32Kernel: Send + Sync {
    /// Name in reports, such as `f32-6x16-avx2`.
    fn name(&self) -> &'static str;

    /// The instruction-set level whose cap admits this kernel.
    fn isa(&self) -> Isa;

    /// Output pixels that one tile holds.
    fn tile_pixels(&self) -> usize;

    /// Computes the block.
    ///
    /// # Safety
    /// As for [`Int8Kernel::run`].
    unsafe fn run(&self, block: &F32Block);
}

/// An f32 depthwise convolution kernel: one input and one output channel a group, by the law of NUMERICS section 8.
///
/// # Safety
/// As [`F32Kernel`].
pub unsafe trait F32DepthwiseKernel: Send + Sync {
    /// Name in reports, such as `f32-depthwise-4x16-avx2`.
    fn name(&self) -> &'static str;

    /// The instruction-set level whose cap admits this kernel.
    fn isa(&self) -> Isa;

    /// Computes the block: source channel `c` makes output channel `c`. Of its taps `run` is not used (a tap is one
    /// float a channel); weights are `[c/16][taps][16]`, `panel_stride` is `taps * 64` of the whole kernel.
    ///
    /// # Safety
    /// As for [`F32Kernel::run`]; source pixels are readable for `channels` floats at each tap.
    unsafe fn run(&self, block: &F32Block);
}
