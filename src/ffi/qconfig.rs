//! QConfigs: what the user asks for.
use super::handles::Exclusive;
use super::options::{OptionStruct, read};
use super::pointers::{Out, fill, text};
use super::status::{Failure, Outcome, rsq_status};
use super::tensors::{RSQ_DTYPE_S8, RSQ_DTYPE_U8};
use super::{guard, handles};
use crate::quantize::qconfig::{ActivationSettings, WeightSettings};
use crate::quantize::{DEFAULT_PERCENTILE, DynamicRule, Grain, LayerSettings, Mode, ObserverKind, QConfig, QType, Scheme, SolverKind};
use std::ffi::c_char;

/// Exclusive. What is to be quantized, and how: defaults, then settings by scope.
pub struct rsq_qconfig {
    _private: [u8; 0],
}

impl handles::Handle for rsq_qconfig {
    type Object = Exclusive<QConfig>;
    const TAG: usize = 3;
    const NAME: &'static str = "qconfig";
}

/// int8 with activation qparams from calibration.
pub const RSQ_PRECISION_INT8_STATIC: i32 = 1;
/// int8 with activation qparams from each run's values: needs no calibration. Convolutions, linear layers, LSTM, GRU, RNN.
pub const RSQ_PRECISION_INT8_DYNAMIC: i32 = 2;
/// f32.
pub const RSQ_PRECISION_FLOAT: i32 = 3;

/// The whole range, any zero point.
pub const RSQ_SCHEME_AFFINE: i32 = 1;
/// A range symmetric about zero; `a / 127.5` for s8.
pub const RSQ_SCHEME_SYMMETRIC: i32 = 2;
/// Symmetric with `a / 127` and the smallest integer -127, as TensorRT and ncnn have it; s8 only.
pub const RSQ_SCHEME_RESTRICTED_SYMMETRIC: i32 = 3;

/// The range.
pub const RSQ_OBSERVER_MIN_MAX: i32 = 1;
/// A moving average of batch ranges; depends on the order of batches, does not merge.
pub const RSQ_OBSERVER_MOVING_AVERAGE: i32 = 2;
/// Counts on a dyadic grid; merges to the bits of one pass. The default.
pub const RSQ_OBSERVER_HISTOGRAM: i32 = 3;
/// Torch's HistogramObserver; depends on the order of batches, does not merge.
pub const RSQ_OBSERVER_TORCH_HISTOGRAM: i32 = 4;

/// The observed range.
pub const RSQ_SOLVER_MIN_MAX: i32 = 1;
/// The range with the least expected squared error. The default.
pub const RSQ_SOLVER_L2: i32 = 2;
/// Cuts off the outermost values: see `percentile`.
pub const RSQ_SOLVER_PERCENTILE: i32 = 3;
/// The range with the least Kullback-Leibler divergence.
pub const RSQ_SOLVER_ENTROPY: i32 = 4;
/// The range with the least squared error of the histogram's bin centres, quantized and back.
pub const RSQ_SOLVER_MSE: i32 = 5;
/// Of all, the one with the least squared error.
pub const RSQ_SOLVER_AUTO: i32 = 6;

/// One set of weight qparams a tensor.
pub const RSQ_GRANULARITY_PER_TENSOR: i32 = 1;
/// One set of weight qparams an output channel. The default.
pub const RSQ_GRANULARITY_PER_CHANNEL: i32 = 2;

/// Dynamic activations: one set of qparams a sample, that is, an index of axis 0, or a sequence of a recurrent layer (whose
/// state has one a step). The default.
pub const RSQ_GRAIN_PER_SAMPLE: i32 = 1;
/// Dynamic activations: one set of qparams a row (token) of a linear layer, a step of each sequence of a recurrent layer;
/// convolutions have no such thing.
pub const RSQ_GRAIN_PER_ROW: i32 = 2;
/// Dynamic activations: one set of qparams a tensor, so that results depend on batch mates, as torch's do.
pub const RSQ_GRAIN_PER_TENSOR: i32 = 3;

/// Dynamic activations by this library's formula: the zero point is added after rounding. The default.
pub const RSQ_RULE_NATIVE: i32 = 1;
/// Dynamic activations by torch's formula: the zero point is added before rounding, scales are at least 6.1e-5.
pub const RSQ_RULE_TORCH: i32 = 2;

/// No.
pub const RSQ_OFF: i32 = 1;
/// Yes.
pub const RSQ_ON: i32 = 2;

