//! Every setting of a qconfig changes the model or is refused: none is taken and ignored.
#[path = "support/networks.rs"]
mod networks;

use networks::{NetworkEntry, all};
use rsquant::error::Error;
use rsquant::pipeline::{Context, FloatGraph, Prepared};
use rsquant::quantize::qconfig::{ActivationSettings, WeightSettings};
use rsquant::quantize::recipe::ActivationRecipe;
use rsquant::quantize::{Grain, LayerSettings, Mode, ObserverKind, QConfig, QType, Scheme, SolverKind};
use rsquant::tensor::TensorView;

fn network(name: &str) -> NetworkEntry {
    all().into_iter().find(|network| network.name == name).unwrap()
}

/// Calibrated on the network's input, a sample a batch; or the refusal.
fn prepared(network: &NetworkEntry, qconfig: &QConfig) -> Result<Prepared, Error> {
    let context = Context::default_context().unwrap();
    let graph = FloatGraph::from_onnx_file(&network.model()).unwrap();
    let mut prepared = Prepared::new(&context, &graph, qconfig, None)?;
    let (data, dims) = (network.floats("input", 0), &network.inputs[0].shape);
    let half = data.len() / dims[0];
    let shape = [&[1], &dims[1..]].concat();
    for sample in data.chunks(half) {
        prepared.calibrate(&[TensorView::f32(sample, &shape).unwrap()])?;
    }
    Ok(prepared)
}

/// The model's bytes, or the refusal.
fn bytes(network: &NetworkEntry, qconfig: &QConfig) -> Result<Vec<u8>, Error> {
    prepared(network, qconfig)?.convert()?.to_bytes()
}

fn activations(network: &NetworkEntry, qconfig: &QConfig) -> Vec<ActivationRecipe> {
    prepared(network, qconfig).unwrap().recipe().unwrap().activations
}

fn activation(change: impl FnOnce(&mut ActivationSettings)) -> LayerSettings {
    let mut settings = LayerSettings::default();
    change(&mut settings.activation);
    settings
}

fn weight(change: impl FnOnce(&mut WeightSettings)) -> LayerSettings {
    let mut settings = LayerSettings::default();
    change(&mut settings.weight);
    settings
}

/// Each value of each setting that is not the default.
fn settings() -> Vec<(&'static str, LayerSettings)> {
    vec![
        ("dynamic", LayerSettings { mode: Some(Mode::Dynamic), ..LayerSettings::default() }),
        ("float", LayerSettings::FLOAT),
        ("s8 symmetric", activation(|a| (a.qtype, a.scheme) = (Some(QType::S8), Some(Scheme::Symmetric)))),
        ("s8 restricted", activation(|a| (a.qtype, a.scheme) = (Some(QType::S8), Some(Scheme::RestrictedSymmetric)))),
        ("symmetric", activation(|a| a.scheme = Some(Scheme::Symmetric))),
        ("restricted", activation(|a| a.scheme = Some(Scheme::RestrictedSymmetric))),
        ("reduce_range", activation(|a| a.reduce_range = Some(true))),
        ("min_max", activation(|a| a.observer = Some(ObserverKind::MinMax))),
        ("moving_average", activation(|a| a.observer = Some(ObserverKind::MovingAverage))),
        ("torch_histogram", activation(|a| a.observer = Some(ObserverKind::TorchHistogram))),
        ("solver min_max", activation(|a| a.solver = Some(SolverKind::MinMax))),
        ("solver percentile", activation(|a| a.solver = Some(SolverKind::Percentile { p: 99.0 }))),
        ("solver entropy on min_max", activation(|a| (a.observer, a.solver) = (Some(ObserverKind::MinMax), Some(SolverKind::Entropy)))),
        ("per channel", activation(|a| (a.observer, a.per_channel) = (Some(ObserverKind::MinMax), Some(true)))),
        ("per channel of a histogram", activation(|a| a.per_channel = Some(true))),
        ("per row", activation(|a| a.grain = Some(Grain::PerRow))),
        ("per tensor grain", activation(|a| a.grain = Some(Grain::PerTensor))),
        ("weights per tensor", weight(|w| w.per_channel = Some(false))),
        ("weights restricted", weight(|w| w.scheme = Some(Scheme::RestrictedSymmetric))),
        ("weights affine", weight(|w| w.scheme = Some(Scheme::Affine))),
        ("weights reduced", weight(|w| w.reduce_range = Some(true))),
    ]
}

