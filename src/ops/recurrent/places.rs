//! Where the rows of a recurrent layer's tensors lie.
use crate::graph::{Recurrent, RecurrentOutput};
use crate::ops::step::{Memory, Tensor};

/// The layer's tensors and sizes.
pub struct Places {
    /// Steps of x.
    pub time: usize,
    /// Sequences of one planned sample.
    pub batch: usize,
    /// 1 or 2.
    pub directions: usize,
    /// Elements of the state.
    pub hidden: usize,
    input: usize,
    batch_first: bool,
    steps: usize,
    /// The input.
    pub src: Tensor,
    /// Lengths of the sequences.
    pub lengths: Option<Tensor>,
    /// First hidden states.
    pub initial_hidden: Option<Tensor>,
    /// First cell states.
    pub initial_cell: Option<Tensor>,
    /// The output.
    pub dst: Tensor,
    /// Output step of x's first step; `None`: steps are not kept.
    pub first_step: Option<usize>,
    /// Output step of the last hidden state.
    pub hidden_step: Option<usize>,
    /// Output step of the last cell state.
    pub cell_step: Option<usize>,
}

impl Places {
    /// The places of a layer's inputs, in its order, and of its output.
    pub fn new(layer: &Recurrent, inputs: Vec<Tensor>, dst: Tensor) -> Option<Self> {
        let mut inputs = inputs.into_iter();
        let src = inputs.next()?;
        let &[first, second, input] = src.layout.dims.as_slice() else { return None };
        let (time, batch) = if layer.batch_first { (second, first) } else { (first, second) };
        let mut next = |is_there: bool| if is_there { inputs.next().map(Some) } else { Some(None) };
        let (lengths, initial_hidden) = (next(layer.has_lengths)?, next(layer.has_initial_hidden)?);
        let initial_cell = next(layer.has_initial_cell)?;
        let (first_step, hidden_step, cell_step) = match layer.output {
            RecurrentOutput::Sequence => (Some(0), None, None),
            RecurrentOutput::Hidden => (None, Some(0), None),
            RecurrentOutput::Cell => (None, None, Some(0)),
            RecurrentOutput::All => (Some(0), Some(time), (layer.output_steps(time) == time + 2).then_some(time + 1)),
        };
        Some(Self {
            time,
            batch,
            directions: layer.direction.count(),
            hidden: layer.hidden_size,
            input,
            batch_first: layer.batch_first,
            steps: layer.output_steps(time),
            src,
            lengths,
            initial_hidden,
            initial_cell,
            dst,
            first_step,
            hidden_step,
            cell_step,
        })
    }

    /// Sample and place in it of a sequence, counted over all samples.
    fn split(&self, sequence: usize) -> (usize, usize) {
        (sequence / self.batch, sequence % self.batch)
    }

    /// x of a sequence at a step.
    pub fn x<'a>(&self, memory: &'a Memory<'_>, sequence: usize, step: usize) -> &'a [f32] {
        let (sample, at) = self.split(sequence);
        let row = if self.batch_first { at * self.time + step } else { step * self.batch + at };
        // SAFETY: nobody writes the input during this step.
        unsafe { memory.read(&self.src, sample, row * self.input, self.input) }
    }

    /// The length of a sequence as it is given: a whole number from 0 to the number of steps.
    pub fn length(&self, memory: &Memory<'_>, sequence: usize) -> Result<usize, f32> {
        let Some(lengths) = &self.lengths else { return Ok(self.time) };
        let (sample, at) = self.split(sequence);
        // SAFETY: nobody writes the lengths during this step.
        let length: f32 = unsafe { memory.read(lengths, sample, at, 1) }[0];
        let fits = length.fract() == 0.0 && (0.0..=self.time as f32).contains(&length);
        if fits { Ok(length as usize) } else { Err(length) }
    }

    /// A first state of a sequence in a direction.
    pub fn initial<'a>(&self, memory: &'a Memory<'_>, state: &Tensor, sequence: usize, direction: usize) -> &'a [f32] {
        let (sample, at) = self.split(sequence);
        let row = if self.batch_first { at * self.directions + direction } else { direction * self.batch + at };
        // SAFETY: nobody writes the state during this step.
        unsafe { memory.read(state, sample, row * self.hidden, self.hidden) }
    }

    /// The output of a sequence at one of the output's steps.
    ///
    /// # Safety
    /// No other part writes this sequence in this direction, and the caller holds no other slice of it.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn y<'a>(&self, memory: &'a Memory<'_>, sequence: usize, step: usize, direction: usize) -> &'a mut [f32] {
        let (sample, at) = self.split(sequence);
        let row = match self.batch_first {
            true => (at * self.steps + step) * self.directions + direction,
            false => (step * self.directions + direction) * self.batch + at,
        };
        // SAFETY: the caller's promise.
        unsafe { memory.write(&self.dst, sample, row * self.hidden, self.hidden) }
    }
}
