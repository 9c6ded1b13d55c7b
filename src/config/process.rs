//! The tables of a process (spec section 6), and what becomes of them.

use std::{borrow::Cow, path::PathBuf, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::{
    decode::{Decode, Decoder, Spanned},
    resolve::Resolver,
    table::table,
    types::{Dict, FileMode, Limit, List, PortText, Seconds, SignalNumber, TcpTarget, inline_schema, words},
    value::{Data, Node},
};
use crate::model::{self, ListenKind, Port, Probe, ProbeKind, ProcessSpec, WatchFiles};

table! {
    /// A long-running process.
    struct ProcessFields called "a process" {
        /// Whether it is started by `up`.
        "start" => start: Start;
        /// How it is known to be ready, and alive afterwards.
        "ready" => ready: OneProbe;
        /// When it is restarted.
        "restart" => restart: Restart;
        /// How it is stopped.
        "shutdown" => shutdown: Shutdown;
        /// Files whose change restarts it.
        "watch" => watch: Watch;
        /// Sockets that are opened for it (socket activation).
        "listen" => listen: List<Listen>;
        /// The watchdog it has to feed.
        "watchdog" => watchdog: Watchdog;
        /// Ports allocated for it, by name.
        "ports" => ports: Dict<PortEntry>;
    }
}

table! {
    /// Whether it is started by `up`.
    struct Start called "`start`" {
        /// Whether `up` without names starts it. Default: true.
        "enable" => enable: bool;
    }
}

table! {
    /// How it is known to be ready: one of `exec`, `http`, `tcp`, `notify` and `log`.
    struct Ready called "`ready`" {
        /// A shell command that exits with 0.
        "exec" => exec: String;
        /// An HTTP request that is answered with success.
        "http" => http: Http;
        /// A port, or `host:port`, that accepts a connection.
        "tcp" => tcp: TcpTarget;
        /// Whether it says `READY=1` on `$NOTIFY_SOCKET`.
        "notify" => notify: bool;
        /// A pattern that a line of its output matches.
        "log" => log: String;
        /// Seconds before the first probe. Default: 0.
        "initial_delay" => initial_delay: Seconds;
        /// Seconds between probes. Default: 10.
        "period" => period: Seconds;
        /// Seconds one probe may take. Default: 1.
        "probe_timeout" => probe_timeout: Seconds;
        /// Seconds until it must have become ready. Default: for ever.
        "timeout" => timeout: Seconds;
        /// Successes in a row that make it ready. Default: 1.
        "success_threshold" => success_threshold: u32;
        /// Failures in a row that make it unhealthy. Default: 3.
        "failure_threshold" => failure_threshold: u32;
    }
}

/// A `ready` that asks exactly one thing.
#[derive(Clone, Debug)]
pub(super) struct OneProbe(Ready);

inline_schema!([] OneProbe, |generator| generator.subschema_for::<Ready>());

impl Decode for OneProbe {
    const EXPECTED: &'static str = "a table";

    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        let ready = Ready::decode(node, decoder)?;
        let Data::Table(entries) = &node.data else { return None };
        let probes = ["exec", "http", "tcp", "notify", "log"];
        // Judged by what is written: a probe at fault is not a missing one.
        let asked = entries
            .iter()
            .filter(|e| probes.contains(&e.key.as_str()) && e.value.data != Data::Bool(false))
            .count();
        if asked != 1 && !decoder.lenient {
            let why = if asked == 0 { "does not say what to ask" } else { "asks several things" };
            decoder.bad_value(node, why, "one of `exec`, `http`, `tcp`, `notify` and `log`");
        }
        Some(Self(ready))
    }
}

table! {
    /// An HTTP probe.
    struct Http called "`http`" {
        /// A GET request.
        "get" => get: HttpGet, required;
    }
}

table! {
    /// A GET request.
    struct HttpGet called "`get`" {
        /// The host. Default: 127.0.0.1.
        "host" => host: String;
        /// The port.
        "port" => port: PortText, required;
        /// The path. Default: `/`.
        "path" => path: String;
        /// The scheme. Default: `http`.
        "scheme" => scheme: Scheme;
    }
}

words! {
    /// The scheme of a probe.
    pub(super) enum Scheme {
        /// Plain.
        Http = "http",
        /// Encrypted.
        Https = "https",
    }
}

