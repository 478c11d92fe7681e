//! Model files, sessions and runs; comparisons, sensitivities, tuning, reports.
use super::quantization::{Shapes, any_context, fill, input_dims, inputs};
use super::values::{Source, Tensor};
use super::{Kind, Machine};
use rsquant::ffi::*;
use std::ffi::c_void;
use std::ptr::{null, null_mut, without_provenance, without_provenance_mut};

pub fn model_to_bytes(machine: &mut Machine, source: &mut Source) {
    let model = machine.handle(Kind::Model, source);
    fill(machine, source, |buffer, capacity, size| {
        // SAFETY: a buffer of that capacity.
        unsafe { rsq_model_to_buffer(without_provenance(model), buffer, capacity, size) }
    });
}

pub fn model_from_bytes(machine: &mut Machine, source: &mut Source) {
    let bytes = machine.blob(source);
    let context = any_context(machine, source);
    // SAFETY: the bytes live for the call.
    machine.make(Kind::Model, source, |out| unsafe { rsq_model_from_bytes(context, bytes.as_ptr().cast(), bytes.len(), out) });
}

pub fn session(machine: &mut Machine, source: &mut Source) {
    let shapes = Shapes::read(machine, source);
    let options = rsq_session_options {
        struct_size: 0,
        flags: if source.byte() < 250 { source.below(4) as u32 } else { u32::MAX },
        max_batch: source.below(4),
        input_shapes: shapes.pointer(),
        input_shape_count: shapes.count(),
        images: null(),
        image_count: 0,
        kept_plans: 0,
    };
    let options = source.sized(options);
    let options = if source.byte() < 100 { null() } else { options.get() };
    let context = any_context(machine, source);
    if source.byte() < 180 {
        let model = without_provenance(machine.handle(Kind::Model, source));
        // SAFETY: options, shapes and output live for the call.
        machine.make(Kind::Session, source, |out| unsafe { rsq_session_new(model, options, out) });
    } else {
        let graph = without_provenance(machine.handle(Kind::Graph, source));
        // SAFETY: as above.
        machine.make(Kind::Session, source, |out| unsafe { rsq_float_session_new(context, graph, options, out) });
    }
}

/// Shapes of the outputs for inputs of these shapes; empty where they cannot be told.
fn output_dims(machine: &mut Machine, session: usize, inputs: &[rsq_tensor_view]) -> Vec<Vec<i64>> {
    let shapes: Vec<_> = inputs.iter().map(|view| rsq_shape { dims: view.dims, rank: view.rank.min(8) as usize }).collect();
    let count = rsq_session_output_count(without_provenance(session));
    let mut all = Vec::new();
    for index in 0..count {
        let (mut dims, mut rank) = ([77i64; 10], 77);
        let place = dims[1..].as_mut_ptr();
        // SAFETY: shapes live for the call; the output has room for eight dimensions.
        let status =
            unsafe { rsq_session_output_shape(without_provenance(session), shapes.as_ptr(), shapes.len(), index, place, &mut rank) };
        assert!(dims[0] == 77 && dims[9] == 77, "a call wrote beside its output");
        if !machine.done(status) {
            assert!(rank == 77 && dims == [77; 10], "a failed call wrote its output");
            return Vec::new();
        }
        all.push(dims[1..=rank as usize].to_vec());
    }
    all
}

pub fn run(machine: &mut Machine, source: &mut Source) {
    let session = machine.handle(Kind::Session, source);
    let inputs = inputs(machine, source);
    let views: Vec<_> = inputs.iter().map(Tensor::view).collect();
    let mut dims = output_dims(machine, session, &views);
    if dims.is_empty() || source.byte() >= 250 {
        dims = input_dims(machine, source);
    }
    let mut outputs: Vec<Tensor> = dims.iter().map(|dims| Tensor::new(source, dims, RSQ_DTYPE_F32, true)).collect();
    let mut places: Vec<_> = outputs.iter_mut().map(Tensor::view_mut).collect();
    if source.byte() >= 250 && !places.is_empty() && !views.is_empty() {
        // An output over an input: refused, or nothing of it is used.
        let place = &mut places[0];
        (place.data, place.size_bytes) = (views[0].data.cast_mut(), views[0].size_bytes);
    }
    let count = if source.byte() >= 250 { places.len().saturating_sub(1) } else { places.len() };
    // SAFETY: the tensors live for the call.
    let status = unsafe { rsq_run(without_provenance_mut(session), views.as_ptr(), views.len(), places.as_ptr(), count) };
    if !machine.done(status) {
        outputs.iter().for_each(Tensor::check_untouched);
    }
}

