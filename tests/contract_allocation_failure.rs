//! Contract line 13: whichever allocation fails in import, prepare, calibrate, solve, convert, run, save or load, the call ends with
//! OUT_OF_MEMORY, leaks nothing, and succeeds when it is tried again. The allocator is the shared library's, with one inside that
//! fails on demand; it counts all threads, so this file has one test.
#[path = "support/c_api.rs"]
mod c_api;
#[path = "support/failing_allocator.rs"]
mod failing_allocator;
#[path = "support/networks.rs"]
mod networks;
#[path = "support/quiet_harness.rs"]
mod quiet_harness;

use c_api::*;
use failing_allocator::{FIRST_TO_FAIL, LARGEST_REFUSED, Mode, Scope, live_bytes, with_failure, with_this_armed};
use rsquant::ffi::*;
use rsquant::memory::{MOST_RESERVED_BYTES, reserve_in_use};
use std::sync::atomic::Ordering::SeqCst;

/// Fails each request of `step` in turn. `slack` is what other threads' queues may hold meanwhile, in bytes.
fn every_failure<R>(what: &str, slack: isize, step: impl FnMut() -> Outcome<R>, check: impl Fn(&R)) {
    every_failure_of(what, slack, Scope::Step, step, check);
}

/// As [`every_failure`], of the part of `step` that is inside [`with_this_armed`].
fn every_failure_within<R>(what: &str, slack: isize, step: impl FnMut() -> Outcome<R>, check: impl Fn(&R)) {
    every_failure_of(what, slack, Scope::Within, step, check);
}

fn every_failure_of<R>(what: &str, slack: isize, scope: Scope, mut step: impl FnMut() -> Outcome<R>, check: impl Fn(&R)) {
    FIRST_TO_FAIL.store(usize::MAX, SeqCst);
    check(&step().expect(what));
    for mode in [Mode::One, Mode::AllFrom] {
        let (mut failures, mut completed) = (0, 0);
        let first = live_bytes();
        for number in 1.. {
            let before = live_bytes();
            let (result, injected) = with_failure(number, mode, scope, &mut step);
            match result {
                Ok(made) => {
                    check(&made);
                    completed += usize::from(injected);
                }
                Err(RSQ_OUT_OF_MEMORY) => failures += 1,
                Err(status) => panic!("{what}, {mode:?}, request {number}: status {status}, {}", message()),
            }
            let leaked = live_bytes() - before;
            let kept = reserve_in_use();
            assert!(kept as isize <= slack, "{what}, {mode:?}, request {number}: {kept} bytes lie in the reserve");
            assert!(leaked <= slack, "{what}, {mode:?}, request {number}: {leaked} bytes leaked");
            if !injected {
                break;
            }
            FIRST_TO_FAIL.store(usize::MAX, SeqCst);
            check(&step().unwrap_or_else(|status| panic!("{what}, {mode:?}, request {number}: {status} when tried again")));
        }
        let leaked = live_bytes() - first;
        assert!(leaked <= slack, "{what}, {mode:?}: {leaked} bytes leaked by {failures} failures");
        println!("{what}, {mode:?}: {failures} failures, {completed} completed with the reserve's help");
        assert!(failures > 0 && completed <= failures / 10, "{what}, {mode:?}: {failures} failures, {completed} completed");
    }
}

/// Bytes that the queues of threads which calibrate and convert may hold meanwhile.
const QUEUES: isize = 64 << 10;

