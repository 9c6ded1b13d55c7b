//! Task names (spec section 1.1).

use std::{borrow::Borrow, fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// The namespace of processes: `[processes.<n>]` is the task `devenv:processes:<n>` in the root project and
/// `devenv:processes:<project>:<n>` in an included one (spec section 1.2).
pub const PROCESSES: &str = "devenv:processes";

/// The global name of a task: ASCII letters, digits, `:`, `-`, `_`, with at least one colon, none at
/// either end and no two in a row (spec section 1.1).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TaskName(Arc<str>);

/// What is wrong with a name. [`Display`](fmt::Display) says it in one sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// Nothing was written.
    #[error("a task name must not be empty")]
    Empty,
    /// A character outside the legal set.
    #[error("`{0}` is not allowed in a task name")]
    Character(char),
    /// A colon at the start or the end.
    #[error("a task name must not start or end with a colon")]
    EdgeColon,
    /// Two colons in a row, which would make an empty namespace.
    #[error("a task name must not contain two colons in a row")]
    DoubleColon,
    /// No colon where a global name is needed.
    #[error("a global task name needs a namespace: `namespace:task`")]
    NoColon,
}

impl TaskName {
    /// Takes `text` as a global name.
    ///
    /// # Errors
    /// The first rule the text breaks.
    pub fn new(text: &str) -> Result<Self, NameFault> {
        Self::check_characters(text)?;
        if !text.contains(':') {
            return Err(NameFault::NoColon);
        }
        Ok(Self(text.into()))
    }

    /// Stands in until a real name is known; never leaves the crate.
    pub(crate) fn placeholder() -> Self {
        Self("devtask:unnamed".into())
    }

    /// The rules that hold for local names (without a colon) too.
    ///
    /// # Errors
    /// The first rule the text breaks.
    pub fn check_characters(text: &str) -> Result<(), NameFault> {
        if text.is_empty() {
            return Err(NameFault::Empty);
        }
        if let Some(c) = text.chars().find(|c| !(c.is_ascii_alphanumeric() || ":-_".contains(*c))) {
            return Err(NameFault::Character(c));
        }
        if text.starts_with(':') || text.ends_with(':') {
            return Err(NameFault::EdgeColon);
        }
        if text.contains("::") {
            return Err(NameFault::DoubleColon);
        }
        Ok(())
    }

    /// A legal spelling near `text`, for a hint; `None` where nothing legal is left of it.
    #[must_use]
    pub fn legal_spelling(text: &str) -> Option<String> {
        let mapped: String = text
            .chars()
            .map(|c| match c {
                c if c.is_ascii_alphanumeric() || ":-_".contains(c) => c,
                '.' | '/' | '\\' => ':',
                _ => '-',
            })
            .collect();
        let parts: Vec<&str> =
            mapped.split(':').map(|p| p.trim_matches('-')).filter(|p| !p.is_empty()).collect();
        (!parts.is_empty()).then(|| parts.join(":"))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this task lies in `namespace` (`ci` holds `ci:lint` and `ci:unit:fast`, not `ci2:x`).
    #[must_use]
    pub fn is_under(&self, namespace: &str) -> bool {
        self.0.strip_prefix(namespace).is_some_and(|rest| rest.starts_with(':'))
    }
}

impl TryFrom<String> for TaskName {
    type Error = NameFault;
    fn try_from(text: String) -> Result<Self, NameFault> {
        Self::new(&text)
    }
}

impl From<TaskName> for String {
    fn from(name: TaskName) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl Borrow<str> for TaskName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TaskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for TaskName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_by_the_rules_of_the_specification() {
        let cases = [
            ("web:build", Ok(())),
            ("a:b:c-d_e:0", Ok(())),
            ("", Err(NameFault::Empty)),
            ("build", Err(NameFault::NoColon)),
            (":build", Err(NameFault::EdgeColon)),
            ("build:", Err(NameFault::EdgeColon)),
            ("a::b", Err(NameFault::DoubleColon)),
            ("a:b c", Err(NameFault::Character(' '))),
            ("a:ü", Err(NameFault::Character('ü'))),
            ("a:b@ready", Err(NameFault::Character('@'))),
        ];
        for (text, expected) in cases {
            assert_eq!(TaskName::new(text).map(|_| ()), expected, "{text}");
        }
    }

    #[test]
    fn a_legal_spelling_is_legal() {
        for (text, expected) in [
            ("web build", Some("web-build")),
            ("web.build", Some("web:build")),
            (":a::b:", Some("a:b")),
            ("ü", None),
            ("", None),
        ] {
            assert_eq!(TaskName::legal_spelling(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn a_namespace_ends_at_a_colon() {
        let name = TaskName::new("ci:unit:fast").unwrap();
        assert!(name.is_under("ci") && name.is_under("ci:unit"));
        assert!(!name.is_under("c") && !name.is_under("ci:unit:fast"));
    }
}
