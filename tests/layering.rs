//! ARCHITECTURE.md is true of `src`: which rooms import which, where instruction sets are known, where `unsafe` is allowed.
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The project's folder.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files under `folder`, as paths from `src`.
fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path.strip_prefix(root().join("src")).unwrap().to_owned());
        }
    }
}

/// Each file of `src` (from there) with its code: comments and the contents of plain strings are left out.
fn sources() -> Vec<(String, String)> {
    let mut files = Vec::new();
    rust_files(&root().join("src"), &mut files);
    files.sort();
    assert!(files.len() > 50, "src is not where this test looks");
    let read = |file: PathBuf| {
        let text = std::fs::read_to_string(root().join("src").join(&file)).unwrap();
        (file.to_str().unwrap().to_owned(), text.lines().map(code_of).collect::<Vec<_>>().join("\n"))
    };
    files.into_iter().map(read).collect()
}

/// A line without its comment and without what stands in its strings. Strings over several lines hold no code that this
/// test would take for an import, an attribute or `unsafe`.
fn code_of(line: &str) -> String {
    let mut code = String::new();
    let (mut in_string, mut escaped, mut previous) = (false, false, ' ');
    for c in line.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if in_string => escaped = true,
            '"' if previous != '\'' => {
                in_string = !in_string;
                code.push(c);
            }
            '/' if !in_string && previous == '/' => {
                code.pop();
                break;
            }
            _ if in_string => {}
            _ => code.push(c),
        }
        previous = c;
    }
    code
}

/// The room of a file: the folder or file directly under `src`. The crate's root and its programs are in none.
fn room_of(file: &str) -> Option<&str> {
    let first = file.split('/').next()?;
    match first.strip_suffix(".rs") {
        Some("lib" | "main") => None,
        None if first == "bin" => None,
        Some(name) => Some(name),
        None => Some(first),
    }
}

fn architecture() -> String {
    std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap()
}

/// The words in backticks.
fn quoted(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The table "room | may import" of ARCHITECTURE.md, in its order.
fn allowed_imports() -> Vec<(String, BTreeSet<String>)> {
    let text = architecture();
    let rows = text.lines().skip_while(|line| !line.starts_with("| room | may import")).skip(2);
    let rows = rows.take_while(|line| line.starts_with('|'));
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
        (quoted(cells[0])[0].to_owned(), quoted(cells[1]).into_iter().map(str::to_owned).collect())
    };
    rows.map(row).collect()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The names behind each `crate::`, one or a list in braces.
fn imports(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let names: Vec<&str> = match rest.strip_prefix('{') {
            Some(list) => {
                let end = list.find(';').unwrap_or(list.len());
                top_level_names(&list[..end])
            }
            None => vec![rest],
        };
        for name in names {
            let name: String = name.trim_start().chars().take_while(|&c| is_word(c)).collect();
            found.insert(name);
        }
    }
    found
}

/// The items of a use list up to its closing brace, cut at commas that are not within deeper braces.
fn top_level_names(list: &str) -> Vec<&str> {
    let (mut depth, mut start, mut names) = (0, 0, Vec::new());
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                names.push(&list[start..at]);
                return names;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                names.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    names
}

#[test]
fn rooms_import_only_what_architecture_allows() {
    let allowed: BTreeMap<_, _> = allowed_imports().into_iter().collect();
    assert!(allowed.len() > 10, "ARCHITECTURE.md has no table of imports");
    let mut wrong = Vec::new();
    for (file, code) in sources() {
        let Some(room) = room_of(&file) else { continue };
        let Some(may) = allowed.get(room) else {
            wrong.push(format!("src/{file}: ARCHITECTURE.md has no row for {room}"));
            continue;
        };
        let is_room = |name: &String| allowed.contains_key(name);
        for import in imports(&code).iter().filter(|name| is_room(name) && *name != room && !may.contains(*name)) {
            wrong.push(format!("src/{file}: {room} may not import {import}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_room_may_import_only_rooms_above_it() {
    let mut above = BTreeSet::new();
    for (room, may) in allowed_imports() {
        let later: Vec<_> = may.difference(&above).collect();
        assert!(later.is_empty(), "{room} imports {later:?}, which stand below it in ARCHITECTURE.md");
        assert!(
            root().join("src").join(&room).is_dir() || root().join("src").join(&room).with_extension("rs").is_file(),
            "src has no {room}"
        );
        above.insert(room);
    }
}

#[test]
fn every_arrow_of_architecture_is_one_of_the_code() {
    let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (file, code) in sources() {
        if let Some(room) = room_of(&file) {
            used.entry(room.to_owned()).or_default().extend(imports(&code));
        }
    }
    for (room, may) in allowed_imports() {
        let unused: Vec<_> = may.difference(&used[&room]).collect();
        assert!(unused.is_empty(), "{room} does not import {unused:?}, which ARCHITECTURE.md says");
    }
}

#[test]
fn instruction_sets_are_known_in_isa_and_kernels_alone() {
    let mut wrong = Vec::new();
    for (file, code) in sources() {
        let knows = ["target_arch", "target_feature", "std::arch", "core::arch", "is_x86_feature_detected"];
        for word in knows.iter().filter(|word| code.contains(**word)) {
            if !matches!(room_of(&file), Some("isa" | "kernels")) {
                wrong.push(format!("src/{file} has {word}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether `word` stands in the code by itself.
fn has_word(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

#[test]
fn unsafe_stands_in_the_rooms_that_architecture_names() {
    let text = architecture();
    let sentence = text.split("**Unsafe** is allowed in").nth(1).expect("ARCHITECTURE.md says where unsafe is allowed");
    let rooms = quoted(sentence.split(", each block").next().unwrap());
    assert!(rooms.len() > 5, "{rooms:?}");
    let mut without: BTreeSet<&str> = rooms.iter().copied().collect();
    let mut wrong = Vec::new();
    for (file, code) in sources().iter().filter(|(_, code)| has_word(code, "unsafe")) {
        assert!(!code.is_empty());
        match rooms.iter().find(|room| file.strip_prefix(**room).is_some_and(|rest| rest.starts_with(['/', '.']))) {
            Some(room) => _ = without.remove(room),
            None => wrong.push(format!("src/{file} has unsafe")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(without.is_empty(), "no unsafe in {without:?}, which ARCHITECTURE.md allows");
}

#[test]
fn the_reader_of_code_sees_what_is_code() {
    assert_eq!(code_of("let a = \"unsafe // no\"; // unsafe"), "let a = \"\"; ");
    assert_eq!(code_of(r#"f("\"unsafe", 'x')"#), r#"f("", 'x')"#);
    let found = imports("use crate::{a, b::{c, d}, e::f}; $crate::g::h(); use crate::i::{j, k};");
    assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), ["a", "b", "e", "g", "i"]);
    assert!(has_word("unsafe { f() }", "unsafe") && !has_word("#![deny(unsafe_code)]", "unsafe"));
    assert_eq!((room_of("lib.rs"), room_of("error.rs"), room_of("ops/conv2d/mod.rs")), (None, Some("error"), Some("ops")));
}
