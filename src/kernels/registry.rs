//! The registries: best kernel first.
use super::portable::{DepthwisePortable, Int8Portable};
#[cfg(all(target_arch = "x86_64", feature = "x86"))]
use super::x86::{
    amx_epilogue::AmxEpilogue,
    amx_int8::Int8Amx,
    avx_vnni::{Int8AvxVnni, Int8AvxVnniEvex},
    avx2::Int8Avx2,
    avx512_vnni::Int8Avx512Vnni,
    depthwise_avx2::DepthwiseAvx2,
    depthwise_avx512::DepthwiseAvx512,
};
use super::{DepthwiseKernel, Int8Kernel};
use crate::error::{Error, Result};
use crate::isa::Isa;
#[cfg(all(target_arch = "x86_64", feature = "x86"))]
use crate::isa::{AmxInt8, Avx2, Avx512, Avx512Vnni, EvexProof, VexProof};

/// Every int8 kernel this machine can run below the cap, best first; the last is always portable.
pub fn int8_kernels(cap: Isa) -> Vec<Box<dyn Int8Kernel>> {
    let mut kernels: Vec<Box<dyn Int8Kernel>> = Vec::new();
    #[cfg(all(target_arch = "x86_64", feature = "x86"))]
    {
        // Asks the system for tiles, and so only where they are wanted.
        if cap >= Isa::AmxInt8
            && let (Some(proof), Some(avx512)) = (AmxInt8::detect(), Avx512::detect())
        {
            kernels.push(Box::new(Int8Amx::new(proof, AmxEpilogue::Avx512(avx512))));
        }
        if let Some(proof) = Avx512Vnni::detect() {
            kernels.push(Box::new(Int8Avx512Vnni::new(proof)));
        }
        if let Some(proof) = VexProof::detect() {
            kernels.push(Box::new(Int8AvxVnni::new(proof)));
        }
        if let Some(proof) = EvexProof::detect() {
            kernels.push(Box::new(Int8AvxVnniEvex::new(proof)));
        }
        if let Some(proof) = Avx2::detect() {
            kernels.push(Box::new(Int8Avx2::new(proof)));
        }
    }
    kernels.push(Box::new(Int8Portable));
    kernels.retain(|kernel| kernel.isa() <= cap);
    kernels
}

/// The int8 kernel with that name.
///
/// # Errors
/// [`Error::UnsupportedIsa`] if this machine has no such kernel; the message lists those it has.
pub fn int8_kernel_by_name(name: &str) -> Result<Box<dyn Int8Kernel>> {
    let mut kernels = int8_kernels(Isa::AmxInt8);
    match kernels.iter().position(|kernel| kernel.name() == name) {
        Some(index) => Ok(kernels.swap_remove(index)),
        None => {
            let names: Vec<_> = kernels.iter().map(|kernel| kernel.name()).collect();
            Err(Error::UnsupportedIsa(format!("no int8 kernel \"{name}\" here; there are {}", names.join(", "))))
        }
    }
}

/// Every int8 depthwise kernel this machine can run below the cap, best first; the last is always portable.
pub fn depthwise_kernels(cap: Isa) -> Vec<Box<dyn DepthwiseKernel>> {
    let mut kernels: Vec<Box<dyn DepthwiseKernel>> = Vec::new();
    #[cfg(all(target_arch = "x86_64", feature = "x86"))]
    {
        if let Some(proof) = Avx512Vnni::detect() {
            kernels.push(Box::new(DepthwiseAvx512::new(proof)));
        }
        if let Some(proof) = Avx2::detect() {
            kernels.push(Box::new(DepthwiseAvx2::new(proof)));
        }
    }
    kernels.push(Box::new(DepthwisePortable));
    kernels.retain(|kernel| kernel.isa() <= cap);
    kernels
}
