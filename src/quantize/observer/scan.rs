//! One vectorizable pass over values: range, exact zeros, and whether all are finite.

/// Values that are looked at side by side; the compiler turns the arrays below into vectors.
const LANES: usize = 16;
/// The exponent field of an f32: all ones for NaN and the infinities.
const EXPONENT: u32 = 0x7f80_0000;

/// What one pass over values finds. `min > max` where there were none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Summary {
    /// Smallest value, never -0.0.
    pub min: f32,
    /// Largest value, never -0.0.
    pub max: f32,
    /// Values equal to zero.
    pub zeros: u64,
    /// No NaN and no infinity was among them; otherwise the other fields mean nothing.
    pub all_finite: bool,
}

/// -0.0 becomes 0.0, so that the sign of a zero does not depend on which came first.
pub(super) fn unsigned_zero(value: f32) -> f32 {
    if value == 0.0 { 0.0 } else { value }
}

/// The summary of fewer than 2^32 values.
pub(super) fn summarize(values: &[f32]) -> Summary {
    let (mut min, mut max) = ([f32::INFINITY; LANES], [f32::NEG_INFINITY; LANES]);
    let (mut zeros, mut special) = ([0u32; LANES], [0u32; LANES]);
    let (groups, rest) = values.as_chunks::<LANES>();
    for group in groups {
        for lane in 0..LANES {
            let value = group[lane];
            min[lane] = if value < min[lane] { value } else { min[lane] };
            max[lane] = if value > max[lane] { value } else { max[lane] };
            zeros[lane] += u32::from(value == 0.0);
            special[lane] |= u32::from(value.to_bits() & EXPONENT == EXPONENT);
        }
    }
    for &value in rest {
        min[0] = if value < min[0] { value } else { min[0] };
        max[0] = if value > max[0] { value } else { max[0] };
        zeros[0] += u32::from(value == 0.0);
        special[0] |= u32::from(value.to_bits() & EXPONENT == EXPONENT);
    }
    Summary {
        min: unsigned_zero(min.into_iter().fold(f32::INFINITY, f32::min)),
        max: unsigned_zero(max.into_iter().fold(f32::NEG_INFINITY, f32::max)),
        zeros: zeros.into_iter().map(u64::from).sum(),
        all_finite: special == [0; LANES],
    }
}

/// The finite values and how many others there were. For observers: infinities are dropped and counted where the caller
/// allows them.
pub(super) fn finite_values(values: &[f32]) -> (Vec<f32>, u64) {
    let kept: Vec<f32> = values.iter().copied().filter(|value| value.is_finite()).collect();
    let dropped = (values.len() - kept.len()) as u64;
    (kept, dropped)
}

/// The index of the first value that `is_bad` holds for, found a block at a time.
fn first_where(values: &[f32], is_bad: impl Fn(f32) -> bool) -> Option<usize> {
    const BLOCK: usize = 1024;
    for (index, block) in values.chunks(BLOCK).enumerate() {
        if block.iter().fold(false, |any, &value| any | is_bad(value)) {
            return block.iter().position(|&value| is_bad(value)).map(|offset| index * BLOCK + offset);
        }
    }
    None
}

/// The index of the first NaN or infinity. A batch that has one is refused whole before anything observes it.
pub fn first_non_finite(values: &[f32]) -> Option<usize> {
    first_where(values, |value| value.to_bits() & EXPONENT == EXPONENT)
}

/// The index of the first NaN: what is refused where `drop_inf` lets infinities be dropped and counted.
pub fn first_nan(values: &[f32]) -> Option<usize> {
    first_where(values, f32::is_nan)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_sees_every_position() {
        for len in [0usize, 1, 15, 16, 17, 40] {
            for at in 0..len {
                let mut values = vec![1.0f32; len];
                values[at] = -3.0;
                assert_eq!(summarize(&values).min, -3.0);
                values[at] = 7.0;
                assert_eq!(summarize(&values).max, 7.0);
                values[at] = -0.0;
                let summary = summarize(&values);
                assert_eq!((summary.zeros, summary.min.to_bits(), summary.all_finite), (1, 0, true));
                for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                    values[at] = bad;
                    assert!(!summarize(&values).all_finite);
                    assert_eq!(first_non_finite(&values), Some(at));
                    assert_eq!(first_nan(&values), bad.is_nan().then_some(at));
                }
            }
            assert_eq!(summarize(&vec![2.0; len]).zeros, 0);
        }
    }

    #[test]
    fn the_first_bad_value_is_found_across_blocks() {
        let mut values = vec![f32::MAX; 5000];
        assert_eq!(first_non_finite(&values), None);
        values[4999] = f32::NAN;
        values[3000] = f32::INFINITY;
        assert_eq!(first_non_finite(&values), Some(3000));
        assert_eq!(first_nan(&values), Some(4999));
        assert_eq!(finite_values(&values).1, 2);
    }
}
