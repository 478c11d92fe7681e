//! Sessions: runs.
use super::context::{context_or_default, rsq_context};
use super::graph::{at, rsq_graph, tell_tensor};
use super::handles::Exclusive;
use super::images::{images, rsq_image_input};
use super::info::{RSQ_MAX_RANK, RSQ_NAME_BYTES, RSQ_SHORT_NAME_BYTES, rsq_tensor_info, text_array, text_length};
use super::model::rsq_model;
use super::options::{InfoOut, InfoStruct, OptionStruct, read, rsq_shape, shapes};
use super::pointers::Out;
use super::status::{Failure, Outcome, rsq_status};
use super::tensors::{Needed, rsq_tensor_mut, rsq_tensor_view, with_tensors};
use super::{guard, handles};
use crate::pipeline::{KEPT_PLANS, Session, SessionOptions, StepInfo};
use std::ffi::c_char;

/// Exclusive. The memory of one run at a time. For N threads make N sessions of one model.
pub struct rsq_session {
    _private: [u8; 0],
}

impl handles::Handle for rsq_session {
    type Object = SessionObject;
    const TAG: usize = 6;
    const NAME: &'static str = "session";
}

/// What the handle stands for.
pub(super) struct SessionObject {
    pub(super) session: Exclusive<Session>,
    /// How many tensors a run has.
    needed: Needed,
}

/// Other input sizes than the planned ones (the batch aside) are `RSQ_SHAPE_MISMATCH` instead of planned anew.
pub const RSQ_SESSION_FIXED_SIZES: u32 = 1;
/// Count what each step costs: `rsq_session_profile`. Takes two readings of the clock a step.
pub const RSQ_SESSION_PROFILE: u32 = 2;

/// What a session is made with. All zero but `struct_size`: the default.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsq_session_options {
    /// `sizeof(rsq_session_options)`.
    pub struct_size: u32,
    /// 0, or the sum of some of `RSQ_SESSION_FIXED_SIZES` and `RSQ_SESSION_PROFILE`.
    pub flags: u32,
    /// The largest batch that memory is held for; 0: 1.
    pub max_batch: usize,
    /// Shapes of all inputs as runs get them, for a graph that leaves more than the batch open; NULL: taken from the first run.
    pub input_shapes: *const rsq_shape,
    /// Number of `input_shapes`: the graph's number of inputs, or 0.
    pub input_shape_count: usize,
    /// Inputs that runs get as image bytes; may be NULL if there are none.
    pub images: *const rsq_image_input,
    /// Number of `images`.
    pub image_count: usize,
    /// Plans for input sizes met before that are kept; 0: 4. All lie in one memory of the size of the largest, and a run of such
    /// a size allocates nothing. The plan whose last use is longest ago goes first.
    pub kept_plans: usize,
}

// SAFETY: repr(C), size first, integers and a pointer, none larger than the alignment.
unsafe impl OptionStruct for rsq_session_options {}
const _: () = assert!(size_of::<rsq_session_options>() == 8 + 6 * size_of::<usize>());

/// One operation of a session's plan. Which kernel runs a layer is known here and not by the model: it depends on the
/// session's instruction set and sizes. Set `struct_size` before the call.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsq_step_info {
    /// `sizeof(rsq_step_info)`, set by the caller.
    pub struct_size: u32,
    /// Bytes of the full name. `name` holds only its beginning if this is `RSQ_NAME_BYTES` or more.
    pub name_length: u32,
    /// Multiply-accumulates of one sample, padded taps counted.
    pub macs: u64,
    /// Bytes of one sample's tensors that it reads and writes, each once.
    pub activation_bytes: u64,
    /// Bytes of its weights and constants, each once.
    pub weight_bytes: u64,
    /// The node's name, UTF-8, as `rsq_layer_info` has it. It comes twice where a layer takes two operations; quantizing
    /// and dequantizing between layers have names of their own.
    pub name: [c_char; RSQ_NAME_BYTES],
    /// The operator as ONNX calls it, such as "Conv".
    pub op_type: [c_char; RSQ_SHORT_NAME_BYTES],
    /// The kernel that runs it, such as "u8s8s32-4x16-avx2".
    pub kernel: [c_char; RSQ_SHORT_NAME_BYTES],
}

// SAFETY: repr(C), integers alone, no padding (asserted below), size first.
unsafe impl InfoStruct for rsq_step_info {
    const FIRST_SIZE: usize = 416;
}
const _: () = assert!(size_of::<rsq_step_info>() == 416);

