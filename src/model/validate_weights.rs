//! The constants of convolutions and linear layers: do their lengths, types and values fit the layer?
use super::validate::{constant, refused};
use crate::error::{Error, Result};
use crate::graph::{ConstantId, Conv2d, ConvWeights, Graph, Linear, ValueType};
use crate::packed::{PANEL_CHANNELS, WeightShape};
use crate::tensor::{DType, round_up};

/// The most products whose sum is exact in i32: `65793 * 255 * 128 < 2^31` (NUMERICS section 5).
const MAX_TERMS: usize = 65_793;
/// Channels are below this.
const CHANNEL_LIMIT: usize = 1 << 31;

/// The layer's weights as its constants hold them.
#[derive(Debug, Clone, Copy)]
struct WeightCounts {
    /// Weights of the layer.
    plain: usize,
    /// Output channels of the layer.
    out_channels: usize,
    /// Products of one output.
    terms: usize,
    /// Input channels of one tap of one output.
    terms_per_tap: usize,
    /// Bytes of all int8 panels.
    panel_bytes: usize,
    /// Output channels, those of each block padded to 16.
    padded_channels: usize,
    /// Kernel positions.
    taps: usize,
}

impl WeightCounts {
    /// Counts of `groups` groups of that shape; a depthwise convolution has one block of all channels, otherwise each
    /// group is a block.
    fn of(group: WeightShape, groups: usize, depthwise: bool) -> Option<Self> {
        let WeightShape { oc, taps, ic } = group;
        let terms = taps.checked_mul(ic)?;
        let out_channels = oc.checked_mul(groups)?;
        let padded_channels = match depthwise {
            true => round_up(groups, PANEL_CHANNELS),
            false => round_up(oc, PANEL_CHANNELS).checked_mul(groups)?,
        };
        let k = match depthwise {
            true => taps,
            // A row of a panel holds 4 of `k` of 16 channels.
            false => taps.checked_mul(ic.checked_next_multiple_of(4)?)?,
        };
        Some(Self {
            plain: out_channels.checked_mul(terms)?,
            out_channels,
            terms,
            terms_per_tap: ic,
            panel_bytes: padded_channels.checked_mul(k)?,
            padded_channels,
            taps,
        })
    }
}

/// A convolution's constants, and the types of its input, residual and output.
pub(super) fn check_conv(graph: &Graph, conv: &Conv2d, src: ValueType, residual: Option<ValueType>, dst: ValueType) -> Result<()> {
    let Conv2d { out_channels, in_channels, groups, kernel, .. } = *conv;
    if groups == 0 || out_channels % groups != 0 || in_channels % groups != 0 {
        return Err(refused(format!("{groups} groups of {in_channels} input and {out_channels} output channels")));
    }
    let taps = kernel[0].checked_mul(kernel[1]).ok_or_else(|| refused("the number of weights overflows"))?;
    let shape = WeightShape { oc: out_channels / groups, taps, ic: in_channels / groups };
    check(graph, &conv.weights, shape, groups, conv.is_depthwise(), src, residual, dst)
}

/// A linear layer's constants, and the types of its input, residual and output.
pub(super) fn check_linear(graph: &Graph, linear: &Linear, src: ValueType, residual: Option<ValueType>, dst: ValueType) -> Result<()> {
    let shape = WeightShape { oc: linear.out_features, taps: 1, ic: linear.in_features };
    check(graph, &linear.weights, shape, 1, false, src, residual, dst)
}

