//! The callback that messages go to.
use super::status::{Failure, Outcome};
use crate::pipeline::{Log, LogLevel};
use std::ffi::{CString, c_char, c_void};
use std::sync::Arc;

/// Something that was asked for is not what there is: threads that were refused, an instruction set that `RSQ_MAX_ISA` caps.
pub const RSQ_LOG_WARNING: u32 = 1;
/// What was decided: a layer that stays float and why, statistics that were resumed, a plan that gave way to another.
pub const RSQ_LOG_INFO: u32 = 2;

/// Is told a message of a level, one of `RSQ_LOG_`, on the thread of the call that it is about, before that call returns; from
/// several threads at once where calls are made at once. `message` is UTF-8 with a NUL at its end, valid until the callback
/// returns. The callback must not throw, and must not use the objects of the call (they would be BUSY). The library itself prints
/// nothing. Runs tell nothing unless they plan anew.
pub type rsq_log_fn = Option<unsafe extern "C" fn(user_data: *mut c_void, level: u32, message: *const c_char)>;

/// A caller's callback.
struct CallerLog {
    function: unsafe extern "C" fn(*mut c_void, u32, *const c_char),
    user_data: *mut c_void,
}

// SAFETY: the header says that the callback is called on whatever thread makes the calls.
unsafe impl Send for CallerLog {}
// SAFETY: likewise; calls at once come from calls of the caller at once.
unsafe impl Sync for CallerLog {}

impl CallerLog {
    fn tell(&self, level: LogLevel, message: &str) {
        let number = match level {
            LogLevel::Warning => RSQ_LOG_WARNING,
            LogLevel::Info => RSQ_LOG_INFO,
        };
        let bytes: Vec<u8> = message.bytes().filter(|&byte| byte != 0).collect();
        let text = CString::new(bytes).unwrap_or_default();
        // SAFETY: the header demands a function that may be called with this data as long as the context or what was made with it
        // lives.
        unsafe { (self.function)(self.user_data, number, text.as_ptr()) }
    }
}

/// The core's form of a caller's callback; `level` 0 stands for all messages.
///
/// # Errors
/// `RSQ_INVALID_ARGUMENT` for a level that is none.
///
/// # Safety
/// Until the result is dropped, `function` may be called with `user_data` on any thread.
pub(super) unsafe fn log_callback(function: rsq_log_fn, user_data: *mut c_void, level: u32) -> Outcome<Option<Log>> {
    let level = match level {
        0 | RSQ_LOG_INFO => LogLevel::Info,
        RSQ_LOG_WARNING => LogLevel::Warning,
        other => return Err(Failure::invalid(format!("log_level {other} is no level; this version knows 1 and 2"))),
    };
    let Some(function) = function else { return Ok(None) };
    let caller = CallerLog { function, user_data };
    Ok(Some(Log { level, callback: Arc::new(move |level, message: &str| caller.tell(level, message)) }))
}
