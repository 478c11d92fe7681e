//! What the steps of a plan cost: counters beside an executor, filled while it runs, read between runs.
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// What one step cost since profiling began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StepCost {
    /// Calls: one for each group of samples that a thread computes alone, one for each part where several threads share it.
    pub calls: u64,
    /// Samples computed.
    pub samples: u64,
    /// Time that threads spent in it, added up over threads, in nanoseconds.
    pub thread_ns: u64,
}

/// What a session's runs cost since profiling began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Runs.
    pub runs: u64,
    /// Time of the runs as the caller sees it, in nanoseconds.
    pub wall_ns: u64,
    /// `wall_ns` times the threads of each run: what the steps' `thread_ns` add up to, but for waiting.
    pub thread_ns: u64,
    /// Each step of the plan.
    pub steps: Vec<StepCost>,
}

/// What one member of the runs spent in one step; on a cache line of its own, or members would take lines from each other at every step.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Counters {
    calls: AtomicU64,
    samples: AtomicU64,
    thread_ns: AtomicU64,
}

/// Counters of every step; members add to them while they run.
#[derive(Debug)]
pub struct Recorder {
    /// Those of the first member, then of the next.
    counters: Box<[Counters]>,
    steps: usize,
    runs: AtomicU64,
    wall_ns: AtomicU64,
    thread_ns: AtomicU64,
}

fn nanoseconds_since(start: Instant) -> u64 {
    start.elapsed().as_nanos() as u64
}

impl Recorder {
    /// Counters at zero for a plan of `steps` steps and runs of up to `members` members.
    pub fn new(steps: usize, members: usize) -> Self {
        let counters = (0..steps * members.max(1)).map(|_| Counters::default()).collect();
        Self { counters, steps, runs: AtomicU64::new(0), wall_ns: AtomicU64::new(0), thread_ns: AtomicU64::new(0) }
    }

    /// Adds a call of step `index` by `member` that began at `start`. `samples` is what the call counts for: of the parts of one
    /// chunk, one part counts its samples.
    pub fn add_step(&self, index: usize, member: usize, samples: usize, start: Instant) {
        let counters = &self.counters[member * self.steps + index];
        counters.thread_ns.fetch_add(nanoseconds_since(start), Relaxed);
        counters.samples.fetch_add(samples as u64, Relaxed);
        counters.calls.fetch_add(1, Relaxed);
    }

    /// Adds a run of `threads` threads that began at `start`.
    pub fn add_run(&self, threads: usize, start: Instant) {
        let wall = nanoseconds_since(start);
        self.wall_ns.fetch_add(wall, Relaxed);
        self.thread_ns.fetch_add(wall * threads as u64, Relaxed);
        self.runs.fetch_add(1, Relaxed);
    }

    /// What was counted.
    pub fn profile(&self) -> Profile {
        let cost = |step: usize| {
            let of_members = self.counters.iter().skip(step).step_by(self.steps);
            of_members.fold(StepCost::default(), |cost, counters| StepCost {
                calls: cost.calls + counters.calls.load(Relaxed),
                samples: cost.samples + counters.samples.load(Relaxed),
                thread_ns: cost.thread_ns + counters.thread_ns.load(Relaxed),
            })
        };
        Profile {
            runs: self.runs.load(Relaxed),
            wall_ns: self.wall_ns.load(Relaxed),
            thread_ns: self.thread_ns.load(Relaxed),
            steps: (0..self.steps).map(cost).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorder_adds_up_what_threads_tell_it() {
        let recorder = Recorder::new(2, 3);
        let start = Instant::now();
        std::thread::scope(|scope| {
            for member in 0..3 {
                let recorder = &recorder;
                scope.spawn(move || recorder.add_step(1, member, 4, start));
            }
        });
        recorder.add_run(3, start);
        let profile = recorder.profile();
        assert_eq!(profile.steps[0], StepCost::default());
        assert_eq!((profile.steps[1].calls, profile.steps[1].samples), (3, 12));
        assert!(profile.steps[1].thread_ns > 0 && profile.runs == 1);
        assert_eq!(profile.thread_ns, 3 * profile.wall_ns);
    }
}
