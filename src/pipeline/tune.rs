//! Mixed precision: finds the layers to leave in float so that a metric is reached.
//!
//! Layers are ranked by [`super::sensitivity`]. The metric is taken to grow with the number of the worst layers that are float, so
//! the smallest number that reaches the target is found by bisection; then each of those layers is tried as int8 again.
use super::model::Model;
use super::prepared::Prepared;
use super::sensitivity::{LayerSensitivity, Reference, Sensitivity, StepCallback, rank};
use super::variant::Variants;
use crate::error::{Error, Result};
use crate::quantize::Recipe;
use crate::tensor::TensorView;
use serde::Serialize;
use std::collections::HashMap;

/// Layers that are tried as int8 again at most.
const MAX_RETURNS: usize = 8;

/// The user's measure of a model: larger is better. An error ends the work and is what that returns.
pub type Metric<'a> = dyn FnMut(&Model) -> Result<f64> + 'a;

/// What is to be reached, and what it may cost. At least one is given.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct TuneOptions {
    /// The metric that is enough; `None`: as much as the rest allows.
    pub target: Option<f64>,
    /// Layers to leave in float at most.
    pub max_float_layers: Option<usize>,
    /// Share, 0 to 1, of all multiply-accumulates that may run in float.
    pub max_float_macs: Option<f64>,
}

/// A model that was measured on the way.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Trial {
    /// How many layers it left in float.
    pub float_layers: usize,
    /// Its metric.
    pub metric: f64,
}

/// What [`tune`] found.
#[derive(Debug, Clone)]
pub struct Tuned {
    /// The prepared graph's qconfig with the chosen layers in float, and all qparams.
    pub recipe: Recipe,
    /// The model, with the qparams of the prepared graph.
    pub model: Model,
    /// Its metric.
    pub metric: f64,
    /// The metric with every layer int8.
    pub int8_metric: f64,
    /// Whether the target is reached; true without one.
    pub reached: bool,
    /// The layers left in float, the most harmful first.
    pub float_layers: Vec<LayerSensitivity>,
    /// Share, 0 to 1, of all multiply-accumulates of the layers that could be int8 which run in float.
    pub float_macs: f64,
    /// All models measured, in order.
    pub trials: Vec<Trial>,
    /// The ranking.
    pub sensitivity: Sensitivity,
}

impl TuneOptions {
    fn check(&self) -> Result<()> {
        if self.target.is_none() && self.max_float_layers.is_none() && self.max_float_macs.is_none() {
            return Err(Error::InvalidArgument("tuning needs a target, a number of float layers or a share of float work".into()));
        }
        if self.target.is_some_and(|target| !target.is_finite()) {
            return Err(Error::InvalidArgument(format!("the target {} is not a finite number", self.target.unwrap_or_default())));
        }
        match self.max_float_macs {
            Some(share) if !(0.0..=1.0).contains(&share) => Err(Error::InvalidArgument(format!("{share} is no share: 0 to 1"))),
            _ => Ok(()),
        }
    }

    /// The layers that may be float, the most harmful first: those that lose nothing, and those that do not fit the budget
    /// beside the ones before them, are passed over.
    fn affordable<'a>(&self, ranked: &'a [LayerSensitivity], all_macs: u64) -> Vec<&'a LayerSensitivity> {
        let most = self.max_float_layers.unwrap_or(usize::MAX);
        let budget = self.max_float_macs.map_or(f64::INFINITY, |share| share * all_macs as f64);
        let mut taken = Vec::new();
        let mut macs = 0.0;
        for layer in ranked.iter().filter(|layer| layer.error_share > 0.0) {
            if taken.len() < most && macs + layer.macs as f64 <= budget {
                macs += layer.macs as f64;
                taken.push(layer);
            }
        }
        taken
    }
}

/// Measures models with some of the affordable layers in float.
struct Search<'a> {
    variants: &'a Variants<'a>,
    node_of: HashMap<&'a str, usize>,
    metric: &'a mut Metric<'a>,
    trials: Vec<Trial>,
    done: u64,
    total: u64,
}

impl Search<'_> {
    fn mask(&self, float: &[&LayerSensitivity]) -> Vec<bool> {
        let mut mask = vec![false; self.variants.prepared().graph().graph().nodes.len()];
        float.iter().filter_map(|layer| self.node_of.get(layer.name.as_str())).for_each(|&node| mask[node] = true);
        mask
    }

    fn model(&self, float: &[&LayerSensitivity]) -> Result<Model> {
        let cost = |node: usize| {
            let layer = float.iter().find(|layer| self.node_of.get(layer.name.as_str()) == Some(&node))?;
            Some(format!("tuning left it in float: int8 here alone costs the outputs so much that {:.1} dB are left", layer.sqnr_db))
        };
        self.variants.model(&self.mask(float), &cost)
    }

    fn measure(&mut self, float: &[&LayerSensitivity], progress: &mut StepCallback<'_>) -> Result<f64> {
        self.done = (self.done + 1).min(self.total);
        progress(self.done, self.total)?;
        let model = self.model(float)?;
        let metric = (self.metric)(&model)?;
        if metric.is_nan() {
            return Err(Error::Callback("the metric is not a number".into()));
        }
        self.trials.push(Trial { float_layers: float.len(), metric });
        Ok(metric)
    }
}

