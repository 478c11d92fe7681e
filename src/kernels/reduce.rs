//! Sums and means of floats: chains in index order, vectorized over the other axes, or 16 interleaved chains where only
//! one axis is left (NUMERICS section 8).
use super::simd::multiversion;

/// The sum of a slice: value `i` belongs to chain `i % 16`, chains start at 0, and are added pairwise: the upper eight to
/// the lower eight, then four, two, one.
#[inline(always)]
pub(crate) fn sum_16_chains(values: &[f32]) -> f32 {
    let mut chains = [0.0f32; 16];
    let (chunks, rest) = values.as_chunks::<16>();
    for chunk in chunks {
        for (chain, &x) in chains.iter_mut().zip(chunk) {
            *chain += x;
        }
    }
    for (chain, &x) in chains.iter_mut().zip(rest) {
        *chain += x;
    }
    for half in [8, 4, 2, 1] {
        for lane in 0..half {
            chains[lane] += chains[lane + half];
        }
    }
    chains[0]
}

multiversion! {
    /// The mean of each row of `[rows][n]`: 16 interleaved chains, divided by `n`.
    pub fn mean_rows(src: &[f32], n: usize, dst: &mut [f32]) {
        assert_eq!(src.len(), dst.len() * n);
        for (mean, row) in dst.iter_mut().zip(src.chunks_exact(n.max(1))) {
            *mean = sum_16_chains(row) / n as f32;
        }
    }

    /// The mean over the middle axis of `[outer][n][inner]` with `inner > 1`, into `[outer][inner]`: one chain in index
    /// order each, divided by `n`. With channels last this is the global average pooling.
    pub fn mean_columns(src: &[f32], n: usize, inner: usize, dst: &mut [f32]) {
        assert_eq!(src.len() / n.max(1), dst.len());
        for (mean, block) in dst.chunks_exact_mut(inner.max(1)).zip(src.chunks_exact((n * inner).max(1))) {
            mean.fill(0.0);
            for row in block.chunks_exact(inner) {
                for (sum, &x) in mean.iter_mut().zip(row) {
                    *sum += x;
                }
            }
            for sum in mean.iter_mut() {
                *sum /= n as f32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::VectorIsa;
    use crate::kernels::simd::test_floats;

    #[test]
    fn a_column_is_one_chain_in_order() {
        let (outer, n, inner) = (2, 49, 37);
        let src = test_floats(outer * n * inner, 3);
        for isa in VectorIsa::tested() {
            let mut dst = vec![0.0; outer * inner];
            mean_columns(isa, &src, n, inner, &mut dst);
            for (at, mean) in dst.iter().enumerate() {
                let chain = (0..n).fold(0.0f32, |sum, i| sum + src[(at / inner * n + i) * inner + at % inner]);
                assert_eq!(mean.to_bits(), (chain / n as f32).to_bits());
            }
        }
    }

    #[test]
    fn a_row_is_sixteen_chains_added_pairwise() {
        for isa in VectorIsa::tested() {
            for n in [1, 15, 16, 17, 1000] {
                let src = test_floats(3 * n, 3);
                let mut dst = vec![0.0; 3];
                mean_rows(isa, &src, n, &mut dst);
                for (row, mean) in src.chunks_exact(n).zip(&dst) {
                    let mut sums: Vec<f32> = (0..16).map(|chain| row.iter().skip(chain).step_by(16).fold(0.0, |sum, x| sum + x)).collect();
                    while sums.len() > 1 {
                        let half = sums.len() / 2;
                        sums = (0..half).map(|at| sums[at] + sums[at + half]).collect();
                    }
                    assert_eq!(mean.to_bits(), (sums[0] / n as f32).to_bits());
                }
            }
        }
    }
}
