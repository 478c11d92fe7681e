//! Is a lowered graph one that may be planned and run? What a checksum cannot say, as a file may be made by anybody.
use super::validate_weights::{check_constants, check_weights};
use crate::error::{Error, Result};
use crate::graph::validate::name_node;
use crate::graph::{
    self, ChannelQuantizedType, ConstantId, Conv2d, Graph, Linear, Node, Op, QuantizedType, Unary, Value, ValueId, ValueType,
};
use crate::packed::WeightShape;
use crate::tensor::DType;

/// Verifies a lowered graph: all that [`graph::validate`] says of every graph, and what is true of lowered ones alone:
/// qparams, which kinds of values each operator takes and gives, and dtype and length of packed weights.
///
/// # Errors
/// [`Error::Graph`] and the other errors of [`graph::validate`], naming the node, value or constant.
pub fn validate(graph: &Graph) -> Result<()> {
    graph::validate(graph)?;
    graph.values.iter().try_for_each(|value| check_value(graph, value))?;
    for &id in graph.inputs.iter().chain(&graph.outputs) {
        let value = graph.value(id);
        if matches!(value.ty, ValueType::DynamicQuantized | ValueType::QuantizedByChannel(_)) {
            return Err(refused(format!("input or output '{}' has no qparams of its own", value.name)));
        }
    }
    graph.nodes.iter().try_for_each(|node| check_node(graph, node).map_err(|error| name_node(error, node)))
}

pub(super) fn refused(text: impl Into<String>) -> Error {
    Error::Graph(text.into())
}

fn check_value(graph: &Graph, value: &Value) -> Result<()> {
    let name = &value.name;
    if let ValueType::Quantized(QuantizedType { qparams, low, high }) = value.ty {
        let zero_is_a_byte = (i32::from(low)..=i32::from(high)).contains(&qparams.zero_point);
        if !qparams.scale.is_finite() || qparams.scale <= 0.0 || !zero_is_a_byte {
            let (scale, zero_point) = (qparams.scale, qparams.zero_point);
            return Err(refused(format!("value '{name}' has scale {scale}, zero point {zero_point} and bytes {low} to {high}")));
        }
    }
    if let ValueType::QuantizedByChannel(ty) = value.ty {
        check_channels(graph, ty).map_err(|text| refused(format!("value '{name}': {text}")))?;
    }
    match (value.constant.map(|id| graph.constant(id).dtype), value.ty) {
        (None, _) | (Some(DType::F32), ValueType::F32) | (Some(DType::U8), ValueType::Quantized(_)) => Ok(()),
        (Some(dtype), ty) => Err(refused(format!("value '{name}' is {ty:?} and cannot be a constant of {}", dtype.name()))),
    }
}

/// The tables of qparams of each channel.
fn check_channels(graph: &Graph, ty: ChannelQuantizedType) -> std::result::Result<(), String> {
    let table = |what: &str, id: ConstantId, dtype: DType| match graph.constants.get(id.index()) {
        Some(constant) if constant.dtype == dtype && constant.data.len() % 4 == 0 => Ok(constant),
        Some(constant) => Err(format!("its {what} are {} bytes of {}", constant.data.len(), constant.dtype.name())),
        None => Err(format!("constant {} is not there", id.0)),
    };
    let (scales, zero_points) = (table("scales", ty.scales, DType::F32)?, table("zero points", ty.zero_points, DType::I32)?);
    let (scales, zero_points): (Option<&[f32]>, Option<&[i32]>) = (scales.data.cast(), zero_points.data.cast());
    let (Some(scales), Some(zero_points)) = (scales, zero_points) else { return Err("its tables are not aligned".into()) };
    if scales.len() != zero_points.len() {
        return Err(format!("{} scales and {} zero points", scales.len(), zero_points.len()));
    }
    for (channel, (&scale, &zero_point)) in scales.iter().zip(zero_points).enumerate() {
        if !scale.is_finite() || scale <= 0.0 || !(i32::from(ty.low)..=i32::from(ty.high)).contains(&zero_point) {
            return Err(format!("channel {channel} has scale {scale}, zero point {zero_point} and bytes {} to {}", ty.low, ty.high));
        }
    }
    Ok(())
}

fn is_float(ty: ValueType) -> bool {
    ty == ValueType::F32
}

pub(super) fn is_quantized(ty: ValueType) -> bool {
    matches!(ty, ValueType::Quantized(_))
}

/// What kinds of values an operator takes and gives, and its weights.
fn check_node(graph: &Graph, node: &Node) -> Result<()> {
    let ty = |id: &ValueId| graph.value(*id).ty;
    let inputs = || node.inputs.iter().map(ty);
    let (src, dst) = (ty(&node.inputs[0]), ty(&node.output));
    let all = |is: fn(ValueType) -> bool| inputs().chain([dst]).all(is);
    let fits = match &node.op {
        Op::Conv2d(conv) => {
            let Conv2d { weights, groups, .. } = conv;
            if let ValueType::QuantizedByChannel(ty) = src {
                let channels = graph.constant(ty.scales).dims.iter().product::<usize>();
                if channels != conv.in_channels {
                    return Err(refused(format!("it takes bytes with qparams of {channels} channels and has {}", conv.in_channels)));
                }
            }
            return check_weights(graph, weights, conv.weight_shape(), *groups, conv.is_depthwise(), inputs(), dst);
        }
        Op::Linear(Linear { weights, out_features, in_features, .. }) => {
            let shape = WeightShape { oc: *out_features, taps: 1, ic: *in_features };
            return check_weights(graph, weights, shape, 1, false, inputs(), dst);
        }
        Op::Quantize => is_float(src) && (is_quantized(dst) || matches!(dst, ValueType::QuantizedByChannel(_))),
        Op::Dequantize => is_quantized(src) && is_float(dst),
        Op::Recurrent(layer) => {
            for ([oc, ic], weights) in layer.products() {
                check_constants(graph, weights, WeightShape { oc, taps: 1, ic }, 1, false)?;
            }
            all(is_float)
        }
        Op::DynamicQuantize | Op::DynamicQuantizeBy(_) => is_float(src) && dst == ValueType::DynamicQuantized,
        Op::Lookup(_) => all(is_quantized),
        Op::MatMul | Op::ChannelAffine { .. } | Op::Softmax { .. } => all(is_float),
        Op::Unary(unary) if !matches!(unary, Unary::Clamp(_)) => all(is_float),
        // These move bytes, which must go on to mean the same (NUMERICS section 5: tied qparams).
        Op::MaxPool(_) | Op::Reshape(_) | Op::Transpose(_) | Op::Identity => src == dst && (is_float(src) || is_quantized(src)),
        Op::Unary(_)
        | Op::Binary(..)
        | Op::AveragePool(_)
        | Op::GlobalAveragePool
        | Op::ReduceMean { .. }
        | Op::Concat { .. }
        | Op::Slice(_)
        | Op::Pad { .. } => all(is_float) || all(is_quantized),
    };
    if fits { Ok(()) } else { Err(refused(format!("it takes {:?} and gives {dst:?}", inputs().collect::<Vec<_>>()))) }
}
