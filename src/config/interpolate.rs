//! `${root}`, `${project}`, `${git.root}` and `${ports.…}` in strings of our own files (spec section 1.2).
//! Every other `$` is the shell's.

use std::path::Path;

use super::Scope;
use crate::{diagnostic::did_you_mean, model::PortRef, pattern::escape};

/// A reference that cannot be substituted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// The kind of fault.
    pub code: &'static str,
    /// One sentence.
    pub message: String,
    /// What to do; may be empty.
    pub hint: String,
}

/// What a text is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Anything without rules of its own. No port is known when it is read.
    Plain,
    /// A glob: what is substituted means itself there. No port is known when it is read.
    Pattern,
    /// Of what is started: it may refer to ports of processes.
    Started,
    /// Of a process that is started: it may refer to its own ports, too.
    Process,
}

impl Kind {
    /// Whether a text of this kind may refer to the port.
    pub(super) const fn may_refer_to(self, port: &PortRef) -> bool {
        match self {
            Self::Plain | Self::Pattern => false,
            Self::Started => port.process.is_some(),
            Self::Process => true,
        }
    }
}

const KNOWN: [&str; 3] = ["root", "project", "git.root"];

/// The text with its references substituted, and what is wrong with the others, which stay as they are.
/// References to ports are kept for the moment ports are allocated, where the kind of text allows them.
pub(super) fn interpolate(text: &str, scope: &Scope<'_>, kind: Kind) -> (String, Vec<Problem>) {
    let (mut result, mut problems, mut rest) = (String::with_capacity(text.len()), Vec::new(), text);
    while let Some(start) = rest.find("${") {
        let after = &rest[start + 2..];
        let Some(end) = after.find('}') else { break };
        result.push_str(&rest[..start]);
        match value(&after[..end], scope, kind) {
            Ok(Some(value)) if kind == Kind::Pattern => result.push_str(&escape(value)),
            Ok(Some(value)) => result.push_str(value),
            Ok(None) => result.push_str(&rest[start..start + 2 + end + 1]),
            Err(problem) => {
                problems.push(problem);
                result.push_str(&rest[start..start + 2 + end + 1]);
            }
        }
        rest = &after[end + 1..];
    }
    result.push_str(rest);
    (result, problems)
}

/// What a name stands for; `None` if it is not ours.
fn value<'a>(name: &str, scope: &Scope<'a>, kind: Kind) -> Result<Option<&'a str>, Problem> {
    match name {
        "root" => path(name, scope.root).map(Some),
        "project" => Ok(Some(scope.project)),
        "git.root" => match scope.git_root {
            Some(root) => path(name, root).map(Some),
            None => Err(Problem {
                code: "no-git-root",
                message: "`${git.root}` has no value: this is no git repository".to_owned(),
                hint: "use `${root}`, the directory of the root's task file, or run `git init`".to_owned(),
            }),
        },
        _ if is_ours(name) => other(name, kind),
        _ => Ok(None),
    }
}

/// Whether a name can only be meant for us. A dot is not legal in a name of the shell's, but scripts of
/// other languages have such references too: only our own first words count.
fn is_ours(name: &str) -> bool {
    let first = name.split('.').next().unwrap_or_default();
    // The name of a process may have its project's in front.
    let is_legal = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c) || c == ':' && first == "ports";
    let is_path = name.split('.').all(|part| !part.is_empty() && part.chars().all(is_legal));
    is_path
        && name.contains('.')
        && (["git", "root", "project", "ports"].contains(&first) || name == "config.git.root")
}

fn other<'a>(name: &str, kind: Kind) -> Result<Option<&'a str>, Problem> {
    if let Some(port) = PortRef::parse(name) {
        return if kind.may_refer_to(&port) { Ok(None) } else { Err(no_port_here(&port, kind)) };
    }
    let last = name.rsplit_once("config.").map_or(name, |(_, last)| last);
    let hint = did_you_mean(last, KNOWN).map_or_else(
        || "there are `${root}`, `${project}`, `${git.root}` and `${ports.<process>.<name>}`".to_owned(),
        |near| format!("did you mean `${{{near}}}`?"),
    );
    Err(Problem { code: "unknown-substitution", message: format!("`${{{name}}}` means nothing here"), hint })
}

