//! Scale and zero point: NUMERICS sections 1 and 2.
use serde::{Deserialize, Serialize};

/// The smallest scale, 2^-23: torch's floor.
pub const SCALE_FLOOR: f32 = f32::EPSILON;

/// A quantized integer type as a user asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QType {
    /// 0..=255.
    U8,
    /// -128..=127.
    S8,
}

/// How a range becomes scale and zero point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// The whole range, any zero point.
    Affine,
    /// A range symmetric about zero: `a / 127.5` for s8.
    Symmetric,
    /// Symmetric with `a / 127` and the smallest integer -127: TensorRT's and ncnn's rule.
    RestrictedSymmetric,
}

/// Scale and zero point of a tensor held as u8: `x = (q - zero_point) * scale`.
///
/// Signed activations are held as `q + 128` with `zero_point + 128`, so kernels know one activation type.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct QParams {
    /// Real units of one integer step; finite and above zero.
    #[serde(with = "crate::tensor::f32_bits")]
    pub scale: f32,
    /// The integer that stands for 0.0.
    pub zero_point: i32,
}

impl QParams {
    /// `clamp(z + rne(x / s), qmin, qmax)`, computed as `x * (1 / s)`: NUMERICS section 1. NaN gives `z`, the infinities the ends.
    pub fn quantize(self, x: f32, qmin: i32, qmax: i32) -> i32 {
        quantize_value(x, 1.0 / self.scale, self.zero_point, qmin, qmax)
    }

    /// `(q - z) * s`.
    pub fn dequantize(self, q: i32) -> f32 {
        (q - self.zero_point) as f32 * self.scale
    }
}

/// Quantizes one value with the inverse scale at hand: NUMERICS section 1.
#[inline(always)]
pub fn quantize_value(x: f32, inverse_scale: f32, zero_point: i32, qmin: i32, qmax: i32) -> i32 {
    let scaled = x * inverse_scale;
    if scaled.is_nan() {
        return zero_point;
    }
    // Clamped as a float first: an out-of-range conversion is INT_MIN on x86.
    let (low, high) = ((qmin - zero_point) as f32, (qmax - zero_point) as f32);
    zero_point + scaled.clamp(low, high).round_ties_even() as i32
}
