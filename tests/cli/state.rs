//! The state: private, damaged, on a full disk, and wanted by several at once (spec section 4.6, hazards D1, D3, D4
//! and D7).

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use super::support::{Sandbox, set};

const ONE: &str = "[tasks.\"a:t\"]\nexec = \"cat in.txt > out.txt\"\nexecIfModified = [\"in.txt\"]\n";

fn one() -> Sandbox {
    let tree = Sandbox::with(ONE);
    tree.write("in.txt", "1");
    tree.ok("run a:t");
    tree
}

/// Every file and directory beneath a directory.
fn beneath(dir: &Path) -> Vec<PathBuf> {
    let mut found = vec![dir.to_owned()];
    let mut at = 0;
    while let Some(path) = found.get(at).cloned() {
        at += 1;
        if path.symlink_metadata().unwrap().is_dir() {
            found.extend(fs::read_dir(path).unwrap().map(|e| e.unwrap().path()));
        }
    }
    found
}

#[test]
fn everything_in_the_state_is_the_users_own() {
    let tree = Sandbox::with(
        "[tasks.\"a:t\"]\nexec = \"echo text; false\"\nexecIfModified = [\"in.txt\"]\n\
         [tasks.\"a:asks\"]\nstatus = \"true\"\nexec = \"true\"\n",
    );
    tree.write("in.txt", "");
    let output = tree.devtask(["run"]).run();
    assert_eq!(output.code, Some(1), "{output}");
    let mut files = 0;
    for path in beneath(&tree.path(".devtask")) {
        let meta = path.symlink_metadata().unwrap();
        let expected = if meta.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(meta.permissions().mode() & 0o7777, expected, "{}", path.display());
        files += usize::from(meta.is_file());
    }
    assert!(files >= 4, "state, lock, run log, task log");
    assert_eq!(tree.read(".devtask/.gitignore").trim(), "*");
}

#[test]
fn what_a_task_without_freshness_hands_on_never_rests_on_disk() {
    let hand_on = r#"echo "{\"secret\":\"$S\",\"devenv\":{\"env\":{\"SECRET\":\"$S\"},\"messages\":[\"$S\"]}}" > "$DEVENV_TASK_OUTPUT_FILE""#;
    let tree = Sandbox::with(&format!(
        r#"
        [tasks."a:secret"]
        exec = '''
        S=xyzzy-$(echo plugh)
        {hand_on}
        printf 'MORE\0%s\0' "$(printf %s "$S" | base64)" > "$DEVENV_TASK_EXPORTS_FILE"
        '''
        [tasks."a:kept"]
        after = ["a:secret"]
        exec = '''
        [ "$SECRET $MORE" = "xyzzy""-plugh xyzzy""-plugh" ]
        S=kept-$(echo value)
        {hand_on}
        '''
        execIfModified = ["in.txt"]
        "#
    ));
    tree.write("in.txt", "");
    let output = tree.ok("run a:kept");
    assert!(output.out.contains("xyzzy-plugh"), "{output}");
    let contains = |text: &str| {
        let holds = |path: &PathBuf| {
            let bytes = fs::read(path).unwrap_or_default();
            bytes.windows(text.len()).any(|w| w == text.as_bytes())
        };
        beneath(&tree.path(".devtask")).iter().any(holds)
    };
    assert!(contains("kept-value"), "the search finds what is stored");
    for form in ["xyzzy-plugh", "eHl6enktcGx1Z2"] {
        assert!(!contains(form), "{form}");
    }
    let left = beneath(&tree.home().parent().unwrap().join("tmp"));
    assert_eq!(left.len(), 1, "nothing is left of private files: {left:?}");
}

