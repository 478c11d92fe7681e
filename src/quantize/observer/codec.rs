//! Bytes of observer states: little-endian floats, LEB128 counts. Reading checks everything and allocates nothing that
//! the input's length does not bound.
use crate::error::{Error, Result};

/// Appends a count as LEB128: 7 bits a byte, low bits first.
pub(super) fn put_count(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a float's four bytes.
pub(super) fn put_f32(out: &mut Vec<u8>, value: f32) {
    out.extend_from_slice(&value.to_le_bytes());
}

/// Appends the count of dropped values and the range, if there is one.
pub(super) fn put_range(out: &mut Vec<u8>, dropped: u64, range: Option<(f32, f32)>) {
    put_count(out, dropped);
    out.push(u8::from(range.is_some()));
    if let Some((min, max)) = range {
        put_f32(out, min);
        put_f32(out, max);
    }
}

/// A reader over the bytes of a state.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    /// Bytes not read yet.
    pub(super) fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub(super) fn byte(&mut self) -> Result<u8> {
        let (&first, rest) = self.rest.split_first().ok_or_else(|| corrupt("it ends early"))?;
        self.rest = rest;
        Ok(first)
    }

    /// A count. Only the shortest form is accepted, so that a state has one encoding.
    pub(super) fn count(&mut self) -> Result<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(corrupt("a count above 64 bits"));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return if byte == 0 && shift > 0 { Err(corrupt("a count in a long form")) } else { Ok(value) };
            }
        }
        Err(corrupt("a count above 64 bits"))
    }

    /// A finite float that is not -0.0.
    pub(super) fn finite_f32(&mut self) -> Result<f32> {
        let (bytes, rest) = self.rest.split_first_chunk::<4>().ok_or_else(|| corrupt("it ends early"))?;
        self.rest = rest;
        let value = f32::from_le_bytes(*bytes);
        if !value.is_finite() || value.to_bits() == 0x8000_0000 {
            return Err(corrupt("a value that no state holds"));
        }
        Ok(value)
    }

    /// `min` and `max`, in order.
    pub(super) fn range(&mut self) -> Result<(f32, f32)> {
        let (min, max) = (self.finite_f32()?, self.finite_f32()?);
        if min > max {
            return Err(corrupt("min above max"));
        }
        Ok((min, max))
    }

    /// What [`put_range`] wrote.
    pub(super) fn optional_range(&mut self) -> Result<(u64, Option<(f32, f32)>)> {
        let dropped = self.count()?;
        match self.byte()? {
            0 => Ok((dropped, None)),
            1 => Ok((dropped, Some(self.range()?))),
            _ => Err(corrupt("a flag that is neither 0 nor 1")),
        }
    }

    pub(super) fn finish(self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(corrupt("bytes after its end")) }
    }
}

/// The error of a state that is not what it should be.
pub(super) fn corrupt(what: &str) -> Error {
    Error::Corrupt(format!("observer state: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_come_back_and_long_forms_are_refused() {
        for value in [0, 1, 127, 128, 16_383, 16_384, u64::MAX >> 1, u64::MAX] {
            let mut bytes = Vec::new();
            put_count(&mut bytes, value);
            let mut reader = Reader::new(&bytes);
            assert_eq!(reader.count().unwrap(), value);
            reader.finish().unwrap();
            assert!(Reader::new(&bytes[..bytes.len() - 1]).count().is_err());
        }
        assert!(Reader::new(&[0x80, 0x00]).count().is_err());
        assert!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]).count().is_err());
        assert!(Reader::new(&[0xff; 11]).count().is_err());
    }

    #[test]
    fn floats_that_no_state_holds_are_refused() {
        for bad in [f32::NAN, f32::INFINITY, -0.0] {
            assert!(Reader::new(&bad.to_le_bytes()).finite_f32().is_err());
        }
        let mut bytes = Vec::new();
        put_f32(&mut bytes, 2.0);
        put_f32(&mut bytes, 1.0);
        assert!(Reader::new(&bytes).range().is_err());
    }
}
