//! From floats to u8 tensors and back: NUMERICS section 1.
//!
//! Layouts: a dense tensor is a slice; NHWC u8 is `[pixels][c_stride]` with `c_stride >= c`, and the bytes behind `c`
//! hold the zero point; NCHW f32 is one plane a channel, `plane_stride` floats apart.
use super::simd::{multiversion, round_small};
use crate::quantize::QParams;

/// Quantization of floats to bytes with the inverse scale at hand: `clamp(z + rne(x * (1 / s)), qmin, qmax)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantizer {
    inverse_scale: f32,
    zero_point: i32,
    low: f32,
    high: f32,
}

impl Quantizer {
    /// For bytes `qmin..=qmax`, within 0..=255 and around the zero point.
    pub fn new(qparams: QParams, qmin: u8, qmax: u8) -> Self {
        let offset = |q: u8| (i32::from(q) - qparams.zero_point) as f32;
        Self { inverse_scale: 1.0 / qparams.scale, zero_point: qparams.zero_point, low: offset(qmin), high: offset(qmax) }
    }

    /// The byte of `x`; NaN gives the zero point, the infinities the ends.
    #[inline(always)]
    pub fn byte(self, x: f32) -> u8 {
        let scaled = x * self.inverse_scale;
        let number = if scaled.is_nan() { 0.0 } else { scaled };
        let above = if number < self.low { self.low } else { number };
        (round_small(if above > self.high { self.high } else { above }) + self.zero_point) as u8
    }

    /// Where `x` lies among the bytes, not rounded and not clamped.
    pub(super) fn offset_of(self, x: f32) -> f64 {
        f64::from(x) * f64::from(self.inverse_scale) + f64::from(self.zero_point)
    }

    /// The smallest and the largest byte.
    pub(super) fn byte_range(self) -> (f32, f32) {
        (self.low + self.zero_point as f32, self.high + self.zero_point as f32)
    }

    /// The byte that stands for 0.0, and fills the channels that pad a pixel.
    #[inline(always)]
    pub fn zero_byte(self) -> u8 {
        self.zero_point as u8
    }
}

/// A quantizer a channel.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelQuantizer {
    inverse_scales: Vec<f32>,
    zero_points: Vec<i32>,
    lows: Vec<f32>,
    highs: Vec<f32>,
}

impl ChannelQuantizer {
    /// For bytes `qmin..=qmax`, as [`Quantizer::new`].
    pub fn new(qparams: impl Iterator<Item = QParams>, qmin: u8, qmax: u8) -> Self {
        let mut all = Self { inverse_scales: Vec::new(), zero_points: Vec::new(), lows: Vec::new(), highs: Vec::new() };
        for Quantizer { inverse_scale, zero_point, low, high } in qparams.map(|qparams| Quantizer::new(qparams, qmin, qmax)) {
            all.inverse_scales.push(inverse_scale);
            all.zero_points.push(zero_point);
            all.lows.push(low);
            all.highs.push(high);
        }
        all
    }

    /// How many channels.
    pub fn channels(&self) -> usize {
        self.zero_points.len()
    }

    /// Of one channel.
    #[inline(always)]
    fn of(&self, channel: usize) -> Quantizer {
        Quantizer {
            inverse_scale: self.inverse_scales[channel],
            zero_point: self.zero_points[channel],
            low: self.lows[channel],
            high: self.highs[channel],
        }
    }
}

/// Bytes of a pixel that is one word.
const WORD_BYTES: usize = 4;

/// Planes of `C` channels (fewer than a word's bytes) to pixels of one word, whose other bytes are the zero point.
#[inline(always)]
fn words_of_planes<const C: usize>(src: &[f32], plane_stride: usize, pixels: usize, quantizer: Quantizer, dst: &mut [u8]) {
    let planes: [&[f32]; C] = std::array::from_fn(|channel| &src[channel * plane_stride..][..pixels]);
    let behind = (C..WORD_BYTES).fold(0, |word, lane| word | u32::from(quantizer.zero_byte()) << (8 * lane));
    let (words, _) = dst.as_chunks_mut::<WORD_BYTES>();
    let word_of = |values: [f32; C]| {
        let lanes = values.into_iter().enumerate();
        lanes.fold(behind, |word, (lane, x)| word | u32::from(quantizer.byte(x)) << (8 * lane)).to_le_bytes()
    };
    let blocks = planes.map(|plane| plane.as_chunks::<INTERLEAVE_PIXELS>());
    let (word_blocks, word_rest) = words.as_chunks_mut::<INTERLEAVE_PIXELS>();
    for (block, words) in word_blocks.iter_mut().enumerate() {
        let planes = blocks.map(|(whole, _)| &whole[block]);
        (0..INTERLEAVE_PIXELS).for_each(|pixel| words[pixel] = word_of(planes.map(|plane| plane[pixel])));
    }
    for (pixel, word) in word_rest.iter_mut().enumerate() {
        *word = word_of(blocks.map(|(_, rest)| rest[pixel]));
    }
}

