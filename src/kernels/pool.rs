//! Pooling with channels last: one output row a call, from rows of a whole sample or of a ring of lines.
//!
//! Layout: a row is `[width][c_stride]`; the kernels work on all `c_stride` channels. Windows are cut to the valid
//! pixels; a window without any gives the type's lowest value (max) or a sum of nothing divided by 1 (average).
use super::simd::{ByteRange, multiversion};

/// The valid input rows of one output row, in order: row `i` is row `(first_row + i * row_step) % ring_rows` of `memory`.
#[derive(Debug, Clone, Copy)]
pub struct PoolRows<'a, T> {
    /// Rows of `width * c_stride` values.
    pub memory: &'a [T],
    /// Pixels of a row.
    pub width: usize,
    /// Values of a pixel.
    pub c_stride: usize,
    /// The first valid row of the window.
    pub first_row: usize,
    /// Valid rows of the window.
    pub rows: usize,
    /// The vertical dilation.
    pub row_step: usize,
    /// Rows of `memory`: the sample's height, or the length of the ring.
    pub ring_rows: usize,
}

impl<'a, T> PoolRows<'a, T> {
    #[inline(always)]
    fn row(&self, index: usize) -> &'a [T] {
        let len = self.width * self.c_stride;
        let row = (self.first_row + index * self.row_step) % self.ring_rows;
        &self.memory[row * len..][..len]
    }
}

/// The windows along a row.
#[derive(Debug, Clone, Copy)]
pub struct PoolColumns {
    /// Taps of a window.
    pub kernel: usize,
    /// Pixels from a window to the next.
    pub stride: usize,
    /// Pixels from a tap to the next.
    pub dilation: usize,
    /// Padding pixels before the row.
    pub pad_left: usize,
    /// Output pixels.
    pub out_width: usize,
}

impl PoolColumns {
    /// The valid taps of window `x`: input columns from the first, `dilation` apart, and their number.
    #[inline(always)]
    fn valid(&self, x: usize, width: usize) -> (usize, usize) {
        // A division for each window would take longer than its maximum.
        let taps_over = |pixels: usize| if self.dilation == 1 { pixels } else { pixels.div_ceil(self.dilation) };
        let start = x * self.stride;
        let skipped = taps_over(self.pad_left.saturating_sub(start));
        let first = (start + skipped * self.dilation).saturating_sub(self.pad_left);
        let inside = if first < width { taps_over(width - first) } else { 0 };
        (first, inside.min(self.kernel.saturating_sub(skipped)))
    }
}

/// Values that one or a few vector registers hold: where channels divide by it, loops over them have a known length.
const VECTOR: usize = 64;

/// `b` if it is larger or NaN, else `a`: NaN wins, the first of two zeros stays.
#[inline(always)]
#[allow(clippy::eq_op)]
fn larger<T: PartialOrd + Copy>(a: T, b: T) -> T {
    if b > a || b != b { b } else { a }
}

#[inline(always)]
fn max_into<T: PartialOrd + Copy>(dst: &mut [T], src: &[T]) {
    for (max, &x) in dst.iter_mut().zip(src) {
        *max = larger(*max, x);
    }
}

/// The maximum down the rows into `scratch`, whole rows at a time, then along it.
#[inline(always)]
fn max_row<T: PartialOrd + Copy>(src: PoolRows<T>, columns: PoolColumns, lowest: T, scratch: &mut [T], dst: &mut [T]) {
    let c = src.c_stride;
    assert!(scratch.len() == src.width * c && dst.len() == columns.out_width * c);
    match src.rows {
        0 => return dst.fill(lowest),
        1 => scratch.copy_from_slice(src.row(0)),
        2 => {
            for ((max, &x0), &x1) in scratch.iter_mut().zip(src.row(0)).zip(src.row(1)) {
                *max = larger(x0, x1);
            }
        }
        rows => {
            for (((max, &x0), &x1), &x2) in scratch.iter_mut().zip(src.row(0)).zip(src.row(1)).zip(src.row(2)) {
                *max = larger(larger(x0, x1), x2);
            }
            (3..rows).for_each(|row| max_into(scratch, src.row(row)));
        }
    }
    for (x, dst) in dst.chunks_exact_mut(c.max(1)).enumerate() {
        let (first, taps) = columns.valid(x, src.width);
        let tap = |index: usize| &scratch[(first + index * columns.dilation) * c..][..c];
        match taps {
            0 => dst.fill(lowest),
            _ if c.is_multiple_of(VECTOR) => {
                for (vector, dst) in dst.as_chunks_mut::<VECTOR>().0.iter_mut().enumerate() {
                    let mut max = tap(0).as_chunks::<VECTOR>().0[vector];
                    (1..taps).for_each(|index| max_into(&mut max, &tap(index).as_chunks::<VECTOR>().0[vector]));
                    *dst = max;
                }
            }
            3 => {
                for (((max, &x0), &x1), &x2) in dst.iter_mut().zip(tap(0)).zip(tap(1)).zip(tap(2)) {
                    *max = larger(larger(x0, x1), x2);
                }
            }
            _ => {
                dst.copy_from_slice(tap(0));
                (1..taps).for_each(|index| max_into(dst, tap(index)));
            }
        }
    }
}

