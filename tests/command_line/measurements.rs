//! `inspect`, `compare`, `report`, `tune`, `bench`: the numbers are the facade's.
use super::tool::*;
use rsquant::pipeline::{Comparison, LayerPrecision, Session, SessionOptions, TuneOptions, sensitivity, tune};
use rsquant::quantize::QConfig;
use rsquant::report::Report;
use rsquant::tensor::TensorViewMut;
use serde_json::Value;

fn names(rows: &Value) -> Vec<&str> {
    rows.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect()
}

/// What JSON says of it, to the last digit.
fn value(of: &impl serde::Serialize) -> Value {
    serde_json::from_str(&serde_json::to_string(of).unwrap()).unwrap()
}

#[test]
fn inspect_tells_what_each_kind_of_file_holds() {
    let (network, folder) = (network("resnet_like"), Folder::new("inspect"));
    let samples = Samples::new(&network, 4);
    let (data, onnx, graph) = (samples.write(&folder, "data"), onnx(&network), graph(&network));
    let [model, state, recipe] = ["m.rsq", "s.cal", "r.json"].map(|name| folder.at(name));
    let save = ["--save-state", &state, "--save-recipe", &recipe, "--float", "op:Gemm"];
    succeeds(&[&["quantize", &onnx, "-o", &model, "--calibration", &data], &save[..]].concat());

    let told = json(&["inspect", &onnx, "--input-shape", "1x3x20x20"]);
    assert_eq!(told["kind"], "onnx");
    let nodes = graph.graph().nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>();
    assert_eq!((names(&told["nodes"]), told["inputs"][0]["name"].as_str()), (nodes.clone(), Some("image")));
    let options = SessionOptions { input_dims: Some(vec![vec![1, 3, 20, 20]]), ..SessionOptions::default() };
    let session = Session::float(&rsquant::pipeline::Context::default_context().unwrap(), &graph, options).unwrap();
    assert_eq!(told["macs"].as_u64(), Some(session.steps().iter().map(|step| step.macs).sum()));

    let told = json(&["inspect", &model]);
    assert_eq!((told["kind"].as_str(), names(&told["layers"])), (Some("model"), nodes));
    let gemm = told["layers"].as_array().unwrap().iter().find(|layer| layer["operator"] == "Gemm").unwrap();
    assert_eq!((gemm["precision"].as_str(), gemm["reason"].as_str()), (Some("float"), Some("the qconfig says float")));

    let mut qconfig = QConfig::default_static();
    qconfig.skip("op:Gemm").unwrap();
    let prepared = samples.calibrated(&graph, &qconfig);
    let told = json(&["inspect", &state]);
    assert_eq!((told["kind"].as_str(), told["samples"].as_u64()), (Some("calibration_state"), Some(4)));
    let ranges: Vec<Vec<f64>> = prepared
        .calibrated_tensors()
        .unwrap()
        .iter()
        .map(|tensor| {
            let range = tensor.states.iter().filter_map(rsquant::quantize::ObserverState::range);
            range.fold(vec![f64::MAX, f64::MIN], |ends, (low, high)| vec![ends[0].min(low.into()), ends[1].max(high.into())])
        })
        .collect();
    let tensors = told["tensors"].as_array().unwrap();
    assert!(tensors.iter().all(|tensor| tensor["observer"] == "histogram") && tensors.len() >= ranges.len());
    let image = tensors.iter().find(|tensor| tensor["name"] == "image").unwrap();
    let ends = image["range"].as_array().unwrap().iter().map(|end| end.as_f64().unwrap() as f32).collect::<Vec<_>>();
    let (low, high) = samples.floats.iter().fold((0f32, 0f32), |(low, high), &x| (low.min(x), high.max(x)));
    assert_eq!(ends, [low, high]);

    let told = json(&["inspect", &recipe]);
    let expected: Value = serde_json::from_str(&prepared.recipe().unwrap().to_json().unwrap()).unwrap();
    assert_eq!((told["kind"].as_str(), &told["recipe"]), (Some("recipe"), &expected));
    for (file, words) in [(&onnx, "float network"), (&model, "int8 model"), (&state, "4 samples"), (&recipe, "from calibration")] {
        assert!(succeeds(&["inspect", file, "--layers"]).contains(words));
    }
}

