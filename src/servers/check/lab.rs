//! What the rows share: the server that is up, and what is known of it.

use std::{mem::take, time::Duration};

use serde_json::{Value, json};

use super::{
    Choice, Limits, Outcome, Row,
    bench::{Bench, Opened, Process, Transport, told},
    faults::{Faults, cut},
    talk::{Answer, Stopped, Talk},
};
use crate::tsp::{Capabilities, Id, Message, TaskObject, VERSION, method};

/// How long a server that closes its connection may take to end, for its end to be told instead.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long is listened for what should not come. What a server writes together with its answer comes in far less.
const QUIET: Duration = Duration::from_millis(50);
/// A method that no server has.
pub(super) const NO_METHOD: &str = "devtask/no-such-method";
/// A task that no server has.
pub(super) const NO_TASK: &str = "devtask-check:no-such-task";

/// The server that is checked, and what is known of it.
pub(super) struct Lab<'a> {
    bench: Bench<'a>,
    pub(super) limits: Limits,
    pub(super) choice: &'a Choice,
    pub(super) transport: Option<Transport>,
    pub(super) listed: Option<Listed>,
    /// Whether its task runs as it should; rows that need that are of no use otherwise.
    pub(super) runs: bool,
    /// The one the rows share.
    main: Option<Session>,
    /// More that have told their tasks.
    pub(super) spare: Vec<Session>,
    /// The first, with the id of the `initialize` that is under way.
    pub(super) first: Option<(Session, Id)>,
    /// The second, before it is asked anything.
    pub(super) second: Option<Session>,
    pub(super) times: usize,
    pub(super) bad_times: Faults,
}

/// What it told at its start.
pub(super) struct Listed {
    pub(super) tasks: Vec<Value>,
    pub(super) capabilities: Capabilities,
}

/// What a row finds.
#[derive(Default)]
pub(super) struct Found {
    pub(super) faults: Faults,
    pub(super) notes: Vec<String>,
}

/// Why a row goes no further.
pub(super) enum Stop {
    Fault(String),
    Skip(String),
}

impl From<String> for Stop {
    fn from(fault: String) -> Self {
        Self::Fault(fault)
    }
}

pub(super) fn skip<T>(why: &str) -> Result<T, Stop> {
    Err(Stop::Skip(why.to_owned()))
}

