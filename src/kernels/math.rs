//! `exp`, `sigmoid`, `tanh`, `erf` as polynomials of fused multiply-adds: NUMERICS section 8.
//!
//! Every step is one IEEE operation written out (`mul_add`, `+`, `*`, `/`, shifts), so every instruction set gives the
//! same bits. The coefficients are least-maximum-error fits (Lawson's method on 300 Chebyshev points, 60 digits), rounded
//! to f32. Errors against f64, measured by the tests: at most 1.1 ulp for `exp` and `erf`, 1.3 for `tanh`, 2.2 for `sigmoid`.

/// `1.5 * 2^23`: adding it rounds to the nearest integer and leaves it in the low bits.
const ROUNDING_SHIFT: f32 = 12_582_912.0;
/// ln 2 in two parts: the first has 9 trailing zero bits, so its product with an exponent is exact.
const LN2_HIGH: f32 = 0.693_145_75;
const LN2_LOW: f32 = 1.428_606_8e-6;

/// `acc = acc * x + coefficient` over the coefficients, highest power first.
#[inline(always)]
fn horner<const N: usize>(x: f32, coefficients: [f32; N]) -> f32 {
    let mut acc = coefficients[0];
    let mut index = 1;
    while index < N {
        acc = acc.mul_add(x, coefficients[index]);
        index += 1;
    }
    acc
}

/// `2^exponent` for -126..=127.
#[inline(always)]
fn power_of_two(exponent: i32) -> f32 {
    f32::from_bits((exponent.wrapping_add(127) as u32) << 23)
}

/// `e^x`: 0 below -104, inf above 88.73; subnormal results are rounded once; NaN passes.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // x = n ln 2 + r, |r| <= ln(2) / 2; e^r = 1 + r + r^2 q(r).
    let x = if x < -104.0 { -104.0 } else { x };
    let x = if x > 89.0 { 89.0 } else { x };
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUNDING_SHIFT);
    let n = shifted - ROUNDING_SHIFT;
    let r = (-n).mul_add(LN2_LOW, (-n).mul_add(LN2_HIGH, x));
    let q = horner(r, [0.001_395_058_5, 0.008_368_955, 0.041_666_206, 0.166_665_18, 0.5]);
    let e = (r * r).mul_add(q, r) + 1.0;
    // In two factors, as 2^n alone may be subnormal or infinite: the first product is exact.
    let exponent = shifted.to_bits().wrapping_sub(ROUNDING_SHIFT.to_bits()) as i32;
    let half = exponent >> 1;
    e * power_of_two(half) * power_of_two(exponent.wrapping_sub(half))
}

/// `1 / (1 + e^-x)`, with full relative accuracy at both ends; NaN passes.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    let e = exp(-x.abs());
    (if x < 0.0 { e } else { 1.0 }) / (1.0 + e)
}

/// The hyperbolic tangent; odd, and exact in the sign of zero; NaN passes.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let t = x.abs();
    let s = x * x;
    // tanh t = t + t s p(s) below 0.625.
    let p = horner(s, [-0.005_716_97, 0.020_650_513, -0.053_743_474, 0.133_314_91, -0.333_332_84]);
    let small = (t * s).mul_add(p, t);
    let large = 1.0 - 2.0 / (exp(2.0 * t) + 1.0);
    (if t < 0.625 { small } else { large }).copysign(x)
}

