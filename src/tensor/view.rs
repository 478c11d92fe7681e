//! Borrowed tensors of a caller.
use super::{DType, element_count};
use crate::error::{Error, Result};

/// A borrowed, dense, row-major tensor that is read.
#[derive(Debug, Clone, Copy)]
pub struct TensorView<'a> {
    bytes: &'a [u8],
    dtype: DType,
    dims: &'a [usize],
}

/// A borrowed, dense, row-major tensor that is written.
#[derive(Debug)]
pub struct TensorViewMut<'a> {
    bytes: &'a mut [u8],
    dtype: DType,
    dims: &'a [usize],
}

fn check(bytes: &[u8], dtype: DType, dims: &[usize]) -> Result<()> {
    let needed = element_count(dims).and_then(|n| n.checked_mul(dtype.size_bytes()));
    if needed != Some(bytes.len()) {
        return Err(Error::ShapeMismatch(format!("{} tensor of shape {dims:?} does not have {} bytes", dtype.name(), bytes.len())));
    }
    if bytes.as_ptr() as usize % dtype.size_bytes().min(4) != 0 {
        return Err(Error::InvalidArgument(format!("{} tensor data is not aligned to its element", dtype.name())));
    }
    Ok(())
}

impl<'a> TensorView<'a> {
    /// A view of `bytes` as a dense tensor.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`] if the number of bytes is not the shape's, [`Error::InvalidArgument`] if they are not
    /// aligned to the element.
    pub fn new(bytes: &'a [u8], dtype: DType, dims: &'a [usize]) -> Result<Self> {
        check(bytes, dtype, dims)?;
        Ok(Self { bytes, dtype, dims })
    }

    /// A view of floats.
    ///
    /// # Errors
    /// As [`TensorView::new`].
    pub fn f32(values: &'a [f32], dims: &'a [usize]) -> Result<Self> {
        Self::new(bytemuck::cast_slice(values), DType::F32, dims)
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The shape.
    pub fn dims(&self) -> &'a [usize] {
        self.dims
    }

    /// The raw bytes.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

impl<'a> TensorViewMut<'a> {
    /// A view of `bytes` as a dense tensor.
    ///
    /// # Errors
    /// As [`TensorView::new`].
    pub fn new(bytes: &'a mut [u8], dtype: DType, dims: &'a [usize]) -> Result<Self> {
        check(bytes, dtype, dims)?;
        Ok(Self { bytes, dtype, dims })
    }

    /// A view of floats.
    ///
    /// # Errors
    /// As [`TensorView::new`].
    pub fn f32(values: &'a mut [f32], dims: &'a [usize]) -> Result<Self> {
        Self::new(bytemuck::cast_slice_mut(values), DType::F32, dims)
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The shape.
    pub fn dims(&self) -> &'a [usize] {
        self.dims
    }

    /// The raw bytes.
    pub fn bytes(&mut self) -> &mut [u8] {
        self.bytes
    }
}
