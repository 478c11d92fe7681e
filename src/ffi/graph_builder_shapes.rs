//! The graph builder's operators over axes and shapes, its outputs and its end.
use super::graph::rsq_graph;
use super::graph_builder::{add, add_op, rsq_graph_builder, rsq_value};
use super::pointers::{Out, array};
use super::status::{Failure, Outcome, rsq_status};
use super::{guard, handles};
use crate::pipeline::{Op, Reshape, ValueId};
use std::ffi::c_char;

/// Adds a mean over the `count` axes, negative ones counted from the end; `keepdims` not 0 keeps them with size 1. No axes: over
/// all. Statuses as `rsq_graph_builder_input`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_graph_builder_reduce_mean(
    builder: *mut rsq_graph_builder,
    name: *const c_char,
    x: rsq_value,
    axes: *const i64,
    count: usize,
    keepdims: i32,
    out: *mut rsq_value,
) -> rsq_status {
    // SAFETY: the caller's promises.
    let op = || Ok(Op::ReduceMean { axes: unsafe { array(axes, count, "axes") }?.to_vec(), keepdims: keepdims != 0 });
    // SAFETY: the caller's promises.
    unsafe { add_op(builder, name, &[x], out, op) }
}

/// Adds a softmax over one axis, a negative one counted from the end. Statuses as `rsq_graph_builder_input`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_graph_builder_softmax(
    builder: *mut rsq_graph_builder,
    name: *const c_char,
    x: rsq_value,
    axis: i64,
    out: *mut rsq_value,
) -> rsq_status {
    // SAFETY: the caller's promises.
    unsafe { add_op(builder, name, &[x], out, || Ok(Op::Softmax { axis, flatten: false })) }
}

/// Adds a change of shape to two axes: those before `axis`, and the rest. Statuses as `rsq_graph_builder_input`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_graph_builder_flatten(
    builder: *mut rsq_graph_builder,
    name: *const c_char,
    x: rsq_value,
    axis: i64,
    out: *mut rsq_value,
) -> rsq_status {
    // SAFETY: the caller's promises.
    unsafe { add_op(builder, name, &[x], out, || Ok(Op::Reshape(Reshape::Flatten(axis)))) }
}

/// Adds a change of shape: 0 copies the input's dimension, -1 takes what is left. Statuses as `rsq_graph_builder_input`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_graph_builder_reshape(
    builder: *mut rsq_graph_builder,
    name: *const c_char,
    x: rsq_value,
    dims: *const i64,
    rank: usize,
    out: *mut rsq_value,
) -> rsq_status {
    // SAFETY: the caller's promises.
    let op = || Ok(Op::Reshape(Reshape::Dims(unsafe { array(dims, rank, "dims") }?.to_vec())));
    // SAFETY: the caller's promises.
    unsafe { add_op(builder, name, &[x], out, op) }
}

/// Adds a transposition: output axis `i` is input axis `axes[i]`. Statuses as `rsq_graph_builder_input`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_graph_builder_transpose(
    builder: *mut rsq_graph_builder,
    name: *const c_char,
    x: rsq_value,
    axes: *const i64,
    rank: usize,
    out: *mut rsq_value,
) -> rsq_status {
    let op = || {
        // SAFETY: the caller's promise.
        let axes: Result<Vec<usize>, _> = unsafe { array(axes, rank, "axes") }?.iter().map(|&axis| usize::try_from(axis)).collect();
        Ok(Op::Transpose(axes.map_err(|_| Failure::invalid("axes has a negative axis"))?))
    };
    // SAFETY: the caller's promises.
    unsafe { add_op(builder, name, &[x], out, op) }
}

/// Adds a join of `count` values on an axis, a negative one counted from the end. Statuses as `rsq_graph_builder_input`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_graph_builder_concat(
    builder: *mut rsq_graph_builder,
    name: *const c_char,
    values: *const rsq_value,
    count: usize,
    axis: i64,
    out: *mut rsq_value,
) -> rsq_status {
    // SAFETY: the caller's promises.
    unsafe {
        add(builder, name, out, |builder, name| {
            let values: Vec<ValueId> = array(values, count, "values")?.iter().map(|&value| ValueId(value)).collect();
            Ok(builder.node(name, Op::Concat { axis }, &values)?)
        })
    }
}

/// Adds padding with `value`: `before` and `after` have one number for each of the `rank` axes, negative ones crop. Statuses as
/// `rsq_graph_builder_input`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_graph_builder_pad(
    builder: *mut rsq_graph_builder,
    name: *const c_char,
    x: rsq_value,
    before: *const i64,
    after: *const i64,
    rank: usize,
    value: f32,
    out: *mut rsq_value,
) -> rsq_status {
    // SAFETY: the caller's promises.
    let pads = |first, what| -> Outcome<Vec<i64>> { Ok(unsafe { array(first, rank, what) }?.to_vec()) };
    let op = || Ok(Op::Pad { before: pads(before, "before")?, after: pads(after, "after")?, value });
    // SAFETY: the caller's promises.
    unsafe { add_op(builder, name, &[x], out, op) }
}

/// Makes a value the next output. Statuses as `rsq_graph_builder_input`.
#[unsafe(no_mangle)]
pub extern "C" fn rsq_graph_builder_output(builder: *mut rsq_graph_builder, value: rsq_value) -> rsq_status {
    guard::call(|| Ok(handles::get(builder.cast_const())?.write()?.output(ValueId(value))?))
}

/// Makes a graph of what was added so far: checked, folded and fused as one of an ONNX file is, and equal to one with the same
/// nodes. The builder stays usable. The caller frees `*out`.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BUSY`, and naming the node `GRAPH`, `SHAPE_MISMATCH`, `NOT_FINITE`,
/// `INVALID_ARGUMENT`, `UNSUPPORTED`; `GRAPH` also for a graph without input or output; `OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_graph_builder_finish(builder: *const rsq_graph_builder, out: *mut *mut rsq_graph) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { Out::new(out, "out") }?;
        let graph = handles::get(builder)?.read()?.finish()?;
        out.write(handles::make(graph)?);
        Ok(())
    })
}

/// Frees a builder. NULL and stale handles are ignored; graphs made of it stay usable.
#[unsafe(no_mangle)]
pub extern "C" fn rsq_graph_builder_free(builder: *mut rsq_graph_builder) {
    guard::value((), || {
        handles::release(builder);
        Ok(())
    });
}
