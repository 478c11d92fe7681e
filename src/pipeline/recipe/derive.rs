//! Ranges of tensors that another system's calibration does not tell: from their inputs, by rules that docs/RECIPE.md lists.
use crate::graph::passes::assign_precision::{Assignment, NodePrecision};
use crate::graph::{Binary, Bounds, Graph, Node, Op, ValueId};
use crate::kernels::VectorIsa;
use crate::ops::unary_function;

/// Points of a range at which a function of one variable is looked at.
const POINTS: usize = 257;

type Span = (f32, f32);

/// The range of a tied set and the rule that gave it, if all of its observed tensors can be derived. `spans` has what is known
/// of each set.
pub(super) fn derive(graph: &Graph, assignment: &Assignment, set: usize, spans: &[Option<Span>], isa: VectorIsa) -> Option<(Span, String)> {
    let producers = graph.producers();
    let mut total: Option<(Span, String)> = None;
    for &value in &assignment.tied[set].observed {
        let computed = producers[value.index()]
            .filter(|&node| assignment.nodes[node] == NodePrecision::Static)
            .and_then(|node| from_inputs(&graph.nodes[node], &|value| span_of(assignment, spans, value), isa));
        let (span, rule) = computed.or_else(|| of_residual(graph, assignment, value, spans))?;
        total = Some(match total {
            None => (span, rule.to_owned()),
            Some(((low, high), rules)) if rules.contains(rule) => ((low.min(span.0), high.max(span.1)), rules),
            Some(((low, high), rules)) => ((low.min(span.0), high.max(span.1)), format!("{rules}; {rule}")),
        });
    }
    total
}

fn span_of(assignment: &Assignment, spans: &[Option<Span>], value: ValueId) -> Option<Span> {
    assignment.set_of[value.index()].and_then(|set| spans[set])
}

fn clamp(span: Span, bounds: Bounds) -> Span {
    (bounds.apply(span.0), bounds.apply(span.1))
}

/// The range of an operator's output from those of its inputs.
fn from_inputs(node: &Node, span: &dyn Fn(ValueId) -> Option<Span>, isa: VectorIsa) -> Option<(Span, &'static str)> {
    let first = || span(*node.inputs.first()?);
    let second = || span(*node.inputs.get(1)?);
    match &node.op {
        Op::Binary(Binary::Add, bounds) => {
            let (a, b) = (first()?, second()?);
            Some((clamp((a.0 + b.0, a.1 + b.1), *bounds), "the sum of its inputs' ranges"))
        }
        Op::Binary(Binary::Mul, bounds) => {
            let (a, b) = (first()?, second()?);
            let products = [a.0 * b.0, a.0 * b.1, a.1 * b.0, a.1 * b.1];
            let ends = products.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &x| (low.min(x), high.max(x)));
            Some((clamp(ends, *bounds), "the product of its inputs' ranges"))
        }
        Op::AveragePool(_) | Op::GlobalAveragePool => Some((first()?, "the range of what is averaged")),
        Op::Unary(unary) => {
            let (low, high) = first()?;
            let points: Vec<f32> = (0..POINTS).map(|i| low + (high - low) * (i as f32 / (POINTS - 1) as f32)).collect();
            let values = unary_function(isa, *unary, &points);
            let ends = values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &y| (low.min(y), high.max(y)));
            Some((ends, "the function of its input's range"))
        }
        _ => None,
    }
}

/// The range of what a layer adds to its sum, from that of the sum.
fn of_residual(graph: &Graph, assignment: &Assignment, value: ValueId, spans: &[Option<Span>]) -> Option<(Span, &'static str)> {
    let layers = graph.nodes.iter().filter(|node| matches!(node.op, Op::Conv2d(_) | Op::Linear(_)) && node.inputs.get(1) == Some(&value));
    let (low, high) = layers.filter_map(|node| span_of(assignment, spans, node.output)).next()?;
    let bound = high.max(-low);
    Some(((-bound, bound), "as wide as the sum that it goes into, on both sides"))
}
