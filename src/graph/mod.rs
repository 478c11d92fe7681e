//! The graph: values, operators, shape inference and passes. Float graphs come from `onnx` or the builder; lowered
//! graphs, whose convolutions carry packed weights and whose values may be bytes, come from `passes::lower_to_int8`.
mod batch_norm;
mod builder;
mod ir;
mod ops;
pub mod passes;
pub mod rank_inference;
mod recurrent;
mod sample_independence;
pub mod shape_inference;
pub mod validate;
pub mod window;

pub use batch_norm::BatchNorm;
pub use builder::{Conv2dAttributes, GraphBuilder, LayerFloats, RecurrentArrays, RecurrentAttributes, RecurrentInputs, RecurrentOutputs};
pub use ir::{ChannelQuantizedType, Constant, ConstantId, Graph, Node, QuantizedType, Value, ValueId, ValueType};
pub use ops::{Binary, Bounds, Conv2d, ConvWeights, Linear, Op, Padding, Pool, Reshape, Slice, Unary};
pub use recurrent::{Direction, DirectionWeights, Recurrent, RecurrentCell, RecurrentOutput};
pub use sample_independence::keeps_samples_apart;
pub use shape_inference::infer_shapes;
pub use validate::validate;
pub use window::Window;
