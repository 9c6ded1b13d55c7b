//! What is declared about a process, by the keys it is written with (spec section 6).

use std::time::Duration;

use devtask::model::{Listen, ListenKind, Probe, ProbeKind, ProcessSpec, RestartOn};
use serde_json::{Map, Value, json};

/// As in a task file, with times in seconds and what is usual filled in.
pub(super) fn as_json(spec: &ProcessSpec) -> Value {
    let ports = spec.ports.iter().map(|(name, port)| (name.clone(), json!({ "allocate": port.allocate })));
    let watchdog = spec.watchdog.as_ref().map(
        |watchdog| json!({ "usec": micros(watchdog.interval), "require_ready": watchdog.require_ready }),
    );
    let on = match spec.restart.on {
        RestartOn::Never => "never",
        RestartOn::Always => "always",
        RestartOn::OnFailure => "on_failure",
    };
    let max = spec.restart.max.map_or(json!("unlimited"), Value::from);
    json!({
        "start": { "enable": spec.autostart },
        "ready": spec.ready.as_ref().map(ready),
        "restart": { "on": on, "max": max, "window": seconds(spec.restart.window) },
        "shutdown": { "signal": spec.shutdown.signal, "grace": spec.shutdown.grace.as_secs_f64() },
        "listen": spec.listen.iter().map(listen).collect::<Vec<_>>(),
        "watchdog": watchdog,
        "ports": ports.collect::<Map<_, _>>(),
    })
}

/// The same as lines of a task file; what is not declared and means nothing is left out.
pub(super) fn as_lines(spec: &ProcessSpec) -> Vec<String> {
    let mut lines = Vec::new();
    flatten("", &as_json(spec), &mut lines);
    lines
}

fn flatten(path: &str, value: &Value, lines: &mut Vec<String>) {
    match value {
        Value::Null => {}
        Value::Array(items) if items.is_empty() => {}
        Value::Object(fields) => {
            for (key, value) in fields {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                flatten(&path, value, lines);
            }
        }
        value => lines.push(format!("{path} = {value}")),
    }
}

fn ready(probe: &Probe) -> Value {
    let mut map = Map::new();
    let (key, what) = match &probe.kind {
        ProbeKind::Exec(script) => ("exec", json!(script.value)),
        ProbeKind::Http { host, port, path, scheme } => {
            ("http", json!({ "get": { "host": host, "port": port.value, "path": path, "scheme": scheme } }))
        }
        ProbeKind::Tcp { host, port } => ("tcp", json!(format!("{host}:{}", port.value))),
        ProbeKind::Notify => ("notify", json!(true)),
        ProbeKind::Log(pattern) => ("log", json!(pattern)),
    };
    map.insert(key.to_owned(), what);
    let timing = json!({
        "initial_delay": probe.initial_delay.as_secs_f64(),
        "period": probe.period.as_secs_f64(),
        "probe_timeout": probe.probe_timeout.as_secs_f64(),
        "timeout": seconds(probe.timeout),
        "success_threshold": probe.success_threshold,
        "failure_threshold": probe.failure_threshold,
    });
    map.extend(timing.as_object().cloned().unwrap_or_default());
    Value::Object(map)
}

fn listen(listen: &Listen) -> Value {
    match &listen.kind {
        ListenKind::Tcp { address } => {
            json!({ "name": listen.name, "kind": "tcp", "address": address.value })
        }
        ListenKind::UnixStream { path, mode } => json!({
            "name": listen.name,
            "kind": "unix_stream",
            "path": path.display().to_string(),
            "mode": mode,
        }),
    }
}

fn seconds(time: Option<Duration>) -> Option<f64> {
    time.map(|time| time.as_secs_f64())
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
