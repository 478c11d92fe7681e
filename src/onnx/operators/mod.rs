//! The ONNX operators, one file a family. An operator reads its attributes and constant inputs and says which graph
//! operator it is; what it does not support it refuses with [`crate::error::Error::Unsupported`].
mod constant;
mod conv;
mod elementwise;
mod linear;
mod normalization;
mod pool;
mod recurrent;
mod select;
mod shape;
mod shape_values;
mod window_attributes;

use super::import::{Importer, NodeReader};
use crate::error::Result;
use crate::graph::{Op, ValueId};
use prost::bytes::Bytes;
pub use shape_values::follow;

/// What an ONNX node becomes.
pub enum Imported {
    /// A node with these inputs.
    Node(Op, Vec<ValueId>),
    /// An encoded tensor.
    Constant(Bytes),
    /// A node for some of the outputs: the output's index, the node's name, operator and inputs.
    Outputs(Vec<(usize, String, Op, Vec<ValueId>)>),
    /// The same value under another name.
    Alias(ValueId),
    /// Integers that were made of shapes.
    ShapeValue,
    /// One number everywhere, of a shape that is not followed.
    Filled(f32),
}

/// Reads one node.
pub type Convert = fn(&mut NodeReader, &mut Importer) -> Result<Imported>;

/// The function that reads nodes of an ONNX operator; `None` for one that is not supported.
pub fn find(op_type: &str) -> Option<Convert> {
    Some(match op_type {
        "Add" => elementwise::add,
        "AveragePool" => pool::average_pool,
        "BatchNormalization" => normalization::batch_normalization,
        "Cast" => constant::cast,
        "Clip" => elementwise::clip,
        "Concat" => shape::concat,
        "Constant" => constant::constant,
        "ConstantOfShape" => shape_values::constant_of_shape,
        "Conv" => conv::conv,
        "Dropout" => constant::dropout,
        "Expand" => shape_values::expand,
        "Flatten" => shape::flatten,
        "GRU" => recurrent::gru,
        "Gather" => select::gather,
        "Gemm" => linear::gemm,
        "GlobalAveragePool" => pool::global_average_pool,
        "HardSigmoid" => elementwise::hard_sigmoid,
        "HardSwish" => elementwise::hard_swish,
        "Identity" => constant::identity,
        "LSTM" => recurrent::lstm,
        "LeakyRelu" => elementwise::leaky_relu,
        "MatMul" => linear::matmul,
        "MaxPool" => pool::max_pool,
        "Mul" => elementwise::mul,
        "Pad" => shape::pad,
        "RNN" => recurrent::rnn,
        "ReduceMean" => normalization::reduce_mean,
        "Relu" => elementwise::relu,
        "Reshape" => shape::reshape,
        "Shape" => shape_values::shape,
        "Sigmoid" => elementwise::sigmoid,
        "Slice" => select::slice,
        "Softmax" => normalization::softmax,
        "Split" => select::split,
        "Squeeze" => shape::squeeze,
        "Sub" => elementwise::sub,
        "Transpose" => shape::transpose,
        "Unsqueeze" => shape::unsqueeze,
        _ => return None,
    })
}

/// The `axes` of an operator: an attribute before opset `since`, from then on input `index`.
fn axes(node: &mut NodeReader, importer: &mut Importer, index: usize, since: i64) -> Result<Option<Vec<i64>>> {
    if importer.opset < since {
        node.at_most(index)?;
        return node.attributes.ints("axes");
    }
    node.at_most(index + 1)?;
    node.input(index).map(|name| importer.integers(name)).transpose()
}
