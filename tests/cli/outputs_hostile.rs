//! What somebody may put in the place of a task's outputs, and of what is kept of them (spec section 4.5, hazards E6 and
//! B13): it is refused or executed, never followed, and never waited for.

use std::{
    fs,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, PermissionsExt as _, symlink},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    process::Command,
};

use super::support::{Output, Sandbox};

/// What it makes hangs on `in` alone, and it goes nowhere through a link.
const MAKE: &str = r#"
[tasks.make]
exec = '''
for way in out out/deep; do [ ! -L $way ] || exit 7; done
mkdir -p out/deep
for file in out/a out/deep/b one; do rm -rf $file; cat in > $file; done
'''
execIfModified = ["in"]
outputs = ["out/**", "one"]
"#;
const MADE: [&str; 3] = ["out/a", "out/deep/b", "one"];

/// A tree in which what `in = "first"` makes is kept, and what `in = "other"` makes is there.
fn made() -> Sandbox {
    let tree = Sandbox::with(MAKE);
    for text in ["first", "other"] {
        tree.write("in", text);
        assert_eq!(run(&tree).0, "make");
    }
    tree.write("in", "first");
    tree
}

/// Runs it, which must neither hang nor panic: what executed, and what was said.
fn run(tree: &Sandbox) -> (String, Output) {
    let output = tree.devtask(["run"]).start_under("timeout", &["100"]).finish();
    assert!(!output.err.contains("panicked") && output.code != Some(124), "{output}");
    (executed(tree), output)
}

/// What the last run executed; the project is called like its directory.
fn executed(tree: &Sandbox) -> String {
    let names = tree.executed();
    names.iter().map(|name| name.trim_start_matches("tree:")).collect::<Vec<_>>().join(" ")
}

/// How many warnings there were, of the run and after it.
fn warnings(output: &Output) -> usize {
    let is_one = |line: &&str| line.starts_with("Warning ") || line.starts_with("warning: ");
    output.err.lines().filter(is_one).count()
}

/// A run that succeeds and executes this.
#[track_caller]
fn executes(tree: &Sandbox, what: &str, story: &str) -> Output {
    let (executed, output) = run(tree);
    assert_eq!(output.code, Some(0), "{story}: {output}");
    assert_eq!(executed, what, "{story}: {output}");
    output
}

/// All comes back without a word, and then all is fresh.
#[track_caller]
fn comes_back(tree: &Sandbox, story: &str) {
    for _ in 0..2 {
        let output = executes(tree, "", story);
        assert_eq!(warnings(&output), 0, "{story}: {output}");
    }
}

/// It executes, and one warning with these words says why.
#[track_caller]
fn executes_and_says(tree: &Sandbox, words: &str, story: &str) {
    let output = executes(tree, "make", story);
    assert_eq!(warnings(&output), 1, "{story}: {output}");
    assert!(output.err.contains(words), "{story}: {output}");
}

#[track_caller]
fn is_made(tree: &Sandbox, text: &str, story: &str) {
    for file in MADE {
        let path = tree.path(file);
        assert!(path.symlink_metadata().unwrap().is_file(), "{story}: {file}");
        assert_eq!(tree.read(file), text, "{story}: {file}");
    }
}

fn fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// The contents that are kept.
fn blobs(tree: &Sandbox) -> Vec<PathBuf> {
    let list = |path: PathBuf| fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    let layers = list(tree.path(".devtask/outputs")).filter(|path| path.file_name().unwrap().len() == 2);
    layers.flat_map(list).collect()
}

/// The one with this content.
fn blob(tree: &Sandbox, content: &str) -> PathBuf {
    let all = blobs(tree);
    all.into_iter().find(|path| fs::read(path).unwrap() == content.as_bytes()).unwrap()
}

type Spoil = fn(&Sandbox, &Path);

