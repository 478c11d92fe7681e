//! The weights of a layer that is added: copied, or left where they are.
use crate::error::{Error, Result};
use crate::graph::ir::Constant;
use crate::tensor::{DType, SharedBytes};

/// Floats of a layer.
#[derive(Debug, Clone)]
pub enum LayerFloats<'a> {
    /// Copied into the graph.
    Copied(&'a [f32]),
    /// Shared with whoever holds them.
    Shared(SharedBytes),
}

impl<'a> From<&'a [f32]> for LayerFloats<'a> {
    fn from(values: &'a [f32]) -> Self {
        LayerFloats::Copied(values)
    }
}

impl<'a> From<&'a Vec<f32>> for LayerFloats<'a> {
    fn from(values: &'a Vec<f32>) -> Self {
        LayerFloats::Copied(values)
    }
}

impl<'a, const N: usize> From<&'a [f32; N]> for LayerFloats<'a> {
    fn from(values: &'a [f32; N]) -> Self {
        LayerFloats::Copied(values)
    }
}

impl LayerFloats<'_> {
    /// The floats; `what` names them in the error.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for shared bytes that are no floats.
    pub(super) fn values(&self, what: &str) -> Result<&[f32]> {
        match self {
            LayerFloats::Copied(values) => Ok(values),
            LayerFloats::Shared(bytes) => {
                bytes.cast().ok_or_else(|| Error::InvalidArgument(format!("{what}: {} bytes that are not floats", bytes.len())))
            }
        }
    }

    /// The constant of shape `dims`.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub(super) fn constant(self, dims: &[usize]) -> Result<Constant> {
        match self {
            LayerFloats::Copied(values) => Constant::f32(values, dims),
            LayerFloats::Shared(data) => Ok(Constant { dtype: DType::F32, dims: dims.to_vec(), data }),
        }
    }
}
