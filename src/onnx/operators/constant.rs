//! Constant, Cast, Identity, Dropout: nodes that compute nothing at run time.
use super::Imported;
use crate::error::{Error, Result};
use crate::graph::Op;
use crate::onnx::import::{Importer, NodeReader, of_first_input};
use crate::onnx::proto::TensorProto;
use crate::onnx::tensor_data::is_float;
use prost::Message;
use prost::bytes::Bytes;

/// An encoded tensor of `dims`.
fn encode(data_type: i32, dims: Vec<i64>, raw: Vec<u8>) -> Imported {
    let tensor = TensorProto { dims, data_type, raw_data: Some(Bytes::from(raw)), ..Default::default() };
    Imported::Constant(Bytes::from(tensor.encode_to_vec()))
}

fn encode_floats(dims: Vec<i64>, values: &[f32]) -> Imported {
    encode(TensorProto::FLOAT, dims, values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

fn encode_ints(dims: Vec<i64>, values: &[i64]) -> Imported {
    encode(TensorProto::INT64, dims, values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

/// `Constant`: a tensor, or numbers in attributes.
pub fn constant(node: &mut NodeReader, _: &mut Importer) -> Result<Imported> {
    node.at_most(0)?;
    let attributes = &mut node.attributes;
    if let Some(tensor) = attributes.tensor("value")? {
        return Ok(Imported::Constant(tensor));
    }
    if let Some(value) = attributes.optional_float("value_float")? {
        return Ok(encode_floats(Vec::new(), &[value]));
    }
    if let Some(values) = attributes.floats("value_floats")? {
        return Ok(encode_floats(vec![values.len() as i64], &values));
    }
    if let Some(value) = attributes.optional_int("value_int")? {
        return Ok(encode_ints(Vec::new(), &[value]));
    }
    if let Some(values) = attributes.ints("value_ints")? {
        return Ok(encode_ints(vec![values.len() as i64], &values));
    }
    attributes.finish()?;
    Err(Error::Graph("the node has no value".to_owned()))
}

/// `Cast` of a constant to FLOAT or to an integer type; of anything else only what changes nothing.
pub fn cast(node: &mut NodeReader, importer: &mut Importer) -> Result<Imported> {
    node.at_most(1)?;
    let to = node.attributes.int("to", 0)?;
    node.attributes.ignore("saturate"); // of float8
    let to = i32::try_from(to).map_err(|_| Error::Unsupported(format!("a cast to element type {to}")))?;
    let unsupported = |from: &str| Error::Unsupported(format!("a cast from {from} to {}", TensorProto::type_name(to)));
    let input = node.required(0)?;
    let is_integer = matches!(to, TensorProto::INT32 | TensorProto::INT64);
    if let Some(whole) = importer.whole_number_input(input) {
        return match to {
            TensorProto::FLOAT => Ok(Imported::Node(Op::Identity, vec![whole])),
            _ if is_integer => Ok(Imported::Alias(whole)),
            _ => Err(unsupported("integers")),
        };
    }
    let Some(encoded) = importer.constant_source(input) else {
        return if to == TensorProto::FLOAT { of_first_input(Op::Identity, node, importer) } else { Err(unsupported("FLOAT")) };
    };
    let data = importer.constant(input)?;
    let (from, from_float) = (data.data_type, is_float(data.data_type));
    if to == from || (to == TensorProto::FLOAT && from_float) {
        return Ok(Imported::Constant(encoded)); // f32 is what every float tensor is read as
    }
    let dims = || data.dims.iter().map(|&dim| dim as i64).collect();
    match to {
        TensorProto::FLOAT if from != TensorProto::BOOL => {
            let values: Vec<f32> = data.integers()?.iter().map(|&value| value as f32).collect();
            Ok(encode_floats(dims(), &values))
        }
        TensorProto::INT64 if !from_float => Ok(encode_ints(dims(), &data.integers()?)),
        _ => Err(unsupported(&TensorProto::type_name(from))),
    }
}

/// `Identity`.
pub fn identity(node: &mut NodeReader, importer: &mut Importer) -> Result<Imported> {
    node.at_most(1)?;
    match importer.constant_source(node.required(0)?) {
        Some(encoded) => Ok(Imported::Constant(encoded)),
        None => of_first_input(Op::Identity, node, importer),
    }
}

/// `Dropout` at inference: its input.
pub fn dropout(node: &mut NodeReader, importer: &mut Importer) -> Result<Imported> {
    node.at_most(3)?;
    node.attributes.ignore("ratio");
    node.attributes.ignore("seed");
    if let Some(name) = node.input(2)
        && importer.integers(name)? != [0]
    {
        return Err(Error::Unsupported("training_mode".to_owned()));
    }
    match importer.constant_source(node.required(0)?) {
        Some(encoded) => Ok(Imported::Constant(encoded)),
        None => of_first_input(Op::Identity, node, importer),
    }
}
