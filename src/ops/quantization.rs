//! Between floats and bytes: with fixed qparams, and with qparams of each sample's own range.
use super::conv2d::SampleQParams;
use super::layout::Element;
use super::step::{Step, StepInfo, StepRun, Tensor};
use crate::error::{Error, Result};
use crate::graph::QuantizedType;
use crate::kernels::VectorIsa;
use crate::kernels::quantize::{Quantizer, dequantize, dequantize_nhwc, first_non_finite, min_max, quantize, quantize_nchw_to_nhwc, quantize_nhwc};
use crate::quantize::{QParams, Target, choose_qparams};

/// Parts that may share the search for a sample's range.
pub const MAX_RANGE_PARTS: usize = 64;

/// A part's share of a range, with its own finding that all values were finite.
#[derive(Debug, Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
struct PartRange {
    min: f32,
    max: f32,
}

/// Bytes of the table of one sample: its solved qparams, then each part's range.
pub fn partial_ranges_bytes() -> usize {
    size_of::<SampleQParams>() + MAX_RANGE_PARTS * size_of::<PartRange>()
}

/// Float elements of the table before the parts' ranges.
const RANGES_START: usize = size_of::<SampleQParams>() / size_of::<f32>();

/// How floats become bytes: which source order, one row (pixel) at a time.
#[derive(Debug, Clone)]
struct ToBytes {
    isa: VectorIsa,
    src: Tensor,
    dst: Tensor,
}

impl ToBytes {
    /// Rows (pixels) of the destination.
    fn rows(&self) -> usize {
        let layout = &self.dst.layout;
        layout.held_len() / layout.inner_stride().max(1)
    }

    /// Quantizes this part's rows of a sample.
    fn run(&self, run: &StepRun<'_>, sample: usize, quantizer: Quantizer) {
        let (inner, stride) = (self.dst.layout.inner(), self.dst.layout.inner_stride());
        let rows = run.part.range_aligned(self.rows(), 16);
        if rows.is_empty() {
            return;
        }
        // SAFETY: nobody writes the source during this step; parts write disjoint rows.
        let dst = unsafe { run.memory.write::<u8>(&self.dst, sample, rows.start * stride, rows.len() * stride) };
        if self.src.layout.order == self.dst.layout.order {
            // SAFETY: as above.
            let src = unsafe { run.memory.read::<f32>(&self.src, sample, rows.start * inner, rows.len() * inner) };
            match inner == stride {
                true => quantize(self.isa, src, quantizer, dst),
                false => quantize_nhwc(self.isa, src, inner, stride, quantizer, dst),
            }
            return;
        }
        // Planes to pixels; images of a batch that is one sample come one after another.
        let pixels = self.dst.layout.dims[2] * self.dst.layout.dims[3];
        // SAFETY: as above.
        let src = unsafe { run.memory.read::<f32>(&self.src, sample, 0, self.src.layout.held_len()) };
        let mut row = rows.start;
        while row < rows.end {
            let (image, first) = (row / pixels, row % pixels);
            let count = (pixels - first).min(rows.end - row);
            let planes = &src[image * inner * pixels + first..(image + 1) * inner * pixels];
            let to = (row - rows.start) * stride;
            quantize_nchw_to_nhwc(self.isa, planes, pixels, count, inner, stride, quantizer, &mut dst[to..to + count * stride]);
            row += count;
        }
    }
}

/// Floats to bytes with fixed qparams.
pub struct QuantizeStep {
    info: StepInfo,
    convert: ToBytes,
    quantizer: Quantizer,
}

impl QuantizeStep {
    /// The step.
    pub fn new(info: StepInfo, isa: VectorIsa, ty: QuantizedType, src: Tensor, dst: Tensor) -> Self {
        let quantizer = Quantizer::new(ty.qparams, ty.low, ty.high);
        Self { info: StepInfo { kernel: isa.name(), ..info }, convert: ToBytes { isa, src, dst }, quantizer }
    }
}

impl Step for QuantizeStep {
    fn run(&self, run: &mut StepRun<'_>) -> Result<()> {
        (0..run.samples).for_each(|sample| self.convert.run(run, sample, self.quantizer));
        Ok(())
    }

    fn info(&self) -> StepInfo {
        self.info.clone()
    }
}

/// Bytes to floats; both lie in the same order.
pub struct DequantizeStep {
    /// Name and operator.
    pub info: StepInfo,
    /// Vector instructions.
    pub isa: VectorIsa,
    /// Of the source.
    pub qparams: QParams,
    /// u8.
    pub src: Tensor,
    /// f32.
    pub dst: Tensor,
}

