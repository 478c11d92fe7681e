//! Removes `Identity` nodes. A graph output keeps its name: the node that computed the identity's input then computes
//! the output. An identity stays only between a graph input or constant, or another output, and a graph output.
use super::super::ir::{Graph, ValueId};
use super::super::ops::Op;
use super::retain_nodes;

/// Runs the pass.
pub fn run(graph: &mut Graph) {
    let mut is_output = vec![false; graph.values.len()];
    for id in &graph.outputs {
        is_output[id.index()] = true;
    }
    // What each value is replaced by. An entry is final when it is written: sources stand before their readers.
    let mut replacement: Vec<ValueId> = (0..graph.values.len() as u32).map(ValueId).collect();
    let mut producers = graph.producers();
    let mut removed = vec![false; graph.nodes.len()];
    for (index, removed) in removed.iter_mut().enumerate() {
        for slot in 0..graph.nodes[index].inputs.len() {
            let input = graph.nodes[index].inputs[slot];
            graph.nodes[index].inputs[slot] = replacement[input.index()];
        }
        if graph.nodes[index].op != Op::Identity {
            continue;
        }
        let (source, output) = (graph.nodes[index].inputs[0], graph.nodes[index].output);
        if !is_output[output.index()] {
            replacement[output.index()] = source;
            *removed = true;
        } else if let (Some(producer), false) = (producers[source.index()], is_output[source.index()]) {
            graph.nodes[producer].output = output;
            producers[output.index()] = Some(producer);
            replacement[source.index()] = output;
            *removed = true;
        }
    }
    // Readers that stood between a producer and the identity behind it still name the old value.
    for node in &mut graph.nodes {
        for input in &mut node.inputs {
            *input = replacement[input.index()];
        }
    }
    retain_nodes(graph, &removed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{GraphBuilder, validate};

    #[test]
    fn identities_vanish_and_outputs_keep_their_names() {
        let mut builder = GraphBuilder::new();
        let x = builder.input("x", &[None, Some(2)]).unwrap();
        let a = builder.node("a", Op::Identity, &[x]).unwrap();
        let b = builder.node("b", Op::Identity, &[a]).unwrap();
        let relu = builder.relu("relu", b).unwrap();
        let other = builder.add("other", relu, x).unwrap();
        let c = builder.node("c", Op::Identity, &[relu]).unwrap();
        let out = builder.node("out", Op::Identity, &[c]).unwrap();
        let twin = builder.node("twin", Op::Identity, &[relu]).unwrap();
        let mut graph = builder.finish(&[out, other, twin]).unwrap();
        run(&mut graph);
        validate(&graph).unwrap();
        let names: Vec<_> = graph.nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["relu", "other", "twin"]);
        assert_eq!(graph.nodes[0].inputs, [x]);
        assert_eq!(graph.nodes[0].output, out);
        assert_eq!(graph.nodes[1].inputs, [out, x]);
        assert_eq!(graph.nodes[2].inputs, [out]);
    }

    #[test]
    fn an_identity_from_input_to_output_stays() {
        let mut builder = GraphBuilder::new();
        let x = builder.input("x", &[None, Some(2)]).unwrap();
        let y = builder.node("y", Op::Identity, &[x]).unwrap();
        let mut graph = builder.finish(&[y]).unwrap();
        run(&mut graph);
        assert_eq!(graph.nodes.len(), 1);
        validate(&graph).unwrap();
    }
}
