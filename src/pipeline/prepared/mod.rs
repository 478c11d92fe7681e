//! A float graph with observers in place: calibrate it over a data set, then convert.
mod convert;
mod merge;
mod observe_batch;
mod placement;
mod run_range;
mod statistics;
mod tensors;

pub(super) use convert::types_of;
pub use tensors::CalibratedTensor;

use super::calibration_file::Fingerprint;
use super::context::Context;
use super::float_graph::FloatGraph;
use super::image_input::{ImageInput, ImageSet};
use super::progress::{ProgressCallback, ProgressSink};
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::memory;
use crate::quantize::QConfig;
use crate::runtime::Executor;
use crate::tensor::TensorView;
use statistics::Statistics;
use std::sync::{Arc, OnceLock};

/// A float graph, a qconfig, and the statistics collected so far.
pub struct Prepared {
    pub(super) context: Context,
    pub(super) graph: FloatGraph,
    pub(super) qconfig: QConfig,
    statistics: Statistics,
    /// One a thread, for the sizes of the last batch.
    executors: Vec<Executor>,
    progress: ProgressSink,
    images: ImageSet,
    fingerprint: OnceLock<Fingerprint>,
}

impl Prepared {
    /// Places observers. `input_dims` are needed only where the graph leaves more than the batch open and nothing will be
    /// calibrated; otherwise the first batch tells.
    ///
    /// # Errors
    /// `InvalidArgument` for settings that contradict each other or scopes that match nothing (under `strict`), `Unsupported` under
    /// `strict` for a layer that cannot run in int8, `ShapeMismatch`.
    pub fn new(context: &Context, graph: &FloatGraph, qconfig: &QConfig, input_dims: Option<Vec<Vec<usize>>>) -> Result<Self> {
        Self::with_images(context, graph, qconfig, input_dims, &[])
    }

    /// As [`Prepared::new`], for batches some of whose inputs are image bytes, u8 `[n, h, w, c]`; `input_dims` are as
    /// [`Prepared::calibrate`] gets them. The statistics are those of the floats that the bytes stand for.
    ///
    /// # Errors
    /// As [`Prepared::new`]; `NotFound`, `ShapeMismatch` and `InvalidArgument` for inputs that cannot be such images.
    pub fn with_images(
        context: &Context,
        graph: &FloatGraph,
        qconfig: &QConfig,
        input_dims: Option<Vec<Vec<usize>>>,
        images: &[ImageInput],
    ) -> Result<Self> {
        context.memory().within(|| Self::make(context, graph, qconfig, input_dims, images))
    }

    fn make(
        context: &Context,
        graph: &FloatGraph,
        qconfig: &QConfig,
        input_dims: Option<Vec<Vec<usize>>>,
        images: &[ImageInput],
    ) -> Result<Self> {
        let images = ImageSet::new(graph.graph(), images)?;
        let input_dims = input_dims.map(|dims| images.all_graph_dims(&dims));
        qconfig.validate()?;
        let unmatched = qconfig.unmatched_scopes(graph.graph().nodes.iter().map(|node| (node.op.name(), node.name.as_str())))?;
        if let Some(scope) = unmatched.first() {
            return Err(Error::InvalidArgument(format!("the qconfig's scope {scope:?} matches no node of the graph")));
        }
        let mut prepared = Self {
            context: context.clone(),
            graph: graph.clone(),
            qconfig: qconfig.clone(),
            statistics: Statistics::default(),
            executors: Vec::new(),
            progress: ProgressSink::default(),
            images,
            fingerprint: OnceLock::new(),
        };
        let declared = || -> Option<Vec<Vec<usize>>> {
            let full = |info: super::TensorInfo| {
                info.dims.iter().enumerate().map(|(axis, dim)| if axis == 0 { Some(dim.unwrap_or(1)) } else { *dim }).collect()
            };
            graph.inputs().into_iter().map(full).collect()
        };
        if let Some(dims) = input_dims.or_else(declared) {
            prepared.statistics.place(graph.graph(), qconfig, &dims)?;
        }
        Ok(prepared)
    }

    /// Samples seen so far.
    pub fn samples(&self) -> u64 {
        self.statistics.samples
    }

    /// The context that it was made with.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The float graph.
    pub fn graph(&self) -> &FloatGraph {
        &self.graph
    }

    /// The qconfig.
    pub fn qconfig(&self) -> &QConfig {
        &self.qconfig
    }

    /// Whom calibration and conversion tell how far they are, on the calling thread. `None`: nobody.
    pub fn set_progress(&mut self, callback: Option<Arc<ProgressCallback>>) {
        self.progress = ProgressSink::new(callback);
    }

    /// The inputs that calls are given as images.
    pub(super) fn images(&self) -> &ImageSet {
        &self.images
    }

    /// Takes in one batch: f32 inputs in the graph's order (u8 where they are images). A batch that fails leaves the statistics unchanged.
    ///
    /// # Errors
    /// `ShapeMismatch`, `DTypeMismatch`, `InvalidArgument`; `NotFinite` naming tensor, sample and element for a NaN or infinity in an
    /// observed tensor; what the progress callback returns.
    pub fn calibrate(&mut self, inputs: &[TensorView<'_>]) -> Result<()> {
        let context = self.context.clone();
        context.memory().within(|| self.calibrate_within(inputs))
    }

    fn calibrate_within(&mut self, inputs: &[TensorView<'_>]) -> Result<()> {
        let graph = Arc::clone(self.graph.graph());
        let images = self.images.clone();
        images.with_floats(&graph, inputs, |inputs| self.take_in(&graph, inputs))
    }

    /// As [`Prepared::calibrate`], for checked floats.
    fn take_in(&mut self, graph: &Graph, inputs: &[TensorView<'_>]) -> Result<()> {
        let dims: Vec<Vec<usize>> = inputs.iter().map(|view| view.dims().to_vec()).collect();
        let batch = dims.first().and_then(|dims| dims.first().copied()).unwrap_or(1);
        if batch == 0 {
            return Ok(());
        }
        let mut statistics = self.statistics.copy()?;
        statistics.place(graph, &self.qconfig, &dims)?;
        self.make_executors(graph, &dims, batch)?;
        self.observe_batch(graph, inputs, batch, &mut statistics.observed)?;
        statistics.samples += batch as u64;
        statistics.count_memory()?;
        memory::checkpoint()?;
        self.statistics = statistics;
        Ok(())
    }
}
