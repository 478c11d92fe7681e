//! `u8s8s32-winograd2-6x16-avx2` and `u8s8s32-winograd4-6x16-avx2`: F(2 x 2, 3 x 3) and F(4 x 4, 3 x 3) in s16, whose 16 and 36
//! products a tile are sums of [`super::pair_products`].
//!
//! Even and odd channels are transformed apart, so that widening is a mask or a shift and no lane ever moves. A run of 32 channels
//! becomes 16 pairs, 8 of even and 8 of odd channels; a panel's rows follow in the same order:
//!
//! ```text
//! tile, one position     c0|c2 c4|c6 .. c28|c30   c1|c3 c5|c7 .. c29|c31     64 bytes for 32 channels
//! panel, one position    16 channels x w0|w2      ..      16 channels x w1|w3   ..     64 bytes for each pair
//! ```
//!
//! Matrices (Lavin and Gray 2015, sections 4.1 and 4.3), `G` and `A` scaled so that all entries are whole numbers:
//!
//! ```text
//! m = 2                                           4 y
//! B^T = | 1  0 -1  0 |     2 G = | 2  0  0 |      A^T = | 1  1  1  0 |
//!       | 0  1  1  0 |           | 1  1  1 |            | 0  1 -1 -1 |
//!       | 0 -1  1  0 |           | 1 -1  1 |
//!       | 0  1  0 -1 |           | 0  0  2 |
//!
//! m = 4                                           24 * 24 y
//! B^T = | 4  0 -5  0  1  0 |   | 1  0  0 |        | 6 -4 -4  1  1  0 |
//!       | 0 -4 -4  1  1  0 |   | 1  1  1 |        | 0 -4  4  2 -2  0 |
//!       | 0  4 -4 -1  1  0 |   | 1 -1  1 |        | 0 -4 -4  4  4  0 |
//!       | 0 -2 -1  2  1  0 |   | 1  2  4 |        | 0 -4  4  8 -8 24 |
//!       | 0  2 -1 -2  1  0 |   | 1 -2  4 |
//!       | 0  4  0 -5  0  1 |   | 0  0  1 |
//! ```
//!
//! Ranges: transformed activations lie within +-1,020 (`m = 2`) and +-17,340, transformed weights within +-1,152 and +-6,272: s16. The
//! last division is by 4, and by 9 * 64: an odd number has an inverse modulo 2^32, so that 64 y must stay below 2^31. Tails: tiles of
//! fewer than 6 rows are compiled apart; outputs beyond the image are computed from whatever the driver lets them read and not stored.
use super::epilogue_avx2::store_row;
use super::pair_products::{STEP_BYTES, TILE_ROWS, add_products, even_words, odd_words};
use super::winograd_transforms::transforms4_avx2::{self, row_of};
use crate::isa::Avx2;
use crate::kernels::winograd::{TilePlace, WinogradCosts, WinogradKernel, WinogradSizes};
use crate::kernels::{Int8Epilogue, Position};
use crate::packed::{K_GROUP, PANEL_CHANNELS, ROW_BYTES};
use std::arch::x86_64::*;
use std::ops::Range;

/// Channels of a run.
const RUN_CHANNELS: usize = 32;
/// Pairs of a run's even, or odd, channels.
const RUN_PAIRS: usize = 8;
/// 4-byte groups of a run's channels.
const RUN_GROUPS: usize = RUN_CHANNELS / K_GROUP;
/// Tiles take most of an L2 of 512 KB.
const COSTS: WinogradCosts = WinogradCosts {
    tiles_bytes: 384 << 10,
    least_tiles: 32,
    shared_tiles: 0,
    panel_bytes: 160 << 10,
    cached_bytes: 0,
    held_bytes: 0,
    of_product: 1.0,
    of_weights: 2.5,
    of_tile: 2.0,
    of_sums: 0.0,
    beyond_cache: 1.0,
    worth: 0.75,
};
/// Largest activation.
const MOST_ACTIVATION: i64 = 255;

