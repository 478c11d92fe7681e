//! Quantize and dequantize on plain arrays.
use super::context::{context_or_default, rsq_context};
use super::guard;
use super::options::{OptionStruct, read};
use super::pointers::array;
use super::status::{Failure, Outcome, rsq_status};
use super::tensors::{RSQ_DTYPE_S8, RSQ_DTYPE_U8};
use crate::memory;
use crate::pipeline::{FlatQuantization, dequantize_array, quantize_array};
use crate::quantize::QType;
use std::ffi::c_void;

/// How an array is quantized: `q = clamp(zero_point + round_half_even(x * (1.0f / scale)), qmin, qmax)`. Element `i` belongs to
/// channel `i / inner % channels`: `inner` 1 for channels last, h * w for n, c, h, w.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsq_quantization {
    /// `sizeof(rsq_quantization)`.
    pub struct_size: u32,
    /// `RSQ_DTYPE_U8` or `RSQ_DTYPE_S8`; zero points are in its own numbers.
    pub dtype: i32,
    /// Not 0: one bit is left unused, 0..127 or -64..63.
    pub reduce_range: u32,
    /// 0.
    pub reserved: u32,
    /// `channels` scales, each above zero.
    pub scales: *const f32,
    /// `channels` zero points; NULL: zeros.
    pub zero_points: *const i32,
    /// Number of channels; 0: 1.
    pub channels: usize,
    /// Neighbouring elements of one channel; 0: 1. Not used with one channel.
    pub inner: usize,
}

// SAFETY: repr(C), size first, integers and pointers, none larger than the alignment.
unsafe impl OptionStruct for rsq_quantization {}
const _: () = assert!(size_of::<rsq_quantization>() == 16 + 4 * size_of::<usize>());

/// Zeros for a caller that gives no zero points of that many channels.
const NO_ZERO_POINTS: [i32; 1024] = [0; 1024];

/// Reads the caller's description and hands it to `work`.
///
/// # Safety
/// `given` is NULL or points to as many bytes as its first word says; its arrays are as the header says.
unsafe fn with_quantization(
    given: *const rsq_quantization,
    work: impl FnOnce(&FlatQuantization<'_>) -> crate::error::Result<()>,
) -> Outcome {
    // SAFETY: the caller's promise.
    let given = unsafe { read(given, "rsq_quantization") }?.ok_or_else(|| Failure::null("quantization"))?;
    let qtype = match given.dtype {
        RSQ_DTYPE_U8 => QType::U8,
        RSQ_DTYPE_S8 => QType::S8,
        other => return Err(Failure::invalid(format!("rsq_quantization.dtype is {other}; u8 and s8 are known"))),
    };
    let channels = given.channels.max(1);
    // SAFETY: the caller's promise.
    let scales = unsafe { array(given.scales, channels, "scales") }?;
    let many_zeros;
    let zero_points = match (given.zero_points.is_null(), NO_ZERO_POINTS.get(..channels)) {
        // SAFETY: the caller's promise.
        (false, _) => unsafe { array(given.zero_points, channels, "zero_points") }?,
        (true, Some(zeros)) => zeros,
        (true, None) => {
            many_zeros = memory::filled(channels, 0, "zero points")?;
            &many_zeros
        }
    };
    let inner = given.inner.max(1);
    Ok(work(&FlatQuantization { qtype, reduce_range: given.reduce_range != 0, scales, zero_points, inner })?)
}

fn check_apart(a: (usize, usize), b: (usize, usize)) -> Outcome {
    if a.1 > 0 && b.1 > 0 && a.0 < b.0.saturating_add(b.1) && b.0 < a.0.saturating_add(a.1) {
        return Err(Failure::invalid("dst overlaps src"));
    }
    Ok(())
}

/// Quantizes `count` floats to bytes. NaN gives the zero point, the infinities the ends. `context` may be NULL. Allocates nothing
/// with up to 1024 channels or with zero points.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BAD_STRUCT_SIZE`, `INVALID_ARGUMENT` (a scale that is not above zero, a zero point
/// outside the range, overlap), `SHAPE_MISMATCH` (a count that the channels do not divide, a `dst` that is too small).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_quantize(
    context: *const rsq_context,
    quantization: *const rsq_quantization,
    src: *const f32,
    count: usize,
    dst: *mut c_void,
    dst_bytes: usize,
) -> rsq_status {
    guard::call(|| {
        let context = context_or_default(context)?;
        // SAFETY: the caller's promises.
        unsafe {
            let values = array(src, count, "src")?;
            let bytes = array(dst.cast_const().cast::<u8>(), dst_bytes, "dst")?.len();
            check_apart((src.addr(), size_of_val(values)), (dst.addr(), bytes))?;
            with_quantization(quantization, |quantization| {
                let dst = if bytes == 0 { &mut [] } else { std::slice::from_raw_parts_mut(dst.cast::<u8>(), bytes) };
                quantize_array(&context, quantization, values, dst)
            })
        }
    })
}

/// Floats of `count` integers: `(q - zero_point) * scale`. `context` may be NULL. Allocates nothing, as `rsq_quantize`.
///
/// Statuses: as `rsq_quantize`; `SHAPE_MISMATCH` also for a `src` that is too small.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_dequantize(
    context: *const rsq_context,
    quantization: *const rsq_quantization,
    src: *const c_void,
    src_bytes: usize,
    dst: *mut f32,
    count: usize,
) -> rsq_status {
    guard::call(|| {
        let context = context_or_default(context)?;
        // SAFETY: the caller's promises.
        unsafe {
            let bytes = array(src.cast::<u8>(), src_bytes, "src")?;
            let len = array(dst.cast_const(), count, "dst")?.len();
            check_apart((src.addr(), bytes.len()), (dst.addr(), len * size_of::<f32>()))?;
            with_quantization(quantization, |quantization| {
                let dst = if len == 0 { &mut [] } else { std::slice::from_raw_parts_mut(dst, len) };
                dequantize_array(&context, quantization, bytes, dst)
            })
        }
    })
}
