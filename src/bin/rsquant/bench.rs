//! `rsquant bench`: how fast a model or a float network runs, and where its time goes.
use crate::calibration::ShapeArguments;
use crate::command::{Job, refused};
use crate::inspect::{FileKind, kind_of};
use crate::table::{Table, percent};
use clap::Args;
use rsquant::error::Result;
use rsquant::pipeline::{FloatGraph, LoadMode, Model, Session, SessionOptions, StepInfo, TensorInfo};
use rsquant::tensor::{TensorView, TensorViewMut};
use serde::Serialize;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Runs before the clock starts.
const WARM_UP_RUNS: usize = 2;
/// Runs that are measured at least.
const FEWEST_RUNS: usize = 3;
/// Steps shown to people unless all are asked for.
const SLOWEST_STEPS: usize = 20;

/// What it takes.
#[derive(Args)]
pub struct Arguments {
    /// A model, or an ONNX file, which runs in float.
    #[arg(value_name = "MODEL")]
    model: PathBuf,
    /// Batches to run with.
    #[arg(long, value_name = "N[,N..]", value_delimiter = ',', default_value = "1,32")]
    batch: Vec<usize>,
    /// How long each batch is measured.
    #[arg(long, value_name = "SECONDS", default_value_t = 2.0)]
    seconds: f64,
    /// Tell what each step costs; the times of whole runs then include that of measuring.
    #[arg(long)]
    profile: bool,
    /// With --profile: show all steps, in execution order.
    #[arg(long, requires = "profile")]
    steps: bool,
    #[command(flatten)]
    shapes: ShapeArguments,
}

#[derive(Serialize)]
struct Step {
    name: String,
    operator: &'static str,
    kernel: &'static str,
    macs: u64,
    /// Time of all threads for one sample.
    thread_ns_per_sample: f64,
    /// Of the time of all steps, 0 to 1.
    share: f64,
}

#[derive(Serialize)]
struct Measured {
    batch: usize,
    runs: usize,
    median_ms: f64,
    best_ms: f64,
    samples_per_second: f64,
    memory_bytes: usize,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    steps: Vec<Step>,
}

#[derive(Serialize)]
struct Benchmark {
    model: PathBuf,
    kind: FileKind,
    isa: &'static str,
    threads: usize,
    results: Vec<Measured>,
}

/// What is run.
enum Runnable {
    Model(Model),
    Float(FloatGraph),
}

impl Runnable {
    fn inputs(&self) -> Vec<TensorInfo> {
        match self {
            Runnable::Model(model) => model.inputs(),
            Runnable::Float(graph) => graph.inputs(),
        }
    }

    fn session(&self, job: &Job, options: SessionOptions) -> Result<Session> {
        match self {
            Runnable::Model(model) => Session::new(model, options),
            Runnable::Float(graph) => Session::float(&job.context, graph, options),
        }
    }
}

/// Runs it.
pub fn run(job: &Job, arguments: &Arguments) -> Result<()> {
    if arguments.batch.contains(&0) || !(arguments.seconds >= 0.0 && arguments.seconds.is_finite()) {
        return Err(refused("--batch and --seconds take numbers above 0"));
    }
    let (kind, runnable) = match kind_of(&arguments.model)? {
        FileKind::Model => (FileKind::Model, Runnable::Model(Model::load(&job.context, &arguments.model, LoadMode::Mapped)?)),
        FileKind::Onnx => (FileKind::Onnx, Runnable::Float(FloatGraph::from_onnx_file(&arguments.model)?)),
        other => return Err(refused(format!("{}: {} does not run", arguments.model.display(), other.text()))),
    };
    let mut results = Vec::new();
    for &batch in &arguments.batch {
        results.push(measure(job, &runnable, batch, arguments)?);
    }
    let (isa, threads) = (job.context.max_isa().name(), job.context.threads().threads());
    let benchmark = Benchmark { model: arguments.model.clone(), kind, isa, threads, results };
    job.terminal.show(&benchmark, || benchmark.text(arguments.steps))
}

/// Full shapes for a batch: those given, or those of the network.
fn dims(inputs: &[TensorInfo], batch: usize, given: Option<Vec<Vec<usize>>>) -> Result<Vec<Vec<usize>>> {
    if let Some(mut dims) = given {
        dims.iter_mut().for_each(|dims| dims[0] = batch);
        return Ok(dims);
    }
    let of_input = |input: &TensorInfo| {
        let full = |(axis, dim): (usize, &Option<usize>)| if axis == 0 { Some(dim.unwrap_or(batch)) } else { *dim };
        let dims = input.dims.iter().enumerate().map(full).collect::<Option<Vec<usize>>>();
        dims.ok_or_else(|| refused(format!("the input {} has the shape {}: --input-shape", input.name, crate::table::shape(&input.dims))))
    };
    inputs.iter().map(of_input).collect()
}

