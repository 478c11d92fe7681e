//! Multiversioning for element loops: one scalar body, compiled once for each instruction set.
//!
//! The bodies are plain Rust without fast-math, so LLVM may vectorize them but not change a bit of the result; a fused
//! multiply-add is written `mul_add` (without FMA in the instruction set it is a library call: slow and exact).
use crate::isa::{Avx2, Avx512, Isa};

/// The instruction set that an element loop is compiled for, with the proof that this CPU has it.
#[derive(Debug, Clone, Copy)]
pub enum VectorIsa {
    /// The target's baseline.
    Portable,
    /// AVX2 and FMA.
    Avx2(Avx2),
    /// AVX-512 F, BW, VL and DQ.
    Avx512(Avx512),
}

impl VectorIsa {
    /// The best one that this CPU has and `cap` allows.
    pub fn best(cap: Isa) -> Self {
        let avx512 = if cap >= Isa::Avx512Vnni { Avx512::detect() } else { None };
        let avx2 = if cap >= Isa::Avx2 { Avx2::detect() } else { None };
        avx512.map(VectorIsa::Avx512).or(avx2.map(VectorIsa::Avx2)).unwrap_or(VectorIsa::Portable)
    }

    /// Every one that this CPU has, worst first; the first is always portable.
    pub fn all() -> Vec<Self> {
        let found = [Some(VectorIsa::Portable), Avx2::detect().map(VectorIsa::Avx2), Avx512::detect().map(VectorIsa::Avx512)];
        found.into_iter().flatten().collect()
    }

    /// As [`VectorIsa::all`], with a line for each one that a test cannot run here.
    #[cfg(test)]
    pub(crate) fn tested() -> Vec<Self> {
        let all = Self::all();
        for name in ["avx2", "avx512"] {
            if all.iter().all(|isa| isa.name() != name) {
                println!("SKIPPED: no {name} on this machine");
            }
        }
        all
    }

    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            VectorIsa::Portable => "portable",
            VectorIsa::Avx2(_) => "avx2",
            VectorIsa::Avx512(_) => "avx512",
        }
    }
}

/// Defines functions whose first argument, a [`VectorIsa`], chooses between compilations of the same body.
///
/// What a body calls must be `#[inline(always)]`, or it is compiled for the baseline.
macro_rules! multiversion {
    ($($(#[$meta:meta])* $visibility:vis fn $name:ident($($arg:ident: $type:ty),* $(,)?) $(-> $result:ty)? $body:block)+) => {$(
        $(#[$meta])*
        #[allow(clippy::too_many_arguments)]
        $visibility fn $name(isa: $crate::kernels::VectorIsa, $($arg: $type),*) $(-> $result)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments)]
            fn body($($arg: $type),*) $(-> $result)? $body

            #[cfg(all(target_arch = "x86_64", feature = "x86"))]
            {
                #[target_feature(enable = "avx2,fma")]
                #[allow(clippy::too_many_arguments)]
                fn avx2($($arg: $type),*) $(-> $result)? {
                    body($($arg),*)
                }
                #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx2,fma")]
                #[allow(clippy::too_many_arguments)]
                fn avx512($($arg: $type),*) $(-> $result)? {
                    body($($arg),*)
                }
                match isa {
                    $crate::kernels::VectorIsa::Portable => body($($arg),*),
                    // SAFETY: the token proves that the CPU has AVX2 and FMA.
                    $crate::kernels::VectorIsa::Avx2(_) => unsafe { avx2($($arg),*) },
                    // SAFETY: the token proves that the CPU has these parts of AVX-512.
                    $crate::kernels::VectorIsa::Avx512(_) => unsafe { avx512($($arg),*) },
                }
            }
            #[cfg(not(all(target_arch = "x86_64", feature = "x86")))]
            {
                let _ = isa;
                body($($arg),*)
            }
        }
    )+};
}
pub(crate) use multiversion;

/// A fused activation as a clamp, `[-inf, inf]` for none: `x < low ? low : x > high ? high : x`, so NaN passes and -0.0
/// stays where `low` is 0.0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Clamp {
    /// Lower end.
    pub low: f32,
    /// Upper end, not below `low`.
    pub high: f32,
}

