//! The native histogram, NUMERICS section 3: counts on a dyadic grid, bit-identical for any order, batching, sharding or
//! merging of the same values.
use super::codec::{Reader, corrupt, put_count, put_range};
use super::dyadic_grid::{MIN_EXPONENT, Tally, bin_of, exponent_for, span};
use super::scan::{Summary, finite_values, summarize};
use crate::error::{Error, Result};

/// Values that are scanned and then counted while they are in the first-level cache.
const CHUNK: usize = 4096;
/// Values after which the 32-bit counters of a [`Tally`] are emptied.
const DRAIN_AFTER: usize = 1 << 30;

/// Counts of finite values on the grid `2^exponent`, with the exact range, zeros and number of values.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    exponent: i32,
    first_bin: i32,
    counts: Vec<u64>,
    range: Option<(f32, f32)>,
    count: u64,
    zeros: u64,
    dropped: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { exponent: MIN_EXPONENT, first_bin: 0, counts: Vec::new(), range: None, count: 0, zeros: 0, dropped: 0 }
    }
}

impl Histogram {
    /// Takes values in. Values that are not finite are dropped and counted.
    pub fn observe(&mut self, values: &[f32]) {
        let mut tally = Tally::new();
        for part in values.chunks(DRAIN_AFTER) {
            for chunk in part.chunks(CHUNK) {
                let summary = summarize(chunk);
                if summary.all_finite {
                    self.observe_chunk(chunk, &summary, &mut tally);
                } else {
                    let (kept, dropped) = finite_values(chunk);
                    self.dropped += dropped;
                    self.observe_chunk(&kept, &summarize(&kept), &mut tally);
                }
            }
            tally.drain(self.first_bin, &mut self.counts);
        }
    }

    fn observe_chunk(&mut self, values: &[f32], summary: &Summary, tally: &mut Tally) {
        if values.is_empty() {
            return;
        }
        let (min, max) = self.range.unwrap_or((summary.min, summary.max));
        let range = (min.min(summary.min), max.max(summary.max));
        if self.range != Some(range) {
            let exponent = exponent_for(range.0, range.1, self.exponent);
            if exponent != self.exponent {
                tally.drain(self.first_bin, &mut self.counts);
            }
            self.cover(range, exponent);
        }
        tally.add(values, self.exponent);
        self.count += values.len() as u64;
        self.zeros += summary.zeros;
    }

    /// Lays the counts out on the grid for `range`, which contains the present one; `exponent` is the grid's.
    fn cover(&mut self, range: (f32, f32), exponent: i32) {
        let (first, bins) = span(range.0, range.1, exponent);
        if (first, bins, exponent) != (self.first_bin, self.counts.len(), self.exponent) {
            let mut counts = vec![0; bins];
            self.add_to(first, exponent, &mut counts);
            (self.exponent, self.first_bin, self.counts) = (exponent, first, counts);
        }
        self.range = Some(range);
    }

    /// Adds this state's counts to those of a grid that is as coarse or coarser and covers it: bins `2k, 2k + 1` become `k`.
    fn add_to(&self, first: i32, exponent: i32, counts: &mut [u64]) {
        // A shift by 31 or more leaves the sign: bin 0 or -1.
        let shift = (exponent - self.exponent).min(31);
        for (bin, &count) in (self.first_bin..).zip(&self.counts) {
            counts[((bin >> shift) - first) as usize] += count;
        }
    }

    /// Takes in what another state has seen.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the counts overflow; the state is unchanged.
    pub fn merge(&mut self, other: &Histogram) -> Result<()> {
        let overflow = || Error::InvalidArgument("merged observer counts exceed 64 bits".into());
        let count = self.count.checked_add(other.count).ok_or_else(overflow)?;
        let dropped = self.dropped.checked_add(other.dropped).ok_or_else(overflow)?;
        if let Some((min, max)) = other.range {
            let (old_min, old_max) = self.range.unwrap_or((min, max));
            let range = (old_min.min(min), old_max.max(max));
            self.cover(range, exponent_for(range.0, range.1, self.exponent.max(other.exponent)));
            let (first, exponent) = (self.first_bin, self.exponent);
            other.add_to(first, exponent, &mut self.counts);
        }
        (self.count, self.dropped, self.zeros) = (count, dropped, self.zeros + other.zeros);
        Ok(())
    }

