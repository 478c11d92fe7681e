//! Shape, ConstantOfShape, Expand, and what becomes of integers that were made of shapes.
//!
//! Writers compute the shape of a recurrent layer's first state (zeros, for any batch) with a handful of nodes. Their
//! numbers are not followed: a tensor of such numbers is a *shape value*, and a tensor of one number everywhere whose
//! shape comes from one is *filled*. Both are known by name alone; whoever needs more of them refuses them.
use super::Imported;
use crate::error::{Error, Result};
use crate::onnx::import::{Importer, NodeReader};
use crate::onnx::proto::{NodeProto, TensorProto};
use prost::Message;

/// Operators that make a shape value of shape values and constants.
const ARITHMETIC: [&str; 12] =
    ["Gather", "Unsqueeze", "Squeeze", "Concat", "Slice", "Cast", "Add", "Sub", "Mul", "Div", "Identity", "ReduceProd"];
/// Operators that leave a filled tensor filled, whatever their other inputs are.
const MOVES: [&str; 8] = ["Slice", "Identity", "Unsqueeze", "Squeeze", "Transpose", "Reshape", "Expand", "Cast"];

/// What a node makes of shape values or a filled tensor, if it reads some and that can be said without their numbers.
pub fn follow(node: &NodeProto, importer: &Importer) -> Option<Imported> {
    let op_type = node.op_type.as_str();
    if let Some(value) = node.input.first().and_then(|name| importer.filled(name)).filter(|_| MOVES.contains(&op_type)) {
        return Some(Imported::Filled(value));
    }
    let is_shape = |name: &String| importer.is_shape_value(name);
    let is_known = |name: &String| name.is_empty() || is_shape(name) || importer.constant_source(name).is_some();
    let fits = ARITHMETIC.contains(&op_type) && node.input.iter().any(is_shape) && node.input.iter().all(is_known);
    fits.then_some(Imported::ShapeValue)
}

/// `Shape`.
pub fn shape(node: &mut NodeReader, _: &mut Importer) -> Result<Imported> {
    node.at_most(1)?;
    node.required(0)?;
    ["start", "end"].iter().for_each(|name| node.attributes.ignore(name));
    Ok(Imported::ShapeValue)
}

/// `ConstantOfShape`: one number, zero if none is given.
pub fn constant_of_shape(node: &mut NodeReader, importer: &mut Importer) -> Result<Imported> {
    node.at_most(1)?;
    let name = node.required(0)?;
    if !importer.is_shape_value(name) {
        importer.constant(name)?;
    }
    let Some(encoded) = node.attributes.tensor("value")? else { return Ok(Imported::Filled(0.0)) };
    let tensor = TensorProto::decode(encoded).map_err(|error| Error::Parse(format!("value: {error}")))?;
    if tensor.data_type != TensorProto::FLOAT {
        return Err(Error::Unsupported(format!("a tensor of {}", TensorProto::type_name(tensor.data_type))));
    }
    Ok(Imported::Filled(crate::onnx::tensor_data::TensorData::new(tensor, None)?.scalar()?))
}

/// `Expand` of a constant that is one number everywhere.
pub fn expand(node: &mut NodeReader, importer: &mut Importer) -> Result<Imported> {
    node.at_most(2)?;
    let data = importer.constant(node.required(0)?)?.floats()?;
    match data.first() {
        Some(&first) if data.iter().all(|&value| value == first) => Ok(Imported::Filled(first)),
        _ => Err(Error::Unsupported("an Expand of different numbers".to_owned())),
    }
}
