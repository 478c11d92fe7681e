//! `rsquant inspect`: what a file holds, whatever kind of file of ours it is.
use crate::calibration::ShapeArguments;
use crate::command::Job;
use crate::compare::precision;
use crate::quantize::Counts;
use crate::table::{Table, bytes, decibels, shape};
use clap::Args;
use rsquant::error::{Error, Result};
use rsquant::pipeline::{
    CalibrationState, FloatGraph, LayerInfo, LoadMode, Model, Session, SessionOptions, StepInfo, TensorInfo, load_recipe, read_calibration,
};
use rsquant::quantize::{ObserverState, QParams, Recipe};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// What it takes.
#[derive(Args)]
pub struct Arguments {
    /// An ONNX file, a model, a calibration state or a recipe.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// List every layer (or tensor).
    #[arg(long)]
    layers: bool,
    #[command(flatten)]
    shapes: ShapeArguments,
}

/// Kinds of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// A float network.
    Onnx,
    /// An int8 model.
    Model,
    /// A calibration state.
    CalibrationState,
    /// A recipe.
    Recipe,
}

impl FileKind {
    /// In words.
    pub fn text(self) -> &'static str {
        match self {
            FileKind::Onnx => "float network",
            FileKind::Model => "int8 model",
            FileKind::CalibrationState => "calibration state",
            FileKind::Recipe => "recipe",
        }
    }
}

/// The kind of a file, by what it begins with; what is nothing else is taken for ONNX.
///
/// # Errors
/// `Io`.
pub fn kind_of(path: &Path) -> Result<FileKind> {
    let io = |error: std::io::Error| Error::io(path, &error);
    let mut front = Vec::new();
    File::open(path).map_err(io)?.take(8).read_to_end(&mut front).map_err(io)?;
    Ok(match front.as_slice() {
        b"RSQMODEL" => FileKind::Model,
        b"RSQCALIB" => FileKind::CalibrationState,
        text if text.trim_ascii_start().first() == Some(&b'{') => FileKind::Recipe,
        _ => FileKind::Onnx,
    })
}

#[derive(Serialize)]
struct Tensor {
    name: String,
    shape: Vec<Option<usize>>,
}

#[derive(Serialize)]
struct Observed {
    name: String,
    observer: &'static str,
    range: Option<(f32, f32)>,
    dropped: u64,
}

#[derive(Serialize)]
struct Node {
    name: String,
    operator: &'static str,
    /// Multiply-accumulates of one sample, where the shapes are known.
    macs: Option<u64>,
}

#[derive(Serialize)]
struct Inspected {
    file: PathBuf,
    kind: FileKind,
    bytes: u64,
    #[serde(flatten)]
    contents: Contents,
}

/// What a kind of file holds.
#[derive(Serialize)]
#[serde(untagged)]
enum Contents {
    Network {
        inputs: Vec<Tensor>,
        outputs: Vec<Tensor>,
        macs: Option<u64>,
        operators: BTreeMap<&'static str, usize>,
        nodes: Vec<Node>,
    },
    Model {
        inputs: Vec<Tensor>,
        outputs: Vec<Tensor>,
        counts: Counts,
        layers: Vec<LayerInfo>,
    },
    State {
        samples: u64,
        graph_crc32: String,
        qconfig_crc32: String,
        input_shapes: Option<Vec<Vec<usize>>>,
        tensors: Vec<Observed>,
    },
    Recipe {
        recipe: Box<serde_json::Value>,
        layers: usize,
        float_layers: usize,
        activations: usize,
        #[serde(skip)]
        parsed: Box<Recipe>,
    },
}

fn tensors(infos: Vec<TensorInfo>) -> Vec<Tensor> {
    infos.into_iter().map(|info| Tensor { name: info.name, shape: info.dims }).collect()
}

/// Runs it.
pub fn run(job: &Job, arguments: &Arguments) -> Result<()> {
    let file = &arguments.file;
    let kind = kind_of(file)?;
    let contents = match kind {
        FileKind::Onnx => network(job, &FloatGraph::from_onnx_file(file)?, arguments.shapes.dims())?,
        FileKind::Model => model(&Model::load(&job.context, file, LoadMode::Mapped)?),
        FileKind::CalibrationState => state(read_calibration(file)?),
        FileKind::Recipe => recipe(load_recipe(file)?, file)?,
    };
    let bytes = std::fs::metadata(file).map_err(|error| Error::io(file, &error))?.len();
    let inspected = Inspected { file: file.clone(), kind, bytes, contents };
    job.terminal.show(&inspected, || inspected.text(arguments.layers))
}

fn network(job: &Job, graph: &FloatGraph, dims: Option<Vec<Vec<usize>>>) -> Result<Contents> {
    let session = Session::float(&job.context, graph, SessionOptions { input_dims: dims, ..SessionOptions::default() })?;
    let steps = session.steps();
    let macs_of = |name: &str| steps.iter().find(|step: &&StepInfo| step.name == name).map(|step| step.macs);
    let nodes = &graph.graph().nodes;
    let mut operators = BTreeMap::new();
    nodes.iter().for_each(|node| *operators.entry(node.op.name()).or_insert(0) += 1);
    let node = |node: &rsquant::graph::Node| Node { name: node.name.clone(), operator: node.op.name(), macs: macs_of(&node.name) };
    Ok(Contents::Network {
        inputs: tensors(graph.inputs()),
        outputs: tensors(graph.outputs()),
        macs: (!steps.is_empty()).then(|| steps.iter().map(|step| step.macs).sum()),
        operators,
        nodes: nodes.iter().map(node).collect(),
    })
}

