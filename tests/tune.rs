//! Sensitivity ranks layers by what they cost alone; tuning finds the fewest to leave in float, and nothing else changes.
#[path = "support/networks.rs"]
mod networks;
#[path = "support/pipeline_runs.rs"]
mod pipeline_runs;

use networks::{NetworkEntry, all};
use pipeline_runs::*;
use rsquant::error::{Error, Result};
use rsquant::isa::Isa;
use rsquant::pipeline::{Comparison, Context, LayerPrecision, Metric, Model, Prepared, Sensitivity, TuneOptions, Tuned};
use rsquant::quantize::{LayerSettings, QConfig, Scheme, SolverKind};

fn network(name: &str) -> NetworkEntry {
    all().into_iter().find(|network| network.name == name).unwrap()
}

fn weighted(network: &NetworkEntry) -> Vec<String> {
    let nodes = graph(network);
    let nodes = nodes.graph().nodes.iter().filter(|node| ["Conv", "Gemm", "MatMul"].contains(&node.op.name()));
    nodes.map(|node| node.name.clone()).collect()
}

fn sensitivity(network: &NetworkEntry, prepared: &Prepared) -> Sensitivity {
    with_inputs(network, |views| rsquant::pipeline::sensitivity(prepared, views, &mut |_, _| Ok(()))).unwrap()
}

fn tune(network: &NetworkEntry, prepared: &Prepared, options: TuneOptions, metric: Option<&mut Metric>) -> Result<Tuned> {
    with_inputs(network, |views| rsquant::pipeline::tune(prepared, views, options, metric, &mut |_, _| Ok(())))
}

/// One layer's input is clipped at its half, and its weights share a scale.
fn with_one_bad_layer(name: &str) -> QConfig {
    let mut qconfig = QConfig::default_static();
    let mut bad = LayerSettings::default();
    bad.activation.solver = Some(SolverKind::Percentile { p: 60.0 });
    bad.weight.per_channel = Some(false);
    bad.weight.scheme = Some(Scheme::Symmetric);
    qconfig.set(&format!("name:{name}"), bad).unwrap();
    qconfig
}

#[test]
fn each_layer_costs_what_a_model_with_it_alone_in_int8_costs() {
    let context = Context::default_context().unwrap();
    let (mut compared, mut equal) = (0, 0);
    for name in ["resnet_like", "mobilenet_v2_like", "lenet_like", "mlp"] {
        let network = network(name);
        let prepared = calibrated(&context, &network, &QConfig::default_static());
        let (ranking, all_int8) = (sensitivity(&network, &prepared), prepared.convert().unwrap());
        let names = weighted(&network);
        assert_eq!(ranking.layers.len(), names.len());
        assert!(ranking.layers.is_sorted_by(|a, b| a.sqnr_db <= b.sqnr_db), "the most harmful first");
        assert!((ranking.layers.iter().map(|layer| layer.error_share).sum::<f64>() - 1.0).abs() < 1e-9);
        let float = run_float(&context, &network);
        for layer in &ranking.layers {
            let mut alone = QConfig::default_static();
            for node in graph(&network).graph().nodes.iter().filter(|node| node.name != layer.name) {
                alone.skip(&format!("name:{}", node.name)).unwrap();
            }
            let model = calibrated(&context, &network, &alone).convert().unwrap();
            let sqnr = sqnr_db(&float[0], &run_model(&network, &model)[0]);
            // A tensor that is tied to others is observed on its own here, so its range may be another one.
            let input_of = |model: &Model| model.layers().iter().find(|other| other.name == layer.name).unwrap().input;
            let same = input_of(&model) == input_of(&all_int8);
            let most = if same { 1e-6 } else { 6.0 };
            assert!((sqnr - layer.sqnr_db).abs() < most, "{name} {}: {sqnr} dB, ranked with {}", layer.name, layer.sqnr_db);
            compared += 1;
            equal += usize::from(same);
            assert!(layer.macs > 0 && layer.precision == LayerPrecision::Int8Static);
        }
        assert!((ranking.sqnr_db - sqnr_db(&float[0], &run_model(&network, &all_int8)[0])).abs() < 1e-6);
    }
    assert!(equal * 4 > compared * 3, "{equal} of {compared} have the same range");
}

