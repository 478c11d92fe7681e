//! The solver `auto` against the default `l2`: no tensor loses by it, and no network's result does, for kinds of networks that have little in
//! common: convolutions with residuals, depthwise convolutions with gates, attention.
#[path = "support/realistic_networks.rs"]
mod realistic_networks;

use realistic_networks::{Numbers, attention_network, depthwise_network};
use rsquant::error::Result;
use rsquant::pipeline::{CalibratedTensor, Comparison, Context, FloatGraph, Prepared};
use rsquant::quantize::{QConfig, SolverKind};
use rsquant::tensor::TensorView;
use std::path::{Path, PathBuf};

/// What `auto` may lose of the outputs' SQNR.
const MOST_LOST_DB: f64 = 0.1;

/// The same on one network and a few images, whose figure is as uncertain as that. On 1,000 images `scripts/solver_table.py` asks for
/// [`MOST_LOST_DB`] before it writes docs/SOLVERS.md.
const MOST_LOST_ON_FEW_IMAGES_DB: f64 = 0.5;

/// A float graph with images to calibrate from and others to compare on.
struct Case {
    name: &'static str,
    graph: FloatGraph,
    sample: Vec<usize>,
    calibration: Vec<f32>,
    test: Vec<f32>,
    batch: usize,
}

