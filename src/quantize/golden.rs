//! The exact vectors of NUMERICS sections 1, 5 and 6, for the tests of every room that must obey them.
//!
//! `tests/data/golden/requant.json` was computed with rational arithmetic; the tolerance is 0. Real numbers stand there
//! as f32 bits.
use crate::error::{Error, Result};
use serde::Deserialize;

/// All the vectors.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vectors {
    /// Section 1.
    pub quantize: Vec<QuantizeCase>,
    /// Section 5: matrix products with their epilogue.
    pub gemm: Vec<GemmCase>,
    /// Section 5: average pooling windows.
    pub avgpool: Vec<AveragePoolCase>,
    /// Section 6: a tensor quantized by its own range, u8 affine.
    pub dynamic: Vec<DynamicCase>,
}

/// Values and what they quantize to.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuantizeCase {
    /// Values, f32 bits.
    pub x: Vec<u32>,
    /// Scale, f32 bits.
    pub scale: u32,
    /// Zero point.
    pub zero_point: i32,
    /// Smallest integer.
    pub qmin: i32,
    /// Largest integer.
    pub qmax: i32,
    /// The integers.
    pub q: Vec<i32>,
}

impl QuantizeCase {
    /// The values.
    pub fn values(&self) -> impl Iterator<Item = f32> {
        self.x.iter().map(|&bits| f32::from_bits(bits))
    }

    /// The scale.
    pub fn scale(&self) -> f32 {
        f32::from_bits(self.scale)
    }
}

/// Values, the qparams that their range gives, and the integers.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DynamicCase {
    /// Values, f32 bits.
    pub x: Vec<u32>,
    /// Scale, f32 bits.
    pub scale: u32,
    /// Zero point.
    pub zero_point: i32,
    /// The integers.
    pub q: Vec<i32>,
}

impl DynamicCase {
    /// The values.
    pub fn values(&self) -> impl Iterator<Item = f32> {
        self.x.iter().map(|&bits| f32::from_bits(bits))
    }
}

/// `y[m, n]` from `a[m, k]` and `w[n, k]`, with bias and perhaps a residual.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "RawGemmCase")]
pub struct GemmCase {
    /// Rows.
    pub m: usize,
    /// Depth.
    pub k: usize,
    /// Output channels.
    pub n: usize,
    /// Activations, `[m, k]`.
    pub a: Vec<u8>,
    /// Weights, `[n, k]`.
    pub w: Vec<i8>,
    /// Zero point of the activations.
    pub z_a: i32,
    /// Scale of the activations.
    pub s_a: f32,
    /// Scales of the weights, `[n]`.
    pub s_w: Vec<f32>,
    /// Biases, `[n]`.
    pub bias: Vec<f32>,
    /// Scale of the output.
    pub s_y: f32,
    /// Zero point of the output.
    pub z_y: i32,
    /// Smallest output.
    pub lo: i32,
    /// Largest output.
    pub hi: i32,
    /// The added tensor.
    pub residual: Option<GemmResidual>,
    /// The result, `[m, n]`.
    pub y: Vec<u8>,
}

/// A fused residual.
#[derive(Debug, Clone, PartialEq)]
pub struct GemmResidual {
    /// `[m, n]`.
    pub r: Vec<u8>,
    /// Its scale.
    pub s_r: f32,
    /// Its zero point.
    pub z_r: i32,
}

/// One average pooling window.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AveragePoolCase {
    /// The window.
    pub x: Vec<u8>,
    /// Scale of the window, f32 bits.
    pub s_x: u32,
    /// Zero point of the window.
    pub z_x: i32,
    /// Scale of the output, f32 bits.
    pub s_y: u32,
    /// Zero point of the output.
    pub z_y: i32,
    /// The result.
    pub y: u8,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGemmCase {
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
    residual: Option<RawResidual>,
    y: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawResidual {
    r: Vec<u8>,
    s_r: u32,
    z_r: i32,
}

impl TryFrom<RawGemmCase> for GemmCase {
    type Error = String;

    fn try_from(raw: RawGemmCase) -> std::result::Result<Self, String> {
        let RawGemmCase { m, k, n, a, w, z_a, s_a, s_w, bias, s_y, z_y, lo, hi, residual, y } = raw;
        let residual_fits = residual.as_ref().is_none_or(|residual| residual.r.len() == m * n);
        if a.len() != m * k || w.len() != n * k || s_w.len() != n || bias.len() != n || y.len() != m * n || !residual_fits {
            return Err(format!("gemm vector {m}x{k}x{n} has arrays of other sizes"));
        }
        let floats = |bits: Vec<u32>| bits.into_iter().map(f32::from_bits).collect();
        let residual = residual.map(|raw| GemmResidual { r: raw.r, s_r: f32::from_bits(raw.s_r), z_r: raw.z_r });
        let (s_a, s_y) = (f32::from_bits(s_a), f32::from_bits(s_y));
        Ok(GemmCase { m, k, n, a, w, z_a, s_a, s_w: floats(s_w), bias: floats(bias), s_y, z_y, lo, hi, residual, y })
    }
}

/// Reads the vectors from the source tree.
///
/// # Errors
/// [`Error::Io`] where the file cannot be read, [`Error::Parse`] where it is not what it should be.
pub fn load() -> Result<Vectors> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/golden/requant.json");
    let bytes = std::fs::read(&path).map_err(|error| Error::io(&path, &error))?;
    serde_json::from_slice(&bytes).map_err(|error| Error::Parse(format!("{}: {error}", path.display())))
}
