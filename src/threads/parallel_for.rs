//! The caller's own thread pool, as a C callback.
use super::Part;
use super::outcome::Outcome;
use crate::error::Result;
use std::ffi::c_void;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};

/// One task of a fork-join: does task `index` of `task_data`. It does not unwind.
pub type ParallelTask = extern "C" fn(task_data: *mut c_void, index: usize);

/// A caller's parallel loop: calls `task(task_data, i)` once for each `i` in `0..count`, on any threads, in any order,
/// and returns when all calls have returned. It must not unwind. Tasks that work together by [`super::SharedSteps`] wait for what others
/// have begun: a task that has begun must be let go on.
pub type ParallelForFn = unsafe extern "C" fn(pool: *mut c_void, count: usize, task: ParallelTask, task_data: *mut c_void);

/// The most tasks that a pool is given at once.
const MAX_TASKS: usize = 1024;

/// A caller's thread pool.
#[derive(Debug)]
pub struct ParallelFor {
    function: ParallelForFn,
    pool: *mut c_void,
    threads: usize,
}

// SAFETY: `new` demands that the function may be called with the pool from any thread, at any time.
unsafe impl Send for ParallelFor {}
// SAFETY: as above.
unsafe impl Sync for ParallelFor {}

impl ParallelFor {
    /// A pool of about `threads` threads (at least 1 is taken), which is how many tasks a run has and how many parts a step.
    ///
    /// # Safety
    /// As long as this value lives, `function(pool, ..)` may be called from any thread, from several at once, and does
    /// what [`ParallelForFn`] says; above all it calls no task after it has returned.
    pub unsafe fn new(function: ParallelForFn, pool: *mut c_void, threads: usize) -> Self {
        Self { function, pool, threads: threads.clamp(1, MAX_TASKS) }
    }

    /// How many tasks a run is to have.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// As [`super::Executor::fork_join`].
    pub(super) fn fork_join(&self, parts: usize, work: &(dyn Fn(Part) + Sync)) -> Result<()> {
        let count = parts.min(MAX_TASKS);
        let tasks = Tasks {
            parts,
            count,
            work,
            claimed: [const { AtomicU64::new(0) }; MAX_TASKS / 64],
            finished: AtomicUsize::new(0),
            outcome: Outcome::new(),
        };
        if count > 1 {
            // SAFETY: `new` promises that the call is allowed. `tasks` outlives it, and the pool calls no task later.
            unsafe { (self.function)(self.pool, count, perform, std::ptr::from_ref(&tasks).cast_mut().cast()) };
        }
        // Does what a pool that keeps its promise has left: nothing.
        (0..count).for_each(|index| tasks.perform(index));
        while tasks.finished.load(SeqCst) < count {
            std::thread::yield_now();
        }
        tasks.outcome.take()
    }
}

/// The tasks of one fork-join. Each is done once even if the pool calls it twice or not at all.
struct Tasks<'a> {
    parts: usize,
    /// How many tasks share the parts.
    count: usize,
    work: &'a (dyn Fn(Part) + Sync),
    /// One bit a task: somebody does it.
    claimed: [AtomicU64; MAX_TASKS / 64],
    finished: AtomicUsize,
    outcome: Outcome,
}

impl Tasks<'_> {
    fn perform(&self, index: usize) {
        let bit = 1 << (index % 64);
        if index >= self.count || self.claimed[index / 64].fetch_or(bit, SeqCst) & bit != 0 {
            return;
        }
        self.outcome.guard(|| {
            for part in (Part { index, count: self.count }).range(self.parts) {
                (self.work)(Part { index: part, count: self.parts });
            }
        });
        self.finished.fetch_add(1, SeqCst);
    }
}

extern "C" fn perform(task_data: *mut c_void, index: usize) {
    // SAFETY: the pool hands over the pointer that `fork_join` gave it, while `fork_join` waits for it to return.
    let tasks = unsafe { &*task_data.cast_const().cast::<Tasks<'_>>() };
    tasks.perform(index);
}
