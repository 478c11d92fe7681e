//! A plan: the flat list of steps for given input shapes, and where every tensor lies.
//!
//! Where samples do not meet (axis 0 is a batch axis all through), the plan is made for one sample, and a chunk of a few
//! samples walks it at a time: any batch runs on it. Otherwise the plan is for exactly the shapes it was made for.
mod images;

pub use images::ImageInputs;

use super::memory_plan::{Life, place};
use super::orders::orders;
use super::stages::{Stage, stages};
use crate::error::{Error, Result};
use crate::graph::{ConvWeights, Graph, Op, ValueId, ValueType, infer_shapes, keeps_samples_apart};
use crate::isa::Isa;
use crate::memory;
use crate::ops::{DYNAMIC_ENTRY_BYTES, Element, Kernels, Order, Slot, Step, StepInputs, Tensor, TensorLayout, build_step, copy_step};
use crate::quantize::Grain;
use std::collections::HashMap;

/// Bytes of activations below which a chunk takes several samples, so that weights are read once for all of them.
const CHUNK_BYTES: usize = 256 << 10;
/// Samples of a chunk at most.
const CHUNK_SAMPLES: usize = 64;

/// How to plan.
#[derive(Debug, Clone, Copy)]
pub struct PlanOptions {
    /// The best instruction set that may be used.
    pub max_isa: Isa,
}

/// A value and where it lies once its step has run.
#[derive(Debug, Clone)]
pub struct PlannedTensor {
    /// The value.
    pub value: ValueId,
    /// Its place.
    pub tensor: Tensor,
}

/// A step and the value that it makes.
pub struct PlannedStep {
    /// What to run.
    pub step: Box<dyn Step>,
    /// What it makes: no value for copies between orders.
    pub makes: Option<PlannedTensor>,
}

/// Steps and places for given input shapes.
pub struct Plan {
    /// In execution order.
    pub steps: Vec<PlannedStep>,
    /// Bytes of the arena of one chunk.
    pub arena_bytes: usize,
    /// Scratch bytes of one thread.
    pub scratch_bytes: usize,
    /// Samples of a chunk at most; 0 where the plan is for whole batches.
    pub chunk_samples: usize,
    /// The steps in groups, with the number of samples that pass each at a time.
    pub stages: Vec<Stage>,
    /// Shapes of the inputs as planned (axis 0 is 1 where samples stay apart).
    pub input_dims: Vec<Vec<usize>>,
    /// Shapes of the outputs, likewise.
    pub output_dims: Vec<Vec<usize>>,
    /// Input values, for observation before the first step.
    pub inputs: Vec<PlannedTensor>,
    /// Whether a step may fail, so that outputs are staged.
    pub may_fail: bool,
}

#[derive(Debug, Clone)]
enum PlaceKind {
    Arena,
    Bound(Slot),
    Alias(usize),
}

#[derive(Debug, Clone)]
struct Place {
    layout: TensorLayout,
    kind: PlaceKind,
    bytes: usize,
}

enum Work {
    Node {
        index: usize,
        part: usize,
    },
    Copy,
    /// Reads an image: for a node that quantizes it, or to floats.
    Image(Option<usize>),
}

struct Draft {
    work: Work,
    inputs: Vec<usize>,
    /// Qparams of dynamic inputs or outputs.
    qparams: Option<usize>,
    output: usize,
    value: Option<ValueId>,
}

struct Planner<'a> {
    graph: &'a Graph,
    images: &'a ImageInputs,
    shapes: Vec<Option<Vec<usize>>>,
    places: Vec<Place>,
    /// Place of each value, and of its qparams where they are dynamic.
    of_value: Vec<Option<usize>>,
    qparams_of: HashMap<ValueId, usize>,
    converted: HashMap<(usize, Order), usize>,
    drafts: Vec<Draft>,
}

impl Plan {
    /// Plans `graph` for inputs of the given shapes.
    ///
    /// # Errors
    /// Shapes that do not fit the graph, an operator that the executor lacks, constants too short for their operator.
    pub fn new(graph: &Graph, input_dims: &[Vec<usize>], options: PlanOptions) -> Result<Plan> {
        Self::for_batches(graph, input_dims, &[], options, 1)
    }

