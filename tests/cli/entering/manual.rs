//! The manual: what its pages have, and who shows them.

use std::{fs, process::Command};

use crate::support::Sandbox;
#[cfg(target_os = "linux")]
use crate::support::terminal::Terminal;

#[test]
fn the_manual_has_a_page_for_every_verb() {
    let tree = Sandbox::new();
    tree.ok("man --dir pages/man1");
    let help = tree.ok("--help").out;
    let verbs =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // What goes on in the next line is further to the right.
    let verbs =
        verbs.filter_map(|line| line.strip_prefix("  ")?.split(' ').next().filter(|verb| !verb.is_empty()));
    let verbs: Vec<&str> = verbs.filter(|verb| *verb != "help").collect();
    assert!(verbs.len() > 15 && verbs.contains(&"export"), "{help}");
    for verb in &verbs {
        let page = tree.read(format!("pages/man1/devtask-{verb}.1"));
        assert!(page.contains(".SH NAME"), "{page}");
    }
    let pages: Vec<_> = fs::read_dir(tree.path("pages/man1")).unwrap().map(|e| e.unwrap().path()).collect();
    assert!(!pages.iter().any(|page| page.to_string_lossy().contains("__complete")), "{pages:?}");
    assert!(!tree.exists("pages/man1/devtask-tasks.1"));
    assert_eq!(tree.ok("man").out, tree.read("pages/man1/devtask.1"));
    // Where there is something to read them.
    for page in pages {
        let Ok(read) = Command::new("groff").args(["-man", "-Tutf8", "-ww", "-z"]).arg(&page).output() else {
            eprintln!("groff is not on PATH: nothing is proved of how pages are read");
            return;
        };
        assert!(read.status.success() && read.stderr.is_empty(), "{}\n{read:?}", page.display());
    }
}

#[test]
fn every_page_says_how_it_is_used_and_how_it_ends() {
    let tree = Sandbox::new();
    tree.ok("man --dir pages");
    let main = tree.read("pages/devtask.1");
    for heading in ["EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES", "SEE ALSO", "GLOBAL OPTIONS"] {
        let quoted =
            if heading.contains(' ') { format!(".SH \"{heading}\"\n") } else { format!(".SH {heading}\n") };
        assert_eq!(main.matches(&quoted).count(), 1, "{heading}\n{main}");
    }
    let check = tree.read("pages/devtask-check.1");
    let synopsis = check.lines().skip_while(|line| *line != ".SH SYNOPSIS").nth(1).unwrap_or_default();
    assert_eq!(synopsis, "\\fBdevtask check\\fR [OPTIONS] [CHECK|FILE]...", "{check}");
    for wanted in ["\\fBSKIP\\fR", "\\fBDEVTASK_JOBS\\fR", ".SH \"EXIT STATUS\"", ".SH FILES"] {
        assert!(check.contains(wanted), "{wanted}\n{check}");
    }
    // What every verb takes stands on the first page.
    assert!(main.contains("state\\-dir") && !check.contains("state\\-dir"), "{check}");
    assert!(main.contains("DEVTASK_COLOR") && !check.contains("DEVTASK_COLOR"), "{check}");
    assert!(tree.read("pages/devtask-hooks-install.1").contains("\\fIdevtask\\-hooks\\fR(1)"));
}

#[cfg(target_os = "linux")]
#[test]
fn on_a_terminal_the_system_shows_it() {
    let tree = Sandbox::new();
    let path = std::env::var_os("PATH").unwrap();
    let mut setsid = std::env::split_paths(&path).map(|dir| dir.join("setsid"));
    let setsid = setsid.find(|file| file.is_file()).unwrap();
    fs::create_dir(tree.path("bin")).unwrap();
    std::os::unix::fs::symlink(setsid, tree.path("bin/setsid")).unwrap();
    let seen = || {
        let (output, seen) = Terminal::of(tree.devtask(["man"]).env("PATH", tree.path("bin"))).finish();
        assert_eq!(output.code, Some(0), "{seen}");
        (seen.contains(".SH SYNOPSIS"), seen)
    };
    assert!(seen().0, "there is none");
    tree.program(
        "bin/man",
        "#!/bin/sh\nwhile read -r line; do test \"$line\" != '.SH SYNOPSIS' || echo got it; done < \"$1\"\n",
    );
    let (is_raw, text) = seen();
    assert!(!is_raw && text.contains("got it"), "{text}");
    tree.program("bin/man", "#!/bin/sh\nexit 16\n");
    assert!(seen().0, "it does not know how");
    let tmp = tree.root().parent().unwrap().join("tmp");
    assert_eq!(fs::read_dir(tmp).unwrap().count(), 0);
}
