//! `u8s8s32-32x32-amx_int8`: u8 activations times s8 weights by AMX tiles, 32 pixels x 32 channels a block.
//!
//! Block: 2 x 2 tiles accumulate, 2 tiles hold activations (16 pixels x 64 k each), 2 hold weights (16 rows of 4 k x 16
//! channels each). Four `tdpbusd` of 16 cycles stand against four tile loads of 8, so the loads hide.
//!
//! ```text
//!                      tmm6: panel 0    tmm7: panel 1        a step: up to 64 k of one tap
//! tmm4: 16 pixels      tmm0             tmm1
//! tmm5: 16 pixels      tmm2             tmm3
//! ```
//!
//! A tile's rows are pixels where they lie: the tile load's stride is the pixel stride. Accumulators begin as `comp`,
//! loaded with a stride of 0. The steps of all taps are listed once a block, so the whole loop over k is one piece of
//! assembly. It leaves its sums in one of two scratch blocks; the epilogue of the block before, which lies in the other,
//! follows it in the instruction stream and overlaps with its tile products.
//!
//! Loops: pairs of panels outside, pairs of pixel tiles inside.
//!
//! Preconditions: a step must divide a tap's run, or the source is a gathered panel whose rows are padded with zeros to 64
//! and the weights have rows (of anything) behind a panel to meet them. Tails: rows of fewer than 16 pixels set the tile's
//! rows; longer rows end with a tile that overlaps its neighbour, of which only the new pixels are finished, so no pixel
//! outside the block is read and none is finished twice. An odd last tile or panel runs a 1 x 2, 2 x 1 or 1 x 1 loop.
//! Overflow: `tdpbusd` wraps, and `k <= 65793` keeps the sum within i32.
use super::amx_epilogue::{AmxEpilogue, Sums};
use super::amx_tiles::{self, Step, TileJob, TileShape};
use super::pixel_tiles::along_longer_side;
use crate::isa::{AmxInt8, Isa};
use crate::kernels::{Int8Block, Int8Epilogue, Int8Kernel, Position, SourceForm, Taps};
use crate::packed::{K_GROUP, PANEL_CHANNELS, ROW_BYTES};

/// Pixels of a full tile.
const TILE_ROWS: usize = 16;
/// 4-byte groups of k in a full tile.
const TILE_GROUPS: usize = 16;
/// Pixel tiles, and panels, of a full block.
const BLOCK_TILES: usize = 2;
/// Bytes of a full block's sums.
const SUMS_BYTES: usize = BLOCK_TILES * TILE_ROWS * amx_tiles::SUMS_STRIDE;

/// The AMX int8 kernel; it holds the proof that tile instructions can be executed.
#[derive(Debug, Clone, Copy)]
pub struct Int8Amx {
    _proof: AmxInt8,
    epilogue: AmxEpilogue,
}

impl Int8Amx {
    /// The kernel, finishing blocks by the given vector instructions.
    pub fn new(proof: AmxInt8, epilogue: AmxEpilogue) -> Self {
        Self { _proof: proof, epilogue }
    }
}

