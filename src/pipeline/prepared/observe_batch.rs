//! What one batch adds to the observers: its samples are computed by the context's threads, each with an executor of its own, and
//! what they collect is merged in sample order. Nothing is kept of the values themselves, so memory does not grow with the batch.
use super::Prepared;
use super::run_range::run_range;
use super::statistics::Observed;
use crate::error::{Error, Result};
use crate::graph::{Graph, ValueId};
use crate::memory;
use crate::pipeline::progress::{ProgressSink, Stage};
use crate::quantize::observer::{BatchPart, first_nan, first_non_finite};
use crate::runtime::{Executor, Plan, PlanOptions};
use crate::tensor::TensorView;
use crate::threads::Executor as Threads;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One pass over a batch.
struct Pass<'a> {
    graph: &'a Graph,
    inputs: &'a [TensorView<'a>],
    samples: usize,
    /// Samples that an executor computes at a time; 0: the plan is for whole batches.
    chunk: usize,
    /// The observers that take part in this pass, by the value they observe.
    observers_of: HashMap<ValueId, Vec<usize>>,
    /// Infinities are dropped; a NaN is always an error.
    drop_inf: bool,
}

/// What each observer is shown in a pass; `None` where it takes no part.
type Parts = Vec<Option<BatchPart>>;

/// A thread's executor, what it has collected, and how that went.
struct Lane<'a> {
    executor: &'a mut Executor,
    parts: Parts,
    outcome: Result<()>,
}

/// Tells the caller how many samples are done.
struct Tracker<'a> {
    progress: &'a ProgressSink,
    done: u64,
    total: u64,
}

impl Tracker<'_> {
    fn report(&self) -> Result<()> {
        self.progress.report(Stage::Calibrate, self.done, self.total)
    }
}

fn check_finite(graph: &Graph, value: ValueId, sample: usize, floats: &[f32], drop_inf: bool) -> Result<()> {
    let found = if drop_inf { first_nan(floats) } else { first_non_finite(floats) };
    match found {
        Some(index) => {
            Err(Error::NotFinite(format!("tensor {}, sample {sample}, element {index} is {}", graph.value(value).name, floats[index])))
        }
        None => Ok(()),
    }
}

impl Pass<'_> {
    /// Computes samples `range` and shows them to the lane's parts.
    fn observe(&self, lane: &mut Lane<'_>, range: Range<usize>) -> Result<()> {
        let parts = &mut lane.parts;
        run_range(self.graph, lane.executor, self.inputs, range, self.chunk == 0, &mut |value, sample, floats, order| {
            let Some(observers) = self.observers_of.get(&value) else { return Ok(()) };
            check_finite(self.graph, value, sample, floats, self.drop_inf)?;
            for &observer in observers {
                let Some(part) = &mut parts[observer] else { continue };
                part.observe_image(floats, order);
                memory::checkpoint()?;
            }
            Ok(())
        })
    }

    /// Computes the batch in rounds, each lane its share of a round; the caller is told between rounds, on the calling thread.
    fn run(&self, threads: &Threads, lanes: &[Mutex<Lane<'_>>], tracker: &mut Tracker<'_>) -> Result<()> {
        let share = match (self.chunk, tracker.progress.is_listening()) {
            (0, _) => self.samples,
            (chunk, true) => chunk,
            (_, false) => self.samples.div_ceil(lanes.len()),
        };
        let mut first = 0;
        while first < self.samples {
            tracker.report()?;
            let end = self.samples.min(first.saturating_add(share.saturating_mul(lanes.len())));
            let budget = memory::current_budget();
            threads.fork_join(lanes.len(), &|part| {
                memory::within_budget(budget.clone(), || {
                    let mut lane = lock(&lanes[part.index]);
                    let start = end.min(first + part.index * share);
                    lane.outcome = self.observe(&mut lane, start..end.min(start + share));
                });
            })?;
            // The first failure in sample order is reported, whatever the schedule was.
            lanes.iter().try_for_each(|lane| std::mem::replace(&mut lock(lane).outcome, Ok(())))?;
            tracker.done += (end - first) as u64;
            first = end;
        }
        Ok(())
    }
}

