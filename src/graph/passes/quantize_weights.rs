//! From float weights to packed int8 constants.
use super::pack_float::{FloatWeights, WeightLayout};
use crate::error::{Error, Result};
use crate::graph::{Constant, ConvWeights, Graph};
use crate::memory;
use crate::packed::{PANEL_CHANNELS, SLACK_BYTES, pack_depthwise, pack_s8, tap_sums};
use crate::quantize::{QParams, QuantizedWeights};
use crate::tensor::{DType, SharedBytes, round_up};

fn constant<T: bytemuck::NoUninit>(graph: &mut Graph, values: &[T], dtype: DType) -> Result<crate::graph::ConstantId> {
    let data = SharedBytes::copy_of(values)?;
    Ok(graph.add_constant(Constant { dtype, dims: vec![values.len()], data }))
}

/// The integers of one layer in the layout that kernels read.
#[derive(Debug, Clone)]
pub struct PackedPanels {
    /// Packed panels of every group, s8, and the slack behind them.
    pub panels: SharedBytes,
    /// `[groups][taps][oc padded]` i32, depthwise `[taps][c padded]`: sums of each tap's weights.
    pub tap_sums: SharedBytes,
}

/// Packs the integers `[oc][ic / groups][taps]` of one layer.
///
/// # Errors
/// Out of memory.
pub fn pack_weights(layout: WeightLayout, values: &[i8]) -> Result<PackedPanels> {
    let (panels, sums) = panels_and_sums(layout, values)?;
    Ok(PackedPanels { panels: SharedBytes::copy_of(&panels)?, tap_sums: SharedBytes::copy_of(&sums)? })
}

fn panels_and_sums(layout: WeightLayout, values: &[i8]) -> Result<(Vec<i8>, Vec<i32>)> {
    let shape = layout.shape;
    if layout.depthwise {
        let padded = round_up(layout.groups, PANEL_CHANNELS);
        let mut panels = memory::filled(padded * shape.taps + SLACK_BYTES, 0i8, "packed weights")?;
        pack_depthwise(values, layout.groups, shape.taps, &mut panels);
        let mut sums = memory::filled(padded * shape.taps, 0i32, "sums of weights")?;
        for (channel, taps) in values.chunks(shape.taps).enumerate() {
            taps.iter().enumerate().for_each(|(tap, value)| sums[tap * padded + channel] = i32::from(*value));
        }
        return Ok((panels, sums));
    }
    let group_bytes = shape.panels() * shape.panel_bytes();
    let group_sums = shape.taps * round_up(shape.oc, PANEL_CHANNELS);
    let mut panels = memory::filled(layout.groups * group_bytes + SLACK_BYTES, 0i8, "packed weights")?;
    let mut sums = memory::filled(layout.groups * group_sums, 0i32, "sums of weights")?;
    for (group, values) in values.chunks(layout.group_len()).enumerate() {
        pack_s8(values, shape, &mut panels[group * group_bytes..][..group_bytes]);
        tap_sums(values, shape, &mut sums[group * group_sums..][..group_sums]);
    }
    Ok((panels, sums))
}

/// Panels and sums as constants of `graph`, which share their bytes.
fn add_packed(graph: &mut Graph, packed: &PackedPanels) -> (crate::graph::ConstantId, crate::graph::ConstantId) {
    let mut add = |data: &SharedBytes, dtype: DType| {
        graph.add_constant(Constant { dtype, dims: vec![data.len() / dtype.size_bytes()], data: data.clone() })
    };
    (add(&packed.panels, DType::S8), add(&packed.tap_sums, DType::I32))
}

fn finite(values: Vec<f32>, what: &str, node: &str) -> Result<Vec<f32>> {
    match values.iter().position(|value| !value.is_finite()) {
        Some(channel) => Err(Error::NotFinite(format!("node {node}: the {what} of output channel {channel} is {}", values[channel]))),
        None => Ok(values),
    }
}

