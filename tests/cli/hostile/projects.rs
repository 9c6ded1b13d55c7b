//! Projects that want to be executed without being asked for. Whatever looks at them executes nothing, and what is
//! automatic does nothing before they are allowed; afterwards it does, so that this can fail.

use std::{ffi::OsString, fs, os::unix::fs::symlink};

use super::{bounded, fifo};
use crate::support::{Output, Sandbox};

/// What is left by anything that was executed.
const MARK: &str = "pwned";

/// What becomes of `export` once the tree is allowed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    /// It executes what was wanted.
    Executes,
    /// It is well, and nothing of that is executed ever.
    Harmless,
    /// A task fails, and nothing of that is executed ever.
    Fails,
    /// The files have a fault.
    Faulty,
    /// It cannot be allowed.
    Refused,
}

use Then::{Executes, Fails, Faulty, Harmless, Refused};

/// Makes what else there is; the second fills in what is between `@`.
type Making = fn(&mut Sandbox, &dyn Fn(&str) -> String);

/// One project. `@MARK@` stands for a command that leaves the mark, `@ROOT@` for the root of the tree.
struct Project {
    name: &'static str,
    text: &'static str,
    /// What else there is.
    more: Making,
    /// What stands before the verb.
    args: &'static [&'static str],
    then: Then,
}

const fn project(name: &'static str, text: &'static str, then: Then) -> Project {
    Project { name, text, more: |_, _| {}, args: &[], then }
}

impl Project {
    const fn with(self, more: Making) -> Self {
        Self { more, ..self }
    }

    const fn args(self, args: &'static [&'static str]) -> Self {
        Self { args, ..self }
    }

    fn make(&self) -> Sandbox {
        let mut tree = Sandbox::new();
        let root = tree.root().display().to_string();
        let fill = move |text: &str| {
            let mark = format!("touch {root}/{MARK}");
            text.replace("@MARK@", &mark).replace("@ROOT@", &root)
        };
        if !self.text.is_empty() {
            tree.write("devtask.toml", fill(self.text));
        }
        (self.more)(&mut tree, &fill);
        tree
    }

    fn does(&self, tree: &Sandbox, verb: &str) -> Output {
        let args = self.args.iter().copied().chain(verb.split_whitespace()).collect::<Vec<_>>();
        bounded(tree, &args, &[])
    }
}

/// A plain task of an innocent project.
const INNOCENT: &str = "[tasks.t]\nexec = 'true'\nbefore = ['devenv:enterShell']\n";
const EVIL: &str = "[tasks.t]\nexec = '@MARK@'\nbefore = ['devenv:enterShell']\n";

fn evil_program(tree: &mut Sandbox, fill: &dyn Fn(&str) -> String) {
    tree.program("evil", &fill("#!/bin/sh\n@MARK@\n"));
}

/// Programs that one who is not careful finds in the project.
fn programs_in_the_way(tree: &mut Sandbox, fill: &dyn Fn(&str) -> String) {
    for name in ["git", "ls", "cat", "uname", "tput", "ps", "hg", "node", "python3", "less", "sudo"] {
        tree.program(name, &fill("#!/bin/sh\n@MARK@\n"));
    }
    let mut path = OsString::from(".:");
    path.push(std::env::var_os("PATH").unwrap());
    tree.set_env("PATH", path);
}

fn own_by_another(tree: &Sandbox, path: &str) {
    std::os::unix::fs::chown(tree.path(path), Some(12345), None).unwrap();
}

