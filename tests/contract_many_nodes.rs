//! Contract line 13 for a network of 3,000 nodes, whose lists and tables have a hundred KiB and more: a refused one is an error too. Requests
//! are sampled, as there are millions: every one of 64 KiB and more, and some of the others. The allocator counts all threads, so
//! this file has one test.
#[path = "support/c_api.rs"]
mod c_api;
#[path = "support/failing_allocator.rs"]
mod failing_allocator;
#[path = "support/quiet_harness.rs"]
mod quiet_harness;

use c_api::*;
use failing_allocator::{FIRST_TO_FAIL, LARGEST_REFUSED, Mode, REQUESTS, SMALLEST, Scope, live_bytes, with_failure};
use prost::Message;
use prost::bytes::Bytes;
use rsquant::ffi::*;
use rsquant::memory::reserve_in_use;
use rsquant::onnx::proto::*;
use std::sync::atomic::Ordering::SeqCst;

/// Products, sums and activations, a third of 3,000 each.
const BLOCKS: usize = 1000;
const WIDTH: usize = 4;
/// What is large: more than the sizes that do not follow the number of nodes.
const LARGE: usize = 64 << 10;
/// Requests of any size that fail, spread over a step.
const SAMPLES: usize = 12;

fn value(name: &str) -> Bytes {
    let dims = [None, Some(WIDTH as i64)].map(|dim_value| DimensionProto { dim_value });
    let tensor_type = Some(TensorTypeProto { elem_type: TensorProto::FLOAT, shape: Some(TensorShapeProto { dim: dims.to_vec() }) });
    Bytes::from(ValueInfoProto { name: name.to_owned(), r#type: Some(TypeProto { tensor_type }) }.encode_to_vec())
}

fn node(op_type: &str, input: &[&str], output: &str) -> Bytes {
    let input = input.iter().map(|&name| name.to_owned()).collect();
    Bytes::from(NodeProto { input, output: vec![output.to_owned()], op_type: op_type.to_owned(), ..Default::default() }.encode_to_vec())
}

/// A residual network of rows of four floats.
fn network() -> Vec<u8> {
    let (mut nodes, mut initializer, mut last) = (Vec::new(), Vec::new(), "x".to_owned());
    for block in 0..BLOCKS {
        let [weight, product, sum, output] = ["w", "m", "a", "r"].map(|kind| format!("{kind}{block}"));
        let floats = (0..WIDTH * WIDTH).flat_map(|index| (((index * 7 + block * 13) % 11) as f32 * 0.1 - 0.5).to_le_bytes());
        let raw_data = Some(Bytes::from(floats.collect::<Vec<u8>>()));
        let dims = vec![WIDTH as i64; 2];
        let tensor = TensorProto { name: weight.clone(), data_type: TensorProto::FLOAT, dims, raw_data, ..Default::default() };
        initializer.push(Bytes::from(tensor.encode_to_vec()));
        nodes.push(node("MatMul", &[&last, &weight], &product));
        nodes.push(node("Add", &[&product, &last], &sum));
        nodes.push(node("Sigmoid", &[&sum], &output));
        last = output;
    }
    let graph = GraphProto { node: nodes, initializer, input: vec![value("x")], output: vec![value(&last)], ..Default::default() };
    let opset_import = vec![OperatorSetIdProto { domain: String::new(), version: 13 }];
    ModelProto { ir_version: 8, graph: Some(graph), opset_import }.encode_to_vec()
}

/// Fails sampled requests of `step`. `slack` is what other threads' queues may hold meanwhile, in bytes.
fn sampled_failures<R>(what: &str, slack: isize, mut step: impl FnMut() -> Outcome<R>, check: impl Fn(&R)) {
    let mut failures = 0;
    for smallest in [LARGE, 0] {
        SMALLEST.store(smallest, SeqCst);
        FIRST_TO_FAIL.store(usize::MAX, SeqCst);
        let (made, _) = with_failure(usize::MAX, Mode::One, Scope::Step, &mut step);
        check(&made.unwrap_or_else(|status| panic!("{what}: {status}, {}", message())));
        let requests = REQUESTS.load(SeqCst);
        let stride = if smallest == LARGE { 1 } else { requests / SAMPLES + 1 };
        let first = live_bytes();
        for (number, mode) in (1..=requests).step_by(stride).flat_map(|number| [(number, Mode::One), (number, Mode::AllFrom)]) {
            let (result, _) = with_failure(number, mode, Scope::Step, &mut step);
            match result {
                Ok(made) => check(&made),
                Err(RSQ_OUT_OF_MEMORY) => failures += 1,
                Err(status) => panic!("{what}, {mode:?}, request {number} from {smallest} bytes on: status {status}, {}", message()),
            }
            live_bytes(); // Another message takes the place of the failure's, which may lie in the reserve.
            let kept = reserve_in_use() as isize;
            assert!(kept <= slack, "{what}, {mode:?}, request {number}: {kept} bytes lie in the reserve");
        }
        let leaked = live_bytes() - first;
        assert!(leaked <= slack, "{what}: {leaked} bytes leaked");
        FIRST_TO_FAIL.store(usize::MAX, SeqCst);
        check(&step().unwrap_or_else(|status| panic!("{what}: {status} when tried again, {}", message())));
        println!("{what}: {requests} requests of {smallest} bytes and more");
    }
    assert!(failures > SAMPLES, "{what}: {failures} failures");
}

#[test]
fn line_13_lists_that_follow_the_number_of_nodes_are_errors_when_they_are_refused() {
    quiet_harness::wait_until_the_other_threads_sleep();
    const QUEUES: isize = 64 << 10;
    let onnx = network();
    let inputs = [Floats::new(&[2, WIDTH], (0..2 * WIDTH).map(|index| index as f32 * 0.1 - 0.3).collect())];
    let context = Context::with_threads(1);
    sampled_failures("import", 0, || Graph::from_bytes(None, &onnx), |_| ());
    let graph = Graph::from_bytes(None, &onnx).unwrap();
    let qconfig = QConfig::new_static().unwrap();
    qconfig.set("*", |layer| layer.activation_observer = RSQ_OBSERVER_MIN_MAX).unwrap();
    sampled_failures("prepare", 0, || Prepared::new(Some(&context), &graph, &qconfig), |_| ());
    let fresh = || Prepared::new(Some(&context), &graph, &qconfig);
    let calibrate = || fresh().and_then(|prepared| prepared.calibrate(&inputs).map(|()| prepared));
    let prepared = calibrate().unwrap();
    let statistics = prepared.to_bytes().unwrap();
    sampled_failures("calibrate", 0, calibrate, |made| assert!(made.to_bytes().unwrap() == statistics));
    sampled_failures("statistics to memory", 0, || prepared.to_bytes(), |bytes| assert!(*bytes == statistics));
    let expected = prepared.convert().unwrap().to_bytes().unwrap();
    let same = |model: &Model| assert!(model.to_bytes().unwrap() == expected);
    let taken = || fresh().and_then(|prepared| prepared.take(&statistics).map(|()| prepared));
    sampled_failures("statistics from memory", 0, taken, |made| assert!(made.to_bytes().unwrap() == statistics));
    sampled_failures("convert", QUEUES, || prepared.convert(), same);
    let model = prepared.convert().unwrap();
    sampled_failures("model to memory", 0, || model.to_bytes(), |bytes| assert!(*bytes == expected));
    sampled_failures("model from memory", 0, || Model::from_bytes(Some(&context), &expected), same);
    for (what, is_int8) in [("an int8 run", true), ("a float run", false)] {
        let session = || if is_int8 { Session::new(&model, 4) } else { Session::float(Some(&context), &graph, 4) };
        let outputs = session().unwrap().run(&inputs).unwrap();
        sampled_failures(what, 0, || session().and_then(|session| session.run(&inputs)), |made| assert!(*made == outputs));
    }
    assert!(LARGEST_REFUSED.load(SeqCst) > 2 * LARGE);
}
