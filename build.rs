//! Writes the C header and gives the shared library its name.
use std::path::Path;
use std::{env, fs};

/// Raised when a program compiled against an older header no longer runs with the library. Part of the shared library's
/// name, so that the two are never loaded together.
const ABI_VERSION: u32 = 1;

/// What stands before the header's declarations.
const OPENING: &str = "\
/* rsquant: quantizes float neural networks to int8 after training and runs them.
 *
 * Written by cbindgen from src/ffi: do not edit.
 *
 * The way of a model:
 *
 *     rsq_graph_from_onnx_file -> rsq_prepare (with an rsq_qconfig) -> rsq_calibrate ... -> rsq_convert
 *         -> rsq_model_save / rsq_model_load -> rsq_session_new -> rsq_run
 *
 * Errors. A function that can fail returns an rsq_status; rsq_last_error has this thread's message. Outputs are written
 * only on success, and handles stay usable after a failure. The functions never print, abort or throw. Besides the
 * statuses listed with each function, any may return RSQ_PANIC, which is a defect of the library.
 *
 * Handles. The opaque types are handles: values that are never followed as addresses. NULL, freed and mistaken ones are
 * a status. The caller frees each object once, in any order: objects keep what they need. A free while another thread's call
 * uses the object lets that call finish.
 *
 * Threads. A const T * may be used by any number of threads at once. A T * is for one call at a time: a second one, or
 * a const one meanwhile, is RSQ_BUSY. Any function may be called on any thread.
 *
 * Structs. Those that begin with struct_size have it set by the caller to their sizeof. Option structs: fill the rest with
 * zeros, which are the defaults, then set what should differ. Pointers in structs and arguments are borrowed for the call
 * unless it says otherwise.
 *
 * Text is UTF-8. Activations held as bytes are u8: real = (byte - zero_point) * scale.
 */";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=cbindgen.toml");
    println!("cargo:rerun-if-changed=src/ffi");
    println!("cargo:rerun-if-changed=include/rsquant.h");
    println!("cargo:rustc-env=RSQ_ABI_VERSION={ABI_VERSION}");
    name_shared_library();
    if let Err(message) = write_header(&variable("CARGO_MANIFEST_DIR")) {
        println!("cargo:warning=include/rsquant.h is as it was: {message}");
    }
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"))
}

/// Gives the shared library its SONAME, and keeps it loaded after dlclose: its threads and thread-local destructors
/// outlive that. rustc exports the `no_mangle` functions of the crate and nothing else.
fn name_shared_library() {
    let target = |part: &str| env::var(format!("CARGO_CFG_TARGET_{part}")).unwrap_or_default();
    if target("OS") == "linux" {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,librsquant.so.{ABI_VERSION}");
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}

/// The version macros, from Cargo.toml.
fn version_macros() -> String {
    let [major, minor, patch] = ["MAJOR", "MINOR", "PATCH"].map(|part| variable(&format!("CARGO_PKG_VERSION_{part}")));
    format!(
        "/// The first number of this header's version; `rsq_version_number` has the library's.\n\
         #define RSQ_VERSION_MAJOR {major}\n\
         /// The second.\n\
         #define RSQ_VERSION_MINOR {minor}\n\
         /// The third.\n\
         #define RSQ_VERSION_PATCH {patch}\n\
         /// All three, as `rsq_version_number` has them.\n\
         #define RSQ_VERSION_NUMBER (RSQ_VERSION_MAJOR * 10000 + RSQ_VERSION_MINOR * 100 + RSQ_VERSION_PATCH)\n\
         /// The version as text.\n\
         #define RSQ_VERSION_STRING \"{}\"\n\
         /// The version of the binary interface: part of the shared library's name.\n\
         #define RSQ_ABI_VERSION {ABI_VERSION}",
        variable("CARGO_PKG_VERSION"),
    )
}

/// Writes include/rsquant.h if it changes. In a place that cannot be written the packaged header serves.
fn write_header(root: &str) -> Result<(), String> {
    let mut config = cbindgen::Config::from_file(Path::new(root).join("cbindgen.toml"))?;
    config.header = Some(OPENING.to_owned());
    config.after_includes = Some(format!("\n{}", version_macros()));
    let mut builder = cbindgen::Builder::new().with_config(config);
    for source in ffi_sources(&Path::new(root).join("src/ffi"))? {
        builder = builder.with_src(source);
    }
    let bindings = builder.generate().map_err(|error| error.to_string())?;
    let mut header = Vec::new();
    bindings.write(&mut header);
    // What the tests compare the header in the tree with.
    let generated = Path::new(&variable("OUT_DIR")).join("rsquant.h");
    fs::write(&generated, &header).map_err(|error| error.to_string())?;
    println!("cargo:rustc-env=RSQ_GENERATED_HEADER={}", generated.display());
    let path = Path::new(root).join("include/rsquant.h");
    if fs::read(&path).is_ok_and(|old| old == header) {
        return Ok(());
    }
    fs::write(&path, header).map_err(|error| error.to_string())
}

/// The files of src/ffi in the order that a reader of the header wants.
fn ffi_sources(room: &Path) -> Result<Vec<std::path::PathBuf>, String> {
    #[rustfmt::skip] // One a line: two changes that add one each do not meet.
    let order = [
        "status",
        "version",
        "info",
        "options",
        "tensors",
        "images",
        "log",
        "context",
        "graph",
        "qconfig",
        "progress",
        "prepared",
        "recipe",
        "model",
        "session",
        "profile",
        "compare",
        "sensitivity",
        "tune",
        "report",
        "packed",
        "operator",
        "dynamic_gemm",
        "quantize",
        "observer",
        "graph_builder",
        "graph_builder_shapes",
        "graph_builder_recurrent",
        "names",
    ];
    let sources = order.map(|name| room.join(name).with_extension("rs"));
    match sources.iter().find(|source| !source.is_file()) {
        Some(missing) => Err(format!("{} is not there", missing.display())),
        None => Ok(sources.to_vec()),
    }
}
