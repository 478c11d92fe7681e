//! `rsquant merge`: joins calibration states; the bytes are those of one pass over all their data.
use crate::calibrate::Written;
use crate::calibration::ShapeArguments;
use crate::command::Job;
use crate::settings::QConfigArguments;
use clap::Args;
use rsquant::error::Result;
use rsquant::pipeline::{FloatGraph, Prepared};
use std::path::PathBuf;

/// What it takes.
#[derive(Args)]
pub struct Arguments {
    /// The float network that the states are of.
    #[arg(value_name = "MODEL.onnx")]
    model: PathBuf,
    /// The states; their settings are those given here.
    #[arg(value_name = "STATE", required = true)]
    states: Vec<PathBuf>,
    /// The joined state.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    settings: QConfigArguments,
    #[command(flatten)]
    shapes: ShapeArguments,
}

/// Runs it.
pub fn run(job: &Job, arguments: &Arguments) -> Result<()> {
    let graph = FloatGraph::from_onnx_file(&arguments.model)?;
    let mut prepared = Prepared::new(&job.context, &graph, &arguments.settings.qconfig()?, arguments.shapes.dims())?;
    prepared.merge_calibrations(&arguments.states)?;
    prepared.save_calibration(&arguments.output)?;
    Written { state: arguments.output.clone(), samples: prepared.samples() }.tell(job)
}
