//! `rsquant recipe`: recipes of a calibration, and of what other systems calibrated.
use crate::calibration::{ShapeArguments, SourceArguments};
use crate::command::Job;
use crate::dataset::DataArguments;
use crate::settings::SETTINGS;
use crate::table::Table;
use clap::{Args, Subcommand, ValueEnum};
use rsquant::error::{Error, Result};
use rsquant::pipeline::{FloatGraph, import_recipe, save_recipe};
use rsquant::quantize::Recipe;
use rsquant::quantize::recipe::foreign::ForeignFormat;
use rsquant::quantize::recipe::{ImportReport, Unbound};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What it takes.
#[derive(Args)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Write the recipe of a calibration.
    Export(Box<ExportArguments>),
    /// Write the recipe that another system's calibration comes to.
    Import(ImportArguments),
}

#[derive(Args)]
struct ExportArguments {
    /// The float network.
    #[arg(value_name = "MODEL.onnx")]
    model: PathBuf,
    /// The recipe.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    source: SourceArguments,
    #[command(flatten)]
    data: DataArguments,
}

#[derive(Args)]
struct ImportArguments {
    /// The float network.
    #[arg(value_name = "MODEL.onnx")]
    model: PathBuf,
    /// The other system's calibration.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Whose it is [default: the file tells].
    #[arg(long, value_enum, value_name = "SYSTEM")]
    format: Option<FormatName>,
    /// The recipe.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    shapes: ShapeArguments,
}

/// Another system's calibration.
#[derive(Args)]
pub struct ForeignArguments {
    /// Another system's calibration.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["calibration", "state"], conflicts_with_all = SETTINGS)]
    pub import: Option<PathBuf>,
    /// Whose it is [default: the file tells].
    #[arg(long, value_enum, value_name = "SYSTEM", requires = "import")]
    pub import_format: Option<FormatName>,
}

/// Systems whose calibrations are read.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum FormatName {
    /// What Intel Extension for PyTorch's save_qconf_summary writes.
    Ipex,
    /// A TensorRT calibration cache.
    Tensorrt,
    /// ONNX Runtime's calibration.json or calibration.cache.
    Onnxruntime,
    /// An ncnn table.
    Ncnn,
}

impl From<FormatName> for ForeignFormat {
    fn from(name: FormatName) -> Self {
        match name {
            FormatName::Ipex => ForeignFormat::Ipex,
            FormatName::Tensorrt => ForeignFormat::TensorRt,
            FormatName::Onnxruntime => ForeignFormat::OnnxRuntime,
            FormatName::Ncnn => ForeignFormat::Ncnn,
        }
    }
}

impl ForeignArguments {
    /// The recipe, if a file was given.
    ///
    /// # Errors
    /// As [`import_recipe`], naming the file.
    pub fn import(&self, job: &Job, graph: &FloatGraph, shapes: &ShapeArguments) -> Result<Option<Recipe>> {
        self.import.as_deref().map(|path| import(job, graph, path, self.import_format, shapes)).transpose()
    }
}

fn import(job: &Job, graph: &FloatGraph, path: &Path, format: Option<FormatName>, shapes: &ShapeArguments) -> Result<Recipe> {
    let bytes = std::fs::read(path).map_err(|error| Error::io(path, &error))?;
    import_recipe(&job.context, graph, format.map(ForeignFormat::from), &bytes, shapes.dims()).map_err(|error| match error {
        Error::Mismatch(text) => Error::Mismatch(format!("{}: {text}", path.display())),
        other => other.in_file(path),
    })
}

/// What became of another system's file.
#[derive(Serialize)]
pub struct Summary {
    bound: usize,
    unused: Vec<Unbound>,
    missing: Vec<Unbound>,
}

/// Of an import's record.
pub fn summary(report: &ImportReport) -> Summary {
    Summary { bound: report.bound.len(), unused: report.unused.clone(), missing: report.missing.clone() }
}

impl Summary {
    /// For people.
    pub fn text(&self) -> String {
        let mut text = format!("{} entries bound, {} unused, {} layers without one\n", self.bound, self.unused.len(), self.missing.len());
        let mut table = Table::new(&["not bound", "why"]);
        self.unused.iter().chain(&self.missing).for_each(|entry| table.row([entry.name.clone(), entry.reason.clone()]));
        if self.unused.len() + self.missing.len() > 0 {
            text.push_str(&table.text());
        }
        text
    }
}

#[derive(Serialize)]
struct Written {
    recipe: PathBuf,
    layers: usize,
    activations: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    import: Option<Summary>,
}

/// Runs it.
pub fn run(job: &Job, arguments: &Arguments) -> Result<()> {
    let (recipe, output) = match &arguments.action {
        Action::Export(export) => {
            let graph = FloatGraph::from_onnx_file(&export.model)?;
            let prepared = export.source.prepare(job, &graph, &export.data)?;
            (prepared.recipe().map_err(|error| export.source.explain(error))?, &export.output)
        }
        Action::Import(import) => {
            let graph = FloatGraph::from_onnx_file(&import.model)?;
            (self::import(job, &graph, &import.file, import.format, &import.shapes)?, &import.output)
        }
    };
    save_recipe(&recipe, output)?;
    let (layers, activations) = (recipe.layers.len(), recipe.activations.len());
    let written = Written { recipe: output.clone(), layers, activations, import: recipe.import.as_ref().map(summary) };
    let text = || {
        let import = written.import.as_ref().map_or(String::new(), Summary::text);
        format!("{}: {layers} layers with weights, {activations} ranges\n{import}", written.recipe.display())
    };
    job.terminal.done(&written, text)
}
