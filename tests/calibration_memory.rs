//! Calibration's memory depends neither on the number of batches nor, but for the float arena, on the batch. The allocator counts all
//! threads, so this file has one test.
#[path = "support/calibration.rs"]
mod calibration;
#[path = "support/counting_allocator.rs"]
mod counting_allocator;
#[path = "support/networks.rs"]
mod networks;

use calibration::{DataSet, context, network, prepare};
use counting_allocator::{Counting, live, peak_of};
use rsquant::isa::Isa;
use rsquant::pipeline::{Context, FloatGraph, Prepared, Session, SessionOptions};
use rsquant::quantize::QConfig;
use rsquant::quantize::observer::ObserverKind;
use rsquant::tensor::TensorView;
use std::path::Path;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What thread pools and the test harness may allocate on the side, whenever they like.
const SLACK_BYTES: usize = 64 << 10;

/// Memory of the process that is resident, by the kernel's account; `None` where it keeps none.
fn resident_bytes() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<usize>().ok()? << 10)
}

/// What the system's allocator may keep of memory that was given back.
const RESIDENT_SLACK_BYTES: usize = 4 << 20;

fn a_thousand_batches_use_no_more_than_ten(observer: ObserverKind) {
    let network = network("resnet_like");
    let mut qconfig = QConfig::default_static();
    qconfig.defaults.activation.observer = observer;
    let data = DataSet::new(&network, 40, 3);
    let mut prepared = prepare(&network, &qconfig, &context(2, Isa::detected()));
    let before = live();
    let mut ten_batches = || (0..10).for_each(|batch| data.show(&mut prepared, 4 * batch..4 * batch + 4).unwrap());
    let ((), first) = peak_of(&mut ten_batches);
    let held = live() - before;
    let resident = resident_bytes();
    let ((), later) = peak_of(|| (0..99).for_each(|_| ten_batches()));
    println!("{}: at most {first} bytes in ten batches, {} in a thousand", observer.name(), held + later);
    assert!(held + later <= first + SLACK_BYTES, "{}: {} bytes, after {first}", observer.name(), held + later);
    assert!(live() - before <= held + SLACK_BYTES, "{}: {} bytes held, after {held}", observer.name(), live() - before);
    assert_eq!(prepared.samples(), 4000);
    match resident.zip(resident_bytes()) {
        Some((ten, thousand)) => {
            println!("{}: {ten} bytes resident after ten batches, {thousand} after a thousand", observer.name());
            assert!(thousand <= ten + RESIDENT_SLACK_BYTES, "{}: {thousand} bytes resident, after {ten}", observer.name());
        }
        None => println!("SKIPPED: /proc/self/status tells no resident memory"),
    }
}

/// Beyond the graph, the input and the float arena, at batch 128.
const MOST_BYTES: usize = 128 << 20;
/// A state, whatever the data.
const MOST_STATE_BYTES: usize = 8 << 20;

/// The ResNet-50 of the sample; graph and input are the caller's.
fn a_batch_of_128_needs_little_more_than_the_float_arena(observer: ObserverKind) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("cpp_tests/resnet50_cifar10/assets/resnet50_cifar10.onnx");
    if !file.exists() {
        println!("SKIPPED: {} is not in this package", file.display());
        return;
    }
    let context = Context::default_context().unwrap();
    let graph = FloatGraph::from_onnx_file(&file).unwrap();
    let dims = vec![128, 3, 224, 224];
    let options = SessionOptions { max_batch: 128, input_dims: Some(vec![dims.clone()]), ..SessionOptions::default() };
    let arena = Session::float(&context, &graph, options).unwrap().memory_bytes();
    let input: Vec<f32> = (0..128 * 3 * 224 * 224u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / 8_388_608.0 - 1.0).collect();
    let mut qconfig = QConfig::default_static();
    qconfig.defaults.activation.observer = observer;
    let mut prepared = Prepared::new(&context, &graph, &qconfig, None).unwrap();
    let (result, peak) = peak_of(|| prepared.calibrate(&[TensorView::f32(&input, &dims).unwrap()]));
    result.unwrap();
    let state = prepared.calibration_bytes().unwrap().len();
    println!("{}, batch 128: at most {peak} bytes, of which the arena {arena}; the state has {state}", observer.name());
    assert!(peak <= arena + MOST_BYTES, "{}: {peak} bytes, the arena {arena}", observer.name());
    assert!(state <= MOST_STATE_BYTES, "{state} bytes of state");
}

#[test]
fn memory_does_not_grow_with_the_data() {
    for observer in [ObserverKind::Histogram, ObserverKind::MinMax, ObserverKind::MovingAverage, ObserverKind::TorchHistogram] {
        a_thousand_batches_use_no_more_than_ten(observer);
    }
    a_batch_of_128_needs_little_more_than_the_float_arena(ObserverKind::Histogram);
}
