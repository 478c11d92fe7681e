//! Models that mix static int8, dynamic int8 and float layers: close to float, and the same bits on every ISA, thread count and
//! batch split.
#[path = "support/networks.rs"]
mod networks;
#[path = "support/pipeline_runs.rs"]
mod pipeline_runs;

use networks::{NetworkEntry, all};
use pipeline_runs::*;
use rsquant::isa::Isa;
use rsquant::pipeline::{Context, FloatGraph, LayerPrecision, Model, Session, SessionOptions};
use rsquant::quantize::{LayerSettings, Mode, QConfig};
use rsquant::tensor::{TensorView, TensorViewMut};

const NETWORKS: [&str; 9] = [
    "resnet_like",
    "mobilenet_v2_like",
    "mobilenet_v3_like",
    "inception_like",
    "densenet_like",
    "regnet_like",
    "lenet_like",
    "vit_like",
    "squeeze_excite",
];

/// As for models that are int8 all through.
const LEAST_SQNR_DB: f64 = 20.0;

fn networks() -> Vec<NetworkEntry> {
    let found: Vec<NetworkEntry> = all().into_iter().filter(|network| NETWORKS.contains(&network.name.as_str())).collect();
    assert_eq!(found.len(), NETWORKS.len());
    found
}

/// Layers with weights take `modes` in turn, from a start that `mix` says; the others follow, or are float where `mix` is odd.
fn mixed(graph: &FloatGraph, modes: &[Mode], mix: usize) -> QConfig {
    let mut qconfig = QConfig::default_static();
    let layers = graph.graph().nodes.iter().filter(|node| ["Conv", "Gemm", "MatMul"].contains(&node.op.name()));
    for (index, node) in layers.enumerate() {
        let mode = Some(modes[(index + mix) % modes.len()]);
        qconfig.set(&format!("name:{}", node.name), LayerSettings { mode, ..LayerSettings::default() }).unwrap();
    }
    for operator in ["MaxPool", "Add", "Concat", "GlobalAveragePool", "Mul"] {
        if mix % 2 == 1 && graph.graph().nodes.iter().any(|node| node.op.name() == operator) {
            qconfig.skip(&format!("op:{operator}")).unwrap();
        }
    }
    qconfig
}

const MIXES: [&[Mode]; 4] = [
    &[Mode::Static, Mode::Float],
    &[Mode::Float, Mode::Dynamic, Mode::Static],
    &[Mode::Static, Mode::Static, Mode::Float, Mode::Dynamic, Mode::Float],
    &[Mode::Dynamic, Mode::Float],
];

#[test]
fn mixed_models_are_as_close_to_float_as_the_float_layers_allow() {
    let context = Context::default_context().unwrap();
    for network in networks() {
        let float = run_float(&context, &network);
        for (mix, modes) in MIXES.iter().enumerate() {
            let model = calibrated(&context, &network, &mixed(&graph(&network), modes, mix)).convert().unwrap();
            let count = |precision| model.layers().iter().filter(|layer| layer.precision == precision).count();
            let counts = [LayerPrecision::Int8Static, LayerPrecision::Int8Dynamic, LayerPrecision::Float].map(count);
            for (index, (output, float)) in run_model(&network, &model).iter().zip(&float).enumerate() {
                let sqnr = sqnr_db(float, output);
                println!("{:20} mix {mix} output {index}: {sqnr:6.1} dB, static, dynamic, float {counts:?}", network.name);
                assert!(sqnr >= LEAST_SQNR_DB, "{} mix {mix}: {sqnr} dB", network.name);
            }
            assert!(counts[2] > 0 && counts[0] + counts[1] > 0, "{} mix {mix} is no mix: {counts:?}", network.name);
        }
    }
}

/// The outputs for all samples, `batch` at a time.
fn run_in_batches(network: &NetworkEntry, model: &Model, batch: usize) -> Vec<Vec<u32>> {
    let (data, dims) = (network.input_floats(), dims(network));
    let samples = dims[0][0];
    let mut session = Session::new(model, SessionOptions { max_batch: batch, ..SessionOptions::default() }).unwrap();
    let mut outputs: Vec<Vec<u32>> = vec![Vec::new(); session.outputs().len()];
    for first in (0..samples).step_by(batch) {
        with_samples(&data, &dims, first, batch.min(samples - first), |views: &[TensorView]| {
            let shapes: Vec<Vec<usize>> = views.iter().map(|view| view.dims().to_vec()).collect();
            let out_dims = session.output_dims(&shapes).unwrap();
            let mut parts: Vec<Vec<f32>> = out_dims.iter().map(|dims| vec![f32::NAN; dims.iter().product()]).collect();
            let mut places: Vec<TensorViewMut> =
                parts.iter_mut().zip(&out_dims).map(|(data, dims)| TensorViewMut::f32(data, dims).unwrap()).collect();
            session.run(views, &mut places).unwrap();
            outputs.iter_mut().zip(&parts).for_each(|(output, part)| output.extend(part.iter().map(|x| x.to_bits())));
        });
    }
    outputs
}

#[test]
fn bits_of_mixed_models_do_not_depend_on_isa_threads_or_batch() {
    for network in networks() {
        for (mix, modes) in MIXES.iter().enumerate() {
            let qconfig = mixed(&graph(&network), modes, mix);
            let samples = network.inputs[0].shape[0];
            let file = calibrated(&context(1, Isa::Portable), &network, &qconfig).convert().unwrap().to_bytes().unwrap();
            let load = |context: &Context| Model::from_bytes(context, &file).unwrap();
            let reference = run_in_batches(&network, &load(&context(1, Isa::Portable)), samples);
            for isa in Isa::ALL.into_iter().filter(|&isa| isa <= Isa::detected()) {
                for (threads, batch) in [(1, 1), (2, samples), (3, 1), (8, samples)] {
                    let context = context(threads, isa);
                    let what = format!("{} mix {mix}: {isa}, {threads} threads, batch {batch}", network.name);
                    assert!(run_in_batches(&network, &load(&context), batch) == reference, "{what}");
                    let again = calibrated(&context, &network, &qconfig).convert().unwrap();
                    assert!(again.to_bytes().unwrap() == file, "{what}: the model file");
                }
            }
        }
    }
    for isa in Isa::ALL.into_iter().filter(|&isa| isa > Isa::detected()) {
        println!("SKIPPED: {isa} (not on this CPU)");
    }
}
