use std::net::{IpAddr, Ipv4Addr};

use tokio::{
    io::{AsyncReadExt as _, DuplexStream, duplex},
    join,
    net::{TcpListener, TcpSocket},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig, SupportedProtocolVersion,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
        version::{TLS12, TLS13},
    },
};

use super::{answer::understand, *};

/// Made for this test: self-signed, for another host, and over since 2020.
const CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----
MIIBXTCCAQOgAwIBAgIBATAKBggqhkjOPQQDAjAZMRcwFQYDVQQDDA5lbHNld2hl
cmUudGVzdDAeFw0yMDAxMDEwMDAwMDBaFw0yMDAxMDIwMDAwMDBaMBkxFzAVBgNV
BAMMDmVsc2V3aGVyZS50ZXN0MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEE2zb
Nsn5ksEEW/SZit/PaEsNIw9anfBmNp5Z+VjjMg1QsNRoXNnoz/KaQhzyvXRsb4cD
lSFNuvWq7LV8g5ex2qM8MDowGQYDVR0RBBIwEIIOZWxzZXdoZXJlLnRlc3QwHQYD
VR0OBBYEFLr3oH6SqmMRbm0ImFWTEVbMF6QbMAoGCCqGSM49BAMCA0gAMEUCIC00
IlR3ugMg2WQC70eINinm+stC3uVFhRr3XgnHeSVdAiEA3HBkUOoIUGR1dyuHl0eq
Wo+2KhegKlg0+sDtnyhAFt0=
-----END CERTIFICATE-----
";
/// Its key, which opens nothing.
const KEY: &str = "\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgB+dfoKjlnD2L5oOT
QkOQHjIsT98k5GdwXlj2ekYZmt2hRANCAAQTbNs2yfmSwQRb9JmK389oSw0jD1qd
8GY2nln5WOMyDVCw1Ghc2ejP8ppCHPK9dGxvhwOVIU269arstXyDl7Ha
-----END PRIVATE KEY-----
";

fn question(host: &str, port: u16, path: &str, scheme: Scheme) -> HttpQuestion {
    HttpQuestion { host: host.to_owned(), port, path: path.to_owned(), scheme }
}

/// What an answer comes to that a server gives before it hangs up.
async fn judged(answer: &[u8]) -> Result<(), String> {
    let (ours, mut theirs) = duplex(64 * 1024);
    theirs.write_all(answer).await.unwrap();
    drop(theirs);
    ask(ours, "").await
}

#[tokio::test]
async fn a_status_below_400_is_success() {
    let silent = "connection closed without an answer";
    let cases: [(&[u8], Result<(), &str>); 27] = [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Ok(())),
        (b"HTTP/1.0 200 OK\n\n", Ok(())),
        (b"HTTP/1.1 204\r\n\r\n", Ok(())),
        (b"HTTP/1.1 301 Moved Permanently\r\nLocation: /else\r\n\r\n", Ok(())),
        (b"HTTP/1.1 399 \r\n\r\n", Ok(())),
        (b"HTTP/1.1 101 Switching Protocols\r\n", Ok(())),
        (b"HTTP/1.1 200 OK", Ok(())),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Err("400 Bad Request")),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", Err("503 Service Unavailable")),
        (b"HTTP/1.1 599\r\n\r\n", Err("status 599")),
        (b"HTTP/1.1 500 \x1b]0;x\x07 bad\xff\r\n", Err("500 ]0;x bad\u{fffd}")),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", Ok(())),
        (b"HTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 404 Not Found\r\n", Err("404 Not Found")),
        (b"HTTP/1.1 100 C\n\nHTTP/1.1 102 P\n\nHTTP/1.1 200 OK\n\n", Ok(())),
        (b"HTTP/1.1 100 Continue\r\n\r\n", Err(silent)),
        (b"HTTP/1.1 100 Continue\r\nX: y", Err(silent)),
        (b"HTTP/1.1 100 Continue\r\n\r\n200 OK\r\n", Err("no HTTP answer")),
        (b"", Err(silent)),
        (b"HTTP/1.1", Err("no HTTP answer")),
        (b"HTTP/1.1 20", Err("no HTTP answer")),
        (b"HTTP/1.1 2000 OK\r\n", Err("no HTTP answer")),
        (b"HTTP/1.1 +20 OK\r\n", Err("no HTTP answer")),
        (b"HTTP/1.1 099 OK\r\n", Err("no HTTP answer")),
        (b"HTTP/ 200 OK\r\n", Err("no HTTP answer")),
        (b"HTTP/x 200 OK\r\n", Err("no HTTP answer")),
        (b"SSH-2.0-Server\r\n", Err("no HTTP answer")),
        (b"\x15\x03\x03\x00\x02\x02\x46", Err("no HTTP answer")),
    ];
    for (answer, expected) in cases {
        let found = judged(answer).await;
        assert_eq!(found.as_ref().copied().map_err(String::as_str), expected, "{}", answer.escape_ascii());
    }
}

