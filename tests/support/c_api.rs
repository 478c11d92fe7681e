//! The C API as a C++ program would use it: handles that free themselves, statuses as results.
#![allow(dead_code)]
use rsquant::ffi::*;
use std::ffi::CString;
use std::path::Path;
use std::ptr::{null, null_mut};

/// What a call gives: its output, or the status.
pub type Outcome<T> = Result<T, rsq_status>;

/// This thread's message.
pub fn message() -> String {
    let mut text = vec![0u8; 4096];
    // SAFETY: a buffer of that many bytes.
    let length = unsafe { rsq_last_error(text.as_mut_ptr().cast(), text.len()) };
    text.truncate(length.min(4095));
    String::from_utf8(text).expect("messages are UTF-8")
}

fn done(status: rsq_status) -> Outcome<()> {
    if status == RSQ_OK { Ok(()) } else { Err(status) }
}

/// The handle that `make` writes; one that is written on a failure breaks the contract.
fn made<T>(make: impl FnOnce(*mut *mut T) -> rsq_status) -> Outcome<*mut T> {
    let untouched = std::ptr::without_provenance_mut(0x5a5a);
    let mut out = untouched;
    let status = make(&mut out);
    if status == RSQ_OK {
        return Ok(out);
    }
    assert_eq!(out, untouched, "a failed call wrote its output");
    Err(status)
}

/// The bytes of a function that is asked for a size, then given a buffer.
fn filled(fill: impl Fn(*mut std::ffi::c_void, usize, *mut usize) -> rsq_status) -> Outcome<Vec<u8>> {
    let mut size = 0;
    done(fill(null_mut(), 0, &mut size))?;
    // The test's own list, which a failing allocator may refuse like another.
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(size).map_err(|_| RSQ_OUT_OF_MEMORY)?;
    bytes.resize(size, 0u8);
    done(fill(bytes.as_mut_ptr().cast(), bytes.len(), &mut size))?;
    Ok(bytes)
}

macro_rules! handle {
    ($name:ident, $type:ident, $free:ident) => {
        /// Frees its handle.
        pub struct $name(pub *mut $type);
        // SAFETY: a handle is a value; the library says who may use it when.
        unsafe impl Send for $name {}
        // SAFETY: as above.
        unsafe impl Sync for $name {}
        impl Drop for $name {
            fn drop(&mut self) {
                $free(self.0);
            }
        }
    };
}
handle!(Context, rsq_context, rsq_context_free);
handle!(Graph, rsq_graph, rsq_graph_free);
handle!(QConfig, rsq_qconfig, rsq_qconfig_free);
handle!(Prepared, rsq_prepared, rsq_prepared_free);
handle!(Model, rsq_model, rsq_model_free);
handle!(Session, rsq_session, rsq_session_free);
handle!(Observer, rsq_observer, rsq_observer_free);

/// Zeros with the size set.
pub fn context_options() -> rsq_context_options {
    rsq_context_options {
        struct_size: size_of::<rsq_context_options>() as u32,
        max_isa: 0,
        threads: 0,
        pool_threads: 0,
        parallel_for: None,
        pool: null_mut(),
        memory_limit: 0,
        log: None,
        log_data: null_mut(),
        log_level: 0,
        reserved: 0,
    }
}

/// Zeros with the size set.
pub fn session_options(max_batch: usize) -> rsq_session_options {
    rsq_session_options {
        struct_size: size_of::<rsq_session_options>() as u32,
        flags: 0,
        max_batch,
        input_shapes: null(),
        input_shape_count: 0,
        images: null(),
        image_count: 0,
        kept_plans: 0,
    }
}

/// Floats with a shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Floats {
    pub dims: Vec<i64>,
    pub values: Vec<f32>,
}

impl Floats {
    pub fn new(dims: &[usize], values: Vec<f32>) -> Self {
        Self { dims: dims.iter().map(|&dim| dim as i64).collect(), values }
    }

    pub fn zeros(dims: &[usize]) -> Self {
        Self::new(dims, vec![0.0; dims.iter().product()])
    }

    pub fn view(&self) -> rsq_tensor_view {
        rsq_tensor_view {
            data: self.values.as_ptr().cast(),
            size_bytes: self.values.len() * 4,
            dtype: RSQ_DTYPE_F32,
            rank: self.dims.len() as u32,
            dims: self.dims.as_ptr(),
            strides: null(),
        }
    }

    pub fn view_mut(&mut self) -> rsq_tensor_mut {
        rsq_tensor_mut {
            data: self.values.as_mut_ptr().cast(),
            size_bytes: self.values.len() * 4,
            dtype: RSQ_DTYPE_F32,
            rank: self.dims.len() as u32,
            dims: self.dims.as_ptr(),
            strides: null(),
        }
    }
}

/// The context of a call; NULL for none.
pub fn raw(context: Option<&Context>) -> *const rsq_context {
    context.map_or(null(), |context| context.0)
}

