//! Dynamic int8 linear layers: one product for all rows, whatever the qparams of a row are for.
//!
//! The kernel leaves raw accumulators in the output's own place; each row is then scaled by its own qparams (NUMERICS
//! section 5). Integers are exact, so a row gets the bits that it gets alone.
use super::conv2d::{ConvGeometry, DYNAMIC_ENTRY_BYTES, ImageQParams, Int8ConvStep, Int8Result, Int8Weights, LayerTensors, OutputScale};
use super::step::{Step, StepInfo, StepRun, Tensor};
use crate::error::{Error, Result};
use crate::graph::Bounds;
use crate::kernels::recurrent_cells::{finish_row, scale_row};
use crate::kernels::{Int8Kernel, VectorIsa};
use std::sync::Arc;

/// A dynamic int8 linear layer.
pub struct Int8RowsStep {
    product: Int8ConvStep,
    isa: VectorIsa,
    weights: Int8Weights,
    /// Entries of qparams, each for as many rows.
    table: Tensor,
    residual: Option<Tensor>,
    dst: Tensor,
    bounds: Bounds,
    columns: usize,
    /// Rows and table entries of one planned sample.
    rows: usize,
    entries: usize,
}

impl Int8RowsStep {
    /// The step for `geometry`, a linear layer's; `table` as dynamic quantization leaves it.
    ///
    /// # Errors
    /// [`Error::Graph`] for a constant that is too short or a table that does not divide the rows.
    pub fn new(
        info: StepInfo,
        isa: VectorIsa,
        kernel: Arc<dyn Int8Kernel>,
        geometry: ConvGeometry,
        weights: Int8Weights,
        table: Tensor,
        tensors: LayerTensors,
        bounds: Bounds,
    ) -> Result<Self> {
        let name = info.name.clone();
        let columns = geometry.out_channels;
        let rows = tensors.dst.layout.len() / columns.max(1);
        let entries = table.layout.held_bytes() / DYNAMIC_ENTRY_BYTES;
        if entries == 0 && rows > 0 || rows > 0 && !rows.is_multiple_of(entries) {
            return Err(Error::Graph(format!("node {name}: {entries} sets of qparams for {rows} rows")));
        }
        let LayerTensors { src, residual, dst } = tensors;
        let tensors = LayerTensors { src, residual: None, dst: dst.clone() };
        let scale = OutputScale::Static { zero_point: 0 };
        let product = Int8ConvStep::new(info, kernel, geometry, weights.clone(), scale, tensors, Int8Result::Accumulators)?;
        Ok(Self { product, isa, weights, table, residual, dst, bounds, columns, rows, entries })
    }
}

impl Step for Int8RowsStep {
    fn run(&self, run: &mut StepRun<'_>) -> Result<()> {
        self.product.run(run)?;
        let ranges = self.product.ranges(run.part, run.samples);
        let channels = ranges.channels;
        let tables = (self.weights.tap_sums.cast(), self.weights.scale.cast(), self.weights.bias.cast());
        let (Some(sums), Some(scales), Some(bias)) = tables else { unreachable!("checked when the product was made") };
        let (sums, scales, bias) = (&sums[channels.start..], &scales[channels.start..], &bias[channels.start..]);
        let plain = self.residual.is_none() && self.bounds == Bounds::NONE;
        for (sample, row) in ranges.cols.map(|row| (row / self.rows, row % self.rows)) {
            let entry = sample * self.entries + row * self.entries / self.rows;
            // SAFETY: the step that made the qparams has finished.
            let qparams = unsafe { run.memory.read_entry::<ImageQParams>(&self.table, entry, DYNAMIC_ENTRY_BYTES) };
            let start = row * self.columns + channels.start;
            // SAFETY: this part alone writes these channels of its rows, which the product has left accumulators in.
            let y = unsafe { run.memory.write::<f32>(&self.dst, sample, start, channels.len()) };
            scale_row(self.isa, y, sums, qparams.zero_point, qparams.scale, scales, bias);
            if !plain {
                // SAFETY: nobody writes the residual during this step.
                let residual =
                    self.residual.as_ref().map(|tensor| unsafe { run.memory.read::<f32>(tensor, sample, start, channels.len()) });
                finish_row(self.isa, y, residual, self.bounds.low, self.bounds.high);
            }
        }
        Ok(())
    }

    fn scratch_bytes(&self, samples: usize) -> usize {
        self.product.scratch_bytes(samples)
    }

    fn info(&self) -> StepInfo {
        self.product.info()
    }
}
