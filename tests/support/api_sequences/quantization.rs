//! Contexts, graphs, settings, calibration, conversion, recipes.
use super::values::{Source, Tensor};
use super::{Kind, Machine};
use rsquant::ffi::*;
use std::ffi::c_void;
use std::ptr::{null, null_mut, without_provenance, without_provenance_mut};

const NETWORKS: [&[u8]; 6] = [
    include_bytes!("../../data/networks/maxpool/model.onnx"),
    include_bytes!("../../data/networks/conv_depthwise_multiplier/model.onnx"),
    include_bytes!("../../data/networks/two_inputs_two_outputs/model.onnx"),
    include_bytes!("../../data/networks/flatten_axes/model.onnx"),
    include_bytes!("../../data/networks/matmul_3d/model.onnx"),
    include_bytes!("../../data/recurrent/onnx_gru_last/model.onnx"),
];
/// Multiplications of the largest batch that a program may calibrate or run with.
const MOST_BATCH: usize = 3;

/// A caller's pool that does one task after the other.
unsafe extern "C" fn one_after_the_other(_pool: *mut c_void, count: usize, task: rsq_task_fn, data: *mut c_void) {
    if let Some(task) = task {
        // SAFETY: what the library asks its caller to do.
        (0..count).for_each(|index| unsafe { task(data, index) });
    }
}

pub fn context(machine: &mut Machine, source: &mut Source) {
    let options = rsq_context_options {
        struct_size: 0,
        max_isa: source.number(6) as u32,
        threads: if source.byte() >= 230 { source.word() as u32 % 3 } else { 1 },
        pool_threads: source.below(4) as u32,
        parallel_for: if source.byte() % 2 == 0 { None } else { Some(one_after_the_other) },
        pool: null_mut(),
        memory_limit: 0,
        log: None,
        log_data: null_mut(),
        log_level: 0,
        reserved: 0,
    };
    let options = source.sized(options);
    // SAFETY: options and output live for the call.
    machine.make(Kind::Context, source, |out| unsafe { rsq_context_new(options.get(), out) });
}

/// Mostly a handle; NULL where there is none.
pub fn any_context(machine: &Machine, source: &mut Source) -> *const rsq_context {
    if source.byte() >= 240 { null() } else { without_provenance(machine.handle(Kind::Context, source)) }
}

pub fn graph(machine: &mut Machine, source: &mut Source) {
    let mut model = NETWORKS[source.below(NETWORKS.len())].to_vec();
    if source.byte() >= 240 {
        let at = source.word() as usize % model.len();
        model[at] ^= 1 << source.below(8);
    }
    let context = any_context(machine, source);
    // SAFETY: the bytes live for the call.
    machine.make(Kind::Graph, source, |out| unsafe { rsq_graph_from_onnx_bytes(context, model.as_ptr().cast(), model.len(), out) });
}

pub fn qconfig(machine: &mut Machine, source: &mut Source) {
    let text = match source.byte() {
        0..=199 => None,
        _ => Some(source.text(&["{}", "{\"strict\":true}", "{\"default\":{\"mode\":\"int8_dynamic\"}}", "["])),
    };
    let kind = source.below(3);
    // SAFETY: the text ends and lives for the call, as the output does.
    machine.make(Kind::QConfig, source, |out| unsafe {
        match (text, kind) {
            (Some(text), _) => rsq_qconfig_from_json(text.as_ptr().cast(), out),
            (None, 0) => rsq_qconfig_default_static(out),
            (None, 1) => rsq_qconfig_default_dynamic(out),
            (None, _) => rsq_qconfig_torch_dynamic(out),
        }
    });
    if source.byte() < 235 {
        take_min_max(machine);
    }
}

/// The solver that needs no search, everywhere: most programs are about something else.
fn take_min_max(machine: &mut Machine) {
    let qconfig = without_provenance_mut(machine.living[Kind::QConfig as usize].last().copied().unwrap_or(0));
    // SAFETY: integers and a float, for which zeros are values.
    let mut layer: rsq_layer_qconfig = unsafe { std::mem::zeroed() };
    layer.struct_size = size_of::<rsq_layer_qconfig>() as u32;
    (layer.activation_observer, layer.activation_solver) = (RSQ_OBSERVER_MIN_MAX, RSQ_SOLVER_MIN_MAX);
    // SAFETY: text and settings live for the call.
    machine.done(unsafe { rsq_qconfig_set(qconfig, c"*".as_ptr(), &layer) });
}

