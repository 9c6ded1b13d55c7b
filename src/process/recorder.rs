//! What becomes of output: kept in the log, its last part in memory, its lines passed on.
//!
//! Memory stays bounded whatever comes (hazard C8). Bytes stay bytes.

use std::{collections::VecDeque, io, path::PathBuf};

use tokio::sync::mpsc::{self, error::TrySendError};

use super::log::{Log, LogTarget};
use crate::event::Stream;

/// Bytes read at once; also the longest line that is passed on in one piece.
pub(super) const CHUNK: usize = 64 * 1024;
/// Bytes of the end of the output kept in memory, at most.
const TAIL: usize = 1024 * 1024;

/// Where the lines of a job go while it runs. Several jobs may share one channel.
#[derive(Clone, Debug)]
pub struct LineSink {
    /// Where they go. Once it is closed, nobody listens and nothing is counted as lost.
    pub to: mpsc::Sender<Piece>,
    /// What happens when the channel is full.
    pub mode: SinkMode,
}

/// What happens when the reader of the lines is too slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkMode {
    /// The job waits: nothing is lost.
    Lossless,
    /// Lines are left out and counted: the job never waits.
    Lossy,
}

/// What a [`LineSink`] passes on: a line, or the place of lines that were left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// One line.
    Line {
        /// Where it was written.
        stream: Stream,
        /// Its bytes without the newline; a line longer than 64 KiB comes in several.
        bytes: Vec<u8>,
    },
    /// That many lines were left out here.
    Gap {
        /// How many.
        lines: u64,
    },
}

/// Everything there is to know about some output at its end.
#[derive(Debug, Default)]
pub struct Written {
    /// The last lines, of both streams as they came: at most 1 MiB, none longer than 64 KiB.
    pub tail: Vec<Vec<u8>>,
    /// Lines in all.
    pub lines: u64,
    /// The log, if anything was written.
    pub log: Option<PathBuf>,
    /// Why the log is not complete.
    pub log_fault: Option<io::Error>,
}

/// Takes output as it comes, of a job or of something else that speaks in lines.
#[derive(Debug)]
pub struct Recorder {
    log: Option<Log>,
    tail: Tail,
    lines: Option<Lines>,
    counts: [Count; 2],
    bytes: u64,
}

/// How much of one stream came.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    newlines: u64,
    /// Whether the last byte was no newline.
    open_line: bool,
}

impl Recorder {
    /// Keeps it there, and passes lines on to there.
    #[must_use]
    pub fn new(log: Option<LogTarget>, sink: Option<LineSink>) -> Self {
        Self {
            log: log.map(Log::new),
            tail: Tail::default(),
            lines: sink.map(Lines::new),
            counts: [Count::default(); 2],
            bytes: 0,
        }
    }

    /// Takes bytes of a stream, whole lines or not. What cannot be passed on at once waits for
    /// [`pass_on`](Self::pass_on).
    pub fn write(&mut self, stream: Stream, bytes: &[u8]) {
        bytes.chunks(CHUNK).for_each(|chunk| self.take(stream, chunk));
    }

    fn take(&mut self, stream: Stream, bytes: &[u8]) {
        let count = &mut self.counts[stream as usize];
        count.newlines += bytes.iter().filter(|&&b| b == b'\n').count() as u64;
        count.open_line = bytes.last().map_or(count.open_line, |last| *last != b'\n');
        self.bytes += bytes.len() as u64;
        if let Some(log) = &mut self.log {
            log.write(bytes);
        }
        self.tail.push(bytes);
        if let Some(lines) = &mut self.lines {
            lines.push(stream, bytes);
        }
    }

    /// Whether lines wait for a slow reader.
    #[must_use]
    pub fn waits_for_sink(&self) -> bool {
        self.lines.as_ref().is_some_and(|lines| !lines.pending.is_empty())
    }

    /// Passes on what waits. Loses nothing when dropped half-way.
    pub async fn pass_on(&mut self) {
        if let Some(lines) = &mut self.lines {
            lines.pass_on().await;
        }
    }

    /// Bytes so far.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Nothing more comes; what has no newline at its end is a line, too.
    pub fn finish(&mut self) {
        if let Some(lines) = &mut self.lines {
            lines.finish();
        }
    }