#[test]
fn what_stands_in_the_place_of_an_output_is_replaced_and_not_followed() {
    let cases: [(&str, Spoil); 6] = [
        ("a link to a file outside", |tree, path| symlink(tree.home().join("mine"), path).unwrap()),
        ("a link to a directory outside", |tree, path| symlink(tree.home(), path).unwrap()),
        ("a link to a device", |_, path| symlink("/dev/zero", path).unwrap()),
        ("a link to itself", |_, path| symlink(path, path).unwrap()),
        ("a FIFO", |_, path| fifo(path)),
        ("a socket", |_, path| drop(UnixListener::bind(path).unwrap())),
    ];
    for (story, spoil) in cases {
        for place in ["one", "out/deep/b"] {
            let (tree, story) = (made(), format!("{story} at {place}"));
            fs::write(tree.home().join("mine"), "mine").unwrap();
            tree.remove(place);
            spoil(&tree, &tree.path(place));
            let (executed, output) = run(&tree);
            assert_eq!(output.code, Some(0), "{story}: {output}");
            is_made(&tree, "first", &story);
            assert_eq!(warnings(&output), usize::from(!executed.is_empty()), "{story}: {output}");
            assert_eq!(fs::read_to_string(tree.home().join("mine")).unwrap(), "mine", "{story}");
            comes_back(&tree, &story);
        }
    }
}

#[test]
fn nothing_is_put_beneath_a_link() {
    for place in ["out", "out/deep"] {
        let tree = made();
        let beyond = tree.home().join("beyond");
        fs::create_dir(&beyond).unwrap();
        tree.remove(place);
        symlink(&beyond, tree.path(place)).unwrap();
        let (executed, output) = run(&tree);
        assert_eq!((&*executed, output.code), ("make", Some(1)), "{output}");
        assert!(
            output.err.contains(&format!("{place} is a link, and nothing is written through one")),
            "{output}"
        );
        assert_eq!(warnings(&output), 1, "{output}");
        assert_eq!(fs::read_dir(&beyond).unwrap().count(), 0);
        // A failure ends what comes back.
        tree.remove(place);
        executes(&tree, "make", place);
        is_made(&tree, "first", place);
        tree.remove(place);
        comes_back(&tree, place);
        is_made(&tree, "first", place);
    }
}

/// What such a task makes is never kept: it executes whenever it is lost.
#[test]
fn what_is_no_file_of_the_tree_is_not_kept() {
    const PYTHON: &str = "import socket; socket.socket(socket.AF_UNIX).bind(\"o\")";
    let mut made_by = vec![
        ("ln -s /etc/passwd o".to_owned(), "a link that leads out of the tree"),
        ("ln -s ../../x o".to_owned(), "a link that leads out of the tree"),
        ("ln -s /dev/zero o".to_owned(), "a link that leads out of the tree"),
        ("ln -s \"$HOME\" o".to_owned(), "a link that leads out of the tree"),
        ("mkfifo o".to_owned(), "is neither a file nor a directory nor a link"),
        ("cp in o; chmod 4755 o".to_owned(), "setuid"),
        ("cp in o; chmod 2755 o".to_owned(), "setuid"),
    ];
    if Command::new("python3").args(["-c", ""]).status().is_ok_and(|status| status.success()) {
        made_by.push((format!("python3 -c '{PYTHON}'"), "is neither a file nor a directory nor a link"));
    }
    for (script, why) in made_by {
        let tree = Sandbox::with(&format!(
            "[tasks.make]\nexec = '''\nrm -f o\n{script}\n'''\nexecIfModified = ['in']\noutputs = ['o']\n"
        ));
        tree.write("in", "1");
        for _ in 0..2 {
            let (executed, output) = run(&tree);
            assert_eq!(executed, "make", "{script}: {output}");
            assert!(output.err.contains(why), "{script}: {output}");
            assert_eq!(warnings(&output), 1, "{script}: {output}");
            tree.remove("o");
        }
    }
}

