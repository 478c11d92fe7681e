//! Dynamic linear layers of every grain and rule against the formulas of NUMERICS sections 2, 5 and 6, written out here.
use rsquant::error::Error;
use rsquant::graph::{Bounds, Conv2dAttributes, Graph, GraphBuilder, ValueId};
use rsquant::isa::Isa;
use rsquant::pipeline::{Context, ContextOptions, FloatGraph, Prepared, Session, SessionOptions};
use rsquant::quantize::qconfig::ActivationSettings;
use rsquant::quantize::{DynamicQuantization, DynamicRule, Grain, LayerSettings, QConfig, WeightQConfig, quantize_weights};
use rsquant::tensor::{TensorView, TensorViewMut};

const GRAINS: [Grain; 3] = [Grain::PerSample, Grain::PerRow, Grain::PerTensor];
const SAMPLES: usize = 5;
/// Rows of a sample.
const ROWS: usize = 3;
/// Elements of a row, and of a row of the output.
const K: usize = 21;
const N: usize = 37;

fn numbers(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    // Samples of different sizes, so that their ranges differ.
    (0..count).map(|at| next() * (1.0 + (at / 17 % 7) as f32)).collect()
}

fn qconfig(quantization: DynamicQuantization) -> QConfig {
    let mut qconfig = QConfig::default_dynamic();
    let DynamicQuantization { grain, rule, reduce_range } = quantization;
    let activation =
        ActivationSettings { grain: Some(grain), rule: Some(rule), reduce_range: Some(reduce_range), ..ActivationSettings::default() };
    qconfig.set("*", LayerSettings { activation, ..LayerSettings::default() }).unwrap();
    qconfig
}

fn run(context: &Context, graph: Graph, qconfig: &QConfig, x: &[f32], dims: &[usize]) -> Vec<f32> {
    let graph = FloatGraph::from_graph(graph).unwrap();
    let model = Prepared::new(context, &graph, qconfig, Some(vec![dims.to_vec()])).unwrap().convert().unwrap();
    let options = SessionOptions { max_batch: dims[0], ..SessionOptions::default() };
    let mut session = Session::new(&model, options).unwrap();
    let out_dims = session.output_dims(&[dims.to_vec()]).unwrap().remove(0);
    let mut y = vec![f32::NAN; out_dims.iter().product()];
    session.run(&[TensorView::f32(x, dims).unwrap()], &mut [TensorViewMut::f32(&mut y, &out_dims).unwrap()]).unwrap();
    y
}

/// A graph of one input `[n, ROWS, K]`.
fn graph(build: impl FnOnce(&mut GraphBuilder, ValueId) -> ValueId) -> Graph {
    let mut builder = GraphBuilder::new();
    let x = builder.input("x", &[None, Some(ROWS), Some(K)]).unwrap();
    let y = build(&mut builder, x);
    builder.finish(&[y]).unwrap()
}

/// Rows that share a set of qparams with row `row`.
fn mates(grain: Grain, row: usize) -> std::ops::Range<usize> {
    match grain {
        Grain::PerSample => row / ROWS * ROWS..(row / ROWS + 1) * ROWS,
        Grain::PerRow => row..row + 1,
        Grain::PerTensor => 0..SAMPLES * ROWS,
    }
}

