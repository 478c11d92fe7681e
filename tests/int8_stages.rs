//! A network whose late layers have large weights and small images, so that several samples pass them at a time: the bits are
//! those of each sample alone, for every batch, thread count and instruction set.
use rsquant::graph::{Conv2dAttributes, Graph, GraphBuilder, Padding};
use rsquant::isa::Isa;
use rsquant::pipeline::{Context, ContextOptions, FloatGraph, Model, Prepared, Session, SessionOptions};
use rsquant::quantize::QConfig;
use rsquant::tensor::{TensorView, TensorViewMut};

const SIDE: usize = 48;
const SAMPLE: usize = 3 * SIDE * SIDE;
const CLASSES: usize = 5;
const BATCH: usize = 11;

/// Numbers in -1..1 that look random and are always the same.
fn noise(len: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(747_796_405).wrapping_add(2_891_336_453);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// An image of 144 KB a channel group first, then 3x3 layers with a residual whose weights are 1 MB each over 6 x 6 pixels.
fn network() -> Graph {
    let mut builder = GraphBuilder::new();
    let padded = |attributes: Conv2dAttributes| Conv2dAttributes {
        padding: Padding::Explicit { top: 1, left: 1, bottom: 1, right: 1 },
        ..attributes
    };
    let mut seed = 0;
    let mut layer = |builder: &mut GraphBuilder, name: &str, x, ic: usize, oc: usize, stride: usize| {
        seed += 1;
        let weights: Vec<f32> = noise(oc * ic * 9, seed).into_iter().map(|w| w * (1.0 / (ic as f32 * 3.0)).sqrt()).collect();
        let attributes = padded(Conv2dAttributes { strides: [stride; 2], ..Conv2dAttributes::new(ic, oc, [3, 3]) });
        builder.conv2d(name, x, &weights, Some(&noise(oc, seed + 100)), attributes).unwrap()
    };
    let image = builder.input("image", &[None, Some(3), Some(SIDE), Some(SIDE)]).unwrap();
    let mut x = layer(&mut builder, "wide", image, 3, 128, 1);
    x = builder.relu("wide_relu", x).unwrap();
    x = layer(&mut builder, "narrow", x, 128, 344, 8);
    x = builder.relu("narrow_relu", x).unwrap();
    for index in 0..2 {
        let a = layer(&mut builder, &format!("late{index}"), x, 344, 344, 1);
        let sum = builder.add(&format!("sum{index}"), a, x).unwrap();
        x = builder.relu(&format!("late_relu{index}"), sum).unwrap();
    }
    let pooled = builder.global_average_pool("pool", x).unwrap();
    let flat = builder.flatten("flat", pooled, 1).unwrap();
    let logits = builder.linear("logits", flat, &noise(CLASSES * 344, 77), None, CLASSES, 344).unwrap();
    builder.finish(&[logits]).unwrap()
}

fn context(threads: usize, max_isa: Isa) -> Context {
    Context::new(ContextOptions { threads, max_isa: Some(max_isa), ..ContextOptions::default() }).unwrap()
}

fn run(session: &mut Session, images: &[f32]) -> Vec<u32> {
    let count = images.len() / SAMPLE;
    let mut logits = vec![f32::NAN; count * CLASSES];
    let (input, output) = ([count, 3, SIDE, SIDE], [count, CLASSES]);
    let views = [TensorView::f32(images, &input).unwrap()];
    session.run(&views, &mut [TensorViewMut::f32(&mut logits, &output).unwrap()]).unwrap();
    logits.into_iter().map(f32::to_bits).collect()
}

fn model(graph: &FloatGraph, context: &Context, qconfig: &QConfig, images: &[f32]) -> Model {
    let mut prepared = Prepared::new(context, graph, qconfig, None).unwrap();
    let dims = [images.len() / SAMPLE, 3, SIDE, SIDE];
    prepared.calibrate(&[TensorView::f32(images, &dims).unwrap()]).unwrap();
    prepared.convert().unwrap()
}

#[test]
fn samples_that_share_a_pass_over_the_weights_get_the_bits_that_they_get_alone() {
    let graph = FloatGraph::from_graph(network()).unwrap();
    let images = noise(BATCH * SAMPLE, 4242);
    for (name, qconfig) in [("static", Some(QConfig::default_static())), ("dynamic", Some(QConfig::default_dynamic())), ("float", None)] {
        let made = |threads: usize, isa: Isa, max_batch: usize| {
            let context = context(threads, isa);
            let options = SessionOptions { max_batch, ..SessionOptions::default() };
            match &qconfig {
                Some(qconfig) => Session::new(&model(&graph, &context, qconfig, &images[..2 * SAMPLE]), options).unwrap(),
                None => Session::float(&context, &graph, options).unwrap(),
            }
        };
        let mut alone = made(1, Isa::AmxInt8, 1);
        let expected: Vec<u32> = images.chunks(SAMPLE).flat_map(|image| run(&mut alone, image)).collect();
        assert!(expected.iter().any(|&bits| f32::from_bits(bits) != 0.0));
        for (threads, isa, batch) in [
            (1, Isa::AmxInt8, BATCH),
            (2, Isa::AmxInt8, BATCH),
            (3, Isa::AmxInt8, BATCH),
            (2, Isa::AvxVnni, 5),
            (1, Isa::Avx2, 8),
            (2, Isa::Avx2, BATCH),
        ] {
            let mut session = made(threads, isa, batch);
            let got: Vec<u32> = images.chunks(batch * SAMPLE).flat_map(|images| run(&mut session, images)).collect();
            assert!(got == expected, "{name}: {threads} threads, {isa}, batches of {batch}");
        }
        let mut portable = made(1, Isa::Portable, 2);
        assert!(run(&mut portable, &images[..2 * SAMPLE]) == expected[..2 * CLASSES], "{name}: portable");
    }
}