#[test]
fn compare_has_the_comparison_and_top_1() {
    let (network, folder) = (network("lenet_like"), Folder::new("compare"));
    let samples = Samples::new(&network, 9);
    let (data, onnx, graph) = (samples.write(&folder, "data"), onnx(&network), graph(&network));
    let output = folder.at("m.rsq");
    succeeds(&["quantize", &onnx, "-o", &output, "--calibration", &data]);
    let model = samples.calibrated(&graph, &QConfig::default_static()).convert().unwrap();
    let mut comparison = Comparison::new(&graph, &model).unwrap();
    samples.with(0..9, |views| comparison.add(views)).unwrap();
    let compare = ["compare", &onnx, &output, "--data", &data, "--batch", "4"];
    let told = json(&compare);
    assert_eq!(told["layers"], value(&comparison.layers()));
    assert_eq!(told["outputs"], value(&comparison.outputs()));
    assert_eq!((told["samples"].as_u64(), &told["top1"]), (Some(9), &Value::Null));

    // Labels: what the model says, but for two samples.
    let mut session = Session::new(&model, SessionOptions { max_batch: 9, ..SessionOptions::default() }).unwrap();
    let mut logits = vec![0f32; 90];
    samples.with(0..9, |views| session.run(views, &mut [TensorViewMut::f32(&mut logits, &[9, 10]).unwrap()])).unwrap();
    let largest = |row: &[f32]| (0..10).fold(0, |best, index| if row[index] > row[best] { index } else { best });
    let mut labels: Vec<usize> = logits.chunks_exact(10).map(largest).collect();
    labels[2] = (labels[2] + 1) % 10;
    labels[7] = (labels[7] + 1) % 10;
    let text = |labels: &[usize]| labels.iter().map(|label| format!("{label}\n")).collect::<String>();
    let file = folder.write("labels.txt", text(&labels));
    let told = json(&[&compare[..], &["--labels", &file]].concat());
    assert_eq!(told["top1"]["model"].as_f64(), Some(7.0 / 9.0));
    let shown = succeeds(&[&compare[..], &["--labels", &file, "--layers"]].concat());
    assert!(shown.contains("model 77.78 %") && shown.contains("conv") | shown.contains("Conv"), "{shown}");
    let short = folder.write("short.txt", text(&labels[1..]));
    assert!(fails(1, &[&compare[..], &["--labels", &short]].concat()).contains("8 labels for 9 samples"));
    let words = folder.write("words.txt", "1\ncat\n");
    assert!(fails(1, &[&compare[..], &["--labels", &words]].concat()).contains("line 2"));
}

#[test]
fn the_report_is_the_facades() {
    let (network, folder) = (network("mobilenet_v2_like"), Folder::new("report"));
    let samples = Samples::new(&network, 7);
    let (data, onnx, graph) = (samples.write(&folder, "data"), onnx(&network), graph(&network));
    let [page, file, plain] = ["r.html", "r.json", "plain.html"].map(|name| folder.at(name));
    let told = json(&["report", &onnx, "--calibration", &data, "-o", &page, "--json-file", &file, "--rank-samples", "4"]);
    let prepared = samples.calibrated(&graph, &QConfig::default_static());
    let model = prepared.convert().unwrap();
    let mut comparison = Comparison::new(&graph, &model).unwrap();
    samples.with(0..7, |views| comparison.add(views)).unwrap();
    let ranking = samples.with(0..4, |views| sensitivity(&prepared, views, &mut |_, _| Ok(()))).unwrap();
    let report = Report::new(&prepared, &model, Some(&comparison), Some(&ranking)).unwrap();
    assert_eq!(String::from_utf8(folder.read("r.html")).unwrap(), report.to_html());
    assert_eq!(String::from_utf8(folder.read("r.json")).unwrap(), report.to_json().unwrap());
    assert_eq!(told["report"], serde_json::from_str::<Value>(&report.to_json().unwrap()).unwrap());
    succeeds(&["report", &onnx, "--mode", "dynamic", "-o", &plain]);
    assert!(String::from_utf8(folder.read("plain.html")).unwrap().contains("</html>"));
}

