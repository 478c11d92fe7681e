//! What the fuzz targets found worth keeping, done again: no input crashes, takes long, or takes more memory than its size allows.
//! `scripts/fuzz.sh` looks for more. It counts allocations on all threads, so this file has one test.
#[path = "support/api_sequences/mod.rs"]
mod api_sequences;
#[path = "support/counting_allocator.rs"]
mod counting_allocator;
#[path = "support/hostile_targets.rs"]
#[allow(dead_code)] // The fuzz targets write seeds with it.
mod targets;

use counting_allocator::{Counting, peak_of};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What an import may take beside eight times the file.
const MOST_BYTES: usize = 64 << 20;
/// The longest that any input may take: 10 s are promised for import alone.
const LONGEST: Duration = Duration::from_secs(10);

/// The inputs of a target, in order.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/fuzz").join(target);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

/// Does `work` with each input of a target. How many of them it takes.
fn replay(target: &str, least: usize, work: impl Fn(&[u8]) -> bool) -> usize {
    let corpus = corpus(target);
    assert!(corpus.len() >= least, "{target}: only {} inputs", corpus.len());
    let done = |(path, bytes): (PathBuf, Vec<u8>)| {
        let start = Instant::now();
        let taken = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&bytes)));
        let taken = taken.unwrap_or_else(|_| panic!("{} is a finding", path.display()));
        assert!(start.elapsed() < LONGEST, "{} takes {:?}", path.display(), start.elapsed());
        usize::from(taken)
    };
    corpus.into_iter().map(done).sum()
}

/// Reads `bytes` by `read`, which may not take more than the contract allows.
fn bounded<T>(bytes: &[u8], read: impl FnOnce(&[u8]) -> T) {
    let (_, peak) = peak_of(|| read(bytes));
    assert!(peak <= MOST_BYTES + 8 * bytes.len(), "reading {} bytes took {peak}", bytes.len());
}

#[test]
fn lines_1_2_4_and_11_hold_for_every_input_that_fuzzing_kept() {
    let context = rsquant::pipeline::Context::default_context().unwrap();
    let network = targets::Calibrated::with_every_observer();
    let taken = [
        replay("onnx", 100, |bytes| {
            bounded(bytes, |bytes| rsquant::pipeline::FloatGraph::from_onnx_bytes(bytes).is_ok());
            targets::importer(bytes)
        }),
        replay("model", 100, |bytes| {
            bounded(bytes, |bytes| rsquant::pipeline::Model::from_bytes(&context, bytes).is_ok());
            targets::model_file(bytes)
        }),
        replay("calibration", 30, |bytes| network.calibration_file(bytes)),
        replay("recipe", 50, targets::recipe),
        replay("api", 100, |bytes| api_sequences::run(bytes) > 0),
    ];
    assert!(taken.iter().all(|&taken| taken >= 10), "too few inputs reach what is behind the parsers: {taken:?}");
}
