//! The registries: best kernel first.
use super::{DepthwiseKernel, F32Kernel, Int8Kernel};
use crate::error::{Error, Result};
use crate::isa::Isa;

/// Every int8 kernel this machine can run below the cap, best first; the last is always portable.
pub fn int8_kernels(_cap: Isa) -> Vec<Box<dyn Int8Kernel>> {
    Vec::new()
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
pub fn depthwise_kernels(_cap: Isa) -> Vec<Box<dyn DepthwiseKernel>> {
    Vec::new()
}

/// Every f32 kernel this machine can run below the cap, best first; the last is always portable.
pub fn f32_kernels(_cap: Isa) -> Vec<Box<dyn F32Kernel>> {
    Vec::new()
}