#[test]
fn every_setting_in_every_kind_of_scope_changes_the_model_or_is_refused() {
    let (mut taken, mut ignored) = (0, Vec::new());
    for name in ["resnet_like", "mobilenet_v2_like"] {
        let network = network(name);
        let graph = FloatGraph::from_onnx_file(&network.model()).unwrap();
        let first = format!("name:{}", graph.graph().nodes[0].name);
        let mut scopes = vec!["*".to_owned(), first, "op:Conv".to_owned(), "op:Gemm".to_owned(), "name:/*".to_owned()];
        for operator in ["MaxPool", "GlobalAveragePool", "Flatten", "Add"] {
            scopes.extend(graph.graph().nodes.iter().any(|node| node.op.name() == operator).then(|| format!("op:{operator}")));
        }
        for base in [QConfig::default_static(), QConfig::default_dynamic()] {
            let plain = bytes(&network, &base).unwrap();
            for (label, setting) in settings() {
                let same_mode = setting.mode == Some(base.defaults.mode);
                for scope in scopes.iter().filter(|_| !same_mode) {
                    let mut qconfig = base.clone();
                    qconfig.set(scope, setting).unwrap();
                    match bytes(&network, &qconfig) {
                        Ok(model) => {
                            taken += 1;
                            // Operators between dynamic layers are float whatever is said of them.
                            let follower = scope.starts_with("op:") && !["op:Conv", "op:Gemm"].contains(&scope.as_str());
                            let float_already = follower && base.defaults.mode == Mode::Dynamic && setting.mode.is_some();
                            // Another way to a range may come to the same range: then the recipe tells that it was another way.
                            if model == plain && !float_already && activations(&network, &qconfig) == activations(&network, &base) {
                                ignored.push(format!("{name}, {:?}: {label} for {scope}", base.defaults.mode));
                            }
                        }
                        Err(error) => assert!(
                            matches!(error, Error::InvalidArgument(_) | Error::Unsupported(_)) && error.to_string().len() > 20,
                            "{name}: {label} for {scope}: {error}"
                        ),
                    }
                }
            }
        }
    }
    assert!(ignored.is_empty(), "taken and ignored: {ignored:#?}");
    assert!(taken > 100, "{taken}");
}

#[test]
fn a_setting_that_nothing_follows_is_refused_by_scope_and_kind() {
    let network = network("resnet_like");
    let refusal = |base: QConfig, scope: &str, setting: LayerSettings| {
        let mut qconfig = base;
        qconfig.set(scope, setting).unwrap();
        match bytes(&network, &qconfig) {
            Err(Error::InvalidArgument(text)) => text,
            other => panic!("{scope}: {:?}", other.map(|bytes| bytes.len())),
        }
    };
    let observer = activation(|a| a.observer = Some(ObserverKind::MinMax));
    let cases = [
        (QConfig::default_static(), "op:MaxPool", weight(|w| w.per_channel = Some(false)), "weight settings"),
        (QConfig::default_static(), "op:MaxPool", observer, "static activations"),
        (QConfig::default_static(), "op:Gemm", activation(|a| a.grain = Some(Grain::PerRow)), "grain"),
        (QConfig::default_dynamic(), "*", observer, "static activations"),
    ];
    for (base, scope, setting, part) in cases {
        let text = refusal(base, scope, setting);
        assert!(text.contains(part) && text.contains(&format!("{scope:?}")), "{text}");
    }
    let mut of_defaults = QConfig::default_dynamic();
    of_defaults.defaults.activation.solver = Some(SolverKind::Auto);
    assert!(matches!(bytes(&network, &of_defaults), Err(Error::InvalidArgument(text)) if text.contains("static activations")));
    // A layer that is float by request keeps its other settings for the day when it is not.
    let mut float = QConfig::default_static();
    float.set("op:Gemm", observer).unwrap();
    float.skip("op:Gemm").unwrap();
    bytes(&network, &float).unwrap();
}

#[test]
fn what_is_set_in_code_and_in_json_is_the_same() {
    let network = network("resnet_like");
    for (label, setting) in settings() {
        let mut qconfig = QConfig::default_static();
        qconfig.set("op:Conv", setting).unwrap();
        let json = qconfig.to_json().unwrap();
        let of_json = QConfig::from_json(&json).and_then(|read| bytes(&network, &read));
        assert!(of_json == bytes(&network, &qconfig), "{label}");
    }
}

#[test]
fn affine_s8_has_the_bytes_of_u8_and_its_recipe_says_s8() {
    let network = network("resnet_like");
    let mut qconfig = QConfig::default_static();
    qconfig.set("*", activation(|a| a.qtype = Some(QType::S8))).unwrap();
    assert!(bytes(&network, &qconfig).unwrap() == bytes(&network, &QConfig::default_static()).unwrap(), "bytes are held as q + 128");
    let recipe = prepared(&network, &qconfig).unwrap().recipe().unwrap();
    assert!(recipe.activations.iter().all(|entry| entry.dtype == QType::S8 && (-128..=127).contains(&entry.zero_point.unwrap())));
}

#[test]
fn scopes_that_match_nothing_and_layers_that_contradict_each_other_are_refused_by_name() {
    let network = network("resnet_like");
    let refusal = |scope: &str, setting: LayerSettings| {
        let mut qconfig = QConfig::default_static();
        qconfig.set(scope, setting).unwrap();
        match bytes(&network, &qconfig) {
            Err(Error::InvalidArgument(text)) => text,
            other => panic!("{scope}: {:?}", other.map(|bytes| bytes.len())),
        }
    };
    for scope in ["name:layer9.*", "name:/Conv_1?0", "op:Convolution", "op:conv"] {
        let text = refusal(scope, LayerSettings::FLOAT);
        assert!(text.contains(&format!("{scope:?}")) && text.contains("matches no node"), "{text}");
    }
    // Both read the output of the pool.
    let symmetric = activation(|a| a.scheme = Some(Scheme::Symmetric));
    let text = refusal("name:/Conv_10", symmetric);
    assert!(["/Conv_10", "/Conv_33", "maxpool8"].iter().all(|name| text.contains(name)), "{text}");
    let text = refusal("op:Conv", activation(|a| (a.observer, a.solver) = (Some(ObserverKind::MinMax), Some(SolverKind::Entropy))));
    assert!(["op:Conv", "activation.solver", "entropy", "min_max"].iter().all(|part| text.contains(part)), "{text}");
}
