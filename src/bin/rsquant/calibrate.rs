//! `rsquant calibrate`: the statistics of a data set, as a state that `merge` joins and `quantize --state` converts.
use crate::calibration::{self, GoingOnArguments, ShapeArguments};
use crate::command::Job;
use crate::dataset::{DataArguments, Dataset};
use crate::settings::QConfigArguments;
use clap::Args;
use rsquant::error::Result;
use rsquant::pipeline::{FloatGraph, Prepared};
use serde::Serialize;
use std::path::PathBuf;

/// What it takes.
#[derive(Args)]
pub struct Arguments {
    /// The float network.
    #[arg(value_name = "MODEL.onnx")]
    model: PathBuf,
    /// Data to calibrate with: a folder or a file.
    #[arg(long, value_name = "DATA")]
    calibration: PathBuf,
    /// The state, written at the end and now and then on the way.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    going_on: GoingOnArguments,
    #[command(flatten)]
    settings: QConfigArguments,
    #[command(flatten)]
    shapes: ShapeArguments,
    #[command(flatten)]
    data: DataArguments,
}

/// What is told of a state that was written.
#[derive(Serialize)]
pub struct Written {
    /// The file.
    pub state: PathBuf,
    /// Samples that it has seen.
    pub samples: u64,
}

impl Written {
    /// Tells it.
    pub fn tell(&self, job: &Job) -> Result<()> {
        job.terminal.done(self, || format!("{}: {} samples", self.state.display(), self.samples))
    }
}

/// Runs it.
pub fn run(job: &Job, arguments: &Arguments) -> Result<()> {
    let graph = FloatGraph::from_onnx_file(&arguments.model)?;
    let qconfig = arguments.settings.qconfig()?;
    let mut prepared = Prepared::new(&job.context, &graph, &qconfig, arguments.shapes.dims())?;
    let data = Dataset::open(&arguments.calibration, graph.inputs(), &arguments.data)?.allowing_infinite(qconfig.drop_inf);
    calibration::calibrate(job, &mut prepared, &data, Some(&arguments.output), &arguments.going_on)?;
    Written { state: arguments.output.clone(), samples: prepared.samples() }.tell(job)
}
