//! Who computes a run: a parked team of our own threads, the caller's `parallel_for`, or the caller's thread alone.
//!
//! [`Executor::run`] wakes the team once; its members then meet at [`Worker::barrier`] between the steps of a plan. A
//! caller's pool gives no promise that its tasks run at the same time, so there every step is an
//! [`Executor::fork_join`]. Results never depend on the number of members: a [`Part`] says which share of the outputs a
//! member computes, and no sum is split between members.
//!
//! Calibration and conversion have independent pieces of work: [`parallel_map`], on rayon's threads.
//!
//! No thread of a team spins once a run has returned, and neither a run nor a fork-join allocates.
mod barrier;
mod executor;
mod headroom;
mod outcome;
mod parallel_for;
mod parallel_map;
mod part;
mod signals;
mod spawn;
mod team;
mod wait_point;

pub use executor::Executor;
pub use outcome::inside_guarded_work;
pub use parallel_for::{ParallelFor, ParallelForFn, ParallelTask};
pub use parallel_map::parallel_map;
pub use part::Part;
pub use team::{MAX_THREADS, Team, WORKER_STACK_BYTES};

use barrier::Barrier;

/// What one member of a run knows: its share of the work, and the barrier where it meets the others.
#[derive(Debug)]
pub struct Worker<'a> {
    /// This member's share.
    pub part: Part,
    barrier: &'a Barrier,
}

impl Worker<'_> {
    /// Waits until every member of the run has called it; what they wrote before is visible after. Every member must
    /// call it the same number of times.
    ///
    /// Unwinds (and so ends this member's work) when another member has panicked, or has returned from the run without
    /// coming here; it must therefore not be called from a `Drop`.
    #[inline]
    pub fn barrier(&self) {
        self.barrier.wait();
    }
}
