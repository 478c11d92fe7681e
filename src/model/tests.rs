use super::*;
use crate::error::Error;
use crate::graph::{
    Binary, Bounds, ChannelQuantizedType, Constant, ConstantId, Conv2d, ConvWeights, Graph, Linear, Node, Op, Padding, Pool, QuantizedType,
    Reshape, ValueId, ValueType,
};
use crate::packed::{self, SLACK_BYTES, WeightShape};
use crate::quantize::QParams;
use crate::tensor::{ALIGNMENT, AlignedBuffer, DType, SharedBytes, round_up};
use std::path::PathBuf;

mod files;
mod refusals;

/// A directory of a test's own, removed at its end.
pub(super) struct TestDirectory(pub PathBuf);

impl TestDirectory {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("rsquant-model-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for TestDirectory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn quantized(scale: f32, zero_point: i32) -> ValueType {
    ValueType::Quantized(QuantizedType { qparams: QParams { scale, zero_point }, low: 0, high: 255 })
}

fn constant<T: bytemuck::NoUninit>(graph: &mut Graph, dtype: DType, values: &[T]) -> ConstantId {
    graph.add_constant(Constant { dtype, dims: vec![values.len()], data: SharedBytes::copy_of(values).unwrap() })
}

/// Panels, sums, multipliers and biases of `groups` groups of that shape.
fn int8_weights(graph: &mut Graph, shape: WeightShape, groups: usize) -> [ConstantId; 4] {
    let weights: Vec<i8> = (0..shape.oc * shape.taps * shape.ic).map(|i| (i * 37 % 255) as u8 as i8).collect();
    let padded = round_up(shape.oc, 16);
    let (mut panels, mut sums) = (Vec::new(), Vec::new());
    for _ in 0..groups {
        let mut group = vec![0i8; shape.panels() * shape.panel_bytes()];
        packed::pack_s8(&weights, shape, &mut group);
        panels.extend(group);
        let mut group = vec![0i32; shape.taps * padded];
        packed::tap_sums(&weights, shape, &mut group);
        sums.extend(group);
    }
    let channels: Vec<f32> = (0..groups * padded).map(|i| i as f32 * 0.125).collect();
    panels.resize(panels.len() + SLACK_BYTES, 0);
    [
        constant(graph, DType::S8, &panels),
        constant(graph, DType::I32, &sums),
        constant(graph, DType::F32, &channels),
        constant(graph, DType::F32, &channels),
    ]
}

fn conv(weights: ConvWeights, in_channels: usize, out_channels: usize, kernel: usize, groups: usize) -> Op {
    let side = kernel / 2;
    Op::Conv2d(Conv2d {
        weights,
        out_channels,
        in_channels,
        kernel: [kernel; 2],
        strides: [1; 2],
        dilations: [1; 2],
        padding: Padding::Explicit { top: side, left: side, bottom: side, right: side },
        groups,
        bounds: Bounds::RELU,
    })
}

fn add(graph: &mut Graph, name: &str, op: Op, inputs: &[ValueId], ty: ValueType) -> ValueId {
    let output = graph.add_value(format!("{name}_out"), ty);
    graph.nodes.push(Node { name: name.into(), op, inputs: inputs.to_vec(), output });
    output
}

/// Indices of the nodes of [`sample`].
const STATIC: usize = 1;
const GROUPED: usize = 2;
const DEPTHWISE: usize = 3;
const POOL: usize = 5;
const LOOKUP: usize = 6;
const DYNAMIC: usize = 9;
const PACKED: usize = 11;
const LINEAR: usize = 12;

/// A lowered graph with static, grouped, depthwise, dynamic, packed and plain float weights, a residual, a table and a constant value.
fn sample() -> Graph {
    let mut graph = Graph::default();
    let input = graph.add_value("image", ValueType::F32);
    graph.values[input.index()].declared = vec![None, Some(3), Some(8), Some(8)];
    graph.inputs.push(input);
    let q = quantized(0.5, 3);
    let bytes = add(&mut graph, "quantize", Op::Quantize, &[input], quantized(0.03, 128));

    let [panels, tap_sums, mult, bias] = int8_weights(&mut graph, WeightShape { oc: 20, taps: 9, ic: 3 }, 1);
    let first = add(&mut graph, "static", conv(ConvWeights::Static { panels, tap_sums, mult, bias }, 3, 20, 3, 1), &[bytes], q);

    let [panels, tap_sums, mult, bias] = int8_weights(&mut graph, WeightShape { oc: 10, taps: 1, ic: 10 }, 2);
    let grouped = conv(ConvWeights::Static { panels, tap_sums, mult, bias }, 20, 20, 1, 2);
    let second = add(&mut graph, "grouped", grouped, &[first, first], q);

    let panels = constant(&mut graph, DType::S8, &[1i8; 32 * 9 + SLACK_BYTES]);
    let tap_sums = constant(&mut graph, DType::I32, &[1i32; 32 * 9]);
    let mult = constant(&mut graph, DType::F32, &[0.5f32; 32]);
    let bias = constant(&mut graph, DType::F32, &[-0.5f32; 32]);
    let depthwise = conv(ConvWeights::Static { panels, tap_sums, mult, bias }, 20, 20, 3, 20);
    let third = add(&mut graph, "depthwise", depthwise, &[second], q);

    let shift = constant(&mut graph, DType::U8, &[7u8; 20]);
    let shift_value = graph.add_value("shift", quantized(0.25, 7));
    graph.values[shift_value.index()].constant = Some(shift);
    let fourth = add(&mut graph, "add", Op::Binary(Binary::Add, Bounds::NONE), &[third, shift_value], q);
    let pool = Pool {
        kernel: [2; 2],
        strides: [2; 2],
        dilations: [1; 2],
        padding: Padding::SameUpper,
        ceil_mode: false,
        count_include_pad: false,
    };
    let pooled = add(&mut graph, "pool", Op::MaxPool(pool), &[fourth], q);
    let table = constant(&mut graph, DType::U8, &(0..=255).rev().collect::<Vec<u8>>());
    let looked_up = add(&mut graph, "lookup", Op::Lookup(table), &[pooled], quantized(0.1, 0));
    let floats = add(&mut graph, "dequantize", Op::Dequantize, &[looked_up], ValueType::F32);

    let dynamic = add(&mut graph, "dynamic_quantize", Op::DynamicQuantize, &[floats], ValueType::DynamicQuantized);
    let [panels, tap_sums, scale, bias] = int8_weights(&mut graph, WeightShape { oc: 8, taps: 1, ic: 20 }, 1);
    let dynamic_conv = conv(ConvWeights::Dynamic { panels, tap_sums, scale, bias }, 20, 8, 1, 1);
    let fifth = add(&mut graph, "dynamic", dynamic_conv, &[dynamic], ValueType::F32);
    let flat = add(&mut graph, "flatten", Op::Reshape(Reshape::Flatten(1)), &[fifth], ValueType::F32);

    let panels = graph.add_constant(Constant::f32(&[0.5; 16 * 128], &[16 * 128]).unwrap());
    let bias = Some(graph.add_constant(Constant::f32(&[-0.5; 16], &[16]).unwrap()));
    let linear = Linear { weights: ConvWeights::PackedFloat { panels, bias }, out_features: 10, in_features: 128, bounds: Bounds::NONE };
    let sixth = add(&mut graph, "packed", Op::Linear(linear), &[flat], ValueType::F32);

    let weight = graph.add_constant(Constant::f32(&[0.5; 10 * 10], &[10, 10, 1, 1]).unwrap());
    let bias = Some(graph.add_constant(Constant::f32(&[f32::MIN_POSITIVE; 10], &[10]).unwrap()));
    let linear = Linear { weights: ConvWeights::Float { weight, bias }, out_features: 10, in_features: 10, bounds: Bounds::NONE };
    let output = add(&mut graph, "linear", Op::Linear(linear), &[sixth], ValueType::F32);
    graph.outputs.push(output);
    graph
}

fn metadata() -> Metadata {
    [("recipe", "{\"a\": 1}"), ("labels", "Katze\nHund \u{1f415}")].map(|(name, text)| (name.to_owned(), text.to_owned())).into()
}

/// Everything of a graph, as text and bytes.
fn picture(graph: &Graph) -> (String, Vec<Vec<u8>>) {
    let Graph { values, nodes, constants, inputs, outputs, .. } = graph;
    let shapes: Vec<_> = constants.iter().map(|constant| (constant.dtype, &constant.dims)).collect();
    (format!("{values:?} {nodes:?} {inputs:?} {outputs:?} {shapes:?}"), constants.iter().map(|constant| constant.data.to_vec()).collect())
}
