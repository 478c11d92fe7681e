//! A converted model: immutable, shared by sessions, saved and loaded.
use super::context::Context;
use super::float_graph::{TensorInfo, describe};
use super::log::LogLevel;
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::model::{self, Metadata};
use crate::quantize::{QParams, json};
use crate::tensor::ALIGNMENT;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

/// How a layer of a model runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LayerPrecision {
    /// int8 with fixed qparams.
    Int8Static,
    /// int8 with activation qparams of each run.
    Int8Dynamic,
    /// Float.
    Float,
}

/// A layer of the float graph, and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerInfo {
    /// The node's name.
    pub name: String,
    /// Its operator, as in ONNX.
    pub operator: String,
    /// How it runs.
    pub precision: LayerPrecision,
    /// Why it runs in float, or with one set of activation qparams where one a channel was asked for; empty otherwise.
    #[serde(default)]
    pub reason: String,
    /// Qparams of its first input, where fixed.
    #[serde(default)]
    pub input: Option<QParams>,
    /// Qparams of its output, where fixed and held as bytes.
    #[serde(default)]
    pub output: Option<QParams>,
}

/// Where a loaded model's weights live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadMode {
    /// In the mapped file: processes share its pages. Another process that truncates the file raises SIGBUS here.
    Mapped,
    /// In a copy.
    Copied,
}

/// The metadata key under which layers are saved.
const LAYERS_KEY: &str = "layers";

/// An immutable int8 model, cheap to clone.
#[derive(Debug, Clone)]
pub struct Model {
    context: Context,
    graph: Arc<Graph>,
    layers: Arc<Vec<LayerInfo>>,
    metadata: Arc<Metadata>,
}

impl Model {
    pub(super) fn from_lowered(context: Context, graph: Graph, layers: Vec<LayerInfo>) -> Result<Self> {
        model::validate(&graph)?;
        let text = serde_json::to_string(&layers).map_err(|error| Error::Graph(format!("layer records: {error}")))?;
        let metadata = Metadata::from([(LAYERS_KEY.to_owned(), text)]);
        Ok(Self { context, graph: Arc::new(graph), layers: Arc::new(layers), metadata: Arc::new(metadata) })
    }

    /// Tells the context's log which layers stay float.
    pub(super) fn log_float_layers(&self) {
        for layer in self.layers.iter().filter(|layer| layer.precision == LayerPrecision::Float) {
            self.context.log(LogLevel::Info, || format!("layer {} ({}) stays float: {}", layer.name, layer.operator, layer.reason));
        }
    }

    fn from_file(context: &Context, file: model::Model) -> Result<Self> {
        let layers = match file.metadata.get(LAYERS_KEY) {
            Some(text) => json::read(text.as_bytes()).map_err(|error| Error::Corrupt(format!("layer records: {error}")))?,
            None => Vec::new(),
        };
        let (graph, metadata) = (Arc::new(file.graph), Arc::new(file.metadata));
        Ok(Self { context: context.clone(), graph, layers: Arc::new(layers), metadata })
    }

    /// Reads a model file.
    ///
    /// # Errors
    /// `Io`, `Corrupt`, `Version`, `Graph`.
    pub fn load(context: &Context, path: &Path, mode: LoadMode) -> Result<Self> {
        let file = context.memory().within(|| match mode {
            LoadMode::Mapped => model::load_mapped(path),
            LoadMode::Copied => model::load_copied(path),
        })?;
        Self::from_file(context, file)
    }

    /// Reads a model file's bytes, which are copied.
    ///
    /// # Errors
    /// As [`Model::load`].
    pub fn from_bytes(context: &Context, bytes: &[u8]) -> Result<Self> {
        Self::from_file(context, context.memory().within(|| model::from_bytes(bytes))?)
    }

    /// Runs a model file's bytes where they lie.
    ///
    /// # Errors
    /// As [`Model::load`]; [`Error::InvalidArgument`] for bytes that do not begin on a 64-byte boundary.
    pub fn from_static(context: &Context, bytes: &'static [u8]) -> Result<Self> {
        if !bytes.as_ptr().addr().is_multiple_of(ALIGNMENT) {
            return Err(Error::InvalidArgument(format!("a model's bytes must begin on a {ALIGNMENT}-byte boundary to be run in place")));
        }
        Self::from_file(context, model::from_static(bytes)?)
    }

    /// Writes the model file, atomically: a failure leaves what was there.
    ///
    /// # Errors
    /// `Io`.
    pub fn save(&self, path: &Path) -> Result<()> {
        model::save(&self.graph, &self.metadata, path)
    }

    /// The model file's bytes.
    ///
    /// # Errors
    /// `OutOfMemory`.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        self.context.memory().within(|| model::to_bytes(&self.graph, &self.metadata))
    }

    /// The context that it was made or loaded with.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// The lowered graph.
    pub fn graph(&self) -> &Arc<Graph> {
        &self.graph
    }

    /// The layers of the float graph and what became of them, in execution order.
    pub fn layers(&self) -> &[LayerInfo] {
        &self.layers
    }

    /// Inputs in the graph's order.
    pub fn inputs(&self) -> Vec<TensorInfo> {
        describe(&self.graph, &self.graph.inputs)
    }

    /// Outputs in the graph's order.
    pub fn outputs(&self) -> Vec<TensorInfo> {
        describe(&self.graph, &self.graph.outputs)
    }
}
