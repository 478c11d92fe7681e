//! The small networks of tests/data/networks: ONNX models with an input and the float output of onnxruntime.
#![allow(dead_code)]
use serde::Deserialize;
use std::path::PathBuf;

/// Name and shape of an input or output.
#[derive(Deserialize)]
pub struct TensorEntry {
    pub name: String,
    pub shape: Vec<usize>,
}

/// One network.
#[derive(Deserialize)]
pub struct NetworkEntry {
    pub name: String,
    pub inputs: Vec<TensorEntry>,
    pub outputs: Vec<TensorEntry>,
    #[serde(default)]
    pub operators: Vec<String>,
    #[serde(default)]
    pub symbolic_batch: bool,
}

#[derive(Deserialize)]
struct Index {
    networks: Vec<NetworkEntry>,
}

pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/networks")
}

/// Every network of the index.
pub fn all() -> Vec<NetworkEntry> {
    let text = std::fs::read_to_string(folder().join("index.json")).expect("index.json");
    match serde_json::from_str::<Index>(&text) {
        Ok(index) => index.networks,
        Err(_) => serde_json::from_str(&text).expect("a list of networks"),
    }
}

impl NetworkEntry {
    pub fn model(&self) -> PathBuf {
        folder().join(&self.name).join("model.onnx")
    }

    /// Floats of `input0`, `output1`, ...
    pub fn floats(&self, kind: &str, index: usize) -> Vec<f32> {
        let bytes = std::fs::read(folder().join(&self.name).join(format!("{kind}{index}.f32"))).expect("a tensor file");
        bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
    }

    pub fn input_floats(&self) -> Vec<Vec<f32>> {
        (0..self.inputs.len()).map(|index| self.floats("input", index)).collect()
    }

    pub fn output_floats(&self) -> Vec<Vec<f32>> {
        (0..self.outputs.len()).map(|index| self.floats("output", index)).collect()
    }
}

/// `max |a - b| / max |b|`.
pub fn relative_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let scale = b.iter().fold(0f32, |max, x| max.max(x.abs()));
    let worst = a.iter().zip(b).fold(0f32, |max, (a, b)| if (a - b).is_nan() { f32::INFINITY } else { max.max((a - b).abs()) });
    worst / scale.max(f32::MIN_POSITIVE)
}
