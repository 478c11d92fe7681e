//! Operators and their attributes. Shapes are logical (ONNX order, `[n, c, h, w]`) whatever the memory layout.
use super::ir::ConstantId;
use super::recurrent::Recurrent;
use crate::packed::WeightShape;
use crate::quantize::DynamicQuantization;
use serde::{Deserialize, Serialize};

/// A fused activation as a clamp: `[0, inf]` for ReLU, `[0, 6]` for ReLU6, `[-inf, inf]` for none. NaN passes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bounds {
    /// Lower end.
    #[serde(with = "crate::tensor::f32_bits")]
    pub low: f32,
    /// Upper end.
    #[serde(with = "crate::tensor::f32_bits")]
    pub high: f32,
}

impl Bounds {
    /// No clamp.
    pub const NONE: Bounds = Bounds { low: f32::NEG_INFINITY, high: f32::INFINITY };
    /// ReLU.
    pub const RELU: Bounds = Bounds { low: 0.0, high: f32::INFINITY };

    /// The clamp; NaN passes.
    #[inline(always)]
    pub fn apply(self, x: f32) -> f32 {
        if x < self.low {
            self.low
        } else if x > self.high {
            self.high
        } else {
            x
        }
    }
}

/// Zero or zero-point pixels around an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Padding {
    /// Pixels on each side.
    Explicit {
        /// Above.
        top: usize,
        /// To the left.
        left: usize,
        /// Below.
        bottom: usize,
        /// To the right.
        right: usize,
    },
    /// ONNX `SAME_UPPER`: the output has `ceil(input / stride)` pixels, an odd one goes to the end.
    SameUpper,
    /// ONNX `SAME_LOWER`: as above, an odd one goes to the start.
    SameLower,
}

impl Padding {
    /// No padding.
    pub const NONE: Padding = Padding::Explicit { top: 0, left: 0, bottom: 0, right: 0 };
}

/// Weights of a convolution or linear layer, `[oc, ic / groups, kh, kw]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConvWeights {
    /// Plain floats in ONNX order; bias `[oc]`.
    Float {
        /// `[oc, ic / groups, kh, kw]` f32.
        weight: ConstantId,
        /// `[oc]` f32.
        bias: Option<ConstantId>,
    },
    /// Floats packed as `crate::packed` says (depthwise convolutions in their own layout).
    PackedFloat {
        /// Packed panels, F32.
        panels: ConstantId,
        /// `[groups][oc of the group padded to 16]` f32 (depthwise: `[c padded to 16]`).
        bias: Option<ConstantId>,
    },
    /// int8, packed as `crate::packed` says, for an output that is quantized with fixed qparams.
    /// `mult` and `bias` are NUMERICS section 5's `m` and `b`; rows padded to 16 channels a group.
    Static {
        /// Packed panels, S8.
        panels: ConstantId,
        /// `[groups][taps][oc of the group padded to 16]` i32: sums of the weights of each tap.
        tap_sums: ConstantId,
        /// `[groups][oc padded]` f32: `s_a * s_w / s_y`, or `s_a * s_w` for a float output.
        mult: ConstantId,
        /// `[groups][oc padded]` f32: `bias / s_y`, or `bias` for a float output.
        bias: ConstantId,
    },
    /// int8 weights for activations quantized at run time; the output is float.
    Dynamic {
        /// Packed panels, S8.
        panels: ConstantId,
        /// As in `Static`.
        tap_sums: ConstantId,
        /// `[groups][oc padded]` f32: `s_w`.
        scale: ConstantId,
        /// `[groups][oc padded]` f32.
        bias: ConstantId,
    },
}

/// A 2-D convolution, with a fused residual (second input) and activation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Conv2d {
    /// Weights and bias.
    pub weights: ConvWeights,
    /// Output channels in all.
    pub out_channels: usize,
    /// Input channels in all.
    pub in_channels: usize,
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
    /// Fused activation.
    pub bounds: Bounds,
}

impl Conv2d {
    /// One input and one output channel a group.
    pub fn is_depthwise(&self) -> bool {
        self.groups > 1 && self.groups == self.in_channels && self.groups == self.out_channels
    }

    /// Shape of one group's weights.
    pub fn weight_shape(&self) -> WeightShape {
        WeightShape { oc: self.out_channels / self.groups, taps: self.kernel[0] * self.kernel[1], ic: self.in_channels / self.groups }
    }
}

/// `y = x * weight^T + bias` over the last axis: input `[.., k]`, output `[.., n]`; a second input is a fused residual.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Linear {
    /// Weights `[n, k, 1, 1]` and bias.
    pub weights: ConvWeights,
    /// `n`.
    pub out_features: usize,
    /// `k`.
    pub in_features: usize,
    /// Fused activation.
    pub bounds: Bounds,
}

