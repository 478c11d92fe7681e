//! What holds for every export alike.
use super::guard::panic_in_next_call;
use super::*;
use std::ptr::{null, null_mut};

type Call = (&'static str, fn() -> rsq_status);

/// Every export that returns a status, with NULL for each pointer.
const WITH_NULLS: &[Call] = &[
    ("rsq_context_new", || unsafe { rsq_context_new(null(), null_mut()) }),
    ("rsq_context_memory_bytes", || unsafe { rsq_context_memory_bytes(null(), null_mut()) }),
    ("rsq_graph_from_onnx_file", || unsafe { rsq_graph_from_onnx_file(null(), null(), null_mut()) }),
    ("rsq_graph_from_onnx_bytes", || unsafe { rsq_graph_from_onnx_bytes(null(), null(), 1, null_mut()) }),
    ("rsq_graph_input_info", || unsafe { rsq_graph_input_info(null(), 0, null_mut()) }),
    ("rsq_graph_output_info", || unsafe { rsq_graph_output_info(null(), 0, null_mut()) }),
    ("rsq_graph_node_info", || unsafe { rsq_graph_node_info(null(), 0, null_mut()) }),
    ("rsq_qconfig_default_static", || unsafe { rsq_qconfig_default_static(null_mut()) }),
    ("rsq_qconfig_default_dynamic", || unsafe { rsq_qconfig_default_dynamic(null_mut()) }),
    ("rsq_qconfig_torch_dynamic", || unsafe { rsq_qconfig_torch_dynamic(null_mut()) }),
    ("rsq_qconfig_from_json", || unsafe { rsq_qconfig_from_json(null(), null_mut()) }),
    ("rsq_qconfig_set", || unsafe { rsq_qconfig_set(null_mut(), null(), null()) }),
    ("rsq_qconfig_set_strict", || rsq_qconfig_set_strict(null_mut(), 1)),
    ("rsq_qconfig_set_drop_inf", || rsq_qconfig_set_drop_inf(null_mut(), 1)),
    ("rsq_qconfig_to_json", || unsafe { rsq_qconfig_to_json(null(), null_mut(), 0, null_mut()) }),
    ("rsq_prepare", || unsafe { rsq_prepare(null(), null(), null(), null(), null_mut()) }),
    ("rsq_calibrate", || unsafe { rsq_calibrate(null_mut(), null(), 1) }),
    ("rsq_calibration_samples", || unsafe { rsq_calibration_samples(null(), null_mut()) }),
    ("rsq_calibration_save", || unsafe { rsq_calibration_save(null(), null()) }),
    ("rsq_calibration_load", || unsafe { rsq_calibration_load(null_mut(), null()) }),
    ("rsq_calibration_merge", || unsafe { rsq_calibration_merge(null_mut(), null()) }),
    ("rsq_calibration_to_buffer", || unsafe { rsq_calibration_to_buffer(null(), null_mut(), 0, null_mut()) }),
    ("rsq_calibration_from_bytes", || unsafe { rsq_calibration_from_bytes(null_mut(), null(), 1) }),
    ("rsq_calibration_merge_files", || unsafe { rsq_calibration_merge_files(null_mut(), null(), 1) }),
    ("rsq_calibration_merge_bytes", || unsafe { rsq_calibration_merge_bytes(null_mut(), null(), 1) }),
    ("rsq_prepared_set_progress", || unsafe { rsq_prepared_set_progress(null_mut(), None, null_mut()) }),
    ("rsq_convert", || unsafe { rsq_convert(null(), null_mut()) }),
    ("rsq_prepared_recipe", || unsafe { rsq_prepared_recipe(null(), null_mut()) }),
    ("rsq_recipe_from_json", || unsafe { rsq_recipe_from_json(null(), null_mut()) }),
    ("rsq_recipe_load", || unsafe { rsq_recipe_load(null(), null_mut()) }),
    ("rsq_recipe_import", || unsafe { rsq_recipe_import(null(), null(), 0, null(), 1, null(), null_mut()) }),
    ("rsq_recipe_save", || unsafe { rsq_recipe_save(null(), null()) }),
    ("rsq_recipe_to_json", || unsafe { rsq_recipe_to_json(null(), null_mut(), 0, null_mut()) }),
    ("rsq_recipe_activation_info", || unsafe { rsq_recipe_activation_info(null(), 0, null_mut()) }),
    ("rsq_convert_with_recipe", || unsafe { rsq_convert_with_recipe(null(), null(), null(), null_mut()) }),
    ("rsq_model_save", || unsafe { rsq_model_save(null(), null()) }),
    ("rsq_model_to_buffer", || unsafe { rsq_model_to_buffer(null(), null_mut(), 0, null_mut()) }),
    ("rsq_model_load", || unsafe { rsq_model_load(null(), null(), null_mut()) }),
    ("rsq_model_load_copied", || unsafe { rsq_model_load_copied(null(), null(), null_mut()) }),
    ("rsq_model_from_bytes", || unsafe { rsq_model_from_bytes(null(), null(), 1, null_mut()) }),
    ("rsq_model_from_static", || unsafe { rsq_model_from_static(null(), null(), 1, null_mut()) }),
    ("rsq_model_input_info", || unsafe { rsq_model_input_info(null(), 0, null_mut()) }),
    ("rsq_model_output_info", || unsafe { rsq_model_output_info(null(), 0, null_mut()) }),
    ("rsq_model_layer_info", || unsafe { rsq_model_layer_info(null(), 0, null_mut()) }),
    ("rsq_session_new", || unsafe { rsq_session_new(null(), null(), null_mut()) }),
    ("rsq_float_session_new", || unsafe { rsq_float_session_new(null(), null(), null(), null_mut()) }),
    ("rsq_session_input_info", || unsafe { rsq_session_input_info(null(), 0, null_mut()) }),
    ("rsq_session_output_info", || unsafe { rsq_session_output_info(null(), 0, null_mut()) }),
    ("rsq_session_output_shape", || unsafe { rsq_session_output_shape(null(), null(), 1, 0, null_mut(), null_mut()) }),
    ("rsq_session_step_info", || unsafe { rsq_session_step_info(null(), 0, null_mut()) }),
    ("rsq_session_profile", || unsafe { rsq_session_profile(null(), null_mut()) }),
    ("rsq_session_step_profile", || unsafe { rsq_session_step_profile(null(), 0, null_mut()) }),
    ("rsq_session_profile_reset", || rsq_session_profile_reset(null_mut())),
    ("rsq_measure_roof", || unsafe { rsq_measure_roof(null(), null_mut()) }),
    ("rsq_sensitivity_new", || unsafe { rsq_sensitivity_new(null(), null(), 1, None, null_mut(), null_mut()) }),
    ("rsq_sensitivity_layer_info", || unsafe { rsq_sensitivity_layer_info(null(), 0, null_mut()) }),
    ("rsq_tune", || unsafe { rsq_tune(null(), null(), 1, null(), null_mut(), null_mut(), null_mut()) }),
    ("rsq_report_to_buffer", || unsafe {
        rsq_report_to_buffer(null(), null(), null(), null(), RSQ_REPORT_JSON, null_mut(), 0, null_mut())
    }),
    ("rsq_report_save", || unsafe { rsq_report_save(null(), null(), null(), null(), RSQ_REPORT_JSON, null()) }),
    ("rsq_comparison_new", || unsafe { rsq_comparison_new(null(), null(), null_mut()) }),
    ("rsq_comparison_set_images", || unsafe { rsq_comparison_set_images(null_mut(), null(), 1) }),
    ("rsq_compare", || unsafe { rsq_compare(null_mut(), null(), 1) }),
    ("rsq_comparison_samples", || unsafe { rsq_comparison_samples(null(), null_mut()) }),
    ("rsq_comparison_layer_info", || unsafe { rsq_comparison_layer_info(null(), 0, null_mut()) }),
    ("rsq_comparison_output_info", || unsafe { rsq_comparison_output_info(null(), 0, null_mut()) }),
    ("rsq_pack_weights", || unsafe { rsq_pack_weights(null(), null(), null_mut()) }),
    ("rsq_packed_scales", || unsafe { rsq_packed_scales(null(), null_mut(), 0, null_mut()) }),
    ("rsq_gemm_u8s8_new", || unsafe { rsq_gemm_u8s8_new(null(), null(), null(), null_mut()) }),
    ("rsq_conv2d_u8s8_new", || unsafe { rsq_conv2d_u8s8_new(null(), null(), null(), null(), null_mut()) }),
    ("rsq_operator_get_info", || unsafe { rsq_operator_get_info(null(), null_mut()) }),
    ("rsq_gemm_u8s8", || unsafe { rsq_gemm_u8s8(null(), 1, null()) }),
    ("rsq_gemm_f32s8_new", || unsafe { rsq_gemm_f32s8_new(null(), null(), null(), null_mut()) }),
    ("rsq_gemm_f32s8", || unsafe { rsq_gemm_f32s8(null(), 1, null()) }),
    ("rsq_conv2d_u8s8", || unsafe { rsq_conv2d_u8s8(null(), 1, null()) }),
    ("rsq_quantize", || unsafe { rsq_quantize(null(), null(), null(), 1, null_mut(), 1) }),
    ("rsq_dequantize", || unsafe { rsq_dequantize(null(), null(), null(), 1, null_mut(), 1) }),
    ("rsq_observer_new", || unsafe { rsq_observer_new(1, null(), null_mut()) }),
    ("rsq_observer_observe", || unsafe { rsq_observer_observe(null_mut(), null(), 1, 1) }),
    ("rsq_observer_merge", || rsq_observer_merge(null_mut(), null())),
    ("rsq_observer_solve", || unsafe { rsq_observer_solve(null(), null(), 1, null_mut(), null_mut(), null_mut(), null_mut()) }),
    ("rsq_qparams_of_range", || unsafe { rsq_qparams_of_range(0.0, 1.0, null(), null_mut(), null_mut()) }),
    ("rsq_observer_get_info", || unsafe { rsq_observer_get_info(null(), null_mut()) }),
    ("rsq_observer_to_buffer", || unsafe { rsq_observer_to_buffer(null(), null_mut(), 0, null_mut()) }),
    ("rsq_observer_from_bytes", || unsafe { rsq_observer_from_bytes(null(), 1, null_mut()) }),
    ("rsq_graph_builder_new", || unsafe { rsq_graph_builder_new(null(), null_mut()) }),
    ("rsq_graph_builder_input", || unsafe { rsq_graph_builder_input(null_mut(), null(), null(), 1, null_mut()) }),
    ("rsq_graph_builder_constant", || unsafe { rsq_graph_builder_constant(null_mut(), null(), null(), 1, null(), 1, null_mut()) }),
    ("rsq_graph_builder_conv2d", || unsafe { rsq_graph_builder_conv2d(null_mut(), null(), 0, null(), null(), null_mut()) }),
    ("rsq_graph_builder_linear", || unsafe { rsq_graph_builder_linear(null_mut(), null(), 0, null(), null_mut()) }),
    ("rsq_graph_builder_batch_norm", || unsafe { rsq_graph_builder_batch_norm(null_mut(), null(), 0, null(), null_mut()) }),
    ("rsq_graph_builder_unary", || unsafe { rsq_graph_builder_unary(null_mut(), null(), 1, 0, 0.0, 0.0, null_mut()) }),
    ("rsq_graph_builder_binary", || unsafe { rsq_graph_builder_binary(null_mut(), null(), 1, 0, 0, null_mut()) }),
    ("rsq_graph_builder_matmul", || unsafe { rsq_graph_builder_matmul(null_mut(), null(), 0, 0, null_mut()) }),
    ("rsq_graph_builder_pool", || unsafe { rsq_graph_builder_pool(null_mut(), null(), 1, 0, null(), null_mut()) }),
    ("rsq_graph_builder_reduce_mean", || unsafe { rsq_graph_builder_reduce_mean(null_mut(), null(), 0, null(), 1, 0, null_mut()) }),
    ("rsq_graph_builder_softmax", || unsafe { rsq_graph_builder_softmax(null_mut(), null(), 0, 0, null_mut()) }),
    ("rsq_graph_builder_flatten", || unsafe { rsq_graph_builder_flatten(null_mut(), null(), 0, 0, null_mut()) }),
    ("rsq_graph_builder_reshape", || unsafe { rsq_graph_builder_reshape(null_mut(), null(), 0, null(), 1, null_mut()) }),
    ("rsq_graph_builder_transpose", || unsafe { rsq_graph_builder_transpose(null_mut(), null(), 0, null(), 1, null_mut()) }),
    ("rsq_graph_builder_concat", || unsafe { rsq_graph_builder_concat(null_mut(), null(), null(), 1, 0, null_mut()) }),
    ("rsq_graph_builder_pad", || unsafe { rsq_graph_builder_pad(null_mut(), null(), 0, null(), null(), 1, 0.0, null_mut()) }),
    ("rsq_graph_builder_recurrent", || unsafe {
        rsq_graph_builder_recurrent(null_mut(), null(), 0, null(), null_mut(), null_mut(), null_mut())
    }),
    ("rsq_graph_builder_output", || rsq_graph_builder_output(null_mut(), 0)),
    ("rsq_graph_builder_finish", || unsafe { rsq_graph_builder_finish(null(), null_mut()) }),
    ("rsq_graph_input_index", || unsafe { rsq_graph_input_index(null(), null(), null_mut()) }),
    ("rsq_graph_output_index", || unsafe { rsq_graph_output_index(null(), null(), null_mut()) }),
    ("rsq_model_input_index", || unsafe { rsq_model_input_index(null(), null(), null_mut()) }),
    ("rsq_model_output_index", || unsafe { rsq_model_output_index(null(), null(), null_mut()) }),
    ("rsq_session_input_index", || unsafe { rsq_session_input_index(null(), null(), null_mut()) }),
    ("rsq_session_output_index", || unsafe { rsq_session_output_index(null(), null(), null_mut()) }),
    ("rsq_run", || unsafe { rsq_run(null_mut(), null(), 1, null(), 1) }),
];

/// Every export that counts something, with a NULL handle.
const COUNTS: &[(&str, fn() -> usize)] = &[
    ("rsq_graph_input_count", || rsq_graph_input_count(null())),
    ("rsq_graph_output_count", || rsq_graph_output_count(null())),
    ("rsq_graph_node_count", || rsq_graph_node_count(null())),
    ("rsq_recipe_activation_count", || rsq_recipe_activation_count(null())),
    ("rsq_model_input_count", || rsq_model_input_count(null())),
    ("rsq_model_output_count", || rsq_model_output_count(null())),
    ("rsq_model_layer_count", || rsq_model_layer_count(null())),
    ("rsq_session_input_count", || rsq_session_input_count(null())),
    ("rsq_session_output_count", || rsq_session_output_count(null())),
    ("rsq_session_step_count", || rsq_session_step_count(null())),
    ("rsq_sensitivity_layer_count", || rsq_sensitivity_layer_count(null())),
    ("rsq_comparison_layer_count", || rsq_comparison_layer_count(null())),
    ("rsq_comparison_output_count", || rsq_comparison_output_count(null())),
    ("rsq_session_memory_bytes", || rsq_session_memory_bytes(null())),
];

/// Every export that frees something, with a NULL handle.
const FREES: &[(&str, fn())] = &[
    ("rsq_context_free", || rsq_context_free(null_mut())),
    ("rsq_graph_free", || rsq_graph_free(null_mut())),
    ("rsq_qconfig_free", || rsq_qconfig_free(null_mut())),
    ("rsq_prepared_free", || rsq_prepared_free(null_mut())),
    ("rsq_recipe_free", || rsq_recipe_free(null_mut())),
    ("rsq_model_free", || rsq_model_free(null_mut())),
    ("rsq_sensitivity_free", || rsq_sensitivity_free(null_mut())),
    ("rsq_comparison_free", || rsq_comparison_free(null_mut())),
    ("rsq_packed_free", || rsq_packed_free(null_mut())),
    ("rsq_observer_free", || rsq_observer_free(null_mut())),
    ("rsq_graph_builder_free", || rsq_graph_builder_free(null_mut())),
    ("rsq_operator_free", || rsq_operator_free(null_mut())),
    ("rsq_session_free", || rsq_session_free(null_mut())),
];

/// Names of the header's functions with that return type.
fn declared(returns: &str) -> Vec<String> {
    let header = include_str!("../../include/rsquant.h");
    let name = |line: &str| line.strip_prefix(returns)?.strip_prefix(' ')?.split_once('(').map(|(name, _)| name.to_owned());
    let mut names: Vec<String> = header.lines().filter_map(name).filter(|name| name != "rsq_last_error").collect();
    names.sort();
    names
}

fn sorted<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut names: Vec<String> = names.map(str::to_owned).collect();
    names.sort();
    names
}

