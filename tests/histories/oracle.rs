//! What must come of a run, and which tasks it has to execute: the promise, computed plainly and without
//! devtask.
//!
//! The oracle keeps books over every run, those that fail or are killed included. Of each task it knows what
//! its last success rested on (the *key*, spelled out line by line), or that it has to run, or, where an edit
//! during a run leaves both open, that it may.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    model::{hands_on, number, outputs, row, value},
    script::{self, NOTHING},
    tree::{Kind, Touched, Walk},
    world::{Freshness, How, Task, Wait, World, out},
};

/// What a task's freshness rests on, spelled out.
pub(crate) type Key = BTreeSet<String>;

/// Whether a task has to run, as far as its past decides.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Past {
    /// It has to: it never ran, failed, was killed, or saw an edit in the middle.
    Must,
    /// It succeeded, with this key and these outputs.
    Fresh(Key, Vec<String>),
    /// The same; but it may have been begun again by a run that was killed.
    MayBe(Key, Vec<String>),
    /// Whatever it does is right, as long as the result is.
    Open,
}

/// The books.
#[derive(Clone, Debug)]
pub(crate) struct Books {
    past: BTreeMap<usize, Past>,
    /// What each task made when it last succeeded.
    values: BTreeMap<usize, u32>,
    shelves: BTreeMap<usize, Shelf>,
}

/// The results of a task that come back: of successes since it last failed or was killed.
#[derive(Clone, Debug, Default)]
struct Shelf {
    /// What they rest on, and whether it is certain that they are there.
    results: BTreeMap<Key, bool>,
    /// Whether there may be others.
    has_more: bool,
}

impl Shelf {
    fn doubt(&mut self) {
        self.results.values_mut().for_each(|is_certain| *is_certain = false);
    }
}

/// What one task did in a run, by its trace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Trace {
    pub(crate) starts: usize,
    pub(crate) ended: Option<u32>,
}

/// What is known of one run that ended by itself.
pub(crate) struct Seen<'a> {
    pub(crate) before: &'a Walk,
    pub(crate) after: &'a Walk,
    pub(crate) traces: &'a BTreeMap<usize, Trace>,
    pub(crate) scheduled: BTreeSet<usize>,
    /// The task that was named, if one was.
    pub(crate) named: Option<usize>,
    /// Tasks that were to fail.
    pub(crate) broken: &'a BTreeSet<usize>,
    /// Paths edited while the run went on, and the task that was held then.
    pub(crate) touched: Touched,
    pub(crate) held: Option<usize>,
    /// The exit code of each process that ran it at once.
    pub(crate) codes: Vec<Option<i32>>,
    /// Whether it is what a watch did until it waited.
    pub(crate) watch: Option<Settled>,
}

/// How a watch came to rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    /// For the first time: as a run does.
    First,
    /// After some changes.
    Again,
    /// After some changes, of the task file, too.
    Reloaded,
}

/// What became of one task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Became {
    Ran(u32),
    Cached(u32),
    Skipped,
    Failed,
    Blocked,
}

/// What is wrong with a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verdict {
    /// Where the promise was broken.
    pub(crate) wrong: Vec<String>,
    /// Tasks that ran although nothing had changed.
    pub(crate) needless: usize,
}

impl Verdict {
    fn say(&mut self, text: String) {
        self.wrong.push(text);
    }
}

impl Books {
    pub(crate) fn new() -> Self {
        Self { past: BTreeMap::new(), values: BTreeMap::new(), shelves: BTreeMap::new() }
    }

    fn past(&self, id: usize) -> &Past {
        self.past.get(&id).unwrap_or(&Past::Must)
    }

    /// Enters that the state is gone: everything has to run. Of a damaged one nobody knows what is left.
    pub(crate) fn enter_loss(&mut self, wholly: bool) {
        match wholly {
            true => self.shelves.clear(),
            false => self.enter_harm(),
        }
        let past = if wholly { Past::Must } else { Past::Open };
        self.past.values_mut().for_each(|known| *known = past.clone());
    }

    /// Enters that devtask found a damaged state in a run in which these tasks executed: what it knew of the others
    /// before may be gone.
    pub(crate) fn enter_loss_but(&mut self, ran: &BTreeSet<usize>) {
        self.past.iter_mut().filter(|(id, _)| !ran.contains(id)).for_each(|(_, known)| *known = Past::Open);
        self.enter_harm();
    }

