//! Is a lowered graph one that may be planned and run? What a checksum cannot say, as a file may be made by anybody.
use super::validate_weights::{check_conv, check_linear};
use crate::error::{Error, Result};
use crate::graph::{Bounds, Constant, ConstantId, Graph, Node, Op, Padding, Pool, Unary, ValueId, ValueType};
use crate::quantize::QParams;
use crate::tensor::{DType, element_count};
use std::collections::HashSet;

/// Sizes, strides, dilations and paddings are below this, so that sums of a few of them do not overflow.
const ATTRIBUTE_LIMIT: usize = 1 << 31;

/// Verifies a lowered graph: ids, execution order, unique names, qparams, attributes, what values each operator takes,
/// and dtype and length of every constant.
///
/// Shapes of activations are the business of shape inference, as they depend on the caller's input.
///
/// # Errors
/// [`Error::Graph`] naming the node, value or constant; [`Error::NotFinite`] for a multiplier, bias or scale that is not a
/// finite number; [`Error::OutOfMemory`].
pub fn validate(graph: &Graph) -> Result<()> {
    for (index, constant) in graph.constants.iter().enumerate() {
        let bytes = element_count(&constant.dims).and_then(|count| count.checked_mul(constant.dtype.size_bytes()));
        if bytes != Some(constant.data.len()) {
            let (dtype, dims, found) = (constant.dtype.name(), &constant.dims, constant.data.len());
            return Err(refused(format!("constant {index} is {dtype} of shape {dims:?} and has {found} bytes")));
        }
    }
    unique("value", graph.values.iter().map(|value| value.name.as_str()))?;
    unique("node", graph.nodes.iter().map(|node| node.name.as_str()))?;

    let mut defined = Vec::new();
    let no_memory = |_| Error::OutOfMemory { what: "a model's values".into(), bytes: graph.values.len() };
    defined.try_reserve_exact(graph.values.len()).map_err(no_memory)?;
    for value in &graph.values {
        if let ValueType::Quantized(qparams) = value.ty {
            check_qparams(&value.name, qparams)?;
        }
        if let Some(id) = value.constant {
            check_constant_value(&value.name, value.ty, constant(graph, id)?)?;
        }
        if element_count(&value.declared.iter().map(|dim| dim.unwrap_or(1)).collect::<Vec<_>>()).is_none() {
            return Err(refused(format!("the shape of value \"{}\" overflows", value.name)));
        }
        defined.push(value.constant.is_some());
    }
    for &input in &graph.inputs {
        define(graph, &mut defined, input)?;
        if graph.value(input).ty == ValueType::DynamicQuantized {
            return Err(refused(format!("input \"{}\" has no qparams", graph.value(input).name)));
        }
    }
    for node in &graph.nodes {
        node.inputs.iter().try_for_each(|&input| must_be_defined(graph, &defined, input))?;
        define(graph, &mut defined, node.output)?;
        let in_node = |error| match error {
            Error::Graph(text) => refused(format!("node \"{}\" ({}): {text}", node.name, node.op.name())),
            Error::NotFinite(text) => Error::NotFinite(format!("node \"{}\" ({}): {text}", node.name, node.op.name())),
            other => other,
        };
        check_node(graph, node).map_err(in_node)?;
    }
    for &output in &graph.outputs {
        must_be_defined(graph, &defined, output)?;
        if graph.value(output).ty == ValueType::DynamicQuantized {
            return Err(refused(format!("output \"{}\" has no qparams", graph.value(output).name)));
        }
    }
    Ok(())
}

pub(super) fn refused(text: impl Into<String>) -> Error {
    Error::Graph(text.into())
}

/// The constant with that id.
pub(super) fn constant(graph: &Graph, id: ConstantId) -> Result<&Constant> {
    graph.constants.get(id.index()).ok_or_else(|| refused(format!("constant {} of {}", id.0, graph.constants.len())))
}