/// Settings of the layers in a scope. A field that is 0 leaves what less specific scopes and the defaults say.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsq_layer_qconfig {
    /// `sizeof(rsq_layer_qconfig)`.
    pub struct_size: u32,
    /// One of `RSQ_PRECISION_`; `RSQ_PRECISION_FLOAT` skips the layers.
    pub precision: i32,
    /// `RSQ_DTYPE_U8` or `RSQ_DTYPE_S8`.
    pub activation_dtype: i32,
    /// One of `RSQ_SCHEME_`.
    pub activation_scheme: i32,
    /// `RSQ_ON` leaves one bit of activations unused: 0..127 or -64..63; `RSQ_OFF`.
    pub activation_reduce_range: i32,
    /// One of `RSQ_OBSERVER_`.
    pub activation_observer: i32,
    /// One of `RSQ_SOLVER_`. An observer that is set without a solver brings its own default.
    pub activation_solver: i32,
    /// One of `RSQ_GRAIN_`.
    pub activation_grain: i32,
    /// One of `RSQ_GRANULARITY_`.
    pub weight_granularity: i32,
    /// `RSQ_SCHEME_SYMMETRIC` or `RSQ_SCHEME_RESTRICTED_SYMMETRIC`; weights are s8.
    pub weight_scheme: i32,
    /// `RSQ_ON` keeps weights in -64..63; `RSQ_OFF`.
    pub weight_reduce_range: i32,
    /// One of `RSQ_RULE_`: how qparams and bytes of dynamic activations are computed.
    pub activation_rule: i32,
    /// With `RSQ_SOLVER_PERCENTILE`: the share of values to keep, above 0, up to 100; 0: 99.99.
    pub percentile: f64,
    /// `RSQ_GRANULARITY_PER_CHANNEL`: depthwise convolutions have fixed activation qparams of each channel; needs
    /// `RSQ_OBSERVER_MIN_MAX`. A layer that cannot have them has one set for the tensor, and `rsq_model_layer_info` tells why; with
    /// strict that is an error. `RSQ_GRANULARITY_PER_TENSOR`: the default.
    pub activation_granularity: i32,
    /// 0.
    pub reserved: i32,
}

// SAFETY: repr(C), size first, integers and a float, none larger than the alignment.
unsafe impl OptionStruct for rsq_layer_qconfig {}
const _: () = assert!(size_of::<rsq_layer_qconfig>() == 64);

/// The choice that a field's number stands for: none for 0, the first for 1, and so on.
pub(super) fn named_choice<T: Copy>(number: i32, name: impl std::fmt::Display, choices: &[T]) -> Outcome<Option<T>> {
    if number == 0 {
        return Ok(None);
    }
    let found = usize::try_from(number).ok().and_then(|number| choices.get(number - 1)).copied();
    let unknown = || Failure::invalid(format!("{name} is {number}; this version knows 0 to {}", choices.len()));
    found.map(Some).ok_or_else(unknown)
}

fn choice<T: Copy>(number: i32, field: &str, choices: &[T]) -> Outcome<Option<T>> {
    named_choice(number, format_args!("rsq_layer_qconfig.{field}"), choices)
}

pub(super) const SCHEMES: [Scheme; 3] = [Scheme::Affine, Scheme::Symmetric, Scheme::RestrictedSymmetric];
pub(super) const OBSERVERS: [ObserverKind; 4] =
    [ObserverKind::MinMax, ObserverKind::MovingAverage, ObserverKind::Histogram, ObserverKind::TorchHistogram];
const OFF_ON: [bool; 2] = [false, true];

impl rsq_layer_qconfig {
    fn to_core(self) -> Outcome<LayerSettings> {
        if self.reserved != 0 {
            return Err(Failure::invalid(format!("rsq_layer_qconfig.reserved is {}; 0 is needed", self.reserved)));
        }
        let mode = choice(self.precision, "precision", &[Mode::Static, Mode::Dynamic, Mode::Float])?;
        Ok(LayerSettings { mode, activation: self.activation()?, weight: self.weight()? })
    }

