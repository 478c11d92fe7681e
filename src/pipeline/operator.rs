//! The operator door: int8 layers on a caller's own tensors, without a graph. A layer is planned as a model's would be, by
//! the same code, so its bits are a model's.
mod dynamic_gemm;

use super::context::Context;
use crate::error::{Error, Result};
use crate::graph::passes::pack_float::WeightLayout;
use crate::graph::passes::quantize_weights::{InputScales, PackedPanels, pack_weights, static_from_packed};
use crate::graph::window::conv_window;
use crate::graph::{Bounds, Conv2d, Graph, Linear, Node, Op, Padding, QuantizedType, ValueType};
use crate::kernels::VectorIsa;
use crate::memory;
use crate::ops::{Element, Kernels, Order, Slot, StepInputs, Tensor, TensorLayout, build_step};
use crate::packed::WeightShape;
use crate::quantize::{MAX_DEPTH, QParams, WeightQConfig, quantize_weights};
use crate::runtime::{DynamicRows, FlatQuantization, SingleStep, SingleStepTensors, span_bytes};
use crate::tensor::{AlignedBuffer, element_count};
use crate::threads::Executor as Threads;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};

pub use dynamic_gemm::DynamicGemmOptions;

/// The most pixels along an axis of an image, and of padding.
const MAX_PIXELS: usize = 1 << 20;

/// Sizes of a layer's weights, `[out_channels, in_channels / groups, kernel]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WeightSizes {
    /// Output channels of all groups; `n` of a GEMM.
    pub out_channels: usize,
    /// Input channels of all groups; `k` of a GEMM.
    pub in_channels: usize,
    /// Groups; as many as channels for a depthwise convolution.
    pub groups: usize,
    /// `[height, width]`; `[1, 1]` for a GEMM.
    pub kernel: [usize; 2],
}

/// Weights as a caller has them, in the order of [`WeightSizes`].
#[derive(Debug, Clone, Copy)]
pub enum WeightValues<'a> {
    /// Integers with a scale for each output channel, or one for all.
    S8(&'a [i8], &'a [f32]),
    /// Floats, to be quantized as NUMERICS section 2 says.
    F32(&'a [f32], WeightQConfig),
}

struct PackedData {
    sizes: WeightSizes,
    layout: WeightLayout,
    panels: PackedPanels,
    scales: Vec<f32>,
    bias: Vec<f32>,
}

/// Immutable packed weights and bias of a convolution or GEMM, cheap to clone.
#[derive(Clone)]
pub struct PackedWeights(Arc<PackedData>);

impl WeightSizes {
    /// Sizes that describe a layer, as the layout of its weights.
    fn layout(self) -> Result<WeightLayout> {
        let Self { out_channels, in_channels, groups, kernel } = self;
        let refuse = |why: &str| Error::InvalidArgument(format!("weights of {self:?}: {why}"));
        if [out_channels, in_channels, groups, kernel[0], kernel[1]].contains(&0) {
            return Err(refuse("a size is 0"));
        }
        if !in_channels.is_multiple_of(groups) || !out_channels.is_multiple_of(groups) {
            return Err(refuse("the groups do not divide the channels"));
        }
        let depth = element_count(&[in_channels / groups, kernel[0], kernel[1]]);
        let Some(depth) = depth.filter(|&depth| depth <= MAX_DEPTH) else {
            return Err(Error::Unsupported(format!("weights of {self:?}: sums of more than {MAX_DEPTH} products may leave 32 bits")));
        };
        if out_channels.checked_mul(depth).and_then(|count| count.checked_mul(64)).is_none_or(|bytes| bytes > isize::MAX as usize) {
            return Err(refuse("more than memory holds"));
        }
        let shape = WeightShape { oc: out_channels / groups, taps: kernel[0] * kernel[1], ic: in_channels / groups };
        Ok(WeightLayout { shape, groups, depthwise: groups > 1 && groups == in_channels && groups == out_channels })
    }
}

