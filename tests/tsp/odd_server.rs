//! A task server for tests: right, or wrong in exactly one way.
//!
//! `odd_server BEHAVIOUR SOCKET`. `good` is right on its socket and `good-fd3` on its descriptor 3; `serial` is right
//! and wants one run at a time. Every other behaviour is `good` but for what its name says.
#![allow(
    missing_docs,
    clippy::allow_attributes,
    clippy::disallowed_methods,
    clippy::zombie_processes,
    reason = "it ends all at once and leaves children on purpose, and holds no store"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "it has no store to be closed, and ends as a bad server would"
)]

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, BufRead as _, BufReader, Read, Write},
    os::unix::{net::UnixListener, process::CommandExt as _},
    path::Path,
    process::{Command, Stdio, exit},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use serde_json::{Value, json};

const TASKS: [&str; 12] = [
    "t:echo",
    "t:fail",
    "t:log",
    "t:slow",
    "t:sleepless",
    "t:progress",
    "t:remark",
    "t:skip",
    "t:exports",
    "t:messages",
    "t:refuses",
    "t:late",
];

fn main() {
    let arguments: Vec<String> = env::args().collect();
    let [_, behaviour, .., socket] = arguments.as_slice() else { exit(64) };
    match behaviour.as_str() {
        "never-binds" => hang(),
        "no-spaces" if socket.contains(' ') => hang(),
        "dies-at-start" => {
            eprintln!("no luck");
            exit(3)
        }
        "binds-late" => wait_for_gate(),
        "good-fd3" => speak_on_descriptor_3(socket),
        "good-stdio" => return serve("good", io::stdin(), io::stdout()),
        "leaves-child" => leave_child(),
        "floods-stdout" => drop(thread::spawn(|| while writeln!(io::stdout(), "more").is_ok() {})),
        _ => {}
    }
    let (stream, _) = UnixListener::bind(socket).unwrap().accept().unwrap();
    serve(behaviour, stream.try_clone().unwrap(), stream);
}

fn hang() -> ! {
    loop {
        thread::park();
    }
}

/// Says that it is there, and waits for the file that `ODD_GATE` names.
fn wait_for_gate() {
    let gate = env::var("ODD_GATE").unwrap();
    fs::write(format!("{gate}.here"), "").unwrap();
    while !Path::new(&gate).exists() {
        thread::sleep(Duration::from_millis(5));
    }
}

/// Without unsafe code there is no way to a descriptor by its number, but for a shell's.
fn speak_on_descriptor_3(socket: &str) {
    let script = r#"exec "$0" good-stdio "$1" <&3 >&3 3>&-"#;
    let own = env::current_exe().unwrap();
    panic!("{}", Command::new("sh").args(["-c", script]).arg(own).arg(socket).exec());
}

fn leave_child() {
    let mut child = Command::new("sleep");
    child.arg("1000").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
}

struct Server {
    behaviour: String,
    to: Mutex<Box<dyn Write + Send>>,
    initialized: AtomicBool,
    /// What is wrong only once has been.
    done: AtomicBool,
    /// A run that waits for another to be mixed up with.
    held: Mutex<Option<(Value, Value)>>,
    /// Whether each run that is under way has been cancelled, by its request.
    runs: Mutex<BTreeMap<String, Under>>,
    cancelled: Condvar,
}

struct Under {
    task: Value,
    run: Value,
    is_cancelled: bool,
}

fn serve(behaviour: &str, from: impl Read, to: impl Write + Send + 'static) {
    let server = Arc::new(Server {
        behaviour: behaviour.to_owned(),
        to: Mutex::new(Box::new(to)),
        initialized: AtomicBool::new(false),
        done: AtomicBool::new(false),
        held: Mutex::default(),
        runs: Mutex::default(),
        cancelled: Condvar::new(),
    });
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line).is_ok() && line.ends_with(b"\n") {
        server.line(&line, from.buffer().windows(14).any(|part| part == br#""method":"run""#));
        line.clear();
    }
    if server.is("ignores-eof") {
        hang();
    }
    exit(if server.is("ends-with-5") { 5 } else { 0 });
}

fn log(task: &Value, run: &Value, line: &str, stderr: bool, time: &str) -> Value {
    let params = json!({"task": task, "run": run, "line": line, "stderr": stderr, "time": time});
    json!({"jsonrpc": "2.0", "method": "log", "params": params})
}

fn answer(id: &Value, result: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "result": result})
}

impl Server {
    fn is(&self, behaviour: &str) -> bool {
        self.behaviour == behaviour
    }

    /// Messages in one write. Who cannot be told any more has gone, and we end with the end of file.
    fn say(&self, messages: &[Value]) {
        let text: String = messages.iter().map(|message| format!("{message}\n")).collect();
        self.write(text.as_bytes());
    }

    fn write(&self, bytes: &[u8]) -> bool {
        let mut to = self.to.lock().unwrap();
        to.write_all(bytes).and_then(|()| to.flush()).is_ok()
    }

