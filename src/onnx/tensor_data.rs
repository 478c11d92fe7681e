//! The elements of an encoded tensor: floats of any width as f32, integers as i64.
use super::proto::TensorProto;
use super::wire_check::read_varint;
use crate::error::{Error, Result};
use crate::graph::Constant;
use crate::tensor::{AlignedBuffer, DType, SharedBytes, element_count};
use prost::bytes::Bytes;
use std::sync::Arc;

/// The most elements of an integer tensor: they are shapes, axes and pads.
const MAX_INTEGERS: usize = 1024;

/// A tensor whose data are at hand.
#[derive(Debug, Clone)]
pub struct TensorData {
    /// Its name, for messages.
    pub name: String,
    /// The element type, as in [`TensorProto::data_type`].
    pub data_type: i32,
    /// The shape.
    pub dims: Vec<usize>,
    /// The number of elements, the product of `dims`.
    pub count: usize,
    elements: Elements,
}

/// How the elements are encoded.
#[derive(Debug, Clone)]
enum Elements {
    /// Little-endian, as wide as the type.
    Raw(Bytes),
    /// `float_data`, `double_data`: little-endian chunks.
    Fixed(Vec<Bytes>),
    /// `int32_data`, `int64_data`: varints in chunks.
    Varints(Vec<Bytes>),
}

/// Bytes of an element in `raw_data`; `None` for types that are not read.
pub fn element_size(data_type: i32) -> Option<usize> {
    match data_type {
        TensorProto::UINT8 | TensorProto::INT8 | TensorProto::BOOL => Some(1),
        TensorProto::FLOAT16 | TensorProto::BFLOAT16 => Some(2),
        TensorProto::FLOAT | TensorProto::INT32 => Some(4),
        TensorProto::DOUBLE | TensorProto::INT64 => Some(8),
        _ => None,
    }
}

/// Whether the type holds real numbers.
pub fn is_float(data_type: i32) -> bool {
    matches!(data_type, TensorProto::FLOAT | TensorProto::FLOAT16 | TensorProto::BFLOAT16 | TensorProto::DOUBLE)
}

/// The shape of an encoded tensor with its number of elements.
///
/// # Errors
/// [`Error::ShapeMismatch`] for a negative or zero dimension, and where the product is out of range.
pub fn checked_dims(tensor: &TensorProto) -> Result<(Vec<usize>, usize)> {
    let refuse = |text: &str| Error::ShapeMismatch(format!("tensor '{}' of shape {:?}: {text}", tensor.name, tensor.dims));
    let dims = tensor.dims.iter().map(|&dim| usize::try_from(dim)).collect::<std::result::Result<Vec<_>, _>>();
    let dims = dims.map_err(|_| refuse("a dimension is negative"))?;
    let count = element_count(&dims).filter(|&count| count <= isize::MAX as usize / 8);
    Ok((dims, count.ok_or_else(|| refuse("the product of the dimensions is out of range"))?))
}

impl TensorData {
    /// The data of `tensor`; `external` holds them if they are in another file.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for an element type that is not read, [`Error::ShapeMismatch`] for a bad shape,
    /// [`Error::Parse`] if the data do not have the length that the shape says.
    pub fn new(tensor: TensorProto, external: Option<Bytes>) -> Result<Self> {
        let (dims, count) = checked_dims(&tensor)?;
        let TensorProto { name, data_type, raw_data, .. } = tensor;
        let size = element_size(data_type)
            .ok_or_else(|| Error::Unsupported(format!("tensor '{name}' holds {}", TensorProto::type_name(data_type))))?;
        let elements = match (external.or(raw_data), data_type) {
            (Some(raw), _) => Elements::Raw(raw),
            (None, TensorProto::FLOAT) => Elements::Fixed(tensor.float_data),
            (None, TensorProto::DOUBLE) => Elements::Fixed(tensor.double_data),
            (None, TensorProto::INT64) => Elements::Varints(tensor.int64_data),
            (None, _) => Elements::Varints(tensor.int32_data),
        };
        let data = Self { name, data_type, dims, count, elements };
        match &data.elements {
            Elements::Raw(raw) => data.check_length(raw.len(), count.saturating_mul(size), "bytes")?,
            Elements::Fixed(chunks) => data.check_length(chunks.iter().map(Bytes::len).sum(), count.saturating_mul(size), "bytes")?,
            // Counted when they are read: that takes a pass over the data.
            Elements::Varints(_) => {}
        }
        Ok(data)
    }

