//! The room as a whole, on a tree of its own.

use std::{
    cell::Cell,
    collections::HashSet,
    ffi::OsStr,
    fs,
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, PermissionsExt, symlink},
    },
    path::{Path, PathBuf},
};

use super::*;
use crate::{
    fingerprint::{FileRow, digest_of},
    model::{Digest, FileKind, KeptFile, KeptKind},
};

/// A tree with a cache beside it.
struct Place {
    _temporary: tempfile::TempDir,
    tree: PathBuf,
    blobs: PathBuf,
    cache: Cache,
}

impl Place {
    fn new() -> Self {
        let temporary = tempfile::tempdir().unwrap();
        let base = temporary.path().canonicalize().unwrap();
        let (tree, blobs) = (base.join("tree"), base.join("blobs"));
        fs::create_dir(&tree).unwrap();
        fs::create_dir(&blobs).unwrap();
        let cache = Cache::open(&blobs, &tree).unwrap();
        Self { _temporary: temporary, tree, blobs, cache }
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.tree.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.tree.join(path)).ok()
    }

    fn mode(&self, path: &str) -> u32 {
        fs::symlink_metadata(self.tree.join(path)).unwrap().mode() & 0o7777
    }

    fn set_mode(&self, path: &str, mode: u32) {
        fs::set_permissions(self.tree.join(path), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// What a look at all of the tree shows: links followed, like the patterns of outputs.
    fn rows(&self) -> Vec<FileRow> {
        let mut rows = Vec::new();
        rows_of(&self.tree, &self.tree, &mut rows);
        rows.sort_by(|a, b| a.path.cmp(&b.path));
        rows
    }

    fn keep(&self) -> Result<Vec<KeptFile>, String> {
        let kept = self.cache.keep(&self.rows(), &|| true);
        kept.map(|kept| kept.files).map_err(|error| error.to_string())
    }

    /// Restores, when `before` is what the last result left.
    fn restore(&self, wanted: &[KeptFile], before: &[FileRow]) -> Result<Restored, String> {
        let difference = difference(wanted, &self.rows(), before);
        self.cache.restore(wanted, &difference, b"", &|| true).map_err(|error| error.to_string())
    }

    fn blob(&self, text: &str) -> PathBuf {
        let name = digest_of(text.as_bytes()).to_string();
        self.blobs.join(&name[..2]).join(&name[2..])
    }
}

fn rows_of(root: &Path, dir: &Path, rows: &mut Vec<FileRow>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.strip_prefix(root).unwrap().as_os_str().as_bytes().to_vec();
        let (kind, digest) = match fs::metadata(&path) {
            Ok(found) if found.is_file() => {
                let executable = found.mode() & 0o100 != 0;
                (FileKind::File { executable }, digest_of(&fs::read(&path).unwrap()))
            }
            Ok(found) if found.is_dir() => {
                rows_of(root, &path, rows);
                (FileKind::Directory, Digest(1))
            }
            Ok(_) => (FileKind::Special, Digest(2)),
            Err(_) => (FileKind::BrokenLink, Digest(3)),
        };
        rows.push(FileRow { path: name, kind, digest });
    }
}

fn clear(dir: &Path) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if fs::symlink_metadata(&path).unwrap().is_dir() {
            fs::remove_dir_all(path)
        } else {
            fs::remove_file(path)
        }
        .unwrap();
    }
}

#[test]
fn what_was_kept_comes_back_with_modes_links_and_odd_names() {
    let place = Place::new();
    place.write("dist/a", "one");
    place.write("dist/deep/er/tool", "two");
    place.write("dist/empty", "");
    place.write("large", &"0123456789".repeat(100_000));
    fs::write(place.tree.join(OsStr::from_bytes(b"dist/\xff\n")), "odd").unwrap();
    fs::create_dir(place.tree.join("dist/hollow")).unwrap();
    symlink("deep/er", place.tree.join("dist/link")).unwrap();
    symlink("nowhere", place.tree.join("dist/broken")).unwrap();
    symlink("a", place.tree.join("dist/to-a")).unwrap();
    place.set_mode("dist/deep/er/tool", 0o751);
    place.set_mode("dist/hollow", 0o700);
    place.set_mode("dist/a", 0o440);
    let (kept, before) = (place.keep().unwrap(), place.rows());
    assert_eq!(kept.len(), 12, "what lies beyond a link is there once: {kept:?}");

    clear(&place.tree);
    let restored = place.restore(&kept, &before).unwrap();
    assert_eq!(restored, Restored { written: 12, removed: 0, left: 0 });
    assert_eq!(place.rows(), before);
    assert_eq!(place.mode("dist/deep/er/tool"), 0o751);
    assert_eq!(place.mode("dist/hollow"), 0o700);
    assert_eq!(place.mode("dist/a"), 0o440);
    assert_eq!(fs::read_link(place.tree.join("dist/link")).unwrap(), Path::new("deep/er"));
    assert_eq!(fs::read_link(place.tree.join("dist/broken")).unwrap(), Path::new("nowhere"));
    assert_eq!(fs::read_dir(place.blobs.join("new")).unwrap().count(), 0);
}

