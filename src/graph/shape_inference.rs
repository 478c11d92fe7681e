//! Output shapes from input shapes: the concrete shape of every value of a graph.
use super::ir::{Graph, Node};
use super::ops::{Op, Reshape, Slice};
use super::recurrent::Recurrent;
use super::window;
use crate::error::{Error, Result};
use crate::memory;
use crate::tensor::element_count;

pub use super::window::{Window, conv_window, output_size, pool_window, resolve_padding, window_extent};

/// The most axes that a tensor may have.
pub const MAX_RANK: usize = 8;

/// A shape for each value; `None` where it is not known.
pub type Shapes = Vec<Option<Vec<usize>>>;

fn refuse<T>(text: impl Into<String>) -> Result<T> {
    Err(Error::ShapeMismatch(text.into()))
}

/// The shape of every value, indexed like [`Graph::values`], for the inputs' shapes in the order of [`Graph::inputs`].
/// A value that no node computes and that is neither input nor constant has `None`.
///
/// # Errors
/// [`Error::ShapeMismatch`] naming the input whose shape is not the declared one, or the node that cannot take its inputs.
pub fn infer_shapes(graph: &Graph, inputs: &[Vec<usize>]) -> Result<Shapes> {
    check_declared(graph, inputs)?;
    infer_undeclared(graph, inputs)
}

/// As [`infer_shapes`], without a look at the declared shapes of the inputs.
pub(super) fn infer_undeclared(graph: &Graph, inputs: &[Vec<usize>]) -> Result<Shapes> {
    let mut shapes = seed(graph, inputs)?;
    for node in &graph.nodes {
        memory::checkpoint()?;
        let shape = node_shape(graph, node, &shapes)?;
        shapes[node.output.index()] = Some(shape);
    }
    Ok(shapes)
}

/// As [`infer_undeclared`], with `None` for what a refused node would have computed and for all that follows from it.
pub(super) fn infer_as_far_as_possible(graph: &Graph, inputs: &[Vec<usize>]) -> Result<Shapes> {
    let mut shapes = seed(graph, inputs)?;
    for node in &graph.nodes {
        memory::checkpoint()?;
        shapes[node.output.index()] = node_shape(graph, node, &shapes).ok();
    }
    Ok(shapes)
}

fn check_declared(graph: &Graph, inputs: &[Vec<usize>]) -> Result<()> {
    for (&id, shape) in graph.inputs.iter().zip(inputs) {
        let value = graph.value(id);
        let fits = value.declared.len() == shape.len()
            && value.declared.iter().zip(shape).all(|(declared, dim)| declared.is_none_or(|declared| declared == *dim));
        if !fits {
            let dims: Vec<_> = value.declared.iter().map(|dim| dim.map_or("?".to_owned(), |dim| dim.to_string())).collect();
            return refuse(format!("input '{}' has shape {shape:?}, the graph declares [{}]", value.name, dims.join(", ")));
        }
    }
    Ok(())
}

fn seed(graph: &Graph, inputs: &[Vec<usize>]) -> Result<Shapes> {
    if inputs.len() != graph.inputs.len() {
        return refuse(format!("{} input shapes for a graph of {} inputs", inputs.len(), graph.inputs.len()));
    }
    let mut shapes: Shapes = graph
        .values
        .iter()
        .map(|value| value.constant.and_then(|id| graph.constants.get(id.index())).map(|constant| constant.dims.clone()))
        .collect();
    for (&id, shape) in graph.inputs.iter().zip(inputs) {
        let Some(slot) = shapes.get_mut(id.index()) else {
            return Err(Error::Graph(format!("an input refers to value {}, which is not there", id.0)));
        };
        check_size(shape).map_err(|error| Error::ShapeMismatch(format!("input '{}': {error}", graph.value(id).name)))?;
        *slot = Some(shape.clone());
    }
    Ok(shapes)
}

/// Refuses more than [`MAX_RANK`] axes and tensors whose floats would not fit the address space.
fn check_size(shape: &[usize]) -> Result<()> {
    if shape.len() > MAX_RANK {
        return refuse(format!("{} axes, at most {MAX_RANK} are supported", shape.len()));
    }
    match element_count(shape).and_then(|count| count.checked_mul(size_of::<f32>())) {
        Some(bytes) if isize::try_from(bytes).is_ok() => Ok(()),
        _ => refuse(format!("a tensor of shape {shape:?} is too large")),
    }
}