// SAFETY: `run` reads and writes what the block describes: tiles begin and end inside a row of the block's pixels, steps
// are those of its taps, panels are its own, and the epilogue keeps to the stored channels.
unsafe impl Int8Kernel for Int8Amx {
    fn name(&self) -> &'static str {
        match self.epilogue {
            AmxEpilogue::Avx512(_) => "u8s8s32-32x32-amx_int8",
            AmxEpilogue::Avx2(_) => "u8s8s32-32x32-amx_int8_avx2",
        }
    }

    fn isa(&self) -> Isa {
        Isa::AmxInt8
    }

    fn source_form(&self, taps: usize, k_per_tap: usize) -> SourceForm {
        if taps <= 1 && even_step(k_per_tap / K_GROUP).is_some() {
            SourceForm::Direct
        } else {
            SourceForm::Gathered { bytes_per_value: 1, k_multiple: TILE_GROUPS * K_GROUP }
        }
    }

    fn tile_pixels(&self) -> usize {
        BLOCK_TILES * TILE_ROWS
    }

    fn scratch_bytes(&self, k: usize) -> usize {
        // Two blocks of sums; at worst each group of k is a step of its own.
        2 * SUMS_BYTES + k.div_ceil(K_GROUP) * size_of::<Step>()
    }

    fn enter(&self) {
        // Whatever the thread's tiles were configured for, it was not for us.
        amx_tiles::forget();
    }

    fn leave(&self) {
        // SAFETY: the token proves that tile instructions can be executed.
        unsafe { amx_tiles::release() }
    }

    unsafe fn run(&self, block: &Int8Block, scratch: &mut [u8]) {
        let block = along_longer_side(block, TILE_ROWS);
        if block.rows * block.cols == 0 || block.stored_channels == 0 {
            return;
        }
        let groups = step_groups(&block.taps);
        let count = block.taps.rows * block.taps.cols * block.taps.run.div_ceil(groups);
        assert!(scratch.len() >= 2 * SUMS_BYTES + count * size_of::<Step>(), "scratch is smaller than scratch_bytes");
        let sums = scratch.as_mut_ptr();
        // SAFETY: the scratch has room for `count` steps behind the sums, and is aligned to 64 bytes.
        let steps = unsafe {
            let steps = sums.add(2 * SUMS_BYTES).cast::<Step>();
            list_steps(&block.taps, groups, steps);
            steps
        };
        let shape = TileShape { rows: block.cols.min(TILE_ROWS), groups };
        // SAFETY: the token proves that tile instructions can be executed; 1 <= rows, groups <= 16.
        unsafe { amx_tiles::configure(shape) };
        let loops = BlockLoops { block: &block, rows: shape.rows, steps, count, sums, finish: self.epilogue };
        // SAFETY: the tiles are configured for this shape, the steps are listed; the rest is the caller's promise.
        unsafe { loops.run() }
    }
}

/// The groups of a step with which `run` groups need no more steps than with full ones and none reaches past the end.
fn even_step(run: usize) -> Option<usize> {
    let steps = run.div_ceil(TILE_GROUPS).max(1);
    run.is_multiple_of(steps).then_some((run / steps).max(1))
}

/// The groups of one step. A single run that no such step divides is a gathered one, padded to full steps.
fn step_groups(taps: &Taps) -> usize {
    let dividing = |run: usize| (1..=TILE_GROUPS).rev().find(|&groups| run.is_multiple_of(groups)).unwrap_or(1);
    match even_step(taps.run) {
        Some(groups) => groups,
        None if taps.rows * taps.cols == 1 => TILE_GROUPS,
        None => dividing(taps.run),
    }
}

/// Writes the steps of all taps in order.
///
/// # Safety
/// `steps` has room for `taps.rows * taps.cols * ceil(taps.run / groups)` of them.
unsafe fn list_steps(taps: &Taps, groups: usize, steps: *mut Step) {
    let mut next = steps;
    for row in 0..taps.rows {
        for col in 0..taps.cols {
            let src = row as isize * taps.src_row_stride + col as isize * taps.src_col_stride;
            let weights = row * taps.weight_row_stride + col * taps.weight_col_stride;
            for group in (0..taps.run).step_by(groups) {
                let step = Step { src: src + (group * K_GROUP) as isize, weights: weights + group * ROW_BYTES };
                // SAFETY: as many as the caller has room for.
                unsafe {
                    next.write(step);
                    next = next.add(1);
                }
            }
        }
    }
}

/// One pixel tile: where it begins, and how many of its first pixels its neighbour finishes.
#[derive(Debug, Clone, Copy, Default)]
struct PixelRows {
    at: Position,
    overlap: usize,
}

/// A block of sums in scratch that waits for its epilogue.
#[derive(Clone, Copy)]
struct Waiting {
    tiles: [PixelRows; BLOCK_TILES],
    tile_count: usize,
    panel: usize,
    panel_count: usize,
    sums: *const u8,
}

/// What all blocks of one `run` share.
struct BlockLoops<'a> {
    block: &'a Int8Block,
    /// Pixels of a tile.
    rows: usize,
    steps: *const Step,
    count: usize,
    /// Two blocks of sums.
    sums: *mut u8,
    finish: AmxEpilogue,
}

