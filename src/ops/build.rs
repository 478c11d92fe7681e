//! From a node and the places of its tensors to the step that runs it. The one place that knows every step.
use super::conv2d::{
    ConvGeometry, F32ConvStep, F32DepthwiseStep, Int8ConvStep, Int8DepthwiseStep, Int8Result, Int8Weights, LayerTensors, OutputScale,
};
use super::elementwise::{BinaryStep, ChannelAffineStep, Int8BinaryStep, LookupStep, UnaryStep, byte_range};
use super::layout::{Element, Order};
use super::linear_rows::Int8RowsStep;
use super::matmul::MatMulStep;
use super::movement::MoveStep;
use super::pool::{GlobalAverageStep, PoolStep, Pooling, average_params};
use super::quantization::{DequantizeStep, DynamicQuantizeStep, ImageRangeStep, QuantizeStep};
use super::quantize_channels::QuantizeChannelsStep;
use super::quantize_rows::QuantizeRowsStep;
use super::recurrent::{DirectionProducts, FloatMatrix, Int8Matrix, Product, RecurrentStep};
use super::reduction::{Reduction, ReductionStep};
use super::step::{Slot, Step, StepInfo, Tensor};
use crate::error::{Error, Result};
use crate::graph::shape_inference::{axis_index, axis_set};
use crate::graph::window::{conv_window, pool_window};
use crate::graph::{
    Bounds, Conv2d, ConvWeights, DirectionWeights, Graph, Linear, Node, Op, Pool, QuantizedType, Recurrent, ValueId, ValueType,
};
use crate::isa::Isa;
use crate::kernels::{
    DepthwiseKernel, F32DepthwiseKernel, F32Kernel, Int8Kernel, Requantize, VectorIsa, depthwise_kernels, f32_depthwise_kernels,
    f32_kernels, int8_kernels,
};
use crate::quantize::requantize::ratio;
use crate::quantize::{DynamicQuantization, Grain};
use crate::tensor::SharedBytes;
use std::sync::{Arc, OnceLock};

const PORTABLE: &str = "every registry ends with a portable kernel";

/// The kernels that a plan uses: the best of each registry below the cap.
pub struct Kernels {
    cap: Isa,
    int8: OnceLock<Arc<dyn Int8Kernel>>,
    depthwise: Arc<dyn DepthwiseKernel>,
    float: Arc<dyn F32Kernel>,
    float_depthwise: Arc<dyn F32DepthwiseKernel>,
    vector: VectorIsa,
}

impl Kernels {
    /// The best kernels that this machine has and `cap` allows. Registries end with a portable kernel, so there is one.
    pub fn best(cap: Isa) -> Self {
        Self {
            cap,
            int8: OnceLock::new(),
            depthwise: depthwise_kernels(cap).into_iter().next().expect(PORTABLE).into(),
            float: f32_kernels(cap).into_iter().next().expect(PORTABLE).into(),
            float_depthwise: f32_depthwise_kernels(cap).into_iter().next().expect(PORTABLE).into(),
            vector: VectorIsa::best(cap),
        }
    }
}

impl Kernels {
    /// The int8 kernel, looked for when the first step wants it: looking may ask the system for AMX, which a plan without int8 must not.
    fn int8(&self) -> Arc<dyn Int8Kernel> {
        let best = || int8_kernels(self.cap).into_iter().next().expect(PORTABLE).into();
        Arc::clone(self.int8.get_or_init(best))
    }

    /// What element loops are compiled for.
    pub fn vector(&self) -> VectorIsa {
        self.vector
    }
}

/// Places of a node's tensors.
pub struct StepInputs {
    /// Its inputs.
    pub inputs: Vec<Tensor>,
    /// The table of run-time qparams, for dynamic quantization and the layers that read its bytes.
    pub qparams: Option<Tensor>,
    /// Its output.
    pub output: Tensor,
}

/// A change of memory order, or a reshape that moves elements.
pub fn copy_step(_kernels: &Kernels, src: Tensor, dst: Tensor) -> Box<dyn Step> {
    let activation_bytes = (src.layout.held_bytes() + dst.layout.held_bytes()) as u64;
    let info = StepInfo { operator: "Reorder", activation_bytes, ..StepInfo::default() };
    Box::new(MoveStep::reorder(info, src, dst))
}

