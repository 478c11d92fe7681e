//! What calibration and merging refuse: a clear error, and not a byte of the state changes.
#[path = "support/calibration.rs"]
mod calibration;
#[path = "support/networks.rs"]
mod networks;

use calibration::{DataSet, TemporaryFolder, context, network, prepare};
use rsquant::error::Error;
use rsquant::isa::Isa;
use rsquant::pipeline::{Prepared, Progress, Stage};
use rsquant::quantize::observer::ObserverKind;
use rsquant::quantize::{QConfig, SolverKind};
use std::sync::{Arc, Mutex};

fn calibrated(qconfig: &QConfig) -> Prepared {
    let network = network("resnet_like");
    let mut prepared = prepare(&network, qconfig, &context(2, Isa::detected()));
    DataSet::new(&network, 5, 1).show_in_batches(&mut prepared, 0..5, 2);
    prepared
}

fn with(change: impl FnOnce(&mut QConfig)) -> QConfig {
    let mut qconfig = QConfig::default_static();
    change(&mut qconfig);
    qconfig
}

/// `attempt` fails, and neither the state's bytes nor the model's change.
fn refused(prepared: &mut Prepared, attempt: impl FnOnce(&mut Prepared) -> Result<(), Error>) -> Error {
    let before = (prepared.calibration_bytes().unwrap(), prepared.convert().unwrap().to_bytes().unwrap(), prepared.samples());
    let error = attempt(prepared).expect_err("it is refused");
    assert!(before == (prepared.calibration_bytes().unwrap(), prepared.convert().unwrap().to_bytes().unwrap(), prepared.samples()));
    error
}

#[test]
fn a_truncated_or_damaged_state_is_refused() {
    let mut prepared = calibrated(&QConfig::default_static());
    let good = prepared.calibration_bytes().unwrap();
    for len in (0..good.len()).step_by(97).chain(good.len() - 30..good.len()) {
        let error = refused_quickly(&mut prepared, &good, &good[..len]);
        assert!(matches!(error, Error::Corrupt(_)), "{len}: {error}");
    }
    for bit in (0..good.len() * 8).step_by(1009) {
        let mut flipped = good.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let error = refused_quickly(&mut prepared, &good, &flipped);
        assert!(matches!(error, Error::Corrupt(_) | Error::Version(_)), "bit {bit}: {error}");
    }
    let error = refused_quickly(&mut prepared, &good, &[good.as_slice(), &[0]].concat());
    assert!(matches!(error, Error::Corrupt(_)), "{error}");
}

/// As [`refused`], without the model.
fn refused_quickly(prepared: &mut Prepared, before: &[u8], bytes: &[u8]) -> Error {
    let error = prepared.merge_calibration_bytes(bytes).expect_err("it is refused");
    assert!(prepared.calibration_bytes().unwrap() == before);
    error
}

#[test]
fn a_state_of_another_qconfig_or_model_is_refused_by_what_differs() {
    let mut prepared = calibrated(&QConfig::default_static());
    for other in [
        with(|qconfig| qconfig.defaults.activation.observer = ObserverKind::MinMax),
        with(|qconfig| qconfig.defaults.activation.reduce_range = true),
        with(|qconfig| qconfig.defaults.activation.solver = Some(SolverKind::MinMax)),
        with(|qconfig| qconfig.drop_inf = true),
    ] {
        let state = calibrated(&other).calibration_bytes().unwrap();
        let error = refused(&mut prepared, |prepared| prepared.merge_calibration_bytes(&state));
        assert!(matches!(&error, Error::Mismatch(text) if text.contains("qconfig")), "{error}");
    }
    let other = network("lenet_like");
    let mut of_other = prepare(&other, &QConfig::default_static(), &context(1, Isa::detected()));
    DataSet::new(&other, 2, 1).show(&mut of_other, 0..2).unwrap();
    let state = of_other.calibration_bytes().unwrap();
    let error = refused(&mut prepared, |prepared| prepared.merge_calibration_bytes(&state));
    assert!(matches!(&error, Error::Mismatch(text) if text.contains("model")), "{error}");
    let mut fresh = prepare(&network("resnet_like"), &QConfig::default_static(), &context(1, Isa::detected()));
    assert!(matches!(fresh.load_calibration_bytes(&state), Err(Error::Mismatch(text)) if text.contains("model")));
    assert_eq!(fresh.samples(), 0);
}

