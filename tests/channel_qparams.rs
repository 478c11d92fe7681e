//! Activation qparams of each channel: depthwise convolutions compute the formula of NUMERICS' section 5 with them, on every instruction set, thread
//! count and batch; who cannot have them says why; calibration, recipe and model file hold them.
#[path = "support/calibration.rs"]
mod calibration;
#[path = "support/networks.rs"]
mod networks;

use calibration::context;
use rsquant::error::{Error, Result};
use rsquant::graph::{Bounds, Conv2dAttributes, Graph, GraphBuilder, Padding};
use rsquant::isa::Isa;
use rsquant::pipeline::{Context, FloatGraph, LayerPrecision, Model, Prepared, Session, SessionOptions, TuneOptions, sensitivity, tune};
use rsquant::quantize::qconfig::ActivationSettings;
use rsquant::quantize::{LayerSettings, ObserverKind, QConfig, QParams, Recipe, Target, WeightQConfig, choose_qparams, quantize_weights};
use rsquant::tensor::{TensorView, TensorViewMut};

/// Between -1 and 1, the same for the same seed.
fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// Images whose channels have ranges of their own, some about zero, some far from it.
fn images(count: usize, [channels, height, width]: [usize; 3], seed: u32) -> Vec<f32> {
    let mut floats = numbers(count * channels * height * width, seed);
    for (plane, values) in floats.chunks_exact_mut(height * width).enumerate() {
        let channel = plane % channels;
        let (factor, shift) = (0.01 * 1.7f32.powi(channel as i32 % 14), if channel % 3 == 1 { 0.8 } else { 0.0 });
        values.iter_mut().for_each(|value| *value = (*value + shift) * factor);
    }
    floats
}

/// min/max and qparams of each channel for the layers in `scope`.
fn per_channel(scope: &str) -> QConfig {
    let mut qconfig = QConfig::default_static();
    let activation = ActivationSettings { per_channel: Some(true), observer: Some(ObserverKind::MinMax), ..ActivationSettings::default() };
    qconfig.set(scope, LayerSettings { activation, ..LayerSettings::default() }).unwrap();
    qconfig
}

