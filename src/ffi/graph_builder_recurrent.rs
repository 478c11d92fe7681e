//! The graph builder's recurrent layers.
use super::graph_builder::{name_or_empty, rsq_graph_builder, rsq_value};
use super::options::{OptionStruct, read};
use super::pointers::{Out, array};
use super::qconfig::named_choice;
use super::status::{Failure, Outcome, rsq_status};
use super::{guard, handles};
use crate::pipeline::{Direction, RecurrentArrays, RecurrentAttributes, RecurrentCell, RecurrentInputs, ValueId};
use std::ffi::c_char;

/// Long short-term memory; gates i, o, f, c.
pub const RSQ_CELL_LSTM: i32 = 1;
/// Gated recurrent unit; gates z, r, h. The reset gate applies to the state.
pub const RSQ_CELL_GRU: i32 = 2;
/// The same whose reset gate applies to the product with the state, as torch has it.
pub const RSQ_CELL_GRU_LINEAR_BEFORE_RESET: i32 = 3;
/// One gate, tanh.
pub const RSQ_CELL_RNN_TANH: i32 = 4;
/// One gate, `max(x, 0)`.
pub const RSQ_CELL_RNN_RELU: i32 = 5;

/// First step first.
pub const RSQ_DIRECTION_FORWARD: i32 = 1;
/// Last step first; a sequence that is shorter than the tensor starts at its own end.
pub const RSQ_DIRECTION_REVERSE: i32 = 2;
/// Both, each with its own weights.
pub const RSQ_DIRECTION_BIDIRECTIONAL: i32 = 3;

/// x is `[batch, time, input]`; states and outputs have the batch first likewise.
pub const RSQ_RECURRENT_BATCH_FIRST: u32 = 1;
/// `lengths` is a value: `[batch]` whole numbers as floats, how many steps each sequence has.
pub const RSQ_RECURRENT_HAS_LENGTHS: u32 = 2;
/// `initial_hidden` is a value, `[directions, batch, hidden]`; zeros otherwise.
pub const RSQ_RECURRENT_HAS_INITIAL_HIDDEN: u32 = 4;
/// `initial_cell` is a value, likewise; of an LSTM.
pub const RSQ_RECURRENT_HAS_INITIAL_CELL: u32 = 8;

/// A recurrent layer as ONNX has it: sizes, weights with the gates in ONNX's order, inputs beside x.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsq_recurrent_layer {
    /// `sizeof(rsq_recurrent_layer)`.
    pub struct_size: u32,
    /// The sum of some of `RSQ_RECURRENT_`.
    pub flags: u32,
    /// One of `RSQ_CELL_`.
    pub cell: i32,
    /// One of `RSQ_DIRECTION_`; 0: forward.
    pub direction: i32,
    /// Elements of x at a step.
    pub input_size: usize,
    /// Elements of the state.
    pub hidden_size: usize,
    /// `[directions, gates * hidden_size, input_size]`. Copied.
    pub input_weights: *const f32,
    /// Number of floats at `input_weights`.
    pub input_weight_count: usize,
    /// `[directions, gates * hidden_size, hidden_size]`. Copied.
    pub recurrent_weights: *const f32,
    /// Number of floats at `recurrent_weights`.
    pub recurrent_weight_count: usize,
    /// `[directions, 2 * gates * hidden_size]`, of the input weights and then of the recurrent ones; NULL: zeros. Copied.
    pub bias: *const f32,
    /// Number of floats at `bias`.
    pub bias_count: usize,
    /// See `RSQ_RECURRENT_HAS_LENGTHS`.
    pub lengths: rsq_value,
    /// See `RSQ_RECURRENT_HAS_INITIAL_HIDDEN`.
    pub initial_hidden: rsq_value,
    /// See `RSQ_RECURRENT_HAS_INITIAL_CELL`.
    pub initial_cell: rsq_value,
    /// 0.
    pub reserved: u32,
}

// SAFETY: repr(C), size first, integers and pointers, none larger than the alignment.
unsafe impl OptionStruct for rsq_recurrent_layer {}
const _: () = assert!(size_of::<rsq_recurrent_layer>() == 32 + 8 * size_of::<usize>());

const ALL_FLAGS: u32 =
    RSQ_RECURRENT_BATCH_FIRST | RSQ_RECURRENT_HAS_LENGTHS | RSQ_RECURRENT_HAS_INITIAL_HIDDEN | RSQ_RECURRENT_HAS_INITIAL_CELL;

