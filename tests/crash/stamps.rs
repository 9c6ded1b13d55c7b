//! Stamps that are too coarse to show a change (hazard A1): a file is rewritten in place, with the same size,
//! right after it was looked at.

use std::{
    collections::HashMap,
    fs,
    io::Write as _,
    path::Path,
    sync::{Arc, Mutex},
};

use devtask::{
    model::{Digest, DirRecord, Learnt, StatIdentity},
    pattern::{PatternKind, PatternSet},
    scan::{FileTable, Memory, NoMemory, ScanOptions, Scanner, TableOptions, system_now_ns},
};

use super::support::Sandbox;

const TRIALS: u32 = 3000;
/// More than the coarsest stamps there are.
const LATER_NS: i128 = 10_000_000_000;
/// Set where stamps are known to be coarse, for the trials to be blind.
const COARSE: &str = "DEVTASK_TEST_COARSE_STAMPS";

/// What a store keeps between two runs.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<HashMap<Vec<u8>, DirRecord>>>);

impl Memory for Kept {
    fn recall(&self, directory: &[u8]) -> Option<DirRecord> {
        self.0.lock().unwrap().get(directory).cloned()
    }
}

impl Kept {
    /// Makes the one file that is known look as it looks now.
    fn as_it_looks(&self, identity: StatIdentity) {
        for directory in self.0.lock().unwrap().values_mut() {
            let (name, learnt) =
                directory.files().map(|(name, learnt)| (name.to_vec(), learnt)).next().unwrap();
            *directory = DirRecord::new([(name.as_slice(), &Learnt { identity, ..learnt })]);
        }
    }
}

/// One run's look at the file `in`, by a clock that is ahead; what it learns is kept.
fn look(root: &Path, memory: Box<dyn Memory>, kept: &Kept, ahead_ns: i128) -> (Digest, StatIdentity) {
    let options = ScanOptions {
        root: root.to_owned(),
        state_dir: root.join(".devtask"),
        global_ignore: None,
        threads: std::num::NonZero::<usize>::MIN,
    };
    let set = PatternSet::new(&[root.to_owned()], &["in".to_owned()], PatternKind::Inputs).unwrap();
    let clock =
        TableOptions { now_ns: Box::new(move || system_now_ns() + ahead_ns), ..TableOptions::default() };
    let table = FileTable::new(root, memory, clock);
    let found = table.digest(&Scanner::new(options).walk(&[&set])[0]);
    kept.0.lock().unwrap().extend(table.take_changes());
    (found.entries[0].digest, found.entries[0].identity)
}

/// Writes over the file without making it anew.
fn rewrite(path: &Path, text: &str) {
    fs::OpenOptions::new().write(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
}

/// How many rewrites were not seen, and how many left every stamp as it was. `coarse`: the stat cache is
/// shown stamps that no rewrite changes.
fn trials(root: &Path, ahead_ns: i128, coarse: bool) -> (u32, u32) {
    let (mut missed, mut blind) = (0, 0);
    let file = root.join("in");
    fs::write(&file, "00000").unwrap();
    for n in 1..=TRIALS {
        let kept = Kept::default();
        let (_, before) = look(root, Box::new(kept.clone()), &kept, ahead_ns);
        rewrite(&file, &format!("{n:05}"));
        let (truth, after) = look(root, Box::new(NoMemory), &Kept::default(), 0);
        if coarse {
            kept.as_it_looks(after);
        }
        blind += u32::from(coarse || before == after);
        let (seen, _) = look(root, Box::new(kept.clone()), &kept, ahead_ns);
        missed += u32::from(seen != truth);
    }
    (missed, blind)
}

#[test]
fn a_rewrite_right_after_a_look_is_seen() {
    let tree = Sandbox::new();
    let (missed, blind) = trials(tree.root(), 0, false);
    assert_eq!(missed, 0, "{blind} of {TRIALS} rewrites changed no stamp");
    let coarse = std::env::var_os(COARSE).is_some();
    assert!(!coarse || blind > TRIALS / 2, "only {blind} of {TRIALS} rewrites changed no stamp");
}

#[test]
fn a_rewrite_is_seen_where_no_stamp_ever_shows_one() {
    let tree = Sandbox::new();
    assert_eq!(trials(tree.root(), 0, true), (0, TRIALS));
    let (missed, _) = trials(tree.root(), LATER_NS, true);
    assert_eq!(missed, TRIALS, "it is nearness in time, and nothing else, that makes a stamp doubtful");
}

#[test]
fn a_rewrite_right_after_a_run_is_seen() {
    let tree = Sandbox::with(
        "[tasks.\"a:copy\"]\npackage = 'sh'\nexec = 'cat in > out'\nexecIfModified = ['in']\noutputs = ['out']\n",
    );
    tree.write("in", "000");
    for n in 1..40 {
        tree.ok("run");
        rewrite(&tree.path("in"), &format!("{n:03}"));
        tree.ok("run");
        assert_eq!(tree.read("out"), tree.read("in"));
    }
}

/// ext4 with small inodes has stamps of a second. To mount one needs root and a loop device.
#[cfg(target_os = "linux")]
#[test]
fn on_a_file_system_with_stamps_of_a_second() {
    const SCRIPT: &str = r#"
        cd "$1" && mkdir disk && truncate -s 32M image && mkfs.ext4 -q -I 128 image || exit 9
        unshare --mount true || exit 9
        exec unshare --mount sh -c 'mount -o loop image disk || exit 9
            export TMPDIR="$PWD/disk"
            exec "$@"' sh "$2" --exact stamps::a_rewrite_right_after_a_look_is_seen \
            stamps::a_rewrite_right_after_a_run_is_seen
    "#;
    let place = tempfile::tempdir().unwrap();
    let mut command = std::process::Command::new("sh");
    command.args(["-c", SCRIPT, "sh"]).arg(place.path()).arg(std::env::current_exe().unwrap());
    let output = command.env(COARSE, "1").output().unwrap();
    if output.status.code() == Some(9) {
        eprintln!("NOT PROVED: no ext4 can be mounted here: {}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("2 passed"), "{output:?}");
}
