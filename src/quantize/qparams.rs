//! Scale and zero point: NUMERICS sections 1 and 2.
//!
//! [`QParams`] always speak of bytes as they are held: u8. A signed activation is held as `q + 128` with
//! `zero_point + 128`, so its ranges here are those of the type plus 128.
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// The smallest scale, 2^-23: torch's floor.
pub const SCALE_FLOOR: f32 = f32::EPSILON;

/// What a signed activation is shifted by where it is held as u8.
const SIGNED_OFFSET: i32 = 128;

/// A quantized integer type as a user asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QType {
    /// 0..=255.
    U8,
    /// -128..=127.
    S8,
}

impl QType {
    /// Smallest and largest integer: NUMERICS section 1's table.
    pub const fn range(self, reduce_range: bool) -> (i32, i32) {
        match (self, reduce_range) {
            (QType::U8, false) => (0, 255),
            (QType::U8, true) => (0, 127),
            (QType::S8, false) => (-128, 127),
            (QType::S8, true) => (-64, 63),
        }
    }

    /// What is added to an integer of this type where it is held as u8.
    pub const fn held_offset(self) -> i32 {
        match self {
            QType::U8 => 0,
            QType::S8 => SIGNED_OFFSET,
        }
    }
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

/// What a range is to be turned into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// The integer type.
    pub qtype: QType,
    /// The rule for scale and zero point.
    pub scheme: Scheme,
    /// Leave one bit unused: 0..=127 or -64..=63.
    #[serde(default)]
    pub reduce_range: bool,
}

impl Target {
    /// u8, affine, the full range: the default for activations.
    pub const U8_AFFINE: Target = Target { qtype: QType::U8, scheme: Scheme::Affine, reduce_range: false };
    /// s8, symmetric, the full range: the default for weights.
    pub const S8_SYMMETRIC: Target = Target { qtype: QType::S8, scheme: Scheme::Symmetric, reduce_range: false };

    /// Refuses what has no meaning: u8 symmetric with `reduce_range` (its zero point 128 lies outside 0..=127) and u8
    /// restricted symmetric.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] naming the combination.
    pub fn check(self) -> Result<()> {
        match (self.qtype, self.scheme, self.reduce_range) {
            (QType::U8, Scheme::Symmetric, true) => Err(Error::InvalidArgument("u8 symmetric does not go with reduce_range".into())),
            (QType::U8, Scheme::RestrictedSymmetric, _) => Err(Error::InvalidArgument("restricted_symmetric needs qtype s8".into())),
            _ => Ok(()),
        }
    }

    /// Smallest and largest integer in the type's own numbers.
    pub const fn range(self) -> (i32, i32) {
        let (qmin, qmax) = self.qtype.range(self.reduce_range);
        match self.scheme {
            Scheme::RestrictedSymmetric => (-qmax, qmax),
            Scheme::Affine | Scheme::Symmetric => (qmin, qmax),
        }
    }

    /// Smallest and largest byte as held: the `lo..=hi` of an unclamped output. 64..=191 for s8 with `reduce_range`.
    pub const fn held_range(self) -> (i32, i32) {
        let (qmin, qmax) = self.range();
        (qmin + self.qtype.held_offset(), qmax + self.qtype.held_offset())
    }

    /// `qmax - qmin`, the number of steps that a range is cut into.
    pub const fn steps(self) -> i32 {
        let (qmin, qmax) = self.range();
        qmax - qmin
    }

    /// The range is symmetric about zero.
    pub const fn is_symmetric(self) -> bool {
        !matches!(self.scheme, Scheme::Affine)
    }
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
    /// QParams from a zero point in the type's own numbers (as recipes, torch and ONNX write it).
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the scale is not finite and above zero or the zero point is outside the type.
    pub fn from_native(scale: f32, zero_point: i32, qtype: QType) -> Result<Self> {
        let (qmin, qmax) = qtype.range(false);
        if !(qmin..=qmax).contains(&zero_point) {
            return Err(Error::InvalidArgument(format!("zero point {zero_point} is outside {qmin}..={qmax}")));
        }
        let qparams = QParams { scale, zero_point: zero_point + qtype.held_offset() };
        qparams.check()?;
        Ok(qparams)
    }

    /// The zero point in the type's own numbers: 0 for symmetric s8.
    pub const fn native_zero_point(self, qtype: QType) -> i32 {
        self.zero_point - qtype.held_offset()
    }

