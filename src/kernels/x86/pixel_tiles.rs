//! How a block's pixels are cut into tiles of two segments.
//!
//! A tile is two runs of at most `half` pixels, each with a constant stride and a base address of its own: two halves of
//! one run, or the ends of two rows, so that rows of 7 pixels fill tiles of 14:
//!
//! ```text
//! cols = 14, half = 7        cols = 7, half = 7         cols = 10, half = 7
//! row 0  aaaaaaabbbbbbb      row 0  aaaaaaa             row 0  aaaaabbbbb
//! row 1  aaaaaaabbbbbbb      row 1  bbbbbbb             row 1  aaaaabbbbb
//! ```
//!
//! The second segment is never the longer one, and at most one pixel shorter unless it is empty: a kernel compiled for
//! `P` pixels knows both lengths.
use crate::kernels::{Int8Block, Int8Output, Pixels, Position};

/// Two runs of pixels; the first has `pixels.div_ceil(2)`, the second `pixels / 2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PixelTile {
    /// Where the first run begins.
    pub first: Position,
    /// Where the second run begins (meaningless if it is empty).
    pub second: Position,
    /// Pixels of both.
    pub pixels: usize,
}

/// Tiles of equal size, each `to_next` from the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TileRun {
    /// The first.
    pub tile: PixelTile,
    /// How many, at least 1.
    pub tiles: usize,
    /// Rows and columns from a tile to the next.
    pub to_next: Position,
}

impl TileRun {
    /// One after another.
    #[inline(always)]
    pub fn each(self) -> impl Iterator<Item = PixelTile> {
        (0..self.tiles).map(move |index| self.tile.moved(index * self.to_next.row, index * self.to_next.col))
    }
}

impl PixelTile {
    #[inline(always)]
    fn moved(self, rows: usize, cols: usize) -> Self {
        let moved = |at: Position| Position { row: at.row + rows, col: at.col + cols };
        Self { first: moved(self.first), second: moved(self.second), pixels: self.pixels }
    }
}

/// The tiles of a rectangle of `rows x cols` pixels; each holds 1 to `2 * half` pixels. Those of `2 * half` come first.
#[inline(always)]
pub fn tile_runs(rows: usize, cols: usize, half: usize) -> impl Iterator<Item = TileRun> {
    let (full, rest) = (cols / (2 * half), cols % (2 * half));
    let whole = cols - rest;
    // A tile in each row: one run down the rows.
    let (full_rows, full_tiles, to_next) =
        if full == 1 { (1, rows, Position { row: 1, col: 0 }) } else { (rows, full, Position { row: 0, col: 2 * half }) };
    let along_rows = (0..full_rows).map(move |row| TileRun { tile: alone(row, 0, 2 * half), tiles: full_tiles, to_next });
    let pairs = if rest > 0 && rest <= half { rows / 2 } else { 0 };
    let paired = TileRun { tile: paired(0, whole, rest), tiles: pairs, to_next: Position { row: 2, col: 0 } };
    let single = if rest > 0 { rows - 2 * pairs } else { 0 };
    let single = TileRun { tile: alone(2 * pairs, whole, rest), tiles: single, to_next: Position { row: 1, col: 0 } };
    along_rows.chain([paired, single]).filter(|run| run.tiles > 0)
}

/// A tile of one run of pixels.
#[inline(always)]
fn alone(row: usize, col: usize, pixels: usize) -> PixelTile {
    PixelTile { first: Position { row, col }, second: Position { row, col: col + pixels.div_ceil(2) }, pixels }
}

/// A tile of the last `rest` pixels of two rows.
#[inline(always)]
fn paired(row: usize, col: usize, rest: usize) -> PixelTile {
    PixelTile { first: Position { row, col }, second: Position { row: row + 1, col }, pixels: 2 * rest }
}

/// The same block with rows and columns exchanged where its rows are shorter than `short` and it is higher than wide, so
/// that the column of pixels beside a border becomes one run.
pub fn along_longer_side(block: &Int8Block, short: usize) -> Int8Block {
    if block.cols >= short || block.rows <= block.cols {
        return *block;
    }
    let mut turned = *block;
    turned.rows = block.cols;
    turned.cols = block.rows;
    turn(&mut turned.src);
    match &mut turned.output {
        Int8Output::U8 { dst, residual, .. } => {
            turn(dst);
            if let Some(residual) = residual {
                turn(&mut residual.src);
            }
        }
        Int8Output::F32 { dst, residual, .. } => {
            turn(dst);
            if let Some(residual) = residual {
                turn(residual);
            }
        }
        Int8Output::I32 { dst } => turn(dst),
    }
    turned
}

fn turn<P>(pixels: &mut Pixels<P>) {
    std::mem::swap(&mut pixels.row_stride, &mut pixels.col_stride);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many times each pixel is visited, row by row, and the sizes of the tiles.
    fn visits(rows: usize, cols: usize, half: usize) -> (Vec<usize>, Vec<usize>) {
        let mut seen = vec![0; rows * cols];
        let mut sizes = Vec::new();
        for tile in tile_runs(rows, cols, half).flat_map(TileRun::each) {
            sizes.push(tile.pixels);
            for p in 0..tile.pixels.div_ceil(2) {
                seen[tile.first.row * cols + tile.first.col + p] += 1;
            }
            for p in 0..tile.pixels / 2 {
                seen[tile.second.row * cols + tile.second.col + p] += 1;
            }
        }
        (seen, sizes)
    }

    #[test]
    fn every_pixel_is_in_one_tile_and_no_tile_is_too_large() {
        for half in [3, 7] {
            for rows in 0..6 {
                for cols in 0..40 {
                    let (seen, sizes) = visits(rows, cols, half);
                    assert!(seen.iter().all(|&times| times == 1), "{rows} x {cols}, half {half}: {seen:?}");
                    assert!(sizes.iter().all(|&pixels| (1..=2 * half).contains(&pixels)));
                }
            }
        }
    }

    #[test]
    fn the_widths_of_resnet_leave_no_short_tile() {
        for (rows, cols) in [(112, 112), (56, 56), (28, 28), (14, 14), (6, 7)] {
            assert!(visits(rows, cols, 7).1.iter().all(|&pixels| pixels == 14), "{rows} x {cols}");
        }
    }
}
