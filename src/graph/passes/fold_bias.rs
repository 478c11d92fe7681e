//! Folds the addition of a constant vector, one number a channel, into the bias of the layer before it.
use super::super::ir::{Constant, ConstantId, Graph, Node, ValueId};
use super::super::ops::{Binary, Bounds, Conv2d, ConvWeights, Linear, Op};
use super::super::rank_inference::infer_ranks;
use super::constant_edits::ConstantEdits;
use super::retain_nodes;
use crate::error::Result;
use crate::graph::validate::check_finite;

/// Runs the pass.
///
/// # Errors
/// [`crate::error::Error::OutOfMemory`], [`crate::error::Error::NotFinite`] if a sum overflows.
pub fn run(graph: &mut Graph) -> Result<()> {
    let uses = graph.use_counts();
    let ranks = infer_ranks(graph);
    let mut edits = ConstantEdits::new(graph);
    let mut producers = graph.producers();
    let mut removed = vec![false; graph.nodes.len()];
    for (index, removed) in removed.iter_mut().enumerate() {
        let Op::Binary(Binary::Add, bounds) = graph.nodes[index].op else {
            continue;
        };
        let Some((layer_output, vector)) = split_operands(graph, &graph.nodes[index]) else {
            continue;
        };
        let (1, Some(producer)) = (uses[layer_output.index()], producers[layer_output.index()]) else {
            continue;
        };
        let Some(sum) = summed_bias(graph, producer, vector, ranks[layer_output.index()], &mut edits)? else {
            continue;
        };
        let old_bias = match &graph.nodes[producer].op {
            Op::Conv2d(Conv2d { weights: ConvWeights::Float { bias, .. }, .. })
            | Op::Linear(Linear { weights: ConvWeights::Float { bias, .. }, .. }) => *bias,
            _ => continue,
        };
        let new_bias = edits.replace(graph, old_bias, Constant::f32(&sum, &[sum.len()])?);
        let output = graph.nodes[index].output;
        let layer = &mut graph.nodes[producer];
        layer.output = output;
        let (weights, layer_bounds) = match &mut layer.op {
            Op::Conv2d(conv) => (&mut conv.weights, &mut conv.bounds),
            Op::Linear(linear) => (&mut linear.weights, &mut linear.bounds),
            _ => continue,
        };
        if let ConvWeights::Float { bias, .. } = weights {
            *bias = Some(new_bias);
        }
        *layer_bounds = bounds;
        producers[output.index()] = Some(producer);
        *removed = true;
    }
    retain_nodes(graph, &removed);
    Ok(())
}

/// The computed and the constant operand of an addition, if it has one of each.
fn split_operands(graph: &Graph, node: &Node) -> Option<(ValueId, ConstantId)> {
    let &[a, b] = node.inputs.as_slice() else {
        return None;
    };
    match (graph.value(a).constant, graph.value(b).constant) {
        (None, Some(vector)) => Some((a, vector)),
        (Some(vector), None) => Some((b, vector)),
        _ => None,
    }
}

/// The bias of the node `producer` plus the vector; `None` if the node has none to add to, the shapes do not fit or the
/// work is too much.
fn summed_bias(
    graph: &Graph,
    producer: usize,
    vector: ConstantId,
    rank: Option<usize>,
    edits: &mut ConstantEdits,
) -> Result<Option<Vec<f32>>> {
    let node = &graph.nodes[producer];
    let (weights, bounds, channels, axes_behind) = match &node.op {
        Op::Conv2d(conv) => (&conv.weights, conv.bounds, conv.out_channels, 2),
        Op::Linear(linear) => (&linear.weights, linear.bounds, linear.out_features, 0),
        _ => return Ok(None),
    };
    let ConvWeights::Float { bias, .. } = weights else {
        return Ok(None);
    };
    let vector = graph.constant(vector);
    let fits = rank.is_some_and(|rank| is_per_channel(&vector.dims, channels, axes_behind, rank));
    if node.inputs.len() != 1 || bounds != Bounds::NONE || !fits || bias.is_some_and(|bias| !edits.allow(graph, bias)) {
        return Ok(None);
    }
    let vector = vector.as_f32()?;
    let old = bias.map(|bias| graph.constant(bias).as_f32()).transpose()?;
    let sum: Vec<f32> = (0..channels)
        .map(|channel| {
            let addend = vector[if vector.len() == 1 { 0 } else { channel }];
            (old.map_or(0.0, |old| f64::from(old[channel])) + f64::from(addend)) as f32
        })
        .collect();
    check_finite(&sum, &format!("bias of '{}' with what is added to it", node.name))?;
    Ok(Some(sum))
}

