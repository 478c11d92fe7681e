//! The message of each thread's last failed call.
use std::cell::RefCell;

thread_local! {
    static MESSAGE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Replaces this thread's message. Does nothing on a thread that is ending and has lost its message already.
pub(super) fn set(message: String) {
    let _ = MESSAGE.try_with(|slot| {
        if let Ok(mut slot) = slot.try_borrow_mut() {
            *slot = message;
        }
    });
}

/// Calls `read` with this thread's message: empty where no call has failed.
pub(super) fn with<R>(read: impl FnOnce(&str) -> R) -> R {
    // `read` is moved into whichever branch runs: a thread that is ending has no message.
    let mut read = Some(read);
    let result = MESSAGE.try_with(|slot| {
        let slot = slot.try_borrow().ok()?;
        read.take().map(|read| read(&slot))
    });
    match (result.ok().flatten(), read) {
        (Some(result), _) => result,
        (None, Some(read)) => read(""),
        (None, None) => unreachable!("a reader that was called has a result"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thread_has_its_own_message() {
        set("first".into());
        std::thread::spawn(|| {
            with(|message| assert_eq!(message, ""));
            set("second".into());
            with(|message| assert_eq!(message, "second"));
        })
        .join()
        .unwrap();
        with(|message| assert_eq!(message, "first"));
    }

    #[test]
    fn a_thread_that_ends_may_still_fail() {
        struct FailsAtTheEnd;
        impl Drop for FailsAtTheEnd {
            fn drop(&mut self) {
                set("late".into());
                with(|message| assert!(message.is_empty() || message == "late"));
            }
        }
        thread_local! {
            static EARLY: FailsAtTheEnd = const { FailsAtTheEnd };
        }
        // Destructors run in some order; whichever it is, the thread ends well.
        std::thread::spawn(|| {
            EARLY.with(|_| set("now".into()));
        })
        .join()
        .unwrap();
        std::thread::spawn(|| {
            set("now".into());
            EARLY.with(|_| ());
        })
        .join()
        .unwrap();
    }
}
