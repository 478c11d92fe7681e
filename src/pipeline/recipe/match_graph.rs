//! A recipe against a graph: the first difference is an error, and what fits becomes types and weights.
use super::{layers_of, weighted_nodes};
use crate::error::{Error, Result};
use crate::graph::passes::assign_precision::{Assignment, NodePrecision};
use crate::graph::passes::by_channel::ChannelTensor;
use crate::graph::passes::lower_to_int8::{ChannelQParams, quantize_weights_of};
use crate::graph::{Graph, QuantizedType};
use crate::memory;
use crate::pipeline::FloatGraph;
use crate::pipeline::session::check_declared;
use crate::quantize::recipe::{ChannelRecipe, LayerRecipe};
use crate::quantize::{QuantizedWeights, Recipe};
use crate::threads::parallel_map;
use std::collections::HashMap;

fn mismatch(path: &str, what: &str) -> Error {
    Error::Mismatch(format!("recipe: {path}: {what}"))
}

/// Whether the recipe's layers are those of the graph, with their weights. A recipe without layers is not compared.
pub(super) fn compare_layers(graph: &Graph, recipe: &Recipe) -> Result<()> {
    if recipe.layers.is_empty() {
        return Ok(());
    }
    let model = layers_of(graph)?;
    let describe = |layer: &LayerRecipe| format!("{:?} ({})", layer.node, layer.operator);
    for (index, (mine, model)) in recipe.layers.iter().zip(&model).enumerate() {
        if (&mine.node, &mine.operator) != (&model.node, &model.operator) {
            return Err(mismatch(&format!("layers[{index}]"), &format!("{}; in the model it is {}", describe(mine), describe(model))));
        }
        if mine.weights_crc32.is_some() && mine.weights_crc32 != model.weights_crc32 {
            let [mine, of_model] = [mine, model].map(|layer| layer.weights_crc32.as_deref().unwrap_or("none"));
            let what = format!("{mine}; the model's weights of {:?} have {of_model}", model.node);
            return Err(mismatch(&format!("layers[{index}].weights_crc32"), &what));
        }
    }
    match recipe.layers.len().cmp(&model.len()) {
        std::cmp::Ordering::Less => {
            Err(mismatch("layers", &format!("the model's layer {} is not there", describe(&model[recipe.layers.len()]))))
        }
        std::cmp::Ordering::Greater => {
            let extra = &recipe.layers[model.len()];
            Err(mismatch(&format!("layers[{}]", model.len()), &format!("{}; the model has {} layers", describe(extra), model.len())))
        }
        std::cmp::Ordering::Equal => Ok(()),
    }
}

/// The recipe's input shapes, if it has some.
pub(super) fn input_shapes(graph: &FloatGraph, recipe: &Recipe) -> Result<Option<Vec<Vec<usize>>>> {
    if recipe.input_shapes.is_empty() {
        return Ok(None);
    }
    check_declared(graph.graph(), &recipe.input_shapes).map_err(|error| mismatch("input_shapes", &error.to_string()))?;
    Ok(Some(recipe.input_shapes.clone()))
}

/// The type of each tied set.
pub(super) fn activation_types(graph: &Graph, assignment: &Assignment, recipe: &Recipe) -> Result<Vec<QuantizedType>> {
    let value_of: HashMap<&str, usize> = graph.values.iter().enumerate().map(|(index, value)| (value.name.as_str(), index)).collect();
    let mut entry_of: Vec<Option<usize>> = vec![None; assignment.tied.len()];
    let mut types: Vec<Option<QuantizedType>> = vec![None; assignment.tied.len()];
    for (index, activation) in recipe.activations.iter().enumerate() {
        let mut shared = None;
        for (at, name) in activation.tensors.iter().enumerate() {
            let path = format!("activations[{index}].tensors[{at}]");
            let value = value_of.get(name.as_str()).ok_or_else(|| mismatch(&path, &format!("the model has no tensor {name:?}")))?;
            let set = assignment.set_of[*value].ok_or_else(|| mismatch(&path, &format!("{name:?} is not quantized in this model")))?;
            if *shared.get_or_insert(set) != set {
                return Err(mismatch(&path, &format!("{name:?} does not share its qparams with {:?}", activation.tensors[0])));
            }
            if let Some(other) = entry_of[set].replace(index).filter(|&other| other != index) {
                return Err(mismatch(&path, &format!("{name:?} shares its qparams with activations[{other}]")));
            }
        }
        if let Some(set) = shared {
            let target = assignment.tied[set].activation.target();
            types[set] = Some(QuantizedType::new(activation.qparams(target, &format!("activations[{index}]"))?, target));
        }
    }
    let missing = |set: usize| {
        let name = assignment.tied[set].observed.first().map_or("?", |&value| graph.value(value).name.as_str());
        mismatch("activations", &format!("the model's tensor {name:?} is not there"))
    };
    types.into_iter().enumerate().map(|(set, ty)| ty.ok_or_else(|| missing(set))).collect()
}

/// The qparams of each tensor that has them channel by channel.
pub(super) fn channel_qparams(graph: &Graph, assignment: &Assignment, recipe: &Recipe) -> Result<Vec<ChannelQParams>> {
    let name = |tensor: &ChannelTensor| graph.value(tensor.value).name.as_str();
    let unknown = |entry: &&ChannelRecipe| !assignment.by_channel.iter().any(|tensor| name(tensor) == entry.tensor);
    if let Some(entry) = recipe.channel_activations.iter().find(unknown) {
        let what = format!("{:?} has no qparams of each channel in this model", entry.tensor);
        return Err(mismatch("channel_activations", &what));
    }
    let of_tensor = |tensor: &ChannelTensor| {
        let index = recipe.channel_activations.iter().position(|entry| entry.tensor == name(tensor));
        let missing = || mismatch("channel_activations", &format!("the model's tensor {:?} is not there", name(tensor)));
        let index = index.ok_or_else(missing)?;
        let path = format!("channel_activations[{index}]");
        let qparams = recipe.channel_activations[index].qparams(tensor.channels, tensor.activation.target(), &path)?;
        let (scales, zero_points) = qparams.into_iter().map(|qparams| (qparams.scale, qparams.zero_point)).unzip();
        Ok(ChannelQParams { scales, zero_points })
    };
    assignment.by_channel.iter().map(of_tensor).collect()
}

/// The integers of each node's weights: with the recipe's scales where it has some, else by the qconfig's rule.
pub(super) fn weights(graph: &Graph, assignment: &Assignment, recipe: &Recipe) -> Result<Vec<Option<QuantizedWeights>>> {
    let layer_of: HashMap<usize, usize> = weighted_nodes(graph).zip(0..recipe.layers.len()).collect();
    let weights = parallel_map(0..graph.nodes.len(), |index: usize| {
        let at = layer_of.get(&index).copied();
        let scales = at.and_then(|at| recipe.layers[at].weight_scales.as_deref());
        let path = || format!("layers[{}].weight_scales", at.unwrap_or_default());
        match (&assignment.nodes[index], scales) {
            (NodePrecision::Float(_), None) => Ok(None),
            (NodePrecision::Float(reason), Some(_)) => Err(mismatch(&path(), &format!("the layer is float: {reason}"))),
            (_, scales) => {
                quantize_weights_of(graph, &graph.nodes[index], &assignment.settings[index], scales).map_err(|error| match error {
                    Error::InvalidArgument(text) => Error::InvalidArgument(format!("recipe: {}: {text}", path())),
                    other => other,
                })
            }
        }
    });
    memory::checkpoint()?;
    weights.into_iter().collect()
}
