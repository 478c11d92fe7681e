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
use rsquant::pipeline::{Context, FloatGraph, LoadMode, Model};
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
fn bounded<T>(bytes: &[u8], read: impl FnOnce(&[u8]) -> T) -> T {
    let (result, peak) = peak_of(|| read(bytes));
    assert!(peak <= MOST_BYTES + 8 * bytes.len(), "reading {} bytes took {peak}", bytes.len());
    result
}

/// `bytes` as a file in a folder of its own: whether `read` takes it is what it is for bytes in memory.
fn through_a_file(bytes: &[u8], is_taken: bool, read: impl Fn(&Path) -> bool) {
    let folder = std::env::temp_dir().join(format!("rsquant_fuzz_corpus_{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("an input");
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(read(&path), is_taken, "a file and its bytes in memory are not the same");
    std::fs::remove_dir_all(&folder).unwrap();
}

/// A model file that is mapped, one that is copied, and what it is saved as.
fn model_from_a_file(context: &Context, path: &Path) -> bool {
    let copied = Model::load(context, path, LoadMode::Copied);
    let Ok(model) = Model::load(context, path, LoadMode::Mapped) else { return copied.is_ok() };
    let again = path.with_extension("again");
    model.save(&again).unwrap();
    assert_eq!(std::fs::read(&again).unwrap(), copied.unwrap().to_bytes().unwrap(), "saved otherwise than written to memory");
    true
}

#[test]
fn lines_1_2_4_and_11_hold_for_every_input_that_fuzzing_kept() {
    let context = Context::default_context().unwrap();
    let network = targets::Calibrated::with_every_observer();
    let taken = [
        replay("onnx", 100, |bytes| {
            let is_taken = bounded(bytes, |bytes| FloatGraph::from_onnx_bytes(bytes).is_ok());
            through_a_file(bytes, is_taken, |path| FloatGraph::from_onnx_file(path).is_ok());
            targets::importer(bytes)
        }),
        replay("model", 100, |bytes| {
            let is_taken = bounded(bytes, |bytes| Model::from_bytes(&context, bytes).is_ok());
            through_a_file(bytes, is_taken, |path| model_from_a_file(&context, path));
            targets::model_file(bytes)
        }),
        replay("calibration", 30, |bytes| network.calibration_file(bytes)),
        replay("recipe", 50, targets::recipe),
        replay("api", 100, |bytes| api_sequences::run(bytes) > 0),
    ];
    assert!(taken.iter().all(|&taken| taken >= 10), "too few inputs reach what is behind the parsers: {taken:?}");
}