impl PackedWeights {
    /// Packs weights; `bias` is one float an output channel, zeros if `None`.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for sizes of no layer and scales that are not finite and above zero, [`Error::ShapeMismatch`] for
    /// another number of values, [`Error::NotFinite`] naming a weight's or bias' index, [`Error::Unsupported`] for sums too
    /// long for 32 bits, [`Error::OutOfMemory`].
    pub fn new(sizes: WeightSizes, values: WeightValues<'_>, bias: Option<&[f32]>) -> Result<Self> {
        let layout = sizes.layout()?;
        let needed = layout.groups * layout.group_len();
        let check = |what: &str, given: usize, needed: usize| match given == needed {
            true => Ok(()),
            false => Err(Error::ShapeMismatch(format!("{given} {what} where {needed} are needed for {sizes:?}"))),
        };
        // The values tell that there are so many channels, before anything is made for each.
        match values {
            WeightValues::S8(values, _) => check("weights", values.len(), needed)?,
            WeightValues::F32(values, _) => check("weights", values.len(), needed)?,
        }
        check("biases", bias.map_or(sizes.out_channels, <[f32]>::len), sizes.out_channels)?;
        let bias = match bias {
            Some(bias) => memory::copied(bias, "biases")?,
            None => memory::filled(sizes.out_channels, 0.0, "biases")?,
        };
        if let Some(channel) = bias.iter().position(|bias| !bias.is_finite()) {
            return Err(Error::NotFinite(format!("the bias of output channel {channel} is {}", bias[channel])));
        }
        let (panels, scales) = match values {
            WeightValues::S8(values, scales) => {
                check("scales", if scales.len() == 1 { sizes.out_channels } else { scales.len() }, sizes.out_channels)?;
                let scales = match scales {
                    &[scale] => memory::filled(sizes.out_channels, scale, "scales")?,
                    scales => memory::copied(scales, "scales")?,
                };
                if let Some(channel) = scales.iter().position(|scale| !(scale.is_finite() && *scale > 0.0)) {
                    let scale = scales[channel];
                    return Err(Error::InvalidArgument(format!(
                        "the scale {scale} of output channel {channel} is not finite and above zero"
                    )));
                }
                (pack_weights(layout, values)?, scales)
            }
            WeightValues::F32(values, config) => {
                let quantized = quantize_weights(values, sizes.out_channels, &config)?;
                (pack_weights(layout, &quantized.values)?, quantized.scales)
            }
        };
        Ok(Self(Arc::new(PackedData { sizes, layout, panels, scales, bias })))
    }

    /// The scale of each output channel.
    pub fn scales(&self) -> &[f32] {
        &self.0.scales
    }

    /// What it was packed for.
    pub fn sizes(&self) -> WeightSizes {
        self.0.sizes
    }
}

/// What an operator's output is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum OperatorOutput {
    /// Bytes with these qparams and range.
    U8(QuantizedType),
    /// Floats.
    F32,
}

/// What an operator computes besides the sums.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OperatorOptions {
    /// Of the source.
    pub input: QParams,
    /// The destination.
    pub output: OperatorOutput,
    /// Adds a tensor of the destination's shape and element type before the bounds; its qparams do not matter for floats.
    pub residual: Option<QParams>,
    /// Fused activation.
    pub bounds: Bounds,
    /// Elements from one pixel (row of a matrix) to the next of source, destination and residual; 0: side by side.
    pub strides: [usize; 3],
}

/// Sizes of a convolution's images; vertical before horizontal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvSizes {
    /// Input pixels.
    pub input: [usize; 2],
    /// Input pixels between neighbouring outputs.
    pub strides: [usize; 2],
    /// Input pixels between neighbouring taps.
    pub dilations: [usize; 2],
    /// Padding above, to the left, below, to the right.
    pub padding: [usize; 4],
}

/// Which operator it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperatorKind {
    /// A convolution; a sample is an image.
    Conv2d,
    /// A product of matrices; a sample is a row.
    Gemm,
    /// A product of float rows, which are quantized in each run; a sample is a row.
    DynamicGemm,
}

/// Sizes of an operator's tensors for one sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperatorInfo {
    /// Output pixels `[height, width]`; `[1, 1]` of a GEMM.
    pub output: [usize; 2],
    /// Bytes of source, destination and residual (0 without one), from the first byte to the last.
    pub span_bytes: [usize; 3],
    /// Bytes from one sample to the next, likewise.
    pub sample_bytes: [usize; 3],
    /// Scratch bytes of a run, whatever the number of samples.
    pub scratch_bytes: usize,
    /// The kernel's name.
    pub kernel: &'static str,
}

