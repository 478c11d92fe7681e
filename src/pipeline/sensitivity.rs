//! Sensitivity: what each layer costs where it alone is int8, by the outputs' signal-to-noise ratio.
use super::compare::check_inputs;
use super::model::{LayerPrecision, Model};
use super::prepared::Prepared;
use super::session::{Session, SessionOptions};
use super::variant::Variants;
use crate::error::Result;
use crate::graph::keeps_samples_apart;
use crate::memory;
use crate::quantize::metrics::Similarity;
use crate::tensor::{TensorView, TensorViewMut, element_count};
use serde::Serialize;
use std::collections::HashMap;
use std::ops::Range;

/// Samples of one run.
const BATCH: usize = 32;

/// Is told steps done and steps in all; an error of it ends the work and is what that returns.
pub type StepCallback<'a> = dyn FnMut(u64, u64) -> Result<()> + 'a;

/// What a layer costs where it alone is int8: its input and weights are quantized, everything else is float.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerSensitivity {
    /// The node's name.
    pub name: String,
    /// The operator, as in ONNX.
    pub operator: String,
    /// Its int8 precision.
    pub precision: LayerPrecision,
    /// Multiply-accumulates of one sample.
    pub macs: u64,
    /// Of all outputs together, against float; infinite (in JSON: null) where nothing is lost.
    pub sqnr_db: f64,
    /// Of all outputs together, against float.
    pub cosine: f64,
    /// Its share, 0 to 1, of the error energies of all layers.
    pub error_share: f64,
}

/// The layers of a calibrated graph, ranked by what they cost.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sensitivity {
    /// The most harmful layer first; equal ones in execution order.
    pub layers: Vec<LayerSensitivity>,
    /// With every layer int8, as in [`LayerSensitivity::sqnr_db`].
    pub sqnr_db: f64,
    /// Samples that it was measured with (for a graph without a batch axis: batches).
    pub samples: u64,
}

/// Inputs, and what the float graph makes of them.
pub(super) struct Reference<'a> {
    inputs: &'a [TensorView<'a>],
    samples: usize,
    /// Samples of a run.
    batch: usize,
    /// Of each output.
    dims: Vec<Vec<usize>>,
    floats: Vec<Vec<f32>>,
}

impl<'a> Reference<'a> {
    /// Runs the float graph.
    ///
    /// # Errors
    /// As [`super::Comparison::add`].
    pub fn new(prepared: &Prepared, inputs: &'a [TensorView<'a>]) -> Result<Self> {
        let graph = prepared.graph();
        let dims = check_inputs(graph.graph(), inputs)?;
        let whole = dims.first().and_then(|dims| dims.first().copied()).unwrap_or(1);
        let apart = keeps_samples_apart(graph.graph(), &dims)?;
        let samples = if apart { whole } else { 1 };
        let batch = if apart { samples.clamp(1, BATCH) } else { 1 };
        let mut reference = Self { inputs, samples, batch, dims: Vec::new(), floats: Vec::new() };
        let session = Session::float(prepared.context(), graph, reference.options())?;
        reference.dims = session.output_dims(&dims)?;
        reference.floats = reference.run(session)?;
        Ok(reference)
    }

    fn options(&self) -> SessionOptions {
        let dims = self.inputs.iter().map(|view| view.dims().to_vec());
        let input_dims = dims.map(|dims| if self.samples > 1 { [&[self.batch], &dims[1..]].concat() } else { dims });
        SessionOptions { max_batch: self.batch, input_dims: Some(input_dims.collect()), ..SessionOptions::default() }
    }

    /// Samples that it holds (for a graph without a batch axis: batches).
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// Shape and bytes of `range` of `samples` samples.
    fn part(&self, dims: &[usize], range: &Range<usize>) -> (Vec<usize>, Range<usize>) {
        let sample = element_count(dims).unwrap_or(0) / self.samples.max(1);
        let dims = if self.samples > 1 { [&[range.len()], &dims[1..]].concat() } else { dims.to_vec() };
        (dims, range.start * sample..range.end * sample)
    }

    /// The outputs of a session for all samples.
    fn run(&self, mut session: Session) -> Result<Vec<Vec<f32>>> {
        let floats = |dims: &Vec<usize>| memory::filled(element_count(dims).unwrap_or(0), 0.0, "the outputs of a batch");
        let mut outputs: Vec<Vec<f32>> = self.dims.iter().map(floats).collect::<Result<_>>()?;
        for first in (0..self.samples).step_by(self.batch.max(1)) {
            let range = first..self.samples.min(first + self.batch);
            let inputs: Vec<_> = self.inputs.iter().map(|view| self.part(view.dims(), &range)).collect();
            let views = self.inputs.iter().zip(&inputs);
            let views = views
                .map(|(view, (dims, range))| TensorView::new(&view.bytes()[range.start * 4..range.end * 4], view.dtype(), dims))
                .collect::<Result<Vec<_>>>()?;
            let parts: Vec<_> = self.dims.iter().map(|dims| self.part(dims, &range)).collect();
            let mut places = outputs
                .iter_mut()
                .zip(&parts)
                .map(|(output, (dims, range))| TensorViewMut::f32(&mut output[range.clone()], dims))
                .collect::<Result<Vec<_>>>()?;
            session.run(&views, &mut places)?;
        }
        Ok(outputs)
    }

    /// How close a model's outputs are, all together.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn similarity(&self, model: &Model) -> Result<Similarity> {
        let outputs = self.run(Session::new(model, self.options())?)?;
        let mut similarity = Similarity::default();
        self.floats.iter().zip(&outputs).for_each(|(float, output)| similarity.add(float, output));
        Ok(similarity)
    }
}

