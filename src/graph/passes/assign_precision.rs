//! Decides for each node whether it runs in int8, and which tensors are bytes and share their qparams.
//!
//! Convolutions and linear layers run in int8 where the qconfig asks for it, recurrent layers in dynamic int8. Other operators follow: one runs in int8
//! when its output is wanted as bytes. Operators that move bytes (max pooling, clamps, reshapes, transposes, zero
//! padding, concatenation) tie the qparams of their tensors.
use super::by_channel::{self, ChannelTensor};
use crate::error::{Error, Result};
use crate::graph::{Binary, Graph, Node, Op, ValueId};
use crate::memory;
use crate::quantize::qconfig::ActivationQConfig;
use crate::quantize::requantize::MAX_DEPTH;
use crate::quantize::{Grain, LayerQConfig, Mode, QConfig};

/// How a node runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodePrecision {
    /// Bytes in, bytes or floats out, fixed qparams.
    Static,
    /// Activations quantized in each run, floats out.
    Dynamic,
    /// Float, and why.
    Float(String),
}

/// Tensors that share their qparams.
#[derive(Debug, Clone, PartialEq)]
pub struct TiedTensors {
    /// Those whose statistics count: the ones that no tying operator makes.
    pub observed: Vec<ValueId>,
    /// How they are quantized.
    pub activation: ActivationQConfig,
}

/// What [`assign`] decides.
#[derive(Debug, Clone, PartialEq)]
pub struct Assignment {
    /// Images that depthwise convolutions read with qparams of each channel: made of floats, besides the tied sets.
    pub by_channel: Vec<ChannelTensor>,
    /// For each node why it does not have activation qparams of each channel though it was asked for; empty otherwise.
    pub notes: Vec<String>,
    /// One a node.
    pub nodes: Vec<NodePrecision>,
    /// The qconfig of each node.
    pub settings: Vec<LayerQConfig>,
    /// For each value that is held as bytes with fixed qparams: its set in `tied`.
    pub set_of: Vec<Option<usize>>,
    /// Sets of tensors that share qparams.
    pub tied: Vec<TiedTensors>,
}

/// What an operator other than a convolution or linear layer can do with bytes.
enum Follow {
    /// It moves bytes: input and output share qparams.
    Tied,
    /// It computes bytes from bytes.
    Computed,
    /// It cannot.
    No(&'static str),
}

fn follow(graph: &Graph, node: &Node, shapes: &[Option<Vec<usize>>]) -> Follow {
    let shape = |id: ValueId| shapes[id.index()].as_deref();
    let any_constant = node.inputs.iter().any(|&id| graph.value(id).constant.is_some());
    match &node.op {
        Op::MaxPool(_) | Op::Reshape(_) | Op::Transpose(_) | Op::Identity => Follow::Tied,
        Op::Unary(crate::graph::Unary::Clamp(_)) => Follow::Tied,
        Op::Pad { value, before, .. } if *value == 0.0 && before.len() == 4 => Follow::Tied,
        Op::Pad { .. } => Follow::No("padding of this kind runs in float"),
        Op::Concat { .. } if any_constant => Follow::No("it has a constant operand"),
        Op::Concat { .. } => Follow::Tied,
        Op::AveragePool(_) | Op::GlobalAveragePool | Op::Unary(_) => Follow::Computed,
        Op::Binary(..) if any_constant => Follow::No("it has a constant operand"),
        Op::Binary(Binary::Add, _) if node.inputs.iter().all(|&id| shape(id).is_some() && shape(id) == shape(node.output)) => {
            Follow::Computed
        }
        Op::Binary(Binary::Mul, _) if multiplies_alike(shape(node.inputs[0]), shape(node.inputs[1])) => Follow::Computed,
        Op::Binary(Binary::Sub, _) => Follow::No("subtraction has no int8 form"),
        Op::Binary(..) => Follow::No("this broadcast has no int8 form"),
        _ => Follow::No("the operator has no int8 form"),
    }
}

/// Equal shapes, or a gate `[n, c, 1, 1]` for `[n, c, h, w]` on the right.
fn multiplies_alike(a: Option<&[usize]>, b: Option<&[usize]>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => a == b || (a.len() == 4 && b.len() == 4 && a[..2] == b[..2] && b[2..] == [1, 1]),
        _ => false,
    }
}

