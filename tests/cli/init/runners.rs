//! Trees of other task runners.

use super::{adopt, after, calls, fake, runs_once};
use crate::support::Sandbox;

#[test]
fn targets_of_a_makefile() {
    let tree = Sandbox::new();
    tree.write(
        "Makefile",
        "CC ?= cc\n.PHONY: all test clean install deploy watch\n\nall: app ## everything\n\napp: main.o util.o\n\tcat $^ > $@\n\
         %.o: %.c\n\tcat $< > $@\n\ntest: all\n\tgrep -q main app\n\nclean:\n\trm -f app *.o\ninstall: all\n\texit 9\n\
         deploy:\n\texit 9\nwatch:\n\texit 9\n",
    );
    tree.write("main.c", "main\n");
    tree.write("util.c", "util\n");
    let proposed = adopt(&tree);
    assert!(proposed.out.contains("description = \"everything\""), "{proposed}");
    assert!(
        proposed.out.contains("# from Makefile, clean; left out: it removes things\n# [tasks.clean]"),
        "{proposed}"
    );
    runs_once(&tree, "tree:all tree:test");
    assert_eq!(tree.read("app"), "main\nutil\n");
    after(&tree, |t| t.append("util.c", "more\n"), "tree:all tree:test");
    assert_eq!(tree.read("app"), "main\nutil\nmore\n");
}

#[test]
fn recipes_of_a_justfile() {
    let mut tree = Sandbox::new();
    fake(&mut tree, "just", "");
    tree.write(
        "justfile",
        "set shell := ['bash', '-c']\nversion := '1'\nalias b := build\n\n# makes it all\nbuild: schema\n    echo built\n\n\
         schema:\n    echo schema\n\ntest filter='': build\n    echo test\n\nci: test lint\n\n@lint:\n    echo lint\n\n\
         _hidden:\n    exit 9\n\nnew name:\n    exit 9\n\n[confirm]\nwipe:\n    exit 9\n\nserve: build\n    exit 9\n\n\
         release: ci\n    exit 9\n",
    );
    let proposed = adopt(&tree);
    assert!(proposed.out.contains("[tasks.ci]\nafter = [\"test\", \"lint\"]\n"), "{proposed}");
    assert!(proposed.out.contains("description = \"makes it all\""), "{proposed}");
    assert!(
        proposed.out.contains("[processes.serve]\nafter = [\"build\"]\nstart.enable = false"),
        "{proposed}"
    );
    let first = tree.ok("run");
    assert_eq!(tree.executed(), crate::support::set("tree:schema tree:build tree:test tree:lint"), "{first}");
    let mut called: Vec<String> = calls(&tree).lines().map(str::to_owned).collect();
    called.sort();
    assert!(!proposed.out.contains("_hidden"), "{proposed}");
    assert_eq!(called, ["just --no-deps build", "just --no-deps test", "just lint", "just schema"]);
    // Of `schema` nobody knows what it reads.
    tree.ok("run");
    assert_eq!(tree.executed(), crate::support::set("tree:schema"));
}

#[test]
fn tasks_of_a_taskfile() {
    let mut tree = Sandbox::new();
    let task = r#"
case "$1" in
gen) mkdir -p gen && cat api.txt > gen/api.c ;;
build) cat gen/api.c src/*.c > program ;;
test) test -f program ;;
*) exit 9 ;;
esac"#;
    fake(&mut tree, "task", task);
    tree.write(
        "Taskfile.yml",
        "version: '3'\ntasks:\n  default:\n    deps: [test]\n  gen:\n    desc: from the table\n    sources: [api.txt]\n\
         \x20   generates: [gen/api.c]\n    cmds: [make gen]\n  build:\n    deps:\n      - task: gen\n\
         \x20   sources: ['src/**/*.c', gen/api.c]\n    generates: [program]\n    cmd: cc\n  test:\n    deps: [build]\n\
         \x20   sources: [program]\n    cmds:\n      - ./program\n  dev:\n    cmds: [exit 9]\n  ask:\n    prompt: Sure?\n\
         \x20   cmds: [exit 9]\n  publish: exit 9\n",
    );
    tree.write("api.txt", "api\n");
    tree.write("src/main.c", "main\n");
    let proposed = adopt(&tree);
    assert!(proposed.out.contains("outputs = [\"gen/api.c\"]"), "{proposed}");
    runs_once(&tree, "tree:gen tree:build tree:test");
    after(&tree, |t| t.append("src/main.c", "more\n"), "tree:build tree:test");
    after(&tree, |t| t.write("other.txt", ""), "");
    assert_eq!(tree.read("program"), "api\nmain\nmore\n");
}