    /// Enters that something of what was kept may be gone.
    pub(crate) fn enter_harm(&mut self) {
        self.shelves.values_mut().for_each(Shelf::doubt);
    }

    /// Whether a result of a task with this key may come back, and if so, whether that is certain.
    fn shelved(&self, world: &World, id: usize, key: &Key) -> Option<bool> {
        let shelf = self.shelves.get(&id).filter(|_| world.is_kept(id))?;
        shelf.results.get(key).copied().or_else(|| shelf.has_more.then_some(false))
    }

    /// Judges a run that ended by itself, and enters it.
    pub(crate) fn enter(&mut self, world: &World, seen: &Seen<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        let mut became: BTreeMap<usize, Became> = BTreeMap::new();
        for task in world.present() {
            let trace = seen.traces.get(&task.id).copied().unwrap_or_default();
            if !seen.scheduled.contains(&task.id) {
                if trace.starts > 0 {
                    verdict.say(format!("t{} ran and was not wanted", task.id));
                }
                continue;
            }
            let came = self.one(world, seen, task, trace, &became, &mut verdict);
            became.insert(task.id, came);
        }
        if seen.watch.is_none() {
            self.check_code(world, seen, &became, &mut verdict);
        }
        verdict
    }

    fn one(
        &mut self,
        world: &World,
        seen: &Seen<'_>,
        task: &Task,
        trace: Trace,
        became: &BTreeMap<usize, Became>,
        verdict: &mut Verdict,
    ) -> Became {
        let id = task.id;
        let freshness = world.freshness(id);
        let satisfied = |wait: Wait, came: Became| match (wait, came) {
            (Wait::Completed, _) => true,
            (_, Became::Blocked) => false,
            (Wait::Started, _) => true,
            (Wait::Succeeded, came) => came != Became::Failed,
        };
        if !world.edges(id).all(|edge| satisfied(edge.wait, became[&edge.to])) {
            if trace.starts > 0 {
                verdict.say(format!("t{id} ran although something upstream of it failed"));
            }
            return Became::Blocked;
        }
        if freshness == Freshness::Door {
            return Became::Skipped;
        }
        let runs = seen.codes.len().max(1);
        let most = match freshness {
            Freshness::Always => runs,
            Freshness::Keyed if runs > 1 && may_be_disturbed(world, seen.traces, id) => runs,
            _ => 1,
        };
        let has_cause = seen.watch != Some(Settled::Again) || has_cause(world, seen, id);
        if trace.starts > most {
            verdict.say(format!("t{id} ran {} times", trace.starts));
        }
        let tainted = self.is_tainted(world, seen, id);
        let now = key(world, seen, id, &handed(world, id, became));
        match freshness {
            // A task that is another than before runs, too.
            Freshness::Always | Freshness::Status if seen.watch == Some(Settled::Reloaded) => {}
            Freshness::Always | Freshness::Status if !has_cause && trace.starts > 0 => {
                verdict.needless += 1;
                verdict.say(format!("t{id} ran although nothing upstream of it did"));
            }
            Freshness::Always | Freshness::Status if !has_cause => {}
            Freshness::Always if trace.starts < runs => {
                verdict.say(format!("t{id} always runs and did not"));
            }
            Freshness::Status if !tainted && *self.past(id) != Past::Open => {
                self.check_status(world, seen, task, trace, became, verdict)
            }
            Freshness::Keyed if !tainted => self.check(world, seen, id, &now, trace, verdict),
            _ => {}
        }
        let came = match (trace.starts, trace.ended) {
            (0, _) if freshness == Freshness::Status => Became::Cached(number(seen.after.get(&out(id)))),
            // Which result came back, its file says; whether that is the right one is seen where that is compared.
            (0, _) if world.is_kept(id) => Became::Cached(number(seen.after.get(&out(id)))),
            (0, _) => Became::Cached(self.values.get(&id).copied().unwrap_or(NOTHING)),
            (_, Some(value)) => Became::Ran(value),
            (_, None) => Became::Failed,
        };
        if (came == Became::Failed) != (seen.broken.contains(&id) && trace.starts > 0) {
            verdict.say(format!("t{id}: {came:?} is not what was to become of it"));
        }
        let outputs = outputs(task, seen.after);
        let past = match came {
            Became::Ran(_) if freshness != Freshness::Keyed => Past::Must,
            Became::Ran(_) if tainted && seen.held == Some(id) => Past::Must,
            Became::Failed => Past::Must,
            _ if tainted => Past::Open,
            Became::Ran(_) => Past::Fresh(now, outputs),
            // What may have been begun again was not, or it would have run.
            Became::Cached(_) if freshness == Freshness::Keyed => Past::Fresh(now, outputs),
            _ => return came,
        };
        match (&past, came) {
            (_, Became::Failed) => drop(self.shelves.remove(&id)),
            (Past::Fresh(key, _), Became::Ran(_)) if world.is_kept(id) => {
                self.shelves.entry(id).or_default().results.insert(key.clone(), true);
            }
            // Whether it was disturbed, and with what it was kept if not, nobody knows.
            (_, Became::Ran(_)) => self.shelves.entry(id).or_default().has_more = true,
            _ => {}
        }
        self.past.insert(id, past);
        if let Became::Ran(value) | Became::Cached(value) = came {
            self.values.insert(id, value);
        }
        came
    }

