//! The boundary that no panic crosses: every export runs inside [`call`] or [`value`].
use super::last_error;
use super::status::{Failure, Outcome, RSQ_OK, RSQ_PANIC, rsq_status};
use crate::memory;
use crate::threads::inside_guarded_work;
use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Calls under way on all threads.
static CALLS: AtomicUsize = AtomicUsize::new(0);

/// Marks this thread as inside a call until it is dropped.
struct Inside {
    outer: bool,
}

impl Inside {
    fn enter() -> Self {
        CALLS.fetch_add(1, Relaxed);
        let outer = INSIDE.replace(true);
        if !outer {
            // What an earlier call was refused after its last checkpoint is not this one's failure.
            memory::take_refusal();
        }
        Self { outer }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.set(self.outer);
        CALLS.fetch_sub(1, Relaxed);
    }
}

/// Whether a panic on this thread ends as a status: it is in a call, in the work of a run, or works for a call.
fn panic_becomes_status() -> bool {
    INSIDE.get() || inside_guarded_work() || (rayon::current_thread_index().is_some() && CALLS.load(Relaxed) > 0)
}

/// Keeps panics that become statuses from writing to stderr; all others go to the hook that was there before.
fn quieten_hook() {
    static ONCE: Once = Once::new();
    if ONCE.is_completed() || std::thread::panicking() {
        return;
    }
    ONCE.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !panic_becomes_status() {
                previous(panic);
            }
        }));
    });
}

/// The text of a panic.
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

/// Does `work` of an export that returns a status. A failure's message becomes this thread's.
pub(super) fn call(work: impl FnOnce() -> Outcome) -> rsq_status {
    match run(work) {
        Ok(()) => RSQ_OK,
        Err(status) => status,
    }
}

/// Does `work` of an export that returns a value of its own: `otherwise` if it fails.
pub(super) fn value<T>(otherwise: T, work: impl FnOnce() -> Outcome<T>) -> T {
    run(work).unwrap_or(otherwise)
}

/// Does `work`, keeps its failure's message, and gives the status.
fn run<T>(work: impl FnOnce() -> Outcome<T>) -> Result<T, rsq_status> {
    quieten_hook();
    let _inside = Inside::enter();
    let guarded = || {
        #[cfg(any(test, feature = "test-internals"))]
        injected::panic_if_asked();
        work()
    };
    // What `work` was changing when it panicked is behind a lock, which is poisoned now, or was its own.
    let failure = match catch_unwind(AssertUnwindSafe(guarded)) {
        Ok(Ok(result)) => return Ok(result),
        Ok(Err(failure)) => failure,
        Err(payload) => Failure::new(RSQ_PANIC, format!("internal error: {}", message_of(payload))),
    };
    last_error::set(failure.message);
    Err(failure.status)
}

#[cfg(any(test, feature = "test-internals"))]
mod injected {
    use std::cell::Cell;

    thread_local! {
        static ASKED: Cell<bool> = const { Cell::new(false) };
    }

    /// Makes this thread's next call panic inside its guard, for tests of the guard.
    pub fn panic_in_next_call() {
        ASKED.set(true);
    }

    pub fn panic_if_asked() {
        if ASKED.replace(false) {
            panic!("injected");
        }
    }
}
#[cfg(any(test, feature = "test-internals"))]
pub use injected::panic_in_next_call;

#[cfg(test)]
mod tests {
    use super::super::status::RSQ_INVALID_ARGUMENT;
    use super::*;

    #[test]
    fn a_failure_is_its_status_and_this_threads_message() {
        assert_eq!(call(|| Err(Failure::invalid("seven is odd"))), RSQ_INVALID_ARGUMENT);
        last_error::with(|message| assert_eq!(message, "seven is odd"));
        assert_eq!(call(|| Ok(())), RSQ_OK);
        last_error::with(|message| assert_eq!(message, "seven is odd", "a call that succeeds keeps the message"));
        assert_eq!(value(3, || Err(Failure::invalid("no"))), 3);
        assert_eq!(value(3, || Ok(4)), 4);
    }

    #[test]
    fn a_panic_is_a_status_with_its_text() {
        assert_eq!(call(|| panic!("plain")), RSQ_PANIC);
        last_error::with(|message| assert_eq!(message, "internal error: plain"));
        assert_eq!(call(|| panic!("number {}", 5)), RSQ_PANIC);
        last_error::with(|message| assert_eq!(message, "internal error: number 5"));
        struct DropPanics;
        impl Drop for DropPanics {
            fn drop(&mut self) {
                panic!("in drop");
            }
        }
        assert_eq!(call(|| std::panic::panic_any(DropPanics)), RSQ_PANIC);
        assert_eq!(value(1, || panic!("again")), 1);
        panic_in_next_call();
        assert_eq!((call(|| Ok(())), call(|| Ok(()))), (RSQ_PANIC, RSQ_OK));
    }

    #[test]
    fn only_panics_inside_a_call_are_silent() {
        assert!(!panic_becomes_status());
        let status = call(|| {
            assert!(panic_becomes_status());
            assert_eq!(call(|| panic!("inner")), RSQ_PANIC, "a call within a callback");
            assert!(panic_becomes_status());
            Ok(())
        });
        assert_eq!(status, RSQ_OK);
        assert!(!panic_becomes_status());
    }
}