/// How many values an average divides by.
#[derive(Debug, Clone, Copy)]
pub struct PoolDivisor {
    /// Rows that count: the valid ones, or with padding those inside the padded image.
    pub rows: usize,
    /// `None`: valid columns count. Otherwise those inside a row that has this many padding pixels behind it.
    pub pad_right: Option<usize>,
}

impl PoolDivisor {
    /// Of window `x`, which has `valid` valid columns.
    #[inline(always)]
    fn of(&self, x: usize, valid: usize, columns: PoolColumns, width: usize) -> usize {
        let Some(pad_right) = self.pad_right else { return (self.rows * valid).max(1) };
        let padded = columns.pad_left + width + pad_right;
        let inside = padded.saturating_sub(x * columns.stride).div_ceil(columns.dilation);
        (self.rows * inside.min(columns.kernel)).max(1)
    }
}

/// Qparams of an average of bytes.
#[derive(Debug, Clone, Copy)]
pub struct AverageParams {
    /// Zero point of the input.
    pub zero_point: i32,
    /// Scale of the input.
    pub scale: f32,
    /// Scale of the output.
    pub output_scale: f32,
    /// Zero point and clamp of the output.
    pub output: ByteRange,
}

impl AverageParams {
    /// `q = z_y + rne(f32(sum - n z_x) * c)`, `c = s_x / (n s_y)` in f64; `valid` values are in the sums, `n` divide them.
    #[inline(always)]
    fn finish(&self, sums: &[i32], valid: usize, n: usize, dst: &mut [u8]) {
        let c = (f64::from(self.scale) / (n as f64 * f64::from(self.output_scale))) as f32;
        let offset = valid as i32 * self.zero_point;
        for (q, &sum) in dst.iter_mut().zip(sums) {
            *q = self.output.byte((sum - offset) as f32 * c);
        }
    }
}

#[inline(always)]
fn add_into(sums: &mut [i32], src: &[u8]) {
    for (sum, &q) in sums.iter_mut().zip(src) {
        *sum += i32::from(q);
    }
}

