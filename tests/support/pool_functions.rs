//! What hosts' thread pools do with a loop, good and bad, behind the callback. The module that includes this has the callback's types in
//! scope: a test of the library's own, or of the package.
use super::{ParallelForFn, ParallelTask};
use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

/// Runs the tasks on so many fresh threads, each of which takes the next task when it is done with one.
fn on_threads(threads: usize, count: usize, task: ParallelTask, data: *mut c_void) {
    let (data, next) = (data as usize, AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, SeqCst);
                    if index >= count {
                        return;
                    }
                    task(data as *mut c_void, index);
                }
            });
        }
    });
}

unsafe extern "C" fn as_many_threads(_: *mut c_void, count: usize, task: ParallelTask, data: *mut c_void) {
    on_threads(count, count, task, data);
}

unsafe extern "C" fn two_threads(_: *mut c_void, count: usize, task: ParallelTask, data: *mut c_void) {
    on_threads(2, count, task, data);
}

unsafe extern "C" fn serial(_: *mut c_void, count: usize, task: ParallelTask, data: *mut c_void) {
    (0..count).for_each(|index| task(data, index));
}

unsafe extern "C" fn reversed(_: *mut c_void, count: usize, task: ParallelTask, data: *mut c_void) {
    (0..count).rev().for_each(|index| task(data, index));
}

/// Tasks begin at different times: some in the middle of the run, some when all is done.
unsafe extern "C" fn late(_: *mut c_void, count: usize, task: ParallelTask, data: *mut c_void) {
    let data = data as usize;
    std::thread::scope(|scope| {
        (0..count).for_each(|index| {
            scope.spawn(move || {
                std::thread::sleep(Duration::from_micros([100, 0, 600, 30][index % 4]));
                task(data as *mut c_void, index);
            });
        });
    });
}

/// Breaks its promise: one task twice, one that does not exist, the last one not at all.
unsafe extern "C" fn careless(_: *mut c_void, count: usize, task: ParallelTask, data: *mut c_void) {
    (0..count - 1).chain([0, count, usize::MAX]).for_each(|index| task(data, index));
}

/// Runs nothing.
unsafe extern "C" fn closed(_: *mut c_void, _: usize, _: ParallelTask, _: *mut c_void) {}

/// Every kind of pool, and its name.
pub const POOLS: [(&str, ParallelForFn); 7] = [
    ("as many threads", as_many_threads),
    ("two threads", two_threads),
    ("serial", serial),
    ("reversed", reversed),
    ("late", late),
    ("careless", careless),
    ("closed", closed),
];
