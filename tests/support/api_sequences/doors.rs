//! The observer door, the operator door, and names.
use super::quantization::{any_context, fill};
use super::values::Source;
use super::{Kind, Machine};
use rsquant::ffi::*;
use std::ffi::c_void;
use std::ptr::{null, null_mut, without_provenance, without_provenance_mut};

/// Elements of an array that a program gives.
const MOST_ELEMENTS: usize = 4096;

pub fn observer(machine: &mut Machine, source: &mut Source) {
    let channels = if source.byte() >= 240 { source.size() } else { 1 + source.below(4) };
    let options = rsq_observer_options { struct_size: 0, flags: u32::from(source.byte() >= 128), channels };
    let (kind, options) = (source.number(4), source.sized(options));
    // SAFETY: options and output live for the call.
    machine.make(Kind::Observer, source, |out| unsafe { rsq_observer_new(kind, options.get(), out) });
}

pub fn observe(machine: &mut Machine, source: &mut Source) {
    let observer = machine.handle(Kind::Observer, source);
    let values = source.word() as usize % 64 * 12;
    let values = source.floats(values);
    let inner = source.size();
    // SAFETY: the values live for the call.
    machine.done(unsafe { rsq_observer_observe(without_provenance_mut(observer), values.as_ptr(), values.len(), inner) });
}

pub fn merge_observers(machine: &mut Machine, source: &mut Source) {
    let (to, from) = (machine.handle(Kind::Observer, source), machine.handle(Kind::Observer, source));
    machine.done(rsq_observer_merge(without_provenance_mut(to), without_provenance(from)));
}

pub fn solve(machine: &mut Machine, source: &mut Source) {
    let observer = machine.handle(Kind::Observer, source);
    let options = rsq_solve_options {
        struct_size: 0,
        dtype: source.number(3),
        scheme: source.number(3),
        reduce_range: source.below(2) as u32,
        solver: source.number(6),
        reserved: u32::from(source.byte() >= 250),
        percentile: if source.byte() < 200 { 0.0 } else { f64::from(source.float()) * 30.0 },
    };
    let options = source.sized(options);
    let channels = source.below(6);
    let (mut scales, mut zero_points) = (vec![7.5f32; channels], vec![77i32; channels]);
    let (mut ranges, mut quality) = (vec![7.5f32; 2 * channels], vec![7.5f64; channels]);
    let (ranges_place, quality_place) =
        if source.byte() < 128 { (null_mut(), null_mut()) } else { (ranges.as_mut_ptr(), quality.as_mut_ptr()) };
    // SAFETY: arrays of as many elements as there are channels.
    let status = unsafe {
        let (scales, zero_points) = (scales.as_mut_ptr(), zero_points.as_mut_ptr());
        rsq_observer_solve(without_provenance(observer), options.get(), channels, scales, zero_points, ranges_place, quality_place)
    };
    if machine.done(status) {
        assert!(scales.iter().all(|scale| scale.is_finite() && *scale > 0.0), "scales {scales:?}");
    } else {
        assert!(scales.iter().all(|&scale| scale == 7.5) && zero_points.iter().all(|&zero| zero == 77), "a failed call wrote its output");
    }
    let (low, high) = (source.float(), source.float());
    let (mut scale, mut zero_point) = (7.5, 77);
    // SAFETY: options and outputs live for the call.
    if machine.done(unsafe { rsq_qparams_of_range(low, high, options.get(), &mut scale, &mut zero_point) }) {
        assert!(scale.is_finite() && scale > 0.0 && (-128..=255).contains(&zero_point), "{low} to {high}: {scale}, {zero_point}");
    } else {
        assert!(scale == 7.5 && zero_point == 77, "a failed call wrote its output");
    }
}

pub fn observer_bytes(machine: &mut Machine, source: &mut Source) {
    let observer = machine.handle(Kind::Observer, source);
    fill(machine, source, |buffer, capacity, size| {
        // SAFETY: a buffer of that capacity.
        unsafe { rsq_observer_to_buffer(without_provenance(observer), buffer, capacity, size) }
    });
    let bytes = machine.blob(source);
    // SAFETY: bytes and output live for the call.
    machine.make(Kind::Observer, source, |out| unsafe { rsq_observer_from_bytes(bytes.as_ptr().cast(), bytes.len(), out) });
    // SAFETY: integers, for which zeros are values.
    let mut info = source.sized::<rsq_observer_info>(unsafe { std::mem::zeroed() });
    // SAFETY: the output lives for the call.
    let status = unsafe { rsq_observer_get_info(without_provenance(machine.handle(Kind::Observer, source)), info.get_mut()) };
    info.check(machine.done(status));
}

