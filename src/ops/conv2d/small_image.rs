//! The image of a first layer in the form that a kernel reads best, and the convolution over that form.
use super::dense_rows::DenseRows;
use super::geometry::ConvGeometry;
use super::int8_channels::Int8Weights;
use super::row_pairs::RowPairs;
use crate::error::Result;
use crate::kernels::SmallImageForm;
use std::ops::Range;

/// How an image is written anew before a layer reads it.
#[derive(Debug, Clone)]
pub enum SmallImage {
    /// Rows in pairs.
    RowPairs(RowPairs),
    /// Rows of pixels without padding bytes, and the border.
    DenseRows(DenseRows),
}

impl SmallImage {
    /// The image in `form`, and the convolution over it with its weights; `None` where the pixels stay as they are, `pixel_bytes` long.
    ///
    /// # Errors
    /// [`crate::error::Error::OutOfMemory`].
    pub fn new(
        form: SmallImageForm,
        geometry: &ConvGeometry,
        weights: &Int8Weights,
        pixel_bytes: usize,
    ) -> Result<Option<(Self, ConvGeometry, Int8Weights)>> {
        let found = match form {
            SmallImageForm::RowPairs if RowPairs::possible(geometry, pixel_bytes) => {
                let (pairs, geometry, weights) = RowPairs::new(geometry, weights)?;
                (Self::RowPairs(pairs), geometry, weights)
            }
            SmallImageForm::DenseRows if DenseRows::possible(geometry, pixel_bytes) => {
                let (rows, geometry, weights) = DenseRows::new(geometry, weights)?;
                (Self::DenseRows(rows), geometry, weights)
            }
            _ => return Ok(None),
        };
        Ok(Some(found))
    }

    /// Bytes of an image in this form.
    pub fn bytes(&self) -> usize {
        match self {
            Self::RowPairs(pairs) => pairs.bytes(),
            Self::DenseRows(rows) => rows.bytes(),
        }
    }

    /// Bytes from a pixel of this form to the next.
    pub fn pixel_bytes(&self) -> usize {
        match self {
            Self::RowPairs(pairs) => pairs.pixel_bytes(),
            Self::DenseRows(rows) => rows.pixel_bytes(),
        }
    }

    /// Writes what output rows `outputs` (at least one) of the new `geometry` read of `image` into its place in `to`.
    pub fn write(&self, geometry: &ConvGeometry, image: &[u8], zero_point: u8, outputs: &Range<usize>, to: &mut [u8]) {
        match self {
            Self::RowPairs(pairs) => pairs.write(image, zero_point, pairs.of_outputs(geometry, outputs), to),
            Self::DenseRows(rows) => rows.write(image, zero_point, DenseRows::of_outputs(geometry, outputs), to),
        }
    }
}
