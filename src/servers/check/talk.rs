//! A connection on which anything may be said, and all that comes is held against the protocol.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    time::{Instant, timeout, timeout_at},
};

use super::{faults::Faults, times};
use crate::tsp::{Frames, Id, Log, Message, Progress, Remark, RpcError, code, method};

/// Bytes read at once.
const CHUNK: usize = 64 * 1024;
/// Answers without an id that are kept.
const NAMELESS: usize = 16;

/// What a request was answered with.
pub(super) type Answer = Result<Value, RpcError>;

/// Our end of a connection.
pub(super) struct Talk {
    stream: UnixStream,
    frames: Frames,
    buffer: Vec<u8>,
    asked: Vec<Asked>,
    nameless: Vec<Answer>,
    next: u64,
    pub(super) heard: Heard,
}

/// What is to be said of all that came.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// What was wrong.
    pub(super) faults: Faults,
    /// How many log lines had a time.
    pub(super) times: usize,
    /// The times that were none.
    pub(super) bad_times: Faults,
}

/// A request that was made.
struct Asked {
    id: Id,
    /// The task and the run, if it was one.
    run: Option<(String, String)>,
    answer: Option<Answer>,
}

/// Why nothing more is heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    /// It said nothing in time.
    Silent,
    /// It closed the connection.
    Closed,
    /// It cannot be listened to any more.
    Broken(String),
}

impl Talk {
    /// Speaks over a stream, of which these bytes came already.
    pub(super) fn over(stream: UnixStream, bytes: &[u8]) -> Self {
        let mut frames = Frames::default();
        frames.push(bytes);
        Self {
            stream,
            frames,
            buffer: vec![0; CHUNK],
            asked: Vec::new(),
            nameless: Vec::new(),
            next: 0,
            heard: Heard::default(),
        }
    }

    /// An id that was not used yet: by turns a number and a text.
    pub(super) fn fresh_id(&mut self) -> Id {
        self.next += 1;
        if self.next.is_multiple_of(2) {
            Id::Text(format!("check-{}", self.next))
        } else {
            Id::Number(self.next)
        }
    }

    /// The line of a request, whose answer is expected from now on.
    pub(super) fn request(&mut self, method: &str, params: Value) -> (Id, Vec<u8>) {
        let id = self.fresh_id();
        self.expect(id.clone(), method, &params);
        (id.clone(), Message::Request { id, method: method.to_owned(), params }.line())
    }

    /// Expects the answer to a request.
    pub(super) fn expect(&mut self, id: Id, method: &str, params: &Value) {
        let text = |key: &str| params.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let run = (method == method::RUN).then(|| (text("task"), text("run")));
        self.asked.push(Asked { id, run, answer: None });
    }