/// What objects say of themselves.
pub fn describe(machine: &mut Machine, source: &mut Source) {
    let index = if source.byte() >= 250 { usize::MAX } else { source.below(6) };
    macro_rules! told {
        ($kind:ident, $struct:ident, $($function:ident),*) => {{
            let handle = machine.handle(Kind::$kind, source);
            $({
                // SAFETY: integers, floats and bytes, for which zeros are values.
                let mut info = source.sized::<$struct>(unsafe { std::mem::zeroed() });
                let place = info.get_mut();
                // SAFETY: the output lives for the call.
                let succeeded = machine.done(unsafe { $function(without_provenance(handle), index, place) });
                info.check(succeeded);
            })*
        }};
    }
    match source.below(7) {
        0 => told!(Graph, rsq_tensor_info, rsq_graph_input_info, rsq_graph_output_info),
        1 => told!(Graph, rsq_node_info, rsq_graph_node_info),
        2 => told!(Model, rsq_tensor_info, rsq_model_input_info, rsq_model_output_info),
        3 => told!(Model, rsq_layer_info, rsq_model_layer_info),
        4 => told!(Session, rsq_tensor_info, rsq_session_input_info, rsq_session_output_info),
        5 => told!(Session, rsq_step_info, rsq_session_step_info),
        _ => told!(Recipe, rsq_recipe_activation, rsq_recipe_activation_info),
    }
    let (graph, model, session) = (
        without_provenance(machine.handle(Kind::Graph, source)),
        without_provenance(machine.handle(Kind::Model, source)),
        without_provenance(machine.handle(Kind::Session, source)),
    );
    let counts = [
        rsq_graph_node_count(graph),
        rsq_model_input_count(model),
        rsq_model_output_count(model),
        rsq_model_layer_count(model),
        rsq_session_input_count(session),
        rsq_session_step_count(session),
    ];
    assert!(counts.iter().all(|&count| count < 1 << 16), "a count of {counts:?}");
    assert!(rsq_session_memory_bytes(session) < 1 << 32);
}

pub fn profile(machine: &mut Machine, source: &mut Source) {
    let session = machine.handle(Kind::Session, source);
    // SAFETY: integers, for which zeros are values.
    let (mut all, mut step) =
        unsafe { (source.sized::<rsq_profile>(std::mem::zeroed()), source.sized::<rsq_step_profile>(std::mem::zeroed())) };
    // SAFETY: the outputs live for the calls.
    let statuses = unsafe {
        let index = source.below(8);
        [
            rsq_session_profile(without_provenance(session), all.get_mut()),
            rsq_session_step_profile(without_provenance(session), index, step.get_mut()),
        ]
    };
    all.check(machine.done(statuses[0]));
    step.check(machine.done(statuses[1]));
    machine.done(rsq_session_profile_reset(without_provenance_mut(session)));
}

pub fn comparison(machine: &mut Machine, source: &mut Source) {
    if !machine.may_take_long(1) {
        return;
    }
    let graph = without_provenance(machine.handle(Kind::Graph, source));
    let model = without_provenance(machine.handle(Kind::Model, source));
    // SAFETY: the output lives for the call.
    machine.make(Kind::Comparison, source, |out| unsafe { rsq_comparison_new(graph, model, out) });
}

pub fn compare(machine: &mut Machine, source: &mut Source) {
    let comparison = machine.handle(Kind::Comparison, source);
    let inputs = inputs(machine, source);
    let views: Vec<_> = inputs.iter().map(Tensor::view).collect();
    // SAFETY: the tensors live for the call.
    machine.done(unsafe { rsq_compare(without_provenance_mut(comparison), views.as_ptr(), views.len()) });
    let count = rsq_comparison_layer_count(without_provenance(comparison));
    let index = if source.byte() >= 250 { count } else { source.below(count) };
    // SAFETY: integers, floats and bytes, for which zeros are values.
    let (mut layer, mut output) =
        unsafe { (source.sized::<rsq_layer_comparison>(std::mem::zeroed()), source.sized::<rsq_output_comparison>(std::mem::zeroed())) };
    // SAFETY: the outputs live for the calls.
    let statuses = unsafe {
        [
            rsq_comparison_layer_info(without_provenance(comparison), index, layer.get_mut()),
            rsq_comparison_output_info(without_provenance(comparison), source.below(3), output.get_mut()),
        ]
    };
    layer.check(machine.done(statuses[0]));
    output.check(machine.done(statuses[1]));
}