fn node_shape(graph: &Graph, node: &Node, shapes: &Shapes) -> Result<Vec<usize>> {
    let named = |text: &str| Error::ShapeMismatch(format!("node '{}' ({}): {text}", node.name, node.op.name()));
    let mut inputs = Vec::with_capacity(node.inputs.len());
    for &id in &node.inputs {
        let shape = shapes.get(id.index()).and_then(|shape| shape.as_deref());
        inputs.push(shape.ok_or_else(|| named("the shape of an input is not known"))?);
    }
    let shape = operator_shape(graph, &node.op, &inputs).and_then(|shape| check_size(&shape).map(|()| shape));
    shape.map_err(|error| match error {
        Error::ShapeMismatch(text) => named(&text),
        other => other,
    })
}

/// The output shape of `op` on inputs of the given shapes.
///
/// # Errors
/// [`Error::ShapeMismatch`] saying what does not fit; it does not know the node's name.
pub fn operator_shape(graph: &Graph, op: &Op, inputs: &[&[usize]]) -> Result<Vec<usize>> {
    let Some(&x) = inputs.first() else {
        return refuse("an operator without inputs");
    };
    match op {
        Op::Conv2d(conv) => {
            let [n, c, h, w] = image(x)?;
            if c != conv.in_channels {
                return refuse(format!("the input has {c} channels, the weights are for {}", conv.in_channels));
            }
            let [oh, ow] = window::conv_window(conv, [h, w])?.output;
            with_residual(vec![n, conv.out_channels, oh, ow], inputs)
        }
        Op::Linear(linear) => {
            let Some((&k, leading)) = x.split_last() else {
                return refuse("the input has no axes");
            };
            if k != linear.in_features {
                return refuse(format!("the input's last axis has {k} elements, the weights are for {}", linear.in_features));
            }
            with_residual([leading, &[linear.out_features]].concat(), inputs)
        }
        Op::MatMul => matmul(x, second(inputs)?),
        Op::ChannelAffine { scale, .. } => {
            let channels = graph.constants.get(scale.index()).and_then(|scale| scale.dims.first().copied());
            match x.get(1) {
                Some(&c) if Some(c) == channels => Ok(x.to_vec()),
                _ => refuse(format!("an input of shape {x:?} does not have the {} channels of the scale", channels.unwrap_or(0))),
            }
        }
        Op::Unary(_) | Op::Lookup(_) | Op::Identity | Op::Quantize | Op::Dequantize | Op::DynamicQuantize | Op::DynamicQuantizeBy(_) => {
            Ok(x.to_vec())
        }
        Op::Slice(slice) => sliced(x, *slice),
        Op::Recurrent(layer) => recurrent(layer, inputs),
        Op::Binary(..) => broadcast(x, second(inputs)?),
        Op::MaxPool(pool) | Op::AveragePool(pool) => {
            let [n, c, h, w] = image(x)?;
            let [oh, ow] = window::pool_window(pool, [h, w])?.output;
            Ok(vec![n, c, oh, ow])
        }
        Op::GlobalAveragePool => match image(x)? {
            [_, _, 0, _] | [_, _, _, 0] => refuse("the image has no pixels"),
            [n, c, _, _] => Ok(vec![n, c, 1, 1]),
        },
        Op::ReduceMean { axes, keepdims } => reduce(x, axes, *keepdims),
        Op::Softmax { axis, .. } => axis_index(*axis, x.len()).map(|_| x.to_vec()),
        Op::Reshape(reshape) => reshaped(x, reshape),
        Op::Transpose(perm) => {
            let is_permutation = perm.len() == x.len() && (0..x.len()).all(|axis| perm.contains(&axis));
            if !is_permutation {
                return refuse(format!("perm {perm:?} does not permute {} axes", x.len()));
            }
            Ok(perm.iter().map(|&axis| x[axis]).collect())
        }
        Op::Concat { axis } => concat(*axis, inputs),
        Op::Pad { before, after, .. } => pad(x, before, after),
    }
}

/// `axis` of `rank` axes as an index; a negative one counts from the end.
///
/// # Errors
/// [`Error::ShapeMismatch`] if there is no such axis.
pub fn axis_index(axis: i64, rank: usize) -> Result<usize> {
    let index = if axis < 0 { axis.checked_add(rank as i64) } else { Some(axis) };
    match index.and_then(|index| usize::try_from(index).ok()) {
        Some(index) if index < rank => Ok(index),
        _ => refuse(format!("axis {axis} of a tensor with {rank} axes")),
    }
}

