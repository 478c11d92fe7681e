//! The transformations of F(4 x 4, 3 x 3), in one dimension and of as many values as a vector has: 256 and 512 bits. Their matrices are
//! those of `winograd_avx2`.

macro_rules! transforms4 {
    (
        $(#[$doc:meta])* $module:ident, $features:literal, $vector:ident,
        s16 $add16:ident $sub16:ident $shift16:ident, s32 $add32:ident $sub32:ident $shift32:ident
    ) => {
        $(#[$doc])*
        pub mod $module {
            use std::arch::x86_64::*;

            /// `B^T d`.
            #[inline]
            #[target_feature(enable = $features)]
            pub fn transform_pixels(d: [$vector; 6]) -> [$vector; 6] {
                let (four_d0, four_d1, four_d2) = ($shift16::<2>(d[0]), $shift16::<2>(d[1]), $shift16::<2>(d[2]));
                let (a, b) = ($sub16(d[4], four_d2), $sub16(d[3], four_d1));
                let (c, half_e) = ($sub16(d[4], d[2]), $sub16(d[3], d[1]));
                let e = $add16(half_e, half_e);
                [
                    $sub16($add16(four_d0, a), d[2]),
                    $add16(a, b),
                    $sub16(a, b),
                    $add16(c, e),
                    $sub16(c, e),
                    $sub16($sub16(d[5], d[3]), $add16(e, e)),
                ]
            }

            /// The scaled `G w`.
            #[inline]
            #[target_feature(enable = $features)]
            pub fn transform_weights(w: [$vector; 3]) -> [$vector; 6] {
                let ends = $add16(w[0], w[2]);
                let (far, twice) = ($add16(w[0], $shift16::<2>(w[2])), $add16(w[1], w[1]));
                [w[0], $add16(ends, w[1]), $sub16(ends, w[1]), $add16(far, twice), $sub16(far, twice), w[2]]
            }

            /// The scaled `A^T m`.
            #[inline]
            #[target_feature(enable = $features)]
            pub fn transform_sums(m: [$vector; 6]) -> [$vector; 4] {
                let (near, far) = ($add32(m[1], m[2]), $add32(m[3], m[4]));
                let (near_odd, far_odd) = ($sub32(m[1], m[2]), $sub32(m[3], m[4]));
                let (near, near_odd) = ($shift32::<2>(near), $shift32::<2>(near_odd));
                let six_times = $add32($shift32::<2>(m[0]), $add32(m[0], m[0]));
                let last = $shift32::<3>($add32(far_odd, $add32(m[5], $add32(m[5], m[5]))));
                [
                    $add32($sub32(six_times, near), far),
                    $sub32($add32(far_odd, far_odd), near_odd),
                    $sub32($shift32::<2>(far), near),
                    $sub32(last, near_odd),
                ]
            }

            /// A row of a square that is held by columns. A loop: closures that the compiler may leave out of line cost more than the
            /// transformation.
            #[inline]
            #[target_feature(enable = $features)]
            pub fn row_of<const COLS: usize, const ROWS: usize>(columns: &[[$vector; ROWS]; COLS], row: usize) -> [$vector; COLS] {
                let mut values = [columns[0][row]; COLS];
                for (value, column) in values.iter_mut().zip(columns) {
                    *value = column[row];
                }
                values
            }
        }
    };
}

transforms4! {
    /// 16 words or 8 sums at a time.
    transforms4_avx2, "avx2", __m256i,
    s16 _mm256_add_epi16 _mm256_sub_epi16 _mm256_slli_epi16, s32 _mm256_add_epi32 _mm256_sub_epi32 _mm256_slli_epi32
}
transforms4! {
    /// 32 words or 16 sums at a time.
    transforms4_avx512, "avx512f,avx512bw", __m512i,
    s16 _mm512_add_epi16 _mm512_sub_epi16 _mm512_slli_epi16, s32 _mm512_add_epi32 _mm512_sub_epi32 _mm512_slli_epi32
}
