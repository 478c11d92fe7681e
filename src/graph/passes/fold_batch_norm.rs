//! Folds a per-channel scale and shift (BatchNormalization) into the weights of the convolution or linear layer before
//! it: `w' = w * scale`, `b' = b * scale + shift`, in f64, each rounded once.
use super::super::ir::{Constant, ConstantId, Graph};
use super::super::ops::{Bounds, ConvWeights, Op};
use super::super::rank_inference::infer_ranks;
use super::constant_edits::ConstantEdits;
use super::retain_nodes;
use crate::error::{Error, Result};
use crate::graph::validate::check_finite;
use crate::tensor::{AlignedBuffer, SharedBytes};
use std::sync::Arc;

/// Runs the pass.
///
/// # Errors
/// [`Error::OutOfMemory`], [`Error::NotFinite`] if a folded weight overflows.
pub fn run(graph: &mut Graph) -> Result<()> {
    let uses = graph.use_counts();
    let ranks = infer_ranks(graph);
    let mut edits = ConstantEdits::new(graph);
    let mut producers = graph.producers();
    let mut removed = vec![false; graph.nodes.len()];
    for (index, removed) in removed.iter_mut().enumerate() {
        let Op::ChannelAffine { scale, shift } = graph.nodes[index].op else {
            continue;
        };
        let input = graph.nodes[index].inputs[0];
        let (1, Some(producer)) = (uses[input.index()], producers[input.index()]) else {
            continue;
        };
        let folds = graph.nodes[producer].inputs.len() == 1
            && match &graph.nodes[producer].op {
                Op::Conv2d(conv) => conv.bounds == Bounds::NONE,
                // A linear layer's features are its last axis, the affine's channels axis 1.
                Op::Linear(linear) => linear.bounds == Bounds::NONE && ranks[input.index()] == Some(2),
                _ => false,
            };
        if folds && fold(graph, producer, scale, shift, &mut edits)? {
            let output = graph.nodes[index].output;
            graph.nodes[producer].output = output;
            producers[output.index()] = Some(producer);
            *removed = true;
        }
    }
    retain_nodes(graph, &removed);
    Ok(())
}

