//! The bench that every int8 kernel must pass: equal to the reference byte for byte, inside its buffers.
//!
//! [`check_int8`] and [`check_depthwise`] take any kernel, so one that this CPU lacks can be tried where its
//! instructions are executed otherwise. They panic at the first difference and name the case.
mod buffers;
pub mod cases;
mod depthwise;
mod golden;
mod guarded;
mod int8;
mod winograd;

pub use depthwise::{check_depthwise, check_depthwise_case};
pub use golden::check_golden;
#[cfg(test)]
pub(crate) use guarded::{GuardedBuffer, Placement};
pub use int8::{check_int8, check_int8_case};
pub use winograd::check_winograd;
