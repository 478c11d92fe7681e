//! Tests of the qconfig.
use super::*;
use crate::quantize::SolverKind;

fn observer(observer: ObserverKind, solver: Option<SolverKind>) -> LayerSettings {
    LayerSettings { activation: ActivationSettings { observer: Some(observer), solver, ..Default::default() }, ..Default::default() }
}

fn solver(solver: SolverKind) -> LayerSettings {
    LayerSettings { activation: ActivationSettings { solver: Some(solver), ..Default::default() }, ..Default::default() }
}

fn mode(mode: Mode) -> LayerSettings {
    LayerSettings { mode: Some(mode), ..Default::default() }
}

#[test]
fn the_defaults_are_those_of_the_document() {
    let layer = QConfig::default_static().resolve("Conv", "conv1").unwrap();
    assert_eq!((layer.mode, layer.activation.target()), (Mode::Static, crate::quantize::Target::U8_AFFINE));
    assert_eq!((layer.activation.observer, layer.activation.solver()), (ObserverKind::Histogram, SolverKind::L2));
    assert_eq!((layer.weight.per_channel, layer.weight.target()), (true, crate::quantize::Target::S8_SYMMETRIC));
    let layer = QConfig::default_dynamic().resolve("Gemm", "fc").unwrap();
    assert_eq!((layer.mode, layer.activation.grain), (Mode::Dynamic, Grain::PerSample));
}

#[test]
fn names_win_over_operators_over_all_and_later_over_earlier() {
    let mut qconfig = QConfig::default_static();
    qconfig.set("name:layer4.*", solver(SolverKind::Mse)).unwrap();
    qconfig.set("op:Conv", solver(SolverKind::Entropy)).unwrap();
    qconfig.set("*", solver(SolverKind::MinMax)).unwrap();
    qconfig.set("name:*.conv1", solver(SolverKind::Auto)).unwrap();
    let of = |operator, name| qconfig.resolve(operator, name).unwrap().activation.solver();
    assert_eq!(of("Gemm", "fc"), SolverKind::MinMax);
    assert_eq!(of("Conv", "layer3.0.conv2"), SolverKind::Entropy);
    assert_eq!(of("Conv", "layer4.0.conv2"), SolverKind::Mse);
    assert_eq!(of("Conv", "layer4.0.conv1"), SolverKind::Auto);
}

#[test]
fn overrides_change_only_what_they_hold() {
    let mut qconfig = QConfig::default_static();
    qconfig
        .set("op:Conv", LayerSettings { weight: WeightSettings { per_channel: Some(false), ..Default::default() }, ..Default::default() })
        .unwrap();
    qconfig.set("name:a", solver(SolverKind::Percentile { p: 99.0 })).unwrap();
    let layer = qconfig.resolve("Conv", "a").unwrap();
    assert!(!layer.weight.per_channel);
    assert_eq!(layer.activation.solver(), SolverKind::Percentile { p: 99.0 });
    qconfig.set("name:a", QConfig::default_static().defaults).unwrap();
    assert_eq!(qconfig.resolve("Conv", "a").unwrap(), QConfig::default_static().defaults);
    qconfig.skip("op:Conv").unwrap();
    assert_eq!(qconfig.resolve("Conv", "b").unwrap().mode, Mode::Float);
    assert_eq!(qconfig.resolve("Gemm", "b").unwrap().mode, Mode::Static);
}

#[test]
fn an_observer_brings_its_solver_unless_one_is_named() {
    let mut qconfig = QConfig::default_static();
    qconfig.set("*", solver(SolverKind::Mse)).unwrap();
    qconfig.set("op:Conv", observer(ObserverKind::MinMax, None)).unwrap();
    assert_eq!(qconfig.resolve("Conv", "c").unwrap().activation.solver(), SolverKind::MinMax);
    qconfig.validate().unwrap();
    qconfig.set("op:Gemm", observer(ObserverKind::MovingAverage, Some(SolverKind::L2))).unwrap();
    let error = qconfig.validate().unwrap_err().to_string();
    assert!(error.contains("\"op:Gemm\"") && error.contains("activation.solver") && error.contains("moving_average"), "{error}");
}

