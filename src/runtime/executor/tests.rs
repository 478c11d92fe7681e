use super::*;
use crate::ops::{Step, StepInfo};
use crate::runtime::plan::PlannedStep;
use std::sync::atomic::Ordering::SeqCst;
use std::thread::ThreadId;

/// A step that calls a closure.
struct Called<F>(F);

impl<F: Fn(&StepRun<'_>) -> Result<()> + Send + Sync> Step for Called<F> {
    fn run(&self, run: &mut StepRun<'_>) -> Result<()> {
        (self.0)(run)
    }

    fn may_fail(&self) -> bool {
        true
    }

    fn info(&self) -> StepInfo {
        StepInfo::default()
    }
}

fn called(work: impl Fn(&StepRun<'_>) -> Result<()> + Send + Sync + 'static) -> PlannedStep {
    PlannedStep { step: Box::new(Called(work)), makes: None }
}

/// A plan without tensors, whose chunks have up to four samples.
fn plan_of(steps: Vec<PlannedStep>, stages: &[(Range<usize>, usize)]) -> Arc<Plan> {
    let stages = stages.iter().map(|(steps, samples)| Stage { steps: steps.clone(), samples: *samples }).collect();
    let (input_dims, output_dims, inputs) = (Vec::new(), Vec::new(), Vec::new());
    Arc::new(Plan { steps, arena_bytes: 0, scratch_bytes: 0, chunk_samples: 4, stages, input_dims, output_dims, inputs, may_fail: true })
}

/// What was done: step, first sample, samples, part, and who did it.
type Log = Arc<Mutex<Vec<(usize, usize, usize, Part, ThreadId)>>>;

fn logged(step: usize, log: &Log, wait: impl Fn(&StepRun<'_>, &Log) + Send + Sync + 'static) -> PlannedStep {
    let log = Arc::clone(log);
    called(move |run| {
        log.lock().unwrap().push((step, run.first_sample, run.samples, run.part, std::thread::current().id()));
        wait(run, &log);
        Ok(())
    })
}

/// Both threads have begun a chunk, and the first one's stays in a part of each long step until another thread has done one: who has no
/// chunk left helps.
#[test]
fn a_thread_without_a_chunk_does_parts_of_anothers_last_one() {
    let log = Log::default();
    let until = |is_so: &dyn Fn(&(usize, usize, usize, Part, ThreadId)) -> bool, log: &Log| {
        while !log.lock().unwrap().iter().any(is_so) {
            std::thread::yield_now();
        }
    };
    let step = |step: usize| {
        logged(step, &log, move |run, log| {
            let me = std::thread::current().id();
            match (step, run.first_sample) {
                (0, 0) => until(&|did| did.1 == 4, log),
                (0, 4) => until(&|did| did.1 == 0, log),
                (1.., 0) => until(&|did| (did.0, did.1) == (step, 0) && did.4 != me, log),
                _ => {}
            }
        })
    };
    let mut executor = Executor::new(plan_of(vec![step(0), step(1), step(2)], &[(0..1, 1), (1..3, 4)]), 2, 8).unwrap();
    executor.start_profile();
    executor.run(&Threads::with_threads(2), 8, &[], &mut []).unwrap();
    let log = std::mem::take(&mut *log.lock().unwrap());
    for first in [0, 4] {
        for step in 1..3 {
            let mut parts: Vec<usize> = log.iter().filter(|did| (did.0, did.1) == (step, first)).map(|did| did.3.index).collect();
            parts.sort_unstable();
            let count = log.iter().find(|did| (did.0, did.1) == (step, first)).unwrap().3.count;
            assert_eq!((count, parts), (HELP_PARTS, (0..HELP_PARTS).collect()), "step {step}, chunk of sample {first}");
        }
    }
    assert_eq!(
        log.iter().filter(|did| did.0 == 0 && did.3.index == 0).map(|did| did.2).sum::<usize>(),
        8,
        "steps of single samples, whole or in parts"
    );
    let costs = executor.profile().unwrap().steps;
    assert_eq!(costs.iter().map(|cost| cost.samples).collect::<Vec<_>>(), [8, 8, 8], "each sample counts once");
}

#[test]
fn nobody_cuts_the_steps_of_a_thread_that_is_alone() {
    let log = Log::default();
    let steps = (0..3).map(|step| logged(step, &log, |_, _| ())).collect();
    let mut executor = Executor::new(plan_of(steps, &[(0..1, 1), (1..2, 2), (2..3, 4)]), 1, 8).unwrap();
    executor.run(&Threads::with_threads(1), 8, &[], &mut []).unwrap();
    let log = log.lock().unwrap();
    assert!(log.iter().all(|did| did.3 == Part::WHOLE));
    assert_eq!(log.len(), 8 + 4 + 2);
}

/// What comes after a failure computes with what there is, and would name another tensor of an earlier sample.
#[test]
fn a_chunk_ends_with_its_first_failure() {
    for threads in [1, 2, 4] {
        let fails = called(|run| if run.first_sample == 1 { Err(Error::NotFinite("the first step".into())) } else { Ok(()) });
        let later = called(|run| if run.first_sample == 0 { Err(Error::NotFinite("a later step".into())) } else { Ok(()) });
        let mut executor = Executor::new(plan_of(vec![fails, later], &[(0..1, 1), (1..2, 4)]), threads, 8).unwrap();
        for _ in 0..50 {
            // 8 samples are chunks of the threads' own, 5 on 4 threads are chunks that all share.
            for samples in [8, 5] {
                let failure = executor.run(&Threads::with_threads(threads), samples, &[], &mut []).unwrap_err();
                assert_eq!(failure.to_string(), Error::NotFinite("the first step".into()).to_string(), "{threads} threads, {samples}");
            }
        }
    }
}

#[test]
fn a_panic_in_a_step_that_others_help_with_is_an_error_and_the_next_run_works() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let panics = called(move |_| if counted.fetch_add(1, SeqCst) == 5 { std::panic::resume_unwind(Box::new("thrown")) } else { Ok(()) });
    let mut executor = Executor::new(plan_of(vec![panics], &[(0..1, 4)]), 2, 8).unwrap();
    let threads = Threads::with_threads(2);
    assert!(matches!(executor.run(&threads, 8, &[], &mut []), Err(Error::Panic(_))));
    calls.store(6, SeqCst);
    executor.run(&threads, 8, &[], &mut []).unwrap();
    assert!(calls.load(SeqCst) > 6);
}

/// The part that fails last is the first one.
#[test]
fn of_parts_that_fail_the_first_is_named_whoever_is_first() {
    let failed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&failed);
    let fails = called(move |run| {
        while run.part.index == 0 && count.load(SeqCst) == 0 {
            std::thread::yield_now();
        }
        count.fetch_add(1, SeqCst);
        Err(Error::NotFinite(format!("part {}", run.part.index)))
    });
    let mut executor = Executor::new(plan_of(vec![fails], &[(0..1, 4)]), 2, 8).unwrap();
    let failure = executor.run(&Threads::with_threads(2), 1, &[], &mut []).unwrap_err();
    assert_eq!((failure.to_string(), failed.load(SeqCst)), (Error::NotFinite("part 0".into()).to_string(), 2));
}
