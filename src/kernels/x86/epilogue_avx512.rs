//! From i32 accumulators to stored results, 16 or 32 channels a pixel, AVX-512.
//!
//! U8, four zmm together: two pixels of 32 channels, or four pixels of 16.
//!
//! ```text
//! cvt, fma, [residual fma], min high     4 x f32
//! cvt (rne)                              4 x s32 a b c d
//! packs_epi32, adds z                    s16  a.0 b.0 | a.1 b.1 | a.2 b.2 | a.3 b.3     and the same of c d
//! packus_epi16, max low                  u8   a.0 b.0 c.0 d.0 | a.1 b.1 c.1 d.1 | ...   (dwords)
//! permutexvar_epi32                      u8   a.0 a.1 a.2 a.3 | b.0 b.1 b.2 b.3 | c | d
//! ```
//!
//! The upper clamp stands before the conversion, because an out-of-range float converts to INT_MIN; the lower one may
//! stand behind it, because INT_MIN saturates to the low end and the ends are whole numbers. Where no float can leave i32
//! (`Requantize::within_i32`) both clamps stand behind the packs, one operation for four registers each.
//!
//! Tails: channels past the stored ones are neither read nor written, by masks.
use crate::kernels::{Int8Epilogue, Int8Output, Pixels, Position, Requantize, Residual};
use crate::packed::PANEL_CHANNELS;
use std::arch::x86_64::*;

/// Accumulator registers that one chain of packs finishes.
const QUAD: usize = 4;

/// The `N` panels of 16 channels, from channel `channel` on, that a tile finishes.
#[derive(Clone, Copy)]
pub struct Panels<'a, const N: usize> {
    /// The block's epilogue.
    pub epilogue: &'a Int8Epilogue,
    /// The first panel's first channel.
    pub channel: usize,
}

impl<const N: usize> Panels<'_, N> {
    /// Channels of these panels that are stored.
    #[inline(always)]
    pub fn stored(&self) -> usize {
        self.epilogue.stored_channels.saturating_sub(self.channel).min(N * PANEL_CHANNELS)
    }

    /// `fma(f32(acc), mult, bias)` for one pixel of one panel.
    ///
    /// # Safety
    /// `mult` and `bias` are readable for the panel.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
    unsafe fn scaled(&self, panel: usize, acc: __m512i) -> __m512 {
        let channel = self.channel + panel * PANEL_CHANNELS;
        // SAFETY: the caller's promise.
        let (mult, bias) = unsafe { (_mm512_loadu_ps(self.epilogue.mult.add(channel)), _mm512_loadu_ps(self.epilogue.bias.add(channel))) };
        _mm512_fmadd_ps(_mm512_cvtepi32_ps(acc), mult, bias)
    }
}

/// Bytes of `QUAD / N` pixels from their floats, in pixel order; `f[i]` is panel `i % N` of pixel `i / N`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
fn quad_bytes(f: [__m512; QUAD], requantize: &Requantize) -> __m512i {
    let high = _mm512_set1_ps(requantize.high);
    let zero_point = _mm512_set1_epi16(requantize.zero_point as i16);
    let lowest = _mm512_set1_epi8((requantize.low as i32 + requantize.zero_point) as u8 as i8);
    let transposed = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    let rounded = f.map(|f| _mm512_cvtps_epi32(_mm512_min_ps(f, high)));
    let first = _mm512_adds_epi16(_mm512_packs_epi32(rounded[0], rounded[1]), zero_point);
    let second = _mm512_adds_epi16(_mm512_packs_epi32(rounded[2], rounded[3]), zero_point);
    let bytes = _mm512_max_epu8(_mm512_packus_epi16(first, second), lowest);
    _mm512_permutexvar_epi32(transposed, bytes)
}

