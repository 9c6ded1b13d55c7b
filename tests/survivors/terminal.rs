//! The program on a terminal: what it draws, who may read, what is left behind.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    sync::{Arc, Mutex},
    thread::{self, JoinHandle},
};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::support::{Output, Running, Sandbox, eventually};

/// A terminal with a program on it.
struct Terminal {
    keys: File,
    seen: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
    run: Running,
}

impl Terminal {
    fn start(tree: &Sandbox, line: &str) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let path = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let end = OpenOptions::new().read(true).write(true).open(path).unwrap();
        let run = tree.devtask(line.split_whitespace()).env("TERM", "xterm").start_on(&end);
        drop(end);
        let keys = File::from(master);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (mut screen, text) = (keys.try_clone().unwrap(), Arc::clone(&seen));
        let reader = thread::spawn(move || {
            let mut buffer = [0; 4096];
            // An error is how a terminal says that nobody has it open any more.
            while let Ok(n @ 1..) = screen.read(&mut buffer) {
                text.lock().unwrap().extend_from_slice(&buffer[..n]);
            }
        });
        Self { keys, seen, reader, run }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap()).into_owned()
    }

    fn wait_for(&self, text: &str) {
        eventually(&format!("`{text}` is seen"), || self.text().contains(text));
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    fn finish(self) -> (Output, String) {
        let output = self.run.finish();
        self.reader.join().unwrap();
        let text = String::from_utf8_lossy(&self.seen.lock().unwrap()).into_owned();
        (output, text)
    }
}

const TALK: &str = r#"
name = "app"
[tasks.quiet]
exec = "[ ! -t 0 ] && [ ! -t 1 ] && ! read -r line"
[tasks.talk]
interactive = true
after = ["quiet"]
exec = "[ -t 0 ] && [ -t 1 ] && [ -t 2 ] && read -r -p 'name? ' name && echo \"hello $name\""
"#;

#[test]
fn an_interactive_task_owns_the_terminal_and_no_other_reads_from_it() {
    let tree = Sandbox::with(TALK);
    let mut terminal = Terminal::start(&tree, "run talk");
    terminal.wait_for("name? ");
    let before = terminal.text();
    assert!(before.contains("Succeeded"), "{before:?}");
    assert!(before.ends_with("name? "), "nobody draws on it: {before:?}");
    terminal.press("joe\n");
    let (output, text) = terminal.finish();
    assert_eq!(output.code, Some(0), "{text}");
    assert!(text.contains("hello joe"), "{text}");
    assert!(text.contains("2 Succeeded"), "{text}");
}

#[test]
fn ctrl_c_at_an_interactive_task_cancels_it() {
    let tree = Sandbox::with(TALK);
    let mut terminal = Terminal::start(&tree, "run talk");
    terminal.wait_for("name? ");
    terminal.press("\x03");
    let (output, text) = terminal.finish();
    assert_eq!(output.signal, Some(2), "{text}");
    assert!(text.contains("1 Succeeded, 1 Cancelled"), "{text}");
}

#[test]
fn a_task_that_wants_the_terminal_without_having_it_fails_and_says_why() {
    let tree = Sandbox::with("[tasks.\"app:greedy\"]\nexec = \"read -r x < /dev/tty\"\n");
    let (output, text) = Terminal::start(&tree, "run app:greedy").finish();
    assert_eq!(output.code, Some(1), "{text}");
    assert!(text.contains("it wants the terminal; set `interactive = true`"), "{text}");
}

#[test]
fn the_live_region_is_gone_when_ctrl_c_ends_the_run() {
    let tree = Sandbox::with(
        r#"
        name = "app"
        [tasks.one]
        exec = "echo first word; while :; do sleep 0.02; done"
        [tasks.two]
        exec = "while :; do sleep 0.02; done"
        "#,
    );
    let mut terminal = Terminal::start(&tree, "run one two -j 2");
    terminal.wait_for("s)  first word\x1b[K");
    terminal.wait_for("\x1b[2A");
    assert!(!terminal.text().contains("\x1b[3A"), "two rows, and no row more: {:?}", terminal.text());
    terminal.press("\x03");
    let (output, text) = terminal.finish();
    assert_eq!(output.signal, Some(2), "{text}");
    let summary = text.rfind("2 Cancelled").unwrap();
    assert!(!text[summary..].contains("Running"), "nothing of it is left: {text:?}");
    assert!(text.ends_with("\x1b[J"), "the cursor is below the summary: {text:?}");
}

#[test]
fn a_pipe_gets_plain_lines() {
    let tree = Sandbox::with("[tasks.\"app:one\"]\nexec = \"true\"\n");
    let output = tree.devtask(["run", "app:one"]).env("TERM", "xterm").run();
    assert_eq!(output.code, Some(0));
    assert!(!output.err.contains(['\x1b', '\r']), "{output}");
}
