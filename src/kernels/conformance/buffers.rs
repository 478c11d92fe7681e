//! A case's buffers: what a block of the case points at, first as plain memory for the reference, then between guard
//! pages for a kernel.
use super::cases::{Case, OutputKind, Random, Scaling, Values};
use super::guarded::{GuardedBuffer, Placement};
use crate::kernels::{Int8Output, Pixels, Requantize, Residual};
use crate::packed::PANEL_CHANNELS;
use crate::tensor::round_up;

/// A byte that no kernel should leave or write by chance.
const CANARY: u8 = 0xa5;

/// An activation.
pub fn activation(values: Values, random: &mut Random) -> u8 {
    match values {
        Values::Any => random.bits() as u8,
        Values::Ends => random.pick(&[0, 1, 127, 128, 255]),
        Values::Largest => 255,
        Values::Small => random.pick(&[0, 1, 2]),
    }
}

/// A weight.
pub fn weight(values: Values, random: &mut Random) -> i8 {
    match values {
        Values::Any => random.bits() as i8,
        Values::Ends => random.pick(&[-128, -127, -1, 0, 1, 127]),
        Values::Largest => -128,
        Values::Small => random.pick(&[-1, 0, 1]),
    }
}

/// Per-channel parameters, padded to 16 channels, and what the outputs read and write.
#[derive(Debug, Clone)]
pub struct Parameters {
    /// Starting accumulators.
    pub comp: Vec<i32>,
    /// Multipliers.
    pub mult: Vec<f32>,
    /// Biases.
    pub bias: Vec<f32>,
    /// Residual pixels; empty without one.
    pub residual: Vec<u8>,
    /// The destination before the run.
    pub dst: Vec<u8>,
    /// Channels that are stored.
    pub stored_channels: usize,
    /// Zero point and clamp of U8.
    pub requantize: Requantize,
    /// Zero point and ratio of a u8 residual.
    pub residual_scale: (i32, f32),
    rows: usize,
    cols: usize,
    output: OutputKind,
    dst_pixel: usize,
    residual_pixel: usize,
}

/// Canary bytes between the pixels of the destination.
const DST_GAP: usize = 8;
/// Bytes between the pixels of the residual.
const RESIDUAL_GAP: usize = 4;

impl Parameters {
    /// The parameters of a case with `k` products a value.
    pub fn new(case: &Case, k: usize, random: &mut Random) -> Self {
        let padded = round_up(case.channels, PANEL_CHANNELS);
        let stored_channels = (case.channels + case.extra_stored).min(padded);
        // About the spread of a sum of k products.
        let spread = match case.values {
            Values::Any | Values::Ends => (k.max(1) as f32).sqrt() * 10_000.0,
            Values::Largest => k.max(1) as f32 * 32_640.0,
            Values::Small => (k.max(1) as f32).sqrt(),
        };
        let mut mult = vec![0.0; padded];
        let mut bias = vec![0.0; padded];
        for (mult, bias) in mult.iter_mut().zip(&mut bias) {
            (*mult, *bias) = match case.scaling {
                Scaling::Spread => (random.float(-150.0, 150.0) / spread, random.float(-60.0, 60.0)),
                Scaling::Ties => (random.pick(&[0.5, 0.25, -0.5, 1.5]), random.pick(&[0.0, 0.5, -1.5, 64.25])),
                Scaling::Huge => {
                    let mult = random.pick(&[1e30, -1e30, f32::MAX, -f32::MAX, 3e5, -3e5, 1.0, 0.0, 1e-40]);
                    let edge = 2_147_483_648.0;
                    (mult, random.pick(&[0.0, edge, -edge, edge - 128.0, 4.0 * edge, 1e38, -1e38, f32::MAX, -f32::MAX]))
                }
            };
        }
        let comp = (0..padded).map(|_| random.below(2001) as i32 - 1000).collect();
        let (zero_point, low, high) = case.ends;
        let ratio = if case.scaling == Scaling::Ties { 0.5 } else { random.float(0.05, 3.0) };
        let within_i32 = Requantize::floats_within_i32(k, &mult, &bias, ratio);
        let requantize = Requantize { zero_point, low: (low - zero_point) as f32, high: (high - zero_point) as f32, within_i32 };
        let mut parameters = Self {
            comp,
            mult,
            bias,
            residual: Vec::new(),
            dst: Vec::new(),
            stored_channels,
            requantize,
            residual_scale: (random.pick(&[0, 3, 128, 255]), ratio),
            rows: case.rows,
            cols: case.cols,
            output: case.output,
            dst_pixel: 0,
            residual_pixel: 0,
        };
        parameters.place_output(case.residual, random);
        parameters
    }

