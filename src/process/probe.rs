//! Questions to a process over the network: does it accept a connection, does it answer HTTP (spec section 6).
//!
//! None has a time limit: who asks drops the question when the time is over. What is read of an answer is bounded; the
//! status decides, and the rest is heard out by the way.
//! Errors are short phrases for people, without a full stop.

mod answer;
#[cfg(test)]
mod tests;
mod tls;

use std::{
    fmt::Write as _,
    io,
    net::{Ipv6Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy, sink},
    net::{TcpStream, lookup_host},
    time::timeout,
};

/// How much of an answer is heard after its status, in bytes.
const REST: u64 = 1024 * 1024;
/// And for how long: some answers never end.
const REST_TIME: Duration = Duration::from_secs(30);

/// How an HTTP question is carried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Plain.
    Http,
    /// Encrypted, and nothing more: certificates are not verified, see [`ask_http`].
    Https,
}

impl Scheme {
    /// The scheme of this name: `http` or `https`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "http" => Some(Self::Http),
            "https" => Some(Self::Https),
            _ => None,
        }
    }

    /// The port that a Host header leaves out.
    const fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// What [`ask_http`] asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpQuestion {
    /// A name, an IPv4 address, or an IPv6 address with or without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The path, and after a `?` the query. What may not be in a request is percent-encoded, a fragment is
    /// left out, a `/` at the beginning is added where there is none.
    pub path: String,
    /// How it is carried.
    pub scheme: Scheme,
}

/// Whether one TCP connection is accepted. The host is a name (each of its addresses is tried), an IPv4 address, or an
/// IPv6 address with or without brackets. Within a tokio runtime with I/O.
///
/// # Errors
/// One short phrase: `connection refused`.
pub async fn ask_tcp(host: &str, port: u16) -> Result<(), String> {
    connect(bare(host)?, port).await.map(drop)
}

/// Whether an HTTP GET is answered with a status below 400; a redirection is an answer, and is not followed. Within a
/// tokio runtime with I/O.
///
/// With [`Scheme::Https`], certificates are not verified: the question is whether the server answers, and in
/// development they are self-signed. Nothing secret is sent.
///
/// # Errors
/// One short phrase says what came instead: `503 Service Unavailable`, `connection refused`, `no HTTP answer`.
pub async fn ask_http(url: &HttpQuestion) -> Result<(), String> {
    let host = bare(&url.host)?;
    let request = request(url, host);
    let stream = connect(host, url.port).await?;
    match url.scheme {
        Scheme::Http => ask(stream, &request).await,
        Scheme::Https => ask(tls::encrypt(stream, host).await?, &request).await,
    }
}

async fn ask(
    mut stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: &str,
) -> Result<(), String> {
    // A server may answer and close before it has read the question. Where there is really no connection
    // any more, reading says so.
    if stream.write_all(request.as_bytes()).await.is_ok() {
        let _ = stream.flush().await;
    }
    let status = answer::read(&mut stream).await?;
    hear_out(stream);
    status.judge()
}

/// A server whose answer is not heard to the end fails at it, and says so in its log.
fn hear_out(stream: impl AsyncRead + Unpin + Send + 'static) {
    tokio::spawn(async move {
        // Whatever comes of it: it has answered.
        let _ = timeout(REST_TIME, copy(&mut stream.take(REST), &mut sink())).await;
    });
}

/// A host without brackets, if it is one. It goes into a header line, so it must be nothing else.
fn bare(host: &str) -> Result<&str, String> {
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_word = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b))
    };
    let is_v6 = |text: &str| match text.split_once('%') {
        Some((address, zone)) => address.parse::<Ipv6Addr>().is_ok() && is_word(zone),
        None => text.parse::<Ipv6Addr>().is_ok(),
    };
    match bracketed {
        Some(address) if is_v6(address) => Ok(address),
        None if is_v6(host) || is_word(host) => Ok(host),
        _ => Err(format!("\"{}\" is not a host", host.escape_debug())),
    }
}

/// The whole request, for a host as [`bare`] has it.
fn request(url: &HttpQuestion, host: &str) -> String {
    let host = match host.split('%').next() {
        // A zone means something on this machine only, and is not told (RFC 6874, section 4).
        Some(address) if host.contains(':') => format!("[{address}]"),
        _ => host.to_owned(),
    };
    let port = if url.port == url.scheme.port() { String::new() } else { format!(":{}", url.port) };
    let target = target(&url.path);
    format!(
        "GET {target} HTTP/1.1\r\nHost: {host}{port}\r\nUser-Agent: devtask\r\nAccept: */*\r\n\
         Connection: close\r\n\r\n"
    )
}

/// A path as it can stand in a request line: nothing in it ends the line or the word (RFC 3986, section 2).
fn target(path: &str) -> String {
    let path = path.split('#').next().unwrap_or_default();
    let mut target = String::with_capacity(path.len() + 1);
    if !path.starts_with('/') {
        target.push('/');
    }
    for byte in path.bytes() {
        if byte.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&byte) {
            target.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(target, "%{byte:02X}");
        }
    }
    target
}

async fn connect(host: &str, port: u16) -> Result<TcpStream, String> {
    let addresses = lookup_host((host, port)).await.map_err(|_| format!("the host {host} is not found"))?;
    connect_to_any(addresses).await
}

/// A connection to the first address that accepts one.
async fn connect_to_any(addresses: impl Iterator<Item = SocketAddr>) -> Result<TcpStream, String> {
    let mut fault = None;
    for address in addresses {
        let e = match TcpStream::connect(address).await {
            Ok(stream) if !is_itself(&stream) => return Ok(stream),
            Ok(stream) => {
                // Closed without a trace, for the port would else stay taken for a minute.
                let _ = stream.set_zero_linger();
                io::ErrorKind::ConnectionRefused.into()
            }
            Err(e) => e,
        };
        // A refusal tells of the process, everything else of the network (such as that it has no IPv6).
        if fault.as_ref().is_none_or(|before: &io::Error| before.kind() != io::ErrorKind::ConnectionRefused) {
            fault = Some(e);
        }
    }
    Err(fault.map_or_else(|| "the host has no address".to_owned(), |e| phrase(&e)))
}

/// Whether a connection leads to its own beginning. When nobody listens on a local port, the system may choose just
/// that one for our end, and connects it to itself.
fn is_itself(stream: &TcpStream) -> bool {
    matches!((stream.local_addr(), stream.peer_addr()), (Ok(ours), Ok(theirs)) if ours == theirs)
}

/// An error of the network as a phrase: as the system says it, without its number.
fn phrase(e: &io::Error) -> String {
    let text = if e.get_ref().is_some() || e.raw_os_error().is_some() {
        e.to_string()
    } else {
        e.kind().to_string()
    };
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut rest = text.chars();
    rest.next().map_or_else(String::new, |first| first.to_lowercase().chain(rest).collect())
}
