//! Runs on a caller's pool, whatever it does with its tasks, have the bits of the library's own threads.
#[path = "support/caller_pools.rs"]
mod caller_pools;
#[path = "support/networks.rs"]
mod networks;
#[path = "support/pipeline_runs.rs"]
mod pipeline_runs;

use caller_pools::{POOLS, pool_context};
use networks::NetworkEntry;
use pipeline_runs::{bits, calibrated, context, graph, options, run};
use rsquant::isa::Isa;
use rsquant::pipeline::{Context, Model, Session, SessionOptions};
use rsquant::quantize::QConfig;
use rsquant::tensor::{TensorView, TensorViewMut};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

const ALL: Isa = Isa::AmxInt8;

fn named(name: &str) -> NetworkEntry {
    networks::all().into_iter().find(|network| network.name == name).unwrap()
}

/// The model files of a network: static and dynamic.
fn model_files(network: &NetworkEntry) -> [Vec<u8>; 2] {
    [QConfig::default_static(), QConfig::default_dynamic()]
        .map(|qconfig| calibrated(&context(1, ALL), network, &qconfig).convert().unwrap().to_bytes().unwrap())
}

/// What sessions of the model files and of the float network give on a context.
fn outputs(network: &NetworkEntry, files: &[Vec<u8>; 2], context: &Context) -> Vec<Vec<Vec<u32>>> {
    let of_model = |file: &Vec<u8>| Session::new(&Model::from_bytes(context, file).unwrap(), options(network)).unwrap();
    let float = Session::float(context, &graph(network), options(network)).unwrap();
    files.iter().map(of_model).chain([float]).map(|session| bits(&run(network, session))).collect()
}

#[test]
fn pools_of_any_kind_and_size_give_the_bits_of_the_librarys_own_threads() {
    for name in ["resnet_like", "squeeze_excite", "mobilenet_v3_like"] {
        let network = named(name);
        let files = model_files(&network);
        let expected = outputs(&network, &files, &context(1, ALL));
        for threads in 1..=8 {
            assert!(outputs(&network, &files, &context(threads, ALL)) == expected, "{name}: {threads} threads of its own");
            for (kind, pool) in POOLS {
                let found = outputs(&network, &files, &pool_context(pool, threads, ALL));
                assert!(found == expected, "{name}: a pool, {kind}, of {threads} threads");
            }
        }
    }
}

/// Batches below the number of threads, of whole rounds, and with a rest, run after run in one session.
#[test]
fn batches_of_any_size_give_the_same_on_every_pool() {
    const LARGEST: usize = 11;
    let network = named("resnet_like");
    let file = &model_files(&network)[0];
    let sample_dims = &network.inputs[0].shape[1..];
    let sample: usize = sample_dims.iter().product();
    let value = |index: usize| ((index as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / 8_388_608.0 - 1.0;
    let images: Vec<f32> = (0..LARGEST * sample).map(value).collect();
    let session = |context: &Context| {
        let options = SessionOptions { max_batch: LARGEST, ..SessionOptions::default() };
        Session::new(&Model::from_bytes(context, file).unwrap(), options).unwrap()
    };
    let run = |session: &mut Session, batch: usize| {
        let dims = [&[batch], sample_dims].concat();
        let out_dims = session.output_dims(std::slice::from_ref(&dims)).unwrap().remove(0);
        let mut out = vec![f32::NAN; out_dims.iter().product()];
        let views = [TensorView::f32(&images[..batch * sample], &dims).unwrap()];
        session.run(&views, &mut [TensorViewMut::f32(&mut out, &out_dims).unwrap()]).unwrap();
        out.into_iter().map(f32::to_bits).collect::<Vec<_>>()
    };
    let expected = run(&mut session(&context(1, ALL)), LARGEST);
    for threads in [1, 2, 3, 8] {
        let own = ("the library's own", context(threads, ALL));
        let pools = POOLS.map(|(kind, pool)| (kind, pool_context(pool, threads, ALL)));
        for (kind, context) in [own].into_iter().chain(pools) {
            let mut session = session(&context);
            for batch in (1..=LARGEST).chain([2, 1, 7]) {
                let found = run(&mut session, batch);
                assert!(found[..] == expected[..found.len()], "{kind}, {threads} threads, batch {batch}");
            }
        }
    }
}

/// The host's own threads, each in a task of the pool, run sessions that use the pool.
#[test]
fn sessions_run_from_the_pools_own_tasks_give_the_same() {
    let network = named("resnet_like");
    let files = model_files(&network);
    let expected = outputs(&network, &files, &context(1, ALL));
    for (kind, pool) in POOLS {
        let context = pool_context(pool, 3, ALL);
        let runs = AtomicUsize::new(0);
        let task = |_| {
            assert!(outputs(&network, &files, &context) == expected, "{kind}");
            runs.fetch_add(1, SeqCst);
        };
        context.threads().fork_join(4, &task).unwrap();
        assert_eq!(runs.into_inner(), 4);
    }
}