    /// `(min, max)`, or `None` if nothing was seen.
    pub fn range(&self) -> Option<(f32, f32)> {
        self.range
    }

    /// `e` of the bin width `2^e`.
    pub fn exponent(&self) -> i32 {
        self.exponent
    }

    /// The index of the first bin, never above 0.
    pub fn first_bin(&self) -> i32 {
        self.first_bin
    }

    /// Counts from the first bin on, zeros included; at most 4096.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Values counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Values that were exactly zero; they are counted in bin 0 as well.
    pub fn zeros(&self) -> u64 {
        self.zeros
    }

    /// Values that were not finite and left out.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The range, the zeros, and the counts. The grid is not written: the range says which it is.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_range(out, self.dropped, self.range);
        if self.range.is_some() {
            put_count(out, self.zeros);
            self.counts.iter().for_each(|&count| put_count(out, count));
        }
    }

    pub(super) fn decode(reader: &mut Reader) -> Result<Self> {
        let (dropped, range) = reader.optional_range()?;
        let Some((min, max)) = range else { return Ok(Histogram { dropped, ..Histogram::default() }) };
        let zeros = reader.count()?;
        let exponent = exponent_for(min, max, MIN_EXPONENT);
        let (first_bin, bins) = span(min, max, exponent);
        if reader.remaining() < bins {
            return Err(corrupt("it ends early"));
        }
        let counts = (0..bins).map(|_| reader.count()).collect::<Result<Vec<u64>>>()?;
        let count = counts.iter().try_fold(0u64, |sum, &c| sum.checked_add(c)).ok_or_else(|| corrupt("counts exceed 64 bits"))?;
        let (low, high) = ((bin_of(min, exponent) - first_bin) as usize, (bin_of(max, exponent) - first_bin) as usize);
        let outside_is_empty = counts[..low].iter().chain(&counts[high + 1..]).all(|&c| c == 0);
        if counts[low] == 0 || counts[high] == 0 || !outside_is_empty {
            return Err(corrupt("counts that do not fit the range"));
        }
        let zero_is_inside = min <= 0.0 && max >= 0.0;
        if zeros > counts[(-first_bin) as usize] || (zeros > 0 && !zero_is_inside) {
            return Err(corrupt("more zeros than values in their bin"));
        }
        Ok(Histogram { exponent, first_bin, counts, range, count, zeros, dropped })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(values: &[f32]) -> Histogram {
        let mut state = Histogram::default();
        state.observe(values);
        state
    }

    /// Section 3, value by value, in f64.
    fn naive(values: &[f32]) -> Histogram {
        let min = values.iter().copied().fold(f32::INFINITY, f32::min) + 0.0;
        let max = values.iter().copied().fold(f32::NEG_INFINITY, f32::max) + 0.0;
        let floor = |x: f32, e: i32| (f64::from(x) / 2f64.powi(e)).floor();
        let bins = |e: i32| floor(max.max(0.0), e) - floor(min.min(0.0), e) + 1.0;
        let exponent = (-126..).find(|&e| bins(e) <= 4096.0).unwrap();
        let first = floor(min.min(0.0), exponent);
        let mut counts = vec![0; bins(exponent) as usize];
        values.iter().for_each(|&x| counts[(floor(x, exponent) - first) as usize] += 1);
        let zeros = values.iter().filter(|&&x| x == 0.0).count() as u64;
        Histogram { exponent, first_bin: first as i32, counts, range: Some((min, max)), count: values.len() as u64, zeros, dropped: 0 }
    }

    #[test]
    fn counts_stand_in_the_bins_of_the_document() {
        let state = of(&[-1.0, -0.5, 0.0, -0.0, 0.25, 2.0]);
        assert_eq!((state.exponent(), state.first_bin(), state.counts().len()), (-10, -1024, 3073));
        assert_eq!((state.zeros(), state.count(), state.range()), (2, 6, Some((-1.0, 2.0))));
        assert_eq!(
            (state.counts()[0], state.counts()[512], state.counts()[1024], state.counts()[1280], state.counts()[3072]),
            (1, 1, 2, 1, 1)
        );
    }

    #[test]
    fn growing_data_merge_neighbours() {
        let mut state = of(&[1e-20, 3.0]);
        state.observe(&[1e10, -5.0]);
        assert_eq!(state, of(&[-5.0, 3.0, 1e10, 1e-20]));
        state.observe(&[f32::MAX, f32::MIN, f32::INFINITY, f32::NAN]);
        assert_eq!((state.exponent(), state.counts().len(), state.dropped(), state.count()), (117, 4096, 2, 6));
        assert_eq!(state.counts().iter().sum::<u64>(), 6);
    }

    #[test]
    fn an_overflowing_merge_changes_nothing() {
        let mut state = of(&[1.0]);
        let before = state.clone();
        let full = Histogram { count: u64::MAX, ..of(&[5.0]) };
        assert!(state.merge(&full).is_err());
        assert_eq!(state, before);
    }

    fn any_finite() -> impl Strategy<Value = f32> {
        prop_oneof![
            3 => -8f32..8.0,
            1 => prop_oneof![Just(0.0f32), Just(-0.0), Just(1e-45), Just(-1e-45), Just(f32::MAX), Just(f32::MIN)],
            1 => any::<u32>().prop_map(f32::from_bits).prop_filter("finite", |x| x.is_finite()),
        ]
    }

    proptest! {
        #[test]
        fn any_order_split_and_merge_gives_the_same_state(
            values in prop::collection::vec(any_finite(), 1..200),
            cuts in prop::collection::vec(0usize..200, 0..6),
            scale in -30i32..30,
            turn in 0usize..200,
        ) {
            let values: Vec<f32> = values.iter().map(|x| x * 2f32.powi(scale)).filter(|x| x.is_finite()).collect();
            prop_assume!(!values.is_empty());
            let whole = of(&values);
            prop_assert_eq!(&whole, &naive(&values));
            let mut turned = values.clone();
            turned.rotate_left(turn % values.len());
            turned.reverse();
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % values.len()).collect();
            cuts.extend([0, values.len()]);
            cuts.sort_unstable();
            let (mut batched, mut merged) = (Histogram::default(), Histogram::default());
            for cut in cuts.windows(2) {
                batched.observe(&turned[cut[0]..cut[1]]);
                let mut other = of(&turned[cut[0]..cut[1]]);
                if cut[0] % 2 == 0 {
                    std::mem::swap(&mut merged, &mut other);
                }
                merged.merge(&other).unwrap();
            }
            prop_assert_eq!(&whole, &batched);
            prop_assert_eq!(&whole, &merged);
        }
    }

    #[test]
    fn long_inputs_count_every_value() {
        let values: Vec<f32> = (0..100_003u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / 1e6 - 5.0).collect();
        assert_eq!(of(&values), naive(&values));
    }

    #[test]
    #[ignore = "a measurement: cargo test --release -- --ignored observe_speed --nocapture"]
    fn observe_speed() {
        let normal: Vec<f32> = (0..800_000u32)
            .map(|i| {
                (0..4)
                    .map(|j| (i.wrapping_mul(2_654_435_761).wrapping_add(j * 40_503).wrapping_mul(2_246_822_519) >> 8) as f32 / 8e6 - 1.0)
                    .sum()
            })
            .collect();
        let relu: Vec<f32> = normal.iter().map(|x| x.max(0.0)).collect();
        for (name, values) in [("normal", &normal), ("relu", &relu), ("zeros", &vec![0.0; 800_000])] {
            let mut state = Histogram::default();
            // The best of many rounds: other processes share the machine.
            let round = |state: &mut Histogram| {
                let start = std::time::Instant::now();
                state.observe(values);
                start.elapsed().as_nanos() as f64 / values.len() as f64
            };
            let best = (0..100).map(|_| round(&mut state)).fold(f64::INFINITY, f64::min);
            println!("{name}: {best:.3} ns a value");
        }
    }
}