#[test]
fn one_bad_file_of_several_leaves_all_of_them_out() {
    let mut prepared = calibrated(&QConfig::default_static());
    let folder = TemporaryFolder::new("calibration-refusals");
    let (good, bad) = (folder.file("good"), folder.file("bad"));
    prepared.save_calibration(&good).unwrap();
    std::fs::write(&bad, &std::fs::read(&good).unwrap()[..100]).unwrap();
    let error = refused(&mut prepared, |prepared| prepared.merge_calibrations(&[&good, &bad]));
    assert!(matches!(&error, Error::Corrupt(text) if text.contains("bad")), "{error}");
    let error = refused(&mut prepared, |prepared| prepared.merge_calibrations(&[good, folder.file("missing")]));
    assert!(matches!(&error, Error::Io { path, .. } if path.contains("missing")), "{error}");
}

#[test]
fn loading_is_for_a_prepared_that_has_seen_nothing() {
    let mut prepared = calibrated(&QConfig::default_static());
    let state = prepared.calibration_bytes().unwrap();
    let error = refused(&mut prepared, |prepared| prepared.load_calibration_bytes(&state));
    assert!(matches!(&error, Error::WrongState(text) if text.contains("5 samples")), "{error}");
}

#[test]
fn states_of_order_dependent_observers_resume_and_do_not_merge() {
    for observer in [ObserverKind::MovingAverage, ObserverKind::TorchHistogram] {
        let qconfig = with(|qconfig| qconfig.defaults.activation.observer = observer);
        let mut prepared = calibrated(&qconfig);
        let state = prepared.calibration_bytes().unwrap();
        let error = refused(&mut prepared, |prepared| prepared.merge_calibration_bytes(&state));
        assert!(matches!(&error, Error::Unsupported(text) if text.contains(observer.name())), "{error}");
        let network = network("resnet_like");
        let mut resumed = prepare(&network, &qconfig, &context(2, Isa::detected()));
        resumed.load_calibration_bytes(&state).unwrap();
        DataSet::new(&network, 3, 2).show(&mut resumed, 0..3).unwrap();
        DataSet::new(&network, 3, 2).show(&mut prepared, 0..3).unwrap();
        assert!(resumed.calibration_bytes().unwrap() == prepared.calibration_bytes().unwrap());
    }
}

#[test]
fn another_solver_takes_the_statistics_over_without_data() {
    let saved = calibrated(&QConfig::default_static()).calibration_bytes().unwrap();
    for solver in [SolverKind::MinMax, SolverKind::Mse, SolverKind::Entropy] {
        let qconfig = with(|qconfig| qconfig.defaults.activation.solver = Some(solver));
        let mut taken_over = prepare(&network("resnet_like"), &qconfig, &context(2, Isa::detected()));
        taken_over.load_calibration_bytes(&saved).unwrap();
        let own = calibrated(&qconfig);
        assert!(taken_over.calibration_bytes().unwrap() == own.calibration_bytes().unwrap());
        assert!(taken_over.convert().unwrap().to_bytes().unwrap() == own.convert().unwrap().to_bytes().unwrap());
    }
    let other_observer = with(|qconfig| qconfig.defaults.activation.observer = ObserverKind::MinMax);
    let mut refused = prepare(&network("resnet_like"), &other_observer, &context(2, Isa::detected()));
    assert!(matches!(refused.load_calibration_bytes(&saved), Err(Error::Mismatch(text)) if text.contains("min_max")));
}

#[test]
fn a_batch_with_a_nan_or_an_infinity_is_refused_whole() {
    let network = network("resnet_like");
    for threads in [1, 3] {
        let mut prepared = prepare(&network, &QConfig::default_static(), &context(threads, Isa::detected()));
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut data = DataSet::new(&network, 7, 4);
            data.floats_mut(0)[4 * 1200 + 17] = bad;
            data.floats_mut(0)[6 * 1200 + 3] = bad;
            let before = prepared.calibration_bytes().unwrap();
            let error = data.show(&mut prepared, 0..7).expect_err("it is refused");
            let place = "tensor image, sample 4, element 17";
            assert!(matches!(&error, Error::NotFinite(text) if text.contains(place)), "{threads} threads: {error}");
            assert!(prepared.calibration_bytes().unwrap() == before);
            data.show(&mut prepared, 0..4).unwrap();
        }
        assert_eq!(prepared.samples(), 12);
    }
}

