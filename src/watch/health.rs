//! How well the source can see, in figures a user can act on.

use std::{fmt, path::PathBuf};

/// How well a source can see just now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Directories the system tells about.
    pub watched: usize,
    /// Directories that are polled, by reason.
    pub polled: Vec<Polled>,
    /// How often everything had to be taken for changed: overflows of the kernel's queue, and the like.
    pub overflows: u64,
}

/// Directories that are polled for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Polled {
    /// Why.
    pub why: Why,
    /// How many there are.
    pub directories: usize,
    /// One of them: the first by name.
    pub example: PathBuf,
}

/// Why a directory is polled. The text is for the user and says what helps, where something does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// The user wants it so.
    Asked,
    /// `fs.inotify.max_user_watches` is used up.
    WatchLimit(Limit),
    /// `fs.inotify.max_user_instances`, or the limit of open files, is used up.
    InstanceLimit(Limit),
    /// This kind of file system does not tell about all changes.
    FileSystem(&'static str),
    /// A file was made, and the system said nothing about it.
    NoEvents,
    /// The system refused, with these words.
    Refused(String),
}

/// A limit of the system that was reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Limit {
    /// What it is now, for all programs of the user together; `None` where the system does not tell.
    pub now: Option<u64>,
    /// How much this source alone needs.
    pub needed: u64,
    /// What it should at least be raised to, other programs being as they are.
    pub raise_to: u64,
}

impl Limit {
    /// What is short of `name` by `missing`, of `needed` in all.
    pub(super) fn of(name: &str, needed: u64, missing: u64) -> Self {
        let now: Option<u64> = std::fs::read_to_string(format!("/proc/sys/fs/inotify/{name}"))
            .ok()
            .and_then(|text| text.trim().parse().ok());
        let least = now.unwrap_or(0).saturating_add(missing).max(needed);
        Self { now, needed, raise_to: least.checked_next_power_of_two().unwrap_or(least) }
    }
}

pub(super) const WATCHES: &str = "max_user_watches";
pub(super) const INSTANCES: &str = "max_user_instances";

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = |f: &mut fmt::Formatter<'_>, what: &str, name: &str, limit: &Limit| {
            let now = limit.now.map_or("unknown".to_owned(), |now| now.to_string());
            write!(f, "the limit of {what} is reached (now {now}, {} needed here): ", limit.needed)?;
            write!(f, "sudo sysctl fs.inotify.{name}={}", limit.raise_to)
        };
        match self {
            Self::Asked => f.write_str("polling was asked for"),
            Self::WatchLimit(figures) => limit(f, "watched directories", WATCHES, figures),
            Self::InstanceLimit(figures) => limit(f, "watchers", INSTANCES, figures),
            Self::FileSystem(name) => write!(f, "{name} does not tell about all changes"),
            Self::NoEvents => f.write_str("the system does not tell about changes here"),
            Self::Refused(words) => f.write_str(words),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_names_the_command_that_raises_it() {
        let figures = Limit { now: Some(8192), needed: 10_000, raise_to: 16_384 };
        assert_eq!(
            Why::WatchLimit(figures).to_string(),
            "the limit of watched directories is reached (now 8192, 10000 needed here): \
             sudo sysctl fs.inotify.max_user_watches=16384"
        );
        let unknown = Limit { now: None, ..figures };
        assert!(Why::InstanceLimit(unknown).to_string().contains("now unknown"));
    }

    #[test]
    fn what_others_use_is_added_to_what_is_missing() {
        let limit = Limit::of("no such limit", 100, 30);
        assert_eq!(limit, Limit { now: None, needed: 100, raise_to: 128 });
    }
}
