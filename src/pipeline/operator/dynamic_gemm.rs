//! Planning a GEMM whose rows are floats that each run quantizes.
use super::*;
use crate::graph::passes::quantize_weights::dynamic_from_packed;
use crate::quantize::{DynamicQuantization, Grain};
use crate::runtime::DynamicRowTensors;

/// What a dynamic GEMM computes besides the sums. All tensors are f32.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DynamicGemmOptions {
    /// How rows are quantized: NUMERICS section 6. Per row or per tensor; a row is a sample.
    pub quantization: DynamicQuantization,
    /// Adds a tensor of the destination's shape before the bounds.
    pub residual: bool,
    /// Fused activation.
    pub bounds: Bounds,
    /// Floats from one row of source and residual to the next; 0: side by side. The destination's rows lie side by side.
    pub strides: [usize; 2],
}

impl Operator {
    /// Plans `dst[m, n] = src[m, k] * weights[n, k]^T + bias[n]` for any `m`, floats to floats: the rows are quantized to u8 by their
    /// own range, or by that of all rows, and the sums are exact integers.
    ///
    /// # Errors
    /// As [`Operator::gemm`]; [`Error::InvalidArgument`] for the grain per sample.
    pub fn dynamic_gemm(context: &Context, weights: &PackedWeights, options: DynamicGemmOptions) -> Result<Self> {
        let WeightSizes { out_channels, in_channels, .. } = gemm_sizes(weights)?;
        let DynamicGemmOptions { quantization, bounds, strides, .. } = options;
        if quantization.grain == Grain::PerSample {
            return Err(Error::InvalidArgument("a GEMM's rows are its samples: dynamic qparams are per row or per tensor".into()));
        }
        bounds_are_ordered(bounds)?;
        let (data, name) = (&weights.0, "gemm");
        let float = |slot, channels, stride, name| tensor(slot, &[1, channels], channels, Element::F32, stride, name);
        let src = float(Slot::Input(0), in_channels, strides[0], "src")?;
        let dst = float(Slot::Output(0), out_channels, 0, "dst")?;
        let residual = match options.residual {
            true => Some(float(Slot::Input(1), out_channels, strides[1], "residual")?),
            false => None,
        };
        let mut graph = Graph::default();
        let mut inputs = vec![graph.add_value("src", ValueType::DynamicQuantized)];
        if options.residual {
            inputs.push(graph.add_value("residual", ValueType::F32));
        }
        let weights = dynamic_from_packed(&mut graph, name, data.layout, &data.panels, &data.scales, &data.bias)?;
        let op = Op::Linear(Linear { weights, out_features: out_channels, in_features: in_channels, bounds });
        let node = Node { name: name.to_owned(), op, inputs, output: graph.add_value("dst", ValueType::F32) };
        let tensors = DynamicRowTensors::new(in_channels, src, residual, dst);
        let mut sources = vec![tensors.bytes.clone()];
        sources.extend(tensors.residual.clone());
        let places = StepInputs { inputs: sources, qparams: Some(tensors.table.clone()), output: tensors.dst.clone() };
        let product = build_step(&graph, &node, 0, places, &Kernels::best(context.max_isa()))?;
        let rows = DynamicRows::new(product, VectorIsa::best(context.max_isa()), quantization, tensors);
        Self::of(context, OperatorKind::DynamicGemm, [1, 1], Planned::Dynamic(rows))
    }
}

#[cfg(test)]
#[path = "dynamic_gemm_tests.rs"]
mod tests;