#[test]
fn state_that_cannot_be_used_costs_one_cold_run_and_one_line() {
    type Case = (&'static str, fn(&Path));
    let cases: [Case; 5] = [
        ("foreign", |p| fs::write(p, "# not a database\n".repeat(400)).unwrap()),
        ("short", |p| fs::write(p, "x").unwrap()),
        ("truncated", |p| {
            let file = fs::File::options().write(true).open(p).unwrap();
            file.set_len(p.metadata().unwrap().len() / 2).unwrap();
        }),
        ("damaged head", |p| {
            let mut bytes = fs::read(p).unwrap();
            bytes[..64].fill(0x5a);
            fs::write(p, bytes).unwrap();
        }),
        ("damaged pages", |p| {
            let mut bytes = fs::read(p).unwrap();
            let end = bytes.len();
            bytes[4096..end].fill(0x5a);
            fs::write(p, bytes).unwrap();
        }),
    ];
    for (name, damage) in cases {
        for verb in ["run a:t", "why a:t"] {
            let tree = one();
            damage(&tree.path(".devtask/state.redb"));
            let output = tree.ok(verb);
            let warnings = output.err.to_lowercase().matches("warning").count();
            assert_eq!(warnings, 1, "{name}, {verb}\n{output}");
            assert!(output.err.contains("set aside as"), "{name}, {verb}\n{output}");
            if verb == "run a:t" {
                assert_eq!(tree.executed(), set("a:t"), "{name}");
            } else {
                assert!(output.out.contains("no earlier run is known"), "{name}\n{output}");
            }
            let output = tree.ok("run a:t");
            assert!(!output.err.contains("set aside"), "{name}: once\n{output}");
            tree.ok("run a:t");
            assert_eq!(tree.executed(), set(""), "{name}: warm again");
        }
    }
}

#[test]
fn an_empty_or_removed_state_is_a_cold_run_without_a_word() {
    for damage in [|p: &Path| fs::write(p, "").unwrap(), |p: &Path| fs::remove_file(p).unwrap()] {
        let tree = one();
        damage(&tree.path(".devtask/state.redb"));
        let output = tree.ok("run a:t");
        assert_eq!(tree.executed(), set("a:t"));
        assert!(!output.err.contains("arning"), "{output}");
    }
}

/// A small file system of its own, taken down at the end.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// None where this process may not mount.
    fn new(path: PathBuf, size: &str) -> Option<Self> {
        fs::create_dir_all(&path).unwrap();
        let options = format!("size={size},mode=0700");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "none"]).arg(&path).output();
        let mounted = mount.is_ok_and(|m| m.status.success());
        if !mounted {
            eprintln!("note: cannot mount here, so a full disk is not tried");
        }
        mounted.then_some(Self(path))
    }

    /// Takes all the space there is.
    fn fill(&self) {
        let mut step = 1 << 20;
        let mut filler = fs::File::options().append(true).create(true).open(self.0.join("filler")).unwrap();
        while step > 0 {
            use std::io::Write as _;
            while filler.write_all(&vec![0; step]).is_ok() {}
            step /= 4;
        }
    }

    /// Lets nobody write to it any more.
    fn protect(&self) -> bool {
        let remount = Command::new("mount").args(["-o", "remount,ro"]).arg(&self.0).output();
        remount.is_ok_and(|m| m.status.success())
    }

    fn free(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_tree_nobody_may_write_to_has_its_state_with_the_user() {
    let tree = Sandbox::new();
    let Some(disk) = SmallDisk::new(tree.path("disk"), "1m") else { return };
    tree.write("disk/devtask.toml", "[tasks.t]\nexec = 'true'\nexecIfModified = ['in']\n");
    assert!(disk.protect());
    let run = || tree.devtask(["run", "t"]).dir("disk").run();
    assert!(run().err.contains("1 Succeeded"));
    let again = run();
    assert!(again.err.contains("1 Cached"), "{again}");
    assert!(tree.home().join(".local/state/devtask").is_dir());
}

#[test]
fn a_disk_too_small_for_the_state_is_told_and_nothing_else_is_lost() {
    let tree = Sandbox::with(ONE);
    let Some(disk) = SmallDisk::new(tree.home().join("disk"), "24k") else { return };
    let line = format!("run a:t --state-dir {}", disk.0.display());
    for text in ["1", "2", "2"] {
        tree.write("in.txt", text);
        tree.remove_if_there("out.txt");
        let output = tree.expect(3, &line);
        assert_eq!(output.err.matches("results are not saved").count(), 1, "{output}");
        assert!(output.err.contains("Succeeded         a:t"), "{output}");
        assert_eq!(tree.read("out.txt"), text);
    }
}

#[test]
fn a_full_disk_never_makes_anything_fresh() {
    let tree = Sandbox::with(ONE);
    let Some(disk) = SmallDisk::new(tree.home().join("disk"), "6m") else { return };
    let line = format!("run a:t --state-dir {}", disk.0.display());
    tree.write("in.txt", "A");
    tree.ok(&line);
    // A tree of other tasks needs more room than there is.
    let many: String = (0..400)
        .map(|n| {
            let exec = r#"printf '"%04000d"' 1 > "$DEVENV_TASK_OUTPUT_FILE""#;
            format!("[tasks.\"many:t{n}\"]\nexec = '''{exec}'''\nexecIfModified = [\"in.txt\"]\n")
        })
        .collect();
    tree.append("devtask.toml", many);
    disk.fill();
    tree.write("in.txt", "B");
    let output = tree.expect(3, &format!("{line} many --outputs none"));
    assert_eq!(output.err.matches("results are not saved").count(), 1, "{output}");
    assert_eq!(tree.read("out.txt"), "B");
    disk.free();
    tree.write("in.txt", "A");
    tree.ok(&line);
    assert_eq!(tree.read("out.txt"), "A", "putting old content back does not make it fresh");
    tree.remove("out.txt");
    tree.ok(&line);
    assert!(!tree.exists("out.txt"), "with space it is fresh again");
}

fn devtask_in(dir: &Path) -> String {
    format!("{} -C {}", super::support::DEVTASK, dir.display())
}

#[test]
fn a_nested_run_in_the_same_tree_is_part_of_the_run() {
    let tree = Sandbox::new();
    let nested = devtask_in(tree.root());
    tree.write(
        "devtask.toml",
        format!(
            "[tasks.\"a:t\"]\nexec = '{nested} run a:u'\n[tasks.\"a:u\"]\nexec = 'echo x >> ran'\n\
             [tasks.\"a:loop\"]\nexec = '{nested} run a:loop'\n"
        ),
    );
    // With one slot, too: who waits for another run gives its own back.
    tree.ok("run -j1 a:t a:u");
    assert_eq!(tree.read("ran"), "x\n", "it is scheduled once");
    let output = tree.expect(1, "run a:loop");
    assert!(output.err.contains("── a:loop ── exit 2 ──"), "{output}");
    assert!(output.err.contains("a task cannot wait for itself: a:loop -> a:loop"), "{output}");
}

#[test]
fn a_nested_run_in_another_tree_works_unless_it_comes_back() {
    let (outer, inner) = (Sandbox::new(), Sandbox::new());
    let (to_inner, to_outer) = (devtask_in(inner.root()), devtask_in(outer.root()));
    outer.write(
        "devtask.toml",
        format!(
            "[tasks.\"a:t\"]\nexec = '{to_inner} run b:t'\n[tasks.\"a:back\"]\nexec = '{to_inner} run b:back'\n"
        ),
    );
    inner.write(
        "devtask.toml",
        format!("[tasks.\"b:t\"]\nexec = 'touch ran'\n[tasks.\"b:back\"]\nexec = '{to_outer} run a:t'\n"),
    );
    outer.ok("run a:t");
    assert!(inner.exists("ran"));
    let output = outer.expect(1, "run a:back");
    assert!(output.err.contains("a task cannot wait for the run it is part of"), "{output}");
}
