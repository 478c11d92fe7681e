//! Recipes and graphs: what a calibration came to, written down, and a model made of it without data.
mod bind;
mod derive;
mod import;
mod match_graph;

pub use import::import_recipe;

use super::context::Context;
use super::float_graph::FloatGraph;
use super::model::Model;
use super::prepared::Prepared;
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::graph::passes::assign_precision::{Assignment, NodePrecision};
use crate::graph::passes::by_channel::ChannelTensor;
use crate::graph::passes::lower_to_int8::{self, ChannelQParams, SolvedTypes};
use crate::graph::passes::pack_float::{WeightLayout, float_weights};
use crate::isa::FloatControl;
use crate::model::replace_file;
use crate::quantize::recipe::{ActivationRecipe, ChannelRecipe, LayerRecipe, Provenance};
use crate::quantize::{QConfig, QParams, QuantizedWeights, Recipe, Solved};
use std::io::Write;
use std::path::Path;

/// What stands in [`Provenance::source`] for a recipe of this library's own statistics.
const CALIBRATION: &str = "calibration";

impl Prepared {
    /// Solves all qparams and writes them down: what [`Prepared::convert`] would use.
    ///
    /// # Errors
    /// As [`Prepared::convert`].
    pub fn recipe(&self) -> Result<Recipe> {
        let _float_control = FloatControl::set_default();
        let assignment = &self.placed()?.assignment;
        let weights = lower_to_int8::quantize_all_weights(self.graph.graph(), assignment)?;
        self.recipe_of(&self.qconfig, assignment, (&self.solve_all()?, &self.solve_channels()?), &weights)
    }

    /// Writes down the qparams of each tied set and each tensor that has them channel by channel, and the scales of the weights that `assignment` has in int8.
    ///
    /// # Errors
    /// `NotCalibrated` if the input shapes are open still; `NotFinite` for weights.
    pub(super) fn recipe_of(
        &self,
        qconfig: &QConfig,
        assignment: &Assignment,
        (solved, by_channel): (&[Solved], &[ChannelQParams]),
        weights: &[Option<QuantizedWeights>],
    ) -> Result<Recipe> {
        let graph = self.graph.graph();
        let mut layers = layers_of(graph)?;
        for (layer, index) in layers.iter_mut().zip(weighted_nodes(graph)) {
            let per_channel = assignment.settings[index].weight.per_channel;
            let scales = |scales: &[f32]| if per_channel { scales.to_vec() } else { scales[..scales.len().min(1)].to_vec() };
            let int8 = !matches!(assignment.nodes[index], NodePrecision::Float(_));
            layer.weight_scales = weights[index].as_ref().filter(|_| int8).map(|weights| scales(&weights.scales));
        }
        let mut activations = Vec::new();
        for (index, (set, solved)) in assignment.tied.iter().zip(solved).enumerate() {
            activations.push(ActivationRecipe {
                tensors: tensors_of_set(graph, &assignment.set_of, index),
                dtype: set.activation.qtype,
                scale: Some(solved.qparams.scale),
                zero_point: Some(solved.qparams.native_zero_point(set.activation.qtype)),
                range: Some([solved.low, solved.high]),
                solver: Some(solved.solver),
                predicted_sqnr_db: solved.predicted_sqnr_db.filter(|sqnr| sqnr.is_finite()),
                origin: None,
            });
        }
        let of_channels = |(tensor, solved): (&ChannelTensor, &ChannelQParams)| {
            let dtype = tensor.activation.qtype;
            let native = |(&scale, &zero_point): (&f32, &i32)| QParams { scale, zero_point }.native_zero_point(dtype);
            let zero_points = solved.scales.iter().zip(&solved.zero_points).map(native).collect();
            ChannelRecipe { tensor: graph.value(tensor.value).name.clone(), dtype, scales: solved.scales.clone(), zero_points }
        };
        let channel_activations = assignment.by_channel.iter().zip(by_channel).map(of_channels).collect();
        let provenance = provenance(CALIBRATION, Some(self.samples()), &layers);
        let input_shapes = self.placed()?.dims.clone();
        Ok(Recipe { provenance, input_shapes, qconfig: qconfig.clone(), layers, activations, channel_activations, import: None })
    }
}

