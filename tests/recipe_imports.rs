//! Calibrations of other systems on our networks: what is bound, what is derived, what is refused.
#[path = "support/networks.rs"]
mod networks;

use networks::{NetworkEntry, all};
use rsquant::error::Error;
use rsquant::pipeline::{Context, FloatGraph, LayerPrecision, Model, Prepared, Session, SessionOptions, import_recipe};
use rsquant::quantize::recipe::ActivationRecipe;
use rsquant::quantize::{QConfig, QType, Recipe, Scheme};
use rsquant::tensor::{TensorView, TensorViewMut};
use serde_json::Value;
use std::collections::HashMap;
use std::path::PathBuf;

fn context() -> Context {
    Context::default_context().unwrap()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn data(name: &str) -> String {
    std::fs::read_to_string(root().join("tests/data/recipes").join(name)).unwrap()
}

fn resnet_like() -> (NetworkEntry, FloatGraph) {
    let network = all().into_iter().find(|network| network.name == "resnet_like").unwrap();
    let graph = FloatGraph::from_onnx_file(&network.model()).unwrap();
    (network, graph)
}

fn import(graph: &FloatGraph, text: &str) -> Result<Recipe, Error> {
    import_recipe(&context(), graph, None, text.as_bytes(), None)
}

fn sqnr_db(exact: &[f32], approximate: &[f32]) -> f64 {
    let signal: f64 = exact.iter().map(|&x| f64::from(x).powi(2)).sum();
    let noise: f64 = exact.iter().zip(approximate).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum();
    10.0 * (signal / noise).log10()
}

/// SQNR of the model that a recipe makes of resnet_like, against the float output.
fn quality(recipe: &Recipe) -> (f64, Model) {
    let (network, graph) = resnet_like();
    let model = Model::from_recipe(&context(), &graph, recipe).unwrap();
    let options = SessionOptions { max_batch: network.inputs[0].shape[0], ..SessionOptions::default() };
    let mut session = Session::new(&model, options).unwrap();
    let (input, expected) = (network.floats("input", 0), network.floats("output", 0));
    let mut output = vec![0.0; expected.len()];
    let views = [TensorView::f32(&input, &network.inputs[0].shape).unwrap()];
    session.run(&views, &mut [TensorViewMut::f32(&mut output, &network.outputs[0].shape).unwrap()]).unwrap();
    (sqnr_db(&expected, &output), model)
}

fn calibrated(graph: &FloatGraph, network: &NetworkEntry) -> Recipe {
    let mut prepared = Prepared::new(&context(), graph, &QConfig::default_static(), None).unwrap();
    let input = network.floats("input", 0);
    prepared.calibrate(&[TensorView::f32(&input, &network.inputs[0].shape).unwrap()]).unwrap();
    prepared.recipe().unwrap()
}

fn float_layers(model: &Model) -> usize {
    let weighted = model.layers().iter().filter(|layer| ["Conv", "Gemm"].contains(&layer.operator.as_str()));
    weighted.filter(|layer| layer.precision == LayerPrecision::Float).count()
}

fn entry<'a>(recipe: &'a Recipe, tensor: &str) -> &'a ActivationRecipe {
    recipe.activations.iter().find(|entry| entry.tensors.iter().any(|name| name == tensor)).unwrap_or_else(|| panic!("no {tensor}"))
}

fn resnet50() -> FloatGraph {
    FloatGraph::from_onnx_file(&root().join("cpp_tests/resnet50_cifar10/assets/resnet50_cifar10.onnx")).unwrap()
}

