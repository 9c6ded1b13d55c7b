//! The status line of an HTTP answer (RFC 9112, section 4). What it says after that is of no account.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::phrase;

/// How much of an answer is read, in bytes.
const LONGEST: u64 = 16 * 1024;
/// The longest reason that is told, in characters.
const LONGEST_REASON: usize = 80;

const NO_HTTP: &str = "no HTTP answer";

/// What a server answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Status {
    code: u16,
    reason: String,
}

/// Reads up to the final status line, or to what cannot become one.
pub(super) async fn read(stream: impl AsyncRead + Unpin) -> Result<Status, String> {
    let mut stream = stream.take(LONGEST);
    let mut heard = Vec::new();
    loop {
        // At the bound it ends as if the server had said no more.
        let ended = match stream.read_buf(&mut heard).await {
            Ok(length) => length == 0,
            // Many servers end an encrypted connection without saying so.
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => true,
            Err(e) => return Err(phrase(&e)),
        };
        if let Some(status) = understand(&heard, ended)? {
            return Ok(status);
        }
    }
}

/// The final status in what was heard; none if that takes more.
pub(super) fn understand(mut heard: &[u8], ended: bool) -> Result<Option<Status>, String> {
    loop {
        let line = match heard.iter().position(|&byte| byte == b'\n') {
            Some(end) => &heard[..end],
            None if !ended => return may_be_status(heard).then_some(None).ok_or_else(|| NO_HTTP.to_owned()),
            None if heard.is_empty() => return Err("connection closed without an answer".to_owned()),
            None => heard,
        };
        let status = Status::parse(line).ok_or(NO_HTTP)?;
        if !status.is_interim() {
            return Ok(Some(status));
        }
        heard = match after_fields(heard) {
            Some(rest) => rest,
            None if ended => return Err("connection closed without an answer".to_owned()),
            None => return Ok(None),
        };
    }
}

/// Whether this can be the beginning of a status line.
fn may_be_status(beginning: &[u8]) -> bool {
    beginning.iter().zip(b"HTTP/").all(|(is, should)| is == should)
}

/// What follows the empty line that ends the fields of an interim answer.
fn after_fields(heard: &[u8]) -> Option<&[u8]> {
    let mut length = 0;
    for line in heard.split_inclusive(|&byte| byte == b'\n') {
        length += line.len();
        if line == b"\n" || line == b"\r\n" {
            return Some(&heard[length..]);
        }
    }
    None
}

impl Status {
    fn parse(line: &[u8]) -> Option<Self> {
        let line = String::from_utf8_lossy(line);
        let (version, rest) = line.trim_end().strip_prefix("HTTP/")?.split_once(' ')?;
        let is_version = |c: char| c.is_ascii_digit() || c == '.';
        let (code, reason) = rest.split_once(' ').unwrap_or((rest, ""));
        let is_code = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit());
        let code = code.parse().ok().filter(|code| is_code && *code >= 100)?;
        if version.is_empty() || !version.chars().all(is_version) {
            return None;
        }
        let reason = reason.chars().filter(|c| !c.is_control()).take(LONGEST_REASON).collect();
        Some(Self { code, reason })
    }

    /// Whether another answer follows. After 101 none does.
    fn is_interim(&self) -> bool {
        self.code < 200 && self.code != 101
    }

    /// Whether it is success.
    pub(super) fn judge(self) -> Result<(), String> {
        match self {
            Self { code: ..400, .. } => Ok(()),
            Self { code, reason } if reason.is_empty() => Err(format!("status {code}")),
            Self { code, reason } => Err(format!("{code} {reason}")),
        }
    }
}
