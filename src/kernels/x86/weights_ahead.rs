//! What a kernel fetches for its next panels while it works on the present ones.
use super::avx512_vnni_job::EARLY_STEPS;
use crate::kernels::Int8Block;
use crate::packed::ROW_BYTES;
use std::arch::x86_64::*;
use std::cell::Cell;
use std::ops::Range;

/// Weights that are fetched into L2 while others are worked on.
pub struct WeightsAhead {
    /// What is fetched next.
    at: Cell<*const i8>,
    step: usize,
}

/// Fetching under way, in registers.
#[derive(Clone, Copy)]
pub struct Fetching {
    /// What is fetched next.
    pub at: *const i8,
    step: usize,
}

impl WeightsAhead {
    /// For panels `panels`, while the block's `tiles` tiles of the panels before them are computed.
    pub fn of(block: &Int8Block, panels: Range<usize>, tiles: usize) -> Self {
        let bytes = panels.len() * block.panel_stride;
        // Early steps of a tile, in the assembly, fetch nothing.
        let steps = tiles * (block.taps.rows * block.taps.cols * block.taps.run).saturating_sub(EARLY_STEPS);
        if bytes == 0 {
            return Self { at: Cell::new(block.weights), step: 0 };
        }
        // There before the last quarter of the tiles; a line a step at most: with few tiles the first lines matter most.
        let step = (bytes * 4).div_ceil(steps.max(1) * 3).min(ROW_BYTES);
        Self { at: Cell::new(block.weights.wrapping_add(panels.start * block.panel_stride)), step }
    }

    /// Bytes that fetching moves on with each step of products: fractions of a line, so that it is spread over all tiles.
    pub fn step(&self) -> usize {
        self.step
    }

    /// Where fetching is.
    #[inline(always)]
    pub fn fetching(&self) -> Fetching {
        Fetching { at: self.at.get(), step: self.step }
    }

    /// Fetching has come as far as `at`.
    #[inline(always)]
    pub fn went_on(&self, at: *const i8) {
        self.at.set(at);
    }
}

impl Fetching {
    /// Fetches for `steps` steps.
    #[inline(always)]
    pub fn fetch(&mut self, steps: usize) {
        // SAFETY: a prefetch of any address is allowed.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(self.at) };
        self.at = self.at.wrapping_add(steps * self.step);
    }
}

/// Fetches a tile's starting sums, multipliers and biases from `channel` on, which the next panels need at once: where another core has
/// them, that takes as long as a tile. Beyond the end it does nothing.
pub fn fetch_tables(block: &Int8Block, channel: usize) {
    let fetch = |table: *const i8| {
        // SAFETY: a prefetch of any address is allowed.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(table);
            _mm_prefetch::<_MM_HINT_T0>(table.wrapping_add(64));
        }
    };
    fetch(block.comp.wrapping_add(channel).cast());
    fetch(block.mult.wrapping_add(channel).cast());
    fetch(block.bias.wrapping_add(channel).cast());
}
