//! A natural logarithm made of plain f64 operations. The system's differs in its last bit between libraries and CPUs, and
//! a last bit may decide between two ranges.

/// `ln(x)` for a positive, normal `x`, within 2 units in the last place of the larger of 1 and the result.
///
/// `x = m * 2^e` with `m` in `sqrt(1/2)..sqrt(2)`; `ln m = 2 atanh((m - 1) / (m + 1))` by its series, whose argument is at
/// most 0.172: ten terms reach 2^-56.
pub(super) fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let mut exponent = (bits >> 52) as i32 - 1023;
    let mut mantissa = f64::from_bits(bits & 0x000f_ffff_ffff_ffff | 0x3ff0_0000_0000_0000);
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa *= 0.5;
        exponent += 1;
    }
    let t = (mantissa - 1.0) / (mantissa + 1.0);
    let square = t * t;
    let series = (0..11).rev().fold(0.0, |sum, i| sum * square + 1.0 / f64::from(2 * i + 1));
    2.0 * t * series + f64::from(exponent) * std::f64::consts::LN_2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_logarithm() {
        assert_eq!(ln(1.0), 0.0);
        for i in 1..200_000u64 {
            let x = (i as f64 * 0.37).exp2().clamp(f64::MIN_POSITIVE, 1e300) * (1.0 + i as f64 * 1e-6);
            for x in [x, 1.0 / x, i as f64, 1.0 + i as f64 * 1e-12] {
                assert!((ln(x) - x.ln()).abs() <= 4.5e-16 * x.ln().abs().max(1.0), "{x:e}");
            }
        }
    }
}
