//! Solvers against `tests/data/golden/solvers.json`, computed by an independent program.
use super::bins::Bins;
use super::mse::Centres;
use super::range::Range;
use super::{SolverKind, best_range, entropy, l2, mse};
use crate::quantize::{QType, Scheme, Target};
use serde_json::Value;

const U7: Target = Target { qtype: QType::U8, scheme: Scheme::Affine, reduce_range: true };

fn float(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

/// The case's bins, widened to hold bin 0 where its data lie on one side of it.
fn bins_of(case: &Value) -> Bins {
    let counts: Vec<u64> = case["counts"].as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).collect();
    let first = case["first_bin"].as_i64().unwrap() as i32;
    let mut padded = vec![0; first.max(0) as usize];
    padded.extend(counts);
    let first = first.min(0);
    padded.resize(padded.len().max(1 + first.unsigned_abs() as usize), 0);
    let bits = |name: &str| f32::from_bits(case[name].as_u64().unwrap() as u32);
    let zeros = case["zeros"].as_u64().unwrap();
    Bins::new(case["exponent"].as_i64().unwrap() as i32, first, &padded, zeros, (bits("min"), bits("max"))).unwrap()
}

fn assert_objective(label: &str, found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-9 * expected.abs() + f64::MIN_POSITIVE, "{label}: {found:e}, the vector has {expected:e}");
}

#[test]
fn every_solver_vector_matches() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/golden/solvers.json");
    let vectors: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let cases = vectors["cases"].as_array().unwrap();
    let mut checked = 0;
    for case in cases {
        let bins = bins_of(case);
        let centres = Centres::of(&bins);
        for (key, expected) in case.as_object().unwrap() {
            let label = format!("{key} of {}", case["name"]);
            let (solver, target) = match key.split_once('_') {
                Some((solver, "u8")) => (solver, Target::U8_AFFINE),
                Some((solver, "u7")) => (solver, U7),
                Some((solver, "s8")) => (solver, Target::S8_SYMMETRIC),
                Some(("percentile", p)) => {
                    let solver = SolverKind::Percentile { p: p.parse().unwrap() };
                    let affine = best_range(&bins, &centres, solver, Target::U8_AFFINE).unwrap().0;
                    let low_high = Range { low: float(&expected["affine"][0]), high: float(&expected["affine"][1]) };
                    assert_eq!(affine, low_high, "{label}");
                    let symmetric = best_range(&bins, &centres, solver, Target::S8_SYMMETRIC).unwrap().0;
                    assert_eq!(symmetric, Range::symmetric(float(&expected["symmetric"])), "{label}");
                    checked += 1;
                    continue;
                }
                _ => continue,
            };
            match solver {
                "l2" => assert_objective(&label, l2::solve(&bins, target).unwrap().1, float(&expected["objective"])),
                "mse" => assert_objective(&label, mse::solve(&bins, &centres, target).1, float(&expected["objective"])),
                "entropy" => {
                    let (range, divergence) = entropy::solve(&bins, target);
                    // Sums of up to 4096 logarithms leave 1e-13; a divergence of 0 is met to that.
                    assert!(
                        (divergence - float(&expected["kl"])).abs() <= 1e-9 * float(&expected["kl"]) + 1e-13,
                        "{label}: {divergence:e}"
                    );
                    let bound = range.high.max(-range.low);
                    if float(&expected["kl"]) > 1e-9 {
                        assert_eq!(bound, float(&expected["a"]), "{label}");
                    }
                }
                _ => continue,
            }
            checked += 1;
        }
    }
    assert!(cases.len() >= 14 && checked >= 14 * 8, "only {checked} of {} cases", cases.len());
}
