//! What one load says of other directories and of later times.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::{LoadRequest, Loaded, load};
use crate::graph::TaskGraph;

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// A tree of three projects, with directories that belong to none of them.
fn tree() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap().join("top/tree");
    write(&root, "devtask.toml", "name = 'tree'\ninclude = ['apps/*']\n[tasks.t]\nexec = 'true'\n");
    for app in ["web", "api"] {
        let text = "include = ['inner']\ndotenv = ['.env']\n[tasks.t]\nexec = 'true'\n";
        write(&root, &format!("apps/{app}/devtask.toml"), text);
        write(&root, &format!("apps/{app}/inner/devtask.toml"), &format!("name = '{app}-inner'\n"));
        write(&root, &format!("apps/{app}/src/file"), "");
    }
    write(&root, "apps/web/apart/devtask.toml", "[tasks.t]\nexec = 'true'\n");
    write(&root, "lib/file", "");
    (dir, root)
}

fn loaded(start_dir: &Path) -> Loaded {
    load(&LoadRequest { start_dir: start_dir.to_owned(), ..LoadRequest::default() }).unwrap()
}

fn with_graph(start_dir: &Path) -> (Loaded, TaskGraph) {
    let mut loaded = loaded(start_dir);
    let graph = TaskGraph::build(std::mem::take(&mut loaded.declarations)).unwrap();
    (loaded, graph)
}

const PLACES: [&str; 9] = [
    "",
    "lib",
    "apps",
    "apps/web",
    "apps/web/src",
    "apps/web/inner",
    "apps/api/inner",
    "apps/web/apart",
    "..",
];

#[test]
fn one_load_knows_what_others_would_say_of_their_directories() {
    let (_dir, root) = tree();
    let mut known = 0;
    for from in PLACES.iter().take(7) {
        let (here, graph) = with_graph(&root.join(from));
        for place in PLACES {
            let dir = root.join(place).canonicalize().unwrap();
            let request = LoadRequest { start_dir: dir.clone(), ..LoadRequest::default() };
            let there = load(&request).ok().filter(|there| there.root == here.root);
            assert_eq!(
                here.standpoint_at(&dir, None),
                there.as_ref().map(Loaded::standpoint),
                "from {from} of {place}"
            );
            known += usize::from(there.is_some());
            if let Some(there) = there {
                let same = with_graph(&there.root.join(place));
                assert_eq!(here.digest(&graph), same.0.digest(&same.1), "from {from} and {place}");
            }
        }
    }
    assert_eq!(known, 7 * 7);
}

#[test]
fn what_only_a_load_can_tell_is_not_guessed() {
    let (dir, root) = tree();
    let here = loaded(&root);
    let web = root.join("apps/web");
    assert!(here.standpoint_at(&web, None).is_some());
    assert!(here.standpoint_at(&web, Some(&web)).is_none(), "the search would end at home");
    assert!(here.standpoint_at(&web, Some(&root)).is_some());
    let top = dir.path().canonicalize().unwrap().join("top");
    write(&top, "devtask.toml", "include = ['tree/apps/web']\n");
    assert!(here.standpoint_at(&web, None).is_none(), "a file above may include it");
    fs::remove_file(top.join("devtask.toml")).unwrap();
    write(&web, "devtask.json", "{}");
    assert!(here.standpoint_at(&web, None).is_none(), "two task files in one directory are a fault");
    fs::remove_file(web.join("devtask.json")).unwrap();
    write(&web, "devtask.toml", "[settings]\ntail = 1\n");
    assert!(loaded(&root).standpoint_at(&web, None).is_none(), "a load has something to say");
}

#[test]
fn a_load_knows_whether_it_is_still_true() {
    let old = SystemTime::now() - Duration::from_secs(3600);
    type Edit = (&'static str, fn(&Path));
    let edits: [Edit; 7] = [
        ("an edit", |root| write(root, "apps/web/devtask.toml", "[tasks.u]\nexec = 'true'\n")),
        ("an edit of the same length", |root| {
            let text = fs::read_to_string(root.join("devtask.toml")).unwrap();
            write(root, "devtask.toml", &text.replace("true", "fals"));
        }),
        ("a new project", |root| write(root, "apps/new/devtask.toml", "")),
        ("a second file", |root| write(root, "apps/web/devtask.json", "{}")),
        ("a file above", |root| write(root, "../devtask.toml", "include = ['tree']\n")),
        ("a dotenv file", |root| write(root, "apps/api/.env", "A=1\n")),
        ("a removal", |root| fs::remove_file(root.join("apps/api/inner/devtask.toml")).unwrap()),
    ];
    for settled in [false, true] {
        for (what, edit) in &edits {
            let (_dir, root) = tree();
            if settled {
                for file in loaded(&root).files.iter().filter(|file| file.exists()) {
                    fs::File::options().append(true).open(file).unwrap().set_modified(old).unwrap();
                }
            }
            let here = loaded(&root);
            assert!(here.is_current(), "{what}");
            edit(&root);
            assert!(!here.is_current(), "{what}");
        }
    }
}

#[test]
fn an_edit_of_a_dotenv_file_shows() {
    let (_dir, root) = tree();
    write(&root, "apps/web/.env", "A=1\n");
    let here = loaded(&root);
    assert!(here.is_current());
    write(&root, "apps/web/.env", "A=2\n");
    assert!(!here.is_current());
}
