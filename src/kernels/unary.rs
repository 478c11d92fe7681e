//! Operators of one tensor, element by element, their tables for bytes, and softmax.
use super::math;
use super::quantize::Quantizer;
use super::reduce::sum_16_chains;
use super::simd::{Clamp, multiversion};
use crate::quantize::QParams;

/// A function of one float.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FloatUnary {
    /// A clamp where NaN passes: Relu, Clip.
    Clamp(Clamp),
    /// `x < 0 ? alpha * x : x`.
    LeakyRelu(f32),
    /// `1 / (1 + e^-x)`.
    Sigmoid,
    /// `clamp(fma(alpha, x, beta), 0, 1)`.
    HardSigmoid {
        /// Slope.
        alpha: f32,
        /// Offset.
        beta: f32,
    },
    /// `x * clamp(fma(x, 1/6, 1/2), 0, 1)`.
    HardSwish,
    /// The hyperbolic tangent.
    Tanh,
    /// The error function.
    Erf,
    /// `e^x`.
    Exp,
}

const UNIT: Clamp = Clamp { low: 0.0, high: 1.0 };

impl FloatUnary {
    /// The function's value.
    #[inline(always)]
    pub fn of(self, x: f32) -> f32 {
        match self {
            FloatUnary::Clamp(clamp) => clamp.apply(x),
            FloatUnary::LeakyRelu(alpha) => {
                let scaled = alpha * x;
                if x < 0.0 { scaled } else { x }
            }
            FloatUnary::Sigmoid => math::sigmoid(x),
            FloatUnary::HardSigmoid { alpha, beta } => UNIT.apply(alpha.mul_add(x, beta)),
            FloatUnary::HardSwish => x * UNIT.apply(x.mul_add(1.0 / 6.0, 0.5)),
            FloatUnary::Tanh => math::tanh(x),
            FloatUnary::Erf => math::erf(x),
            FloatUnary::Exp => math::exp(x),
        }
    }

    /// The function on bytes, for every byte: dequantized, mapped, quantized.
    pub fn table(self, input: QParams, output: Quantizer) -> [u8; 256] {
        std::array::from_fn(|q| output.byte(self.of(input.dequantize(q as i32))))
    }
}

/// Compiles `loops` once for each function, so that none is chosen inside a loop.
macro_rules! for_each_function {
    ($function:expr, $of:ident => $loops:expr) => {
        match $function {
            FloatUnary::Clamp(clamp) => {
                let $of = FloatUnary::Clamp(clamp);
                $loops
            }
            FloatUnary::LeakyRelu(alpha) => {
                let $of = FloatUnary::LeakyRelu(alpha);
                $loops
            }
            FloatUnary::Sigmoid => {
                let $of = FloatUnary::Sigmoid;
                $loops
            }
            FloatUnary::HardSigmoid { alpha, beta } => {
                let $of = FloatUnary::HardSigmoid { alpha, beta };
                $loops
            }
            FloatUnary::HardSwish => {
                let $of = FloatUnary::HardSwish;
                $loops
            }
            FloatUnary::Tanh => {
                let $of = FloatUnary::Tanh;
                $loops
            }
            FloatUnary::Erf => {
                let $of = FloatUnary::Erf;
                $loops
            }
            FloatUnary::Exp => {
                let $of = FloatUnary::Exp;
                $loops
            }
        }
    };
}

multiversion! {
    /// `function` of every value; `src` and `dst` have one length.
    pub fn unary_f32(function: FloatUnary, src: &[f32], dst: &mut [f32]) {
        assert_eq!(src.len(), dst.len());
        for_each_function!(function, f => for (y, &x) in dst.iter_mut().zip(src) {
            *y = f.of(x);
        });
    }

    /// `function` of every value, in place.
    pub fn unary_f32_in_place(function: FloatUnary, data: &mut [f32]) {
        for_each_function!(function, f => for x in data.iter_mut() {
            *x = f.of(*x);
        });
    }

    /// Softmax of each row of `[rows][n]`: `e^(x - max)`, its sum by 16 interleaved chains, the quotient.
    pub fn softmax_rows(src: &[f32], n: usize, dst: &mut [f32]) {
        assert_eq!(src.len(), dst.len());
        let n = n.max(1);
        for (dst, src) in dst.chunks_exact_mut(n).zip(src.chunks_exact(n)) {
            let mut lanes = [f32::NEG_INFINITY; 16];
            for chunk in src.chunks(16) {
                for (lane, &x) in lanes.iter_mut().zip(chunk) {
                    *lane = if x > *lane { x } else { *lane };
                }
            }
            let max = lanes.into_iter().fold(f32::NEG_INFINITY, |a, b| if b > a { b } else { a });
            for (y, &x) in dst.iter_mut().zip(src) {
                *y = math::exp(x - max);
            }
            let sum = sum_16_chains(dst);
            for y in dst.iter_mut() {
                *y /= sum;
            }
        }
    }

    /// Softmax over the middle axis of `[n][inner]`, `inner > 1`: as [`softmax_rows`], the sums being chains in index
    /// order. `scratch` has `2 * inner` floats.
    pub fn softmax_columns(src: &[f32], inner: usize, scratch: &mut [f32], dst: &mut [f32]) {
        assert!(src.len() == dst.len() && scratch.len() == 2 * inner);
        let (max, sum) = scratch.split_at_mut(inner);
        max.fill(f32::NEG_INFINITY);
        for src in src.chunks_exact(inner) {
            for (max, &x) in max.iter_mut().zip(src) {
                *max = if x > *max { x } else { *max };
            }
        }
        sum.fill(0.0);
        for (dst, src) in dst.chunks_exact_mut(inner).zip(src.chunks_exact(inner)) {
            for (((y, &x), &max), sum) in dst.iter_mut().zip(src).zip(max.iter()).zip(sum.iter_mut()) {
                *y = math::exp(x - max);
                *sum += *y;
            }
        }
        for dst in dst.chunks_exact_mut(inner) {
            for (y, &sum) in dst.iter_mut().zip(sum.iter()) {
                *y /= sum;
            }
        }
    }
}

