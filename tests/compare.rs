//! Comparisons of a model with its float graph: the figures are those of their definitions, and do not depend on how it was run.
#[path = "support/networks.rs"]
mod networks;
#[path = "support/pipeline_runs.rs"]
mod pipeline_runs;

use networks::{NetworkEntry, all};
use pipeline_runs::*;
use rsquant::error::Error;
use rsquant::isa::Isa;
use rsquant::pipeline::{Comparison, Context, INPUT_OPERATOR, LayerPrecision};
use rsquant::quantize::{LayerSettings, Mode, QConfig, SolverKind};
use rsquant::tensor::TensorView;

fn network(name: &str) -> NetworkEntry {
    all().into_iter().find(|network| network.name == name).unwrap()
}

fn compared(context: &Context, network: &NetworkEntry, qconfig: &QConfig) -> Comparison {
    let model = calibrated(context, network, qconfig).convert().unwrap();
    let mut comparison = Comparison::new(&graph(network), &model).unwrap_or_else(|error| panic!("{}: {error}", network.name));
    with_inputs(network, |views| comparison.add(views)).unwrap_or_else(|error| panic!("{}: {error}", network.name));
    comparison
}

#[test]
fn outputs_are_as_close_as_two_sessions_find_them() {
    let context = Context::default_context().unwrap();
    let mut compared_outputs = 0;
    for network in all() {
        for qconfig in [QConfig::default_static(), QConfig::default_dynamic()] {
            let comparison = compared(&context, &network, &qconfig);
            let (float, int8) = (run_float(&context, &network), run_model(&network, comparison.model()));
            for ((output, float), int8) in comparison.outputs().iter().zip(&float).zip(&int8) {
                let expected = sqnr_db(float, int8);
                let fits = (output.sqnr_db - expected).abs() < 1e-6 || output.sqnr_db == expected;
                assert!(fits, "{} {}: {} dB, two sessions {expected}", network.name, output.name, output.sqnr_db);
                let largest = |values: &[f32]| (0..values.len()).fold(0, |best, i| if values[i] > values[best] { i } else { best });
                let entry = network.outputs.iter().find(|entry| entry.name == output.name).unwrap();
                if let [samples, classes] = entry.shape[..] {
                    let agreeing = (0..samples).filter(|s| {
                        let of = |values: &[f32]| largest(&values[s * classes..(s + 1) * classes]);
                        of(float) == of(int8)
                    });
                    let expected = (classes > 1).then(|| agreeing.count() as f64 / samples as f64);
                    assert_eq!(output.top1_agreement, expected, "{} {}", network.name, output.name);
                    compared_outputs += 1;
                }
            }
        }
    }
    assert!(compared_outputs > 20);
}

#[test]
fn every_int8_layer_is_compared_and_close() {
    let context = Context::default_context().unwrap();
    for network in all() {
        let comparison = compared(&context, &network, &QConfig::default_static());
        let rows = comparison.layers();
        for layer in comparison.model().layers().iter().filter(|layer| layer.operator == "Conv" || layer.operator == "Gemm") {
            let row = rows.iter().find(|row| row.name == layer.name).unwrap_or_else(|| panic!("{}: {}", network.name, layer.name));
            assert_eq!((row.precision, row.operator.as_str()), (LayerPrecision::Int8Static, layer.operator.as_str()));
            assert!(row.sqnr_db > 15.0 && row.sqnr_db.is_finite(), "{}: {row:?}", network.name);
            assert!(row.cosine > 0.98 && row.cosine <= 1.0 + 1e-12, "{}: {row:?}", network.name);
        }
        for row in &rows {
            // A range that a clamp behind the layer narrows is no loss.
            let most = if network.name.starts_with("clip") { 1.0 } else { 0.05 };
            assert!(row.clip_low >= 0.0 && row.clip_high >= 0.0 && row.clip_low + row.clip_high < most, "{}: {row:?}", network.name);
        }
    }
}

#[test]
fn a_float_model_is_the_graph_itself() {
    let context = Context::default_context().unwrap();
    let mut qconfig = QConfig::default_static();
    qconfig.skip("*").unwrap();
    for name in ["resnet_like", "mobilenet_v2_like", "inception_like", "two_inputs_two_outputs"] {
        let comparison = compared(&context, &network(name), &qconfig);
        assert!(comparison.layers().len() > 3);
        for row in comparison.layers() {
            assert_eq!(
                (row.sqnr_db, row.precision, row.clip_low, row.clip_high),
                (f64::INFINITY, LayerPrecision::Float, 0.0, 0.0),
                "{name}"
            );
            assert!((row.cosine - 1.0).abs() < 1e-12);
        }
        assert!(
            comparison
                .outputs()
                .iter()
                .all(|output| output.sqnr_db == f64::INFINITY && output.top1_agreement.is_none_or(|share| share == 1.0))
        );
    }
}

