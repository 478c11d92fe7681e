//! What each layer costs.
use super::graph::at;
use super::info::{RSQ_NAME_BYTES, RSQ_SHORT_NAME_BYTES, text_array, text_length};
use super::model::precision_number;
use super::options::{InfoOut, InfoStruct};
use super::pointers::Out;
use super::prepared::rsq_prepared;
use super::progress::{RSQ_STAGE_RANK, rsq_progress_fn, step_callback};
use super::status::{Failure, rsq_status};
use super::tensors::{Needed, rsq_tensor_view, with_tensors};
use super::{guard, handles};
use crate::pipeline::{LayerSensitivity, Sensitivity, sensitivity};
use std::ffi::{c_char, c_void};
use std::ptr::null;

/// Shared. The layers of a calibrated graph, ranked by what each costs where it alone is int8.
pub struct rsq_sensitivity {
    _private: [u8; 0],
}

impl handles::Handle for rsq_sensitivity {
    type Object = Sensitivity;
    const TAG: usize = 13;
    const NAME: &'static str = "sensitivity";
}

/// What a layer costs where it alone is int8: its input and weights are quantized, everything else is float. Set `struct_size`
/// before the call.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsq_layer_sensitivity {
    /// `sizeof(rsq_layer_sensitivity)`, set by the caller.
    pub struct_size: u32,
    /// Its int8 precision, one of `RSQ_PRECISION_`.
    pub precision: i32,
    /// Multiply-accumulates of one sample.
    pub macs: u64,
    /// `20 log10(|x| / |x - x_q|)` of all outputs together, in dB; infinite where nothing is lost.
    pub sqnr_db: f64,
    /// Cosine of the angle between the outputs and the float ones.
    pub cosine: f64,
    /// Its share, 0 to 1, of the error energies of all layers.
    pub error_share: f64,
    /// Bytes of the full name. `name` holds only its beginning if this is `RSQ_NAME_BYTES` or more.
    pub name_length: u32,
    /// 0.
    pub reserved: u32,
    /// The node's name, UTF-8.
    pub name: [c_char; RSQ_NAME_BYTES],
    /// The operator as ONNX calls it, such as "Conv".
    pub op_type: [c_char; RSQ_SHORT_NAME_BYTES],
}

// SAFETY: repr(C), integers and floats alone, no padding (asserted below), size first.
unsafe impl InfoStruct for rsq_layer_sensitivity {
    const FIRST_SIZE: usize = 368;
}
const _: () = assert!(size_of::<rsq_layer_sensitivity>() == 368);

impl rsq_layer_sensitivity {
    fn describe(layer: &LayerSensitivity) -> Self {
        Self {
            struct_size: 0,
            precision: precision_number(layer.precision),
            macs: layer.macs,
            sqnr_db: layer.sqnr_db,
            cosine: layer.cosine,
            error_share: layer.error_share,
            name_length: text_length(&layer.name),
            reserved: 0,
            name: text_array(&layer.name),
            op_type: text_array(&layer.operator),
        }
    }
}

/// Quantizes each layer alone and ranks the layers by what that costs the outputs; the prepared stays as it is. `inputs` are one
/// batch of any size as `rsq_calibrate` takes it, no labels needed; the outputs for it are held in memory. `progress` may be NULL; `user_data` is handed to
/// it. The caller frees `*out`.
///
/// Statuses: as `rsq_convert` and `rsq_compare`, and `CANCELLED` (by `progress`).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_sensitivity_new(
    prepared: *const rsq_prepared,
    inputs: *const rsq_tensor_view,
    input_count: usize,
    progress: rsq_progress_fn,
    user_data: *mut c_void,
    out: *mut *mut rsq_sensitivity,
) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { Out::new(out, "out") }?;
        if inputs.is_null() && input_count > 0 {
            return Err(Failure::null("inputs"));
        }
        let object = handles::get(prepared)?;
        let prepared = object.read()?;
        let needed = Needed { inputs: prepared.graph().inputs().len(), outputs: 0 };
        // SAFETY: the caller's promise.
        let mut told = unsafe { step_callback(progress, user_data, RSQ_STAGE_RANK) };
        let mut found = None;
        // SAFETY: the caller's promises.
        unsafe {
            with_tensors(needed, (inputs, input_count), (null(), 0), |inputs, _| {
                found = Some(sensitivity(&prepared, inputs, &mut told)?);
                Ok(())
            })
        }?;
        let found = found.ok_or_else(|| Failure::invalid("nothing was measured"))?;
        out.write(handles::make(found)?);
        Ok(())
    })
}

/// Number of layers ranked. 0 for a bad handle.
#[unsafe(no_mangle)]
pub extern "C" fn rsq_sensitivity_layer_count(sensitivity: *const rsq_sensitivity) -> usize {
    guard::value(0, || Ok(handles::get(sensitivity)?.layers.len()))
}

/// What a layer costs; index 0 is the most harmful. Set `out->struct_size` before.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BAD_STRUCT_SIZE`, `NOT_FOUND` (no such index).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_sensitivity_layer_info(
    sensitivity: *const rsq_sensitivity,
    index: usize,
    out: *mut rsq_layer_sensitivity,
) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { InfoOut::new(out, "rsq_layer_sensitivity") }?;
        let sensitivity = handles::get(sensitivity)?;
        out.write(&rsq_layer_sensitivity::describe(at(&sensitivity.layers, index, "layer")?));
        Ok(())
    })
}

/// Frees a ranking. NULL and stale handles are ignored.
#[unsafe(no_mangle)]
pub extern "C" fn rsq_sensitivity_free(sensitivity: *mut rsq_sensitivity) {
    guard::value((), || {
        handles::release(sensitivity);
        Ok(())
    });
}
