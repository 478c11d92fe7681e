use super::*;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Plain,
    WithNumber {
        #[serde(rename = "p")]
        _p: f64,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Inner {
    #[serde(rename = "scale")]
    _scale: f32,
    #[serde(default, rename = "kind")]
    _kind: Option<Kind>,
    #[serde(default, rename = "range")]
    _range: Option<[f32; 2]>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Outer {
    #[serde(rename = "items")]
    _items: Vec<Inner>,
    #[serde(default, rename = "table")]
    _table: BTreeMap<String, u8>,
}

#[test]
fn errors_name_path_line_and_column() {
    parse::<Outer>(r#"{"items": [{"scale": 1, "kind": "plain"}, {"scale": 2, "kind": {"with_number": {"p": 1}}}]}"#, "test").unwrap();
    for (text, path, part) in [
        (r#"{"items": [{"scale": 1}, {"scale": "x"}]}"#, "items[1].scale", "at line 1 column 36"),
        ("{\"items\": [{\"scale\": 1},\n\n {\n\"scale\": true\n}]}", "items[1].scale", "at line 4 column 10"),
        (r#"{"items": [{"scale": 1}, {"scale": {"x": [1]}}]}"#, "items[1].scale", "map"),
        (r#"{"items": [{"scale": 1, "sclae": 2}]}"#, "items[0].sclae", "unknown field"),
        (r#"{"items": [{"scale": 1, "scale": 2}]}"#, "items[0]", "duplicate field `scale`"),
        (r#"{"items": [{"kind": "plain"}]}"#, "items[0]", "missing field `scale`"),
        (r#"{"items": [{"scale": 1, "kind": "plane"}]}"#, "items[0].kind", "unknown variant `plane`"),
        (r#"{"items": [{"kind": {"plane": 1}, "scale": 1}]}"#, "items[0].kind.plane", "unknown variant `plane`"),
        (r#"{"items": [{"scale": 1, "kind": {"with_number": {"p": []}}}]}"#, "items[0].kind.with_number.p", "sequence"),
        (
            r#"{"items": [{"scale": 1, "kind": {"with_number": {"p": 1}, "plain": null}}]}"#,
            "items[0].kind",
            "\"plain\" is one field too many",
        ),
        (r#"{"items": [{"scale": 1, "kind": {}}]}"#, "items[0].kind", "one variant"),
        (r#"{"items": [{"scale": 1, "range": [1]}]}"#, "items[0].range", "invalid length"),
        (r#"{"items": [{"scale": 1, "range": [1, 2, 3]}]}"#, "items[0].range", "invalid length"),
        (r#"{"items": [], "table": {"a\"}": 1, "b]\\": 300}}"#, r"table.b]\", "300"),
        (r#"{"items": [{"scale": 1}, {"scale": 1"#, "items[1]", "EOF"),
        (r#"{"items": [{"scale": 1e39}]}"#, "items[0].scale", "out of range"),
    ] {
        let error = parse::<Outer>(text, "test").unwrap_err().to_string();
        assert!(error.contains(&format!("test: {path}: ")) && error.contains(part), "{error}");
    }
    for (text, part) in [(r#"{"items": []} x"#, "trailing"), ("{", "EOF"), ("", "EOF"), ("7", "invalid type")] {
        let error = parse::<Outer>(text, "test").unwrap_err().to_string();
        assert!(error.contains(&format!("test: {part}")), "{error}");
    }
    assert!(read::<Outer>(b"{\"items\": \"\xff\"}").unwrap_err().to_string().contains("utf-8"));
}

/// Texts at the edges of the grammar, each with others made of it.
fn texts() -> Vec<Vec<u8>> {
    let seeds = [
        r#"{"a": [1, -0, -1, 0.5, 1e3, -2.5E-3, 18446744073709551615, 18446744073709551616, -9223372036854775808, 1e308], "b": {}}"#,
        r#" [ null , true , false , "" , "\"\\\/\b\f\n\r\t\u00e9\uD83D\ude00é" , [ ] , [ [ ] ] ] "#,
        r#"{"k\u0041": "v", "kA": "w", "z": [{"y": {"x": [[[0]]]}}]}"#,
        "0",
        "\"\\ud800\"",
        "\"\\ud800\\u0041\"",
        "01",
        "1.",
        ".5",
        "+1",
        "1e",
        "[1,]",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{a:1}",
        "nul",
        "\"a\nb\"",
        "1e999",
        "-",
        "[1 2]",
    ];
    let mut texts: Vec<Vec<u8>> = Vec::new();
    for seed in seeds.iter().map(|seed| seed.as_bytes()) {
        texts.push(seed.to_vec());
        texts.extend((0..seed.len()).map(|end| seed[..end].to_vec()));
        for (at, byte) in (0..seed.len()).flat_map(|at| b"{}[],:\"\\0 -.eut\x01\xff".iter().map(move |&byte| (at, byte))) {
            let mut changed = seed.to_vec();
            changed[at] = byte;
            texts.push(changed.clone());
            changed.remove(at);
            texts.push(changed);
        }
    }
    texts
}

#[test]
fn texts_are_read_as_another_reader_reads_them_or_refused_by_both() {
    let (mut accepted, mut refused) = (0, 0);
    for text in texts() {
        match (read::<Value>(&text), serde_json::from_slice::<Value>(&text)) {
            (Ok(ours), Ok(theirs)) => {
                assert_eq!(ours, theirs, "{:?}", String::from_utf8_lossy(&text));
                read::<serde::de::IgnoredAny>(&text).unwrap();
                accepted += 1;
            }
            (Err(_), Err(_)) => {
                // So is what nobody wants, which is read over.
                let skipped = read::<serde::de::IgnoredAny>(&text);
                assert!(skipped.is_err(), "{:?}", String::from_utf8_lossy(&text));
                refused += 1;
            }
            (ours, theirs) => panic!("{:?}: {ours:?}, {theirs:?}", String::from_utf8_lossy(&text)),
        }
    }
    assert!(accepted > 1000 && refused > 1000, "{accepted} {refused}");
}

#[test]
fn floats_are_the_nearest_ones() {
    for text in
        ["0.1", "16777217", "1.1754943508222875e-38", "1.401298464324817e-45", "7.038531e-26", "8.589973428413488e9", "3.4028235e38"]
    {
        assert_eq!(read::<f32>(text.as_bytes()).unwrap(), text.parse::<f32>().unwrap(), "{text}");
        assert_eq!(read::<f64>(text.as_bytes()).unwrap(), text.parse::<f64>().unwrap(), "{text}");
    }
    // Between two f32, and nearer to the upper one by less than an f64 tells.
    assert_eq!(read::<f32>(b"1.00000005960464477540").unwrap(), 1.0000001);
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| ["[".repeat(depth), "]".repeat(depth)].concat();
    assert!(read::<Value>(nested(128).as_bytes()).is_ok() && read::<serde::de::IgnoredAny>(nested(128).as_bytes()).is_ok());
    let deep = nested(100_000);
    for error in [read::<Value>(deep.as_bytes()).unwrap_err(), read::<serde::de::IgnoredAny>(deep.as_bytes()).unwrap_err()] {
        assert!(error.to_string().contains("recursion limit"), "{error}");
    }
}
