//! Each call with which outputs are kept, or put back, fails or is the last thing devtask does. Whatever happened, no
//! output is half, nothing wrong counts as fresh, and nothing of devtask's own lies in the tree.
//!
//! strace does that; where it is missing or may not trace, the tests say so and prove nothing.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    faults::{Fault, can_trace},
    support::{Output, Sandbox},
};

/// What it makes hangs on `in` alone, and nothing of what was there before stays. One file is larger than what is copied
/// at once, one is executable, one is a link, and each result has one file the other does not.
const MAKE: &str = r#"
[tasks."a:make"]
package = "sh"
exec = '''
set -e
n=$(cat in)
rm -rf out one
mkdir -p out/deep/er
echo $n > out/a
echo $n > out/deep/b; chmod 755 out/deep/b
printf %0300000d $n > out/deep/er/large
echo $n > out/deep/only-$n
ln -s deep/b out/link
echo $n > one
echo made
'''
execIfModified = ["in"]
outputs = ["out/**", "one"]
"#;

/// The calls with which outputs are kept and put back. The first ones change something.
const CALLS: [&str; 14] = [
    "openat",
    "write",
    "rename,renameat,renameat2",
    "unlink,unlinkat",
    "mkdir,mkdirat",
    "fchmod",
    "symlink,symlinkat",
    "read",
    "readlink,readlinkat",
    "newfstatat",
    "fstat",
    "ioctl",
    "lseek",
    "getdents64",
];
const CHANGING: usize = 7;

/// What becomes of such a call.
const FAULTS: [Fault; 4] =
    [Fault::Killed, Fault::Once("ENOSPC"), Fault::Lasting("EIO"), Fault::Once("EACCES")];

/// More calls than this there are.
const LEAST: usize = 6;

/// What a clean run makes of these inputs: what lies in the tree beside the state, by path.
type Made = BTreeMap<PathBuf, String>;

struct Story {
    tree: Sandbox,
    /// Of the inputs `1` and `2`.
    made: [Made; 2],
}

impl Story {
    fn new() -> Self {
        let tree = Sandbox::with(MAKE);
        let made = ["1", "2"].map(|text| {
            tree.write("in", text);
            tree.ok("run");
            all(tree.root())
        });
        Self { tree, made }
    }

    /// Makes the tree what it is after a run with `2`, in which the result of `1` is kept as well, or is not.
    fn begin(&self, first_is_kept: bool) {
        let template = self.tree.home().join(if first_is_kept { "both" } else { "second" });
        let copy = |from: &Path, to: &Path| {
            assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
        };
        fs::remove_dir_all(self.tree.path(".devtask")).unwrap();
        if !template.exists() {
            for text in if first_is_kept { &["1", "2"][..] } else { &["2"] } {
                self.tree.write("in", text);
                self.tree.ok("run");
            }
            fs::create_dir(&template).unwrap();
            copy(&self.tree.path("."), &template.join("tree"));
        }
        for name in ["out", "one", ".devtask", "in"] {
            self.tree.remove_if_there(name);
        }
        copy(&template.join("tree/."), self.tree.root());
        self.tree.write("in", "1");
    }

    /// A run with a fault; none if it never came to that call.
    fn run_with(&self, fault: Fault, call: &str, number: usize) -> Option<Output> {
        let log = self.tree.home().join("trace");
        let state = self.tree.path(".devtask/outputs");
        let mut paths = vec![state.clone(), state.join("new")];
        paths.extend(["", "out", "out/deep", "out/deep/er"].map(|dir| self.tree.path(dir)));
        paths.extend((0..12).map(|number| state.join("new").join(number.to_string())));
        paths.extend(beneath(&state).into_iter().filter(|path| !paths.contains(path)).collect::<Vec<_>>());
        let mut args = vec!["-f", "-o", log.to_str().unwrap()];
        args.extend(paths.iter().flat_map(|path| ["-P", path.to_str().unwrap()]));
        let (trace, inject) = (format!("trace={call}"), fault.option(call, number));
        args.extend(["-e", &trace, "-e", &inject]);
        let output = self.tree.devtask(["run"]).start_under("strace", &args).finish();
        let hit = fs::read_to_string(log).unwrap().contains("INJECTED") || output.signal == Some(9);
        hit.then_some(output)
    }

