//! Asking a process how it is (spec section 6).

use crate::{
    process::{Ended, JobControl, Launch, Warden, ask_http, ask_tcp},
    session::processes::prepared::Question,
};

use super::Work;

/// A probe under way. Dropped, one that asks over the network is over; a command has to be ended.
pub(super) struct Probing {
    pub(super) answer: Work<Result<(), String>>,
    /// Of one that is a job.
    control: Option<JobControl>,
}

impl Probing {
    /// Begins to ask.
    pub(super) fn begin(question: &Question, warden: &Warden) -> Result<Self, String> {
        let net = |answer: Work<Result<(), String>>| Ok(Self { answer, control: None });
        match question {
            Question::Exec(command) => {
                let launch = Launch { command: (**command).clone(), ..Launch::default() };
                let job = warden.spawn(launch).map_err(|error| error.to_string())?;
                let control = job.control();
                let answer = async move { of_exit(&job.finish().await) };
                Ok(Self { answer: Box::pin(answer), control: Some(control) })
            }
            Question::Tcp(places) => {
                let places = places.clone();
                net(Box::pin(async move {
                    for (host, port) in places {
                        ask_tcp(&host, port).await?;
                    }
                    Ok(())
                }))
            }
            Question::Http(question) => {
                let question = question.clone();
                net(Box::pin(async move { ask_http(&question).await }))
            }
            Question::Told | Question::Line(_) => Err("it is not asked".to_owned()),
        }
    }

    /// Does not wait for the answer any more, and ends whatever was started for it.
    pub(super) fn end(self) {
        if let Some(control) = self.control {
            control.kill();
            // What it started ends with it; nobody waits for that.
            tokio::spawn(self.answer);
        }
    }
}

fn of_exit(ended: &Ended) -> Result<(), String> {
    let last = ended.tail.iter().rev().find(|line| !line.is_empty());
    let said = last.map(|line| format!(": {}", String::from_utf8_lossy(line))).unwrap_or_default();
    match (ended.exit.code, ended.exit.signal) {
        (Some(0), _) => Ok(()),
        (Some(code), _) => Err(format!("exit {code}{said}")),
        (None, Some(signal)) => Err(format!("ended by signal {signal}{said}")),
        (None, None) => Err(format!("ended{said}")),
    }
}
