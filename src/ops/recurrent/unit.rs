//! One direction of a group of sequences, from the first step to the last.
use super::product::Product;
use super::{DirectionProducts, RecurrentStep};
use crate::error::{Error, Result};
use crate::graph::RecurrentCell;
use crate::kernels::quantize::{first_non_finite, min_max};
use crate::kernels::recurrent_cells::{gru_finish, gru_reset, gru_step, lstm_step, rnn_relu_step, rnn_tanh_step};
use crate::ops::conv2d::ImageQParams;
use crate::ops::step::Memory;
use crate::quantize::{DynamicQuantization, Grain};
use crate::tensor::round_up;
use std::ops::Range;

/// Qparams of rows that are not quantized or not used.
const UNIT: ImageQParams = ImageQParams { scale: 1.0, zero_point: 0 };

/// A direction of some sequences.
pub struct Unit<'a> {
    pub step: &'a RecurrentStep,
    pub memory: &'a Memory<'a>,
    /// The first sequence, counted over all samples of the chunk.
    pub first: usize,
    pub count: usize,
    pub direction: usize,
    /// The chunk's first sample, for messages.
    pub first_sample: usize,
}

/// A unit's part of the scratch.
struct Buffers<'a> {
    hidden: &'a mut [f32],
    cell: &'a mut [f32],
    reset: &'a mut [f32],
    candidate: &'a mut [f32],
    gates: &'a mut [f32],
    state_gates: &'a mut [f32],
    x_qparams: &'a mut [ImageQParams],
    state_qparams: &'a mut [ImageQParams],
    sequence_qparams: &'a mut [ImageQParams],
    x_rows: &'a mut [u8],
    state_rows: &'a mut [u8],
    kernel: &'a mut [u8],
    lengths: &'a mut [u64],
}

/// The next `count` elements of the scratch, and what is left from the next 64-byte boundary on.
fn take<'a, T: bytemuck::Pod>(scratch: &mut &'a mut [u8], count: usize) -> &'a mut [T] {
    let bytes = count * size_of::<T>();
    let (taken, rest) = std::mem::take(scratch).split_at_mut(round_up(bytes, 64));
    *scratch = rest;
    bytemuck::cast_slice_mut(&mut taken[..bytes])
}

impl<'a> Buffers<'a> {
    fn new(step: &RecurrentStep, mut scratch: &'a mut [u8]) -> Self {
        let (sizes, scratch) = (&step.sizes, &mut scratch);
        Self {
            hidden: take(scratch, sizes.state),
            cell: take(scratch, sizes.state),
            reset: take(scratch, sizes.state),
            candidate: take(scratch, sizes.state),
            gates: take(scratch, sizes.gates),
            state_gates: take(scratch, sizes.state_gates),
            x_qparams: take(scratch, sizes.x_rows),
            state_qparams: take(scratch, sizes.sequences),
            sequence_qparams: take(scratch, sizes.sequences),
            x_rows: take(scratch, sizes.x_bytes),
            state_rows: take(scratch, sizes.state_bytes),
            kernel: take(scratch, sizes.kernel_bytes),
            lengths: take(scratch, sizes.sequences),
        }
    }
}