/// One form: `$m` outputs a side, `$n` source pixels a side; the last division is by `4^shift / $inverse` (modulo 2^32).
macro_rules! form {
    ($(#[$doc:meta])* $kernel:ident, $name:literal, $module:ident, $transforms:ident, $m:literal, $n:literal, shift $shift:literal, inverse $inverse:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub struct $kernel {
            _proof: Avx2,
        }

        impl $kernel {
            /// The kernel, on a CPU with AVX2.
            pub fn new(proof: Avx2) -> Self {
                Self { _proof: proof }
            }
        }

        // SAFETY: each function reads and writes what its caller describes (see their own reasons), and the token proves AVX2 and FMA.
        unsafe impl WinogradKernel for $kernel {
            fn name(&self) -> &'static str {
                $name
            }

            fn tile_side(&self) -> usize {
                $m
            }

            fn channel_multiple(&self) -> usize {
                RUN_CHANNELS
            }

            fn tiles_together(&self) -> usize {
                TILE_ROWS
            }

            fn costs(&self) -> WinogradCosts {
                COSTS
            }

            fn is_exact(&self, panels: &[i8], panel_bytes: usize) -> bool {
                // SAFETY: the token proves AVX2.
                panels.chunks_exact(panel_bytes).all(|panel| unsafe { largest_sum(panel) } < 1 << (31 - $shift))
            }

            unsafe fn transform_tile(&self, sizes: &WinogradSizes, pixels: &[*const u8], dst: *mut u8) {
                let pixels: &[*const u8; $n * $n] = pixels.try_into().expect("a tile has as many pixels as positions");
                for run in 0..sizes.channels / RUN_CHANNELS {
                    // SAFETY: the run is one of the pixels', and its 64 bytes are the tile's at each position.
                    unsafe { $module::transform_run(pixels, run * RUN_CHANNELS, dst.add(run * 2 * RUN_CHANNELS), sizes.tiles_stride()) }
                }
            }

            unsafe fn transform_panel(&self, sizes: &WinogradSizes, panel: *const i8, channels: Range<usize>, dst: *mut u8) {
                for (at, group) in (channels.start / K_GROUP..channels.end / K_GROUP).enumerate() {
                    let step = at / RUN_GROUPS * 2 * RUN_PAIRS + at % RUN_GROUPS;
                    let tap_bytes = sizes.channels * PANEL_CHANNELS;
                    // SAFETY: the group is one of the panel's; its even pairs are step `step`, its odd ones `RUN_PAIRS` steps on.
                    unsafe {
                        let (taps, dst) = (panel.add(group * ROW_BYTES), dst.add(step * STEP_BYTES));
                        $module::transform_group(taps, tap_bytes, dst, sizes.panel_stride());
                    }
                }
            }

            unsafe fn multiply(
                &self,
                sizes: &WinogradSizes,
                count: usize,
                channels: Range<usize>,
                tiles: *const u8,
                panel: *const u8,
                sums: *mut u8,
            ) {
                for position in 0..$n * $n {
                    // SAFETY: what belongs to the position; pairs of a tile take 2 bytes a channel.
                    unsafe {
                        let tiles = tiles.add(position * sizes.tiles_stride() + 2 * channels.start);
                        let panel = panel.add(position * sizes.panel_stride());
                        multiply_position(sizes, count, &channels, tiles, panel, sums.add(position * sizes.sums_stride()));
                    }
                }
            }

            unsafe fn finish(
                &self,
                sizes: &WinogradSizes,
                sums: *const u8,
                places: &[TilePlace],
                epilogue: &Int8Epilogue,
                channel: usize,
                comp: *const i32,
            ) {
                for (tile, place) in places.iter().enumerate() {
                    let sums = sums.wrapping_add(tile * sizes.sums_bytes());
                    // SAFETY: the tile's sums, and its outputs by the caller's promise.
                    unsafe { $module::finish_tile(sums, sizes.sums_stride(), place, epilogue, channel, comp) };
                }
            }
        }

        mod $module {
            use super::*;
            use super::$transforms::{transform_pixels, transform_sums, transform_weights};

            /// 32 channels of a tile from byte `at` of its pixels on.
            ///
            /// # Safety
            /// The CPU has AVX2; the pixels are readable for these channels, and `dst` writable for 64 bytes at all positions.
            #[target_feature(enable = "avx2")]
            pub unsafe fn transform_run(pixels: &[*const u8; $n * $n], at: usize, dst: *mut u8, stride: usize) {
                let even_bytes = _mm256_set1_epi16(0xff);
                for odd in 0..2 {
                    let mut columns = [[_mm256_setzero_si256(); $n]; $n];
                    for col in 0..$n {
                        let mut d = [_mm256_setzero_si256(); $n];
                        for row in 0..$n {
                            // SAFETY: the caller's promise.
                            let bytes = unsafe { _mm256_loadu_si256(pixels[row * $n + col].add(at).cast()) };
                            d[row] = if odd == 0 { _mm256_and_si256(bytes, even_bytes) } else { _mm256_srli_epi16::<8>(bytes) };
                        }
                        columns[col] = transform_pixels(d);
                    }
                    for row in 0..$n {
                        let words = transform_pixels(row_of(&columns, row));
                        for (col, words) in words.into_iter().enumerate() {
                            // SAFETY: the caller's promise.
                            unsafe { _mm256_storeu_si256(dst.add((row * $n + col) * stride + odd * 32).cast(), words) };
                        }
                    }
                }
            }

            /// 4 input channels of a panel, from the same row of each tap; taps are `tap_bytes` apart.
            ///
            /// # Safety
            /// The CPU has AVX2; 64 bytes of each tap are readable, and `dst` is writable for a step there and [`RUN_PAIRS`] steps on at
            /// all positions.
            #[target_feature(enable = "avx2")]
            pub unsafe fn transform_group(taps: *const i8, tap_bytes: usize, dst: *mut u8, stride: usize) {
                for odd in 0..2 {
                    for half in 0..2 {
                        let mut columns = [[_mm256_setzero_si256(); $n]; 3];
                        for col in 0..3 {
                            let mut w = [_mm256_setzero_si256(); 3];
                            for row in 0..3 {
                                // SAFETY: the caller's promise.
                                let bytes = unsafe { _mm256_loadu_si256(taps.add((row * 3 + col) * tap_bytes + half * 32).cast()) };
                                w[row] = if odd == 0 { even_words(bytes) } else { odd_words(bytes) };
                            }
                            columns[col] = transform_weights(w);
                        }
                        for row in 0..$n {
                            let words = transform_weights(row_of(&columns, row));
                            for (col, words) in words.into_iter().enumerate() {
                                let at = (row * $n + col) * stride + odd * RUN_PAIRS * STEP_BYTES + half * 32;
                                // SAFETY: the caller's promise.
                                unsafe { _mm256_storeu_si256(dst.add(at).cast(), words) };
                            }
                        }
                    }
                }
            }

            /// One tile of [`WinogradKernel::finish`].
            ///
            /// # Safety
            /// As there; the CPU has AVX2 and FMA.
            #[target_feature(enable = "avx2,fma")]
            pub unsafe fn finish_tile(
                sums: *const u8,
                stride: usize,
                place: &TilePlace,
                epilogue: &Int8Epilogue,
                channel: usize,
                comp: *const i32,
            ) {
                let mut acc = [[[_mm256_setzero_si256(); 2]; $m]; $m];
                for half in 0..2 {
                    // SAFETY: 16 sums are readable at each position, and 16 entries of `comp`.
                    let comp = unsafe { _mm256_loadu_si256(comp.add(half * 8).cast()) };
                    let mut columns = [[_mm256_setzero_si256(); $m]; $n];
                    for col in 0..$n {
                        let mut m = [_mm256_setzero_si256(); $n];
                        for row in 0..$n {
                            // SAFETY: as above.
                            m[row] = unsafe { _mm256_loadu_si256(sums.add((row * $n + col) * stride + half * 32).cast()) };
                        }
                        columns[col] = transform_sums(m);
                    }
                    for row in 0..$m {
                        let y = transform_sums(row_of(&columns, row));
                        for col in 0..$m {
                            let y = if $inverse == 1 { y[col] } else { _mm256_mullo_epi32(y[col], _mm256_set1_epi32($inverse)) };
                            acc[row][col][half] = _mm256_add_epi32(_mm256_srai_epi32::<$shift>(y), comp);
                        }
                    }
                }
                for row in 0..place.rows {
                    let at = |col: usize| Position { row: place.row + row, col: place.col + col };
                    // SAFETY: only pixels that are outputs are stored: the caller's promise.
                    unsafe {
                        if place.cols == $m {
                            store_row(epilogue, channel, at(0), &acc[row]);
                        } else {
                            (0..place.cols).for_each(|col| store_row(epilogue, channel, at(col), &[acc[row][col]]));
                        }
                    }
                }
            }
        }
    };
}

