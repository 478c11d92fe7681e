//! What is done with the bytes of each kind of file. A finding is a panic, a crash, a hang, or an answer that is not one.
use rsquant::graph::Conv2dAttributes;
use rsquant::pipeline::{Context, ContextOptions, FloatGraph, FloatGraphBuilder, Model, Prepared, Session, SessionOptions, import_recipe};
use rsquant::quantize::qconfig::ActivationSettings;
use rsquant::quantize::recipe::foreign::ForeignFormat::{Ipex, Ncnn, OnnxRuntime, TensorRt};
use rsquant::quantize::{LayerSettings, ObserverKind, QConfig, Recipe};
use rsquant::tensor::{TensorView, TensorViewMut};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

#[path = "fuzz_seeds.rs"]
mod fuzz_seeds;
#[allow(unused_imports)] // The fuzz targets write seeds; tests do not.
pub use fuzz_seeds::*;

/// Memory and multiplications that a run of a mutated network may take here.
const MOST_BYTES: usize = 32 << 20;
const MOST_MACS: u64 = 20_000_000;

/// What the library may take in all for a mutated file: a plan of gigabytes is a status.
const MEMORY_LIMIT: usize = 256 << 20;

/// One thread, so that a run is deterministic and quick to make.
fn context() -> Context {
    static CONTEXT: OnceLock<Context> = OnceLock::new();
    let options = || ContextOptions { threads: 1, memory_limit: MEMORY_LIMIT, ..Default::default() };
    CONTEXT.get_or_init(|| Context::new(options()).expect("a context")).clone()
}

/// The tests' networks: beside the library, or where the fuzz targets' package is in it.
fn networks() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    if here.is_dir() { here } else { Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data") }
}

/// Elements of a shape whose open dimensions are 1; `None` above a bound.
fn small(dims: &[Option<usize>]) -> Option<Vec<usize>> {
    let dims: Vec<usize> = dims.iter().map(|dim| dim.unwrap_or(1)).collect();
    dims.iter().try_fold(1usize, |count, &dim| count.checked_mul(dim)).filter(|&count| count <= 1 << 16).map(|_| dims)
}

/// Runs one batch of numbers, if the plan is small; whether it ran.
fn run(mut session: Session) -> bool {
    let Some(dims) = session.inputs().iter().map(|input| small(&input.dims)).collect::<Option<Vec<_>>>() else { return false };
    let Ok(output_dims) = session.output_dims(&dims) else { return false };
    let count = |dims: &Vec<usize>| dims.iter().product::<usize>();
    let macs: u64 = session.steps().iter().fold(0, |sum, step| sum.saturating_add(step.macs));
    if session.memory_bytes() > MOST_BYTES || macs > MOST_MACS || output_dims.iter().any(|dims| count(dims) > 1 << 20) {
        return false;
    }
    let floats: Vec<Vec<f32>> = dims.iter().map(|dims| (0..count(dims)).map(|i| (i * 37 % 101) as f32 / 25.0 - 2.0).collect()).collect();
    let mut outputs: Vec<Vec<f32>> = output_dims.iter().map(|dims| vec![f32::NAN; count(dims)]).collect();
    let inputs: Vec<_> = floats.iter().zip(&dims).map(|(floats, dims)| TensorView::f32(floats, dims).expect("a view")).collect();
    let mut views: Vec<_> =
        outputs.iter_mut().zip(&output_dims).map(|(floats, dims)| TensorViewMut::f32(floats, dims).expect("a view")).collect();
    session.run(&inputs, &mut views).is_ok()
}

/// Bytes as an ONNX model: imported, prepared both ways, and run in float. Whether the importer took them.
pub fn importer(bytes: &[u8]) -> bool {
    let Ok(graph) = FloatGraph::from_onnx_bytes(bytes) else { return false };
    let context = context();
    if graph.inputs().iter().any(|input| small(&input.dims).is_none()) {
        return true;
    }
    for qconfig in [QConfig::default_static(), QConfig::default_dynamic()] {
        let _ = Prepared::new(&context, &graph, &qconfig, None);
    }
    if let Ok(session) = Session::float(&context, &graph, SessionOptions::default()) {
        run(session);
    }
    true
}

