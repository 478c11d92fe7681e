//! Convolution kernels against the reference.
use super::buffers::{Parameters, activation, pixels, rectangle_bytes, scratch, weight};
use super::cases::{Case, Random, cases};
use super::guarded::{GuardedBuffer, Placement};
use crate::isa::Isa;
use crate::kernels::{Int8Block, Int8Kernel, Pixels, SourceForm, SourceRuns, SourceShape, Taps, reference};
use crate::packed::{K_GROUP, PANEL_CHANNELS, ROW_BYTES, SLACK_BYTES};
use crate::tensor::round_up;

/// Tries every case; returns how many there were.
///
/// # Panics
/// At the first case whose bytes differ from the reference's.
pub fn check_int8(kernel: &dyn Int8Kernel) -> usize {
    let cases = cases(kernel.tile_pixels());
    for case in &cases {
        check_int8_case(kernel, case);
    }
    cases.len()
}

/// Tries one case, its buffers once behind and once before a guard page.
///
/// # Panics
/// If the bytes differ from the reference's.
pub fn check_int8_case(kernel: &dyn Int8Kernel, case: &Case) {
    let problem = Problem::new(case);
    let expected = problem.run_reference();
    for placement in [Placement::BehindGuard, Placement::BeforeGuard] {
        let got = problem.run(kernel, placement);
        if !problem.parameters.same(&expected, &got) {
            let at = expected.iter().zip(&got).position(|(e, g)| e != g);
            panic!("{} differs from the reference at byte {at:?} of {case:?}", kernel.name());
        }
    }
}

/// A convolution in full: source image, weights, parameters.
pub struct Problem {
    /// Rows of output pixels.
    pub rows: usize,
    /// Output pixels of a row.
    pub cols: usize,
    /// Valid kernel rows and columns.
    pub taps: [usize; 2],
    /// Kernel rows and columns that are not valid.
    pub skipped_taps: usize,
    /// 4-byte groups of a tap.
    pub groups: usize,
    /// Output channels.
    pub channels: usize,
    /// Stride, both ways.
    pub stride: usize,
    /// Source bytes of a pixel.
    pub src_pixel: usize,
    /// Source pixels of a row.
    pub src_cols: usize,
    /// The source, from the first valid tap of the first pixel to the last of the last.
    pub src: Vec<u8>,
    /// Weights `[channels][taps][groups * 4]`.
    pub weights: Vec<i8>,
    /// The rest.
    pub parameters: Parameters,
}

impl Problem {
    /// The problem that a case describes.
    pub fn new(case: &Case) -> Self {
        let mut random = Random::new(case.seed);
        let taps = [case.tap_rows, case.tap_cols];
        let k = taps[0] * taps[1] * case.groups * K_GROUP;
        let src_pixel = case.groups * K_GROUP + case.src_gap;
        let extent = |pixels: usize, taps: usize| pixels.saturating_sub(1) * case.stride + taps;
        let src_cols = extent(case.cols, taps[1]);
        let empty = case.rows * case.cols * k == 0;
        let src_bytes = if empty { 0 } else { extent(case.rows, taps[0]) * src_cols * src_pixel - case.src_gap };
        Self {
            rows: case.rows,
            cols: case.cols,
            taps,
            skipped_taps: case.skipped_taps,
            groups: case.groups,
            channels: case.channels,
            stride: case.stride,
            src_pixel,
            src_cols,
            src: (0..src_bytes).map(|_| activation(case.values, &mut random)).collect(),
            weights: (0..case.channels * k).map(|_| weight(case.values, &mut random)).collect(),
            parameters: Parameters::new(case, k, &mut random),
        }
    }

