//! From an optimized float graph, its assignment and solved qparams to the graph that runs: packed int8 weights, bytes
//! where they are wanted, and conversions where int8 and float meet.
use super::assign_precision::{Assignment, NodePrecision};
use super::pack_float::{FloatWeights, WeightLayout, float_weights};
use super::quantize_weights::{InputScales, dynamic_weights, static_weights};
use crate::error::{Error, Result};
use crate::graph::{ChannelQuantizedType, Constant, ConvWeights, Graph, Node, Op, QuantizedType, Unary, ValueId, ValueType};
use crate::memory;
use crate::quantize::{DynamicQuantization, LayerQConfig, QuantizedWeights, quantize_weights, quantize_weights_with};
use crate::tensor::{DType, SharedBytes};
use crate::threads::parallel_map;
use std::collections::HashMap;

/// Quantizes an operator's function over all 256 bytes; provided by the caller, which knows the float kernels.
pub type UnaryFunction<'a> = &'a (dyn Fn(Unary, &[f32]) -> Vec<f32> + Sync);

/// Solved qparams of an image's channels.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelQParams {
    /// `[c]`.
    pub scales: Vec<f32>,
    /// `[c]`, of the bytes.
    pub zero_points: Vec<i32>,
}

/// What the solved qparams of an assignment's tensors make of them.
#[derive(Debug, Clone, PartialEq)]
pub struct SolvedTypes {
    /// One for each tied set.
    pub tied: Vec<QuantizedType>,
    /// One for each tensor of `by_channel`.
    pub by_channel: Vec<ChannelQParams>,
}

struct Lowering<'a> {
    source: &'a Graph,
    assignment: &'a Assignment,
    types: &'a SolvedTypes,
    unary: UnaryFunction<'a>,
    lowered: Graph,
    /// The forms in which each source value exists: float, bytes, bytes with run-time qparams.
    float: Vec<Option<ValueId>>,
    bytes: Vec<Option<ValueId>>,
    /// Bytes with qparams of each channel, one for each tensor of `by_channel`.
    channel_bytes: Vec<Option<ValueId>>,
    dynamic: HashMap<(ValueId, DynamicQuantization), ValueId>,
}

/// The integers of the weights of every node that runs in int8, by the rule of its setting.
///
/// # Errors
/// Weights that are not finite, naming the node.
pub fn quantize_all_weights(source: &Graph, assignment: &Assignment) -> Result<Vec<Option<QuantizedWeights>>> {
    let weights = parallel_map(0..source.nodes.len(), |index: usize| match assignment.nodes[index] {
        NodePrecision::Float(_) => Ok(None),
        _ => quantize_weights_of(source, &source.nodes[index], &assignment.settings[index], None),
    });
    memory::checkpoint()?;
    weights.into_iter().collect()
}

/// Lowers `source`. `types` has what was solved for each tensor that `assignment` holds as bytes, `weights` the integers of each node's.
///
/// # Errors
/// Multipliers that are not finite, naming the node; out of memory.
pub fn run(
    source: &Graph,
    assignment: &Assignment,
    types: &SolvedTypes,
    weights: &[Option<QuantizedWeights>],
    unary: UnaryFunction<'_>,
) -> Result<Graph> {
    let count = source.values.len();
    let mut lowering = Lowering {
        source,
        assignment,
        types,
        unary,
        lowered: Graph::default(),
        float: vec![None; count],
        bytes: vec![None; count],
        channel_bytes: vec![None; assignment.by_channel.len()],
        dynamic: HashMap::new(),
    };
    for &input in &source.inputs {
        let value = source.value(input);
        let id = lowering.lowered.add_value(value.name.clone(), ValueType::F32);
        lowering.lowered.values[id.index()].declared.clone_from(&value.declared);
        lowering.float[input.index()] = Some(id);
        lowering.lowered.inputs.push(id);
    }
    for (index, weights) in weights.iter().enumerate() {
        memory::checkpoint()?;
        lowering.lower_node(index, weights.as_ref())?;
    }
    for &output in &source.outputs {
        let id = lowering.float(output)?;
        lowering.lowered.outputs.push(id);
    }
    Ok(lowering.lowered)
}

