//! Slice, Gather of one index, Split: parts of a tensor along its axes.
use super::Imported;
use crate::error::{Error, Result};
use crate::graph::{Op, Reshape, Slice, ValueId};
use crate::onnx::import::{Importer, NodeReader};

/// `Slice`: attributes before opset 10, then inputs. Steps are above 0.
pub fn slice(node: &mut NodeReader, importer: &mut Importer) -> Result<Imported> {
    let missing = |what: &str| Error::Graph(format!("{what} are missing"));
    let (starts, ends, axes, steps) = if importer.opset < 10 {
        node.at_most(1)?;
        let starts = node.attributes.ints("starts")?.ok_or_else(|| missing("starts"))?;
        let ends = node.attributes.ints("ends")?.ok_or_else(|| missing("ends"))?;
        (starts, ends, node.attributes.ints("axes")?, None)
    } else {
        node.at_most(5)?;
        let (starts, ends) = (importer.integers(node.required(1)?)?, importer.integers(node.required(2)?)?);
        let mut optional = |index| node.input(index).map(|name| importer.integers(name)).transpose();
        (starts, ends, optional(3)?, optional(4)?)
    };
    let axes = axes.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = steps.unwrap_or_else(|| vec![1; starts.len()]);
    if starts.len() != ends.len() || axes.len() != starts.len() || steps.len() != starts.len() {
        return Err(Error::ShapeMismatch(format!(
            "{} starts, {} ends, {} axes, {} steps",
            starts.len(),
            ends.len(),
            axes.len(),
            steps.len()
        )));
    }
    if let Some(step) = steps.iter().find(|&&step| step < 1) {
        return Err(Error::Unsupported(format!("a step of {step}")));
    }
    let x = importer.value(node.required(0)?)?;
    let mut ops: Vec<Op> =
        (0..axes.len()).map(|i| Op::Slice(Slice { axis: axes[i], start: starts[i], end: ends[i], step: steps[i] })).collect();
    let last = ops.pop().unwrap_or(Op::Identity);
    let x = chain(ops, x, node, importer);
    Ok(Imported::Node(last, vec![x]))
}

/// Nodes of which each reads the one before it.
fn chain(ops: Vec<Op>, x: ValueId, node: &NodeReader, importer: &mut Importer) -> ValueId {
    ops.into_iter().enumerate().fold(x, |x, (index, op)| {
        let name = format!("{}/{index}", node.name);
        importer.add_node(name.clone(), name, op, vec![x])
    })
}

/// `Gather` of one constant index of a computed tensor.
pub fn gather(node: &mut NodeReader, importer: &mut Importer) -> Result<Imported> {
    node.at_most(2)?;
    let axis = node.attributes.int("axis", 0)?;
    let name = node.required(1)?;
    let dims = importer.constant(name)?.dims;
    let indices = importer.integers(name)?;
    let &[index] = indices.as_slice() else {
        return Err(Error::Unsupported(format!("a Gather of {} indices", indices.len())));
    };
    if dims.len() > 1 {
        return Err(Error::Unsupported(format!("a Gather by indices of shape {dims:?}")));
    }
    let x = importer.value(node.required(0)?)?;
    // An index past the end leaves nothing, which the squeeze then refuses.
    let end = if index == -1 { i64::MAX } else { index.saturating_add(1) };
    let squeeze = Op::Reshape(Reshape::Squeeze(vec![axis]));
    let mut ops = vec![Op::Slice(Slice { axis, start: index, end, step: 1 }), squeeze];
    if dims.len() == 1 {
        ops.push(Op::Reshape(Reshape::Unsqueeze(vec![axis])));
    }
    let last = ops.pop().unwrap_or(Op::Identity);
    let x = chain(ops, x, node, importer);
    Ok(Imported::Node(last, vec![x]))
}

/// `Split` into parts of given sizes: an attribute before opset 13, then an input.
pub fn split(node: &mut NodeReader, importer: &mut Importer) -> Result<Imported> {
    node.at_most(2)?;
    let axis = node.attributes.int("axis", 0)?;
    let sizes =
        if importer.opset < 13 { node.attributes.ints("split")? } else { node.input(1).map(|name| importer.integers(name)).transpose()? };
    let sizes = sizes.ok_or_else(|| Error::Unsupported("a Split without sizes".to_owned()))?;
    if sizes.iter().any(|&size| size < 0) || sizes.len() != node.output_count() {
        return Err(Error::ShapeMismatch(format!("sizes {sizes:?} for {} outputs", node.output_count())));
    }
    let x = importer.value(node.required(0)?)?;
    let mut start = 0i64;
    let mut parts = Vec::with_capacity(sizes.len());
    for (index, size) in sizes.into_iter().enumerate() {
        let end = start.saturating_add(size);
        if node.has_output(index) {
            parts.push((index, format!("{}/{index}", node.name), Op::Slice(Slice { axis, start, end, step: 1 }), vec![x]));
        }
        start = end;
    }
    Ok(Imported::Outputs(parts))
}