    fn activation(&self) -> Outcome<ActivationSettings> {
        let qtype = match self.activation_dtype {
            0 => None,
            RSQ_DTYPE_U8 => Some(QType::U8),
            RSQ_DTYPE_S8 => Some(QType::S8),
            other => return Err(Failure::invalid(format!("rsq_layer_qconfig.activation_dtype is {other}; u8 and s8 are known"))),
        };
        Ok(ActivationSettings {
            qtype,
            scheme: choice(self.activation_scheme, "activation_scheme", &SCHEMES)?,
            reduce_range: choice(self.activation_reduce_range, "activation_reduce_range", &OFF_ON)?,
            observer: choice(self.activation_observer, "activation_observer", &OBSERVERS)?,
            solver: self.solver()?,
            per_channel: choice(self.activation_granularity, "activation_granularity", &[false, true])?,
            grain: choice(self.activation_grain, "activation_grain", &[Grain::PerSample, Grain::PerRow, Grain::PerTensor])?,
            rule: choice(self.activation_rule, "activation_rule", &[DynamicRule::Native, DynamicRule::Torch])?,
        })
    }

    fn solver(&self) -> Outcome<Option<SolverKind>> {
        let percentile = SolverKind::Percentile { p: if self.percentile == 0.0 { DEFAULT_PERCENTILE } else { self.percentile } };
        let solvers = [SolverKind::MinMax, SolverKind::L2, percentile, SolverKind::Entropy, SolverKind::Mse, SolverKind::Auto];
        let solver = choice(self.activation_solver, "activation_solver", &solvers)?;
        match solver {
            Some(SolverKind::Percentile { p }) if p > 0.0 && p <= 100.0 => Ok(solver),
            Some(SolverKind::Percentile { p }) => {
                Err(Failure::invalid(format!("rsq_layer_qconfig.percentile is {p}; above 0, up to 100 is needed")))
            }
            _ if self.percentile != 0.0 => Err(Failure::invalid("rsq_layer_qconfig.percentile is set without RSQ_SOLVER_PERCENTILE")),
            _ => Ok(solver),
        }
    }

    fn weight(&self) -> Outcome<WeightSettings> {
        Ok(WeightSettings {
            per_channel: choice(self.weight_granularity, "weight_granularity", &[false, true])?,
            scheme: choice(self.weight_scheme, "weight_scheme", &SCHEMES)?,
            reduce_range: choice(self.weight_reduce_range, "weight_reduce_range", &OFF_ON)?,
        })
    }
}

/// Makes a qconfig for static quantization: activations u8, per tensor, affine, histogram and l2; weights s8, per output
/// channel, symmetric. The caller frees `*out`.
///
/// Statuses: `NULL_ARGUMENT`, `OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_qconfig_default_static(out: *mut *mut rsq_qconfig) -> rsq_status {
    // SAFETY: the caller's promise.
    unsafe { new_qconfig(out, || Ok(QConfig::default_static())) }
}

/// Makes a qconfig for dynamic quantization: weights as above, activations by the range of each sample at run time. The
/// caller frees `*out`.
///
/// Statuses: `NULL_ARGUMENT`, `OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_qconfig_default_dynamic(out: *mut *mut rsq_qconfig) -> rsq_status {
    // SAFETY: the caller's promise.
    unsafe { new_qconfig(out, || Ok(QConfig::default_dynamic())) }
}

/// Makes a qconfig that does what torch's dynamic quantization does, for linear layers, LSTM, GRU and RNN: weights s8 and
/// activations u8 in 0..127, each per tensor, by torch's formula; one scale for a whole sequence and one a step for the
/// state. Results depend on batch mates, as torch's do; `rsq_qconfig_default_dynamic` is closer to float. The caller frees
/// `*out`.
///
/// Statuses: `NULL_ARGUMENT`, `OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_qconfig_torch_dynamic(out: *mut *mut rsq_qconfig) -> rsq_status {
    // SAFETY: the caller's promise.
    unsafe { new_qconfig(out, || Ok(QConfig::torch_dynamic())) }
}

/// Reads a qconfig from JSON, a C string in UTF-8, as `rsq_qconfig_to_json` writes it. The caller frees `*out`.
///
/// Statuses: `NULL_ARGUMENT`, `PARSE` (also for an unknown field), `INVALID_ARGUMENT`, `OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_qconfig_from_json(utf8_json: *const c_char, out: *mut *mut rsq_qconfig) -> rsq_status {
    // SAFETY: the caller's promises.
    unsafe { new_qconfig(out, || Ok(QConfig::from_json(text(utf8_json, "utf8_json")?)?)) }
}

/// # Safety
/// `out` is NULL or a place for a handle.
unsafe fn new_qconfig(out: *mut *mut rsq_qconfig, make: impl FnOnce() -> Outcome<QConfig>) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { Out::new(out, "out") }?;
        out.write(handles::make(Exclusive::new(make()?, "qconfig"))?);
        Ok(())
    })
}