/// Scales of a layer's input: one, or that of each channel of a depthwise convolution.
#[derive(Debug, Clone, Copy)]
pub enum InputScales<'a> {
    /// Of the tensor.
    One(f32),
    /// `[c]`.
    EachChannel(&'a [f32]),
}

impl InputScales<'_> {
    fn of(self, channel: usize) -> f64 {
        f64::from(match self {
            InputScales::One(scale) => scale,
            InputScales::EachChannel(scales) => scales[channel],
        })
    }
}

/// Weights for activations with fixed scales `input`. With an `output` the epilogue makes bytes: `m = (s_a * s_w) / s_y`
/// and `b = bias / s_y`; without, floats: `m = s_a * s_w`, `b = bias` (f64, rounded once: NUMERICS section 5).
///
/// # Errors
/// [`Error::NotFinite`] for a multiplier or bias that is not finite, naming node and channel; out of memory.
pub fn static_weights(
    graph: &mut Graph,
    node: &str,
    layout: WeightLayout,
    quantized: &QuantizedWeights,
    float: &FloatWeights,
    input: InputScales<'_>,
    output: Option<QParams>,
) -> Result<ConvWeights> {
    let packed = pack_weights(layout, &quantized.values)?;
    static_from_packed(graph, node, layout, &packed, &quantized.scales, &float.bias, input, output)
}

/// As [`static_weights`], from integers that are packed already; `scales` and `bias` are `[oc]`.
///
/// # Errors
/// As [`static_weights`].
#[allow(clippy::too_many_arguments)]
pub fn static_from_packed(
    graph: &mut Graph,
    node: &str,
    layout: WeightLayout,
    packed: &PackedPanels,
    scales: &[f32],
    bias: &[f32],
    input: InputScales<'_>,
    output: Option<QParams>,
) -> Result<ConvWeights> {
    let divisor = output.map_or(1.0, |output| f64::from(output.scale));
    let multiplier = |(channel, scale): (usize, &f32)| ((input.of(channel) * f64::from(*scale)) / divisor) as f32;
    let mult = finite(scales.iter().enumerate().map(multiplier).collect(), "multiplier", node)?;
    let bias = finite(bias.iter().map(|bias| (f64::from(*bias) / divisor) as f32).collect(), "bias", node)?;
    let (panels, tap_sums) = add_packed(graph, packed);
    let (mult, bias) = (constant(graph, &layout.table(&mult), DType::F32)?, constant(graph, &layout.table(&bias), DType::F32)?);
    Ok(ConvWeights::Static { panels, tap_sums, mult, bias })
}

/// Weights for activations whose qparams are solved in each run.
///
/// # Errors
/// As [`static_weights`].
pub fn dynamic_weights(
    graph: &mut Graph,
    node: &str,
    layout: WeightLayout,
    quantized: &QuantizedWeights,
    float: &FloatWeights,
) -> Result<ConvWeights> {
    dynamic_from_packed(graph, node, layout, &pack_weights(layout, &quantized.values)?, &quantized.scales, &float.bias)
}

/// As [`dynamic_weights`], from integers that are packed already; `scales` and `bias` are `[oc]`.
///
/// # Errors
/// As [`static_weights`].
pub fn dynamic_from_packed(
    graph: &mut Graph,
    node: &str,
    layout: WeightLayout,
    packed: &PackedPanels,
    scales: &[f32],
    bias: &[f32],
) -> Result<ConvWeights> {
    let scale = finite(memory::copied(scales, "scales")?, "weight scale", node)?;
    let bias = finite(memory::copied(bias, "biases")?, "bias", node)?;
    let (panels, tap_sums) = add_packed(graph, packed);
    let (scale, bias) = (constant(graph, &layout.table(&scale), DType::F32)?, constant(graph, &layout.table(&bias), DType::F32)?);
    Ok(ConvWeights::Dynamic { panels, tap_sums, scale, bias })
}
