//! The normative requantization: NUMERICS section 5. Kernels are bit-exact to this file.
//!
//! ```text
//! acc = sum_k (a_k - z_a) * w_k           exact, i32
//! f   = fma(f32(acc), m, b)               m = (s_a * s_w) / s_y, b = bias / s_y
//! f   = fma(f32(r - z_r), s_r / s_y, f)   only with a fused residual
//! q   = clamp(z_y + rne(f), lo, hi)
//! ```
//!
//! **Ties.** `f32(acc)` rounds to nearest, ties to even. Each `fma` rounds once, to nearest even. `rne` rounds `f` to the
//! nearest integer, ties to even, *before* `z_y` is added.
//!
//! **Range.** `f` is clamped as a float to `lo - z_y ..= hi - z_y` before it is converted, so a huge `f` gives an end and
//! never wraps; both ends are integers, so this equals clamping after the rounding.
//!
//! **NaN.** Multipliers, biases and ratios are finite (anything else is refused when they are computed), the integers are
//! finite, so `f` may be infinite but is never NaN. A kernel needs no rule for it; this file would give `z_y`.
use super::QParams;
use crate::error::{Error, Result};

/// The largest depth whose accumulator cannot leave i32: 65,793 products of at most 255 * 128.
pub const MAX_DEPTH: usize = 65_793;

/// Where `f` becomes a byte: zero point and clamp of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputRange {
    /// `z_y`.
    pub zero_point: i32,
    /// Smallest byte: the type's end or a fused activation's.
    pub lo: i32,
    /// Largest byte.
    pub hi: i32,
}

impl OutputRange {
    /// `clamp(z_y + rne(f), lo, hi)`.
    #[inline(always)]
    pub fn finish(self, f: f32) -> u8 {
        let (low, high) = self.float_bounds();
        (f.clamp(low, high).round_ties_even() as i32 + self.zero_point) as u8
    }

    /// `lo - z_y` and `hi - z_y`: the clamp before the conversion.
    #[inline(always)]
    pub fn float_bounds(self) -> (f32, f32) {
        ((self.lo - self.zero_point) as f32, (self.hi - self.zero_point) as f32)
    }

    /// The range of an output with a fused activation `low..=high` (infinite ends for none): each end quantized by section 1
    /// and kept within the target's `held` range.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if a bound is NaN or `low > high`, or the qparams are not sound.
    pub fn with_bounds(qparams: QParams, held: (i32, i32), low: f32, high: f32) -> Result<Self> {
        qparams.check()?;
        if low.is_nan() || high.is_nan() || low > high {
            return Err(Error::InvalidArgument(format!("activation bounds {low}..{high}")));
        }
        let quantize = |bound| qparams.quantize(bound, held.0, held.1);
        Ok(OutputRange { zero_point: qparams.zero_point, lo: quantize(low), hi: quantize(high) })
    }
}

/// A residual's part in one output.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ResidualTerm {
    /// `r - z_r`.
    pub centred: i32,
    /// `s_r / s_y`, from [`ratio`].
    pub ratio: f32,
}

fn finite(value: f64, what: &str) -> Result<f32> {
    let rounded = value as f32;
    if rounded.is_finite() { Ok(rounded) } else { Err(Error::NotFinite(format!("{what} is {rounded}"))) }
}

/// `m = (s_a * s_w) / s_y`: f64 steps, rounded once.
///
/// # Errors
/// [`Error::NotFinite`] if it is not finite.
pub fn multiplier(s_a: f32, s_w: f32, s_y: f32) -> Result<f32> {
    finite(f64::from(s_a) * f64::from(s_w) / f64::from(s_y), "multiplier")
}

/// `b = bias / s_y`: an f64 step, rounded once.
///
/// # Errors
/// [`Error::NotFinite`] if it is not finite.
pub fn scaled_bias(bias: f32, s_y: f32) -> Result<f32> {
    finite(f64::from(bias) / f64::from(s_y), "bias over output scale")
}

/// `s_x / s_y`: of a residual, an addend, a rescaled tensor.
///
/// # Errors
/// [`Error::NotFinite`] if it is not finite.
pub fn ratio(s_x: f32, s_y: f32) -> Result<f32> {
    finite(f64::from(s_x) / f64::from(s_y), "ratio of scales")
}

/// `m = s_a * s_w` of a layer whose output stays float.
///
/// # Errors
/// [`Error::NotFinite`] if it is not finite.
pub fn float_multiplier(s_a: f32, s_w: f32) -> Result<f32> {
    finite(f64::from(s_a) * f64::from(s_w), "float multiplier")
}