table! {
    /// When it is restarted.
    struct Restart called "`restart`" {
        /// After which exits.
        "on" => on: RestartOn;
        /// How often at most; null or `unlimited`: without limit. Default: 5.
        "max" => max: Limit;
        /// Seconds of the sliding window in which restarts are counted. Default: its whole life.
        "window" => window: Seconds;
    }
}

words! {
    /// After which exits it is restarted.
    pub(super) enum RestartOn {
        /// After none.
        Never = "never",
        /// After every exit.
        Always = "always",
        /// After an exit other than 0; the default.
        OnFailure = "on_failure",
    }
}

table! {
    /// How it is stopped.
    struct Shutdown called "`shutdown`" {
        /// The signal that is sent first, by number or name. Default: 15.
        "signal" => signal: SignalNumber;
        /// Seconds until SIGKILL. Default: 5.
        "grace" => grace: Seconds;
    }
}

table! {
    /// Files whose change restarts it.
    struct Watch called "`watch`" {
        /// Files and directories.
        "paths" => paths: List<String>;
        /// Extensions that count, without the dot. Default: all.
        "extensions" => extensions: List<String>;
        /// Globs that do not count.
        "ignore" => ignore: List<String>;
    }
}

table! {
    /// A socket that is opened before it starts.
    struct Listen called "an entry of `listen`" {
        /// Its name in `$LISTEN_FDNAMES`.
        "name" => name: String, required;
        /// Its kind.
        "kind" => kind: SocketKind, required;
        /// The address of a `tcp` socket: `host:port`.
        "address" => address: String;
        /// The path of a `unix_stream` socket.
        "path" => path: String;
        /// The permission bits of a `unix_stream` socket.
        "mode" => mode: FileMode;
    }
}

words! {
    /// The kind of a socket.
    pub(super) enum SocketKind {
        /// TCP.
        Tcp = "tcp",
        /// A unix stream socket.
        UnixStream = "unix_stream",
    }
}

table! {
    /// A watchdog.
    struct Watchdog called "`watchdog`" {
        /// The longest silence, in microseconds.
        "usec" => usec: u64, required;
        /// Whether it is armed only once the process is ready. Default: true.
        "require_ready" => require_ready: bool;
    }
}

table! {
    /// A port.
    struct PortTable called "a port" {
        /// The port tried first; if it is taken, the next free one.
        "allocate" => allocate: u16, required;
    }
}

/// A port: a table, or in the lists of devenv the port it has allocated already.
#[derive(Clone, Debug, Default)]
pub(super) struct PortEntry(Option<u16>);

inline_schema!([] PortEntry, |generator| generator.subschema_for::<PortTable>());

impl Decode for PortEntry {
    const EXPECTED: &'static str = "a table such as `{ allocate = 8080 }`";

    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        match node.data {
            Data::Integer(_) if decoder.lenient => u16::decode(node, decoder).map(|p| Self(Some(p))),
            Data::Table(_) => PortTable::decode(node, decoder).map(|t| Self(t.allocate.map(|p| p.value))),
            _ => decoder.wrong_type(node),
        }
    }
}

fn or<T: Clone>(field: &Option<Spanned<T>>, default: T) -> T {
    field.as_ref().map_or(default, |f| f.value.clone())
}

fn seconds(field: &Option<Spanned<Seconds>>, default: u64) -> Duration {
    field.as_ref().map_or(Duration::from_secs(default), |f| f.value.0)
}

/// The table at a field, or its defaults.
fn table<T: Default + Clone>(field: &Option<Spanned<T>>) -> T {
    or(field, T::default())
}

impl ProcessFields {
    /// The declaration these fields make, with every default filled in.
    pub(super) fn spec(&self, resolver: &mut Resolver<'_>) -> ProcessSpec {
        ProcessSpec {
            autostart: or(&table(&self.start).enable, true),
            ready: self.ready.as_ref().and_then(|ready| probe(&ready.value.0, resolver)),
            restart: table(&self.restart).policy(),
            shutdown: table(&self.shutdown).policy(),
            watch: table(&self.watch).files(resolver),
            listen: table(&self.listen).0.iter().filter_map(|l| socket(l, resolver)).collect(),
            watchdog: self.watchdog.as_ref().and_then(|w| watchdog(&w.value)),
            ports: table(&self.ports)
                .0
                .into_iter()
                .filter_map(|(name, port)| Some((name.value, Port { allocate: port.value.0? })))
                .collect(),
        }
    }
}

