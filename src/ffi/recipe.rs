//! Recipes: solved qparams as text, and models made of them without data.
use super::context::{context_or_default, rsq_context};
use super::graph::{at, rsq_graph};
use super::info::{RSQ_NAME_BYTES, text_array, text_length};
use super::model::rsq_model;
use super::options::{InfoOut, InfoStruct, read};
use super::pointers::{Out, array, fill, path, text};
use super::prepared::{rsq_prepare_options, rsq_prepared};
use super::qconfig::{RSQ_SOLVER_AUTO, RSQ_SOLVER_ENTROPY, RSQ_SOLVER_L2, RSQ_SOLVER_MIN_MAX, RSQ_SOLVER_MSE, RSQ_SOLVER_PERCENTILE};
use super::status::{Failure, Outcome, rsq_status};
use super::tensors::{RSQ_DTYPE_S8, RSQ_DTYPE_U8};
use super::{guard, handles};
use crate::pipeline::{Model, import_recipe, load_recipe, save_recipe};
use crate::quantize::recipe::ActivationRecipe;
use crate::quantize::recipe::foreign::ForeignFormat;
use crate::quantize::{QType, Recipe, SolverKind};
use std::ffi::{c_char, c_void};

/// Shared. An immutable recipe: a qconfig and the qparams that a calibration came to, without any data. docs/RECIPE.md has
/// its JSON.
pub struct rsq_recipe {
    _private: [u8; 0],
}

impl handles::Handle for rsq_recipe {
    type Object = Recipe;
    const TAG: usize = 9;
    const NAME: &'static str = "recipe";
}

/// The bytes tell the format.
pub const RSQ_CALIBRATION_FORMAT_AUTO: i32 = 0;
/// What Intel Extension for PyTorch's `save_qconf_summary` writes.
pub const RSQ_CALIBRATION_FORMAT_IPEX: i32 = 1;
/// A TensorRT calibration cache.
pub const RSQ_CALIBRATION_FORMAT_TENSORRT: i32 = 2;
/// ONNX Runtime's `calibration.json` or `calibration.cache`.
pub const RSQ_CALIBRATION_FORMAT_ONNXRUNTIME: i32 = 3;
/// An ncnn `.table`.
pub const RSQ_CALIBRATION_FORMAT_NCNN: i32 = 4;

/// QParams of a tensor, or of several that share them. Set `struct_size` before the call.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsq_recipe_activation {
    /// `sizeof(rsq_recipe_activation)`, set by the caller.
    pub struct_size: u32,
    /// `RSQ_DTYPE_U8` or `RSQ_DTYPE_S8`.
    pub dtype: i32,
    /// 1 if `scale` and `zero_point` are stated; otherwise they follow from the range.
    pub has_qparams: i32,
    /// The integer that stands for 0.0, in the numbers of `dtype`.
    pub zero_point: i32,
    /// Real units of an integer step.
    pub scale: f32,
    /// 1 if `low` and `high` are stated.
    pub has_range: i32,
    /// Lower end of the solved range.
    pub low: f32,
    /// Upper end.
    pub high: f32,
    /// The `RSQ_SOLVER_` that won; 0 where none is stated.
    pub solver: i32,
    /// Tensors that share the qparams.
    pub tensor_count: u32,
    /// The signal-to-noise ratio that the solver predicts, in dB; 0 where none is stated.
    pub predicted_sqnr_db: f64,
    /// Bytes of the full name. `name` holds only its beginning if this is `RSQ_NAME_BYTES` or more.
    pub name_length: u32,
    /// 0.
    pub reserved: u32,
    /// The first tensor's name, UTF-8.
    pub name: [c_char; RSQ_NAME_BYTES],
}

// SAFETY: repr(C), integers and floats alone, no padding (asserted below), size first.
unsafe impl InfoStruct for rsq_recipe_activation {
    const FIRST_SIZE: usize = 312;
}
const _: () = assert!(size_of::<rsq_recipe_activation>() == 312);

fn solver_number(solver: SolverKind) -> i32 {
    match solver {
        SolverKind::MinMax => RSQ_SOLVER_MIN_MAX,
        SolverKind::L2 => RSQ_SOLVER_L2,
        SolverKind::Percentile { .. } => RSQ_SOLVER_PERCENTILE,
        SolverKind::Entropy => RSQ_SOLVER_ENTROPY,
        SolverKind::Mse => RSQ_SOLVER_MSE,
        SolverKind::Auto => RSQ_SOLVER_AUTO,
    }
}

