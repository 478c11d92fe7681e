//! The allocator of the shared library.
use super::reserve::RESERVE;
use super::{MOST_RESERVED_BYTES, note_refusal};
use std::alloc::{GlobalAlloc, Layout, System};

/// An allocator that answers small requests from a reserve where the one within refuses them. A process has one
/// allocator; the C library has this one with the feature `reserve-allocator`.
#[derive(Debug)]
pub struct ReserveAllocator<A = System>(A);

impl<A> ReserveAllocator<A> {
    /// The reserve behind `inner`.
    pub const fn new(inner: A) -> Self {
        Self(inner)
    }
}

/// A run of the reserve for a request that was refused; null for one that is too large.
#[cold]
fn from_reserve(layout: Layout) -> *mut u8 {
    if layout.size() >= MOST_RESERVED_BYTES {
        return std::ptr::null_mut();
    }
    note_refusal(layout.size());
    RESERVE.take(layout)
}

// SAFETY: memory is the inner allocator's, or the reserve's, which hands out disjoint runs that are as long and as
// aligned as asked for; each goes back to where it came from, told apart by its address.
unsafe impl<A: GlobalAlloc> GlobalAlloc for ReserveAllocator<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        let start = unsafe { self.0.alloc(layout) };
        if start.is_null() { from_reserve(layout) } else { start }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise.
        let start = unsafe { self.0.alloc_zeroed(layout) };
        if !start.is_null() {
            return start;
        }
        let start = from_reserve(layout);
        if !start.is_null() {
            // SAFETY: a run of that many bytes, ours alone.
            unsafe { start.write_bytes(0, layout.size()) };
        }
        start
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        if RESERVE.owns(start) {
            RESERVE.give_back(start, layout);
        } else {
            // SAFETY: not of the reserve, so from the inner allocator.
            unsafe { self.0.dealloc(start, layout) }
        }
    }

    unsafe fn realloc(&self, start: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let reserved = RESERVE.owns(start);
        if !reserved {
            // SAFETY: not of the reserve, so from the inner allocator.
            let moved = unsafe { self.0.realloc(start, layout, size) };
            if !moved.is_null() {
                return moved;
            }
        }
        // SAFETY: the caller promises that `size`, rounded up to the alignment, is a possible size.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // What grows out of the reserve leaves it where it can.
        // SAFETY: `wanted` has a size above zero, as the caller promises.
        let moved = if reserved { unsafe { self.alloc(wanted) } } else { from_reserve(wanted) };
        if !moved.is_null() {
            // SAFETY: both are that long and do not overlap, as `start` is still in use; it is given back once.
            unsafe {
                moved.copy_from_nonoverlapping(start, layout.size().min(size));
                self.dealloc(start, layout);
            }
        }
        moved
    }
}

#[cfg(feature = "reserve-allocator")]
#[global_allocator]
static GLOBAL: ReserveAllocator = ReserveAllocator::new(System);

#[cfg(test)]
mod tests {
    use super::*;

    /// Refuses everything.
    struct Nothing;

    // SAFETY: null is always a legal answer.
    unsafe impl GlobalAlloc for Nothing {
        unsafe fn alloc(&self, _: Layout) -> *mut u8 {
            std::ptr::null_mut()
        }
        unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
    }

    #[test]
    fn small_requests_are_answered_and_noted_and_large_ones_refused() {
        let _alone = super::super::ONE_TEST.lock();
        let allocator = ReserveAllocator::new(Nothing);
        let layout = Layout::from_size_align(100, 8).unwrap();
        // SAFETY: sizes above zero; what is freed was allocated with the same layout.
        unsafe {
            let start = allocator.alloc_zeroed(layout);
            assert!((0..100).all(|at| *start.add(at) == 0));
            assert!(super::super::checkpoint().is_err());
            start.write_bytes(7, 100);
            let grown = allocator.realloc(start, layout, 1000);
            assert!((0..100).all(|at| *grown.add(at) == 7));
            assert!(allocator.realloc(grown, Layout::from_size_align_unchecked(1000, 8), MOST_RESERVED_BYTES).is_null());
            allocator.dealloc(grown, Layout::from_size_align_unchecked(1000, 8));
            assert!(super::super::checkpoint().is_err());
            assert!(allocator.alloc(Layout::from_size_align(MOST_RESERVED_BYTES, 8).unwrap()).is_null());
            assert_eq!(super::super::checkpoint(), Ok(()), "a caller that may fail is told by the null itself");
        }
    }

    #[test]
    fn memory_of_the_inner_allocator_grows_into_the_reserve() {
        /// Gives memory, and does not let it grow.
        struct Rigid;
        // SAFETY: the system's allocator, but for growth, where null is legal.
        unsafe impl GlobalAlloc for Rigid {
            unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
                // SAFETY: the caller's promise.
                unsafe { System.alloc(layout) }
            }
            unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
                // SAFETY: the caller's promise.
                unsafe { System.dealloc(start, layout) }
            }
            unsafe fn realloc(&self, _: *mut u8, _: Layout, _: usize) -> *mut u8 {
                std::ptr::null_mut()
            }
        }
        let _alone = super::super::ONE_TEST.lock();
        let allocator = ReserveAllocator::new(Rigid);
        let layout = Layout::from_size_align(16, 16).unwrap();
        // SAFETY: as above.
        unsafe {
            let start = allocator.alloc(layout);
            start.write_bytes(9, 16);
            let grown = allocator.realloc(start, layout, 64);
            assert!(RESERVE.owns(grown) && (0..16).all(|at| *grown.add(at) == 9));
            assert!(super::super::checkpoint().is_err());
            let shrunk = allocator.realloc(grown, Layout::from_size_align(64, 16).unwrap(), 8);
            assert!(!RESERVE.owns(shrunk), "it leaves the reserve where it can");
            allocator.dealloc(shrunk, Layout::from_size_align(8, 16).unwrap());
        }
    }
}