/// [`quad_bytes`] of floats that stay below 2^31 in size: both clamps behind the packs.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
fn quad_bytes_within_i32(f: [__m512; QUAD], requantize: &Requantize) -> __m512i {
    let zero_point = _mm512_set1_epi16(requantize.zero_point as i16);
    let end = |end: f32| _mm512_set1_epi8((end as i32 + requantize.zero_point) as u8 as i8);
    let transposed = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    let rounded = f.map(|f| _mm512_cvtps_epi32(f));
    let first = _mm512_adds_epi16(_mm512_packs_epi32(rounded[0], rounded[1]), zero_point);
    let second = _mm512_adds_epi16(_mm512_packs_epi32(rounded[2], rounded[3]), zero_point);
    let bytes = _mm512_packus_epi16(first, second);
    let bytes = _mm512_max_epu8(_mm512_min_epu8(bytes, end(requantize.high)), end(requantize.low));
    _mm512_permutexvar_epi32(transposed, bytes)
}

/// Adds a residual's part to the floats of one pixel of one panel.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
fn with_residual(f: __m512, bytes: __m128i, residual: &Residual) -> __m512 {
    let centred = _mm512_sub_epi32(_mm512_cvtepu8_epi32(bytes), _mm512_set1_epi32(residual.zero_point));
    _mm512_fmadd_ps(_mm512_cvtepi32_ps(centred), _mm512_set1_ps(residual.ratio), f)
}

/// Stores the pixels of one chain: `bytes` holds `QUAD / N` pixels of `N * 16` bytes, of which `pixels` are stored.
///
/// # Safety
/// `dst[i]` is writable for `stored` bytes, for `i < pixels`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
unsafe fn store_quad<const N: usize>(bytes: __m512i, dst: [*mut u8; QUAD], pixels: usize, stored: usize) {
    let whole = stored == N * PANEL_CHANNELS;
    // SAFETY: whole pixels are writable as a whole, the masks keep the others to `stored` bytes.
    unsafe {
        if N == 2 {
            let halves = [_mm512_castsi512_si256(bytes), _mm512_extracti64x4_epi64::<1>(bytes)];
            for pixel in 0..pixels.min(2) {
                if whole {
                    _mm256_storeu_si256(dst[pixel].cast(), halves[pixel]);
                } else {
                    _mm256_mask_storeu_epi8(dst[pixel].cast(), low_bits(stored), halves[pixel]);
                }
            }
        } else {
            let quarters = [
                _mm512_castsi512_si128(bytes),
                _mm512_extracti32x4_epi32::<1>(bytes),
                _mm512_extracti32x4_epi32::<2>(bytes),
                _mm512_extracti32x4_epi32::<3>(bytes),
            ];
            for pixel in 0..pixels.min(QUAD) {
                if whole {
                    _mm_storeu_si128(dst[pixel].cast(), quarters[pixel]);
                } else {
                    _mm_mask_storeu_epi8(dst[pixel].cast(), low_bits(stored) as u16, quarters[pixel]);
                }
            }
        }
    }
}

/// A mask of the lowest `count <= 32` bits.
#[inline(always)]
fn low_bits(count: usize) -> u32 {
    ((1u64 << count) - 1) as u32
}

/// The mask of the stored channels of one panel, where `stored` are stored of all panels.
#[inline(always)]
fn panel_mask(stored: usize, panel: usize) -> u16 {
    low_bits(stored.saturating_sub(panel * PANEL_CHANNELS).min(PANEL_CHANNELS)) as u16
}

/// Finishes four neighbouring pixels of a panel that are still in registers, as whole bytes whose floats stay within i32.
///
/// # Safety
/// `mult` and `bias` are readable for the panel; the pixels, `stride` bytes apart from `dst` on, are writable for 16 bytes each.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
pub unsafe fn store_four_pixels(panel: Panels<'_, 1>, requantize: &Requantize, acc: [__m512i; QUAD], dst: *mut u8, stride: isize) {
    // SAFETY: the caller's promise.
    unsafe {
        let f = [panel.scaled(0, acc[0]), panel.scaled(0, acc[1]), panel.scaled(0, acc[2]), panel.scaled(0, acc[3])];
        let dst = [dst, dst.offset(stride), dst.offset(2 * stride), dst.offset(3 * stride)];
        store_quad::<1>(quad_bytes_within_i32(f, requantize), dst, QUAD, PANEL_CHANNELS);
    }
}