unsafe extern "C" fn step(data: *mut c_void, _progress: *const rsq_progress) -> i32 {
    // NULL goes on, any other value of the argument cancels.
    i32::from(!data.is_null())
}

pub fn sensitivity(machine: &mut Machine, source: &mut Source) {
    if !machine.may_take_long(2) {
        return;
    }
    let prepared = without_provenance(machine.handle(Kind::Prepared, source));
    let inputs = inputs(machine, source);
    let views: Vec<_> = inputs.iter().map(Tensor::view).collect();
    let data = without_provenance_mut(usize::from(source.byte() >= 200));
    let progress: rsq_progress_fn = if source.byte() < 128 { None } else { Some(step) };
    // SAFETY: the tensors live for the call, and the function follows no pointer.
    machine
        .make(Kind::Sensitivity, source, |out| unsafe { rsq_sensitivity_new(prepared, views.as_ptr(), views.len(), progress, data, out) });
    let sensitivity = machine.handle(Kind::Sensitivity, source);
    // SAFETY: integers, floats and bytes, for which zeros are values.
    let mut layer = source.sized::<rsq_layer_sensitivity>(unsafe { std::mem::zeroed() });
    // SAFETY: the output lives for the call.
    let status = unsafe { rsq_sensitivity_layer_info(without_provenance(sensitivity), source.below(8), layer.get_mut()) };
    layer.check(machine.done(status));
}

unsafe extern "C" fn metric(data: *mut c_void, model: *const rsq_model, out: *mut f64) -> i32 {
    let layers = rsq_model_layer_count(model);
    // SAFETY: the library's output.
    unsafe { out.write(1.0 / (1.0 + layers as f64)) };
    i32::from(!data.is_null())
}

pub fn tune(machine: &mut Machine, source: &mut Source) {
    if !machine.may_take_long(3) {
        return;
    }
    let prepared = without_provenance(machine.handle(Kind::Prepared, source));
    let inputs = inputs(machine, source);
    let views: Vec<_> = inputs.iter().map(Tensor::view).collect();
    let options = rsq_tune_options {
        struct_size: 0,
        max_float_layers: source.below(3) as u32,
        target: if source.byte() < 128 { 0.0 } else { f64::from(source.float()) },
        max_float_macs: if source.byte() < 200 { 0.0 } else { f64::from(source.float()) },
        metric: if source.byte() < 128 { None } else { Some(metric) },
        metric_data: without_provenance_mut(usize::from(source.byte() >= 230)),
        progress: if source.byte() < 128 { None } else { Some(step) },
        progress_data: without_provenance_mut(usize::from(source.byte() >= 230)),
    };
    let options = source.sized(options);
    // SAFETY: integers and floats, for which zeros are values.
    let mut result = source.sized::<rsq_tune_result>(unsafe { std::mem::zeroed() });
    let place = result.get_mut();
    let (mut recipe, mut model) = (null_mut::<rsq_recipe>(), null_mut::<rsq_model>());
    // SAFETY: tensors, options and outputs live for the call; the functions follow no pointer but the library's output.
    let status = unsafe { rsq_tune(prepared, views.as_ptr(), views.len(), options.get(), place, &mut recipe, &mut model) };
    let succeeded = machine.done(status);
    result.check(succeeded);
    assert_eq!(succeeded, !recipe.is_null(), "a recipe exactly on success");
    assert_eq!(succeeded, !model.is_null(), "a model exactly on success");
    if succeeded {
        machine.living[Kind::Recipe as usize].push(recipe.addr());
        machine.living[Kind::Model as usize].push(model.addr());
    }
}

pub fn report(machine: &mut Machine, source: &mut Source) {
    if !machine.may_take_long(1) {
        return;
    }
    let mut optional = |kind| if source.byte() < 100 { 0 } else { machine.handle(kind, source) };
    let (prepared, comparison) = (optional(Kind::Prepared), optional(Kind::Comparison));
    let (model, sensitivity) = (optional(Kind::Model), optional(Kind::Sensitivity));
    let format = source.number(2);
    fill(machine, source, |buffer, capacity, size| {
        // SAFETY: a buffer of that capacity.
        unsafe {
            rsq_report_to_buffer(
                without_provenance(prepared),
                without_provenance(model),
                without_provenance(comparison),
                without_provenance(sensitivity),
                format,
                buffer.cast(),
                capacity,
                size,
            )
        }
    });
}
