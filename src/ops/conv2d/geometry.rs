//! Sizes of a convolution, and the cut of its output into regions that share their valid taps.
use crate::kernels::Taps;
use crate::packed::WeightShape;
use crate::threads::Part;
use std::ops::Range;

/// Sizes of a convolution over one sample. Vertical before horizontal in each pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConvGeometry {
    /// Input pixels.
    pub input: [usize; 2],
    /// Output pixels.
    pub output: [usize; 2],
    /// Kernel taps.
    pub kernel: [usize; 2],
    /// Input pixels between neighbouring outputs.
    pub strides: [usize; 2],
    /// Input pixels between neighbouring taps.
    pub dilations: [usize; 2],
    /// Padding above and to the left.
    pub pad_begin: [usize; 2],
    /// Groups.
    pub groups: usize,
    /// Input channels in all.
    pub in_channels: usize,
    /// Output channels in all.
    pub out_channels: usize,
}

/// Output pixels that share their valid taps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// Output rows.
    pub rows: Range<usize>,
    /// Output columns.
    pub cols: Range<usize>,
    /// Valid kernel rows.
    pub tap_rows: Range<usize>,
    /// Valid kernel columns.
    pub tap_cols: Range<usize>,
}

/// How the parts of a step share a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// Output rows (columns, where there is one row).
    Pixels,
    /// Output channels.
    Channels,
}

/// Output channels that parts are cut at: the widest kernel tile.
const CHANNEL_UNIT: usize = 32;

impl ConvGeometry {
    /// `rows` rows of `in_features` values: a linear layer.
    pub fn linear(rows: usize, in_features: usize, out_features: usize) -> Self {
        Self {
            input: [1, rows],
            output: [1, rows],
            kernel: [1, 1],
            strides: [1, 1],
            dilations: [1, 1],
            pad_begin: [0, 0],
            groups: 1,
            in_channels: in_features,
            out_channels: out_features,
        }
    }

    /// A 1x1 convolution with unit strides and no padding becomes one long row of pixels.
    pub fn collapsed(self) -> Self {
        let pointwise = self.kernel == [1, 1] && self.strides == [1, 1] && self.input == self.output;
        if !pointwise {
            return self;
        }
        let pixels = self.input[0] * self.input[1];
        Self { input: [1, pixels], output: [1, pixels], pad_begin: [0, 0], ..self }
    }

    /// Whether each output pixel is made of the source pixel in its place, along one row: samples that lie one after another can be one
    /// longer row of pixels.
    pub fn is_row(&self) -> bool {
        let own_pixels = self.kernel == [1, 1] && self.strides == [1, 1] && self.pad_begin == [0, 0];
        self.input[0] == 1 && self.output == self.input && own_pixels
    }

    /// The same with a row of `pixels`; only where [`ConvGeometry::is_row`].
    pub fn with_row(&self, pixels: usize) -> Self {
        Self { input: [1, pixels], output: [1, pixels], ..self.clone() }
    }

    /// Output pixels.
    pub fn output_pixels(&self) -> usize {
        self.output[0] * self.output[1]
    }

    /// Shape of one group's weights.
    pub fn weight_shape(&self) -> WeightShape {
        WeightShape { oc: self.out_channels / self.groups, taps: self.kernel[0] * self.kernel[1], ic: self.in_channels / self.groups }
    }

    /// Multiply-accumulates of one sample, padded taps counted; the largest number where there are more.
    pub fn macs(&self) -> u64 {
        let shape = self.weight_shape();
        [self.out_channels, shape.taps, shape.ic].iter().fold(self.output_pixels() as u64, |macs, &size| macs.saturating_mul(size as u64))
    }

    /// Valid taps along one axis for each run of outputs that share them. The time follows the kernel's size, not the output's: padding
    /// may be of any size.
    fn axis_spans(&self, axis: usize) -> Vec<(Range<usize>, Range<usize>)> {
        let [input, stride, dilation, pad] =
            [self.input[axis], self.strides[axis], self.dilations[axis], self.pad_begin[axis]].map(|size| size as i128);
        let (output, kernel) = (self.output[axis], self.kernel[axis]);
        // The smallest number, from 0 to `end`, whose product with `step` is at least `least`.
        let reaching = |least: i128, step: i128, end: usize| (least + step - 1).div_euclid(step).clamp(0, end as i128) as usize;
        let valid = |out: usize| -> Range<usize> {
            let at = out as i128 * stride - pad;
            let first = reaching(-at, dilation, kernel);
            first..reaching(input - at, dilation, kernel).max(first)
        };
        // Outputs from which on a tap is no longer before the input, or is behind it.
        let edges = (0..kernel).flat_map(|tap| [pad - tap as i128 * dilation, input + pad - tap as i128 * dilation]);
        let mut starts: Vec<usize> = edges.map(|edge| reaching(edge, stride, output)).filter(|&start| start < output).collect();
        starts.extend((output > 0).then_some(0));
        starts.sort_unstable();
        starts.dedup();
        let mut spans: Vec<(Range<usize>, Range<usize>)> = Vec::new();
        for (index, &start) in starts.iter().enumerate() {
            let (end, taps) = (starts.get(index + 1).copied().unwrap_or(output), valid(start));
            match spans.last_mut() {
                Some((outs, last)) if *last == taps => outs.end = end,
                _ => spans.push((start..end, taps)),
            }
        }
        spans
    }