impl Case {
    fn each_batch(&self, floats: &[f32], mut show: impl FnMut(&[TensorView<'_>]) -> Result<()>) {
        let sample: usize = self.sample.iter().product();
        for batch in floats.chunks(sample * self.batch) {
            let dims = [&[batch.len() / sample], self.sample.as_slice()].concat();
            show(&[TensorView::f32(batch, &dims).unwrap()]).unwrap();
        }
    }

    /// What `solver` makes of the statistics of one pass over the data.
    fn solved(&self, statistics: &[u8], solver: SolverKind) -> (Vec<CalibratedTensor>, f64) {
        let prepared = self.prepared(solver, |prepared| prepared.load_calibration_bytes(statistics));
        let model = prepared.convert().unwrap();
        let mut comparison = Comparison::new(&self.graph, &model).unwrap();
        self.each_batch(&self.test, |views| comparison.add(views));
        (prepared.calibrated_tensors().unwrap(), comparison.outputs()[0].sqnr_db)
    }

    fn prepared(&self, solver: SolverKind, fill: impl FnOnce(&mut Prepared) -> Result<()>) -> Prepared {
        let mut qconfig = QConfig::default_static();
        qconfig.defaults.activation.solver = Some(solver);
        let mut prepared = Prepared::new(&Context::default_context().unwrap(), &self.graph, &qconfig, None).unwrap();
        fill(&mut prepared).unwrap();
        prepared
    }

    /// Checks every tensor; how many of them `auto` improves, and the outputs' SQNR with `auto` less that with `l2`.
    fn auto_beside_l2(&self) -> (usize, f64) {
        let calibrated = self.prepared(SolverKind::L2, |prepared| {
            self.each_batch(&self.calibration, |views| prepared.calibrate(views));
            Ok(())
        });
        let statistics = calibrated.calibration_bytes().unwrap();
        let (l2, l2_db) = self.solved(&statistics, SolverKind::L2);
        let (auto, auto_db) = self.solved(&statistics, SolverKind::Auto);
        assert_eq!(l2.len(), auto.len());
        let mut better = 0;
        for (l2, auto) in l2.iter().zip(&auto) {
            assert_eq!(l2.names, auto.names);
            // The signal over the mse objective: the greater one has the lesser objective.
            let (of_l2, of_auto) = (l2.solved.predicted_sqnr_db.unwrap(), auto.solved.predicted_sqnr_db.unwrap());
            assert!(of_auto >= of_l2, "{}: {:?} with {of_auto} dB, l2 with {of_l2} dB", self.name, l2.names);
            better += usize::from(of_auto > of_l2);
        }
        println!("{}: auto improves {better} of {} tensors; outputs {auto_db:.2} dB, l2 {l2_db:.2} dB", self.name, l2.len());
        (better, auto_db - l2_db)
    }
}

/// One network's figure moves by some tenths of a dB whichever solver is taken, as roundings of many layers meet; so networks of a kind are
/// drawn several times, and `auto` must hold on the mean.
fn auto_loses_nothing_to_l2(draw: impl Fn(&mut Numbers) -> Case) {
    const DRAWS: u64 = 10;
    let (mut better, mut gained) = (0, 0.0);
    for seed in 1..=DRAWS {
        let (of_draw, gain) = draw(&mut Numbers::new(seed)).auto_beside_l2();
        better += of_draw;
        gained += gain;
    }
    let mean = gained / DRAWS as f64;
    println!("auto gains {mean:.3} dB over l2 on the mean");
    assert!(better > 0, "auto chose as l2 does for every tensor, so nothing was compared");
    assert!(mean >= -MOST_LOST_DB, "auto loses {} dB to l2 on the mean", -mean);
}

#[test]
fn auto_loses_nothing_to_l2_on_depthwise_networks_with_gates() {
    auto_loses_nothing_to_l2(|numbers| {
        let graph = FloatGraph::from_graph(depthwise_network(numbers)).unwrap();
        let sample = vec![3, 32, 32];
        let (calibration, test) = (numbers.images(128, &sample), numbers.images(256, &sample));
        Case { name: "depthwise", graph, sample, calibration, test, batch: 32 }
    });
}

#[test]
fn auto_loses_nothing_to_l2_on_attention_networks() {
    auto_loses_nothing_to_l2(|numbers| {
        let graph = FloatGraph::from_graph(attention_network(numbers)).unwrap();
        let sample = vec![realistic_networks::TOKENS, realistic_networks::WIDTH];
        let (calibration, test) = (numbers.tokens(128), numbers.tokens(512));
        Case { name: "attention", graph, sample, calibration, test, batch: 32 }
    });
}

const SIDE: usize = 224;

/// The first images of a CIFAR-10 file, resized to 224 x 224 (bilinear, pixel centres aligned) and normalized to -1..1.
fn cifar10(file: &Path, images: usize) -> Vec<f32> {
    const RECORD: usize = 1 + 3 * 32 * 32;
    let bytes = std::fs::read(file).unwrap();
    let tap = |at: usize| {
        let x = ((at as f32 + 0.5) * 32.0 / SIDE as f32 - 0.5).clamp(0.0, 31.0);
        (x as usize, (x as usize + 1).min(31), x.fract())
    };
    let mut floats = Vec::with_capacity(images * 3 * SIDE * SIDE);
    for plane in bytes.chunks_exact(RECORD).take(images).flat_map(|record| record[1..].chunks_exact(32 * 32)) {
        for (top, bottom, down) in (0..SIDE).map(tap) {
            for (left, right, along) in (0..SIDE).map(tap) {
                let row = |y: usize| f32::from(plane[y * 32 + left]) * (1.0 - along) + f32::from(plane[y * 32 + right]) * along;
                floats.push((row(top) * (1.0 - down) + row(bottom) * down) / 127.5 - 1.0);
            }
        }
    }
    floats
}

#[test]
fn auto_is_best_for_every_tensor_of_the_resnet50_and_as_good_as_l2_on_its_logits() {
    let assets = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("cpp_tests/resnet50_cifar10/assets");
    if !assets.exists() {
        println!("SKIPPED: {} is not in this package", assets.display());
        return;
    }
    let graph = FloatGraph::from_onnx_file(&assets.join("resnet50_cifar10.onnx")).unwrap();
    let (calibration, test) = (cifar10(&assets.join("data_batch_1.bin"), 24), cifar10(&assets.join("test_batch.bin"), 32));
    let (better, gain) = Case { name: "resnet50", graph, sample: vec![3, SIDE, SIDE], calibration, test, batch: 8 }.auto_beside_l2();
    assert!(better > 0, "auto chose as l2 does for every tensor");
    assert!(gain >= -MOST_LOST_ON_FEW_IMAGES_DB, "auto loses {} dB to l2", -gain);
}