#[test]
fn tune_finds_what_the_facade_finds() {
    let (network, folder) = (network("resnet_like"), Folder::new("tune"));
    let samples = Samples::new(&network, 8);
    let (data, onnx, graph) = (samples.write(&folder, "data"), onnx(&network), graph(&network));
    let [model, recipe, state] = ["m.rsq", "r.json", "s.cal"].map(|name| folder.at(name));
    let prepared = samples.calibrated(&graph, &QConfig::default_static());
    let options = TuneOptions { max_float_layers: Some(2), ..TuneOptions::default() };
    let expected = samples.with(0..5, |views| tune(&prepared, views, options, None, &mut |_, _| Ok(()))).unwrap();
    succeeds(&["calibrate", &onnx, "--calibration", &data, "-o", &state]);
    let tuning = ["tune", &onnx, "--state", &state, "--data", &data, "-o", &model, "--rank-samples", "5"];
    let told = json(&[&tuning[..], &["--max-float-layers", "2", "--save-recipe", &recipe]].concat());
    assert!(folder.read("m.rsq") == expected.model.to_bytes().unwrap());
    assert_eq!(String::from_utf8(folder.read("r.json")).unwrap(), expected.recipe.to_json().unwrap());
    assert_eq!((told["metric"].as_f64(), told["int8_metric"].as_f64()), (Some(expected.metric), Some(expected.int8_metric)));
    assert_eq!(names(&told["float_layers"]), expected.float_layers.iter().map(|layer| layer.name.as_str()).collect::<Vec<_>>());

    // With labels it is top-1 that counts: nobody is right about an impossible one, so all that may be float is.
    let labels = folder.write("labels.txt", "0\n".repeat(8));
    let labelled = ["--labels", &labels, "--target", "1.5", "--max-float-layers", "1"];
    let told = json(&[&tuning[..], &labelled].concat());
    assert_eq!((told["metric_name"].as_str(), told["reached"].as_bool()), (Some("top1"), Some(false)));
    let float = told["float_layers"].as_array().unwrap().len();
    let of_model = rsquant::pipeline::Model::from_bytes(prepared.context(), &folder.read("m.rsq")).unwrap();
    let float_layers = of_model.layers().iter().filter(|layer| layer.precision == LayerPrecision::Float && layer.reason.contains("tuning"));
    assert_eq!((float, float_layers.count()), (1, 1));
    let easy = json(&[&tuning[..], &["--labels", &labels, "--max-drop", "1"]].concat());
    assert_eq!((easy["reached"].as_bool(), easy["float_layers"].as_array().unwrap().len()), (Some(true), 0));
    assert!(folder.read("m.rsq") == prepared.convert().unwrap().to_bytes().unwrap());
    assert!(fails(1, &tuning).contains("target"));
    assert!(fails(1, &[&tuning[..], &["--max-drop", "0.1"]].concat()).contains("--max-drop"));
}

#[test]
fn bench_measures_models_and_networks() {
    let (network, folder) = (network("resnet_like"), Folder::new("bench"));
    let samples = Samples::new(&network, 4);
    let (data, onnx) = (samples.write(&folder, "data"), onnx(&network));
    let model = folder.at("m.rsq");
    succeeds(&["quantize", &onnx, "-o", &model, "--calibration", &data]);
    for (file, kind) in [(&onnx, "onnx"), (&model, "model")] {
        let shape = ["--input-shape", "1x3x20x20", "--seconds", "0", "--batch", "1,5", "--profile", "--threads", "2"];
        let told = json(&[&["bench", file], &shape[..]].concat());
        assert_eq!((told["kind"].as_str(), told["threads"].as_u64()), (Some(kind), Some(2)));
        let results = told["results"].as_array().unwrap();
        assert_eq!(results.iter().map(|result| result["batch"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 5]);
        for result in results {
            let number = |name: &str| result[name].as_f64().unwrap();
            let (batch, median) = (number("batch"), number("median_ms"));
            assert!((number("samples_per_second") - batch * 1e3 / median).abs() < 1e-6 * number("samples_per_second"));
            assert!(number("best_ms") <= median && number("runs") >= 3.0);
            let steps = result["steps"].as_array().unwrap();
            let shares: f64 = steps.iter().map(|step| step["share"].as_f64().unwrap()).sum();
            assert!((shares - 1.0).abs() < 1e-9 && steps.len() > 5);
            assert!(steps.iter().any(|step| step["operator"] == "Conv" && step["macs"].as_u64() > Some(0)));
        }
    }
    let shown = succeeds(&["bench", &model, "--input-shape", "1x3x20x20", "--seconds", "0", "--profile"]);
    assert!(shown.contains("samples/s") && shown.contains("GOP/s"), "{shown}");
}
