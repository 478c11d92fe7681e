//! Dynamic quantization with qparams of each row: the range, the qparams and the bytes of a row in one go.
use super::conv2d::{DYNAMIC_ENTRY_BYTES, ImageQParams};
use super::recurrent::quantize_row;
use super::step::{Step, StepInfo, StepRun, Tensor};
use crate::error::{Error, Result};
use crate::kernels::VectorIsa;
use crate::kernels::quantize::{first_non_finite, min_max};
use crate::quantize::{DynamicQuantization, QParams};

/// Floats of a row's table entry.
const ENTRY_FLOATS: usize = DYNAMIC_ENTRY_BYTES / size_of::<f32>();

/// Rows of floats to rows of bytes, each by its own range.
pub struct QuantizeRowsStep {
    /// Name and operator.
    pub info: StepInfo,
    /// Vector instructions.
    pub isa: VectorIsa,
    /// Rule and range.
    pub quantization: DynamicQuantization,
    /// The table has the qparams of each row already.
    pub given: bool,
    /// f32, row-major.
    pub src: Tensor,
    /// An entry for each row.
    pub table: Tensor,
    /// u8, row-major.
    pub dst: Tensor,
    /// The source's name, for messages.
    pub name: String,
}

impl QuantizeRowsStep {
    /// Writes qparams to an entry of the table, for a step that is given them.
    pub fn give(entry: &mut [u8], qparams: QParams) {
        let QParams { scale, zero_point } = qparams;
        entry[..size_of::<ImageQParams>()].copy_from_slice(bytemuck::bytes_of(&ImageQParams { scale, zero_point }));
    }

    /// The qparams of a row's own range.
    fn solve(&self, src: &[f32]) -> Option<QParams> {
        let range = min_max(self.isa, src);
        if range.finite { self.quantization.qparams(range.min.min(0.0), range.max.max(0.0)).ok() } else { None }
    }
}

impl Step for QuantizeRowsStep {
    fn run(&self, run: &mut StepRun<'_>) -> Result<()> {
        let (inner, stride) = (self.dst.layout.inner(), self.dst.layout.inner_stride());
        let count = self.dst.layout.held_len() / stride.max(1);
        let mut failure = None;
        for (sample, row) in run.part.range(run.samples * count).map(|index| (index / count, index % count)) {
            // SAFETY: nobody writes the source during this step; parts write disjoint rows and entries.
            let (src, dst, entry) = unsafe {
                (
                    run.memory.read::<f32>(&self.src, sample, row * inner, inner),
                    run.memory.write::<u8>(&self.dst, sample, row * stride, stride),
                    run.memory.write::<f32>(&self.table, sample, row * ENTRY_FLOATS, size_of::<ImageQParams>() / size_of::<f32>()),
                )
            };
            let solved = match self.given {
                true => {
                    let &ImageQParams { scale, zero_point } = bytemuck::from_bytes(bytemuck::cast_slice(entry));
                    Some(QParams { scale, zero_point })
                }
                false => self.solve(src),
            };
            let Some(qparams) = solved else {
                let element = first_non_finite(src).unwrap_or(0);
                let (sample, value) = (run.first_sample + sample, src.get(element).copied().unwrap_or(f32::NAN));
                let at = row * inner + element;
                failure.get_or_insert(Error::NotFinite(format!("tensor {}, sample {sample}, element {at} is {value}", self.name)));
                continue;
            };
            entry.copy_from_slice(bytemuck::cast_slice(&[ImageQParams { scale: qparams.scale, zero_point: qparams.zero_point }]));
            let (values, padding) = dst.split_at_mut(inner);
            quantize_row(self.isa, self.quantization, qparams, src, values);
            padding.fill(qparams.zero_point as u8);
        }
        failure.map_or(Ok(()), Err)
    }

    fn may_fail(&self) -> bool {
        true
    }

    fn info(&self) -> StepInfo {
        StepInfo { kernel: self.isa.name(), ..self.info.clone() }
    }
}
