//! Whether axis 0 is a batch axis from the inputs to the outputs, so that samples can be computed one by one.
use super::ir::{Graph, Node, ValueId};
use super::ops::Op;
use super::shape_inference::{Shapes, axis_index, axis_set, infer_undeclared};
use crate::error::Result;
use crate::quantize::{DynamicQuantization, Grain};

/// Two batch sizes at which shapes are compared. Neither is 1, which would hide a hard-coded or broadcast axis.
const BATCHES: [usize; 2] = [2, 3];

/// Whether every computed value holds one slice along axis 0 for each sample, made from that sample alone.
///
/// `inputs` are shapes that the graph takes; what size their axis 0 has does not matter, but it must be one size. Shapes must
/// agree but for axis 0 at two batch sizes, and no operator may mix or move samples. Lowered graphs are judged the same way.
///
/// # Errors
/// [`Error::OutOfMemory`]. Shapes that the graph does not take are no error: such samples are not apart.
pub fn keeps_samples_apart(graph: &Graph, inputs: &[Vec<usize>]) -> Result<bool> {
    if inputs.iter().any(|shape| shape.is_empty() || shape[0] != inputs[0][0]) {
        return Ok(false);
    }
    let at_batch = |batch: usize| {
        let shapes: Vec<Vec<usize>> = inputs.iter().map(|shape| [&[batch], &shape[1..]].concat()).collect();
        match infer_undeclared(graph, &shapes) {
            Err(error) if error.is_out_of_memory() => Err(error),
            inferred => Ok(inferred.ok()),
        }
    };
    let (Some(first), Some(second)) = (at_batch(BATCHES[0])?, at_batch(BATCHES[1])?) else {
        return Ok(false);
    };
    Ok(graph.nodes.iter().all(|node| has_batch_axis(node.output, &first, &second) && mixes_no_samples(graph, node, &first)))
}

fn has_batch_axis(id: ValueId, first: &Shapes, second: &Shapes) -> bool {
    match (&first[id.index()], &second[id.index()]) {
        (Some(first), Some(second)) => {
            first.first() == Some(&BATCHES[0]) && second.first() == Some(&BATCHES[1]) && first[1..] == second[1..]
        }
        _ => false,
    }
}

fn mixes_no_samples(graph: &Graph, node: &Node, shapes: &Shapes) -> bool {
    let shape = |id: ValueId| shapes[id.index()].as_deref().unwrap_or(&[]);
    let rank = node.inputs.first().map_or(0, |&id| shape(id).len());
    let is_behind_batch = |axis: i64| axis_index(axis, rank).is_ok_and(|axis| axis > 0);
    match &node.op {
        // Broadcasting aligns last axes: a computed operand needs all axes, a constant none of its own on axis 0.
        Op::Binary(..) | Op::MatMul => {
            let output_rank = shape(node.output).len();
            let operands_fit = node.inputs.iter().all(|&id| {
                let dims = shape(id);
                let spans_batch = dims.len() == output_rank;
                match graph.value(id).constant {
                    Some(_) => !spans_batch || dims.first() == Some(&1) || is_right_matrix(node, id, output_rank),
                    None => spans_batch,
                }
            });
            let rows_are_samples = node.op == Op::MatMul && output_rank < 3;
            let right_is_constant = node.inputs.get(1).is_some_and(|&id| graph.value(id).constant.is_some());
            operands_fit && (!rows_are_samples || right_is_constant)
        }
        Op::Linear(_) => rank >= 2,
        Op::Slice(slice) => is_behind_batch(slice.axis),
        Op::Recurrent(recurrent) => {
            let whole = recurrent.activation.is_some_and(|activation| activation.grain == Grain::PerTensor);
            recurrent.batch_first && !whole && node.inputs.iter().all(|&id| graph.value(id).constant.is_none())
        }
        Op::DynamicQuantizeBy(DynamicQuantization { grain, .. }) => *grain != Grain::PerTensor,
        Op::ReduceMean { axes, .. } => !axes.is_empty() && axis_set(axes, rank).is_ok_and(|listed| !listed[0]),
        Op::Softmax { axis, .. } | Op::Concat { axis } => {
            is_behind_batch(*axis) && node.inputs.iter().all(|&id| graph.value(id).constant.is_none())
        }
        Op::Transpose(perm) => perm.first() == Some(&0),
        Op::Pad { before, after, .. } => before.first() == Some(&0) && after.first() == Some(&0),
        // These keep axis 0, or keep the row-major order, in which a sample is one run of elements while axis 0 has n of them.
        Op::Conv2d(_)
        | Op::ChannelAffine { .. }
        | Op::Unary(_)
        | Op::Lookup(_)
        | Op::MaxPool(_)
        | Op::AveragePool(_)
        | Op::GlobalAveragePool
        | Op::Reshape(_)
        | Op::Identity
        | Op::Quantize
        | Op::Dequantize
        | Op::DynamicQuantize => true,
    }
}

