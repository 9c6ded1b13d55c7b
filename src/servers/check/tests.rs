//! What is noticed on a connection, whatever it is that a server says.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, net::UnixStream};

use super::talk::{Stopped, Talk};
use crate::tsp::{Id, method};

const LONG: Duration = Duration::from_secs(60);

/// A connection on which run `r` of `a:b` is asked for as request 1 and `shutdown` as request `check-2`, and its other
/// end.
fn pair() -> (Talk, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut talk = Talk::over(ours, b"");
    let (first, _) = talk.request(method::RUN, json!({"task": "a:b", "run": "r"}));
    let (second, _) = talk.request(method::SHUTDOWN, json!({}));
    assert_eq!((first, second), (Id::Number(1), Id::Text("check-2".to_owned())));
    (talk, theirs)
}

/// What is wrong when a server says this and closes the connection.
async fn heard(text: &str) -> (Option<String>, Talk) {
    let (mut talk, mut theirs) = pair();
    theirs.write_all(text.as_bytes()).await.unwrap();
    drop(theirs);
    while talk.hear(tokio::time::Instant::now() + LONG).await.is_ok() {}
    talk.close_row();
    let faults = std::mem::take(&mut talk.heard.faults);
    (faults.told(), talk)
}

const ANSWERED: &str = r#"{"id":1,"result":{}}"#;

#[tokio::test]
async fn what_a_server_says_is_held_against_what_it_was_asked() {
    let cases: [(&str, Option<&str>); 19] = [
        ("", None),
        (ANSWERED, None),
        (r#"{"id":"check-2","result":null}{"id":1,"error":{"code":1}}"#, None),
        (r#"{"method":"log","params":{"task":"a:b","run":"r","line":"x"}}{"id":1,"result":{}}"#, None),
        (r#"{"method":"progress","params":{"task":"a:b","done":1}}"#, None),
        (r#"{"method":"tasks/changed"}{"method":"later","params":[1]}"#, None),
        ("hello\n", Some("a line is no JSON: expected value at line 1 column 1: hello")),
        ("[]\n", Some("a line is no message: there are no batches: []")),
        (r#"{"id":1.5,"result":1}"#, Some("a line is no message: its id is neither")),
        (r#"{"id":2,"result":1}"#, Some("it answered request 2, which was never made")),
        (r#"{"id":"1","result":1}"#, Some("it answered request `1`, which was never made")),
        (r#"{"id":1,"result":1}{"id":1,"error":{"code":1}}"#, Some("it answered request 1 twice")),
        (
            r#"{"id":null,"error":{"code":-32700,"message":"no"}}"#,
            Some("it could not read a sound message: no"),
        ),
        (r#"{"method":"log","params":[]}"#, Some("a `log` cannot be read: its params are no object")),
        (r#"{"method":"log","params":{"task":"a:b"}}"#, Some("a `log` cannot be read: it has no `line`")),
        (
            r#"{"method":"log","params":{"task":"a:b","line":1}}"#,
            Some("a `log` cannot be read: invalid type"),
        ),
        (r#"{"method":"diagnostic","params":{"task":"a:b","file":"x"}}"#, Some("it has no `message`")),
        (
            r#"{"method":"log","params":{"task":"a:b","run":"s","line":"x"}}"#,
            Some("a `log` of `a:b`, run `s`, which was not asked for"),
        ),
        (
            r#"{"id":1,"result":{}}{"method":"progress","params":{"task":"a:b","run":"r","done":1}}"#,
            Some("a `progress` of `a:b`, run `r` came after its result"),
        ),
    ];
    for (text, expected) in cases {
        let (told, _) = heard(text).await;
        match expected {
            Some(fault) => {
                assert!(told.as_ref().is_some_and(|told| told.contains(fault)), "{text}: {told:?}")
            }
            None => assert_eq!(told, None, "{text}"),
        }
    }
}

#[tokio::test]
async fn times_are_counted_and_those_that_are_none_are_told() {
    let line = |time: Value| json!({"method": "log", "params": {"task": "a:b", "line": "x", "time": time}});
    let text: String = [json!("20260102T030405Z"), json!("today"), json!(5), Value::Null]
        .map(|t| line(t).to_string())
        .concat();
    let (told, talk) = heard(&text).await;
    // A number is no fault of the message.
    assert_eq!((told, talk.heard.times), (None, 3));
    let bad = talk.heard.bad_times.told().unwrap();
    assert!(bad.starts_with("\"today\" is neither") && bad.contains("; 5 is neither"), "{bad}");
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_told_why_nothing_comes() {
    let (mut talk, mut theirs) = pair();
    assert_eq!(talk.answer(&Id::Number(1), LONG).await, Err(Stopped::Silent));
    theirs.write_all(b"{\"id\":1,").await.unwrap();
    let half = "half a message came, and no more of it in time".to_owned();
    assert_eq!(talk.answer(&Id::Number(1), LONG).await, Err(Stopped::Broken(half)));
    drop(theirs);
    let off = "it closed the connection in the middle of a message".to_owned();
    assert_eq!(talk.answer(&Id::Number(1), LONG).await, Err(Stopped::Broken(off)));
    let (mut talk, theirs) = pair();
    drop(theirs);
    assert_eq!(talk.nameless(LONG).await, Err(Stopped::Closed));
    assert_eq!(talk.say(b"x", LONG).await, Err(Stopped::Closed));
}

#[tokio::test]
async fn a_server_that_asks_is_answered_that_there_is_nothing_to_ask_for() {
    use tokio::io::AsyncReadExt as _;
    let (mut talk, mut theirs) = pair();
    theirs.write_all(br#"{"id":9,"method":"x"}{"id":1,"result":3}"#).await.unwrap();
    assert_eq!(talk.answer(&Id::Number(1), LONG).await, Ok(Ok(json!(3))));
    drop(talk);
    let mut said = String::new();
    theirs.read_to_string(&mut said).await.unwrap();
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&said["id"], &said["error"]["code"]), (&json!(9), &json!(-32601)));
}