/// The integers of a node's weights, if it has weights: with the scales given, or by the rule of its setting.
///
/// # Errors
/// [`Error::NotFinite`] for weights, naming the node; as [`quantize_weights_with`].
pub fn quantize_weights_of(graph: &Graph, node: &Node, setting: &LayerQConfig, scales: Option<&[f32]>) -> Result<Option<QuantizedWeights>> {
    let Some((layout, weights)) = WeightLayout::of(&node.op) else { return Ok(None) };
    quantized_set(graph, node, (layout, weights), setting, scales).map(|(quantized, _)| Some(quantized))
}

/// One set of a node's weights, quantized, and its floats.
fn quantized_set(
    graph: &Graph,
    node: &Node,
    (layout, weights): (WeightLayout, &ConvWeights),
    setting: &LayerQConfig,
    scales: Option<&[f32]>,
) -> Result<(QuantizedWeights, FloatWeights)> {
    let float = float_weights(graph, layout, weights)?.ok_or_else(|| Error::Graph(format!("node {} is lowered already", node.name)))?;
    let quantized = match scales {
        None => quantize_weights(&float.weight, layout.out_channels(), &setting.weight),
        Some(scales) => quantize_weights_with(&float.weight, layout.out_channels(), scales, &setting.weight),
    };
    let named = |error| match error {
        Error::OutOfMemory { .. } => error,
        Error::InvalidArgument(text) => Error::InvalidArgument(format!("node {}: {text}", node.name)),
        other => Error::NotFinite(format!("node {}: weights: {other}", node.name)),
    };
    quantized.map(|quantized| (quantized, float)).map_err(named)
}

