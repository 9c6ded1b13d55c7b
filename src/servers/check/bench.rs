//! Servers started for a check: as devtask starts them, and with nothing said to them yet.

use std::{
    collections::BTreeMap, ffi::OsString, os::unix::net::UnixStream as Pair, path::Path, sync::Arc,
    time::Duration,
};

use tokio::{
    io::AsyncWriteExt as _,
    net::UnixStream,
    sync::watch,
    time::{sleep, timeout},
};

use super::super::host::{Start, connected, ended_how, last_lines, launch, over};
use crate::{
    model::TaskServer,
    process::{Ended, Job, JobControl, Warden},
};

/// Bytes taken at once.
const CHUNK: usize = 64 * 1024;

/// What a server is started with.
pub(super) struct Bench<'a> {
    pub(super) warden: &'a Warden,
    pub(super) server: Arc<TaskServer>,
    pub(super) root: &'a Path,
    pub(super) ambient: Arc<BTreeMap<OsString, OsString>>,
    pub(super) reserved: Vec<(OsString, OsString)>,
    /// A directory that is ours alone, for the sockets.
    pub(super) private: &'a Path,
}

/// How a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    /// On the socket whose path it is given.
    Socket,
    /// On its descriptor 3.
    Descriptor,
}

impl Transport {
    pub(super) const fn told(self) -> &'static str {
        match self {
            Self::Socket => "it speaks on its socket",
            Self::Descriptor => "it speaks on its descriptor 3",
        }
    }
}

/// A server that can be spoken to.
pub(super) struct Opened {
    pub(super) process: Process,
    pub(super) stream: UnixStream,
    /// What it has said already.
    pub(super) bytes: Vec<u8>,
    pub(super) transport: Transport,
}

impl Bench<'_> {
    /// Starts it with a socket of that name. As long as nobody knows how it speaks, it finds `greeting` on its
    /// descriptor 3.
    pub(super) async fn start(
        &self,
        socket: &str,
        known: Option<Transport>,
        greeting: &[u8],
    ) -> Result<Opened, String> {
        let (ours, theirs) = Pair::pair().map_err(|error| not_started(&error))?;
        let socket = self.private.join(socket);
        let start = Start {
            server: &self.server,
            root: self.root,
            ambient: Arc::clone(&self.ambient),
            reserved: self.reserved.clone(),
            socket: socket.clone(),
            log: None,
            lines: None,
        };
        let launch = launch(start, theirs.into()).map_err(|why| not_started(&why))?;
        let job = self.warden.spawn(launch).map_err(|error| not_started(&error))?;
        let process = Process::of(job);
        let reached = self.reach(ours, &socket, known, greeting, &process).await;
        // What the socket was for is over.
        let _ = std::fs::remove_file(&socket);
        match reached {
            Ok((stream, bytes, transport)) => Ok(Opened { process, stream, bytes, transport }),
            Err(why) => {
                process.kill().await;
                Err(why)
            }
        }
    }

    async fn reach(
        &self,
        ours: Pair,
        socket: &Path,
        known: Option<Transport>,
        greeting: &[u8],
        process: &Process,
    ) -> Result<(UnixStream, Vec<u8>, Transport), String> {
        ours.set_nonblocking(true).map_err(|error| not_started(&error))?;
        let mut third = UnixStream::from_std(ours).map_err(|error| not_started(&error))?;
        if known == Some(Transport::Descriptor) {
            return Ok((third, Vec::new(), Transport::Descriptor));
        }
        if known.is_none() {
            // One that has no use for it may have closed it.
            let _ = third.write_all(greeting).await;
        }
        let within = self.server.start_timeout;
        tokio::select! {
            biased;
            bytes = spoken(&third), if known.is_none() => Ok((third, bytes, Transport::Descriptor)),
            stream = connected(socket) => Ok((stream, Vec::new(), Transport::Socket)),
            ended = process.end() => Err(format!("it {} before it could be spoken to", told(&ended))),
            () = sleep(within) => {
                let within = humantime::format_duration(within);
                Err(format!("it neither bound its socket nor spoke on its descriptor 3 within {within}"))
            }
        }
    }
}

fn not_started(why: &dyn std::fmt::Display) -> String {
    format!("it cannot be started: {why}")
}

/// The first that is said there. One that closes it says nothing.
async fn spoken(stream: &UnixStream) -> Vec<u8> {
    let mut buffer = vec![0; CHUNK];
    loop {
        // Both fail only where nothing will come any more.
        if stream.readable().await.is_err() {
            return std::future::pending().await;
        }
        match stream.try_read(&mut buffer) {
            Ok(0) => return std::future::pending().await,
            Ok(count) => {
                buffer.truncate(count);
                return buffer;
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return std::future::pending().await,
        }
    }
}

/// A started process, whose output is read for as long as it runs.
#[derive(Debug)]
pub(super) struct Process {
    control: JobControl,
    ended: watch::Receiver<Option<Arc<Ended>>>,
}

impl Process {
    fn of(job: Job) -> Self {
        let (control, (tell, ended)) = (job.control(), watch::channel(None));
        tokio::spawn(async move { tell.send_replace(Some(Arc::new(job.finish().await))) });
        Self { control, ended }
    }

    async fn end(&self) -> Arc<Ended> {
        over(&mut self.ended.clone()).await
    }

    /// How it ended, if it does in that time.
    pub(super) async fn end_within(&self, time: Duration) -> Option<Arc<Ended>> {
        timeout(time, self.end()).await.ok()
    }

    /// Ends it, if it has not ended.
    pub(super) async fn kill(&self) {
        self.control.kill();
        self.end().await;
    }
}

/// How it ended, with the last it wrote.
pub(super) fn told(ended: &Ended) -> String {
    let how = ended_how(&ended.exit);
    match last_lines(ended).pop() {
        Some(line) => format!("{how} (it wrote last: {line})"),
        None => how,
    }
}
