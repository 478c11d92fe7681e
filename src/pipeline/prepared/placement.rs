//! Which tensors are observed, for inputs of given shapes.
use super::Prepared;
use crate::error::Result;
use crate::graph::passes::assign_precision::{Assignment, assign};
use crate::graph::shape_inference::infer_shapes;
use crate::graph::{Graph, Op, ValueId};
use crate::pipeline::session::check_declared;
use crate::quantize::observer::{ObserverKind, ObserverState};
use std::collections::HashMap;

/// A tensor that is observed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Observed {
    /// The value whose elements are seen: reshapes show their input.
    pub(super) value: ValueId,
    pub(super) state: ObserverState,
}

/// What depends on the input shapes: made when they are known.
#[derive(Debug)]
pub(in crate::pipeline) struct Placement {
    /// Input shapes of one sample (axis 0 is 1), or of the whole batch where samples meet.
    pub(in crate::pipeline) dims: Vec<Vec<usize>>,
    pub(in crate::pipeline) assignment: Assignment,
    /// For each tied set the indices of its observed tensors.
    pub(super) members: Vec<Vec<usize>>,
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

impl Prepared {
    /// Decides precisions and observers for inputs of the given shapes.
    pub(super) fn place(&mut self, dims: &[Vec<usize>]) -> Result<()> {
        let graph = self.graph.graph();
        check_declared(graph, dims)?;
        let shapes = infer_shapes(graph, dims)?;
        let assignment = assign(graph, &self.qconfig, &shapes)?;
        let producers = graph.producers();
        let mut index_of: HashMap<(ValueId, ObserverKind), usize> = HashMap::new();
        let mut observed: Vec<Observed> = Vec::new();
        let mut members = Vec::new();
        for set in &assignment.tied {
            let kind = set.activation.observer;
            let of_value = |&value: &ValueId| {
                let value = same_elements(graph, &producers, value);
                *index_of.entry((value, kind)).or_insert_with(|| {
                    observed.push(Observed { value, state: ObserverState::new(kind) });
                    observed.len() - 1
                })
            };
            members.push(set.observed.iter().map(of_value).collect::<Vec<_>>());
        }
        self.observed = observed;
        self.placement = Some(Placement { dims: dims.to_vec(), assignment, members });
        Ok(())
    }
}