    /// The output cut into regions that share their valid taps, in row order.
    pub fn regions(&self) -> Vec<Region> {
        let columns = self.axis_spans(1);
        let mut regions = Vec::new();
        for (rows, tap_rows) in self.axis_spans(0) {
            for (cols, tap_cols) in &columns {
                let (rows, cols, tap_cols) = (rows.clone(), cols.clone(), tap_cols.clone());
                regions.push(Region { rows, cols, tap_rows: tap_rows.clone(), tap_cols });
            }
        }
        regions
    }

    /// How to split between parts: by channels where the weights are the larger traffic.
    pub fn preferred_split(&self, weight_bytes: usize, src_bytes: usize) -> Split {
        if self.groups == 1 && self.out_channels >= 2 * CHANNEL_UNIT && weight_bytes > src_bytes { Split::Channels } else { Split::Pixels }
    }

    /// How `parts` parts share this convolution, whose [`ConvGeometry::preferred_split`] is `preferred`: by pixels after all where every
    /// part gets equally many tiles of `tile` pixels, and `least` pixels or more. What a thread writes by channels, the next layer's
    /// threads all read from each other's caches; what it writes by pixels is mostly its own.
    pub fn split_between(&self, parts: usize, preferred: Split, tile: usize, least: usize) -> Split {
        let units = if self.output[0] == 1 { self.output[1].div_ceil(tile.max(1)) } else { self.output[0] };
        let equal = units.is_multiple_of(parts) && self.output_pixels() / parts >= least;
        if equal { Split::Pixels } else { preferred }
    }

    /// A part's output rows, columns and channels (of each group).
    pub fn part_ranges(&self, part: Part, split: Split, tile_pixels: usize) -> PartRanges {
        let oc = self.out_channels / self.groups;
        let (mut rows, mut cols, mut channels) = (0..self.output[0], 0..self.output[1], 0..oc);
        match split {
            Split::Channels => channels = part.range_aligned(oc, CHANNEL_UNIT),
            Split::Pixels if self.output[0] == 1 => cols = part.range_aligned(self.output[1], tile_pixels),
            Split::Pixels => rows = part.range(self.output[0]),
        }
        PartRanges { rows, cols, channels }
    }

    /// Offset in pixels of the first valid tap of output `(row, col)`.
    pub fn src_pixel(&self, row: usize, col: usize, tap_row: usize, tap_col: usize) -> isize {
        let at = |axis: usize, out: usize, tap: usize| {
            (out * self.strides[axis] + tap * self.dilations[axis]) as isize - self.pad_begin[axis] as isize
        };
        at(0, row, tap_row) * self.input[1] as isize + at(1, col, tap_col)
    }

    /// The taps of a region for a source whose pixels are `pixel_bytes` apart and a panel whose taps are `run` steps of
    /// `step_weight_bytes` weight bytes and `step_src_bytes` source bytes. Taps that lie side by side are merged.
    pub fn taps(&self, region: &Region, pixel_bytes: usize, run: usize, step_weight_bytes: usize, step_src_bytes: usize) -> Taps {
        let (rows, cols) = (region.tap_rows.len(), region.tap_cols.len());
        let side_by_side = self.dilations[1] == 1 && run * step_src_bytes == pixel_bytes;
        let (cols, run_all) = if side_by_side && cols > 0 { (1, run * cols) } else { (cols, run) };
        Taps {
            rows,
            cols,
            run: run_all,
            src_row_stride: (self.dilations[0] * self.input[1] * pixel_bytes) as isize,
            src_col_stride: (self.dilations[1] * pixel_bytes) as isize,
            weight_row_stride: self.kernel[1] * run * step_weight_bytes,
            weight_col_stride: run * step_weight_bytes,
        }
    }
}

/// What one part computes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartRanges {
    /// Output rows.
    pub rows: Range<usize>,
    /// Output columns.
    pub cols: Range<usize>,
    /// Output channels of each group; starts at a panel.
    pub channels: Range<usize>,
}