    /// Whether something the task looks at was edited during the run.
    fn is_tainted(&self, world: &World, seen: &Seen<'_>, id: usize) -> bool {
        let is_touched = |walk| {
            let inputs = world.inputs(id, walk);
            let read = world.candidates(id);
            // A directory where a file would be read is not read.
            inputs.iter().any(|(path, _)| seen.touched.contains_key(*path))
                || read.iter().any(|(_, path)| seen.touched.get(path) == Some(&true))
        };
        !seen.touched.is_empty() && (is_touched(seen.before) || is_touched(seen.after))
    }

    /// A task whose key decides: what is unchanged must not run, what changed must.
    fn check(
        &self,
        world: &World,
        seen: &Seen<'_>,
        id: usize,
        now: &Key,
        trace: Trace,
        verdict: &mut Verdict,
    ) {
        let ran = trace.starts > 0;
        let found = outputs(&world.tasks[id], seen.before);
        let (must, may, why) = match self.past(id) {
            Past::Must => (true, true, "it never ran to its end undisturbed".to_owned()),
            Past::Fresh(key, outputs) | Past::MayBe(key, outputs) => {
                let differs = key != now || *outputs != found;
                let may = differs || matches!(self.past(id), Past::MayBe(..));
                (differs, may, format!("{}{}", difference(key, now), compared(outputs, &found)))
            }
            Past::Open => (false, true, String::new()),
        };
        let shelved = self.shelved(world, id, now);
        let comes_back = matches!((shelved, self.past(id)), (Some(true), Past::Fresh(..) | Past::Must));
        let (must, may) = (must && shelved.is_none(), may && !comes_back);
        if must && !ran {
            verdict.say(format!("t{id} did not run: {why}"));
        }
        if ran && !may {
            verdict.needless += 1;
            verdict.say(format!("t{id} ran although nothing changed"));
        }
    }

    /// A task whose status decides, by what stands in its output.
    fn check_status(
        &self,
        world: &World,
        seen: &Seen<'_>,
        task: &Task,
        trace: Trace,
        became: &BTreeMap<usize, Became>,
        verdict: &mut Verdict,
    ) {
        let value = value(world, task.id, seen.after, |from, how| received(world, seen, became, from, how));
        let stands = seen.before.get(&out(task.id)).map(|node| &node.kind);
        let done = matches!(stands, Some(Kind::File { content, .. }) if content.trim() == value.to_string());
        if done == (trace.starts > 0) {
            verdict.say(format!("t{}: its status was not followed", task.id));
        }
    }

    /// A failure counts unless the task was not named, something waits for it, and all of that only for its
    /// end (spec section 2).
    fn check_code(
        &self,
        world: &World,
        seen: &Seen<'_>,
        became: &BTreeMap<usize, Became>,
        verdict: &mut Verdict,
    ) {
        let counts = |(id, came): (&usize, &Became)| {
            let out_of = became.keys().flat_map(|other| world.edges(*other)).filter(|edge| edge.to == *id);
            let waits: Vec<Wait> = out_of.map(|edge| edge.wait).collect();
            let soft = !waits.is_empty() && waits.iter().all(|wait| *wait == Wait::Completed);
            *came == Became::Failed && (!soft || seen.named == Some(*id))
        };
        let expected = i32::from(became.iter().any(counts));
        if seen.codes.iter().any(|code| *code != Some(expected)) {
            verdict.say(format!("the exit code is {:?} instead of {expected}", seen.codes));
        }
    }

