//! Steps that one task does by itself, open to others that have nothing left to do: cores are not equally fast (some are built so,
//! others are shared), and who is first takes parts from who is last instead of waiting for it.
use super::Part;
use super::own_line::OwnLine;
use super::wait_point::WaitPoint;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};

/// What a step is, in the words of who opens it.
pub type StepOf = [usize; 4];

/// Bits of a ticket that count the parts which nobody has taken.
const FREE_BITS: u32 = 16;
/// The ticket of an owner that has not begun, or has ended.
const NOBODY: u64 = u64::MAX;

/// One owner's steps in a run. Helpers wait for an owner that has begun, which is at work then, and for nobody else; an owner waits for
/// parts that helpers are at work on.
#[derive(Debug)]
pub struct OpenSteps {
    /// The number of the present step, and how many of its parts are free; or [`NOBODY`].
    ticket: OwnLine<AtomicU64>,
    /// What the present step is; it changes while no part is free or under way.
    step: [AtomicUsize; 4],
    /// Parts of the present step.
    parts: AtomicUsize,
    /// Parts of it that are finished.
    finished: OwnLine<AtomicUsize>,
    /// A part panicked: its step is never finished.
    broken: AtomicBool,
    waiting: WaitPoint,
}

impl OpenSteps {
    /// Without an owner.
    pub fn new() -> Self {
        Self {
            ticket: OwnLine(AtomicU64::new(NOBODY)),
            step: Default::default(),
            parts: AtomicUsize::new(0),
            finished: OwnLine(AtomicUsize::new(0)),
            broken: AtomicBool::new(false),
            waiting: WaitPoint::new(),
        }
    }

    /// Ready for a run.
    pub fn reset(&mut self) {
        *self.ticket.0.get_mut() = NOBODY;
        *self.broken.get_mut() = false;
    }

    /// The calling task becomes the owner, once a run, until the value is dropped. No step is open yet.
    pub fn own(&self) -> OwnSteps<'_> {
        self.ticket.0.store(0, SeqCst);
        OwnSteps { steps: self, number: 0 }
    }

    /// Does parts of what the owner opens, with what the step is, until it has ended: at once where it has not begun.
    pub fn help(&self, mut work: impl FnMut(Part, StepOf)) {
        loop {
            let ticket = self.ticket.0.load(SeqCst);
            if ticket == NOBODY || self.broken.load(SeqCst) {
                return;
            }
            if ticket & ((1 << FREE_BITS) - 1) == 0 {
                self.waiting.wait_until(|| self.ticket.0.load(SeqCst) != ticket || self.broken.load(SeqCst));
            } else if let Some((part, step)) = self.take(ticket) {
                self.finish(part, |part| work(part, step));
            }
        }
    }

    /// Takes a part of the step that `ticket` shows with one free, unless the ticket has changed.
    fn take(&self, ticket: u64) -> Option<(Part, StepOf)> {
        // Read before the ticket is: had the step ended meanwhile, the number would be another one.
        let (count, step) = (self.parts.load(SeqCst), std::array::from_fn(|index| self.step[index].load(SeqCst)));
        self.ticket.0.compare_exchange(ticket, ticket - 1, SeqCst, SeqCst).ok()?;
        let free = (ticket & ((1 << FREE_BITS) - 1)) as usize;
        Some((Part { index: count - free, count }, step))
    }

    fn finish(&self, part: Part, work: impl FnOnce(Part)) {
        let unfinished = Unfinished(self);
        work(part);
        std::mem::forget(unfinished);
        if self.finished.0.fetch_add(1, SeqCst) + 1 == part.count {
            self.waiting.notify();
        }
    }
}

/// A part under way. Dropped by a panic alone, of which those who wait must know.
struct Unfinished<'a>(&'a OpenSteps);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        self.0.broken.store(true, SeqCst);
        self.0.waiting.notify();
    }
}

/// An owner's way through its steps.
#[derive(Debug)]
pub struct OwnSteps<'a> {
    steps: &'a OpenSteps,
    number: u64,
}

impl OwnSteps<'_> {
    /// Opens a step of `parts` parts (1 to 65,535), does all parts that nobody takes, and returns when all are finished: true. False when
    /// a part, of this step or of one before, has panicked in a helper; a panic here goes on.
    pub fn step(&mut self, step: StepOf, parts: usize, work: impl Fn(Part)) -> bool {
        let steps = self.steps;
        debug_assert!((1..1 << FREE_BITS).contains(&parts));
        self.number += 1;
        steps.step.iter().zip(step).for_each(|(place, value)| place.store(value, SeqCst));
        steps.parts.store(parts, SeqCst);
        steps.finished.0.store(0, SeqCst);
        steps.ticket.0.store(self.number << FREE_BITS | parts as u64, SeqCst);
        steps.waiting.notify();
        loop {
            let ticket = steps.ticket.0.load(SeqCst);
            if ticket & ((1 << FREE_BITS) - 1) == 0 {
                break;
            }
            if let Some((part, _)) = steps.take(ticket) {
                steps.finish(part, &work);
            }
        }
        let broken = || steps.broken.load(SeqCst);
        steps.waiting.wait_until(|| steps.finished.0.load(SeqCst) == parts || broken());
        !broken()
    }
}

impl Drop for OwnSteps<'_> {
    fn drop(&mut self) {
        self.steps.ticket.0.store(NOBODY, SeqCst);
        self.steps.waiting.notify();
    }
}

#[cfg(test)]
mod tests;
