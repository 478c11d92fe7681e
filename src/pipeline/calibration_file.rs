//! The calibration file: the statistics of every observed tensor.
//!
//! All numbers are little-endian: magic `RSQCALIB`, format version u32, CRC-32 of the rest, length of the header u64, the
//! header (JSON: fingerprint, samples, input shapes, names and lengths), then each state's bytes.
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::memory;
use crate::model::replace_file;
use crate::quantize::observer::ObserverState;
use crate::quantize::{QConfig, json};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::Path;

const MAGIC: &[u8; 8] = b"RSQCALIB";
/// Raised when the layout changes.
const FORMAT_VERSION: u32 = 1;
/// Where the checksum ends and what it covers begins.
const CHECKED_START: usize = 16;
const HEADER_START: usize = 24;

/// Everything a calibration has collected.
#[derive(Debug, Clone, PartialEq)]
pub struct CalibrationState {
    /// What it was collected from.
    pub fingerprint: Fingerprint,
    /// Samples seen.
    pub samples: u64,
    /// Input shapes that the observers were placed for.
    pub dims: Option<Vec<Vec<usize>>>,
    /// Name and statistics of each observed tensor.
    pub tensors: Vec<(String, ObserverState)>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    fingerprint: Fingerprint,
    samples: u64,
    dims: Option<Vec<Vec<usize>>>,
    tensors: Vec<(String, usize)>,
}

/// Checksums of what the meaning of the statistics depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fingerprint {
    /// Of the graph and its constants.
    pub graph: u32,
    /// Of the qconfig.
    pub qconfig: u32,
}

impl Fingerprint {
    /// Of a graph and a qconfig.
    pub fn new(graph: &Graph, qconfig: &QConfig) -> Self {
        let mut of_graph = JsonChecksum::default();
        of_graph.add(&graph.nodes);
        of_graph.add(&graph.values);
        graph.constants.iter().for_each(|constant| of_graph.0.update(&constant.data));
        let mut of_qconfig = JsonChecksum::default();
        of_qconfig.add(qconfig);
        Self { graph: of_graph.0.finalize(), qconfig: of_qconfig.0.finalize() }
    }
}

/// A checksum of JSON that is never held.
#[derive(Default)]
struct JsonChecksum(crc32fast::Hasher);

impl JsonChecksum {
    fn add(&mut self, value: &impl Serialize) {
        // Neither a graph nor a qconfig has keys that JSON cannot hold, and a checksum takes every byte.
        let writer: &mut dyn Write = self;
        let _ = serde_json::to_writer(writer, value);
    }
}

impl Write for JsonChecksum {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Appends to bytes that grow with the number of tensors.
fn append(bytes: &mut Vec<u8>, more: &[u8]) -> Result<()> {
    bytes.try_reserve(more.len()).map_err(|_| Error::OutOfMemory { what: "a calibration file".into(), bytes: bytes.len() + more.len() })?;
    bytes.extend_from_slice(more);
    memory::checkpoint()
}

/// The file's bytes.
pub fn to_bytes(state: &CalibrationState) -> Result<Vec<u8>> {
    let mut states = Vec::new();
    let mut encoded = Vec::new();
    let mut tensors = memory::reserved(state.tensors.len(), "a calibration's header")?;
    for (name, state) in &state.tensors {
        encoded.clear();
        state.encode(&mut encoded);
        append(&mut states, &encoded)?;
        tensors.push((name.clone(), encoded.len()));
    }
    let header = Header { fingerprint: state.fingerprint, samples: state.samples, dims: state.dims.clone(), tensors };
    let header = serde_json::to_vec(&header).map_err(|error| Error::Parse(format!("calibration header: {error}")))?;
    let mut bytes = memory::reserved(HEADER_START + header.len() + states.len(), "a calibration file")?;
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&(header.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&header);
    bytes.extend_from_slice(&states);
    let checksum = crc32fast::hash(&bytes[CHECKED_START..]);
    bytes[CHECKED_START - 4..CHECKED_START].copy_from_slice(&checksum.to_le_bytes());
    Ok(bytes)
}

/// Writes the file, atomically.
pub fn save(state: &CalibrationState, path: &Path) -> Result<()> {
    let bytes = to_bytes(state)?;
    replace_file(path, |file| file.write_all(&bytes).map_err(|error| Error::io(path, &error)))
}

/// Reads a file that [`save`] wrote.
pub fn load(path: &Path) -> Result<CalibrationState> {
    let bytes = std::fs::read(path).map_err(|error| Error::io(path, &error))?;
    parse(&bytes).map_err(|error| match error {
        Error::Version(message) => Error::Version(format!("{}: {message}", path.display())),
        Error::Corrupt(message) => Error::Corrupt(format!("{}: {message}", path.display())),
        Error::OutOfMemory { .. } => error,
        other => Error::Corrupt(format!("{}: {other}", path.display())),
    })
}

/// The state in a file's bytes.
pub fn parse(bytes: &[u8]) -> Result<CalibrationState> {
    let corrupt = |message: &str| Error::Corrupt(message.to_owned());
    let front = bytes.get(..HEADER_START).ok_or_else(|| corrupt("shorter than its header"))?;
    if &front[..8] != MAGIC {
        return Err(corrupt("not a calibration file"));
    }
    let word = |at: usize| u32::from_le_bytes([front[at], front[at + 1], front[at + 2], front[at + 3]]);
    if word(8) != FORMAT_VERSION {
        return Err(Error::Version(format!("format version {}; this library reads {FORMAT_VERSION}", word(8))));
    }
    if crc32fast::hash(&bytes[CHECKED_START..]) != word(12) {
        return Err(corrupt("the checksum does not fit"));
    }
    let header_len = u64::from(word(16)) | u64::from(word(20)) << 32;
    let end = usize::try_from(header_len).ok().and_then(|len| HEADER_START.checked_add(len)).filter(|&end| end <= bytes.len());
    let end = end.ok_or_else(|| corrupt("the header is longer than the file"))?;
    let header: Header = json::read(&bytes[HEADER_START..end]).map_err(|error| corrupt(&format!("header: {error}")))?;
    let mut rest = &bytes[end..];
    let mut tensors = Vec::new();
    for (name, length) in header.tensors {
        let state = rest.get(..length).ok_or_else(|| corrupt(&format!("the state of {name} is cut off")))?;
        tensors.push((name, ObserverState::decode(state)?));
        memory::checkpoint()?;
        rest = &rest[length..];
    }
    if !rest.is_empty() {
        return Err(corrupt("bytes follow the last state"));
    }
    Ok(CalibrationState { fingerprint: header.fingerprint, samples: header.samples, dims: header.dims, tensors })
}
