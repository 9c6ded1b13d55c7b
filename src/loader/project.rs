//! Our own task files: which one is the root, and what the projects beneath it declare
//! (spec section 1.1).

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use super::{
    Faults, Kind, LoadRequest, Loaded, Project, current_project, dotenv, find,
    read::Reading,
    tree::{Member, Tree},
};
use crate::{
    config::{Scope, Settings},
    diagnostic::{Diagnostic, Place},
    model::{Declaration, TaskName, TaskServer},
};

/// Loads the tree that `file` belongs to.
pub(super) fn load(request: &LoadRequest, file: &Path, mut reading: Reading) -> Result<Loaded, Box<Faults>> {
    let tree = Tree::around(file, request.home.as_deref(), &mut reading);
    let root = file_dir(&tree.root).to_owned();
    let mut joined = Joined { complete: tree.complete, ..Joined::default() };
    for member in &tree.members {
        joined.add(member, &root, request.home.as_deref(), &mut reading);
    }
    if reading.diagnostics.iter().any(Diagnostic::is_error) {
        return Err(reading.into_faults(joined.declarations, joined.complete));
    }
    Ok(Loaded {
        root,
        kind: Kind::Devtask,
        declarations: joined.declarations,
        servers: joined.servers,
        has_kept_lists: false,
        current_project: current_project(&joined.projects, &request.start_dir, &reading.world),
        projects: joined.projects,
        settings: joined.settings,
        env: joined.env,
        sources: reading.sources,
        warnings: reading.diagnostics,
        observed: reading.world.observed(),
        files: reading.files,
    })
}

/// The directory a file lies in.
pub(super) fn file_dir(file: &Path) -> &Path {
    file.parent().unwrap_or(file)
}

/// The name of a project that gives itself none: that of its directory, made legal.
pub(super) fn default_name(dir: &Path) -> Option<String> {
    let name = dir.file_name()?.to_string_lossy();
    // A dot is part of a directory's name, not a boundary of namespaces.
    TaskName::legal_spelling(&name.replace(['.', ':'], "-"))
}

/// The projects joined so far.
#[derive(Default)]
struct Joined {
    declarations: Vec<Declaration>,
    servers: Vec<(TaskServer, Place)>,
    projects: Vec<Project>,
    settings: Settings,
    env: BTreeMap<String, String>,
    /// Where each name was given.
    names: HashMap<String, Place>,
    complete: bool,
}

impl Joined {
    fn add(&mut self, member: &Member, root: &Path, home: Option<&Path>, reading: &mut Reading) {
        let dir = file_dir(&member.path);
        let is_root = self.projects.is_empty();
        let name = self.name(member, dir, reading);
        let git_root = find::git_root(dir, home, &reading.world);
        let scope = Scope { project: &name, is_root, dir, root, git_root: git_root.as_deref() };
        let variables = dotenv::variables(&member.file, &scope, reading);
        let declared = member.file.declare(&scope, &variables);
        self.declarations.extend(declared.declarations);
        self.servers.extend(declared.servers);
        if is_root {
            self.env = declared.env;
        }
        self.complete &= declared.complete;
        reading.diagnostics.extend(declared.faults);
        self.settings(member, is_root, reading);
        self.projects.push(Project { name, dir: dir.to_owned(), file: Some(member.path.clone()) });
    }

    /// The project's name. Where it has none that is legal, a stand-in: its faults are shown with others.
    fn name(&mut self, member: &Member, dir: &Path, reading: &mut Reading) -> String {
        let start = Place { source: member.file.source(), span: 0..0 };
        let (name, place) = match member.file.name() {
            Some(given) => (legal(&given.text, &given.place, reading), given.place),
            None => (from_directory(dir, &start, reading), start),
        };
        if let Some(first) = self.names.get(&name) {
            reading.diagnostics.push(
                Diagnostic::error("duplicate-project", format!("two projects are called `{name}`"))
                    .at(Some(&place), "this one")
                    .at(Some(first), "and this one")
                    .hint("give one of them another `name`"),
            );
        } else {
            self.names.insert(name.clone(), place);
        }
        name
    }

    fn settings(&mut self, member: &Member, is_root: bool, reading: &mut Reading) {
        let (settings, place) = member.file.settings();
        if is_root {
            self.settings = settings;
        } else if place.is_some() {
            reading.diagnostics.push(
                Diagnostic::warning("settings-ignored", "the settings of an included file do not count")
                    .at(place.as_ref(), "")
                    .hint("move them to the root's file"),
            );
        }
    }
}

fn legal(name: &str, place: &Place, reading: &mut Reading) -> String {
    let Err(fault) = TaskName::check_characters(name) else { return name.to_owned() };
    let legal = TaskName::legal_spelling(name);
    let message = format!("a project's name is part of its tasks' names: {fault}");
    let mut diagnostic = Diagnostic::error("bad-name", message).at(Some(place), "");
    if let Some(legal) = &legal {
        diagnostic = diagnostic.hint(format!("`{legal}` is a legal spelling"));
    }
    reading.diagnostics.push(diagnostic);
    legal.unwrap_or_else(|| "project".to_owned())
}

fn from_directory(dir: &Path, start: &Place, reading: &mut Reading) -> String {
    default_name(dir).unwrap_or_else(|| {
        let message = format!("the directory {} gives no name for the project", dir.display());
        reading.diagnostics.push(
            Diagnostic::error("bad-name", message)
                .at(Some(start), "")
                .hint("add `name = \"…\"` to this file"),
        );
        "project".to_owned()
    })
}