multiversion! {
    /// One output row of max pooling on bytes; `scratch` has one input row's length.
    pub fn max_pool_u8(src: PoolRows<u8>, columns: PoolColumns, scratch: &mut [u8], dst: &mut [u8]) {
        max_row(src, columns, 0, scratch, dst);
    }

    /// One output row of max pooling on floats; `scratch` has one input row's length. NaN wins.
    pub fn max_pool_f32(src: PoolRows<f32>, columns: PoolColumns, scratch: &mut [f32], dst: &mut [f32]) {
        max_row(src, columns, f32::NEG_INFINITY, scratch, dst);
    }

    /// One output row of average pooling on floats: one chain of sums over the valid taps in order (kh, kw), divided.
    pub fn average_pool_f32(src: PoolRows<f32>, columns: PoolColumns, divisor: PoolDivisor, dst: &mut [f32]) {
        let c = src.c_stride;
        assert_eq!(dst.len(), columns.out_width * c);
        for (x, dst) in dst.chunks_exact_mut(c.max(1)).enumerate() {
            let (first, taps) = columns.valid(x, src.width);
            dst.fill(0.0);
            for row in 0..src.rows {
                for tap in 0..taps {
                    let pixel = &src.row(row)[(first + tap * columns.dilation) * c..][..c];
                    for (sum, &x) in dst.iter_mut().zip(pixel) {
                        *sum += x;
                    }
                }
            }
            let n = divisor.of(x, taps, columns, src.width) as f32;
            dst.iter_mut().for_each(|sum| *sum /= n);
        }
    }

    /// One output row of average pooling on bytes (NUMERICS section 5); `sums` has `c_stride` values.
    pub fn average_pool_u8(src: PoolRows<u8>, columns: PoolColumns, divisor: PoolDivisor, params: AverageParams,
                           sums: &mut [i32], dst: &mut [u8]) {
        let c = src.c_stride;
        assert!(dst.len() == columns.out_width * c && sums.len() == c);
        for (x, dst) in dst.chunks_exact_mut(c.max(1)).enumerate() {
            let (first, taps) = columns.valid(x, src.width);
            sums.fill(0);
            for row in 0..src.rows {
                for tap in 0..taps {
                    add_into(sums, &src.row(row)[(first + tap * columns.dilation) * c..][..c]);
                }
            }
            params.finish(sums, src.rows * taps, divisor.of(x, taps, columns, src.width), dst);
        }
    }

    /// The average of all pixels of `[pixels][c_stride]` bytes; `sums` and `dst` have `c_stride` values. (On floats it is
    /// [`super::reduce::mean_columns`].)
    pub fn global_average_u8(src: &[u8], params: AverageParams, sums: &mut [i32], dst: &mut [u8]) {
        let c = dst.len();
        assert!(c > 0 && src.len().is_multiple_of(c) && sums.len() == c);
        sums.fill(0);
        src.chunks_exact(c).for_each(|pixel| add_into(sums, pixel));
        let pixels = src.len() / c;
        params.finish(sums, pixels, pixels.max(1), dst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::VectorIsa;
    use crate::kernels::simd::{test_bytes, test_floats};

    const PARAMS: AverageParams =
        AverageParams { zero_point: 7, scale: 0.5, output_scale: 0.375, output: ByteRange { zero_point: 20, low: 0, high: 255 } };

    /// Kernel, stride, dilation, padding before and behind, of a side.
    const WINDOWS: [[usize; 5]; 7] =
        [[3, 2, 1, 1, 1], [2, 2, 1, 0, 0], [3, 1, 2, 2, 2], [5, 3, 1, 4, 2], [1, 1, 1, 0, 0], [3, 2, 1, 0, 1], [3, 1, 3, 1, 4]];

    /// Taps of window `x` along a side of `len`: those inside, and how many lie inside the padded side.
    fn window([kernel, stride, dilation, before, behind]: [usize; 5], x: usize, len: usize) -> (Vec<usize>, usize) {
        let at = (0..kernel).map(|tap| x * stride + tap * dilation);
        let counted = at.clone().filter(|&at| at < before + len + behind).count();
        (at.filter(|&at| at >= before && at < before + len).map(|at| at - before).collect(), counted)
    }

    /// Calls `check` for every output row: rows to pool, columns, divisors without and with padding, and for each output
    /// pixel its taps as pixel indices and the count with padding.
    fn for_each_row<T: Copy>(
        data: &[T],
        h: usize,
        w: usize,
        c: usize,
        check: impl Fn(PoolRows<T>, PoolColumns, usize, &[(Vec<usize>, usize)]),
    ) {
        for side in WINDOWS {
            let [kernel, stride, dilation, before, behind] = side;
            let out = |len: usize| (before + len + behind - (kernel - 1) * dilation - 1) / stride + 1;
            for y in 0..out(h) {
                let (rows, counted_rows) = window(side, y, h);
                let first_row = rows.first().copied().unwrap_or(0);
                let src = PoolRows { memory: data, width: w, c_stride: c, first_row, rows: rows.len(), row_step: dilation, ring_rows: h };
                let columns = PoolColumns { kernel, stride, dilation, pad_left: before, out_width: out(w) };
                let pixels: Vec<_> = (0..out(w))
                    .map(|x| {
                        let (cols, counted) = window(side, x, w);
                        (rows.iter().flat_map(|row| cols.iter().map(move |col| row * w + col)).collect(), counted * counted_rows)
                    })
                    .collect();
                check(src, columns, behind, &pixels);
            }
        }
    }

    #[test]
    fn max_pooling_takes_the_largest_valid_tap() {
        for isa in VectorIsa::tested() {
            for c in [4, 36, 64] {
                let (h, w) = (9, 11);
                let (bytes, floats) = (test_bytes(h * w * c, 1), test_floats(h * w * c, 2));
                for_each_row(&bytes, h, w, c, |src, columns, _, pixels| {
                    let (mut scratch, mut dst) = (vec![0; w * c], vec![9; pixels.len() * c]);
                    max_pool_u8(isa, src, columns, &mut scratch, &mut dst);
                    let expected =
                        pixels.iter().flat_map(|(taps, _)| (0..c).map(|i| taps.iter().map(|at| bytes[at * c + i]).max().unwrap_or(0)));
                    assert_eq!(dst, expected.collect::<Vec<_>>());
                });
                for_each_row(&floats, h, w, c, |src, columns, _, pixels| {
                    let (mut scratch, mut dst) = (vec![0.0; w * c], vec![9.0; pixels.len() * c]);
                    max_pool_f32(isa, src, columns, &mut scratch, &mut dst);
                    let largest = |taps: &[usize], i: usize| taps.iter().map(|at| floats[at * c + i]).fold(f32::NEG_INFINITY, f32::max);
                    let expected = pixels.iter().flat_map(|(taps, _)| (0..c).map(|i| largest(taps, i)));
                    assert_eq!(dst, expected.collect::<Vec<_>>());
                });
            }
        }
    }

    #[test]
    fn max_pooling_of_a_ring_wraps_around_and_passes_nan() {
        for isa in VectorIsa::tested() {
            let ring = [1.0, 5.0, 3.0, f32::NAN, 9.0, 2.0];
            let src = PoolRows { memory: &ring, width: 2, c_stride: 1, first_row: 2, rows: 2, row_step: 1, ring_rows: 3 };
            let columns = PoolColumns { kernel: 1, stride: 1, dilation: 1, pad_left: 0, out_width: 2 };
            let (mut scratch, mut dst) = ([0.0; 2], [0.0; 2]);
            max_pool_f32(isa, src, columns, &mut scratch, &mut dst);
            assert_eq!(dst, [9.0, 5.0]);
            max_pool_f32(isa, PoolRows { first_row: 1, ..src }, columns, &mut scratch, &mut dst);
            assert!(dst[0] == 9.0 && dst[1].is_nan());
            max_pool_f32(isa, PoolRows { first_row: 0, ..src }, columns, &mut scratch, &mut dst);
            assert!(dst[0] == 3.0 && dst[1].is_nan());
        }
    }

    #[test]
    fn average_pooling_is_one_chain_and_one_division() {
        for isa in VectorIsa::tested() {
            for c in [4, 36, 64] {
                let (h, w) = (9, 11);
                let (bytes, floats) = (test_bytes(h * w * c, 1), test_floats(h * w * c, 2));
                for count_padding in [false, true] {
                    let divisor = |rows: usize, counted: usize, taps: usize, behind: usize| {
                        // A row of windows has one count of rows: the first pixel's, over its columns.
                        let rows = if count_padding { counted } else { rows };
                        (PoolDivisor { rows, pad_right: count_padding.then_some(behind) }, taps)
                    };
                    let n = |(taps, counted): &(Vec<usize>, usize)| if count_padding { *counted } else { taps.len() }.max(1);
                    for_each_row(&floats, h, w, c, |src, columns, behind, pixels| {
                        let counted_rows = pixels[0].1 / window_count(columns, w, behind);
                        let mut dst = vec![9.0; pixels.len() * c];
                        average_pool_f32(isa, src, columns, divisor(src.rows, counted_rows, 0, behind).0, &mut dst);
                        for (pixel, dst) in pixels.iter().zip(dst.chunks_exact(c)) {
                            for (i, got) in dst.iter().enumerate() {
                                let chain = pixel.0.iter().fold(0.0f32, |sum, at| sum + floats[at * c + i]);
                                assert_eq!(got.to_bits(), (chain / n(pixel) as f32).to_bits());
                            }
                        }
                    });
                    for_each_row(&bytes, h, w, c, |src, columns, behind, pixels| {
                        let counted_rows = pixels[0].1 / window_count(columns, w, behind);
                        let (mut sums, mut dst) = (vec![0; c], vec![9; pixels.len() * c]);
                        average_pool_u8(isa, src, columns, divisor(src.rows, counted_rows, 0, behind).0, PARAMS, &mut sums, &mut dst);
                        for (pixel, dst) in pixels.iter().zip(dst.chunks_exact(c)) {
                            for (i, &got) in dst.iter().enumerate() {
                                assert_eq!(got, average(pixel.0.iter().map(|at| bytes[at * c + i]), n(pixel)));
                            }
                        }
                    });
                }
            }
        }
    }

    /// Columns of window 0 inside the padded row.
    fn window_count(columns: PoolColumns, w: usize, behind: usize) -> usize {
        window([columns.kernel, columns.stride, columns.dilation, columns.pad_left, behind], 0, w).1
    }

    /// NUMERICS section 5 as written.
    fn average(values: impl Iterator<Item = u8>, n: usize) -> u8 {
        let sum: i32 = values.map(|q| i32::from(q) - PARAMS.zero_point).sum();
        let c = (f64::from(PARAMS.scale) / (n as f64 * f64::from(PARAMS.output_scale))) as f32;
        ((sum as f32 * c).round_ties_even() + 20.0).clamp(0.0, 255.0) as u8
    }

    #[test]
    fn the_global_average_takes_all_pixels() {
        for isa in VectorIsa::tested() {
            for (pixels, c) in [(1, 4), (49, 100), (64, 64)] {
                let src = test_bytes(pixels * c, 1);
                let (mut sums, mut dst) = (vec![1; c], vec![9; c]);
                global_average_u8(isa, &src, PARAMS, &mut sums, &mut dst);
                for (i, &got) in dst.iter().enumerate() {
                    assert_eq!(got, average(src.iter().skip(i).step_by(c).copied(), pixels));
                }
            }
        }
    }
}