pub fn set_qconfig(machine: &mut Machine, source: &mut Source) {
    let qconfig = without_provenance_mut(machine.handle(Kind::QConfig, source));
    let mut set = |last| if source.byte() < 160 { 0 } else { source.number(last) };
    let layer = rsq_layer_qconfig {
        struct_size: 0,
        precision: set(3),
        activation_dtype: set(3),
        activation_scheme: set(3),
        activation_reduce_range: set(2),
        activation_observer: set(4),
        activation_solver: set(6),
        activation_grain: set(3),
        weight_granularity: set(2),
        weight_scheme: set(3),
        weight_reduce_range: set(2),
        activation_rule: set(2),
        percentile: if source.byte() < 200 { 0.0 } else { f64::from(source.float()) * 30.0 },
        activation_granularity: 0,
        reserved: 0,
    };
    let layer = source.sized(layer);
    let scope = source.text(&["*", "op:Conv", "op:Gemm", "name:*Conv*", "name:*", "x", ""]);
    // SAFETY: text and settings live for the call.
    machine.done(unsafe { rsq_qconfig_set(qconfig, scope.as_ptr().cast(), layer.get()) });
}

pub fn change_qconfig(machine: &mut Machine, source: &mut Source) {
    let qconfig = machine.handle(Kind::QConfig, source);
    machine.done(rsq_qconfig_set_strict(without_provenance_mut(qconfig), i32::from(source.byte()) - 1));
    machine.done(rsq_qconfig_set_drop_inf(without_provenance_mut(qconfig), i32::from(source.byte()) - 1));
    fill(machine, source, |buffer, capacity, size| {
        // SAFETY: a buffer of that capacity.
        unsafe { rsq_qconfig_to_json(without_provenance(qconfig), buffer.cast(), capacity, size) }
    });
}

/// A function that is asked for a size, then given a buffer, which may be too small. What it wrote is kept.
pub fn fill(machine: &mut Machine, source: &mut Source, call: impl Fn(*mut c_void, usize, *mut usize) -> rsq_status) {
    let mut size = usize::MAX;
    if !machine.done(call(null_mut(), 0, &mut size)) || size > 1 << 22 {
        return;
    }
    let capacity = if source.byte() >= 230 { size.saturating_sub(1 + source.below(8)) } else { size };
    let (mut bytes, mut written) = (vec![0xa5u8; capacity], 0usize);
    let place = if source.byte() == 255 { null_mut() } else { &raw mut written };
    if machine.done(call(bytes.as_mut_ptr().cast(), capacity, place)) {
        assert_eq!(written, size, "a size changed between two calls");
        machine.keep(bytes);
    } else {
        assert!(written == 0 && bytes.iter().all(|&byte| byte == 0xa5), "a failed call wrote its buffer");
    }
}

/// Shapes of inputs, mostly such as the networks have.
pub struct Shapes {
    dims: Vec<Vec<i64>>,
    shapes: Vec<rsq_shape>,
}

impl Shapes {
    pub fn read(machine: &Machine, source: &mut Source) -> Self {
        let count = if source.byte() < 128 { 0 } else { 1 + source.below(2) };
        let mut all = input_dims(machine, source);
        all.resize(count.min(all.len().max(1)), vec![1, 3, 8, 8]);
        let dims: Vec<Vec<i64>> = all.into_iter().map(|dims| padded(dims, source)).collect();
        let rank = |source: &mut Source| if source.byte() >= 245 { source.below(16) } else { 4 };
        let shapes = dims.iter().map(|dims| rsq_shape { dims: dims.as_ptr(), rank: rank(source) }).collect();
        Self { dims, shapes }
    }

    /// NULL for none.
    pub fn pointer(&self) -> *const rsq_shape {
        if self.dims.is_empty() { null() } else { self.shapes.as_ptr() }
    }

    pub fn count(&self) -> usize {
        self.shapes.len()
    }
}

/// Sixteen dimensions, of which one may be wrong.
fn padded(mut dims: Vec<i64>, source: &mut Source) -> Vec<i64> {
    if source.byte() >= 225 && !dims.is_empty() {
        let axis = source.below(dims.len());
        dims[axis] = source.dim();
    }
    dims.iter_mut().for_each(|dim| {
        if *dim < 0 && source.byte() < 250 {
            *dim = 1 + source.below(MOST_BATCH) as i64
        }
    });
    dims.resize(16, 1);
    dims
}

