//! int8 models.
use super::context::{context_or_default, rsq_context};
use super::graph::{at, tell_tensor};
use super::info::{RSQ_NAME_BYTES, RSQ_SHORT_NAME_BYTES, rsq_tensor_info, text_array, text_length};
use super::options::{InfoOut, InfoStruct};
use super::pointers::{Out, array, fill, path};
use super::qconfig::{RSQ_PRECISION_FLOAT, RSQ_PRECISION_INT8_DYNAMIC, RSQ_PRECISION_INT8_STATIC};
use super::status::rsq_status;
use super::{guard, handles};
use crate::memory;
use crate::pipeline::{LayerInfo, LayerPrecision, LoadMode, Model};
use std::ffi::{c_char, c_void};

/// Shared. An immutable int8 model: one for any number of sessions on any threads.
pub struct rsq_model {
    _private: [u8; 0],
}

impl handles::Handle for rsq_model {
    type Object = Model;
    const TAG: usize = 5;
    const NAME: &'static str = "model";
}

/// One layer of the float graph, and what became of it; `rsq_session_step_info` has the kernels, which are a session's. Set
/// `struct_size` before the call.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsq_layer_info {
    /// `sizeof(rsq_layer_info)`, set by the caller.
    pub struct_size: u32,
    /// One of `RSQ_PRECISION_`.
    pub precision: i32,
    /// 1 if the input is held as u8 with fixed qparams: `real = (byte - zero_point) * scale`.
    pub has_input_qparams: i32,
    /// The input's zero point; s8 activations are held, and told here, as u8: plus 128.
    pub input_zero_point: i32,
    /// The input's scale, above zero; 0 without qparams.
    pub input_scale: f32,
    /// 1 if the output is held as u8 with fixed qparams.
    pub has_output_qparams: i32,
    /// As `input_zero_point`, of the output.
    pub output_zero_point: i32,
    /// As `input_scale`, of the output.
    pub output_scale: f32,
    /// Bytes of the full name. `name` holds only its beginning if this is `RSQ_NAME_BYTES` or more.
    pub name_length: u32,
    /// Bytes of the full reason, likewise.
    pub reason_length: u32,
    /// The node's name, UTF-8.
    pub name: [c_char; RSQ_NAME_BYTES],
    /// The operator as ONNX calls it, such as "Conv".
    pub op_type: [c_char; RSQ_SHORT_NAME_BYTES],
    /// Why the layer stays float, or has one set of activation qparams where one a channel was asked for; empty for other int8 layers.
    pub reason: [c_char; RSQ_NAME_BYTES],
}

// SAFETY: repr(C), integers and floats alone, no padding (asserted below), size first.
unsafe impl InfoStruct for rsq_layer_info {
    const FIRST_SIZE: usize = 616;
}
const _: () = assert!(size_of::<rsq_layer_info>() == 616);

pub(super) fn precision_number(precision: LayerPrecision) -> i32 {
    match precision {
        LayerPrecision::Int8Static => RSQ_PRECISION_INT8_STATIC,
        LayerPrecision::Int8Dynamic => RSQ_PRECISION_INT8_DYNAMIC,
        LayerPrecision::Float => RSQ_PRECISION_FLOAT,
    }
}

impl rsq_layer_info {
    fn describe(layer: &LayerInfo) -> Self {
        let (input, output) = (layer.input.as_ref(), layer.output.as_ref());
        Self {
            struct_size: 0,
            precision: precision_number(layer.precision),
            has_input_qparams: input.is_some().into(),
            input_zero_point: input.map_or(0, |qparams| qparams.zero_point),
            input_scale: input.map_or(0.0, |qparams| qparams.scale),
            has_output_qparams: output.is_some().into(),
            output_zero_point: output.map_or(0, |qparams| qparams.zero_point),
            output_scale: output.map_or(0.0, |qparams| qparams.scale),
            name_length: text_length(&layer.name),
            reason_length: text_length(&layer.reason),
            name: text_array(&layer.name),
            op_type: text_array(&layer.operator),
            reason: text_array(&layer.reason),
        }
    }
}

/// Writes a model to a file, which is replaced at once or stays as it was.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `IO`, `OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_model_save(model: *const rsq_model, utf8_path: *const c_char) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promise.
        let path = unsafe { path(utf8_path) }?;
        Ok(handles::get(model)?.save(&path)?)
    })
}

/// Writes a model to memory: first call with `buffer` NULL, which tells the size, then with a buffer of `capacity` bytes,
/// at least that many. The same model gives the same bytes.
///
/// Statuses: `NULL_ARGUMENT` (`out_size`), `INVALID_HANDLE`, `INVALID_ARGUMENT` (the buffer is too small), `OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_model_to_buffer(
    model: *const rsq_model,
    buffer: *mut c_void,
    capacity: usize,
    out_size: *mut usize,
) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promise.
        let size = unsafe { Out::new(out_size, "out_size") }?;
        let bytes = handles::get(model)?.to_bytes()?;
        memory::checkpoint()?;
        // SAFETY: the caller's promise.
        unsafe { fill(&bytes, buffer, capacity, size, bytes.len()) }
    })
}

