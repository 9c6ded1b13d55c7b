//! devtask's end of a connection to a server.
//!
//! One task reads, one writes, and who asks waits for what is said to it. A server that breaks the protocol in a way
//! that makes what follows doubtful is given up as a whole: all who wait for it are told why, at once.

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
    time::timeout,
};

use super::{
    Cancel, Id, LIMIT, Log, Malformed, Message, Progress, Remark, RpcError, RunParams,
    frame::{Frames, TooLong},
    message::{code, method, read_value},
};

/// Bytes read at once.
const CHUNK: usize = 64 * 1024;
/// What may wait for a run that is slow to listen; then its server waits.
const WAITING: usize = 32;
/// Bytes of replies that a server may leave unread.
const UNREAD: usize = 1024 * 1024;
/// How long nothing may come of a message that has begun, twice in a row: while both ends are stopped time goes on.
const STALLED: Duration = Duration::from_secs(5);

/// A connection to a server. Clones are the same one. Once the last is dropped the server finds its end of file.
#[derive(Clone, Debug)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    lines: Mutex<Option<mpsc::UnboundedSender<Vec<u8>>>>,
    /// Reads for as long as anybody could listen.
    reader: tokio::task::JoinHandle<()>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// What reader and askers have in common.
#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// How often it said that its list is another one.
    changes: watch::Sender<u64>,
    /// Bytes of replies that are not written yet, or more.
    unwritten: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    asked: HashMap<u64, Asked>,
    fault: Option<Fault>,
}

/// Somebody who waits for an answer.
#[derive(Debug)]
struct Asked {
    /// The task and the run, if that is what was asked.
    run: Option<(String, String)>,
    to: mpsc::Sender<Said>,
}

/// What a server says to who asked it something.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// A line of the task.
    Log(Log),
    /// How far the task is.
    Progress(Progress),
    /// Something about a place in a file.
    Remark(Remark),
    /// The answer; nothing follows.
    Answer(Result<Value, RpcError>),
}

/// Why a connection is given up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Its end was closed.
    #[error("it closed the connection")]
    Closed,
    /// What it wrote is no message.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// What it wrote is too long for a message.
    #[error(transparent)]
    TooLong(#[from] TooLong),
    /// It broke off within a message.
    #[error("it closed the connection in the middle of a message")]
    BrokenOff,
    /// It stopped within a message.
    #[error("half a message came, and no more of it for {} s", 2 * STALLED.as_secs())]
    Stalled,
    /// It answered what nobody asked, or something twice.
    #[error("it answered request {0}, which nobody waits for")]
    NotAsked(Id),
    /// It could not read what it was sent.
    #[error("it could not read a message: {0}")]
    NotUnderstood(String),
    /// It asks and does not read what it is answered.
    #[error("it asks again and again, and does not read the answers")]
    Deaf,
    /// What it answered is no answer to that.
    #[error("its answer to `{method}` is none: {why}")]
    NoAnswer {
        /// What it was asked.
        method: String,
        /// What is wrong with it.
        why: String,
    },
    /// What it is to be sent is longer than a message may be.
    #[error("what it has to be told is longer than {} MiB", LIMIT / 1024 / 1024)]
    TooMuch,
    /// The system refused.
    #[error("the connection broke: {0}")]
    System(String),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::System(error.to_string())
    }
}

