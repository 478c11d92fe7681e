//! One step of a recurrent layer for one sequence, element by element: gates from their two products, then the new state.
//!
//! `input` is `x W^T + Wb` and `state` is `h R^T + Rb`, gates one after another in ONNX order. Formulas: `graph::Recurrent`.
use super::math::{sigmoid, tanh};
use super::simd::multiversion;

multiversion! {
    /// LSTM: gates i, o, f, c. `cell` and `hidden` are the state, replaced.
    pub fn lstm_step(input: &[f32], state: &[f32], cell: &mut [f32], hidden: &mut [f32]) {
        let n = hidden.len();
        assert!(input.len() == 4 * n && state.len() == 4 * n && cell.len() == n);
        let gate = |index: usize| (&input[index * n..][..n], &state[index * n..][..n]);
        let [(gi, li), (go, lo), (gf, lf), (gc, lc)] = [gate(0), gate(1), gate(2), gate(3)];
        for at in 0..n {
            let i = sigmoid(gi[at] + li[at]);
            let f = sigmoid(gf[at] + lf[at]);
            let candidate = tanh(gc[at] + lc[at]);
            cell[at] = f.mul_add(cell[at], i * candidate);
        }
        for at in 0..n {
            hidden[at] = sigmoid(go[at] + lo[at]) * tanh(cell[at]);
        }
    }

    /// GRU whose reset gate applies to the product: gates z, r, h.
    pub fn gru_step(input: &[f32], state: &[f32], hidden: &mut [f32]) {
        let n = hidden.len();
        assert!(input.len() == 3 * n && state.len() == 3 * n);
        let gate = |index: usize| (&input[index * n..][..n], &state[index * n..][..n]);
        let [(gz, lz), (gr, lr), (gh, lh)] = [gate(0), gate(1), gate(2)];
        for at in 0..n {
            let z = sigmoid(gz[at] + lz[at]);
            let r = sigmoid(gr[at] + lr[at]);
            let candidate = tanh(r.mul_add(lh[at], gh[at]));
            hidden[at] = z.mul_add(hidden[at], (1.0 - z) * candidate);
        }
    }

    /// First half of a GRU whose reset gate applies to the state: `reset = r * hidden`. `state` has gates z, r.
    pub fn gru_reset(input: &[f32], state: &[f32], hidden: &[f32], reset: &mut [f32]) {
        let n = hidden.len();
        assert!(input.len() == 3 * n && state.len() == 2 * n && reset.len() == n);
        let (gr, lr) = (&input[n..][..n], &state[n..][..n]);
        for at in 0..n {
            reset[at] = sigmoid(gr[at] + lr[at]) * hidden[at];
        }
    }

    /// Second half: `candidate` is `(r * h) R_h^T + Rb_h`.
    pub fn gru_finish(input: &[f32], state: &[f32], candidate: &[f32], hidden: &mut [f32]) {
        let n = hidden.len();
        assert!(input.len() == 3 * n && state.len() == 2 * n && candidate.len() == n);
        let (gz, lz, gh) = (&input[..n], &state[..n], &input[2 * n..][..n]);
        for at in 0..n {
            let z = sigmoid(gz[at] + lz[at]);
            let new = tanh(gh[at] + candidate[at]);
            hidden[at] = z.mul_add(hidden[at], (1.0 - z) * new);
        }
    }

    /// RNN with tanh.
    pub fn rnn_tanh_step(input: &[f32], state: &[f32], hidden: &mut [f32]) {
        assert!(input.len() == hidden.len() && state.len() == hidden.len());
        for ((h, &g), &l) in hidden.iter_mut().zip(input).zip(state) {
            *h = tanh(g + l);
        }
    }

    /// RNN with ReLU; NaN passes.
    pub fn rnn_relu_step(input: &[f32], state: &[f32], hidden: &mut [f32]) {
        assert!(input.len() == hidden.len() && state.len() == hidden.len());
        for ((h, &g), &l) in hidden.iter_mut().zip(input).zip(state) {
            let sum = g + l;
            *h = if sum < 0.0 { 0.0 } else { sum };
        }
    }

    /// From an int8 product to floats, in place: `row` holds the accumulators' bits of one row, `sums` the sums of each
    /// channel's weights: `fma(f32(acc - zero_point * sum), f32(scale * weight_scale), bias)` (NUMERICS section 5).
    pub fn scale_row(row: &mut [f32], sums: &[i32], zero_point: i32, scale: f32, weight_scales: &[f32], bias: &[f32]) {
        assert!(sums.len() >= row.len() && weight_scales.len() >= row.len() && bias.len() >= row.len());
        let scale = f64::from(scale);
        for (((y, &sum), &weight), &bias) in row.iter_mut().zip(sums).zip(weight_scales).zip(bias) {
            let acc = (y.to_bits() as i32).wrapping_sub(zero_point.wrapping_mul(sum));
            *y = (acc as f32).mul_add((scale * f64::from(weight)) as f32, bias);
        }
    }

    /// Adds a residual, if there is one, and clamps: `y < low ? low : y > high ? high : y`.
    pub fn finish_row(row: &mut [f32], residual: Option<&[f32]>, low: f32, high: f32) {
        if let Some(residual) = residual {
            for (y, &r) in row.iter_mut().zip(residual) {
                *y += r;
            }
        }
        for y in row.iter_mut() {
            let above = if *y < low { low } else { *y };
            *y = if above > high { high } else { above };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::VectorIsa;
    use crate::kernels::simd::test_floats;

    fn small(count: usize, seed: u64) -> Vec<f32> {
        test_floats(count, seed).into_iter().map(|x| x.clamp(-8.0, 8.0) / 2.0).collect()
    }

    fn close(found: &[f32], expected: impl Fn(usize) -> f64) {
        for (at, &found) in found.iter().enumerate() {
            let expected = expected(at);
            assert!((f64::from(found) - expected).abs() <= 2e-6 * expected.abs().max(1.0), "{found} {expected} at {at}");
        }
    }

    fn sig(x: f64) -> f64 {
        1.0 / (1.0 + (-x).exp())
    }

    #[test]
    fn cells_agree_with_their_formulas_in_f64_and_have_one_result_on_every_instruction_set() {
        let n = 37;
        let (g, l, h, c) = (small(4 * n, 1), small(4 * n, 2), small(n, 3), small(n, 4));
        let sum = |gate: usize, at: usize| f64::from(g[gate * n + at]) + f64::from(l[gate * n + at]);
        let mut first: Option<Vec<Vec<f32>>> = None;
        for isa in VectorIsa::tested() {
            let (mut cell, mut lstm) = (c.clone(), h.clone());
            lstm_step(isa, &g, &l, &mut cell, &mut lstm);
            let next = |at: usize| sig(sum(2, at)) * f64::from(c[at]) + sig(sum(0, at)) * sum(3, at).tanh();
            close(&cell, next);
            close(&lstm, |at| sig(sum(1, at)) * next(at).tanh());

            let mut gru = h.clone();
            gru_step(isa, &g[..3 * n], &l[..3 * n], &mut gru);
            close(&gru, |at| {
                let (z, r) = (sig(sum(0, at)), sig(sum(1, at)));
                let new = (f64::from(g[2 * n + at]) + r * f64::from(l[2 * n + at])).tanh();
                (1.0 - z) * new + z * f64::from(h[at])
            });

            let (mut reset, mut finished) = (vec![0.0; n], h.clone());
            gru_reset(isa, &g[..3 * n], &l[..2 * n], &h, &mut reset);
            close(&reset, |at| sig(sum(1, at)) * f64::from(h[at]));
            gru_finish(isa, &g[..3 * n], &l[..2 * n], &l[3 * n..], &mut finished);
            close(&finished, |at| {
                let z = sig(sum(0, at));
                let new = (f64::from(g[2 * n + at]) + f64::from(l[3 * n + at])).tanh();
                (1.0 - z) * new + z * f64::from(h[at])
            });

            let (mut tanh, mut relu) = (h.clone(), h.clone());
            rnn_tanh_step(isa, &g[..n], &l[..n], &mut tanh);
            close(&tanh, |at| sum(0, at).tanh());
            rnn_relu_step(isa, &g[..n], &l[..n], &mut relu);
            close(&relu, |at| sum(0, at).max(0.0));
            relu[0] = 0.0;
            rnn_relu_step(isa, &[f32::NAN], &[0.0], &mut relu[..1]);
            assert!(relu[0].is_nan());
            relu[0] = 0.0;

            let all = vec![cell, lstm, gru, reset, finished, tanh, relu];
            let first = first.get_or_insert_with(|| all.clone());
            assert_eq!(&all, first, "{}", isa.name());
        }
    }

    #[test]
    fn a_row_of_accumulators_is_scaled_by_the_law_of_numerics_section_5() {
        let acc = [0, 1, -7, 1 << 24 | 1, i32::MIN / 2, 999_999];
        let (sums, weights, bias) = ([3, -4, 0, 1, 2, 100], [0.1f32, 0.3, 1e-5, 7e-3, 1.0, 2e-4], [0.5f32, -1.0, 0.0, 3.0, 2.0, 1e-3]);
        for isa in VectorIsa::tested() {
            let mut row: Vec<f32> = acc.iter().map(|&acc| f32::from_bits(acc as u32)).collect();
            scale_row(isa, &mut row, &sums, 131, 0.037, &weights, &bias);
            for at in 0..acc.len() {
                let m = (f64::from(0.037f32) * f64::from(weights[at])) as f32;
                let exact = f64::from((acc[at] - 131 * sums[at]) as f32) * f64::from(m) + f64::from(bias[at]);
                // One rounding of the exact value: f64 holds the product exactly.
                assert_eq!(row[at], exact as f32, "{} at {at}", isa.name());
            }
            let mut row = [1.0, -2.0, 5.0, f32::NAN];
            finish_row(isa, &mut row, Some(&[0.5, 1.0, 3.0, 0.0]), 0.0, 6.0);
            assert!(row[..3] == [1.5, 0.0, 6.0] && row[3].is_nan());
        }
    }
}
