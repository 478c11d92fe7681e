//! A caller's plain pointers: outputs, text, bytes, arrays.
use super::status::{Failure, Outcome};
use std::ffi::{CStr, c_char, c_void};
use std::path::PathBuf;

/// A place for one output, checked, written once the call has succeeded.
pub(super) struct Out<T>(*mut T);

impl<T> Out<T> {
    /// Refuses NULL and misaligned places.
    ///
    /// # Safety
    /// Otherwise `place` is valid for a write of a `T` until [`Out::write`].
    pub unsafe fn new(place: *mut T, what: &str) -> Outcome<Self> {
        if place.is_null() {
            return Err(Failure::null(what));
        }
        if !place.is_aligned() {
            return Err(Failure::invalid(format!("{what} is not aligned to {} bytes", align_of::<T>())));
        }
        Ok(Self(place))
    }

    /// Writes the output.
    pub fn write(self, value: T) {
        // SAFETY: checked in `new`, valid by its promise.
        unsafe { self.0.write(value) }
    }
}

/// Text of a caller, UTF-8 with a NUL at its end.
///
/// # Safety
/// `text` is NULL or a C string that outlives `'a`.
pub(super) unsafe fn text<'a>(text: *const c_char, what: &str) -> Outcome<&'a str> {
    if text.is_null() {
        return Err(Failure::null(what));
    }
    // SAFETY: a C string by the caller's promise.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map_err(|_| Failure::invalid(format!("{what} is not UTF-8")))
}

/// A path of a caller, UTF-8.
///
/// # Safety
/// As [`text`].
pub(super) unsafe fn path(path: *const c_char) -> Outcome<PathBuf> {
    // SAFETY: the caller's promise.
    let path = unsafe { text(path, "path") }?;
    if path.is_empty() {
        return Err(Failure::invalid("path is empty"));
    }
    Ok(PathBuf::from(path))
}

/// An array of a caller; a NULL with no elements is an empty one.
///
/// # Safety
/// `first` is NULL or points to `len` elements that outlive `'a` and that nobody writes meanwhile.
pub(super) unsafe fn array<'a, T>(first: *const T, len: usize, what: &str) -> Outcome<&'a [T]> {
    if len == 0 {
        return Ok(&[]);
    }
    if first.is_null() {
        return Err(Failure::null(what));
    }
    if !first.is_aligned() {
        return Err(Failure::invalid(format!("{what} is not aligned to {} bytes", align_of::<T>())));
    }
    if len.checked_mul(size_of::<T>()).is_none_or(|bytes| bytes > isize::MAX as usize) {
        return Err(Failure::invalid(format!("{what} has {len} elements, more than memory can hold")));
    }
    // SAFETY: not NULL, aligned, of a possible size; readable by the caller's promise.
    Ok(unsafe { std::slice::from_raw_parts(first, len) })
}

/// The bytes of `text` that fit a buffer of `capacity` with a NUL behind them, cut between characters. A NUL inside
/// would end the text early, so it becomes a question mark.
pub(super) fn bytes_that_fit(text: &str, capacity: usize) -> impl Iterator<Item = u8> {
    let mut end = text.len().min(capacity.saturating_sub(1));
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.as_bytes()[..end].iter().map(|&byte| if byte == 0 { b'?' } else { byte })
}

/// Writes what fits of `text`, and a NUL; writes nothing where there is no buffer.
///
/// # Safety
/// `buffer` is NULL or valid for writes of `capacity` bytes.
pub(super) unsafe fn write_what_fits(text: &str, buffer: *mut c_char, capacity: usize) {
    if buffer.is_null() || capacity == 0 {
        return;
    }
    let mut end = 0;
    for byte in bytes_that_fit(text, capacity) {
        // SAFETY: `end < capacity - 1`, as at most that many bytes fit.
        unsafe { buffer.add(end).write(byte as c_char) };
        end += 1;
    }
    // SAFETY: `end <= capacity - 1`.
    unsafe { buffer.add(end).write(0) };
}