fn expected(quantization: DynamicQuantization, x: &[f32], weights: &[f32], bias: &[f32], bounds: Bounds) -> Vec<f32> {
    let quantized = quantize_weights(weights, N, &WeightQConfig::default()).unwrap();
    let mut y = Vec::new();
    for row in 0..SAMPLES * ROWS {
        let mates = mates(quantization.grain, row);
        let values = &x[mates.start * K..mates.end * K];
        let (low, high) = values.iter().fold((0f32, 0f32), |(low, high), &x| (low.min(x), high.max(x)));
        let qparams = quantization.qparams(low, high).unwrap();
        let top = f32::from(quantization.high());
        let byte = |x: f32| match quantization.rule {
            DynamicRule::Native => (qparams.zero_point as f32 + (x * (1.0 / qparams.scale)).round_ties_even()).clamp(0.0, top) as i64,
            DynamicRule::Torch => x.mul_add(1.0 / qparams.scale, qparams.zero_point as f32).round_ties_even().clamp(0.0, top) as i64,
        };
        for channel in 0..N {
            let terms =
                (0..K).map(|k| (byte(x[row * K + k]) - i64::from(qparams.zero_point)) * i64::from(quantized.values[channel * K + k]));
            let acc: i64 = terms.sum();
            let m = (f64::from(qparams.scale) * f64::from(quantized.scales[channel])) as f32;
            y.push(bounds.apply((acc as f32).mul_add(m, bias[channel])));
        }
    }
    y
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn a_linear_layer_is_its_formula_for_every_grain_rule_and_range() {
    let (x, weights, bias) = (numbers(SAMPLES * ROWS * K, 1), numbers(N * K, 2), numbers(N, 3));
    for grain in GRAINS {
        for rule in [DynamicRule::Native, DynamicRule::Torch] {
            for reduce_range in [false, true] {
                let quantization = DynamicQuantization { grain, rule, reduce_range };
                for bounds in [Bounds::NONE, Bounds::RELU] {
                    let expected = expected(quantization, &x, &weights, &bias, bounds);
                    for threads in [1, 2, 4] {
                        let context = Context::new(ContextOptions { threads, ..ContextOptions::default() }).unwrap();
                        let graph = graph(|b, x| {
                            let y = b.linear("l", x, &weights, Some(&bias), N, K).unwrap();
                            if bounds == Bounds::RELU { b.relu("r", y).unwrap() } else { y }
                        });
                        let found = run(&context, graph, &qconfig(quantization), &x, &[SAMPLES, ROWS, K]);
                        assert!(bits(&found) == bits(&expected), "{quantization:?} {bounds:?} on {threads} threads");
                    }
                }
            }
        }
    }
}

#[test]
fn grains_of_one_layer_differ_and_a_residual_is_added_after_scaling() {
    let (x, weights, bias) = (numbers(SAMPLES * ROWS * K, 4), numbers(K * K, 5), numbers(K, 6));
    let context = Context::default_context().unwrap();
    let mut seen: Vec<Vec<u32>> = Vec::new();
    for grain in GRAINS {
        let quantization = DynamicQuantization { grain, ..DynamicQuantization::PER_SAMPLE };
        let plain = graph(|b, x| b.linear("l", x, &weights, Some(&bias), K, K).unwrap());
        let plain = run(&context, plain, &qconfig(quantization), &x, &[SAMPLES, ROWS, K]);
        let fused = graph(|b, x| {
            let y = b.linear("l", x, &weights, Some(&bias), K, K).unwrap();
            b.add("sum", y, x).unwrap()
        });
        let fused = run(&context, fused, &qconfig(quantization), &x, &[SAMPLES, ROWS, K]);
        let sums: Vec<f32> = plain.iter().zip(&x).map(|(y, x)| y + x).collect();
        assert_eq!(bits(&fused), bits(&sums), "{grain:?}");
        assert!(!seen.contains(&bits(&plain)), "{grain:?}");
        seen.push(bits(&plain));
    }
}

#[test]
fn a_batch_and_its_samples_agree_unless_qparams_are_per_tensor() {
    let (x, weights) = (numbers(SAMPLES * ROWS * K, 7), numbers(N * K, 8));
    let context = Context::default_context().unwrap();
    for grain in GRAINS {
        let qconfig = qconfig(DynamicQuantization { grain, ..DynamicQuantization::PER_SAMPLE });
        let layer = || graph(|b, x| b.linear("l", x, &weights, None, N, K).unwrap());
        let whole = run(&context, layer(), &qconfig, &x, &[SAMPLES, ROWS, K]);
        let alone: Vec<f32> = x.chunks_exact(ROWS * K).flat_map(|sample| run(&context, layer(), &qconfig, sample, &[1, ROWS, K])).collect();
        assert_eq!(bits(&whole) == bits(&alone), grain != Grain::PerTensor, "{grain:?}");
    }
}

#[test]
fn a_convolution_has_grains_but_no_rows() {
    let convolution = || {
        let mut builder = GraphBuilder::new();
        let x = builder.input("x", &[None, Some(3), Some(5), Some(5)]).unwrap();
        let attributes = Conv2dAttributes::new(3, 4, [3, 3]);
        let y = builder.conv2d("c", x, &numbers(4 * 27, 9), None, attributes).unwrap();
        builder.finish(&[y]).unwrap()
    };
    let x = numbers(4 * 75, 10);
    for isa in Isa::ALL.into_iter().filter(|&isa| isa <= Isa::detected()) {
        let context = Context::new(ContextOptions { threads: 2, max_isa: Some(isa), ..ContextOptions::default() }).unwrap();
        let of = |grain, rule| qconfig(DynamicQuantization { grain, rule, reduce_range: false });
        let by = |grain, rule, x: &[f32]| run(&context, convolution(), &of(grain, rule), x, &[x.len() / 75, 3, 5, 5]);
        let sample = by(Grain::PerSample, DynamicRule::Native, &x);
        let tensor = by(Grain::PerTensor, DynamicRule::Native, &x);
        assert_ne!(bits(&sample), bits(&tensor));
        // A batch of one is its own batch mate, and the two rules differ at ties alone.
        let first = &x[..75];
        let one = by(Grain::PerTensor, DynamicRule::Native, first);
        assert_eq!(bits(&one), bits(&by(Grain::PerSample, DynamicRule::Native, first)));
        let torch = by(Grain::PerTensor, DynamicRule::Torch, first);
        let largest = one.iter().fold(0f32, |max, y| max.max(y.abs()));
        assert!(one.iter().zip(&torch).all(|(a, b)| (a - b).abs() <= 0.02 * largest), "{one:?} {torch:?}");
        let graph = FloatGraph::from_graph(convolution()).unwrap();
        let refused = Prepared::new(&context, &graph, &of(Grain::PerRow, DynamicRule::Native), Some(vec![vec![1, 3, 5, 5]])).err();
        assert!(matches!(&refused, Some(Error::Unsupported(text)) if text.contains("per_row") && text.contains("node c")), "{refused:?}");
    }
}

#[test]
fn a_number_that_is_not_finite_is_named_by_sample_and_element() {
    let weights = numbers(N * K, 11);
    let context = Context::default_context().unwrap();
    for grain in GRAINS {
        let mut x = numbers(SAMPLES * ROWS * K, 12);
        x[(3 * ROWS + 2) * K + 7] = f32::NAN;
        let graph = FloatGraph::from_graph(graph(|b, x| b.linear("l", x, &weights, None, N, K).unwrap())).unwrap();
        let qconfig = qconfig(DynamicQuantization { grain, ..DynamicQuantization::PER_SAMPLE });
        let dims = [SAMPLES, ROWS, K];
        let model = Prepared::new(&context, &graph, &qconfig, Some(vec![dims.to_vec()])).unwrap().convert().unwrap();
        let mut session = Session::new(&model, SessionOptions { max_batch: SAMPLES, ..SessionOptions::default() }).unwrap();
        let mut y = vec![0.0; SAMPLES * ROWS * N];
        let result = session.run(&[TensorView::f32(&x, &dims).unwrap()], &mut [TensorViewMut::f32(&mut y, &[SAMPLES, ROWS, N]).unwrap()]);
        let error = result.unwrap_err();
        let (sample, element) = if grain == Grain::PerTensor { (None, None) } else { (Some("sample 3"), Some(2 * K + 7)) };
        let names = |text: &str| {
            text.contains("tensor x")
                && sample.is_none_or(|sample| text.contains(sample))
                && element.is_none_or(|element| text.contains(&format!("element {element} ")))
        };
        assert!(matches!(&error, Error::NotFinite(text) if names(text)), "{grain:?}: {error}");
        assert!(y.iter().all(|&y| y == 0.0), "outputs are written on success only");
    }
}
