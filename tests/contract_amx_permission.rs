//! Contract line 17: the permission to use AMX is asked for by the first plan that wants it and by nothing before, never below `amx_int8`;
//! where it is denied, everything works with the same bits. On any x86-64 machine with AVX-512 VNNI: AMX is pretended, and tile instructions
//! are executed by a trap handler where the CPU has none. The pretence is the process's, so this file has one test.
#![cfg(all(target_arch = "x86_64", target_os = "linux", feature = "x86"))]
#[path = "support/amx_trap/mod.rs"]
mod amx_trap;
#[path = "support/networks.rs"]
mod networks;
#[path = "support/pipeline_runs.rs"]
mod pipeline_runs;

use pipeline_runs::{calibrated, context, graph, options, run};
use rsquant::isa::{Avx512Vnni, Isa, amx_pretence};
use rsquant::pipeline::Session;
use rsquant::quantize::QConfig;

#[test]
fn line_17_amx_permission_is_asked_for_by_the_first_amx_plan_alone_and_may_be_denied() {
    if Avx512Vnni::detect().is_none() {
        println!("SKIPPED: this CPU has no AVX-512 VNNI, which AMX comes with");
        return;
    }
    let network = networks::all().into_iter().find(|network| network.name == "resnet_like").unwrap();
    let tiles = amx_trap::install();
    let expected = {
        let model = calibrated(&context(1, Isa::Avx512Vnni), &network, &QConfig::default_static()).convert().unwrap();
        run(&network, Session::new(&model, options(&network)).unwrap())
    };
    // SAFETY: nothing is granted.
    unsafe { amx_pretence::begin(false) };
    assert_eq!(Isa::detected(), Isa::AmxInt8);

    // Everything but an int8 plan, with AMX allowed.
    let all = context(1, Isa::AmxInt8);
    let model = calibrated(&all, &network, &QConfig::default_static()).convert().unwrap();
    let bytes = model.to_bytes().unwrap();
    run(&network, Session::float(&all, &graph(&network), options(&network)).unwrap());
    assert_eq!(amx_pretence::requests(), 0, "import, calibration, conversion and float runs asked for AMX");

    // Every level below it.
    for isa in [Isa::Portable, Isa::Avx2, Isa::AvxVnni, Isa::Avx512Vnni] {
        let model = calibrated(&context(1, isa), &network, &QConfig::default_static()).convert().unwrap();
        assert!(model.to_bytes().unwrap() == bytes, "{isa}");
        assert_eq!(run(&network, Session::new(&model, options(&network)).unwrap()), expected, "{isa}");
    }
    assert_eq!(amx_pretence::requests(), 0, "a plan below amx_int8 asked for AMX");

    // Denied: the next best level runs.
    let denied = Session::new(&model, options(&network)).unwrap();
    assert!(amx_pretence::requests() > 0, "an AMX plan asked for nothing");
    assert!(denied.steps().iter().all(|step| !step.kernel.contains("amx")), "a denied AMX is used");
    assert_eq!(run(&network, denied), expected);

    // SAFETY: tile instructions are executable from `install` on.
    unsafe { amx_pretence::begin(true) };
    let granted = Session::new(&model, options(&network)).unwrap();
    assert!(granted.steps().iter().any(|step| step.kernel.contains("amx")), "a granted AMX is not used");
    let before = amx_trap::executed();
    assert_eq!(run(&network, granted), expected);
    assert_eq!(tiles == amx_trap::TilesBy::Trap, amx_trap::executed() > before, "{tiles}");
    println!("RAN: denied by the pretence, granted with {tiles}");
}
