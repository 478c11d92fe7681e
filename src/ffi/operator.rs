//! The operator door: int8 convolutions and GEMMs on a caller's memory.
use super::context::{context_or_default, rsq_context};
use super::info::{RSQ_SHORT_NAME_BYTES, text_array};
use super::options::{InfoOut, InfoStruct, OptionStruct, read};
use super::packed::rsq_packed;
use super::pointers::{Out, array};
use super::status::{Failure, Outcome, rsq_status};
use super::tensors::{RSQ_DTYPE_F32, RSQ_DTYPE_U8};
use super::{guard, handles};
use crate::pipeline::{Bounds, ConvSizes, Operator, OperatorKind, OperatorOptions, OperatorOutput, OperatorTensors, QuantizedType};
use crate::quantize::QParams;
use std::ffi::{c_char, c_void};

/// Shared. A convolution or GEMM planned for its sizes: run it any number of times, nothing is allocated any more.
pub struct rsq_operator {
    _private: [u8; 0],
}

impl handles::Handle for rsq_operator {
    type Object = Operator;
    const TAG: usize = 8;
    const NAME: &'static str = "operator";
}

/// Adds a tensor of the output's shape and element type, before the bounds.
pub const RSQ_OPERATOR_RESIDUAL: u32 = 1;

/// What an operator computes besides the sums. Activations are u8: real = (byte - zero_point) * scale. Zero what is not needed.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsq_operator_options {
    /// `sizeof(rsq_operator_options)`.
    pub struct_size: u32,
    /// 0, or `RSQ_OPERATOR_RESIDUAL`.
    pub flags: u32,
    /// `RSQ_DTYPE_U8` or `RSQ_DTYPE_F32`.
    pub output_dtype: i32,
    /// Of the source, 0..255.
    pub input_zero_point: i32,
    /// Of the source, above zero.
    pub input_scale: f32,
    /// Of a u8 output, 0..255.
    pub output_zero_point: i32,
    /// Of a u8 output, above zero.
    pub output_scale: f32,
    /// Of a u8 residual, 0..255.
    pub residual_zero_point: i32,
    /// Of a u8 residual, above zero.
    pub residual_scale: f32,
    /// Smallest byte of a u8 output.
    pub output_min: i32,
    /// Largest byte of a u8 output; both 0: 0..255.
    pub output_max: i32,
    /// Fused activation in real units: 0 for ReLU and ReLU6.
    pub low: f32,
    /// INFINITY for ReLU, 6 for ReLU6; both 0: none.
    pub high: f32,
    /// 0.
    pub reserved: u32,
    /// Bytes from one pixel (of a GEMM: row) of the source to the next; 0: side by side.
    pub src_stride: usize,
    /// Elements from one pixel or row of the destination to the next; 0: side by side. What lies between is not written.
    pub dst_stride: usize,
    /// Elements from one pixel or row of the residual to the next; 0: side by side.
    pub residual_stride: usize,
}

// SAFETY: repr(C), size first, integers and floats, none larger than the alignment.
unsafe impl OptionStruct for rsq_operator_options {}
const _: () = assert!(size_of::<rsq_operator_options>() == 56 + 3 * size_of::<usize>());

/// Sizes of a convolution. Images lie as n, h, w, c (channels last), rows of pixels one after another.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsq_conv2d_sizes {
    /// `sizeof(rsq_conv2d_sizes)`.
    pub struct_size: u32,
    /// 0.
    pub flags: u32,
    /// Rows of the input.
    pub height: usize,
    /// Columns of the input.
    pub width: usize,
    /// Input rows between neighbouring outputs; 0: 1.
    pub stride_height: usize,
    /// Input columns between neighbouring outputs; 0: 1.
    pub stride_width: usize,
    /// Input rows between neighbouring taps; 0: 1.
    pub dilation_height: usize,
    /// Input columns between neighbouring taps; 0: 1.
    pub dilation_width: usize,
    /// Rows of padding above; padding stands for 0.0.
    pub pad_top: usize,
    /// Columns of padding to the left.
    pub pad_left: usize,
    /// Rows of padding below.
    pub pad_bottom: usize,
    /// Columns of padding to the right.
    pub pad_right: usize,
}

// SAFETY: repr(C), size first, integers, none larger than the alignment.
unsafe impl OptionStruct for rsq_conv2d_sizes {}
const _: () = assert!(size_of::<rsq_conv2d_sizes>() == 8 + 10 * size_of::<usize>());