/// Pixels of a block whose planes are interleaved together: their bytes stay in L1.
const INTERLEAVE_PIXELS: usize = 64;

multiversion! {
    /// Quantizes `src` into `dst` of the same length.
    pub fn quantize(src: &[f32], quantizer: Quantizer, dst: &mut [u8]) {
        assert_eq!(src.len(), dst.len());
        for (q, &x) in dst.iter_mut().zip(src) {
            *q = quantizer.byte(x);
        }
    }

    /// Quantizes finite floats by torch's dynamic rule, the zero point added before rounding, to bytes `0..=high`:
    /// `clamp(rne(fma(x, inverse_scale, zero_point)), 0, high)`.
    pub fn quantize_offset_first(src: &[f32], inverse_scale: f32, zero_point: f32, high: f32, dst: &mut [u8]) {
        assert_eq!(src.len(), dst.len());
        for (q, &x) in dst.iter_mut().zip(src) {
            let scaled = x.mul_add(inverse_scale, zero_point);
            let above = if scaled > 0.0 { scaled } else { 0.0 };
            *q = round_small(if above < high { above } else { high }) as u8;
        }
    }

    /// Quantizes dense NHWC floats `[pixels][c]` into `[pixels][c_stride]`.
    pub fn quantize_nhwc(src: &[f32], c: usize, c_stride: usize, quantizer: Quantizer, dst: &mut [u8]) {
        assert_eq!(src.len() / c.max(1), dst.len() / c_stride.max(1));
        if c == c_stride {
            for (q, &x) in dst.iter_mut().zip(src) {
                *q = quantizer.byte(x);
            }
            return;
        }
        for (pixel, src) in dst.chunks_exact_mut(c_stride).zip(src.chunks_exact(c)) {
            for (q, &x) in pixel.iter_mut().zip(src) {
                *q = quantizer.byte(x);
            }
            pixel[c..].fill(quantizer.zero_byte());
        }
    }

    /// Quantizes dense pixels `[pixels][c]` into `[pixels][c_stride]`, each channel by its own quantizer; 0 behind the channels.
    pub fn quantize_pixels(src: &[f32], c_stride: usize, quantizer: &ChannelQuantizer, dst: &mut [u8]) {
        let c = quantizer.channels();
        let tables = (&quantizer.inverse_scales[..c], &quantizer.zero_points[..c], &quantizer.lows[..c], &quantizer.highs[..c]);
        for (pixel, src) in dst.chunks_exact_mut(c_stride).zip(src.chunks_exact(c)) {
            let (bytes, padding) = pixel.split_at_mut(c);
            for (channel, (q, &x)) in bytes.iter_mut().zip(src).enumerate() {
                let (inverse_scale, zero_point) = (tables.0[channel], tables.1[channel]);
                *q = Quantizer { inverse_scale, zero_point, low: tables.2[channel], high: tables.3[channel] }.byte(x);
            }
            padding.fill(0);
        }
    }

    /// Quantizes planes, channel `i` at `src[i * plane_stride..]`, into `[pixels][c_stride]`, each by its own quantizer; 0 behind them.
    pub fn quantize_planes(src: &[f32], plane_stride: usize, c_stride: usize, quantizer: &ChannelQuantizer, dst: &mut [u8]) {
        let c = quantizer.channels();
        for channel in 0..c {
            let one = quantizer.of(channel);
            for (pixel, &x) in dst.chunks_exact_mut(c_stride).zip(&src[channel * plane_stride..]) {
                pixel[channel] = one.byte(x);
            }
        }
        dst.chunks_exact_mut(c_stride).for_each(|pixel| pixel[c..].fill(0));
    }

    /// Quantizes planes of `pixels` floats, channel `i` at `src[i * plane_stride..]`, into `[pixels][c_stride]` with
    /// `c_stride` a multiple of 4. A part of an image is the same call with `src` and `dst` cut at its first pixel.
    pub fn quantize_nchw_to_nhwc(src: &[f32], plane_stride: usize, pixels: usize, c: usize, c_stride: usize,
                                 quantizer: Quantizer, dst: &mut [u8]) {
        assert!(c_stride.is_multiple_of(4) && c <= c_stride && dst.len() == pixels * c_stride);
        if c_stride == WORD_BYTES {
            match c {
                1 => return words_of_planes::<1>(src, plane_stride, pixels, quantizer, dst),
                2 => return words_of_planes::<2>(src, plane_stride, pixels, quantizer, dst),
                3 => return words_of_planes::<3>(src, plane_stride, pixels, quantizer, dst),
                _ => {}
            }
        }
        let zero = [u32::from(quantizer.zero_byte()); INTERLEAVE_PIXELS];
        for (block, dst) in dst.chunks_mut(INTERLEAVE_PIXELS * c_stride).enumerate() {
            let first = block * INTERLEAVE_PIXELS;
            let count = INTERLEAVE_PIXELS.min(pixels - first);
            for quad in 0..c_stride / 4 {
                // Four channels of each pixel as one little-endian word.
                let mut words = [0u32; INTERLEAVE_PIXELS];
                for lane in 0..4 {
                    let channel = quad * 4 + lane;
                    if channel >= c {
                        words.iter_mut().zip(zero).for_each(|(word, zero)| *word |= zero << (8 * lane));
                        continue;
                    }
                    let plane = &src[channel * plane_stride + first..][..count];
                    for (word, &x) in words.iter_mut().zip(plane) {
                        *word |= u32::from(quantizer.byte(x)) << (8 * lane);
                    }
                }
                for (pixel, word) in dst.chunks_exact_mut(c_stride).zip(words) {
                    pixel[quad * 4..quad * 4 + 4].copy_from_slice(&word.to_le_bytes());
                }
            }
        }
    }

    /// `(q - z) * s` of every byte.
    pub fn dequantize(src: &[u8], qparams: QParams, dst: &mut [f32]) {
        assert_eq!(src.len(), dst.len());
        for (x, &q) in dst.iter_mut().zip(src) {
            *x = (i32::from(q) - qparams.zero_point) as f32 * qparams.scale;
        }
    }

    /// Dequantizes `[pixels][c_stride]` into dense `[pixels][c]`.
    pub fn dequantize_nhwc(src: &[u8], c: usize, c_stride: usize, qparams: QParams, dst: &mut [f32]) {
        assert_eq!(src.len() / c_stride.max(1), dst.len() / c.max(1));
        let pixel_of = |pixel: &mut [f32], src: &[u8]| {
            for (x, &q) in pixel.iter_mut().zip(src) {
                *x = (i32::from(q) - qparams.zero_point) as f32 * qparams.scale;
            }
        };
        if c == c_stride {
            return pixel_of(dst, src);
        }
        dst.chunks_exact_mut(c).zip(src.chunks_exact(c_stride)).for_each(|(pixel, src)| pixel_of(pixel, src));
    }

    /// Dequantizes `[pixels][c_stride]` into dense planes `[c][pixels]`.
    pub fn dequantize_nhwc_to_nchw(src: &[u8], pixels: usize, c: usize, c_stride: usize, qparams: QParams, dst: &mut [f32]) {
        assert!(c <= c_stride && src.len() == pixels * c_stride && dst.len() == pixels * c);
        for first in (0..pixels).step_by(INTERLEAVE_PIXELS) {
            let count = INTERLEAVE_PIXELS.min(pixels - first);
            let block = &src[first * c_stride..(first + count) * c_stride];
            for channel in 0..c {
                let plane = &mut dst[channel * pixels + first..][..count];
                for (x, pixel) in plane.iter_mut().zip(block.chunks_exact(c_stride)) {
                    *x = (i32::from(pixel[channel]) - qparams.zero_point) as f32 * qparams.scale;
                }
            }
        }
    }
}

