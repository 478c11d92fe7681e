//! Calibration scales out: shards merge to the bytes of one pass, whatever their order, sizes, batches, threads and instruction set.
#[path = "support/calibration.rs"]
mod calibration;
#[path = "support/networks.rs"]
mod networks;

use calibration::{DataSet, TemporaryFolder, context, network, prepare};
use networks::{NetworkEntry, all};
use rsquant::graph::{Conv2dAttributes, GraphBuilder, keeps_samples_apart};
use rsquant::isa::Isa;
use rsquant::pipeline::{FloatGraph, Prepared};
use rsquant::quantize::QConfig;
use rsquant::quantize::observer::ObserverKind;
use rsquant::tensor::TensorView;

const SAMPLES: usize = 11;

/// How one shard is calibrated: its samples, its batch size, threads, instruction set.
struct Shard {
    samples: std::ops::Range<usize>,
    batch: usize,
    threads: usize,
    isa: Isa,
}

/// Four uneven shards, each on another machine as it were.
fn shards() -> [Shard; 4] {
    [
        Shard { samples: 0..1, batch: 1, threads: 1, isa: Isa::Portable },
        Shard { samples: 1..3, batch: 7, threads: 3, isa: Isa::Avx2 },
        Shard { samples: 3..8, batch: 2, threads: 2, isa: Isa::Avx512Vnni },
        Shard { samples: 8..11, batch: 3, threads: 8, isa: Isa::AmxInt8 },
    ]
}

fn one_pass(network: &NetworkEntry, qconfig: &QConfig, data: &DataSet) -> Prepared {
    let mut prepared = prepare(network, qconfig, &context(2, Isa::detected()));
    data.show(&mut prepared, 0..SAMPLES).unwrap();
    prepared
}

fn shard_states(network: &NetworkEntry, qconfig: &QConfig, data: &DataSet) -> Vec<Vec<u8>> {
    let state = |shard: Shard| {
        let mut prepared = prepare(network, qconfig, &context(shard.threads, shard.isa));
        data.show_in_batches(&mut prepared, shard.samples, shard.batch);
        prepared.calibration_bytes().unwrap()
    };
    shards().into_iter().map(state).collect()
}

/// Where samples meet, the batch is the unit of calibration, and another split is another data set.
fn computes_samples_one_by_one(network: &NetworkEntry) -> bool {
    let graph = FloatGraph::from_onnx_file(&network.model()).unwrap();
    let shapes: Vec<Vec<usize>> = network.inputs.iter().map(|input| input.shape.clone()).collect();
    network.symbolic_batch && keeps_samples_apart(graph.graph(), &shapes).unwrap()
}

fn with_observer(observer: &str) -> QConfig {
    let mut qconfig = QConfig::default_static();
    qconfig.defaults.activation.observer = [ObserverKind::MinMax, ObserverKind::MovingAverage, ObserverKind::TorchHistogram]
        .into_iter()
        .find(|kind| kind.name() == observer)
        .unwrap();
    qconfig
}

#[test]
fn four_shards_merge_to_the_state_and_model_of_one_pass_in_any_order() {
    for network in all().iter().filter(|network| computes_samples_one_by_one(network)) {
        for qconfig in [QConfig::default_static(), with_observer("min_max")] {
            let data = DataSet::new(network, SAMPLES, 5);
            let whole = one_pass(network, &qconfig, &data);
            let (state, model) = (whole.calibration_bytes().unwrap(), whole.convert().unwrap().to_bytes().unwrap());
            let states = shard_states(network, &qconfig, &data);
            for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
                let mut merged = prepare(network, &qconfig, &context(1, Isa::detected()));
                order.iter().for_each(|&shard| merged.merge_calibration_bytes(&states[shard]).unwrap());
                assert_eq!(merged.samples(), SAMPLES as u64);
                assert!(merged.calibration_bytes().unwrap() == state, "{}: the state of shards {order:?}", network.name);
                assert!(merged.convert().unwrap().to_bytes().unwrap() == model, "{}: the model of shards {order:?}", network.name);
            }
        }
    }
}

