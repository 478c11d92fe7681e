//! A process whose last run has returned burns nothing.
use rsquant::threads::{Executor, SharedSteps, Team};
use std::time::Duration;

/// CPU time of all threads of this process.
fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes the time into a structure on this stack.
    assert_eq!(unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) }, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

#[test]
fn a_team_sleeps_between_runs() {
    let executor = Executor::Team(Team::new(8));
    let shared = SharedSteps::new(8);
    executor
        .run(&|task| {
            let mut steps = shared.task(task);
            (0..100).for_each(|_| assert!(steps.next(|_| ())));
        })
        .unwrap();
    // Time for the last members to fall asleep.
    std::thread::sleep(Duration::from_millis(50));
    let before = cpu_time();
    std::thread::sleep(Duration::from_millis(500));
    let burnt = cpu_time() - before;
    // One spinning member would burn up to 500 ms.
    assert!(burnt < Duration::from_millis(5), "burnt {burnt:?} in 500 ms of idleness");
}
