//! Kernels in x86-64 intrinsics, one file an instruction set.
pub mod amx_epilogue;
pub mod amx_int8;
mod amx_loop;
pub mod amx_tiles;
pub mod avx2;
pub mod avx512_vnni;
mod avx512_vnni_job;
mod avx512_vnni_walk;
pub mod avx_vnni;
pub mod depthwise_avx2;
pub mod depthwise_avx512;
mod depthwise_lanes;
pub mod epilogue_avx2;
pub mod epilogue_avx512;
pub mod pixel_tiles;
pub mod roof;
pub mod weights_ahead;
