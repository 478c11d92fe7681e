//! The operator door: a GEMM whose rows are floats that each run quantizes.
use super::context::{context_or_default, rsq_context};
use super::operator::{RSQ_OPERATOR_RESIDUAL, rsq_operator, rsq_operator_tensors, run};
use super::options::{OptionStruct, read};
use super::packed::rsq_packed;
use super::pointers::Out;
use super::qconfig::named_choice;
use super::status::{Failure, Outcome, rsq_status};
use super::{guard, handles};
use crate::pipeline::{Bounds, DynamicGemmOptions, Operator, OperatorKind};
use crate::quantize::{DynamicQuantization, DynamicRule, Grain};

/// Rows are quantized to 0..127, as torch's dynamic layers do.
pub const RSQ_OPERATOR_REDUCE_RANGE: u32 = 2;

/// What a dynamic GEMM computes besides the sums. Source, residual and output are f32. Zero what is not needed.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsq_dynamic_gemm_options {
    /// `sizeof(rsq_dynamic_gemm_options)`.
    pub struct_size: u32,
    /// 0, or of `RSQ_OPERATOR_RESIDUAL` and `RSQ_OPERATOR_REDUCE_RANGE`.
    pub flags: u32,
    /// `RSQ_GRAIN_PER_ROW` (0: the same): a row gives what it gives alone; or `RSQ_GRAIN_PER_TENSOR`: qparams of the range of all
    /// rows of a run.
    pub grain: i32,
    /// `RSQ_RULE_NATIVE` (0: the same) or `RSQ_RULE_TORCH`.
    pub rule: i32,
    /// Fused activation: 0 for ReLU and ReLU6.
    pub low: f32,
    /// INFINITY for ReLU, 6 for ReLU6; both 0: none.
    pub high: f32,
    /// Floats from one row of the source to the next; 0: side by side.
    pub src_stride: usize,
    /// Floats from one row of the residual to the next; 0: side by side. Rows of the output lie side by side.
    pub residual_stride: usize,
}

// SAFETY: repr(C), size first, integers and floats, none larger than the alignment.
unsafe impl OptionStruct for rsq_dynamic_gemm_options {}
const _: () = assert!(size_of::<rsq_dynamic_gemm_options>() == 24 + 2 * size_of::<usize>());

impl rsq_dynamic_gemm_options {
    fn to_core(self) -> Outcome<DynamicGemmOptions> {
        let known = RSQ_OPERATOR_RESIDUAL | RSQ_OPERATOR_REDUCE_RANGE;
        if self.flags & !known != 0 {
            return Err(Failure::invalid(format!("rsq_dynamic_gemm_options.flags is {:#x}; this version knows {known:#x}", self.flags)));
        }
        let grains = [Grain::PerSample, Grain::PerRow, Grain::PerTensor];
        let grain = named_choice(self.grain, "rsq_dynamic_gemm_options.grain", &grains)?.unwrap_or(Grain::PerRow);
        let rules = [DynamicRule::Native, DynamicRule::Torch];
        let rule = named_choice(self.rule, "rsq_dynamic_gemm_options.rule", &rules)?.unwrap_or_default();
        let reduce_range = self.flags & RSQ_OPERATOR_REDUCE_RANGE != 0;
        Ok(DynamicGemmOptions {
            quantization: DynamicQuantization { grain, rule, reduce_range },
            residual: self.flags & RSQ_OPERATOR_RESIDUAL != 0,
            bounds: if self.low == 0.0 && self.high == 0.0 { Bounds::NONE } else { Bounds { low: self.low, high: self.high } },
            strides: [self.src_stride, self.residual_stride],
        })
    }
}

/// Plans a GEMM of floats, `dst[m, n] = src[m, k] * weights[n, k]^T + bias[n]` for any `m`, whose rows each run quantizes to u8 by
/// their own range (or by that of all of them): u8 times s8, exact sums, then floats. No calibration is needed. The bits are those
/// of a model's dynamic linear layer. `context` may be NULL. The caller frees `*out` by `rsq_operator_free`; `rsq_operator_get_info`
/// tells its sizes and scratch.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BAD_STRUCT_SIZE`, `INVALID_ARGUMENT` (flags, grain per sample, bounds, strides,
/// weights of a convolution), `OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_gemm_f32s8_new(
    context: *const rsq_context,
    packed: *const rsq_packed,
    options: *const rsq_dynamic_gemm_options,
    out: *mut *mut rsq_operator,
) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promises.
        let (out, options) = unsafe { (Out::new(out, "out")?, read(options, "rsq_dynamic_gemm_options")?) };
        let options = options.ok_or_else(|| Failure::null("options"))?;
        let (context, packed) = (context_or_default(context)?, handles::get(packed)?);
        out.write(handles::make(Operator::dynamic_gemm(&context, &packed, options.to_core()?)?)?);
        Ok(())
    })
}

/// Runs a GEMM of `rsq_gemm_f32s8_new` on `rows` rows of floats. Allocates nothing. With scratch of its own for each call, any
/// number of threads may run one operator at once. The bits do not depend on instruction set, threads or (per row) other rows.
///
/// Statuses: as `rsq_gemm_u8s8`, and `NOT_FINITE` naming row and element of the source; the output is then as it was.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_gemm_f32s8(op: *const rsq_operator, rows: usize, tensors: *const rsq_operator_tensors) -> rsq_status {
    // SAFETY: the caller's promise.
    guard::call(|| unsafe { run(op, OperatorKind::DynamicGemm, rows, tensors) })
}
