//! f32 convolution and depthwise kernels: one generic tile each, one file an instruction set.
#[cfg(all(target_arch = "x86_64", feature = "x86"))]
mod avx2;
#[cfg(all(target_arch = "x86_64", feature = "x86"))]
mod avx512;
mod depthwise;
mod lanes;
mod portable;
#[cfg(test)]
mod tests;
mod tile;

use super::{F32DepthwiseKernel, F32Kernel};
use crate::isa::Isa;

/// Every f32 kernel this machine can run below the cap, best first; the last is always portable.
pub fn f32_kernels(cap: Isa) -> Vec<Box<dyn F32Kernel>> {
    let mut kernels: Vec<Box<dyn F32Kernel>> = Vec::new();
    #[cfg(all(target_arch = "x86_64", feature = "x86"))]
    {
        if let (true, Some(token)) = (cap >= Isa::Avx512Vnni, crate::isa::Avx512::detect()) {
            kernels.push(Box::new(avx512::F32Avx512::new(token)));
        }
        if let (true, Some(token)) = (cap >= Isa::Avx2, crate::isa::Avx2::detect()) {
            kernels.push(Box::new(avx2::F32Avx2::new(token)));
        }
    }
    let _ = cap;
    kernels.push(Box::new(portable::F32Portable));
    kernels
}

/// Every f32 depthwise kernel this machine can run below the cap, best first; the last is always portable.
pub fn f32_depthwise_kernels(cap: Isa) -> Vec<Box<dyn F32DepthwiseKernel>> {
    let mut kernels: Vec<Box<dyn F32DepthwiseKernel>> = Vec::new();
    #[cfg(all(target_arch = "x86_64", feature = "x86"))]
    {
        if let (true, Some(token)) = (cap >= Isa::Avx512Vnni, crate::isa::Avx512::detect()) {
            kernels.push(Box::new(avx512::F32DepthwiseAvx512::new(token)));
        }
        if let (true, Some(token)) = (cap >= Isa::Avx2, crate::isa::Avx2::detect()) {
            kernels.push(Box::new(avx2::F32DepthwiseAvx2::new(token)));
        }
    }
    let _ = cap;
    kernels.push(Box::new(portable::F32DepthwisePortable));
    kernels
}
