//! The barrier where the members of a run meet between two steps.
use super::wait_point::WaitPoint;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

/// A cache line (two, as CPUs prefetch pairs) of its own, so that arriving does not disturb those who watch `round`.
#[derive(Debug)]
#[repr(align(128))]
struct OwnLine<T>(T);

/// What a member unwinds with when another member's panic broke the barrier.
pub(super) struct Broken;

/// A reusable barrier that a panicking or a leaving member opens for those who would wait forever.
#[derive(Debug)]
pub(super) struct Barrier {
    arrived: OwnLine<AtomicUsize>,
    /// How many times all members have met.
    round: OwnLine<AtomicUsize>,
    members: AtomicUsize,
    /// Members that have returned from the run.
    left: AtomicUsize,
    /// A member panicked.
    broken: AtomicBool,
    waiting: WaitPoint,
}

impl Barrier {
    pub const fn new(members: usize) -> Self {
        Self {
            arrived: OwnLine(AtomicUsize::new(0)),
            round: OwnLine(AtomicUsize::new(0)),
            members: AtomicUsize::new(members),
            left: AtomicUsize::new(0),
            broken: AtomicBool::new(false),
            waiting: WaitPoint::new(),
        }
    }

    /// Ready for a run of so many members. No thread may be inside.
    pub fn reset(&self, members: usize) {
        self.arrived.0.store(0, SeqCst);
        self.left.store(0, SeqCst);
        self.broken.store(false, SeqCst);
        self.members.store(members, SeqCst);
    }

    /// Waits for all members; unwinds if they will never come.
    pub fn wait(&self) {
        if self.broken.load(SeqCst) {
            std::panic::resume_unwind(Box::new(Broken));
        }
        let round = self.round.0.load(SeqCst);
        if self.arrived.0.fetch_add(1, SeqCst) + 1 == self.members.load(SeqCst) {
            self.arrived.0.store(0, SeqCst);
            self.round.0.store(round.wrapping_add(1), SeqCst);
            self.waiting.notify();
            return;
        }
        let met = || self.round.0.load(SeqCst) != round;
        self.waiting.wait_until(|| met() || self.broken.load(SeqCst) || self.left.load(SeqCst) > 0);
        // Looked at last: a member leaves, or panics, after all have met here, while this one still looks.
        if met() {
            return;
        }
        if self.broken.load(SeqCst) {
            std::panic::resume_unwind(Box::new(Broken));
        }
        panic!("a member left the run while others wait for it at a barrier");
    }

    /// A member has returned: who waits for it waits in vain.
    pub fn leave(&self) {
        self.left.fetch_add(1, SeqCst);
        self.waiting.notify();
    }

    /// A member has panicked.
    pub fn break_open(&self) {
        self.broken.store(true, SeqCst);
        self.waiting.notify();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn nobody_passes_before_all_have_arrived() {
        const ROUNDS: usize = 500;
        for members in [1, 2, 3, 5] {
            let (barrier, sum) = (Barrier::new(members), AtomicUsize::new(0));
            std::thread::scope(|scope| {
                for _ in 0..members {
                    scope.spawn(|| {
                        for round in 1..=ROUNDS {
                            sum.fetch_add(1, SeqCst);
                            barrier.wait();
                            assert_eq!(sum.load(SeqCst), round * members);
                            barrier.wait();
                        }
                    });
                }
            });
        }
    }

    #[test]
    fn a_broken_barrier_unwinds_waiting_and_coming_members_until_reset() {
        let barrier = Barrier::new(2);
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| catch_unwind(AssertUnwindSafe(|| barrier.wait())));
            while barrier.arrived.0.load(SeqCst) == 0 {
                std::thread::yield_now();
            }
            barrier.break_open();
            assert!(waiter.join().unwrap().unwrap_err().is::<Broken>());
        });
        assert!(catch_unwind(AssertUnwindSafe(|| barrier.wait())).unwrap_err().is::<Broken>());
        barrier.reset(1);
        barrier.wait();
    }

    #[test]
    fn a_member_that_leaves_early_is_an_error_not_a_hang() {
        let barrier = Barrier::new(2);
        barrier.leave();
        let payload = catch_unwind(AssertUnwindSafe(|| barrier.wait())).unwrap_err();
        assert!(payload.downcast_ref::<&str>().unwrap().contains("left the run"));
    }
}
