//! The int8 executor: close to float, and the same bits on every ISA, thread count and batch split, calibration and the
//! model file included.
#[path = "support/networks.rs"]
mod networks;

use networks::{NetworkEntry, all};
use rsquant::isa::Isa;
use rsquant::pipeline::{Context, ContextOptions, FloatGraph, LayerPrecision, Model, Prepared, Session, SessionOptions};
use rsquant::quantize::QConfig;
use rsquant::tensor::{TensorView, TensorViewMut};

fn context(threads: usize, max_isa: Isa) -> Context {
    Context::new(ContextOptions { threads, max_isa: Some(max_isa), ..ContextOptions::default() }).unwrap()
}

fn dims(network: &NetworkEntry) -> Vec<Vec<usize>> {
    network.inputs.iter().map(|input| input.shape.clone()).collect()
}

/// Calibrates on the network's own input, `batch` samples at a time.
fn convert(context: &Context, network: &NetworkEntry, qconfig: &QConfig, batch: usize) -> Model {
    let graph = FloatGraph::from_onnx_file(&network.model()).unwrap();
    let mut prepared =
        Prepared::new(context, &graph, qconfig, Some(dims(network))).unwrap_or_else(|error| panic!("{}: {error}", network.name));
    let data = network.input_floats();
    let whole = network.inputs[0].shape[0];
    for first in (0..whole).step_by(batch) {
        let count = batch.min(whole - first);
        let shapes: Vec<Vec<usize>> = network.inputs.iter().map(|input| [&[count], &input.shape[1..]].concat()).collect();
        let views: Vec<TensorView> = data
            .iter()
            .zip(&shapes)
            .map(|(data, shape)| {
                let sample: usize = shape[1..].iter().product();
                TensorView::f32(&data[first * sample..(first + count) * sample], shape).unwrap()
            })
            .collect();
        prepared.calibrate(&views).unwrap_or_else(|error| panic!("{}: {error}", network.name));
    }
    prepared.convert().unwrap_or_else(|error| panic!("{}: {error}", network.name))
}

fn run(network: &NetworkEntry, mut session: Session) -> Vec<Vec<f32>> {
    let (data, dims) = (network.input_floats(), dims(network));
    let views: Vec<TensorView> = data.iter().zip(&dims).map(|(data, dims)| TensorView::f32(data, dims).unwrap()).collect();
    let out_dims = session.output_dims(&dims).unwrap();
    let mut outputs: Vec<Vec<f32>> = out_dims.iter().map(|dims| vec![f32::NAN; dims.iter().product()]).collect();
    let mut out_views: Vec<TensorViewMut> =
        outputs.iter_mut().zip(&out_dims).map(|(data, dims)| TensorViewMut::f32(data, dims).unwrap()).collect();
    session.run(&views, &mut out_views).unwrap_or_else(|error| panic!("{}: {error}", network.name));
    outputs
}

fn options(network: &NetworkEntry) -> SessionOptions {
    SessionOptions { max_batch: network.inputs[0].shape[0], input_dims: Some(dims(network)), ..SessionOptions::default() }
}

fn sqnr_db(exact: &[f32], approximate: &[f32]) -> f64 {
    let power = |values: &mut dyn Iterator<Item = f64>| values.map(|x| x * x).sum::<f64>();
    let signal = power(&mut exact.iter().map(|&x| f64::from(x)));
    let noise = power(&mut exact.iter().zip(approximate).map(|(&a, &b)| f64::from(a) - f64::from(b)));
    if noise == 0.0 { f64::INFINITY } else { 10.0 * (signal / noise).log10() }
}

/// Networks that are pure float operators keep their output; every other one must stay this close.
const LEAST_SQNR_DB: f64 = 20.0;

#[test]
fn int8_results_are_close_to_float_ones() {
    let context = Context::default_context().unwrap();
    let mut failures = Vec::new();
    for network in all() {
        let graph = FloatGraph::from_onnx_file(&network.model()).unwrap();
        let float = run(&network, Session::float(&context, &graph, options(&network)).unwrap());
        for (mode, qconfig) in [("static", QConfig::default_static()), ("dynamic", QConfig::default_dynamic())] {
            let model = convert(&context, &network, &qconfig, usize::MAX >> 1);
            let outputs = run(&network, Session::new(&model, options(&network)).unwrap());
            let int8 = model.layers().iter().filter(|layer| layer.precision != LayerPrecision::Float).count();
            for (index, (output, float)) in outputs.iter().zip(&float).enumerate() {
                let sqnr = sqnr_db(float, output);
                println!("{:30} {mode:8} output {index}: {sqnr:6.1} dB, {int8} of {} layers int8", network.name, model.layers().len());
                if sqnr < LEAST_SQNR_DB {
                    failures.push(format!("{} {mode} output {index}: {sqnr:.1} dB", network.name));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn every_layer_with_weights_runs_in_int8() {
    let context = Context::default_context().unwrap();
    let mut count = 0;
    for network in all() {
        for (qconfig, expected) in
            [(QConfig::default_static(), LayerPrecision::Int8Static), (QConfig::default_dynamic(), LayerPrecision::Int8Dynamic)]
        {
            let model = convert(&context, &network, &qconfig, usize::MAX >> 1);
            for layer in model.layers().iter().filter(|layer| layer.operator == "Conv" || layer.operator == "Gemm") {
                assert_eq!(layer.precision, expected, "{}: {} {}", network.name, layer.name, layer.reason);
                count += 1;
            }
            for layer in model.layers() {
                assert_eq!(layer.precision == LayerPrecision::Float, !layer.reason.is_empty(), "{}: {}", network.name, layer.name);
            }
        }
    }
    assert!(count > 100);
}

fn bits(outputs: &[Vec<f32>]) -> Vec<Vec<u32>> {
    outputs.iter().map(|output| output.iter().map(|x| x.to_bits()).collect()).collect()
}

#[test]
fn model_bytes_and_results_do_not_depend_on_isa_threads_or_batch() {
    for network in all() {
        for qconfig in [QConfig::default_static(), QConfig::default_dynamic()] {
            let portable = convert(&context(1, Isa::Portable), &network, &qconfig, usize::MAX >> 1);
            let file = portable.to_bytes().unwrap();
            let reference = bits(&run(&network, Session::new(&portable, options(&network)).unwrap()));
            for isa in Isa::ALL.into_iter().filter(|&isa| isa <= Isa::detected()) {
                for threads in [1, 2, 3, 8] {
                    let context = context(threads, isa);
                    let batch = if network.symbolic_batch { threads.min(2) } else { usize::MAX >> 1 };
                    let model = convert(&context, &network, &qconfig, batch);
                    assert!(
                        model.to_bytes().unwrap() == file,
                        "{}: the model file with {isa}, {threads} threads, batch {batch}",
                        network.name
                    );
                    let loaded = Model::from_bytes(&context, &file).unwrap_or_else(|error| panic!("{}: {error}", network.name));
                    let outputs = bits(&run(&network, Session::new(&loaded, options(&network)).unwrap()));
                    assert!(outputs == reference, "{}: results with {isa} on {threads} threads", network.name);
                }
            }
        }
    }
    for isa in Isa::ALL.into_iter().filter(|&isa| isa > Isa::detected()) {
        println!("SKIPPED: {isa} (not on this CPU)");
    }
}
