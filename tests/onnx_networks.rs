//! Real ONNX networks import, and their shapes are those that onnxruntime computed.
use rsquant::graph::{Graph, infer_shapes, keeps_samples_apart, passes, validate};
use rsquant::onnx;
use serde_json::Value;
use std::path::PathBuf;

fn networks() -> Vec<(PathBuf, Value)> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/networks");
    let index = std::fs::read_to_string(root.join("index.json")).expect("the index of the networks");
    let index: Vec<Value> = serde_json::from_str(&index).expect("a list of networks");
    assert!(index.len() >= 40, "{} networks", index.len());
    index.into_iter().map(|entry| (root.join(entry["name"].as_str().expect("a name")).join("model.onnx"), entry)).collect()
}

/// Names and shapes of the inputs or outputs of an index entry.
fn tensors(list: &Value) -> Vec<(String, Vec<usize>)> {
    let tensor = |tensor: &Value| {
        let dims = tensor["shape"].as_array().expect("a shape").iter().map(|dim| dim.as_u64().expect("a size") as usize);
        (tensor["name"].as_str().expect("a name").to_owned(), dims.collect())
    };
    list.as_array().expect("a list of tensors").iter().map(tensor).collect()
}

fn assert_shapes(graph: &Graph, entry: &Value, stage: &str) {
    let (inputs, outputs) = (tensors(&entry["inputs"]), tensors(&entry["outputs"]));
    let names: Vec<_> = graph.inputs.iter().map(|&id| graph.value(id).name.clone()).collect();
    assert_eq!(names, inputs.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(), "{stage} {}", entry["name"]);
    let input_shapes: Vec<_> = inputs.into_iter().map(|(_, shape)| shape).collect();
    let shapes = infer_shapes(graph, &input_shapes).unwrap_or_else(|error| panic!("{stage} {}: {error}", entry["name"]));
    let inferred: Vec<_> =
        graph.outputs.iter().map(|id| (graph.value(*id).name.clone(), shapes[id.index()].clone().expect("a shape"))).collect();
    assert_eq!(inferred, outputs, "{stage} {}", entry["name"]);
}

#[test]
fn every_network_imports_with_the_shapes_of_onnxruntime_before_and_after_the_passes() {
    for (path, entry) in networks() {
        let mut graph = onnx::import_file(&path).unwrap_or_else(|error| panic!("{}: {error}", entry["name"]));
        assert_shapes(&graph, &entry, "imported");
        passes::optimize(&mut graph).unwrap_or_else(|error| panic!("{}: {error}", entry["name"]));
        validate(&graph).unwrap_or_else(|error| panic!("{}: {error}", entry["name"]));
        assert_shapes(&graph, &entry, "optimized");
    }
}

#[test]
fn the_passes_leave_no_batch_normalization_behind_a_convolution() {
    for (path, entry) in networks() {
        let mut graph = onnx::import_file(&path).expect("a network");
        passes::optimize(&mut graph).expect("an optimized network");
        let producers = graph.producers();
        let uses = graph.use_counts();
        for node in graph.nodes.iter().filter(|node| node.op.name() == "BatchNormalization") {
            let input = node.inputs[0];
            // A convolution with a residual adds it before the normalization.
            let is_conv = |index: usize| graph.nodes[index].op.name() == "Conv" && graph.nodes[index].inputs.len() == 1;
            let folds = producers[input.index()].is_some_and(is_conv) && uses[input.index()] == 1;
            assert!(!folds, "{}: '{}'", entry["name"], node.name);
        }
        assert!(graph.nodes.iter().all(|node| node.op.name() != "Identity"), "{}", entry["name"]);
    }
}

#[test]
fn networks_on_images_keep_samples_apart() {
    let apart = |name: &str| {
        let (path, entry) = networks().into_iter().find(|(_, entry)| entry["name"] == name).expect("a network of that name");
        let shapes: Vec<_> = tensors(&entry["inputs"]).into_iter().map(|(_, shape)| shape).collect();
        keeps_samples_apart(&onnx::import_file(&path).expect("a network"), &shapes).unwrap()
    };
    for name in ["resnet_like", "mobilenet_v2_like", "inception_like", "vit_like", "attention", "two_inputs_two_outputs"] {
        assert!(apart(name), "{name}");
    }
    for name in ["flatten_axes", "reshape", "transpose"] {
        assert!(!apart(name), "{name}");
    }
}

#[test]
fn a_model_in_memory_may_not_refer_to_files() {
    let (path, _) = networks().into_iter().find(|(_, entry)| entry["name"] == "external_data").expect("a network of that name");
    let bytes = std::fs::read(path).expect("the model");
    let error = onnx::import_bytes(&bytes).unwrap_err().to_string();
    assert!(error.contains("another file"), "{error}");
}

#[test]
fn truncated_networks_are_imported_or_refused() {
    for (path, _) in networks() {
        let bytes = std::fs::read(path).expect("the model");
        for part in 0..50 {
            let _ = onnx::import_bytes(&bytes[..bytes.len() * part / 50]);
        }
    }
}
