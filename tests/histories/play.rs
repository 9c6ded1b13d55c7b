//! Playing a history: a sandbox, the real program, and the oracle beside it.

mod runs;
mod watched;

pub(crate) use watched::MARK;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    count::Count,
    model,
    oracle::Books,
    script,
    steps::{Config, End, Harm, History, Step, Tamper},
    tree::{self, Op, Place, Walk},
    world::{Declared, VALUES, World, out},
};

/// Where the promise was broken.
#[derive(Clone, Debug)]
pub(crate) struct Divergence {
    /// The number of the step.
    pub(crate) step: usize,
    pub(crate) wrong: Vec<String>,
}

/// A history in its sandbox, ready to be played.
pub(crate) struct Player {
    history: History,
    world: World,
    _dir: TempDir,
    place: Place,
    base: PathBuf,
    fault: Option<&'static str>,
    books: Books,
    broken: BTreeSet<usize>,
    /// What began in the last run that was cut off, did not end, and has not run since.
    half_done: BTreeSet<usize>,
    /// Whether the state was damaged: devtask may find that out, and say so, whenever it comes by.
    damaged: bool,
    /// Whether something that was kept was.
    is_harmed: bool,
    /// What executed in the last run that was judged.
    ran: BTreeSet<usize>,
    /// Whether it is a history of a watch.
    is_watched: bool,
    /// The watch, while there is one.
    watch: Option<watched::Watched>,
    /// Whether the task file was edited since the watch came to rest.
    is_configured: bool,
    /// How many lines of each trace were read, where there is one.
    traced: BTreeMap<usize, usize>,
    plays: usize,
    usual: Duration,
    pub(crate) ready_since: Instant,
    pub(crate) count: Count,
}

impl Player {
    /// Lays out the tree.
    pub(crate) fn new(history: History, fault: Option<&'static str>) -> Self {
        let dir = tempfile::Builder::new().prefix("devtask-history-").tempdir_in(memory()).unwrap();
        let base = dir.path().canonicalize().unwrap();
        let at = |name: &str| base.join(name);
        for name in ["tree", "outside", "home", "tmp", "ctl", "trace"] {
            fs::create_dir(at(name)).unwrap();
        }
        let place = Place { root: at("tree"), outside: at("outside"), home: at("home") };
        for name in ["sub", "out"] {
            fs::create_dir(place.root.join(name)).unwrap();
        }
        let write = |(path, value): &(String, u32)| Op::Write(path.clone(), *value);
        let nothing = Walk::new();
        history.world.files.iter().for_each(|file| place.apply(&write(file), &nothing));
        place.apply(&Op::Ignore(history.world.ignore), &nothing);
        place.apply(&Op::Outside("a.txt", Some(1)), &nothing);
        place.apply(&Op::Outside("b.txt", Some(2)), &nothing);
        if let Some(other) = &history.world.other_branch {
            place.make_repository(&other.iter().map(write).collect::<Vec<_>>());
        }
        let player = Self {
            world: history.world.clone(),
            is_watched: history.watched,
            history,
            _dir: dir,
            place,
            base,
            fault,
            books: Books::new(),
            broken: BTreeSet::new(),
            half_done: BTreeSet::new(),
            damaged: false,
            is_harmed: false,
            ran: BTreeSet::new(),
            watch: None,
            is_configured: false,
            traced: BTreeMap::new(),
            plays: 0,
            usual: Duration::from_millis(20),
            ready_since: Instant::now(),
            count: Count { histories: 1, ..Count::default() },
        };
        player.write_task_file();
        player
    }

    /// Plays it to its end or to the first divergence.
    pub(crate) fn play(&mut self) -> Result<(), Divergence> {
        for (number, step) in self.history.steps.clone().iter().enumerate() {
            self.count.steps += 1;
            self.step(step).map_err(|divergence| Divergence { step: number + 1, ..divergence })?;
        }
        Ok(())
    }

    fn write_task_file(&self) {
        let mut text = script::toml(&self.world);
        if self.is_watched {
            text += &script::mark();
        }
        fs::write(self.place.root.join("devtask.toml"), text).unwrap();
    }

