//! Recipes: from statistics to JSON and to the same model, and what is refused.
#[path = "support/networks.rs"]
mod networks;

use networks::{NetworkEntry, all};
use rsquant::error::Error;
use rsquant::pipeline::{Context, FloatGraph, Model, Prepared};
use rsquant::quantize::qconfig::ActivationSettings;
use rsquant::quantize::recipe::ActivationRecipe;
use rsquant::quantize::{LayerSettings, QConfig, QType, Recipe, Scheme, SolverKind};
use rsquant::tensor::TensorView;

fn context() -> Context {
    Context::default_context().unwrap()
}

fn network(name: &str) -> NetworkEntry {
    all().into_iter().find(|network| network.name == name).unwrap()
}

fn graph(network: &NetworkEntry) -> FloatGraph {
    FloatGraph::from_onnx_file(&network.model()).unwrap()
}

fn calibrated(network: &NetworkEntry, qconfig: &QConfig) -> Prepared {
    let dims: Vec<Vec<usize>> = network.inputs.iter().map(|input| input.shape.clone()).collect();
    let mut prepared = Prepared::new(&context(), &graph(network), qconfig, None).unwrap();
    let data = network.input_floats();
    let views: Vec<TensorView> = data.iter().zip(&dims).map(|(data, dims)| TensorView::f32(data, dims).unwrap()).collect();
    prepared.calibrate(&views).unwrap_or_else(|error| panic!("{}: {error}", network.name));
    prepared
}

fn resnet_recipe() -> (FloatGraph, Recipe) {
    let network = network("resnet_like");
    (graph(&network), calibrated(&network, &QConfig::default_static()).recipe().unwrap())
}

fn converted(graph: &FloatGraph, recipe: &Recipe) -> Result<Vec<u8>, Error> {
    Model::from_recipe(&context(), graph, recipe)?.to_bytes()
}

fn refusal(change: impl FnOnce(&mut Recipe)) -> Error {
    let (graph, mut recipe) = resnet_recipe();
    change(&mut recipe);
    Model::from_recipe(&context(), &graph, &recipe).map(drop).unwrap_err()
}

fn qconfigs() -> Vec<(&'static str, QConfig)> {
    let with = |change: &dyn Fn(&mut QConfig)| {
        let mut qconfig = QConfig::default_static();
        change(&mut qconfig);
        qconfig
    };
    let symmetric = ActivationSettings { qtype: Some(QType::S8), scheme: Some(Scheme::RestrictedSymmetric), ..Default::default() };
    vec![
        ("static", QConfig::default_static()),
        ("dynamic", QConfig::default_dynamic()),
        ("s8", with(&|qconfig| qconfig.set("*", LayerSettings { activation: symmetric, ..Default::default() }).unwrap())),
        (
            "auto, weights per tensor",
            with(&|qconfig| {
                qconfig.defaults.activation.solver = Some(SolverKind::Auto);
                qconfig.defaults.weight.per_channel = false;
            }),
        ),
        ("reduced", with(&|qconfig| (qconfig.defaults.activation.reduce_range, qconfig.defaults.weight.reduce_range) = (true, true))),
    ]
}

#[test]
fn a_recipe_converts_to_the_bytes_that_the_calibration_gives() {
    for network in all() {
        for (label, qconfig) in qconfigs() {
            let prepared = calibrated(&network, &qconfig);
            let recipe = prepared.recipe().unwrap();
            let text = recipe.to_json().unwrap();
            let read = Recipe::from_json(&text).unwrap_or_else(|error| panic!("{} {label}: {error}\n{text}", network.name));
            assert_eq!(read, recipe, "{} {label}", network.name);
            let bytes = converted(&graph(&network), &read).unwrap_or_else(|error| panic!("{} {label}: {error}", network.name));
            assert!(bytes == prepared.convert().unwrap().to_bytes().unwrap(), "{} {label}", network.name);
        }
    }
}

#[test]
fn every_quantized_tensor_is_told_with_its_solver_and_what_it_predicts() {
    let (_, recipe) = resnet_recipe();
    assert_eq!((recipe.provenance.samples, recipe.provenance.library.as_str()), (Some(2), env!("CARGO_PKG_VERSION")));
    assert!(recipe.activations.len() > 5 && recipe.layers.len() > 5);
    for ActivationRecipe { range, solver, predicted_sqnr_db, scale, .. } in &recipe.activations {
        let [low, high] = range.unwrap();
        assert!(low <= 0.0 && high > 0.0 && scale.unwrap() > 0.0);
        assert_eq!(*solver, Some(SolverKind::L2));
        assert!(predicted_sqnr_db.unwrap() > 20.0);
    }
    assert!(recipe.layers.iter().all(|layer| layer.weight_scales.as_ref().is_some_and(|scales| !scales.is_empty())));
    assert!(recipe.activations[0].tensors.contains(&"image".to_owned()));
}

