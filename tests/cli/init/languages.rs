//! Trees of one language, and of several.

use super::{NPM, adopt, after, calls, fake, runs_once};
use crate::support::Sandbox;

fn crate_toml(name: &str, more: &str) -> String {
    format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n{more}")
}

#[test]
fn a_cargo_workspace_is_built_in_the_order_of_its_members() {
    let tree = Sandbox::new();
    tree.write("Cargo.toml", "[workspace]\nmembers = ['crates/*']\nresolver = '3'\n");
    tree.write("crates/core/Cargo.toml", crate_toml("core-lib", "[lib]\nname = 'core_lib'\n"));
    tree.write("crates/core/src/lib.rs", "pub fn one() -> u32 { 1 }\n");
    tree.write("crates/tool/Cargo.toml", crate_toml("tool", "[dependencies]\ncore-lib.path = '../core'\n"));
    tree.write("crates/tool/src/main.rs", "fn main() { println!(\"{}\", core_lib::one()); }\n");
    tree.write("crates/alone/Cargo.toml", crate_toml("alone", "[dev-dependencies]\ntool.path = '../tool'\n"));
    tree.write("crates/alone/src/lib.rs", "#[test]\nfn it_is() {}\n");
    let proposed = adopt(&tree);
    assert!(proposed.out.contains("after = [\"tree:fetch\", \"core-lib:build\"]"), "{proposed}");
    let all = "tree:fetch core-lib:build core-lib:test tool:build tool:test alone:build alone:test";
    runs_once(&tree, all);
    let tool = "tool:build tool:test alone:test";
    after(&tree, |t| t.append("crates/tool/src/main.rs", "// more\n"), tool);
    let core = "core-lib:build core-lib:test tool:build tool:test alone:test";
    after(&tree, |t| t.append("crates/core/src/lib.rs", "// more\n"), core);
    after(&tree, |t| t.append("crates/alone/src/lib.rs", "// more\n"), "alone:build alone:test");
}

#[test]
fn a_single_crate_leaves_out_what_cargo_makes() {
    let tree = Sandbox::new();
    tree.write("Cargo.toml", crate_toml("one", ""));
    tree.write("src/lib.rs", "#![doc = include_str!(\"../README.md\")]\n");
    tree.write("README.md", "# One\n");
    let proposed = adopt(&tree);
    assert!(proposed.out.contains("!target/**"), "{proposed}");
    runs_once(&tree, "one:fetch one:build one:test");
    after(&tree, |t| t.append("README.md", "More.\n"), "one:build one:test");
}

fn npm_workspace() -> Sandbox {
    let mut tree = Sandbox::new();
    fake(&mut tree, "npm", NPM);
    tree.write(
        "package.json",
        r#"{"name": "@acme/shop", "workspaces": ["packages/*", "apps/*"], "devDependencies": {"typescript": "5"},
            "scripts": {"lint": "node -e 0", "all": "npm run lint && npm run unit", "unit": "node -e 0",
                        "postinstall": "exit 9", "deploy": "exit 9", "release": "exit 9", "magic": "exit 9"}}"#,
    );
    tree.write(
        "packages/core/package.json",
        r#"{"name": "@acme/core", "main": "./dist/index.js", "scripts": {
            "build": "mkdir -p dist && cat src/index.js > dist/index.js", "clean": "exit 9",
            "test": "echo \"Error: no test specified\" && exit 1", "watch": "exit 9"}}"#,
    );
    tree.write("packages/core/src/index.js", "exports.core = 1;\n");
    tree.write(
        "packages/ui/package.json",
        r#"{"name": "@acme/ui", "main": "src/index.js", "dependencies": {"@acme/core": "*"},
            "scripts": {"typecheck": "node -e 0", "prepare": "exit 9"}}"#,
    );
    tree.write("packages/ui/src/index.js", "exports.ui = 1;\n");
    tree.write(
        "apps/web/package.json",
        r#"{"name": "web", "dependencies": {"@acme/ui": "workspace:*"}, "scripts": {
            "prebuild": "exit 9", "dev": "exit 9", "start": "node server.js", "test": "node test.js",
            "build": "mkdir -p out && cat ../../packages/core/dist/index.js src/app.js > out/app.js"}}"#,
    );
    tree.write("apps/web/src/app.js", "app();\n");
    tree.write("apps/web/test.js", "require('fs').readFileSync('out/app.js');\n");
    tree
}

