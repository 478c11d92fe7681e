//! A team of threads that sleep between runs.
use super::Part;
use super::headroom::room_for_a_thread;
use super::outcome::Outcome;
use super::signals::BlockedSignals;
use super::spawn::{Thread, spawn};
use super::wait_point::{WaitPoint, lock};
use crate::error::Result;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// The most members that a team has.
pub const MAX_THREADS: usize = 1024;
/// Stack of a worker: a member's work keeps its scratch on the heap.
pub const WORKER_STACK_BYTES: usize = 256 << 10;

/// Threads that wait, asleep, for runs, and do one run at a time together with the thread that asks for it.
///
/// In a child made by `fork` the threads of the parent are missing: the first run there makes new ones (and allocates).
#[derive(Debug)]
pub struct Team {
    threads: usize,
    /// This process's crew, from `Box::into_raw`. Replaced in a forked child; freed by `drop` alone.
    crew: AtomicPtr<Crew>,
}

impl Team {
    /// A team of `threads` members (1 to [`MAX_THREADS`], the nearest of which is taken), the caller of a run being one
    /// of them. Where the system refuses threads it has fewer.
    pub fn new(threads: usize) -> Self {
        let threads = threads.clamp(1, MAX_THREADS);
        Self { threads, crew: AtomicPtr::new(Box::into_raw(Box::new(Crew::new(threads)))) }
    }

    /// How many members a run has that finds the team idle.
    pub fn members(&self) -> usize {
        self.crew().members()
    }

    /// As [`super::Executor::run`].
    pub(super) fn run(&self, work: &(dyn Fn(Part) + Sync)) -> Result<()> {
        let crew = self.crew();
        if crew.workers.is_empty() || crew.busy.swap(true, SeqCst) {
            return run_alone(work);
        }
        let result = crew.run(work);
        crew.busy.store(false, SeqCst);
        result
    }

    fn crew(&self) -> &Crew {
        let current = self.crew.load(SeqCst);
        // SAFETY: the pointer comes from `Box::into_raw`, and only `drop`, which has the team to itself, frees a crew
        // that was ever stored.
        let crew = unsafe { &*current };
        if crew.process == std::process::id() {
            return crew;
        }
        let rebuilt = Box::into_raw(Box::new(Crew::new(self.threads)));
        match self.crew.compare_exchange(current, rebuilt, SeqCst, SeqCst) {
            // The parent's crew is left as it is: its threads are not here to be joined, its locks may be held for ever.
            // SAFETY: stored just now, so freed by `drop` alone.
            Ok(_) => unsafe { &*rebuilt },
            Err(winner) => {
                // SAFETY: made above and never stored, so nobody else has it.
                drop(unsafe { Box::from_raw(rebuilt) });
                // SAFETY: stored by another thread of this process, so freed by `drop` alone.
                unsafe { &*winner }
            }
        }
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        // SAFETY: from `Box::into_raw`; `&mut self` says that no run holds a reference to it.
        let crew = unsafe { Box::from_raw(*self.crew.get_mut()) };
        if crew.process != std::process::id() {
            std::mem::forget(crew);
        }
    }
}

/// Does `work` as the only member of its run, on this thread.
pub(super) fn run_alone(work: &(dyn Fn(Part) + Sync)) -> Result<()> {
    let outcome = Outcome::new();
    outcome.guard(|| work(Part::WHOLE));
    outcome.take()
}

/// The threads of one process.
#[derive(Debug)]
struct Crew {
    shared: Arc<Shared>,
    workers: Vec<Thread>,
    /// The process that the threads live in.
    process: u32,
    /// A run is under way.
    busy: AtomicBool,
}

/// What a crew's threads share.
#[derive(Debug)]
struct Shared {
    orders: Mutex<Orders>,
    /// Signalled when `orders` change.
    ordered: Condvar,
    outcome: Outcome,
    /// Workers that have not finished the present run.
    running: AtomicUsize,
    /// Where the caller waits for `running` to become 0.
    finished: WaitPoint,
}

#[derive(Debug)]
struct Orders {
    /// How many runs there have been.
    number: u64,
    /// The present run's work.
    job: Option<Job>,
    leave: bool,
}

/// The work of a run and its number of members; valid until that run's `running` is 0.
#[derive(Clone, Copy)]
struct Job {
    work: &'static (dyn Fn(Part) + Sync),
    members: usize,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "a job for {} members", self.members)
    }
}

impl Crew {
    fn new(threads: usize) -> Self {
        let shared = Arc::new(Shared {
            orders: Mutex::new(Orders { number: 0, job: None, leave: false }),
            ordered: Condvar::new(),
            outcome: Outcome::new(),
            running: AtomicUsize::new(0),
            finished: WaitPoint::new(),
        });
        let _blocked = BlockedSignals::new();
        let start = |index: usize| {
            if !room_for_a_thread() {
                return None;
            }
            let shared = Arc::clone(&shared);
            spawn(&format!("rsquant-{index}"), WORKER_STACK_BYTES, move || shared.obey(index))
        };
        let workers = (1..threads).map_while(start).collect();
        Self { shared, workers, process: std::process::id(), busy: AtomicBool::new(false) }
    }

    fn members(&self) -> usize {
        self.workers.len() + 1
    }

    /// One run of all members; `busy` is ours.
    fn run(&self, work: &(dyn Fn(Part) + Sync)) -> Result<()> {
        let (shared, members) = (&*self.shared, self.members());
        shared.running.store(self.workers.len(), SeqCst);
        // SAFETY: only the lifetime changes. Workers use the job from here until they have counted `running` down, for
        // which the end of this function waits; nothing before it unwinds, as `Outcome::guard` catches what `work` throws.
        let work: &'static (dyn Fn(Part) + Sync) = unsafe { std::mem::transmute(work) };
        let job = Job { work, members };
        {
            let mut orders = lock(&shared.orders);
            orders.number += 1;
            orders.job = Some(job);
        }
        shared.ordered.notify_all();
        shared.take_part(job, 0);
        shared.finished.wait_until(|| shared.running.load(SeqCst) == 0);
        lock(&shared.orders).job = None;
        shared.outcome.take()
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        lock(&self.shared.orders).leave = true;
        self.shared.ordered.notify_all();
        for worker in self.workers.drain(..) {
            worker.join();
        }
    }
}

impl Shared {
    /// A worker's life: sleep, take part in a run, sleep.
    fn obey(&self, index: usize) {
        let mut done = 0;
        while let Some((number, job)) = self.next_job(done) {
            done = number;
            self.take_part(job, index);
            if self.running.fetch_sub(1, SeqCst) == 1 {
                self.finished.notify();
            }
        }
    }

    /// Sleeps until there is a run after number `done`; `None` when the team is given up.
    fn next_job(&self, done: u64) -> Option<(u64, Job)> {
        let mut orders = lock(&self.orders);
        loop {
            match orders.job {
                _ if orders.leave => return None,
                Some(job) if orders.number != done => return Some((orders.number, job)),
                _ => orders = self.ordered.wait(orders).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Does a member's share.
    fn take_part(&self, job: Job, index: usize) {
        self.outcome.guard(|| (job.work)(Part { index, count: job.members }));
    }
}
