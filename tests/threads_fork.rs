//! A team in a forked child, and where the system refuses threads.
#![cfg(target_os = "linux")]
use rsquant::isa::Isa;
use rsquant::pipeline::{Context, ContextOptions, Log, LogLevel};
use rsquant::threads::{Executor, Team, parallel_map};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

/// Members that took part in a run of the executor.
fn members_of_a_run(executor: &Executor) -> usize {
    let count = AtomicUsize::new(0);
    let result = executor.run(&|_| {
        count.fetch_add(1, SeqCst);
    });
    if result.is_ok() { count.into_inner() } else { 0 }
}

/// Whether mapping in parallel does every item.
fn maps() -> bool {
    parallel_map(0..100, |index: usize| index).into_iter().eq(0..100)
}

/// Whether `test` says yes in a child process.
fn in_a_child(test: impl FnOnce() -> bool) -> bool {
    // SAFETY: the child runs `test`, which takes no lock that another thread could hold (malloc's are the system's to
    // keep sane), and ends without returning.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            libc::alarm(20);
            libc::_exit(if test() { 0 } else { 1 });
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(child, &mut status, 0), child);
        libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
    }
}

#[test]
fn a_team_works_in_a_child_and_after_in_the_parent() {
    let executor = Executor::Team(Team::new(3));
    assert_eq!(members_of_a_run(&executor), 3);
    assert!(in_a_child(|| members_of_a_run(&executor) == 3 && members_of_a_run(&executor) == 3));
    assert!(in_a_child(|| in_a_child(|| members_of_a_run(&executor) == 3)));
    // A team that the child has never used is dropped there without its threads.
    let mut unused = Some(Executor::Team(Team::new(3)));
    assert!(in_a_child(|| {
        drop(unused.take());
        true
    }));
    assert_eq!(members_of_a_run(&executor), 3);
    drop(executor);

    // A fork in the middle of another thread's run.
    let executor = Executor::Team(Team::new(2));
    let forked = AtomicUsize::new(0);
    executor
        .run(&|task| {
            if task.index == 1 {
                forked.store(usize::from(in_a_child(|| members_of_a_run(&executor) == 2)), SeqCst);
            }
        })
        .unwrap();
    assert_eq!(forked.into_inner(), 1);

    // Calibration and conversion map on other threads than runs.
    assert!(maps() && in_a_child(maps) && maps());

    refused_threads();
}

/// Not a test of its own: its child must not be forked while another test's threads run.
fn refused_threads() {
    assert!(in_a_child(|| {
        let pages: usize = std::fs::read_to_string("/proc/self/statm").unwrap().split(' ').next().unwrap().parse().unwrap();
        // Room for some stacks of 256 KiB beside the headroom, not for 500.
        let limit = (pages * 4096 + (48 << 20)) as libc::rlim_t;
        // SAFETY: sets a limit of this child from a structure on this stack.
        unsafe { libc::setrlimit(libc::RLIMIT_AS, &libc::rlimit { rlim_cur: limit, rlim_max: limit }) };
        let executor = Executor::Team(Team::new(500));
        let fewer = (2..500).contains(&executor.threads()) && members_of_a_run(&executor) == executor.threads() && maps();
        drop(executor);
        fewer && a_context_tells_of_refused_threads()
    }));
}

fn a_context_tells_of_refused_threads() -> bool {
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    let callback = Arc::new(move |level: LogLevel, text: &str| heard.lock().unwrap().push((level, text.to_owned())));
    let log = Some(Log { level: LogLevel::Warning, callback });
    let context = Context::new(ContextOptions { threads: 500, max_isa: Some(Isa::Portable), log, ..ContextOptions::default() }).unwrap();
    let threads = context.threads().threads();
    let expected = format!("the system refused {} of 500 threads: runs have {threads}", 500 - threads);
    threads < 500 && *told.lock().unwrap() == [(LogLevel::Warning, expected)]
}
