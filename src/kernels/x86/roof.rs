//! Loops of multiply-accumulates on registers alone: what a core can do at most, to measure kernels against.
//!
//! Each chain waits for its own last result (4 to 5 cycles), so at least 10 chains keep two units busy; 24 are used. The
//! tile loop has the 2 x 2 form of the kernel, without its loads.
use super::amx_tiles;
use crate::isa::{AmxInt8, Avx2, Avx512, Avx512Vnni, AvxVnni};
use crate::kernels::roof::RoofLoop;
use std::arch::asm;

/// Chains of a vector loop.
const CHAINS: u64 = 24;

/// A loop of `$body` with every vector register as a clobber.
macro_rules! register_loop {
    ($rounds:expr, [$($body:expr),+ $(,)?]) => {
        asm!(
            "2:",
            $($body,)+
            "dec {rounds}",
            "jnz 2b",
            rounds = inout(reg) $rounds.max(1) => _,
            out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _, out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
            out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _, out("xmm12") _, out("xmm13") _, out("xmm14") _,
            out("xmm15") _,
            options(nostack, nomem)
        )
    };
}

/// The same for code that uses registers 16 to 31 too.
macro_rules! wide_register_loop {
    ($rounds:expr, [$($body:expr),+ $(,)?]) => {
        asm!(
            // Zeros: no denormal or NaN slows the float loop down.
            "vpxord zmm30, zmm30, zmm30",
            "vpxord zmm31, zmm31, zmm31",
            "2:",
            $($body,)+
            "dec {rounds}",
            "jnz 2b",
            rounds = inout(reg) $rounds.max(1) => _,
            out("zmm0") _, out("zmm1") _, out("zmm2") _, out("zmm3") _, out("zmm4") _, out("zmm5") _, out("zmm6") _, out("zmm7") _,
            out("zmm8") _, out("zmm9") _, out("zmm10") _, out("zmm11") _, out("zmm12") _, out("zmm13") _, out("zmm14") _,
            out("zmm15") _, out("zmm16") _, out("zmm17") _, out("zmm18") _, out("zmm19") _, out("zmm20") _, out("zmm21") _,
            out("zmm22") _, out("zmm23") _, out("zmm30") _, out("zmm31") _,
            options(nostack, nomem)
        )
    };
}

/// `op` on zmm0 to zmm23.
macro_rules! on_24_zmm {
    ($rounds:expr, $op:literal) => {
        wide_register_loop!(
            $rounds,
            [
                concat!($op, " zmm0, zmm30, zmm31"),
                concat!($op, " zmm1, zmm30, zmm31"),
                concat!($op, " zmm2, zmm30, zmm31"),
                concat!($op, " zmm3, zmm30, zmm31"),
                concat!($op, " zmm4, zmm30, zmm31"),
                concat!($op, " zmm5, zmm30, zmm31"),
                concat!($op, " zmm6, zmm30, zmm31"),
                concat!($op, " zmm7, zmm30, zmm31"),
                concat!($op, " zmm8, zmm30, zmm31"),
                concat!($op, " zmm9, zmm30, zmm31"),
                concat!($op, " zmm10, zmm30, zmm31"),
                concat!($op, " zmm11, zmm30, zmm31"),
                concat!($op, " zmm12, zmm30, zmm31"),
                concat!($op, " zmm13, zmm30, zmm31"),
                concat!($op, " zmm14, zmm30, zmm31"),
                concat!($op, " zmm15, zmm30, zmm31"),
                concat!($op, " zmm16, zmm30, zmm31"),
                concat!($op, " zmm17, zmm30, zmm31"),
                concat!($op, " zmm18, zmm30, zmm31"),
                concat!($op, " zmm19, zmm30, zmm31"),
                concat!($op, " zmm20, zmm30, zmm31"),
                concat!($op, " zmm21, zmm30, zmm31"),
                concat!($op, " zmm22, zmm30, zmm31"),
                concat!($op, " zmm23, zmm30, zmm31"),
            ]
        )
    };
}

