//! The built command, files to give it, and the facade's answer for the same data.
use super::networks::{NetworkEntry, all};
use rsquant::pipeline::{Context, FloatGraph, Prepared};
use rsquant::quantize::QConfig;
use rsquant::tensor::TensorView;
use serde_json::Value;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_rsquant");

/// What a run left behind.
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

pub fn run<S: AsRef<OsStr>>(arguments: &[S]) -> Ran {
    let output = Command::new(PROGRAM).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

/// A run that succeeds, silent on the error stream; what it printed.
pub fn succeeds<S: AsRef<OsStr>>(arguments: &[S]) -> String {
    let ran = run(arguments);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{}", ran.out);
    ran.out
}

/// As [`succeeds`], with `--json`.
pub fn json<S: AsRef<OsStr>>(arguments: &[S]) -> Value {
    let mut arguments: Vec<&OsStr> = arguments.iter().map(AsRef::as_ref).collect();
    arguments.push(OsStr::new("--json"));
    serde_json::from_str(&succeeds(&arguments)).unwrap()
}

/// A run that fails with `code` and one line; the line behind `rsquant: error: `.
pub fn fails<S: AsRef<OsStr>>(code: i32, arguments: &[S]) -> String {
    let ran = run(arguments);
    assert_eq!((ran.code, ran.out.as_str()), (Some(code), ""), "{}", ran.err);
    let line = ran.err.strip_prefix("rsquant: error: ").and_then(|rest| rest.strip_suffix('\n'));
    let line = line.unwrap_or_else(|| panic!("{:?}", ran.err));
    assert!(!line.contains('\n'), "{line}");
    line.to_owned()
}

/// A folder of a test, empty at first.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(test: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("command_line").join(test);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// A path in it, as text; the folders before it are made.
    pub fn at(&self, name: &str) -> String {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Writes a file and tells where.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.at(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

pub fn network(name: &str) -> NetworkEntry {
    all().into_iter().find(|network| network.name == name).unwrap()
}

/// The network's ONNX file, as text.
pub fn onnx(network: &NetworkEntry) -> String {
    network.model().to_str().unwrap().to_owned()
}

pub fn graph(network: &NetworkEntry) -> FloatGraph {
    FloatGraph::from_onnx_file(&network.model()).unwrap()
}

/// The same numbers between -1 and 1 for the same seed.
pub fn noise(count: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// An `.npy` file.
pub fn npy(dims: &[usize], floats: &[f32]) -> Vec<u8> {
    assert_eq!(dims.iter().product::<usize>(), floats.len());
    let shape: String = dims.iter().map(|dim| format!("{dim}, ")).collect();
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({shape}), }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend(u16::try_from(header.len()).unwrap().to_le_bytes());
    bytes.extend(header.as_bytes());
    floats.iter().for_each(|float| bytes.extend(float.to_le_bytes()));
    bytes
}

/// Samples of a network with one input.
pub struct Samples {
    /// Of one sample.
    pub dims: Vec<usize>,
    pub floats: Vec<f32>,
}

impl Samples {
    pub fn new(network: &NetworkEntry, count: usize) -> Self {
        let dims = network.inputs[0].shape[1..].to_vec();
        let floats = noise(count * dims.iter().product::<usize>(), 7);
        Self { dims, floats }
    }

    pub fn count(&self) -> usize {
        self.floats.len() / self.dims.iter().product::<usize>()
    }

    /// Shows samples `range` as a batch.
    pub fn with<T>(&self, range: std::ops::Range<usize>, show: impl FnOnce(&[TensorView<'_>]) -> T) -> T {
        let sample: usize = self.dims.iter().product();
        let dims = [&[range.len()], self.dims.as_slice()].concat();
        show(&[TensorView::f32(&self.floats[range.start * sample..range.end * sample], &dims).unwrap()])
    }

    /// As files: a stack of three, then one a file, without and with a batch axis, all in order of their paths.
    pub fn write(&self, folder: &Folder, name: &str) -> String {
        let sample: usize = self.dims.iter().product();
        let part = |from: usize, to: usize| &self.floats[from * sample..to * sample];
        folder.write(&format!("{name}/a.npy"), npy(&[&[3], self.dims.as_slice()].concat(), part(0, 3)));
        for index in 3..self.count() {
            let dims = if index % 2 == 0 { self.dims.clone() } else { [&[1], self.dims.as_slice()].concat() };
            folder.write(&format!("{name}/b/{index:03}.npy"), npy(&dims, part(index, index + 1)));
        }
        folder.at(name)
    }

    /// The facade's own calibration, all samples in one batch.
    pub fn calibrated(&self, graph: &FloatGraph, qconfig: &QConfig) -> Prepared {
        let mut prepared = Prepared::new(&Context::default_context().unwrap(), graph, qconfig, None).unwrap();
        self.with(0..self.count(), |views| prepared.calibrate(views)).unwrap();
        prepared
    }
}
