//! Where the statistics of a static quantization come from: a data set, calibrated with here, or states that were saved.
use crate::command::{Job, refused};
use crate::dataset::{DataArguments, Dataset};
use crate::settings::QConfigArguments;
use clap::Args;
use rsquant::error::{Error, Result};
use rsquant::pipeline::{FloatGraph, Prepared, Progress, Stage};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Data or states, and how layers are quantized.
#[derive(Args)]
pub struct SourceArguments {
    /// Data to calibrate with: a folder or a file.
    #[arg(long, value_name = "DATA")]
    pub calibration: Option<PathBuf>,
    /// A calibration state to take over instead of data; several are merged.
    #[arg(long, value_name = "FILE", conflicts_with = "calibration")]
    pub state: Vec<PathBuf>,
    /// Write the calibration state, also now and then on the way.
    #[arg(long, value_name = "FILE", requires = "calibration")]
    pub save_state: Option<PathBuf>,
    #[command(flatten)]
    pub going_on: GoingOnArguments,
    #[command(flatten)]
    pub settings: QConfigArguments,
    #[command(flatten)]
    pub shapes: ShapeArguments,
}

/// How a long calibration outlives the end of its process.
#[derive(Args)]
pub struct GoingOnArguments {
    /// Go on from the state that is written, if it is there: the samples that it has seen are not read again.
    #[arg(long)]
    pub resume: bool,
    /// Write the state after this many batches, besides at the end.
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub save_every: u64,
}

/// Shapes that neither the network nor data tell.
#[derive(Args)]
pub struct ShapeArguments {
    /// The shape of an input, such as 1x3x224x224, once for each input: where the network leaves more than the batch open.
    #[arg(long, value_name = "SHAPE", value_parser = shape)]
    pub input_shape: Vec<Shape>,
}

/// Dimensions of one input.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape(Vec<usize>);

fn shape(text: &str) -> std::result::Result<Shape, String> {
    let dims = text.split('x').map(|dim| dim.parse().ok().filter(|&dim: &usize| dim > 0));
    dims.collect::<Option<Vec<_>>>().map(Shape).ok_or_else(|| format!("{text:?} is no shape such as 1x3x224x224"))
}

impl ShapeArguments {
    /// The shapes, if they were given.
    pub fn dims(&self) -> Option<Vec<Vec<usize>>> {
        let dims: Vec<Vec<usize>> = self.input_shape.iter().map(|shape| shape.0.clone()).collect();
        Some(dims).filter(|dims| !dims.is_empty())
    }
}

impl SourceArguments {
    /// Calibrates, or takes over states; with neither the graph is prepared only, which is enough for dynamic layers.
    ///
    /// # Errors
    /// As reading the data and as [`Prepared::calibrate`], naming the file.
    pub fn prepare(&self, job: &Job, graph: &FloatGraph, data: &DataArguments) -> Result<Prepared> {
        let qconfig = self.settings.qconfig()?;
        if self.going_on.resume && self.save_state.is_none() {
            return Err(refused("--resume goes on from the file of --save-state, which is not given"));
        }
        let mut prepared = Prepared::new(&job.context, graph, &qconfig, self.shapes.dims())?;
        match (&self.calibration, self.state.as_slice()) {
            (Some(root), _) => {
                let dataset = Dataset::open(root, graph.inputs(), data)?.allowing_infinite(qconfig.drop_inf);
                calibrate(job, &mut prepared, &dataset, self.save_state.as_deref(), &self.going_on)?;
            }
            (None, []) => {}
            // One state may come from another solver; several have to be of the same settings.
            (None, [state]) => prepared.load_calibration(state)?,
            (None, states) => prepared.merge_calibrations(states)?,
        }
        Ok(prepared)
    }

    /// What to say where nothing was calibrated: the library knows tensors, this knows options.
    pub fn explain(&self, error: Error) -> Error {
        match error {
            Error::NotCalibrated(text) if self.calibration.is_none() && self.state.is_empty() => {
                Error::NotCalibrated(format!("{text}; static layers need --calibration or --state"))
            }
            other => other,
        }
    }
}

/// Shows a data set to the observers. The state is written to `save_to` on the way and at the end.
///
/// # Errors
/// As [`SourceArguments::prepare`].
pub fn calibrate(job: &Job, prepared: &mut Prepared, data: &Dataset, save_to: Option<&Path>, going_on: &GoingOnArguments) -> Result<()> {
    if let Some(path) = save_to.filter(|path| going_on.resume && path.exists()) {
        prepared.load_calibration(path)?;
    }
    let (seen, all) = (prepared.samples(), data.samples());
    if seen > all {
        let what = format!("the state has seen {seen} samples; {} has {all} here", data.root().display());
        return Err(Error::Mismatch(what));
    }
    let bar = Arc::new(job.terminal.bar(all, "calibrate"));
    let mut unsaved = 0;
    for batch in data.batches(seen) {
        let batch = batch?;
        let (first, samples, told) = (prepared.samples(), batch.samples as u64, Arc::clone(&bar));
        prepared.set_progress(Some(Arc::new(move |progress: &Progress| {
            if progress.stage == Stage::Calibrate {
                told.set(first + samples * progress.done / progress.total.max(1));
            }
            Ok(())
        })));
        prepared.calibrate(&batch.views()?).map_err(|error| error.in_file(&batch.file))?;
        unsaved += 1;
        if let Some(path) = save_to.filter(|_| going_on.save_every > 0 && unsaved == going_on.save_every) {
            prepared.save_calibration(path)?;
            unsaved = 0;
        }
    }
    prepared.set_progress(None);
    match save_to {
        Some(path) => prepared.save_calibration(path),
        None => Ok(()),
    }
}

/// Converts with a bar for the tensors that are solved.
///
/// # Errors
/// As [`Prepared::convert`].
pub fn convert(job: &Job, prepared: &mut Prepared) -> Result<rsquant::pipeline::Model> {
    let bar = job.terminal.bar(1, "convert");
    prepared.set_progress(Some(Arc::new(move |progress: &Progress| {
        if progress.stage == Stage::Convert {
            bar.set_of(progress.done, progress.total);
        }
        Ok(())
    })));
    let model = prepared.convert();
    prepared.set_progress(None);
    model
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_dimensions_above_zero() {
        assert_eq!(shape("1x3x224x224"), Ok(Shape(vec![1, 3, 224, 224])));
        for bad in ["", "1x", "0x3", "1,3", "-1"] {
            assert!(shape(bad).is_err(), "{bad}");
        }
    }
}
