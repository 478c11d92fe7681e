//! Packed weights of the operator door.
use super::context::{context_or_default, rsq_context};
use super::options::{OptionStruct, read};
use super::pointers::{Out, array, fill};
use super::qconfig::{SCHEMES, named_choice};
use super::status::{Failure, Outcome, rsq_status};
use super::tensors::{RSQ_DTYPE_F32, RSQ_DTYPE_S8};
use super::{guard, handles};
use crate::memory;
use crate::pipeline::{PackedWeights, WeightSizes, WeightValues};
use crate::quantize::{Scheme, WeightQConfig};
use std::ffi::c_void;

/// Shared. Weights and bias of a convolution or GEMM in the layout that kernels read, for any number of operators.
pub struct rsq_packed {
    _private: [u8; 0],
}

impl handles::Handle for rsq_packed {
    type Object = PackedWeights;
    const TAG: usize = 7;
    const NAME: &'static str = "packed weights";
}

/// f32 weights get one scale for all output channels, instead of one each.
pub const RSQ_WEIGHTS_PER_TENSOR: u32 = 1;
/// f32 weights are quantized to -64..63.
pub const RSQ_WEIGHTS_REDUCE_RANGE: u32 = 2;
/// Weights of a GEMM lie as `[k, n]`, that is `[in_channels, out_channels]`.
pub const RSQ_WEIGHTS_TRANSPOSED: u32 = 4;

/// Weights of a convolution, `[out_channels, in_channels / groups, kernel_height, kernel_width]`, or of a GEMM, `[n, k]`. All is
/// copied.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsq_weights {
    /// `sizeof(rsq_weights)`.
    pub struct_size: u32,
    /// `RSQ_DTYPE_S8` with `scales`, or `RSQ_DTYPE_F32`, quantized here: symmetric, by the range of each output channel.
    pub dtype: i32,
    /// For f32: `RSQ_SCHEME_SYMMETRIC` (0: the same) or `RSQ_SCHEME_RESTRICTED_SYMMETRIC`.
    pub scheme: i32,
    /// 0, or of `RSQ_WEIGHTS_`.
    pub flags: u32,
    /// The values, dense.
    pub data: *const c_void,
    /// Bytes readable at `data`: as many as the sizes need.
    pub size_bytes: usize,
    /// Output channels of all groups; `n` of a GEMM.
    pub out_channels: usize,
    /// Input channels of all groups; `k` of a GEMM.
    pub in_channels: usize,
    /// Groups; 0: 1. As many as channels for a depthwise convolution.
    pub groups: usize,
    /// Rows of the kernel; 0: 1.
    pub kernel_height: usize,
    /// Columns of the kernel; 0: 1.
    pub kernel_width: usize,
    /// For s8: real weight = value * scale.
    pub scales: *const f32,
    /// Number of `scales`: `out_channels`, or 1 for all of them; 0 for f32.
    pub scale_count: usize,
    /// `out_channels` floats in real units, or NULL: zeros.
    pub bias: *const f32,
}

// SAFETY: repr(C), size first, integers and pointers, none larger than the alignment.
unsafe impl OptionStruct for rsq_weights {}
const _: () = assert!(size_of::<rsq_weights>() == 16 + 10 * size_of::<usize>());

/// `[k, n]` values as `[n, k]`; what is not `k * n` values for some `k` is left to the check of their number.
fn transposed<T: Copy>(values: &[T], n: usize) -> Outcome<Vec<T>> {
    let k = values.len() / n.max(1);
    if k * n != values.len() {
        return Ok(memory::copied(values, "weights")?);
    }
    let mut turned = memory::reserved(values.len(), "turned weights")?;
    turned.extend((0..values.len()).map(|index| values[index % k * n + index / k]));
    Ok(turned)
}

impl rsq_weights {
    fn sizes(&self) -> WeightSizes {
        let kernel = [self.kernel_height.max(1), self.kernel_width.max(1)];
        WeightSizes { out_channels: self.out_channels, in_channels: self.in_channels, groups: self.groups.max(1), kernel }
    }

    fn config(&self) -> Outcome<WeightQConfig> {
        let scheme = named_choice(self.scheme, "rsq_weights.scheme", &SCHEMES)?.unwrap_or(Scheme::Symmetric);
        let on = |flag: u32| self.flags & flag != 0;
        Ok(WeightQConfig { per_channel: !on(RSQ_WEIGHTS_PER_TENSOR), scheme, reduce_range: on(RSQ_WEIGHTS_REDUCE_RANGE) })
    }

