//! Sequences of calls of the C API: see `api_sequences`.
#![no_main]
#[path = "../../tests/support/api_sequences/mod.rs"]
mod api_sequences;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    api_sequences::run(bytes);
});
