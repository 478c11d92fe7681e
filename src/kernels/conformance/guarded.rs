//! Memory between two pages that fault: a kernel that reads or writes past a buffer dies at once.

/// At which end of its pages a buffer lies, so that a guard page touches it there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// The first byte follows a guard page.
    BehindGuard,
    /// The last byte precedes a guard page.
    BeforeGuard,
}

/// A copy of some bytes with a guard page on each side.
pub struct GuardedBuffer {
    map: *mut u8,
    map_bytes: usize,
    start: *mut u8,
    len: usize,
}

const PAGE_BYTES: usize = 4096;

impl GuardedBuffer {
    /// Copies `bytes` to a place of that alignment (a power of two, at most a page), as close to the guard as it allows.
    pub fn new(bytes: &[u8], alignment: usize, placement: Placement) -> Self {
        assert!(alignment.is_power_of_two() && alignment <= PAGE_BYTES);
        let body = bytes.len().next_multiple_of(PAGE_BYTES).max(PAGE_BYTES);
        let map_bytes = body + 2 * PAGE_BYTES;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: an anonymous mapping of our own choice of size.
        let map = unsafe { libc::mmap(std::ptr::null_mut(), map_bytes, protection, flags, -1, 0) };
        assert!(map != libc::MAP_FAILED, "mmap: {}", std::io::Error::last_os_error());
        let map = map.cast::<u8>();
        for guard in [0, PAGE_BYTES + body] {
            // SAFETY: the page lies inside the mapping, which nobody else knows.
            let status = unsafe { libc::mprotect(map.add(guard).cast(), PAGE_BYTES, libc::PROT_NONE) };
            assert_eq!(status, 0, "mprotect: {}", std::io::Error::last_os_error());
        }
        let offset = match placement {
            Placement::BehindGuard => 0,
            Placement::BeforeGuard => (body - bytes.len()) & !(alignment - 1),
        };
        // SAFETY: the copy lies inside the writable body.
        let start = unsafe {
            let start = map.add(PAGE_BYTES + offset);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), start, bytes.len());
            start
        };
        Self { map, map_bytes, start, len: bytes.len() }
    }

    /// The first byte.
    pub fn as_ptr(&self) -> *const u8 {
        self.start
    }

    /// The first byte, to be written.
    pub fn as_mut_ptr(&mut self) -> *mut u8 {
        self.start
    }

    /// The bytes as they are now.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `len` bytes were copied to `start`, and the mapping lives as long as `self`.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }

    /// The bytes, to be written.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `bytes`, and `self` is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.len) }
    }
}

impl Drop for GuardedBuffer {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `new` with this size and is not used any more.
        unsafe { libc::munmap(self.map.cast(), self.map_bytes) };
    }
}