/// What building a step needs to know of its node.
struct Builder<'a> {
    graph: &'a Graph,
    node: &'a Node,
    kernels: &'a Kernels,
    info: StepInfo,
}

/// The step of a node. `part` 0 is the first half of an operator that takes two steps (DynamicQuantize), 1 the rest.
///
/// # Errors
/// Constants that do not fit, or an operator that has no step for these types; the node is named.
pub fn build_step(graph: &Graph, node: &Node, part: usize, tensors: StepInputs, kernels: &Kernels) -> Result<Box<dyn Step>> {
    let (activation_bytes, weight_bytes) = bytes_moved(graph, node, &tensors);
    let info = StepInfo { name: node.name.clone(), operator: node.op.name(), kernel: "", macs: 0, activation_bytes, weight_bytes };
    Builder { graph, node, kernels, info }.build(part, tensors)
}

/// Bytes of a step's tensors, and of its constants: weights by reference, and inputs that are constants.
fn bytes_moved(graph: &Graph, node: &Node, tensors: &StepInputs) -> (u64, u64) {
    let bytes = |tensor: &Tensor| tensor.layout.held_bytes() as u64;
    let (constants, computed): (Vec<&Tensor>, Vec<&Tensor>) =
        tensors.inputs.iter().partition(|tensor| matches!(tensor.slot, Slot::Constant(_)));
    let weights: u64 = node.op.clone().constants_mut().into_iter().map(|id| graph.constant(*id).data.len() as u64).sum();
    let activations = computed.into_iter().map(bytes).sum::<u64>() + bytes(&tensors.output);
    (activations, weights + constants.into_iter().map(bytes).sum::<u64>())
}

