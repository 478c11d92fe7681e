//! Rows times one of a recurrent layer's matrices, in f32 or int8 with qparams of each row.
use super::BLOCK_ROWS;
use crate::error::{Error, Result};
use crate::kernels::quantize::{Quantizer, quantize, quantize_offset_first};
use crate::kernels::recurrent_cells::scale_row;
use crate::kernels::{
    F32Block, F32Kernel, Int8Block, Int8Kernel, Int8Output, Pixels, SourceForm, SourceRuns, SourceShape, Taps, VectorIsa,
};
use crate::ops::conv2d::{ImageQParams, Int8Weights};
use crate::packed::{K_GROUP, PANEL_CHANNELS, WeightShape};
use crate::quantize::{DynamicQuantization, DynamicRule, QParams};
use crate::tensor::{SharedBytes, round_up};
use std::sync::Arc;

/// The floats of a matrix: packed panels, and the bias padded to a panel.
#[derive(Clone)]
pub struct FloatMatrix {
    /// Runs it.
    pub kernel: Arc<dyn F32Kernel>,
    /// `[oc/16][k][16]`.
    pub panels: SharedBytes,
    /// `[oc padded]`.
    pub bias: Option<SharedBytes>,
}

/// The integers of a matrix.
#[derive(Clone)]
pub struct Int8Matrix {
    /// Runs it.
    pub kernel: Arc<dyn Int8Kernel>,
    /// Panels, sums, weight scales, bias.
    pub weights: Int8Weights,
    /// How rows are quantized.
    pub quantization: DynamicQuantization,
}

enum Matrix {
    Float(FloatMatrix),
    Int8(Int8Matrix, SourceForm),
}

/// `rows x W^T + bias`, `W` `[oc, k]`.
pub struct Product {
    shape: WeightShape,
    matrix: Matrix,
    /// Starting accumulators: the zero point is taken out afterwards, row by row.
    zeros: Vec<i32>,
}

fn check_length(node: &str, what: &str, bytes: &SharedBytes, needed: usize) -> Result<()> {
    if bytes.len() >= needed { Ok(()) } else { Err(Error::Graph(format!("node {node}: {what} are too short"))) }
}

/// The bytes of a row of floats.
pub fn quantize_row(isa: VectorIsa, quantization: DynamicQuantization, qparams: QParams, src: &[f32], dst: &mut [u8]) {
    match quantization.rule {
        DynamicRule::Native => quantize(isa, src, Quantizer::new(qparams, 0, quantization.high()), dst),
        DynamicRule::Torch => {
            quantize_offset_first(isa, src, 1.0 / qparams.scale, qparams.zero_point as f32, f32::from(quantization.high()), dst);
        }
    }
}

impl Product {
    /// A product in f32.
    ///
    /// # Errors
    /// [`Error::Graph`] naming the node if a constant is too short.
    pub fn float(node: &str, [oc, k]: [usize; 2], matrix: FloatMatrix) -> Result<Self> {
        let shape = WeightShape { oc, taps: 1, ic: k };
        check_length(node, "packed weights", &matrix.panels, shape.panels() * shape.panel_floats() * size_of::<f32>())?;
        if let Some(bias) = &matrix.bias {
            check_length(node, "packed biases", bias, round_up(oc, PANEL_CHANNELS) * size_of::<f32>())?;
        }
        Ok(Self { shape, matrix: Matrix::Float(matrix), zeros: Vec::new() })
    }

    /// A product in int8.
    ///
    /// # Errors
    /// As [`Product::float`].
    pub fn int8(node: &str, [oc, k]: [usize; 2], matrix: Int8Matrix) -> Result<Self> {
        let shape = WeightShape { oc, taps: 1, ic: k };
        let table = round_up(oc, PANEL_CHANNELS);
        check_length(node, "packed weights", &matrix.weights.panels, shape.panels() * shape.panel_bytes())?;
        for table_bytes in [&matrix.weights.tap_sums, &matrix.weights.scale, &matrix.weights.bias] {
            check_length(node, "packed tables", table_bytes, table * size_of::<f32>())?;
        }
        let groups = shape.groups_per_tap();
        let form = matrix.kernel.source_form(&SourceShape { taps: [1, 1], groups, merged: true, cols: BLOCK_ROWS });
        Ok(Self { shape, matrix: Matrix::Int8(matrix, form), zeros: vec![0; table] })
    }