#[test]
fn what_is_right_is_not_touched() {
    let place = Place::new();
    for (path, text) in [("a", "same"), ("b", "other"), ("c", "mode")] {
        place.write(path, text);
    }
    symlink("a", place.tree.join("l")).unwrap();
    let (kept, before) = (place.keep().unwrap(), place.rows());
    let stamp = |path: &str| {
        let found = fs::symlink_metadata(place.tree.join(path)).unwrap();
        (found.ino(), found.ctime(), found.ctime_nsec())
    };
    let was = ["a", "l"].map(stamp);
    assert_eq!(place.restore(&kept, &before).unwrap(), Restored { written: 0, removed: 0, left: 4 });
    place.write("b", "tampered");
    place.set_mode("c", 0o600);
    assert_eq!(place.restore(&kept, &before).unwrap(), Restored { written: 2, removed: 0, left: 2 });
    assert_eq!(["a", "l"].map(stamp), was);
    assert_eq!((place.read("b").as_deref(), place.mode("c")), (Some("other"), 0o644));
    assert_eq!(place.rows(), before);
}

#[test]
fn only_what_the_last_result_left_is_removed() {
    let place = Place::new();
    place.write("dist/a", "1");
    let first = place.keep().unwrap();
    place.write("dist/sub/b", "2");
    place.write("dist/sub/edited", "2");
    let before = place.rows();
    place.write("dist/sub/edited", "by hand");
    place.write("dist/mine", "by hand");
    place.write("dist/sub/mine/x", "by hand");
    assert_eq!(place.restore(&first, &before).unwrap().removed, 1);
    let left =
        ["dist/a", "dist/sub/b", "dist/sub/edited", "dist/mine", "dist/sub/mine/x"].map(|p| place.read(p));
    assert_eq!(left.map(|text| text.is_some()), [true, false, true, true, true]);

    // Directories that it leaves empty go with it.
    clear(&place.tree);
    place.write("dist/a", "1");
    place.write("dist/sub/b", "2");
    let files: Vec<FileRow> =
        place.rows().into_iter().filter(|row| row.kind != FileKind::Directory).collect();
    let first: Vec<KeptFile> =
        first.into_iter().filter(|file| matches!(file.what, KeptKind::File { .. })).collect();
    place.restore(&first, &files).unwrap();
    assert!(!place.tree.join("dist/sub").exists() && place.tree.join("dist/a").exists());
}

#[test]
fn files_and_directories_take_each_others_places() {
    let place = Place::new();
    place.write("x/y", "in a directory");
    let deep = (place.keep().unwrap(), place.rows());
    clear(&place.tree);
    place.write("x", "a file");
    let flat = (place.keep().unwrap(), place.rows());
    place.restore(&deep.0, &flat.1).unwrap();
    assert_eq!(place.read("x/y").as_deref(), Some("in a directory"));
    place.restore(&flat.0, &deep.1).unwrap();
    assert_eq!(place.read("x").as_deref(), Some("a file"));
    // Somebody's own file keeps its directory.
    place.restore(&deep.0, &flat.1).unwrap();
    place.write("x/mine", "precious");
    assert_eq!(place.restore(&flat.0, &deep.1), Err("x is in the way".to_owned()));
    assert_eq!(place.read("x/mine").as_deref(), Some("precious"));
}

