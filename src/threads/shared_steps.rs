//! Steps that the tasks of a run do together, one after another. Nothing is promised about the tasks: a caller's pool may run them one
//! after another, in any order, late, or on fewer threads than there are tasks. So none waits for one that has not begun: a task takes
//! whatever part of the present step nobody has, and waits for parts that others are at work on, for nothing else.
use super::Part;
use super::own_line::OwnLine;
use super::wait_point::WaitPoint;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

/// The steps of one run after another. They are numbered from 0, each has the same number of parts, and a step begins when every part
/// of the one before is finished. All counters only rise in a run, so a task that comes late finds nothing to take.
#[derive(Debug)]
pub struct SharedSteps {
    /// For each part, the step that it is to be taken for next.
    wanted: Box<[OwnLine<AtomicUsize>]>,
    /// Parts finished, of all steps.
    finished: OwnLine<AtomicUsize>,
    /// Tasks that have begun.
    begun: OwnLine<AtomicUsize>,
    /// A part panicked: its step is never finished.
    broken: AtomicBool,
    waiting: WaitPoint,
}

impl SharedSteps {
    /// For runs with up to `parts` parts (at least 1 is taken).
    pub fn new(parts: usize) -> Self {
        Self {
            wanted: (0..parts.max(1)).map(|_| OwnLine(AtomicUsize::new(0))).collect(),
            finished: OwnLine(AtomicUsize::new(0)),
            begun: OwnLine(AtomicUsize::new(0)),
            broken: AtomicBool::new(false),
            waiting: WaitPoint::new(),
        }
    }

    /// Ready for a run: no step has begun.
    pub fn reset(&mut self) {
        self.wanted.iter_mut().for_each(|step| *step.0.get_mut() = 0);
        *self.finished.0.get_mut() = 0;
        *self.begun.0.get_mut() = 0;
        *self.broken.get_mut() = false;
    }

    /// What task `task` of the run sees: `task.count` says how many tasks there may be, the same for all of them. Steps have as many
    /// parts, or as many as this was made for.
    pub fn task(&self, task: Part) -> TaskSteps<'_> {
        let parts = task.count.clamp(1, self.wanted.len());
        self.begun.0.fetch_add(1, SeqCst);
        TaskSteps { shared: self, parts, tasks: task.count, home: task.index % parts, number: 0, end: 0 }
    }
}

/// A task's way through the steps.
#[derive(Debug)]
pub struct TaskSteps<'a> {
    shared: &'a SharedSteps,
    /// Parts of each step.
    parts: usize,
    /// Tasks that there may be.
    tasks: usize,
    /// The part that this task looks at first: what it wrote in one step it reads in the next, from its core's cache.
    home: usize,
    /// The next step.
    number: usize,
    /// Parts of all steps before it.
    end: usize,
}

impl TaskSteps<'_> {
    /// How many parts a step has.
    pub fn parts(&self) -> usize {
        self.parts
    }

    /// Does parts of the next step as long as there are some that nobody has taken, and returns when all are finished: true. False when
    /// a part of the step, or of one before, has panicked in another task; a panic here goes on.
    pub fn next(&mut self, work: impl Fn(Part)) -> bool {
        self.next_and(work, |_| ())
    }

    /// The same. Once the part that this task looks at first is finished, and others may not be, `meanwhile` is called with it: for
    /// what makes the step after it quicker. It is not called where the whole step is finished before this task comes.
    pub fn next_and(&mut self, work: impl Fn(Part), meanwhile: impl FnOnce(Part)) -> bool {
        let shared = self.shared;
        self.number += 1;
        self.end += self.parts;
        let done = || shared.finished.0.load(SeqCst) >= self.end;
        let broken = || shared.broken.load(SeqCst);
        if done() {
            return true;
        }
        if broken() {
            return false;
        }
        let finished = self.take(self.home, &work);
        meanwhile(Part { index: self.home, count: self.parts });
        if finished {
            return true;
        }
        // Where all tasks are there, each takes its own part: to look whether it has would take the line from it, for nothing.
        let all_begun = shared.begun.0.load(SeqCst) >= self.tasks;
        if all_begun && shared.waiting.spin_until(|| done() || broken()) {
            return done();
        }
        for index in (self.home + 1..self.parts).chain(0..self.home) {
            if self.take(index, &work) {
                return true;
            }
        }
        shared.waiting.wait_until(|| done() || broken());
        done()
    }

    /// Does part `index` of the present step if nobody has taken it; whether the step is finished by that.
    fn take(&self, index: usize, work: impl Fn(Part)) -> bool {
        let (shared, number) = (self.shared, self.number - 1);
        let wanted = &shared.wanted[index].0;
        if wanted.load(SeqCst) != number || wanted.compare_exchange(number, number + 1, SeqCst, SeqCst).is_err() {
            return false;
        }
        let unfinished = Unfinished(shared);
        work(Part { index, count: self.parts });
        std::mem::forget(unfinished);
        let last = shared.finished.0.fetch_add(1, SeqCst) + 1 == self.end;
        if last {
            shared.waiting.notify();
        }
        last
    }
}

/// A part under way. Dropped by a panic alone, of which those who wait for the part must know.
struct Unfinished<'a>(&'a SharedSteps);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        self.0.broken.store(true, SeqCst);
        self.0.waiting.notify();
    }
}

#[cfg(test)]
mod tests;
