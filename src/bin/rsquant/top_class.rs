//! Top-1: the share of samples whose largest output is that of their label.
use crate::dataset::Dataset;
use crate::terminal::Bar;
use rsquant::error::{Error, Result};
use rsquant::pipeline::{Context, FloatGraph, Model, Session, SessionOptions};
use rsquant::tensor::TensorViewMut;

/// Who is asked.
pub enum Classifier<'a> {
    /// The float network.
    Float(&'a Context, &'a FloatGraph),
    /// A model.
    Model(&'a Model),
}

impl Classifier<'_> {
    fn session(&self, max_batch: usize) -> Result<Session> {
        let options = SessionOptions { max_batch, ..SessionOptions::default() };
        match self {
            Classifier::Float(context, graph) => Session::float(context, graph, options),
            Classifier::Model(model) => Session::new(model, options),
        }
    }

    /// Its top-1, 0 to 1, by the first output.
    ///
    /// # Errors
    /// `NotFound` for data without labels, `ShapeMismatch` where the first output is not a row of classes a sample; as reading and running.
    pub fn top1(&self, data: &Dataset, bar: &Bar) -> Result<f64> {
        let mut session = self.session(data.batch())?;
        let (mut correct, mut all) = (0u64, 0u64);
        for batch in data.batches(0) {
            let batch = batch?;
            let labels = batch.labels.as_ref().ok_or_else(|| Error::NotFound(format!("{}: no labels; --labels", batch.file.display())))?;
            let dims = session.output_dims(&batch.dims)?;
            let mut outputs: Vec<Vec<f32>> = dims.iter().map(|dims| vec![0.0; dims.iter().product()]).collect();
            let mut views =
                outputs.iter_mut().zip(&dims).map(|(output, dims)| TensorViewMut::f32(output, dims)).collect::<Result<Vec<_>>>()?;
            session.run(&batch.views()?, &mut views).map_err(|error| error.in_file(&batch.file))?;
            let classes = match dims.first().map(Vec::as_slice) {
                Some([samples, rest @ ..]) if *samples == labels.len() => rest.iter().product::<usize>(),
                other => {
                    return Err(Error::ShapeMismatch(format!(
                        "the first output {other:?} has no row for each of {} samples",
                        labels.len()
                    )));
                }
            };
            for (row, &label) in outputs[0].chunks_exact(classes.max(1)).zip(labels) {
                if label as usize >= classes {
                    return Err(Error::InvalidArgument(format!("the label {label} is none of the network's {classes} classes")));
                }
                correct += u64::from(largest(row) == label as usize);
            }
            all += labels.len() as u64;
            bar.set(all);
        }
        Ok(correct as f64 / all.max(1) as f64)
    }
}

/// Index of the largest element, the first of equal ones.
fn largest(values: &[f32]) -> usize {
    (0..values.len()).fold(0, |best, index| if values[index] > values[best] { index } else { best })
}
