//! The float executor: right to 1e-4 against onnxruntime, and the same bits on every ISA, thread count and batch split.
#[path = "support/networks.rs"]
mod networks;

use networks::{NetworkEntry, all, relative_difference};
use rsquant::isa::Isa;
use rsquant::pipeline::{Context, ContextOptions, FloatGraph, Session, SessionOptions};
use rsquant::tensor::{TensorView, TensorViewMut};

fn context(threads: usize, max_isa: Isa) -> Context {
    Context::new(ContextOptions { threads, max_isa: Some(max_isa), ..ContextOptions::default() }).unwrap()
}

/// Runs samples `first..first + count` (all where the batch is not symbolic).
fn run(context: &Context, network: &NetworkEntry, graph: &FloatGraph, first: usize, count: usize) -> Vec<Vec<f32>> {
    let share = |dims: &[usize]| -> (Vec<usize>, usize) {
        let mut dims = dims.to_vec();
        let sample: usize = dims.iter().skip(1).product();
        dims[0] = count;
        (dims, sample)
    };
    let data = network.input_floats();
    let dims: Vec<(Vec<usize>, usize)> = network.inputs.iter().map(|input| share(&input.shape)).collect();
    let options = SessionOptions {
        max_batch: count.max(1),
        input_dims: Some(dims.iter().map(|(dims, _)| dims.clone()).collect()),
        ..SessionOptions::default()
    };
    let mut session = Session::float(context, graph, options).unwrap_or_else(|error| panic!("{}: {error}", network.name));
    let views: Vec<TensorView> = data
        .iter()
        .zip(&dims)
        .map(|(data, (dims, sample))| TensorView::f32(&data[first * sample..(first + count) * sample], dims).unwrap())
        .collect();
    let full_dims: Vec<Vec<usize>> = dims.iter().map(|(dims, _)| dims.clone()).collect();
    let out_dims = session.output_dims(&full_dims).unwrap();
    let mut outputs: Vec<Vec<f32>> = out_dims.iter().map(|dims| vec![f32::NAN; dims.iter().product()]).collect();
    let mut out_views: Vec<TensorViewMut> =
        outputs.iter_mut().zip(&out_dims).map(|(data, dims)| TensorViewMut::f32(data, dims).unwrap()).collect();
    session.run(&views, &mut out_views).unwrap_or_else(|error| panic!("{}: {error}", network.name));
    outputs
}

#[test]
fn float_results_agree_with_onnxruntime_to_1e_4() {
    let context = Context::default_context().unwrap();
    let networks = all();
    let mut failures = Vec::new();
    for network in &networks {
        let graph = FloatGraph::from_onnx_file(&network.model()).unwrap_or_else(|error| panic!("{}: {error}", network.name));
        let outputs = run(&context, network, &graph, 0, network.inputs[0].shape[0]);
        for (output, expected) in outputs.iter().zip(network.output_floats()) {
            let difference = relative_difference(output, &expected);
            if difference > 1e-4 {
                failures.push(format!("{}: {difference}", network.name));
            }
        }
    }
    println!("{} networks", networks.len());
    assert!(failures.is_empty() && !networks.is_empty(), "{failures:#?}");
}

fn bits(outputs: &[Vec<f32>]) -> Vec<Vec<u32>> {
    outputs.iter().map(|output| output.iter().map(|x| x.to_bits()).collect()).collect()
}

#[test]
fn float_bits_do_not_depend_on_isa_threads_or_batch() {
    for network in all() {
        let graph = FloatGraph::from_onnx_file(&network.model()).unwrap();
        let whole = network.inputs[0].shape[0];
        let reference = bits(&run(&context(1, Isa::Portable), &network, &graph, 0, whole));
        for isa in Isa::ALL.into_iter().filter(|&isa| isa <= Isa::detected()) {
            for threads in [1, 2, 3, 8] {
                let outputs = bits(&run(&context(threads, isa), &network, &graph, 0, whole));
                assert!(outputs == reference, "{} with {isa} on {threads} threads", network.name);
            }
        }
        if network.symbolic_batch && network.inputs.iter().all(|input| input.shape[0] == whole) {
            for sample in 0..whole {
                let alone = bits(&run(&context(2, Isa::detected()), &network, &graph, sample, 1));
                for ((alone, all), entry) in alone.iter().zip(&reference).zip(&network.outputs) {
                    if entry.shape.first() == Some(&whole) {
                        let len = all.len() / whole;
                        assert!(alone[..] == all[sample * len..(sample + 1) * len], "{}: sample {sample} alone", network.name);
                    }
                }
            }
        }
    }
    for isa in Isa::ALL.into_iter().filter(|&isa| isa > Isa::detected()) {
        println!("SKIPPED: {isa} (not on this CPU)");
    }
}
