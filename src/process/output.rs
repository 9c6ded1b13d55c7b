//! What a job writes, read in chunks from its pipes.

use std::{cell::RefCell, io, process::Child, time::Instant};

use rustix::{fd::OwnedFd, fs::OFlags};
use tokio::net::unix::pipe;

use super::{
    log::LogTarget,
    recorder::{CHUNK, LineSink, Recorder, Written},
};
use crate::event::Stream;

thread_local! {
    /// What is read at once: one for all jobs of a thread, since each chunk is done with before the next is read.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The reader of both pipes.
#[derive(Debug)]
pub(super) struct Reader {
    pipes: [Pipe; 2],
    recorder: Recorder,
    last_progress: Instant,
}

impl Reader {
    /// Takes the pipes of a child, as many as it has.
    pub(super) fn of(child: &mut Child, log: Option<LogTarget>, sink: Option<LineSink>) -> io::Result<Self> {
        let stdout = child.stdout.take().map(OwnedFd::from);
        let stderr = child.stderr.take().map(OwnedFd::from);
        Ok(Self {
            pipes: [Pipe::new(Stream::Stdout, stdout)?, Pipe::new(Stream::Stderr, stderr)?],
            recorder: Recorder::new(log, sink),
            last_progress: Instant::now(),
        })
    }

    /// Whether nobody holds the other end of a pipe any more and all lines are passed on.
    pub(super) fn ended(&self) -> bool {
        self.pipes.iter().all(|p| p.receiver.is_none()) && !self.waits_for_sink()
    }

    /// Whether lines wait for a slow reader; then silence says nothing about the job.
    pub(super) fn waits_for_sink(&self) -> bool {
        self.recorder.waits_for_sink()
    }

    /// When something was last read or passed on.
    pub(super) fn last_progress(&self) -> Instant {
        self.last_progress
    }

    /// Bytes read so far.
    pub(super) fn bytes(&self) -> u64 {
        self.recorder.bytes()
    }

    /// Passes on what waits, else reads one chunk. Loses nothing when dropped half-way.
    pub(super) async fn advance(&mut self) {
        if self.recorder.waits_for_sink() {
            self.recorder.pass_on().await;
        } else {
            let [out, err] = &mut self.pipes;
            tokio::select! {
                () = out.readable(), if out.receiver.is_some() => self.read(0),
                () = err.readable(), if err.receiver.is_some() => self.read(1),
                else => std::future::pending().await,
            }
        }
        self.last_progress = Instant::now();
    }

    fn read(&mut self, which: usize) {
        let mut buffer = BUFFER.take();
        buffer.clear();
        buffer.reserve_exact(CHUNK);
        let pipe = &mut self.pipes[which];
        if pipe.read(&mut buffer) {
            self.recorder.write(pipe.stream, &buffer);
        }
        BUFFER.set(buffer);
    }

    /// Lets go of the pipes, whoever else still holds them. What waits for the reader of the lines
    /// can still be passed on with [`Reader::advance`].
    pub(super) fn detach(&mut self) {
        for pipe in &mut self.pipes {
            pipe.receiver = None;
        }
        self.recorder.finish();
    }

    /// Completes the log and adds everything up.
    pub(super) fn close(&mut self) -> Written {
        self.detach();
        self.recorder.close()
    }
}

/// One pipe.
#[derive(Debug)]
struct Pipe {
    stream: Stream,
    /// None at its end.
    receiver: Option<pipe::Receiver>,
}

impl Pipe {
    fn new(stream: Stream, fd: Option<OwnedFd>) -> io::Result<Self> {
        let receiver = fd.map(|fd| {
            // It is the reading end of a pipe, since we asked for one.
            rustix::fs::fcntl_setfl(&fd, OFlags::NONBLOCK)?;
            pipe::Receiver::from_owned_fd_unchecked(fd)
        });
        let receiver = receiver.transpose()?;
        Ok(Self { stream, receiver })
    }

    async fn readable(&self) {
        if let Some(receiver) = &self.receiver {
            // A failure shows when it is read.
            let _ = receiver.readable().await;
        }
    }

    /// Reads what is there; false: nothing this time, or its end.
    fn read(&mut self, into: &mut Vec<u8>) -> bool {
        let Some(receiver) = &self.receiver else { return false };
        match receiver.try_read_buf(into) {
            Ok(1..) => true,
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => false,
            Ok(0) | Err(_) => {
                self.receiver = None;
                false
            }
        }
    }
}