impl Builder<'_> {
    fn ty(&self, value: ValueId) -> ValueType {
        self.graph.value(value).ty
    }

    /// The byte type of a value.
    fn bytes(&self, value: ValueId) -> Result<QuantizedType> {
        match self.ty(value) {
            ValueType::Quantized(ty) => Ok(ty),
            _ => Err(Error::Graph(format!("node {}: value {} is not quantized", self.node.name, self.graph.value(value).name))),
        }
    }

    fn data(&self, id: crate::graph::ConstantId) -> SharedBytes {
        self.graph.constant(id).data.clone()
    }

    fn build(self, part: usize, tensors: StepInputs) -> Result<Box<dyn Step>> {
        let (isa, info) = (self.kernels.vector, self.info.clone());
        let StepInputs { inputs, qparams, output: dst } = tensors;
        let is_bytes = dst.layout.element == Element::U8;
        let mut inputs = inputs.into_iter();
        let missing = || Error::Graph(format!("node {} lacks an input", self.node.name));
        let src = inputs.next().ok_or_else(missing)?;
        Ok(match &self.node.op {
            Op::Conv2d(conv) => {
                let geometry = conv_geometry(conv, &src, &dst)?;
                let tensors = LayerTensors { src, residual: inputs.next(), dst };
                self.layer(geometry, &conv.weights, conv.bounds, conv.is_depthwise(), tensors, qparams)?
            }
            Op::Linear(linear) => {
                let geometry = linear_geometry(linear, &dst);
                let tensors = LayerTensors { src, residual: inputs.next(), dst };
                self.layer(geometry, &linear.weights, linear.bounds, false, tensors, qparams)?
            }
            Op::MatMul => Box::new(MatMulStep::new(info, Arc::clone(&self.kernels.float), src, inputs.next().ok_or_else(missing)?, dst)?),
            Op::ChannelAffine { scale, shift } => {
                let (scale, shift) = (self.data(*scale), self.data(*shift));
                Box::new(ChannelAffineStep::new(info, isa, scale, shift, src, dst)?)
            }
            Op::Unary(unary) => Box::new(UnaryStep { info, unary: *unary, isa, src, dst }),
            Op::Lookup(table) => Box::new(LookupStep::new(info, &self.data(*table), src, dst)?),
            Op::Binary(op, bounds) => {
                let other = inputs.next().ok_or_else(missing)?;
                if is_bytes {
                    let [a, b] = [self.node.inputs[0], self.node.inputs[1]];
                    let types = [self.bytes(a)?, self.bytes(b)?, self.bytes(self.node.output)?];
                    Box::new(Int8BinaryStep::new(info, isa, *op, *bounds, [src, other, dst], types)?)
                } else {
                    Box::new(BinaryStep::new(info, isa, *op, *bounds, src, other, dst))
                }
            }
            Op::MaxPool(pool) => self.pool(pool, Pooling::Max, src, dst)?,
            Op::AveragePool(pool) => {
                let pooling = if is_bytes { Pooling::AverageBytes(self.average()?) } else { Pooling::Average };
                self.pool(pool, pooling, src, dst)?
            }
            Op::GlobalAveragePool => {
                let bytes = if is_bytes { Some(self.average()?) } else { None };
                Box::new(GlobalAverageStep { info, isa, bytes, src, dst })
            }
            Op::ReduceMean { axes, .. } => {
                let shape = reduced_shape(&src, axes)?;
                Box::new(ReductionStep { info, isa, reduction: Reduction::Mean, shape, src, dst })
            }
            Op::Softmax { axis, flatten } => {
                let axis = axis_index(*axis, src.layout.dims.len())?;
                let end = if *flatten { src.layout.dims.len() } else { axis + 1 };
                let shape = split_shape(&src.layout.dims, axis..end);
                Box::new(ReductionStep { info, isa, reduction: Reduction::Softmax, shape, src, dst })
            }
            Op::Reshape(_) | Op::Identity => Box::new(MoveStep::reorder(info, src, dst)),
            Op::Transpose(perm) => Box::new(MoveStep::transpose(info, src, dst, perm)),
            Op::Concat { axis } => {
                let axis = axis_index(*axis, dst.layout.dims.len())?;
                Box::new(MoveStep::concat(info, std::iter::once(src).chain(inputs).collect(), dst, axis))
            }
            Op::Pad { before, value, .. } => {
                let fill = if is_bytes { [self.bytes(self.node.output)?.byte(*value); 4] } else { value.to_ne_bytes() };
                Box::new(MoveStep::pad(info, src, dst, before, fill))
            }
            Op::Slice(slice) => {
                let axis = axis_index(slice.axis, src.layout.dims.len())?;
                Box::new(MoveStep::slice(info, src, dst, axis, *slice))
            }
            Op::Recurrent(layer) => {
                let name = self.graph.value(self.node.inputs[0]).name.clone();
                let inputs = std::iter::once(src).chain(inputs).collect();
                Box::new(RecurrentStep::new(info, isa, layer, self.recurrent_products(layer)?, inputs, dst, name)?)
            }
            Op::Quantize => match self.ty(self.node.output) {
                ValueType::QuantizedByChannel(ty) => {
                    let tables = [self.data(ty.scales), self.data(ty.zero_points)];
                    Box::new(QuantizeChannelsStep::new(info, isa, tables, [ty.low, ty.high], src, dst)?)
                }
                _ => Box::new(QuantizeStep::new(info, isa, self.bytes(self.node.output)?, src, dst)),
            },
            Op::Dequantize => Box::new(DequantizeStep { info, isa, qparams: self.bytes(self.node.inputs[0])?.qparams, src, dst }),
            Op::DynamicQuantize | Op::DynamicQuantizeBy(_) => self.dynamic_quantize(part, src, qparams, dst)?,
        })
    }

    fn pool(&self, pool: &Pool, pooling: Pooling, src: Tensor, dst: Tensor) -> Result<Box<dyn Step>> {
        let window = pool_window(pool, [src.layout.dims[2], src.layout.dims[3]])?;
        Ok(Box::new(PoolStep::new(self.info.clone(), self.kernels.vector, pool.clone(), window, pooling, src, dst)))
    }

    fn average(&self) -> Result<crate::kernels::pool::AverageParams> {
        Ok(average_params(self.bytes(self.node.inputs[0])?, self.bytes(self.node.output)?))
    }

    /// A convolution or linear layer, by the kind of its weights.
    fn layer(
        &self,
        geometry: ConvGeometry,
        weights: &ConvWeights,
        bounds: Bounds,
        depthwise: bool,
        tensors: LayerTensors,
        qparams: Option<Tensor>,
    ) -> Result<Box<dyn Step>> {
        let info = self.info.clone();
        let (int8, scale) = match weights {
            ConvWeights::Float { .. } => return Err(Error::Graph(format!("node {}: float weights are not packed", self.node.name))),
            ConvWeights::PackedFloat { panels, bias } => {
                let (panels, bias) = (self.data(*panels), bias.map(|bias| self.data(bias)));
                return Ok(if depthwise {
                    let kernel = Arc::clone(&self.kernels.float_depthwise);
                    Box::new(F32DepthwiseStep::new(info, kernel, geometry, panels, bias, tensors, bounds)?)
                } else {
                    Box::new(F32ConvStep::new(info, Arc::clone(&self.kernels.float), geometry, panels, bias, tensors, bounds)?)
                });
            }
            ConvWeights::Static { panels, tap_sums, mult, bias } => {
                let scale = match self.ty(self.node.inputs[0]) {
                    ValueType::QuantizedByChannel(ty) if depthwise => {
                        OutputScale::StaticChannels { zero_points: self.data(ty.zero_points) }
                    }
                    _ => OutputScale::Static { zero_point: self.bytes(self.node.inputs[0])?.qparams.zero_point },
                };
                (self.int8_weights([*panels, *tap_sums, *mult, *bias]), scale)
            }
            ConvWeights::Dynamic { panels, tap_sums, scale, bias } => {
                let (table, int8) = (self.table(qparams)?, self.int8_weights([*panels, *tap_sums, *scale, *bias]));
                if matches!(self.node.op, Op::Linear(_)) {
                    let (isa, kernel) = (self.kernels.vector, self.kernels.int8());
                    return Ok(Box::new(Int8RowsStep::new(info, isa, kernel, geometry, int8, table, tensors, bounds)?));
                }
                (int8, OutputScale::Dynamic(table))
            }
        };
        let result = self.int8_result(bounds)?;
        Ok(if depthwise {
            Box::new(Int8DepthwiseStep::new(info, Arc::clone(&self.kernels.depthwise), geometry, int8, scale, tensors, result)?)
        } else {
            Box::new(Int8ConvStep::new(info, self.kernels.int8(), geometry, int8, scale, tensors, result)?)
        })
    }

    /// Dynamic quantization: two steps (the range, then the bytes), or one for all where each row has its own qparams.
    fn dynamic_quantize(&self, part: usize, src: Tensor, table: Option<Tensor>, dst: Tensor) -> Result<Box<dyn Step>> {
        let (info, isa) = (self.info.clone(), self.kernels.vector);
        let quantization = self.node.op.dynamic_quantization().unwrap_or(DynamicQuantization::PER_SAMPLE);
        if part == 0 {
            return Ok(Box::new(ImageRangeStep { info, isa, quantization, src, table: dst }));
        }
        let table = self.table(table)?;
        let name = self.graph.value(self.node.inputs[0]).name.clone();
        Ok(match quantization.grain {
            Grain::PerRow => Box::new(QuantizeRowsStep { info, isa, quantization, given: false, src, table, dst, name }),
            _ => Box::new(DynamicQuantizeStep::new(info, isa, quantization, [src, table, dst], name)),
        })
    }

    /// The table of run-time qparams.
    fn table(&self, table: Option<Tensor>) -> Result<Tensor> {
        table.ok_or_else(|| Error::Graph(format!("node {} has no run-time qparams", self.node.name)))
    }

    /// The matrices of a recurrent layer, one set a direction.
    fn recurrent_products(&self, layer: &Recurrent) -> Result<Vec<DirectionProducts>> {
        let mut products = layer.products().into_iter().map(|(sizes, weights)| self.product(layer, sizes, weights));
        let mut next = || products.next().unwrap_or_else(|| Err(Error::Graph(format!("node {} lacks weights", self.node.name))));
        let of_direction = |weights: &DirectionWeights| {
            let (input, recurrent) = (next()?, next()?);
            let candidate = weights.candidate.as_ref().map(|_| next()).transpose()?;
            Ok(DirectionProducts { input, recurrent, candidate })
        };
        layer.weights.iter().map(of_direction).collect()
    }

    fn product(&self, layer: &Recurrent, sizes: [usize; 2], weights: &ConvWeights) -> Result<Product> {
        let node = &self.node.name;
        match (weights, layer.activation) {
            (ConvWeights::PackedFloat { panels, bias }, None) => {
                let kernel = Arc::clone(&self.kernels.float);
                Product::float(node, sizes, FloatMatrix { kernel, panels: self.data(*panels), bias: bias.map(|bias| self.data(bias)) })
            }
            (ConvWeights::Dynamic { panels, tap_sums, scale, bias }, Some(quantization)) => {
                let (kernel, weights) = (self.kernels.int8(), self.int8_weights([*panels, *tap_sums, *scale, *bias]));
                Product::int8(node, sizes, Int8Matrix { kernel, weights, quantization })
            }
            _ => Err(Error::Graph(format!("node {node}: its weights are not packed"))),
        }
    }

    fn int8_weights(&self, [panels, tap_sums, scale, bias]: [crate::graph::ConstantId; 4]) -> Int8Weights {
        Int8Weights { panels: self.data(panels), tap_sums: self.data(tap_sums), scale: self.data(scale), bias: self.data(bias) }
    }

    /// The epilogue: bytes where the output is quantized, else floats.
    fn int8_result(&self, bounds: Bounds) -> Result<Int8Result> {
        let ValueType::Quantized(output) = self.ty(self.node.output) else { return Ok(Int8Result::F32(bounds)) };
        let range = byte_range(output, bounds);
        let requantize = Requantize {
            zero_point: range.zero_point,
            low: (range.low - range.zero_point) as f32,
            high: (range.high - range.zero_point) as f32,
            within_i32: false,
        };
        let residual = match self.node.inputs.get(1) {
            Some(&residual) => {
                let qparams = self.bytes(residual)?.qparams;
                (qparams.zero_point, ratio(qparams.scale, output.qparams.scale)?)
            }
            None => (0, 0.0),
        };
        Ok(Int8Result::U8 { requantize, residual })
    }
}