#[test]
fn a_layer_that_is_badly_quantized_is_ranked_first_and_left_in_float() {
    let context = Context::default_context().unwrap();
    for name in ["resnet_like", "mobilenet_v2_like"] {
        let network = network(name);
        let bad = &weighted(&network)[2];
        let prepared = calibrated(&context, &network, &with_one_bad_layer(bad));
        let ranking = sensitivity(&network, &prepared);
        assert_eq!(&ranking.layers[0].name, bad);
        let good = sensitivity(&network, &calibrated(&context, &network, &QConfig::default_static())).sqnr_db;
        assert!(ranking.sqnr_db < good - 6.0, "{} {good}", ranking.sqnr_db);
        let target = good - 2.0;
        let tuned = tune(&network, &prepared, TuneOptions { target: Some(target), ..TuneOptions::default() }, None).unwrap();
        let left: Vec<&str> = tuned.float_layers.iter().map(|layer| layer.name.as_str()).collect();
        assert_eq!(left, [bad]);
        assert!(tuned.reached && tuned.metric >= target && tuned.int8_metric < target);
        let layer = tuned.model.layers().iter().find(|layer| layer.name == *bad).unwrap();
        assert_eq!(layer.precision, LayerPrecision::Float);
        assert!(layer.reason.contains("tuning") && layer.reason.contains("dB"), "{}", layer.reason);
        let again = calibrated(&context, &network, &tuned.recipe.qconfig).convert().unwrap();
        let float = |model: &Model| -> Vec<bool> { model.layers().iter().map(|layer| layer.precision == LayerPrecision::Float).collect() };
        assert_eq!(float(&again), float(&tuned.model), "the qconfig says the same");
        let written = Model::from_recipe(&context, &graph(&network), &tuned.recipe).unwrap();
        assert_eq!(bits(&run_model(&network, &written)), bits(&run_model(&network, &tuned.model)), "the recipe is the model");
    }
}

#[test]
fn the_fewest_layers_of_the_ranking_reach_the_target() {
    let context = Context::default_context().unwrap();
    let network = network("resnet_like");
    let prepared = calibrated(&context, &network, &QConfig::default_static());
    let ranking = sensitivity(&network, &prepared);
    let target = ranking.sqnr_db + 4.0;
    let tuned = tune(&network, &prepared, TuneOptions { target: Some(target), ..TuneOptions::default() }, None).unwrap();
    assert!(tuned.reached && tuned.metric >= target, "{} {target}", tuned.metric);
    let count = tuned.float_layers.len();
    assert!(count > 0 && count < ranking.layers.len(), "{count}");
    for fewer in 0..count {
        let qconfig = {
            let mut qconfig = QConfig::default_static();
            ranking.layers[..fewer].iter().for_each(|layer| qconfig.skip(&format!("name:{}", layer.name)).unwrap());
            qconfig
        };
        let outputs = run_model(&network, &calibrated(&context, &network, &qconfig).convert().unwrap());
        let sqnr = sqnr_db(&run_float(&context, &network)[0], &outputs[0]);
        assert!(sqnr < target + 0.5, "{fewer} layers would have been enough: {sqnr}");
    }
    let mut comparison = Comparison::new(&graph(&network), &tuned.model).unwrap();
    with_inputs(&network, |views| comparison.add(views)).unwrap();
    assert!((comparison.outputs()[0].sqnr_db - tuned.metric).abs() < 1e-6, "the metric is the model's");
}

#[test]
fn budgets_hold() {
    let context = Context::default_context().unwrap();
    let network = network("mobilenet_v2_like");
    let prepared = calibrated(&context, &network, &QConfig::default_static());
    let ranking = sensitivity(&network, &prepared);
    let with = |options| tune(&network, &prepared, options, None).unwrap();
    let two = with(TuneOptions { max_float_layers: Some(2), ..TuneOptions::default() });
    assert_eq!(two.float_layers, ranking.layers[..2]);
    assert!(two.reached && two.metric > two.int8_metric && two.trials.len() == 2);
    let none = with(TuneOptions { max_float_macs: Some(0.0), ..TuneOptions::default() });
    assert_eq!((none.float_layers.len(), none.float_macs, none.metric), (0, 0.0, none.int8_metric));
    assert_eq!(none.model.to_bytes().unwrap(), prepared.convert().unwrap().to_bytes().unwrap(), "nothing float is the model itself");
    let tenth = with(TuneOptions { max_float_macs: Some(0.1), ..TuneOptions::default() });
    assert!(tenth.float_macs <= 0.1 && !tenth.float_layers.is_empty());
    let all_macs: u64 = ranking.layers.iter().map(|layer| layer.macs).sum();
    let macs: u64 = tenth.float_layers.iter().map(|layer| layer.macs).sum();
    assert_eq!(tenth.float_macs, macs as f64 / all_macs as f64);
    let impossible = with(TuneOptions { target: Some(500.0), max_float_layers: Some(3), ..TuneOptions::default() });
    assert!(!impossible.reached && impossible.float_layers.len() == 3);
    let easy = with(TuneOptions { target: Some(1.0), ..TuneOptions::default() });
    assert!(easy.reached && easy.float_layers.is_empty() && easy.trials.len() == 1);
}

#[test]
fn a_users_metric_decides() {
    let context = Context::default_context().unwrap();
    let network = network("resnet_like");
    let prepared = calibrated(&context, &network, &QConfig::default_static());
    let ranking = sensitivity(&network, &prepared);
    // Content with any model whose three most harmful layers are float.
    let wanted: Vec<String> = ranking.layers[..3].iter().map(|layer| layer.name.clone()).collect();
    let mut calls = 0;
    let mut metric = |model: &Model| {
        calls += 1;
        let float = |layer: &&rsquant::pipeline::LayerInfo| layer.precision == LayerPrecision::Float && wanted.contains(&layer.name);
        Ok(model.layers().iter().filter(float).count() as f64)
    };
    let tuned = tune(&network, &prepared, TuneOptions { target: Some(3.0), ..TuneOptions::default() }, Some(&mut metric)).unwrap();
    assert_eq!(tuned.float_layers, ranking.layers[..3]);
    assert_eq!((tuned.metric, tuned.int8_metric, tuned.trials.len()), (3.0, 0.0, calls));
}

