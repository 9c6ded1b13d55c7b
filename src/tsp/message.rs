//! The messages: JSON-RPC 2.0, and what the protocol puts into it.

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The version of the protocol that is spoken here.
pub const VERSION: u64 = 1;

/// The names of the methods.
pub mod method {
    /// The first request: who is there, and what are its tasks?
    pub const INITIALIZE: &str = "initialize";
    /// Run a task.
    pub const RUN: &str = "run";
    /// A line of a task.
    pub const LOG: &str = "log";
    /// How far a task is.
    pub const PROGRESS: &str = "progress";
    /// Something a task has to say about a place in a file.
    pub const DIAGNOSTIC: &str = "diagnostic";
    /// A run is not wanted any more.
    pub const CANCEL: &str = "cancel";
    /// The list of tasks is another one.
    pub const CHANGED: &str = "tasks/changed";
    /// The last request.
    pub const SHUTDOWN: &str = "shutdown";
}

/// The codes of errors.
pub mod code {
    /// A message is no JSON.
    pub const NO_JSON: i64 = -32700;
    /// A message is JSON but no request.
    pub const INVALID: i64 = -32600;
    /// There is no such method.
    pub const NO_METHOD: i64 = -32601;
    /// A method cannot be called like this.
    pub const BAD_PARAMS: i64 = -32602;
    /// The server was asked something before `initialize`.
    pub const NOT_INITIALIZED: i64 = -32002;
    /// There is no such task.
    pub const NO_TASK: i64 = -32001;
}

/// Reads the parts of a message. A field that is `null` counts as absent.
///
/// # Errors
/// What does not fit.
pub fn read_value<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, serde_json::Error> {
    let value = match value {
        Value::Object(mut fields) => {
            fields.retain(|_, value| !value.is_null());
            Value::Object(fields)
        }
        other => other,
    };
    serde_json::from_value(value)
}

/// A message, whichever way it goes.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// A question, to be answered under the same id.
    Request {
        /// Which.
        id: Id,
        /// What is asked.
        method: String,
        /// The particulars.
        params: Value,
    },
    /// Something that is told.
    Notification {
        /// What kind of thing.
        method: String,
        /// The particulars.
        params: Value,
    },
    /// An answer.
    Response {
        /// To which question; none where the question could not be read.
        id: Option<Id>,
        /// The answer.
        outcome: Result<Value, RpcError>,
    },
}

/// The id of a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Id {
    /// A number.
    Number(u64),
    /// A text.
    Text(String),
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => write!(f, "`{text}`"),
        }
    }
}

/// The error a request is answered with where the protocol was misused. A task that fails is none: that is a
/// [`RunResult`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{message} ({code})")]
pub struct RpcError {
    /// One of [`code`].
    pub code: i64,
    /// One sentence.
    #[serde(default)]
    pub message: String,
    /// More of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

impl RpcError {
    /// An error without data.
    #[must_use]
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }
}

/// What is wrong with the text of a message. The rest of a connection can still be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It is not JSON, or breaks off.
    #[error("a line is no JSON: {0}")]
    NoJson(String),
    /// It is JSON, and no message.
    #[error("a line is no message: {0}")]
    NoMessage(&'static str),
}

impl Malformed {
    /// The code a server answers it with.
    #[must_use]
    pub const fn code(&self) -> i64 {
        match self {
            Self::NoJson(_) => code::NO_JSON,
            Self::NoMessage(_) => code::INVALID,
        }
    }
}

/// A message as it stands on the wire. Fields that are not known are left alone.
#[derive(Deserialize)]
struct Raw {
    #[serde(default, with = "there")]
    id: Option<Value>,
    method: Option<String>,
    #[serde(default)]
    params: Value,
    #[serde(default, with = "there")]
    result: Option<Value>,
    error: Option<Value>,
}

/// Tells `null` from nothing.
mod there {
    use serde::{Deserialize, Deserializer};
    use serde_json::Value;

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Value>, D::Error> {
        Value::deserialize(from).map(Some)
    }
}