    fn step(&mut self, step: &Step) -> Result<(), Divergence> {
        let then = tree::walk(&self.place.root);
        if self.history.watched {
            return self.step_watched(step, &then);
        }
        match step {
            Step::Edit(ops) => self.edit(ops, &then),
            Step::Break(task) => {
                fs::write(self.marker(*task), "").unwrap();
                self.broken.insert(*task);
            }
            Step::Repair(task) => self.repair(&BTreeSet::from([*task])),
            Step::Config(task, config) => {
                self.configure(*task, config);
                self.write_task_file();
            }
            Step::Around(value) => self.world.around = *value,
            Step::Tamper(task, how) => self.tamper(*task, *how),
            Step::Move => self.rename_tree(),
            Step::LoseState(damage) => self.lose_state(*damage),
            Step::Harm(which, how) => self.harm(*which, *how),
            Step::Ask(task) => return self.ask(*task),
            Step::Age => thread::sleep(self.grown()),
            Step::Run(task) => return self.run(*task),
            Step::RunWith(task, how) => return self.run_with(*task, how),
            Step::Quiet => return self.quiet(1),
            Step::Two(ops) => {
                self.edit(ops, &then);
                return self.quiet(2);
            }
            Step::Conduct { task, before, early, late, end, after } => {
                self.edit(before, &then);
                self.conduct(*task, early, late.as_deref(), *end)?;
                self.edit(after, &then);
            }
            Step::Cut { before, permille, end, after } => {
                self.edit(before, &then);
                self.cut(*permille, *end)?;
                self.edit(after, &then);
            }
        }
        Ok(())
    }

    /// A step while the tree is watched. What a watch cannot take in its stride ends it, one way or another.
    fn step_watched(&mut self, step: &Step, then: &Walk) -> Result<(), Divergence> {
        let end = if self.plays.is_multiple_of(2) { End::Kill } else { End::Interrupt };
        match step {
            Step::Edit(ops) => self.edit(ops, then),
            Step::Tamper(task, how) => self.tamper(*task, *how),
            Step::Age => thread::sleep(self.grown()),
            Step::Harm(which, how) => self.harm(*which, *how),
            Step::Two(ops) => {
                self.edit(ops, then);
                return self.settle_with_guest(None);
            }
            Step::Quiet => return self.settle_repaired(),
            Step::Ask(task) => {
                self.settle_repaired()?;
                return self.ask_watched(*task);
            }
            Step::Config(task, config) => {
                self.configure(*task, config);
                self.write_task_file();
                self.is_configured = true;
            }
            // What fails is tried again only by a watch that begins.
            Step::Run(_) | Step::RunWith(..) | Step::Conduct { .. } | Step::Cut { .. }
                if !self.broken.is_empty() =>
            {
                self.end_watch(end);
                return self.settle();
            }
            Step::Run(None) => return self.settle(),
            Step::Run(Some(task)) | Step::RunWith(task, _) => {
                let read = self.world.candidates(*task).into_iter().next().map(|(_, path)| path);
                let value = u32::try_from(self.count.runs).unwrap_or_default() % VALUES;
                self.edit(&read.map(|path| Op::Write(path, value)).into_iter().collect::<Vec<_>>(), then);
                return self.settle_with_guest(Some(*task));
            }
            Step::Conduct { task, before, early, late, end, after } => {
                self.edit(before, then);
                self.conduct_watched(*task, early, late.as_deref(), *end)?;
                self.edit(after, then);
            }
            Step::Cut { before, permille, end, after } => {
                self.edit(before, then);
                self.cut_watched(*permille, *end)?;
                self.edit(after, then);
            }
            Step::Break(_) | Step::Repair(_) | Step::Around(_) | Step::Move | Step::LoseState(_) => {
                self.end_watch(end);
                self.history.watched = false;
                let done = self.step(step);
                self.history.watched = true;
                return done;
            }
        }
        Ok(())
    }

    pub(super) fn settle_repaired(&mut self) -> Result<(), Divergence> {
        if !self.broken.is_empty() {
            self.end_watch(End::Interrupt);
            self.repair(&self.broken.clone());
        }
        self.count.quiet_points += 1;
        self.settle()
    }

    fn edit(&self, ops: &[Op], then: &Walk) {
        ops.iter().for_each(|op| self.place.apply(op, then));
    }

    fn marker(&self, task: usize) -> PathBuf {
        self.base.join(format!("ctl/t{task}.fail"))
    }

    fn repair(&mut self, tasks: &BTreeSet<usize>) {
        for task in tasks {
            if self.broken.remove(task) {
                fs::remove_file(self.marker(*task)).unwrap();
            }
        }
    }

    fn configure(&mut self, id: usize, config: &Config) {
        let task = &mut self.world.tasks[id];
        match config {
            Config::Salt(salt) => task.salt = *salt,
            Config::Env(env) => task.env = *env,
            Config::Patterns(patterns) => task.patterns.clone_from(patterns),
            Config::Outputs(outputs) => task.outputs = *outputs,
            Config::Edge(edge) => {
                if let Some(edge) = task.edges.get_mut(*edge) {
                    edge.on = !edge.on;
                }
            }
            Config::Wait(edge, wait) => {
                if let Some(edge) = task.edges.get_mut(*edge) {
                    edge.wait = *wait;
                }
            }
            Config::Present(present) => task.present = *present || id == 0,
        }
    }

