//! `u8s8s32-32x32-amx_int8`: u8 activations times s8 weights by AMX tiles, 32 pixels x 32 channels a block.
//!
//! Block: 2 x 2 tiles accumulate, 2 tiles hold activations (16 pixels x 64 k each), 2 hold weights (16 rows of 4 k x 16
//! channels each).
//!
//! ```text
//!                      tmm6: panel 0    tmm7: panel 1        a step: up to 64 k of one tap
//! tmm4: 16 pixels      tmm0             tmm1
//! tmm5: 16 pixels      tmm2             tmm3
//! ```
//!
//! A tile's rows are pixels where they lie: the tile load's stride is the pixel stride. Accumulators begin as `comp`,
//! loaded with a stride of 0. The steps of all taps are listed once a block, so the whole loop over k is one piece of
//! assembly (`amx_loop`). It leaves its sums in one of two scratch blocks of 4 KB; the pairs of pixels of the block before,
//! which lies in the other, are finished between its products.
//!
//! Loops: pairs of panels outside, pairs of pixel tiles inside.
//!
//! What a block costs, in cycles of the unit that each part occupies (Intel's figures for Sapphire Rapids: a product takes a
//! cycle a row of activations, a tile load half a cycle a row, two 512-bit vector ports, one 64-byte store a cycle):
//!
//! | part | tile unit | vector ports | load ports | store port |
//! |---|---|---|---|---|
//! | a step of 64 k: 4 `tdpbusd`, 4 `tileloadd` | 64 | | 32 | |
//! | `comp`, and the sums to scratch | | | 32 | 64 |
//! | 16 pairs of pixels: 23 vector operations each (39 with a residual) | | 184 (312) | 32 (64) | 32 |
//!
//! So a block of `s` steps takes about `max(64 s, 184 or 312)` cycles if all parts overlap: `k = 64` reaches 35 % of roof
//! (20 % with a residual), 128: 70 % (41 %), 256: 100 % (82 %), and from 320 on every layer is bound by its products.
//! `benches/int8_kernels` sums this up for ResNet-50.
//!
//! Form of the source: pixels where they lie for 1 x 1 kernels, and for larger ones where rows are longer than
//! [`SHORT_ROW`]; a border's pixels come as blocks of their own, with fewer taps. Gathered panels for short rows, where
//! such blocks would leave most rows of a tile empty, and for runs of k that no step divides. A first layer that steps two rows
//! at a time gets its rows in pairs: 4 steps of 56 bytes for the 7 of 28 of a 7 x 7 kernel.
//!
//! Rows of a tile: so many that the tiles of a row of pixels overlap least (56: 4 x 14, 196: 14 x 14, 784: 49 x 16).
//!
//! Preconditions: a step must divide a tap's run, or the source is a gathered panel whose rows are padded with zeros to 64
//! and the weights have rows (of anything) behind a panel to meet them. Tails: rows of fewer than 16 pixels set the tile's
//! rows; longer rows end with a tile that overlaps its neighbour, of which only the new pixels are finished, so no pixel
//! outside the block is read and none is finished twice. An odd last tile or panel runs a 1 x 2, 2 x 1 or 1 x 1 loop.
//! Pixels without a partner, panels that are not stored whole and outputs other than bytes are finished behind the loop.
//! Overflow: `tdpbusd` wraps, and `k <= 65793` keeps the sum within i32.
use super::amx_epilogue::{AmxEpilogue, Sums};
use super::amx_loop::{self, PairChannels, PairRun, Pairs, SUMS_STRIDE, Step, TileJob};
use super::amx_tiles::{self, TileShape};
use super::pixel_tiles::along_longer_side;
use crate::isa::{AmxInt8, Isa};
use crate::kernels::{Int8Block, Int8Epilogue, Int8Kernel, Int8Output, Position, SmallImageForm, SourceForm, SourceShape, Taps};
use crate::packed::{K_GROUP, PANEL_CHANNELS, ROW_BYTES};

