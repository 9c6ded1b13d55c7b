//! Histories: what happens to a world. Pure data, so that a smaller history is the same with less in it.

use std::fmt;

use fastrand::Rng;

use crate::{
    tree::{NAMES, OUTSIDE, Op, universe},
    world::{Declared, VALUES, Wait, World, random_patterns},
};

/// How a conducted run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// By itself.
    Itself,
    Interrupt,
    Kill,
}

/// A change of the task file.
#[derive(Clone, Debug)]
pub(crate) enum Config {
    Salt(u32),
    Env(Option<u32>),
    Patterns(Vec<&'static str>),
    Outputs(Declared),
    /// Switches an edge on or off.
    Edge(usize),
    /// Makes an edge wait for something else.
    Wait(usize, Wait),
    /// Removes the task, or brings it back.
    Present(bool),
}

/// What is done to a declared output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tamper {
    Delete,
    Alter,
    Chmod,
    /// One more file that the pattern matches, if it is a glob.
    Add,
}

/// What is done to a content that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Harm {
    Remove,
    Empty,
    Alter,
}

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Edit(Vec<Op>),
    /// From now on the task fails when it runs.
    Break(usize),
    Repair(usize),
    Config(usize, Config),
    Tamper(usize, Tamper),
    /// The variable of the surroundings gets this value.
    Around(u32),
    /// Time passes until the stamps of files vouch for them (spec section 4.2).
    Age,
    /// The whole tree gets another name.
    Move,
    /// The state directory is lost, or its file damaged at so many thousandths of its length.
    LoseState(Option<u32>),
    /// What was kept of results is lost or damaged: all of it, or every other content.
    Harm(usize, Harm),
    /// Everything is repaired; those who only look (`list`, `why`, a dry run) are asked, then it is run.
    Ask(usize),
    /// One run, of this task or of all.
    Run(Option<usize>),
    /// One run of this task with options; of all with `--fail-fast`.
    RunWith(usize, &'static [&'static str]),
    /// Edits, then a run in which the task is held before it reads and, if there is something to be done
    /// then, once it has read and written half; edits while it is held; edits afterwards.
    Conduct {
        task: usize,
        before: Vec<Op>,
        early: Vec<Op>,
        late: Option<Vec<Op>>,
        end: End,
        after: Vec<Op>,
    },
    /// A run that is ended after so many thousandths of the time the last one took.
    Cut {
        before: Vec<Op>,
        permille: u32,
        end: End,
        after: Vec<Op>,
    },
    /// Everything is repaired, then two runs at once.
    Two(Vec<Op>),
    /// Everything is repaired, then a run, whose result must be that of a clean one.
    Quiet,
}

/// A world and what happens to it.
#[derive(Clone, Debug)]
pub(crate) struct History {
    pub(crate) world: World,
    pub(crate) steps: Vec<Step>,
    /// Whether one of its quiet points is compared with a clean run that is really executed.
    pub(crate) really: bool,
    /// Whether a watch takes the place of runs.
    pub(crate) watched: bool,
    /// Whether devtask is told how fine the stamps of files are here. Else most of what a history writes is too new to
    /// be trusted before it is over.
    pub(crate) fine: bool,
}

impl History {
    /// The history with this seed.
    pub(crate) fn random(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let world = World::random(&mut rng);
        let mut steps = vec![Step::Quiet];
        let mut maker = Maker { rng: &mut rng, world: &world };
        for _ in 0..maker.rng.usize(3..8) {
            steps.push(maker.step());
            if maker.rng.u8(..3) > 0 {
                steps.push(Step::Quiet);
            }
        }
        if maker.rng.u8(..20) == 0 {
            let at = maker.rng.usize(1..=steps.len());
            steps.insert(at, Step::Age);
        }
        steps.extend([Step::Quiet, Step::Run(None)]);
        let really = rng.u8(..4) == 0;
        let fine = seed.is_multiple_of(2);
        if fine {
            settle(&mut steps, world.tasks.len(), &mut rng);
        }
        Self { world, steps, really, fine, watched: false }
    }