#[test]
fn a_content_that_is_not_what_it_was_is_found_out_before_anything_changes() {
    type Harm = fn(&Path);
    let harms: &[(&str, Harm)] = &[
        ("missing", |blob| fs::remove_file(blob).unwrap()),
        ("damaged", |blob| fs::write(blob, "ONE").unwrap()),
        ("damaged", |blob| fs::write(blob, "").unwrap()),
        ("damaged", |blob| fs::write(blob, "one and more").unwrap()),
    ];
    for (how, harm) in harms {
        let place = Place::new();
        place.write("a", "zero");
        place.write("b", "one");
        let kept = place.keep().unwrap();
        harm(&place.blob("one"));
        clear(&place.tree);
        place.write("a", "now");
        assert_eq!(place.restore(&kept, &[]), Err(format!("what was kept of b is {how}")));
        assert_eq!((place.read("a").as_deref(), place.read("b")), (Some("now"), None));
        assert!(!place.blob("one").exists(), "it is not found wrong twice");
        assert_eq!(fs::read_dir(place.blobs.join("new")).unwrap().count(), 0);
        // And it can be kept again.
        place.write("a", "zero");
        place.write("b", "one");
        let kept = place.keep().unwrap();
        clear(&place.tree);
        place.restore(&kept, &[]).unwrap();
        assert_eq!(place.read("b").as_deref(), Some("one"));
    }
}

#[test]
fn a_content_that_became_a_link_or_a_fifo_is_not_followed() {
    let place = Place::new();
    place.write("b", "one");
    let kept = place.keep().unwrap();
    let blob = place.blob("one");
    let secret = place.blobs.join("secret");
    fs::write(&secret, "one").unwrap();
    clear(&place.tree);
    fs::remove_file(&blob).unwrap();
    symlink(&secret, &blob).unwrap();
    assert!(place.restore(&kept, &[]).is_err());
    assert!(!blob.is_symlink() && secret.exists(), "it is not found wrong twice");
    assert!(std::process::Command::new("mkfifo").arg(&blob).status().unwrap().success());
    assert!(place.restore(&kept, &[]).is_err());
    assert_eq!(place.read("b"), None);
}

#[test]
fn nothing_odd_is_kept() {
    type Make = fn(&Path);
    let cases: &[(&str, Make)] = &[
        ("odd is neither a file nor a directory nor a link", |at| {
            assert!(std::process::Command::new("mkfifo").arg(at).status().unwrap().success());
        }),
        ("odd is neither a file nor a directory nor a link", |at| {
            std::os::unix::net::UnixListener::bind(at).unwrap();
        }),
        ("odd is a link that leads out of the tree", |at| symlink("/etc/passwd", at).unwrap()),
        ("odd is a link that leads out of the tree", |at| symlink("../blobs", at).unwrap()),
        ("odd has a mode that others could misuse (setuid, setgid or sticky)", |at| {
            fs::write(at, "x").unwrap();
            fs::set_permissions(at, fs::Permissions::from_mode(0o4755)).unwrap();
        }),
    ];
    for (expected, make) in cases {
        let place = Place::new();
        make(&place.tree.join("odd"));
        assert_eq!(place.keep(), Err((*expected).to_owned()));
    }
    let place = Place::new();
    for path in ["../x", "/etc/passwd", "a/../../x", ""] {
        let row = FileRow { path: path.into(), kind: FileKind::Directory, digest: Digest(0) };
        let error = place.cache.keep(&[row], &|| true).unwrap_err();
        assert!(matches!(error, CacheError::Refused { .. }), "{path}: {error}");
    }
}

#[test]
fn what_is_not_as_it_was_found_is_not_kept() {
    let place = Place::new();
    place.write("a", "as found");
    let rows = place.rows();
    type Change = fn(&Path);
    let changes: &[Change] = &[
        |at| fs::write(at, "as fouND").unwrap(),
        |at| fs::write(at, "longer than it was found").unwrap(),
        |at| fs::remove_file(at).unwrap(),
        |at| fs::create_dir(at).unwrap(),
    ];
    for change in changes {
        change(&place.tree.join("a"));
        let error = place.cache.keep(&rows, &|| true).unwrap_err();
        assert!(matches!(error, CacheError::Changed { .. }), "{error}");
    }
    assert!(!place.blob("as fouND").exists());
}

