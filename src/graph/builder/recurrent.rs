//! Recurrent layers, with weights in the order of ONNX.
use super::GraphBuilder;
use crate::error::{Error, Result};
use crate::graph::ir::ValueId;
use crate::graph::ops::{ConvWeights, Op, Reshape};
use crate::graph::recurrent::{Direction, DirectionWeights, Recurrent, RecurrentCell, RecurrentOutput};
use crate::tensor::element_count;

/// What a recurrent layer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecurrentAttributes {
    /// What a step computes.
    pub cell: RecurrentCell,
    /// The order of time.
    pub direction: Direction,
    /// Elements of x at a step.
    pub input_size: usize,
    /// Elements of the state.
    pub hidden_size: usize,
    /// x is `[batch, time, input]`, not `[time, batch, input]`; states and outputs have the batch first likewise.
    pub batch_first: bool,
}

/// Its weights, gates in the order of ONNX (LSTM: i, o, f, c; GRU: z, r, h).
#[derive(Debug, Clone, Copy)]
pub struct RecurrentArrays<'a> {
    /// `[directions, gates * hidden, input]`.
    pub input: &'a [f32],
    /// `[directions, gates * hidden, hidden]`.
    pub recurrent: &'a [f32],
    /// `[directions, 2 * gates * hidden]`: of `input`, then of `recurrent`; `None`: zeros.
    pub bias: Option<&'a [f32]>,
}

/// The values that it reads.
#[derive(Debug, Clone, Copy)]
pub struct RecurrentInputs {
    /// `[time, batch, input]`, or with the batch first.
    pub x: ValueId,
    /// `[batch]` whole numbers as floats: how many steps each sequence has; `None`: all.
    pub lengths: Option<ValueId>,
    /// `[directions, batch, hidden]`, or with the batch first; `None`: zeros.
    pub initial_hidden: Option<ValueId>,
    /// Likewise, of an LSTM.
    pub initial_cell: Option<ValueId>,
}

/// The values that it makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecurrentOutputs {
    /// The hidden state of every step, `[time, directions, batch, hidden]` (`[batch, time, directions, hidden]`).
    pub sequence: ValueId,
    /// The last hidden state, `[directions, batch, hidden]` (`[batch, directions, hidden]`).
    pub hidden: ValueId,
    /// The last cell state, likewise, of an LSTM.
    pub cell: Option<ValueId>,
}

impl RecurrentOutputs {
    /// The value that was added last.
    pub fn last(&self) -> ValueId {
        self.cell.unwrap_or(self.hidden)
    }
}

impl GraphBuilder {
    /// A recurrent layer; what nobody reads of its outputs is not computed. The nodes that take the outputs out of it are named
    /// `name/Y`, `name/Y_h`, `name/Y_c`, as in ONNX.
    ///
    /// # Errors
    /// As [`Self::constant`]; [`Error::InvalidArgument`] for sizes of 0, and a cell state without an LSTM.
    pub fn recurrent(
        &mut self,
        name: &str,
        inputs: RecurrentInputs,
        attributes: RecurrentAttributes,
        arrays: RecurrentArrays<'_>,
    ) -> Result<RecurrentOutputs> {
        // What fails must add nothing, and several nodes are added.
        let mut trial = self.clone();
        let outputs = trial.add_recurrent(name, inputs, attributes, arrays)?;
        *self = trial;
        Ok(outputs)
    }