    /// Refuses a scale that is not finite and above zero, and a zero point outside 0..=255.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] with the value.
    pub fn check(self) -> Result<()> {
        if !(self.scale.is_finite() && self.scale > 0.0) {
            return Err(Error::InvalidArgument(format!("scale {} is not finite and above zero", self.scale)));
        }
        if !(0..=255).contains(&self.zero_point) {
            return Err(Error::InvalidArgument(format!("zero point {} is outside 0..=255", self.zero_point)));
        }
        Ok(())
    }

    /// `clamp(z + rne(x * (1 / s)), qmin, qmax)`: NUMERICS section 1. NaN gives `z`, the infinities the ends.
    pub fn quantize(self, x: f32, qmin: i32, qmax: i32) -> i32 {
        quantize_value(x, 1.0 / self.scale, self.zero_point, qmin, qmax)
    }

    /// `(q - z) * s`.
    pub fn dequantize(self, q: i32) -> f32 {
        (q - self.zero_point) as f32 * self.scale
    }
}

/// Quantizes one value with the inverse scale at hand: NUMERICS section 1.
///
/// Ties go to the even integer before `z` is added; a NaN gives `z` itself, also where `qmin..=qmax` leaves it out; the
/// infinities give the ends. The three integers are those of 8-bit types (below 2^24, so exact as f32) and `qmin <= qmax`.
#[inline(always)]
pub fn quantize_value(x: f32, inverse_scale: f32, zero_point: i32, qmin: i32, qmax: i32) -> i32 {
    let scaled = x * inverse_scale;
    if scaled.is_nan() {
        return zero_point;
    }
    // Clamped as a float first: an out-of-range conversion is INT_MIN on x86. The ends are integers, so rounding after
    // the clamp is rounding before it.
    let (low, high) = ((qmin - zero_point) as f32, (qmax - zero_point) as f32);
    zero_point + scaled.clamp(low, high).round_ties_even() as i32
}

