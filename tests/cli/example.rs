//! The example monorepo: every row of its README's table of edits, as a story.

use std::{path::Path, process::Command, sync::Mutex, thread};

use super::support::{Output, Sandbox, set, tasks_in};

/// What runs in every row, because nothing can make it fresh.
const ALWAYS: &str = "yardstick:toolchain";
/// Everything else.
const ALL: &str = "schema:check schema:header schema:rust schema:table lib:build lib:test lib:lint cli:build \
                   cli:test site:build site:links data:readings e2e:test yardstick:report yardstick:welcome";
const SITE_AND_BEHIND: &str = "site:build site:links e2e:test yardstick:report";

/// One edit, one run, and what is expected of it.
struct Step {
    edit: fn(&mut Sandbox),
    executes: String,
    fails: &'static str,
    blocked: &'static str,
    why: Vec<(&'static str, &'static str)>,
}

fn step(executes: &str, edit: fn(&mut Sandbox)) -> Step {
    Step { edit, executes: executes.to_owned(), fails: "", blocked: "", why: Vec::new() }
}

impl Step {
    /// These fail, and these are not run because of it.
    fn fails(mut self, failed: &'static str, blocked: &'static str) -> Self {
        (self.fails, self.blocked) = (failed, blocked);
        self
    }

    /// Before the run `why TASK` says this.
    fn why(mut self, task: &'static str, words: &'static str) -> Self {
        self.why.push((task, words));
        self
    }

    fn exit_code(&self) -> i32 {
        // A failed lint is soft: only the report hangs on it, and takes it as it comes.
        i32::from(!self.fails.is_empty() && self.fails != "lib:lint")
    }

    /// What differs from what is expected.
    fn judge(&self, tree: &mut Sandbox) -> Vec<String> {
        let mut faults = Vec::new();
        (self.edit)(tree);
        for (task, words) in &self.why {
            let told = tree.devtask(["why", task]).run();
            if !one_spaced(&told.out).contains(words) {
                faults.push(format!("why {task} does not say `{words}`:\n{told}"));
            }
        }
        let output = tree.devtask(["run"]).run();
        faults.extend(self.compare(tree, &output));
        faults
    }

    fn compare(&self, tree: &Sandbox, output: &Output) -> Vec<String> {
        let mut faults = Vec::new();
        let events = tree.last_events();
        let mut executed = tree.executed();
        if !executed.remove(ALWAYS) {
            faults.push(format!("{ALWAYS} did not execute"));
        }
        let ended = |status: &str| {
            let of: Vec<_> = events.iter().filter(|e| e["status"] == status).cloned().collect();
            tasks_in(&of, "task_finished")
        };
        let sets = [
            ("executed", executed, &*self.executes),
            ("failed", ended("failed"), self.fails),
            ("blocked", ended("dependency_failed"), self.blocked),
        ];
        for (what, found, expected) in sets {
            if found != set(expected) {
                faults.push(format!("{what}: {found:?}\n  expected: {:?}", set(expected)));
            }
        }
        if output.code != Some(self.exit_code()) {
            faults.push(format!("exit code {:?}, expected {}", output.code, self.exit_code()));
        }
        if !faults.is_empty() {
            faults.push(output.to_string());
        }
        faults
    }
}

fn one_spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn all_but(names: &str) -> String {
    let left: Vec<String> = set(ALL).difference(&set(names)).cloned().collect();
    left.join(" ")
}

const SCHEMA: &str = "schema:check schema:header schema:rust schema:table";

/// The table of the README, by its numbers.
fn rows() -> Vec<(u32, Vec<Step>)> {
    let mut rows = Vec::new();
    rows.extend(edits_of_nothing());
    rows.extend(edits_of_the_table_of_units());
    rows.extend(edits_of_the_library());
    rows.extend(edits_of_the_site());
    rows.extend(lost_files());
    rows.extend(edits_of_task_files());
    rows.extend(edits_of_the_environment());
    rows.extend(edits_of_readings_and_tools());
    rows
}

