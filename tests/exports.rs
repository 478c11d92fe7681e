//! The shared library exports the header's functions and nothing else, under its versioned name.
use rsquant::ffi::rsq_abi_version;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The shared library that cargo built beside this test.
fn shared_library() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let library = test.parent().unwrap().join("librsquant.so");
    assert!(library.is_file(), "{} is not there", library.display());
    library
}

/// What a tool of binutils, which every Rust toolchain on Linux links with, tells of the library.
fn told(tool: &str, options: &[&str]) -> String {
    let output = Command::new(tool).args(options).arg(shared_library()).output().unwrap_or_else(|error| panic!("{tool}: {error}"));
    assert!(output.status.success(), "{tool}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The header without its comments.
fn declarations() -> String {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("include/rsquant.h")).unwrap();
    let mut code = String::new();
    let mut rest = text.as_str();
    while let Some(start) = rest.find("/*") {
        code.push_str(&rest[..start]);
        rest = &rest[start..][rest[start..].find("*/").expect("a comment ends") + 2..];
    }
    code.push_str(rest);
    let line = |line: &str| line.split("//").next().unwrap_or_default().to_owned();
    code.lines().filter(|line| !line.starts_with('#')).map(line).collect::<Vec<_>>().join("\n")
}

/// The functions that the header declares.
fn header_functions() -> BTreeSet<String> {
    let code = declarations();
    let statements = code.split([';', '{', '}']).map(str::trim);
    let functions = statements.filter(|statement| !statement.starts_with("typedef")).filter_map(|statement| statement.split_once('('));
    let word = |c: char| c.is_alphanumeric() || c == '_';
    functions.map(|(head, _)| head.rsplit(|c| !word(c)).next().unwrap_or_default().to_owned()).collect()
}

#[test]
#[cfg(target_os = "linux")]
fn the_shared_library_exports_the_headers_functions_and_nothing_else() {
    let symbols = told("nm", &["-D", "--defined-only"]);
    let exported: BTreeSet<String> = symbols.lines().filter_map(|line| line.split_whitespace().last()).map(str::to_owned).collect();
    let declared = header_functions();
    assert!(declared.len() > 40, "{declared:?}");
    assert!(declared.iter().all(|name| name.starts_with("rsq_")), "{declared:?}");
    assert_eq!(exported, declared);
}

#[test]
#[cfg(target_os = "linux")]
fn the_shared_librarys_name_has_the_abi_version_and_it_stays_loaded() {
    let dynamic = told("readelf", &["-dW"]);
    let soname = format!("[librsquant.so.{}]", rsq_abi_version());
    assert!(dynamic.lines().any(|line| line.contains("(SONAME)") && line.ends_with(&soname)), "{dynamic}");
    assert!(dynamic.lines().any(|line| line.contains("(FLAGS_1)") && line.contains("NODELETE")), "{dynamic}");
}

#[test]
#[cfg(target_os = "linux")]
fn the_shared_library_needs_nothing_but_the_systems_own() {
    let dynamic = told("readelf", &["-dW"]);
    let needed = dynamic.lines().filter(|line| line.contains("(NEEDED)")).filter_map(|line| line.split(['[', ']']).nth(1));
    let own = ["libc.so", "libm.so", "libgcc_s.so", "libpthread.so", "libdl.so", "librt.so", "ld-linux"];
    let foreign: Vec<&str> = needed.filter(|name| !own.iter().any(|known| name.starts_with(known))).collect();
    assert!(foreign.is_empty(), "{foreign:?}");
}