impl BlockLoops<'_> {
    /// # Safety
    /// Tiles are configured, `steps` holds `count` steps, `sums` two blocks, and the block's addresses are valid.
    unsafe fn run(&self) {
        let epilogue = self.block.epilogue();
        let panels = self.block.stored_channels.div_ceil(PANEL_CHANNELS);
        let tiles = self.block.rows * self.tiles_of_a_row();
        let mut waiting: Option<Waiting> = None;
        let mut blocks = 0;
        for panel in (0..panels).step_by(BLOCK_TILES) {
            for tile in (0..tiles).step_by(BLOCK_TILES) {
                let next = Waiting {
                    tiles: [self.pixel_rows(tile), self.pixel_rows((tile + 1).min(tiles - 1))],
                    tile_count: (tiles - tile).min(BLOCK_TILES),
                    panel,
                    panel_count: (panels - panel).min(BLOCK_TILES),
                    sums: self.sums.wrapping_add(blocks % 2 * SUMS_BYTES),
                };
                // SAFETY: the caller's promise; the block of sums that waits is the other one.
                unsafe {
                    self.multiply(&next);
                    if let Some(before) = waiting.replace(next) {
                        self.finish(&epilogue, &before);
                    }
                }
                blocks += 1;
            }
        }
        if let Some(last) = waiting {
            // SAFETY: its sums were stored by `multiply`.
            unsafe { self.finish(&epilogue, &last) };
        }
    }

    fn tiles_of_a_row(&self) -> usize {
        self.block.cols.div_ceil(self.rows)
    }

    /// The pixels of the tile with that number; a row's last tile ends where the row ends.
    fn pixel_rows(&self, tile: usize) -> PixelRows {
        let col = tile % self.tiles_of_a_row() * self.rows;
        let start = col.min(self.block.cols - self.rows);
        PixelRows { at: Position { row: tile / self.tiles_of_a_row(), col: start }, overlap: col - start }
    }

    /// Stores `comp + sum a * w` of a block of tiles.
    ///
    /// # Safety
    /// As for [`BlockLoops::run`].
    unsafe fn multiply(&self, to: &Waiting) {
        let block = self.block;
        // SAFETY: the pixels and the panels are the block's (a missing second one repeats the first).
        unsafe {
            let src = to.tiles.map(|tile| block.src.at(tile.at.row, tile.at.col));
            let panels = [to.panel, to.panel + to.panel_count - 1];
            let job = TileJob {
                src,
                src_stride: block.src.col_stride,
                weights: panels.map(|panel| block.weights.add(panel * block.panel_stride)),
                comp: panels.map(|panel| block.comp.add(panel * PANEL_CHANNELS)),
                steps: self.steps,
                count: self.count,
                sums: to.sums.cast_mut(),
            };
            amx_tiles::multiply(&job, to.tile_count, to.panel_count);
        }
    }

    /// Finishes a block of sums.
    ///
    /// # Safety
    /// Its sums have been stored, and not been finished before.
    unsafe fn finish(&self, epilogue: &Int8Epilogue, from: &Waiting) {
        for (index, tile) in from.tiles[..from.tile_count].iter().enumerate() {
            let first = index * TILE_ROWS + tile.overlap;
            let sums = Sums {
                start: from.sums.wrapping_add(first * amx_tiles::SUMS_STRIDE),
                stride: amx_tiles::SUMS_STRIDE,
                at: Position { row: tile.at.row, col: tile.at.col + tile.overlap },
                pixels: self.rows - tile.overlap,
            };
            // SAFETY: the sums of these pixels and panels are there, and the pixels are the block's.
            unsafe { self.finish.store(epilogue, from.panel * PANEL_CHANNELS, from.panel_count, &sums) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_even_step_costs_no_step_more_and_never_reaches_past_the_end() {
        for run in 1..400 {
            if let Some(groups) = even_step(run) {
                assert!(groups <= TILE_GROUPS && run % groups == 0 && run / groups == run.div_ceil(TILE_GROUPS), "{run}: {groups}");
            }
        }
        assert_eq!(even_step(16), Some(16));
        assert_eq!(even_step(36), Some(12));
        assert_eq!(even_step(17), None);
    }

    #[test]
    fn several_taps_have_a_step_that_divides_each_run() {
        let taps =
            |rows, run| Taps { rows, cols: 1, run, src_row_stride: 0, src_col_stride: 0, weight_row_stride: 0, weight_col_stride: 0 };
        assert_eq!(step_groups(&taps(1, 17)), 16);
        assert_eq!(step_groups(&taps(3, 17)), 1);
        assert_eq!(step_groups(&taps(3, 27)), 9);
        assert_eq!(step_groups(&taps(0, 0)), 1);
    }
}
