//! Zeroed memory aligned to a cache line, which reports a refused allocation instead of aborting.
use crate::error::{Error, Result};
use crate::memory;
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

/// Alignment of every buffer: one cache line, one zmm register, one AMX tile row.
pub const ALIGNMENT: usize = 64;

/// An owned, zero-initialized, 64-byte aligned run of bytes.
pub struct AlignedBuffer {
    start: NonNull<u8>,
    len: usize,
    /// Counts its bytes where the thread that made it works within a budget.
    _charge: memory::Charge,
}

// SAFETY: the buffer owns its memory exclusively, as a `Box<[u8]>` does.
unsafe impl Send for AlignedBuffer {}
// SAFETY: shared access hands out only `&[u8]`.
unsafe impl Sync for AlignedBuffer {}

impl AlignedBuffer {
    /// `len` zero bytes, counted to the budget that this thread works within; `what` names them in the error when memory is
    /// refused.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], [`Error::MemoryLimit`].
    pub fn zeroed(len: usize, what: &str) -> Result<Self> {
        let refused = || Error::OutOfMemory { what: what.to_owned(), bytes: len };
        memory::checkpoint()?;
        if len == 0 {
            // An empty slice of any element type begins on that type's boundary too.
            let start = NonNull::new(std::ptr::without_provenance_mut(ALIGNMENT)).ok_or_else(refused)?;
            return Ok(Self { start, len, _charge: memory::Charge::default() });
        }
        let charge = memory::charge(len, what)?;
        let layout = Layout::from_size_align(len, ALIGNMENT).map_err(|_| refused())?;
        // SAFETY: the layout has a size above zero.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) }).ok_or_else(refused)?;
        Ok(Self { start, len, _charge: charge })
    }

    /// A copy of `bytes`.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn from_bytes(bytes: &[u8], what: &str) -> Result<Self> {
        let mut buffer = Self::zeroed(bytes.len(), what)?;
        buffer.copy_from_slice(bytes);
        Ok(buffer)
    }

    /// The first byte, for kernels that address by pointer.
    pub fn as_mut_ptr(&mut self) -> *mut u8 {
        self.start.as_ptr()
    }
}

impl std::ops::Deref for AlignedBuffer {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        // SAFETY: `start` points to `len` initialized bytes (or dangles with `len` 0) owned by self.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl std::ops::DerefMut for AlignedBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`, and `&mut self` makes the access exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl AsRef<[u8]> for AlignedBuffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for AlignedBuffer {
    fn drop(&mut self) {
        if self.len > 0 {
            // SAFETY: allocated in `zeroed` with this very layout.
            unsafe { dealloc(self.start.as_ptr(), Layout::from_size_align_unchecked(self.len, ALIGNMENT)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_zeroed_and_aligned() {
        for len in [0, 1, 63, 64, 65, 4096] {
            let buffer = AlignedBuffer::zeroed(len, "test").unwrap();
            assert_eq!(buffer.len(), len);
            assert!(buffer.iter().all(|&byte| byte == 0));
            assert_eq!(buffer.as_ptr() as usize % ALIGNMENT, 0, "{len} bytes");
        }
    }

    #[test]
    fn a_refused_allocation_is_an_error() {
        let error = AlignedBuffer::zeroed(usize::MAX / 4, "a huge thing").err().unwrap();
        assert!(error.to_string().contains("a huge thing"));
    }
}
