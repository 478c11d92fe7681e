//! Inputs and outputs by name.
use super::graph::rsq_graph;
use super::guard;
use super::handles;
use super::model::rsq_model;
use super::pointers::{Out, text};
use super::session::rsq_session;
use super::status::{Failure, Outcome, RSQ_NOT_FOUND, rsq_status};
use crate::pipeline::TensorInfo;
use std::ffi::c_char;

/// Tells which of an object's tensors has that name.
///
/// # Safety
/// `name` is NULL or a C string, `out` NULL or valid for a write.
unsafe fn find(what: &str, name: *const c_char, out: *mut usize, tensors: impl FnOnce() -> Outcome<Vec<TensorInfo>>) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promises.
        let (out, name) = unsafe { (Out::new(out, "out_index")?, text(name, "utf8_name")?) };
        let tensors = tensors()?;
        let missing = || {
            let names: Vec<&str> = tensors.iter().map(|tensor| tensor.name.as_str()).collect();
            Failure::new(RSQ_NOT_FOUND, format!("not found: {what} \"{name}\"; there are {}", names.join(", ")))
        };
        out.write(tensors.iter().position(|tensor| tensor.name == name).ok_or_else(missing)?);
        Ok(())
    })
}

/// The index of the input with that name.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `INVALID_ARGUMENT` (not UTF-8), `NOT_FOUND` (the message lists the names).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_graph_input_index(graph: *const rsq_graph, utf8_name: *const c_char, out_index: *mut usize) -> rsq_status {
    // SAFETY: the caller's promise.
    unsafe { find("input", utf8_name, out_index, || Ok(handles::get(graph)?.inputs())) }
}

/// The index of the output with that name. Statuses: as `rsq_graph_input_index`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_graph_output_index(graph: *const rsq_graph, utf8_name: *const c_char, out_index: *mut usize) -> rsq_status {
    // SAFETY: the caller's promise.
    unsafe { find("output", utf8_name, out_index, || Ok(handles::get(graph)?.outputs())) }
}

/// The index of the input with that name. Statuses: as `rsq_graph_input_index`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_model_input_index(model: *const rsq_model, utf8_name: *const c_char, out_index: *mut usize) -> rsq_status {
    // SAFETY: the caller's promise.
    unsafe { find("input", utf8_name, out_index, || Ok(handles::get(model)?.inputs())) }
}

/// The index of the output with that name. Statuses: as `rsq_graph_input_index`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_model_output_index(model: *const rsq_model, utf8_name: *const c_char, out_index: *mut usize) -> rsq_status {
    // SAFETY: the caller's promise.
    unsafe { find("output", utf8_name, out_index, || Ok(handles::get(model)?.outputs())) }
}

/// The index of the input with that name: its place among the inputs of a run. Statuses: as `rsq_graph_input_index`, and `BUSY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_session_input_index(
    session: *const rsq_session,
    utf8_name: *const c_char,
    out_index: *mut usize,
) -> rsq_status {
    // SAFETY: the caller's promise.
    unsafe { find("input", utf8_name, out_index, || Ok(handles::get(session)?.session.read()?.inputs())) }
}

/// The index of the output with that name: its place among the outputs of a run. Statuses: as `rsq_session_input_index`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_session_output_index(
    session: *const rsq_session,
    utf8_name: *const c_char,
    out_index: *mut usize,
) -> rsq_status {
    // SAFETY: the caller's promise.
    unsafe { find("output", utf8_name, out_index, || Ok(handles::get(session)?.session.read()?.outputs())) }
}
