//! Whole sessions on AMX: by the CPU where it has AMX, elsewhere with a handler that executes their tile instructions. The bits
//! are those of the portable kernels. Each test says what executed the tiles.
#![cfg(all(target_arch = "x86_64", target_os = "linux", feature = "x86"))]
#[path = "support/amx_trap/mod.rs"]
mod amx_trap;
#[path = "support/caller_pools.rs"]
mod caller_pools;
#[path = "support/networks.rs"]
mod networks;
#[path = "support/pipeline_runs.rs"]
mod pipeline_runs;

use amx_trap::TilesBy;
use caller_pools::{POOLS, pool_context};
use networks::{NetworkEntry, all};
use pipeline_runs::{bits, calibrated, context, noise, options, run_model};
use rsquant::graph::{Conv2dAttributes, Graph, GraphBuilder, Padding};
use rsquant::isa::{AmxInt8, Avx512, Isa};
use rsquant::pipeline::{Context, FloatGraph, Model, Prepared, Session, SessionOptions};
use rsquant::quantize::QConfig;
use rsquant::tensor::{TensorView, TensorViewMut};
use std::sync::OnceLock;

/// Makes sessions use AMX, and says what executes its instructions; nothing where its epilogue cannot run.
fn tiles() -> Option<TilesBy> {
    static BY: OnceLock<Option<TilesBy>> = OnceLock::new();
    *BY.get_or_init(|| {
        if Avx512::detect().is_none() {
            return None;
        }
        let by = amx_trap::install();
        // SAFETY: tile instructions are executable from here on, on every thread.
        unsafe { AmxInt8::assume_everywhere() };
        Some(by)
    })
}

