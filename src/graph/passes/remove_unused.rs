//! Removes nodes, values and constants that no output needs, and numbers the rest anew. Inputs stay.
use super::super::ir::{ConstantId, Graph, ValueId};
use super::retain_nodes;

/// Runs the pass.
pub fn run(graph: &mut Graph) {
    let mut needed = vec![false; graph.values.len()];
    for id in graph.outputs.iter().chain(&graph.inputs) {
        needed[id.index()] = true;
    }
    // Nodes stand in execution order, so backwards every reader comes before what it reads.
    let mut removed = vec![false; graph.nodes.len()];
    for (index, node) in graph.nodes.iter().enumerate().rev() {
        if needed[node.output.index()] {
            for input in &node.inputs {
                needed[input.index()] = true;
            }
        } else {
            removed[index] = true;
        }
    }
    retain_nodes(graph, &removed);

    let renumbered = new_numbers(&needed);
    let renumber = |id: &mut ValueId| id.0 = renumbered[id.index()];
    for node in &mut graph.nodes {
        node.inputs.iter_mut().chain([&mut node.output]).for_each(renumber);
    }
    graph.inputs.iter_mut().chain(&mut graph.outputs).for_each(renumber);
    let mut flags = needed.iter();
    graph.values.retain(|_| flags.next() == Some(&true));

    compact_constants(graph);
}

fn compact_constants(graph: &mut Graph) {
    let mut needed = vec![false; graph.constants.len()];
    let for_each_constant = |graph: &mut Graph, visit: &mut dyn FnMut(&mut ConstantId)| {
        graph.values.iter_mut().filter_map(|value| value.constant.as_mut()).for_each(&mut *visit);
        graph.nodes.iter_mut().flat_map(|node| node.op.constants_mut()).for_each(visit);
    };
    for_each_constant(graph, &mut |id| needed[id.index()] = true);
    let renumbered = new_numbers(&needed);
    for_each_constant(graph, &mut |id| id.0 = renumbered[id.index()]);
    let mut flags = needed.iter();
    graph.constants.retain(|_| flags.next() == Some(&true));
}

/// For each entry its index among those kept.
fn new_numbers(kept: &[bool]) -> Vec<u32> {
    let mut next = 0;
    kept.iter()
        .map(|&kept| {
            let number = next;
            next += u32::from(kept);
            number
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{GraphBuilder, Op, validate};

    #[test]
    fn what_no_output_needs_is_gone_and_the_rest_still_fits() {
        let mut builder = GraphBuilder::new();
        let unread = builder.input("unread", &[None]).unwrap();
        let dead_constant = builder.constant("dead_constant", &[1.0], &[1]).unwrap();
        let x = builder.input("x", &[None, Some(2)]).unwrap();
        let dead = builder.add("dead", x, dead_constant).unwrap();
        builder.relu("dead_too", dead).unwrap();
        builder.linear("dead_layer", x, &[3.0; 2], None, 1, 2).unwrap();
        let live = builder.linear("live", x, &[7.0; 4], Some(&[9.0; 2]), 2, 2).unwrap();
        let offset = builder.constant("offset", &[5.0], &[1]).unwrap();
        let sum = builder.add("sum", live, offset).unwrap();
        let mut graph = builder.finish(&[sum]).unwrap();
        run(&mut graph);
        validate(&graph).unwrap();
        let values: Vec<_> = graph.values.iter().map(|value| value.name.as_str()).collect();
        assert_eq!(values, ["unread", "x", "live", "offset", "sum"]);
        let nodes: Vec<_> = graph.nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(nodes, ["live", "sum"]);
        assert_eq!(graph.inputs, [unread, ValueId(1)]);
        assert_eq!(graph.value(graph.outputs[0]).name, "sum");
        let first_elements: Vec<_> = graph.constants.iter().map(|constant| constant.as_f32().unwrap()[0]).collect();
        assert_eq!(first_elements, [7.0, 9.0, 5.0]);
        assert_eq!(graph.value_constant(ValueId(3)).unwrap().as_f32().unwrap(), [5.0]);
        let Op::Linear(layer) = &graph.nodes[0].op else { panic!("the first node is the linear layer") };
        let mut weights = layer.weights.clone();
        assert_eq!(weights.constants_mut().into_iter().map(|id| id.0).collect::<Vec<_>>(), [0, 1]);
    }
}
