//! `rsquant report`: what a quantization costs and where, as a page and as JSON.
use crate::calibration::{SourceArguments, convert};
use crate::command::Job;
use crate::compare::compare;
use crate::dataset::{DataArguments, Dataset};
use clap::Args;
use rsquant::error::Result;
use rsquant::pipeline::{Comparison, FloatGraph, sensitivity};
use rsquant::report::Report;
use serde::Serialize;
use std::path::PathBuf;

/// What it takes.
#[derive(Args)]
pub struct Arguments {
    /// The float network.
    #[arg(value_name = "MODEL.onnx")]
    model: PathBuf,
    /// The page: one HTML file that needs nothing else.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Write the report as JSON too.
    #[arg(long, value_name = "FILE")]
    json_file: Option<PathBuf>,
    /// Data to compare with [default: that of --calibration].
    #[arg(long, value_name = "DATA")]
    data: Option<PathBuf>,
    /// Samples with which layers are ranked, each layer alone in int8; 0: they are not.
    #[arg(long, value_name = "N", default_value_t = 32)]
    rank_samples: u64,
    #[command(flatten)]
    source: SourceArguments,
    #[command(flatten)]
    arguments: DataArguments,
}

#[derive(Serialize)]
struct Written<'a> {
    page: &'a PathBuf,
    report: &'a Report,
}

/// Runs it.
pub fn run(job: &Job, arguments: &Arguments) -> Result<()> {
    let graph = FloatGraph::from_onnx_file(&arguments.model)?;
    let source = &arguments.source;
    let mut prepared = source.prepare(job, &graph, &arguments.arguments)?;
    let model = convert(job, &mut prepared).map_err(|error| source.explain(error))?;
    let (mut comparison, mut ranking) = (None, None);
    if let Some(root) = arguments.data.as_ref().or(source.calibration.as_ref()) {
        let data = Dataset::open(root, graph.inputs(), &arguments.arguments)?;
        let compared = comparison.insert(Comparison::new(&graph, &model)?);
        compare(job, compared, &data)?;
        if arguments.rank_samples > 0 {
            let (batch, bar) = (data.first(arguments.rank_samples)?, job.terminal.bar(1, "rank layers"));
            let mut told = |done, total| {
                bar.set_of(done, total);
                Ok(())
            };
            ranking = Some(sensitivity(&prepared, &batch.views()?, &mut told).map_err(|error| error.in_file(&batch.file))?);
        }
    }
    let report = Report::new(&prepared, &model, comparison.as_ref(), ranking.as_ref())?;
    report.save_html(&arguments.output)?;
    if let Some(path) = &arguments.json_file {
        report.save_json(path)?;
    }
    let written = Written { page: &arguments.output, report: &report };
    job.terminal.done(&written, || {
        let compared = format!("{} samples compared, {} for the ranking", report.compared_samples, report.ranked_samples);
        format!("{}: {} layers, {} tensors, {compared}", arguments.output.display(), report.layers.len(), report.tensors.len())
    })
}