#[test]
fn the_ipex_summary_of_resnet50_binds_every_layer_and_every_bound_qparam_is_the_files() {
    let (graph, text) = (resnet50(), data("ipex_resnet50.json"));
    let recipe = import(&graph, &text).unwrap();
    let report = recipe.import.clone().unwrap();
    assert_eq!((report.bound.len(), report.missing.len(), report.unused.len()), (54, 0, 0), "{report:?}");
    assert_eq!(report.bound.iter().filter(|bound| bound.by == "initializer").count(), 54);
    assert_eq!(recipe.layers.len(), 54);
    let file: Value = serde_json::from_str(&text).unwrap();
    let operations: HashMap<&str, &Value> =
        file[" "]["q_op_infos"].as_object().unwrap().values().map(|op| (op["fqn"].as_str().unwrap(), op)).collect();
    let value_of = |node: &str| {
        let graph = graph.graph();
        let node = graph.nodes.iter().find(|candidate| candidate.name == node).unwrap();
        graph.value(node.inputs[0]).name.clone()
    };
    let f32_of = |number: &Value| number.as_f64().unwrap() as f32;
    for bound in &report.bound {
        let operation = operations[bound.entry.as_str()];
        let input = &operation["input_tensor_infos"][0];
        let activation = entry(&recipe, &value_of(&bound.to));
        assert_eq!(activation.scale.unwrap(), f32_of(&input["scale"][0]), "{}", bound.entry);
        assert_eq!(i64::from(activation.zero_point.unwrap()), input["zero_point"][0].as_i64().unwrap(), "{}", bound.entry);
        let layer = recipe.layers.iter().find(|layer| layer.node == bound.to).unwrap();
        let scales: Vec<f32> = operation["weight_tensor_infos"][0]["scale"].as_array().unwrap().iter().map(f32_of).collect();
        assert_eq!(layer.weight_scales.as_ref().unwrap(), &scales, "{}", bound.entry);
    }
    let stated = |recipe: &Recipe| recipe.activations.iter().filter(|entry| entry.range.is_none()).count();
    assert_eq!(stated(&recipe), recipe.activations.len(), "every tensor of this network is in the file, if only observed");
    assert_eq!(Recipe::from_json(&recipe.to_json().unwrap()).unwrap(), recipe);
    // A residual that the file's system keeps in float and this one holds as bytes: what was observed there.
    let observed: Vec<_> = recipe.activations.iter().filter(|entry| entry.origin.as_ref().unwrap().starts_with("derived")).collect();
    assert_eq!(observed.len(), 4);
    assert!(observed.iter().all(|entry| entry.origin.as_ref().unwrap().contains("observed")));

    let model = Model::from_recipe(&context(), &graph, &recipe).unwrap();
    assert_eq!(float_layers(&model), 0);
    let scale = "\"scale\":[0.031764485]";
    assert!(text.contains(scale));
    let doubled = import(&graph, &text.replace(scale, "\"scale\":[0.06352897]")).unwrap();
    let image = vec![0.3; 3 * 224 * 224];
    let logits = |model: &Model| {
        let options = SessionOptions { input_dims: Some(vec![vec![1, 3, 224, 224]]), ..SessionOptions::default() };
        let mut output = vec![0.0; 10];
        let mut session = Session::new(model, options).unwrap();
        let view = TensorView::f32(&image, &[1, 3, 224, 224]).unwrap();
        session.run(&[view], &mut [TensorViewMut::f32(&mut output, &[1, 10]).unwrap()]).unwrap();
        output
    };
    assert_ne!(logits(&model), logits(&Model::from_recipe(&context(), &graph, &doubled).unwrap()), "a doubled scale changes the output");
}

#[test]
fn onnx_runtime_ranges_give_the_quality_of_our_own_calibration() {
    let (network, graph) = resnet_like();
    let (own, _) = quality(&calibrated(&graph, &network));
    let recipe = import(&graph, &data("onnxruntime_resnet_like.json")).unwrap();
    let (quality, model) = quality(&recipe);
    assert_eq!(float_layers(&model), 0);
    assert!(quality > own - 6.0, "{quality} dB, our own calibration {own} dB");
    assert_eq!(entry(&recipe, "image").dtype, QType::U8);
    assert!(recipe.import.as_ref().unwrap().unused.iter().any(|entry| entry.name == "c19"), "constants are told as unused");
}

#[test]
fn onnx_runtime_bounds_are_restricted_symmetric_ranges() {
    let (_, graph) = resnet_like();
    let text = data("onnxruntime_resnet_like.cache");
    let recipe = import(&graph, &text).unwrap();
    let bound: f32 = text.lines().find_map(|line| line.strip_prefix("relu40 ")).unwrap().parse().unwrap();
    let relu = entry(&recipe, "relu40");
    assert_eq!((relu.dtype, relu.scale, relu.zero_point), (QType::S8, Some(bound / 127.0), Some(0)));
    assert_eq!(recipe.qconfig.defaults.activation.scheme, Scheme::RestrictedSymmetric);
    let (quality, model) = quality(&recipe);
    assert!(quality > 15.0 && float_layers(&model) == 0, "{quality} dB");
}

