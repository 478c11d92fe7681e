//! A recipe for a graph from another system's calibration: bind its entries, derive what they leave open, and put into float
//! what cannot be derived.
use super::bind::{Bindings, Knowledge, bind};
use super::derive::derive;
use super::{layers_of, provenance, tensors_of_set, weighted_nodes};
use crate::error::{Error, Result};
use crate::graph::passes::assign_precision::{Assignment, NodePrecision};
use crate::graph::passes::pack_float::WeightLayout;
use crate::graph::{Graph, Op};
use crate::isa::FloatControl;
use crate::kernels::VectorIsa;
use crate::pipeline::{Context, FloatGraph, Prepared};
use crate::quantize::qconfig::{ActivationQConfig, ActivationSettings, WeightSettings};
use crate::quantize::recipe::foreign::{ForeignCalibration, ForeignFormat, Known};
use crate::quantize::recipe::{ActivationRecipe, ImportReport, Unbound};
use crate::quantize::{LayerSettings, QConfig, Recipe, Target, choose_qparams};

/// Makes a recipe for `graph` of the bytes of another system's calibration; `format` `None`: the bytes tell. `input_dims` are needed
/// where the graph leaves more than the batch open.
///
/// Every entry that is taken holds as it stands in the file. What the file leaves open is derived or float; the recipe's
/// `import` and each activation's `origin` tell.
///
/// # Errors
/// `Parse` (also for bytes that are no UTF-8) and `Unsupported` naming line or operation; `Mismatch` if nothing of the file fits the graph.
pub fn import_recipe(
    context: &Context,
    graph: &FloatGraph,
    format: Option<ForeignFormat>,
    bytes: &[u8],
    input_dims: Option<Vec<Vec<usize>>>,
) -> Result<Recipe> {
    let text = std::str::from_utf8(bytes).map_err(|error| Error::Parse(format!("a calibration: {error}")))?;
    let _float_control = FloatControl::set_default();
    let calibration = ForeignCalibration::parse(format.unwrap_or_else(|| ForeignFormat::detect(text)), text)?;
    let bindings = bind(graph.graph(), &calibration);
    if bindings.bound.is_empty() {
        let entry = bindings.unused.first().map_or("it has no entry".to_owned(), |entry| format!("{:?}: {}", entry.name, entry.reason));
        return Err(Error::Mismatch(format!("{} calibration: nothing in it fits the model; {entry}", calibration.format.name())));
    }
    let mut import = Import::new(context, graph, &calibration, bindings, input_dims);
    let (prepared, activations) = import.solve()?;
    import.finish(&prepared, activations)
}

struct Import<'a> {
    context: &'a Context,
    graph: &'a FloatGraph,
    calibration: &'a ForeignCalibration,
    bindings: Bindings,
    input_dims: Option<Vec<Vec<usize>>>,
    qconfig: QConfig,
    missing: Vec<Unbound>,
}

impl<'a> Import<'a> {
    /// The qconfig that the file asks for.
    fn new(
        context: &'a Context,
        graph: &'a FloatGraph,
        calibration: &'a ForeignCalibration,
        bindings: Bindings,
        input_dims: Option<Vec<Vec<usize>>>,
    ) -> Self {
        let mut qconfig = QConfig::default_static();
        let target = calibration.activation;
        let activation = qconfig.defaults.activation;
        qconfig.defaults.activation =
            ActivationQConfig { qtype: target.qtype, scheme: target.scheme, reduce_range: target.reduce_range, ..activation };
        qconfig.defaults.weight = calibration.weight;
        let mut import = Self { context, graph, calibration, bindings, input_dims, qconfig, missing: Vec::new() };
        for index in weighted_nodes(graph.graph()) {
            import.ask_for_layer(index);
        }
        import
    }

    fn set(&mut self, node: usize, settings: LayerSettings) {
        let scope = format!("name:{}", self.graph.graph().nodes[node].name);
        self.qconfig.overrides.push(crate::quantize::qconfig::Override { scope, settings });
    }

    fn leave_float(&mut self, node: usize, reason: String) {
        self.missing.push(Unbound { name: self.graph.graph().nodes[node].name.clone(), reason });
        // What was asked for before has nothing left to hold for.
        let scope = format!("name:{}", self.graph.graph().nodes[node].name);
        self.qconfig.overrides.retain(|entry| entry.scope != scope);
        self.set(node, LayerSettings::FLOAT);
    }