/// Whether a constant of this shape adds one number to each channel of an output of `rank` axes whose channel axis has
/// `axes_behind` axes behind it, or one number to all, and does not grow the output.
fn is_per_channel(dims: &[usize], channels: usize, axes_behind: usize, rank: usize) -> bool {
    dims.len() <= rank && dims.iter().rev().enumerate().all(|(from_end, &dim)| dim == 1 || (from_end == axes_behind && dim == channels))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Conv2dAttributes, GraphBuilder, validate};

    /// What is left of a 3-channel convolution with bias 1 and the addition of a constant of this shape: the number of
    /// nodes and the bias.
    fn after_convolution(dims: &[usize], constant_first: bool) -> (usize, Vec<f32>) {
        let mut builder = GraphBuilder::new();
        let x = builder.input("x", &[None, Some(1), None, None]).unwrap();
        let conv = builder.conv2d("conv", x, &[0.5; 3], Some(&[1.0; 3]), Conv2dAttributes::new(1, 3, [1, 1])).unwrap();
        let values: Vec<f32> = (1..=dims.iter().product()).map(|n| n as f32).collect();
        let vector = builder.constant("vector", &values, dims).unwrap();
        let sum = if constant_first { builder.add("sum", vector, conv) } else { builder.add("sum", conv, vector) }.unwrap();
        let mut graph = builder.finish(&[sum]).unwrap();
        run(&mut graph).unwrap();
        validate(&graph).unwrap();
        let Op::Conv2d(conv) = &graph.nodes[0].op else { panic!("the first node is the convolution") };
        let ConvWeights::Float { bias: Some(bias), .. } = conv.weights else { panic!("the convolution has a bias") };
        (graph.nodes.len(), graph.constant(bias).as_f32().unwrap().to_vec())
    }

    #[test]
    fn a_vector_over_channels_joins_the_bias_of_a_convolution() {
        assert_eq!(after_convolution(&[3, 1, 1], false), (1, vec![2.0, 3.0, 4.0]));
        assert_eq!(after_convolution(&[1, 3, 1, 1], true), (1, vec![2.0, 3.0, 4.0]));
        assert_eq!(after_convolution(&[], false), (1, vec![2.0; 3]));
        assert_eq!(after_convolution(&[1], true), (1, vec![2.0; 3]));
    }

    #[test]
    fn a_vector_over_another_axis_stays() {
        for dims in [&[3][..], &[1, 3], &[3, 1], &[3, 3, 1], &[3, 1, 1, 1], &[1, 1, 3, 1, 1]] {
            assert_eq!(after_convolution(dims, false), (2, vec![1.0; 3]), "{dims:?}");
        }
    }

    #[test]
    fn a_linear_layer_takes_vectors_over_its_last_axis() {
        for (dims, nodes) in [(&[2][..], 1), (&[1, 2], 1), (&[1, 1, 2], 2), (&[2, 1], 2)] {
            let mut builder = GraphBuilder::new();
            let x = builder.input("x", &[None, Some(3)]).unwrap();
            let layer = builder.linear("layer", x, &[1.0; 6], None, 2, 3).unwrap();
            let vector = builder.constant("vector", &[5.0, 6.0], dims).unwrap();
            let sum = builder.add("sum", layer, vector).unwrap();
            let mut graph = builder.finish(&[sum]).unwrap();
            run(&mut graph).unwrap();
            assert_eq!(graph.nodes.len(), nodes, "{dims:?}");
            validate(&graph).unwrap();
            if nodes == 1 {
                assert_eq!(graph.constants.last().unwrap().as_f32().unwrap(), [5.0, 6.0]);
            }
        }
    }
}
