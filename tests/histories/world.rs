//! Worlds: graphs of tasks, and what each task sees of the others (spec sections 3 and 4.1), plainly.
//!
//! Tasks are numbered in topological order. What a configuration edit may change is a field; edges and
//! whole tasks can be switched off, so that a smaller world is the same world with less in it.

use std::collections::BTreeSet;

use fastrand::Rng;

use crate::{
    glob::{self, Match},
    tree::{DIRS, Kind, NAMES, Node, Walk, universe},
};

/// Patterns of inputs.
const PATTERNS: [&str; 16] = [
    "src/a.txt",
    "src/d",
    "lib",
    "far/a.txt",
    "src/d/deep/b.txt",
    "src/*.txt",
    "src/**/*.txt",
    "src/**",
    "**/b.txt",
    "{src,lib}/**/*.md",
    "lib/?.txt",
    "src/d/[ab].txt",
    "src/**/.h.txt",
    "lib/**",
    "src/e/*",
    "src/d/**/c.md",
];
const NEGATIONS: [&str; 6] =
    ["!src/d/**", "!**/b.txt", "!src/e", "!**/*.tmp", "!lib/d/a.txt", "!src/*/deep/**"];

/// Files hold numbers below this: few, so that an edit is often taken back by another.
pub(crate) const VALUES: u32 = 5;

/// What an edge waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    Succeeded,
    Completed,
    Started,
}

#[derive(Clone, Debug)]
pub(crate) struct Edge {
    pub(crate) to: usize,
    pub(crate) wait: Wait,
    pub(crate) on: bool,
}

/// How the output file is declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Declared {
    No,
    Literal,
    Glob,
}

/// Whether a task writes its value as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Json {
    No,
    Yes,
    /// Only if the value is even.
    Sometimes,
}

/// How a task reads what another made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum How {
    Json,
    Export,
    /// Its declared output.
    File,
    /// Its output file, listed among the inputs.
    Listed,
}

#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) id: usize,
    pub(crate) present: bool,
    /// Without a command: passes on what is upstream of it.
    pub(crate) door: bool,
    /// Whether a status command decides.
    pub(crate) status: bool,
    /// Run by bash, whose exports can be listed; else by sh.
    pub(crate) bash: bool,
    pub(crate) in_sub: bool,
    pub(crate) salt: u32,
    pub(crate) env: Option<u32>,
    /// Whether a variable of the surroundings counts.
    pub(crate) tracks: bool,
    pub(crate) patterns: Vec<&'static str>,
    pub(crate) outputs: Declared,
    pub(crate) edges: Vec<Edge>,
    pub(crate) json: Json,
    pub(crate) export: bool,
    /// Whether it hands on a third of its value only, so that dependents are cut off early.
    pub(crate) coarse: bool,
    /// Whether it also makes a file whose name depends on its value.
    pub(crate) splits: bool,
    pub(crate) reads: Vec<(usize, How)>,
}

/// What decides whether a task runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    Door,
    Always,
    Status,
    Keyed,
}

#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) tasks: Vec<Task>,
    /// The files there are at first.
    pub(crate) files: Vec<(String, u32)>,
    pub(crate) ignore: bool,
    /// The value of the variable of the surroundings that some tasks track.
    pub(crate) around: u32,
    /// A git repository; on its other branch these files are otherwise.
    pub(crate) other_branch: Option<Vec<(String, u32)>>,
}

impl World {
    pub(crate) fn random(rng: &mut Rng) -> Self {
        let size = match rng.u8(..10) {
            0..=1 => rng.usize(1..3),
            2..=6 => rng.usize(2..7),
            7..=8 => rng.usize(5..14),
            _ => rng.usize(10..41),
        };
        let mut tasks: Vec<Task> = Vec::new();
        for id in 0..size {
            let task = Task::random(rng, &tasks, id);
            tasks.push(task);
        }
        // The first stays, so that there is always something to run.
        tasks[0].door = false;
        tasks.iter_mut().skip(1).for_each(|task| task.present = rng.u8(..12) > 0);
        // What every task makes is declared, in half of them: then whatever succeeded once comes back.
        if rng.bool() {
            let all = [Declared::Literal, Declared::Glob];
            tasks.iter_mut().for_each(|task| task.outputs = all[rng.usize(..2)]);
        }
        let mut files = Vec::new();
        for dir in DIRS.iter().filter(|dir| !["src/new/x/y", "src/a.txt"].contains(dir)) {
            for name in NAMES {
                if rng.bool() {
                    files.push((format!("{dir}/{name}"), rng.u32(..VALUES)));
                }
            }
        }
        let all = universe();
        let elsewhere = |rng: &mut Rng| (all[rng.usize(..all.len() - 3)].clone(), rng.u32(..VALUES));
        let other_branch = (rng.u8(..8) == 0).then(|| (0..4).map(|_| elsewhere(rng)).collect());
        Self { tasks, files, ignore: rng.bool(), around: 0, other_branch }
    }

