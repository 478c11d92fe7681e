//! Versions, status names, this thread's message, instruction sets.
use super::pointers::write_what_fits;
use super::status::{self, rsq_status};
use super::{guard, last_error};
use crate::isa::Isa;
use std::ffi::{CStr, c_char};

/// No instruction set: no cap in options.
pub const RSQ_ISA_NONE: u32 = 0;
/// Plain code.
pub const RSQ_ISA_PORTABLE: u32 = 1;
/// AVX2 and FMA.
pub const RSQ_ISA_AVX2: u32 = 2;
/// 256-bit int8 dot products.
pub const RSQ_ISA_AVX_VNNI: u32 = 3;
/// 512-bit int8 dot products.
pub const RSQ_ISA_AVX512_VNNI: u32 = 4;
/// AMX int8 tiles.
pub const RSQ_ISA_AMX_INT8: u32 = 5;

/// The number of an instruction set.
pub(super) fn isa_number(isa: Isa) -> u32 {
    match isa {
        Isa::Portable => RSQ_ISA_PORTABLE,
        Isa::Avx2 => RSQ_ISA_AVX2,
        Isa::AvxVnni => RSQ_ISA_AVX_VNNI,
        Isa::Avx512Vnni => RSQ_ISA_AVX512_VNNI,
        Isa::AmxInt8 => RSQ_ISA_AMX_INT8,
    }
}

/// The instruction set with that number.
pub(super) fn isa_from_number(number: u32) -> Option<Isa> {
    Isa::ALL.into_iter().find(|&isa| isa_number(isa) == number)
}

/// A part of the version in `Cargo.toml`.
const fn number(digits: &str) -> u32 {
    let (digits, mut value, mut index) = (digits.as_bytes(), 0, 0);
    while index < digits.len() {
        value = value * 10 + (digits[index] - b'0') as u32;
        index += 1;
    }
    value
}

const VERSION_NUMBER: u32 = number(env!("CARGO_PKG_VERSION_MAJOR")) * 10_000
    + number(env!("CARGO_PKG_VERSION_MINOR")) * 100
    + number(env!("CARGO_PKG_VERSION_PATCH"));
const VERSION_STRING: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(text) => text,
    Err(_) => panic!("a version has no NUL"),
};
const ABI_VERSION: u32 = number(env!("RSQ_ABI_VERSION"));

/// The library's version: `major * 10000 + minor * 100 + patch`, as `RSQ_VERSION_NUMBER` was when the caller was compiled.
#[unsafe(no_mangle)]
pub extern "C" fn rsq_version_number() -> u32 {
    VERSION_NUMBER
}

/// The library's version as text, such as "0.1.0". Never freed.
#[unsafe(no_mangle)]
pub extern "C" fn rsq_version_string() -> *const c_char {
    VERSION_STRING.as_ptr()
}

/// The version of the binary interface. The library serves callers that were compiled with the same `RSQ_ABI_VERSION`.
#[unsafe(no_mangle)]
pub extern "C" fn rsq_abi_version() -> u32 {
    ABI_VERSION
}

/// A status' name, such as "SHAPE_MISMATCH"; "UNKNOWN" for a number that this version does not have. Never freed.
#[unsafe(no_mangle)]
pub extern "C" fn rsq_status_name(status: rsq_status) -> *const c_char {
    status::name(status).as_ptr()
}

/// The message of this thread's last failed call: which file, node, tensor or index was refused, and why. UTF-8, empty
/// before the first failure, replaced by the next; calls that succeed keep it.
///
/// Copies what fits of it, and a NUL, to `buffer` of `capacity` bytes (NULL or 0: nothing). Returns its full length
/// without the NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_last_error(buffer: *mut c_char, capacity: usize) -> usize {
    last_error::with(|message| {
        // SAFETY: the caller's promise.
        unsafe { write_what_fits(message, buffer, capacity) };
        message.len()
    })
}

/// The best instruction set of this CPU, one of `RSQ_ISA_`. Contexts may be capped lower: by their options and by the
/// environment variable `RSQ_MAX_ISA`, which holds a name as `rsq_isa_name` gives it.
#[unsafe(no_mangle)]
pub extern "C" fn rsq_isa_detected() -> u32 {
    guard::value(RSQ_ISA_PORTABLE, || Ok(isa_number(Isa::detected())))
}

/// An instruction set's name: "portable", "avx2", "avx_vnni", "avx512_vnni", "amx_int8"; "unknown" for other numbers.
/// Never freed.
#[unsafe(no_mangle)]
pub extern "C" fn rsq_isa_name(isa: u32) -> *const c_char {
    let name = match isa {
        RSQ_ISA_PORTABLE => c"portable",
        RSQ_ISA_AVX2 => c"avx2",
        RSQ_ISA_AVX_VNNI => c"avx_vnni",
        RSQ_ISA_AVX512_VNNI => c"avx512_vnni",
        RSQ_ISA_AMX_INT8 => c"amx_int8",
        _ => c"unknown",
    };
    name.as_ptr()
}

#[cfg(test)]
mod tests {
    use super::super::status::Failure;
    use super::*;

    fn text(pointer: *const c_char) -> &'static str {
        // SAFETY: the functions return static C strings.
        unsafe { CStr::from_ptr(pointer) }.to_str().unwrap()
    }

    #[test]
    fn versions_are_those_of_the_package() {
        assert_eq!(text(rsq_version_string()), env!("CARGO_PKG_VERSION"));
        let parts: Vec<u32> = env!("CARGO_PKG_VERSION").split('.').map(|part| part.parse().unwrap()).collect();
        assert_eq!(rsq_version_number(), parts[0] * 10_000 + parts[1] * 100 + parts[2]);
        assert_eq!(rsq_abi_version().to_string(), env!("RSQ_ABI_VERSION"));
    }

    #[test]
    fn names_and_numbers_agree_with_the_core() {
        for isa in Isa::ALL {
            assert_eq!(text(rsq_isa_name(isa_number(isa))), isa.name());
            assert_eq!(isa_from_number(isa_number(isa)), Some(isa));
        }
        for unknown in [RSQ_ISA_NONE, 6, u32::MAX] {
            assert_eq!((text(rsq_isa_name(unknown)), isa_from_number(unknown)), ("unknown", None));
        }
        assert_eq!(isa_from_number(rsq_isa_detected()), Some(Isa::detected()));
        assert_eq!(text(rsq_status_name(10)), "SHAPE_MISMATCH");
        assert_eq!(text(rsq_status_name(-5)), "UNKNOWN");
    }

    #[test]
    fn the_last_message_is_copied_as_far_as_it_fits() {
        guard::call(|| Err(Failure::invalid("caf\u{e9}")));
        let mut buffer = [1 as c_char; 8];
        // SAFETY: NULL, or a buffer with that capacity.
        unsafe {
            assert_eq!(rsq_last_error(std::ptr::null_mut(), 0), 5);
            assert_eq!(rsq_last_error(buffer.as_mut_ptr(), 5), 5);
            assert_eq!(CStr::from_ptr(buffer.as_ptr()), c"caf");
            assert_eq!(rsq_last_error(buffer.as_mut_ptr(), 8), 5);
            assert_eq!(CStr::from_ptr(buffer.as_ptr()).to_str(), Ok("caf\u{e9}"));
        }
        assert_eq!(buffer[6..], [1, 1]);
    }
}
