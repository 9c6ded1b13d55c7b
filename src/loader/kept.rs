//! What was loaded is kept in the state directory, together with every question that was put to the world for
//! it. The next invocation puts the same questions, and takes what was kept if all the answers are the same:
//! it never guesses from times alone, and everything that is odd about the file means loading anew.

use std::{
    collections::BTreeMap,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::{
    Kind, LoadRequest, Loaded, Observed, Project,
    world::{Observation, Replay},
};
use crate::{
    config::{Settings, normalise},
    diagnostic::{Source, Sources},
    graph::{Stored, TaskGraph},
    model::Digest,
    scan::system_now_ns,
    store::{STATE_DIR, StateDir, prune_private, read_private, write_private},
};

/// Beneath the state directory.
const DIR: &str = "loaded";
/// How many of these files there are at most: one for each directory that devtask is started in.
const MOST: usize = 16;
/// A longer file is not ours.
const LIMIT: u64 = 256 << 20;
/// How the file begins; then the build, the checksum of the rest, and the rest.
const MAGIC: &[u8; 16] = b"devtask loaded\n\0";
const HEADER: usize = MAGIC.len() + 8 + 16;

/// A tree that was loaded without a fault, and its graph.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// What was loaded; its declarations have gone into the graph.
    pub loaded: Loaded,
    /// The graph.
    pub graph: TaskGraph,
    /// Stands for all of it: what has the same is the same.
    pub digest: Digest,
}

/// Keeps what was loaded, and finds it again.
#[derive(Clone, Copy, Debug)]
pub struct Keeper {
    build: u64,
}

/// What decides whether the rest counts.
#[derive(Serialize, Deserialize)]
struct Key {
    start_dir: PathBuf,
    file: Option<PathBuf>,
    home: Option<PathBuf>,
    observed: Vec<Observation>,
}

#[derive(Serialize, Deserialize)]
struct Rest<'a> {
    root: PathBuf,
    projects: Vec<Project>,
    current_project: Option<String>,
    settings: Settings,
    env: BTreeMap<String, String>,
    /// What texts are called; the texts themselves are read again anyway.
    sources: Vec<(String, PathBuf)>,
    files: Vec<PathBuf>,
    #[serde(borrow)]
    graph: Stored<'a>,
}

impl Keeper {
    /// `build` tells this very program from every other: a number that changes when the program does. What
    /// another one kept is not read.
    #[must_use]
    pub const fn new(build: u64) -> Self {
        Self { build }
    }

    /// What a load would give now, if that is known: from `state_dir`, else from the state directories at the
    /// usual place of the directory of the file or of the start, and those above it.
    #[must_use]
    pub fn find(self, request: &LoadRequest, state_dir: Option<&Path>) -> Option<Resolved> {
        let name = Path::new(DIR).join(name(request));
        let file = request.file.as_ref().map(|file| normalise(&request.start_dir.join(file)));
        let beneath = file.as_deref().and_then(Path::parent).unwrap_or(&request.start_dir);
        let usual = || beneath.ancestors().map(|dir| dir.join(STATE_DIR)).collect();
        let dirs: Vec<PathBuf> = state_dir.map_or_else(usual, |dir| vec![dir.to_owned()]);
        dirs.iter().find_map(|dir| self.decode(request, &read_private(&dir.join(&name), LIMIT)?))
    }

    /// Keeps what was loaded, if it may be kept. That it cannot be written is no fault: it saves time only.
    /// The caller holds the lock of the state directory.
    pub fn keep(self, request: &LoadRequest, loaded: &Loaded, graph: &TaskGraph, state_dir: &Path) {
        let Some(bytes) = self.encode(request, loaded, graph) else { return };
        let Ok(Some(Ok(dir))) = StateDir::open(state_dir).map(|dir| dir.map(|dir| dir.subdir(DIR))) else {
            return;
        };
        if write_private(&dir.join(name(request)), &bytes).is_ok() {
            prune_private(&dir, MOST);
        }
    }

