//! Contexts: threads and the cap on the instruction set.
use super::log::{log_callback, rsq_log_fn};
use super::options::{OptionStruct, read};
use super::pointers::Out;
use super::status::{Failure, Outcome, rsq_status};
use super::version::isa_from_number;
use super::{guard, handles};
use crate::pipeline::{Context, ContextOptions};
use crate::threads::ParallelFor;
use std::ffi::c_void;
use std::sync::{Arc, OnceLock};

/// Shared. Who computes, and on which instruction set. NULL stands for the default one: as many threads as the process
/// may use, the best instruction set. Objects keep the context they were made with.
pub struct rsq_context {
    _private: [u8; 0],
}

impl handles::Handle for rsq_context {
    type Object = Context;
    const TAG: usize = 1;
    const NAME: &'static str = "context";
}

/// One task of a parallel loop: does task `index`. It does not throw.
pub type rsq_task_fn = Option<unsafe extern "C" fn(task_data: *mut c_void, index: usize)>;

/// A caller's parallel loop: calls `task(task_data, i)` once for each `i` in `0..count`, and returns when all calls have
/// returned; no call may come later. It is called from any thread that runs a session, from several at once, and must not throw.
///
/// Tasks may run on any threads, at the same time, or one after another, in any order, on fewer threads than there are tasks: the
/// results are the same. A run is one loop, whose tasks do the steps of the network together: the first to come starts, those that come
/// later help, and a task waits (for a short time awake, then asleep) for nothing but work that another task has begun and not
/// finished. So a task that has begun must be let go on: a pool must not hold back the thread of one until another task returns. The
/// library never calls the pool from inside a task. A task that is called twice, or not at all, changes no result.
pub type rsq_parallel_for_fn = Option<unsafe extern "C" fn(pool: *mut c_void, count: usize, task: rsq_task_fn, task_data: *mut c_void)>;

/// What a context is made with. All zero but `struct_size`: the default.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsq_context_options {
    /// `sizeof(rsq_context_options)`.
    pub struct_size: u32,
    /// The best instruction set to use, one of `RSQ_ISA_`; 0: the best there is. A cap above the CPU's best is no error.
    pub max_isa: u32,
    /// Threads of the context's own team, 1: the calling thread alone; 0: as many as the process may use. Not used
    /// with `parallel_for`.
    pub threads: u32,
    /// With `parallel_for`: how many threads the pool has; a run has as many tasks, a step as many parts. At least 1; 1: the calling
    /// thread alone.
    pub pool_threads: u32,
    /// The caller's thread pool instead of a team of our own; NULL: none.
    pub parallel_for: rsq_parallel_for_fn,
    /// Handed to `parallel_for`. Must live as long as the context and whatever was made with it.
    pub pool: *mut c_void,
    /// Bytes that the objects made with the context may hold together; 0: no limit. Going over it is `RSQ_OUT_OF_MEMORY`, with a
    /// message that names the limit, what is in use and what was asked for; objects stay usable, and what is freed is
    /// given back. Counted is what follows the size of a model, a batch or an image: weights and their copies, statistics,
    /// arenas, scratch, an imported file while it is read. Mapped model files, observers, packed weights and small
    /// objects are not.
    pub memory_limit: usize,
    /// Whom messages are told; NULL: nobody.
    pub log: rsq_log_fn,
    /// Handed to `log`. Must live as long as the context and whatever was made with it.
    pub log_data: *mut c_void,
    /// The least important level that is told, one of `RSQ_LOG_`; 0: all.
    pub log_level: u32,
    /// 0.
    pub reserved: u32,
}

// SAFETY: repr(C), size first, integers, a pointer and an optional function pointer, none larger than the alignment.
unsafe impl OptionStruct for rsq_context_options {}
const _: () = assert!(size_of::<rsq_context_options>() == 24 + 5 * size_of::<usize>());

/// The context that a handle stands for; the default one for NULL.
pub(super) fn context_or_default(context: *const rsq_context) -> Outcome<Arc<Context>> {
    // Held as the table holds a handle's, so that a call without a context allocates nothing.
    static DEFAULT: OnceLock<Arc<Context>> = OnceLock::new();
    if context.is_null() {
        return Ok(Arc::clone(match DEFAULT.get() {
            Some(default) => default,
            None => {
                let made = Arc::new(Context::default_context()?);
                DEFAULT.get_or_init(|| made)
            }
        }));
    }
    handles::get(context)
}

impl rsq_context_options {
    fn to_core(self) -> Outcome<ContextOptions> {
        let max_isa = match self.max_isa {
            0 => None,
            number => Some(isa_from_number(number).ok_or_else(|| Failure::invalid(format!("max_isa {number} is no instruction set")))?),
        };
        let pool = self.parallel_for.map(|parallel_for| {
            // SAFETY: the two types differ in the task's `Option` and its `unsafe` alone, which do not change how the
            // function is called: a function pointer and its Option have the same representation.
            let function: crate::threads::ParallelForFn = unsafe { std::mem::transmute(parallel_for) };
            // SAFETY: the header demands of the caller what `ParallelFor` demands.
            unsafe { ParallelFor::new(function, self.pool, self.pool_threads.max(1) as usize) }
        });
        if self.reserved != 0 {
            return Err(Failure::invalid(format!("rsq_context_options.reserved is {}; this version knows 0", self.reserved)));
        }
        // SAFETY: the header demands of the caller what `log_callback` demands.
        let log = unsafe { log_callback(self.log, self.log_data, self.log_level) }?;
        Ok(ContextOptions { threads: self.threads as usize, max_isa, parallel_for: pool, memory_limit: self.memory_limit, log })
    }
}

/// Makes a context. `options` may be NULL: the defaults. The caller frees `*out`.
///
/// Statuses: `NULL_ARGUMENT`, `BAD_STRUCT_SIZE`, `INVALID_ARGUMENT` (unknown `max_isa` or `log_level`, or the variable `RSQ_MAX_ISA` holds
/// an unknown name), `OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_context_new(options: *const rsq_context_options, out: *mut *mut rsq_context) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promises.
        let (out, options) = unsafe { (Out::new(out, "out")?, read(options, "rsq_context_options")?) };
        let options = options.map_or_else(|| Ok(ContextOptions::default()), rsq_context_options::to_core)?;
        out.write(handles::make(Context::new(options)?)?);
        Ok(())
    })
}

/// Writes the bytes that count to the context's `memory_limit` now, which is also told where there is no limit. `context` may
/// be NULL.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_context_memory_bytes(context: *const rsq_context, out: *mut usize) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { Out::new(out, "out") }?;
        out.write(context_or_default(context)?.memory().in_use());
        Ok(())
    })
}

/// Frees a context. NULL and stale handles are ignored; what was made with it stays usable.
#[unsafe(no_mangle)]
pub extern "C" fn rsq_context_free(context: *mut rsq_context) {
    guard::value((), || {
        handles::release(context);
        Ok(())
    });
}
