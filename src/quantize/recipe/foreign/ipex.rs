//! What Intel Extension for PyTorch's `save_qconf_summary` writes: the operations of a traced model in execution order, with the
//! qparams of their inputs and weights.
//!
//! An operation's input is quantized if it has a scale, was f32 and `force_dtype` is an integer type. A scale with another
//! `force_dtype` was observed and is not used: that of a convolution whose ReLU is fused behind it.
use super::{FlowKind, FlowStep, ForeignCalibration, ForeignFormat, ForeignLayer, ForeignTensor, ForeignWeights, Known};
use crate::error::{Error, Result};
use crate::quantize::{QType, Scheme, Target, WeightQConfig, json};
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Module {
    q_op_infos: BTreeMap<String, Operation>,
    nonq_op_infos: BTreeMap<String, Operation>,
}

#[derive(Deserialize)]
struct Operation {
    op_type: String,
    #[serde(default)]
    fqn: String,
    #[serde(default)]
    input_tensor_infos: Vec<Tensor>,
    #[serde(default)]
    weight_tensor_infos: Vec<Tensor>,
    #[serde(default)]
    output_tensor_infos: Vec<Tensor>,
    #[serde(default)]
    activation_observer: Observer,
    #[serde(default)]
    weight_observer: Observer,
}

