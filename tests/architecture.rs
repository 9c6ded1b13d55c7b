//! The floor plan as a test: who may import whom, where I/O, clocks, async and printing may be, and whether
//! what comments refer to exists.
//!
//! Plain text search over `src/`, without a parser. Test code is left out: files called `tests.rs`, what
//! lies in a directory `tests`, and everything after the first `#[cfg(test)] mod` in a file. Comments are
//! read everywhere.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Every room and its floor. A room may import rooms of lower floors and itself.
const FLOORS: &[(&str, u8)] = &[
    ("diagnostic", 0),
    ("planted", 0),
    ("model", 1),
    ("event", 2),
    ("pattern", 2),
    ("config", 3),
    ("graph", 3),
    ("fingerprint", 3),
    ("shell", 3),
    ("trust", 3),
    ("propose", 3),
    ("report", 3),
    ("plan", 4),
    ("schedule", 5),
    ("scan", 6),
    ("store", 6),
    ("cache", 6),
    ("process", 6),
    ("watch", 6),
    ("tsp", 6),
    ("servers", 7),
    ("git", 7),
    ("hooks", 8),
    ("loader", 8),
    ("session", 9),
    ("serve", 10),
    ("checks", 10),
    ("doctor", 10),
    ("guide", 10),
];

/// Floors up to this one decide and do nothing.
const PURE: u8 = 5;

/// Rooms that may be async.
const ASYNC: &[&str] = &["process", "tsp", "servers", "session", "serve"];

/// What a pure room must not mention, with the reason it stands here.
const IMPURE: &[(&str, &str)] = &[
    ("std::fs", "files"),
    ("std::process", "processes"),
    ("std::net", "the network"),
    ("std::thread", "threads"),
    ("std::env", "the environment"),
    ("Instant::now", "a clock"),
    ("SystemTime::now", "a clock"),
    ("tokio", "async"),
    ("async fn", "async"),
    (".await", "async"),
];

struct Source {
    room: String,
    path: PathBuf,
    /// Lines of code, without comments and tests, with their numbers.
    lines: Vec<(usize, String)>,
}

fn sources() -> Vec<Source> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut todo = vec![src.clone()];
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let relative = path.strip_prefix(&src).unwrap().to_owned();
            let is_test = relative.components().any(|c| {
                let name = c.as_os_str().to_string_lossy();
                name == "tests" || name == "tests.rs" || name.ends_with("_tests.rs")
            });
            if path.is_dir() && !is_test {
                todo.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") && !is_test {
                found.push(read(&path, &relative));
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn read(path: &Path, relative: &Path) -> Source {
    let text = fs::read_to_string(path).unwrap();
    let first = relative.components().next().unwrap().as_os_str().to_string_lossy();
    let room = first.trim_end_matches(".rs").to_owned();
    let mut lines = Vec::new();
    let mut previous_is_cfg_test = false;
    for (number, line) in text.lines().enumerate() {
        let code = line.trim();
        if previous_is_cfg_test && code.starts_with("mod ") && code.ends_with('{') {
            break;
        }
        previous_is_cfg_test = code == "#[cfg(test)]";
        if !code.starts_with("//") {
            lines.push((number + 1, code.split(" // ").next().unwrap().to_owned()));
        }
    }
    Source { room, path: relative.to_owned(), lines }
}

fn floors() -> BTreeMap<&'static str, u8> {
    FLOORS.iter().copied().collect()
}

/// The rooms a line imports: `crate::room` and the entries of a `use crate::{…}` that spans lines.
fn imports(source: &Source) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut depth: Option<i32> = None;
    for (number, line) in &source.lines {
        for (at, _) in line.match_indices("crate::") {
            let name: String =
                line[at + 7..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if !name.is_empty() {
                found.push((*number, name));
            }
        }
        if let Some(open) = line.find("use crate::{") {
            depth = Some(0);
            collect(&line[open + 12..], *number, &mut depth, &mut found);
        } else if depth.is_some() {
            collect(line, *number, &mut depth, &mut found);
        }
    }
    found
}

/// Names at the outermost level of a brace list.
fn collect(text: &str, number: usize, depth: &mut Option<i32>, found: &mut Vec<(usize, String)>) {
    let mut name = String::new();
    let mut taken = false;
    for c in text.chars() {
        let Some(level) = depth.as_mut() else { return };
        match c {
            '{' => *level += 1,
            '}' => *level -= 1,
            _ => {}
        }
        if *level == 0 && (c.is_alphanumeric() || c == '_') && !taken {
            name.push(c);
        } else if *level == 0 && c == ',' {
            taken = false;
            name.clear();
        } else if !name.is_empty() && !taken {
            found.push((number, std::mem::take(&mut name)));
            taken = true;
        }
        if *level < 0 {
            *depth = None;
        }
    }
    if !name.is_empty() {
        found.push((number, name));
    }
}

