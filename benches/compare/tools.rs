//! The others, each set up as its documentation recommends where contents or time stamps are to decide:
//! inputs and outputs declared, one task for each package, caches of its own on, remote ones off.

use std::{fmt::Write as _, fs, os::unix::fs::symlink, path::Path, process::Command};

use serde_json::{Value, json};

use crate::support::{
    program::{Program, find},
    workspace::{Form, Workspace, package},
};

/// One of those that are compared.
pub(crate) struct Tool {
    /// The program's name, and that of the outputs its tasks make.
    pub(crate) name: &'static str,
    /// What people call it.
    pub(crate) label: &'static str,
    /// Its version here; `None` where it is not installed.
    pub(crate) version: fn() -> Option<String>,
    /// Writes what it needs to know of a workspace.
    write: fn(&Workspace),
    /// The line that builds everything in it.
    line: fn() -> Vec<String>,
    /// Variables it is given.
    env: &'static [(&'static str, &'static str)],
    /// Where it remembers things.
    memory: &'static [&'static str],
    /// Whether it takes two time stamps within a second for the same.
    pub(crate) whole_seconds: bool,
    /// How to end what it leaves running.
    stop: &'static [&'static str],
}

/// All that are known here, devtask first.
pub(crate) static TOOLS: [Tool; 9] = [
    Tool {
        name: "devtask",
        label: "devtask",
        version: || Some(env!("CARGO_PKG_VERSION").to_owned()),
        write: |workspace| workspace.for_devtask(Form::Flat),
        line: || {
            [crate::support::DEVTASK].iter().chain(&crate::support::RUN).map(ToString::to_string).collect()
        },
        memory: &[".devtask"],
        ..PLAIN
    },
    Tool {
        name: "ninja",
        label: "ninja",
        version: || version("ninja"),
        write: |workspace| workspace.for_ninja(Form::Flat),
        line: || line("ninja", &["--quiet"]),
        memory: &[".ninja_log", ".ninja_deps"],
        ..PLAIN
    },
    Tool {
        name: "tup",
        label: "tup",
        version: || version("tup"),
        write: tup,
        line: || line("tup", &["--quiet"]),
        whole_seconds: true,
        ..PLAIN
    },
    Tool {
        name: "task",
        label: "go-task",
        version: || version("task"),
        write: go_task,
        line: || line("task", &["--silent"]),
        memory: &[".task"],
        ..PLAIN
    },
    Tool {
        name: "mise",
        label: "mise",
        version: || version("mise"),
        write: mise,
        line: || line("mise", &["run", "--quiet", "all"]),
        env: &[
            ("MISE_DATA_DIR", ".mise/data"),
            ("MISE_STATE_DIR", ".mise/state"),
            ("MISE_CACHE_DIR", ".mise/cache"),
            ("MISE_CONFIG_DIR", ".mise/config"),
            ("MISE_TRUSTED_CONFIG_PATHS", "/"),
            ("MISE_OFFLINE", "1"),
        ],
        memory: &[".mise"],
        ..PLAIN
    },
    Tool {
        name: "doit",
        label: "doit",
        version: || version("doit"),
        write: doit,
        line: || line("doit", &["run", "-v0", "-n2", "-Pthread"]),
        memory: &[".doit.db", ".doit.db.db", ".doit.db.dat", ".doit.db.dir", ".doit.db.bak"],
        ..PLAIN
    },
    Tool {
        name: "turbo",
        label: "turbo",
        version: || version("turbo"),
        write: turbo,
        line: || line("turbo", &["run", "build", "--output-logs=none", "--ui=stream"]),
        env: &[("TURBO_TELEMETRY_DISABLED", "1"), ("TURBO_NO_UPDATE_NOTIFIER", "1")],
        memory: &[".turbo", "node_modules/.cache"],
        ..PLAIN
    },
    Tool {
        name: "nx",
        label: "nx",
        version: || version("nx"),
        write: nx,
        line: || line("nx", &["run-many", "-t", "build", "--outputStyle=static"]),
        // Else it keeps what it made beside itself, for every workspace that shares it.
        env: &[("NX_TUI", "false"), ("NX_NO_CLOUD", "true"), ("NX_CACHE_DIRECTORY", ".nx/cache")],
        memory: &[".nx/cache", ".nx/workspace-data"],
        stop: &["daemon", "--stop"],
        ..PLAIN
    },
    Tool {
        name: "wireit",
        label: "wireit",
        version: wireit_version,
        write: wireit,
        // It insists on being started by npm (or node, from 22 on).
        line: || line("npm", &["run", "--silent", "build"]),
        env: &[("WIREIT_LOGGER", "quiet"), ("NO_UPDATE_NOTIFIER", "1")],
        memory: &[".wireit"],
        ..PLAIN
    },
];

