//! Reasons in words.

use devtask::model::{FileChange, Reason, UpstreamChange};

use super::text::shown;

/// A reason as a row: what kind it is, what it concerns, what is the matter.
pub(crate) struct Row {
    pub(crate) category: &'static str,
    pub(crate) subject: String,
    pub(crate) what: String,
}

/// A reason as a row of `why`.
pub(crate) fn row(reason: &Reason) -> Row {
    let row =
        |category, subject: &str, what: &str| Row { category, subject: shown(subject), what: shown(what) };
    match reason {
        Reason::AlwaysRuns => row("always", "", "has neither execIfModified nor outputs nor status"),
        Reason::Forced => row("forced", "", "asked for on the command line"),
        Reason::Executing => row("history", "", "it runs just now"),
        Reason::StatusDecides => row("status", "", "is asked when it is run"),
        Reason::StatusSaidNo { exit_code: Some(code) } => {
            row("status", "", &format!("was asked and exited with {code}"))
        }
        Reason::StatusSaidNo { exit_code: None } => row("status", "", "was asked and ended by a signal"),
        Reason::NeverRan => row("history", "", "no earlier run is known"),
        Reason::LastRunFailed => row("history", "", "the last run failed"),
        Reason::LastRunInterrupted => row("history", "", "the last run was not completed"),
        Reason::RecordIncomplete => row("history", "", "what is remembered of the last run is damaged"),
        Reason::ChangedWhileRunning { path } => row(
            "history",
            path,
            "changed while it last ran; if the task itself writes it, declare it in outputs",
        ),
        Reason::Exec => row("command", "", "the script or command changed"),
        Reason::Arguments => row("command", "", "the arguments after -- changed"),
        Reason::Interpreter => row("command", "", "the interpreter changed"),
        Reason::Cwd => row("command", "", "the working directory changed"),
        Reason::ExportList => row("command", "", "the list of exports changed"),
        Reason::Patterns => row("command", "", "the patterns of execIfModified or outputs changed"),
        Reason::Input { key: Some(key) } => row("input", key, "changed"),
        Reason::Input { key: None } => row("input", "", "changed"),
        Reason::Env { name } => row("env", name, "changed"),
        Reason::TrackedEnv { name } => row("env", name, "changed (tracked)"),
        Reason::File { path, change } => row("files", path, file_change(*change)),
        Reason::Unreadable { path, error } => row("files", path, &format!("cannot be read: {error}")),
        Reason::Upstream { task, change } => row("deps", task.as_str(), &upstream_change(change)),
        Reason::UpstreamWouldRun { task } => row("deps", task.as_str(), "would run first"),
        Reason::Output { path, change: FileChange::Removed } => row("outputs", path, "missing"),
        Reason::Output { path, change: FileChange::Added } => {
            row("outputs", path, "was not left by the last run")
        }
        Reason::Output { path, change } => row("outputs", path, file_change(*change)),
        // A newer library may know more of them.
        _ => row("other", "", "of another kind"),
    }
}

/// A reason in one line.
pub(crate) fn line(reason: &Reason) -> String {
    let Row { category, subject, what } = row(reason);
    match (category, subject.is_empty()) {
        ("always" | "status", true) => format!("it {what}"),
        ("history" | "forced" | "command", true) => what,
        (_, true) => format!("{category} {what}"),
        ("files" | "deps" | "history", false) => format!("{subject} {what}"),
        ("outputs", false) => format!("output {subject} {what}"),
        (_, false) => format!("{category} {subject} {what}"),
    }
}

fn file_change(change: FileChange) -> &'static str {
    match change {
        FileChange::Added => "added",
        FileChange::Removed => "removed",
        FileChange::Content => "content changed",
        FileChange::Executable => "executable bit changed",
        FileChange::Kind => "became another kind of file",
    }
}

fn upstream_change(change: &UpstreamChange) -> String {
    match change {
        UpstreamChange::Appeared => "hands on something now".to_owned(),
        UpstreamChange::Disappeared => "hands on nothing any more".to_owned(),
        UpstreamChange::OutputKey { key: Some(key) } => format!("output key `{key}` changed"),
        UpstreamChange::OutputKey { key: None } => "output changed".to_owned(),
        UpstreamChange::Export { name } => format!("export `{name}` changed"),
        UpstreamChange::OutputFiles => "output files changed".to_owned(),
        UpstreamChange::Called => "was called, and comes to something else now".to_owned(),
        UpstreamChange::NotFollowed => "was called, and cannot be checked without running".to_owned(),
    }
}
