//! Observers and qparams against torch 2.8: `tests/data/golden/observers.json`.
use super::{ChannelMinMax, ObserverKind, ObserverState};
use crate::quantize::{QType, Scheme, Target, choose_qparams};
use serde::Deserialize;
use std::collections::HashMap;

#[derive(Deserialize)]
struct Vectors {
    inputs: HashMap<String, Vec<Batch>>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Batch {
    offset: usize,
    shape: Vec<usize>,
}

#[derive(Deserialize)]
struct Case {
    input: String,
    observer: String,
    args: Args,
    scale: Vec<f64>,
    zero_point: Vec<i32>,
    min: Vec<f32>,
    max: Vec<f32>,
}

#[derive(Deserialize)]
struct Args {
    dtype: String,
    qscheme: String,
    reduce_range: bool,
    ch_axis: Option<usize>,
}

type Ranges = Vec<Option<(f32, f32)>>;

fn golden(name: &str) -> Vec<u8> {
    std::fs::read(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/golden").join(name)).unwrap()
}

fn ranges_of(case: &Case, batches: &[(&[f32], &[usize])]) -> Ranges {
    let axis = case.args.ch_axis.unwrap_or(0);
    let per_tensor = |kind| {
        let mut state = ObserverState::new(kind);
        batches.iter().for_each(|(values, _)| state.observe_batch(&values.chunks(1000).collect::<Vec<_>>()));
        vec![match &state {
            ObserverState::TorchHistogram(histogram) => histogram.search(),
            other => other.range(),
        }]
    };
    match case.observer.as_str() {
        "MinMaxObserver" => per_tensor(ObserverKind::MinMax),
        "MovingAverageMinMaxObserver" => per_tensor(ObserverKind::MovingAverage),
        "HistogramObserver" => per_tensor(ObserverKind::TorchHistogram),
        "PerChannelMinMaxObserver" => {
            let mut state = ChannelMinMax::new(batches[0].1[axis]);
            batches.iter().for_each(|(values, dims)| state.observe(values, dims, axis).unwrap());
            state.ranges()
        }
        // A moving average of each channel: its values gathered into batches of their own.
        "MovingAveragePerChannelMinMaxObserver" => {
            let mut states = vec![ObserverState::new(ObserverKind::MovingAverage); batches[0].1[axis]];
            for (values, dims) in batches {
                let inner: usize = dims[axis + 1..].iter().product();
                for (channel, state) in states.iter_mut().enumerate() {
                    let rows: Vec<&[f32]> = values.chunks_exact(inner).skip(channel).step_by(dims[axis]).collect();
                    state.observe_batch(&rows);
                }
            }
            states.iter().map(ObserverState::range).collect()
        }
        other => panic!("unknown observer {other}"),
    }
}

#[test]
fn every_torch_case_matches() {
    let vectors: Vectors = serde_json::from_slice(&golden("observers.json")).unwrap();
    let floats: Vec<f32> = golden("observers.f32").as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect();
    assert_eq!(vectors.cases.len(), 728);
    let mut a_bin_apart = 0;
    for case in &vectors.cases {
        let batches: Vec<(&[f32], &[usize])> = vectors.inputs[&case.input]
            .iter()
            .map(|batch| (&floats[batch.offset..][..batch.shape.iter().product()], batch.shape.as_slice()))
            .collect();
        let qtype = if case.args.dtype == "quint8" { QType::U8 } else { QType::S8 };
        let scheme = if case.args.qscheme.ends_with("affine") { Scheme::Affine } else { Scheme::Symmetric };
        let target = Target { qtype, scheme, reduce_range: case.args.reduce_range };
        let label = format!("{} on {} {target:?} axis {:?}", case.observer, case.input, case.args.ch_axis);
        let ranges = ranges_of(case, &batches);
        assert_eq!(ranges.len(), case.scale.len(), "{label}");
        let is_search = case.observer == "HistogramObserver";
        for (channel, range) in ranges.iter().enumerate() {
            let (low, high) = range.unwrap();
            // Torch's histogram keeps the observed range; what its search finds shows in the qparams.
            if !is_search {
                assert_eq!((low, high), (case.min[channel], case.max[channel]), "{label}");
            }
            let qparams = choose_qparams(low, high, target).unwrap();
            let same_scale = (f64::from(qparams.scale) / case.scale[channel] - 1.0).abs() <= 1e-6;
            if same_scale && qparams.native_zero_point(qtype) == case.zero_point[channel] {
                continue;
            }
            let bin = f64::from(case.max[channel] - case.min[channel]) / 2048.0;
            let apart = (f64::from(qparams.scale) - case.scale[channel]).abs() * f64::from(target.steps());
            assert!(is_search && apart <= 1.01 * bin, "{label}: {qparams:?}, torch {} {}", case.scale[channel], case.zero_point[channel]);
            a_bin_apart += 1;
        }
    }
    assert!(a_bin_apart <= 1, "{a_bin_apart} of the histogram's cases are a bin apart, 1 % are allowed");
}