/// The error function; odd, and exact in the sign of zero; NaN passes.
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    let t = x.abs();
    let s = x * x;
    // erf t = t + t p(s) below 0.93.
    let small =
        horner(s, [8.345_199e-5, -0.000_813_743_1, 0.005_200_634, -0.026_859_27, 0.112_836_94, -0.376_126_35, 0.128_379_17]).mul_add(t, t);
    // erf t = 1 - e^(-t + t q(t)); from 4 on it rounds to 1.
    let c = if t > 4.0 { 4.0 } else { t };
    let q = horner(c, [-1.123_311_3e-5, 0.000_322_821_18, -0.003_642_526_2, 0.023_762_198, -0.106_237_024, -0.635_151_2, -0.128_648_5]);
    let large = 1.0 - exp(q.mul_add(c, -c));
    (if t < 0.93 { small } else { large }).copysign(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The error of `got` in units of the last place of the f32 nearest to `exact`.
    fn ulps(got: f32, exact: f64) -> f64 {
        let nearest = exact as f32;
        if got == nearest {
            return 0.0;
        }
        let ulp = f64::from(f32::from_bits(nearest.abs().to_bits() + 1)) - f64::from(nearest.abs());
        (f64::from(got) - exact).abs() / ulp
    }

    /// Floats of both signs, thousands in each octave from 2^-30 to `largest`.
    fn samples(largest: f32) -> impl Iterator<Item = f32> {
        let (first, last) = (2f32.powi(-30).to_bits(), largest.to_bits());
        (first..last).step_by(1009).flat_map(|bits| [f32::from_bits(bits), -f32::from_bits(bits)])
    }

    fn worst(largest: f32, f: fn(f32) -> f32, exact: impl Fn(f64) -> f64) -> f64 {
        samples(largest).map(|x| ulps(f(x), exact(f64::from(x)))).fold(0.0, f64::max)
    }

    /// The error function in f64: its series below 3, the continued fraction of erfc above.
    fn erf_f64(x: f64) -> f64 {
        let t = x.abs();
        let value = if t < 3.0 {
            let (mut term, mut sum) = (t, t);
            for n in 1..120 {
                term *= -t * t / f64::from(n);
                sum += term / f64::from(2 * n + 1);
            }
            sum * std::f64::consts::FRAC_2_SQRT_PI
        } else {
            let fraction = (1..60).rev().fold(t, |f, n| t + f64::from(n) / 2.0 / f);
            1.0 - (-t * t).exp() / (fraction * std::f64::consts::PI.sqrt())
        };
        value.copysign(x)
    }

    #[test]
    fn each_function_is_accurate_to_the_stated_ulps() {
        let exp_error = worst(88.7, exp, f64::exp);
        let sigmoid_error = worst(87.0, sigmoid, |x| 1.0 / (1.0 + (-x).exp()));
        let tanh_error = worst(20.0, tanh, f64::tanh);
        let erf_error = worst(6.0, erf, erf_f64);
        println!("ulp: exp {exp_error:.3}, sigmoid {sigmoid_error:.3}, tanh {tanh_error:.3}, erf {erf_error:.3}");
        assert!(exp_error < 1.1 && erf_error < 1.1, "exp {exp_error}, erf {erf_error}");
        assert!(sigmoid_error < 2.2 && tanh_error < 1.3, "sigmoid {sigmoid_error}, tanh {tanh_error}");
    }

    #[test]
    fn the_ends_are_exact() {
        assert_eq!(
            (exp(0.0), exp(-200.0), exp(89.5), exp(f32::NEG_INFINITY), exp(f32::INFINITY)),
            (1.0, 0.0, f32::INFINITY, 0.0, f32::INFINITY)
        );
        assert!(ulps(exp(-100.0), (-100f64).exp()) <= 1.0, "a subnormal");
        assert_eq!((sigmoid(0.0), sigmoid(40.0), sigmoid(-200.0)), (0.5, 1.0, 0.0));
        assert_eq!((tanh(20.0), tanh(-20.0), tanh(f32::INFINITY)), (1.0, -1.0, 1.0));
        assert_eq!((erf(5.0), erf(-5.0), erf(f32::NEG_INFINITY)), (1.0, -1.0, -1.0));
        assert_eq!(tanh(-0.0).to_bits(), (-0.0f32).to_bits());
        assert_eq!(erf(-0.0).to_bits(), (-0.0f32).to_bits());
        assert!([exp, sigmoid, tanh, erf].iter().all(|f| f(f32::NAN).is_nan()));
    }
}
