//! What the tables of a process mean, with every default filled in, and the rules that hold for them
//! (spec section 6).

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use super::{
    decode::Spanned,
    interpolate::Kind,
    patterns,
    process::{
        HttpGet, Listen, PortEntry, ProcessFields, Ready, Restart, RestartOn, Scheme, Shutdown, SocketKind,
        Watchdog,
    },
    resolve::Resolver,
    types::{List, Seconds},
};
use crate::{
    diagnostic::Diagnostic,
    model::{
        self, LinePattern, ListenKind, Port, Probe, ProbeKind, ProcessSpec, Task, TaskKind, is_port_name,
        with_ports,
    },
};

fn or<T: Clone>(field: &Option<Spanned<T>>, default: T) -> T {
    field.as_ref().map_or(default, |f| f.value.clone())
}

fn seconds(field: &Option<Spanned<Seconds>>, default: u64) -> Duration {
    field.as_ref().map_or(Duration::from_secs(default), |f| f.value.0)
}

/// A length of time that must be longer than nothing. In the files of others nothing means the default.
fn some_time(
    field: &Option<Spanned<Seconds>>,
    name: &str,
    default: Option<u64>,
    resolver: &mut Resolver<'_>,
) -> Option<Duration> {
    let zero = field.as_ref().filter(|f| f.value.0.is_zero());
    if let Some(zero) = zero.filter(|_| resolver.is_ours()) {
        let message = format!("`{name}` must be longer than nothing");
        resolver.fault("bad-duration", &zero.span, message, "leave it out for the default");
    }
    let given = field.as_ref().map(|f| f.value.0).filter(|time| !time.is_zero());
    given.or(default.map(Duration::from_secs))
}

/// A number of probes. In the files of others none means one.
fn threshold(field: &Option<Spanned<u32>>, name: &str, default: u32, resolver: &mut Resolver<'_>) -> u32 {
    if let Some(zero) = field.as_ref().filter(|f| f.value == 0 && resolver.is_ours()) {
        let message = format!("`{name}` must be at least 1");
        resolver.fault("bad-value", &zero.span, message, "leave it out for the default");
    }
    or(field, default).max(1)
}

/// The table at a field, or its defaults.
fn table<T: Default + Clone>(field: &Option<Spanned<T>>) -> T {
    or(field, T::default())
}

/// Time between probes until it is ready, if nobody said: somebody is waiting.
const UNTIL_READY: Duration = Duration::from_millis(100);

/// Makes a task the process these fields declare.
pub(super) fn fill(task: &mut Task, fields: &ProcessFields, resolver: &mut Resolver<'_>) {
    task.exec_if_modified = table(&fields.watch).patterns(task, resolver);
    task.kind = TaskKind::Process(Box::new(fields.spec(resolver)));
}

impl ProcessFields {
    /// The declaration these fields make, with every default filled in.
    fn spec(&self, resolver: &mut Resolver<'_>) -> ProcessSpec {
        let (listen, ports) = (table(&self.listen), table(&self.ports));
        unique_names(&listen, resolver);
        ProcessSpec {
            autostart: or(&table(&self.start).enable, true),
            ready: self.ready.as_ref().and_then(|ready| probe(&ready.value.0, resolver)),
            restart: table(&self.restart).policy(),
            shutdown: table(&self.shutdown).policy(),
            listen: listen.0.iter().filter_map(|l| socket(l, resolver)).collect(),
            watchdog: self.watchdog.as_ref().and_then(|w| watchdog(&w.value, resolver)),
            ports: ports.0.iter().map(|(name, entry)| port(name, &entry.value, resolver)).collect(),
        }
    }
}

