//! A small workspace, and what a clean run makes of it.

use std::collections::{BTreeMap, BTreeSet};

#[cfg(target_os = "linux")]
use super::support::set;
use super::support::{Output, Sandbox};

/// Files and a value are handed on; one task leaves half of its work when it is killed, and does not declare
/// what it makes, so nothing but its record can tell.
const TASKS: &str = r#"
[tasks."a:gen"]
package = "sh"
exec = '''
cat a > gen.out
echo "{\"devenv\":{\"env\":{\"A\":\"$(cat a)\"}}}" > "$DEVENV_TASK_OUTPUT_FILE"
'''
execIfModified = ["a"]
outputs = ["gen.out"]

[tasks."a:use"]
package = "sh"
after = ["a:gen"]
exec = 'cat gen.out b > use.out; echo "$A" >> use.out'
execIfModified = ["b", "gen.out"]
outputs = ["use.out"]

[tasks."a:free"]
package = "sh"
exec = 'echo half > side; cat c > side'
execIfModified = ["c"]

[tasks."a:still"]
package = "sh"
exec = 'cat b > still.out'
execIfModified = ["b"]
outputs = ["still.out"]
"#;

/// The tasks that [`edit`] makes stale.
#[cfg(target_os = "linux")]
pub(crate) const EDITED: &str = "a:gen a:use a:free";

/// The workspace, run once.
pub(crate) fn new() -> Sandbox {
    let tree = Sandbox::with(TASKS);
    tree.write("b", "1\n");
    edit(&tree, "1");
    tree.ok("run");
    assert_made(&tree, "the first run");
    tree
}

/// Makes three of the four tasks stale, or fresh as they were.
pub(crate) fn edit(tree: &Sandbox, text: &str) {
    for input in ["a", "c"] {
        tree.write(input, format!("{text}\n"));
    }
}

/// What is there is what a clean run makes of the inputs.
pub(crate) fn assert_made(tree: &Sandbox, what: &str) {
    let [a, b, c] = ["a", "b", "c"].map(|name| tree.read(name));
    let clean = [("gen.out", a.clone()), ("use.out", format!("{a}{b}{a}")), ("side", c), ("still.out", b)];
    let made: BTreeMap<&str, String> = clean.iter().map(|(name, _)| (*name, tree.read(name))).collect();
    assert_eq!(made, BTreeMap::from(clean), "{what}");
}

/// A run that must succeed, leave what a clean one would, and have no complaint; returns what it executed.
pub(crate) fn run(tree: &Sandbox, what: &str) -> (BTreeSet<String>, Output) {
    let output = tree.devtask(["run"]).run();
    assert_eq!(output.code, Some(0), "{what}: {output}");
    assert!(!output.err.contains("panicked"), "{what}: {output}");
    assert_made(tree, what);
    (tree.executed(), output)
}

/// Nothing is left to do.
#[cfg(target_os = "linux")]
pub(crate) fn assert_settled(tree: &Sandbox, what: &str) {
    let (executed, output) = run(tree, what);
    assert_eq!(executed, set(""), "{what}: {output}");
    assert!(!output.err.contains("warning"), "{what}: {output}");
}
