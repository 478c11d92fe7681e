//! Proof tokens: a value of one of these types exists only where the CPU can run its instructions.
//!
//! Feature detection is the standard library's (it checks CPUID and XCR0). On targets other than x86-64, and without the
//! cargo feature `x86`, every `detect` says no.
use super::amx_permission;

macro_rules! token {
    ($(#[$doc:meta])* $name:ident: $($feature:tt),+) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub struct $name(());

        impl $name {
            /// The token, if this CPU has the instructions.
            pub fn detect() -> Option<Self> {
                #[cfg(all(target_arch = "x86_64", feature = "x86"))]
                if $(std::arch::is_x86_feature_detected!($feature))&&+ {
                    return Some(Self(()));
                }
                None
            }
        }
    };
}

token! {
    /// AVX2, FMA and F16C: 256-bit integers and fused multiply-add.
    Avx2: "avx2", "fma", "f16c"
}
token! {
    /// AVX-512 F, BW, VL and DQ: 512-bit floats and integers.
    Avx512: "avx512f", "avx512bw", "avx512vl", "avx512dq", "avx2", "fma"
}
token! {
    /// [`Avx512`] and 512-bit `vpdpbusd`.
    Avx512Vnni: "avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512vnni", "avx2", "fma"
}

impl Avx512Vnni {
    /// The part of this level that floats use.
    pub fn avx512(self) -> Avx512 {
        Avx512(())
    }
}

/// 256-bit `vpdpbusd`, in one of its two encodings.
#[derive(Debug, Clone, Copy)]
pub enum AvxVnni {
    /// The VEX encoding (AVX-VNNI).
    Vex(VexProof),
    /// The EVEX encoding (AVX-512 VNNI and VL).
    Evex(EvexProof),
}
token! {
    /// The CPU has AVX-VNNI.
    VexProof: "avxvnni", "avx2", "fma"
}
token! {
    /// The CPU has AVX-512 VNNI with 256-bit vectors.
    EvexProof: "avx512vnni", "avx512vl", "avx2", "fma"
}

impl AvxVnni {
    /// The token, if this CPU has either encoding.
    pub fn detect() -> Option<Self> {
        VexProof::detect().map(AvxVnni::Vex).or_else(|| EvexProof::detect().map(AvxVnni::Evex))
    }
}

/// AMX int8 tiles, permitted by the system for this process.
#[derive(Debug, Clone, Copy)]
pub struct AmxInt8(());

impl AmxInt8 {
    /// Whether the CPU and system have AMX int8, without asking for permission.
    pub fn supported() -> bool {
        #[cfg(feature = "test-internals")]
        if ASSUMED.load(std::sync::atomic::Ordering::Relaxed) {
            return true;
        }
        amx_permission::supported() && Avx512Vnni::detect().is_some()
    }

    /// The token, if the CPU has AMX and the system lets this process use it. Asks the system once.
    pub fn detect() -> Option<Self> {
        #[cfg(feature = "test-internals")]
        if ASSUMED.load(std::sync::atomic::Ordering::Relaxed) {
            return Some(Self(()));
        }
        (Self::supported() && amx_permission::request()).then_some(Self(()))
    }

    /// A token without the check, for tests that execute tile instructions by a trap handler.
    ///
    /// # Safety
    /// Tile instructions must be executable on this machine, by its CPU or by an installed trap handler.
    #[cfg(feature = "test-internals")]
    pub unsafe fn assume() -> Self {
        Self(())
    }

    /// From here on this process is said to have AMX, so that whole sessions run on tiles that a trap handler executes.
    ///
    /// # Safety
    /// As for [`AmxInt8::assume`], on every thread.
    #[cfg(feature = "test-internals")]
    pub unsafe fn assume_everywhere() {
        ASSUMED.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

/// Whether tests said that tile instructions can be executed.
#[cfg(feature = "test-internals")]
static ASSUMED: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