/// Multiply-accumulates of one sample, by node name.
pub(super) fn macs_by_name(prepared: &Prepared, inputs: &[TensorView<'_>]) -> Result<HashMap<String, u64>> {
    let dims = inputs.iter().map(|view| view.dims().to_vec()).collect();
    let options = SessionOptions { input_dims: Some(dims), ..SessionOptions::default() };
    let session = Session::float(prepared.context(), prepared.graph(), options)?;
    Ok(session.steps().into_iter().map(|step| (step.name, step.macs)).collect())
}

/// Quantizes each layer alone and ranks the layers by what that costs. `inputs` are one batch of any size as [`Prepared::calibrate`]
/// takes it (u8 for images), without labels; the
/// outputs for it are held in memory. `progress` is told of each layer.
///
/// # Errors
/// As [`Prepared::convert`] and [`super::Comparison::add`], and whatever `progress` returns.
pub fn sensitivity(prepared: &Prepared, inputs: &[TensorView<'_>], progress: &mut StepCallback<'_>) -> Result<Sensitivity> {
    prepared.context().memory().within(|| {
        let variants = Variants::new(prepared)?;
        prepared.images().with_floats(prepared.graph().graph(), inputs, |inputs| {
            let reference = Reference::new(prepared, inputs)?;
            rank(&variants, &reference, inputs, progress)
        })
    })
}

/// As [`sensitivity`].
pub(super) fn rank(
    variants: &Variants<'_>,
    reference: &Reference<'_>,
    inputs: &[TensorView<'_>],
    progress: &mut StepCallback<'_>,
) -> Result<Sensitivity> {
    let prepared = variants.prepared();
    let nodes = &prepared.graph().graph().nodes;
    let macs = macs_by_name(prepared, inputs)?;
    let candidates = variants.layers();
    let total = candidates.len() as u64 + 1;
    progress(0, total)?;
    let none = vec![false; nodes.len()];
    let all = reference.similarity(&variants.model(&none, &|_| None)?)?;
    let mut ranked = Vec::new();
    let mut errors = 0.0;
    for (done, &node) in candidates.iter().enumerate() {
        progress(done as u64 + 1, total)?;
        let similarity = reference.similarity(&variants.model(&variants.alone(node), &|_| None)?)?;
        errors += similarity.error_energy();
        let layer = LayerSensitivity {
            name: nodes[node].name.clone(),
            operator: nodes[node].op.name().to_owned(),
            precision: variants.precision(node)?,
            macs: macs.get(&nodes[node].name).copied().unwrap_or(0),
            sqnr_db: similarity.sqnr_db(),
            cosine: similarity.cosine(),
            error_share: similarity.error_energy(),
        };
        ranked.push(layer);
    }
    progress(total, total)?;
    // A stable sort: equal layers stay in execution order.
    ranked.sort_by(|a, b| b.error_share.total_cmp(&a.error_share));
    if errors > 0.0 {
        ranked.iter_mut().for_each(|layer| layer.error_share /= errors);
    }
    Ok(Sensitivity { layers: ranked, sqnr_db: all.sqnr_db(), samples: reference.samples() as u64 })
}
