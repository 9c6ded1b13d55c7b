//! Rows about the start and the list.

use serde::Deserialize as _;
use serde_json::{Value, json};

use super::{
    bench::Transport,
    lab::{Found, Lab, Listed, NO_TASK, Stop, skip},
    talk::Answer,
};
use crate::tsp::{Id, InitializeResult, VERSION, code, method};

/// A name with what names of directories may have.
const ODD_NAME: &str = "a sóckèt 套";

pub(super) async fn starts(lab: &mut Lab<'_>, found: &mut Found) -> Result<(), Stop> {
    let greeting = lab.greeting();
    let mut first = lab.start("s", &greeting).await?;
    if let Some(transport) = lab.transport {
        found.note(transport.told());
    }
    if lab.transport == Some(Transport::Socket) {
        first.say(&greeting).await?;
    }
    first.talk.expect(Id::Number(0), method::INITIALIZE, &Value::Null);
    lab.first = Some((first, Id::Number(0)));
    let second = lab.start(ODD_NAME, b"").await;
    lab.second = Some(second.map_err(|why| format!("with a space and `ó` in the path of its socket {why}"))?);
    Ok(())
}

pub(super) async fn initialize(lab: &mut Lab<'_>, found: &mut Found) -> Result<(), Stop> {
    let Some((mut session, id)) = lab.first.take() else { return skip("it cannot be spoken to") };
    let answer = session.answer(&id, "`initialize`").await;
    lab.hear(&mut session, found);
    lab.listed = judged(answer?, "", found);
    lab.share(session);
    // What is wrong anyhow is told once.
    let is_sound = found.faults.told().is_none();
    let Some(mut session) = lab.second.take_if(|_| is_sound) else { return Ok(()) };
    let answer = session.ask(method::INITIALIZE, json!({})).await;
    lab.hear(&mut session, found);
    if judged(answer?, "with params `{}` ", found).is_some() {
        lab.spare.push(session);
    }
    Ok(())
}

/// What it tells, with everything that is wrong in the answer.
fn judged(answer: Answer, when: &str, found: &mut Found) -> Option<Listed> {
    let value = match answer {
        Ok(value) => value,
        Err(error) => {
            found.faults.add(&format!("{when}it answers with an error: {error}"));
            return None;
        }
    };
    if !value.get("tasks").is_some_and(Value::is_array) {
        found.faults.add(&format!("{when}its answer has no list `tasks`"));
        return None;
    }
    let read = InitializeResult::deserialize(value);
    let listed =
        read.map_err(|error| found.faults.add(&format!("{when}its answer cannot be read: {error}"))).ok()?;
    if let Some(version) = listed.protocol_version.filter(|version| *version != VERSION) {
        found.faults.add(&format!("{when}it speaks version {version} of the protocol, not {VERSION}"));
    }
    if listed.capabilities.max_concurrency == Some(0) {
        found.faults.add(&format!("{when}`maxConcurrency` is 0: nothing could ever run"));
    }
    Some(Listed { tasks: listed.tasks, capabilities: listed.capabilities })
}

pub(super) async fn listing(lab: &mut Lab<'_>, found: &mut Found) -> Result<(), Stop> {
    let tasks = &lab.known()?.tasks;
    for fault in lab.list_faults(tasks) {
        found.faults.add(&fault);
    }
    found.note(&match tasks.len() {
        1 => "1 task".to_owned(),
        count => format!("{count} tasks"),
    });
    Ok(())
}

pub(super) async fn not_initialized(lab: &mut Lab<'_>, found: &mut Found) -> Result<(), Stop> {
    lab.known()?;
    let mut session = lab.start("s", b"").await?;
    let task = lab.task().unwrap_or_else(|_| NO_TASK.to_owned());
    let params = lab.run_params(&task, "too-early", &json!({}));
    let answer = session.ask(method::RUN, params).await;
    lab.hear(&mut session, found);
    match answer? {
        Err(error) if error.code == code::NOT_INITIALIZED => {}
        Err(error) => found.faults.add(&format!("the error is not {}: {error}", code::NOT_INITIALIZED)),
        Ok(_) => found.faults.add(&format!("it runs the task; an error {} is due", code::NOT_INITIALIZED)),
    }
    // What it was refused for is made up for.
    let answer = session.ask(method::INITIALIZE, lab.greeting_params()).await;
    lab.hear(&mut session, found);
    match answer? {
        Ok(_) => lab.spare.push(session),
        Err(error) => found.faults.add(&format!("after that it answers `initialize` with an error: {error}")),
    }
    Ok(())
}
