//! Rows about runs.

use std::time::Duration;

use serde::Deserialize as _;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};

use super::{
    lab::{Found, Lab, NO_TASK, Session, Stop, skip},
    talk::{Answer, Stopped},
};
use crate::tsp::{Id, Message, RunResult, Status, code, method};

/// How many runs there are at once.
const AT_ONCE: usize = 8;
/// How big a big message is, in bytes.
const BIG: usize = 1024 * 1024;
/// Between the pieces of a message: long enough for a server to take what there is.
const PAUSE: Duration = Duration::from_millis(20);

pub(super) async fn run(lab: &mut Lab<'_>, found: &mut Found) -> Result<(), Stop> {
    let task = lab.task()?;
    found.note(&format!("it ran `{task}`"));
    let params = lab.run_params(&task, "run", &json!({}));
    let session = lab.session().await?;
    let answer = session.ask(method::RUN, params).await?;
    judge(&task, &answer, found);
    session.settle().await
}

/// What is wrong with the answer to a run. That the task failed is not.
fn judge(task: &str, answer: &Answer, found: &mut Found) -> Option<Status> {
    let value = match answer {
        Ok(value) => value,
        Err(error) if error.code == code::BAD_PARAMS => {
            found.note(&format!("`{task}` refuses the inputs it is given here: {error}"));
            return None;
        }
        Err(error) => {
            found.faults.add(&format!("`{task}` is answered with an error: {error}"));
            return None;
        }
    };
    if !value.is_object() {
        found.faults.add(&format!("the result of `{task}` is no object"));
        return None;
    }
    match value.get("task") {
        Some(name) if *name == task => {}
        Some(name) => found.faults.add(&format!("the result of `{task}` is told as that of {name}")),
        None => found.faults.add(&format!("the result of `{task}` has no `task`")),
    }
    match RunResult::deserialize(value) {
        Ok(result) => {
            judge_status(task, &result, found);
            Some(result.status)
        }
        Err(error) => {
            found.faults.add(&format!("the result of `{task}` cannot be read: {error}"));
            None
        }
    }
}

fn judge_status(task: &str, result: &RunResult, found: &mut Found) {
    if result.status == Status::Failed {
        let why = result.error.as_ref().map_or("nobody says why", |error| &error.message);
        found.note(&format!("`{task}` failed: {why}"));
    }
    for name in result.exports.keys().filter(|name| name.is_empty() || name.contains(['=', '\0'])) {
        found.faults.add(&format!("`{task}` exports a variable of no legal name: `{name}`"));
    }
}

pub(super) async fn parallel(lab: &mut Lab<'_>, found: &mut Found) -> Result<(), Stop> {
    let (task, limit) = (lab.running_task()?, lab.limits.answer);
    let params = |at: usize| lab.run_params(&task, &format!("r{at}"), &json!({"check": mark(at)}));
    let all: Vec<Value> = (0..AT_ONCE).map(params).collect();
    let session = lab.session().await?;
    let (ids, lines): (Vec<Id>, Vec<Vec<u8>>) =
        all.into_iter().map(|params| session.talk.request(method::RUN, params)).unzip();
    session.say(&lines.concat()).await?;
    let heard = all_answered(session, &ids, limit).await;
    let answers: Vec<Option<Answer>> = ids.iter().map(|id| session.talk.answer_to(id)).collect();
    for (at, answer) in answers.iter().enumerate() {
        if let Some(answer) = answer {
            judge(&task, answer, found);
            judge_mark(at, answer, found);
        }
    }
    if heard == Err(Stopped::Silent) {
        let open = answers.iter().filter(|answer| answer.is_none()).count();
        let within = humantime::format_duration(limit);
        let fault = format!("{open} of {AT_ONCE} runs at once are not answered within {within} of the last");
        return Err(Stop::Fault(fault));
    }
    session.explained(heard, "an answer to each run", limit).await?;
    session.settle().await
}

/// Until all are answered. They may queue, so that each answer gives the others more time.
async fn all_answered(session: &mut Session, ids: &[Id], limit: Duration) -> Result<(), Stopped> {
    let mut until = Instant::now() + limit;
    while ids.iter().any(|id| session.talk.answer_to(id).is_none()) {
        let before = session.talk.answered();
        session.talk.hear(until).await?;
        if session.talk.answered() > before {
            until = Instant::now() + limit;
        }
    }
    Ok(())
}

