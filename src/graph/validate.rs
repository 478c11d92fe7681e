//! The checks that every graph passes, whether it was imported, built or read from a model file.
use super::ir::{Constant, ConstantId, Graph, Node};
use super::ops::{Bounds, Conv2d, ConvWeights, Linear, Op, Padding, Pool, Slice, Unary};
use super::recurrent::{Recurrent, RecurrentCell, RecurrentOutput};
use super::shape_inference::{MAX_RANK, infer_shapes};
use crate::error::{Error, Result};
use crate::memory;
use crate::tensor::{DType, element_count};
use std::collections::HashSet;

/// The largest kernel, stride, dilation, padding or channel count: sums of a few of them stay far from overflow.
const MAX_EXTENT: usize = i32::MAX as usize;

fn graph_error<T>(text: impl Into<String>) -> Result<T> {
    Err(Error::Graph(text.into()))
}

/// Checks that `graph` is well formed: ids in range, unique names, nodes in execution order, each value with one source,
/// operators with legal attributes and constants of the right type, shape and finite content. If all dimensions of all
/// inputs are declared, the shapes are inferred as well.
///
/// # Errors
/// [`Error::Graph`], [`Error::ShapeMismatch`], [`Error::DTypeMismatch`] or [`Error::NotFinite`], naming the culprit.
pub fn validate(graph: &Graph) -> Result<()> {
    check_constants(graph)?;
    check_values(graph)?;
    check_order(graph)?;
    for node in &graph.nodes {
        memory::checkpoint()?;
        check_operator(graph, node).map_err(|error| name_node(error, node))?;
    }
    let declared: Option<Vec<Vec<usize>>> = graph.inputs.iter().map(|&id| graph.value(id).declared.iter().copied().collect()).collect();
    declared.map_or(Ok(()), |inputs| infer_shapes(graph, &inputs).map(drop))
}

/// `error` with the node's name and operator in front.
pub fn name_node(error: Error, node: &Node) -> Error {
    let named = |text: String| format!("node '{}' ({}): {text}", node.name, node.op.name());
    match error {
        Error::Graph(text) => Error::Graph(named(text)),
        Error::ShapeMismatch(text) => Error::ShapeMismatch(named(text)),
        Error::DTypeMismatch(text) => Error::DTypeMismatch(named(text)),
        Error::NotFinite(text) => Error::NotFinite(named(text)),
        Error::InvalidArgument(text) => Error::InvalidArgument(named(text)),
        other => other,
    }
}

fn check_constants(graph: &Graph) -> Result<()> {
    for (index, constant) in graph.constants.iter().enumerate() {
        let bytes = element_count(&constant.dims).and_then(|count| count.checked_mul(constant.dtype.size_bytes()));
        if constant.dims.len() > MAX_RANK || bytes != Some(constant.data.len()) {
            let (dims, len) = (&constant.dims, constant.data.len());
            return graph_error(format!("constant {index} of shape {dims:?} has {len} bytes of {}", constant.dtype.name()));
        }
        if constant.dtype == DType::F32 {
            check_finite(constant.as_f32()?, &format!("constant {index}"))?;
        }
    }
    Ok(())
}

fn check_values(graph: &Graph) -> Result<()> {
    let mut names = HashSet::with_capacity(graph.values.len());
    for value in &graph.values {
        if !names.insert(value.name.as_str()) {
            return graph_error(format!("two values have the name '{}'", value.name));
        }
        if let Some(id) = value.constant {
            constant(graph, id)?;
        }
    }
    drop(names);
    let mut names = HashSet::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        if !names.insert(node.name.as_str()) {
            return graph_error(format!("two nodes have the name '{}'", node.name));
        }
    }
    Ok(())
}

/// Every value has one source, and every node stands after those that compute its inputs.
fn check_order(graph: &Graph) -> Result<()> {
    let mut is_there: Vec<bool> = graph.values.iter().map(|value| value.constant.is_some()).collect();
    let mut is_computed = vec![false; graph.values.len()];
    for &id in &graph.inputs {
        match is_there.get_mut(id.index()) {
            None => return graph_error(format!("an input refers to value {}, which is not there", id.0)),
            Some(there) if *there => return graph_error(format!("input '{}' is listed twice or constant", graph.value(id).name)),
            Some(there) => *there = true,
        }
        let value = graph.value(id);
        if value.declared.len() > MAX_RANK || value.declared.contains(&Some(0)) {
            return graph_error(format!("input '{}' declares a dimension of 0 or more than {MAX_RANK} axes", value.name));
        }
    }
    for node in &graph.nodes {
        for &id in &node.inputs {
            match is_there.get(id.index()) {
                None => return graph_error(format!("node '{}' reads value {}, which is not there", node.name, id.0)),
                Some(false) => {
                    let value = &graph.value(id).name;
                    return graph_error(format!("node '{}' reads '{value}' before anything computes it", node.name));
                }
                Some(true) => {}
            }
        }
        let output = node.output.index();
        match is_there.get_mut(output) {
            None => return graph_error(format!("node '{}' writes value {output}, which is not there", node.name)),
            Some(true) => return graph_error(format!("value '{}' has two sources", graph.value(node.output).name)),
            Some(there) => *there = true,
        }
        is_computed[output] = true;
    }
    if graph.inputs.is_empty() || graph.outputs.is_empty() {
        return graph_error("a graph needs an input and an output");
    }
    let mut listed = HashSet::new();
    for &id in &graph.outputs {
        match is_computed.get(id.index()) {
            Some(true) if listed.insert(id) => {}
            Some(true) => return graph_error(format!("output '{}' is listed twice", graph.value(id).name)),
            Some(false) => return graph_error(format!("output '{}' is not computed by a node", graph.value(id).name)),
            None => return graph_error(format!("an output refers to value {}, which is not there", id.0)),
        }
    }
    Ok(())
}

