//! What is done with the bytes of each kind of file. A finding is a panic, a crash, a hang, or an answer that is not one.
use rsquant::pipeline::{Context, ContextOptions, FloatGraph, Model, Prepared, Session, SessionOptions};
use rsquant::quantize::QConfig;
use rsquant::tensor::{TensorView, TensorViewMut};
use std::path::Path;

/// Memory and multiplications that a run of a mutated network may take here.
const MOST_BYTES: usize = 32 << 20;
const MOST_MACS: u64 = 20_000_000;

/// One thread, so that a run is deterministic and quick to make.
fn context() -> Context {
    Context::new(ContextOptions { threads: 1, ..Default::default() }).expect("a context")
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

/// A network with its statistics, for calibration files.
pub struct Calibrated {
    context: Context,
    graph: FloatGraph,
    path: std::path::PathBuf,
}

impl Calibrated {
    /// The network of an ONNX file; calibration files are put at `path`.
    pub fn new(onnx: &Path, path: &Path) -> Self {
        Self { context: context(), graph: FloatGraph::from_onnx_file(onnx).expect("a network"), path: path.to_owned() }
    }

    fn prepared(&self) -> Prepared {
        Prepared::new(&self.context, &self.graph, &QConfig::default_static(), None).expect("prepared")
    }

    /// A model file and a calibration file of the network, after one batch of numbers.
    pub fn files(&self) -> (Vec<u8>, Vec<u8>) {
        let mut prepared = self.prepared();
        let dims: Vec<Vec<usize>> = self.graph.inputs().iter().map(|input| small(&input.dims).expect("small")).collect();
        let floats: Vec<Vec<f32>> =
            dims.iter().map(|dims| (0..dims.iter().product()).map(|i: usize| (i * 37 % 101) as f32 / 25.0 - 2.0).collect()).collect();
        let views: Vec<_> = floats.iter().zip(&dims).map(|(floats, dims)| TensorView::f32(floats, dims).expect("a view")).collect();
        prepared.calibrate(&views).expect("calibrated");
        prepared.save_calibration(&self.path).expect("saved");
        (prepared.convert().expect("converted").to_bytes().expect("a model"), std::fs::read(&self.path).expect("a file"))
    }

    /// Bytes as a calibration file: loaded, added to itself, and converted. Whether they were taken.
    pub fn calibration_file(&self, bytes: &[u8]) -> bool {
        std::fs::write(&self.path, bytes).expect("written");
        let mut prepared = self.prepared();
        if prepared.merge_calibration(&self.path).is_err() {
            assert_eq!(prepared.samples(), 0, "a refused file changed the statistics");
            return false;
        }
        let _ = prepared.merge_calibration(&self.path);
        if let Ok(model) = prepared.convert() {
            assert!(Model::from_bytes(&self.context, &model.to_bytes().expect("bytes")).is_ok(), "a converted model loads");
        }
        true
    }
}