/// The shape of two tensors broadcast to each other by the numpy rule.
///
/// # Errors
/// [`Error::ShapeMismatch`] if they do not broadcast.
pub fn broadcast(a: &[usize], b: &[usize]) -> Result<Vec<usize>> {
    let rank = a.len().max(b.len());
    let dim = |shape: &[usize], axis: usize| (axis + shape.len()).checked_sub(rank).map_or(1, |axis| shape[axis]);
    let mut shape = Vec::with_capacity(rank);
    for axis in 0..rank {
        shape.push(match (dim(a, axis), dim(b, axis)) {
            (a, b) if a == b => a,
            (1, other) | (other, 1) => other,
            _ => return refuse(format!("shapes {a:?} and {b:?} do not broadcast")),
        });
    }
    Ok(shape)
}

/// Marks the axes of `axes` in a tensor of `rank` axes.
///
/// # Errors
/// [`Error::ShapeMismatch`] for an axis that is not there or listed twice.
pub fn axis_set(axes: &[i64], rank: usize) -> Result<[bool; MAX_RANK]> {
    let mut set = [false; MAX_RANK];
    if rank > MAX_RANK {
        return refuse(format!("{rank} axes, at most {MAX_RANK} are supported"));
    }
    for &axis in axes {
        let index = axis_index(axis, rank)?;
        if set[index] {
            return refuse(format!("axis {axis} is listed twice"));
        }
        set[index] = true;
    }
    Ok(set)
}

fn image(x: &[usize]) -> Result<[usize; 4]> {
    <[usize; 4]>::try_from(x).or_else(|_| refuse(format!("the input has shape {x:?}, not [n, c, h, w]")))
}

fn second<'a>(inputs: &[&'a [usize]]) -> Result<&'a [usize]> {
    inputs.get(1).copied().map_or_else(|| refuse("the second input is missing"), Ok)
}

fn with_residual(shape: Vec<usize>, inputs: &[&[usize]]) -> Result<Vec<usize>> {
    match inputs.get(1) {
        Some(&residual) if residual != shape => refuse(format!("the residual has shape {residual:?}, the output {shape:?}")),
        _ => Ok(shape),
    }
}

fn matmul(a: &[usize], b: &[usize]) -> Result<Vec<usize>> {
    let ([a_leading @ .., m, ka], [b_leading @ .., kb, n]) = (a, b) else {
        return refuse(format!("shapes {a:?} and {b:?}: both need two axes or more"));
    };
    if ka != kb {
        return refuse(format!("shapes {a:?} and {b:?}: inner axes {ka} and {kb} differ"));
    }
    let mut shape = broadcast(a_leading, b_leading)?;
    shape.extend([*m, *n]);
    Ok(shape)
}

fn reduce(x: &[usize], axes: &[i64], keepdims: bool) -> Result<Vec<usize>> {
    let listed = axis_set(axes, x.len())?;
    let mut shape = Vec::with_capacity(x.len());
    for (axis, &dim) in x.iter().enumerate() {
        if !axes.is_empty() && !listed[axis] {
            shape.push(dim);
        } else if dim == 0 {
            return refuse("the mean of no elements");
        } else if keepdims {
            shape.push(1);
        }
    }
    Ok(shape)
}

fn concat(axis: i64, inputs: &[&[usize]]) -> Result<Vec<usize>> {
    let mut shape = inputs[0].to_vec();
    let axis = axis_index(axis, shape.len())?;
    for &input in &inputs[1..] {
        let fits = input.len() == shape.len() && (0..shape.len()).all(|other| other == axis || input[other] == shape[other]);
        let sum = if fits { shape[axis].checked_add(input[axis]) } else { None };
        let Some(sum) = sum else {
            return refuse(format!("shapes {:?} and {input:?} do not join on axis {axis}", inputs[0]));
        };
        shape[axis] = sum;
    }
    Ok(shape)
}

fn sliced(x: &[usize], slice: Slice) -> Result<Vec<usize>> {
    let mut shape = x.to_vec();
    let axis = axis_index(slice.axis, x.len())?;
    shape[axis] = slice.range(x[axis]).1;
    Ok(shape)
}