impl Model {
    /// Converts with a recipe instead of calibration data. From the recipe that [`Prepared::recipe`] made, the model has the
    /// bytes that [`Prepared::convert`] gives.
    ///
    /// # Errors
    /// `Mismatch` naming the first difference between recipe and graph; `InvalidArgument` with the path in the JSON for
    /// contradictions; as [`Prepared::convert`].
    pub fn from_recipe(context: &Context, graph: &FloatGraph, recipe: &Recipe) -> Result<Self> {
        let model = context.memory().within(|| Self::from_recipe_within(context, graph, recipe))?;
        model.log_float_layers();
        Ok(model)
    }

    fn from_recipe_within(context: &Context, graph: &FloatGraph, recipe: &Recipe) -> Result<Self> {
        let _float_control = FloatControl::set_default();
        recipe.check()?;
        match_graph::compare_layers(graph.graph(), recipe)?;
        let dims = match_graph::input_shapes(graph, recipe)?;
        let prepared = Prepared::new(context, graph, &recipe.qconfig, dims)?;
        let assignment = &prepared.placed()?.assignment;
        let tied = match_graph::activation_types(graph.graph(), assignment, recipe)?;
        let types = SolvedTypes { tied, by_channel: match_graph::channel_qparams(graph.graph(), assignment, recipe)? };
        let weights = match_graph::weights(graph.graph(), assignment, recipe)?;
        prepared.lower(&types, &weights)
    }
}

/// Reads a recipe file.
///
/// # Errors
/// `Io`; as [`Recipe::from_json`], with the file's name.
pub fn load_recipe(path: &Path) -> Result<Recipe> {
    let text = std::fs::read_to_string(path).map_err(|error| Error::io(path, &error))?;
    Recipe::from_json(&text).map_err(|error| match error {
        Error::Parse(text) => Error::Parse(format!("{}: {text}", path.display())),
        Error::Version(text) => Error::Version(format!("{}: {text}", path.display())),
        Error::InvalidArgument(text) => Error::InvalidArgument(format!("{}: {text}", path.display())),
        other => other,
    })
}

/// Writes a recipe file, atomically.
///
/// # Errors
/// `Io`.
pub fn save_recipe(recipe: &Recipe, path: &Path) -> Result<()> {
    let text = recipe.to_json()?;
    replace_file(path, |file| file.write_all(text.as_bytes()).map_err(|error| Error::io(path, &error)))
}

/// Indices of the nodes with weights.
fn weighted_nodes(graph: &Graph) -> impl Iterator<Item = usize> {
    (0..graph.nodes.len()).filter(|&index| WeightLayout::of(&graph.nodes[index].op).is_some())
}

/// The layers with weights, without scales.
fn layers_of(graph: &Graph) -> Result<Vec<LayerRecipe>> {
    let layer = |index: usize| {
        let node = &graph.nodes[index];
        let mut hash = crc32fast::Hasher::new();
        if let Some((layout, weights)) = WeightLayout::of(&node.op)
            && let Some(float) = float_weights(graph, layout, weights)?
        {
            [&float.weight, &float.bias].into_iter().flatten().for_each(|value| hash.update(&value.to_le_bytes()));
        }
        let (operator, weights_crc32) = (node.op.name().to_owned(), Some(format!("{:08x}", hash.finalize())));
        Ok(LayerRecipe { node: node.name.clone(), operator, weights_crc32, weight_scales: None })
    };
    weighted_nodes(graph).map(layer).collect()
}

fn provenance(source: &str, samples: Option<u64>, layers: &[LayerRecipe]) -> Provenance {
    let mut hash = crc32fast::Hasher::new();
    for layer in layers {
        for text in [&layer.node, &layer.operator, layer.weights_crc32.as_ref().unwrap_or(&String::new())] {
            hash.update(text.as_bytes());
            hash.update(&[0]);
        }
    }
    Provenance {
        library: env!("CARGO_PKG_VERSION").to_owned(),
        source: source.to_owned(),
        samples,
        model_crc32: Some(format!("{:08x}", hash.finalize())),
    }
}

/// Names of the tensors that share a set's qparams, in the graph's order.
fn tensors_of_set(graph: &Graph, set_of: &[Option<usize>], set: usize) -> Vec<String> {
    let members = graph.values.iter().zip(set_of).filter(|(_, of)| **of == Some(set));
    members.map(|(value, _)| value.name.clone()).collect()
}
