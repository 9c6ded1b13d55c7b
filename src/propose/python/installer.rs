//! uv, poetry or pip: how packages get here, and how their programs are started.

use std::collections::BTreeSet;

use toml::{Table, Value};

use super::{MANIFEST, lookup, needs::Needs};
use crate::propose::{draft::Draft, paths, tree::Tree};

/// Whose way it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Uv,
    Poetry,
    /// Into an environment beside the manifest.
    Pip,
    /// Nothing says what is to be installed.
    Nothing,
}

/// How a project is set up.
pub(in crate::propose) struct Installer {
    kind: Kind,
    is_package: bool,
    /// Files beside the manifest that say what is installed.
    pub(super) files: Vec<&'static str>,
    /// Whether there is a lock file.
    pub(super) is_locked: bool,
}

/// Lists for pip.
const LISTS: &[&str] =
    &["requirements.txt", "requirements-dev.txt", "requirements-test.txt", "dev-requirements.txt"];

impl Installer {
    /// As the lock file says, else what the manifest is written for.
    pub(in crate::propose) fn of(tree: &Tree<'_>, dir: &str, manifest: &Table) -> Self {
        let backend =
            lookup(manifest, "build-system.build-backend").and_then(Value::as_str).unwrap_or_default();
        let has = |name: &str| tree.has(&paths::join(dir, name));
        let is_poetry = lookup(manifest, "tool.poetry").is_some() || backend.starts_with("poetry");
        let is_uv = lookup(manifest, "tool.uv").is_some() || backend.starts_with("uv_build");
        let (uv, poetry) = (has("uv.lock"), has("poetry.lock"));
        let lists: Vec<&'static str> = LISTS.iter().copied().filter(|name| has(name)).collect();
        let is_package = manifest.contains_key("project") || manifest.contains_key("build-system");
        let is_listed = is_package || !lists.is_empty() || manifest.contains_key("dependency-groups");
        let (kind, lock) = match () {
            () if uv || is_uv && !poetry => (Kind::Uv, uv.then_some("uv.lock")),
            () if poetry || is_poetry => (Kind::Poetry, poetry.then_some("poetry.lock")),
            () if is_listed => (Kind::Pip, None),
            () => (Kind::Nothing, None),
        };
        let files = if kind == Kind::Pip { lists } else { lock.into_iter().collect() };
        Self { kind, is_package, is_locked: lock.is_some() || !files.is_empty(), files }
    }

    /// The lists of what pip installs.
    pub(super) fn lists(&self) -> &[&'static str] {
        if self.kind == Kind::Pip { &self.files } else { &[] }
    }

    /// The task that installs what `needs` says, and whether there are members beside the root.
    pub(super) fn install(&self, draft: Draft, needs: &Needs, has_members: bool) -> Option<Draft> {
        match self.kind {
            Kind::Nothing => None,
            Kind::Uv => {
                let mut words = vec!["uv", "sync"];
                words.extend(self.is_locked.then_some("--locked"));
                words.extend(has_members.then_some("--all-packages"));
                let mut exec = words.join(" ");
                needs
                    .extras
                    .iter()
                    .for_each(|extra| exec.push_str(&format!(" --extra {}", paths::word(extra))));
                // That one comes by itself.
                let groups = needs.groups.iter().filter(|group| *group != "dev");
                groups.for_each(|group| exec.push_str(&format!(" --group {}", paths::word(group))));
                // A variable of uv may say that the environment is elsewhere.
                exec.push_str(" && mkdir -p .venv");
                Some(marked(draft, exec))
            }
            Kind::Poetry => {
                let mut exec = "poetry install --no-interaction".to_owned();
                if !needs.extras.is_empty() {
                    exec.push_str(&format!(" --extras {}", paths::word(&join(&needs.extras, " "))));
                }
                let remark = "After the environment was removed that poetry keeps elsewhere: devtask run install --force";
                Some(Draft { exec: Some(exec), remarks: vec![remark.to_owned()], ..draft })
            }
            Kind::Pip => Some(marked(draft, self.pip(needs))),
        }
    }

    fn pip(&self, needs: &Needs) -> String {
        let mut exec = "python3 -m venv .venv\n".to_owned();
        if !needs.groups.is_empty() {
            // Older ones do not know groups.
            exec.push_str(".venv/bin/pip install 'pip>=25.1'\n");
        }
        exec.push_str(".venv/bin/pip install");
        self.files.iter().for_each(|list| exec.push_str(&format!(" -r {list}")));
        if self.is_package && needs.extras.is_empty() {
            exec.push_str(" -e .");
        } else if self.is_package {
            exec.push_str(&format!(" -e {}", paths::word(&format!(".[{}]", join(&needs.extras, ",")))));
        }
        needs.groups.iter().for_each(|group| exec.push_str(&format!(" --group {}", paths::word(group))));
        needs.undeclared.iter().for_each(|tool| exec.push_str(&format!(" {tool}")));
        exec + "\n"
    }

    /// How a program is started that is installed, or that nothing here declares.
    pub(super) fn command(&self, program: &str, command: &str, is_declared: bool) -> String {
        match self.kind {
            Kind::Uv if is_declared => format!("uv run {command}"),
            Kind::Uv => format!("uv run --with {program} {command}"),
            Kind::Poetry => format!("poetry run {command}"),
            Kind::Pip => format!(".venv/bin/python -m {command}"),
            Kind::Nothing => format!("python3 -m {command}"),
        }
    }

    /// How a check starts a program, and the directory that it needs for that. In a private checkout nothing is to be
    /// installed, so it is started as it lies there.
    pub(in crate::propose) fn checking(
        &self,
        program: &str,
        is_declared: bool,
    ) -> (String, Option<&'static str>) {
        match self.kind {
            Kind::Uv if !is_declared => (format!("uvx {program}"), None),
            Kind::Uv | Kind::Pip => (format!(".venv/bin/{program}"), Some(".venv")),
            Kind::Poetry => (format!("poetry run {program}"), None),
            Kind::Nothing => (program.to_owned(), None),
        }
    }

    /// What the task is from.
    pub(super) fn origin(&self) -> String {
        [MANIFEST].into_iter().chain(self.files.iter().copied()).collect::<Vec<_>>().join(" and ")
    }
}

fn marked(draft: Draft, exec: String) -> Draft {
    Draft { exec: Some(exec), ..draft }.marked(".venv", ".devtask-installed")
}

fn join(names: &BTreeSet<String>, between: &str) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(between)
}
