//! Callbacks of long work.
use super::status::RSQ_OK;
use crate::error::{Error, Result};
use crate::pipeline::{Progress, ProgressCallback, Stage};
use std::ffi::c_void;
use std::sync::Arc;

/// A batch is observed; a step is a sample (observers that look twice at a batch count it twice).
pub const RSQ_STAGE_CALIBRATE: i32 = 1;
/// Qparams are solved and the int8 model is made; a step is a set of tensors that share qparams, and at last all layers.
pub const RSQ_STAGE_CONVERT: i32 = 2;
/// Layers are ranked by what they cost; a step is a layer that alone is int8.
pub const RSQ_STAGE_RANK: i32 = 3;
/// Layers to leave in float are looked for; a step is a layer that is ranked, or a model that is measured.
pub const RSQ_STAGE_TUNE: i32 = 4;

/// How far long work is.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsq_progress {
    /// `sizeof(rsq_progress)` of the library: a later version may have more behind what is known here.
    pub struct_size: u32,
    /// What is being done: one of `RSQ_STAGE_`.
    pub stage: i32,
    /// Steps done, never fewer than before within one call.
    pub done: u64,
    /// Steps in all; `done` reaches it in the last report of a call that succeeds.
    pub total: u64,
}

const _: () = assert!(size_of::<rsq_progress>() == 24);

/// Is told how far long work is, on the thread that made the call, and says whether to go on: 0, or any other number to stop. The call
/// then returns `RSQ_CANCELLED` and has changed nothing. `progress` is valid until the callback returns. It must not throw, and must
/// not use the object that it is told about (it would be BUSY).
pub type rsq_progress_fn = Option<unsafe extern "C" fn(user_data: *mut c_void, progress: *const rsq_progress) -> i32>;

fn stage_number(stage: Stage) -> i32 {
    match stage {
        Stage::Calibrate => RSQ_STAGE_CALIBRATE,
        Stage::Convert => RSQ_STAGE_CONVERT,
    }
}

/// A caller's callback.
#[derive(Clone, Copy)]
struct CallerProgress {
    function: unsafe extern "C" fn(*mut c_void, *const rsq_progress) -> i32,
    user_data: *mut c_void,
}

// SAFETY: the header says that the callback is called on whatever thread makes the calls.
unsafe impl Send for CallerProgress {}
// SAFETY: likewise; calls at once come from calls of the caller at once.
unsafe impl Sync for CallerProgress {}

impl CallerProgress {
    fn tell(&self, stage: i32, done: u64, total: u64) -> Result<()> {
        let told = rsq_progress { struct_size: size_of::<rsq_progress>() as u32, stage, done, total };
        // SAFETY: the header demands a function that may be called with this data as long as it is set.
        match unsafe { (self.function)(self.user_data, &told) } {
            RSQ_OK => Ok(()),
            _ => Err(Error::Cancelled(format!("the progress callback stopped the work at step {done} of {total}"))),
        }
    }
}

/// The core's form of a caller's callback.
///
/// # Safety
/// Until the result is dropped, `function` may be called with `user_data` on any thread.
pub(super) unsafe fn progress_callback(function: rsq_progress_fn, user_data: *mut c_void) -> Option<Arc<ProgressCallback>> {
    let caller = CallerProgress { function: function?, user_data };
    Some(Arc::new(move |progress: &Progress| caller.tell(stage_number(progress.stage), progress.done, progress.total)))
}

/// As [`progress_callback`], for work that is one call of `stage`; without a function nobody is told.
///
/// # Safety
/// `function` may be called with `user_data` until the result is dropped.
pub(super) unsafe fn step_callback(function: rsq_progress_fn, user_data: *mut c_void, stage: i32) -> impl FnMut(u64, u64) -> Result<()> {
    let caller = function.map(|function| CallerProgress { function, user_data });
    move |done, total| caller.map_or(Ok(()), |caller| caller.tell(stage, done, total))
}
