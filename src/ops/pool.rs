//! Pooling over windows and over whole images, channels last, on floats and on bytes.
use super::layout::Element;
use super::step::{Step, StepInfo, StepRun, Tensor};
use crate::error::Result;
use crate::graph::{Pool, QuantizedType, Window};
use crate::kernels::pool::{
    AverageParams, PoolColumns, PoolDivisor, PoolRows, average_pool_f32, average_pool_u8, global_average_u8, max_pool_f32, max_pool_u8,
};
use crate::kernels::reduce::mean_columns;
use crate::kernels::{ByteRange, VectorIsa};
use std::ops::Range;

/// What a window becomes.
#[derive(Debug, Clone, Copy)]
pub enum Pooling {
    /// Its largest value.
    Max,
    /// The mean of floats.
    Average,
    /// The mean of bytes.
    AverageBytes(AverageParams),
}

/// Qparams of an average of bytes.
pub fn average_params(input: QuantizedType, output: QuantizedType) -> AverageParams {
    AverageParams {
        zero_point: input.qparams.zero_point,
        scale: input.qparams.scale,
        output_scale: output.qparams.scale,
        output: ByteRange { zero_point: output.qparams.zero_point, low: i32::from(output.low), high: i32::from(output.high) },
    }
}

/// Pooling over windows.
pub struct PoolStep {
    info: StepInfo,
    isa: VectorIsa,
    pool: Pool,
    window: Window,
    pooling: Pooling,
    src: Tensor,
    dst: Tensor,
}

impl PoolStep {
    /// The step; tensors are channels last.
    pub fn new(info: StepInfo, isa: VectorIsa, pool: Pool, window: Window, pooling: Pooling, src: Tensor, dst: Tensor) -> Self {
        Self { info: StepInfo { kernel: isa.name(), ..info }, isa, pool, window, pooling, src, dst }
    }

    /// Valid taps of output row `y`: the first input row and their number.
    fn valid_rows(&self, y: usize) -> (usize, usize) {
        let (start, pad, dilation) = (y * self.pool.strides[0], self.window.begin[0], self.pool.dilations[0]);
        let skipped = pad.saturating_sub(start).div_ceil(dilation);
        let first = (start + skipped * dilation).saturating_sub(pad);
        let height = self.src.layout.dims[2];
        let inside = if first < height { (height - first).div_ceil(dilation) } else { 0 };
        (first, inside.min(self.pool.kernel[0].saturating_sub(skipped)))
    }

    /// Rows that an average counts in output row `y`.
    fn divisor(&self, y: usize, valid: usize) -> PoolDivisor {
        if !self.pool.count_include_pad {
            return PoolDivisor { rows: valid, pad_right: None };
        }
        let padded = self.window.begin[0] + self.src.layout.dims[2] + self.window.end[0];
        let inside = padded.saturating_sub(y * self.pool.strides[0]).div_ceil(self.pool.dilations[0]);
        PoolDivisor { rows: inside.min(self.pool.kernel[0]), pad_right: Some(self.window.end[1]) }
    }

    fn columns(&self) -> PoolColumns {
        PoolColumns {
            kernel: self.pool.kernel[1],
            stride: self.pool.strides[1],
            dilation: self.pool.dilations[1],
            pad_left: self.window.begin[1],
            out_width: self.dst.layout.dims[3],
        }
    }

    /// Output rows of a part of one sample (which holds `dims[0]` images) as calls of `pool_row(source rows, y, destination)`.
    fn for_each_row<T: bytemuck::Pod>(&self, run: &StepRun<'_>, sample: usize, mut pool_row: impl FnMut(PoolRows<'_, T>, usize, &mut [T])) {
        let (images, height, width) = (self.src.layout.dims[0], self.src.layout.dims[2], self.src.layout.dims[3]);
        let (out_height, out_width) = (self.dst.layout.dims[2], self.dst.layout.dims[3]);
        let c_stride = self.src.layout.inner_stride();
        let (image_len, row_len) = (height * width * c_stride, out_width * c_stride);
        let rows: Range<usize> = run.part.range(images * out_height);
        for row in rows {
            let (image, y) = (row / out_height, row % out_height);
            // SAFETY: nobody writes the source during this step; parts write disjoint rows.
            let (memory, dst) = unsafe {
                (
                    run.memory.read::<T>(&self.src, sample, image * image_len, image_len),
                    run.memory.write::<T>(&self.dst, sample, row * row_len, row_len),
                )
            };
            let (first_row, rows) = self.valid_rows(y);
            let source = PoolRows { memory, width, c_stride, first_row, rows, row_step: self.pool.dilations[0], ring_rows: height };
            pool_row(source, y, dst);
        }
    }

    fn row_len(&self) -> usize {
        self.src.layout.dims[3] * self.src.layout.inner_stride()
    }
}

