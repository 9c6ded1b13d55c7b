//! Patterns against a plain matcher, written from the guide's section 4.4 and nothing else: tables instead of
//! states, and no shortcuts.

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use devtask::pattern::{PatternKind, PatternSet, escape};

#[path = "pattern/oracle.rs"]
mod oracle;

const BASE: &str = "/top/root";

/// Lines: the first says for what the patterns are (`o`: outputs), those that begin with `=` are paths, the
/// others patterns.
pub(crate) fn check(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let kind = if lines.next() == Some(b"o") { PatternKind::Outputs } else { PatternKind::Inputs };
    let (paths, patterns): (Vec<&[u8]>, Vec<&[u8]>) = lines.partition(|line| line.first() == Some(&b'='));
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
    let Some(patterns) = patterns.into_iter().map(text).collect::<Option<Vec<String>>>() else { return };
    if patterns.iter().map(String::len).sum::<usize>() > 300 || data.len() > 2000 {
        return;
    }
    match PatternSet::new(&[PathBuf::from(BASE)], &patterns, kind) {
        Err(faults) => {
            for fault in faults {
                assert!(patterns[fault.index].get(fault.span.clone()).is_some(), "{fault:?} of {patterns:?}");
            }
        }
        Ok(set) => {
            let judge = oracle::List::new(&patterns, kind == PatternKind::Outputs);
            paths.into_iter().map(|path| absolute(&path[1..])).for_each(|path| one(&set, &judge, &path));
        }
    }
}

/// The path, of names only, below the base unless it begins with a slash.
fn absolute(bytes: &[u8]) -> PathBuf {
    let start = if bytes.first() == Some(&b'/') { "/" } else { BASE };
    let names = bytes.split(|byte| *byte == b'/').filter(|name| !matches!(*name, b"" | b"." | b".."));
    names.map(OsStr::from_bytes).fold(PathBuf::from(start), |path, name| path.join(name))
}

fn one(set: &PatternSet, judge: &oracle::List, path: &Path) {
    let names: Vec<&[u8]> = path.iter().skip(1).map(OsStr::as_bytes).collect();
    let matched = set.matches(path);
    assert_eq!(matched, judge.matches(&names), "{:?} on {path:?}", set.written());
    if matched {
        // Who looks only where something can match finds it.
        let mut above = path.ancestors().skip(1);
        assert!(above.all(|directory| set.reaches(directory)), "{:?} on {path:?}", set.written());
    }
    // A path that was made a pattern is that path and what is beneath it.
    if let Some(text) = path.to_str().filter(|text| *text != "/") {
        let literal = PatternSet::new(&[PathBuf::from(BASE)], &[escape(text)], PatternKind::Inputs);
        assert_eq!(literal.map(|set| set.matches(path)), Ok(true), "{text:?} escaped");
    }
}
