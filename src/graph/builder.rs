//! Builds a float graph node by node: for the C API's graph builder and for tests.
mod layer_floats;
mod recurrent;

pub use layer_floats::LayerFloats;
pub use recurrent::{RecurrentArrays, RecurrentAttributes, RecurrentInputs, RecurrentOutputs};

use super::batch_norm::BatchNorm;
use super::ir::{ConstantId, Graph, Node, ValueId, ValueType};
use super::ops::{Binary, Bounds, Conv2d, ConvWeights, Linear, Op, Padding, Pool, Reshape, Unary};
use super::validate::{check_finite, validate};
use crate::error::{Error, Result};
use crate::tensor::element_count;
use std::collections::HashSet;

/// The attributes of a convolution that its weights do not tell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Conv2dAttributes {
    /// Input channels in all.
    pub in_channels: usize,
    /// Output channels in all.
    pub out_channels: usize,
    /// `[kh, kw]`.
    pub kernel: [usize; 2],
    /// `[vertical, horizontal]`.
    pub strides: [usize; 2],
    /// `[vertical, horizontal]`.
    pub dilations: [usize; 2],
    /// Pixels around the input.
    pub padding: Padding,
    /// Groups; `in_channels` for depthwise.
    pub groups: usize,
}

impl Conv2dAttributes {
    /// Stride 1, no dilation, no padding, one group.
    pub fn new(in_channels: usize, out_channels: usize, kernel: [usize; 2]) -> Self {
        Self { in_channels, out_channels, kernel, strides: [1; 2], dilations: [1; 2], padding: Padding::NONE, groups: 1 }
    }
}

/// A graph under construction.
///
/// Every method that adds a node takes the node's name, which its output bears as well; an empty name is made from the
/// operator. Names must be unique. Each returns the output value; ids of another builder are refused or mean a value of
/// this one. Weights are copied unless they are
/// [`LayerFloats::Shared`]. A method that fails adds no value and no node.
#[derive(Debug, Clone, Default)]
pub struct GraphBuilder {
    graph: Graph,
    names: HashSet<String>,
}

impl GraphBuilder {
    /// An empty graph.
    pub fn new() -> Self {
        Self::default()
    }

    fn claim(&mut self, name: &str, operator: &str) -> Result<String> {
        let name = match name {
            "" => (self.graph.nodes.len()..).map(|n| format!("{operator}_{n}")).find(|name| !self.names.contains(name)).unwrap_or_default(),
            name => name.to_owned(),
        };
        if !self.names.insert(name.clone()) {
            return Err(Error::Graph(format!("the name '{name}' is taken")));
        }
        Ok(name)
    }

