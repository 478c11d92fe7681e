//! Arguments of calls, read from a program's bytes.
use rsquant::ffi::*;
use std::ffi::c_void;
use std::ptr::null;

/// Bytes that are read one after the other; zeros follow.
pub struct Source<'a>(&'a [u8]);

impl<'a> Source<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    pub fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end.max(1)
    }

    pub fn word(&mut self) -> u64 {
        (0..8).fold(0, |word, shift| word | u64::from(self.byte()) << (8 * shift))
    }

    pub fn bytes(&mut self, most: usize) -> Vec<u8> {
        let count = self.below(most + 1).min(self.0.len());
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken.to_vec()
    }

    /// Small, seldom one at which arithmetic goes wrong.
    pub fn size(&mut self) -> usize {
        match self.byte() {
            250 => usize::MAX,
            251 => usize::MAX / 2,
            252 => 1 << 32,
            253 => 1 << 31,
            254 => 65_536,
            255 => 0,
            small => usize::from(small) % 12,
        }
    }

    pub fn dim(&mut self) -> i64 {
        match self.byte() {
            250 => i64::MAX,
            251 => -1,
            252 => i64::MIN,
            253 => 1 << 32,
            254 => 0,
            small => i64::from(small) % 10,
        }
    }

    /// A number of an enumeration: mostly one that there is.
    pub fn number(&mut self, last: i32) -> i32 {
        match self.byte() {
            254 => -1,
            255 => i32::MAX,
            other => i32::from(other) % (last + 2),
        }
    }

    pub fn float(&mut self) -> f32 {
        match self.byte() {
            0..=199 => f32::from(self.byte()) / 32.0 - 3.0,
            200..=229 => f32::from(self.byte()) * 1e-3,
            other => {
                [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0, 1e-45, f32::MAX, f32::MIN, 1e38, -1e-39][usize::from(other) % 10]
            }
        }
    }

    /// Mostly harmless floats; seldom one is not finite.
    pub fn floats(&mut self, count: usize) -> Vec<f32> {
        let (step, odd) = (usize::from(self.byte()) + 1, self.byte());
        let mut floats: Vec<f32> = (0..count).map(|i| (i * step % 61) as f32 / 16.0 - 1.5).collect();
        if odd >= 220 && count > 0 {
            let at = self.word() as usize % count;
            floats[at] = self.float();
        }
        floats
    }

    /// Text that ends: one of `texts`, or bytes.
    pub fn text(&mut self, texts: &[&str]) -> Vec<u8> {
        let mut text = match self.byte() {
            0..=229 => texts[self.below(texts.len())].as_bytes().to_vec(),
            _ => self.bytes(12),
        };
        text.retain(|&byte| byte != 0);
        text.push(0);
        text
    }

    /// A struct with its size in front. In a place with room for what later versions may add.
    pub fn sized<T: Copy>(&mut self, value: T) -> Sized {
        let size = match self.byte() {
            0..=243 => size_of::<T>() as u32,
            244..=247 => u32::from(self.byte()),
            248..=251 => 4096 - u32::from(self.byte()),
            _ => self.word() as u32,
        };
        let mut place = vec![0u64; 520];
        assert!(size_of::<T>() <= 4096);
        // SAFETY: the place is longer than the struct, and aligned for each of the interface.
        unsafe { place.as_mut_ptr().cast::<T>().write(value) };
        // SAFETY: as above.
        unsafe { place.as_mut_ptr().cast::<u32>().write(size) };
        let is_null = self.byte() == 255;
        Sized { before: place.clone(), place, is_null }
    }
}

/// A struct of the interface in memory of its own.
pub struct Sized {
    place: Vec<u64>,
    before: Vec<u64>,
    is_null: bool,
}

impl Sized {
    pub fn get<T>(&self) -> *const T {
        if self.is_null { null() } else { self.place.as_ptr().cast() }
    }

