//! The searched cases of `tests/data/golden/requant.json`: exact results by rational arithmetic, chosen so that every
//! plausible wrong requantization gives another byte somewhere.
use super::buffers::Parameters;
use super::guarded::Placement;
use super::int8::Problem;
use crate::kernels::{Int8Kernel, Requantize};
use crate::packed::{K_GROUP, PANEL_CHANNELS};
use crate::tensor::round_up;
use serde::Deserialize;

const GOLDEN: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/golden/requant.json"));

#[derive(Deserialize)]
struct Golden {
    gemm: Vec<Gemm>,
}

/// `[m, k] x [n, k]`; scales and biases as the bits of an f32.
#[derive(Deserialize)]
struct Gemm {
    m: usize,
    k: usize,
    n: usize,
    a: Vec<u8>,
    w: Vec<i8>,
    z_a: i32,
    s_a: u32,
    s_w: Vec<u32>,
    bias: Vec<u32>,
    s_y: u32,
    z_y: i32,
    lo: i32,
    hi: i32,
    residual: Option<GoldenResidual>,
    y: Vec<u8>,
}

#[derive(Deserialize)]
struct GoldenResidual {
    r: Vec<u8>,
    s_r: u32,
    z_r: i32,
}

/// Tries the kernel (and the reference) on the golden GEMMs; returns how many there were.
///
/// # Panics
/// At the first case whose bytes differ.
pub fn check_golden(kernel: &dyn Int8Kernel) -> usize {
    let golden: Golden = serde_json::from_str(GOLDEN).expect("requant.json parses");
    for (index, gemm) in golden.gemm.iter().enumerate() {
        let problem = gemm.problem();
        assert_eq!(problem.run_reference(), gemm.y, "the reference on golden gemm {index}");
        for placement in [Placement::BehindGuard, Placement::BeforeGuard] {
            assert_eq!(problem.run(kernel, placement), gemm.y, "{} on golden gemm {index}", kernel.name());
        }
    }
    golden.gemm.len()
}

impl Gemm {
    fn problem(&self) -> Problem {
        let (m, k, n) = (self.m, self.k, self.n);
        let k_padded = round_up(k, K_GROUP);
        let padded = round_up(n, PANEL_CHANNELS);
        let mut src = vec![0; m * k_padded];
        for (row, values) in src.chunks_exact_mut(k_padded).zip(self.a.chunks_exact(k)) {
            row[..k].copy_from_slice(values);
        }
        let mut weights = vec![0; n * k_padded];
        let mut comp = vec![0; padded];
        for (channel, values) in self.w.chunks_exact(k).enumerate() {
            weights[channel * k_padded..][..k].copy_from_slice(values);
            comp[channel] = -self.z_a * values.iter().map(|&w| i32::from(w)).sum::<i32>();
        }
        // NUMERICS section 5: f64 steps left to right, one rounding to f32.
        let real = |bits: u32| f64::from(f32::from_bits(bits));
        let s_y = real(self.s_y);
        let mut mult = vec![0.0; padded];
        let mut bias = vec![0.0; padded];
        for channel in 0..n {
            mult[channel] = ((real(self.s_a) * real(self.s_w[channel])) / s_y) as f32;
            bias[channel] = (real(self.bias[channel]) / s_y) as f32;
        }
        let mut parameters = Parameters::dense_u8(comp, mult, bias, m, n);
        let [low, high] = [self.lo, self.hi].map(|end| (end - self.z_y) as f32);
        let ratio = self.residual.as_ref().map_or(0.0, |residual| (real(residual.s_r) / s_y) as f32);
        let within_i32 = Requantize::floats_within_i32(k_padded, &parameters.mult, &parameters.bias, ratio);
        parameters.requantize = Requantize { zero_point: self.z_y, low, high, within_i32 };
        if let Some(residual) = &self.residual {
            parameters.residual = residual.r.clone();
            parameters.residual_scale = (residual.z_r, ratio);
        }
        Problem {
            rows: 1,
            cols: m,
            taps: [1, 1],
            skipped_taps: 0,
            groups: k_padded / K_GROUP,
            channels: n,
            stride: 1,
            src_pixel: k_padded,
            src_cols: m,
            src,
            weights,
            parameters,
        }
    }
}