impl rsq_recurrent_layer {
    fn has(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    fn attributes(&self) -> Outcome<RecurrentAttributes> {
        if self.flags & !ALL_FLAGS != 0 || self.reserved != 0 {
            let message =
                format!("rsq_recurrent_layer.flags is {:#x}, reserved {}; this version knows 15 and 0", self.flags, self.reserved);
            return Err(Failure::invalid(message));
        }
        let cells = [
            RecurrentCell::Lstm,
            RecurrentCell::Gru { linear_before_reset: false },
            RecurrentCell::Gru { linear_before_reset: true },
            RecurrentCell::RnnTanh,
            RecurrentCell::RnnRelu,
        ];
        let directions = [Direction::Forward, Direction::Reverse, Direction::Bidirectional];
        let cell = named_choice(self.cell, "rsq_recurrent_layer.cell", &cells)?;
        Ok(RecurrentAttributes {
            cell: cell.ok_or_else(|| Failure::invalid("rsq_recurrent_layer.cell is 0"))?,
            direction: named_choice(self.direction, "rsq_recurrent_layer.direction", &directions)?.unwrap_or(Direction::Forward),
            input_size: self.input_size,
            hidden_size: self.hidden_size,
            batch_first: self.has(RSQ_RECURRENT_BATCH_FIRST),
        })
    }

    fn inputs(&self, x: rsq_value) -> RecurrentInputs {
        let value = |flag, value| self.has(flag).then_some(ValueId(value));
        RecurrentInputs {
            x: ValueId(x),
            lengths: value(RSQ_RECURRENT_HAS_LENGTHS, self.lengths),
            initial_hidden: value(RSQ_RECURRENT_HAS_INITIAL_HIDDEN, self.initial_hidden),
            initial_cell: value(RSQ_RECURRENT_HAS_INITIAL_CELL, self.initial_cell),
        }
    }

    /// # Safety
    /// Its arrays are NULL or as long as stated, and outlive `'a`.
    unsafe fn arrays<'a>(&self) -> Outcome<RecurrentArrays<'a>> {
        // SAFETY: the caller's promises.
        unsafe {
            Ok(RecurrentArrays {
                input: array(self.input_weights, self.input_weight_count, "rsq_recurrent_layer.input_weights")?,
                recurrent: array(self.recurrent_weights, self.recurrent_weight_count, "rsq_recurrent_layer.recurrent_weights")?,
                bias: match self.bias.is_null() {
                    true => None,
                    false => Some(array(self.bias, self.bias_count, "rsq_recurrent_layer.bias")?),
                },
            })
        }
    }
}

/// Adds a recurrent layer over x, `[time, batch, input]`. Its outputs, of which at least one place is given and NULL means not
/// wanted: the hidden state of every step, `[time, directions, batch, hidden]` (batch first: `[batch, time, directions, hidden]`); the
/// last hidden state and, of an LSTM, the last cell state, `[directions, batch, hidden]` (`[batch, directions, hidden]`). What
/// nobody reads is not computed. Statuses as `rsq_graph_builder_input`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_graph_builder_recurrent(
    builder: *mut rsq_graph_builder,
    name: *const c_char,
    x: rsq_value,
    layer: *const rsq_recurrent_layer,
    out_sequence: *mut rsq_value,
    out_hidden: *mut rsq_value,
    out_cell: *mut rsq_value,
) -> rsq_status {
    guard::call(|| {
        let place = |out: *mut rsq_value, what: &str| -> Outcome<Option<Out<rsq_value>>> {
            // SAFETY: the caller's promise.
            if out.is_null() { Ok(None) } else { unsafe { Out::new(out, what) }.map(Some) }
        };
        let (sequence, hidden, cell) =
            (place(out_sequence, "out_sequence")?, place(out_hidden, "out_hidden")?, place(out_cell, "out_cell")?);
        // SAFETY: the caller's promises.
        let (name, layer) = unsafe { (name_or_empty(name)?, read(layer, "rsq_recurrent_layer")?.ok_or_else(|| Failure::null("layer"))?) };
        if sequence.is_none() && hidden.is_none() && cell.is_none() {
            return Err(Failure::null("out_sequence"));
        }
        let builder = handles::get(builder.cast_const())?;
        let mut builder = builder.write()?;
        let attributes = layer.attributes()?;
        if cell.is_some() && attributes.cell != RecurrentCell::Lstm {
            return Err(Failure::invalid("out_cell is for an LSTM"));
        }
        // SAFETY: the caller's promises.
        let made = builder.recurrent(name, layer.inputs(x), attributes, unsafe { layer.arrays() }?)?;
        let written = [(sequence, Some(made.sequence)), (hidden, Some(made.hidden)), (cell, made.cell)];
        for (out, value) in written {
            out.zip(value).into_iter().for_each(|(out, value)| out.write(value.0));
        }
        Ok(())
    })
}
