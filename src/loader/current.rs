//! A loaded tree some time later: whether it is still what the files say, and what another working directory
//! makes of it. A process that holds a tree serves others from what it has loaded (spec section 4.6).

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use xxhash_rust::xxh3::xxh3_128;

use super::{
    Kind, Loaded, Project, find,
    world::{Replay, World},
};
use crate::{graph::TaskGraph, model::Digest, plan::Standpoint};

impl Loaded {
    /// Whether a load would give the same now, as far as stamps of files can tell. Nothing is said of lists from
    /// variables: these are in nobody's way.
    #[must_use]
    pub fn is_current(&self) -> bool {
        let mut replay = Replay::believing_stamps(self.observed.since_ns);
        self.observed.list.iter().all(|observation| replay.holds(observation))
    }

    /// The directories in which a change may make it another: those of its files, and those above these up to the
    /// root, where other projects may come.
    #[must_use]
    pub fn places(&self) -> Vec<PathBuf> {
        let mut places = BTreeSet::from([self.root.clone()]);
        for file in &self.files {
            let above = file.ancestors().skip(1);
            let beneath = above.clone().take_while(|dir| dir.starts_with(&self.root));
            // A file elsewhere, as one named in `dotenv` may be.
            places.extend(beneath.chain(above.take(1)).map(Path::to_owned));
        }
        places.into_iter().collect()
    }

    /// From where names are meant in the directory that this was loaded from.
    #[must_use]
    pub fn standpoint(&self) -> Standpoint {
        self.standpoint_of(self.current_project.clone())
    }

    /// The same for another directory, if the search from there, which does not leave `home`, leads to this very
    /// tree. None: it leads elsewhere, or only loading can tell, or loading has something to say.
    #[must_use]
    pub fn standpoint_at(&self, dir: &Path, home: Option<&Path>) -> Option<Standpoint> {
        if !self.warnings.is_empty() {
            return None;
        }
        let world = World::default();
        let (mut found, mut reaches_root) = (None, false);
        for dir in find::ancestors(dir, home, &world) {
            // What stands above the root might include the nearest project without including the root.
            let file = find::in_directory(&dir, &world).ok()?;
            match file {
                Some(_) if reaches_root => return None,
                Some(file) if found.is_none() => found = Some(self.project_with(&file)?),
                _ => {}
            }
            reaches_root |= is_same_place(&dir, &self.root);
        }
        let project = found.filter(|_| reaches_root && self.kind == Kind::Devtask)?;
        Some(self.standpoint_of(Some(project.name.clone())))
    }

    /// The same for another directory, by the directories of the projects alone, whatever is in them by now.
    #[must_use]
    pub fn standpoint_within(&self, dir: &Path) -> Standpoint {
        let around = self.projects.iter().filter(|project| dir.starts_with(&project.dir));
        let nearest = around.max_by_key(|project| project.dir.as_os_str().len());
        self.standpoint_of(nearest.map(|project| project.name.clone()))
    }

    /// At the root of all projects, everything is meant where nothing is named.
    fn standpoint_of(&self, project: Option<String>) -> Standpoint {
        let root = self.projects.first().map(|project| &project.name);
        let default_project = project.clone().filter(|name| Some(name) != root);
        Standpoint { project, default_project }
    }

    fn project_with(&self, file: &Path) -> Option<&Project> {
        let files = || self.projects.iter().filter_map(|project| Some((project, project.file.as_deref()?)));
        let plainly = files().find(|(_, known)| *known == file);
        plainly.or_else(|| files().find(|(_, known)| is_same_place(known, file))).map(|(project, _)| project)
    }

    /// Stands for the tree and its graph, wherever they were loaded from: what has the same is the same. Only one
    /// program can tell. None: it has no form to compare.
    #[must_use]
    pub fn digest(&self, graph: &TaskGraph) -> Option<Digest> {
        let parts =
            (self.root.as_os_str().as_encoded_bytes(), &self.projects, &self.settings, graph.stored());
        Some(Digest(xxh3_128(&postcard::to_stdvec(&parts).ok()?)))
    }
}

/// Whether two paths lead to one place.
pub(crate) fn is_same_place(one: &Path, other: &Path) -> bool {
    one == other || matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(a), Ok(b)) if a == b)
}
