//! Replacing a file so that at every moment its path holds the old bytes or the new ones, whole.
use crate::error::{Error, Result};
use crate::memory;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Names tried for the temporary file before giving up; a name is taken only where a process of the same number died.
const ATTEMPTS: usize = 100;

/// Writes a file by `write` and gives it the name `path`, in place of what had it.
///
/// The bytes go to a temporary file in the same directory, which is synced, renamed and the directory synced. A full
/// disk, an error of `write` or the end of the process leaves the old file as it was; but for the last of these the
/// temporary file is removed. A symbolic link at `path` is itself replaced.
///
/// # Errors
/// [`Error::Io`] and what `write` returns.
pub fn replace_file(path: &Path, write: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
    let failed = |error: std::io::Error| Error::io(path, &error);
    if path.file_name().is_none() {
        return Err(Error::InvalidArgument(format!("\"{}\" names no file", path.display())));
    }
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let (mut file, mut temporary) = Temporary::create(directory).map_err(failed)?;
    write(&mut file)?;
    file.sync_all().map_err(failed)?;
    memory::checkpoint()?;
    drop(file);
    std::fs::rename(&temporary.path, path).map_err(failed)?;
    temporary.renamed = true;
    sync_directory(directory).map_err(failed)
}

/// A temporary file that is removed unless it was renamed.
struct Temporary {
    path: PathBuf,
    renamed: bool,
}

impl Temporary {
    fn create(directory: &Path) -> std::io::Result<(File, Self)> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let mut result = Err(std::io::ErrorKind::AlreadyExists.into());
        for _ in 0..ATTEMPTS {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let path = directory.join(format!(".rsquant-{}-{number}.tmp", std::process::id()));
            // `create_new` follows no link that somebody has put there.
            result = OpenOptions::new().write(true).create_new(true).open(&path).map(|file| (file, Self { path, renamed: false }));
            match &result {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => continue,
                _ => break,
            }
        }
        result
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.renamed {
            // Nothing can be done about a failure, and the first error is the one to report.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Makes a rename last. File systems that cannot sync a directory say so, which is not an error of the save.
#[cfg(unix)]
fn sync_directory(directory: &Path) -> std::io::Result<()> {
    use std::io::ErrorKind;
    match File::open(directory).and_then(|directory| directory.sync_all()) {
        // A directory may be writable and not readable.
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported | ErrorKind::PermissionDenied) => Ok(()),
        result => result,
    }
}

#[cfg(not(unix))]
fn sync_directory(_: &Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn put(path: &Path, bytes: &[u8]) -> Result<()> {
        replace_file(path, |file| file.write_all(bytes).map_err(|error| Error::io(path, &error)))
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(directory).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_file_is_made_and_replaced_and_nothing_else_remains() {
        let directory = super::super::tests::TestDirectory::new("replace");
        let path = directory.0.join("model.rsq");
        put(&path, b"old").unwrap();
        put(&path, b"new").unwrap();
        assert_eq!((std::fs::read(&path).unwrap(), names(&directory.0)), (b"new".to_vec(), vec!["model.rsq".to_owned()]));
    }

    #[test]
    fn a_failure_leaves_the_old_file_and_no_temporary_one() {
        let directory = super::super::tests::TestDirectory::new("failure");
        let path = directory.0.join("model.rsq");
        put(&path, b"old").unwrap();
        let full = replace_file(&path, |file| {
            file.write_all(b"half of it").unwrap();
            Err(Error::Io { path: "disk".into(), message: "full".into() })
        });
        assert!(full.is_err());
        let panicked = std::panic::catch_unwind(|| replace_file(&path, |_| panic!("in the middle")));
        assert!(panicked.is_err());
        assert_eq!((std::fs::read(&path).unwrap(), names(&directory.0)), (b"old".to_vec(), vec!["model.rsq".to_owned()]));
    }

    #[test]
    fn a_place_that_cannot_hold_a_file_is_an_error_that_names_it() {
        let directory = super::super::tests::TestDirectory::new("places");
        let path = directory.0.join("model.rsq");
        // A directory in the file's place, one that is not there, and one in which nobody, root included, may write.
        std::fs::create_dir(&path).unwrap();
        for place in [path, directory.0.join("absent/model.rsq"), PathBuf::from("/proc/self/model.rsq")] {
            let Err(Error::Io { path: named, .. }) = put(&place, b"new") else { panic!("{} was written", place.display()) };
            assert_eq!(named, place.display().to_string());
        }
        assert!(matches!(put(Path::new("/"), b"new"), Err(Error::InvalidArgument(_))));
        assert_eq!(names(&directory.0), ["model.rsq"]);
    }
}