/// A pooling window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pool {
    /// `[kh, kw]`.
    pub kernel: [usize; 2],
    /// `[vertical, horizontal]`.
    pub strides: [usize; 2],
    /// `[vertical, horizontal]`.
    pub dilations: [usize; 2],
    /// Pixels around the input.
    pub padding: Padding,
    /// Round the output size up.
    pub ceil_mode: bool,
    /// Average pooling divides by the window's size with its padding.
    pub count_include_pad: bool,
}

/// An operator of one tensor, element by element.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unary {
    /// A clamp: Relu, Clip.
    Clamp(Bounds),
    /// `x < 0 ? alpha * x : x`.
    LeakyRelu {
        /// Slope below zero.
        #[serde(with = "crate::tensor::f32_bits")]
        alpha: f32,
    },
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// `clamp(alpha * x + beta, 0, 1)`, with a fused multiply-add.
    HardSigmoid {
        /// Slope.
        #[serde(with = "crate::tensor::f32_bits")]
        alpha: f32,
        /// Offset.
        #[serde(with = "crate::tensor::f32_bits")]
        beta: f32,
    },
    /// `x * clamp(x / 6 + 1/2, 0, 1)`.
    HardSwish,
}

/// An operator of two tensors, element by element, with ONNX (numpy) broadcasting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Binary {
    /// `a + b`.
    Add,
    /// `a - b`.
    Sub,
    /// `a * b`.
    Mul,
}

/// A change of shape that keeps the row-major order of elements.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reshape {
    /// `[d0 * .. * d(axis-1), rest]`; a negative axis counts from the end.
    Flatten(i64),
    /// ONNX Reshape: 0 copies the input's dimension, -1 takes what is left.
    Dims(Vec<i64>),
    /// Drops axes of size 1; all of them if empty.
    Squeeze(Vec<i64>),
    /// Inserts axes of size 1 (indices into the output).
    Unsqueeze(Vec<i64>),
}

/// Every `step`-th element along an axis, as ONNX Slice has it: a negative bound counts from the end, both are cut to the
/// axis, `end` is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slice {
    /// A negative axis counts from the end.
    pub axis: i64,
    /// The first element.
    pub start: i64,
    /// Where to end.
    pub end: i64,
    /// Elements from one to the next; above 0.
    pub step: i64,
}

impl Slice {
    /// The first element and their number, on an axis of `size`; a step below 1 gives none.
    pub fn range(self, size: usize) -> (usize, usize) {
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        let bound = |at: i64| if at < 0 { at.saturating_add(size) } else { at }.clamp(0, size);
        let (start, end) = (bound(self.start), bound(self.end));
        let count = if self.step < 1 || end <= start { 0 } else { ((end - start - 1) / self.step + 1) as usize };
        (start as usize, count)
    }
}

/// What a node computes. Inputs are listed in order; a constant input is a value with `constant` set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// Inputs: x, and a residual of the output's shape if there is a second.
    Conv2d(Conv2d),
    /// Inputs: x, and a residual of the output's shape if there is a second.
    Linear(Linear),
    /// Inputs: a `[.., m, k]`, b `[.., k, n]`; leading axes broadcast.
    MatMul,
    /// Per channel (axis 1) `fma(x, scale, shift)`: a BatchNormalization that did not fold. Input: x.
    ChannelAffine {
        /// `[c]` f32.
        scale: ConstantId,
        /// `[c]` f32.
        shift: ConstantId,
    },
    /// Input: x.
    Unary(Unary),
    /// A unary operator on bytes as a table of 256 bytes. Input: x (quantized).
    Lookup(ConstantId),
    /// Inputs: a, b; then the fused activation.
    Binary(Binary, Bounds),
    /// Input: x `[n, c, h, w]`.
    MaxPool(Pool),
    /// Input: x `[n, c, h, w]`.
    AveragePool(Pool),
    /// Input: x `[n, c, h, w]`; output `[n, c, 1, 1]`.
    GlobalAveragePool,
    /// Input: x.
    ReduceMean {
        /// Axes; negative ones count from the end; empty means all.
        axes: Vec<i64>,
        /// Keep the reduced axes with size 1.
        keepdims: bool,
    },
    /// Input: x. Over `axis` alone, or over it and all later axes at once (opset below 13).
    Softmax {
        /// A negative axis counts from the end.
        axis: i64,
        /// The old meaning: coerce to 2-D at `axis`.
        flatten: bool,
    },
    /// Input: x.
    Reshape(Reshape),
    /// Input: x. Output axis `i` is input axis `perm[i]`.
    Transpose(Vec<usize>),
    /// Inputs: one or more.
    Concat {
        /// A negative axis counts from the end.
        axis: i64,
    },
    /// Constant padding. Input: x.
    Pad {
        /// Before each axis (negative ones crop).
        before: Vec<i64>,
        /// After each axis.
        after: Vec<i64>,
        /// The fill value.
        #[serde(with = "crate::tensor::f32_bits")]
        value: f32,
    },
    /// Input: x.
    Slice(Slice),
    /// Inputs: x, then those optional ones that [`Recurrent`] says are there.
    Recurrent(Box<Recurrent>),
    /// Passes its input on.
    Identity,
    /// f32 to u8 with the output's qparams. Input: x.
    Quantize,
    /// u8 to f32 with the input's qparams. Input: x.
    Dequantize,
    /// f32 to u8 with qparams of each sample's own minimum and maximum. Input: x.
    DynamicQuantize,
    /// As [`Op::DynamicQuantize`], of another grain, rule or range. Input: x.
    DynamicQuantizeBy(DynamicQuantization),
}

