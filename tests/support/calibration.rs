//! Data sets for the small networks, and prepared graphs that see parts of them.
#![allow(dead_code)]
use super::networks::{NetworkEntry, all};
use rsquant::error::Result;
use rsquant::isa::Isa;
use rsquant::pipeline::{Context, ContextOptions, FloatGraph, Prepared};
use rsquant::quantize::QConfig;
use rsquant::tensor::TensorView;
use std::ops::Range;
use std::path::PathBuf;

/// The network of that name.
pub fn network(name: &str) -> NetworkEntry {
    all().into_iter().find(|network| network.name == name).unwrap_or_else(|| panic!("no network {name}"))
}

pub fn context(threads: usize, max_isa: Isa) -> Context {
    Context::new(ContextOptions { threads, max_isa: Some(max_isa), ..ContextOptions::default() }).unwrap()
}

/// Samples for every input of a network, the same for the same seed. The range grows with the sample, so that histograms change their grid
/// while they collect.
pub struct DataSet {
    shapes: Vec<Vec<usize>>,
    floats: Vec<Vec<f32>>,
}

impl DataSet {
    pub fn new(network: &NetworkEntry, samples: usize, seed: u32) -> Self {
        let shapes: Vec<Vec<usize>> = network.inputs.iter().map(|input| input.shape[1..].to_vec()).collect();
        let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        };
        let of_shape = |shape: &Vec<usize>| {
            let len: usize = shape.iter().product();
            (0..samples * len).map(|index| next() * (1.0 + 0.2 * (index / len.max(1)) as f32)).collect()
        };
        let floats = shapes.iter().map(of_shape).collect();
        Self { shapes, floats }
    }

    /// Floats of input `input`, all samples.
    pub fn floats_mut(&mut self, input: usize) -> &mut Vec<f32> {
        &mut self.floats[input]
    }

    /// Shows samples `range` as one batch.
    pub fn show(&self, prepared: &mut Prepared, range: Range<usize>) -> Result<()> {
        let dims: Vec<Vec<usize>> = self.shapes.iter().map(|shape| [&[range.len()], shape.as_slice()].concat()).collect();
        let views: Vec<TensorView> = self
            .floats
            .iter()
            .zip(&dims)
            .map(|(floats, dims)| {
                let sample: usize = dims[1..].iter().product();
                TensorView::f32(&floats[range.start * sample..range.end * sample], dims).unwrap()
            })
            .collect();
        prepared.calibrate(&views)
    }

    /// Shows samples `range`, `batch` at a time.
    pub fn show_in_batches(&self, prepared: &mut Prepared, range: Range<usize>, batch: usize) {
        for first in range.clone().step_by(batch) {
            self.show(prepared, first..range.end.min(first + batch)).unwrap();
        }
    }
}

/// A prepared graph of the network that has seen nothing.
pub fn prepare(network: &NetworkEntry, qconfig: &QConfig, context: &Context) -> Prepared {
    let graph = FloatGraph::from_onnx_file(&network.model()).unwrap();
    let shapes = network.inputs.iter().map(|input| input.shape.clone()).collect();
    Prepared::new(context, &graph, qconfig, Some(shapes)).unwrap_or_else(|error| panic!("{}: {error}", network.name))
}

/// A folder that goes with its test.
pub struct TemporaryFolder(pub PathBuf);

impl TemporaryFolder {
    pub fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("rsquant-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
