//! QConfigs: what the user asks for.
use super::handles::Exclusive;
use super::options::{OptionStruct, read};
use super::pointers::{Out, fill, text};
use super::status::{Failure, Outcome, rsq_status};
use super::tensors::{RSQ_DTYPE_S8, RSQ_DTYPE_U8};
use super::{guard, handles};
use crate::quantize::{LayerQConfig, QConfig};
use std::ffi::c_char;

/// Exclusive. What is to be quantized, and how: defaults, then settings by scope.
pub struct rsq_qconfig {
    _private: [u8; 0],
}

impl handles::Handle for rsq_qconfig {
    type Object = Exclusive<QConfig>;
    const TAG: usize = 3;
    const NAME: &'static str = "qconfig";
}

/// int8 with activation qparams from calibration.
pub const RSQ_PRECISION_INT8_STATIC: i32 = 1;
/// int8 with activation qparams from each sample at run time: needs no calibration.
pub const RSQ_PRECISION_INT8_DYNAMIC: i32 = 2;
/// f32.
pub const RSQ_PRECISION_FLOAT: i32 = 3;

/// The whole range, any zero point.
pub const RSQ_SCHEME_AFFINE: i32 = 1;
/// A range symmetric about zero; `a / 127.5` for s8.
pub const RSQ_SCHEME_SYMMETRIC: i32 = 2;
/// Symmetric with `a / 127` and the smallest integer -127, as TensorRT and ncnn have it; s8 only.
pub const RSQ_SCHEME_RESTRICTED_SYMMETRIC: i32 = 3;

/// The range.
pub const RSQ_OBSERVER_MIN_MAX: i32 = 1;
/// A moving average of batch ranges; depends on the order of batches, does not merge.
pub const RSQ_OBSERVER_MOVING_AVERAGE: i32 = 2;
/// Counts on a dyadic grid; merges to the bits of one pass. The default.
pub const RSQ_OBSERVER_HISTOGRAM: i32 = 3;
/// Torch's HistogramObserver; depends on the order of batches, does not merge.
pub const RSQ_OBSERVER_TORCH_HISTOGRAM: i32 = 4;

/// The observed range.
pub const RSQ_SOLVER_MIN_MAX: i32 = 1;
/// The range with the least expected squared error. The default.
pub const RSQ_SOLVER_L2: i32 = 2;
/// Cuts off the outermost values: see `percentile`.
pub const RSQ_SOLVER_PERCENTILE: i32 = 3;
/// The range with the least Kullback-Leibler divergence.
pub const RSQ_SOLVER_ENTROPY: i32 = 4;
/// The range with the least squared error of the histogram's bin centres, quantized and back.
pub const RSQ_SOLVER_MSE: i32 = 5;
/// Of all, the one with the least squared error.
pub const RSQ_SOLVER_AUTO: i32 = 6;

/// One set of weight qparams a tensor.
pub const RSQ_GRANULARITY_PER_TENSOR: i32 = 1;
/// One set of weight qparams an output channel. The default.
pub const RSQ_GRANULARITY_PER_CHANNEL: i32 = 2;

/// No.
pub const RSQ_OFF: i32 = 1;
/// Yes.
pub const RSQ_ON: i32 = 2;

/// Settings of the layers in a scope. A field that is 0 leaves what less specific scopes and the defaults say.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsq_layer_qconfig {
    /// `sizeof(rsq_layer_qconfig)`.
    pub struct_size: u32,
    /// One of `RSQ_PRECISION_`; `RSQ_PRECISION_FLOAT` skips the layers.
    pub precision: i32,
    /// `RSQ_DTYPE_U8` or `RSQ_DTYPE_S8`.
    pub activation_dtype: i32,
    /// One of `RSQ_SCHEME_`.
    pub activation_scheme: i32,
    /// `RSQ_ON` leaves one bit of activations unused: 0..127 or -64..63; `RSQ_OFF`.
    pub activation_reduce_range: i32,
    /// One of `RSQ_OBSERVER_`.
    pub activation_observer: i32,
    /// One of `RSQ_SOLVER_`.
    pub activation_solver: i32,
    /// `RSQ_SCHEME_SYMMETRIC` or `RSQ_SCHEME_RESTRICTED_SYMMETRIC`; weights are s8.
    pub weight_scheme: i32,
    /// One of `RSQ_GRANULARITY_`.
    pub weight_granularity: i32,
    /// 0.
    pub reserved: i32,
    /// For `RSQ_SOLVER_PERCENTILE`: the share of values to keep, above 0, up to 100; 99.99 by default.
    pub percentile: f64,
}