    fn floats<'a>(&mut self, what: &str, floats: impl Into<LayerFloats<'a>>, dims: &[usize]) -> Result<ConstantId> {
        let floats = floats.into();
        let values = floats.values(what)?;
        if element_count(dims) != Some(values.len()) {
            return Err(Error::ShapeMismatch(format!("{what}: {} numbers for the shape {dims:?}", values.len())));
        }
        check_finite(values, what)?;
        Ok(self.graph.add_constant(floats.constant(dims)?))
    }

    fn weights<'a>(
        &mut self,
        name: &str,
        weights: impl Into<LayerFloats<'a>>,
        dims: [usize; 4],
        bias: Option<&[f32]>,
    ) -> Result<ConvWeights> {
        if let Some(bias) = bias {
            check_finite(bias, &format!("bias of '{name}'"))?;
        }
        let weight = self.floats(&format!("weights of '{name}'"), weights, &dims)?;
        let bias = bias.map(|bias| self.floats(&format!("bias of '{name}'"), bias, &dims[..1])).transpose()?;
        Ok(ConvWeights::Float { weight, bias })
    }

    /// An input; `None` stands for a dimension that the caller chooses at run time.
    ///
    /// # Errors
    /// [`Error::Graph`] if the name is taken.
    pub fn input(&mut self, name: &str, dims: &[Option<usize>]) -> Result<ValueId> {
        let name = self.claim(name, "input")?;
        let id = self.graph.add_value(name, ValueType::F32);
        self.graph.values[id.index()].declared = dims.to_vec();
        self.graph.inputs.push(id);
        Ok(id)
    }

    /// A constant tensor.
    ///
    /// # Errors
    /// [`Error::Graph`] if the name is taken, [`Error::ShapeMismatch`], [`Error::NotFinite`], [`Error::OutOfMemory`].
    pub fn constant(&mut self, name: &str, values: &[f32], dims: &[usize]) -> Result<ValueId> {
        let constant = self.floats(&format!("constant '{name}'"), values, dims)?;
        let name = self.claim(name, "constant")?;
        let id = self.graph.add_value(name, ValueType::F32);
        self.graph.values[id.index()].constant = Some(constant);
        Ok(id)
    }

    /// A constant tensor that operators refer to by themselves; `what` names it in errors.
    ///
    /// # Errors
    /// [`Error::ShapeMismatch`], [`Error::NotFinite`], [`Error::OutOfMemory`].
    pub fn constant_tensor(&mut self, what: &str, values: &[f32], dims: &[usize]) -> Result<ConstantId> {
        self.floats(what, values, dims)
    }

    /// A node of any operator whose constants, if it has some, are in the graph.
    ///
    /// # Errors
    /// [`Error::Graph`] if the name is taken or an input is not there.
    pub fn node(&mut self, name: &str, op: Op, inputs: &[ValueId]) -> Result<ValueId> {
        if let Some(id) = inputs.iter().find(|id| id.index() >= self.graph.values.len()) {
            return Err(Error::Graph(format!("node '{name}' reads value {}, which is not there", id.0)));
        }
        let name = self.claim(name, op.name())?;
        let output = self.graph.add_value(name.clone(), ValueType::F32);
        self.graph.nodes.push(Node { name, op, inputs: inputs.to_vec(), output });
        Ok(output)
    }

    /// A convolution of `[n, ic, h, w]` with weights `[oc, ic / groups, kh, kw]` and bias `[oc]`.
    ///
    /// # Errors
    /// As [`Self::constant`]; [`Error::InvalidArgument`] for 0 groups.
    pub fn conv2d<'a>(
        &mut self,
        name: &str,
        x: ValueId,
        weights: impl Into<LayerFloats<'a>>,
        bias: Option<&[f32]>,
        attributes: Conv2dAttributes,
    ) -> Result<ValueId> {
        let Conv2dAttributes { in_channels, out_channels, kernel, strides, dilations, padding, groups } = attributes;
        if groups == 0 || !in_channels.is_multiple_of(groups) {
            return Err(Error::InvalidArgument(format!("'{name}': {in_channels} input channels in {groups} groups")));
        }
        let weights = self.weights(name, weights, [out_channels, in_channels / groups, kernel[0], kernel[1]], bias)?;
        let bounds = Bounds::NONE;
        let conv = Conv2d { weights, out_channels, in_channels, kernel, strides, dilations, padding, groups, bounds };
        self.node(name, Op::Conv2d(conv), &[x])
    }

    /// `y = x * weights^T + bias` with weights `[out_features, in_features]` and bias `[out_features]`.
    ///
    /// # Errors
    /// As [`Self::constant`].
    pub fn linear<'a>(
        &mut self,
        name: &str,
        x: ValueId,
        weights: impl Into<LayerFloats<'a>>,
        bias: Option<&[f32]>,
        out_features: usize,
        in_features: usize,
    ) -> Result<ValueId> {
        let weights = self.weights(name, weights, [out_features, in_features, 1, 1], bias)?;
        self.node(name, Op::Linear(Linear { weights, out_features, in_features, bounds: Bounds::NONE }), &[x])
    }

    /// A product of matrices `[.., m, k]` and `[.., k, n]`.
    ///
    /// # Errors
    /// As [`Self::node`].
    pub fn matmul(&mut self, name: &str, a: ValueId, b: ValueId) -> Result<ValueId> {
        self.node(name, Op::MatMul, &[a, b])
    }

    /// A BatchNormalization with running statistics, on axis 1.
    ///
    /// # Errors
    /// As [`Self::constant`] and [`BatchNorm::scale_and_shift`].
    pub fn batch_norm(&mut self, name: &str, x: ValueId, parameters: &BatchNorm<'_>) -> Result<ValueId> {
        let (scale, shift) = parameters.scale_and_shift()?;
        let scale = self.floats("scale", &scale, &[scale.len()])?;
        let shift = self.floats("shift", &shift, &[shift.len()])?;
        self.node(name, Op::ChannelAffine { scale, shift }, &[x])
    }

    /// An operator of one tensor, element by element.
    ///
    /// # Errors
    /// As [`Self::node`].
    pub fn unary(&mut self, name: &str, x: ValueId, unary: Unary) -> Result<ValueId> {
        self.node(name, Op::Unary(unary), &[x])
    }

    /// `max(x, 0)`.
    ///
    /// # Errors
    /// As [`Self::node`].
    pub fn relu(&mut self, name: &str, x: ValueId) -> Result<ValueId> {
        self.unary(name, x, Unary::Clamp(Bounds::RELU))
    }

    /// `min(max(x, low), high)`; infinities stand for an open end.
    ///
    /// # Errors
    /// As [`Self::node`].
    pub fn clip(&mut self, name: &str, x: ValueId, low: f32, high: f32) -> Result<ValueId> {
        self.unary(name, x, Unary::Clamp(Bounds { low, high }))
    }

    /// An operator of two tensors, element by element, with broadcasting.
    ///
    /// # Errors
    /// As [`Self::node`].
    pub fn binary(&mut self, name: &str, binary: Binary, a: ValueId, b: ValueId) -> Result<ValueId> {
        self.node(name, Op::Binary(binary, Bounds::NONE), &[a, b])
    }

    /// `a + b`.
    ///
    /// # Errors
    /// As [`Self::node`].
    pub fn add(&mut self, name: &str, a: ValueId, b: ValueId) -> Result<ValueId> {
        self.binary(name, Binary::Add, a, b)
    }

    /// Max pooling of `[n, c, h, w]`.
    ///
    /// # Errors
    /// As [`Self::node`].
    pub fn max_pool(&mut self, name: &str, x: ValueId, pool: Pool) -> Result<ValueId> {
        self.node(name, Op::MaxPool(pool), &[x])
    }

    /// Average pooling of `[n, c, h, w]`.
    ///
    /// # Errors
    /// As [`Self::node`].
    pub fn average_pool(&mut self, name: &str, x: ValueId, pool: Pool) -> Result<ValueId> {
        self.node(name, Op::AveragePool(pool), &[x])
    }

    /// `[n, c, h, w]` to `[n, c, 1, 1]`.
    ///
    /// # Errors
    /// As [`Self::node`].
    pub fn global_average_pool(&mut self, name: &str, x: ValueId) -> Result<ValueId> {
        self.node(name, Op::GlobalAveragePool, &[x])
    }

    /// The mean over `axes`; over all if empty.
    ///
    /// # Errors
    /// As [`Self::node`].
    pub fn reduce_mean(&mut self, name: &str, x: ValueId, axes: &[i64], keepdims: bool) -> Result<ValueId> {
        self.node(name, Op::ReduceMean { axes: axes.to_vec(), keepdims }, &[x])
    }

    /// Softmax over `axis` alone.
    ///
    /// # Errors
    /// As [`Self::node`].
    pub fn softmax(&mut self, name: &str, x: ValueId, axis: i64) -> Result<ValueId> {
        self.node(name, Op::Softmax { axis, flatten: false }, &[x])
    }

    /// Two axes: those before `axis`, and the rest.
    ///
    /// # Errors
    /// As [`Self::node`].
    pub fn flatten(&mut self, name: &str, x: ValueId, axis: i64) -> Result<ValueId> {
        self.node(name, Op::Reshape(Reshape::Flatten(axis)), &[x])
    }

    /// Another shape; 0 copies the input's dimension, -1 takes what is left.
    ///
    /// # Errors
    /// As [`Self::node`].
    pub fn reshape(&mut self, name: &str, x: ValueId, dims: &[i64]) -> Result<ValueId> {
        self.node(name, Op::Reshape(Reshape::Dims(dims.to_vec())), &[x])
    }

    /// Drops axes of size 1; all of them if `axes` is empty.
    ///
    /// # Errors
    /// As [`Self::node`].
    pub fn squeeze(&mut self, name: &str, x: ValueId, axes: &[i64]) -> Result<ValueId> {
        self.node(name, Op::Reshape(Reshape::Squeeze(axes.to_vec())), &[x])
    }

    /// Inserts axes of size 1 at these indices of the output.
    ///
    /// # Errors
    /// As [`Self::node`].
    pub fn unsqueeze(&mut self, name: &str, x: ValueId, axes: &[i64]) -> Result<ValueId> {
        self.node(name, Op::Reshape(Reshape::Unsqueeze(axes.to_vec())), &[x])
    }

    /// Output axis `i` is input axis `perm[i]`.
    ///
    /// # Errors
    /// As [`Self::node`].
    pub fn transpose(&mut self, name: &str, x: ValueId, perm: &[usize]) -> Result<ValueId> {
        self.node(name, Op::Transpose(perm.to_vec()), &[x])
    }

    /// Joins tensors on `axis`.
    ///
    /// # Errors
    /// As [`Self::node`].
    pub fn concat(&mut self, name: &str, inputs: &[ValueId], axis: i64) -> Result<ValueId> {
        self.node(name, Op::Concat { axis }, inputs)
    }

    /// Constant padding, one number an axis on each side; negative ones crop.
    ///
    /// # Errors
    /// As [`Self::node`].
    pub fn pad(&mut self, name: &str, x: ValueId, before: &[i64], after: &[i64], value: f32) -> Result<ValueId> {
        self.node(name, Op::Pad { before: before.to_vec(), after: after.to_vec(), value }, &[x])
    }

    /// The finished graph, checked as an imported one is.
    ///
    /// # Errors
    /// As [`validate`].
    pub fn finish(mut self, outputs: &[ValueId]) -> Result<Graph> {
        self.graph.outputs = outputs.to_vec();
        validate(&self.graph)?;
        Ok(self.graph)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_built_graph_lists_its_nodes_in_order() {
        let mut builder = GraphBuilder::new();
        let x = builder.input("x", &[None, Some(2), Some(4), Some(4)]).unwrap();
        let conv = builder.conv2d("conv", x, &[0.5; 6], Some(&[1.0; 3]), Conv2dAttributes::new(2, 3, [1, 1])).unwrap();
        let relu = builder.relu("", conv).unwrap();
        let graph = builder.finish(&[relu]).unwrap();
        assert_eq!(graph.nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>(), ["conv", "Relu_1"]);
        let Op::Conv2d(Conv2d { weights: ConvWeights::Float { weight, bias: Some(bias) }, .. }) = &graph.nodes[0].op else {
            panic!("not a convolution with a bias");
        };
        assert_eq!(graph.constant(*weight).dims, [3, 2, 1, 1]);
        assert_eq!(graph.constant(*bias).as_f32().unwrap(), [1.0; 3]);
        assert_eq!(graph.outputs, [relu]);
    }

    #[test]
    fn taken_names_wrong_counts_and_bad_numbers_are_refused() {
        let mut builder = GraphBuilder::new();
        let x = builder.input("x", &[None, Some(2)]).unwrap();
        assert!(matches!(builder.relu("x", x), Err(Error::Graph(text)) if text.contains("'x'")));
        assert!(matches!(builder.linear("l", x, &[0.0; 5], None, 3, 2), Err(Error::ShapeMismatch(_))));
        let nan = builder.linear("l", x, &[0.0, f32::NAN], None, 1, 2);
        assert!(matches!(nan, Err(Error::NotFinite(text)) if text.contains("weights of 'l'") && text.contains("element 1")));
        assert!(matches!(builder.relu("r", ValueId(99)), Err(Error::Graph(_))));
        let zero = Conv2dAttributes { groups: 0, ..Conv2dAttributes::new(2, 2, [1, 1]) };
        assert!(matches!(builder.conv2d("c", x, &[], None, zero), Err(Error::InvalidArgument(_))));
        assert!(builder.linear("l", x, &[0.0; 6], Some(&[0.0; 3]), 3, 2).is_ok());
    }
}