#[test]
fn a_content_that_is_not_what_it_was_costs_executing_once() {
    let cases: [(&str, &str, Spoil); 9] = [
        ("edited", "damaged", |_, path| fs::write(path, "tsrif").unwrap()),
        ("truncated", "damaged", |_, path| fs::write(path, "").unwrap()),
        ("longer", "damaged", |_, path| fs::write(path, "first and more").unwrap()),
        // Nobody copies that to see what it is.
        ("without an end in sight", "damaged", |_, path| {
            fs::File::options().write(true).open(path).unwrap().set_len(1 << 43).unwrap();
        }),
        ("removed", "missing", |_, path| fs::remove_file(path).unwrap()),
        ("a link to the same", "damaged", |tree, path| {
            fs::rename(path, tree.home().join("same")).unwrap();
            symlink(tree.home().join("same"), path).unwrap();
        }),
        ("a link to a device", "damaged", |_, path| {
            fs::remove_file(path).unwrap();
            symlink("/dev/zero", path).unwrap();
        }),
        ("a FIFO", "damaged", |_, path| {
            fs::remove_file(path).unwrap();
            fifo(path);
        }),
        ("a directory", "damaged", |_, path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        }),
    ];
    for (story, words, spoil) in cases {
        let tree = made();
        spoil(&tree, &blob(&tree, "first"));
        executes_and_says(&tree, words, story);
        is_made(&tree, "first", story);
        // And then it is kept again.
        tree.remove("out");
        tree.remove("one");
        comes_back(&tree, story);
        is_made(&tree, "first", story);
    }
}

#[test]
fn without_a_place_for_contents_everything_executes() {
    let cases: [(&str, Spoil); 7] = [
        ("removed", |tree, path| fs::rename(path, tree.home().join("gone")).unwrap()),
        ("a link to where it is now", |tree, path| {
            fs::rename(path, tree.home().join("elsewhere")).unwrap();
            symlink(tree.home().join("elsewhere"), path).unwrap();
        }),
        ("a link to another directory", |tree, path| {
            fs::remove_dir_all(path).unwrap();
            fs::create_dir(tree.home().join("elsewhere")).unwrap();
            symlink(tree.home().join("elsewhere"), path).unwrap();
        }),
        ("a file", |_, path| {
            fs::remove_dir_all(path).unwrap();
            fs::write(path, "").unwrap();
        }),
        ("a FIFO", |_, path| {
            fs::remove_dir_all(path).unwrap();
            fifo(path);
        }),
        ("a link for what is written first", |tree, path| {
            fs::remove_dir_all(path.join("new")).unwrap();
            fs::create_dir(tree.home().join("elsewhere")).unwrap();
            fs::write(tree.home().join("elsewhere/0"), "mine").unwrap();
            symlink(tree.home().join("elsewhere"), path.join("new")).unwrap();
        }),
        ("a file for what is written first", |_, path| {
            fs::remove_dir_all(path.join("new")).unwrap();
            fs::write(path.join("new"), "").unwrap();
        }),
    ];
    for (story, spoil) in cases {
        let tree = made();
        let outside = |tree: &Sandbox| names(&tree.home().join("elsewhere"));
        spoil(&tree, &tree.path(".devtask/outputs"));
        let before = outside(&tree);
        executes_and_says(&tree, "cannot come back", story);
        is_made(&tree, "first", story);
        assert_eq!(outside(&tree), before, "{story}");
    }
}

/// All names beneath a directory, sorted.
fn names(dir: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    let entries = fs::read_dir(dir).into_iter().flatten();
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.symlink_metadata().unwrap().is_dir() {
            all.extend(names(&path));
        }
        all.push(path);
    }
    all.sort();
    all
}