    pub fn get_mut<T>(&mut self) -> *mut T {
        if self.is_null { std::ptr::null_mut() } else { self.place.as_mut_ptr().cast() }
    }

    /// For a struct that a call writes on success alone.
    pub fn check(&self, succeeded: bool) {
        assert!(succeeded || self.place == self.before, "a failed call wrote its output");
    }
}

/// A tensor in memory of its own, with fields that may be wrong, though never more than what is there.
pub struct Tensor {
    data: Vec<u32>,
    dims: Vec<i64>,
    strides: Option<Vec<i64>>,
    rank: u32,
    dtype: i32,
    size_bytes: usize,
    offset: usize,
    is_null: bool,
}

impl Tensor {
    pub fn new(source: &mut Source, dims: &[i64], dtype: i32, is_output: bool) -> Self {
        let mut dims: Vec<i64> = dims.iter().map(|&dim| if dim < 0 { source.below(4) as i64 } else { dim }).collect();
        let fits = dims.iter().try_fold(1i64, |count, &dim| count.checked_mul(dim)).filter(|&count| (0..=1 << 14).contains(&count));
        let count = fits.unwrap_or(4) as usize;
        let data = if is_output { vec![0x5a5a_5a5a; count] } else { source.floats(count).into_iter().map(f32::to_bits).collect() };
        let (mut rank, mut size_bytes, mut offset, mut dtype, mut is_null, mut strides) =
            (dims.len() as u32, 4 * count, 0, dtype, false, None);
        match source.byte() {
            230..=233 => rank = u32::from(source.byte()),
            234..=237 => size_bytes = size_bytes.saturating_sub(1 + source.below(8)),
            238..=240 => (offset, size_bytes) = (1, size_bytes.saturating_sub(1)),
            241..=244 => dtype = source.number(5),
            245 | 246 => is_null = true,
            247..=250 if !dims.is_empty() => {
                let axis = source.below(dims.len());
                dims[axis] = source.dim();
            }
            251..=253 => strides = Some((0..8).map(|_| source.dim()).collect()),
            _ => {}
        }
        // A rank that the library follows has as many dimensions here.
        dims.resize(dims.len().max(8), 1);
        Self { data, dims, strides, rank, dtype, size_bytes, offset, is_null }
    }

    fn address(&self) -> *const u32 {
        if self.is_null { null() } else { self.data.as_ptr().wrapping_byte_add(self.offset) }
    }

    fn strides(&self) -> *const i64 {
        self.strides.as_ref().map_or(null(), Vec::as_ptr)
    }

    pub fn view(&self) -> rsq_tensor_view {
        rsq_tensor_view {
            data: self.address().cast::<c_void>(),
            size_bytes: self.size_bytes,
            dtype: self.dtype,
            rank: self.rank,
            dims: self.dims.as_ptr(),
            strides: self.strides(),
        }
    }

    pub fn view_mut(&mut self) -> rsq_tensor_mut {
        let data = if self.is_null { std::ptr::null_mut() } else { self.data.as_mut_ptr().wrapping_byte_add(self.offset) };
        rsq_tensor_mut {
            data: data.cast::<c_void>(),
            size_bytes: self.size_bytes,
            dtype: self.dtype,
            rank: self.rank,
            dims: self.dims.as_ptr(),
            strides: self.strides(),
        }
    }

    /// An output of a call that failed.
    pub fn check_untouched(&self) {
        assert!(self.data.iter().all(|&word| word == 0x5a5a_5a5a), "a failed call wrote an output tensor");
    }
}

/// This thread's message.
pub fn message() -> String {
    let mut text = vec![0u8; 4096];
    // SAFETY: a buffer of that many bytes.
    let length = unsafe { rsq_last_error(text.as_mut_ptr().cast(), text.len()) };
    text.truncate(length.min(4095));
    String::from_utf8_lossy(&text).into_owned()
}
