//! Contract line 21: files that a version has written are read by every later one. tests/data/formats has a folder for each version that
//! changed a format, with small models, calibration states, recipes and observers, inputs, and the outputs that they led to.
//!
//! A version that changes a format adds a folder (its files are never changed again):
//!
//!     RSQUANT_WRITE_GOLDEN_FILES=1 cargo test --test contract_golden_files
#[path = "support/networks.rs"]
mod networks;
#[path = "support/recurrent.rs"]
mod recurrent;

use recurrent::{Tensor, options, try_run};
use rsquant::pipeline::{Context, FloatGraph, LoadMode, Model, Observer, Prepared, Session, load_recipe, save_recipe};
use rsquant::quantize::{LayerSettings, Mode, ObserverKind, QConfig, Target};
use std::path::{Path, PathBuf};

const WRITE: &str = "RSQUANT_WRITE_GOLDEN_FILES";
/// Networks, and where their ONNX files and inputs come from when a folder is written.
const NETWORKS: [&str; 3] = ["squeeze_excite", "mlp", "onnx_gru"];
/// Models and recipes: a network, and how it is quantized.
const MODELS: [(&str, &str); 5] =
    [("squeeze_excite", "static"), ("squeeze_excite", "mixed"), ("mlp", "static"), ("mlp", "dynamic"), ("onnx_gru", "dynamic")];
const OBSERVERS: [ObserverKind; 4] =
    [ObserverKind::MinMax, ObserverKind::MovingAverage, ObserverKind::Histogram, ObserverKind::TorchHistogram];

fn formats() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/formats")
}

/// The folders of all versions.
fn versions() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(formats()).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(!folders.is_empty() && folders.iter().all(|folder| folder.is_dir()), "{folders:?}");
    folders
}

/// `operator`: whose layers a mixed model leaves to dynamic quantization.
fn qconfig(kind: &str, operator: &str) -> QConfig {
    let mut qconfig = if kind == "dynamic" { QConfig::default_dynamic() } else { QConfig::default_static() };
    if kind == "mixed" {
        qconfig.set(&format!("op:{operator}"), LayerSettings { mode: Some(Mode::Dynamic), ..LayerSettings::default() }).unwrap();
    }
    qconfig
}

fn observing(kind: ObserverKind) -> QConfig {
    let mut settings = LayerSettings::default();
    settings.activation.observer = Some(kind);
    let mut qconfig = QConfig::default_static();
    qconfig.set("*", settings).unwrap();
    qconfig
}

/// Tensors as a file: rank and dimensions, u32, then the floats, all little-endian.
fn write_tensors(path: &Path, tensors: &[Tensor]) {
    let mut bytes = Vec::new();
    for tensor in tensors {
        bytes.extend((tensor.dims.len() as u32).to_le_bytes());
        tensor.dims.iter().for_each(|&dim| bytes.extend((dim as u32).to_le_bytes()));
        tensor.data.iter().for_each(|x| bytes.extend(x.to_le_bytes()));
    }
    std::fs::write(path, bytes).unwrap();
}

fn read_tensors(path: &Path) -> Vec<Tensor> {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (mut words, mut tensors) = (bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])), Vec::new());
    while let Some(rank) = words.next() {
        let dims: Vec<usize> = words.by_ref().take(rank as usize).map(|dim| dim as usize).collect();
        let data = words.by_ref().take(dims.iter().product()).map(f32::from_bits).collect();
        tensors.push(Tensor { data, dims });
    }
    tensors
}

fn outputs(model: &Model, inputs: &[Tensor]) -> Vec<Tensor> {
    try_run(&mut Session::new(model, options(inputs)).unwrap(), inputs).unwrap()
}

fn same_bits(found: &[Tensor], expected: &[Tensor], what: &str) {
    let bits = |tensors: &[Tensor]| tensors.iter().map(|tensor| (tensor.dims.clone(), tensor.bits())).collect::<Vec<_>>();
    assert!(bits(found) == bits(expected), "{what}: other results");
}

fn calibrated(context: &Context, folder: &Path, network: &str, qconfig: &QConfig) -> Prepared {
    let graph = FloatGraph::from_onnx_file(&folder.join(network).with_extension("onnx")).unwrap();
    let inputs = read_tensors(&folder.join(format!("{network}.in")));
    let dims = inputs.iter().map(|input| input.dims.clone()).collect();
    let mut prepared = Prepared::new(context, &graph, qconfig, Some(dims)).unwrap();
    let views: Vec<_> = inputs.iter().map(|input| rsquant::tensor::TensorView::f32(&input.data, &input.dims).unwrap()).collect();
    prepared.calibrate(&views).unwrap();
    prepared
}

