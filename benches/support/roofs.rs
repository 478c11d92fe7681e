//! What this machine's units can do at most, measured on one thread: loops of products alone, of copies alone, and the
//! clock.
#![allow(dead_code)]
use std::arch::asm;
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

impl Roof {
    /// Of a loop that takes `seconds` for `macs` multiply-adds.
    fn new(name: &'static str, macs: usize, seconds: f64) -> Self {
        let gops = 2.0 * macs as f64 / seconds / 1e9;
        Self { name, gops, per_cycle: gops * 1e9 / clock_hz() }
    }
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

#[cfg(target_arch = "x86_64")]
pub use x86::{clock_hz, roof_of};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::*;
    use rsquant::isa::{AmxInt8, Avx2, Avx512Vnni, Isa, VexProof};

    const ROUNDS: usize = 100_000;

    /// The clock, from a chain of multiplications of 3 cycles each.
    pub fn clock_hz() -> f64 {
        let seconds = fastest(|| {
            // SAFETY: touches one register.
            unsafe {
                asm!(
                    "2:",
                    ".rept 20",
                    "imul {x}, {x}",
                    ".endr",
                    "dec {rounds}",
                    "jnz 2b",
                    x = inout(reg) 3usize => _,
                    rounds = inout(reg) ROUNDS => _,
                    options(nostack, nomem)
                );
            }
        });
        (ROUNDS * 20 * 3) as f64 / seconds
    }

    /// The roof of the products that kernels of that level use.
    pub fn roof_of(isa: Isa) -> Option<Roof> {
        match isa {
            Isa::Portable => None,
            Isa::Avx2 => Avx2::detect().map(|_| avx2()),
            Isa::AvxVnni => match VexProof::detect() {
                Some(_) => Some(vnni_ymm()),
                None => Avx512Vnni::detect().map(|_| vnni_ymm_evex()),
            },
            Isa::Avx512Vnni => Avx512Vnni::detect().map(|_| vnni_zmm()),
            Isa::AmxInt8 => AmxInt8::detect().map(|_| amx()),
        }
    }

    macro_rules! products {
        ($name:literal, $macs:expr, [$($line:literal),*], [$($register:tt),*]) => {{
            let seconds = fastest(|| {
                // SAFETY: the caller has asked for the instructions; the loop touches registers only.
                unsafe {
                    asm!("2:", $($line,)* "dec {rounds}", "jnz 2b", rounds = inout(reg) ROUNDS => _,
                        $(out($register) _,)* options(nostack, nomem));
                }
            });
            Roof::new($name, ROUNDS * $macs, seconds)
        }};
    }

    /// 12 chains of `vpmaddwd` and `vpaddd`, 16 multiply-adds each.
    fn avx2() -> Roof {
        products!(
            "vpmaddwd + vpaddd ymm",
            12 * 16,
            [
                "vpmaddwd ymm12, ymm14, ymm15",
                "vpaddd ymm0, ymm0, ymm12",
                "vpmaddwd ymm13, ymm14, ymm15",
                "vpaddd ymm1, ymm1, ymm13",
                "vpmaddwd ymm12, ymm14, ymm15",
                "vpaddd ymm2, ymm2, ymm12",
                "vpmaddwd ymm13, ymm14, ymm15",
                "vpaddd ymm3, ymm3, ymm13",
                "vpmaddwd ymm12, ymm14, ymm15",
                "vpaddd ymm4, ymm4, ymm12",
                "vpmaddwd ymm13, ymm14, ymm15",
                "vpaddd ymm5, ymm5, ymm13",
                "vpmaddwd ymm12, ymm14, ymm15",
                "vpaddd ymm6, ymm6, ymm12",
                "vpmaddwd ymm13, ymm14, ymm15",
                "vpaddd ymm7, ymm7, ymm13",
                "vpmaddwd ymm12, ymm14, ymm15",
                "vpaddd ymm8, ymm8, ymm12",
                "vpmaddwd ymm13, ymm14, ymm15",
                "vpaddd ymm9, ymm9, ymm13",
                "vpmaddwd ymm12, ymm14, ymm15",
                "vpaddd ymm10, ymm10, ymm12",
                "vpmaddwd ymm13, ymm14, ymm15",
                "vpaddd ymm11, ymm11, ymm13"
            ],
            ["ymm0", "ymm1", "ymm2", "ymm3", "ymm4", "ymm5", "ymm6", "ymm7", "ymm8", "ymm9", "ymm10", "ymm11", "ymm12", "ymm13"]
        )
    }