fn check_operator(graph: &Graph, node: &Node) -> Result<()> {
    let (least, most) = match &node.op {
        Op::Conv2d(_) | Op::Linear(_) => (1, 2),
        Op::MatMul | Op::Binary(..) => (2, 2),
        Op::Concat { .. } => (1, usize::MAX),
        Op::Recurrent(recurrent) => (recurrent.input_count(), recurrent.input_count()),
        _ => (1, 1),
    };
    if node.inputs.len() < least || node.inputs.len() > most {
        return graph_error(format!("{} inputs", node.inputs.len()));
    }
    match &node.op {
        Op::Conv2d(conv) => check_conv(graph, conv),
        Op::Linear(linear) => check_linear(graph, linear),
        Op::Recurrent(recurrent) => check_recurrent(graph, recurrent),
        Op::Slice(Slice { step, .. }) if *step < 1 => graph_error(format!("a step of {step}")),
        Op::Binary(_, bounds) | Op::Unary(Unary::Clamp(bounds)) => check_bounds(*bounds),
        Op::Unary(Unary::LeakyRelu { alpha }) => check_number(*alpha),
        Op::Unary(Unary::HardSigmoid { alpha, beta }) => check_number(*alpha).and_then(|()| check_number(*beta)),
        Op::ChannelAffine { scale, shift } => {
            let channels = constant(graph, *scale)?.dims.first().copied().unwrap_or(0);
            check_floats(graph, *scale, &[channels], "scale").and_then(|()| check_floats(graph, *shift, &[channels], "shift"))
        }
        Op::Lookup(table) => match constant(graph, *table)? {
            Constant { dtype: DType::U8, data, .. } if data.len() == 256 => Ok(()),
            _ => graph_error("the table does not have 256 bytes"),
        },
        Op::MaxPool(pool) | Op::AveragePool(pool) => check_pool(pool),
        Op::Pad { before, after, value } => {
            let limit = MAX_EXTENT as u64;
            if before.len() != after.len() || before.iter().chain(after).any(|pad| pad.unsigned_abs() > limit) {
                return graph_error(format!("pads {before:?} and {after:?}"));
            }
            check_number(*value)
        }
        _ => Ok(()),
    }
}

fn check_conv(graph: &Graph, conv: &Conv2d) -> Result<()> {
    check_extents(&[conv.kernel, conv.strides, conv.dilations, [conv.groups, 1], [conv.out_channels, conv.in_channels]])?;
    check_padding(conv.padding)?;
    if !conv.in_channels.is_multiple_of(conv.groups) || !conv.out_channels.is_multiple_of(conv.groups) {
        let (input, output) = (conv.in_channels, conv.out_channels);
        return graph_error(format!("{input} input and {output} output channels do not divide into {} groups", conv.groups));
    }
    check_bounds(conv.bounds)?;
    let dims = [conv.out_channels, conv.in_channels / conv.groups, conv.kernel[0], conv.kernel[1]];
    check_weights(graph, &conv.weights, dims)
}

fn check_linear(graph: &Graph, linear: &Linear) -> Result<()> {
    check_extents(&[[linear.out_features, linear.in_features]])?;
    check_bounds(linear.bounds)?;
    check_weights(graph, &linear.weights, [linear.out_features, linear.in_features, 1, 1])
}

