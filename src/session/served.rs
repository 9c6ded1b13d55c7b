//! A task that a server runs: asked, listened to, cancelled (spec: [`guide::protocol`](crate::guide::protocol)).

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::time::sleep_until;

use super::{
    execute::{Execution, Failure, GRACE, Halt, Left, Orders},
    harvest::{harvest, last_of_each},
    launch::Launcher,
    results::HandedOn,
    servers::{Seat, Unseated, forget},
};
use crate::{
    event::{Stream, What},
    model::TaskServer,
    process::{Ended, Exit, LogTarget, Recorder, TaskFiles, Written, fault_of_directory},
    schedule::Observation,
    tsp::{Answers, Fault, Progress, Remark, RpcError, RunParams, RunResult, Said, Status, code, read_value},
};

/// How often it is passed on how far a task is.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);
/// Bytes of names of changed files that are told at most.
const MOST_CHANGED: usize = 1024 * 1024;
/// Bytes of a text of an event that are passed on at most; the log has all of it.
const MOST_TEXT: usize = 16 * 1024;
/// How long what a server has said may take to come after it ended.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How a run at a server came to its end.
enum Came {
    /// It was answered.
    Answer(Result<Value, RpcError>),
    /// The server has ended, or its connection is of no use any more.
    Gone,
    /// It was told to end and did not: it is not waited for any more.
    Left,
}

/// A run at a server, while it is listened to.
struct Listening<'a> {
    execution: &'a Execution,
    seat: &'a Seat,
    params: &'a RunParams,
    recorder: Recorder,
    /// When it was last passed on how far it is.
    progress: Option<Instant>,
    last: Orders,
    /// When its time is up.
    limit: Option<Instant>,
    /// When the server is left, since it was told to end this run.
    leave_at: Option<Instant>,
    paused_since: Option<Instant>,
    timed_out: bool,
}

impl Execution {
    /// Point 3 of the protocol of records, for a task that a server runs.
    pub(super) async fn attempt_served(
        &mut self,
        server: &Arc<TaskServer>,
        listed: &str,
    ) -> Result<Left, Failure> {
        self.check_orders()?;
        if let Some(what) = fault_of_directory(&self.task().cwd) {
            return Err(format!("the working directory {} {what}", self.task().cwd.display()).into());
        }
        if !self.run.arguments_of(self.id).is_empty() {
            return Err("it is run by a server, and takes no arguments after `--`".to_owned().into());
        }
        self.run.shared.end_predecessors().await?;
        let files = self.run.task_files()?;
        let params = self.run_params(&files, listed)?;
        self.run.emitter.flush();
        let seat = self.seat(server).await?;
        self.begun_at = Instant::now();
        let mut answers = match seat.up.host().client().run(&params) {
            Ok(answers) => answers,
            Err(Fault::TooMuch) => return Err(Fault::TooMuch.to_string().into()),
            Err(_) => return Err(self.server_trouble(server, &seat).await),
        };
        self.tell_started();
        let (sink, lines) = self.line_sink().unzip();
        let log = LogTarget::of_task(self.run.log_file(self.id, "log"));
        let mut listening = Listening {
            execution: self,
            seat: &seat,
            params: &params,
            recorder: Recorder::new(Some(log), sink),
            progress: None,
            last: Orders::default(),
            limit: self.timeout().and_then(|limit| Instant::now().checked_add(limit.after)),
            leave_at: None,
            paused_since: None,
            timed_out: false,
        };
        let came = listening.until_answered(&mut answers).await;
        let (timed_out, was_told) = (listening.timed_out, listening.leave_at.is_some());
        let result = listening.result(server, came).await;
        let recorder = listening.recorder;
        self.duration = Some(self.begun_at.elapsed());
        self.note_end(recorder, result.as_ref().is_ok_and(|result| result.status == Status::Succeeded)).await;
        if let Some(lines) = lines {
            // It ends with the channel, which ended with the recorder.
            let _ = lines.await;
        }
        if timed_out {
            let limit = self.timeout().map(|limit| limit.after).unwrap_or_default();
            return Err(format!("it took longer than {}", humantime::format_duration(limit)).into());
        }
        match result {
            Ok(result) => {
                let left = self.left(&files, listed, result, was_told).await;
                if let (Err(_), Some(ended)) = (&left, &mut self.ended) {
                    // Its word for success does not count.
                    ended.exit = Exit::default();
                }
                left
            }
            Err(_) if was_told => Err(Failure::cancelled()),
            Err(why) => Err(why.into()),
        }
    }

