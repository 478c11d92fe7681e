//! From an encoded model to a graph.
use super::attributes::Attributes;
use super::execution_order::{decode_node, display_name, execution_order};
use super::external_data::ExternalData;
pub use super::node_reader::NodeReader;
use super::operators::{self, Imported};
use super::proto::{ModelProto, NodeProto, TensorProto, TypeProto, ValueInfoProto};
use super::tensor_data::TensorData;
use super::wire_check;
use crate::error::{Error, Result};
use crate::graph::rank_inference::operator_rank;
use crate::graph::{Constant, ConstantId, Graph, Node, Op, ValueId, ValueType, validate};
use crate::memory;
use crate::tensor::{AlignedBuffer, DType, SharedBytes};
use prost::Message;
use prost::bytes::Bytes;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The opsets that are supported.
const OPSETS: std::ops::RangeInclusive<i64> = 7..=21;
/// Bytes of constants for each byte of the files: a half in a varint of one byte becomes four, and one more for weights
/// that several nodes read in different layouts.
const CONSTANT_SHARE: usize = 5;
/// Bytes of constants in any case.
const FREE_CONSTANT_BYTES: usize = 1 << 20;

/// Imports a model whose other files, if it has some, are in `external`.
pub fn import(model: Bytes, external: ExternalData) -> Result<Graph> {
    // The decoder has no way to say that memory was refused: so it is not begun where there is none.
    drop(memory::reserved::<u8>(wire_check::check(&model)?, "the tables of an ONNX model")?);
    let model_bytes = model.len();
    let ModelProto { graph, opset_import, .. } =
        ModelProto::decode(model).map_err(|error| Error::Parse(format!("not an ONNX model: {error}")))?;
    let graph = graph.ok_or_else(|| Error::Parse("not an ONNX model: it has no graph".to_owned()))?;
    let opset = opset_import.iter().find(|set| is_onnx_domain(&set.domain)).map(|set| set.version);
    let opset = opset.ok_or_else(|| Error::Unsupported("the model imports no opset of the domain ai.onnx".to_owned()))?;
    if !OPSETS.contains(&opset) {
        return Err(Error::Unsupported(format!("opset {opset}; {} to {} are supported", OPSETS.start(), OPSETS.end())));
    }
    if !graph.sparse_initializer.is_empty() {
        return Err(Error::Unsupported("sparse initializers".to_owned()));
    }

    let mut importer = Importer { opset, external, model_bytes, ..Importer::default() };
    importer.read_initializers(&graph.initializer)?;
    importer.read_inputs(&graph.input)?;
    let order = execution_order(&graph.node, |name| importer.values.contains_key(name) || importer.constants.contains_key(name))?;
    importer.read_nodes(&graph.node, &order)?;
    importer.read_outputs(&graph.output)?;
    validate(&importer.graph)?;
    Ok(importer.graph)
}

/// Whether a domain is ONNX's own.
fn is_onnx_domain(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}

/// The graph under construction, and what is known of the model's names.
#[derive(Default)]
pub struct Importer {
    /// The model's opset.
    pub opset: i64,
    graph: Graph,
    /// The rank of each value of `graph`.
    ranks: Vec<Option<usize>>,
    /// Inputs, computed values, and constants that are operands.
    values: HashMap<String, ValueId>,
    /// Encoded tensors by name: initializers and what constant nodes make.
    constants: HashMap<String, Bytes>,
    /// Outputs of nodes that are not computed: masks, indices, shapes.
    not_computed: HashSet<String>,
    /// Of these, integers that were made of shapes.
    shape_values: HashSet<String>,
    /// Of these, tensors of one number everywhere.
    filled: HashMap<String, f32>,
    /// Inputs that the model declares as integers: lengths, which the caller gives as floats.
    whole_numbers: HashSet<ValueId>,
    /// Outputs of nodes that are not supported. That a constant or rank is not known because of one is
    /// [`Error::NotFound`], which the list of such nodes leaves out.
    lost: HashSet<String>,
    /// The constants of tensors in their own layout, by where the encoded tensor lies.
    decoded: HashMap<(usize, usize), ConstantId>,
    node_names: HashMap<String, usize>,
    external: ExternalData,
    model_bytes: usize,
    constant_bytes: usize,
}