#[test]
fn contents_are_neither_put_nor_removed_through_a_link() {
    let tree = made();
    let layer = blob(&tree, "first").parent().unwrap().to_owned();
    let elsewhere = tree.home().join("elsewhere");
    fs::rename(&layer, &elsewhere).unwrap();
    symlink(&elsewhere, &layer).unwrap();
    // Were it followed, this would be found damaged and removed, and another put in its place.
    let before = names(&elsewhere);
    for path in &before {
        fs::write(path, "tsrif").unwrap();
    }
    executes_and_says(&tree, "cannot come back", "the layer is a link");
    is_made(&tree, "first", "the layer is a link");
    assert_eq!(names(&elsewhere), before);
    for path in before {
        assert_eq!(fs::read_to_string(path).unwrap(), "tsrif");
    }
    tree.remove("one");
    comes_back(&tree, "the layer is one again");
}

/// The program as a user who is not almighty; the tree is theirs.
struct Somebody {
    tree: Sandbox,
    program: PathBuf,
}

impl Somebody {
    /// None where nobody can be somebody else.
    fn new() -> Option<Self> {
        let tree = Sandbox::with(MAKE);
        tree.write("in", "first");
        let program = tree.another_build();
        let base = tree.root().parent().unwrap();
        if rustix::process::geteuid().is_root() {
            let owned = Command::new("chown").args(["-R", "65534:65534"]).arg(base).status().unwrap();
            if !owned.success()
                || Command::new("setpriv").args([USER, GROUP, "--clear-groups", "true"]).status().is_err()
            {
                eprintln!("NOT PROVED: nobody can be another user here");
                return None;
            }
        }
        Some(Self { tree, program })
    }

    fn run(&self) -> (String, Output) {
        let program = self.program.to_str().unwrap();
        let invocation = self.tree.devtask(["run"]);
        let running = if rustix::process::geteuid().is_root() {
            let script =
                "shift; exec setpriv --reuid=65534 --regid=65534 --clear-groups timeout 100 PROGRAM \"$@\"";
            invocation.start_under("sh", &["-c", &script.replace("PROGRAM", program), "sh"])
        } else {
            invocation.start_under("timeout", &["100"])
        };
        let output = running.finish();
        assert!(!output.err.contains("panicked") && output.code != Some(124), "{output}");
        (executed(&self.tree), output)
    }
}

const USER: &str = "--reuid=65534";
const GROUP: &str = "--regid=65534";