impl Context {
    pub fn new(options: &rsq_context_options) -> Outcome<Self> {
        // SAFETY: options and output live for the call.
        made(|out| unsafe { rsq_context_new(options, out) }).map(Self)
    }

    pub fn with_threads(threads: u32) -> Self {
        Self::new(&rsq_context_options { threads, ..context_options() }).expect("a context")
    }
}

impl Graph {
    pub fn from_bytes(context: Option<&Context>, bytes: &[u8]) -> Outcome<Self> {
        // SAFETY: the bytes live for the call.
        made(|out| unsafe { rsq_graph_from_onnx_bytes(raw(context), bytes.as_ptr().cast(), bytes.len(), out) }).map(Self)
    }
}

impl QConfig {
    pub fn new_static() -> Outcome<Self> {
        // SAFETY: the output lives for the call.
        made(|out| unsafe { rsq_qconfig_default_static(out) }).map(Self)
    }

    pub fn new_dynamic() -> Outcome<Self> {
        // SAFETY: the output lives for the call.
        made(|out| unsafe { rsq_qconfig_default_dynamic(out) }).map(Self)
    }

    pub fn set(&self, scope: &str, change: impl FnOnce(&mut rsq_layer_qconfig)) -> Outcome<()> {
        // SAFETY: integers and a float, for which zero bytes are a value.
        let mut layer: rsq_layer_qconfig = unsafe { std::mem::zeroed() };
        layer.struct_size = size_of::<rsq_layer_qconfig>() as u32;
        change(&mut layer);
        let scope = CString::new(scope).expect("no NUL");
        // SAFETY: text and settings live for the call.
        done(unsafe { rsq_qconfig_set(self.0, scope.as_ptr(), &layer) })
    }
}

impl Prepared {
    pub fn new(context: Option<&Context>, graph: &Graph, qconfig: &QConfig) -> Outcome<Self> {
        // SAFETY: the output lives for the call.
        made(|out| unsafe { rsq_prepare(raw(context), graph.0, qconfig.0, null(), out) }).map(Self)
    }

    pub fn calibrate(&self, inputs: &[Floats]) -> Outcome<()> {
        let views: Vec<_> = inputs.iter().map(Floats::view).collect();
        // SAFETY: the tensors live for the call.
        done(unsafe { rsq_calibrate(self.0, views.as_ptr(), views.len()) })
    }

    pub fn samples(&self) -> u64 {
        let mut samples = 0;
        // SAFETY: the output lives for the call.
        assert_eq!(unsafe { rsq_calibration_samples(self.0, &mut samples) }, RSQ_OK);
        samples
    }

    /// The statistics as bytes.
    pub fn to_bytes(&self) -> Outcome<Vec<u8>> {
        // SAFETY: `filled` passes NULL or a buffer of the capacity that it tells.
        filled(|buffer, capacity, size| unsafe { rsq_calibration_to_buffer(self.0, buffer, capacity, size) })
    }

    /// Goes on from statistics as bytes.
    pub fn take(&self, bytes: &[u8]) -> Outcome<()> {
        // SAFETY: the bytes live for the call.
        done(unsafe { rsq_calibration_from_bytes(self.0, bytes.as_ptr().cast(), bytes.len()) })
    }

    pub fn save(&self, path: &Path) -> Outcome<()> {
        // SAFETY: the text lives for the call.
        done(unsafe { rsq_calibration_save(self.0, text_of(path).as_ptr()) })
    }

    pub fn load(&self, path: &Path) -> Outcome<()> {
        // SAFETY: the text lives for the call.
        done(unsafe { rsq_calibration_load(self.0, text_of(path).as_ptr()) })
    }

    pub fn merge(&self, path: &Path) -> Outcome<()> {
        // SAFETY: the text lives for the call.
        done(unsafe { rsq_calibration_merge(self.0, text_of(path).as_ptr()) })
    }

    pub fn convert(&self) -> Outcome<Model> {
        // SAFETY: the output lives for the call.
        made(|out| unsafe { rsq_convert(self.0, out) }).map(Model)
    }
}

pub fn text_of(path: &Path) -> CString {
    CString::new(path.to_str().expect("UTF-8")).expect("no NUL")
}

impl Model {
    pub fn to_bytes(&self) -> Outcome<Vec<u8>> {
        // SAFETY: `filled` passes NULL or a buffer of the capacity that it tells.
        filled(|buffer, capacity, size| unsafe { rsq_model_to_buffer(self.0, buffer, capacity, size) })
    }

    pub fn from_bytes(context: Option<&Context>, bytes: &[u8]) -> Outcome<Self> {
        // SAFETY: the bytes live for the call.
        made(|out| unsafe { rsq_model_from_bytes(raw(context), bytes.as_ptr().cast(), bytes.len(), out) }).map(Self)
    }

    pub fn save(&self, path: &Path) -> Outcome<()> {
        // SAFETY: the text lives for the call.
        done(unsafe { rsq_model_save(self.0, text_of(path).as_ptr()) })
    }

