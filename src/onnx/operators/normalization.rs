//! BatchNormalization, Softmax, ReduceMean.
use super::{Imported, axes};
use crate::error::{Error, Result};
use crate::graph::{BatchNorm, Op};
use crate::onnx::import::{Importer, NodeReader, of_first_input};

/// The most channels of a BatchNormalization, whose four vectors are held at once.
const MAX_CHANNELS: usize = 1 << 16;

/// `BatchNormalization` at inference: inputs x, scale, bias, mean, variance.
pub fn batch_normalization(node: &mut NodeReader, importer: &mut Importer) -> Result<Imported> {
    node.at_most(5)?;
    let epsilon = node.attributes.float("epsilon", 1e-5)?;
    node.attributes.ignore("momentum"); // of training
    if node.attributes.int("training_mode", 0)? != 0 {
        return Err(Error::Unsupported("training_mode".to_owned()));
    }
    if node.attributes.int("spatial", 1)? != 1 {
        return Err(Error::Unsupported("spatial = 0".to_owned()));
    }
    let mut vectors = Vec::with_capacity(4);
    for index in 1..=4 {
        let data = importer.constant(node.required(index)?)?;
        if data.dims.len() != 1 {
            return Err(Error::ShapeMismatch(format!("tensor '{}' has shape {:?}, not [c]", data.name, data.dims)));
        }
        if data.count > MAX_CHANNELS {
            return Err(Error::ShapeMismatch(format!("tensor '{}' has {} channels, more than {MAX_CHANNELS}", data.name, data.count)));
        }
        vectors.push(data.floats()?);
    }
    let [gamma, beta, mean, variance] = [0, 1, 2, 3].map(|index| vectors[index].as_slice());
    let (scale, shift) = BatchNorm { gamma, beta, mean, variance, epsilon }.scale_and_shift()?;
    let op = Op::ChannelAffine { scale: importer.add_vector(&scale)?, shift: importer.add_vector(&shift)? };
    of_first_input(op, node, importer)
}

/// `Softmax`: before opset 13 over `axis` and all axes behind it at once.
pub fn softmax(node: &mut NodeReader, importer: &mut Importer) -> Result<Imported> {
    node.at_most(1)?;
    let flatten = importer.opset < 13;
    let axis = node.attributes.int("axis", if flatten { 1 } else { -1 })?;
    of_first_input(Op::Softmax { axis, flatten }, node, importer)
}

/// `ReduceMean`: axes are an attribute before opset 18, then an input.
pub fn reduce_mean(node: &mut NodeReader, importer: &mut Importer) -> Result<Imported> {
    let keepdims = node.attributes.int("keepdims", 1)? != 0;
    let nothing_if_empty = importer.opset >= 18 && node.attributes.int("noop_with_empty_axes", 0)? != 0;
    let axes = axes(node, importer, 1, 18)?.unwrap_or_default();
    let op = if axes.is_empty() && nothing_if_empty { Op::Identity } else { Op::ReduceMean { axes, keepdims } };
    of_first_input(op, node, importer)
}
