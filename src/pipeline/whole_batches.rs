//! Plans for whole batches, which models get whose samples meet, give the bits of plans for samples one by one.
use super::{Context, ContextOptions, FloatGraph, Prepared};
use crate::graph::{Graph, infer_shapes, keeps_samples_apart};
use crate::quantize::QConfig;
use crate::runtime::{Executor, Plan, PlanOptions};
use crate::tensor::TensorView;
use networks::NetworkEntry;
use std::sync::Arc;

#[path = "../../tests/support/networks.rs"]
mod networks;

const BATCH: usize = 3;

/// Shapes and floats of a batch whose samples differ.
fn batch_of(network: &NetworkEntry) -> (Vec<Vec<usize>>, Vec<Vec<f32>>) {
    let tensor = |(index, entry): (usize, &networks::TensorEntry)| {
        let dims = [&[BATCH], &entry.shape[1..]].concat();
        let len: usize = entry.shape[1..].iter().product();
        let own = network.floats("input", index);
        let values = (0..BATCH).flat_map(|sample| own[..len].iter().map(move |x| x * (1.0 - 0.4 * sample as f32))).collect();
        (dims, values)
    };
    network.inputs.iter().enumerate().map(tensor).unzip()
}

/// Bits of the outputs of a batch.
fn run(plan: Plan, context: &Context, data: &[Vec<f32>], output_dims: &[Vec<usize>]) -> Vec<Vec<u32>> {
    let threads = context.threads();
    let mut executor = Executor::new(Arc::new(plan), threads.threads(), BATCH).unwrap();
    let mut outputs: Vec<Vec<f32>> = output_dims.iter().map(|dims| vec![f32::NAN; dims.iter().product()]).collect();
    let inputs: Vec<&[u8]> = data.iter().map(|values| bytemuck::cast_slice(values)).collect();
    let mut places: Vec<&mut [u8]> = outputs.iter_mut().map(|values| bytemuck::cast_slice_mut(values)).collect();
    executor.run(threads, BATCH, &inputs, &mut places).unwrap();
    outputs.iter().map(|values| values.iter().map(|x| x.to_bits()).collect()).collect()
}

/// Says what differs between both ways of planning, if anything does.
fn compare(what: &str, context: &Context, graph: &Graph, dims: &[Vec<usize>], data: &[Vec<f32>], wrong: &mut Vec<String>) {
    let options = PlanOptions { max_isa: context.max_isa() };
    let shapes = infer_shapes(graph, dims).unwrap();
    let output_dims: Vec<Vec<usize>> = graph.outputs.iter().map(|value| shapes[value.index()].clone().unwrap()).collect();
    let whole = Plan::for_whole_batches(graph, dims, options).unwrap_or_else(|error| panic!("{what}: {error}"));
    let apart = Plan::new(graph, dims, options).unwrap();
    assert!(whole.chunk_samples == 0 && apart.chunk_samples > 0, "{what}");
    let (whole, apart) = (run(whole, context, data, &output_dims), run(apart, context, data, &output_dims));
    for (index, (whole, apart)) in whole.iter().zip(&apart).enumerate() {
        let sample = whole.len() / BATCH;
        let differing = (0..BATCH).filter(|at| whole[at * sample..][..sample] != apart[at * sample..][..sample]);
        wrong.extend(differing.map(|at| format!("{what}, output {index}, sample {at}")));
    }
}

#[test]
fn a_whole_batch_gets_the_bits_of_its_samples() {
    let (mut wrong, mut compared) = (Vec::new(), 0);
    for threads in [1, 3] {
        let context = Context::new(ContextOptions { threads, ..ContextOptions::default() }).unwrap();
        for network in networks::all() {
            let float = FloatGraph::from_onnx_file(&network.model()).unwrap();
            let (dims, data) = batch_of(&network);
            // Some networks are for one batch size, or let samples meet.
            if infer_shapes(float.graph(), &dims).is_err() || !keeps_samples_apart(float.graph(), &dims).unwrap() {
                continue;
            }
            let what = |kind: &str| format!("{} {kind}, {threads} threads", network.name);
            compare(&what("float"), &context, float.graph(), &dims, &data, &mut wrong);
            for (kind, qconfig) in [("static", QConfig::default_static()), ("dynamic", QConfig::default_dynamic())] {
                let mut prepared = Prepared::new(&context, &float, &qconfig, Some(dims.clone())).unwrap();
                let views: Vec<TensorView> = data.iter().zip(&dims).map(|(data, dims)| TensorView::f32(data, dims).unwrap()).collect();
                prepared.calibrate(&views).unwrap();
                let model = prepared.convert().unwrap_or_else(|error| panic!("{}: {error}", what(kind)));
                compare(&what(kind), &context, model.graph(), &dims, &data, &mut wrong);
            }
            compared += 1;
        }
    }
    assert!(compared >= 2 * 50, "{compared} networks are not what tests/data/networks has");
    assert!(wrong.is_empty(), "{wrong:#?}");
}
