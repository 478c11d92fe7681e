//! Calibrations that other systems wrote, each format read by a file of its own into one form. What they are bound to is
//! [`crate::pipeline`]'s business.
mod ipex;
mod ncnn;
mod onnx_runtime;
mod tensorrt;

#[cfg(test)]
mod tests;

use crate::error::{Error, Result};
use crate::quantize::{QParams, Scheme, Target, WeightQConfig, choose_qparams};
use std::collections::BTreeMap;

/// Whose calibration a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForeignFormat {
    /// What Intel Extension for PyTorch's `save_qconf_summary` writes.
    Ipex,
    /// A TensorRT calibration cache.
    TensorRt,
    /// ONNX Runtime's `calibration.json` or `calibration.cache`.
    OnnxRuntime,
    /// An ncnn `.table`.
    Ncnn,
}

impl ForeignFormat {
    /// The name in recipes and messages.
    pub const fn name(self) -> &'static str {
        match self {
            ForeignFormat::Ipex => "ipex",
            ForeignFormat::TensorRt => "tensorrt",
            ForeignFormat::OnnxRuntime => "onnxruntime",
            ForeignFormat::Ncnn => "ncnn",
        }
    }

    /// The format with that name.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] listing the names.
    pub fn from_name(name: &str) -> Result<Self> {
        let formats = [ForeignFormat::Ipex, ForeignFormat::TensorRt, ForeignFormat::OnnxRuntime, ForeignFormat::Ncnn];
        let found = formats.into_iter().find(|format| format.name() == name);
        found.ok_or_else(|| Error::InvalidArgument(format!("{name:?} is no calibration format; ipex, tensorrt, onnxruntime and ncnn are")))
    }

    /// The format of a file, by its first characters; ncnn's tables begin with lines of weights.
    pub fn detect(text: &str) -> Self {
        let start = text.trim_start();
        let first_key = start.split_whitespace().next().unwrap_or_default();
        match () {
            () if start.starts_with('{') && text.contains("\"q_op_infos\"") => ForeignFormat::Ipex,
            () if start.starts_with("TRT-") => ForeignFormat::TensorRt,
            () if ncnn::is_weight_key(first_key) => ForeignFormat::Ncnn,
            () => ForeignFormat::OnnxRuntime,
        }
    }
}

/// What a file says of a tensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Known {
    /// Scale and zero point, in the numbers of the target's type.
    QParams {
        /// Real units of a step.
        scale: f32,
        /// The integer that stands for 0.0.
        zero_point: i32,
    },
    /// The range, to be turned into qparams as calibration does it.
    Range {
        /// Lower end.
        low: f32,
        /// Upper end.
        high: f32,
    },
}

/// A tensor's qparams, and for what type they are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ForeignTensor {
    /// The qparams.
    pub known: Known,
    /// The type and its rule.
    pub target: Target,
}

impl ForeignTensor {
    /// The range of real numbers that it can hold.
    pub fn range(&self) -> (f32, f32) {
        match self.known {
            Known::Range { low, high } => (low, high),
            Known::QParams { scale, zero_point } => {
                let (qmin, qmax) = self.target.range();
                ((qmin - zero_point) as f32 * scale, (qmax - zero_point) as f32 * scale)
            }
        }
    }

    /// Refuses what is no qparams of the target.
    fn check(self, name: &str) -> Result<Self> {
        let checked = match self.known {
            Known::QParams { scale, zero_point } => QParams::from_native(scale, zero_point, self.target.qtype),
            Known::Range { low, high } => choose_qparams(low, high, self.target),
        };
        checked.map(|_| self).map_err(|error| Error::Parse(format!("{name}: {error}")))
    }
}

/// How a file's layer quantizes its weights.
#[derive(Debug, Clone, PartialEq)]
pub struct ForeignWeights {
    /// Per channel or per tensor, and by which rule.
    pub config: WeightQConfig,
    /// One scale an output channel, or one.
    pub scales: Vec<f32>,
}

/// A layer of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct ForeignLayer {
    /// Its name there: an ncnn layer's, the path of a PyTorch module.
    pub name: String,
    /// What it is there, such as `Conv2d`.
    pub kind: String,
    /// QParams of its input; `None`: it is not quantized.
    pub input: Option<ForeignTensor>,
    /// Of its weights, where they are known.
    pub weights: Option<ForeignWeights>,
}

/// What an operation of a traced file does.
#[derive(Debug, Clone, PartialEq)]
pub enum FlowKind {
    /// One of the layers, by its index.
    Layer(usize),
    /// Anything else, by its name in lower case, such as `relu`, `add`, `maxpool2d`.
    Other(String),
}

/// An operation of a file that traces the flow of tensors: they have numbers there.
#[derive(Debug, Clone, PartialEq)]
pub struct FlowStep {
    /// What it does.
    pub kind: FlowKind,
    /// Tensors that it reads.
    pub inputs: Vec<i64>,
    /// Tensors that it makes.
    pub outputs: Vec<i64>,
}

/// A calibration of another system.
#[derive(Debug, Clone, PartialEq)]
pub struct ForeignCalibration {
    /// Whose it is.
    pub format: ForeignFormat,
    /// How its activations are quantized where nothing else is said.
    pub activation: Target,
    /// Likewise, weights.
    pub weight: WeightQConfig,
    /// Layers in the file's order.
    pub layers: Vec<ForeignLayer>,
    /// Tensors by name.
    pub tensors: BTreeMap<String, ForeignTensor>,
    /// The flow, in execution order, where the file traces it.
    pub flow: Vec<FlowStep>,
    /// Tensors of the flow that are quantized.
    pub quantized: BTreeMap<i64, ForeignTensor>,
    /// Tensors of the flow that were observed and stay float.
    pub observed: BTreeMap<i64, ForeignTensor>,
}

impl ForeignCalibration {
    fn new(format: ForeignFormat, activation: Target, weight: WeightQConfig) -> Self {
        Self {
            format,
            activation,
            weight,
            layers: Vec::new(),
            tensors: BTreeMap::new(),
            flow: Vec::new(),
            quantized: BTreeMap::new(),
            observed: BTreeMap::new(),
        }
    }

    /// Reads a file's text.
    ///
    /// # Errors
    /// [`Error::Parse`] naming line or key, [`Error::Unsupported`] naming what cannot be taken over, such as SmoothQuant.
    pub fn parse(format: ForeignFormat, text: &str) -> Result<Self> {
        match format {
            ForeignFormat::Ipex => ipex::parse(text),
            ForeignFormat::TensorRt => tensorrt::parse(text),
            ForeignFormat::OnnxRuntime => onnx_runtime::parse(text),
            ForeignFormat::Ncnn => ncnn::parse(text),
        }
    }
}

/// s8, symmetric, -127..=127: TensorRT's and ncnn's rule.
const RESTRICTED: Target = Target { qtype: crate::quantize::QType::S8, scheme: Scheme::RestrictedSymmetric, reduce_range: false };

/// The same for weights, per output channel.
const RESTRICTED_WEIGHTS: WeightQConfig = WeightQConfig { per_channel: true, scheme: Scheme::RestrictedSymmetric, reduce_range: false };
