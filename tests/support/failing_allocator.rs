//! The shared library's allocator with one inside that fails on demand. It counts all threads: a test binary that has it has one test.
#![allow(dead_code)]
use rsquant::ffi::{RSQ_NULL_ARGUMENT, rsq_convert};
use rsquant::memory::ReserveAllocator;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicUsize, Ordering::SeqCst};

/// Fails the requests that it is told to.
struct Failing;

static ARMED: AtomicBool = AtomicBool::new(false);
pub static REQUESTS: AtomicUsize = AtomicUsize::new(0);
pub static FIRST_TO_FAIL: AtomicUsize = AtomicUsize::new(0);
static LAST_TO_FAIL: AtomicUsize = AtomicUsize::new(0);
static LIVE_BYTES: AtomicIsize = AtomicIsize::new(0);
/// Requests of fewer bytes neither count nor fail.
pub static SMALLEST: AtomicUsize = AtomicUsize::new(0);
/// The largest request that failed.
pub static LARGEST_REFUSED: AtomicUsize = AtomicUsize::new(0);

fn refused(bytes: usize) -> bool {
    if !ARMED.load(SeqCst) || bytes < SMALLEST.load(SeqCst) {
        return false;
    }
    let number = REQUESTS.fetch_add(1, SeqCst) + 1;
    let fails = (FIRST_TO_FAIL.load(SeqCst)..=LAST_TO_FAIL.load(SeqCst)).contains(&number);
    if fails {
        LARGEST_REFUSED.fetch_max(bytes, SeqCst);
    }
    fails
}

// SAFETY: null, or the system's allocator.
unsafe impl GlobalAlloc for Failing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if refused(layout.size()) {
            return std::ptr::null_mut();
        }
        LIVE_BYTES.fetch_add(layout.size() as isize, SeqCst);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        LIVE_BYTES.fetch_sub(layout.size() as isize, SeqCst);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(start, layout) }
    }
    unsafe fn realloc(&self, start: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if refused(size) {
            return std::ptr::null_mut();
        }
        LIVE_BYTES.fetch_add(size as isize - layout.size() as isize, SeqCst);
        // SAFETY: the caller's promise.
        unsafe { System.realloc(start, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: ReserveAllocator<Failing> = ReserveAllocator::new(Failing);

/// Whether one request fails, or all from it on.
#[derive(Debug, Clone, Copy)]
pub enum Mode {
    One,
    AllFrom,
}

/// Whose requests fail.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scope {
    /// All of the step's.
    Step,
    /// Those that the step makes inside [`with_this_armed`].
    Within,
}

/// Does the part of a step whose requests are to fail.
pub fn with_this_armed<R>(part: impl FnOnce() -> R) -> R {
    ARMED.store(true, SeqCst);
    let result = part();
    ARMED.store(false, SeqCst);
    result
}

/// Does `step` with request `number` failing; also whether there was such a request.
pub fn with_failure<R>(number: usize, mode: Mode, scope: Scope, step: &mut impl FnMut() -> R) -> (R, bool) {
    FIRST_TO_FAIL.store(number, SeqCst);
    LAST_TO_FAIL.store(if matches!(mode, Mode::One) { number } else { usize::MAX }, SeqCst);
    REQUESTS.store(0, SeqCst);
    let result = if scope == Scope::Step { with_this_armed(step) } else { step() };
    (result, REQUESTS.load(SeqCst) >= number)
}

/// Gives this thread a message of a known length, as the message is memory that outlives a call.
pub fn live_bytes() -> isize {
    // SAFETY: NULL is refused.
    assert_eq!(unsafe { rsq_convert(std::ptr::null(), std::ptr::null_mut()) }, RSQ_NULL_ARGUMENT);
    LIVE_BYTES.load(SeqCst)
}