    async fn seat(&mut self, server: &Arc<TaskServer>) -> Result<Seat, Failure> {
        let (run, mut orders) = (Arc::clone(&self.run), self.orders.clone());
        let unseated = tokio::select! {
            seat = run.shared.servers.seat(&run, server) => match seat {
                Ok(seat) => return Ok(seat),
                Err(unseated) => unseated,
            },
            _ = orders.wait_for(|orders| orders.halt != Halt::No) => return Err(Failure::cancelled()),
        };
        let (why, last) = match unseated {
            Unseated::Fault(fault) => (fault.trouble.to_string(), fault.last),
            Unseated::Again(why) => (why, Vec::new()),
            Unseated::NoRoom(caller) => {
                let why = format!("has no room for it while {caller}, which waits for it, runs there");
                (why, Vec::new())
            }
        };
        self.note_last_lines(server, &last).await;
        Err(Failure::not_started(format!("its server `{}` {why}", server.name)))
    }

    async fn server_trouble(&mut self, server: &TaskServer, seat: &Seat) -> Failure {
        let (why, last) = seat.up.trouble().await;
        self.note_last_lines(server, &last).await;
        Failure::not_started(format!("its server `{}` {why}", server.name))
    }

    /// What its server wrote last is a part of what is to be known of its failure.
    async fn note_last_lines(&mut self, server: &TaskServer, last: &[String]) {
        let mut recorder = Recorder::new(Some(LogTarget::of_task(self.run.log_file(self.id, "log"))), None);
        write_last_lines(&mut recorder, server, last);
        self.note_end(recorder, false).await;
    }

    async fn note_end(&mut self, mut recorder: Recorder, succeeded: bool) {
        recorder.finish();
        while recorder.waits_for_sink() {
            recorder.pass_on().await;
        }
        let Written { tail, lines, log, log_fault } = recorder.close();
        if let Some(fault) = &log_fault {
            self.run.warn(self.id, &format!("its log is not complete: {fault}"));
        }
        let exit = Exit { code: succeeded.then_some(0), signal: None };
        self.ended = Some(Ended {
            exit,
            leaky: false,
            wanted_terminal: false,
            ended_by: None,
            tail,
            lines,
            log,
            log_fault: None,
        });
    }

    fn tell_started(&mut self) {
        if !self.executed {
            self.run.emitter.emit(What::TaskStarted { task: self.task().name.clone() });
            self.executed = true;
            // The driver outlives what it drives.
            let _ = self.heard.send(Observation::Began(self.id));
        }
    }

    fn run_params(&self, files: &TaskFiles, listed: &str) -> Result<RunParams, Failure> {
        let launcher = Launcher::new(&self.run, self.id, &self.start)?;
        let mut env = BTreeMap::new();
        for (name, value) in launcher.variables(files)? {
            match (name.to_str(), value.to_str()) {
                (Some(name), Some(value)) => drop(env.insert(name.to_owned(), value.to_owned())),
                _ => {
                    let name = name.to_string_lossy();
                    self.run.warn(self.id, &format!("its server is not given {name}: it is no text"));
                }
            }
        }
        let changed = self.start.changed.iter().map(|path| path.to_string_lossy().into_owned());
        let mut changed: Vec<String> = changed.collect();
        if changed.iter().map(String::len).sum::<usize>() > MOST_CHANGED {
            // Nobody relies on them, and everything else has to fit as well.
            changed.clear();
        }
        Ok(RunParams {
            task: listed.to_owned(),
            inputs: launcher.input().map_or(Value::Null, Value::Object),
            outputs: self.start.outputs.clone(),
            run: Some(format!("{}.{}", self.run.id, self.task().name)),
            env,
            cwd: Some(self.task().cwd.to_string_lossy().into_owned()),
            changed_files: changed,
        })
    }

