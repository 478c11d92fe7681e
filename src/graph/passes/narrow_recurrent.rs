//! A recurrent layer of which one part is read (every step's state, the last hidden state or the last cell state) makes
//! that part alone; the slices that took it out become identities.
use super::super::ir::Graph;
use super::super::ops::Op;
use super::super::recurrent::{Recurrent, RecurrentCell, RecurrentOutput};

/// Runs the pass.
pub fn run(graph: &mut Graph) {
    for index in 0..graph.nodes.len() {
        let Op::Recurrent(layer) = &graph.nodes[index].op else { continue };
        let output = graph.nodes[index].output;
        if layer.output != RecurrentOutput::All || graph.outputs.contains(&output) {
            continue;
        }
        let readers: Vec<usize> = (index + 1..graph.nodes.len()).filter(|&node| graph.nodes[node].inputs.contains(&output)).collect();
        let mut parts = readers.iter().map(|&reader| part_of(layer, &graph.nodes[reader].op));
        let Some(Some(part)) = parts.next() else { continue };
        if parts.any(|other| other != Some(part)) {
            continue;
        }
        if let Op::Recurrent(layer) = &mut graph.nodes[index].op {
            layer.output = part;
        }
        readers.into_iter().for_each(|reader| graph.nodes[reader].op = Op::Identity);
    }
}

/// The part that a reader of everything takes out.
fn part_of(layer: &Recurrent, reader: &Op) -> Option<RecurrentOutput> {
    let Op::Slice(slice) = reader else { return None };
    let cell = (layer.cell == RecurrentCell::Lstm).then_some(RecurrentOutput::Cell);
    [RecurrentOutput::Sequence, RecurrentOutput::Hidden].into_iter().chain(cell).find(|&part| layer.part(part) == *slice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::passes::{fold_identity, remove_unused};
    use crate::graph::{ConvWeights, Direction, DirectionWeights, GraphBuilder, validate};

    /// A GRU that makes everything, and slices of the given parts as outputs.
    fn graph(parts: &[RecurrentOutput]) -> Graph {
        let mut builder = GraphBuilder::new();
        let x = builder.input("x", &[None, None, Some(2)]).unwrap();
        let matrix = |builder: &mut GraphBuilder, dims: [usize; 2]| ConvWeights::Float {
            weight: builder.constant_tensor("w", &vec![0.5; dims[0] * dims[1]], &[dims[0], dims[1], 1, 1]).unwrap(),
            bias: None,
        };
        let weights = DirectionWeights { input: matrix(&mut builder, [9, 2]), recurrent: matrix(&mut builder, [9, 3]), candidate: None };
        let layer = Recurrent {
            cell: RecurrentCell::Gru { linear_before_reset: true },
            direction: Direction::Forward,
            input_size: 2,
            hidden_size: 3,
            weights: vec![weights],
            batch_first: false,
            has_lengths: false,
            has_initial_hidden: false,
            has_initial_cell: false,
            output: RecurrentOutput::All,
            activation: None,
        };
        let slices: Vec<Op> = parts.iter().map(|&part| Op::Slice(layer.part(part))).collect();
        let all = builder.node("gru", Op::Recurrent(Box::new(layer)), &[x]).unwrap();
        let outputs: Vec<_> = slices.into_iter().map(|slice| builder.node("", slice, &[all]).unwrap()).collect();
        builder.finish(&outputs).unwrap()
    }

    fn narrowed(parts: &[RecurrentOutput]) -> (Vec<RecurrentOutput>, usize) {
        let mut graph = graph(parts);
        run(&mut graph);
        fold_identity::run(&mut graph);
        remove_unused::run(&mut graph);
        validate(&graph).unwrap();
        let outputs = graph.nodes.iter().filter_map(|node| match &node.op {
            Op::Recurrent(layer) => Some(layer.output),
            _ => None,
        });
        (outputs.collect(), graph.nodes.len())
    }

    #[test]
    fn a_single_part_is_made_alone_and_several_together() {
        assert_eq!(narrowed(&[RecurrentOutput::Hidden]), (vec![RecurrentOutput::Hidden], 1));
        assert_eq!(narrowed(&[RecurrentOutput::Sequence]), (vec![RecurrentOutput::Sequence], 1));
        assert_eq!(narrowed(&[RecurrentOutput::Sequence, RecurrentOutput::Hidden]), (vec![RecurrentOutput::All], 3));
    }
}