impl Message {
    /// Reads one.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(text: &[u8]) -> Result<Self, Malformed> {
        let value: Value =
            serde_json::from_slice(text).map_err(|error| Malformed::NoJson(error.to_string()))?;
        if value.is_array() {
            return Err(Malformed::NoMessage("there are no batches"));
        }
        let Raw { id, method, params, result, error } =
            serde_json::from_value(value).map_err(|_| Malformed::NoMessage("it is no object of JSON-RPC"))?;
        let known = |id: Value| {
            let bad = |_| Malformed::NoMessage("its id is neither a whole number nor text");
            serde_json::from_value(id).map_err(bad)
        };
        match (method, id, result, error) {
            (Some(method), None, None, None) => Ok(Self::Notification { method, params }),
            (Some(method), Some(id), None, None) => Ok(Self::Request { id: known(id)?, method, params }),
            (None, Some(id), Some(result), None) => {
                Ok(Self::Response { id: Some(known(id)?), outcome: Ok(result) })
            }
            (None, id, None, Some(error)) => {
                let id = id.filter(|id| !id.is_null()).map(known).transpose()?;
                let bad = |_| Malformed::NoMessage("its error has no code");
                let error: RpcError = serde_json::from_value(error).map_err(bad)?;
                Ok(Self::Response { id, outcome: Err(error) })
            }
            (None, _, None, None) => {
                Err(Malformed::NoMessage("it has neither a method nor a result nor an error"))
            }
            (None, None, Some(_), None) => Err(Malformed::NoMessage("its result has no id")),
            _ => Err(Malformed::NoMessage("it has a method, a result or an error together")),
        }
    }

    /// As a line.
    #[must_use]
    pub fn line(&self) -> Vec<u8> {
        let value = match self {
            Self::Request { id, method, params } => {
                json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
            }
            Self::Notification { method, params } => {
                json!({"jsonrpc": "2.0", "method": method, "params": params})
            }
            Self::Response { id, outcome: Ok(result) } => {
                json!({"jsonrpc": "2.0", "id": id, "result": result})
            }
            Self::Response { id, outcome: Err(error) } => json!({"jsonrpc": "2.0", "id": id, "error": error}),
        };
        let mut line = value.to_string().into_bytes();
        line.push(b'\n');
        line
    }
}

/// The particulars of `initialize`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct InitializeParams {
    /// The newest version of the protocol that the client speaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol_version: Option<u64>,
    /// What the client is called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The root of the tree, absolute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
}

/// The answer to `initialize`. Tasks are read one by one ([`TaskObject::read`]), for each to have its own fault.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InitializeResult {
    /// The tasks.
    pub tasks: Vec<Value>,
    /// The version of the protocol that the server speaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol_version: Option<u64>,
    /// What it is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<Value>,
    /// What it can do.
    #[serde(default)]
    pub capabilities: Capabilities,
}

/// What is `null` counts as absent.
fn or_default<'de, D: serde::Deserializer<'de>, T: Default + Deserialize<'de>>(
    from: D,
) -> Result<T, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

/// What a server can do beyond what each can.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Capabilities {
    /// Whether it ends a run when told to.
    #[serde(deserialize_with = "or_default")]
    pub cancel: bool,
    /// Whether it tells how far it is.
    #[serde(deserialize_with = "or_default")]
    pub progress: bool,
    /// Whether it says when its list of tasks is another one.
    #[serde(deserialize_with = "or_default")]
    pub list_changed: bool,
    /// How many runs it wants to have at once; none: as many as there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrency: Option<u32>,
}

/// A task of the list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskObject {
    /// Its name; without a colon it lies in the project that declares the server.
    pub name: String,
    /// What it runs after, as in `after`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub depends: Vec<String>,
    /// The same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// What it runs before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<String>,
    /// One line for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Patterns of what it reads.
    #[serde(alias = "execIfModified", skip_serializing_if = "Vec::is_empty")]
    pub exec_if_modified: Vec<String>,
    /// Patterns of what it makes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<String>,
    /// Where it works, and what its patterns are relative to: relative to the directory of the file that declares the
    /// server, which is also the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Its own input; what is asked for on the command line comes on top.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Map<String, Value>>,
    /// Variables for `env`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

