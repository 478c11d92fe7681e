//! Writing a model file.
use super::document::{self, DataLayout};
use super::layout::{Layout, Summary, checksum_of, encode_front};
use super::{Metadata, replace_file, validate};
use crate::error::{Error, Result};
use crate::graph::{Graph, Op};
use crate::memory;
use crate::packed::SLACK_BYTES;
use crate::tensor::ALIGNMENT;
use std::io::Write;
use std::path::Path;

/// Zeros for the longest gap.
const ZEROS: [u8; SLACK_BYTES] = [0; SLACK_BYTES];

/// Everything of a file but the constants' bytes.
struct Plan {
    /// Up to the data section.
    front: Vec<u8>,
    places: DataLayout,
    file_length: usize,
}

impl Plan {
    fn of(graph: &Graph, metadata: &Metadata) -> Result<Self> {
        validate(graph)?;
        let places = DataLayout::of(graph.constants.iter().map(|constant| constant.data.len()))?;
        let document = document::encode(graph, metadata, &places)?;
        let layout = Layout::of(document.len(), places.length)
            .ok_or_else(|| Error::InvalidArgument("the model does not fit the address space".into()))?;

        let mut hasher = crc32fast::Hasher::new();
        for_each_run(graph, &places, |run| {
            hasher.update(run);
            Ok(())
        })?;
        let summary = Summary { length: document.len(), checksum: checksum_of(&[&document]) };
        let data = Summary { length: places.length, checksum: hasher.finalize() };

        let mut front = encode_front(format_version(graph), &layout, summary, data);
        let more = layout.data.start - front.len();
        front.try_reserve_exact(more).map_err(|_| Error::OutOfMemory { what: "the graph section".into(), bytes: more })?;
        front.extend(document);
        front.resize(layout.data.start, 0);
        Ok(Self { front, places, file_length: layout.file_length() })
    }
}

/// The oldest version of the format that can hold the graph.
fn format_version(graph: &Graph) -> u32 {
    let is_new = |op: &Op| matches!(op, Op::Recurrent(_) | Op::Slice(_) | Op::DynamicQuantizeBy(_));
    if graph.nodes.iter().any(|node| is_new(&node.op)) { 2 } else { 1 }
}

/// Calls `write` with the data section's bytes in order.
fn for_each_run(graph: &Graph, places: &DataLayout, mut write: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    for (constant, place) in graph.constants.iter().zip(&places.constants) {
        write(&constant.data)?;
        write(&ZEROS[..place.end.next_multiple_of(ALIGNMENT) - place.end])?;
    }
    write(&ZEROS)
}

/// Writes a lowered graph as a model file.
///
/// # Errors
/// [`Error::Graph`] and others if [`validate`] refuses the graph, [`Error::OutOfMemory`], and what `write` returns.
pub fn write_to(graph: &Graph, metadata: &Metadata, mut write: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
    let plan = Plan::of(graph, metadata)?;
    write(&plan.front)?;
    for_each_run(graph, &plan.places, write)
}

/// A lowered graph as the bytes of a model file.
///
/// # Errors
/// As [`write_to`].
pub fn to_bytes(graph: &Graph, metadata: &Metadata) -> Result<Vec<u8>> {
    let plan = Plan::of(graph, metadata)?;
    let mut bytes = Vec::new();
    let refused = |_| Error::OutOfMemory { what: "a model's bytes".into(), bytes: plan.file_length };
    memory::check_room(plan.file_length, "a model's bytes")?;
    bytes.try_reserve_exact(plan.file_length).map_err(refused)?;
    bytes.extend_from_slice(&plan.front);
    for_each_run(graph, &plan.places, |run| {
        bytes.extend_from_slice(run);
        Ok(())
    })?;
    Ok(bytes)
}

/// Saves a lowered graph as a model file, atomically: see [`replace_file`].
///
/// # Errors
/// As [`write_to`], and [`Error::Io`].
pub fn save(graph: &Graph, metadata: &Metadata, path: &Path) -> Result<()> {
    replace_file(path, |file| write_to(graph, metadata, |run| file.write_all(run).map_err(|error| Error::io(path, &error))))
}
