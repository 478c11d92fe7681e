//! Contract lines 1, 2 and 4: bytes that are no model, no statistics, or almost, end in an error. Mutations keep checksums and lengths
//! right, so that the parsers behind them are reached.
#[path = "support/mutate.rs"]
#[allow(dead_code)] // The fuzz targets change texts with it.
mod mutate;
#[path = "support/hostile_targets.rs"]
#[allow(dead_code)] // The fuzz targets write seeds with it.
mod targets;

use mutate::Random;
use std::path::{Path, PathBuf};
use targets::Calibrated;

fn onnx_of(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/networks").join(name).join("model.onnx")
}

fn calibrated(network: &str) -> Calibrated {
    Calibrated::new(&onnx_of(network))
}

/// On a stack of 128 KiB, as a host's thread may have.
fn on_a_small_stack(work: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        std::thread::Builder::new().stack_size(128 << 10).spawn_scoped(scope, work).unwrap().join().unwrap();
    });
}

#[test]
fn line_1_no_bytes_given_to_the_importer_crash_it() {
    on_a_small_stack(|| {
        let (mut random, mut accepted) = (Random(7), 0);
        for name in ["squeeze_excite", "two_inputs_two_outputs", "conv_depthwise", "gemm"] {
            let model = std::fs::read(onnx_of(name)).unwrap();
            assert!(targets::importer(&model), "{name}");
            (0..model.len()).step_by(7).for_each(|length| {
                targets::importer(&model[..length]);
            });
            for _ in 0..1500 {
                accepted += usize::from(targets::importer(&mutate::onnx(&model, &mut random)));
            }
        }
        assert!(accepted > 100, "only {accepted} mutations reach what is behind the parser");
    });
}

#[test]
fn line_2_no_model_file_with_right_checksums_crashes_or_runs_outside_its_buffers() {
    on_a_small_stack(|| {
        let (mut random, mut accepted) = (Random(11), 0);
        for name in ["squeeze_excite", "add_residual", "conv_depthwise", "gemm"] {
            let network = calibrated(name);
            let (model, _) = network.files();
            let (graph, data) = mutate::model_sections(&model).unwrap();
            assert!(mutate::model_file(graph, data) == model, "the test knows the format");
            assert!(targets::model_file(&model));
            for _ in 0..1500 {
                accepted += usize::from(targets::model_file(&mutate::model(&model, &mut random)));
            }
        }
        assert!(accepted > 100, "only {accepted} mutations reach what is behind the parser");
    });
}

#[test]
fn line_2_every_flipped_bit_and_every_prefix_of_a_calibration_file_is_an_error() {
    let network = calibrated("gemm");
    let (_, file) = network.files();
    assert!(network.calibration_file(&file));
    for length in 0..file.len() {
        assert!(!network.calibration_file(&file[..length]), "{length} bytes");
    }
    let mut flipped = file.clone();
    for bit in 0..file.len() * 8 {
        flipped[bit / 8] ^= 1 << (bit % 8);
        assert!(!network.calibration_file(&flipped), "bit {bit}");
        flipped[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn line_2_no_calibration_file_with_a_right_checksum_crashes_what_reads_it() {
    on_a_small_stack(|| {
        let network = calibrated("squeeze_excite");
        let ((_, file), mut random, mut accepted) = (network.files(), Random(13), 0);
        for _ in 0..3000 {
            accepted += usize::from(network.calibration_file(&mutate::calibration(&file, &mut random)));
        }
        assert!(accepted > 100, "only {accepted} mutations reach what is behind the parser");
    });
}