#[allow(clippy::too_many_arguments)]
fn check(
    graph: &Graph,
    weights: &ConvWeights,
    shape: WeightShape,
    groups: usize,
    depthwise: bool,
    src: ValueType,
    residual: Option<ValueType>,
    dst: ValueType,
) -> Result<()> {
    let legal = 1..CHANNEL_LIMIT;
    if !legal.contains(&shape.oc) || !legal.contains(&shape.ic) || !legal.contains(&groups) {
        return Err(refused(format!("{groups} groups of {} input and {} output channels", shape.ic, shape.oc)));
    }
    let counts = WeightCounts::of(shape, groups, depthwise).ok_or_else(|| refused("the number of weights overflows"))?;
    check_types(weights, src, residual, dst)?;
    match weights {
        ConvWeights::Float { weight, bias } => {
            floats(graph, "weight", *weight, counts.plain)?;
            bias.map_or(Ok(()), |bias| floats(graph, "bias", bias, counts.out_channels))
        }
        ConvWeights::Static { panels, tap_sums, mult: scale, bias } | ConvWeights::Dynamic { panels, tap_sums, scale, bias } => {
            if counts.terms > MAX_TERMS {
                return Err(refused(format!("sums of {} products, more than {MAX_TERMS}, are not exact in 32 bits", counts.terms)));
            }
            expect(graph, "panels", *panels, DType::S8, counts.panel_bytes)?;
            let sums = counts.taps.checked_mul(counts.padded_channels).ok_or_else(|| refused("the number of sums overflows"))?;
            expect(graph, "tap_sums", *tap_sums, DType::I32, sums)?;
            check_tap_sums(graph, *tap_sums, counts.terms_per_tap)?;
            finite_floats(graph, "multipliers", *scale, counts.padded_channels)?;
            finite_floats(graph, "bias", *bias, counts.padded_channels)
        }
    }
}

/// Static weights take bytes of fixed qparams and give bytes or floats, dynamic ones take bytes of qparams made at run
/// time and give floats; a residual is what the output is.
fn check_types(weights: &ConvWeights, src: ValueType, residual: Option<ValueType>, dst: ValueType) -> Result<()> {
    let is_quantized = |ty: ValueType| matches!(ty, ValueType::Quantized(_));
    let fits = match weights {
        ConvWeights::Float { .. } => src == ValueType::F32 && dst == ValueType::F32,
        ConvWeights::Static { .. } => is_quantized(src) && (is_quantized(dst) || dst == ValueType::F32),
        ConvWeights::Dynamic { .. } => src == ValueType::DynamicQuantized && dst == ValueType::F32,
    };
    let residual_fits =
        residual.is_none_or(|residual| is_quantized(residual) == is_quantized(dst) && residual != ValueType::DynamicQuantized);
    if !fits || !residual_fits {
        let kind = match weights {
            ConvWeights::Float { .. } => "float",
            ConvWeights::Static { .. } => "static",
            ConvWeights::Dynamic { .. } => "dynamic",
        };
        return Err(refused(format!("{kind} weights for input {src:?}, residual {residual:?}, output {dst:?}")));
    }
    Ok(())
}

/// Sums no larger than weights can make them, so that the compensation `-z_a * sum` stays in i32.
fn check_tap_sums(graph: &Graph, id: ConstantId, terms_per_tap: usize) -> Result<()> {
    let limit = 128 * terms_per_tap as u64;
    let sums: &[i32] = constant(graph, id)?.data.cast().ok_or_else(|| refused("tap_sums are not aligned"))?;
    match sums.iter().find(|sum| u64::from(sum.unsigned_abs()) > limit) {
        Some(sum) => Err(refused(format!("a sum of {terms_per_tap} weights is {sum}"))),
        None => Ok(()),
    }
}

fn floats(graph: &Graph, what: &str, id: ConstantId, count: usize) -> Result<()> {
    expect(graph, what, id, DType::F32, count)
}

fn finite_floats(graph: &Graph, what: &str, id: ConstantId, count: usize) -> Result<()> {
    floats(graph, what, id, count)?;
    match constant(graph, id)?.as_f32()?.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(Error::NotFinite(format!("{what} of channel {index}"))),
        None => Ok(()),
    }
}

fn expect(graph: &Graph, what: &str, id: ConstantId, dtype: DType, count: usize) -> Result<()> {
    let constant = constant(graph, id)?;
    let bytes = count.checked_mul(dtype.size_bytes());
    if constant.dtype != dtype || bytes != Some(constant.data.len()) {
        let (found, length) = (constant.dtype.name(), constant.data.len());
        return Err(refused(format!("{what} are {length} bytes of {found}, not {count} {}", dtype.name())));
    }
    Ok(())
}
