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
    let Some((zsh, ..)) = shells().into_iter().find(|(shell, ..)| shell.ends_with("zsh")) else { return };
    let mut tree = Sandbox::with(TREE);
    tree.write("own/.zshenv", "ENV_READ=yes\n");
    tree.write("own/.zshrc", "RC_READ=$ZDOTDIR\n");
    tree.set_env("ZDOTDIR", tree.path("own"));
    let seen = typed(&tree, &zsh, &["echo \"<$ENV_READ $RC_READ $ZDOTDIR $HISTFILE>\"", "exit"]);
    let own = tree.path("own").display().to_string();
    assert!(seen.contains(&format!("<yes {own} {own} >")), "{seen}");
}
