//! The environment of a task: who wins over whom (spec section 3).

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    sync::Arc,
};

use super::direct::is_handed_on;
use crate::{model::Task, process::inherited};

/// What tasks see of the surrounding environment, made once for all tasks of a run.
#[derive(Debug)]
pub(crate) struct Surroundings {
    pub(crate) variables: Arc<Variables>,
    /// Whether a shell hands on all of them.
    are_handed_on: bool,
}

/// A surrounding environment as it was found.
pub(crate) type Ambient = Arc<Vec<(OsString, OsString)>>;

/// Values by their names.
pub(crate) type Variables = BTreeMap<OsString, OsString>;

/// A complete environment: the surrounding one, and what this task has on top of it.
#[derive(Clone, Debug)]
pub(crate) struct Environment<'a> {
    surroundings: &'a Surroundings,
    pub(crate) own: Variables,
}

/// The most one `NAME=value` and its end may take on Linux (`MAX_ARG_STRLEN`); other systems limit only
/// the sum, of which this is a safe part.
pub(crate) const ONE_VARIABLE: usize = 128 * 1024;

impl Surroundings {
    pub(crate) fn of(ambient: &[(OsString, OsString)]) -> Self {
        let variables = inherited(ambient);
        let are_handed_on = variables.keys().all(|name| is_handed_on(name));
        Self { variables: Arc::new(variables), are_handed_on }
    }
}

impl<'a> Environment<'a> {
    /// The surrounding one as it is.
    pub(crate) const fn of(surroundings: &'a Surroundings) -> Self {
        Self { surroundings, own: Variables::new() }
    }

    pub(crate) fn get(&self, name: impl AsRef<OsStr>) -> Option<&OsStr> {
        let name = name.as_ref();
        self.own.get(name).or_else(|| self.surroundings.variables.get(name)).map(OsString::as_os_str)
    }

    pub(crate) fn insert(&mut self, name: impl Into<OsString>, value: impl Into<OsString>) {
        self.own.insert(name.into(), value.into());
    }

    /// Whether a shell hands on all of it.
    pub(crate) fn is_handed_on(&self) -> bool {
        self.surroundings.are_handed_on && self.own.keys().all(|name| is_handed_on(name))
    }
}

/// What goes into an environment, in the order of the specification: later wins.
pub(crate) struct Layers<'s, 'a> {
    pub(crate) surroundings: &'s Surroundings,
    /// The task, for `[env]`, dotenv and `env`.
    pub(crate) task: &'a Task,
    /// `DEVENV_TASK_INPUT`, if there is any input.
    pub(crate) input: Option<String>,
    /// Exports of the upstream closure, in topological order.
    pub(crate) exports: &'a [(String, Vec<u8>)],
    /// The variables nothing can override; none: it is unset.
    pub(crate) reserved: &'a [(&'static str, Option<OsString>)],
}

/// The environment of a task.
pub(crate) fn assemble<'s>(layers: &Layers<'s, '_>) -> Environment<'s> {
    let mut env = Environment::of(layers.surroundings);
    for (name, value) in &layers.task.file_env {
        env.insert(name, &value.value);
    }
    match &layers.input {
        Some(input) => env.insert("DEVENV_TASK_INPUT", input),
        None => drop(env.own.remove(OsStr::new("DEVENV_TASK_INPUT"))),
    }
    for (name, value) in layers.exports {
        env.insert(name, OsString::from_vec(value.clone()));
    }
    for (name, value) in &layers.task.env {
        env.insert(name, &value.value);
    }
    for (name, value) in layers.reserved {
        match value {
            Some(value) => env.insert(name, value),
            None => drop(env.own.remove(OsStr::new(name))),
        }
    }
    env
}

/// A variable of a surrounding environment.
pub(crate) fn variable<'a>(ambient: &'a Ambient, name: &str) -> Option<&'a OsStr> {
    ambient.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_os_str())
}

