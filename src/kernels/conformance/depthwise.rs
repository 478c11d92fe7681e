//! Depthwise kernels against the reference.
use super::buffers::{Parameters, activation, scratch, weight};
use super::cases::{Case, Random, cases};
use super::guarded::{GuardedBuffer, Placement};
use crate::kernels::{DepthwiseBlock, DepthwiseKernel, Pixels, Taps, reference};
use crate::packed::PANEL_CHANNELS;

/// The tile that the list of cases is made for; depthwise kernels take pixel by pixel.
const CASE_TILE: usize = 4;

/// Tries every case; returns how many there were.
///
/// # Panics
/// At the first case whose bytes differ from the reference's.
pub fn check_depthwise(kernel: &dyn DepthwiseKernel) -> usize {
    let cases = cases(CASE_TILE);
    for case in &cases {
        check_depthwise_case(kernel, case);
    }
    cases.len()
}

/// Tries one case, its buffers once behind and once before a guard page.
///
/// # Panics
/// If the bytes differ from the reference's.
pub fn check_depthwise_case(kernel: &dyn DepthwiseKernel, case: &Case) {
    let problem = Problem::new(case);
    let parameters = &problem.parameters;
    let mut expected = parameters.dst.clone();
    let block = DepthwiseBlock {
        comp: parameters.comp.as_ptr(),
        mult: parameters.mult.as_ptr(),
        bias: parameters.bias.as_ptr(),
        output: parameters.output(expected.as_mut_ptr(), parameters.residual.as_ptr()),
        ..problem.block(problem.src.as_ptr(), problem.weights.as_ptr())
    };
    // SAFETY: the vectors hold what the block describes.
    unsafe { reference::depthwise(&block) };
    for placement in [Placement::BehindGuard, Placement::BeforeGuard] {
        let src = GuardedBuffer::new(&problem.src, 1, placement);
        let weights = GuardedBuffer::new(bytemuck::cast_slice(&problem.weights), 16, placement);
        let mut guarded = parameters.guarded(placement);
        let mut scratch = scratch(kernel.scratch_bytes(case.tap_rows * case.tap_cols));
        let residual = guarded.residual.as_ptr();
        let block = DepthwiseBlock {
            comp: guarded.comp.as_ptr().cast(),
            mult: guarded.mult.as_ptr().cast(),
            bias: guarded.bias.as_ptr().cast(),
            output: parameters.output(guarded.dst.as_mut_ptr(), residual),
            ..problem.block(src.as_ptr(), weights.as_ptr().cast())
        };
        // SAFETY: the guarded buffers hold what the block describes; the scratch has the size that the kernel named.
        unsafe { kernel.run(&block, scratch.bytes_mut()) };
        if !parameters.same(&expected, guarded.dst.bytes()) {
            panic!("{} differs from the reference: {case:?}", kernel.name());
        }
    }
}

/// A depthwise convolution in full.
struct Problem {
    case: Case,
    src_pixel: usize,
    src_cols: usize,
    src: Vec<u8>,
    /// Packed, from the first valid tap to the last.
    weights: Vec<i8>,
    row_stride: usize,
    panel_stride: usize,
    parameters: Parameters,
}

impl Problem {
    fn new(case: &Case) -> Self {
        let mut random = Random::new(case.seed);
        let taps = case.tap_rows * case.tap_cols;
        let src_pixel = case.channels + case.src_gap;
        let extent = |pixels: usize, taps: usize| pixels.saturating_sub(1) * case.stride + taps;
        let src_cols = extent(case.cols, case.tap_cols);
        let empty = case.rows * case.cols * taps == 0;
        let src_bytes = if empty { 0 } else { extent(case.rows, case.tap_rows) * src_cols * src_pixel - case.src_gap };
        let row_stride = (case.tap_cols + case.skipped_taps) * PANEL_CHANNELS;
        let panel_stride = (case.tap_rows + case.skipped_taps) * row_stride;
        let panels = case.channels.div_ceil(PANEL_CHANNELS);
        let unused = if taps == 0 { panels * panel_stride } else { case.skipped_taps * (row_stride + PANEL_CHANNELS) };
        let weights = (0..panels * panel_stride - unused).map(|at| {
            let channel = at / panel_stride * PANEL_CHANNELS + at % PANEL_CHANNELS;
            let weight = weight(case.values, &mut random);
            if channel < case.channels { weight } else { 0 }
        });
        let weights = weights.collect();
        Self {
            case: *case,
            src_pixel,
            src_cols,
            src: (0..src_bytes).map(|_| activation(case.values, &mut random)).collect(),
            weights,
            row_stride,
            panel_stride,
            parameters: Parameters::new(case, taps, &mut random),
        }
    }

    /// The block with its source and weights, the other addresses null.
    fn block(&self, src: *const u8, weights: *const i8) -> DepthwiseBlock {
        let case = &self.case;
        let pixel = self.src_pixel as isize;
        let row = pixel * self.src_cols as isize;
        let stride = case.stride as isize;
        DepthwiseBlock {
            src: Pixels { start: src, row_stride: stride * row, col_stride: stride * pixel },
            rows: case.rows,
            cols: case.cols,
            taps: Taps {
                rows: case.tap_rows,
                cols: case.tap_cols,
                run: 1,
                src_row_stride: row,
                src_col_stride: pixel,
                weight_row_stride: self.row_stride,
                weight_col_stride: PANEL_CHANNELS,
            },
            weights,
            panel_stride: self.panel_stride,
            channels: case.channels,
            stored_channels: self.parameters.stored_channels,
            comp: std::ptr::null(),
            mult: std::ptr::null(),
            bias: std::ptr::null(),
            output: self.parameters.output(std::ptr::null_mut(), std::ptr::null()),
        }
    }
}
