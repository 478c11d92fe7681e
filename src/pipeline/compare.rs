//! Compares a model with the float graph that it was made of, tensor by tensor, on the same input: NUMERICS section 7.
//!
//! Both run side by side and are looked at after each layer, so that no more than two tensors are held besides their own
//! memory. Sums are kept for each sample and added in the order of the samples: they depend neither on threads nor batches.
use super::context::Context;
use super::float_graph::FloatGraph;
use super::image_input::{ImageInput, ImageSet};
use super::model::{LayerPrecision, Model};
use super::session::check_declared;
use crate::error::{Error, Result};
use crate::graph::{Graph, QuantizedType, ValueType};
use crate::quantize::metrics::{ClipCounts, Similarity};
use crate::quantize::observer::first_non_finite;
use crate::runtime::{Executor, Plan, PlanOptions, Walk};
use crate::tensor::{DType, TensorView, element_count};
use crate::threads::parallel_map;
use serde::Serialize;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// Samples that each thread compares before the sums are added up.
const SAMPLES_OF_A_ROUND: usize = 16;

/// The operator that [`LayerComparison`] names for an input of the graph.
pub const INPUT_OPERATOR: &str = "Input";

/// How close a layer's output (or an input that is held as bytes) is to the float one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LayerComparison {
    /// The node's name; of an input its own.
    pub name: String,
    /// The operator, as in ONNX; [`INPUT_OPERATOR`] for an input.
    pub operator: String,
    /// How the layer runs in the model.
    pub precision: LayerPrecision,
    /// Values compared.
    pub values: u64,
    /// `20 log10(|x|_2 / |x - x_q|_2)`; infinite (in JSON: null) where both are the same.
    pub sqnr_db: f64,
    /// Cosine of the angle between both.
    pub cosine: f64,
    /// Share of the float values below the range in which the tensor is held as bytes; 0 where it is not.
    pub clip_low: f64,
    /// Share above the range.
    pub clip_high: f64,
}

/// How close an output is to the float one, end to end.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OutputComparison {
    /// Its name.
    pub name: String,
    /// As in [`LayerComparison`].
    pub sqnr_db: f64,
    /// As in [`LayerComparison`].
    pub cosine: f64,
    /// Share of the samples whose largest element is the same one; `None` for outputs that are not `[n, classes]`.
    pub top1_agreement: Option<f64>,
}

/// Sums over the samples so far.
#[derive(Debug, Clone, Copy, Default)]
struct Measure {
    values: u64,
    similarity: Similarity,
    clips: ClipCounts,
}

#[derive(Debug, Clone, Copy, Default)]
struct OutputMeasure {
    similarity: Similarity,
    agreeing: u64,
    ranked: u64,
}

#[derive(Debug, Clone)]
struct Measures {
    inputs: Vec<Measure>,
    nodes: Vec<Measure>,
    outputs: Vec<OutputMeasure>,
}

/// What of the model's graph stands for what of the float graph.
struct Links {
    /// For each value of the float graph the node that makes it.
    producers: Vec<Option<usize>>,
    /// For each value of the model's graph the float graph's node whose output it is.
    node_of: Vec<Option<usize>>,
    /// For each value of the float graph how the model holds it as bytes, where it does.
    bytes_of: Vec<Option<QuantizedType>>,
}

/// The two runs of one thread.
struct Pair {
    float: Executor,
    int8: Executor,
}

/// A float graph, a model of it, and how close they were so far.
pub struct Comparison {
    graph: FloatGraph,
    model: Model,
    links: Links,
    images: ImageSet,
    pairs: Vec<Pair>,
    total: Measures,
    samples: u64,
}

impl Measure {
    fn add(&mut self, float: &[f32], other: &[f32], held: Option<QuantizedType>) {
        self.values += float.len() as u64;
        self.similarity.add(float, other);
        if let Some(ty) = held {
            self.clips.add(float, ty.qparams, i32::from(ty.low), i32::from(ty.high));
        }
    }

    fn merge(&mut self, other: &Measure) {
        self.values += other.values;
        self.similarity.merge(&other.similarity);
        self.clips.merge(&other.clips);
    }
}

impl Measures {
    fn none(graph: &Graph) -> Self {
        Self {
            inputs: vec![Measure::default(); graph.inputs.len()],
            nodes: vec![Measure::default(); graph.nodes.len()],
            outputs: vec![OutputMeasure::default(); graph.outputs.len()],
        }
    }

    fn merge(&mut self, other: &Measures) {
        self.inputs.iter_mut().zip(&other.inputs).for_each(|(mine, theirs)| mine.merge(theirs));
        self.nodes.iter_mut().zip(&other.nodes).for_each(|(mine, theirs)| mine.merge(theirs));
        for (mine, theirs) in self.outputs.iter_mut().zip(&other.outputs) {
            mine.similarity.merge(&theirs.similarity);
            mine.agreeing += theirs.agreeing;
            mine.ranked += theirs.ranked;
        }
    }
}