impl ConvWeights {
    /// The constants that hold the weights.
    pub fn constants_mut(&mut self) -> Vec<&mut ConstantId> {
        match self {
            ConvWeights::Float { weight, bias } | ConvWeights::PackedFloat { panels: weight, bias } => {
                std::iter::once(weight).chain(bias).collect()
            }
            ConvWeights::Static { panels, tap_sums, mult, bias } => vec![panels, tap_sums, mult, bias],
            ConvWeights::Dynamic { panels, tap_sums, scale, bias } => vec![panels, tap_sums, scale, bias],
        }
    }
}

impl Op {
    /// Every set of weights: one for a convolution or linear layer, several for a recurrent layer.
    pub fn weights_mut(&mut self) -> Vec<&mut ConvWeights> {
        match self {
            Op::Conv2d(conv) => vec![&mut conv.weights],
            Op::Linear(linear) => vec![&mut linear.weights],
            Op::Recurrent(recurrent) => recurrent.weights_mut(),
            _ => Vec::new(),
        }
    }

    /// The constants that the operator refers to by itself (not through its inputs).
    pub fn constants_mut(&mut self) -> Vec<&mut ConstantId> {
        match self {
            Op::Conv2d(conv) => conv.weights.constants_mut(),
            Op::Linear(linear) => linear.weights.constants_mut(),
            Op::Recurrent(recurrent) => recurrent.weights_mut().into_iter().flat_map(ConvWeights::constants_mut).collect(),
            Op::ChannelAffine { scale, shift } => vec![scale, shift],
            Op::Lookup(table) => vec![table],
            _ => Vec::new(),
        }
    }

    /// How the operator quantizes its input in a run, if it is one that does nothing else.
    pub fn dynamic_quantization(&self) -> Option<DynamicQuantization> {
        match self {
            Op::DynamicQuantize => Some(DynamicQuantization::PER_SAMPLE),
            Op::DynamicQuantizeBy(quantization) => Some(*quantization),
            _ => None,
        }
    }

    /// The operator's name, as in ONNX where it has one there.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Conv2d(_) => "Conv",
            Op::Linear(_) => "Gemm",
            Op::MatMul => "MatMul",
            Op::ChannelAffine { .. } => "BatchNormalization",
            Op::Unary(Unary::Clamp(bounds)) if *bounds == Bounds::RELU => "Relu",
            Op::Unary(Unary::Clamp(_)) => "Clip",
            Op::Unary(Unary::LeakyRelu { .. }) => "LeakyRelu",
            Op::Unary(Unary::Sigmoid) => "Sigmoid",
            Op::Unary(Unary::HardSigmoid { .. }) => "HardSigmoid",
            Op::Unary(Unary::HardSwish) => "HardSwish",
            Op::Lookup(_) => "Lookup",
            Op::Binary(Binary::Add, _) => "Add",
            Op::Binary(Binary::Sub, _) => "Sub",
            Op::Binary(Binary::Mul, _) => "Mul",
            Op::MaxPool(_) => "MaxPool",
            Op::AveragePool(_) => "AveragePool",
            Op::GlobalAveragePool => "GlobalAveragePool",
            Op::ReduceMean { .. } => "ReduceMean",
            Op::Softmax { .. } => "Softmax",
            Op::Reshape(Reshape::Flatten(_)) => "Flatten",
            Op::Reshape(Reshape::Dims(_)) => "Reshape",
            Op::Reshape(Reshape::Squeeze(_)) => "Squeeze",
            Op::Reshape(Reshape::Unsqueeze(_)) => "Unsqueeze",
            Op::Transpose(_) => "Transpose",
            Op::Concat { .. } => "Concat",
            Op::Pad { .. } => "Pad",
            Op::Slice(_) => "Slice",
            Op::Recurrent(recurrent) => recurrent.cell.name(),
            Op::Identity => "Identity",
            Op::Quantize => "QuantizeLinear",
            Op::Dequantize => "DequantizeLinear",
            Op::DynamicQuantize | Op::DynamicQuantizeBy(_) => "DynamicQuantizeLinear",
        }
    }
}
