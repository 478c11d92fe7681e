//! How activations are quantized in a run: NUMERICS section 6, and torch's rule for users who come from there.
use super::qconfig::Grain;
use super::qparams::{QParams, Target, choose_qparams};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// Which formula turns a range into qparams and a float into a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DynamicRule {
    /// NUMERICS sections 1 and 2: `q = z + rne(x / s)`.
    #[default]
    Native,
    /// torch's dynamic operators: the scale in f64, never below 6.1e-5, the zero point from the end of the range with the
    /// smaller error, and `q = rne(x / s + z)`.
    Torch,
}

/// How one tensor is quantized in a run, as u8, affine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DynamicQuantization {
    /// What one set of qparams is for.
    pub grain: Grain,
    /// The formula.
    pub rule: DynamicRule,
    /// Bytes 0..=127 instead of 0..=255.
    pub reduce_range: bool,
}

impl DynamicQuantization {
    /// One set a sample, the full range.
    pub const PER_SAMPLE: DynamicQuantization =
        DynamicQuantization { grain: Grain::PerSample, rule: DynamicRule::Native, reduce_range: false };

    /// A name for it, such as `per_row_torch_reduced`.
    pub fn suffix(self) -> String {
        let grain = match self.grain {
            Grain::PerSample => "per_sample",
            Grain::PerRow => "per_row",
            Grain::PerTensor => "per_tensor",
        };
        let rule = if self.rule == DynamicRule::Torch { "_torch" } else { "" };
        format!("{grain}{rule}{}", if self.reduce_range { "_reduced" } else { "" })
    }

    /// The largest byte; the smallest is 0.
    pub const fn high(self) -> u8 {
        if self.reduce_range { 127 } else { 255 }
    }

    /// Qparams for values in `min..=max`.
    ///
    /// # Errors
    /// [`Error::NotFinite`] if an end is NaN or infinite, or, by torch's rule, if their difference is; `InvalidArgument` if
    /// `min > max`.
    pub fn qparams(self, min: f32, max: f32) -> Result<QParams> {
        match self.rule {
            DynamicRule::Native => choose_qparams(min, max, Target { reduce_range: self.reduce_range, ..Target::U8_AFFINE }),
            DynamicRule::Torch => torch_qparams(min, max, i32::from(self.high())),
        }
    }
}

/// The smallest scale of torch's dynamic operators.
const TORCH_SCALE_FLOOR: f32 = 6.1e-5;

/// torch's `ChooseQuantizationParams` for bytes `0..=qmax` (ATen/native/quantized/cpu/QuantUtils.h, torch 2.8), without its
/// sparsity and power-of-two options.
fn torch_qparams(min: f32, max: f32, qmax: i32) -> Result<QParams> {
    if !min.is_finite() || !max.is_finite() {
        return Err(Error::NotFinite(format!("range {min}..{max}")));
    }
    if min > max {
        return Err(Error::InvalidArgument(format!("range {min}..{max} is empty")));
    }
    let (mut min, mut max) = (min.min(0.0), max.max(0.0));
    let qmax = f64::from(qmax);
    let mut scale = (f64::from(max) - f64::from(min)) / qmax;
    if scale as f32 == 0.0 || (1.0 / scale as f32).is_infinite() {
        scale = 0.1;
    }
    if scale < f64::from(TORCH_SCALE_FLOOR) {
        let amplifier = TORCH_SCALE_FLOOR / scale as f32;
        scale = f64::from(TORCH_SCALE_FLOOR);
        if min == 0.0 {
            max = TORCH_SCALE_FLOOR * qmax as f32;
        } else if max == 0.0 {
            min = -TORCH_SCALE_FLOOR * qmax as f32;
        } else {
            (min, max) = (min * amplifier, max * amplifier);
        }
    }
    let (low_steps, high_steps) = (f64::from(min) / scale, f64::from(max) / scale);
    // The smaller "error", as torch writes it: |qmin| - |min / s| against |qmax| - |max / s|, where qmin is 0.
    let zero_point = if -low_steps.abs() < qmax - high_steps.abs() { -low_steps } else { qmax - high_steps };
    let scale = scale as f32;
    if !scale.is_finite() {
        return Err(Error::NotFinite(format!("the width of the range {min}..{max}")));
    }
    Ok(QParams { scale, zero_point: zero_point.clamp(0.0, qmax).round_ties_even() as i32 })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TORCH: DynamicQuantization = DynamicQuantization { grain: Grain::PerTensor, rule: DynamicRule::Torch, reduce_range: true };

    #[test]
    fn the_native_rule_is_that_of_numerics_section_2() {
        let full = DynamicQuantization::PER_SAMPLE.qparams(-1.0, 3.0).unwrap();
        assert_eq!(full, choose_qparams(-1.0, 3.0, Target::U8_AFFINE).unwrap());
        let reduced = DynamicQuantization { reduce_range: true, ..DynamicQuantization::PER_SAMPLE }.qparams(-1.0, 3.0).unwrap();
        assert_eq!(reduced, QParams { scale: 4.0 / 127.0, zero_point: 32 });
    }

    #[test]
    fn torch_s_rule_is_torch_s_to_the_bit() {
        // Made by torch 2.8: torch.ops.quantized's _choose_qparams_per_tensor(x, reduce_range=True).
        let golden: [([f32; 2], f64, i32); 8] = [
            ([-1.0, 3.0], 0.031_496_062_992_125_984, 32),
            ([0.0, 1.0], 0.007_874_015_748_031_496, 0),
            ([-2.0, -1.0], 0.015_748_031_496_062_992, 127),
            ([0.0, 0.0], 0.1, 0),
            ([-1e-4, 3e-4], 6.1e-5, 32),
            ([0.0, 1e-4], 6.1e-5, 0),
            ([-1e-4, 0.0], 6.1e-5, 127),
            ([0.25, 0.75], 0.005_905_511_811_023_622, 0),
        ];
        for ([min, max], scale, zero_point) in golden {
            let found = TORCH.qparams(min, max).unwrap();
            assert_eq!((found.scale, found.zero_point), (scale as f32, zero_point), "{min}..{max}");
        }
    }

    #[test]
    fn ranges_that_are_no_ranges_are_refused() {
        for quantization in [TORCH, DynamicQuantization::PER_SAMPLE] {
            assert!(matches!(quantization.qparams(f32::NAN, 1.0), Err(Error::NotFinite(_))));
            assert!(matches!(quantization.qparams(0.0, f32::INFINITY), Err(Error::NotFinite(_))));
            assert!(matches!(quantization.qparams(1.0, 0.0), Err(Error::InvalidArgument(_))));
        }
        let widest = TORCH.qparams(f32::MIN, f32::MAX).unwrap();
        assert!(widest.scale.is_finite() && widest.zero_point == 64, "{widest:?}");
    }
}
