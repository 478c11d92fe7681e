//! BatchNormalization at inference as one multiplication and one addition a channel.
use crate::error::{Error, Result};

/// The parameters of a BatchNormalization, each `[c]`.
#[derive(Debug, Clone, Copy)]
pub struct BatchNorm<'a> {
    /// Scale, ONNX input 1.
    pub gamma: &'a [f32],
    /// Offset, ONNX input 2.
    pub beta: &'a [f32],
    /// Running mean, ONNX input 3.
    pub mean: &'a [f32],
    /// Running variance, ONNX input 4.
    pub variance: &'a [f32],
    /// Added to the variance.
    pub epsilon: f32,
}

impl BatchNorm<'_> {
    /// `scale = gamma / sqrt(variance + epsilon)`, `shift = beta - mean * scale`: in f64, each rounded once.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] if the lengths differ, [`Error::NotFinite`] naming the channel whose result is not a
    /// finite number (a variance that is not above `-epsilon`, or an overflow).
    pub fn scale_and_shift(&self) -> Result<(Vec<f32>, Vec<f32>)> {
        let channels = self.gamma.len();
        if [self.beta, self.mean, self.variance].iter().any(|vector| vector.len() != channels) {
            return Err(Error::ShapeMismatch("scale, bias, mean and variance have different lengths".to_owned()));
        }
        let (mut scales, mut shifts) = (Vec::with_capacity(channels), Vec::with_capacity(channels));
        for c in 0..channels {
            let scale = f64::from(self.gamma[c]) / (f64::from(self.variance[c]) + f64::from(self.epsilon)).sqrt();
            let shift = f64::from(self.beta[c]) - f64::from(self.mean[c]) * scale;
            if !(scale as f32).is_finite() || !(shift as f32).is_finite() {
                return Err(Error::NotFinite(format!("the scale or shift of channel {c} (variance {})", self.variance[c])));
            }
            scales.push(scale as f32);
            shifts.push(shift as f32);
        }
        Ok((scales, shifts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scale_and_shift_follow_the_definition() {
        let norm = BatchNorm { gamma: &[2.0, -1.0], beta: &[0.5, 0.0], mean: &[3.0, 1.0], variance: &[3.75, 0.0], epsilon: 0.25 };
        assert_eq!(norm.scale_and_shift().unwrap(), (vec![1.0, -2.0], vec![-2.5, 2.0]));
    }

    #[test]
    fn a_negative_variance_is_named() {
        let norm = BatchNorm { gamma: &[1.0; 2], beta: &[0.0; 2], mean: &[0.0; 2], variance: &[1.0, -1.0], epsilon: 1e-5 };
        assert!(matches!(norm.scale_and_shift(), Err(Error::NotFinite(text)) if text.contains("channel 1")));
    }

    #[test]
    fn vectors_of_different_lengths_are_refused() {
        let norm = BatchNorm { gamma: &[1.0; 2], beta: &[0.0; 3], mean: &[0.0; 2], variance: &[1.0; 2], epsilon: 1e-5 };
        assert!(matches!(norm.scale_and_shift(), Err(Error::ShapeMismatch(_))));
    }
}
