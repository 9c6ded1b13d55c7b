//! A task server as a task file declares it.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::Written;

/// A program that lists tasks and runs them ([`guide::protocol`](crate::guide::protocol)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskServer {
    /// Its name: one of its project.
    pub name: String,
    /// The project that declares it, in which the local names of its tasks lie.
    pub project: Arc<str>,
    /// The program, looked up as a shell does, and its arguments. Never empty.
    pub command: Vec<Written<String>>,
    /// The directory of the file that declares it: there it is started, and what its tasks say of directories is
    /// relative to that.
    pub dir: PathBuf,
    /// Its own variables.
    pub env: BTreeMap<String, Written<String>>,
    /// Variables of its file: `[env]` over dotenv files.
    pub file_env: BTreeMap<String, Written<String>>,
    /// What it is made of: patterns whose values are absolute. When something of that changes it is asked for its
    /// list again, and its tasks are not fresh any more.
    pub watch: Vec<Written<String>>,
    /// How long it may take from its start until it has told its tasks.
    pub start_timeout: Duration,
}

impl TaskServer {
    /// How long a server may take to start if nobody said.
    pub const START_TIMEOUT: Duration = Duration::from_secs(5);

    /// A server made in code: a program and its arguments, started in the root unless [`dir`](Self::dir) says otherwise.
    #[must_use]
    pub fn new<'a>(name: &str, command: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            name: name.to_owned(),
            project: "".into(),
            command: command.into_iter().map(Written::from).collect(),
            dir: PathBuf::new(),
            env: BTreeMap::new(),
            file_env: BTreeMap::new(),
            watch: Vec::new(),
            start_timeout: Self::START_TIMEOUT,
        }
    }

    /// What it is called where several projects may have one of that name.
    #[must_use]
    pub fn full_name(&self) -> String {
        match &*self.project {
            "" => self.name.clone(),
            project => format!("{project}:{}", self.name),
        }
    }

    /// Its command line, for people.
    #[must_use]
    pub fn command_line(&self) -> String {
        self.command.iter().map(|word| word.written.as_str()).collect::<Vec<_>>().join(" ")
    }
}
