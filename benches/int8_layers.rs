//! Whole int8 layers of ResNet-50 (borders, blocks and all) on one thread, beside the roof measured in the same run: bytes that lie in the
//! caches from the run before (`near`), and as in a network, where other layers' tensors have passed meanwhile (`far`).
//!
//! `of valid` leaves padded taps out: what a layer would reach if its kernel lost nothing. `cargo bench --bench int8_layers 3x3` runs the
//! layers whose names hold the word; a number is how many images pass a layer together (1 and 8).
#[path = "support/roofs.rs"]
mod roofs;

use roofs::{fastest, roof_of};
use rsquant::graph::{Bounds, QuantizedType};
use rsquant::isa::Isa;
use rsquant::pipeline::{
    Context, ContextOptions, ConvSizes, Operator, OperatorOptions, OperatorOutput, OperatorTensors, PackedWeights, WeightSizes,
    WeightValues,
};
use rsquant::quantize::QParams;

/// A convolution over square images.
struct Layer {
    name: &'static str,
    count: usize,
    size: usize,
    channels: [usize; 2],
    kernel: usize,
    stride: usize,
    residual: bool,
}

const fn layer(name: &'static str, count: usize, size: usize, channels: [usize; 2], kernel: usize, stride: usize, residual: bool) -> Layer {
    Layer { name, count, size, channels, kernel, stride, residual }
}

/// The convolutions of ResNet-50 at 224 x 224; and two, counted for nothing: one whose pixels lie 4 KB apart, and one whose transformed
/// weights are larger than an L2.
const LAYERS: [Layer; 24] = [
    layer("3x3 of 256", 0, 56, [256, 256], 3, 1, false),
    layer("1x1 of 4096", 0, 14, [4096, 1024], 1, 1, false),
    layer("stem 7x7/2", 1, 224, [3, 64], 7, 2, false),
    layer("L1 reduce k=64", 1, 56, [64, 64], 1, 1, false),
    layer("L1 reduce", 2, 56, [256, 64], 1, 1, false),
    layer("L1 3x3", 3, 56, [64, 64], 3, 1, false),
    layer("L1 expand", 3, 56, [64, 256], 1, 1, true),
    layer("L1 shortcut", 1, 56, [64, 256], 1, 1, false),
    layer("L2 reduce k=256", 1, 56, [256, 128], 1, 1, false),
    layer("L2 reduce", 3, 28, [512, 128], 1, 1, false),
    layer("L2 3x3/2", 1, 56, [128, 128], 3, 2, false),
    layer("L2 3x3", 3, 28, [128, 128], 3, 1, false),
    layer("L2 expand", 4, 28, [128, 512], 1, 1, true),
    layer("L2 shortcut/2", 1, 56, [256, 512], 1, 2, false),
    layer("L3 reduce", 5, 14, [1024, 256], 1, 1, false),
    layer("L3 3x3/2", 1, 28, [256, 256], 3, 2, false),
    layer("L3 3x3", 5, 14, [256, 256], 3, 1, false),
    layer("L3 expand", 6, 14, [256, 1024], 1, 1, true),
    layer("L3 shortcut/2", 1, 28, [512, 1024], 1, 2, false),
    layer("L4 reduce", 2, 7, [2048, 512], 1, 1, false),
    layer("L4 3x3/2", 1, 14, [512, 512], 3, 2, false),
    layer("L4 3x3", 2, 7, [512, 512], 3, 1, false),
    layer("L4 expand", 3, 7, [512, 2048], 1, 1, true),
    layer("L4 shortcut/2", 1, 14, [1024, 2048], 1, 2, false),
];

/// Bytes that pass between two runs of a layer: more than an L2, less than a last-level cache.
const PASSING_BYTES: usize = 6 << 20;

impl Layer {
    fn output(&self) -> usize {
        self.size / self.stride
    }

    fn padding(&self) -> usize {
        self.kernel / 2
    }

    /// Valid taps along one axis, of all outputs.
    fn valid_taps(&self) -> usize {
        let valid = |out: usize, tap: usize| (0..self.size).contains(&(out * self.stride + tap).wrapping_sub(self.padding()));
        (0..self.output()).map(|out| (0..self.kernel).filter(|&tap| valid(out, tap)).count()).sum()
    }

    /// 10^6 operations of an image, padded taps counted or not.
    fn mop(&self, padded: bool) -> f64 {
        let taps = if padded { self.output() * self.kernel } else { self.valid_taps() };
        2.0 * (taps * taps * self.channels[0] * self.channels[1]) as f64 / 1e6
    }