fn edits_of_nothing() -> Vec<(u32, Vec<Step>)> {
    vec![
        // Every row starts from a copy of a tree that was run elsewhere, so this is the moved tree, too.
        (1, vec![step("", |_| ()).why("lib:build", "compared: command, env (1), deps")]),
        (
            2,
            vec![step("", |t| {
                for path in ["schema/units.tsv", "lib/src/convert.c", "site/pages/index.txt"] {
                    t.touch(package(path));
                }
                t.touch(package("site/pages/units.txt"));
                t.touch(package("site/pages/history.txt"));
            })],
        ),
        (3, vec![step("", |t| t.set_env("EDITOR", "ed"))]),
    ]
}

fn edits_of_the_table_of_units() -> Vec<(u32, Vec<Step>)> {
    let failing = "schema:check schema:header schema:rust schema:table lib:build lib:test cli:build cli:test \
                   e2e:test yardstick:welcome";
    vec![
        (
            4,
            vec![
                step(&all_but("lib:lint data:readings"), |t| {
                    t.append(package("schema/units.tsv"), "nmi\tlength\t1852\t0\tnautical mile\n");
                })
                .why("schema:check", "files packages/schema/units.tsv content changed"),
            ],
        ),
        (
            5,
            vec![
                step(SCHEMA, |t| t.append(package("schema/units.tsv"), "# end\n"))
                    .why("schema:rust", "deps schema:check would run first"),
            ],
        ),
        (
            6,
            vec![step(
                "schema:check schema:header schema:rust schema:table site:build site:links e2e:test",
                |t| {
                    t.replace(package("schema/units.tsv"), "statute mile", "mile");
                },
            )],
        ),
        (
            7,
            vec![
                step(failing, |t| t.replace(package("schema/units.tsv"), "1609.344", "1609"))
                    .fails("lib:test cli:test", "yardstick:report"),
            ],
        ),
        (
            8,
            vec![
                step("schema:header", |t| t.append(package("schema/header.awk"), "# the end\n"))
                    .why("schema:header", "files packages/schema/header.awk content changed")
                    .why("lib:build", "deps schema:header would run first"),
            ],
        ),
        (
            9,
            vec![step("schema:header lib:build", |t| {
                t.replace(package("schema/header.awk"), "Made from", "Generated from");
            })],
        ),
    ]
}

fn edits_of_the_library() -> Vec<(u32, Vec<Step>)> {
    vec![
        (
            10,
            vec![
                step("lib:build lib:lint", |t| {
                    t.replace(
                        package("lib/src/convert.c"),
                        "static const struct unit *find",
                        "/* Linear. */\nstatic const struct unit *find",
                    );
                })
                .why("lib:lint", "files packages/lib/src/convert.c content changed"),
            ],
        ),
        (
            11,
            vec![step("lib:build lib:lint lib:test e2e:test", |t| {
                t.replace(package("lib/src/filter.c"), "%.15g", "%.14g");
            })],
        ),
        (
            12,
            vec![
                step("lib:build lib:lint yardstick:report", |t| {
                    t.replace(package("lib/src/convert.c"), "return NULL;", "return NULL; ");
                })
                .fails("lib:lint", ""),
                step("lib:lint", |t| assert!(t.read("report.txt").contains("C lint       FAILED")))
                    .fails("lib:lint", "")
                    .why("lib:lint", "history the last run failed"),
            ],
        ),
        (
            13,
            vec![
                step("lib:build lib:lint", |t| t.chmod(package("lib/src/convert.c"), 0o755))
                    .why("lib:build", "files packages/lib/src/convert.c executable bit changed"),
            ],
        ),
        (
            14,
            vec![
                step("lib:build lib:lint yardstick:report", |t| {
                    t.write(package("lib/src/more.c"), "int yardstick_unused;\n");
                })
                .why("lib:build", "files packages/lib/src/more.c added, matches src/*.c"),
            ],
        ),
        (
            15,
            vec![
                step("lib:build lib:lint", |t| {
                    t.replace(package("lib/src/convert.c"), "return NULL;", "return NULL");
                })
                .fails("lib:build", "lib:test e2e:test yardstick:report"),
                step("lib:build", |t| {
                    t.replace(package("lib/src/convert.c"), "return NULL", "return NULL;");
                })
                .why("lib:build", "history the last run failed"),
            ],
        ),
    ]
}

