//! A float graph with observers in place: calibrate it over a data set, then convert.
use super::calibration_file::{self, CalibrationState};
use super::context::Context;
use super::float_graph::FloatGraph;
use super::model::{LayerInfo, LayerPrecision, Model};
use super::session::check_declared;
use crate::error::{Error, Result};
use crate::graph::passes::assign_precision::{Assignment, NodePrecision, assign};
use crate::graph::passes::lower_to_int8;
use crate::graph::shape_inference::infer_shapes;
use crate::graph::{Graph, Op, QuantizedType, ValueId};
use crate::isa::FloatControl;
use crate::kernels::VectorIsa;
use crate::ops::unary_function;
use crate::quantize::observer::{MinMax, ObserverKind, ObserverState, first_nan, first_non_finite};
use crate::quantize::{QConfig, solve_tied};
use crate::runtime::{Executor, Observation, Plan, PlanOptions};
use crate::tensor::{DType, TensorView, element_count};
use rayon::prelude::*;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// Bytes of one batch's tensors that order-dependent observers are shown at once; more are computed in several passes.
const GATHERED_BYTES: usize = 256 << 20;

/// A tensor that is observed.
#[derive(Debug, Clone, PartialEq)]
struct Observed {
    /// The value whose elements are seen: reshapes show their input.
    value: ValueId,
    state: ObserverState,
}

/// What depends on the input shapes: made when they are known.
#[derive(Debug)]
struct Placement {
    /// Input shapes of one sample (axis 0 is 1), or of the whole batch where samples meet.
    dims: Vec<Vec<usize>>,
    assignment: Assignment,
    /// For each tied set the indices of its observed tensors.
    members: Vec<Vec<usize>>,
}

/// A float graph, a qconfig, and the statistics collected so far.
pub struct Prepared {
    context: Context,
    graph: FloatGraph,
    qconfig: QConfig,
    placement: Option<Placement>,
    observed: Vec<Observed>,
    samples: u64,
    executors: Vec<Executor>,
    pool: Option<rayon::ThreadPool>,
}

/// The value whose elements `value` has: reshapes and identities move nothing.
fn same_elements(graph: &Graph, producers: &[Option<usize>], mut value: ValueId) -> ValueId {
    while let Some(node) = producers[value.index()].map(|node| &graph.nodes[node]) {
        match node.op {
            Op::Reshape(_) | Op::Identity => value = node.inputs[0],
            _ => break,
        }
    }
    value
}

impl Prepared {
    /// Places observers. `input_dims` are needed only where the graph leaves more than the batch open and nothing will be
    /// calibrated; otherwise the first batch tells.
    ///
    /// # Errors
    /// `InvalidArgument` for settings that contradict each other or scopes that match nothing (under `strict`), `Unsupported` under
    /// `strict` for a layer that cannot run in int8, `ShapeMismatch`.
    pub fn new(context: &Context, graph: &FloatGraph, qconfig: &QConfig, input_dims: Option<Vec<Vec<usize>>>) -> Result<Self> {
        qconfig.validate()?;
        let unmatched = qconfig.unmatched_scopes(graph.graph().nodes.iter().map(|node| (node.op.name(), node.name.as_str())))?;
        if let Some(scope) = unmatched.first() {
            return Err(Error::InvalidArgument(format!("the qconfig's scope {scope:?} matches no node of the graph")));
        }
        let mut prepared = Self {
            context: context.clone(),
            graph: graph.clone(),
            qconfig: qconfig.clone(),
            placement: None,
            observed: Vec::new(),
            samples: 0,
            executors: Vec::new(),
            pool: None,
        };
        let declared = || -> Option<Vec<Vec<usize>>> {
            let full = |info: super::TensorInfo| {
                info.dims.iter().enumerate().map(|(axis, dim)| if axis == 0 { Some(dim.unwrap_or(1)) } else { *dim }).collect()
            };
            graph.inputs().into_iter().map(full).collect()
        };
        if let Some(dims) = input_dims.or_else(declared) {
            prepared.place(&dims)?;
        }
        Ok(prepared)
    }

    /// Decides precisions and observers for inputs of the given shapes.
    fn place(&mut self, dims: &[Vec<usize>]) -> Result<()> {
        let graph = self.graph.graph();
        check_declared(graph, dims)?;
        let shapes = infer_shapes(graph, dims)?;
        let assignment = assign(graph, &self.qconfig, &shapes)?;
        let producers = graph.producers();
        let mut index_of: HashMap<(ValueId, ObserverKind), usize> = HashMap::new();
        let mut observed: Vec<Observed> = Vec::new();
        let mut members = Vec::new();
        for set in &assignment.tied {
            let kind = set.activation.observer;
            let of_value = |&value: &ValueId| {
                let value = same_elements(graph, &producers, value);
                *index_of.entry((value, kind)).or_insert_with(|| {
                    observed.push(Observed { value, state: ObserverState::new(kind) });
                    observed.len() - 1
                })
            };
            members.push(set.observed.iter().map(of_value).collect::<Vec<_>>());
        }
        self.observed = observed;
        self.placement = Some(Placement { dims: dims.to_vec(), assignment, members });
        Ok(())
    }