    /// As [`Plan::new`], where one thread has up to `samples` samples to compute: late layers take several at a time; and
    /// where some inputs are image bytes.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn for_batches(
        graph: &Graph,
        input_dims: &[Vec<usize>],
        images: &ImageInputs,
        options: PlanOptions,
        samples: usize,
    ) -> Result<Plan> {
        Self::planned(graph, input_dims, images, options, samples, keeps_samples_apart(graph, input_dims)?)
    }

    /// A plan for whole batches, also where samples keep apart.
    #[cfg(test)]
    pub fn for_whole_batches(graph: &Graph, input_dims: &[Vec<usize>], options: PlanOptions) -> Result<Plan> {
        Self::planned(graph, input_dims, &[], options, 1, false)
    }

    fn planned(
        graph: &Graph,
        input_dims: &[Vec<usize>],
        images: &ImageInputs,
        options: PlanOptions,
        samples: usize,
        apart: bool,
    ) -> Result<Plan> {
        let mut dims = input_dims.to_vec();
        if apart {
            dims.iter_mut().for_each(|dims| dims[0] = 1);
        }
        let shapes = infer_shapes(graph, &dims)?;
        let mut planner = Planner {
            graph,
            images,
            of_value: vec![None; graph.values.len()],
            shapes,
            places: Vec::new(),
            qparams_of: HashMap::new(),
            converted: HashMap::new(),
            drafts: Vec::new(),
        };
        planner.bind_inputs()?;
        for index in 0..graph.nodes.len() {
            memory::checkpoint()?;
            planner.draft_node(index)?;
        }
        planner.bind_outputs()?;
        planner.write_over_residuals();
        planner.finish(dims, apart, options, samples)
    }
}

