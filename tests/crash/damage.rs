//! Damaged state files and the whole program: a run neither fails nor skips what it must not.

use std::{collections::BTreeSet, fs};

use super::{
    support::{Output, Sandbox},
    tree,
};

const PAGE: usize = 4096;

/// What the state file is like after a run, and in the middle of one.
struct Images {
    clean: Vec<u8>,
    midway: Vec<u8>,
}

impl Images {
    /// Runs the tasks on other inputs, with one more that takes a copy of the state meanwhile.
    fn new(tree: &Sandbox) -> Self {
        let declared = tree.read("devtask.toml");
        tree.append(
            "devtask.toml",
            "[tasks.\"a:peek\"]\npackage = 'sh'\nafter = ['a:gen']\nexec = 'cp .devtask/state.redb \"$HOME\"'\n",
        );
        tree::edit(tree, "2");
        tree::run(tree, "the run that is copied");
        tree.write("devtask.toml", declared);
        let read = |path| fs::read(path).unwrap();
        Self { clean: read(tree.path(".devtask/state.redb")), midway: read(tree.home().join("state.redb")) }
    }
}

/// Does something to the file, as `random` will have it; says what.
fn spoil(bytes: &mut Vec<u8>, random: &mut fastrand::Rng) -> String {
    let used: Vec<usize> =
        (0..bytes.len()).step_by(PAGE).filter(|at| bytes[*at..][..PAGE] != [0; PAGE]).collect();
    let at = *random.choice(&used).unwrap();
    match random.u8(0..6) {
        0 => (0..random.usize(1..8)).for_each(|_| bytes[at + random.usize(0..PAGE)] ^= 1 << random.u8(0..8)),
        1 => bytes[at..][..PAGE].fill(0),
        2 => bytes[at..][..PAGE].iter_mut().for_each(|b| *b = random.u8(..)),
        3 => bytes.truncate(random.usize(0..bytes.len())),
        4 => bytes.resize(bytes.len() + random.usize(1..PAGE), random.u8(..)),
        _ => bytes[at..][..PAGE].reverse(),
    }
    format!("near {at}, now {} bytes", bytes.len())
}

fn tells_of_loss(said: &str) -> bool {
    said.contains("it is set aside") || said.contains("the state is damaged")
}

/// How many files are damaged: 40, or what `DEVTASK_TEST_DAMAGED_FILES` says.
fn number_of_files() -> usize {
    std::env::var("DEVTASK_TEST_DAMAGED_FILES").ok().and_then(|n| n.parse().ok()).unwrap_or(40)
}

#[test]
fn a_damaged_state_neither_fails_a_run_nor_skips_anything() {
    let tree = tree::new();
    let images = Images::new(&tree);
    let mut random = fastrand::Rng::with_seed(17);
    let mut warned = 0;
    for n in 0..number_of_files() {
        let (name, image) = if n % 2 == 0 { ("clean", &images.clean) } else { ("midway", &images.midway) };
        let mut bad = image.clone();
        let what = format!("file {n}, {name}: {}", spoil(&mut bad, &mut random));
        let (_, output) = run_with(&tree, &bad, &what);
        warned += output.err.matches("it is set aside").count();
    }
    assert!(warned > 0, "some damage is met");
}

/// A copy is verified as a whole, but not before it is opened for writing: a run that has found tasks fresh by then tells
/// that what was known of them is lost.
#[test]
#[cfg(target_os = "linux")]
fn damage_that_only_a_writer_meets_is_told() {
    let tree = tree::new();
    let Images { clean, .. } = Images::new(&tree);
    let (state, copy) = (tree.path(".devtask/state.redb"), tree.path(".devtask/state.redb.new"));
    let mut late = 0;
    for at in (0..clean.len()).step_by(PAGE).filter(|at| clean[*at..][..PAGE] != [0; PAGE]) {
        let mut bad = clean.clone();
        bad[at..][..PAGE].reverse();
        // Another file of that name is not the one that was written last.
        fs::write(&copy, "").unwrap();
        fs::rename(&copy, &state).unwrap();
        let (ran, output) = run_with(&tree, &bad, &format!("the page at {at} reversed"));
        late += usize::from(tells_of_loss(&output.err) && !ran.contains("a:still"));
    }
    assert!(late > 0, "no damage was met late");
}

/// Puts this state in place after other inputs' work and runs, until nothing is left to do; what the first run did.
fn run_with(tree: &Sandbox, state: &[u8], what: &str) -> (BTreeSet<String>, Output) {
    // The other inputs' work is there, and the old inputs are back.
    for (path, content) in [("gen.out", "2\n"), ("use.out", "2\n1\n2\n"), ("side", "2\n")] {
        tree.write(path, content);
    }
    tree::edit(tree, "1");
    tree.write(".devtask/state.redb", state);
    let first = tree::run(tree, what);
    // What only a later run meets costs that one something, too; but then it was said that the state is lost.
    let mut said = first.1.err.clone();
    let mut settles = || {
        let (ran, output) = tree::run(tree, &format!("{what}, again"));
        let before = std::mem::replace(&mut said, output.err);
        assert!(
            ran.is_empty() || tells_of_loss(&before) || tells_of_loss(&said),
            "{what}: {ran:?} for nothing"
        );
        ran.is_empty()
    };
    assert!((0..3).any(|_| settles()), "{what}: it never settles");
    first
}
