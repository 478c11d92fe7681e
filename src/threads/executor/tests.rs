use super::*;
use crate::error::Error;
use crate::threads::{ParallelForFn, ParallelTask, SharedSteps};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

#[path = "../../../tests/support/pool_functions.rs"]
mod pool_functions;

use pool_functions::POOLS;

const MEMBERS: [usize; 4] = [1, 2, 3, 8];

fn pool(function: ParallelForFn, threads: usize) -> Executor {
    // SAFETY: the pools above have no state, and call no task after they have returned.
    Executor::ParallelFor(unsafe { ParallelFor::new(function, std::ptr::null_mut(), threads) })
}

fn all() -> Vec<Executor> {
    let teams = MEMBERS.map(|threads| Executor::Team(Team::new(threads)));
    let pools = POOLS.iter().flat_map(|&(_, function)| [1, 2, 4, 7].map(|threads| pool(function, threads)));
    teams.into_iter().chain([Executor::Single]).chain(pools).collect()
}

/// A chain of steps in which each reads all that the step before wrote.
fn rounds_of_neighbour_sums(executor: &Executor) -> Vec<usize> {
    const ITEMS: usize = 100;
    let buffers = [(); 2].map(|()| (0..ITEMS).map(AtomicUsize::new).collect::<Vec<_>>());
    let shared = SharedSteps::new(executor.threads());
    executor
        .run(&|task| {
            let mut steps = shared.task(task);
            for step in 0..50 {
                let (src, dst) = (&buffers[step % 2], &buffers[(step + 1) % 2]);
                let finished = steps.next(|part| {
                    for item in part.range(ITEMS) {
                        let sum = src[item].load(SeqCst).wrapping_add(src[(item + 37) % ITEMS].load(SeqCst));
                        dst[item].store(sum, SeqCst);
                    }
                });
                assert!(finished);
            }
        })
        .unwrap();
    buffers[0].iter().map(|item| item.load(SeqCst)).collect()
}

#[test]
fn steps_give_the_same_on_every_executor() {
    let expected = rounds_of_neighbour_sums(&Executor::Single);
    for executor in all() {
        (0..10).for_each(|_| assert_eq!(rounds_of_neighbour_sums(&executor), expected, "{executor:?}"));
    }
}

#[test]
fn every_member_of_a_team_runs_at_the_same_time() {
    for threads in MEMBERS {
        let executor = Executor::Team(Team::new(threads));
        assert_eq!(executor.threads(), threads);
        let (together, seen) = (Barrier::new(threads), AtomicUsize::new(0));
        executor
            .run(&|task| {
                assert_eq!(task.count, threads);
                // Passed only when all members are inside at once.
                together.wait();
                seen.fetch_add(1 << task.index, SeqCst);
            })
            .unwrap();
        assert_eq!(seen.into_inner(), (1 << threads) - 1);
    }
}

#[test]
fn a_fork_join_does_every_part_once() {
    for executor in all() {
        for parts in [0, 1, 2, 3, 7, 64, 3000] {
            let done: Vec<_> = (0..parts).map(|_| AtomicUsize::new(0)).collect();
            executor
                .fork_join(parts, &|part| {
                    assert_eq!(part.count, parts);
                    done[part.index].fetch_add(1, SeqCst);
                })
                .unwrap();
            assert!(done.iter().all(|times| times.load(SeqCst) == 1), "{parts} parts on {executor:?}");
        }
    }
    assert_eq!(pool(POOLS[0].1, 4).threads(), 4);
    assert_eq!(pool(POOLS[0].1, 0).threads(), 1);
}

#[test]
fn a_panic_in_any_part_is_an_error_and_the_executor_lives_on() {
    for executor in all() {
        for culprit in 0..executor.threads() {
            let shared = SharedSteps::new(executor.threads());
            let (begun, ended) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let result = executor.run(&|task| {
                let mut steps = shared.task(task);
                assert!(steps.next(|_| ()));
                let finished = steps.next(|part| assert!(part.index != culprit, "part {culprit} fails"));
                assert!(!finished, "a step with a part that failed is not finished");
                let after = steps.next(|_| {
                    begun.fetch_add(1, SeqCst);
                });
                assert!(!after);
                ended.fetch_add(1, SeqCst);
            });
            assert_eq!(result, Err(Error::Panic(format!("part {culprit} fails"))), "{executor:?}");
            assert_eq!((begun.into_inner(), ended.into_inner()), (0, executor.threads() - 1), "the others end, and begin nothing");
        }
        let result = executor.fork_join(5, &|part| assert!(part.index != 3, "part 3 fails"));
        assert_eq!(result, Err(Error::Panic("part 3 fails".into())));
        assert_eq!(rounds_of_neighbour_sums(&executor), rounds_of_neighbour_sums(&Executor::Single));
    }
}

#[test]
fn a_run_within_a_run_of_a_team_has_one_member() {
    let executor = Executor::Team(Team::new(3));
    let inner = AtomicUsize::new(0);
    executor
        .run(&|_| {
            let nested = executor.run(&|task| {
                assert_eq!(task, Part::WHOLE);
                inner.fetch_add(1, SeqCst);
            });
            nested.unwrap();
        })
        .unwrap();
    assert_eq!(inner.into_inner(), 3);
}

#[test]
fn runs_from_the_tasks_of_a_pool_give_the_same() {
    let expected = rounds_of_neighbour_sums(&Executor::Single);
    for executor in all() {
        executor.fork_join(3, &|_| assert_eq!(rounds_of_neighbour_sums(&executor), expected, "{executor:?}")).unwrap();
    }
}

#[test]
fn eight_threads_share_one_team() {
    let executor = Executor::Team(Team::new(3));
    let expected = rounds_of_neighbour_sums(&Executor::Single);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| (0..50).for_each(|_| assert_eq!(rounds_of_neighbour_sums(&executor), expected)));
        }
    });
}

#[test]
fn a_team_takes_the_nearest_legal_number_of_threads() {
    assert_eq!(Team::new(0).members(), 1);
    assert_eq!(Executor::with_threads(0).threads(), 1);
    assert!(matches!(Executor::with_threads(1), Executor::Single));
    assert_eq!(Executor::with_threads(2).threads(), 2);
}
