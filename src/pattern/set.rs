//! All patterns of one list.

use std::{
    ops::Range,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use super::{
    brace::{self, MAX_ALTERNATIVES},
    compile::{Glob, MAX_SEGMENTS, States, Unusable},
    parse::{self, Fault},
};

/// What the patterns are for, which decides what wildcards pass over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PatternKind {
    /// `execIfModified`: wildcards pass over hidden and ignored files (spec section 4.4).
    Inputs,
    /// `outputs`: whatever git ignores or a dot hides (spec section 4.5).
    Outputs,
}

/// Something wrong with one pattern of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternFault {
    /// The position of the pattern in the list.
    pub index: usize,
    /// Bytes from and to within the pattern.
    pub span: Range<usize>,
    /// One sentence without a full stop.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

/// One task's list of patterns, compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternSet {
    kind: PatternKind,
    bases: Vec<PathBuf>,
    written: Vec<String>,
    globs: Vec<Glob>,
}

impl PatternSet {
    /// No patterns at all.
    #[must_use]
    pub const fn empty(kind: PatternKind) -> Self {
        Self { kind, bases: Vec::new(), written: Vec::new(), globs: Vec::new() }
    }

    /// Compiles `patterns`. Relative ones are looked up from each of `bases`, which are absolute: usually
    /// the task's `cwd`, and a second one for devenv's JSON (spec section 4.4). `..` is taken by name.
    ///
    /// # Errors
    /// Everything that is wrong, not only the first.
    pub fn new(bases: &[PathBuf], patterns: &[String], kind: PatternKind) -> Result<Self, Vec<PatternFault>> {
        let mut bases = bases.to_vec();
        bases.dedup();
        let mut set = Self { kind, bases, written: patterns.to_vec(), globs: Vec::new() };
        let mut faults = Vec::new();
        for (index, pattern) in patterns.iter().enumerate() {
            if let Err(Fault { span, message, hint }) = set.add(index, pattern) {
                faults.push(PatternFault { index, span, message, hint: hint.to_owned() });
            }
        }
        if faults.is_empty() { Ok(set) } else { Err(faults) }
    }

    fn add(&mut self, index: usize, pattern: &str) -> Result<(), Fault> {
        let negated = pattern.starts_with('!');
        let whole = |message: String, hint| Fault { span: 0..pattern.len(), message, hint };
        let nodes = parse::parse(pattern, usize::from(negated))?;
        let alternatives = brace::expand(&nodes).ok_or_else(|| {
            whole(
                format!("the braces stand for more than {MAX_ALTERNATIVES} patterns"),
                "use wildcards instead",
            )
        })?;
        for atoms in &alternatives {
            if atoms.is_empty() {
                return Err(whole("the pattern is empty".into(), "write `.` for the directory itself"));
            }
            for base in &self.bases {
                let glob = Glob::new(base, atoms, index, negated, self.kind).map_err(|why| match why {
                    Unusable::ParentAfterWildcard => {
                        whole("`..` after a wildcard has no fixed meaning".into(), "put `..` first")
                    }
                    Unusable::TooManySegments => whole(
                        format!("more than {MAX_SEGMENTS} segments follow the first wildcard"),
                        "use `**`",
                    ),
                })?;
                self.globs.push(glob);
            }
        }
        Ok(())
    }

    /// What the patterns are for.
    #[must_use]
    pub const fn kind(&self) -> PatternKind {
        self.kind
    }

    /// The directories relative patterns are looked up from.
    #[must_use]
    pub fn bases(&self) -> &[PathBuf] {
        &self.bases
    }

    /// The patterns as they were written.
    #[must_use]
    pub fn written(&self) -> &[String] {
        &self.written
    }

    /// The compiled alternatives, in the order they were written.
    #[must_use]
    pub fn globs(&self) -> &[Glob] {
        &self.globs
    }

    /// Whether the file at this absolute path is matched, as far as its name decides: what git ignores
    /// and what is a directory is not known here.
    #[must_use]
    pub fn matches(&self, path: &Path) -> bool {
        self.accepts(path, |glob, states| glob.accepts(states))
    }

    /// Whether a file somewhere beneath the directory at this absolute path can be matched, as far as
    /// names decide. A watcher asks it to know which directories to look at.
    #[must_use]
    pub fn reaches(&self, directory: &Path) -> bool {
        let begins_beneath = |glob: &Glob| {
            !glob.is_negated() && glob.prefix() != directory && glob.prefix().starts_with(directory)
        };
        self.globs.iter().any(begins_beneath) || self.accepts(directory, |glob, states| glob.goes_on(states))
    }

    fn accepts(&self, path: &Path, wanted: impl Fn(&Glob, States) -> bool) -> bool {
        let holds = |glob: &Glob| states_of(glob, path).is_some_and(|states| wanted(glob, states));
        let removes = |glob: &Glob| states_of(glob, path).is_some_and(|states| glob.accepts(states));
        let globs = || self.globs.iter();
        globs().any(|g| !g.is_negated() && holds(g)) && !globs().any(|g| g.is_negated() && removes(g))
    }
}

/// The states of `path`, if the glob's fixed beginning leads there and some are left.
fn states_of(glob: &Glob, path: &Path) -> Option<States> {
    let beneath = path.strip_prefix(glob.prefix()).ok()?;
    let states = beneath.iter().fold(glob.start(), |states, name| glob.step(states, name.as_bytes()));
    (!states.is_empty()).then_some(states)
}
