//! A monorepo as large as is wanted: packages of source files, one task for each, written for devtask and
//! for ninja.
//!
//! It lies under cargo's target directory, so on a real disk, and stays there: making 100,000 files takes
//! longer than most of what is measured on them. It is a git repository of its own, because it lies in a
//! directory that this one's ignores.

use std::{fmt::Write as _, fs, path::PathBuf};

/// Files in one directory, at most.
const PER_DIRECTORY: usize = 50;

/// Marks a tree that was made to the end; its number changes with what is made.
const COMPLETE: &str = ".git/complete-2";

/// The task files to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// One task file with all tasks, none depending on another.
    Flat,
    /// The same, each task after the one with a tenth of its number.
    Layered,
    /// A task file in each package, included by that of the root.
    Projects,
}

/// A tree of packages.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    /// Its root, absolute.
    pub(crate) root: PathBuf,
    /// How many packages there are, each with a task.
    pub(crate) tasks: usize,
    /// How many files each has.
    pub(crate) files: usize,
}

impl Workspace {
    /// The workspace of this name and size, made if it is not there yet.
    pub(crate) fn of(name: &str, tasks: usize, files: usize) -> Self {
        let tmp = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let workspace = Self { root: tmp.join(format!("{name}-{tasks}x{files}")), tasks, files };
        let complete = workspace.root.join(COMPLETE);
        if !complete.exists() {
            drop(fs::remove_dir_all(&workspace.root));
            workspace.make();
            fs::write(complete, "").expect("the mark");
        }
        workspace
    }

    fn make(&self) {
        for dir in [".git/objects", ".git/refs/heads"] {
            fs::create_dir_all(self.root.join(dir)).expect("a directory");
        }
        self.write(".git/HEAD", "ref: refs/heads/main\n");
        self.write(".gitignore", ".devtask/\n.ninja_*\nout/\nnode_modules\n.turbo/\n.nx/\n.wireit/\n");
        for task in 0..self.tasks {
            let package = package(task);
            for dir in 0..self.files.div_ceil(PER_DIRECTORY) {
                fs::create_dir_all(self.root.join(format!("{package}/src/dir_{dir}"))).expect("a directory");
            }
            fs::create_dir_all(self.root.join(format!("{package}/out"))).expect("a directory");
            for file in 0..self.files {
                self.write(&format!("{package}/{}", source(file)), &text(task, file, 0));
            }
        }
    }

    /// Writes a file of the tree.
    pub(crate) fn write(&self, path: &str, text: &str) {
        fs::write(self.root.join(path), text).unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    /// How many source files there are.
    pub(crate) fn all_files(&self) -> usize {
        self.tasks * self.files
    }

    /// Every directory with sources, and the names in it, relative to the root.
    pub(crate) fn directories(&self) -> impl Iterator<Item = (String, Vec<String>)> + '_ {
        let of =
            |task| self.directories_of().map(move |(dir, names)| (format!("{}/{dir}", package(task)), names));
        (0..self.tasks).flat_map(of)
    }

