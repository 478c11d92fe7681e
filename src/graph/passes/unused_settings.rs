//! Refuses settings that would have no effect: what a scope sets must hold for at least one of its nodes.
use super::assign_precision::{Assignment, NodePrecision};
use super::pack_float::WeightLayout;
use crate::error::{Error, Result};
use crate::graph::{Graph, Op};
use crate::quantize::qconfig::Effects;
use crate::quantize::{Mode, QConfig};

/// What holds for a node of what may be set.
fn in_effect(graph: &Graph, assignment: &Assignment, index: usize) -> Effects {
    let node = &graph.nodes[index];
    let has_weights = has_weights(&node.op);
    let reads_as_set = |id: &crate::graph::ValueId| {
        assignment.set_of[id.index()]
            .is_some_and(|set| assignment.tied[set].activation == assignment.settings[index].activation.per_tensor())
    };
    match assignment.nodes[index] {
        NodePrecision::Static => {
            let activation = has_weights || node.inputs.iter().any(reads_as_set);
            Effects { weight: has_weights, activation, range: activation, channels: has_weights, grain: false }
        }
        NodePrecision::Dynamic => Effects { weight: true, activation: false, range: true, channels: false, grain: true },
        NodePrecision::Float(_) => Effects::default(),
    }
}

fn has_weights(op: &Op) -> bool {
    matches!(op, Op::Recurrent(_)) || WeightLayout::of(op).is_some()
}

/// Looks at each scope of the qconfig, and at its defaults. A scope whose nodes are all float by request is not looked at, nor is
/// `*` where no layer is int8.
///
/// # Errors
/// [`Error::InvalidArgument`] naming the scope and what it sets.
pub(super) fn refuse(graph: &Graph, qconfig: &QConfig, assignment: &Assignment) -> Result<()> {
    let effects: Vec<Effects> = (0..graph.nodes.len()).map(|index| in_effect(graph, assignment, index)).collect();
    for (scope, sets) in qconfig.settings_by_scope()? {
        let matching = (0..graph.nodes.len()).filter(|&index| scope.matches(graph.nodes[index].op.name(), &graph.nodes[index].name));
        let matching: Vec<usize> = matching.filter(|&index| assignment.settings[index].mode != Mode::Float).collect();
        let any_layer = matching.iter().any(|&index| effects[index].weight);
        if matching.is_empty() || (scope.is_all() && !any_layer) {
            continue;
        }
        let found = matching.iter().fold(Effects::default(), |found, &index| found.or(effects[index]));
        if let Some(field) = sets.without(found) {
            let reason = matching.iter().find_map(|&index| match &assignment.nodes[index] {
                NodePrecision::Float(reason) => Some(format!(" ({}: {reason})", graph.nodes[index].name)),
                _ => None,
            });
            return Err(Error::InvalidArgument(format!(
                "the qconfig's scope {:?} sets {field}, which holds for none of its nodes{}",
                scope.to_string(),
                reason.unwrap_or_default()
            )));
        }
    }
    Ok(())
}