#[test]
fn nothing_is_written_through_a_link_or_beside_the_root() {
    let place = Place::new();
    place.write("dist/a", "one");
    place.write("dist/b", "two");
    let kept = place.keep().unwrap();
    let before = place.rows();
    let elsewhere = place.tree.parent().unwrap().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    clear(&place.tree);
    symlink(&elsewhere, place.tree.join("dist")).unwrap();
    assert_eq!(
        place.restore(&kept, &before),
        Err("dist is a link, and nothing is written through one".to_owned())
    );
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    // A link in the place of a file is replaced, not followed.
    clear(&place.tree);
    let victim = elsewhere.join("victim");
    fs::write(&victim, "precious").unwrap();
    fs::create_dir(place.tree.join("dist")).unwrap();
    symlink(&victim, place.tree.join("dist/a")).unwrap();
    let files: Vec<KeptFile> =
        kept.iter().filter(|file| matches!(file.what, KeptKind::File { .. })).cloned().collect();
    place.restore(&files, &before).unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    assert_eq!(place.read("dist/a").as_deref(), Some("one"));

    for path in ["../x", "/tmp/x", "dist/../../x", "dist//x", ""] {
        let file = KeptFile { path: path.into(), what: KeptKind::Directory { mode: 0o755 } };
        let error = place.restore(&[file], &[]).unwrap_err();
        assert!(error.ends_with("does not lie beneath the root"), "{path}: {error}");
    }
    for text in ["/etc/passwd", "../../x", ""] {
        let file = KeptFile { path: b"dist/l".to_vec(), what: KeptKind::Link(text.into()) };
        let error = place.restore(&[file], &[]).unwrap_err();
        assert_eq!(error, "dist/l is a link that leads out of the tree");
    }
}

#[test]
fn who_writes_into_an_output_in_place_does_not_write_into_the_cache() {
    let place = Place::new();
    place.write("a", "one");
    let kept = place.keep().unwrap();
    place.write("a", "ONE");
    place.restore(&kept, &[]).unwrap();
    place.write("a", "ONE");
    place.restore(&kept, &[]).unwrap();
    assert_eq!(place.read("a").as_deref(), Some("one"));
}

#[test]
fn a_sweep_removes_what_nothing_refers_to_and_nothing_else() {
    let place = Place::new();
    place.write("a", "stays");
    place.write("b", "goes");
    place.keep().unwrap();
    let stranger = place.blob("goes").with_file_name("stranger");
    fs::write(&stranger, "?").unwrap();
    let keep: HashSet<Digest> = [digest_of(b"stays")].into();
    let told = Swept { removed: 1, freed: 4, left: 5 };
    assert_eq!(place.cache.sweep(&keep, true).unwrap(), told);
    assert!(place.blob("goes").exists());
    assert_eq!(place.cache.sweep(&keep, false).unwrap(), told);
    assert!(!place.blob("goes").exists() && place.blob("stays").exists() && stranger.exists());
}

#[test]
fn what_a_dead_process_left_half_done_is_removed() {
    let place = Place::new();
    fs::write(place.blobs.join("new/7"), "half").unwrap();
    symlink("x", place.blobs.join("new/8")).unwrap();
    let cache = Cache::open(&place.blobs, &place.tree).unwrap();
    assert_eq!(fs::read_dir(place.blobs.join("new")).unwrap().count(), 0);
    // A name that is taken is passed over.
    fs::create_dir(place.blobs.join("new/0")).unwrap();
    place.write("a", "one");
    assert_eq!(cache.keep(&place.rows(), &|| true).unwrap().added, 3);
}

#[test]
fn keeping_can_be_stopped_between_files_and_within_one() {
    let place = Place::new();
    place.write("a", "one");
    place.write("b", &"x".repeat(3 << 20));
    for most in 0..4 {
        let asked = Cell::new(0);
        let go_on = || {
            asked.set(asked.get() + 1);
            asked.get() <= most
        };
        assert!(matches!(place.cache.keep(&place.rows(), &go_on), Err(CacheError::Stopped)), "{most}");
    }
    assert_eq!(fs::read_dir(place.blobs.join("new")).unwrap().count(), 0);
}

#[test]
fn a_file_from_elsewhere_goes_in_and_out() {
    let place = Place::new();
    let elsewhere = place.tree.parent().unwrap().join("log");
    fs::write(&elsewhere, "lines\n").unwrap();
    let (digest, size) = place.cache.keep_other(&elsewhere).unwrap();
    let target = place.tree.join("log");
    fs::write(&target, "older").unwrap();
    place.cache.restore_other(digest, size, &target).unwrap();
    assert_eq!(place.read("log").as_deref(), Some("lines\n"));
    assert!(place.cache.restore_other(Digest(9), 1, &target).is_err());
}
