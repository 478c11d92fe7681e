//! What goes wrong is one line and an exit code, and files are whole or stay as they were.
use super::tool::*;
use std::process::Command;

#[test]
fn command_lines_that_cannot_be_meant_are_code_2() {
    let onnx = onnx(&network("mlp"));
    let cases: [(&[&str], &str); 14] = [
        (&[], "subcommand"),
        (&["frobnicate"], "frobnicate"),
        (&["quantize"], "MODEL.onnx"),
        (&["quantize", &onnx], "--output"),
        (&["quantize", &onnx, "-o", "x", "--colour"], "--colour"),
        (&["quantize", &onnx, "-o", "x", "--solver", "l3"], "l3"),
        (&["quantize", &onnx, "-o", "x", "--recipe", "r", "--float", "y"], "--recipe"),
        (&["quantize", &onnx, "-o", "x", "--recipe", "r", "--calibration", "y"], "--calibration"),
        (&["quantize", &onnx, "-o", "x", "--calibration", "r", "--state", "y"], "--state"),
        (&["quantize", &onnx, "-o", "x", "--calibration", "r", "--batch", "0"], "--batch"),
        (&["quantize", &onnx, "-o", "x", "--calibration", "r", "--resize", "4"], "--resize"),
        (&["merge", &onnx, "-o", "x"], "STATE"),
        (&["inspect", &onnx, "--threads", "many"], "many"),
        (&["inspect", &onnx, "--max-isa", "sse"], "sse"),
    ];
    for (arguments, part) in cases {
        let line = fails(2, arguments);
        assert!(line.contains(part), "{arguments:?}: {line}");
    }
    assert!(succeeds(&["--help"]).contains("quantize") && succeeds(&["tune", "--help"]).contains("--max-float-macs"));
    assert_eq!(succeeds(&["--version"]), format!("rsquant {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn work_that_fails_is_code_1_and_names_the_thing() {
    let (network, folder) = (network("mlp"), Folder::new("failures"));
    let samples = Samples::new(&network, 5);
    let (data, onnx) = (samples.write(&folder, "data"), onnx(&network));
    let [model, state] = ["m.rsq", "s.cal"].map(|name| folder.at(name));
    succeeds(&["quantize", &onnx, "-o", &model, "--calibration", &data, "--save-state", &state]);
    let truncated = folder.write("cut.rsq", &folder.read("m.rsq")[..900]);
    let cut_state = folder.write("cut.cal", &folder.read("s.cal")[..100]);
    let text = folder.write("text.onnx", "no network");
    let recipe = folder.write("recipe.json", "{\"format\": \"rsquant.recipe\", \"version\": 99}");
    let qconfig = folder.write("qconfig.json", "{\"defaults\": {}, \"colour\": 1}");
    let (absent, nowhere) = (folder.at("absent.onnx"), folder.at("absent").replace("absent", "no/such/m.rsq"));
    let other = super::tool::onnx(&super::tool::network("lenet_like"));
    let calibration = ["--calibration", data.as_str()];
    let quantize = |more: &[&'static str]| [&["quantize", &onnx, "-o", &model], &calibration[..], more].concat().join("\n");
    let lines = |text: String| text.split('\n').map(str::to_owned).collect::<Vec<_>>();
    let own = |arguments: &[&str]| arguments.iter().map(|argument| (*argument).to_owned()).collect::<Vec<_>>();
    let cases = [
        (own(&["inspect", &absent]), "absent.onnx"),
        (own(&["inspect", &truncated]), "cut.rsq"),
        (own(&["bench", &truncated]), "cut.rsq"),
        (own(&["inspect", &cut_state]), "cut.cal"),
        (own(&["inspect", &text]), "text.onnx"),
        (own(&["inspect", &recipe]), "recipe.json"),
        (own(&["bench", &state]), "s.cal"),
        (own(&["quantize", &onnx, "-o", &nowhere, "--calibration", &data]), "no/such/m.rsq"),
        (own(&["quantize", &onnx, "-o", &model, "--calibration", &data, "--qconfig", &qconfig]), "qconfig.json"),
        (own(&["quantize", &onnx, "-o", &model]), "--calibration"),
        (own(&["quantize", &other, "-o", &model, "--state", &state]), "s.cal"),
        (own(&["merge", &onnx, &state, "-o", &state, "--observer", "min_max"]), "s.cal"),
        (own(&["compare", &other, &model, "--data", &data]), "lenet_like"),
        (lines(quantize(&["--float", "no_such_layer"])), "no_such_layer"),
        (lines(quantize(&["--observer", "min_max", "--solver", "l2"])), "min_max"),
        (lines(quantize(&["--resume"])), "--save-state"),
    ];
    let before = (folder.read("m.rsq"), folder.read("s.cal"));
    for (arguments, part) in cases {
        let line = fails(1, &arguments);
        assert!(line.contains(part), "{arguments:?}: {line}");
    }
    assert!((folder.read("m.rsq"), folder.read("s.cal")) == before, "what was there is there");
}

#[test]
fn a_bar_is_drawn_on_a_terminal_alone() {
    let (network, folder) = (network("resnet_like"), Folder::new("terminal"));
    let samples = Samples::new(&network, 40);
    let (data, onnx) = (samples.write(&folder, "data"), onnx(&network));
    let model = folder.at("m.rsq");
    // Silent on the error stream, which is a pipe here.
    let shown = succeeds(&["quantize", &onnx, "-o", &model, "--calibration", &data]);
    assert!(shown.contains("m.rsq") && shown.contains("40 calibration samples"), "{shown}");
    assert_eq!(succeeds(&["quantize", &onnx, "-o", &model, "--calibration", &data, "--quiet"]), "");
    let line = format!("'{PROGRAM}' quantize '{onnx}' -o '{model}' --calibration '{data}' --batch 1");
    let terminal = |line: &str| Command::new("script").args(["-qefc", line, "/dev/null"]).env("TERM", "xterm").output();
    let Ok(drawn) = terminal(&line) else {
        println!("SKIPPED: there is no program `script` to make a terminal");
        return;
    };
    let drawn = String::from_utf8_lossy(&drawn.stdout).into_owned();
    assert!(drawn.contains("calibrate") && drawn.contains("/40"), "{drawn:?}");
    let quiet = terminal(&format!("{line} --quiet")).unwrap();
    assert_eq!(String::from_utf8_lossy(&quiet.stdout), "");
}
