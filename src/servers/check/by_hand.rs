//! Speaking to a server by hand: what somebody says is passed on as it is, and so is what comes back.

use std::{path::Path, thread, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    sync::mpsc,
    time::sleep,
};

use super::{
    CheckFault, Limits, Surroundings,
    bench::{Bench, Opened, Transport, told},
    in_a_lab,
};
use crate::tsp::{Frames, Message};

/// Lines that may wait to be said.
const WAITING: usize = 16;

/// Starts the server of a command, says these lines to it, each as soon as it comes, and hands on every message of its
/// as it is. Over when the lines are, and each that wants an answer has one. Blocks.
///
/// # Errors
/// [`CheckFault`], also if the server says nothing for as long as [`Limits::answer`] while an answer is missing, or
/// ends before.
pub fn talk(
    command: &[String],
    cwd: &Path,
    surroundings: &Surroundings,
    limits: &Limits,
    lines: impl Iterator<Item = String> + Send + 'static,
    mut hear: impl FnMut(&[u8]) + Send,
) -> Result<(), CheckFault> {
    let (to, mut from) = mpsc::channel(WAITING);
    // It ends with its lines, or with this program: whoever types may take their time.
    thread::spawn(move || lines.into_iter().try_for_each(|line| to.blocking_send(line)));
    let limits = *limits;
    in_a_lab(command, cwd, surroundings, &limits, async |bench: Bench<'_>| {
        let mut said =
            Conversation { frames: Frames::default(), wanted: 0, answered: 0, silence: limits.answer };
        said.hold(&bench, &mut from, &mut hear).await
    })?
    .map_err(CheckFault::Server)
}

struct Conversation {
    frames: Frames,
    /// How many answers are wanted, and how many have come.
    wanted: usize,
    answered: usize,
    silence: Duration,
}

impl Conversation {
    async fn hold(
        &mut self,
        bench: &Bench<'_>,
        lines: &mut mpsc::Receiver<String>,
        hear: &mut impl FnMut(&[u8]),
    ) -> Result<(), String> {
        let Some(first) = lines.recv().await else { return Ok(()) };
        self.want(&first);
        let greeting = format!("{first}\n");
        let Opened { process, mut stream, bytes, transport } =
            bench.start("s", None, greeting.as_bytes()).await?;
        if transport == Transport::Socket {
            stream.write_all(greeting.as_bytes()).await.map_err(|error| error.to_string())?;
        }
        self.frames.push(&bytes);
        let held = self.go_on(&mut stream, lines, hear).await;
        drop(stream);
        let ended = process.end_within(self.silence).await;
        process.kill().await;
        match (held, ended) {
            (Err(None), Some(ended)) => Err(format!("it {}", told(&ended))),
            (Err(None), None) => Err("it closed the connection".to_owned()),
            (Err(Some(why)), _) => Err(why),
            (Ok(()), _) => Ok(()),
        }
    }

    /// `Err(None)`: it closed the connection.
    async fn go_on(
        &mut self,
        stream: &mut UnixStream,
        lines: &mut mpsc::Receiver<String>,
        hear: &mut impl FnMut(&[u8]),
    ) -> Result<(), Option<String>> {
        let (mut reading, mut writing) = stream.split();
        let (mut buffer, mut all_said) = (vec![0; 64 * 1024], false);
        loop {
            while let Some(message) = self.frames.take().map_err(|fault| Some(fault.to_string()))? {
                self.answered +=
                    usize::from(matches!(Message::parse(&message), Ok(Message::Response { .. })));
                hear(&message);
            }
            if all_said && self.answered >= self.wanted {
                return Ok(());
            }
            tokio::select! {
                line = lines.recv(), if !all_said => match line {
                    Some(line) => {
                        self.want(&line);
                        writing.write_all(format!("{line}\n").as_bytes()).await.map_err(|_| None)?;
                    }
                    None => all_said = true,
                },
                read = reading.read(&mut buffer) => match read {
                    Ok(0) | Err(_) => return Err(None),
                    Ok(count) => self.frames.push(&buffer[..count]),
                },
                () = sleep(self.silence), if all_said => {
                    let within = humantime::format_duration(self.silence);
                    let missing = self.wanted - self.answered;
                    return Err(Some(format!("{missing} answers did not come within {within}")));
                }
            }
        }
    }

    /// A request wants an answer, and so does what is no message.
    fn want(&mut self, line: &str) {
        let is_wanted = matches!(Message::parse(line.as_bytes()), Ok(Message::Request { .. }) | Err(_));
        self.wanted += usize::from(is_wanted);
    }
}
