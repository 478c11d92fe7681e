//! From i32 accumulators to stored results, 16 channels a pixel, AVX2: shared by every kernel whose accumulators can be
//! handed over as two ymm a pixel.
//!
//! U8, for pixels p and q together (a tile is finished in pairs, an odd last pixel with itself):
//!
//! ```text
//! cvt, fma, [residual fma], min high   f32 p0..7 p8..15     q0..7 q8..15
//! cvt (rne), packs_epi32, + z          s16 p0..3 p8..11 | p4..7 p12..15     the same of q
//! packus_epi16, max low                u8  p0 p8 q0 q8 | p4 p12 q4 q12      (dwords)
//! permutevar8x32                       u8  p0 p4 p8 p12 | q0 q4 q8 q12
//! ```
//!
//! The upper clamp stands before the conversion, because an out-of-range float converts to INT_MIN; the lower one may
//! stand behind it, because INT_MIN saturates to the low end and the ends are whole numbers. Where all floats are known to stay within
//! i32 and the range is whole, the packs are clamp enough.
//!
//! Tails: bytes past `stored_channels` are never written, and the residual is never read there.
use crate::kernels::{Int8Epilogue, Int8Output, Pixels, Position, Residual};
use crate::packed::PANEL_CHANNELS;
use std::arch::x86_64::*;

/// Finishes `P` pixels of the panel whose first channel is `channel`; `acc[p]` holds channels 0..8 and 8..16 of pixel `p`.
///
/// # Safety
/// `mult` and `bias` are readable for 16 channels from `channel`, destination and residual for `stored_channels` at every position.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub unsafe fn store_tile<const P: usize>(epilogue: &Int8Epilogue, channel: usize, positions: &[Position; P], acc: &[[__m256i; 2]; P]) {
    let (dst, residual, bytes) = places(&epilogue.output);
    let mut at = [Place { dst: dst.start, residual: residual.start }; P];
    for p in 0..P {
        // SAFETY: the positions are the block's.
        at[p] = unsafe { place(dst, residual, positions[p], channel * bytes.0, channel * bytes.1) };
    }
    // SAFETY: the caller's promise.
    unsafe { store_at(epilogue, channel, &at, acc) };
}

/// [`store_tile`] for pixels that follow each other in a row from `first` on.
///
/// # Safety
/// As there.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub unsafe fn store_row<const P: usize>(epilogue: &Int8Epilogue, channel: usize, first: Position, acc: &[[__m256i; 2]; P]) {
    // SAFETY: the caller's promise.
    unsafe { store_at(epilogue, channel, &row_places(&epilogue.output, channel, first), acc) };
}

/// Where the results of `P` pixels go that follow each other in a row from `first` on.
///
/// # Safety
/// They are pixels of the block.
#[inline(always)]
pub unsafe fn row_places<const P: usize>(output: &Int8Output, channel: usize, first: Position) -> [Place; P] {
    let (dst, residual, bytes) = places(output);
    // SAFETY: the caller's promise.
    let start = unsafe { place(dst, residual, first, channel * bytes.0, channel * bytes.1) };
    let mut at = [start; P];
    for p in 1..P {
        at[p].dst = at[p - 1].dst.wrapping_offset(dst.col_stride);
        at[p].residual = at[p - 1].residual.wrapping_offset(residual.col_stride);
    }
    at
}

/// Where a pixel's results go, from the panel's first channel on, and its residual; without one that address is of no use.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    dst: *mut u8,
    residual: *const u8,
}

/// Destination and residual pixels of an output, and the bytes of an element of each; without a residual its strides are 0.
#[inline(always)]
fn places(output: &Int8Output) -> (Pixels<*mut u8>, Pixels<*const u8>, (usize, usize)) {
    let none = |start: *const u8| Pixels { start, row_stride: 0, col_stride: 0 };
    match output {
        Int8Output::U8 { dst, residual: Some(residual), .. } => (*dst, residual.src, (1, 1)),
        Int8Output::U8 { dst, residual: None, .. } => (*dst, none(dst.start), (1, 0)),
        Int8Output::F32 { dst, residual: Some(residual), .. } => (*dst, *residual, (4, 4)),
        Int8Output::F32 { dst, residual: None, .. } | Int8Output::I32 { dst } => (*dst, none(dst.start), (4, 0)),
    }
}

/// # Safety
/// As for [`Pixels::at`], for both.
#[inline(always)]
unsafe fn place(dst: Pixels<*mut u8>, residual: Pixels<*const u8>, at: Position, dst_offset: usize, residual_offset: usize) -> Place {
    // SAFETY: the caller's promise; offsets are those of a channel.
    unsafe { Place { dst: dst.at(at.row, at.col).add(dst_offset), residual: residual.at(at.row, at.col).add(residual_offset) } }
}