fn model(model: &Model) -> Contents {
    let (inputs, outputs) = (tensors(model.inputs()), tensors(model.outputs()));
    Contents::Model { inputs, outputs, counts: Counts::of(model), layers: model.layers().to_vec() }
}

fn state(state: CalibrationState) -> Contents {
    let observed = |(name, state): (String, ObserverState)| {
        let (observer, range, dropped) = (state.kind().name(), state.range(), state.dropped());
        Observed { name, observer, range, dropped }
    };
    Contents::State {
        samples: state.samples,
        graph_crc32: format!("{:08x}", state.fingerprint.graph),
        qconfig_crc32: format!("{:08x}", state.fingerprint.qconfig),
        input_shapes: state.dims,
        tensors: state.tensors.into_iter().map(observed).collect(),
    }
}

fn recipe(recipe: Recipe, path: &Path) -> Result<Contents> {
    let json = serde_json::from_str(&recipe.to_json()?).map_err(|error| Error::Parse(error.to_string()).in_file(path))?;
    let float_layers = recipe.layers.iter().filter(|layer| layer.weight_scales.is_none()).count();
    let (layers, activations) = (recipe.layers.len(), recipe.activations.len());
    Ok(Contents::Recipe { recipe: Box::new(json), layers, float_layers, activations, parsed: Box::new(recipe) })
}

fn list(what: &str, tensors: &[Tensor]) -> String {
    // The shape of an output depends on the input's.
    let of = |tensor: &Tensor| if tensor.shape.is_empty() { String::new() } else { format!(" {}", shape(&tensor.shape)) };
    tensors.iter().map(|tensor| format!("{what} {}{}\n", tensor.name, of(tensor))).collect()
}

fn qparams(qparams: Option<QParams>) -> String {
    qparams.map_or("-".into(), |qparams| format!("{:.6} / {}", qparams.scale, qparams.zero_point))
}

impl Inspected {
    fn text(&self, all: bool) -> String {
        let mut text = format!("{}: {}, {}\n", self.file.display(), self.kind.text(), bytes(self.bytes));
        match &self.contents {
            Contents::Network { inputs, outputs, macs, operators, nodes } => {
                text += &(list("input", inputs) + &list("output", outputs));
                let macs = macs.map_or(String::new(), |macs| format!(", {:.3} GMAC a sample", macs as f64 / 1e9));
                text += &format!("{} operators after fusion{macs}\n", nodes.len());
                let mut table = Table::new(&["operator", ">count"]);
                operators.iter().for_each(|(name, count)| table.row([(*name).to_owned(), count.to_string()]));
                text += &table.text();
                if all {
                    let mut table = Table::new(&["node", "operator", ">MAC"]);
                    let macs = |node: &Node| node.macs.map_or("-".into(), |macs| macs.to_string());
                    nodes.iter().for_each(|node| table.row([node.name.clone(), node.operator.into(), macs(node)]));
                    text += &format!("\n{}", table.text());
                }
            }
            Contents::Model { inputs, outputs, counts, layers } => {
                text += &(list("input", inputs) + &list("output", outputs) + &counts.text() + "\n");
                let float = |layer: &&LayerInfo| all || layer.precision == rsquant::pipeline::LayerPrecision::Float;
                let mut table =
                    Table::new(&["layer", "operator", "runs in", "input scale / zero point", "output scale / zero point", "why"]);
                let mut rows = 0;
                for layer in layers.iter().filter(float) {
                    let (name, operator) = (layer.name.clone(), layer.operator.clone());
                    let how = precision(layer.precision).to_owned();
                    table.row([name, operator, how, qparams(layer.input), qparams(layer.output), layer.reason.clone()]);
                    rows += 1;
                }
                if rows > 0 {
                    text += &table.text();
                }
            }
            Contents::State { samples, graph_crc32, qconfig_crc32, input_shapes, tensors } => {
                text += &format!("{samples} samples, {} tensors; network {graph_crc32}, settings {qconfig_crc32}\n", tensors.len());
                for dims in input_shapes.iter().flatten() {
                    text += &format!("input shape {}\n", shape(&dims.iter().map(|&dim| Some(dim)).collect::<Vec<_>>()));
                }
                if all {
                    let mut table = Table::new(&["tensor", "observer", ">low", ">high", ">dropped"]);
                    let end = |end: Option<f32>| end.map_or("-".into(), |end| format!("{end:.4}"));
                    for tensor in tensors {
                        let (low, high) = (tensor.range.map(|range| range.0), tensor.range.map(|range| range.1));
                        table.row([tensor.name.clone(), tensor.observer.into(), end(low), end(high), tensor.dropped.to_string()]);
                    }
                    text += &table.text();
                }
            }
            Contents::Recipe { layers, float_layers, activations, parsed, .. } => {
                let from = &parsed.provenance;
                let samples = from.samples.map_or(String::new(), |samples| format!(", {samples} samples"));
                text += &format!("from {}{samples}, written by rsquant {}\n", from.source, from.library);
                text += &format!("{layers} layers with weights, {float_layers} of them float; {activations} ranges\n");
                if all {
                    let mut table = Table::new(&["tensors", ">scale", ">zero point", "solver", ">predicted, dB"]);
                    for entry in &parsed.activations {
                        let number = |text: Option<String>| text.unwrap_or_else(|| "-".into());
                        table.row([
                            entry.tensors.join(", "),
                            number(entry.scale.map(|scale| format!("{scale:.6}"))),
                            number(entry.zero_point.map(|zero| zero.to_string())),
                            number(entry.solver.map(|solver| solver.name().to_owned())),
                            number(entry.predicted_sqnr_db.map(decibels)),
                        ]);
                    }
                    text += &table.text();
                }
            }
        }
        text
    }
}
