//! From a caller's image bytes, dense NHWC, to the u8 tensor that the first layer reads, or to floats: one table a channel.
//!
//! A table of 256 bytes is four cache lines, so three of them and the pixels under work stay in L1, and a look-up a byte is
//! fewer operations than normalizing and quantizing it.
use super::quantize::Quantizer;
use crate::quantize::ByteValues;

/// The quantized byte of each image byte of one channel.
pub type ByteTable = [u8; 256];

/// For each channel the byte of every image byte: NUMERICS section 1 of its float.
pub fn image_tables(values: &[ByteValues], quantizer: Quantizer) -> Vec<ByteTable> {
    values.iter().map(|values| std::array::from_fn(|byte| quantizer.byte(values[byte]))).collect()
}

/// Image bytes `[pixels][c]` through one table a channel into `[pixels][c_stride]`, `zero_byte` behind the channels.
pub fn quantize_image(src: &[u8], tables: &[ByteTable], c_stride: usize, zero_byte: u8, dst: &mut [u8]) {
    let c = tables.len();
    assert_eq!(src.len() / c.max(1), dst.len() / c_stride.max(1));
    // One word a pixel: the usual images.
    match (tables, c_stride) {
        ([grey], 4) => {
            let (pixels, _) = dst.as_chunks_mut::<4>();
            pixels.iter_mut().zip(src).for_each(|(pixel, &byte)| *pixel = [grey[usize::from(byte)], zero_byte, zero_byte, zero_byte]);
        }
        ([red, green, blue], 4) => {
            let (pixels, _) = dst.as_chunks_mut::<4>();
            let (bytes, _) = src.as_chunks::<3>();
            for (pixel, &[r, g, b]) in pixels.iter_mut().zip(bytes) {
                *pixel = [red[usize::from(r)], green[usize::from(g)], blue[usize::from(b)], zero_byte];
            }
        }
        ([red, green, blue, alpha], 4) => {
            let (pixels, _) = dst.as_chunks_mut::<4>();
            let (bytes, _) = src.as_chunks::<4>();
            for (pixel, &[r, g, b, a]) in pixels.iter_mut().zip(bytes) {
                *pixel = [red[usize::from(r)], green[usize::from(g)], blue[usize::from(b)], alpha[usize::from(a)]];
            }
        }
        _ => {
            for (pixel, src) in dst.chunks_exact_mut(c_stride).zip(src.chunks_exact(c)) {
                for ((q, &byte), table) in pixel.iter_mut().zip(src).zip(tables) {
                    *q = table[usize::from(byte)];
                }
                pixel[c..].fill(zero_byte);
            }
        }
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
        let qparams = QParams { scale: 0.0187, zero_point: 117 };
        for (low, high) in [(0, 255), (0, 127)] {
            let quantizer = Quantizer::new(qparams, low, high);
            for channels in 1..=6usize {
                for (c_stride, pixels) in [(channels.next_multiple_of(4), 700), (8, 1)] {
                    let (src, values) = (bytes(pixels * channels), values(channels));
                    let mut dst = vec![9; pixels * c_stride];
                    quantize_image(&src, &image_tables(&values, quantizer), c_stride, quantizer.zero_byte(), &mut dst);
                    let mut planes = vec![0.0; pixels * channels];
                    for channel in 0..channels {
                        let plane = &mut planes[channel * pixels..][..pixels];
                        image_plane(&src, channel, channels, &values[channel], plane);
                    }
                    for isa in VectorIsa::tested() {
                        let mut expected = vec![7; dst.len()];
                        quantize_nchw_to_nhwc(isa, &planes, pixels, pixels, channels, c_stride, quantizer, &mut expected);
                        assert_eq!(dst, expected, "{channels} channels, {pixels} pixels");
                    }
                }
            }
        }
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
