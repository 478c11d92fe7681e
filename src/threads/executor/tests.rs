use super::*;
use crate::error::Error;
use std::ffi::c_void;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

const MEMBERS: [usize; 4] = [1, 2, 3, 8];

/// A pool that runs its tasks on fresh threads.
unsafe extern "C" fn threads_of_its_own(_: *mut c_void, count: usize, task: super::super::ParallelTask, data: *mut c_void) {
    let data = data as usize;
    std::thread::scope(|scope| {
        (0..count).for_each(|index| {
            scope.spawn(move || task(data as *mut c_void, index));
        });
    });
}

/// A pool that breaks its promise: one task twice, one that does not exist, the last one not at all.
unsafe extern "C" fn careless(_: *mut c_void, count: usize, task: super::super::ParallelTask, data: *mut c_void) {
    (0..count - 1).chain([0, count, usize::MAX]).for_each(|index| task(data, index));
}

fn pool(function: super::super::ParallelForFn, threads: usize) -> Executor {
    // SAFETY: the two pools above have no state, and call no task after they have returned.
    Executor::ParallelFor(unsafe { ParallelFor::new(function, std::ptr::null_mut(), threads) })
}

fn all() -> Vec<Executor> {
    let teams = MEMBERS.map(|threads| Executor::Team(Team::new(threads)));
    teams.into_iter().chain([Executor::Single, pool(threads_of_its_own, 3), pool(careless, 4)]).collect()
}

/// A chain of steps in which each reads all that the step before wrote.
fn rounds_of_neighbour_sums(executor: &Executor) -> Vec<usize> {
    const ITEMS: usize = 100;
    let buffers = [(); 2].map(|()| (0..ITEMS).map(AtomicUsize::new).collect::<Vec<_>>());
    executor
        .run(&|worker| {
            for step in 0..50 {
                let (src, dst) = (&buffers[step % 2], &buffers[(step + 1) % 2]);
                for item in worker.part.range(ITEMS) {
                    let sum = src[item].load(SeqCst).wrapping_add(src[(item + 37) % ITEMS].load(SeqCst));
                    dst[item].store(sum, SeqCst);
                }
                worker.barrier();
            }
        })
        .unwrap();
    buffers[0].iter().map(|item| item.load(SeqCst)).collect()
}

#[test]
fn steps_between_barriers_give_the_same_on_every_executor() {
    let expected = rounds_of_neighbour_sums(&Executor::Single);
    for executor in all() {
        (0..20).for_each(|_| assert_eq!(rounds_of_neighbour_sums(&executor), expected, "{executor:?}"));
    }
}

#[test]
fn every_member_of_a_team_runs_at_the_same_time() {
    for threads in MEMBERS {
        let executor = Executor::Team(Team::new(threads));
        assert_eq!((executor.threads(), executor.concurrent()), (threads, true));
        let (together, seen) = (Barrier::new(threads), AtomicUsize::new(0));
        executor
            .run(&|worker| {
                assert_eq!(worker.part.count, threads);
                // Passed only when all members are inside at once.
                together.wait();
                seen.fetch_add(1 << worker.part.index, SeqCst);
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
    assert!(!pool(careless, 4).concurrent());
    assert_eq!(pool(careless, 4).threads(), 4);
    assert_eq!(pool(careless, 0).threads(), 1);
}

#[test]
fn a_panic_in_any_member_is_an_error_and_the_team_lives_on() {
    for executor in all() {
        for culprit in 0..executor.threads() {
            let result = executor.run(&|worker| {
                worker.barrier();
                assert!(worker.part.index != culprit % worker.part.count, "member {culprit} fails");
                worker.barrier();
                worker.barrier();
            });
            assert_eq!(result, Err(Error::Panic(format!("member {culprit} fails"))));
        }
        let result = executor.fork_join(5, &|part| assert!(part.index != 3, "part 3 fails"));
        assert_eq!(result, Err(Error::Panic("part 3 fails".into())));
        assert_eq!(rounds_of_neighbour_sums(&executor), rounds_of_neighbour_sums(&Executor::Single));
    }
}

#[test]
fn a_member_that_skips_a_barrier_is_an_error_not_a_hang() {
    let executor = Executor::Team(Team::new(3));
    let result = executor.run(&|worker| {
        if worker.part.index != 1 {
            worker.barrier();
        }
    });
    assert!(matches!(&result, Err(Error::Panic(message)) if message.contains("left the run")), "{result:?}");
    assert_eq!(executor.run(&|worker| worker.barrier()), Ok(()));
}

#[test]
fn a_run_within_a_run_has_one_member() {
    let executor = Executor::Team(Team::new(3));
    let inner = AtomicUsize::new(0);
    executor
        .run(&|_| {
            let nested = executor.run(&|worker| {
                assert_eq!(worker.part, Part::WHOLE);
                worker.barrier();
                inner.fetch_add(1, SeqCst);
            });
            nested.unwrap();
        })
        .unwrap();
    assert_eq!(inner.into_inner(), 3);
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
