//! A task: a name, what it does, and what it is declared with.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{Failure, Run, input};
use crate::tsp::TaskObject;

/// What it does, with its types left out.
type Body = dyn Fn(&Run, &Value) -> Result<Value, Failure> + Send + Sync;

/// A task of a server. What it is declared with means what it means in a task file.
pub struct Task {
    object: TaskObject,
    body: Box<Body>,
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("object", &self.object).finish_non_exhaustive()
    }
}

impl Task {
    /// A task and what it does. Where a run is given no input, `()`, an `Option` and a struct all of whose fields
    /// have defaults can be read; an input that does not fit fails the run with the name of the field.
    /// To return `()` is to hand on nothing.
    pub fn new<I, O, F>(name: impl Into<String>, body: F) -> Self
    where
        I: DeserializeOwned,
        O: Serialize,
        F: Fn(&Run, I) -> Result<O, Failure> + Send + Sync + 'static,
    {
        let body = move |run: &Run, given: &Value| {
            let output = body(run, input::decode(given, "input").map_err(Failure::new)?)?;
            serde_json::to_value(output)
                .map_err(|error| Failure::from(error).context("what it hands on is no JSON"))
        };
        Self { object: TaskObject { name: name.into(), ..TaskObject::default() }, body: Box::new(body) }
    }

    /// One line for people.
    #[must_use]
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.object.description = Some(text.into());
        self
    }

    /// It runs after this task: a name, or `name@condition`.
    #[must_use]
    pub fn after(mut self, task: impl Into<String>) -> Self {
        self.object.after.push(task.into());
        self
    }

    /// It runs before this task.
    #[must_use]
    pub fn before(mut self, task: impl Into<String>) -> Self {
        self.object.before.push(task.into());
        self
    }

    /// Patterns of what it reads: as long as that is as before, it need not run.
    #[must_use]
    pub fn exec_if_modified(mut self, patterns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.object.exec_if_modified.extend(patterns.into_iter().map(Into::into));
        self
    }

    /// Patterns of the files it makes.
    #[must_use]
    pub fn outputs(mut self, patterns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.object.outputs.extend(patterns.into_iter().map(Into::into));
        self
    }

    /// Where it works, relative to the directory of the file that declares the server.
    #[must_use]
    pub fn cwd(mut self, dir: impl Into<String>) -> Self {
        self.object.cwd = Some(dir.into());
        self
    }

    /// A field of its own input.
    #[must_use]
    pub fn input(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.object.input.get_or_insert_with(Map::new).insert(name.into(), value.into());
        self
    }

    /// A variable for the commands it starts.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.object.env.insert(name.into(), value.into());
        self
    }

    /// As it stands in the list.
    pub(super) fn object(&self) -> &TaskObject {
        &self.object
    }

    pub(super) fn name(&self) -> &str {
        &self.object.name
    }

    /// Does it. A panic is a failure: the task may have left its own things half done, the server's are untouched.
    pub(super) fn perform(&self, run: &Run, given: &Value) -> Result<Value, Failure> {
        run.check()?;
        catch_unwind(AssertUnwindSafe(|| (self.body)(run, given)))
            .unwrap_or_else(|payload| Err(Failure::panic(&*payload)))
    }
}