/// Pixels of a full tile.
const TILE_ROWS: usize = 16;
/// 4-byte groups of k in a full tile.
const TILE_GROUPS: usize = 16;
/// Pixel tiles, and panels, of a full block.
const BLOCK_TILES: usize = 2;
/// Bytes of a full block's sums.
const SUMS_BYTES: usize = BLOCK_TILES * TILE_ROWS * SUMS_STRIDE;
/// Output rows up to this long are gathered for kernels of several taps.
const SHORT_ROW: usize = 14;
/// Bytes of a block of gathered pixels: half of a 2 MB L2, beside a pair of weight panels.
const PANEL_BLOCK_BYTES: usize = 1 << 20;
/// Fewest rows of a tile that a longer row of pixels is cut into.
const MIN_TILE_ROWS: usize = 8;

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

    fn source_form(&self, shape: &SourceShape) -> SourceForm {
        if reads_where_it_lies(shape) {
            SourceForm::Direct
        } else {
            SourceForm::Gathered { bytes_per_value: 1, k_multiple: TILE_GROUPS * K_GROUP, block_bytes: PANEL_BLOCK_BYTES }
        }
    }

    fn small_image_form(&self, shape: &SourceShape) -> SmallImageForm {
        // A step is a run of taps in one row: twice as long, half as many.
        let halved = shape.merged && shape.cols > SHORT_ROW && 2 * shape.taps[1] * shape.groups <= TILE_GROUPS;
        if halved { SmallImageForm::RowPairs } else { SmallImageForm::Pixels }
    }

    fn tile_pixels(&self) -> usize {
        BLOCK_TILES * TILE_ROWS
    }

    fn pixels_read_in_turn(&self) -> usize {
        // A tile load takes a line of each pixel, and all of it.
        1
    }

    fn pixels_of_weight_pass(&self) -> usize {
        // A pixel takes 1024 multiply-adds a cycle, and L3 gives about 4 bytes of weights in one.
        256
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
        let shape = TileShape { rows: tile_rows(block.cols), groups };
        // SAFETY: the token proves that tile instructions can be executed; 1 <= rows, groups <= 16.
        unsafe { amx_tiles::configure(shape) };
        let loops = BlockLoops { block: &block, rows: shape.rows, steps, count, sums, finish: self.epilogue };
        // SAFETY: the tiles are configured for this shape, the steps are listed; the rest is the caller's promise.
        unsafe { loops.run() }
    }
}

/// Whether a convolution's pixels are read where they lie.
fn reads_where_it_lies(shape: &SourceShape) -> bool {
    let [rows, cols] = shape.taps;
    // A border leaves any number of a row's taps valid, and merged ones are one run.
    let even = if shape.merged {
        (1..=cols.max(1)).all(|valid| even_step(valid * shape.groups).is_some())
    } else {
        even_step(shape.groups).is_some()
    };
    let runs = if shape.merged { (rows, cols * shape.groups) } else { (rows * cols, shape.groups) };
    let steps = runs.0 * runs.1.div_ceil(TILE_GROUPS);
    let gathered_steps = (rows * cols * shape.groups).div_ceil(TILE_GROUPS);
    even && (rows * cols <= 1 || (shape.cols > SHORT_ROW && steps <= 2 * gathered_steps))
}