impl Clamp {
    /// No clamp.
    pub const NONE: Clamp = Clamp { low: f32::NEG_INFINITY, high: f32::INFINITY };

    /// The clamped value.
    #[inline(always)]
    pub fn apply(self, x: f32) -> f32 {
        let above = if x < self.low { self.low } else { x };
        if above > self.high { self.high } else { above }
    }
}

/// `1.5 * 2^23`: added to a float of at most 2^22 it leaves the nearest integer, ties to even, in the low bits.
const ROUNDING_SHIFT: f32 = 12_582_912.0;

/// `rne(x)` for `|x| <= 2^22`, in two plain operations on every instruction set (the mode is round to nearest even:
/// `isa::FloatControl`).
#[inline(always)]
pub(crate) fn round_small(x: f32) -> i32 {
    (x + ROUNDING_SHIFT).to_bits().wrapping_sub(ROUNDING_SHIFT.to_bits()) as i32
}

/// From a float to a byte: `clamp(rne(f) + zero_point, lo, hi)` as `rne(clamp(f, lo - z, hi - z)) + z` (NUMERICS
/// section 5).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ByteRange {
    /// Zero point of the output.
    pub zero_point: i32,
    /// Smallest byte.
    pub low: i32,
    /// Largest byte, not below `low`.
    pub high: i32,
}

impl ByteRange {
    /// The byte of `f`. NaN, which integer paths cannot make, gives some byte.
    #[inline(always)]
    pub fn byte(self, f: f32) -> u8 {
        let (low, high) = ((self.low - self.zero_point) as f32, (self.high - self.zero_point) as f32);
        let above = if f > low { f } else { low };
        (round_small(if above < high { above } else { high }) + self.zero_point) as u8
    }
}

/// Test values: floats in about -8..8 with some ties, zeros of both signs and large values among them.
#[cfg(test)]
pub(crate) fn test_floats(count: usize, mut seed: u64) -> Vec<f32> {
    let next = move |_| {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let x = (seed >> 40) as f32 / (1u64 << 20) as f32 - 8.0;
        match seed >> 36 & 15 {
            0 => (x * 2.0).round() / 2.0,
            1 => x * 1000.0,
            2 => 0.0f32.copysign(x),
            _ => x,
        }
    };
    (0..count).map(next).collect()
}

/// Test values: bytes of the whole range.
#[cfg(test)]
pub(crate) fn test_bytes(count: usize, mut seed: u64) -> Vec<u8> {
    let next = move |_| {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 40) as u8
    };
    (0..count).map(next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cap_limits_the_choice() {
        assert_eq!(VectorIsa::best(Isa::Portable).name(), "portable");
        assert_ne!(VectorIsa::best(Isa::AvxVnni).name(), "avx512");
        assert_eq!(VectorIsa::best(Isa::AmxInt8).name(), VectorIsa::all().last().unwrap().name());
    }

    #[test]
    fn small_rounding_is_round_half_to_even() {
        for x in [0.0f32, -0.0, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.499_999_97, 254.5, -255.5, 4_194_303.5, -4_194_304.0] {
            assert_eq!(round_small(x), x.round_ties_even() as i32, "{x}");
        }
    }

    #[test]
    fn a_byte_is_rounded_before_the_zero_point_is_added() {
        let range = ByteRange { zero_point: 3, low: 0, high: 255 };
        assert_eq!(range.byte(0.5), 3);
        assert_eq!(range.byte(1.5), 5);
        assert_eq!(range.byte(f32::INFINITY), 255);
        assert_eq!(range.byte(-1e30), 0);
    }

    #[test]
    fn the_clamp_passes_nan_and_keeps_negative_zero() {
        let relu = Clamp { low: 0.0, high: f32::INFINITY };
        assert!(relu.apply(f32::NAN).is_nan());
        assert_eq!(relu.apply(-0.0).to_bits(), (-0.0f32).to_bits());
        assert_eq!(relu.apply(-1.0), 0.0);
        assert_eq!(Clamp { low: 0.0, high: 6.0 }.apply(7.0), 6.0);
    }
}