fn no_port_here(port: &PortRef, kind: Kind) -> Problem {
    if kind == Kind::Started {
        return Problem {
            code: "port-without-process",
            message: format!("`{port}` does not say whose port it is"),
            hint: format!(
                "write `${{ports.<process>.{}}}`: the short form is for a process itself",
                port.name
            ),
        };
    }
    Problem {
        code: "no-ports-here",
        message: format!("`{port}` has no value here: a port is known once something is started"),
        hint: "ports can stand in `exec`, `status`, `env`, `input`, and what a process asks or listens to"
            .to_owned(),
    }
}

fn path<'a>(name: &str, path: &'a Path) -> Result<&'a str, Problem> {
    path.to_str().ok_or_else(|| Problem {
        code: "unknown-substitution",
        message: format!("`${{{name}}}` cannot be substituted: the path is not UTF-8"),
        hint: "use a path relative to the task file".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_references_are_substituted() {
        let root = Path::new("/r");
        let scope = Scope { project: "web", is_root: true, dir: root, root, git_root: Some(Path::new("/g")) };
        for (text, expected, code) in [
            ("${root}/a", "/r/a", None),
            ("${project}-${git.root}", "web-/g", None),
            (
                "$root ${HOME} ${root:-x} ${#root} $(a) ${roots}",
                "$root ${HOME} ${root:-x} ${#root} $(a) ${roots}",
                None,
            ),
            ("`${item.name}` ${config.port}", "`${item.name}` ${config.port}", None),
            ("${root", "${root", None),
            ("${}", "${}", None),
            ("${${root}}", "${${root}}", None),
            ("ü${root}ü", "ü/rü", None),
            ("${git.rot}", "${git.rot}", Some("unknown-substitution")),
            ("${config.git.root}", "${config.git.root}", Some("unknown-substitution")),
            ("${root.dir}", "${root.dir}", Some("unknown-substitution")),
            ("${ports.http}", "${ports.http}", Some("no-ports-here")),
            ("${ports.web:api.http}", "${ports.web:api.http}", Some("no-ports-here")),
            ("${ports.web:http}", "${ports.web:http}", Some("unknown-substitution")),
            ("${root:a.b}", "${root:a.b}", None),
            ("${ports.a.b.c}", "${ports.a.b.c}", Some("unknown-substitution")),
        ] {
            let (result, problems) = interpolate(text, &scope, Kind::Plain);
            assert_eq!(result, expected, "{text}");
            assert_eq!(problems.first().map(|p| p.code), code, "{text}");
        }
    }

    #[test]
    fn what_is_substituted_into_a_pattern_means_itself() {
        let root = Path::new("/a[b]/{c,d}!");
        let scope = Scope { project: "web", is_root: true, dir: root, root, git_root: None };
        let (result, problems) = interpolate("${root}/[x]", &scope, Kind::Pattern);
        assert_eq!((result.as_str(), problems.len()), (r"/a\[b\]/\{c\,d\}\!/[x]", 0));
    }

    #[test]
    fn ports_are_kept_for_later_where_they_are_known() {
        let root = Path::new("/r");
        let scope = Scope { project: "web", is_root: true, dir: root, root, git_root: None };
        let text = "${ports.http} ${ports.web.http} ${ports.a:web.http}";
        for (kind, codes) in [
            (Kind::Process, vec![]),
            (Kind::Started, vec!["port-without-process"]),
            (Kind::Plain, vec!["no-ports-here"; 3]),
            (Kind::Pattern, vec!["no-ports-here"; 3]),
        ] {
            let (result, problems) = interpolate(text, &scope, kind);
            assert_eq!(
                (result.as_str(), problems.iter().map(|p| p.code).collect()),
                (text, codes),
                "{kind:?}"
            );
        }
        assert_eq!(interpolate("${git.root}", &scope, Kind::Process).1[0].code, "no-git-root");
        assert_eq!(
            interpolate("${config.git.root}", &scope, Kind::Process).1[0].hint,
            "did you mean `${git.root}`?"
        );
    }
}