pub fn prepare(machine: &mut Machine, source: &mut Source) {
    let context = any_context(machine, source);
    let graph = without_provenance(machine.handle(Kind::Graph, source));
    let qconfig = without_provenance(machine.handle(Kind::QConfig, source));
    let shapes = Shapes::read(machine, source);
    let options = rsq_prepare_options {
        struct_size: 0,
        flags: 0,
        input_shapes: shapes.pointer(),
        input_shape_count: shapes.count(),
        images: null(),
        image_count: 0,
    };
    let options = source.sized(options);
    let options = if source.byte() < 200 { null() } else { options.get() };
    // SAFETY: options, shapes and output live for the call.
    machine.make(Kind::Prepared, source, |out| unsafe { rsq_prepare(context, graph, qconfig, options, out) });
}

/// Declared dimensions of the newest graph's inputs, -1 where they are open.
pub fn input_dims(machine: &Machine, source: &mut Source) -> Vec<Vec<i64>> {
    let graph = without_provenance::<rsq_graph>(machine.living[Kind::Graph as usize].last().copied().unwrap_or(0));
    let dims_of = |index| {
        // SAFETY: integers and bytes, for which zeros are values.
        let mut info: rsq_tensor_info = unsafe { std::mem::zeroed() };
        info.struct_size = size_of::<rsq_tensor_info>() as u32;
        // SAFETY: the output lives for the call.
        let status = unsafe { rsq_graph_input_info(graph, index, &mut info) };
        assert_eq!(status, RSQ_OK, "an input of a living graph");
        info.dims[..info.rank as usize].to_vec()
    };
    let dims: Vec<Vec<i64>> = (0..rsq_graph_input_count(graph)).map(dims_of).collect();
    if dims.is_empty() { vec![vec![-1, 1 + source.below(4) as i64, 4, 4]] } else { dims }
}

/// Inputs for the newest graph: one batch for all, mostly.
pub fn inputs(machine: &Machine, source: &mut Source) -> Vec<Tensor> {
    let batch = source.below(MOST_BATCH + 1) as i64;
    let mut dims = input_dims(machine, source);
    for dims in &mut dims {
        dims.iter_mut().filter(|dim| **dim < 0).for_each(|dim| *dim = batch);
    }
    if source.byte() >= 245 {
        dims.pop();
    }
    dims.iter().map(|dims| Tensor::new(source, dims, RSQ_DTYPE_F32, false)).collect()
}

pub fn calibrate(machine: &mut Machine, source: &mut Source) {
    let prepared = machine.handle(Kind::Prepared, source);
    let inputs = inputs(machine, source);
    let views: Vec<_> = inputs.iter().map(Tensor::view).collect();
    let before = samples(prepared);
    let pointer = if source.byte() == 255 { null() } else { views.as_ptr() };
    // SAFETY: the tensors live for the call.
    let status = unsafe { rsq_calibrate(without_provenance_mut(prepared), pointer, views.len()) };
    if !machine.done(status) {
        assert_eq!(samples(prepared), before, "a batch that was refused was counted");
    }
}

fn samples(prepared: usize) -> u64 {
    let mut samples = u64::MAX;
    // SAFETY: the output lives for the call.
    unsafe { rsq_calibration_samples(without_provenance(prepared), &mut samples) };
    samples
}

pub fn statistics_to_bytes(machine: &mut Machine, source: &mut Source) {
    let prepared = machine.handle(Kind::Prepared, source);
    fill(machine, source, |buffer, capacity, size| {
        // SAFETY: a buffer of that capacity.
        unsafe { rsq_calibration_to_buffer(without_provenance(prepared), buffer, capacity, size) }
    });
}

pub fn statistics_from_bytes(machine: &mut Machine, source: &mut Source) {
    let prepared = machine.handle(Kind::Prepared, source);
    let bytes = machine.blob(source);
    let (before, handle, start) = (samples(prepared), without_provenance_mut(prepared), bytes.as_ptr().cast());
    // SAFETY: the bytes live for the call.
    let status = unsafe {
        match source.byte() % 2 {
            0 => rsq_calibration_from_bytes(handle, start, bytes.len()),
            _ => rsq_calibration_merge_bytes(handle, start, bytes.len()),
        }
    };
    if !machine.done(status) {
        assert_eq!(samples(prepared), before, "statistics that were refused were counted");
    }
}