    /// What it left: what it wrote into its files, as a script would, and on top of that what it answered.
    async fn left(
        &self,
        files: &TaskFiles,
        listed: &str,
        result: RunResult,
        was_told: bool,
    ) -> Result<Left, Failure> {
        let name = self.task().name.as_str();
        let is_its = [name, listed, ""].contains(&result.task.as_str());
        if !is_its {
            return Err(
                format!("its server answered with the result of `{}`", result.task.escape_debug()).into()
            );
        }
        match result.status {
            Status::Succeeded | Status::Skipped => {}
            Status::Cancelled if was_told => return Err(Failure::cancelled()),
            Status::Cancelled => {
                return Err("its server cancelled it, which nobody wanted".to_owned().into());
            }
            Status::Failed => {
                let error = result.error.map(|error| error.message).filter(|message| !message.is_empty());
                return Err(error.map_or_else(Failure::default, Failure::from));
            }
        }
        let mut left = self.collect(files).await?;
        let is_skipped = result.status == Status::Skipped;
        if is_skipped && result.outputs.is_null() && left.handed.output.is_none() {
            let success = self.start.record.as_ref().and_then(|record| record.success.as_ref());
            left.handed = success.map(HandedOn::from_record).unwrap_or_default();
        }
        left.handed = merged(left.handed, result)?;
        left.was_skipped = is_skipped;
        Ok(left)
    }
}

/// What a task hands on, with what its server answered on top.
fn merged(files: HandedOn, result: RunResult) -> Result<HandedOn, Failure> {
    let text = (!result.outputs.is_null()).then(|| result.outputs.to_string());
    let told = harvest(text.as_deref().map(str::as_bytes), None, None).map_err(|fault| fault.to_string())?;
    let bad = |(name, value): &(&String, &String)| {
        name.is_empty() || name.contains(['=', '\0']) || value.contains('\0')
    };
    if let Some((name, _)) = result.exports.iter().find(bad) {
        return Err(format!("its export `{}` is no legal variable", name.escape_debug()).into());
    }
    let exports = result.exports.into_iter().map(|(name, value)| (name, value.into_bytes()));
    Ok(HandedOn {
        output: told.output.or(files.output),
        exports: last_of_each(files.exports.into_iter().chain(told.exports).chain(exports).collect()),
        messages: files.messages.into_iter().chain(told.messages).chain(result.messages).collect(),
    })
}

