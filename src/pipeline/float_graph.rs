//! An imported float graph, optimized and packed for the executor.
use super::context::Context;
use crate::error::Result;
use crate::graph::{Graph, ValueId, passes};
use crate::onnx;
use crate::tensor::DType;
use std::path::Path;
use std::sync::Arc;

/// Name, element type and shape of a graph's input or output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// Its name in the ONNX file.
    pub name: String,
    /// Element type.
    pub dtype: DType,
    /// Shape; `None` for a dimension that the caller chooses. Empty for outputs whose shape depends on the input's.
    pub dims: Vec<Option<usize>>,
}

/// An immutable float graph, cheap to clone: batch normalization is folded, activations and additions are fused into
/// the convolutions before them, weights are packed.
#[derive(Debug, Clone)]
pub struct FloatGraph(Arc<Graph>);

/// Names and shapes of a graph's inputs.
pub(super) fn describe(graph: &Graph, ids: &[ValueId]) -> Vec<TensorInfo> {
    let info = |&id: &ValueId| {
        let value = graph.value(id);
        TensorInfo { name: value.name.clone(), dtype: DType::F32, dims: value.declared.clone() }
    };
    ids.iter().map(info).collect()
}

impl FloatGraph {
    /// Reads an ONNX file.
    ///
    /// # Errors
    /// `Io`, `Parse`, `Graph`, `Unsupported` (listing every node that is not supported), `NotFinite` for weights.
    pub fn from_onnx_file(path: &Path) -> Result<Self> {
        Self::from_graph(onnx::import_file(path)?).map_err(|error| error.in_file(path))
    }

    /// Reads an ONNX model from memory; external data is refused.
    ///
    /// # Errors
    /// As [`FloatGraph::from_onnx_file`].
    pub fn from_onnx_bytes(bytes: &[u8]) -> Result<Self> {
        Self::from_graph(onnx::import_bytes(bytes)?)
    }

    /// As [`FloatGraph::from_onnx_file`], counted to the memory of `context`.
    ///
    /// # Errors
    /// Likewise; `MemoryLimit`.
    pub fn from_onnx_file_within(context: &Context, path: &Path) -> Result<Self> {
        context.memory().within(|| Self::from_onnx_file(path))
    }

    /// As [`FloatGraph::from_onnx_bytes`], counted to the memory of `context`.
    ///
    /// # Errors
    /// Likewise; `MemoryLimit`.
    pub fn from_onnx_bytes_within(context: &Context, bytes: &[u8]) -> Result<Self> {
        context.memory().within(|| Self::from_onnx_bytes(bytes))
    }

    /// Takes a float graph from the builder.
    ///
    /// # Errors
    /// `Graph` if it is not well formed.
    pub fn from_graph(mut graph: Graph) -> Result<Self> {
        passes::optimize(&mut graph)?;
        passes::pack_float::run(&mut graph)?;
        Ok(Self(Arc::new(graph)))
    }

    /// The optimized graph.
    pub fn graph(&self) -> &Arc<Graph> {
        &self.0
    }

    /// Inputs in the graph's order.
    pub fn inputs(&self) -> Vec<TensorInfo> {
        describe(&self.0, &self.0.inputs)
    }

    /// Outputs in the graph's order.
    pub fn outputs(&self) -> Vec<TensorInfo> {
        describe(&self.0, &self.0.outputs)
    }
}