/// Reports of a call, up to `most`; then the callback stops the work.
fn listen(prepared: &mut Prepared, most: usize) -> Arc<Mutex<Vec<Progress>>> {
    let reports = Arc::new(Mutex::new(Vec::new()));
    let (seen, thread) = (Arc::clone(&reports), std::thread::current().id());
    prepared.set_progress(Some(Arc::new(move |progress: &Progress| {
        assert_eq!(std::thread::current().id(), thread, "on the calling thread");
        let mut seen = seen.lock().unwrap();
        seen.push(*progress);
        if seen.len() > most { Err(Error::Cancelled("enough".into())) } else { Ok(()) }
    })));
    reports
}

#[test]
fn progress_goes_up_to_the_total_and_changes_no_bit() {
    for (observer, passes) in [(ObserverKind::Histogram, 1), (ObserverKind::TorchHistogram, 2)] {
        let network = network("mobilenet_v2_like");
        let qconfig = with(|qconfig| qconfig.defaults.activation.observer = observer);
        let mut silent = prepare(&network, &qconfig, &context(2, Isa::detected()));
        let mut told = prepare(&network, &qconfig, &context(2, Isa::detected()));
        let data = DataSet::new(&network, 150, 1);
        let reports = listen(&mut told, usize::MAX);
        data.show(&mut silent, 0..150).unwrap();
        data.show(&mut told, 0..150).unwrap();
        assert!(told.calibration_bytes().unwrap() == silent.calibration_bytes().unwrap());
        let check = |stage: Stage, total: u64| {
            let reports = std::mem::take(&mut *reports.lock().unwrap());
            assert!(reports.len() > 2, "{reports:?}");
            assert!(reports.iter().all(|report| report.stage == stage && report.total == total), "{reports:?}");
            assert!(reports.is_sorted_by_key(|report| report.done) && reports[0].done == 0, "{reports:?}");
            assert_eq!(reports.last().unwrap().done, total);
        };
        check(Stage::Calibrate, 150 * passes);
        let model = told.convert().unwrap().to_bytes().unwrap();
        assert!(model == silent.convert().unwrap().to_bytes().unwrap());
        let sets = reports.lock().unwrap()[0].total;
        check(Stage::Convert, sets);
    }
}

#[test]
fn a_callback_stops_the_work_at_any_report_and_nothing_changes() {
    let network = network("mobilenet_v2_like");
    let data = DataSet::new(&network, 150, 1);
    let mut prepared = prepare(&network, &QConfig::default_static(), &context(2, Isa::detected()));
    data.show(&mut prepared, 0..20).unwrap();
    let mut stops = 0;
    for most in 0.. {
        let before = prepared.calibration_bytes().unwrap();
        listen(&mut prepared, most);
        match data.show(&mut prepared, 20..150) {
            Err(Error::Cancelled(text)) => assert_eq!(text, "enough"),
            other => {
                other.unwrap();
                break;
            }
        }
        stops += 1;
        assert!(prepared.calibration_bytes().unwrap() == before, "stopped at report {most}");
    }
    assert!(stops > 2, "{stops} reports");
    prepared.set_progress(None);
    let mut silent = prepare(&network, &QConfig::default_static(), &context(2, Isa::detected()));
    data.show(&mut silent, 0..150).unwrap();
    assert!(prepared.calibration_bytes().unwrap() == silent.calibration_bytes().unwrap());
    let mut stops = 0;
    for most in 0.. {
        listen(&mut prepared, most);
        match prepared.convert() {
            Err(Error::Cancelled(_)) => stops += 1,
            other => {
                assert!(other.unwrap().to_bytes().unwrap() == silent.convert().unwrap().to_bytes().unwrap());
                break;
            }
        }
    }
    assert!(stops > 2, "{stops} reports");
}
