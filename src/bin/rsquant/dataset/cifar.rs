//! CIFAR-10's binary files: records of a label and 3 x 32 x 32 bytes, plane by plane.
use super::picture::Picture;
use rsquant::error::{Error, Result};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

const SIDE: usize = 32;
const PLANE: usize = SIDE * SIDE;
const RECORD: usize = 1 + 3 * PLANE;
const CLASSES: u8 = 10;

/// Records of a file.
///
/// # Errors
/// `Io`; `Parse` naming the file if it is not a whole number of records.
pub fn records(path: &Path) -> Result<usize> {
    let bytes = std::fs::metadata(path).map_err(|error| Error::io(path, &error))?.len();
    if bytes == 0 || bytes % RECORD as u64 != 0 {
        let what = format!("{bytes} bytes are no whole number of CIFAR-10 records of {RECORD} bytes");
        return Err(Error::Parse(what).in_file(path));
    }
    usize::try_from(bytes / RECORD as u64).map_err(|_| Error::Parse("too many records".into()).in_file(path))
}

/// Pictures and labels of the records `range`.
///
/// # Errors
/// `Io`; `Parse` naming file and record for a label that CIFAR-10 does not have.
pub fn read(path: &Path, range: Range<usize>) -> Result<(Vec<Picture>, Vec<u32>)> {
    let io = |error: std::io::Error| Error::io(path, &error);
    let mut file = File::open(path).map_err(io)?;
    file.seek(SeekFrom::Start((range.start * RECORD) as u64)).map_err(io)?;
    let mut bytes = vec![0; range.len() * RECORD];
    file.read_exact(&mut bytes).map_err(io)?;
    let (mut pictures, mut labels) = (Vec::with_capacity(range.len()), Vec::with_capacity(range.len()));
    for (index, record) in range.zip(bytes.chunks_exact(RECORD)) {
        if record[0] >= CLASSES {
            return Err(Error::Parse(format!("record {index} has the label {}; CIFAR-10 has 0 to 9", record[0])).in_file(path));
        }
        labels.push(u32::from(record[0]));
        let pixels = (0..PLANE).flat_map(|pixel| [0, 1, 2].map(|colour| record[1 + colour * PLANE + pixel])).collect();
        pictures.push(Picture { width: SIDE, height: SIDE, channels: 3, pixels });
    }
    Ok((pictures, labels))
}