impl Unit<'_> {
    /// Computes the unit.
    ///
    /// # Errors
    /// `InvalidArgument` for a length that is no number of steps; `NotFinite` where int8 meets a NaN or infinity.
    pub fn run(&self, scratch: &mut [u8]) -> Result<()> {
        let mut buffers = Buffers::new(self.step, scratch);
        let buffers = &mut buffers;
        self.start(buffers)?;
        let steps = buffers.lengths[..self.count].iter().max().map_or(0, |&length| length as usize);
        self.solve_sequences(buffers)?;
        let block = (super::BLOCK_ROWS / self.count).max(1);
        for first in (0..steps).step_by(block) {
            let block = first..(first + block).min(steps);
            self.gather(buffers, block.clone())?;
            for step in block.clone() {
                self.run_step(buffers, step, step - block.start)?;
            }
        }
        self.finish(buffers);
        Ok(())
    }

    fn products(&self) -> &DirectionProducts {
        &self.step.products[self.direction]
    }

    /// The step of x that a sequence of `length` steps reads at its own step `step`.
    fn time(&self, step: usize, length: usize) -> usize {
        if self.step.reverse[self.direction] { length - 1 - step } else { step }
    }

    /// Lengths and first states.
    fn start(&self, buffers: &mut Buffers<'_>) -> Result<()> {
        let places = &self.step.places;
        let hidden = places.hidden;
        for index in 0..self.count {
            let sequence = self.first + index;
            buffers.lengths[index] = places.length(self.memory, sequence).map_err(|length| {
                let (name, time) = (&self.step.info.name, places.time);
                let at = self.number(sequence);
                Error::InvalidArgument(format!("node {name}: sequence {at} has length {length}; 0 to {time} are possible"))
            })? as u64;
            let states = [(&places.initial_hidden, &mut *buffers.hidden), (&places.initial_cell, &mut *buffers.cell)];
            for (initial, state) in states {
                let state = &mut state[index * hidden..][..hidden];
                match initial {
                    Some(initial) => state.copy_from_slice(places.initial(self.memory, initial, sequence, self.direction)),
                    None => state.fill(0.0),
                }
            }
        }
        Ok(())
    }

    /// A sequence's number in the caller's batch.
    fn number(&self, sequence: usize) -> usize {
        self.first_sample * self.step.places.batch + sequence
    }

    /// Qparams of each sequence's x, where they are not each row's own.
    fn solve_sequences(&self, buffers: &mut Buffers<'_>) -> Result<()> {
        let Some(quantization) = self.step.quantization else { return Ok(()) };
        match quantization.grain {
            Grain::PerRow => {}
            Grain::PerSample => {
                for index in 0..self.count {
                    buffers.sequence_qparams[index] = self.range_of_x(quantization, index..index + 1, buffers.lengths)?;
                }
            }
            Grain::PerTensor => {
                let qparams = self.range_of_x(quantization, 0..self.count, buffers.lengths)?;
                buffers.sequence_qparams[..self.count].fill(qparams);
            }
        }
        Ok(())
    }

    /// Qparams of x over all valid steps of some sequences.
    fn range_of_x(&self, quantization: DynamicQuantization, sequences: Range<usize>, lengths: &[u64]) -> Result<ImageQParams> {
        let places = &self.step.places;
        let (mut low, mut high) = (0f32, 0f32);
        for index in sequences {
            for time in 0..lengths[index] as usize {
                let row = places.x(self.memory, self.first + index, time);
                let range = min_max(self.step.isa, row);
                if !range.finite {
                    return Err(self.x_not_finite(index, time));
                }
                (low, high) = (low.min(range.min), high.max(range.max));
            }
        }
        self.solved(quantization, low, high)
    }

    fn solved(&self, quantization: DynamicQuantization, low: f32, high: f32) -> Result<ImageQParams> {
        let solved = quantization
            .qparams(low, high)
            .map_err(|_| Error::NotFinite(format!("node {}: values from {low} to {high} have no scale", self.step.info.name)))?;
        Ok(ImageQParams { scale: solved.scale, zero_point: solved.zero_point })
    }

    fn x_not_finite(&self, index: usize, time: usize) -> Error {
        let row = self.step.places.x(self.memory, self.first + index, time);
        let element = first_non_finite(row).unwrap_or(0);
        let sequence = self.number(self.first + index);
        Error::NotFinite(format!(
            "tensor {}, sequence {sequence}, step {time}, element {element} is {}",
            self.step.input_name,
            row.get(element).copied().unwrap_or(f32::NAN)
        ))
    }

    /// x of a block of steps, `[step][sequence]`, times `W`: the input's part of the gates.
    fn gather(&self, buffers: &mut Buffers<'_>, block: Range<usize>) -> Result<()> {
        let product = &self.products().input;
        let row_bytes = product.row_bytes();
        for index in 0..self.count {
            let length = buffers.lengths[index] as usize;
            for step in block.clone() {
                let row = (step - block.start) * self.count + index;
                let dst = &mut buffers.x_rows[row * row_bytes..][..row_bytes];
                buffers.x_qparams[row] = UNIT;
                if step >= length {
                    dst.fill(0);
                    continue;
                }
                let time = self.time(step, length);
                let x = self.step.places.x(self.memory, self.first + index, time);
                buffers.x_qparams[row] = match self.step.quantization {
                    None => UNIT,
                    Some(quantization) if quantization.grain == Grain::PerRow => {
                        let range = min_max(self.step.isa, x);
                        if !range.finite {
                            return Err(self.x_not_finite(index, time));
                        }
                        self.solved(quantization, range.min.min(0.0), range.max.max(0.0))?
                    }
                    Some(_) => buffers.sequence_qparams[index],
                };
                product.put_row(self.step.isa, x, buffers.x_qparams[row], dst, buffers.kernel);
            }
        }
        let rows = block.len() * self.count;
        let gates = &mut buffers.gates[..rows * product.columns()];
        product.run(self.step.isa, rows, buffers.x_rows, &buffers.x_qparams[..rows], gates, buffers.kernel);
        Ok(())
    }

    /// One step of all sequences; `at` is its place in the block.
    fn run_step(&self, buffers: &mut Buffers<'_>, step: usize, at: usize) -> Result<()> {
        let (isa, places, products) = (self.step.isa, &self.step.places, self.products());
        let hidden = places.hidden;
        self.multiply_states(&products.recurrent, step, buffers, false)?;
        let (columns, state_columns) = (products.input.columns(), products.recurrent.columns());
        if let Some(candidate) = &products.candidate {
            for index in 0..self.count {
                let input = &buffers.gates[(at * self.count + index) * columns..][..columns];
                let state = &buffers.state_gates[index * state_columns..][..state_columns];
                let (from, to) = (&buffers.hidden[index * hidden..][..hidden], &mut buffers.reset[index * hidden..][..hidden]);
                gru_reset(isa, input, state, from, to);
            }
            self.multiply_states(candidate, step, buffers, true)?;
        }
        for index in (0..self.count).filter(|&index| step < buffers.lengths[index] as usize) {
            let input = &buffers.gates[(at * self.count + index) * columns..][..columns];
            let state = &buffers.state_gates[index * state_columns..][..state_columns];
            let h = &mut buffers.hidden[index * hidden..][..hidden];
            match self.step.cell {
                RecurrentCell::Lstm => lstm_step(isa, input, state, &mut buffers.cell[index * hidden..][..hidden], h),
                RecurrentCell::Gru { linear_before_reset: true } => gru_step(isa, input, state, h),
                RecurrentCell::Gru { linear_before_reset: false } => {
                    gru_finish(isa, input, state, &buffers.candidate[index * hidden..][..hidden], h);
                }
                RecurrentCell::RnnTanh => rnn_tanh_step(isa, input, state, h),
                RecurrentCell::RnnRelu => rnn_relu_step(isa, input, state, h),
            }
            if let Some(first) = places.first_step {
                let time = self.time(step, buffers.lengths[index] as usize);
                // SAFETY: this unit alone writes its sequences in its direction, and the slice ends here.
                unsafe { places.y(self.memory, self.first + index, first + time, self.direction) }.copy_from_slice(h);
            }
        }
        Ok(())
    }

    /// States (or reset states) times a matrix: into the state's part of the gates, or the candidate's.
    fn multiply_states(&self, product: &Product, step: usize, buffers: &mut Buffers<'_>, reset: bool) -> Result<()> {
        let (hidden, row_bytes) = (self.step.places.hidden, product.row_bytes());
        let states: &[f32] = if reset { buffers.reset } else { buffers.hidden };
        let is_active = |index: usize| step < buffers.lengths[index] as usize;
        let range_of = |index: usize| {
            let state = &states[index * hidden..][..hidden];
            let range = min_max(self.step.isa, state);
            if range.finite { Ok((range.min.min(0.0), range.max.max(0.0))) } else { Err(self.state_not_finite(index, step, state)) }
        };
        let whole = match self.step.quantization {
            Some(quantization) if quantization.grain == Grain::PerTensor => {
                let (mut low, mut high) = (0f32, 0f32);
                for index in (0..self.count).filter(|&index| is_active(index)) {
                    let range = range_of(index)?;
                    (low, high) = (low.min(range.0), high.max(range.1));
                }
                Some(self.solved(quantization, low, high)?)
            }
            _ => None,
        };
        for index in 0..self.count {
            let dst = &mut buffers.state_rows[index * row_bytes..][..row_bytes];
            buffers.state_qparams[index] = UNIT;
            if !is_active(index) {
                dst.fill(0);
                continue;
            }
            buffers.state_qparams[index] = match (self.step.quantization, whole) {
                (_, Some(qparams)) => qparams,
                (Some(quantization), None) => range_of(index).and_then(|(low, high)| self.solved(quantization, low, high))?,
                (None, None) => UNIT,
            };
            product.put_row(self.step.isa, &states[index * hidden..][..hidden], buffers.state_qparams[index], dst, buffers.kernel);
        }
        let results: &mut [f32] = if reset { buffers.candidate } else { buffers.state_gates };
        let results = &mut results[..self.count * product.columns()];
        product.run(self.step.isa, self.count, buffers.state_rows, &buffers.state_qparams[..self.count], results, buffers.kernel);
        Ok(())
    }

    fn state_not_finite(&self, index: usize, step: usize, state: &[f32]) -> Error {
        let element = first_non_finite(state).unwrap_or(0);
        let (name, sequence) = (&self.step.info.name, self.number(self.first + index));
        Error::NotFinite(format!(
            "node {name}: the state of sequence {sequence} before step {step}, element {element} is {}",
            state[element]
        ))
    }

    /// Zeros behind the sequences' ends, and the last states.
    fn finish(&self, buffers: &Buffers<'_>) {
        let places = &self.step.places;
        let hidden = places.hidden;
        for index in 0..self.count {
            let sequence = self.first + index;
            // SAFETY: this unit alone writes its sequences in its direction, and the slice ends with each use.
            let y = |step: usize| unsafe { places.y(self.memory, sequence, step, self.direction) };
            if let Some(first) = places.first_step {
                (buffers.lengths[index] as usize..places.time).for_each(|time| y(first + time).fill(0.0));
            }
            let states = [(places.hidden_step, &*buffers.hidden), (places.cell_step, &*buffers.cell)];
            for (step, state) in states.into_iter().filter_map(|(step, state)| Some((step?, state))) {
                y(step).copy_from_slice(&state[index * hidden..][..hidden]);
            }
        }
    }
}