impl rsq_recipe_activation {
    fn describe(activation: &ActivationRecipe) -> Self {
        let name = activation.tensors.first().map_or("", String::as_str);
        let [low, high] = activation.range.unwrap_or_default();
        Self {
            struct_size: 0,
            dtype: if activation.dtype == QType::U8 { RSQ_DTYPE_U8 } else { RSQ_DTYPE_S8 },
            has_qparams: activation.scale.is_some().into(),
            zero_point: activation.zero_point.unwrap_or_default(),
            scale: activation.scale.unwrap_or_default(),
            has_range: activation.range.is_some().into(),
            low,
            high,
            solver: activation.solver.map_or(0, solver_number),
            tensor_count: activation.tensors.len() as u32,
            predicted_sqnr_db: activation.predicted_sqnr_db.unwrap_or_default(),
            name_length: text_length(name),
            reserved: 0,
            name: text_array(name),
        }
    }
}

/// Solves all qparams of a calibrated graph and writes them down: what `rsq_convert` would use. The caller frees `*out`.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BUSY`, `NOT_CALIBRATED` (the message names the tensor), `NOT_FINITE`
/// (weights), `OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_prepared_recipe(prepared: *const rsq_prepared, out: *mut *mut rsq_recipe) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { Out::new(out, "out") }?;
        let recipe = handles::get(prepared)?.read()?.recipe()?;
        out.write(handles::make(recipe)?);
        Ok(())
    })
}

/// Reads a recipe from JSON, a C string in UTF-8. The caller frees `*out`.
///
/// Statuses: `NULL_ARGUMENT`, `PARSE` (also for an unknown key) and `INVALID_ARGUMENT` (a contradiction; the messages name
/// the path in the JSON), `VERSION` (of a newer format), `OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_recipe_from_json(utf8_json: *const c_char, out: *mut *mut rsq_recipe) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promises.
        let (out, json) = unsafe { (Out::new(out, "out")?, text(utf8_json, "utf8_json")?) };
        out.write(handles::make(Recipe::from_json(json)?)?);
        Ok(())
    })
}

/// Reads a recipe file. The caller frees `*out`.
///
/// Statuses: `IO`, and as `rsq_recipe_from_json`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_recipe_load(utf8_path: *const c_char, out: *mut *mut rsq_recipe) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promises.
        let (out, path) = unsafe { (Out::new(out, "out")?, path(utf8_path)?) };
        out.write(handles::make(load_recipe(&path)?)?);
        Ok(())
    })
}

/// Makes a recipe for a graph of another system's calibration of `size` bytes in memory. Its entries hold as they stand; what it
/// leaves open is derived or float, by the rules in docs/RECIPE.md, and the recipe's JSON tells what was bound and what was not.
/// `format` is one of `RSQ_CALIBRATION_FORMAT_`; `context` and `options` may be NULL. The caller frees `*out`.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BAD_STRUCT_SIZE`, `INVALID_ARGUMENT`, `PARSE` (the message names line or
/// key), `UNSUPPORTED` (what a recipe cannot say, such as SmoothQuant), `MISMATCH` (nothing fits the graph), `SHAPE_MISMATCH`,
/// `OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_recipe_import(
    context: *const rsq_context,
    graph: *const rsq_graph,
    format: i32,
    bytes: *const c_void,
    size: usize,
    options: *const rsq_prepare_options,
    out: *mut *mut rsq_recipe,
) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promises.
        let (out, bytes) = unsafe { (Out::new(out, "out")?, array(bytes.cast::<u8>(), size, "bytes")?) };
        // SAFETY: the caller's promise.
        let options = unsafe { read(options, "rsq_prepare_options") }?;
        let (context, graph, format) = (context_or_default(context)?, handles::get(graph)?, calibration_format(format)?);
        // SAFETY: the caller's promise.
        let input_dims = options.map_or(Ok(None), |options| unsafe { options.without_images()?.input_dims() })?;
        out.write(handles::make(import_recipe(&context, &graph, format, bytes, input_dims)?)?);
        Ok(())
    })
}

/// The format with a caller's number; `None` for `RSQ_CALIBRATION_FORMAT_AUTO`.
fn calibration_format(number: i32) -> Outcome<Option<ForeignFormat>> {
    Ok(match number {
        RSQ_CALIBRATION_FORMAT_AUTO => None,
        RSQ_CALIBRATION_FORMAT_IPEX => Some(ForeignFormat::Ipex),
        RSQ_CALIBRATION_FORMAT_TENSORRT => Some(ForeignFormat::TensorRt),
        RSQ_CALIBRATION_FORMAT_ONNXRUNTIME => Some(ForeignFormat::OnnxRuntime),
        RSQ_CALIBRATION_FORMAT_NCNN => Some(ForeignFormat::Ncnn),
        other => return Err(Failure::invalid(format!("format is {other}; this version knows 0 to 4"))),
    })
}

