//! Images of floats to bytes with fixed qparams of each channel: NUMERICS section 1, channel by channel.
use super::layout::{Element, Order};
use super::step::{Step, StepInfo, StepRun, Tensor};
use crate::error::{Error, Result};
use crate::kernels::VectorIsa;
use crate::kernels::quantize::{ChannelQuantizer, quantize_pixels, quantize_planes};
use crate::quantize::QParams;
use crate::tensor::SharedBytes;

/// Floats of an image, in either order, to bytes with the channels innermost.
pub struct QuantizeChannelsStep {
    info: StepInfo,
    isa: VectorIsa,
    quantizer: ChannelQuantizer,
    src: Tensor,
    dst: Tensor,
}

impl QuantizeChannelsStep {
    /// The step; `tables` are scales `[c]` f32 and zero points `[c]` i32, `ends` the smallest and largest byte.
    ///
    /// # Errors
    /// Tables that do not fit the image's channels, naming the node.
    pub fn new(info: StepInfo, isa: VectorIsa, tables: [SharedBytes; 2], ends: [u8; 2], src: Tensor, dst: Tensor) -> Result<Self> {
        let [scales, zero_points] = tables;
        let (scales, zero_points): (Option<&[f32]>, Option<&[i32]>) = (scales.cast(), zero_points.cast());
        let channels = dst.layout.inner();
        let is_image = dst.layout.dims.len() == 4 && dst.layout.order == Order::ChannelsLast && dst.layout.element == Element::U8;
        let (Some(scales), Some(zero_points)) = (scales, zero_points) else {
            return Err(Error::Graph(format!("node {}: its tables are not aligned", info.name)));
        };
        if !is_image || scales.len() != channels || zero_points.len() != channels {
            let (name, found) = (&info.name, scales.len());
            return Err(Error::Graph(format!("node {name}: qparams of {found} channels for a tensor of shape {:?}", dst.layout.dims)));
        }
        let qparams = scales.iter().zip(zero_points).map(|(&scale, &zero_point)| QParams { scale, zero_point });
        let quantizer = ChannelQuantizer::new(qparams, ends[0], ends[1]);
        Ok(Self { info: StepInfo { kernel: isa.name(), ..info }, isa, quantizer, src, dst })
    }
}

impl Step for QuantizeChannelsStep {
    fn run(&self, run: &mut StepRun<'_>) -> Result<()> {
        let (channels, stride) = (self.dst.layout.inner(), self.dst.layout.inner_stride());
        let images = self.dst.layout.dims[0];
        let pixels = self.dst.layout.dims[2] * self.dst.layout.dims[3];
        let part = run.part.range_aligned(pixels, 16);
        if part.is_empty() {
            return Ok(());
        }
        for (sample, image) in (0..run.samples).flat_map(|sample| (0..images).map(move |image| (sample, image))) {
            let first = image * pixels + part.start;
            // SAFETY: nobody writes the source during this step; parts write disjoint pixels.
            let dst = unsafe { run.memory.write::<u8>(&self.dst, sample, first * stride, part.len() * stride) };
            match self.src.layout.order {
                Order::ChannelsLast => {
                    // SAFETY: as above.
                    let src = unsafe { run.memory.read::<f32>(&self.src, sample, first * channels, part.len() * channels) };
                    quantize_pixels(self.isa, src, stride, &self.quantizer, dst);
                }
                Order::RowMajor => {
                    // Channel `c` of this part's first pixel is `c * pixels` floats on.
                    let start = image * channels * pixels + part.start;
                    // SAFETY: as above.
                    let src = unsafe { run.memory.read::<f32>(&self.src, sample, start, channels * pixels - part.start) };
                    quantize_planes(self.isa, src, pixels, stride, &self.quantizer, dst);
                }
            }
        }
        Ok(())
    }

    fn info(&self) -> StepInfo {
        self.info.clone()
    }
}
