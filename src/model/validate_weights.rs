//! The constants of convolutions and linear layers: do their dtypes and lengths fit the layer?
use super::validate::{is_quantized, refused};
use crate::error::Result;
use crate::graph::{ConstantId, ConvWeights, Graph, ValueType};
use crate::packed::{K_GROUP, PANEL_CHANNELS, SLACK_BYTES, WeightShape};
use crate::tensor::DType;

/// The most products whose sum is exact in i32: `65793 * 255 * 128 < 2^31` (NUMERICS section 5).
const MAX_TERMS: usize = 65_793;

/// Elements that a layer's constants have.
#[derive(Debug, Clone, Copy)]
struct WeightCounts {
    /// Products of one output.
    terms: usize,
    /// Output channels, those of each block padded to 16: entries of a per-channel table.
    table: usize,
    /// Sums of the weights of a tap, for all taps.
    tap_sums: usize,
    /// Floats of the f32 panels.
    f32_panels: usize,
    /// Bytes of the int8 panels with the slack behind them.
    s8_panels: usize,
}

impl WeightCounts {
    /// Counts for `groups` groups of that shape, a block each; a depthwise layer has one block of all channels. `None`
    /// if one overflows.
    fn of(group: WeightShape, groups: usize, depthwise: bool) -> Option<Self> {
        let WeightShape { oc, taps, ic } = group;
        let table = match depthwise {
            true => groups.checked_next_multiple_of(PANEL_CHANNELS)?,
            false => oc.checked_next_multiple_of(PANEL_CHANNELS)?.checked_mul(groups)?,
        };
        // A depthwise layer has one input channel, which is not padded.
        let k_of_tap = if depthwise { 1 } else { ic.checked_next_multiple_of(K_GROUP)? };
        let tap_sums = table.checked_mul(taps)?;
        Some(Self {
            terms: taps.checked_mul(ic)?,
            table,
            tap_sums,
            f32_panels: tap_sums.checked_mul(ic)?,
            s8_panels: tap_sums.checked_mul(k_of_tap)?.checked_add(SLACK_BYTES)?,
        })
    }
}

/// Verifies a layer's packed constants, and the types of its inputs (x, and perhaps a residual) and output. Plain float
/// weights are verified with every graph.
pub(super) fn check_weights(
    graph: &Graph,
    weights: &ConvWeights,
    shape: WeightShape,
    groups: usize,
    depthwise: bool,
    inputs: impl Iterator<Item = ValueType> + Clone,
    dst: ValueType,
) -> Result<()> {
    check_types(weights, depthwise, inputs, dst)?;
    check_constants(graph, weights, shape, groups, depthwise)
}

/// Verifies the dtypes and lengths of a layer's packed constants.
pub(super) fn check_constants(graph: &Graph, weights: &ConvWeights, shape: WeightShape, groups: usize, depthwise: bool) -> Result<()> {
    let counts = WeightCounts::of(shape, groups, depthwise).ok_or_else(|| refused("the number of weights overflows"))?;
    match weights {
        ConvWeights::Float { .. } => Ok(()),
        ConvWeights::PackedFloat { panels, bias } => {
            expect(graph, "panels", *panels, DType::F32, counts.f32_panels)?;
            bias.map_or(Ok(()), |bias| expect(graph, "bias", bias, DType::F32, counts.table))
        }
        ConvWeights::Static { panels, tap_sums, mult: scale, bias } | ConvWeights::Dynamic { panels, tap_sums, scale, bias } => {
            if counts.terms > MAX_TERMS {
                return Err(refused(format!("sums of {} products, more than {MAX_TERMS}, are not exact in 32 bits", counts.terms)));
            }
            expect(graph, "panels", *panels, DType::S8, counts.s8_panels)?;
            expect(graph, "tap sums", *tap_sums, DType::I32, counts.tap_sums)?;
            check_tap_sums(graph, *tap_sums, shape.ic)?;
            expect(graph, "scales", *scale, DType::F32, counts.table)?;
            expect(graph, "bias", *bias, DType::F32, counts.table)
        }
    }
}

/// Static weights take bytes of fixed qparams (of each channel, where the layer is depthwise) and give bytes or floats, dynamic ones take bytes of qparams made at run
/// time and give floats; a residual is bytes where the output is.
fn check_types(weights: &ConvWeights, depthwise: bool, mut inputs: impl Iterator<Item = ValueType> + Clone, dst: ValueType) -> Result<()> {
    let all = inputs.clone();
    let (src, residual) = (inputs.next(), inputs.next());
    let (kind, src_fits) = match weights {
        ConvWeights::Float { .. } | ConvWeights::PackedFloat { .. } => ("float", src == Some(ValueType::F32)),
        ConvWeights::Static { .. } => {
            ("static", src.is_some_and(|src| is_quantized(src) || depthwise && matches!(src, ValueType::QuantizedByChannel(_))))
        }
        ConvWeights::Dynamic { .. } => ("dynamic", src == Some(ValueType::DynamicQuantized)),
    };
    let dst_fits = dst == ValueType::F32 || (kind == "static" && is_quantized(dst));
    let residual_fits = match residual {
        Some(residual) if is_quantized(dst) => is_quantized(residual),
        Some(residual) => residual == ValueType::F32,
        None => true,
    };
    if src_fits && dst_fits && residual_fits {
        return Ok(());
    }
    Err(refused(format!("{kind} weights, but it takes {:?} and gives {dst:?}", all.collect::<Vec<_>>())))
}

/// Sums no larger than weights can make them, so that the compensation `-z_a * sum` stays in i32.
fn check_tap_sums(graph: &Graph, id: ConstantId, terms_per_tap: usize) -> Result<()> {
    let sums: &[i32] = graph.constant(id).data.cast().ok_or_else(|| refused("the tap sums are not aligned"))?;
    let limit = 128 * terms_per_tap as u64;
    match sums.iter().find(|sum| u64::from(sum.unsigned_abs()) > limit) {
        Some(sum) => Err(refused(format!("the tap sums say that {terms_per_tap} weights add up to {sum}"))),
        None => Ok(()),
    }
}

/// A constant of that dtype and number of elements.
fn expect(graph: &Graph, what: &str, id: ConstantId, dtype: DType, count: usize) -> Result<()> {
    let constant = graph.constants.get(id.index()).ok_or_else(|| refused(format!("constant {} is not there", id.0)))?;
    if constant.dtype != dtype || count.checked_mul(dtype.size_bytes()) != Some(constant.data.len()) {
        let (found, bytes) = (constant.dtype.name(), constant.data.len());
        return Err(refused(format!("its {what} are {bytes} bytes of {found}, not {count} {}", dtype.name())));
    }
    Ok(())
}
