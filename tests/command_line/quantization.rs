//! `quantize`, `calibrate`, `merge`, `recipe`: the bytes are the facade's, whatever the way to them.
use super::tool::*;
use rsquant::pipeline::{Context, Model, import_recipe};
use rsquant::quantize::{LayerSettings, Mode, ObserverKind, QConfig, SolverKind};
use std::process::{Command, Stdio};
use std::time::Duration;

#[test]
fn models_have_the_bytes_of_the_facade() {
    let (network, folder) = (network("resnet_like"), Folder::new("models"));
    let samples = Samples::new(&network, 11);
    let (data, onnx, graph) = (samples.write(&folder, "data"), onnx(&network), graph(&network));
    let mut percentile = QConfig::default_static();
    percentile.defaults.activation.solver = Some(SolverKind::Percentile { p: 99.5 });
    let mut ranges = QConfig::default_static();
    ranges.defaults.activation.observer = ObserverKind::MinMax;
    let mut mixed = QConfig::default_static();
    mixed.set("op:Gemm", LayerSettings::FLOAT).unwrap();
    let first = graph.graph().nodes[0].name.clone();
    mixed.set(&format!("name:{first}"), LayerSettings { mode: Some(Mode::Dynamic), ..LayerSettings::default() }).unwrap();
    let mut of_file = QConfig::default_static();
    of_file.defaults.weight.per_channel = false;
    let file = folder.write("qconfig.json", of_file.to_json().unwrap());
    let cases: [(&[&str], &QConfig); 6] = [
        (&["--batch", "4"], &QConfig::default_static()),
        (&["--solver", "percentile:99.5", "--threads", "1"], &percentile),
        (&["--observer", "min_max", "--max-isa", "portable"], &ranges),
        (&["--float", "op:Gemm", "--dynamic", &first], &mixed),
        (&["--qconfig", &file, "--batch", "1"], &of_file),
        (&["--mode", "dynamic"], &QConfig::default_dynamic()),
    ];
    for (index, (options, qconfig)) in cases.into_iter().enumerate() {
        let model = samples.calibrated(&graph, qconfig).convert().unwrap();
        let output = folder.at(&format!("{index}.rsq"));
        let mut arguments = vec!["quantize", &onnx, "-o", &output, "--calibration", &data];
        arguments.extend(options);
        let told = json(&arguments);
        let bytes = folder.read(&format!("{index}.rsq"));
        assert!(bytes == model.to_bytes().unwrap(), "{options:?}");
        assert_eq!((told["bytes"].as_u64(), told["calibration_samples"].as_u64()), (Some(bytes.len() as u64), Some(11)));
        let float = model.layers().iter().filter(|layer| !layer.reason.is_empty()).count();
        assert_eq!((told["layers"]["float"].as_u64(), told["float_layers"].as_array().unwrap().len()), (Some(float as u64), float));
    }
    let needs_no_data = folder.at("dynamic.rsq");
    succeeds(&["quantize", &onnx, "-o", &needs_no_data, "--mode", "dynamic"]);
    assert!(folder.read("dynamic.rsq") == folder.read("5.rsq"));
}

#[test]
fn merged_shards_are_one_pass() {
    let (network, folder) = (network("mobilenet_v2_like"), Folder::new("shards"));
    let samples = Samples::new(&network, 13);
    let (data, onnx) = (samples.write(&folder, "data"), onnx(&network));
    let calibrate = |name: &str, options: &[&str]| {
        let output = folder.at(name);
        let mut arguments = vec!["calibrate", &onnx, "--calibration", &data, "-o", &output];
        arguments.extend(options);
        json(&arguments)["samples"].as_u64().unwrap()
    };
    assert_eq!(calibrate("all.cal", &[]), 13);
    let shards = [("a.cal", "0", "2", "1"), ("b.cal", "2", "7", "3"), ("c.cal", "9", "100", "32")];
    let seen = shards.map(|(name, skip, samples, batch)| calibrate(name, &["--skip", skip, "--samples", samples, "--batch", batch]));
    assert_eq!(seen, [2, 7, 4]);
    let [a, b, c, all, merged] = ["a.cal", "b.cal", "c.cal", "all.cal", "merged.cal"].map(|name| folder.at(name));
    let told = json(&["merge", &onnx, &c, &a, &b, "-o", &merged]);
    assert_eq!(told["samples"].as_u64(), Some(13));
    assert!(folder.read("merged.cal") == folder.read("all.cal"));
    let prepared = samples.calibrated(&graph(&network), &QConfig::default_static());
    assert!(folder.read("merged.cal") == prepared.calibration_bytes().unwrap());

    let (of_one, of_three) = (folder.at("one.rsq"), folder.at("three.rsq"));
    succeeds(&["quantize", &onnx, "-o", &of_one, "--state", &all]);
    succeeds(&["quantize", &onnx, "-o", &of_three, "--state", &a, "--state", &b, "--state", &c]);
    assert!(folder.read("one.rsq") == prepared.convert().unwrap().to_bytes().unwrap());
    assert!(folder.read("three.rsq") == folder.read("one.rsq"));

    // Another solver needs no other data.
    let mut qconfig = QConfig::default_static();
    qconfig.defaults.activation.solver = Some(SolverKind::Mse);
    let mse = folder.at("mse.rsq");
    succeeds(&["quantize", &onnx, "-o", &mse, "--state", &all, "--solver", "mse"]);
    let expected = samples.calibrated(&graph(&network), &qconfig).convert().unwrap().to_bytes().unwrap();
    assert!(folder.read("mse.rsq") == expected && expected != folder.read("one.rsq"));
}

