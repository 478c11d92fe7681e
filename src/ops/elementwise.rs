//! Operators of one or two tensors, element by element, on floats and on bytes.
use super::layout::{Element, Order, TensorLayout};
use super::step::{Memory, Step, StepInfo, StepRun, Tensor};
use crate::error::{Error, Result};
use crate::graph::{Binary, Bounds, QuantizedType, Unary};
use crate::kernels::binary::{AddParams, FloatBinary, MulParams, Operand, add_u8, binary_f32, channel_affine, mul_u8, mul_u8_by_channel};
use crate::kernels::unary::{FloatUnary, lookup, unary_f32};
use crate::kernels::{ByteRange, Clamp, VectorIsa};
use crate::quantize::requantize::{product_ratio, ratio};
use crate::tensor::SharedBytes;

/// Elements that parts are cut at: a cache line of bytes.
const PART_MULTIPLE: usize = 64;

/// A graph's unary operator as the kernels' function.
fn float_unary(unary: Unary) -> FloatUnary {
    match unary {
        Unary::Clamp(bounds) => FloatUnary::Clamp(clamp_of(bounds)),
        Unary::LeakyRelu { alpha } => FloatUnary::LeakyRelu(alpha),
        Unary::Sigmoid => FloatUnary::Sigmoid,
        Unary::HardSigmoid { alpha, beta } => FloatUnary::HardSigmoid { alpha, beta },
        Unary::HardSwish => FloatUnary::HardSwish,
    }
}

/// A unary operator's values at `points`.
pub fn unary_function(isa: VectorIsa, unary: Unary, points: &[f32]) -> Vec<f32> {
    let mut values = vec![0.0; points.len()];
    unary_f32(isa, float_unary(unary), points, &mut values);
    values
}

/// Bounds as the kernels' clamp.
pub fn clamp_of(bounds: Bounds) -> Clamp {
    Clamp { low: bounds.low, high: bounds.high }
}

/// The bytes of an output with a fused activation: each bound quantized by NUMERICS section 1.
pub fn byte_range(ty: QuantizedType, bounds: Bounds) -> ByteRange {
    ByteRange { zero_point: ty.qparams.zero_point, low: i32::from(ty.byte(bounds.low)), high: i32::from(ty.byte(bounds.high)) }
}

/// A unary operator on floats; input and output lie alike.
pub struct UnaryStep {
    /// Name and operator.
    pub info: StepInfo,
    /// The operator.
    pub unary: Unary,
    /// Vector instructions.
    pub isa: VectorIsa,
    /// Input.
    pub src: Tensor,
    /// Output.
    pub dst: Tensor,
}

impl Step for UnaryStep {
    fn run(&self, run: &mut StepRun<'_>) -> Result<()> {
        let range = run.part.range_aligned(self.dst.layout.held_len(), PART_MULTIPLE);
        for sample in 0..run.samples {
            // SAFETY: nobody writes the input during this step; parts write disjoint ranges.
            let (src, dst) = unsafe {
                (
                    run.memory.read::<f32>(&self.src, sample, range.start, range.len()),
                    run.memory.write::<f32>(&self.dst, sample, range.start, range.len()),
                )
            };
            unary_f32(self.isa, float_unary(self.unary), src, dst);
        }
        Ok(())
    }

    fn info(&self) -> StepInfo {
        StepInfo { kernel: self.isa.name(), ..self.info.clone() }
    }
}

/// A unary operator on bytes, by table.
pub struct LookupStep {
    info: StepInfo,
    table: [u8; 256],
    src: Tensor,
    dst: Tensor,
}

impl LookupStep {
    /// The step for a table of 256 bytes.
    ///
    /// # Errors
    /// [`Error::Graph`] if the table has another length.
    pub fn new(info: StepInfo, table: &[u8], src: Tensor, dst: Tensor) -> Result<Self> {
        let table = table.try_into().map_err(|_| Error::Graph(format!("node {}: a table has {} bytes", info.name, table.len())))?;
        Ok(Self { info: StepInfo { kernel: "lookup", ..info }, table, src, dst })
    }
}

impl Step for LookupStep {
    fn run(&self, run: &mut StepRun<'_>) -> Result<()> {
        let range = run.part.range_aligned(self.dst.layout.held_len(), PART_MULTIPLE);
        for sample in 0..run.samples {
            // SAFETY: nobody writes the input during this step; parts write disjoint ranges.
            let (src, dst) = unsafe {
                (
                    run.memory.read::<u8>(&self.src, sample, range.start, range.len()),
                    run.memory.write::<u8>(&self.dst, sample, range.start, range.len()),
                )
            };
            lookup(src, &self.table, dst);
        }
        Ok(())
    }

