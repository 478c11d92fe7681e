//! Callbacks of long work.
use super::status::RSQ_OK;
use crate::error::Error;
use crate::pipeline::{Progress, ProgressCallback, Stage};
use std::ffi::c_void;
use std::sync::Arc;

/// A batch is observed; a step is a sample (observers that look twice at a batch count it twice).
pub const RSQ_STAGE_CALIBRATE: i32 = 1;
/// Qparams are solved and the int8 model is made; a step is a set of tensors that share qparams, and at last all layers.
pub const RSQ_STAGE_CONVERT: i32 = 2;

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
struct CallerProgress {
    function: unsafe extern "C" fn(*mut c_void, *const rsq_progress) -> i32,
    user_data: *mut c_void,
}

// SAFETY: the header says that the callback is called on whatever thread makes the calls.
unsafe impl Send for CallerProgress {}
// SAFETY: likewise; calls at once come from calls of the caller at once.
unsafe impl Sync for CallerProgress {}

impl CallerProgress {
    fn tell(&self, progress: &Progress) -> crate::error::Result<()> {
        let told = rsq_progress {
            struct_size: size_of::<rsq_progress>() as u32,
            stage: stage_number(progress.stage),
            done: progress.done,
            total: progress.total,
        };
        // SAFETY: the header demands a function that may be called with this data as long as it is set.
        match unsafe { (self.function)(self.user_data, &told) } {
            RSQ_OK => Ok(()),
            _ => Err(Error::Cancelled(format!("the progress callback stopped the work at step {} of {}", progress.done, progress.total))),
        }
    }
}

/// The core's form of a caller's callback.
///
/// # Safety
/// Until the result is dropped, `function` may be called with `user_data` on any thread.
pub(super) unsafe fn progress_callback(function: rsq_progress_fn, user_data: *mut c_void) -> Option<Arc<ProgressCallback>> {
    let caller = CallerProgress { function: function?, user_data };
    Some(Arc::new(move |progress: &Progress| caller.tell(progress)))
}
