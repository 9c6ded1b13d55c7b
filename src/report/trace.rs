//! Trace events in JSON, as Chrome's tracing and Perfetto read them: one bar a task, one track a slot.

use std::io::Write as _;

use serde_json::{Value, json};

use super::{Bar, Report, Row, Say};

/// How it begins.
pub(super) const MARK: &str = "{\"otherData\":{\"generator\":\"devtask trace\"";
/// The process of the trace that stands for the slots, and the one that stands for the processes.
const TASKS: u32 = 1;
const PROCESSES: u32 = 2;
/// What is shorter cannot be seen, and nothing can be tied to it.
const SHORTEST_US: f64 = 1.0;

/// The run as trace events: an object with `traceEvents`, whose times are microseconds since the run began.
#[must_use]
pub fn trace(report: &Report, say: Say<'_>) -> String {
    let mut events = names(report);
    events.extend(report.rows.iter().filter_map(|row| Some(complete(row, row.bar?, say))));
    events.extend(flows(report));
    let mut text = Vec::new();
    // Memory takes whatever is written. One event a line, for who looks into the file.
    let _ = write!(text, "{{\"otherData\":{},\"displayTimeUnit\":\"ms\",\"traceEvents\":[", about(report));
    for (at, event) in events.iter().enumerate() {
        let _ = write!(text, "{}{event}", if at == 0 { "\n" } else { ",\n" });
    }
    text.extend_from_slice(b"\n]}\n");
    String::from_utf8_lossy(&text).into_owned()
}

fn about(report: &Report) -> Value {
    let remarks: Vec<String> = report.remarks.iter().map(|remark| remark.text()).collect();
    json!({
        "generator": "devtask trace",
        "run": report.run,
        "started": report.started.map(|time| humantime::format_rfc3339_millis(time).to_string()),
        "remarks": remarks.join(" "),
    })
}

/// What the tracks are called, in their order.
fn names(report: &Report) -> Vec<Value> {
    let process = |pid: u32, name: String| json!({"ph": "M", "name": "process_name", "pid": pid, "args": {"name": name}});
    let track = |pid: u32, lane: usize, name: &str| {
        let name = json!({"ph": "M", "name": "thread_name", "pid": pid, "tid": lane + 1, "args": {"name": format!("{name} {}", lane + 1)}});
        let order = json!({"ph": "M", "name": "thread_sort_index", "pid": pid, "tid": lane + 1, "args": {"sort_index": lane}});
        [name, order]
    };
    let mut events = vec![process(TASKS, format!("devtask run {}", report.run))];
    events.extend((0..report.slots).flat_map(|lane| track(TASKS, lane, "slot")));
    if report.process_lanes > 0 {
        events.push(process(PROCESSES, "processes".to_owned()));
    }
    events.extend((0..report.process_lanes).flat_map(|lane| track(PROCESSES, lane, "process")));
    events
}

const fn pid(row: &Row) -> u32 {
    if row.is_process { PROCESSES } else { TASKS }
}

fn micros(ms: f64) -> f64 {
    // Not finer than it was measured.
    (ms * 1_000_000.0).round() / 1000.0
}

fn complete(row: &Row, bar: Bar, say: Say<'_>) -> Value {
    let mut args = json!({
        "status": row.fate.label(),
        "reasons": row.reasons.iter().map(say).collect::<Vec<_>>(),
        "critical": row.is_critical,
        "waited_ms": row.waited_ms,
        "ready_ms": row.ready_ms,
        "exit_code": row.exit_code,
        "signal": row.signal,
        "error": row.error,
        "command": row.command,
        "restored_from": row.last.as_ref().map(|last| &last.run),
    });
    if let Some(args) = args.as_object_mut() {
        args.retain(|_, value| !value.is_null());
    }
    json!({
        "ph": "X",
        "name": row.name,
        "cat": row.fate.label(),
        "pid": pid(row),
        "tid": bar.lane + 1,
        "ts": micros(bar.begin_ms),
        "dur": micros(bar.length_ms()).max(SHORTEST_US),
        "args": args,
    })
}

/// Arrows from the end of a task to the begin of those downstream of it.
fn flows(report: &Report) -> Vec<Value> {
    let edges = report
        .rows
        .iter()
        .flat_map(|row| row.after.iter().map(move |upstream| (&report.rows[*upstream], row)));
    let drawn = edges.filter_map(|(upstream, row)| Some((upstream, upstream.bar?, row, row.bar?)));
    let arrows = drawn.enumerate().flat_map(|(id, (upstream, from, row, to))| {
        // It has to begin within its bar, and not after it ends.
        let leaves = from.end_ms.min(to.begin_ms).max(from.begin_ms);
        let leaves = (micros(leaves) - SHORTEST_US / 2.0).max(micros(from.begin_ms));
        let arrow = |ph: &str, row: &Row, bar: Bar, ts: f64| {
            json!({"ph": ph, "name": "after", "cat": "after", "id": id, "bp": "e", "pid": pid(row), "tid": bar.lane + 1, "ts": ts})
        };
        [arrow("s", upstream, from, leaves), arrow("f", row, to, micros(to.begin_ms))]
    });
    arrows.collect()
}