fn modes() -> [(&'static str, QConfig); 2] {
    [("static", QConfig::default_static()), ("dynamic", QConfig::default_dynamic())]
}

/// Every small network of the tests' data whose int8 products are few enough for a handler.
#[test]
fn small_networks_have_the_bits_of_the_portable_kernels() {
    let Some(by) = tiles() else {
        println!("SKIPPED: sessions on amx_int8 (this CPU has no AVX-512 for their epilogue)");
        return;
    };
    let (mut layers, before) = (0, amx_trap::executed());
    let networks = all();
    for network in &networks {
        for (mode, qconfig) in modes() {
            let on = |isa: Isa, threads: usize| {
                let model = calibrated(&context(threads, isa), network, &qconfig).convert().unwrap();
                (bits(&run_model(network, &model)), amx_layers(network, &model))
            };
            let (expected, none) = on(Isa::Portable, 1);
            let (got, on_tiles) = on(Isa::AmxInt8, 2);
            assert_eq!(none, 0);
            assert!(got == expected, "{} {mode}", network.name);
            layers += on_tiles;
        }
    }
    println!("RAN: {} networks, static and dynamic, {layers} layers on tiles ({by})", networks.len());
    assert!(layers > 20, "{layers} layers on tiles");
    assert_eq!(by == TilesBy::Trap, amx_trap::executed() > before);
}

/// Any thread of a pool computes any part: each configures its own tiles.
#[test]
fn sessions_on_a_callers_pool_have_the_bits_of_the_portable_kernels() {
    let Some(by) = tiles() else {
        println!("SKIPPED: a pool's sessions on amx_int8 (this CPU has no AVX-512 for their epilogue)");
        return;
    };
    let before = amx_trap::executed();
    let networks = all();
    let network = networks.iter().find(|network| network.name == "resnet_like").unwrap();
    for (mode, qconfig) in modes() {
        let file = calibrated(&context(1, Isa::Portable), network, &qconfig).convert().unwrap().to_bytes().unwrap();
        let on = |context: &Context| bits(&run_model(network, &Model::from_bytes(context, &file).unwrap()));
        let expected = on(&context(1, Isa::Portable));
        for (kind, pool) in POOLS {
            for threads in [2, 5] {
                assert!(on(&pool_context(pool, threads, Isa::AmxInt8)) == expected, "{mode}, {kind}, {threads} threads");
            }
        }
    }
    println!("RAN: {} kinds of pools, static and dynamic ({by})", POOLS.len());
    assert_eq!(by == TilesBy::Trap, amx_trap::executed() > before);
}

/// Layers that the AMX kernel computes.
fn amx_layers(network: &NetworkEntry, model: &Model) -> usize {
    let session = Session::new(model, options(network)).unwrap();
    session.steps().iter().filter(|info| info.kernel.contains("amx_int8")).count()
}

/// A first layer of `kernel x kernel` taps that steps two pixels at a time, and a layer behind it.
fn stem(size: [usize; 2], channels: usize, kernel: usize, [top, left, bottom, right]: [usize; 4]) -> Graph {
    let mut builder = GraphBuilder::new();
    let image = builder.input("image", &[None, Some(channels), Some(size[0]), Some(size[1])]).unwrap();
    let attributes = Conv2dAttributes {
        strides: [2, 2],
        padding: Padding::Explicit { top, left, bottom, right },
        ..Conv2dAttributes::new(channels, 20, [kernel; 2])
    };
    let weights = noise(20 * channels * kernel * kernel, 3);
    let x = builder.conv2d("stem", image, &weights, Some(&noise(20, 4)), attributes).unwrap();
    let x = builder.relu("relu", x).unwrap();
    let x = builder.conv2d("behind", x, &noise(8 * 20, 5), None, Conv2dAttributes::new(20, 8, [1, 1])).unwrap();
    builder.finish(&[x]).unwrap()
}

/// First layers whose image rows come in pairs: odd and even heights, paddings and kernels, one to three channels, whole batches,
/// parts of several threads.
#[test]
fn first_layers_over_pairs_of_rows_have_the_bits_of_the_portable_kernels() {
    let Some(by) = tiles() else {
        println!("SKIPPED: first layers on amx_int8 (this CPU has no AVX-512 for their epilogue)");
        return;
    };
    let cases = [
        ([32, 34], 3, 7, [3, 3, 3, 3]),
        ([31, 36], 3, 7, [3, 2, 2, 3]),
        ([20, 40], 1, 3, [1, 1, 1, 1]),
        ([21, 33], 3, 3, [0, 1, 1, 0]),
        ([13, 50], 4, 5, [2, 2, 2, 2]),
        ([12, 47], 2, 2, [0, 0, 0, 0]),
        ([15, 38], 3, 4, [1, 1, 2, 2]),
        ([5, 40], 3, 6, [5, 5, 5, 5]),
    ];
    let before = amx_trap::executed();
    for (size, channels, kernel, padding) in cases {
        let graph = FloatGraph::from_graph(stem(size, channels, kernel, padding)).unwrap();
        let (batch, sample) = (3, channels * size[0] * size[1]);
        let images = noise(batch * sample, 9);
        for (mode, qconfig) in modes() {
            let on = |isa: Isa, threads: usize| {
                let mut prepared = Prepared::new(&context(threads, isa), &graph, &qconfig, None).unwrap();
                let dims = [batch, channels, size[0], size[1]];
                let views = [TensorView::f32(&images, &dims).unwrap()];
                prepared.calibrate(&views).unwrap();
                let options = SessionOptions { max_batch: batch, ..SessionOptions::default() };
                let mut session = Session::new(&prepared.convert().unwrap(), options).unwrap();
                let out_dims = session.output_dims(&[dims.to_vec()]).unwrap().remove(0);
                let mut out = vec![f32::NAN; out_dims.iter().product()];
                session.run(&views, &mut [TensorViewMut::f32(&mut out, &out_dims).unwrap()]).unwrap();
                out.into_iter().map(f32::to_bits).collect::<Vec<_>>()
            };
            let expected = on(Isa::Portable, 1);
            assert!(expected.iter().any(|&bits| f32::from_bits(bits) != 0.0));
            for threads in [1, 2] {
                assert!(on(Isa::AmxInt8, threads) == expected, "{size:?} x {channels}, kernel {kernel}, {mode}, {threads} threads");
            }
        }
    }
    println!("RAN: {} first layers, static and dynamic ({by})", cases.len());
    assert_eq!(by == TilesBy::Trap, amx_trap::executed() > before);
}
