//! Tensors whose data are in another file beside the model. Such a file is read only from inside the model's folder:
//! never through an absolute path, `..`, a symbolic link or a hard link, which would let a model read (and an
//! application then leak) any file of the user.
use super::proto::TensorProto;
use super::tensor_data::{checked_dims, element_size};
use crate::error::{Error, Result};
use crate::memory;
use prost::bytes::Bytes;
use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

/// The files beside a model; none for a model that comes from memory.
#[derive(Debug, Default)]
pub struct ExternalData {
    folder: Option<PathBuf>,
    /// The bytes of each file that was read.
    file_sizes: HashMap<PathBuf, u64>,
}

impl ExternalData {
    /// The files beside the model file at `model`.
    pub fn beside(model: &Path) -> Self {
        let folder = model.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Self { folder: Some(folder.to_path_buf()), file_sizes: HashMap::new() }
    }

    /// The bytes of all files that were read, each counted once.
    pub fn total_bytes(&self) -> usize {
        self.file_sizes.values().fold(0, |sum, &size| sum.saturating_add(usize::try_from(size).unwrap_or(usize::MAX)))
    }

    /// The data of `tensor`, if they are in another file.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a model that comes from memory, [`Error::Parse`] for a location outside the folder, a
    /// link, or a range that is not in the file or not as long as the shape says, [`Error::Io`], [`Error::OutOfMemory`].
    pub fn read(&mut self, tensor: &TensorProto) -> Result<Option<Bytes>> {
        if tensor.data_location != TensorProto::EXTERNAL {
            return Ok(None);
        }
        let name = &tensor.name;
        let refuse = |text: &str| Error::Parse(format!("external data of tensor '{name}': {text}"));
        let Some(folder) = &self.folder else {
            return Err(Error::Unsupported(format!("tensor '{name}' keeps its data in another file: import the model from its path")));
        };
        let entry = |key: &str| tensor.external_data.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str());
        let location = entry("location").ok_or_else(|| refuse("no location"))?;
        let number = |key: &str| entry(key).map(|text| text.parse::<u64>().map_err(|_| refuse(&format!("{key} '{text}'")))).transpose();
        let offset = number("offset")?.unwrap_or(0);

        let (_, count) = checked_dims(tensor)?;
        let size = element_size(tensor.data_type)
            .ok_or_else(|| Error::Unsupported(format!("tensor '{name}' holds {}", TensorProto::type_name(tensor.data_type))))?;
        let expected = count.checked_mul(size).ok_or_else(|| refuse("the shape is out of range"))?;
        if number("length")?.is_some_and(|length| length != expected as u64) {
            return Err(refuse(&format!("the length is not the {expected} bytes of shape {:?}", tensor.dims)));
        }

        let path =
            path_inside(folder, location).ok_or_else(|| refuse(&format!("location '{location}' is not inside the model's folder")))?;
        let (mut file, metadata) = open_plain_file(folder, &path, location).map_err(|cause| match cause {
            Refusal::Io(error) => Error::io(&path, &error),
            Refusal::Kind(text) => refuse(&format!("location '{location}' {text}")),
        })?;
        if offset.checked_add(expected as u64).is_none_or(|end| end > metadata.len()) {
            return Err(refuse(&format!("{expected} bytes from {offset} are not in the {} bytes of '{location}'", metadata.len())));
        }
        let mut data = Vec::new();
        memory::check_room(expected, "a tensor in another file")?;
        data.try_reserve_exact(expected).map_err(|_| Error::OutOfMemory { what: format!("tensor '{name}'"), bytes: expected })?;
        file.seek(SeekFrom::Start(offset)).map_err(|error| Error::io(&path, &error))?;
        file.take(expected as u64).read_to_end(&mut data).map_err(|error| Error::io(&path, &error))?;
        if data.len() != expected {
            return Err(refuse(&format!("'{location}' ended early")));
        }
        self.file_sizes.insert(path, metadata.len());
        Ok(Some(Bytes::from(data)))
    }
}

/// `location` joined to `folder`, if it has only plain components.
fn path_inside(folder: &Path, location: &str) -> Option<PathBuf> {
    let mut path = folder.to_path_buf();
    let mut is_empty = true;
    // A backslash or a colon leads elsewhere on some systems.
    if location.contains(['\\', ':', '\0']) {
        return None;
    }
    for component in Path::new(location).components() {
        match component {
            Component::Normal(part) => {
                path.push(part);
                is_empty = false;
            }
            Component::CurDir => {}
            _ => return None,
        }
    }
    (!is_empty).then_some(path)
}