impl Found {
    pub(super) fn note(&mut self, note: &str) {
        let note = cut(note);
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

impl<'a> Lab<'a> {
    pub(super) fn new(bench: Bench<'a>, limits: Limits, choice: &'a Choice) -> Self {
        Self {
            bench,
            limits,
            choice,
            transport: None,
            listed: None,
            runs: false,
            main: None,
            spare: Vec::new(),
            first: None,
            second: None,
            times: 0,
            bad_times: Faults::default(),
        }
    }

    /// Makes a check. A server of which something was wrong is left behind.
    pub(super) async fn row(
        &mut self,
        name: &'static str,
        what: &'static str,
        body: impl AsyncFnOnce(&mut Lab<'_>, &mut Found) -> Result<(), Stop>,
    ) -> Row {
        let mut found = Found::default();
        let stop = body(self, &mut found).await.err();
        if let Some(mut session) = self.main.take() {
            self.hear(&mut session, &mut found);
            self.main = Some(session);
        }
        let skipped = match stop {
            Some(Stop::Fault(fault)) => {
                found.faults.add(&fault);
                None
            }
            Some(Stop::Skip(why)) => Some(why),
            None => None,
        };
        let outcome = match (found.faults.told(), skipped) {
            (Some(faults), _) => Outcome::Failed(faults),
            (None, Some(why)) => Outcome::Skipped(why),
            (None, None) => Outcome::Passed,
        };
        let is_bad = matches!(outcome, Outcome::Failed(_));
        if let Some(session) = self.main.take_if(|_| is_bad) {
            session.process.kill().await;
        }
        Row { name, what, outcome, notes: found.notes }
    }

    /// Takes over what was wrong with what a server said.
    pub(super) fn hear(&mut self, session: &mut Session, found: &mut Found) {
        session.talk.close_row();
        let heard = take(&mut session.talk.heard);
        found.faults.append(heard.faults);
        self.times += heard.times;
        self.bad_times.append(heard.bad_times);
    }

    /// Starts one more. Nothing is asked yet, but what it finds as a greeting.
    pub(super) async fn start(&mut self, socket: &str, greeting: &[u8]) -> Result<Session, String> {
        let opened = self.bench.start(socket, self.transport, greeting).await?;
        let Opened { process, stream, bytes, transport } = opened;
        self.transport = Some(transport);
        Ok(Session { process, talk: Talk::over(stream, &bytes), limits: self.limits })
    }

    /// Starts one more that has told its tasks.
    async fn begin(&mut self) -> Result<Session, Stop> {
        let mut session = self.start("s", b"").await?;
        match session.ask(method::INITIALIZE, self.greeting_params()).await? {
            Ok(_) => Ok(session),
            Err(error) => Err(Stop::Fault(format!("it answers `initialize` with an error: {error}"))),
        }
    }

    /// What devtask says first, under the id 0.
    pub(super) fn greeting(&self) -> Vec<u8> {
        let (id, method) = (Id::Number(0), method::INITIALIZE.to_owned());
        Message::Request { id, method, params: self.greeting_params() }.line()
    }

    pub(super) fn greeting_params(&self) -> Value {
        json!({
            "protocolVersion": VERSION,
            "client": concat!("devtask ", env!("CARGO_PKG_VERSION"), " (tsp check)"),
            "root": self.bench.root.to_string_lossy(),
        })
    }

    /// The server that the rows share from now on.
    pub(super) fn share(&mut self, session: Session) {
        self.main = Some(session);
    }

    /// The server that the rows share; anew where the last one was left behind.
    pub(super) async fn session(&mut self) -> Result<&mut Session, Stop> {
        let session = self.take().await?;
        Ok(self.main.insert(session))
    }

    /// A server that has told its tasks, for one row alone.
    pub(super) async fn take(&mut self) -> Result<Session, Stop> {
        self.known()?;
        match self.main.take().or_else(|| self.spare.pop()) {
            Some(session) => Ok(session),
            None => self.begin().await,
        }
    }

    /// What it told at its start.
    pub(super) fn known(&self) -> Result<&Listed, Stop> {
        match &self.listed {
            Some(listed) => Ok(listed),
            None if self.transport.is_none() => skip("it cannot be spoken to"),
            None => skip("it has told no list of tasks"),
        }
    }

    /// What is wrong with its list.
    pub(super) fn list_faults(&self, tasks: &[Value]) -> Vec<String> {
        super::super::list::faults(&self.bench.server, tasks, self.bench.root)
    }

    /// The task to be run.
    pub(super) fn task(&self) -> Result<String, Stop> {
        let listed = self.known()?;
        let objects: Vec<TaskObject> =
            listed.tasks.iter().filter_map(|it| TaskObject::read(it).ok()).collect();
        if let Some(name) = &self.choice.task {
            return in_list(&objects, name);
        }
        let is_free = |task: &&TaskObject| task.depends.is_empty() && task.after.is_empty();
        match objects.iter().find(is_free).or(objects.first()) {
            Some(task) => Ok(task.name.clone()),
            None => skip("it lists no task that could be run"),
        }
    }

    /// The same, where it is known to run.
    pub(super) fn running_task(&self) -> Result<String, Stop> {
        if self.runs { self.task() } else { skip("`run` has to pass first") }
    }

    /// The task that runs until it is cancelled, if there is one.
    pub(super) fn slow_task(&self) -> Result<Option<String>, Stop> {
        let objects: Vec<TaskObject> =
            self.known()?.tasks.iter().filter_map(|it| TaskObject::read(it).ok()).collect();
        self.choice.slow.as_ref().map(|name| in_list(&objects, name)).transpose()
    }

    /// The particulars of a run.
    pub(super) fn run_params(&self, task: &str, run: &str, inputs: &Value) -> Value {
        json!({
            "task": task,
            "run": run,
            "inputs": inputs,
            "outputs": {},
            "cwd": self.bench.root.to_string_lossy(),
        })
    }
}

fn in_list(tasks: &[TaskObject], name: &str) -> Result<String, Stop> {
    match tasks.iter().any(|task| task.name == name) {
        true => Ok(name.to_owned()),
        false => Err(Stop::Fault(format!("there is no task `{name}` in its list"))),
    }
}

/// A server with a connection to it.
pub(super) struct Session {
    pub(super) process: Process,
    pub(super) talk: Talk,
    limits: Limits,
}

impl Session {
    /// Asks something and waits for the answer.
    pub(super) async fn ask(&mut self, method: &str, params: Value) -> Result<Answer, Stop> {
        let (id, line) = self.talk.request(method, params);
        self.say(&line).await?;
        self.answer(&id, &format!("`{method}`")).await
    }

    /// How long an answer may take.
    pub(super) const fn patience(&self) -> Duration {
        self.limits.answer
    }

    /// Says something, whatever it is.
    pub(super) async fn say(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        let said = self.talk.say(bytes, self.limits.answer).await;
        self.explained(said, "any answer", self.limits.answer).await
    }

    /// Waits for an answer; `what` says to what.
    pub(super) async fn answer(&mut self, id: &Id, what: &str) -> Result<Answer, Stop> {
        let answer = self.talk.answer(id, self.limits.answer).await;
        self.explained(answer, &format!("an answer to {what}"), self.limits.answer).await
    }

    /// Listens for what should not come: what stands before the answer to one more request, and shortly after.
    pub(super) async fn settle(&mut self) -> Result<(), Stop> {
        let (id, line) = self.talk.request(NO_METHOD, json!({}));
        self.say(&line).await?;
        let settled = match self.talk.answer(&id, self.limits.answer).await {
            // That such requests are answered is the business of another row.
            Ok(_) | Err(Stopped::Silent) => self.talk.listen(QUIET).await,
            Err(stopped) => Err(stopped),
        };
        self.explained(settled, "an answer to one more request", self.limits.answer).await
    }

    /// Why nothing more is heard, in words; `what` did not come.
    pub(super) async fn explained<T>(
        &self,
        heard: Result<T, Stopped>,
        what: &str,
        within: Duration,
    ) -> Result<T, Stop> {
        let within = humantime::format_duration(within);
        let fault = match heard {
            Ok(heard) => return Ok(heard),
            Err(Stopped::Silent) => format!("{what} did not come within {within}"),
            Err(Stopped::Broken(why)) => why,
            Err(Stopped::Closed) => match self.process.end_within(FAREWELL).await {
                Some(ended) => format!("it {} before {what} came", told(&ended)),
                None => format!("it closed the connection before {what} came"),
            },
        };
        Err(Stop::Fault(fault))
    }
}