    fn check_length(&self, found: usize, expected: usize, unit: &str) -> Result<()> {
        if found == expected {
            return Ok(());
        }
        Err(Error::Parse(format!("tensor '{}' of shape {:?} has {found} {unit} of data, not {expected}", self.name, self.dims)))
    }

    /// Calls `put` with index and value of each element of a tensor of floats; f64 is rounded to f32.
    ///
    /// # Errors
    /// [`Error::DTypeMismatch`] for integers, [`Error::NotFinite`] naming tensor and index unless `allow_infinite` and
    /// the value is not NaN, [`Error::Parse`].
    fn for_each_float(&self, allow_infinite: bool, mut put: impl FnMut(usize, f32)) -> Result<()> {
        if !is_float(self.data_type) {
            return Err(Error::DTypeMismatch(format!(
                "tensor '{}' holds {}, not floats",
                self.name,
                TensorProto::type_name(self.data_type)
            )));
        }
        let mut index = 0;
        let mut culprit = None;
        let mut accept = |value: f32| {
            if culprit.is_none() && (value.is_nan() || (value.is_infinite() && !allow_infinite)) {
                culprit = Some((index, value));
            }
            put(index, value);
            index += 1;
        };
        match &self.elements {
            Elements::Raw(raw) => read_fixed(raw, self.data_type, &mut accept),
            Elements::Fixed(chunks) => {
                let size = element_size(self.data_type).unwrap_or(1);
                if chunks.iter().any(|chunk| chunk.len() % size != 0) {
                    return Err(Error::Parse(format!("tensor '{}': an element is cut off", self.name)));
                }
                chunks.iter().for_each(|chunk| read_fixed(chunk, self.data_type, &mut accept));
            }
            Elements::Varints(chunks) => {
                for bits in self.varints(chunks)? {
                    let bits =
                        u16::try_from(bits?).map_err(|_| Error::Parse(format!("tensor '{}': a half has more than 16 bits", self.name)))?;
                    accept(half_from_bits(bits, self.data_type));
                }
            }
        }
        match culprit {
            Some((index, value)) => Err(Error::NotFinite(format!("tensor '{}': element {index} is {value}", self.name))),
            None => Ok(()),
        }
    }

    /// The numbers of `int32_data` or `int64_data`, once there are as many as the shape says.
    fn varints<'a>(&'a self, chunks: &'a [Bytes]) -> Result<impl Iterator<Item = Result<i64>> + 'a> {
        // Each varint ends with the one byte whose top bit is clear.
        let found = chunks.iter().flatten().filter(|&byte| byte & 0x80 == 0).count();
        self.check_length(found, self.count, "numbers")?;
        Ok(chunks.iter().flat_map(move |chunk| {
            let mut at = 0;
            std::iter::from_fn(move || {
                (at < chunk.len()).then(|| {
                    let value = read_varint(chunk, &mut at);
                    if value.is_none() {
                        at = chunk.len();
                    }
                    value.map(|value| value as i64).ok_or_else(|| Error::Parse(format!("tensor '{}': a number is cut off", self.name)))
                })
            })
        }))
    }

