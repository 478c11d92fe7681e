//! Which tensors are observed, for inputs of given shapes.
use crate::error::Result;
use crate::graph::passes::assign_precision::{Assignment, assign};
use crate::graph::shape_inference::infer_shapes;
use crate::graph::{Graph, Op, ValueId, keeps_samples_apart};
use crate::pipeline::session::check_declared;
use crate::quantize::QConfig;
use crate::quantize::observer::ObserverKind;
use std::collections::HashMap;

/// Precisions and observers for inputs of given shapes.
#[derive(Debug)]
pub(in crate::pipeline) struct Placement {
    /// Input shapes of one sample (axis 0 is 1), or of the whole batch where samples meet.
    pub(in crate::pipeline) dims: Vec<Vec<usize>>,
    pub(in crate::pipeline) assignment: Assignment,
    /// The observed values, each once for each kind of observer.
    pub(super) observers: Vec<ObserverPlace>,
    /// For each tied set the indices of its observers.
    pub(super) members: Vec<Vec<usize>>,
    /// For each tensor with qparams of each channel the index of its observer.
    pub(super) channel_members: Vec<usize>,
}

/// What is observed, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ObserverPlace {
    pub value: ValueId,
    pub kind: ObserverKind,
    /// Where channels are told apart: how many.
    pub channels: Option<usize>,
}

/// The value whose elements `value` has: reshapes and identities move nothing.
fn same_elements(graph: &Graph, producers: &[Option<usize>], mut value: ValueId) -> ValueId {
    while let Some(node) = producers[value.index()].map(|node| &graph.nodes[node]) {
        match node.op {
            Op::Reshape(_) | Op::Identity => value = node.inputs[0],
            _ => break,
        }
    }
    value
}

impl Placement {
    /// The shapes that placements are made for: the batch is left out where samples are computed one by one.
    ///
    /// # Errors
    /// `InvalidArgument`, `ShapeMismatch` for shapes that the graph does not declare.
    pub(super) fn dims_of_a_sample(graph: &Graph, dims: &[Vec<usize>]) -> Result<Vec<Vec<usize>>> {
        check_declared(graph, dims)?;
        let mut dims = dims.to_vec();
        if keeps_samples_apart(graph, &dims)? {
            dims.iter_mut().for_each(|dims| dims[0] = 1);
        }
        Ok(dims)
    }

    /// Decides precisions and observers; `dims` come from [`Placement::dims_of_a_sample`].
    ///
    /// # Errors
    /// `ShapeMismatch`; `Unsupported` under `strict`; `InvalidArgument` for settings that contradict each other.
    pub(super) fn new(graph: &Graph, qconfig: &QConfig, dims: Vec<Vec<usize>>) -> Result<Self> {
        let shapes = infer_shapes(graph, &dims)?;
        let assignment = assign(graph, qconfig, &shapes)?;
        let producers = graph.producers();
        let mut index_of: HashMap<ObserverPlace, usize> = HashMap::new();
        let mut observers = Vec::new();
        let mut observe = |place: ObserverPlace| {
            *index_of.entry(place).or_insert_with(|| {
                observers.push(place);
                observers.len() - 1
            })
        };
        let mut members = Vec::new();
        for set in &assignment.tied {
            let kind = set.activation.observer;
            let of_value =
                |&value: &ValueId| observe(ObserverPlace { value: same_elements(graph, &producers, value), kind, channels: None });
            members.push(set.observed.iter().map(of_value).collect::<Vec<_>>());
        }
        let of_channels = assignment.by_channel.iter().map(|tensor| {
            observe(ObserverPlace { value: tensor.value, kind: tensor.activation.observer, channels: Some(tensor.channels) })
        });
        let channel_members = of_channels.collect();
        Ok(Self { dims, assignment, observers, members, channel_members })
    }

    /// Whether the same tensors are observed and what follows from them is the same.
    pub(super) fn observes_alike(&self, other: &Placement) -> bool {
        self.observers == other.observers && self.members == other.members && self.assignment == other.assignment
    }
}