    /// The destination as the reference leaves it.
    pub fn run_reference(&self) -> Vec<u8> {
        let packed = Packed::new(self, self.skipped_taps, 0);
        let mut dst = self.parameters.dst.clone();
        let parameters = &self.parameters;
        let block = Int8Block {
            src: self.src_pixels(self.src.as_ptr()),
            taps: self.direct_taps(&packed),
            weights: packed.bytes.as_ptr(),
            comp: parameters.comp.as_ptr(),
            mult: parameters.mult.as_ptr(),
            bias: parameters.bias.as_ptr(),
            output: parameters.output(dst.as_mut_ptr(), parameters.residual.as_ptr()),
            ..self.unplaced_block(packed.panel_stride)
        };
        // SAFETY: the vectors hold what the block describes.
        unsafe { reference::int8(&block) };
        dst
    }

    /// The destination as the kernel leaves it.
    pub fn run(&self, kernel: &dyn Int8Kernel, placement: Placement) -> Vec<u8> {
        let k_per_tap = self.groups * K_GROUP;
        let k = self.taps[0] * self.taps[1] * k_per_tap;
        // The block keeps its taps apart, whether a driver would merge them or not.
        let form = kernel.source_form(&SourceShape { taps: self.taps, groups: self.groups, merged: false, cols: self.cols });
        let src = GuardedBuffer::new(&self.src, 1, placement);
        // A gathered panel meets all taps; a tile load may fetch whole rows past a short k.
        let skipped = if form == SourceForm::Direct { self.skipped_taps } else { 0 };
        let long_steps = matches!(form, SourceForm::Gathered { k_multiple, .. } if k_multiple > K_GROUP);
        let slack = if long_steps || kernel.isa() == Isa::AmxInt8 { SLACK_BYTES } else { 0 };
        let packed = Packed::new(self, skipped, slack);
        let weights = GuardedBuffer::new(bytemuck::cast_slice(&packed.bytes), 64, placement);
        let mut parameters = self.parameters.guarded(placement);
        let mut scratch = scratch(kernel.scratch_bytes(k));
        let panel;
        let (src_pixels, taps) = match form {
            SourceForm::Direct => (self.src_pixels(src.as_ptr()), self.direct_taps(&packed)),
            SourceForm::Gathered { bytes_per_value, k_multiple, .. } => {
                let row = round_up(k, k_multiple) * bytes_per_value;
                panel = self.gather(kernel, &src, row, bytes_per_value, placement);
                (pixels(panel.as_ptr(), self.cols, row), gathered_taps(k / K_GROUP))
            }
        };
        let residual = parameters.residual.as_ptr();
        let block = Int8Block {
            src: src_pixels,
            taps,
            weights: weights.as_ptr().cast(),
            comp: parameters.comp.as_ptr().cast(),
            mult: parameters.mult.as_ptr().cast(),
            bias: parameters.bias.as_ptr().cast(),
            output: self.parameters.output(parameters.dst.as_mut_ptr(), residual),
            ..self.unplaced_block(packed.panel_stride)
        };
        kernel.enter();
        // SAFETY: the guarded buffers hold what the block describes; the scratch has the size that the kernel named.
        unsafe { kernel.run(&block, scratch.bytes_mut()) };
        kernel.leave();
        parameters.dst.bytes().to_vec()
    }

    /// A block that has its shape but no addresses yet.
    fn unplaced_block(&self, panel_stride: usize) -> Int8Block {
        Int8Block {
            src: self.src_pixels(std::ptr::null()),
            rows: self.rows,
            cols: self.cols,
            taps: gathered_taps(0),
            weights: std::ptr::null(),
            panel_stride,
            panels_behind: 0,
            channels: self.channels,
            stored_channels: self.parameters.stored_channels,
            comp: std::ptr::null(),
            mult: std::ptr::null(),
            bias: std::ptr::null(),
            output: self.parameters.output(std::ptr::null_mut(), std::ptr::null()),
        }
    }

    fn src_pixels(&self, start: *const u8) -> Pixels<*const u8> {
        let col_stride = (self.stride * self.src_pixel) as isize;
        Pixels { start, row_stride: col_stride * self.src_cols as isize, col_stride }
    }