#[test]
fn the_lists_here_are_the_headers() {
    assert_eq!(declared("rsq_status"), sorted(WITH_NULLS.iter().map(|call| call.0)));
    assert_eq!(declared("size_t"), sorted(COUNTS.iter().map(|call| call.0)));
    assert_eq!(declared("void"), sorted(FREES.iter().map(|call| call.0)));
}

/// Exports that do nothing that could fail: constants and texts, and the message itself.
const WITHOUT_FAILURE: &[&str] =
    &["rsq_abi_version", "rsq_isa_name", "rsq_last_error", "rsq_status_name", "rsq_version_number", "rsq_version_string"];

#[test]
fn lines_11_and_12_no_function_of_the_header_is_left_out() {
    let header = include_str!("../../include/rsquant.h");
    // Declarations begin in the first column; a macro, a typedef and a comment do not begin like one.
    let name = |line: &str| {
        let head = line.split_once('(')?.0;
        let name = head.rsplit([' ', '*']).next()?;
        (name.starts_with("rsq_") && !line.starts_with(['/', ' ', '#', '}']) && !line.starts_with("typedef")).then(|| name.to_owned())
    };
    let mut declared: Vec<String> = header.lines().filter_map(name).collect();
    declared.sort();
    let listed = WITH_NULLS.iter().map(|call| call.0).chain(COUNTS.iter().map(|call| call.0)).chain(FREES.iter().map(|call| call.0));
    assert_eq!(declared, sorted(listed.chain(WITHOUT_FAILURE.iter().copied()).chain(["rsq_isa_detected"])));
}

