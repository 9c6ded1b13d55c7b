//! One connection: requests in, answers out, runs on threads.

use std::{
    collections::VecDeque,
    io::{self, Read as _, Write as _},
    net::Shutdown,
    os::unix::net::UnixStream,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
    time::Duration,
};

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{
    Failure, Run, Server, Task, child, lock,
    run::{Sink, Told},
};
use crate::{
    diagnostic::did_you_mean,
    tsp::{
        Cancel, Capabilities, Frames, Id, InitializeParams, InitializeResult, LIMIT, Malformed, Message,
        RpcError, RunParams, RunResult, VERSION, code, method,
    },
};

/// How long runs may take to end once nobody wants them: their commands are asked, killed and given up by then.
const FAREWELL: Duration = child::GRACE.saturating_mul(2);

/// Speaks until the other end has nothing more to say.
pub(super) fn serve(server: Server, stream: UnixStream) -> io::Result<()> {
    let wire = Arc::new(Wire(Mutex::new(stream.try_clone()?)));
    let connection =
        Arc::new(Connection { server, wire, state: Mutex::default(), has_ended: Condvar::new() });
    let read = connection.read(&stream);
    connection.close();
    // Who still writes, to somebody who does not read, is told.
    let _ = stream.shutdown(Shutdown::Both);
    read
}

/// Whole messages, one after the other.
struct Wire(Mutex<UnixStream>);

impl Wire {
    fn send(&self, message: &Message) {
        self.write(&message.line());
    }

    fn write(&self, line: &[u8]) {
        // Of a connection that is gone the reader hears.
        let _ = lock(&self.0).write_all(line);
    }

    fn answer(&self, id: Id, outcome: Result<Value, RpcError>) {
        self.send(&Message::Response { id: Some(id), outcome });
    }

    /// Answers what could not even be read.
    fn complain(&self, code: i64, message: impl Into<String>) {
        self.send(&Message::Response { id: None, outcome: Err(RpcError::new(code, message)) });
    }
}

impl Sink for Wire {
    fn tell(&self, told: Told) {
        let (method, params) = match told {
            Told::Log(log) => (method::LOG, to_value(log)),
            Told::Progress(progress) => (method::PROGRESS, to_value(progress)),
            Told::Remark(remark) => (method::DIAGNOSTIC, to_value(remark)),
        };
        self.send(&Message::Notification { method: method.to_owned(), params });
    }
}

/// Of what is only texts, numbers and values.
fn to_value(message: impl Serialize) -> Value {
    serde_json::to_value(message).unwrap_or_default()
}

struct Connection {
    server: Server,
    wire: Arc<Wire>,
    state: Mutex<State>,
    /// A run has ended.
    has_ended: Condvar,
}

#[derive(Default)]
struct State {
    is_initialized: bool,
    /// Nothing is begun any more.
    is_closing: bool,
    running: Vec<Job>,
    waiting: VecDeque<Job>,
}

/// A run that is to be answered.
#[derive(Clone)]
struct Job {
    id: Id,
    run: Run,
    task: Arc<Task>,
}