/// The memory of one run, borrowed for the call. Sizes are those of the whole batch; nothing past them is read or written.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsq_operator_tensors {
    /// `sizeof(rsq_operator_tensors)`.
    pub struct_size: u32,
    /// 0.
    pub flags: u32,
    /// u8: `[n, h, w, c]`, or `[m, k]`; f32 for `rsq_gemm_f32s8`.
    pub src: *const c_void,
    /// Bytes readable at `src`.
    pub src_bytes: usize,
    /// The residual, of the output's shape and type; NULL without `RSQ_OPERATOR_RESIDUAL`.
    pub residual: *const c_void,
    /// Bytes readable at `residual`.
    pub residual_bytes: usize,
    /// The output: `[n, oh, ow, oc]`, or `[m, n]`. Must not overlap the others.
    pub dst: *mut c_void,
    /// Bytes writable at `dst`.
    pub dst_bytes: usize,
    /// At least `rsq_operator_info.scratch_bytes`, at any address, for this call alone; NULL: the operator's own.
    pub scratch: *mut c_void,
    /// Bytes at `scratch`.
    pub scratch_bytes: usize,
}

// SAFETY: repr(C), size first, integers and pointers, none larger than the alignment.
unsafe impl OptionStruct for rsq_operator_tensors {}
const _: () = assert!(size_of::<rsq_operator_tensors>() == 8 + 8 * size_of::<usize>());

/// Sizes of an operator's tensors. Set `struct_size` before the call. A batch of `n` needs `(n - 1) * sample_bytes + bytes`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsq_operator_info {
    /// `sizeof(rsq_operator_info)`, set by the caller.
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// Rows of the output; 1 of a GEMM.
    pub output_height: u64,
    /// Columns of the output; 1 of a GEMM.
    pub output_width: u64,
    /// Bytes of one source image or row.
    pub src_bytes: u64,
    /// Bytes of one output image or row.
    pub dst_bytes: u64,
    /// Bytes of one residual image or row; 0 without one.
    pub residual_bytes: u64,
    /// Bytes from one source image or row to the next.
    pub src_sample_bytes: u64,
    /// Bytes from one output image or row to the next.
    pub dst_sample_bytes: u64,
    /// Bytes from one residual image or row to the next.
    pub residual_sample_bytes: u64,
    /// Bytes that a run's scratch needs, whatever the batch.
    pub scratch_bytes: u64,
    /// The kernel that runs it.
    pub kernel: [c_char; RSQ_SHORT_NAME_BYTES],
}

// SAFETY: repr(C), integers alone, no padding (asserted below), size first.
unsafe impl InfoStruct for rsq_operator_info {
    const FIRST_SIZE: usize = 144;
}
const _: () = assert!(size_of::<rsq_operator_info>() == 144);

impl rsq_operator_options {
    fn to_core(self) -> Outcome<OperatorOptions> {
        if self.flags & !RSQ_OPERATOR_RESIDUAL != 0 || self.reserved != 0 {
            return Err(Failure::invalid(format!("rsq_operator_options.flags is {:#x}; this version knows 1", self.flags)));
        }
        let bytes = |value: i32| {
            u8::try_from(value).map_err(|_| Failure::invalid(format!("rsq_operator_options: output byte {value} is outside 0..255")))
        };
        let output = match self.output_dtype {
            RSQ_DTYPE_U8 => {
                let qparams = QParams { scale: self.output_scale, zero_point: self.output_zero_point };
                let (low, high) = if (self.output_min, self.output_max) == (0, 0) { (0, 255) } else { (self.output_min, self.output_max) };
                OperatorOutput::U8(QuantizedType { qparams, low: bytes(low)?, high: bytes(high)? })
            }
            RSQ_DTYPE_F32 => OperatorOutput::F32,
            other => return Err(Failure::invalid(format!("rsq_operator_options.output_dtype is {other}; u8 and f32 are known"))),
        };
        let residual = QParams { scale: self.residual_scale, zero_point: self.residual_zero_point };
        Ok(OperatorOptions {
            input: QParams { scale: self.input_scale, zero_point: self.input_zero_point },
            output,
            residual: (self.flags & RSQ_OPERATOR_RESIDUAL != 0).then_some(residual),
            bounds: if self.low == 0.0 && self.high == 0.0 { Bounds::NONE } else { Bounds { low: self.low, high: self.high } },
            strides: [self.src_stride, self.dst_stride, self.residual_stride],
        })
    }
}