    pub(crate) fn present(&self) -> impl DoubleEndedIterator<Item = &Task> {
        self.tasks.iter().filter(|task| task.present)
    }

    /// The edges out of a task to those upstream.
    pub(crate) fn edges(&self, id: usize) -> impl Iterator<Item = &Edge> {
        self.tasks[id].edges.iter().filter(|edge| edge.on && self.tasks[edge.to].present)
    }

    /// The tasks a task sees: upstream of it through every edge but `@started`.
    pub(crate) fn seen(&self, id: usize) -> BTreeSet<usize> {
        let mut seen = BTreeSet::new();
        let mut open = vec![id];
        while let Some(at) = open.pop() {
            let hands_on = self.edges(at).filter(|edge| edge.wait != Wait::Started);
            open.extend(hands_on.map(|edge| edge.to).filter(|to| seen.insert(*to)));
        }
        seen
    }

    /// The tasks a run of this one schedules, itself included.
    pub(crate) fn scheduled(&self, id: usize) -> BTreeSet<usize> {
        let mut all = BTreeSet::from([id]);
        let mut open = vec![id];
        while let Some(at) = open.pop() {
            open.extend(self.edges(at).map(|edge| edge.to).filter(|to| all.insert(*to)));
        }
        all
    }

    /// The tasks whose declared outputs are part of a task's key.
    pub(crate) fn producers(&self, id: usize) -> BTreeSet<usize> {
        let mut producers = BTreeSet::new();
        for edge in self.edges(id).filter(|edge| edge.wait != Wait::Started) {
            if self.tasks[edge.to].door {
                producers.extend(self.producers(edge.to));
            } else if self.tasks[edge.to].outputs != Declared::No {
                producers.insert(edge.to);
            }
        }
        producers
    }

    /// What a task reads of others, as things stand.
    pub(crate) fn reads(&self, id: usize) -> Vec<(usize, How)> {
        let (seen, producers) = (self.seen(id), self.producers(id));
        let task = &self.tasks[id];
        let possible = |(from, how): &(usize, How)| match how {
            _ if self.tasks[*from].door => false,
            How::Json => seen.contains(from) && self.tasks[*from].json != Json::No,
            How::Export => seen.contains(from) && self.tasks[*from].export,
            How::File => producers.contains(from),
            How::Listed => {
                let direct = |edge: &Edge| edge.to == *from && edge.wait != Wait::Started;
                !task.status && !task.patterns.is_empty() && self.edges(id).any(direct)
            }
        };
        task.reads.iter().copied().filter(possible).collect()
    }

    /// `execIfModified`, relative to the root.
    pub(crate) fn patterns(&self, id: usize) -> Vec<String> {
        let task = &self.tasks[id];
        if task.status || task.door {
            return Vec::new();
        }
        let listed = self.reads(id).into_iter().filter(|(_, how)| *how == How::Listed);
        task.patterns.iter().map(|p| (*p).to_owned()).chain(listed.map(|(from, _)| out(from))).collect()
    }

    pub(crate) fn freshness(&self, id: usize) -> Freshness {
        let task = &self.tasks[id];
        match task {
            Task { door: true, .. } => Freshness::Door,
            Task { status: true, .. } => Freshness::Status,
            _ if task.patterns.is_empty() && task.outputs == Declared::No => Freshness::Always,
            _ => Freshness::Keyed,
        }
    }

    /// Whether what a task left comes back.
    pub(crate) fn is_kept(&self, id: usize) -> bool {
        self.freshness(id) == Freshness::Keyed && self.tasks[id].outputs != Declared::No
    }

    /// The paths a task looks at, with their numbers in the universe. What git may ignore it reads only
    /// where ignoring does not matter.
    pub(crate) fn candidates(&self, id: usize) -> Vec<(usize, String)> {
        let patterns: Vec<String> = self.tasks[id].patterns.iter().map(|p| (*p).to_owned()).collect();
        let wanted = |path: &str| match glob::matched(&patterns, path) {
            Match::No => false,
            Match::Literal => true,
            Match::Glob => !path.ends_with(".tmp"),
        };
        universe().into_iter().enumerate().filter(|(_, path)| wanted(path)).collect()
    }