    /// 12 chains of `vpdpbusd` on ymm, 32 multiply-adds each.
    fn vnni_ymm() -> Roof {
        products!(
            "vpdpbusd ymm",
            12 * 32,
            [
                "{{vex}} vpdpbusd ymm0, ymm14, ymm15",
                "{{vex}} vpdpbusd ymm1, ymm14, ymm15",
                "{{vex}} vpdpbusd ymm2, ymm14, ymm15",
                "{{vex}} vpdpbusd ymm3, ymm14, ymm15",
                "{{vex}} vpdpbusd ymm4, ymm14, ymm15",
                "{{vex}} vpdpbusd ymm5, ymm14, ymm15",
                "{{vex}} vpdpbusd ymm6, ymm14, ymm15",
                "{{vex}} vpdpbusd ymm7, ymm14, ymm15",
                "{{vex}} vpdpbusd ymm8, ymm14, ymm15",
                "{{vex}} vpdpbusd ymm9, ymm14, ymm15",
                "{{vex}} vpdpbusd ymm10, ymm14, ymm15",
                "{{vex}} vpdpbusd ymm11, ymm14, ymm15"
            ],
            ["ymm0", "ymm1", "ymm2", "ymm3", "ymm4", "ymm5", "ymm6", "ymm7", "ymm8", "ymm9", "ymm10", "ymm11"]
        )
    }

    /// The same in EVEX encoding.
    fn vnni_ymm_evex() -> Roof {
        products!(
            "vpdpbusd ymm (evex)",
            12 * 32,
            [
                "vpdpbusd ymm16, ymm14, ymm15",
                "vpdpbusd ymm17, ymm14, ymm15",
                "vpdpbusd ymm18, ymm14, ymm15",
                "vpdpbusd ymm19, ymm14, ymm15",
                "vpdpbusd ymm20, ymm14, ymm15",
                "vpdpbusd ymm21, ymm14, ymm15",
                "vpdpbusd ymm22, ymm14, ymm15",
                "vpdpbusd ymm23, ymm14, ymm15",
                "vpdpbusd ymm24, ymm14, ymm15",
                "vpdpbusd ymm25, ymm14, ymm15",
                "vpdpbusd ymm26, ymm14, ymm15",
                "vpdpbusd ymm27, ymm14, ymm15"
            ],
            ["ymm16", "ymm17", "ymm18", "ymm19", "ymm20", "ymm21", "ymm22", "ymm23", "ymm24", "ymm25", "ymm26", "ymm27"]
        )
    }

    /// 12 chains of `vpdpbusd` on zmm, 64 multiply-adds each.
    fn vnni_zmm() -> Roof {
        products!(
            "vpdpbusd zmm",
            12 * 64,
            [
                "vpdpbusd zmm16, zmm30, zmm31",
                "vpdpbusd zmm17, zmm30, zmm31",
                "vpdpbusd zmm18, zmm30, zmm31",
                "vpdpbusd zmm19, zmm30, zmm31",
                "vpdpbusd zmm20, zmm30, zmm31",
                "vpdpbusd zmm21, zmm30, zmm31",
                "vpdpbusd zmm22, zmm30, zmm31",
                "vpdpbusd zmm23, zmm30, zmm31",
                "vpdpbusd zmm24, zmm30, zmm31",
                "vpdpbusd zmm25, zmm30, zmm31",
                "vpdpbusd zmm26, zmm30, zmm31",
                "vpdpbusd zmm27, zmm30, zmm31"
            ],
            ["zmm16", "zmm17", "zmm18", "zmm19", "zmm20", "zmm21", "zmm22", "zmm23", "zmm24", "zmm25", "zmm26", "zmm27"]
        )
    }

    /// Four chains of `tdpbusd` on full tiles, 16 x 16 x 64 multiply-adds each.
    fn amx() -> Roof {
        #[repr(align(64))]
        struct Config([u8; 64]);
        let mut config = Config([0; 64]);
        config.0[0] = 1;
        for tile in 0..8 {
            config.0[16 + 2 * tile] = 64;
            config.0[48 + tile] = 16;
        }
        // SAFETY: the caller has asked for the instructions; the configuration is legal.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &config, options(nostack, readonly)) };
        let roof = products!(
            "tdpbusd",
            4 * 16 * 16 * 64,
            ["tdpbusd tmm0, tmm4, tmm6", "tdpbusd tmm1, tmm4, tmm7", "tdpbusd tmm2, tmm5, tmm6", "tdpbusd tmm3, tmm5, tmm7"],
            ["tmm0", "tmm1", "tmm2", "tmm3"]
        );
        // SAFETY: as above.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
        roof
    }
}

#[cfg(not(target_arch = "x86_64"))]
pub fn clock_hz() -> f64 {
    f64::NAN
}

#[cfg(not(target_arch = "x86_64"))]
pub fn roof_of(_isa: rsquant::isa::Isa) -> Option<Roof> {
    None
}