impl rsq_conv2d_sizes {
    fn to_core(self) -> Outcome<ConvSizes> {
        if self.flags != 0 {
            return Err(Failure::invalid(format!("rsq_conv2d_sizes.flags is {:#x}; this version knows none", self.flags)));
        }
        Ok(ConvSizes {
            input: [self.height, self.width],
            strides: [self.stride_height.max(1), self.stride_width.max(1)],
            dilations: [self.dilation_height.max(1), self.dilation_width.max(1)],
            padding: [self.pad_top, self.pad_left, self.pad_bottom, self.pad_right],
        })
    }
}

/// Plans a GEMM, `dst[m, n] = src[m, k] * weights[n, k]^T + bias[n]` for any `m`: u8 times s8, exact sums, then the epilogue.
/// `context` may be NULL. The caller frees `*out`.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BAD_STRUCT_SIZE`, `INVALID_ARGUMENT` (qparams, bounds, strides, weights of a
/// convolution), `NOT_FINITE` (a multiplier or bias over the output's scale), `OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_gemm_u8s8_new(
    context: *const rsq_context,
    packed: *const rsq_packed,
    options: *const rsq_operator_options,
    out: *mut *mut rsq_operator,
) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promises.
        let (out, options) = unsafe { (Out::new(out, "out")?, read(options, "rsq_operator_options")?) };
        let options = options.ok_or_else(|| Failure::null("options"))?;
        let (context, packed) = (context_or_default(context)?, handles::get(packed)?);
        out.write(handles::make(Operator::gemm(&context, &packed, options.to_core()?)?)?);
        Ok(())
    })
}

/// Plans a 2-D convolution for images of one size and any batch: u8 times s8, exact sums, then the epilogue. `context` may be
/// NULL. The caller frees `*out`.
///
/// Statuses: as `rsq_gemm_u8s8_new`, and `SHAPE_MISMATCH` (a kernel that does not fit the padded image).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_conv2d_u8s8_new(
    context: *const rsq_context,
    packed: *const rsq_packed,
    options: *const rsq_operator_options,
    sizes: *const rsq_conv2d_sizes,
    out: *mut *mut rsq_operator,
) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promises.
        let (out, options, sizes) =
            unsafe { (Out::new(out, "out")?, read(options, "rsq_operator_options")?, read(sizes, "rsq_conv2d_sizes")?) };
        let (Some(options), Some(sizes)) = (options, sizes) else {
            return Err(Failure::null(if options.is_none() { "options" } else { "sizes" }));
        };
        let (context, packed) = (context_or_default(context)?, handles::get(packed)?);
        out.write(handles::make(Operator::conv2d(&context, &packed, options.to_core()?, sizes.to_core()?)?)?);
        Ok(())
    })
}

/// Sizes, scratch and kernel of an operator. Set `out->struct_size` before.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BAD_STRUCT_SIZE`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_operator_get_info(op: *const rsq_operator, out: *mut rsq_operator_info) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { InfoOut::new(out, "rsq_operator_info") }?;
        let info = handles::get(op)?.info();
        let [src_bytes, dst_bytes, residual_bytes] = info.span_bytes.map(|bytes| bytes as u64);
        let [src_sample_bytes, dst_sample_bytes, residual_sample_bytes] = info.sample_bytes.map(|bytes| bytes as u64);
        out.write(&rsq_operator_info {
            struct_size: 0,
            reserved: 0,
            output_height: info.output[0] as u64,
            output_width: info.output[1] as u64,
            src_bytes,
            dst_bytes,
            residual_bytes,
            src_sample_bytes,
            dst_sample_bytes,
            residual_sample_bytes,
            scratch_bytes: info.scratch_bytes as u64,
            kernel: text_array(info.kernel),
        });
        Ok(())
    })
}

/// A caller's bytes, if they are aligned for their elements; no more of them than `span`.
///
/// # Safety
/// `data` is NULL or points to `bytes` bytes that nobody writes meanwhile.
unsafe fn source<'a>(data: *const c_void, bytes: usize, span: usize, alignment: usize, name: &str) -> Outcome<&'a [u8]> {
    if bytes > 0 && data.addr() % alignment != 0 {
        return Err(Failure::invalid(format!("{name} is not aligned to {alignment} bytes")));
    }
    // SAFETY: the caller's promise.
    unsafe { array(data.cast::<u8>(), bytes.min(span), name) }
}