    fn info(&self) -> StepInfo {
        self.info.clone()
    }
}

/// `fma(x, scale, shift)` per channel: channels last, or row-major `[n, c, rest]`.
pub struct ChannelAffineStep {
    info: StepInfo,
    isa: VectorIsa,
    scale: SharedBytes,
    shift: SharedBytes,
    channels: usize,
    src: Tensor,
    dst: Tensor,
}

impl ChannelAffineStep {
    /// The step; `scale` and `shift` hold `[c]` floats, and both tensors lie alike.
    ///
    /// # Errors
    /// [`Error::Graph`] if a constant does not have a float for every channel.
    pub fn new(info: StepInfo, isa: VectorIsa, scale: SharedBytes, shift: SharedBytes, src: Tensor, dst: Tensor) -> Result<Self> {
        let channels = src.layout.dims.get(1).copied().unwrap_or(1);
        let fits = |bytes: &SharedBytes| bytes.cast::<f32>().is_some_and(|floats| floats.len() == channels);
        if channels == 0 || !fits(&scale) || !fits(&shift) {
            return Err(Error::Graph(format!("node {}: scale and shift do not fit {channels} channels", info.name)));
        }
        Ok(Self { info: StepInfo { kernel: isa.name(), ..info }, isa, scale, shift, channels, src, dst })
    }
}

impl Step for ChannelAffineStep {
    fn run(&self, run: &mut StepRun<'_>) -> Result<()> {
        let (Some(scale), Some(shift)) = (self.scale.cast::<f32>(), self.shift.cast::<f32>()) else {
            return Err(Error::Graph("a constant is not f32".into()));
        };
        // Runs of elements that meet one list of parameters: a pixel's channels, or a channel's plane.
        let layout = &self.dst.layout;
        let plane = layout.dims.iter().skip(2).product::<usize>();
        let by_pixel = layout.order == Order::ChannelsLast || plane == 1;
        let row = if by_pixel { self.channels } else { plane.max(1) };
        let rows = run.part.range(layout.held_len() / row);
        for sample in 0..run.samples {
            // SAFETY: nobody writes the input during this step; parts write disjoint rows.
            let (src, dst) = unsafe {
                (
                    run.memory.read::<f32>(&self.src, sample, rows.start * row, rows.len() * row),
                    run.memory.write::<f32>(&self.dst, sample, rows.start * row, rows.len() * row),
                )
            };
            if by_pixel {
                channel_affine(self.isa, src, scale, shift, Clamp::NONE, dst);
                continue;
            }
            for ((index, src), dst) in rows.clone().zip(src.chunks_exact(row)).zip(dst.chunks_exact_mut(row)) {
                let channel = index % self.channels;
                channel_affine(self.isa, src, &scale[channel..=channel], &shift[channel..=channel], Clamp::NONE, dst);
            }
        }
        Ok(())
    }

    fn info(&self) -> StepInfo {
        self.info.clone()
    }
}

/// How the second operand meets the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meeting {
    /// Element by element.
    Same,
    /// One value.
    Scalar,
    /// One value for each element of the innermost axis.
    Inner,
    /// Any broadcast, element by element with strides.
    Strided,
}

/// An operator of two float tensors, with broadcasting.
pub struct BinaryStep {
    info: StepInfo,
    isa: VectorIsa,
    op: FloatBinary,
    clamp: Clamp,
    /// The operand that has the output's shape, where one has.
    a: Tensor,
    b: Tensor,
    dst: Tensor,
    meeting: Meeting,
    /// Of the operands along the output's axes, and of the output.
    strides: [Vec<usize>; 3],
}

/// How `b` meets an output that lies as `dst`; `a` has the output's shape.
fn meeting(b: &TensorLayout, dst: &TensorLayout) -> Meeting {
    if b.len() == 1 {
        return Meeting::Scalar;
    }
    if b.dims == dst.dims && b.order == dst.order {
        return Meeting::Same;
    }
    let rank = dst.dims.len();
    let offset = rank - b.dims.len().min(rank);
    let inner_axis = if dst.order == Order::ChannelsLast { 1 } else { rank.saturating_sub(1) };
    let inner_only = b.dims.iter().enumerate().all(|(axis, &dim)| dim == 1 || (axis + offset == inner_axis && dim == dst.dims[inner_axis]));
    if inner_only { Meeting::Inner } else { Meeting::Strided }
}