/// A unary operator on bytes: `table[q]` of every byte. Bytes that pad a pixel become `table[z]`, which need not be the
/// output's zero point: see [`super::layout::fill_padding`].
pub fn lookup(src: &[u8], table: &[u8; 256], dst: &mut [u8]) {
    assert_eq!(src.len(), dst.len());
    for (y, &q) in dst.iter_mut().zip(src) {
        *y = table[usize::from(q)];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::VectorIsa;
    use crate::kernels::simd::{test_bytes, test_floats};

    type Exact = fn(f64) -> f64;

    fn functions() -> [(FloatUnary, Exact); 8] {
        [
            (FloatUnary::Clamp(Clamp { low: 0.0, high: 6.0 }), |x| x.clamp(0.0, 6.0)),
            (FloatUnary::LeakyRelu(0.25), |x| if x < 0.0 { 0.25 * x } else { x }),
            (FloatUnary::Sigmoid, |x| 1.0 / (1.0 + (-x).exp())),
            (FloatUnary::HardSigmoid { alpha: 0.2, beta: 0.5 }, |x| (0.2 * x + 0.5).clamp(0.0, 1.0)),
            (FloatUnary::HardSwish, |x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0)),
            (FloatUnary::Tanh, f64::tanh),
            (FloatUnary::Exp, |x| if x > 88.7 { f64::INFINITY } else { x.exp() }),
            (FloatUnary::Erf, |x| if x.abs() > 0.01 { f64::NAN } else { x * std::f64::consts::FRAC_2_SQRT_PI }),
        ]
    }

    #[test]
    fn functions_have_one_result_on_every_instruction_set() {
        let mut src = test_floats(1000, 4);
        src[17] = f32::NAN;
        for (function, exact) in functions() {
            let expected: Vec<f32> = src.iter().map(|&x| function.of(x)).collect();
            for (&x, &y) in src.iter().zip(&expected) {
                let exact = exact(f64::from(x)) as f32;
                assert!(
                    exact.is_nan() || y == exact || (y - exact).abs() <= 1e-6 * exact.abs() + 1e-7,
                    "{function:?}({x}) = {y}, not {exact}"
                );
            }
            assert!(expected[17].is_nan(), "NaN passes {function:?}");
            for isa in VectorIsa::tested() {
                let mut dst = vec![0.0; src.len()];
                unary_f32(isa, function, &src, &mut dst);
                let mut in_place = src.clone();
                unary_f32_in_place(isa, function, &mut in_place);
                for at in (0..src.len()).filter(|&at| at != 17) {
                    assert_eq!(dst[at].to_bits(), expected[at].to_bits(), "{} {function:?}({})", isa.name(), src[at]);
                    assert_eq!(in_place[at].to_bits(), expected[at].to_bits());
                }
            }
        }
    }

    #[test]
    fn softmax_sums_to_one_and_agrees_with_f64() {
        for isa in VectorIsa::tested() {
            for (rows, n) in [(3, 1), (2, 10), (4, 16), (1, 1000)] {
                let src: Vec<f32> = test_floats(rows * n, 6).iter().map(|x| x.clamp(-30.0, 30.0)).collect();
                let (mut by_rows, mut portable) = (vec![0.0; src.len()], vec![0.0; src.len()]);
                softmax_rows(isa, &src, n, &mut by_rows);
                softmax_rows(VectorIsa::Portable, &src, n, &mut portable);
                assert_eq!(by_rows, portable);
                // The same data with the rows as columns.
                let columns: Vec<f32> = (0..src.len()).map(|at| src[at % rows * n + at / rows]).collect();
                let (mut by_columns, mut scratch) = (vec![0.0; src.len()], vec![0.0; 2 * rows]);
                softmax_columns(isa, &columns, rows, &mut scratch, &mut by_columns);
                for row in 0..rows {
                    let values = &src[row * n..][..n];
                    let sum: f64 = values.iter().map(|&x| f64::from(x).exp()).sum();
                    for (at, &x) in values.iter().enumerate() {
                        let exact = (f64::from(x).exp() / sum) as f32;
                        let (first, second) = (by_rows[row * n + at], by_columns[at * rows + row]);
                        assert!(
                            (first - exact).abs() <= 2e-6 * exact && (second - exact).abs() <= 2e-6 * exact,
                            "{first} {second} {exact}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_table_maps_bytes_as_the_function_maps_floats() {
        let (input, output) = (QParams { scale: 0.05, zero_point: 90 }, QParams { scale: 1.0 / 256.0, zero_point: 0 });
        let table = FloatUnary::Sigmoid.table(input, Quantizer::new(output, 0, 255));
        let src = test_bytes(300, 9);
        let mut dst = vec![0; 300];
        lookup(&src, &table, &mut dst);
        for (&q, &y) in src.iter().zip(&dst) {
            let x = (f32::from(q) - 90.0) * 0.05;
            assert_eq!(y, (math::sigmoid(x) * 256.0).round_ties_even().min(255.0) as u8);
        }
    }
}
