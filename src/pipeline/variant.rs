//! Models of one calibrated graph that leave some of its int8 layers in float: nothing is calibrated or solved again.
//!
//! A layer that is int8 in such a variant reads bytes with the qparams that it has where all layers are int8. With fewer int8
//! layers fewer tensors are bytes, never others, so those qparams are always there.
use super::model::{LayerPrecision, Model};
use super::prepared::{Prepared, types_of};
use crate::error::{Error, Result};
use crate::graph::passes::assign_precision::{Assignment, NodePrecision, assign};
use crate::graph::passes::lower_to_int8::{self, ChannelQParams};
use crate::graph::shape_inference::infer_shapes;
use crate::graph::{Graph, Node};
use crate::isa::FloatControl;
use crate::quantize::{QConfig, QuantizedWeights, Recipe, Solved};

/// What the variants of a calibrated graph share.
pub(super) struct Variants<'a> {
    prepared: &'a Prepared,
    /// For the input shapes that were calibrated.
    shapes: Vec<Option<Vec<usize>>>,
    /// Of each node that is int8 where all are.
    weights: Vec<Option<QuantizedWeights>>,
    /// Of each tied set where all are int8.
    solved: Vec<Solved>,
    /// Of each tensor with qparams of each channel where all are int8.
    by_channel: Vec<ChannelQParams>,
}

/// What becomes of the nodes of a variant, and the qparams of its tied sets.
struct Assigned {
    qconfig: QConfig,
    assignment: Assignment,
    solved: Vec<Solved>,
    by_channel: Vec<ChannelQParams>,
}

/// Which nodes a variant leaves in float, by node.
pub(super) type FloatMask = [bool];

impl<'a> Variants<'a> {
    /// Solves all qparams and quantizes all weights.
    ///
    /// # Errors
    /// As [`Prepared::convert`].
    pub fn new(prepared: &'a Prepared) -> Result<Self> {
        let _float_control = FloatControl::set_default();
        let graph = prepared.graph().graph();
        let placement = prepared.placed()?;
        Ok(Self {
            prepared,
            shapes: infer_shapes(graph, &placement.dims)?,
            weights: lower_to_int8::quantize_all_weights(graph, &placement.assignment)?,
            solved: prepared.solve_all()?,
            by_channel: prepared.solve_channels()?,
        })
    }

    /// The layers that are int8 where all are: nodes with weights.
    pub fn layers(&self) -> Vec<usize> {
        (0..self.weights.len()).filter(|&node| self.weights[node].is_some()).collect()
    }

    /// Every node but `node` in float.
    pub fn alone(&self, node: usize) -> Vec<bool> {
        (0..self.weights.len()).map(|other| other != node).collect()
    }

    /// The prepared graph's qconfig with the nodes of `mask` in float.
    ///
    /// # Errors
    /// `Unsupported` where a node's name holds a `*` or `?` by which a scope means others too.
    fn qconfig(&self, mask: &FloatMask) -> Result<QConfig> {
        let mut qconfig = self.prepared.qconfig().clone();
        let nodes = &self.prepared.graph().graph().nodes;
        let left: Vec<&Node> = nodes.iter().zip(mask).filter(|(_, float)| **float).map(|(node, _)| node).collect();
        left.iter().try_for_each(|node| qconfig.skip(&format!("name:{}", node.name)))?;
        if left.iter().any(|node| node.name.contains(['*', '?'])) {
            for (node, float) in nodes.iter().zip(mask) {
                let mine = self.prepared.qconfig().resolve(node.op.name(), &node.name)?.mode;
                if !float && qconfig.resolve(node.op.name(), &node.name)?.mode != mine {
                    return Err(Error::Unsupported(format!("no scope names a node beside {}, whose name a pattern matches", node.name)));
                }
            }
        }
        Ok(qconfig)
    }

    /// The model with the nodes of `mask` in float. `reason` says why; `None` keeps what the qconfig's rules say.
    ///
    /// # Errors
    /// As [`Prepared::convert`] and [`Variants::qconfig`].
    pub fn model(&self, mask: &FloatMask, reason: &dyn Fn(usize) -> Option<String>) -> Result<Model> {
        let _float_control = FloatControl::set_default();
        let graph = self.prepared.graph().graph();
        let Assigned { assignment, solved, by_channel, .. } = self.assign(graph, mask)?;
        let types = types_of(&assignment, &solved, by_channel);
        let (lowered, mut layers) = self.prepared.lower_as(&assignment, &types, &self.weights)?;
        for (node, layer) in layers.iter_mut().enumerate() {
            if let (LayerPrecision::Float, true, Some(reason)) = (layer.precision, mask[node], reason(node)) {
                layer.reason = reason;
            }
        }
        Model::from_lowered(self.prepared.context().clone(), lowered, layers)
    }

    /// What the model with the nodes of `mask` in float is made of, to write down.
    ///
    /// # Errors
    /// As [`Variants::model`].
    pub fn recipe(&self, mask: &FloatMask) -> Result<Recipe> {
        let _float_control = FloatControl::set_default();
        let Assigned { qconfig, assignment, solved, by_channel } = self.assign(self.prepared.graph().graph(), mask)?;
        self.prepared.recipe_of(&qconfig, &assignment, (&solved, &by_channel), &self.weights)
    }

    fn assign(&self, graph: &Graph, mask: &FloatMask) -> Result<Assigned> {
        let qconfig = self.qconfig(mask)?;
        let all = &self.prepared.placed()?.assignment;
        let all_by_channel = &all.by_channel;
        let mut assignment = assign(graph, &qconfig, &self.shapes)?;
        let mut origins = vec![None; assignment.tied.len()];
        for (mine, theirs) in assignment.set_of.iter().zip(&all.set_of) {
            if let Some(set) = *mine {
                origins[set] = origins[set].or(*theirs);
            }
        }
        let mut solved = Vec::new();
        for (set, origin) in assignment.tied.iter_mut().zip(origins) {
            let name = || set.observed.first().map_or("?", |&value| graph.value(value).name.as_str());
            let origin: usize = origin.ok_or_else(|| Error::Graph(format!("tensor {} has no qparams", name())))?;
            set.activation = all.tied[origin].activation;
            solved.push(self.solved[origin]);
        }
        let mut by_channel = Vec::new();
        for tensor in &assignment.by_channel {
            let origin = all_by_channel.iter().position(|other| other.value == tensor.value);
            let origin = origin.ok_or_else(|| Error::Graph(format!("tensor {} has no qparams", graph.value(tensor.value).name)))?;
            by_channel.push(self.by_channel[origin].clone());
        }
        Ok(Assigned { qconfig, assignment, solved, by_channel })
    }

    /// The prepared graph.
    pub fn prepared(&self) -> &Prepared {
        self.prepared
    }

    /// How a layer runs where all that can are int8.
    pub fn precision(&self, node: usize) -> Result<LayerPrecision> {
        Ok(match self.prepared.placed()?.assignment.nodes[node] {
            NodePrecision::Static => LayerPrecision::Int8Static,
            NodePrecision::Dynamic => LayerPrecision::Int8Dynamic,
            NodePrecision::Float(_) => LayerPrecision::Float,
        })
    }
}