/// Bytes as a model file: loaded, written again, and run. Whether they were taken.
pub fn model_file(bytes: &[u8]) -> bool {
    let context = context();
    let Ok(model) = Model::from_bytes(&context, bytes) else { return false };
    let again = model.to_bytes().expect("what was read can be written");
    assert!(Model::from_bytes(&context, &again).is_ok(), "what was written can be read");
    if model.inputs().iter().any(|input| small(&input.dims).is_none()) {
        return true;
    }
    if let Ok(session) = Session::new(&model, SessionOptions::default()) {
        run(session);
    }
    true
}

/// A network with its settings, for calibration files.
pub struct Calibrated {
    context: Context,
    graph: FloatGraph,
    qconfig: QConfig,
}

impl Calibrated {
    /// The network of an ONNX file, with the default observers.
    pub fn new(onnx: &Path) -> Self {
        Self { context: context(), graph: FloatGraph::from_onnx_file(onnx).expect("a network"), qconfig: QConfig::default_static() }
    }

    /// A network of four layers, whose inputs have an observer of each kind: little to prepare, so that a fuzz target's time goes into
    /// its files.
    pub fn with_every_observer() -> Self {
        let mut builder = FloatGraphBuilder::new();
        let weights = |count: usize| (0..count).map(|i| (i * 29 % 41) as f32 / 64.0 - 0.3).collect::<Vec<f32>>();
        let x = builder.add("x", "input", |builder| builder.input("x", &[None, Some(2), Some(4), Some(4)])).expect("an input");
        let conv = |builder: &mut FloatGraphBuilder, name: &str, x, attributes: Conv2dAttributes| {
            let weights = weights(attributes.out_channels * attributes.in_channels * attributes.kernel.iter().product::<usize>());
            let y = builder.add(name, "Conv", |builder| builder.conv2d(name, x, &weights, None, attributes)).expect("a convolution");
            builder.add(&format!("{name}_relu"), "Relu", |builder| builder.relu(&format!("{name}_relu"), y)).expect("a node")
        };
        let first = conv(&mut builder, "first", x, Conv2dAttributes::new(2, 3, [1, 1]));
        let second = conv(&mut builder, "second", first, Conv2dAttributes::new(3, 2, [3, 3]));
        let third = conv(&mut builder, "third", second, Conv2dAttributes::new(2, 4, [1, 2]));
        let flat = builder.add("flat", "Flatten", |builder| builder.flatten("flat", third, 1)).expect("a node");
        let last = builder.add("last", "Gemm", |builder| builder.linear("last", flat, &weights(24), None, 3, 8)).expect("a layer");
        builder.output(last).expect("an output");
        let graph = builder.finish().expect("a network");
        let mut network = Self { context: context(), graph, qconfig: QConfig::default_static() };
        let kinds = [ObserverKind::Histogram, ObserverKind::MinMax, ObserverKind::MovingAverage, ObserverKind::TorchHistogram];
        for (name, kind) in ["first", "second", "third", "last"].into_iter().zip(kinds) {
            let activation = ActivationSettings { observer: Some(kind), ..Default::default() };
            network.qconfig.set(&format!("name:{name}"), LayerSettings { activation, ..Default::default() }).expect("a scope");
        }
        network
    }

    /// Writes calibration files of it as seeds: of nothing, of one batch, of two, and of a constant.
    pub fn write_seeds(&self) {
        let seed = |name: &str, prepared: &Prepared| fuzz_seeds::write_seed(name, &prepared.calibration_bytes().expect("a file"));
        let (empty, mut calibrated, mut constant) = (self.prepared(), self.calibrated(), self.prepared());
        seed("nothing", &empty);
        seed("one_batch", &calibrated);
        for (prepared, value) in [(&mut calibrated, 5.0), (&mut constant, 0.25)] {
            prepared.calibrate(&[TensorView::f32(&[value; 64], &[2, 2, 4, 4]).expect("a view")]).expect("calibrated");
        }
        seed("two_batches", &calibrated);
        seed("constant", &constant);
    }