/// A TensorRT cache with the ranges of a recipe, without `left_out`.
fn tensorrt_cache(recipe: &Recipe, left_out: &[&str]) -> String {
    let mut text = "TRT-8601-EntropyCalibration2\n".to_owned();
    for activation in &recipe.activations {
        let [low, high] = activation.range.unwrap();
        for name in activation.tensors.iter().filter(|name| !left_out.contains(&name.as_str())) {
            text += &format!("{name}: {:08x}\n", (high.max(-low) / 127.0).to_bits());
        }
    }
    text
}

#[test]
fn a_tensorrt_cache_holds_to_the_bit_and_what_it_leaves_out_is_derived_or_float() {
    let (network, graph) = resnet_like();
    let own = calibrated(&graph, &network);
    let recipe = import(&graph, &tensorrt_cache(&own, &[])).unwrap();
    for activation in &own.activations {
        let [low, high] = activation.range.unwrap();
        assert_eq!(entry(&recipe, &activation.tensors[0]).scale, Some(high.max(-low) / 127.0));
    }
    let (quality_db, model) = quality(&recipe);
    assert!(quality_db > 20.0 && float_layers(&model) == 0, "{quality_db} dB");

    let pooled = import(&graph, &tensorrt_cache(&own, &["globalaveragepool98", "flatten99"])).unwrap();
    let flat = entry(&pooled, "flatten99");
    assert_eq!(flat.origin.as_deref(), Some("derived: the range of what is averaged"));
    assert_eq!(flat.scale, entry(&pooled, "relu97").scale);

    let without_input = import(&graph, &tensorrt_cache(&own, &["image"])).unwrap();
    let missing = &without_input.import.as_ref().unwrap().missing;
    assert!(missing.len() == 1 && missing[0].name == "/Conv_1" && missing[0].reason.contains("image"), "{missing:?}");
    assert_eq!(float_layers(&quality(&without_input).1), 1);
}

#[test]
fn an_ncnn_table_binds_layers_and_residuals_are_derived() {
    let (network, graph) = resnet_like();
    let own = calibrated(&graph, &network);
    let (mut weights, mut inputs) = (String::new(), String::new());
    for layer in &own.layers {
        let scales: Vec<String> = layer.weight_scales.as_ref().unwrap().iter().map(|scale| (1.0 / scale).to_string()).collect();
        weights += &format!("{}_param_0 {}\n", layer.node, scales.join(" "));
        let node = graph.graph().nodes.iter().find(|node| node.name == layer.node).unwrap();
        let [low, high] = entry(&own, &graph.graph().value(node.inputs[0]).name).range.unwrap();
        inputs += &format!("{} {}\n", layer.node, 127.0 / high.max(-low));
    }
    let recipe = import(&graph, &(weights.clone() + &inputs)).unwrap();
    let report = recipe.import.as_ref().unwrap();
    assert_eq!((report.bound.len(), report.unused.len()), (own.layers.len(), 0));
    assert!(report.bound.iter().all(|bound| bound.by == "name"));
    // The table knows what is averaged by the average alone, so averaging is float, and every layer int8.
    let missing: Vec<&str> = report.missing.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(missing, ["/GlobalAveragePool_98"]);
    let derived: Vec<_> =
        recipe.activations.iter().filter(|entry| entry.origin.as_ref().unwrap().contains("sum that it goes into")).collect();
    assert!(!derived.is_empty());
    let (quality_db, model) = quality(&recipe);
    assert!(quality_db > 15.0 && float_layers(&model) == 0, "{quality_db} dB");
    let one_scale = weights.lines().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ") + "\n").collect::<String>();
    assert!(matches!(import(&graph, &(one_scale + &inputs)), Err(Error::Mismatch(text)) if text.contains("1 weight scales")));
}

#[test]
fn a_calibration_of_another_model_is_refused() {
    let (_, graph) = resnet_like();
    for text in
        [data("ipex_resnet50.json"), "TRT-1-x\nnowhere: 3f800000\n".to_owned(), "TRT-1-x\n".to_owned(), "x_param_0 1\nx 1\n".to_owned()]
    {
        let error = import(&graph, &text).unwrap_err();
        assert!(matches!(&error, Error::Mismatch(text) if text.contains("nothing in it fits")), "{error}");
    }
    assert!(matches!(import_recipe(&context(), &graph, None, b"\xff\xfe", None), Err(Error::Parse(_))));
}
