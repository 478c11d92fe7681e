//! Comparisons of a model with its float graph.
use super::graph::{at, rsq_graph};
use super::handles::Exclusive;
use super::images::{images as read_images, rsq_image_input};
use super::info::{RSQ_NAME_BYTES, RSQ_SHORT_NAME_BYTES, text_array, text_length};
use super::model::{precision_number, rsq_model};
use super::options::{InfoOut, InfoStruct};
use super::pointers::Out;
use super::status::{Failure, rsq_status};
use super::tensors::{Needed, rsq_tensor_view, with_tensors};
use super::{guard, handles};
use crate::pipeline::{Comparison, LayerComparison, OutputComparison};
use std::ffi::c_char;
use std::ptr::null;

/// Exclusive. How close a model is to the float graph that it was made of, over the batches compared so far.
pub struct rsq_comparison {
    _private: [u8; 0],
}

impl handles::Handle for rsq_comparison {
    type Object = ComparisonObject;
    const TAG: usize = 11;
    const NAME: &'static str = "comparison";
}

/// What the handle stands for.
pub(super) struct ComparisonObject {
    pub(super) comparison: Exclusive<Comparison>,
    /// Inputs of the graph.
    input_count: usize,
}

/// How close a layer's output is to the float one, on the same inputs of the network. Set `struct_size` before the call.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsq_layer_comparison {
    /// `sizeof(rsq_layer_comparison)`, set by the caller.
    pub struct_size: u32,
    /// How the layer runs in the model, one of `RSQ_PRECISION_`.
    pub precision: i32,
    /// Values compared.
    pub values: u64,
    /// `20 log10(|x| / |x - x_q|)`, in dB; infinite where both are the same.
    pub sqnr_db: f64,
    /// Cosine of the angle between both.
    pub cosine: f64,
    /// Share, 0 to 1, of the float values that lie below the range in which the tensor is held as bytes; 0 where it is not.
    pub clip_low: f64,
    /// Share of those above it.
    pub clip_high: f64,
    /// Bytes of the full name. `name` holds only its beginning if this is `RSQ_NAME_BYTES` or more.
    pub name_length: u32,
    /// 0.
    pub reserved: u32,
    /// The node's name, of an input its own; UTF-8.
    pub name: [c_char; RSQ_NAME_BYTES],
    /// The operator as ONNX calls it, such as "Conv"; "Input" for an input.
    pub op_type: [c_char; RSQ_SHORT_NAME_BYTES],
}

// SAFETY: repr(C), integers and floats alone, no padding (asserted below), size first.
unsafe impl InfoStruct for rsq_layer_comparison {
    const FIRST_SIZE: usize = 376;
}
const _: () = assert!(size_of::<rsq_layer_comparison>() == 376);

/// How close an output is to the float one, end to end. Set `struct_size` before the call.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsq_output_comparison {
    /// `sizeof(rsq_output_comparison)`, set by the caller.
    pub struct_size: u32,
    /// Bytes of the full name. `name` holds only its beginning if this is `RSQ_NAME_BYTES` or more.
    pub name_length: u32,
    /// As in `rsq_layer_comparison`.
    pub sqnr_db: f64,
    /// As in `rsq_layer_comparison`.
    pub cosine: f64,
    /// Share, 0 to 1, of the samples whose largest element is the same one; -1 for an output that is not `[n, classes]`.
    pub top1_agreement: f64,
    /// Its name, UTF-8.
    pub name: [c_char; RSQ_NAME_BYTES],
}

// SAFETY: repr(C), integers and floats alone, no padding (asserted below), size first.
unsafe impl InfoStruct for rsq_output_comparison {
    const FIRST_SIZE: usize = 288;
}
const _: () = assert!(size_of::<rsq_output_comparison>() == 288);

impl rsq_layer_comparison {
    fn describe(layer: &LayerComparison) -> Self {
        Self {
            struct_size: 0,
            precision: precision_number(layer.precision),
            values: layer.values,
            sqnr_db: layer.sqnr_db,
            cosine: layer.cosine,
            clip_low: layer.clip_low,
            clip_high: layer.clip_high,
            name_length: text_length(&layer.name),
            reserved: 0,
            name: text_array(&layer.name),
            op_type: text_array(&layer.operator),
        }
    }
}

impl rsq_output_comparison {
    fn describe(output: &OutputComparison) -> Self {
        Self {
            struct_size: 0,
            name_length: text_length(&output.name),
            sqnr_db: output.sqnr_db,
            cosine: output.cosine,
            top1_agreement: output.top1_agreement.unwrap_or(-1.0),
            name: text_array(&output.name),
        }
    }
}