/// A depthwise layer and its floats.
struct Layer {
    attributes: Conv2dAttributes,
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Layer {
    fn new(channels: usize, kernel: [usize; 2], strides: [usize; 2], dilations: [usize; 2], padding: [usize; 4], seed: u32) -> Self {
        let [top, left, bottom, right] = padding;
        let padding = Padding::Explicit { top, left, bottom, right };
        let attributes =
            Conv2dAttributes { strides, dilations, padding, groups: channels, ..Conv2dAttributes::new(channels, channels, kernel) };
        Self { attributes, weights: numbers(channels * kernel[0] * kernel[1], seed), bias: numbers(channels, seed + 1) }
    }

    fn padding(&self) -> [usize; 4] {
        let Padding::Explicit { top, left, bottom, right } = self.attributes.padding else { panic!("explicit padding") };
        [top, left, bottom, right]
    }

    fn output(&self, [channels, height, width]: [usize; 3]) -> [usize; 3] {
        let [top, left, bottom, right] = self.padding();
        let a = &self.attributes;
        let size = |size: usize, pad: usize, axis: usize| (size + pad - a.dilations[axis] * (a.kernel[axis] - 1) - 1) / a.strides[axis] + 1;
        [channels, size(height, top + bottom, 0), size(width, left + right, 1)]
    }

    /// Multiplier, bias and accumulators of every output of one image of bytes, in the order of its channels.
    fn accumulate(&self, bytes: &[i64], shape: [usize; 3], zero_points: &[i32], each: &mut dyn FnMut(usize, i64)) {
        let ([_, height, width], [top, left, ..]) = (shape, self.padding());
        let (a, [channels, rows, cols]) = (&self.attributes, self.output(shape));
        let taps = a.kernel[0] * a.kernel[1];
        let quantized = quantize_weights(&self.weights, channels, &WeightQConfig::default()).unwrap();
        for channel in 0..channels {
            for (row, col) in (0..rows).flat_map(|row| (0..cols).map(move |col| (row, col))) {
                let mut acc = 0i64;
                for (ky, kx) in (0..a.kernel[0]).flat_map(|ky| (0..a.kernel[1]).map(move |kx| (ky, kx))) {
                    let y = (row * a.strides[0] + ky * a.dilations[0]).checked_sub(top).filter(|&y| y < height);
                    let x = (col * a.strides[1] + kx * a.dilations[1]).checked_sub(left).filter(|&x| x < width);
                    if let (Some(y), Some(x)) = (y, x) {
                        let a = bytes[(channel * height + y) * width + x] - i64::from(zero_points[channel]);
                        acc += a * i64::from(quantized.values[channel * taps + ky * self.attributes.kernel[1] + kx]);
                    }
                }
                each(channel, acc);
            }
        }
    }

    fn weight_scales(&self) -> Vec<f32> {
        quantize_weights(&self.weights, self.bias.len(), &WeightQConfig::default()).unwrap().scales
    }
}

/// Section 1, channel by channel.
fn quantized(floats: &[f32], qparams: &[QParams], plane: usize) -> Vec<i64> {
    let byte = |(index, &x): (usize, &f32)| {
        let QParams { scale, zero_point } = qparams[index / plane % qparams.len()];
        (zero_point as f32 + (x * (1.0 / scale)).round_ties_even()).clamp(0.0, 255.0) as i64
    };
    floats.iter().enumerate().map(byte).collect()
}

fn channel_ranges(floats: &[f32], channels: usize, plane: usize) -> Vec<QParams> {
    let range = |channel: usize| {
        let values = floats.chunks_exact(plane).skip(channel).step_by(channels).flatten();
        let (low, high) = values.fold((0f32, 0f32), |(low, high), &x| (low.min(x), high.max(x)));
        choose_qparams(low, high, Target::U8_AFFINE).unwrap()
    };
    (0..channels).map(range).collect()
}

fn run(model: &Model, floats: &[f32], shape: [usize; 3], output: [usize; 3], batch: usize) -> Vec<f32> {
    let mut session = Session::new(model, SessionOptions { max_batch: batch, ..SessionOptions::default() }).unwrap();
    let (sample, out) = (shape.iter().product::<usize>(), output.iter().product::<usize>());
    let mut all = Vec::new();
    for floats in floats.chunks(sample * batch) {
        let count = floats.len() / sample;
        let mut y = vec![0.0; count * out];
        let (dims, out_dims) = ([&[count], &shape[..]].concat(), [&[count], &output[..]].concat());
        session.run(&[TensorView::f32(floats, &dims).unwrap()], &mut [TensorViewMut::f32(&mut y, &out_dims).unwrap()]).unwrap();
        all.extend(y);
    }
    all
}

fn calibrated(context: &Context, graph: Graph, qconfig: &QConfig, floats: &[f32], shape: [usize; 3]) -> Result<Prepared> {
    let graph = FloatGraph::from_graph(graph).unwrap();
    let mut prepared = Prepared::new(context, &graph, qconfig, Some(vec![[&[1], &shape[..]].concat()]))?;
    for floats in floats.chunks(2 * shape.iter().product::<usize>()) {
        let dims = [&[floats.len() / shape.iter().product::<usize>()], &shape[..]].concat();
        prepared.calibrate(&[TensorView::f32(floats, &dims).unwrap()])?;
    }
    Ok(prepared)
}

fn input(builder: &mut GraphBuilder, [channels, height, width]: [usize; 3]) -> rsquant::graph::ValueId {
    builder.input("x", &[None, Some(channels), Some(height), Some(width)]).unwrap()
}

fn bits(floats: &[f32]) -> Vec<u32> {
    floats.iter().map(|x| x.to_bits()).collect()
}

fn each_context(mut check: impl FnMut(Isa, usize, &Context)) {
    for isa in Isa::ALL.into_iter().filter(|&isa| isa <= Isa::detected()) {
        for threads in [1, 2, 5] {
            check(isa, threads, &context(threads, isa));
        }
    }
    for isa in Isa::ALL.into_iter().filter(|&isa| isa > Isa::detected()) {
        println!("SKIPPED: {isa} (not on this CPU)");
    }
}

#[test]
fn a_depthwise_layer_is_its_formula_with_the_scale_and_zero_point_of_each_channel() {
    const COUNT: usize = 3;
    for (index, (shape, layer)) in [
        ([5, 9, 7], Layer::new(5, [3, 3], [1, 1], [1, 1], [1, 1, 1, 1], 1)),
        ([16, 8, 8], Layer::new(16, [3, 3], [2, 2], [1, 1], [1, 1, 1, 1], 3)),
        ([37, 6, 11], Layer::new(37, [5, 3], [1, 2], [1, 1], [2, 0, 1, 2], 5)),
        ([20, 12, 12], Layer::new(20, [3, 3], [1, 1], [2, 3], [2, 3, 2, 3], 7)),
    ]
    .into_iter()
    .enumerate()
    {
        let (plane, floats) = (shape[1] * shape[2], images(COUNT, shape, 40 + index as u32));
        let qparams = channel_ranges(&floats, shape[0], plane);
        assert!(qparams.iter().any(|one| one.zero_point > 100) && qparams.iter().any(|one| one.zero_point < 50));
        let zero_points: Vec<i32> = qparams.iter().map(|one| one.zero_point).collect();
        let scales = layer.weight_scales();
        let mut expected = Vec::new();
        for image in floats.chunks_exact(shape[0] * plane) {
            layer.accumulate(&quantized(image, &qparams, plane), shape, &zero_points, &mut |channel, acc| {
                let m = (f64::from(qparams[channel].scale) * f64::from(scales[channel])) as f32;
                expected.push(Bounds::RELU.apply((acc as f32).mul_add(m, layer.bias[channel])));
            });
        }
        let graph = || {
            let mut builder = GraphBuilder::new();
            let x = input(&mut builder, shape);
            let y = builder.conv2d("depthwise", x, &layer.weights, Some(&layer.bias), layer.attributes).unwrap();
            let y = builder.relu("relu", y).unwrap();
            builder.finish(&[y]).unwrap()
        };
        each_context(|isa, threads, context| {
            let prepared = calibrated(context, graph(), &per_channel("*"), &floats, shape).unwrap();
            let model = prepared.convert().unwrap();
            assert_eq!(model.layers()[0].precision, LayerPrecision::Int8Static);
            assert_eq!(model.layers()[0].reason, "");
            let loaded = Model::from_bytes(context, &model.to_bytes().unwrap()).unwrap();
            for batch in [1, 2, COUNT] {
                let found = run(&loaded, &floats, shape, layer.output(shape), batch);
                assert!(bits(&found) == bits(&expected), "shape {shape:?}, {isa}, {threads} threads, batches of {batch}");
            }
        });
    }
}

/// Two depthwise layers, then a 1 x 1 convolution: floats between the first two, bytes for the tensor before the last.
struct Chain {
    shape: [usize; 3],
    first: Layer,
    second: Layer,
    last: Vec<f32>,
}

const LAST_CHANNELS: usize = 6;

impl Chain {
    fn new() -> Self {
        let shape = [18, 10, 9];
        Self {
            shape,
            first: Layer::new(18, [3, 3], [1, 1], [1, 1], [1, 1, 1, 1], 11),
            second: Layer::new(18, [3, 3], [2, 1], [1, 1], [1, 0, 1, 2], 13),
            last: numbers(LAST_CHANNELS * 18, 15),
        }
    }