/// Answers a call that first asks for a size and then has a buffer filled: tells the size, and copies `bytes` if there
/// is a buffer.
///
/// # Errors
/// `RSQ_INVALID_ARGUMENT` if the buffer is too small; nothing is written then.
///
/// # Safety
/// `buffer` is NULL or valid for writes of `capacity` bytes, which do not overlap `bytes`.
pub(super) unsafe fn fill(bytes: &[u8], buffer: *mut c_void, capacity: usize, size: Out<usize>, size_told: usize) -> Outcome {
    if !buffer.is_null() {
        if capacity < bytes.len() {
            return Err(Failure::invalid(format!("the buffer has {capacity} bytes where {} are needed", bytes.len())));
        }
        // SAFETY: the buffer has room by the check above, and is writable by the caller's promise.
        unsafe { buffer.cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    }
    size.write(size_told);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::status::{RSQ_INVALID_ARGUMENT, RSQ_NULL_ARGUMENT};
    use super::*;

    #[test]
    fn text_must_be_there_and_utf8() {
        // SAFETY: NULL or C strings.
        unsafe {
            assert_eq!(text(c"caf\xc3\xa9".as_ptr(), "scope"), Ok("caf\u{e9}"));
            assert_eq!(text(c"\xff".as_ptr(), "scope").unwrap_err().status, RSQ_INVALID_ARGUMENT);
            assert_eq!(text(std::ptr::null(), "scope").unwrap_err(), Failure::new(RSQ_NULL_ARGUMENT, "scope is NULL"));
            assert_eq!(path(c"".as_ptr()).unwrap_err().status, RSQ_INVALID_ARGUMENT);
        }
    }

    #[test]
    fn arrays_are_checked_before_they_are_read() {
        let words = [1u32, 2, 3];
        // SAFETY: NULL, or refused before it is read, or an array of that length.
        unsafe {
            assert_eq!(array(words.as_ptr(), 3, "words"), Ok(words.as_slice()));
            assert_eq!(array(std::ptr::null::<u32>(), 0, "words"), Ok([].as_slice()));
            assert_eq!(array(std::ptr::null::<u32>(), 1, "words").unwrap_err().status, RSQ_NULL_ARGUMENT);
            assert_eq!(array(words.as_ptr().byte_add(1), 1, "words").unwrap_err().status, RSQ_INVALID_ARGUMENT);
            assert_eq!(array(words.as_ptr(), usize::MAX, "words").unwrap_err().status, RSQ_INVALID_ARGUMENT);
            assert_eq!(array(words.as_ptr(), usize::MAX / 4, "words").unwrap_err().status, RSQ_INVALID_ARGUMENT);
        }
    }

    #[test]
    fn outputs_must_be_there_and_aligned() {
        let mut word = 0u32;
        // SAFETY: NULL, or refused before it is written, or a word.
        unsafe {
            assert!(Out::<u32>::new(std::ptr::null_mut(), "out").is_err());
            assert!(Out::new((&raw mut word).byte_add(1), "out").is_err());
            Out::new(&raw mut word, "out").unwrap_or_else(|_| unreachable!()).write(7);
        }
        assert_eq!(word, 7);
    }

    #[test]
    fn a_buffer_is_asked_for_then_filled_and_never_written_past() {
        let mut buffer = [9u8; 4];
        let mut size = 0;
        let mut call = |buffer: *mut u8, capacity: usize| {
            // SAFETY: NULL or a buffer with at least that capacity.
            unsafe { fill(b"abc", buffer.cast(), capacity, Out::new(&raw mut size, "size")?, 3) }
        };
        assert_eq!(call(std::ptr::null_mut(), 0), Ok(()));
        assert!(call(buffer.as_mut_ptr(), 2).is_err());
        assert_eq!(buffer, [9; 4]);
        assert_eq!(call(buffer.as_mut_ptr(), 3), Ok(()));
        assert_eq!((buffer, size), ([b'a', b'b', b'c', 9], 3));
    }

    #[test]
    fn text_that_does_not_fit_is_cut_and_ends() {
        let mut buffer = [7 as c_char; 5];
        // SAFETY: the buffer has room for the capacities given.
        unsafe {
            write_what_fits("abcdef", buffer.as_mut_ptr(), 4);
            assert_eq!(buffer, [97, 98, 99, 0, 7]);
            write_what_fits("", buffer.as_mut_ptr(), 1);
            assert_eq!(buffer, [0, 98, 99, 0, 7]);
            write_what_fits("x", buffer.as_mut_ptr(), 0);
            write_what_fits("x", std::ptr::null_mut(), 9);
            assert_eq!(buffer, [0, 98, 99, 0, 7]);
        }
    }
}