/// Sets what the layers in a scope are to be: "*" for all, "op:Conv" for those of an ONNX operator, "name:layer4.*" for
/// those whose whole name matches ("*" stands for any text, "?" for one character). A name goes before an operator before
/// "*"; of two that match, the later. Scopes and combinations are checked against the graph by `rsq_prepare`.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BUSY`, `BAD_STRUCT_SIZE`, `INVALID_ARGUMENT` (no scope, or a field; the
/// message names it).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_qconfig_set(qconfig: *mut rsq_qconfig, scope: *const c_char, layer: *const rsq_layer_qconfig) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promises.
        let (scope, layer) = unsafe { (text(scope, "scope")?, read(layer, "rsq_layer_qconfig")?) };
        let layer = layer.ok_or_else(|| Failure::null("layer"))?;
        let qconfig = handles::get(qconfig.cast_const())?;
        let mut qconfig = qconfig.write()?;
        Ok(qconfig.set(scope, layer.to_core()?)?)
    })
}

/// With `strict` other than 0, a layer that is to be int8 and cannot be, and a scope that no layer is in, are errors of
/// `rsq_prepare`; otherwise such a layer stays float and `rsq_model_layer_info` tells why.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BUSY`.
#[unsafe(no_mangle)]
pub extern "C" fn rsq_qconfig_set_strict(qconfig: *mut rsq_qconfig, strict: i32) -> rsq_status {
    guard::call(|| {
        let qconfig = handles::get(qconfig.cast_const())?;
        qconfig.write()?.strict = strict != 0;
        Ok(())
    })
}

/// With `drop_inf` other than 0, calibration drops infinities and counts them; otherwise it refuses a batch that has one.
/// NaNs are always refused.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BUSY`.
#[unsafe(no_mangle)]
pub extern "C" fn rsq_qconfig_set_drop_inf(qconfig: *mut rsq_qconfig, drop_inf: i32) -> rsq_status {
    guard::call(|| {
        let qconfig = handles::get(qconfig.cast_const())?;
        qconfig.write()?.drop_inf = drop_inf != 0;
        Ok(())
    })
}

/// Writes a qconfig as JSON in UTF-8: first call with `buffer` NULL, which tells the length without the NUL, then with a
/// buffer of `capacity` bytes, at least one more than that.
///
/// Statuses: `NULL_ARGUMENT` (`out_length`), `INVALID_HANDLE`, `BUSY`, `INVALID_ARGUMENT` (the buffer is too small).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_qconfig_to_json(
    qconfig: *const rsq_qconfig,
    buffer: *mut c_char,
    capacity: usize,
    out_length: *mut usize,
) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promise.
        let length = unsafe { Out::new(out_length, "out_length") }?;
        let mut json = handles::get(qconfig)?.read()?.to_json()?;
        json.push('\0');
        // SAFETY: the caller's promise.
        unsafe { fill(json.as_bytes(), buffer.cast(), capacity, length, json.len() - 1) }
    })
}