    pub fn load(context: Option<&Context>, path: &Path) -> Outcome<Self> {
        // SAFETY: text and output live for the call.
        made(|out| unsafe { rsq_model_load(raw(context), text_of(path).as_ptr(), out) }).map(Self)
    }

    pub fn load_copied(context: Option<&Context>, path: &Path) -> Outcome<Self> {
        // SAFETY: text and output live for the call.
        made(|out| unsafe { rsq_model_load_copied(raw(context), text_of(path).as_ptr(), out) }).map(Self)
    }
}

impl Session {
    pub fn new(model: &Model, max_batch: usize) -> Outcome<Self> {
        // SAFETY: options and output live for the call.
        made(|out| unsafe { rsq_session_new(model.0, &session_options(max_batch), out) }).map(Self)
    }

    pub fn float(context: Option<&Context>, graph: &Graph, max_batch: usize) -> Outcome<Self> {
        // SAFETY: options and output live for the call.
        made(|out| unsafe { rsq_float_session_new(raw(context), graph.0, &session_options(max_batch), out) }).map(Self)
    }

    /// Zeros of the outputs' shapes.
    pub fn outputs_for(&self, inputs: &[Floats]) -> Vec<Floats> {
        let shapes: Vec<_> = inputs.iter().map(|input| rsq_shape { dims: input.dims.as_ptr(), rank: input.dims.len() }).collect();
        let shape_of = |index| {
            let (mut dims, mut rank) = ([0i64; RSQ_MAX_RANK], 0);
            // SAFETY: shapes and outputs live for the call.
            let status = unsafe { rsq_session_output_shape(self.0, shapes.as_ptr(), shapes.len(), index, dims.as_mut_ptr(), &mut rank) };
            assert_eq!(status, RSQ_OK, "{}", message());
            let dims: Vec<usize> = dims[..rank as usize].iter().map(|&dim| dim as usize).collect();
            Floats::zeros(&dims)
        };
        (0..rsq_session_output_count(self.0)).map(shape_of).collect()
    }

    /// Runs into `outputs`.
    pub fn run_into(&self, inputs: &[Floats], outputs: &mut [Floats]) -> Outcome<()> {
        let inputs: Vec<_> = inputs.iter().map(Floats::view).collect();
        let outputs: Vec<_> = outputs.iter_mut().map(Floats::view_mut).collect();
        // SAFETY: the tensors live for the call.
        done(unsafe { rsq_run(self.0, inputs.as_ptr(), inputs.len(), outputs.as_ptr(), outputs.len()) })
    }

    pub fn run(&self, inputs: &[Floats]) -> Outcome<Vec<Floats>> {
        let mut outputs = self.outputs_for(inputs);
        self.run_into(inputs, &mut outputs).map(|()| outputs)
    }
}

impl Observer {
    pub fn new(kind: i32, channels: usize) -> Outcome<Self> {
        let options = rsq_observer_options { struct_size: size_of::<rsq_observer_options>() as u32, flags: 0, channels };
        // SAFETY: options and output live for the call.
        made(|out| unsafe { rsq_observer_new(kind, &options, out) }).map(Self)
    }

    /// Channels are the last axis.
    pub fn observe(&self, values: &[f32]) -> Outcome<()> {
        // SAFETY: the values live for the call.
        done(unsafe { rsq_observer_observe(self.0, values.as_ptr(), values.len(), 1) })
    }

    pub fn merge(&self, other: &Observer) -> Outcome<()> {
        done(rsq_observer_merge(self.0, other.0))
    }

    /// Scales of four channels, by `solver` (0: the observer's own).
    pub fn solve(&self, solver: i32) -> Outcome<[f32; 4]> {
        // SAFETY: integers and a float, for which zero bytes are a value.
        let mut options: rsq_solve_options = unsafe { std::mem::zeroed() };
        options.struct_size = size_of::<rsq_solve_options>() as u32;
        options.solver = solver;
        let (mut scales, mut zero_points) = ([f32::NAN; 4], [0; 4]);
        let (scale, zero_point) = (scales.as_mut_ptr(), zero_points.as_mut_ptr());
        // SAFETY: arrays of as many elements as there are channels.
        let status = unsafe { rsq_observer_solve(self.0, &options, 4, scale, zero_point, null_mut(), null_mut()) };
        assert!(status == RSQ_OK || scales.iter().all(|scale| scale.is_nan()), "a failed call wrote its output");
        done(status).map(|()| scales)
    }

    pub fn to_bytes(&self) -> Outcome<Vec<u8>> {
        // SAFETY: `filled` passes NULL or a buffer of the capacity that it tells.
        filled(|buffer, capacity, size| unsafe { rsq_observer_to_buffer(self.0, buffer, capacity, size) })
    }

    pub fn from_bytes(bytes: &[u8]) -> Outcome<Self> {
        // SAFETY: the bytes live for the call.
        made(|out| unsafe { rsq_observer_from_bytes(bytes.as_ptr().cast(), bytes.len(), out) }).map(Self)
    }
}