/// Runs `samples` images or rows of an operator of that kind.
///
/// # Safety
/// `tensors` is NULL or points to as many bytes as its first word says; its pointers are NULL or as the header says.
pub(super) unsafe fn run(op: *const rsq_operator, kind: OperatorKind, samples: usize, tensors: *const rsq_operator_tensors) -> Outcome {
    // SAFETY: the caller's promise.
    let tensors = unsafe { read(tensors, "rsq_operator_tensors") }?.ok_or_else(|| Failure::null("tensors"))?;
    let op = handles::get(op)?;
    if op.kind() != kind || tensors.flags != 0 {
        let message = if tensors.flags != 0 { "rsq_operator_tensors.flags is not 0" } else { "the operator is of the other kind" };
        return Err(Failure::invalid(message));
    }
    let too_many = || Failure::invalid(format!("{samples} samples are more than memory holds"));
    let [src_span, dst_span, residual_span] = op.spans(samples).ok_or_else(too_many)?;
    let alignment = op.element_bytes();
    // What is used of each tensor must be apart from what is written; scratch as a whole.
    let used = |bytes: usize, span: usize| bytes.min(span);
    let dst = (tensors.dst.addr(), used(tensors.dst_bytes, dst_span), "dst");
    let scratch = (tensors.scratch.addr(), if tensors.scratch.is_null() { 0 } else { tensors.scratch_bytes }, "scratch");
    let src = (tensors.src.addr(), used(tensors.src_bytes, src_span), "src");
    let residual = (tensors.residual.addr(), used(tensors.residual_bytes, residual_span), "residual");
    for (a, b) in [(dst, src), (dst, residual), (dst, scratch), (scratch, src), (scratch, residual)] {
        if a.1 > 0 && b.1 > 0 && a.0 < b.0.saturating_add(b.1) && b.0 < a.0.saturating_add(a.1) {
            return Err(Failure::invalid(format!("{} overlaps {}", a.2, b.2)));
        }
    }
    // SAFETY: the caller's promises; what is written overlaps nothing.
    unsafe {
        let src = source(tensors.src, tensors.src_bytes, src_span, op.src_element_bytes(), "src")?;
        let residual = match tensors.residual.is_null() {
            true => None,
            false => Some(source(tensors.residual, tensors.residual_bytes, residual_span, alignment, "residual")?),
        };
        let dst = source(tensors.dst.cast_const(), tensors.dst_bytes, dst_span, alignment, "dst")?;
        let dst =
            std::slice::from_raw_parts_mut(if dst.is_empty() { std::ptr::dangling_mut() } else { tensors.dst.cast::<u8>() }, dst.len());
        let scratch = match tensors.scratch.is_null() {
            true => None,
            false => Some(std::slice::from_raw_parts_mut(tensors.scratch.cast::<u8>(), scratch.1.min(isize::MAX as usize))),
        };
        Ok(op.run(samples, OperatorTensors { src, residual, dst }, scratch)?)
    }
}

/// Runs a GEMM on `rows` rows. Allocates nothing. With scratch of its own for each call, any number of threads may run one
/// operator at once. The bits are those of a model, on every instruction set and number of threads.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BAD_STRUCT_SIZE`, `INVALID_ARGUMENT` (an operator of another kind, tensors that
/// overlap or are misaligned, scratch that is too small, a residual that is missing or not wanted), `SHAPE_MISMATCH` (a tensor that
/// is too small), `BUSY` (without scratch: another call uses the operator's own), `CALLBACK`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_gemm_u8s8(op: *const rsq_operator, rows: usize, tensors: *const rsq_operator_tensors) -> rsq_status {
    // SAFETY: the caller's promise.
    guard::call(|| unsafe { run(op, OperatorKind::Gemm, rows, tensors) })
}

/// Runs a convolution on `batch` images. Otherwise, and statuses: as `rsq_gemm_u8s8`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_conv2d_u8s8(op: *const rsq_operator, batch: usize, tensors: *const rsq_operator_tensors) -> rsq_status {
    // SAFETY: the caller's promise.
    guard::call(|| unsafe { run(op, OperatorKind::Conv2d, batch, tensors) })
}

/// Frees an operator. NULL and stale handles are ignored; runs under way on other threads finish first.
#[unsafe(no_mangle)]
pub extern "C" fn rsq_operator_free(op: *mut rsq_operator) {
    guard::value((), || {
        handles::release(op);
        Ok(())
    });
}
