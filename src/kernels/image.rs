//! From a caller's image bytes, dense NHWC, to the u8 tensor that the first layer reads, or to floats.
//!
//! What a byte becomes is a table of 256 for each channel: the quantized byte of its float, by definition. Nearly always the
//! table is a line, `clamp(rne(byte * slope + offset))`, which vector instructions compute faster than they look up: whether
//! it is one is tried for all 256 bytes, in the very operations that the loop does.
use super::quantize::Quantizer;
use super::simd::{VectorIsa, multiversion, round_small};
use crate::quantize::ByteValues;

/// The quantized byte of each image byte of one channel.
type ByteTable = [u8; 256];

/// Bytes of a pixel that one word holds.
const WORD_BYTES: usize = 4;
/// Pixels of a block: a loop of known length.
const BLOCK_PIXELS: usize = 64;

/// A table as a line: `clamp(rne(byte * slope + offset), low, high)`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Line {
    slope: f32,
    offset: f32,
    low: f32,
    high: f32,
}

impl Line {
    #[inline(always)]
    fn byte(self, byte: u8) -> u32 {
        let number = f32::from(byte) * self.slope + self.offset;
        let above = if number < self.low { self.low } else { number };
        round_small(if above > self.high { self.high } else { above }) as u32
    }

    /// The line of a table, if it is one.
    fn of(table: &ByteTable, values: &ByteValues, quantizer: Quantizer) -> Option<Line> {
        let [first, last] = [0, 255].map(|byte: usize| quantizer.offset_of(values[byte]));
        let slope = (last - first) / 255.0;
        let (low, high) = quantizer.byte_range();
        // A byte next to a tie may need the line a little higher or lower.
        let nudges = [0.0, 1.0, -1.0, 2.0, -2.0, 4.0, -4.0].map(|steps| steps * 8e-6);
        nudges.into_iter().find_map(|nudge| {
            let line = Line { slope: slope as f32, offset: (first + nudge) as f32, low, high };
            (0..=255u8).all(|byte| line.byte(byte) == u32::from(table[usize::from(byte)])).then_some(line)
        })
    }
}

/// What image bytes become: one table a channel.
#[derive(Debug, Clone)]
pub struct ImageQuantizer {
    tables: Vec<ByteTable>,
    /// The tables as lines, where all of them are, and a pixel is one word.
    lines: Option<[Line; WORD_BYTES]>,
    zero_byte: u8,
}

impl ImageQuantizer {
    /// For bytes that stand for `values`, one list a channel: NUMERICS section 1 of those floats.
    pub fn new(values: &[ByteValues], quantizer: Quantizer) -> Self {
        let tables: Vec<ByteTable> = values.iter().map(|values| std::array::from_fn(|byte| quantizer.byte(values[byte]))).collect();
        let zero_byte = quantizer.zero_byte();
        // Channels that are not there are a line that is flat.
        let flat = f32::from(zero_byte);
        let mut lines = [Line { slope: 0.0, offset: flat, low: flat, high: flat }; WORD_BYTES];
        let straight = tables.len() <= WORD_BYTES
            && tables.iter().zip(values).zip(&mut lines).all(|((table, values), place)| {
                let line = Line::of(table, values, quantizer);
                line.inspect(|&line| *place = line).is_some()
            });
        Self { tables, lines: straight.then_some(lines), zero_byte }
    }

    /// Image bytes `[pixels][c]` into `[pixels][c_stride]`, the byte of 0.0 behind the channels.
    pub fn run(&self, isa: VectorIsa, src: &[u8], c_stride: usize, dst: &mut [u8]) {
        let c = self.tables.len();
        assert_eq!(src.len() / c.max(1), dst.len() / c_stride.max(1));
        if let (Some(lines), WORD_BYTES) = (self.lines, c_stride) {
            match c {
                1 => return words_of_1(isa, src.as_chunks().0, lines, dst.as_chunks_mut().0),
                3 => return words_of_3(isa, src.as_chunks().0, lines, dst.as_chunks_mut().0),
                4 => return words_of_4(isa, src.as_chunks().0, lines, dst.as_chunks_mut().0),
                _ => {}
            }
        }
        for (pixel, src) in dst.chunks_exact_mut(c_stride.max(1)).zip(src.chunks_exact(c.max(1))) {
            for ((q, &byte), table) in pixel.iter_mut().zip(src).zip(&self.tables) {
                *q = table[usize::from(byte)];
            }
            pixel[c..].fill(self.zero_byte);
        }
    }
}

/// One word a pixel.
#[inline(always)]
fn words<const C: usize>(src: &[[u8; C]], lines: [Line; WORD_BYTES], dst: &mut [[u8; WORD_BYTES]]) {
    let word_of = |pixel: &[u8; C]| -> [u8; WORD_BYTES] {
        let byte = |lane: usize| lines[lane].byte(if lane < C { pixel[lane.min(C - 1)] } else { 0 }) << (8 * lane);
        (byte(0) | byte(1) | byte(2) | byte(3)).to_le_bytes()
    };
    let (src_blocks, src_rest) = src.as_chunks::<BLOCK_PIXELS>();
    let (dst_blocks, dst_rest) = dst.as_chunks_mut::<BLOCK_PIXELS>();
    for (src, dst) in src_blocks.iter().zip(dst_blocks) {
        src.iter().zip(dst).for_each(|(pixel, word)| *word = word_of(pixel));
    }
    src_rest.iter().zip(dst_rest).for_each(|(pixel, word)| *word = word_of(pixel));
}

