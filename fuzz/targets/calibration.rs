//! Calibration files: see `hostile_targets`.
#![no_main]
#[path = "../../tests/support/mutate.rs"]
#[allow(dead_code)] // Each target uses the part for its format.
mod mutate;
mod mutation;
#[path = "../../tests/support/hostile_targets.rs"]
#[allow(dead_code)] // Likewise.
mod targets;

use std::sync::OnceLock;

static NETWORK: OnceLock<targets::Calibrated> = OnceLock::new();

fn network() -> &'static targets::Calibrated {
    NETWORK.get_or_init(targets::Calibrated::with_every_observer)
}

libfuzzer_sys::fuzz_target!(
    init: network().write_seeds(),
    |bytes: &[u8]| {
        network().calibration_file(bytes);
    }
);

libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    mutation::apply(data, size, max_size, seed, mutate::calibration_with)
});
