//! A calibration that is killed at any moment goes on from its checkpoint to the bytes of one that was not. The test runs itself as
//! the process that is killed.
#[path = "support/calibration.rs"]
mod calibration;
#[path = "support/networks.rs"]
mod networks;

use calibration::{DataSet, TemporaryFolder, context, network, prepare};
use rsquant::isa::Isa;
use rsquant::pipeline::Prepared;
use rsquant::quantize::QConfig;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// Set in the process that is killed: where its checkpoint is.
const CHECKPOINT_VARIABLE: &str = "RSQUANT_TEST_CHECKPOINT";
const SAMPLES: usize = 240;
const BATCH: usize = 3;

fn fresh() -> Prepared {
    prepare(&network("resnet_like"), &QConfig::default_static(), &context(2, Isa::detected()))
}

/// Calibrates on from the checkpoint, which it saves after every batch; says so on a line each time.
fn calibrate_with_checkpoints(checkpoint: &Path) -> Prepared {
    let data = DataSet::new(&network("resnet_like"), SAMPLES, 9);
    let mut prepared = fresh();
    if checkpoint.exists() {
        prepared.load_calibration(checkpoint).expect("whatever was killed, the checkpoint is whole");
    }
    let mut done = prepared.samples() as usize;
    while done < SAMPLES {
        data.show(&mut prepared, done..SAMPLES.min(done + BATCH)).unwrap();
        done = prepared.samples() as usize;
        prepared.save_calibration(checkpoint).unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "saved {done}").and_then(|()| out.flush()).unwrap();
    }
    prepared
}

/// The killed process's work; does nothing in an ordinary run of the tests.
#[test]
fn the_process_that_is_killed() {
    if let Some(checkpoint) = std::env::var_os(CHECKPOINT_VARIABLE) {
        calibrate_with_checkpoints(Path::new(&checkpoint));
    }
}

/// Starts the process, lets it save a few checkpoints and then live for `spins` more, and kills it. Whether it was still at work.
fn start_and_kill(checkpoint: &Path, saves: usize, spins: u32) -> bool {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_process_that_is_killed", "--nocapture", "--test-threads", "1"])
        .env(CHECKPOINT_VARIABLE, checkpoint)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let seen = lines.filter(|line| line.contains("saved ")).take(saves).count();
    // Where the kill meets the process (in a batch, in a save) depends on how long this takes.
    (0..spins).for_each(|spin| {
        std::hint::black_box(spin);
    });
    child.kill().unwrap();
    !child.wait().unwrap().success() && seen == saves
}

#[test]
fn a_killed_calibration_resumes_to_the_same_bytes() {
    let folder = TemporaryFolder::new("calibration-resume");
    let data = DataSet::new(&network("resnet_like"), SAMPLES, 9);
    let mut uninterrupted = fresh();
    data.show_in_batches(&mut uninterrupted, 0..SAMPLES, 16);
    let checkpoint = folder.file("checkpoint");
    let mut kills = 0;
    for attempt in 0..12 {
        let killed = start_and_kill(&checkpoint, 1 + attempt % 3, (attempt as u32 * 300_007) % 2_000_003);
        kills += usize::from(killed);
        let mut resumed = fresh();
        resumed.load_calibration(&checkpoint).unwrap();
        let done = resumed.samples() as usize;
        assert!(done > 0 && done <= SAMPLES);
        data.show(&mut resumed, done..SAMPLES).unwrap();
        assert!(resumed.calibration_bytes().unwrap() == uninterrupted.calibration_bytes().unwrap(), "resumed after {done} samples");
    }
    assert!(kills > 3, "only {kills} of the processes were killed while they worked");
    let finished = calibrate_with_checkpoints(&checkpoint);
    assert!(finished.calibration_bytes().unwrap() == uninterrupted.calibration_bytes().unwrap());
    assert!(std::fs::read(&checkpoint).unwrap() == uninterrupted.calibration_bytes().unwrap());
}
