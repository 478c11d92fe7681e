//! A caller's image bytes, dense NHWC, as the input of a graph: normalized, and quantized where the graph begins with that.
use super::layout::Order;
use super::step::{Step, StepInfo, StepRun, Tensor};
use crate::error::Result;
use crate::graph::QuantizedType;
use crate::kernels::VectorIsa;
use crate::kernels::image::{ImageQuantizer, image_floats, image_plane};
use crate::kernels::quantize::Quantizer;
use crate::quantize::ByteValues;
use crate::threads::Part;
use std::ops::Range;
use std::sync::Arc;

/// Pixels that parts are cut at: a cache line of quantized pixels.
const PART_PIXELS: usize = 16;

/// Pixels of an image of `[n, c, h, w]`.
fn pixels_of(tensor: &Tensor) -> usize {
    tensor.layout.dims[2..].iter().product()
}

/// This part's pixels of every image of the run: sample, image, pixels.
fn shares(tensor: &Tensor, samples: usize, part: Part) -> impl Iterator<Item = (usize, usize, Range<usize>)> {
    let (images, pixels) = (tensor.layout.dims[0], part.range_aligned(pixels_of(tensor), PART_PIXELS));
    (0..samples)
        .flat_map(move |sample| (0..images).map(move |image| (sample, image)))
        .map(move |(sample, image)| (sample, image, pixels.clone()))
}

/// Image bytes to the quantized bytes of their normalized values: the bits that quantizing those floats gives.
pub struct QuantizeImageStep {
    info: StepInfo,
    isa: VectorIsa,
    quantizer: ImageQuantizer,
    channels: usize,
    src: Tensor,
    dst: Tensor,
}

impl QuantizeImageStep {
    /// The step; `src` is the caller's image and `dst` u8, channels last.
    pub fn new(info: StepInfo, isa: VectorIsa, values: &[ByteValues], ty: QuantizedType, [src, dst]: [Tensor; 2]) -> Self {
        let quantizer = ImageQuantizer::new(values, Quantizer::new(ty.qparams, ty.low, ty.high));
        Self { info: StepInfo { kernel: isa.name(), ..info }, isa, quantizer, channels: values.len(), src, dst }
    }
}

impl Step for QuantizeImageStep {
    fn run(&self, run: &mut StepRun<'_>) -> Result<()> {
        let (pixels, c, stride) = (pixels_of(&self.src), self.channels, self.dst.layout.inner_stride());
        for (sample, image, range) in shares(&self.src, run.samples, run.part) {
            let first = image * pixels + range.start;
            // SAFETY: nobody writes the source during this step; parts write disjoint pixels.
            let (src, dst) = unsafe {
                (
                    run.memory.read::<u8>(&self.src, sample, first * c, range.len() * c),
                    run.memory.write::<u8>(&self.dst, sample, first * stride, range.len() * stride),
                )
            };
            self.quantizer.run(self.isa, src, stride, dst);
        }
        Ok(())
    }

    fn info(&self) -> StepInfo {
        self.info.clone()
    }
}

/// Image bytes to their normalized values, in either order.
pub struct ImageFloatsStep {
    info: StepInfo,
    values: Arc<[ByteValues]>,
    src: Tensor,
    dst: Tensor,
}

impl ImageFloatsStep {
    /// The step; `src` is the caller's image and `dst` f32 of the same shape.
    pub fn new(info: StepInfo, values: Arc<[ByteValues]>, src: Tensor, dst: Tensor) -> Self {
        Self { info: StepInfo { kernel: "portable", ..info }, values, src, dst }
    }
}

impl Step for ImageFloatsStep {
    fn run(&self, run: &mut StepRun<'_>) -> Result<()> {
        let (pixels, c) = (pixels_of(&self.src), self.values.len());
        for (sample, image, range) in shares(&self.src, run.samples, run.part) {
            let first = image * pixels + range.start;
            // SAFETY: nobody writes the source during this step.
            let src = unsafe { run.memory.read::<u8>(&self.src, sample, first * c, range.len() * c) };
            if self.dst.layout.order == Order::ChannelsLast {
                // SAFETY: parts write disjoint pixels.
                let dst = unsafe { run.memory.write::<f32>(&self.dst, sample, first * c, range.len() * c) };
                image_floats(src, &self.values, dst);
                continue;
            }
            for (channel, values) in self.values.iter().enumerate() {
                let start = (image * c + channel) * pixels + range.start;
                // SAFETY: parts write disjoint pixels of each plane.
                let dst = unsafe { run.memory.write::<f32>(&self.dst, sample, start, range.len()) };
                image_plane(src, channel, c, values, dst);
            }
        }
        Ok(())
    }

    fn info(&self) -> StepInfo {
        self.info.clone()
    }
}
