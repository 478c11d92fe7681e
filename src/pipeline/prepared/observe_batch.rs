//! What one batch adds to the observers: its samples are computed by several executors at once, and their parts merge in sample order.
use super::Prepared;
use super::placement::Observed;
use super::run_range::run_range;
use crate::error::{Error, Result};
use crate::graph::{Graph, ValueId};
use crate::quantize::observer::{MinMax, ObserverKind, ObserverState, first_nan, first_non_finite};
use crate::runtime::{Executor, Plan, PlanOptions};
use crate::tensor::TensorView;
use rayon::prelude::*;
use std::collections::HashMap;
use std::sync::Arc;

/// Bytes of one batch's tensors that order-dependent observers are shown at once; more are computed in several passes.
const GATHERED_BYTES: usize = 256 << 20;

/// What one batch adds to an observer.
pub(super) enum BatchState {
    Mergeable(ObserverState),
    Range(MinMax),
    /// The observer sees the batch's values themselves, later.
    Gathered,
}

impl BatchState {
    fn new(kind: ObserverKind) -> Self {
        match kind {
            ObserverKind::MovingAverage => BatchState::Range(MinMax::default()),
            ObserverKind::TorchHistogram => BatchState::Gathered,
            mergeable => BatchState::Mergeable(ObserverState::new(mergeable)),
        }
    }

    fn observe(&mut self, floats: &[f32]) {
        match self {
            BatchState::Mergeable(state) => state.observe(floats),
            BatchState::Range(range) => range.observe(floats),
            BatchState::Gathered => {}
        }
    }

    fn merge(&mut self, other: BatchState) -> Result<()> {
        match (self, other) {
            (BatchState::Mergeable(mine), BatchState::Mergeable(theirs)) => mine.merge(&theirs),
            (BatchState::Range(mine), BatchState::Range(theirs)) => mine.merge(&theirs),
            _ => Ok(()),
        }
    }
}

fn by_value(observed: &[Observed]) -> HashMap<ValueId, Vec<usize>> {
    let mut index_of: HashMap<ValueId, Vec<usize>> = HashMap::new();
    for (index, observed) in observed.iter().enumerate() {
        index_of.entry(observed.value).or_default().push(index);
    }
    index_of
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

impl Prepared {
    /// One executor a thread, for these input sizes.
    pub(super) fn make_executors(&mut self, graph: &Graph, dims: &[Vec<usize>], threads: usize) -> Result<()> {
        let fits = |executor: &Executor| {
            let plan = executor.plan();
            let batch_free = plan.chunk_samples > 0;
            plan.input_dims.iter().zip(dims).all(|(planned, given)| if batch_free { planned[1..] == given[1..] } else { planned == given })
        };
        let batch = dims[0][0];
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
        if self.pool.as_ref().is_none_or(|pool| pool.current_num_threads() != count) {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(count).build();
            self.pool = Some(pool.map_err(|error| Error::InvalidArgument(format!("cannot start calibration threads: {error}")))?);
        }
        Ok(())
    }

    /// Runs the batch, split between the executors, and collects what it adds to each observer.
    pub(super) fn observe_batch(&mut self, graph: &Graph, inputs: &[TensorView<'_>], batch: usize) -> Result<Vec<BatchState>> {
        let observed = &self.observed;
        let drop_inf = self.qconfig.drop_inf;
        let count = self.executors.len();
        let whole = self.executors[0].plan().chunk_samples == 0;
        let share = if whole { batch } else { batch.div_ceil(count) };
        let executors = &mut self.executors;
        let mut run = || {
            executors
                .par_iter_mut()
                .enumerate()
                .map(|(index, executor)| {
                    let (first, end) = ((index * share).min(batch), ((index + 1) * share).min(batch));
                    let mut states: Vec<BatchState> = observed.iter().map(|observed| BatchState::new(observed.state.kind())).collect();
                    let index_of: HashMap<ValueId, Vec<usize>> = by_value(observed);
                    run_range(graph, executor, inputs, first..end, whole, &mut |value, sample, floats| {
                        let Some(indices) = index_of.get(&value) else { return Ok(()) };
                        check_finite(graph, value, sample, floats, drop_inf)?;
                        indices.iter().for_each(|&index| states[index].observe(floats));
                        Ok(())
                    })
                    .map(|()| states)
                })
                .collect::<Vec<Result<Vec<BatchState>>>>()
        };
        let parts = match &self.pool {
            Some(pool) => pool.install(run),
            None => run(),
        };
        // The first failure in sample order is reported, whatever the schedule was.
        let mut parts = parts.into_iter();
        let mut total = parts.next().ok_or_else(|| Error::WrongState("no executor".into()))??;
        for part in parts {
            for (total, part) in total.iter_mut().zip(part?) {
                total.merge(part)?;
            }
        }
        Ok(total)
    }

    /// Observers that need a batch's values in order and at once are shown them tensor by tensor, in as many passes as
    /// the memory bound needs.
    pub(super) fn observe_gathered(
        &mut self,
        graph: &Graph,
        inputs: &[TensorView<'_>],
        batch: usize,
        merged: &mut [Observed],
    ) -> Result<()> {
        let mut waiting: Vec<usize> =
            (0..merged.len()).filter(|&index| merged[index].state.kind() == ObserverKind::TorchHistogram).collect();
        let whole = self.executors[0].plan().chunk_samples == 0;
        while !waiting.is_empty() {
            let mut gathered: HashMap<ValueId, Vec<f32>> = HashMap::new();
            let mut bytes = 0;
            let wanted: Vec<ValueId> = waiting.iter().map(|&index| merged[index].value).collect();
            run_range(graph, &mut self.executors[0], inputs, 0..batch, whole, &mut |value, _, floats| {
                let fits = gathered.contains_key(&value) || gathered.is_empty() || bytes + floats.len() * batch * 4 <= GATHERED_BYTES;
                if wanted.contains(&value) && fits {
                    if !gathered.contains_key(&value) {
                        bytes += floats.len() * batch * 4;
                    }
                    gathered.entry(value).or_default().extend_from_slice(floats);
                }
                Ok(())
            })?;
            let before = waiting.len();
            waiting.retain(|&index| match gathered.get(&merged[index].value) {
                Some(values) => {
                    merged[index].state.observe_batch(&[values]);
                    false
                }
                None => true,
            });
            if waiting.len() == before {
                return Err(Error::Graph("an observed tensor is never computed".into()));
            }
        }
        Ok(())
    }
}