/// The rows of the tiles that cut `cols` pixels: the least work, where each tile costs two rows more than it has.
fn tile_rows(cols: usize) -> usize {
    if cols <= TILE_ROWS {
        return cols;
    }
    let cost = |rows: &usize| cols.div_ceil(*rows) * (rows + 2);
    (MIN_TILE_ROWS..=TILE_ROWS).rev().min_by_key(cost).unwrap_or(TILE_ROWS)
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
                    match waiting.replace(next) {
                        Some(before) => self.multiply_and_finish(&epilogue, &next, &before),
                        None => amx_loop::multiply(&self.job(&next), next.tile_count, next.panel_count),
                    }
                }
                blocks += 1;
            }
        }
        if let Some(last) = waiting {
            // SAFETY: its sums were stored by `multiply`.
            unsafe { self.finish(&epilogue, &last, |_| 0) };
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

    /// The products of a block.
    ///
    /// # Safety
    /// As for [`BlockLoops::run`].
    unsafe fn job(&self, to: &Waiting) -> TileJob {
        let block = self.block;
        let panels = [to.panel, to.panel + to.panel_count - 1];
        // SAFETY: the pixels and the panels are the block's (a missing second one repeats the first).
        unsafe {
            TileJob {
                src: to.tiles.map(|tile| block.src.at(tile.at.row, tile.at.col)),
                weights: panels.map(|panel| block.weights.add(panel * block.panel_stride)),
                comp: panels.map(|panel| block.comp.add(panel * PANEL_CHANNELS)),
                src_stride: block.src.col_stride,
                steps: self.steps,
                count: self.count,
                sums: to.sums.cast_mut(),
            }
        }
    }

    /// Stores the sums of `next`, and finishes those of `before`: between the products as far as they are pairs.
    ///
    /// # Safety
    /// As for [`BlockLoops::run`]; the sums of `before` have been stored, and not been finished.
    unsafe fn multiply_and_finish(&self, epilogue: &Int8Epilogue, next: &Waiting, before: &Waiting) {
        // SAFETY: the caller's promise, here and below.
        let job = unsafe { self.job(next) };
        let whole = epilogue.stored_channels >= (before.panel + BLOCK_TILES) * PANEL_CHANNELS;
        if let (AmxEpilogue::Avx512(proof), Int8Output::U8 { requantize, residual, .. }) = (self.finish, &epilogue.output)
            && whole
            && self.count > 0
        {
            let channel = before.panel * PANEL_CHANNELS;
            // SAFETY: as above; all 32 channels of the panels are stored, so multipliers and biases are there.
            unsafe {
                let pairs = self.pairs(epilogue, before);
                let (mult, bias) = (epilogue.mult.add(channel), epilogue.bias.add(channel));
                let channels = PairChannels { mult, bias, requantize, residual: residual.as_ref() };
                amx_loop::multiply_and_finish(proof, &job, next.tile_count, next.panel_count, &pairs, &channels);
                self.finish(epilogue, before, |pixels| pixels / 2 * 2);
            }
        } else {
            // SAFETY: as above.
            unsafe {
                amx_loop::multiply(&job, next.tile_count, next.panel_count);
                self.finish(epilogue, before, |_| 0);
            }
        }
    }

    /// The pairs of pixels of a block of bytes, by tile.
    ///
    /// # Safety
    /// As for [`BlockLoops::run`].
    unsafe fn pairs(&self, epilogue: &Int8Epilogue, from: &Waiting) -> Pairs {
        let channel = from.panel * PANEL_CHANNELS;
        let none = PairRun { pairs: 0, sums: std::ptr::null(), dst: std::ptr::null_mut(), residual: std::ptr::null() };
        let mut pairs = Pairs { runs: [none; BLOCK_TILES], dst_stride: 0, residual_stride: 0, pairs_per_step: 0 };
        let Int8Output::U8 { dst, residual, .. } = &epilogue.output else { return pairs };
        pairs.dst_stride = dst.col_stride;
        pairs.residual_stride = residual.as_ref().map_or(0, |residual| residual.src.col_stride);
        for (index, tile) in from.tiles[..from.tile_count].iter().enumerate() {
            let (row, col) = (tile.at.row, tile.at.col + tile.overlap);
            // SAFETY: the pixel is the block's, with the channels of its panels.
            let (dst, residual) = unsafe {
                let residual = residual.as_ref().map(|residual| residual.src.at(row, col).add(channel));
                (dst.at(row, col).add(channel), residual.unwrap_or(std::ptr::null()))
            };
            let sums = from.sums.wrapping_add((index * TILE_ROWS + tile.overlap) * SUMS_STRIDE);
            pairs.runs[index] = PairRun { pairs: (self.rows - tile.overlap) / 2, sums, dst, residual };
        }
        pairs.pairs_per_step = (pairs.runs[0].pairs + pairs.runs[1].pairs).div_ceil(self.count.max(1));
        pairs
    }

    /// Finishes a block of sums but for the pixels of each tile that are `done` already, of so many.
    ///
    /// # Safety
    /// Its sums have been stored, and those of the other pixels not been finished before.
    unsafe fn finish(&self, epilogue: &Int8Epilogue, from: &Waiting, done: impl Fn(usize) -> usize) {
        for (index, tile) in from.tiles[..from.tile_count].iter().enumerate() {
            let pixels = self.rows - tile.overlap;
            let first = tile.overlap + done(pixels);
            if first == self.rows {
                continue;
            }
            let sums = Sums {
                start: from.sums.wrapping_add((index * TILE_ROWS + first) * SUMS_STRIDE),
                stride: SUMS_STRIDE,
                at: Position { row: tile.at.row, col: tile.at.col + first },
                pixels: self.rows - first,
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
    fn tiles_of_a_row_overlap_little() {
        let cut = [(7, 7), (14, 14), (16, 16), (26, 13), (28, 14), (54, 14), (56, 14), (112, 16), (196, 14), (784, 16), (3136, 16)];
        for (cols, rows) in cut {
            assert_eq!(tile_rows(cols), rows, "{cols}");
        }
        for cols in 17..4000 {
            let rows = tile_rows(cols);
            assert!((MIN_TILE_ROWS..=TILE_ROWS).contains(&rows) && cols.div_ceil(rows) * rows < cols + TILE_ROWS, "{cols}: {rows}");
        }
    }

    #[test]
    fn wide_images_are_read_where_they_lie_and_small_ones_gathered() {
        let shape = |taps, groups, merged, cols| SourceShape { taps, groups, merged, cols };
        assert!(reads_where_it_lies(&shape([1, 1], 16, true, 1)));
        assert!(reads_where_it_lies(&shape([3, 3], 16, true, 56)));
        assert!(reads_where_it_lies(&shape([3, 3], 32, true, 28)));
        // ResNet's stem: 7 runs of 28 bytes; its border leaves 4 to 6 taps of a row.
        assert!(reads_where_it_lies(&shape([7, 7], 1, true, 112)));
        assert!(!reads_where_it_lies(&shape([7, 7], 1, false, 112)), "49 steps of 4 k");
        assert!(!reads_where_it_lies(&shape([3, 3], 64, true, 14)));
        assert!(!reads_where_it_lies(&shape([1, 1], 17, true, 56)), "no step divides 17 groups");
        // 3 x 17 groups have no even step, and neither have 2 x 17 at a border.
        assert!(!reads_where_it_lies(&shape([1, 3], 17, true, 56)));
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