impl Links {
    fn of(graph: &Graph, lowered: &Graph) -> Self {
        let nodes: HashMap<&str, usize> = graph.nodes.iter().enumerate().map(|(index, node)| (node.name.as_str(), index)).collect();
        let mut node_of = vec![None; lowered.values.len()];
        for node in &lowered.nodes {
            node_of[node.output.index()] = nodes.get(node.name.as_str()).copied();
        }
        let held: HashMap<&str, QuantizedType> = lowered
            .values
            .iter()
            .filter_map(|value| match value.ty {
                ValueType::Quantized(ty) => Some((value.name.as_str(), ty)),
                _ => None,
            })
            .collect();
        // Lowering names a tensor's bytes like the tensor where the layer makes bytes, and thus where they are converted.
        let bytes_of = |name: &str| held.get(name).or_else(|| held.get(format!("{name}/quantized").as_str())).copied();
        Self { producers: graph.producers(), node_of, bytes_of: graph.values.iter().map(|value| bytes_of(&value.name)).collect() }
    }
}

/// Refuses a model that was not made of the graph, naming the first difference.
fn check_same(graph: &FloatGraph, model: &Model) -> Result<()> {
    if graph.inputs() != model.inputs() {
        return Err(Error::Mismatch("the model's inputs are not the graph's".into()));
    }
    if graph.graph().outputs.len() != model.graph().outputs.len() {
        return Err(Error::Mismatch("the model has another number of outputs than the graph".into()));
    }
    let (nodes, layers) = (&graph.graph().nodes, model.layers());
    let fits = |(node, layer): (&crate::graph::Node, &super::LayerInfo)| node.name == layer.name && node.op.name() == layer.operator;
    match nodes.iter().zip(layers).position(|pair| !fits(pair)) {
        Some(index) => Err(Error::Mismatch(format!(
            "layer {index} is {} ({}) in the graph and {} ({}) in the model",
            nodes[index].name,
            nodes[index].op.name(),
            layers[index].name,
            layers[index].operator
        ))),
        None if nodes.len() != layers.len() => {
            Err(Error::Mismatch(format!("the graph has {} layers and the model {}", nodes.len(), layers.len())))
        }
        None => Ok(()),
    }
}

impl Comparison {
    /// A comparison that has seen nothing; it runs with the model's context.
    ///
    /// # Errors
    /// `Mismatch` if the model was not made of this graph, naming the first difference.
    pub fn new(graph: &FloatGraph, model: &Model) -> Result<Self> {
        check_same(graph, model)?;
        Ok(Self {
            links: Links::of(graph.graph(), model.graph()),
            total: Measures::none(graph.graph()),
            graph: graph.clone(),
            model: model.clone(),
            images: ImageSet::default(),
            pairs: Vec::new(),
            samples: 0,
        })
    }

    /// From now on these inputs are given as images, u8 `[n, h, w, c]`, the others as f32.
    ///
    /// # Errors
    /// As [`super::Prepared::with_images`]; nothing changes then.
    pub fn set_images(&mut self, images: &[ImageInput]) -> Result<()> {
        self.images = ImageSet::new(self.graph.graph(), images)?;
        Ok(())
    }

