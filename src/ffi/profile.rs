//! What a session's runs cost, step by step.
use super::context::{context_or_default, rsq_context};
use super::graph::at;
use super::options::{InfoOut, InfoStruct};
use super::session::rsq_session;
use super::status::{Outcome, rsq_status};
use super::version::isa_number;
use super::{guard, handles};
use crate::error::Error;
use crate::pipeline::Profile;

/// What runs cost, all steps together. Set `struct_size` before the call.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsq_profile {
    /// `sizeof(rsq_profile)`, set by the caller.
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// Runs.
    pub runs: u64,
    /// Time of the runs as the caller sees it, in nanoseconds.
    pub wall_ns: u64,
    /// Each run's time times its threads, in nanoseconds: what the steps' `thread_ns` add up to, but for waiting.
    pub thread_ns: u64,
}

// SAFETY: repr(C), integers alone, no padding (asserted below), size first.
unsafe impl InfoStruct for rsq_profile {
    const FIRST_SIZE: usize = 32;
}
const _: () = assert!(size_of::<rsq_profile>() == 32);

/// What one operation of the plan cost. Set `struct_size` before the call.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsq_step_profile {
    /// `sizeof(rsq_step_profile)`, set by the caller.
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// Calls: one for each group of samples that a thread computes alone, one for each part where several threads share it.
    pub calls: u64,
    /// Samples computed.
    pub samples: u64,
    /// Time that threads spent in it, added up over threads, in nanoseconds.
    pub thread_ns: u64,
}

// SAFETY: repr(C), integers alone, no padding (asserted below), size first.
unsafe impl InfoStruct for rsq_step_profile {
    const FIRST_SIZE: usize = 32;
}
const _: () = assert!(size_of::<rsq_step_profile>() == 32);

/// What a context's threads can do at most: 10^9 operations a second (2 for each multiply-accumulate) of multiply
/// instructions on registers alone; 0 for portable code. Set `struct_size` before the call.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsq_roof {
    /// `sizeof(rsq_roof)`, set by the caller.
    pub struct_size: u32,
    /// The instruction set, one of `RSQ_ISA_`.
    pub isa: u32,
    /// Threads of the context.
    pub threads: u32,
    /// 0.
    pub reserved: u32,
    /// int8 on one thread.
    pub int8_gops_one_thread: f64,
    /// int8 on all threads at once.
    pub int8_gops: f64,
    /// f32 on one thread.
    pub f32_gops_one_thread: f64,
    /// f32 on all threads at once.
    pub f32_gops: f64,
    /// int8 operations a clock cycle of one thread.
    pub int8_ops_per_cycle: f64,
}

// SAFETY: repr(C), integers and floats alone, no padding (asserted below), size first.
unsafe impl InfoStruct for rsq_roof {
    const FIRST_SIZE: usize = 56;
}
const _: () = assert!(size_of::<rsq_roof>() == 56);

/// Measures what this machine can do at most below the context's cap; NULL stands for the default context. Takes about
/// 0.1 s of all threads. Clocks change with load, so compare speeds with what was measured just before or after.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BAD_STRUCT_SIZE`, `CALLBACK`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_measure_roof(context: *const rsq_context, out: *mut rsq_roof) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { InfoOut::new(out, "rsq_roof") }?;
        let roof = context_or_default(context)?.measure_roof()?;
        out.write(&rsq_roof {
            struct_size: 0,
            isa: isa_number(roof.isa),
            threads: roof.threads as u32,
            reserved: 0,
            int8_gops_one_thread: roof.int8_gops_one_thread,
            int8_gops: roof.int8_gops,
            f32_gops_one_thread: roof.f32_gops_one_thread,
            f32_gops: roof.f32_gops,
            int8_ops_per_cycle: roof.int8_ops_per_cycle,
        });
        Ok(())
    })
}

/// The session's counters.
fn profile_of(session: *const rsq_session) -> Outcome<Profile> {
    let profile = handles::get(session)?.session.read()?.profile();
    Ok(profile.ok_or_else(|| Error::WrongState("the session has no plan yet, or was made without RSQ_SESSION_PROFILE".into()))?)
}

/// What runs of the plan of the last run have cost since it was made or `rsq_session_profile_reset`. The session must have been
/// made with `RSQ_SESSION_PROFILE`.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BAD_STRUCT_SIZE`, `BUSY`, `WRONG_STATE` (not profiled, or no plan yet).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_session_profile(session: *const rsq_session, out: *mut rsq_profile) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { InfoOut::new(out, "rsq_profile") }?;
        let Profile { runs, wall_ns, thread_ns, .. } = profile_of(session)?;
        out.write(&rsq_profile { struct_size: 0, reserved: 0, runs, wall_ns, thread_ns });
        Ok(())
    })
}

/// What operation `index` of the plan (as `rsq_session_step_info` counts them) has cost.
///
/// Statuses: as `rsq_session_profile`, and `NOT_FOUND` (no such index).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_session_step_profile(session: *const rsq_session, index: usize, out: *mut rsq_step_profile) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { InfoOut::new(out, "rsq_step_profile") }?;
        let profile = profile_of(session)?;
        let step = at(&profile.steps, index, "step")?;
        out.write(&rsq_step_profile { struct_size: 0, reserved: 0, calls: step.calls, samples: step.samples, thread_ns: step.thread_ns });
        Ok(())
    })
}

/// Counts from zero again.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BUSY`, `WRONG_STATE` (the session was made without `RSQ_SESSION_PROFILE`).
#[unsafe(no_mangle)]
pub extern "C" fn rsq_session_profile_reset(session: *mut rsq_session) -> rsq_status {
    guard::call(|| Ok(handles::get(session.cast_const())?.session.write()?.reset_profile()?))
}
