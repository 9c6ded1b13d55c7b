//! Rows about what nobody should send.

use serde_json::{Value, json};

use super::{
    lab::{Found, Lab, NO_METHOD, NO_TASK, Session, Stop},
    talk::{Answer, Stopped},
};
use crate::tsp::{Message, code, method};

/// What is no request: what it is, the line, and the codes that are right.
const BROKEN: [(&str, &str, &[i64]); 4] = [
    ("a line that is no JSON", "this is no JSON", &[code::NO_JSON]),
    ("an object that breaks off", r#"{"jsonrpc":"2.0","id":1,"method":"#, &[code::NO_JSON]),
    ("an array", "[1]", &[code::INVALID, code::NO_JSON]),
    ("a number", "42", &[code::INVALID, code::NO_JSON]),
];

pub(super) async fn failure(lab: &mut Lab<'_>, found: &mut Found) -> Result<(), Stop> {
    let unknown = lab.run_params(NO_TASK, "unknown", &json!({}));
    let cases: [(&str, &str, Value, &[i64]); 4] = [
        ("a `run` of an unknown task", method::RUN, unknown.clone(), &[code::NO_TASK]),
        ("a `run` without a task", method::RUN, json!({}), &[code::BAD_PARAMS, code::NO_TASK]),
        ("a `run` with a string as params", method::RUN, json!("x"), &[code::BAD_PARAMS, code::INVALID]),
        ("an unknown method", NO_METHOD, json!({}), &[code::NO_METHOD]),
    ];
    let session = lab.session().await?;
    for (what, method, params, codes) in cases {
        let (id, line) = session.talk.request(method, params);
        session.say(&line).await?;
        let answer = session.talk.answer(&id, session.patience()).await;
        judge(session, answer, what, codes, found).await?;
    }
    unknown_words(session, unknown).await
}

/// What later versions may add is no reason to be silent, or to say anything else.
async fn unknown_words(session: &mut Session, mut params: Value) -> Result<(), Stop> {
    let later = Message::Notification { method: "devtask/later".to_owned(), params: json!({"a": 1}) };
    session.say(&later.line()).await?;
    params["later"] = json!({"a": [1, null]});
    let (id, line) = session.talk.request(method::RUN, params);
    let text = String::from_utf8_lossy(&line).replacen('{', r#"{"later":[{}],"#, 1);
    session.say(text.as_bytes()).await?;
    // What it answers is known from before.
    session.answer(&id, "a request with unknown fields").await.map(drop)
}

pub(super) async fn broken(lab: &mut Lab<'_>, found: &mut Found) -> Result<(), Stop> {
    let params = lab.run_params(NO_TASK, "after", &json!({}));
    let session = lab.session().await?;
    for (what, text, codes) in BROKEN {
        session.say(format!("{text}\n").as_bytes()).await?;
        let answer = session.talk.nameless(session.patience()).await;
        judge(session, answer, what, codes, found).await?;
    }
    let (id, line) = session.talk.request(method::RUN, params);
    session.say(&line).await?;
    session.answer(&id, "a request after broken ones").await.map(drop)
}

/// Silence is told, and the next case is tried; what ends the connection ends the row.
async fn judge(
    session: &Session,
    answer: Result<Answer, Stopped>,
    what: &str,
    codes: &[i64],
    found: &mut Found,
) -> Result<(), Stop> {
    let due = codes.iter().map(i64::to_string).collect::<Vec<_>>().join(" or ");
    match answer {
        Ok(Err(error)) if codes.contains(&error.code) => {}
        Ok(Err(error)) => {
            found.faults.add(&format!("{what} is answered with another error than {due}: {error}"))
        }
        Ok(Ok(_)) => found.faults.add(&format!("{what} is answered with a result, not with error {due}")),
        Err(Stopped::Silent) => {
            let within = humantime::format_duration(session.patience());
            found.faults.add(&format!("{what} is not answered with error {due} within {within}"));
        }
        Err(stopped) => {
            let error = format!("error {due} for {what}");
            session.explained(Err(stopped), &error, session.patience()).await?;
        }
    }
    Ok(())
}
