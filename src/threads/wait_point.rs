//! Waiting for a condition on atomics: spin a while, yield a few times, then sleep.
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Looks at the condition, with a pause instruction between: 10 to 90 microseconds by CPU, about one small layer.
const SPINS: usize = 2000;
/// Times that the core is offered to others before sleeping, for a member whose partner waits for this very core.
const YIELDS: usize = 8;

/// Where threads wait for a condition that other threads make true.
///
/// The condition must be read, and made true, with sequentially consistent operations: then either the notifier sees
/// the sleeper's count, or the sleeper sees the condition.
#[derive(Debug)]
pub(super) struct WaitPoint {
    sleepers: AtomicUsize,
    lock: Mutex<()>,
    changed: Condvar,
}

impl WaitPoint {
    pub const fn new() -> Self {
        Self { sleepers: AtomicUsize::new(0), lock: Mutex::new(()), changed: Condvar::new() }
    }

    /// Looks for a while whether `ready` says yes.
    pub fn spin_until(&self, ready: impl Fn() -> bool) -> bool {
        (0..SPINS).any(|_| {
            let is_ready = ready();
            if !is_ready {
                std::hint::spin_loop();
            }
            is_ready
        })
    }

    /// Returns once `ready` says yes.
    pub fn wait_until(&self, ready: impl Fn() -> bool) {
        if self.spin_until(&ready) {
            return;
        }
        for _ in 0..YIELDS {
            if ready() {
                return;
            }
            std::thread::yield_now();
        }
        self.sleepers.fetch_add(1, Ordering::SeqCst);
        let mut guard = lock(&self.lock);
        while !ready() {
            guard = self.changed.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
        drop(guard);
        self.sleepers.fetch_sub(1, Ordering::SeqCst);
    }

    /// Threads that sleep here, or are about to.
    #[cfg(test)]
    pub fn sleepers(&self) -> usize {
        self.sleepers.load(Ordering::SeqCst)
    }

    /// Wakes the sleepers, if there are any. Called after the condition was made true.
    pub fn notify(&self) {
        if self.sleepers.load(Ordering::SeqCst) > 0 {
            // Taken so that a sleeper is either before its look at the condition, or in `wait`.
            drop(lock(&self.lock));
            self.changed.notify_all();
        }
    }
}

/// Locks a mutex none of whose holders can leave it half changed.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;
    use std::time::Duration;

    #[test]
    fn a_sleeper_is_woken() {
        let (point, ready) = (WaitPoint::new(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let sleepers: Vec<_> = (0..3).map(|_| scope.spawn(|| point.wait_until(|| ready.load(Ordering::SeqCst)))).collect();
            while point.sleepers() < 3 {
                std::thread::sleep(Duration::from_millis(1));
            }
            assert!(sleepers.iter().all(|sleeper| !sleeper.is_finished()));
            ready.store(true, Ordering::SeqCst);
            point.notify();
        });
        assert_eq!(point.sleepers(), 0);
    }

    #[test]
    fn a_true_condition_does_not_wait() {
        WaitPoint::new().wait_until(|| true);
    }
}