    /// Samples compared so far (for a graph without a batch axis: batches).
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Compares on one batch: inputs in the graph's order, f32 (u8 where they are images). A batch that fails changes nothing.
    ///
    /// # Errors
    /// `ShapeMismatch`, `DTypeMismatch`, `InvalidArgument`, `NotFinite` naming input and element, `OutOfMemory`.
    pub fn add(&mut self, inputs: &[TensorView<'_>]) -> Result<()> {
        let context = self.model.context().clone();
        let (graph, images) = (Arc::clone(self.graph.graph()), self.images.clone());
        context.memory().within(|| images.with_floats(&graph, inputs, |inputs| self.add_within(inputs)))
    }

    fn add_within(&mut self, inputs: &[TensorView<'_>]) -> Result<()> {
        let graph = Arc::clone(self.graph.graph());
        let dims = check_inputs(&graph, inputs)?;
        let batch = dims.first().and_then(|dims| dims.first().copied()).unwrap_or(1);
        if batch == 0 {
            return Ok(());
        }
        self.make_pairs(&dims, batch)?;
        let whole = self.pairs[0].float.plan().chunk_samples == 0;
        let samples = if whole { 1 } else { batch };
        let round = self.pairs.len() * SAMPLES_OF_A_ROUND;
        let mut total = self.total.clone();
        for first in (0..samples).step_by(round) {
            let end = samples.min(first + round);
            for measures in self.compare_samples(inputs, samples, first..end)? {
                total.merge(&measures);
            }
        }
        self.total = total;
        self.samples += samples as u64;
        Ok(())
    }

    /// Each sample's sums, in order. `samples` are all of the batch.
    fn compare_samples<'a>(&mut self, inputs: &[TensorView<'a>], samples: usize, range: Range<usize>) -> Result<Vec<Measures>> {
        let (graph, lowered, links) = (self.graph.graph(), self.model.graph(), &self.links);
        let share = range.len().div_ceil(self.pairs.len());
        let of_thread = |(index, pair): (usize, &mut Pair)| -> Result<Vec<Measures>> {
            let (first, end) = ((index * share).min(range.len()), ((index + 1) * share).min(range.len()));
            let of_sample = |sample: usize| {
                let part = |bytes: &'a [u8]| &bytes[sample * (bytes.len() / samples)..][..bytes.len() / samples];
                let inputs: Vec<&[u8]> = inputs.iter().map(|view| part(view.bytes())).collect();
                compare_sample(graph, lowered, links, pair, &inputs)
            };
            (range.start + first..range.start + end).map(of_sample).collect()
        };
        let pairs: Vec<(usize, &mut Pair)> = self.pairs.iter_mut().enumerate().collect();
        let parts = parallel_map(pairs, of_thread).into_iter().collect::<Result<Vec<_>>>()?;
        Ok(parts.into_iter().flatten().collect())
    }

    /// Two executors a thread, for these input sizes.
    fn make_pairs(&mut self, dims: &[Vec<usize>], batch: usize) -> Result<()> {
        let context: &Context = self.model.context();
        let fits = |pair: &Pair| {
            let plan = pair.float.plan();
            let fits = |(planned, given): (&Vec<usize>, &Vec<usize>)| match plan.chunk_samples {
                0 => planned == given,
                _ => planned[1..] == given[1..],
            };
            plan.input_dims.iter().zip(dims).all(fits)
        };
        let threads = context.threads().threads().min(batch);
        let whole = self.pairs.first().is_some_and(|pair| pair.float.plan().chunk_samples == 0);
        if self.pairs.first().is_some_and(fits) && (whole || self.pairs.len() >= threads) {
            return Ok(());
        }
        self.pairs.clear();
        let plan = |graph: &Graph| Plan::new(graph, dims, PlanOptions { max_isa: context.max_isa() }).map(Arc::new);
        let (float, int8) = (plan(self.graph.graph())?, plan(self.model.graph())?);
        if (float.chunk_samples == 0) != (int8.chunk_samples == 0) {
            return Err(Error::Graph("samples stay apart in only one of the graph and its model".into()));
        }
        let count = if float.chunk_samples == 0 { 1 } else { threads };
        let mut pairs = Vec::new();
        for _ in 0..count {
            pairs.push(Pair { float: Executor::new(Arc::clone(&float), 1, 1)?, int8: Executor::new(Arc::clone(&int8), 1, 1)? });
        }
        self.pairs = pairs;
        Ok(())
    }

    /// The inputs that the model holds as bytes, then the layers, in execution order; layers that compute nothing (reshapes
    /// that move nothing) are left out. Empty before the first batch.
    pub fn layers(&self) -> Vec<LayerComparison> {
        let row = |name: &str, operator: &str, precision: LayerPrecision, measure: &Measure| {
            let (clip_low, clip_high) = measure.clips.rates();
            let (sqnr_db, cosine) = (measure.similarity.sqnr_db(), measure.similarity.cosine());
            let (name, operator) = (name.to_owned(), operator.to_owned());
            LayerComparison { name, operator, precision, values: measure.values, sqnr_db, cosine, clip_low, clip_high }
        };
        let graph = self.graph.graph();
        let inputs = graph
            .inputs
            .iter()
            .zip(&self.total.inputs)
            .map(|(&input, measure)| row(&graph.value(input).name, INPUT_OPERATOR, LayerPrecision::Int8Static, measure));
        let layers = self
            .model
            .layers()
            .iter()
            .zip(&self.total.nodes)
            .map(|(layer, measure)| row(&layer.name, &layer.operator, layer.precision, measure));
        inputs.chain(layers).filter(|row| row.values > 0).collect()
    }

    /// The outputs, end to end.
    pub fn outputs(&self) -> Vec<OutputComparison> {
        let graph = self.graph.graph();
        let output = |(&output, measure): (&crate::graph::ValueId, &OutputMeasure)| OutputComparison {
            name: graph.value(output).name.clone(),
            sqnr_db: measure.similarity.sqnr_db(),
            cosine: measure.similarity.cosine(),
            top1_agreement: (measure.ranked > 0).then(|| measure.agreeing as f64 / measure.ranked as f64),
        };
        graph.outputs.iter().zip(&self.total.outputs).map(output).collect()
    }

