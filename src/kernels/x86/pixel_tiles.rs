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

/// Calls `visit` with the tiles of a rectangle of `rows x cols` pixels; each holds 1 to `2 * half` pixels.
#[inline(always)]
pub fn for_each_tile(rows: usize, cols: usize, half: usize, mut visit: impl FnMut(PixelTile)) {
    let full = 2 * half;
    let rest = cols % full;
    let whole = cols - rest;
    let alone = |row: usize, col: usize, pixels: usize| PixelTile {
        first: Position { row, col },
        second: Position { row, col: col + pixels.div_ceil(2) },
        pixels,
    };
    let mut row = 0;
    while row < rows {
        let paired = rest <= half && row + 1 < rows;
        let last = if paired { row + 1 } else { row };
        for row in row..=last {
            for col in (0..whole).step_by(full) {
                visit(alone(row, col, full));
            }
        }
        if rest > 0 && paired {
            let second = Position { row: last, col: whole };
            visit(PixelTile { first: Position { row, col: whole }, second, pixels: 2 * rest });
        } else if rest > 0 {
            visit(alone(row, whole, rest));
        }
        row = last + 1;
    }
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
        for_each_tile(rows, cols, half, |tile| {
            sizes.push(tile.pixels);
            for p in 0..tile.pixels.div_ceil(2) {
                seen[tile.first.row * cols + tile.first.col + p] += 1;
            }
            for p in 0..tile.pixels / 2 {
                seen[tile.second.row * cols + tile.second.col + p] += 1;
            }
        });
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
