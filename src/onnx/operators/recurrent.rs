//! LSTM, GRU, RNN.
use super::Imported;
use crate::error::{Error, Result};
use crate::graph::{Constant, ConvWeights, Direction, DirectionWeights, Op, Recurrent, RecurrentCell, RecurrentOutput, Reshape, ValueId};
use crate::onnx::import::{Importer, NodeReader};

/// `LSTM`: inputs x, W, R, B, sequence_lens, initial_h, initial_c; outputs Y, Y_h, Y_c. No peepholes.
pub fn lstm(node: &mut NodeReader, importer: &mut Importer) -> Result<Imported> {
    node.at_most(8)?;
    check_activations(node, &["Sigmoid", "Tanh", "Tanh"])?;
    if node.attributes.int("input_forget", 0)? != 0 {
        return Err(Error::Unsupported("input_forget".to_owned()));
    }
    if let Some(name) = node.input(7) {
        let is_zero = importer.constant_source(name).is_some() && importer.constant(name)?.floats()?.iter().all(|&value| value == 0.0);
        if !is_zero {
            return Err(Error::Unsupported("peepholes (input P)".to_owned()));
        }
    }
    layer(RecurrentCell::Lstm, node, importer)
}

/// `GRU`: inputs x, W, R, B, sequence_lens, initial_h; outputs Y, Y_h.
pub fn gru(node: &mut NodeReader, importer: &mut Importer) -> Result<Imported> {
    node.at_most(6)?;
    check_activations(node, &["Sigmoid", "Tanh"])?;
    let linear_before_reset = node.attributes.int("linear_before_reset", 0)? != 0;
    layer(RecurrentCell::Gru { linear_before_reset }, node, importer)
}

/// `RNN`: inputs x, W, R, B, sequence_lens, initial_h; outputs Y, Y_h. Tanh, or ReLU in every direction.
pub fn rnn(node: &mut NodeReader, importer: &mut Importer) -> Result<Imported> {
    node.at_most(6)?;
    let activations = node.attributes.strings("activations")?.unwrap_or_default();
    let cell = match activations.first().map_or("Tanh", String::as_str) {
        "Tanh" => RecurrentCell::RnnTanh,
        "Relu" => RecurrentCell::RnnRelu,
        other => return Err(Error::Unsupported(format!("activation '{other}'"))),
    };
    if let Some(other) = activations.iter().find(|&name| name != &activations[0]) {
        return Err(Error::Unsupported(format!("activations '{}' and '{other}' in two directions", activations[0])));
    }
    layer(cell, node, importer)
}

/// Refuses activations that are not the default ones, by name.
fn check_activations(node: &mut NodeReader, defaults: &[&str]) -> Result<()> {
    let activations = node.attributes.strings("activations")?.unwrap_or_default();
    match activations.iter().zip(defaults.iter().cycle()).find(|(found, default)| found != *default) {
        Some((found, default)) => Err(Error::Unsupported(format!("activation '{found}' where '{default}' is the default"))),
        None => Ok(()),
    }
}

fn direction(node: &mut NodeReader) -> Result<Direction> {
    Ok(match node.attributes.string("direction", "forward")?.as_str() {
        "forward" => Direction::Forward,
        "reverse" => Direction::Reverse,
        "bidirectional" => Direction::Bidirectional,
        other => return Err(Error::Graph(format!("direction '{other}'"))),
    })
}

fn layer(cell: RecurrentCell, node: &mut NodeReader, importer: &mut Importer) -> Result<Imported> {
    let direction = direction(node)?;
    let batch_first = node.attributes.int("layout", 0)? != 0;
    let x = importer.value(node.required(0)?)?;
    if importer.rank(x)? != 3 {
        return Err(Error::ShapeMismatch(format!("the input has {} axes, not [time, batch, input]", importer.rank(x)?)));
    }
    let (weights, [input_size, hidden_size]) = weights(cell, direction, node, importer)?;
    let declared = node.attributes.optional_int("hidden_size")?;
    if declared.is_some_and(|declared| usize::try_from(declared) != Ok(hidden_size)) {
        return Err(Error::ShapeMismatch(format!("hidden_size is {}, the weights are for {hidden_size}", declared.unwrap_or(0))));
    }
    let lengths = node.input(4).map(|name| importer.whole_numbers(name)).transpose()?;
    let initial_hidden = node.input(5).map(|name| state(name, importer)).transpose()?.flatten();
    let initial_cell = match cell {
        RecurrentCell::Lstm => node.input(6).map(|name| state(name, importer)).transpose()?.flatten(),
        _ => None,
    };
    let layer = Recurrent {
        cell,
        direction,
        input_size,
        hidden_size,
        weights,
        batch_first,
        has_lengths: lengths.is_some(),
        has_initial_hidden: initial_hidden.is_some(),
        has_initial_cell: initial_cell.is_some(),
        output: RecurrentOutput::All,
        activation: None,
    };
    let inputs = [Some(x), lengths, initial_hidden, initial_cell].into_iter().flatten().collect();
    Ok(Imported::Outputs(outputs(layer, inputs, node, importer)))
}