    fn error(&self, id: &Value, code: i64, message: &str) {
        self.say(&[json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})]);
    }

    /// `more`: whether another run stands behind it already.
    fn line(self: &Arc<Self>, line: &[u8], more: bool) {
        if line.len() > 512 * 1024 && self.is("dies-on-big") {
            exit(9);
        }
        for (at, message) in serde_json::Deserializer::from_slice(line).into_iter::<Value>().enumerate() {
            match message {
                _ if at > 0 && self.is("one-a-line") => return,
                Ok(message) if message.is_object() => self.message(&message, more),
                _ if self.is("dies-on-broken") => exit(8),
                Ok(_) if self.is("takes-arrays") => return,
                Ok(_) => self.error(&Value::Null, -32600, "this is no request"),
                Err(error) => return self.error(&Value::Null, -32700, &error.to_string()),
            }
        }
    }

    fn message(self: &Arc<Self>, message: &Value, more: bool) {
        let (id, params) = (&message["id"], &message["params"]);
        let is_known = self.initialized.load(SeqCst) || self.is("early");
        match message["method"].as_str().unwrap_or_default() {
            "initialize" => self.initialize(id, params),
            "cancel" => self.cancel(params),
            _ if id.is_null() && self.is("answers-notifications") => {
                self.error(id, -32601, "what?");
            }
            _ if id.is_null() => {}
            _ if !is_known => self.error(id, -32002, "say who you are first"),
            "run" => self.run(id, params, more),
            "shutdown" if !self.is("no-shutdown") => self.say(&[answer(id, &Value::Null)]),
            _ if self.is("silent-on-unknown") => {}
            method => self.error(id, -32601, &format!("there is no `{method}`")),
        }
    }

    fn initialize(&self, id: &Value, params: &Value) {
        match self.behaviour.as_str() {
            "silent" => return,
            "refuses" => return self.error(id, -32603, "not today"),
            "needs-root" if params["root"].is_null() => return self.error(id, -32602, "where is the root?"),
            _ => {}
        }
        let most = if self.is("serial") { json!(1) } else { Value::Null };
        let mut told = json!({
            "protocolVersion": if self.is("wrong-version") { 2 } else { 1 },
            "server": "odd",
            "capabilities": {"cancel": true, "progress": true, "maxConcurrency": most},
            "tasks": self.tasks(),
        });
        if self.is("bad-capabilities") {
            told["capabilities"]["cancel"] = json!("yes");
        }
        self.initialized.store(true, SeqCst);
        self.say(&[answer(id, &told)]);
    }

    fn tasks(&self) -> Value {
        let task = |name: &&str| match *name {
            "t:late" => json!({"name": name, "depends": ["t:echo@completed"], "later": [1]}),
            name => json!({"name": name, "description": "for tests"}),
        };
        let mut tasks: Vec<Value> = TASKS.iter().map(task).collect();
        match self.behaviour.as_str() {
            "tasks-not-a-list" => return json!({"t:echo": {}}),
            "no-tasks" => tasks.clear(),
            "duplicate-names" => tasks.push(json!({"name": "t:echo"})),
            "bad-names" => tasks.push(json!({"name": "t:with a space"})),
            "no-name" => tasks.push(json!({"description": "who am I?"})),
            "bad-depends" => tasks.push(json!({"name": "t:more", "depends": ["t:echo@sometimes"]})),
            _ => {}
        }
        json!(tasks)
    }

    fn cancel(&self, params: &Value) {
        if self.is("ignores-cancel") {
            return;
        }
        let mut runs = self.runs.lock().unwrap();
        for under in runs.values_mut() {
            let is_meant = params["run"].is_null() || params["run"] == under.run;
            under.is_cancelled |= is_meant && params["task"] == under.task;
        }
        self.cancelled.notify_all();
    }

    fn run(self: &Arc<Self>, id: &Value, params: &Value, more: bool) {
        let Some(task) = params["task"].as_str() else { return self.error(id, -32602, "which task?") };
        match TASKS.contains(&task) {
            false if self.is("wrong-code") => {
                return self.say(&[answer(id, &json!({"task": task, "status": "failed"}))]);
            }
            false => return self.error(id, -32001, &format!("there is no task `{task}`")),
            true => {}
        }
        if more && self.is("drops-one-of-parallel") && !self.done.swap(true, SeqCst) {
            return;
        }
        if self.is("mixes-runs") {
            let mut held = self.held.lock().unwrap();
            if let Some((other, its_params)) = held.take() {
                self.begin(id, &its_params);
                return self.begin(&other, params);
            }
            if more && !self.done.swap(true, SeqCst) {
                *held = Some((id.clone(), params.clone()));
                return;
            }
        }
        self.begin(id, params);
    }

    fn begin(self: &Arc<Self>, id: &Value, params: &Value) {
        let under = Under { task: params["task"].clone(), run: params["run"].clone(), is_cancelled: false };
        self.runs.lock().unwrap().insert(id.to_string(), under);
        let (server, id, params) = (Arc::clone(self), id.clone(), params.clone());
        thread::spawn(move || {
            let done = server.execute(&id, &params);
            server.runs.lock().unwrap().remove(&id.to_string());
            match done {
                Some(result) => server.tell(&id, &params, &result),
                None => server.error(&id, -32602, "these inputs will not do"),
            }
        });
    }

    /// What a task does; none: its inputs will not do.
    fn execute(&self, id: &Value, params: &Value) -> Option<Value> {
        let (task, run, inputs) = (&params["task"], &params["run"], &params["inputs"]);
        let notify = |method: &str, params: Value| {
            self.say(&[json!({"jsonrpc": "2.0", "method": method, "params": params})]);
        };
        let mut result = json!({"task": task, "outputs": null, "status": "succeeded"});
        match task.as_str().unwrap_or_default() {
            "t:echo" => result["outputs"] = json!({"inputs": inputs, "outputs": params["outputs"]}),
            "t:fail" => {
                result["status"] = json!("failed");
                result["error"] = json!({"message": "it went wrong", "detail": "first this\nthen that"});
            }
            "t:log" => self.log_lines(task, run, inputs["lines"].as_u64().unwrap_or(1)),
            "t:slow" => {
                self.until_cancelled(id, true);
                result["status"] = json!("cancelled");
            }
            "t:sleepless" => {
                self.until_cancelled(id, false);
                result["status"] = json!("cancelled");
            }
            "t:progress" => (0..=4).for_each(|done| {
                notify(
                    "progress",
                    json!({"task": task, "run": run, "done": done, "total": 4, "message": "on"}),
                );
            }),
            "t:remark" => notify(
                "diagnostic",
                json!({"task": task, "run": run, "file": "src/a.x", "line": 3, "col": 7, "severity": "warning",
                    "message": "odd"}),
            ),
            "t:skip" => result["status"] = json!("skipped"),
            "t:exports" => result["exports"] = json!({"ODD": "1"}),
            "t:messages" => result["messages"] = json!(["well done"]),
            "t:refuses" => return None,
            _ => {}
        }
        Some(result)
    }

    fn log_lines(&self, task: &Value, run: &Value, lines: u64) {
        let time = if self.is("bad-time") { "yesterday" } else { "20260102T030405Z" };
        for at in 1..=lines {
            self.say(&[log(task, run, &format!("out {at}"), false, time)]);
            self.say(&[log(task, run, &format!("err {at}"), true, "2026-01-02T03:04:05Z")]);
        }
    }

    fn until_cancelled(&self, id: &Value, sleeps: bool) {
        let mut runs = self.runs.lock().unwrap();
        while runs.get(&id.to_string()).is_some_and(|under| !under.is_cancelled) {
            if sleeps {
                runs = self.cancelled.wait(runs).unwrap();
            } else {
                drop(runs);
                thread::yield_now();
                runs = self.runs.lock().unwrap();
            }
        }
    }

    /// Answers a run, more or less.
    fn tell(&self, id: &Value, params: &Value, result: &Value) {
        let (task, run) = (&params["task"], &params["run"]);
        let right = answer(id, result);
        let line = |task: &Value, run: &Value| log(task, run, "more", false, "2026-01-02T03:04:05Z");
        let with = |key: &str, value: Value| {
            let mut wrong = result.clone();
            wrong[key] = value;
            self.say(&[answer(id, &wrong)]);
        };
        match self.behaviour.as_str() {
            "silent-in-run" => {}
            "dies-in-run" => {
                eprintln!("cannot go on");
                exit(7);
            }
            "garbage" => {
                self.write(b"this is no JSON\n");
                self.say(&[right]);
            }
            "half-line" => drop(self.write(&right.to_string().as_bytes()[..20])),
            "breaks-off" => {
                self.write(&right.to_string().as_bytes()[..20]);
                exit(0);
            }
            "wrong-id" => self.say(&[answer(&json!(4711), result)]),
            "answers-twice" => self.say(&[right.clone(), right]),
            "unknown-run" => self.say(&[answer(&json!("never"), result), right]),
            "log-after-result" => self.say(&[right, line(task, run)]),
            "log-of-nobody" => self.say(&[line(task, &json!("nobody")), right]),
            "log-without-line" => {
                let params = json!({"task": task, "run": run});
                self.say(&[json!({"jsonrpc": "2.0", "method": "log", "params": params}), right]);
            }
            "floods" => {
                let line = format!("{}\n", line(task, run)).repeat(100);
                while self.write(line.as_bytes()) {}
            }
            "too-long" => with("outputs", json!("x".repeat(20 * 1024 * 1024))),
            "deep" => {
                let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
                self.write(format!("{{\"id\":{id},\"result\":{open}{close}}}\n").as_bytes());
            }
            "bad-result" => with("status", json!("done")),
            "wrong-task" => with("task", json!("t:other")),
            "failure-is-error" => self.error(id, -32000, "it went wrong"),
            _ => self.say(&[right]),
        }
    }
}
