//! Thread pools as hosts have them, good and bad, behind the callback.
#![allow(dead_code)]
use rsquant::isa::Isa;
use rsquant::pipeline::{Context, ContextOptions};
use rsquant::threads::{ParallelFor, ParallelForFn, ParallelTask};

#[path = "pool_functions.rs"]
mod pool_functions;

pub use pool_functions::POOLS;

/// A context over a pool that is said to have so many threads.
pub fn pool_context(function: ParallelForFn, threads: usize, max_isa: Isa) -> Context {
    // SAFETY: the pools above have no state, and call no task after they have returned.
    let pool = unsafe { ParallelFor::new(function, std::ptr::null_mut(), threads) };
    Context::new(ContextOptions { parallel_for: Some(pool), max_isa: Some(max_isa), ..ContextOptions::default() }).unwrap()
}
