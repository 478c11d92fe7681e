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
//! stand behind it, because INT_MIN saturates to the low end and the ends are whole numbers.
//!
//! Tails: bytes past `stored_channels` are never written, and the residual is never read there.
use crate::kernels::{Int8Epilogue, Int8Output, Pixels, Position, Requantize, Residual};
use crate::packed::PANEL_CHANNELS;
use std::arch::x86_64::*;

/// Finishes `P` pixels of the panel whose first channel is `channel`; `acc[p]` holds channels 0..8 and 8..16 of pixel `p`.
///
/// # Safety
/// `mult` and `bias` are readable for 16 channels from `channel`, destination and residual for `stored_channels` at every position.
#[inline]
#[target_feature(enable = "avx2,fma")]
pub unsafe fn store_tile<const P: usize>(epilogue: &Int8Epilogue, channel: usize, positions: &[Position; P], acc: &[[__m256i; 2]; P]) {
    let whole = epilogue.stored_channels >= channel + PANEL_CHANNELS;
    // SAFETY: the caller's promise; WHOLE says that all 16 channels are stored.
    unsafe {
        match &epilogue.output {
            Int8Output::U8 { residual: None, .. } if whole => {
                store_u8::<P, true, false>(epilogue, channel, positions, acc);
            }
            Int8Output::U8 { residual: Some(_), .. } if whole => {
                store_u8::<P, true, true>(epilogue, channel, positions, acc);
            }
            Int8Output::U8 { .. } => store_u8::<P, false, true>(epilogue, channel, positions, acc),
            Int8Output::F32 { .. } => store_f32(epilogue, channel, positions, acc),
            Int8Output::I32 { .. } => store_i32(epilogue, channel, positions, acc),
        }
    }
}

/// How many of the panel's 16 channels are stored.
#[inline(always)]
fn stored_of_panel(epilogue: &Int8Epilogue, channel: usize) -> usize {
    epilogue.stored_channels.saturating_sub(channel).min(PANEL_CHANNELS)
}

/// [`store_tile`] for bytes. WHOLE: all 16 channels are stored. RESIDUAL: there may be one.
///
/// # Safety
/// As for [`store_tile`].
#[target_feature(enable = "avx2,fma")]
unsafe fn store_u8<const P: usize, const WHOLE: bool, const RESIDUAL: bool>(
    epilogue: &Int8Epilogue,
    channel: usize,
    positions: &[Position; P],
    acc: &[[__m256i; 2]; P],
) {
    let Int8Output::U8 { dst, residual, requantize } = &epilogue.output else { return };
    let residual = if RESIDUAL { residual.as_ref() } else { None };
    let stored = if WHOLE { PANEL_CHANNELS } else { stored_of_panel(epilogue, channel) };
    for p in (0..P).step_by(2) {
        let q = if p + 1 < P { p + 1 } else { p };
        // SAFETY: the caller's promise, for the `stored` channels from `channel` on.
        unsafe {
            let words = [
                words(epilogue, channel, stored, residual, requantize, positions[p], acc[p]),
                words(epilogue, channel, stored, residual, requantize, positions[q], acc[q]),
            ];
            store_bytes(dst, channel, stored, [positions[p], positions[q]], bytes(words, requantize));
        }
    }
}

/// [`store_tile`] for floats.
///
/// # Safety
/// As for [`store_tile`].
#[target_feature(enable = "avx2,fma")]
unsafe fn store_f32(epilogue: &Int8Epilogue, channel: usize, positions: &[Position], acc: &[[__m256i; 2]]) {
    let Int8Output::F32 { dst, residual, low, high } = &epilogue.output else { return };
    let stored = stored_of_panel(epilogue, channel);
    for (at, &acc) in positions.iter().zip(acc) {
        // SAFETY: the caller's promise, for the `stored` channels from `channel` on.
        unsafe {
            let mut f = scaled(epilogue, channel, acc);
            if let Some(residual) = residual {
                let r = load_floats(residual.at(at.row, at.col).add(channel * 4), stored);
                f = [_mm256_add_ps(f[0], r[0]), _mm256_add_ps(f[1], r[1])];
            }
            // max and min return their second operand where one is NaN, or where both are zero.
            let (low, high) = (_mm256_set1_ps(*low), _mm256_set1_ps(*high));
            let bits = f.map(|f| _mm256_castps_si256(_mm256_min_ps(high, _mm256_max_ps(low, f))));
            store_dwords(dst.at(at.row, at.col).add(channel * 4), stored, bits);
        }
    }
}