impl Connection {
    fn read(self: &Arc<Self>, mut stream: &UnixStream) -> io::Result<()> {
        let (mut frames, mut buffer) = (Frames::default(), vec![0; 64 * 1024]);
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => frames.push(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The other end has gone without a word.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break,
                Err(error) => return Err(error),
            }
            self.take(&mut frames)?;
        }
        if let Some(Err(malformed)) = frames.rest().map(|rest| Message::parse(&rest)) {
            self.wire.complain(malformed.code(), malformed.to_string());
        }
        Ok(())
    }

    fn take(self: &Arc<Self>, frames: &mut Frames) -> io::Result<()> {
        loop {
            match frames.take() {
                Ok(Some(frame)) => self.heed(Message::parse(&frame)),
                Ok(None) => return Ok(()),
                Err(too_long) => {
                    self.wire.complain(code::INVALID, too_long.to_string());
                    return Err(io::Error::new(io::ErrorKind::InvalidData, too_long));
                }
            }
        }
    }

    fn heed(self: &Arc<Self>, message: Result<Message, Malformed>) {
        match message {
            Ok(Message::Request { id, method, params }) => self.asked(id, &method, params),
            Ok(Message::Notification { method, params }) if method == method::CANCEL => self.cancel(params),
            // Nothing is asked here, so no answer means anything.
            Ok(Message::Notification { .. } | Message::Response { .. }) => {}
            Err(malformed) => self.wire.complain(malformed.code(), malformed.to_string()),
        }
    }

    fn asked(self: &Arc<Self>, id: Id, method: &str, params: Value) {
        let is_initialized = lock(&self.state).is_initialized;
        let outcome = match method {
            method::INITIALIZE => self.initialize(params),
            _ if !is_initialized => Err(RpcError::new(code::NOT_INITIALIZED, "`initialize` comes first")),
            method::RUN => match self.job(id.clone(), params) {
                Ok(job) => return self.admit(job),
                Err(error) => Err(error),
            },
            method::SHUTDOWN => {
                self.wire.answer(id, Ok(Value::Null));
                return self.cancel_all();
            }
            _ => Err(RpcError::new(code::NO_METHOD, format!("there is no method `{method}`"))),
        };
        self.wire.answer(id, outcome);
    }

    /// Again and again, if that is what is wanted: the list is always the same.
    fn initialize(&self, params: Value) -> Result<Value, RpcError> {
        let _: InitializeParams = read(params, method::INITIALIZE)?;
        lock(&self.state).is_initialized = true;
        Ok(to_value(InitializeResult {
            tasks: self.server.tasks.iter().map(|task| to_value(task.object())).collect(),
            protocol_version: Some(VERSION),
            server: Some(self.server.name.clone().into()),
            capabilities: Capabilities {
                cancel: true,
                progress: true,
                list_changed: false,
                max_concurrency: self.server.max_concurrency,
            },
        }))
    }

    fn job(&self, id: Id, params: Value) -> Result<Job, RpcError> {
        if params.get("task").is_none_or(Value::is_null) {
            return Err(RpcError::new(code::BAD_PARAMS, "`run` needs a `task`"));
        }
        let params: RunParams = read(params, method::RUN)?;
        let task = self.server.find(&params.task).ok_or_else(|| unknown(&self.server, &params.task))?;
        let sink = Arc::clone(&self.wire);
        Ok(Job { id, task: Arc::clone(task), run: Run::new(params, sink) })
    }

    /// Begins a run, or lets it wait for its turn.
    fn admit(self: &Arc<Self>, job: Job) {
        let mut state = lock(&self.state);
        if state.is_closing {
            drop(state);
            return self.finish(&job, Err(Failure::cancelled()));
        }
        let most = self.server.max_concurrency.map_or(usize::MAX, |most| most as usize);
        if state.running.len() >= most {
            return state.waiting.push_back(job);
        }
        state.running.push(job.clone());
        drop(state);
        self.begin(job);
    }

    /// Begins a run that has its place.
    fn begin(self: &Arc<Self>, job: Job) {
        let (this, first) = (Arc::clone(self), job.clone());
        let begun = thread::Builder::new().name(job.run.task().to_owned()).spawn(move || this.work(first));
        if let Err(error) = begun {
            self.finish(&job, Err(Failure::from(error).context("there is no thread for it")));
            self.over(&job).into_iter().for_each(|next| self.begin(next));
        }
    }

    /// A thread of runs: this one, and then those that wait.
    fn work(&self, job: Job) {
        let mut next = Some(job);
        while let Some(job) = next {
            self.finish(&job, job.task.perform(&job.run, job.run.given()));
            next = self.over(&job);
        }
    }

    /// A run has been answered; which one takes its place.
    fn over(&self, job: &Job) -> Option<Job> {
        let mut state = lock(&self.state);
        // Ids need not be unique; runs are.
        state.running.retain(|other| !other.run.is(&job.run));
        let next = state.waiting.pop_front();
        state.running.extend(next.clone());
        self.has_ended.notify_all();
        next
    }

    fn finish(&self, job: &Job, outcome: Result<Value, Failure>) {
        let result = job.run.end(outcome);
        let answer = |result| Message::Response { id: Some(job.id.clone()), outcome: Ok(to_value(result)) };
        let line = answer(result).line();
        if line.len() <= LIMIT {
            return self.wire.write(&line);
        }
        let fault = format!("what it hands on is longer than {} MiB", LIMIT / 1024 / 1024);
        self.wire.send(&answer(RunResult::failed(job.run.task(), fault)));
    }

    /// What waits is answered at once; what runs has to see to it.
    fn cancel(&self, params: Value) {
        let Ok(Cancel { task, run }) = serde_json::from_value(params) else { return };
        self.cancel_those(|job| job.run.is_meant(&task, run.as_deref()));
    }

    fn cancel_all(&self) {
        lock(&self.state).is_closing = true;
        self.cancel_those(|_| true);
    }

    fn cancel_those(&self, is_meant: impl Fn(&Job) -> bool) {
        let mut state = lock(&self.state);
        let waiting = std::mem::take(&mut state.waiting);
        let (dropped, kept): (VecDeque<Job>, _) = waiting.into_iter().partition(&is_meant);
        state.waiting = kept;
        let running: Vec<Job> = state.running.iter().filter(|job| is_meant(job)).cloned().collect();
        drop(state);
        running.iter().for_each(|job| job.run.cancel());
        dropped.iter().for_each(|job| self.finish(job, Err(Failure::cancelled())));
    }

    /// Waits until nothing runs any more, within reason.
    fn close(&self) {
        self.cancel_all();
        let is_busy = |state: &mut State| !state.running.is_empty();
        let waited = self.has_ended.wait_timeout_while(lock(&self.state), FAREWELL, is_busy);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

fn unknown(server: &Server, name: &str) -> RpcError {
    let hint = did_you_mean(name, server.names()).map(|near| format!("; did you mean `{near}`?"));
    RpcError::new(code::NO_TASK, format!("there is no task `{name}`{}", hint.unwrap_or_default()))
}

/// The particulars of a request. What is `null` counts as absent.
fn read<T: serde::de::DeserializeOwned>(params: Value, method: &str) -> Result<T, RpcError> {
    let fields: Map<String, Value> = match params {
        Value::Null => Map::new(),
        Value::Object(fields) => fields.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        _ => return Err(RpcError::new(code::BAD_PARAMS, format!("the params of `{method}` are no object"))),
    };
    super::input::decode(&json!(fields), &format!("params of `{method}`"))
        .map_err(|error| RpcError::new(code::BAD_PARAMS, error))
}
