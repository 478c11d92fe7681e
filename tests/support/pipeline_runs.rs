//! The pipeline over one of the small networks: contexts, calibration on the network's own input, runs.
#![allow(dead_code)]
use super::networks::NetworkEntry;
use rsquant::isa::Isa;
use rsquant::pipeline::{Context, ContextOptions, FloatGraph, Model, Prepared, Session, SessionOptions};
use rsquant::quantize::QConfig;
use rsquant::tensor::{TensorView, TensorViewMut};

pub fn context(threads: usize, max_isa: Isa) -> Context {
    Context::new(ContextOptions { threads, max_isa: Some(max_isa), ..ContextOptions::default() }).unwrap()
}

pub fn dims(network: &NetworkEntry) -> Vec<Vec<usize>> {
    network.inputs.iter().map(|input| input.shape.clone()).collect()
}

pub fn graph(network: &NetworkEntry) -> FloatGraph {
    FloatGraph::from_onnx_file(&network.model()).unwrap_or_else(|error| panic!("{}: {error}", network.name))
}

/// Calls `work` with samples `first..first + count` of tensors whose axis 0 is a batch axis.
pub fn with_samples<T>(data: &[Vec<f32>], dims: &[Vec<usize>], first: usize, count: usize, work: impl FnOnce(&[TensorView]) -> T) -> T {
    let shapes: Vec<Vec<usize>> = dims.iter().map(|dims| [&[count], &dims[1..]].concat()).collect();
    let views: Vec<TensorView> = data
        .iter()
        .zip(&shapes)
        .map(|(data, shape)| {
            let sample: usize = shape[1..].iter().product();
            TensorView::f32(&data[first * sample..(first + count) * sample], shape).unwrap()
        })
        .collect();
    work(&views)
}

/// Calls `work` with the network's own inputs.
pub fn with_inputs<T>(network: &NetworkEntry, work: impl FnOnce(&[TensorView]) -> T) -> T {
    let (data, dims) = (network.input_floats(), dims(network));
    let views: Vec<TensorView> = data.iter().zip(&dims).map(|(data, dims)| TensorView::f32(data, dims).unwrap()).collect();
    work(&views)
}

/// Calibrated on the network's own input.
pub fn calibrated(context: &Context, network: &NetworkEntry, qconfig: &QConfig) -> Prepared {
    let mut prepared =
        Prepared::new(context, &graph(network), qconfig, Some(dims(network))).unwrap_or_else(|error| panic!("{}: {error}", network.name));
    with_inputs(network, |views| prepared.calibrate(views)).unwrap_or_else(|error| panic!("{}: {error}", network.name));
    prepared
}

pub fn options(network: &NetworkEntry) -> SessionOptions {
    SessionOptions { max_batch: network.inputs[0].shape[0], input_dims: Some(dims(network)), ..SessionOptions::default() }
}

/// The outputs for the network's own inputs.
pub fn run(network: &NetworkEntry, mut session: Session) -> Vec<Vec<f32>> {
    let out_dims = session.output_dims(&dims(network)).unwrap();
    let mut outputs: Vec<Vec<f32>> = out_dims.iter().map(|dims| vec![f32::NAN; dims.iter().product()]).collect();
    let mut out_views: Vec<TensorViewMut> =
        outputs.iter_mut().zip(&out_dims).map(|(data, dims)| TensorViewMut::f32(data, dims).unwrap()).collect();
    with_inputs(network, |views| session.run(views, &mut out_views)).unwrap_or_else(|error| panic!("{}: {error}", network.name));
    outputs
}

pub fn run_model(network: &NetworkEntry, model: &Model) -> Vec<Vec<f32>> {
    run(network, Session::new(model, options(network)).unwrap())
}

pub fn run_float(context: &Context, network: &NetworkEntry) -> Vec<Vec<f32>> {
    run(network, Session::float(context, &graph(network), options(network)).unwrap())
}

pub fn sqnr_db(exact: &[f32], approximate: &[f32]) -> f64 {
    let power = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>();
    let signal = power(&mut exact.iter().map(|&x| f64::from(x)));
    let noise = power(&mut exact.iter().zip(approximate).map(|(&a, &b)| f64::from(a) - f64::from(b)));
    if noise == 0.0 { f64::INFINITY } else { 10.0 * (signal / noise).log10() }
}

/// Standard-normal-like numbers, the same for the same seed.
pub fn noise(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / 16_777_216.0
    };
    (0..count).map(|_| (0..12).map(|_| next()).sum::<f32>() - 6.0).collect()
}

pub fn bits(outputs: &[Vec<f32>]) -> Vec<Vec<u32>> {
    outputs.iter().map(|output| output.iter().map(|x| x.to_bits()).collect()).collect()
}
