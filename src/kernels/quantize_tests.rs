use super::*;
use crate::kernels::VectorIsa;
use crate::kernels::simd::{test_bytes, test_floats};
use crate::quantize::QParams;

const QPARAMS: QParams = QParams { scale: 0.062_5, zero_point: 117 };

fn floats(count: usize) -> Vec<f32> {
    let mut values = test_floats(count, 5);
    for (value, special) in
        values.iter_mut().skip(3).step_by(7).zip([f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, 1e-40, -f32::NAN])
    {
        *value = special;
    }
    values
}

fn reference(x: f32, qmin: u8, qmax: u8) -> u8 {
    QPARAMS.quantize(x, i32::from(qmin), i32::from(qmax)) as u8
}

#[test]
fn floats_become_the_bytes_of_section_1() {
    for isa in VectorIsa::tested() {
        for (qmin, qmax) in [(0, 255), (0, 127), (117, 200)] {
            for count in [0, 1, 7, 31, 64, 333] {
                let src = floats(count);
                let mut dst = vec![9; count];
                quantize(isa, &src, Quantizer::new(QPARAMS, qmin, qmax), &mut dst);
                assert_eq!(dst, src.iter().map(|&x| reference(x, qmin, qmax)).collect::<Vec<_>>(), "{}", isa.name());
            }
        }
    }
}

#[test]
fn planes_and_pixels_become_padded_pixels() {
    for isa in VectorIsa::tested() {
        for (c, c_stride) in [(1, 4), (3, 4), (4, 4), (5, 8), (6, 16), (64, 64)] {
            for pixels in [1, 63, 64, 65, 200] {
                let quantizer = Quantizer::new(QPARAMS, 0, 255);
                let plane_stride = pixels + 5;
                let planes = floats(c * plane_stride);
                let dense: Vec<f32> = (0..pixels * c).map(|at| planes[at % c * plane_stride + at / c]).collect();
                let byte = |at: usize| if at % c_stride < c { reference(dense[at / c_stride * c + at % c_stride], 0, 255) } else { 117 };
                let expected: Vec<u8> = (0..pixels * c_stride).map(byte).collect();
                let mut dst = vec![9; pixels * c_stride];
                quantize_nchw_to_nhwc(isa, &planes, plane_stride, pixels, c, c_stride, quantizer, &mut dst);
                assert_eq!(dst, expected, "{} planes, {c} of {c_stride}", isa.name());
                dst.fill(9);
                quantize_nhwc(isa, &dense, c, c_stride, quantizer, &mut dst);
                assert_eq!(dst, expected, "{} pixels, {c} of {c_stride}", isa.name());
            }
        }
    }
}

#[test]
fn bytes_become_floats_in_every_layout() {
    let value = |q: u8| (f32::from(q) - 117.0) * QPARAMS.scale;
    for isa in VectorIsa::tested() {
        for (c, c_stride, pixels) in [(1, 4, 70), (3, 4, 129), (8, 8, 64), (10, 12, 5)] {
            let src = test_bytes(pixels * c_stride, 3);
            let mut all = vec![0.0; src.len()];
            dequantize(isa, &src, QPARAMS, &mut all);
            assert!(all.iter().zip(&src).all(|(x, &q)| *x == value(q)));
            let (mut dense, mut planes) = (vec![0.0; pixels * c], vec![0.0; pixels * c]);
            dequantize_nhwc(isa, &src, c, c_stride, QPARAMS, &mut dense);
            dequantize_nhwc_to_nchw(isa, &src, pixels, c, c_stride, QPARAMS, &mut planes);
            for pixel in 0..pixels {
                for channel in 0..c {
                    let expected = value(src[pixel * c_stride + channel]);
                    assert_eq!(dense[pixel * c + channel], expected);
                    assert_eq!(planes[channel * pixels + pixel], expected);
                }
            }
        }
    }
}

#[test]
fn min_and_max_are_exact_and_a_bad_value_is_found() {
    for isa in VectorIsa::tested() {
        for count in [1, 31, 32, 33, 500] {
            let src = test_floats(count, 77);
            let range = min_max(isa, &src);
            assert_eq!(range.min, src.iter().copied().fold(f32::INFINITY, f32::min));
            assert_eq!(range.max, src.iter().copied().fold(f32::NEG_INFINITY, f32::max));
            assert!(range.finite);
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -f32::NAN] {
                let mut src = src.clone();
                src[count - 1] = bad;
                assert!(!min_max(isa, &src).finite);
                assert_eq!(first_non_finite(&src), Some(count - 1));
            }
        }
        let zeros = min_max(isa, &[0.0, -0.0, -0.0]);
        assert_eq!((zeros.min.to_bits(), zeros.max.to_bits()), (0, 0), "the sign of zero does not depend on the order");
        assert_eq!(min_max(isa, &[]), MinMax { min: f32::INFINITY, max: f32::NEG_INFINITY, finite: true });
    }
    assert_eq!(first_non_finite(&[1.0]), None);
}
