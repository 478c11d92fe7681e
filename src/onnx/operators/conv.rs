//! Conv.
use super::Imported;
use super::window_attributes::{WindowAttributes, pair};
use crate::error::{Error, Result};
use crate::graph::{Bounds, Conv2d, ConvWeights, Op};
use crate::onnx::import::{Importer, NodeReader};

/// `Conv`: inputs x, weights `[oc, ic / group, kh, kw]`, bias `[oc]`.
pub fn conv(node: &mut NodeReader, importer: &mut Importer) -> Result<Imported> {
    node.at_most(3)?;
    let x = importer.value(node.required(0)?)?;
    let weight_name = node.required(1)?;
    let weight = importer.constant(weight_name)?;
    let &[out_channels, group_channels, kh, kw] = weight.dims.as_slice() else {
        return Err(match weight.dims.len() {
            3 | 5 => Error::Unsupported(format!("a {}-D convolution", weight.dims.len() - 2)),
            _ => Error::ShapeMismatch(format!("the weights have shape {:?}", weight.dims)),
        });
    };
    let weights = ConvWeights::Float {
        weight: importer.plain_constant(weight_name)?,
        bias: node.input(2).map(|bias| importer.plain_constant(bias)).transpose()?,
    };
    if pair(&mut node.attributes, "kernel_shape")?.is_some_and(|kernel| kernel != [kh, kw]) {
        return Err(Error::ShapeMismatch(format!("kernel_shape is not that of the weights {:?}", weight.dims)));
    }
    let WindowAttributes { strides, dilations, padding } = WindowAttributes::read(&mut node.attributes)?;
    let group = node.attributes.int("group", 1)?;
    let groups = usize::try_from(group).ok().filter(|&groups| groups > 0).ok_or_else(|| Error::Graph(format!("group {group}")))?;
    let in_channels = group_channels.checked_mul(groups).ok_or_else(|| Error::Graph(format!("group {group}")))?;
    let (kernel, bounds) = ([kh, kw], Bounds::NONE);
    let conv = Conv2d { weights, out_channels, in_channels, kernel, strides, dilations, padding, groups, bounds };
    Ok(Imported::Node(Op::Conv2d(conv), vec![x]))
}