    /// The files that are a task's inputs.
    pub(crate) fn inputs<'w>(&self, id: usize, walk: &'w Walk) -> Vec<(&'w String, &'w Node)> {
        let patterns = self.patterns(id);
        let ignored = walk.get(".gitignore").is_some_and(
            |node| matches!(&node.kind, Kind::File { content, .. } if content.contains("*.tmp")),
        );
        let is_input = |(path, node): &(&String, &Node)| match glob::matched(&patterns, path) {
            Match::No => false,
            Match::Literal => true,
            // A directory of that name is ignored with all that is in it.
            Match::Glob => {
                let hidden = ignored && path.split('/').any(|name| name.ends_with(".tmp"));
                node.kind != Kind::Directory && !hidden
            }
        };
        walk.iter().filter(is_input).collect()
    }
}

impl Task {
    fn random(rng: &mut Rng, before: &[Self], id: usize) -> Self {
        let mut edges = Vec::new();
        for _ in 0..rng.usize(..4) {
            if id == 0 {
                break;
            }
            // Mostly near ones, so that there are chains.
            let reach = if rng.bool() { id.min(3) } else { id };
            let to = id - 1 - rng.usize(..reach);
            if edges.iter().all(|edge: &Edge| edge.to != to) {
                let wait = match rng.u8(..10) {
                    0 => Wait::Started,
                    1..=2 => Wait::Completed,
                    _ => Wait::Succeeded,
                };
                edges.push(Edge { to, wait, on: rng.u8(..8) > 0 });
            }
        }
        let hows = [How::Json, How::Export, How::File, How::Listed];
        let mut reads = BTreeSet::new();
        for edge in &edges {
            reads.extend((0..2).map(|_| (edge.to, hows[rng.usize(..4)])));
            let farther = &before[edge.to].edges;
            reads.extend(farther.iter().map(|edge| (edge.to, hows[rng.usize(..3)])));
        }
        let status = rng.u8(..9) == 0;
        let patterns = if rng.u8(..6) == 0 { Vec::new() } else { random_patterns(rng) };
        let bash = rng.u8(..8) == 0;
        Self {
            id,
            present: true,
            door: rng.u8(..12) == 0,
            status,
            bash,
            in_sub: rng.u8(..6) == 0,
            salt: rng.u32(..1000),
            env: (rng.u8(..3) == 0).then(|| rng.u32(..4)),
            tracks: rng.u8(..6) == 0,
            patterns,
            outputs: [Declared::No, Declared::Literal, Declared::Glob][rng.usize(..3)],
            edges,
            json: if status { Json::No } else { [Json::No, Json::Yes, Json::Sometimes][rng.usize(..3)] },
            // What a status hands on it can only export.
            export: rng.bool() && (!status || bash),
            coarse: rng.u8(..4) == 0,
            splits: rng.bool(),
            reads: reads.into_iter().collect(),
        }
    }
}

impl Task {
    /// The task in one line.
    pub(crate) fn told(&self, world: &World) -> String {
        let mut told = format!("t{} {:?}", self.id, world.freshness(self.id));
        let edges: Vec<String> = world.edges(self.id).map(|e| format!("t{} {:?}", e.to, e.wait)).collect();
        told += &format!(", after {edges:?}");
        if self.door {
            return told;
        }
        let own = if self.bash { "bash" } else { "sh" };
        told += &format!(", {own}, inputs {:?}, outputs {:?}", self.patterns, self.outputs);
        told += &format!(", reads {:?}, JSON {:?}", world.reads(self.id), self.json);
        let flags = [
            (self.splits, "splits"),
            (self.in_sub, "in sub"),
            (self.export, "exports"),
            (self.coarse, "coarse"),
        ];
        let flags =
            flags.into_iter().chain([(self.tracks, "tracks AROUND"), (self.env.is_some(), "has env")]);
        told + &flags.filter(|(on, _)| *on).map(|(_, flag)| format!(", {flag}")).collect::<String>()
    }
}

/// One to three patterns, at times with a negation.
pub(crate) fn random_patterns(rng: &mut Rng) -> Vec<&'static str> {
    let mut patterns: Vec<&str> =
        (0..rng.usize(1..3)).map(|_| PATTERNS[rng.usize(..PATTERNS.len())]).collect();
    if rng.u8(..3) == 0 {
        patterns.push(NEGATIONS[rng.usize(..NEGATIONS.len())]);
    }
    patterns.dedup();
    patterns
}

/// The file a task writes.
pub(crate) fn out(id: usize) -> String {
    format!("out/t{id}.o")
}

/// The files of which it makes one, if it does.
pub(crate) fn halves(task: &Task) -> Option<[String; 2]> {
    let does = task.splits && task.outputs == Declared::Glob && !task.status;
    does.then(|| [0, 1].map(|half| format!("out/t{}.s{half}", task.id)))
}
