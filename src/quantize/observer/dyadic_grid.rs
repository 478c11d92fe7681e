//! The grid of the native histogram: bins of width `2^e`, bin `k` holds `[k * 2^e, (k + 1) * 2^e)`.
//!
//! The exponent is a function of the range alone, and a coarser grid's bin is two neighbours of the finer one, so any
//! order of growing and merging ends at the same counts.

/// Most bins that a grid has.
pub const MAX_BINS: usize = 4096;
/// The finest grid: `2^-126`, the smallest normal f32.
pub const MIN_EXPONENT: i32 = -126;
/// 1.5 * 2^23: adding it rounds a small f32 to an integer that stands in the low bits.
const ROUNDER: f32 = 12_582_912.0;
/// Interleaved counters for each bin: neighbouring values that fall into one bin (zeros after a ReLU) do not wait for
/// each other's store.
const LANES: usize = 4;

/// `2^exponent`, exact; `exponent` within -1022..=1023.
pub(in crate::quantize) fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((1023 + exponent) as u64) << 52)
}

/// `floor(x / 2^exponent)`, exact: the quotient by a power of two is an f64.
pub(super) fn bin_of(x: f32, exponent: i32) -> i32 {
    (f64::from(x) * power_of_two(-exponent)).floor() as i32
}

/// Bins of the grid with that exponent which cover `min..=max` and 0: the first, and how many.
pub(super) fn span(min: f32, max: f32, exponent: i32) -> (i32, usize) {
    let (first, last) = (bin_of(min.min(0.0), exponent), bin_of(max.max(0.0), exponent));
    (first, (i64::from(last) - i64::from(first) + 1) as usize)
}

/// The smallest exponent, from `at_least` on, whose grid covers the range with [`MAX_BINS`].
pub(super) fn exponent_for(min: f32, max: f32, at_least: i32) -> i32 {
    let mut exponent = at_least.max(MIN_EXPONENT);
    while span(min, max, exponent).1 > MAX_BINS {
        exponent += 1;
    }
    exponent
}

/// Counts of one grid while values stream in. Bin `k` stands at `k mod 4096`: a grid's bins have distinct places.
pub(super) struct Tally {
    lanes: Vec<[u32; LANES]>,
}

impl Tally {
    pub(super) fn new() -> Self {
        Tally { lanes: vec![[0; LANES]; MAX_BINS] }
    }

    /// Counts finite values that the grid covers; fewer than 2^32 between two [`Tally::drain`].
    pub(super) fn add(&mut self, values: &[f32], exponent: i32) {
        const BLOCK: usize = 512;
        let Ok(lanes) = <&mut [[u32; LANES]; MAX_BINS]>::try_from(self.lanes.as_mut_slice()) else { return };
        let mut places = [0u32; BLOCK];
        for block in values.chunks(BLOCK) {
            fill_places(block, exponent, &mut places);
            let (groups, rest) = places[..block.len()].as_chunks::<LANES>();
            for group in groups {
                for lane in 0..LANES {
                    lanes[group[lane] as usize % MAX_BINS][lane] += 1;
                }
            }
            for &place in rest {
                lanes[place as usize % MAX_BINS][0] += 1;
            }
        }
    }

    /// Moves the counts into `counts`, whose first bin is `first`.
    pub(super) fn drain(&mut self, first: i32, counts: &mut [u64]) {
        for (offset, count) in counts.iter_mut().enumerate() {
            let place = (first as usize).wrapping_add(offset) % MAX_BINS;
            *count += self.lanes[place].iter().map(|&lane| u64::from(lane)).sum::<u64>();
            self.lanes[place] = [0; LANES];
        }
    }
}

/// `floor(x / 2^exponent)` of each value, as two's complement.
///
/// In f32, exactly: the scaled value is rounded to an integer (`|x / w| <= 4096`), and one is taken off if that integer
/// times `w` (exact) lies above `x`. The comparison is with `x` itself, so values that vanish when scaled are right too.
fn fill_places(values: &[f32], exponent: i32, places: &mut [u32]) {
    let (inverse, width) = (power_of_two(-exponent) as f32, power_of_two(exponent) as f32);
    for (place, &x) in places.iter_mut().zip(values) {
        let shifted = x * inverse + ROUNDER;
        let above = (shifted - ROUNDER) * width > x;
        *place = shifted.to_bits().wrapping_sub(ROUNDER.to_bits()).wrapping_sub(u32::from(above));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn place(x: f32, exponent: i32) -> i32 {
        let mut places = [0];
        fill_places(&[x], exponent, &mut places);
        places[0] as i32
    }

    #[test]
    fn the_whole_f32_range_fits_and_the_finest_grid_is_the_floor() {
        assert_eq!(exponent_for(f32::MIN, f32::MAX, MIN_EXPONENT), 117);
        assert_eq!(span(f32::MIN, f32::MAX, 117), (-2048, 4096));
        assert_eq!(exponent_for(-1e-45, 1e-45, MIN_EXPONENT), MIN_EXPONENT);
        assert_eq!(span(0.0, 0.0, MIN_EXPONENT), (0, 1));
        assert_eq!((bin_of(-1e-45, 0), bin_of(4095.9998, 0), bin_of(-0.0, 5)), (-1, 4095, 0));
    }

    #[test]
    fn fast_bins_are_the_exact_ones_at_edges_and_extremes() {
        let tiny = [1e-45f32, 1e-40, f32::MIN_POSITIVE, 1e-30];
        for exponent in [-126, -100, -11, 0, 3, 60, 117] {
            let width = power_of_two(exponent);
            let edges = [0.0, 1.0, 2.0, 3.0, 1023.0, 2047.0, 2048.0].map(|k| (k * width) as f32);
            for x in edges.into_iter().flat_map(|x| [x, x.next_up(), x.next_down()]).chain(tiny) {
                for x in [x, -x].into_iter().filter(|x| f64::from(x.abs()) <= 4096.0 * width) {
                    assert_eq!(place(x, exponent), bin_of(x, exponent), "{x:e} at 2^{exponent}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn fast_bins_are_the_exact_ones(bits in any::<u32>(), extra in 0i32..40) {
            let x = f32::from_bits(bits);
            prop_assume!(x.is_finite());
            let exponent = exponent_for(x, x, MIN_EXPONENT).saturating_add(extra).min(117);
            prop_assert_eq!(place(x, exponent), bin_of(x, exponent));
        }
    }
}
#[cfg(test)]
mod parts {
    use super::*;
    #[test]
    #[ignore]
    fn parts_speed() {
        let v: Vec<f32> = (0..4096u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / 8e6 - 1.02).collect();
        let mut places = [0u32; 512];
        let time = |name: &str, f: &mut dyn FnMut()| {
            let best = (0..2000)
                .map(|_| {
                    let s = std::time::Instant::now();
                    f();
                    s.elapsed().as_nanos()
                })
                .min()
                .unwrap();
            println!("{name} {:.3}", best as f64 / 4096.0);
        };
        time("fill", &mut || {
            for b in v.chunks(512) {
                fill_places(b, -10, std::hint::black_box(&mut places));
            }
        });
        time("summarize", &mut || {
            std::hint::black_box(super::super::scan::summarize(std::hint::black_box(&v)));
        });
        time("non_finite", &mut || {
            std::hint::black_box(super::super::scan::first_non_finite(std::hint::black_box(&v)));
        });
        let mut t = Tally::new();
        time("add", &mut || t.add(std::hint::black_box(&v), -10));
        let z = vec![0f32; 4096];
        time("add zeros", &mut || t.add(std::hint::black_box(&z), -10));
    }
}