#[test]
fn merging_merged_states_and_calibrating_on_changes_nothing() {
    let (network, qconfig) = (network("mobilenet_v2_like"), QConfig::default_static());
    let data = DataSet::new(&network, SAMPLES, 6);
    let expected = one_pass(&network, &qconfig, &data).calibration_bytes().unwrap();
    let states = shard_states(&network, &qconfig, &data);
    let fresh = || prepare(&network, &qconfig, &context(2, Isa::detected()));
    // A tree: (0 + 1) + (2 + 3).
    let pair = |a: usize, b: usize| {
        let mut prepared = fresh();
        prepared.merge_calibration_bytes(&states[a]).unwrap();
        prepared.merge_calibration_bytes(&states[b]).unwrap();
        prepared.calibration_bytes().unwrap()
    };
    let mut tree = fresh();
    tree.merge_calibration_bytes(&pair(2, 3)).unwrap();
    tree.merge_calibration_bytes(&pair(0, 1)).unwrap();
    assert!(tree.calibration_bytes().unwrap() == expected);
    // A state that is merged in between two batches.
    let mut between = fresh();
    data.show(&mut between, 8..11).unwrap();
    between.merge_calibration_bytes(&states[2]).unwrap();
    data.show(&mut between, 1..3).unwrap();
    between.merge_calibration_bytes(&states[0]).unwrap();
    assert!(between.calibration_bytes().unwrap() == expected);
    // Empty states add nothing.
    let nothing = fresh().calibration_bytes().unwrap();
    between.merge_calibration_bytes(&nothing).unwrap();
    assert!(between.calibration_bytes().unwrap() == expected);
    let mut from_nothing = fresh();
    from_nothing.merge_calibration_bytes(&nothing).unwrap();
    from_nothing.merge_calibration_bytes(&expected).unwrap();
    assert!(from_nothing.calibration_bytes().unwrap() == expected);
}

#[test]
fn files_and_memory_hold_the_same_and_many_files_merge_at_once() {
    let (network, qconfig) = (network("resnet_like"), QConfig::default_static());
    let data = DataSet::new(&network, SAMPLES, 7);
    let whole = one_pass(&network, &qconfig, &data);
    let expected = whole.calibration_bytes().unwrap();
    let folder = TemporaryFolder::new("calibration-files");
    whole.save_calibration(&folder.file("whole")).unwrap();
    assert!(std::fs::read(folder.file("whole")).unwrap() == expected);
    let paths: Vec<_> = (0..4).map(|shard| folder.file(&format!("shard{shard}"))).collect();
    for (path, state) in paths.iter().zip(shard_states(&network, &qconfig, &data)) {
        std::fs::write(path, state).unwrap();
    }
    let mut merged = prepare(&network, &qconfig, &context(1, Isa::detected()));
    merged.merge_calibrations(&paths).unwrap();
    assert!(merged.calibration_bytes().unwrap() == expected);
    let mut loaded = prepare(&network, &qconfig, &context(1, Isa::detected()));
    loaded.load_calibration(&folder.file("whole")).unwrap();
    assert!(loaded.calibration_bytes().unwrap() == expected);
}

#[test]
fn observers_that_depend_on_the_order_of_batches_do_not_depend_on_threads_or_instruction_set() {
    for observer in ["moving_average", "torch_histogram"] {
        for name in ["resnet_like", "mobilenet_v3_like", "two_inputs_two_outputs"] {
            let (network, qconfig) = (network(name), with_observer(observer));
            let data = DataSet::new(&network, SAMPLES, 8);
            let state = |threads: usize, isa: Isa| {
                let mut prepared = prepare(&network, &qconfig, &context(threads, isa));
                data.show_in_batches(&mut prepared, 0..SAMPLES, 4);
                prepared.calibration_bytes().unwrap()
            };
            let expected = state(1, Isa::Portable);
            for threads in [1, 2, 3, 8] {
                assert!(state(threads, Isa::detected()) == expected, "{name}: {observer} on {threads} threads");
            }
        }
    }
}

#[test]
fn images_of_several_sizes_give_the_same_bytes_in_any_order() {
    let mut builder = GraphBuilder::new();
    let x = builder.input("x", &[None, Some(2), None, None]).unwrap();
    let weights: Vec<f32> = (0..3 * 2 * 9).map(|i| (i as f32 * 0.7).sin()).collect();
    let y = builder.conv2d("conv", x, &weights, None, Conv2dAttributes::new(2, 3, [3, 3])).unwrap();
    let graph = FloatGraph::from_graph(builder.finish(&[y]).unwrap()).unwrap();
    let state = |sizes: &[(usize, usize)]| {
        let mut prepared = Prepared::new(&context(2, Isa::detected()), &graph, &QConfig::default_static(), None).unwrap();
        for &(batch, side) in sizes {
            let floats: Vec<f32> = (0..batch * 2 * side * side).map(|i| (i as f32 * 0.31).sin() * side as f32).collect();
            prepared.calibrate(&[TensorView::f32(&floats, &[batch, 2, side, side]).unwrap()]).unwrap();
        }
        prepared.calibration_bytes().unwrap()
    };
    let expected = state(&[(3, 9), (1, 7), (2, 12)]);
    assert!(state(&[(2, 12), (3, 9), (1, 7)]) == expected);
    assert!(state(&[(1, 7), (2, 12), (3, 9)]) == expected);
}