/// `s_a * s_b / s_y` of an element-wise product: left to right.
///
/// # Errors
/// [`Error::NotFinite`] if it is not finite.
pub fn product_ratio(s_a: f32, s_b: f32, s_y: f32) -> Result<f32> {
    multiplier(s_a, s_b, s_y)
}

/// `c = s_x / (n * s_y)` of an average over `n` values.
///
/// # Errors
/// [`Error::NotFinite`] if it is not finite, as for `n == 0`.
pub fn average_ratio(s_x: f32, n: usize, s_y: f32) -> Result<f32> {
    finite(f64::from(s_x) / (n as f64 * f64::from(s_y)), "average ratio")
}

/// The static epilogue: one accumulator to one byte.
#[inline(always)]
pub fn requantize(acc: i32, mult: f32, bias: f32, residual: Option<ResidualTerm>, output: OutputRange) -> u8 {
    let mut f = (acc as f32).mul_add(mult, bias);
    if let Some(term) = residual {
        f = (term.centred as f32).mul_add(term.ratio, f);
    }
    output.finish(f)
}

/// The float-output epilogue: `fma(f32(acc), m, bias)` with [`float_multiplier`] and the plain bias.
#[inline(always)]
pub fn to_float(acc: i32, mult: f32, bias: f32) -> f32 {
    (acc as f32).mul_add(mult, bias)
}

/// Average pooling: `sum` of `n` bytes (padding counted only with `count_include_pad`, as `z_x`), ratio from [`average_ratio`].
#[inline(always)]
pub fn average(sum: i32, n: usize, z_x: i32, average_ratio: f32, output: OutputRange) -> u8 {
    rescale(sum - n as i32 * z_x, average_ratio, output)
}

/// `a + b`: `fma(f32(b - z_b), s_b / s_y, f32(a - z_a) * (s_a / s_y))`. For `a - b` pass `-ratio_b`.
#[inline(always)]
pub fn add(a_centred: i32, ratio_a: f32, b_centred: i32, ratio_b: f32, output: OutputRange) -> u8 {
    output.finish((b_centred as f32).mul_add(ratio_b, a_centred as f32 * ratio_a))
}

/// `a * b`: `f32((a - z_a) * (b - z_b)) * (s_a * s_b / s_y)`, ratio from [`product_ratio`].
#[inline(always)]
pub fn multiply(a_centred: i32, b_centred: i32, product_ratio: f32, output: OutputRange) -> u8 {
    rescale(a_centred * b_centred, product_ratio, output)
}

/// Concat, Pad and others whose qparams differ: `f32(q - z_x) * (s_x / s_y)`, ratio from [`ratio`].
#[inline(always)]
pub fn rescale(centred: i32, ratio: f32, output: OutputRange) -> u8 {
    output.finish(centred as f32 * ratio)
}

/// True if `|f| < 2^30` for every accumulator within `max_abs_acc`: then a conversion to i32 cannot overflow, and
/// saturating packs may do the clamping.
///
/// `residual_ratio` is 0 where nothing is added. The bound is taken in f64, with a margin far above f32's rounding.
pub fn is_below_two_pow_30(mult: f32, max_abs_acc: u64, bias: f32, residual_ratio: f32) -> bool {
    let bound = f64::from(mult.abs()) * max_abs_acc as f64 + f64::from(bias.abs()) + 255.0 * f64::from(residual_ratio.abs());
    bound * (1.0 + 1e-6) < f64::from(1u32 << 30)
}