fn lock<'a, T>(lane: &'a Mutex<T>) -> MutexGuard<'a, T> {
    lane.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Prepared {
    /// One executor a thread, for these input sizes.
    pub(super) fn make_executors(&mut self, graph: &Graph, dims: &[Vec<usize>], batch: usize) -> Result<()> {
        let threads = self.context.threads().threads().min(batch);
        let fits = |executor: &Executor| {
            let plan = executor.plan();
            // A plan for any batch serves inputs that have the same one.
            let but_batch = |planned: &[usize], given: &[usize]| given.first() == Some(&batch) && planned.get(1..) == given.get(1..);
            let is_fit =
                |planned: &[usize], given: &[usize]| if plan.chunk_samples > 0 { but_batch(planned, given) } else { planned == given };
            plan.input_dims.iter().zip(dims).all(|(planned, given)| is_fit(planned, given))
        };
        let whole = self.executors.first().is_some_and(|executor| executor.plan().chunk_samples == 0);
        if self.executors.len() >= if whole { 1 } else { threads } && self.executors.iter().all(|e| fits(e) && e.max_samples() >= batch) {
            return Ok(());
        }
        self.executors.clear();
        let plan = Arc::new(Plan::new(graph, dims, PlanOptions { max_isa: self.context.max_isa() })?);
        let count = if plan.chunk_samples == 0 { 1 } else { threads };
        for _ in 0..count {
            self.executors.push(Executor::new(Arc::clone(&plan), 1, batch)?);
        }
        Ok(())
    }

    /// Shows the batch to copies of the observers; a batch that fails has changed some of them.
    pub(super) fn observe_batch(
        &mut self,
        graph: &Graph,
        inputs: &[TensorView<'_>],
        samples: usize,
        observed: &mut [Observed],
    ) -> Result<()> {
        let passes = observed.iter().map(|observed| observed.state.kind().passes()).max().unwrap_or(1);
        let progress = self.progress.clone();
        let mut tracker = Tracker { progress: &progress, done: 0, total: samples as u64 * passes as u64 };
        let empty: Parts = observed.iter().map(|observed| Some(observed.state.first_pass())).collect();
        let first = self.run_pass(graph, inputs, samples, observed, empty, &mut tracker)?;
        let second_of =
            |(observed, first): (&Observed, &Option<BatchPart>)| first.as_ref().and_then(|first| observed.state.second_pass(first));
        let empty: Parts = observed.iter().zip(&first).map(second_of).collect();
        memory::checkpoint()?;
        let second = match empty.iter().any(Option::is_some) {
            true => self.run_pass(graph, inputs, samples, observed, empty, &mut tracker)?,
            false => empty,
        };
        for ((observed, first), second) in observed.iter_mut().zip(&first).zip(&second) {
            if let Some(first) = first {
                observed.state.take_batch(first, second.as_ref())?;
                memory::checkpoint()?;
            }
        }
        tracker.done = tracker.total;
        tracker.report()
    }

    /// What one pass collects, merged over the batch.
    fn run_pass(
        &mut self,
        graph: &Graph,
        inputs: &[TensorView<'_>],
        samples: usize,
        observed: &[Observed],
        empty: Parts,
        tracker: &mut Tracker<'_>,
    ) -> Result<Parts> {
        let mut observers_of: HashMap<ValueId, Vec<usize>> = HashMap::new();
        for (index, observed) in observed.iter().enumerate().filter(|(index, _)| empty[*index].is_some()) {
            observers_of.entry(observed.value).or_default().push(index);
        }
        let chunk = self.executors.first().map_or(0, |executor| executor.plan().chunk_samples);
        let pass = Pass { graph, inputs, samples, chunk, observers_of, drop_inf: self.qconfig.drop_inf };
        let lane = |executor| Mutex::new(Lane { executor, parts: empty.clone(), outcome: Ok(()) });
        let lanes: Vec<Mutex<Lane<'_>>> = self.executors.iter_mut().map(lane).collect();
        memory::checkpoint()?;
        pass.run(self.context.threads(), &lanes, tracker)?;
        let mut collected = empty;
        for lane in lanes {
            let lane = lane.into_inner().unwrap_or_else(PoisonError::into_inner);
            for (total, part) in collected.iter_mut().zip(&lane.parts) {
                if let (Some(total), Some(part)) = (total, part) {
                    total.merge(part)?;
                    memory::checkpoint()?;
                }
            }
        }
        Ok(collected)
    }
}