    /// Every directory with sources of one package, and the names in it, relative to the package.
    pub(crate) fn directories_of(&self) -> impl Iterator<Item = (String, Vec<String>)> + '_ {
        (0..self.files.div_ceil(PER_DIRECTORY)).map(|dir| {
            let files = dir * PER_DIRECTORY..self.files.min((dir + 1) * PER_DIRECTORY);
            (format!("src/dir_{dir}"), files.map(|file| format!("file_{file:04}.rs")).collect())
        })
    }

    /// Gives one source file of a task another content, as long as the one before.
    pub(crate) fn change(&self, task: usize, version: usize) {
        self.write(&format!("{}/{}", package(task), source(0)), &text(task, 0, version));
    }

    /// What a task does for a tool, in its package: leaves a line, makes its output out of its sources.
    pub(crate) fn command(&self, tool: &str) -> String {
        format!("echo x >> {}; cat src/*/*.rs > out/{tool}", self.trace(tool).display())
    }

    /// Where each task leaves a line; beside the tree, for some tools guard all that is written in it.
    fn trace(&self, tool: &str) -> PathBuf {
        self.root.with_extension(format!("ran-{tool}"))
    }

    /// How many tasks this tool has run since it was last told to forget.
    pub(crate) fn ran(&self, tool: &str) -> usize {
        fs::read_to_string(self.trace(tool)).map_or(0, |text| text.lines().count())
    }

    /// Removes what the tasks of this tool have left, and what it remembers of them, by these names.
    pub(crate) fn forget(&self, tool: &str, memory: &[&str]) {
        for task in 0..self.tasks {
            drop(fs::remove_file(self.root.join(format!("{}/out/{tool}", package(task)))));
        }
        for path in memory.iter().map(|name| self.root.join(name)).chain([self.trace(tool)]) {
            drop(fs::remove_dir_all(&path));
            drop(fs::remove_file(&path));
        }
    }

    /// Writes the task files of devtask, and forgets what it knew.
    pub(crate) fn for_devtask(&self, form: Form) {
        self.forget("devtask", &[".devtask"]);
        let mut text = String::new();
        if form == Form::Projects {
            text.push_str("include = [\"pkg_*\"]\n");
        }
        for task in 0..self.tasks {
            let (package, command) = (package(task), self.command("devtask"));
            let body = format!(
                "exec = \"{command}\"\npackage = \"sh\"\nexecIfModified = [\"src/**/*.rs\"]\noutputs = [\"out/devtask\"]\n"
            );
            let own = format!("{package}/devtask.toml");
            if form == Form::Projects {
                self.write(&own, &format!("name = \"{package}\"\n\n[tasks.build]\n{body}"));
                continue;
            }
            drop(fs::remove_file(self.root.join(own)));
            let _ = write!(text, "[tasks.\"{package}:build\"]\ncwd = \"{package}\"\n{body}");
            if let (Form::Layered, Some(upstream)) = (form, upstream(task)) {
                let _ = writeln!(text, "after = [\"{upstream}:build\"]");
            }
            text.push('\n');
        }
        self.write("devtask.toml", &text);
    }

    /// Writes the same graph for ninja, and forgets what it knew.
    pub(crate) fn for_ninja(&self, form: Form) {
        self.forget("ninja", &[".ninja_log", ".ninja_deps"]);
        let mut text = format!("rule build\n  command = cd $package && {}\n", self.command("ninja"));
        for task in 0..self.tasks {
            let package = package(task);
            let _ = write!(text, "build {package}/out/ninja: build");
            for file in 0..self.files {
                let _ = write!(text, " {package}/{}", source(file));
            }
            if let (Form::Layered, Some(upstream)) = (form, upstream(task)) {
                let _ = write!(text, " | {upstream}/out/ninja");
            }
            let _ = writeln!(text, "\n  package = {package}");
        }
        self.write("build.ninja", &text);
    }
}

/// The name of a package.
pub(crate) fn package(task: usize) -> String {
    format!("pkg_{task:04}")
}

/// A source file's path in its package.
pub(crate) fn source(file: usize) -> String {
    format!("src/dir_{}/file_{file:04}.rs", file / PER_DIRECTORY)
}

fn upstream(task: usize) -> Option<String> {
    (task > 0).then(|| package(task / 10))
}

/// Between one and eight KB, of a size that hangs on which file it is.
fn text(task: usize, file: usize, version: usize) -> String {
    const LINE: &str = "pub fn f(x: u64) -> u64 { x.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(7) }\n";
    let mut text = format!("//! package {task:06}, file {file:06}, version {version:06}\n");
    let lines = 11 + (task * 7919 + file * 104_729) % 86;
    text.extend(std::iter::repeat_n(LINE, lines));
    text
}