impl rsq_step_info {
    fn describe(step: &StepInfo) -> Self {
        Self {
            struct_size: 0,
            name_length: text_length(&step.name),
            macs: step.macs,
            activation_bytes: step.activation_bytes,
            weight_bytes: step.weight_bytes,
            name: text_array(&step.name),
            op_type: text_array(step.operator),
            kernel: text_array(step.kernel),
        }
    }
}

/// Options as the core takes them.
///
/// # Safety
/// `options` is NULL or points to as many bytes as its first word says; its shapes and images are as stated.
unsafe fn session_options(options: *const rsq_session_options) -> Outcome<SessionOptions> {
    // SAFETY: the caller's promise.
    let Some(given) = (unsafe { read(options, "rsq_session_options") })? else { return Ok(SessionOptions::default()) };
    if given.flags & !(RSQ_SESSION_FIXED_SIZES | RSQ_SESSION_PROFILE) != 0 {
        return Err(Failure::invalid(format!("rsq_session_options.flags is {:#x}; this version knows 1 and 2", given.flags)));
    }
    // SAFETY: the caller's promise.
    let input_dims = unsafe { shapes(given.input_shapes, given.input_shape_count, "input_shapes") }?;
    Ok(SessionOptions {
        max_batch: given.max_batch.max(1),
        input_dims,
        allow_resize: given.flags & RSQ_SESSION_FIXED_SIZES == 0,
        kept_plans: if given.kept_plans == 0 { KEPT_PLANS } else { given.kept_plans },
        profile: given.flags & RSQ_SESSION_PROFILE != 0,
        // SAFETY: the caller's promise.
        images: unsafe { images(given.images, given.image_count) }?,
    })
}

fn make_session(session: Session) -> Outcome<*mut rsq_session> {
    let needed = Needed { inputs: session.inputs().len(), outputs: session.outputs().len() };
    handles::make(SessionObject { session: Exclusive::new(session, "session"), needed })
}

/// Makes a session of an int8 model, with the model's context. `options` may be NULL. The caller frees `*out`.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BAD_STRUCT_SIZE`, `INVALID_ARGUMENT` (also a normalization that gives no finite
/// number), `SHAPE_MISMATCH` (also an image input that has not four axes, or another number of channels), `NOT_FOUND` (an image
/// input that the graph has not), `OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_session_new(
    model: *const rsq_model,
    options: *const rsq_session_options,
    out: *mut *mut rsq_session,
) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { Out::new(out, "out") }?;
        let model = handles::get(model)?;
        // SAFETY: the caller's promise.
        let options = unsafe { session_options(options) }?;
        out.write(make_session(Session::new(&model, options)?)?);
        Ok(())
    })
}

/// Makes a session that runs a float graph: the ground truth that int8 is compared with. `context` and `options` may be
/// NULL. The caller frees `*out`.
///
/// Statuses: as `rsq_session_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_float_session_new(
    context: *const rsq_context,
    graph: *const rsq_graph,
    options: *const rsq_session_options,
    out: *mut *mut rsq_session,
) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { Out::new(out, "out") }?;
        let (context, graph) = (context_or_default(context)?, handles::get(graph)?);
        // SAFETY: the caller's promise.
        let options = unsafe { session_options(options) }?;
        out.write(make_session(Session::float(&context, &graph, options)?)?);
        Ok(())
    })
}

/// Number of inputs of a run. 0 for a bad handle.
#[unsafe(no_mangle)]
pub extern "C" fn rsq_session_input_count(session: *const rsq_session) -> usize {
    guard::value(0, || Ok(handles::get(session)?.needed.inputs))
}

/// Number of outputs of a run. 0 for a bad handle.
#[unsafe(no_mangle)]
pub extern "C" fn rsq_session_output_count(session: *const rsq_session) -> usize {
    guard::value(0, || Ok(handles::get(session)?.needed.outputs))
}

/// Name, element type and declared shape of an input, as runs get it. Set `out->struct_size` before.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BAD_STRUCT_SIZE`, `BUSY`, `NOT_FOUND` (no such index).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_session_input_info(session: *const rsq_session, index: usize, out: *mut rsq_tensor_info) -> rsq_status {
    // SAFETY: the caller's promise.
    unsafe { tell_tensor(out, index, "input", || Ok(handles::get(session)?.session.read()?.inputs())) }
}

/// Name, element type and declared shape of an output. Set `out->struct_size` before.
///
/// Statuses: as `rsq_session_input_info`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_session_output_info(session: *const rsq_session, index: usize, out: *mut rsq_tensor_info) -> rsq_status {
    // SAFETY: the caller's promise.
    unsafe { tell_tensor(out, index, "output", || Ok(handles::get(session)?.session.read()?.outputs())) }
}

