//! The recipe: what a calibration came to, as JSON that can be kept, read, edited by hand and converted from without data.
//! docs/RECIPE.md describes the format.
//!
//! A recipe is graph-independent text with names in it; [`crate::pipeline`] makes it from statistics, binds the tables of
//! other systems (this room's [`foreign`] reads them), checks it against a graph and converts with it.

pub mod foreign;
mod text;

use super::json;
use super::qconfig::QConfig;
use super::qparams::{QParams, QType, Target, choose_qparams};
use super::solver::SolverKind;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// What stands in the field `format`.
pub const FORMAT: &str = "rsquant.recipe";
/// Raised when a field changes its meaning; a reader refuses what is newer.
pub const FORMAT_VERSION: u32 = 1;

/// Where a recipe comes from. A record: conversion does not look at it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// The version of the library that wrote it.
    #[serde(default)]
    pub library: String,
    /// `calibration`, or the format that it was imported from.
    #[serde(default)]
    pub source: String,
    /// Samples that the calibration saw; absent where it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<u64>,
    /// CRC-32 of all layers: of names, operators and weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_crc32: Option<String>,
}

/// A layer with weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerRecipe {
    /// The node's name.
    pub node: String,
    /// Its operator, as in ONNX.
    pub operator: String,
    /// CRC-32 of its float weights and bias after folding, 8 hexadecimal digits; absent: any weights will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weights_crc32: Option<String>,
    /// Scales of its weights, one an output channel or one for all; absent: computed from the weights. Float layers have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_scales: Option<Vec<f32>>,
}

/// QParams of a tensor, or of several that share them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActivationRecipe {
    /// Names of the tensors.
    pub tensors: Vec<String>,
    /// `u8` or `s8`: what the layer's setting in the qconfig says.
    pub dtype: QType,
    /// Real units of an integer step; with `zero_point`. Absent: computed from `range`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<f32>,
    /// The integer that stands for 0.0, in the numbers of `dtype`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zero_point: Option<i32>,
    /// The range that was solved, `[low, high]`. With `scale` too, both must say the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<[f32; 2]>,
    /// The solver that won. A record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub solver: Option<SolverKind>,
    /// What the solver predicts; absent where it is not known or nothing is lost. A record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predicted_sqnr_db: Option<f64>,
    /// Where an imported entry comes from. A record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}

/// QParams of each channel of an image that depthwise convolutions read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelRecipe {
    /// Name of the tensor.
    pub tensor: String,
    /// `u8` or `s8`: what the layer's setting in the qconfig says.
    pub dtype: QType,
    /// Real units of an integer step, a channel each.
    pub scales: Vec<f32>,
    /// The integer that stands for 0.0, in the numbers of `dtype`, a channel each.
    pub zero_points: Vec<i32>,
}

impl ChannelRecipe {
    /// The qparams, as held, for a tensor of `channels` channels that the qconfig quantizes to `target`. `path` stands in messages.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for another number of channels, a dtype, scale or zero point that does not go with the target.
    pub fn qparams(&self, channels: usize, target: Target, path: &str) -> Result<Vec<QParams>> {
        if self.dtype != target.qtype {
            let what = format!("{:?} where the qconfig says {:?}", self.dtype, target.qtype).to_lowercase();
            return Err(contradiction(&format!("{path}.dtype"), &what));
        }
        for (field, count) in [("scales", self.scales.len()), ("zero_points", self.zero_points.len())] {
            if count != channels {
                return Err(contradiction(&format!("{path}.{field}"), &format!("{count} entries; the tensor has {channels} channels")));
            }
        }
        let of_channel = |(channel, (&scale, &zero_point)): (usize, (&f32, &i32))| {
            check_scale(scale, &format!("{path}.scales[{channel}]"))?;
            let at = format!("{path}.zero_points[{channel}]");
            let qparams = QParams::from_native(scale, zero_point, self.dtype).map_err(|error| contradiction(&at, &error.to_string()))?;
            check_zero_point(qparams, target, &format!("{path}[{channel}]")).map(|()| qparams)
        };
        self.scales.iter().zip(&self.zero_points).enumerate().map(of_channel).collect()
    }
}

/// An entry of an imported file and the node or tensor that it went to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bound {
    /// Its name in the file.
    pub entry: String,
    /// The node or tensor.
    pub to: String,
    /// How it was found: `initializer`, `scope`, `name`.
    pub by: String,
}

/// What was not bound, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unbound {
    /// An entry's name in the file, or a node's of the graph.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// What became of an imported file. A record.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ImportReport {
    /// Entries that were bound.
    pub bound: Vec<Bound>,
    /// Entries that nothing in the graph takes.
    pub unused: Vec<Unbound>,
    /// Layers of the graph that the file does not quantize: they are float.
    pub missing: Vec<Unbound>,
}

/// QConfig, solved qparams and provenance.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// Where it comes from.
    pub provenance: Provenance,
    /// Shapes of the graph's inputs that the qconfig was resolved for, axis 0 being 1 where it is a batch axis.
    pub input_shapes: Vec<Vec<usize>>,
    /// What was asked for.
    pub qconfig: QConfig,
    /// Layers with weights, in execution order; empty: the graph is not checked.
    pub layers: Vec<LayerRecipe>,
    /// The tensors that are held as bytes with fixed qparams.
    pub activations: Vec<ActivationRecipe>,
    /// The tensors that are held as bytes with fixed qparams of each channel.
    pub channel_activations: Vec<ChannelRecipe>,
    /// Of an imported recipe.
    pub import: Option<ImportReport>,
}

fn contradiction(path: &str, what: &str) -> Error {
    Error::InvalidArgument(format!("recipe: {path}: {what}"))
}