    fn add_recurrent(
        &mut self,
        name: &str,
        inputs: RecurrentInputs,
        attributes: RecurrentAttributes,
        arrays: RecurrentArrays<'_>,
    ) -> Result<RecurrentOutputs> {
        let RecurrentAttributes { cell, direction, input_size, hidden_size, batch_first } = attributes;
        let is_lstm = cell == RecurrentCell::Lstm;
        if input_size == 0 || hidden_size == 0 {
            return Err(Error::InvalidArgument(format!("'{name}': {input_size} inputs and {hidden_size} hidden elements")));
        }
        if inputs.initial_cell.is_some() && !is_lstm {
            return Err(Error::InvalidArgument(format!("'{name}': {} has no cell state", cell.name())));
        }
        let name = match name {
            // The layer's node claims it again.
            "" => {
                let name = self.claim("", cell.name())?;
                self.names.remove(&name);
                name
            }
            name => name.to_owned(),
        };
        let layer = Recurrent {
            cell,
            direction,
            input_size,
            hidden_size,
            weights: self.recurrent_weights(&name, attributes, arrays)?,
            batch_first,
            has_lengths: inputs.lengths.is_some(),
            has_initial_hidden: inputs.initial_hidden.is_some(),
            has_initial_cell: inputs.initial_cell.is_some(),
            output: RecurrentOutput::All,
            activation: None,
        };
        let axis = layer.time_axis() as i64;
        let parts = [RecurrentOutput::Sequence, RecurrentOutput::Hidden, RecurrentOutput::Cell].map(|part| layer.part(part));
        let read: Vec<ValueId> =
            [Some(inputs.x), inputs.lengths, inputs.initial_hidden, inputs.initial_cell].into_iter().flatten().collect();
        let all = self.node(&name, Op::Recurrent(Box::new(layer)), &read)?;
        let [sequence, hidden, last_cell] = parts;
        let sequence = self.node(&format!("{name}/Y"), Op::Slice(sequence), &[all])?;
        let mut state = |part, suffix: &str| -> Result<ValueId> {
            let step = self.node(&format!("{name}/{suffix}/slice"), Op::Slice(part), &[all])?;
            self.node(&format!("{name}/{suffix}"), Op::Reshape(Reshape::Squeeze(vec![axis])), &[step])
        };
        let hidden = state(hidden, "Y_h")?;
        let cell = if is_lstm { Some(state(last_cell, "Y_c")?) } else { None };
        Ok(RecurrentOutputs { sequence, hidden, cell })
    }

