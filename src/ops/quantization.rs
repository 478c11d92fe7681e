//! Between floats and bytes: with fixed qparams, and with qparams of each sample's (or the whole tensor's) own range.
use super::conv2d::{DYNAMIC_ENTRY_BYTES, ImageQParams, MAX_RANGE_PARTS};
use super::layout::Element;
use super::recurrent::quantize_row;
use super::step::{Step, StepInfo, StepRun, Tensor};
use crate::error::{Error, Result};
use crate::graph::QuantizedType;
use crate::kernels::VectorIsa;
use crate::kernels::quantize::{
    Quantizer, dequantize, dequantize_nhwc, first_non_finite, min_max, quantize, quantize_nchw_to_nhwc, quantize_nhwc,
};
use crate::quantize::{DynamicQuantization, DynamicRule, Grain, QParams};
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

/// Indices along axis 0 in one planned sample: 1, unless the plan is for whole batches.
fn images_of(tensor: &Tensor) -> usize {
    tensor.layout.dims.first().copied().unwrap_or(1)
}

/// Sets of qparams of one planned sample: an image each, or one for all.
fn sets_of(tensor: &Tensor, quantization: DynamicQuantization) -> usize {
    if quantization.grain == Grain::PerTensor { 1 } else { images_of(tensor) }
}

impl ToBytes {
    fn images(&self) -> usize {
        images_of(&self.dst)
    }

    /// Rows (pixels) of one image of the destination.
    fn rows(&self) -> usize {
        let layout = &self.dst.layout;
        layout.held_len() / layout.inner_stride().max(1) / self.images().max(1)
    }