fn recurrent(layer: &Recurrent, inputs: &[&[usize]]) -> Result<Vec<usize>> {
    let &[first, second, input_size] = inputs[0] else {
        return refuse(format!("an input of shape {:?}; three axes are needed", inputs[0]));
    };
    let (time, batch) = if layer.batch_first { (second, first) } else { (first, second) };
    if input_size != layer.input_size {
        return refuse(format!("the input's last axis has {input_size} elements, the weights are for {}", layer.input_size));
    }
    let directions = layer.direction.count();
    let pair = |outer: usize| if layer.batch_first { [batch, outer] } else { [outer, batch] };
    let [a, b] = pair(directions);
    let state = [a, b, layer.hidden_size];
    let expected = [(layer.has_lengths, &[batch][..]), (layer.has_initial_hidden, &state), (layer.has_initial_cell, &state)];
    let expected = expected.iter().filter(|(is_there, _)| *is_there).map(|(_, shape)| *shape);
    for (index, (input, expected)) in inputs[1..].iter().zip(expected).enumerate() {
        if *input != expected {
            return refuse(format!("input {} has shape {input:?}, expected {expected:?}", index + 1));
        }
    }
    let steps = layer.output_steps(time);
    Ok(if layer.batch_first {
        vec![batch, steps, directions, layer.hidden_size]
    } else {
        vec![steps, directions, batch, layer.hidden_size]
    })
}

fn pad(x: &[usize], before: &[i64], after: &[i64]) -> Result<Vec<usize>> {
    if before.len() != x.len() || after.len() != x.len() {
        return refuse(format!("pads for {} axes, the input has {}", before.len(), x.len()));
    }
    let mut shape = Vec::with_capacity(x.len());
    for ((&dim, &before), &after) in x.iter().zip(before).zip(after) {
        // Crops at both ends may not overlap: each leaves what the other takes.
        let size = dim.checked_add_signed(before as isize).and_then(|size| size.checked_add_signed(after as isize));
        match size {
            Some(size) if (size > 0 || dim == 0) && size.checked_sub(before.max(0) as usize + after.max(0) as usize).is_some() => {
                shape.push(size);
            }
            _ => return refuse(format!("pads {before} and {after} on an axis of {dim}")),
        }
    }
    Ok(shape)
}

fn reshaped(x: &[usize], reshape: &Reshape) -> Result<Vec<usize>> {
    match reshape {
        Reshape::Flatten(axis) => {
            let axis = if *axis == x.len() as i64 { x.len() } else { axis_index(*axis, x.len())? };
            let sizes = element_count(&x[..axis]).zip(element_count(&x[axis..]));
            sizes.map_or_else(|| refuse("the flattened shape overflows"), |(rows, columns)| Ok(vec![rows, columns]))
        }
        Reshape::Dims(dims) => reshaped_to(x, dims),
        Reshape::Squeeze(axes) => {
            let listed = axis_set(axes, x.len())?;
            let mut shape = Vec::with_capacity(x.len());
            for (axis, &dim) in x.iter().enumerate() {
                if listed[axis] && dim != 1 {
                    return refuse(format!("axis {axis} of {x:?} has more than one element"));
                }
                if !(listed[axis] || axes.is_empty() && dim == 1) {
                    shape.push(dim);
                }
            }
            Ok(shape)
        }
        Reshape::Unsqueeze(axes) => {
            let rank = x.len() + axes.len();
            let inserted = axis_set(axes, rank)?;
            let mut rest = x.iter().copied();
            Ok((0..rank).map(|axis| if inserted[axis] { 1 } else { rest.next().unwrap_or(1) }).collect())
        }
    }
}

fn reshaped_to(x: &[usize], dims: &[i64]) -> Result<Vec<usize>> {
    let misfit = || Error::ShapeMismatch(format!("a tensor of shape {x:?} cannot take the shape {dims:?}"));
    let mut shape = Vec::with_capacity(dims.len());
    let mut open = None;
    for (axis, &dim) in dims.iter().enumerate() {
        shape.push(match dim {
            -1 if open.is_none() => {
                open = Some(axis);
                1
            }
            0 => *x.get(axis).ok_or_else(misfit)?,
            dim => usize::try_from(dim).map_err(|_| misfit())?,
        });
    }
    let (total, known) = element_count(x).zip(element_count(&shape)).ok_or_else(misfit)?;
    if let Some(axis) = open {
        if known == 0 || total % known != 0 {
            return Err(misfit());
        }
        shape[axis] = total / known;
    } else if known != total {
        return Err(misfit());
    }
    Ok(shape)
}

#[cfg(test)]
mod tests;