    /// Enters that a watch has come to rest after files were edited while it ran tasks: everything is fresh now.
    pub(crate) fn enter_settled(
        &mut self,
        world: &World,
        traces: &BTreeMap<usize, Trace>,
        after: &Walk,
        most: usize,
    ) -> Vec<String> {
        let mut wrong = Vec::new();
        for task in world.present() {
            let trace = traces.get(&task.id).copied().unwrap_or_default();
            let most = match world.freshness(task.id) {
                // Who asks has what its files do not decide done upstream of it, when the watch has run it already.
                Freshness::Keyed if rests_on_more_than_files(world, traces, task.id) => most + 1,
                Freshness::Keyed => most,
                // What rests on no key is run for everybody who asks.
                _ => 3,
            };
            if trace.starts > most {
                wrong.push(format!("t{} ran {} times", task.id, trace.starts));
            }
            if let Some(value) = trace.ended {
                self.values.insert(task.id, value);
            }
        }
        let scheduled = world.present().map(|task| task.id).collect();
        let none = BTreeSet::new();
        let seen = Seen {
            before: after,
            after,
            traces,
            scheduled,
            named: None,
            broken: &none,
            touched: Touched::new(),
            held: None,
            codes: Vec::new(),
            watch: Some(Settled::Again),
        };
        let mut became = BTreeMap::new();
        for task in world.present() {
            let value = match world.is_kept(task.id) {
                true => number(after.get(&out(task.id))),
                false => self.values.get(&task.id).copied().unwrap_or(NOTHING),
            };
            became.insert(task.id, if task.door { Became::Skipped } else { Became::Cached(value) });
            let now = key(world, &seen, task.id, &handed(world, task.id, &became));
            let past = match world.freshness(task.id) {
                Freshness::Keyed => Past::Fresh(now, outputs(task, after)),
                _ => Past::Must,
            };
            let shelf = self.shelves.entry(task.id).or_default();
            shelf.doubt();
            shelf.has_more = true;
            self.past.insert(task.id, past);
        }
        wrong
    }

    /// Enters a run that was killed or interrupted, or left out or forced something: what had started without coming to its end has to run,
    /// of what ended nobody knows whether it was recorded, and the rest may have been begun.
    pub(crate) fn enter_cut(&mut self, world: &World, traces: &BTreeMap<usize, Trace>) -> Vec<String> {
        let mut wrong = Vec::new();
        for id in world.present().map(|task| task.id) {
            let trace = traces.get(&id).copied().unwrap_or_default();
            if trace.starts > 1 {
                wrong.push(format!("t{id} ran {} times", trace.starts));
            }
            if let Some(value) = trace.ended {
                self.values.insert(id, value);
            }
            let past = match (trace.starts, trace.ended, self.past(id).clone()) {
                // What a kill left running may come to its end before the next run ends it.
                _ if world.freshness(id) == Freshness::Status => Past::Open,
                (1.., None, _) => Past::Must,
                (1.., Some(_), _) if world.freshness(id) == Freshness::Keyed => Past::Open,
                (1.., Some(_), _) => Past::Must,
                (0, _, Past::Fresh(key, outputs)) => Past::MayBe(key, outputs),
                (0, _, past) => past,
            };
            let shelf = self.shelves.entry(id).or_default();
            match (trace.starts, trace.ended) {
                (1.., None) => *shelf = Shelf::default(),
                (1.., Some(_)) => {
                    shelf.doubt();
                    shelf.has_more = true;
                }
                (0, _) => shelf.doubt(),
            }
            self.past.insert(id, past);
        }
        wrong
    }
}

/// Whether something upstream of a task ran: in a watch that is what has a task run that rests on no key.
fn has_cause(world: &World, seen: &Seen<'_>, id: usize) -> bool {
    let ran = |id: usize| seen.traces.get(&id).is_some_and(|trace| trace.starts > 0);
    world.edges(id).any(|edge| ran(edge.to) || has_cause(world, seen, edge.to))
}