impl Client {
    /// Speaks over a stream. Within a tokio runtime, which reads and writes from now on.
    #[must_use]
    pub fn over(stream: UnixStream) -> Self {
        let (reading, writing) = stream.into_split();
        let (lines, from) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared::default());
        tokio::spawn(write(writing, from, Arc::clone(&shared)));
        let replies = lines.clone();
        let reader = tokio::spawn(read(reading, Arc::clone(&shared), replies.downgrade()));
        drop(replies);
        Self(Arc::new(Inner { shared, lines: Mutex::new(Some(lines)), reader }))
    }

    /// Asks something.
    ///
    /// # Errors
    /// The fault of the connection; the answer may be an error of its own.
    pub async fn ask<T: DeserializeOwned>(
        &self,
        method: &str,
        params: &impl Serialize,
    ) -> Result<Result<T, RpcError>, Fault> {
        let mut answers = self.begin(method, params, None)?;
        loop {
            if let Said::Answer(answer) = answers.next().await? {
                let bad = |error: serde_json::Error| Fault::NoAnswer {
                    method: method.to_owned(),
                    why: error.to_string(),
                };
                return Ok(match answer {
                    Ok(value) => Ok(read_value(value).map_err(bad)?),
                    Err(error) => Err(error),
                });
            }
        }
    }

    /// Begins a run. What is said in it has to be listened to: the server waits otherwise.
    ///
    /// # Errors
    /// The fault of the connection.
    pub fn run(&self, params: &RunParams) -> Result<Answers, Fault> {
        let run = (params.task.clone(), params.run.clone().unwrap_or_default());
        self.begin(method::RUN, params, Some(run))
    }

    /// Says that a run is not wanted any more. It is still answered.
    pub fn cancel(&self, params: &RunParams) {
        let cancel = Cancel { task: params.task.clone(), run: params.run.clone() };
        let params = serde_json::to_value(cancel).unwrap_or_default();
        // A connection that is gone has nothing to cancel.
        let _ = self.send(&Message::Notification { method: method::CANCEL.to_owned(), params });
    }

    /// Changes whenever the server says that its list of tasks is another one.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.shared.changes.subscribe()
    }

    /// Why the connection is of no use any more, if it is not.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        self.0.shared.state().fault.clone()
    }

    /// Nothing more is said from this end.
    pub fn close(&self) {
        drop(lock(&self.0.lines).take());
    }

    fn begin(
        &self,
        method: &str,
        params: &impl Serialize,
        run: Option<(String, String)>,
    ) -> Result<Answers, Fault> {
        let params = serde_json::to_value(params).map_err(|error| Fault::System(error.to_string()))?;
        let (to, from) = mpsc::channel(WAITING);
        let id = {
            let mut state = self.0.shared.state();
            if let Some(fault) = &state.fault {
                return Err(fault.clone());
            }
            state.next += 1;
            let id = state.next;
            state.asked.insert(id, Asked { run, to });
            id
        };
        let answers = Answers { client: self.clone(), id, from };
        self.send(&Message::Request { id: Id::Number(id), method: method.to_owned(), params })?;
        Ok(answers)
    }

    fn send(&self, message: &Message) -> Result<(), Fault> {
        let line = message.line();
        if line.len() > LIMIT {
            return Err(Fault::TooMuch);
        }
        let sent = lock(&self.0.lines).as_ref().is_some_and(|lines| lines.send(line).is_ok());
        if sent { Ok(()) } else { Err(self.fault().unwrap_or(Fault::Closed)) }
    }
}

/// What is said to one who asked. Dropped before the answer came, it is not listened to.
#[derive(Debug)]
pub struct Answers {
    client: Client,
    id: u64,
    from: mpsc::Receiver<Said>,
}

impl Answers {
    /// The next thing. To be dropped half-way loses nothing.
    ///
    /// # Errors
    /// The fault of the connection.
    pub async fn next(&mut self) -> Result<Said, Fault> {
        match self.from.recv().await {
            Some(said) => Ok(said),
            None => Err(self.client.fault().unwrap_or(Fault::Closed)),
        }
    }
}