    fn direct_taps(&self, packed: &Packed) -> Taps {
        Taps {
            rows: self.taps[0],
            cols: self.taps[1],
            run: self.groups,
            src_row_stride: (self.src_cols * self.src_pixel) as isize,
            src_col_stride: self.src_pixel as isize,
            weight_row_stride: packed.row_stride,
            weight_col_stride: self.groups * ROW_BYTES,
        }
    }

    /// The panel of all pixels, widened by the kernel.
    fn gather(
        &self,
        kernel: &dyn Int8Kernel,
        src: &GuardedBuffer,
        row_bytes: usize,
        bytes_per_value: usize,
        placement: Placement,
    ) -> GuardedBuffer {
        let mut panel = GuardedBuffer::new(&vec![0; rectangle_bytes(self.rows, self.cols, row_bytes)], 64, placement);
        let place = pixels(panel.as_mut_ptr(), self.cols, row_bytes);
        let tap_values = self.groups * K_GROUP;
        for pixel in 0..self.rows * self.cols {
            for tap in 0..self.taps[0] * self.taps[1] {
                let row = pixel / self.cols * self.stride + tap / self.taps[1];
                let col = pixel % self.cols * self.stride + tap % self.taps[1];
                let to = tap * tap_values * bytes_per_value;
                // SAFETY: the tap lies in the source and in its row of the panel.
                unsafe {
                    let from = src.as_ptr().add((row * self.src_cols + col) * self.src_pixel);
                    kernel.widen(from, SourceRuns::one(tap_values), place.at(pixel / self.cols, pixel % self.cols).add(to));
                }
            }
        }
        panel
    }
}

/// One run of `run` groups.
fn gathered_taps(run: usize) -> Taps {
    let (src_row_stride, src_col_stride) = (0, 0);
    Taps { rows: 1, cols: 1, run, src_row_stride, src_col_stride, weight_row_stride: 0, weight_col_stride: 0 }
}

/// Packed weights from the first valid tap on.
pub struct Packed {
    /// Panels, and the slack.
    pub bytes: Vec<i8>,
    /// Bytes from a panel to the next.
    pub panel_stride: usize,
    row_stride: usize,
}

impl Packed {
    /// Packs for a kernel that has `skipped` more rows and columns than the valid ones; those hold rubbish, as does the slack.
    pub fn new(problem: &Problem, skipped: usize, slack: usize) -> Self {
        let [tap_rows, tap_cols] = problem.taps;
        let tap_bytes = problem.groups * ROW_BYTES;
        let row_stride = (tap_cols + skipped) * tap_bytes;
        let panel_stride = (tap_rows + skipped) * row_stride;
        let panels = problem.channels.div_ceil(PANEL_CHANNELS);
        let mut bytes = vec![77i8; panels * panel_stride];
        let k_per_tap = problem.groups * K_GROUP;
        for channel in 0..panels * PANEL_CHANNELS {
            for tap in 0..tap_rows * tap_cols {
                for k in 0..k_per_tap {
                    let at = channel / PANEL_CHANNELS * panel_stride
                        + tap / tap_cols * row_stride
                        + tap % tap_cols * tap_bytes
                        + k / K_GROUP * ROW_BYTES
                        + channel % PANEL_CHANNELS * K_GROUP
                        + k % K_GROUP;
                    let from = (channel * tap_rows * tap_cols + tap) * k_per_tap + k;
                    bytes[at] = if channel < problem.channels { problem.weights[from] } else { 0 };
                }
            }
        }
        // Behind the last valid tap's last row nothing belongs to the block.
        let unused = if tap_rows * tap_cols == 0 { bytes.len() } else { skipped * (row_stride + tap_bytes) };
        bytes.truncate(bytes.len() - unused);
        bytes.resize(bytes.len() + slack, 77);
        Self { bytes, panel_stride, row_stride }
    }
}