/// Whether something upstream of a task was executed for another reason than its files.
fn rests_on_more_than_files(world: &World, traces: &BTreeMap<usize, Trace>, id: usize) -> bool {
    let ran = |id: usize| traces.get(&id).is_some_and(|trace| trace.starts > 0);
    let decides = |id: usize| !matches!(world.freshness(id), Freshness::Keyed | Freshness::Door);
    world
        .edges(id)
        .any(|edge| decides(edge.to) && ran(edge.to) || rests_on_more_than_files(world, traces, edge.to))
}

/// Whether one of several runs may write a file anew that the task looks at while it executes in another one: what each
/// run executes does, and so does what was disturbed like that and is executed again (spec section 4.3).
fn may_be_disturbed(world: &World, traces: &BTreeMap<usize, Trace>, id: usize) -> bool {
    let ran = |id: usize| traces.get(&id).is_some_and(|trace| trace.starts > 0);
    let decides = |id: usize| !matches!(world.freshness(id), Freshness::Keyed | Freshness::Door);
    let files = world.reads(id).into_iter().filter(|(_, how)| matches!(how, How::File | How::Listed));
    files
        .map(|(from, _)| from)
        // Their outputs count, whether it reads them or not.
        .chain(world.producers(id))
        .any(|from| ran(from) && (decides(from) || may_be_disturbed(world, traces, from)))
}

/// The lines in which two keys differ.
fn difference(before: &Key, now: &Key) -> String {
    let lines = before.difference(now).map(|l| format!("\n    - {}", l.replace('\n', "\n      ")));
    lines.chain(now.difference(before).map(|l| format!("\n    + {}", l.replace('\n', "\n      ")))).collect()
}

fn compared(recorded: &[String], found: &[String]) -> String {
    if recorded == found {
        String::new()
    } else {
        format!("\n    its outputs were {recorded:?}, are {found:?}")
    }
}

/// What each task a task sees hands on to it, in a run in which this became of them.
fn handed(world: &World, id: usize, became: &BTreeMap<usize, Became>) -> BTreeMap<usize, u32> {
    let value = |from: usize| match became.get(&from) {
        Some(Became::Ran(value) | Became::Cached(value)) => Some((from, *value)),
        _ => None,
    };
    world.seen(id).into_iter().filter_map(value).collect()
}

/// The key of a task (spec section 4.1).
fn key(world: &World, seen: &Seen<'_>, id: usize, handed: &BTreeMap<usize, u32>) -> Key {
    let task = &world.tasks[id];
    if task.door {
        return Key::new();
    }
    let mut key = Key::from([
        format!("exec {}", script::exec(world, task)),
        format!("env {:?}", task.env),
        format!("patterns {:?} {:?}", world.patterns(id), script::declared(task)),
        format!("around {:?}", task.tracks.then_some(world.around)),
    ]);
    let walk = seen.after;
    key.extend(world.inputs(id, walk).iter().map(|(path, node)| format!("file {}", row(path, node))));
    for (from, value) in handed {
        let (json, export) = hands_on(&world.tasks[*from], *value);
        key.extend(json.map(|value| format!("t{from} hands on {value}")));
        key.extend(export.map(|value| format!("t{from} exports {value}")));
        // The export is part of the JSON where the task says it there.
        if !world.tasks[*from].bash {
            key.extend(export.map(|value| format!("t{from} exports {value} in its output")));
        }
    }
    for from in world.producers(id) {
        key.insert(format!("t{from} made"));
        key.extend(outputs(&world.tasks[from], walk).iter().map(|row| format!("t{from} made {row}")));
    }
    key
}

/// What a task reads of another after a run.
fn received(world: &World, seen: &Seen<'_>, became: &BTreeMap<usize, Became>, from: usize, how: How) -> u32 {
    let value = match became.get(&from) {
        Some(Became::Ran(value) | Became::Cached(value)) => Some(*value),
        _ => None,
    };
    let (json, export) = value.map_or((None, None), |value| hands_on(&world.tasks[from], value));
    match how {
        How::Json => json.unwrap_or(NOTHING),
        How::Export => export.unwrap_or(NOTHING),
        How::File | How::Listed => number(seen.after.get(&out(from))),
    }
}