/// The surrounding variables a task tracks: `NAME` or `PREFIX_*`, sorted by name.
pub(crate) fn tracked(ambient: &[(OsString, OsString)], names: &[String]) -> Vec<(String, Vec<u8>)> {
    let wanted = |name: &OsStr| {
        names.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(prefix) => name.as_bytes().starts_with(prefix.as_bytes()),
            None => name == OsStr::new(pattern),
        })
    };
    let mut found: Vec<(String, Vec<u8>)> = ambient
        .iter()
        .filter(|(name, _)| wanted(name))
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.as_bytes().to_vec()))
        .collect();
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{TaskName, Written};

    fn pairs(list: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        list.iter().map(|(a, b)| ((*a).into(), (*b).into())).collect()
    }

    #[test]
    fn later_layers_win_in_the_order_of_the_specification() {
        let layers = ["ambient", "file", "export", "task", "reserved"];
        // Variable `n` is set by the layers from 0 to n, so its value must be layer n's.
        let mut task = Task::empty(TaskName::new("a:b").unwrap(), "/".as_ref());
        let value = |layer: usize| Written::plain(layers[layer].to_owned());
        task.file_env = (1..5).map(|n| (format!("V{n}"), value(1))).collect();
        task.env = (3..5).map(|n| (format!("V{n}"), value(3))).collect();
        let ambient: Vec<_> = (0..5).map(|n| (format!("V{n}").into(), "ambient".into())).collect();
        let exports: Vec<_> = (2..5).map(|n| (format!("V{n}"), b"export".to_vec())).collect();
        let surroundings = Surroundings::of(&ambient);
        let env = assemble(&Layers {
            surroundings: &surroundings,
            task: &task,
            input: None,
            exports: &exports,
            reserved: &[("V4", Some("reserved".into()))],
        });
        for (n, layer) in layers.iter().enumerate() {
            assert_eq!(env.get(format!("V{n}")), Some(OsStr::new(layer)), "V{n}");
        }
    }

    #[test]
    fn what_must_not_leak_does_not() {
        let mut task = Task::empty(TaskName::new("a:b").unwrap(), "/".as_ref());
        let mut ambient = pairs(&[
            ("GIT_DIR", "/x"),
            ("GIT_INDEX_FILE", "/x"),
            ("GIT_AUTHOR_NAME", "me"),
            ("DEVENV_TASK_INPUT", "{}"),
            ("DEVENV_TASKS_OUTPUTS", "{}"),
        ]);
        ambient.push(("RAW".into(), OsString::from_vec(vec![0xff, 0xfe])));
        let surroundings = Surroundings::of(&ambient);
        task.file_env = ["DEVENV_TASK_INPUT", "DEVENV_TASKS_OUTPUTS"]
            .map(|name| (name.to_owned(), Written::plain("of a file".to_owned())))
            .into();
        let env = assemble(&Layers {
            surroundings: &surroundings,
            task: &task,
            input: None,
            exports: &[],
            reserved: &[("DEVENV_TASKS_OUTPUTS", None)],
        });
        let names: Vec<_> = surroundings.variables.keys().map(|n| n.to_string_lossy().into_owned()).collect();
        assert_eq!(
            (names.as_slice(), &env.own),
            (&["GIT_AUTHOR_NAME".into(), "RAW".into()][..], &Variables::new())
        );
        assert_eq!(env.get("RAW").unwrap().as_bytes(), [0xff, 0xfe]);
    }

    #[test]
    fn tracked_variables_are_named_or_share_a_prefix() {
        let ambient = pairs(&[("CC", "gcc"), ("CI_JOB", "1"), ("CI", "true"), ("CCX", "no")]);
        let found = tracked(&ambient, &["CI_*".into(), "CC".into(), "UNSET".into()]);
        assert_eq!(found, [("CC".to_owned(), b"gcc".to_vec()), ("CI_JOB".to_owned(), b"1".to_vec())]);
    }
}
