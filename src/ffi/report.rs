//! Reports.
use super::compare::rsq_comparison;
use super::model::rsq_model;
use super::pointers::{Out, fill, path};
use super::prepared::rsq_prepared;
use super::sensitivity::rsq_sensitivity;
use super::status::{Outcome, rsq_status};
use super::{guard, handles};
use crate::report::Report;
use std::ffi::c_char;

/// JSON: every figure, for programs.
pub const RSQ_REPORT_JSON: i32 = 1;
/// One HTML page without scripts that needs nothing else, for people.
pub const RSQ_REPORT_HTML: i32 = 2;

/// The report's text.
fn report_text(
    prepared: *const rsq_prepared,
    model: *const rsq_model,
    comparison: *const rsq_comparison,
    sensitivity: *const rsq_sensitivity,
    format: i32,
) -> Outcome<String> {
    let (prepared, model) = (handles::get(prepared)?, handles::get(model)?);
    let comparison = if comparison.is_null() { None } else { Some(handles::get(comparison)?) };
    let sensitivity = if sensitivity.is_null() { None } else { Some(handles::get(sensitivity)?) };
    let comparison = comparison.as_ref().map(|object| object.comparison.read()).transpose()?;
    let report = Report::new(&*prepared.read()?, &model, comparison.as_deref(), sensitivity.as_deref())?;
    match format {
        RSQ_REPORT_JSON => Ok(report.to_json()?),
        RSQ_REPORT_HTML => Ok(report.to_html()),
        other => Err(super::status::Failure::invalid(format!("format is {other}; RSQ_REPORT_JSON and RSQ_REPORT_HTML are known"))),
    }
}

/// Writes the report of a quantization to memory, UTF-8: the layers with what they cost and why some are float, the tensors with
/// their distributions and the ranges chosen. `model` was converted from `prepared`; `comparison` and `sensitivity` may be NULL, and
/// what they would tell is left out then. `format` is one of `RSQ_REPORT_`. First call with `buffer` NULL, which tells the length
/// without the NUL, then with a buffer of `capacity` bytes, at least one more than that.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BUSY`, `INVALID_ARGUMENT` (the format; the buffer is too small),
/// `NOT_CALIBRATED`, `MISMATCH` (comparison or sensitivity are of another model), `OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_report_to_buffer(
    prepared: *const rsq_prepared,
    model: *const rsq_model,
    comparison: *const rsq_comparison,
    sensitivity: *const rsq_sensitivity,
    format: i32,
    buffer: *mut c_char,
    capacity: usize,
    out_length: *mut usize,
) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promise.
        let length = unsafe { Out::new(out_length, "out_length") }?;
        let mut text = report_text(prepared, model, comparison, sensitivity, format)?;
        text.push('\0');
        // SAFETY: the caller's promise.
        unsafe { fill(text.as_bytes(), buffer.cast(), capacity, length, text.len() - 1) }
    })
}

/// Writes the same to a file, which is replaced at once or stays as it was.
///
/// Statuses: as `rsq_report_to_buffer`, and `IO`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_report_save(
    prepared: *const rsq_prepared,
    model: *const rsq_model,
    comparison: *const rsq_comparison,
    sensitivity: *const rsq_sensitivity,
    format: i32,
    utf8_path: *const c_char,
) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promise.
        let path = unsafe { path(utf8_path) }?;
        Ok(crate::report::save(&report_text(prepared, model, comparison, sensitivity, format)?, &path)?)
    })
}