/// Tells the inputs of one run from those of the others.
fn mark(at: usize) -> String {
    format!("devtask-check-{at}-of-{AT_ONCE}")
}

/// A task may tell its inputs in its outputs, or may not; those of another run are not its own.
fn judge_mark(at: usize, answer: &Answer, found: &mut Found) {
    let text = answer.as_ref().map_or_else(|error| error.message.clone(), Value::to_string);
    let of_another = (0..AT_ONCE).find(|other| text.contains(&mark(*other)));
    if let Some(other) = of_another.filter(|_| !text.contains(&mark(at))) {
        let fault = format!("results are mixed up: run `r{at}` is answered with the inputs of `r{other}`");
        found.faults.add(&fault);
    }
}

pub(super) async fn big(lab: &mut Lab<'_>, found: &mut Found) -> Result<(), Stop> {
    let task = lab.running_task()?;
    let keys = BIG / r#""k000000":0,"#.len() + 1;
    let many: Map<String, Value> = (0..keys).map(|at| (format!("k{at:06}"), json!(0))).collect();
    for (run, inputs) in [("long", json!({"text": "x".repeat(BIG)})), ("many", Value::Object(many))] {
        let params = lab.run_params(&task, run, &inputs);
        let answer = lab.session().await?.ask(method::RUN, params).await?;
        judge(&task, &answer, found);
    }
    Ok(())
}

pub(super) async fn pieces(lab: &mut Lab<'_>, found: &mut Found) -> Result<(), Stop> {
    let task = lab.running_task()?;
    let params = |run: &str| lab.run_params(&task, run, &json!({"text": "süß"}));
    let (first, second, third) = (params("first"), params("second"), params("third"));
    let session = lab.session().await?;
    let (first, mut lines) = session.talk.request(method::RUN, first);
    // Without its newline.
    lines.pop();
    let (second, line) = session.talk.request(method::RUN, second);
    lines.extend(line);
    session.say(&lines).await?;
    for id in [first, second] {
        let answer = session.answer(&id, "one of two messages in one line").await?;
        judge(&task, &answer, found);
    }
    let (third, line) = session.talk.request(method::RUN, third);
    for piece in in_three(&line) {
        session.say(piece).await?;
        sleep(PAUSE).await;
    }
    let answer = session.answer(&third, "a message that came in pieces").await?;
    judge(&task, &answer, found);
    Ok(())
}

/// A line in three, of which the second begins in the middle of a character.
fn in_three(line: &[u8]) -> [&[u8]; 3] {
    let middle = line.iter().position(|byte| !byte.is_ascii()).map_or(line.len() / 2, |at| at + 1);
    let (first, rest) = line.split_at(middle);
    let (second, third) = rest.split_at(rest.len() / 2);
    [first, second, third]
}

pub(super) async fn cancel(lab: &mut Lab<'_>, found: &mut Found) -> Result<(), Stop> {
    if !lab.known()?.capabilities.cancel {
        return skip("it does not say that it can (`capabilities.cancel`)");
    }
    let slow = lab.slow_task()?;
    let task = slow.clone().map_or_else(|| lab.running_task(), Ok)?;
    let (params, grace) = (lab.run_params(&task, "cancelled", &json!({})), lab.limits.grace);
    let session = lab.session().await?;
    let (id, mut lines) = session.talk.request(method::RUN, params);
    lines.extend(told_to_cancel(&task, "cancelled"));
    session.say(&lines).await?;
    let answer = session.talk.answer(&id, grace).await;
    let answer = session.explained(answer, "an answer to a run that was cancelled", grace).await?;
    let status = judge(&task, &answer, found);
    if slow.is_some() && status.is_some_and(|status| status != Status::Cancelled) {
        found.faults.add(&format!("`{task}` was cancelled, and its status is not `cancelled`"));
    }
    session.say(&told_to_cancel(NO_TASK, "nobody")).await?;
    session.settle().await
}

fn told_to_cancel(task: &str, run: &str) -> Vec<u8> {
    let params = json!({"task": task, "run": run});
    Message::Notification { method: method::CANCEL.to_owned(), params }.line()
}

pub(super) async fn times(lab: &mut Lab<'_>, found: &mut Found) -> Result<(), Stop> {
    lab.known()?;
    if lab.times == 0 {
        return skip("no log line had a time");
    }
    found.faults.append(lab.bad_times.clone());
    Ok(())
}