/// Products of one output: `None` for nodes without weights.
pub(super) fn depth(op: &Op) -> Option<usize> {
    match op {
        Op::Conv2d(conv) => Some(conv.in_channels / conv.groups * conv.kernel[0] * conv.kernel[1]),
        Op::Linear(linear) => Some(linear.in_features),
        Op::Recurrent(layer) => Some(layer.input_size.max(layer.hidden_size)),
        _ => None,
    }
}

/// The smallest member of each tied set, by union-find with path halving.
struct Ties(Vec<usize>);

impl Ties {
    fn find(&mut self, mut value: usize) -> usize {
        while self.0[value] != value {
            self.0[value] = self.0[self.0[value]];
            value = self.0[value];
        }
        value
    }

    fn tie(&mut self, a: ValueId, b: ValueId) {
        let (a, b) = (self.find(a.index()), self.find(b.index()));
        self.0[a.max(b)] = a.min(b);
    }
}

/// Decides the precision of every node of an optimized float graph. `shapes` has a shape for each value, as inferred
/// for the inputs that will be calibrated with.
///
/// # Errors
/// [`Error::InvalidArgument`] for settings that contradict each other, naming the nodes, and for those that nothing follows, naming
/// their scope; [`Error::Unsupported`] under
/// `strict` for the first layer that asked for int8 and stays float.
pub fn assign(graph: &Graph, qconfig: &QConfig, shapes: &[Option<Vec<usize>>]) -> Result<Assignment> {
    let settings = graph.nodes.iter().map(|node| qconfig.resolve(node.op.name(), &node.name)).collect::<Result<Vec<LayerQConfig>>>()?;
    let channels = by_channel::decide(graph, &settings, shapes, qconfig.strict)?;
    let mut wanted = vec![false; graph.values.len()];
    let mut nodes = vec![NodePrecision::Static; graph.nodes.len()];
    let mut ties = Ties((0..graph.values.len()).collect());
    for (index, node) in graph.nodes.iter().enumerate().rev() {
        memory::checkpoint()?;
        let mode = settings[index].mode;
        let output_wanted = wanted[node.output.index()];
        nodes[index] = match (depth(&node.op), mode) {
            (_, Mode::Float) => NodePrecision::Float("the qconfig says float".into()),
            (Some(depth), _) if depth > MAX_DEPTH => {
                NodePrecision::Float(format!("{depth} products in one sum, above {MAX_DEPTH}, could overflow 32 bits"))
            }
            (Some(_), Mode::Dynamic) if settings[index].activation.grain == Grain::PerRow && matches!(node.op, Op::Conv2d(_)) => {
                let message = format!("node {}: the grain per_row, which a convolution does not have", node.name);
                return Err(Error::Unsupported(message));
            }
            (Some(_), Mode::Dynamic) => NodePrecision::Dynamic,
            (Some(_), Mode::Static) if matches!(node.op, Op::Recurrent(_)) => {
                NodePrecision::Float("recurrent layers have no static int8 form, only a dynamic one".into())
            }
            (Some(_), Mode::Static) => {
                wanted[node.inputs[0].index()] |= !channels.holds(node.inputs[0]);
                if let (true, Some(residual)) = (output_wanted, node.inputs.get(1)) {
                    wanted[residual.index()] = true;
                }
                NodePrecision::Static
            }
            (None, Mode::Dynamic) => NodePrecision::Float("dynamic quantization covers convolutions, linear and recurrent layers".into()),
            (None, Mode::Static) => match follow(graph, node, shapes) {
                Follow::No(reason) => NodePrecision::Float(reason.into()),
                _ if channels.holds(node.output) => NodePrecision::Float("its reader makes bytes of each channel from floats".into()),
                _ if !output_wanted => NodePrecision::Float("no int8 operator reads its output".into()),
                kind => {
                    for &input in &node.inputs {
                        wanted[input.index()] = true;
                        if matches!(kind, Follow::Tied) {
                            ties.tie(input, node.output);
                        }
                    }
                    NodePrecision::Static
                }
            },
        };
    }
    if qconfig.strict {
        refuse_float_layers(graph, &settings, &nodes)?;
    }
    let (set_of, tied) = tied_sets(graph, &settings, &nodes, &wanted, &mut ties, shapes)?;
    let by_channel::Decided { tensors, notes } = channels;
    let assignment = Assignment { by_channel: tensors, notes, nodes, settings, set_of, tied };
    super::unused_settings::refuse(graph, qconfig, &assignment)?;
    Ok(assignment)
}