    /// Completes the log and adds everything up.
    pub fn close(&mut self) -> Written {
        let (log, log_fault) = self.log.take().map_or((None, None), Log::close);
        Written {
            tail: std::mem::take(&mut self.tail).into_lines(),
            lines: self.counts.iter().map(|count| count.newlines + u64::from(count.open_line)).sum(),
            log,
            log_fault,
        }
    }
}

/// The end of the output.
#[derive(Debug, Default)]
struct Tail {
    bytes: Vec<u8>,
    cut: bool,
}

impl Tail {
    fn push(&mut self, chunk: &[u8]) {
        if self.bytes.len() + chunk.len() > TAIL {
            // Half of it at once, so that a flood does not move it all for every chunk.
            self.bytes.drain(..self.bytes.len() / 2);
            self.cut = true;
        }
        self.bytes.extend_from_slice(chunk);
    }

    fn into_lines(self) -> Vec<Vec<u8>> {
        let mut bytes = self.bytes.as_slice();
        if let Some(at) = bytes.iter().position(|&b| b == b'\n').filter(|_| self.cut) {
            bytes = &bytes[at + 1..]; // the rest of a line whose beginning is gone
        }
        if bytes.is_empty() {
            return Vec::new();
        }
        let lines = bytes.strip_suffix(b"\n").unwrap_or(bytes).split(|&b| b == b'\n');
        lines.flat_map(pieces).map(<[u8]>::to_vec).collect()
    }
}

/// A line in pieces of at most [`CHUNK`]; an empty line is one piece.
fn pieces(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let empty = line.is_empty().then_some(line);
    empty.into_iter().chain(line.chunks(CHUNK))
}

/// Bytes to lines, and lines to their reader.
#[derive(Debug)]
struct Lines {
    sink: LineSink,
    /// The beginning of a line, for stdout and stderr.
    begun: [Vec<u8>; 2],
    /// What could not be passed on yet; only of one chunk, since meanwhile no other is read.
    pending: VecDeque<Piece>,
    /// Lines left out since the last that was passed on.
    gap: u64,
}

impl Lines {
    fn new(sink: LineSink) -> Self {
        Self { sink, begun: [Vec::new(), Vec::new()], pending: VecDeque::new(), gap: 0 }
    }

    fn push(&mut self, stream: Stream, chunk: &[u8]) {
        for part in chunk.split_inclusive(|&b| b == b'\n') {
            let (text, complete) = part.strip_suffix(b"\n").map_or((part, false), |text| (text, true));
            let mut text = text;
            while self.begun[stream as usize].len() + text.len() > CHUNK {
                let room = CHUNK - self.begun[stream as usize].len();
                self.begun[stream as usize].extend_from_slice(&text[..room]);
                text = &text[room..];
                self.end_line(stream);
            }
            self.begun[stream as usize].extend_from_slice(text);
            if complete {
                self.end_line(stream);
            }
        }
    }

    fn end_line(&mut self, stream: Stream) {
        let bytes = std::mem::take(&mut self.begun[stream as usize]);
        self.offer(Piece::Line { stream, bytes });
    }