    /// A run with a fault, and what the next ones make of what it left; whether it came to that call.
    fn one(&self, is_restoring: bool, fault: Fault, call: &str, number: usize) -> bool {
        let what = format!("{fault:?} at {call} number {number}, restoring: {is_restoring}");
        self.begin(is_restoring);
        let Some(output) = self.run_with(fault, call, number) else { return false };
        assert!(!output.err.contains("panicked"), "{what}: {output}");
        assert!(fault == Fault::Killed || output.code.is_some(), "{what}: {output}");
        // Whoever executes writes in place, and may be killed half-way; who puts back does not.
        if is_restoring && !output.err.contains("Running           a:make") {
            self.assert_nothing_is_half(&what);
        }
        if output.code == Some(0) {
            // All went well, for all that anybody can tell.
            assert_eq!(all(self.tree.root()), self.made[0], "{what}: {output}");
        }
        for (round, (text, made)) in
            [("1", &self.made[0]), ("1", &self.made[0]), ("2", &self.made[1])].into_iter().enumerate()
        {
            self.tree.write("in", text);
            let next = self.tree.ok("run");
            assert_eq!(&all(self.tree.root()), made, "{what}: {output}\nthen {text}: {next}");
            let executed = self.tree.executed();
            assert!(executed.is_empty() || round != 1, "{what}: {output}\nagain: {next}");
        }
        let aside = fs::read_dir(self.tree.path(".devtask/outputs/new")).unwrap().count();
        assert_eq!(aside, 0, "{what}: nothing is left aside");
        true
    }

    /// Each file is one of those that were there before, or of those that come back.
    fn assert_nothing_is_half(&self, what: &str) {
        for (path, told) in all(self.tree.root()) {
            let is_whole = self.made.iter().any(|made| made.get(&path) == Some(&told));
            assert!(is_whole, "{what}: {} is {told}", path.display());
        }
    }

    fn try_all(&self, is_restoring: bool, faults: &[Fault]) -> usize {
        let mut hits = 0;
        for call in CALLS.iter().take(if hits_all() { CALLS.len() } else { CHANGING }) {
            for fault in faults {
                let hit = |number: &usize| self.one(is_restoring, *fault, call, *number);
                let met = numbers().take_while(hit).count();
                eprintln!("{met:>4} {fault:?} at {call}");
                hits += met;
            }
        }
        eprintln!("{hits} faults were met");
        hits
    }
}

/// Whether nothing is left out.
fn hits_all() -> bool {
    std::env::var_os("DEVTASK_TEST_FAULTS").is_some_and(|value| value == "all")
}

/// Which of the calls are hit: all with `DEVTASK_TEST_FAULTS=all`, else the first two and some of the rest.
fn numbers() -> impl Iterator<Item = usize> {
    let all = hits_all();
    (1..).filter(move |number| all || *number < 3 || number % 11 == 0)
}

/// Everything beneath a directory.
fn beneath(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().path()) {
        if path.symlink_metadata().unwrap().is_dir() {
            found.extend(beneath(&path));
        }
        found.push(path);
    }
    found
}

/// What lies in the tree beside the state and the input: modes, and contents or the texts of links.
fn all(root: &Path) -> Made {
    let ours = |path: &PathBuf| !path.starts_with(root.join(".devtask")) && *path != root.join("in");
    let told = |path: PathBuf| {
        let found = path.symlink_metadata().unwrap();
        let content = if found.is_symlink() {
            fs::read_link(&path).unwrap().to_string_lossy().into_owned()
        } else if found.is_file() {
            let text = fs::read_to_string(&path).unwrap();
            format!("{} bytes of {:?}", text.len(), text.chars().collect::<std::collections::BTreeSet<_>>())
        } else {
            String::new()
        };
        let mode = found.permissions().mode();
        (path.strip_prefix(root).unwrap().to_owned(), format!("{mode:o} {content}"))
    };
    beneath(root).into_iter().filter(ours).map(told).collect()
}

#[test]
fn killed_at_any_call_while_outputs_come_back() {
    if can_trace() {
        assert!(Story::new().try_all(true, &FAULTS[..1]) > LEAST);
    }
}

#[test]
fn killed_at_any_call_while_outputs_are_kept() {
    if can_trace() {
        assert!(Story::new().try_all(false, &FAULTS[..1]) > LEAST);
    }
}

#[test]
fn whatever_call_fails_while_outputs_come_back() {
    if can_trace() {
        assert!(Story::new().try_all(true, &FAULTS[1..]) > 3 * LEAST);
    }
}

#[test]
fn whatever_call_fails_while_outputs_are_kept() {
    if can_trace() {
        assert!(Story::new().try_all(false, &FAULTS[1..]) > 3 * LEAST);
    }
}
