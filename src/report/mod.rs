//! The report of a quantization: which layers are int8 and why others are not, what each costs, how every tensor's range was
//! chosen. As JSON ([`Report::to_json`]) and as one HTML page that needs nothing else ([`Report::to_html`]).
mod bars;
mod html;
mod svg;

pub use bars::Bars;

use crate::error::{Error, Result};
use crate::model::replace_file;
use crate::pipeline::{Comparison, LayerPrecision, Model, OutputComparison, Prepared, Sensitivity};
use crate::quantize::QType;
use serde::Serialize;
use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

/// A layer, and what is known of it. What was not measured is null in JSON.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReportLayer {
    /// The node's name.
    pub name: String,
    /// The operator, as in ONNX.
    pub operator: String,
    /// How it runs.
    pub precision: LayerPrecision,
    /// Why it runs in float; empty otherwise.
    pub reason: String,
    /// Of its output against float, with the whole model in int8; null also where both are the same.
    pub sqnr_db: Option<f64>,
    /// Likewise.
    pub cosine: Option<f64>,
    /// Share of its output's values below the range in which they are held.
    pub clip_low: Option<f64>,
    /// Share above it.
    pub clip_high: Option<f64>,
    /// Of the model's outputs with this layer alone in int8; null also where nothing is lost.
    pub alone_sqnr_db: Option<f64>,
    /// Its share, 0 to 1, of the errors of all layers, each alone in int8.
    pub error_share: Option<f64>,
    /// Multiply-accumulates of one sample.
    pub macs: Option<u64>,
}

/// Tensors that share their qparams.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReportTensor {
    /// Their names.
    pub names: Vec<String>,
    /// `u8` or `s8`.
    pub dtype: QType,
    /// The observer whose statistics these are.
    pub observer: &'static str,
    /// The solver that chose the range.
    pub solver: &'static str,
    /// Smallest and largest value observed.
    pub observed: Option<[f32; 2]>,
    /// The range chosen.
    pub range: [f32; 2],
    /// Real units of an integer step.
    pub scale: f32,
    /// The integer that stands for 0.0, in the numbers of `dtype`.
    pub zero_point: i32,
    /// What the solver predicts, in dB; null where nothing is lost, or the observer keeps no counts.
    pub predicted_sqnr_db: Option<f64>,
    /// The distribution, where the observer keeps one.
    pub histogram: Option<Bars>,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The library's version.
    pub library_version: &'static str,
    /// Samples that were calibrated with.
    pub calibration_samples: u64,
    /// Samples that were compared; 0 without a comparison.
    pub compared_samples: u64,
    /// Samples that the layers were ranked with; 0 without.
    pub ranked_samples: u64,
    /// The outputs against float, end to end; empty without a comparison.
    pub outputs: Vec<OutputComparison>,
    /// The layers: by their share of the errors where that was measured, else by their own SQNR, the worst first; then those not
    /// measured, in execution order.
    pub layers: Vec<ReportLayer>,
    /// The tensors held as bytes.
    pub tensors: Vec<ReportTensor>,
}

fn finite(value: f64) -> Option<f64> {
    Some(value).filter(|value| value.is_finite())
}