/// How an operator runs.
enum Planned {
    /// One step, bytes in.
    One(SingleStep),
    /// Floats in, quantized in each run.
    Dynamic(DynamicRows),
}

impl Planned {
    /// The source, residual and destination of one sample.
    fn tensors(&self) -> (&Tensor, Option<&Tensor>, &Tensor) {
        match self {
            Planned::One(step) => step.tensors(),
            Planned::Dynamic(rows) => rows.tensors(),
        }
    }

    fn kernel(&self) -> &'static str {
        match self {
            Planned::One(step) => step.info().kernel,
            Planned::Dynamic(rows) => rows.info().kernel,
        }
    }

    fn scratch_bytes(&self, threads: usize) -> usize {
        match self {
            Planned::One(step) => step.scratch_bytes(threads),
            Planned::Dynamic(rows) => rows.scratch_bytes(threads),
        }
    }

    fn run(&self, threads: &Threads, samples: usize, tensors: SingleStepTensors<'_>, scratch: &mut [u8]) -> Result<()> {
        match self {
            Planned::One(step) => step.run(threads, samples, tensors, scratch),
            Planned::Dynamic(rows) => rows.run(threads, samples, tensors, scratch),
        }
    }
}

/// A convolution or GEMM planned for its sizes, immutable: any number of threads may run it, each with scratch of its own.
pub struct Operator {
    context: Context,
    kind: OperatorKind,
    output: [usize; 2],
    step: Planned,
    /// Scratch of runs that bring none.
    own: Mutex<AlignedBuffer>,
}

/// Sizes and strides of a tensor of one sample whose pixels hold `channels` elements.
fn tensor(slot: Slot, dims: &[usize], channels: usize, element: Element, stride: usize, name: &str) -> Result<Tensor> {
    let stride = if stride == 0 { channels } else { stride };
    if stride < channels {
        return Err(Error::InvalidArgument(format!("{name}: a stride of {stride} elements where a pixel has {channels}")));
    }
    let pixels = element_count(dims).map(|count| count / channels.max(1));
    let bytes = pixels.and_then(|pixels| element_count(&[pixels, stride, element.size_bytes()]));
    if bytes.is_none_or(|bytes| bytes > isize::MAX as usize) {
        return Err(Error::InvalidArgument(format!("{name}: shape {dims:?} is more than memory holds")));
    }
    let order = TensorLayout::preferred_order(dims.len());
    debug_assert!(order == Order::ChannelsLast || dims.len() == 2);
    let layout = TensorLayout::new(dims, element, order).with_own_stride(stride);
    Ok(Tensor { slot, sample_bytes: layout.held_bytes(), layout })
}

impl OperatorOptions {
    fn check(&self) -> Result<()> {
        self.input.check()?;
        if let OperatorOutput::U8(ty) = self.output {
            ty.qparams.check()?;
            if ty.low > ty.high {
                return Err(Error::InvalidArgument(format!("output bytes {}..{}", ty.low, ty.high)));
            }
            self.residual.map_or(Ok(()), QParams::check)?;
        }
        bounds_are_ordered(self.bounds)
    }
}

fn bounds_are_ordered(bounds: Bounds) -> Result<()> {
    let Bounds { low, high } = bounds;
    if low.is_nan() || high.is_nan() || low > high {
        return Err(Error::InvalidArgument(format!("activation bounds {low}..{high}")));
    }
    Ok(())
}

/// The sizes of a GEMM's weights.
fn gemm_sizes(weights: &PackedWeights) -> Result<WeightSizes> {
    let sizes = weights.sizes();
    if sizes.groups != 1 || sizes.kernel != [1, 1] {
        return Err(Error::InvalidArgument(format!("a GEMM with weights of {sizes:?}: one group and a 1x1 kernel are needed")));
    }
    Ok(sizes)
}