/// Writes a recipe to a file, which is replaced at once or stays as it was.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `IO`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_recipe_save(recipe: *const rsq_recipe, utf8_path: *const c_char) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promise.
        let path = unsafe { path(utf8_path) }?;
        Ok(save_recipe(&*handles::get(recipe)?, &path)?)
    })
}

/// Writes a recipe as JSON in UTF-8: first call with `buffer` NULL, which tells the length without the NUL, then with a
/// buffer of `capacity` bytes, at least one more than that.
///
/// Statuses: `NULL_ARGUMENT` (`out_length`), `INVALID_HANDLE`, `INVALID_ARGUMENT` (the buffer is too small).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_recipe_to_json(
    recipe: *const rsq_recipe,
    buffer: *mut c_char,
    capacity: usize,
    out_length: *mut usize,
) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promise.
        let length = unsafe { Out::new(out_length, "out_length") }?;
        let mut json = handles::get(recipe)?.to_json()?;
        json.push('\0');
        // SAFETY: the caller's promise.
        unsafe { fill(json.as_bytes(), buffer.cast(), capacity, length, json.len() - 1) }
    })
}

/// Number of entries for activations. 0 for a bad handle.
#[unsafe(no_mangle)]
pub extern "C" fn rsq_recipe_activation_count(recipe: *const rsq_recipe) -> usize {
    guard::value(0, || Ok(handles::get(recipe)?.activations.len()))
}

/// One entry for activations. Set `out->struct_size` before.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BAD_STRUCT_SIZE`, `NOT_FOUND` (no such index).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_recipe_activation_info(
    recipe: *const rsq_recipe,
    index: usize,
    out: *mut rsq_recipe_activation,
) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { InfoOut::new(out, "rsq_recipe_activation") }?;
        let recipe = handles::get(recipe)?;
        out.write(&rsq_recipe_activation::describe(at(&recipe.activations, index, "activation")?));
        Ok(())
    })
}

/// Makes an int8 model of a graph with a recipe, without calibration data. From the recipe of a calibration, the model has
/// the bytes that `rsq_convert` gives. `context` may be NULL. The caller frees `*out`.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `MISMATCH` (the recipe is for another model; the message names the first
/// difference), `INVALID_ARGUMENT` (the recipe contradicts itself; the message names the path in its JSON), `UNSUPPORTED` (a
/// strict qconfig, and a layer that would stay float), `NOT_FINITE`, `OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_convert_with_recipe(
    context: *const rsq_context,
    graph: *const rsq_graph,
    recipe: *const rsq_recipe,
    out: *mut *mut rsq_model,
) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { Out::new(out, "out") }?;
        let (context, graph, recipe) = (context_or_default(context)?, handles::get(graph)?, handles::get(recipe)?);
        out.write(handles::make(Model::from_recipe(&context, &graph, &recipe)?)?);
        Ok(())
    })
}

/// Frees a recipe. NULL and stale handles are ignored; models made of it stay usable.
#[unsafe(no_mangle)]
pub extern "C" fn rsq_recipe_free(recipe: *mut rsq_recipe) {
    guard::value((), || {
        handles::release(recipe);
        Ok(())
    });
}

#[cfg(test)]
mod tests {
    use super::super::qconfig::*;
    use super::*;

    #[test]
    fn an_entry_tells_what_is_stated() {
        let mut activation = ActivationRecipe {
            tensors: vec!["x".to_owned(), "y".to_owned()],
            dtype: QType::S8,
            scale: Some(0.5),
            zero_point: Some(-3),
            range: None,
            solver: Some(SolverKind::Mse),
            predicted_sqnr_db: None,
            origin: None,
        };
        let info = rsq_recipe_activation::describe(&activation);
        assert_eq!((info.dtype, info.has_qparams, info.zero_point, info.scale), (RSQ_DTYPE_S8, 1, -3, 0.5));
        assert_eq!((info.has_range, info.solver, info.tensor_count, info.predicted_sqnr_db), (0, RSQ_SOLVER_MSE, 2, 0.0));
        (activation.scale, activation.zero_point, activation.range) = (None, None, Some([-1.0, 2.0]));
        let info = rsq_recipe_activation::describe(&ActivationRecipe { dtype: QType::U8, solver: None, ..activation });
        assert_eq!((info.dtype, info.has_qparams, info.has_range, info.low, info.high, info.solver), (RSQ_DTYPE_U8, 0, 1, -1.0, 2.0, 0));
    }

    #[test]
    fn solvers_are_told_by_the_numbers_that_set_them() {
        let solvers =
            [SolverKind::MinMax, SolverKind::L2, SolverKind::Percentile { p: 1.0 }, SolverKind::Entropy, SolverKind::Mse, SolverKind::Auto];
        assert_eq!(solvers.map(solver_number), [1, 2, 3, 4, 5, 6]);
    }
}
