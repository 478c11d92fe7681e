//! What the CPU can do at most: loops of multiply-accumulates on registers alone, timed.
//!
//! A kernel's share of the roof means something only if both were measured in one run: clocks change with load, heat and
//! neighbours.
use crate::isa::Isa;
use std::time::{Duration, Instant};

/// A loop of the instruction that a level's kernels multiply with.
#[derive(Debug, Clone, Copy)]
pub struct RoofLoop {
    /// The instruction.
    pub name: &'static str,
    /// Operations of one round: 2 for each multiply-accumulate.
    pub ops_per_round: u64,
    /// Runs that many rounds.
    pub run: fn(u64),
}

/// The shortest measurement that the clock's reading does not disturb.
const SHORTEST: Duration = Duration::from_millis(2);
/// A measurement is the best of that many: a neighbour's burst is not the CPU's limit.
const REPEATS: usize = 8;

impl RoofLoop {
    /// 10^9 operations a second on this thread; takes about 20 ms.
    pub fn gops(&self) -> f64 {
        let mut rounds = 1000;
        let seconds = |rounds: u64| {
            let start = Instant::now();
            (self.run)(rounds);
            start.elapsed()
        };
        while seconds(rounds) < SHORTEST {
            rounds *= 2;
        }
        let best = (0..REPEATS).map(|_| seconds(rounds)).min().unwrap_or(SHORTEST);
        (rounds * self.ops_per_round) as f64 / best.as_secs_f64() / 1e9
    }
}

/// The loop of the best int8 instruction that this machine has below the cap; `None` for the portable path, whose limit is
/// the compiler's.
pub fn int8_roof(cap: Isa) -> Option<RoofLoop> {
    #[cfg(all(target_arch = "x86_64", feature = "x86"))]
    {
        use super::x86::roof;
        use crate::isa::{AmxInt8, Avx2, Avx512Vnni, AvxVnni};
        let amx = || AmxInt8::detect().map(roof::amx_int8);
        return match cap {
            Isa::AmxInt8 => amx().or_else(|| int8_roof(Isa::Avx512Vnni)),
            Isa::Avx512Vnni => Avx512Vnni::detect().map(roof::avx512_vnni).or_else(|| int8_roof(Isa::AvxVnni)),
            Isa::AvxVnni => AvxVnni::detect().map(roof::avx_vnni).or_else(|| int8_roof(Isa::Avx2)),
            Isa::Avx2 => Avx2::detect().map(roof::avx2),
            Isa::Portable => None,
        };
    }
    #[allow(unreachable_code)] // Reached where there are no x86 kernels.
    {
        let _ = cap;
        None
    }
}

/// The loop of the best f32 instruction that this machine has below the cap; `None` for the portable path.
pub fn f32_roof(cap: Isa) -> Option<RoofLoop> {
    #[cfg(all(target_arch = "x86_64", feature = "x86"))]
    {
        use super::x86::roof;
        use crate::isa::{Avx2, Avx512};
        let wide = if cap >= Isa::Avx512Vnni { Avx512::detect().map(roof::f32_avx512) } else { None };
        let narrow = || if cap >= Isa::Avx2 { Avx2::detect().map(roof::f32_avx2) } else { None };
        return wide.or_else(narrow);
    }
    #[allow(unreachable_code)] // Reached where there are no x86 kernels.
    {
        let _ = cap;
        None
    }
}

/// A loop whose operations are clock cycles, so that its `gops` is the clock in GHz; `None` where none is known.
pub fn clock() -> Option<RoofLoop> {
    #[cfg(all(target_arch = "x86_64", feature = "x86"))]
    return Some(super::x86::roof::cycles());
    #[allow(unreachable_code)] // Reached where there are no x86 kernels.
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_has_a_loop_that_runs_here_and_its_speed_is_a_positive_number() {
        assert!(int8_roof(Isa::Portable).is_none() && f32_roof(Isa::Portable).is_none());
        let mut measured = 0;
        for isa in Isa::ALL.into_iter().filter(|&isa| isa > Isa::Portable && isa <= Isa::detected()) {
            for roof in [int8_roof(isa), f32_roof(isa)] {
                let roof = roof.expect("a detected level has loops");
                let gops = roof.gops();
                assert!(gops.is_finite() && gops > 0.0, "{}: {gops}", roof.name);
                measured += 1;
            }
        }
        if measured == 0 {
            println!("SKIPPED: this machine has no vector level");
        }
    }
}