    fn encode(self, request: &LoadRequest, loaded: &Loaded, graph: &TaskGraph) -> Option<Vec<u8>> {
        let may_be_kept = loaded.observed.may_be_kept && loaded.warnings.is_empty();
        let observed = may_be_kept.then(|| loaded.observed.list.clone())?;
        let LoadRequest { start_dir, file, home, .. } = request.clone();
        let source = |source: &Source| Some((source.name.clone(), source.path.clone()?));
        let rest = Rest {
            root: loaded.root.clone(),
            projects: loaded.projects.clone(),
            current_project: loaded.current_project.clone(),
            settings: loaded.settings.clone(),
            env: loaded.env.clone(),
            sources: loaded.sources.iter().map(source).collect::<Option<_>>()?,
            files: loaded.files.clone(),
            graph: graph.stored(),
        };
        let mut bytes = postcard::to_stdvec(&Key { start_dir, file, home, observed }).ok()?;
        let key = bytes.len();
        bytes.extend(postcard::to_stdvec(&rest).ok()?);
        // What does not come back as it was, as some numbers of JSON do, is not kept.
        let back: Rest<'_> = postcard::from_bytes(&bytes[key..]).ok()?;
        let graph = TaskGraph::restored(back.graph)?;
        let again = Rest { graph: graph.stored(), ..back };
        (postcard::to_stdvec(&again).ok()? == bytes[key..])
            .then(|| [&self.header(&bytes)[..], &bytes].concat())
    }

    fn decode(self, request: &LoadRequest, file: &[u8]) -> Option<Resolved> {
        let (_, bytes) = file.split_at_checked(HEADER)?;
        if file[..HEADER] != self.header(bytes) {
            return None;
        }
        let (key, rest): (Key, &[u8]) = postcard::take_from_bytes(bytes).ok()?;
        if (&key.start_dir, &key.file, &key.home) != (&request.start_dir, &request.file, &request.home) {
            return None;
        }
        let (mut replay, since_ns) = (Replay::default(), system_now_ns());
        if !key.observed.iter().all(|observation| replay.holds(observation)) {
            return None;
        }
        let rest: Rest<'_> = postcard::from_bytes(rest).ok()?;
        let graph = TaskGraph::restored(rest.graph)?;
        let sources = sources(rest.sources, &mut replay)?;
        let loaded = Loaded {
            root: rest.root,
            kind: Kind::Devtask,
            declarations: Vec::new(),
            servers: Vec::new(),
            has_kept_lists: false,
            projects: rest.projects,
            current_project: rest.current_project,
            settings: rest.settings,
            env: rest.env,
            sources,
            warnings: Vec::new(),
            files: rest.files,
            observed: Observed { list: key.observed, since_ns, may_be_kept: false },
        };
        Some(Resolved { loaded, graph, digest: Digest(xxh3_128(&file[..HEADER])) })
    }

    fn header(self, bytes: &[u8]) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..16].copy_from_slice(MAGIC);
        header[16..24].copy_from_slice(&self.build.to_le_bytes());
        header[24..].copy_from_slice(&xxh3_128(bytes).to_le_bytes());
        header
    }
}

/// The texts as they were read just now.
fn sources(names: Vec<(String, PathBuf)>, replay: &mut Replay) -> Option<Sources> {
    let mut sources = Sources::default();
    for (name, path) in names {
        let text = std::str::from_utf8(replay.texts.get(&path)?).ok()?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).into();
        sources.add(Source { name, path: Some(path), text });
    }
    Some(sources)
}

/// One file a request; the request in it decides.
fn name(request: &LoadRequest) -> String {
    let mut text = request.start_dir.as_os_str().as_bytes().to_vec();
    for part in [&request.file, &request.home] {
        text.push(0);
        text.extend(part.iter().flat_map(|path| path.as_os_str().as_bytes()));
    }
    format!("{:016x}", xxh3_64(&text))
}