impl TaskObject {
    /// Reads one of the list. What is `null` counts as absent.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(value: &Value) -> Result<Self, String> {
        let Value::Object(fields) = value else { return Err("it is no object".to_owned()) };
        if fields.get("name").is_none_or(Value::is_null) {
            return Err("it has no `name`".to_owned());
        }
        read_value(Value::Object(fields.clone())).map_err(|error| error.to_string())
    }
}

/// The particulars of `run`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RunParams {
    /// The task.
    pub task: String,
    /// What it is given, or `null`.
    pub inputs: Value,
    /// What its upstream closure handed on, by task.
    pub outputs: Map<String, Value>,
    /// Tells this run from others; for `log`, `progress`, `diagnostic` and `cancel`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Variables, for what it starts.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Where it works, absolute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// The files that made it run, as far as it was files: absolute.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed_files: Vec<String>,
}

/// The answer to `run`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunResult {
    /// The task.
    #[serde(default)]
    pub task: String,
    /// What it hands on; `null`: nothing.
    #[serde(default)]
    pub outputs: Value,
    /// How it ended.
    pub status: Status,
    /// Variables for what comes after it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub exports: BTreeMap<String, String>,
    /// What is shown at the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TaskError>,
}

impl RunResult {
    /// Of a task that did what it should.
    #[must_use]
    pub fn succeeded(task: &str, outputs: Value) -> Self {
        Self {
            task: task.to_owned(),
            outputs,
            status: Status::Succeeded,
            exports: BTreeMap::new(),
            messages: Vec::new(),
            error: None,
        }
    }

    /// Of one that did not.
    #[must_use]
    pub fn failed(task: &str, message: impl Into<String>) -> Self {
        let error = Some(TaskError { message: message.into(), detail: None });
        Self { status: Status::Failed, error, ..Self::succeeded(task, Value::Null) }
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It did what it should.
    Succeeded,
    /// It did not.
    Failed,
    /// There was nothing to do.
    Skipped,
    /// It was told to end.
    Cancelled,
}

/// Why a task failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskError {
    /// One sentence.
    pub message: String,
    /// More of it, over many lines if need be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// A line of a task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Log {
    /// The task.
    pub task: String,
    /// Which run of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The text, without a newline at the end.
    pub line: String,
    /// Whether it was written to stderr.
    pub stderr: bool,
    /// When: RFC 3339, or compact (`20260102T030405Z`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Value>,
    /// How important it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<Value>,
}

/// How far a task is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// The task.
    pub task: String,
    /// Which run of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// How much is done.
    pub done: f64,
    /// Of how much.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total: Option<f64>,
    /// What it is at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Something a task has to say about a place in a file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Remark {
    /// The task.
    pub task: String,
    /// Which run of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The file, absolute or relative to where the task works.
    pub file: String,
    /// The line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// The column, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub col: Option<u64>,
    /// `error`, `warning` or `note`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<String>,
    /// What it says.
    pub message: String,
}

impl std::fmt::Display for Remark {
    /// As compilers do: `file:line:column: severity: message`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.file)?;
        for number in [self.line, self.line.and(self.col)].into_iter().flatten() {
            write!(f, ":{number}")?;
        }
        let severity = self.severity.as_deref().map_or(Cow::Borrowed(""), |word| format!(" {word}:").into());
        write!(f, ":{severity} {}", self.message)
    }
}