#[test]
fn what_may_not_be_read_or_written_is_executed() {
    type Case = (&'static str, Spoil, Option<&'static str>, i32);
    let cases: [Case; 5] = [
        ("nothing", |_, _| (), None, 0),
        (
            "a content nobody may read",
            |tree, _| tree.chmod(blob(tree, "first"), 0),
            Some("cannot come back"),
            0,
        ),
        (
            "contents in a directory nobody may write to",
            |_, path| {
                for made in names(path).iter().filter(|path| path.is_dir()) {
                    fs::set_permissions(made, fs::Permissions::from_mode(0o500)).unwrap();
                }
            },
            Some("cannot come back"),
            0,
        ),
        (
            "an output in a directory nobody may write to",
            |tree, _| tree.chmod("out/deep", 0o555),
            Some("cannot come back"),
            1,
        ),
        ("a directory nobody may enter", |tree, _| tree.chmod("out/deep", 0), None, 1),
    ];
    for (story, spoil, words, code) in cases {
        let Some(somebody) = Somebody::new() else { return };
        let tree = &somebody.tree;
        let (executed, output) = somebody.run();
        assert_eq!((&*executed, output.code), ("make", Some(0)), "{output}");
        if story == "a directory nobody may enter" {
            tree.remove("one");
        } else {
            for file in MADE {
                tree.remove(file);
            }
        }
        spoil(tree, &tree.path(".devtask/outputs"));
        let (executed, output) = somebody.run();
        assert_eq!(output.code, Some(code), "{story}: {output}");
        assert_eq!(executed.is_empty(), story == "nothing", "{story}: {output}");
        if let Some(words) = words {
            assert!(output.err.contains(words), "{story}: {output}");
            assert_eq!(output.err.matches(words).count(), 1, "{story}: {output}");
        }
        if code == 0 {
            is_made(tree, "first", story);
        }
        // No hindrance stays.
        for path in names(tree.root()).iter().filter(|path| path.is_dir()) {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let (_, output) = somebody.run();
        assert_eq!(output.code, Some(0), "{story}: {output}");
        is_made(tree, "first", story);
        let (executed, output) = somebody.run();
        assert_eq!((&*executed, output.code), ("", Some(0)), "{story}: {output}");
    }
}

#[test]
fn twenty_thousand_outputs_come_and_go() {
    const MANY: usize = 20_000;
    let tree = Sandbox::with(
        r#"
        [tasks.make]
        exec = '''
        rm -rf out; mkdir out; read -r most < in; i=0
        while [ $i -lt $most ]; do echo $i > out/$i; i=$((i + 1)); done
        '''
        execIfModified = ["in"]
        outputs = ["out/**"]
        "#,
    );
    let count = || fs::read_dir(tree.path("out")).unwrap().count();
    for most in [1, MANY] {
        tree.write("in", format!("{most}\n"));
        executes(&tree, "make", "at first");
    }
    tree.write("in", "1\n");
    comes_back(&tree, "all but one go");
    assert_eq!(count(), 1);
    tree.write("in", format!("{MANY}\n"));
    comes_back(&tree, "and are there again");
    assert_eq!(count(), MANY);
    assert_eq!(tree.read(format!("out/{}", MANY - 1)), format!("{}\n", MANY - 1));
}

#[test]
fn odd_names_come_back_and_are_told_without_harm() {
    const ODD: [&[u8]; 6] = [b"new\nline", b"\xff\xfe", b"\x1b]0;x\x07", b"-rf", b"a b'\"\\$(x)", b" "];
    let tree = Sandbox::with(
        r#"
        [tasks.make]
        exec = 'rm -rf out; mkdir -p out; cp -R from/. out'
        execIfModified = ["in"]
        outputs = ["out/**"]
        "#,
    );
    tree.write("in", "1");
    let path = |dir: &str, name: &[u8]| tree.path(dir).join(std::ffi::OsStr::from_bytes(name));
    for name in ODD {
        fs::create_dir_all(path("from", name)).unwrap();
        fs::write(path("from", name).join(std::ffi::OsStr::from_bytes(name)), name).unwrap();
    }
    executes(&tree, "make", "at first");
    tree.remove("out");
    comes_back(&tree, "all of them");
    for name in ODD {
        assert_eq!(fs::read(path("out", name).join(std::ffi::OsStr::from_bytes(name))).unwrap(), name);
    }
    // One that has to be told of.
    fs::remove_dir_all(path("out", ODD[2])).unwrap();
    symlink(tree.home(), path("out", ODD[2])).unwrap();
    let (executed, output) = run(&tree);
    assert_eq!(executed, "make", "{output}");
    assert!(output.err.contains("is a link, and nothing is written through one"), "{output}");
    assert!(!output.err.contains('\x1b') && !output.err.contains('\x07'), "{output}");
}

#[test]
fn nothing_is_put_where_outputs_are_not_declared_any_more() {
    let tree = made();
    tree.replace("devtask.toml", r#"["out/**", "one"]"#, r#"["one"]"#);
    for path in ["out", "one"] {
        tree.remove(path);
    }
    tree.replace("devtask.toml", "for file in out/a out/deep/b one", "for file in one");
    tree.replace("devtask.toml", "mkdir -p out/deep", "");
    executes(&tree, "make", "other outputs");
    assert!(!tree.exists("out"));
    tree.remove("one");
    comes_back(&tree, "what is declared now");
    assert!(!tree.exists("out"));
}

#[test]
fn what_the_user_has_put_there_stays_the_users() {
    let tree = made();
    tree.write("out/mine", "mine");
    tree.write("out/deep/mine", "mine");
    let mine = || {
        for path in ["out/mine", "out/deep/mine"] {
            assert_eq!(tree.read(path), "mine");
        }
    };
    // There and back.
    for text in ["first", "other", "first"] {
        tree.write("in", text);
        let (_, output) = run(&tree);
        assert_eq!(output.code, Some(0), "{output}");
        is_made(&tree, text, text);
        mine();
    }
    let inode = fs::metadata(tree.path("out/mine")).unwrap().ino();
    tree.remove("out/a");
    let (_, output) = run(&tree);
    is_made(&tree, "first", &output.err);
    assert_eq!(fs::metadata(tree.path("out/mine")).unwrap().ino(), inode);
    // What was edited is the user's, too, and of no result.
    tree.write("out/mine", "edited");
    let (_, output) = run(&tree);
    assert_eq!(output.code, Some(0), "{output}");
    assert_eq!(tree.read("out/mine"), "edited");
    executes(&tree, "", "nothing more to do");
}

#[test]
fn a_file_of_another_result_that_the_user_has_edited_is_not_removed() {
    let tree = Sandbox::with(
        r#"
        [tasks.make]
        exec = 'mkdir -p out; read -r name < in; echo made > out/$name'
        execIfModified = ["in"]
        outputs = ["out/*"]
        "#,
    );
    tree.write("in", "a\n");
    executes(&tree, "make", "at first");
    tree.write("in", "b\n");
    executes(&tree, "make", "another");
    tree.write("out/b", "edited");
    tree.write("in", "a\n");
    let (_, output) = run(&tree);
    assert_eq!(output.code, Some(0), "{output}");
    assert_eq!(tree.read("out/b"), "edited");
    assert_eq!(tree.read("out/a"), "made\n");
}

/// What lies behind a link is part of what the task made, though only the link comes back.
#[test]
fn a_link_that_leads_to_nothing_any_more_is_not_a_result() {
    for (made, lost) in [
        ("echo 1 > real; ln -sf real o", "real"),
        ("mkdir -p real; echo 1 > real/x; ln -sfn real o", "real"),
        ("mkdir -p real; echo 1 > real/x; ln -sfn real o", "real/x"),
    ] {
        let beyond = if made.contains("mkdir") { "'o', 'o/**'" } else { "'o'" };
        for outputs in ["'o'", beyond] {
            let tree = Sandbox::with(&format!(
                "[tasks.make]\nexec = '{made}'\nexecIfModified = ['in']\noutputs = [{outputs}]\n"
            ));
            tree.write("in", "1");
            executes(&tree, "make", made);
            tree.remove(lost);
            tree.remove("o");
            let (_, output) = run(&tree);
            assert_eq!(output.code, Some(0), "{output}");
            let file = if made.contains("mkdir") { "o/x" } else { "o" };
            if !tree.exists(file) || outputs.contains("**") {
                assert_eq!(executed(&tree), "make", "{made}, {lost}, {outputs}: {output}");
            }
            assert_eq!(tree.read(file), "1\n", "{made}, {lost}, {outputs}");
        }
    }
}

#[test]
fn links_of_another_result_go_and_come_with_what_lies_beyond_them() {
    let tree = Sandbox::with(
        r#"
        [tasks.make]
        exec = '''
        rm -rf now link first second; read -r name < in
        mkdir $name; echo $name > $name/x
        [ $name = first ] || { ln -s $name now; ln -s second/x link; }
        echo > always
        '''
        execIfModified = ["in"]
        outputs = ["{now,link,always}", "{now,first,second}/**"]
        "#,
    );
    let reads = |name: &str| {
        for link in ["now", "link"] {
            assert_eq!(tree.exists(link), name == "second", "{link}");
        }
        assert_eq!(tree.read(format!("{name}/x")), format!("{name}\n"));
        assert!(name == "first" || tree.read("now/x") + &tree.read("link") == "second\nsecond\n");
    };
    for name in ["first", "second"] {
        tree.write("in", format!("{name}\n"));
        executes(&tree, "make", name);
    }
    for name in ["first", "second", "first"] {
        tree.write("in", format!("{name}\n"));
        comes_back(&tree, name);
        reads(name);
    }
}