pub fn pack(machine: &mut Machine, source: &mut Source) {
    let is_float = source.byte() < 128;
    let (mut out_channels, mut in_channels, mut groups, mut height, mut width) = (1 + source.below(20), 1 + source.below(9), 1, 1, 1);
    if source.byte() < 128 {
        (height, width) = (3, 1 + source.below(3));
    }
    if source.byte() >= 225 {
        (out_channels, in_channels, groups) = (source.size(), source.size(), source.size());
        (height, width) = (source.size(), source.size());
    }
    let count = [out_channels, in_channels, height, width].iter().try_fold(1usize, |count, &size| count.checked_mul(size));
    let values = source.floats(count.unwrap_or(8).min(MOST_ELEMENTS));
    let bytes: Vec<i8> = values.iter().map(|&value| (value * 80.0) as i8).collect();
    let scales = source.floats(out_channels.min(MOST_ELEMENTS)).iter().map(|scale| scale.abs() + 1e-3).collect::<Vec<_>>();
    let bias = source.floats(out_channels.min(MOST_ELEMENTS));
    let (has_bias, mut flags) = (source.byte() < 128 && bias.len() == out_channels, source.below(8) as u32);
    if source.byte() >= 250 {
        flags = u32::MAX;
    }
    let weights = rsq_weights {
        struct_size: 0,
        dtype: if is_float { RSQ_DTYPE_F32 } else { RSQ_DTYPE_S8 },
        scheme: source.number(3),
        flags,
        data: if is_float { values.as_ptr().cast() } else { bytes.as_ptr().cast() },
        size_bytes: if is_float { 4 * values.len() } else { bytes.len() },
        out_channels,
        in_channels,
        groups,
        kernel_height: height,
        kernel_width: width,
        scales: if is_float { null() } else { scales.as_ptr() },
        scale_count: if is_float { 0 } else { scales.len() },
        bias: if has_bias { bias.as_ptr() } else { null() },
    };
    let weights = source.sized(weights);
    let context = any_context(machine, source);
    // SAFETY: weights, the arrays that they name and the output live for the call.
    machine.make(Kind::Packed, source, |out| unsafe { rsq_pack_weights(context, weights.get(), out) });
    let packed = without_provenance(machine.handle(Kind::Packed, source));
    let (mut scales, mut count) = (vec![7.5f32; source.below(32)], 77);
    // SAFETY: a buffer of that capacity.
    machine.done(unsafe { rsq_packed_scales(packed, scales.as_mut_ptr(), scales.len(), &mut count) });
}

fn operator_options(source: &mut Source) -> rsq_operator_options {
    let mut scale = || if source.byte() < 240 { 0.05 + f32::from(source.byte()) * 1e-3 } else { source.float() };
    let (input_scale, output_scale, residual_scale) = (scale(), scale(), scale());
    let mut zero = |usual| if source.byte() < 240 { usual } else { i32::from(source.byte()) * 2 - 128 };
    let (input_zero_point, output_zero_point, residual_zero_point) = (zero(128), zero(3), zero(128));
    let (output_min, output_max) = (zero(0), zero(0));
    let mut stride = || if source.byte() < 200 { 0 } else { source.size() };
    let (src_stride, dst_stride, residual_stride) = (stride(), stride(), stride());
    rsq_operator_options {
        struct_size: 0,
        flags: if source.byte() < 250 { source.below(2) as u32 } else { u32::MAX },
        output_dtype: source.number(4),
        input_zero_point,
        input_scale,
        output_zero_point,
        output_scale,
        residual_zero_point,
        residual_scale,
        output_min,
        output_max,
        low: if source.byte() < 200 { 0.0 } else { source.float() },
        high: if source.byte() < 200 { 0.0 } else { source.float() },
        reserved: 0,
        src_stride,
        dst_stride,
        residual_stride,
    }
}

pub fn gemm(machine: &mut Machine, source: &mut Source) {
    let context = any_context(machine, source);
    let packed = without_provenance(machine.handle(Kind::Packed, source));
    let options = operator_options(source);
    let options = source.sized(options);
    // SAFETY: options and output live for the call.
    machine.make(Kind::Operator, source, |out| unsafe { rsq_gemm_u8s8_new(context, packed, options.get(), out) });
}

pub fn conv2d(machine: &mut Machine, source: &mut Source) {
    let context = any_context(machine, source);
    let packed = without_provenance(machine.handle(Kind::Packed, source));
    let simple = source.byte() < 180;
    let mut size = |usual| if simple { usual } else { source.size() };
    let sizes = rsq_conv2d_sizes {
        struct_size: 0,
        flags: size(0) as u32,
        height: size(5),
        width: size(6),
        stride_height: size(1),
        stride_width: size(1),
        dilation_height: size(1),
        dilation_width: size(1),
        pad_top: size(1),
        pad_left: size(1),
        pad_bottom: size(1),
        pad_right: size(1),
    };
    let (sizes, options) = (source.sized(sizes), operator_options(source));
    let options = source.sized(options);
    // SAFETY: structs and output live for the call.
    machine.make(Kind::Operator, source, |out| unsafe { rsq_conv2d_u8s8_new(context, packed, options.get(), sizes.get(), out) });
}

