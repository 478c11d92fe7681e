//! `u8s8s32-winograd4-14x32-avx512_vnni`: F(4 x 4, 3 x 3), whose 36 products a tile are sums of pairs by 512-bit `vpdpwssd`.
//!
//! Its products are half as wide as `vpdpbusd`'s, and a quarter of them is left: half the time, to which the transformations add an
//! eighth (64 channels: a quarter). Matrices, ranges and what is exact: as in `winograd_avx2`.
//!
//! Pairs are neighbouring channels, on both sides:
//!
//! ```text
//! tile, one position      c0|c1 c2|c3 .. c30|c31                                     64 bytes for 32 channels
//! panels, one position    panel 0: 16 channels x w0|w1, panel 1: 16 channels x w0|w1    128 bytes for each pair
//! sums, one position      panel 0: 16 x s32, panel 1: 16 x s32                          128 bytes for each tile
//! ```
//!
//! Tile: 14 transformed tiles x 2 panels, 28 accumulators, 2 weight rows and 1 broadcast, in assembly: no compiler setting can
//! move an accumulator to memory. Tails: 2 to 12 tiles in steps of 2; an odd one is multiplied with what lies behind it, and a second
//! panel that is not there gives sums that nobody reads. Overflow: sums wrap, so that what matters is the last one.
use super::epilogue_avx512::{Panels, store_four_pixels, store_rows};
use super::winograd_avx2::largest_sum;
use super::winograd_transforms::transforms4_avx512::{row_of, transform_pixels, transform_sums, transform_weights};
use crate::isa::Avx512Vnni;
use crate::kernels::winograd::{TilePlace, WinogradCosts, WinogradKernel, WinogradSizes};
use crate::kernels::{Int8Epilogue, Int8Output, Position};
use crate::packed::{K_GROUP, PANEL_CHANNELS, ROW_BYTES};
use std::arch::asm;
use std::arch::x86_64::*;
use std::ops::Range;

/// Outputs of a tile's side.
const SIDE: usize = 4;
/// Source pixels of a tile's side.
const SRC_SIDE: usize = 6;
const POSITIONS: usize = SRC_SIDE * SRC_SIDE;
/// Channels that are transformed at a time.
const RUN_CHANNELS: usize = 32;
/// Panels that are multiplied together.
const PANELS: usize = 2;
/// Tiles that are multiplied together.
const TILE_ROWS: usize = 14;
/// Tiles come in twos.
const TILE_MULTIPLE: usize = 2;
/// Bits by which the last division shifts; then comes [`INVERSE_OF_9`].
const SHIFT: u32 = 6;
/// `(2^33 + 1) / 9`: modulo 2^32, to multiply by it divides a multiple of 9.
const INVERSE_OF_9: i32 = 954_437_177;
/// Panels of 64 channels, 14 tiles and their sums share an L2 of 1 MB; larger panels come from L3, for more tiles.
const COSTS: WinogradCosts = WinogradCosts {
    tiles_bytes: 64 << 10,
    least_tiles: 28,
    shared_tiles: 64,
    panel_bytes: 640 << 10,
    cached_bytes: 384 << 10,
    held_bytes: 1200 << 10,
    of_product: 2.0,
    of_weights: 2.5,
    of_tile: 6.0,
    of_sums: 11.0,
    beyond_cache: 1.3,
    worth: 0.85,
};

/// F(4 x 4, 3 x 3); it holds the proof that this CPU has the instructions.
#[derive(Debug, Clone, Copy)]
pub struct Winograd4Avx512Vnni {
    _proof: Avx512Vnni,
}

impl Winograd4Avx512Vnni {
    /// The kernel, on a CPU with AVX512-VNNI.
    pub fn new(proof: Avx512Vnni) -> Self {
        Self { _proof: proof }
    }
}

