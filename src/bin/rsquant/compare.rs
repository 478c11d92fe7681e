//! `rsquant compare`: a model beside the float network that it was made of.
use crate::command::Job;
use crate::dataset::{DataArguments, Dataset};
use crate::table::{Table, decibels, percent};
use crate::top_class::Classifier;
use clap::Args;
use rsquant::error::{Error, Result};
use rsquant::pipeline::{Comparison, FloatGraph, LayerComparison, LayerPrecision, LoadMode, Model, OutputComparison};
use serde::Serialize;
use std::path::PathBuf;

/// Layers shown to people unless all are asked for.
const WORST_LAYERS: usize = 10;

/// What it takes.
#[derive(Args)]
pub struct Arguments {
    /// The float network.
    #[arg(value_name = "MODEL.onnx")]
    network: PathBuf,
    /// The model.
    #[arg(value_name = "MODEL.rsq")]
    model: PathBuf,
    /// Data to run both with: a folder or a file.
    #[arg(long, value_name = "DATA")]
    data: PathBuf,
    /// Classes of the samples, a number a line, for top-1; CIFAR-10 files have theirs.
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Show all layers, in execution order.
    #[arg(long)]
    layers: bool,
    #[command(flatten)]
    arguments: DataArguments,
}

/// Both top-1, 0 to 1.
#[derive(Serialize)]
struct TopClasses {
    float: f64,
    model: f64,
}

#[derive(Serialize)]
struct Compared {
    samples: u64,
    outputs: Vec<OutputComparison>,
    top1: Option<TopClasses>,
    layers: Vec<LayerComparison>,
}

/// Adds all batches of a data set to a comparison.
///
/// # Errors
/// As reading and as [`Comparison::add`], naming the file.
pub fn compare(job: &Job, comparison: &mut Comparison, data: &Dataset) -> Result<()> {
    let bar = job.terminal.bar(data.samples(), "compare");
    let mut done = 0;
    for batch in data.batches(0) {
        let batch = batch?;
        comparison.add(&batch.views()?).map_err(|error| error.in_file(&batch.file))?;
        done += batch.samples as u64;
        bar.set(done);
    }
    Ok(())
}

/// Runs it.
pub fn run(job: &Job, arguments: &Arguments) -> Result<()> {
    let graph = FloatGraph::from_onnx_file(&arguments.network)?;
    let model = Model::load(&job.context, &arguments.model, LoadMode::Mapped)?;
    let mut comparison = Comparison::new(&graph, &model).map_err(|error| match error {
        Error::Mismatch(text) => Error::Mismatch(format!("{} and {}: {text}", arguments.network.display(), arguments.model.display())),
        other => other,
    })?;
    let data = Dataset::open(&arguments.data, graph.inputs(), &arguments.arguments)?.with_labels(arguments.labels.as_deref())?;
    compare(job, &mut comparison, &data)?;
    let top1 = |who: Classifier<'_>, what| who.top1(&data, &job.terminal.bar(data.samples(), what));
    let top1 = match data.has_labels() {
        true => Some(TopClasses {
            float: top1(Classifier::Float(&job.context, &graph), "top-1 float")?,
            model: top1(Classifier::Model(&model), "top-1 model")?,
        }),
        false => None,
    };
    let compared = Compared { samples: comparison.samples(), outputs: comparison.outputs(), top1, layers: comparison.layers() };
    job.terminal.show(&compared, || compared.text(arguments.layers))
}

impl Compared {
    fn text(&self, all: bool) -> String {
        let mut text = format!("{} samples\n", self.samples);
        let mut outputs = Table::new(&["output", ">SQNR, dB", ">cosine", ">same top class"]);
        for output in &self.outputs {
            let agreement = output.top1_agreement.map_or("-".into(), percent);
            outputs.row([output.name.clone(), decibels(output.sqnr_db), format!("{:.5}", output.cosine), agreement]);
        }
        text.push_str(&outputs.text());
        if let Some(TopClasses { float, model }) = self.top1 {
            text.push_str(&format!("top-1: float {}, model {}\n", percent(float), percent(model)));
        }
        let mut layers: Vec<&LayerComparison> = self.layers.iter().collect();
        if !all {
            layers.sort_by(|a, b| a.sqnr_db.total_cmp(&b.sqnr_db));
            layers.truncate(WORST_LAYERS);
            if layers.len() < self.layers.len() {
                text.push_str(&format!(
                    "\nthe {} of {} layers with the lowest SQNR (--layers shows all)\n",
                    layers.len(),
                    self.layers.len()
                ));
            }
        }
        let mut table = Table::new(&["layer", "operator", "runs in", ">SQNR, dB", ">cosine", ">clipped low", ">clipped high"]);
        for layer in layers {
            table.row([
                layer.name.clone(),
                layer.operator.clone(),
                precision(layer.precision).into(),
                decibels(layer.sqnr_db),
                format!("{:.5}", layer.cosine),
                percent(layer.clip_low),
                percent(layer.clip_high),
            ]);
        }
        text + &table.text()
    }
}

/// In words.
pub fn precision(precision: LayerPrecision) -> &'static str {
    match precision {
        LayerPrecision::Int8Static => "int8",
        LayerPrecision::Int8Dynamic => "int8 dynamic",
        LayerPrecision::Float => "float",
    }
}
