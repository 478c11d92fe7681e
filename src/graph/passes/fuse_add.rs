//! Fuses an addition of two computed tensors into the convolution or linear layer that computes one of them: the other
//! becomes the layer's second input, its residual. The layer moves to the place of the addition, so that the residual
//! is computed before it.
use super::super::ir::{Graph, Node, ValueId};
use super::super::ops::{Binary, Bounds, ConvWeights, Op};
use super::super::shape_inference::{Shapes, infer_as_far_as_possible};
use super::retain_nodes;
use crate::error::Result;

/// Sizes tried for image axes that the graph leaves to the caller.
const PROBED_SIZES: [usize; 4] = [224, 256, 64, 32];
/// Size tried for a batch axis that the graph leaves to the caller; not 1, which would hide a broadcast.
const PROBED_BATCH: usize = 2;

/// Runs the pass.
///
/// An addition that broadcasts stays: where the caller chooses sizes, the two shapes must be equal at every probed size
/// at which they can be inferred, and be inferred at one of them.
///
/// # Errors
/// None today; a [`Result`] as the other passes that infer shapes return.
pub fn run(graph: &mut Graph) -> Result<()> {
    let probes = probe_shapes(graph)?;
    let uses = graph.use_counts();
    let mut producers = graph.producers();
    let mut removed = vec![false; graph.nodes.len()];
    for index in 0..graph.nodes.len() {
        let Op::Binary(Binary::Add, bounds) = graph.nodes[index].op else {
            continue;
        };
        let &[a, b] = graph.nodes[index].inputs.as_slice() else {
            continue;
        };
        let is_constant = |id: ValueId| graph.value(id).constant.is_some();
        if a == b || is_constant(a) || is_constant(b) || !have_equal_shapes(&probes, a, b) {
            continue;
        }
        // The layer that comes later is taken: the sum is then made where its inputs are at hand.
        let layer_of = |id: ValueId| producers[id.index()].filter(|&node| uses[id.index()] == 1 && takes_residual(&graph.nodes[node]));
        let Some((layer, residual)) = layer_of(a).map(|layer| (layer, b)).max(layer_of(b).map(|layer| (layer, a))) else {
            continue;
        };
        let mut fused = graph.nodes[layer].clone();
        fused.inputs.push(residual);
        fused.output = graph.nodes[index].output;
        match &mut fused.op {
            Op::Conv2d(conv) => conv.bounds = bounds,
            Op::Linear(linear) => linear.bounds = bounds,
            _ => continue,
        }
        producers[fused.output.index()] = Some(index);
        graph.nodes[index] = fused;
        removed[layer] = true;
    }
    retain_nodes(graph, &removed);
    Ok(())
}

fn takes_residual(node: &Node) -> bool {
    let (weights, bounds) = match &node.op {
        Op::Conv2d(conv) => (&conv.weights, conv.bounds),
        Op::Linear(linear) => (&linear.weights, linear.bounds),
        _ => return false,
    };
    matches!(weights, ConvWeights::Float { .. }) && bounds == Bounds::NONE && node.inputs.len() == 1
}

/// Shapes of all values at each probed size; one set if the graph declares every dimension but the batch.
fn probe_shapes(graph: &Graph) -> Result<Vec<Shapes>> {
    let has_open_axis = graph.inputs.iter().any(|&id| graph.value(id).declared.iter().skip(1).any(Option::is_none));
    let sizes = if has_open_axis { &PROBED_SIZES[..] } else { &PROBED_SIZES[..1] };
    let at_size = |&size: &usize| {
        let fill = |(axis, dim): (usize, &Option<usize>)| dim.unwrap_or(if axis == 0 { PROBED_BATCH } else { size });
        let inputs: Vec<Vec<usize>> =
            graph.inputs.iter().map(|&id| graph.value(id).declared.iter().enumerate().map(fill).collect()).collect();
        infer_as_far_as_possible(graph, &inputs)
    };
    sizes.iter().map(at_size).collect()
}

