//! Between floats and bytes: with fixed qparams, and with qparams of each sample's own range.
use super::conv2d::{DYNAMIC_ENTRY_BYTES, ImageQParams, MAX_RANGE_PARTS};
use super::layout::Element;
use super::step::{Step, StepInfo, StepRun, Tensor};
use crate::error::{Error, Result};
use crate::graph::QuantizedType;
use crate::kernels::VectorIsa;
use crate::kernels::quantize::{
    Quantizer, dequantize, dequantize_nhwc, first_non_finite, min_max, quantize, quantize_nchw_to_nhwc, quantize_nhwc,
};
use crate::quantize::{QParams, Target, choose_qparams};
use crate::threads::Part;

/// Floats of an image's table entry, and where the parts' ranges begin in it.
const ENTRY_FLOATS: usize = DYNAMIC_ENTRY_BYTES / size_of::<f32>();
const RANGES_START: usize = size_of::<ImageQParams>() / size_of::<f32>();

/// How floats become bytes: which source order, one row (pixel) at a time.
#[derive(Debug, Clone)]
struct ToBytes {
    isa: VectorIsa,
    src: Tensor,
    dst: Tensor,
}

impl ToBytes {
    /// Indices along axis 0 in one sample: 1, unless the plan is for whole batches.
    fn images(&self) -> usize {
        self.dst.layout.dims.first().copied().unwrap_or(1)
    }

    /// Rows (pixels) of one image of the destination.
    fn rows(&self) -> usize {
        let layout = &self.dst.layout;
        layout.held_len() / layout.inner_stride().max(1) / self.images().max(1)
    }

    /// Quantizes this part's rows of an image of a sample.
    fn run(&self, run: &StepRun<'_>, sample: usize, image: usize, quantizer: Quantizer) {
        let (inner, stride) = (self.dst.layout.inner(), self.dst.layout.inner_stride());
        let first_row = image * self.rows();
        let rows = run.part.range_aligned(self.rows(), 16);
        if rows.is_empty() {
            return;
        }
        // SAFETY: nobody writes the source during this step; parts write disjoint rows.
        let dst = unsafe { run.memory.write::<u8>(&self.dst, sample, (first_row + rows.start) * stride, rows.len() * stride) };
        if self.src.layout.order == self.dst.layout.order {
            // SAFETY: as above.
            let src = unsafe { run.memory.read::<f32>(&self.src, sample, (first_row + rows.start) * inner, rows.len() * inner) };
            match inner == stride {
                true => quantize(self.isa, src, quantizer, dst),
                false => quantize_nhwc(self.isa, src, inner, stride, quantizer, dst),
            }
            return;
        }
        // Planes to pixels: channel `c` of this part's first pixel is `c * pixels` floats on.
        let pixels = self.rows();
        // SAFETY: as above.
        let src = unsafe { run.memory.read::<f32>(&self.src, sample, image * inner * pixels + rows.start, inner * pixels - rows.start) };
        quantize_nchw_to_nhwc(self.isa, src, pixels, rows.len(), inner, stride, quantizer, dst);
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
        for sample in 0..run.samples {
            (0..self.convert.images()).for_each(|image| self.convert.run(run, sample, image, self.quantizer));
        }
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

/// First half of dynamic quantization: each part finds the range of its share of every image.
pub struct ImageRangeStep {
    /// Name and operator.
    pub info: StepInfo,
    /// Vector instructions.
    pub isa: VectorIsa,
    /// f32.
    pub src: Tensor,
    /// An entry of [`DYNAMIC_ENTRY_BYTES`] for each image.
    pub table: Tensor,
}

impl Step for ImageRangeStep {
    fn run(&self, run: &mut StepRun<'_>) -> Result<()> {
        if run.part.index >= MAX_RANGE_PARTS {
            return Ok(());
        }
        let part = Part { index: run.part.index, count: run.part.count.min(MAX_RANGE_PARTS) };
        let images = self.src.layout.dims.first().copied().unwrap_or(1);
        let image_len = self.src.layout.held_len() / images.max(1);
        let range = part.range_aligned(image_len, 16);
        for (sample, image) in (0..run.samples).flat_map(|sample| (0..images).map(move |image| (sample, image))) {
            // SAFETY: nobody writes the source during this step; each part writes its own place of the entry.
            let (src, found) = unsafe {
                (
                    run.memory.read::<f32>(&self.src, sample, image * image_len + range.start, range.len()),
                    run.memory.write::<f32>(&self.table, sample, image * ENTRY_FLOATS + RANGES_START + 2 * part.index, 2),
                )
            };
            let range = if src.is_empty() { None } else { Some(min_max(self.isa, src)) };
            let range = range.map_or([0.0, 0.0], |range| if range.finite { [range.min, range.max] } else { [f32::NAN, f32::NAN] });
            found.copy_from_slice(&range);
        }
        Ok(())
    }

    fn info(&self) -> StepInfo {
        StepInfo { kernel: self.isa.name(), ..self.info.clone() }
    }
}

/// Second half of dynamic quantization: u8 affine qparams of each image's range (NUMERICS section 6), then bytes.
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

    fn not_finite(&self, run: &StepRun<'_>, sample: usize, image: usize) -> Error {
        let image_len = self.convert.src.layout.held_len() / self.convert.images().max(1);
        // SAFETY: nobody writes the source during this step.
        let values = unsafe { run.memory.read::<f32>(&self.convert.src, sample, image * image_len, image_len) };
        let index = first_non_finite(values).unwrap_or(0);
        let value = values.get(index).copied().unwrap_or(f32::NAN);
        let at = run.first_sample + sample * self.convert.images() + image;
        Error::NotFinite(format!("tensor {}, sample {at}, element {index} is {value}", self.name))
    }
}

impl Step for DynamicQuantizeStep {
    fn run(&self, run: &mut StepRun<'_>) -> Result<()> {
        debug_assert_eq!(self.convert.src.layout.element, Element::F32);
        let mut failure = None;
        let images = self.convert.images();
        for (sample, image) in (0..run.samples).flat_map(|sample| (0..images).map(move |image| (sample, image))) {
            let parts = run.part.count.min(MAX_RANGE_PARTS);
            // SAFETY: the parts' ranges were written by the step before this one.
            let ranges = unsafe { run.memory.read::<f32>(&self.table, sample, image * ENTRY_FLOATS + RANGES_START, 2 * parts) };
            let finite = ranges.iter().all(|bound| bound.is_finite());
            let min = ranges.iter().copied().fold(0.0, f32::min);
            let max = ranges.iter().copied().fold(0.0, f32::max);
            let solved = if finite { choose_qparams(min, max, Target::U8_AFFINE).ok() } else { None };
            let qparams = solved.unwrap_or(QParams { scale: 1.0, zero_point: 0 });
            if solved.is_none() && failure.is_none() {
                failure = Some(self.not_finite(run, sample, image));
            }
            if run.part.index == 0 {
                // SAFETY: one part writes the qparams, which no part reads during this step.
                let entry = unsafe { run.memory.write::<f32>(&self.table, sample, image * ENTRY_FLOATS, RANGES_START) };
                entry.copy_from_slice(bytemuck::cast_slice(&[ImageQParams { scale: qparams.scale, zero_point: qparams.zero_point }]));
            }
            self.convert.run(run, sample, image, Quantizer::new(qparams, 0, u8::MAX));
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