fn probe(table: &Ready, resolver: &mut Resolver<'_>) -> Option<Probe> {
    Some(Probe {
        kind: probe_kind(table, resolver)?,
        initial_delay: seconds(&table.initial_delay, 0),
        period: seconds(&table.period, 10),
        probe_timeout: seconds(&table.probe_timeout, 1),
        timeout: table.timeout.as_ref().map(|t| t.value.0),
        success_threshold: or(&table.success_threshold, 1).max(1),
        failure_threshold: or(&table.failure_threshold, 3).max(1),
    })
}

/// What is asked; the first of several in the lists of devenv.
fn probe_kind(table: &Ready, resolver: &mut Resolver<'_>) -> Option<ProbeKind> {
    let get = table.http.as_ref().and_then(|http| http.value.get.as_ref());
    if let Some(exec) = &table.exec {
        Some(ProbeKind::Exec(resolver.process_text(exec)))
    } else if let Some(get) = get {
        http_probe(get, resolver)
    } else if let Some(tcp) = &table.tcp {
        let port = Spanned { value: tcp.value.port.clone(), span: tcp.span.clone() };
        Some(ProbeKind::Tcp { host: tcp.value.host.clone(), port: resolver.process_text(&port) })
    } else if table.notify.as_ref().is_some_and(|n| n.value) {
        Some(ProbeKind::Notify)
    } else {
        table.log.as_ref().map(|log| ProbeKind::Log(log.value.clone()))
    }
}

fn http_probe(get: &Spanned<HttpGet>, resolver: &mut Resolver<'_>) -> Option<ProbeKind> {
    let table = &get.value;
    let port = table.port.as_ref()?;
    let scheme = match or(&table.scheme, Scheme::Http) {
        Scheme::Http => "http",
        Scheme::Https => "https",
    };
    Some(ProbeKind::Http {
        host: or(&table.host, "127.0.0.1".to_owned()),
        port: resolver.process_text(&Spanned { value: port.value.0.clone(), span: port.span.clone() }),
        path: or(&table.path, "/".to_owned()),
        scheme: scheme.to_owned(),
    })
}

impl Restart {
    fn policy(&self) -> model::Restart {
        let on = match or(&self.on, RestartOn::OnFailure) {
            RestartOn::Never => model::RestartOn::Never,
            RestartOn::Always => model::RestartOn::Always,
            RestartOn::OnFailure => model::RestartOn::OnFailure,
        };
        let max = self.max.as_ref().map_or(Some(5), |m| m.value.0);
        model::Restart { on, max, window: self.window.as_ref().map(|w| w.value.0) }
    }
}

impl Shutdown {
    fn policy(&self) -> model::Shutdown {
        let signal = self.signal.as_ref().map_or(rustix::process::Signal::TERM.as_raw(), |s| s.value.0);
        model::Shutdown { signal, grace: seconds(&self.grace, 5) }
    }
}

impl Watch {
    fn files(&self, resolver: &mut Resolver<'_>) -> WatchFiles {
        let plain = |list: &Option<Spanned<List<String>>>| -> Vec<String> {
            table(list).0.into_iter().map(|s| s.value).collect()
        };
        WatchFiles {
            paths: table(&self.paths).0.iter().map(|p| resolver.process_text(p)).collect(),
            extensions: plain(&self.extensions),
            ignore: plain(&self.ignore),
        }
    }
}

fn watchdog(table: &Watchdog) -> Option<model::Watchdog> {
    let interval = Duration::from_micros(table.usec.as_ref()?.value);
    Some(model::Watchdog { interval, require_ready: or(&table.require_ready, true) })
}

fn socket(listen: &Spanned<Listen>, resolver: &mut Resolver<'_>) -> Option<model::Listen> {
    let table = &listen.value;
    let name = table.name.as_ref()?.value.clone();
    let kind = match table.kind.as_ref()?.value {
        SocketKind::Tcp => {
            table.address.as_ref().map(|a| ListenKind::Tcp { address: resolver.process_text(a) })
        }
        SocketKind::UnixStream => table.path.as_ref().map(|path| ListenKind::UnixStream {
            path: PathBuf::from(resolver.process_text(path).value),
            mode: table.mode.as_ref().map(|m| m.value.0),
        }),
    };
    if kind.is_none() {
        let message = "a socket needs the place it is bound to";
        resolver.fault("missing-key", &listen.span, message, "`address` for tcp, `path` for unix_stream");
    }
    Some(model::Listen { name, kind: kind? })
}
