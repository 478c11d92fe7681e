//! Asking for memory ahead of its use.

/// Bytes of a cache line.
const LINE_BYTES: usize = 64;

/// Asks the core to bring `bytes` bytes from `start` on into its L2. Any address is allowed: nothing is read that the program sees.
#[inline]
pub fn fetch_into_l2(start: *const u8, bytes: usize) {
    for line in (0..bytes).step_by(LINE_BYTES) {
        let at = start.wrapping_add(line);
        #[cfg(target_arch = "x86_64")]
        // SAFETY: SSE is part of the target; a prefetch of any address is allowed.
        unsafe {
            use std::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
            _mm_prefetch::<_MM_HINT_T1>(at.cast());
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = at;
    }
}

/// Asks the core for the cache line at an address, any one, to write it.
#[inline(always)]
pub fn fetch_to_write(at: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch of any address is allowed, and CPUs without this one take it for a no-operation.
    unsafe {
        std::arch::asm!("prefetchw byte ptr [{}]", in(reg) at, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}
