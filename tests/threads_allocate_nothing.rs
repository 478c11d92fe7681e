//! Runs, fork-joins and shared steps allocate nothing, on any thread.
#[path = "support/quiet_harness.rs"]
mod quiet_harness;

use rsquant::threads::{Executor, ParallelFor, ParallelTask, Part, SharedSteps, Team};
use std::alloc::{GlobalAlloc, Layout, System};
use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

struct Counting;
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every request goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, SeqCst);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(start, layout) }
    }
}

#[global_allocator]
static GLOBAL: Counting = Counting;

/// A pool of one thread.
unsafe extern "C" fn serial(_: *mut c_void, count: usize, task: ParallelTask, data: *mut c_void) {
    (0..count).for_each(|index| task(data, index));
}

#[test]
fn a_run_allocates_nothing() {
    quiet_harness::wait_until_the_other_threads_sleep();
    // SAFETY: the pool has no state, and calls no task after it has returned.
    let caller = Executor::ParallelFor(unsafe { ParallelFor::new(serial, std::ptr::null_mut(), 3) });
    let executors = [Executor::Single, Executor::Team(Team::new(1)), Executor::Team(Team::new(3)), Executor::Team(Team::new(8)), caller];
    // The new threads' own first allocations come before their first job.
    for executor in &executors {
        executor.run(&|_| ()).unwrap();
    }
    let mut shared = SharedSteps::new(8);
    let (before, steps) = (ALLOCATIONS.load(SeqCst), AtomicUsize::new(0));
    assert!(before > 0, "the counter counts");
    for executor in &executors {
        for _ in 0..100 {
            shared.reset();
            let count = |_| {
                steps.fetch_add(1, SeqCst);
            };
            let together = |task: Part| {
                let mut own = shared.task(task);
                (0..10).for_each(|_| assert!(own.next(count)));
            };
            executor.run(&together).unwrap();
            executor.run(&|_| executor.run(&count).unwrap()).unwrap();
            executor.fork_join(7, &count).unwrap();
        }
    }
    assert_eq!(ALLOCATIONS.load(SeqCst) - before, 0);
    assert!(steps.into_inner() > 0);
}
