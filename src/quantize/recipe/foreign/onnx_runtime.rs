//! ONNX Runtime's calibration tables, by `write_calibration_table`.
//!
//! `calibration.json` has each tensor's range: `{"CLS": "TensorsData", "data": {name: {"lowest": number, "highest": number, ..}}}`, or of old
//! `{name: [lowest, highest]}`; numbers may be wrapped as `{"CLS": "numpy.array", "data": number}`. They become u8, affine.
//! `calibration.cache` has a line `name bound` for each tensor: s8, symmetric, -127..=127, scale `bound / 127`.
use super::{ForeignCalibration, ForeignFormat, ForeignTensor, Known, RESTRICTED, RESTRICTED_WEIGHTS};
use crate::error::{Error, Result};
use crate::quantize::{Target, WeightQConfig, json};
use serde_json::{Map, Value};

pub(super) fn parse(text: &str) -> Result<ForeignCalibration> {
    if text.trim_start().starts_with('{') { parse_json(text) } else { parse_cache(text) }
}

fn parse_json(text: &str) -> Result<ForeignCalibration> {
    let document: Map<String, Value> = json::parse(text, "ONNX Runtime calibration")?;
    let tensors = match (document.get("CLS"), document.get("data")) {
        (Some(Value::String(_)), Some(Value::Object(data))) => data,
        _ => &document,
    };
    let mut calibration = ForeignCalibration::new(ForeignFormat::OnnxRuntime, Target::U8_AFFINE, WeightQConfig::default());
    for (name, entry) in tensors {
        let ends = match entry {
            Value::Array(ends) if ends.len() == 2 => [number(&ends[0]), number(&ends[1])],
            Value::Object(entry) => ["lowest", "highest"].map(|end| entry.get(end).and_then(number)),
            _ => [None, None],
        };
        let [Some(low), Some(high)] = ends else {
            return Err(Error::Parse(format!("ONNX Runtime calibration: {name}: no lowest and highest")));
        };
        let tensor = ForeignTensor { known: Known::Range { low, high }, target: Target::U8_AFFINE };
        calibration.tensors.insert(name.clone(), tensor.check(&format!("ONNX Runtime calibration: {name}"))?);
    }
    Ok(calibration)
}

/// A number, or the one number of an array.
fn number(value: &Value) -> Option<f32> {
    match value {
        Value::Number(number) => number.as_f64().map(|number| number as f32),
        Value::Array(items) if items.len() == 1 => number(&items[0]),
        Value::Object(array) => array.get("data").and_then(number),
        _ => None,
    }
}

fn parse_cache(text: &str) -> Result<ForeignCalibration> {
    let mut calibration = ForeignCalibration::new(ForeignFormat::OnnxRuntime, RESTRICTED, RESTRICTED_WEIGHTS);
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let place = format!("ONNX Runtime cache: line {}", index + 1);
        let parts = line.trim().rsplit_once(char::is_whitespace);
        let (name, bound) = parts
            .and_then(|(name, bound)| Some((name.trim(), bound.parse::<f32>().ok()?)))
            .ok_or_else(|| Error::Parse(format!("{place}: not \"name bound\"")))?;
        let tensor = ForeignTensor { known: Known::Range { low: -bound.abs(), high: bound.abs() }, target: RESTRICTED };
        if calibration.tensors.insert(name.to_owned(), tensor.check(&place)?).is_some() {
            return Err(Error::Parse(format!("{place}: {name:?} for the second time")));
        }
    }
    Ok(calibration)
}
