//! Vectors of four lanes of 16 channels for depthwise kernels: loads, stores, and the order that `vpdpbusd` needs.
use std::arch::x86_64::*;

/// Lanes of a vector, each with the channels of a panel.
pub const LANES: usize = 4;
/// Taps that one `vpdpbusd` adds.
pub const GROUP_TAPS: usize = 4;

/// A mask of the lowest `count <= 64` bits.
#[inline(always)]
pub fn low_bits(count: usize) -> u64 {
    ((1u128 << count) - 1) as u64
}

/// The channels of a tap of `S` rows of pixels, each in `LANES / S` lanes; zeros past the mask.
///
/// # Safety
/// Each address is readable where the mask says.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
pub unsafe fn load<const S: usize>(src: [*const u8; S], mask: u64) -> __m512i {
    // SAFETY: the caller's promise.
    unsafe {
        match S {
            1 => _mm512_maskz_loadu_epi8(mask, src[0].cast()),
            2 => {
                let half = |s: usize| _mm256_maskz_loadu_epi8(mask as u32, src[s % S].cast());
                _mm512_inserti64x4::<1>(_mm512_castsi256_si512(half(0)), half(1))
            }
            _ => from_lanes(std::array::from_fn(|s| _mm_maskz_loadu_epi8(mask as u16, src[s % S].cast()))),
        }
    }
}

/// A vector of four lanes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
pub fn from_lanes(lanes: [__m128i; LANES]) -> __m512i {
    let half = |low: __m128i, high: __m128i| _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(low), high);
    _mm512_inserti64x4::<1>(_mm512_castsi256_si512(half(lanes[0], lanes[1])), half(lanes[2], lanes[3]))
}

/// Four vectors of bytes as four of dwords, each with a byte of every vector; quarter `q` holds channels `4 q .. 4 q + 4` of
/// each lane.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
pub fn interleave([a, b, c, d]: [__m512i; GROUP_TAPS]) -> [__m512i; 4] {
    let low = (_mm512_unpacklo_epi8(a, b), _mm512_unpacklo_epi8(c, d));
    let high = (_mm512_unpackhi_epi8(a, b), _mm512_unpackhi_epi8(c, d));
    [
        _mm512_unpacklo_epi16(low.0, low.1),
        _mm512_unpackhi_epi16(low.0, low.1),
        _mm512_unpacklo_epi16(high.0, high.1),
        _mm512_unpackhi_epi16(high.0, high.1),
    ]
}

/// Stores the lanes of each of `rows <= S` rows whole.
///
/// # Safety
/// Row `s` of them is writable for its lanes at `s * row_stride`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
pub unsafe fn store<const S: usize>(dst: *mut u8, row_stride: isize, rows: usize, bytes: __m512i) {
    let row = |s: isize| dst.wrapping_offset(s * row_stride);
    // SAFETY: the caller's promise, for the rows that there are.
    unsafe {
        match S {
            1 => _mm512_storeu_si512(dst.cast(), bytes),
            2 => {
                _mm256_storeu_si256(dst.cast(), _mm512_castsi512_si256(bytes));
                if rows > 1 {
                    _mm256_storeu_si256(row(1).cast(), _mm512_extracti64x4_epi64::<1>(bytes));
                }
            }
            _ => {
                _mm_storeu_si128(dst.cast(), _mm512_castsi512_si128(bytes));
                if rows > 1 {
                    _mm_storeu_si128(row(1).cast(), _mm512_extracti32x4_epi32::<1>(bytes));
                }
                if rows > 2 {
                    _mm_storeu_si128(row(2).cast(), _mm512_extracti32x4_epi32::<2>(bytes));
                }
                if rows > 3 {
                    _mm_storeu_si128(row(3).cast(), _mm512_extracti32x4_epi32::<3>(bytes));
                }
            }
        }
    }
}

/// [`store`] of the channels in the mask alone.
///
/// # Safety
/// As for [`store`], where the mask says.
#[inline(never)]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
pub unsafe fn store_masked<const S: usize>(dst: *mut u8, row_stride: isize, rows: usize, bytes: __m512i, mask: u64) {
    let lanes = [
        bytes,
        _mm512_shuffle_i64x2::<0b01>(bytes, bytes),
        _mm512_shuffle_i64x2::<0b10>(bytes, bytes),
        _mm512_shuffle_i64x2::<0b11>(bytes, bytes),
    ];
    for s in 0..rows.min(S) {
        let dst = dst.wrapping_offset(s as isize * row_stride);
        // SAFETY: the caller's promise; a row's channels are the first bytes of its lanes.
        unsafe {
            match S {
                1 => _mm512_mask_storeu_epi8(dst.cast(), mask, bytes),
                2 => {
                    let half = if s == 0 { _mm512_castsi512_si256(bytes) } else { _mm512_extracti64x4_epi64::<1>(bytes) };
                    _mm256_mask_storeu_epi8(dst.cast(), mask as u32, half);
                }
                _ => _mm_mask_storeu_epi8(dst.cast(), mask as u16, _mm512_castsi512_si128(lanes[s])),
            }
        }
    }
}
