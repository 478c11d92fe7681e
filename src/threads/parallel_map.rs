//! Independent pieces of work of a call other than a run: calibration and conversion.
use super::headroom::room_for_a_thread;
use super::signals::BlockedSignals;
use super::spawn::spawn;
use crate::isa::FloatControl;
use crate::memory;
use rayon::prelude::*;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering::SeqCst};

/// Stack of a thread that maps: the work keeps its scratch on the heap.
const STACK_BYTES: usize = 1 << 20;

/// What `work` makes of each item, in the items' order, on as many threads as the process may use. Rounding is to nearest and
/// nothing is flushed to zero inside. Where the system refuses threads, and in the last resort, the calling thread does it all.
///
/// A panic of `work` goes on to the caller.
pub fn parallel_map<I, T, R>(items: I, work: impl Fn(T) -> R + Sync + Send) -> Vec<R>
where
    I: IntoIterator<Item = T> + IntoParallelIterator<Item = T> + Send,
    <I as IntoParallelIterator>::Iter: IndexedParallelIterator,
    R: Send,
{
    let refused = AtomicUsize::new(0);
    let budget = memory::current_budget();
    let work = |item| {
        let _float_control = FloatControl::set_default();
        let result = memory::within_budget(budget.clone(), || work(item));
        refused.fetch_max(memory::take_refusal(), SeqCst);
        result
    };
    let earlier = memory::take_refusal();
    let results = match pool() {
        Some(pool) => pool.install(|| {
            let results = items.into_par_iter().map(&work).collect();
            refused.fetch_max(memory::take_refusal(), SeqCst);
            results
        }),
        None => items.into_iter().map(work).collect(),
    };
    // What the work's threads were refused, the calling thread was.
    memory::note_refusal(earlier.max(refused.into_inner()));
    results
}

/// The threads of one process.
struct ProcessPool {
    process: u32,
    /// `None` where there is one core, or threads were refused.
    pool: Option<rayon::ThreadPool>,
}

/// This process's threads, made on first use; a child made by `fork`, which lacks the parent's, makes its own.
fn pool() -> Option<&'static rayon::ThreadPool> {
    static POOL: AtomicPtr<ProcessPool> = AtomicPtr::new(std::ptr::null_mut());
    let current = POOL.load(SeqCst);
    // SAFETY: null, or from `Box::into_raw` below, and what was stored is never freed.
    if let Some(found) = unsafe { current.as_ref() }
        && found.process == std::process::id()
    {
        return found.pool.as_ref();
    }
    let made = Box::into_raw(Box::new(ProcessPool { process: std::process::id(), pool: new_pool() }));
    let stored = match POOL.compare_exchange(current, made, SeqCst, SeqCst) {
        // A parent's pool is left as it is: its threads are not here to be joined.
        Ok(_) => made,
        Err(winner) => {
            // SAFETY: made above and never stored, so nobody else has it.
            drop(unsafe { Box::from_raw(made) });
            winner
        }
    };
    // SAFETY: stored by this process, never freed.
    unsafe { (*stored).pool.as_ref() }
}

/// A pool of as many threads as can be had.
fn new_pool() -> Option<rayon::ThreadPool> {
    let _blocked = BlockedSignals::new();
    let most = std::thread::available_parallelism().map_or(1, usize::from);
    // rayon gives up where one thread of several is refused.
    let mut counts = std::iter::successors(Some(most), |count| Some(count / 2)).take_while(|&count| count > 1);
    counts.find_map(|count| rayon::ThreadPoolBuilder::new().num_threads(count).spawn_handler(start).build().ok())
}

fn start(thread: rayon::ThreadBuilder) -> std::io::Result<()> {
    let name = format!("rsquant-map-{}", thread.index());
    let started = if room_for_a_thread() { spawn(&name, STACK_BYTES, || thread.run()) } else { None };
    started.map(super::spawn::Thread::detach).ok_or_else(|| std::io::ErrorKind::OutOfMemory.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_the_items_order() {
        let squares: Vec<usize> = parallel_map(0..1000, |index: usize| index * index);
        assert!(squares.iter().enumerate().all(|(index, &square)| square == index * index));
        let mut items = vec![1, 2, 3];
        let seen: Vec<i32> = parallel_map(&mut items, |item: &mut i32| {
            *item += 1;
            *item
        });
        assert_eq!((seen, items), (vec![2, 3, 4], vec![2, 3, 4]));
    }

    #[test]
    fn a_panic_goes_on_to_the_caller() {
        let result = std::panic::catch_unwind(|| parallel_map(0..100, |index: usize| assert!(index != 50, "thrown")));
        assert!(result.is_err());
        assert_eq!(parallel_map(0..2, |index: usize| index), [0, 1]);
    }
}
