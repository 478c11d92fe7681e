//! What happens when the system refuses memory.
//!
//! Buffers whose size follows the input are asked for in a way that may fail ([`filled`], [`copied`],
//! [`crate::tensor::AlignedBuffer`]). Small boxes, lists and texts cannot be: stable Rust ends the process when one of
//! them is refused. Where [`ReserveAllocator`] is the process's allocator, it answers those from a reserve and notes the
//! refusal, and the next [`checkpoint`] of that thread ends the call with [`Error::OutOfMemory`], which gives the reserve
//! back. So checkpoints stand in every loop over a graph, and before anything that outlives the call.
//!
//! [`Budget`] counts what the objects of one context hold, and refuses what goes over a limit.
#[allow(unsafe_code)]
mod allocator;
mod budget;
#[allow(unsafe_code)]
mod reserve;

pub use allocator::ReserveAllocator;
pub use budget::{Budget, Charge, charge, check_room, current_budget, within_budget};

use crate::error::{Error, Result};
use std::cell::Cell;

/// Requests from this size on are not answered from the reserve: they follow an input's size and are asked for with care. Below are
/// those of a fixed size, the largest of which are a histogram's counters with 64 KiB, and lists and tables with an entry for each node
/// or tensor of a graph, a hundred bytes or two each.
pub const MOST_RESERVED_BYTES: usize = 1 << 20;

thread_local! {
    /// Size of the first request of this thread that was refused and that no checkpoint has reported; 0: none.
    static REFUSED: Cell<usize> = const { Cell::new(0) };
}

/// Fails if a request of this thread was refused since the last checkpoint.
///
/// # Errors
/// [`Error::OutOfMemory`].
#[inline]
pub fn checkpoint() -> Result<()> {
    match REFUSED.get() {
        0 => Ok(()),
        bytes => Err(refusal(bytes)),
    }
}

#[cold]
fn refusal(bytes: usize) -> Error {
    let error = Error::OutOfMemory { what: "a small object".to_owned(), bytes };
    REFUSED.set(0);
    error
}

/// Takes over what this thread was refused, for another one that goes on with its work.
pub(crate) fn take_refusal() -> usize {
    REFUSED.replace(0)
}

/// Notes that this thread was refused `bytes`; nothing for 0.
pub(crate) fn note_refusal(bytes: usize) {
    // A thread that is ending has nobody left to tell.
    let _ = REFUSED.try_with(|refused| {
        if refused.get() == 0 {
            refused.set(bytes);
        }
    });
}

/// Tests of the reserve use all of it.
#[cfg(test)]
static ONE_TEST: std::sync::Mutex<()> = std::sync::Mutex::new(());

/// Bytes of the reserve that are in use.
pub fn reserve_in_use() -> usize {
    reserve::RESERVE.in_use()
}

/// `len` elements of `value`; `what` names them in the error.
///
/// # Errors
/// [`Error::OutOfMemory`].
pub fn filled<T: Clone>(len: usize, value: T, what: &str) -> Result<Vec<T>> {
    let mut list = reserved(len, what)?;
    list.resize(len, value);
    Ok(list)
}

/// A copy of `values`; `what` names them in the error.
///
/// # Errors
/// [`Error::OutOfMemory`].
pub fn copied<T: Clone>(values: &[T], what: &str) -> Result<Vec<T>> {
    let mut list = reserved(values.len(), what)?;
    list.extend_from_slice(values);
    Ok(list)
}

/// An empty list with room for `len` elements, which must fit the current [`Budget`] while it is made.
///
/// # Errors
/// [`Error::OutOfMemory`], [`Error::MemoryLimit`].
pub fn reserved<T>(len: usize, what: &str) -> Result<Vec<T>> {
    let mut list = Vec::new();
    check_room(len.saturating_mul(size_of::<T>()), what)?;
    let refused = |_| Error::OutOfMemory { what: what.to_owned(), bytes: len.saturating_mul(size_of::<T>()) };
    list.try_reserve_exact(len).map_err(refused)?;
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_reported_once_and_the_first_counts() {
        assert_eq!(checkpoint(), Ok(()));
        note_refusal(0);
        assert_eq!(checkpoint(), Ok(()));
        note_refusal(7);
        note_refusal(9);
        assert_eq!(checkpoint(), Err(Error::OutOfMemory { what: "a small object".into(), bytes: 7 }));
        assert_eq!(checkpoint(), Ok(()));
        note_refusal(5);
        assert_eq!((take_refusal(), checkpoint()), (5, Ok(())));
        std::thread::scope(|scope| {
            note_refusal(3);
            scope.spawn(|| assert_eq!(checkpoint(), Ok(()), "another thread's"));
        });
        assert!(checkpoint().is_err());
    }

    #[test]
    fn lists_that_cannot_be_had_are_errors_that_name_them() {
        assert_eq!(filled(3, 1u8, "ones"), Ok(vec![1; 3]));
        assert_eq!(copied(&[1, 2], "numbers"), Ok(vec![1, 2]));
        let error = filled(usize::MAX / 2, 0u64, "a huge list").unwrap_err();
        assert!(error.to_string().contains("a huge list"), "{error}");
    }
}