#[test]
fn an_answer_is_waited_for_only_while_it_can_become_one() {
    let answer = b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\nHTTP/1.1 200 OK\r\n";
    for length in 0..answer.len() {
        assert_eq!(understand(&answer[..length], false), Ok(None), "{length}");
    }
    assert!(understand(answer, false).unwrap().is_some());
    for other in ["h", "HTTQ", "\r", "220 mail"] {
        assert_eq!(understand(other.as_bytes(), false), Err("no HTTP answer".to_owned()), "{other}");
    }
}

#[tokio::test]
async fn a_server_that_never_comes_to_the_point_is_left() {
    let long_line = ("HTTP/1.1 500 ", "x".repeat(1000), format!("500 {}", "x".repeat(80)));
    let fields =
        ("HTTP/1.1 100 Wait\r\n", "X: y\r\n".repeat(100), "connection closed without an answer".to_owned());
    let interims = ("", "HTTP/1.1 100 Wait\r\n\r\n".repeat(100), "no HTTP answer".to_owned());
    for (begin, more, expected) in [long_line, fields, interims] {
        let (ours, mut theirs) = duplex(1024);
        let talk = async {
            theirs.write_all(begin.as_bytes()).await.unwrap();
            while theirs.write_all(more.as_bytes()).await.is_ok() {}
        };
        let (asked, ()) = join!(ask(ours, ""), talk);
        assert_eq!(asked, Err(expected), "{begin}");
    }
}

#[test]
fn a_request_says_what_was_asked_and_nothing_else() {
    let rest = "\r\nUser-Agent: devtask\r\nAccept: */*\r\nConnection: close\r\n\r\n";
    let cases = [
        ("127.0.0.1", 8080, "/", Scheme::Http, "/", "127.0.0.1:8080"),
        ("localhost", 80, "/a?b=c&d=%20", Scheme::Http, "/a?b=c&d=%20", "localhost"),
        ("localhost", 443, "", Scheme::Https, "/", "localhost"),
        ("localhost", 80, "a", Scheme::Https, "/a", "localhost:80"),
        ("localhost", 443, "?q", Scheme::Http, "/?q", "localhost:443"),
        ("::1", 1, "/", Scheme::Http, "/", "[::1]:1"),
        ("[::1]", 80, "/", Scheme::Http, "/", "[::1]"),
        ("fe80::1%eth0", 1, "/", Scheme::Http, "/", "[fe80::1]:1"),
        ("h", 80, "/x y\r\nEvil: 1\0\t", Scheme::Http, "/x%20y%0D%0AEvil:%201%00%09", "h"),
        ("h", 80, "/\u{fc}\u{2028}", Scheme::Http, "/%C3%BC%E2%80%A8", "h"),
        ("h", 80, "/a#b c", Scheme::Http, "/a", "h"),
        ("h", 80, "/\"<>\\^`{|}", Scheme::Http, "/%22%3C%3E%5C%5E%60%7B%7C%7D", "h"),
    ];
    for (host, port, path, scheme, target, header) in cases {
        let request = request(&question(host, port, path, scheme), bare(host).unwrap());
        assert_eq!(request, format!("GET {target} HTTP/1.1\r\nHost: {header}{rest}"), "{host} {path:?}");
    }
}

