//! Operators: each turns a node and the layouts of its tensors into a [`Step`] that the runtime runs. Blocking, borders
//! and the split between threads live here; inner loops are `kernels`.
pub mod conv2d;
pub mod layout;
pub mod step;

pub use layout::{Element, Order, TensorLayout};
pub use step::{BoundTensors, Memory, Slot, Step, StepInfo, StepRun, Tensor};