impl Step for DequantizeStep {
    fn run(&self, run: &mut StepRun<'_>) -> Result<()> {
        let (inner, stride) = (self.src.layout.inner(), self.src.layout.inner_stride());
        let rows = run.part.range_aligned(self.src.layout.held_len() / stride.max(1), 16);
        for sample in 0..run.samples {
            // SAFETY: nobody writes the source during this step; parts write disjoint rows.
            let (src, dst) = unsafe {
                (
                    run.memory.read::<u8>(&self.src, sample, rows.start * stride, rows.len() * stride),
                    run.memory.write::<f32>(&self.dst, sample, rows.start * inner, rows.len() * inner),
                )
            };
            match inner == stride {
                true => dequantize(self.isa, src, self.qparams, dst),
                false => dequantize_nhwc(self.isa, src, inner, stride, self.qparams, dst),
            }
        }
        Ok(())
    }

    fn info(&self) -> StepInfo {
        StepInfo { kernel: self.isa.name(), ..self.info.clone() }
    }
}

/// First half of dynamic quantization: each part finds the range of its share of every sample.
pub struct SampleRangeStep {
    /// Name and operator.
    pub info: StepInfo,
    /// Vector instructions.
    pub isa: VectorIsa,
    /// f32.
    pub src: Tensor,
    /// The table of [`partial_ranges_bytes`] a sample.
    pub table: Tensor,
}

impl Step for SampleRangeStep {
    fn run(&self, run: &mut StepRun<'_>) -> Result<()> {
        if run.part.index >= MAX_RANGE_PARTS {
            return Ok(());
        }
        let part = crate::threads::Part { index: run.part.index, count: run.part.count.min(MAX_RANGE_PARTS) };
        let range = part.range_aligned(self.src.layout.held_len(), 16);
        for sample in 0..run.samples {
            // SAFETY: nobody writes the source during this step; each part writes its own entry of the table.
            let (src, entry) = unsafe {
                (
                    run.memory.read::<f32>(&self.src, sample, range.start, range.len()),
                    run.memory.write::<f32>(&self.table, sample, RANGES_START + 2 * part.index, 2),
                )
            };
            let found = if src.is_empty() { None } else { Some(min_max(self.isa, src)) };
            let found = found.map_or([0.0, 0.0], |found| if found.finite { [found.min, found.max] } else { [f32::NAN, f32::NAN] });
            entry.copy_from_slice(&found);
        }
        Ok(())
    }

    fn info(&self) -> StepInfo {
        StepInfo { kernel: self.isa.name(), ..self.info.clone() }
    }
}

/// Second half of dynamic quantization: u8 affine qparams of each sample's range (NUMERICS section 6), then bytes.
pub struct DynamicQuantizeStep {
    info: StepInfo,
    convert: ToBytes,
    table: Tensor,
    /// The tensor's name, for messages.
    name: String,
}

impl DynamicQuantizeStep {
    /// The step; `name` is the float tensor's.
    pub fn new(info: StepInfo, isa: VectorIsa, src: Tensor, table: Tensor, dst: Tensor, name: String) -> Self {
        Self { info: StepInfo { kernel: isa.name(), ..info }, convert: ToBytes { isa, src, dst }, table, name }
    }

    fn not_finite(&self, run: &StepRun<'_>, sample: usize) -> Error {
        // SAFETY: nobody writes the source during this step.
        let values = unsafe { run.memory.read::<f32>(&self.convert.src, sample, 0, self.convert.src.layout.held_len()) };
        let index = first_non_finite(values).unwrap_or(0);
        let value = values.get(index).copied().unwrap_or(f32::NAN);
        Error::NotFinite(format!("tensor {}, sample {}, element {index} is {value}", self.name, run.first_sample + sample))
    }
}

impl Step for DynamicQuantizeStep {
    fn run(&self, run: &mut StepRun<'_>) -> Result<()> {
        debug_assert_eq!(self.convert.src.layout.element, Element::F32);
        let mut failure = None;
        for sample in 0..run.samples {
            let parts = run.part.count.min(MAX_RANGE_PARTS);
            // SAFETY: the parts' ranges were written by the step before this one.
            let ranges = unsafe { run.memory.read::<f32>(&self.table, sample, RANGES_START, 2 * parts) };
            let finite = ranges.iter().all(|bound| bound.is_finite());
            let min = ranges.iter().copied().fold(0.0, f32::min);
            let max = ranges.iter().copied().fold(0.0, f32::max);
            let solved = if finite { choose_qparams(min, max, Target::U8_AFFINE).ok() } else { None };
            let qparams = solved.unwrap_or(QParams { scale: 1.0, zero_point: 0 });
            if solved.is_none() && failure.is_none() {
                failure = Some(self.not_finite(run, sample));
            }
            if run.part.index == 0 {
                // SAFETY: one part writes the qparams, which no part reads during this step.
                let entry = unsafe { run.memory.write::<SampleQParams>(&self.table, sample, 0, 1) };
                entry[0] = SampleQParams { scale: qparams.scale, zero_point: qparams.zero_point };
            }
            self.convert.run(run, sample, Quantizer::new(qparams, 0, u8::MAX));
        }
        failure.map_or(Ok(()), Err)
    }

    fn may_fail(&self) -> bool {
        true
    }

    fn info(&self) -> StepInfo {
        self.info.clone()
    }
}

