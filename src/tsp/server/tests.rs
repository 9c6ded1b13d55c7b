//! Servers over real sockets, spoken to in lines of JSON.

use std::{
    collections::BTreeMap,
    io::{Read as _, Write},
    process::Command,
    sync::mpsc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rustix::process::{Pid, test_kill_process_group};
use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::tsp::{Frames, LIMIT};

/// How long anything may take. Only what fails takes so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// The client's end.
struct Talk {
    stream: UnixStream,
    frames: Frames,
    server: JoinHandle<io::Result<()>>,
}

impl Talk {
    fn with(server: Server) -> Self {
        let (stream, theirs) = UnixStream::pair().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let server = thread::spawn(move || server.serve(theirs));
        Self { stream, frames: Frames::default(), server }
    }

    /// One that has been asked for its list.
    fn begun(server: Server) -> Self {
        let mut talk = Self::with(server);
        talk.say(&json!({"id": "first", "method": "initialize", "params": {}}));
        assert_eq!(talk.hear()["id"], "first");
        talk
    }

    fn raw(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    fn say(&mut self, message: &Value) {
        self.raw(format!("{message}\n"));
    }

    fn run(&mut self, id: u64, task: &str) {
        self.say(&json!({"id": id, "method": "run", "params": {"task": task, "run": format!("r{id}")}}));
    }

    fn cancel(&mut self, task: &str) {
        self.say(&json!({"method": "cancel", "params": {"task": task}}));
    }

    /// The next message; none: the end.
    fn next(&mut self) -> Option<Value> {
        let mut buffer = [0; 4096];
        loop {
            if let Some(frame) = self.frames.take().unwrap() {
                return Some(serde_json::from_slice(&frame).unwrap());
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return None,
                Ok(count) => self.frames.push(&buffer[..count]),
                // The system does not begin a read with a time limit again.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn hear(&mut self) -> Value {
        self.next().expect("the server has closed the connection")
    }

    /// What is said up to the next answer, and that.
    fn answer(&mut self) -> (Vec<Value>, Value) {
        let mut said = Vec::new();
        loop {
            let message = self.hear();
            if message.get("id").is_some() {
                return (said, message);
            }
            said.push(message);
        }
    }

    /// Nothing more is said; what comes until the server has ended.
    fn end(mut self) -> (Vec<Value>, io::Result<()>) {
        self.stream.shutdown(std::net::Shutdown::Write).unwrap();
        let rest = std::iter::from_fn(|| self.next()).collect();
        (rest, self.server.join().unwrap())
    }
}

fn quiet(name: &str) -> Task {
    Task::new(name, |_: &Run, (): ()| Ok(()))
}

/// A task that is on until it is cancelled; it says when it has begun.
fn patient(name: &str) -> Task {
    Task::new(name, |run: &Run, (): ()| {
        run.log("here");
        run.pause(PATIENCE)?;
        Err::<(), _>(Failure::new("nobody cancelled it"))
    })
}

fn shell(name: &str, script: &'static str) -> Task {
    Task::new(name, move |run: &Run, (): ()| {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        run.command(command)
    })
}

fn lines(said: &[Value]) -> Vec<(&str, bool)> {
    let logs = said.iter().filter(|message| message["method"] == "log").map(|message| &message["params"]);
    logs.map(|log| (log["line"].as_str().unwrap(), log["stderr"].as_bool().unwrap())).collect()
}

fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn is_gone(group: &str) -> bool {
    let group = Pid::from_raw(group.parse().unwrap()).unwrap();
    test_kill_process_group(group).is_err()
}

#[test]
fn the_list_is_what_the_tasks_were_declared_with() {
    let server = Server::new("list").max_concurrency(3).task(quiet("a:plain")).task(
        quiet("a:full")
            .description("all of it")
            .after("a:plain@completed")
            .before("b")
            .exec_if_modified(["x", "y/**"])
            .outputs(vec!["out".to_owned()])
            .cwd("sub")
            .input("n", 1)
            .env("K", "v"),
    );
    let mut talk = Talk::with(server);
    for id in [json!(1), json!("again")] {
        talk.say(&json!({"jsonrpc": "2.0", "id": id, "method": "initialize"}));
        let expected = json!({"jsonrpc": "2.0", "id": id, "result": {
            "tasks": [
                {"name": "a:plain"},
                {
                    "name": "a:full", "description": "all of it", "after": ["a:plain@completed"], "before": ["b"],
                    "exec_if_modified": ["x", "y/**"], "outputs": ["out"], "cwd": "sub", "input": {"n": 1},
                    "env": {"K": "v"},
                },
            ],
            "protocolVersion": 1,
            "server": "list",
            "capabilities": {"cancel": true, "progress": true, "listChanged": false, "maxConcurrency": 3},
        }});
        assert_eq!(talk.hear(), expected);
    }
    assert!(matches!(talk.end(), (rest, Ok(())) if rest.is_empty()));
}

#[test]
fn misuse_of_the_protocol_is_an_error_and_the_server_goes_on() {
    let mut talk = Talk::with(Server::new("errors").task(quiet("a:task")));
    let early = [
        (r#"{"id":1,"method":"run","params":{"task":"a:task"}}"#, json!(1), -32002),
        (r#"{"id":2,"method":"shutdown"}"#, json!(2), -32002),
        (r#"{"id":3,"method":"initialize","params":[]}"#, json!(3), -32602),
        (r#"{"id":4,"method":"initialize","params":{"root":1}}"#, json!(4), -32602),
    ];
    let late = [
        ("no json", Value::Null, -32700),
        (r#"{"id":1,"#, Value::Null, -32700),
        ("[]", Value::Null, -32600),
        ("{}", Value::Null, -32600),
        (r#"{"id":{},"method":"run"}"#, Value::Null, -32600),
        (r#"{"id":1,"method":"walk"}"#, json!(1), -32601),
        (r#"{"id":"x","method":"run","params":{"task":"a:tusk"}}"#, json!("x"), -32001),
        (r#"{"id":1,"method":"run"}"#, json!(1), -32602),
        (r#"{"id":1,"method":"run","params":"a:task"}"#, json!(1), -32602),
        (r#"{"id":1,"method":"run","params":{"task":1}}"#, json!(1), -32602),
        (r#"{"id":1,"method":"run","params":{"task":"a:task","env":{"A":1}}}"#, json!(1), -32602),
    ];
    let refused = |talk: &mut Talk, (line, id, code): (&str, Value, i64)| {
        talk.raw(format!("{line}\n"));
        let answer = talk.hear();
        assert_eq!((&answer["id"], answer["error"]["code"].as_i64()), (&id, Some(code)), "{line}: {answer}");
        answer["error"]["message"].as_str().unwrap().to_owned()
    };
    early.into_iter().for_each(|case| drop(refused(&mut talk, case)));
    talk.raw(
        r#"{"method":"nobody knows it"}{"method":"cancel"}{"id":9,"result":1}{"id":5,"method":"initialize"}"#,
    );
    assert_eq!(talk.hear()["id"], 5);
    let messages: Vec<String> = late.into_iter().map(|case| refused(&mut talk, case)).collect();
    assert_eq!(messages[6], "there is no task `a:tusk`; did you mean `a:task`?");
    assert_eq!(messages[10], "params of `run`.env.A: invalid type: integer `1`, expected a string");
    // What is null counts as absent, and what is not known is left alone.
    talk.raw(
        r#"{"id":6,"method":"run","params":{"task":"a:task","inputs":null,"outputs":null,"env":null,"new":1}}"#,
    );
    assert_eq!(talk.hear()["result"], json!({"task": "a:task", "outputs": null, "status": "succeeded"}));
}

#[derive(Deserialize)]
struct Sum {
    #[serde(default)]
    numbers: Vec<i64>,
}

#[test]
fn how_a_task_ends_is_its_result() {
    let server = Server::new("ends")
        .task(Task::new("a:sum", |_: &Run, sum: Sum| Ok(sum.numbers.iter().sum::<i64>())))
        .task(Task::new("a:fail", |_: &Run, (): ()| Err::<(), _>(Failure::new("no").detail("not\never"))))
        .task(Task::new("a:file", |run: &Run, (): ()| Ok(fs::read_to_string(run.cwd().join("none"))?)))
        .task(Task::new("a:panic", |run: &Run, (): ()| -> Result<(), Failure> {
            panic!("in {}", run.task())
        }))
        .task(Task::new("a:double", |run: &Run, (): ()| Ok(run.upstream::<i64>("a:sum")? * 2)))
        .task(Task::new("a:more", |run: &Run, (): ()| {
            run.export("K", "v");
            run.message("done");
            run.skip();
            Ok(run.changed_files().to_vec())
        }));
    let mut talk = Talk::begun(server);
    let cases = [
        (json!({"task": "a:sum"}), json!({"outputs": 0, "status": "succeeded"})),
        (json!({"task": "a:sum", "inputs": {}}), json!({"outputs": 0, "status": "succeeded"})),
        (
            json!({"task": "a:sum", "inputs": {"numbers": [1, 2]}}),
            json!({"outputs": 3, "status": "succeeded"}),
        ),
        (
            json!({"task": "a:sum", "inputs": {"numbers": "all"}}),
            json!({"outputs": null, "status": "failed", "error": {
                "message": "input.numbers: invalid type: string \"all\", expected a sequence"
            }}),
        ),
        (
            json!({"task": "a:fail"}),
            json!({"outputs": null, "status": "failed", "error": {"message": "no", "detail": "not\never"}}),
        ),
        (
            json!({"task": "a:file", "cwd": "/nowhere"}),
            json!({"outputs": null, "status": "failed", "error": {
                "message": "No such file or directory (os error 2)"
            }}),
        ),
        (
            json!({"task": "a:panic"}),
            json!({"outputs": null, "status": "failed", "error": {"message": "it panicked: in a:panic"}}),
        ),
        (json!({"task": "a:double", "outputs": {"a:sum": 4}}), json!({"outputs": 8, "status": "succeeded"})),
        (
            json!({"task": "a:double"}),
            json!({"outputs": null, "status": "failed", "error": {"message": "`a:sum` handed on nothing"}}),
        ),
        (
            json!({"task": "a:double", "outputs": {"a:sum": "x"}}),
            json!({"outputs": null, "status": "failed", "error": {
                "message": "what `a:sum` handed on: invalid type: string \"x\", expected i64"
            }}),
        ),
        (
            json!({"task": "a:more", "changedFiles": ["/a/b"]}),
            json!({"outputs": ["/a/b"], "status": "skipped", "exports": {"K": "v"}, "messages": ["done"]}),
        ),
    ];
    for (params, mut expected) in cases {
        talk.say(&json!({"id": 1, "method": "run", "params": params}));
        expected["task"] = params["task"].clone();
        assert_eq!(talk.hear()["result"], expected, "{params}");
    }
}

#[test]
fn runs_are_beside_each_other_and_answered_as_they_end() {
    let (to, from) = mpsc::channel::<()>();
    let from = Mutex::new(from);
    let wait = move |_: &Run, (): ()| Ok(from.lock().unwrap().recv_timeout(PATIENCE)?);
    let server = Server::new("both")
        .task(Task::new("a:waits", wait))
        .task(Task::new("a:frees", move |_: &Run, (): ()| Ok(to.send(())?)));
    let mut talk = Talk::begun(server);
    talk.raw(
        r#"{"id":1,"method":"run","params":{"task":"a:waits"}}{"id":2,"method":"run","params":{"task":"a:frees"}}"#,
    );
    let mut answers: Vec<(u64, String)> = Vec::new();
    for _ in 0..2 {
        let answer = talk.hear();
        answers
            .push((answer["id"].as_u64().unwrap(), answer["result"]["status"].as_str().unwrap().to_owned()));
    }
    answers.sort();
    assert_eq!(answers, [(1, "succeeded".to_owned()), (2, "succeeded".to_owned())]);
}

#[test]
fn what_is_too_much_at_once_waits_and_can_be_cancelled_there() {
    let server = Server::new("one").max_concurrency(1).task(patient("a:first")).task(quiet("a:next"));
    let mut talk = Talk::begun(server);
    talk.run(1, "a:first");
    assert_eq!(talk.hear()["params"]["line"], "here");
    for id in [2, 3, 4] {
        talk.run(id, "a:next");
    }
    // Of one that waits by its id; it is answered while the first is still on.
    talk.say(&json!({"method": "cancel", "params": {"task": "a:next", "run": "r3"}}));
    let answer = talk.hear();
    assert_eq!((&answer["id"], &answer["result"]["status"]), (&json!(3), &json!("cancelled")));
    talk.cancel("a:first");
    for (id, status) in [(1, "cancelled"), (2, "succeeded"), (4, "succeeded")] {
        let answer = talk.hear();
        assert_eq!((&answer["id"], &answer["result"]["status"]), (&json!(id), &json!(status)));
    }
    // What has ended cannot be cancelled any more, and the next run of it is none the worse.
    talk.cancel("a:next");
    talk.run(5, "a:next");
    assert_eq!(talk.hear()["result"]["status"], "succeeded");
}

#[test]
fn all_that_is_said_of_a_run_is_said_before_its_answer() {
    let server = Server::new("says").task(Task::new("a:says", |run: &Run, (): ()| {
        run.log("one\ntwo\r\n");
        run.warn("");
        run.progress(1.0, Some(2.0), Some("half"));
        run.remark(Remark {
            file: "a.x".to_owned(),
            line: Some(3),
            message: "bad".to_owned(),
            ..Remark::default()
        });
        // Who talks on is not heard: neither after the answer nor in the next run.
        let (talker, (to, from)) = (run.clone(), mpsc::channel());
        thread::spawn(move || {
            while to.send(()).is_ok() {
                talker.log("…");
            }
            talker.log("late");
        });
        (0..100).try_for_each(|_| from.recv())?;
        Ok(())
    }));
    let mut talk = Talk::begun(server);
    for id in 1..=20 {
        talk.run(id, "a:says");
        let (said, answer) = talk.answer();
        assert_eq!(answer["id"], id);
        assert_eq!(lines(&said)[..3], [("one", false), ("two", false), ("", true)]);
        assert!(lines(&said).len() >= 100);
        assert!(said.iter().all(|message| message["params"]["run"] == format!("r{id}")), "{said:?}");
        let of =
            |method: &str| said.iter().find(|message| message["method"] == method).unwrap()["params"].clone();
        let run = format!("r{id}");
        let expected = json!({"task": "a:says", "run": run, "done": 1.0, "total": 2.0, "message": "half"});
        assert_eq!(of("progress"), expected);
        let expected = json!({"task": "a:says", "run": run, "file": "a.x", "line": 3, "message": "bad"});
        assert_eq!(of("diagnostic"), expected);
        assert!(humantime::parse_rfc3339(of("log")["time"].as_str().unwrap()).is_ok());
    }
    assert!(matches!(talk.end(), (rest, Ok(())) if rest.is_empty()));
}

#[test]
fn much_goes_through_and_too_much_is_told() {
    let server = Server::new("much").task(Task::new("a:much", |run: &Run, text: String| {
        run.log(&text);
        Ok(text)
    }));
    let mut talk = Talk::begun(server);
    // Escaped it is twice as long.
    let text = "\"ä".repeat(1024 * 1024 / 3);
    talk.say(&json!({"id": 1, "method": "run", "params": {"task": "a:much", "inputs": text}}));
    let (said, answer) = talk.answer();
    assert_eq!(lines(&said), [(text.as_str(), false)]);
    assert_eq!(answer["result"]["outputs"], text);
    let server = Server::new("more").task(Task::new("a:more", |_: &Run, size: usize| Ok("x".repeat(size))));
    let mut talk = Talk::begun(server);
    for (size, status) in [(LIMIT - 200, "succeeded"), (LIMIT, "failed")] {
        talk.say(&json!({"id": 1, "method": "run", "params": {"task": "a:more", "inputs": size}}));
        assert_eq!(talk.hear()["result"]["status"], status);
    }
    // No more than it reads: it would not wait for the rest.
    talk.raw(vec![b'x'; LIMIT + 2]);
    assert_eq!(talk.hear()["error"]["code"], -32600);
    assert_eq!(talk.server.join().unwrap().unwrap_err().kind(), io::ErrorKind::InvalidData);
}

#[test]
fn a_command_is_where_its_run_is_and_its_lines_are_lines() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().canonicalize().unwrap();
    let server = Server::new("commands")
        .task(shell("a:well", r#"pwd; echo "$WHO" >&2; printf 'no \377 text'; cat"#))
        .task(shell("a:ill", "exit 3"))
        .task(shell("a:killed", "kill -9 $$"))
        .task(Task::new("a:none", |run: &Run, (): ()| run.command(Command::new("./there-is-none"))))
        .task(Task::new("a:own", |run: &Run, (): ()| {
            let mut command = Command::new("sh");
            command.args(["-c", "pwd; echo $WHO"]).current_dir("/").env("WHO", "me");
            run.command(command)
        }));
    let mut talk = Talk::begun(server);
    let mut run = |task: &str| {
        let params = json!({"task": task, "cwd": dir, "env": {"WHO": "them"}});
        talk.say(&json!({"id": 1, "method": "run", "params": params}));
        let (said, answer) = talk.answer();
        let mut said: Vec<String> =
            lines(&said).into_iter().map(|(line, err)| format!("{line} {err}")).collect();
        // The two streams are in no order.
        said.sort();
        (said, answer["result"]["error"]["message"].as_str().map(str::to_owned))
    };
    let here = format!("{} false", dir.display());
    assert_eq!(
        run("a:well"),
        (vec![here, "no \u{fffd} text false".to_owned(), "them true".to_owned()], None)
    );
    assert_eq!(run("a:own"), (vec!["/ false".to_owned(), "me false".to_owned()], None));
    assert_eq!(run("a:ill").1.unwrap(), "`sh` ended with exit code 3");
    assert_eq!(run("a:killed").1.unwrap(), "`sh` ended with signal 9");
    assert!(run("a:none").1.unwrap().starts_with("`./there-is-none` cannot be started: "));
}

/// Both the shell and what it started ignore SIGTERM, or heed it.
const STUBBORN: &str = "trap '' TERM; sleep 1000 & echo $$; wait; wait";
const MEEK: &str = "sleep 1000 & echo $$; wait";

#[test]
fn a_command_and_its_group_end_with_a_cancellation() {
    for (script, least) in [(MEEK, Duration::ZERO), (STUBBORN, child::GRACE)] {
        let mut talk = Talk::begun(Server::new("cancels").task(shell("a:long", script)));
        talk.run(1, "a:long");
        let group = talk.hear()["params"]["line"].as_str().unwrap().to_owned();
        assert!(!is_gone(&group));
        let begin = Instant::now();
        talk.cancel("a:long");
        assert_eq!(talk.hear()["result"], json!({"task": "a:long", "outputs": null, "status": "cancelled"}));
        assert!(begin.elapsed() >= least, "it was killed before it could end by itself");
        wait_until("its group lives", || is_gone(&group));
    }
}

#[test]
fn a_command_and_its_group_end_with_the_connection() {
    for script in [MEEK, STUBBORN] {
        let mut talk = Talk::begun(Server::new("ends").task(shell("a:long", script)));
        talk.run(1, "a:long");
        let group = talk.hear()["params"]["line"].as_str().unwrap().to_owned();
        let (rest, served) = talk.end();
        // Who still listens is answered.
        assert_eq!(rest[0]["result"]["status"], "cancelled");
        assert!(served.is_ok());
        wait_until("its group lives", || is_gone(&group));
    }
}

#[test]
fn what_a_command_leaves_in_its_group_is_ended() {
    let mut talk = Talk::begun(Server::new("leaves").task(shell("a:leaves", "sleep 1000 & echo $$")));
    talk.run(1, "a:leaves");
    let (said, answer) = talk.answer();
    assert_eq!(answer["result"]["status"], "succeeded");
    wait_until("what it left lives", || is_gone(lines(&said)[0].0));
}

#[test]
fn a_shutdown_is_answered_and_cancels_and_the_end_of_the_connection_is_the_end() {
    let server = Server::new("ends").max_concurrency(1).task(patient("a:long")).task(quiet("a:quiet"));
    let mut talk = Talk::begun(server);
    talk.run(1, "a:long");
    assert_eq!(talk.hear()["method"], "log");
    talk.run(2, "a:quiet");
    talk.say(&json!({"id": 3, "method": "shutdown"}));
    assert_eq!(talk.hear(), json!({"jsonrpc": "2.0", "id": 3, "result": null}));
    let cancelled: BTreeMap<u64, Value> = (0..2)
        .map(|_| talk.hear())
        .map(|answer| (answer["id"].as_u64().unwrap(), answer["result"]["status"].clone()))
        .collect();
    assert_eq!(cancelled, BTreeMap::from([(1, json!("cancelled")), (2, json!("cancelled"))]));
    talk.run(4, "a:quiet");
    assert_eq!(talk.hear()["result"]["status"], "cancelled");
    // It is still there, and half a message at its end is answered.
    talk.raw(r#"{"id":5,"#);
    let (rest, served) = talk.end();
    assert_eq!(rest.len(), 1);
    assert_eq!(rest[0]["error"]["code"], -32700);
    assert!(served.is_ok());
}

#[test]
fn who_has_gone_without_a_word_is_no_fault() {
    let mut talk = Talk::begun(Server::new("gone").task(patient("a:long")));
    talk.run(1, "a:long");
    // What it says is not even read.
    drop(talk.stream);
    assert!(talk.server.join().unwrap().is_ok());
}

#[test]
fn one_connection_is_accepted_at_a_path() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let accepted = thread::spawn({
        let path = path.clone();
        move || accept(&path)
    });
    wait_until("there is no socket", || UnixStream::connect(&path).is_ok());
    assert!(accepted.join().unwrap().is_ok());
    assert!(UnixStream::connect(&path).is_err());
    assert!(accept(&dir.path().join("no/such/place")).is_err());
}

#[test]
fn names_are_checked_at_the_start() {
    let names =
        |names: &[&str]| names.iter().fold(Server::new("names"), |server, name| server.task(quiet(name)));
    let cases: [(&[&str], &[&str]); 3] = [
        (&["a:b", "local", "a:b:c"], &[]),
        (&["a:b", "a:b"], &["there are two tasks `a:b`"]),
        (
            &["a b", "", "a::b"],
            &[
                "the task name `a b` is not legal: ` ` is not allowed in a task name",
                "the task name `` is not legal: a task name must not be empty",
                "the task name `a::b` is not legal: a task name must not contain two colons in a row",
            ],
        ),
    ];
    for (given, faults) in cases {
        assert_eq!(names(given).check().err().unwrap_or_default(), faults);
    }
    let (_ours, theirs) = UnixStream::pair().unwrap();
    assert_eq!(names(&["a:b", "a:b"]).serve(theirs).unwrap_err().kind(), io::ErrorKind::InvalidInput);
}

/// A page that can be read.
#[derive(Clone, Default)]
struct Page(Arc<Mutex<Vec<u8>>>);

impl Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock(&self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Page {
    fn text(&self) -> String {
        String::from_utf8(lock(&self.0).clone()).unwrap()
    }
}

fn by_hand(server: &Server, words: &[&str], begun: impl FnOnce(Run)) -> (u8, String, String) {
    let (out, err) = (Page::default(), Page::default());
    let pages = hand::Pages { out: Box::new(out.clone()), err: Box::new(err.clone()) };
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let code = hand::call(server, &words, pages, begun);
    (code, out.text(), err.text())
}

#[test]
fn by_hand_it_is_a_tool() {
    let server = Server::new("tool")
        .task(
            Task::new("a:add", |run: &Run, sum: Sum| {
                run.log("adding");
                run.warn("with care");
                run.progress(1.0, Some(2.0), Some("half"));
                run.message("added");
                let before = run.upstream::<i64>("a:before").unwrap_or_default();
                Ok(sum.numbers.iter().sum::<i64>() + before)
            })
            .input("numbers", vec![1])
            .description("adds"),
        )
        .task(Task::new("a:failing", |_: &Run, (): ()| Err::<(), _>(Failure::new("no").detail("never"))))
        .task(patient("a:long"));
    let said = "with care\n[1/2] half\nadded\n";
    let cases: [(&[&str], u8, &str, &str); 14] = [
        (&["list"], 0, "a:add      adds\na:failing\na:long\n", ""),
        (&["run", "a:add"], 0, "adding\n1\n", said),
        (&["run", "a:add", "--input", r#"{"numbers":[2,3]}"#], 0, "adding\n5\n", said),
        (&["run", "a:add", "--outputs", r#"{"a:before":10}"#, "--input", "{}"], 0, "adding\n11\n", said),
        (
            &["run", "a:add", "--input", "1"],
            1,
            "",
            "error: input: invalid type: integer `1`, expected struct Sum\n",
        ),
        (&["run", "a:failing"], 1, "", "error: no\nnever\n"),
        (&["run", "a:ad"], 2, "", "error: there is no task `a:ad`; did you mean `a:add`?\n"),
        (&["run", "a:add", "--input"], 2, "", "error: `--input` needs a value\n"),
        (&["run", "a:add", "--what", "1"], 2, "", "error: there is no option `--what`\n"),
        (
            &["run", "a:add", "--input", "{"],
            2,
            "",
            "error: `--input`: EOF while parsing an object at line 1 column 1\n",
        ),
        (&["run"], 2, "", "error: `run` needs the name of a task\n"),
        (&["list", "x"], 2, "", "error: `list` takes nothing, and not `x`\n"),
        (&["lust"], 2, "", "error: there is no verb `lust`; did you mean `list`?\n"),
        (&["quite", "other"], 2, "", "error: there is no verb `quite`\n"),
    ];
    for (words, code, out, err) in cases {
        assert_eq!(by_hand(&server, words, drop), (code, out.to_owned(), err.to_owned()), "{words:?}");
    }
    let (code, usage, _) = by_hand(&server, &["--help"], drop);
    assert!(code == 0 && usage.starts_with("tool: a server of tasks for devtask\n"), "{usage}");
    assert_eq!(by_hand(&server, &[], drop), (2, String::new(), usage));
    // As with Ctrl-C.
    let cancelled = by_hand(&server, &["run", "a:long"], |run| run.cancel());
    assert_eq!(cancelled, (1, String::new(), "cancelled\n".to_owned()));
}
