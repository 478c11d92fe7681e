//! What the library depends on: licenses that its own allows to ship, crates from the public index alone, and none of them twice.
//! `scripts/deny.sh` asks cargo-deny for the same.
use serde_json::Value;
use std::process::Command;

/// Licenses that a program under another one may be linked with, given their notices.
const ALLOWED: [&str; 8] =
    ["Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "MIT", "Unicode-3.0", "Unlicense", "Zlib"];
/// Runs when the library is built, and no part of it ships.
const BUILDS_ONLY: [(&str, &str); 1] = [("cbindgen", "MPL-2.0")];
/// Ships in two versions: png and its flate2 ask for different ones, and the command line tool alone has them.
const TWICE: [&str; 1] = ["miniz_oxide"];
/// The one place that crates come from.
const INDEX: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Whether an expression of SPDX leaves a choice of allowed licenses.
fn is_allowed(expression: &str) -> bool {
    let plain = expression.replace(['(', ')'], "").replace('/', " OR ");
    plain.split(" AND ").all(|part| part.split(" OR ").any(|license| ALLOWED.contains(&license.trim())))
}

/// What cargo tells of all packages, with every feature; `None` where it cannot, offline.
fn metadata() -> Option<Value> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked", "--offline", "--all-features"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu", "--manifest-path", manifest])
        .output()
        .unwrap();
    if !output.status.success() {
        println!("SKIPPED: cargo cannot tell of packages offline: {}", String::from_utf8_lossy(&output.stderr));
        return None;
    }
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// The list that `value` has under `key`.
fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().unwrap()
}

#[test]
fn every_dependency_has_an_allowed_license_and_comes_from_the_public_index() {
    let Some(metadata) = metadata() else { return };
    let packages = list(&metadata, "packages");
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

/// Names and versions of the crates whose code ships: what the library depends on to run, without what only derives code.
fn shipped(metadata: &Value) -> Vec<(String, String)> {
    let id = |value: &Value, key: &str| value[key].as_str().unwrap().to_owned();
    let package = |wanted: &str| list(metadata, "packages").iter().find(|package| package["id"] == wanted).unwrap();
    let derives = |package: &Value| list(package, "targets").iter().any(|target| list(target, "kind").contains(&"proc-macro".into()));
    let mut found = vec![id(&metadata["resolve"], "root")];
    let mut next = 0;
    while let Some(current) = found.get(next) {
        let node = list(&metadata["resolve"], "nodes").iter().find(|node| node["id"] == current.as_str()).unwrap();
        let runs = |dependency: &&Value| list(dependency, "dep_kinds").iter().any(|kind| kind["kind"].is_null());
        for dependency in list(node, "deps").iter().filter(runs).map(|dependency| id(dependency, "pkg")) {
            if !found.contains(&dependency) && !derives(package(&dependency)) {
                found.push(dependency);
            }
        }
        next += 1;
    }
    found.iter().map(|wanted| (id(package(wanted), "name"), id(package(wanted), "version"))).collect()
}

#[test]
fn nothing_ships_twice_or_unasked_and_no_version_is_left_open() {
    let Some(metadata) = metadata() else { return };
    let shipped = shipped(&metadata);
    assert!(shipped.len() > 15, "{shipped:?}");
    for (name, version) in &shipped {
        assert!(!BUILDS_ONLY.iter().any(|(builds, _)| builds == name), "{name} is for building alone, and ships");
        let other = shipped.iter().find(|(other, of)| other == name && of != version);
        assert!(other.is_none() || TWICE.contains(&name.as_str()), "{name} ships as {version} and {other:?}");
    }
    let own = list(&metadata, "packages").iter().find(|package| package["name"] == "rsquant").unwrap();
    for dependency in list(own, "dependencies") {
        assert_ne!(dependency["req"], "*", "{} has no version", dependency["name"]);
    }
}

#[test]
fn a_choice_is_enough_and_every_demand_counts() {
    assert!(is_allowed("MIT OR GPL-3.0") && is_allowed("GPL-3.0/Apache-2.0") && is_allowed("(MIT OR Apache-2.0) AND Unicode-3.0"));
    assert!(!is_allowed("GPL-3.0") && !is_allowed("none") && !is_allowed("MIT AND GPL-3.0"));
}