// SAFETY: each function reads and writes what its caller describes (see their own reasons), and the token proves AVX512-VNNI and AVX2.
unsafe impl WinogradKernel for Winograd4Avx512Vnni {
    fn name(&self) -> &'static str {
        "u8s8s32-winograd4-14x32-avx512_vnni"
    }

    fn tile_side(&self) -> usize {
        SIDE
    }

    fn channel_multiple(&self) -> usize {
        RUN_CHANNELS
    }

    fn panels(&self) -> usize {
        PANELS
    }

    fn tiles_together(&self) -> usize {
        TILE_ROWS
    }

    fn tile_multiple(&self) -> usize {
        TILE_MULTIPLE
    }

    fn costs(&self) -> WinogradCosts {
        COSTS
    }

    fn is_exact(&self, panels: &[i8], panel_bytes: usize) -> bool {
        // SAFETY: the token proves AVX2.
        panels.chunks_exact(panel_bytes).all(|panel| unsafe { largest_sum(panel) } < 1 << (31 - SHIFT))
    }

    unsafe fn transform_tile(&self, sizes: &WinogradSizes, pixels: &[*const u8], dst: *mut u8) {
        let pixels: &[*const u8; POSITIONS] = pixels.try_into().expect("a tile has as many pixels as positions");
        for channel in (0..sizes.channels).step_by(RUN_CHANNELS) {
            // SAFETY: the channels are the pixels', and their 64 bytes are the tile's at each position.
            unsafe { transform_run(pixels, channel, dst.add(2 * channel), sizes.tiles_stride()) }
        }
    }

    unsafe fn transform_panel(&self, sizes: &WinogradSizes, panel: *const i8, channels: Range<usize>, dst: *mut u8) {
        for (at, group) in (channels.start / K_GROUP..channels.end / K_GROUP).enumerate() {
            // SAFETY: the group is one of the panel's; its two pairs follow those of the groups before it.
            unsafe {
                let (taps, dst) = (panel.add(group * ROW_BYTES), dst.add(at * 2 * PANELS * WinogradSizes::PAIR_BYTES));
                transform_group(taps, sizes.channels * PANEL_CHANNELS, dst, sizes.panel_stride());
            }
        }
    }

    unsafe fn multiply(
        &self,
        sizes: &WinogradSizes,
        count: usize,
        channels: Range<usize>,
        tiles: *const u8,
        panels: *const u8,
        sums: *mut u8,
    ) {
        let twos = count.div_ceil(TILE_MULTIPLE);
        let groups = twos.div_ceil(TILE_ROWS / TILE_MULTIPLE);
        for position in 0..sizes.positions {
            let mut first = 0;
            for group in 0..groups {
                let rows = ((twos + group) / groups) * TILE_MULTIPLE;
                // SAFETY: what belongs to the position; pairs of a tile take 2 bytes a channel. The token proves the instructions.
                unsafe {
                    let products = Products {
                        rows: tiles.add(position * sizes.tiles_stride() + first * sizes.tile_bytes() + 2 * channels.start),
                        row_bytes: sizes.tile_bytes(),
                        weights: panels.add(position * sizes.panel_stride()),
                        steps: channels.len() / 2,
                        sums: sums.add(position * sizes.sums_stride() + first * sizes.sums_bytes()),
                        again: channels.start > 0,
                    };
                    products.add(rows);
                }
                first += rows;
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
            unsafe { finish_tile(sums, sizes.sums_stride(), place, epilogue, channel, comp) };
        }
    }
}

/// 32 channels of a tile from byte `at` of its pixels on.
///
/// # Safety
/// The CPU has AVX-512; the pixels are readable for these channels, and `dst` writable for 64 bytes at all positions.
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn transform_run(pixels: &[*const u8; POSITIONS], at: usize, dst: *mut u8, stride: usize) {
    let zero = _mm512_setzero_si512();
    let mut columns = [[zero; SRC_SIDE]; SRC_SIDE];
    for (col, column) in columns.iter_mut().enumerate() {
        let mut d = [zero; SRC_SIDE];
        for (row, d) in d.iter_mut().enumerate() {
            // SAFETY: the caller's promise.
            *d = unsafe { _mm512_cvtepu8_epi16(_mm256_loadu_si256(pixels[row * SRC_SIDE + col].add(at).cast())) };
        }
        *column = transform_pixels(d);
    }
    for row in 0..SRC_SIDE {
        let words = transform_pixels(row_of(&columns, row));
        for (col, words) in words.into_iter().enumerate() {
            // SAFETY: the caller's promise.
            unsafe { _mm512_storeu_si512(dst.add((row * SRC_SIDE + col) * stride).cast(), words) };
        }
    }
}

