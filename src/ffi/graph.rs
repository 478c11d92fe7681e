//! Float graphs.
use super::context::{context_or_default, rsq_context};
use super::info::{RSQ_NAME_BYTES, RSQ_SHORT_NAME_BYTES, rsq_tensor_info, text_array, text_length};
use super::options::{InfoOut, InfoStruct};
use super::pointers::{Out, array, path};
use super::status::{Failure, Outcome, RSQ_NOT_FOUND, rsq_status};
use super::{guard, handles};
use crate::pipeline::{FloatGraph, TensorInfo};
use std::ffi::{c_char, c_void};

/// Shared. An immutable float graph: batch normalization is folded, activations and additions are fused into the
/// convolutions before them.
pub struct rsq_graph {
    _private: [u8; 0],
}

impl handles::Handle for rsq_graph {
    type Object = FloatGraph;
    const TAG: usize = 2;
    const NAME: &'static str = "graph";
}

/// One operator of a graph. Set `struct_size` before the call.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsq_node_info {
    /// `sizeof(rsq_node_info)`, set by the caller.
    pub struct_size: u32,
    /// Bytes of the full name. `name` holds only its beginning if this is `RSQ_NAME_BYTES` or more.
    pub name_length: u32,
    /// Tensors that it reads, constants counted, weights and bias of a layer not.
    pub input_count: u32,
    /// 0.
    pub reserved: u32,
    /// Its name in the ONNX file, UTF-8; scopes of a qconfig match it.
    pub name: [c_char; RSQ_NAME_BYTES],
    /// The operator as ONNX calls it, such as "Conv"; scopes of a qconfig match it.
    pub op_type: [c_char; RSQ_SHORT_NAME_BYTES],
}

// SAFETY: repr(C), integers alone, no padding (asserted below), size first.
unsafe impl InfoStruct for rsq_node_info {
    const FIRST_SIZE: usize = 336;
}
const _: () = assert!(size_of::<rsq_node_info>() == 336);

/// The item with that index.
///
/// # Errors
/// `RSQ_NOT_FOUND` naming what and how many there are.
pub(super) fn at<'a, T>(items: &'a [T], index: usize, what: &str) -> Outcome<&'a T> {
    let missing = || Failure::new(RSQ_NOT_FOUND, format!("not found: {what} {index} of {}", items.len()));
    items.get(index).ok_or_else(missing)
}

/// Tells about one of an object's inputs or outputs.
///
/// # Safety
/// `out` is NULL or points to as many writable bytes as its first word says.
pub(super) unsafe fn tell_tensor(
    out: *mut rsq_tensor_info,
    index: usize,
    what: &str,
    tensors: impl FnOnce() -> Outcome<Vec<TensorInfo>>,
) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { InfoOut::new(out, "rsq_tensor_info") }?;
        let tensors = tensors()?;
        out.write(&rsq_tensor_info::describe(at(&tensors, index, what)?));
        Ok(())
    })
}

/// Reads an ONNX file; tensors in files beside it are found, inside its folder only. `context` may be NULL. The caller
/// frees `*out`.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `IO`, `PARSE`, `GRAPH`, `UNSUPPORTED` (the message lists every node that is
/// not supported), `NOT_FINITE` (a weight), `OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_graph_from_onnx_file(
    context: *const rsq_context,
    utf8_path: *const c_char,
    out: *mut *mut rsq_graph,
) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promises.
        let (out, path) = unsafe { (Out::new(out, "out")?, path(utf8_path)?) };
        let context = context_or_default(context)?;
        out.write(handles::make(FloatGraph::from_onnx_file_within(&context, &path)?)?);
        Ok(())
    })
}

/// Reads an ONNX model of `size` bytes from memory, which is not needed afterwards. Tensors in other files are refused.
/// `context` may be NULL. The caller frees `*out`.
///
/// Statuses: as `rsq_graph_from_onnx_file`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_graph_from_onnx_bytes(
    context: *const rsq_context,
    bytes: *const c_void,
    size: usize,
    out: *mut *mut rsq_graph,
) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promises.
        let (out, bytes) = unsafe { (Out::new(out, "out")?, array(bytes.cast::<u8>(), size, "bytes")?) };
        let context = context_or_default(context)?;
        out.write(handles::make(FloatGraph::from_onnx_bytes_within(&context, bytes)?)?);
        Ok(())
    })
}

/// Number of inputs, in the order of the ONNX file. 0 for a bad handle.
#[unsafe(no_mangle)]
pub extern "C" fn rsq_graph_input_count(graph: *const rsq_graph) -> usize {
    guard::value(0, || Ok(handles::get(graph)?.inputs().len()))
}

/// Number of outputs, in the order of the ONNX file. 0 for a bad handle.
#[unsafe(no_mangle)]
pub extern "C" fn rsq_graph_output_count(graph: *const rsq_graph) -> usize {
    guard::value(0, || Ok(handles::get(graph)?.outputs().len()))
}

/// Name, element type and shape of an input. Set `out->struct_size` before.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BAD_STRUCT_SIZE`, `NOT_FOUND` (no such index).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_graph_input_info(graph: *const rsq_graph, index: usize, out: *mut rsq_tensor_info) -> rsq_status {
    // SAFETY: the caller's promise.
    unsafe { tell_tensor(out, index, "input", || Ok(handles::get(graph)?.inputs())) }
}

/// Name, element type and shape of an output. Set `out->struct_size` before.
///
/// Statuses: as `rsq_graph_input_info`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_graph_output_info(graph: *const rsq_graph, index: usize, out: *mut rsq_tensor_info) -> rsq_status {
    // SAFETY: the caller's promise.
    unsafe { tell_tensor(out, index, "output", || Ok(handles::get(graph)?.outputs())) }
}

/// Number of nodes after folding and fusing, in execution order. 0 for a bad handle.
#[unsafe(no_mangle)]
pub extern "C" fn rsq_graph_node_count(graph: *const rsq_graph) -> usize {
    guard::value(0, || Ok(handles::get(graph)?.graph().nodes.len()))
}

/// Name and operator of a node. Set `out->struct_size` before.
///
/// Statuses: as `rsq_graph_input_info`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_graph_node_info(graph: *const rsq_graph, index: usize, out: *mut rsq_node_info) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { InfoOut::new(out, "rsq_node_info") }?;
        let graph = handles::get(graph)?;
        let node = at(&graph.graph().nodes, index, "node")?;
        out.write(&rsq_node_info {
            struct_size: 0,
            name_length: text_length(&node.name),
            input_count: node.inputs.len() as u32,
            reserved: 0,
            name: text_array(&node.name),
            op_type: text_array(node.op.name()),
        });
        Ok(())
    })
}

/// Frees a graph. NULL and stale handles are ignored; what was made from it stays usable.
#[unsafe(no_mangle)]
pub extern "C" fn rsq_graph_free(graph: *mut rsq_graph) {
    guard::value((), || {
        handles::release(graph);
        Ok(())
    });
}
