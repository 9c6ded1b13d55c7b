//! The promise of section 4: after any history of edits, failures and kills a run leaves what a clean run
//! would, and the next one runs nothing. Random histories, the same ones every time.

use std::{collections::BTreeMap, thread, time::Duration};

use super::support::{Sandbox, set};

/// Each task has an input, hands on files and values, and fails when it is told to. What tells it is no
/// input: it stands for the rest of the world.
const TASKS: &str = r#"
[tasks."a:one"]
exec = "[ ! -e broken ]; cat x > one.out"
execIfModified = ["x"]
outputs = ["one.out"]

[tasks."a:two"]
after = ["a:one"]
exec = '''
cat one.out y > two.out
[ ! -e broken ]
echo "{\"y\":$(cat y),\"devenv\":{\"env\":{\"Y\":\"$(cat y)\"}}}" > "$DEVENV_TASK_OUTPUT_FILE"
'''
execIfModified = ["y", "one.out"]
outputs = ["two.out"]

[tasks."a:free"]
exec = "cat z > free.out"
execIfModified = ["z"]
outputs = ["free.out"]

# What it makes is not declared, and nobody else touches it; killed, it leaves half of it.
[tasks."a:slow"]
exec = "echo half > side; sleep 0.02; cat x > side"
execIfModified = ["x"]

[tasks."a:door"]
after = ["a:two", "a:free"]

[tasks."a:three"]
after = ["a:door"]
exec = 'cat two.out free.out > three.out; echo "$Y" >> three.out'
outputs = ["three.out"]
"#;

/// Random numbers, the same for the same seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(end).unwrap()).unwrap()
    }

    fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

const INPUTS: [&str; 3] = ["x", "y", "z"];
const OUTPUTS: [&str; 4] = ["one.out", "two.out", "free.out", "three.out"];

/// What a clean run makes of these inputs.
fn clean(tree: &Sandbox) -> BTreeMap<&'static str, String> {
    let [x, y, z] = INPUTS.map(|name| tree.read(name));
    let two = format!("{x}{y}");
    let three = format!("{two}{z}{y}");
    [("one.out", x.clone()), ("side", x), ("two.out", two), ("free.out", z), ("three.out", three)].into()
}

fn edit(tree: &Sandbox, dice: &mut Dice) {
    let (input, value) = (dice.one_of(&INPUTS), dice.below(3));
    tree.write(input, format!("{value}\n"));
}

fn one_step(tree: &Sandbox, dice: &mut Dice) {
    let output = dice.one_of(&OUTPUTS);
    let some = ["run", "run a:one", "run a:two", "run a:free", "run -m single a:three", "run --fail-fast"];
    match dice.below(12) {
        0..=3 => edit(tree, dice),
        4 => tree.remove_if_there(output),
        5 => tree.write(output, "other\n"),
        6 => tree.touch(dice.one_of(&INPUTS)),
        7 => tree.write("broken", ""),
        8 => tree.remove_if_there("broken"),
        9 => {
            // It may fail; what counts is what comes of it in the end.
            tree.devtask(dice.one_of(&some).split(' ')).run();
        }
        _ => {
            let running = tree.devtask(["run"]).start();
            // Not to wait for anything, but to be killed anywhere.
            thread::sleep(Duration::from_millis(u64::try_from(dice.below(60)).unwrap()));
            if dice.below(2) == 0 {
                edit(tree, dice);
            }
            running.signal(9);
            running.finish();
        }
    }
}

/// Twenty, or as many as `DEVTASK_HISTORIES` says; or the one `DEVTASK_SEED` names.
fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse().ok());
    match number("DEVTASK_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("DEVTASK_HISTORIES").unwrap_or(20),
    }
}

#[test]
fn any_history_ends_as_a_clean_run_does() {
    for seed in seeds() {
        let mut dice = Dice(seed);
        let tree = Sandbox::with(TASKS);
        INPUTS.iter().for_each(|name| tree.write(name, "0\n"));
        for _ in 0..12 {
            one_step(&tree, &mut dice);
        }
        tree.remove_if_there("broken");
        let output = tree.ok("run");
        let names = OUTPUTS.iter().chain(&["side"]);
        let made: BTreeMap<&str, String> = names.map(|name| (*name, tree.read(name))).collect();
        assert_eq!(made, clean(&tree), "seed {seed}\n{output}");
        tree.ok("run");
        assert_eq!(tree.executed(), set(""), "seed {seed}");
    }
}
