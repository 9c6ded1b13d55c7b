//! What a git hook costs beyond the checks: three staged files in a repository of 10,000, looked at in place and in a
//! private checkout. `cargo bench --bench hook`
//!
//! The checks are shell scripts that do nothing, so what is measured is all that happens around them. Beside it stands
//! what git takes to say which files are staged, and, if it is on PATH, pre-commit with the same check.

mod support;

use std::{
    ffi::OsStr,
    fs,
    path::Path,
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use support::{DEVTASK, args::Args, program};

const STAGED: usize = 3;
const DECLARED: &str = r#"
[checks.given]
exec = ': "$@"'
files = ["**/*.txt"]
pass_files = true
"#;

/// The same for pre-commit.
const OTHERS: &str = "repos:
- repo: local
  hooks:
  - {id: given, name: given, entry: \"true\", language: system, files: '\\.txt$'}
";

fn main() -> ExitCode {
    let args = Args::read();
    let (files, rounds) = if args.smoke { (200, 3) } else { (10_000, 30) };
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path();
    fs::write(tree.join("devtask.toml"), DECLARED).unwrap();
    fs::write(tree.join(".gitignore"), ".devtask\n").unwrap();
    fs::write(tree.join(".pre-commit-config.yaml"), OTHERS).unwrap();
    let other = program::find("pre-commit");
    let beside =
        |into: &mut Vec<Duration>| into.extend(other.iter().map(|other| timed(tree, other, &["run"])));
    let (mut others, mut others_aside) = (vec![], vec![]);
    let path = |n: usize| tree.join(format!("d{}/f{n}.txt", n / 100));
    for n in 0..files {
        fs::create_dir_all(path(n).parent().unwrap()).unwrap();
        fs::write(path(n), format!("file {n}\n")).unwrap();
    }
    git(tree, ["init", "-q", "."]);
    git(tree, ["add", "."]);
    git(tree, ["-c", "user.name=n", "-c", "user.email=e@x", "commit", "-qm", "x"]);
    println!("{files} files, {STAGED} staged, median of {rounds} rounds");
    let (mut listed, mut bare, mut in_place, mut aside, mut known) = (vec![], vec![], vec![], vec![], vec![]);
    for round in 0..=rounds {
        let touched: Vec<_> = (0..STAGED).map(|at| path((round * 97 + at * 31) % files)).collect();
        for file in &touched {
            fs::write(file, format!("{round} staged\n")).unwrap();
        }
        git(tree, ["add", "-u"]);
        listed.push(timed(tree, "git", &["diff", "--cached", "--name-only", "-z"]));
        bare.push(timed(tree, "bash", &["-c", ": \"$@\"", "bash", "a", "b", "c"]));
        in_place.push(check(tree));
        known.push(check(tree));
        beside(&mut others);
        // Another version of one of them is not staged; what has passed already would not be looked at again.
        for file in &touched {
            fs::write(file, format!("{round} staged again\n")).unwrap();
        }
        git(tree, ["add", "-u"]);
        fs::write(&touched[0], "not staged\n").unwrap();
        aside.push(check(tree));
        beside(&mut others_aside);
    }
    // The first round makes the state and the checkout.
    let (first_in_place, first_aside) = (in_place.remove(0), aside.remove(0));
    let bare = median(bare);
    for (what, times) in [("in place", in_place), ("in a checkout", aside)] {
        let time = median(times);
        println!(
            "  {what:<28} {time:>10.2?}   {:>10.2?} beyond the check (at most 100 ms wanted)",
            time.saturating_sub(bare)
        );
    }
    for (what, times) in [("in place", others), ("by a stash", others_aside)] {
        if !times.is_empty() {
            println!("  pre-commit, {what:<16} {:>10.2?}", median(times));
        }
    }
    println!("  nothing new to look at       {:>10.2?}", median(known));
    println!("  the very first, in place     {first_in_place:>10.2?}");
    println!("  the very first, in a checkout{first_aside:>10.2?}");
    println!("  the check alone              {bare:>10.2?}");
    println!("  git diff --cached            {:>10.2?}", median(listed));
    ExitCode::SUCCESS
}

fn check(tree: &Path) -> Duration {
    timed(tree, DEVTASK, &["check", "--staged"])
}

fn timed(dir: &Path, program: impl AsRef<OsStr>, words: &[&str]) -> Duration {
    let mut command = Command::new(program);
    command.args(words).current_dir(dir).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let begin = Instant::now();
    let output = command.output().unwrap();
    let time = begin.elapsed();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    time
}

fn git<const N: usize>(dir: &Path, words: [&str; N]) {
    let done = Command::new("git").args(words).current_dir(dir).stdin(Stdio::null()).status().unwrap();
    assert!(done.success());
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
