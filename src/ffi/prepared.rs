//! Graphs with observers in place: calibration.
use super::context::{context_or_default, rsq_context};
use super::graph::rsq_graph;
use super::handles::Exclusive;
use super::images::{images, rsq_image_input};
use super::model::rsq_model;
use super::options::{OptionStruct, read, rsq_shape, shapes};
use super::pointers::{Out, array, fill, path};
use super::progress::{progress_callback, rsq_progress_fn};
use super::qconfig::rsq_qconfig;
use super::status::{Failure, Outcome, rsq_status};
use super::tensors::{Needed, rsq_tensor_view, with_tensors};
use super::{guard, handles};
use crate::memory;
use crate::pipeline::Prepared;
use std::ffi::{c_char, c_void};
use std::path::Path;
use std::ptr::null;
use std::sync::RwLockReadGuard;

/// Exclusive. A graph with observers in place: collects statistics of activations, and converts to int8.
pub struct rsq_prepared {
    _private: [u8; 0],
}

impl handles::Handle for rsq_prepared {
    type Object = PreparedObject;
    const TAG: usize = 4;
    const NAME: &'static str = "prepared";
}

/// What the handle stands for.
pub(super) struct PreparedObject {
    prepared: Exclusive<Prepared>,
    /// Inputs of the graph.
    input_count: usize,
}

impl PreparedObject {
    /// The prepared graph for a call that reads it.
    pub fn read(&self) -> Outcome<RwLockReadGuard<'_, Prepared>> {
        self.prepared.read()
    }
}

/// How to prepare. All zero but `struct_size`: the default.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsq_prepare_options {
    /// `sizeof(rsq_prepare_options)`.
    pub struct_size: u32,
    /// 0.
    pub flags: u32,
    /// Shapes of all inputs as batches have them, for a graph that leaves more than the batch open; NULL: taken from the first batch.
    pub input_shapes: *const rsq_shape,
    /// Number of `input_shapes`: the graph's number of inputs, or 0.
    pub input_shape_count: usize,
    /// Inputs that `rsq_calibrate` gets as image bytes; may be NULL if there are none. For `rsq_prepare` alone.
    pub images: *const rsq_image_input,
    /// Number of `images`.
    pub image_count: usize,
}

// SAFETY: repr(C), size first, integers and a pointer, none larger than the alignment.
unsafe impl OptionStruct for rsq_prepare_options {}
const _: () = assert!(size_of::<rsq_prepare_options>() == 8 + 4 * size_of::<usize>());

impl rsq_prepare_options {
    /// # Safety
    /// `input_shapes` is NULL or points to as many shapes as stated.
    pub(super) unsafe fn input_dims(self) -> Outcome<Option<Vec<Vec<usize>>>> {
        if self.flags != 0 {
            return Err(Failure::invalid(format!("rsq_prepare_options.flags is {:#x}; this version knows none", self.flags)));
        }
        // SAFETY: the caller's promise.
        unsafe { shapes(self.input_shapes, self.input_shape_count, "input_shapes") }
    }

    /// For a call that is given no tensors.
    ///
    /// # Errors
    /// `RSQ_INVALID_ARGUMENT` for images.
    pub(super) fn without_images(self) -> Outcome<Self> {
        match self.image_count {
            0 => Ok(self),
            count => Err(Failure::invalid(format!("rsq_prepare_options.image_count is {count}; images are for rsq_prepare"))),
        }
    }
}

/// Puts observers into a graph, as `qconfig` says; neither is changed, nor needed afterwards. `context` and `options`
/// may be NULL. The caller frees `*out`.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BAD_STRUCT_SIZE`, `BUSY` (the qconfig is being changed), `INVALID_ARGUMENT`
/// (settings that contradict each other; with a strict qconfig a scope that no node is in), `UNSUPPORTED` (a strict qconfig, and
/// a layer that would stay float), `SHAPE_MISMATCH`, `NOT_FOUND` (an image input that the graph has not), `OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_prepare(
    context: *const rsq_context,
    graph: *const rsq_graph,
    qconfig: *const rsq_qconfig,
    options: *const rsq_prepare_options,
    out: *mut *mut rsq_prepared,
) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promises.
        let (out, options) = unsafe { (Out::new(out, "out")?, read(options, "rsq_prepare_options")?) };
        let (context, graph, qconfig) = (context_or_default(context)?, handles::get(graph)?, handles::get(qconfig)?);
        // SAFETY: the caller's promise.
        let input_dims = options.map_or(Ok(None), |options| unsafe { options.input_dims() })?;
        // SAFETY: the caller's promise.
        let images = options.map_or(Ok(Vec::new()), |options| unsafe { images(options.images, options.image_count) })?;
        let prepared = Prepared::with_images(&context, &graph, &*qconfig.read()?, input_dims, &images)?;
        let object = PreparedObject { prepared: Exclusive::new(prepared, "prepared"), input_count: graph.inputs().len() };
        out.write(handles::make(object)?);
        Ok(())
    })
}