/// Frees a qconfig. NULL and stale handles are ignored; what was prepared with it stays usable.
#[unsafe(no_mangle)]
pub extern "C" fn rsq_qconfig_free(qconfig: *mut rsq_qconfig) {
    guard::value((), || {
        handles::release(qconfig);
        Ok(())
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP: rsq_layer_qconfig = rsq_layer_qconfig {
        struct_size: 64,
        precision: 0,
        activation_dtype: 0,
        activation_scheme: 0,
        activation_reduce_range: 0,
        activation_observer: 0,
        activation_solver: 0,
        activation_grain: 0,
        weight_granularity: 0,
        weight_scheme: 0,
        weight_reduce_range: 0,
        activation_rule: 0,
        activation_granularity: 0,
        reserved: 0,
        percentile: 0.0,
    };

    #[test]
    fn zeros_change_nothing() {
        assert_eq!(KEEP.to_core(), Ok(LayerSettings::default()));
    }

    #[test]
    fn every_field_says_what_its_constants_are_named() {
        let layer = rsq_layer_qconfig {
            precision: RSQ_PRECISION_INT8_DYNAMIC,
            activation_dtype: RSQ_DTYPE_S8,
            activation_scheme: RSQ_SCHEME_RESTRICTED_SYMMETRIC,
            activation_reduce_range: RSQ_ON,
            activation_observer: RSQ_OBSERVER_TORCH_HISTOGRAM,
            activation_solver: RSQ_SOLVER_AUTO,
            activation_grain: RSQ_GRAIN_PER_ROW,
            weight_granularity: RSQ_GRANULARITY_PER_TENSOR,
            weight_scheme: RSQ_SCHEME_SYMMETRIC,
            weight_reduce_range: RSQ_OFF,
            activation_rule: RSQ_RULE_TORCH,
            activation_granularity: RSQ_GRANULARITY_PER_CHANNEL,
            ..KEEP
        };
        let expected = LayerSettings {
            mode: Some(Mode::Dynamic),
            activation: ActivationSettings {
                qtype: Some(QType::S8),
                scheme: Some(Scheme::RestrictedSymmetric),
                reduce_range: Some(true),
                observer: Some(ObserverKind::TorchHistogram),
                solver: Some(SolverKind::Auto),
                per_channel: Some(true),
                grain: Some(Grain::PerRow),
                rule: Some(DynamicRule::Torch),
            },
            weight: WeightSettings { per_channel: Some(false), scheme: Some(Scheme::Symmetric), reduce_range: Some(false) },
        };
        assert_eq!(layer.to_core(), Ok(expected));
        let solver = |activation_solver| rsq_layer_qconfig { activation_solver, ..KEEP }.solver().unwrap().unwrap().name();
        let solvers = [RSQ_SOLVER_MIN_MAX, RSQ_SOLVER_L2, RSQ_SOLVER_PERCENTILE, RSQ_SOLVER_ENTROPY, RSQ_SOLVER_MSE].map(solver);
        assert_eq!(solvers, ["min_max", "l2", "percentile", "entropy", "mse"]);
        let observer = |number| OBSERVERS[number as usize - 1].name();
        let observers = [RSQ_OBSERVER_MIN_MAX, RSQ_OBSERVER_MOVING_AVERAGE, RSQ_OBSERVER_HISTOGRAM].map(observer);
        assert_eq!(observers, ["min_max", "moving_average", "histogram"]);
        let grain = |activation_grain| rsq_layer_qconfig { activation_grain, ..KEEP }.activation().unwrap().grain.unwrap();
        assert_eq!([RSQ_GRAIN_PER_SAMPLE, RSQ_GRAIN_PER_TENSOR].map(grain), [Grain::PerSample, Grain::PerTensor]);
        let mode = |precision| rsq_layer_qconfig { precision, ..KEEP }.to_core().unwrap().mode.unwrap();
        assert_eq!([RSQ_PRECISION_INT8_STATIC, RSQ_PRECISION_FLOAT].map(mode), [Mode::Static, Mode::Float]);
    }

    #[test]
    fn numbers_without_a_meaning_are_refused_by_field() {
        let refused = |layer: rsq_layer_qconfig, field: &str| {
            let failure = layer.to_core().unwrap_err();
            assert!(failure.message.contains(field), "{}", failure.message);
        };
        refused(rsq_layer_qconfig { precision: 4, ..KEEP }, ".precision");
        refused(rsq_layer_qconfig { precision: -1, ..KEEP }, ".precision");
        refused(rsq_layer_qconfig { activation_dtype: 1, ..KEEP }, ".activation_dtype");
        refused(rsq_layer_qconfig { activation_solver: i32::MAX, ..KEEP }, ".activation_solver");
        refused(rsq_layer_qconfig { weight_scheme: i32::MIN, ..KEEP }, ".weight_scheme");
        refused(rsq_layer_qconfig { activation_rule: 3, ..KEEP }, ".activation_rule");
        refused(rsq_layer_qconfig { reserved: 1, ..KEEP }, ".reserved");
        refused(rsq_layer_qconfig { activation_granularity: 3, ..KEEP }, ".activation_granularity");
        refused(rsq_layer_qconfig { percentile: 99.0, ..KEEP }, ".percentile");
        for percentile in [-1.0, 100.5, f64::NAN, f64::INFINITY] {
            refused(rsq_layer_qconfig { activation_solver: RSQ_SOLVER_PERCENTILE, percentile, ..KEEP }, ".percentile");
        }
        let kept = rsq_layer_qconfig { activation_solver: RSQ_SOLVER_PERCENTILE, percentile: 99.5, ..KEEP }.solver();
        assert_eq!(kept, Ok(Some(SolverKind::Percentile { p: 99.5 })));
    }
}
