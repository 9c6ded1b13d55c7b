use std::fs;

use tempfile::TempDir;

use super::*;
use crate::model::{Action, TaskKind};

/// A directory with files in it; its path has no links.
struct Place {
    _dir: TempDir,
    path: PathBuf,
}

fn tree(files: &[(&str, &str)]) -> Place {
    let dir = tempfile::tempdir().unwrap();
    let path = fs::canonicalize(dir.path()).unwrap().join("tree");
    fs::create_dir(&path).unwrap();
    for (file, text) in files {
        let file = path.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    Place { _dir: dir, path }
}

impl Place {
    fn request(&self, start: &str) -> LoadRequest {
        let start_dir = if start.is_empty() { self.path.clone() } else { self.path.join(start) };
        // The home bounds the search, so that nothing above the test's directory counts.
        LoadRequest { start_dir, home: Some(self.path.clone()), ..LoadRequest::default() }
    }

    fn load(&self, start: &str) -> Loaded {
        match load(&self.request(start)) {
            Ok(loaded) => loaded,
            Err(faults) => panic!("{:#?}", faults.diagnostics),
        }
    }

    fn faults(&self, start: &str) -> Box<Faults> {
        load(&self.request(start)).expect_err("faults")
    }
}

fn names(loaded: &Loaded) -> Vec<&str> {
    loaded.declarations.iter().map(|d| d.task.name.as_str()).collect()
}

fn projects(loaded: &Loaded) -> Vec<&str> {
    loaded.projects.iter().map(|p| p.name.as_str()).collect()
}

fn codes(diagnostics: &[Diagnostic]) -> Vec<&'static str> {
    diagnostics.iter().map(|d| d.code).collect()
}

