//! LSTM, GRU and RNN: all steps of a layer in one step of the plan.
//!
//! Sequences do not meet, and neither do directions: a unit of work is one direction of a group of sequences. A unit walks
//! time in blocks: the block's x, gathered row by row, times `W` in one product, then step by step the states times `R`
//! and the cells. With qparams of the whole tensor (torch's way) a group is all sequences. No sum depends on the grouping,
//! so the bits do not depend on threads or batch.
mod places;
mod product;
mod unit;

pub use product::{FloatMatrix, Int8Matrix, Product, quantize_row};

use super::conv2d::ImageQParams;
use super::step::{Step, StepInfo, StepRun, Tensor};
use crate::error::{Error, Result};
use crate::graph::{Recurrent, RecurrentCell};
use crate::kernels::VectorIsa;
use crate::quantize::{DynamicQuantization, Grain};
use crate::tensor::round_up;
use places::Places;
use unit::Unit;

/// Sequences of a group at most: a tile of rows for every kernel.
const GROUP: usize = 16;
/// Rows of x that are multiplied at once.
const BLOCK_ROWS: usize = 64;

/// The matrices of one direction.
pub struct DirectionProducts {
    /// x to gates.
    pub input: Product,
    /// State to gates.
    pub recurrent: Product,
    /// Reset state to candidate.
    pub candidate: Option<Product>,
}

/// A recurrent layer.
pub struct RecurrentStep {
    info: StepInfo,
    isa: VectorIsa,
    cell: RecurrentCell,
    reverse: Vec<bool>,
    products: Vec<DirectionProducts>,
    quantization: Option<DynamicQuantization>,
    places: Places,
    /// The input's name, for messages.
    input_name: String,
    sizes: ScratchSizes,
}

/// Elements of a unit's buffers, in the order in which they lie in scratch.
#[derive(Debug, Clone, Copy)]
struct ScratchSizes {
    state: usize,
    gates: usize,
    state_gates: usize,
    x_rows: usize,
    x_bytes: usize,
    state_bytes: usize,
    kernel_bytes: usize,
    sequences: usize,
}

impl ScratchSizes {
    /// Bytes of all buffers, each on a 64-byte boundary.
    fn total(&self) -> usize {
        let Self { state, gates, state_gates, x_rows, x_bytes, state_bytes, kernel_bytes, sequences } = *self;
        let floats = [state, state, state, state, gates, state_gates].map(|count| count * size_of::<f32>());
        let qparams = [x_rows, sequences, sequences].map(|count| count * size_of::<ImageQParams>());
        let bytes = [x_bytes, state_bytes, kernel_bytes, sequences * size_of::<u64>()];
        floats.iter().chain(&qparams).chain(&bytes).map(|&bytes| round_up(bytes, 64)).sum()
    }
}

impl RecurrentStep {
    /// The step of `layer`; `inputs` as the layer lists them, `input_name` the name of x.
    ///
    /// # Errors
    /// [`Error::Graph`] if an input is missing.
    pub fn new(
        info: StepInfo,
        isa: VectorIsa,
        layer: &Recurrent,
        products: Vec<DirectionProducts>,
        inputs: Vec<Tensor>,
        dst: Tensor,
        input_name: String,
    ) -> Result<Self> {
        let lacking = || Error::Graph(format!("node {}: an input is missing", info.name));
        let places = Places::new(layer, inputs, dst).ok_or_else(lacking)?;
        let first = products.first().ok_or_else(lacking)?;
        let whole = layer.activation.is_some_and(|activation| activation.grain == Grain::PerTensor);
        let sequences = if whole { places.batch } else { GROUP };
        let x_rows = BLOCK_ROWS.max(sequences);
        let all = |size: &dyn Fn(&Product) -> usize| {
            let of_direction = |direction: &DirectionProducts| {
                size(&direction.input).max(size(&direction.recurrent)).max(direction.candidate.as_ref().map_or(0, size))
            };
            products.iter().map(of_direction).max().unwrap_or(0)
        };
        let state_row = first.recurrent.row_bytes().max(first.candidate.as_ref().map_or(0, Product::row_bytes));
        let sizes = ScratchSizes {
            state: sequences * places.hidden,
            gates: x_rows * first.input.columns(),
            state_gates: sequences * first.recurrent.columns(),
            x_rows,
            x_bytes: x_rows * first.input.row_bytes(),
            state_bytes: sequences * state_row,
            kernel_bytes: all(&Product::scratch_bytes),
            sequences,
        };
        let products_macs: usize = products
            .iter()
            .map(|direction| direction.input.macs() + direction.recurrent.macs() + direction.candidate.as_ref().map_or(0, Product::macs))
            .sum();
        let macs = (places.time * places.batch * products_macs) as u64;
        Ok(Self {
            info: StepInfo { kernel: first.input.kernel_name(), macs, ..info },
            isa,
            cell: layer.cell,
            reverse: (0..places.directions).map(|index| layer.direction.is_reverse(index)).collect(),
            products,
            quantization: layer.activation,
            places,
            input_name,
            sizes,
        })
    }

    /// Sequences of a group when `parts` parts share `sequences`.
    fn group(&self, sequences: usize, parts: usize) -> usize {
        match self.quantization {
            Some(DynamicQuantization { grain: Grain::PerTensor, .. }) => sequences.max(1),
            _ => (sequences * self.places.directions).div_ceil(parts).clamp(1, GROUP),
        }
    }
}

impl Step for RecurrentStep {
    fn run(&self, run: &mut StepRun<'_>) -> Result<()> {
        let sequences = run.samples * self.places.batch;
        let group = self.group(sequences, run.part.count);
        let units = run.part.range(sequences.div_ceil(group) * self.places.directions);
        if units.is_empty() {
            return Ok(());
        }
        // One kernel runs all products.
        self.products[0].input.enter();
        let mut result = Ok(());
        for unit in units {
            let (first, direction) = (unit / self.places.directions * group, unit % self.places.directions);
            let count = group.min(sequences - first);
            let unit = Unit { step: self, memory: run.memory, first, count, direction, first_sample: run.first_sample };
            result = result.and(unit.run(run.scratch));
        }
        self.products[0].input.leave();
        result
    }

    fn help_parts(&self) -> usize {
        // Parts of fewer sequences each would read all recurrent weights at each time step.
        1
    }

    fn scratch_bytes(&self, _samples: usize) -> usize {
        self.sizes.total()
    }

    fn may_fail(&self) -> bool {
        self.quantization.is_some() || self.places.lengths.is_some()
    }

    fn info(&self) -> StepInfo {
        self.info.clone()
    }
}