/// `op` twice on ymm0 to ymm11.
macro_rules! on_12_ymm_twice {
    ($rounds:expr, $op:literal) => {
        register_loop!(
            $rounds,
            [
                concat!($op, " ymm0, ymm14, ymm15"),
                concat!($op, " ymm1, ymm14, ymm15"),
                concat!($op, " ymm2, ymm14, ymm15"),
                concat!($op, " ymm3, ymm14, ymm15"),
                concat!($op, " ymm4, ymm14, ymm15"),
                concat!($op, " ymm5, ymm14, ymm15"),
                concat!($op, " ymm6, ymm14, ymm15"),
                concat!($op, " ymm7, ymm14, ymm15"),
                concat!($op, " ymm8, ymm14, ymm15"),
                concat!($op, " ymm9, ymm14, ymm15"),
                concat!($op, " ymm10, ymm14, ymm15"),
                concat!($op, " ymm11, ymm14, ymm15"),
                concat!($op, " ymm0, ymm14, ymm15"),
                concat!($op, " ymm1, ymm14, ymm15"),
                concat!($op, " ymm2, ymm14, ymm15"),
                concat!($op, " ymm3, ymm14, ymm15"),
                concat!($op, " ymm4, ymm14, ymm15"),
                concat!($op, " ymm5, ymm14, ymm15"),
                concat!($op, " ymm6, ymm14, ymm15"),
                concat!($op, " ymm7, ymm14, ymm15"),
                concat!($op, " ymm8, ymm14, ymm15"),
                concat!($op, " ymm9, ymm14, ymm15"),
                concat!($op, " ymm10, ymm14, ymm15"),
                concat!($op, " ymm11, ymm14, ymm15"),
            ]
        )
    };
}

/// `tdpbusd`: 16 x 16 sums of 64 products.
pub fn amx_int8(_proof: AmxInt8) -> RoofLoop {
    fn run(rounds: u64) {
        // SAFETY: made with the token: the CPU has tiles and the system lets this process use them. Four of the eight
        // tiles are written; kernels load every tile that they read after `configure`.
        unsafe {
            amx_tiles::forget();
            amx_tiles::configure(amx_tiles::TileShape { rows: 16, groups: 16 });
            asm!(
                "2:",
                "tdpbusd tmm0, tmm4, tmm6",
                "tdpbusd tmm1, tmm4, tmm7",
                "tdpbusd tmm2, tmm5, tmm6",
                "tdpbusd tmm3, tmm5, tmm7",
                "dec {rounds}",
                "jnz 2b",
                rounds = inout(reg) rounds.max(1) => _,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                options(nostack, nomem)
            );
            amx_tiles::release();
        }
    }
    RoofLoop { name: "tdpbusd", ops_per_round: 4 * 16 * 16 * 64 * 2, run }
}

/// 512-bit `vpdpbusd`: 64 products.
pub fn avx512_vnni(_proof: Avx512Vnni) -> RoofLoop {
    fn run(rounds: u64) {
        // SAFETY: made with the token.
        unsafe { on_24_zmm!(rounds, "vpdpbusd") }
    }
    RoofLoop { name: "vpdpbusd zmm", ops_per_round: CHAINS * 64 * 2, run }
}

/// 256-bit `vpdpbusd`: 32 products.
pub fn avx_vnni(proof: AvxVnni) -> RoofLoop {
    fn vex(rounds: u64) {
        // SAFETY: made with the token.
        unsafe { on_12_ymm_twice!(rounds, "{{vex}} vpdpbusd") }
    }
    fn evex(rounds: u64) {
        // SAFETY: made with the token.
        unsafe { on_12_ymm_twice!(rounds, "{{evex}} vpdpbusd") }
    }
    RoofLoop { name: "vpdpbusd ymm", ops_per_round: CHAINS * 32 * 2, run: if matches!(proof, AvxVnni::Vex(_)) { vex } else { evex } }
}