#[tokio::test]
async fn what_is_not_a_host_is_not_asked() {
    let cases = [
        "",
        " ",
        "a b",
        "a\r\nEvil: 1",
        "a\0",
        "h\u{f6}st",
        "a/b",
        "a@b",
        "a:80",
        "[a]",
        "[::1",
        "::1]",
        "[]",
        "[[::1]]",
        "::1%",
        "::1%a b",
        "::1%\n",
        "1.2.3.4%eth0",
        "[::1]:80",
        "a%20",
    ];
    for host in cases {
        let expected = Err(format!("\"{}\" is not a host", host.escape_debug()));
        assert_eq!(ask_tcp(host, 1).await, expected);
        assert_eq!(ask_http(&question(host, 1, "/", Scheme::Http)).await, expected);
    }
    // Longer than any name, so that nobody has to be asked for it.
    let missing = "x".repeat(300);
    assert_eq!(ask_tcp(&missing, 1).await, Err(format!("the host {missing} is not found")));
}

#[test]
fn schemes_have_names() {
    let named = ["http", "https", "HTTP", "ftp", ""].map(Scheme::named);
    assert_eq!(named, [Some(Scheme::Http), Some(Scheme::Https), None, None, None]);
}

/// A local port that nobody listens at, for as long as it is kept.
fn closed() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

async fn open() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[tokio::test]
async fn a_port_accepts_or_refuses() {
    let (_listener, there) = open().await;
    let (_socket, nowhere) = closed();
    assert_eq!(ask_tcp("127.0.0.1", there.port()).await, Ok(()));
    let refused = Err("connection refused".to_owned());
    assert_eq!(ask_tcp("127.0.0.1", nowhere.port()).await, refused);
    for scheme in [Scheme::Http, Scheme::Https] {
        assert_eq!(ask_http(&question("127.0.0.1", nowhere.port(), "/", scheme)).await, refused);
    }
}

#[tokio::test]
async fn every_address_of_a_host_is_tried_and_a_refusal_says_most() {
    let (_listener, there) = open().await;
    let (_socket, nowhere) = closed();
    // No system connects to this one: it is of a group.
    let strange = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(224, 0, 0, 1)), there.port());
    async fn at(list: &[SocketAddr]) -> Result<TcpStream, String> {
        connect_to_any(list.iter().copied()).await
    }
    assert!(at(&[nowhere, strange, there]).await.is_ok());
    assert!(at(&[there, nowhere]).await.is_ok());
    for list in [[nowhere, strange], [strange, nowhere]] {
        assert_eq!(at(&list).await.unwrap_err(), "connection refused", "{list:?}");
    }
    assert_ne!(at(&[strange]).await.unwrap_err(), "connection refused");
    assert_eq!(at(&[]).await.unwrap_err(), "the host has no address");
}

#[tokio::test]
async fn localhost_and_addresses_of_ipv6_are_asked() {
    let (_listener, there) = open().await;
    assert_eq!(ask_tcp("localhost", there.port()).await, Ok(()));
    // Not every machine has IPv6.
    let Ok(listener) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await else { return };
    let port = listener.local_addr().unwrap().port();
    for host in ["::1", "[::1]", "0:0:0:0:0:0:0:1"] {
        assert_eq!(ask_tcp(host, port).await, Ok(()), "{host}");
    }
}

/// That a system does this at all is not certain elsewhere.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_connection_to_itself_is_none() {
    let (socket, address) = closed();
    let stream = socket.connect(address).await.unwrap();
    assert!(is_itself(&stream));
    let (_listener, there) = open().await;
    assert!(!is_itself(&TcpStream::connect(there).await.unwrap()));
}

#[test]
fn errors_of_the_network_are_phrases() {
    let os = |number: rustix::io::Errno| io::Error::from_raw_os_error(number.raw_os_error());
    let cases = [
        (os(rustix::io::Errno::CONNREFUSED), "connection refused"),
        (os(rustix::io::Errno::MFILE), "too many open files"),
        (io::ErrorKind::ConnectionRefused.into(), "connection refused"),
        (io::Error::other("Bad (os error"), "bad"),
        (io::Error::other(""), ""),
    ];
    for (e, expected) in cases {
        assert_eq!(phrase(&e), expected);
    }
}

/// Reads a whole request.
async fn hear(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut heard = Vec::new();
    while !heard.ends_with(b"\r\n\r\n") {
        assert_ne!(stream.read_buf(&mut heard).await.unwrap(), 0, "{}", heard.escape_ascii());
    }
    String::from_utf8(heard).unwrap()
}

