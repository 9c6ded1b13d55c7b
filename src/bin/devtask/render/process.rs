//! How processes are shown: a table, lines as they come to other stages.

use std::time::{SystemTime, UNIX_EPOCH};

use devtask::{
    event::ProcessStatus,
    model::{PROCESSES, Stage, TaskName},
};

use super::{
    lines::Style,
    text::{count, duration, shown},
};

/// What a person calls a process: its name without what all of them have in common.
pub(crate) fn short_name(task: &str) -> &str {
    task.strip_prefix(PROCESSES).and_then(|rest| rest.strip_prefix(':')).unwrap_or(task)
}

pub(crate) fn is_process(task: &TaskName) -> bool {
    short_name(task.as_str()).len() < task.as_str().len()
}

/// The colour a process has among others: always the same for the same name.
pub(crate) fn color(task: &TaskName) -> &'static str {
    const COLORS: [&str; 6] = ["36", "35", "34", "32", "33", "96"];
    let sum = short_name(task.as_str())
        .bytes()
        .fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
    COLORS[sum % COLORS.len()]
}

/// What is said when a process has come to another stage; none if nobody wants to know.
pub(crate) fn change(before: Option<&ProcessStatus>, now: &ProcessStatus, style: &Style) -> Option<String> {
    let was = before.map_or(Stage::NotStarted, |before| before.stage);
    let is_restart = before.is_some_and(|before| now.restarts > before.restarts);
    if was == now.stage && !is_restart {
        return None;
    }
    let name = short_name(now.task.as_str());
    let starting = before.filter(|before| before.stage == Stage::Starting);
    let since = || starting.map(|before| now.since_ms.saturating_sub(before.since_ms));
    let took = || since().map(|ms| format!(" ({})", duration(ms as f64))).unwrap_or_default();
    let because = |what: Option<String>| what.map(|what| format!("   because {what}")).unwrap_or_default();
    let trouble = || now.trouble.as_deref().map(shown);
    let (word, rest) = match now.stage {
        Stage::Starting if was.is_at_rest() => ("Starting", String::new()),
        Stage::Starting => ("Restarting", String::new()),
        Stage::NotStarted | Stage::Stopping => return None,
        Stage::Ready => ("Ready", took() + &ports(now)),
        Stage::Unhealthy => ("Unhealthy", because(trouble())),
        Stage::Waiting => {
            let again = format!("   begins again (restart {})", now.restarts);
            ("Ended", because(trouble().or_else(|| ended(now))) + &again)
        }
        Stage::Stopped => ("Stopped", String::new()),
        Stage::Exited => ("Exited", because(trouble().or_else(|| ended(now)))),
        Stage::GaveUp => {
            let many = usize::try_from(now.restarts).unwrap_or(usize::MAX);
            let times = format!("   after {}", count(many, "restart", "restarts"));
            ("Gave up", times + &because(trouble().or_else(|| ended(now))))
        }
    };
    Some(style.status(word, &format!("{name}{rest}")))
}

/// Why it is as it is, as far as that is known.
pub(crate) fn why(status: &ProcessStatus) -> Option<String> {
    status.trouble.as_deref().map(shown).or_else(|| ended(status))
}

/// How it ended last.
fn ended(status: &ProcessStatus) -> Option<String> {
    match (status.exit_code, status.signal) {
        (Some(code), _) => Some(format!("exit {code}")),
        (None, Some(signal)) => Some(format!("signal {signal}")),
        (None, None) => None,
    }
}

fn ports(status: &ProcessStatus) -> String {
    let ports: Vec<String> = status.ports.iter().map(|(name, port)| format!("{name} {port}")).collect();
    if ports.is_empty() { String::new() } else { format!("   {}", ports.join(", ")) }
}

/// A row of the live region.
pub(crate) fn row(status: &ProcessStatus) -> String {
    let pid = status.pid.map(|pid| format!("  pid {pid}")).unwrap_or_default();
    let says = status.says.as_deref().or(status.trouble.as_deref()).map(shown);
    let says = says.map(|says| format!("  {says}")).unwrap_or_default();
    let name = short_name(status.task.as_str());
    format!("{:<17} {name} ({}){pid}{}{says}", capital(status.stage), age(status), ports(status))
}

/// The table of `processes list`.
pub(crate) fn table(statuses: &[ProcessStatus]) -> String {
    let head = ["NAME", "STATE", "FOR", "PID", "RESTARTS", "PORTS", ""].map(str::to_owned);
    let rows = statuses.iter().map(|status| {
        let is_idle = status.stage == Stage::NotStarted;
        let ports: Vec<String> = status.ports.values().map(ToString::to_string).collect();
        let rest = match status.stage {
            Stage::Exited | Stage::GaveUp | Stage::Waiting => {
                status.trouble.clone().or_else(|| ended(status)).unwrap_or_default()
            }
            _ => status.trouble.clone().or_else(|| status.says.clone()).unwrap_or_default(),
        };
        [
            short_name(status.task.as_str()).to_owned(),
            status.stage.as_str().to_owned(),
            if is_idle { "-".to_owned() } else { age(status) },
            status.pid.map_or("-".to_owned(), |pid| pid.to_string()),
            if is_idle { "-".to_owned() } else { status.restarts.to_string() },
            if ports.is_empty() { "-".to_owned() } else { ports.join(",") },
            shown(&rest),
        ]
    });
    let rows: Vec<[String; 7]> = std::iter::once(head).chain(rows).collect();
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..7).map(width).collect();
    let line = |row: &[String; 7]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("{}\n", cells.collect::<Vec<_>>().join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

/// Everything that is known of one.
pub(crate) fn details(status: &ProcessStatus) -> String {
    let mut rows = vec![("process", status.task.to_string()), ("state", status.stage.as_str().to_owned())];
    if status.stage != Stage::NotStarted {
        rows.push(("for", age(status)));
        rows.push(("restarts", status.restarts.to_string()));
    }
    rows.extend(status.pid.map(|pid| ("pid", pid.to_string())));
    rows.extend(status.ports.iter().map(|(name, port)| ("port", format!("{name} {port}"))));
    rows.extend(ended(status).map(|ended| ("last end", ended)));
    rows.extend(status.says.as_deref().map(|says| ("says", shown(says))));
    rows.extend(status.trouble.as_deref().map(|trouble| ("trouble", shown(trouble))));
    rows.extend(status.log.as_deref().map(|log| ("log", shown(log))));
    rows.iter().map(|(name, value)| format!("{name:<10} {value}\n")).collect()
}

fn capital(stage: Stage) -> String {
    let word = stage.as_str();
    word.get(..1).map_or_else(String::new, |first| first.to_uppercase() + &word[1..])
}

/// For how long it has been at this stage.
fn age(status: &ProcessStatus) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let ms = u64::try_from(now).unwrap_or(u64::MAX).saturating_sub(status.since_ms);
    humantime::format_duration(std::time::Duration::from_secs(ms / 1000)).to_string()
}
