//! Runs of a history: started, held, ended, two at once; judged by their traces.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Read as _},
    os::unix::process::ExitStatusExt as _,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{Divergence, Player, fine_stamps};
use crate::{
    clean, model,
    oracle::{Seen, Trace},
    steps::End,
    support::{DEADLINE, DEVTASK, eventually_none, gate::Gate},
    tree::{self, Op, Touched, Walk},
    world::Freshness,
};

impl Player {
    /// A run of this task or of all, as things are.
    pub(super) fn run(&mut self, named: Option<usize>) -> Result<(), Divergence> {
        let named = named.filter(|id| self.world.tasks[*id].present);
        let before = tree::walk(&self.place.root);
        let begun = Instant::now();
        let status = self.start(named).wait();
        self.usual = begun.elapsed();
        self.judge(&before, named, Touched::new(), None, &[status], 1)
    }

    /// A run of which only the outcome for the books counts: it may leave out, end early or force.
    pub(super) fn run_with(&mut self, id: usize, how: &[&str]) -> Result<(), Divergence> {
        if !self.world.tasks[id].present {
            return self.run(None);
        }
        let named = (!how.contains(&"--fail-fast")).then_some(id);
        self.start_with(named, how).wait();
        self.enter_cut()
    }

    /// Who only looks changes nothing, and a dry run says whether a run would execute something. What tasks
    /// that always run, or whose status decides, hand on it cannot know; where there are such, it may be wrong
    /// in saying that nothing would, and where one of them left something half done, which it does again before
    /// anybody looks at that, in saying that something would.
    pub(super) fn ask(&mut self, id: usize) -> Result<(), Divergence> {
        self.repair(&self.broken.clone());
        let id = if self.world.tasks[id].present { id } else { 0 };
        let asked = [vec!["list"], vec!["why", &format!("w:t{id}")], vec!["run", "-n"]]
            .map(|words| self.command(&words).output().unwrap());
        let said = asked[2].status.code();
        let half_done = std::mem::take(&mut self.half_done);
        self.quiet(1)?;
        let freshness = |id: usize| self.world.freshness(id);
        let keyed = self.ran.iter().any(|id| freshness(*id) == Freshness::Keyed);
        let knows = |id: usize| [Freshness::Keyed, Freshness::Door].contains(&freshness(id));
        let knows_all = self.world.present().all(|task| knows(task.id));
        let told = String::from_utf8_lossy(&asked[2].stderr).into_owned();
        let right = match said {
            // That what is kept was damaged shows only when it is needed.
            Some(5) if !told.contains("Would run") => {
                told.contains("Would restore") && (!keyed || self.is_harmed || !knows_all)
            }
            // What a status brings about may be what was there when another result was kept.
            Some(5) if told.contains("Would restore") && !knows_all => true,
            Some(5) => keyed || half_done.iter().any(|id| !knows(*id)),
            Some(0) => !keyed || !knows_all,
            _ => false,
        };
        let text = || format!("a dry run said {said:?}, the run executed {:?}\n{told}", self.ran);
        let wrong = if right { Vec::new() } else { vec![text()] };
        self.tell(wrong)
    }

    /// Everything is repaired; then one run or more at once, compared with a clean one.
    pub(super) fn quiet(&mut self, processes: usize) -> Result<(), Divergence> {
        self.repair(&self.broken.clone());
        let before = tree::walk(&self.place.root);
        let begun = Instant::now();
        let running: Vec<Running> = (0..processes).map(|_| self.start(None)).collect();
        let ended: Vec<Ended> = running.into_iter().map(Running::wait).collect();
        self.usual = begun.elapsed();
        self.count.quiet_points += 1;
        self.judge(&before, None, Touched::new(), None, &ended, processes)?;
        let walk = tree::walk(&self.place.root);
        let mut wrong = model::divergences(&self.world, &walk);
        if wrong.is_empty() && self.history.really && self.count.really == 0 && self.count.quiet_points > 1 {
            self.count.really += 1;
            let disagreements = clean::disagreements(&self.world, &self.place.root, &self.base);
            wrong.extend(disagreements.into_iter().map(|text| format!("the oracle is wrong: {text}")));
        }
        self.tell(wrong)
    }