fn unique<'a>(what: &str, names: impl ExactSizeIterator<Item = &'a str>) -> Result<()> {
    let mut seen = HashSet::new();
    let bytes = names.len().saturating_mul(size_of::<&str>());
    seen.try_reserve(names.len()).map_err(|_| Error::OutOfMemory { what: format!("{what} names"), bytes })?;
    for name in names {
        if !seen.insert(name) {
            return Err(refused(format!("two {what}s have the name \"{name}\"")));
        }
    }
    Ok(())
}

fn must_be_defined(graph: &Graph, defined: &[bool], id: ValueId) -> Result<()> {
    match defined.get(id.index()) {
        Some(true) => Ok(()),
        Some(false) => Err(refused(format!("value \"{}\" is read before a node computes it", graph.value(id).name))),
        None => Err(refused(format!("value {} of {}", id.0, defined.len()))),
    }
}

/// An input or a node's output: nothing else defines it.
fn define(graph: &Graph, defined: &mut [bool], id: ValueId) -> Result<()> {
    let count = defined.len();
    let known = defined.get_mut(id.index()).ok_or_else(|| refused(format!("value {} of {count}", id.0)))?;
    if std::mem::replace(known, true) {
        return Err(refused(format!("value \"{}\" is defined twice", graph.value(id).name)));
    }
    Ok(())
}

fn check_qparams(name: &str, qparams: QParams) -> Result<()> {
    let QParams { scale, zero_point } = qparams;
    if !scale.is_finite() || scale <= 0.0 || !(0..=255).contains(&zero_point) {
        return Err(refused(format!("value \"{name}\" has scale {scale} and zero point {zero_point}")));
    }
    Ok(())
}

fn check_constant_value(name: &str, ty: ValueType, constant: &Constant) -> Result<()> {
    match (ty, constant.dtype) {
        (ValueType::F32, DType::F32) | (ValueType::Quantized(_), DType::U8) => Ok(()),
        (_, dtype) => Err(refused(format!("value \"{name}\" cannot be a constant of {}", dtype.name()))),
    }
}

fn check_node(graph: &Graph, node: &Node) -> Result<()> {
    check_attributes(graph, &node.op)?;
    let count = node.inputs.len();
    let allowed = match node.op {
        Op::Conv2d(_) | Op::Linear(_) => 1..=2,
        Op::MatMul | Op::Binary(..) => 2..=2,
        Op::Concat { .. } => 1..=usize::MAX,
        _ => 1..=1,
    };
    if !allowed.contains(&count) {
        return Err(refused(format!("{count} inputs")));
    }
    let ty = |id: ValueId| graph.value(id).ty;
    let (src, dst) = (ty(node.inputs[0]), ty(node.output));
    let is_float = |ty: ValueType| ty == ValueType::F32;
    let is_quantized = |ty: ValueType| matches!(ty, ValueType::Quantized(_));
    let fits = match &node.op {
        Op::Conv2d(conv) => return check_conv(graph, conv, src, node.inputs.get(1).map(|&id| ty(id)), dst),
        Op::Linear(linear) => return check_linear(graph, linear, src, node.inputs.get(1).map(|&id| ty(id)), dst),
        Op::Quantize => is_float(src) && is_quantized(dst),
        Op::Dequantize => is_quantized(src) && is_float(dst),
        Op::DynamicQuantize => is_float(src) && dst == ValueType::DynamicQuantized,
        Op::Lookup(_) => is_quantized(src) && is_quantized(dst),
        Op::MatMul | Op::ChannelAffine { .. } | Op::Softmax { .. } => node.inputs.iter().all(|&id| is_float(ty(id))) && is_float(dst),
        Op::Unary(unary) if !matches!(unary, Unary::Clamp(_)) => is_float(src) && is_float(dst),
        // These move bytes, whose meaning must stay (NUMERICS section 5: tied qparams).
        Op::MaxPool(_) | Op::Reshape(_) | Op::Transpose(_) | Op::Identity => src == dst && src != ValueType::DynamicQuantized,
        // All float or all bytes.
        Op::Unary(_)
        | Op::Binary(..)
        | Op::AveragePool(_)
        | Op::GlobalAveragePool
        | Op::ReduceMean { .. }
        | Op::Concat { .. }
        | Op::Pad { .. } => {
            let all = |is: fn(ValueType) -> bool| node.inputs.iter().all(|&id| is(ty(id))) && is(dst);
            all(|ty| ty == ValueType::F32) || all(|ty| matches!(ty, ValueType::Quantized(_)))
        }
    };
    if !fits {
        return Err(refused(format!("inputs are {:?}, the output {dst:?}", node.inputs.iter().map(|&id| ty(id)).collect::<Vec<_>>())));
    }
    Ok(())
}