/// [`store_tile`] for pixels by their addresses.
///
/// # Safety
/// As there.
#[target_feature(enable = "avx2,fma")]
unsafe fn store_at<const P: usize>(epilogue: &Int8Epilogue, channel: usize, at: &[Place; P], acc: &[[__m256i; 2]; P]) {
    // SAFETY: the caller's promise; WHOLE says that all 16 channels are stored.
    unsafe {
        if let Some(bytes) = SaturatedBytes::of(epilogue, channel) {
            if bytes.has_residual() {
                bytes.store::<P, true>(at, acc)
            } else {
                bytes.store::<P, false>(at, acc)
            }
            return;
        }
        let whole = epilogue.stored_channels >= channel + PANEL_CHANNELS;
        match &epilogue.output {
            Int8Output::U8 { .. } if whole => store_u8::<P, true>(epilogue, channel, at, acc),
            Int8Output::U8 { .. } => store_u8::<P, false>(epilogue, channel, at, acc),
            Int8Output::F32 { .. } => store_f32(epilogue, channel, at, acc),
            Int8Output::I32 { .. } => store_i32(epilogue, channel, at, acc),
        }
    }
}

/// How many of the panel's 16 channels are stored.
#[inline(always)]
fn stored_of_panel(epilogue: &Int8Epilogue, channel: usize) -> usize {
    epilogue.stored_channels.saturating_sub(channel).min(PANEL_CHANNELS)
}

/// What makes bytes of a panel's 16 channels where packs clamp all that has to be clamped: where the range is whole, and all floats are
/// known to stay within i32. Ready to finish many tiles.
pub struct SaturatedBytes {
    mult: [__m256; 2],
    bias: [__m256; 2],
    zero_point: __m256i,
    residual: Option<ResidualTerm>,
}

/// A residual's zero point and ratio.
#[derive(Clone, Copy)]
struct ResidualTerm {
    zero_point: __m256i,
    ratio: __m256,
}

impl ResidualTerm {
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    fn new(residual: &Residual) -> Self {
        Self { zero_point: _mm256_set1_epi32(residual.zero_point), ratio: _mm256_set1_ps(residual.ratio) }
    }

    /// `fma(f32(r - zero_point), ratio, f)` of 16 channels.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    fn add(&self, r: __m128i, f: [__m256; 2]) -> [__m256; 2] {
        let halves = [_mm256_cvtepu8_epi32(r), _mm256_cvtepu8_epi32(_mm_unpackhi_epi64(r, r))];
        let term = |r: __m256i| _mm256_cvtepi32_ps(_mm256_sub_epi32(r, self.zero_point));
        [_mm256_fmadd_ps(term(halves[0]), self.ratio, f[0]), _mm256_fmadd_ps(term(halves[1]), self.ratio, f[1])]
    }
}

impl SaturatedBytes {
    /// That of the panel whose first channel is `channel`, if all its channels are stored so.
    ///
    /// # Safety
    /// As for [`store_tile`].
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn of(epilogue: &Int8Epilogue, channel: usize) -> Option<Self> {
        let Int8Output::U8 { residual, requantize, .. } = &epilogue.output else { return None };
        let ends = [requantize.low, requantize.high].map(|end| end as i32 + requantize.zero_point);
        if !requantize.within_i32 || ends != [0, 255] || epilogue.stored_channels < channel + PANEL_CHANNELS {
            return None;
        }
        // SAFETY: 16 multipliers and biases from `channel` on are readable: the caller's promise.
        let load = |start: *const f32| unsafe { [_mm256_loadu_ps(start.add(channel)), _mm256_loadu_ps(start.add(channel + 8))] };
        Some(Self {
            mult: load(epilogue.mult),
            bias: load(epilogue.bias),
            zero_point: _mm256_set1_epi16(requantize.zero_point as i16),
            residual: residual.as_ref().map(|residual| ResidualTerm::new(residual)),
        })
    }

    /// Whether there is a residual.
    #[inline(always)]
    pub fn has_residual(&self) -> bool {
        self.residual.is_some()
    }

    /// Finishes `P` pixels. RESIDUAL: there is one.
    ///
    /// # Safety
    /// Destinations, and residuals where there are any, are valid for 16 bytes.
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn store<const P: usize, const RESIDUAL: bool>(&self, at: &[Place; P], acc: &[[__m256i; 2]; P]) {
        let words = |p: usize| {
            let f = |half: usize| _mm256_fmadd_ps(_mm256_cvtepi32_ps(acc[p][half]), self.mult[half], self.bias[half]);
            let mut f = [f(0), f(1)];
            if let (true, Some(residual)) = (RESIDUAL, &self.residual) {
                // SAFETY: the residual's 16 bytes.
                f = residual.add(unsafe { _mm_loadu_si128(at[p].residual.cast()) }, f);
            }
            rounded_words(f, self.zero_point)
        };
        for p in (0..P).step_by(2) {
            let q = if p + 1 < P { p + 1 } else { p };
            // SAFETY: the caller's promise.
            unsafe { store_bytes(PANEL_CHANNELS, [at[p], at[q]], in_order(_mm256_packus_epi16(words(p), words(q)))) };
        }
    }
}