impl Listening<'_> {
    async fn until_answered(&mut self, answers: &mut Answers) -> Came {
        let mut orders = self.execution.orders.clone();
        let gone = self.seat.up.host().ended();
        tokio::pin!(gone);
        let mut gone_since: Option<Instant> = None;
        loop {
            let now = *orders.borrow_and_update();
            if self.obey(now) {
                return Came::Left;
            }
            let is_read = !self.recorder.waits_for_sink();
            // Who reads slowly takes nothing of what it has left.
            let until = if is_read { self.next_time(gone_since) } else { None };
            tokio::select! {
                biased;
                () = self.recorder.pass_on(), if !is_read => {}
                said = answers.next(), if is_read => match said {
                    Ok(Said::Answer(answer)) => return Came::Answer(answer),
                    Ok(said) => self.take(said),
                    Err(_) => return Came::Gone,
                },
                _ = &mut gone, if gone_since.is_none() => gone_since = Some(Instant::now()),
                changed = orders.changed() => if changed.is_err() {
                    // Nobody can tell us anything any more.
                    return Came::Gone;
                },
                () = at(until) => if let Some(came) = self.time_is_up(gone_since) {
                    return came;
                },
            }
        }
    }

    /// When something is to be done though nothing comes.
    fn next_time(&self, gone_since: Option<Instant>) -> Option<Instant> {
        let limit = self.limit.filter(|_| self.leave_at.is_none());
        let own = [limit, self.leave_at].into_iter().flatten().filter(|_| self.paused_since.is_none());
        own.chain(gone_since.map(|since| since + LAST_WORDS)).min()
    }

    /// What it came to, if it is over.
    fn time_is_up(&mut self, gone_since: Option<Instant>) -> Option<Came> {
        let now = Instant::now();
        if gone_since.is_some_and(|since| since + LAST_WORDS <= now) {
            return Some(Came::Gone);
        }
        if self.leave_at.is_some_and(|at| at <= now) {
            return Some(self.leave());
        }
        if self.limit.is_some_and(|limit| limit <= now) {
            self.timed_out = true;
            self.tell_to_end();
        }
        None
    }

    /// Whether the run is not waited for any more.
    fn obey(&mut self, now: Orders) -> bool {
        match (self.last.paused, now.paused) {
            (false, true) => self.paused_since = Some(Instant::now()),
            (true, false) => self.go_on(),
            _ => {}
        }
        if now.halt > self.last.halt {
            self.tell_to_end();
        }
        self.last = now;
        if now.halt == Halt::Kill {
            self.leave();
        }
        now.halt == Halt::Kill
    }

    /// Times stand still while it is paused.
    fn go_on(&mut self) {
        let paused = self.paused_since.take().map(|since| since.elapsed()).unwrap_or_default();
        for time in [&mut self.limit, &mut self.leave_at].into_iter().flatten() {
            *time += paused;
        }
    }

    fn tell_to_end(&mut self) {
        if self.leave_at.is_none() {
            self.seat.up.host().client().cancel(self.params);
            self.leave_at = Some(Instant::now() + GRACE);
        }
    }

    /// Others may still have something of the server.
    fn leave(&self) -> Came {
        self.seat.up.leave(format!("was ended because it did not end {} when told to", self.params.task));
        Came::Left
    }

    fn take(&mut self, said: Said) {
        match said {
            Said::Log(log) => {
                let stream = if log.stderr { Stream::Stderr } else { Stream::Stdout };
                let line = log.line.strip_suffix('\n').unwrap_or(&log.line);
                self.recorder.write(stream, format!("{line}\n").as_bytes());
            }
            Said::Progress(progress) => self.pass_on_progress(progress),
            Said::Remark(remark) => self.pass_on_remark(remark),
            Said::Answer(_) => {}
        }
    }

    fn pass_on_progress(&mut self, progress: Progress) {
        let is_due = self.progress.is_none_or(|last| last.elapsed() >= PROGRESS_EVERY);
        let is_all = progress.total.is_some_and(|total| progress.done >= total);
        if is_due || is_all {
            let task = self.execution.task().name.clone();
            let Progress { done, total, message, .. } = progress;
            let message = message.map(cut);
            // Who is too slow for this one gets the next.
            if self.execution.run.emitter.offer_line(What::Progress { task, done, total, message }) {
                self.progress = Some(Instant::now());
            }
        }
    }

    fn pass_on_remark(&mut self, remark: Remark) {
        self.recorder.write(Stream::Stderr, format!("{remark}\n").as_bytes());
        let task = self.execution.task().name.clone();
        let Remark { file, line, col, severity, message, .. } = remark;
        let (file, message, severity) = (cut(file), cut(message), severity.map(cut));
        // Where nobody reads, its line in the log has to do.
        self.execution.run.emitter.offer_line(What::Diagnostic { task, file, line, col, severity, message });
    }

    /// What it came to; an error is what its server did wrong.
    async fn result(&mut self, server: &TaskServer, came: Came) -> Result<RunResult, String> {
        let name = &server.name;
        match came {
            Came::Answer(Ok(value)) => match read_value::<RunResult>(value) {
                Ok(result) => {
                    let detail = result.error.as_ref().and_then(|error| error.detail.as_deref());
                    for line in detail.unwrap_or_default().lines() {
                        self.recorder.write(Stream::Stderr, format!("{line}\n").as_bytes());
                    }
                    Ok(result)
                }
                Err(why) => Err(format!("its server `{name}` gives a result that is none: {why}")),
            },
            Came::Answer(Err(error)) if error.code == code::NO_TASK => {
                forget(&self.execution.run.shared, server);
                Err(format!("its server `{name}` does not know it any more: {error}"))
            }
            Came::Answer(Err(error)) => Err(format!("its server `{name}` would not run it: {error}")),
            Came::Left => Err(format!("its server `{name}` did not end it when told to")),
            Came::Gone => {
                let (why, last) = self.seat.up.trouble().await;
                write_last_lines(&mut self.recorder, server, &last);
                Err(format!("its server `{name}` {why}"))
            }
        }
    }
}

/// The beginning of a text.
fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(MOST_TEXT));
    text
}

fn write_last_lines(recorder: &mut Recorder, server: &TaskServer, last: &[String]) {
    for line in last {
        recorder.write(Stream::Stderr, format!("{}: {line}\n", server.name).as_bytes());
    }
}

async fn at(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until.into()).await,
        None => std::future::pending().await,
    }
}
