//! Kernels in x86-64 intrinsics, one file an instruction set.
pub mod avx2;
pub mod depthwise_avx2;
pub mod epilogue_avx2;