    /// What the file says of a layer with weights.
    fn ask_for_layer(&mut self, node: usize) {
        let Some(layer) = self.bindings.layer_of[node].map(|layer| &self.calibration.layers[layer]) else {
            if !self.calibration.layers.is_empty() {
                self.leave_float(node, "the file has no entry for it".to_owned());
            }
            return;
        };
        let Some(input) = layer.input else {
            return self.leave_float(node, format!("the file leaves {} float", layer.name));
        };
        let mut settings = LayerSettings::default();
        if input.target != self.calibration.activation {
            let Target { qtype, scheme, reduce_range } = input.target;
            settings.activation = ActivationSettings {
                qtype: Some(qtype),
                scheme: Some(scheme),
                reduce_range: Some(reduce_range),
                ..ActivationSettings::default()
            };
        }
        if let Some(weights) = layer.weights.as_ref().filter(|weights| weights.config != self.calibration.weight) {
            let config = weights.config;
            settings.weight = WeightSettings {
                per_channel: Some(config.per_channel),
                scheme: Some(config.scheme),
                reduce_range: Some(config.reduce_range),
            };
        }
        if settings != LayerSettings::default() {
            self.set(node, settings);
        }
    }

    /// QParams of every tied set; layers whose tensors cannot be told become float until all others can.
    fn solve(&mut self) -> Result<(Prepared, Vec<ActivationRecipe>)> {
        loop {
            let prepared = Prepared::new(self.context, self.graph, &self.qconfig, self.input_dims.clone())?;
            let assignment = &prepared.placed()?.assignment;
            let entries = self.entries(assignment)?;
            let graph = self.graph.graph();
            let unknown = (0..entries.len()).filter(|&set| entries[set].is_none()).map(|set| (set, readers_of(graph, assignment, set)));
            // First what costs no layer: when that is float, others may be wanted no more.
            let weighted = |readers: &Vec<usize>| readers.iter().filter(|&&node| WeightLayout::of(&graph.nodes[node].op).is_some()).count();
            let Some((set, readers)) = unknown.min_by_key(|(_, readers)| weighted(readers)) else {
                return Ok((prepared, entries.into_iter().flatten().collect()));
            };
            let name = tensors_of_set(graph, &assignment.set_of, set).swap_remove(0);
            if readers.is_empty() {
                return Err(Error::Graph(format!("no operator reads the tensor {name:?}")));
            }
            readers.into_iter().for_each(|node| self.leave_float(node, format!("the file has no qparams for {name:?}")));
        }
    }

    /// The entry of each set, where it is known or can be derived.
    fn entries(&self, assignment: &Assignment) -> Result<Vec<Option<ActivationRecipe>>> {
        let graph = self.graph.graph();
        let count = assignment.tied.len();
        let mut entries: Vec<Option<ActivationRecipe>> = (0..count).map(|set| self.known_entry(assignment, set)).collect::<Result<_>>()?;
        let isa = VectorIsa::best(self.context.max_isa());
        loop {
            let mut spans = Vec::with_capacity(count);
            for (set, entry) in entries.iter().enumerate() {
                spans.push(entry.as_ref().map(|entry| span_of(entry, assignment.tied[set].activation.target())).transpose()?);
            }
            let found =
                (0..count).filter(|&set| entries[set].is_none()).find_map(|set| Some((set, derive(graph, assignment, set, &spans, isa)?)));
            let Some((set, ((low, high), rule))) = found else { return Ok(entries) };
            entries[set] = Some(self.entry(assignment, set, Known::Range { low, high }, format!("derived: {rule}"))?);
        }
    }

    /// What the file says of a set: of those tensors of it that were quantized, else of those that were observed.
    fn known_entry(&self, assignment: &Assignment, set: usize) -> Result<Option<ActivationRecipe>> {
        let target = assignment.tied[set].activation.target();
        let of_set = self.bindings.known.iter().zip(&assignment.set_of).filter(|(_, of)| **of == Some(set));
        let known: Vec<&Knowledge> = of_set.filter_map(|(known, _)| known.as_ref()).collect();
        let quantized: Vec<&Knowledge> = known.iter().copied().filter(|known| known.quantized).collect();
        let (chosen, note) = if quantized.is_empty() { (known, "derived: observed as ") } else { (quantized, "") };
        let Some(first) = chosen.first() else { return Ok(None) };
        if chosen.iter().all(|known| known.tensor == first.tensor) && first.tensor.target == target {
            return self.entry(assignment, set, first.tensor.known, format!("{note}{}", first.origin)).map(Some);
        }
        let ranges = chosen.iter().map(|known| known.tensor.range());
        let (low, high) = ranges.fold((0f32, 0f32), |(low, high), (l, h)| (low.min(l), high.max(h)));
        let origins: Vec<&str> = chosen.iter().map(|known| known.origin.as_str()).collect();
        self.entry(assignment, set, Known::Range { low, high }, format!("derived: the widest range of {}", origins.join(", "))).map(Some)
    }

