//! Packs float weights into panels, so that they are held once, in the layout that kernels read.
use crate::error::Result;
use crate::graph::{Constant, ConstantId, Conv2d, ConvWeights, Graph, Op};
use crate::memory;
use crate::packed::{PANEL_CHANNELS, WeightShape, pack_depthwise, pack_f32, unpack_depthwise, unpack_f32};
use crate::tensor::{DType, SharedBytes, round_up};
use std::collections::HashMap;

/// One layer's weights as plain floats: `[oc, ic / groups, kh, kw]`, and `[oc]` bias (zeros where there is none).
#[derive(Debug, Clone, PartialEq)]
pub struct FloatWeights {
    /// `[oc][ic / groups][taps]`.
    pub weight: Vec<f32>,
    /// `[oc]`.
    pub bias: Vec<f32>,
}

/// How a convolution's or linear layer's weights are grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WeightLayout {
    /// One group's shape.
    pub shape: WeightShape,
    /// Groups.
    pub groups: usize,
    /// Packed as depthwise weights.
    pub depthwise: bool,
}

impl WeightLayout {
    /// The layout of a node's weights, if it has any.
    pub fn of(op: &Op) -> Option<(WeightLayout, &ConvWeights)> {
        match op {
            Op::Conv2d(conv) => Some((WeightLayout::of_conv(conv), &conv.weights)),
            Op::Linear(linear) => Some((WeightLayout::matrix([linear.out_features, linear.in_features]), &linear.weights)),
            _ => None,
        }
    }

    /// Every set of weights of a node with its layout; recurrent layers have several.
    pub fn all_of(op: &Op) -> Vec<(WeightLayout, &ConvWeights)> {
        match op {
            Op::Recurrent(layer) => layer.products().into_iter().map(|(sizes, weights)| (WeightLayout::matrix(sizes), weights)).collect(),
            op => WeightLayout::of(op).into_iter().collect(),
        }
    }

    /// The layout of a matrix `[oc, ic]`.
    pub fn matrix([oc, ic]: [usize; 2]) -> WeightLayout {
        WeightLayout { shape: WeightShape { oc, taps: 1, ic }, groups: 1, depthwise: false }
    }

    /// The layout of a convolution's weights.
    pub fn of_conv(conv: &Conv2d) -> WeightLayout {
        WeightLayout { shape: conv.weight_shape(), groups: conv.groups, depthwise: conv.is_depthwise() }
    }

    /// Output channels of all groups.
    pub fn out_channels(self) -> usize {
        self.groups * self.shape.oc
    }

    /// Values of one group.
    pub fn group_len(self) -> usize {
        self.shape.oc * self.shape.ic * self.shape.taps
    }

    /// Entries of a per-channel table: each group padded to a panel (depthwise: all channels padded).
    pub fn table_len(self) -> usize {
        if self.depthwise { round_up(self.groups, PANEL_CHANNELS) } else { self.groups * round_up(self.shape.oc, PANEL_CHANNELS) }
    }

    /// Index of output channel `channel` in a per-channel table.
    pub fn table_index(self, channel: usize) -> usize {
        if self.depthwise { channel } else { channel / self.shape.oc * round_up(self.shape.oc, PANEL_CHANNELS) + channel % self.shape.oc }
    }

    /// A per-channel table from one value a channel; padding is zero.
    pub fn table<T: Copy + Default>(self, values: &[T]) -> Vec<T> {
        let mut table = vec![T::default(); self.table_len()];
        values.iter().enumerate().for_each(|(channel, value)| table[self.table_index(channel)] = *value);
        table
    }
}