const PLAIN: Tool = Tool {
    name: "",
    label: "",
    version: || None,
    write: |_| (),
    line: Vec::new,
    env: &[],
    memory: &[],
    whole_seconds: false,
    stop: &[],
};

impl Tool {
    /// Readies a workspace for it.
    pub(crate) fn set_up(&self, workspace: &Workspace) {
        (self.write)(workspace);
        self.forget(workspace);
    }

    /// Builds all of a workspace that has to be built.
    pub(crate) fn build(&self, workspace: &Workspace) -> Program {
        self.build_in(&workspace.root)
    }

    /// Builds all that has to be built in the tree there.
    pub(crate) fn build_in(&self, root: &Path) -> Program {
        let program = Program::new(root, (self.line)());
        self.env.iter().fold(program, |program, (name, value)| program.env(name, value))
    }

    /// As if it had never built anything here.
    pub(crate) fn forget(&self, workspace: &Workspace) {
        workspace.forget(self.name, self.memory);
        if self.name == "tup" {
            // Its outputs are in its database; without the one the others are in its way.
            drop(fs::remove_dir_all(workspace.root.join(".tup")));
            Program::new(&workspace.root, line("tup", &["init"])).run();
        }
        if self.name == "wireit" || self.name == "turbo" {
            for task in 0..workspace.tasks {
                for memory in self.memory {
                    drop(fs::remove_dir_all(workspace.root.join(package(task)).join(memory)));
                }
            }
        }
    }

    /// As if it had never built anything in the tree there, whose packages may have memories of their own.
    pub(crate) fn forget_in(&self, root: &Path, packages: usize) {
        let places = std::iter::once(root.to_owned()).chain((0..packages).map(|at| root.join(package(at))));
        for place in places {
            self.memory.iter().for_each(|memory| drop(fs::remove_dir_all(place.join(memory))));
        }
    }

    /// Ends what it leaves running.
    pub(crate) fn stop(&self, workspace: &Workspace) {
        self.stop_in(&workspace.root);
    }

    /// Ends what it leaves running in the tree there.
    pub(crate) fn stop_in(&self, root: &Path) {
        if !self.stop.is_empty() && root.is_dir() {
            let program = Program::new(root, line(self.name, self.stop));
            drop(program.command().status());
        }
    }
}

fn line(name: &str, args: &[&str]) -> Vec<String> {
    find(name).into_iter().chain(args.iter().map(ToString::to_string)).collect()
}