/// A constant `[k, n]` on the right of a 2-D product: its axis 0 is the inner axis.
fn is_right_matrix(node: &Node, id: ValueId, output_rank: usize) -> bool {
    node.op == Op::MatMul && output_rank == 2 && node.inputs.get(1) == Some(&id) && node.inputs.first() != Some(&id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::graph::{Binary, GraphBuilder, Unary};

    /// Whether a graph of one input `[n, 3, 4]` and the nodes that `build` adds keeps samples apart.
    fn judge(build: impl FnOnce(&mut GraphBuilder, ValueId) -> crate::error::Result<ValueId>) -> bool {
        let mut builder = GraphBuilder::new();
        let x = builder.input("x", &[None, Some(3), Some(4)]).unwrap();
        let y = build(&mut builder, x).unwrap();
        keeps_samples_apart(&builder.finish(&[y]).unwrap(), &[vec![1, 3, 4]]).unwrap()
    }

    #[test]
    fn operators_that_work_on_each_sample_keep_them_apart() {
        assert!(judge(|b, x| b.unary("u", x, Unary::Sigmoid)));
        assert!(judge(|b, x| b.softmax("s", x, -1)));
        assert!(judge(|b, x| b.concat("c", &[x, x], 1)));
        assert!(judge(|b, x| b.transpose("t", x, &[0, 2, 1])));
        assert!(judge(|b, x| b.reduce_mean("m", x, &[1], false)));
        assert!(judge(|b, x| b.flatten("f", x, 1)));
        assert!(judge(|b, x| b.reshape("r", x, &[0, 2, -1])));
        assert!(judge(|b, x| b.reshape("r", x, &[-1, 12])));
        assert!(judge(|b, x| b.pad("p", x, &[0, 1, 0], &[0, 0, 2], 0.5)));
        assert!(judge(|b, x| b.linear("l", x, &[1.0; 8], None, 2, 4)));
        assert!(judge(|b, x| {
            let turned = b.transpose("t", x, &[0, 2, 1])?;
            b.matmul("m", x, turned)
        }));
        assert!(judge(|b, x| {
            let offset = b.constant("offset", &[1.0; 12], &[1, 3, 4])?;
            b.binary("a", Binary::Add, offset, x)
        }));
        assert!(judge(|b, x| {
            let row = b.constant("row", &[1.0; 4], &[4])?;
            b.binary("a", Binary::Mul, x, row)
        }));
    }

    #[test]
    fn refused_memory_is_no_answer() {
        let mut builder = GraphBuilder::new();
        let x = builder.input("x", &[None, Some(3)]).unwrap();
        let y = builder.unary("u", x, Unary::Sigmoid).unwrap();
        let graph = builder.finish(&[y]).unwrap();
        crate::memory::note_refusal(100);
        let answer = keeps_samples_apart(&graph, &[vec![1, 3]]);
        assert!(matches!(answer, Err(Error::OutOfMemory { bytes: 100, .. })), "{answer:?}");
        assert!(keeps_samples_apart(&graph, &[vec![1, 3]]).unwrap());
        assert!(!keeps_samples_apart(&graph, &[vec![1, 3], vec![1]]).unwrap());
    }

    #[test]
    fn inputs_of_different_batches_do_not() {
        let mut builder = GraphBuilder::new();
        let x = builder.input("x", &[None, Some(3)]).unwrap();
        let y = builder.input("y", &[None, Some(3)]).unwrap();
        let sum = builder.binary("sum", Binary::Add, x, y).unwrap();
        let graph = builder.finish(&[sum]).unwrap();
        assert!(keeps_samples_apart(&graph, &[vec![2, 3], vec![2, 3]]).unwrap());
        assert!(!keeps_samples_apart(&graph, &[vec![2, 3], vec![1, 3]]).unwrap());
    }

    #[test]
    fn operators_that_mix_or_move_samples_do_not() {
        assert!(!judge(|b, x| b.softmax("s", x, 0)));
        assert!(!judge(|b, x| b.concat("c", &[x, x], 0)));
        assert!(!judge(|b, x| b.concat("c", &[x, x], -3)));
        assert!(!judge(|b, x| b.transpose("t", x, &[1, 0, 2])));
        assert!(!judge(|b, x| b.reduce_mean("m", x, &[0], true)));
        assert!(!judge(|b, x| b.reduce_mean("m", x, &[], true)));
        assert!(!judge(|b, x| b.flatten("f", x, 0)));
        assert!(!judge(|b, x| b.flatten("f", x, 2)));
        assert!(!judge(|b, x| b.reshape("r", x, &[1, -1])));
        assert!(!judge(|b, x| b.reshape("r", x, &[4, -1])));
        assert!(!judge(|b, x| b.pad("p", x, &[1, 0, 0], &[-1, 0, 0], 0.0)));
        assert!(!judge(|b, x| {
            let samples = b.constant("samples", &[1.0; 24], &[2, 3, 4])?;
            b.binary("a", Binary::Add, x, samples)
        }));
        assert!(!judge(|b, x| {
            let rows = b.reduce_mean("rows", x, &[1], false)?;
            let turned = b.transpose("t", rows, &[1, 0])?;
            b.matmul("m", rows, turned)
        }));
        assert!(!judge(|b, x| {
            let row = b.reduce_mean("row", x, &[0], false)?;
            b.binary("a", Binary::Sub, x, row)
        }));
    }
}