fn edits_of_the_site() -> Vec<(u32, Vec<Step>)> {
    vec![
        (
            16,
            vec![
                step(SITE_AND_BEHIND, |t| {
                    t.write(package("site/pages/questions.txt"), "Questions\nWhy is a mile so long?\n");
                })
                .why("site:build", "files packages/site/pages/questions.txt added, matches pages/*.txt"),
            ],
        ),
        (
            17,
            vec![
                step(SITE_AND_BEHIND, |t| {
                    t.write(package("site/pages/questions.txt"), "Questions\nWhy is a mile so long?\n");
                }),
                step("", |t| {
                    assert!(t.exists(package("site/public/questions.html")));
                    t.remove(package("site/pages/questions.txt"));
                })
                .why("site:build", "files packages/site/pages/questions.txt removed"),
                step("", |t| assert!(!t.exists(package("site/public/questions.html")))),
            ],
        ),
        (18, vec![step(SITE_AND_BEHIND, |t| t.remove(package("site/pages/history.txt")))]),
        (
            19,
            vec![
                step("site:build site:links e2e:test", |t| {
                    let text = t.read(package("site/pages/history.txt"));
                    t.remove(package("site/pages/history.txt"));
                    t.write(package("site/pages/origin.txt"), text);
                })
                .why("site:build", "packages/site/pages/origin.txt added, matches pages/*.txt"),
            ],
        ),
    ]
}

fn lost_files() -> Vec<(u32, Vec<Step>)> {
    vec![
        (
            20,
            vec![
                step("", |t| {
                    t.remove(package("schema/gen/units.h"));
                    t.remove(package("cli/build/yardstick"));
                })
                .why("schema:header", "outputs packages/schema/gen/units.h missing"),
            ],
        ),
        (
            21,
            vec![
                step("", |t| t.append(package("site/public/index.html"), "<!-- mine -->\n"))
                    .why("site:build", "outputs packages/site/public/index.html content changed"),
            ],
        ),
        (
            22,
            vec![step("data:readings", |t| {
                for path in ["schema/gen", "lib/build", "cli/build", "site/public", "data/readings.tsv"] {
                    t.remove(package(path));
                }
                t.remove("report.txt");
            })],
        ),
        (
            23,
            vec![
                step(&all_but("data:readings"), |t| t.remove(".devtask"))
                    .why("lib:lint", "history no earlier run is known"),
            ],
        ),
    ]
}

fn edits_of_task_files() -> Vec<(u32, Vec<Step>)> {
    vec![
        (
            24,
            vec![
                step("lib:lint", |t| {
                    t.replace(package("lib/devtask.toml"), "awk -f lint.awk src", "awk -f lint.awk -- src");
                })
                .why("lib:lint", "command the script or command changed"),
            ],
        ),
        (
            25,
            vec![
                step("site:build site:links e2e:test", |t| {
                    t.replace(package("site/devtask.toml"), "\"Yardstick\"", "\"Folding rule\"");
                })
                .why("site:build", "input title changed"),
            ],
        ),
        (
            26,
            vec![
                step("lib:build lib:lint lib:test", |t| {
                    t.replace(package("lib/devtask.toml"), "-Wextra", "-Wextra -Wshadow");
                })
                .why("lib:test", "env WARNINGS changed"),
            ],
        ),
        (
            27,
            vec![
                step("e2e:test", |t| t.replace(package("e2e/devtask.toml"), "1e-9", "1e-8"))
                    .why("e2e:test", "env TOLERANCE changed"),
            ],
        ),
    ]
}