/// Maps a model file and verifies it; weights are run where they lie. `context` may be NULL. The caller frees `*out`.
///
/// The file must not be changed in place while the model or a session of it lives: a process that truncates it ends
/// this one with SIGBUS. Replacing or deleting the file does no harm; `rsq_model_load_copied` needs no such care.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `IO`, `PARSE` (no model file), `CORRUPT`, `VERSION`, `GRAPH`, `OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_model_load(context: *const rsq_context, utf8_path: *const c_char, out: *mut *mut rsq_model) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promises.
        let (out, path) = unsafe { (Out::new(out, "out")?, path(utf8_path)?) };
        let context = context_or_default(context)?;
        out.write(handles::make(Model::load(&context, &path, LoadMode::Mapped)?)?);
        Ok(())
    })
}

/// Reads a model file into memory and verifies it. `context` may be NULL. The caller frees `*out`.
///
/// Statuses: as `rsq_model_load`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_model_load_copied(
    context: *const rsq_context,
    utf8_path: *const c_char,
    out: *mut *mut rsq_model,
) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promises.
        let (out, path) = unsafe { (Out::new(out, "out")?, path(utf8_path)?) };
        let context = context_or_default(context)?;
        out.write(handles::make(Model::load(&context, &path, LoadMode::Copied)?)?);
        Ok(())
    })
}

/// Copies a model of `size` bytes from memory, at any address, and verifies it. `context` may be NULL. The caller frees
/// `*out`.
///
/// Statuses: as `rsq_model_load`, but for `IO`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_model_from_bytes(
    context: *const rsq_context,
    bytes: *const c_void,
    size: usize,
    out: *mut *mut rsq_model,
) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promises.
        let (out, bytes) = unsafe { (Out::new(out, "out")?, array(bytes.cast::<u8>(), size, "bytes")?) };
        let context = context_or_default(context)?;
        out.write(handles::make(Model::from_bytes(&context, bytes)?)?);
        Ok(())
    })
}

/// Runs a model of `size` bytes where they lie, and verifies it: nothing is copied but tables. They begin on a 64-byte boundary and stay
/// unchanged as long as the model, or a session of it, lives; in read-only memory processes share them. `context` may be NULL. The
/// caller frees `*out`.
///
/// Statuses: as `rsq_model_from_bytes`, and `INVALID_ARGUMENT` (another address).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_model_from_static(
    context: *const rsq_context,
    bytes: *const c_void,
    size: usize,
    out: *mut *mut rsq_model,
) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promises; the bytes stay as long as anything uses them, which is what 'static is needed for.
        let (out, bytes): (_, &'static [u8]) = unsafe { (Out::new(out, "out")?, array(bytes.cast::<u8>(), size, "bytes")?) };
        let context = context_or_default(context)?;
        out.write(handles::make(Model::from_static(&context, bytes)?)?);
        Ok(())
    })
}

/// Number of inputs, in the order of the ONNX file. 0 for a bad handle.
#[unsafe(no_mangle)]
pub extern "C" fn rsq_model_input_count(model: *const rsq_model) -> usize {
    guard::value(0, || Ok(handles::get(model)?.inputs().len()))
}

/// Number of outputs, in the order of the ONNX file. 0 for a bad handle.
#[unsafe(no_mangle)]
pub extern "C" fn rsq_model_output_count(model: *const rsq_model) -> usize {
    guard::value(0, || Ok(handles::get(model)?.outputs().len()))
}

/// Name, element type and shape of an input. Set `out->struct_size` before.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BAD_STRUCT_SIZE`, `NOT_FOUND` (no such index).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_model_input_info(model: *const rsq_model, index: usize, out: *mut rsq_tensor_info) -> rsq_status {
    // SAFETY: the caller's promise.
    unsafe { tell_tensor(out, index, "input", || Ok(handles::get(model)?.inputs())) }
}

/// Name, element type and shape of an output. Set `out->struct_size` before.
///
/// Statuses: as `rsq_model_input_info`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_model_output_info(model: *const rsq_model, index: usize, out: *mut rsq_tensor_info) -> rsq_status {
    // SAFETY: the caller's promise.
    unsafe { tell_tensor(out, index, "output", || Ok(handles::get(model)?.outputs())) }
}

/// Number of layers, in execution order. 0 for a bad handle.
#[unsafe(no_mangle)]
pub extern "C" fn rsq_model_layer_count(model: *const rsq_model) -> usize {
    guard::value(0, || Ok(handles::get(model)?.layers().len()))
}

/// How a layer runs: int8 or float and why, and its qparams. Set `out->struct_size` before.
///
/// Statuses: as `rsq_model_input_info`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_model_layer_info(model: *const rsq_model, index: usize, out: *mut rsq_layer_info) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { InfoOut::new(out, "rsq_layer_info") }?;
        let model = handles::get(model)?;
        out.write(&rsq_layer_info::describe(at(model.layers(), index, "layer")?));
        Ok(())
    })
}

/// Frees a model. NULL and stale handles are ignored; sessions made of it stay usable.
#[unsafe(no_mangle)]
pub extern "C" fn rsq_model_free(model: *mut rsq_model) {
    guard::value((), || {
        handles::release(model);
        Ok(())
    });
}