pub fn convert(machine: &mut Machine, source: &mut Source) {
    if !machine.may_take_long(1) {
        return;
    }
    let prepared = without_provenance(machine.handle(Kind::Prepared, source));
    // SAFETY: the output lives for the call.
    machine.make(Kind::Model, source, |out| unsafe { rsq_convert(prepared, out) });
}

unsafe extern "C" fn go_on(_data: *mut c_void, _progress: *const rsq_progress) -> i32 {
    0
}

unsafe extern "C" fn cancel(_data: *mut c_void, _progress: *const rsq_progress) -> i32 {
    1
}

pub fn progress(machine: &mut Machine, source: &mut Source) {
    let prepared = without_provenance_mut(machine.handle(Kind::Prepared, source));
    let callback: rsq_progress_fn = match source.below(3) {
        0 => None,
        1 => Some(go_on),
        _ => Some(cancel),
    };
    // SAFETY: the functions follow no pointer.
    machine.done(unsafe { rsq_prepared_set_progress(prepared, callback, null_mut()) });
}

pub fn recipe(machine: &mut Machine, source: &mut Source) {
    if !machine.may_take_long(1) {
        return;
    }
    let prepared = without_provenance(machine.handle(Kind::Prepared, source));
    // SAFETY: the output lives for the call.
    machine.make(Kind::Recipe, source, |out| unsafe { rsq_prepared_recipe(prepared, out) });
}

pub fn recipe_text(machine: &mut Machine, source: &mut Source) {
    let recipe = machine.handle(Kind::Recipe, source);
    fill(machine, source, |buffer, capacity, size| {
        // SAFETY: a buffer of that capacity.
        unsafe { rsq_recipe_to_json(without_provenance(recipe), buffer.cast(), capacity, size) }
    });
    let mut text = machine.blob(source);
    let (context, graph) = (any_context(machine, source), without_provenance(machine.handle(Kind::Graph, source)));
    let (format, is_import) = (source.number(4), source.byte() % 2 == 0);
    if is_import {
        // SAFETY: bytes and output live for the call.
        machine.make(Kind::Recipe, source, |out| unsafe {
            rsq_recipe_import(context, graph, format, text.as_ptr().cast(), text.len(), null(), out)
        });
    } else {
        text.push(0);
        // SAFETY: the text ends and lives for the call, as the output does.
        machine.make(Kind::Recipe, source, |out| unsafe { rsq_recipe_from_json(text.as_ptr().cast(), out) });
    }
}

pub fn convert_with_recipe(machine: &mut Machine, source: &mut Source) {
    if !machine.may_take_long(1) {
        return;
    }
    let context = any_context(machine, source);
    let graph = without_provenance(machine.handle(Kind::Graph, source));
    let recipe = without_provenance(machine.handle(Kind::Recipe, source));
    // SAFETY: the output lives for the call.
    machine.make(Kind::Model, source, |out| unsafe { rsq_convert_with_recipe(context, graph, recipe, out) });
}

/// Files that are not there, or are no files: what is written stays in memory, so that programs are quick.
pub fn files(machine: &mut Machine, source: &mut Source) {
    let path = source.text(&["/nowhere/x", "", "/", "/dev", "."]);
    // No name that could be made in the folder where this runs.
    let path = if path.contains(&b'/') || path.len() < 3 { path } else { b"/nowhere/y\0".to_vec() };
    let (path, context) = (path.as_ptr().cast(), any_context(machine, source));
    let prepared = machine.handle(Kind::Prepared, source);
    // SAFETY: the text ends and lives for the call, as outputs do.
    unsafe {
        match source.below(8) {
            0 => machine.make(Kind::Model, source, |out| rsq_model_load(context, path, out)),
            1 => machine.make(Kind::Model, source, |out| rsq_model_load_copied(context, path, out)),
            2 => machine.make(Kind::Graph, source, |out| rsq_graph_from_onnx_file(context, path, out)),
            3 => machine.make(Kind::Recipe, source, |out| rsq_recipe_load(path, out)),
            4 => drop(machine.done(rsq_calibration_load(without_provenance_mut(prepared), path))),
            5 => drop(machine.done(rsq_calibration_merge(without_provenance_mut(prepared), path))),
            6 => drop(machine.done(rsq_calibration_save(without_provenance(prepared), path))),
            _ => drop(machine.done(rsq_model_save(without_provenance(machine.handle(Kind::Model, source)), path))),
        }
    }
}
