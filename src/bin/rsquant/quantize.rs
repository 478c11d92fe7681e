//! `rsquant quantize`: an int8 model from a float network and a data set, a calibration state, a recipe, or another system's calibration.
use crate::calibration::{SourceArguments, convert};
use crate::command::Job;
use crate::dataset::DataArguments;
use crate::recipe::{ForeignArguments, summary};
use crate::settings::SETTINGS;
use crate::table::{Table, bytes};
use clap::Args;
use rsquant::error::{Error, Result};
use rsquant::pipeline::{FloatGraph, LayerInfo, LayerPrecision, Model, load_recipe, save_recipe};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What it takes.
#[derive(Args)]
pub struct Arguments {
    /// The float network.
    #[arg(value_name = "MODEL.onnx")]
    model: PathBuf,
    /// The int8 model.
    #[arg(long, short, value_name = "MODEL.rsq")]
    output: PathBuf,
    /// Convert with a recipe instead of data.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["calibration", "state", "import"], conflicts_with_all = SETTINGS)]
    recipe: Option<PathBuf>,
    #[command(flatten)]
    foreign: ForeignArguments,
    /// Write the recipe: settings and solved ranges.
    #[arg(long, value_name = "FILE")]
    save_recipe: Option<PathBuf>,
    #[command(flatten)]
    source: SourceArguments,
    #[command(flatten)]
    data: DataArguments,
}

/// How many layers run how.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Counts {
    int8_static: usize,
    int8_dynamic: usize,
    float: usize,
}

impl Counts {
    /// Of a model.
    pub fn of(model: &Model) -> Self {
        let count = |precision| model.layers().iter().filter(|layer| layer.precision == precision).count();
        let [int8_static, int8_dynamic, float] =
            [LayerPrecision::Int8Static, LayerPrecision::Int8Dynamic, LayerPrecision::Float].map(count);
        Self { int8_static, int8_dynamic, float }
    }

    /// In words.
    pub fn text(&self) -> String {
        format!("{} layers int8, {} int8 dynamic, {} float", self.int8_static, self.int8_dynamic, self.float)
    }
}

/// What is told of a model that was written.
#[derive(Serialize)]
pub struct WrittenModel {
    model: PathBuf,
    bytes: u64,
    layers: Counts,
    float_layers: Vec<LayerInfo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    calibration_samples: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    import: Option<crate::recipe::Summary>,
}

impl WrittenModel {
    /// Writes the model.
    ///
    /// # Errors
    /// `Io`.
    pub fn save(model: &Model, path: &Path) -> Result<Self> {
        model.save(path)?;
        let bytes = std::fs::metadata(path).map_err(|error| Error::io(path, &error))?.len();
        let float = |layer: &&LayerInfo| layer.precision == LayerPrecision::Float;
        let float_layers = model.layers().iter().filter(float).cloned().collect();
        Ok(Self { model: path.to_owned(), bytes, layers: Counts::of(model), float_layers, calibration_samples: None, import: None })
    }

    /// File, size and layers in a line.
    pub fn headline(&self) -> String {
        let samples = self.calibration_samples.map_or(String::new(), |samples| format!(", {samples} calibration samples"));
        format!("{}: {}, {}{samples}\n", self.model.display(), bytes(self.bytes), self.layers.text())
    }

    fn text(&self) -> String {
        let mut text = self.headline();
        if let Some(import) = &self.import {
            text.push_str(&import.text());
        }
        let mut table = Table::new(&["float layer", "operator", "why"]);
        self.float_layers.iter().for_each(|layer| table.row([layer.name.clone(), layer.operator.clone(), layer.reason.clone()]));
        if !self.float_layers.is_empty() {
            text.push_str(&table.text());
        }
        text
    }
}

/// Runs it.
pub fn run(job: &Job, arguments: &Arguments) -> Result<()> {
    let Arguments { model, output, recipe, foreign, save_recipe: recipe_to, source, data } = arguments;
    let graph = FloatGraph::from_onnx_file(model)?;
    let from_file = match recipe {
        Some(path) => Some(load_recipe(path)?),
        None => foreign.import(job, &graph, &source.shapes)?,
    };
    let written = match from_file {
        Some(recipe) => {
            let model = Model::from_recipe(&job.context, &graph, &recipe)?;
            if let Some(path) = recipe_to {
                save_recipe(&recipe, path)?;
            }
            WrittenModel { import: recipe.import.as_ref().map(summary), ..WrittenModel::save(&model, output)? }
        }
        None => {
            let mut prepared = source.prepare(job, &graph, data)?;
            let model = convert(job, &mut prepared).map_err(|error| source.explain(error))?;
            if let Some(path) = recipe_to {
                save_recipe(&prepared.recipe()?, path)?;
            }
            let samples = Some(prepared.samples()).filter(|&samples| samples > 0);
            WrittenModel { calibration_samples: samples, ..WrittenModel::save(&model, output)? }
        }
    };
    job.terminal.done(&written, || written.text())
}