fn check_scale(scale: f32, path: &str) -> Result<()> {
    if scale.is_finite() && scale > 0.0 { Ok(()) } else { Err(contradiction(path, &format!("{scale} is not finite and above zero"))) }
}

impl Recipe {
    /// Reads and checks a recipe, apart from any graph.
    ///
    /// # Errors
    /// [`Error::Parse`] with the path in the JSON: not JSON, a wrong type, an unknown or repeated key; [`Error::Version`] for a newer
    /// format; [`Error::InvalidArgument`] with the path for contradictions.
    pub fn from_json(text: &str) -> Result<Self> {
        text::parse(text)
    }

    /// The recipe as JSON, an entry a line: the same recipe gives the same text.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] where a number has no JSON form.
    pub fn to_json(&self) -> Result<String> {
        text::write(self)
    }

    /// Looks for what can be wrong without a graph.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] with the path in the JSON.
    pub fn check(&self) -> Result<()> {
        self.qconfig.validate()?;
        let mut nodes = HashMap::new();
        for (index, layer) in self.layers.iter().enumerate() {
            if let Some(first) = nodes.insert(&layer.node, index) {
                let what = format!("{:?} is layers[{first}] already", layer.node);
                return Err(contradiction(&format!("layers[{index}].node"), &what));
            }
            let scales = layer.weight_scales.iter().flatten().enumerate();
            scales.map(|(at, &scale)| check_scale(scale, &format!("layers[{index}].weight_scales[{at}]"))).collect::<Result<()>>()?;
        }
        let mut tensors = HashMap::new();
        for (index, activation) in self.activations.iter().enumerate() {
            let path = format!("activations[{index}]");
            if activation.tensors.is_empty() {
                return Err(contradiction(&format!("{path}.tensors"), "it is empty"));
            }
            for (at, name) in activation.tensors.iter().enumerate() {
                if let Some(first) = tensors.insert(name, index) {
                    let what = format!("{name:?} is in activations[{first}] already");
                    return Err(contradiction(&format!("{path}.tensors[{at}]"), &what));
                }
            }
            activation.check(&path)?;
        }
        let mut images = HashMap::new();
        for (index, activation) in self.channel_activations.iter().enumerate() {
            if let Some(first) = images.insert(&activation.tensor, index) {
                let what = format!("{:?} is channel_activations[{first}] already", activation.tensor);
                return Err(contradiction(&format!("channel_activations[{index}].tensor"), &what));
            }
        }
        Ok(())
    }
}

impl ActivationRecipe {
    fn check(&self, path: &str) -> Result<()> {
        if let Some([low, high]) = self.range
            && !(low.is_finite() && high.is_finite() && low <= high)
        {
            return Err(contradiction(&format!("{path}.range"), &format!("[{low}, {high}] is no range")));
        }
        match (self.scale, self.zero_point) {
            (Some(scale), Some(zero_point)) => {
                check_scale(scale, &format!("{path}.scale"))?;
                QParams::from_native(scale, zero_point, self.dtype).map(drop).map_err(|error| {
                    contradiction(&format!("{path}.zero_point"), error.to_string().trim_start_matches("invalid argument: "))
                })
            }
            (None, None) if self.range.is_some() => Ok(()),
            (None, None) => Err(contradiction(path, "neither scale and zero_point nor a range")),
            (Some(_), None) => Err(contradiction(path, "scale without zero_point")),
            (None, Some(_)) => Err(contradiction(path, "zero_point without scale")),
        }
    }

    /// The qparams, as held, for a tensor that the qconfig quantizes to `target`. `path` stands in messages.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a dtype or a zero point that does not go with the target, and for a range that gives other
    /// qparams than those stated.
    pub fn qparams(&self, target: Target, path: &str) -> Result<QParams> {
        self.check(path)?;
        if self.dtype != target.qtype {
            let what = format!("{:?} where the qconfig says {:?}", self.dtype, target.qtype).to_lowercase();
            return Err(contradiction(&format!("{path}.dtype"), &what));
        }
        let of_range = self.range.map(|[low, high]| choose_qparams(low, high, target)).transpose()?;
        let stated = match (self.scale, self.zero_point) {
            (Some(scale), Some(zero_point)) => Some(QParams::from_native(scale, zero_point, self.dtype)?),
            _ => None,
        };
        match (stated, of_range) {
            (Some(stated), Some(of_range)) if stated != of_range => {
                let what = format!(
                    "the range gives scale {} and zero point {}; of range and scale leave out the one that does not hold",
                    of_range.scale,
                    of_range.native_zero_point(self.dtype)
                );
                Err(contradiction(path, &what))
            }
            (Some(stated), _) => check_zero_point(stated, target, path).map(|()| stated),
            (None, Some(of_range)) => Ok(of_range),
            (None, None) => Err(contradiction(path, "neither scale and zero_point nor a range")),
        }
    }
}

/// The zero point lies in the target's range, and in the middle for a symmetric one.
fn check_zero_point(qparams: QParams, target: Target, path: &str) -> Result<()> {
    let (low, high) = target.held_range();
    let middle = choose_qparams(-1.0, 1.0, target)?.zero_point;
    let native = qparams.native_zero_point(target.qtype);
    if target.is_symmetric() && qparams.zero_point != middle {
        let what = format!("{native} where the qconfig says symmetric");
        return Err(contradiction(&format!("{path}.zero_point"), &what));
    }
    if !(low..=high).contains(&qparams.zero_point) {
        let (low, high) = target.range();
        return Err(contradiction(&format!("{path}.zero_point"), &format!("{native} is outside {low}..={high}, which the qconfig says")));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