/// Writes the folder of this version.
fn write(folder: &Path) {
    assert!(!folder.exists(), "{} is there: golden files are never changed", folder.display());
    std::fs::create_dir_all(folder).unwrap();
    let context = Context::default_context().unwrap();
    for (name, operator) in NETWORKS.into_iter().zip(["Conv", "Gemm", "GRU"]) {
        let (onnx, inputs) = match networks::all().into_iter().find(|network| network.name == name) {
            Some(network) => {
                let tensor = |(data, dims)| Tensor { data, dims };
                let dims = network.inputs.iter().map(|input| input.shape.clone());
                (network.model(), network.input_floats().into_iter().zip(dims).map(tensor).collect())
            }
            None => (formats().join(format!("../recurrent/{name}/model.onnx")), recurrent::named(name).inputs()),
        };
        std::fs::copy(onnx, folder.join(name).with_extension("onnx")).unwrap();
        write_tensors(&folder.join(format!("{name}.in")), &inputs);
        for (_, kind) in MODELS.into_iter().filter(|model| model.0 == name) {
            let prepared = calibrated(&context, folder, name, &qconfig(kind, operator));
            let model = prepared.convert().unwrap();
            model.save(&folder.join(format!("{name}-{kind}.rsq"))).unwrap();
            write_tensors(&folder.join(format!("{name}-{kind}.out")), &outputs(&model, &inputs));
            save_recipe(&prepared.recipe().unwrap(), &folder.join(format!("{name}-{kind}.json"))).unwrap();
        }
    }
    for kind in OBSERVERS {
        let prepared = calibrated(&context, folder, "mlp", &observing(kind));
        prepared.save_calibration(&folder.join(format!("mlp-{}.calibration", kind.name()))).unwrap();
        let inputs = read_tensors(&folder.join("mlp.in"));
        let model = prepared.convert().unwrap();
        write_tensors(&folder.join(format!("mlp-{}.out", kind.name())), &outputs(&model, &inputs));
        let mut observer = Observer::new(kind, 2, true).unwrap();
        observer.observe(&[0.5, -3.0, f32::INFINITY, 4.0, 1e-20, 7.5], 1).unwrap();
        std::fs::write(folder.join(format!("{}.observer", kind.name())), observer.to_bytes().unwrap()).unwrap();
    }
}

#[test]
fn line_21_models_of_every_version_run_with_the_bits_that_they_had_and_are_written_again_as_they_were() {
    if std::env::var_os(WRITE).is_some() {
        write(&formats().join(env!("CARGO_PKG_VERSION")));
    }
    let context = Context::default_context().unwrap();
    for folder in versions() {
        for (network, kind) in MODELS {
            let path = folder.join(format!("{network}-{kind}.rsq"));
            let (what, bytes) = (path.display().to_string(), std::fs::read(&path).unwrap());
            let inputs = read_tensors(&folder.join(format!("{network}.in")));
            let expected = read_tensors(&folder.join(format!("{network}-{kind}.out")));
            for model in [
                Model::load(&context, &path, LoadMode::Mapped),
                Model::load(&context, &path, LoadMode::Copied),
                Model::from_bytes(&context, &bytes),
            ] {
                let model = model.unwrap_or_else(|error| panic!("{what}: {error}"));
                same_bits(&outputs(&model, &inputs), &expected, &what);
                assert!(model.to_bytes().unwrap() == bytes, "{what}: written again with other bytes");
            }
        }
    }
}

#[test]
fn line_21_calibration_states_of_every_version_lead_to_the_models_that_they_led_to() {
    let context = Context::default_context().unwrap();
    for folder in versions() {
        let graph = FloatGraph::from_onnx_file(&folder.join("mlp.onnx")).unwrap();
        let inputs = read_tensors(&folder.join("mlp.in"));
        for kind in OBSERVERS {
            let path = folder.join(format!("mlp-{}.calibration", kind.name()));
            let mut prepared = Prepared::new(&context, &graph, &observing(kind), None).unwrap();
            prepared.load_calibration(&path).unwrap_or_else(|error| panic!("{error}"));
            assert!(prepared.calibration_bytes().unwrap() == std::fs::read(&path).unwrap(), "{}: written again", path.display());
            let expected = read_tensors(&folder.join(format!("mlp-{}.out", kind.name())));
            same_bits(&outputs(&prepared.convert().unwrap(), &inputs), &expected, &path.display().to_string());
        }
    }
}

#[test]
fn line_21_recipes_and_observers_of_every_version_mean_what_they_meant() {
    let context = Context::default_context().unwrap();
    let again = std::env::temp_dir().join(format!("rsquant-recipe-{}.json", std::process::id()));
    for folder in versions() {
        for (network, kind) in MODELS {
            let path = folder.join(format!("{network}-{kind}.json"));
            let graph = FloatGraph::from_onnx_file(&folder.join(network).with_extension("onnx")).unwrap();
            let recipe = load_recipe(&path).unwrap_or_else(|error| panic!("{error}"));
            save_recipe(&recipe, &again).unwrap();
            assert_eq!(std::fs::read_to_string(&again).unwrap(), std::fs::read_to_string(&path).unwrap(), "{}", path.display());
            let model = Model::from_recipe(&context, &graph, &recipe).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let expected = read_tensors(&folder.join(format!("{network}-{kind}.out")));
            let inputs = read_tensors(&folder.join(format!("{network}.in")));
            same_bits(&outputs(&model, &inputs), &expected, &path.display().to_string());
        }
        for kind in OBSERVERS {
            let bytes = std::fs::read(folder.join(format!("{}.observer", kind.name()))).unwrap();
            let observer = Observer::from_bytes(&bytes).unwrap_or_else(|error| panic!("{}: {error}", kind.name()));
            assert!(observer.to_bytes().unwrap() == bytes && observer.kind() == kind && observer.channels() == 2, "{}", kind.name());
            assert_eq!(observer.dropped(), 1, "{}", kind.name());
            assert_eq!(observer.solve(None, Target::U8_AFFINE).unwrap().len(), 2, "{}", kind.name());
        }
    }
    std::fs::remove_file(again).unwrap();
}
