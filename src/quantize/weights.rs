//! Weights to s8: symmetric, min/max, one scale an output channel or one for all. NUMERICS sections 1 and 2.
use super::observer::first_non_finite;
use super::qparams::{QType, Scheme, Target, choose_qparams, quantize_value};
use crate::error::{Error, Result};
use crate::memory;
use serde::{Deserialize, Serialize};

/// What a user may ask of weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WeightQConfig {
    /// One scale an output channel; otherwise one for the tensor.
    pub per_channel: bool,
    /// `symmetric` or `restricted_symmetric`: kernels know no zero point of weights.
    pub scheme: Scheme,
    /// -64..=63.
    pub reduce_range: bool,
}

impl Default for WeightQConfig {
    /// s8, per output channel, symmetric, the full range.
    fn default() -> Self {
        WeightQConfig { per_channel: true, scheme: Scheme::Symmetric, reduce_range: false }
    }
}

impl WeightQConfig {
    /// The target of the weights.
    pub const fn target(&self) -> Target {
        Target { qtype: QType::S8, scheme: self.scheme, reduce_range: self.reduce_range }
    }
}

/// Quantized weights: `w = value * scale[oc]`.
#[derive(Debug, Clone, PartialEq)]
pub struct QuantizedWeights {
    /// `[oc, ..]`, in the order of the floats.
    pub values: Vec<i8>,
    /// `[oc]`; all equal where one scale serves the tensor.
    pub scales: Vec<f32>,
}

/// Quantizes `[out_channels, ..]` weights.
///
/// # Errors
/// [`Error::NotFinite`] naming the first NaN or infinity and its index, [`Error::ShapeMismatch`] if the values are not a
/// multiple of the channels, [`Error::InvalidArgument`] for an affine scheme.
pub fn quantize_weights(weights: &[f32], out_channels: usize, config: &WeightQConfig) -> Result<QuantizedWeights> {
    let channel_len = channel_len(weights, out_channels, config)?;
    let target = config.target();
    let scale_of = |values: &[f32]| {
        let bound = values.iter().fold(0f32, |bound, value| bound.max(value.abs()));
        choose_qparams(-bound, bound, target).map(|qparams| qparams.scale)
    };
    let mut scales = memory::reserved(out_channels, "weight scales")?;
    scales.resize(out_channels, scale_of(weights)?);
    if config.per_channel {
        for (scale, channel) in scales.iter_mut().zip(weights.chunks_exact(channel_len.max(1))) {
            *scale = scale_of(channel)?;
        }
    }
    with_scales(weights, channel_len, scales, config)
}

/// Quantizes `[out_channels, ..]` weights with scales that are known: one for each channel, or one for all where `config` says
/// per tensor.
///
/// # Errors
/// As [`quantize_weights`]; [`Error::InvalidArgument`] for another number of scales, or one that is not finite and above zero.
pub fn quantize_weights_with(weights: &[f32], out_channels: usize, scales: &[f32], config: &WeightQConfig) -> Result<QuantizedWeights> {
    let channel_len = channel_len(weights, out_channels, config)?;
    let needed = if config.per_channel { out_channels } else { 1 };
    if scales.len() != needed {
        return Err(Error::InvalidArgument(format!("{} weight scales where {needed} are needed", scales.len())));
    }
    if let Some(channel) = scales.iter().position(|scale| !(scale.is_finite() && *scale > 0.0)) {
        return Err(Error::InvalidArgument(format!("weight scale {channel} is {}, not finite and above zero", scales[channel])));
    }
    let scales = if config.per_channel { scales.to_vec() } else { vec![scales[0]; out_channels] };
    with_scales(weights, channel_len, scales, config)
}

/// Checks the weights; how many a channel has.
fn channel_len(weights: &[f32], out_channels: usize, config: &WeightQConfig) -> Result<usize> {
    if config.scheme == Scheme::Affine {
        return Err(Error::InvalidArgument("weights are symmetric: the scheme affine is not for them".into()));
    }
    if let Some(index) = first_non_finite(weights) {
        return Err(Error::NotFinite(format!("weight {} at index {index}", weights[index])));
    }
    match (out_channels, weights.len()) {
        (0, 0) => Ok(0),
        (channels, len) if channels > 0 && len.is_multiple_of(channels) => Ok(len / channels),
        (channels, len) => Err(Error::ShapeMismatch(format!("{len} weights for {channels} output channels"))),
    }
}

