//! The tables of a process (spec section 6). What becomes of them stands in `spec`.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::{
    address::{Address, PortText, TcpTarget},
    decode::{Decode, Decoder},
    table::table,
    types::{Dict, FileMode, Limit, List, Seconds, SignalNumber, inline_schema, words},
    value::{Data, Node},
    watch::Watch,
};

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
        /// Files whose change restarts it, relative to `cwd`.
        "watch" => watch: Watch;
        /// Sockets that are opened for it (socket activation).
        "listen" => listen: List<Listen>;
        /// The watchdog it has to feed.
        "watchdog" => watchdog: Watchdog;
        /// Ports allocated for it, by name: letters, digits, `-` and `_`.
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
        /// A regular expression that is searched for in each line of its output. It may refer to ports.
        "log" => log: String;
        /// Seconds before the first probe. Default: 0.
        "initial_delay" => initial_delay: Seconds;
        /// Seconds between probes, more than 0. Default: 0.1 until it is ready, 10 afterwards.
        "period" => period: Seconds;
        /// Seconds one probe may take, more than 0. Default: 1.
        "probe_timeout" => probe_timeout: Seconds;
        /// Seconds until it must have become ready, more than 0. Default: for ever.
        "timeout" => timeout: Seconds;
        /// Successes in a row that make it ready: at least 1. Default: 1.
        "success_threshold" => success_threshold: u32;
        /// Failures in a row that make it unhealthy: at least 1. Default: 3.
        "failure_threshold" => failure_threshold: u32;
    }
}

/// A `ready` that asks exactly one thing.
#[derive(Clone, Debug)]
pub(super) struct OneProbe(pub Ready);

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
    /// A socket that is opened before it starts.
    struct Listen called "an entry of `listen`" {
        /// Its name in `$LISTEN_FDNAMES`: without colons, and no other of the process is called so.
        "name" => name: String, required;
        /// Its kind.
        "kind" => kind: SocketKind, required;
        /// The address of a `tcp` socket: `host:port`, an IPv6 host in brackets.
        "address" => address: Address;
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
        /// The longest silence, in microseconds: at least 1.
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
pub(super) struct PortEntry(pub Option<u16>);

inline_schema!([] PortEntry, |generator| generator.subschema_for::<PortTable>());

impl Decode for PortEntry {
    const EXPECTED: &'static str = "a table such as `{ allocate = 8080 }`";

    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        let number = match node.data {
            Data::Integer(_) if decoder.lenient => u16::decode(node, decoder),
            Data::Table(_) => PortTable::decode(node, decoder).and_then(|t| t.allocate.map(|p| p.value)),
            _ => decoder.wrong_type::<Self>(node).and_then(|port| port.0),
        };
        // One at fault is still declared, so that what refers to it is none.
        Some(Self(number))
    }
}
