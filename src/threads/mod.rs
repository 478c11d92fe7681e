//! Who computes a run: a parked team of our own threads, the caller's `parallel_for`, or the caller's thread alone.
//!
//! [`Executor::run`] wakes the team once, or is one parallel loop of the caller's; its tasks then do the steps of a plan together by
//! [`SharedSteps`], which needs no promise about when, or whether at the same time, they run. Results never depend on the number of
//! tasks or on who does what: a [`Part`] says which share of the outputs is computed, and no sum is split between parts. A task that does
//! steps by itself opens them to those that have nothing left to do ([`OpenSteps`]).
//!
//! Calibration and conversion have independent pieces of work: [`parallel_map`], on rayon's threads.
//!
//! No thread of a team spins once a run has returned, and neither a run nor a fork-join allocates.
mod executor;
mod headroom;
mod open_steps;
mod outcome;
mod own_line;
mod parallel_for;
mod parallel_map;
mod part;
mod shared_steps;
mod signals;
mod spawn;
mod team;
mod wait_point;

pub use executor::Executor;
pub use open_steps::{OpenSteps, OwnSteps, StepOf};
pub use outcome::inside_guarded_work;
pub use parallel_for::{ParallelFor, ParallelForFn, ParallelTask};
pub use parallel_map::parallel_map;
pub use part::Part;
pub use shared_steps::{SharedSteps, TaskSteps};
pub use team::{MAX_THREADS, Team, WORKER_STACK_BYTES};