#[test]
fn what_is_edited_by_hand_holds() {
    let (graph, recipe) = resnet_recipe();
    let before = converted(&graph, &recipe).unwrap();
    for index in 0..recipe.activations.len() {
        let mut edited = recipe.clone();
        let activation = &mut edited.activations[index];
        (activation.scale, activation.range) = (activation.scale.map(|scale| scale * 2.0), None);
        assert!(converted(&graph, &edited).unwrap() != before, "activation {index}");
    }
    for index in 0..recipe.layers.len() {
        let mut edited = recipe.clone();
        edited.layers[index].weight_scales.iter_mut().for_each(|scales| scales[0] *= 2.0);
        assert!(converted(&graph, &edited).unwrap() != before, "layer {index}");
    }
    let mut edited = recipe.clone();
    edited.activations.iter_mut().for_each(|activation| (activation.scale, activation.zero_point) = (None, None));
    edited.layers.iter_mut().for_each(|layer| (layer.weight_scales, layer.weights_crc32) = (None, None));
    assert!(converted(&graph, &edited).unwrap() == before, "ranges and weights give the qparams that were left out");
    edited.layers.clear();
    edited.input_shapes.clear();
    assert!(converted(&graph, &edited).unwrap() == before, "layers and shapes may be left out");
}

#[test]
fn a_recipe_of_another_model_is_refused_by_the_first_difference() {
    let (_, recipe) = resnet_recipe();
    let mobile = graph(&network("mobilenet_v2_like"));
    let error = Model::from_recipe(&context(), &mobile, &recipe).unwrap_err();
    assert!(matches!(&error, Error::Mismatch(text) if text.contains("layers[0]") && text.contains(&recipe.layers[0].node)), "{error}");
    type Case<'a> = (&'a dyn Fn(&mut Recipe), &'a [&'a str]);
    let cases: [Case<'_>; 10] = [
        (&|r| r.layers[2].weights_crc32 = Some("00000000".into()), &["layers[2].weights_crc32", "00000000"]),
        (&|r| r.layers[3].operator = "Gemm".into(), &["layers[3]", "Gemm", "Conv"]),
        (&|r| drop(r.layers.pop()), &["layers", "is not there"]),
        (&|r| r.layers.push(rsquant::quantize::recipe::LayerRecipe { node: "more".into(), ..r.layers[0].clone() }), &["more"]),
        (&|r| r.activations[1].tensors[0] = "nowhere".into(), &["activations[1].tensors[0]", "nowhere"]),
        (&|r| drop(r.activations.remove(1)), &["activations", "is not there"]),
        (&|r| r.input_shapes = vec![vec![1, 4, 20, 20]], &["input_shapes", "image"]),
        (
            &|r| {
                let moved = r.activations[2].tensors.clone();
                r.activations.remove(2);
                r.activations[1].tensors.extend(moved);
            },
            &["activations[1].tensors[", "share"],
        ),
        (&|r| r.qconfig.skip(&format!("name:{}", r.layers[1].node)).unwrap(), &["layers[1].weight_scales", "float"]),
        (
            &|r| {
                r.qconfig.skip("*").unwrap();
                r.layers.iter_mut().for_each(|layer| layer.weight_scales = None);
            },
            &["activations[0].tensors[0]", "is not quantized in this model"],
        ),
    ];
    for (change, parts) in cases {
        let error = refusal(change);
        assert!(matches!(&error, Error::Mismatch(text) if parts.iter().all(|part| text.contains(part))), "{error} {parts:?}");
    }
}

#[test]
fn contradictions_with_the_qconfig_are_refused_by_their_path() {
    type Case<'a> = (&'a dyn Fn(&mut Recipe), &'a str);
    let cases: [Case<'_>; 5] = [
        (&|r| r.activations[1].scale = Some(123.0), "activations[1]"),
        (&|r| r.qconfig.defaults.activation.reduce_range = true, "activations[0]"),
        (&|r| r.qconfig.defaults.weight.per_channel = false, "layers[0].weight_scales"),
        (&|r| r.layers[1].weight_scales.iter_mut().for_each(|scales| scales.truncate(1)), "layers[1].weight_scales"),
        (&|r| r.qconfig.skip("name:no_such_layer").unwrap(), "no_such_layer"),
    ];
    for (change, part) in cases {
        let error = refusal(change);
        assert!(matches!(&error, Error::InvalidArgument(text) if text.contains(part)), "{error} {part}");
    }
    let error = refusal(|r| {
        r.qconfig.defaults.activation.qtype = QType::S8;
    });
    assert!(error.to_string().contains("activations[0].dtype"), "{error}");
}

#[test]
fn a_recipe_of_statistics_that_are_not_there_is_refused() {
    let network = network("resnet_like");
    let prepared = Prepared::new(&context(), &graph(&network), &QConfig::default_static(), None).unwrap();
    assert!(matches!(prepared.recipe(), Err(Error::NotCalibrated(text)) if text.contains("image")));
}