/// 4 input channels of a panel, from the same row of each tap; taps are `tap_bytes` apart.
///
/// # Safety
/// The CPU has AVX-512; 64 bytes of each tap are readable, and `dst` is writable for two pairs at all positions.
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn transform_group(taps: *const i8, tap_bytes: usize, dst: *mut u8, stride: usize) {
    let zero = _mm512_setzero_si512();
    for pair in 0..2i32 {
        // Two bytes of each channel's four become the upper bytes of two words.
        let upper = 0x0180_0080 + 0x0200_0200 * pair;
        let upper = _mm512_broadcast_i32x4(_mm_setr_epi32(upper, upper + 0x0400_0400, upper + 0x0800_0800, upper + 0x0c00_0c00));
        let mut columns = [[zero; SRC_SIDE]; 3];
        for (col, column) in columns.iter_mut().enumerate() {
            let mut w = [zero; 3];
            for (row, w) in w.iter_mut().enumerate() {
                // SAFETY: the caller's promise.
                let bytes = unsafe { _mm512_loadu_si512(taps.add((row * 3 + col) * tap_bytes).cast()) };
                *w = _mm512_srai_epi16::<8>(_mm512_shuffle_epi8(bytes, upper));
            }
            *column = transform_weights(w);
        }
        for row in 0..SRC_SIDE {
            let words = transform_weights(row_of(&columns, row));
            for (col, words) in words.into_iter().enumerate() {
                let at = (row * SRC_SIDE + col) * stride + pair as usize * PANELS * WinogradSizes::PAIR_BYTES;
                // SAFETY: the caller's promise.
                unsafe { _mm512_storeu_si512(dst.add(at).cast(), words) };
            }
        }
    }
}

/// One tile of [`WinogradKernel::finish`].
///
/// # Safety
/// As there; the CPU has AVX-512.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq")]
unsafe fn finish_tile(sums: *const u8, stride: usize, place: &TilePlace, epilogue: &Int8Epilogue, channel: usize, comp: *const i32) {
    let zero = _mm512_setzero_si512();
    let mut columns = [[zero; SIDE]; SRC_SIDE];
    for (col, column) in columns.iter_mut().enumerate() {
        let mut m = [zero; SRC_SIDE];
        for (row, m) in m.iter_mut().enumerate() {
            // SAFETY: 16 sums are readable at each position.
            *m = unsafe { _mm512_loadu_si512(sums.add((row * SRC_SIDE + col) * stride).cast()) };
        }
        *column = transform_sums(m);
    }
    // SAFETY: 16 entries of `comp` are readable.
    let comp = unsafe { _mm512_loadu_si512(comp.cast()) };
    let panels = Panels::<1> { epilogue, channel };
    let whole = place.cols == SIDE && panels.stored() == PANEL_CHANNELS;
    for row in 0..place.rows {
        let mut y = transform_sums(row_of(&columns, row));
        for y in &mut y {
            *y = _mm512_add_epi32(_mm512_srai_epi32::<SHIFT>(_mm512_mullo_epi32(*y, _mm512_set1_epi32(INVERSE_OF_9))), comp);
        }
        let at = Position { row: place.row + row, col: place.col };
        match &epilogue.output {
            // SAFETY: the row's pixels are outputs, all of them and whole panels: the caller's promise.
            Int8Output::U8 { dst, residual: None, requantize } if requantize.within_i32 && whole => unsafe {
                store_four_pixels(panels, requantize, y, dst.at(at.row, at.col).add(channel), dst.col_stride);
            },
            // SAFETY: only pixels that are outputs are stored: the caller's promise.
            _ => unsafe { store_rows(panels, y.as_ptr().cast(), size_of::<__m512i>(), at, place.cols) },
        }
    }
}

/// Rows of pairs times two panels' pairs, at one position.
#[derive(Clone, Copy)]
struct Products {
    /// The first row's pairs.
    rows: *const u8,
    /// From a row to the next.
    row_bytes: usize,
    weights: *const u8,
    /// Pairs of a row.
    steps: usize,
    sums: *mut u8,
    /// Whether the sums are there, and are added to.
    again: bool,
}

macro_rules! load_sums {
    ($row:literal, $at:literal, $a:literal, $b:literal) => {
        concat!(
            "vmovdqu64 zmm",
            $a,
            ", zmmword ptr [{sums} + 128*",
            $row,
            "]\n",
            "vmovdqu64 zmm",
            $b,
            ", zmmword ptr [{sums} + 128*",
            $row,
            " + 64]\n",
        )
    };
}

macro_rules! no_sums {
    ($row:literal, $at:literal, $a:literal, $b:literal) => {
        concat!("vpxord zmm", $a, ", zmm", $a, ", zmm", $a, "\nvpxord zmm", $b, ", zmm", $b, ", zmm", $b, "\n")
    };
}

macro_rules! store_sums {
    ($row:literal, $at:literal, $a:literal, $b:literal) => {
        concat!(
            "vmovdqu64 zmmword ptr [{sums} + 128*",
            $row,
            "], zmm",
            $a,
            "\n",
            "vmovdqu64 zmmword ptr [{sums} + 128*",
            $row,
            " + 64], zmm",
            $b,
            "\n",
        )
    };
}

macro_rules! add_products {
    ($row:literal, $at:literal, $a:literal, $b:literal) => {
        concat!(
            "vpbroadcastd zmm30, dword ptr [",
            $at,
            "]\n",
            "vpdpwssd zmm",
            $a,
            ", zmm30, zmm28\n",
            "vpdpwssd zmm",
            $b,
            ", zmm30, zmm29\n",
        )
    };
}

