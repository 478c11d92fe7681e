//! Every kernel of the registries against the reference, and what the registries promise.
use super::conformance::{check_depthwise, check_golden, check_int8};
use super::{depthwise_kernels, int8_kernel_by_name, int8_kernels};
use crate::isa::Isa;

/// Says which levels no kernel of the registry covers here, and why.
fn report_skipped(ran: &[Isa]) {
    assert!(!ran.is_empty(), "no kernel ran");
    for isa in Isa::ALL.into_iter().filter(|isa| !ran.contains(isa)) {
        let why = if isa > Isa::detected() { "not on this CPU" } else { "no kernel of that level" };
        println!("SKIPPED: {isa} ({why})");
    }
}

#[test]
fn every_int8_kernel_equals_the_reference_byte_for_byte() {
    let kernels = int8_kernels(Isa::AmxInt8);
    for kernel in &kernels {
        println!("RAN: {} ({} cases)", kernel.name(), check_int8(kernel.as_ref()));
    }
    report_skipped(&kernels.iter().map(|kernel| kernel.isa()).collect::<Vec<_>>());
}

#[test]
fn every_int8_kernel_gives_the_golden_bytes() {
    let kernels = int8_kernels(Isa::AmxInt8);
    for kernel in &kernels {
        println!("RAN: {} ({} cases)", kernel.name(), check_golden(kernel.as_ref()));
    }
    report_skipped(&kernels.iter().map(|kernel| kernel.isa()).collect::<Vec<_>>());
}

#[test]
fn every_depthwise_kernel_equals_the_reference_byte_for_byte() {
    let kernels = depthwise_kernels(Isa::AmxInt8);
    for kernel in &kernels {
        println!("RAN: {} ({} cases)", kernel.name(), check_depthwise(kernel.as_ref()));
    }
    report_skipped(&kernels.iter().map(|kernel| kernel.isa()).collect::<Vec<_>>());
}

#[test]
fn registries_are_ordered_best_first_and_end_with_portable() {
    for cap in Isa::ALL {
        let levels: Vec<_> = int8_kernels(cap).iter().map(|kernel| kernel.isa()).collect();
        assert!(levels.is_sorted_by(|a, b| a >= b) && levels[0] <= cap, "{levels:?} below {cap}");
        assert_eq!(levels.last(), Some(&Isa::Portable));
        let levels: Vec<_> = depthwise_kernels(cap).iter().map(|kernel| kernel.isa()).collect();
        assert!(levels.is_sorted_by(|a, b| a >= b) && levels[0] <= cap, "{levels:?} below {cap}");
        assert_eq!(levels.last(), Some(&Isa::Portable));
    }
}

#[test]
fn a_kernel_is_found_by_its_name_and_an_unknown_name_lists_the_known() {
    for kernel in int8_kernels(Isa::AmxInt8) {
        assert_eq!(int8_kernel_by_name(kernel.name()).map(|found| found.name()), Ok(kernel.name()));
    }
    let message = int8_kernel_by_name("nonesuch").err().map(|error| error.to_string());
    assert!(message.is_some_and(|text| text.contains("nonesuch") && text.contains("u8s8s32-1x16-portable")));
}
