//! Activations and arithmetic, element by element.
use super::Imported;
use crate::error::{Error, Result};
use crate::graph::{Binary, Bounds, Op, Unary};
use crate::onnx::import::{Importer, NodeReader, of_first_input};

fn unary(unary: Unary, node: &NodeReader, importer: &mut Importer) -> Result<Imported> {
    node.at_most(1)?;
    of_first_input(Op::Unary(unary), node, importer)
}

/// `Relu`.
pub fn relu(node: &mut NodeReader, importer: &mut Importer) -> Result<Imported> {
    unary(Unary::Clamp(Bounds::RELU), node, importer)
}

/// `LeakyRelu`.
pub fn leaky_relu(node: &mut NodeReader, importer: &mut Importer) -> Result<Imported> {
    let alpha = node.attributes.float("alpha", 0.01)?;
    unary(Unary::LeakyRelu { alpha }, node, importer)
}

/// `Sigmoid`.
pub fn sigmoid(node: &mut NodeReader, importer: &mut Importer) -> Result<Imported> {
    unary(Unary::Sigmoid, node, importer)
}

/// `HardSigmoid`.
pub fn hard_sigmoid(node: &mut NodeReader, importer: &mut Importer) -> Result<Imported> {
    let (alpha, beta) = (node.attributes.float("alpha", 0.2)?, node.attributes.float("beta", 0.5)?);
    unary(Unary::HardSigmoid { alpha, beta }, node, importer)
}

/// `HardSwish`.
pub fn hard_swish(node: &mut NodeReader, importer: &mut Importer) -> Result<Imported> {
    unary(Unary::HardSwish, node, importer)
}

/// `Clip`: bounds are attributes before opset 11, then inputs; one that is left out is open.
pub fn clip(node: &mut NodeReader, importer: &mut Importer) -> Result<Imported> {
    node.at_most(3)?;
    let (low, high) = if importer.opset < 11 {
        (node.attributes.optional_float("min")?, node.attributes.optional_float("max")?)
    } else {
        let mut bound = |index| node.input(index).map(|name| importer.constant(name)?.scalar()).transpose();
        (bound(1)?, bound(2)?)
    };
    let bounds = Bounds { low: low.unwrap_or(f32::NEG_INFINITY), high: high.unwrap_or(f32::INFINITY) };
    if bounds.low.is_nan() || bounds.high.is_nan() {
        return Err(Error::NotFinite("a bound is NaN".to_owned()));
    }
    let op = if bounds == Bounds::NONE { Op::Identity } else { Op::Unary(Unary::Clamp(bounds)) };
    of_first_input(op, node, importer)
}

fn binary(binary: Binary, node: &NodeReader, importer: &mut Importer) -> Result<Imported> {
    node.at_most(2)?;
    let (a, b) = (importer.value(node.required(0)?)?, importer.value(node.required(1)?)?);
    Ok(Imported::Node(Op::Binary(binary, Bounds::NONE), vec![a, b]))
}

/// `Add`.
pub fn add(node: &mut NodeReader, importer: &mut Importer) -> Result<Imported> {
    binary(Binary::Add, node, importer)
}

/// `Sub`.
pub fn sub(node: &mut NodeReader, importer: &mut Importer) -> Result<Imported> {
    binary(Binary::Sub, node, importer)
}

/// `Mul`.
pub fn mul(node: &mut NodeReader, importer: &mut Importer) -> Result<Imported> {
    binary(Binary::Mul, node, importer)
}