/// [`store_tile`] for raw accumulators.
///
/// # Safety
/// As for [`store_tile`].
#[target_feature(enable = "avx2,fma")]
unsafe fn store_i32(epilogue: &Int8Epilogue, channel: usize, positions: &[Position], acc: &[[__m256i; 2]]) {
    let Int8Output::I32 { dst } = &epilogue.output else { return };
    let stored = stored_of_panel(epilogue, channel);
    for (at, &acc) in positions.iter().zip(acc) {
        // SAFETY: the caller's promise, for the `stored` channels from `channel` on.
        unsafe { store_dwords(dst.at(at.row, at.col).add(channel * 4), stored, acc) };
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

/// One pixel as s16 with the zero point added, clamped from above, in the order that the pack leaves.
///
/// # Safety
/// As for [`store_tile`].
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn words(
    epilogue: &Int8Epilogue,
    channel: usize,
    stored: usize,
    residual: Option<&Residual>,
    requantize: &Requantize,
    at: Position,
    acc: [__m256i; 2],
) -> __m256i {
    // SAFETY: the caller's promise.
    let mut f = unsafe { scaled(epilogue, channel, acc) };
    if let Some(residual) = residual {
        // SAFETY: the residual is readable for `stored` channels from `channel` on.
        let r = unsafe { load_bytes(residual.src.at(at.row, at.col).add(channel), stored) };
        let zero_point = _mm256_set1_epi32(residual.zero_point);
        let ratio = _mm256_set1_ps(residual.ratio);
        let low = _mm256_sub_epi32(_mm256_cvtepu8_epi32(r), zero_point);
        let high = _mm256_sub_epi32(_mm256_cvtepu8_epi32(_mm_unpackhi_epi64(r, r)), zero_point);
        f[0] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(low), ratio, f[0]);
        f[1] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(high), ratio, f[1]);
    }
    let high = _mm256_set1_ps(requantize.high);
    let rounded = f.map(|f| _mm256_cvtps_epi32(_mm256_min_ps(f, high)));
    let zero_point = _mm256_set1_epi16(requantize.zero_point as i16);
    _mm256_adds_epi16(_mm256_packs_epi32(rounded[0], rounded[1]), zero_point)
}

/// Two pixels of 16 bytes from two pixels of words, clamped from below.
#[inline]
#[target_feature(enable = "avx2,fma")]
fn bytes(words: [__m256i; 2], requantize: &Requantize) -> __m256i {
    let lowest = _mm256_set1_epi8((requantize.low as i32 + requantize.zero_point) as u8 as i8);
    let packed = _mm256_max_epu8(_mm256_packus_epi16(words[0], words[1]), lowest);
    _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7))
}

/// Stores a pair of pixels.
///
/// # Safety
/// Both destinations are writable for `stored` bytes from `channel` on.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn store_bytes(dst: &Pixels<*mut u8>, channel: usize, stored: usize, pair: [Position; 2], bytes: __m256i) {
    let halves = [_mm256_castsi256_si128(bytes), _mm256_extracti128_si256::<1>(bytes)];
    for (at, half) in pair.into_iter().zip(halves) {
        // SAFETY: the caller's promise; a short pixel goes through 16 bytes of our own.
        unsafe {
            let dst = dst.at(at.row, at.col).add(channel);
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
