//! The three ways to execute a run.
use super::team::run_alone;
use super::{ParallelFor, Part, Team};
use crate::error::Result;

/// Who does the work of a run.
#[derive(Debug)]
pub enum Executor {
    /// Our own parked threads.
    Team(Team),
    /// The caller's pool.
    ParallelFor(ParallelFor),
    /// The calling thread.
    Single,
}

impl Executor {
    /// A team, or the calling thread alone for `threads` up to 1.
    pub fn with_threads(threads: usize) -> Self {
        if threads > 1 { Executor::Team(Team::new(threads)) } else { Executor::Single }
    }

    /// How many parts a step is worth cutting into: members of an idle team, or the threads of the caller's pool.
    pub fn threads(&self) -> usize {
        match self {
            Executor::Team(team) => team.members(),
            Executor::ParallelFor(pool) => pool.threads(),
            Executor::Single => 1,
        }
    }

    /// Calls `work` once for each task of a run, and returns when all are back: on each member of the team, at the same time, or as a
    /// parallel loop of the caller's with a task for each thread of the pool. Tasks that work together do so by
    /// [`super::SharedSteps`]. Rounding is to nearest and nothing is flushed to zero inside, whatever the thread's setting, which is
    /// restored. Does not allocate.
    ///
    /// A run has one task, on the calling thread, where the team is busy with another run (of another thread, or of this one: a run
    /// within a run) and where threads were refused. The bits are the same.
    ///
    /// # Errors
    /// [`crate::error::Error::Panic`] with the first message if a task panicked.
    pub fn run(&self, work: &(dyn Fn(Part) + Sync)) -> Result<()> {
        match self {
            Executor::Team(team) => team.run(work),
            Executor::ParallelFor(pool) => pool.fork_join(pool.threads(), work),
            Executor::Single => run_alone(work),
        }
    }

    /// Calls `work` once for each of `parts` parts, in any order, on one or more threads, and returns when all are back.
    /// Float control and allocation as for [`Executor::run`].
    ///
    /// # Errors
    /// [`crate::error::Error::Panic`] with the first message if a part panicked.
    pub fn fork_join(&self, parts: usize, work: &(dyn Fn(Part) + Sync)) -> Result<()> {
        if let Executor::ParallelFor(pool) = self {
            return pool.fork_join(parts, work);
        }
        self.run(&|task| task.range(parts).for_each(|index| work(Part { index, count: parts })))
    }
}

#[cfg(test)]
mod tests;
