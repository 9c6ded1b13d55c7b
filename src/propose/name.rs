//! Names of tasks and projects: legal ones, and no two alike.

use std::collections::BTreeSet;

/// Longer names are cut.
const LONGEST: usize = 64;

/// A legal name near `text`: letters, digits, `-` and `_`. A colon would make it another project's.
pub(super) fn legal(text: &str) -> String {
    let mut name = String::new();
    for c in text.chars().take(LONGEST) {
        match c {
            c if c.is_ascii_alphanumeric() || c == '_' => name.push(c),
            _ if name.ends_with('-') || name.is_empty() => {}
            _ => name.push('-'),
        }
    }
    let name = name.trim_end_matches('-');
    if name.is_empty() { "unnamed".to_owned() } else { name.to_owned() }
}

/// Names that are taken.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeSet<String>);

impl Names {
    /// The first of these that is free, else the last with a number; it is taken from then on.
    pub(super) fn take(&mut self, wishes: &[String]) -> String {
        let free = wishes.iter().find(|name| !self.0.contains(*name)).cloned();
        let last = wishes.last().map_or("unnamed", String::as_str);
        // One more number than there are names: one of them is free.
        let numbered = || (2..=self.0.len() + 2).map(|n| format!("{last}-{n}")).find(|n| !self.0.contains(n));
        let name = free.or_else(numbered).unwrap_or_else(|| last.to_owned());
        self.0.insert(name.clone());
        name
    }
}
