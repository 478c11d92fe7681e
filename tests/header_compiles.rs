//! The header compiles without a warning as every C and C++ that callers use, and its structs lie as the library's do.
use rsquant::ffi;
use std::fmt::Write;
use std::mem::{offset_of, size_of};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The compiler that the environment names, or the system's.
fn compiler(variable: &str, system: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| system.to_owned())
}

fn compile(compiler: &str, standard: &str, source: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(compiler)
        .args([&format!("-std={standard}"), "-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only", "-I"])
        .arg(root.join("include"))
        .arg(source)
        .output()
        .unwrap_or_else(|error| panic!("{compiler}: {error}"));
    assert!(output.status.success(), "{compiler} -std={standard}:\n{}", String::from_utf8_lossy(&output.stderr));
}

/// A source file in the tests' own folder.
fn source(name: &str, text: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// Sizes and offsets as conditions.
fn layout_conditions() -> Vec<String> {
    macro_rules! layout {
        ($($ty:ident { $($field:ident),* })*) => {
            vec![$(
                format!("sizeof({0}) == {1}", stringify!($ty), size_of::<ffi::$ty>()),
                $(format!("offsetof({0}, {1}) == {2}", stringify!($ty), stringify!($field), offset_of!(ffi::$ty, $field)),)*
            )*]
        };
    }
    layout! {
        rsq_shape { dims, rank }
        rsq_tensor_view { data, size_bytes, dtype, rank, dims, strides }
        rsq_tensor_mut { data, size_bytes, dtype, rank, dims, strides }
        rsq_context_options { struct_size, max_isa, threads, pool_threads, parallel_for, pool, memory_limit, log, log_data, log_level, reserved }
        rsq_prepare_options { struct_size, flags, input_shapes, input_shape_count, images, image_count }
        rsq_image_input { name, index, mean, std, channels, divisor, reserved }
        rsq_session_options { struct_size, flags, max_batch, input_shapes, input_shape_count, images, image_count, kept_plans }
        rsq_recurrent_layer {
            struct_size, flags, cell, direction, input_size, hidden_size, input_weights, input_weight_count, recurrent_weights,
            recurrent_weight_count, bias, bias_count, lengths, initial_hidden, initial_cell, reserved
        }
        rsq_layer_qconfig {
            struct_size, precision, activation_dtype, activation_scheme, activation_reduce_range, activation_observer,
            activation_solver, activation_grain, weight_granularity, weight_scheme, weight_reduce_range, activation_rule, percentile,
            activation_granularity, reserved
        }
        rsq_tensor_info { struct_size, dtype, rank, name_length, dims, name }
        rsq_node_info { struct_size, name_length, input_count, reserved, name, op_type }
        rsq_layer_info {
            struct_size, precision, has_input_qparams, input_zero_point, input_scale, has_output_qparams, output_zero_point,
            output_scale, name_length, reason_length, name, op_type, reason
        }
        rsq_layer_comparison {
            struct_size, precision, values, sqnr_db, cosine, clip_low, clip_high, name_length, reserved, name, op_type
        }
        rsq_layer_sensitivity {
            struct_size, precision, macs, sqnr_db, cosine, error_share, name_length, reserved, name, op_type
        }
        rsq_tune_options {
            struct_size, max_float_layers, target, max_float_macs, metric, metric_data, progress, progress_data
        }
        rsq_tune_result { struct_size, reached, float_layers, trials, metric, int8_metric, float_macs }
        rsq_output_comparison { struct_size, name_length, sqnr_db, cosine, top1_agreement, name }
        rsq_step_info { struct_size, name_length, macs, name, op_type, kernel }
    }
}

#[test]
fn the_header_compiles_without_a_warning_as_c_and_cpp() {
    let text = "#include \"rsquant.h\"\n#include \"rsquant.h\"\nint main(void) { return rsq_abi_version() != RSQ_ABI_VERSION; }\n";
    let (c, cpp) = (source("header.c", text), source("header.cpp", &text.replace("(void)", "()")));
    for standard in ["c99", "c11", "c17"] {
        compile(&compiler("CC", "cc"), standard, &c);
    }
    for standard in ["c++11", "c++17", "c++20"] {
        compile(&compiler("CXX", "c++"), standard, &cpp);
    }
}

#[test]
fn structs_lie_in_c_as_they_do_in_the_library() {
    let mut c = String::from("#include <stddef.h>\n#include \"rsquant.h\"\n");
    for condition in layout_conditions() {
        writeln!(c, "_Static_assert({condition}, \"layout\");").unwrap();
    }
    compile(&compiler("CC", "cc"), "c11", &source("layout.c", &c));
}

#[test]
fn version_macros_are_the_librarys() {
    let header = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("include/rsquant.h")).unwrap();
    let value = |name: &str| {
        let line = header.lines().find_map(|line| line.strip_prefix("#define ")?.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} is not in the header")).to_owned()
    };
    assert_eq!(value("RSQ_VERSION_STRING"), format!("\"{}\"", env!("CARGO_PKG_VERSION")));
    assert_eq!(value("RSQ_ABI_VERSION"), ffi::rsq_abi_version().to_string());
    let number = [("MAJOR", 10_000), ("MINOR", 100), ("PATCH", 1)];
    let number: u32 = number.iter().map(|(part, weight)| value(&format!("RSQ_VERSION_{part}")).parse::<u32>().unwrap() * weight).sum();
    assert_eq!(number, ffi::rsq_version_number());
}

#[test]
fn the_header_in_the_tree_is_the_one_that_src_ffi_makes() {
    let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let in_tree = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("include/rsquant.h"));
    let generated = option_env!("RSQ_GENERATED_HEADER").expect("cbindgen made a header");
    assert!(
        in_tree == read(Path::new(generated)),
        "include/rsquant.h is not what cbindgen writes: run cargo build where it can be written"
    );
}
