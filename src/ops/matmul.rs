//! Products of two computed matrices, batched: the right one is packed into panels in scratch, then the f32 kernel runs.
use super::step::{HELP_PARTS, Step, StepInfo, StepRun, Tensor};
use crate::error::{Error, Result};
use crate::kernels::{F32Block, F32Kernel, Pixels, Taps};
use crate::packed::{PANEL_CHANNELS, WeightShape};
use std::sync::Arc;

/// `[.., m, k] x [.., k, n]`, leading axes broadcast; every sum is one chain over `k`.
pub struct MatMulStep {
    info: StepInfo,
    kernel: Arc<dyn F32Kernel>,
    a: Tensor,
    b: Tensor,
    dst: Tensor,
    m: usize,
    shape: WeightShape,
    /// Index of the left and right matrix of each output matrix.
    pairs: Vec<(usize, usize)>,
}

/// Number of the matrix of `operand` that meets output matrix `index`, whose leading axes are `leading`.
fn matrix_of(operand: &[usize], leading: &[usize], mut index: usize) -> usize {
    let own = &operand[..operand.len() - 2];
    let offset = leading.len() - own.len();
    let (mut matrix, mut stride) = (0, 1);
    for axis in (0..leading.len()).rev() {
        let at = index % leading[axis];
        index /= leading[axis];
        if axis >= offset {
            matrix += if own[axis - offset] == 1 { 0 } else { at * stride };
            stride *= own[axis - offset];
        }
    }
    matrix
}

impl MatMulStep {
    /// The step; all tensors are row-major.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for operands of rank 1.
    pub fn new(info: StepInfo, kernel: Arc<dyn F32Kernel>, a: Tensor, b: Tensor, dst: Tensor) -> Result<Self> {
        let (a_dims, b_dims, dims) = (&a.layout.dims, &b.layout.dims, &dst.layout.dims);
        if a_dims.len() < 2 || b_dims.len() < 2 || dims.len() < 2 {
            return Err(Error::Unsupported(format!("node {}: MatMul of shapes {a_dims:?} and {b_dims:?}", info.name)));
        }
        let leading = &dims[..dims.len() - 2];
        let (m, n, k) = (dims[dims.len() - 2], dims[dims.len() - 1], a_dims[a_dims.len() - 1]);
        let count: usize = leading.iter().product();
        let pairs = (0..count).map(|index| (matrix_of(a_dims, leading, index), matrix_of(b_dims, leading, index))).collect();
        let info = StepInfo { kernel: kernel.name(), macs: (count * m * n * k) as u64, ..info };
        Ok(Self { info, kernel, m, shape: WeightShape { oc: n, taps: 1, ic: k }, pairs, a, b, dst })
    }
}

impl Step for MatMulStep {
    fn run(&self, run: &mut StepRun<'_>) -> Result<()> {
        let (n, k) = (self.shape.oc, self.shape.ic);
        let panels: &mut [f32] =
            bytemuck::cast_slice_mut(&mut run.scratch[..self.shape.panels() * self.shape.panel_floats() * size_of::<f32>()]);
        let by_matrix = self.pairs.len() >= run.part.count;
        let matrices = if by_matrix { run.part.range(self.pairs.len()) } else { 0..self.pairs.len() };
        let rows = if by_matrix { 0..self.m } else { run.part.range_aligned(self.m, self.kernel.tile_pixels()) };
        if rows.is_empty() {
            return Ok(());
        }
        for sample in 0..run.samples {
            for (index, &(left, right)) in self.pairs.iter().enumerate().take(matrices.end).skip(matrices.start) {
                // SAFETY: nobody writes the operands during this step.
                let (a, b) = unsafe {
                    (
                        run.memory.read::<f32>(&self.a, sample, left * self.m * k, self.m * k),
                        run.memory.read::<f32>(&self.b, sample, right * k * n, k * n),
                    )
                };
                pack_rows(b, n, panels);
                let dst = run.memory.dst(&self.dst).wrapping_add(sample * self.dst.sample_bytes).cast::<f32>();
                let float = size_of::<f32>();
                let block = F32Block {
                    src: Pixels { start: a[rows.start * k..].as_ptr().cast(), row_stride: 0, col_stride: (k * float) as isize },
                    rows: 1,
                    cols: rows.len(),
                    taps: Taps {
                        rows: 1,
                        cols: 1,
                        run: k,
                        src_row_stride: 0,
                        src_col_stride: 0,
                        weight_row_stride: 0,
                        weight_col_stride: 0,
                    },
                    weights: panels.as_ptr(),
                    panel_stride: self.shape.panel_floats() * float,
                    channels: n,
                    bias: std::ptr::null(),
                    residual: None,
                    low: f32::NEG_INFINITY,
                    high: f32::INFINITY,
                    dst: Pixels {
                        start: dst.wrapping_add((index * self.m + rows.start) * n).cast(),
                        row_stride: 0,
                        col_stride: (n * float) as isize,
                    },
                };
                // SAFETY: the rows lie inside the operand, the panels hold all columns, and parts write disjoint rows.
                unsafe { self.kernel.run(&block) };
            }
        }
        Ok(())
    }

    fn help_parts(&self) -> usize {
        // Parts of one matrix each pack all of the right operand.
        if self.pairs.len() >= HELP_PARTS { HELP_PARTS } else { 1 }
    }

    fn scratch_bytes(&self, _samples: usize) -> usize {
        self.shape.panels() * self.shape.panel_floats() * size_of::<f32>()
    }

    fn info(&self) -> StepInfo {
        self.info.clone()
    }
}

/// Packs `[k][n]` into panels `[n/16][k][16]`.
fn pack_rows(b: &[f32], n: usize, panels: &mut [f32]) {
    let k = b.len() / n.max(1);
    for (panel, dst) in panels.chunks_exact_mut((k * PANEL_CHANNELS).max(1)).enumerate() {
        let first = panel * PANEL_CHANNELS;
        let count = PANEL_CHANNELS.min(n - first);
        for (row, dst) in b.chunks_exact(n).zip(dst.chunks_exact_mut(PANEL_CHANNELS)) {
            dst[..count].copy_from_slice(&row[first..first + count]);
            dst[count..].fill(0.0);
        }
    }
}