/// Observes one batch: one tensor for each input of the graph, in its order, f32 (`RSQ_DTYPE_U8` for an image input). Any
/// batch size.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `INVALID_ARGUMENT`, `BUSY` (another call uses the prepared), `UNSUPPORTED`
/// (strides), `SHAPE_MISMATCH`, `DTYPE_MISMATCH`, `NOT_FINITE` (a NaN or an infinity; the message names tensor and index),
/// `CANCELLED` (by the callback of `rsq_prepared_set_progress`), `OUT_OF_MEMORY`. A batch that is refused leaves the statistics as they
/// were.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_calibrate(prepared: *mut rsq_prepared, inputs: *const rsq_tensor_view, input_count: usize) -> rsq_status {
    guard::call(|| {
        if inputs.is_null() && input_count > 0 {
            return Err(Failure::null("inputs"));
        }
        let object = handles::get(prepared.cast_const())?;
        let mut prepared = object.prepared.write()?;
        let needed = Needed { inputs: object.input_count, outputs: 0 };
        // SAFETY: the caller's promises.
        unsafe { with_tensors(needed, (inputs, input_count), (null(), 0), |inputs, _| prepared.calibrate(inputs)) }
    })
}

/// How many samples the statistics hold (for a graph without a batch axis: batches).
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BUSY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_calibration_samples(prepared: *const rsq_prepared, out: *mut u64) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { Out::new(out, "out") }?;
        out.write(handles::get(prepared)?.prepared.read()?.samples());
        Ok(())
    })
}

/// Sets whom `rsq_calibrate` and `rsq_convert` tell how far they are; NULL: nobody. `user_data` is handed to `progress` and must be valid
/// until another callback is set or the prepared is freed.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BUSY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_prepared_set_progress(
    prepared: *mut rsq_prepared,
    progress: rsq_progress_fn,
    user_data: *mut c_void,
) -> rsq_status {
    guard::call(|| {
        let object = handles::get(prepared.cast_const())?;
        // SAFETY: the caller's promise.
        let callback = unsafe { progress_callback(progress, user_data) };
        memory::checkpoint()?;
        object.prepared.write()?.set_progress(callback);
        Ok(())
    })
}

/// Writes the statistics to a file, which is replaced at once or stays as it was: as a checkpoint it survives the end of the process at any
/// moment.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BUSY`, `IO`, `OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_calibration_save(prepared: *const rsq_prepared, utf8_path: *const c_char) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promise.
        let path = unsafe { path(utf8_path) }?;
        Ok(handles::get(prepared)?.prepared.read()?.save_calibration(&path)?)
    })
}

/// Writes the statistics to memory, as `rsq_calibration_save` writes them to a file: first call with `buffer` NULL, which tells the size,
/// then with a buffer of `capacity` bytes, at least that many. The same data give the same bytes, whatever their order, batches, shards,
/// threads and instruction set (observers that depend on the order of batches aside).
///
/// Statuses: `NULL_ARGUMENT` (`out_size`), `INVALID_HANDLE`, `INVALID_ARGUMENT` (the buffer is too small), `BUSY`, `OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_calibration_to_buffer(
    prepared: *const rsq_prepared,
    buffer: *mut c_void,
    capacity: usize,
    out_size: *mut usize,
) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promise.
        let size = unsafe { Out::new(out_size, "out_size") }?;
        let bytes = handles::get(prepared)?.prepared.read()?.calibration_bytes()?;
        memory::checkpoint()?;
        // SAFETY: the caller's promise.
        unsafe { fill(&bytes, buffer, capacity, size, bytes.len()) }
    })
}

/// Applies `change` with the file at `utf8_path`.
///
/// # Safety
/// `utf8_path` is NULL or a C string.
unsafe fn change_from_file(
    prepared: *mut rsq_prepared,
    utf8_path: *const c_char,
    change: impl FnOnce(&mut Prepared, &Path) -> crate::error::Result<()>,
) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promise.
        let path = unsafe { path(utf8_path) }?;
        let object = handles::get(prepared.cast_const())?;
        let mut prepared = object.prepared.write()?;
        Ok(change(&mut prepared, &path)?)
    })
}

