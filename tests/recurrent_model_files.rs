//! Model files of recurrent networks: versions, and graphs that are wrong in ways a checksum cannot tell.
#[path = "support/networks.rs"]
mod networks;
#[path = "support/recurrent.rs"]
mod recurrent;

use recurrent::{converted, named, options, run_model, try_run};
use rsquant::error::Error;
use rsquant::graph::{ConstantId, ConvWeights, Direction, Graph, Op, Recurrent, RecurrentOutput, Slice};
use rsquant::model::{FORMAT_VERSION, validate};
use rsquant::pipeline::{Context, FloatGraph, Model, Prepared, Session};
use rsquant::quantize::QConfig;

fn version(file: &[u8]) -> u32 {
    u32::from_le_bytes([file[8], file[9], file[10], file[11]])
}

#[test]
fn a_file_has_the_oldest_version_that_can_hold_it() {
    let context = Context::default_context().unwrap();
    let mlp = networks::all().into_iter().find(|network| network.name == "mlp").unwrap();
    let graph = FloatGraph::from_onnx_file(&mlp.model()).unwrap();
    let file = |qconfig: &QConfig| Prepared::new(&context, &graph, qconfig, None).unwrap().convert().unwrap().to_bytes().unwrap();
    assert_eq!((version(&file(&QConfig::default_dynamic())), version(&file(&QConfig::torch_dynamic()))), (1, 2));
    let network = named("onnx_gru");
    let model = converted(&context, &network, &QConfig::default_dynamic());
    let mut file = model.to_bytes().unwrap();
    assert_eq!(version(&file), FORMAT_VERSION);
    let loaded = Model::from_bytes(&context, &file).unwrap();
    assert_eq!(run_model(&loaded, &network.inputs()), run_model(&model, &network.inputs()));
    assert_eq!(loaded.layers(), model.layers());
    for other in [0, FORMAT_VERSION + 1] {
        file[8..12].copy_from_slice(&other.to_le_bytes());
        assert!(matches!(Model::from_bytes(&context, &file), Err(Error::Version(_))));
    }
}

/// The dynamic int8 graph of a network, changed.
fn refusal(name: &str, change: impl FnOnce(&mut Recurrent)) -> String {
    let context = Context::default_context().unwrap();
    let mut graph: Graph = (**converted(&context, &named(name), &QConfig::default_dynamic()).graph()).clone();
    validate(&graph).unwrap();
    let layer = graph.nodes.iter_mut().find_map(|node| match &mut node.op {
        Op::Recurrent(layer) => Some(layer),
        _ => None,
    });
    change(layer.expect("a recurrent layer"));
    validate(&graph).expect_err(name).to_string()
}

fn panels(weights: &mut ConvWeights) -> &mut ConstantId {
    match weights {
        ConvWeights::Dynamic { panels, .. } => panels,
        _ => panic!("the weights are not dynamic"),
    }
}

#[test]
fn a_layer_that_contradicts_itself_is_refused_by_name() {
    let says = |text: String, words: &str| assert!(text.contains(words) && text.contains("layer"), "{text}");
    says(refusal("onnx_gru", |layer| layer.weights[1].candidate = None), "candidate");
    says(refusal("onnx_gru", |layer| layer.activation = None), "another kind");
    says(refusal("onnx_gru", |layer| layer.output = RecurrentOutput::Cell), "cell state");
    says(refusal("onnx_gru", |layer| layer.direction = Direction::Forward), "2 directions for 1");
    says(refusal("onnx_gru", |layer| layer.hidden_size = 16), "panels");
    says(refusal("onnx_gru", |layer| layer.input_size = 5 << 20), "65793");
    says(refusal("onnx_gru", |layer| layer.hidden_size = usize::MAX / 2), "count of");
    says(refusal("onnx_gru", |layer| layer.has_lengths = true), "2 inputs");
    says(refusal("onnx_lstm", |layer| layer.has_initial_cell = false), "3 inputs");
    says(refusal("onnx_lstm", |layer| *panels(&mut layer.weights[0].input) = ConstantId(999)), "constant 999");
    says(
        refusal("onnx_lstm_long", |layer| {
            let other = *panels(&mut layer.weights[0].recurrent);
            *panels(&mut layer.weights[0].input) = other;
        }),
        "panels",
    );
}

#[test]
fn a_slice_that_stands_still_is_refused() {
    let context = Context::default_context().unwrap();
    let mut graph: Graph = (**converted(&context, &named("onnx_lstm"), &QConfig::default_dynamic()).graph()).clone();
    let slice = graph.nodes.iter_mut().find(|node| matches!(node.op, Op::Slice(_))).unwrap();
    slice.op = Op::Slice(Slice { axis: 0, start: 0, end: 1, step: 0 });
    assert!(validate(&graph).unwrap_err().to_string().contains("step of 0"));
}

#[test]
fn a_session_takes_other_numbers_of_steps_and_sequences() {
    let context = Context::default_context().unwrap();
    let network = named("torch_lstm_layers");
    let model = converted(&context, &network, &QConfig::default_dynamic());
    let whole = network.inputs();
    let mut session = Session::new(&model, options(&whole)).unwrap();
    for (sequences, steps) in [(4, 9), (1, 9), (4, 2), (2, 1), (4, 9)] {
        let inputs = [whole[0].part(0, 0..sequences).part(1, 0..steps)];
        assert_eq!(try_run(&mut session, &inputs).unwrap(), run_model(&model, &inputs), "{sequences} sequences of {steps} steps");
    }
}