/// Strides of an operand along the output's axes, 0 where it is broadcast.
fn broadcast_strides(operand: &TensorLayout, dst: &TensorLayout) -> Vec<usize> {
    let dims = &dst.dims;
    let offset = dims.len() - operand.dims.len();
    let strides = operand.strides();
    (0..dims.len()).map(|axis| if axis < offset || operand.dims[axis - offset] == 1 { 0 } else { strides[axis - offset] }).collect()
}

impl BinaryStep {
    /// The step. A constant operand is row-major; a computed one has the output's order.
    pub fn new(info: StepInfo, isa: VectorIsa, op: Binary, bounds: Bounds, a: Tensor, b: Tensor, dst: Tensor) -> Self {
        let info = StepInfo { kernel: isa.name(), ..info };
        let clamp = clamp_of(bounds);
        let whole = |tensor: &Tensor| tensor.layout.dims == dst.layout.dims && tensor.layout.order == dst.layout.order;
        let forward = match op {
            Binary::Add => FloatBinary::Add,
            Binary::Sub => FloatBinary::Sub,
            Binary::Mul => FloatBinary::Mul,
        };
        let swapped = if op == Binary::Sub { FloatBinary::ReverseSub } else { forward };
        let (op, a, b) = if whole(&a) || !whole(&b) { (forward, a, b) } else { (swapped, b, a) };
        let meeting = if whole(&a) { meeting(&b.layout, &dst.layout) } else { Meeting::Strided };
        let strides = [broadcast_strides(&a.layout, &dst.layout), broadcast_strides(&b.layout, &dst.layout), dst.layout.strides()];
        Self { info, isa, op, clamp, a, b, dst, meeting, strides }
    }

    /// Any broadcast: one element at a time, over a share of the first axis longer than 1.
    fn run_strided(&self, memory: &Memory<'_>, sample: usize, part: crate::threads::Part) {
        let dims = &self.dst.layout.dims;
        let split = dims.iter().position(|&dim| dim > 1).unwrap_or(0);
        let share = part.range(dims.get(split).copied().unwrap_or(1));
        let [a_strides, b_strides, dst_strides] = &self.strides;
        // SAFETY: nobody writes the operands during this step.
        let (a, b) = unsafe {
            (
                memory.read::<f32>(&self.a, sample, 0, self.a.layout.held_len()),
                memory.read::<f32>(&self.b, sample, 0, self.b.layout.held_len()),
            )
        };
        let dst = memory.dst(&self.dst).wrapping_add(sample * self.dst.sample_bytes).cast::<f32>();
        let inner: usize = dims.iter().skip(split + 1).product();
        for first in share {
            for rest in 0..inner {
                let (mut linear, mut at) = (
                    rest,
                    [
                        first * a_strides.get(split).unwrap_or(&0),
                        first * b_strides.get(split).unwrap_or(&0),
                        first * dst_strides.get(split).unwrap_or(&0),
                    ],
                );
                for axis in (split + 1..dims.len()).rev() {
                    let index = linear % dims[axis];
                    linear /= dims[axis];
                    at = [at[0] + index * a_strides[axis], at[1] + index * b_strides[axis], at[2] + index * dst_strides[axis]];
                }
                let mut value = [0.0];
                binary_f32(VectorIsa::Portable, self.op, &a[at[0]..=at[0]], Operand::Scalar(b[at[1]]), self.clamp, &mut value);
                // SAFETY: the element lies in the destination, in this part's share.
                unsafe { *dst.add(at[2]) = value[0] };
            }
        }
    }
}

impl Step for BinaryStep {
    fn run(&self, run: &mut StepRun<'_>) -> Result<()> {
        let inner = self.dst.layout.inner().max(1);
        let multiple = if self.meeting == Meeting::Inner { inner } else { PART_MULTIPLE };
        let range = run.part.range_aligned(self.dst.layout.held_len(), multiple);
        for sample in 0..run.samples {
            if self.meeting == Meeting::Strided {
                self.run_strided(run.memory, sample, run.part);
                continue;
            }
            // SAFETY: nobody writes the operands during this step; parts write disjoint ranges.
            unsafe {
                let a = run.memory.read::<f32>(&self.a, sample, range.start, range.len());
                let dst = run.memory.write::<f32>(&self.dst, sample, range.start, range.len());
                let b = match self.meeting {
                    Meeting::Same => Operand::Same(run.memory.read::<f32>(&self.b, sample, range.start, range.len())),
                    Meeting::Inner => Operand::Channel(run.memory.read::<f32>(&self.b, sample, 0, inner)),
                    Meeting::Scalar | Meeting::Strided => Operand::Scalar(run.memory.read::<f32>(&self.b, sample, 0, 1)[0]),
                };
                binary_f32(self.isa, self.op, a, b, self.clamp, dst);
            }
        }
        Ok(())
    }

