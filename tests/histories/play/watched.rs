//! The same histories with a watch that stays, in place of one run after the other.
//!
//! While files are edited the watch is stopped (SIGSTOP), so that all edits of a step are one burst to it, as they
//! are one run's business otherwise. A file of its own is written last; once the task that reads it has run and the
//! watch says that it waits, everything before has been seen.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Seek as _, SeekFrom},
    path::PathBuf,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use super::{Divergence, Player};
use crate::{
    model,
    oracle::{Seen, Settled},
    steps::End,
    support::{DEADLINE, gate::Gate},
    tree::{self, Op, Touched, Walk},
};

/// What the task that tells of the last edit reads.
pub(crate) const MARK: &str = "mark";

/// How long a guest is waited for that finds no door to knock at.
const KNOCK: Duration = Duration::from_secs(1);

/// A watch under way.
pub(super) struct Watched {
    child: Child,
    events: PathBuf,
    /// How much of its events was read.
    read: u64,
    marks: u32,
}

/// What a watch came to.
enum Came {
    /// It waits, with this many cycles since it was asked last.
    Waits,
    /// It is gone.
    Ended,
}

impl Watched {
    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        // Until it is waited for, its number is its own.
        kill_process(pid, signal).unwrap();
    }

    /// Waits until every thread of it has stopped: the signal is one thread's to take, and the others go on until then.
    fn stands_still(&self) {
        let end = Instant::now() + DEADLINE;
        let tasks = format!("/proc/{}/task", self.child.id());
        let goes_on = |task: fs::DirEntry| {
            let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            // After the name in parentheses, which may hold anything.
            let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
            state.is_some_and(|state| !"TtZX".contains(state))
        };
        while fs::read_dir(&tasks).into_iter().flatten().flatten().any(goes_on) {
            assert!(Instant::now() < end, "the watch does not stop: {}", self.told());
            thread::sleep(Duration::from_micros(50));
        }
    }

    /// Reads events until it waits after the task of the mark has ended (`marked`), or at all.
    fn rest(&mut self, marked: bool) -> Came {
        let end = Instant::now() + DEADLINE;
        let mut has_mark = !marked;
        loop {
            let ended = self.child.try_wait().unwrap().is_some();
            for line in self.lines() {
                let event: serde_json::Value = serde_json::from_str(&line).unwrap();
                match event["event"].as_str().unwrap() {
                    "task_finished" if event["task"] == "w:mark" => has_mark = true,
                    "waiting" if has_mark => return Came::Waits,
                    _ => {}
                }
            }
            if ended {
                return Came::Ended;
            }
            assert!(Instant::now() < end, "the watch does not come to rest: {}", self.told());
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// The events that were not read yet, as far as they are whole.
    fn lines(&mut self) -> Vec<String> {
        let Ok(mut file) = fs::File::open(&self.events) else { return Vec::new() };
        file.seek(SeekFrom::Start(self.read)).unwrap();
        let mut lines = Vec::new();
        let mut reader = BufReader::new(file);
        let mut line = String::new();
        while reader.read_line(&mut line).is_ok_and(|read| read > 0) && line.ends_with('\n') {
            self.read += line.len() as u64;
            lines.push(std::mem::take(&mut line));
        }
        lines
    }

    fn told(&self) -> String {
        fs::read_to_string(&self.events).unwrap_or_default()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // One that is gone already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until a guest has a socket, that is stands at the owner's door, or has ended.
fn has_knocked(guest: &mut Child) {
    let has_socket = |guest: &Child| {
        let open = fs::read_dir(format!("/proc/{}/fd", guest.id())).into_iter().flatten().flatten();
        let mut links = open.filter_map(|entry| fs::read_link(entry.path()).ok());
        links.any(|link| link.to_string_lossy().starts_with("socket:"))
    };
    let end = Instant::now() + KNOCK;
    while Instant::now() < end && !has_socket(guest) && guest.try_wait().unwrap().is_none() {
        thread::sleep(Duration::from_millis(1));
    }
}

impl Player {
    fn begin_watch(&mut self) {
        let events = self.base.join(format!("events-{}", self.plays));
        let mut command = self.command(&["watch", "--ui", "plain"]);
        if !self.plays.is_multiple_of(3) {
            // One that is in no hurry: guests are first to execute what was edited.
            command.args(["--debounce", "50ms"]);
        }
        command.arg("--events").arg(&events).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        self.plays += 1;
        self.count.runs += 1;
        self.watch = Some(Watched { child, events, read: 0, marks: 0 });
    }

    /// The watch is stopped while something is done to the tree.
    pub(super) fn hold_watch(&self, hold: bool) {
        if let Some(watch) = &self.watch {
            watch.signal(if hold { Signal::STOP } else { Signal::CONT });
            if hold {
                watch.stands_still();
            }
        }
    }

    /// What comes next is not for a watch to see.
    pub(super) fn end_watch(&mut self, end: End) {
        let Some(mut watch) = self.watch.take() else { return };
        watch.signal(if end == End::Kill { Signal::KILL } else { Signal::INT });
        watch.signal(Signal::CONT);
        watch.child.wait().unwrap();
        self.orphans_end();
    }

    fn mark(&mut self) {
        let Some(watch) = &mut self.watch else { return };
        watch.marks += 1;
        fs::write(self.place.root.join(MARK), format!("{} {}", self.plays, watch.marks)).unwrap();
    }

    /// In place of a run: what was done is seen, and what has to run has run.
    pub(super) fn settle(&mut self) -> Result<(), Divergence> {
        let before = tree::walk(&self.place.root);
        let begun = Instant::now();
        let is_first = self.watch.is_none();
        if is_first {
            self.begin_watch();
        } else {
            self.mark();
            self.hold_watch(false);
        }
        let came = self.watch.as_mut().map(|watch| watch.rest(!is_first));
        self.usual = begun.elapsed();
        self.count.runs += 1;
        self.hold_watch(true);
        if matches!(came, Some(Came::Ended)) {
            return self.tell(vec![format!("the watch ended by itself: {}", self.told())]);
        }
        self.judge_watched(&before, is_first)
    }

    /// While the watch sees what was done, somebody else asks for the same, or for one task of it: what rests on that is
    /// the watch's to run.
    pub(super) fn settle_with_guest(&mut self, task: Option<usize>) -> Result<(), Divergence> {
        if self.watch.is_none() || !self.broken.is_empty() {
            return self.settle_repaired();
        }
        let named = task.filter(|id| self.world.tasks[*id].present).map(|id| format!("w:t{id}"));
        let words = ["run", "--ui", "plain"].into_iter().chain(named.as_deref());
        let mut guest = self.command(&words.collect::<Vec<_>>());
        let mut guest = guest.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        // It knocks before the watch goes on, and is the first to be heard then.
        has_knocked(&mut guest);
        self.hold_watch(false);
        let guest = guest.wait_with_output().unwrap();
        self.count.runs += 1;
        self.mark();
        self.is_configured = false;
        self.rest_and_enter(1)?;
        let said = String::from_utf8_lossy(&guest.stderr).into_owned();
        self.tell(if guest.status.success() {
            Vec::new()
        } else {
            vec![format!("a guest ended with {}: {said}", guest.status)]
        })
    }

    /// Once the watch is at rest there is nothing to be run, whoever asks.
    pub(super) fn ask_watched(&mut self, id: usize) -> Result<(), Divergence> {
        let id = if self.world.tasks[id].present { id } else { 0 };
        self.hold_watch(false);
        let name = format!("w:t{id}");
        let asked = [vec!["list"], vec!["why", &name], vec!["run", "-n"]];
        let answers = asked.map(|words| (words.join(" "), self.command(&words).output().unwrap()));
        self.hold_watch(true);
        let bad = answers.iter().filter(|(_, answer)| !answer.status.success());
        let wrong = bad.map(|(words, answer)| {
            let said = String::from_utf8_lossy(&answer.stderr);
            format!("at rest, `{words}` ended with {}: {said}", answer.status)
        });
        self.tell(wrong.collect())
    }

    fn told(&self) -> String {
        self.watch.as_ref().map(Watched::told).unwrap_or_default()
    }

    fn judge_watched(&mut self, before: &Walk, is_first: bool) -> Result<(), Divergence> {
        let traces = self.new_traces();
        let after = tree::walk(&self.place.root);
        if is_first && self.damaged {
            // One that ended unheard may have found it out.
            self.books.enter_loss(false);
        }
        let seen = Seen {
            before,
            after: &after,
            traces: &traces,
            scheduled: self.world.present().map(|task| task.id).collect(),
            named: None,
            broken: &self.broken,
            touched: Touched::new(),
            held: None,
            codes: Vec::new(),
            watch: Some(match (is_first, std::mem::take(&mut self.is_configured)) {
                (true, _) => Settled::First,
                (false, false) => Settled::Again,
                (false, true) => Settled::Reloaded,
            }),
        };
        self.count.executed += traces.values().map(|trace| trace.starts).sum::<usize>();
        self.ran = traces.iter().filter(|(_, trace)| trace.starts > 0).map(|(id, _)| *id).collect();
        let mut verdict = self.books.enter(&self.world, &seen);
        self.count.needless += verdict.needless;
        if self.broken.is_empty() {
            verdict.wrong.extend(model::divergences_of_keyed(&self.world, &after));
        }
        if !verdict.wrong.is_empty() {
            verdict.wrong.push(format!("the watch said:\n{}", self.told()));
        }
        self.tell(verdict.wrong)
    }

    /// Edits, and a cycle in which a task is held at its gates while files are edited, or ended at the last of them.
    pub(super) fn conduct_watched(
        &mut self,
        id: usize,
        early: &[Op],
        late: Option<&[Op]>,
        end: End,
    ) -> Result<(), Divergence> {
        if self.watch.is_none() || !self.world.tasks[id].present || self.world.tasks[id].door {
            return self.settle();
        }
        let before = tree::walk(&self.place.root);
        let mut gates = vec![("early", early)];
        gates.extend(late.map(|ops| ("late", ops)));
        let mut open: Vec<Gate> =
            gates.iter().map(|(when, _)| Gate::new(self.base.join(format!("ctl/t{id}-{when}")))).collect();
        self.mark();
        self.hold_watch(false);
        for number in 0..gates.len() {
            if !self.comes_to(&mut open[number]) {
                break;
            }
            self.count.held += 1;
            for way in ["here", "go"] {
                // When it runs again nobody holds it.
                let _ = fs::remove_file(self.base.join(format!("ctl/t{id}-{}.{way}", gates[number].0)));
            }
            gates[number].1.iter().for_each(|op| self.place.apply(op, &before));
            match end {
                _ if number + 1 < gates.len() => open[number].open(),
                End::Itself => open[number].open(),
                End::Interrupt | End::Kill => {
                    self.end_watch(end);
                    self.count.kills += 1;
                }
            }
        }
        for (when, way) in ["early", "late"].iter().flat_map(|when| ["here", "go"].map(|way| (when, way))) {
            let _ = fs::remove_file(self.base.join(format!("ctl/t{id}-{when}.{way}")));
        }
        if self.watch.is_none() {
            return self.enter_cut_watched();
        }
        // After all that was done to it meanwhile.
        self.mark();
        self.rest_and_enter(3)
    }

    /// Until its task has run, or it waits without having come there.
    fn comes_to(&mut self, gate: &mut Gate) -> bool {
        let end = Instant::now() + DEADLINE;
        let mut has_mark = false;
        loop {
            if gate.is_reached() {
                return true;
            }
            let Some(watch) = &mut self.watch else { return false };
            for line in watch.lines() {
                let event: serde_json::Value = serde_json::from_str(&line).unwrap();
                has_mark |= event["event"] == "task_finished" && event["task"] == "w:mark";
                if has_mark && event["event"] == "waiting" {
                    return false;
                }
            }
            assert!(Instant::now() < end, "neither came to its gate nor to rest: {}", watch.told());
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits for rest after a cycle nobody can foretell, and enters what has to hold then.
    fn rest_and_enter(&mut self, most: usize) -> Result<(), Divergence> {
        let came = self.watch.as_mut().map(|watch| watch.rest(true));
        self.hold_watch(true);
        if matches!(came, Some(Came::Ended)) {
            return self.tell(vec![format!("the watch ended by itself: {}", self.told())]);
        }
        let traces = self.new_traces();
        let after = tree::walk(&self.place.root);
        let mut wrong = self.books.enter_settled(&self.world, &traces, &after, most);
        if self.broken.is_empty() {
            wrong.extend(model::divergences_of_keyed(&self.world, &after));
        }
        if !wrong.is_empty() {
            wrong.push(format!("the watch said:\n{}", self.told()));
        }
        self.tell(wrong)
    }

    /// A watch that is ended at some moment of a cycle.
    pub(super) fn cut_watched(&mut self, permille: u32, end: End) -> Result<(), Divergence> {
        if self.watch.is_none() {
            return self.settle();
        }
        self.mark();
        self.hold_watch(false);
        // Not to wait for anything, but to end it anywhere.
        thread::sleep(self.usual * permille / 1000);
        self.end_watch(end);
        self.count.kills += 1;
        self.enter_cut_watched()
    }

    fn enter_cut_watched(&mut self) -> Result<(), Divergence> {
        let traces = self.new_traces();
        let wrong = self.books.enter_cut(&self.world, &traces);
        self.tell(wrong)
    }

    /// What tasks wrote into their traces since this was asked last.
    fn new_traces(&mut self) -> BTreeMap<usize, crate::oracle::Trace> {
        let mut traces = BTreeMap::new();
        for id in 0..self.world.tasks.len() {
            let text = self.trace(id);
            let seen = self.traced.entry(id).or_default();
            let mut trace = crate::oracle::Trace::default();
            for line in text.lines().skip(*seen) {
                *seen += 1;
                let mut words = line.split(' ').skip(1);
                match words.next() {
                    Some("start") => {
                        trace.starts += 1;
                        trace.ended = None;
                    }
                    _ => trace.ended = words.next().and_then(|value| value.parse().ok()),
                }
            }
            traces.insert(id, trace);
        }
        traces
    }
}