/// A network is calibrated and converted, by both kinds of histogram, and statically as well as dynamically.
fn calibration_solving_and_conversion(graph: &Graph, inputs: &[Floats]) {
    // The other two observe ranges, which these do too.
    for (name, observer) in [("histogram", RSQ_OBSERVER_HISTOGRAM), ("torch_histogram", RSQ_OBSERVER_TORCH_HISTOGRAM)] {
        let qconfig = QConfig::new_static().unwrap();
        qconfig.set("*", |layer| layer.activation_observer = observer).unwrap();
        // One thread calibrates, so that no queue hides a leak.
        let context = Context::with_threads(1);
        let calibrated = || Prepared::new(Some(&context), graph, &qconfig).and_then(|p| p.calibrate(inputs).map(|()| p)).unwrap();
        let once = calibrated();
        let expected = once.convert().unwrap().to_bytes().unwrap();
        // The second batch meets statistics of the first, which a failure must leave as they are.
        let (before, after) = (once.to_bytes().unwrap(), calibrated());
        after.calibrate(inputs).unwrap();
        let after = after.to_bytes().unwrap();
        let second = || {
            let prepared = calibrated();
            let result = with_this_armed(|| prepared.calibrate(inputs));
            assert!(prepared.to_bytes().unwrap() == if result.is_ok() { &after } else { &before }[..], "{name}: other statistics");
            result
        };
        every_failure_within(&format!("calibrate, {name}"), 0, second, |()| ());
        // The other's conversion is below, with every solver.
        if observer == RSQ_OBSERVER_TORCH_HISTOGRAM {
            every_failure("convert", QUEUES, || once.convert(), |model| assert!(model.to_bytes().unwrap() == expected));
        }
    }
    // All solvers in turn.
    let qconfig = QConfig::new_static().unwrap();
    qconfig.set("*", |layer| layer.activation_solver = RSQ_SOLVER_AUTO).unwrap();
    let prepared = Prepared::new(None, graph, &qconfig).and_then(|p| p.calibrate(inputs).map(|()| p)).unwrap();
    let expected = prepared.convert().unwrap().to_bytes().unwrap();
    every_failure("convert, auto", QUEUES, || prepared.convert(), |model| assert!(model.to_bytes().unwrap() == expected));
    let qconfig = QConfig::new_dynamic().unwrap();
    let prepared = Prepared::new(None, graph, &qconfig).and_then(|p| p.calibrate(inputs).map(|()| p)).unwrap();
    let expected = prepared.convert().unwrap().to_bytes().unwrap();
    every_failure("convert, dynamic", QUEUES, || prepared.convert(), |model| assert!(model.to_bytes().unwrap() == expected));
}

/// An observer of four channels observes, merges, is saved, read and solved.
fn observers_of_plain_arrays() {
    let values: Vec<f32> = (0..4000u32).map(|index| (index.wrapping_mul(2_654_435_761) as i32) as f32 * 1e-9).collect();
    for kind in [RSQ_OBSERVER_MIN_MAX, RSQ_OBSERVER_MOVING_AVERAGE, RSQ_OBSERVER_HISTOGRAM, RSQ_OBSERVER_TORCH_HISTOGRAM] {
        let fresh = || Observer::new(kind, 4);
        let observed = || fresh().and_then(|observer| observer.observe(&values).map(|()| observer));
        let observer = observed().unwrap();
        let bytes = observer.to_bytes().unwrap();
        let seen_twice = observed().unwrap();
        seen_twice.observe(&values).unwrap();
        let twice = seen_twice.to_bytes().unwrap();
        every_failure(&format!("an observer {kind}"), 0, fresh, |_| ());
        let second = || {
            let observer = observed().unwrap();
            let result = with_this_armed(|| observer.observe(&values));
            assert!(observer.to_bytes().unwrap() == if result.is_ok() { &twice } else { &bytes }[..], "{kind}: another state");
            result
        };
        every_failure_within(&format!("observe, {kind}"), 0, second, |()| ());
        every_failure(&format!("an observer to memory, {kind}"), 0, || observer.to_bytes(), |made| assert!(*made == bytes));
        let same = |made: &Observer| assert!(made.to_bytes().unwrap() == bytes);
        every_failure(&format!("an observer from memory, {kind}"), 0, || Observer::from_bytes(&bytes), same);
        if kind == RSQ_OBSERVER_MIN_MAX || kind == RSQ_OBSERVER_HISTOGRAM {
            let merge = || {
                let into = observed().unwrap();
                let result = with_this_armed(|| into.merge(&observer));
                assert!(into.to_bytes().unwrap() == if result.is_ok() { &twice } else { &bytes }[..], "{kind}: another state");
                result
            };
            every_failure_within(&format!("merge, {kind}"), 0, merge, |()| ());
        }
        let solvers: &[i32] = match kind {
            RSQ_OBSERVER_HISTOGRAM => &[RSQ_SOLVER_L2, RSQ_SOLVER_ENTROPY, RSQ_SOLVER_MSE, RSQ_SOLVER_AUTO],
            _ => &[0],
        };
        for &solver in solvers {
            let expected = observer.solve(solver).unwrap();
            every_failure(&format!("solve, {kind}, {solver}"), 0, || observer.solve(solver), |solved| assert!(*solved == expected));
        }
    }
}