impl Step for PoolStep {
    fn run(&self, run: &mut StepRun<'_>) -> Result<()> {
        let (isa, columns, row_len, c_stride) = (self.isa, self.columns(), self.row_len(), self.src.layout.inner_stride());
        let scratch = std::mem::take(&mut run.scratch);
        for sample in 0..run.samples {
            match (self.pooling, self.src.layout.element) {
                (Pooling::Max, Element::U8) => {
                    self.for_each_row::<u8>(run, sample, |source, _, dst| max_pool_u8(isa, source, columns, &mut scratch[..row_len], dst));
                }
                (Pooling::Max, Element::F32) => {
                    let scratch: &mut [f32] = bytemuck::cast_slice_mut(&mut scratch[..row_len * size_of::<f32>()]);
                    self.for_each_row::<f32>(run, sample, |source, _, dst| max_pool_f32(isa, source, columns, scratch, dst));
                }
                (Pooling::AverageBytes(params), _) => {
                    let sums: &mut [i32] = bytemuck::cast_slice_mut(&mut scratch[..c_stride * size_of::<i32>()]);
                    self.for_each_row::<u8>(run, sample, |source, y, dst| {
                        average_pool_u8(isa, source, columns, self.divisor(y, source.rows), params, sums, dst);
                    });
                }
                (Pooling::Average, _) => self.for_each_row::<f32>(run, sample, |source, y, dst| {
                    average_pool_f32(isa, source, columns, self.divisor(y, source.rows), dst);
                }),
            }
        }
        run.scratch = scratch;
        Ok(())
    }

    fn scratch_bytes(&self, _samples: usize) -> usize {
        self.row_len().max(self.src.layout.inner_stride()) * size_of::<f32>()
    }

    fn info(&self) -> StepInfo {
        self.info.clone()
    }
}

/// The mean of every channel over all pixels.
pub struct GlobalAverageStep {
    /// Name and operator.
    pub info: StepInfo,
    /// Vector instructions.
    pub isa: VectorIsa,
    /// Qparams on bytes; `None` on floats.
    pub bytes: Option<AverageParams>,
    /// Channels last.
    pub src: Tensor,
    /// One pixel an image.
    pub dst: Tensor,
}

impl Step for GlobalAverageStep {
    fn run(&self, run: &mut StepRun<'_>) -> Result<()> {
        let layout = &self.src.layout;
        let (images, pixels, c_stride) = (layout.dims[0], layout.dims[2] * layout.dims[3], layout.inner_stride());
        for (sample, image) in (0..run.samples).flat_map(|sample| run.part.range(images).map(move |image| (sample, image))) {
            let (start, len) = (image * pixels * c_stride, pixels * c_stride);
            // SAFETY: nobody writes the source during this step; parts write different images.
            unsafe {
                match self.bytes {
                    Some(params) => {
                        let src = run.memory.read::<u8>(&self.src, sample, start, len);
                        let dst = run.memory.write::<u8>(&self.dst, sample, image * c_stride, c_stride);
                        let sums: &mut [i32] = bytemuck::cast_slice_mut(&mut run.scratch[..c_stride * size_of::<i32>()]);
                        global_average_u8(self.isa, src, params, sums, dst);
                    }
                    None => {
                        let src = run.memory.read::<f32>(&self.src, sample, start, len);
                        let dst = run.memory.write::<f32>(&self.dst, sample, image * c_stride, c_stride);
                        mean_columns(self.isa, src, pixels, c_stride, dst);
                    }
                }
            }
        }
        Ok(())
    }

    fn scratch_bytes(&self, _samples: usize) -> usize {
        self.src.layout.inner_stride() * size_of::<i32>()
    }

    fn info(&self) -> StepInfo {
        StepInfo { kernel: self.isa.name(), ..self.info.clone() }
    }
}