/// The shape of output `index` for inputs of the given shapes, one for each input, batch included. Writes the number of
/// axes to `out_rank` and `RSQ_MAX_RANK` dimensions to `out_dims`, 0 from the rank on.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `INVALID_ARGUMENT`, `BUSY`, `SHAPE_MISMATCH`, `NOT_FOUND` (no such output).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_session_output_shape(
    session: *const rsq_session,
    input_shapes: *const rsq_shape,
    input_count: usize,
    index: usize,
    out_dims: *mut i64,
    out_rank: *mut u32,
) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promises; an array is written as a whole.
        let (out_dims, out_rank) =
            unsafe { (Out::new(out_dims.cast::<[i64; RSQ_MAX_RANK]>(), "out_dims")?, Out::new(out_rank, "out_rank")?) };
        let object = handles::get(session)?;
        if input_count != object.needed.inputs {
            return Err(Failure::invalid(format!("{input_count} input shapes where {} are needed", object.needed.inputs)));
        }
        // SAFETY: the caller's promise.
        let input_dims = unsafe { shapes(input_shapes, input_count, "input_shapes") }?.unwrap_or_default();
        let shapes = object.session.read()?.output_dims(&input_dims)?;
        let shape = at(&shapes, index, "output")?;
        let mut dims = [0; RSQ_MAX_RANK];
        shape.iter().zip(&mut dims).for_each(|(&from, to)| *to = from as i64);
        out_dims.write(dims);
        out_rank.write(shape.len() as u32);
        Ok(())
    })
}

/// Number of operations of the plan; 0 before there is one, that is before the first run where the graph leaves more than
/// the batch open and the options gave no shapes; 0 for a bad handle.
#[unsafe(no_mangle)]
pub extern "C" fn rsq_session_step_count(session: *const rsq_session) -> usize {
    guard::value(0, || Ok(handles::get(session)?.session.read()?.steps().len()))
}

/// Name, operator and kernel of an operation of the plan. Set `out->struct_size` before.
///
/// Statuses: as `rsq_session_input_info`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_session_step_info(session: *const rsq_session, index: usize, out: *mut rsq_step_info) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { InfoOut::new(out, "rsq_step_info") }?;
        let steps = handles::get(session)?.session.read()?.steps();
        out.write(&rsq_step_info::describe(at(&steps, index, "step")?));
        Ok(())
    })
}

/// Bytes of memory that the session holds for runs, weights not counted. 0 before there is a plan and for a bad handle.
#[unsafe(no_mangle)]
pub extern "C" fn rsq_session_memory_bytes(session: *const rsq_session) -> usize {
    guard::value(0, || Ok(handles::get(session)?.session.read()?.memory_bytes()))
}

/// Runs one batch of any size: one tensor for each input and each output, in order, f32 (`RSQ_DTYPE_U8` for
/// an image input), dense. Allocates nothing, unless the input sizes are those of no plan that is kept, or the batch is above
/// the largest.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `INVALID_ARGUMENT` (counts, dimensions, a buffer that is too small, misaligned
/// or overlaps an output), `BUSY` (another call uses the session), `UNSUPPORTED` (strides), `SHAPE_MISMATCH`,
/// `DTYPE_MISMATCH`, `NOT_FINITE` (a dynamic layer met a NaN or an infinity; the message names tensor and index), `CALLBACK`,
/// `OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_run(
    session: *mut rsq_session,
    inputs: *const rsq_tensor_view,
    input_count: usize,
    outputs: *const rsq_tensor_mut,
    output_count: usize,
) -> rsq_status {
    guard::call(|| {
        if (inputs.is_null() && input_count > 0) || (outputs.is_null() && output_count > 0) {
            return Err(Failure::null(if inputs.is_null() { "inputs" } else { "outputs" }));
        }
        let object = handles::get(session.cast_const())?;
        let mut session = object.session.write()?;
        // SAFETY: the caller's promises.
        unsafe {
            with_tensors(object.needed, (inputs, input_count), (outputs, output_count), |inputs, outputs| session.run(inputs, outputs))
        }
    })
}

/// Frees a session. NULL and stale handles are ignored; a run under way on another thread finishes first.
#[unsafe(no_mangle)]
pub extern "C" fn rsq_session_free(session: *mut rsq_session) {
    guard::value((), || {
        handles::release(session);
        Ok(())
    });
}
