//! Operators of two tensors, element by element: floats, and bytes by NUMERICS section 5.
//!
//! Layouts: dense slices of one length; a per-channel operand `[c]` belongs to channels-last data `[pixels][c]`. Byte
//! tensors are `[pixels][c_stride]`: bytes that pad a pixel go through the same formula, and zero points of the inputs
//! give that of the output (where the clamp contains it).
use super::simd::{ByteRange, Clamp, multiversion};

/// An operator on floats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FloatBinary {
    /// `a + b`.
    Add,
    /// `a - b`.
    Sub,
    /// `b - a`.
    ReverseSub,
    /// `a * b`.
    Mul,
}

impl FloatBinary {
    #[inline(always)]
    fn of(self, a: f32, b: f32) -> f32 {
        match self {
            FloatBinary::Add => a + b,
            FloatBinary::Sub => a - b,
            FloatBinary::ReverseSub => b - a,
            FloatBinary::Mul => a * b,
        }
    }
}

/// The second operand of an operator on floats; the first has the output's shape.
#[derive(Debug, Clone, Copy)]
pub enum Operand<'a> {
    /// As many values as the first.
    Same(&'a [f32]),
    /// `[c]`, for a first operand `[pixels][c]`.
    Channel(&'a [f32]),
    /// One value for all.
    Scalar(f32),
}

/// Compiles `loops` once for each operator, so that none is chosen inside a loop.
macro_rules! for_each_operator {
    ($op:expr, $of:ident => $loops:expr) => {
        match $op {
            FloatBinary::Add => {
                let $of = |a, b| FloatBinary::Add.of(a, b);
                $loops
            }
            FloatBinary::Sub => {
                let $of = |a, b| FloatBinary::Sub.of(a, b);
                $loops
            }
            FloatBinary::ReverseSub => {
                let $of = |a, b| FloatBinary::ReverseSub.of(a, b);
                $loops
            }
            FloatBinary::Mul => {
                let $of = |a, b| FloatBinary::Mul.of(a, b);
                $loops
            }
        }
    };
}

multiversion! {
    /// `clamp(op(a, b))`; `a` and `dst` have one length.
    pub fn binary_f32(op: FloatBinary, a: &[f32], b: Operand, clamp: Clamp, dst: &mut [f32]) {
        assert_eq!(a.len(), dst.len());
        for_each_operator!(op, of => match b {
            Operand::Same(b) => {
                assert_eq!(a.len(), b.len());
                for ((y, &a), &b) in dst.iter_mut().zip(a).zip(b) {
                    *y = clamp.apply(of(a, b));
                }
            }
            Operand::Channel(b) => {
                let c = b.len().max(1);
                for (pixel, a) in dst.chunks_exact_mut(c).zip(a.chunks_exact(c)) {
                    for ((y, &a), &b) in pixel.iter_mut().zip(a).zip(b) {
                        *y = clamp.apply(of(a, b));
                    }
                }
            }
            Operand::Scalar(b) => {
                for (y, &a) in dst.iter_mut().zip(a) {
                    *y = clamp.apply(of(a, b));
                }
            }
        });
    }

    /// Per channel `clamp(fma(x, scale, shift))`: x `[pixels][c]`, scale and shift `[c]`.
    pub fn channel_affine(x: &[f32], scale: &[f32], shift: &[f32], clamp: Clamp, dst: &mut [f32]) {
        assert!(x.len() == dst.len() && scale.len() == shift.len());
        let c = scale.len().max(1);
        for (pixel, x) in dst.chunks_exact_mut(c).zip(x.chunks_exact(c)) {
            for (((y, &x), &scale), &shift) in pixel.iter_mut().zip(x).zip(scale).zip(shift) {
                *y = clamp.apply(x.mul_add(scale, shift));
            }
        }
    }
}

/// Parameters of the sum of two byte tensors.
#[derive(Debug, Clone, Copy)]
pub struct AddParams {
    /// Zero point of `a`.
    pub a_zero: i32,
    /// Zero point of `b`.
    pub b_zero: i32,
    /// `s_a / s_y`, in f64, rounded once.
    pub a_ratio: f32,
    /// `s_b / s_y`, likewise.
    pub b_ratio: f32,
    /// The output's zero point and clamp.
    pub output: ByteRange,
}

/// Parameters of the product of two byte tensors.
#[derive(Debug, Clone, Copy)]
pub struct MulParams {
    /// Zero point of `a`.
    pub a_zero: i32,
    /// Zero point of `b`.
    pub b_zero: i32,
    /// `s_a * s_b / s_y`, in f64 left to right, rounded once.
    pub ratio: f32,
    /// The output's zero point and clamp.
    pub output: ByteRange,
}

/// Parameters of a change of qparams.
#[derive(Debug, Clone, Copy)]
pub struct RescaleParams {
    /// Zero point of the input.
    pub zero_point: i32,
    /// `s_x / s_y`, in f64, rounded once.
    pub ratio: f32,
    /// The output's zero point and clamp.
    pub output: ByteRange,
}

#[inline(always)]
fn product(params: MulParams, a: u8, b: u8) -> u8 {
    let integer = (i32::from(a) - params.a_zero) * (i32::from(b) - params.b_zero);
    params.output.byte(integer as f32 * params.ratio)
}

multiversion! {
    /// Sum of bytes: `f = fma(f32(b - z_b), s_b / s_y, f32(a - z_a) * (s_a / s_y))`, then the byte of `f`.
    pub fn add_u8(a: &[u8], b: &[u8], params: AddParams, dst: &mut [u8]) {
        assert!(a.len() == dst.len() && b.len() == dst.len());
        for ((q, &a), &b) in dst.iter_mut().zip(a).zip(b) {
            let first = (i32::from(a) - params.a_zero) as f32 * params.a_ratio;
            let f = ((i32::from(b) - params.b_zero) as f32).mul_add(params.b_ratio, first);
            *q = params.output.byte(f);
        }
    }

    /// Product of bytes: `f = f32((a - z_a) * (b - z_b)) * (s_a * s_b / s_y)`, then the byte of `f`.
    pub fn mul_u8(a: &[u8], b: &[u8], params: MulParams, dst: &mut [u8]) {
        assert!(a.len() == dst.len() && b.len() == dst.len());
        for ((q, &a), &b) in dst.iter_mut().zip(a).zip(b) {
            *q = product(params, a, b);
        }
    }

    /// As [`mul_u8`] for one sample `a` `[pixels][c_stride]` and a gate `b` `[c_stride]` (squeeze and excitation).
    pub fn mul_u8_by_channel(a: &[u8], b: &[u8], params: MulParams, dst: &mut [u8]) {
        assert_eq!(a.len(), dst.len());
        let c_stride = b.len().max(1);
        for (pixel, a) in dst.chunks_exact_mut(c_stride).zip(a.chunks_exact(c_stride)) {
            for ((q, &a), &b) in pixel.iter_mut().zip(a).zip(b) {
                *q = product(params, a, b);
            }
        }
    }

    /// Bytes with other qparams: `f = f32(q - z_x) * (s_x / s_y)`, then the byte of `f`.
    pub fn rescale_u8(src: &[u8], params: RescaleParams, dst: &mut [u8]) {
        assert_eq!(src.len(), dst.len());
        for (q, &x) in dst.iter_mut().zip(src) {
            *q = params.output.byte((i32::from(x) - params.zero_point) as f32 * params.ratio);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::VectorIsa;
    use crate::kernels::simd::{test_bytes, test_floats};

    fn bits(values: &[f32]) -> Vec<u32> {
        values.iter().map(|x| x.to_bits()).collect()
    }

    #[test]
    fn floats_are_combined_with_every_kind_of_operand() {
        let clamp = Clamp { low: -5.0, high: 20.0 };
        for isa in VectorIsa::tested() {
            for (pixels, c) in [(1, 1), (5, 3), (9, 32), (3, 65)] {
                let (a, b) = (test_floats(pixels * c, 1), test_floats(pixels * c, 2));
                for op in [FloatBinary::Add, FloatBinary::Sub, FloatBinary::ReverseSub, FloatBinary::Mul] {
                    let operands = [Operand::Same(&b), Operand::Channel(&b[..c]), Operand::Scalar(b[0])];
                    for operand in operands {
                        let other = |at: usize| match operand {
                            Operand::Same(b) => b[at],
                            Operand::Channel(b) => b[at % c],
                            Operand::Scalar(b) => b,
                        };
                        let value = |at: usize| match op {
                            FloatBinary::Add => a[at] + other(at),
                            FloatBinary::Sub => a[at] - other(at),
                            FloatBinary::ReverseSub => other(at) - a[at],
                            FloatBinary::Mul => a[at] * other(at),
                        };
                        let expected: Vec<f32> = (0..a.len()).map(|at| value(at).clamp(-5.0, 20.0)).collect();
                        let mut dst = vec![0.0; a.len()];
                        binary_f32(isa, op, &a, operand, clamp, &mut dst);
                        assert_eq!(bits(&dst), bits(&expected), "{} {op:?}", isa.name());
                    }
                }
                let expected: Vec<f32> = (0..a.len()).map(|at| a[at].mul_add(b[at % c], a[at % c]).clamp(-5.0, 20.0)).collect();
                let mut dst = vec![0.0; a.len()];
                channel_affine(isa, &a, &b[..c], &a[..c], clamp, &mut dst);
                assert_eq!(bits(&dst), bits(&expected));
            }
        }
    }

    /// Section 5's `q`, in the order in which it is written there.
    fn byte(f: f32, range: ByteRange) -> u8 {
        (range.zero_point as f32 + f.round_ties_even()).clamp(range.low as f32, range.high as f32) as u8
    }

    #[test]
    fn bytes_follow_section_5() {
        let output = ByteRange { zero_point: 31, low: 31, high: 250 };
        // Ratios with many ties, and ordinary ones.
        for (a_ratio, b_ratio) in [(0.5, 0.25), (0.731, 1.27)] {
            let add = AddParams { a_zero: 120, b_zero: 3, a_ratio, b_ratio, output };
            let mul = MulParams { a_zero: 120, b_zero: 3, ratio: a_ratio * 0.125, output };
            let rescale = RescaleParams { zero_point: 120, ratio: a_ratio, output };
            for isa in VectorIsa::tested() {
                for count in [1, 16, 33, 200] {
                    let (a, b) = (test_bytes(count, 1), test_bytes(count, 2));
                    let offset = |q: u8, zero: i32| (i32::from(q) - zero) as f32;
                    let mut dst = vec![0; count];
                    add_u8(isa, &a, &b, add, &mut dst);
                    let sum = |at: usize| offset(b[at], 3).mul_add(b_ratio, offset(a[at], 120) * a_ratio);
                    assert_eq!(dst, (0..count).map(|at| byte(sum(at), output)).collect::<Vec<_>>());
                    mul_u8(isa, &a, &b, mul, &mut dst);
                    let product = |a: u8, b: u8| byte(offset(a, 120) * offset(b, 3) * mul.ratio, output);
                    assert_eq!(dst, (0..count).map(|at| product(a[at], b[at])).collect::<Vec<_>>());
                    rescale_u8(isa, &a, rescale, &mut dst);
                    assert_eq!(dst, a.iter().map(|&a| byte(offset(a, 120) * a_ratio, output)).collect::<Vec<_>>());
                    let (gate, a) = (&b[..count.min(8)], &a[..count / 8 * 8]);
                    let mut dst = vec![0; a.len()];
                    mul_u8_by_channel(isa, a, gate, mul, &mut dst);
                    assert_eq!(dst, (0..a.len()).map(|at| product(a[at], gate[at % 8])).collect::<Vec<_>>());
                }
            }
        }
    }
}