    fn recurrent_weights(
        &mut self,
        name: &str,
        attributes: RecurrentAttributes,
        arrays: RecurrentArrays<'_>,
    ) -> Result<Vec<DirectionWeights>> {
        let RecurrentAttributes { cell, direction, input_size, hidden_size, .. } = attributes;
        let directions = direction.count();
        let rows = cell.gates().checked_mul(hidden_size).unwrap_or(usize::MAX);
        let check = |what: &str, len: usize, dims: &[usize]| match element_count(dims) == Some(len) {
            true => Ok(()),
            false => Err(Error::ShapeMismatch(format!("{what} of '{name}': {len} numbers for the shape {dims:?}"))),
        };
        check("input weights", arrays.input.len(), &[directions, rows, input_size])?;
        check("recurrent weights", arrays.recurrent.len(), &[directions, rows, hidden_size])?;
        if let Some(bias) = arrays.bias {
            check("bias", bias.len(), &[directions, 2, rows])?;
        }
        let state_rows = cell.state_gates() * hidden_size;
        let mut made = Vec::with_capacity(directions);
        for index in 0..directions {
            let bias = |start: usize, count: usize| arrays.bias.map(|bias| &bias[index * 2 * rows + start..][..count]);
            let input = &arrays.input[index * rows * input_size..][..rows * input_size];
            let recurrent = &arrays.recurrent[index * rows * hidden_size..][..rows * hidden_size];
            let (recurrent, candidate) = recurrent.split_at(state_rows * hidden_size);
            let mut matrix = |weights: &[f32], [rows, columns]: [usize; 2], bias| -> Result<ConvWeights> {
                self.weights(name, weights, [rows, columns, 1, 1], bias)
            };
            made.push(DirectionWeights {
                input: matrix(input, [rows, input_size], bias(0, rows))?,
                recurrent: matrix(recurrent, [state_rows, hidden_size], bias(rows, state_rows))?,
                candidate: match candidate {
                    [] => None,
                    candidate => Some(matrix(candidate, [hidden_size; 2], bias(rows + state_rows, hidden_size))?),
                },
            });
        }
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::infer_shapes;

    const ATTRIBUTES: RecurrentAttributes = RecurrentAttributes {
        cell: RecurrentCell::Lstm,
        direction: Direction::Bidirectional,
        input_size: 3,
        hidden_size: 2,
        batch_first: true,
    };

    fn inputs(x: ValueId) -> RecurrentInputs {
        RecurrentInputs { x, lengths: None, initial_hidden: None, initial_cell: None }
    }

    #[test]
    fn outputs_have_the_shapes_of_onnx_and_layers_without_a_name_get_one() {
        let mut builder = GraphBuilder::new();
        let x = builder.input("x", &[Some(5), Some(7), Some(3)]).unwrap();
        let (w, r) = (vec![0.5; 2 * 8 * 3], vec![0.25; 2 * 8 * 2]);
        let arrays = RecurrentArrays { input: &w, recurrent: &r, bias: None };
        let first = builder.recurrent("", inputs(x), ATTRIBUTES, arrays).unwrap();
        let second = builder.recurrent("", inputs(x), ATTRIBUTES, arrays).unwrap();
        assert_eq!(second.last(), second.cell.unwrap());
        let outputs = [first.sequence, first.hidden, first.cell.unwrap(), second.hidden];
        let graph = builder.finish(&outputs).unwrap();
        let shapes = infer_shapes(&graph, &[vec![5, 7, 3]]).unwrap();
        let dims: Vec<_> = graph.outputs.iter().map(|value| shapes[value.index()].clone().unwrap()).collect();
        assert_eq!(dims, [vec![5, 7, 2, 2], vec![5, 2, 2], vec![5, 2, 2], vec![5, 2, 2]]);
    }

    #[test]
    fn what_is_refused_adds_nothing() {
        let mut builder = GraphBuilder::new();
        let x = builder.input("x", &[None, None, Some(3)]).unwrap();
        builder.relu("layer/Y_h", x).unwrap();
        let (w, r, b) = (vec![0.5; 2 * 8 * 3], vec![0.25; 2 * 8 * 2], vec![0.0; 2 * 16]);
        let arrays = RecurrentArrays { input: &w, recurrent: &r, bias: Some(&b) };
        let before = (builder.graph.nodes.len(), builder.graph.values.len(), builder.names.len());
        let mut refused = |name: &str, inputs: RecurrentInputs, attributes: RecurrentAttributes, arrays: RecurrentArrays<'_>| {
            let error = builder.recurrent(name, inputs, attributes, arrays).unwrap_err();
            assert_eq!((builder.graph.nodes.len(), builder.graph.values.len(), builder.names.len()), before);
            error
        };
        assert!(matches!(refused("layer", inputs(x), ATTRIBUTES, arrays), Error::Graph(text) if text.contains("layer/Y_h")));
        let missing = RecurrentInputs { lengths: Some(ValueId(99)), ..inputs(x) };
        assert!(matches!(refused("a", missing, ATTRIBUTES, arrays), Error::Graph(text) if text.contains("value 99")));
        for short in [
            RecurrentArrays { input: &w[1..], ..arrays },
            RecurrentArrays { recurrent: &r[1..], ..arrays },
            RecurrentArrays { bias: Some(&b[1..]), ..arrays },
        ] {
            assert!(matches!(refused("a", inputs(x), ATTRIBUTES, short), Error::ShapeMismatch(text) if text.contains("'a'")));
        }
        for attributes in [RecurrentAttributes { hidden_size: 0, ..ATTRIBUTES }, RecurrentAttributes { input_size: 0, ..ATTRIBUTES }] {
            assert!(matches!(refused("a", inputs(x), attributes, arrays), Error::InvalidArgument(_)));
        }
        let huge = RecurrentAttributes { hidden_size: usize::MAX / 2, ..ATTRIBUTES };
        assert!(matches!(refused("a", inputs(x), huge, arrays), Error::ShapeMismatch(_)));
        let gru = RecurrentAttributes { cell: RecurrentCell::Gru { linear_before_reset: true }, ..ATTRIBUTES };
        let with_cell = RecurrentInputs { initial_cell: Some(x), ..inputs(x) };
        assert!(matches!(refused("a", with_cell, gru, arrays), Error::InvalidArgument(text) if text.contains("GRU")));
        let wrong = vec![f32::NAN; w.len()];
        assert!(matches!(refused("a", inputs(x), ATTRIBUTES, RecurrentArrays { input: &wrong, ..arrays }), Error::NotFinite(_)));
    }
}