fn probe(table: &Ready, resolver: &mut Resolver<'_>) -> Option<Probe> {
    Some(Probe {
        kind: probe_kind(table, resolver)?,
        initial_delay: seconds(&table.initial_delay, 0),
        until_ready: table.period.as_ref().map_or(UNTIL_READY, |period| period.value.0),
        period: some_time(&table.period, "period", Some(10), resolver)?,
        probe_timeout: some_time(&table.probe_timeout, "probe_timeout", Some(1), resolver)?,
        timeout: some_time(&table.timeout, "timeout", None, resolver),
        success_threshold: threshold(&table.success_threshold, "success_threshold", 1, resolver),
        failure_threshold: threshold(&table.failure_threshold, "failure_threshold", 3, resolver),
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
        let mut text =
            |text: &String| resolver.process_text(&Spanned { value: text.clone(), span: tcp.span.clone() });
        Some(ProbeKind::Tcp { host: text(&tcp.value.host).value, port: text(&tcp.value.port) })
    } else if table.notify.as_ref().is_some_and(|n| n.value) {
        Some(ProbeKind::Notify)
    } else {
        table.log.as_ref().map(|log| log_probe(log, resolver))
    }
}

/// Only ports are substituted in an expression, whose `$` is its own.
fn log_probe(log: &Spanned<String>, resolver: &mut Resolver<'_>) -> ProbeKind {
    resolver.note_ports(&log.value, &log.span, Kind::Process);
    let text =
        if resolver.is_ours() { with_ports(&log.value, |_| Some(u16::MAX)) } else { (&log.value).into() };
    if let Err(fault) = LinePattern::new(&text) {
        let message = format!("`{}` is no regular expression: {fault}", log.value);
        let part = (text == log.value).then_some(fault.span);
        let hint = "put `\\` before a character that means itself";
        resolver.fault("bad-pattern", &patterns::within(log, part), message, hint);
    } else if text.is_empty() {
        resolver.fault("bad-value", &log.span, "an empty pattern is in every line", "write `.` for any text");
    }
    ProbeKind::Log(log.value.clone())
}

fn http_probe(get: &Spanned<HttpGet>, resolver: &mut Resolver<'_>) -> Option<ProbeKind> {
    let table = &get.value;
    let port = table.port.as_ref()?;
    let scheme = match or(&table.scheme, Scheme::Http) {
        Scheme::Http => "http",
        Scheme::Https => "https",
    };
    Some(ProbeKind::Http {
        host: table.host.as_ref().map_or_else(|| "127.0.0.1".to_owned(), |h| resolver.process_text(h).value),
        port: resolver.process_text(&Spanned { value: port.value.0.clone(), span: port.span.clone() }),
        path: table.path.as_ref().map_or_else(|| "/".to_owned(), |p| resolver.process_text(p).value),
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
        let max = self.max.as_ref().map_or(model::Restart::default().max, |m| m.value.0);
        model::Restart { on, max, window: self.window.as_ref().map(|w| w.value.0) }
    }
}

impl Shutdown {
    fn policy(&self) -> model::Shutdown {
        let usual = model::Shutdown::default();
        model::Shutdown {
            signal: self.signal.as_ref().map_or(usual.signal, |signal| signal.value.0),
            grace: self.grace.as_ref().map_or(usual.grace, |grace| grace.value.0),
        }
    }
}

/// In the files of others a watchdog that never waits is none, as for systemd.
fn watchdog(table: &Watchdog, resolver: &mut Resolver<'_>) -> Option<model::Watchdog> {
    let usec = table.usec.as_ref()?;
    if usec.value == 0 {
        if resolver.is_ours() {
            resolver.fault(
                "bad-value",
                &usec.span,
                "`usec` must be at least 1",
                "leave `watchdog` out for none",
            );
        }
        return None;
    }
    let interval = Duration::from_micros(usec.value);
    Some(model::Watchdog { interval, require_ready: or(&table.require_ready, true) })
}

fn port(name: &Spanned<String>, entry: &PortEntry, resolver: &mut Resolver<'_>) -> (String, Port) {
    if !is_port_name(&name.value) && resolver.is_ours() {
        let message = format!("`{}` is no name of a port", name.value);
        resolver.fault("bad-name", &name.span, message, "names have ASCII letters, digits, `-` and `_`");
    }
    // Without a number it is at fault already.
    (name.value.clone(), Port { allocate: entry.0.unwrap_or_default() })
}

/// Names of sockets stand in one variable with colons between them, and say which is which.
fn unique_names(list: &List<Listen>, resolver: &mut Resolver<'_>) {
    let mut seen: BTreeMap<&str, &Spanned<String>> = BTreeMap::new();
    for name in list.0.iter().filter_map(|listen| listen.value.name.as_ref()) {
        let text = name.value.as_str();
        if text.is_empty() || text.contains(|c: char| c == ':' || c.is_control()) {
            let message = format!("`{}` is no name of a socket", text.escape_debug());
            let hint = "a name is not empty and has neither colons nor control characters";
            resolver.fault("bad-name", &name.span, message, hint);
        } else if let Some(first) = seen.insert(text, name) {
            let fault = Diagnostic::error("duplicate-socket", format!("two sockets are called `{text}`"))
                .at(Some(&resolver.place(&name.span)), "this one")
                .at(Some(&resolver.place(&first.span)), "and this one")
                .hint("rename one of the two");
            resolver.faults.push(fault);
        }
    }
}

fn socket(listen: &Spanned<Listen>, resolver: &mut Resolver<'_>) -> Option<model::Listen> {
    let table = &listen.value;
    let name = table.name.as_ref()?.value.clone();
    let kind = match table.kind.as_ref()?.value {
        SocketKind::Tcp => {
            let text =
                table.address.as_ref().map(|a| Spanned { value: a.value.0.clone(), span: a.span.clone() });
            text.map(|text| ListenKind::Tcp { address: resolver.process_text(&text) })
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