    /// Samples seen so far.
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// The qconfig.
    pub fn qconfig(&self) -> &QConfig {
        &self.qconfig
    }

    /// Takes in one batch: f32 inputs in the graph's order. A batch that fails leaves the statistics unchanged.
    ///
    /// # Errors
    /// `ShapeMismatch`, `DTypeMismatch`, `InvalidArgument`; `NotFinite` naming tensor, sample and element for a NaN or infinity in an
    /// observed tensor.
    pub fn calibrate(&mut self, inputs: &[TensorView<'_>]) -> Result<()> {
        let graph = Arc::clone(self.graph.graph());
        for (view, &input) in inputs.iter().zip(&graph.inputs) {
            if view.dtype() != DType::F32 {
                let name = &graph.value(input).name;
                return Err(Error::DTypeMismatch(format!("input {name} holds {}; f32 is needed", view.dtype().name())));
            }
        }
        let dims: Vec<Vec<usize>> = inputs.iter().map(|view| view.dims().to_vec()).collect();
        check_declared(&graph, &dims)?;
        let batch = dims.first().and_then(|dims| dims.first().copied()).unwrap_or(1);
        if batch == 0 {
            return Ok(());
        }
        if self.placement.as_ref().is_none_or(|placement| placement.dims.len() != dims.len()) {
            self.place(&dims)?;
        }
        let threads = self.context.threads().threads().min(batch);
        self.make_executors(&graph, &dims, threads)?;
        let states = self.observe_batch(&graph, inputs, batch)?;
        let mut merged = self.observed.clone();
        for (observed, batch_state) in merged.iter_mut().zip(states) {
            match (&mut observed.state, batch_state) {
                (state, BatchState::Mergeable(new)) => state.merge(&new)?,
                // A moving average needs the batch's range alone.
                (state, BatchState::Range(range)) => {
                    if let Some((low, high)) = range.range() {
                        state.observe(&[low, high]);
                    }
                }
                (_, BatchState::Gathered) => {}
            }
        }
        self.observe_gathered(&graph, inputs, batch, &mut merged)?;
        self.observed = merged;
        self.samples += batch as u64;
        Ok(())
    }

    /// One executor a thread, for these input sizes.
    fn make_executors(&mut self, graph: &Graph, dims: &[Vec<usize>], threads: usize) -> Result<()> {
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
    fn observe_batch(&mut self, graph: &Graph, inputs: &[TensorView<'_>], batch: usize) -> Result<Vec<BatchState>> {
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
    fn observe_gathered(&mut self, graph: &Graph, inputs: &[TensorView<'_>], batch: usize, merged: &mut [Observed]) -> Result<()> {
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

    /// Solves qparams from the statistics and makes the int8 model. The prepared graph stays usable.
    ///
    /// # Errors
    /// `NotCalibrated` naming the first tensor that has seen nothing; `NotFinite` for weights or multipliers.
    pub fn convert(&self) -> Result<Model> {
        let _float_control = FloatControl::set_default();
        let graph = self.graph.graph();
        let placement =
            self.placement.as_ref().ok_or_else(|| Error::NotCalibrated("no batch was seen and the input shapes are open".into()))?;
        let types: Vec<QuantizedType> = placement
            .assignment
            .tied
            .par_iter()
            .zip(&placement.members)
            .map(|(set, members)| {
                let states: Vec<&ObserverState> = members.iter().map(|&member| &self.observed[member].state).collect();
                let name = || set.observed.first().map_or("?", |&value| graph.value(value).name.as_str());
                let target = set.activation.target();
                let solved = solve_tied(&states, set.activation.solver(), target).map_err(|error| naming_tensor(error, name()))?;
                let (low, high) = target.held_range();
                Ok(QuantizedType { qparams: solved.qparams, low: low as u8, high: high as u8 })
            })
            .collect::<Result<_>>()?;
        let isa = VectorIsa::best(self.context.max_isa());
        let unary = move |unary, points: &[f32]| unary_function(isa, unary, points);
        let lowered = lower_to_int8::run(graph, &placement.assignment, &types, &unary)?;
        let layers = layer_infos(graph, &placement.assignment, &types);
        Model::from_lowered(self.context.clone(), lowered, layers)
    }

    fn state(&self) -> CalibrationState {
        let graph = self.graph.graph();
        CalibrationState {
            fingerprint: calibration_file::fingerprint(graph, &self.qconfig),
            samples: self.samples,
            dims: self.placement.as_ref().map(|placement| placement.dims.clone()),
            tensors: self.observed.iter().map(|observed| (graph.value(observed.value).name.clone(), observed.state.clone())).collect(),
        }
    }

    /// Writes the statistics to a file, atomically.
    ///
    /// # Errors
    /// `Io`.
    pub fn save_calibration(&self, path: &Path) -> Result<()> {
        calibration_file::save(&self.state(), path)
    }

    /// Adds the statistics of a file that was saved for the same graph and qconfig: the bits are those of one pass over
    /// both data sets. On an error nothing changes.
    ///
    /// # Errors
    /// `Io`, `Corrupt`, `Version`; `Mismatch` for another graph or qconfig; `Unsupported` for observers that depend on the order of
    /// batches, unless nothing was seen yet (then the file's state is taken over: a resume).
    pub fn merge_calibration(&mut self, path: &Path) -> Result<()> {
        let theirs = calibration_file::load(path)?;
        let mine = calibration_file::fingerprint(self.graph.graph(), &self.qconfig);
        if theirs.fingerprint != mine {
            let message =
                format!("{} was saved for another model or qconfig ({:08x}, here {mine:08x})", path.display(), theirs.fingerprint);
            return Err(Error::Mismatch(message));
        }
        if let (None, Some(dims)) = (&self.placement, &theirs.dims) {
            self.place(dims)?;
        }
        let graph = self.graph.graph();
        let mut merged = self.observed.clone();
        for (index, (name, state)) in theirs.tensors.iter().enumerate() {
            let observed =
                merged.get_mut(index).filter(|observed| graph.value(observed.value).name == *name && observed.state.kind() == state.kind());
            let observed = observed
                .ok_or_else(|| Error::Mismatch(format!("tensor {index} of {} is {name}, which is not observed here", path.display())))?;
            if observed.state.is_empty() {
                observed.state = state.clone();
            } else {
                observed.state.merge(state)?;
            }
        }
        self.observed = merged;
        self.samples += theirs.samples;
        Ok(())
    }
}

/// The error with the tensor's name.
fn naming_tensor(error: Error, name: &str) -> Error {
    match error {
        Error::NotCalibrated(text) => Error::NotCalibrated(format!("tensor {name}: {text}")),
        Error::NotFinite(text) => Error::NotFinite(format!("tensor {name}: {text}")),
        other => Error::InvalidArgument(format!("tensor {name}: {other}")),
    }
}

/// What one batch adds to an observer.
enum BatchState {
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

/// Runs samples `range` of the batch on one executor and shows every float tensor: value, sample of the batch, elements.
fn run_range(
    graph: &Graph,
    executor: &mut Executor,
    inputs: &[TensorView<'_>],
    range: std::ops::Range<usize>,
    whole: bool,
    show: &mut dyn FnMut(ValueId, usize, &[f32]) -> Result<()>,
) -> Result<()> {
    if range.is_empty() {
        return Ok(());
    }
    let plan = Arc::clone(executor.plan());
    let samples = if whole { 1 } else { range.len() };
    let slices: Vec<&[u8]> = inputs
        .iter()
        .zip(&plan.input_dims)
        .map(|(view, dims)| {
            let sample_bytes = element_count(dims).unwrap_or(0) * size_of::<f32>();
            let first = if whole { 0 } else { range.start };
            &view.bytes()[first * sample_bytes..(first + samples) * sample_bytes]
        })
        .collect();
    let mut outputs: Vec<Vec<f32>> = plan.output_dims.iter().map(|dims| vec![0.0; element_count(dims).unwrap_or(0) * samples]).collect();
    let mut outputs: Vec<&mut [u8]> = outputs.iter_mut().map(|output| bytemuck::cast_slice_mut(output)).collect();
    let mut first = range.start;
    let mut chunk = 0;
    executor.run_observed(if whole { range.len() } else { samples }, &slices, &mut outputs, &mut |observation: &Observation<'_>| {
        let value = match (observation.step, observation.input) {
            (Some(step), _) => plan.steps[step].makes.as_ref().map(|made| made.value),
            (None, Some(input)) => {
                if input == 0 {
                    first += chunk;
                    chunk = observation.samples();
                }
                Some(graph.inputs[input])
            }
            (None, None) => None,
        };
        let Some(value) = value else { return Ok(()) };
        for sample in 0..if whole { 1 } else { observation.samples() } {
            show(value, first + sample, observation.floats(sample))?;
        }
        Ok(())
    })
}

fn layer_infos(graph: &Graph, assignment: &Assignment, types: &[QuantizedType]) -> Vec<LayerInfo> {
    let qparams = |value: ValueId| assignment.set_of[value.index()].map(|set| types[set].qparams);
    graph
        .nodes
        .iter()
        .zip(&assignment.nodes)
        .map(|(node, precision)| {
            let (precision, reason) = match precision {
                NodePrecision::Static => (LayerPrecision::Int8Static, String::new()),
                NodePrecision::Dynamic => (LayerPrecision::Int8Dynamic, String::new()),
                NodePrecision::Float(reason) => (LayerPrecision::Float, reason.clone()),
            };
            let fixed = precision == LayerPrecision::Int8Static;
            LayerInfo {
                name: node.name.clone(),
                operator: node.op.name().to_owned(),
                precision,
                reason,
                input: node.inputs.first().and_then(|&input| qparams(input)).filter(|_| fixed),
                output: qparams(node.output).filter(|_| fixed),
            }
        })
        .collect()
}