/// Floats rounded to s16 with the zero point added, in the order that the pack leaves.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn rounded_words(f: [__m256; 2], zero_point: __m256i) -> __m256i {
    _mm256_adds_epi16(_mm256_packs_epi32(_mm256_cvtps_epi32(f[0]), _mm256_cvtps_epi32(f[1])), zero_point)
}

/// Two pixels of bytes from the order that the packs leave.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn in_order(bytes: __m256i) -> __m256i {
    _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7))
}

/// [`store_tile`] for bytes. WHOLE: all 16 channels are stored.
///
/// # Safety
/// As for [`store_tile`].
#[target_feature(enable = "avx2,fma")]
unsafe fn store_u8<const P: usize, const WHOLE: bool>(epilogue: &Int8Epilogue, channel: usize, at: &[Place; P], acc: &[[__m256i; 2]; P]) {
    let Int8Output::U8 { residual, requantize, .. } = &epilogue.output else { return };
    let residual = residual.as_ref().map(|residual| ResidualTerm::new(residual));
    let stored = if WHOLE { PANEL_CHANNELS } else { stored_of_panel(epilogue, channel) };
    let high = _mm256_set1_ps(requantize.high);
    let zero_point = _mm256_set1_epi16(requantize.zero_point as i16);
    let lowest = _mm256_set1_epi8((requantize.low as i32 + requantize.zero_point) as u8 as i8);
    let words = |p: usize| {
        // SAFETY: the caller's promise; the residual is readable for the stored channels.
        unsafe {
            let mut f = scaled(epilogue, channel, acc[p]);
            if let Some(residual) = &residual {
                f = residual.add(load_bytes(at[p].residual, stored), f);
            }
            rounded_words([_mm256_min_ps(f[0], high), _mm256_min_ps(f[1], high)], zero_point)
        }
    };
    for p in (0..P).step_by(2) {
        let q = if p + 1 < P { p + 1 } else { p };
        let bytes = in_order(_mm256_max_epu8(_mm256_packus_epi16(words(p), words(q)), lowest));
        // SAFETY: the caller's promise, for the `stored` channels from `channel` on.
        unsafe { store_bytes(stored, [at[p], at[q]], bytes) };
    }
}

/// [`store_tile`] for floats.
///
/// # Safety
/// As for [`store_tile`].
#[target_feature(enable = "avx2,fma")]
unsafe fn store_f32(epilogue: &Int8Epilogue, channel: usize, places: &[Place], acc: &[[__m256i; 2]]) {
    let Int8Output::F32 { residual, low, high, .. } = &epilogue.output else { return };
    let stored = stored_of_panel(epilogue, channel);
    for (at, &acc) in places.iter().zip(acc) {
        // SAFETY: the caller's promise, for the `stored` channels from `channel` on.
        unsafe {
            let mut f = scaled(epilogue, channel, acc);
            if residual.is_some() {
                let r = load_floats(at.residual, stored);
                f = [_mm256_add_ps(f[0], r[0]), _mm256_add_ps(f[1], r[1])];
            }
            // max and min return their second operand where one is NaN, or where both are zero.
            let (low, high) = (_mm256_set1_ps(*low), _mm256_set1_ps(*high));
            let bits = f.map(|f| _mm256_castps_si256(_mm256_min_ps(high, _mm256_max_ps(low, f))));
            store_dwords(at.dst, stored, bits);
        }
    }
}

/// [`store_tile`] for raw accumulators.
///
/// # Safety
/// As for [`store_tile`].
#[target_feature(enable = "avx2,fma")]
unsafe fn store_i32(epilogue: &Int8Epilogue, channel: usize, places: &[Place], acc: &[[__m256i; 2]]) {
    let stored = stored_of_panel(epilogue, channel);
    for (at, &acc) in places.iter().zip(acc) {
        // SAFETY: the caller's promise, for the `stored` channels from `channel` on.
        unsafe { store_dwords(at.dst, stored, acc) };
    }
}

