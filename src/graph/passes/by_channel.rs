//! Which images are held as bytes with qparams of each channel: those that only depthwise convolutions read, where no sum crosses
//! channels (NUMERICS section 5), and each of these was asked to.
//!
//! Whether an image is such a one depends on the graph and on what was asked for, never on which of its readers run in float: so models of
//! one calibration that leave different layers in float agree on it.
use super::assign_precision::depth;
use crate::error::{Error, Result};
use crate::graph::{Graph, Node, Op, ValueId};
use crate::quantize::qconfig::ActivationQConfig;
use crate::quantize::requantize::MAX_DEPTH;
use crate::quantize::{LayerQConfig, Mode};

/// An image with qparams of each channel.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelTensor {
    /// The image `[n, c, h, w]`.
    pub value: ValueId,
    /// `c`.
    pub channels: usize,
    /// How it is quantized.
    pub activation: ActivationQConfig,
}

/// What [`decide`] decides.
pub(super) struct Decided {
    /// In the order of their first readers.
    pub tensors: Vec<ChannelTensor>,
    /// For each node why it does not read such an image though it was asked to.
    pub notes: Vec<String>,
}

impl Decided {
    /// Whether the value is such an image.
    pub fn holds(&self, value: ValueId) -> bool {
        self.tensors.iter().any(|tensor| tensor.value == value)
    }
}

/// Looks at every layer that was asked for activation qparams of each channel.
///
/// # Errors
/// [`Error::Unsupported`] under `strict` for the first that cannot have them; [`Error::InvalidArgument`] for readers of one image with
/// different activation settings.
pub(super) fn decide(graph: &Graph, settings: &[LayerQConfig], shapes: &[Option<Vec<usize>>], strict: bool) -> Result<Decided> {
    let mut decided = Decided { tensors: Vec::new(), notes: vec![String::new(); graph.nodes.len()] };
    for (index, node) in graph.nodes.iter().enumerate() {
        let asked = settings[index].mode == Mode::Static && settings[index].activation.per_channel;
        if !asked || depth(&node.op).is_none_or(|depth| depth > MAX_DEPTH) {
            continue;
        }
        if let Some(reason) = obstacle(graph, settings, shapes, node) {
            if strict {
                let (name, operator) = (&node.name, node.op.name());
                return Err(Error::Unsupported(format!(
                    "strict: node {name} ({operator}) has no activation qparams of each channel: {reason}"
                )));
            }
            decided.notes[index] = format!("one set of activation qparams for the tensor: {reason}");
            continue;
        }
        let (value, activation) = (node.inputs[0], settings[index].activation);
        match decided.tensors.iter().find(|tensor| tensor.value == value) {
            Some(tensor) if tensor.activation != activation => {
                return Err(Error::InvalidArgument(format!(
                    "contradictory settings: {} reads {} with other activation settings than the depthwise convolution before it",
                    node.name,
                    graph.value(value).name
                )));
            }
            Some(_) => {}
            None => {
                let channels = shapes[value.index()].as_ref().map_or(0, |shape| shape[1]);
                decided.tensors.push(ChannelTensor { value, channels, activation });
            }
        }
    }
    Ok(decided)
}

/// Why a layer's input cannot have qparams of each channel.
fn obstacle(graph: &Graph, settings: &[LayerQConfig], shapes: &[Option<Vec<usize>>], node: &Node) -> Option<String> {
    let is_depthwise = |node: &Node| matches!(&node.op, Op::Conv2d(conv) if conv.is_depthwise());
    if !is_depthwise(node) {
        return Some("only a depthwise convolution can have one a channel".into());
    }
    let value = node.inputs[0];
    let name = &graph.value(value).name;
    let made_by = graph.nodes.iter().find(|producer| producer.output == value);
    if let Some(producer) = made_by.filter(|producer| matches!(producer.op, Op::Reshape(_) | Op::Identity)) {
        return Some(format!("its input {name} is another form of a tensor ({})", producer.name));
    }
    if shapes[value.index()].as_ref().is_none_or(|shape| shape.len() != 4) {
        return Some(format!("the shape of its input {name} is open"));
    }
    for (reader, setting) in graph.nodes.iter().zip(settings).filter(|(reader, _)| reader.inputs.contains(&value)) {
        let first_alone = reader.inputs.iter().skip(1).all(|&input| input != value);
        if !(is_depthwise(reader) && first_alone) {
            return Some(format!("{} ({}) reads its input {name} too", reader.name, reader.op.name()));
        }
        if !setting.activation.per_channel {
            return Some(format!("{} reads its input {name} too, with one set for the tensor", reader.name));
        }
    }
    None
}