    fn entry(&self, assignment: &Assignment, set: usize, known: Known, origin: String) -> Result<ActivationRecipe> {
        let target = assignment.tied[set].activation.target();
        let (scale, zero_point, range) = match known {
            Known::QParams { scale, zero_point } => (scale, zero_point, None),
            Known::Range { low, high } => {
                let qparams = choose_qparams(low, high, target)?;
                (qparams.scale, qparams.native_zero_point(target.qtype), Some([low, high]))
            }
        };
        Ok(ActivationRecipe {
            tensors: tensors_of_set(self.graph.graph(), &assignment.set_of, set),
            dtype: target.qtype,
            scale: Some(scale),
            zero_point: Some(zero_point),
            range,
            solver: None,
            predicted_sqnr_db: None,
            origin: Some(origin),
        })
    }

    fn finish(mut self, prepared: &Prepared, activations: Vec<ActivationRecipe>) -> Result<Recipe> {
        let placement = prepared.placed()?;
        let graph = self.graph.graph();
        let mut layers = layers_of(graph)?;
        for (layer, node) in layers.iter_mut().zip(weighted_nodes(graph)) {
            let of_file = self.bindings.layer_of[node].and_then(|layer| self.calibration.layers[layer].weights.as_ref());
            if let (Some(weights), NodePrecision::Static) = (of_file, &placement.assignment.nodes[node]) {
                check_weight_count(&layer.node, &graph.nodes[node].op, weights.config.per_channel, weights.scales.len())?;
                layer.weight_scales = Some(weights.scales.clone());
            }
        }
        self.drop_unread_tensors(&placement.assignment);
        let provenance = provenance(self.calibration.format.name(), None, &layers);
        let Bindings { bound, unused, .. } = self.bindings;
        let import = Some(ImportReport { bound, unused, missing: self.missing });
        Ok(Recipe {
            provenance,
            input_shapes: placement.dims.clone(),
            qconfig: self.qconfig,
            layers,
            activations,
            channel_activations: Vec::new(),
            import,
        })
    }

    /// Moves entries of tensors that are not held as bytes from `bound` to `unused`.
    fn drop_unread_tensors(&mut self, assignment: &Assignment) {
        let graph = self.graph.graph();
        let is_bytes = |name: &str| graph.values.iter().zip(&assignment.set_of).any(|(value, set)| value.name == name && set.is_some());
        let tensors = &self.calibration.tensors;
        let (unread, bound) = std::mem::take(&mut self.bindings.bound)
            .into_iter()
            .partition(|bound| tensors.contains_key(&bound.entry) && !is_bytes(&bound.to));
        self.bindings.bound = bound;
        let unread: Vec<crate::quantize::recipe::Bound> = unread;
        let reason = "the tensor is not held as bytes".to_owned();
        self.bindings.unused.extend(unread.into_iter().map(|bound| Unbound { name: bound.entry, reason: reason.clone() }));
    }
}

fn check_weight_count(name: &str, op: &Op, per_channel: bool, count: usize) -> Result<()> {
    let channels = match op {
        Op::Conv2d(conv) => conv.out_channels,
        Op::Linear(linear) => linear.out_features,
        _ => 1,
    };
    let needed = if per_channel { channels } else { 1 };
    if count == needed {
        return Ok(());
    }
    Err(Error::Mismatch(format!("the file has {count} weight scales for {name:?}, which needs {needed}")))
}

/// The range that an entry's qparams can hold.
fn span_of(entry: &ActivationRecipe, target: Target) -> Result<(f32, f32)> {
    let qparams = entry.qparams(target, "activation")?;
    let (low, high) = target.held_range();
    Ok((qparams.dequantize(low), qparams.dequantize(high)))
}

/// The int8 nodes that read a set's tensors, without those that pass its bytes on.
fn readers_of(graph: &Graph, assignment: &Assignment, set: usize) -> Vec<usize> {
    let in_set = |value: &crate::graph::ValueId| assignment.set_of[value.index()] == Some(set);
    let reads = |index: &usize| {
        let node = &graph.nodes[*index];
        assignment.nodes[*index] == NodePrecision::Static && node.inputs.iter().any(in_set) && !in_set(&node.output)
    };
    (0..graph.nodes.len()).filter(reads).collect()
}