fn with_scales(weights: &[f32], channel_len: usize, scales: Vec<f32>, config: &WeightQConfig) -> Result<QuantizedWeights> {
    let (qmin, qmax) = config.target().range();
    let mut values = memory::reserved(weights.len(), "quantized weights")?;
    for (scale, channel) in scales.iter().zip(weights.chunks_exact(channel_len.max(1))) {
        let inverse = 1.0 / scale;
        values.extend(channel.iter().map(|&weight| quantize_value(weight, inverse, 0, qmin, qmax) as i8));
    }
    Ok(QuantizedWeights { values, scales })
}

#[cfg(test)]
mod tests {
    use super::*;

    // 8 / 127.5 rounds up, so -8.0 times its inverse lies just above -127.5.
    const WEIGHTS: [f32; 6] = [1.0, -0.5, 0.25, -8.0, 0.0, 7.9];

    #[test]
    fn each_channel_has_its_own_scale() {
        let quantized = quantize_weights(&WEIGHTS, 2, &WeightQConfig::default()).unwrap();
        assert_eq!(quantized.scales, [1.0 / 127.5, 8.0 / 127.5]);
        assert_eq!(quantized.values, [127, -64, 32, -127, 0, 126]);
    }

    #[test]
    fn one_scale_serves_the_tensor() {
        let quantized = quantize_weights(&WEIGHTS, 2, &WeightQConfig { per_channel: false, ..Default::default() }).unwrap();
        assert_eq!(quantized.scales, [8.0 / 127.5; 2]);
        assert_eq!(quantized.values, [16, -8, 4, -127, 0, 126]);
    }

    #[test]
    fn restricted_and_reduced_ranges_hold() {
        let restricted = WeightQConfig { scheme: Scheme::RestrictedSymmetric, ..Default::default() };
        assert_eq!(quantize_weights(&[-1.0, 1.0], 1, &restricted).unwrap().values, [-127, 127]);
        let reduced = WeightQConfig { reduce_range: true, ..Default::default() };
        let quantized = quantize_weights(&[-1.0, 1.0], 1, &reduced).unwrap();
        assert_eq!((quantized.values, quantized.scales), (vec![-64, 63], vec![1.0 / 63.5]));
    }

    #[test]
    fn given_scales_are_used_and_those_computed_give_the_same() {
        for per_channel in [true, false] {
            let config = WeightQConfig { per_channel, ..Default::default() };
            let computed = quantize_weights(&WEIGHTS, 2, &config).unwrap();
            let scales = if per_channel { &computed.scales[..] } else { &computed.scales[..1] };
            assert_eq!(quantize_weights_with(&WEIGHTS, 2, scales, &config).unwrap(), computed);
        }
        let doubled = quantize_weights_with(&WEIGHTS, 2, &[2.0 / 127.5, 16.0 / 127.5], &WeightQConfig::default()).unwrap();
        assert_eq!(doubled.values, [64, -32, 16, -64, 0, 63]);
        for bad in [&[1.0][..], &[1.0, 0.0], &[1.0, f32::NAN], &[1.0; 3]] {
            assert!(matches!(quantize_weights_with(&WEIGHTS, 2, bad, &WeightQConfig::default()), Err(Error::InvalidArgument(_))));
        }
    }

    #[test]
    fn dead_channels_and_extremes_are_sound() {
        let quantized = quantize_weights(&[0.0, 0.0, f32::MAX, f32::MIN, 1e-45, 0.0], 3, &WeightQConfig::default()).unwrap();
        assert_eq!(quantized.values, [0, 0, 127, -128, 0, 0]);
        assert!(quantized.scales.iter().all(|scale| scale.is_finite() && *scale > 0.0));
        assert_eq!(quantize_weights(&[], 0, &WeightQConfig::default()).unwrap().scales.len(), 0);
        assert_eq!(quantize_weights(&[], 3, &WeightQConfig::default()).unwrap().scales, [f32::EPSILON; 3]);
    }

    #[test]
    fn bad_weights_are_refused_by_index() {
        for bad in [f32::NAN, f32::INFINITY] {
            let error = quantize_weights(&[0.0, 1.0, bad], 3, &WeightQConfig::default()).unwrap_err();
            assert!(matches!(&error, Error::NotFinite(text) if text.contains("index 2")), "{error}");
        }
        assert!(matches!(quantize_weights(&[1.0; 5], 2, &WeightQConfig::default()), Err(Error::ShapeMismatch(_))));
        assert!(matches!(quantize_weights(&[1.0], 0, &WeightQConfig::default()), Err(Error::ShapeMismatch(_))));
        let affine = WeightQConfig { scheme: Scheme::Affine, ..Default::default() };
        assert!(matches!(quantize_weights(&[1.0], 1, &affine), Err(Error::InvalidArgument(_))));
    }
}
