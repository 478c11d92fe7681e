//! The graph section: JSON of everything but the constants' bytes.
use super::Metadata;
use crate::error::{Error, Result};
use crate::graph::{Constant, Graph, Node, Value, ValueId};
use crate::packed::SLACK_BYTES;
use crate::quantize::json;
use crate::tensor::{ALIGNMENT, DType, SharedBytes};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::marker::PhantomData;
use std::ops::Range;

/// What the section says. Reading bounds every list by the section's length, as each element takes bytes of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    library_version: String,
    #[serde(deserialize_with = "list")]
    inputs: Vec<ValueId>,
    #[serde(deserialize_with = "list")]
    outputs: Vec<ValueId>,
    #[serde(deserialize_with = "list")]
    values: Vec<Value>,
    #[serde(deserialize_with = "list")]
    nodes: Vec<Node>,
    #[serde(deserialize_with = "list")]
    constants: Vec<ConstantEntry>,
    metadata: Metadata,
}

/// The same, borrowed.
#[derive(Serialize)]
struct DocumentRef<'a> {
    library_version: &'a str,
    inputs: &'a [ValueId],
    outputs: &'a [ValueId],
    values: &'a [Value],
    nodes: &'a [Node],
    constants: Vec<ConstantEntry>,
    metadata: &'a Metadata,
}

/// A constant whose bytes are in the data section.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConstantEntry {
    dtype: DType,
    dims: Vec<usize>,
    /// In the data section, in bytes.
    offset: usize,
    /// In bytes.
    length: usize,
}

/// Where constants of these lengths stand in the data section, and the section's length.
pub(super) struct DataLayout {
    pub constants: Vec<Range<usize>>,
    pub length: usize,
}

impl DataLayout {
    /// The only place for constants of these lengths.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`], and [`Error::Corrupt`] if they do not fit the address space.
    pub fn of(lengths: impl ExactSizeIterator<Item = usize>) -> Result<Self> {
        let too_long = || Error::Corrupt("the constants do not fit the address space".into());
        let mut constants = Vec::new();
        reserve(&mut constants, lengths.len(), "places of constants")?;
        let mut next = 0usize;
        for length in lengths {
            let end = next.checked_add(length).ok_or_else(too_long)?;
            constants.push(next..end);
            next = end.checked_next_multiple_of(ALIGNMENT).ok_or_else(too_long)?;
        }
        Ok(Self { constants, length: next.checked_add(SLACK_BYTES).ok_or_else(too_long)? })
    }
}

/// The section's bytes.
///
/// # Errors
/// [`Error::OutOfMemory`].
pub(super) fn encode(graph: &Graph, metadata: &Metadata, places: &DataLayout) -> Result<Vec<u8>> {
    let mut constants = Vec::new();
    reserve(&mut constants, graph.constants.len(), "the list of constants")?;
    for (constant, place) in graph.constants.iter().zip(&places.constants) {
        let dims = constant.dims.clone();
        constants.push(ConstantEntry { dtype: constant.dtype, dims, offset: place.start, length: place.end - place.start });
    }
    let document = DocumentRef {
        library_version: env!("CARGO_PKG_VERSION"),
        inputs: &graph.inputs,
        outputs: &graph.outputs,
        values: &graph.values,
        nodes: &graph.nodes,
        constants,
        metadata,
    };
    let mut text = Growing(Vec::new());
    // The same writer as elsewhere: its code is compiled for each operator.
    let writer: &mut dyn std::io::Write = &mut text;
    serde_json::to_writer(writer, &document).map_err(|_| out_of_memory("the graph section", text.0.len()))?;
    Ok(text.0)
}

/// The graph of a section whose constants lie in `data`, the metadata, and the version of the library that wrote them.
///
/// # Errors
/// [`Error::Corrupt`] if the section is not what [`encode`] writes, [`Error::OutOfMemory`].
pub(super) fn decode(section: &[u8], data: &SharedBytes) -> Result<(Graph, Metadata, String)> {
    let document: Document = json::read(section).map_err(|error| match error.to_string().contains(NO_MEMORY) {
        true => out_of_memory("the graph section", section.len()),
        false => Error::Corrupt(format!("the model file's graph section: {error}")),
    })?;
    let places = DataLayout::of(document.constants.iter().map(|entry| entry.length))?;
    if places.length != data.len() {
        let (expected, found) = (places.length, data.len());
        return Err(Error::Corrupt(format!("the constants take {expected} bytes, the model file's data section has {found}")));
    }
    let mut constants = Vec::new();
    reserve(&mut constants, document.constants.len(), "the list of constants")?;
    for (index, (entry, place)) in document.constants.into_iter().zip(places.constants).enumerate() {
        let misplaced = || Error::Corrupt(format!("constant {index} is not at its place in the model file"));
        if entry.offset != place.start {
            return Err(misplaced());
        }
        let data = data.slice(place).ok_or_else(misplaced)?;
        constants.push(Constant { dtype: entry.dtype, dims: entry.dims, data });
    }
    let Document { library_version, inputs, outputs, values, nodes, metadata, .. } = document;
    Ok((Graph { values, nodes, constants, inputs, outputs, ..Graph::default() }, metadata, library_version))
}

/// How [`list`] says that memory was refused, as a decoder's errors are texts.
const NO_MEMORY: &str = "no memory for a list of the graph section";

/// Reads a list whose growth may be refused.
fn list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> std::result::Result<Vec<T>, D::Error> {
    struct Elements<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Elements<T> {
        type Value = Vec<T>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a list")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> std::result::Result<Vec<T>, A::Error> {
            let mut list = Vec::new();
            while let Some(element) = elements.next_element()? {
                list.try_reserve(1).map_err(|_| serde::de::Error::custom(NO_MEMORY))?;
                list.push(element);
            }
            Ok(list)
        }
    }
    deserializer.deserialize_seq(Elements(PhantomData))
}

/// Bytes whose growth may be refused.
struct Growing(Vec<u8>);

impl std::io::Write for Growing {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.try_reserve(bytes.len()).map_err(|_| std::io::ErrorKind::OutOfMemory)?;
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn out_of_memory(what: &str, bytes: usize) -> Error {
    Error::OutOfMemory { what: what.to_owned(), bytes }
}

fn reserve<T>(list: &mut Vec<T>, count: usize, what: &str) -> Result<()> {
    list.try_reserve_exact(count).map_err(|_| out_of_memory(what, count.saturating_mul(size_of::<T>())))
}
