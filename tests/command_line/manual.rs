//! docs/COMMAND_LINE.md: its examples, in order, run.
use super::tool::*;
use std::path::Path;
use std::process::Command;

/// The lines of the manual's `sh` blocks.
fn examples() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/COMMAND_LINE.md");
    let text = std::fs::read_to_string(path).unwrap();
    let blocks = text.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.collect()
}

#[test]
fn the_manuals_examples_run() {
    let (network, folder) = (network("resnet_like"), Folder::new("manual"));
    std::fs::copy(network.model(), folder.at("model.onnx")).unwrap();
    Samples::new(&network, 8).write(&folder, "calibration");
    Samples::new(&network, 6).write(&folder, "test");
    folder.write("labels.txt", "3\n1\n4\n1\n5\n9\n");
    for index in 0..4u8 {
        let pixels: Vec<u8> = (0..24 * 24 * 3).map(|at| (at * 31 + usize::from(index) * 7) as u8).collect();
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 24, 24);
        encoder.set_color(png::ColorType::Rgb);
        encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
        folder.write(&format!("photographs/{index}.png"), bytes);
    }
    let foreign = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/recipes/onnxruntime_resnet_like.json");
    std::fs::copy(foreign, folder.at("calibration.json")).unwrap();
    let examples = examples();
    let program = Path::new(PROGRAM).parent().unwrap().to_str().unwrap();
    let path = format!("{program}:{}", std::env::var("PATH").unwrap());
    let output = Command::new("sh").args(["-exc", &examples]).current_dir(folder.at("")).env("PATH", path).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    for subcommand in ["quantize", "calibrate", "merge", "recipe export", "recipe import", "inspect", "bench", "compare", "report", "tune"]
    {
        assert!(examples.contains(&format!("rsquant {subcommand}")), "no example of {subcommand}");
    }
}

#[test]
fn the_manual_has_every_option() {
    let manual = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/COMMAND_LINE.md")).unwrap();
    let pages = [&["quantize"][..], &["calibrate"], &["merge"], &["recipe", "export"], &["recipe", "import"], &["inspect"], &["bench"]];
    for page in pages.into_iter().chain([&["compare"][..], &["report"], &["tune"]]) {
        let help = succeeds(&[page, &["--help"]].concat());
        let options =
            help.split_whitespace().filter(|word| word.starts_with("--")).map(|word| word.trim_end_matches([',', '.', ':', ']', ')']));
        for option in options {
            assert!(manual.contains(&format!("`{option}")), "{page:?} has {option}, of which the manual does not tell");
        }
    }
}