/// The particulars of `cancel`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cancel {
    /// The task.
    pub task: String,
    /// Which run of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_as_json_rpc_has_them() {
        use Message::{Notification, Request, Response};
        let request = |id| Request { id, method: "run".to_owned(), params: json!({"task": "a:b"}) };
        let cases = [
            (r#"{"jsonrpc":"2.0","id":1,"method":"run","params":{"task":"a:b"}}"#, request(Id::Number(1))),
            (
                r#"{"id":"x","method":"run","params":{"task":"a:b"},"more":1}"#,
                request(Id::Text("x".to_owned())),
            ),
            (r#"{"method":"log"}"#, Notification { method: "log".to_owned(), params: Value::Null }),
            (r#"{"id":1,"result":null}"#, Response { id: Some(Id::Number(1)), outcome: Ok(Value::Null) }),
            (
                r#"{"id":null,"error":{"code":-32700,"message":"what?"}}"#,
                Response { id: None, outcome: Err(RpcError::new(-32700, "what?")) },
            ),
        ];
        for (text, expected) in cases {
            let read = Message::parse(text.as_bytes()).unwrap();
            assert_eq!(read, expected, "{text}");
            let line = read.line();
            assert_eq!(Message::parse(&line).unwrap(), expected, "{text}");
            assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        }
    }

    #[test]
    fn what_is_no_message_is_told_by_what_is_wrong_with_it() {
        let cases = [
            ("", code::NO_JSON),
            ("{", code::NO_JSON),
            ("{\"a\":1", code::NO_JSON),
            ("hello", code::NO_JSON),
            ("[]", code::INVALID),
            ("[{\"method\":\"a\"}]", code::INVALID),
            ("1", code::INVALID),
            ("{}", code::INVALID),
            ("{\"id\":1}", code::INVALID),
            ("{\"result\":1}", code::INVALID),
            ("{\"id\":1.5,\"method\":\"a\"}", code::INVALID),
            ("{\"id\":{},\"method\":\"a\"}", code::INVALID),
            ("{\"id\":null,\"method\":\"a\"}", code::INVALID),
            ("{\"id\":1,\"method\":1}", code::INVALID),
            ("{\"id\":1,\"method\":\"a\",\"result\":1}", code::INVALID),
            ("{\"id\":1,\"result\":1,\"error\":{\"code\":1}}", code::INVALID),
            ("{\"id\":1,\"error\":\"no\"}", code::INVALID),
        ];
        for (text, code) in cases {
            assert_eq!(Message::parse(text.as_bytes()).map_err(|m| m.code()), Err(code), "{text}");
        }
        let no_text = b"{\"method\":\"\xff\"}";
        assert_eq!(Message::parse(no_text).map_err(|m| m.code()), Err(code::NO_JSON));
        let deep = "[".repeat(100_000);
        assert_eq!(Message::parse(deep.as_bytes()).map_err(|m| m.code()), Err(code::NO_JSON));
    }

    #[test]
    fn a_task_of_the_list_has_a_name_and_what_else_it_likes() {
        let read = |value: Value| TaskObject::read(&value);
        let task =
            read(json!({"name": "a:b", "depends": ["c"], "execIfModified": ["x"], "input": null, "new": 1}));
        let task = task.unwrap();
        assert_eq!((task.name.as_str(), task.depends.len(), task.exec_if_modified.len()), ("a:b", 1, 1));
        for (value, fault) in [
            (json!(1), "it is no object"),
            (json!({}), "it has no `name`"),
            (json!({"name": null}), "it has no `name`"),
            (json!({"name": 1}), "invalid type: integer `1`, expected a string"),
            (json!({"name": "a:b", "after": "c"}), "invalid type: string \"c\", expected a sequence"),
        ] {
            assert_eq!(read(value).unwrap_err(), fault);
        }
    }

    #[test]
    fn a_remark_reads_as_those_of_compilers_do() {
        let remark = |line, col, severity: Option<&str>| Remark {
            file: "a.x".to_owned(),
            line,
            col,
            severity: severity.map(str::to_owned),
            message: "bad".to_owned(),
            ..Remark::default()
        };
        for (remark, expected) in [
            (remark(Some(1), Some(2), Some("error")), "a.x:1:2: error: bad"),
            (remark(Some(1), None, None), "a.x:1: bad"),
            (remark(None, Some(2), Some("note")), "a.x: note: bad"),
        ] {
            assert_eq!(remark.to_string(), expected);
        }
    }
}