#[test]
fn failing_callbacks_end_the_work_with_their_error_and_change_nothing() {
    let context = Context::default_context().unwrap();
    let network = network("lenet_like");
    let prepared = calibrated(&context, &network, &QConfig::default_static());
    let before = prepared.convert().unwrap().to_bytes().unwrap();
    let options = TuneOptions { target: Some(60.0), ..TuneOptions::default() };
    let with_progress = |stop_at: Option<usize>| {
        let (mut reports, mut last) = (0, (0, 0));
        let tuned = with_inputs(&network, |views| {
            rsquant::pipeline::tune(&prepared, views, options, None, &mut |done, total| {
                assert!(done >= last.0 && done <= total, "{done} of {total} after {last:?}");
                (last, reports) = ((done, total), reports + 1);
                if Some(reports) == stop_at { Err(Error::Cancelled("stop".into())) } else { Ok(()) }
            })
        });
        (tuned.map(|_| ()), reports, last)
    };
    let (finished, reports, last) = with_progress(None);
    assert!(finished.is_ok() && last.0 == last.1 && reports > 8);
    for stop_at in 1..=reports {
        let (stopped, told, _) = with_progress(Some(stop_at));
        assert_eq!((stopped, told), (Err(Error::Cancelled("stop".into())), stop_at));
    }
    for fail_at in 1..4 {
        let mut calls = 0;
        let mut metric = |_: &Model| {
            calls += 1;
            if calls == fail_at { Err(Error::Callback("no labels".into())) } else { Ok(if calls == 1 { 0.0 } else { 100.0 }) }
        };
        let failed = tune(&network, &prepared, options, Some(&mut metric));
        assert_eq!(failed.map(|_| ()), Err(Error::Callback("no labels".into())));
        assert_eq!(calls, fail_at);
    }
    let nan = tune(&network, &prepared, options, Some(&mut |_: &Model| Ok(f64::NAN)));
    assert!(matches!(nan, Err(Error::Callback(_))));
    assert_eq!(prepared.convert().unwrap().to_bytes().unwrap(), before);
}

#[test]
fn what_cannot_be_tuned_is_refused() {
    let context = Context::default_context().unwrap();
    let network = network("lenet_like");
    let prepared = calibrated(&context, &network, &QConfig::default_static());
    let refused = |options| matches!(tune(&network, &prepared, options, None), Err(Error::InvalidArgument(_)));
    assert!(refused(TuneOptions::default()));
    assert!(refused(TuneOptions { target: Some(f64::NAN), ..TuneOptions::default() }));
    assert!(refused(TuneOptions { max_float_macs: Some(1.5), ..TuneOptions::default() }));
    let unseen = Prepared::new(&context, &graph(&network), &QConfig::default_static(), None).unwrap();
    let one = TuneOptions { max_float_layers: Some(1), ..TuneOptions::default() };
    assert!(matches!(tune(&network, &unseen, one, None), Err(Error::NotCalibrated(_))));
}

#[test]
fn dynamic_layers_are_ranked_and_tuned_too() {
    let context = Context::default_context().unwrap();
    let network = network("vit_like");
    let prepared = Prepared::new(&context, &graph(&network), &QConfig::default_dynamic(), Some(dims(&network))).unwrap();
    let ranking = sensitivity(&network, &prepared);
    assert!(ranking.layers.iter().all(|layer| layer.precision == LayerPrecision::Int8Dynamic) && ranking.layers.len() > 3);
    let tuned = tune(&network, &prepared, TuneOptions { max_float_layers: Some(1), ..TuneOptions::default() }, None).unwrap();
    assert!(tuned.metric > tuned.int8_metric);
}

#[test]
fn the_result_does_not_depend_on_isa_or_threads() {
    let network = network("mobilenet_v2_like");
    let with = |threads, isa| {
        let prepared = calibrated(&context(threads, isa), &network, &QConfig::default_static());
        let tuned = tune(&network, &prepared, TuneOptions { max_float_layers: Some(3), ..TuneOptions::default() }, None).unwrap();
        let ranking: Vec<(String, u64)> = tuned.sensitivity.layers.iter().map(|l| (l.name.clone(), l.sqnr_db.to_bits())).collect();
        (ranking, tuned.metric.to_bits(), tuned.model.to_bytes().unwrap(), tuned.recipe.to_json().unwrap())
    };
    let expected = with(1, Isa::Portable);
    for isa in Isa::ALL.into_iter().filter(|&isa| isa <= Isa::detected()) {
        for threads in [2, 3] {
            assert!(with(threads, isa) == expected, "{isa}, {threads} threads");
        }
    }
}
