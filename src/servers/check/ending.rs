//! Rows about the end of a server.

use serde_json::json;

use super::{
    bench::told,
    lab::{Found, Lab, Session, Stop},
};
use crate::{process::Ended, tsp::method};

/// The beginning of a request.
const HALF: &[u8] = br#"{"jsonrpc":"2.0","id":1000000,"method":"run","params":{"task":"ha"#;

pub(super) async fn half_line(lab: &mut Lab<'_>, found: &mut Found) -> Result<(), Stop> {
    let mut session = lab.take().await?;
    let said = session.say(HALF).await;
    lab.hear(&mut session, found);
    said?;
    closed(lab, session, found).await.map(drop)
}

pub(super) async fn end_of_file(lab: &mut Lab<'_>, found: &mut Found) -> Result<(), Stop> {
    let session = lab.take().await?;
    closed(lab, session, found).await.map(drop)
}

pub(super) async fn shutdown(lab: &mut Lab<'_>, found: &mut Found) -> Result<(), Stop> {
    let mut session = lab.take().await?;
    let answer = session.ask(method::SHUTDOWN, json!({})).await;
    lab.hear(&mut session, found);
    if let Err(error) = answer? {
        found.faults.add(&format!("it answers `shutdown` with an error: {error}"));
    }
    let ended = closed(lab, session, found).await?;
    if !ended.exit.is_success() {
        found.faults.add(&format!("it {}, not with exit 0", told(&ended)));
    }
    Ok(())
}

/// How it ends once the connection is closed: in time, and with everything it started.
async fn closed(lab: &Lab<'_>, session: Session, found: &mut Found) -> Result<std::sync::Arc<Ended>, Stop> {
    let Session { process, talk, .. } = session;
    drop(talk);
    let Some(ended) = process.end_within(lab.limits.grace).await else {
        process.kill().await;
        let within = humantime::format_duration(lab.limits.grace);
        return Err(Stop::Fault(format!("it has not ended {within} after the connection was closed")));
    };
    if ended.leaky {
        found.faults.add("it leaves processes behind");
    }
    Ok(ended)
}
