//! rsquant quantizes float neural networks to int8 after training and runs them: a Rust core behind a C ABI.
//!
//! Modules, in the order in which they may import each other (ARCHITECTURE.md has the picture):
//!
//! | module | holds |
//! |---|---|
//! | [`error`] | the one error type |
//! | [`memory`] | lists that may be refused, the reserve for what may not |
//! | [`tensor`] | shapes, element types, aligned and shared buffers, views |
//! | [`quantize`] | what every quantized number means: qparams, requantization, observers, solvers, qconfig |
//! | [`isa`] | which instruction sets the CPU has, and the tokens that prove it |
//! | [`threads`] | the parked team that `run` uses, or the caller's `parallel_for` |
//! | [`packed`] | the one packed weight layout |
//! | [`kernels`] | the inner loops, one registry for int8 and one for f32 |
//! | [`graph`] | the graph: values, operators, shape inference, passes |
//! | [`onnx`] | ONNX import |
//! | [`ops`] | operators: blocking, borders, threads; int8 and f32 |
//! | [`model`] | the model file |
//! | [`runtime`] | memory plan and executor |
//! | [`pipeline`] | the safe Rust facade |
//! | [`report`] | reports: JSON and HTML |
//! | [`ffi`] | the C API |
#![deny(unsafe_code)]
#![deny(unsafe_op_in_unsafe_fn)]
#![deny(clippy::undocumented_unsafe_blocks)]
#![warn(missing_docs)]

#[cfg(not(panic = "unwind"))]
compile_error!("rsquant turns panics into statuses: build it with panic = \"unwind\"");

pub mod error;
#[allow(unsafe_code)]
pub mod ffi;
pub mod graph;
#[allow(unsafe_code)]
pub mod isa;
#[allow(unsafe_code)]
pub mod kernels;
pub mod memory;
#[allow(unsafe_code)]
pub mod model;
pub mod onnx;
#[allow(unsafe_code)]
pub mod ops;
pub mod packed;
pub mod pipeline;
pub mod quantize;
pub mod report;
#[allow(unsafe_code)]
pub mod runtime;
pub mod tensor;
#[allow(unsafe_code)]
pub mod threads;