multiversion! {
    fn words_of_1(src: &[[u8; 1]], lines: [Line; WORD_BYTES], dst: &mut [[u8; WORD_BYTES]]) {
        words(src, lines, dst);
    }

    fn words_of_3(src: &[[u8; 3]], lines: [Line; WORD_BYTES], dst: &mut [[u8; WORD_BYTES]]) {
        words(src, lines, dst);
    }

    fn words_of_4(src: &[[u8; 4]], lines: [Line; WORD_BYTES], dst: &mut [[u8; WORD_BYTES]]) {
        words(src, lines, dst);
    }
}

/// Image bytes `[pixels][c]` to floats that lie alike.
pub fn image_floats(src: &[u8], values: &[ByteValues], dst: &mut [f32]) {
    assert_eq!(src.len(), dst.len());
    for (pixel, src) in dst.chunks_exact_mut(values.len()).zip(src.chunks_exact(values.len())) {
        pixel.iter_mut().zip(src).zip(values).for_each(|((x, &byte), values)| *x = values[usize::from(byte)]);
    }
}

/// One channel of image bytes `[pixels][c]` as a plane of floats.
pub fn image_plane(src: &[u8], channel: usize, channels: usize, values: &ByteValues, dst: &mut [f32]) {
    assert_eq!(src.len(), dst.len() * channels);
    dst.iter_mut().zip(src.chunks_exact(channels)).for_each(|(x, pixel)| *x = values[usize::from(pixel[channel])]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::VectorIsa;
    use crate::kernels::quantize::quantize_nchw_to_nhwc;
    use crate::quantize::{ImageNormalization, QParams};

    fn values(channels: usize) -> Vec<ByteValues> {
        let mean = (0..channels).map(|channel| 0.485 - 0.03 * channel as f32).collect();
        let std = (0..channels).map(|channel| 0.229 - 0.004 * channel as f32).collect();
        ImageNormalization { divisor: 255.0, mean, std }.values().unwrap()
    }

    /// Bytes that meet every table entry.
    fn bytes(count: usize) -> Vec<u8> {
        (0..count).map(|at| (at * 37 + at / 256) as u8).collect()
    }

    #[test]
    fn image_bytes_give_the_bytes_of_their_floats() {
        let mut straight = 0;
        for (scale, zero_point, low, high) in [(0.0187, 117, 0, 255), (0.031, 60, 0, 127), (0.5, 128, 0, 255), (0.0001, 3, 0, 255)] {
            let quantizer = Quantizer::new(QParams { scale, zero_point }, low, high);
            for channels in 1..=6usize {
                for (c_stride, pixels) in [(channels.next_multiple_of(4), 700), (8, 1)] {
                    let (src, values) = (bytes(pixels * channels), values(channels));
                    let image = ImageQuantizer::new(&values, quantizer);
                    straight += usize::from(image.lines.is_some());
                    let mut planes = vec![0.0; pixels * channels];
                    for channel in 0..channels {
                        let plane = &mut planes[channel * pixels..][..pixels];
                        image_plane(&src, channel, channels, &values[channel], plane);
                    }
                    for isa in VectorIsa::tested() {
                        let (mut got, mut expected) = (vec![9; pixels * c_stride], vec![7; pixels * c_stride]);
                        image.run(isa, &src, c_stride, &mut got);
                        quantize_nchw_to_nhwc(isa, &planes, pixels, pixels, channels, c_stride, quantizer, &mut expected);
                        assert_eq!(got, expected, "{channels} channels, {pixels} pixels, scale {scale}");
                        let tables = ImageQuantizer { lines: None, ..image.clone() };
                        tables.run(isa, &src, c_stride, &mut got);
                        assert_eq!(got, expected, "by tables: {channels} channels, {pixels} pixels, scale {scale}");
                    }
                }
            }
        }
        assert!(straight > 20, "{straight} of 32 are lines");
    }

    #[test]
    fn a_table_that_is_no_line_is_looked_up() {
        let mut values = values(3);
        values[1][77] += 1.0;
        let quantizer = Quantizer::new(QParams { scale: 0.02, zero_point: 110 }, 0, 255);
        let image = ImageQuantizer::new(&values, quantizer);
        assert!(image.lines.is_none());
        let (src, mut got) = ([5, 77, 200], [0; 4]);
        image.run(VectorIsa::best(crate::isa::Isa::AmxInt8), &src, 4, &mut got);
        assert_eq!(got, [quantizer.byte(values[0][5]), quantizer.byte(values[1][77]), quantizer.byte(values[2][200]), 110]);
    }

    #[test]
    fn floats_lie_as_pixels_or_as_planes() {
        let (channels, pixels) = (3, 300);
        let (src, values) = (bytes(pixels * channels), values(channels));
        let mut dense = vec![0.0; src.len()];
        image_floats(&src, &values, &mut dense);
        for channel in 0..channels {
            let mut plane = vec![0.0; pixels];
            image_plane(&src, channel, channels, &values[channel], &mut plane);
            for pixel in 0..pixels {
                let at = pixel * channels + channel;
                assert_eq!([dense[at], plane[pixel]], [values[channel][usize::from(src[at])]; 2]);
            }
        }
    }
}
