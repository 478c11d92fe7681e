//! NumPy's `.npy` files of f32: <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.
use rsquant::error::{Error, Result};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// A header longer than this is no header.
const LONGEST_HEADER: usize = 1 << 16;

/// A file whose header was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Npy {
    data_start: u64,
    /// The array's shape.
    pub dims: Vec<usize>,
}

impl Npy {
    /// Reads the header.
    ///
    /// # Errors
    /// `Io`; `Parse` and `Corrupt` naming the file, also for elements that are not little-endian f32 in C order.
    pub fn open(path: &Path) -> Result<Self> {
        let io = |error: std::io::Error| Error::io(path, &error);
        let refused = |what: String| Error::Parse(what).in_file(path);
        let mut file = File::open(path).map_err(io)?;
        let bytes = file.metadata().map_err(io)?.len();
        let mut front = [0; 8];
        file.read_exact(&mut front).map_err(|_| refused("shorter than an .npy header".into()))?;
        if &front[..6] != MAGIC {
            return Err(refused("no .npy file".into()));
        }
        let mut length = [0; 4];
        let length_bytes = if front[6] == 1 { 2 } else { 4 };
        file.read_exact(&mut length[..length_bytes]).map_err(|_| refused("shorter than an .npy header".into()))?;
        let length = u32::from_le_bytes(length) as usize;
        let mut header = vec![0; length.min(LONGEST_HEADER)];
        file.read_exact(&mut header).map_err(|_| refused("shorter than its header says".into()))?;
        let header = std::str::from_utf8(&header).map_err(|_| refused("its header is no text".into()))?;
        let dims = shape(header).map_err(refused)?;
        let data_start = 8 + (length_bytes + length) as u64;
        let needed = dims.iter().try_fold(size_of::<f32>() as u64, |product, &dim| product.checked_mul(dim as u64));
        if needed.and_then(|needed| needed.checked_add(data_start)) != Some(bytes) {
            let what = format!("{} bytes of data; the shape {dims:?} does not have as many", bytes.saturating_sub(data_start));
            return Err(Error::Corrupt(what).in_file(path));
        }
        Ok(Self { data_start, dims })
    }

    /// The elements `range`.
    ///
    /// # Errors
    /// `Io`.
    pub fn read(&self, path: &Path, range: Range<usize>) -> Result<Vec<f32>> {
        let io = |error: std::io::Error| Error::io(path, &error);
        let mut file = File::open(path).map_err(io)?;
        file.seek(SeekFrom::Start(self.data_start + (range.start * size_of::<f32>()) as u64)).map_err(io)?;
        let mut bytes = vec![0; range.len() * size_of::<f32>()];
        file.read_exact(&mut bytes).map_err(io)?;
        Ok(bytes.chunks_exact(size_of::<f32>()).map(|word| f32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect())
    }
}

/// What follows a key of the header's dictionary.
fn value<'a>(header: &'a str, key: &str) -> std::result::Result<&'a str, String> {
    let at = header.find(&format!("'{key}':")).ok_or_else(|| format!("its header has no {key}"))?;
    Ok(header[at + key.len() + 3..].trim_start())
}

/// The shape of an array of little-endian f32 in C order.
fn shape(header: &str) -> std::result::Result<Vec<usize>, String> {
    let descr = value(header, "descr")?;
    if !descr.starts_with("'<f4'") {
        return Err(format!("it holds {}; '<f4' is needed", descr.split(',').next().unwrap_or_default()));
    }
    let text = value(header, "shape")?;
    let inside = text.strip_prefix('(').and_then(|text| text.split_once(')')).map(|(inside, _)| inside);
    let inside = inside.ok_or_else(|| "its header has no shape".to_owned())?;
    let dims = inside.split(',').map(str::trim).filter(|dim| !dim.is_empty());
    let dims = dims.map(|dim| dim.parse().map_err(|_| format!("{dim:?} is no dimension"))).collect::<std::result::Result<Vec<_>, _>>()?;
    if dims.len() > 1 && !value(header, "fortran_order")?.starts_with("False") {
        return Err("it is in Fortran order; C order is needed".into());
    }
    Ok(dims)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_tell_shapes() {
        let header =
            |descr: &str, order: &str, shape: &str| format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}");
        assert_eq!(shape(&header("<f4", "False", "(2, 3, 4)")), Ok(vec![2, 3, 4]));
        assert_eq!(shape(&header("<f4", "True", "(5,)")), Ok(vec![5]));
        assert_eq!(shape(&header("<f4", "False", "()")), Ok(vec![]));
        assert!(shape(&header("<f8", "False", "(2, 3)")).unwrap_err().contains("'<f8'"));
        assert!(shape(&header("<f4", "True", "(2, 3)")).unwrap_err().contains("Fortran"));
        assert!(shape("{}").unwrap_err().contains("descr"));
    }
}
