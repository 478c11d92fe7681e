//! Mixed precision by a metric and a budget.
use super::model::rsq_model;
use super::options::{InfoOut, InfoStruct, OptionStruct, read};
use super::pointers::Out;
use super::prepared::rsq_prepared;
use super::progress::{RSQ_STAGE_TUNE, rsq_progress_fn, step_callback};
use super::recipe::rsq_recipe;
use super::status::{Failure, Outcome, rsq_status};
use super::tensors::{Needed, rsq_tensor_view, with_tensors};
use super::{guard, handles};
use crate::error::{Error, Result};
use crate::pipeline::{Metric, Model, TuneOptions, Tuned, tune};
use std::ffi::c_void;
use std::ptr::null;

/// A caller's measure of a model: writes it to `out_metric`, larger is better, and returns 0; any other number ends the call with
/// `RSQ_CALLBACK`. `model` is freed after the callback. It is called on the thread that made the call, may use any function of
/// the library, and must not throw.
pub type rsq_metric_fn = Option<unsafe extern "C" fn(user_data: *mut c_void, model: *const rsq_model, out_metric: *mut f64) -> i32>;

/// What is to be reached and what it may cost. At least one of `target`, `max_float_layers` and `max_float_macs` is given.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsq_tune_options {
    /// `sizeof(rsq_tune_options)`.
    pub struct_size: u32,
    /// Layers to leave in float at most; 0: any number.
    pub max_float_layers: u32,
    /// The metric that is enough; 0: as much as the budget allows.
    pub target: f64,
    /// Share, up to 1, of the multiply-accumulates that may run in float; 0: all.
    pub max_float_macs: f64,
    /// The measure of a model; NULL: the outputs' SQNR in dB on the inputs of the call, for which no labels are needed.
    pub metric: rsq_metric_fn,
    /// Handed to `metric`.
    pub metric_data: *mut c_void,
    /// Is told how far the work is; NULL: nobody.
    pub progress: rsq_progress_fn,
    /// Handed to `progress`.
    pub progress_data: *mut c_void,
}

// SAFETY: repr(C), size first, integers, floats, pointers and optional function pointers, none larger than the alignment.
unsafe impl OptionStruct for rsq_tune_options {}
const _: () = assert!(size_of::<rsq_tune_options>() == 24 + 4 * size_of::<usize>());

/// What was found. Set `struct_size` before the call.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsq_tune_result {
    /// `sizeof(rsq_tune_result)`, set by the caller.
    pub struct_size: u32,
    /// 1 if the target is reached, or there is none.
    pub reached: i32,
    /// Layers left in float.
    pub float_layers: u32,
    /// Models that were measured.
    pub trials: u32,
    /// The metric of the model that was found.
    pub metric: f64,
    /// The metric with every layer int8.
    pub int8_metric: f64,
    /// Share, 0 to 1, of the multiply-accumulates that run in float.
    pub float_macs: f64,
}

// SAFETY: repr(C), integers and floats alone, no padding (asserted below), size first.
unsafe impl InfoStruct for rsq_tune_result {
    const FIRST_SIZE: usize = 40;
}
const _: () = assert!(size_of::<rsq_tune_result>() == 40);

impl rsq_tune_options {
    fn to_core(self) -> TuneOptions {
        TuneOptions {
            target: (self.target != 0.0).then_some(self.target),
            max_float_layers: (self.max_float_layers != 0).then_some(self.max_float_layers as usize),
            max_float_macs: (self.max_float_macs != 0.0).then_some(self.max_float_macs),
        }
    }

    /// Measures a model by the caller's callback.
    fn measure(&self, model: &Model) -> Result<f64> {
        let refused = |text: &str| Error::Callback(text.to_owned());
        let function = self.metric.ok_or_else(|| refused("there is no metric"))?;
        let handle = handles::make::<rsq_model>(model.clone()).map_err(|failure| refused(&failure.message))?;
        let mut metric = f64::NAN;
        // SAFETY: the header demands a function that may be called with this data.
        let outcome = unsafe { function(self.metric_data, handle, &mut metric) };
        handles::release(handle);
        if outcome == 0 { Ok(metric) } else { Err(Error::Callback(format!("the metric failed with {outcome}"))) }
    }
}

impl rsq_tune_result {
    fn describe(tuned: &Tuned) -> Self {
        Self {
            struct_size: 0,
            reached: tuned.reached.into(),
            float_layers: tuned.float_layers.len() as u32,
            trials: tuned.trials.len() as u32,
            metric: tuned.metric,
            int8_metric: tuned.int8_metric,
            float_macs: tuned.float_macs,
        }
    }
}

/// Finds the layers to leave in float: the fewest of the most harmful ones with which the metric reaches the target, within the
/// budget. The prepared stays as it is. `inputs`, one batch of any size, rank the layers. Gives a recipe (the qconfig with those
/// layers in float, and all qparams) and its model, which the caller frees. With a target out of reach of the budget the best that
/// the budget gives is found, and `reached` is 0.
///
/// Statuses: as `rsq_sensitivity_new`; `BAD_STRUCT_SIZE`, `INVALID_ARGUMENT` (no target and no budget, or a number that is none),
/// `CALLBACK` (the metric failed or is NaN), `CANCELLED` (by `progress`).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_tune(
    prepared: *const rsq_prepared,
    inputs: *const rsq_tensor_view,
    input_count: usize,
    options: *const rsq_tune_options,
    out: *mut rsq_tune_result,
    out_recipe: *mut *mut rsq_recipe,
    out_model: *mut *mut rsq_model,
) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promises.
        let (out_recipe, out_model) = unsafe { (Out::new(out_recipe, "out_recipe")?, Out::new(out_model, "out_model")?) };
        // SAFETY: the caller's promises.
        let (out, options) = unsafe { (InfoOut::new(out, "rsq_tune_result")?, read(options, "rsq_tune_options")?) };
        let options: rsq_tune_options = options.ok_or_else(|| Failure::null("options"))?;
        // SAFETY: the caller's promises.
        let tuned = unsafe { tune_views(prepared, (inputs, input_count), &options) }?;
        let result = rsq_tune_result::describe(&tuned);
        let recipe = handles::make::<rsq_recipe>(tuned.recipe)?;
        let model = handles::make::<rsq_model>(tuned.model).inspect_err(|_| handles::release(recipe))?;
        out.write(&result);
        out_recipe.write(recipe);
        out_model.write(model);
        Ok(())
    })
}

/// # Safety
/// As `rsq_tune`.
unsafe fn tune_views(prepared: *const rsq_prepared, inputs: (*const rsq_tensor_view, usize), options: &rsq_tune_options) -> Outcome<Tuned> {
    if inputs.0.is_null() && inputs.1 > 0 {
        return Err(Failure::null("inputs"));
    }
    let object = handles::get(prepared)?;
    let prepared = object.read()?;
    let needed = Needed { inputs: prepared.graph().inputs().len(), outputs: 0 };
    // SAFETY: the caller's promise.
    let mut told = unsafe { step_callback(options.progress, options.progress_data, RSQ_STAGE_TUNE) };
    let mut measure = |model: &Model| options.measure(model);
    let metric: Option<&mut Metric<'_>> = if options.metric.is_some() { Some(&mut measure) } else { None };
    let mut found = None;
    // SAFETY: the caller's promises.
    unsafe {
        with_tensors(needed, inputs, (null(), 0), |inputs, _| {
            found = Some(tune(&prepared, inputs, options.to_core(), metric, &mut told)?);
            Ok(())
        })
    }?;
    found.ok_or_else(|| Failure::invalid("nothing was measured"))
}