    fn info(&self) -> StepInfo {
        self.info.clone()
    }
}

/// What an int8 element-wise operator computes.
#[derive(Debug, Clone, Copy)]
enum ByteOp {
    Add(AddParams),
    Mul(MulParams),
    /// The second operand is a gate `[n, c, 1, 1]`.
    Gate(MulParams),
}

/// Sum or product of two byte tensors.
pub struct Int8BinaryStep {
    info: StepInfo,
    isa: VectorIsa,
    op: ByteOp,
    a: Tensor,
    b: Tensor,
    dst: Tensor,
}

impl Int8BinaryStep {
    /// The step; types of both operands and the output in `types`.
    ///
    /// # Errors
    /// [`Error::NotFinite`] if a ratio of scales overflows; [`Error::Unsupported`] for subtraction and other broadcasts.
    pub fn new(
        info: StepInfo,
        isa: VectorIsa,
        op: Binary,
        bounds: Bounds,
        tensors: [Tensor; 3],
        types: [QuantizedType; 3],
    ) -> Result<Self> {
        let [a, b, dst] = tensors;
        let [a_type, b_type, y_type] = types;
        let (s_a, s_b, s_y) = (a_type.qparams.scale, b_type.qparams.scale, y_type.qparams.scale);
        let (a_zero, b_zero) = (a_type.qparams.zero_point, b_type.qparams.zero_point);
        let output = byte_range(y_type, bounds);
        let same = a.layout.dims == dst.layout.dims && b.layout.dims == dst.layout.dims;
        let op = match op {
            Binary::Add if same => ByteOp::Add(AddParams { a_zero, b_zero, a_ratio: ratio(s_a, s_y)?, b_ratio: ratio(s_b, s_y)?, output }),
            Binary::Mul => {
                let params = MulParams { a_zero, b_zero, ratio: product_ratio(s_a, s_b, s_y)?, output };
                if same { ByteOp::Mul(params) } else { ByteOp::Gate(params) }
            }
            _ => return Err(Error::Unsupported(format!("node {}: {} on bytes of these shapes", info.name, info.operator))),
        };
        Ok(Self { info: StepInfo { kernel: isa.name(), ..info }, isa, op, a, b, dst })
    }
}

impl Step for Int8BinaryStep {
    fn run(&self, run: &mut StepRun<'_>) -> Result<()> {
        let layout = &self.dst.layout;
        debug_assert_eq!(layout.element, Element::U8);
        let pixel = layout.inner_stride().max(1);
        let range = run.part.range_aligned(layout.held_len(), pixel);
        for sample in 0..run.samples {
            // SAFETY: nobody writes the operands during this step; parts write disjoint ranges.
            unsafe {
                let a = run.memory.read::<u8>(&self.a, sample, range.start, range.len());
                let dst = run.memory.write::<u8>(&self.dst, sample, range.start, range.len());
                let same = || run.memory.read::<u8>(&self.b, sample, range.start, range.len());
                match self.op {
                    ByteOp::Add(params) => add_u8(self.isa, a, same(), params, dst),
                    ByteOp::Mul(params) => mul_u8(self.isa, a, same(), params, dst),
                    ByteOp::Gate(params) => {
                        // A plan for whole batches holds several images, each with a gate of its own.
                        let image_len = layout.held_len() / layout.dims[0].max(1);
                        let mut at = range.start;
                        while at < range.end {
                            let image = at / image_len;
                            let of_image = at - range.start..((image + 1) * image_len).min(range.end) - range.start;
                            let gate = run.memory.read::<u8>(&self.b, sample, image * self.b.layout.inner_stride(), pixel);
                            mul_u8_by_channel(self.isa, &a[of_image.clone()], gate, params, &mut dst[of_image.clone()]);
                            at = range.start + of_image.end;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn info(&self) -> StepInfo {
        self.info.clone()
    }
}
