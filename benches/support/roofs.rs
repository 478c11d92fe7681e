//! What this machine's units can do at most, measured on one thread: the library's loops of products alone, copies, and the
//! clock.
#![allow(dead_code)]
use rsquant::isa::Isa;
use rsquant::kernels::roof::{clock, int8_roof};
use std::hint::black_box;
use std::time::Instant;

/// A measurement is the best of that many.
const REPEATS: usize = 7;

/// The seconds of the fastest of some runs.
pub fn fastest(mut run: impl FnMut()) -> f64 {
    let seconds = (0..REPEATS).map(|_| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64()
    });
    seconds.fold(f64::INFINITY, f64::min)
}

/// The roof of one kind of product.
#[derive(Debug, Clone, Copy)]
pub struct Roof {
    /// The instruction.
    pub name: &'static str,
    /// 10^9 operations a second (two a multiply-add).
    pub gops: f64,
    /// Operations a clock cycle.
    pub per_cycle: f64,
}

impl std::fmt::Display for Roof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {:.0} GOPS, {:.0} op a cycle", self.name, self.gops, self.per_cycle)
    }
}

/// 10^9 bytes a second of a copy of `bytes` bytes, read and written bytes both counted.
pub fn copy_gb_per_second(bytes: usize) -> f64 {
    let (src, mut dst) = (vec![1u8; bytes], vec![0u8; bytes]);
    let rounds = (1usize << 24).div_ceil(bytes.max(1));
    let seconds = fastest(|| {
        for _ in 0..rounds {
            dst.copy_from_slice(black_box(&src));
            black_box(&mut dst);
        }
    });
    2.0 * (bytes * rounds) as f64 / seconds / 1e9
}

/// The clock; NaN where it cannot be told.
pub fn clock_hz() -> f64 {
    clock().map_or(f64::NAN, |clock| clock.gops() * 1e9)
}

/// The roof of the products that kernels of that level use; `None` for a level that this CPU has not, and for portable code.
pub fn roof_of(isa: Isa) -> Option<Roof> {
    let roof = int8_roof(isa).filter(|_| isa <= Isa::detected())?;
    let gops = roof.gops();
    Some(Roof { name: roof.name, gops, per_cycle: gops * 1e9 / clock_hz() })
}
