//! One random case: a graph, what is asked of it, and what each task will do.

use std::{fmt, path::Path, sync::Arc, time::Duration};

use devtask::{
    TaskGraph,
    model::{
        Action, Condition, Declaration, EdgeRef, Outcome, Probe, ProbeKind, ProcessSpec, Restart, RestartOn,
        Shutdown, Task, TaskKind, TaskName,
    },
    plan::Mode,
};
use fastrand::Rng;

/// What a task will do when it is its turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    Fresh,
    NoCommand,
    Fine,
    Fails,
    CannotBegin,
    /// Judged to be over, with these facts from elsewhere.
    Over {
        began: bool,
        outcome: Outcome,
    },
    /// Judged to stay as it was before the run.
    AsBefore(Outcome),
    /// A process that ends by itself.
    Ends {
        ready: bool,
        fine: bool,
    },
    /// A process that ends only when it is told to.
    Stays {
        ready: bool,
    },
}

/// What a task is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Matter {
    Gathers,
    AlwaysRuns,
    Keyed,
}

#[derive(Clone, Debug)]
pub(crate) struct Sketch {
    /// Makes the name; the order of declaration follows it and so is unlike the order of edges.
    pub(crate) label: usize,
    /// A process, and whether it has a probe.
    pub(crate) process: Option<bool>,
    /// What it is judged by: nothing to execute, nothing to be fresh by, or files.
    pub(crate) matter: Matter,
    pub(crate) lock: Option<u8>,
    pub(crate) interactive: bool,
    pub(crate) duration: u64,
    pub(crate) script: Script,
    /// How often it waits for others while it executes.
    pub(crate) waits: u8,
}

/// `up` is always the smaller index, so every case is acyclic.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub(crate) up: usize,
    pub(crate) down: usize,
    pub(crate) condition: Option<Condition>,
    /// Declared as `before` of the upstream, not as `after` of the downstream.
    pub(crate) before: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) seed: u64,
    pub(crate) tasks: Vec<Sketch>,
    pub(crate) links: Vec<Link>,
    /// Callers and what they called when they last ran, which is always the smaller index.
    pub(crate) calls: Vec<(usize, usize)>,
    pub(crate) roots: Vec<usize>,
    pub(crate) mode: Mode,
    pub(crate) jobs: usize,
    pub(crate) fail_fast: bool,
    /// Processes outlive the run.
    pub(crate) keeps: bool,
    /// The number of the step at which the run is cancelled.
    pub(crate) cancel_at: Option<usize>,
}

impl Case {
    pub(crate) fn random(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let size = if seed % 40 == 39 { rng.usize(41..160) } else { rng.usize(1..=40) };
        let mut labels: Vec<usize> = (0..size).collect();
        rng.shuffle(&mut labels);
        // Whole cases lean one way, so that long healthy runs are as frequent as broken ones.
        let (failing, processes, locks) = (rng.u32(0..35), rng.u32(0..40), rng.u32(0..40));
        let tasks: Vec<Sketch> = labels
            .into_iter()
            .map(|label| Sketch::random(&mut rng, label, [failing, processes, locks]))
            .collect();
        let links = random_links(&mut rng, &tasks);
        let roots = (0..rng.usize(1..=3)).map(|_| rng.usize(0..size)).collect();
        let calls = random_calls(&mut rng, &tasks, &links);
        Self {
            calls,
            seed,
            tasks,
            links,
            roots,
            mode: Mode::ALL[rng.choice([0, 1, 1, 2, 3, 3]).unwrap_or(1)],
            jobs: rng.usize(1..=8),
            fail_fast: rng.u8(0..4) == 0,
            keeps: rng.u8(0..4) == 0,
            cancel_at: (rng.u8(0..5) == 0).then(|| rng.usize(0..3 * size)),
        }
    }

