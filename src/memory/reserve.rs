//! A fixed run of memory that small requests are answered from when the system refuses them.
use std::alloc::Layout;
use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Pages that nobody touches take no memory, so it may be large: a call meets a checkpoint long before it has used it up.
const BYTES: usize = 64 << 20;
/// What is handed out is a run of granules.
const GRANULE: usize = 128;
const GRANULES: usize = BYTES / GRANULE;

/// The memory itself, in a section that the system fills with zeros on first touch.
#[repr(C, align(4096))]
struct Bytes(UnsafeCell<[u8; BYTES]>);

// SAFETY: only addresses are taken of it here; who was given a run has it alone.
unsafe impl Sync for Bytes {}

static MEMORY: Bytes = Bytes(UnsafeCell::new([0; BYTES]));

/// Which granules are in use. One at a time looks and marks; that takes microseconds, and happens only without memory.
pub(super) struct Reserve {
    locked: AtomicBool,
    used: UnsafeCell<[u64; GRANULES / 64]>,
    granules_in_use: AtomicUsize,
}

// SAFETY: `used` is reached by who holds `locked` alone.
unsafe impl Sync for Reserve {}

pub(super) static RESERVE: Reserve =
    Reserve { locked: AtomicBool::new(false), used: UnsafeCell::new([0; GRANULES / 64]), granules_in_use: AtomicUsize::new(0) };

fn granules_of(layout: Layout) -> usize {
    layout.size().div_ceil(GRANULE).max(1)
}

impl Reserve {
    /// A run for `layout`, of arbitrary contents; null if there is none, or the alignment is above a granule.
    pub fn take(&self, layout: Layout) -> *mut u8 {
        if layout.align() > GRANULE {
            return std::ptr::null_mut();
        }
        let count = granules_of(layout);
        let Some(first) = self.with_marks(|marks| find_free(marks, count).inspect(|&first| mark(marks, first, count, true))) else {
            return std::ptr::null_mut();
        };
        self.granules_in_use.fetch_add(count, Ordering::Relaxed);
        MEMORY.0.get().cast::<u8>().wrapping_add(first * GRANULE)
    }

    /// Whether the memory at `start` is of the reserve.
    pub fn owns(&self, start: *const u8) -> bool {
        start.addr().wrapping_sub(MEMORY.0.get().addr()) < BYTES
    }

    /// Gives back a run that [`Reserve::take`] gave for the same layout.
    pub fn give_back(&self, start: *mut u8, layout: Layout) {
        let first = (start.addr() - MEMORY.0.get().addr()) / GRANULE;
        let count = granules_of(layout);
        self.with_marks(|marks| mark(marks, first, count, false));
        self.granules_in_use.fetch_sub(count, Ordering::Relaxed);
    }

    pub fn in_use(&self) -> usize {
        self.granules_in_use.load(Ordering::Relaxed) * GRANULE
    }

    fn with_marks<R>(&self, work: impl FnOnce(&mut [u64; GRANULES / 64]) -> R) -> R {
        while self.locked.compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed).is_err() {
            std::hint::spin_loop();
        }
        // SAFETY: `locked` was taken, so nobody else has a reference; `work` is one of the two above and does not panic.
        let result = work(unsafe { &mut *self.used.get() });
        self.locked.store(false, Ordering::Release);
        result
    }
}

/// The first run of `count` granules that are free.
fn find_free(marks: &[u64], count: usize) -> Option<usize> {
    let (mut first, mut length, mut at) = (0, 0, 0);
    while at < GRANULES && length < count {
        let word = marks[at / 64];
        if at % 64 == 0 && word == u64::MAX {
            (length, at) = (0, at + 64);
            first = at;
        } else if word >> (at % 64) & 1 == 1 {
            (length, at) = (0, at + 1);
            first = at;
        } else {
            (length, at) = (length + 1, at + 1);
        }
    }
    (length == count).then_some(first)
}

fn mark(marks: &mut [u64], first: usize, count: usize, used: bool) {
    for granule in first..first + count {
        let bit = 1 << (granule % 64);
        if used { marks[granule / 64] |= bit } else { marks[granule / 64] &= !bit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_aligned_disjoint_and_used_again() {
        let _alone = super::super::ONE_TEST.lock();
        let layout = |size, align| Layout::from_size_align(size, align).unwrap();
        let sizes = [1, 127, 128, 129, 5000, 64 << 10];
        let runs: Vec<_> = sizes.iter().map(|&size| (RESERVE.take(layout(size, 64)), size)).collect();
        for (index, &(start, size)) in runs.iter().enumerate() {
            assert!(!start.is_null() && RESERVE.owns(start) && start.addr().is_multiple_of(128));
            for &(other, other_size) in &runs[..index] {
                assert!(start.addr() >= other.addr() + other_size || other.addr() >= start.addr() + size);
            }
        }
        assert!(RESERVE.in_use() >= sizes.iter().sum());
        assert!(RESERVE.take(layout(1, 4096)).is_null());
        assert!(RESERVE.take(layout(BYTES + 1, 1)).is_null());
        assert!(!RESERVE.owns(std::ptr::null()) && !RESERVE.owns(&raw const sizes as *const u8));
        let last = runs[5].0;
        runs.into_iter().for_each(|(start, size)| RESERVE.give_back(start, layout(size, 64)));
        // Every granule can be had, and given back.
        let mut all = Vec::new();
        loop {
            match RESERVE.take(layout(64 << 10, 1)) {
                start if start.is_null() => break,
                start => all.push(start),
            }
        }
        assert!(all.len() >= BYTES / (64 << 10) - 1 && all.iter().any(|&start| start <= last));
        all.into_iter().for_each(|start| RESERVE.give_back(start, layout(64 << 10, 1)));
    }
}