/// The plain floats of a layer whose weights are `Float` or `PackedFloat`; `None` for int8 weights.
pub fn float_weights(graph: &Graph, layout: WeightLayout, weights: &ConvWeights) -> Result<Option<FloatWeights>> {
    let bias_of = |bias: &Option<ConstantId>| bias.map(|id| graph.constant(id).as_f32()).transpose();
    match weights {
        ConvWeights::Float { weight, bias } => {
            let bias = bias_of(bias)?.map_or_else(|| vec![0.0; layout.out_channels()], <[f32]>::to_vec);
            Ok(Some(FloatWeights { weight: memory::copied(graph.constant(*weight).as_f32()?, "a layer's weights")?, bias }))
        }
        ConvWeights::PackedFloat { panels, bias } => {
            let panels = graph.constant(*panels).as_f32()?;
            let mut weight = memory::filled(layout.groups * layout.group_len(), 0.0, "a layer's weights")?;
            if layout.depthwise {
                unpack_depthwise(panels, layout.groups, layout.shape.taps, &mut weight);
            } else {
                let panel_len = layout.shape.panels() * layout.shape.panel_floats();
                for (panels, weight) in panels.chunks(panel_len).zip(weight.chunks_mut(layout.group_len())) {
                    unpack_f32(panels, layout.shape, weight);
                }
            }
            let bias = match bias_of(bias)? {
                Some(table) => (0..layout.out_channels()).map(|channel| table[layout.table_index(channel)]).collect(),
                None => vec![0.0; layout.out_channels()],
            };
            Ok(Some(FloatWeights { weight, bias }))
        }
        ConvWeights::Static { .. } | ConvWeights::Dynamic { .. } => Ok(None),
    }
}

/// Packs every layer whose weights are plain floats; the plain ones go. Layers that share a weight share its panels.
///
/// # Errors
/// Out of memory, or a constant that is not f32.
pub fn run(graph: &mut Graph) -> Result<()> {
    let mut done: HashMap<(ConstantId, WeightLayout), ConstantId> = HashMap::new();
    let sets = |graph: &Graph, node: usize| WeightLayout::all_of(&graph.nodes[node].op).len();
    let places: Vec<(usize, usize)> = (0..graph.nodes.len()).flat_map(|node| (0..sets(graph, node)).map(move |set| (node, set))).collect();
    for (index, set) in places {
        let (layout, ConvWeights::Float { weight, bias }) = WeightLayout::all_of(&graph.nodes[index].op)[set] else { continue };
        let (weight, bias) = (*weight, *bias);
        let panels = match done.get(&(weight, layout)) {
            Some(&panels) => panels,
            None => {
                let panels = packed(graph.constant(weight).as_f32()?, layout)?;
                let panels = Constant { dtype: DType::F32, dims: vec![panels.len()], data: SharedBytes::copy_of(&panels)? };
                let panels = graph.add_constant(panels);
                done.insert((weight, layout), panels);
                panels
            }
        };
        let table = bias.map(|id| graph.constant(id).as_f32().map(|bias| layout.table(bias))).transpose()?;
        let bias = table.map(|table| Constant::f32(&table, &[table.len()])).transpose()?.map(|table| graph.add_constant(table));
        let weights = ConvWeights::PackedFloat { panels, bias };
        if let Some(place) = graph.nodes[index].op.weights_mut().into_iter().nth(set) {
            *place = weights;
        }
    }
    super::remove_unused::run(graph);
    Ok(())
}

/// The panels of all groups.
fn packed(plain: &[f32], layout: WeightLayout) -> Result<Vec<f32>> {
    if layout.depthwise {
        let mut panels = memory::filled(round_up(layout.groups, PANEL_CHANNELS) * layout.shape.taps, 0f32, "packed weights")?;
        pack_depthwise(plain, layout.groups, layout.shape.taps, &mut panels);
        return Ok(panels);
    }
    let panel_len = layout.shape.panels() * layout.shape.panel_floats();
    let mut panels = memory::filled(layout.groups * panel_len, 0f32, "packed weights")?;
    for (panels, plain) in panels.chunks_mut(panel_len.max(1)).zip(plain.chunks(layout.group_len().max(1))) {
        pack_f32(plain, layout.shape, panels);
    }
    Ok(panels)
}