/// Applies `change` with bytes of the caller.
///
/// # Safety
/// `bytes` is NULL or points to `size` bytes.
unsafe fn change_from_bytes(
    prepared: *mut rsq_prepared,
    bytes: *const c_void,
    size: usize,
    change: impl FnOnce(&mut Prepared, &[u8]) -> crate::error::Result<()>,
) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promise.
        let bytes = unsafe { array(bytes.cast::<u8>(), size, "bytes") }?;
        let object = handles::get(prepared.cast_const())?;
        let mut prepared = object.prepared.write()?;
        Ok(change(&mut prepared, bytes)?)
    })
}

/// Takes over the statistics of a file, in a prepared that has seen nothing yet. So calibration goes on where it was saved,
/// whatever the observers. Settings that change nothing about what is observed (the solver, for one) may differ from those it was saved
/// with: another solver needs no data.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BUSY`, `WRONG_STATE` (there are statistics already), `IO`, `CORRUPT`,
/// `VERSION`, `MISMATCH` (of another graph, or other observers), `OUT_OF_MEMORY`. Nothing changes unless `OK`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_calibration_load(prepared: *mut rsq_prepared, utf8_path: *const c_char) -> rsq_status {
    // SAFETY: the caller's promise.
    unsafe { change_from_file(prepared, utf8_path, Prepared::load_calibration) }
}

/// Takes over statistics of `size` bytes from memory, as `rsq_calibration_load` does from a file.
///
/// Statuses: as `rsq_calibration_load`, but for `IO`. Nothing changes unless `OK`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_calibration_from_bytes(prepared: *mut rsq_prepared, bytes: *const c_void, size: usize) -> rsq_status {
    // SAFETY: the caller's promise.
    unsafe { change_from_bytes(prepared, bytes, size, Prepared::load_calibration_bytes) }
}

/// Adds the statistics in a file: the result is, to the bit, that of one prepared that saw both parts, whatever the
/// order.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BUSY`, `IO`, `CORRUPT`, `VERSION`, `MISMATCH` (of another graph or qconfig),
/// `UNSUPPORTED` (observers that depend on the order, if both parts have seen something), `OUT_OF_MEMORY`. Nothing changes
/// unless `OK`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_calibration_merge(prepared: *mut rsq_prepared, utf8_path: *const c_char) -> rsq_status {
    // SAFETY: the caller's promise.
    unsafe { change_from_file(prepared, utf8_path, Prepared::merge_calibration) }
}

/// Adds the statistics in `count` files: all of them, or none.
///
/// Statuses: as `rsq_calibration_merge`. Nothing changes unless `OK`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_calibration_merge_files(
    prepared: *mut rsq_prepared,
    utf8_paths: *const *const c_char,
    count: usize,
) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promise.
        let paths = unsafe { array(utf8_paths, count, "utf8_paths") }?;
        // SAFETY: the caller's promise, for each path.
        let paths = paths.iter().map(|&one| unsafe { path(one) }).collect::<Outcome<Vec<_>>>()?;
        Ok(handles::get(prepared.cast_const())?.prepared.write()?.merge_calibrations(&paths)?)
    })
}

/// Adds statistics of `size` bytes from memory, as `rsq_calibration_merge` does from a file.
///
/// Statuses: as `rsq_calibration_merge`, but for `IO`. Nothing changes unless `OK`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_calibration_merge_bytes(prepared: *mut rsq_prepared, bytes: *const c_void, size: usize) -> rsq_status {
    // SAFETY: the caller's promise.
    unsafe { change_from_bytes(prepared, bytes, size, Prepared::merge_calibration_bytes) }
}

/// Makes an int8 model of the graph and its statistics. The prepared stays usable: calibrate on, and convert again. The
/// caller frees `*out`.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BUSY`, `NOT_CALIBRATED` (the message names the tensor), `NOT_FINITE`
/// (weights), `CANCELLED` (by the callback of `rsq_prepared_set_progress`), `OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_convert(prepared: *const rsq_prepared, out: *mut *mut rsq_model) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { Out::new(out, "out") }?;
        let model = handles::get(prepared)?.prepared.read()?.convert()?;
        out.write(handles::make(model)?);
        Ok(())
    })
}

/// Frees a prepared. NULL and stale handles are ignored; models made of it stay usable.
#[unsafe(no_mangle)]
pub extern "C" fn rsq_prepared_free(prepared: *mut rsq_prepared) {
    guard::value((), || {
        handles::release(prepared);
        Ok(())
    });
}