/// An argument that is no tensor has no field.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Tensor {
    id: Option<i64>,
    orig_dtype: Option<String>,
    inf_dtype: Option<String>,
    force_dtype: Option<String>,
    scale: Option<Numbers>,
    zero_point: Option<Numbers>,
    smooth_quant_scaling_factor: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Numbers {
    List(Vec<f64>),
    /// SmoothQuant's, by pair of operation and weight.
    ByPair {},
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Observer {
    name: String,
    dtype: Option<String>,
    qscheme: Option<String>,
    quant_min: Option<i32>,
    quant_max: Option<i32>,
    smooth_quant_enabled: Option<bool>,
}

fn refused(operation: &str, what: &str) -> Error {
    Error::Unsupported(format!("IPEX summary: {operation}: {what}"))
}

impl Operation {
    /// `Conv2d` for `<class 'torch.nn.modules.conv.Conv2d'>`, `relu` for `<built-in method relu of type object at 0x7f..>`.
    fn kind(&self) -> &str {
        let text = self.op_type.trim_start_matches('<').trim_end_matches('>');
        match text.split_once("method ") {
            Some((_, rest)) => rest.split_whitespace().next().unwrap_or_default().trim_matches('\''),
            None => text.rsplit(['.', ' ']).next().unwrap_or_default().trim_matches('\''),
        }
    }

    fn uses_smooth_quant(&self) -> bool {
        let observers = [&self.activation_observer, &self.weight_observer];
        let by_pair = |numbers: &Option<Numbers>| matches!(numbers, Some(Numbers::ByPair {}));
        observers.iter().any(|observer| observer.smooth_quant_enabled == Some(true) || observer.name.contains("SmoothQuant"))
            || self
                .input_tensor_infos
                .iter()
                .chain(&self.weight_tensor_infos)
                .any(|tensor| tensor.smooth_quant_scaling_factor.is_some() || by_pair(&tensor.scale))
    }
}

impl Tensor {
    /// The type that it is quantized to as an input.
    fn input_type(&self) -> Option<QType> {
        let was_float = self.orig_dtype.as_deref().is_none_or(|dtype| dtype == "torch.float32");
        integer_type(self.force_dtype.as_ref().or(self.inf_dtype.as_ref())).filter(|_| was_float && self.scale.is_some())
    }

    /// Its one scale and zero point.
    fn qparams(&self, target: Target, operation: &str) -> Result<Option<ForeignTensor>> {
        match (&self.scale, &self.zero_point) {
            (None, _) => Ok(None),
            (Some(Numbers::List(scale)), Some(Numbers::List(zero_point))) if scale.len() == 1 && zero_point.len() == 1 => {
                let known = Known::QParams { scale: scale[0] as f32, zero_point: zero_point[0] as i32 };
                ForeignTensor { known, target }.check(&format!("IPEX summary: {operation}")).map(Some)
            }
            _ => Err(refused(operation, "an activation with more than one scale")),
        }
    }
}

fn integer_type(dtype: Option<&String>) -> Option<QType> {
    match dtype.map(String::as_str) {
        Some("torch.quint8") => Some(QType::U8),
        Some("torch.qint8") => Some(QType::S8),
        _ => None,
    }
}

impl Observer {
    /// The type that it observes for, where the tensor does not say.
    fn qtype(&self) -> QType {
        let signed = self.quant_min.is_some_and(|low| low < 0);
        integer_type(self.dtype.as_ref()).unwrap_or(if signed { QType::S8 } else { QType::U8 })
    }

    /// The target of its scheme and its range of integers.
    fn target(&self, qtype: QType, operation: &str) -> Result<Target> {
        let symmetric = self.qscheme.as_deref().is_some_and(|scheme| scheme.ends_with("symmetric"));
        let full = qtype.range(false);
        let range = (self.quant_min.unwrap_or(full.0), self.quant_max.unwrap_or(full.1));
        let schemes = if symmetric { &[Scheme::Symmetric, Scheme::RestrictedSymmetric][..] } else { &[Scheme::Affine][..] };
        let targets = schemes.iter().flat_map(|&scheme| [false, true].map(|reduce_range| Target { qtype, scheme, reduce_range }));
        let found = targets.into_iter().find(|target| target.range() == range && target.check().is_ok());
        found.ok_or_else(|| refused(operation, &format!("{} from {} to {}", self.name, range.0, range.1)))
    }
}

pub(super) fn parse(text: &str) -> Result<ForeignCalibration> {
    let modules: BTreeMap<String, Module> = json::parse(text, "IPEX summary")?;
    let mut calibration = ForeignCalibration::new(ForeignFormat::Ipex, Target::U8_AFFINE, WeightQConfig::default());
    for (key, module) in &modules {
        // The owner of the records, its dots written as colons; the root is a blank.
        let owner = key.trim().replace(':', ".");
        let mut operations: Vec<(u64, &Operation)> = Vec::new();
        for (index, operation) in module.q_op_infos.iter().chain(&module.nonq_op_infos) {
            let number = index.parse().map_err(|_| Error::Parse(format!("IPEX summary: operation {index:?} has no number")))?;
            operations.push((number, operation));
        }
        operations.sort_by_key(|(number, _)| *number);
        for (number, operation) in operations {
            let path =
                [owner.as_str(), operation.fqn.as_str()].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(".");
            add_operation(&mut calibration, operation, number, path)?;
        }
    }
    Ok(calibration)
}

fn add_operation(calibration: &mut ForeignCalibration, operation: &Operation, number: u64, path: String) -> Result<()> {
    let kind = operation.kind();
    let label = if path.is_empty() { format!("operation {number} ({kind})") } else { format!("{path} ({kind})") };
    if operation.uses_smooth_quant() {
        return Err(refused(&label, "SmoothQuant moves factors from activations into weights, which a recipe cannot say"));
    }
    let observer = &operation.activation_observer;
    let mut input = None;
    for (index, tensor) in operation.input_tensor_infos.iter().enumerate() {
        let qtype = tensor.input_type();
        let Some(qparams) = tensor.qparams(observer.target(qtype.unwrap_or(observer.qtype()), &label)?, &label)? else { continue };
        if qtype.is_some() && index == 0 {
            input = Some(qparams);
        }
        if let Some(id) = tensor.id {
            let tensors = if qtype.is_some() { &mut calibration.quantized } else { &mut calibration.observed };
            tensors.entry(id).or_insert(qparams);
        }
    }
    for tensor in &operation.output_tensor_infos {
        let target = observer.target(integer_type(tensor.inf_dtype.as_ref()).unwrap_or(observer.qtype()), &label)?;
        if let (Some(id), Some(qparams)) = (tensor.id, tensor.qparams(target, &label)?) {
            calibration.observed.entry(id).or_insert(qparams);
        }
    }
    let flow_kind = match operation.weight_tensor_infos.first() {
        Some(weight) if !path.is_empty() => {
            let weights = weights_of(weight, &operation.weight_observer, &label)?;
            calibration.layers.push(ForeignLayer { name: path, kind: kind.to_owned(), input, weights });
            FlowKind::Layer(calibration.layers.len() - 1)
        }
        _ => FlowKind::Other(kind.to_lowercase()),
    };
    let ids = |tensors: &[Tensor]| tensors.iter().filter_map(|tensor| tensor.id).collect();
    let (inputs, outputs) = (ids(&operation.input_tensor_infos), ids(&operation.output_tensor_infos));
    calibration.flow.push(FlowStep { kind: flow_kind, inputs, outputs });
    Ok(())
}

fn weights_of(weight: &Tensor, observer: &Observer, label: &str) -> Result<Option<ForeignWeights>> {
    let Some(Numbers::List(scales)) = &weight.scale else { return Ok(None) };
    let zero_points = matches!(&weight.zero_point, Some(Numbers::List(points)) if points.iter().all(|&point| point == 0.0));
    if integer_type(weight.inf_dtype.as_ref()) != Some(QType::S8) || !zero_points {
        return Err(refused(label, "weights that are not s8 with zero points of 0"));
    }
    let per_channel = observer.qscheme.as_deref().is_none_or(|scheme| scheme.starts_with("torch.per_channel"));
    let target = observer.target(QType::S8, label)?;
    if target.scheme == Scheme::Affine && observer.qscheme.is_some() {
        return Err(refused(label, "weights of an affine scheme"));
    }
    let scheme = if target.scheme == Scheme::Affine { Scheme::Symmetric } else { target.scheme };
    let config = WeightQConfig { per_channel, scheme, reduce_range: target.reduce_range };
    let scales: Vec<f32> = scales.iter().map(|&scale| scale as f32).collect();
    if let Some(channel) = scales.iter().position(|scale| !(scale.is_finite() && *scale > 0.0)) {
        return Err(Error::Parse(format!("IPEX summary: {label}: weight scale {channel} is {}", scales[channel])));
    }
    Ok(Some(ForeignWeights { config, scales }))
}
