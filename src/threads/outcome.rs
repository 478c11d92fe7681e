//! Runs a member's work so that a panic becomes a message.
use super::barrier::Broken;
use super::wait_point::lock;
use crate::error::{Error, Result};
use crate::isa::FloatControl;
use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread, ours or a caller's, is inside the work of a run, where a panic becomes an error. A panic hook
/// asks this in order to stay silent.
pub fn inside_guarded_work() -> bool {
    GUARDED.get()
}

/// The first panic of a run.
#[derive(Debug)]
pub(super) struct Outcome(Mutex<Option<String>>);

impl Outcome {
    pub const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Calls `work` with the float control register at its defaults, and restores the thread's own setting. False if
    /// it panicked; the first message is kept.
    pub fn guard(&self, work: impl FnOnce()) -> bool {
        let _float_control = FloatControl::set_default();
        let outer = GUARDED.replace(true);
        let result = catch_unwind(AssertUnwindSafe(work));
        GUARDED.set(outer);
        let Err(payload) = result else { return true };
        // A member that only followed another one's panic has nothing to tell.
        if !payload.is::<Broken>() {
            let message = message_of(payload);
            lock(&self.0).get_or_insert(message);
        }
        false
    }

    /// What became of the run; ready for the next one.
    pub fn take(&self) -> Result<()> {
        lock(&self.0).take().map_or(Ok(()), |message| Err(Error::Panic(message)))
    }
}

fn message_of(payload: Box<dyn Any + Send>) -> String {
    let payload = match payload.downcast::<String>() {
        Ok(text) => return *text,
        Err(payload) => payload,
    };
    match payload.downcast::<&'static str>() {
        Ok(text) => (*text).to_owned(),
        Err(unknown) => {
            // Its destructor could panic in turn, where nothing would catch that: better leaked.
            std::mem::forget(unknown);
            "a panic without a message".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_panic_is_kept_and_taken_once() {
        let outcome = Outcome::new();
        assert!(outcome.guard(|| assert!(inside_guarded_work())));
        assert!(!inside_guarded_work());
        assert!(!outcome.guard(|| panic!("first {}", 1)));
        assert!(!outcome.guard(|| panic!("second")));
        assert_eq!(outcome.take(), Err(Error::Panic("first 1".into())));
        assert_eq!(outcome.take(), Ok(()));
    }

    #[test]
    fn a_member_that_follows_a_broken_barrier_has_no_message() {
        let outcome = Outcome::new();
        assert!(!outcome.guard(|| std::panic::resume_unwind(Box::new(Broken))));
        assert_eq!(outcome.take(), Ok(()));
        assert!(!outcome.guard(|| std::panic::panic_any(7)));
        assert_eq!(outcome.take(), Err(Error::Panic("a panic without a message".into())));
    }
}
