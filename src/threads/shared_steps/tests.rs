use super::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

const STEPS: usize = 200;

/// What was done of each step: one bit a part.
struct Log(Vec<AtomicUsize>);

impl Log {
    fn new() -> Self {
        Self((0..STEPS).map(|_| AtomicUsize::new(0)).collect())
    }

    /// A task's way through all steps. Each part finds all parts of the step before done, nothing of the next, and its own not. Before each
    /// step `pause` may take its time, and so may each part.
    fn walk(&self, shared: &SharedSteps, task: Part, pause: &dyn Fn(usize)) {
        let mut steps = shared.task(task);
        let all = (1 << steps.parts()) - 1;
        for number in 0..STEPS {
            pause(number);
            let finished = steps.next(|part| {
                assert_eq!(part.count, task.count);
                assert!(number == 0 || self.0[number - 1].load(SeqCst) == all, "step {number} began too early");
                pause(number + 7);
                assert!(number + 1 == STEPS || self.0[number + 1].load(SeqCst) == 0, "step {number} was still under way");
                let before = self.0[number].fetch_or(1 << part.index, SeqCst);
                assert_eq!(before >> part.index & 1, 0, "part {} of step {number} twice", part.index);
            });
            assert!(finished);
        }
        assert!(self.0.iter().all(|done| done.load(SeqCst) == all));
    }
}

#[test]
fn every_part_is_done_once_in_the_order_of_steps_by_any_number_of_tasks() {
    for parts in [1, 2, 3, 8] {
        for tasks in [1, 2, 3, 8] {
            let (shared, log) = (SharedSteps::new(parts), Log::new());
            std::thread::scope(|scope| {
                for index in 0..tasks {
                    let (shared, log) = (&shared, &log);
                    scope.spawn(move || log.walk(shared, Part { index: index % parts, count: parts }, &|_| ()));
                }
            });
        }
    }
}

#[test]
fn tasks_one_after_another_in_any_order_wait_for_nobody() {
    let mut shared = SharedSteps::new(5);
    for order in [[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 4, 0, 1, 3]] {
        shared.reset();
        let log = Log::new();
        order.iter().for_each(|&index| log.walk(&shared, Part { index, count: 5 }, &|_| ()));
    }
}

/// A hundred runs in one value, whose tasks begin late, and stop here and there: to sleep, to let others go first.
#[test]
fn late_and_slow_tasks_disturb_no_step_and_no_later_run() {
    let mut shared = SharedSteps::new(4);
    for run in 0..100u64 {
        shared.reset();
        let (log, shared) = (Log::new(), &shared);
        std::thread::scope(|scope| {
            for index in 0..4 {
                let log = &log;
                scope.spawn(move || {
                    let state = AtomicUsize::new((run * 4 + index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) as usize);
                    let pause = |_| {
                        let random = state.load(SeqCst).wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                        state.store(random, SeqCst);
                        match random >> 56 {
                            0 => std::thread::sleep(Duration::from_micros(50)),
                            1..20 => std::thread::yield_now(),
                            _ => {}
                        }
                    };
                    if index as u64 == run % 4 {
                        std::thread::sleep(Duration::from_micros(run * 10));
                    }
                    log.walk(shared, Part { index, count: 4 }, &pause);
                });
            }
        });
    }
}

#[test]
fn a_task_takes_its_own_part_first_and_then_what_others_have_not_begun() {
    let shared = SharedSteps::new(4);
    let order = std::cell::RefCell::new(Vec::new());
    let mut steps = shared.task(Part { index: 2, count: 4 });
    (0..2).for_each(|_| assert!(steps.next(|part| order.borrow_mut().push(part.index))));
    assert_eq!(order.into_inner(), [2, 3, 0, 1, 2, 3, 0, 1]);
}

#[test]
fn between_its_own_part_and_the_end_of_the_step_a_task_does_something_else_once() {
    let shared = SharedSteps::new(3);
    let log = std::cell::RefCell::new(Vec::new());
    let mut steps = shared.task(Part { index: 1, count: 3 });
    for _ in 0..2 {
        let work = |part: Part| log.borrow_mut().push(("part", part.index));
        assert!(steps.next_and(work, |part| log.borrow_mut().push(("meanwhile", part.index))));
    }
    let step = [("part", 1), ("meanwhile", 1), ("part", 2), ("part", 0)];
    assert_eq!(log.into_inner(), [step, step].concat());
    let mut late = shared.task(Part { index: 0, count: 3 });
    assert!(late.next_and(|_| unreachable!(), |_| unreachable!("the step is finished")));
}

/// Both tasks have begun, so the quick one leaves the other's part to it, until it has waited long.
#[test]
fn where_all_tasks_have_begun_each_does_its_own_parts_and_one_that_is_held_up_is_helped() {
    let shared = SharedSteps::new(2);
    let mut quick = shared.task(Part { index: 0, count: 2 });
    let _held_up = shared.task(Part { index: 1, count: 2 });
    let order = std::cell::RefCell::new(Vec::new());
    assert!(quick.next(|part| order.borrow_mut().push(part.index)));
    assert_eq!(order.into_inner(), [0, 1]);
}

#[test]
fn more_tasks_than_parts_were_made_for_share_them() {
    let shared = SharedSteps::new(2);
    let mut steps = shared.task(Part { index: 6, count: 7 });
    assert_eq!(steps.parts(), 2);
    assert!(steps.next(|part| assert_eq!(part.count, 2)));
    let mut late = shared.task(Part { index: 1, count: 7 });
    assert!(late.next(|_| unreachable!("the step is finished")));
    assert!(late.next(|_| ()));
    assert_eq!(shared.finished.0.load(SeqCst), 4);
}

#[test]
fn a_panic_ends_the_steps_of_all_and_a_reset_begins_anew() {
    let mut shared = SharedSteps::new(3);
    let (thrown, told) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for index in 0..3 {
            let (shared, thrown, told) = (&shared, &thrown, &told);
            scope.spawn(move || {
                let mut steps = shared.task(Part { index, count: 3 });
                let walk = AssertUnwindSafe(|| {
                    (0..STEPS).all(|number| {
                        steps.next(|part| {
                            if number == 20 && part.index == 1 {
                                std::panic::resume_unwind(Box::new("thrown"));
                            }
                            assert!(number <= 20);
                        })
                    })
                });
                match catch_unwind(walk) {
                    Ok(finished) => told.fetch_add(usize::from(!finished), SeqCst),
                    Err(_) => thrown.fetch_add(1, SeqCst),
                };
            });
        }
    });
    assert_eq!((thrown.into_inner(), told.into_inner()), (1, 2));
    shared.reset();
    Log::new().walk(&shared, Part { index: 0, count: 3 }, &|_| ());
}

#[test]
fn who_waits_long_sleeps_and_is_woken() {
    let shared = SharedSteps::new(2);
    std::thread::scope(|scope| {
        let mut slow = shared.task(Part { index: 0, count: 2 });
        let mut quick = shared.task(Part { index: 1, count: 2 });
        let (taken, is_taken) = std::sync::mpsc::channel();
        let shared = &shared;
        scope.spawn(move || {
            assert!(slow.next(|part| {
                taken.send(part.index).unwrap();
                while shared.waiting.sleepers() == 0 {
                    std::thread::yield_now();
                }
            }));
        });
        assert_eq!(is_taken.recv().unwrap(), 0);
        assert!(quick.next(|part| assert_eq!(part.index, 1)));
    });
    assert_eq!(shared.waiting.sleepers(), 0);
}
