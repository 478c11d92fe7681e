//! Recurrent layers: LSTM, GRU and RNN as ONNX defines them, with one output.
//!
//! ONNX gives such a node up to three outputs: the hidden states of all steps, the last hidden state, the last cell
//! state. A node of the graph has one, so the layer can make all of them as one tensor, along the time axis: every step,
//! then the last hidden state, then (LSTM) the last cell state. [`Recurrent::part`] is the slice that takes one out, and
//! where a single one is read the pass `narrow_recurrent` makes the layer compute that alone.
//!
//! With `g(x) = x W^T + Wb` and `l(h) = h R^T + Rb`, each output one chain over `k` plus bias (NUMERICS section 8), gates
//! in ONNX order:
//! * LSTM (i, o, f, c): `i, o, f = sigmoid(g + l)`, `c~ = tanh(g + l)`, `c' = fma(f, c, i * c~)`, `h' = o * tanh(c')`.
//! * GRU (z, r, h): `z, r = sigmoid(g + l)`; `h~ = tanh(fma(r, l, g))` with `linear_before_reset`, else
//!   `h~ = tanh(g + l(r * h))`; `h' = fma(z, h, (1 - z) * h~)`.
//! * RNN: `h' = tanh(g + l)` or `max(g + l, 0)`.
use super::ops::{ConvWeights, Slice};
use crate::quantize::DynamicQuantization;
use serde::{Deserialize, Serialize};

/// What a step of the layer computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecurrentCell {
    /// Long short-term memory; gates i, o, f, c.
    Lstm,
    /// Gated recurrent unit; gates z, r, h.
    Gru {
        /// The reset gate applies to the product with the state (as in torch), not to the state.
        linear_before_reset: bool,
    },
    /// One gate, tanh.
    RnnTanh,
    /// One gate, ReLU.
    RnnRelu,
}

impl RecurrentCell {
    /// Gates: blocks of `hidden_size` rows of the weights.
    pub const fn gates(self) -> usize {
        match self {
            RecurrentCell::Lstm => 4,
            RecurrentCell::Gru { .. } => 3,
            RecurrentCell::RnnTanh | RecurrentCell::RnnRelu => 1,
        }
    }

    /// Gates that read the state as it is; the candidate of a GRU that resets first reads another.
    pub const fn state_gates(self) -> usize {
        match self {
            RecurrentCell::Gru { linear_before_reset: false } => 2,
            cell => cell.gates(),
        }
    }

    /// The operator's name in ONNX.
    pub const fn name(self) -> &'static str {
        match self {
            RecurrentCell::Lstm => "LSTM",
            RecurrentCell::Gru { .. } => "GRU",
            RecurrentCell::RnnTanh | RecurrentCell::RnnRelu => "RNN",
        }
    }
}

/// The order of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// First step first.
    Forward,
    /// Last step first; a sequence that is shorter than the tensor starts at its own end.
    Reverse,
    /// Both, each with its own weights.
    Bidirectional,
}

impl Direction {
    /// 1 or 2.
    pub const fn count(self) -> usize {
        if matches!(self, Direction::Bidirectional) { 2 } else { 1 }
    }

    /// Whether direction number `index` runs backwards.
    pub const fn is_reverse(self, index: usize) -> bool {
        matches!(self, Direction::Reverse) || index == 1
    }
}

/// What the layer's output holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecurrentOutput {
    /// The hidden state of every step; zeros behind a sequence's end.
    Sequence,
    /// The last hidden state, one step.
    Hidden,
    /// The last cell state, one step; LSTM alone.
    Cell,
    /// All of these, one after another along the time axis.
    All,
}

/// Weights of one direction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectionWeights {
    /// `[gates * hidden, input]`, bias `Wb`.
    pub input: ConvWeights,
    /// `[state_gates * hidden, hidden]`, bias `Rb`.
    pub recurrent: ConvWeights,
    /// `[hidden, hidden]`: the candidate's, of a GRU that resets first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<ConvWeights>,
}

