//! Operators: each turns a node and the layouts of its tensors into a [`Step`] that the runtime runs. Blocking, borders
//! and the split between threads live here; inner loops are `kernels`.
mod build;
pub mod conv2d;
mod elementwise;
mod image_input;
mod layout;
mod linear_rows;
mod matmul;
mod movement;
mod pool;
mod quantization;
mod quantize_channels;
mod quantize_rows;
mod recurrent;
mod reduction;
mod step;

pub use build::{Kernels, StepInputs, build_step, copy_step};
pub use conv2d::DYNAMIC_ENTRY_BYTES;
pub use elementwise::unary_function;
pub use image_input::{ImageFloatsStep, QuantizeImageStep};
pub use layout::{Element, Order, TensorLayout};
pub use quantize_rows::QuantizeRowsStep;
pub use step::{BoundTensors, HELP_PARTS, Memory, Slot, Step, StepInfo, StepRun, Tensor};