fn have_equal_shapes(probes: &[Shapes], a: ValueId, b: ValueId) -> bool {
    let mut inferred = probes.iter().filter_map(|shapes| shapes[a.index()].as_ref().zip(shapes[b.index()].as_ref())).peekable();
    inferred.peek().is_some() && inferred.all(|(a, b)| a == b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Conv2dAttributes, GraphBuilder, validate};

    const POINT: [f32; 4] = [1.0; 4];

    fn point() -> Conv2dAttributes {
        Conv2dAttributes::new(2, 2, [1, 1])
    }

    fn names(graph: &Graph) -> Vec<(&str, usize)> {
        graph.nodes.iter().map(|node| (node.name.as_str(), node.inputs.len())).collect()
    }

    #[test]
    fn the_later_layer_takes_the_other_as_residual() {
        let mut builder = GraphBuilder::new();
        let x = builder.input("x", &[None, Some(2), None, None]).unwrap();
        let early = builder.conv2d("early", x, &POINT, None, point()).unwrap();
        let late = builder.conv2d("late", x, &POINT, None, point()).unwrap();
        let clipped = builder.relu("clipped", x).unwrap();
        let sum = builder.add("sum", early, late).unwrap();
        let again = builder.conv2d("again", sum, &POINT, None, point()).unwrap();
        let total = builder.add("total", again, clipped).unwrap();
        let mut graph = builder.finish(&[total]).unwrap();
        run(&mut graph).unwrap();
        validate(&graph).unwrap();
        assert_eq!(names(&graph), [("early", 1), ("clipped", 1), ("late", 2), ("again", 2)]);
        assert_eq!(graph.nodes[2].inputs, [x, early]);
        assert_eq!(graph.nodes[3].inputs, [sum, clipped]);
    }

    #[test]
    fn a_layer_moves_behind_a_residual_that_is_computed_later() {
        let mut builder = GraphBuilder::new();
        let x = builder.input("x", &[None, Some(2), Some(4), Some(4)]).unwrap();
        let conv = builder.conv2d("conv", x, &POINT, None, point()).unwrap();
        let later = builder.relu("later", x).unwrap();
        let sum = builder.add("sum", conv, later).unwrap();
        let mut graph = builder.finish(&[sum]).unwrap();
        run(&mut graph).unwrap();
        validate(&graph).unwrap();
        assert_eq!(names(&graph), [("later", 1), ("conv", 2)]);
    }

    #[test]
    fn broadcasts_shared_outputs_constants_and_bounded_layers_stay() {
        let mut builder = GraphBuilder::new();
        let x = builder.input("x", &[None, Some(2), None, None]).unwrap();
        let pooled = builder.global_average_pool("pooled", x).unwrap();
        let conv = builder.conv2d("conv", x, &POINT, None, point()).unwrap();
        let broadcast = builder.add("broadcast", pooled, conv).unwrap();
        let small = builder.conv2d("small", pooled, &POINT, None, point()).unwrap();
        let widened = builder.add("widened", small, broadcast).unwrap();
        let shared = builder.conv2d("shared", widened, &POINT, None, point()).unwrap();
        let sum = builder.add("sum", shared, x).unwrap();
        let more = builder.add("more", sum, shared).unwrap();
        let own = builder.conv2d("own", more, &POINT, None, point()).unwrap();
        let doubled = builder.add("doubled", own, own).unwrap();
        let constant = builder.constant("constant", &[1.0; 2], &[1, 2, 1, 1]).unwrap();
        let last = builder.conv2d("last", doubled, &POINT, None, point()).unwrap();
        let shifted = builder.add("shifted", last, constant).unwrap();
        let mut graph = builder.finish(&[shifted]).unwrap();
        let before = graph.nodes.len();
        run(&mut graph).unwrap();
        assert_eq!(graph.nodes.len(), before, "{:?}", names(&graph));
    }
}