/// Two `vpaddw`, `vpmaddwd` and `vpaddd`: what 32 products of 16-bit values take by `halved_products`, less than two `vpmaddwd` and two
/// `vpaddd`. A layer by Winograd's tiles multiplies less than its operations say, and may pass this roof.
pub fn avx2(_proof: Avx2) -> RoofLoop {
    fn run(rounds: u64) {
        // SAFETY: made with the token.
        unsafe {
            register_loop!(
                rounds,
                [
                    "vpaddw ymm12, ymm14, ymm15",
                    "vpaddw ymm13, ymm14, ymm15",
                    "vpmaddwd ymm12, ymm12, ymm13",
                    "vpaddd ymm0, ymm0, ymm12",
                    "vpaddw ymm12, ymm14, ymm15",
                    "vpaddw ymm13, ymm14, ymm15",
                    "vpmaddwd ymm12, ymm12, ymm13",
                    "vpaddd ymm1, ymm1, ymm12",
                    "vpaddw ymm12, ymm14, ymm15",
                    "vpaddw ymm13, ymm14, ymm15",
                    "vpmaddwd ymm12, ymm12, ymm13",
                    "vpaddd ymm2, ymm2, ymm12",
                    "vpaddw ymm12, ymm14, ymm15",
                    "vpaddw ymm13, ymm14, ymm15",
                    "vpmaddwd ymm12, ymm12, ymm13",
                    "vpaddd ymm3, ymm3, ymm12",
                    "vpaddw ymm12, ymm14, ymm15",
                    "vpaddw ymm13, ymm14, ymm15",
                    "vpmaddwd ymm12, ymm12, ymm13",
                    "vpaddd ymm4, ymm4, ymm12",
                    "vpaddw ymm12, ymm14, ymm15",
                    "vpaddw ymm13, ymm14, ymm15",
                    "vpmaddwd ymm12, ymm12, ymm13",
                    "vpaddd ymm5, ymm5, ymm12",
                    "vpaddw ymm12, ymm14, ymm15",
                    "vpaddw ymm13, ymm14, ymm15",
                    "vpmaddwd ymm12, ymm12, ymm13",
                    "vpaddd ymm6, ymm6, ymm12",
                    "vpaddw ymm12, ymm14, ymm15",
                    "vpaddw ymm13, ymm14, ymm15",
                    "vpmaddwd ymm12, ymm12, ymm13",
                    "vpaddd ymm7, ymm7, ymm12",
                    "vpaddw ymm12, ymm14, ymm15",
                    "vpaddw ymm13, ymm14, ymm15",
                    "vpmaddwd ymm12, ymm12, ymm13",
                    "vpaddd ymm8, ymm8, ymm12",
                    "vpaddw ymm12, ymm14, ymm15",
                    "vpaddw ymm13, ymm14, ymm15",
                    "vpmaddwd ymm12, ymm12, ymm13",
                    "vpaddd ymm9, ymm9, ymm12",
                    "vpaddw ymm12, ymm14, ymm15",
                    "vpaddw ymm13, ymm14, ymm15",
                    "vpmaddwd ymm12, ymm12, ymm13",
                    "vpaddd ymm10, ymm10, ymm12",
                    "vpaddw ymm12, ymm14, ymm15",
                    "vpaddw ymm13, ymm14, ymm15",
                    "vpmaddwd ymm12, ymm12, ymm13",
                    "vpaddd ymm11, ymm11, ymm12",
                ]
            )
        }
    }
    RoofLoop { name: "vpaddw + vpmaddwd + vpaddd ymm", ops_per_round: CHAINS / 2 * 32 * 2, run }
}

/// 512-bit fused multiply-add: 16 products.
pub fn f32_avx512(_proof: Avx512) -> RoofLoop {
    fn run(rounds: u64) {
        // SAFETY: made with the token.
        unsafe { on_24_zmm!(rounds, "vfmadd231ps") }
    }
    RoofLoop { name: "vfmadd231ps zmm", ops_per_round: CHAINS * 16 * 2, run }
}

/// 256-bit fused multiply-add: 8 products.
pub fn f32_avx2(_proof: Avx2) -> RoofLoop {
    fn run(rounds: u64) {
        // SAFETY: made with the token; the registers are zeroed, so that no denormal or NaN slows the loop down.
        unsafe {
            asm!("vxorps ymm14, ymm14, ymm14", "vxorps ymm15, ymm15, ymm15", out("xmm14") _, out("xmm15") _, options(nostack, nomem));
            on_12_ymm_twice!(rounds, "vfmadd231ps")
        }
    }
    RoofLoop { name: "vfmadd231ps ymm", ops_per_round: CHAINS * 8 * 2, run }
}

/// Nanoseconds' worth of cycles: a chain of 8 `imul`, 3 cycles each on every x86-64 of the classes that have AVX2.
pub fn cycles() -> RoofLoop {
    fn run(rounds: u64) {
        // SAFETY: general registers alone.
        unsafe {
            asm!(
                "2:",
                "imul {x}, {x}", "imul {x}, {x}", "imul {x}, {x}", "imul {x}, {x}",
                "imul {x}, {x}", "imul {x}, {x}", "imul {x}, {x}", "imul {x}, {x}",
                "dec {rounds}",
                "jnz 2b",
                rounds = inout(reg) rounds.max(1) => _,
                x = inout(reg) 1u64 => _,
                options(nostack, nomem)
            );
        }
    }
    RoofLoop { name: "imul chain", ops_per_round: 8 * 3, run }
}
