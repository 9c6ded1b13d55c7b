//! A workspace whose packages make many small files, in two states that are two branches of git, set up for the
//! tools that can bring back what they made before.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::PathBuf,
    process::Command,
};

use serde_json::{Value, json};

use crate::{
    support::program::{Program, find},
    tools::{TOOLS, Tool, modules},
};

/// Source files of a package, as many as it makes.
pub(crate) const FILES: usize = 50;
/// How many of them only one branch has.
pub(crate) const OWN: usize = 10;
/// The tools that keep what they made, by their names.
const KEEPERS: [&str; 4] = ["devtask", "turbo", "nx", "wireit"];

/// One of the two states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Branch {
    Main,
    Other,
}

impl Branch {
    fn name(self) -> &'static str {
        if self == Self::Main { "main" } else { "other" }
    }

    /// The names of the sources there.
    fn sources(self) -> Vec<String> {
        let own = |at| match self {
            Self::Main => format!("main_{at:02}.js"),
            Self::Other => format!("other_{at:02}.js"),
        };
        let both = (OWN..FILES).map(|at| format!("file_{at:02}.js"));
        both.chain((0..OWN).map(own)).collect()
    }
}

/// A workspace for one tool.
pub(crate) struct Site {
    pub(crate) tool: &'static Tool,
    pub(crate) root: PathBuf,
    pub(crate) packages: usize,
}

/// What lies in the outputs against what should.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Files that are not there, or have other contents.
    pub(crate) wrong: usize,
    /// Files of the other branch.
    pub(crate) stale: usize,
    /// Links that are not there, or are no links.
    pub(crate) links: usize,
    /// Programs that cannot be executed.
    pub(crate) bits: usize,
}

/// Those tools that are installed.
pub(crate) fn keepers() -> Vec<&'static Tool> {
    TOOLS.iter().filter(|tool| KEEPERS.contains(&tool.name) && (tool.version)().is_some()).collect()
}