    /// Quantizes this part's rows of an image of a sample.
    fn run(&self, run: &StepRun<'_>, sample: usize, image: usize, quantizer: ByteRule) {
        let (inner, stride) = (self.dst.layout.inner(), self.dst.layout.inner_stride());
        let first_row = image * self.rows();
        let rows = run.part.range_aligned(self.rows(), 16);
        if rows.is_empty() {
            return;
        }
        // SAFETY: nobody writes the source during this step; parts write disjoint rows.
        let dst = unsafe { run.memory.write::<u8>(&self.dst, sample, (first_row + rows.start) * stride, rows.len() * stride) };
        let quantizer = match quantizer {
            ByteRule::Native(quantizer) => quantizer,
            ByteRule::Torch(quantization, qparams) => {
                // Rows as they lie: layers with torch's rule read row-major tensors (see `orders`).
                // SAFETY: as above.
                let src = unsafe { run.memory.read::<f32>(&self.src, sample, (first_row + rows.start) * inner, rows.len() * inner) };
                for (src, dst) in src.chunks_exact(inner.max(1)).zip(dst.chunks_exact_mut(stride.max(1))) {
                    let (values, padding) = dst.split_at_mut(inner);
                    quantize_row(self.isa, quantization, qparams, src, values);
                    padding.fill(qparams.zero_point as u8);
                }
                return;
            }
        };
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

/// How a float becomes a byte.
#[derive(Debug, Clone, Copy)]
enum ByteRule {
    Native(Quantizer),
    /// Torch's dynamic rule, whose source and destination lie alike.
    Torch(DynamicQuantization, QParams),
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
            (0..self.convert.images()).for_each(|image| self.convert.run(run, sample, image, ByteRule::Native(self.quantizer)));
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
    /// Grain.
    pub quantization: DynamicQuantization,
    /// f32.
    pub src: Tensor,
    /// An entry of [`DYNAMIC_ENTRY_BYTES`] for each image, or one for all.
    pub table: Tensor,
}

impl Step for ImageRangeStep {
    fn run(&self, run: &mut StepRun<'_>) -> Result<()> {
        if run.part.index >= MAX_RANGE_PARTS {
            return Ok(());
        }
        let part = Part { index: run.part.index, count: run.part.count.min(MAX_RANGE_PARTS) };
        let images = sets_of(&self.src, self.quantization);
        let image_len = self.src.layout.held_len() / images.max(1);
        let range = part.range_aligned(image_len, 16);
        for (sample, image) in (0..run.samples).flat_map(|sample| (0..images).map(move |image| (sample, image))) {
            // SAFETY: nobody writes the source during this step.
            let src = unsafe { run.memory.read::<f32>(&self.src, sample, image * image_len + range.start, range.len()) };
            let found = if src.is_empty() { None } else { Some(min_max(self.isa, src)) };
            let found = found.map_or([0.0; 2], |range| if range.finite { [range.min, range.max] } else { [f32::NAN; 2] });
            // The next step's parts may be others, so it reads all places: those that would stay free repeat what this part found.
            for place in (part.index..MAX_RANGE_PARTS).step_by(part.count) {
                let start = image * ENTRY_FLOATS + RANGES_START + 2 * place;
                // SAFETY: each part writes places of its own.
                unsafe { run.memory.write::<f32>(&self.table, sample, start, 2) }.copy_from_slice(&found);
            }
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
    quantization: DynamicQuantization,
    convert: ToBytes,
    table: Tensor,
    /// The tensor's name, for messages.
    name: String,
}

impl DynamicQuantizeStep {
    /// The step, for qparams of each sample or of the tensor; `name` is the float tensor's.
    pub fn new(info: StepInfo, isa: VectorIsa, quantization: DynamicQuantization, [src, table, dst]: [Tensor; 3], name: String) -> Self {
        Self { info: StepInfo { kernel: isa.name(), ..info }, quantization, convert: ToBytes { isa, src, dst }, table, name }
    }

    /// Where the first number lies that is not finite in a set's values.
    fn not_finite(&self, run: &StepRun<'_>, sample: usize, set: usize) -> Error {
        let sets = sets_of(&self.convert.src, self.quantization);
        let images = self.convert.images();
        let image_len = self.convert.src.layout.held_len() / images.max(1);
        let image_len_is_finite = |image: usize| {
            // SAFETY: nobody writes the source during this step.
            let values = unsafe { run.memory.read::<f32>(&self.convert.src, sample, image * image_len, image_len) };
            first_non_finite(values).is_none()
        };
        let mut of_set = set * images / sets..(set + 1) * images / sets;
        let image = of_set.find(|&image| !image_len_is_finite(image)).unwrap_or(set * images / sets);
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
        let (images, sets) = (self.convert.images(), sets_of(&self.convert.src, self.quantization));
        for (sample, image) in (0..run.samples).flat_map(|sample| (0..sets).map(move |set| (sample, set))) {
            // SAFETY: the ranges were written by the step before this one, whatever its parts were.
            let ranges = unsafe { run.memory.read::<f32>(&self.table, sample, image * ENTRY_FLOATS + RANGES_START, 2 * MAX_RANGE_PARTS) };
            let finite = ranges.iter().all(|bound| bound.is_finite());
            let min = ranges.iter().copied().fold(0.0, f32::min);
            let max = ranges.iter().copied().fold(0.0, f32::max);
            let solved = if finite { self.quantization.qparams(min, max).ok() } else { None };
            let qparams = solved.unwrap_or(QParams { scale: 1.0, zero_point: 0 });
            if solved.is_none() && failure.is_none() {
                failure = Some(self.not_finite(run, sample, image));
            }
            if run.part.index == 0 {
                // SAFETY: one part writes the qparams, which no part reads during this step.
                let entry = unsafe { run.memory.write::<f32>(&self.table, sample, image * ENTRY_FLOATS, RANGES_START) };
                entry.copy_from_slice(bytemuck::cast_slice(&[ImageQParams { scale: qparams.scale, zero_point: qparams.zero_point }]));
            }
            let rule = match self.quantization.rule {
                DynamicRule::Native => ByteRule::Native(Quantizer::new(qparams, 0, self.quantization.high())),
                DynamicRule::Torch => ByteRule::Torch(self.quantization, qparams),
            };
            (image * images / sets..(image + 1) * images / sets).for_each(|image| self.convert.run(run, sample, image, rule));
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

#[cfg(test)]
mod tests;
