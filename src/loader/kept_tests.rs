use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use fastrand::Rng;
use tempfile::TempDir;

use super::*;
use crate::{
    graph::TaskGraph,
    store::{STATE_DIR, StateDir},
};

const KEEPER: Keeper = Keeper::new(7);

/// A tree that is edited at random.
struct World {
    _dir: TempDir,
    root: PathBuf,
    rng: Rng,
}

const FILES: [&str; 12] = [
    "devtask.toml",
    "devtask.json",
    "a/devtask.toml",
    "a/devtask.json",
    "a/b/devtask.toml",
    "c/devtask.toml",
    "c/d/devtask.toml",
    ".env",
    "a/.env",
    ".gitignore",
    "a/.ignore",
    ".git",
];

const TEXTS: [&str; 14] = [
    "",
    "include = [\"a\"]\n[tasks.x]\nexec = \"echo ${root} ${project}\"\n",
    "include = [\"*\"]\n[tasks.x]\nexec = \"echo\"\ninput = { a = 1.5, b = [\"${root}\"] }\n",
    "include = [\"**\"]\n[tasks.x]\nexecIfModified = [\"src/**/*.rs\", \"!src/x\"]\noutputs = [\"out\"]\nexec = \"true\"\n",
    "name = \"p\"\n[tasks.y]\nexec = \"echo ${git.root}\"\nafter = [\"z\"]\n[tasks.z]\n",
    "name = \"q\"\n[env]\nA = \"1\"\n[tasks.y]\nexec = \"true\"\nstatus = \"false\"\nretries = 2\ntimeout = 1.5\n",
    "dotenv = [\".env\"]\n[tasks.y]\nexec = \"echo $A\"\n",
    "[processes.s]\nexec = \"serve\"\nready = { http.get = { port = 80, path = \"/\" } }\n[tasks.t]\nafter = [\"devenv:processes:s\"]\n",
    "[settings]\njobs = 3\ncolor = \"never\"\nui = \"plain\"\n[tasks.t]\nlock = \"l\"\nexec = \"true\"\n",
    "{\"tasks\": {\"j\": {\"exec\": \"true\", \"input\": {\"n\": 0.1}}}}",
    "A=secret\n",
    "a\nc/\n",
    "[tasks.broken\n",
    "\u{feff}[tasks.bom]\ncwd = \"..\"\n",
];

impl World {
    fn new(seed: u64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap().join("tree");
        for made in ["a/b", "c/d"] {
            fs::create_dir_all(root.join(made)).unwrap();
        }
        fs::write(root.join("devtask.toml"), TEXTS[1]).unwrap();
        Self { _dir: dir, root, rng: Rng::with_seed(seed) }
    }

    fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.rng.usize(..list.len())]
    }

    fn at(&mut self, names: &[&str]) -> PathBuf {
        let name = self.pick(names);
        self.root.join(name)
    }

    /// One change; what the system refuses is none.
    fn edit(&mut self) {
        let path = self.at(&FILES);
        match self.rng.u8(..12) {
            0 => drop(fs::remove_file(&path)),
            1 => {
                let other = self.at(&FILES);
                let _ = fs::rename(&path, other);
            }
            2 => {
                let elsewhere = self.at(&["a", "c", "c/d", "new"]);
                let away = self.at(&["a", "c", "gone"]);
                let _ = fs::rename(elsewhere, away);
            }
            3 => {
                let target = self.at(&["a", "c", "c/devtask.toml", "nowhere"]);
                let _ = fs::remove_file(&path);
                let _ = symlink(target, &path);
            }
            4 => drop(fs::create_dir_all(self.at(&["a/b", "c/d", "new", "e", ".git"]))),
            5 => self.rewrite_in_secret(&path),
            6 => {
                let link = self.at(&["e", "c/d"]);
                let _ = fs::remove_dir_all(&link).or_else(|_| fs::remove_file(&link));
                let _ = symlink(self.root.join("a"), link);
            }
            _ => {
                let text = self.pick(&TEXTS);
                let _ = fs::remove_file(&path);
                let _ = fs::write(&path, text);
            }
        }
    }

    /// A sound tree again: most edits end in faults, of which nothing is kept.
    fn mend(&mut self) {
        for file in FILES.iter().filter(|file| file.starts_with(|c| c != '.')) {
            let _ = fs::remove_file(self.root.join(file));
        }
        let text = self.rng.usize(1..6);
        let _ = fs::write(self.root.join("devtask.toml"), TEXTS[text]);
        let _ = fs::write(self.root.join("a/devtask.toml"), TEXTS[self.rng.usize(3..6)]);
    }

    /// Other content of the same length, with the stamp it had.
    fn rewrite_in_secret(&mut self, path: &Path) {
        let Ok(text) = fs::read_to_string(path) else { return };
        let Ok(modified) = fs::metadata(path).and_then(|meta| meta.modified()) else { return };
        fs::write(path, text.replace("exec", "cexe").replace("tasks.x", "tasks.w")).unwrap();
        fs::File::options().append(true).open(path).unwrap().set_modified(modified).unwrap();
    }

    fn request(&mut self) -> LoadRequest {
        let start_dir = self.at(&["", "", "a", "a/b", "c"]);
        let file = self.pick(&[None, None, None, Some("devtask.toml"), Some("../c/devtask.toml")]);
        let home = self.pick(&["", "", "c"]);
        LoadRequest {
            start_dir,
            file: file.map(PathBuf::from),
            home: Some(self.root.join(home)),
            ..LoadRequest::default()
        }
    }
}

