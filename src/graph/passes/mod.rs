//! Passes over graphs. Each rewrites a graph in place and leaves it in execution order.
pub mod assign_precision;
pub mod by_channel;
mod constant_edits;
pub mod fold_batch_norm;
pub mod fold_bias;
pub mod fold_identity;
pub mod fuse_activation;
pub mod fuse_add;
pub mod lower_to_int8;
pub mod narrow_recurrent;
pub mod pack_float;
pub mod quantize_weights;
pub mod remove_unused;
mod unused_settings;

use super::ir::Graph;
use crate::error::Result;
use crate::memory;

/// A network needs two or three rounds; a hostile one does not get more than this.
const MAX_ROUNDS: usize = 8;

/// Folds and fuses a float graph until nothing is left to do (or for 8 rounds); what it computes stays the same up to float rounding.
///
/// # Errors
/// [`crate::error::Error::OutOfMemory`], [`crate::error::Error::NotFinite`] if folded weights overflow.
pub fn optimize(graph: &mut Graph) -> Result<()> {
    remove_unused::run(graph);
    narrow_recurrent::run(graph);
    for _ in 0..MAX_ROUNDS {
        let nodes = graph.nodes.len();
        fold_identity::run(graph);
        memory::checkpoint()?;
        fold_batch_norm::run(graph)?;
        memory::checkpoint()?;
        fold_bias::run(graph)?;
        memory::checkpoint()?;
        fuse_add::run(graph)?;
        fuse_activation::run(graph);
        memory::checkpoint()?;
        if graph.nodes.len() == nodes {
            break;
        }
    }
    remove_unused::run(graph);
    memory::checkpoint()
}

/// Keeps the nodes whose flag in `removed` is false.
fn retain_nodes(graph: &mut Graph, removed: &[bool]) {
    let mut flags = removed.iter();
    graph.nodes.retain(|_| !flags.next().copied().unwrap_or(false));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{BatchNorm, Bounds, Conv2dAttributes, GraphBuilder, Op, validate};

    #[test]
    fn a_residual_block_becomes_its_convolutions() {
        let mut builder = GraphBuilder::new();
        let x = builder.input("x", &[None, Some(2), None, None]).unwrap();
        let norm = BatchNorm { gamma: &[1.0, 2.0], beta: &[0.0; 2], mean: &[0.5; 2], variance: &[1.0; 2], epsilon: 0.0 };
        let conv_norm = |builder: &mut GraphBuilder, name: &str, x| {
            let y = builder.conv2d(name, x, &[0.5; 4], None, Conv2dAttributes::new(2, 2, [1, 1])).unwrap();
            builder.batch_norm("", y, &norm).unwrap()
        };
        let first = conv_norm(&mut builder, "first", x);
        let first = builder.relu("", first).unwrap();
        let main = conv_norm(&mut builder, "main", first);
        let side = conv_norm(&mut builder, "side", x);
        let sum = builder.add("sum", main, side).unwrap();
        let sum = builder.relu("relu", sum).unwrap();
        let same = builder.node("same", Op::Identity, &[sum]).unwrap();
        let mut graph = builder.finish(&[same]).unwrap();
        optimize(&mut graph).unwrap();
        validate(&graph).unwrap();
        let names: Vec<_> = graph.nodes.iter().map(|node| (node.name.as_str(), node.inputs.len())).collect();
        assert_eq!(names, [("first", 1), ("main", 1), ("side", 2)]);
        for (node, bounds) in graph.nodes.iter().zip([Bounds::RELU, Bounds::NONE, Bounds::RELU]) {
            assert!(matches!(&node.op, Op::Conv2d(conv) if conv.bounds == bounds));
        }
        assert_eq!((graph.values.len(), graph.constants.len()), (4, 6));
        assert_eq!(graph.value(graph.outputs[0]).name, "same");
    }
}
