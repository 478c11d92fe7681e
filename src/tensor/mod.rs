//! Element types, shapes, aligned and shared memory, and views of a caller's tensors.
#[allow(unsafe_code)]
mod buffer;
mod bytes;
mod dtype;
pub(crate) mod f32_bits;
mod view;

pub use buffer::{ALIGNMENT, AlignedBuffer};
pub use bytes::SharedBytes;
pub use dtype::DType;
pub use view::{TensorView, TensorViewMut};

/// The product of `dims`, or `None` where it does not fit `usize`.
pub fn element_count(dims: &[usize]) -> Option<usize> {
    dims.iter().try_fold(1usize, |product, &dim| product.checked_mul(dim))
}

/// `value` rounded up to a multiple of `to`.
pub const fn round_up(value: usize, to: usize) -> usize {
    value.div_ceil(to) * to
}