/// Makes a comparison of `model` with `graph`, of which it was made; it runs with the model's context. The caller frees
/// `*out`.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `MISMATCH` (the model was made of another graph; the message names the first
/// difference), `OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_comparison_new(graph: *const rsq_graph, model: *const rsq_model, out: *mut *mut rsq_comparison) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { Out::new(out, "out") }?;
        let (graph, model) = (handles::get(graph)?, handles::get(model)?);
        let comparison = Comparison::new(&graph, &model)?;
        let input_count = graph.inputs().len();
        out.write(handles::make(ComparisonObject { comparison: Exclusive::new(comparison, "comparison"), input_count })?);
        Ok(())
    })
}

/// From now on these inputs are given as images, u8 `[n, h, w, c]`, as `rsq_prepare_options.images` says; the others as f32.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BUSY`, `NOT_FOUND` (no such input), `SHAPE_MISMATCH` (not `[n, c, h, w]`, another number
/// of channels), `INVALID_ARGUMENT` (a normalization that is none, an input that comes twice), `OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_comparison_set_images(
    comparison: *mut rsq_comparison,
    images: *const rsq_image_input,
    image_count: usize,
) -> rsq_status {
    guard::call(|| {
        if images.is_null() && image_count > 0 {
            return Err(Failure::null("images"));
        }
        let object = handles::get(comparison.cast_const())?;
        let mut comparison = object.comparison.write()?;
        // SAFETY: the caller's promise.
        let images = unsafe { read_images(images, image_count) }?;
        Ok(comparison.set_images(&images)?)
    })
}

/// Compares on one batch: one tensor for each input of the graph, in its order, f32, or u8 for images. Any batch size; the results are those
/// of all batches together, to the bit the same however they are cut. Tensors are looked at one by one: memory does not grow
/// with the batch.
///
/// Statuses: as `rsq_calibrate`. A batch that is refused changes nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_compare(comparison: *mut rsq_comparison, inputs: *const rsq_tensor_view, input_count: usize) -> rsq_status {
    guard::call(|| {
        if inputs.is_null() && input_count > 0 {
            return Err(Failure::null("inputs"));
        }
        let object = handles::get(comparison.cast_const())?;
        let mut comparison = object.comparison.write()?;
        let needed = Needed { inputs: object.input_count, outputs: 0 };
        // SAFETY: the caller's promises.
        unsafe { with_tensors(needed, (inputs, input_count), (null(), 0), |inputs, _| comparison.add(inputs)) }
    })
}

/// How many samples were compared (for a graph without a batch axis: batches).
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BUSY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_comparison_samples(comparison: *const rsq_comparison, out: *mut u64) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { Out::new(out, "out") }?;
        out.write(handles::get(comparison)?.comparison.read()?.samples());
        Ok(())
    })
}

/// Number of layers compared: the inputs that the model holds as bytes, then the layers in execution order. Those that only
/// give a tensor another shape are left out. 0 before the first batch and for a bad handle.
#[unsafe(no_mangle)]
pub extern "C" fn rsq_comparison_layer_count(comparison: *const rsq_comparison) -> usize {
    guard::value(0, || Ok(handles::get(comparison)?.comparison.read()?.layers().len()))
}

/// How close a layer is to the float one. Set `out->struct_size` before.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BAD_STRUCT_SIZE`, `BUSY`, `NOT_FOUND` (no such index).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_comparison_layer_info(
    comparison: *const rsq_comparison,
    index: usize,
    out: *mut rsq_layer_comparison,
) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { InfoOut::new(out, "rsq_layer_comparison") }?;
        let layers = handles::get(comparison)?.comparison.read()?.layers();
        out.write(&rsq_layer_comparison::describe(at(&layers, index, "layer")?));
        Ok(())
    })
}

/// Number of outputs. 0 for a bad handle.
#[unsafe(no_mangle)]
pub extern "C" fn rsq_comparison_output_count(comparison: *const rsq_comparison) -> usize {
    guard::value(0, || Ok(handles::get(comparison)?.comparison.read()?.outputs().len()))
}

/// How close an output is to the float one, end to end. Set `out->struct_size` before.
///
/// Statuses: as `rsq_comparison_layer_info`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_comparison_output_info(
    comparison: *const rsq_comparison,
    index: usize,
    out: *mut rsq_output_comparison,
) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { InfoOut::new(out, "rsq_output_comparison") }?;
        let outputs = handles::get(comparison)?.comparison.read()?.outputs();
        out.write(&rsq_output_comparison::describe(at(&outputs, index, "output")?));
        Ok(())
    })
}

/// Frees a comparison. NULL and stale handles are ignored.
#[unsafe(no_mangle)]
pub extern "C" fn rsq_comparison_free(comparison: *mut rsq_comparison) {
    guard::value((), || {
        handles::release(comparison);
        Ok(())
    });
}
