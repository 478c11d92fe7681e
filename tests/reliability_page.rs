//! docs/RELIABILITY.md is true as far as a program can see: each line of the contract has a test, and each test that it names exists.
use std::collections::BTreeSet;
use std::path::Path;

/// Lines of the contract.
const LINES: std::ops::RangeInclusive<u32> = 1..=21;

/// What stands between backticks.
fn code_of(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_line_of_the_contract_has_a_test_and_every_test_named_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("docs/RELIABILITY.md")).unwrap();
    let table = page.split("## The contract").nth(1).expect("a section \"The contract\"");
    let table = table.split("\n## ").next().unwrap();
    let mut found = BTreeSet::new();
    for row in table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| line ")) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [line, promise, tests, _figures] = cells[..] else { panic!("a row of {} cells: {row}", cells.len()) };
        assert!(!promise.is_empty() && !tests.is_empty(), "{row}");
        found.extend(line.split([',', ' ']).filter_map(|number| number.parse::<u32>().ok()));
        // A file, then names of tests in it.
        let mut text = String::new();
        let mut named = 0;
        for code in code_of(tests) {
            let path = root.join(code);
            if code.contains('/') {
                assert!(path.is_file(), "line {line}: there is no {code}");
                text = std::fs::read_to_string(path).unwrap();
            } else {
                assert!(text.contains(code), "line {line}: the file before it has no {code}");
            }
            named += 1;
        }
        assert!(named > 0, "line {line} names no test");
    }
    assert_eq!(found.into_iter().collect::<Vec<_>>(), LINES.collect::<Vec<_>>(), "lines with a test");
}
