//! Counters of all threads' allocations wait until no other thread is at work: the test harness's own thread allocates while it starts
//! a test, and a pool's thread, of work that is done, when it gets to run at last.
use std::time::Duration;

/// Looks at the other threads that many times, a millisecond apart, before they are believed to sleep.
const LOOKS: usize = 20;

/// Whether every thread of the process but this one sleeps.
fn others_sleep() -> bool {
    let own = std::fs::read_link("/proc/thread-self").expect("Linux tells which thread this is");
    std::fs::read_dir("/proc/self/task").expect("Linux lists a process's threads").all(|task| {
        let Ok(task) = task else { return false };
        if own.file_name() == Some(&task.file_name()) {
            return true;
        }
        // A thread that has ended meanwhile allocates no more.
        let Ok(stat) = std::fs::read_to_string(task.path().join("stat")) else { return true };
        // "pid (name) S ...": the name may hold anything but ends at the last parenthesis.
        stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('S'))
    })
}

/// Returns once all other threads have slept for some milliseconds. A test calls it from the harness's worker thread, before it counts.
pub fn wait_until_the_other_threads_sleep() {
    let mut asleep = 0;
    while asleep < LOOKS {
        asleep = if others_sleep() { asleep + 1 } else { 0 };
        std::thread::sleep(Duration::from_millis(1));
    }
}
