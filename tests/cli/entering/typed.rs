//! A shell that somebody types into: the user's files are read first, and undo nothing.

use std::fs;

use crate::support::{Sandbox, terminal::Terminal};

const TREE: &str = "[tasks.setup]\nbefore = ['devenv:enterShell']\nexports = ['WHO', 'PATH']\n\
                    exec = '''\nWHO=tree\nPATH=$PWD/bin:$PATH\n\
                    echo '{\"devenv\": {\"messages\": [\"welcome in\"]}}' > $DEVENV_TASK_OUTPUT_FILE\n'''\n";

/// The shells that are here, and the user's own file of each, which undoes all it can.
fn shells() -> Vec<(String, &'static str, &'static str)> {
    let path = std::env::var_os("PATH").unwrap();
    let find = |name: &str| {
        let mut dirs = std::env::split_paths(&path).map(|dir| dir.join(name));
        dirs.find(|file| file.is_file()).map(|file| file.display().to_string())
    };
    let undo = "export WHO=rc PATH=/usr/bin:/bin RC=read\n";
    let fish = "set -gx WHO rc; set -gx PATH /usr/bin /bin; set -gx RC read\n";
    [("bash", ".bashrc", undo), ("zsh", ".zshrc", undo), ("fish", ".config/fish/config.fish", fish)]
        .into_iter()
        .filter_map(|(name, file, text)| Some((find(name)?, file, text)))
        .collect()
}

fn zsh() -> Option<String> {
    let zsh = shells().into_iter().map(|(shell, ..)| shell).find(|shell| shell.ends_with("zsh"));
    if zsh.is_none() {
        eprintln!("zsh is not on PATH: nothing is proved");
    }
    zsh
}

fn typed(tree: &Sandbox, shell: &str, lines: &[&str]) -> String {
    let program = tree.devtask(["shell"]).env("SHELL", shell).env("TERM", "dumb");
    let program = program.env("XDG_RUNTIME_DIR", tree.home());
    let mut terminal = Terminal::of(program);
    terminal.next("welcome in");
    for line in lines {
        terminal.press(&format!("{line}\n"));
    }
    terminal.finish().1
}

#[test]
fn the_users_files_are_read_first_and_undo_nothing() {
    let shells = shells();
    assert!(!shells.is_empty());
    for (shell, file, text) in shells {
        let tree = Sandbox::with(TREE);
        fs::create_dir_all(tree.home().join(file).parent().unwrap()).unwrap();
        fs::write(tree.home().join(file), text).unwrap();
        let root = tree.root().display().to_string();
        let first = if shell.ends_with("fish") { "$PATH[1]" } else { "${PATH%%:*}" };
        let ask = format!("echo \"<$WHO $RC {first} $ZDOTDIR>\"");
        let seen = typed(&tree, &shell, &[&ask, "exit 3"]);
        assert!(seen.contains(&format!("<tree read {root}/bin >")), "{shell}\n{seen}");
        let left: Vec<_> =
            fs::read_dir(tree.home()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        let ours = |name: &&std::ffi::OsString| name.to_string_lossy().starts_with("devtask");
        assert!(!left.iter().any(|name| ours(&name)), "{shell} leaves {left:?}");
    }
}

#[test]
fn a_shell_in_a_shell_works_and_is_told() {
    for (shell, file, text) in shells() {
        let tree = Sandbox::with(TREE);
        fs::create_dir_all(tree.home().join(file).parent().unwrap()).unwrap();
        fs::write(tree.home().join(file), text).unwrap();
        let root = tree.root().display().to_string();
        let path = format!("{root}/bin:{}", std::env::var("PATH").unwrap());
        let outer = tree.devtask(["shell"]).env("SHELL", &shell).env("TERM", "dumb");
        let mut terminal = Terminal::of(outer.env("DEVTASK_SHELL", &root).env("PATH", path));
        terminal.next("Already           in the devtask shell of ");
        terminal.next("welcome in");
        let first = if shell.ends_with("fish") { "$PATH[1]" } else { "${PATH%%:*}" };
        terminal.press(&format!("echo \"<$WHO {first}>\"\nexit\n"));
        let seen = terminal.finish().1;
        assert!(seen.contains(&format!("<tree {root}/bin>")), "{shell}\n{seen}");
    }
}

#[test]
fn zsh_finds_its_own_directory_again() {
    let Some(zsh) = zsh() else { return };
    let mut tree = Sandbox::with(TREE);
    tree.write("own/.zshenv", "ENV_READ=yes\n");
    tree.write("own/.zshrc", "RC_READ=$ZDOTDIR\n");
    tree.set_env("ZDOTDIR", tree.path("own"));
    let seen = typed(&tree, &zsh, &["echo \"<$ENV_READ $RC_READ $ZDOTDIR $HISTFILE>\"", "exit"]);
    let own = tree.path("own").display().to_string();
    assert!(seen.contains(&format!("<yes {own} {own} >")), "{seen}");
}

#[test]
fn what_zsh_reads_nobody_else_does() {
    let Some(zsh) = zsh() else { return };
    let tree = Sandbox::with(TREE);
    // It lies beside, and is there until zsh has read all of it.
    fs::write(
        tree.home().join(".zshenv"),
        "MODES=$(cd $HOME && stat -c %a devtask-shell-* devtask-shell-*/.z*)\n",
    )
    .unwrap();
    let program = tree.devtask(["shell"]).env("SHELL", zsh).env("TERM", "dumb");
    let program = program.env("XDG_RUNTIME_DIR", tree.home());
    let wide_open = ["-c", "umask 0; exec \"$0\" \"$@\""];
    let mut terminal = Terminal::of(program.under("sh", &wide_open));
    terminal.next("welcome in");
    terminal.press("echo \"<\"$MODES\">\"\nexit\n");
    let seen = terminal.finish().1;
    assert!(seen.replace("\r\n", " ").contains("<700 600 600>"), "{seen}");
}

#[test]
fn what_cannot_be_written_for_a_shell_is_not_left_behind() {
    for (shell, ..) in shells() {
        let tree = Sandbox::with("[env]\nWHO = 'tree'\n");
        let program = tree.devtask(["shell"]).env("SHELL", &shell).env("TERM", "dumb");
        let program = program.env("XDG_RUNTIME_DIR", tree.home());
        // No file of it can be longer than nothing; that it is so is no reason to die.
        let full = ["-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\""];
        let mut terminal = Terminal::of(program.under("sh", &full));
        terminal.next("the user's own files may undo what is exported");
        terminal.press("exit\n");
        terminal.finish();
        let left = fs::read_dir(tree.home()).unwrap().map(|entry| entry.unwrap().file_name());
        let left: Vec<_> = left.filter(|name| name.to_string_lossy().starts_with("devtask")).collect();
        assert!(left.is_empty(), "{shell} leaves {left:?}");
    }
}