/// Replaces the weights of the node `producer`; `false` if they are not floats, the channels do not fit or the work is
/// too much.
fn fold(graph: &mut Graph, producer: usize, scale: ConstantId, shift: ConstantId, edits: &mut ConstantEdits) -> Result<bool> {
    let weights = match &graph.nodes[producer].op {
        Op::Conv2d(conv) => &conv.weights,
        Op::Linear(linear) => &linear.weights,
        _ => return Ok(false),
    };
    let ConvWeights::Float { weight, bias } = *weights else {
        return Ok(false);
    };
    let (scale, shift) = (graph.constant(scale).as_f32()?, graph.constant(shift).as_f32()?);
    let old = graph.constant(weight);
    if scale.is_empty() || old.dims.first() != Some(&scale.len()) || shift.len() != scale.len() || !edits.allow(graph, weight) {
        return Ok(false);
    }
    let name = &graph.nodes[producer].name;
    let old_bias = bias.map(|bias| graph.constant(bias).as_f32()).transpose()?;
    let new_bias: Vec<f32> = (0..scale.len())
        .map(|channel| {
            let bias = old_bias.map_or(0.0, |bias| f64::from(bias[channel]));
            (bias * f64::from(scale[channel]) + f64::from(shift[channel])) as f32
        })
        .collect();
    check_finite(&new_bias, &format!("bias of '{name}' with its BatchNormalization"))?;
    let new_bias = Constant::f32(&new_bias, &[scale.len()])?;

    let mut buffer = AlignedBuffer::zeroed(old.data.len(), "folded weights")?;
    let (source, target) = (old.as_f32()?, bytemuck::cast_slice_mut::<u8, f32>(&mut buffer));
    let per_channel = source.len() / scale.len();
    for (index, (new, &old)) in target.iter_mut().zip(source).enumerate() {
        *new = (f64::from(old) * f64::from(scale[index / per_channel])) as f32;
    }
    check_finite(target, &format!("weights of '{name}' with its BatchNormalization"))?;
    let new_weight = Constant { dtype: old.dtype, dims: old.dims.clone(), data: SharedBytes::from_owner(Arc::new(buffer)) };

    let weight = edits.replace(graph, Some(weight), new_weight);
    let bias = Some(edits.replace(graph, bias, new_bias));
    let folded = ConvWeights::Float { weight, bias };
    match &mut graph.nodes[producer].op {
        Op::Conv2d(conv) => conv.weights = folded,
        Op::Linear(linear) => linear.weights = folded,
        _ => return Err(Error::Graph("weights of a node that has none".to_owned())),
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{BatchNorm, Conv2dAttributes, GraphBuilder, validate};

    const NORM: BatchNorm<'static> =
        BatchNorm { gamma: &[2.0, -3.0], beta: &[0.5, 1.0], mean: &[0.25, -1.0], variance: &[1.0, 4.0], epsilon: 0.0 };

    fn weights_of(graph: &Graph, node: usize) -> (Vec<f32>, Option<Vec<f32>>) {
        let weights = match &graph.nodes[node].op {
            Op::Conv2d(conv) => &conv.weights,
            Op::Linear(linear) => &linear.weights,
            other => panic!("{} has no weights", other.name()),
        };
        let ConvWeights::Float { weight, bias } = weights else { panic!("the weights are not floats") };
        let floats = |id: ConstantId| graph.constant(id).as_f32().unwrap().to_vec();
        (floats(*weight), bias.map(floats))
    }

    #[test]
    fn weights_and_bias_take_scale_and_shift() {
        let mut builder = GraphBuilder::new();
        let x = builder.input("x", &[None, Some(1), None, None]).unwrap();
        let conv = builder.conv2d("conv", x, &[1.0, 4.0], Some(&[1.0, 2.0]), Conv2dAttributes::new(1, 2, [1, 1])).unwrap();
        let norm = builder.batch_norm("norm", conv, &NORM).unwrap();
        let twice = builder.batch_norm("twice", norm, &NORM).unwrap();
        let mut graph = builder.finish(&[twice]).unwrap();
        run(&mut graph).unwrap();
        validate(&graph).unwrap();
        assert_eq!(graph.nodes.len(), 1);
        assert_eq!(graph.outputs, [graph.nodes[0].output]);
        // scale [2, -1.5], shift [0, -0.5], applied twice.
        assert_eq!(weights_of(&graph, 0), (vec![4.0, 9.0], Some(vec![4.0, 4.75])));
    }

    #[test]
    fn a_shared_weight_is_left_to_the_other_reader() {
        let mut builder = GraphBuilder::new();
        let x = builder.input("x", &[None, Some(2), None, None]).unwrap();
        let conv = builder.conv2d("conv", x, &[1.0; 4], None, Conv2dAttributes::new(2, 2, [1, 1])).unwrap();
        let norm = builder.batch_norm("norm", conv, &NORM).unwrap();
        let second = builder.conv2d("second", norm, &[7.0; 4], None, Conv2dAttributes::new(2, 2, [1, 1])).unwrap();
        let mut graph = builder.finish(&[second]).unwrap();
        let first_op = graph.nodes[0].op.clone();
        graph.nodes[2].op = first_op;
        run(&mut graph).unwrap();
        assert_eq!(weights_of(&graph, 0), (vec![2.0, 2.0, -1.5, -1.5], Some(vec![0.0, -0.5])));
        assert_eq!(weights_of(&graph, 1), (vec![1.0; 4], None));
    }

    #[test]
    fn nothing_folds_over_a_second_reader_or_a_wrong_axis() {
        let mut builder = GraphBuilder::new();
        let x = builder.input("x", &[None, Some(2), Some(3)]).unwrap();
        let tokens = builder.linear("tokens", x, &[1.0; 6], None, 2, 3).unwrap();
        let a = builder.batch_norm("a", tokens, &NORM).unwrap();
        let flat = builder.flatten("flat", a, 1).unwrap();
        let read_twice = builder.linear("read_twice", flat, &[1.0; 8], None, 2, 4).unwrap();
        let b = builder.batch_norm("b", read_twice, &NORM).unwrap();
        let features = builder.linear("features", b, &[1.0; 4], None, 2, 2).unwrap();
        let c = builder.batch_norm("c", features, &NORM).unwrap();
        let mut graph = builder.finish(&[c, read_twice]).unwrap();
        run(&mut graph).unwrap();
        validate(&graph).unwrap();
        let names: Vec<_> = graph.nodes.iter().map(|node| node.name.as_str()).collect();
        assert_eq!(names, ["tokens", "a", "flat", "read_twice", "b", "features"]);
    }
}