    fn tamper(&self, id: usize, how: Tamper) {
        let task = &self.world.tasks[id];
        if !task.present || !model::notices_tampering(&self.world, id) {
            return;
        }
        let op = match how {
            Tamper::Delete => Op::Delete(out(id)),
            Tamper::Alter => Op::WriteKeepingTime(out(id), 8),
            Tamper::Chmod if task.outputs != Declared::No => Op::Chmod(out(id)),
            Tamper::Add if task.outputs == Declared::Glob => Op::Write(format!("out/t{id}.more"), 8),
            _ => return,
        };
        self.edit(&[op], &Walk::new());
    }

    fn harm(&mut self, which: usize, how: Harm) {
        let list = |dir: &Path| {
            let entries = fs::read_dir(dir).into_iter().flatten();
            let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
            paths.sort();
            paths
        };
        let layers = list(&self.place.root.join(".devtask/outputs")).into_iter().filter(|path| path.is_dir());
        let contents: Vec<PathBuf> = layers.flat_map(|layer| list(&layer)).collect();
        // Every so-manieth, so that what is needed later is among them often enough.
        for content in contents.iter().step_by(1 + which % 2) {
            match how {
                Harm::Remove => fs::remove_file(content).unwrap(),
                Harm::Empty => fs::write(content, "").unwrap(),
                Harm::Alter => {
                    let altered: Vec<u8> = fs::read(content).unwrap().iter().map(|byte| byte ^ 1).collect();
                    fs::write(content, altered).unwrap();
                }
            }
        }
        self.is_harmed = true;
        self.books.enter_harm();
    }

    fn rename_tree(&mut self) {
        let other = if self.place.root.ends_with("tree") { "moved" } else { "tree" };
        let to = self.base.join(other);
        fs::rename(&self.place.root, &to).unwrap();
        self.place.root = to;
    }

    fn lose_state(&mut self, damage: Option<u32>) {
        let dir = self.place.root.join(".devtask");
        let file = dir.join("state.redb");
        match damage {
            // Before the first run there is none.
            None => drop(fs::remove_dir_all(dir)),
            Some(permille) => {
                let Ok(mut bytes) = fs::read(&file) else { return };
                let at = bytes.len() * usize::try_from(permille).unwrap() / 1000;
                bytes.iter_mut().skip(at).take(512).for_each(|byte| *byte ^= 0x5a);
                fs::write(&file, bytes).unwrap();
            }
        }
        self.damaged = damage.is_some();
        self.books.enter_loss(damage.is_none());
    }
}

/// Where sandboxes are cheap: in memory, if the system has a place for that.
fn memory() -> PathBuf {
    let shared = Path::new("/dev/shm");
    let usable = tempfile::tempfile_in(shared).is_ok();
    if usable { shared.to_owned() } else { std::env::temp_dir() }
}

/// How coarse the stamps of files are here: as coarse as the clock they are taken from, and then some.
pub(crate) fn fine_stamps() -> Duration {
    static FINE: OnceLock<Duration> = OnceLock::new();
    *FINE.get_or_init(|| {
        let probe = tempfile::NamedTempFile::new_in(memory()).unwrap();
        let stamp = || {
            fs::write(probe.path(), "").unwrap();
            fs::metadata(probe.path()).unwrap().modified().unwrap()
        };
        let mut last = stamp();
        let mut next = || {
            let (before, end) = (last, Instant::now() + Duration::from_secs(10));
            while last == before {
                assert!(Instant::now() < end, "stamps stand still");
                last = stamp();
            }
            last.duration_since(before).unwrap_or_default()
        };
        let coarsest = (0..10).map(|_| next()).max().unwrap_or_default();
        2 * coarsest + Duration::from_millis(10)
    })
}

/// From this age on a file's stamps are trusted (spec section 4.2).
const GROWN: Duration = Duration::from_millis(2_100);

impl Player {
    /// Waits until the tree's files are so old that their stat identities vouch for them. Time itself is
    /// what is needed: a change time cannot be set.
    pub(crate) fn grow(&self) {
        thread::sleep(self.grown().saturating_sub(self.ready_since.elapsed()));
    }

    fn grown(&self) -> Duration {
        if self.history.fine { fine_stamps() + Duration::from_millis(1) } else { GROWN }
    }
}
