//! Every kernel of the registries against the reference, and what the registries promise.
use super::conformance::{check_depthwise, check_golden, check_int8, check_winograd};
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
fn every_winograd_kernel_equals_the_reference_byte_for_byte() {
    let kernels = int8_kernels(Isa::AmxInt8);
    let mut ran = Vec::new();
    for (isa, kernel) in kernels.iter().flat_map(|kernel| kernel.winograd().into_iter().map(|winograd| (kernel.isa(), winograd))) {
        println!("RAN: {} ({} cases)", kernel.name(), check_winograd(kernel.as_ref()));
        ran.push(isa);
    }
    match ran.is_empty() {
        true => println!("SKIPPED: no kernel of this CPU multiplies by Winograd's tiles"),
        false => report_skipped(&ran),
    }
}

#[test]
fn winograd_is_refused_for_weights_whose_sums_could_grow_too_large() {
    let kernels = int8_kernels(Isa::AmxInt8);
    let kernels: Vec<_> = kernels.iter().flat_map(|kernel| kernel.winograd()).collect();
    if kernels.is_empty() {
        println!("SKIPPED: no kernel of this CPU multiplies by Winograd's tiles");
    }
    for kernel in kernels {
        // 64 y of a tile of 4 x 4, 4 y of one of 2 x 2, must stay below 2^31.
        let most = if kernel.tile_side() == 4 { 1usize << 25 } else { 1 << 29 };
        let fitting = (most - 1) / (255 * 128) / 9 * 9;
        for channel in [0, 7, 8, 15] {
            let panel = |weights: usize, value: i8| {
                let mut panel = vec![0i8; weights.next_multiple_of(36) / 4 * 64];
                (0..weights).for_each(|k| panel[k / 4 * 64 + channel * 4 + k % 4] = value);
                panel
            };
            let (fits, grows) = (panel(fitting, -128), panel(fitting + 9, -128));
            assert!(kernel.is_exact(&fits, fits.len()), "{} refuses sums of {fitting} weights of -128", kernel.name());
            assert!(!kernel.is_exact(&grows, grows.len()), "{} takes sums of {} weights of -128", kernel.name(), fitting + 9);
            let both = [fits.clone(), fits.iter().map(|_| 0).collect()].concat();
            assert!(kernel.is_exact(&both, fits.len()));
            // Weights of both signs cancel in no output that is the largest.
            let mixed = panel(fitting + 9, 127).iter().enumerate().map(|(at, &w)| if at % 4 < 2 { w } else { -w }).collect::<Vec<_>>();
            assert!(kernel.is_exact(&mixed, mixed.len()));
        }
    }
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
