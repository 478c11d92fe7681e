//! The observer door: statistics and qparams of plain arrays.
use super::handles::Exclusive;
use super::options::{InfoOut, InfoStruct, OptionStruct, read};
use super::pointers::{Out, array, fill};
use super::qconfig::{OBSERVERS, RSQ_SOLVER_PERCENTILE, SCHEMES, named_choice};
use super::status::{Failure, Outcome, rsq_status};
use super::tensors::{RSQ_DTYPE_S8, RSQ_DTYPE_U8};
use super::{guard, handles};
use crate::pipeline::Observer;
use crate::quantize::{DEFAULT_PERCENTILE, QType, Scheme, SolverKind, Target, choose_qparams};
use std::ffi::c_void;

/// Exclusive. Statistics of a tensor, or of each of its channels: observed once, solved for any target.
pub struct rsq_observer {
    _private: [u8; 0],
}

impl handles::Handle for rsq_observer {
    type Object = Exclusive<Observer>;
    const TAG: usize = 10;
    const NAME: &'static str = "observer";
}

/// Infinities are dropped and counted instead of refused; NaN is refused always.
pub const RSQ_OBSERVER_DROP_INF: u32 = 1;

/// What an observer is made with. All zero but `struct_size`: of a whole tensor.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsq_observer_options {
    /// `sizeof(rsq_observer_options)`.
    pub struct_size: u32,
    /// 0, or `RSQ_OBSERVER_DROP_INF`.
    pub flags: u32,
    /// Number of channels with statistics of their own; 0: 1.
    pub channels: usize,
}

// SAFETY: repr(C), size first, integers, none larger than the alignment.
unsafe impl OptionStruct for rsq_observer_options {}
const _: () = assert!(size_of::<rsq_observer_options>() == 8 + size_of::<usize>());

/// What an observer has seen. Set `struct_size` before the call.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsq_observer_info {
    /// `sizeof(rsq_observer_info)`, set by the caller.
    pub struct_size: u32,
    /// One of `RSQ_OBSERVER_`.
    pub kind: i32,
    /// 1 if states of this kind merge.
    pub mergeable: u32,
    /// 1 if every channel has seen a value, so that it can be solved.
    pub solvable: u32,
    /// Number of channels.
    pub channels: u64,
    /// Infinities dropped.
    pub dropped: u64,
}

// SAFETY: repr(C), integers alone, no padding (asserted below), size first.
unsafe impl InfoStruct for rsq_observer_info {
    const FIRST_SIZE: usize = 32;
}
const _: () = assert!(size_of::<rsq_observer_info>() == 32);

/// What a range is solved for. All zero but `struct_size`: u8, affine, the full range, the observer's default solver.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct rsq_solve_options {
    /// `sizeof(rsq_solve_options)`.
    pub struct_size: u32,
    /// `RSQ_DTYPE_U8` or `RSQ_DTYPE_S8`; 0: u8.
    pub dtype: i32,
    /// One of `RSQ_SCHEME_`; 0: affine.
    pub scheme: i32,
    /// Not 0: one bit is left unused, 0..127 or -64..63.
    pub reduce_range: u32,
    /// One of `RSQ_SOLVER_`; 0: min/max for min/max and moving averages, l2 for histograms.
    pub solver: i32,
    /// 0.
    pub reserved: u32,
    /// With `RSQ_SOLVER_PERCENTILE`: the share of values to keep, above 0, up to 100; 0: 99.99.
    pub percentile: f64,
}

// SAFETY: repr(C), size first, integers and a float, none larger than the alignment.
unsafe impl OptionStruct for rsq_solve_options {}
const _: () = assert!(size_of::<rsq_solve_options>() == 32);

impl rsq_solve_options {
    const DEFAULT: Self = Self { struct_size: 0, dtype: 0, scheme: 0, reduce_range: 0, solver: 0, reserved: 0, percentile: 0.0 };

    fn target(&self) -> Outcome<Target> {
        let qtype = match self.dtype {
            0 | RSQ_DTYPE_U8 => QType::U8,
            RSQ_DTYPE_S8 => QType::S8,
            other => return Err(Failure::invalid(format!("rsq_solve_options.dtype is {other}; u8 and s8 are known"))),
        };
        let scheme = named_choice(self.scheme, "rsq_solve_options.scheme", &SCHEMES)?.unwrap_or(Scheme::Affine);
        Ok(Target { qtype, scheme, reduce_range: self.reduce_range != 0 })
    }

    fn solver(&self) -> Outcome<Option<SolverKind>> {
        if self.percentile != 0.0 && self.solver != RSQ_SOLVER_PERCENTILE {
            return Err(Failure::invalid("rsq_solve_options.percentile is set without RSQ_SOLVER_PERCENTILE"));
        }
        let percentile = SolverKind::Percentile { p: if self.percentile == 0.0 { DEFAULT_PERCENTILE } else { self.percentile } };
        let solvers = [SolverKind::MinMax, SolverKind::L2, percentile, SolverKind::Entropy, SolverKind::Mse, SolverKind::Auto];
        named_choice(self.solver, "rsq_solve_options.solver", &solvers)
    }
}

