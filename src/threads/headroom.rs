//! Whether the system still has room for a thread and for what the process needs beside it.

/// Address space that must be left when a thread is made. A thread that takes the last of it leaves the process in a
/// state in which the C library and Rust's runtime give up: neither can tell a caller that a new thread's signal stack,
/// a thread-local's destructor or a few bytes were refused. So a thread is not made there in the first place.
#[cfg(unix)]
const HEADROOM_BYTES: usize = 32 << 20;

/// Whether a thread may be made: asks the system for the headroom, and gives it back. Takes a few microseconds.
#[cfg(unix)]
pub(super) fn room_for_a_thread() -> bool {
    let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping at an address of the system's choice, untouched, removed before anything could refer to it.
    unsafe {
        let start = libc::mmap(std::ptr::null_mut(), HEADROOM_BYTES, protection, flags, -1, 0);
        start != libc::MAP_FAILED && libc::munmap(start, HEADROOM_BYTES) == 0
    }
}

#[cfg(not(unix))]
pub(super) fn room_for_a_thread() -> bool {
    true
}