    /// The same under a watch.
    pub(crate) fn watched(seed: u64) -> Self {
        Self { watched: true, ..Self::random(seed) }
    }
}

/// Has nothing happen here and there for so long, and be found so often, that devtask keeps the answer as a whole; and
/// then, now and again, something that leaves no trace but in its own records.
fn settle(steps: &mut Vec<Step>, tasks: usize, rng: &mut Rng) {
    for at in (1..=steps.len()).rev() {
        if rng.u8(..3) > 0 {
            continue;
        }
        let mut rest: Vec<Step> = (0..3).flat_map(|_| [Step::Age, Step::Quiet]).collect();
        if rng.bool() {
            let task = rng.usize(..tasks);
            rest.extend([Step::Break(task), Step::RunWith(task, &["--force"]), Step::Quiet]);
        }
        steps.splice(at..at, rest);
    }
}

struct Maker<'a> {
    rng: &'a mut Rng,
    world: &'a World,
}

impl Maker<'_> {
    fn step(&mut self) -> Step {
        let task = self.task();
        let options: [&[&str]; 4] =
            [&["--mode", "single"], &["--fail-fast"], &["--force"], &["--refresh-task-cache"]];
        match self.rng.u8(..38) {
            33..=34 => Step::Ask(task),
            35 => Step::Move,
            37 => {
                let all = [Harm::Remove, Harm::Empty, Harm::Alter];
                Step::Harm(self.rng.usize(..100), all[self.rng.usize(..3)])
            }
            36 => Step::LoseState(self.rng.bool().then(|| self.rng.u32(..1000))),
            30 => Step::Around(self.rng.u32(..3)),
            31..=32 => Step::RunWith(task, options[self.rng.usize(..4)]),
            0..=8 => Step::Edit(self.ops(3)),
            9 => Step::Break(task),
            10 => Step::Repair(task),
            11..=14 => self.config(task),
            15..=17 => {
                let all = [Tamper::Delete, Tamper::Alter, Tamper::Chmod, Tamper::Add];
                Step::Tamper(task, all[self.rng.usize(..4)])
            }
            18..=19 => Step::Run(self.rng.bool().then_some(task)),
            20..=24 => self.conduct(task),
            25..=27 => Step::Cut {
                before: self.ops(2),
                permille: self.rng.u32(..1100),
                end: self.cut(),
                after: self.ops(1),
            },
            _ => Step::Two(self.ops(2)),
        }
    }

    fn cut(&mut self) -> End {
        if self.rng.u8(..4) == 0 { End::Interrupt } else { End::Kill }
    }

    fn task(&mut self) -> usize {
        self.rng.usize(..self.world.tasks.len())
    }

    fn ops(&mut self, up_to: usize) -> Vec<Op> {
        (0..self.rng.usize(..=up_to)).map(|_| self.op()).collect()
    }

    /// A path, mostly one that some task reads.
    fn path(&mut self) -> String {
        let task = self.task();
        self.path_of(task)
    }

    fn path_of(&mut self, task: usize) -> String {
        let read = self.world.candidates(task);
        let is_there = |path: &&(usize, String)| self.world.files.iter().any(|(there, _)| *there == path.1);
        let there: Vec<&(usize, String)> = read.iter().filter(is_there).collect();
        match self.rng.u8(..10) {
            0..=6 if !there.is_empty() => there[self.rng.usize(..there.len())].1.clone(),
            0..=8 if !read.is_empty() => read[self.rng.usize(..read.len())].1.clone(),
            _ => {
                let all = universe();
                all[self.rng.usize(..all.len())].clone()
            }
        }
    }

    /// Another name in the same directory.
    fn sibling(&mut self, path: &str) -> String {
        let (dir, _) = path.rsplit_once('/').unwrap_or_default();
        format!("{dir}/{}", NAMES[self.rng.usize(..NAMES.len())])
    }

    fn dir(&mut self) -> String {
        ["src/d", "src/e", "lib/d", "far/d"][self.rng.usize(..4)].to_owned()
    }

    fn value(&mut self) -> u32 {
        self.rng.u32(..VALUES)
    }

    fn op(&mut self) -> Op {
        let (task, value) = (self.task(), self.value());
        let path = self.path_of(task);
        if self.world.other_branch.is_some() && self.rng.u8(..6) == 0 {
            return Op::Checkout(self.rng.bool());
        }
        match self.rng.u8(..29) {
            0..=5 => Op::Write(path, value),
            6 => Op::Rewrite(path),
            7 => Op::Touch(path, self.rng.bool()),
            8..=10 => Op::WriteKeepingTime(path, value),
            11..=12 => Op::Save(path, value, self.rng.bool()),
            13..=14 => Op::Chmod(path),
            15..=16 => Op::Rename(path, self.path_of(task)),
            17 => {
                let sibling = self.sibling(&path);
                Op::Rename(path, sibling)
            }
            18..=19 => Op::Delete(path),
            20 => Op::ToDirectory(path, value),
            21 => Op::ToLink(path, OUTSIDE[self.rng.usize(..OUTSIDE.len())]),
            22 => Op::Swap(path, self.path()),
            23 => Op::Swap(self.dir(), self.dir()),
            24 => Op::Rename(self.dir(), self.dir()),
            25 => Op::Deep(value),
            26 => Op::ToDirectoryLink(["src/d", "src/e", "lib/d"][self.rng.usize(..3)].to_owned()),
            27 => Op::Outside(OUTSIDE[self.rng.usize(..OUTSIDE.len())], self.rng.bool().then_some(value)),
            _ => Op::Ignore(self.rng.bool()),
        }
    }

    fn config(&mut self, task: usize) -> Step {
        let edges = self.world.tasks[task].edges.len();
        let config = match self.rng.u8(..8) {
            0 => Config::Salt(self.rng.u32(..3)),
            1 => Config::Env((self.rng.u8(..3) > 0).then(|| self.rng.u32(..3))),
            2 => Config::Patterns(random_patterns(self.rng)),
            3 => Config::Outputs([Declared::No, Declared::Literal, Declared::Glob][self.rng.usize(..3)]),
            4..=5 if edges > 0 => Config::Edge(self.rng.usize(..edges)),
            6 if edges > 0 => {
                let waits = [Wait::Succeeded, Wait::Completed, Wait::Started];
                Config::Wait(self.rng.usize(..edges), waits[self.rng.usize(..3)])
            }
            _ if task > 0 => Config::Present(self.rng.u8(..3) > 0),
            _ => Config::Salt(self.rng.u32(..3)),
        };
        Step::Config(task, config)
    }

    /// Edits during a run leave a trace at its end: what appears and disappears, or is moved away and back,
    /// while a task runs is a documented limit (README, "Limits"), and is not made here. So there is one edit
    /// at the first gate, and at the second one that puts the content of the same file back, or none.
    fn conduct(&mut self, task: usize) -> Step {
        let (path, value) = (self.path_of(task), self.value());
        let before = Op::Write(path.clone(), value);
        let end = if self.rng.bool() { End::Itself } else { self.cut() };
        if self.rng.u8(..3) == 0 {
            // An edit, a run that is ended in the middle of the task, the edit taken back.
            let early = Vec::new();
            let after = vec![Op::PutBack(path)];
            return Step::Conduct { task, before: vec![before], early, late: Some(Vec::new()), end, after };
        }
        let other = if self.rng.u8(..4) > 0 { path } else { self.path() };
        let value = self.value();
        let (early, late) = match self.rng.u8(..8) {
            0..=1 => (Op::Write(other.clone(), value), Some(vec![Op::PutBack(other)])),
            2 => (Op::WriteKeepingTime(other.clone(), value), Some(vec![Op::PutBack(other)])),
            3 => (Op::Write(other, value), Some(Vec::new())),
            4 => (Op::Delete(other), None),
            5 => (Op::Save(other, value, self.rng.bool()), None),
            6 => (Op::Rename(other, self.path()), None),
            _ => (Op::Chmod(other), None),
        };
        Step::Conduct { task, before: vec![before], early: vec![early], late, end, after: Vec::new() }
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the tree:")?;
        for (path, value) in &self.world.files {
            writeln!(f, "  {path}: {value}")?;
        }
        writeln!(f, "  git ignores *.tmp: {}", self.world.ignore)?;
        if let Some(other) = &self.world.other_branch {
            writeln!(f, "  on the other branch: {other:?}")?;
        }
        writeln!(f, "the tasks:")?;
        for task in self.world.present() {
            writeln!(f, "  {}", task.told(&self.world))?;
        }
        writeln!(f, "what happens (stamps are {}):", if self.fine { "fine" } else { "coarse" })?;
        for (number, step) in self.steps.iter().enumerate() {
            writeln!(f, "{:3}. {step}", number + 1)?;
        }
        Ok(())
    }
}