impl Operator {
    /// Plans a convolution.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for qparams, bounds, strides and sizes out of range, [`Error::ShapeMismatch`] for a window
    /// that does not fit, [`Error::NotFinite`] for a multiplier that is not finite, [`Error::OutOfMemory`].
    pub fn conv2d(context: &Context, weights: &PackedWeights, options: OperatorOptions, sizes: ConvSizes) -> Result<Self> {
        let WeightSizes { out_channels, in_channels, groups, kernel } = weights.sizes();
        let ConvSizes { input, strides, dilations, padding } = sizes;
        if input.iter().chain(&padding).any(|&pixels| pixels > MAX_PIXELS) || input.contains(&0) {
            return Err(Error::InvalidArgument(format!("{sizes:?}: images have 1 to {MAX_PIXELS} pixels along an axis")));
        }
        let [top, left, bottom, right] = padding;
        let padding = Padding::Explicit { top, left, bottom, right };
        let conv =
            |weights| Conv2d { weights, out_channels, in_channels, kernel, strides, dilations, padding, groups, bounds: options.bounds };
        let window = conv_window(&conv(crate::graph::ConvWeights::Float { weight: crate::graph::ConstantId(0), bias: None }), input)?;
        let dims = [vec![1, in_channels, input[0], input[1]], vec![1, out_channels, window.output[0], window.output[1]]];
        Self::plan(context, weights, options, OperatorKind::Conv2d, dims, window.output, |weights| Op::Conv2d(conv(weights)))
    }

    /// Plans `dst[m, n] = src[m, k] * weights[n, k]^T + bias[n]`, for any `m`.
    ///
    /// # Errors
    /// As [`Operator::conv2d`]; [`Error::InvalidArgument`] for weights of a convolution.
    pub fn gemm(context: &Context, weights: &PackedWeights, options: OperatorOptions) -> Result<Self> {
        let WeightSizes { out_channels, in_channels, .. } = gemm_sizes(weights)?;
        let dims = [vec![1, in_channels], vec![1, out_channels]];
        let op = |weights| Op::Linear(Linear { weights, out_features: out_channels, in_features: in_channels, bounds: options.bounds });
        Self::plan(context, weights, options, OperatorKind::Gemm, dims, [1, 1], op)
    }

    /// Plans the one node as a model's plan would.
    fn plan(
        context: &Context,
        weights: &PackedWeights,
        options: OperatorOptions,
        kind: OperatorKind,
        [src_dims, dst_dims]: [Vec<usize>; 2],
        output: [usize; 2],
        op: impl FnOnce(crate::graph::ConvWeights) -> Op,
    ) -> Result<Self> {
        options.check()?;
        let data = &weights.0;
        let name = match kind {
            OperatorKind::Conv2d => "conv2d",
            OperatorKind::Gemm | OperatorKind::DynamicGemm => "gemm",
        };
        let products = element_count(&[output[0], output[1], data.layout.out_channels(), data.layout.shape.taps, data.layout.shape.ic]);
        if products.is_none_or(|products| products > isize::MAX as usize) {
            return Err(Error::InvalidArgument(format!("{name}: {dst_dims:?} is more than can be computed")));
        }
        let bytes = |qparams: QParams| ValueType::Quantized(QuantizedType { qparams, low: 0, high: 255 });
        let (element, output_type, scale) = match options.output {
            OperatorOutput::U8(ty) => (Element::U8, ValueType::Quantized(ty), Some(ty.qparams)),
            OperatorOutput::F32 => (Element::F32, ValueType::F32, None),
        };
        let src = tensor(Slot::Input(0), &src_dims, data.sizes.in_channels, Element::U8, options.strides[0], "src")?;
        let dst = tensor(Slot::Output(0), &dst_dims, data.sizes.out_channels, element, options.strides[1], "dst")?;
        let mut graph = Graph::default();
        let mut inputs = vec![graph.add_value("src", bytes(options.input))];
        let mut tensors = vec![src.clone()];
        if let Some(qparams) = options.residual {
            inputs.push(graph.add_value("residual", if element == Element::U8 { bytes(qparams) } else { ValueType::F32 }));
            tensors.push(tensor(Slot::Input(1), &dst_dims, data.sizes.out_channels, element, options.strides[2], "residual")?);
        }
        let residual = tensors.get(1).cloned();
        let packed = static_from_packed(
            &mut graph,
            name,
            data.layout,
            &data.panels,
            &data.scales,
            &data.bias,
            InputScales::One(options.input.scale),
            scale,
        )?;
        let node = Node { name: name.to_owned(), op: op(packed), inputs, output: graph.add_value("dst", output_type) };
        let places = StepInputs { inputs: tensors, qparams: None, output: dst.clone() };
        let step = build_step(&graph, &node, 0, places, &Kernels::best(context.max_isa()))?;
        let reads_past = !data.layout.depthwise && !data.layout.shape.ic.is_multiple_of(crate::packed::K_GROUP);
        Self::of(context, kind, output, Planned::One(SingleStep::new(step, src, residual, dst, reads_past)))
    }

