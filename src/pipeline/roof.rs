//! What a context's threads can do at most, measured.
use super::context::Context;
use crate::error::Result;
use crate::isa::Isa;
use crate::kernels::roof::{RoofLoop, clock, f32_roof, int8_roof};
use std::sync::Mutex;

/// 10^9 operations (2 for each multiply-accumulate) a second of multiply instructions on registers alone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Roof {
    /// The instruction-set level.
    pub isa: Isa,
    /// Threads of the context.
    pub threads: usize,
    /// int8 on one thread; 0 where there is no loop (portable code).
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

impl Context {
    /// Measures what this machine can do at most below the context's cap: about 0.1 s of all threads' time. Clocks change,
    /// so compare with what was measured just before or after.
    ///
    /// # Errors
    /// `Panic`, or a failure of the caller's pool.
    pub fn measure_roof(&self) -> Result<Roof> {
        let (int8, float) = (int8_roof(self.max_isa()), f32_roof(self.max_isa()));
        let alone = |roof: Option<RoofLoop>| roof.map_or(0.0, |roof| roof.gops());
        let ghz = alone(clock());
        let one = alone(int8);
        Ok(Roof {
            isa: self.max_isa(),
            threads: self.threads().threads(),
            int8_gops_one_thread: one,
            int8_gops: self.together(int8)?,
            f32_gops_one_thread: alone(float),
            f32_gops: self.together(float)?,
            int8_ops_per_cycle: if ghz > 0.0 { one / ghz } else { 0.0 },
        })
    }

    /// The sum of what all threads reach at the same time.
    fn together(&self, roof: Option<RoofLoop>) -> Result<f64> {
        let Some(roof) = roof else { return Ok(0.0) };
        let sum = Mutex::new(0.0);
        self.threads().fork_join(self.threads().threads(), &|_| {
            let gops = roof.gops();
            *sum.lock().unwrap_or_else(std::sync::PoisonError::into_inner) += gops;
        })?;
        Ok(sum.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::ContextOptions;

    #[test]
    fn a_roof_is_measured_on_one_thread_and_on_all() {
        let context = Context::new(ContextOptions { threads: 2, ..ContextOptions::default() }).unwrap();
        let roof = context.measure_roof().unwrap();
        assert_eq!((roof.isa, roof.threads), (context.max_isa(), 2));
        if roof.isa == Isa::Portable {
            println!("SKIPPED: no vector level here");
            return;
        }
        let gops = [roof.int8_gops_one_thread, roof.int8_gops, roof.f32_gops_one_thread, roof.f32_gops, roof.int8_ops_per_cycle];
        assert!(gops.iter().all(|gops| gops.is_finite() && *gops > 0.0), "{roof:?}");
        let portable = Context::new(ContextOptions { max_isa: Some(Isa::Portable), ..ContextOptions::default() }).unwrap();
        assert_eq!(portable.measure_roof().unwrap().int8_gops, 0.0);
    }
}