/// `fma(f32(acc), mult, bias)`.
///
/// # Safety
/// As for [`store_tile`].
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn scaled(epilogue: &Int8Epilogue, channel: usize, acc: [__m256i; 2]) -> [__m256; 2] {
    // SAFETY: 16 multipliers and biases from `channel` on are readable: the caller's promise.
    unsafe {
        let mult = epilogue.mult.add(channel);
        let bias = epilogue.bias.add(channel);
        [
            _mm256_fmadd_ps(_mm256_cvtepi32_ps(acc[0]), _mm256_loadu_ps(mult), _mm256_loadu_ps(bias)),
            _mm256_fmadd_ps(_mm256_cvtepi32_ps(acc[1]), _mm256_loadu_ps(mult.add(8)), _mm256_loadu_ps(bias.add(8))),
        ]
    }
}

/// Stores a pair of pixels.
///
/// # Safety
/// Both destinations are writable for `stored` bytes.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn store_bytes(stored: usize, pair: [Place; 2], bytes: __m256i) {
    let halves = [_mm256_castsi256_si128(bytes), _mm256_extracti128_si256::<1>(bytes)];
    for (at, half) in pair.into_iter().zip(halves) {
        // SAFETY: the caller's promise; a short pixel goes through 16 bytes of our own.
        unsafe {
            let dst = at.dst;
            if stored == PANEL_CHANNELS {
                _mm_storeu_si128(dst.cast(), half);
            } else {
                let mut whole = [0u8; PANEL_CHANNELS];
                _mm_storeu_si128(whole.as_mut_ptr().cast(), half);
                copy_short(whole.as_ptr(), dst, stored);
            }
        }
    }
}

/// Stores `stored` of 16 dwords.
///
/// # Safety
/// `dst` is writable for `stored * 4` bytes.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn store_dwords(dst: *mut u8, stored: usize, values: [__m256i; 2]) {
    // SAFETY: the caller's promise; a short pixel goes through 64 bytes of our own.
    unsafe {
        if stored == PANEL_CHANNELS {
            _mm256_storeu_si256(dst.cast(), values[0]);
            _mm256_storeu_si256(dst.add(32).cast(), values[1]);
        } else {
            let mut whole = [0u8; PANEL_CHANNELS * 4];
            _mm256_storeu_si256(whole.as_mut_ptr().cast(), values[0]);
            _mm256_storeu_si256(whole.as_mut_ptr().add(32).cast(), values[1]);
            std::ptr::copy_nonoverlapping(whole.as_ptr(), dst, stored * 4);
        }
    }
}

/// Loads `count <= 16` floats, zeros behind them.
///
/// # Safety
/// `src` is readable for `count * 4` bytes.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn load_floats(src: *const u8, count: usize) -> [__m256; 2] {
    // SAFETY: the caller's promise; a short pixel goes through 16 floats of our own.
    unsafe {
        if count == PANEL_CHANNELS {
            [_mm256_loadu_ps(src.cast()), _mm256_loadu_ps(src.add(32).cast())]
        } else {
            let mut whole = [0f32; PANEL_CHANNELS];
            std::ptr::copy_nonoverlapping(src, whole.as_mut_ptr().cast(), count * 4);
            [_mm256_loadu_ps(whole.as_ptr()), _mm256_loadu_ps(whole.as_ptr().add(8))]
        }
    }
}

/// Loads `count <= 16` bytes, zeros behind them.
///
/// # Safety
/// `src` is readable for `count` bytes.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub unsafe fn load_bytes(src: *const u8, count: usize) -> __m128i {
    // SAFETY: the caller's promise; fewer than 16 bytes go through 16 of our own, or are loaded as the 8 they are.
    unsafe {
        match count {
            16 => _mm_loadu_si128(src.cast()),
            8 => _mm_loadl_epi64(src.cast()),
            _ => {
                let mut whole = [0u8; PANEL_CHANNELS];
                copy_short(src, whole.as_mut_ptr(), count);
                _mm_loadu_si128(whole.as_ptr().cast())
            }
        }
    }
}

/// Copies `count <= 16` bytes by at most two overlapping moves, where a call of memcpy would cost more.
///
/// # Safety
/// `src` is readable and `dst` writable for `count` bytes, and they do not overlap.
#[inline(always)]
unsafe fn copy_short(src: *const u8, dst: *mut u8, count: usize) {
    // SAFETY: each move lies within the first `count` bytes: the caller's promise.
    unsafe {
        match count {
            8.. => {
                let end = count - 8;
                let (head, tail) = (src.cast::<u64>().read_unaligned(), src.add(end).cast::<u64>().read_unaligned());
                dst.cast::<u64>().write_unaligned(head);
                dst.add(end).cast::<u64>().write_unaligned(tail);
            }
            4.. => {
                let end = count - 4;
                let (head, tail) = (src.cast::<u32>().read_unaligned(), src.add(end).cast::<u32>().read_unaligned());
                dst.cast::<u32>().write_unaligned(head);
                dst.add(end).cast::<u32>().write_unaligned(tail);
            }
            _ => {
                for byte in 0..count {
                    *dst.add(byte) = *src.add(byte);
                }
            }
        }
    }
}
