//! A histogram with few bars, from an observer's many bins.
use crate::quantize::ObserverState;
use serde::Serialize;

/// Bars at most.
const MOST_BARS: usize = 96;

/// Counts of values in neighbouring intervals of equal width.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bars {
    /// Where the first begins.
    pub start: f64,
    /// Width of one.
    pub width: f64,
    /// Values in each; exact zeros are left out, or they would hide everything else.
    pub counts: Vec<u64>,
    /// Exact zeros.
    pub zeros: u64,
}

impl Bars {
    /// The distribution that a state holds; `None` for observers that keep a range alone, and for one that has seen nothing.
    pub fn of(state: &ObserverState) -> Option<Self> {
        let ObserverState::Histogram(histogram) = state else { return None };
        histogram.range()?;
        let (first, exponent) = (i64::from(histogram.first_bin()), histogram.exponent());
        let group = histogram.counts().len().div_ceil(MOST_BARS).max(1) as i64;
        let start = first.div_euclid(group) * group;
        let mut counts = Vec::new();
        for (bin, &count) in (first..).zip(histogram.counts()) {
            let bar = ((bin - start) / group) as usize;
            counts.resize(counts.len().max(bar + 1), 0);
            counts[bar] += if bin == 0 { count - histogram.zeros() } else { count };
        }
        let width = 2f64.powi(exponent);
        Some(Self { start: start as f64 * width, width: group as f64 * width, counts, zeros: histogram.zeros() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantize::ObserverKind;

    #[test]
    fn bars_hold_every_value_and_begin_where_the_data_do() {
        let values: Vec<f32> = (0..5000).map(|i| (i as f32 - 1000.0) / 500.0).collect();
        let mut state = ObserverState::new(ObserverKind::Histogram);
        state.observe(&values);
        let bars = Bars::of(&state).unwrap();
        assert!(bars.counts.len() <= MOST_BARS + 1 && bars.counts.len() > 40);
        assert_eq!((bars.counts.iter().sum::<u64>(), bars.zeros), (4999, 1));
        assert!(bars.start <= -2.0 && bars.start + bars.width > -2.0);
        let end = bars.start + bars.width * bars.counts.len() as f64;
        assert!(end > 7.998 && end - bars.width <= 7.998);
        for (index, &count) in bars.counts.iter().enumerate() {
            let low = bars.start + bars.width * index as f64;
            let inside = |x: &&f32| f64::from(**x) >= low && f64::from(**x) < low + bars.width && **x != 0.0;
            assert_eq!(values.iter().filter(inside).count() as u64, count, "bar {index}");
        }
    }

    #[test]
    fn states_without_counts_have_no_bars() {
        assert_eq!(Bars::of(&ObserverState::new(ObserverKind::Histogram)), None);
        let mut range = ObserverState::new(ObserverKind::MinMax);
        range.observe(&[1.0]);
        assert_eq!(Bars::of(&range), None);
    }
}