fn check_recurrent(graph: &Graph, layer: &Recurrent) -> Result<()> {
    let (gates, directions) = (layer.cell.gates(), layer.direction.count());
    let rows = gates.saturating_mul(layer.hidden_size);
    check_extents(&[[layer.input_size, layer.hidden_size], [rows, directions]])?;
    if layer.weights.len() != directions {
        return graph_error(format!("weights of {} directions for {directions}", layer.weights.len()));
    }
    let resets_first = layer.cell == RecurrentCell::Gru { linear_before_reset: false };
    if layer.weights.iter().any(|weights| weights.candidate.is_some() != resets_first) {
        return graph_error("weights of a candidate belong to a GRU that resets first");
    }
    let has_cell = layer.cell == RecurrentCell::Lstm;
    if !has_cell && (layer.has_initial_cell || layer.output == RecurrentOutput::Cell) {
        return graph_error("a cell state belongs to an LSTM");
    }
    let products = layer.products();
    let is_dynamic = |weights: &ConvWeights| matches!(weights, ConvWeights::Dynamic { .. });
    let is_static = |weights: &ConvWeights| matches!(weights, ConvWeights::Static { .. });
    let dynamic = products.iter().filter(|(_, weights)| is_dynamic(weights)).count();
    let expected = if layer.activation.is_some() { products.len() } else { 0 };
    if dynamic != expected || products.iter().any(|(_, weights)| is_static(weights)) {
        return graph_error("its weights are of another kind than its activations");
    }
    products.iter().try_for_each(|([oc, ic], weights)| check_weights(graph, weights, [*oc, *ic, 1, 1]))
}

fn check_weights(graph: &Graph, weights: &ConvWeights, dims: [usize; 4]) -> Result<()> {
    match weights {
        ConvWeights::Float { weight, bias } => {
            check_floats(graph, *weight, &dims, "weight")?;
            bias.map_or(Ok(()), |bias| check_floats(graph, bias, &dims[..1], "bias"))
        }
        // How long packed constants are is for `model` to say, which reads them.
        ConvWeights::PackedFloat { panels, bias } => {
            std::iter::once(panels).chain(bias).try_for_each(|id| constant(graph, *id)?.as_f32().map(drop))
        }
        ConvWeights::Static { panels, tap_sums, mult, bias } => check_packed(graph, *panels, *tap_sums, [*mult, *bias]),
        ConvWeights::Dynamic { panels, tap_sums, scale, bias } => check_packed(graph, *panels, *tap_sums, [*scale, *bias]),
    }
}

fn check_packed(graph: &Graph, panels: ConstantId, tap_sums: ConstantId, floats: [ConstantId; 2]) -> Result<()> {
    let types = [(panels, DType::S8), (tap_sums, DType::I32), (floats[0], DType::F32), (floats[1], DType::F32)];
    for (id, dtype) in types {
        let constant = constant(graph, id)?;
        if constant.dtype != dtype {
            return Err(Error::DTypeMismatch(format!("packed weights hold {}, not {}", constant.dtype.name(), dtype.name())));
        }
    }
    Ok(())
}

fn check_pool(pool: &Pool) -> Result<()> {
    check_extents(&[pool.kernel, pool.strides, pool.dilations])?;
    check_padding(pool.padding)
}

fn check_extents(pairs: &[[usize; 2]]) -> Result<()> {
    match pairs.as_flattened().iter().find(|&&extent| extent == 0 || extent > MAX_EXTENT) {
        Some(extent) => graph_error(format!("a kernel, stride, dilation, group or channel count of {extent}")),
        None => Ok(()),
    }
}

fn check_padding(padding: Padding) -> Result<()> {
    match padding {
        Padding::Explicit { top, left, bottom, right } if [top, left, bottom, right].iter().any(|&pad| pad > MAX_EXTENT) => {
            graph_error("padding is out of range")
        }
        _ => Ok(()),
    }
}

fn check_bounds(bounds: Bounds) -> Result<()> {
    // Not `low > high`: a NaN is refused too.
    if bounds.low <= bounds.high { Ok(()) } else { graph_error(format!("a clamp to {}..={}", bounds.low, bounds.high)) }
}

fn check_number(number: f32) -> Result<()> {
    if number.is_finite() { Ok(()) } else { Err(Error::NotFinite(format!("attribute {number}"))) }
}

fn constant(graph: &Graph, id: ConstantId) -> Result<&Constant> {
    graph.constants.get(id.index()).ok_or_else(|| Error::Graph(format!("constant {} is not there", id.0)))
}

fn check_floats(graph: &Graph, id: ConstantId, dims: &[usize], what: &str) -> Result<()> {
    let constant = constant(graph, id)?;
    if constant.dims != dims {
        return Err(Error::ShapeMismatch(format!("{what} has shape {:?}, expected {dims:?}", constant.dims)));
    }
    constant.as_f32().map(drop)
}

/// Refuses a NaN or an infinity in `values`; `what` names them in the error.
///
/// # Errors
/// [`Error::NotFinite`] naming the first culprit's index.
pub fn check_finite(values: &[f32], what: &str) -> Result<()> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(Error::NotFinite(format!("{what}: element {index} is {}", values[index]))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