impl PartRanges {
    /// The piece of `region` that lies in this part, cut into pieces of at most `max_pixels` (whole rows where they fit).
    pub fn pieces(&self, region: &Region, max_pixels: usize) -> impl Iterator<Item = Region> + use<> {
        let rows = self.rows.start.max(region.rows.start)..self.rows.end.min(region.rows.end);
        let cols = self.cols.start.max(region.cols.start)..self.cols.end.min(region.cols.end);
        let cols_step = cols.len().min(max_pixels).max(1);
        let rows_step = (max_pixels / cols_step).clamp(1, rows.len().max(1));
        let region = region.clone();
        rows.clone().step_by(rows_step).flat_map(move |row| {
            let (region, rows, cols) = (region.clone(), rows.clone(), cols.clone());
            cols.clone().step_by(cols_step).map(move |col| Region {
                rows: row..(row + rows_step).min(rows.end),
                cols: col..(col + cols_step).min(cols.end),
                ..region.clone()
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conv3x3(size: usize, stride: usize, pad: usize) -> ConvGeometry {
        let output = (size + 2 * pad - 3) / stride + 1;
        ConvGeometry {
            input: [size; 2],
            output: [output; 2],
            kernel: [3, 3],
            strides: [stride; 2],
            dilations: [1, 1],
            pad_begin: [pad; 2],
            groups: 1,
            in_channels: 8,
            out_channels: 40,
        }
    }

    #[test]
    fn regions_cover_every_output_once_with_its_valid_taps() {
        for (size, stride, pad) in [(7, 1, 1), (8, 2, 1), (5, 1, 0), (3, 1, 2), (2, 1, 3)] {
            let geometry = conv3x3(size, stride, pad);
            let mut seen = vec![0; geometry.output_pixels()];
            for region in geometry.regions() {
                for row in region.rows.clone() {
                    for col in region.cols.clone() {
                        seen[row * geometry.output[1] + col] += 1;
                        for tap in 0..3 {
                            let y = (row * stride + tap) as i64 - pad as i64;
                            let x = (col * stride + tap) as i64 - pad as i64;
                            assert_eq!(region.tap_rows.contains(&tap), (0..size as i64).contains(&y));
                            assert_eq!(region.tap_cols.contains(&tap), (0..size as i64).contains(&x));
                        }
                    }
                }
            }
            assert!(seen.iter().all(|&count| count == 1), "size {size} stride {stride} pad {pad}");
        }
    }

    #[test]
    fn padding_and_dilation_of_any_size_are_cut_at_once() {
        let far = 1usize << 40;
        let sizes = [(8, 3, 2, far), (1, 2, far / 2, far), (5, 1, 1, far), (far, 3, far / 4, 0), (7, 4, 3, 9), (9, 5, 2, 1)];
        for (input, kernel, dilation, pad) in sizes {
            for stride in [1, 2, 7] {
                let output = (input + 2 * pad - (kernel - 1) * dilation).div_ceil(stride);
                let sizes = ([1, input], [1, output], [1, kernel], [1, stride], [1, dilation], [0, pad]);
                let (input_sizes, output_sizes, kernel_sizes, strides, dilations, pad_begin) = sizes;
                let geometry = ConvGeometry {
                    input: input_sizes,
                    output: output_sizes,
                    kernel: kernel_sizes,
                    strides,
                    dilations,
                    pad_begin,
                    ..ConvGeometry::linear(1, 1, 1)
                };
                let mut end = 0;
                for region in geometry.regions() {
                    assert_eq!(region.cols.start, end);
                    end = region.cols.end;
                    for col in [region.cols.start, region.cols.end - 1] {
                        let at = |tap: usize| (col * stride + tap * dilation) as i64 - pad as i64;
                        let valid: Vec<usize> = (0..kernel).filter(|&tap| (0..input as i64).contains(&at(tap))).collect();
                        assert_eq!(region.tap_cols.clone().collect::<Vec<_>>(), valid, "{geometry:?} output {col}");
                    }
                }
                assert_eq!(end, output);
            }
        }
    }

    #[test]
    fn parts_and_pieces_cover_every_output_once() {
        let geometry = conv3x3(13, 1, 1);
        for (split, count) in [(Split::Pixels, 1), (Split::Pixels, 3), (Split::Channels, 2), (Split::Pixels, 20)] {
            let mut seen = vec![0; geometry.output_pixels() * 40];
            for index in 0..count {
                let ranges = geometry.part_ranges(Part { index, count }, split, 4);
                for region in geometry.regions() {
                    for piece in ranges.pieces(&region, 17) {
                        for row in piece.rows.clone() {
                            for col in piece.cols.clone() {
                                ranges.channels.clone().for_each(|oc| seen[(row * 13 + col) * 40 + oc] += 1);
                            }
                        }
                    }
                }
            }
            assert!(seen.iter().all(|&times| times == 1), "{split:?} in {count}");
        }
    }
}
