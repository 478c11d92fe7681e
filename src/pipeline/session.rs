//! Runs a model or a float graph. A session holds the memory of one run at a time; many sessions share one model.
use super::context::Context;
use super::float_graph::{FloatGraph, TensorInfo, describe};
use super::image_input::{ImageInput, ImageSet};
use super::kept_plans::KeptPlans;
use super::log::LogLevel;
use super::model::Model;
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::graph::shape_inference::infer_shapes;
use crate::isa::FloatControl;
use crate::memory;
use crate::ops::StepInfo;
use crate::runtime::{Executor, Plan, PlanOptions, Profile};
use crate::tensor::{DType, TensorView, TensorViewMut};
use std::sync::Arc;

/// Plans that a session keeps unless told.
pub const KEPT_PLANS: usize = 4;

/// What a session is made with.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionOptions {
    /// The largest batch that `run` will be given; memory is held for it.
    pub max_batch: usize,
    /// Input shapes as `run` gets them, where the graph leaves more than the batch open; `None`: taken from the first run's inputs.
    pub input_dims: Option<Vec<Vec<usize>>>,
    /// Whether a run with other input sizes makes a new plan (which allocates) instead of failing.
    pub allow_resize: bool,
    /// How many plans for input sizes met before are kept, at least 1, all in one memory of the size of the largest: a run of such a
    /// size plans nothing and allocates nothing. The one whose last use is longest ago goes first.
    pub kept_plans: usize,
    /// Whether to count what each step costs (two readings of the clock a step).
    pub profile: bool,
    /// Inputs that `run` gets as image bytes, u8 `[n, h, w, c]`.
    pub images: Vec<ImageInput>,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self { max_batch: 1, input_dims: None, allow_resize: true, kept_plans: KEPT_PLANS, profile: false, images: Vec::new() }
    }
}

/// Memory and plan for runs of one model.
pub struct Session {
    context: Context,
    graph: Arc<Graph>,
    options: SessionOptions,
    images: ImageSet,
    plans: KeptPlans,
    /// Shapes the plan was made for, with the batch axis as planned.
    planned: Vec<Vec<usize>>,
}

/// Full input shapes where the graph declares all but the batch axis.
fn declared_dims(graph: &Graph, batch: usize) -> Option<Vec<Vec<usize>>> {
    let dims_of = |declared: &[Option<usize>]| -> Option<Vec<usize>> {
        let full = |(axis, dim): (usize, &Option<usize>)| if axis == 0 { Some(dim.unwrap_or(batch)) } else { *dim };
        declared.iter().enumerate().map(full).collect()
    };
    graph.inputs.iter().map(|&input| dims_of(&graph.value(input).declared)).collect()
}

/// Whether two lists of shapes are equal but for axis 0.
fn same_but_batch(a: &[Vec<usize>], b: &[Vec<usize>]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.len() == b.len() && a.get(1..) == b.get(1..))
}

impl Session {
    /// A session for an int8 model.
    ///
    /// # Errors
    /// `ShapeMismatch` for input shapes that do not fit the graph, `OutOfMemory`.
    pub fn new(model: &Model, options: SessionOptions) -> Result<Self> {
        Self::for_graph(model.context().clone(), Arc::clone(model.graph()), options)
    }

    /// A session that runs the float graph: the ground truth that int8 is compared with.
    ///
    /// # Errors
    /// As [`Session::new`].
    pub fn float(context: &Context, graph: &FloatGraph, options: SessionOptions) -> Result<Self> {
        Self::for_graph(context.clone(), Arc::clone(graph.graph()), options)
    }

    fn for_graph(context: Context, graph: Arc<Graph>, options: SessionOptions) -> Result<Self> {
        if options.max_batch == 0 {
            return Err(Error::InvalidArgument("max_batch is 0".into()));
        }
        let images = ImageSet::new(&graph, &options.images)?;
        let given = options.input_dims.as_ref().map(|dims| images.all_graph_dims(dims));
        let dims = given.or_else(|| declared_dims(&graph, options.max_batch));
        let (plans, max_batch) = (KeptPlans::new(options.kept_plans, options.profile), options.max_batch);
        let mut session = Self { context, graph, options, images, plans, planned: Vec::new() };
        if let Some(dims) = dims {
            session.plan(dims, max_batch)?;
        }
        Ok(session)
    }

    fn plan(&mut self, dims: Vec<Vec<usize>>, max_batch: usize) -> Result<()> {
        let context = self.context.clone();
        context.memory().within(|| self.plan_within(dims, max_batch))
    }