fn check_attributes(graph: &Graph, op: &Op) -> Result<()> {
    match op {
        Op::Conv2d(conv) => {
            check_window(conv.kernel, conv.strides, conv.dilations, conv.padding)?;
            check_bounds(conv.bounds)
        }
        Op::Linear(linear) => check_bounds(linear.bounds),
        Op::Binary(_, bounds) | Op::Unary(Unary::Clamp(bounds)) => check_bounds(*bounds),
        Op::Unary(Unary::LeakyRelu { alpha }) => finite("alpha", *alpha),
        Op::Unary(Unary::HardSigmoid { alpha, beta }) => finite("alpha", *alpha).and_then(|()| finite("beta", *beta)),
        Op::MaxPool(pool) | Op::AveragePool(pool) => check_pool(pool),
        Op::Lookup(table) => {
            let table = constant(graph, *table)?;
            if table.dtype != DType::U8 || table.data.len() != 256 {
                return Err(refused(format!("a table of {} {}, not of 256 u8", table.data.len(), table.dtype.name())));
            }
            Ok(())
        }
        Op::ChannelAffine { scale, shift } => {
            let (scale, shift) = (constant(graph, *scale)?.as_f32(), constant(graph, *shift)?.as_f32());
            match (scale, shift) {
                (Ok(scale), Ok(shift)) if scale.len() == shift.len() => Ok(()),
                _ => Err(refused("scale and shift are not f32 of one length")),
            }
        }
        Op::Transpose(perm) => {
            let mut sorted = perm.clone();
            sorted.sort_unstable();
            match sorted.iter().copied().eq(0..perm.len()) {
                true => Ok(()),
                false => Err(refused(format!("{perm:?} is not a permutation"))),
            }
        }
        Op::Pad { before, after, .. } if before.len() != after.len() => {
            Err(refused(format!("pads {} axes before and {} after", before.len(), after.len())))
        }
        _ => Ok(()),
    }
}

fn check_pool(pool: &Pool) -> Result<()> {
    check_window(pool.kernel, pool.strides, pool.dilations, pool.padding)?;
    if let Padding::Explicit { top, left, bottom, right } = pool.padding {
        let [height, width] = [0, 1].map(|axis| (pool.kernel[axis] - 1) * pool.dilations[axis] + 1);
        // Otherwise a window would hold no pixel.
        if top.max(bottom) >= height || left.max(right) >= width {
            return Err(refused(format!("padding {:?} around a window of {height} x {width}", [top, left, bottom, right])));
        }
    }
    Ok(())
}

fn check_window(kernel: [usize; 2], strides: [usize; 2], dilations: [usize; 2], padding: Padding) -> Result<()> {
    for (what, [vertical, horizontal]) in [("kernel", kernel), ("strides", strides), ("dilations", dilations)] {
        let legal = 1..ATTRIBUTE_LIMIT;
        if !legal.contains(&vertical) || !legal.contains(&horizontal) {
            return Err(refused(format!("{what} [{vertical}, {horizontal}]")));
        }
    }
    match padding {
        Padding::Explicit { top, left, bottom, right } if [top, left, bottom, right].iter().any(|&side| side >= ATTRIBUTE_LIMIT) => {
            Err(refused(format!("padding {:?}", [top, left, bottom, right])))
        }
        _ => Ok(()),
    }
}

fn check_bounds(bounds: Bounds) -> Result<()> {
    // False for NaN too.
    if bounds.low <= bounds.high { Ok(()) } else { Err(refused(format!("bounds {} to {}", bounds.low, bounds.high))) }
}

fn finite(what: &str, value: f32) -> Result<()> {
    if value.is_finite() { Ok(()) } else { Err(Error::NotFinite(format!("{what} is {value}"))) }
}