fn conv_geometry(conv: &Conv2d, src: &Tensor, dst: &Tensor) -> Result<ConvGeometry> {
    let input = [src.layout.dims[2], src.layout.dims[3]];
    let window = conv_window(conv, input)?;
    Ok(ConvGeometry {
        input,
        output: [dst.layout.dims[2], dst.layout.dims[3]],
        kernel: conv.kernel,
        strides: conv.strides,
        dilations: conv.dilations,
        pad_begin: window.begin,
        groups: conv.groups,
        in_channels: conv.in_channels,
        out_channels: conv.out_channels,
    })
}

fn linear_geometry(linear: &Linear, dst: &Tensor) -> ConvGeometry {
    let images = dst.layout.dims.first().copied().unwrap_or(1);
    let rows = dst.layout.len() / linear.out_features.max(1) / images.max(1);
    ConvGeometry::linear(rows, linear.in_features, linear.out_features)
}

/// `[before, axes, behind]` of neighbouring axes.
fn split_shape(dims: &[usize], axes: std::ops::Range<usize>) -> [usize; 3] {
    [dims[..axes.start].iter().product(), dims[axes.clone()].iter().product(), dims[axes.end..].iter().product()]
}

/// `[outer, n, inner]` of the reduced axes, which must be neighbours.
fn reduced_shape(src: &Tensor, axes: &[i64]) -> Result<[usize; 3]> {
    let dims = &src.layout.dims;
    debug_assert_eq!(src.layout.order, Order::RowMajor);
    if axes.is_empty() {
        return Ok(split_shape(dims, 0..dims.len()));
    }
    let reduced = axis_set(axes, dims.len())?;
    let first = reduced.iter().position(|&listed| listed).unwrap_or(0);
    let count = reduced.iter().filter(|&&listed| listed).count();
    if !reduced[first..first + count].iter().all(|&listed| listed) {
        return Err(Error::Unsupported(format!("ReduceMean over axes {axes:?}, which are not neighbours")));
    }
    Ok(split_shape(dims, first..first + count))
}