// SAFETY: repr(C), size first, integers and a float, none larger than the alignment.
unsafe impl OptionStruct for rsq_layer_qconfig {}
const _: () = assert!(size_of::<rsq_layer_qconfig>() == 48);

/// Makes a qconfig for static quantization: activations u8, per tensor, affine, histogram and l2; weights s8, per output
/// channel, symmetric. The caller frees `*out`.
///
/// Statuses: `NULL_ARGUMENT`, `OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_qconfig_default_static(out: *mut *mut rsq_qconfig) -> rsq_status {
    // SAFETY: the caller's promise.
    unsafe { new_qconfig(out, || Ok(QConfig::default_static())) }
}

/// Makes a qconfig for dynamic quantization: weights as above, activations by the range of each sample at run time. The
/// caller frees `*out`.
///
/// Statuses: `NULL_ARGUMENT`, `OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_qconfig_default_dynamic(out: *mut *mut rsq_qconfig) -> rsq_status {
    // SAFETY: the caller's promise.
    unsafe { new_qconfig(out, || Ok(QConfig::default_dynamic())) }
}

/// Reads a qconfig from JSON, a C string in UTF-8, as `rsq_qconfig_to_json` writes it. The caller frees `*out`.
///
/// Statuses: `NULL_ARGUMENT`, `PARSE`, `INVALID_ARGUMENT`, `UNSUPPORTED`, `OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_qconfig_from_json(utf8_json: *const c_char, out: *mut *mut rsq_qconfig) -> rsq_status {
    // SAFETY: the caller's promises.
    unsafe { new_qconfig(out, || Ok(QConfig::from_json(text(utf8_json, "utf8_json")?)?)) }
}

/// # Safety
/// `out` is NULL or a place for a handle.
unsafe fn new_qconfig(out: *mut *mut rsq_qconfig, make: impl FnOnce() -> Outcome<QConfig>) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { Out::new(out, "out") }?;
        out.write(handles::make(Exclusive::new(make()?, "qconfig"))?);
        Ok(())
    })
}

/// Sets what the layers in a scope are to be: "*" for all, "op:Conv" for those of an ONNX operator, "name:layer4.*" for those whose
/// name matches ("*" stands for any text). A name goes before an operator before "*"; of two that match, the later.
/// Scopes are checked against the graph by `rsq_prepare`.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BUSY`, `BAD_STRUCT_SIZE`, `INVALID_ARGUMENT` (the message names the field),
/// `UNSUPPORTED` (a combination).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_qconfig_set(qconfig: *mut rsq_qconfig, scope: *const c_char, layer: *const rsq_layer_qconfig) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promises.
        let (scope, layer) = unsafe { (text(scope, "scope")?, read(layer, "rsq_layer_qconfig")?) };
        let layer = layer.ok_or_else(|| Failure::null("layer"))?;
        let qconfig = handles::get(qconfig.cast_const())?;
        let mut qconfig = qconfig.write()?;
        Ok(qconfig.set(scope, &layer.to_core()?)?)
    })
}

/// With `strict` other than 0, a layer that is to be int8 and cannot be is an error of `rsq_prepare` or `rsq_convert`;
/// otherwise it stays float and `rsq_model_layer_info` tells why.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BUSY`.
#[unsafe(no_mangle)]
pub extern "C" fn rsq_qconfig_set_strict(qconfig: *mut rsq_qconfig, strict: i32) -> rsq_status {
    guard::call(|| {
        let qconfig = handles::get(qconfig.cast_const())?;
        qconfig.write()?.set_strict(strict != 0);
        Ok(())
    })
}

/// Writes a qconfig as JSON in UTF-8: first call with `buffer` NULL, which tells the length without the NUL, then with a buffer of
/// `capacity` bytes, at least one more than that.
///
/// Statuses: `NULL_ARGUMENT` (`out_length`), `INVALID_HANDLE`, `BUSY`, `INVALID_ARGUMENT` (the buffer is too small).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_qconfig_to_json(qconfig: *const rsq_qconfig, buffer: *mut c_char, capacity: usize, out_length: *mut usize) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promise.
        let length = unsafe { Out::new(out_length, "out_length") }?;
        let mut json = handles::get(qconfig)?.read()?.to_json()?;
        json.push('\0');
        // SAFETY: the caller's promise.
        unsafe { fill(json.as_bytes(), buffer.cast(), capacity, length, json.len() - 1) }
    })
}

/// Frees a qconfig. NULL and stale handles are ignored; what was prepared with it stays usable.
#[unsafe(no_mangle)]
pub extern "C" fn rsq_qconfig_free(qconfig: *mut rsq_qconfig) {
    guard::value((), || {
        handles::release(qconfig);
        Ok(())
    });
}
