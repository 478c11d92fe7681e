//! The recurrent networks of tests/data/recurrent: inputs, float outputs, and for some torch's dynamic int8 outputs.
#![allow(dead_code)]
use rsquant::isa::Isa;
use rsquant::pipeline::{Context, ContextOptions, FloatGraph, Model, Prepared, Session, SessionOptions};
use rsquant::quantize::QConfig;
use rsquant::tensor::{TensorView, TensorViewMut};
use serde::Deserialize;
use std::path::PathBuf;

/// Elements and shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    pub data: Vec<f32>,
    pub dims: Vec<usize>,
}

#[derive(Deserialize)]
struct TensorEntry {
    shape: Vec<usize>,
}

/// One network.
#[derive(Deserialize)]
pub struct Network {
    pub name: String,
    inputs: Vec<TensorEntry>,
    outputs: Vec<TensorEntry>,
    /// Whether torch's dynamic int8 outputs are there.
    pub torch: bool,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/recurrent")
}

pub fn all() -> Vec<Network> {
    let text = std::fs::read_to_string(folder().join("index.json")).expect("index.json");
    let networks: Vec<Network> = serde_json::from_str(&text).expect("a list of networks");
    assert!(networks.len() >= 20);
    networks
}

pub fn named(name: &str) -> Network {
    all().into_iter().find(|network| network.name == name).expect("a network of that name")
}

impl Network {
    pub fn graph(&self) -> FloatGraph {
        FloatGraph::from_onnx_file(&folder().join(&self.name).join("model.onnx")).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    fn tensors(&self, kind: &str, entries: &[TensorEntry]) -> Vec<Tensor> {
        let read = |(index, entry): (usize, &TensorEntry)| {
            let bytes = std::fs::read(folder().join(&self.name).join(format!("{kind}{index}.f32"))).expect("a tensor file");
            let data: Vec<f32> = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
            assert_eq!(data.len(), entry.shape.iter().product::<usize>());
            Tensor { data, dims: entry.shape.clone() }
        };
        entries.iter().enumerate().map(read).collect()
    }

    pub fn inputs(&self) -> Vec<Tensor> {
        self.tensors("input", &self.inputs)
    }

    pub fn outputs(&self) -> Vec<Tensor> {
        self.tensors("output", &self.outputs)
    }

    pub fn torch_outputs(&self) -> Vec<Tensor> {
        self.tensors("torch", &self.outputs)
    }

    /// Which axis of each input and output counts sequences, for networks where that is said here.
    pub fn batch_axes(&self) -> Option<(Vec<usize>, Vec<usize>)> {
        let axes: (&[usize], &[usize]) = match self.name.as_str() {
            "onnx_lstm_lengths" => (&[1, 0, 1, 1], &[2, 1, 1]),
            "onnx_lstm_long" => (&[1, 0], &[2, 1]),
            "onnx_lstm_batch_first" => (&[0, 0, 0], &[0, 0, 0]),
            "onnx_lstm_cell" => (&[1], &[1]),
            "onnx_gru_linear" => (&[1, 0], &[2, 1]),
            "onnx_gru_last" => (&[1], &[1]),
            "onnx_rnn_relu" => (&[1], &[2]),
            "torch_lstm_layers" => (&[0], &[0]),
            "torch_lstm_bidirectional" => (&[1], &[1, 1, 1]),
            "torch_gru_layers" => (&[0], &[0, 1]),
            "torch_linear" => (&[0], &[0]),
            "torch_linear_tokens" => (&[0], &[0]),
            _ => return None,
        };
        Some((axes.0.to_vec(), axes.1.to_vec()))
    }
}

impl Tensor {
    /// Entries `range` along an axis.
    pub fn part(&self, axis: usize, range: std::ops::Range<usize>) -> Tensor {
        let inner: usize = self.dims[axis + 1..].iter().product();
        let stride = self.dims[axis] * inner;
        let data = self.data.chunks_exact(stride).flat_map(|chunk| chunk[range.start * inner..range.end * inner].to_vec()).collect();
        let mut dims = self.dims.clone();
        dims[axis] = range.len();
        Tensor { data, dims }
    }