    fn of(context: &Context, kind: OperatorKind, output: [usize; 2], step: Planned) -> Result<Self> {
        let scratch = step.scratch_bytes(context.threads().threads());
        let own = context.memory().within(|| AlignedBuffer::zeroed(scratch, "an operator's scratch"))?;
        Ok(Self { context: context.clone(), kind, output, step, own: Mutex::new(own) })
    }

    /// Which operator it is.
    pub fn kind(&self) -> OperatorKind {
        self.kind
    }

    /// Bytes of an element of the source.
    pub fn src_element_bytes(&self) -> usize {
        self.step.tensors().0.layout.element.size_bytes()
    }

    /// Bytes of an element of destination and residual.
    pub fn element_bytes(&self) -> usize {
        self.step.tensors().2.layout.element.size_bytes()
    }

    /// Sizes for one sample.
    pub fn info(&self) -> OperatorInfo {
        let (src, residual, dst) = self.step.tensors();
        let span = |tensor| span_bytes(tensor, 1).unwrap_or(0);
        OperatorInfo {
            output: self.output,
            span_bytes: [span(src), span(dst), residual.map_or(0, span)],
            sample_bytes: [src.sample_bytes, dst.sample_bytes, residual.map_or(0, |tensor| tensor.sample_bytes)],
            scratch_bytes: self.step.scratch_bytes(self.context.threads().threads()),
            kernel: self.step.kernel(),
        }
    }

    /// Bytes that `samples` samples span of source, destination and residual; `None` for more than memory holds.
    pub fn spans(&self, samples: usize) -> Option<[usize; 3]> {
        let (src, residual, dst) = self.step.tensors();
        Some([span_bytes(src, samples)?, span_bytes(dst, samples)?, residual.map_or(Some(0), |tensor| span_bytes(tensor, samples))?])
    }

    /// Runs `samples` images or rows. Allocates nothing.
    ///
    /// # Errors
    /// [`Error::Busy`] without `scratch` while another run uses the operator's own; otherwise as [`SingleStep::run`] and
    /// [`DynamicRows::run`].
    pub fn run(&self, samples: usize, tensors: SingleStepTensors<'_>, scratch: Option<&mut [u8]>) -> Result<()> {
        let threads = self.context.threads();
        if let Some(scratch) = scratch {
            return self.step.run(threads, samples, tensors, scratch);
        }
        let mut own = match self.own.try_lock() {
            Ok(own) => own,
            Err(TryLockError::Poisoned(poisoned)) => PoisonError::into_inner(poisoned),
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Busy("another run uses the operator's own scratch; give each run its own".into()));
            }
        };
        self.step.run(threads, samples, tensors, &mut own)
    }
}

/// Floats to integers on `context`'s threads.
///
/// # Errors
/// As [`FlatQuantization::quantize`].
pub fn quantize_array(context: &Context, quantization: &FlatQuantization<'_>, src: &[f32], dst: &mut [u8]) -> Result<()> {
    quantization.quantize(VectorIsa::best(context.max_isa()), context.threads(), src, dst)
}

/// Integers to floats on `context`'s threads.
///
/// # Errors
/// As [`FlatQuantization::quantize`].
pub fn dequantize_array(context: &Context, quantization: &FlatQuantization<'_>, src: &[u8], dst: &mut [f32]) -> Result<()> {
    quantization.dequantize(VectorIsa::best(context.max_isa()), context.threads(), src, dst)
}

#[cfg(test)]
mod tests;