/// The layer, which makes everything, and the nodes that take each output out of that.
fn outputs(layer: Recurrent, inputs: Vec<ValueId>, node: &NodeReader, importer: &mut Importer) -> Vec<(usize, String, Op, Vec<ValueId>)> {
    let axis = layer.time_axis() as i64;
    let parts = [(0, RecurrentOutput::Sequence, "Y"), (1, RecurrentOutput::Hidden, "Y_h"), (2, RecurrentOutput::Cell, "Y_c")];
    let slices = parts.map(|(index, part, name)| (index, layer.part(part), format!("{}/{name}", node.name)));
    let all = importer.add_node(node.name.clone(), format!("{}/states", node.name), Op::Recurrent(Box::new(layer)), inputs);
    let mut outputs = Vec::new();
    for (index, slice, name) in slices.into_iter().filter(|(index, ..)| node.has_output(*index)) {
        if index == 0 {
            outputs.push((index, name, Op::Slice(slice), vec![all]));
        } else {
            let state = importer.add_node(format!("{name}/slice"), format!("{name}/slice"), Op::Slice(slice), vec![all]);
            outputs.push((index, name, Op::Reshape(Reshape::Squeeze(vec![axis])), vec![state]));
        }
    }
    outputs
}

/// A first state: `None` if it is zero everywhere.
fn state(name: &str, importer: &mut Importer) -> Result<Option<ValueId>> {
    if let Some(filled) = importer.filled(name) {
        return match filled {
            0.0 => Ok(None),
            other => Err(Error::Unsupported(format!("first states of {other} of a shape that is computed"))),
        };
    }
    if importer.constant_source(name).is_some() && importer.constant(name)?.floats()?.iter().all(|&value| value == 0.0) {
        return Ok(None);
    }
    importer.value(name).map(Some)
}

/// The weights of every direction, and `[input size, hidden size]`.
fn weights(
    cell: RecurrentCell,
    direction: Direction,
    node: &NodeReader,
    importer: &mut Importer,
) -> Result<(Vec<DirectionWeights>, [usize; 2])> {
    let (w, r) = (importer.constant(node.required(1)?)?, importer.constant(node.required(2)?)?);
    let b = node.input(3).map(|name| importer.constant(name)).transpose()?;
    let (gates, directions) = (cell.gates(), direction.count());
    let misfit = |name: &str, dims: &[usize]| {
        Error::ShapeMismatch(format!("{name} has shape {dims:?} for {gates} gates in {directions} directions"))
    };
    let (&[w_directions, w_rows, input], &[r_directions, r_rows, hidden]) = (w.dims.as_slice(), r.dims.as_slice()) else {
        return Err(misfit("W or R", &w.dims));
    };
    let rows = gates.checked_mul(hidden).filter(|&rows| rows > 0 && input > 0).ok_or_else(|| misfit("R", &r.dims))?;
    if [w_directions, w_rows] != [directions, rows] {
        return Err(misfit("W", &w.dims));
    }
    if [r_directions, r_rows] != [directions, rows] {
        return Err(misfit("R", &r.dims));
    }
    if let Some(b) = &b
        && b.dims != [directions, 2 * rows]
    {
        return Err(misfit("B", &b.dims));
    }
    let (w, r) = (w.floats()?, r.floats()?);
    let b = b.map(|b| b.floats()).transpose()?;
    let mut made = Vec::with_capacity(directions);
    let state_rows = cell.state_gates() * hidden;
    for index in 0..directions {
        let bias = |start: usize, count: usize| b.as_ref().map(|b| &b[index * 2 * rows + start..][..count]);
        let (w, r) = (&w[index * rows * input..][..rows * input], &r[index * rows * hidden..][..rows * hidden]);
        let (r, candidate) = r.split_at(state_rows * hidden);
        made.push(DirectionWeights {
            input: matrix(importer, w, [rows, input], bias(0, rows))?,
            recurrent: matrix(importer, r, [state_rows, hidden], bias(rows, state_rows))?,
            candidate: match candidate {
                [] => None,
                candidate => Some(matrix(importer, candidate, [hidden; 2], bias(rows + state_rows, hidden))?),
            },
        });
    }
    Ok((made, [input, hidden]))
}

fn matrix(importer: &mut Importer, weight: &[f32], [oc, ic]: [usize; 2], bias: Option<&[f32]>) -> Result<ConvWeights> {
    let constant = Constant::f32(weight, &[oc, ic, 1, 1])?;
    let weight = importer.add_constant(constant)?;
    Ok(ConvWeights::Float { weight, bias: bias.map(|bias| importer.add_vector(bias)).transpose()? })
}
