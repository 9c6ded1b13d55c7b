//! All readers, one after the other.

use super::{
    cargo, checks, composer,
    draft::{Projects, project},
    go, hooks, just, make, node, procfile, python, taskfile,
    tree::Tree,
};

/// The directories that get a task file, with what comes into it. Languages come first: of two tasks with one name
/// theirs says what it reads.
pub(super) fn find(tree: &Tree<'_>) -> Projects {
    let mut projects = Projects::new();
    for add in [cargo::add, go::add, node::add, python::add, composer::add] {
        add(tree, &mut projects);
    }
    project(&mut projects, "", None);
    let dirs: Vec<String> = projects.keys().cloned().collect();
    for add in [just::add, taskfile::add, make::add, procfile::add] {
        add(tree, &mut projects, &dirs);
    }
    hooks::add(tree, &mut projects);
    checks::add(tree, &mut projects);
    // No text is worth it that has to name such a directory: it would be a reference of ours.
    let odd: Vec<String> = projects.keys().filter(|dir| dir.contains("${")).cloned().collect();
    for dir in odd {
        tree.note(&dir, "left out, as its name has `${`");
        projects.remove(&dir);
    }
    projects
}