    pub(crate) fn graph(&self) -> Result<TaskGraph, String> {
        let mut declarations: Vec<Declaration> = self.tasks.iter().map(Sketch::declaration).collect();
        for link in &self.links {
            let (at, other) = if link.before { (link.up, link.down) } else { (link.down, link.up) };
            let edge = EdgeRef { task: self.tasks[other].name(), condition: link.condition, place: None };
            let own = &mut declarations[at];
            if link.before { own.before.push(edge) } else { own.after.push(edge) }
        }
        declarations.sort_by_key(|d| d.task.name.clone());
        TaskGraph::build(declarations).map_err(|faults| format!("a sound graph was refused: {faults:?}"))
    }

    /// The cases that are smaller by one task or one edge, or ask for less.
    pub(crate) fn smaller(&self) -> impl Iterator<Item = Self> + '_ {
        let tasks = (0..self.tasks.len()).rev().filter_map(|at| self.without_task(at));
        let links = (0..self.links.len()).map(|at| {
            let mut smaller = self.clone();
            smaller.links.remove(at);
            smaller
        });
        let calls = (0..self.calls.len()).map(|at| {
            let mut smaller = self.clone();
            smaller.calls.remove(at);
            smaller
        });
        let calm = self.cancel_at.map(|_| Self { cancel_at: None, ..self.clone() });
        let patient = self.fail_fast.then(|| Self { fail_fast: false, ..self.clone() });
        tasks.chain(links).chain(calls).chain(calm).chain(patient)
    }

    fn without_task(&self, gone: usize) -> Option<Self> {
        let moved = |at: usize| (at != gone).then_some(if at > gone { at - 1 } else { at });
        let roots: Vec<usize> = self.roots.iter().filter_map(|at| moved(*at)).collect();
        let links =
            self.links.iter().filter_map(|l| Some(Link { up: moved(l.up)?, down: moved(l.down)?, ..*l }));
        let calls = self.calls.iter().filter_map(|(caller, called)| Some((moved(*caller)?, moved(*called)?)));
        let mut smaller = Self { links: links.collect(), calls: calls.collect(), roots, ..self.clone() };
        smaller.tasks.remove(gone);
        (!smaller.roots.is_empty()).then_some(smaller)
    }
}

fn random_links(rng: &mut Rng, tasks: &[Sketch]) -> Vec<Link> {
    let density = rng.usize(1..=4);
    let mut links: Vec<Link> = Vec::new();
    for _ in 0..tasks.len() * density / 2 {
        let (a, b) = (rng.usize(0..tasks.len()), rng.usize(0..tasks.len()));
        if a == b {
            continue;
        }
        links.push(random_link(rng, tasks, a.min(b), a.max(b)));
        // Sometimes the pair is declared a second time.
        if rng.u8(0..6) == 0 {
            links.push(random_link(rng, tasks, a.min(b), a.max(b)));
        }
    }
    links
}

/// Calls to whatever needs no process: those are never followed.
fn random_calls(rng: &mut Rng, tasks: &[Sketch], links: &[Link]) -> Vec<(usize, usize)> {
    let calls: Vec<(usize, usize)> = (0..rng.usize(0..4))
        .map(|_| (rng.usize(0..tasks.len()), rng.usize(0..tasks.len())))
        .filter(|(caller, called)| called < caller && tasks[*caller].process.is_none())
        .collect();
    let needs_process = |called: usize| {
        let mut needed = vec![called];
        let mut at = 0;
        while let Some(&task) = needed.get(at) {
            at += 1;
            let ups = links.iter().filter(|link| link.down == task).map(|link| link.up);
            let called = calls.iter().filter(|(caller, _)| *caller == task).map(|(_, called)| *called);
            let new: Vec<usize> = ups.chain(called).filter(|up| !needed.contains(up)).collect();
            needed.extend(new);
        }
        needed.iter().any(|task| tasks[*task].process.is_some())
    };
    calls.iter().copied().filter(|(_, called)| !needs_process(*called)).collect()
}

fn random_link(rng: &mut Rng, tasks: &[Sketch], up: usize, down: usize) -> Link {
    use Condition::{Completed, Ready, Started, Succeeded};
    let legal: &[Option<Condition>] = match tasks[up].process {
        None => &[None, None, Some(Started), Some(Ready), Some(Succeeded), Some(Completed)],
        // Readiness that never comes would be waited for without end.
        Some(true) if tasks[up].script != (Script::Stays { ready: false }) => {
            &[None, Some(Started), Some(Ready), Some(Completed)]
        }
        Some(_) => &[Some(Started), Some(Completed)],
    };
    Link { up, down, condition: legal[rng.usize(0..legal.len())], before: rng.bool() }
}