    fn plan_within(&mut self, dims: Vec<Vec<usize>>, max_batch: usize) -> Result<()> {
        let _float_control = FloatControl::set_default();
        check_declared(&self.graph, &dims)?;
        let threads = self.context.threads().threads();
        let options = PlanOptions { max_isa: self.context.max_isa() };
        let samples = max_batch.div_ceil(threads.max(1));
        let plan = Arc::new(Plan::for_batches(&self.graph, &dims, self.images.values(), options, samples)?);
        memory::checkpoint()?;
        let keeps_samples_apart = plan.chunk_samples > 0;
        let gone = self.plans.insert(plan, threads, max_batch)?;
        if let Some(gone) = gone {
            let told = || format!("a session planned for inputs of {dims:?} and dropped its plan for {:?}", gone.input_dims);
            self.context.log(LogLevel::Info, told);
        }
        // The others were made for smaller batches.
        if max_batch > self.options.max_batch && keeps_samples_apart {
            self.plans.forget_others();
        }
        self.options.max_batch = max_batch;
        self.planned = dims;
        memory::checkpoint()
    }

    /// Inputs in the graph's order, as `run` gets them.
    pub fn inputs(&self) -> Vec<TensorInfo> {
        self.images.describe(&self.graph)
    }

    /// Outputs in the graph's order.
    pub fn outputs(&self) -> Vec<TensorInfo> {
        describe(&self.graph, &self.graph.outputs)
    }

    /// Shapes of the outputs for inputs of the given shapes, as `run` gets them.
    ///
    /// # Errors
    /// `ShapeMismatch` if they do not fit the graph.
    pub fn output_dims(&self, input_dims: &[Vec<usize>]) -> Result<Vec<Vec<usize>>> {
        let input_dims = self.images.all_graph_dims(input_dims);
        check_declared(&self.graph, &input_dims)?;
        let shapes = infer_shapes(&self.graph, &input_dims)?;
        let shape = |value: &crate::graph::ValueId| shapes[value.index()].clone().unwrap_or_default();
        Ok(self.graph.outputs.iter().map(shape).collect())
    }

    /// Name, operator and kernel of each step; empty before the plan is made.
    pub fn steps(&self) -> Vec<StepInfo> {
        let Some(executor) = self.plans.executor() else { return Vec::new() };
        executor.plan().steps.iter().map(|planned| planned.step.info()).collect()
    }

    /// What runs have cost, step by step as [`Session::steps`] lists them, since the plan was made or
    /// [`Session::reset_profile`]; `None` before there is a plan and where the options did not ask for it.
    pub fn profile(&self) -> Option<Profile> {
        self.plans.profile()
    }

    /// Counts from zero again.
    ///
    /// # Errors
    /// `WrongState` for a session that was not made to be profiled.
    pub fn reset_profile(&mut self) -> Result<()> {
        if !self.options.profile {
            return Err(Error::WrongState("the session was not made to be profiled".into()));
        }
        self.plans.reset_profile();
        Ok(())
    }

    /// Bytes of memory held for runs.
    pub fn memory_bytes(&self) -> usize {
        self.plans.executor().map_or(0, Executor::memory_bytes)
    }

    /// Runs one batch: f32 inputs (u8 where they are images) and f32 outputs in the graph's order, dense, any batch up to the largest. Does not allocate
    /// unless the sizes changed.
    ///
    /// # Errors
    /// `ShapeMismatch`, `DTypeMismatch`, `InvalidArgument` (wrong number of tensors), `NotFinite` from a dynamic layer (naming tensor and
    /// index). Outputs are written only on success.
    pub fn run(&mut self, inputs: &[TensorView<'_>], outputs: &mut [TensorViewMut<'_>]) -> Result<()> {
        let input_count = self.graph.inputs.len();
        if inputs.len() != input_count || outputs.len() != self.graph.outputs.len() {
            let needed = (input_count, self.graph.outputs.len());
            let given = (inputs.len(), outputs.len());
            return Err(Error::InvalidArgument(format!(
                "{} inputs and {} outputs where {} and {} are needed",
                given.0, given.1, needed.0, needed.1
            )));
        }
        for (index, view) in inputs.iter().enumerate() {
            self.images.check_dtype(&self.graph, index, view.dtype())?;
        }
        for (index, view) in outputs.iter().enumerate() {
            check_f32(index, &self.graph.value(self.graph.outputs[index]).name, view.dtype())?;
        }
        self.plan_for(inputs)?;
        let samples = inputs.first().and_then(|view| view.dims().first().copied()).unwrap_or(1);
        let executor = self.plans.executor_mut().ok_or_else(|| Error::WrongState("the session has no plan".into()))?;
        let plan = Arc::clone(executor.plan());
        for (index, (view, planned)) in outputs.iter().zip(&plan.output_dims).enumerate() {
            let fits = match plan.chunk_samples {
                0 => view.dims() == planned,
                _ => view.dims().first() == Some(&samples) && view.dims().get(1..) == planned.get(1..),
            };
            if !fits {
                let name = &self.graph.value(self.graph.outputs[index]).name;
                return Err(Error::ShapeMismatch(format!(
                    "output {index} ({name}) has shape {:?}; {planned:?} is needed for each sample of {samples}",
                    view.dims()
                )));
            }
        }
        run_views(executor, self.context.threads(), samples, inputs, outputs)
    }