/// Makes an observer of one of `RSQ_OBSERVER_MIN_MAX`, `_MOVING_AVERAGE`, `_HISTOGRAM`, `_TORCH_HISTOGRAM`. `options` may be NULL.
/// The caller frees `*out`.
///
/// Statuses: `NULL_ARGUMENT`, `BAD_STRUCT_SIZE`, `INVALID_ARGUMENT` (kind, flags, more than 2^20 channels), `OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_observer_new(kind: i32, options: *const rsq_observer_options, out: *mut *mut rsq_observer) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promises.
        let (out, options) = unsafe { (Out::new(out, "out")?, read(options, "rsq_observer_options")?) };
        let kind = named_choice(kind, "kind", &OBSERVERS)?.ok_or_else(|| Failure::invalid("kind is 0; one of RSQ_OBSERVER_ is needed"))?;
        let (flags, channels) = options.map_or((0, 1), |options| (options.flags, options.channels.max(1)));
        if flags & !RSQ_OBSERVER_DROP_INF != 0 {
            return Err(Failure::invalid(format!("rsq_observer_options.flags is {flags:#x}; this version knows 1")));
        }
        let observer = Observer::new(kind, channels, flags & RSQ_OBSERVER_DROP_INF != 0)?;
        out.write(handles::make(Exclusive::new(observer, "observer"))?);
        Ok(())
    })
}

/// Takes in one batch of `count` floats. Element `i` belongs to channel `i / inner % channels`: `inner` 1 for channels last,
/// h * w for n, c, h, w; it does not matter for one channel.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `INVALID_ARGUMENT` (misaligned), `BUSY`, `NOT_FINITE` (a NaN or an infinity; the
/// message names its index), `SHAPE_MISMATCH` (a count that the channels do not divide), `OUT_OF_MEMORY`. A batch that is refused
/// leaves the statistics as they were.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_observer_observe(observer: *mut rsq_observer, values: *const f32, count: usize, inner: usize) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promise.
        let values = unsafe { array(values, count, "values") }?;
        Ok(handles::get(observer.cast_const())?.write()?.observe(values, inner.max(1))?)
    })
}

/// Takes in what `other` has seen: to the bit, the statistics of one observer that saw both.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BUSY` (also for an observer with itself), `MISMATCH` (another kind or number of
/// channels), `UNSUPPORTED` (moving averages and torch histograms depend on the order), `INVALID_ARGUMENT` (counts overflow), `OUT_OF_MEMORY`.
/// Nothing changes unless `OK`.
#[unsafe(no_mangle)]
pub extern "C" fn rsq_observer_merge(observer: *mut rsq_observer, other: *const rsq_observer) -> rsq_status {
    guard::call(|| {
        let (observer, other) = (handles::get(observer.cast_const())?, handles::get(other)?);
        let mut observer = observer.write()?;
        Ok(observer.merge(&*other.read()?)?)
    })
}

/// Scale and zero point of each channel. `channels` is the observer's number of channels, for the arrays: `scales` and
/// `zero_points` (in the type's own numbers) have as many elements, `ranges` two for each, low and high,
/// `predicted_sqnr_db` one: `10 log10(signal / error)` of the observed values, infinite where nothing is lost, NaN where the
/// observer knows a range only. `options`, `ranges` and `predicted_sqnr_db` may be NULL.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BAD_STRUCT_SIZE`, `BUSY`, `INVALID_ARGUMENT` (another number of channels, a solver
/// that the observer cannot serve, a percentile out of range, a target without meaning), `NOT_CALIBRATED` (naming the channel that has
/// seen nothing), `OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_observer_solve(
    observer: *const rsq_observer,
    options: *const rsq_solve_options,
    channels: usize,
    scales: *mut f32,
    zero_points: *mut i32,
    ranges: *mut f32,
    predicted_sqnr_db: *mut f64,
) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promises.
        let options = unsafe { read(options, "rsq_solve_options") }?.unwrap_or(rsq_solve_options::DEFAULT);
        let scales = ArrayOut::new(scales, "scales")?.ok_or_else(|| Failure::null("scales"))?;
        let zero_points = ArrayOut::new(zero_points, "zero_points")?.ok_or_else(|| Failure::null("zero_points"))?;
        let (ranges, sqnr) = (ArrayOut::new(ranges, "ranges")?, ArrayOut::new(predicted_sqnr_db, "predicted_sqnr_db")?);
        let observer = handles::get(observer)?;
        let observer = observer.read()?;
        if channels != observer.channels() {
            return Err(Failure::invalid(format!("{channels} channels where the observer has {}", observer.channels())));
        }
        let target = options.target()?;
        let solved = observer.solve(options.solver()?, target)?;
        // SAFETY: the arrays have as many elements as there are channels (ranges: two each) by the caller's promise.
        unsafe {
            scales.write(solved.iter().map(|solved| solved.qparams.scale));
            zero_points.write(solved.iter().map(|solved| solved.qparams.native_zero_point(target.qtype)));
            ranges.map(|ranges| ranges.write(solved.iter().flat_map(|solved| [solved.low, solved.high])));
            sqnr.map(|sqnr| sqnr.write(solved.iter().map(|solved| solved.predicted_sqnr_db.unwrap_or(f64::NAN))));
        }
        Ok(())
    })
}

