//! Means and softmax over axes of row-major floats.
use super::step::{Step, StepInfo, StepRun, Tensor};
use crate::error::Result;
use crate::kernels::VectorIsa;
use crate::kernels::reduce::{mean_columns, mean_rows};
use crate::kernels::unary::{softmax_columns, softmax_rows};

/// What is computed over the middle axis of `[outer][n][inner]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reduction {
    /// The mean: the axis goes.
    Mean,
    /// `e^(x - max)` over its sum: the axis stays.
    Softmax,
}

/// A reduction over neighbouring axes.
pub struct ReductionStep {
    /// Name and operator.
    pub info: StepInfo,
    /// Vector instructions.
    pub isa: VectorIsa,
    /// What.
    pub reduction: Reduction,
    /// `[outer, n, inner]` of one sample.
    pub shape: [usize; 3],
    /// Row-major.
    pub src: Tensor,
    /// Row-major.
    pub dst: Tensor,
}

impl Step for ReductionStep {
    fn run(&self, run: &mut StepRun<'_>) -> Result<()> {
        let [outer, n, inner] = self.shape;
        let block = n * inner;
        let made = if self.reduction == Reduction::Mean { inner } else { block };
        let share = run.part.range(outer);
        for sample in 0..run.samples {
            // SAFETY: nobody writes the source during this step; parts write disjoint blocks.
            let (src, dst) = unsafe {
                (
                    run.memory.read::<f32>(&self.src, sample, share.start * block, share.len() * block),
                    run.memory.write::<f32>(&self.dst, sample, share.start * made, share.len() * made),
                )
            };
            match (self.reduction, inner) {
                (Reduction::Mean, 1) => mean_rows(self.isa, src, n, dst),
                (Reduction::Mean, _) => mean_columns(self.isa, src, n, inner, dst),
                (Reduction::Softmax, 1) => softmax_rows(self.isa, src, n, dst),
                (Reduction::Softmax, _) => {
                    let scratch: &mut [f32] = bytemuck::cast_slice_mut(&mut run.scratch[..2 * inner * size_of::<f32>()]);
                    for (src, dst) in src.chunks_exact(block.max(1)).zip(dst.chunks_exact_mut(block.max(1))) {
                        softmax_columns(self.isa, src, inner, scratch, dst);
                    }
                }
            }
        }
        Ok(())
    }

    fn scratch_bytes(&self, _samples: usize) -> usize {
        2 * self.shape[2] * size_of::<f32>()
    }

    fn info(&self) -> StepInfo {
        StepInfo { kernel: self.isa.name(), ..self.info.clone() }
    }
}
