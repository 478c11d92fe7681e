//! Which vector instructions finish the sums that tiles leave in memory.
//!
//! Every CPU with AMX has AVX-512. The AVX2 form lets the kernel run where tile instructions are executed by a trap
//! handler and the rest by a CPU without AVX-512.
use super::{epilogue_avx2, epilogue_avx512};
use crate::isa::{Avx2, Avx512};
use crate::kernels::{Int8Epilogue, Position};
use crate::packed::PANEL_CHANNELS;
use std::arch::x86_64::*;

/// The vector instructions of the epilogue, with the proof that the CPU has them.
#[derive(Debug, Clone, Copy)]
pub enum AmxEpilogue {
    /// AVX-512.
    Avx512(Avx512),
    /// AVX2 and FMA.
    Avx2(Avx2),
}

/// Sums of a run of pixels: 16 i32 a panel, the second panel's behind the first's.
#[derive(Debug, Clone, Copy)]
pub struct Sums {
    /// The first pixel's.
    pub start: *const u8,
    /// Bytes from pixel to pixel.
    pub stride: usize,
    /// The first pixel.
    pub at: Position,
    /// How many pixels, one after the other in a row of the block.
    pub pixels: usize,
}

impl AmxEpilogue {
    /// Finishes the sums of `panels` (1 or 2) panels, whose first channel is `channel`.
    ///
    /// # Safety
    /// The sums are readable, `mult` and `bias` too for the panels; destination and residual pixels are those of the
    /// epilogue's block.
    pub unsafe fn store(self, epilogue: &Int8Epilogue, channel: usize, panels: usize, sums: &Sums) {
        use epilogue_avx512::{Panels, store_rows};
        // SAFETY: the token proves the instructions; the rest is the caller's promise.
        unsafe {
            match (self, panels) {
                (AmxEpilogue::Avx512(_), 2) => store_rows(Panels::<2> { epilogue, channel }, sums.start, sums.stride, sums.at, sums.pixels),
                (AmxEpilogue::Avx512(_), _) => store_rows(Panels::<1> { epilogue, channel }, sums.start, sums.stride, sums.at, sums.pixels),
                (AmxEpilogue::Avx2(_), _) => {
                    for panel in 0..panels {
                        store_avx2(epilogue, channel, panel, sums);
                    }
                }
            }
        }
    }
}

/// Finishes one panel by AVX2, two pixels at a time.
///
/// # Safety
/// As for [`AmxEpilogue::store`], on a CPU with AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
unsafe fn store_avx2(epilogue: &Int8Epilogue, channel: usize, panel: usize, sums: &Sums) {
    let channel = channel + panel * PANEL_CHANNELS;
    let position = |pixel: usize| Position { row: sums.at.row, col: sums.at.col + pixel };
    // SAFETY: the caller's promise: the pixel's sums are readable.
    let load = |pixel: usize| unsafe {
        let start = sums.start.add(pixel * sums.stride + panel * PANEL_CHANNELS * 4);
        [_mm256_loadu_si256(start.cast()), _mm256_loadu_si256(start.add(32).cast())]
    };
    for pixel in (0..sums.pixels).step_by(2) {
        // SAFETY: the caller's promise.
        unsafe {
            if pixel + 1 < sums.pixels {
                let positions = [position(pixel), position(pixel + 1)];
                epilogue_avx2::store_tile(epilogue, channel, &positions, &[load(pixel), load(pixel + 1)]);
            } else {
                epilogue_avx2::store_tile(epilogue, channel, &[position(pixel)], &[load(pixel)]);
            }
        }
    }
}
