//! git, and the interpreters that tasks name.

use std::{collections::BTreeMap, ffi::OsStr, path::Path};

use super::{Files, Finding, Patient};
use crate::{
    git::{GitError, Repository, Version},
    hooks::{CONFIGURED, Event, HookError, Standing, status},
    model::{Action, Interpreter, Task},
    process::find_program,
    session::Found,
};

/// How many of the tasks that miss something are named.
const NAMED: usize = 3;

pub(super) fn git(patient: &Patient<'_>) -> Finding {
    const ABOUT: &str = "git";
    let without = "what rests on git does not work: `check`, `hooks`, and what it ignores is not known";
    let path = patient.variable("PATH");
    if find_program(OsStr::new("git"), path, patient.dir).is_none() {
        return Finding::note(ABOUT, "not found on PATH", without).mended_by("install git");
    }
    match Repository::around(patient.dir, patient.environment) {
        Ok(Some(repository)) => {
            let version = repository.version();
            let named =
                version.map_or("of an unknown version".to_owned(), |Version(a, b)| format!("{a}.{b}"));
            let hooks = version.is_some_and(|version| version >= CONFIGURED);
            let hooks =
                if hooks { "hooks can stand in its configuration" } else { "hooks stand in their directory" };
            Finding::ok(ABOUT, format!("{named}, {hooks}; the repository is {}", repository.top().display()))
        }
        Ok(None) => Finding::note(ABOUT, "no repository here", "`check` and `hooks` need one"),
        Err(GitError::Bare(path)) => Finding::note(
            ABOUT,
            format!("{} has no work tree", path.display()),
            "`check` and `hooks` need one",
        ),
        Err(error) => Finding::problem(ABOUT, error.to_string(), without),
    }
}

/// Whether git calls devtask. That it does not is nobody's fault.
pub(super) fn hooks(patient: &Patient<'_>) -> Option<Finding> {
    const ABOUT: &str = "git hooks";
    let root = patient.root()?;
    let repository = Repository::around(root, patient.environment).ok().flatten()?;
    let root = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    let tree = root.strip_prefix(repository.top()).ok()?;
    let standings = Event::ALL.map(|event| (event.name(), status(&repository, event, tree)));
    let trouble = standings.iter().find_map(|(name, standing)| match standing {
        Ok(standing) => standing.trouble.clone().map(|trouble| (*name, trouble)),
        Err(error) => Some((*name, error.to_string())),
    });
    if let Some((name, trouble)) = trouble {
        let finding = Finding::note(ABOUT, trouble, format!("nothing is checked by devtask at {name}"));
        return Some(finding.mended_by(format!("devtask hooks status {name}")));
    }
    let is_there =
        |standing: &Result<Standing, HookError>| standing.as_ref().is_ok_and(|s| s.manner.is_some());
    let installed = standings.iter().filter(|(_, standing)| is_there(standing)).map(|(name, _)| *name);
    let installed: Vec<&str> = installed.collect();
    Some(Finding::ok(
        ABOUT,
        if installed.is_empty() { "none of devtask's".to_owned() } else { installed.join(", ") },
    ))
}

/// Each interpreter that tasks name, looked up where they would. Without tasks, the one that most have.
pub(super) fn interpreters(patient: &Patient<'_>) -> Vec<Finding> {
    let path = patient.variable("PATH");
    let Files::Loaded { graph, .. } = patient.files else {
        return vec![looked_up(&Interpreter::default(), path, patient.dir, &[])];
    };
    let mut wanted: BTreeMap<(String, Option<String>), Vec<&Task>> = BTreeMap::new();
    for task in graph.ids().map(|id| graph.task(id)) {
        let is_script = |action: &Action| matches!(action, Action::Script(_));
        if is_script(&task.action) || task.status.as_ref().is_some_and(is_script) {
            let Interpreter { package, binary } = &task.interpreter;
            wanted.entry((package.value.clone(), binary.clone())).or_default().push(task);
        }
    }
    let one = |tasks: &Vec<&Task>| {
        let missing =
            |task: &&&Task| Found::look_up(&task.interpreter, path_of(task, path), &task.cwd).is_err();
        let missing: Vec<&Task> = tasks.iter().filter(missing).copied().collect();
        let task = missing.first().or(tasks.first())?;
        Some(looked_up(&task.interpreter, path_of(task, path), &task.cwd, &missing))
    };
    wanted.values().filter_map(one).collect()
}

/// The `PATH` of a task, as far as it is declared.
fn path_of<'a>(task: &'a Task, ambient: Option<&'a OsStr>) -> Option<&'a OsStr> {
    let own = task.env.get("PATH").or_else(|| task.file_env.get("PATH"));
    own.map(|own| OsStr::new(own.value.as_str())).or(ambient)
}

fn looked_up(interpreter: &Interpreter, path: Option<&OsStr>, cwd: &Path, missing: &[&Task]) -> Finding {
    const ABOUT: &str = "interpreter";
    let name = interpreter.binary.as_deref().unwrap_or(&interpreter.package.value);
    match Found::look_up(interpreter, path, cwd) {
        Ok(found) if *interpreter == Interpreter::default() && !found.program.ends_with("bash") => {
            Finding::note(
                ABOUT,
                format!("no bash, {} takes its place", found.program.display()),
                "scripts that use what only bash has will fail, and `exports` is not handed on",
            )
            .mended_by("install bash")
        }
        Ok(found) => Finding::ok(ABOUT, format!("{name}: {}", found.program.display())),
        Err(error) => {
            let named: Vec<&str> = missing.iter().take(NAMED).map(|task| task.name.as_str()).collect();
            let more = missing.len() - named.len();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let meaning = match named.is_empty() {
                true => "scripts cannot be run".to_owned(),
                false => format!("these cannot run: {}{more}", named.join(", ")),
            };
            Finding::problem(ABOUT, error.to_string(), meaning).mended_by(format!("install {name}"))
        }
    }
}