form! {
    /// F(2 x 2, 3 x 3): exact for any weights of up to 1,827 input channels.
    Winograd2Avx2, "u8s8s32-winograd2-6x16-avx2", form2, transforms2, 2, 4, shift 2, inverse 1
}
form! {
    /// F(4 x 4, 3 x 3); the odd factor of its multiple is 9, whose inverse is `(2^33 + 1) / 9`.
    Winograd4Avx2, "u8s8s32-winograd4-6x16-avx2", form4, transforms4_avx2, 4, 6, shift 6, inverse 954_437_177
}

/// The matrices of F(2 x 2, 3 x 3).
mod transforms2 {
    use std::arch::x86_64::*;

    /// `B^T d`.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn transform_pixels(d: [__m256i; 4]) -> [__m256i; 4] {
        [_mm256_sub_epi16(d[0], d[2]), _mm256_add_epi16(d[1], d[2]), _mm256_sub_epi16(d[2], d[1]), _mm256_sub_epi16(d[1], d[3])]
    }

    /// `2 G w`.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn transform_weights(w: [__m256i; 3]) -> [__m256i; 4] {
        let ends = _mm256_add_epi16(w[0], w[2]);
        [_mm256_add_epi16(w[0], w[0]), _mm256_add_epi16(ends, w[1]), _mm256_sub_epi16(ends, w[1]), _mm256_add_epi16(w[2], w[2])]
    }

    /// `A^T m`.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub fn transform_sums(m: [__m256i; 4]) -> [__m256i; 2] {
        let (sum, difference) = (_mm256_add_epi32(m[1], m[2]), _mm256_sub_epi32(m[1], m[2]));
        [_mm256_add_epi32(m[0], sum), _mm256_sub_epi32(difference, m[3])]
    }
}