impl Lowering<'_> {
    fn name(&self, value: ValueId) -> &str {
        &self.source.value(value).name
    }

    /// The type of a source value that is held as bytes.
    fn byte_type(&self, value: ValueId) -> Option<QuantizedType> {
        self.assignment.set_of[value.index()].map(|set| self.types.tied[set])
    }

    fn push(&mut self, name: String, op: Op, inputs: Vec<ValueId>, output_name: String, ty: ValueType) -> ValueId {
        let output = self.lowered.add_value(output_name, ty);
        self.lowered.nodes.push(Node { name, op, inputs, output });
        output
    }

    /// The float form of a value.
    fn float(&mut self, value: ValueId) -> Result<ValueId> {
        if let Some(id) = self.float[value.index()] {
            return Ok(id);
        }
        let name = self.name(value).to_owned();
        let id = match (self.bytes[value.index()], self.source.value_constant(value)) {
            (Some(bytes), _) => {
                let made = format!("{name}/dequantized");
                self.push(format!("{name}/dequantize"), Op::Dequantize, vec![bytes], made, ValueType::F32)
            }
            (None, Some(constant)) => self.lowered.add_constant_value(name, constant.clone()),
            (None, None) => return Err(Error::Graph(format!("value {name} is read before it is computed"))),
        };
        self.float[value.index()] = Some(id);
        Ok(id)
    }

    /// The form of a value as bytes with its fixed qparams.
    fn bytes(&mut self, value: ValueId) -> Result<ValueId> {
        if let Some(id) = self.bytes[value.index()] {
            return Ok(id);
        }
        let ty = self.byte_type(value).ok_or_else(|| Error::Graph(format!("value {} has no qparams", self.name(value))))?;
        let name = self.name(value).to_owned();
        let float = self.float(value)?;
        let made = format!("{name}/quantized");
        let id = self.push(format!("{name}/quantize"), Op::Quantize, vec![float], made, ValueType::Quantized(ty));
        self.bytes[value.index()] = Some(id);
        Ok(id)
    }

    /// Which of the tensors with qparams of each channel a source value is.
    fn by_channel(&self, value: ValueId) -> Option<usize> {
        self.assignment.by_channel.iter().position(|tensor| tensor.value == value)
    }

    /// The form of tensor `index` of `by_channel` as bytes with qparams of each channel: made of its floats.
    fn channel_bytes(&mut self, index: usize) -> Result<ValueId> {
        if let Some(id) = self.channel_bytes[index] {
            return Ok(id);
        }
        let tensor = &self.assignment.by_channel[index];
        let ChannelQParams { scales, zero_points } = &self.types.by_channel[index];
        let (low, high) = tensor.activation.target().held_range();
        let mut table = |dtype: DType, data: SharedBytes| {
            let constant = Constant { dtype, dims: vec![tensor.channels], data };
            self.lowered.add_constant(constant)
        };
        let scales = table(DType::F32, SharedBytes::copy_of(scales)?);
        let zero_points = table(DType::I32, SharedBytes::copy_of(zero_points)?);
        let ty = ChannelQuantizedType { scales, zero_points, low: low as u8, high: high as u8 };
        let name = self.name(tensor.value).to_owned();
        let float = self.float(tensor.value)?;
        let (node, made) = (format!("{name}/quantize_channels"), format!("{name}/quantized_channels"));
        let id = self.push(node, Op::Quantize, vec![float], made, ValueType::QuantizedByChannel(ty));
        self.channel_bytes[index] = Some(id);
        Ok(id)
    }

    /// The form of a value as bytes with qparams of the run.
    fn dynamic(&mut self, value: ValueId, quantization: DynamicQuantization) -> Result<ValueId> {
        if let Some(&id) = self.dynamic.get(&(value, quantization)) {
            return Ok(id);
        }
        let name = self.name(value).to_owned();
        let float = self.float(value)?;
        let (op, suffix) = match quantization {
            DynamicQuantization::PER_SAMPLE => (Op::DynamicQuantize, String::new()),
            by => (Op::DynamicQuantizeBy(by), format!("_{}", quantization.suffix())),
        };
        let (node, made) = (format!("{name}/dynamic_quantize{suffix}"), format!("{name}/dynamic{suffix}"));
        let id = self.push(node, op, vec![float], made, ValueType::DynamicQuantized);
        self.dynamic.insert((value, quantization), id);
        Ok(id)
    }

    fn lower_node(&mut self, index: usize, weights: Option<&QuantizedWeights>) -> Result<()> {
        let node = &self.source.nodes[index];
        let output_type = self.byte_type(node.output);
        let setting = &self.assignment.settings[index];
        match (&self.assignment.nodes[index], weights) {
            (NodePrecision::Float(_), _) => self.keep_float(node),
            (NodePrecision::Dynamic, None) => self.lower_recurrent(node, setting),
            (NodePrecision::Dynamic, Some(weights)) => self.lower_layer(node, weights, Some(setting.activation.dynamic())),
            (NodePrecision::Static, Some(weights)) => self.lower_layer(node, weights, None),
            (NodePrecision::Static, None) => self.lower_follower(node, output_type),
        }
    }

    fn keep_float(&mut self, node: &Node) -> Result<()> {
        let inputs = node.inputs.iter().map(|&input| self.float(input)).collect::<Result<Vec<_>>>()?;
        let op = self.with_constants(&node.op);
        let id = self.push(node.name.clone(), op, inputs, self.name(node.output).to_owned(), ValueType::F32);
        self.float[node.output.index()] = Some(id);
        Ok(())
    }

    /// The operator with its constants copied into the lowered graph.
    fn with_constants(&mut self, op: &Op) -> Op {
        let mut op = op.clone();
        let mut copy = |id: &mut crate::graph::ConstantId| *id = self.lowered.add_constant(self.source.constant(*id).clone());
        op.constants_mut().into_iter().for_each(&mut copy);
        op
    }

    /// A recurrent layer in dynamic int8: floats in and out, every matrix in int8.
    fn lower_recurrent(&mut self, node: &Node, setting: &LayerQConfig) -> Result<()> {
        let mut sets = Vec::new();
        for (layout, weights) in WeightLayout::all_of(&node.op) {
            let (quantized, float) = quantized_set(self.source, node, (layout, weights), setting, None)?;
            sets.push(dynamic_weights(&mut self.lowered, &node.name, layout, &quantized, &float)?);
        }
        let mut op = node.op.clone();
        op.weights_mut().into_iter().zip(sets).for_each(|(place, weights)| *place = weights);
        let Op::Recurrent(layer) = &mut op else { return Err(Error::Graph(format!("node {} has no weights", node.name))) };
        layer.activation = Some(setting.activation.dynamic());
        let inputs = node.inputs.iter().map(|&input| self.float(input)).collect::<Result<Vec<_>>>()?;
        let id = self.push(node.name.clone(), op, inputs, self.name(node.output).to_owned(), ValueType::F32);
        self.float[node.output.index()] = Some(id);
        Ok(())
    }

    /// A convolution or linear layer; `dynamic`: how its activations are quantized in each run.
    fn lower_layer(&mut self, node: &Node, quantized: &QuantizedWeights, dynamic: Option<DynamicQuantization>) -> Result<()> {
        let (layout, weights) = WeightLayout::of(&node.op).ok_or_else(|| Error::Graph(format!("node {} has no weights", node.name)))?;
        let float =
            float_weights(self.source, layout, weights)?.ok_or_else(|| Error::Graph(format!("node {} is lowered already", node.name)))?;
        let output_type = self.byte_type(node.output).filter(|_| dynamic.is_none());
        let by_channel = self.by_channel(node.inputs[0]).filter(|_| dynamic.is_none());
        let input = match (dynamic, by_channel) {
            (Some(quantization), _) => self.dynamic(node.inputs[0], quantization)?,
            (None, Some(index)) => self.channel_bytes(index)?,
            (None, None) => self.bytes(node.inputs[0])?,
        };
        let mut inputs = vec![input];
        if let Some(&residual) = node.inputs.get(1) {
            inputs.push(if output_type.is_some() { self.bytes(residual)? } else { self.float(residual)? });
        }
        let weights = if dynamic.is_some() {
            dynamic_weights(&mut self.lowered, &node.name, layout, quantized, &float)?
        } else {
            let input = match by_channel {
                Some(index) => InputScales::EachChannel(&self.types.by_channel[index].scales),
                None => {
                    let ty = self.byte_type(node.inputs[0]);
                    InputScales::One(ty.ok_or_else(|| Error::Graph(format!("node {} has no input qparams", node.name)))?.qparams.scale)
                }
            };
            let output = output_type.map(|ty| ty.qparams);
            static_weights(&mut self.lowered, &node.name, layout, quantized, &float, input, output)?
        };
        let mut op = node.op.clone();
        match &mut op {
            Op::Conv2d(conv) => conv.weights = weights,
            Op::Linear(linear) => linear.weights = weights,
            _ => return Err(Error::Graph(format!("node {} has no weights", node.name))),
        }
        let ty = output_type.map_or(ValueType::F32, ValueType::Quantized);
        let id = self.push(node.name.clone(), op, inputs, self.name(node.output).to_owned(), ty);
        let forms = if output_type.is_some() { &mut self.bytes } else { &mut self.float };
        forms[node.output.index()] = Some(id);
        Ok(())
    }

    /// An operator that runs on bytes because its output is wanted as bytes.
    fn lower_follower(&mut self, node: &Node, output_type: Option<QuantizedType>) -> Result<()> {
        let ty = output_type.ok_or_else(|| Error::Graph(format!("node {} has no output qparams", node.name)))?;
        let inputs = node.inputs.iter().map(|&input| self.bytes(input)).collect::<Result<Vec<_>>>()?;
        let op = match &node.op {
            Op::Unary(unary) => {
                let input =
                    self.byte_type(node.inputs[0]).ok_or_else(|| Error::Graph(format!("node {} has no input qparams", node.name)))?;
                let points: Vec<f32> = (0..256).map(|byte| input.qparams.dequantize(byte)).collect();
                let table: Vec<u8> = (self.unary)(*unary, &points).iter().map(|&y| ty.byte(y)).collect();
                let data = SharedBytes::copy_of(&table)?;
                Op::Lookup(self.lowered.add_constant(Constant { dtype: DType::U8, dims: vec![256], data }))
            }
            op => op.clone(),
        };
        let id = self.push(node.name.clone(), op, inputs, self.name(node.output).to_owned(), ValueType::Quantized(ty));
        self.bytes[node.output.index()] = Some(id);
        Ok(())
    }
}