    fn graph(&self) -> Graph {
        let mut builder = GraphBuilder::new();
        let x = input(&mut builder, self.shape);
        let x = builder.conv2d("first", x, &self.first.weights, Some(&self.first.bias), self.first.attributes).unwrap();
        let x = builder.clip("relu6", x, 0.0, 6.0).unwrap();
        let x = builder.conv2d("second", x, &self.second.weights, Some(&self.second.bias), self.second.attributes).unwrap();
        let y = builder.conv2d("last", x, &self.last, None, Conv2dAttributes::new(18, LAST_CHANNELS, [1, 1])).unwrap();
        builder.finish(&[y]).unwrap()
    }

    fn output(&self) -> [usize; 3] {
        let [_, height, width] = self.second.output(self.first.output(self.shape));
        [LAST_CHANNELS, height, width]
    }

    /// What the recipe's numbers make of the images.
    fn expected(&self, recipe: &Recipe, floats: &[f32]) -> Vec<f32> {
        let entry = |index: usize| {
            let entry = &recipe.channel_activations[index];
            entry.scales.iter().zip(&entry.zero_points).map(|(&scale, &zero_point)| QParams { scale, zero_point }).collect::<Vec<_>>()
        };
        let (of_x, of_mid) = (entry(0), entry(1));
        let zero_points = |qparams: &[QParams]| qparams.iter().map(|one| one.zero_point).collect::<Vec<i32>>();
        let before_last = &recipe.activations[0];
        let (s_y, z_y) = (before_last.scale.unwrap(), before_last.zero_point.unwrap());
        let (scales, next_scales) = (self.first.weight_scales(), self.second.weight_scales());
        let last = quantize_weights(&self.last, LAST_CHANNELS, &WeightQConfig::default()).unwrap();
        let mid_shape = self.first.output(self.shape);
        let mut y = Vec::new();
        for image in floats.chunks_exact(self.shape.iter().product()) {
            let mut mid = Vec::new();
            let bytes = quantized(image, &of_x, self.shape[1] * self.shape[2]);
            self.first.accumulate(&bytes, self.shape, &zero_points(&of_x), &mut |channel, acc| {
                let m = (f64::from(of_x[channel].scale) * f64::from(scales[channel])) as f32;
                mid.push(Bounds { low: 0.0, high: 6.0 }.apply((acc as f32).mul_add(m, self.first.bias[channel])));
            });
            let bytes = quantized(&mid, &of_mid, mid_shape[1] * mid_shape[2]);
            let mut read = Vec::new();
            self.second.accumulate(&bytes, mid_shape, &zero_points(&of_mid), &mut |channel, acc| {
                let m = (f64::from(of_mid[channel].scale) * f64::from(next_scales[channel]) / f64::from(s_y)) as f32;
                let b = (f64::from(self.second.bias[channel]) / f64::from(s_y)) as f32;
                read.push((z_y as f32 + (acc as f32).mul_add(m, b).round_ties_even()).clamp(0.0, 255.0) as i64 - i64::from(z_y));
            });
            let plane = self.output()[1] * self.output()[2];
            for channel in 0..LAST_CHANNELS {
                let m = (f64::from(s_y) * f64::from(last.scales[channel])) as f32;
                let weights = &last.values[channel * 18..][..18];
                for pixel in 0..plane {
                    let acc: i64 = weights.iter().enumerate().map(|(k, &w)| i64::from(w) * read[k * plane + pixel]).sum();
                    y.push((acc as f32).mul_add(m, 0.0));
                }
            }
        }
        y
    }
}

#[test]
fn layers_in_a_row_and_the_tensor_behind_them_are_their_formulas() {
    let chain = Chain::new();
    let floats = images(4, chain.shape, 50);
    each_context(|isa, threads, context| {
        let prepared = calibrated(context, chain.graph(), &per_channel("op:Conv"), &floats, chain.shape).unwrap();
        let recipe = prepared.recipe().unwrap();
        assert_eq!((recipe.channel_activations.len(), recipe.activations.len()), (2, 1));
        let of_x = channel_ranges(&floats, chain.shape[0], chain.shape[1] * chain.shape[2]);
        assert_eq!(recipe.channel_activations[0].tensor, "x");
        assert_eq!(recipe.channel_activations[0].scales, of_x.iter().map(|one| one.scale).collect::<Vec<_>>());
        let model = prepared.convert().unwrap();
        assert!(model.layers().iter().all(|layer| layer.precision == LayerPrecision::Int8Static), "{:?}", model.layers());
        let reason = &model.layers().last().unwrap().reason;
        assert!(reason.contains("one set") && reason.contains("depthwise"), "{reason}");
        let expected = chain.expected(&recipe, &floats);
        for batch in [1, 4] {
            let found = run(&model, &floats, chain.shape, chain.output(), batch);
            assert!(bits(&found) == bits(&expected), "{isa}, {threads} threads, batches of {batch}");
        }
    });
}

fn squared_error(exact: &[f32], found: &[f32]) -> f64 {
    exact.iter().zip(found).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum()
}

#[test]
fn channels_of_unlike_ranges_lose_less_than_with_one_set_for_the_tensor() {
    let chain = Chain::new();
    let (context, floats) = (context(2, Isa::detected()), images(4, chain.shape, 51));
    let graph = FloatGraph::from_graph(chain.graph()).unwrap();
    let mut session = Session::float(&context, &graph, SessionOptions { max_batch: 4, ..SessionOptions::default() }).unwrap();
    let (dims, out_dims) = ([&[4], &chain.shape[..]].concat(), [&[4], &chain.output()[..]].concat());
    let mut exact = vec![0.0; out_dims.iter().product()];
    session.run(&[TensorView::f32(&floats, &dims).unwrap()], &mut [TensorViewMut::f32(&mut exact, &out_dims).unwrap()]).unwrap();
    let error = |qconfig: &QConfig| {
        let model = calibrated(&context, chain.graph(), qconfig, &floats, chain.shape).unwrap().convert().unwrap();
        squared_error(&exact, &run(&model, &floats, chain.shape, chain.output(), 4))
    };
    let mut for_the_tensor = QConfig::default_static();
    for_the_tensor.defaults.activation.observer = ObserverKind::MinMax;
    let (tensor, channels) = (error(&for_the_tensor), error(&per_channel("op:Conv")));
    println!("per channel {:.1} dB closer to float", 10.0 * (tensor / channels).log10());
    assert!(channels < tensor, "{channels} against {tensor}");
}

#[test]
fn who_cannot_have_them_says_why_and_strict_makes_it_an_error() {
    let chain = Chain::new();
    let (context, floats) = (context(1, Isa::detected()), images(2, chain.shape, 52));
    // `first` and a convolution read the same image.
    let forked = || {
        let mut builder = GraphBuilder::new();
        let x = input(&mut builder, chain.shape);
        let a = builder.conv2d("first", x, &chain.first.weights, None, chain.first.attributes).unwrap();
        let b = builder.conv2d("beside", x, &chain.last, None, Conv2dAttributes::new(18, LAST_CHANNELS, [1, 1])).unwrap();
        builder.finish(&[a, b]).unwrap()
    };
    let mut qconfig = per_channel("name:first");
    let min_max = ActivationSettings { observer: Some(ObserverKind::MinMax), ..ActivationSettings::default() };
    qconfig.set("*", LayerSettings { activation: min_max, ..LayerSettings::default() }).unwrap();
    let model = calibrated(&context, forked(), &qconfig, &floats, chain.shape).unwrap().convert().unwrap();
    let layer = &model.layers()[0];
    assert_eq!((layer.name.as_str(), layer.precision), ("first", LayerPrecision::Int8Static));
    assert!(layer.reason.contains("beside (Conv) reads its input x too"), "{}", layer.reason);
    assert!(layer.input.is_some());
    qconfig.strict = true;
    let refused = calibrated(&context, forked(), &qconfig, &floats, chain.shape).err();
    assert!(matches!(&refused, Some(Error::Unsupported(text)) if text.contains("node first") && text.contains("beside")), "{refused:?}");
    let mut strict = per_channel("op:Conv");
    strict.strict = true;
    let refused = calibrated(&context, chain.graph(), &strict, &floats, chain.shape).err();
    assert!(matches!(&refused, Some(Error::Unsupported(text)) if text.contains("node last")), "{refused:?}");
    strict.overrides[0].scope = "name:*st".into();
    strict.overrides[0].settings.activation.per_channel = None;
    strict
        .set(
            "name:first",
            LayerSettings { activation: ActivationSettings { per_channel: Some(true), ..min_max }, ..LayerSettings::default() },
        )
        .unwrap();
    calibrated(&context, chain.graph(), &strict, &floats, chain.shape).unwrap();
}

#[test]
fn contradictory_settings_are_refused_by_scope_and_field() {
    let refusal = |mut base: QConfig, change: &dyn Fn(&mut ActivationSettings)| {
        let mut settings = LayerSettings::default();
        change(&mut settings.activation);
        base.set("op:Conv", settings).unwrap();
        match base.validate() {
            Err(Error::InvalidArgument(text)) => text,
            other => panic!("{other:?}"),
        }
    };
    let text = refusal(QConfig::default_static(), &|a| a.per_channel = Some(true));
    assert!(["op:Conv", "activation.per_channel", "min_max"].iter().all(|part| text.contains(part)), "{text}");
    let text = refusal(QConfig::default_dynamic(), &|a| (a.per_channel, a.observer) = (Some(true), Some(ObserverKind::MinMax)));
    assert!(["op:Conv", "activation.per_channel", "static"].iter().all(|part| text.contains(part)), "{text}");
    // What is set for operators without weights holds for nobody.
    let chain = Chain::new();
    let mut qconfig = QConfig::default_static();
    qconfig.defaults.activation.observer = ObserverKind::MinMax;
    let activation = ActivationSettings { per_channel: Some(true), ..ActivationSettings::default() };
    qconfig.set("op:GlobalAveragePool", LayerSettings { activation, ..LayerSettings::default() }).unwrap();
    let mut builder = GraphBuilder::new();
    let x = input(&mut builder, chain.shape);
    let x = builder.conv2d("first", x, &chain.first.weights, None, chain.first.attributes).unwrap();
    let x = builder.global_average_pool("pool", x).unwrap();
    let y = builder.conv2d("last", x, &chain.last, None, Conv2dAttributes::new(18, LAST_CHANNELS, [1, 1])).unwrap();
    let graph = builder.finish(&[y]).unwrap();
    let refused = calibrated(&context(1, Isa::Portable), graph, &qconfig, &images(1, chain.shape, 1), chain.shape).err();
    assert!(matches!(&refused, Some(Error::InvalidArgument(text)) if text.contains("of each channel")), "{refused:?}");
}

#[test]
fn statistics_of_channels_merge_to_one_pass_and_are_not_those_of_tensors() {
    let chain = Chain::new();
    let floats = images(6, chain.shape, 53);
    let sample: usize = chain.shape.iter().product();
    let prepared = |threads, isa, floats: &[f32]| {
        calibrated(&context(threads, isa), chain.graph(), &per_channel("op:Conv"), floats, chain.shape).unwrap()
    };
    let whole = prepared(2, Isa::detected(), &floats);
    let (a, b) = (prepared(1, Isa::Portable, &floats[..sample]), prepared(3, Isa::detected(), &floats[sample..]));
    let mut merged = prepared(1, Isa::detected(), &[]);
    merged.merge_calibration_bytes(&b.calibration_bytes().unwrap()).unwrap();
    merged.merge_calibration_bytes(&a.calibration_bytes().unwrap()).unwrap();
    assert!(merged.calibration_bytes().unwrap() == whole.calibration_bytes().unwrap());
    assert!(merged.convert().unwrap().to_bytes().unwrap() == whole.convert().unwrap().to_bytes().unwrap());
    let mut for_the_tensor = QConfig::default_static();
    for_the_tensor.defaults.activation.observer = ObserverKind::MinMax;
    let mut other = calibrated(&context(1, Isa::detected()), chain.graph(), &for_the_tensor, &[], chain.shape).unwrap();
    let refused = other.load_calibration_bytes(&whole.calibration_bytes().unwrap());
    assert!(matches!(&refused, Err(Error::Mismatch(text)) if text.contains("observe")), "{refused:?}");
    assert_eq!(other.samples(), 0);
    let unseen = prepared(1, Isa::detected(), &[]).convert();
    assert!(matches!(&unseen, Err(Error::NotCalibrated(_))), "{unseen:?}");
}

#[test]
fn the_recipe_holds_every_channel_and_what_is_edited_in_it_counts() {
    let chain = Chain::new();
    let (context, floats) = (context(2, Isa::detected()), images(4, chain.shape, 54));
    let graph = FloatGraph::from_graph(chain.graph()).unwrap();
    let prepared = calibrated(&context, chain.graph(), &per_channel("op:Conv"), &floats, chain.shape).unwrap();
    let recipe = Recipe::from_json(&prepared.recipe().unwrap().to_json().unwrap()).unwrap();
    let model = Model::from_recipe(&context, &graph, &recipe).unwrap();
    assert!(model.to_bytes().unwrap() == prepared.convert().unwrap().to_bytes().unwrap());
    let mut edited = recipe.clone();
    // The widest: a clamp may leave another nothing but zeros.
    let scales = &mut edited.channel_activations[1].scales;
    let widest = (0..scales.len()).max_by(|&a, &b| scales[a].total_cmp(&scales[b])).unwrap();
    scales[widest] *= 2.0;
    let found = run(&Model::from_recipe(&context, &graph, &edited).unwrap(), &floats, chain.shape, chain.output(), 4);
    assert!(bits(&found) == bits(&chain.expected(&edited, &floats)));
    assert!(bits(&found) != bits(&chain.expected(&recipe, &floats)));
    let refusal = |change: &dyn Fn(&mut Recipe)| {
        let mut recipe = recipe.clone();
        change(&mut recipe);
        Model::from_recipe(&context, &graph, &recipe).map(|model| model.layers().len()).unwrap_err().to_string()
    };
    let text = refusal(&|recipe| {
        recipe.channel_activations[0].scales.pop();
    });
    assert!(text.contains("channel_activations[0].scales") && text.contains("18 channels"), "{text}");
    let text = refusal(&|recipe| recipe.channel_activations[1].scales[3] = -1.0);
    assert!(text.contains("channel_activations[1].scales[3]"), "{text}");
    let text = refusal(&|recipe| recipe.channel_activations[1].zero_points[2] = 256);
    assert!(text.contains("channel_activations[1].zero_points[2]"), "{text}");
    let text = refusal(&|recipe| {
        recipe.channel_activations.pop();
    });
    assert!(text.contains("relu6") || text.contains("first"), "{text}");
    let text = refusal(&|recipe| recipe.channel_activations[1].tensor = "y".into());
    assert!(text.contains("\"y\""), "{text}");
    let text = refusal(&|recipe| recipe.channel_activations.push(recipe.channel_activations[0].clone()));
    assert!(text.contains("already"), "{text}");
}

#[test]
fn such_layers_are_ranked_and_tuned_like_others() {
    let chain = Chain::new();
    let (context, floats) = (context(2, Isa::detected()), images(4, chain.shape, 55));
    let prepared = calibrated(&context, chain.graph(), &per_channel("op:Conv"), &floats, chain.shape).unwrap();
    let dims = [&[4], &chain.shape[..]].concat();
    let inputs = [TensorView::f32(&floats, &dims).unwrap()];
    let ranked = sensitivity(&prepared, &inputs, &mut |_, _| Ok(())).unwrap();
    assert_eq!(ranked.layers.len(), 3);
    assert!(ranked.layers.iter().all(|layer| layer.sqnr_db.is_finite()));
    let options = TuneOptions { max_float_layers: Some(1), ..TuneOptions::default() };
    let tuned = tune(&prepared, &inputs, options, None, &mut |_, _| Ok(())).unwrap();
    assert!(tuned.metric > tuned.int8_metric);
    let graph = FloatGraph::from_graph(chain.graph()).unwrap();
    assert_eq!(Model::from_recipe(&context, &graph, &tuned.recipe).unwrap().layers().len(), tuned.model.layers().len());
}