enum Refusal {
    Io(std::io::Error),
    Kind(&'static str),
}

/// Opens a regular file that has one name, reached without a symbolic link below `folder`.
fn open_plain_file(folder: &Path, path: &Path, location: &str) -> std::result::Result<(File, Metadata), Refusal> {
    let mut step = folder.to_path_buf();
    for component in Path::new(location).components().filter(|component| matches!(component, Component::Normal(_))) {
        step.push(component);
        if std::fs::symlink_metadata(&step).map_err(Refusal::Io)?.is_symlink() {
            return Err(Refusal::Kind("is a symbolic link"));
        }
    }
    let listed = std::fs::symlink_metadata(path).map_err(Refusal::Io)?;
    if !listed.is_file() {
        return Err(Refusal::Kind("is not a regular file"));
    }
    let file = File::open(path).map_err(Refusal::Io)?;
    // What was opened must be what was looked at: a link put there in between is another file.
    let opened = file.metadata().map_err(Refusal::Io)?;
    if !is_same_file(&listed, &opened) {
        return Err(Refusal::Kind("changed while it was opened"));
    }
    if has_other_names(&opened) {
        return Err(Refusal::Kind("is a hard link"));
    }
    Ok((file, opened))
}

#[cfg(unix)]
fn is_same_file(a: &Metadata, b: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

#[cfg(unix)]
fn has_other_names(metadata: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    metadata.nlink() != 1
}

#[cfg(not(unix))]
fn is_same_file(_: &Metadata, _: &Metadata) -> bool {
    true
}

#[cfg(not(unix))]
fn has_other_names(_: &Metadata) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onnx::proto::StringStringEntryProto;

    /// A folder of its own that goes when the test ends.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("rsquant-external-data-{name}-{}", std::process::id()));
            std::fs::create_dir_all(path.join("sub")).unwrap();
            Self(path)
        }

        fn read(&self, entries: &[(&str, &str)]) -> Result<Option<Bytes>> {
            ExternalData::beside(&self.0.join("model.onnx")).read(&tensor(entries))
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn tensor(entries: &[(&str, &str)]) -> TensorProto {
        let entry = |&(key, value): &(&str, &str)| StringStringEntryProto { key: key.to_owned(), value: value.to_owned() };
        TensorProto {
            name: "w".to_owned(),
            dims: vec![2],
            data_type: TensorProto::FLOAT,
            data_location: TensorProto::EXTERNAL,
            external_data: entries.iter().map(entry).collect(),
            ..Default::default()
        }
    }

    #[test]
    fn a_range_of_a_file_beside_the_model_is_read() {
        let folder = Folder::new("range");
        std::fs::write(folder.0.join("sub/w.bin"), b"....ABCDEFGH.").unwrap();
        let read = |entries: &[(&str, &str)]| folder.read(entries);
        assert_eq!(&read(&[("location", "sub/w.bin"), ("offset", "4"), ("length", "8")]).unwrap().unwrap()[..], b"ABCDEFGH");
        assert_eq!(&read(&[("location", "./sub/w.bin")]).unwrap().unwrap()[..], b"....ABCD");
        for bad in [
            &[("location", "sub/w.bin"), ("length", "7")][..],
            &[("location", "sub/w.bin"), ("offset", "6")],
            &[("location", "sub/w.bin"), ("offset", "18446744073709551615")],
            &[("location", "sub/w.bin"), ("offset", "-4")],
            &[("offset", "4")],
        ] {
            assert!(matches!(read(bad), Err(Error::Parse(text)) if text.contains("'w'")), "{bad:?}");
        }
        assert!(matches!(read(&[("location", "missing.bin")]), Err(Error::Io { .. })));
    }

    #[test]
    fn nothing_outside_the_folder_is_opened() {
        let folder = Folder::new("outside");
        let target = folder.0.join("secret.bin");
        std::fs::write(&target, b"01234567").unwrap();
        let absolute = target.display().to_string();
        for location in [absolute.as_str(), "../secret.bin", "sub/../secret.bin", "", ".", "sub", "a\\..\\b", "C:secret", "secret.bin/."] {
            let result = folder.read(&[("location", location)]);
            let is_plain = location == "secret.bin/.";
            assert_eq!(result.is_ok(), is_plain, "{location}: {result:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_are_not_followed() {
        let folder = Folder::new("links");
        std::fs::write(folder.0.join("real.bin"), b"01234567").unwrap();
        std::os::unix::fs::symlink(folder.0.join("real.bin"), folder.0.join("soft.bin")).unwrap();
        std::os::unix::fs::symlink(&folder.0, folder.0.join("loop")).unwrap();
        for location in ["soft.bin", "loop/real.bin"] {
            assert!(matches!(folder.read(&[("location", location)]), Err(Error::Parse(text)) if text.contains("symbolic link")));
        }
        assert!(folder.read(&[("location", "real.bin")]).is_ok());
        std::fs::hard_link(folder.0.join("real.bin"), folder.0.join("hard.bin")).unwrap();
        assert!(matches!(folder.read(&[("location", "hard.bin")]), Err(Error::Parse(text)) if text.contains("hard link")));
    }

    #[test]
    fn a_model_from_memory_has_no_other_files() {
        let mut external = ExternalData::default();
        assert!(matches!(external.read(&tensor(&[("location", "w.bin")])), Err(Error::Unsupported(_))));
        assert!(matches!(external.read(&TensorProto::default()), Ok(None)));
    }
}