/// The first word of what `--version` says that looks like one.
fn version(name: &str) -> Option<String> {
    let output = Command::new(find(name)?).arg("--version").current_dir(env!("CARGO_TARGET_TMPDIR")).output();
    let text = String::from_utf8(output.ok()?.stdout).ok()?;
    let words = text.split_whitespace().map(|word| word.trim_start_matches('v'));
    let word =
        words.into_iter().find(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'));
    word.map(|word| word.split('+').next().unwrap_or(word).to_owned())
}

fn wireit_version() -> Option<String> {
    let package = modules("wireit").join("wireit/package.json");
    let package: Value = serde_json::from_slice(&fs::read(package).ok()?).ok()?;
    find("npm")?;
    package["version"].as_str().map(str::to_owned)
}

pub(crate) fn modules(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/compare-tools").join(name).join("node_modules")
}

/// `node_modules` of a workspace, as if the tool had been installed there.
fn link_modules(workspace: &Workspace, name: &str) {
    let link = workspace.root.join("node_modules");
    drop(fs::remove_file(&link));
    symlink(modules(name), link).expect("a link");
}

fn write_json(workspace: &Workspace, path: &str, value: &Value) {
    workspace.write(path, &format!("{value:#}\n"));
}

fn tup(workspace: &Workspace) {
    workspace.write("Tupfile", "");
    for task in 0..workspace.tasks {
        let mut text = String::from(":");
        for (dir, _) in workspace.directories_of() {
            let _ = write!(text, " {dir}/*.rs");
        }
        let _ = writeln!(text, " |> {} |> out/tup", workspace.command("tup"));
        workspace.write(&format!("{}/Tupfile", package(task)), &text);
    }
}

fn go_task(workspace: &Workspace) {
    let mut text = String::from("version: '3'\n\ntasks:\n  default:\n    deps:\n");
    for task in 0..workspace.tasks {
        let _ = writeln!(text, "      - {}", package(task));
    }
    for task in 0..workspace.tasks {
        let (package, command) = (package(task), workspace.command("task"));
        let _ = write!(
            text,
            "  {package}:\n    dir: {package}\n    sources: ['src/**/*.rs']\n    generates: [out/task]\n    \
             cmds:\n      - '{command}'\n"
        );
    }
    workspace.write("Taskfile.yml", &text);
}

fn mise(workspace: &Workspace) {
    let mut text = String::from("[tasks.all]\ndepends = [\"build:*\"]\n\n");
    for task in 0..workspace.tasks {
        let (package, command) = (package(task), workspace.command("mise"));
        let _ = write!(
            text,
            "[tasks.\"build:{package}\"]\nrun = \"{command}\"\ndir = \"{package}\"\n\
             sources = [\"src/**/*.rs\"]\noutputs = [\"out/mise\"]\n\n"
        );
    }
    workspace.write("mise.toml", &text);
}

fn doit(workspace: &Workspace) {
    let text = format!(
        "from glob import glob\n\n\n\
         def task_build():\n    for package in sorted(glob('pkg_*')):\n        yield {{\n            \
         'name': package,\n            \
         'file_dep': glob(package + '/src/**/*.rs', recursive=True),\n            \
         'targets': [package + '/out/doit'],\n            \
         'actions': ['cd ' + package + ' && {}'],\n        }}\n",
        workspace.command("doit"),
    );
    workspace.write("dodo.py", &text);
}

fn turbo(workspace: &Workspace) {
    link_modules(workspace, "turbo");
    let npm = find("npm").and_then(|npm| Command::new(npm).arg("--version").output().ok());
    let npm =
        npm.map_or_else(String::new, |output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let root = json!({
        "name": "root", "private": true, "workspaces": ["pkg_*"], "packageManager": format!("npm@{npm}"),
    });
    write_json(workspace, "package.json", &root);
    let tasks = json!({ "build": { "inputs": ["src/**/*.rs"], "outputs": ["out/**"] } });
    write_json(workspace, "turbo.json", &json!({ "tasks": tasks }));
    let mut locked = json!({ "": { "name": "root", "workspaces": ["pkg_*"] } });
    for task in 0..workspace.tasks {
        let package = package(task);
        let own = json!({
            "name": package, "version": "1.0.0", "scripts": { "build": workspace.command("turbo") },
        });
        write_json(workspace, &format!("{package}/package.json"), &own);
        locked[&package] = json!({ "version": "1.0.0" });
        locked[format!("node_modules/{package}")] = json!({ "resolved": package, "link": true });
    }
    let lock = json!({ "name": "root", "lockfileVersion": 3, "requires": true, "packages": locked });
    write_json(workspace, "package-lock.json", &lock);
    commit(workspace);
}

/// turbo asks git for the hashes of what is committed.
fn commit(workspace: &Workspace) {
    let Some(git) = find("git") else { return };
    let name =
        ["-c", "user.name=bench", "-c", "user.email=bench@localhost", "commit", "--quiet", "-m", "all"];
    for line in [&["init", "--quiet"][..], &["add", "--all"], &name] {
        let line = [git.as_str()].into_iter().chain(line.iter().copied());
        drop(Program::new(&workspace.root, line).command().status());
    }
}

fn nx(workspace: &Workspace) {
    link_modules(workspace, "nx");
    write_json(workspace, "package.json", &json!({ "name": "root", "private": true }));
    let build = json!({
        "cache": true, "inputs": ["{projectRoot}/src/**/*.rs"], "outputs": ["{projectRoot}/out"],
    });
    let root =
        json!({ "targetDefaults": { "build": build }, "neverConnectToCloud": true, "analytics": false });
    write_json(workspace, "nx.json", &root);
    for task in 0..workspace.tasks {
        let package = package(task);
        let build = json!({
            "executor": "nx:run-commands",
            "options": { "command": workspace.command("nx"), "cwd": package },
        });
        let own = json!({ "name": package, "targets": { "build": build } });
        write_json(workspace, &format!("{package}/project.json"), &own);
    }
}

fn wireit(workspace: &Workspace) {
    link_modules(workspace, "wireit");
    let names = (0..workspace.tasks).map(package);
    let all: Vec<String> = names.map(|package| format!("./{package}:build")).collect();
    let root = json!({
        "name": "root", "private": true, "scripts": { "build": "wireit" },
        "wireit": { "build": { "dependencies": all } },
    });
    write_json(workspace, "package.json", &root);
    for task in 0..workspace.tasks {
        let package = package(task);
        let build = json!({
            "command": workspace.command("wireit"), "files": ["src/**/*.rs"], "output": ["out/wireit"],
        });
        let own = json!({
            "name": package, "version": "1.0.0",
            "scripts": { "build": "wireit" }, "wireit": { "build": build },
        });
        write_json(workspace, &format!("{package}/package.json"), &own);
    }
}
