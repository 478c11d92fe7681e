//! Threads and instruction-set cap that objects share.
use super::log::{Log, LogLevel};
use crate::error::Result;
use crate::isa::Isa;
use crate::memory::Budget;
use crate::threads::{Executor, MAX_THREADS, ParallelFor};
use std::sync::{Arc, OnceLock};

/// The environment variable that caps the instruction set, by name: `portable`, `avx2`, `avx_vnni`, `avx512_vnni`,
/// `amx_int8`.
pub const MAX_ISA_VARIABLE: &str = "RSQ_MAX_ISA";

/// What a context is made with.
#[derive(Debug, Default)]
pub struct ContextOptions {
    /// Threads of the context's own team; 0: as many as the process may use.
    pub threads: usize,
    /// The best instruction set to use; `None`: the best there is. `RSQ_MAX_ISA` may lower it.
    pub max_isa: Option<Isa>,
    /// The caller's thread pool instead of a team of our own.
    pub parallel_for: Option<ParallelFor>,
    /// Bytes that the objects made with it may hold together; 0: no limit. What follows the size of a model, a batch or an image
    /// counts: weights and their copies, statistics, arenas, scratch, imported files while they are read. Mapped files do not.
    pub memory_limit: usize,
    /// Whom messages are told; `None`: nobody. Nothing is ever printed.
    pub log: Option<Log>,
}

#[derive(Debug)]
struct Shared {
    threads: Executor,
    max_isa: Isa,
    memory: Budget,
    log: Option<Log>,
}

/// Threads and instruction-set cap; cheap to clone, shared by the objects made with it.
#[derive(Debug, Clone)]
pub struct Context(Arc<Shared>);

/// As many threads as the process may use.
fn available_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

impl Context {
    /// A context.
    ///
    /// # Errors
    /// [`crate::error::Error::InvalidArgument`] if `RSQ_MAX_ISA` is set to an unknown name.
    pub fn new(options: ContextOptions) -> Result<Self> {
        let cap = match std::env::var(MAX_ISA_VARIABLE) {
            Ok(name) if !name.is_empty() => Isa::from_name(&name)?,
            _ => Isa::AmxInt8,
        };
        let asked = options.max_isa.unwrap_or(Isa::AmxInt8).min(Isa::detected());
        let max_isa = asked.min(cap);
        let asked_threads = if options.threads == 0 { available_threads() } else { options.threads }.clamp(1, MAX_THREADS);
        let (threads, missing) = match options.parallel_for {
            Some(pool) => (Executor::ParallelFor(pool), 0),
            None => {
                let team = Executor::with_threads(asked_threads);
                let missing = asked_threads.saturating_sub(team.threads());
                (team, missing)
            }
        };
        let context = Self(Arc::new(Shared { threads, max_isa, memory: Budget::new(options.memory_limit), log: options.log }));
        if max_isa < asked {
            context.log(LogLevel::Warning, || format!("{MAX_ISA_VARIABLE} caps the instruction set: {max_isa} is used instead of {asked}"));
        }
        if missing > 0 {
            context.log(LogLevel::Warning, || {
                format!("the system refused {missing} of {asked_threads} threads: runs have {}", asked_threads - missing)
            });
        }
        Ok(context)
    }

    /// The context that is used where none is given: all threads, the best instruction set, made on first use.
    ///
    /// # Errors
    /// As [`Context::new`].
    pub fn default_context() -> Result<Self> {
        static DEFAULT: OnceLock<Result<Context>> = OnceLock::new();
        DEFAULT.get_or_init(|| Context::new(ContextOptions::default())).clone()
    }

    /// What the objects made with this context hold, and their limit.
    pub fn memory(&self) -> &Budget {
        &self.0.memory
    }

    /// Tells the host's log, on this thread; `message` is made only if it is told.
    pub(super) fn log(&self, level: LogLevel, message: impl FnOnce() -> String) {
        if let Some(log) = &self.0.log {
            log.tell(level, message);
        }
    }

    /// Who computes runs.
    pub fn threads(&self) -> &Executor {
        &self.0.threads
    }

    /// The best instruction set that this context uses.
    pub fn max_isa(&self) -> Isa {
        self.0.max_isa
    }
}
