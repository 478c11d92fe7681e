//! The graph: values, operators, shape inference and passes. Float graphs come from `onnx` or the builder; lowered
//! graphs, whose convolutions carry packed weights and whose values may be bytes, come from `passes::lower_to_int8`.
mod ir;
mod ops;
pub mod passes;
pub mod shape_inference;

pub use ir::{Constant, ConstantId, Graph, Node, QuantizedType, Value, ValueId, ValueType};
pub use ops::{Binary, Bounds, Conv2d, ConvWeights, Linear, Op, Padding, Pool, Reshape, Unary};