    /// Parameters given in full; a u8 residual is dense, as is the destination.
    pub fn dense_u8(comp: Vec<i32>, mult: Vec<f32>, bias: Vec<f32>, pixels: usize, channels: usize) -> Self {
        Self {
            comp,
            mult,
            bias,
            residual: Vec::new(),
            dst: vec![CANARY; pixels * channels],
            stored_channels: channels,
            requantize: Requantize { zero_point: 0, low: 0.0, high: 255.0, within_i32: false },
            residual_scale: (0, 0.0),
            rows: 1,
            cols: pixels,
            output: OutputKind::U8,
            dst_pixel: channels,
            residual_pixel: channels,
        }
    }

    fn place_output(&mut self, residual: bool, random: &mut Random) {
        let element = if self.output == OutputKind::U8 { 1 } else { 4 };
        let pixels = self.rows * self.cols;
        let stored = self.stored_channels * element;
        let len = |gap: usize| if pixels == 0 { 0 } else { rectangle_bytes(self.rows, self.cols, stored + gap) - gap };
        self.dst_pixel = stored + DST_GAP;
        self.dst = vec![CANARY; len(DST_GAP)];
        self.residual_pixel = stored + RESIDUAL_GAP;
        if residual && self.output == OutputKind::U8 {
            self.residual = (0..len(RESIDUAL_GAP)).map(|_| random.bits() as u8).collect();
        }
        if residual && self.output == OutputKind::F32 {
            let special = [f32::NAN, f32::INFINITY, -0.0, 1e-45, f32::MAX];
            for _ in 0..len(RESIDUAL_GAP) / 4 {
                let value = if random.below(8) == 0 { random.pick(&special) } else { random.float(-100.0, 100.0) };
                self.residual.extend(value.to_le_bytes());
            }
        }
    }

    /// The output that writes to `dst` and reads `residual`.
    pub fn output(&self, dst: *mut u8, residual: *const u8) -> Int8Output {
        let dst = pixels(dst, self.cols, self.dst_pixel);
        let residual = (!self.residual.is_empty()).then(|| pixels(residual, self.cols, self.residual_pixel));
        match self.output {
            OutputKind::U8 => {
                let (zero_point, ratio) = self.residual_scale;
                let residual = residual.map(|src| Residual { src, zero_point, ratio });
                Int8Output::U8 { dst, residual, requantize: self.requantize }
            }
            // A fused ReLU6, a ReLU, or no activation.
            OutputKind::F32 => {
                let (low, high) = [(f32::NEG_INFINITY, f32::INFINITY), (0.0, 6.0), (0.0, f32::INFINITY)][self.cols % 3];
                Int8Output::F32 { dst, residual, low, high }
            }
            OutputKind::I32 => Int8Output::I32 { dst },
        }
    }

    /// Whether two destinations are the same bytes (floats: any NaN equals any NaN).
    pub fn same(&self, left: &[u8], right: &[u8]) -> bool {
        if self.output != OutputKind::F32 {
            return left == right;
        }
        let value = |bytes: &[u8]| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let same_word = |(l, r): (&[u8], &[u8])| l == r || (value(l).is_nan() && value(r).is_nan());
        left.len() == right.len() && left.chunks_exact(4).zip(right.chunks_exact(4)).all(same_word)
    }

    /// Copies of every buffer between guard pages.
    pub fn guarded(&self, placement: Placement) -> GuardedParameters {
        let floats = |values: &[f32]| GuardedBuffer::new(bytemuck::cast_slice(values), 4, placement);
        GuardedParameters {
            comp: GuardedBuffer::new(bytemuck::cast_slice(&self.comp), 4, placement),
            mult: floats(&self.mult),
            bias: floats(&self.bias),
            residual: GuardedBuffer::new(&self.residual, 1, placement),
            dst: GuardedBuffer::new(&self.dst, 1, placement),
        }
    }
}

/// [`Parameters`] between guard pages.
pub struct GuardedParameters {
    /// Starting accumulators.
    pub comp: GuardedBuffer,
    /// Multipliers.
    pub mult: GuardedBuffer,
    /// Biases.
    pub bias: GuardedBuffer,
    /// Residual pixels.
    pub residual: GuardedBuffer,
    /// The destination.
    pub dst: GuardedBuffer,
}

/// Bytes between the rows of every rectangle, so that a pixel taken for the next row's is noticed.
const ROW_GAP: usize = 64;

/// A rectangle of pixels with a gap behind each row.
pub fn pixels<P>(start: P, cols: usize, pixel_bytes: usize) -> Pixels<P> {
    Pixels { start, row_stride: (cols * pixel_bytes + ROW_GAP) as isize, col_stride: pixel_bytes as isize }
}

/// Bytes of such a rectangle, without the gap behind its last row.
pub fn rectangle_bytes(rows: usize, cols: usize, pixel_bytes: usize) -> usize {
    if rows == 0 { 0 } else { rows * (cols * pixel_bytes + ROW_GAP) - ROW_GAP }
}

/// Scratch of `len` bytes full of rubbish, 64-byte aligned, a guard page behind its last 64 bytes.
pub fn scratch(len: usize) -> GuardedBuffer {
    GuardedBuffer::new(&vec![CANARY; len], 64, Placement::BeforeGuard)
}