/// What one pass over a tensor finds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MinMax {
    /// The smallest value, inf of an empty slice; meaningless if not `finite`. Never -0.0.
    pub min: f32,
    /// The largest value, -inf of an empty slice; meaningless if not `finite`. Never -0.0.
    pub max: f32,
    /// Whether no value is NaN or infinite.
    pub finite: bool,
}

multiversion! {
    /// The exact minimum and maximum of a slice, and whether all of it is finite.
    pub fn min_max(src: &[f32]) -> MinMax {
        const LANES: usize = 32;
        let (mut min, mut max, mut bits) = ([f32::INFINITY; LANES], [f32::NEG_INFINITY; LANES], [0i32; LANES]);
        let (chunks, rest) = src.as_chunks::<LANES>();
        let mut see = |lane: usize, x: f32| {
            min[lane] = if x < min[lane] { x } else { min[lane] };
            max[lane] = if x > max[lane] { x } else { max[lane] };
            bits[lane] = bits[lane].max((x.to_bits() & 0x7fff_ffff) as i32);
        };
        for chunk in chunks {
            chunk.iter().enumerate().for_each(|(lane, &x)| see(lane, x));
        }
        rest.iter().enumerate().for_each(|(lane, &x)| see(lane, x));
        let least = min.into_iter().fold(f32::INFINITY, |a, b| if b < a { b } else { a });
        let largest = max.into_iter().fold(f32::NEG_INFINITY, |a, b| if b > a { b } else { a });
        // Adding 0.0 makes -0.0 a 0.0: which of the two is met first must not matter.
        MinMax { min: least + 0.0, max: largest + 0.0, finite: bits.iter().all(|&bits| bits < f32::INFINITY.to_bits() as i32) }
    }
}

/// The index of the first NaN or infinity.
pub fn first_non_finite(src: &[f32]) -> Option<usize> {
    src.iter().position(|x| !x.is_finite())
}

#[cfg(test)]
#[path = "quantize_tests.rs"]
mod tests;
