//! Fuses a clamp (Relu, Clip) into the convolution, linear layer or addition, subtraction, multiplication before it.
use super::super::ir::Graph;
use super::super::ops::{Bounds, Op, Unary};
use super::retain_nodes;

/// Runs the pass.
pub fn run(graph: &mut Graph) {
    let uses = graph.use_counts();
    let mut producers = graph.producers();
    let mut removed = vec![false; graph.nodes.len()];
    for (index, removed) in removed.iter_mut().enumerate() {
        let Op::Unary(Unary::Clamp(clamp)) = graph.nodes[index].op else {
            continue;
        };
        let (input, output) = (graph.nodes[index].inputs[0], graph.nodes[index].output);
        let (1, Some(producer)) = (uses[input.index()], producers[input.index()]) else {
            continue;
        };
        let node = &mut graph.nodes[producer];
        match &mut node.op {
            Op::Conv2d(super::super::Conv2d { bounds, .. }) | Op::Linear(super::super::Linear { bounds, .. }) | Op::Binary(_, bounds)
                if *bounds == Bounds::NONE =>
            {
                *bounds = clamp;
                node.output = output;
                producers[output.index()] = Some(producer);
                *removed = true;
            }
            _ => {}
        }
    }
    retain_nodes(graph, &removed);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Conv2dAttributes, GraphBuilder, validate};

    #[test]
    fn a_clamp_joins_the_only_producer_it_reads() {
        let mut builder = GraphBuilder::new();
        let x = builder.input("x", &[None, Some(1), None, None]).unwrap();
        let conv = builder.conv2d("conv", x, &[1.0], None, Conv2dAttributes::new(1, 1, [1, 1])).unwrap();
        let first = builder.relu("first", conv).unwrap();
        let second = builder.clip("second", first, -1.0, 6.0).unwrap();
        let sum = builder.add("sum", second, x).unwrap();
        let clipped = builder.clip("clipped", sum, 0.0, 6.0).unwrap();
        let shared = builder.conv2d("shared", clipped, &[1.0], None, Conv2dAttributes::new(1, 1, [1, 1])).unwrap();
        let kept = builder.relu("kept", shared).unwrap();
        let last = builder.add("last", kept, shared).unwrap();
        let mut graph = builder.finish(&[last]).unwrap();
        run(&mut graph);
        validate(&graph).unwrap();
        let names: Vec<_> = graph.nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["conv", "second", "sum", "shared", "kept", "last"]);
        assert!(matches!(&graph.nodes[0].op, Op::Conv2d(conv) if conv.bounds == Bounds::RELU));
        assert!(matches!(&graph.nodes[2].op, Op::Binary(_, bounds) if *bounds == Bounds { low: 0.0, high: 6.0 }));
        assert!(matches!(&graph.nodes[3].op, Op::Conv2d(conv) if conv.bounds == Bounds::NONE));
    }

    #[test]
    fn a_clamp_stays_where_the_graph_returns_what_it_reads() {
        let mut builder = GraphBuilder::new();
        let x = builder.input("x", &[None, Some(2)]).unwrap();
        let sum = builder.add("sum", x, x).unwrap();
        let relu = builder.relu("relu", sum).unwrap();
        let mut graph = builder.finish(&[sum, relu]).unwrap();
        run(&mut graph);
        assert_eq!(graph.nodes.len(), 2);
    }
}