    pub fn bits(&self) -> Vec<u32> {
        self.data.iter().map(|x| x.to_bits()).collect()
    }
}

pub fn context(threads: usize, max_isa: Isa) -> Context {
    Context::new(ContextOptions { threads, max_isa: Some(max_isa), ..ContextOptions::default() }).unwrap()
}

/// A session's options for these inputs.
pub fn options(inputs: &[Tensor]) -> SessionOptions {
    let dims: Vec<Vec<usize>> = inputs.iter().map(|input| input.dims.clone()).collect();
    SessionOptions { max_batch: dims[0][0].max(1), input_dims: Some(dims), ..SessionOptions::default() }
}

pub fn try_run(session: &mut Session, inputs: &[Tensor]) -> rsquant::error::Result<Vec<Tensor>> {
    let dims: Vec<Vec<usize>> = inputs.iter().map(|input| input.dims.clone()).collect();
    let views: Vec<TensorView> = inputs.iter().map(|input| TensorView::f32(&input.data, &input.dims).unwrap()).collect();
    let mut outputs: Vec<Tensor> =
        session.output_dims(&dims)?.into_iter().map(|dims| Tensor { data: vec![f32::NAN; dims.iter().product()], dims }).collect();
    let mut out_views: Vec<TensorViewMut> =
        outputs.iter_mut().map(|output| TensorViewMut::f32(&mut output.data, &output.dims).unwrap()).collect();
    session.run(&views, &mut out_views)?;
    drop(out_views);
    Ok(outputs)
}

pub fn run_float(context: &Context, network: &Network, inputs: &[Tensor]) -> Vec<Tensor> {
    let mut session =
        Session::float(context, &network.graph(), options(inputs)).unwrap_or_else(|error| panic!("{}: {error}", network.name));
    try_run(&mut session, inputs).unwrap_or_else(|error| panic!("{}: {error}", network.name))
}

/// The network in dynamic int8.
pub fn converted(context: &Context, network: &Network, qconfig: &QConfig) -> Model {
    let dims = network.inputs.iter().map(|input| input.shape.clone()).collect();
    let prepared =
        Prepared::new(context, &network.graph(), qconfig, Some(dims)).unwrap_or_else(|error| panic!("{}: {error}", network.name));
    prepared.convert().unwrap_or_else(|error| panic!("{}: {error}", network.name))
}

pub fn run_model(model: &Model, inputs: &[Tensor]) -> Vec<Tensor> {
    try_run(&mut Session::new(model, options(inputs)).unwrap(), inputs).unwrap()
}

/// `max |a - b| / max |b|` over all outputs.
pub fn relative_difference(a: &[Tensor], b: &[Tensor]) -> f32 {
    assert_eq!(a.len(), b.len());
    let of = |(a, b): (&Tensor, &Tensor)| {
        assert_eq!(a.dims, b.dims);
        let scale = b.data.iter().fold(f32::MIN_POSITIVE, |max, x| max.max(x.abs()));
        let worst = |max: f32, (a, b): (&f32, &f32)| if (a - b).is_nan() { f32::INFINITY } else { max.max((a - b).abs()) };
        a.data.iter().zip(&b.data).fold(0f32, worst) / scale
    };
    a.iter().zip(b).map(of).fold(0.0, f32::max)
}

/// Squared distance of all outputs.
pub fn squared_distance(a: &[Tensor], b: &[Tensor]) -> f64 {
    let of = |(a, b): (&Tensor, &Tensor)| a.data.iter().zip(&b.data).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum::<f64>();
    a.iter().zip(b).map(of).sum()
}

/// Checks that each sequence alone gets the bits that it gets in `whole`.
pub fn check_each_alone(network: &Network, whole: &[Tensor], run: impl Fn(&[Tensor]) -> Vec<Tensor>) {
    let Some((input_axes, output_axes)) = network.batch_axes() else { return };
    let inputs = network.inputs();
    let batch = inputs[0].dims[input_axes[0]];
    let cut = |tensors: &[Tensor], axes: &[usize], range: std::ops::Range<usize>| -> Vec<Tensor> {
        tensors.iter().zip(axes).map(|(tensor, &axis)| tensor.part(axis, range.clone())).collect()
    };
    let splits = (0..batch).map(|at| at..at + 1).chain([0..batch / 2, batch / 2..batch]).filter(|range| !range.is_empty());
    for range in splits {
        let alone = run(&cut(&inputs, &input_axes, range.clone()));
        let expected = cut(whole, &output_axes, range.clone());
        for (index, (alone, expected)) in alone.iter().zip(&expected).enumerate() {
            assert!(alone.bits() == expected.bits(), "{}: output {index}, sequences {range:?} alone", network.name);
        }
    }
}