    /// The float graph.
    pub fn graph(&self) -> &FloatGraph {
        &self.graph
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }
}

/// The shapes of a batch that fits the graph and holds numbers.
pub(super) fn check_inputs(graph: &Graph, inputs: &[TensorView<'_>]) -> Result<Vec<Vec<usize>>> {
    let dims: Vec<Vec<usize>> = inputs.iter().map(|view| view.dims().to_vec()).collect();
    check_declared(graph, &dims)?;
    let batch = dims.first().and_then(|dims| dims.first());
    for (view, &input) in inputs.iter().zip(&graph.inputs) {
        let name = &graph.value(input).name;
        if view.dtype() != DType::F32 {
            return Err(Error::DTypeMismatch(format!("input {name} holds {}; f32 is needed", view.dtype().name())));
        }
        if view.dims().first() != batch {
            return Err(Error::ShapeMismatch(format!("input {name} has shape {:?}, another batch than the first input", view.dims())));
        }
        let floats: &[f32] = bytemuck::cast_slice(view.bytes());
        if let Some(index) = first_non_finite(floats) {
            return Err(Error::NotFinite(format!("input {name}, element {index} is {}", floats[index])));
        }
    }
    Ok(dims)
}

/// The next of the model's tensors that is the output of a node of the float graph: that node.
fn next_node(walk: &mut Walk<'_>, node_of: &[Option<usize>]) -> Result<Option<usize>> {
    while let Some(made) = walk.advance()? {
        if let Some(node) = node_of[made.value.index()] {
            return Ok(Some(node));
        }
    }
    Ok(None)
}

/// Runs both on one sample (or whole batch), side by side: both list their nodes in the same order.
fn compare_sample(graph: &Graph, lowered: &Graph, links: &Links, pair: &mut Pair, inputs: &[&[u8]]) -> Result<Measures> {
    let mut measures = Measures::none(graph);
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for ((bytes, &input), measure) in inputs.iter().zip(&graph.inputs).zip(&mut measures.inputs) {
        let Some(held) = links.bytes_of[input.index()] else { continue };
        let floats: &[f32] = bytemuck::cast_slice(bytes);
        y.clear();
        y.extend(floats.iter().map(|&x| held.qparams.dequantize(i32::from(held.byte(x)))));
        measure.add(floats, &y, Some(held));
    }
    let output_dims = pair.float.plan().output_dims.clone();
    let buffers = || output_dims.iter().map(|dims| vec![0f32; element_count(dims).unwrap_or(0)]).collect::<Vec<_>>();
    let (mut float_outputs, mut int8_outputs) = (buffers(), buffers());
    let bytes = |outputs| <[Vec<f32>]>::iter_mut(outputs).map(|output| bytemuck::cast_slice_mut(output)).collect::<Vec<_>>();
    let mut float = pair.float.walk(inputs, bytes(&mut float_outputs))?;
    let mut int8 = pair.int8.walk(inputs, bytes(&mut int8_outputs))?;
    let mut reached = next_node(&mut int8, &links.node_of)?;
    while let Some(made) = float.advance()? {
        let Some(node) = links.producers[made.value.index()] else { continue };
        while reached.is_some_and(|reached| reached < node) {
            reached = next_node(&mut int8, &links.node_of)?;
        }
        if reached == Some(node) {
            let value = &lowered.values[int8.value().map_or(0, |value| value.index())];
            let qparams = match value.ty {
                ValueType::Quantized(ty) => Some(ty.qparams),
                _ => None,
            };
            float.read(None, &mut x)?;
            int8.read(qparams, &mut y)?;
            measures.nodes[node].add(&x, &y, links.bytes_of[made.value.index()]);
        }
    }
    float.finish()?;
    int8.finish()?;
    for ((float, int8), (measure, dims)) in float_outputs.iter().zip(&int8_outputs).zip(measures.outputs.iter_mut().zip(&output_dims)) {
        measure.similarity.add(float, int8);
        let classes = dims.last().copied().unwrap_or(0);
        if dims.len() == 2 && classes > 1 {
            for (float, int8) in float.chunks_exact(classes).zip(int8.chunks_exact(classes)) {
                measure.ranked += 1;
                measure.agreeing += u64::from(largest(float) == largest(int8));
            }
        }
    }
    Ok(measures)
}

/// Index of the largest element, the first of equal ones.
fn largest(values: &[f32]) -> usize {
    (0..values.len()).fold(0, |best, index| if values[index] > values[best] { index } else { best })
}