impl Site {
    /// A workspace made anew, its task files for one tool, both branches committed.
    pub(crate) fn new(tool: &'static Tool, packages: usize) -> Self {
        let root = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("dist-{}-{packages}", tool.name));
        let site = Self { tool, root, packages };
        site.tool.stop_in(&site.root);
        drop(fs::remove_dir_all(&site.root));
        fs::create_dir_all(&site.root).expect("a directory");
        drop(fs::remove_file(site.trace()));
        site.git(&["init", "--quiet", "--initial-branch=main"]);
        site.write(".gitignore", ".devtask/\ndist/\nnode_modules\n.turbo/\n.nx/\n.wireit/\n");
        site.configure();
        site.write_sources(Branch::Main);
        site.commit();
        site.git(&["checkout", "--quiet", "-b", "other"]);
        site.write_sources(Branch::Other);
        site.commit();
        site.switch(Branch::Main);
        site
    }

    fn package(at: usize) -> String {
        format!("pkg_{at:04}")
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, text).expect("a file");
    }

    fn write_json(&self, path: &str, value: &Value) {
        self.write(path, &format!("{value:#}\n"));
    }

    fn write_sources(&self, branch: Branch) {
        for package in (0..self.packages).map(Self::package) {
            drop(fs::remove_dir_all(self.root.join(&package).join("src")));
            for name in branch.sources() {
                self.write(&format!("{package}/src/{name}"), &Self::source(&package, &name, branch));
            }
        }
    }

    fn source(package: &str, name: &str, branch: Branch) -> String {
        let line = format!("export const {} = '{package}';\n", name.trim_end_matches(".js"));
        format!("// {}\n{}", branch.name(), line.repeat(40))
    }

    fn git(&self, args: &[&str]) {
        let who = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"];
        let mut git = Command::new("git");
        let status = git.args(who).args(args).current_dir(&self.root).status();
        assert!(status.is_ok_and(|status| status.success()), "git {args:?}");
    }

    fn commit(&self) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "-m", "all"]);
    }

    /// As `git checkout` does it.
    pub(crate) fn switch(&self, branch: Branch) {
        self.git(&["checkout", "--quiet", branch.name()]);
    }

    fn trace(&self) -> PathBuf {
        self.root.with_extension("ran")
    }

    /// How many tasks have executed until now.
    pub(crate) fn ran(&self) -> usize {
        fs::read_to_string(self.trace()).map_or(0, |text| text.lines().count())
    }

    pub(crate) fn build(&self) -> Program {
        self.tool.build_in(&self.root)
    }

    pub(crate) fn remove_outputs(&self) {
        (0..self.packages).map(Self::package).for_each(|package| {
            drop(fs::remove_dir_all(self.root.join(package).join("dist")));
        });
    }

    /// Gives an output other contents of the same length, as somebody does by hand.
    pub(crate) fn tamper(&self) {
        let path = self.root.join("pkg_0000/dist/file_20.js");
        let text = fs::read_to_string(&path).expect("an output");
        fs::write(path, text.replace("pkg", "PKG")).expect("an output");
    }

    /// Removes one output of many.
    pub(crate) fn remove_one(&self) {
        fs::remove_file(self.root.join("pkg_0001/dist/file_20.js")).expect("an output");
    }

    /// Compares the outputs with what they should be.
    pub(crate) fn found(&self, branch: Branch) -> Found {
        let mut found = Found::default();
        for package in (0..self.packages).map(Self::package) {
            let dist = self.root.join(&package).join("dist");
            let sources: BTreeSet<String> = branch.sources().into_iter().collect();
            for name in &sources {
                let expected = format!("// built\n{}", Self::source(&package, name, branch));
                found.wrong += usize::from(!fs::read_to_string(dist.join(name)).is_ok_and(|t| t == expected));
            }
            for entry in fs::read_dir(&dist).into_iter().flatten().flatten() {
                let name = entry.file_name().into_string().unwrap_or_default();
                found.stale += usize::from(name.ends_with(".js") && !sources.contains(&name));
            }
            found.links += usize::from(fs::read_link(dist.join("latest")).is_err());
            let mode = fs::metadata(dist.join("run")).map_or(0, |meta| meta.permissions().mode());
            found.bits += usize::from(mode & 0o111 == 0);
        }
        found
    }

    /// What a task does in its package: leaves a line, makes its outputs out of its sources, all of them anew.
    fn command(&self) -> String {
        format!(
            "echo x >> {}; rm -rf dist; mkdir dist; cd src; \
             awk 'FNR == 1 {{ if (out) close(out); out = \\\"../dist/\\\" FILENAME; print \\\"// built\\\" > out }} \
             {{ print > out }}' *.js; cd ../dist; \
             ln -s file_20.js latest; echo echo > run; chmod 755 run",
            self.trace().display()
        )
    }

    fn configure(&self) {
        // The quotes stand in a script of its own: every tool would want them written in another way.
        self.write("build.sh", &format!("{}\n", self.command().replace("\\\"", "\"")));
        match self.tool.name {
            "devtask" => self.for_devtask(),
            "turbo" => self.for_turbo(),
            "nx" => self.for_nx(),
            "wireit" => self.for_wireit(),
            other => unreachable!("{other} keeps nothing"),
        }
    }

    fn for_devtask(&self) {
        let task = |at| {
            let package = Self::package(at);
            format!(
                "[tasks.\"{package}:build\"]\ncwd = \"{package}\"\nexec = \"sh ../build.sh\"\n\
                 execIfModified = [\"src/*.js\"]\noutputs = [\"dist/**\"]\n\n"
            )
        };
        self.write("devtask.toml", &(0..self.packages).map(task).collect::<String>());
    }

    fn link_modules(&self) {
        symlink(modules(self.tool.name), self.root.join("node_modules")).expect("a link");
    }

    fn for_turbo(&self) {
        self.link_modules();
        let npm = find("npm").and_then(|npm| Command::new(npm).arg("--version").output().ok());
        let npm = npm.map_or_else(String::new, |o| String::from_utf8_lossy(&o.stdout).trim().to_owned());
        let root = json!({
            "name": "root", "private": true, "workspaces": ["pkg_*"], "packageManager": format!("npm@{npm}"),
        });
        self.write_json("package.json", &root);
        let tasks = json!({ "build": { "inputs": ["src/*.js"], "outputs": ["dist/**"] } });
        self.write_json("turbo.json", &json!({ "tasks": tasks }));
        let mut locked = json!({ "": { "name": "root", "workspaces": ["pkg_*"] } });
        for package in (0..self.packages).map(Self::package) {
            let own = json!({
                "name": package, "version": "1.0.0", "scripts": { "build": "sh ../build.sh" },
            });
            self.write_json(&format!("{package}/package.json"), &own);
            locked[&package] = json!({ "version": "1.0.0" });
            locked[format!("node_modules/{package}")] = json!({ "resolved": package, "link": true });
        }
        let lock = json!({ "name": "root", "lockfileVersion": 3, "requires": true, "packages": locked });
        self.write_json("package-lock.json", &lock);
    }

    fn for_nx(&self) {
        self.link_modules();
        self.write_json("package.json", &json!({ "name": "root", "private": true }));
        let build = json!({
            "cache": true, "inputs": ["{projectRoot}/src/*.js"], "outputs": ["{projectRoot}/dist"],
        });
        self.write_json(
            "nx.json",
            &json!({ "targetDefaults": { "build": build }, "neverConnectToCloud": true, "analytics": false }),
        );
        for package in (0..self.packages).map(Self::package) {
            let build = json!({
                "executor": "nx:run-commands", "options": { "command": "sh ../build.sh", "cwd": package },
            });
            let own = json!({ "name": package, "targets": { "build": build } });
            self.write_json(&format!("{package}/project.json"), &own);
        }
    }

    fn for_wireit(&self) {
        self.link_modules();
        let all: Vec<String> =
            (0..self.packages).map(|at| format!("./{}:build", Self::package(at))).collect();
        let root = json!({
            "name": "root", "private": true, "scripts": { "build": "wireit" },
            "wireit": { "build": { "dependencies": all } },
        });
        self.write_json("package.json", &root);
        let build = json!({ "command": "sh ../build.sh", "files": ["src/*.js"], "output": ["dist/**"] });
        for package in (0..self.packages).map(Self::package) {
            let own = json!({
                "name": package, "version": "1.0.0",
                "scripts": { "build": "wireit" }, "wireit": { "build": build },
            });
            self.write_json(&format!("{package}/package.json"), &own);
        }
    }
}