/// The triple loop that kernels are measured against: one case of [`crate::quantize::golden`].
#[cfg(any(test, feature = "test-internals"))]
pub fn reference_gemm(case: &super::golden::GemmCase) -> Result<Vec<u8>> {
    let output = OutputRange { zero_point: case.z_y, lo: case.lo, hi: case.hi };
    let mut y = Vec::with_capacity(case.m * case.n);
    for row in 0..case.m {
        for channel in 0..case.n {
            let mut acc = 0i32;
            for t in 0..case.k {
                acc += (i32::from(case.a[row * case.k + t]) - case.z_a) * i32::from(case.w[channel * case.k + t]);
            }
            let residual = match &case.residual {
                Some(residual) => Some(ResidualTerm {
                    centred: i32::from(residual.r[row * case.n + channel]) - residual.z_r,
                    ratio: ratio(residual.s_r, case.s_y)?,
                }),
                None => None,
            };
            let mult = multiplier(case.s_a, case.s_w[channel], case.s_y)?;
            y.push(requantize(acc, mult, scaled_bias(case.bias[channel], case.s_y)?, residual, output));
        }
    }
    Ok(y)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantize::golden;

    const FULL: OutputRange = OutputRange { zero_point: 100, lo: 0, hi: 255 };

    #[test]
    fn every_gemm_vector_matches() {
        let cases = golden::load().unwrap().gemm;
        assert!(cases.len() > 60 && cases.iter().any(|case| case.residual.is_some()));
        for (index, case) in cases.iter().enumerate() {
            assert_eq!(reference_gemm(case).unwrap(), case.y, "case {index}");
        }
    }

    #[test]
    fn every_average_pool_vector_matches() {
        let cases = golden::load().unwrap().avgpool;
        assert!(cases.len() > 60);
        for case in &cases {
            let c = average_ratio(f32::from_bits(case.s_x), case.x.len(), f32::from_bits(case.s_y)).unwrap();
            let sum = case.x.iter().map(|&v| i32::from(v)).sum();
            let output = OutputRange { zero_point: case.z_y, lo: 0, hi: 255 };
            assert_eq!(average(sum, case.x.len(), case.z_x, c, output), case.y);
        }
    }

    #[test]
    fn ties_go_to_even_before_the_zero_point_and_huge_values_clamp() {
        let odd = OutputRange { zero_point: 101, ..FULL };
        assert_eq!([FULL.finish(0.5), FULL.finish(1.5), FULL.finish(-2.5), odd.finish(0.5)], [100, 102, 98, 101]);
        assert_eq!([FULL.finish(3e9), FULL.finish(-3e38), FULL.finish(f32::INFINITY)], [255, 0, 255]);
        assert_eq!(OutputRange { zero_point: 10, lo: 20, hi: 30 }.finish(-5.0), 20);
        assert_eq!(requantize(i32::MAX, 3e38, 0.0, None, FULL), 255);
    }

    #[test]
    fn add_multiply_and_rescale_round_as_written() {
        // 3 * 0.1f rounded, then fused with 5 * 0.3f.
        let f = 5f32.mul_add(0.3, 3.0 * 0.1);
        assert_eq!(add(3, 0.1, 5, 0.3, FULL), (100 + f.round_ties_even() as i32) as u8);
        assert_eq!(add(20, 1.0, 3, -0.5, FULL), 118);
        assert_eq!(multiply(-255, 255, 0.001, FULL), 35);
        assert_eq!(rescale(25, 0.1, FULL), 102);
        assert_eq!(average(13, 4, 2, average_ratio(1.0, 4, 1.0).unwrap(), FULL), 101);
        assert_eq!(to_float(7, 0.5, 1.0), 4.5);
        assert_eq!(product_ratio(3.0, 2.0, 4.0).unwrap(), 1.5);
    }

    #[test]
    fn what_is_not_finite_is_refused() {
        assert!(matches!(multiplier(3e38, 3e38, 1.0), Err(Error::NotFinite(_))));
        assert!(matches!(scaled_bias(1e30, 1e-30), Err(Error::NotFinite(_))));
        assert!(matches!(scaled_bias(f32::NAN, 1.0), Err(Error::NotFinite(_))));
        assert!(matches!(ratio(1e30, 1e-30), Err(Error::NotFinite(_))));
        assert!(matches!(float_multiplier(3e38, 3e38), Err(Error::NotFinite(_))));
        assert!(matches!(average_ratio(1.0, 0, 1.0), Err(Error::NotFinite(_))));
    }

    #[test]
    fn activation_bounds_become_bytes() {
        let qparams = QParams { scale: 0.05, zero_point: 20 };
        let relu6 = OutputRange::with_bounds(qparams, (0, 255), 0.0, 6.0).unwrap();
        assert_eq!((relu6.lo, relu6.hi), (20, 140));
        let none = OutputRange::with_bounds(qparams, (0, 127), f32::NEG_INFINITY, f32::INFINITY).unwrap();
        assert_eq!((none.lo, none.hi), (0, 127));
        assert!(OutputRange::with_bounds(qparams, (0, 255), 1.0, 0.0).is_err());
        assert!(OutputRange::with_bounds(qparams, (0, 255), f32::NAN, 0.0).is_err());
    }

    #[test]
    fn the_conversion_bound_counts_every_term() {
        assert!(is_below_two_pow_30(0.5, 1 << 30, 0.0, 0.0));
        assert!(!is_below_two_pow_30(1.0, 1 << 30, 0.0, 0.0));
        assert!(!is_below_two_pow_30(-0.5, 1 << 30, -6e8, 0.0));
        assert!(!is_below_two_pow_30(0.5, 1 << 30, 0.0, 4e6));
    }
}