/// Scale and zero point for the range `min..=max`: NUMERICS section 2, torch's rule.
///
/// The range is widened to hold 0, so 0.0 is always an integer exactly.
///
/// # Errors
/// [`Error::NotFinite`] if an end is NaN or infinite, [`Error::InvalidArgument`] if `min > max` or the target has no meaning.
pub fn choose_qparams(min: f32, max: f32, target: Target) -> Result<QParams> {
    target.check()?;
    if !min.is_finite() || !max.is_finite() {
        return Err(Error::NotFinite(format!("range {min}..{max}")));
    }
    if min > max {
        return Err(Error::InvalidArgument(format!("range {min}..{max} is empty")));
    }
    let (low, high) = (min.min(0.0), max.max(0.0));
    let (qmin, qmax) = target.held_range();
    let steps = target.steps() as f32;
    if target.is_symmetric() {
        let bound = high.max(-low);
        return Ok(QParams { scale: (bound / (steps / 2.0)).max(SCALE_FLOOR), zero_point: SIGNED_OFFSET });
    }
    let width = high - low;
    let scale = if width.is_finite() { width / steps } else { high / steps - low / steps }.max(SCALE_FLOOR);
    let zero_point = (qmin - (low / scale).round_ties_even() as i32).clamp(qmin, qmax);
    Ok(QParams { scale, zero_point })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantize::golden;

    const fn target(qtype: QType, scheme: Scheme, reduce_range: bool) -> Target {
        Target { qtype, scheme, reduce_range }
    }

    #[test]
    fn every_quantize_vector_matches() {
        let cases = golden::load().unwrap().quantize;
        assert!(cases.len() > 20);
        for case in &cases {
            let qparams = QParams { scale: case.scale(), zero_point: case.zero_point };
            for (x, &q) in case.values().zip(&case.q) {
                assert_eq!(qparams.quantize(x, case.qmin, case.qmax), q, "x {x:e} scale {:e} z {}", case.scale(), case.zero_point);
            }
        }
    }

    #[test]
    fn every_dynamic_vector_matches() {
        for case in &golden::load().unwrap().dynamic {
            let values: Vec<f32> = case.values().collect();
            let min = values.iter().copied().fold(f32::INFINITY, f32::min);
            let max = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let qparams = choose_qparams(min, max, Target::U8_AFFINE).unwrap();
            assert_eq!((qparams.scale.to_bits(), qparams.zero_point), (case.scale, case.zero_point));
            for (x, &q) in values.iter().zip(&case.q) {
                assert_eq!(qparams.quantize(*x, 0, 255), q);
            }
        }
    }

    #[test]
    fn a_range_without_the_zero_point_clamps_and_nan_stays_the_zero_point() {
        let qparams = QParams { scale: 0.5, zero_point: 10 };
        assert_eq!(qparams.quantize(-100.0, 20, 30), 20);
        assert_eq!(qparams.quantize(7.5, 20, 30), 25);
        assert_eq!(qparams.quantize(f32::INFINITY, 20, 30), 30);
        assert_eq!(qparams.quantize(f32::NEG_INFINITY, 0, 5), 0);
        assert_eq!(qparams.quantize(0.0, 0, 5), 5);
        assert_eq!(qparams.quantize(f32::NAN, 20, 30), 10);
    }

    #[test]
    fn zero_is_exact_and_scales_are_sound_for_extreme_ranges() {
        let ends = [0.0, -0.0, 1e-45, -1e-45, 1.0, -3.5, f32::MAX, f32::MIN, f32::MIN_POSITIVE];
        for qtype in [QType::U8, QType::S8] {
            for scheme in [Scheme::Affine, Scheme::Symmetric, Scheme::RestrictedSymmetric] {
                for reduce_range in [false, true] {
                    let target = target(qtype, scheme, reduce_range);
                    for (min, max) in ends.iter().flat_map(|&a| ends.iter().map(move |&b| (a, b))).filter(|(a, b)| a <= b) {
                        let Ok(qparams) = choose_qparams(min, max, target) else {
                            assert!(qtype == QType::U8 && scheme != Scheme::Affine);
                            continue;
                        };
                        let (lo, hi) = target.held_range();
                        qparams.check().unwrap();
                        assert!((lo..=hi).contains(&qparams.zero_point));
                        assert_eq!(qparams.dequantize(qparams.quantize(0.0, lo, hi)), 0.0);
                    }
                }
            }
        }
    }

    #[test]
    fn the_three_schemes_follow_their_formulas() {
        let symmetric = choose_qparams(-2.55, 1.0, Target::S8_SYMMETRIC).unwrap();
        assert_eq!(symmetric, QParams { scale: 2.55 / 127.5, zero_point: 128 });
        assert_eq!(symmetric.native_zero_point(QType::S8), 0);
        let restricted = choose_qparams(-1.0, 2.54, target(QType::S8, Scheme::RestrictedSymmetric, false)).unwrap();
        assert_eq!(restricted.scale, 2.54 / 127.0);
        assert_eq!(target(QType::S8, Scheme::RestrictedSymmetric, false).held_range(), (1, 255));
        let reduced = choose_qparams(-1.0, 1.0, target(QType::S8, Scheme::Affine, true)).unwrap();
        assert_eq!((reduced.scale, reduced.zero_point), (2.0 / 127.0, 128));
        assert_eq!(target(QType::S8, Scheme::Affine, true).held_range(), (64, 191));
        let wide = choose_qparams(f32::MIN, f32::MAX, Target::U8_AFFINE).unwrap();
        assert_eq!(wide.scale, f32::MAX / 255.0 + f32::MAX / 255.0);
    }

    #[test]
    fn what_has_no_meaning_is_refused() {
        for (min, max) in [(f32::NAN, 1.0), (0.0, f32::INFINITY), (f32::NEG_INFINITY, 0.0)] {
            assert!(matches!(choose_qparams(min, max, Target::U8_AFFINE), Err(Error::NotFinite(_))));
        }
        assert!(matches!(choose_qparams(1.0, 0.5, Target::U8_AFFINE), Err(Error::InvalidArgument(_))));
        assert!(choose_qparams(0.0, 1.0, target(QType::U8, Scheme::Symmetric, true)).is_err());
        assert!(choose_qparams(0.0, 1.0, target(QType::U8, Scheme::RestrictedSymmetric, false)).is_err());
        assert!(QParams::from_native(0.0, 0, QType::U8).is_err());
        assert!(QParams::from_native(1.0, 200, QType::S8).is_err());
        assert_eq!(QParams::from_native(1.0, -128, QType::S8).unwrap().zero_point, 0);
    }
}
