//! `rsquant tune`: mixed precision, by the outputs' SQNR or by top-1.
use crate::calibration::SourceArguments;
use crate::command::{Job, refused};
use crate::dataset::{DataArguments, Dataset};
use crate::quantize::WrittenModel;
use crate::table::{Table, decibels, percent};
use crate::terminal::Bar;
use crate::top_class::Classifier;
use clap::{Args, ValueEnum};
use rsquant::error::Result;
use rsquant::pipeline::{FloatGraph, LayerSensitivity, Metric, Model, Trial, TuneOptions, Tuned, save_recipe, tune};
use serde::Serialize;
use std::path::PathBuf;

/// What it takes.
#[derive(Args)]
pub struct Arguments {
    /// The float network.
    #[arg(value_name = "MODEL.onnx")]
    model: PathBuf,
    /// The model that was found.
    #[arg(long, short, value_name = "MODEL.rsq")]
    output: PathBuf,
    /// Write its recipe.
    #[arg(long, value_name = "FILE")]
    save_recipe: Option<PathBuf>,
    /// Data to rank layers and measure models with [default: that of --calibration].
    #[arg(long, value_name = "DATA")]
    data: Option<PathBuf>,
    /// Classes of that data, a number a line; CIFAR-10 files have theirs.
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// What is measured [default: top1 where there are labels, else sqnr].
    #[arg(long, value_enum)]
    metric: Option<MetricName>,
    /// The metric that is enough: dB for sqnr, 0 to 1 for top1.
    #[arg(long, value_name = "X", allow_negative_numbers = true, conflicts_with = "max_drop")]
    target: Option<f64>,
    /// Top-1 may be this much, of 1, below the float network's.
    #[arg(long, value_name = "X")]
    max_drop: Option<f64>,
    /// Layers to leave in float at most.
    #[arg(long, value_name = "N")]
    max_float_layers: Option<usize>,
    /// Share, 0 to 1, of all multiply-accumulates that may run in float.
    #[arg(long, value_name = "SHARE")]
    max_float_macs: Option<f64>,
    /// Samples with which layers are ranked, held in memory; sqnr is measured with them too.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u64).range(1..))]
    rank_samples: u64,
    #[command(flatten)]
    source: SourceArguments,
    #[command(flatten)]
    arguments: DataArguments,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum MetricName {
    /// Of the outputs against float, in dB.
    Sqnr,
    /// Share of right classes.
    Top1,
}

impl MetricName {
    fn text(self, value: f64) -> String {
        match self {
            MetricName::Sqnr => format!("SQNR {} dB", decibels(value)),
            MetricName::Top1 => format!("top-1 {}", percent(value)),
        }
    }
}

#[derive(Serialize)]
struct Found {
    metric_name: MetricName,
    target: Option<f64>,
    reached: bool,
    metric: f64,
    int8_metric: f64,
    float_metric: Option<f64>,
    float_layers: Vec<LayerSensitivity>,
    float_macs: f64,
    trials: Vec<Trial>,
    written: WrittenModel,
}

/// Runs it.
pub fn run(job: &Job, arguments: &Arguments) -> Result<()> {
    let graph = FloatGraph::from_onnx_file(&arguments.model)?;
    let source = &arguments.source;
    let root = arguments.data.as_ref().or(source.calibration.as_ref());
    let root = root.ok_or_else(|| refused("--data is what layers are ranked with"))?;
    let data = Dataset::open(root, graph.inputs(), &arguments.arguments)?.with_labels(arguments.labels.as_deref())?;
    let metric_name = match arguments.metric {
        Some(name) => name,
        None if data.has_labels() => MetricName::Top1,
        None => MetricName::Sqnr,
    };
    if arguments.max_drop.is_some() && metric_name == MetricName::Sqnr {
        return Err(refused("--max-drop is of top-1; sqnr has a --target in dB"));
    }
    let prepared = source.prepare(job, &graph, &arguments.arguments)?;
    let float_metric = match metric_name {
        MetricName::Top1 => Some(Classifier::Float(&job.context, &graph).top1(&data, &job.terminal.bar(data.samples(), "top-1 float"))?),
        MetricName::Sqnr => None,
    };
    let target = arguments.max_drop.zip(float_metric).map(|(drop, float)| float - drop).or(arguments.target);
    let options = TuneOptions { target, max_float_layers: arguments.max_float_layers, max_float_macs: arguments.max_float_macs };
    let batch = data.first(arguments.rank_samples)?;
    let steps = job.terminal.bar(1, "tune");
    let mut told = |done, total| {
        steps.set_of(done, total);
        Ok(())
    };
    let mut top1 = |model: &Model| Classifier::Model(model).top1(&data, &Bar::hidden());
    let metric: Option<&mut Metric<'_>> = match metric_name {
        MetricName::Top1 => Some(&mut top1),
        MetricName::Sqnr => None,
    };
    let tuned = tune(&prepared, &batch.views()?, options, metric, &mut told).map_err(|error| source.explain(error))?;
    drop(steps);
    if let Some(path) = &arguments.save_recipe {
        save_recipe(&tuned.recipe, path)?;
    }
    let Tuned { model, metric, int8_metric, reached, float_layers, float_macs, trials, .. } = tuned;
    let written = WrittenModel::save(&model, &arguments.output)?;
    let found = Found { metric_name, target, reached, metric, int8_metric, float_metric, float_layers, float_macs, trials, written };
    job.terminal.done(&found, || found.text())
}

impl Found {
    fn text(&self) -> String {
        let name = self.metric_name;
        let float = self.float_metric.map_or(String::new(), |metric| format!(", in float {}", name.text(metric)));
        let mut text = format!("all int8 {}{float}; tuned {}", name.text(self.int8_metric), name.text(self.metric));
        match (self.target, self.reached) {
            (None, _) => text.push('\n'),
            (Some(target), true) => text.push_str(&format!(": reaches {}\n", name.text(target))),
            (Some(target), false) => text.push_str(&format!(": does NOT reach {}\n", name.text(target))),
        }
        let share = percent(self.float_macs);
        text.push_str(&format!(
            "{} layers left in float, {share} of the work; {} models measured\n",
            self.float_layers.len(),
            self.trials.len()
        ));
        let mut table = Table::new(&["left in float", "operator", ">alone, dB", ">share of the error"]);
        for layer in &self.float_layers {
            table.row([layer.name.clone(), layer.operator.clone(), decibels(layer.sqnr_db), percent(layer.error_share)]);
        }
        if !self.float_layers.is_empty() {
            text.push_str(&table.text());
        }
        text + &self.written.headline()
    }
}