    pub fn prepared(&self) -> Prepared {
        Prepared::new(&self.context, &self.graph, &self.qconfig, None).expect("prepared")
    }

    /// After one batch of numbers.
    pub fn calibrated(&self) -> Prepared {
        let mut prepared = self.prepared();
        let dims: Vec<Vec<usize>> = self.graph.inputs().iter().map(|input| small(&input.dims).expect("small")).collect();
        let floats: Vec<Vec<f32>> =
            dims.iter().map(|dims| (0..dims.iter().product()).map(|i: usize| (i * 37 % 101) as f32 / 25.0 - 2.0).collect()).collect();
        let inputs: Vec<_> = floats.iter().zip(&dims).map(|(floats, dims)| TensorView::f32(floats, dims).expect("a view")).collect();
        prepared.calibrate(&inputs).expect("calibrated");
        prepared
    }

    /// A model file and a calibration file of the network, after one batch of numbers.
    pub fn files(&self) -> (Vec<u8>, Vec<u8>) {
        let prepared = self.calibrated();
        (prepared.convert().expect("converted").to_bytes().expect("a model"), prepared.calibration_bytes().expect("a file"))
    }

    /// Bytes as a calibration file: loaded, added to itself, and converted. Whether they were taken.
    pub fn calibration_file(&self, bytes: &[u8]) -> bool {
        let mut prepared = self.prepared();
        if prepared.merge_calibration_bytes(bytes).is_err() {
            assert_eq!(prepared.samples(), 0, "a refused file changed the statistics");
            return false;
        }
        let _ = prepared.merge_calibration_bytes(bytes);
        if let Ok(model) = prepared.convert() {
            assert!(Model::from_bytes(&self.context, &model.to_bytes().expect("bytes")).is_ok(), "a converted model loads");
        }
        true
    }
}

/// A text as settings, as a recipe, and as a calibration of another system. The first byte says which: whether it was taken.
pub fn recipe(bytes: &[u8]) -> bool {
    // A small network for what is ours, and the one that the other systems were given.
    static NETWORKS: OnceLock<[FloatGraph; 2]> = OnceLock::new();
    let Some((kind, text)) = bytes.split_first() else { return false };
    let read = |name: &str| FloatGraph::from_onnx_file(&networks().join("networks").join(name).join("model.onnx")).expect("a network");
    let graphs = NETWORKS.get_or_init(|| [read("squeeze_excite"), read("resnet_like")]);
    let context = context();
    let formats = [None, Some(Ipex), Some(TensorRt), Some(OnnxRuntime), Some(Ncnn)];
    let graph = &graphs[usize::from(usize::from(*kind) % (2 + formats.len()) > 1)];
    let recipe = match (usize::from(*kind) % (2 + formats.len()), std::str::from_utf8(text)) {
        (0, Ok(text)) => {
            let Ok(qconfig) = QConfig::from_json(text) else { return false };
            let again = QConfig::from_json(&qconfig.to_json().expect("what was read can be written"));
            assert_eq!(again.expect("what was written can be read"), qconfig);
            let _ = Prepared::new(&context, graph, &qconfig, None);
            return true;
        }
        (1, Ok(text)) => Recipe::from_json(text),
        (0 | 1, Err(_)) => return false,
        (format, _) => import_recipe(&context, graph, formats[format - 2], text, None),
    };
    let Ok(recipe) = recipe else { return false };
    let again = Recipe::from_json(&recipe.to_json().expect("what was read can be written"));
    assert_eq!(again.expect("what was written can be read"), recipe);
    if let Ok(model) = Model::from_recipe(&context, graph, &recipe) {
        assert!(Model::from_bytes(&context, &model.to_bytes().expect("bytes")).is_ok(), "a converted model loads");
    }
    true
}