    /// Multiply-accumulates of a row.
    pub fn macs(&self) -> usize {
        self.shape.oc * self.shape.ic
    }

    /// Floats of a row of the result.
    pub fn columns(&self) -> usize {
        self.shape.oc
    }

    /// The kernel's name.
    pub fn kernel_name(&self) -> &'static str {
        match &self.matrix {
            Matrix::Float(matrix) => matrix.kernel.name(),
            Matrix::Int8(matrix, _) => matrix.kernel.name(),
        }
    }

    /// The bytes of a row before the kernel's own form: `k` padded to a group of 4.
    fn plain_bytes(&self) -> usize {
        self.shape.groups_per_tap() * K_GROUP
    }

    /// Bytes of one source row as [`Product::put_row`] writes it.
    pub fn row_bytes(&self) -> usize {
        match &self.matrix {
            Matrix::Float(_) => self.shape.ic * size_of::<f32>(),
            Matrix::Int8(_, SourceForm::Direct) => self.plain_bytes(),
            Matrix::Int8(_, SourceForm::Gathered { bytes_per_value, k_multiple, .. }) => {
                round_up(self.plain_bytes(), *k_multiple) * bytes_per_value
            }
        }
    }

    /// Scratch bytes of [`Product::put_row`] and [`Product::run`], 64-byte aligned.
    pub fn scratch_bytes(&self) -> usize {
        match &self.matrix {
            Matrix::Float(_) => 0,
            Matrix::Int8(matrix, _) => round_up(matrix.kernel.scratch_bytes(self.plain_bytes()).max(self.plain_bytes()), 64),
        }
    }

    /// Prepares this thread for runs; [`Product::leave`] ends it.
    pub fn enter(&self) {
        if let Matrix::Int8(matrix, _) = &self.matrix {
            matrix.kernel.enter();
        }
    }

    /// See [`Product::enter`].
    pub fn leave(&self) {
        if let Matrix::Int8(matrix, _) = &self.matrix {
            matrix.kernel.leave();
        }
    }

    /// Writes a row of floats as the source row `dst` of [`Product::row_bytes`] bytes, quantized where the product is int8.
    pub fn put_row(&self, isa: VectorIsa, row: &[f32], qparams: ImageQParams, dst: &mut [u8], scratch: &mut [u8]) {
        match &self.matrix {
            Matrix::Float(_) => dst.copy_from_slice(bytemuck::cast_slice(row)),
            Matrix::Int8(matrix, form) => {
                let plain = &mut scratch[..self.plain_bytes()];
                let ImageQParams { scale, zero_point } = qparams;
                let (values, padding) = plain.split_at_mut(row.len());
                quantize_row(isa, matrix.quantization, QParams { scale, zero_point }, row, values);
                padding.fill(0);
                let bytes_per_value = match form {
                    SourceForm::Direct => 1,
                    SourceForm::Gathered { bytes_per_value, .. } => *bytes_per_value,
                };
                let taken = plain.len() * bytes_per_value;
                let (values, padding) = dst.split_at_mut(taken);
                match form {
                    SourceForm::Direct => values.copy_from_slice(plain),
                    // SAFETY: `plain` is `len` bytes, a multiple of 4, and `values` holds as many of the kernel's values.
                    SourceForm::Gathered { .. } => unsafe {
                        matrix.kernel.widen(plain.as_ptr(), SourceRuns::one(plain.len()), values.as_mut_ptr());
                    },
                }
                padding.fill(0);
            }
        }
    }

    /// `dst` `[rows][oc]` from `rows` source rows; `qparams` has those of each row where the product is int8.
    pub fn run(&self, isa: VectorIsa, rows: usize, src: &[u8], qparams: &[ImageQParams], dst: &mut [f32], scratch: &mut [u8]) {
        let (row_bytes, columns) = (self.row_bytes(), self.columns());
        assert!(src.len() >= rows * row_bytes && dst.len() == rows * columns);
        let taps =
            Taps { rows: 1, cols: 1, run: self.shape.ic, src_row_stride: 0, src_col_stride: 0, weight_row_stride: 0, weight_col_stride: 0 };
        let src = Pixels { start: src.as_ptr(), row_stride: 0, col_stride: row_bytes as isize };
        let row_stride = (columns * size_of::<f32>()) as isize;
        let place = Pixels { start: dst.as_mut_ptr().cast::<u8>(), row_stride: 0, col_stride: row_stride };
        match &self.matrix {
            Matrix::Float(matrix) => {
                let block = F32Block {
                    src,
                    rows: 1,
                    cols: rows,
                    taps,
                    weights: matrix.panels.as_ptr().cast(),
                    panel_stride: self.shape.panel_floats() * size_of::<f32>(),
                    channels: columns,
                    bias: matrix.bias.as_ref().map_or(std::ptr::null(), |bias| bias.as_ptr().cast()),
                    residual: None,
                    low: f32::NEG_INFINITY,
                    high: f32::INFINITY,
                    dst: place,
                };
                // SAFETY: source and destination have `rows` rows (asserted above), panels and bias all channels (checked
                // when the product was made); `dst` is borrowed for this call alone.
                unsafe { matrix.kernel.run(&block) };
            }
            Matrix::Int8(matrix, _) => {
                let table = |bytes: &SharedBytes| bytes.as_ptr().cast::<f32>();
                let block = Int8Block {
                    src,
                    rows: 1,
                    cols: rows,
                    taps: Taps { run: self.shape.groups_per_tap(), ..taps },
                    weights: matrix.weights.panels.as_ptr().cast(),
                    panel_stride: self.shape.panel_bytes(),
                    panels_behind: 0,
                    channels: columns,
                    stored_channels: columns,
                    comp: self.zeros.as_ptr(),
                    mult: table(&matrix.weights.scale),
                    bias: table(&matrix.weights.bias),
                    output: Int8Output::I32 { dst: place },
                };
                // SAFETY: as above; the tables are padded to a panel, and scratch has what the kernel asks for.
                unsafe { matrix.kernel.run(&block, scratch) };
                let tables = (matrix.weights.tap_sums.cast(), matrix.weights.scale.cast(), matrix.weights.bias.cast());
                let (Some(sums), Some(scales), Some(bias)) = tables else { unreachable!("constants are aligned to 64 bytes") };
                for (row, qparams) in dst.chunks_exact_mut(columns).zip(qparams) {
                    scale_row(isa, row, sums, qparams.zero_point, qparams.scale, scales, bias);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::Isa;
    use crate::kernels::{int8_kernels, math};
    use crate::packed::{SLACK_BYTES, pack_s8, tap_sums};
    use crate::quantize::{WeightQConfig, quantize_weights};

    /// The portable kernel, reading panels padded to 64 values as the AMX kernel does.
    struct PaddedPanels(Box<dyn Int8Kernel>);

    // SAFETY: the portable kernel computes the block: a panel whose values are bytes is a row of pixels to it.
    unsafe impl Int8Kernel for PaddedPanels {
        fn name(&self) -> &'static str {
            "padded"
        }
        fn isa(&self) -> Isa {
            self.0.isa()
        }
        fn source_form(&self, _: &SourceShape) -> SourceForm {
            SourceForm::Gathered { bytes_per_value: 1, k_multiple: 64, block_bytes: 1 << 16 }
        }
        fn tile_pixels(&self) -> usize {
            16
        }
        fn scratch_bytes(&self, k: usize) -> usize {
            self.0.scratch_bytes(k)
        }
        unsafe fn run(&self, block: &Int8Block, scratch: &mut [u8]) {
            assert_eq!(block.src.col_stride % 64, 0);
            let row_bytes = block.src.col_stride as usize;
            for col in 0..block.cols {
                // SAFETY: each row of the block has `row_bytes` bytes.
                let row = unsafe { std::slice::from_raw_parts(block.src.at(0, col), row_bytes) };
                assert!(row[block.taps.run * K_GROUP..].iter().all(|&byte| byte == 0), "padding is zero");
            }
            // SAFETY: the caller's promise.
            unsafe { self.0.run(block, scratch) }
        }
    }

    #[test]
    fn every_source_form_gives_the_same_product() {
        let (oc, k, rows) = (21, 70, 5);
        let floats = |count: usize, step: f32| -> Vec<f32> { (0..count).map(|at| math::tanh(at as f32 * step % 3.0 - 1.5)).collect() };
        let (weights, x, bias) = (floats(oc * k, 0.37), floats(rows * k, 0.73), floats(32, 0.11));
        let quantized = quantize_weights(&weights, oc, &WeightQConfig::default()).unwrap();
        let shape = WeightShape { oc, taps: 1, ic: k };
        let mut panels = vec![0i8; shape.panels() * shape.panel_bytes() + SLACK_BYTES];
        pack_s8(&quantized.values, shape, &mut panels);
        let mut sums = vec![0i32; 32];
        tap_sums(&quantized.values, shape, &mut sums);
        let mut scales = quantized.scales.clone();
        scales.resize(32, 0.0);
        let shared = |bytes: &[u8]| SharedBytes::copy_of(bytes).unwrap();
        let weights = Int8Weights {
            panels: shared(bytemuck::cast_slice(&panels)),
            tap_sums: shared(bytemuck::cast_slice(&sums)),
            scale: shared(bytemuck::cast_slice(&scales)),
            bias: shared(bytemuck::cast_slice(&bias)),
        };
        let qparams: Vec<QParams> =
            (0..rows).map(|row| QParams { scale: 0.01 + 0.002 * row as f32, zero_point: 100 + row as i32 }).collect();
        let mut expected = Vec::new();
        for (row, qparams) in x.chunks_exact(k).zip(&qparams) {
            for channel in 0..oc {
                let terms = row.iter().zip(&quantized.values[channel * k..]);
                let acc: i32 = terms.map(|(&x, &w)| (qparams.quantize(x, 0, 255) - qparams.zero_point) * i32::from(w)).sum();
                let m = (f64::from(qparams.scale) * f64::from(quantized.scales[channel])) as f32;
                expected.push((acc as f32).mul_add(m, bias[channel]));
            }
        }
        let portable = || int8_kernels(Isa::Portable).into_iter().next().expect("the portable kernel");
        let mut kernels: Vec<Arc<dyn Int8Kernel>> = int8_kernels(Isa::detected()).into_iter().map(Arc::from).collect();
        kernels.push(Arc::new(PaddedPanels(portable())));
        for kernel in kernels {
            let name = kernel.name();
            let matrix = Int8Matrix { kernel, weights: weights.clone(), quantization: DynamicQuantization::PER_SAMPLE };
            let product = Product::int8("test", [oc, k], matrix).unwrap();
            let mut scratch = crate::tensor::AlignedBuffer::zeroed(product.scratch_bytes(), "scratch").unwrap();
            // Garbage where rows will stand: everything of a row is written.
            let mut src = crate::tensor::AlignedBuffer::zeroed(rows * product.row_bytes() + 64, "rows").unwrap();
            src.fill(0xaa);
            let qparams: Vec<ImageQParams> =
                qparams.iter().map(|&QParams { scale, zero_point }| ImageQParams { scale, zero_point }).collect();
            let isa = VectorIsa::Portable;
            for ((row, dst), &qparams) in x.chunks_exact(k).zip(src.chunks_exact_mut(product.row_bytes())).zip(&qparams) {
                product.put_row(isa, row, qparams, dst, &mut scratch);
            }
            let mut y = vec![f32::NAN; rows * oc];
            product.enter();
            product.run(isa, rows, &src, &qparams, &mut y, &mut scratch);
            product.leave();
            assert_eq!(y, expected, "{name}");
        }
    }
}
