//! The graph builder.
use super::quantization::any_context;
use super::values::Source;
use super::{Kind, Machine};
use rsquant::ffi::*;
use std::ptr::{null, without_provenance, without_provenance_mut};

/// Elements of a constant or of weights.
const MOST_ELEMENTS: usize = 4096;

pub fn new(machine: &mut Machine, source: &mut Source) {
    let context = any_context(machine, source);
    // SAFETY: the output lives for the call.
    machine.make(Kind::Builder, source, |out| unsafe { rsq_graph_builder_new(context, out) });
    if source.byte() < 200 {
        machine.values.clear();
        input(machine, source, &[-1, 3, 8, 8]);
    }
}

fn builder(machine: &Machine, source: &mut Source) -> *mut rsq_graph_builder {
    without_provenance_mut(machine.handle(Kind::Builder, source))
}

fn value(machine: &Machine, source: &mut Source) -> rsq_value {
    match source.byte() {
        0..=239 if !machine.values.is_empty() => machine.values[machine.values.len() - 1 - source.below(machine.values.len())],
        _ => source.word() as rsq_value,
    }
}

/// A call that gives a value: it is kept on success, and its output is untouched on failure.
fn make(machine: &mut Machine, call: impl FnOnce(*mut rsq_value) -> rsq_status) {
    let mut out = [0xa5a5_a5a5; 3];
    let status = call(&raw mut out[1]);
    if machine.done(status) {
        machine.values.push(out[1]);
    } else {
        assert_eq!(out[1], 0xa5a5_a5a5, "a failed call wrote its output");
    }
    assert!(out[0] == 0xa5a5_a5a5 && out[2] == 0xa5a5_a5a5, "a call wrote beside its output");
}

fn name(source: &mut Source) -> Vec<u8> {
    let number = source.byte();
    source.text(&["a", "b", "c", &format!("n{number}"), ""])
}

fn dims(source: &mut Source) -> Vec<i64> {
    let rank = source.below(6);
    let mut dims: Vec<i64> = (0..rank).map(|_| source.dim()).collect();
    dims.resize(16, 1);
    dims
}

fn rank(source: &mut Source) -> usize {
    if source.byte() >= 250 { source.below(17) } else { source.below(5) }
}

fn input(machine: &mut Machine, source: &mut Source, dims: &[i64]) {
    let (builder, name) = (builder(machine, source), name(source));
    // SAFETY: text, dimensions and output live for the call.
    make(machine, |out| unsafe { rsq_graph_builder_input(builder, name.as_ptr().cast(), dims.as_ptr(), dims.len(), out) });
}

pub fn tensors(machine: &mut Machine, source: &mut Source) {
    let dims = dims(source);
    let rank = rank(source);
    if source.byte() < 100 {
        return input(machine, source, &dims[..rank]);
    }
    let count = dims[..rank].iter().try_fold(1usize, |count, &dim| count.checked_mul(usize::try_from(dim).ok()?));
    let values = source.floats(count.unwrap_or(3).min(MOST_ELEMENTS));
    let (builder, name) = (builder(machine, source), name(source));
    // SAFETY: text, values, dimensions and output live for the call.
    make(machine, |out| unsafe {
        rsq_graph_builder_constant(builder, name.as_ptr().cast(), values.as_ptr(), values.len(), dims.as_ptr(), rank, out)
    });
}

fn window(source: &mut Source) -> rsq_window {
    let simple = source.byte() < 160;
    let mut size = |usual| if simple { usual } else { source.size() };
    rsq_window {
        struct_size: 0,
        flags: size(0) as u32,
        kernel_height: size(3),
        kernel_width: size(3),
        stride_height: size(1),
        stride_width: size(2),
        dilation_height: size(1),
        dilation_width: size(1),
        pad_top: size(1),
        pad_left: size(1),
        pad_bottom: size(1),
        pad_right: size(0),
    }
}

