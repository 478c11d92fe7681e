//! Flatten, Reshape, Squeeze, Unsqueeze, Transpose, Concat, Pad.
use super::{Imported, axes};
use crate::error::{Error, Result};
use crate::graph::shape_inference::axis_index;
use crate::graph::{Op, Reshape};
use crate::onnx::import::{Importer, NodeReader, of_first_input};

/// `Flatten`.
pub fn flatten(node: &mut NodeReader, importer: &mut Importer) -> Result<Imported> {
    node.at_most(1)?;
    let axis = node.attributes.int("axis", 1)?;
    of_first_input(Op::Reshape(Reshape::Flatten(axis)), node, importer)
}

/// `Reshape` to a constant shape.
pub fn reshape(node: &mut NodeReader, importer: &mut Importer) -> Result<Imported> {
    node.at_most(2)?;
    let dims = importer.integers(node.required(1)?)?;
    if node.attributes.int("allowzero", 0)? != 0 && dims.contains(&0) {
        return Err(Error::Unsupported("allowzero with a dimension of 0".to_owned()));
    }
    of_first_input(Op::Reshape(Reshape::Dims(dims)), node, importer)
}

/// `Squeeze`: axes are an attribute before opset 13, then an input.
pub fn squeeze(node: &mut NodeReader, importer: &mut Importer) -> Result<Imported> {
    let axes = axes(node, importer, 1, 13)?.unwrap_or_default();
    of_first_input(Op::Reshape(Reshape::Squeeze(axes)), node, importer)
}

/// `Unsqueeze`: axes are an attribute before opset 13, then an input.
pub fn unsqueeze(node: &mut NodeReader, importer: &mut Importer) -> Result<Imported> {
    let axes = axes(node, importer, 1, 13)?.ok_or_else(|| Error::Graph("axes are missing".to_owned()))?;
    of_first_input(Op::Reshape(Reshape::Unsqueeze(axes)), node, importer)
}

/// `Transpose`: without `perm` the axes are reversed.
pub fn transpose(node: &mut NodeReader, importer: &mut Importer) -> Result<Imported> {
    node.at_most(1)?;
    let x = importer.value(node.required(0)?)?;
    let perm = match node.attributes.ints("perm")? {
        None => (0..importer.rank(x)?).rev().collect(),
        Some(perm) => {
            let indices: Vec<usize> = perm.iter().filter_map(|&axis| usize::try_from(axis).ok()).collect();
            let is_permutation = indices.len() == perm.len() && (0..perm.len()).all(|axis| perm.len() <= 64 && indices.contains(&axis));
            if !is_permutation {
                return Err(Error::Graph("perm is not a permutation".to_owned()));
            }
            indices
        }
    };
    Ok(Imported::Node(Op::Transpose(perm), vec![x]))
}

/// `Concat`.
pub fn concat(node: &mut NodeReader, importer: &mut Importer) -> Result<Imported> {
    let axis = node.attributes.optional_int("axis")?.ok_or_else(|| Error::Graph("axis is missing".to_owned()))?;
    let inputs = node.all_inputs()?.iter().map(|name| importer.value(name)).collect::<Result<Vec<_>>>()?;
    Ok(Imported::Node(Op::Concat { axis }, inputs))
}

/// `Pad` with a constant: pads and value are attributes before opset 11, then inputs; from opset 18 pads may be for some
/// axes only.
pub fn pad(node: &mut NodeReader, importer: &mut Importer) -> Result<Imported> {
    let mode = node.attributes.string("mode", "constant")?;
    if mode != "constant" {
        return Err(Error::Unsupported(format!("mode '{mode}'")));
    }
    let (pads, value) = if importer.opset < 11 {
        node.at_most(1)?;
        let pads = node.attributes.ints("pads")?.ok_or_else(|| Error::Graph("pads are missing".to_owned()))?;
        (pads, node.attributes.float("value", 0.0)?)
    } else {
        node.at_most(if importer.opset < 18 { 3 } else { 4 })?;
        let value = node.input(2).map(|name| importer.constant(name)?.scalar()).transpose()?.unwrap_or(0.0);
        (importer.integers(node.required(1)?)?, value)
    };
    let x = importer.value(node.required(0)?)?;
    let rank = importer.rank(x)?;
    let axes = match node.input(3) {
        None => (0..rank).collect(),
        Some(name) => importer.integers(name)?.iter().map(|&axis| axis_index(axis, rank)).collect::<Result<Vec<_>>>()?,
    };
    if Some(pads.len()) != axes.len().checked_mul(2) {
        return Err(Error::ShapeMismatch(format!("{} pads for {} axes", pads.len(), axes.len())));
    }
    let (mut before, mut after) = (vec![0; rank], vec![0; rank]);
    for (index, &axis) in axes.iter().enumerate() {
        before[axis] = pads[index];
        after[axis] = pads[axes.len() + index];
    }
    Ok(Imported::Node(Op::Pad { before, after, value }, vec![x]))
}
