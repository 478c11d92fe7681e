//! Contract lines 14 and 15: a run allocates nothing and stays inside its buffers; sessions of one model on many threads
//! give one thread's result. The allocator counts all threads, so this file has one test,
//! and the models are made by another process: calibration's and conversion's idle threads would be counted here.
#![cfg(unix)]
#[path = "support/c_api.rs"]
mod c_api;
#[path = "support/networks.rs"]
mod networks;

use c_api::*;
use rsquant::ffi::*;
use std::alloc::{GlobalAlloc, Layout, System};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

struct Counting;
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every request goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, SeqCst);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(start, layout) }
    }
}

#[global_allocator]
static GLOBAL: Counting = Counting;

/// Memory that ends at a page that nobody may touch, and begins behind one if it fills its pages.
struct Guarded {
    start: *mut u8,
    mapped: usize,
    data: *mut f32,
}

impl Guarded {
    fn new(floats: usize) -> Self {
        const PAGE: usize = 4096;
        let inner = (floats * 4).next_multiple_of(PAGE).max(PAGE);
        let mapped = inner + 2 * PAGE;
        // SAFETY: a new mapping, whose inner pages are then opened.
        unsafe {
            let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            let start = libc::mmap(std::ptr::null_mut(), mapped, libc::PROT_NONE, flags, -1, 0).cast::<u8>();
            assert_ne!(start.cast(), libc::MAP_FAILED);
            assert_eq!(libc::mprotect(start.add(PAGE).cast(), inner, libc::PROT_READ | libc::PROT_WRITE), 0);
            Self { start, mapped, data: start.add(PAGE + inner - floats * 4).cast() }
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: mapped in `new` with that size.
        unsafe { libc::munmap(self.start.cast(), self.mapped) };
    }
}

/// The tensors of a batch of `batch` samples, repeated from the network's own.
fn batch_of(network: &networks::NetworkEntry, batch: usize) -> Vec<Floats> {
    let tensor = |(index, entry): (usize, &networks::TensorEntry)| {
        let mut shape = entry.shape.clone();
        let sample: usize = shape[1..].iter().product();
        shape[0] = batch;
        let values = network.floats("input", index)[..sample].repeat(batch);
        Floats::new(&shape, values)
    };
    network.inputs.iter().enumerate().map(tensor).collect()
}

/// Set for the process that makes the models: the folder for their files.
const FOLDER_OF_MODELS: &str = "RSQUANT_CONTRACT_RUN_MODELS";
const NETWORKS: [&str; 6] = ["squeeze_excite", "mobilenet_v3_like", "resnet_like", "two_inputs_two_outputs", "mlp", "attention"];
const KINDS: [&str; 3] = ["static", "dynamic", "mixed"];

fn model_file(folder: &Path, network: &networks::NetworkEntry, kind: &str) -> PathBuf {
    folder.join(format!("{}-{kind}.rsq", network.name))
}

/// Writes the static, the dynamic and the mixed model of a network.
fn make_models(folder: &Path, network: &networks::NetworkEntry) {
    let graph = Graph::from_bytes(None, &std::fs::read(network.model()).unwrap()).unwrap();
    // Dynamic convolutions between static layers, or where a network has none, its layers in turn.
    let mixed = QConfig::new_static().unwrap();
    let operator = network.operators.iter().find(|&name| ["Conv", "Gemm", "MatMul"].contains(&name.as_str())).unwrap();
    mixed.set(&format!("op:{operator}"), |layer| layer.precision = RSQ_PRECISION_INT8_DYNAMIC).unwrap();
    for (kind, qconfig) in KINDS.into_iter().zip([QConfig::new_static().unwrap(), QConfig::new_dynamic().unwrap(), mixed]) {
        let prepared = Prepared::new(None, &graph, &qconfig).unwrap_or_else(|status| panic!("{kind}: {status}, {}", message()));
        prepared.calibrate(&batch_of(network, 2)).unwrap();
        prepared.convert().unwrap().save(&model_file(folder, network, kind)).unwrap();
    }
}

/// Static, dynamic, mixed and float sessions of a network, for batches up to `batch`.
fn sessions(context: &Context, folder: &Path, network: &networks::NetworkEntry, batch: usize) -> Vec<(&'static str, Session)> {
    let graph = Graph::from_bytes(Some(context), &std::fs::read(network.model()).unwrap()).unwrap();
    let quantized = KINDS.into_iter().map(|kind| {
        let model = Model::load(Some(context), &model_file(folder, network, kind)).unwrap();
        (kind, Session::new(&model, batch).unwrap())
    });
    let mut all: Vec<_> = quantized.collect();
    all.push(("float", Session::float(Some(context), &graph, batch).unwrap()));
    all
}

/// Runs every batch up to the largest on guarded memory, counting allocations.
fn runs_allocate_nothing_and_stay_inside(folder: &Path, network: &networks::NetworkEntry, threads: u32) {
    const LARGEST: usize = 5;
    let context = Context::with_threads(threads);
    for (name, session) in sessions(&context, folder, network, LARGEST) {
        for batch in (0..=LARGEST).rev() {
            let inputs = batch_of(network, batch);
            let expected = session.run(&inputs).unwrap();
            let guarded_inputs: Vec<_> = inputs.iter().map(|input| Guarded::new(input.values.len())).collect();
            let guarded_outputs: Vec<_> = expected.iter().map(|output| Guarded::new(output.values.len())).collect();
            let views: Vec<_> = inputs
                .iter()
                .zip(&guarded_inputs)
                .map(|(input, guarded)| {
                    // SAFETY: as many floats as that.
                    unsafe { guarded.data.copy_from_nonoverlapping(input.values.as_ptr(), input.values.len()) };
                    rsq_tensor_view { data: guarded.data.cast(), ..input.view() }
                })
                .collect();
            let mut written = expected.clone();
            let muts: Vec<_> = written
                .iter_mut()
                .zip(&guarded_outputs)
                .map(|(output, guarded)| rsq_tensor_mut { data: guarded.data.cast(), ..output.view_mut() })
                .collect();
            let before = ALLOCATIONS.load(SeqCst);
            // SAFETY: the tensors live for the call.
            let status = unsafe { rsq_run(session.0, views.as_ptr(), views.len(), muts.as_ptr(), muts.len()) };
            let allocations = ALLOCATIONS.load(SeqCst) - before;
            let what = format!("{} {name}, {threads} threads, batch {batch}", network.name);
            assert_eq!((status, allocations), (RSQ_OK, 0), "{what}: status and allocations");
            for (expected, guarded) in expected.iter().zip(&guarded_outputs) {
                // SAFETY: as many floats as that.
                let found = unsafe { std::slice::from_raw_parts(guarded.data, expected.values.len()) };
                assert_eq!(found, expected.values, "{what}");
            }
        }
    }
}

/// 8 threads with a session each give the bits of one, and a session that is in use is busy.
fn sessions_of_one_model_share_nothing_but_the_model(network: &networks::NetworkEntry) {
    let context = Context::with_threads(2);
    let inputs = batch_of(network, 3);
    let graph = Graph::from_bytes(Some(&context), &std::fs::read(network.model()).unwrap()).unwrap();
    let prepared = Prepared::new(Some(&context), &graph, &QConfig::new_static().unwrap()).unwrap();
    prepared.calibrate(&inputs).unwrap();
    let model = prepared.convert().unwrap();
    let expected = Session::new(&model, 3).unwrap().run(&inputs).unwrap();
    let (model, inputs, expected) = (&model, &inputs, &expected);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(move || {
                let session = Session::new(model, 3).unwrap();
                for _ in 0..100 {
                    assert!(session.run(inputs).unwrap() == *expected);
                }
            });
        }
    });
    let session = &Session::new(model, 3).unwrap();
    let (done, busy) = (&AtomicUsize::new(0), &AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(move || {
                let mut outputs = expected.clone();
                while busy.load(SeqCst) == 0 || done.load(SeqCst) == 0 {
                    outputs.iter_mut().for_each(|output| output.values.fill(f32::NAN));
                    match session.run_into(inputs, &mut outputs) {
                        Ok(()) => {
                            assert!(outputs == *expected);
                            done.fetch_add(1, SeqCst);
                        }
                        Err(status) => {
                            assert_eq!(status, RSQ_BUSY, "{}", message());
                            assert!(outputs.iter().all(|output| output.values.iter().all(|value| value.is_nan())), "written though busy");
                            busy.fetch_add(1, SeqCst);
                        }
                    }
                }
            });
        }
    });
}

#[test]
fn lines_14_and_15_runs_allocate_nothing_stay_inside_their_buffers_and_disturb_no_other_session() {
    let all = networks::all();
    let of_name = |name: &str| all.iter().find(|network| network.name == name).unwrap();
    if let Some(folder) = std::env::var_os(FOLDER_OF_MODELS) {
        NETWORKS.into_iter().for_each(|name| make_models(Path::new(&folder), of_name(name)));
        return;
    }
    let folder = std::env::temp_dir().join(format!("rsquant-contract-run-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let maker = Command::new(std::env::current_exe().unwrap()).env(FOLDER_OF_MODELS, &folder).output().unwrap();
    assert!(maker.status.success(), "{}", String::from_utf8_lossy(&maker.stdout));
    assert!(ALLOCATIONS.load(SeqCst) > 0, "the counter counts");
    for name in NETWORKS {
        for threads in [1, 3] {
            runs_allocate_nothing_and_stay_inside(&folder, of_name(name), threads);
        }
    }
    std::fs::remove_dir_all(folder).unwrap();
    sessions_of_one_model_share_nothing_but_the_model(of_name("resnet_like"));
}