pub fn layers(machine: &mut Machine, source: &mut Source) {
    let window = window(source);
    let (mut out_channels, mut in_channels, mut groups) = (1 + source.below(20), 1 + source.below(6), 1);
    let kind = source.below(3);
    if source.byte() >= 225 {
        (out_channels, in_channels, groups) = (source.size(), source.size(), source.size());
    }
    let taps = if kind == 0 { window.kernel_height.saturating_mul(window.kernel_width) } else { 1 };
    let count = out_channels.saturating_mul(in_channels).saturating_mul(taps).min(MOST_ELEMENTS);
    let (weights, bias) = (source.floats(count), source.floats(out_channels.min(MOST_ELEMENTS)));
    let has_bias = source.byte() < 128 && bias.len() == out_channels;
    let layer = rsq_layer_weights {
        struct_size: 0,
        flags: u32::from(source.byte() >= 250),
        weights: weights.as_ptr(),
        weight_count: weights.len(),
        bias: if has_bias { bias.as_ptr() } else { null() },
        out_channels,
        in_channels,
        groups,
    };
    let is_borrowed = layer.flags & RSQ_WEIGHTS_BORROWED != 0;
    let (layer, window) = (source.sized(layer), source.sized(window));
    let channels = bias.len();
    let norm = rsq_batch_norm {
        struct_size: 0,
        epsilon: source.float().abs(),
        channels,
        gamma: bias.as_ptr(),
        beta: bias.as_ptr(),
        mean: bias.as_ptr(),
        variance: bias.as_ptr(),
    };
    let norm = source.sized(norm);
    let (builder, name, x) = (builder(machine, source), name(source), value(machine, source));
    let text = name.as_ptr().cast();
    // SAFETY: text, structs, the arrays that they name and the output live for the call.
    make(machine, |out| unsafe {
        match kind {
            0 => rsq_graph_builder_conv2d(builder, text, x, layer.get(), window.get(), out),
            1 => rsq_graph_builder_linear(builder, text, x, layer.get(), out),
            _ => rsq_graph_builder_batch_norm(builder, text, x, norm.get(), out),
        }
    });
    if is_borrowed {
        machine.borrowed.push(weights);
    }
}

pub fn elements(machine: &mut Machine, source: &mut Source) {
    let (a, b, kind) = (value(machine, source), value(machine, source), source.number(6));
    let (alpha, beta) = (source.float(), source.float());
    let window = window(source);
    let window = source.sized(window);
    let (builder, name) = (builder(machine, source), name(source));
    let text = name.as_ptr().cast();
    let which = source.below(5);
    let axis = source.dim();
    // SAFETY: text, struct and output live for the call.
    make(machine, |out| unsafe {
        match which {
            0 => rsq_graph_builder_unary(builder, text, kind, a, alpha, beta, out),
            1 => rsq_graph_builder_binary(builder, text, kind, a, b, out),
            2 => rsq_graph_builder_matmul(builder, text, a, b, out),
            3 => rsq_graph_builder_softmax(builder, text, a, axis, out),
            _ => rsq_graph_builder_pool(builder, text, kind, a, window.get(), out),
        }
    });
}

pub fn shapes(machine: &mut Machine, source: &mut Source) {
    let x = value(machine, source);
    let (dims, more, rank) = (dims(source), dims(source), rank(source));
    let values: Vec<rsq_value> = (0..16).map(|_| value(machine, source)).collect();
    let (builder, name) = (builder(machine, source), name(source));
    let text = name.as_ptr().cast();
    let (which, number, float) = (source.below(6), source.dim(), source.float());
    // SAFETY: text, arrays of sixteen numbers and the output live for the call.
    make(machine, |out| unsafe {
        match which {
            0 => rsq_graph_builder_reduce_mean(builder, text, x, dims.as_ptr(), rank, number as i32, out),
            1 => rsq_graph_builder_flatten(builder, text, x, number, out),
            2 => rsq_graph_builder_reshape(builder, text, x, dims.as_ptr(), rank, out),
            3 => rsq_graph_builder_transpose(builder, text, x, dims.as_ptr(), rank, out),
            4 => rsq_graph_builder_concat(builder, text, values.as_ptr(), rank.min(16), number, out),
            _ => rsq_graph_builder_pad(builder, text, x, dims.as_ptr(), more.as_ptr(), rank, float, out),
        }
    });
}

pub fn finish(machine: &mut Machine, source: &mut Source) {
    let builder = builder(machine, source);
    let x = value(machine, source);
    if source.byte() < 230 {
        machine.done(rsq_graph_builder_output(builder, x));
    }
    // SAFETY: the output lives for the call.
    machine.make(Kind::Graph, source, |out| unsafe { rsq_graph_builder_finish(without_provenance(builder.addr()), out) });
}