#[test]
fn clip_rates_are_the_shares_outside_the_range() {
    let context = Context::default_context().unwrap();
    let network = network("resnet_like");
    let mut qconfig = QConfig::default_static();
    let mut settings = LayerSettings::default();
    settings.activation.solver = Some(SolverKind::Percentile { p: 90.0 });
    qconfig.set("*", settings).unwrap();
    let comparison = compared(&context, &network, &qconfig);
    let rows = comparison.layers();
    let input = &rows[0];
    assert_eq!((input.operator.as_str(), input.name.as_str()), (INPUT_OPERATOR, "image"));
    let first = comparison.model().layers().iter().find(|layer| layer.operator == "Conv").unwrap().input.unwrap();
    let floats = network.floats("input", 0);
    let level = |x: f32| (x / first.scale).round_ties_even() as i32 + first.zero_point;
    let share = |count: usize| count as f64 / floats.len() as f64;
    assert_eq!(input.clip_low, share(floats.iter().filter(|&&x| level(x) < 0).count()));
    assert_eq!(input.clip_high, share(floats.iter().filter(|&&x| level(x) > 255).count()));
    assert!(input.clip_low > 0.03 && input.clip_high > 0.03, "{input:?}");
    assert!(rows.iter().skip(1).any(|row| row.clip_high > 0.05), "some layer clips too");
}

/// Every figure as bits.
fn figures(comparison: &Comparison) -> Vec<(String, u64, Vec<u64>)> {
    let layers = comparison.layers().into_iter().map(|row| {
        let bits = [row.sqnr_db, row.cosine, row.clip_low, row.clip_high].map(f64::to_bits).to_vec();
        (row.name, row.values, bits)
    });
    let outputs = comparison.outputs().into_iter().map(|row| {
        let bits = [row.sqnr_db, row.cosine, row.top1_agreement.unwrap_or(-1.0)].map(f64::to_bits).to_vec();
        (row.name, 0, bits)
    });
    layers.chain(outputs).collect()
}

#[test]
fn figures_do_not_depend_on_isa_threads_or_batches() {
    for name in ["resnet_like", "mobilenet_v3_like", "vit_like"] {
        let network = network(name);
        let dims = dims(&network);
        let samples = 7;
        let data = vec![noise(samples * dims[0][1..].iter().product::<usize>(), 3)];
        let model = calibrated(&context(1, Isa::Portable), &network, &QConfig::default_static()).convert().unwrap().to_bytes().unwrap();
        let with = |context: &Context, batch: usize| {
            let model = rsquant::pipeline::Model::from_bytes(context, &model).unwrap();
            let mut comparison = Comparison::new(&graph(&network), &model).unwrap();
            for first in (0..samples).step_by(batch) {
                with_samples(&data, &dims, first, batch.min(samples - first), |views| comparison.add(views)).unwrap();
            }
            assert_eq!(comparison.samples(), samples as u64);
            figures(&comparison)
        };
        let expected = with(&context(1, Isa::Portable), samples);
        for isa in Isa::ALL.into_iter().filter(|&isa| isa <= Isa::detected()) {
            for (threads, batch) in [(1, samples), (2, 3), (3, samples), (8, 1)] {
                assert!(with(&context(threads, isa), batch) == expected, "{name}: {isa}, {threads} threads, batches of {batch}");
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_by_name_and_changes_nothing() {
    let context = Context::default_context().unwrap();
    let network_ = network("resnet_like");
    let mut comparison = compared(&context, &network_, &QConfig::default_static());
    let before = figures(&comparison);
    let other = calibrated(&context, &network("mobilenet_v2_like"), &QConfig::default_static()).convert().unwrap();
    assert!(matches!(Comparison::new(&graph(&network_), &other), Err(Error::Mismatch(_))));
    let mut floats = network_.floats("input", 0);
    floats[1207] = f32::NAN;
    let dims = dims(&network_);
    let refused = comparison.add(&[TensorView::f32(&floats, &dims[0]).unwrap()]).unwrap_err();
    assert!(matches!(&refused, Error::NotFinite(text) if text.contains("image") && text.contains("1207")), "{refused}");
    assert!(matches!(comparison.add(&[TensorView::f32(&floats, &[2, 1200]).unwrap()]), Err(Error::ShapeMismatch(_))));
    assert!(comparison.add(&[]).is_err());
    assert!(figures(&comparison) == before && comparison.samples() == 2);
}

#[test]
fn a_mix_of_static_dynamic_and_float_layers_is_compared_too() {
    let context = Context::default_context().unwrap();
    let network = network("resnet_like");
    let names: Vec<String> =
        graph(&network).graph().nodes.iter().filter(|node| node.op.name() == "Conv").map(|node| node.name.clone()).collect();
    let mut qconfig = QConfig::default_static();
    qconfig.skip(&format!("name:{}", names[1])).unwrap();
    qconfig.set(&format!("name:{}", names[3]), LayerSettings { mode: Some(Mode::Dynamic), ..LayerSettings::default() }).unwrap();
    let comparison = compared(&context, &network, &qconfig);
    let precision = |name: &String| comparison.layers().into_iter().find(|row| row.name == *name).map(|row| row.precision);
    assert_eq!(precision(&names[0]), Some(LayerPrecision::Int8Static));
    assert_eq!(precision(&names[1]), Some(LayerPrecision::Float));
    assert_eq!(precision(&names[3]), Some(LayerPrecision::Int8Dynamic));
}