    fn operator(&self, context: &Context) -> Operator {
        let [ic, oc] = self.channels;
        let sizes = WeightSizes { out_channels: oc, in_channels: ic, groups: 1, kernel: [self.kernel; 2] };
        let values: Vec<i8> = (0..(oc * ic * self.kernel * self.kernel) as u32).map(noise).map(|byte| byte as i8).collect();
        let weights = PackedWeights::new(sizes, WeightValues::S8(&values, &[0.01]), None).expect("weights");
        let qparams = |zero_point| QParams { scale: 0.05, zero_point };
        let options = OperatorOptions {
            input: qparams(if self.kernel == 7 { 114 } else { 0 }),
            output: OperatorOutput::U8(QuantizedType { qparams: qparams(0), low: 0, high: 255 }),
            residual: self.residual.then_some(qparams(0)),
            bounds: Bounds { low: 0.0, high: f32::INFINITY },
            strides: [if ic == 3 { 4 } else { 0 }, 0, 0],
        };
        let padding = [self.padding(); 4];
        let sizes = ConvSizes { input: [self.size; 2], strides: [self.stride; 2], dilations: [1, 1], padding };
        Operator::conv2d(context, &weights, options, sizes).expect("an operator")
    }
}

fn noise(index: u32) -> u8 {
    (index.wrapping_mul(2_654_435_761) >> 13) as u8
}

/// Everything that runs of a layer need.
struct Tensors {
    src: Vec<u8>,
    dst: Vec<u8>,
    residual: Option<Vec<u8>>,
    scratch: Vec<u8>,
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let (numbers, words): (Vec<_>, Vec<_>) = words.iter().partition(|word| word.parse::<usize>().is_ok());
    let images: Vec<usize> =
        if numbers.is_empty() { vec![1, 8] } else { numbers.iter().map(|word| word.parse().expect("a number")).collect() };
    let Some(roof) = roof_of(Isa::detected()) else { return println!("portable code has no roof") };
    println!("roof of {}: {roof}", Isa::detected());
    let context = Context::new(ContextOptions { threads: 1, ..ContextOptions::default() }).expect("a context");
    for images in images {
        let mut sums = [0.0; 3];
        for layer in LAYERS.iter().filter(|layer| words.iter().all(|word| layer.name.contains(word.as_str()))) {
            let [near, far] = times(layer, &context, images);
            let roof = roof_of(Isa::detected()).map_or(f64::NAN, |roof| roof.gops);
            let share = |seconds: f64, padded| 100.0 * layer.mop(padded) * images as f64 / 1e3 / seconds / roof;
            println!(
                "{images} x {:15} near {:7.1} us an image, {:5.1} % of roof, {:5.1} of valid    far {:7.1} us, {:5.1} %, {:5.1}",
                layer.name,
                near / images as f64 * 1e6,
                share(near, true),
                share(near, false),
                far / images as f64 * 1e6,
                share(far, true),
                share(far, false)
            );
            let count = layer.count as f64;
            [layer.mop(true) / roof * 1e3, near / images as f64 * 1e6, far / images as f64 * 1e6]
                .iter()
                .zip(&mut sums)
                .for_each(|(value, sum)| *sum += count * value);
        }
        let [ideal, near, far] = sums;
        println!(
            "{images} x all near {near:.0} us, {:.1} % of roof    far {far:.0} us, {:.1} %",
            100.0 * ideal / near,
            100.0 * ideal / far
        );
    }
}

/// Seconds of a run near and far.
fn times(layer: &Layer, context: &Context, images: usize) -> [f64; 2] {
    let operator = layer.operator(context);
    let spans = operator.spans(images).expect("sizes");
    let bytes = |len: usize| (0..len as u32).map(noise).collect::<Vec<u8>>();
    let residual = layer.residual.then(|| bytes(spans[2]));
    let mut tensors = Tensors { src: bytes(spans[0]), dst: vec![0; spans[1]], residual, scratch: vec![0; operator.info().scratch_bytes] };
    let mut run = || {
        let Tensors { src, dst, residual, scratch } = &mut tensors;
        let tensors = OperatorTensors { src, residual: residual.as_deref(), dst };
        operator.run(images, tensors, Some(scratch)).expect("a run");
    };
    let rounds = (2e9 / 1e6 / (layer.mop(true) * images as f64)).ceil() as usize;
    let near = fastest(|| (0..rounds).for_each(|_| run())) / rounds as f64;
    let mut passing = bytes(PASSING_BYTES);
    let far = (0..9).map(|_| {
        passing.chunks_mut(64).for_each(|line| line[0] = line[0].wrapping_add(1));
        std::hint::black_box(&mut passing);
        let start = std::time::Instant::now();
        run();
        start.elapsed().as_secs_f64()
    });
    let mut far: Vec<f64> = far.collect();
    far.sort_by(f64::total_cmp);
    [near, far[far.len() / 2]]
}
