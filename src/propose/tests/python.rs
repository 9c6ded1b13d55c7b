//! What is installed for tests and lints, and how these are started.

use super::{of, table};

fn text(value: &toml::Value, name: &str) -> String {
    value.get(name).and_then(toml::Value::as_str).unwrap_or_default().to_owned()
}

#[test]
fn what_tests_and_lints_need_is_installed() {
    let project = "[project]\nname = 'a'\n";
    let extras = "[project.optional-dependencies]\ndev = ['pytest>=8', 'ruff']\ndocs = ['sphinx']\n";
    let groups = "[dependency-groups]\ntest = ['pytest']\n";
    let own = |more: &str| format!("{project}{more}[tool.pytest]\n");
    for (manifest, file, install, test) in [
        (own(extras), "README", ".venv/bin/pip install -e '.[dev]'\n", ".venv/bin/python -m pytest"),
        (
            own(groups),
            "README",
            ".venv/bin/pip install 'pip>=25.1'\n.venv/bin/pip install -e . --group test\n",
            ".venv/bin/python -m pytest",
        ),
        (groups.to_owned(), "README", ".venv/bin/pip install --group test\n", ".venv/bin/python -m pytest"),
        (own(""), "README", ".venv/bin/pip install -e . pytest\n", ".venv/bin/python -m pytest"),
        (
            own(""),
            "requirements-dev.txt",
            ".venv/bin/pip install -r requirements-dev.txt -e .\n",
            ".venv/bin/python -m pytest",
        ),
        (own(extras), "uv.lock", "uv sync --locked --extra dev && ", "uv run pytest"),
        (own(groups), "uv.lock", "uv sync --locked --group test && ", "uv run pytest"),
        (own(""), "uv.lock", "uv sync --locked && ", "uv run --with pytest pytest"),
        (own(extras), "poetry.lock", "poetry install --no-interaction --extras dev", "poetry run pytest"),
        (own(groups), "poetry.lock", "poetry install --no-interaction", "poetry run pytest"),
    ] {
        let proposal = of(&[("pyproject.toml", &manifest), (file, "-r x\npytest==8\n")]);
        let table = table(&proposal, "devtask.toml");
        let tasks = &table["tasks"];
        let exec = text(&tasks["install"], "exec");
        assert!(exec.contains(install), "{manifest}{file}: {exec}");
        assert_eq!(text(&tasks["test"], "exec"), test, "{manifest}{file}");
        let is_marked = tasks["install"].get("outputs").is_some();
        assert_eq!(is_marked, file != "poetry.lock", "{exec}");
        assert_eq!(exec.contains(": > .venv/.devtask-installed"), is_marked, "{exec}");
    }
}

#[test]
fn checks_use_what_was_installed() {
    for (file, declares, exec, link) in [
        ("README", "", ".venv/bin/ruff check \"$@\"", true),
        ("uv.lock", "dependencies = ['ruff']", ".venv/bin/ruff check \"$@\"", true),
        ("uv.lock", "", "uvx ruff check \"$@\"", false),
        ("poetry.lock", "", "poetry run ruff check \"$@\"", false),
    ] {
        let manifest = format!("[project]\nname = 'a'\n{declares}\n[tool.ruff]\n");
        let proposal = of(&[("pyproject.toml", &manifest), (file, "")]);
        let check = &table(&proposal, "devtask.toml")["checks"]["ruff"];
        assert_eq!(text(check, "exec"), exec);
        assert_eq!(text(check, "fix"), exec.replace("check", "check --fix"));
        assert_eq!(check.get("link").is_some(), link, "{check:?}");
    }
    let bare = of(&[("pyproject.toml", "[tool.ruff]\n")]);
    assert_eq!(text(&table(&bare, "devtask.toml")["checks"]["ruff"], "exec"), "ruff check \"$@\"");
}

#[test]
fn a_test_that_somebody_wrote_down_is_better_than_a_guess() {
    let makefile = ("Makefile", ".PHONY: test\ntest:\n\tpython3 -m unittest\n");
    let guess = of(&[("pyproject.toml", "[project]\nname = 'a'\n[tool.pytest]\n"), makefile]);
    assert_eq!(text(&table(&guess, "devtask.toml")["tasks"]["test"], "exec"), "make test");
    assert!(guess.files[0].1.contains("left out: Makefile, test does it, and"), "{}", guess.files[0].1);
    let sure = "[project]\nname = 'a'\ndependencies = ['pytest']\n[tool.pytest]\n";
    let sure = of(&[("pyproject.toml", sure), makefile]);
    assert_eq!(text(&table(&sure, "devtask.toml")["tasks"]["test"], "exec"), ".venv/bin/python -m pytest");
}