fn list(ops: &[Op]) -> String {
    let ops: Vec<String> = ops.iter().map(Op::to_string).collect();
    if ops.is_empty() { "nothing".to_owned() } else { ops.join(", ") }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Edit(ops) => write!(f, "{}", list(ops)),
            Self::Break(task) => write!(f, "t{task} fails from now on"),
            Self::Repair(task) => write!(f, "t{task} fails no more"),
            Self::Config(task, config) => write!(f, "the task file, t{task}: {config:?}"),
            Self::Tamper(task, how) => write!(f, "the output of t{task}: {how:?}"),
            Self::Around(value) => write!(f, "the variable AROUND becomes {value}"),
            Self::Move => write!(f, "the tree gets another name"),
            Self::LoseState(None) => write!(f, "the state directory is removed"),
            Self::LoseState(Some(at)) => write!(f, "the state file is damaged at {at} of 1000"),
            Self::Harm(_, how) => write!(f, "what is kept: {how:?}"),
            Self::Ask(task) => {
                write!(f, "all repaired; devtask list; devtask why t{task}; devtask run -n; devtask run")
            }
            Self::Age => write!(f, "so much time passes that stamps are trusted"),
            Self::RunWith(_, how) if how.contains(&"--fail-fast") => write!(f, "devtask run --fail-fast"),
            Self::RunWith(task, how) => write!(f, "devtask run {} t{task}", how.join(" ")),
            Self::Run(None) => write!(f, "devtask run"),
            Self::Run(Some(task)) => write!(f, "devtask run t{task}"),
            Self::Conduct { task, before, early, late, end, after } => {
                write!(f, "{}; devtask run; before t{task} reads: {}", list(before), list(early))?;
                if let Some(late) = late {
                    write!(f, "; when it has written half: {}", list(late))?;
                }
                write!(f, "; then {}; {}", how(*end), list(after))
            }
            Self::Cut { before, permille, end, after } => {
                let when = f64::from(*permille) / 1000.0;
                write!(f, "{}; devtask run, {} after {when} of the usual time", list(before), how(*end))?;
                write!(f, "; {}", list(after))
            }
            Self::Two(ops) => write!(f, "{}; all repaired; devtask run, twice at once", list(ops)),
            Self::Quiet => write!(f, "all repaired; devtask run: compared with a clean run"),
        }
    }
}

fn how(end: End) -> &'static str {
    match end {
        End::Itself => "it goes on",
        End::Interrupt => "SIGINT",
        End::Kill => "SIGKILL",
    }
}
