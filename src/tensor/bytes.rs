//! Immutable bytes that many owners share: constants of a graph, sections of a mapped model file.
use super::{ALIGNMENT, AlignedBuffer};
use crate::error::Result;
use std::ops::Range;
use std::sync::Arc;

/// A shared, immutable run of bytes whose memory is an aligned buffer or a mapped file.
#[derive(Clone)]
pub struct SharedBytes {
    owner: Arc<dyn AsRef<[u8]> + Send + Sync>,
    range: Range<usize>,
}

impl SharedBytes {
    /// All bytes of `owner`.
    pub fn from_owner(owner: Arc<dyn AsRef<[u8]> + Send + Sync>) -> Self {
        let range = 0..(*owner).as_ref().len();
        Self { owner, range }
    }

    /// An aligned copy of plain values.
    ///
    /// # Errors
    /// [`crate::error::Error::OutOfMemory`].
    pub fn copy_of<T: bytemuck::NoUninit>(values: &[T]) -> Result<Self> {
        let buffer = AlignedBuffer::from_bytes(bytemuck::cast_slice(values), "a constant")?;
        Ok(Self::from_owner(Arc::new(buffer)))
    }

    /// A part of these bytes, sharing the owner; `None` if it is not inside.
    pub fn slice(&self, range: Range<usize>) -> Option<Self> {
        let (start, end) = (self.range.start.checked_add(range.start)?, self.range.start.checked_add(range.end)?);
        (start <= end && end <= self.range.end).then(|| Self { owner: Arc::clone(&self.owner), range: start..end })
    }

    /// The bytes as plain values, if length and alignment fit.
    pub fn cast<T: bytemuck::AnyBitPattern>(&self) -> Option<&[T]> {
        bytemuck::try_cast_slice(self).ok()
    }

    /// Whether the first byte lies on a 64-byte boundary.
    pub fn is_aligned(&self) -> bool {
        self.as_ptr() as usize % ALIGNMENT == 0
    }
}

impl std::ops::Deref for SharedBytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &(*self.owner).as_ref()[self.range.clone()]
    }
}

impl std::fmt::Debug for SharedBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SharedBytes({} bytes)", self.range.len())
    }
}
