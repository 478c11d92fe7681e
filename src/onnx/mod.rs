//! ONNX import: opset 7 to 21 of ONNX's own domain, 2-D convolution and recurrent networks in f32 (weights may be stored as f16, bf16
//! or f64). Whatever the bytes are, import returns a graph or an error, within 64 MB + 8 x the file's size.
mod attributes;
mod execution_order;
mod external_data;
mod import;
mod node_reader;
mod operators;
pub mod proto;
mod tensor_data;
mod wire_check;

use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::memory;
use external_data::ExternalData;
use prost::bytes::Bytes;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The graph of an ONNX model in memory.
///
/// Input and output order, names of nodes and values are the model's; nodes without a name get that of their first
/// output, and names that occur twice get a number. Nothing is folded or fused: see [`crate::graph::passes::optimize`].
///
/// # Errors
/// [`Error::Parse`] for bytes that are not such a model, [`Error::Unsupported`] listing every node that is not
/// supported, or naming the opset or a tensor with data in another file; [`Error::Graph`] for cycles, duplicate names and
/// the like, [`Error::ShapeMismatch`], [`Error::DTypeMismatch`], [`Error::NotFinite`] for a NaN or infinite weight,
/// [`Error::OutOfMemory`].
pub fn import_bytes(model: &[u8]) -> Result<Graph> {
    let _held = memory::charge(model.len(), "an ONNX model")?;
    let mut copy = Vec::new();
    reserve(&mut copy, model.len())?;
    copy.extend_from_slice(model);
    import::import(Bytes::from(copy), ExternalData::default())
}

/// The graph of an ONNX model file. Tensors may have their data in other files in the model's folder or below it.
///
/// # Errors
/// As [`import_bytes`] with the file's path in front, and [`Error::Io`].
pub fn import_file(path: &Path) -> Result<Graph> {
    let io = |error: std::io::Error| Error::io(path, &error);
    let file = File::open(path).map_err(io)?;
    let metadata = file.metadata().map_err(io)?;
    if !metadata.is_file() {
        return Err(Error::Io { path: path.display().to_string(), message: "not a regular file".to_owned() });
    }
    let mut model = Vec::new();
    let len = metadata.len();
    let _held = memory::charge(usize::try_from(len).unwrap_or(usize::MAX), "an ONNX model")?;
    reserve(&mut model, usize::try_from(len).unwrap_or(usize::MAX))?;
    file.take(len).read_to_end(&mut model).map_err(io)?;
    import::import(Bytes::from(model), ExternalData::beside(path)).map_err(|error| error.in_file(path))
}

fn reserve(buffer: &mut Vec<u8>, bytes: usize) -> Result<()> {
    buffer.try_reserve_exact(bytes).map_err(|_| Error::OutOfMemory { what: "an ONNX model".to_owned(), bytes })
}

#[cfg(test)]
mod tests;
