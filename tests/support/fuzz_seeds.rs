//! What fuzzing begins with, beside the networks in tests/data.
use super::{Calibrated, context, networks};
use rsquant::graph::Op;
use rsquant::pipeline::{FloatGraph, Prepared};
use rsquant::quantize::qconfig::ActivationSettings;
use rsquant::quantize::{LayerSettings, ObserverKind, QConfig};
use rsquant::tensor::TensorView;
use std::path::Path;

/// Where a fuzz target's seeds go, if they are asked for: the folder that `RSQ_FUZZ_SEEDS` names.
pub fn write_seed(name: &str, bytes: &[u8]) {
    if let Some(folder) = std::env::var_os("RSQ_FUZZ_SEEDS") {
        std::fs::write(Path::new(&folder).join(name), bytes).expect("a seed is written");
    }
}

/// Writes model files of the small networks as seeds: static, dynamic, and with a layer in float.
pub fn write_model_seeds() {
    if std::env::var_os("RSQ_FUZZ_SEEDS").is_none() {
        return;
    }
    for folder in ["networks", "recurrent"].map(|folder| networks().join(folder)) {
        for entry in std::fs::read_dir(folder).expect("the networks").map_while(Result::ok).filter(|entry| entry.path().is_dir()) {
            let name = entry.file_name().into_string().expect("UTF-8");
            let graph = FloatGraph::from_onnx_file(&entry.path().join("model.onnx")).expect("a network");
            let open = |dims: Vec<Option<usize>>| dims.into_iter().map(|dim| dim.unwrap_or(2)).collect::<Vec<usize>>();
            let dims: Vec<Vec<usize>> = graph.inputs().into_iter().map(|input| open(input.dims)).collect();
            let mut channels = QConfig::default_static();
            let activation = ActivationSettings { per_channel: Some(true), observer: Some(ObserverKind::MinMax), ..Default::default() };
            for node in &graph.graph().nodes {
                if matches!(&node.op, Op::Conv2d(conv) if conv.groups > 1 && conv.groups == conv.in_channels) {
                    channels.set(&format!("name:{}", node.name), LayerSettings { activation, ..Default::default() }).expect("a scope");
                }
            }
            let (fixed, dynamic) = (QConfig::default_static(), QConfig::default_dynamic());
            for (kind, qconfig) in [("static", fixed), ("dynamic", dynamic), ("torch", QConfig::torch_dynamic()), ("channels", channels)] {
                let Ok(mut prepared) = Prepared::new(&context(), &graph, &qconfig, Some(dims.clone())) else { continue };
                let floats: Vec<Vec<f32>> = dims.iter().map(|dims| vec![0.5; dims.iter().product()]).collect();
                let inputs = floats.iter().zip(&dims).map(|(floats, dims)| TensorView::f32(floats, dims).expect("a view"));
                let _ = prepared.calibrate(&inputs.collect::<Vec<_>>());
                if let Ok(model) = prepared.convert() {
                    write_seed(&format!("{name}_{kind}"), &model.to_bytes().expect("bytes"));
                }
            }
        }
    }
}

/// Writes settings, recipes and calibrations of other systems as seeds.
pub fn write_recipe_seeds() {
    if std::env::var_os("RSQ_FUZZ_SEEDS").is_none() {
        return;
    }
    let text = |name: &str, kind: u8, text: &str| write_seed(name, &[&[kind], text.as_bytes()].concat());
    let all = [QConfig::default_static(), QConfig::default_dynamic(), QConfig::torch_dynamic()];
    for (index, qconfig) in all.iter().enumerate() {
        text(&format!("qconfig_{index}"), 0, &qconfig.to_json().expect("JSON"));
    }
    let mut scopes = QConfig::default_static();
    for (scope, observer) in [("op:Conv", ObserverKind::MovingAverage), ("name:*Conv*0", ObserverKind::TorchHistogram)] {
        let activation = ActivationSettings { observer: Some(observer), ..Default::default() };
        scopes.set(scope, LayerSettings { activation, ..Default::default() }).expect("a scope");
    }
    text("qconfig_scopes", 0, &scopes.to_json().expect("JSON"));
    let network = Calibrated::new(&networks().join("networks/squeeze_excite/model.onnx"));
    text("recipe", 1, &network.calibrated().recipe().expect("a recipe").to_json().expect("JSON"));
    let file = |name: &str| std::fs::read_to_string(networks().join("recipes").join(name)).expect("a file");
    text("onnx_runtime_json", 2, &file("onnxruntime_resnet_like.json"));
    text("onnx_runtime_cache", 5, &file("onnxruntime_resnet_like.cache"));
    text("tensorrt", 4, "TRT-7000-EntropyCalibration2\nx: 3c008912\n(Unnamed Layer* 50) [Shuffle]_output: 3f800000\na:b: 1\n");
    text("ncnn", 6, "/Conv_0_param_0 151.2 0.000000 98.7\n/Conv_1_param_0 2\n/Conv_0 121.3\n");
    let scales = "\"scale\":[0.0078],\"zero_point\":[128]";
    let tensor =
        format!("[{{\"id\":0,\"orig_dtype\":\"torch.float32\",\"inf_dtype\":\"torch.quint8\",\"force_dtype\":\"torch.quint8\",{scales}}}]");
    let weights = format!("[{{\"orig_dtype\":\"torch.float32\",\"inf_dtype\":\"torch.qint8\",{scales}}}]");
    let layer = format!(
        "\"op_type\":\"<class 'torch.nn.modules.conv.Conv2d'>\",\"op_type_is_module\":true,\"fqn\":\"conv1\",\"input_tensor_infos\":{tensor},\
         \"weight_tensor_infos\":{weights},\"output_tensor_infos\":{tensor}"
    );
    text("ipex", 3, &format!("{{\" \":{{\"q_op_infos\":{{\"0\":{{{layer}}}}}}}}}"));
}