impl Importer {
    fn read_initializers(&mut self, initializers: &[Bytes]) -> Result<()> {
        for (index, encoded) in initializers.iter().enumerate() {
            let tensor = TensorProto::decode(encoded.clone()).map_err(|error| Error::Parse(format!("initializer {index}: {error}")))?;
            if let Some(name) = self.add_constant_source(tensor.name, encoded.clone()) {
                return Err(Error::Graph(format!("two initializers have the name '{name}'")));
            }
        }
        Ok(())
    }

    /// Returns the name if it is taken.
    fn add_constant_source(&mut self, name: String, encoded: Bytes) -> Option<String> {
        if self.constants.contains_key(&name) {
            return Some(name);
        }
        self.constants.insert(name, encoded);
        None
    }

    fn add_value(&mut self, name: String, rank: Option<usize>) -> ValueId {
        let id = self.graph.add_value(name.clone(), ValueType::F32);
        self.ranks.push(rank);
        self.values.insert(name, id);
        id
    }

    fn read_inputs(&mut self, inputs: &[Bytes]) -> Result<()> {
        for (index, encoded) in inputs.iter().enumerate() {
            let info = ValueInfoProto::decode(encoded.clone()).map_err(|error| Error::Parse(format!("input {index}: {error}")))?;
            let name = info.name;
            // Before IR version 4 every initializer is listed as an input too.
            if self.constants.contains_key(&name) {
                continue;
            }
            if self.values.contains_key(&name) {
                return Err(Error::Graph(format!("two inputs have the name '{name}'")));
            }
            let (declared, is_whole) = declared_dims(&name, info.r#type)?;
            let id = self.add_value(name, Some(declared.len()));
            if is_whole {
                self.whole_numbers.insert(id);
            }
            self.graph.values[id.index()].declared = declared;
            self.graph.inputs.push(id);
        }
        Ok(())
    }

    fn read_outputs(&mut self, outputs: &[Bytes]) -> Result<()> {
        for (index, encoded) in outputs.iter().enumerate() {
            let info = ValueInfoProto::decode(encoded.clone()).map_err(|error| Error::Parse(format!("output {index}: {error}")))?;
            match self.values.get(&info.name) {
                Some(&id) => self.graph.outputs.push(id),
                None => return Err(Error::Graph(format!("output '{}' is not computed by a node", info.name))),
            }
        }
        Ok(())
    }

    /// Imports the nodes; those that are not supported are listed in one error.
    fn read_nodes(&mut self, nodes: &[Bytes], order: &[usize]) -> Result<()> {
        let mut unsupported = Vec::new();
        self.graph.nodes.reserve_exact(nodes.len());
        for &index in order {
            memory::checkpoint()?;
            let node = decode_node(nodes, index)?;
            let display = format!("node '{}' ({})", display_name(&node), node.op_type);
            let outputs = node.output.clone();
            match self.read_node(node) {
                Ok(()) => {}
                Err(Error::Unsupported(text)) if text.is_empty() => unsupported.push(display),
                Err(Error::Unsupported(text)) => unsupported.push(format!("{display}: {text}")),
                Err(Error::NotFound(_)) => {} // reads what a node that is listed would have computed
                Err(error) => return Err(name_error(error, &display)),
            }
            // The graph is lost, but the nodes that follow are looked at too.
            for output in outputs.into_iter().filter(|output| !output.is_empty()) {
                if !unsupported.is_empty() && !self.values.contains_key(&output) && !self.constants.contains_key(&output) {
                    self.add_value(output.clone(), None);
                    self.lost.insert(output);
                }
            }
        }
        if unsupported.is_empty() { Ok(()) } else { Err(Error::Unsupported(unsupported.join("; "))) }
    }

    fn read_node(&mut self, node: NodeProto) -> Result<()> {
        if !is_onnx_domain(&node.domain) {
            return Err(Error::Unsupported(format!("domain '{}'", node.domain)));
        }
        let Some(convert) = operators::find(&node.op_type) else {
            return Err(Error::Unsupported(String::new()));
        };
        let name = display_name(&node).to_owned();
        let weight_name = node.input.get(1).filter(|name| !name.is_empty()).cloned();
        let (imported, outputs) = match operators::follow(&node, self) {
            Some(imported) => (imported, node.output),
            None => {
                let attributes = Attributes::new(node.attribute)?;
                let mut reader = NodeReader::new(name.clone(), node.input, node.output, attributes);
                let imported = convert(&mut reader, self)?;
                reader.attributes.finish()?;
                (imported, reader.into_outputs())
            }
        };
        if let Imported::Outputs(nodes) = imported {
            for (index, name, op, inputs) in nodes {
                self.add_node(name, outputs[index].clone(), op, inputs);
            }
            return Ok(());
        }
        let mut outputs = outputs.into_iter();
        let output = outputs.next().filter(|name| !name.is_empty()).ok_or_else(|| Error::Graph("the node has no output".to_owned()))?;
        self.not_computed.extend(outputs.filter(|name| !name.is_empty()));
        match imported {
            Imported::Constant(encoded) => {
                self.add_constant_source(output, encoded);
            }
            Imported::Node(op, inputs) => {
                self.add_node(name, output, op, inputs);
                if let (Some(weight_name), Some(Node { name, op: Op::Conv2d(_) | Op::Linear(_), .. })) =
                    (weight_name, self.graph.nodes.last())
                {
                    self.graph.weight_names.insert(name.clone(), weight_name);
                }
            }
            Imported::Alias(id) => {
                self.values.insert(output, id);
            }
            Imported::ShapeValue => {
                self.not_computed.insert(output.clone());
                self.shape_values.insert(output);
            }
            Imported::Filled(value) => {
                self.not_computed.insert(output.clone());
                self.filled.insert(output, value);
            }
            Imported::Outputs(_) => {}
        }
        Ok(())
    }

    /// Adds a node and the value `output` that it makes.
    pub fn add_node(&mut self, name: String, output: String, op: Op, inputs: Vec<ValueId>) -> ValueId {
        let input_ranks: Vec<_> = inputs.iter().map(|id| self.ranks[id.index()]).collect();
        let rank = operator_rank(&op, &input_ranks);
        let output = self.add_value(output, rank);
        let name = self.unique_node_name(name);
        self.graph.nodes.push(Node { name, op, inputs, output });
        output
    }

    /// Whether `name` holds integers that were made of shapes.
    pub fn is_shape_value(&self, name: &str) -> bool {
        self.shape_values.contains(name)
    }

    /// The number that `name` holds everywhere, if it is a tensor whose shape is not followed.
    pub fn filled(&self, name: &str) -> Option<f32> {
        self.filled.get(name).copied()
    }

    /// The input that `name` stands for, if it is one that the model declares as integers.
    pub fn whole_number_input(&self, name: &str) -> Option<ValueId> {
        self.values.get(name).copied().filter(|id| self.whole_numbers.contains(id))
    }

    /// A value that the model declares as integers, a constant of integers, or a value of floats that holds whole numbers.
    ///
    /// # Errors
    /// As [`Self::value`], [`Error::DTypeMismatch`].
    pub fn whole_numbers(&mut self, name: &str) -> Result<ValueId> {
        if self.constant_source(name).is_none() {
            return match self.values.get(name) {
                Some(&id) => Ok(id),
                None => self.value(name),
            };
        }
        let numbers: Vec<f32> = self.integers(name)?.into_iter().map(|number| number as f32).collect();
        let constant = self.add_vector(&numbers)?;
        let id = self.graph.add_value(format!("{name}/floats/{}", self.graph.values.len()), ValueType::F32);
        self.ranks.push(Some(1));
        self.graph.values[id.index()].constant = Some(constant);
        Ok(id)
    }

    /// `name`, with a number behind it if a node has it already.
    fn unique_node_name(&mut self, name: String) -> String {
        let Some(&taken) = self.node_names.get(&name) else {
            self.node_names.insert(name.clone(), 1);
            return name;
        };
        let mut number = taken;
        let unique = loop {
            number += 1;
            let candidate = format!("{name}_{number}");
            if !self.node_names.contains_key(&candidate) {
                break candidate;
            }
        };
        self.node_names.insert(name, number);
        self.node_names.insert(unique.clone(), 1);
        unique
    }

    /// The encoded tensor that `name` stands for, if it is constant.
    pub fn constant_source(&self, name: &str) -> Option<Bytes> {
        self.constants.get(name).cloned()
    }

    /// The data of a constant input.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if it is computed, and as [`TensorData::new`].
    pub fn constant(&mut self, name: &str) -> Result<TensorData> {
        if self.lost.contains(name) {
            return Err(Error::NotFound(name.to_owned()));
        }
        let encoded = self.constant_source(name).ok_or_else(|| Error::Unsupported(format!("input '{name}' is not a constant")))?;
        let mut tensor = TensorProto::decode(encoded).map_err(|error| Error::Parse(format!("tensor '{name}': {error}")))?;
        if tensor.name.is_empty() {
            tensor.name = name.to_owned();
        }
        let external = self.external.read(&tensor)?;
        TensorData::new(tensor, external)
    }

    /// The integers of a constant input.
    ///
    /// # Errors
    /// As [`Self::constant`] and [`TensorData::integers`].
    pub fn integers(&mut self, name: &str) -> Result<Vec<i64>> {
        self.constant(name)?.integers()
    }

    /// A constant input as a constant of the graph, in its own layout; one for all that read it.
    ///
    /// # Errors
    /// As [`Self::constant`] and [`TensorData::constant`].
    pub fn plain_constant(&mut self, name: &str) -> Result<ConstantId> {
        let place = self.constants.get(name).map(|encoded| (encoded.as_ptr() as usize, encoded.len()));
        if let Some(&id) = place.and_then(|place| self.decoded.get(&place)) {
            return Ok(id);
        }
        let data = self.constant(name)?;
        let id = self.add_floats(&data, |data| data.constant(&data.dims, |index| index, |value| value))?;
        if let Some(place) = place {
            self.decoded.insert(place, id);
        }
        Ok(id)
    }

    /// Adds the constant that `make` makes of `data`.
    ///
    /// # Errors
    /// As [`Self::spend`], and those of `make`.
    pub fn add_floats(&mut self, data: &TensorData, make: impl FnOnce(&TensorData) -> Result<Constant>) -> Result<ConstantId> {
        self.spend(data.count)?;
        Ok(self.graph.add_constant(make(data)?))
    }

    /// Adds a constant of floats.
    ///
    /// # Errors
    /// As [`Self::spend`].
    pub fn add_constant(&mut self, constant: Constant) -> Result<ConstantId> {
        self.spend(constant.data.len() / size_of::<f32>())?;
        Ok(self.graph.add_constant(constant))
    }

    /// Adds a vector.
    ///
    /// # Errors
    /// As [`Self::spend`], [`Error::OutOfMemory`].
    pub fn add_vector(&mut self, values: &[f32]) -> Result<ConstantId> {
        self.spend(values.len())?;
        Ok(self.graph.add_constant(Constant::f32(values, &[values.len()])?))
    }

    /// Adds a vector of `count` equal numbers.
    ///
    /// # Errors
    /// As [`Self::spend`], [`Error::NotFinite`], [`Error::OutOfMemory`].
    pub fn add_filled_vector(&mut self, value: f32, count: usize) -> Result<ConstantId> {
        self.spend(count)?;
        if !value.is_finite() {
            return Err(Error::NotFinite(format!("a scaled bias is {value}")));
        }
        let mut buffer = AlignedBuffer::zeroed(count.saturating_mul(size_of::<f32>()), "a bias")?;
        bytemuck::cast_slice_mut::<u8, f32>(&mut buffer).fill(value);
        let data = SharedBytes::from_owner(Arc::new(buffer));
        Ok(self.graph.add_constant(Constant { dtype: DType::F32, dims: vec![count], data }))
    }

    /// Accounts for a constant of `count` floats before it is made.
    ///
    /// # Errors
    /// [`Error::Parse`] if the constants would outgrow the files they come from: a weight that thousands of nodes read
    /// in different layouts.
    fn spend(&mut self, count: usize) -> Result<()> {
        let files = self.model_bytes.saturating_add(self.external.total_bytes());
        let most = files.saturating_mul(CONSTANT_SHARE).saturating_add(FREE_CONSTANT_BYTES);
        self.constant_bytes = self.constant_bytes.saturating_add(count.saturating_mul(size_of::<f32>()));
        if self.constant_bytes > most {
            return Err(Error::Parse(format!("the model's constants would take more than {most} bytes")));
        }
        Ok(())
    }

    /// The value of an input, computed or constant.
    ///
    /// # Errors
    /// As [`Self::plain_constant`]; [`Error::Unsupported`] for an output that is not computed.
    pub fn value(&mut self, name: &str) -> Result<ValueId> {
        if let Some(&id) = self.values.get(name) {
            return match self.whole_numbers.contains(&id) {
                true => Err(Error::Unsupported(format!("input '{name}' holds integers, not FLOAT"))),
                false => Ok(id),
            };
        }
        if self.not_computed.contains(name) {
            return Err(Error::Unsupported(format!("input '{name}' is an output that is not computed")));
        }
        let constant = self.plain_constant(name)?;
        let rank = self.graph.constant(constant).dims.len();
        let id = self.add_value(name.to_owned(), Some(rank));
        self.graph.values[id.index()].constant = Some(constant);
        Ok(id)
    }

    /// The number of axes of a value.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if it is not known before shapes are.
    pub fn rank(&self, id: ValueId) -> Result<usize> {
        let name = || self.graph.value(id).name.clone();
        match self.ranks[id.index()] {
            Some(rank) => Ok(rank),
            None if !self.lost.is_empty() => Err(Error::NotFound(name())),
            None => Err(Error::Unsupported(format!("the number of axes of '{}' is not known", name()))),
        }
    }
}

/// A node that reads its first input alone.
pub fn of_first_input(op: Op, node: &NodeReader, importer: &mut Importer) -> Result<Imported> {
    Ok(Imported::Node(op, vec![importer.value(node.required(0)?)?]))
}

/// The declared shape of an input, and whether it holds integers.
fn declared_dims(name: &str, ty: Option<TypeProto>) -> Result<(Vec<Option<usize>>, bool)> {
    let tensor = ty.and_then(|ty| ty.tensor_type);
    let tensor = tensor.ok_or_else(|| Error::Unsupported(format!("input '{name}' is not a tensor")))?;
    let is_whole = matches!(tensor.elem_type, TensorProto::INT32 | TensorProto::INT64);
    if tensor.elem_type != TensorProto::FLOAT && !is_whole {
        return Err(Error::Unsupported(format!("input '{name}' holds {}, not FLOAT", TensorProto::type_name(tensor.elem_type))));
    }
    let shape = tensor.shape.ok_or_else(|| Error::Unsupported(format!("input '{name}' declares no shape")))?;
    let to_dim = |(axis, value): (usize, Option<i64>)| match value.map(usize::try_from) {
        None => Ok(None),
        Some(Ok(dim)) if dim > 0 => Ok(Some(dim)),
        Some(_) => Err(Error::Graph(format!("axis {axis} of input '{name}' has size {}", value.unwrap_or(0)))),
    };
    let dims = shape.dim.into_iter().map(|dim| dim.dim_value).enumerate().map(to_dim).collect::<Result<_>>()?;
    Ok((dims, is_whole))
}

/// `error` with `what` in front.
fn name_error(error: Error, what: &str) -> Error {
    let named = |text: String| format!("{what}: {text}");
    match error {
        Error::Parse(text) => Error::Parse(named(text)),
        Error::Graph(text) => Error::Graph(named(text)),
        Error::ShapeMismatch(text) => Error::ShapeMismatch(named(text)),
        Error::DTypeMismatch(text) => Error::DTypeMismatch(named(text)),
        Error::NotFinite(text) => Error::NotFinite(named(text)),
        other => other,
    }
}