pub fn run_operator(machine: &mut Machine, source: &mut Source) {
    let operator = without_provenance::<rsq_operator>(machine.handle(Kind::Operator, source));
    // SAFETY: integers and bytes, for which zeros are values.
    let mut info: rsq_operator_info = unsafe { std::mem::zeroed() };
    info.struct_size = size_of::<rsq_operator_info>() as u32;
    // SAFETY: the output lives for the call.
    machine.done(unsafe { rsq_operator_get_info(operator, &mut info) });
    let count = if source.byte() >= 250 { source.size() } else { source.below(4) };
    // What the first and each further sample take; seldom a byte less.
    let mut bytes = |first: u64, more: u64| {
        let all = first.saturating_add(more.saturating_mul(count.saturating_sub(1) as u64)).min(1 << 16) as usize;
        all.saturating_sub(usize::from(source.byte() >= 245)).next_multiple_of(4)
    };
    let src = vec![3u32; bytes(info.src_bytes, info.src_sample_bytes) / 4];
    let residual = vec![5u32; bytes(info.residual_bytes, info.residual_sample_bytes) / 4];
    let mut dst = vec![0x5a5a_5a5au32; bytes(info.dst_bytes, info.dst_sample_bytes) / 4];
    let mut scratch = vec![0u64; bytes(info.scratch_bytes, 0) / 4];
    let has_scratch = source.byte() < 128;
    let tensors = rsq_operator_tensors {
        struct_size: 0,
        flags: u32::from(source.byte() >= 253),
        src: src.as_ptr().cast(),
        src_bytes: 4 * src.len(),
        residual: if residual.is_empty() { null() } else { residual.as_ptr().cast() },
        residual_bytes: 4 * residual.len(),
        dst: dst.as_mut_ptr().cast(),
        dst_bytes: 4 * dst.len(),
        scratch: if has_scratch { scratch.as_mut_ptr().cast() } else { null_mut() },
        scratch_bytes: if has_scratch { 8 * scratch.len() } else { 0 },
    };
    let tensors = source.sized(tensors);
    // SAFETY: the tensors live for the call.
    let status = unsafe {
        match source.byte() % 2 {
            0 => rsq_gemm_u8s8(operator, count, tensors.get()),
            _ => rsq_conv2d_u8s8(operator, count, tensors.get()),
        }
    };
    if !machine.done(status) {
        assert!(dst.iter().all(|&word| word == 0x5a5a_5a5a), "a failed call wrote its output");
    }
}

pub fn quantize(machine: &mut Machine, source: &mut Source) {
    let context = any_context(machine, source);
    let channels = if source.byte() >= 240 { source.size() } else { 1 + source.below(4) };
    // No channels mean one.
    let scales: Vec<f32> = source.floats(channels.clamp(1, MOST_ELEMENTS)).iter().map(|scale| scale.abs() + 1e-3).collect();
    let zero_points = vec![i32::from(source.byte()); scales.len()];
    let quantization = rsq_quantization {
        struct_size: 0,
        dtype: source.number(4),
        reduce_range: source.below(2) as u32,
        reserved: 0,
        scales: scales.as_ptr(),
        zero_points: zero_points.as_ptr(),
        channels: if channels == 0 { 0 } else { scales.len() },
        inner: source.size(),
    };
    let quantization = source.sized(quantization);
    let count = source.below(20) * 12;
    let (mut floats, mut bytes) = (source.floats(count), vec![0x5au8; count]);
    let given = if source.byte() >= 240 { bytes.len().saturating_sub(1) } else { bytes.len() };
    // SAFETY: arrays of at least those sizes.
    unsafe {
        if source.byte() < 128 {
            let status = rsq_quantize(context, quantization.get(), floats.as_ptr(), count, bytes.as_mut_ptr().cast::<c_void>(), given);
            assert!(machine.done(status) || bytes.iter().all(|&byte| byte == 0x5a), "a failed call wrote its output");
        } else {
            floats.fill(7.5);
            let status = rsq_dequantize(context, quantization.get(), bytes.as_ptr().cast::<c_void>(), given, floats.as_mut_ptr(), count);
            assert!(machine.done(status) || floats.iter().all(|&float| float == 7.5), "a failed call wrote its output");
        }
    }
}

pub fn names(machine: &mut Machine, source: &mut Source) {
    let name = source.text(&["x", "y", "input", "output", "a", "b", "nothing"]);
    let (graph, model) = (machine.handle(Kind::Graph, source), machine.handle(Kind::Model, source));
    let (text, mut index) = (name.as_ptr().cast(), 77usize);
    // SAFETY: text and output live for the call.
    let status = unsafe {
        match source.below(4) {
            0 => rsq_graph_input_index(without_provenance(graph), text, &mut index),
            1 => rsq_graph_output_index(without_provenance(graph), text, &mut index),
            2 => rsq_model_input_index(without_provenance(model), text, &mut index),
            _ => rsq_model_output_index(without_provenance(model), text, &mut index),
        }
    };
    assert!(machine.done(status) || index == 77, "a failed call wrote its output");
    let mut text = [0xa5u8; 24];
    let capacity = source.below(24);
    // SAFETY: a buffer of at least that capacity.
    unsafe { rsq_last_error(text.as_mut_ptr().cast(), capacity) };
    assert!(text[capacity..].iter().all(|&byte| byte == 0xa5), "a message is longer than its buffer");
}