#[test]
fn an_npm_workspace_is_installed_once_and_built_upward() {
    let tree = npm_workspace();
    let proposed = adopt(&tree);
    assert!(proposed.out.contains("# from package.json, scripts.build\n[tasks.build]"), "{proposed}");
    assert!(
        proposed.out.contains("# from package.json, scripts.deploy; left out: it has effects"),
        "{proposed}"
    );
    assert!(
        proposed.out.contains("[processes.dev]\nafter = [\"shop:install\"]\nstart.enable = false"),
        "{proposed}"
    );
    for gone in ["postinstall", "prebuild", "prepare", "no test specified"] {
        assert!(!proposed.out.contains(gone), "{gone}\n{proposed}");
    }
    let all = "shop:install shop:lint shop:unit core:build ui:typecheck web:build web:test";
    runs_once(&tree, all);
    assert!(calls(&tree).starts_with("npm install\n"));
    let core = "shop:lint shop:unit core:build ui:typecheck web:build web:test";
    after(&tree, |t| t.append("packages/core/src/index.js", "exports.more = 1;\n"), core);
    let ui = "shop:lint shop:unit ui:typecheck web:build web:test";
    after(&tree, |t| t.append("packages/ui/src/index.js", "exports.more = 1;\n"), ui);
    after(&tree, |t| t.append("apps/web/src/app.js", "more();\n"), "shop:lint shop:unit web:build web:test");
    // What comes from the same sources comes from the store.
    tree.remove("packages/core/dist");
    tree.ok("run");
    assert_eq!(tree.read("packages/core/dist/index.js").lines().count(), 2);
}

#[test]
fn a_lock_file_says_how_packages_are_installed() {
    for (lock, named, program, install) in [
        ("package-lock.json", "", "npm", "npm ci"),
        ("yarn.lock", "", "yarn", "yarn install --frozen-lockfile"),
        ("yarn.lock", "yarn@4.1.0", "yarn", "yarn install --immutable"),
        ("pnpm-lock.yaml", "", "pnpm", "pnpm install --frozen-lockfile"),
        ("bun.lock", "", "bun", "bun install --frozen-lockfile"),
        ("README", "pnpm@9.0.0+sha1.00", "pnpm", "pnpm install"),
    ] {
        let tree = Sandbox::new();
        let package =
            r#"{"packageManager": "@", "dependencies": {"left-pad": "1"}, "scripts": {"lint": "true"}}"#;
        tree.write("package.json", package.replace('@', named).replace(r#""packageManager": "", "#, ""));
        tree.write(lock, "");
        let proposed = adopt(&tree).out;
        assert!(proposed.contains(&format!("exec = \"{install}")), "{lock}\n{proposed}");
        assert!(proposed.contains(&format!("exec = \"{program} run lint\"\n")), "{lock}\n{proposed}");
        assert_eq!(
            proposed.contains(&format!("\"package.json\", \"{lock}\"]")),
            lock != "README",
            "{proposed}"
        );
    }
}

#[test]
fn a_pnpm_workspace_names_its_members_elsewhere() {
    let mut tree = Sandbox::new();
    fake(&mut tree, "pnpm", NPM);
    tree.write("package.json", r#"{"name": "root"}"#);
    tree.write("pnpm-workspace.yaml", "packages:\n  - 'libs/**'\n  - '!**/old'\n");
    tree.write("pnpm-lock.yaml", "lockfileVersion: '9.0'\n");
    tree.write("libs/a/one/package.json", r#"{"name": "one", "scripts": {"build": "node -e 0"}}"#);
    let two = r#"{"name": "two", "scripts": {"build": "node -e 0"}, "dependencies": {"one": "workspace:^"}}"#;
    tree.write("libs/two/package.json", two);
    tree.write("libs/old/package.json", r#"{"name": "old", "scripts": {"build": "exit 9"}}"#);
    // In these fakes, installing is `install`, whatever its options.
    adopt(&tree);
    runs_once(&tree, "root:install one:build two:build");
    assert!(calls(&tree).contains("pnpm install --frozen-lockfile\n"));
}

#[test]
fn a_python_package_is_synced_tested_and_linted() {
    let mut tree = Sandbox::new();
    let uv = r#"
case "$1 $2" in
"sync --locked") mkdir -p .venv/bin app.egg-info && date +%N > app.egg-info/PKG-INFO ;;
"run pytest") mkdir -p tests/__pycache__ .pytest_cache && date +%N > tests/__pycache__/a.pyc ;;
"run ruff"|"run mypy") ;;
*) exit 9 ;;
esac"#;
    fake(&mut tree, "uv", uv);
    tree.write(
        "pyproject.toml",
        "[project]\nname = 'the.app'\n[tool.pytest.ini_options]\n[tool.ruff]\n[tool.mypy]\n[dependency-groups]\n\
         dev = ['pytest>8', 'ruff', 'mypy']\n",
    );
    tree.write("uv.lock", "");
    tree.write("app/__init__.py", "");
    tree.write("tests/test_app.py", "");
    adopt(&tree);
    runs_once(&tree, "the-app:install the-app:test the-app:lint the-app:typecheck");
    let calls = calls(&tree);
    assert!(calls.starts_with("uv sync --locked\n") && calls.contains("uv run pytest\n"), "{calls}");
    after(&tree, |t| t.append("app/__init__.py", "#\n"), "the-app:test the-app:lint the-app:typecheck");
}

#[test]
fn pip_and_poetry_are_told_apart() {
    for (files, manifest, install, test) in [
        (
            &[][..],
            "[project]\nname = 'a'\n[tool.pytest]\n",
            ".venv/bin/pip install -e .",
            ".venv/bin/python -m pytest",
        ),
        (
            &["poetry.lock"],
            "[tool.poetry]\nname = 'a'\n[tool.pytest]\n",
            "poetry install",
            "poetry run pytest",
        ),
        (
            &["requirements.txt"],
            "[tool.pytest]\n",
            "pip install -r requirements.txt",
            ".venv/bin/python -m pytest",
        ),
        (
            &["uv.lock", "requirements.txt"],
            "[project]\nname = 'a'\ndependencies = ['pytest']\n[tool.pytest]\n",
            "uv sync --locked",
            "uv run pytest",
        ),
    ] {
        let tree = Sandbox::new();
        tree.write("pyproject.toml", manifest);
        files.iter().for_each(|file| tree.write(file, ""));
        let proposed = adopt(&tree).out;
        assert!(proposed.contains(install) && proposed.contains(test), "{files:?}\n{proposed}");
    }
}

#[test]
fn go_modules_of_a_workspace() {
    let mut tree = Sandbox::new();
    // As the real one, it leaves the one program there is in the working directory if nothing says where it belongs.
    let go = r#"
case "$1" in
build) case "$*" in *" -o /dev/null "*) ;; *) date +%N > program ;; esac ;;
vet|test) ;;
*) exit 9 ;;
esac"#;
    fake(&mut tree, "go", go);
    tree.write("go.work", "go 1.24\n\nuse (\n\t./lib // shared\n\t./cmd/tool\n)\n");
    tree.write("lib/go.mod", "module example.com/lib/v2\n");
    tree.write("lib/lib.go", "package lib\n");
    tree.write(
        "cmd/tool/go.mod",
        "module example.com/tool\n\nrequire (\n\texample.com/lib/v2 v2.0.0 // indirect\n)\n",
    );
    tree.write("cmd/tool/main.go", "package main\n");
    let proposed = adopt(&tree);
    assert!(proposed.out.contains("after = [\"lib:build\"]"), "{proposed}");
    let tool = "tool:build tool:vet tool:test";
    runs_once(&tree, &format!("lib:build lib:vet lib:test {tool}"));
    after(&tree, |t| t.append("cmd/tool/main.go", "// more\n"), tool);
    after(&tree, |t| t.append("lib/lib.go", "// more\n"), &format!("lib:build lib:vet lib:test {tool}"));
}