#[test]
fn contradictions_name_scope_and_field() {
    let activation = |qtype, scheme, reduce_range| LayerSettings {
        activation: ActivationSettings { qtype, scheme, reduce_range, ..Default::default() },
        ..Default::default()
    };
    let affine_weights =
        LayerSettings { weight: WeightSettings { scheme: Some(Scheme::Affine), ..Default::default() }, ..Default::default() };
    let cases = [
        (activation(None, Some(Scheme::Symmetric), Some(true)), "activation.reduce_range"),
        (activation(None, Some(Scheme::RestrictedSymmetric), None), "activation.scheme"),
        (affine_weights, "weight.scheme"),
        (solver(SolverKind::Percentile { p: 101.0 }), "activation.solver"),
        (LayerSettings { mode: Some(Mode::Dynamic), ..activation(Some(QType::S8), None, None) }, "activation.qtype"),
        (LayerSettings { mode: Some(Mode::Dynamic), ..activation(None, Some(Scheme::Symmetric), None) }, "activation.scheme"),
        (
            LayerSettings { activation: ActivationSettings { rule: Some(DynamicRule::Torch), ..Default::default() }, ..Default::default() },
            "activation.rule",
        ),
    ];
    for (settings, field) in cases {
        let mut qconfig = QConfig::default_static();
        qconfig.set("op:Gemm", mode(Mode::Static)).unwrap();
        qconfig.set("name:head.*", settings).unwrap();
        let texts = [qconfig.validate().unwrap_err().to_string(), qconfig.resolve("Gemm", "head.fc").unwrap_err().to_string()];
        for text in &texts {
            assert!(text.contains("\"name:head.*\"") && text.contains(field), "{text}");
        }
        assert!(texts[1].contains("head.fc"));
        assert!(qconfig.resolve("Gemm", "body.fc").is_ok());
        qconfig.skip("name:head.*").unwrap();
        assert_eq!(qconfig.resolve("Gemm", "head.fc").unwrap().mode, Mode::Float);
    }
    let mut wrong = QConfig::default_static();
    wrong.defaults.weight.scheme = Scheme::Affine;
    assert!(wrong.validate().unwrap_err().to_string().contains("defaults"));
}

#[test]
fn a_mix_of_scopes_is_checked_for_the_node() {
    let mut qconfig = QConfig::default_static();
    let s8 = ActivationSettings { qtype: Some(QType::S8), ..Default::default() };
    qconfig.set("op:Gemm", LayerSettings { activation: s8, ..Default::default() }).unwrap();
    qconfig.set("name:fc", mode(Mode::Dynamic)).unwrap();
    qconfig.validate().unwrap();
    let error = qconfig.resolve("Gemm", "fc").unwrap_err().to_string();
    assert!(error.contains("\"name:fc\"") && error.contains("activation.qtype"), "{error}");
}

#[test]
fn scopes_without_a_node_are_reported() {
    let mut qconfig = QConfig::default_static();
    for scope in ["*", "op:Conv", "op:Cnov", "name:layer4.*", "name:layer5.*", "name:layer5.*"] {
        qconfig.set(scope, mode(Mode::Static)).unwrap();
    }
    let nodes = [("Conv", "layer4.0"), ("Gemm", "fc")];
    assert_eq!(qconfig.unmatched_scopes(nodes.into_iter()).unwrap(), ["op:Cnov", "name:layer5.*"]);
    assert_eq!(qconfig.unmatched_scopes([].into_iter()).unwrap().len(), 5);
}

#[test]
fn json_comes_back_and_unknown_fields_are_refused() {
    let mut qconfig = QConfig { strict: true, ..QConfig::default_static() };
    qconfig.set("op:Conv", solver(SolverKind::Percentile { p: 99.9 })).unwrap();
    qconfig.skip("name:layer4.*").unwrap();
    let text = qconfig.to_json().unwrap();
    assert_eq!(QConfig::from_json(&text).unwrap(), qconfig);
    assert!(
        matches!(QConfig::from_json(&text.replace("per_channel", "per_chanel")), Err(Error::Parse(text)) if text.contains("per_chanel"))
    );
    assert!(matches!(QConfig::from_json(&text.replace("op:Conv", "Conv")), Err(Error::InvalidArgument(_))));
    assert!(matches!(QConfig::from_json(&text.replace("99.9", "0")), Err(Error::InvalidArgument(_))));
    assert!(QConfig::default_static().set("layer", mode(Mode::Float)).is_err());
}

#[test]
fn the_json_of_the_module_page_is_one() {
    let page = include_str!("mod.rs");
    let json: String = page
        .lines()
        .skip_while(|line| !line.contains("```json"))
        .skip(1)
        .take_while(|line| !line.contains("```"))
        .map(|line| &line[3..])
        .collect();
    let qconfig = QConfig::from_json(&json).unwrap();
    assert_eq!(qconfig.resolve("Conv", "layer4.0").unwrap().mode, Mode::Float);
    assert_eq!(qconfig.defaults, QConfig::default_static().defaults);
}