/// What a load gives now, with its graph.
fn fresh(request: &LoadRequest) -> Option<(Loaded, TaskGraph)> {
    let mut loaded = load(request).ok()?;
    let graph = TaskGraph::build(std::mem::take(&mut loaded.declarations)).ok()?;
    Some((loaded, graph))
}

/// Everything of it, in words.
fn words(loaded: &Loaded, graph: &TaskGraph) -> String {
    let Loaded { root, kind, declarations, projects, current_project, settings, sources, .. } = loaded;
    let rest = (&loaded.warnings, &loaded.files, graph.stored());
    format!("{:#?}", (root, kind, declarations, projects, current_project, settings, sources, rest))
}

/// What was kept for a request, in words.
fn kept(request: &LoadRequest) -> Option<String> {
    KEEPER.find(request, None).map(|found| words(&found.loaded, &found.graph))
}

fn keep(request: &LoadRequest, (loaded, graph): &(Loaded, TaskGraph)) -> PathBuf {
    let state_dir = loaded.root.join(STATE_DIR);
    StateDir::create(&state_dir).unwrap();
    KEEPER.keep(request, loaded, graph, &state_dir);
    let mut files = fs::read_dir(state_dir.join("loaded")).into_iter().flatten();
    files.next().map(|entry| entry.unwrap().path()).unwrap_or_default()
}

#[test]
fn what_was_kept_is_what_a_load_gives_whatever_was_edited() {
    let (mut found, mut not_found) = (0, 0);
    for seed in 0..25 {
        let mut world = World::new(seed);
        let requests = [world.request(), world.request()];
        for step in 0..50 {
            match world.rng.u8(..8) {
                0 => world.mend(),
                1..4 => world.edit(),
                _ => {}
            }
            for request in &requests {
                let now = fresh(request);
                let expected = now.as_ref().map(|(loaded, graph)| words(loaded, graph));
                match kept(request) {
                    Some(kept) => {
                        assert_eq!(Some(&kept), expected.as_ref(), "seed {seed}, step {step}: {request:#?}");
                        found += 1;
                    }
                    None => not_found += 1,
                }
                let Some(now) = &now else { continue };
                keep(request, now);
                let may_be_kept = now.0.observed.may_be_kept && now.0.warnings.is_empty();
                assert_eq!(kept(request).is_some(), may_be_kept, "seed {seed}, step {step}: {request:#?}");
            }
        }
    }
    assert!(found > 300 && not_found > 300, "{found} found, {not_found} not: the edits prove nothing");
}

#[test]
fn what_is_odd_about_the_file_means_loading_anew() {
    let mut world = World::new(1);
    let request = LoadRequest { start_dir: world.root.clone(), ..LoadRequest::default() };
    fs::remove_dir_all(world.root.join("a")).unwrap();
    fs::write(world.root.join("devtask.toml"), TEXTS[3].replace("include", "#")).unwrap();
    let now = fresh(&request).unwrap();
    let path = keep(&request, &now);
    let good = fs::read(&path).unwrap();
    assert_eq!(kept(&request), Some(words(&now.0, &now.1)));
    assert!(Keeper::new(8).find(&request, None).is_none(), "another program's");
    for _ in 0..2000 {
        let mut bad = good.clone();
        match world.rng.u8(..3) {
            0 => bad.truncate(world.rng.usize(..good.len())),
            1 => bad.insert(world.rng.usize(..=good.len()), world.rng.u8(..)),
            _ => bad[world.rng.usize(..good.len())] ^= world.rng.u8(1..),
        }
        fs::write(&path, bad).unwrap();
        assert!(kept(&request).is_none());
    }
    fs::write(&path, &good).unwrap();
    assert!(kept(&request).is_some());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(kept(&request).is_none(), "others might have written it");
}

#[test]
fn what_is_kept_cannot_be_brought_along() {
    let world = World::new(2);
    let request = LoadRequest { start_dir: world.root.join("c"), ..LoadRequest::default() };
    fs::write(world.root.join("c/devtask.toml"), TEXTS[5]).unwrap();
    keep(&request, &fresh(&request).unwrap());
    assert!(kept(&request).is_some());
    // The same texts at the same place, but other files.
    fs::rename(world.root.join("c"), world.root.join("old")).unwrap();
    fs::create_dir(world.root.join("c")).unwrap();
    fs::write(world.root.join("c/devtask.toml"), TEXTS[5]).unwrap();
    fs::rename(world.root.join("old").join(STATE_DIR), world.root.join("c").join(STATE_DIR)).unwrap();
    assert!(kept(&request).is_none());
}

#[test]
fn what_dotenv_files_hold_is_not_kept() {
    let world = World::new(3);
    let request = LoadRequest { start_dir: world.root.clone(), ..LoadRequest::default() };
    fs::write(world.root.join("devtask.toml"), TEXTS[6]).unwrap();
    keep(&request, &fresh(&request).unwrap());
    assert!(kept(&request).is_some(), "the file is missing, which is all there is to know");
    fs::write(world.root.join(".env"), "A=secret\n").unwrap();
    assert!(kept(&request).is_none());
    keep(&request, &fresh(&request).unwrap());
    assert!(kept(&request).is_none());
}