#[test]
fn composer_packages_and_scripts() {
    let mut tree = Sandbox::new();
    let composer = r#"
case "$1" in
install) mkdir -p vendor && date +%N > vendor/autoload.php ;;
run-script) ;;
*) exit 9 ;;
esac"#;
    fake(&mut tree, "composer", composer);
    tree.write(
        "composer.json",
        r#"{"name": "acme/shop", "scripts": {"test": "phpunit", "lint": ["phpcs", "phpstan"], "fix": "phpcbf",
            "serve": "php -S localhost:8000", "post-install-cmd": "exit 9"}}"#,
    );
    tree.write("composer.lock", "{}");
    tree.write("src/Shop.php", "<?php\n");
    adopt(&tree);
    runs_once(&tree, "shop:install shop:test shop:lint");
    let calls = calls(&tree);
    assert!(calls.starts_with("composer install --no-interaction\n"), "{calls}");
    assert!(calls.contains("composer run-script lint\n") && !calls.contains("fix"), "{calls}");
    after(&tree, |t| t.append("src/Shop.php", "// more\n"), "shop:test shop:lint");
}

#[test]
fn a_tree_of_several_languages() {
    let mut tree = Sandbox::new();
    fake(&mut tree, "npm", NPM);
    fake(&mut tree, "go", "");
    fake(&mut tree, "uv", "mkdir -p svc/__pycache__ && date +%N > svc/__pycache__/a.pyc");
    tree.write("Makefile", ".PHONY: lint build\nlint:\n\ttest -d backend\nbuild:\n\ttrue\n");
    tree.write(
        "frontend/package.json",
        r#"{"scripts": {"build": "mkdir -p dist && date +%N > dist/app.js"}}"#,
    );
    tree.write("frontend/app.js", "");
    tree.write("backend/go.mod", "module example.com/backend\n");
    tree.write("services/mail/pyproject.toml", "[project]\nname = 'mail'\n[tool.uv]\n[tool.pytest]\n");
    tree.write("native/Cargo.toml", crate_toml("native", ""));
    tree.write("native/src/lib.rs", "");
    // Not ours: somebody's test data.
    tree.write("backend/testdata/package.json", r#"{"scripts": {"build": "exit 9"}}"#);
    adopt(&tree);
    let backend = "backend:build backend:vet backend:test";
    let native = "native:fetch native:build native:test";
    let rest = "tree:lint tree:build frontend:build mail:install mail:test";
    runs_once(&tree, &format!("{backend} {native} {rest}"));
}