    /// A run in which a task is held at its gates while files are edited, or ended at the last of them.
    pub(super) fn conduct(
        &mut self,
        id: usize,
        early: &[Op],
        late: Option<&[Op]>,
        end: End,
    ) -> Result<(), Divergence> {
        if !self.world.tasks[id].present || self.world.tasks[id].door {
            return self.run(None);
        }
        let mut gates = vec![(self.gate(id, "early"), early)];
        gates.extend(late.map(|ops| (self.gate(id, "late"), ops)));
        let before = tree::walk(&self.place.root);
        let mut running = self.start(None);
        let (last, mut held, mut touched) = (gates.len() - 1, None, Touched::new());
        for (number, (gate, ops)) in gates.iter_mut().enumerate() {
            if !running.comes_to(gate) {
                break;
            }
            held = Some(id);
            self.count.held += 1;
            for (path, is_more) in self.edit_watched(ops, &before) {
                *touched.entry(path).or_default() |= is_more;
            }
            match end {
                _ if number < last => gate.open(),
                End::Itself => gate.open(),
                End::Interrupt => running.signal(2),
                End::Kill => running.signal(9),
            }
        }
        let ended = running.wait();
        for name in ["early.go", "early.here", "late.go", "late.here"] {
            // Of those that are there nobody needs any more.
            let _ = fs::remove_file(self.base.join(format!("ctl/t{id}-{name}")));
        }
        self.judge_or_cut(&before, touched, held, ended)
    }

    /// Does edits, and says which paths they touched. What tasks write meanwhile is none of it.
    fn edit_watched(&self, ops: &[Op], then: &Walk) -> Touched {
        let touch = |op: &Op| {
            let before = tree::walk(&self.place.root);
            self.place.apply(op, then);
            tree::touched(&before, &tree::walk(&self.place.root))
        };
        let mut all = Touched::new();
        for (path, is_more) in ops.iter().flat_map(touch).filter(|(path, _)| !path.starts_with("out/")) {
            *all.entry(path).or_default() |= is_more;
        }
        all
    }

    fn gate(&self, id: usize, when: &str) -> Gate {
        Gate::new(self.base.join(format!("ctl/t{id}-{when}")))
    }

    /// A run that is ended at some moment.
    pub(super) fn cut(&mut self, permille: u32, end: End) -> Result<(), Divergence> {
        let before = tree::walk(&self.place.root);
        let running = self.start(None);
        // Not to wait for anything, but to end it anywhere.
        thread::sleep(self.usual * permille / 1000);
        running.signal(if end == End::Kill { 9 } else { 2 });
        let ended = running.wait();
        self.judge_or_cut(&before, Touched::new(), None, ended)
    }

    fn judge_or_cut(
        &mut self,
        before: &Walk,
        touched: Touched,
        held: Option<usize>,
        ended: Ended,
    ) -> Result<(), Divergence> {
        if ended.status.signal().is_none() {
            return self.judge(before, None, touched, held, &[ended], 1);
        }
        self.count.kills += 1;
        self.orphans_end();
        self.enter_cut()
    }

    /// Waits for the tasks of one that was killed: until its guardian has ended them they may begin to do something.
    /// Where there is no `/proc` nobody can tell.
    pub(super) fn orphans_end(&self) {
        let ours = format!("CTL={}\0", self.base.join("ctl").display());
        let is_ours = |process: &fs::DirEntry| {
            let environment = fs::read(process.path().join("environ")).unwrap_or_default();
            environment.windows(ours.len()).any(|part| part == ours.as_bytes())
        };
        eventually_none("the tasks of one that was killed end", || {
            let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
            let one = processes.into_iter().find(is_ours)?;
            let read = |name: &str| fs::read_to_string(one.path().join(name)).unwrap_or_default();
            Some((one.path(), read("cmdline"), read("status")))
        });
    }

    fn enter_cut(&mut self) -> Result<(), Divergence> {
        let traces = self.traces(1);
        self.count.executed += traces.values().map(|trace| trace.starts).sum::<usize>();
        let is_half_done = |trace: &Trace| trace.starts > 0 && trace.ended.is_none();
        self.half_done.extend(traces.iter().filter(|(_, trace)| is_half_done(trace)).map(|(id, _)| *id));
        let wrong = self.books.enter_cut(&self.world, &traces);
        if self.damaged {
            // Had it found that out, it could not have said so any more.
            let ran = traces.iter().filter(|(_, trace)| trace.starts > 0).map(|(id, _)| *id).collect();
            self.books.enter_loss_but(&ran);
        }
        self.tell(wrong)
    }

