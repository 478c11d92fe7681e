//! What the library depends on: licenses that its own allows to ship, and crates from the public index alone.
use serde_json::Value;
use std::process::Command;

/// Licenses that a program under another one may be linked with, given their notices.
const ALLOWED: [&str; 8] =
    ["Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "MIT", "Unicode-3.0", "Unlicense", "Zlib"];
/// Runs when the library is built, and no part of it ships.
const BUILDS_ONLY: [(&str, &str); 1] = [("cbindgen", "MPL-2.0")];
/// The one place that crates come from.
const INDEX: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Whether an expression of SPDX leaves a choice of allowed licenses.
fn is_allowed(expression: &str) -> bool {
    let plain = expression.replace(['(', ')'], "").replace('/', " OR ");
    plain.split(" AND ").all(|part| part.split(" OR ").any(|license| ALLOWED.contains(&license.trim())))
}

#[test]
fn every_dependency_has_an_allowed_license_and_comes_from_the_public_index() {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let platform = "x86_64-unknown-linux-gnu";
    let arguments =
        ["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", platform, "--manifest-path", manifest];
    let output = Command::new(cargo).args(arguments).output().unwrap();
    if !output.status.success() {
        println!("SKIPPED: cargo cannot tell of packages offline: {}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 20, "{} packages", packages.len());
    for package in packages {
        let (name, license) = (package["name"].as_str().unwrap(), package["license"].as_str().unwrap_or("none"));
        assert!(is_allowed(license) || BUILDS_ONLY.contains(&(name, license)), "{name} is under {license}");
        match package["source"].as_str() {
            None => assert_eq!(name, "rsquant", "{name} comes from a folder"),
            Some(source) => assert_eq!(source, INDEX, "{name}"),
        }
    }
}

#[test]
fn a_choice_is_enough_and_every_demand_counts() {
    assert!(is_allowed("MIT OR GPL-3.0") && is_allowed("GPL-3.0/Apache-2.0") && is_allowed("(MIT OR Apache-2.0) AND Unicode-3.0"));
    assert!(!is_allowed("GPL-3.0") && !is_allowed("none") && !is_allowed("MIT AND GPL-3.0"));
}
