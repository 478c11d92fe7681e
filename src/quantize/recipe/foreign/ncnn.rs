//! ncnn tables: a line of reciprocal scales for the weights of each layer, `<layer>_param_0 s0 s1 ...`, then one for each layer's
//! input, `<layer> s`.
//!
//! `q = round(x * s)`, s8, symmetric, -127..=127. A weight scale of 0 marks a channel without weights.
use super::{ForeignCalibration, ForeignFormat, ForeignLayer, ForeignTensor, ForeignWeights, Known, RESTRICTED, RESTRICTED_WEIGHTS};
use crate::error::{Error, Result};
use crate::quantize::SCALE_FLOOR;
use std::collections::HashMap;

/// What joins a layer's name and the number of one of its weights.
const PARAMETER: &str = "_param_";

/// Whether a line's first word names weights.
pub(super) fn is_weight_key(key: &str) -> bool {
    key.rsplit_once(PARAMETER).is_some_and(|(layer, number)| !layer.is_empty() && number.parse::<u32>().is_ok())
}

pub(super) fn parse(text: &str) -> Result<ForeignCalibration> {
    let mut calibration = ForeignCalibration::new(ForeignFormat::Ncnn, RESTRICTED, RESTRICTED_WEIGHTS);
    let mut index_of: HashMap<&str, usize> = HashMap::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let place = format!("ncnn table: line {}", index + 1);
        let refused = |what: String| Error::Parse(format!("{place}: {what}"));
        let mut words = line.split_whitespace();
        let key = words.next().unwrap_or_default();
        let parse = |word: &str| word.parse::<f32>().ok().filter(|s| s.is_finite() && *s >= 0.0);
        let scales = words.map(|word| parse(word).ok_or_else(|| refused(format!("{word:?} is no scale"))));
        let scales: Vec<f32> = scales.collect::<Result<_>>()?;
        let (name, parameter) = if is_weight_key(key) { key.rsplit_once(PARAMETER).unwrap_or((key, "")) } else { (key, "") };
        let at = *index_of.entry(name).or_insert_with(|| {
            calibration.layers.push(ForeignLayer { name: name.to_owned(), kind: String::new(), input: None, weights: None });
            calibration.layers.len() - 1
        });
        let layer = &mut calibration.layers[at];
        match (parameter, scales.as_slice()) {
            ("", [scale]) if *scale > 0.0 && layer.input.is_none() => {
                let tensor = ForeignTensor { known: Known::QParams { scale: 1.0 / scale, zero_point: 0 }, target: RESTRICTED };
                layer.input = Some(tensor.check(&place)?);
            }
            ("", _) => {
                return Err(refused(format!("{} scales of the input of {name:?}, where one above zero is needed once", scales.len())));
            }
            ("0", [_, ..]) if layer.weights.is_none() => {
                let scales = scales.iter().map(|&s| if s > 0.0 { 1.0 / s } else { SCALE_FLOOR }).collect();
                layer.weights = Some(ForeignWeights { config: RESTRICTED_WEIGHTS, scales });
            }
            ("0", _) => return Err(refused(format!("the weights of {name:?} without a scale, or for the second time"))),
            // More weights: attention and recurrent layers, which nothing here takes.
            (_, _) => layer.kind = "layer of several weights".to_owned(),
        }
    }
    Ok(calibration)
}
