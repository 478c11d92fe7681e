//! Labels: a text file with the number of a class on each line.
use rsquant::error::{Error, Result};
use std::path::Path;

/// Reads `count` labels.
///
/// # Errors
/// `Io`; `Parse` naming file and line; `Mismatch` for another number of labels.
pub fn read(path: &Path, count: u64) -> Result<Vec<u32>> {
    let text = std::fs::read_to_string(path).map_err(|error| Error::io(path, &error))?;
    let label = |(index, line): (usize, &str)| {
        let refused = || Error::Parse(format!("line {}: {line:?} is no class", index + 1)).in_file(path);
        line.trim().parse::<u32>().map_err(|_| refused())
    };
    let labels = text.lines().enumerate().map(label).collect::<Result<Vec<_>>>()?;
    match labels.len() as u64 == count {
        true => Ok(labels),
        false => Err(Error::Mismatch(format!("{}: {} labels for {count} samples", path.display(), labels.len()))),
    }
}
