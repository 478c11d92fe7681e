//! The test harness's own thread allocates while it starts a test: counters of all threads' allocations wait until it sleeps.
use std::time::Duration;

/// Looks at the main thread that many times, a millisecond apart, before it is believed to sleep.
const LOOKS: usize = 20;

/// Returns once the process's main thread, which waits for the test to end, has slept for some milliseconds. A test calls it
/// from the harness's worker thread, before it counts.
pub fn wait_until_the_main_thread_sleeps() {
    let id = std::process::id();
    let path = format!("/proc/self/task/{id}/stat");
    let mut asleep = 0;
    while asleep < LOOKS {
        let stat = std::fs::read_to_string(&path).expect("Linux tells the state of a process's threads");
        // "pid (name) S ...": the name may hold anything but ends at the last parenthesis.
        let state = stat.rsplit(')').next().and_then(|rest| rest.trim_start().chars().next());
        asleep = if state == Some('S') { asleep + 1 } else { 0 };
        std::thread::sleep(Duration::from_millis(1));
    }
}
