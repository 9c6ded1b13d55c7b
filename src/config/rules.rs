//! Rules between the fields of one task, and on single values that only a task has.

use super::{
    decode::Spanned,
    resolve::Resolver,
    tables::{CheckFields, Common, Task},
    types::Seconds,
};
use crate::diagnostic::Diagnostic;

/// The rules of a task that ends by itself.
pub(super) fn check(key: &Spanned<String>, common: &Common, own: &Task, resolver: &mut Resolver<'_>) {
    status(key, common, own, resolver);
    if let Some(process) = &own.process {
        let hint = "add `type = \"process\"`, or write it as `[processes.<name>]`";
        resolver.fault("bad-value", &process.span, "`process` is for tasks of type process", hint);
    }
    positive(own.timeout.as_ref(), resolver);
    named(own.lock.as_ref(), resolver);
    for name in own.track_env.iter().flat_map(|l| &l.value.0) {
        tracked(name, resolver);
    }
    exports(common, own, resolver);
}

/// The rules of a check.
pub(super) fn of_check(
    key: &Spanned<String>,
    common: &Common,
    own: &CheckFields,
    resolver: &mut Resolver<'_>,
) {
    if common.exec.as_ref().is_none_or(|exec| exec.value.trim().is_empty()) {
        let message = format!("the check `{}` has no `exec`", key.value);
        let hint = "add `exec`, the command that fails if something is wrong";
        resolver.fault("check-without-exec", &key.span, message, hint);
    }
    if let Some(before) = &common.before {
        let hint = "remove it: what is to come after a check runs `devtask check`";
        resolver.fault("bad-value", &before.span, "`before` is not for a check", hint);
    }
    positive(own.timeout.as_ref(), resolver);
    named(own.lock.as_ref(), resolver);
    for name in own.track_env.iter().flat_map(|l| &l.value.0) {
        tracked(name, resolver);
    }
}

fn positive(timeout: Option<&Spanned<Seconds>>, resolver: &mut Resolver<'_>) {
    if let Some(timeout) = timeout.filter(|t| t.value.0.is_zero()) {
        resolver.fault(
            "bad-duration",
            &timeout.span,
            "`timeout` must be longer than nothing",
            "leave it out",
        );
    }
}

fn named(lock: Option<&Spanned<String>>, resolver: &mut Resolver<'_>) {
    if let Some(lock) = lock.filter(|l| l.value.is_empty()) {
        resolver.fault("bad-value", &lock.span, "the name of a lock is not empty", "");
    }
}

fn tracked(name: &Spanned<String>, resolver: &mut Resolver<'_>) {
    if !is_tracked_name(&name.value) {
        let message = format!("`{}` is no name of a variable, nor `PREFIX_*`", name.value);
        resolver.fault("bad-value", &name.span, message, "a `*` stands at the end only");
    }
}

/// `status` has to decide about something, and alone (spec sections 1.2 and 1.3).
fn status(key: &Spanned<String>, common: &Common, own: &Task, resolver: &mut Resolver<'_>) {
    let Some(status) = &own.status else { return };
    let place = resolver.place(&status.span);
    if common.exec.is_none() {
        resolver.faults.push(
            Diagnostic::error("status-without-exec", format!("`{}` has a `status` but no `exec`", key.value))
                .at(Some(&place), "nothing for it to skip")
                .hint("add `exec`, or make this text the `exec`"),
        );
    }
    if let Some(patterns) = own.exec_if_modified.as_ref().filter(|p| !p.value.0.is_empty()) {
        let message = format!("`{}` has both `status` and `execIfModified`", key.value);
        resolver.faults.push(
            Diagnostic::error("status-with-exec-if-modified", message)
                .at(Some(&place), "this decides whether it runs")
                .at(Some(&resolver.place(&patterns.span)), "and so does this")
                .hint("keep one of them"),
        );
    }
}

/// Exports are read from the shell, so the script must be bash's, and the names bash's too.
fn exports(common: &Common, own: &Task, resolver: &mut Resolver<'_>) {
    let Some(list) = own.exports.as_ref().filter(|l| !l.value.0.is_empty()) else { return };
    let program = common.binary.as_ref().or(common.package.as_ref());
    if let Some(program) = program.filter(|p| p.value.rsplit('/').next() != Some("bash")) {
        let program_place = resolver.place(&program.span);
        resolver.faults.push(
            Diagnostic::error("bad-value", "`exports` needs bash")
                .at(Some(&resolver.place(&list.span)), "")
                .at(Some(&program_place), "another interpreter")
                .hint("write the pairs to `$DEVENV_TASK_EXPORTS_FILE`"),
        );
    }
    for name in list.value.0.iter().filter(|n| !is_shell_name(&n.value)) {
        let message = format!("`{}` is no name of a shell variable", name.value);
        resolver.fault("bad-value", &name.span, message, "");
    }
}

fn is_shell_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn is_tracked_name(name: &str) -> bool {
    let stem = name.strip_suffix('*').unwrap_or(name);
    !stem.is_empty() && !stem.contains(['*', '=', '\0'])
}

/// What a process cannot have would do nothing there.
pub(super) fn only_for_tasks(own: &Task, resolver: &mut Resolver<'_>) {
    let spans = [
        ("status", own.status.as_ref().map(|f| &f.span)),
        ("execIfModified", own.exec_if_modified.as_ref().map(|f| &f.span)),
        ("outputs", own.outputs.as_ref().map(|f| &f.span)),
        ("restore", own.restore.as_ref().map(|f| &f.span)),
        ("trackEnv", own.track_env.as_ref().map(|f| &f.span)),
        ("exports", own.exports.as_ref().map(|f| &f.span)),
        ("timeout", own.timeout.as_ref().map(|f| &f.span)),
        ("retries", own.retries.as_ref().map(|f| &f.span)),
        ("interactive", own.interactive.as_ref().map(|f| &f.span)),
        ("lock", own.lock.as_ref().map(|f| &f.span)),
    ];
    for (name, span) in spans {
        if let Some(span) = span {
            resolver.fault("bad-value", span, format!("`{name}` is not for a process"), "remove it");
        }
    }
}