/// All steps of some rows.
macro_rules! products {
    ($products:ident, $(($row:literal, $at:literal, $a:literal, $b:literal))+) => {{
        let Products { rows, row_bytes, weights, steps, sums, again } = $products;
        asm!(
            "/* {row} {row3} {row5} */",
            "test {again}, {again}",
            "jz 3f",
            concat!($(load_sums!($row, $at, $a, $b),)+),
            "jmp 2f",
            "3:",
            concat!($(no_sums!($row, $at, $a, $b),)+),
            ".p2align 5",
            "2:",
            "vmovdqu64 zmm28, zmmword ptr [{weights}]",
            "vmovdqu64 zmm29, zmmword ptr [{weights} + 64]",
            concat!($(add_products!($row, $at, $a, $b),)+),
            "add {first}, 4",
            "add {second}, 4",
            "add {weights}, 128",
            "dec {steps}",
            "jnz 2b",
            concat!($(store_sums!($row, $at, $a, $b),)+),
            first = inout(reg) rows => _, second = inout(reg) rows.wrapping_add(7 * row_bytes) => _,
            row = in(reg) row_bytes, row3 = in(reg) 3 * row_bytes, row5 = in(reg) 5 * row_bytes,
            weights = inout(reg) weights => _, steps = inout(reg) steps => _, sums = in(reg) sums, again = in(reg) usize::from(again),
            out("zmm0") _, out("zmm1") _, out("zmm2") _, out("zmm3") _, out("zmm4") _, out("zmm5") _, out("zmm6") _, out("zmm7") _,
            out("zmm8") _, out("zmm9") _, out("zmm10") _, out("zmm11") _, out("zmm12") _, out("zmm13") _, out("zmm14") _,
            out("zmm15") _, out("zmm16") _, out("zmm17") _, out("zmm18") _, out("zmm19") _, out("zmm20") _, out("zmm21") _,
            out("zmm22") _, out("zmm23") _, out("zmm24") _, out("zmm25") _, out("zmm26") _, out("zmm27") _, out("zmm28") _,
            out("zmm29") _, out("zmm30") _,
            options(nostack),
        );
    }};
}

/// `products!` for the first rows of 14.
#[rustfmt::skip]
macro_rules! first_rows {
    (2, $products:ident $($more:tt)*) => {
        products!($products, ("0", "{first}", "0", "1") ("1", "{first} + {row}", "2", "3") $($more)*)
    };
    (4, $products:ident $($more:tt)*) => {
        first_rows!(2, $products ("2", "{first} + 2*{row}", "4", "5") ("3", "{first} + {row3}", "6", "7") $($more)*)
    };
    (6, $products:ident $($more:tt)*) => {
        first_rows!(4, $products ("4", "{first} + 4*{row}", "8", "9") ("5", "{first} + {row5}", "10", "11") $($more)*)
    };
    (8, $products:ident $($more:tt)*) => {
        first_rows!(6, $products ("6", "{first} + 2*{row3}", "12", "13") ("7", "{second}", "14", "15") $($more)*)
    };
    (10, $products:ident $($more:tt)*) => {
        first_rows!(8, $products ("8", "{second} + {row}", "16", "17") ("9", "{second} + 2*{row}", "18", "19") $($more)*)
    };
    (12, $products:ident $($more:tt)*) => {
        first_rows!(10, $products ("10", "{second} + {row3}", "20", "21") ("11", "{second} + 4*{row}", "22", "23") $($more)*)
    };
    (14, $products:ident) => {
        first_rows!(12, $products ("12", "{second} + {row5}", "24", "25") ("13", "{second} + 2*{row3}", "26", "27"))
    };
}

impl Products {
    /// Multiplies 2, 4, .. [`TILE_ROWS`] rows.
    ///
    /// # Safety
    /// The CPU has AVX512-VNNI; pairs of all rows are readable and sums writable, and readable where they are added to.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    unsafe fn add(self, rows: usize) {
        debug_assert!(self.steps > 0 && rows.is_multiple_of(TILE_MULTIPLE) && (TILE_MULTIPLE..=TILE_ROWS).contains(&rows));
        // SAFETY: the caller's promise.
        unsafe {
            match rows {
                14 => first_rows!(14, self),
                12 => first_rows!(12, self),
                10 => first_rows!(10, self),
                8 => first_rows!(8, self),
                6 => first_rows!(6, self),
                4 => first_rows!(4, self),
                _ => first_rows!(2, self),
            }
        }
    }
}
