use super::*;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

const STEPS: usize = 300;

/// Parts of step `number`: one now and then, many at times.
fn parts_of(number: usize) -> usize {
    1 + number * 7 % 11
}

/// Owns `STEPS` steps and sees that all parts of each are done when it ends.
fn walk(open: &OpenSteps, done: &[AtomicUsize], work: &(dyn Fn(Part, StepOf) + Sync)) {
    let mut own = open.own();
    for number in 0..STEPS {
        let count = parts_of(number);
        assert!(
            own.step([number, number + 1, number + 2, number + 3], count, |part| work(part, [number, number + 1, number + 2, number + 3]))
        );
        assert_eq!(done[number].load(SeqCst), (1 << count) - 1, "step {number} ended too early");
    }
}

#[test]
fn every_part_is_done_once_in_the_order_of_steps_with_any_number_of_helpers() {
    for helpers in 0..4 {
        let mut open = OpenSteps::new();
        for run in 0..20 {
            open.reset();
            let done: Vec<AtomicUsize> = (0..STEPS).map(|_| AtomicUsize::new(0)).collect();
            let work = |part: Part, step: StepOf| {
                let number = step[0];
                assert_eq!(step, [number, number + 1, number + 2, number + 3]);
                assert_eq!(part.count, parts_of(number));
                assert!(number == 0 || done[number - 1].load(SeqCst) == (1 << parts_of(number - 1)) - 1, "step {number} began too early");
                if (number + part.index + run) % 97 == 0 {
                    std::thread::sleep(Duration::from_micros(50));
                }
                assert_eq!(
                    done[number].fetch_or(1 << part.index, SeqCst) >> part.index & 1,
                    0,
                    "part {} of step {number} twice",
                    part.index
                );
            };
            let open = &open;
            std::thread::scope(|scope| {
                scope.spawn(|| walk(open, &done, &work));
                for helper in 0..helpers {
                    let work = &work;
                    scope.spawn(move || {
                        std::thread::sleep(Duration::from_micros(helper * run as u64 * 20));
                        open.help(work);
                    });
                }
            });
        }
    }
}

#[test]
fn nobody_waits_for_an_owner_that_has_not_begun_or_has_ended() {
    let mut open = OpenSteps::new();
    open.help(|_, _| unreachable!("nobody has begun"));
    drop(open.own());
    open.help(|_, _| unreachable!("the owner has ended"));
    let done: Vec<AtomicUsize> = (0..STEPS).map(|_| AtomicUsize::new(0)).collect();
    walk(&open, &done, &|part, step| {
        done[step[0]].fetch_or(1 << part.index, SeqCst);
    });
    open.reset();
    open.help(|_, _| unreachable!("the owner of another run"));
}

/// The owner waits in its part until the others are done by somebody else.
#[test]
fn who_helps_takes_what_the_owner_has_not() {
    let open = OpenSteps::new();
    let by_helper = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let mut own = open.own();
        scope.spawn(|| {
            open.help(|part, step| {
                assert_eq!((step, part.count), ([1, 2, 3, 4], 8));
                by_helper.fetch_or(1 << part.index, SeqCst);
            });
        });
        let wait = |_| {
            while by_helper.load(SeqCst).count_ones() < 7 {
                std::thread::yield_now();
            }
        };
        assert!(own.step([1, 2, 3, 4], 8, wait));
        drop(own);
    });
    assert_eq!(by_helper.into_inner().count_ones(), 7);
}

#[test]
fn a_helper_sleeps_until_a_step_is_open() {
    let open = OpenSteps::new();
    let helped = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let mut own = open.own();
        scope.spawn(|| open.help(|_, _| _ = helped.fetch_add(1, SeqCst)));
        while open.waiting.sleepers() == 0 {
            std::thread::yield_now();
        }
        assert!(own.step([0; 4], 2, |_| {
            while helped.load(SeqCst) == 0 {
                std::thread::yield_now();
            }
        }));
    });
    assert!(helped.into_inner() > 0 && open.waiting.sleepers() == 0);
}

#[test]
fn a_panic_in_a_helper_ends_the_owners_steps_and_one_in_the_owner_lets_helpers_go() {
    let mut open = OpenSteps::new();
    std::thread::scope(|scope| {
        let open = &open;
        let mut own = open.own();
        let panicked = scope.spawn(|| catch_unwind(AssertUnwindSafe(|| open.help(|_, _| resume_unwind(Box::new("thrown"))))).is_err());
        let until_broken = |_| {
            while !open.broken.load(SeqCst) {
                std::thread::yield_now();
            }
        };
        assert!(!own.step([0; 4], 2, until_broken));
        assert!(panicked.join().unwrap());
        open.help(|_, _| unreachable!("nothing is done any more"));
    });
    open.reset();
    std::thread::scope(|scope| {
        let open = &open;
        let mut own = open.own();
        let helper = scope.spawn(|| open.help(|_, _| ()));
        let step = AssertUnwindSafe(move || own.step([0; 4], 1, |_| resume_unwind(Box::new("thrown"))));
        // Who of the two takes the only part is open; where it is the helper, the owner's step ends well.
        let outcome = catch_unwind(step);
        assert!(outcome.is_err() || matches!(outcome, Ok(true)));
        helper.join().unwrap();
    });
}
