//! Reading a model file.
use super::{Metadata, document, layout, validate};
use crate::error::{Error, Result};
use crate::graph::Graph;
use crate::tensor::{ALIGNMENT, AlignedBuffer, SharedBytes};
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// What a model file holds.
#[derive(Debug, Clone)]
pub struct Model {
    /// The lowered graph. Its constants share the file's bytes; the last [`Arc`] to them frees or unmaps the file.
    pub graph: Graph,
    /// What was saved beside it.
    pub metadata: Metadata,
    /// The version of the library that wrote it.
    pub library_version: String,
}

/// Maps a model file, read-only, and runs it where it lies: processes that map one file share its memory.
///
/// All checksums are verified here. A file that another process *shortens* later ends this one with SIGBUS when the
/// missing part is touched, and one that is overwritten in place may change under way; [`super::save`] does neither.
/// Where files are not under the host's control, [`load_copied`] is the safe choice.
///
/// # Errors
/// [`Error::Io`], and those of [`from_bytes`] with the path in front.
pub fn load_mapped(path: &Path) -> Result<Model> {
    let (file, length) = open(path)?;
    if length == 0 {
        return from_owner(Arc::new([])).map_err(|error| error.in_file(path));
    }
    let mut options = memmap2::MmapOptions::new();
    // SAFETY: a map is undefined behaviour only if its bytes change or vanish, which the caller is told above; the
    // pages are private and never written by us.
    let map = unsafe { options.len(length).populate().map_copy_read_only(&file) }.map_err(|error| Error::io(path, &error))?;
    from_owner(Arc::new(map)).map_err(|error| error.in_file(path))
}

/// Reads a model file into memory of its own.
///
/// # Errors
/// [`Error::Io`], and those of [`from_bytes`] with the path in front.
pub fn load_copied(path: &Path) -> Result<Model> {
    let (mut file, length) = open(path)?;
    let mut buffer = AlignedBuffer::zeroed(length, "a model file")?;
    file.read_exact(&mut buffer).map_err(|error| Error::io(path, &error))?;
    from_owner(Arc::new(buffer)).map_err(|error| error.in_file(path))
}

/// A model from a copy of a file's bytes.
///
/// # Errors
/// [`Error::Parse`] for bytes that are no model file, [`Error::Version`] for one of another version or endianness,
/// [`Error::Corrupt`] for a damaged one, [`Error::OutOfMemory`], and those of [`validate`].
pub fn from_bytes(bytes: &[u8]) -> Result<Model> {
    from_owner(Arc::new(AlignedBuffer::from_bytes(bytes, "a model's bytes")?))
}

/// A model from bytes that stay: in place where they are 64-byte aligned, otherwise from a copy.
///
/// # Errors
/// As [`from_bytes`].
pub fn from_static(bytes: &'static [u8]) -> Result<Model> {
    if (bytes.as_ptr() as usize).is_multiple_of(ALIGNMENT) { from_owner(Arc::new(bytes)) } else { from_bytes(bytes) }
}

/// A model that runs in its file's bytes, which start on a 64-byte boundary.
fn from_owner(owner: Arc<dyn AsRef<[u8]> + Send + Sync>) -> Result<Model> {
    let file = SharedBytes::from_owner(owner);
    let layout = layout::decode(&file)?;
    let data = file.slice(layout.data).ok_or_else(|| Error::Corrupt("the data section is not in the model file".into()))?;
    let (graph, metadata, library_version) = document::decode(&file[layout.graph], &data)?;
    validate(&graph)?;
    Ok(Model { graph, metadata, library_version })
}

/// A regular file and its length. Others are refused: opening a pipe would wait for its other end.
fn open(path: &Path) -> Result<(File, usize)> {
    let io = |error: std::io::Error| Error::io(path, &error);
    if !std::fs::metadata(path).map_err(io)?.is_file() {
        return Err(Error::Io { path: path.display().to_string(), message: "not a regular file".into() });
    }
    let file = File::open(path).map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    let length = usize::try_from(length).map_err(|_| Error::OutOfMemory { what: "a model file".into(), bytes: usize::MAX })?;
    Ok((file, length))
}
