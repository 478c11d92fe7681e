//! Reported quality: NUMERICS section 7. Sums are f64, in the order in which values are given.
use super::QParams;

/// How close values are to a reference: SQNR and cosine, collected piece by piece.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Similarity {
    reference_energy: f64,
    other_energy: f64,
    error_energy: f64,
    product: f64,
}

impl Similarity {
    /// Takes in the values of `reference` and `other` that lie side by side; the longer one's rest is left out.
    pub fn add(&mut self, reference: &[f32], other: &[f32]) {
        for (&x, &y) in reference.iter().zip(other) {
            let (x, y) = (f64::from(x), f64::from(y));
            self.reference_energy += x * x;
            self.other_energy += y * y;
            self.error_energy += (x - y) * (x - y);
            self.product += x * y;
        }
    }

    /// Takes in what another one has collected.
    pub fn merge(&mut self, other: &Similarity) {
        self.reference_energy += other.reference_energy;
        self.other_energy += other.other_energy;
        self.error_energy += other.error_energy;
        self.product += other.product;
    }

    /// `|x - x_q|_2` squared.
    pub fn error_energy(&self) -> f64 {
        self.error_energy
    }

    /// `20 log10(|x|_2 / |x - x_q|_2)`; infinite where there is no error (also for no values), minus infinite for an error
    /// on a reference of zeros.
    pub fn sqnr_db(&self) -> f64 {
        if self.error_energy == 0.0 { f64::INFINITY } else { 10.0 * (self.reference_energy / self.error_energy).log10() }
    }

    /// Cosine of the angle between both; 1 if both are all zeros, 0 if one is.
    pub fn cosine(&self) -> f64 {
        if self.reference_energy == 0.0 && self.other_energy == 0.0 {
            return 1.0;
        }
        let norms = self.reference_energy.sqrt() * self.other_energy.sqrt();
        if norms == 0.0 { 0.0 } else { self.product / norms }
    }
}

/// How many values a quantization clips, collected piece by piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClipCounts {
    /// Values below the range, which became `qmin`.
    pub low: u64,
    /// Values above the range, which became `qmax`.
    pub high: u64,
    /// All values.
    pub total: u64,
}

impl ClipCounts {
    /// Counts the values whose integer (before the clamp) lies outside `qmin..=qmax`. NaN is in the total alone.
    pub fn add(&mut self, values: &[f32], qparams: QParams, qmin: i32, qmax: i32) {
        let inverse = 1.0 / qparams.scale;
        let (low, high) = ((qmin - qparams.zero_point) as f32, (qmax - qparams.zero_point) as f32);
        for &value in values {
            let level = (value * inverse).round_ties_even();
            self.low += u64::from(level < low);
            self.high += u64::from(level > high);
        }
        self.total += values.len() as u64;
    }

    /// Takes in what another one has counted.
    pub fn merge(&mut self, other: &ClipCounts) {
        self.low += other.low;
        self.high += other.high;
        self.total += other.total;
    }

    /// Shares clipped low and high, each in 0..=1; 0 for no values.
    pub fn rates(&self) -> (f64, f64) {
        let total = self.total.max(1) as f64;
        (self.low as f64 / total, self.high as f64 / total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqnr_and_cosine_follow_their_formulas() {
        let (x, y) = ([3.0f32, -4.0, 0.0], [3.0f32, -4.5, 0.0]);
        let mut whole = Similarity::default();
        whole.add(&x, &y);
        assert!((whole.sqnr_db() - 20.0).abs() < 1e-12);
        assert!((whole.cosine() - 27.0 / (5.0 * 29.25f64.sqrt())).abs() < 1e-15);
        let (mut first, mut second) = (Similarity::default(), Similarity::default());
        first.add(&x[..1], &y[..1]);
        second.add(&x[1..], &y[1..]);
        first.merge(&second);
        assert_eq!(first, whole);
    }

    #[test]
    fn zeros_have_their_conventions() {
        let mut same = Similarity::default();
        same.add(&[0.0; 3], &[0.0; 3]);
        assert_eq!((same.sqnr_db(), same.cosine()), (f64::INFINITY, 1.0));
        let mut lost = Similarity::default();
        lost.add(&[0.0; 3], &[1.0; 3]);
        assert_eq!((lost.sqnr_db(), lost.cosine()), (f64::NEG_INFINITY, 0.0));
    }

    #[test]
    fn clipping_counts_what_lies_outside() {
        let qparams = QParams { scale: 0.5, zero_point: 10 };
        let mut counts = ClipCounts::default();
        counts.add(&[-5.0, -5.25, -5.26, 122.5, 122.75, 122.8, f32::NAN, f32::INFINITY], qparams, 0, 255);
        assert_eq!(counts, ClipCounts { low: 1, high: 2 + 1, total: 8 });
        let mut twice = counts;
        twice.merge(&counts);
        assert_eq!(twice.rates(), (0.125, 0.375));
        assert_eq!(ClipCounts::default().rates(), (0.0, 0.0));
    }
}
