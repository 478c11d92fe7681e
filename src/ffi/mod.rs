//! The C API: `include/rsquant.h` is written from this room by cbindgen.
//!
//! | file | holds |
//! |---|---|
//! | `status` | the numbers of the statuses, and what makes a call fail |
//! | `last_error` | each thread's message |
//! | `guard` | the boundary that no panic crosses |
//! | `handles` | what the opaque pointers stand for |
//! | `pointers`, `options`, `tensors`, `info` | a caller's pointers, option structs, tensors; what is told back |
//! | `version`, `context`, `graph`, `qconfig`, `prepared`, `recipe`, `model`, `session`, `compare`, `sensitivity`, `tune`, `report` | the functions, one file an object |
//! | `progress`, `log` | callbacks of long work; messages |
//! | `packed`, `operator`, `dynamic_gemm`, `quantize` | the operator door |
//! | `observer` | the observer door |
//! | `graph_builder`, `graph_builder_shapes`, `graph_builder_recurrent` | graphs without an ONNX file |
//! | `names`, `images` | inputs and outputs by name; inputs as image bytes |
//!
//! Every function does the same: [`guard`], check pointers, handles, sizes, then one call into [`crate::pipeline`], and
//! outputs last. They are `unsafe` as far as the header's rules are the caller's promise: pointers are NULL or point to
//! what the header says for as long as it says. Handles are values, so no promise is needed about those.
#![allow(non_camel_case_types)]
// The rule is the one above for all of them; repeated in each comment it would only fill the header.
#![allow(clippy::missing_safety_doc)]

mod compare;
mod context;
mod dynamic_gemm;
mod graph;
mod graph_builder;
mod graph_builder_recurrent;
mod graph_builder_shapes;
mod guard;
mod handles;
mod images;
mod info;
mod last_error;
mod log;
mod model;
mod names;
mod observer;
mod operator;
mod options;
mod packed;
mod pointers;
mod prepared;
mod profile;
mod progress;
mod qconfig;
mod quantize;
mod recipe;
mod report;
mod sensitivity;
mod session;
mod status;
mod tensors;
mod tune;
mod version;

#[cfg(test)]
#[allow(clippy::undocumented_unsafe_blocks)] // NULL is allowed everywhere: that is what is tested.
mod tests;

pub use compare::*;
pub use context::*;
pub use dynamic_gemm::*;
pub use graph::*;
pub use graph_builder::*;
pub use graph_builder_recurrent::*;
pub use graph_builder_shapes::*;
#[cfg(feature = "test-internals")]
pub use guard::panic_in_next_call;
pub use images::*;
pub use info::*;
pub use log::*;
pub use model::*;
pub use names::*;
pub use observer::*;
pub use operator::*;
pub use options::*;
pub use packed::*;
pub use prepared::*;
pub use profile::*;
pub use progress::*;
pub use qconfig::*;
pub use quantize::*;
pub use recipe::*;
pub use report::*;
pub use sensitivity::*;
pub use session::*;
pub use status::*;
pub use tensors::*;
pub use tune::*;
pub use version::*;