impl Report {
    /// What is known of `model`, which was converted from `prepared`.
    ///
    /// # Errors
    /// As [`Prepared::convert`]; `Mismatch` for a comparison of another model's layers.
    pub fn new(prepared: &Prepared, model: &Model, comparison: Option<&Comparison>, sensitivity: Option<&Sensitivity>) -> Result<Self> {
        let mut layers: Vec<ReportLayer> = model.layers().iter().map(ReportLayer::of).collect();
        let index_of: HashMap<String, usize> = layers.iter().enumerate().map(|(index, layer)| (layer.name.clone(), index)).collect();
        let find = |name: &str| index_of.get(name).copied();
        for row in comparison.map(Comparison::layers).unwrap_or_default() {
            let Some(layer) = find(&row.name).filter(|_| row.operator != crate::pipeline::INPUT_OPERATOR) else { continue };
            let layer = &mut layers[layer];
            if layer.precision != row.precision {
                return Err(Error::Mismatch(format!("the comparison is of another model: layer {} differs", row.name)));
            }
            (layer.sqnr_db, layer.cosine) = (finite(row.sqnr_db), finite(row.cosine));
            (layer.clip_low, layer.clip_high) = (Some(row.clip_low), Some(row.clip_high));
        }
        for row in sensitivity.map_or(&[][..], |ranking| &ranking.layers) {
            let Some(layer) = find(&row.name) else {
                return Err(Error::Mismatch(format!("the ranking is of another model: there is no layer {}", row.name)));
            };
            let layer = &mut layers[layer];
            (layer.alone_sqnr_db, layer.error_share, layer.macs) = (finite(row.sqnr_db), Some(row.error_share), Some(row.macs));
        }
        let rank = |layer: &ReportLayer| (layer.error_share.map_or(1.0, |share| -share), layer.sqnr_db.unwrap_or(f64::INFINITY));
        // A stable sort: equal layers stay in execution order.
        layers.sort_by(|a, b| rank(a).0.total_cmp(&rank(b).0).then(rank(a).1.total_cmp(&rank(b).1)));
        Ok(Self {
            library_version: env!("CARGO_PKG_VERSION"),
            calibration_samples: prepared.samples(),
            compared_samples: comparison.map_or(0, Comparison::samples),
            ranked_samples: sensitivity.map_or(0, |ranking| ranking.samples),
            outputs: comparison.map(Comparison::outputs).unwrap_or_default(),
            layers,
            tensors: prepared.calibrated_tensors()?.iter().map(ReportTensor::of).collect(),
        })
    }

    /// The report as JSON.
    ///
    /// # Errors
    /// `InvalidArgument` where a value has no JSON form.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string_pretty(self).map_err(|error| Error::InvalidArgument(format!("report: {error}")))
    }

    /// The report as one HTML page without scripts and without references to anything outside.
    pub fn to_html(&self) -> String {
        html::page(self)
    }

    /// Writes the JSON to a file, atomically.
    ///
    /// # Errors
    /// `Io`.
    pub fn save_json(&self, path: &Path) -> Result<()> {
        save(&self.to_json()?, path)
    }

    /// Writes the page to a file, atomically.
    ///
    /// # Errors
    /// `Io`.
    pub fn save_html(&self, path: &Path) -> Result<()> {
        save(&self.to_html(), path)
    }
}

/// Writes a report's text to a file, atomically.
///
/// # Errors
/// `Io`.
pub fn save(text: &str, path: &Path) -> Result<()> {
    replace_file(path, |file| file.write_all(text.as_bytes()).map_err(|error| Error::io(path, &error)))
}

impl ReportLayer {
    fn of(layer: &crate::pipeline::LayerInfo) -> Self {
        Self {
            name: layer.name.clone(),
            operator: layer.operator.clone(),
            precision: layer.precision,
            reason: layer.reason.clone(),
            sqnr_db: None,
            cosine: None,
            clip_low: None,
            clip_high: None,
            alone_sqnr_db: None,
            error_share: None,
            macs: None,
        }
    }
}

impl ReportTensor {
    fn of(tensor: &crate::pipeline::CalibratedTensor) -> Self {
        let ranges = tensor.states.iter().filter_map(crate::quantize::ObserverState::range);
        let solved = &tensor.solved;
        Self {
            names: tensor.names.clone(),
            dtype: tensor.target.qtype,
            observer: tensor.states[0].kind().name(),
            solver: solved.solver.name(),
            observed: ranges.map(|(low, high)| [low, high]).reduce(|a, b| [a[0].min(b[0]), a[1].max(b[1])]),
            range: [solved.low, solved.high],
            scale: solved.qparams.scale,
            zero_point: solved.qparams.native_zero_point(tensor.target.qtype),
            predicted_sqnr_db: solved.predicted_sqnr_db.and_then(finite),
            histogram: Bars::of(&tensor.states[0]),
        }
    }
}