fn edits_of_the_environment() -> Vec<(u32, Vec<Step>)> {
    vec![
        (
            28,
            vec![
                step("lib:build lib:test e2e:test", |t| t.set_env("CFLAGS", "-O2"))
                    .why("lib:build", "env CFLAGS changed (tracked)"),
            ],
        ),
        (
            29,
            vec![
                step("cli:build cli:test e2e:test yardstick:welcome", |t| {
                    t.set_env("YARDSTICK_VERSION", "1.0");
                })
                .why("cli:test", "env YARDSTICK_VERSION changed (tracked)"),
            ],
        ),
        (
            30,
            vec![step(
                "lib:build lib:test cli:build cli:test e2e:test yardstick:report yardstick:welcome",
                |t| {
                    let path = std::env::var("PATH").unwrap();
                    let real = real_cc(&path);
                    let script = format!(
                        "#!/bin/sh\ncase $* in --version) echo 'cc 99.0' ;; *) exec {} \"$@\" ;; esac\n",
                        real.display(),
                    );
                    t.write("other/cc", script);
                    t.chmod("other/cc", 0o755);
                    t.set_env("PATH", format!("{}:{path}", t.path("other").display()));
                },
            )],
        ),
    ]
}

fn edits_of_readings_and_tools() -> Vec<(u32, Vec<Step>)> {
    vec![
        (31, vec![step("", |t| t.append(package("data/mirror/readings.tsv"), "1\tm\tkm\n"))]),
        (
            32,
            vec![
                step("data:readings", |t| t.remove(package("data/readings.tsv")))
                    .why("data:readings", "status is asked when it is run"),
            ],
        ),
        (
            33,
            vec![
                step("e2e:test yardstick:report", |t| {
                    t.append(package("data/readings.tsv"), "1\tm\tkm\n");
                })
                .why("e2e:test", "files packages/data/readings.tsv content changed"),
            ],
        ),
        (
            34,
            vec![
                step("site:build e2e:test yardstick:report yardstick:welcome", |t| {
                    t.append("tools/json.awk", "# the end\n");
                })
                .why("yardstick:report", "files tools/json.awk content changed"),
            ],
        ),
        (
            35,
            vec![
                step("yardstick:welcome", |t| t.append("welcome.txt", "More.\n"))
                    .why("yardstick:welcome", "files welcome.txt content changed"),
            ],
        ),
        (
            36,
            vec![step("", |t| {
                t.append("README.md", "More.\n");
                t.append("devtask.toml", "# More.\n");
            })],
        ),
    ]
}

fn real_cc(path: &str) -> std::path::PathBuf {
    let all = std::env::split_paths(path).map(|dir| dir.join("cc"));
    all.into_iter().find(|p| p.is_file()).unwrap()
}

fn package(path: &str) -> std::path::PathBuf {
    Path::new("packages").join(path)
}

/// A sandbox with what another has, stat cache, records and all.
fn copy_of(source: &Path) -> Sandbox {
    let tree = Sandbox::new();
    let copied = Command::new("cp").arg("-a").arg(source.join(".")).arg(tree.root()).status().unwrap();
    assert!(copied.success());
    tree
}

#[test]
fn every_edit_of_the_readme_reruns_what_it_says() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/monorepo");
    let base = copy_of(&example);
    // Whoever has run it there has left what its tasks make, all of which git ignores.
    let ignored = base.read(".gitignore");
    for made in ignored.lines().filter(|line| !line.starts_with('#')) {
        base.remove_if_there(made.trim_matches('/'));
    }
    let first = base.ok("run");
    let all: Vec<String> = set(ALL).into_iter().chain([ALWAYS.to_owned()]).collect();
    assert_eq!(base.executed(), set(&all.join(" ")), "{first}");

    let rows = rows();
    let told = rows.iter().flat_map(|(_, steps)| steps).map(|step| step.why.len()).sum::<usize>();
    assert!(told >= 20, "the causes of {told} edits are looked at");
    let readme = base.read("README.md");
    let numbers = readme.lines().filter_map(|l| l.strip_prefix("| ")?.split(' ').next()?.parse::<u32>().ok());
    assert_eq!(numbers.collect::<Vec<_>>(), rows.iter().map(|(n, _)| *n).collect::<Vec<_>>());

    let queue = Mutex::new(rows);
    let faults = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some((number, steps)) = queue.lock().unwrap().pop() else { break };
                    let mut tree = copy_of(base.root());
                    for (at, step) in steps.iter().enumerate() {
                        let found = step.judge(&mut tree);
                        let place = format!("row {number}, step {}: ", at + 1);
                        faults.lock().unwrap().extend(found.into_iter().map(|f| place.clone() + &f));
                    }
                }
            });
        }
    });
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