#[test]
fn null_is_a_status_everywhere() {
    for (name, call) in WITH_NULLS {
        assert_eq!(call(), RSQ_NULL_ARGUMENT, "{name}");
        last_error::with(|message| assert!(message.ends_with("is NULL"), "{name}: {message}"));
    }
    assert!(COUNTS.iter().all(|(_, call)| call() == 0));
    FREES.iter().for_each(|(_, call)| call());
}

#[test]
fn a_panic_is_a_status_everywhere() {
    for (name, call) in WITH_NULLS {
        panic_in_next_call();
        assert_eq!(call(), RSQ_PANIC, "{name}");
        assert_eq!(call(), RSQ_NULL_ARGUMENT, "{name} works again");
    }
    let message_after = |name: &str, call: &dyn Fn()| {
        panic_in_next_call();
        call();
        last_error::with(|message| assert_eq!(message, "internal error: injected", "{name}"));
        guard::call(|| Err(status::Failure::invalid("another")));
    };
    for (name, call) in COUNTS {
        message_after(name, &|| assert_eq!(call(), 0));
    }
    for (name, call) in FREES {
        message_after(name, call);
    }
    message_after("rsq_isa_detected", &|| assert_eq!(rsq_isa_detected(), RSQ_ISA_PORTABLE));
}
