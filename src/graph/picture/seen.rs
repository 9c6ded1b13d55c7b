//! How the tasks of a graph fared in a run, read from its events.

use std::collections::BTreeMap;

use super::text::took;
use crate::{
    event::{Event, Finished, What},
    model::{Outcome, Reason, TaskName},
};

/// How a task fared in a run, in the words of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ending {
    /// It failed.
    Failed,
    /// It never ran because something upstream failed.
    DependencyFailed,
    /// It was ended, or never begun, because the run was ended.
    Cancelled,
    /// It was scheduled, and the run's log does not say how it ended.
    Unfinished,
    /// It ran and succeeded.
    Succeeded,
    /// What an earlier success had left came back (spec section 4.5).
    Restored,
    /// It was fresh.
    Cached,
    /// It has no command.
    Skipped,
    /// The run had nothing to do with it.
    Absent,
}

impl Ending {
    /// Every ending, in the order a legend lists them.
    pub const ALL: [Self; 9] = [
        Self::Failed,
        Self::DependencyFailed,
        Self::Cancelled,
        Self::Unfinished,
        Self::Succeeded,
        Self::Restored,
        Self::Cached,
        Self::Skipped,
        Self::Absent,
    ];

    /// The word a person reads: that of the [`Outcome`] where there is one.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Failed => Outcome::Failed.label(),
            Self::DependencyFailed => Outcome::DependencyFailed.label(),
            Self::Cancelled => Outcome::Cancelled.label(),
            Self::Unfinished => "Unfinished",
            Self::Succeeded => Outcome::Succeeded.label(),
            Self::Restored => "Restored",
            Self::Cached => Outcome::Cached.label(),
            Self::Skipped => Outcome::Skipped.label(),
            Self::Absent => "Not in the run",
        }
    }

    fn of(finished: &Finished) -> Self {
        match finished.status {
            _ if finished.restored.is_some() => Self::Restored,
            Outcome::Succeeded => Self::Succeeded,
            Outcome::Cached => Self::Cached,
            Outcome::Skipped => Self::Skipped,
            Outcome::Failed => Self::Failed,
            Outcome::DependencyFailed => Self::DependencyFailed,
            Outcome::Cancelled => Self::Cancelled,
        }
    }
}

/// How one task fared.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// How it ended.
    pub ending: Ending,
    /// How long it executed, in milliseconds; none if it did not.
    pub duration_ms: Option<f64>,
    /// What else there is to say: what went wrong, why it ran. One sentence each.
    pub notes: Vec<String>,
}

/// A run as far as a picture shows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunSeen {
    run: String,
    tasks: BTreeMap<TaskName, Seen>,
}

impl RunSeen {
    /// What the events of the run `id` say. `words` puts a reason into words.
    #[must_use]
    pub fn new(id: &str, events: &[Event], words: impl Fn(&Reason) -> String) -> Self {
        let mut tasks = BTreeMap::new();
        for event in events {
            match &event.what {
                What::Plan { tasks: planned, .. } => {
                    let begun = || Seen { ending: Ending::Unfinished, duration_ms: None, notes: Vec::new() };
                    for name in planned {
                        tasks.entry(name.clone()).or_insert_with(begun);
                    }
                }
                // In a watch a task may end often: the last time counts.
                What::TaskFinished(finished) => {
                    drop(tasks.insert(finished.task.clone(), seen(finished, &words)))
                }
                _ => {}
            }
        }
        Self { run: id.to_owned(), tasks }
    }

    /// The run's id.
    #[must_use]
    pub fn run(&self) -> &str {
        &self.run
    }

    /// How a task fared, if the run had to do with it.
    #[must_use]
    pub fn task(&self, name: &TaskName) -> Option<&Seen> {
        self.tasks.get(name)
    }

    /// How a task ended, and how long it took if it executed: `Failed 1.20s`.
    #[must_use]
    pub fn words(&self, name: &TaskName) -> String {
        let took = self.task(name).and_then(|seen| seen.duration_ms).map(took);
        let label = self.ending(name).label();
        took.map_or_else(|| label.to_owned(), |took| format!("{label} {took}"))
    }

    /// How a task ended.
    #[must_use]
    pub fn ending(&self, name: &TaskName) -> Ending {
        self.task(name).map_or(Ending::Absent, |seen| seen.ending)
    }
}

fn seen(finished: &Finished, words: impl Fn(&Reason) -> String) -> Seen {
    let mut notes = Vec::new();
    if let Some(code) = finished.exit_code.filter(|code| *code != 0) {
        notes.push(format!("exit {code}"));
    }
    notes.extend(finished.signal.map(|signal| format!("ended by signal {signal}")));
    notes.extend(finished.error.clone());
    notes.extend(finished.because.iter().map(|task| format!("because {task} failed")));
    notes.extend(finished.restored.as_ref().map(|from| {
        format!("as run {} had left it, which saved {}", from.run, took(from.duration_ms as f64))
    }));
    notes.extend(finished.reasons.iter().map(&words));
    notes.extend(finished.not_fresh.as_ref().map(|reason| format!("not fresh: {}", words(reason))));
    Seen { ending: Ending::of(finished), duration_ms: finished.duration_ms, notes }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::event::LastSuccess;

    fn name(text: &str) -> TaskName {
        TaskName::new(text).unwrap()
    }

    fn ended(task: &str, status: Outcome, change: impl Fn(&mut Finished)) -> What {
        let mut finished = Finished::without_execution(name(task), status);
        change(&mut finished);
        What::TaskFinished(Box::new(finished))
    }

    #[test]
    fn the_last_end_of_a_task_counts() {
        let whats = [
            What::Plan { tasks: ["a:a", "a:b", "a:c", "a:d"].map(name).to_vec(), after: Vec::new() },
            ended("a:a", Outcome::Succeeded, |_| {}),
            ended("a:a", Outcome::Failed, |f| {
                (f.exit_code, f.duration_ms) = (Some(2), Some(1.5));
                f.reasons = vec![Reason::NeverRan];
            }),
            ended("a:b", Outcome::Cached, |f| {
                f.restored = Some(LastSuccess { at_ms: 0, duration_ms: 3410, run: "r1".to_owned() });
            }),
            ended("a:d", Outcome::DependencyFailed, |f| f.because = vec![name("a:a")]),
        ];
        let events = whats.map(|what| Event { v: 1, time: UNIX_EPOCH, what });
        let run = RunSeen::new("r2", &events, |reason| format!("{reason:?}"));
        let notes = |task: &str| run.task(&name(task)).unwrap().notes.join("; ");
        for (task, ending, said) in [
            ("a:a", Ending::Failed, "exit 2; NeverRan"),
            ("a:b", Ending::Restored, "as run r1 had left it, which saved 3.41s"),
            ("a:c", Ending::Unfinished, ""),
            ("a:d", Ending::DependencyFailed, "because a:a failed"),
        ] {
            assert_eq!((run.ending(&name(task)), notes(task).as_str()), (ending, said), "{task}");
        }
        assert_eq!(run.task(&name("a:a")).unwrap().duration_ms, Some(1.5));
        assert_eq!((run.ending(&name("a:e")), run.run()), (Ending::Absent, "r2"));
    }
}
