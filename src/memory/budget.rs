//! How much memory the objects of one context hold, and the limit that they may not go over.
//!
//! Calls work [`Budget::within`] the budget of their context: what they allocate by an input's size is counted there until it is
//! freed, on whatever thread that is. Small objects are not counted.
use crate::error::{Error, Result};
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Debug)]
struct Counter {
    /// Bytes; `usize::MAX` where there is no limit.
    limit: usize,
    in_use: AtomicUsize,
}

/// A count of bytes with a limit; cheap to clone, clones share the count.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Counter>);

thread_local! {
    /// What this thread's allocations count to.
    static CURRENT: RefCell<Option<Budget>> = const { RefCell::new(None) };
}

/// The budget that this thread works within, for another thread that takes part in the work.
pub fn current_budget() -> Option<Budget> {
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

/// Puts back what was current before.
struct Restore(Option<Budget>);

impl Drop for Restore {
    fn drop(&mut self) {
        // A thread that is ending counts nothing more.
        let _ = CURRENT.try_with(|current| std::mem::swap(&mut *current.borrow_mut(), &mut self.0));
    }
}

/// Does `work` within `budget`, whatever the thread worked within before.
pub fn within_budget<R>(budget: Option<Budget>, work: impl FnOnce() -> R) -> R {
    let earlier = CURRENT.try_with(|current| std::mem::replace(&mut *current.borrow_mut(), budget)).ok().flatten();
    let _restore = Restore(earlier);
    work()
}

impl Budget {
    /// A budget of `limit` bytes; 0: without a limit, which only counts.
    pub fn new(limit: usize) -> Self {
        let limit = if limit == 0 { usize::MAX } else { limit };
        Self(Arc::new(Counter { limit, in_use: AtomicUsize::new(0) }))
    }

    /// Bytes that are in use.
    pub fn in_use(&self) -> usize {
        self.0.in_use.load(Ordering::Relaxed)
    }

    /// The limit in bytes; 0: none.
    pub fn limit(&self) -> usize {
        if self.0.limit == usize::MAX { 0 } else { self.0.limit }
    }

    /// Does `work`; what it allocates on this thread counts here.
    pub fn within<R>(&self, work: impl FnOnce() -> R) -> R {
        within_budget(Some(self.clone()), work)
    }

    fn refusal(&self, in_use: usize, bytes: usize, what: &str) -> Error {
        Error::MemoryLimit { what: what.to_owned(), bytes, in_use, limit: self.0.limit }
    }

    fn fitting(&self, in_use: usize, bytes: usize) -> Option<usize> {
        in_use.checked_add(bytes).filter(|&sum| sum <= self.0.limit)
    }

    fn charge(&self, bytes: usize, what: &str) -> Result<Charge> {
        let take = |in_use| self.fitting(in_use, bytes);
        match self.0.in_use.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
            Ok(_) => Ok(Charge { budget: Some(self.clone()), bytes }),
            Err(in_use) => Err(self.refusal(in_use, bytes, what)),
        }
    }
}

/// Bytes that count as in use as long as this lives.
#[derive(Debug, Default)]
pub struct Charge {
    budget: Option<Budget>,
    bytes: usize,
}

impl Drop for Charge {
    fn drop(&mut self) {
        if let Some(budget) = &self.budget {
            budget.0.in_use.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

/// Counts `bytes` to the budget that this thread works within; nothing where there is none. `what` names them in the error.
///
/// # Errors
/// [`Error::MemoryLimit`], with nothing counted.
pub fn charge(bytes: usize, what: &str) -> Result<Charge> {
    match current_budget() {
        Some(budget) if bytes > 0 => budget.charge(bytes, what),
        _ => Ok(Charge::default()),
    }
}

/// Whether `bytes` more would fit, for what is freed before the call ends.
///
/// # Errors
/// [`Error::MemoryLimit`].
pub fn check_room(bytes: usize, what: &str) -> Result<()> {
    let Some(budget) = current_budget() else { return Ok(()) };
    let in_use = budget.in_use();
    budget.fitting(in_use, bytes).map(|_| ()).ok_or_else(|| budget.refusal(in_use, bytes, what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_over_the_limit_is_refused_and_what_is_freed_is_given_back() {
        let budget = Budget::new(100);
        assert_eq!((budget.limit(), budget.in_use()), (100, 0));
        let held = budget.within(|| charge(60, "a")).unwrap();
        assert_eq!(budget.in_use(), 60);
        let error = budget.within(|| charge(41, "the other")).unwrap_err();
        assert_eq!(error, Error::MemoryLimit { what: "the other".into(), bytes: 41, in_use: 60, limit: 100 });
        assert_eq!(error.to_string(), "out of memory: the other needs 41 bytes, and 60 of the limit of 100 are in use");
        assert!(budget.within(|| check_room(40, "b")).is_ok() && budget.within(|| check_room(41, "b")).is_err());
        let other = budget.within(|| charge(40, "b")).unwrap();
        std::thread::spawn(|| drop(held)).join().unwrap();
        assert_eq!(budget.in_use(), 40);
        drop(other);
        assert_eq!(budget.in_use(), 0);
        assert!(budget.within(|| charge(usize::MAX, "all")).is_err());
    }

    #[test]
    fn a_budget_without_a_limit_counts_and_a_thread_without_a_budget_does_not() {
        let budget = Budget::new(0);
        assert_eq!(budget.limit(), 0);
        let inner = Budget::new(5);
        let (outer_charge, inner_charge) = budget.within(|| (charge(1 << 40, "much"), inner.within(|| charge(6, "more"))));
        assert!(outer_charge.is_ok() && inner_charge.is_err());
        assert_eq!((budget.in_use(), inner.in_use()), (1 << 40, 0));
        let uncounted = charge(7, "nobody's").unwrap();
        assert_eq!(budget.in_use(), 1 << 40);
        drop((outer_charge, uncounted));
        assert_eq!(budget.in_use(), 0);
        let panicked = std::panic::catch_unwind(|| budget.within(|| panic!("in between")));
        assert!(panicked.is_err() && current_budget().is_none());
    }
}