fn fail(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn every_room_has_a_floor_and_imports_only_lower_ones() {
    let floors = floors();
    let mut faults = Vec::new();
    for source in sources().iter().filter(|s| !["lib", "bin"].contains(&s.room.as_str())) {
        let Some(floor) = floors.get(source.room.as_str()) else {
            faults.push(format!("{} is a room without a floor", source.path.display()));
            continue;
        };
        for (line, import) in imports(source) {
            let Some(other) = floors.get(import.as_str()) else { continue };
            if import != source.room && other >= floor {
                faults.push(format!("{}:{line}: {} imports {import}", source.path.display(), source.room));
            }
        }
    }
    fail(&faults);
}

#[test]
fn pure_rooms_do_nothing() {
    let floors = floors();
    let mut faults = Vec::new();
    for source in sources() {
        if floors.get(source.room.as_str()).is_none_or(|floor| *floor > PURE) {
            continue;
        }
        for (line, code) in &source.lines {
            for (word, what) in IMPURE.iter().filter(|(word, _)| code.contains(word)) {
                faults.push(format!("{}:{line}: {what} (`{word}`) in a pure room", source.path.display()));
            }
        }
    }
    fail(&faults);
}

#[test]
fn async_lives_in_few_rooms() {
    let mut faults = Vec::new();
    for source in sources() {
        if ["lib", "bin"].contains(&source.room.as_str()) || ASYNC.contains(&source.room.as_str()) {
            continue;
        }
        for (line, code) in &source.lines {
            if ["async fn", ".await", "tokio::"].iter().any(|word| code.contains(word)) {
                faults.push(format!("{}:{line}: async in {}", source.path.display(), source.room));
            }
        }
    }
    fail(&faults);
}

#[test]
fn the_library_neither_prints_nor_looks_around() {
    let words = [
        "println!",
        "print!(",
        "eprint!",
        "dbg!(",
        "std::env::var",
        "env::vars",
        "env::home_dir",
        "env::current_dir()",
        "current_exe()",
        "io::stdout()",
        "io::stderr()",
    ];
    // The kit for servers in Rust is their program, too.
    let is_program = |path: &Path| path.starts_with("tsp/server");
    let mut faults = Vec::new();
    for source in sources().iter().filter(|s| s.room != "bin" && !is_program(&s.path)) {
        for (line, code) in &source.lines {
            if let Some(word) = words.iter().find(|word| code.contains(**word)) {
                faults.push(format!("{}:{line}: `{word}` in the library", source.path.display()));
            }
        }
    }
    fail(&faults);
}

#[test]
fn the_program_uses_public_items_only() {
    let mut faults = Vec::new();
    for source in sources().iter().filter(|s| s.room == "bin") {
        for (line, code) in &source.lines {
            if code.contains("#[path") || code.contains("include!(") {
                faults
                    .push(format!("{}:{line}: reaches around the library's surface", source.path.display()));
            }
        }
    }
    fail(&faults);
}

#[test]
fn the_floor_plan_in_the_documentation_is_this_one() {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    for (room, floor) in FLOORS {
        let row = format!("//! | {floor} | [`{room}`] |");
        assert!(lib.contains(&row), "src/lib.rs lacks the row `{row}`");
    }
}

#[test]
fn the_fence_sees_what_it_is_to_keep_out() {
    let source = |text: &str| Source {
        room: "plan".to_owned(),
        path: PathBuf::from("plan/x.rs"),
        lines: text.lines().enumerate().map(|(n, l)| (n + 1, l.trim().to_owned())).collect(),
    };
    let cases = [
        ("use crate::session::Session;", vec!["session"]),
        ("let x = crate::store::open();", vec!["store"]),
        ("use crate::{graph::Edge, scan};", vec!["graph", "scan"]),
        ("use crate::{\n    graph::{Edge, store},\n    scan::Scanner,\n};\nstore();", vec!["graph", "scan"]),
    ];
    for (text, expected) in cases {
        let found: Vec<String> = imports(&source(text)).into_iter().map(|(_, name)| name).collect();
        assert_eq!(found, expected, "{text}");
    }
}

/// What a comment can refer to, in the spelling of [`references`]: sections of the spec (`section 4.1`),
/// rows of the hazards and limits (`C19`), points of the record protocol (`point 5`).
fn guide() -> BTreeSet<String> {
    let page = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/guide").join(name);
        fs::read_to_string(path).unwrap()
    };
    let (spec, hazards) = (page("spec.md"), page("hazards.md"));
    let headings = spec.lines().filter(|line| line.starts_with('#')).filter_map(|line| {
        let number = line.trim_start_matches('#').split_whitespace().next()?;
        Some(format!("section {}", number.trim_end_matches('.')))
    });
    let rows = hazards.lines().filter_map(|line| line.strip_prefix("| ")?.split(' ').next());
    let points = hazards.lines().filter_map(|line| line.split_once(". ")).map(|(n, _)| n);
    let points = points.filter(|n| n.parse::<u8>().is_ok()).map(|n| format!("point {n}"));
    headings.chain(rows.filter(|id| is_id(id)).map(str::to_owned)).chain(points).collect()
}

