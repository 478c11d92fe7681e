//! Runs a member's work so that a panic becomes a message.
use super::wait_point::lock;
use crate::error::{Error, Result};
use crate::isa::FloatControl;
use crate::memory;
use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread, ours or a caller's, is inside the work of a run, where a panic becomes an error. A panic hook
/// asks this in order to stay silent.
pub fn inside_guarded_work() -> bool {
    GUARDED.get()
}

/// The first panic of a run, and what its members were refused of memory.
#[derive(Debug)]
pub(super) struct Outcome {
    panic: Mutex<Option<String>>,
    refused_bytes: AtomicUsize,
}

impl Outcome {
    pub const fn new() -> Self {
        Self { panic: Mutex::new(None), refused_bytes: AtomicUsize::new(0) }
    }

    /// Calls `work` with the float control register at its defaults, and restores the thread's own setting. Of panics the first
    /// message is kept.
    pub fn guard(&self, work: impl FnOnce()) {
        let _float_control = FloatControl::set_default();
        let outer = GUARDED.replace(true);
        let result = catch_unwind(AssertUnwindSafe(work));
        GUARDED.set(outer);
        self.refused_bytes.fetch_max(memory::take_refusal(), SeqCst);
        if let Err(payload) = result {
            let message = message_of(payload);
            lock(&self.panic).get_or_insert(message);
        }
    }

    /// What became of the run; ready for the next one. What a member was refused, the calling thread was.
    pub fn take(&self) -> Result<()> {
        memory::note_refusal(self.refused_bytes.swap(0, SeqCst));
        lock(&self.panic).take().map_or(Ok(()), |message| Err(Error::Panic(message)))
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
        outcome.guard(|| assert!(inside_guarded_work()));
        assert!(!inside_guarded_work());
        outcome.guard(|| panic!("first {}", 1));
        outcome.guard(|| panic!("second"));
        assert_eq!(outcome.take(), Err(Error::Panic("first 1".into())));
        assert_eq!(outcome.take(), Ok(()));
    }

    #[test]
    fn a_members_refused_memory_is_the_callers() {
        let outcome = Outcome::new();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                outcome.guard(|| memory::note_refusal(40));
                assert_eq!(memory::checkpoint(), Ok(()));
            });
        });
        assert_eq!((outcome.take(), memory::take_refusal()), (Ok(()), 40));
        assert_eq!((outcome.take(), memory::take_refusal()), (Ok(()), 0));
    }

    #[test]
    fn a_panic_may_have_no_message() {
        let outcome = Outcome::new();
        outcome.guard(|| std::panic::panic_any(7));
        assert_eq!(outcome.take(), Err(Error::Panic("a panic without a message".into())));
    }
}
