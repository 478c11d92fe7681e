//! Gemm and MatMul. A constant right-hand matrix makes a linear layer, whose weights are `[n, k]`.
use super::Imported;
use crate::error::{Error, Result};
use crate::graph::{Bounds, ConstantId, ConvWeights, Linear, Op};
use crate::onnx::import::{Importer, NodeReader};
use crate::onnx::tensor_data::TensorData;

/// `Gemm`, `alpha * x * w + beta * c`: both factors fold into the constants. `x` is 2-D and not transposed.
pub fn gemm(node: &mut NodeReader, importer: &mut Importer) -> Result<Imported> {
    node.at_most(3)?;
    let (alpha, beta) = (node.attributes.float("alpha", 1.0)?, node.attributes.float("beta", 1.0)?);
    let is_transposed = node.attributes.int("transB", 0)? != 0;
    if node.attributes.int("transA", 0)? != 0 {
        return Err(Error::Unsupported("transA".to_owned()));
    }
    let x = importer.value(node.required(0)?)?;
    if importer.rank(x)? != 2 {
        return Err(Error::ShapeMismatch(format!("the first input has {} axes, not 2", importer.rank(x)?)));
    }
    let weight = importer.constant(node.required(1)?)?;
    let &[rows, columns] = weight.dims.as_slice() else {
        return Err(Error::ShapeMismatch(format!("the weights have shape {:?}", weight.dims)));
    };
    let (out_features, in_features) = if is_transposed { (rows, columns) } else { (columns, rows) };
    let bias = match node.input(2) {
        None => None,
        Some(name) => {
            let c = importer.constant(name)?;
            let is_row = c.dims.iter().rev().skip(1).all(|&dim| dim == 1) && c.dims.len() <= 2;
            if !is_row || (c.count != 1 && c.count != out_features) {
                return Err(Error::Unsupported(format!("a bias of shape {:?} for {out_features} outputs", c.dims)));
            }
            Some(if c.count == out_features {
                importer.add_floats(&c, |c| c.constant(&[out_features], |index| index, |value| scale(value, beta)))?
            } else {
                importer.add_filled_vector(scale(c.floats()?[0], beta), out_features)?
            })
        }
    };
    let weight = linear_weight(importer, &weight, out_features, in_features, is_transposed, alpha)?;
    let weights = ConvWeights::Float { weight, bias };
    Ok(Imported::Node(Op::Linear(Linear { weights, out_features, in_features, bounds: Bounds::NONE }), vec![x]))
}

/// `MatMul`: a linear layer if the right-hand side is a constant matrix.
pub fn matmul(node: &mut NodeReader, importer: &mut Importer) -> Result<Imported> {
    node.at_most(2)?;
    let x = importer.value(node.required(0)?)?;
    let right = node.required(1)?;
    if importer.constant_source(right).is_some() {
        let weight = importer.constant(right)?;
        if let &[in_features, out_features] = weight.dims.as_slice() {
            let weight = linear_weight(importer, &weight, out_features, in_features, false, 1.0)?;
            let weights = ConvWeights::Float { weight, bias: None };
            return Ok(Imported::Node(Op::Linear(Linear { weights, out_features, in_features, bounds: Bounds::NONE }), vec![x]));
        }
    }
    let right = importer.value(right)?;
    if importer.rank(x)? < 2 || importer.rank(right)? < 2 {
        return Err(Error::Unsupported("a product with a vector".to_owned()));
    }
    Ok(Imported::Node(Op::MatMul, vec![x, right]))
}

/// The matrix as weights `[n, k, 1, 1]`, times `alpha`.
fn linear_weight(
    importer: &mut Importer,
    data: &TensorData,
    out_features: usize,
    in_features: usize,
    is_transposed: bool,
    alpha: f32,
) -> Result<ConstantId> {
    let dims = [out_features, in_features, 1, 1];
    let place = |index: usize| if is_transposed { index } else { index % out_features * in_features + index / out_features };
    importer.add_floats(data, |data| data.constant(&dims, place, |value| scale(value, alpha)))
}

fn scale(value: f32, factor: f32) -> f32 {
    (f64::from(value) * f64::from(factor)) as f32
}