fn projects() -> Vec<Project> {
    let mut all = vec![
        project("exec", EVIL, Executes),
        project("status", "[tasks.t]\nexec = 'true'\nstatus = '@MARK@'\nbefore = ['devenv:enterShell']\n", Executes),
        project("package", "[tasks.t]\nexec = 'x'\npackage = './evil'\nbefore = ['devenv:enterShell']\n", Executes)
            .with(evil_program),
        project(
            "package by its whole path",
            "[tasks.t]\nexec = 'x'\npackage = '@ROOT@/evil'\nbefore = ['devenv:enterShell']\n",
            Executes,
        )
        .with(evil_program),
        project(
            "BASH_ENV of a task",
            "[tasks.t]\nexec = 'true; true'\nenv.BASH_ENV = '@ROOT@/rc'\nbefore = ['devenv:enterShell']\n",
            Executes,
        )
        .with(|tree, fill| tree.write("rc", fill("@MARK@\n"))),
        project(
            "BASH_ENV of a file",
            "env.BASH_ENV = '@ROOT@/rc'\n[tasks.t]\nexec = 'true; true'\nbefore = ['devenv:enterShell']\n",
            Executes,
        )
        .with(|tree, fill| tree.write("rc", fill("@MARK@\n"))),
        project(
            "BASH_ENV of a dotenv file",
            "dotenv = ['.env']\n[tasks.t]\nexec = 'true; true'\nbefore = ['devenv:enterShell']\n",
            Executes,
        )
        .with(|tree, fill| {
            tree.write("rc", fill("@MARK@\n"));
            tree.write(".env", fill("BASH_ENV=@ROOT@/rc\n"));
        }),
        project("substitution in a name", "[tasks.'a:$(@MARK@)']\nexec = 'true'\n", Faulty),
        project("substitution in the project's name", "name = '$(@MARK@)'\n[tasks.t]\nexec = 'true'\n", Faulty),
        project(
            "substitution in variables",
            "[tasks.t]\nexec = 'true; true'\nenv.X = '`@MARK@`$(@MARK@)'\nbefore = ['devenv:enterShell']\n",
            Harmless,
        ),
        project(
            "substitution in the file's variables",
            "env.X = '$(@MARK@)'\nenv.Y = '`@MARK@`'\n[tasks.t]\nexec = 'true; true'\nbefore = ['devenv:enterShell']\n",
            Harmless,
        ),
        project(
            "substitution in names of variables",
            "[env]\n'X$(@MARK@)' = '1'\n'Y;@MARK@' = '1'\n[tasks.t]\nexec = 'true'\nbefore = ['devenv:enterShell']\n",
            Harmless,
        ),
        project("substitution in a dotenv file", "dotenv = ['.env']\n[tasks.t]\nexec = 'true'\n", Harmless)
            .with(|tree, fill| tree.write(".env", fill("X=$(@MARK@)\nY=\"`@MARK@`\"\nZ=${X:-$(@MARK@)}\n"))),
        project(
            "substitution in a directory",
            "[tasks.t]\nexec = 'true'\ncwd = '$(@MARK@)'\nbefore = ['devenv:enterShell']\n",
            Fails,
        ),
        project(
            "substitution in a description",
            "[tasks.t]\nexec = 'true'\ndescription = '`@MARK@`$(@MARK@)'\nbefore = ['devenv:enterShell']\n",
            Harmless,
        ),
        project("substitution in included directories", "include = ['$(@MARK@)', '`@MARK@`/*']\n", Faulty),
        project(
            "substitution in patterns",
            "[tasks.t]\nexec = 'true'\nexecIfModified = ['$(@MARK@)', '`@MARK@`*']\nbefore = ['devenv:enterShell']\n",
            Harmless,
        ),
        project(
            "substitution in tracked variables",
            "[tasks.t]\nexec = 'true'\ntrackEnv = ['$(@MARK@)']\nexecIfModified = ['x']\nbefore = ['devenv:enterShell']\n",
            Harmless,
        ),
        project(
            "substitution in input",
            "[tasks.t]\nexec = 'true'\ninput.x = '$(@MARK@)'\nbefore = ['devenv:enterShell']\n",
            Harmless,
        ),
        project(
            "a value that a shell would evaluate",
            "[tasks.t]\nexec = \"export X='$(@MARK@)`@MARK@`'\"\nexports = ['X']\nbefore = ['devenv:enterShell']\n",
            Harmless,
        ),
        project("a server", "servers.s.command = ['./evil']\n", Executes).with(evil_program),
        project("a server of a shell", "servers.s.command = ['sh', '-c', '@MARK@']\n", Executes),
        project("a server of a file", "servers.s = { command = ['sh', 'evil'], watch = ['evil'] }\n", Executes)
            .with(evil_program),
        project(
            "a server with a preloaded library",
            "[servers.s]\ncommand = ['bash', '-c', 'true']\nenv.BASH_ENV = '@ROOT@/evil'\n",
            Executes,
        )
        .with(evil_program),
        project(
            "a process",
            "[processes.p]\nexec = '@MARK@; exec tail -f /dev/null'\nready.exec = 'test -e @ROOT@/pwned'\nbefore = ['devenv:enterShell']\n",
            Executes,
        ),
        project(
            "a probe",
            "[processes.p]\nexec = 'exec tail -f /dev/null'\nready.exec = '@MARK@'\nbefore = ['devenv:enterShell']\n",
            Executes,
        ),
        project("a process that is enabled", "[processes.p]\nexec = '@MARK@'\nstart.enable = true\n", Harmless),
        project("a task that nobody asked for", "[tasks.t]\nexec = '@MARK@'\n", Harmless),
        project("a test", "[tasks.t]\nexec = '@MARK@'\nbefore = ['devenv:enterTest']\n", Harmless),
        project("`git` on the way", "[tasks.t]\nexec = 'true'\nexecIfModified = ['**']\nenv.R = '${git.root}'\n", Harmless)
            .with(|tree, fill| {
                programs_in_the_way(tree, fill);
                fs::create_dir(tree.path(".git")).unwrap();
            }),
        project("`bash` on the way", INNOCENT, Executes).with(|tree, fill| {
            tree.program("bash", &fill("#!/bin/sh\n@MARK@\n"));
            tree.program("sh", &fill("#!/bin/sh\n@MARK@\n"));
            tree.replace("devtask.toml", "'true'", "'true; true'");
            programs_in_the_way(tree, fill);
        }),
        project(
            "a search path of its own",
            "[tasks.t]\nexec = 'true; true'\nenv.PATH = '@ROOT@/bin'\nbefore = ['devenv:enterShell']\n",
            Executes,
        )
        .with(|tree, fill| drop(tree.program("bin/bash", &fill("#!/bin/sh\nPATH=/bin:/usr/bin\n@MARK@\n")))),
        project(
            "git's configuration",
            "[tasks.t]\nexec = 'true'\nexecIfModified = ['**']\nbefore = ['devenv:enterShell']\n",
            Harmless,
        )
        .with(|tree, fill| {
            evil_program(tree, fill);
            tree.write(
                ".git/config",
                fill(
                    "[core]\nfsmonitor = @MARK@\npager = @MARK@\nhooksPath = @ROOT@\nsshCommand = @MARK@\nexcludesFile = |@MARK@\n\
                     [alias]\nstatus = !@MARK@\n[filter \"x\"]\nclean = @MARK@\nprocess = @MARK@\n[include]\npath = |@MARK@\n",
                ),
            );
            tree.write(".git/HEAD", "ref: refs/heads/main\n");
            tree.write(".gitattributes", "* filter=x\n");
        }),
        project("devenv's list", "", Executes).args(&["-f", "tasks.json"]).with(|tree, fill| {
            evil_program(tree, fill);
            tree.write(
                "tasks.json",
                fill(r#"[{"name": "a:t", "command": "@ROOT@/evil", "before": ["devenv:enterShell"]}]"#),
            );
        }),
        project("devenv's list with a status", "", Executes).args(&["-f", "tasks.json"]).with(|tree, fill| {
            evil_program(tree, fill);
            tree.write(
                "tasks.json",
                fill(r#"[{"name": "a:t", "command": "/bin/true", "status": "@ROOT@/evil", "before": ["devenv:enterShell"]}]"#),
            );
        }),
        project("a list in a variable", "", Executes).with(|tree, fill| {
            evil_program(tree, fill);
            let list = r#"[{"name": "a:t", "command": "@ROOT@/evil", "before": ["devenv:enterShell"]}]"#;
            tree.set_env("DEVENV_TASKS", fill(list));
        }),
        project("a file in a variable", INNOCENT, Executes).with(|tree, fill| {
            tree.write("evil.toml", fill(EVIL));
            tree.set_env("DEVTASK_FILE", tree.path("evil.toml"));
        }),
        project("JSON of our own", "", Executes).with(|tree, fill| {
            let list = r#"{"tasks": {"t": {"exec": "@MARK@", "before": ["devenv:enterShell"]}}}"#;
            tree.write("devtask.json", fill(list));
        }),
        project("a file above", EVIL, Executes).args(&["-C", "a/b"]).with(|tree, _| {
            fs::create_dir_all(tree.path("a/b")).unwrap();
        }),
        project("a file above that includes this one", "include = ['a']\nenv.X = '1'\n", Executes)
            .args(&["-C", "a"])
            .with(|tree, fill| tree.write("a/devtask.toml", fill(EVIL))),
        project("an included file", "include = ['a']\n", Executes)
            .with(|tree, fill| tree.write("a/devtask.toml", fill(EVIL))),
        project("a link to elsewhere", "", Executes).with(|tree, fill| {
            fs::write(tree.home().join("elsewhere.toml"), fill(EVIL)).unwrap();
            symlink(tree.home().join("elsewhere.toml"), tree.path("devtask.toml")).unwrap();
        }),
        project("a link to what everybody can write", "", Refused).with(|tree, fill| {
            let elsewhere = tree.home().join("elsewhere.toml");
            fs::write(&elsewhere, fill(EVIL)).unwrap();
            tree.chmod(&elsewhere, 0o666);
            symlink(elsewhere, tree.path("devtask.toml")).unwrap();
        }),
        project("a file that everybody can write", EVIL, Refused).with(|tree, _| tree.chmod("devtask.toml", 0o646)),
        project("a directory that everybody can write", EVIL, Refused).with(|tree, _| tree.chmod("", 0o777)),
        project("a sticky directory", EVIL, Executes).with(|tree, _| tree.chmod("", 0o1777)),
        project("an included file that everybody can write", "include = ['a']\n", Refused).with(|tree, fill| {
            tree.write("a/devtask.toml", fill(EVIL));
            tree.chmod("a/devtask.toml", 0o666);
        }),
        project("variables that everybody can write", "dotenv = ['a/.env']\n[tasks.t]\nexec = 'true'\n", Refused)
            .with(|tree, _| {
                tree.write("a/.env", "X=1\n");
                tree.chmod("a", 0o777);
            }),
        project("a state directory that everybody can write", EVIL, Refused).with(|tree, _| {
            fs::create_dir(tree.path(".devtask")).unwrap();
            tree.chmod(".devtask", 0o777);
        }),
        project("a server that everybody can write", "servers.s.command = ['./evil']\n", Refused).with(|tree, fill| {
            evil_program(tree, fill);
            tree.chmod("evil", 0o777);
        }),
        project("a file that is none", "", Faulty).with(|tree, _| fifo(&tree.path("devtask.toml"))),
        project("variables that are no file", "dotenv = ['.env']\n", Faulty).with(|tree, _| fifo(&tree.path(".env"))),
        project("settings that grant trust", "settings.trust = true\n[tasks.t]\nexec = '@MARK@'\n", Faulty),
        project("a table that grants trust", "[trust]\nallow = true\n[tasks.t]\nexec = '@MARK@'\n", Faulty),
        project("a key that grants trust", "allow = true\n[tasks.t]\nexec = '@MARK@'\n", Faulty),
        project("files of other tools", INNOCENT, Harmless).with(|tree, fill| {
            for file in [".envrc", ".devtaskrc", ".bashrc", ".zshenv", ".profile", "mise.toml", ".env", "devtask.sh"] {
                tree.write(file, fill("@MARK@\n"));
            }
        }),
        project("names for a terminal", "[tasks.'a\\u001b]0;x']\nexec = 'true'\n", Faulty),
    ];
    if rustix::process::geteuid().is_root() {
        all.extend([
            project("a file of somebody else", EVIL, Refused)
                .with(|tree, _| own_by_another(tree, "devtask.toml")),
            project("a file of somebody else above", "include = ['a']\n", Refused).args(&["-C", "a"]).with(
                |tree, fill| {
                    tree.write("a/devtask.toml", fill(EVIL));
                    own_by_another(tree, "devtask.toml");
                },
            ),
            project("a file of somebody else above that is none of ours", "env.X = '1'\n", Executes)
                .args(&["-C", "a"])
                .with(|tree, fill| {
                    tree.write("a/devtask.toml", fill(EVIL));
                    own_by_another(tree, "devtask.toml");
                }),
            project("a directory of somebody else", EVIL, Refused).with(|tree, _| own_by_another(tree, "")),
            project("variables of somebody else", "dotenv = ['.env']\n[tasks.t]\nexec = 'true'\n", Refused)
                .with(|tree, _| {
                    tree.write(".env", "X=1\n");
                    own_by_another(tree, ".env");
                }),
            project("a state directory of somebody else", EVIL, Refused).with(|tree, _| {
                fs::create_dir(tree.path(".devtask")).unwrap();
                own_by_another(tree, ".devtask");
            }),
        ]);
    }
    all
}

/// Everything that looks, or that something automatic could do.
const LOOKING: &[&str] = &[
    "",
    "list",
    "list --json",
    "show t",
    "show --json t",
    "why t",
    "why --last t",
    "graph",
    "graph --format dot",
    "graph --format mermaid",
    "graph --format json",
    "validate",
    "run --dry-run",
    "run --dry-run devenv:enterShell",
    "logs",
    "logs t",
    "processes list",
    "completions bash",
    "__complete tasks",
    "__complete processes",
    "schema",
    "man",
    "allow --list",
    "revoke",
    "revoke --all",
];

const EXPORTING: &[&str] = &[
    "export --shell bash",
    "export --shell zsh",
    "export --shell fish",
    "export --shell direnv",
    "export --shell json",
];

#[test]
fn nothing_is_executed_before_it_is_allowed() {
    let projects = projects();
    assert!(projects.len() > 50);
    for project in &projects {
        let tree = project.make();
        let name = project.name;
        for verb in LOOKING {
            let output = project.does(&tree, verb);
            assert!(output.code.is_some_and(|code| code != 124), "{name}: {verb} hangs\n{output}");
            assert!(!tree.exists(MARK), "{name}: {verb}\n{output}");
            assert!(
                !output.err.contains('\u{1b}') && !output.out.contains('\u{1b}'),
                "{name}: {verb}\n{output}"
            );
        }
        let refusal = if project.then == Faulty { 2 } else { 77 };
        for verb in EXPORTING {
            let output = project.does(&tree, verb);
            assert_eq!(output.code, Some(refusal), "{name}: {verb}\n{output}");
            assert!(output.out.is_empty() && !output.err.is_empty(), "{name}: {verb}\n{output}");
            assert!(!tree.exists(MARK), "{name}: {verb}\n{output}");
        }
    }
}

#[test]
fn what_is_allowed_is_executed() {
    for project in projects() {
        let (tree, name) = (project.make(), project.name);
        let allowed = project.does(&tree, "allow");
        let expected = match project.then {
            Faulty => 2,
            Refused => 77,
            _ => 0,
        };
        assert_eq!(allowed.code, Some(expected), "{name}\n{allowed}");
        assert!(!tree.exists(MARK), "{name}\n{allowed}");
        // The first time nothing that was known counts, not even what a `status` says.
        project.does(&tree, "export --shell bash");
        let output = project.does(&tree, "export --shell bash");
        assert_eq!(tree.exists(MARK), project.then == Executes, "{name}\n{output}");
        match project.then {
            Harmless => assert_eq!(output.code, Some(0), "{name}\n{output}"),
            Fails => assert_eq!((output.code, output.out.as_str()), (Some(1), ""), "{name}\n{output}"),
            Faulty | Refused => {
                assert_eq!((output.code, output.out.as_str()), (Some(expected), ""), "{name}\n{output}")
            }
            Executes => {}
        }
    }
}