/// The largest sum of a channel's products, in size, whatever the activations are.
///
/// # Safety
/// The CPU has AVX2.
#[target_feature(enable = "avx2")]
pub unsafe fn largest_sum(panel: &[i8]) -> i64 {
    let (zero, ones, one_words) = (_mm256_setzero_si256(), _mm256_set1_epi8(1), _mm256_set1_epi16(1));
    // Sums of 8 channels' positive weights, and of the sizes of their negative ones, for each half of the rows.
    let mut sums = [[zero; 2]; 2];
    for row in panel.chunks_exact(ROW_BYTES) {
        for (half, sums) in sums.iter_mut().enumerate() {
            // SAFETY: half a row.
            let row = unsafe { _mm256_loadu_si256(row.as_ptr().add(half * 32).cast()) };
            // -128 becomes 128: the sizes are u8.
            let sizes = [_mm256_max_epi8(row, zero), _mm256_abs_epi8(_mm256_min_epi8(row, zero))];
            for (sum, sizes) in sums.iter_mut().zip(sizes) {
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(_mm256_maddubs_epi16(sizes, ones), one_words));
            }
        }
    }
    let mut largest = 0;
    for sum in sums.into_iter().flatten() {
        let mut lanes = [0i32; 8];
        // SAFETY: 8 lanes have room for 8 lanes.
        unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), sum) };
        largest = lanes.into_iter().map(i64::from).max().unwrap_or(0).max(largest);
    }
    largest * MOST_ACTIVATION
}

/// One position of [`WinogradKernel::multiply`].
///
/// # Safety
/// The CPU has AVX2; the addresses are those of the position.
#[target_feature(enable = "avx2")]
unsafe fn multiply_position(
    sizes: &WinogradSizes,
    count: usize,
    channels: &Range<usize>,
    tiles: *const u8,
    panel: *const u8,
    sums: *mut u8,
) {
    let mut first = 0;
    while first < count {
        let left = count - first;
        let rows = left.div_ceil(left.div_ceil(TILE_ROWS));
        // SAFETY: `rows` tiles begin at `first`.
        unsafe {
            let (tiles, sums) = (tiles.add(first * sizes.tile_bytes()), sums.add(first * WinogradSizes::PANEL_SUMS_BYTES));
            match rows {
                1 => multiply_rows::<1>(sizes, channels, tiles, panel, sums),
                2 => multiply_rows::<2>(sizes, channels, tiles, panel, sums),
                3 => multiply_rows::<3>(sizes, channels, tiles, panel, sums),
                4 => multiply_rows::<4>(sizes, channels, tiles, panel, sums),
                5 => multiply_rows::<5>(sizes, channels, tiles, panel, sums),
                _ => multiply_rows::<6>(sizes, channels, tiles, panel, sums),
            }
        }
        first += rows;
    }
}

/// `P` tiles at one position.
///
/// # Safety
/// As for [`multiply_position`].
#[target_feature(enable = "avx2")]
unsafe fn multiply_rows<const P: usize>(sizes: &WinogradSizes, channels: &Range<usize>, tiles: *const u8, panel: *const u8, sums: *mut u8) {
    let mut rows = [tiles; P];
    for p in 0..P {
        rows[p] = tiles.wrapping_add(p * sizes.tile_bytes());
    }
    let mut acc = [[_mm256_setzero_si256(); 2]; P];
    // SAFETY: each tile has a pair for two channels, and the panel a step; the sums are writable, and there unless the channels are the first.
    unsafe {
        if channels.start > 0 {
            for (p, acc) in acc.iter_mut().enumerate() {
                let sums = sums.add(p * WinogradSizes::PANEL_SUMS_BYTES);
                *acc = [_mm256_loadu_si256(sums.cast()), _mm256_loadu_si256(sums.add(32).cast())];
            }
        }
        add_products(&mut acc, &rows, panel, channels.len() / 2);
        for (p, acc) in acc.iter().enumerate() {
            let sums = sums.add(p * WinogradSizes::PANEL_SUMS_BYTES);
            _mm256_storeu_si256(sums.cast(), acc[0]);
            _mm256_storeu_si256(sums.add(32).cast(), acc[1]);
        }
    }
}
