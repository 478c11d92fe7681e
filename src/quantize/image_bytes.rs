//! What a byte of an image stands for: the normalization that models of images are trained with.
use crate::error::{Error, Result};

/// The divisor that takes image bytes to 0..=1.
pub const BYTE_DIVISOR: f32 = 255.0;

/// The float of each byte of one channel.
pub type ByteValues = [f32; 256];

/// The normalization of an image's bytes: `(byte / divisor - mean[c]) / std[c]`, each operation rounded to f32 in that order,
/// as torchvision's `ToTensor` and `Normalize` do.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageNormalization {
    /// What bytes are divided by first: [`BYTE_DIVISOR`] for a mean and deviation of values in 0..=1, 1 for ones of bytes.
    pub divisor: f32,
    /// One a channel.
    pub mean: Vec<f32>,
    /// Standard deviations, one a channel.
    pub std: Vec<f32>,
}

impl ImageNormalization {
    /// Number of channels.
    pub fn channels(&self) -> usize {
        self.mean.len()
    }

    /// The float of each byte, channel by channel.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for no channels, another number of deviations than of means, numbers that are not finite, a
    /// divisor or deviation that is not above zero, and a channel some byte of which is no finite number.
    pub fn values(&self) -> Result<Vec<ByteValues>> {
        let refuse = |message: String| Err(Error::InvalidArgument(message));
        if self.mean.is_empty() || self.mean.len() != self.std.len() {
            return refuse(format!("an image has {} means and {} standard deviations", self.mean.len(), self.std.len()));
        }
        let positive = |x: f32| x.is_finite() && x > 0.0;
        if !positive(self.divisor) {
            return refuse(format!("an image's bytes are divided by {}; above zero is needed", self.divisor));
        }
        let value_of = |byte: usize, mean: f32, std: f32| (byte as f32 / self.divisor - mean) / std;
        let mut values = Vec::with_capacity(self.mean.len());
        for (channel, (&mean, &std)) in self.mean.iter().zip(&self.std).enumerate() {
            let of_channel: ByteValues = std::array::from_fn(|byte| value_of(byte, mean, std));
            if !mean.is_finite() || !positive(std) || of_channel.iter().any(|value| !value.is_finite()) {
                return refuse(format!("channel {channel} of an image has mean {mean} and standard deviation {std}"));
            }
            values.push(of_channel);
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normalization(mean: &[f32], std: &[f32]) -> ImageNormalization {
        ImageNormalization { divisor: BYTE_DIVISOR, mean: mean.to_vec(), std: std.to_vec() }
    }

    #[test]
    fn each_operation_rounds_in_the_written_order() {
        let values = normalization(&[0.485, 0.456], &[0.229, 0.224]).values().unwrap();
        for byte in 0..256 {
            let unit = byte as f32 / 255.0;
            let centred = unit - 0.456;
            assert_eq!(values[1][byte].to_bits(), (centred / 0.224).to_bits(), "{byte}");
        }
        let bytes = ImageNormalization { divisor: 1.0, ..normalization(&[123.675], &[58.395]) }.values().unwrap();
        assert_eq!(bytes[0][200], (200.0f32 - 123.675) / 58.395);
    }

    #[test]
    fn what_is_no_normalization_is_refused() {
        let message = |given: ImageNormalization| given.values().unwrap_err().to_string();
        assert!(message(normalization(&[], &[])).contains("0 means"));
        assert!(message(normalization(&[0.5, 0.5], &[0.5])).contains("2 means and 1"));
        for std in [0.0, -1.0, f32::NAN, f32::INFINITY, f32::MIN_POSITIVE / 8.0] {
            assert!(message(normalization(&[0.5, 0.5], &[0.5, std])).contains("channel 1"), "{std}");
        }
        assert!(message(normalization(&[f32::NAN], &[1.0])).contains("channel 0"));
        for divisor in [0.0, -255.0, f32::NAN] {
            assert!(message(ImageNormalization { divisor, ..normalization(&[0.0], &[1.0]) }).contains("divided by"));
        }
    }
}