impl Planner<'_> {
    fn layout(&self, value: ValueId, order: Order) -> Result<TensorLayout> {
        let shape = self.shapes[value.index()].as_ref();
        let shape = shape.ok_or_else(|| Error::Graph(format!("value {} has no shape", self.graph.value(value).name)))?;
        let element = match self.graph.value(value).ty {
            ValueType::F32 => Element::F32,
            ValueType::Quantized(_) | ValueType::QuantizedByChannel(_) | ValueType::DynamicQuantized => Element::U8,
        };
        let order = if shape.len() == 4 { order } else { Order::RowMajor };
        Ok(TensorLayout::new(shape, element, order))
    }

    fn add_place(&mut self, layout: TensorLayout, kind: PlaceKind) -> usize {
        self.places.push(Place { bytes: layout.held_bytes(), layout, kind });
        self.places.len() - 1
    }

    fn bind_inputs(&mut self) -> Result<()> {
        for (index, &value) in self.graph.inputs.iter().enumerate() {
            let image = self.image_layout(index, value)?;
            let layout = image.map_or_else(|| self.layout(value, Order::RowMajor), Ok)?;
            self.of_value[value.index()] = Some(self.add_place(layout, PlaceKind::Bound(Slot::Input(index))));
        }
        for (index, value) in self.graph.values.iter().enumerate() {
            if let Some(constant) = value.constant {
                let layout = self.layout(ValueId(index as u32), Order::RowMajor)?;
                let data = self.graph.constant(constant).data.clone();
                self.of_value[index] = Some(self.add_place(layout, PlaceKind::Bound(Slot::Constant(data))));
            }
        }
        Ok(())
    }

    fn root(&self, mut place: usize) -> usize {
        while let PlaceKind::Alias(of) = self.places[place].kind {
            place = of;
        }
        place
    }

    fn place_of(&self, value: ValueId) -> Result<usize> {
        self.of_value[value.index()]
            .ok_or_else(|| Error::Graph(format!("value {} is read before it is computed", self.graph.value(value).name)))
    }

    /// The place holding the same tensor in `order`: itself, or a copy made once.
    fn in_order(&mut self, place: usize, order: Order) -> usize {
        let layout = self.places[place].layout.clone();
        if layout.dims.len() != 4 || layout.order == order {
            return place;
        }
        if let Some(&done) = self.converted.get(&(place, order)) {
            return done;
        }
        let to = TensorLayout::new(&layout.dims, layout.element, order);
        let output = if to.same_places(&layout) {
            self.add_place(to, PlaceKind::Alias(place))
        } else {
            let output = self.add_place(to, PlaceKind::Arena);
            self.drafts.push(Draft { work: Work::Copy, inputs: vec![place], qparams: None, output, value: None });
            output
        };
        self.converted.insert((place, order), output);
        output
    }

    fn draft_node(&mut self, index: usize) -> Result<()> {
        let graph = self.graph;
        let node = &graph.nodes[index];
        let mut places = node.inputs.iter().map(|&value| self.place_of(value)).collect::<Result<Vec<_>>>()?;
        let probe = self.layout(node.output, Order::RowMajor)?;
        if places.first().is_some_and(|&place| self.quantizes_image(index, place)) {
            let output = self.add_place(self.layout(node.output, Order::ChannelsLast)?, PlaceKind::Arena);
            self.of_value[node.output.index()] = Some(output);
            let work = Work::Image(Some(index));
            self.drafts.push(Draft { work, inputs: places, qparams: None, output, value: Some(node.output) });
            return Ok(());
        }
        self.images_as_floats(&node.op, &mut places, &probe);
        let layouts: Vec<&TensorLayout> = places.iter().map(|&place| &self.places[place].layout).collect();
        let orders = orders(&node.op, &layouts, probe.dims.len(), probe.element);
        let layout = self.layout(node.output, orders.output)?;
        if matches!(node.op, Op::Identity | Op::Reshape(_)) {
            return self.draft_move(index, places[0], layout);
        }
        let inputs: Vec<usize> = match orders.inputs {
            None => places,
            // Constants of elementwise operators are laid out by the step itself.
            Some(order) => places
                .into_iter()
                .zip(&node.inputs)
                .map(|(place, &value)| if graph.value(value).constant.is_some() { place } else { self.in_order(place, order) })
                .collect(),
        };
        let output = self.add_place(layout, PlaceKind::Arena);
        self.of_value[node.output.index()] = Some(output);
        let dynamic_input = node.inputs.first().and_then(|value| self.qparams_of.get(value).copied());
        let mut qparams = dynamic_input;
        if let Some(quantization) = node.op.dynamic_quantization() {
            let entries = match quantization.grain {
                Grain::PerSample => probe.dims.first().copied().unwrap_or(1),
                Grain::PerRow => probe.len() / probe.inner().max(1),
                Grain::PerTensor => 1,
            };
            let table = TensorLayout::new(&[entries * DYNAMIC_ENTRY_BYTES / size_of::<f32>()], Element::F32, Order::RowMajor);
            let table = self.add_place(table, PlaceKind::Arena);
            self.qparams_of.insert(node.output, table);
            qparams = Some(table);
            // Two steps: every part finds the extremes of its share, then every part quantizes. A row is one part's.
            if quantization.grain != Grain::PerRow {
                let (work, inputs) = (Work::Node { index, part: 0 }, inputs.clone());
                self.drafts.push(Draft { work, inputs, qparams: None, output: table, value: None });
            }
        }
        self.drafts.push(Draft { work: Work::Node { index, part: 1 }, inputs, qparams, output, value: Some(node.output) });
        Ok(())
    }

    /// A node that changes no element: an alias where nothing moves, else a copy.
    fn draft_move(&mut self, index: usize, from: usize, layout: TensorLayout) -> Result<()> {
        let node = &self.graph.nodes[index];
        let kept = TensorLayout { order: self.places[from].layout.order, ..layout.clone() };
        let fits = kept.dims.len() == self.places[from].layout.dims.len() || kept.order == Order::RowMajor;
        let layout = if matches!(node.op, Op::Identity) && fits { kept } else { layout };
        let output = if self.places[from].layout.same_places(&layout) {
            self.add_place(layout, PlaceKind::Alias(from))
        } else {
            let from = self.in_order(from, Order::RowMajor);
            if self.places[from].layout.same_places(&layout) {
                self.add_place(layout, PlaceKind::Alias(from))
            } else {
                let output = self.add_place(layout, PlaceKind::Arena);
                self.drafts.push(Draft { work: Work::Copy, inputs: vec![from], qparams: None, output, value: Some(node.output) });
                output
            }
        };
        self.of_value[node.output.index()] = Some(output);
        if let Some(&qparams) = self.qparams_of.get(&node.inputs[0]) {
            self.qparams_of.insert(node.output, qparams);
        }
        Ok(())
    }

    /// Graph outputs are f32, row-major, in the caller's memory: computed there, or copied at the end.
    fn bind_outputs(&mut self) -> Result<()> {
        let graph = self.graph;
        for (index, &value) in graph.outputs.iter().enumerate() {
            let place = self.place_of(value)?;
            let place = self.image_as_floats(place, Order::RowMajor);
            let Place { layout, kind, .. } = &self.places[place];
            if layout.element != Element::F32 {
                return Err(Error::Graph(format!("output {} is not float", graph.value(value).name)));
            }
            if matches!(kind, PlaceKind::Arena) && layout.order == Order::RowMajor {
                self.places[place].kind = PlaceKind::Bound(Slot::Output(index));
                continue;
            }
            let layout = TensorLayout::new(&layout.dims, Element::F32, Order::RowMajor);
            let output = self.add_place(layout, PlaceKind::Bound(Slot::Output(index)));
            self.drafts.push(Draft { work: Work::Copy, inputs: vec![place], qparams: None, output, value: None });
        }
        Ok(())
    }

    /// A layer writes its result over its residual where nobody reads that afterwards: the bytes are in the cache already.
    /// Kernels read a pixel's residual before they write the pixel.
    fn write_over_residuals(&mut self) {
        let mut last_use = vec![0; self.places.len()];
        for (step, draft) in self.drafts.iter().enumerate() {
            for &place in draft.inputs.iter().chain(&draft.qparams) {
                last_use[self.root(place)] = step;
            }
        }
        for step in 0..self.drafts.len() {
            let draft = &self.drafts[step];
            let Work::Node { index, .. } = draft.work else { continue };
            let fuses = match &self.graph.nodes[index].op {
                Op::Conv2d(_) => true,
                // A dynamic one leaves its accumulators in the output before it looks at the residual.
                Op::Linear(linear) => !matches!(linear.weights, ConvWeights::Dynamic { .. }),
                _ => false,
            };
            let &[src, residual] = draft.inputs.as_slice() else { continue };
            let (output, root) = (draft.output, self.root(residual));
            let in_arena = |place: usize| matches!(self.places[place].kind, PlaceKind::Arena);
            let free = last_use[root] == step && self.root(src) != root && in_arena(root) && in_arena(output);
            let [from, to] = [&self.places[residual], &self.places[output]];
            if fuses && free && from.bytes == to.bytes && from.layout.element == to.layout.element && from.layout.same_places(&to.layout) {
                self.places[output].kind = PlaceKind::Alias(residual);
                last_use[root] = last_use[output];
            }
        }
    }

    /// The steps between which each arena place lives; `None` for others.
    fn lives(&self) -> Vec<Option<std::ops::RangeInclusive<usize>>> {
        let mut lives: Vec<Option<std::ops::RangeInclusive<usize>>> = vec![None; self.places.len()];
        for (step, draft) in self.drafts.iter().enumerate() {
            for &place in draft.inputs.iter().chain(&draft.qparams).chain([&draft.output]) {
                let root = self.root(place);
                if matches!(self.places[root].kind, PlaceKind::Arena) {
                    let first = lives[root].as_ref().map_or(step, |life| *life.start());
                    lives[root] = Some(first..=step);
                }
            }
        }
        lives
    }

    /// Bytes of one sample that live during each step, and bytes of the constants that it reads.
    fn traffic(&self, lives: &[Option<std::ops::RangeInclusive<usize>>]) -> (Vec<usize>, Vec<usize>) {
        let mut live_bytes = vec![0; self.drafts.len()];
        for (place, life) in self.places.iter().zip(lives) {
            life.iter().cloned().flatten().for_each(|step| live_bytes[step] += place.bytes);
        }
        let constants = |draft: &Draft| match draft.work {
            Work::Copy | Work::Image(_) => 0,
            Work::Node { index, .. } => {
                let mut op = self.graph.nodes[index].op.clone();
                op.constants_mut().into_iter().map(|id| self.graph.constant(*id).data.len()).sum()
            }
        };
        (live_bytes, self.drafts.iter().map(constants).collect())
    }

    fn finish(self, input_dims: Vec<Vec<usize>>, apart: bool, options: PlanOptions, samples: usize) -> Result<Plan> {
        let lives = self.lives();
        let arena_places: Vec<usize> = (0..self.places.len()).filter(|&place| lives[place].is_some()).collect();
        let (live_bytes, weight_bytes) = self.traffic(&lives);
        let fitting = (CHUNK_BYTES / live_bytes.iter().copied().max().unwrap_or(0).max(1)).clamp(1, CHUNK_SAMPLES);
        let stages = match (apart, fitting) {
            (true, 1) => stages(&live_bytes, &weight_bytes, samples),
            (true, samples) => vec![Stage { steps: 0..self.drafts.len(), samples }],
            (false, _) => vec![Stage { steps: 0..self.drafts.len(), samples: 1 }],
        };
        let most = stages.iter().map(|stage| stage.samples).max().unwrap_or(1);
        let chunk_samples = if apart { most } else { 0 };
        // Samples that a place holds: those of its stage, or the chunk's where it goes from one stage to another.
        let stage_of = |step: usize| stages.iter().find(|stage| stage.steps.contains(&step));
        let holds = |place: usize| -> (usize, bool) {
            let life = lives[place].as_ref().expect("an arena place lives");
            match stage_of(*life.start()) {
                Some(stage) if stage.steps.contains(life.end()) => (stage.samples, false),
                _ => (most, true),
            }
        };
        let list: Vec<Life> = arena_places
            .iter()
            .map(|&place| {
                let (samples, whole_chunk) = holds(place);
                let life = lives[place].clone().expect("filtered above");
                // A stage's steps come back for each group of samples: what other groups left there must outlive them all.
                let steps = match (stage_of(*life.start()), stage_of(*life.end())) {
                    (Some(first), Some(last)) if whole_chunk => first.steps.start..=last.steps.end - 1,
                    _ => life,
                };
                Life { bytes: self.places[place].bytes.saturating_mul(samples), steps }
            })
            .collect();
        let (offsets, arena_bytes) = place(&list);
        let offset_of: HashMap<usize, usize> = arena_places.iter().copied().zip(offsets).collect();
        let tensor = |place: usize| -> Tensor {
            let root = self.root(place);
            let slot = match &self.places[root].kind {
                PlaceKind::Bound(slot) => slot.clone(),
                // A value that no step touches has no place.
                _ => match offset_of.get(&root) {
                    Some(&offset) if holds(root).1 => Slot::Chunk(offset),
                    Some(&offset) => Slot::Arena(offset),
                    None => Slot::Arena(0),
                },
            };
            let Place { layout, bytes, .. } = &self.places[place];
            let sample_bytes = if matches!(slot, Slot::Constant(_)) { 0 } else { *bytes };
            Tensor { slot, layout: layout.clone(), sample_bytes }
        };
        let kernels = Kernels::best(options.max_isa);
        let mut steps = Vec::with_capacity(self.drafts.len());
        for draft in &self.drafts {
            memory::checkpoint()?;
            let inputs: Vec<Tensor> = draft.inputs.iter().map(|&place| tensor(place)).collect();
            let output = tensor(draft.output);
            let step = match draft.work {
                Work::Copy => copy_step(&kernels, inputs[0].clone(), output.clone()),
                Work::Image(node) => self.image_step(&kernels, draft.inputs[0], node, [inputs[0].clone(), output.clone()])?,
                Work::Node { index, part } => {
                    let tensors = StepInputs { inputs, qparams: draft.qparams.map(tensor), output: output.clone() };
                    build_step(self.graph, &self.graph.nodes[index], part, tensors, &kernels)?
                }
            };
            let makes = draft.value.map(|value| PlannedTensor { value, tensor: output });
            steps.push(PlannedStep { step, makes });
        }
        let planned = |value: ValueId| -> Result<PlannedTensor> { Ok(PlannedTensor { value, tensor: tensor(self.place_of(value)?) }) };
        let inputs = self.graph.inputs.iter().map(|&value| planned(value)).collect::<Result<Vec<_>>>()?;
        let output_dims = self.graph.outputs.iter().map(|&value| Ok(planned(value)?.tensor.layout.dims)).collect::<Result<Vec<_>>>()?;
        let samples_of = |step: usize| stage_of(step).map_or(chunk_samples, |stage| stage.samples);
        let scratch = |(step, planned): (usize, &PlannedStep)| planned.step.scratch_bytes(samples_of(step));
        let scratch_bytes = steps.iter().enumerate().map(scratch).max().unwrap_or(0);
        Ok(Plan {
            arena_bytes,
            scratch_bytes,
            chunk_samples,
            stages,
            input_dims,
            output_dims,
            inputs,
            may_fail: steps.iter().any(|planned| planned.step.may_fail()),
            steps,
        })
    }
}