impl Sketch {
    fn random(rng: &mut Rng, label: usize, [failing, processes, locks]: [u32; 3]) -> Self {
        let process = (rng.u32(0..100) < processes).then(|| rng.bool());
        let script = match (process, rng.u32(0..100) < failing) {
            (_, true) if rng.u8(0..4) == 0 => Script::CannotBegin,
            (None, _) if rng.u8(0..16) == 0 => {
                let outcome = rng.choice([Outcome::Succeeded, Outcome::Cached, Outcome::Failed]);
                let outcome = outcome.unwrap_or(Outcome::Failed);
                match rng.u8(0..3) {
                    0 => Script::AsBefore(outcome),
                    _ => Script::Over { began: rng.bool(), outcome },
                }
            }
            (None, true) => Script::Fails,
            (None, false) => [Script::Fine, Script::Fine, Script::Fresh, Script::NoCommand][rng.usize(0..4)],
            (Some(_), true) => Script::Ends { ready: rng.bool(), fine: false },
            (Some(_), false) if rng.bool() => Script::Ends { ready: rng.u8(0..3) > 0, fine: true },
            (Some(_), false) => Script::Stays { ready: rng.u8(0..4) > 0 },
        };
        Self {
            label,
            process,
            matter: [Matter::Gathers, Matter::AlwaysRuns, Matter::Keyed, Matter::Keyed][rng.usize(0..4)],
            lock: (rng.u32(0..100) < locks).then(|| rng.u8(0..3)),
            interactive: process.is_none() && rng.u8(0..12) == 0,
            duration: rng.u64(0..50),
            script,
            waits: if process.is_none() && rng.u8(0..6) == 0 { rng.u8(1..3) } else { 0 },
        }
    }

    pub(crate) fn name(&self) -> TaskName {
        TaskName::new(&format!("t:{:03}", self.label)).expect("a legal name")
    }

    fn declaration(&self) -> Declaration {
        let mut task = Task::empty(self.name(), Path::new("/"));
        task.lock = self.lock.map(|lock| format!("lock{lock}"));
        task.interactive = self.interactive;
        task.project = Arc::from("t");
        if self.matter != Matter::Gathers || self.process.is_some() {
            task.action = Action::Script("true".into());
        }
        if self.matter == Matter::Keyed && self.process.is_none() {
            task.exec_if_modified = vec!["file".into()];
        }
        if let Some(probe) = self.process {
            task.kind = TaskKind::Process(Box::new(process(probe)));
        }
        Declaration { task, place: None, after: Vec::new(), before: Vec::new(), ports: Vec::new() }
    }
}

fn process(probe: bool) -> ProcessSpec {
    let second = Duration::from_secs(1);
    ProcessSpec {
        autostart: true,
        ready: probe.then_some(Probe {
            kind: ProbeKind::Notify,
            initial_delay: second,
            until_ready: second,
            period: second,
            probe_timeout: second,
            timeout: None,
            success_threshold: 1,
            failure_threshold: 1,
        }),
        restart: Restart { on: RestartOn::Never, max: None, window: None },
        shutdown: Shutdown { signal: 15, grace: second },
        listen: Vec::new(),
        watchdog: None,
        ports: std::collections::BTreeMap::new(),
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, roots, mode, jobs, fail_fast, keeps, cancel_at, .. } = self;
        writeln!(
            f,
            "seed {seed}: roots {roots:?} mode {mode} jobs {jobs} fail_fast {fail_fast} keeps {keeps} cancel {cancel_at:?}"
        )?;
        for (at, task) in self.tasks.iter().enumerate() {
            writeln!(f, "  {at}: {task:?}")?;
        }
        for link in &self.links {
            writeln!(f, "  {link:?}")?;
        }
        Ok(())
    }
}
