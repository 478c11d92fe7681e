//! The registries: best kernel first.
use super::Int8Kernel;
use crate::isa::Isa;

/// Every int8 kernel this machine can run below the cap, best first; the last is always portable.
pub fn int8_kernels(_cap: Isa) -> Vec<Box<dyn Int8Kernel>> {
    Vec::new()
}