#[test]
fn a_calibration_that_was_ended_goes_on() {
    let (network, folder) = (network("resnet_like"), Folder::new("resume"));
    let samples = Samples::new(&network, 12);
    let (data, onnx) = (samples.write(&folder, "data"), onnx(&network));
    let [state, model] = ["s.cal", "m.rsq"].map(|name| folder.at(name));
    let expected = samples.calibrated(&graph(&network), &QConfig::default_static());

    // Ended by an end of the data.
    succeeds(&["calibrate", &onnx, "--calibration", &data, "-o", &state, "--samples", "5", "--batch", "2"]);
    let quantize = ["quantize", &onnx, "-o", &model, "--calibration", &data, "--save-state", &state, "--resume", "--batch", "3"];
    assert_eq!(json(&quantize)["calibration_samples"].as_u64(), Some(12));
    assert!(folder.read("s.cal") == expected.calibration_bytes().unwrap());
    assert!(folder.read("m.rsq") == expected.convert().unwrap().to_bytes().unwrap());
    // What has seen all sees nothing again.
    assert_eq!(json(&quantize)["calibration_samples"].as_u64(), Some(12));
    assert!(folder.read("s.cal") == expected.calibration_bytes().unwrap());

    // Killed, once it has written something; or done before that, which is no harm.
    std::fs::remove_file(&state).unwrap();
    let arguments = ["calibrate", &onnx, "--calibration", &data, "-o", &state, "--resume", "--batch", "1", "--save-every", "1"];
    let mut child = Command::new(PROGRAM).args(arguments).stdout(Stdio::null()).spawn().unwrap();
    while !std::path::Path::new(&state).exists() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(json(&arguments)["samples"].as_u64(), Some(12));
    assert!(folder.read("s.cal") == expected.calibration_bytes().unwrap());
    let fewer = fails(1, &["calibrate", &onnx, "--calibration", &data, "-o", &state, "--resume", "--samples", "4"]);
    assert!(fewer.contains("12 samples") && fewer.contains("has 4"), "{fewer}");
}

#[test]
fn recipes_are_written_and_converted_from() {
    let (network, folder) = (network("resnet_like"), Folder::new("recipes"));
    let samples = Samples::new(&network, 6);
    let (data, onnx, graph) = (samples.write(&folder, "data"), onnx(&network), graph(&network));
    let [model, again, recipe, copy, exported] = ["m.rsq", "again.rsq", "m.json", "copy.json", "exported.json"].map(|name| folder.at(name));
    succeeds(&["quantize", &onnx, "-o", &model, "--calibration", &data, "--save-recipe", &recipe, "--solver", "mse"]);
    let mut qconfig = QConfig::default_static();
    qconfig.defaults.activation.solver = Some(SolverKind::Mse);
    let expected = samples.calibrated(&graph, &qconfig).recipe().unwrap();
    assert_eq!(String::from_utf8(folder.read("m.json")).unwrap(), expected.to_json().unwrap());
    succeeds(&["quantize", &onnx, "-o", &again, "--recipe", &recipe, "--save-recipe", &copy]);
    assert!(folder.read("again.rsq") == folder.read("m.rsq") && folder.read("copy.json") == folder.read("m.json"));
    let told = json(&["recipe", "export", &onnx, "-o", &exported, "--calibration", &data, "--solver", "mse"]);
    assert!(folder.read("exported.json") == folder.read("m.json"));
    assert_eq!(told["activations"].as_u64(), Some(expected.activations.len() as u64));
    let other = super::tool::onnx(&super::tool::network("mlp"));
    let misfit = fails(1, &["quantize", &other, "-o", &again, "--recipe", &recipe]);
    assert!(misfit.starts_with("mismatch: "), "{misfit}");
}

#[test]
fn calibrations_of_other_systems_are_imported() {
    let (network, folder) = (network("resnet_like"), Folder::new("imports"));
    let foreign = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/recipes/onnxruntime_resnet_like.json");
    let (onnx, graph, foreign) = (onnx(&network), graph(&network), foreign.to_str().unwrap());
    let [recipe, model] = ["r.json", "m.rsq"].map(|name| folder.at(name));
    let context = Context::default_context().unwrap();
    let expected = import_recipe(&context, &graph, None, &std::fs::read(foreign).unwrap(), None).unwrap();
    let told = json(&["recipe", "import", &onnx, foreign, "-o", &recipe, "--format", "onnxruntime"]);
    assert_eq!(String::from_utf8(folder.read("r.json")).unwrap(), expected.to_json().unwrap());
    let bound = expected.import.as_ref().unwrap().bound.len() as u64;
    assert_eq!(told["import"]["bound"].as_u64(), Some(bound));
    let told = json(&["quantize", &onnx, "-o", &model, "--import", foreign]);
    assert!(folder.read("m.rsq") == Model::from_recipe(&context, &graph, &expected).unwrap().to_bytes().unwrap());
    assert_eq!(told["import"]["bound"].as_u64(), Some(bound));
    let wrong = fails(1, &["recipe", "import", &onnx, foreign, "-o", &recipe, "--format", "tensorrt"]);
    assert!(wrong.contains("onnxruntime_resnet_like.json"), "{wrong}");
}