/// Finds the layers to leave in float. `inputs`, one batch as [`Prepared::calibrate`] takes it, without labels, rank the layers; `metric` measures a model, without one
/// the outputs' SQNR in dB on `inputs` does. Nothing changes in `prepared`.
///
/// # Errors
/// `InvalidArgument` for options; as [`super::sensitivity`]; whatever `metric` and `progress` return; `Callback` for a metric that is
/// NaN.
pub fn tune(
    prepared: &Prepared,
    inputs: &[TensorView<'_>],
    options: TuneOptions,
    metric: Option<&mut Metric<'_>>,
    progress: &mut StepCallback<'_>,
) -> Result<Tuned> {
    options.check()?;
    let graph = prepared.graph().graph();
    let tune = |inputs: &[TensorView<'_>]| tune_within(prepared, inputs, options, metric, progress);
    prepared.context().memory().within(|| prepared.images().with_floats(graph, inputs, tune))
}

fn tune_within(
    prepared: &Prepared,
    inputs: &[TensorView<'_>],
    options: TuneOptions,
    metric: Option<&mut Metric<'_>>,
    progress: &mut StepCallback<'_>,
) -> Result<Tuned> {
    let variants = Variants::new(prepared)?;
    let reference = Reference::new(prepared, inputs)?;
    let layers = variants.layers().len();
    let bisections = u64::from(usize::BITS - layers.leading_zeros());
    let (ranking, total) = (layers as u64 + 1, layers as u64 + 1 + bisections + 2 + MAX_RETURNS as u64);
    let sensitivity = rank(&variants, &reference, inputs, &mut |done, _| progress(done, total))?;
    let nodes = &prepared.graph().graph().nodes;
    let node_of = nodes.iter().enumerate().map(|(index, node)| (node.name.as_str(), index)).collect();
    let mut by_sqnr = |model: &Model| Ok(reference.similarity(model)?.sqnr_db());
    let metric: &mut Metric<'_> = match metric {
        Some(metric) => metric,
        None => &mut by_sqnr,
    };
    let mut search = Search { variants: &variants, node_of, metric, trials: Vec::new(), done: ranking, total };

    let all_macs: u64 = sensitivity.layers.iter().map(|layer| layer.macs).sum();
    let affordable = options.affordable(&sensitivity.layers, all_macs);
    let int8_metric = search.measure(&[], progress)?;
    let (chosen, metric) = choose(&mut search, &affordable, int8_metric, options.target, progress)?;
    let float_macs = chosen.iter().map(|layer| layer.macs).sum::<u64>() as f64 / all_macs.max(1) as f64;
    let tuned = Tuned {
        recipe: variants.recipe(&search.mask(&chosen))?,
        model: search.model(&chosen)?,
        metric,
        int8_metric,
        reached: options.target.is_none_or(|target| metric >= target),
        float_layers: chosen.into_iter().cloned().collect(),
        float_macs,
        trials: search.trials,
        sensitivity: sensitivity.clone(),
    };
    progress(total, total)?;
    Ok(tuned)
}

/// The layers to leave in float, and the metric that they give.
fn choose<'l>(
    search: &mut Search<'_>,
    affordable: &[&'l LayerSensitivity],
    int8_metric: f64,
    target: Option<f64>,
    progress: &mut StepCallback<'_>,
) -> Result<(Vec<&'l LayerSensitivity>, f64)> {
    let reaches = |metric: f64| target.is_some_and(|target| metric >= target);
    if reaches(int8_metric) || affordable.is_empty() {
        return Ok((Vec::new(), int8_metric));
    }
    let (mut too_few, mut enough) = (0, affordable.len());
    let mut metric = search.measure(affordable, progress)?;
    if !reaches(metric) {
        return Ok((affordable.to_vec(), metric));
    }
    while enough - too_few > 1 {
        let middle = too_few + (enough - too_few) / 2;
        let found = search.measure(&affordable[..middle], progress)?;
        if reaches(found) {
            (enough, metric) = (middle, found);
        } else {
            too_few = middle;
        }
    }
    let mut chosen = affordable[..enough].to_vec();
    // The last one is needed, or fewer would have been enough.
    for index in (0..enough.saturating_sub(1)).rev().take(MAX_RETURNS) {
        let mut fewer = chosen.clone();
        fewer.remove(index);
        let found = search.measure(&fewer, progress)?;
        if reaches(found) {
            (chosen, metric) = (fewer, found);
        }
    }
    Ok((chosen, metric))
}