#[test]
fn processes_of_a_procfile() {
    let tree = Sandbox::new();
    tree.write(
        "Procfile",
        "# what is up\nweb: echo \"web on ${PORT:-none}\" > web.txt && sleep 1000\nworker:echo it\\'s > worker.txt; sleep 1000\n\
         release: exit 9\nodd: echo ${root}\n",
    );
    let proposed = adopt(&tree);
    assert!(proposed.out.contains("# from Procfile, release; left out: it is for deployments"), "{proposed}");
    assert!(proposed.out.contains("# [processes.odd]"), "{proposed}");
    assert!(proposed.out.contains("# devtask up starts it.\n[processes.worker]\nexec = "), "{proposed}");
    tree.ok("run");
    tree.ok("up -d");
    crate::support::eventually("both are up", || tree.exists("web.txt") && tree.exists("worker.txt"));
    tree.ok("down");
    crate::support::eventually("it was written", || tree.read("worker.txt") == "it's\n");
    assert_eq!(tree.read("web.txt"), "web on none\n");
}

#[test]
fn the_language_is_asked_before_the_makefile() {
    let tree = Sandbox::new();
    tree.write("Cargo.toml", "[package]\nname = 'both'\nedition = '2024'\n");
    tree.write("src/lib.rs", "");
    tree.write(
        "Makefile",
        ".PHONY: build test docs\nbuild:\n\tcargo build\ntest: build\n\texit 9\ndocs: build\n\techo > docs.txt\n",
    );
    tree.write(".gitignore", "/target\ndocs.txt\n");
    let proposed = adopt(&tree);
    let line = "# from Makefile, build; left out: build is here already, from Cargo.toml\n";
    assert!(proposed.out.contains(line), "{proposed}");
    runs_once(&tree, "both:fetch both:build both:test both:docs");
    assert!(!proposed.out.contains("!target"), "git ignores it\n{proposed}");
}

#[test]
fn hooks_are_told_of() {
    let tree = Sandbox::new();
    tree.write("Makefile", "build:\n\ttrue\n");
    tree.write(
        ".pre-commit-config.yaml",
        "repos:\n- repo: https://example.com/black\n  rev: '1'\n  hooks: [{id: black}]\n- repo: local\n  hooks:\n  - id: mine\n\
         \x20   entry: sh check.sh\n    language: system\n",
    );
    tree.write("check.sh", "printf '%s\\n' \"$@\" >> .given\n");
    let proposed = adopt(&tree);
    assert!(proposed.out.contains("#   black (https://example.com/black)\n"), "{proposed}");
    assert!(proposed.out.contains("[checks.mine]\n"), "a hook of the project's own is a check\n{proposed}");
    runs_once(&tree, "tree:build");
    tree.ok("check");
    assert_eq!(tree.read(".given"), "Makefile\ncheck.sh\ndevtask.toml\n");
}

#[test]
fn a_comment_in_the_task_file_reruns_nothing() {
    let mut tree = Sandbox::new();
    fake(&mut tree, "go", "");
    tree.write("Makefile", ".PHONY: test\ntest:\n\ttrue\n");
    tree.write("a/go.mod", "module a\n");
    adopt(&tree);
    runs_once(&tree, "tree:test a:build a:vet a:test");
    for file in ["devtask.toml", "a/devtask.toml"] {
        after(&tree, |t| t.append(file, "# more\n"), "");
    }
}
