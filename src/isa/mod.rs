//! Which instruction sets this CPU and system offer, and the tokens that prove it.
//!
//! A token such as [`Avx2`] can be made only where the CPU has the instructions, so a kernel that holds one may run
//! them: every `unsafe` of a kernel cites its token. This room and `kernels` are the only ones that know x86.
mod amx_permission;
mod mxcsr;
mod tokens;

#[cfg(feature = "test-internals")]
pub use amx_permission::pretence as amx_pretence;
pub use mxcsr::FloatControl;
pub use tokens::{AmxInt8, Avx2, Avx512, Avx512Vnni, AvxVnni, EvexProof, VexProof};

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// Instruction-set levels, worst first. A cap at a level allows it and all below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Isa {
    /// Plain Rust.
    Portable,
    /// AVX2 and FMA.
    Avx2,
    /// 256-bit `vpdpbusd` (VEX, or EVEX where the CPU has AVX-512 VNNI and VL).
    AvxVnni,
    /// 512-bit `vpdpbusd`.
    Avx512Vnni,
    /// AMX int8 tiles.
    AmxInt8,
}

impl Isa {
    /// Every level, worst first.
    pub const ALL: [Isa; 5] = [Isa::Portable, Isa::Avx2, Isa::AvxVnni, Isa::Avx512Vnni, Isa::AmxInt8];

    /// The name used in `RSQ_MAX_ISA`, options, reports and kernel names.
    pub const fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            Isa::Avx2 => "avx2",
            Isa::AvxVnni => "avx_vnni",
            Isa::Avx512Vnni => "avx512_vnni",
            Isa::AmxInt8 => "amx_int8",
        }
    }

    /// The level with that name.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] listing the legal names.
    pub fn from_name(name: &str) -> Result<Isa> {
        Isa::ALL.into_iter().find(|isa| isa.name() == name).ok_or_else(|| {
            let names: Vec<_> = Isa::ALL.iter().map(|isa| isa.name()).collect();
            Error::InvalidArgument(format!("unknown isa \"{name}\"; the names are {}", names.join(", ")))
        })
    }

    /// The best level this CPU has. Does not ask the system for AMX permission, only whether the CPU has AMX.
    pub fn detected() -> Isa {
        let best = [
            (Isa::AmxInt8, AmxInt8::supported()),
            (Isa::Avx512Vnni, Avx512Vnni::detect().is_some()),
            (Isa::AvxVnni, AvxVnni::detect().is_some()),
            (Isa::Avx2, Avx2::detect().is_some()),
        ];
        best.into_iter().find(|(_, here)| *here).map_or(Isa::Portable, |(isa, _)| isa)
    }
}

impl std::fmt::Display for Isa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