#[tokio::test]
async fn a_question_over_http_is_asked_and_answered() {
    let (listener, address) = open().await;
    let url = question("127.0.0.1", address.port(), "/health", Scheme::Http);
    let cases: [(&str, Result<(), &str>); 2] =
        [("HTTP/1.1 302 Found\r\n", Ok(())), ("HTTP/1.1 503 Not Yet\r\n", Err("503 Not Yet"))];
    for (answer, expected) in cases {
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let heard = hear(&mut stream).await;
            // It stays open: the status line alone is the answer.
            stream.write_all(answer.as_bytes()).await.unwrap();
            (heard, stream)
        };
        let (asked, (heard, _stream)) = join!(ask_http(&url), serve);
        assert_eq!(asked, expected.map_err(str::to_owned));
        assert!(heard.starts_with("GET /health HTTP/1.1\r\nHost: 127.0.0.1:"), "{heard}");
    }
}

fn acceptor(version: &'static SupportedProtocolVersion) -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(KEY.as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(ring::default_provider().into())
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    TlsAcceptor::from(std::sync::Arc::new(config))
}

#[tokio::test]
async fn a_question_over_https_needs_no_certificate_that_holds() {
    let cases: [(&str, Result<(), &str>); 3] = [
        ("HTTP/1.1 200 OK\r\n\r\n", Ok(())),
        ("HTTP/1.1 500 Broken\r\n\r\n", Err("500 Broken")),
        ("", Err("connection closed without an answer")),
    ];
    for version in [&TLS12, &TLS13] {
        let (listener, address) = open().await;
        // The name has to be found as well as the address.
        for (host, (answer, expected)) in ["127.0.0.1", "localhost", "localhost"].into_iter().zip(cases) {
            let url = question(host, address.port(), "/", Scheme::Https);
            let serve = async {
                let (stream, _) = listener.accept().await.unwrap();
                let mut stream = acceptor(version).accept(stream).await.unwrap();
                let heard = hear(&mut stream).await;
                stream.write_all(answer.as_bytes()).await.unwrap();
                stream.flush().await.unwrap();
                // Hangs up without the good-bye of TLS.
                heard
            };
            let (asked, heard) = join!(ask_http(&url), serve);
            assert_eq!(asked, expected.map_err(str::to_owned), "{version:?} {answer}");
            assert!(heard.starts_with("GET / HTTP/1.1\r\nHost: "), "{heard}");
        }
    }
}

#[tokio::test]
async fn a_server_without_tls_is_told_from_one_with() {
    for (answer, expected) in [("HTTP/1.1 400 Bad Request\r\n\r\n", "no TLS answer"), ("", "no TLS answer")] {
        let (listener, address) = open().await;
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            // The whole greeting is read, so that hanging up is no reset.
            let mut head = [0; 5];
            stream.read_exact(&mut head).await.unwrap();
            let mut greeting = vec![0; usize::from(u16::from_be_bytes([head[3], head[4]]))];
            stream.read_exact(&mut greeting).await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        };
        let url = question("127.0.0.1", address.port(), "/", Scheme::Https);
        let (asked, ()) = join!(ask_http(&url), serve);
        assert_eq!(asked, Err(expected.to_owned()));
    }
}

#[tokio::test]
async fn who_answers_before_reading_is_understood() {
    let (ours, mut theirs): (DuplexStream, DuplexStream) = duplex(64);
    theirs.write_all(b"HTTP/1.1 200 OK\r\n").await.unwrap();
    drop(theirs);
    assert_eq!(ask(ours, &"x".repeat(1000)).await, Ok(()));
}

#[tokio::test]
async fn a_server_can_say_the_rest_of_its_answer() {
    let (listener, address) = open().await;
    let url = question("127.0.0.1", address.port(), "/", Scheme::Http);
    let (to, asked) = tokio::sync::oneshot::channel();
    let serve = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        hear(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n").await.unwrap();
        asked.await.unwrap();
        // A connection that was closed in between refuses the second or third of these.
        for rest in [b"\r\n", b"we", b"ll"] {
            stream.write_all(rest).await.unwrap();
            stream.flush().await.unwrap();
            tokio::task::yield_now().await;
        }
        stream.shutdown().await.unwrap();
        assert_eq!(stream.read(&mut [0; 8]).await.unwrap(), 0, "nothing was reset");
    };
    let ask = async {
        assert_eq!(ask_http(&url).await, Ok(()));
        to.send(()).unwrap();
    };
    join!(serve, ask);
}
