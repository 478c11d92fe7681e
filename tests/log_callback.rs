//! A context tells its host what it decided, on the thread of the call, and prints nothing.
use rsquant::isa::Isa;
use rsquant::pipeline::{Context, ContextOptions, FloatGraph, Log, LogLevel, Prepared, Session, SessionOptions};
use rsquant::quantize::{LayerSettings, QConfig};
use rsquant::tensor::{TensorView, TensorViewMut};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;

#[path = "support/networks.rs"]
mod networks;

#[derive(Debug, Clone, Default)]
struct Heard(Arc<Mutex<Vec<(LogLevel, String, ThreadId)>>>);

impl Heard {
    fn log(&self, level: LogLevel) -> Log {
        let heard = Arc::clone(&self.0);
        let callback = move |level, text: &str| heard.lock().unwrap().push((level, text.to_owned(), std::thread::current().id()));
        Log { level, callback: Arc::new(callback) }
    }

    /// What was told since the last call, all on this thread.
    fn take(&self) -> Vec<(LogLevel, String)> {
        let heard = std::mem::take(&mut *self.0.lock().unwrap());
        assert!(heard.iter().all(|(_, _, thread)| *thread == std::thread::current().id()), "{heard:?}");
        heard.into_iter().map(|(level, text, _)| (level, text)).collect()
    }
}

fn graph() -> FloatGraph {
    let network = networks::all().into_iter().find(|network| network.name == "resnet_like").unwrap();
    FloatGraph::from_onnx_file(&network.model()).unwrap()
}

fn input() -> Vec<f32> {
    (0..2 * 3 * 20 * 20).map(|at| (at % 89) as f32 * 0.03 - 1.3).collect()
}

#[test]
fn layers_that_stay_float_and_resumed_statistics_are_told_with_their_reasons() {
    let heard = Heard::default();
    let context = Context::new(ContextOptions { threads: 3, log: Some(heard.log(LogLevel::Info)), ..ContextOptions::default() }).unwrap();
    heard.take();
    let (graph, input) = (graph(), input());
    let mut qconfig = QConfig::default_static();
    qconfig.set("op:Gemm", LayerSettings::FLOAT).unwrap();
    let mut prepared = Prepared::new(&context, &graph, &qconfig, None).unwrap();
    prepared.calibrate(&[TensorView::f32(&input, &[2, 3, 20, 20]).unwrap()]).unwrap();
    assert_eq!(heard.take(), []);
    let model = prepared.convert().unwrap();
    let told = heard.take();
    let float: Vec<_> = model.layers().iter().filter(|layer| !layer.reason.is_empty()).collect();
    assert!(!float.is_empty() && told.len() == float.len(), "{told:?}");
    for ((level, text), layer) in told.iter().zip(float) {
        assert_eq!(
            (*level, text.as_str()),
            (LogLevel::Info, format!("layer {} ({}) stays float: {}", layer.name, layer.operator, layer.reason).as_str())
        );
    }
    let mut resumed = Prepared::new(&context, &graph, &qconfig, None).unwrap();
    resumed.load_calibration_bytes(&prepared.calibration_bytes().unwrap()).unwrap();
    assert_eq!(heard.take(), [(LogLevel::Info, "calibration goes on after the 2 samples of the calibration state".to_owned())]);
}

#[test]
fn a_plan_that_gives_way_is_told_and_a_run_of_a_kept_size_tells_nothing() {
    let heard = Heard::default();
    let context = Context::new(ContextOptions { threads: 1, log: Some(heard.log(LogLevel::Info)), ..ContextOptions::default() }).unwrap();
    heard.take();
    let mut builder = rsquant::graph::GraphBuilder::new();
    let rows = builder.input("rows", &[None, None]).unwrap();
    let out = builder.relu("relu", rows).unwrap();
    let graph = FloatGraph::from_graph(builder.finish(&[out]).unwrap()).unwrap();
    let mut session = Session::float(&context, &graph, SessionOptions { kept_plans: 2, ..SessionOptions::default() }).unwrap();
    let mut run = |width: usize| {
        let (input, mut output) = (vec![1.0; width], vec![0.0; width]);
        let dims = [1, width];
        let view = TensorView::f32(&input, &dims).unwrap();
        session.run(&[view], &mut [TensorViewMut::f32(&mut output, &dims).unwrap()]).unwrap();
    };
    [5, 6, 5, 6].into_iter().for_each(&mut run);
    assert_eq!(heard.take(), []);
    run(7);
    assert_eq!(heard.take(), [(LogLevel::Info, "a session planned for inputs of [[1, 7]] and dropped its plan for [[1, 5]]".to_owned())]);
}

const CHILD: &str = "RSQUANT_LOG_CALLBACK_CHILD";

#[test]
fn a_capped_instruction_set_is_a_warning_and_nothing_is_printed() {
    if std::env::var_os(CHILD).is_some() {
        let heard = Heard::default();
        let made = |level, max_isa| {
            Context::new(ContextOptions { max_isa, threads: 1, log: Some(heard.log(level)), ..ContextOptions::default() }).unwrap();
            heard.take()
        };
        let told = made(LogLevel::Warning, None);
        let text = format!("RSQ_MAX_ISA caps the instruction set: portable is used instead of {}", Isa::detected());
        let expected = if Isa::detected() == Isa::Portable { vec![] } else { vec![(LogLevel::Warning, text)] };
        assert_eq!(told, expected);
        assert_eq!(made(LogLevel::Info, Some(Isa::Portable)), [], "a cap that was asked for is no news");
        std::process::exit(42);
    }
    let name = "a_capped_instruction_set_is_a_warning_and_nothing_is_printed";
    let child = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(CHILD, "1")
        .env("RSQ_MAX_ISA", "portable")
        .output()
        .unwrap();
    assert_eq!(child.status.code(), Some(42), "{}", String::from_utf8_lossy(&child.stderr));
    let printed = String::from_utf8_lossy(&child.stdout).replace("running 1 test", "");
    assert_eq!((printed.trim(), String::from_utf8_lossy(&child.stderr).trim()), ("", ""));
}
