//! Runs a part of a batch on one executor and shows its float tensors.
use crate::error::Result;
use crate::graph::{Graph, ValueId};
use crate::memory;
use crate::ops::Order;
use crate::quantize::observer::ChannelOrder;
use crate::runtime::{Executor, Observation};
use crate::tensor::{TensorView, element_count};
use std::sync::Arc;

/// Runs samples `range` of the batch on one executor and shows every float tensor: value, sample of the batch, elements, where channels lie.
pub(super) fn run_range(
    graph: &Graph,
    executor: &mut Executor,
    inputs: &[TensorView<'_>],
    range: std::ops::Range<usize>,
    whole: bool,
    show: &mut dyn FnMut(ValueId, usize, &[f32], ChannelOrder) -> Result<()>,
) -> Result<()> {
    if range.is_empty() {
        return Ok(());
    }
    let plan = Arc::clone(executor.plan());
    let samples = if whole { 1 } else { range.len() };
    let slices: Vec<&[u8]> = inputs
        .iter()
        .zip(&plan.input_dims)
        .map(|(view, dims)| {
            let sample_bytes = element_count(dims).unwrap_or(0) * size_of::<f32>();
            let first = if whole { 0 } else { range.start };
            &view.bytes()[first * sample_bytes..(first + samples) * sample_bytes]
        })
        .collect();
    let floats =
        |dims: &Vec<usize>| memory::filled(element_count(dims).unwrap_or(0).saturating_mul(samples), 0.0, "the outputs of a batch");
    let mut outputs: Vec<Vec<f32>> = plan.output_dims.iter().map(floats).collect::<Result<_>>()?;
    memory::checkpoint()?;
    let mut outputs: Vec<&mut [u8]> = outputs.iter_mut().map(|output| bytemuck::cast_slice_mut(output)).collect();
    let mut first = range.start;
    let mut chunk = 0;
    executor.run_observed(if whole { range.len() } else { samples }, &slices, &mut outputs, &mut |observation: &Observation<'_>| {
        let value = match (observation.step, observation.input) {
            (Some(step), _) => plan.steps[step].makes.as_ref().map(|made| made.value),
            (None, Some(input)) => {
                if input == 0 {
                    first += chunk;
                    chunk = observation.samples();
                }
                Some(graph.inputs[input])
            }
            (None, None) => None,
        };
        let Some(value) = value else { return Ok(()) };
        for sample in 0..if whole { 1 } else { observation.samples() } {
            let layout = &observation.tensor.layout;
            let order = match layout.order {
                Order::ChannelsLast => ChannelOrder::Innermost,
                Order::RowMajor => ChannelOrder::Planes(layout.dims.iter().skip(2).product()),
            };
            show(value, first + sample, observation.floats(sample), order)?;
        }
        Ok(())
    })
}