#[test]
fn line_13_every_failed_allocation_is_out_of_memory_without_a_leak_and_the_call_succeeds_when_tried_again() {
    quiet_harness::wait_until_the_other_threads_sleep();
    let directory = std::env::temp_dir().join(format!("rsquant-allocation-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let network = networks::all().into_iter().find(|network| network.name == "squeeze_excite").unwrap();
    let onnx = std::fs::read(network.model()).unwrap();
    let inputs: Vec<Floats> =
        network.inputs.iter().enumerate().map(|(index, input)| Floats::new(&input.shape, network.floats("input", index))).collect();

    every_failure("a context", 0, || Context::new(&rsq_context_options { threads: 1, ..context_options() }), |_| ());
    every_failure("import", 0, || Graph::from_bytes(None, &onnx), |_| ());
    let graph = Graph::from_bytes(None, &onnx).unwrap();
    every_failure("a qconfig", 0, QConfig::new_static, |_| ());
    let qconfig = QConfig::new_static().unwrap();
    every_failure("prepare", 0, || Prepared::new(None, &graph, &qconfig), |_| ());

    let calibrated = || Prepared::new(None, &graph, &qconfig).and_then(|prepared| prepared.calibrate(&inputs).map(|()| prepared));
    let expected = calibrated().unwrap().convert().unwrap().to_bytes().unwrap();
    let same_model = |prepared: &Prepared| assert!(prepared.convert().unwrap().to_bytes().unwrap() == expected);
    let prepared = calibrated().unwrap();
    let same_bytes = |model: &Model| assert!(model.to_bytes().unwrap() == expected);
    let path = directory.join("statistics");
    prepared.save(&path).unwrap();
    let statistics = std::fs::read(&path).unwrap();
    every_failure("save statistics", 0, || prepared.save(&path), |()| assert!(std::fs::read(&path).unwrap() == statistics));
    every_failure("load statistics", 0, || Prepared::new(None, &graph, &qconfig).and_then(|p| p.load(&path).map(|()| p)), same_model);

    calibration_solving_and_conversion(&graph, &inputs);
    observers_of_plain_arrays();

    let model = prepared.convert().unwrap();
    every_failure("model to memory", 0, || model.to_bytes(), |bytes| assert!(*bytes == expected));
    every_failure("model from memory", 0, || Model::from_bytes(None, &expected), same_bytes);
    let path = directory.join("model.rsq");
    every_failure("save", 0, || model.save(&path), |()| assert!(std::fs::read(&path).unwrap() == expected));
    every_failure("load", 0, || Model::load(None, &path), same_bytes);
    every_failure("load a copy", 0, || Model::load_copied(None, &path), same_bytes);
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 2, "temporary files were removed");

    // A session's first run with a larger batch plans anew, and so allocates.
    for (what, single) in [("an int8 run", true), ("a float run", false)] {
        let session = || if single { Session::new(&model, 1) } else { Session::float(None, &graph, 1) };
        let expected = session().unwrap().run(&inputs).unwrap();
        let mut outputs = expected.clone();
        let run = || {
            let session = session()?;
            outputs.iter_mut().for_each(|output| output.values.fill(f32::NAN));
            let result = session.run_into(&inputs, &mut outputs);
            let untouched = outputs.iter().all(|output| output.values.iter().all(|value| value.is_nan()));
            assert!(result.is_ok() || untouched, "a failed run wrote its outputs");
            result.map(|()| outputs.clone())
        };
        every_failure(what, 0, run, |outputs| assert!(*outputs == expected, "{what}: other results"));
    }

    println!("the largest request that failed: {} bytes, {MOST_RESERVED_BYTES} are the reserve's", LARGEST_REFUSED.load(SeqCst));
    std::fs::remove_dir_all(&directory).unwrap();
}
