//! ONNX models: see `hostile_targets`.
#![no_main]
#[path = "../../tests/support/mutate.rs"]
#[allow(dead_code)] // Each target uses the part for its format.
mod mutate;
mod mutation;
#[path = "../../tests/support/hostile_targets.rs"]
#[allow(dead_code)] // Likewise.
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    targets::importer(bytes);
});

libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutation::apply(data, size, max_size, seed, mutate::onnx_with)
});