    /// Plans anew where the inputs' sizes are those of no plan that is kept.
    fn plan_for(&mut self, inputs: &[TensorView<'_>]) -> Result<()> {
        let images = &self.images;
        let fits = |plan: &Plan| {
            let same_batch = inputs.iter().all(|view| view.dims().first() == inputs[0].dims().first());
            let whole = plan.chunk_samples == 0;
            let alike = |(index, (view, planned)): (usize, (&TensorView<'_>, &Vec<usize>))| {
                let dims = images.graph_dims(index, view.dims());
                if whole { *dims == **planned } else { dims.len() == planned.len() && dims.get(1..) == planned.get(1..) }
            };
            (whole || same_batch) && inputs.iter().zip(&plan.input_dims).enumerate().all(alike)
        };
        let batch = inputs.first().and_then(|view| view.dims().first().copied()).unwrap_or(1);
        let resizes = self.options.allow_resize;
        if (batch <= self.options.max_batch || !resizes) && self.plans.select(self.options.max_batch, fits)? {
            return Ok(());
        }
        let dims = inputs.iter().enumerate().map(|(index, view)| images.graph_dims(index, view.dims()).to_vec());
        let dims: Vec<Vec<usize>> = dims.collect();
        check_declared(&self.graph, &dims)?;
        if self.plans.executor().is_some() && !resizes && !same_but_batch(&dims, &self.planned) {
            return Err(Error::ShapeMismatch(format!("inputs of shapes {dims:?}; the session was planned for {:?}", self.planned)));
        }
        let max_batch = if resizes { self.options.max_batch.max(batch) } else { self.options.max_batch };
        self.plan(dims, max_batch)
    }
}

/// The most inputs or outputs that a run takes without allocating.
const INLINE_TENSORS: usize = 16;

/// Hands the views' bytes to the executor.
fn run_views(
    executor: &mut Executor,
    threads: &crate::threads::Executor,
    samples: usize,
    inputs: &[TensorView<'_>],
    outputs: &mut [TensorViewMut<'_>],
) -> Result<()> {
    if inputs.len() > INLINE_TENSORS || outputs.len() > INLINE_TENSORS {
        let inputs: Vec<&[u8]> = inputs.iter().map(TensorView::bytes).collect();
        let mut outputs: Vec<&mut [u8]> = outputs.iter_mut().map(TensorViewMut::bytes).collect();
        return executor.run(threads, samples, &inputs, &mut outputs);
    }
    let mut input_bytes = [[].as_slice(); INLINE_TENSORS];
    let mut output_bytes: [&mut [u8]; INLINE_TENSORS] = std::array::from_fn(|_| [].as_mut_slice());
    inputs.iter().zip(&mut input_bytes).for_each(|(view, bytes)| *bytes = view.bytes());
    let count = outputs.len();
    outputs.iter_mut().zip(&mut output_bytes).for_each(|(view, bytes)| *bytes = view.bytes());
    executor.run(threads, samples, &input_bytes[..inputs.len()], &mut output_bytes[..count])
}

fn check_f32(index: usize, name: &str, dtype: DType) -> Result<()> {
    match dtype {
        DType::F32 => Ok(()),
        other => Err(Error::DTypeMismatch(format!("output {index} ({name}) holds {}; f32 is needed", other.name()))),
    }
}

/// Input shapes against what the graph declares.
pub(super) fn check_declared(graph: &Graph, dims: &[Vec<usize>]) -> Result<()> {
    if dims.len() != graph.inputs.len() {
        return Err(Error::InvalidArgument(format!("{} input shapes where the graph has {} inputs", dims.len(), graph.inputs.len())));
    }
    for (index, (dims, &input)) in dims.iter().zip(&graph.inputs).enumerate() {
        let value = graph.value(input);
        let fits = |(dim, declared): (&usize, &Option<usize>)| declared.is_none_or(|declared| declared == *dim);
        if dims.len() != value.declared.len() || !dims.iter().zip(&value.declared).all(fits) {
            let declared: Vec<String> = value.declared.iter().map(|dim| dim.map_or("?".into(), |dim| dim.to_string())).collect();
            let message = format!("input {index} ({}) has shape {dims:?}; the graph declares [{}]", value.name, declared.join(", "));
            return Err(Error::ShapeMismatch(message));
        }
    }
    Ok(())
}