/// A recurrent layer. Input x `[time, batch, input]` (`[batch, time, input]` with `batch_first`), then, where there are
/// such, lengths `[batch]` as whole numbers in f32, the first hidden state and the first cell state, each
/// `[directions, batch, hidden]` (`[batch, directions, hidden]`). Output `[steps, directions, batch, hidden]`
/// (`[batch, steps, directions, hidden]`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recurrent {
    /// What a step computes.
    pub cell: RecurrentCell,
    /// The order of time.
    pub direction: Direction,
    /// Elements of x at a step.
    pub input_size: usize,
    /// Elements of the state.
    pub hidden_size: usize,
    /// One a direction.
    pub weights: Vec<DirectionWeights>,
    /// The batch is axis 0, not 1.
    pub batch_first: bool,
    /// There is an input of lengths.
    pub has_lengths: bool,
    /// There is an input of first hidden states; otherwise they are zero.
    pub has_initial_hidden: bool,
    /// There is an input of first cell states; otherwise they are zero.
    pub has_initial_cell: bool,
    /// What is made.
    pub output: RecurrentOutput,
    /// How activations are quantized, where the weights are [`ConvWeights::Dynamic`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation: Option<DynamicQuantization>,
}

impl Recurrent {
    /// Inputs that the layer has.
    pub fn input_count(&self) -> usize {
        1 + [self.has_lengths, self.has_initial_hidden, self.has_initial_cell].iter().filter(|&&there| there).count()
    }

    /// The time axis of x and of the output.
    pub const fn time_axis(&self) -> usize {
        if self.batch_first { 1 } else { 0 }
    }

    /// Steps along the output's time axis for `time` steps of x.
    pub const fn output_steps(&self, time: usize) -> usize {
        match (self.output, self.cell) {
            (RecurrentOutput::Sequence, _) => time,
            (RecurrentOutput::Hidden | RecurrentOutput::Cell, _) => 1,
            (RecurrentOutput::All, RecurrentCell::Lstm) => time.saturating_add(2),
            (RecurrentOutput::All, _) => time.saturating_add(1),
        }
    }

    /// The slice of [`RecurrentOutput::All`] that is `output`.
    pub fn part(&self, output: RecurrentOutput) -> Slice {
        let states = if self.cell == RecurrentCell::Lstm { 2 } else { 1 };
        let (start, end) = match output {
            RecurrentOutput::Sequence => (0, -states),
            RecurrentOutput::Hidden if states == 1 => (-1, i64::MAX),
            RecurrentOutput::Hidden => (-2, -1),
            RecurrentOutput::Cell => (-1, i64::MAX),
            RecurrentOutput::All => (0, i64::MAX),
        };
        Slice { axis: self.time_axis() as i64, start, end, step: 1 }
    }

    /// `[output channels, input channels]` and weights of every product.
    pub fn products(&self) -> Vec<([usize; 2], &ConvWeights)> {
        let (gates, state_gates) = (self.cell.gates(), self.cell.state_gates());
        self.weights
            .iter()
            .flat_map(|weights| {
                let input = ([gates * self.hidden_size, self.input_size], &weights.input);
                let recurrent = ([state_gates * self.hidden_size, self.hidden_size], &weights.recurrent);
                let candidate = weights.candidate.iter().map(|candidate| ([self.hidden_size; 2], candidate));
                [input, recurrent].into_iter().chain(candidate)
            })
            .collect()
    }

    /// The weights of every product, in the order of [`Recurrent::products`].
    pub fn weights_mut(&mut self) -> Vec<&mut ConvWeights> {
        self.weights
            .iter_mut()
            .flat_map(|weights| [&mut weights.input, &mut weights.recurrent].into_iter().chain(&mut weights.candidate))
            .collect()
    }
}
