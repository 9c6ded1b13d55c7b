//! Writes to the outside on a thread of its own accord, once tasks run: a pipe nobody reads, or a terminal that was halted
//! with Ctrl-S, must not keep us from hearing signals or from conducting the tasks.

use std::{
    fs::File,
    io::{self, Write, stderr, stdout},
    path::Path,
};

use tokio::task::JoinHandle;

/// Where `--events` writes.
pub(crate) type Sink = Box<dyn Write + Send>;

/// Collects what is to be written while earlier text is being written.
pub(crate) struct Printer {
    waiting: Batch,
    events: Option<Sink>,
    /// Whether the write under way has the events' sink with it.
    had_events: bool,
    under_way: Option<JoinHandle<Written>>,
    fault: Option<io::Error>,
}

/// What a write leaves.
#[derive(Default)]
struct Written {
    events: Option<Sink>,
    fault: Option<io::Error>,
}

/// What goes out together.
#[derive(Default)]
struct Batch {
    err: Vec<u8>,
    events: Vec<u8>,
    out: Vec<u8>,
}

impl Printer {
    pub(crate) fn new(events: Option<Sink>) -> Self {
        Self { waiting: Batch::default(), events, had_events: false, under_way: None, fault: None }
    }

    /// The sink of events, which is here while nothing is being written.
    pub(crate) fn into_events(self) -> Option<Sink> {
        self.events
    }

    /// Text for stderr.
    pub(crate) fn err(&mut self, text: &str) {
        self.waiting.err.extend_from_slice(text.as_bytes());
    }

    /// Text for stdout.
    pub(crate) fn out(&mut self, text: &str) {
        self.waiting.out.extend_from_slice(text.as_bytes());
    }

    /// Adds to a file of text, here and now.
    pub(crate) fn append(path: &Path, text: &str) -> io::Result<()> {
        let mut file = File::options().append(true).create(true).open(path)?;
        write_all(&mut file, text.as_bytes())
    }

    /// Lines for the file of events.
    pub(crate) fn events(&mut self) -> &mut Vec<u8> {
        &mut self.waiting.events
    }

    /// Whether anybody reads the events.
    pub(crate) fn writes_events(&self) -> bool {
        self.events.is_some() || (self.is_busy() && self.had_events)
    }

    /// Bytes that are collected and not being written yet.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Why stdout could not be written, if it could not. A reader that is gone (`| head`) has what it wanted.
    pub(crate) fn take_fault(&mut self) -> Option<io::Error> {
        self.fault.take().filter(|fault| fault.kind() != io::ErrorKind::BrokenPipe)
    }

    /// Whether something is being written.
    pub(crate) fn is_busy(&self) -> bool {
        self.under_way.is_some()
    }

    /// Starts to write what was collected, if nothing is being written.
    pub(crate) fn start(&mut self) {
        if self.is_busy() || self.waiting.len() == 0 {
            return;
        }
        let batch = std::mem::take(&mut self.waiting);
        let events = self.events.take();
        self.had_events = events.is_some();
        self.under_way = Some(tokio::task::spawn_blocking(move || batch.write(events)));
    }

    /// Writes what was collected, on this thread: nobody has to hear anything meanwhile.
    pub(crate) fn write_here(&mut self) {
        let batch = std::mem::take(&mut self.waiting);
        let written = batch.write(self.events.take());
        self.events = written.events;
        self.fault = self.fault.take().or(written.fault);
    }

    /// Waits for the end of the write under way. Can be dropped and called again.
    pub(crate) async fn written(&mut self) {
        if let Some(under_way) = &mut self.under_way {
            let written = under_way.await.unwrap_or_default();
            self.under_way = None;
            self.events = written.events;
            self.fault = self.fault.take().or(written.fault);
        }
    }

    /// Writes everything.
    pub(crate) async fn flush(&mut self) {
        self.written().await;
        self.start();
        self.written().await;
    }
}

impl Batch {
    fn len(&self) -> usize {
        self.err.len() + self.events.len() + self.out.len()
    }

    /// A reader that is gone is not written to any more; a terminal that is gone ends us by its signal.
    fn write(&self, events: Option<Sink>) -> Written {
        let _ = write_all(&mut stderr().lock(), &self.err);
        let fault = write_all(&mut stdout().lock(), &self.out).err();
        let events = events.and_then(|mut sink| write_all(&mut sink, &self.events).ok().map(|()| sink));
        Written { events, fault }
    }
}

fn write_all(to: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    to.write_all(bytes)?;
    to.flush()
}