    /// Judges the newest runs, which ended by themselves.
    fn judge(
        &mut self,
        before: &Walk,
        named: Option<usize>,
        touched: Touched,
        held: Option<usize>,
        ended: &[Ended],
        processes: usize,
    ) -> Result<(), Divergence> {
        let traces = self.traces(processes);
        let after = tree::walk(&self.place.root);
        let everything = || self.world.present().map(|task| task.id).collect();
        let seen = Seen {
            before,
            after: &after,
            traces: &traces,
            scheduled: named.map_or_else(everything, |id| self.world.scheduled(id)),
            named,
            broken: &self.broken,
            touched,
            held,
            codes: ended.iter().map(|one| one.status.code()).collect(),
            watch: None,
        };
        self.count.executed += traces.values().map(|trace| trace.starts).sum::<usize>();
        self.ran = traces.iter().filter(|(_, trace)| trace.starts > 0).map(|(id, _)| *id).collect();
        self.half_done.retain(|id| !self.ran.contains(id));
        let mut verdict = self.books.enter(&self.world, &seen);
        self.count.needless += verdict.needless;
        if ended.iter().any(|one| one.tells_of_loss()) {
            if !self.damaged {
                verdict.wrong.push("the state is said to be damaged, and nobody touched it".to_owned());
            }
            self.books.enter_loss_but(&self.ran);
        }
        if !verdict.wrong.is_empty() {
            verdict.wrong.extend(ended.iter().map(|one| format!("devtask said:\n{}", one.said)));
        }
        self.tell(verdict.wrong)
    }

    pub(super) fn tell(&mut self, wrong: Vec<String>) -> Result<(), Divergence> {
        if wrong.is_empty() {
            return Ok(());
        }
        self.count.divergences += 1;
        Err(Divergence { step: 0, wrong })
    }

    /// What tasks wrote into their traces in the newest runs.
    fn traces(&self, runs: usize) -> BTreeMap<usize, Trace> {
        let newest = self.plays - runs..self.plays;
        let read = |id: usize| {
            let text = self.trace(id);
            let mut trace = Trace::default();
            for line in text.lines() {
                let mut words = line.split(' ');
                let play: usize = words.next().unwrap().parse().unwrap();
                match words.next() {
                    _ if !newest.contains(&play) => {}
                    Some("start") => trace.starts += 1,
                    _ => trace.ended = words.next().and_then(|value| value.parse().ok()),
                }
            }
            (id, trace)
        };
        (0..self.world.tasks.len()).map(read).collect()
    }

    /// What a task has written of itself; nothing, if it never ran.
    pub(super) fn trace(&self, id: usize) -> String {
        match fs::read_to_string(self.base.join(format!("trace/t{id}"))) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            // Anything else would be taken for a task that did not run.
            text => text.unwrap(),
        }
    }

    fn start(&mut self, named: Option<usize>) -> Running {
        self.start_with(named, &[])
    }

    fn start_with(&mut self, named: Option<usize>, how: &[&str]) -> Running {
        let name = named.map(|id| format!("w:t{id}"));
        let words: Vec<&str> =
            ["run", "--ui", "plain"].into_iter().chain(name.as_deref()).chain(how.iter().copied()).collect();
        let child = self.command(&words).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        self.plays += 1;
        self.count.runs += 1;
        Running { child }
    }

    pub(super) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(DEVTASK);
        command.args(words).current_dir(&self.place.root).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", &self.place.home);
        command.env("TMPDIR", self.base.join("tmp")).env("LC_ALL", "C");
        command.env("CTL", self.base.join("ctl")).env("TRACE", self.base.join("trace"));
        command.env("PLAY", self.plays.to_string()).env("AROUND", self.world.around.to_string());
        if self.history.fine {
            command.env("DEVTASK_GRANULARITY", format!("{}us", fine_stamps().as_micros()));
        }
        if let Some(fault) = self.fault {
            command.env("DEVTASK_PLANTED_FAULT", fault);
        }
        command.stdin(Stdio::null());
        command
    }
}

/// A run under way.
struct Running {
    child: Child,
}

/// A run that is over.
struct Ended {
    status: ExitStatus,
    said: String,
}

impl Ended {
    fn tells_of_loss(&self) -> bool {
        self.said.contains("it is set aside") || self.said.contains("the state is damaged")
    }
}

impl Running {
    /// Waits until a task is at its gate; false if the run ends without it.
    fn comes_to(&mut self, gate: &mut Gate) -> bool {
        let end = Instant::now() + DEADLINE;
        while !gate.is_reached() {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            assert!(Instant::now() < end, "a task neither came to its gate nor did its run end");
            thread::sleep(Duration::from_millis(1));
        }
        true
    }

    fn signal(&self, signal: i32) {
        use rustix::process::{Pid, Signal, kill_process};
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        // Until it is waited for, its number is its own.
        kill_process(pid, Signal::from_named_raw(signal).unwrap()).unwrap();
    }

    fn wait(mut self) -> Ended {
        let status = self.child.wait().unwrap();
        let mut said = String::new();
        if status.signal().is_none()
            && let Some(mut stderr) = self.child.stderr.take()
        {
            stderr.read_to_string(&mut said).unwrap();
        }
        Ended { status, said }
    }
}
