//! A float graph with observers in place: calibrate it over a data set, then convert.
mod convert;
mod merge;
mod observe_batch;
mod placement;
mod run_range;
mod tensors;

pub use tensors::CalibratedTensor;

use super::context::Context;
use super::float_graph::FloatGraph;
use super::session::check_declared;
use crate::error::{Error, Result};
use crate::quantize::QConfig;
use crate::runtime::Executor;
use crate::tensor::{DType, TensorView};
use observe_batch::BatchState;
use placement::{Observed, Placement};
use std::sync::Arc;

/// A float graph, a qconfig, and the statistics collected so far.
pub struct Prepared {
    pub(super) context: Context,
    pub(super) graph: FloatGraph,
    pub(super) qconfig: QConfig,
    placement: Option<Placement>,
    observed: Vec<Observed>,
    samples: u64,
    executors: Vec<Executor>,
    pool: Option<rayon::ThreadPool>,
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

    /// Samples seen so far.
    pub fn samples(&self) -> u64 {
        self.samples
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
}
