//! Reports say what the model, the comparison, the ranking and the calibration say, and the page is complete in itself.
#[path = "support/networks.rs"]
mod networks;
#[path = "support/pipeline_runs.rs"]
mod pipeline_runs;

use networks::{NetworkEntry, all};
use pipeline_runs::*;
use rsquant::error::Error;
use rsquant::pipeline::{Comparison, Context, LayerPrecision, Model, Prepared, Sensitivity};
use rsquant::quantize::QConfig;
use rsquant::report::Report;
use serde_json::Value;

fn network(name: &str) -> NetworkEntry {
    all().into_iter().find(|network| network.name == name).unwrap()
}

struct Measured {
    prepared: Prepared,
    model: Model,
    comparison: Comparison,
    sensitivity: Sensitivity,
}

fn measured(network: &NetworkEntry, qconfig: &QConfig) -> Measured {
    let prepared = calibrated(&Context::default_context().unwrap(), network, qconfig);
    let model = prepared.convert().unwrap();
    let mut comparison = Comparison::new(&graph(network), &model).unwrap();
    with_inputs(network, |views| comparison.add(views)).unwrap();
    let sensitivity = with_inputs(network, |views| rsquant::pipeline::sensitivity(&prepared, views, &mut |_, _| Ok(()))).unwrap();
    Measured { prepared, model, comparison, sensitivity }
}

fn report(m: &Measured) -> Report {
    Report::new(&m.prepared, &m.model, Some(&m.comparison), Some(&m.sensitivity)).unwrap()
}

#[test]
fn the_json_has_what_was_measured() {
    let network = network("resnet_like");
    let mut qconfig = QConfig::default_static();
    let skipped = graph(&network).graph().nodes.iter().find(|node| node.op.name() == "Conv").unwrap().name.clone();
    qconfig.skip(&format!("name:{skipped}")).unwrap();
    let m = measured(&network, &qconfig);
    let json: Value = serde_json::from_str(&report(&m).to_json().unwrap()).unwrap();
    assert_eq!((json["calibration_samples"].as_u64(), json["compared_samples"].as_u64()), (Some(2), Some(2)));
    let layers = json["layers"].as_array().unwrap();
    assert_eq!(layers.len(), m.model.layers().len());
    for (layer, ranked) in layers.iter().zip(&m.sensitivity.layers) {
        assert_eq!(layer["name"], ranked.name.as_str(), "the most harmful first");
        assert_eq!((layer["error_share"].as_f64(), layer["alone_sqnr_db"].as_f64()), (Some(ranked.error_share), Some(ranked.sqnr_db)));
        let row = m.comparison.layers().into_iter().find(|row| row.name == ranked.name).unwrap();
        assert_eq!((layer["sqnr_db"].as_f64(), layer["clip_high"].as_f64()), (Some(row.sqnr_db), Some(row.clip_high)));
    }
    let float = layers.iter().find(|layer| layer["name"] == skipped.as_str()).unwrap();
    assert_eq!((float["precision"].as_str(), float["reason"].as_str()), (Some("float"), Some("the qconfig says float")));
    assert_eq!(json["outputs"][0]["sqnr_db"].as_f64(), Some(m.comparison.outputs()[0].sqnr_db));
    let input_of = |name: &str| m.model.layers().iter().find(|layer| layer.name == name).and_then(|layer| layer.input);
    let scales: Vec<f64> = json["tensors"].as_array().unwrap().iter().map(|tensor| tensor["scale"].as_f64().unwrap()).collect();
    for ranked in &m.sensitivity.layers {
        let scale = f64::from(input_of(&ranked.name).unwrap().scale);
        assert!(scales.iter().any(|found| (found - scale).abs() < 1e-6 * scale), "{}", ranked.name);
    }
    for tensor in json["tensors"].as_array().unwrap() {
        let histogram = &tensor["histogram"];
        let counts: u64 = histogram["counts"].as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).sum();
        assert!(counts + histogram["zeros"].as_u64().unwrap() >= 20 && tensor["solver"] == "l2" && tensor["observer"] == "histogram");
        let (range, observed) = (tensor["range"].as_array().unwrap(), tensor["observed"].as_array().unwrap());
        assert!(range[0].as_f64().unwrap() >= observed[0].as_f64().unwrap().min(0.0) && range[1].as_f64() <= observed[1].as_f64());
    }
}

#[test]
fn the_page_is_complete_in_itself_and_escapes_names() {
    let network = network("inception_like");
    let m = measured(&network, &QConfig::default_static());
    let mut report = report(&m);
    report.layers[0].name = "a<b>&\"c".into();
    report.layers[1].reason = "x < y".into();
    report.layers[1].precision = LayerPrecision::Float;
    let page = report.to_html();
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"));
    for outside in ["http://", "https://", "src=", "href=", "@import", "url(", "<script"] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("a&lt;b&gt;&amp;&quot;c") && page.contains("x &lt; y") && !page.contains("a<b>"));
    assert_eq!(page.matches("<svg").count(), report.tensors.len());
    for layer in &report.layers[1..] {
        assert!(page.contains(&layer.name), "{}", layer.name);
    }
    for tag in ["div", "table", "tr", "td", "svg", "span", "main", "h3"] {
        let opened = page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
    }
}

#[test]
fn a_report_needs_neither_comparison_nor_ranking_nor_histograms() {
    let network = network("lenet_like");
    let mut qconfig = QConfig::default_static();
    qconfig.defaults.activation.observer = rsquant::quantize::ObserverKind::MinMax;
    let prepared = calibrated(&Context::default_context().unwrap(), &network, &qconfig);
    let plain = Report::new(&prepared, &prepared.convert().unwrap(), None, None).unwrap();
    assert!(plain.outputs.is_empty() && plain.layers.iter().all(|layer| layer.sqnr_db.is_none() && layer.error_share.is_none()));
    let names: Vec<String> = prepared.convert().unwrap().layers().iter().map(|layer| layer.name.clone()).collect();
    assert_eq!(plain.layers.iter().map(|layer| layer.name.clone()).collect::<Vec<_>>(), names, "in execution order");
    assert!(plain.tensors.iter().all(|tensor| tensor.histogram.is_none() && tensor.solver == "min_max" && tensor.observed.is_some()));
    assert!(plain.to_html().contains("</html>") && plain.to_json().unwrap().contains("\"layers\""));
    let m = measured(&self::network("resnet_like"), &QConfig::default_static());
    let mixed = Report::new(&prepared, &prepared.convert().unwrap(), None, Some(&m.sensitivity));
    assert!(matches!(mixed, Err(Error::Mismatch(_))));
}

#[test]
fn files_are_replaced_whole_or_stay() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("report_files");
    std::fs::create_dir_all(&folder).unwrap();
    let report = report(&measured(&network("mlp"), &QConfig::default_static()));
    let (json, html) = (folder.join("report.json"), folder.join("report.html"));
    std::fs::write(&json, "old").unwrap();
    report.save_json(&json).unwrap();
    report.save_html(&html).unwrap();
    assert_eq!(std::fs::read_to_string(&json).unwrap(), report.to_json().unwrap());
    assert_eq!(std::fs::read_to_string(&html).unwrap(), report.to_html());
    assert!(matches!(report.save_html(&folder.join("absent/report.html")), Err(Error::Io { path, .. }) if path.contains("absent")));
}