impl Drop for Answers {
    fn drop(&mut self) {
        // Its answer may still come, and is no lie.
        if let Some(asked) = self.client.0.shared.state().asked.get_mut(&self.id) {
            asked.run = None;
            self.from.close();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Who waits for this; of a run by its id, else by its task.
    fn listener(&self, task: &str, run: Option<&str>) -> Option<mpsc::Sender<Said>> {
        let is_meant = |asked: &&Asked| match (&asked.run, run) {
            (Some((_, known)), Some(run)) => known == run,
            (Some((known, _)), None) => known == task,
            (None, _) => false,
        };
        self.state().asked.values().find(is_meant).map(|asked| asked.to.clone())
    }

    fn give_up(&self, fault: Fault) {
        let mut state = self.state();
        state.fault.get_or_insert(fault);
        // Their channels end, and they ask for the fault.
        state.asked.clear();
    }
}

async fn write(mut to: OwnedWriteHalf, mut lines: mpsc::UnboundedReceiver<Vec<u8>>, shared: Arc<Shared>) {
    while let Some(line) = lines.recv().await {
        if to.write_all(&line).await.is_err() {
            // The reader finds out why.
            return;
        }
        // What is said to it is not counted, and so counts as having been read before it was.
        let left = |bytes: usize| Some(bytes.saturating_sub(line.len()));
        let _ = shared.unwritten.fetch_update(Relaxed, Relaxed, left);
    }
}

async fn read(mut from: OwnedReadHalf, shared: Arc<Shared>, replies: mpsc::WeakUnboundedSender<Vec<u8>>) {
    let (mut frames, mut buffer) = (Frames::default(), vec![0; CHUNK]);
    let fault = loop {
        match more(&mut from, &mut buffer, frames.is_within()).await {
            Ok(0) if frames.is_within() => break Fault::BrokenOff,
            Ok(0) => break Fault::Closed,
            Ok(count) => frames.push(&buffer[..count]),
            Err(fault) => break fault,
        }
        if let Err(fault) = take(&mut frames, &shared, &replies).await {
            break fault;
        }
    };
    shared.give_up(fault);
}

async fn more(from: &mut OwnedReadHalf, buffer: &mut [u8], is_within: bool) -> Result<usize, Fault> {
    if !is_within {
        return Ok(from.read(buffer).await?);
    }
    for _ in 0..2 {
        if let Ok(read) = timeout(STALLED, from.read(buffer)).await {
            return Ok(read?);
        }
    }
    Err(Fault::Stalled)
}

async fn take(
    frames: &mut Frames,
    shared: &Shared,
    replies: &mpsc::WeakUnboundedSender<Vec<u8>>,
) -> Result<(), Fault> {
    while let Some(frame) = frames.take()? {
        match Message::parse(&frame)? {
            Message::Notification { method, params } => notice(shared, &method, params).await,
            Message::Response { id: Some(id), outcome } => answer(shared, id, outcome).await?,
            Message::Response { id: None, outcome } => {
                let error = outcome.err().map(|error| error.to_string());
                return Err(Fault::NotUnderstood(error.unwrap_or_default()));
            }
            Message::Request { id, method, .. } => {
                let name: String = method.chars().take(100).collect();
                let outcome =
                    Err(RpcError::new(code::NO_METHOD, format!("there is no method `{name}` here")));
                let reply = Message::Response { id: Some(id), outcome }.line();
                if shared.unwritten.fetch_add(reply.len(), Relaxed) > UNREAD {
                    return Err(Fault::Deaf);
                }
                if let Some(replies) = replies.upgrade() {
                    // Who has gone needs no answer.
                    let _ = replies.send(reply);
                }
            }
        }
    }
    Ok(())
}

async fn answer(shared: &Shared, id: Id, outcome: Result<Value, RpcError>) -> Result<(), Fault> {
    let asked = match &id {
        Id::Number(number) => shared.state().asked.remove(number),
        Id::Text(_) => None,
    };
    let Some(asked) = asked else { return Err(Fault::NotAsked(id)) };
    // Nobody need wait for it any more.
    let _ = asked.to.send(Said::Answer(outcome)).await;
    Ok(())
}

/// What is not understood is left alone, as is what concerns no run that is under way.
async fn notice(shared: &Shared, method: &str, params: Value) {
    fn read<T: DeserializeOwned>(params: Value) -> Option<T> {
        read_value(params).ok()
    }
    let said = match method {
        method::LOG => read::<Log>(params).map(|it| (it.task.clone(), it.run.clone(), Said::Log(it))),
        method::PROGRESS => {
            read::<Progress>(params).map(|it| (it.task.clone(), it.run.clone(), Said::Progress(it)))
        }
        method::DIAGNOSTIC => {
            read::<Remark>(params).map(|it| (it.task.clone(), it.run.clone(), Said::Remark(it)))
        }
        method::CHANGED => {
            shared.changes.send_modify(|changes| *changes += 1);
            None
        }
        _ => None,
    };
    let Some((task, run, said)) = said else { return };
    if let Some(to) = shared.listener(&task, run.as_deref()) {
        // Nobody need listen any more.
        let _ = to.send(said).await;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A client, and the other end.
    fn pair() -> (Client, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Client::over(ours), theirs)
    }

    async fn asked(theirs: &mut UnixStream, frames: &mut Frames) -> Message {
        let mut buffer = [0; 4096];
        loop {
            if let Some(frame) = frames.take().unwrap() {
                return Message::parse(&frame).unwrap();
            }
            let count = theirs.read(&mut buffer).await.unwrap();
            assert_ne!(count, 0, "the client has gone");
            frames.push(&buffer[..count]);
        }
    }

    fn params(task: &str, run: &str) -> RunParams {
        RunParams { task: task.to_owned(), run: Some(run.to_owned()), ..RunParams::default() }
    }

    #[tokio::test]
    async fn answers_come_in_any_order_and_each_to_who_asked() {
        let (client, mut theirs) = pair();
        let mut frames = Frames::default();
        let mut first = client.run(&params("a:1", "r1")).unwrap();
        let mut second = client.run(&params("a:2", "r2")).unwrap();
        for expected in ["a:1", "a:2"] {
            let Message::Request { method, params, .. } = asked(&mut theirs, &mut frames).await else {
                panic!()
            };
            assert_eq!((method.as_str(), &params["task"]), ("run", &json!(expected)));
        }
        let lines = concat!(
            r#"{"method":"log","params":{"task":"a:2","run":"r2","line":"two"}}"#,
            r#"{"method":"log","params":{"task":"a:1","line":"one","stderr":true}}"#,
            r#"{"method":"log","params":{"task":"a:1","run":"gone","line":"nobody's"}}"#,
            r#"{"method":"unknown","params":[]}"#,
            r#"{"method":"log","params":"what"}"#,
            r#"{"id":2,"result":{"ok":2}}{"id":1,"result":{"ok":1}}"#,
        );
        theirs.write_all(lines.as_bytes()).await.unwrap();
        for (answers, line, stderr, ok) in [(&mut first, "one", true, 1), (&mut second, "two", false, 2)] {
            let Said::Log(log) = answers.next().await.unwrap() else { panic!() };
            assert_eq!((log.line.as_str(), log.stderr), (line, stderr));
            assert_eq!(answers.next().await.unwrap(), Said::Answer(Ok(json!({"ok": ok}))));
        }
    }

    #[tokio::test]
    async fn a_fault_is_told_to_all_who_wait_and_to_who_comes_later() {
        let cases: [(&str, &str); 7] = [
            ("", "it closed the connection"),
            ("{\"id\":1,", "it closed the connection in the middle of a message"),
            ("hello\n", "a line is no JSON: expected value at line 1 column 1"),
            ("[]\n", "a line is no message: there are no batches"),
            ("{\"id\":7,\"result\":1}\n", "it answered request 7, which nobody waits for"),
            ("{\"id\":\"x\",\"result\":1}\n", "it answered request `x`, which nobody waits for"),
            (
                "{\"id\":null,\"error\":{\"code\":-32700,\"message\":\"what?\"}}\n",
                "it could not read a message: what? (-32700)",
            ),
        ];
        for (text, expected) in cases {
            let (client, mut theirs) = pair();
            let mut waits = client.run(&params("a:1", "r1")).unwrap();
            theirs.write_all(text.as_bytes()).await.unwrap();
            drop(theirs);
            assert_eq!(waits.next().await.unwrap_err().to_string(), expected);
            let later = client.ask::<Value>("shutdown", &json!({})).await;
            assert_eq!(later.unwrap_err().to_string(), expected);
        }
    }

    #[tokio::test]
    async fn an_answer_that_nobody_waits_for_any_more_is_no_lie_but_a_second_one_is() {
        let (client, mut theirs) = pair();
        drop(client.run(&params("a:1", "r1")).unwrap());
        let mut second = client.run(&params("a:2", "r2")).unwrap();
        let log = r#"{"method":"log","params":{"task":"a:1","run":"r1","line":"x"}}"#;
        theirs.write_all(format!("{log}{{\"id\":1,\"result\":1}}").as_bytes()).await.unwrap();
        theirs.write_all(b"{\"id\":2,\"result\":2}{\"id\":2,\"result\":2}").await.unwrap();
        assert_eq!(second.next().await, Ok(Said::Answer(Ok(json!(2)))));
        let later = client.ask::<Value>("shutdown", &json!({})).await;
        assert_eq!(later, Err(Fault::NotAsked(Id::Number(2))));
    }

    #[tokio::test]
    async fn who_asks_us_is_told_that_there_is_no_such_method() {
        let (client, mut theirs) = pair();
        let mut changes = client.changes();
        theirs.write_all(b"{\"id\":\"q\",\"method\":\"x\"}{\"method\":\"tasks/changed\"}").await.unwrap();
        let answer = asked(&mut theirs, &mut Frames::default()).await;
        let Message::Response { id: Some(Id::Text(id)), outcome: Err(error) } = answer else { panic!() };
        assert_eq!((id.as_str(), error.code), ("q", code::NO_METHOD));
        changes.changed().await.unwrap();
        client.close();
        let mut rest = Vec::new();
        theirs.read_to_end(&mut rest).await.unwrap();
        assert!(rest.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn half_a_message_is_not_waited_for_for_ever() {
        let (client, mut theirs) = pair();
        let mut waits = client.run(&params("a:1", "r1")).unwrap();
        theirs.write_all(b"{\"id\":1,").await.unwrap();
        assert_eq!(waits.next().await, Err(Fault::Stalled));
    }
}