    /// Says something.
    pub(super) async fn say(&mut self, bytes: &[u8], within: Duration) -> Result<(), Stopped> {
        match timeout(within, self.stream.write_all(bytes)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Stopped::Closed),
            Err(_) => Err(Stopped::Broken("it does not read what it is sent".to_owned())),
        }
    }

    /// The answer to a request, waited for for that long.
    pub(super) async fn answer(&mut self, id: &Id, within: Duration) -> Result<Answer, Stopped> {
        let until = Instant::now() + within;
        loop {
            if let Some(answer) = self.answer_to(id) {
                return Ok(answer);
            }
            self.hear(until).await?;
        }
    }

    /// The answer to a request, if it has come.
    pub(super) fn answer_to(&self, id: &Id) -> Option<Answer> {
        self.asked.iter().find(|asked| asked.id == *id)?.answer.clone()
    }

    /// The next answer that names no request.
    pub(super) async fn nameless(&mut self, within: Duration) -> Result<Answer, Stopped> {
        let until = Instant::now() + within;
        loop {
            if !self.nameless.is_empty() {
                return Ok(self.nameless.remove(0));
            }
            self.hear(until).await?;
        }
    }

    /// How many requests have been answered.
    pub(super) fn answered(&self) -> usize {
        self.asked.iter().filter(|asked| asked.answer.is_some()).count()
    }

    /// Whatever comes within that time.
    pub(super) async fn listen(&mut self, time: Duration) -> Result<(), Stopped> {
        let until = Instant::now() + time;
        loop {
            match self.hear(until).await {
                Err(Stopped::Silent) => return Ok(()),
                heard => heard?,
            }
        }
    }

    /// After a row, answers without an id that nobody waited for are faults, and of the others it is only kept that
    /// they came.
    pub(super) fn close_row(&mut self) {
        let answers = self.asked.iter_mut().filter_map(|asked| asked.answer.as_mut());
        answers.for_each(|answer| *answer = Ok(Value::Null));
        for answer in self.nameless.drain(..) {
            let error = answer.err().map_or_else(String::new, |error| error.to_string());
            self.heard.faults.add(&format!("it could not read a sound message: {error}"));
        }
    }

    /// One message.
    pub(super) async fn hear(&mut self, until: Instant) -> Result<(), Stopped> {
        // A flood must not keep us from looking at the clock.
        while Instant::now() < until {
            match self.frames.take() {
                Ok(Some(frame)) => return self.take(&frame).await,
                Ok(None) => self.read(until).await?,
                Err(too_long) => return Err(Stopped::Broken(too_long.to_string())),
            }
        }
        Err(Stopped::Silent)
    }

    async fn read(&mut self, until: Instant) -> Result<(), Stopped> {
        let read = timeout_at(until, self.stream.read(&mut self.buffer)).await;
        let half = "half a message came, and no more of it in time".to_owned();
        match read
            .map_err(|_| if self.frames.is_within() { Stopped::Broken(half) } else { Stopped::Silent })?
        {
            Ok(0) if self.frames.is_within() => {
                Err(Stopped::Broken("it closed the connection in the middle of a message".to_owned()))
            }
            Ok(0) | Err(_) => Err(Stopped::Closed),
            Ok(count) => {
                self.frames.push(&self.buffer[..count]);
                Ok(())
            }
        }
    }

    async fn take(&mut self, frame: &[u8]) -> Result<(), Stopped> {
        match Message::parse(frame) {
            Err(malformed) => self.heard.faults.add(&format!("{malformed}: {}", begin_of(frame))),
            Ok(Message::Response { id: Some(id), outcome }) => self.take_answer(&id, outcome),
            Ok(Message::Response { id: None, outcome }) if self.nameless.len() < NAMELESS => {
                self.nameless.push(outcome);
            }
            Ok(Message::Response { id: None, .. }) => {}
            Ok(Message::Notification { method, params }) => self.notice(&method, params),
            Ok(Message::Request { id, method, .. }) => {
                let error = RpcError::new(code::NO_METHOD, format!("there is no method `{method}` here"));
                let line = Message::Response { id: Some(id), outcome: Err(error) }.line();
                self.say(&line, Duration::from_secs(1)).await?;
            }
        }
        Ok(())
    }

    fn take_answer(&mut self, id: &Id, outcome: Answer) {
        match self.asked.iter_mut().find(|asked| asked.id == *id) {
            Some(asked) if asked.answer.is_none() => asked.answer = Some(outcome),
            Some(_) => self.heard.faults.add(&format!("it answered request {id} twice")),
            None => self.heard.faults.add(&format!("it answered request {id}, which was never made")),
        }
    }

    /// What belongs to a run is read and held against the runs; what is not known is left alone.
    fn notice(&mut self, method: &str, params: Value) {
        let sound = match method {
            method::LOG => {
                self.time(&params);
                read::<Log>(&params, &["task", "line"])
            }
            method::PROGRESS => read::<Progress>(&params, &["task", "done"]),
            method::DIAGNOSTIC => read::<Remark>(&params, &["task", "file", "message"]),
            _ => return,
        };
        match sound {
            Ok(()) => self.belongs(method, &params),
            Err(why) => self.heard.faults.add(&format!("a `{method}` cannot be read: {why}")),
        }
    }

    fn time(&mut self, params: &Value) {
        let Some(time) = params.get("time").filter(|time| !time.is_null()) else { return };
        self.heard.times += 1;
        if !time.as_str().is_some_and(times::is_time) {
            let fault = format!("{time} is neither RFC 3339 nor like 20260102T030405Z");
            self.heard.bad_times.add(&fault);
        }
    }

    fn belongs(&mut self, method: &str, params: &Value) {
        let (task, run) = (params["task"].as_str().unwrap_or_default(), params["run"].as_str());
        let is_meant = |asked: &&Asked| {
            let named = asked.run.as_ref();
            named.is_some_and(|(known, id)| known == task && run.is_none_or(|run| run == id))
        };
        let mut meant = self.asked.iter().filter(is_meant).peekable();
        let which = run.map_or_else(String::new, |run| format!(", run `{run}`"));
        if meant.peek().is_none() {
            self.heard.faults.add(&format!("a `{method}` of `{task}`{which}, which was not asked for"));
        } else if meant.all(|asked| asked.answer.is_some()) {
            self.heard.faults.add(&format!("a `{method}` of `{task}`{which} came after its result"));
        }
    }
}

fn read<T: DeserializeOwned>(params: &Value, needed: &[&str]) -> Result<(), String> {
    if !params.is_object() {
        return Err("its params are no object".to_owned());
    }
    if let Some(missing) = needed.iter().find(|key| params.get(key).is_none_or(Value::is_null)) {
        return Err(format!("it has no `{missing}`"));
    }
    T::deserialize(params).map(drop).map_err(|error| error.to_string())
}

/// Enough of a message to know it again.
fn begin_of(frame: &[u8]) -> String {
    let text = String::from_utf8_lossy(&frame[..frame.len().min(400)]).into_owned();
    text.chars().take(80).collect()
}
