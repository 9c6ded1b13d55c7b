//! The program by hand: a tool for the command line.

use std::{
    ffi::OsString,
    io::{self, Write},
    process::ExitCode,
    sync::{Arc, Mutex},
};

use serde_json::Value;

use super::{
    Run, Server, lock, on_signal,
    run::{Sink, Told},
};
use crate::{
    diagnostic::did_you_mean,
    tsp::{RunParams, RunResult, Status},
};

/// What ends well, what does not, and what is no way to call it.
const GOOD: u8 = 0;
const BAD: u8 = 1;
const MISUSED: u8 = 2;

/// Where things are written: stdout and stderr, but in tests.
pub(super) struct Pages {
    pub(super) out: Box<dyn Write + Send>,
    pub(super) err: Box<dyn Write + Send>,
}

/// A fault in how it is called.
struct Misuse(String);

pub(super) fn main(server: &Server, arguments: &[OsString]) -> ExitCode {
    let arguments: Vec<String> = arguments.iter().map(|it| it.to_string_lossy().into_owned()).collect();
    let pages = Pages { out: Box::new(io::stdout()), err: Box::new(io::stderr()) };
    let is_run = |run: Run| {
        // Without it a signal ends the program at once, which will do.
        let _ = on_signal(move || run.cancel());
    };
    ExitCode::from(call(server, &arguments, pages, is_run))
}

/// Does what the arguments say; `begun` gets the run, if there is one.
pub(super) fn call(server: &Server, arguments: &[String], mut pages: Pages, begun: impl FnOnce(Run)) -> u8 {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match &words[..] {
        [] => {
            complain(&mut pages.err, &usage(server));
            MISUSED
        }
        ["-h" | "--help" | "help", ..] => print(&mut pages.out, &usage(server)),
        ["list"] => print(&mut pages.out, &list(server)),
        ["run", name, options @ ..] => match params(server, name, options) {
            Ok(params) => perform(server, params, pages, begun),
            Err(Misuse(message)) => misuse(&mut pages.err, &message),
        },
        ["run"] => misuse(&mut pages.err, "`run` needs the name of a task"),
        ["list", more, ..] => misuse(&mut pages.err, &format!("`list` takes nothing, and not `{more}`")),
        [verb, ..] => {
            let message = format!("there is no verb `{verb}`{}", hint(verb, ["list", "run", "help"]));
            misuse(&mut pages.err, &message)
        }
    }
}

/// Says something. Who closed the page does not want to read it.
pub(super) fn complain(page: &mut dyn Write, text: &str) {
    let _ = writeln!(page, "{}", text.trim_end());
}

fn print(page: &mut dyn Write, text: &str) -> u8 {
    let _ = page.write_all(text.as_bytes());
    GOOD
}

fn misuse(page: &mut dyn Write, message: &str) -> u8 {
    complain(page, &format!("error: {message}"));
    MISUSED
}

fn hint<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    did_you_mean(typed, known).map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}

fn usage(server: &Server) -> String {
    format!(
        "{}: a server of tasks for devtask

  list                     the names of its tasks, and what they are for
  run NAME [OPTIONS]       runs one of them, and prints what it hands on
      --input JSON         its input
      --outputs JSON       what the tasks before it handed on: an object, by task
  PATH                     serves one connection on a socket there; how devtask starts it
  --help                   this text
",
        server.name
    )
}

fn list(server: &Server) -> String {
    let width = server.names().map(|name| name.chars().count()).max().unwrap_or_default();
    let line = |name: &str, description: &str| format!("{name:width$}  {description}").trim_end().to_owned();
    let lines = server
        .tasks
        .iter()
        .map(|task| line(task.name(), task.object().description.as_deref().unwrap_or_default()) + "\n");
    lines.collect()
}

fn params(server: &Server, name: &str, mut options: &[&str]) -> Result<RunParams, Misuse> {
    let Some(task) = server.find(name) else {
        return Err(Misuse(format!("there is no task `{name}`{}", hint(name, server.names()))));
    };
    let mut params = RunParams { task: name.to_owned(), ..RunParams::default() };
    let object = task.object();
    params.inputs = object.input.clone().map_or(Value::Null, Value::Object);
    params.env.clone_from(&object.env);
    params.cwd.clone_from(&object.cwd);
    while let [option, rest @ ..] = options {
        let [value, rest @ ..] = rest else { return Err(Misuse(format!("`{option}` needs a value"))) };
        match *option {
            "--input" => params.inputs = over(params.inputs, json(option, value)?),
            "--outputs" => params.outputs = json(option, value)?,
            _ => return Err(Misuse(format!("there is no option `{option}`"))),
        }
        options = rest;
    }
    Ok(params)
}

fn json<T: serde::de::DeserializeOwned>(option: &str, text: &str) -> Result<T, Misuse> {
    serde_json::from_str(text).map_err(|error| Misuse(format!("`{option}`: {error}")))
}

/// What is asked for comes on top of the task's own input.
fn over(own: Value, asked: Value) -> Value {
    match (own, asked) {
        (Value::Object(mut own), Value::Object(asked)) => {
            own.extend(asked);
            Value::Object(own)
        }
        (_, asked) => asked,
    }
}

impl Sink for Mutex<Pages> {
    fn tell(&self, told: Told) {
        let mut pages = lock(self);
        match told {
            Told::Log(log) if log.stderr => complain(&mut pages.err, &log.line),
            Told::Log(log) => complain(&mut pages.out, &log.line),
            Told::Remark(remark) => complain(&mut pages.err, &remark.to_string()),
            Told::Progress(progress) => {
                let total = progress.total.map_or_else(String::new, |total| format!("/{total}"));
                let message = progress.message.unwrap_or_default();
                complain(&mut pages.err, &format!("[{}{total}] {message}", progress.done));
            }
        }
    }
}

fn perform(server: &Server, params: RunParams, pages: Pages, begun: impl FnOnce(Run)) -> u8 {
    // Whose name it is has been looked up.
    let Some(task) = server.find(&params.task) else { return MISUSED };
    let pages = Arc::new(Mutex::new(pages));
    let sink: Arc<dyn Sink> = Arc::<Mutex<Pages>>::clone(&pages);
    let run = Run::new(params, sink);
    begun(run.clone());
    let result = run.end(task.perform(&run, run.given()));
    let mut pages = lock(&pages);
    tell(&mut pages, &result)
}

fn tell(pages: &mut Pages, result: &RunResult) -> u8 {
    for message in &result.messages {
        complain(&mut pages.err, message);
    }
    if let Some(error) = &result.error {
        complain(&mut pages.err, &format!("error: {}", error.message));
        error.detail.iter().for_each(|detail| complain(&mut pages.err, detail));
    }
    match result.status {
        Status::Succeeded | Status::Skipped => {
            if !result.outputs.is_null() {
                complain(&mut pages.out, &result.outputs.to_string());
            }
            GOOD
        }
        Status::Failed => BAD,
        Status::Cancelled => {
            complain(&mut pages.err, "cancelled");
            BAD
        }
    }
}
