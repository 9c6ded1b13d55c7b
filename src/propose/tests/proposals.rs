//! What whole proposals hold to.

use super::{of, table};
use crate::propose::{Content, Found, interest, propose};

#[test]
fn only_what_is_wanted_is_read() {
    let paths = [
        "package.json",
        "deep/down/there/package.json",
        "packages/a/package.json",
        "Makefile",
        "x.txt",
        "yarn.lock",
    ];
    let files = paths.into_iter().filter(|path| interest(path.rsplit('/').next().unwrap()).is_some());
    let files = files.map(|path| (path.to_owned(), Content::Unread)).collect();
    let mut found = Found { name: "here".to_owned(), files, ..Found::default() };
    let wants = propose(&found).wants;
    assert_eq!(wants.into_iter().collect::<Vec<_>>(), ["Makefile", "package.json"]);
    let text = r#"{"workspaces": ["packages/*"]}"#;
    found.files.insert("package.json".to_owned(), Content::Text(text.to_owned()));
    found.files.insert("Makefile".to_owned(), Content::Unreadable);
    assert_eq!(propose(&found).wants.into_iter().collect::<Vec<_>>(), ["packages/a/package.json"]);
}

#[test]
fn circles_are_cut() {
    let package = |name: &str, needs: &str| {
        format!(r#"{{"name": "{name}", "dependencies": {{"{needs}": "*"}}, "scripts": {{"build": "x"}}}}"#)
    };
    let files = [
        ("package.json".to_owned(), r#"{"workspaces": ["*"]}"#.to_owned()),
        ("a/package.json".to_owned(), package("a", "b")),
        ("b/package.json".to_owned(), package("b", "c")),
        ("c/package.json".to_owned(), package("c", "a")),
        ("justfile".to_owned(), "build: test\n  x\ntest: lint\n  x\nlint: build\n  x\n".to_owned()),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let proposal = of(&files);
    let after = |path: &str, task: &str| {
        let table = table(&proposal, path);
        table["tasks"][task].get("after").map_or(Vec::new(), |list| {
            list.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect::<Vec<_>>()
        })
    };
    assert_eq!(after("a/devtask.toml", "build"), ["here:install", "b:build", "c:build"]);
    assert_eq!(after("b/devtask.toml", "build"), ["here:install", "c:build"]);
    assert_eq!(after("c/devtask.toml", "build"), ["here:install"]);
    assert!(
        proposal.files[3].1.contains("# Not after a:build, which comes after it.\n"),
        "{}",
        proposal.files[3].1
    );
    assert_eq!(after("devtask.toml", "build"), ["test", "install"]);
    assert_eq!(after("devtask.toml", "test"), ["lint", "install"]);
    assert_eq!(after("devtask.toml", "lint"), ["install"]);
}

#[test]
fn projects_have_different_names() {
    let proposal = of(&[
        ("pnpm-workspace.yaml", "packages: ['**']"),
        ("package.json", r#"{"name": "ui"}"#),
        ("apps/ui/package.json", r#"{"name": "@a/ui", "scripts": {"build": "x"}}"#),
        ("libs/ui/package.json", r#"{"name": "@b/ui", "scripts": {"build": "x"}}"#),
        ("devenv/package.json", r#"{"scripts": {"build": "x"}}"#),
    ]);
    let names: Vec<String> = proposal
        .files
        .iter()
        .map(|(path, _)| format!("{path}={}", table(&proposal, path)["name"].as_str().unwrap()))
        .collect();
    let expected = [
        "devtask.toml=ui",
        "apps/ui/devtask.toml=apps-ui",
        "devenv/devtask.toml=devenv-2",
        "libs/ui/devtask.toml=libs-ui",
    ];
    assert_eq!(names, expected);
}

#[test]
fn what_git_ignores_is_not_left_out_again() {
    let package = r#"{"main": "dist/x.js", "scripts": {"build": "tsc", "lint": "eslint"}}"#;
    let building = r#"{"scripts": {"build": "tsc -b", "lint": "eslint"}}"#;
    for (package, ignored, patterns) in [
        (building, "node_modules", &["**", "!**/*.tsbuildinfo", "!devtask.toml"][..]),
        (building, "node_modules\n*.tsbuildinfo\n", &["**", "!devtask.toml"]),
        (package, "", &["**", "!dist/**", "!node_modules/**", "!devtask.toml"]),
        (package, "dist/\n/node_modules\n", &["**", "!devtask.toml"]),
        (package, "**/node_modules/**\n", &["**", "!dist/**", "!devtask.toml"]),
    ] {
        let proposal = of(&[("package.json", package), (".gitignore", ignored)]);
        let table = table(&proposal, "devtask.toml");
        let list = table["tasks"]["lint"]["execIfModified"].as_array().unwrap();
        assert_eq!(list.iter().map(|p| p.as_str().unwrap()).collect::<Vec<_>>(), patterns, "{ignored}");
    }
}

#[test]
fn manifests_of_the_oddest_kinds_are_survived() {
    let mut random = fastrand::Rng::with_seed(10);
    let values = [
        "null",
        "1",
        "\"x\"",
        "[]",
        "{}",
        "[1]",
        "{\"a\": 1}",
        "{\"packages\": 3}",
        "[\"*\", \"!x\", \"[\"]",
    ];
    let keys = [
        "name",
        "scripts",
        "workspaces",
        "dependencies",
        "main",
        "exports",
        "bin",
        "packageManager",
        "tasks",
        "repos",
    ];
    for _ in 0..500 {
        let mut value = || values[random.usize(0..values.len())];
        let members: Vec<String> = keys.iter().map(|key| format!("\"{key}\": {}", value())).collect();
        let text = format!("{{{}}}", members.join(", "));
        of(&[
            ("package.json", &text),
            ("composer.json", &text),
            ("Taskfile.yml", &text),
            (".pre-commit-config.yaml", &text),
            ("a/package.json", &text),
        ]);
    }
    for text in [
        "[workspace]\nmembers = 1",
        "package = 1",
        "[package]\nname = 1\n[dependencies]\na = 1\nb.path = 1\nc.workspace = true",
        "[workspace]\nmembers = ['../..', '[', '/etc']",
    ] {
        of(&[("Cargo.toml", text), ("pyproject.toml", text)]);
    }
}

/// The tasks of the root that are part of a plain run, in order of their names.
fn tasks(files: &[(&str, &str)]) -> Vec<String> {
    let proposal = of(files);
    let table = table(&proposal, "devtask.toml");
    let tasks = table.get("tasks").and_then(toml::Value::as_table);
    tasks.into_iter().flat_map(toml::Table::keys).cloned().collect()
}

#[test]
fn of_several_ways_to_do_a_thing_one_is_taken() {
    let package = r#"{"scripts": {"build": "x", "build:prod": "x", "test": "run-s test:*", "test:a": "x", "test:b": "x",
        "lint:css": "x", "gen": "x", "build:slow": "npm run gen && x"}}"#;
    assert_eq!(tasks(&[("package.json", package)]), ["build", "gen", "lint-css", "test", "test-a", "test-b"]);
    let package = r#"{"scripts": {"build": "npm run gen && tsc", "gen": "x", "ci": "npm run lint && npm run deploy", "lint": "x"}}"#;
    assert_eq!(tasks(&[("package.json", package)]), ["build", "lint"]);
    let recipes = "build: pre\n  x\npre:\n  x\ntest_all: build\n  x\ntest: test_unit\n  x\ntest_unit:\n  x\nodd:\n  x\n";
    assert_eq!(tasks(&[("justfile", recipes)]), ["build", "pre", "test", "test_unit"]);
    // Who calls for effects has them.
    let package = r#"{"scripts": {"build": "npm run clean && tsc", "clean": "rm", "all": "npm run x", "x": "npm run y", "y": "npm run push",
        "push": "x", "docs": "tsc && git push", "test": "npm run test"}}"#;
    assert_eq!(tasks(&[("package.json", package)]), ["build", "test"]);
    assert_eq!(
        tasks(&[("justfile", "ci: lint deploy\nlint:\n  x\ndeploy:\n  x\nbuild: clean\n  x\nclean:\n  x\n")]),
        ["build", "lint"]
    );
    // Of recipes that give way to tasks of a language, nothing is needed.
    let cargo = ("Cargo.toml", "[package]\nname = 'x'\n");
    assert_eq!(
        tasks(&[("justfile", "build: pre\n  x\npre:\n  x\ntest_all: build\n  x\n"), cargo]),
        ["build", "fetch", "test"]
    );
}

#[test]
fn much_of_everything_takes_no_time() {
    let members: Vec<String> = (0..120).map(|n| format!("p{n:04}")).collect();
    let package = |n: usize| {
        let needs: Vec<String> = (n.saturating_sub(10)..n).map(|n| format!("\"p{n:04}\": \"*\"")).collect();
        let scripts: Vec<String> =
            (0..5).map(|s| format!("\"lint{s}\": \"npm run lint{}\"", s + 1)).collect();
        format!(
            "{{\"name\": \"p{n:04}\", \"dependencies\": {{{}}}, \"scripts\": {{\"build\": \"x\", {}}}}}",
            needs.join(", "),
            scripts.join(", ")
        )
    };
    let mut files = vec![("package.json".to_owned(), r#"{"workspaces": ["*"]}"#.to_owned())];
    files.extend(members.iter().enumerate().map(|(n, name)| (format!("{name}/package.json"), package(n))));
    let recipes: String = (0..400)
        .map(|n| format!("build{n}: {}\n  x\n", (0..n).map(|n| format!("build{n} ")).collect::<String>()))
        .collect();
    files.push(("justfile".to_owned(), recipes));
    let scripts: Vec<String> = (0..5000).map(|n| format!("\"test:{n}\": \"run-s test:*\"")).collect();
    files.push(("zz/composer.json".to_owned(), format!("{{\"scripts\": {{{}}}}}", scripts.join(", "))));
    files.push(("p0000/package.json".to_owned(), format!("{{\"scripts\": {{{}}}}}", scripts.join(", "))));
    let files = files.into_iter().map(|(path, text)| (path, Content::Text(text))).collect();
    assert_eq!(propose(&Found { name: "here".to_owned(), files, ..Found::default() }).files.len(), 122);
}

#[test]
fn outputs_are_named_where_they_are_sure() {
    let built = |more: &str, build: &str| format!(r#"{{"scripts": {{"build": "{build}"}}{more}}}"#);
    let out_dir = ("tsconfig.json", r#"{"compilerOptions": {"outDir": "./made"}}"#);
    let plain_vite = ("vite.config.ts", "export default {}");
    let odd_vite = ("vite.config.ts", "export default { build: { outDir: 'web' } }");
    let ignored = (".gitignore", "/lib\n");
    for (package, file, outputs) in [
        (built("", "x"), out_dir, &[][..]),
        (built("", "tsc -p ."), out_dir, &["made/**"]),
        (built("", "tsc --noEmit"), out_dir, &[]),
        (built("", "tsc && vite build"), plain_vite, &["dist/**"]),
        (built("", "vite build"), odd_vite, &[]),
        (built("", "vite build --outDir web"), plain_vite, &[]),
        (built("", "rimraf dist && x"), plain_vite, &[]),
        (built("", "esbuild --outdir=./dist/js"), plain_vite, &["dist/**"]),
        (built(r#", "main": "lib/x.js""#, "x"), ignored, &["lib/**"]),
        (built(r#", "main": "lib/x.js""#, "x"), plain_vite, &[]),
        (
            built(r#", "files": ["dist", "src"], "exports": {".": "./esm/x.js"}"#, "x"),
            ignored,
            &["dist/**", "esm/**"],
        ),
        (r#"{"scripts": {"build": "x -o dist", "bundle": "y -o dist"}}"#.to_owned(), ignored, &[]),
        (r#"{"scripts": {"build": "x -o dist", "test": "y dist"}}"#.to_owned(), ignored, &["dist/**"]),
    ] {
        let proposal = of(&[("package.json", &package), file]);
        let table = table(&proposal, "devtask.toml");
        let list = table["tasks"]["build"].get("outputs").and_then(toml::Value::as_array);
        let list: Vec<&str> = list.into_iter().flatten().filter_map(toml::Value::as_str).collect();
        assert_eq!(list, outputs, "{package} {file:?}");
    }
    let made = |text: &str| {
        let proposal = of(&[
            ("package.json", r#"{"dependencies": {"x": "1"}}"#),
            ("yarn.lock", ""),
            (".yarnrc.yml", text),
        ]);
        table(&proposal, "devtask.toml")["tasks"]["install"].get("outputs").is_some()
    };
    assert!(!made("x: y\n") && made("nodeLinker: node-modules\n"));
}

#[test]
fn what_the_members_do_the_root_does_not_do_again() {
    let root = r#"{"name": "root", "workspaces": ["*"], "scripts": {"build": "npm run build -ws", "lint": "turbo run lint",
        "test": "npm run test -ws && node all.js"}}"#;
    let a = r#"{"name": "a", "scripts": {"build": "x", "test": "x"}}"#;
    let proposal = of(&[("package.json", root), ("a/package.json", a)]);
    let table = table(&proposal, "devtask.toml");
    let build = &table["tasks"]["build"];
    assert!(build.get("exec").is_none(), "{build:?}");
    assert_eq!(build["after"].as_array().unwrap()[0].as_str(), Some("a:build"));
    assert!(table["tasks"].get("lint").is_none(), "no member has it");
    assert!(proposal.files[0].1.contains("left out: the tasks of the members do that"));
    assert!(table["tasks"]["test"].get("exec").is_some(), "it does more");
}

#[test]
fn rustfmt_is_told_the_edition_of_the_members() {
    let package = |edition: &str| format!("[package]\nname = 'x'\n{edition}");
    let virtual_root = "[workspace]\nmembers = ['*']\n[workspace.package]\nedition = '2021'\n";
    for (root, a, b, exec) in [
        (virtual_root, "edition = '2024'", "edition = '2024'", "rustfmt --check --edition 2024 \"$@\""),
        (
            virtual_root,
            "edition.workspace = true",
            "edition = '2021'",
            "rustfmt --check --edition 2021 \"$@\"",
        ),
        (virtual_root, "", "", "rustfmt --check --edition 2015 \"$@\""),
        (
            virtual_root,
            "edition = '2018'",
            "edition = '2024'",
            "cargo fmt --all --manifest-path Cargo.toml --check",
        ),
    ] {
        let files = [("Cargo.toml", root), ("a/Cargo.toml", &package(a)), ("b/Cargo.toml", &package(b))];
        let table = table(&of(&files), "devtask.toml");
        let check = &table["checks"]["rustfmt"];
        assert_eq!(check["exec"].as_str(), Some(exec));
        assert_eq!(check.get("pass_files").is_some(), exec.contains("$@"));
    }
    let two =
        [("one/Cargo.toml", package("edition = '2018'")), ("two/Cargo.toml", package("edition = '2024'"))];
    let two: Vec<(&str, &str)> = two.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let table = table(&of(&two), "devtask.toml");
    assert_eq!(table["checks"]["rustfmt-one"]["files"][0].as_str(), Some("one/**/*.rs"));
    assert!(table["checks"]["rustfmt-two"]["exec"].as_str().unwrap().contains("2024"));
}