fn refuse_float_layers(graph: &Graph, settings: &[LayerQConfig], nodes: &[NodePrecision]) -> Result<()> {
    for ((node, setting), precision) in graph.nodes.iter().zip(settings).zip(nodes) {
        if let (NodePrecision::Float(reason), true, Some(_)) = (precision, setting.mode != Mode::Float, depth(&node.op)) {
            return Err(Error::Unsupported(format!("strict: node {} ({}) stays float: {reason}", node.name, node.op.name())));
        }
    }
    Ok(())
}

type Sets = (Vec<Option<usize>>, Vec<TiedTensors>);

/// Groups the wanted values by their ties, finds who is observed and which setting holds.
fn tied_sets(
    graph: &Graph,
    settings: &[LayerQConfig],
    nodes: &[NodePrecision],
    wanted: &[bool],
    ties: &mut Ties,
    shapes: &[Option<Vec<usize>>],
) -> Result<Sets> {
    let producers = graph.producers();
    let mut set_of_root = vec![None; graph.values.len()];
    let mut set_of = vec![None; graph.values.len()];
    let mut observed: Vec<Vec<ValueId>> = Vec::new();
    for index in (0..graph.values.len()).filter(|&index| wanted[index]) {
        memory::checkpoint()?;
        let root = ties.find(index);
        let set = *set_of_root[root].get_or_insert_with(|| {
            observed.push(Vec::new());
            observed.len() - 1
        });
        set_of[index] = Some(set);
        let tying = |&node: &usize| {
            nodes[node] == NodePrecision::Static
                && depth(&graph.nodes[node].op).is_none()
                && matches!(follow(graph, &graph.nodes[node], shapes), Follow::Tied)
        };
        if producers[index].as_ref().filter(|node| tying(node)).is_none() {
            observed[set].push(ValueId(index as u32));
        }
    }
    // The layers that read a tensor say how it is quantized; where none does, the operators that follow.
    let mut chosen: Vec<Option<(usize, bool)>> = vec![None; observed.len()];
    for (index, node) in graph.nodes.iter().enumerate().filter(|(index, _)| nodes[*index] == NodePrecision::Static) {
        memory::checkpoint()?;
        for (position, input) in node.inputs.iter().enumerate() {
            let Some(set) = set_of[input.index()] else { continue };
            let is_layer = depth(&node.op).is_some() && position == 0;
            match chosen[set] {
                Some((other, true)) if is_layer && settings[other].activation.per_tensor() != settings[index].activation.per_tensor() => {
                    let names = format!("{} and {}", graph.nodes[other].name, node.name);
                    return Err(Error::InvalidArgument(format!(
                        "contradictory settings: {names} read the same tensor ({}) with different activation settings",
                        graph.value(*input).name
                    )));
                }
                Some((_, true)) => {}
                Some((_, false)) if !is_layer => {}
                _ => chosen[set] = Some((index, is_layer)),
            }
        }
    }
    let tied = observed
        .into_iter()
        .zip(chosen)
        .map(|(observed, chosen)| {
            let (node, _) = chosen.ok_or_else(|| Error::Graph("a quantized tensor has no reader".into()))?;
            Ok(TiedTensors { observed, activation: settings[node].activation.per_tensor() })
        })
        .collect::<Result<Vec<_>>>()?;
    Ok((set_of, tied))
}
