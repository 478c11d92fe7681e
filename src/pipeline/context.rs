//! Threads and instruction-set cap that objects share.
use crate::error::Result;
use crate::isa::Isa;
use crate::memory::Budget;
use crate::threads::{Executor, ParallelFor};
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
}

#[derive(Debug)]
struct Shared {
    threads: Executor,
    max_isa: Isa,
    memory: Budget,
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
        let max_isa = options.max_isa.unwrap_or(Isa::AmxInt8).min(cap).min(Isa::detected());
        let threads = match options.parallel_for {
            Some(pool) => Executor::ParallelFor(pool),
            None => Executor::with_threads(if options.threads == 0 { available_threads() } else { options.threads }),
        };
        Ok(Self(Arc::new(Shared { threads, max_isa, memory: Budget::new(options.memory_limit) })))
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

    /// Who computes runs.
    pub fn threads(&self) -> &Executor {
        &self.0.threads
    }

    /// The best instruction set that this context uses.
    pub fn max_isa(&self) -> Isa {
        self.0.max_isa
    }
}
