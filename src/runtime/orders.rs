//! Which memory order each operator wants of its inputs and gives its output.
use crate::graph::Op;
use crate::ops::{Element, Order, TensorLayout};
use crate::quantize::{DynamicRule, Grain};

/// Orders of an operator's inputs (one for all) and of its output.
pub struct Orders {
    /// What the inputs must have; `None`: whatever they have.
    pub inputs: Option<Order>,
    /// What the output gets.
    pub output: Order,
}

/// The orders for `op` with inputs that lie as `inputs` and an output of rank `output_rank`.
pub fn orders(op: &Op, inputs: &[&TensorLayout], output_rank: usize, output_element: Element) -> Orders {
    let first = inputs.first().map_or(Order::RowMajor, |layout| layout.order);
    let fixed = |order: Order| Orders { inputs: Some(order), output: order };
    match op {
        Op::Conv2d(_) | Op::MaxPool(_) | Op::AveragePool(_) | Op::GlobalAveragePool => fixed(Order::ChannelsLast),
        Op::Linear(_) | Op::MatMul | Op::Softmax { .. } | Op::Transpose(_) | Op::Slice(_) | Op::Recurrent(_) => fixed(Order::RowMajor),
        // Spatial means of images run channels last.
        Op::ReduceMean { .. } => fixed(Order::RowMajor),
        // A reshape that moves nothing keeps its input's order where ranks allow (the plan checks places).
        Op::Reshape(_) => Orders { inputs: None, output: Order::RowMajor },
        // Rows, and torch's rule, which linear layers ask for, are row-major whatever the rank is.
        Op::DynamicQuantizeBy(by) if by.grain == Grain::PerRow || by.rule == DynamicRule::Torch => fixed(Order::RowMajor),
        Op::Quantize | Op::DynamicQuantize | Op::DynamicQuantizeBy(_) => {
            Orders { inputs: None, output: TensorLayout::preferred_order(output_rank) }
        }
        Op::Dequantize | Op::Unary(_) | Op::Lookup(_) | Op::ChannelAffine { .. } | Op::Identity => Orders { inputs: None, output: first },
        Op::Binary(..) | Op::Concat { .. } | Op::Pad { .. } => {
            // Bytes pad their innermost axis, so bytes of rank 4 stay channels last.
            let images =
                output_rank == 4 && (output_element == Element::U8 || inputs.iter().any(|layout| layout.order == Order::ChannelsLast));
            fixed(if images { Order::ChannelsLast } else { Order::RowMajor })
        }
    }
}