    /// # Safety
    /// The pointers are NULL or point to as many elements as the fields say.
    unsafe fn pack(&self) -> Outcome<PackedWeights> {
        let known = RSQ_WEIGHTS_PER_TENSOR | RSQ_WEIGHTS_REDUCE_RANGE | RSQ_WEIGHTS_TRANSPOSED;
        if self.flags & !known != 0 {
            return Err(Failure::invalid(format!("rsq_weights.flags is {:#x}; this version knows {known:#x}", self.flags)));
        }
        let (sizes, config) = (self.sizes(), self.config()?);
        let transpose = self.flags & RSQ_WEIGHTS_TRANSPOSED != 0;
        if transpose && (sizes.groups != 1 || sizes.kernel != [1, 1]) {
            return Err(Failure::invalid("RSQ_WEIGHTS_TRANSPOSED is for a GEMM"));
        }
        // SAFETY: the caller's promise.
        let bias = unsafe { array(self.bias, if self.bias.is_null() { 0 } else { self.out_channels }, "rsq_weights.bias") }?;
        let bias = (!self.bias.is_null()).then_some(bias);
        let n = sizes.out_channels;
        match self.dtype {
            RSQ_DTYPE_S8 => {
                // SAFETY: the caller's promises.
                let (values, scales) = unsafe {
                    (
                        array(self.data.cast::<i8>(), self.size_bytes, "rsq_weights.data")?,
                        array(self.scales, self.scale_count, "rsq_weights.scales")?,
                    )
                };
                let turned = if transpose { transposed(values, n)? } else { Vec::new() };
                Ok(PackedWeights::new(sizes, WeightValues::S8(if transpose { &turned } else { values }, scales), bias)?)
            }
            RSQ_DTYPE_F32 if self.scale_count == 0 => {
                // SAFETY: the caller's promise.
                let values = unsafe { array(self.data.cast::<f32>(), self.size_bytes / size_of::<f32>(), "rsq_weights.data") }?;
                let turned = if transpose { transposed(values, n)? } else { Vec::new() };
                Ok(PackedWeights::new(sizes, WeightValues::F32(if transpose { &turned } else { values }, config), bias)?)
            }
            RSQ_DTYPE_F32 => Err(Failure::invalid("rsq_weights.scales are for s8 weights")),
            other => Err(Failure::invalid(format!("rsq_weights.dtype is {other}; s8 and f32 are known"))),
        }
    }
}

/// Packs the weights of a convolution or GEMM. `context` may be NULL. The caller frees `*out`.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BAD_STRUCT_SIZE`, `INVALID_ARGUMENT` (sizes of no layer, scales not above zero,
/// flags), `SHAPE_MISMATCH` (another number of values, scales or biases), `NOT_FINITE` (naming the index), `UNSUPPORTED` (more than
/// 65793 products in a sum), `OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_pack_weights(
    context: *const rsq_context,
    weights: *const rsq_weights,
    out: *mut *mut rsq_packed,
) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promises.
        let (out, weights) = unsafe { (Out::new(out, "out")?, read(weights, "rsq_weights")?) };
        let weights = weights.ok_or_else(|| Failure::null("weights"))?;
        context_or_default(context)?;
        // SAFETY: the caller's promise.
        out.write(handles::make(unsafe { weights.pack() }?)?);
        Ok(())
    })
}

/// The scale of each output channel: first call with `buffer` NULL, which tells the number, then with room for that many floats.
///
/// Statuses: `NULL_ARGUMENT` (`out_count`), `INVALID_HANDLE`, `INVALID_ARGUMENT` (the buffer is too small).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_packed_scales(
    packed: *const rsq_packed,
    buffer: *mut f32,
    capacity: usize,
    out_count: *mut usize,
) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promise.
        let count = unsafe { Out::new(out_count, "out_count") }?;
        let packed = handles::get(packed)?;
        let bytes = bytemuck::cast_slice(packed.scales());
        let capacity = capacity.saturating_mul(size_of::<f32>());
        // SAFETY: the caller's promise.
        unsafe { fill(bytes, buffer.cast(), capacity, count, packed.scales().len()) }
    })
}

/// Frees packed weights. NULL and stale handles are ignored; operators made of them stay usable.
#[unsafe(no_mangle)]
pub extern "C" fn rsq_packed_free(packed: *mut rsq_packed) {
    guard::value((), || {
        handles::release(packed);
        Ok(())
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transposed_matrix_has_its_rows_as_columns() {
        assert_eq!(transposed(&[1, 2, 3, 4, 5, 6], 2).unwrap(), [1, 3, 5, 2, 4, 6]);
        assert_eq!(transposed(&[1, 2], 3).unwrap(), [1, 2], "what is refused later");
    }
}
