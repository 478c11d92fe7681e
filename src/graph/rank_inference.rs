//! The number of axes of every value, from the declared ranks of the inputs alone.
use super::ir::Graph;
use super::ops::{Op, Reshape};

/// The rank of what `op` computes from inputs of the given ranks; `None` where it depends on more than ranks.
pub fn operator_rank(op: &Op, inputs: &[Option<usize>]) -> Option<usize> {
    let first = inputs.first().copied().flatten();
    match op {
        Op::Conv2d(_) | Op::MaxPool(_) | Op::AveragePool(_) | Op::GlobalAveragePool => Some(4),
        Op::Recurrent(_) => Some(4),
        Op::MatMul | Op::Binary(..) => Some(first?.max((*inputs.get(1)?)?)),
        Op::ReduceMean { keepdims: true, .. } => first,
        Op::ReduceMean { axes, .. } if axes.is_empty() => Some(0),
        Op::ReduceMean { axes, .. } => first?.checked_sub(axes.len()),
        Op::Reshape(Reshape::Flatten(_)) => Some(2),
        Op::Reshape(Reshape::Dims(dims)) => Some(dims.len()),
        Op::Reshape(Reshape::Squeeze(axes)) if axes.is_empty() => None,
        Op::Reshape(Reshape::Squeeze(axes)) => first?.checked_sub(axes.len()),
        Op::Reshape(Reshape::Unsqueeze(axes)) => first?.checked_add(axes.len()),
        Op::Transpose(perm) => Some(perm.len()),
        Op::Pad { before, .. } => Some(before.len()),
        Op::Linear(_)
        | Op::ChannelAffine { .. }
        | Op::Unary(_)
        | Op::Lookup(_)
        | Op::Softmax { .. }
        | Op::Concat { .. }
        | Op::Slice(_)
        | Op::Identity
        | Op::Quantize
        | Op::Dequantize
        | Op::DynamicQuantize
        | Op::DynamicQuantizeBy(_) => first,
    }
}

/// The rank of every value, indexed like [`Graph::values`]; `None` where it is not known before shapes are.
pub fn infer_ranks(graph: &Graph) -> Vec<Option<usize>> {
    let mut ranks: Vec<Option<usize>> = graph.values.iter().map(|value| value.constant.map(|id| graph.constant(id).dims.len())).collect();
    for &id in &graph.inputs {
        ranks[id.index()] = Some(graph.value(id).declared.len());
    }
    let mut inputs = Vec::new();
    for node in &graph.nodes {
        inputs.clear();
        inputs.extend(node.inputs.iter().map(|id| ranks[id.index()]));
        ranks[node.output.index()] = operator_rank(&node.op, &inputs);
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::GraphBuilder;
    use crate::graph::shape_inference::infer_shapes;

    #[test]
    fn ranks_are_those_of_the_inferred_shapes() {
        let mut builder = GraphBuilder::new();
        let x = builder.input("x", &[None, Some(3), Some(4), Some(4)]).unwrap();
        let pooled = builder.global_average_pool("gap", x).unwrap();
        let flat = builder.flatten("flat", pooled, 1).unwrap();
        let tall = builder.unsqueeze("tall", flat, &[0, -1]).unwrap();
        let mean = builder.reduce_mean("mean", tall, &[0, 1], false).unwrap();
        let moved = builder.transpose("moved", mean, &[1, 0]).unwrap();
        let sum = builder.add("sum", x, moved).unwrap();
        let flattened = builder.reshape("flattened", sum, &[-1]).unwrap();
        let graph = builder.finish(&[flattened]).unwrap();
        let shapes = infer_shapes(&graph, &[vec![4, 3, 4, 4]]);
        // `sum` adds [3 -> 1, ..] to the image only where the shapes broadcast; here [1, 3] does not.
        assert!(shapes.is_err());
        let ranks = infer_ranks(&graph);
        let of = |id: crate::graph::ValueId| ranks[id.index()];
        assert_eq!(
            [of(pooled), of(flat), of(tall), of(mean), of(moved), of(sum), of(flattened)].map(Option::unwrap),
            [4, 2, 4, 2, 2, 4, 1]
        );
    }

    #[test]
    fn a_squeeze_of_all_ones_has_no_known_rank() {
        assert_eq!(operator_rank(&Op::Reshape(Reshape::Squeeze(vec![])), &[Some(4)]), None);
        assert_eq!(operator_rank(&Op::Reshape(Reshape::Squeeze(vec![2, 3])), &[Some(4)]), Some(2));
        assert_eq!(operator_rank(&Op::MatMul, &[Some(3), None]), None);
    }
}