/// Numbers between -1 and 1, the same in every run.
fn noise(count: usize) -> Vec<f32> {
    let mut state = 0x9e37_79b9u32;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn measure(job: &Job, runnable: &Runnable, batch: usize, arguments: &Arguments) -> Result<Measured> {
    let dims = dims(&runnable.inputs(), batch, arguments.shapes.dims())?;
    let samples = dims.first().and_then(|dims| dims.first().copied()).unwrap_or(1);
    let options =
        SessionOptions { max_batch: samples, input_dims: Some(dims.clone()), profile: arguments.profile, ..SessionOptions::default() };
    let mut session = runnable.session(job, options)?;
    let inputs: Vec<Vec<f32>> = dims.iter().map(|dims| noise(dims.iter().product())).collect();
    let views = inputs.iter().zip(&dims).map(|(input, dims)| TensorView::f32(input, dims)).collect::<Result<Vec<_>>>()?;
    let output_dims = session.output_dims(&dims)?;
    let mut outputs: Vec<Vec<f32>> = output_dims.iter().map(|dims| vec![0.0; dims.iter().product()]).collect();
    let mut places =
        outputs.iter_mut().zip(&output_dims).map(|(output, dims)| TensorViewMut::f32(output, dims)).collect::<Result<Vec<_>>>()?;
    for _ in 0..WARM_UP_RUNS {
        session.run(&views, &mut places)?;
    }
    if arguments.profile {
        session.reset_profile()?;
    }
    let bar = job.terminal.bar((arguments.seconds * 1e3) as u64, &format!("batch {batch}, ms"));
    let (start, mut times) = (Instant::now(), Vec::new());
    while times.len() < FEWEST_RUNS || start.elapsed().as_secs_f64() < arguments.seconds {
        let began = Instant::now();
        session.run(&views, &mut places)?;
        times.push(began.elapsed());
        bar.set(start.elapsed().as_millis() as u64);
    }
    times.sort();
    let median = times[times.len() / 2];
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    Ok(Measured {
        batch: samples,
        runs: times.len(),
        median_ms: milliseconds(median),
        best_ms: milliseconds(times[0]),
        samples_per_second: samples as f64 / median.as_secs_f64(),
        memory_bytes: session.memory_bytes(),
        steps: steps(&session),
    })
}

/// What each step has cost; nothing where that was not asked for.
fn steps(session: &Session) -> Vec<Step> {
    let Some(profile) = session.profile() else { return Vec::new() };
    let all: u64 = profile.steps.iter().map(|cost| cost.thread_ns).sum();
    let step = |(info, cost): (StepInfo, &rsquant::runtime::StepCost)| Step {
        name: info.name,
        operator: info.operator,
        kernel: info.kernel,
        macs: info.macs,
        thread_ns_per_sample: cost.thread_ns as f64 / cost.samples.max(1) as f64,
        share: cost.thread_ns as f64 / all.max(1) as f64,
    };
    session.steps().into_iter().zip(&profile.steps).map(step).collect()
}

impl Benchmark {
    fn text(&self, all_steps: bool) -> String {
        let kind = self.kind.text();
        let mut text = format!("{}: {kind}, {} threads, {}\n", self.model.display(), self.threads, self.isa);
        let mut table = Table::new(&[">batch", ">samples/s", ">median, ms", ">best, ms", ">runs", ">memory"]);
        for result in &self.results {
            table.row([
                result.batch.to_string(),
                format!("{:.1}", result.samples_per_second),
                format!("{:.3}", result.median_ms),
                format!("{:.3}", result.best_ms),
                result.runs.to_string(),
                crate::table::bytes(result.memory_bytes as u64),
            ]);
        }
        text.push_str(&table.text());
        for result in self.results.iter().filter(|result| !result.steps.is_empty()) {
            text.push_str(&format!("\nbatch {}: {}", result.batch, result.profile(all_steps)));
        }
        text
    }
}

impl Measured {
    fn profile(&self, all: bool) -> String {
        let mut steps: Vec<&Step> = self.steps.iter().collect();
        if !all {
            steps.sort_by(|a, b| b.share.total_cmp(&a.share));
            steps.truncate(SLOWEST_STEPS);
        }
        let mut table = Table::new(&["step", "operator", "kernel", ">us a sample", ">share", ">GOP/s a thread"]);
        for step in &steps {
            let gops =
                if step.macs == 0 { "-".into() } else { format!("{:.1}", 2.0 * step.macs as f64 / step.thread_ns_per_sample.max(1e-9)) };
            let micros = format!("{:.1}", step.thread_ns_per_sample / 1e3);
            table.row([step.name.clone(), step.operator.into(), step.kernel.into(), micros, percent(step.share), gops]);
        }
        format!("{} of {} steps\n{}", steps.len(), self.steps.len(), table.text())
    }
}