/// Finishes a run of pixels whose accumulators lie in memory: every output, every tail.
///
/// `acc` holds `N * 16` i32 for each pixel, `acc_stride` bytes from pixel to pixel; the run begins at `at`.
///
/// # Safety
/// `acc` is readable for all pixels, `mult` and `bias` for the panels; destination and residual pixels are those of the
/// epilogue's block.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
pub unsafe fn store_rows<const N: usize>(panels: Panels<'_, N>, acc: *const u8, acc_stride: usize, at: Position, pixels: usize) {
    // SAFETY: the caller's promise, here and below.
    let load = |pixel: usize, panel: usize| unsafe { _mm512_loadu_si512(acc.add(pixel * acc_stride + panel * 64).cast()) };
    let stored = panels.stored();
    let channel = panels.channel;
    match &panels.epilogue.output {
        Int8Output::U8 { dst, residual, requantize } => {
            for p in (0..pixels).step_by(QUAD / N) {
                let left = pixels - p;
                let mut f = [_mm512_setzero_ps(); QUAD];
                let mut quad_dst = [std::ptr::null_mut(); QUAD];
                for (i, f) in f.iter_mut().enumerate().take(left * N) {
                    let (pixel, panel) = (i / N, i % N);
                    let col = at.col + p + pixel;
                    // SAFETY: the caller's promise; the mask keeps the residual to the stored channels.
                    unsafe {
                        *f = panels.scaled(panel, load(p + pixel, panel));
                        if let Some(residual) = residual {
                            let src = residual.src.at(at.row, col).add(channel + panel * PANEL_CHANNELS);
                            let bytes = _mm_maskz_loadu_epi8(panel_mask(stored, panel), src.cast());
                            *f = with_residual(*f, bytes, residual);
                        }
                        quad_dst[pixel] = dst.at(at.row, col).add(channel);
                    }
                }
                let bytes = if requantize.within_i32 { quad_bytes_within_i32(f, requantize) } else { quad_bytes(f, requantize) };
                // SAFETY: the pixels that are left are the block's, writable for `stored` bytes.
                unsafe { store_quad::<N>(bytes, quad_dst, left, stored) }
            }
        }
        Int8Output::F32 { dst, residual, low, high } => {
            let (low, high) = (_mm512_set1_ps(*low), _mm512_set1_ps(*high));
            for pixel in 0..pixels {
                let at = Position { row: at.row, col: at.col + pixel };
                for panel in 0..N {
                    let mask = panel_mask(stored, panel);
                    // SAFETY: the caller's promise; the mask keeps to the stored channels.
                    unsafe {
                        let mut f = panels.scaled(panel, load(pixel, panel));
                        if let Some(residual) = residual {
                            let src = dwords(residual, at, channel, panel);
                            f = _mm512_add_ps(f, _mm512_maskz_loadu_ps(mask, src.cast()));
                        }
                        // max and min return their second operand where one is NaN, or where both are zero.
                        f = _mm512_min_ps(high, _mm512_max_ps(low, f));
                        _mm512_mask_storeu_ps(dst.at(at.row, at.col).add((channel + panel * PANEL_CHANNELS) * 4).cast(), mask, f);
                    }
                }
            }
        }
        Int8Output::I32 { dst } => {
            for pixel in 0..pixels {
                for panel in 0..N {
                    // SAFETY: the caller's promise; the mask keeps to the stored channels.
                    unsafe {
                        let dst = dst.at(at.row, at.col + pixel).add((channel + panel * PANEL_CHANNELS) * 4);
                        _mm512_mask_storeu_epi32(dst.cast(), panel_mask(stored, panel), load(pixel, panel));
                    }
                }
            }
        }
    }
}

/// The address of a panel's first float in a pixel.
///
/// # Safety
/// The position lies in the block.
#[inline(always)]
unsafe fn dwords(src: &Pixels<*const u8>, at: Position, channel: usize, panel: usize) -> *const u8 {
    // The offset of a masked-off panel may lie past the pixel, so it is not a promise about the allocation.
    // SAFETY: the caller's promise.
    unsafe { src.at(at.row, at.col) }.wrapping_add((channel + panel * PANEL_CHANNELS) * 4)
}