    /// What has no newline at the end is a line too; a gap at the very end is told as well.
    fn finish(&mut self) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            if !self.begun[stream as usize].is_empty() {
                self.end_line(stream);
            }
        }
        if self.gap > 0 && self.send(Piece::Gap { lines: self.gap }).is_ok() {
            self.gap = 0;
        }
    }

    fn offer(&mut self, line: Piece) {
        if self.sink.mode == SinkMode::Lossless {
            if self.pending.is_empty() {
                self.pending.extend(self.send(line).err());
            } else {
                self.pending.push_back(line);
            }
            return;
        }
        if self.gap > 0 && self.send(Piece::Gap { lines: self.gap }).is_ok() {
            self.gap = 0;
        }
        if self.gap > 0 || self.send(line).is_err() {
            self.gap += 1;
        }
    }

    /// Sends without waiting; gives back what did not fit. Where nobody listens, everything fits.
    fn send(&self, piece: Piece) -> Result<(), Piece> {
        match self.sink.to.try_send(piece) {
            Err(TrySendError::Full(piece)) => Err(piece),
            Ok(()) | Err(TrySendError::Closed(_)) => Ok(()),
        }
    }

    async fn pass_on(&mut self) {
        while !self.pending.is_empty() {
            let Ok(permit) = self.sink.to.reserve().await else { return self.pending.clear() };
            if let Some(piece) = self.pending.pop_front() {
                permit.send(piece);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sink(room: usize, mode: SinkMode) -> (Lines, mpsc::Receiver<Piece>) {
        let (to, from) = mpsc::channel(room);
        (Lines::new(LineSink { to, mode }), from)
    }

    fn line(stream: Stream, text: &str) -> Piece {
        Piece::Line { stream, bytes: text.into() }
    }

    fn received(from: &mut mpsc::Receiver<Piece>) -> Vec<Piece> {
        std::iter::from_fn(|| from.try_recv().ok()).collect()
    }

    #[test]
    fn lines_are_put_together_for_each_stream() {
        use Stream::{Stderr, Stdout};
        let (mut lines, mut from) = sink(20, SinkMode::Lossless);
        for (stream, chunk) in [(Stdout, "a\nb"), (Stderr, "x\n\ny"), (Stdout, "c\n"), (Stdout, "d")] {
            lines.push(stream, chunk.as_bytes());
        }
        lines.finish();
        let expected =
            [(Stdout, "a"), (Stderr, "x"), (Stderr, ""), (Stdout, "bc"), (Stdout, "d"), (Stderr, "y")];
        assert_eq!(received(&mut from), expected.map(|(stream, text)| line(stream, text)));
    }

    #[test]
    fn a_long_line_comes_in_pieces() {
        for (length, expected) in [
            (CHUNK - 1, vec![CHUNK - 1]),
            (CHUNK, vec![CHUNK]),
            (CHUNK + 1, vec![CHUNK, 1]),
            (3 * CHUNK, vec![CHUNK; 3]),
        ] {
            let (mut lines, mut from) = sink(20, SinkMode::Lossless);
            let mut text = vec![b'z'; length];
            text.push(b'\n');
            for chunk in text.chunks(1000) {
                lines.push(Stream::Stdout, chunk);
            }
            lines.finish();
            let lengths = received(&mut from).into_iter().map(|piece| match piece {
                Piece::Line { bytes, .. } => bytes.len(),
                Piece::Gap { .. } => 0,
            });
            assert_eq!(lengths.collect::<Vec<_>>(), expected, "{length}");
        }
    }

    #[test]
    fn a_lossy_sink_tells_where_lines_are_missing() {
        let (mut lines, mut from) = sink(2, SinkMode::Lossy);
        lines.push(Stream::Stdout, b"1\n2\n3\n4\n5\n");
        assert_eq!(received(&mut from), ["1", "2"].map(|text| line(Stream::Stdout, text)));
        lines.push(Stream::Stdout, b"6\n7\n");
        assert_eq!(received(&mut from), [Piece::Gap { lines: 3 }, line(Stream::Stdout, "6")]);
        lines.finish();
        assert_eq!(received(&mut from), [Piece::Gap { lines: 1 }]);
    }

    #[test]
    fn the_tail_is_bounded_and_begins_with_a_whole_line() {
        let mut tail = Tail::default();
        for number in 0..1_000_000 {
            tail.push(format!("{number}\n").as_bytes());
            assert!(tail.bytes.len() <= TAIL);
        }
        let lines = tail.into_lines();
        assert!(lines.len() > 70_000);
        let first: usize = std::str::from_utf8(&lines[0]).unwrap().parse().unwrap();
        assert_eq!(first + lines.len(), 1_000_000);
        for (text, expected) in
            [("", vec![]), ("a", vec!["a"]), ("a\n\nb\n", vec!["a", "", "b"]), ("\n", vec![""])]
        {
            let tail = Tail { bytes: text.into(), cut: false };
            let expected: Vec<Vec<u8>> = expected.into_iter().map(Into::into).collect();
            assert_eq!(tail.into_lines(), expected, "{text:?}");
        }
    }
}