/// A caller's array to be written; `None` for NULL.
struct ArrayOut<T>(*mut T);

impl<T> ArrayOut<T> {
    fn new(first: *mut T, name: &str) -> Outcome<Option<Self>> {
        if !first.is_aligned() {
            return Err(Failure::invalid(format!("{name} is not aligned to {} bytes", align_of::<T>())));
        }
        Ok((!first.is_null()).then_some(Self(first)))
    }

    /// # Safety
    /// The array has room for all values.
    unsafe fn write(self, values: impl Iterator<Item = T>) {
        for (index, value) in values.enumerate() {
            // SAFETY: the caller's promise.
            unsafe { self.0.add(index).write(value) };
        }
    }
}

/// Scale and zero point (in the type's own numbers) of the range `low..high`, which is widened to hold 0. `options` may be NULL; its
/// solver does not matter.
///
/// Statuses: `NULL_ARGUMENT`, `BAD_STRUCT_SIZE`, `INVALID_ARGUMENT` (`low` above `high`, a target without meaning), `NOT_FINITE`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_qparams_of_range(
    low: f32,
    high: f32,
    options: *const rsq_solve_options,
    out_scale: *mut f32,
    out_zero_point: *mut i32,
) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promises.
        let (options, scale, zero_point) = unsafe {
            (read(options, "rsq_solve_options")?, Out::new(out_scale, "out_scale")?, Out::new(out_zero_point, "out_zero_point")?)
        };
        let target = options.unwrap_or(rsq_solve_options::DEFAULT).target()?;
        let qparams = choose_qparams(low, high, target)?;
        scale.write(qparams.scale);
        zero_point.write(qparams.native_zero_point(target.qtype));
        Ok(())
    })
}

/// What an observer is and has seen. Set `out->struct_size` before.
///
/// Statuses: `NULL_ARGUMENT`, `INVALID_HANDLE`, `BAD_STRUCT_SIZE`, `BUSY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_observer_get_info(observer: *const rsq_observer, out: *mut rsq_observer_info) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promise.
        let out = unsafe { InfoOut::new(out, "rsq_observer_info") }?;
        let observer = handles::get(observer)?;
        let observer = observer.read()?;
        let kind = OBSERVERS.iter().position(|&kind| kind == observer.kind()).map_or(0, |index| index as i32 + 1);
        out.write(&rsq_observer_info {
            struct_size: 0,
            kind,
            mergeable: observer.kind().is_mergeable().into(),
            solvable: observer.first_empty().is_none().into(),
            channels: observer.channels() as u64,
            dropped: observer.dropped(),
        });
        Ok(())
    })
}

/// Writes an observer to memory: first call with `buffer` NULL, which tells the size, then with a buffer of `capacity` bytes, at
/// least that many.
///
/// Statuses: `NULL_ARGUMENT` (`out_size`), `INVALID_HANDLE`, `BUSY`, `INVALID_ARGUMENT` (the buffer is too small), `OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_observer_to_buffer(
    observer: *const rsq_observer,
    buffer: *mut c_void,
    capacity: usize,
    out_size: *mut usize,
) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promise.
        let size = unsafe { Out::new(out_size, "out_size") }?;
        let bytes = handles::get(observer)?.read()?.to_bytes()?;
        // SAFETY: the caller's promise.
        unsafe { fill(&bytes, buffer, capacity, size, bytes.len()) }
    })
}

/// Reads an observer from `size` bytes that `rsq_observer_to_buffer` wrote, on any machine. The caller frees `*out`.
///
/// Statuses: `NULL_ARGUMENT`, `CORRUPT`, `VERSION`, `OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn rsq_observer_from_bytes(bytes: *const c_void, size: usize, out: *mut *mut rsq_observer) -> rsq_status {
    guard::call(|| {
        // SAFETY: the caller's promises.
        let (out, bytes) = unsafe { (Out::new(out, "out")?, array(bytes.cast::<u8>(), size, "bytes")?) };
        out.write(handles::make(Exclusive::new(Observer::from_bytes(bytes)?, "observer"))?);
        Ok(())
    })
}

/// Frees an observer. NULL and stale handles are ignored.
#[unsafe(no_mangle)]
pub extern "C" fn rsq_observer_free(observer: *mut rsq_observer) {
    guard::value((), || {
        handles::release(observer);
        Ok(())
    });
}
