//! Values, nodes and constants.
use super::ops::Op;
use crate::error::{Error, Result};
use crate::quantize::{QParams, Target};
use crate::tensor::{DType, SharedBytes};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Index of a value in [`Graph::values`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ValueId(pub u32);

/// Index of a constant in [`Graph::constants`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConstantId(pub u32);

impl ValueId {
    /// As a table index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl ConstantId {
    /// As a table index.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Bytes with fixed qparams, and the part of 0..=255 that is used.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct QuantizedType {
    /// Scale and zero point, of the bytes.
    pub qparams: QParams,
    /// Smallest byte: 0, or 64 for a reduced s8 range.
    pub low: u8,
    /// Largest byte: 255, or 127 or 191 for a reduced range.
    pub high: u8,
}

impl QuantizedType {
    /// The type of a tensor that was solved for `target`.
    pub fn new(qparams: QParams, target: Target) -> Self {
        let (low, high) = target.held_range();
        Self { qparams, low: low as u8, high: high as u8 }
    }

    /// The byte that stands for `x` (NUMERICS section 1).
    pub fn byte(self, x: f32) -> u8 {
        self.qparams.quantize(x, i32::from(self.low), i32::from(self.high)) as u8
    }
}

/// Bytes of an image whose channels (axis 1) each have fixed qparams. Only depthwise convolutions read it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ChannelQuantizedType {
    /// `[c]` f32.
    pub scales: ConstantId,
    /// `[c]` i32, of the bytes.
    pub zero_points: ConstantId,
    /// Smallest byte, as in [`QuantizedType`].
    pub low: u8,
    /// Largest byte.
    pub high: u8,
}

/// How a value's elements are held at run time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueType {
    /// f32.
    F32,
    /// u8 with fixed qparams.
    Quantized(QuantizedType),
    /// u8 with fixed qparams of each channel.
    QuantizedByChannel(ChannelQuantizedType),
    /// u8 whose qparams are solved in each run, one set a sample (made by [`Op::DynamicQuantize`]).
    DynamicQuantized,
}

/// A tensor that flows between nodes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Value {
    /// Unique name: the ONNX name where there is one.
    pub name: String,
    /// How its elements are held.
    pub ty: ValueType,
    /// The declared shape of a graph input: `None` for a dimension that the caller chooses. Empty for other values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub declared: Vec<Option<usize>>,
    /// Set where the value is a constant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constant: Option<ConstantId>,
}

/// A dense, row-major constant tensor, or packed bytes.
#[derive(Debug, Clone)]
pub struct Constant {
    /// Element type.
    pub dtype: DType,
    /// Shape.
    pub dims: Vec<usize>,
    /// The elements.
    pub data: SharedBytes,
}

impl Constant {
    /// An f32 constant.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn f32(values: &[f32], dims: &[usize]) -> Result<Self> {
        Ok(Self { dtype: DType::F32, dims: dims.to_vec(), data: SharedBytes::copy_of(values)? })
    }

    /// The elements as floats.
    ///
    /// # Errors
    /// [`Error::DTypeMismatch`] if they are something else.
    pub fn as_f32(&self) -> Result<&[f32]> {
        let mismatch = || Error::DTypeMismatch(format!("a constant holds {}, not f32", self.dtype.name()));
        if self.dtype != DType::F32 {
            return Err(mismatch());
        }
        self.data.cast().ok_or_else(mismatch)
    }
}

/// One operator application.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Node {
    /// Unique name: the ONNX node's, or made from its first output.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// Its inputs; each operator's comment in [`Op`] lists them.
    pub inputs: Vec<ValueId>,
    /// Its only output (no supported operator has more).
    pub output: ValueId,
}

/// A graph whose nodes stand in execution order.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    /// Every value.
    pub values: Vec<Value>,
    /// The nodes, each after the producers of its inputs.
    pub nodes: Vec<Node>,
    /// Constant tensors, referred to by values and by weights of operators.
    pub constants: Vec<Constant>,
    /// Inputs in the caller's order.
    pub inputs: Vec<ValueId>,
    /// Outputs in the caller's order.
    pub outputs: Vec<ValueId>,
    /// By a node's name the name of its weights in the ONNX file. Not part of a model file.
    pub weight_names: BTreeMap<String, String>,
}

impl Graph {
    /// A value.
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.index()]
    }

    /// A constant.
    pub fn constant(&self, id: ConstantId) -> &Constant {
        &self.constants[id.index()]
    }

    /// The constant that a value stands for, if it is one.
    pub fn value_constant(&self, id: ValueId) -> Option<&Constant> {
        self.value(id).constant.map(|constant| self.constant(constant))
    }

    /// Adds a computed or input value.
    pub fn add_value(&mut self, name: impl Into<String>, ty: ValueType) -> ValueId {
        let id = ValueId(self.values.len() as u32);
        self.values.push(Value { name: name.into(), ty, declared: Vec::new(), constant: None });
        id
    }

    /// Adds a constant.
    pub fn add_constant(&mut self, constant: Constant) -> ConstantId {
        let id = ConstantId(self.constants.len() as u32);
        self.constants.push(constant);
        id
    }

    /// Adds a value that stands for a constant.
    pub fn add_constant_value(&mut self, name: impl Into<String>, constant: Constant) -> ValueId {
        let constant = self.add_constant(constant);
        let id = self.add_value(name, ValueType::F32);
        self.values[id.index()].constant = Some(constant);
        id
    }

    /// For each value the index of the node that computes it.
    pub fn producers(&self) -> Vec<Option<usize>> {
        let mut producers = vec![None; self.values.len()];
        for (index, node) in self.nodes.iter().enumerate() {
            producers[node.output.index()] = Some(index);
        }
        producers
    }

    /// For each value how many node inputs and graph outputs read it.
    pub fn use_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.values.len()];
        let uses = self.nodes.iter().flat_map(|node| &node.inputs).chain(&self.outputs);
        for id in uses {
            counts[id.index()] += 1;
        }
        counts
    }
}