#[test]
fn the_nearest_file_upward_is_taken() {
    let place = tree(&[
        ("devtask.toml", "[tasks.outer]"),
        ("a/devtask.json", r#"{"tasks": {"inner": {}}}"#),
        ("a/b/c/x", ""),
    ]);
    let loaded = place.load("a/b/c");
    assert_eq!(names(&loaded), ["a:inner"]);
    assert_eq!((loaded.root, loaded.kind), (place.path.join("a"), Kind::Devtask));
    assert_eq!(loaded.current_project.as_deref(), Some("a"));
    assert_eq!(loaded.files, [place.path.join("a/devtask.json")]);
    assert_eq!(names(&place.load("")), ["tree:outer"]);
}

#[test]
fn the_search_does_not_leave_the_home() {
    let place = tree(&[("devtask.toml", "[tasks.a]"), ("home/project/x", "")]);
    let mut request = place.request("home/project");
    assert!(load(&request).is_ok());
    request.home = Some(place.path.join("home"));
    assert_eq!(codes(&load(&request).unwrap_err().diagnostics), ["no-configuration"]);
    request.home = Some(place.path.join("elsewhere"));
    assert!(load(&request).is_ok(), "a home that is not above does not count");
}

#[test]
fn two_files_in_one_directory_are_a_fault() {
    let place = tree(&[("devtask.toml", ""), ("devtask.json", "{}")]);
    let faults = place.faults("");
    assert_eq!(codes(&faults.diagnostics), ["two-task-files"]);
    assert_eq!(faults.diagnostics[0].notes.len(), 2);
}

#[test]
fn where_nothing_is_found_the_fault_says_where_it_was_looked_for() {
    let place = tree(&[("a/package.json", "{}"), ("a/Makefile", "")]);
    let faults = place.faults("a");
    let fault = &faults.diagnostics[0];
    assert_eq!(fault.code, "no-configuration");
    let looked = format!(
        "looked for devtask.toml or devtask.json in {} and upward to {}",
        place.path.join("a").display(),
        place.path.display()
    );
    assert_eq!(fault.notes, [looked, "there is package.json, Makefile".to_owned()]);
    assert_eq!(
        fault.hint.as_deref(),
        Some("`devtask init` proposes a devtask.toml; a short one is: tasks.hello.exec = \"echo hello\"")
    );
}

const WEB: &str = "[tasks.build]\nexec = 'x'\nafter = ['install', 'lib:build']\n[tasks.install]\n[processes.dev]\nexec = 'x'";

fn monorepo() -> Place {
    tree(&[
        (
            "devtask.toml",
            "name = 'top'\ninclude = ['apps/*', 'lib']\n[tasks.all]\n[processes.db]\nexec = 'x'\n[settings]\njobs = 2",
        ),
        ("apps/web/devtask.toml", WEB),
        ("apps/api/devtask.json", r#"{"tasks": {"build": {}}, "include": ["../../lib"]}"#),
        ("apps/none/README", ""),
        ("apps/web/src/x", ""),
        ("lib/devtask.toml", "[tasks.build]"),
    ])
}

#[test]
fn every_project_of_the_root_is_loaded_from_anywhere_in_it() {
    let place = monorepo();
    for (start, current) in
        [("", "top"), ("apps/web/src", "web"), ("apps", "top"), ("lib", "lib"), ("apps/none", "top")]
    {
        let loaded = place.load(start);
        assert_eq!(loaded.root, place.path, "{start}");
        assert_eq!(projects(&loaded), ["top", "api", "lib", "web"], "{start}");
        assert_eq!(loaded.current_project.as_deref(), Some(current), "{start}");
        assert_eq!(loaded.settings.jobs, Some(2), "{start}");
        assert_eq!(loaded.warnings, [], "{start}");
    }
    let expected = [
        "top:all",
        "devenv:processes:db",
        "api:build",
        "lib:build",
        "web:build",
        "web:install",
        "devenv:processes:web:dev",
    ];
    let loaded = place.load("");
    assert_eq!(names(&loaded), expected);
    let build = &loaded.declarations[4];
    let after: Vec<_> = build.after.iter().map(|e| e.task.as_str()).collect();
    assert_eq!(after, ["web:install", "lib:build"]);
    assert_eq!(build.task.cwd, place.path.join("apps/web"));
}

#[test]
fn the_root_is_the_topmost_file_that_includes() {
    let place = tree(&[
        ("devtask.toml", "include = ['a']"),
        ("a/devtask.toml", "include = ['b/*']"),
        ("a/b/c/devtask.toml", ""),
        ("a/alone/devtask.toml", ""),
    ]);
    assert_eq!(projects(&place.load("a/b/c")), ["tree", "a", "c"]);
    assert_eq!(projects(&place.load("a/alone")), ["alone"]);
}

#[test]
fn a_file_above_that_does_not_include_is_no_concern_of_ours() {
    for above in ["nonsense = 1", "[tasks.a", "include = ['missing']"] {
        let place = tree(&[("devtask.toml", above), ("a/devtask.toml", "[tasks.x]")]);
        let loaded = place.load("a");
        assert_eq!((projects(&loaded), loaded.sources.iter().count()), (vec!["a"], 1), "{above}");
    }
}

#[test]
fn a_file_above_that_may_include_and_cannot_be_read_is_a_fault() {
    let place = tree(&[("devtask.json", "{"), ("a/devtask.toml", "[tasks.x]")]);
    let faults = place.faults("a");
    assert_eq!(codes(&faults.diagnostics), ["syntax"]);
    assert!(faults.diagnostics[0].notes[0].starts_with("it may include "));
    assert!(!faults.complete);
    let place = tree(&[("devtask.toml", "include = ['a']\n[tasks.b"), ("a/devtask.toml", "foo = 1")]);
    assert_eq!(codes(&place.faults("a").diagnostics), ["syntax", "unknown-key"], "what it includes is known");
}

#[test]
fn circles_diamonds_and_links_of_includes_load_each_file_once() {
    let place = tree(&[
        ("devtask.toml", "include = ['a', 'b', '.']"),
        ("a/devtask.toml", "include = ['../c', '..']"),
        ("b/devtask.toml", "include = ['../c', '../b']"),
        ("c/devtask.toml", "include = ['../a']"),
    ]);
    assert_eq!(projects(&place.load("c")), ["tree", "a", "c", "b"]);
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(place.path.join("c"), place.path.join("d")).unwrap();
        fs::write(place.path.join("devtask.toml"), "include = ['a', 'b', 'c', 'd']").unwrap();
        assert_eq!(projects(&place.load("")), ["tree", "a", "c", "b"]);
    }
}

#[test]
fn includes_that_name_nothing() {
    for (include, code, is_error) in [
        ("apps/*", "include", false),
        ("none", "include", true),
        ("file", "include", true),
        ("empty", "include", true),
        ("a[", "bad-glob", true),
        ("two", "two-task-files", true),
        ("tw*", "two-task-files", true),
    ] {
        let place = tree(&[
            ("devtask.toml", &format!("include = ['{include}']")),
            ("file", ""),
            ("empty/x", ""),
            ("two/devtask.toml", ""),
            ("two/devtask.json", "{}"),
        ]);
        let diagnostics = if is_error { place.faults("").diagnostics } else { place.load("").warnings };
        assert_eq!(codes(&diagnostics), [code], "{include}");
        assert_eq!(diagnostics[0].is_error(), is_error, "{include}");
        assert_eq!(diagnostics[0].labels[0].place.span.start, 11, "{include}");
    }
}

#[test]
fn globs_of_include_name_directories() {
    for (include, expected) in [
        ("*", vec!["tree", "a"]),
        ("*/", vec!["tree", "a"]),
        ("**", vec!["tree", "a", "x", "y"]),
        ("a/*", vec!["tree", "x", "y"]),
        ("a/{x,z}", vec!["tree", "x"]),
        ("a/[y]", vec!["tree", "y"]),
        (".*", vec!["tree", "hidden"]),
        ("../tree/a/?", vec!["tree", "x", "y"]),
    ] {
        let place = tree(&[
            ("devtask.toml", &format!("include = ['{include}']")),
            ("a/devtask.toml", ""),
            ("a/x/devtask.toml", ""),
            ("a/y/devtask.toml", ""),
            (".hidden/devtask.toml", ""),
        ]);
        assert_eq!(projects(&place.load("")), expected, "{include}");
    }
}

#[test]
fn all_faults_of_all_files_are_reported_at_once() {
    let place = tree(&[
        ("devtask.toml", "include = ['a', 'b', 'missing']\nfoo = 1\n[tasks.x]\nafter = ['y@z']"),
        ("a/devtask.toml", "bar = 1\n[tasks.y]\ndotenv = 1"),
        ("b/devtask.json", "{]"),
    ]);
    let faults = place.faults("");
    let mut seen = codes(&faults.diagnostics);
    seen.sort_unstable();
    assert_eq!(seen, ["bad-suffix", "include", "syntax", "unknown-key", "unknown-key", "unknown-key"]);
    let names: Vec<_> = faults.declarations.iter().map(|d| d.task.name.as_str()).collect();
    assert_eq!(names, ["tree:x", "a:y"], "what could be read is there for the graph");
    assert!(!faults.complete);
}

#[test]
fn faults_that_hide_no_name_leave_the_list_complete() {
    let place = tree(&[("devtask.toml", "[tasks.x]\nretries = 'x'")]);
    assert!(place.faults("").complete);
}

#[test]
fn two_projects_of_one_name_are_shown_both() {
    let place = tree(&[
        ("devtask.toml", "name = 'x'\ninclude = ['x', 'y']"),
        ("x/devtask.toml", ""),
        ("y/devtask.toml", "name = 'x'"),
    ]);
    let faults = place.faults("");
    assert_eq!(codes(&faults.diagnostics), ["duplicate-project", "duplicate-project"]);
    let sources: Vec<_> = faults.diagnostics[1]
        .labels
        .iter()
        .map(|l| faults.sources.get(l.place.source).unwrap().name.as_str())
        .collect();
    assert_eq!(sources, ["y/devtask.toml", "devtask.toml"]);
}

#[test]
fn a_project_is_called_as_its_directory() {
    for (dir, name) in [("web", "web"), ("my app", "my-app"), ("web.v2", "web-v2"), ("-x-", "x")] {
        let place = tree(&[(&format!("{dir}/devtask.toml"), "[tasks.a]")]);
        assert_eq!(projects(&place.load(dir)), [name], "{dir}");
    }
    let place = tree(&[("ü/devtask.toml", "")]);
    assert_eq!(codes(&place.faults("ü").diagnostics), ["bad-name"]);
    let place = tree(&[("devtask.toml", "name = 'a b'")]);
    let faults = place.faults("");
    assert_eq!(faults.diagnostics[0].hint.as_deref(), Some("`a-b` is a legal spelling"));
}

#[test]
fn settings_of_included_files_are_a_warning() {
    let place = tree(&[("devtask.toml", "include = ['a']"), ("a/devtask.toml", "[settings]\njobs = 3")]);
    let loaded = place.load("");
    assert_eq!((codes(&loaded.warnings), loaded.settings.jobs), (vec!["settings-ignored"], None));
}

#[test]
fn dotenv_files_are_read() {
    let place = tree(&[
        ("devtask.toml", "dotenv = ['.env', 'missing', '${root}/sub/b']\n[env]\nC = 'env'\n[tasks.a]"),
        (".env", "A=1\nB=1\nC=1"),
        ("sub/b", "B=2"),
    ]);
    let loaded = place.load("");
    let env = &loaded.declarations[0].task.file_env;
    let values: Vec<_> = env.iter().map(|(k, v)| (k.as_str(), v.value.as_str())).collect();
    assert_eq!(values, [("A", "1"), ("B", "2"), ("C", "env")]);
    let files = ["devtask.toml", ".env", "missing", "sub/b"].map(|f| place.path.join(f));
    assert_eq!(loaded.files, files);
    let place = tree(&[("devtask.toml", "dotenv = ['.env', 'dir']"), (".env", "nonsense"), ("dir/x", "")]);
    assert_eq!(codes(&place.faults("").diagnostics), ["unreadable", "dotenv"]);
}

#[test]
fn the_git_root_is_where_git_is() {
    let place = tree(&[
        ("devtask.toml", "include = ['sub']\n[tasks.a]\nexec = '${git.root}'"),
        ("sub/devtask.toml", "[tasks.b]\nexec = '${git.root}'"),
    ]);
    assert_eq!(codes(&place.faults("").diagnostics), ["no-git-root", "no-git-root"]);
    fs::create_dir(place.path.join(".git")).unwrap();
    fs::write(place.path.join("sub/.git"), "gitdir: x").unwrap();
    let loaded = place.load("");
    let scripts: Vec<_> = loaded
        .declarations
        .iter()
        .map(|d| match &d.task.action {
            Action::Script(text) => PathBuf::from(&text.value),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(scripts, [place.path.clone(), place.path.join("sub")]);
}

#[test]
fn files_that_cannot_be_read_are_faults() {
    let place = tree(&[("utf8/x", ""), ("dir/devtask.toml/x", "")]);
    fs::write(place.path.join("utf8/devtask.toml"), b"name = 'a'\nx = '\xff'").unwrap();
    let faults = place.faults("utf8");
    assert_eq!(codes(&faults.diagnostics), ["unreadable"]);
    let at = faults.diagnostics[0].labels[0].place.span.start;
    assert_eq!(at, 16, "the place of the first bad byte");
    assert_eq!(codes(&place.faults("dir").diagnostics), ["unreadable"]);
    assert_eq!(codes(&place.faults("missing").diagnostics), ["unreadable"]);
    for file in ["none.toml", "none.json", "utf8"] {
        let request = LoadRequest { file: Some(file.into()), ..place.request("") };
        assert_eq!(codes(&load(&request).unwrap_err().diagnostics), ["unreadable"], "{file}");
    }
}

#[test]
fn a_byte_order_mark_is_skipped() {
    let place = tree(&[("devtask.toml", "\u{feff}foo = 1")]);
    let faults = place.faults("");
    assert_eq!(codes(&faults.diagnostics), ["unknown-key"]);
    assert_eq!(faults.diagnostics[0].labels[0].place.span, 0..3);
    let place = tree(&[("devtask.json", "\u{feff}{}"), ("tasks.json", "\u{feff} []")]);
    assert_eq!(place.load("").kind, Kind::Devtask);
    let request = LoadRequest { file: Some("tasks.json".into()), ..place.request("") };
    assert_eq!(load(&request).unwrap().kind, Kind::Devenv);
}

#[test]
fn a_file_can_be_named() {
    let place = tree(&[
        ("devtask.toml", "include = ['a']"),
        ("a/devtask.toml", "[tasks.x]"),
        ("other.toml", "[tasks.y]"),
        ("other.json", r#"{"tasks": {"z": {}}}"#),
    ]);
    for (file, expected) in
        [("a/devtask.toml", "a:x"), ("../tree/other.toml", "tree:y"), ("other.json", "tree:z")]
    {
        let loaded = load(&LoadRequest { file: Some(file.into()), ..place.request("") }).unwrap();
        assert_eq!(names(&loaded), [expected], "{file}");
        assert_eq!(loaded.root, place.path, "{file}");
    }
}

const LIST: &str = r#"[{"name": "app:a", "command": "/x"}, {"name": "devenv:processes:p", "type": "process", "command": "/y"}]"#;

#[test]
fn lists_of_devenv_come_from_a_file_or_a_variable() {
    let place = tree(&[("sub/tasks.json", LIST), ("start/x", "")]);
    let request = place.request("start");
    let start = place.path.join("start");
    let sub = place.path.join("sub");
    for (request, root) in [
        (LoadRequest { file: Some("../sub/tasks.json".into()), ..request.clone() }, &sub),
        (LoadRequest { devenv_tasks: Some(LIST.into()), ..request.clone() }, &start),
        (LoadRequest { devenv_task_file: Some(sub.join("tasks.json").into()), ..request.clone() }, &start),
        (
            LoadRequest {
                devenv_tasks: Some("".into()),
                devenv_task_file: Some("../sub/tasks.json".into()),
                devenv_root: Some(sub.clone().into()),
                ..request.clone()
            },
            &sub,
        ),
        (
            LoadRequest {
                devenv_tasks: Some(LIST.into()),
                devenv_task_file: Some("none".into()),
                devenv_root: Some(sub.clone().into()),
                ..request.clone()
            },
            &sub,
        ),
    ] {
        let loaded = load(&request).unwrap();
        assert_eq!((loaded.kind, &loaded.root), (Kind::Devenv, root), "{request:?}");
        assert_eq!(names(&loaded), ["app:a", "devenv:processes:p"]);
        assert_eq!(loaded.declarations[0].task.cwd, start, "{request:?}");
        assert!(matches!(loaded.declarations[1].task.kind, TaskKind::Process(_)));
        assert_eq!(loaded.projects.len(), 1);
    }
    let file = LoadRequest { devenv_task_file: Some("none".into()), ..request.clone() };
    let faults = load(&file).unwrap_err();
    assert_eq!(faults.diagnostics[0].notes, ["`$DEVENV_TASK_FILE` names it"]);
    let bad = LoadRequest { devenv_tasks: Some("[".into()), ..request };
    let faults = load(&bad).unwrap_err();
    assert_eq!((codes(&faults.diagnostics), faults.complete), (vec!["syntax"], false));
    assert_eq!(faults.sources.iter().next().unwrap().name, "$DEVENV_TASKS");
}

#[test]
fn a_task_file_of_our_own_wins_over_the_variables() {
    let place = tree(&[("devtask.toml", "[tasks.a]")]);
    let request = LoadRequest { devenv_tasks: Some(LIST.into()), ..place.request("") };
    assert_eq!(load(&request).unwrap().kind, Kind::Devtask);
}
