//! Header and section table. The module's page has the picture.
use crate::error::{Error, Result};
use crate::tensor::{ALIGNMENT, round_up};
use std::ops::Range;

/// The newest version of the format that this library reads. It writes the oldest that says what a model has: 1, or 2 for
/// one with recurrent layers, slices or other dynamic quantization than by sample.
pub const FORMAT_VERSION: u32 = 2;

pub(super) const MAGIC: &[u8; 8] = b"RSQMODEL";
const ENDIANNESS_MARK: u32 = 0x0102_0304;
const HEADER_BYTES: usize = 32;
/// Where the header's own checksum stands, which it leaves out.
const CHECKSUM_OFFSET: usize = 28;
const ENTRY_BYTES: usize = 24;
/// Kinds in the order in which they stand.
const KINDS: [u32; 2] = [1, 2];
/// Bytes before the first section's padding.
const FRONT_BYTES: usize = HEADER_BYTES + KINDS.len() * ENTRY_BYTES;

/// Length and checksum of a section's bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Summary {
    pub length: usize,
    pub checksum: u32,
}

/// Where the sections of a file stand.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub graph: Range<usize>,
    pub data: Range<usize>,
}

impl Layout {
    /// The only place for sections of these lengths; `None` if it does not fit the address space.
    pub fn of(graph_length: usize, data_length: usize) -> Option<Self> {
        let after = |end: usize, length: usize| {
            let start = end.checked_next_multiple_of(ALIGNMENT)?;
            Some(start..start.checked_add(length)?)
        };
        let graph = after(FRONT_BYTES, graph_length)?;
        let data = after(graph.end, data_length)?;
        Some(Self { graph, data })
    }

    /// The file's length.
    pub fn file_length(&self) -> usize {
        self.data.end
    }
}

/// The bytes from the file's start to the graph section.
pub(super) fn encode_front(version: u32, layout: &Layout, graph: Summary, data: Summary) -> Vec<u8> {
    let mut table = Vec::with_capacity(KINDS.len() * ENTRY_BYTES);
    for (kind, range, summary) in [(KINDS[0], &layout.graph, graph), (KINDS[1], &layout.data, data)] {
        table.extend(kind.to_le_bytes());
        table.extend(summary.checksum.to_le_bytes());
        table.extend((range.start as u64).to_le_bytes());
        table.extend((summary.length as u64).to_le_bytes());
    }
    let mut front = Vec::with_capacity(round_up(FRONT_BYTES, ALIGNMENT));
    front.extend(MAGIC);
    front.extend(version.to_le_bytes());
    front.extend(ENDIANNESS_MARK.to_le_bytes());
    front.extend((layout.file_length() as u64).to_le_bytes());
    front.extend((KINDS.len() as u32).to_le_bytes());
    front.extend(checksum_of(&[&front, &table]).to_le_bytes());
    front.extend(table);
    front.resize(layout.graph.start, 0);
    front
}

/// Finds the sections of a file, and verifies all checksums.
///
/// # Errors
/// [`Error::Parse`] for another kind of file, [`Error::Version`] for another version or endianness,
/// [`Error::Corrupt`] for the rest.
pub(super) fn decode(file: &[u8]) -> Result<Layout> {
    if file.get(..MAGIC.len()) != Some(MAGIC.as_slice()) {
        let start = file.get(..MAGIC.len()).unwrap_or(file).escape_ascii();
        return Err(Error::Parse(format!("a model file starts with \"{}\", this one with \"{start}\"", MAGIC.escape_ascii())));
    }
    let short = || Error::Corrupt(format!("the model file has {} bytes, too few for its header", file.len()));
    let mark = u32_at(file, 12).ok_or_else(short)?;
    if mark != ENDIANNESS_MARK {
        return Err(Error::Version(format!(
            "the model file's endianness mark is {mark:#010x}, this library reads {ENDIANNESS_MARK:#010x}"
        )));
    }
    let version = u32_at(file, 8).ok_or_else(short)?;
    if !(1..=FORMAT_VERSION).contains(&version) {
        return Err(Error::Version(format!("the model file has format version {version}, this library reads 1 to {FORMAT_VERSION}")));
    }
    let length = u64_at(file, 16).ok_or_else(short)?;
    if length != file.len() as u64 {
        return Err(Error::Corrupt(format!("the model file was written with {length} bytes and has {}", file.len())));
    }
    let table = file.get(HEADER_BYTES..FRONT_BYTES).ok_or_else(short)?;
    verify("header", &[&file[..CHECKSUM_OFFSET], table], u32_at(file, CHECKSUM_OFFSET).ok_or_else(short)?)?;

    let sections = u32_at(file, 24).ok_or_else(short)?;
    if sections != KINDS.len() as u32 {
        return Err(Error::Corrupt(format!("the model file has {sections} sections, not {}", KINDS.len())));
    }
    let entry = |index: usize| {
        let at = index * ENTRY_BYTES;
        let number = |offset| usize::try_from(u64_at(table, at + offset)?).ok();
        Some((u32_at(table, at)?, u32_at(table, at + 4)?, number(8)?, number(16)?))
    };
    let (Some((graph_kind, graph_checksum, graph_start, graph_length)), Some((data_kind, data_checksum, data_start, data_length))) =
        (entry(0), entry(1))
    else {
        return Err(Error::Corrupt("a section of the model file does not fit the address space".into()));
    };
    if [graph_kind, data_kind] != KINDS {
        return Err(Error::Corrupt(format!("the model file's sections are of kinds {graph_kind} and {data_kind}, not {KINDS:?}")));
    }
    let layout = Layout::of(graph_length, data_length)
        .filter(|layout| layout.file_length() == file.len() && [layout.graph.start, layout.data.start] == [graph_start, data_start])
        .ok_or_else(|| Error::Corrupt("the model file's sections do not fill it one after the other".into()))?;
    for gap in [FRONT_BYTES..layout.graph.start, layout.graph.end..layout.data.start] {
        if file[gap].iter().any(|&byte| byte != 0) {
            return Err(Error::Corrupt("the model file has bytes other than zero between its sections".into()));
        }
    }
    verify("graph section", &[&file[layout.graph.clone()]], graph_checksum)?;
    verify("data section", &[&file[layout.data.clone()]], data_checksum)?;
    Ok(layout)
}

/// CRC-32 (IEEE 802.3) of some runs of bytes, one after the other.
pub(super) fn checksum_of(runs: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    runs.iter().for_each(|run| hasher.update(run));
    hasher.finalize()
}

fn verify(what: &str, runs: &[&[u8]], expected: u32) -> Result<()> {
    let found = checksum_of(runs);
    if found != expected {
        return Err(Error::Corrupt(format!("the model file's {what} has checksum {found:#010x}, not {expected:#010x}")));
    }
    Ok(())
}

fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..)?.first_chunk().map(|chunk| u32::from_le_bytes(*chunk))
}

fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    bytes.get(offset..)?.first_chunk().map(|chunk| u64::from_le_bytes(*chunk))
}