/// Whether a word is the id of a hazard or a limit.
fn is_id(word: &str) -> bool {
    word.split_at_checked(1)
        .is_some_and(|(letter, number)| "ABCDEL".contains(letter) && number.parse::<u8>().is_ok())
}

/// The comments of a file as running text, so that a reference may be broken over two lines.
fn comments(text: &str) -> String {
    let comment = |line: &str| {
        let (before, after) = line.split_once("//")?;
        let own = before.trim().is_empty() || before.ends_with(' ');
        own.then(|| after.trim_start_matches(['/', '!']).trim().to_owned())
    };
    text.lines().map(|line| comment(line).unwrap_or_else(|| "¶".to_owned())).collect::<Vec<_>>().join(" ")
}

/// What running text refers to: the numbers and ids that follow `spec section`, `hazard`, `limit`, and
/// `point` where it is one of the record protocol (`hazard 0`).
fn references(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut kind = "";
    for word in text.split_whitespace() {
        let bare = word.trim_matches(['(', ')', '`', '"', ',', ';', ':', '.']).trim_end_matches("'s");
        let is_number = bare.starts_with(|c: char| c.is_ascii_digit());
        kind = match bare.to_lowercase().as_str() {
            "spec" => "section",
            "hazard" | "hazards" => "hazard",
            "limit" | "limits" => "limit",
            "point" | "points" if kind == "hazard" => "point",
            "section" | "sections" if kind.is_empty() => "section",
            "section" | "sections" | "and" | "to" => kind,
            _ if is_id(bare) && ["hazard", "limit"].contains(&kind) => {
                found.push(bare.to_owned());
                kind
            }
            "0" if kind == "hazard" => kind,
            // Of hazards and limits only ids can be named, so a number there is reported.
            _ if is_number && !kind.is_empty() => {
                found.push(format!("{kind} {bare}"));
                kind
            }
            _ => "",
        };
        if word.ends_with([':', '.', ')']) {
            kind = "";
        }
    }
    found
}

#[test]
fn what_comments_refer_to_exists() {
    let guide = guide();
    let mut faults = Vec::new();
    let mut seen = 0;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut todo: Vec<PathBuf> = ["src", "tests", "benches", "examples"].map(|dir| root.join(dir)).into();
    while let Some(path) = todo.pop() {
        if path.is_dir() {
            todo.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with(file!()) {
            for reference in references(&comments(&fs::read_to_string(&path).unwrap())) {
                seen += 1;
                if !guide.contains(&reference) {
                    faults.push(format!("{} refers to {reference}", path.display()));
                }
            }
        }
    }
    fail(&faults);
    assert!(seen > 100, "only {seen} references were seen");
}

#[test]
fn references_are_read_as_people_read_them() {
    let cases: [(&str, &[&str]); 15] = [
        ("/// so it is (spec section 4.1).", &["section 4.1"]),
        ("/// (spec sections 4.2 and 4.4)", &["section 4.2", "section 4.4"]),
        ("//! (spec section 3, environment; section 4.1, key)", &["section 3", "section 4.1"]),
        ("// outlives a failure (spec 1.2).", &["section 1.2"]),
        ("/// spec section 2's table, in 3 steps", &["section 2"]),
        ("/// (hazard\n/// C13). So", &["C13"]),
        ("//! hazards C5, C6, C12 in 5 shapes", &["C5", "C6", "C12"]),
        ("let x = 1; // hazards A1 and A3", &["A1", "A3"]),
        ("//! (hazards, section 0, point 5: else)", &["point 5"]),
        ("//! (hazard 0, point 5)", &["point 5"]),
        ("/// costs an fsync (limit L1); its limit is 5, and point 7", &["L1"]),
        ("/// \"spec section 9.9\" and \"hazard C19\"", &["section 9.9", "C19"]),
        ("/// (hazards 4.2)", &["hazard 4.2"]),
        ("/// (hazards, section 0). 1. look, 2. (hazard D6: 30 days)", &["D6"]),
        ("let hazard = \"C99\";\n// C98 alone, and https://x/spec section", &[]),
    ];
    for (text, expected) in cases {
        assert_eq!(references(&comments(text)), expected, "{text}");
    }
}