    /// The floats as a constant of shape `dims`, where element `i` goes to `place(i)` as `change(value)`.
    ///
    /// # Errors
    /// As [`Self::floats`], [`Error::OutOfMemory`], [`Error::NotFinite`] if a changed value is not finite.
    pub fn constant(&self, dims: &[usize], place: impl Fn(usize) -> usize, change: impl Fn(f32) -> f32) -> Result<Constant> {
        let bytes = self.count.saturating_mul(size_of::<f32>());
        let mut buffer = AlignedBuffer::zeroed(bytes, &format!("tensor '{}'", self.name))?;
        let target: &mut [f32] = bytemuck::cast_slice_mut(&mut buffer);
        let mut overflow = None;
        self.for_each_float(false, |index, value| {
            let value = change(value);
            if !value.is_finite() {
                overflow = Some(index);
            }
            if let Some(slot) = target.get_mut(place(index)) {
                *slot = value;
            }
        })?;
        if let Some(index) = overflow {
            return Err(Error::NotFinite(format!("tensor '{}': element {index} overflows when it is scaled", self.name)));
        }
        Ok(Constant { dtype: DType::F32, dims: dims.to_vec(), data: SharedBytes::from_owner(Arc::new(buffer)) })
    }

    /// The floats.
    ///
    /// # Errors
    /// [`Error::DTypeMismatch`], [`Error::NotFinite`], [`Error::Parse`].
    pub fn floats(&self) -> Result<Vec<f32>> {
        let mut values = Vec::new();
        let refused = |_| Error::OutOfMemory { what: format!("tensor '{}'", self.name), bytes: self.count * size_of::<f32>() };
        values.try_reserve_exact(self.count).map_err(refused)?;
        self.for_each_float(false, |_, value| values.push(value))?;
        Ok(values)
    }

    /// The only element, a float that may be infinite.
    ///
    /// # Errors
    /// As [`Self::floats`], [`Error::ShapeMismatch`] if there is not one element.
    pub fn scalar(&self) -> Result<f32> {
        if self.count != 1 {
            return Err(Error::ShapeMismatch(format!("tensor '{}' has shape {:?}, not one element", self.name, self.dims)));
        }
        let mut scalar = 0.0;
        self.for_each_float(true, |_, value| scalar = value)?;
        Ok(scalar)
    }

    /// The integers of a tensor of any integer type.
    ///
    /// # Errors
    /// [`Error::DTypeMismatch`] for floats, [`Error::ShapeMismatch`] for more than 1024, [`Error::Parse`].
    pub fn integers(&self) -> Result<Vec<i64>> {
        if is_float(self.data_type) {
            return Err(Error::DTypeMismatch(format!(
                "tensor '{}' holds {}, not integers",
                self.name,
                TensorProto::type_name(self.data_type)
            )));
        }
        if self.count > MAX_INTEGERS {
            return Err(Error::ShapeMismatch(format!("tensor '{}' has {} integers, more than {MAX_INTEGERS}", self.name, self.count)));
        }
        match &self.elements {
            Elements::Raw(raw) => Ok(read_integers(raw, self.data_type)),
            Elements::Fixed(_) => Ok(Vec::new()), // only floats are encoded so
            Elements::Varints(chunks) => self.varints(chunks)?.collect(),
        }
    }
}

fn read_fixed(raw: &[u8], data_type: i32, accept: &mut impl FnMut(f32)) {
    match data_type {
        TensorProto::FLOAT => raw.as_chunks().0.iter().for_each(|&bytes| accept(f32::from_le_bytes(bytes))),
        TensorProto::DOUBLE => raw.as_chunks().0.iter().for_each(|&bytes| accept(f64::from_le_bytes(bytes) as f32)),
        _ => raw.as_chunks().0.iter().for_each(|&bytes| accept(half_from_bits(u16::from_le_bytes(bytes), data_type))),
    }
}

fn half_from_bits(bits: u16, data_type: i32) -> f32 {
    if data_type == TensorProto::BFLOAT16 { half::bf16::from_bits(bits).to_f32() } else { half::f16::from_bits(bits).to_f32() }
}

fn read_integers(raw: &[u8], data_type: i32) -> Vec<i64> {
    match data_type {
        TensorProto::INT64 => raw.as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes)).collect(),
        TensorProto::INT32 => raw.as_chunks().0.iter().map(|&bytes| i64::from(i32::from_le_bytes(bytes))).collect(),
        TensorProto::INT8 => raw.iter().map(|&byte| i64::from(byte as i8)).collect(),
        _ => raw.iter().map(|&byte| i64::from(byte)).collect(),
    }
}
